/* SPDX-License-Identifier: MIT */
/* What must hold of every unit; run after each stage with -accel tcg,verify=on and in tests. */
#include <inttypes.h>

#include "accel/tcg/ir/abi.h"
#include "accel/tcg/ir/flags.h"
#include "accel/tcg/ir/ir.h"
#include "base/error.h"

const char *ir_argument_types(const IrOp *op)
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

static bool is_between(int64_t value, int64_t low, int64_t high)
{
    return value >= low && value <= high;
}

/* imm and aux of integer ops. */
static bool integer_fields_fit(const IrOp *op)
{
    int64_t width = op->type == IR_I32 ? 32 : 64;

    switch (op->opcode) {
    case IR_OP_extr:
        return is_between(op->imm, 0, width - 1);
    case IR_OP_ubfx:
    case IR_OP_sbfx:
    case IR_OP_bfi:
        return is_between(op->imm, 0, width - 1) && is_between(op->aux, 1, width - op->imm);
    case IR_OP_bswap:
        return op->esz >= 1 && op->esz <= (op->type == IR_I32 ? 2 : 3);
    case IR_OP_zext:
    case IR_OP_sext:
        return op->esz <= (op->type == IR_I32 ? 1 : 2);
    case IR_OP_crc32c:
        return op->esz <= 3;
    default:
        return true;
    }
}

static bool memory_fields_fit(const IrOp *op)
{
    switch (op->opcode) {
    case IR_OP_ldchk:
        return is_between(op->aux, 1, TCG_PAGE_SIZE);
    case IR_OP_mzero:
        return is_between(op->imm, 16, 2048) && !(op->imm & (op->imm - 1));
    case IR_OP_fence:
        return true;
    case IR_OP_amo:
        if (!is_between(op->aux, 0, IR_AMO_SWP)) {
            return false;
        }
    }
    return op->esz <= (op->type == IR_I32 ? 2 : op->type == IR_I64 ? 3 : 4);
}

/* esz, imm and aux of vector ops. */
static bool vector_fields_fit(const IrOp *op)
{
    int64_t width = 8 << op->esz, last = (16 >> op->esz) - 1;

    switch (op->opcode) {
    case IR_OP_vmull:
        return op->esz <= 2 && is_between(op->imm, 0, 1);
    case IR_OP_vwidens:
    case IR_OP_vwidenu:
    case IR_OP_vnarrow:
        return op->esz <= 2;
    case IR_OP_vshl:
        return op->esz <= 3 && is_between(op->imm, 0, width - 1);
    case IR_OP_vshr:
    case IR_OP_vsar:
        return op->esz <= 3 && is_between(op->imm, 0, width);
    case IR_OP_vext:
        return op->esz == 0 && is_between(op->imm, 0, 15);
    case IR_OP_vrev:
        return is_between(op->imm, op->esz + 1, 3);
    case IR_OP_vduplane:
    case IR_OP_vins:
    case IR_OP_vlane:
        return op->esz <= 3 && is_between(op->imm, 0, last);
    case IR_OP_vinslane:
        return op->esz <= 3 && is_between(op->imm, 0, last) && is_between(op->aux, 0, last);
    case IR_OP_vpopcnt:
        return op->esz == 0;
    default:
        return op->esz <= 3;
    }
}

static bool check_fields(const IrOp *op, unsigned index, GError **error)
{
    const IrOpInfo *info = &ir_op_info[op->opcode];
    bool fit;

    if (op->opcode == IR_OP_call || op->opcode == IR_OP_fop) {
        fit = op->opcode == IR_OP_call || op->sub < IR_FOP_COUNT;
    } else if (info->effects & IR_MEMORY) {
        fit = memory_fields_fit(op);
    } else if (info->result == 'Q' || op->opcode == IR_OP_vlane) {
        fit = vector_fields_fit(op);
    } else {
        fit = integer_fields_fit(op);
    }
    if (!fit) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "op %u (%s): esz=%u sub=%u imm=%" PRId64 " aux=%" PRId64
                          " is more than the op allows",
                          index, info->name, op->esz, op->sub, op->imm, op->aux);
    }
    return true;
}

enum {
    INTEGERS = 1 << IR_I32 | 1 << IR_I64,
    VALUES = INTEGERS | 1 << IR_V128,
    ANY_TYPE = VALUES | 1 << IR_VOID | 1 << IR_FLAGS,
};

/* What an op's type field may say, as bits. */
static unsigned allowed_types(const IrOp *op)
{
    unsigned opcode = op->opcode;

    if (ir_op_info[opcode].result == 'Q') {
        return 1 << IR_V128;
    }
    if ((opcode >= IR_OP_add && opcode <= IR_OP_bfi && opcode != IR_OP_trunc) ||
        ir_is_flags_producer(opcode)) {
        return INTEGERS;
    }
    switch (opcode) {
    case IR_OP_adc:
    case IR_OP_sbc:
    case IR_OP_cset:
    case IR_OP_cas:
    case IR_OP_amo:
    case IR_OP_stx:
    case IR_OP_vlane:
        return INTEGERS;
    case IR_OP_const:
    case IR_OP_sel:
    case IR_OP_ld:
    case IR_OP_ldraw:
    case IR_OP_st:
    case IR_OP_st2:
    case IR_OP_fop:
        return VALUES;
    case IR_OP_get:
    case IR_OP_set:
        return VALUES | 1 << IR_FLAGS;
    default:
        return ANY_TYPE;
    }
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
    if (!(allowed_types(op) >> op->type & 1)) {
        return error_fail(error, KASO_ERROR_INVALID, "op %u (%s) has the wrong type", index,
                          ir_op_info[op->opcode].name);
    }
    return true;
}

static bool check_arguments(const IrUnit *unit, unsigned index, GError **error)
{
    const IrOp *op = &unit->ops[index];
    const IrOpInfo *info = &ir_op_info[op->opcode];
    const char *types = ir_argument_types(op);
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
    if (!check_types(op, index, error) || !check_width(op, index, error) ||
        !check_fields(op, index, error) || !check_arguments(unit, index, error)) {
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
