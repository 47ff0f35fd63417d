/* SPDX-License-Identifier: MIT */
/* A64 access to PSTATE, to system registers and to system instructions (DDI 0487 C4.1, C5). */
#include "base/bits.h"
#include "base/log.h"
#include "machine/debug.h"
#include "machine/event-names.h"
#include "machine/random.h"
#include "target/arm/exception.h"
#include "target/arm/mmu.h"
#include "target/arm/sysregs.h"
#include "target/arm/translate.h"

/* ISS of a trapped MSR, MRS or system instruction. */
static uint32_t sysreg_iss(const A64Translator *t)
{
    uint32_t insn = t->insn;

    return (insn >> 19 & 3) << 20 | (insn >> 5 & 7) << 17 | (insn >> 16 & 7) << 14 |
           (insn >> 12 & 15) << 10 | (insn & 31) << 5 | (insn >> 8 & 15) << 1 | (insn >> 21 & 1);
}

static void raise_sysreg_trap(A64Translator *t)
{
    a64_raise(t, arm_esr(ARM_EC_SYSREG, sysreg_iss(t)));
}

static IrRef pointer(A64Translator *t, const void *p)
{
    return a64_const(t, IR_I64, (int64_t)(uintptr_t)p);
}

/* What a debugger is told of, in code that was translated while it wanted that. */

static void helper_tell(TcgState *env, uint64_t name, uint64_t value, uint32_t write)
{
    ArmCpu *cpu = arm_cpu_of_env(env);

    debug_report(cpu->vcpu.machine, &cpu->vcpu,
                 &(DebugEvent){ .kind = DEBUG_REGISTER,
                                .write = write,
                                .name = (const char *)(uintptr_t)name,
                                .value = value });
}

static const TcgHelper tell_helper = {
    .name = "tell_register",
    .function = (void *)helper_tell,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_FAULTS | HELPER_EFFECT,
    .arg_types = { IR_I64, IR_I64, IR_I32 },
};
TCG_HELPER(tell_helper);

static void tell(A64Translator *t, const char *name, IrRef value, bool write)
{
    if (t->mode & ARM_MODE_TELL) {
        a64_call(t, &tell_helper, pointer(t, name), value, a64_const(t, IR_I32, write), 0);
    }
}

/* PSTATE fields. */

static void helper_set_daif(TcgState *env, uint64_t daif)
{
    ArmCpu *cpu = arm_cpu_of_env(env);

    cpu->daif = daif;
    arm_check_interrupts(cpu);
}

/* As a writer of a variable it would make all others travel to memory; its callers set it, too. */
static const TcgHelper set_daif_helper = {
    .name = "set_daif",
    .function = (void *)helper_set_daif,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_EFFECT,
    .arg_types = { IR_I64 },
};
TCG_HELPER(set_daif_helper);

static void emit_set_daif(A64Translator *t, IrRef value)
{
    tell(t, "daif", value, true);
    a64_set_var(t, ARM_VAR_DAIF, IR_I64, value);
    a64_call(t, &set_daif_helper, value, 0, 0, 0);
    a64_goto(t, t->offset + 4);
}

typedef enum { PSTATE_SPSEL, PSTATE_PAN, PSTATE_UAO, PSTATE_SSBS } PstateField;

static void helper_set_pstate(TcgState *env, uint32_t field, uint32_t value)
{
    ArmCpu *cpu = arm_cpu_of_env(env);

    switch ((PstateField)field) {
    case PSTATE_SPSEL:
        arm_set_el(cpu, true, value);
        break;
    case PSTATE_PAN:
        cpu->pan = value;
        break;
    case PSTATE_UAO:
        cpu->uao = value;
        break;
    case PSTATE_SSBS:
        cpu->ssbs = value;
        break;
    }
    arm_update_mode(cpu);
    arm_update_context(cpu);
}

static const TcgHelper set_pstate_helper = {
    .name = "set_pstate",
    .function = (void *)helper_set_pstate,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_WRITES | HELPER_EFFECT,
    .arg_types = { IR_I32, IR_I32 },
};
TCG_HELPER(set_pstate_helper);

static void emit_set_pstate(A64Translator *t, PstateField field, IrRef value)
{
    static const char *const names[] = {
        [PSTATE_SPSEL] = "spsel", [PSTATE_PAN] = "pan", [PSTATE_UAO] = "uao", [PSTATE_SSBS] = "ssbs"
    };

    tell(t, names[field], a64_extend(t, IR_OP_zext, IR_I64, 2, value), true);
    a64_call(t, &set_pstate_helper, a64_const(t, IR_I32, field), value, 0, 0);
    a64_dispatch_next(t);
}

