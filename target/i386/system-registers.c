/* SPDX-License-Identifier: MIT */
/* Instructions that read and write control, debug and model-specific registers. */
#include "machine/debug.h"
#include "machine/event-names.h"
#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/mmu.h"
#include "target/i386/svm.h"
#include "target/i386/translate.h"

/* Control and debug registers. */

static const char *const control_names[] = { "cr0", "cr1", "cr2", "cr3", "cr4",
                                             "cr5", "cr6", "cr7", "cr8" };

static const char *control_name(unsigned index)
{
    return index < ARRAY_SIZE(control_names) ? control_names[index] : NULL;
}

static const EventNames control_event_names = {
    DEBUG_REGISTER, { "x86_64", "i386" }, control_name, 0
};
EVENT_NAMES(control_event_names);

static void report_register(X86Cpu *cpu, bool write, const char *name, uint64_t number,
                            uint64_t value)
{
    debug_report(cpu->vcpu.machine, &cpu->vcpu,
                 &(DebugEvent){ .kind = DEBUG_REGISTER,
                                .write = write,
                                .name = name,
                                .number = number,
                                .value = value });
}

static uint64_t helper_get_cr(TcgState *env, uint32_t n)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint64_t value = x86_get_cr(cpu, n);

    if (debug_wants(cpu->vcpu.machine, DEBUG_REGISTER)) {
        report_register(cpu, false, control_names[n], n, value);
    }
    return value;
}
X86_HELPER(get_cr, IR_I64, X86_HELPER_FAULTING, IR_I32);

static void helper_set_cr(TcgState *env, uint32_t n, uint64_t value)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    bool paging = cpu->cr0 & CR0_PG;

    x86_set_cr(cpu, n, x86_code64(cpu) ? value : (uint32_t)value);
    if (debug_wants(cpu->vcpu.machine, DEBUG_REGISTER)) {
        report_register(cpu, true, control_names[n], n, value);
    }
    if (debug_wants(cpu->vcpu.machine, DEBUG_PAGING) && cpu->cr0 & CR0_PG && (n == 3 || !paging)) {
        debug_report(cpu->vcpu.machine, &cpu->vcpu,
                     &(DebugEvent){ .kind = DEBUG_PAGING, .value = cpu->cr3 });
    }
}
X86_HELPER(set_cr, IR_VOID, X86_HELPER_SYSTEM, IR_I32, IR_I64);

/* AMD: LOCK MOV CR0 is CR8. */
static bool control_register(const X86Translator *t, unsigned *n)
{
    if (t->insn.lock && (*n != 0 || !x86_has(t->cpu, X86_FEATURE_CR8LEGACY))) {
        return false;
    }
    *n |= t->insn.lock ? 8 : 0;
    return *n == 0 || *n == 2 || *n == 3 || *n == 4 || (*n == 8 && x86_has(t->cpu, X86_FEATURE_LM));
}

X86(mov_from_cr, "0F 20 /r", "Ry Cs", "MOD3 LOCK")
void x86_mov_from_cr(X86Translator *t)
{
    unsigned n = t->insn.operands[1].reg, bytes = x86_is_code64(t) ? 8 : 4;
    IrRef value;

    if (!control_register(t, &n)) {
        x86_undefined(t);
    } else if (!x86_not_privileged(t)) {
        x86_svm_intercept_move(t, SVM_EXIT_READ_CR + n, t->insn.operands[0].reg);
        value = x86_call(t, &call_get_cr, x86_const(t, 4, n), 0, 0, 0);
        x86_set_reg(t, t->insn.operands[0].reg, bytes, x86_from64(t, bytes, value));
    }
}

