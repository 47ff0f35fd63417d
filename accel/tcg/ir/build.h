/* SPDX-License-Identifier: MIT */
/*
 * Writing IR: one function for each shape of op, for the translators of targets. All append to the
 * unit and return the op's value; see ir.h for what the ops mean.
 */
#ifndef ACCEL_TCG_IR_BUILD_H
#define ACCEL_TCG_IR_BUILD_H

#include "accel/tcg/ir/ir.h"

static inline IrRef ir_const(IrUnit *unit, IrType type, int64_t value)
{
    return ir_emit(unit, (IrOp){ .opcode = IR_OP_const, .type = (uint8_t)type,
                                 .imm = type == IR_I32 ? (int32_t)value : value });
}

static inline IrRef ir_op1(IrUnit *unit, IrOpcode opcode, IrType type, IrRef a)
{
    return ir_emit(unit, (IrOp){ .opcode = (uint8_t)opcode, .type = (uint8_t)type, .args = { a } });
}

static inline IrRef ir_op2(IrUnit *unit, IrOpcode opcode, IrType type, IrRef a, IrRef b)
{
    return ir_emit(unit,
                   (IrOp){ .opcode = (uint8_t)opcode, .type = (uint8_t)type, .args = { a, b } });
}

static inline IrRef ir_op3(IrUnit *unit, IrOpcode opcode, IrType type, IrRef a, IrRef b, IrRef c)
{
    return ir_emit(unit,
                   (IrOp){ .opcode = (uint8_t)opcode, .type = (uint8_t)type, .args = { a, b, c } });
}

/* a op constant */
static inline IrRef ir_op2i(IrUnit *unit, IrOpcode opcode, IrType type, IrRef a, int64_t b)
{
    return ir_op2(unit, opcode, type, a, ir_const(unit, type, b));
}

/* zext and sext of the low 8 << esz bits of a to type. */
static inline IrRef ir_extend(IrUnit *unit, IrOpcode opcode, IrType type, unsigned esz, IrRef a)
{
    return ir_emit(unit, (IrOp){ .opcode = (uint8_t)opcode, .type = (uint8_t)type,
                                 .esz = (uint8_t)esz, .args = { a } });
}

/* ubfx, sbfx (b 0) and bfi. */
static inline IrRef ir_bitfield(IrUnit *unit, IrOpcode opcode, IrType type, IrRef a, IrRef b,
                                unsigned start, unsigned length)
{
    return ir_emit(unit, (IrOp){ .opcode = (uint8_t)opcode, .type = (uint8_t)type,
                                 .args = { a, b }, .imm = start, .aux = length });
}

/* Variables. */
static inline IrRef ir_get(IrUnit *unit, unsigned var, IrType type)
{
    return ir_emit(unit, (IrOp){ .opcode = IR_OP_get, .type = (uint8_t)type, .var = (uint8_t)var });
}

static inline void ir_set(IrUnit *unit, unsigned var, IrType type, IrRef value)
{
    ir_emit(unit, (IrOp){ .opcode = IR_OP_set, .type = (uint8_t)type, .var = (uint8_t)var,
                          .args = { value } });
}

/* Start of the current page + page_offset, as a virtual address. */
static inline IrRef ir_pc(IrUnit *unit, int64_t page_offset)
{
    return ir_emit(unit, (IrOp){ .opcode = IR_OP_pc, .type = IR_I64, .imm = page_offset });
}

/*
 * Operations of 8 << size bits (size 0 … 3) and their flags. Operands and the value are of `type`: any
 * when size is 0 or 1 (the value is then a with its low bits replaced), i32 for 2, i64 for 3. sub: IR_BORROW,
 * IR_UNSIGNED, the same for both: values that do not depend on it go without. Arguments that the op does not have,
 * and old flags that do not matter, are 0.
 */
static inline unsigned ir_merge_of(unsigned size)
{
    return size == 0 ? IR_MERGE8 : size == 1 ? IR_MERGE16 : 0;
}

static inline IrRef ir_sized(IrUnit *unit, IrOpcode opcode, IrType type, unsigned size,
                             unsigned sub, IrRef a, IrRef b, IrRef c)
{
    unsigned variant = (opcode == IR_OP_sbc ? sub & IR_BORROW : 0) | ir_merge_of(size);

    return ir_emit(unit, (IrOp){ .opcode = (uint8_t)opcode, .type = (uint8_t)type,
                                 .sub = (uint16_t)variant, .args = { a, b, c } });
}