static bool emit_daif_immediate(A64Translator *t, unsigned op2, unsigned imm)
{
    IrRef daif;

    if (!(t->mode & ARM_MODE_UMA)) {
        raise_sysreg_trap(t);
        return true;
    }
    daif = a64_get_var(t, ARM_VAR_DAIF, IR_I64);
    if (op2 == 7) {
        emit_set_daif(t, a64_op2i(t, IR_OP_and, IR_I64, daif, ~(int64_t)(imm << 6)));
    } else {
        daif = a64_op2i(t, IR_OP_or, IR_I64, daif, imm << 6);
        if (imm & 8) {
            emit_set_daif(t, daif);
        } else {
            tell(t, "daif", daif, true);
            a64_set_var(t, ARM_VAR_DAIF, IR_I64, daif);
        }
    }
    return true;
}

INSTRUCTION(msr_imm, "1101010100000 op1:3 0100 crm:4 op2:3 11111")
static bool translate_msr_imm(A64Translator *t, const A64Fields *f)
{
    unsigned op = f->op1 << 3 | f->op2;
    bool el1 = t->mode & ARM_MODE_EL1;

    switch (op) {
    case 036: /* DAIFSet */
    case 037: /* DAIFClr */
        return emit_daif_immediate(t, f->op2, f->crm);
    case 031: /* SSBS */
        if (!a64_has(t, FEAT_SSBS2) || f->crm > 1) {
            return false;
        }
        emit_set_pstate(t, PSTATE_SSBS, a64_const(t, IR_I32, f->crm));
        return true;
    case 003: /* UAO */
        if (!a64_has(t, FEAT_UAO) || !el1 || f->crm > 1) {
            return false;
        }
        emit_set_pstate(t, PSTATE_UAO, a64_const(t, IR_I32, f->crm));
        return true;
    case 004: /* PAN */
        if (!a64_has(t, FEAT_PAN) || !el1 || f->crm > 1) {
            return false;
        }
        emit_set_pstate(t, PSTATE_PAN, a64_const(t, IR_I32, f->crm));
        return true;
    case 005: /* SPSel */
        if (!el1 || f->crm > 1) {
            return false;
        }
        emit_set_pstate(t, PSTATE_SPSEL, a64_const(t, IR_I32, f->crm));
        return true;
    default:
        return false;
    }
}

/* Registers that are part of PSTATE or of FP state, and have no table entry. */

static uint64_t helper_get_fpsr(TcgState *env)
{
    return arm_get_fpsr(arm_cpu_of_env(env));
}

static const TcgHelper get_fpsr_helper = {
    .name = "get_fpsr",
    .function = (void *)helper_get_fpsr,
    .result = IR_I64,
    .flags = HELPER_ENV | HELPER_READS | HELPER_EFFECT,
};
TCG_HELPER(get_fpsr_helper);

static void helper_set_fpcr(TcgState *env, uint64_t value)
{
    ArmCpu *cpu = arm_cpu_of_env(env);

    arm_set_fpcr(cpu, (uint32_t)value);
    arm_update_controls(cpu);
}

static const TcgHelper set_fpcr_helper = {
    .name = "set_fpcr",
    .function = (void *)helper_set_fpcr,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_WRITES | HELPER_EFFECT,
    .arg_types = { IR_I64 },
};
TCG_HELPER(set_fpcr_helper);

static void helper_set_fpsr(TcgState *env, uint64_t value)
{
    arm_set_fpsr(arm_cpu_of_env(env), (uint32_t)value);
}

static const TcgHelper set_fpsr_helper = {
    .name = "set_fpsr",
    .function = (void *)helper_set_fpsr,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_WRITES | HELPER_EFFECT,
    .arg_types = { IR_I64 },
};
TCG_HELPER(set_fpsr_helper);

static uint64_t helper_get_pstate_bits(TcgState *env)
{
    return arm_get_pstate(arm_cpu_of_env(env));
}

static const TcgHelper get_pstate_helper = {
    .name = "get_pstate",
    .function = (void *)helper_get_pstate_bits,
    .result = IR_I64,
    .flags = HELPER_ENV | HELPER_READS | HELPER_EFFECT,
};
TCG_HELPER(get_pstate_helper);