X86(mov_to_cr, "0F 22 /r", "Cs Ry", "MOD3 LOCK")
void x86_mov_to_cr(X86Translator *t)
{
    unsigned n = t->insn.operands[0].reg, gpr = t->insn.operands[1].reg;
    IrRef value;

    if (!control_register(t, &n)) {
        x86_undefined(t);
    } else if (!x86_not_privileged(t)) {
        value = x86_get_reg64(t, gpr);
        if (n == 0) {
            x86_svm_intercept_cr0(t, value, gpr);
        } else {
            x86_svm_intercept_move(t, SVM_EXIT_WRITE_CR + n, gpr);
        }
        x86_call(t, &call_set_cr, x86_const(t, 4, n), value, 0, 0);
        x86_dispatch_next(t);
    }
}

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE says otherwise. With DR7.GD any access is a debug exception. */
static void helper_check_dr(TcgState *env, uint32_t n)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    if ((n == 4 || n == 5) && (cpu->cr4 & CR4_DE)) {
        x86_fault(cpu, X86_UD, 0);
    }
    if (cpu->dr[7] & DR7_GD) {
        cpu->dr[7] &= ~DR7_GD;
        cpu->dr[6] |= DR6_BD;
        /* A fault: RF is pushed set, as for no other #DB. The handler has it clear. */
        cpu->eflags |= EFLAGS_RF;
        x86_fault(cpu, X86_DB, 0);
    }
}
X86_HELPER(check_dr, IR_VOID, X86_HELPER_FAULTING, IR_I32);

static uint64_t helper_get_dr(TcgState *env, uint32_t n)
{
    return x86_cpu_of_env(env)->dr[n];
}
X86_HELPER(get_dr, IR_I64, X86_HELPER_FAULTING, IR_I32);

static void helper_set_dr(TcgState *env, uint32_t n, uint64_t value)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    x86_set_dr(cpu, n, x86_code64(cpu) ? value : (uint32_t)value);
}
X86_HELPER(set_dr, IR_VOID, X86_HELPER_SYSTEM, IR_I32, IR_I64);

/* Exceptions come before intercepts. false: the instruction is one already. */
static bool may_access_dr(X86Translator *t, unsigned n)
{
    if (n > 7) {
        x86_undefined(t);
        return false;
    }
    if (x86_not_privileged(t)) {
        return false;
    }
    x86_call(t, &call_check_dr, x86_const(t, 4, n), 0, 0, 0);
    return true;
}

static unsigned dr_alias(unsigned n)
{
    return n == 4 || n == 5 ? n + 2 : n;
}

X86(mov_from_dr, "0F 21 /r", "Ry Ds", "MOD3")
void x86_mov_from_dr(X86Translator *t)
{
    unsigned n = t->insn.operands[1].reg, bytes = x86_is_code64(t) ? 8 : 4;
    IrRef value;

    if (may_access_dr(t, n)) {
        x86_svm_intercept_move(t, SVM_EXIT_READ_DR + n, t->insn.operands[0].reg);
        value = x86_call(t, &call_get_dr, x86_const(t, 4, dr_alias(n)), 0, 0, 0);
        x86_set_reg(t, t->insn.operands[0].reg, bytes, x86_from64(t, bytes, value));
    }
}

X86(mov_to_dr, "0F 23 /r", "Ds Ry", "MOD3")
void x86_mov_to_dr(X86Translator *t)
{
    unsigned n = t->insn.operands[0].reg;

    if (may_access_dr(t, n)) {
        x86_svm_intercept_move(t, SVM_EXIT_WRITE_DR + n, t->insn.operands[1].reg);
        x86_call(t, &call_set_dr, x86_const(t, 4, dr_alias(n)),
                 x86_get_reg64(t, t->insn.operands[1].reg), 0, 0);
        x86_dispatch_next(t);
    }
}

static void helper_clts(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    cpu->cr0 &= ~CR0_TS;
    x86_update_mode(cpu);
}
X86_HELPER(clts, IR_VOID, X86_HELPER_SYSTEM);

