/* SPDX-License-Identifier: MIT */
/* The x86_64 and i386 targets: what the machine, the monitor and the translator know of an x86 processor. */
#include "target/i386/cpu.h"

#include <capstone/capstone.h>
#include <elf.h>

#include "base/log.h"
#include "machine/saved-state.h"
#include "target/i386/control.h"
#include "target/i386/core-dump.h"
#include "target/i386/describe.h"
#include "target/i386/exception.h"
#include "target/i386/mmu.h"
#include "target/i386/models.h"
#include "target/i386/processor.h"
#include "target/i386/registers.h"
#include "target/i386/svm.h"
#include "target/i386/translate.h"
#include "target/i386/x87.h"

/* Guest variables. */

/* clang-format off */
#define OFFSET(member) ((int32_t)((intptr_t)offsetof(X86Cpu, member) - \
                                  (intptr_t)offsetof(X86Cpu, tcg)))
#define GPR(n, text) [X86_VAR_GPR + n] = { text, IR_I64, OFFSET(gpr[n]) }
#define XMM(n) [X86_VAR_XMM + n] = { "xmm" #n, IR_V128, OFFSET(xmm[n][0]) }, \
               [X86_VAR_YMM + n] = { "ymm" #n "_high", IR_V128, OFFSET(xmm[n][1]) }
#define SEG(n, text) [X86_VAR_BASE + n] = { text "_base", IR_I64, OFFSET(seg[n].base) }, \
                     [X86_VAR_LIMIT + n] = { text "_limit", IR_I64, OFFSET(seg[n].fast_limit) }
#define MMX(n) [X86_VAR_MMX + n] = { "mm" #n, IR_I64, OFFSET(x87.st[n].significand) }, \
               [X86_VAR_MMX_ABOVE + n] = { "mm" #n "_above", IR_I64, OFFSET(x87.st[n].sign_exponent) }
#define VAR(index, field) [index] = { #field, IR_I64, OFFSET(field) }

static const IrVar variables[X86_VAR_COUNT] = {
    GPR(0, "rax"), GPR(1, "rcx"), GPR(2, "rdx"), GPR(3, "rbx"), GPR(4, "rsp"), GPR(5, "rbp"), GPR(6, "rsi"),
    GPR(7, "rdi"), GPR(8, "r8"), GPR(9, "r9"), GPR(10, "r10"), GPR(11, "r11"), GPR(12, "r12"), GPR(13, "r13"),
    GPR(14, "r14"), GPR(15, "r15"),
    [X86_VAR_FLAGS] = { "flags", IR_FLAGS, OFFSET(flags) },
    XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7), XMM(8), XMM(9), XMM(10), XMM(11), XMM(12),
    XMM(13), XMM(14), XMM(15),
    SEG(X86_ES, "es"), SEG(X86_CS, "cs"), SEG(X86_SS, "ss"), SEG(X86_DS, "ds"), SEG(X86_FS, "fs"), SEG(X86_GS, "gs"),
    VAR(X86_VAR_EFLAGS, eflags),
    VAR(X86_VAR_DF, df),
    VAR(X86_VAR_IRQ_WAITING, irq_waiting),
    VAR(X86_VAR_SHADOW, shadow),
    VAR(X86_VAR_FIP, x87_noted.fip),
    VAR(X86_VAR_FOP, x87_noted.fop),
    VAR(X86_VAR_FDP, x87_noted.fdp),
    VAR(X86_VAR_FDS, x87_noted.fds),
    VAR(X86_VAR_BOUNCE, tcg.bounce_address),
    MMX(0), MMX(1), MMX(2), MMX(3), MMX(4), MMX(5), MMX(6), MMX(7),
    VAR(X86_VAR_TSC_AUX, tsc_aux),
    VAR(X86_VAR_KERNEL_GS_BASE, kernel_gs_base),
    [X86_VAR_INSN_COUNT] = { "insn_count", IR_I64, OFFSET(tcg.insn_count) },
};
G_STATIC_ASSERT((int)X86_VAR_COUNT <= (int)IR_MAX_VARS);
/* clang-format on */

/* By how often compilers use them. */
static const uint8_t pinned_ints[] = { X86_RAX, X86_RSP, X86_RDI, X86_RBX, X86_RDX,
                                       X86_RSI, X86_RBP, X86_RCX, 0xff };
static const uint8_t pinned_vectors[] = { X86_VAR_XMM,     X86_VAR_XMM + 1, X86_VAR_XMM + 2,
                                          X86_VAR_XMM + 3, X86_VAR_XMM + 4, X86_VAR_XMM + 5,
                                          X86_VAR_XMM + 6, X86_VAR_XMM + 7, 0xff };

static uint64_t get_mode(TcgState *env)
{
    const X86Cpu *cpu = x86_cpu_of_env(env);

    /* Units set the shadow alone when they end in it. */
    return cpu->shadow ? cpu->mode | X86_MODE_SHADOW | TCG_MODE_ONE : cpu->mode;
}

static void settle(TcgState *env)
{
    x87_settle(x86_cpu_of_env(env));
}

/* Realize and reset. */

/* A VMCB is in the processor or may be in SMRAM, or an exit's handler has interrupts held back: other accelerators keep that in forms of their own. */
static bool runs_virtual_machine(const Machine *machine)
{
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        const X86Cpu *cpu = x86_cpu(machine->vcpus->pdata[i]);

        if (cpu->svm.guest || !cpu->svm.gif || (cpu->smm && cpu->svm.asid)) {
            return true;
        }
    }
    return false;
}