enum {
    REG_NZCV = ARM_SYSREG(3, 3, 4, 2, 0),
    REG_DAIF = ARM_SYSREG(3, 3, 4, 2, 1),
    REG_SSBS = ARM_SYSREG(3, 3, 4, 2, 6),
    REG_FPCR = ARM_SYSREG(3, 3, 4, 4, 0),
    REG_FPSR = ARM_SYSREG(3, 3, 4, 4, 1),
    REG_SP_EL0 = ARM_SYSREG(3, 0, 4, 1, 0),
    REG_SPSEL = ARM_SYSREG(3, 0, 4, 2, 0),
    REG_CURRENTEL = ARM_SYSREG(3, 0, 4, 2, 2),
    REG_PAN = ARM_SYSREG(3, 0, 4, 2, 3),
    REG_UAO = ARM_SYSREG(3, 0, 4, 2, 4),
    REG_ISR = ARM_SYSREG(3, 0, 12, 1, 0),
    REG_RNDR = ARM_SYSREG(3, 3, 2, 4, 0),
    REG_RNDRRS = ARM_SYSREG(3, 3, 2, 4, 1),
};

typedef enum { SPECIAL_NONE, SPECIAL_DONE, SPECIAL_UNDEFINED } Special;

static uint64_t helper_random(TcgState *env)
{
    return vcpu_random(&arm_cpu_of_env(env)->vcpu);
}

static const TcgHelper random_helper = {
    .name = "random",
    .function = (void *)helper_random,
    .result = IR_I64,
    .flags = HELPER_ENV | HELPER_EFFECT,
};
TCG_HELPER(random_helper);

static uint64_t helper_get_isr(TcgState *env)
{
    unsigned lines = atomic_load(&arm_cpu_of_env(env)->vcpu.interrupts);

    return (lines >> ARM_LINE_IRQ & 1) << 7 | (lines >> ARM_LINE_FIQ & 1) << 6;
}

static const TcgHelper get_isr_helper = {
    .name = "get_isr",
    .function = (void *)helper_get_isr,
    .result = IR_I64,
    .flags = HELPER_ENV | HELPER_EFFECT,
};
TCG_HELPER(get_isr_helper);

static void read_pstate_bit(A64Translator *t, unsigned rt, uint32_t bit)
{
    IrRef value = a64_call(t, &get_pstate_helper, 0, 0, 0, 0);

    a64_set_x(t, rt, a64_op2i(t, IR_OP_and, IR_I64, value, bit));
}

/* What EL0 may read. */
static Special read_special_el0(A64Translator *t, uint32_t encoding, unsigned rt)
{
    switch (encoding) {
    case REG_NZCV:
        a64_set_x(t, rt,
                  a64_extend(t, IR_OP_zext, IR_I64, 2,
                             a64_op1(t, IR_OP_funpack, IR_I32, a64_get_flags(t))));
        return SPECIAL_DONE;
    case REG_DAIF:
        if (!(t->mode & ARM_MODE_UMA)) {
            raise_sysreg_trap(t);
        } else {
            a64_set_x(t, rt, a64_get_var(t, ARM_VAR_DAIF, IR_I64));
        }
        return SPECIAL_DONE;
    case REG_SSBS:
        if (!a64_has(t, FEAT_SSBS2)) {
            return SPECIAL_UNDEFINED;
        }
        read_pstate_bit(t, rt, SPSR_SSBS);
        return SPECIAL_DONE;
    case REG_FPCR:
        if (a64_fp_access(t)) {
            a64_set_x(t, rt, a64_get_var(t, ARM_VAR_FPCR, IR_I64));
        }
        return SPECIAL_DONE;
    case REG_FPSR:
        if (a64_fp_access(t)) {
            a64_set_x(t, rt, a64_call(t, &get_fpsr_helper, 0, 0, 0, 0));
        }
        return SPECIAL_DONE;
    case REG_RNDR:
    case REG_RNDRRS:
        if (!a64_has(t, FEAT_RNG)) {
            return SPECIAL_UNDEFINED;
        }
        a64_set_x(t, rt, a64_call(t, &random_helper, 0, 0, 0, 0));
        a64_set_flags(t, a64_op(t, (IrOp){ .opcode = IR_OP_fconst, .type = IR_FLAGS }));
        return SPECIAL_DONE;
    default:
        return SPECIAL_NONE;
    }
}

