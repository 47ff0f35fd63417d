/* SPDX-License-Identifier: MIT */
/*
 * What nobody will see: sets of variables that are set again before anything can observe them
 * (faults, exits and helpers that read variables can), single flags that nobody asks for, and values
 * without a use.
 */
#include "accel/tcg/ir/flags.h"
#include "accel/tcg/opt/passes.h"

static bool observes_variables(const IrOp *op)
{
    if (op->opcode == IR_OP_call) {
        return op->helper->flags & (HELPER_READS | HELPER_WRITES | HELPER_FAULTS | HELPER_NORETURN);
    }
    return ir_op_info[op->opcode].effects & (IR_FAULTS | IR_CONTROL);
}

void opt_dead_sets(IrUnit *unit)
{
    uint64_t set_again[2] = { 0 };

    for (unsigned i = unit->count; i-- > 0;) {
        IrOp *op = &unit->ops[i];
        unsigned word = op->var / 64;
        uint64_t bit = UINT64_C(1) << op->var % 64;

        if (op->opcode == IR_OP_set) {
            if (set_again[word] & bit) {
                opt_remove(op);
            } else {
                set_again[word] |= bit;
            }
        } else if (op->opcode == IR_OP_get) {
            set_again[word] &= ~bit;
        } else if (observes_variables(op)) {
            set_again[0] = set_again[1] = 0;
        }
    }
}

typedef struct {
    IrUnit *unit;
    uint16_t live[IR_MAX_OPS];      /* TCG_FLAG_*: which flags of a value later ops look at */
    uint16_t var_live[IR_MAX_VARS]; /* which flags of a variable something can still see */
    IrRef replacement[IR_MAX_OPS];
} FlagWalk;

static unsigned cond_flags(IrCond cond)
{
    static const uint16_t flags[IR_COND_COUNT / 2] = {
        [IR_EQ / 2] = TCG_FLAG_Z,
        [IR_CS / 2] = TCG_FLAG_C,
        [IR_MI / 2] = TCG_FLAG_N,
        [IR_VS / 2] = TCG_FLAG_V,
        [IR_HI / 2] = TCG_FLAG_C | TCG_FLAG_Z,
        [IR_GE / 2] = TCG_FLAG_N | TCG_FLAG_V,
        [IR_GT / 2] = TCG_FLAG_N | TCG_FLAG_V | TCG_FLAG_Z,
        [IR_BE / 2] = TCG_FLAG_C | TCG_FLAG_Z,
        [IR_PE / 2] = TCG_FLAG_P,
    };

    return flags[cond / 2];
}

/* The argument of a shift or rotate that holds the old flags; 4: it is none. */
static unsigned old_flags_arg(unsigned opcode)
{
    return opcode < IR_OP_shlf || opcode > IR_OP_shrdf      ? 4
           : opcode == IR_OP_shldf || opcode == IR_OP_shrdf ? 3
                                                            : 2;
}

static bool is_rotate(unsigned opcode)
{
    return opcode >= IR_OP_rolf && opcode <= IR_OP_rcrf;
}

/* Of the old flags, those that matter when `want` of the new ones do. */
static unsigned kept_flags(const IrUnit *unit, const IrOp *op, unsigned want)
{
    const IrOp *count = &unit->ops[op->args[old_flags_arg(op->opcode) - 1]];
    bool through_carry = op->opcode == IR_OP_rclf || op->opcode == IR_OP_rcrf;

    if (count->opcode == IR_OP_const && (count->imm & (op->esz == 3 ? 63 : 31))) {
        want &= is_rotate(op->opcode) ? ~(unsigned)(TCG_FLAG_C | TCG_FLAG_V) : 0;
    }
    return want | (through_carry ? TCG_FLAG_C : 0);
}

