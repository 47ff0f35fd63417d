/* SPDX-License-Identifier: MIT */
/*
 * The translation loop of A64 and what its instructions share.
 *
 * A unit is an extended block, or some rounds of a loop: conditional branches are side exits, and it ends at an unconditional
 * branch, at what changes the mode, or at the page's end.
 */
#include "target/arm/translate.h"

#include "base/bits.h"
#include "target/arm/exception.h"

enum {
    MAX_SIDE_EXITS = 6,
    /* Leaving to this offset from a load or store is an SP alignment fault: see arm_prepare_pc. */
    SP_FAULT_OFFSET = ARM_SP_FAULT_OFFSET,
};

IrRef a64_get_sp(A64Translator *t, bool sf, unsigned n)
{
    IrRef value = a64_get_var(t, ARM_VAR_X0 + n, IR_I64);

    return sf ? value : a64_op1(t, IR_OP_trunc, IR_I32, value);
}

void a64_set_sp(A64Translator *t, bool sf, unsigned n, IrRef value)
{
    if (n == 31) {
        t->sp_aligned = false;
    }
    a64_set_var(t, ARM_VAR_X0 + n, IR_I64,
                sf ? value : a64_extend(t, IR_OP_zext, IR_I64, 2, value));
}

IrRef a64_get_base(A64Translator *t, unsigned n)
{
    IrRef base = a64_get_var(t, ARM_VAR_X0 + n, IR_I64);

    if (n == 31 && !t->sp_aligned && (t->mode & ARM_MODE_SP_ALIGN)) {
        IrRef flags = a64_flags(t, IR_OP_andf, IR_I64, base, a64_const(t, IR_I64, 15), 0);

        a64_op(t, (IrOp){ .opcode = IR_OP_exit_if,
                          .cond = IR_NE,
                          .args = { flags },
                          .imm = t->offset + SP_FAULT_OFFSET });
        t->sp_aligned = true;
    }
    return base;
}

unsigned a64_memory_flags(const A64Translator *t)
{
    return (t->mode & ARM_MODE_BE ? IR_MEM_BE : 0) |
           (t->mode & ARM_MODE_ALIGN ? IR_MEM_ALIGNED : 0);
}

/* Vectors travel in memory order: for big-endian data their bytes are reversed here. */
static bool swaps_vector(const A64Translator *t, IrType type, unsigned esz)
{
    return type == IR_V128 && esz && (t->mode & ARM_MODE_BE);
}

IrRef a64_swap_vector(A64Translator *t, IrType type, unsigned esz, IrRef value)
{
    if (!swaps_vector(t, type, esz)) {
        return value;
    }
    value = a64_vop1(t, IR_OP_vrev, 0, value, esz < 3 ? esz : 3);
    return esz < 4 ? value
                   : a64_op(t, (IrOp){ .opcode = IR_OP_vext,
                                       .type = IR_V128,
                                       .args = { value, value },
                                       .imm = 8 });
}

IrRef a64_load(A64Translator *t, IrType type, unsigned esz, unsigned flags, IrRef address,
               int64_t imm)
{
    IrRef value = ir_load(t->unit, type, esz, flags | a64_memory_flags(t), address, imm);

    return a64_swap_vector(t, type, esz, value);
}

void a64_store(A64Translator *t, IrType type, unsigned esz, unsigned flags, IrRef address,
               int64_t imm, IrRef value)
{
    value = a64_swap_vector(t, type, esz, value);
    ir_store(t->unit, type, esz, flags | a64_memory_flags(t), address, imm, value);
}

void a64_dispatch_env(A64Translator *t)
{
    ir_dispatch_env(t->unit);
    t->ended = true;
}

void a64_goto(A64Translator *t, int64_t page_offset)
{
    ir_goto(t->unit, page_offset);
    t->ended = true;
}

void a64_branch(A64Translator *t, int64_t page_offset)
{
    if (ir_goes_round(t->unit, page_offset, t->max_insns)) {
        t->unit->rounds++;
        t->next = t->unit->start;
    } else {
        a64_goto(t, page_offset);
    }
}

void a64_branch_if(A64Translator *t, IrCond cond, IrRef flags, int64_t page_offset)
{
    t->side_exits++;
    if (ir_goes_round(t->unit, page_offset, t->max_insns)) {
        ir_exit_if(t->unit, ir_cond_invert(cond), flags, t->next);
        a64_branch(t, page_offset);
    } else {
        ir_exit_if(t->unit, cond, flags, page_offset);
    }
}

void a64_goto_indirect(A64Translator *t, IrRef target, unsigned kind, unsigned jump_class)
{
    ir_goto_indirect(t->unit, target, kind, jump_class);
    t->ended = true;
}

void a64_dispatch_next(A64Translator *t)
{
    ir_dispatch(t->unit, t->offset + 4);
    t->ended = true;
}

static void helper_raise(TcgState *env, uint32_t esr)
{
    arm_take_synchronous(arm_cpu_of_env(env), esr);
    tcg_unwind(env);
}

static const TcgHelper raise_helper = {
    .name = "raise",
    .function = (void *)helper_raise,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_WRITES | HELPER_FAULTS | HELPER_NORETURN,
    .arg_types = { IR_I32 },
};
TCG_HELPER(raise_helper);

void a64_raise(A64Translator *t, uint32_t esr)
{
    a64_call(t, &raise_helper, a64_const(t, IR_I32, (int32_t)esr), 0, 0, 0);
    t->ended = true;
}

void a64_undefined(A64Translator *t)
{
    a64_raise(t, arm_esr(ARM_EC_UNKNOWN, 0));
}

bool a64_fp_access(A64Translator *t)
{
    if (t->mode & ARM_MODE_FP) {
        return true;
    }
    /* ISS of a trapped FP access: CV 1, COND 0b1110. */
    a64_raise(t, arm_esr(ARM_EC_FP_ACCESS, 0x1e << 20));
    return false;
}

void a64_translate_instruction(A64Translator *t)
{
    A64Fields fields;
    const A64Instruction *instruction;

    ir_begin_insn(t->unit, t->offset, t->insn);
    instruction = a64_decode(t->insn, &fields);
    if (!instruction || !instruction->translate(t, &fields)) {
        a64_undefined(t);
    }
}

void arm_a64_translate(IrUnit *unit, TcgState *env, TcgCode *code, uint16_t start, uint64_t mode,
                       unsigned max_insns)
{
    A64Translator t = { .unit = unit,
                        .cpu = arm_cpu_of_env(env),
                        .mode = mode,
                        .next = start,
                        .max_insns = max_insns };

    if (mode & ARM_MODE_ICACHE_OFF) {
        atomic_store(&arm_first_cpu(t.cpu)->icache_off_units, true);
    }
    unit->insn_count = 0;
    for (;;) {
        t.offset = t.next;
        t.next = t.offset + 4;
        t.insn = load_le32(code->page + t.offset);
        a64_translate_instruction(&t);
        unit->insn_count++;
        unit->end = MAX(unit->end, t.offset + 4);
        if (t.ended) {
            return;
        }
        if (t.next == TCG_PAGE_SIZE || unit->insn_count >= max_insns || unit->full ||
            t.side_exits >= MAX_SIDE_EXITS) {
            a64_goto(&t, t.next);
            return;
        }
    }
}