static Special read_special(A64Translator *t, uint32_t encoding, unsigned rt)
{
    Special special = read_special_el0(t, encoding, rt);

    if (special != SPECIAL_NONE) {
        return special;
    }
    if (!(t->mode & ARM_MODE_EL1)) {
        return SPECIAL_NONE;
    }
    switch (encoding) {
    case REG_SP_EL0:
        if (!(t->mode & ARM_MODE_SPSEL)) {
            return SPECIAL_UNDEFINED;
        }
        a64_set_x(t, rt, a64_get_var(t, ARM_VAR_SP_EL0, IR_I64));
        return SPECIAL_DONE;
    case REG_SPSEL:
        a64_set_x(t, rt, a64_const(t, IR_I64, t->mode & ARM_MODE_SPSEL ? 1 : 0));
        return SPECIAL_DONE;
    case REG_CURRENTEL:
        a64_set_x(t, rt, a64_const(t, IR_I64, 1 << SPSR_EL_SHIFT));
        return SPECIAL_DONE;
    case REG_PAN:
        if (!a64_has(t, FEAT_PAN)) {
            return SPECIAL_UNDEFINED;
        }
        read_pstate_bit(t, rt, SPSR_PAN);
        return SPECIAL_DONE;
    case REG_UAO:
        if (!a64_has(t, FEAT_UAO)) {
            return SPECIAL_UNDEFINED;
        }
        a64_set_x(t, rt, a64_const(t, IR_I64, t->mode & ARM_MODE_UAO ? SPSR_UAO : 0));
        return SPECIAL_DONE;
    case REG_ISR:
        a64_set_x(t, rt, a64_call(t, &get_isr_helper, 0, 0, 0, 0));
        return SPECIAL_DONE;
    default:
        return SPECIAL_NONE;
    }
}

static IrRef bit_of(A64Translator *t, unsigned rt, unsigned bit)
{
    IrRef value = a64_bitfield(t, IR_OP_ubfx, IR_I64, a64_get_x(t, rt), 0, bit, 1);

    return a64_op1(t, IR_OP_trunc, IR_I32, value);
}

static Special write_fp_control(A64Translator *t, uint32_t encoding, unsigned rt)
{
    if (!a64_fp_access(t)) {
        return SPECIAL_DONE;
    }
    tell(t, encoding == REG_FPSR ? "fpsr" : "fpcr", a64_get_x(t, rt), true);
    if (encoding == REG_FPSR) {
        a64_call(t, &set_fpsr_helper, a64_get_x(t, rt), 0, 0, 0);
    } else {
        a64_call(t, &set_fpcr_helper, a64_get_x(t, rt), 0, 0, 0);
        a64_dispatch_next(t);
    }
    return SPECIAL_DONE;
}

static Special write_special_el0(A64Translator *t, uint32_t encoding, unsigned rt)
{
    switch (encoding) {
    case REG_NZCV:
        tell(t, "nzcv", a64_get_x(t, rt), true);
        a64_set_flags(t, a64_op1(t, IR_OP_fpack, IR_FLAGS, a64_get_w(t, rt)));
        return SPECIAL_DONE;
    case REG_DAIF:
        if (!(t->mode & ARM_MODE_UMA)) {
            raise_sysreg_trap(t);
        } else {
            emit_set_daif(t, a64_op2i(t, IR_OP_and, IR_I64, a64_get_x(t, rt), 0xf << 6));
        }
        return SPECIAL_DONE;
    case REG_SSBS:
        if (!a64_has(t, FEAT_SSBS2)) {
            return SPECIAL_UNDEFINED;
        }
        emit_set_pstate(t, PSTATE_SSBS, bit_of(t, rt, 12));
        return SPECIAL_DONE;
    case REG_FPCR:
    case REG_FPSR:
        return write_fp_control(t, encoding, rt);
    default:
        return SPECIAL_NONE;
    }
}

