/* SPDX-License-Identifier: MIT */
/* System instructions: control, debug and model-specific registers, ports, interrupts, caches, mode switches. */
#include <sched.h>

#include "machine/icount.h"
#include "machine/random.h"
#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/io.h"
#include "target/i386/mmu.h"
#include "target/i386/segment.h"
#include "target/i386/svm.h"
#include "target/i386/translate.h"

/* Ports. */

static void helper_check_io(TcgState *env, uint64_t port, uint32_t bytes)
{
    x86_check_io_permission(x86_cpu_of_env(env), (uint16_t)port, bytes);
}
X86_HELPER(check_io, IR_VOID, X86_HELPER_FAULTING, IR_I64, IR_I32);

void x86_check_io(X86Translator *t, IrRef port, unsigned bytes)
{
    if ((t->mode & X86_MODE_VM86) ||
        ((t->mode & X86_MODE_PROTECTED) && !(t->mode & X86_MODE_IOPL))) {
        x86_call(t, &call_check_io, port, x86_const(t, 4, bytes), 0, 0);
    }
    x86_svm_intercept_io(t, port, bytes);
}

static uint32_t helper_in(TcgState *env, uint64_t port, uint32_t bytes)
{
    tcg_begin_device_access(env);
    return x86_io_read(x86_cpu_of_env(env), (uint16_t)port, bytes);
}
X86_HELPER(in, IR_I32, X86_HELPER_FAULTING, IR_I64, IR_I32);

static void helper_out(TcgState *env, uint64_t port, uint32_t value, uint32_t bytes)
{
    tcg_begin_device_access(env);
    x86_io_write(x86_cpu_of_env(env), (uint16_t)port, value, bytes);
}
X86_HELPER(out, IR_VOID, X86_HELPER_FAULTING, IR_I64, IR_I32, IR_I32);

/* Accesses of 32 bits may be calls by registers (VMware's back door): machine/arch/x86.h. */

static uint32_t helper_in_long(TcgState *env, uint64_t port)
{
    tcg_begin_device_access(env);
    return x86_io_read(x86_cpu_of_env(env), (uint16_t)port, 4);
}
X86_HELPER(in_long, IR_I32, X86_HELPER_SYSTEM, IR_I64);

static void helper_out_long(TcgState *env, uint64_t port, uint32_t value)
{
    tcg_begin_device_access(env);
    x86_io_write(x86_cpu_of_env(env), (uint16_t)port, value, 4);
}
X86_HELPER(out_long, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32);

static IrRef port_of(X86Translator *t, unsigned n)
{
    const X86Operand *o = &t->insn.operands[n];

    return o->kind == X86_OPERAND_I ? ir_const(t->unit, IR_I64, (uint8_t)o->imm)
                                    : x86_get_reg64(t, X86_RDX);
}

X86(in, "E4", "AL Ib")
X86(in, "E5", "zAX Ib")
X86(in, "EC", "AL DX")
X86(in, "ED", "zAX DX")
void x86_in(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0);
    IrRef port = port_of(t, 1), value;

    x86_check_io(t, port, bytes);
    if (bytes == 4) {
        x86_write(t, 0, x86_call(t, &call_in_long, port, 0, 0, 0));
        return;
    }
    value = x86_call(t, &call_in, port, x86_const(t, 4, bytes), 0, 0);
    x86_write(t, 0, x86_zext(t, 4, value));
}

X86(out, "E6", "Ib AL")
X86(out, "E7", "Ib zAX")
X86(out, "EE", "DX AL")
X86(out, "EF", "DX zAX")
void x86_out(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 1);
    IrRef port = port_of(t, 0), value = x86_from64(t, 4, x86_get_reg64(t, X86_RAX));

    x86_check_io(t, port, bytes);
    if (bytes == 4) {
        x86_call(t, &call_out_long, port, value, 0, 0);
    } else {
        x86_call(t, &call_out, port, value, x86_const(t, 4, bytes), 0);
    }
    /* What it has changed counts for the next instruction: an interrupt of the chipset's, or the A20 gate. */
    x86_goto(t, t->next);
}

/* Interrupt flag. CLI and STI are inline; what waits for IF is asked for when it is set. */

static bool flag_is_trapped(const X86Translator *t)
{
    return (t->mode & (X86_MODE_PROTECTED | X86_MODE_VM86)) && !(t->mode & X86_MODE_IOPL);
}

