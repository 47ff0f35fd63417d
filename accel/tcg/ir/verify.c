/* SPDX-License-Identifier: MIT */
/* What must hold of every unit; run after each stage with -accel tcg,verify=on and in tests. */
#include "accel/tcg/ir/flags.h"
#include "accel/tcg/ir/ir.h"
#include "base/error.h"

/* Types of arguments: T the op's type, one letter otherwise as in ir_op_info.result; '*' any integer. */
static const char *argument_types(const IrOp *op)
{
    switch (op->opcode) {
    case IR_OP_zext:
    case IR_OP_sext:
    case IR_OP_vdup:
    case IR_OP_vfromint:
        return "*";
    case IR_OP_trunc:
        return "L";
    case IR_OP_adcf:
    case IR_OP_sbcf:
    case IR_OP_adc:
    case IR_OP_sbc:
    case IR_OP_shlf:
    case IR_OP_shrf:
    case IR_OP_sarf:
    case IR_OP_rolf:
    case IR_OP_rorf:
    case IR_OP_rcl:
    case IR_OP_rcr:
    case IR_OP_rclf:
    case IR_OP_rcrf:
        return "TTF";
    case IR_OP_shldf:
    case IR_OP_shrdf:
        return "TTTF";
    case IR_OP_fmerge:
        return "FF";
    case IR_OP_fpack:
        return "I";
    case IR_OP_funpack:
    case IR_OP_cset:
    case IR_OP_exit_if:
        return "F";
    case IR_OP_sel:
        return "FTT";
    case IR_OP_fsel:
        return "FFF";
    case IR_OP_fcmp:
        return "QQ";
    case IR_OP_ld:
    case IR_OP_ldchk:
    case IR_OP_ldraw:
    case IR_OP_mzero:
    case IR_OP_goto_ind:
        return "L";
    case IR_OP_st:
    case IR_OP_amo:
        return "LT";
    case IR_OP_st2:
    case IR_OP_cas:
        return "LTT";
    case IR_OP_stx:
        return "L*L*";
    case IR_OP_vins:
        return "Q*";
    case IR_OP_vlane:
        return "Q";
    case IR_OP_crc32c:
        return "I*";
    case IR_OP_fop:
    case IR_OP_call:
        return "....";
    case IR_OP_call_if:
        return "F***";
    case IR_OP_set:
        return ".";
    }
    return ir_op_info[op->opcode].result == 'Q' ? "QQQ" : "TTT";
}

static bool type_fits(char wanted, IrType type, const IrOp *op)
{
    switch (wanted) {
    case 'T':
        return type == op->type;
    case 'L':
        return type == IR_I64;
    case 'I':
        return type == IR_I32;
    case 'F':
        return type == IR_FLAGS;
    case 'Q':
        return type == IR_V128;
    case '*':
        return type == IR_I32 || type == IR_I64;
    }
    return type != IR_VOID;
}

/* How many of an op's arguments must be there. */
static unsigned minimum_args(const IrOp *op)
{
    switch (op->opcode) {
    case IR_OP_call:
    case IR_OP_fop:
        return 0;
    case IR_OP_call_if:
        return 1;
    case IR_OP_shlf:
    case IR_OP_shrf:
    case IR_OP_sarf:
    case IR_OP_rolf:
    case IR_OP_rorf:
        return 2;
    case IR_OP_shldf:
    case IR_OP_shrdf:
        return 3;
    default:
        return ir_op_info[op->opcode].args;
    }
}

/* The narrowest width of a flags producer or of a value op with merging, as log2 of bytes. */
static unsigned narrowest(unsigned opcode)
{
    switch (opcode) {
    case IR_OP_shldf:
    case IR_OP_shrdf:
    case IR_OP_btf:
    case IR_OP_lzcntf:
    case IR_OP_tzcntf:
    case IR_OP_popcntf:
    case IR_OP_shld:
    case IR_OP_shrd:
    case IR_OP_mul:
    case IR_OP_clz:
    case IR_OP_ctz:
    case IR_OP_popcnt:
        return 1;
    default:
        return 0;
    }
}

static bool may_merge(unsigned opcode)
{
    if (opcode == IR_OP_or || opcode == IR_OP_xor || opcode == IR_OP_not) {
        return true;
    }
    for (unsigned i = 0; i < IR_OP_COUNT; i++) {
        if (ir_value_of_flags(i) == (IrOpcode)opcode) {
            return true;
        }
    }
    return false;
}

/* Which bits of `sub` an integer or flags op may have. */
static unsigned allowed_sub(const IrOp *op)
{
    unsigned opcode = op->opcode;
    unsigned merge = may_merge(opcode) ? IR_MERGE16 | (narrowest(opcode) ? 0 : IR_MERGE8) : 0;

    switch (opcode) {
    case IR_OP_subf:
    case IR_OP_sbcf:
        return IR_BORROW;
    case IR_OP_sbc:
        return IR_BORROW | merge;
    case IR_OP_mulf:
        return IR_UNSIGNED;
    case IR_OP_fconst:
    case IR_OP_fpack:
    case IR_OP_funpack:
    case IR_OP_fcmp:
        return IR_X86;
    default:
        return merge;
    }
}