static Special write_special(A64Translator *t, uint32_t encoding, unsigned rt)
{
    Special special = write_special_el0(t, encoding, rt);

    if (special != SPECIAL_NONE) {
        return special;
    }
    if (!(t->mode & ARM_MODE_EL1)) {
        return SPECIAL_NONE;
    }
    switch (encoding) {
    case REG_SP_EL0:
        if (!(t->mode & ARM_MODE_SPSEL)) {
            return SPECIAL_UNDEFINED;
        }
        tell(t, "sp_el0", a64_get_x(t, rt), true);
        a64_set_var(t, ARM_VAR_SP_EL0, IR_I64, a64_get_x(t, rt));
        return SPECIAL_DONE;
    case REG_SPSEL:
        emit_set_pstate(t, PSTATE_SPSEL, bit_of(t, rt, 0));
        return SPECIAL_DONE;
    case REG_PAN:
        if (!a64_has(t, FEAT_PAN)) {
            return SPECIAL_UNDEFINED;
        }
        emit_set_pstate(t, PSTATE_PAN, bit_of(t, rt, 22));
        return SPECIAL_DONE;
    case REG_UAO:
        if (!a64_has(t, FEAT_UAO)) {
            return SPECIAL_UNDEFINED;
        }
        emit_set_pstate(t, PSTATE_UAO, bit_of(t, rt, 23));
        return SPECIAL_DONE;
    default:
        return SPECIAL_NONE;
    }
}

/* Registers of the tables, and those that devices implement. */

static uint64_t helper_read(TcgState *env, uint64_t reg)
{
    return arm_sysreg_read(arm_cpu_of_env(env), (const ArmSysreg *)(uintptr_t)reg);
}

static const TcgHelper read_helper = {
    .name = "read_sysreg",
    .function = (void *)helper_read,
    .result = IR_I64,
    .flags = HELPER_ENV | HELPER_EFFECT,
    .arg_types = { IR_I64 },
};
TCG_HELPER(read_helper);

static const TcgHelper read_exact_helper = {
    .name = "read_sysreg_exact",
    .function = (void *)helper_read,
    .result = IR_I64,
    .flags = HELPER_ENV | HELPER_READS | HELPER_FAULTS | HELPER_EFFECT,
    .arg_types = { IR_I64 },
};
TCG_HELPER(read_exact_helper);

static void helper_write(TcgState *env, uint64_t reg, uint64_t value)
{
    const ArmSysreg *sysreg = (const ArmSysreg *)(uintptr_t)reg;
    ArmCpu *cpu = arm_cpu_of_env(env);

    if (sysreg->access & ARM_SYSREG_OVERFLOWS && arm_pmu_overflow_interrupts(cpu)) {
        tcg_unwind(env);
    }
    arm_sysreg_write(cpu, sysreg, value);
}

static const TcgHelper write_helper = {
    .name = "write_sysreg",
    .function = (void *)helper_write,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_EFFECT,
    .arg_types = { IR_I64, IR_I64 },
};
TCG_HELPER(write_helper);

static const TcgHelper write_exact_helper = {
    .name = "write_sysreg_exact",
    .function = (void *)helper_write,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_WRITES | HELPER_FAULTS | HELPER_EFFECT,
    .arg_types = { IR_I64, IR_I64 },
};
TCG_HELPER(write_exact_helper);

static void helper_check_el0(TcgState *env, uint64_t pointer, uint32_t iss)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    const ArmSysreg *reg = (const ArmSysreg *)(uintptr_t)pointer;

    if (!reg->el0_allowed(cpu, reg, !(iss & 1))) {
        arm_take_synchronous(cpu, arm_esr(ARM_EC_SYSREG, iss));
        tcg_unwind(env);
    }
}

static const TcgHelper check_el0_helper = {
    .name = "check_el0",
    .function = (void *)helper_check_el0,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_WRITES | HELPER_FAULTS | HELPER_EFFECT,
    .arg_types = { IR_I64, IR_I32 },
};
TCG_HELPER(check_el0_helper);

static _Noreturn void external_undefined(TcgState *env)
{
    arm_take_synchronous(arm_cpu_of_env(env), arm_esr(ARM_EC_UNKNOWN, 0));
    tcg_unwind(env);
}

static uint64_t helper_read_external(TcgState *env, uint64_t pointer, uint64_t opaque)
{
    const ExternalRegister *reg = (const ExternalRegister *)(uintptr_t)pointer;
    uint64_t value = 0;

    if (!reg->read ||
        !reg->read((void *)(uintptr_t)opaque, &arm_cpu_of_env(env)->vcpu, reg->encoding, &value)) {
        external_undefined(env);
    }
    return value;
}