static inline IrRef ir_flags(IrUnit *unit, IrOpcode opcode, IrType type, unsigned size,
                             unsigned sub, IrRef a, IrRef b, IrRef c)
{
    return ir_emit(unit, (IrOp){ .opcode = (uint8_t)opcode, .type = (uint8_t)type,
                                 .esz = (uint8_t)size, .sub = (uint16_t)sub, .args = { a, b, c } });
}

/* shldf and shrdf, with a fourth. */
static inline IrRef ir_double_shift_flags(IrUnit *unit, IrOpcode opcode, IrType type, unsigned size,
                                          IrRef a, IrRef b, IrRef count, IrRef old)
{
    return ir_emit(unit, (IrOp){ .opcode = (uint8_t)opcode, .type = (uint8_t)type,
                                 .esz = (uint8_t)size, .args = { a, b, count, old } });
}

/* Flags. mask: TCG_FLAG_* of those that come from b. */
static inline IrRef ir_fmerge(IrUnit *unit, IrRef old, IrRef b, unsigned mask)
{
    return ir_emit(unit, (IrOp){ .opcode = IR_OP_fmerge, .args = { old, b }, .imm = mask });
}

static inline IrRef ir_fconst(IrUnit *unit, unsigned nzcv)
{
    return ir_emit(unit, (IrOp){ .opcode = IR_OP_fconst, .type = IR_FLAGS, .imm = nzcv });
}

static inline IrRef ir_fconst_x86(IrUnit *unit, uint32_t eflags)
{
    return ir_emit(unit, (IrOp){ .opcode = IR_OP_fconst, .type = IR_FLAGS, .sub = IR_X86,
                                 .imm = eflags });
}

/* fpack and funpack; sub: 0 or IR_X86. */
static inline IrRef ir_pack(IrUnit *unit, IrOpcode opcode, unsigned sub, IrRef a)
{
    return ir_emit(unit, (IrOp){ .opcode = (uint8_t)opcode, .type = IR_I32, .sub = (uint16_t)sub,
                                 .args = { a } });
}

static inline IrRef ir_cset(IrUnit *unit, IrType type, IrCond cond, IrRef flags)
{
    return ir_emit(unit, (IrOp){ .opcode = IR_OP_cset, .type = (uint8_t)type, .cond = (uint8_t)cond,
                                 .args = { flags } });
}

static inline IrRef ir_sel(IrUnit *unit, IrType type, IrCond cond, IrRef flags, IrRef yes, IrRef no)
{
    return ir_emit(unit, (IrOp){ .opcode = IR_OP_sel, .type = (uint8_t)type, .cond = (uint8_t)cond,
                                 .args = { flags, yes, no } });
}

static inline IrRef ir_fsel(IrUnit *unit, IrCond cond, IrRef flags, IrRef yes, IrRef no)
{
    return ir_emit(unit, (IrOp){ .opcode = IR_OP_fsel, .type = IR_FLAGS, .cond = (uint8_t)cond,
                                 .args = { flags, yes, no } });
}

/* Memory: address + imm, 1 << esz bytes. sub: IR_MEM_*. */
static inline IrRef ir_load(IrUnit *unit, IrType type, unsigned esz, unsigned sub, IrRef address,
                            int64_t imm)
{
    return ir_emit(unit, (IrOp){ .opcode = IR_OP_ld, .type = (uint8_t)type, .esz = (uint8_t)esz,
                                 .sub = (uint16_t)sub, .args = { address }, .imm = imm });
}

static inline void ir_store(IrUnit *unit, IrType type, unsigned esz, unsigned sub, IrRef address,
                            int64_t imm, IrRef value)
{
    ir_emit(unit, (IrOp){ .opcode = IR_OP_st, .type = (uint8_t)type, .esz = (uint8_t)esz,
                          .sub = (uint16_t)sub, .args = { address, value }, .imm = imm });
}

/* Vectors. */
static inline IrRef ir_vop1(IrUnit *unit, IrOpcode opcode, unsigned esz, IrRef a, int64_t imm)
{
    return ir_emit(unit, (IrOp){ .opcode = (uint8_t)opcode, .type = IR_V128, .esz = (uint8_t)esz,
                                 .args = { a }, .imm = imm });
}

static inline IrRef ir_vop2(IrUnit *unit, IrOpcode opcode, unsigned esz, IrRef a, IrRef b)
{
    return ir_emit(unit, (IrOp){ .opcode = (uint8_t)opcode, .type = IR_V128, .esz = (uint8_t)esz,
                                 .args = { a, b } });
}

/* Calls a helper; unused arguments are 0. */
static inline IrRef ir_call(IrUnit *unit, const TcgHelper *helper, IrRef a, IrRef b, IrRef c,
                            IrRef d)
{
    return ir_emit(unit, (IrOp){ .opcode = IR_OP_call, .type = helper->result,
                                 .args = { a, b, c, d }, .helper = helper });
}

