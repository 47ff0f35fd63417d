/* SPDX-License-Identifier: MIT */
/*
 * The registers of an x86 processor as monitor, gdb, accelerators and snapshots know them, and what else its state is.
 *
 * accelerator_id is the number of the MSR, which is how Linux's KVM names it. Registers with hidden parts or in another form
 * than gdb's are views: what a snapshot needs of them is in x86_state.
 */
#include "target/i386/registers.h"

#include "base/bits.h"
#include "machine/event-names.h"
#include "target/i386/control.h"
#include "target/i386/mmu.h"
#include "target/i386/x87.h"

enum {
    X87_OPCODE_BITS = 11,
    MSR_FS_BASE = 0xc0000100,
    MSR_GS_BASE = 0xc0000101,
    MSR_TSC = 0x10,
    MSR_MISC_ENABLE = 0x1a0,
};

static void get_rip(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    store_le64(value, x86_eip(x86_cpu(vcpu)));
}

static void set_rip(Vcpu *vcpu, const TargetRegister *reg, const void *value)
{
    x86_set_eip(x86_cpu(vcpu), load_le64(value));
}

static void get_eip(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    store_le32(value, (uint32_t)x86_eip(x86_cpu(vcpu)));
}

static void set_eip(Vcpu *vcpu, const TargetRegister *reg, const void *value)
{
    x86_set_eip(x86_cpu(vcpu), load_le32(value));
}

static void get_eflags(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    store_le32(value, (uint32_t)x86_get_eflags(x86_cpu(vcpu)));
}

static void set_eflags(Vcpu *vcpu, const TargetRegister *reg, const void *value)
{
    x86_set_eflags(x86_cpu(vcpu), load_le32(value), UINT32_MAX);
}

/* Selectors. In real and virtual-8086 mode, where a selector says all, the base follows. */

static const char *const segment_names[X86_SEGMENTS] = { "es", "cs", "ss", "ds", "fs", "gs" };

static X86Segment *segment_of(Vcpu *vcpu, const TargetRegister *reg)
{
    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        if (strncmp(segment_names[i], reg->name, 2) == 0) {
            return &x86_cpu(vcpu)->seg[i];
        }
    }
    g_assert_not_reached();
}

static void get_selector(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    store_le32(value, segment_of(vcpu, reg)->selector);
}

static void set_selector(Vcpu *vcpu, const TargetRegister *reg, const void *value)
{
    X86Cpu *cpu = x86_cpu(vcpu);
    X86Segment *s = segment_of(vcpu, reg);
    uint64_t eip = x86_eip(cpu);

    s->selector = (uint16_t)load_le32(value);
    if (!x86_protected(cpu)) {
        s->base = (uint64_t)s->selector << 4;
        x86_set_eip(cpu, eip);
    }
}

static void get_base(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    store_le64(value, segment_of(vcpu, reg)->base);
}

static void set_base(Vcpu *vcpu, const TargetRegister *reg, const void *value)
{
    segment_of(vcpu, reg)->base = load_le64(value);
}

/* The x87. gdb's st0 is the top of the stack; its tag word has two bits for each physical register. */

static X87Register *stack_register(Vcpu *vcpu, const TargetRegister *reg)
{
    X87State *x87 = &x86_cpu(vcpu)->x87;

    return &x87->st[(x87->top + (unsigned)(reg->name[2] - '0')) & 7];
}

static void get_st(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    const X87Register *st = stack_register(vcpu, reg);

    store_le64(value, st->significand);
    store_le16((uint8_t *)value + 8, st->sign_exponent);
}

static void set_st(Vcpu *vcpu, const TargetRegister *reg, const void *value)
{
    X87Register *st = stack_register(vcpu, reg);

    st->significand = load_le64(value);
    st->sign_exponent = load_le16((const uint8_t *)value + 8);
}

static uint32_t read_x87(const X86Cpu *cpu, const char *name)
{
    const X87State *x87 = &cpu->x87;

    return strcmp(name, "fctrl") == 0   ? x87->control
           : strcmp(name, "fstat") == 0 ? x87_status_word(cpu)
           : strcmp(name, "ftag") == 0  ? x87_full_tag_word(cpu)
           : strcmp(name, "fiseg") == 0 ? x87->cs
           : strcmp(name, "fioff") == 0 ? (uint32_t)x87->fip
           : strcmp(name, "foseg") == 0 ? x87->ds
           : strcmp(name, "fooff") == 0 ? (uint32_t)x87->fdp
                                        : x87->opcode;
}