static const TcgHelper read_external_helper = {
    .name = "read_external",
    .function = (void *)helper_read_external,
    .result = IR_I64,
    .flags = HELPER_ENV | HELPER_READS | HELPER_WRITES | HELPER_FAULTS | HELPER_EFFECT,
    .arg_types = { IR_I64, IR_I64 },
};
TCG_HELPER(read_external_helper);

static void helper_write_external(TcgState *env, uint64_t pointer, uint64_t opaque, uint64_t value)
{
    const ExternalRegister *reg = (const ExternalRegister *)(uintptr_t)pointer;

    if (!reg->write ||
        !reg->write((void *)(uintptr_t)opaque, &arm_cpu_of_env(env)->vcpu, reg->encoding, value)) {
        external_undefined(env);
    }
}

static const TcgHelper write_external_helper = {
    .name = "write_external",
    .function = (void *)helper_write_external,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_WRITES | HELPER_FAULTS | HELPER_EFFECT,
    .arg_types = { IR_I64, IR_I64, IR_I64 },
};
TCG_HELPER(write_external_helper);

static bool emit_external(A64Translator *t, uint32_t encoding, bool read, unsigned rt)
{
    void *opaque;
    const ExternalRegister *reg;

    if (!(t->mode & ARM_MODE_EL1)) {
        return false;
    }
    reg = machine_find_external_register(t->cpu->vcpu.machine, encoding, &opaque);
    if (!reg) {
        log_unimplemented("cpu", "system register S%u_%u_C%u_C%u_%u", encoding >> 14,
                          encoding >> 11 & 7, encoding >> 7 & 15, encoding >> 3 & 15, encoding & 7);
        return false;
    }
    if (read) {
        a64_set_x(t, rt,
                  a64_call(t, &read_external_helper, pointer(t, reg), pointer(t, opaque), 0, 0));
        tell(t, reg->name, a64_get_x(t, rt), false);
    } else {
        tell(t, reg->name, a64_get_x(t, rt), true);
        a64_call(t, &write_external_helper, pointer(t, reg), pointer(t, opaque), a64_get_x(t, rt),
                 0);
        /* The write may have made an interrupt deliverable, which is polled for at unit entries. */
        a64_goto(t, t->offset + 4);
    }
    return true;
}

static void emit_read(A64Translator *t, const ArmSysreg *reg, unsigned rt)
{
    IrRef value;

    if (reg->var) {
        value = a64_get_var(t, reg->var, IR_I64);
    } else if (reg->access & ARM_SYSREG_CONST) {
        value = a64_const(t, IR_I64, (int64_t)arm_sysreg_read(t->cpu, reg));
    } else {
        value = a64_call(t, reg->access & ARM_SYSREG_FAULTS ? &read_exact_helper : &read_helper,
                         pointer(t, reg), 0, 0, 0);
    }
    a64_set_x(t, rt, value);
    tell(t, reg->name, value, false);
}

static void emit_write(A64Translator *t, const ArmSysreg *reg, unsigned rt)
{
    IrRef value = a64_get_x(t, rt);

    tell(t, reg->name, value, true);
    if (reg->var) {
        a64_set_var(t, reg->var, IR_I64, value);
        return;
    }
    a64_call(t,
             reg->access & (ARM_SYSREG_MODE | ARM_SYSREG_FAULTS) ? &write_exact_helper
                                                                 : &write_helper,
             pointer(t, reg), value, 0, 0);
    if (reg->access & ARM_SYSREG_MODE) {
        a64_dispatch_next(t);
    }
}

/* Whether EL0 may go on; if not, the trap has been emitted. */
static bool check_el0(A64Translator *t, const ArmSysreg *reg)
{
    if (t->mode & ARM_MODE_EL1) {
        return true;
    }
    if ((t->mode & reg->el0_mode) != reg->el0_mode) {
        raise_sysreg_trap(t);
        return false;
    }
    if (reg->el0_allowed) {
        a64_call(t, &check_el0_helper, pointer(t, reg),
                 a64_const(t, IR_I32, (int32_t)sysreg_iss(t)), 0, 0);
    }
    return true;
}

static bool emit_sysreg(A64Translator *t, uint32_t encoding, bool read, unsigned rt)
{
    const ArmSysreg *reg = arm_sysreg_find(t->cpu, encoding);
    unsigned right =
        t->mode & ARM_MODE_EL1 ? (read ? ARM_EL1_R : ARM_EL1_W) : (read ? ARM_EL0_R : ARM_EL0_W);

    if (!reg) {
        return emit_external(t, encoding, read, rt);
    }
    if (!(reg->access & right)) {
        return false;
    }
    if (!check_el0(t, reg)) {
        return true;
    }
    if (read) {
        emit_read(t, reg, rt);
    } else {
        emit_write(t, reg, rt);
    }
    return true;
}

