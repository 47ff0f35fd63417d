/* SPDX-License-Identifier: MIT */
/* A64 branches and exception generation (DDI 0487 C4.1, "Branches, Exception Generating …"). */
#include "target/arm/exception.h"
#include "target/arm/psci.h"
#include "target/arm/semihosting.h"
#include "target/arm/translate.h"

enum { SEMIHOSTING_HLT = 0xf000, SEMIHOSTING_WAIT_US = 1000 };

INSTRUCTION(b, "000101 imm26:s26")
static bool translate_b(A64Translator *t, const A64Fields *f)
{
    a64_branch(t, t->offset + (int64_t)f->imm26 * 4);
    return true;
}

/* The link register and the prediction of the return. */
static void emit_link(A64Translator *t)
{
    a64_set_x(t, 30, a64_op(t, (IrOp){ .opcode = IR_OP_pc, .type = IR_I64, .imm = t->offset + 4 }));
    a64_op(t, (IrOp){ .opcode = IR_OP_push_return, .imm = t->offset + 4 });
}

INSTRUCTION(bl, "100101 imm26:s26")
static bool translate_bl(A64Translator *t, const A64Fields *f)
{
    emit_link(t);
    a64_goto(t, t->offset + (int64_t)f->imm26 * 4);
    return true;
}

INSTRUCTION(b_cond, "01010100 imm19:s19 0 cond:4")
static bool translate_b_cond(A64Translator *t, const A64Fields *f)
{
    int64_t target = t->offset + (int64_t)f->imm19 * 4;

    if (f->cond >= 14) {
        a64_branch(t, target);
    } else {
        a64_branch_if(t, (IrCond)f->cond, a64_get_flags(t), target);
    }
    return true;
}

INSTRUCTION(cbz, "sf 011010 op imm19:s19 rt:5")
static bool translate_cbz(A64Translator *t, const A64Fields *f)
{
    IrRef value = a64_get(t, f->sf, f->rt);
    IrRef flags = a64_flags(t, IR_OP_andf, a64_type(f->sf), value, value, 0);

    a64_branch_if(t, f->op ? IR_NE : IR_EQ, flags, t->offset + (int64_t)f->imm19 * 4);
    return true;
}

INSTRUCTION(tbz, "b5 011011 op b40:5 imm14:s14 rt:5")
static bool translate_tbz(A64Translator *t, const A64Fields *f)
{
    IrType type = a64_type(f->b5);
    IrRef value = a64_get(t, f->b5, f->rt);
    IrRef bit = a64_const(t, type, (int64_t)(UINT64_C(1) << (32 * f->b5 + f->b40)));
    IrRef flags = a64_flags(t, IR_OP_andf, type, value, bit, 0);

    a64_branch_if(t, f->op ? IR_NE : IR_EQ, flags, t->offset + (int64_t)f->imm14 * 4);
    return true;
}

/* Jump-cache classes are the values of PSTATE.BTYPE; without BTI there is only one. */
void a64_emit_br(A64Translator *t, unsigned rn, IrRef target)
{
    unsigned btype = rn == 16 || rn == 17 || !(t->mode & TCG_MODE_GUARDED) ? 1 : 3;

    a64_goto_indirect(t, target, IR_JUMP, a64_has(t, FEAT_BTI) ? btype : 0);
}

void a64_emit_blr(A64Translator *t, IrRef target)
{
    emit_link(t);
    a64_goto_indirect(t, target, IR_CALL, a64_has(t, FEAT_BTI) ? 2 : 0);
}

INSTRUCTION(br, "1101011000011111000000 rn:5 00000")
static bool translate_br(A64Translator *t, const A64Fields *f)
{
    a64_emit_br(t, f->rn, a64_get_x(t, f->rn));
    return true;
}

INSTRUCTION(blr, "1101011000111111000000 rn:5 00000")
static bool translate_blr(A64Translator *t, const A64Fields *f)
{
    a64_emit_blr(t, a64_get_x(t, f->rn));
    return true;
}

INSTRUCTION(ret, "1101011001011111000000 rn:5 00000")
static bool translate_ret(A64Translator *t, const A64Fields *f)
{
    a64_goto_indirect(t, a64_get_x(t, f->rn), IR_RETURN, 0);
    return true;
}

static void helper_eret(TcgState *env, uint64_t target)
{
    ArmCpu *cpu = arm_cpu_of_env(env);

    if (cpu->mode & ARM_MODE_ICACHE_OFF) {
        arm_synchronize_uncached_code(cpu);
    }
    cpu->eret_stepped = cpu->mode & ARM_MODE_STEP;
    arm_exception_return(cpu, target);
}

static const TcgHelper eret_helper = {
    .name = "eret",
    .function = (void *)helper_eret,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_WRITES | HELPER_EFFECT,
    .arg_types = { IR_I64 },
};
TCG_HELPER(eret_helper);