/* VME and PVI: CLI and STI change VIF in place of IF. */
static void helper_set_vif(TcgState *env, uint32_t set)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    if (set && (cpu->eflags & EFLAGS_VIP)) {
        x86_fault(cpu, X86_GP, 0);
    }
    x86_set_eflags(cpu, set ? EFLAGS_VIF : 0, EFLAGS_VIF);
}
X86_HELPER(set_vif, IR_VOID, X86_HELPER_SYSTEM, IR_I32);

static void trapped_flag(X86Translator *t, bool set)
{
    bool virtual_flag = (t->mode & X86_MODE_VM86) ? t->mode & X86_MODE_VME
                                                  : (t->mode & X86_MODE_PVI) && x86_cpl(t) == 3;

    if (virtual_flag) {
        x86_call(t, &call_set_vif, x86_const(t, 4, set), 0, 0, 0);
    } else {
        x86_raise(t, X86_GP);
    }
}

X86(cli, "FA")
void x86_cli(X86Translator *t)
{
    IrRef eflags;

    if (flag_is_trapped(t)) {
        trapped_flag(t, false);
        return;
    }
    eflags = ir_get(t->unit, X86_VAR_EFLAGS, IR_I64);
    ir_set(t->unit, X86_VAR_EFLAGS, IR_I64,
           ir_op2i(t->unit, IR_OP_and, IR_I64, eflags, ~(int64_t)EFLAGS_IF));
}

static void helper_look_for_interrupts(TcgState *env, uint64_t a, uint64_t b)
{
    x86_request_exit(x86_cpu_of_env(env));
}
X86_HELPER(look_for_interrupts, IR_VOID, HELPER_ENV | HELPER_EFFECT, IR_I64, IR_I64);

X86(sti, "FB")
void x86_sti(X86Translator *t)
{
    IrRef eflags, waiting, zero;

    if (flag_is_trapped(t)) {
        trapped_flag(t, true);
        return;
    }
    eflags = ir_get(t->unit, X86_VAR_EFLAGS, IR_I64);
    ir_set(t->unit, X86_VAR_EFLAGS, IR_I64, ir_op2i(t->unit, IR_OP_or, IR_I64, eflags, EFLAGS_IF));
    waiting = ir_get(t->unit, X86_VAR_IRQ_WAITING, IR_I64);
    zero = ir_const(t->unit, IR_I64, 0);
    x86_call_if(t, IR_NE, ir_flags(t->unit, IR_OP_andf, IR_I64, 3, 0, waiting, waiting, 0),
                &call_look_for_interrupts, zero, zero);
    t->shadow = true;
}

static void helper_hlt(TcgState *env, uint32_t length)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    tcg_set_pc(env, tcg_pc(env) + length);
    cpu->shadow = 0;
    cpu->vcpu.halt_deadline_ns = -1;
    atomic_store(&cpu->vcpu.halted, true);
    /* A trap behind the instruction ends the halt at once. */
    tcg_insn_done(env);
    x86_request_exit(cpu);
    tcg_unwind(env);
}
X86_HELPER(hlt, IR_VOID, X86_HELPER_SYSTEM | HELPER_NORETURN, IR_I32);

X86(hlt, "F4")
void x86_hlt(X86Translator *t)
{
    if (!x86_not_privileged(t)) {
        x86_call(t, &call_hlt, x86_const(t, 4, t->insn.length), 0, 0, 0);
        t->ended = true;
    }
}

static void helper_pause(TcgState *env)
{
    Vcpu *vcpu = &x86_cpu_of_env(env)->vcpu;

    if (icount_on(vcpu->machine)) {
        icount_yield(vcpu);
    } else if (vcpu->machine->vcpus->len > 1) {
        sched_yield();
    }
}
X86_HELPER(pause, IR_VOID, HELPER_ENV | HELPER_EFFECT);

/*
 * Interrupts are taken between units. A loop that gives a lock, waits and takes it again must not be one unit: who is preempted in it would have
 * the lock each time, and others on the same processor (a hypervisor's guests) would never get it.
 */
void x86_pause(X86Translator *t)
{
    x86_svm_intercept(t, SVM_EXIT_PAUSE, 0);
    x86_call(t, &call_pause, 0, 0, 0, 0);
    x86_dispatch_next(t);
}

/* Time and identification. */