/* The same when cond holds on flags: only with integers, and with a helper that changes no variables. */
static inline void ir_call_if(IrUnit *unit, IrCond cond, IrRef flags, const TcgHelper *helper,
                              IrRef a, IrRef b, IrRef c)
{
    ir_emit(unit, (IrOp){ .opcode = IR_OP_call_if, .cond = (uint8_t)cond,
                          .args = { flags, a, b, c }, .helper = helper });
}

/* With counting, as many instructions of the unit have been executed from here on. */
static inline void ir_set_retired(IrUnit *unit, unsigned count)
{
    if (unit->count_var) {
        if (!unit->count_base) {
            unit->count_base = ir_get(unit, unit->count_var, IR_I64);
        }
        ir_set(unit, unit->count_var, IR_I64,
               ir_op2i(unit, IR_OP_add, IR_I64, unit->count_base, count));
    }
}

/*
 * The instruction that has begun counts as executed. Control ops do this; what leaves its privilege level does it
 * before.
 */
static inline void ir_retire(IrUnit *unit)
{
    ir_set_retired(unit, unit->begun);
}

static inline bool ir_breaks_at(const IrUnit *unit, uint16_t page_offset)
{
    return unit->breaks[page_offset / 64] >> page_offset % 64 & 1;
}

/* To be called where a guest instruction starts: raw bits are for those who print. */
static inline void ir_begin_insn(IrUnit *unit, uint16_t page_offset, int64_t raw)
{
    ir_emit(unit, (IrOp){ .opcode = IR_OP_insn, .imm = page_offset, .aux = raw });
    ir_set_retired(unit, unit->begun++);
    if (unit->breaks && ir_breaks_at(unit, page_offset)) {
        ir_call(unit, unit->check_break, 0, 0, 0, 0);
    }
    if (unit->check_insn) {
        ir_call(unit, unit->check_insn, 0, 0, 0, 0);
    }
}

enum { IR_MAX_ROUNDS = 3, IR_MAX_LOOP = 32 };

/*
 * Whether the present instruction, which branches to page_offset, should be followed by the unit's first, for another
 * round of a short loop: rounds in one unit share look-ups, and write no flags down between them. Then the target counts the
 * round and leaves where the branch is not taken.
 */
static inline bool ir_goes_round(const IrUnit *unit, int64_t page_offset, unsigned max_insns)
{
    unsigned longer = unit->begun + unit->begun / (unit->rounds + 1);

    return page_offset == unit->start && unit->rounds < IR_MAX_ROUNDS &&
           longer <= (max_insns < IR_MAX_LOOP ? max_insns : IR_MAX_LOOP);
}

/* Control: leaves to a page-relative pc; the first only when cond holds. */
static inline void ir_exit_if(IrUnit *unit, IrCond cond, IrRef flags, int64_t page_offset)
{
    ir_retire(unit);
    ir_emit(unit, (IrOp){ .opcode = IR_OP_exit_if, .cond = (uint8_t)cond, .args = { flags },
                          .imm = page_offset });
}

static inline void ir_goto(IrUnit *unit, int64_t page_offset)
{
    ir_retire(unit);
    ir_emit(unit, (IrOp){ .opcode = IR_OP_goto, .imm = page_offset });
}

/* kind: IR_JUMP …; jump_class: of the jump cache. */
static inline void ir_goto_indirect(IrUnit *unit, IrRef target, unsigned kind, unsigned jump_class)
{
    ir_retire(unit);
    ir_emit(unit, (IrOp){ .opcode = IR_OP_goto_ind, .sub = (uint16_t)kind, .args = { target },
                          .aux = jump_class });
}

/* The same for a target that is checked where it is not known yet: origin is what TcgTarget.check_jump gets. */
static inline void ir_goto_checked(IrUnit *unit, IrRef target, unsigned kind, int64_t origin)
{
    ir_retire(unit);
    ir_emit(unit, (IrOp){ .opcode = IR_OP_goto_ind, .sub = (uint16_t)kind, .imm = origin, .args = { target } });
}

static inline void ir_dispatch(IrUnit *unit, int64_t page_offset)
{
    ir_retire(unit);
    ir_emit(unit, (IrOp){ .opcode = IR_OP_dispatch, .imm = page_offset });
}

static inline void ir_dispatch_env(IrUnit *unit)
{
    ir_retire(unit);
    ir_emit(unit, (IrOp){ .opcode = IR_OP_dispatch_env });
}

#endif
