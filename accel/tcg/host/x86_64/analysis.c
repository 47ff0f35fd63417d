/* SPDX-License-Identifier: MIT */
/*
 * What is known about a unit before any code is emitted: which values are aliases of others, where
 * each value is used next, which ops are dead, and which results may be computed right in a pin.
 */
#include "accel/tcg/host/x86_64/emitter.h"

/* Whether the value's bits above 32 are known to be zero. */
static bool has_clean_upper(const Emitter *e, IrRef ref)
{
    const IrOp *op = emitter_value(e, ref);

    if (e->values[ref].upper_garbage) {
        return false;
    }
    if (op->type == IR_I32 && ir_op_info[op->opcode].result != 'L') {
        return true;
    }
    switch (op->opcode) {
    case IR_OP_zext:
        return op->esz <= 2;
    case IR_OP_ubfx:
        return op->aux <= 32;
    case IR_OP_ld:
    case IR_OP_ldraw:
        return op->esz <= 2 && !(op->sub & IR_MEM_SIGNED);
    case IR_OP_const:
        return (uint64_t)op->imm <= UINT32_MAX;
    case IR_OP_cset:
        return true;
    default:
        return false;
    }
}

static void find_root(Emitter *e, unsigned i, bool vars_are_64)
{
    const IrOp *op = &e->unit->ops[i];
    IrRef arg = op->args[0];

    switch (op->opcode) {
    case IR_OP_trunc:
        if (vars_are_64 || has_clean_upper(e, arg)) {
            e->values[i].upper_garbage = !has_clean_upper(e, arg);
            e->values[i].root = e->values[arg].root;
        }
        break;
    case IR_OP_zext:
        if (op->esz == 2 && has_clean_upper(e, arg)) {
            e->values[i].root = e->values[arg].root;
        }
        break;
    case IR_OP_get:
        if (e->var_value[op->var]) {
            IrRef value = e->var_value[op->var];

            e->values[i].root = e->values[value].root;
            e->values[i].upper_garbage = e->values[value].upper_garbage;
        } else {
            e->var_value[op->var] = (IrRef)i;
        }
        break;
    case IR_OP_set:
        e->var_value[op->var] = arg;
        e->last_set[op->var] = (uint16_t)i;
        break;
    case IR_OP_call:
        if (op->helper->flags & HELPER_WRITES) {
            memset(e->var_value, 0, sizeof(e->var_value));
        }
        break;
    default:
        break;
    }
}

static void find_roots(Emitter *e)
{
    const IrUnit *unit = e->unit;
    bool vars_are_64 = true;

    for (unsigned i = 0; i < unit->var_count; i++) {
        vars_are_64 &= unit->vars[i].type != IR_I32;
    }
    e->vars_are_64 = vars_are_64;
    for (unsigned i = 0; i < unit->count; i++) {
        e->values[i] =
            (EmitterValue){ .root = (IrRef)i, .slot = NO_SLOT, .home_var = NO_VAR, .hint = NO_REG };
        find_root(e, i, vars_are_64);
        if (e->values[i].root != i) {
            e->values[i].skip = SKIP_DEAD;
        }
    }
    memset(e->var_value, 0, sizeof(e->var_value));
}

typedef struct {
    unsigned barrier;                  /* counts ops that observe variables */
    uint16_t pending_set[IR_MAX_VARS]; /* the next set of each variable */
    bool flags_seen, flags_set; /* of the flags variable: seen before it is set; set at all */
    struct {
        unsigned barrier;
        uint16_t set; /* 0: none */
        uint8_t var;
    } hints[IR_MAX_OPS]; /* by value */
} Backward;

/* Whether variables can be seen at the op. */
static bool is_barrier(const Emitter *e, unsigned i)
{
    const IrOp *op = &e->unit->ops[i];

    if (emitter_is_follower(e, i)) {
        return false;
    }
    return (ir_op_info[op->opcode].effects & (IR_FAULTS | IR_CONTROL)) ||
           (op->opcode == IR_OP_call && !op->helper->intrinsic && !op->helper->host);
}

static void note_set(Emitter *e, Backward *back, unsigned i)
{
    const IrOp *op = &e->unit->ops[i];
    IrRef value = e->values[op->args[0]].root;

    back->pending_set[op->var] = (uint16_t)i;
    back->hints[value].var = op->var;
    back->hints[value].set = (uint16_t)i;
    back->hints[value].barrier = back->barrier;
}

static void decide_hint(Emitter *e, const Backward *back, unsigned i)
{
    unsigned set = back->hints[i].set, var = back->hints[i].var;

    if (set && back->hints[i].barrier == back->barrier && back->pending_set[var] == set) {
        e->values[i].hint = e->b->var_pin[var];
    }
}

static void note_uses(Emitter *e, unsigned i)
{
    const IrOp *op = &e->unit->ops[i];
    unsigned count = ir_op_info[op->opcode].args;

    for (unsigned k = 0; k < count; k++) {
        e->values[i].use_next[k] = e->values[e->values[op->args[k]].root].next_use;
    }
    for (unsigned k = 0; k < count; k++) {
        if (op->args[k]) {
            e->values[e->values[op->args[k]].root].next_use = (uint16_t)i;
        }
    }
}

/* What can see the flags variable after op i, and whether it is worth a recipe to it. */
static void note_flags(Emitter *e, Backward *back, unsigned i)
{
    const IrOp *op = &e->unit->ops[i];
    bool mine = op->var == e->b->flags_var;

    if (op->opcode == IR_OP_set && mine) {
        e->values[e->values[op->args[0]].root].plan = back->flags_seen && back->flags_set;
        back->flags_seen = false;
        back->flags_set = true;
    } else if (is_barrier(e, i) || (op->opcode == IR_OP_get && mine)) {
        back->flags_seen = true;
    }
    e->values[i].flags_seen = back->flags_seen;
}

/* Backward: next uses (next_use ends as each value's first use), dead ops, hints. */
static void find_uses(Emitter *e)
{
    Backward back;

    back.barrier = 0;
    back.flags_seen = true;
    back.flags_set = false;
    memset(back.pending_set, 0, sizeof(back.pending_set));
    memset(back.hints, 0, e->unit->count * sizeof(back.hints[0]));
    for (unsigned i = e->unit->count - 1; i > 0; i--) {
        const IrOp *op = &e->unit->ops[i];

        e->values[i].flags_seen = back.flags_seen;
        if (e->values[i].skip) {
            continue;
        }
        if (!e->values[i].next_use && op->opcode != IR_OP_fop && op->opcode != IR_OP_fcmp &&
            !ir_op_has_effect(op)) {
            e->values[i].skip = SKIP_DEAD;
            continue;
        }
        if (op->opcode == IR_OP_set) {
            note_set(e, &back, i);
        } else {
            decide_hint(e, &back, i);
        }
        if (op->opcode == IR_OP_get) {
            back.pending_set[op->var] = 0;
        }
        back.barrier += is_barrier(e, i);
        note_flags(e, &back, i);
        note_uses(e, i);
    }
}

void emitter_analyse(Emitter *e)
{
    memset(e->var_value, 0, sizeof(e->var_value));
    memset(e->last_set, 0, sizeof(e->last_set));
    find_roots(e);
    emitter_plan_groups(e);
    find_uses(e);
}