/* Widths and variants of integer and flags ops. */
static bool check_width(const IrOp *op, unsigned index, GError **error)
{
    const char *name = ir_op_info[op->opcode].name;

    if (ir_is_flags_producer(op->opcode) &&
        ((op->type != IR_I32 && op->type != IR_I64) || op->esz < narrowest(op->opcode) ||
         op->esz > 3 || (op->esz >= 2 && op->esz != (op->type == IR_I32 ? 2 : 3)))) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "op %u (%s): width esz=%u does not go with its operands", index, name,
                          op->esz);
    }
    if (op->opcode <= IR_OP_fcmp &&
        ((op->sub & ~allowed_sub(op)) ||
         (op->sub & (IR_MERGE8 | IR_MERGE16)) == (IR_MERGE8 | IR_MERGE16))) {
        return error_fail(error, KASO_ERROR_INVALID, "op %u (%s) has no variant sub=%u", index,
                          name, op->sub);
    }
    if (op->opcode == IR_OP_fmerge && (op->imm & ~(int64_t)TCG_FLAGS_ALL)) {
        return error_fail(error, KASO_ERROR_INVALID, "op %u (fmerge): imm names what is no flag",
                          index);
    }
    return true;
}

static bool check_types(const IrOp *op, unsigned index, GError **error)
{
    if (op->type > IR_V256 || op->cond >= IR_COND_COUNT) {
        return error_fail(error, KASO_ERROR_INVALID, "op %u (%s) has no such type or condition",
                          index, ir_op_info[op->opcode].name);
    }
    if (op->type == IR_V256) {
        return error_fail(error, KASO_ERROR_INVALID, "op %u (%s): there are no v256 ops yet", index,
                          ir_op_info[op->opcode].name);
    }
    return true;
}

static bool check_arguments(const IrUnit *unit, unsigned index, GError **error)
{
    const IrOp *op = &unit->ops[index];
    const IrOpInfo *info = &ir_op_info[op->opcode];
    const char *types = argument_types(op);
    unsigned count = 0;

    for (; count < 4 && op->args[count]; count++) {
        IrRef arg = op->args[count];
        IrType type;

        if (arg >= index) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "op %u (%s) uses %%%u before it is defined", index, info->name, arg);
        }
        if (count >= info->args) {
            return error_fail(error, KASO_ERROR_INVALID, "op %u (%s) has too many arguments", index,
                              info->name);
        }
        type = ir_result_type(&unit->ops[arg]);
        if (!type_fits(types[count], type, op)) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "op %u (%s): argument %u has the wrong type", index, info->name,
                              count);
        }
    }
    if (count < minimum_args(op)) {
        return error_fail(error, KASO_ERROR_INVALID, "op %u (%s) has %u arguments, not %u", index,
                          info->name, count, minimum_args(op));
    }
    return true;
}

static bool check_variable(const IrUnit *unit, unsigned index, GError **error)
{
    const IrOp *op = &unit->ops[index];
    IrType type =
        op->opcode == IR_OP_get ? (IrType)op->type : ir_result_type(&unit->ops[op->args[0]]);

    if (op->var >= unit->var_count || unit->vars[op->var].type != type) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "op %u (%s): no such variable, or its type differs", index,
                          ir_op_info[op->opcode].name);
    }
    return true;
}

/* A call's arguments and result are the helper's. */
static bool check_call(const IrUnit *unit, unsigned index, GError **error)
{
    const IrOp *op = &unit->ops[index];
    bool fits = op->type == op->helper->result;

    for (unsigned k = 0; k < 4; k++) {
        IrType type = op->args[k] ? ir_result_type(&unit->ops[op->args[k]]) : IR_VOID;

        fits &= type == op->helper->arg_types[k];
    }
    if (!fits) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "op %u (call): arguments or result are not those of helper %s", index,
                          op->helper->name);
    }
    return true;
}

static bool check_op(const IrUnit *unit, unsigned index, GError **error)
{
    const IrOp *op = &unit->ops[index];

    if (op->opcode >= IR_OP_COUNT) {
        return error_fail(error, KASO_ERROR_INVALID, "op %u has no such opcode", index);
    }
    if (op->opcode != IR_OP_nop && ir_op_info[op->opcode].result == 'T' && op->type == IR_VOID &&
        op->opcode != IR_OP_call) {
        return error_fail(error, KASO_ERROR_INVALID, "op %u (%s) has no type", index,
                          ir_op_info[op->opcode].name);
    }
    if (!check_types(op, index, error) || !check_width(op, index, error) ||
        !check_arguments(unit, index, error)) {
        return false;
    }
    if ((op->opcode == IR_OP_get || op->opcode == IR_OP_set) &&
        !check_variable(unit, index, error)) {
        return false;
    }
    if ((op->opcode == IR_OP_call || op->opcode == IR_OP_call_if || op->opcode == IR_OP_fop ||
         op->opcode == IR_OP_fcmp) &&
        !op->helper) {
        return error_fail(error, KASO_ERROR_INVALID, "op %u (%s) has no helper", index,
                          ir_op_info[op->opcode].name);
    }
    if (op->opcode == IR_OP_call && !check_call(unit, index, error)) {
        return false;
    }
    if (op->opcode == IR_OP_ldraw && unit->ops[op->args[0]].opcode != IR_OP_ldchk) {
        return error_fail(error, KASO_ERROR_INVALID, "op %u: ldraw of what is no cookie", index);
    }
    return true;
}

bool ir_verify(const IrUnit *unit, GError **error)
{
    unsigned last = 0;

    for (unsigned i = 1; i < unit->count; i++) {
        if (unit->ops[i].opcode == IR_OP_nop) {
            continue;
        }
        if (last && ir_op_ends_unit(&unit->ops[last])) {
            return error_fail(error, KASO_ERROR_INVALID, "op %u follows the unit's end", i);
        }
        if (!check_op(unit, i, error)) {
            return false;
        }
        last = i;
    }
    if (!last || !ir_op_ends_unit(&unit->ops[last])) {
        return error_fail(error, KASO_ERROR_INVALID, "the unit has no end");
    }
    return true;
}