void a64_emit_eret(A64Translator *t, IrRef target)
{
    ir_retire(t->unit);
    a64_call(t, &eret_helper, target, 0, 0, 0);
    a64_dispatch_env(t);
}

INSTRUCTION(eret, "11010110100111110000001111100000")
static bool translate_eret(A64Translator *t, const A64Fields *f)
{
    if (!(t->mode & ARM_MODE_EL1)) {
        return false;
    }
    a64_emit_eret(t, a64_get_var(t, ARM_VAR_ELR_EL1, IR_I64));
    return true;
}

/* The pc is that of the instruction: the preferred return address is the next. */
static void helper_svc(TcgState *env, uint32_t esr)
{
    ArmCpu *cpu = arm_cpu_of_env(env);

    tcg_set_pc(env, tcg_pc(env) + 4);
    cpu->ss = false;
    arm_take_synchronous(cpu, esr);
}

static const TcgHelper svc_helper = {
    .name = "svc",
    .function = (void *)helper_svc,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_FAULTS | HELPER_READS | HELPER_WRITES | HELPER_EFFECT,
    .arg_types = { IR_I32 },
};
TCG_HELPER(svc_helper);

INSTRUCTION(svc, "11010100000 imm16:16 00001")
static bool translate_svc(A64Translator *t, const A64Fields *f)
{
    ir_retire(t->unit);
    a64_call(t, &svc_helper, a64_const(t, IR_I32, (int32_t)arm_esr(ARM_EC_SVC64, f->imm16)), 0, 0,
             0);
    a64_dispatch_env(t);
    return true;
}

static void helper_psci(TcgState *env)
{
    ArmCpu *cpu = arm_cpu_of_env(env);

    tcg_set_pc(env, tcg_pc(env) + 4);
    cpu->ss = false;
    arm_psci_call(cpu);
}

static const TcgHelper psci_helper = {
    .name = "psci",
    .function = (void *)helper_psci,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_FAULTS | HELPER_READS | HELPER_WRITES | HELPER_EFFECT,
};
TCG_HELPER(psci_helper);

/* HVC and SMC have nobody to call but the board's PSCI, and otherwise do not exist. */
static bool emit_conduit(A64Translator *t, const char *conduit)
{
    if (!(t->mode & ARM_MODE_EL1) || g_strcmp0(t->cpu->psci_conduit, conduit) != 0) {
        return false;
    }
    ir_retire(t->unit);
    a64_call(t, &psci_helper, 0, 0, 0, 0);
    a64_dispatch_env(t);
    return true;
}

INSTRUCTION(hvc, "11010100000 imm16:16 00010")
static bool translate_hvc(A64Translator *t, const A64Fields *f)
{
    return emit_conduit(t, "hvc");
}

INSTRUCTION(smc, "11010100000 imm16:16 00011")
static bool translate_smc(A64Translator *t, const A64Fields *f)
{
    return emit_conduit(t, "smc");
}

static void helper_semihosting(TcgState *env, uint32_t privileged)
{
    ArmCpu *cpu = arm_cpu_of_env(env);

    switch (arm_semihosting_call(cpu, privileged)) {
    case SEMIHOSTING_REFUSED:
        arm_take_synchronous(cpu, arm_esr(ARM_EC_UNKNOWN, 0));
        tcg_unwind(env);
    case SEMIHOSTING_AGAIN:
        g_usleep(SEMIHOSTING_WAIT_US);
        break;
    case SEMIHOSTING_DONE:
        tcg_set_pc(env, tcg_pc(env) + 4);
        cpu->ss = false;
        break;
    }
}

static const TcgHelper semihosting_helper = {
    .name = "semihosting",
    .function = (void *)helper_semihosting,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_FAULTS | HELPER_READS | HELPER_WRITES | HELPER_EFFECT,
    .arg_types = { IR_I32 },
};
TCG_HELPER(semihosting_helper);

/* Halting debug is never on: undefined, but for semihosting. */
INSTRUCTION(hlt, "11010100010 imm16:16 00000")
static bool translate_hlt(A64Translator *t, const A64Fields *f)
{
    if (f->imm16 != SEMIHOSTING_HLT) {
        return false;
    }
    ir_retire(t->unit);
    a64_call(t, &semihosting_helper, a64_const(t, IR_I32, (t->mode & ARM_MODE_EL1) != 0), 0, 0, 0);
    a64_dispatch_env(t);
    return true;
}

INSTRUCTION(brk, "11010100001 imm16:16 00000")
static bool translate_brk(A64Translator *t, const A64Fields *f)
{
    a64_raise(t, arm_esr(ARM_EC_BRK, f->imm16));
    return true;
}