static void get_x87(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    store_le32(value, read_x87(x86_cpu(vcpu), reg->name));
}

static void set_x87(Vcpu *vcpu, const TargetRegister *reg, const void *value)
{
    X86Cpu *cpu = x86_cpu(vcpu);
    X87State *x87 = &cpu->x87;
    const char *name = reg->name;
    uint32_t v = load_le32(value);

    if (strcmp(name, "fctrl") == 0) {
        x87_set_control_word(cpu, (uint16_t)v);
    } else if (strcmp(name, "fstat") == 0) {
        x87_set_status_word(cpu, (uint16_t)v);
    } else if (strcmp(name, "ftag") == 0) {
        x87_set_full_tag_word(cpu, (uint16_t)v);
    } else if (strcmp(name, "fiseg") == 0) {
        x87->cs = (uint16_t)v;
    } else if (strcmp(name, "fioff") == 0) {
        x87->fip = v;
    } else if (strcmp(name, "foseg") == 0) {
        x87->ds = (uint16_t)v;
    } else if (strcmp(name, "fooff") == 0) {
        x87->fdp = v;
    } else {
        x87->opcode = v & ((1 << X87_OPCODE_BITS) - 1);
    }
}

static void get_mxcsr(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    store_le32(value, x86_get_mxcsr(x86_cpu(vcpu)));
}

static void set_mxcsr(Vcpu *vcpu, const TargetRegister *reg, const void *value)
{
    X86Cpu *cpu = x86_cpu(vcpu);

    x86_set_mxcsr(cpu, load_le32(value) & x86_mxcsr_mask(cpu));
}

/* Through the tables of MSRs and of what the local APIC has; absent ones read as zero. */
static void get_msr(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    uint64_t v = 0;

    x86_read_msr(x86_cpu(vcpu), (uint32_t)reg->accelerator_id, &v);
    store_le64(value, v);
}

static void set_msr(Vcpu *vcpu, const TargetRegister *reg, const void *value)
{
    x86_write_msr(x86_cpu(vcpu), (uint32_t)reg->accelerator_id, load_le64(value));
}

static void get_cr8(Vcpu *vcpu, const TargetRegister *reg, void *value)
{
    store_le64(value, x86_get_cr(x86_cpu(vcpu), 8));
}

static bool has_avx(const Vcpu *vcpu)
{
    return x86_has(container_of(vcpu, X86Cpu, vcpu), X86_FEATURE_AVX);
}

static bool has_avx512(const Vcpu *vcpu)
{
    return x86_has(container_of(vcpu, X86Cpu, vcpu), X86_FEATURE_AVX512F);
}

/* clang-format off */
#define CORE "org.gnu.gdb.i386.core"
#define SSE "org.gnu.gdb.i386.sse"
#define AVX "org.gnu.gdb.i386.avx"
#define AVX512 "org.gnu.gdb.i386.avx512"
#define SEGMENTS "org.gnu.gdb.i386.segments"
#define SYSTEM_FEATURE "org.kaso.x86.system"

#define GPR(text, n, width, type)                                                                  \
    { text, REGISTERS_GENERAL, width, offsetof(X86Cpu, gpr[n]), .gdb_feature = CORE, .gdb_type = type }
#define VIEW(text, group_, width, feature, type, get_, set_)                                       \
    { text, group_, width, .get = get_, .set = set_, .flags = TARGET_REGISTER_DERIVED,             \
      .gdb_feature = feature, .gdb_type = type }
#define SELECTOR(text) VIEW(text, REGISTERS_GENERAL, 32, CORE, "int32", get_selector, set_selector)
#define ST(n) VIEW("st" #n, REGISTERS_FLOAT, 80, CORE, "i387_ext", get_st, set_st)
#define X87(text) VIEW(text, REGISTERS_FLOAT, 32, CORE, "int", get_x87, set_x87)
#define XMM(n)                                                                                     \
    { "xmm" #n, REGISTERS_FLOAT, 128, offsetof(X86Cpu, xmm[n][0]), .flags = TARGET_REGISTER_DERIVED, \
      .gdb_feature = SSE, .gdb_type = "vec128" }
/* The high half of a ymm register. */
#define YMM(n)                                                                                     \
    { "ymm" #n "h", REGISTERS_FLOAT, 128, offsetof(X86Cpu, xmm[n][1]), .flags = TARGET_REGISTER_DERIVED, \
      .gdb_feature = AVX, .gdb_type = "uint128", .present = has_avx }