static bool realize(Vcpu *vcpu, GError **error)
{
    X86Cpu *cpu = x86_cpu(vcpu);

    if (vcpu->index == 0) {
        machine_save_bound(vcpu->machine, "a virtual machine of its own that runs",
                           runs_virtual_machine);
    }

    cpu->x86_model = vcpu->model->data;
    cpu->tcg.vcpu = vcpu;
    device_add_irq(&vcpu->device, &cpu->ferr);
    return x86_select_features(cpu, error);
}

/* What both RESET and INIT set (SDM 3, table 9-1). */
void x86_init_reset(X86Cpu *cpu)
{
    const uint32_t data = X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED;

    memset(cpu->gpr, 0, sizeof cpu->gpr);
    cpu->gpr[X86_RDX] = 0x600;
    cpu->flags = 0;
    cpu->df = 1;
    cpu->eflags = EFLAGS_ONE;
    cpu->cr2 = cpu->cr3 = cpu->cr4 = cpu->efer = 0;
    cpu->cr0 = (cpu->cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
    cpu->xcr0 = XCR0_X87;
    cpu->cpl = 0;
    cpu->smm = cpu->nmi_blocked = cpu->nmi_blocked_before_smm = false;
    cpu->shut_down = cpu->delivering = cpu->svm.guest = false;
    cpu->svm.gif = true;
    cpu->pending_debug = cpu->shadow = cpu->irq_waiting = 0;
    memset(cpu->dr, 0, sizeof cpu->dr);
    cpu->dr[6] = DR6_FIXED;
    cpu->dr[7] = DR7_FIXED;
    cpu->gdtr = cpu->idtr = (X86TableRegister){ 0, 0xffff };
    cpu->ldtr = (X86Segment){ .limit = 0xffff, .flags = X86_SEG_P | 2 << X86_SEG_TYPE_SHIFT };
    cpu->tr = (X86Segment){ .limit = 0xffff, .flags = X86_SEG_P | 11 << X86_SEG_TYPE_SHIFT };
    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        x86_set_segment(cpu, (X86SegmentName)i, 0, 0, 0xffff, data);
    }
    x86_set_segment(cpu, X86_CS, 0xf000, 0xffff0000, 0xffff, data | X86_SEG_CODE);
    x86_flush_translations(cpu, true);
    x86_update_context(cpu);
    x86_set_eip(cpu, 0xfff0);
}

static void reset(Vcpu *vcpu)
{
    X86Cpu *cpu = x86_cpu(vcpu);

    cpu->cr0 = CR0_CD | CR0_NW;
    cpu->a20 = true;
    cpu->smbase = 0x30000;
    vcpu_set_secure(vcpu, false);
    cpu->pkru = 0;
    x86_msrs_reset(cpu);
    cpu->tsc_offset = -x86_tsc_at(cpu, clock_now_ns(vcpu->machine));
    x86_init_reset(cpu);
    x86_fpu_reset(cpu);
    /* The first processor starts; the others wait for a start-up message. */
    cpu->wait_for_sipi = vcpu->index != 0;
    vcpu->halt_deadline_ns = -1;
    atomic_store(&vcpu->halted, cpu->wait_for_sipi);
}

static uint64_t get_pc(const Vcpu *vcpu)
{
    return tcg_pc(&container_of(vcpu, X86Cpu, vcpu)->tcg);
}

static void set_pc(Vcpu *vcpu, uint64_t pc)
{
    tcg_set_pc(&x86_cpu(vcpu)->tcg, pc);
}

/* Events that end a halt in the state that the processor is in. */
static bool has_work(const Vcpu *vcpu)
{
    const X86Cpu *cpu = container_of(vcpu, X86Cpu, vcpu);
    uint32_t events = atomic_load(&vcpu->events) & x86_allowed_events(cpu);

    if (events & (1u << X86_EVENT_INIT | 1u << X86_EVENT_A20)) {
        return true;
    }
    if (cpu->wait_for_sipi) {
        return events & 1u << X86_EVENT_SIPI;
    }
    if (cpu->shut_down) {
        return false;
    }
    return events ||
           ((atomic_load(&vcpu->interrupts) & 1u << X86_LINE_INTR) &&
            x86_svm_takes_interrupts(cpu)) ||
           ((cpu->eflags & EFLAGS_IF) && x86_svm_virtual_interrupt(cpu) >= 0);
}