static void note_merge(FlagWalk *w, unsigned i)
{
    const IrOp *op = &w->unit->ops[i];
    unsigned want = w->live[i], mask = (unsigned)op->imm;

    if (!(want & ~mask)) {
        w->replacement[i] = op->args[1];
    } else if (!(want & mask)) {
        w->replacement[i] = op->args[0];
    }
    w->live[op->args[0]] |= (uint16_t)(want & ~mask);
    w->live[op->args[1]] |= (uint16_t)(want & mask);
}

/* What an op looks at in the flags values among its arguments. */
static void note_flag_uses(FlagWalk *w, unsigned i)
{
    IrOp *op = &w->unit->ops[i];
    unsigned old = old_flags_arg(op->opcode), want = w->live[i], kept;

    if (old < 4) {
        kept = op->args[old] ? kept_flags(w->unit, op, want) : 0;
        w->live[op->args[old]] |= (uint16_t)kept;
        op->args[old] = kept ? op->args[old] : 0;
        return;
    }
    switch (op->opcode) {
    case IR_OP_cset:
    case IR_OP_sel:
    case IR_OP_exit_if:
    case IR_OP_call_if:
        w->live[op->args[0]] |= (uint16_t)cond_flags(op->cond);
        break;
    case IR_OP_fsel:
        w->live[op->args[0]] |= (uint16_t)cond_flags(op->cond);
        w->live[op->args[1]] |= (uint16_t)want;
        w->live[op->args[2]] |= (uint16_t)want;
        break;
    case IR_OP_fmerge:
        note_merge(w, i);
        break;
    case IR_OP_adc:
    case IR_OP_sbc:
    case IR_OP_adcf:
    case IR_OP_sbcf:
    case IR_OP_rcl:
    case IR_OP_rcr:
        w->live[op->args[2]] |= TCG_FLAG_C;
        break;
    case IR_OP_set:
        w->live[op->args[0]] |= w->var_live[op->var];
        w->var_live[op->var] = 0;
        break;
    case IR_OP_get:
        w->var_live[op->var] |= (uint16_t)want;
        break;
    default:
        for (unsigned k = 0; k < 4; k++) {
            w->live[op->args[k]] = TCG_FLAGS_ALL;
        }
    }
}

static bool has_partial_flags(const IrUnit *unit)
{
    for (unsigned i = 1; i < unit->count; i++) {
        const IrOp *op = &unit->ops[i];
        unsigned old = old_flags_arg(op->opcode);

        if (op->opcode == IR_OP_fmerge || (old < 4 && op->args[old])) {
            return true;
        }
    }
    return false;
}

void opt_dead_flags(IrUnit *unit)
{
    FlagWalk w;

    if (!has_partial_flags(unit)) {
        return;
    }
    w.unit = unit;
    memset(w.live, 0, unit->count * sizeof(w.live[0]));
    for (unsigned var = 0; var < unit->var_count; var++) {
        w.var_live[var] = TCG_FLAGS_ALL;
    }
    for (unsigned i = unit->count; i-- > 0;) {
        w.replacement[i] = (IrRef)i;
        if (observes_variables(&unit->ops[i])) {
            for (unsigned var = 0; var < unit->var_count; var++) {
                w.var_live[var] = TCG_FLAGS_ALL;
            }
        }
        note_flag_uses(&w, i);
    }
    for (unsigned i = 0; i < unit->count; i++) {
        w.replacement[i] = w.replacement[w.replacement[i]];
        opt_replace_args(&unit->ops[i], w.replacement);
    }
}

void opt_dead_values(IrUnit *unit)
{
    bool used[IR_MAX_OPS];

    memset(used, 0, unit->count);
    for (unsigned i = unit->count; i-- > 0;) {
        IrOp *op = &unit->ops[i];

        if (op->opcode == IR_OP_nop) {
            continue;
        }
        if (!used[i] && !ir_op_has_effect(op)) {
            opt_remove(op);
            continue;
        }
        for (unsigned k = 0; k < 4; k++) {
            used[op->args[k]] = true;
        }
    }
}