#define OF_AVX512(text, width, type, member)                                                       \
    { text, REGISTERS_FLOAT, width, offsetof(X86Cpu, avx512.member), .flags = TARGET_REGISTER_DERIVED, \
      .gdb_feature = AVX512, .gdb_type = type, .present = has_avx512 }
#define MASK(n) OF_AVX512("k" #n, 64, "uint64", mask[n])
#define ZMM(n) OF_AVX512("zmm" #n "h", 256, "v2ui128", high[n])
/* Of vectors 16 to 31: all three parts. */
#define MORE(n)                                                                                    \
    OF_AVX512("xmm" #n, 128, "vec128", more[n - 16][0]), OF_AVX512("ymm" #n "h", 128, "uint128", more[n - 16][1]), \
        OF_AVX512("zmm" #n "h", 256, "v2ui128", more[n - 16][2])
/* Fields that are the register; gdb has no feature of its own for them. */
#define FIELD(text, msr, member)                                                                   \
    { text, REGISTERS_SYSTEM, 64, offsetof(X86Cpu, member), .gdb_feature = SYSTEM_FEATURE, .accelerator_id = msr }
/* Fields that the rest of the state has already. */
#define SHOWN(text, msr, member)                                                                   \
    { text, REGISTERS_SYSTEM, 64, offsetof(X86Cpu, member), .flags = TARGET_REGISTER_DERIVED, \
      .gdb_feature = SYSTEM_FEATURE, .accelerator_id = msr }
#define MTRR_PAIR(n)                                                                               \
    SHOWN("mtrr_phys_base" #n, 0x200 + 2 * (n), mtrr_variable[2 * (n)]),                           \
        SHOWN("mtrr_phys_mask" #n, 0x201 + 2 * (n), mtrr_variable[2 * (n) + 1])
#define MSR_VIEW(text, msr)                                                                        \
    { text, REGISTERS_SYSTEM, 64, .get = get_msr, .set = set_msr, .flags = TARGET_REGISTER_DERIVED, \
      .gdb_feature = SYSTEM_FEATURE, .accelerator_id = msr }
#define SEGMENT_BASE(text)                                                                         \
    { text "_base", REGISTERS_SYSTEM, 64, .get = get_base, .set = set_base, .flags = TARGET_REGISTER_DERIVED, \
      .gdb_feature = SYSTEM_FEATURE }
#define BASE(text, msr)                                                                            \
    { text, REGISTERS_SYSTEM, 64, .get = get_base, .set = set_base, .flags = TARGET_REGISTER_DERIVED, \
      .gdb_feature = SEGMENTS, .gdb_type = "int", .accelerator_id = msr }

#define FLOATS                                                                                     \
    ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7), X87("fctrl"), X87("fstat"), X87("ftag"), X87("fiseg"), \
    X87("fioff"), X87("foseg"), X87("fooff"), X87("fop")
#define MXCSR                                                                                      \
    { "mxcsr", REGISTERS_FLOAT, 32, .get = get_mxcsr, .set = set_mxcsr, .gdb_feature = SSE, .gdb_type = "i386_mxcsr" }
#define SYSTEM                                                                                     \
    SEGMENT_BASE("cs"), SEGMENT_BASE("ss"), SEGMENT_BASE("ds"), SEGMENT_BASE("es"),                \
    FIELD("cr0", 0, cr0), FIELD("cr2", 0, cr2), FIELD("cr3", 0, cr3), FIELD("cr4", 0, cr4),        \
    { "cr8", REGISTERS_SYSTEM, 64, .get = get_cr8, .flags = TARGET_REGISTER_READONLY, .gdb_feature = SYSTEM_FEATURE }, \
    FIELD("dr0", 0, dr[0]), FIELD("dr1", 0, dr[1]), FIELD("dr2", 0, dr[2]), FIELD("dr3", 0, dr[3]), \
    FIELD("dr6", 0, dr[6]), FIELD("dr7", 0, dr[7]), FIELD("xcr0", 0, xcr0),                        \
    FIELD("efer", 0xc0000080, efer), FIELD("star", 0xc0000081, star), FIELD("lstar", 0xc0000082, lstar), \
    FIELD("cstar", 0xc0000083, cstar), FIELD("sfmask", 0xc0000084, sfmask),                        \
    FIELD("kernel_gs_base", 0xc0000102, kernel_gs_base), FIELD("tsc_aux", 0xc0000103, tsc_aux),    \
    FIELD("sysenter_cs", 0x174, sysenter_cs), FIELD("sysenter_esp", 0x175, sysenter_esp),          \
    FIELD("sysenter_eip", 0x176, sysenter_eip), FIELD("pat", 0x277, pat),                          \
    FIELD("misc_enable", MSR_MISC_ENABLE, misc_enable), FIELD("debugctl", 0x1d9, debugctl),        \
    MTRR_PAIR(0), MTRR_PAIR(1), MTRR_PAIR(2), MTRR_PAIR(3), MTRR_PAIR(4), MTRR_PAIR(5), MTRR_PAIR(6), MTRR_PAIR(7), \
    SHOWN("mtrr_fix64k_00000", 0x250, mtrr_fixed[0]), SHOWN("mtrr_fix16k_80000", 0x258, mtrr_fixed[1]), \
    SHOWN("mtrr_fix16k_a0000", 0x259, mtrr_fixed[2]), SHOWN("mtrr_fix4k_c0000", 0x268, mtrr_fixed[3]), \
    SHOWN("mtrr_fix4k_c8000", 0x269, mtrr_fixed[4]), SHOWN("mtrr_fix4k_d0000", 0x26a, mtrr_fixed[5]), \
    SHOWN("mtrr_fix4k_d8000", 0x26b, mtrr_fixed[6]), SHOWN("mtrr_fix4k_e0000", 0x26c, mtrr_fixed[7]), \
    SHOWN("mtrr_fix4k_e8000", 0x26d, mtrr_fixed[8]), SHOWN("mtrr_fix4k_f0000", 0x26e, mtrr_fixed[9]), \
    SHOWN("mtrr_fix4k_f8000", 0x26f, mtrr_fixed[10]), SHOWN("tsc_adjust", 0x3b, tsc_adjust),       \
    FIELD("mtrr_def_type", 0x2ff, mtrr_default), FIELD("mcg_status", 0x17a, mcg_status),           \
    FIELD("mcg_ctl", 0x17b, mcg_control), FIELD("spec_ctrl", 0x48, spec_ctrl), FIELD("xss", 0xda0, xss), \
    FIELD("syscfg", 0xc0010010, syscfg), FIELD("hwcr", 0xc0010015, hwcr),                          \
    MSR_VIEW("tsc", MSR_TSC), MSR_VIEW("apic_base", 0x1b), MSR_VIEW("tsc_deadline", 0x6e0)

const TargetRegister x86_64_registers[] = {
    GPR("rax", X86_RAX, 64, "int64"), GPR("rbx", X86_RBX, 64, "int64"), GPR("rcx", X86_RCX, 64, "int64"),
    GPR("rdx", X86_RDX, 64, "int64"), GPR("rsi", X86_RSI, 64, "int64"), GPR("rdi", X86_RDI, 64, "int64"),
    GPR("rbp", X86_RBP, 64, "data_ptr"), GPR("rsp", X86_RSP, 64, "data_ptr"),
    GPR("r8", 8, 64, "int64"), GPR("r9", 9, 64, "int64"), GPR("r10", 10, 64, "int64"), GPR("r11", 11, 64, "int64"),
    GPR("r12", 12, 64, "int64"), GPR("r13", 13, 64, "int64"), GPR("r14", 14, 64, "int64"), GPR("r15", 15, 64, "int64"),
    VIEW("rip", REGISTERS_GENERAL, 64, CORE, "code_ptr", get_rip, set_rip),
    VIEW("eflags", REGISTERS_GENERAL, 32, CORE, "i386_eflags", get_eflags, set_eflags),
    SELECTOR("cs"), SELECTOR("ss"), SELECTOR("ds"), SELECTOR("es"), SELECTOR("fs"), SELECTOR("gs"),
    FLOATS,
    XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7), XMM(8), XMM(9), XMM(10), XMM(11), XMM(12),
    XMM(13), XMM(14), XMM(15), MXCSR,
    YMM(0), YMM(1), YMM(2), YMM(3), YMM(4), YMM(5), YMM(6), YMM(7), YMM(8), YMM(9), YMM(10), YMM(11), YMM(12),
    YMM(13), YMM(14), YMM(15),
    BASE("fs_base", MSR_FS_BASE), BASE("gs_base", MSR_GS_BASE),
    SYSTEM,
    MASK(0), MASK(1), MASK(2), MASK(3), MASK(4), MASK(5), MASK(6), MASK(7),
    ZMM(0), ZMM(1), ZMM(2), ZMM(3), ZMM(4), ZMM(5), ZMM(6), ZMM(7), ZMM(8), ZMM(9), ZMM(10), ZMM(11), ZMM(12),
    ZMM(13), ZMM(14), ZMM(15),
    MORE(16), MORE(17), MORE(18), MORE(19), MORE(20), MORE(21), MORE(22), MORE(23), MORE(24), MORE(25), MORE(26),
    MORE(27), MORE(28), MORE(29), MORE(30), MORE(31),
    { 0 },
};

const TargetRegister x86_i386_registers[] = {
    GPR("eax", X86_RAX, 32, "int"), GPR("ecx", X86_RCX, 32, "int"), GPR("edx", X86_RDX, 32, "int"),
    GPR("ebx", X86_RBX, 32, "int"), GPR("esp", X86_RSP, 32, "data_ptr"), GPR("ebp", X86_RBP, 32, "data_ptr"),
    GPR("esi", X86_RSI, 32, "int"), GPR("edi", X86_RDI, 32, "int"),
    VIEW("eip", REGISTERS_GENERAL, 32, CORE, "code_ptr", get_eip, set_eip),
    VIEW("eflags", REGISTERS_GENERAL, 32, CORE, "i386_eflags", get_eflags, set_eflags),
    SELECTOR("cs"), SELECTOR("ss"), SELECTOR("ds"), SELECTOR("es"), SELECTOR("fs"), SELECTOR("gs"),
    FLOATS,
    XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7), MXCSR,
    YMM(0), YMM(1), YMM(2), YMM(3), YMM(4), YMM(5), YMM(6), YMM(7),
    SEGMENT_BASE("fs"), SEGMENT_BASE("gs"), SYSTEM,
    MASK(0), MASK(1), MASK(2), MASK(3), MASK(4), MASK(5), MASK(6), MASK(7),
    ZMM(0), ZMM(1), ZMM(2), ZMM(3), ZMM(4), ZMM(5), ZMM(6), ZMM(7),
    { 0 },
};

/* The rest of the state. */

static const StateField segment_fields[] = {
    STATE(X86Segment, selector), STATE(X86Segment, limit), STATE(X86Segment, flags), STATE(X86Segment, base),
    STATE_DERIVED(X86Segment, fast_limit), { 0 },
};

static const StateField table_fields[] = {
    STATE(X86TableRegister, base), STATE(X86TableRegister, limit), { 0 },
};

static const StateField x87_register_fields[] = {
    STATE(X87Register, significand), STATE(X87Register, sign_exponent), STATE_DERIVED(X87Register, pad), { 0 },
};

static const StateField x87_fields[] = {
    STATE_STRUCTS(X87State, st, x87_register_fields),
    STATE(X87State, control), STATE(X87State, status), STATE_MOST(X87State, top, 7), STATE(X87State, valid),
    STATE(X87State, opcode), STATE(X87State, cs), STATE(X87State, ds), STATE(X87State, fip), STATE(X87State, fdp),
    { 0 },
};
/* clang-format on */

/* The linear address: where the segment of code is does not matter for it. */
static uint64_t get_linear_pc(const void *instance)
{
    return tcg_pc(&((const X86Cpu *)instance)->tcg);
}

static void set_linear_pc(void *instance, uint64_t value)
{
    tcg_set_pc(&((X86Cpu *)instance)->tcg, value);
}

static const StateField svm_fields[] = {
    STATE(X86Svm, guest),
    STATE(X86Svm, gif),
    STATE(X86Svm, nested_paging),
    STATE(X86Svm, host_if),
    STATE(X86Svm, asid),
    STATE(X86Svm, intercepts),
    STATE(X86Svm, vmcb),
    STATE(X86Svm, hsave),
    STATE(X86Svm, vm_cr),
    STATE(X86Svm, io_map),
    STATE(X86Svm, msr_map),
    STATE(X86Svm, tsc_offset),
    STATE(X86Svm, nested_cr3),
    STATE(X86Svm, host_cr4),
    STATE(X86Svm, host_efer),
    STATE(X86Svm, virtual_interrupt),
    STATE(X86Svm, event),
    STATE(X86Svm, own_branches),
    { 0 },
};

const StateField x86_state[] = {
    STATE_VALUE("pc", get_linear_pc, set_linear_pc),
    STATE_STRUCTS(X86Cpu, seg, segment_fields),
    STATE_STRUCT(X86Cpu, ldtr, segment_fields),
    STATE_STRUCT(X86Cpu, tr, segment_fields),
    STATE_STRUCT(X86Cpu, gdtr, table_fields),
    STATE_STRUCT(X86Cpu, idtr, table_fields),
    STATE_STRUCT(X86Cpu, x87, x87_fields),
    STATE_ARRAY(X86Cpu, xmm, uint64_t),
    STATE(X86Cpu, avx512.mask),
    STATE_ARRAY(X86Cpu, avx512.high, uint64_t),
    STATE_ARRAY(X86Cpu, avx512.more, uint64_t),
    STATE(X86Cpu, eflags),
    STATE(X86Cpu, flags),
    STATE(X86Cpu, df),
    STATE(X86Cpu, irq_waiting),
    STATE(X86Cpu, shadow),
    STATE_DERIVED(X86Cpu, x87_noted),
    STATE(X86Cpu, tsc_offset),
    STATE(X86Cpu, tsc_adjust),
    STATE(X86Cpu, smbase),
    STATE(X86Cpu, mtrr_fixed),
    STATE(X86Cpu, mtrr_variable),
    STATE(X86Cpu, mc_banks),
    STATE(X86Cpu, last_branch),
    STATE(X86Cpu, pdpte),
    STATE_MOST(X86Cpu, cpl, 3),
    STATE(X86Cpu, smm),
    STATE(X86Cpu, nmi_blocked),
    STATE(X86Cpu, nmi_blocked_before_smm),
    STATE(X86Cpu, a20),
    STATE(X86Cpu, wait_for_sipi),
    STATE(X86Cpu, delivering),
    STATE(X86Cpu, delivering_vector),
    STATE(X86Cpu, shut_down),
    STATE(X86Cpu, ferr_raised),
    STATE(X86Cpu, pending_debug),
    STATE(X86Cpu, alone),
    STATE(X86Cpu, pkru),
    STATE(X86Cpu, pkrs),
    STATE_STRUCT(X86Cpu, svm, svm_fields),
    STATE(X86Cpu, tcg.insn_count),
    STATE_DERIVED(X86Cpu, step_settled), /* within an instruction */
    STATE_DERIVED(X86Cpu, step_from),
    STATE_DERIVED(X86Cpu, step_next),
    STATE_DERIVED(X86Cpu, resume_loaded),
    STATE_DERIVED(X86Cpu, delivering_external),
    STATE_DERIVED(X86Cpu, vcpu),
    STATE_DERIVED(X86Cpu, ferr),         /* wiring */
    STATE_DERIVED(X86Cpu, mxcsr_raised), /* within an instruction */
    STATE_DERIVED(X86Cpu, mxcsr),        /* a register; the run time has its sticky flags */
    STATE_DERIVED(X86Cpu, mode),
    STATE_DERIVED(X86Cpu, fault), /* between a walk and its exception */
    STATE_DERIVED(X86Cpu, tcg),
    { 0 },
};

/* A snapshot may have anything: what is no register of any processor must at least do no harm. */
void x86_state_loaded(Vcpu *vcpu)
{
    X86Cpu *cpu = x86_cpu(vcpu);

    cpu->fault = (X86Fault){ 0 };
    cpu->step_settled = cpu->resume_loaded = false;
    cpu->df = cpu->df < 0 ? -1 : 1;
    cpu->eflags = (cpu->eflags & UINT32_MAX & ~(uint64_t)(EFLAGS_STATUS | EFLAGS_DF)) | EFLAGS_ONE;
    cpu->irq_waiting = cpu->irq_waiting != 0;
    cpu->shadow = MIN(cpu->shadow, X86_SHADOW_STACK);
    if (!x86_has(cpu, X86_FEATURE_SVM)) {
        cpu->svm = (X86Svm){ .gif = true };
    }
    cpu->svm.asid %= X86_SVM_ASIDS;
    cpu->cr0 &= UINT32_MAX;
    cpu->xcr0 = (cpu->xcr0 & x86_xcr0_mask(cpu)) | XCR0_X87;
    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        X86Segment s = cpu->seg[i];

        x86_set_segment(cpu, (X86SegmentName)i, s.selector, s.base, s.limit, s.flags);
    }
    vcpu_set_secure(vcpu, cpu->smm);
    x86_flush_translations(cpu, true);
    x86_update_context(cpu);
    x86_request_exit(cpu);
}

static const char *msr_name(unsigned index)
{
    const TargetRegister *reg = &x86_64_registers[index];

    return reg->accelerator_id ? reg->name : reg->name ? "" : NULL;
}

static const EventNames msr_names = { DEBUG_REGISTER, { "x86_64", "i386" }, msr_name, 0 };
EVENT_NAMES(msr_names);