static const struct {
    uint32_t encoding;
    const char *name;
} specials[] = {
    { REG_NZCV, "nzcv" },     { REG_DAIF, "daif" },           { REG_SSBS, "ssbs" },
    { REG_FPCR, "fpcr" },     { REG_FPSR, "fpsr" },           { REG_SP_EL0, "sp_el0" },
    { REG_SPSEL, "spsel" },   { REG_CURRENTEL, "currentel" }, { REG_PAN, "pan" },
    { REG_UAO, "uao" },       { REG_ISR, "isr_el1" },         { REG_RNDR, "rndr" },
    { REG_RNDRRS, "rndrrs" },
};

static const char *special_name(uint32_t encoding)
{
    for (size_t i = 0; i < G_N_ELEMENTS(specials); i++) {
        if (specials[i].encoding == encoding) {
            return specials[i].name;
        }
    }
    return "";
}

static const char *nth_special(unsigned index)
{
    return index < G_N_ELEMENTS(specials) ? specials[index].name : NULL;
}

static const EventNames special_names = { DEBUG_REGISTER, { "aarch64" }, nth_special, 1 };
EVENT_NAMES(special_names);

#define ENCODING(op0, f) ARM_SYSREG(op0, (f)->op1, (f)->crn, (f)->crm, (f)->op2)

INSTRUCTION(mrs, "110101010011 o0 op1:3 crn:4 crm:4 op2:3 rt:5")
static bool translate_mrs(A64Translator *t, const A64Fields *f)
{
    uint32_t encoding = ENCODING(2 + f->o0, f);
    Special special = read_special(t, encoding, f->rt);

    if (special == SPECIAL_DONE && !t->ended) {
        tell(t, special_name(encoding), a64_get_x(t, f->rt), false);
    }
    return special == SPECIAL_NONE ? emit_sysreg(t, encoding, true, f->rt)
                                   : special == SPECIAL_DONE;
}

INSTRUCTION(msr, "110101010001 o0 op1:3 crn:4 crm:4 op2:3 rt:5")
static bool translate_msr(A64Translator *t, const A64Fields *f)
{
    uint32_t encoding = ENCODING(2 + f->o0, f);
    Special special = write_special(t, encoding, f->rt);

    return special == SPECIAL_NONE ? emit_sysreg(t, encoding, false, f->rt)
                                   : special == SPECIAL_DONE;
}

/* While translation is off, all data is device memory: DC ZVA is an alignment fault. */
static void helper_check_zva(TcgState *env, uint64_t guest_virt)
{
    ArmCpu *cpu = arm_cpu_of_env(env);

    if (!(cpu->sctlr_el1 & SCTLR_M)) {
        cpu->fault =
            (ArmFault){ .address = guest_virt, .status = ARM_FSC_ALIGNMENT, .access = TCG_WRITE };
        arm_raise_fault(env);
        tcg_unwind(env);
    }
}

static const TcgHelper check_zva_helper = {
    .name = "check_zva",
    .function = (void *)helper_check_zva,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_FAULTS | HELPER_EFFECT,
    .arg_types = { IR_I64 },
};
TCG_HELPER(check_zva_helper);

INSTRUCTION(dc_zva, "1101010100001 011 0111 0100 001 rt:5")
static bool translate_dc_zva(A64Translator *t, const A64Fields *f)
{
    if (!(t->mode & ARM_MODE_DZE)) {
        raise_sysreg_trap(t);
        return true;
    }
    if (t->mode & ARM_MODE_ALIGN) {
        a64_call(t, &check_zva_helper, a64_get_x(t, f->rt), 0, 0, 0);
    }
    a64_op(t, (IrOp){ .opcode = IR_OP_mzero,
                      .args = { a64_get_x(t, f->rt) },
                      .imm = (int64_t)t->cpu->dczva_bytes });
    return true;
}

INSTRUCTION(sys, "1101010100001 op1:3 crn:4 crm:4 op2:3 rt:5")
static bool translate_sys(A64Translator *t, const A64Fields *f)
{
    return emit_sysreg(t, ENCODING(1, f), false, f->rt);
}