void x86_describe_triple_fault(X86Cpu *cpu)
{
    GString *text = g_string_new(NULL);

    if (log_enabled(LOG_CPU_RESET) || log_enabled(LOG_INT) || cpu->vcpu.machine->config.no_reboot) {
        x86_describe(&cpu->vcpu, false, text);
        log_printf("cpu%u: triple fault\n%s", cpu->vcpu.index, text->str);
    }
    g_string_free(text, TRUE);
}

static void processor_id(Vcpu *vcpu, uint32_t id[2])
{
    enum { EAX, EDX = 3 };
    uint32_t out[4];

    x86_cpuid(container_of(vcpu, X86Cpu, vcpu), 1, 0, out);
    id[0] = out[EAX];
    id[1] = out[EDX];
}

/* For disassembly: the width of the code that runs. */
static int capstone_mode_now(const Vcpu *vcpu)
{
    const X86Cpu *cpu = container_of(vcpu, X86Cpu, vcpu);

    return x86_code64(cpu)                      ? CS_MODE_64
           : cpu->seg[X86_CS].flags & X86_SEG_B ? CS_MODE_32
                                                : CS_MODE_16;
}

/* IA32_TIME_STAMP_COUNTER as the first processor has it. */
static uint64_t counter_at(Machine *machine, int64_t virtual_ns)
{
    const X86Cpu *cpu = x86_cpu(machine->vcpus->pdata[0]);

    return x86_tsc_at(cpu, virtual_ns) + cpu->tsc_offset;
}

static const TcgTarget tcg_target = {
    .vars = variables,
    .var_count = X86_VAR_COUNT,
    .pinned_ints = pinned_ints,
    .pinned_vectors = pinned_vectors,
    .state_offset = offsetof(X86Cpu, tcg),
    .key_global_mask = 0xfff,
    .env_bias = -64,
    .insn_align = 1,
    .jump_shift = 0,
    .jump_classes = 2,
    .jump_mode_bit =
        X86_MODE_FS_FLAT, /* twice for each system call: Linux's per-CPU data are in FS, which users have null */
    .locks_anything = true,
    .coherent_code = true,
    .mode = get_mode,
    .translate = x86_translate,
    .walk = x86_walk,
    .check_crossing = x86_check_crossing,
    .raise_fault = x86_raise_fault,
    .raise_bus_error = x86_raise_bus_error,
    .take_interrupt = x86_take_interrupt,
    .wake = x86_wake,
    .check_jump = x86_check_indirect,
    .prepare_pc = x86_prepare_pc,
    .insn_done = x86_insn_done,
    .check_insn = x86_check_insn,
    .insn_count_var = X86_VAR_INSN_COUNT,
    .lend_x87 = x87_lend,
    .settle = settle,
};

#define X86_TARGET(object, target_name, text, cpu_model, register_table, gdb_name, core)           \
    const Target object = {                                                                        \
        .name = target_name,                                                                       \
        .summary = text,                                                                           \
        .default_machine = "pc",                                                                   \
        .default_cpu = cpu_model,                                                                  \
        .models_not_yet = x86_models_not_yet,                                                      \
        .cpu_size = sizeof(X86Cpu),                                                                \
        .properties = x86_properties,                                                              \
        .resolve = x86_resolve,                                                                    \
        .counter = COUNTER_X86_TSC,                                                                \
        .counter_at = counter_at,                                                                  \
        .registers = register_table,                                                               \
        .register_fields = x86_register_fields,                                                    \
        .gdb_architecture = gdb_name,                                                              \
        .core_machine = core,                                                                      \
        .core_notes = x86_core_notes,                                                              \
        .state = x86_state,                                                                        \
        .state_version = X86_STATE_VERSION,                                                        \
        .state_loaded = x86_state_loaded,                                                          \
        .tcg = &tcg_target,                                                                        \
        .capstone_arch = CS_ARCH_X86,                                                              \
        .capstone_mode = CS_MODE_64,                                                               \
        .realize = realize,                                                                        \
        .reset = reset,                                                                            \
        .get_pc = get_pc,                                                                          \
        .set_pc = set_pc,                                                                          \
        .has_work = has_work,                                                                      \
        .translate_debug = x86_translate_debug,                                                    \
        .walk_page = x86_walk_page,                                                                \
        .tables = x86_system_tables,                                                               \
        .read_table = x86_read_table,                                                              \
        .explain_interrupt = x86_explain_interrupt,                                                \
        .timestamp_to_clock = x86_timestamp_to_clock,                                              \
        .describe = x86_describe,                                                                  \
        .describe_mappings = x86_describe_mappings,                                                \
        .capstone_mode_now = capstone_mode_now,                                                    \
        .processor_id = processor_id,                                                              \
        .nmi = x86_post_nmi,                                                                       \
        .x86 = &x86_processor,                                                                     \
    };                                                                                             \
    TARGET(object)

X86_TARGET(x86_64_target, "x86_64", "x86, 64 bit", "qemu64", x86_64_registers, "i386:x86-64",
           EM_X86_64);
X86_TARGET(i386_target, "i386", "x86, 32 bit", "qemu32", x86_i386_registers, "i386", 0);