static uint64_t helper_tsc(TcgState *env)
{
    return x86_read_tsc(x86_cpu_of_env(env));
}
X86_HELPER(tsc, IR_I64, HELPER_ENV | HELPER_READS | HELPER_EFFECT);

static bool read_tsc(X86Translator *t)
{
    IrRef tsc;

    if ((t->mode & X86_MODE_TSD) && x86_not_privileged(t)) {
        return false;
    }
    tsc = x86_call(t, &call_tsc, 0, 0, 0, 0);
    x86_set_reg64(t, X86_RAX, x86_zext(t, 4, x86_from64(t, 4, tsc)));
    x86_set_reg64(t, X86_RDX, ir_op2i(t->unit, IR_OP_shr, IR_I64, tsc, 32));
    return true;
}

X86(rdtsc, "0F 31", "", "TSC")
void x86_rdtsc(X86Translator *t)
{
    read_tsc(t);
}

X86(rdtscp, "0F 01 /7 rm=1", "", "RDTSCP")
void x86_rdtscp(X86Translator *t)
{
    if (read_tsc(t)) {
        IrRef aux = ir_get(t->unit, X86_VAR_TSC_AUX, IR_I64);

        x86_set_reg64(t, X86_RCX, x86_zext(t, 4, x86_from64(t, 4, aux)));
    }
}

X86(rdpid, "F3 0F C7 /7 reg", "Rv", "RDPID")
void x86_rdpid(X86Translator *t)
{
    x86_set_reg64(t, t->insn.operands[0].reg, ir_get(t->unit, X86_VAR_TSC_AUX, IR_I64));
}

/* No counters: RDPMC of any is refused. */
X86(rdpmc, "0F 33")
void x86_rdpmc(X86Translator *t)
{
    x86_raise(t, X86_GP);
}

static void helper_cpuid(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint32_t out[4];

    x86_cpuid(cpu, (uint32_t)cpu->gpr[X86_RAX], (uint32_t)cpu->gpr[X86_RCX], out);
    cpu->gpr[X86_RAX] = out[0];
    cpu->gpr[X86_RBX] = out[1];
    cpu->gpr[X86_RCX] = out[2];
    cpu->gpr[X86_RDX] = out[3];
}
X86_HELPER(cpuid, IR_VOID, X86_HELPER_SYSTEM);

X86(cpuid_instruction, "0F A2")
void x86_cpuid_instruction(X86Translator *t)
{
    x86_call(t, &call_cpuid, 0, 0, 0, 0);
}

/* Random numbers are always there: CF. */
static uint64_t helper_random(TcgState *env)
{
    return vcpu_random(&x86_cpu_of_env(env)->vcpu);
}
X86_HELPER(random, IR_I64, HELPER_ENV | HELPER_EFFECT);

static void random_number(X86Translator *t)
{
    unsigned bytes = x86_bytes(t, 0);

    x86_write(t, 0, x86_from64(t, bytes, x86_call(t, &call_random, 0, 0, 0, 0)));
    x86_set_flags(t, ir_fconst_x86(t->unit, EFLAGS_CF));
}

X86(rdrand, "NP 0F C7 /6 reg", "Rv", "RDRAND")
X86(rdrand, "66 0F C7 /6 reg", "Rv", "RDRAND")
void x86_rdrand(X86Translator *t)
{
    random_number(t);
}

X86(rdseed, "NP 0F C7 /7 reg", "Rv", "RDSEED")
X86(rdseed, "66 0F C7 /7 reg", "Rv", "RDSEED")
void x86_rdseed(X86Translator *t)
{
    random_number(t);
}

/* Caches and translations. */

static void helper_invlpg(TcgState *env, uint64_t address)
{
    x86_invalidate_page(x86_cpu_of_env(env), address);
}
X86_HELPER(invlpg, IR_VOID, X86_HELPER_SYSTEM, IR_I64);

X86(invlpg, "0F 01 /7 mem", "Ms")
void x86_invlpg(X86Translator *t)
{
    if (!x86_not_privileged(t)) {
        IrRef address = x86_effective_address(t);
        X86SegmentName segment = x86_segment(t);

        if (segment >= X86_FS || !x86_is_code64(t)) {
            address = ir_op2(t->unit, IR_OP_add, IR_I64, address,
                             ir_get(t->unit, X86_VAR_BASE + (unsigned)segment, IR_I64));
        }
        x86_svm_intercept(t, SVM_EXIT_INVLPG, address);
        x86_call(t, &call_invlpg, address, 0, 0, 0);
        x86_dispatch_next(t);
    }
}