X86(clts, "0F 06")
void x86_clts(X86Translator *t)
{
    if (!x86_not_privileged(t)) {
        x86_call(t, &call_clts, 0, 0, 0, 0);
        x86_dispatch_next(t);
    }
}

/* UMIP makes these fault outside CPL 0. */
bool x86_is_hidden(X86Translator *t)
{
    return (t->mode & X86_MODE_UMIP) && x86_not_privileged(t);
}

void x86_store_word(X86Translator *t, IrRef value)
{
    const X86Operand *o = &t->insn.operands[0];

    if (o->memory) {
        IrRef address = x86_address(t, 2, true);

        x86_store(t, 2, address, t->address_imm, value);
    } else {
        x86_set_reg(t, o->reg, o->bytes, x86_from64(t, o->bytes, value));
    }
}

X86(smsw, "0F 01 /4", "Ev")
void x86_smsw(X86Translator *t)
{
    if (!x86_is_hidden(t)) {
        x86_store_word(t, x86_call(t, &call_get_cr, x86_const(t, 4, 0), 0, 0, 0));
    }
}

static void helper_lmsw(TcgState *env, uint64_t value)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    /* PE can be set but not cleared. */
    x86_set_cr(cpu, 0, (cpu->cr0 & ~UINT64_C(0xe)) | (value & 0xf));
}
X86_HELPER(lmsw, IR_VOID, X86_HELPER_SYSTEM, IR_I64);

X86(lmsw, "0F 01 /6", "Ew")
void x86_lmsw(X86Translator *t)
{
    if (!x86_not_privileged(t)) {
        x86_call(t, &call_lmsw, x86_read(t, 0), 0, 0, 0);
        x86_dispatch_next(t);
    }
}

/* Model-specific registers. */

static void report_msr(X86Cpu *cpu, bool write, uint32_t index, uint64_t value)
{
    const char *name = NULL;

    for (const TargetRegister *reg = cpu->vcpu.target->registers; reg->name && !name; reg++) {
        name = index && reg->accelerator_id == index ? reg->name : NULL;
    }
    report_register(cpu, write, name, index, value);
}

static void helper_rdmsr(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint64_t value;

    if (!x86_read_msr(cpu, (uint32_t)cpu->gpr[X86_RCX], &value)) {
        x86_fault(cpu, X86_GP, 0);
    }
    cpu->gpr[X86_RAX] = (uint32_t)value;
    cpu->gpr[X86_RDX] = value >> 32;
    if (debug_wants(cpu->vcpu.machine, DEBUG_REGISTER)) {
        report_msr(cpu, false, (uint32_t)cpu->gpr[X86_RCX], value);
    }
}
X86_HELPER(rdmsr, IR_VOID, X86_HELPER_SYSTEM);

X86(rdmsr, "0F 32", "", "MSR")
void x86_rdmsr(X86Translator *t)
{
    if (!x86_not_privileged(t)) {
        x86_svm_intercept_msr(t, false);
        x86_call(t, &call_rdmsr, 0, 0, 0, 0);
    }
}

static void helper_wrmsr(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    uint64_t value = (uint32_t)cpu->gpr[X86_RAX] | cpu->gpr[X86_RDX] << 32;

    if (!x86_write_msr(cpu, (uint32_t)cpu->gpr[X86_RCX], value)) {
        x86_fault(cpu, X86_GP, 0);
    }
    if (debug_wants(cpu->vcpu.machine, DEBUG_REGISTER)) {
        report_msr(cpu, true, (uint32_t)cpu->gpr[X86_RCX], value);
    }
}
X86_HELPER(wrmsr, IR_VOID, X86_HELPER_SYSTEM);

X86(wrmsr, "0F 30", "", "MSR")
void x86_wrmsr(X86Translator *t)
{
    if (!x86_not_privileged(t)) {
        x86_svm_intercept_msr(t, true);
        x86_call(t, &call_wrmsr, 0, 0, 0, 0);
        x86_dispatch_next(t);
    }
}