static void helper_invpcid(TcgState *env, uint64_t type, uint64_t pcid, uint64_t address)
{
    x86_invalidate_pcid(x86_cpu_of_env(env), type, pcid, address);
}
X86_HELPER(invpcid, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I64, IR_I64);

X86(invpcid, "66 0F 38 82 /r mem", "Gy Mdq", "INVPCID")
void x86_invpcid(X86Translator *t)
{
    IrRef address, type, pcid, linear;

    if (x86_not_privileged(t)) {
        return;
    }
    type = x86_is_code64(t) ? x86_get_reg64(t, t->insn.operands[0].reg) : x86_read_zext(t, 0);
    address = x86_address_of_parts(t, 16, false);
    pcid = x86_load(t, 8, address, t->address_imm);
    linear = x86_load(t, 8, address, t->address_imm + 8);
    x86_call(t, &call_invpcid, type, pcid, linear, 0);
    x86_dispatch_next(t);
}

X86(wbinvd, "0F 08")
X86(wbinvd, "0F 09")
void x86_wbinvd(X86Translator *t)
{
    if (!x86_not_privileged(t)) {
        x86_svm_intercept(t, t->insn.opcode == 0x08 ? SVM_EXIT_INVD : SVM_EXIT_WBINVD, 0);
    }
}

/* Cache lines: nothing to do but the access check. */
X86(clflush, "NP 0F AE /7 mem", "Mb", "CLFLUSH")
X86(clflush, "66 0F AE /7 mem", "Mb", "CLFLUSHOPT")
X86(clflush, "66 0F AE /6 mem", "Mb", "CLWB")
X86(clflush, "0F 1C /0 mem", "Mb", "CLDEMOTE")
void x86_clflush(X86Translator *t)
{
    IrRef address = x86_address(t, 1, false);

    x86_load(t, 1, address, t->address_imm);
}

static void helper_clzero(TcgState *env, uint64_t address)
{
    address &= ~UINT64_C(63);
    for (unsigned i = 0; i < 64; i += 8) {
        tcg_store(env, address + i, 0, 8, 0);
    }
}
X86_HELPER(clzero, IR_VOID, X86_HELPER_FAULTING, IR_I64);

X86(clzero, "0F 01 /7 rm=4", "", "CLZERO")
void x86_clzero(X86Translator *t)
{
    IrRef offset = x86_get_reg64(t, X86_RAX);
    X86SegmentName segment = t->insn.segment >= 0 ? (X86SegmentName)t->insn.segment : X86_DS;
    int64_t imm = 0;

    if (t->insn.address_bytes != 8) {
        offset = x86_zext(t, t->insn.address_bytes, offset);
    }
    x86_call(t, &call_clzero, x86_linear(t, segment, offset, &imm, 1, true), 0, 0, 0);
}

X86(fence, "NP 0F AE /5 reg", "", "SSE2")
X86(fence, "NP 0F AE /6 reg", "", "SSE2")
X86(fence, "NP 0F AE /7 reg", "", "SSE")
void x86_fence(X86Translator *t)
{
    if (t->insn.reg == 6) {
        ir_emit(t->unit, (IrOp){ .opcode = IR_OP_fence });
    }
}

/* MONITOR and MWAIT: waiting is over at once, which the architecture allows, but like PAUSE lets others run. */
X86(monitor, "0F 01 /1 rm=0", "", "MONITOR")
void x86_monitor(X86Translator *t)
{
    if (!x86_not_privileged(t)) {
        IrRef offset = x86_get_reg64(t, X86_RAX);
        X86SegmentName segment = t->insn.segment >= 0 ? (X86SegmentName)t->insn.segment : X86_DS;
        int64_t imm = 0;

        if (t->insn.address_bytes != 8) {
            offset = x86_zext(t, t->insn.address_bytes, offset);
        }
        x86_load(t, 1, x86_linear(t, segment, offset, &imm, 1, false), imm);
    }
}

X86(mwait, "0F 01 /1 rm=1", "", "MONITOR")
void x86_mwait(X86Translator *t)
{
    if (!x86_not_privileged(t)) {
        x86_call(t, &call_pause, 0, 0, 0, 0);
        x86_dispatch_next(t);
    }
}

/* Fast system calls. Intel's processors have SYSCALL in 64-bit mode only, AMD's have SYSENTER in legacy mode only. */

static bool is_refused_by_intel(const X86Translator *t)
{
    return x86_vendor_is_intel(t->cpu) && !x86_is_code64(t);
}

static bool is_refused_by_amd(const X86Translator *t)
{
    return x86_vendor_is_amd(t->cpu) && (t->mode & X86_MODE_LONG);
}

static void helper_syscall(TcgState *env, uint32_t length)
{
    x86_syscall(x86_cpu_of_env(env), length);
}
X86_HELPER(syscall, IR_VOID, X86_HELPER_SYSTEM, IR_I32);

X86(syscall_instruction, "0F 05", "", "SYSCALL")
void x86_syscall_instruction(X86Translator *t)
{
    if (is_refused_by_intel(t)) {
        x86_undefined(t);
        return;
    }
    x86_call(t, &call_syscall, x86_const(t, 4, t->insn.length), 0, 0, 0);
    x86_dispatch_env(t);
}

static void helper_sysret(TcgState *env, uint32_t bytes)
{
    x86_sysret(x86_cpu_of_env(env), bytes);
}
X86_HELPER(sysret, IR_VOID, X86_HELPER_SYSTEM, IR_I32);

/* That EFER does not allow it is looked at first, before mode and privilege. */
X86(sysret_instruction, "0F 07", "", "SYSCALL")
void x86_sysret_instruction(X86Translator *t)
{
    if (is_refused_by_intel(t)) {
        x86_undefined(t);
        return;
    }
    x86_call(t, &call_sysret, x86_const(t, 4, t->insn.operand_bytes), 0, 0, 0);
    x86_dispatch_env(t);
}

static void helper_sysenter(TcgState *env)
{
    x86_sysenter(x86_cpu_of_env(env));
}
X86_HELPER(sysenter, IR_VOID, X86_HELPER_SYSTEM);

X86(sysenter_instruction, "0F 34", "", "SEP")
void x86_sysenter_instruction(X86Translator *t)
{
    if (is_refused_by_amd(t)) {
        x86_undefined(t);
        return;
    }
    x86_call(t, &call_sysenter, 0, 0, 0, 0);
    x86_dispatch_env(t);
}

static void helper_sysexit(TcgState *env, uint32_t bytes)
{
    x86_sysexit(x86_cpu_of_env(env), bytes);
}
X86_HELPER(sysexit, IR_VOID, X86_HELPER_SYSTEM, IR_I32);

X86(sysexit_instruction, "0F 35", "", "SEP")
void x86_sysexit_instruction(X86Translator *t)
{
    if (is_refused_by_amd(t)) {
        x86_undefined(t);
    } else if (!x86_not_privileged(t)) {
        x86_call(t, &call_sysexit, x86_const(t, 4, t->insn.operand_bytes), 0, 0, 0);
        x86_dispatch_env(t);
    }
}

/* SMAP, SMM. */

static void helper_set_ac(TcgState *env, uint32_t set)
{
    x86_set_eflags(x86_cpu_of_env(env), set ? EFLAGS_AC : 0, EFLAGS_AC);
}
X86_HELPER(set_ac, IR_VOID, X86_HELPER_SYSTEM, IR_I32);

static void set_ac(X86Translator *t, bool set)
{
    if (x86_cpl(t)) {
        x86_undefined(t);
    } else {
        x86_call(t, &call_set_ac, x86_const(t, 4, set), 0, 0, 0);
    }
}

X86(clac, "NP 0F 01 /1 rm=2", "", "SMAP PROT")
void x86_clac(X86Translator *t)
{
    set_ac(t, false);
}

X86(stac, "NP 0F 01 /1 rm=3", "", "SMAP PROT")
void x86_stac(X86Translator *t)
{
    set_ac(t, true);
}

static void helper_rsm(TcgState *env)
{
    x86_leave_smm(x86_cpu_of_env(env));
}
X86_HELPER(rsm, IR_VOID, X86_HELPER_SYSTEM);

X86(rsm, "0F AA")
void x86_rsm(X86Translator *t)
{
    if (t->mode & X86_MODE_SMM) {
        x86_call(t, &call_rsm, 0, 0, 0, 0);
        x86_dispatch_env(t);
    } else {
        x86_undefined(t);
    }
}
