/* SPDX-License-Identifier: MIT */
/*
 * Flags that only a fault or a side exit could still see, because they are set again later in the unit, need not be
 * computed when something overwrites EFLAGS: what they can be computed from is kept, and stubs do it.
 */
#include "accel/tcg/host/x86_64/emitter.h"

/* Made anew for each use: it has no place in which a stub could find it. */
static bool has_no_place(const Emitter *e, IrRef ref)
{
    const IrOp *op = emitter_value(e, ref);

    return op->opcode == IR_OP_const || emitter_is_near_pc(op);
}

static bool has_immediate(const Emitter *e, const IrOp *op)
{
    int32_t imm;

    return op->args[1] && emitter_const32(e, op->args[1], op->esz == 3, &imm);
}

/* Whether the second operand, if there is one, can be kept. */
static bool has_second(const Emitter *e, const IrOp *op)
{
    return !op->args[1] || has_immediate(e, op) || !has_no_place(e, op->args[1]);
}

/*
 * How the flags can be had again. The first operand of an op whose result is kept anyway mostly gives its register to it:
 * then the op is undone instead.
 */
static RecipeForm find_form(const Emitter *e, const IrOp *op, IrRef value)
{
    switch (op->opcode) {
    case IR_OP_andf:
        if (value) {
            return RECIPE_TEST;
        }
        break;
    case IR_OP_addf:
    case IR_OP_subf:
    case IR_OP_negf:
        if (value && !emitter_used_after(e, e->values[op->args[0]].root)) {
            return has_second(e, op) ? RECIPE_UNDO : RECIPE_NONE;
        }
        break;
    case IR_OP_shlf:
    case IR_OP_shrf:
    case IR_OP_sarf:
        if (op->args[2] || !has_immediate(e, op)) {
            return RECIPE_NONE;
        }
        break;
    default:
        return RECIPE_NONE;
    }
    return !has_no_place(e, op->args[0]) && has_second(e, op) ? RECIPE_REPEAT : RECIPE_NONE;
}

void emitter_plan_recipe(Emitter *e, IrRef flags, IrRef value)
{
    const IrOp *op = &e->unit->ops[flags];
    RecipeForm form;

    if (e->planned.alone) {
        return;
    }
    emitter_drop_recipe(e, &e->planned);
    if (!e->values[flags].plan || (op->type == IR_I64 && !e->vars_are_64) ||
        !(form = find_form(e, op, value))) {
        return;
    }
    e->planned = (KeptRecipe){ .flags = flags, .form = (uint8_t)form };
    e->planned.operands[0] = form == RECIPE_REPEAT ? e->values[op->args[0]].root : value;
    if (form != RECIPE_TEST && op->args[1] && !has_immediate(e, op)) {
        e->planned.operands[1] = e->values[op->args[1]].root;
    }
    for (unsigned k = 0; k < 2; k++) {
        if (e->planned.operands[k]) {
            e->values[e->planned.operands[k]].keep++;
        }
    }
}

void emitter_begin_recipe(Emitter *e, IrRef flags)
{
    if (e->planned.flags == flags) {
        e->recipe = e->planned;
        e->recipe.alone = false;
        e->planned = (KeptRecipe){ 0 };
    }
}

void emitter_drop_recipe(Emitter *e, KeptRecipe *recipe)
{
    if (!recipe->flags) {
        return;
    }
    recipe->flags = 0;
    for (unsigned k = 0; k < 2; k++) {
        IrRef root = recipe->operands[k];

        if (root) {
            e->values[root].keep--;
            emitter_release(e, root);
        }
    }
}

void emitter_forget_unseen(Emitter *e)
{
    IrRef flags = e->recipe.flags;

    if (flags && !e->values[e->at].flags_seen && e->values[flags].hold == 1 &&
        !e->values[flags].next_use) {
        emitter_forget_flags(e);
    }
}

Recipe emitter_recipe(const Emitter *e)
{
    Recipe r = { .op = e->recipe.flags, .form = e->recipe.form, .reg = { NO_REG, NO_REG } };

    for (unsigned k = 0; k < 2; k++) {
        IrRef root = e->recipe.operands[k];

        if (!root) {
            continue;
        }
        if (e->values[root].regs) {
            r.reg[k] = (int8_t)__builtin_ctz(e->values[root].regs);
        } else {
            r.in_memory[k] = true;
            r.memory[k] = e->values[root].slot != NO_SLOT
                              ? emitter_slot(e->values[root].slot)
                              : emitter_home(e, e->values[root].home_var);
        }
    }
    return r;
}

/* first = first op second, or a comparison of them. */
static void emit_step(Emitter *e, const Recipe *recipe, uint32_t opcode, unsigned digit, int first)
{
    const IrOp *op = &e->unit->ops[recipe->op];
    Assembler *a = &e->a;

    if (recipe->reg[1] != NO_REG) {
        asm_rr_sized(a, opcode, op->esz, first, recipe->reg[1]);
    } else if (recipe->in_memory[1]) {
        asm_rm_sized(a, opcode, op->esz, first, recipe->memory[1]);
    } else {
        uint64_t imm = 0;

        emitter_const(e, op->args[1], &imm);
        asm_group1_imm_sized(a, op->esz, digit, first, (int32_t)imm);
    }
}

static void emit_test(Emitter *e, const Recipe *recipe, int first)
{
    const IrOp *op = &e->unit->ops[recipe->op];
    uint64_t imm = 0;

    if (recipe->form == RECIPE_TEST) {
        asm_rr_sized(&e->a, OP_TEST, op->esz, first, first);
    } else if (recipe->reg[1] == NO_REG && !recipe->in_memory[1]) {
        emitter_const(e, op->args[1], &imm);
        asm_test_imm_sized(&e->a, op->esz, first, (int32_t)imm);
    } else {
        emit_step(e, recipe, OP_TEST, 0, first);
    }
}

/* The operation again, on its first operand or, undone first, on its result; first may be overwritten. */
static void emit_again(Emitter *e, const Recipe *recipe, int first)
{
    static const uint8_t shifts[IR_OP_COUNT] = {
        [IR_OP_shlf] = SHIFT_SHL,
        [IR_OP_shrf] = SHIFT_SHR,
        [IR_OP_sarf] = SHIFT_SAR,
    };
    const IrOp *op = &e->unit->ops[recipe->op];
    bool undo = recipe->form == RECIPE_UNDO;
    uint64_t count = 0;

    switch (op->opcode) {
    case IR_OP_addf:
        if (undo) {
            emit_step(e, recipe, OP_SUB, G1_SUB, first);
        }
        emit_step(e, recipe, OP_ADD, G1_ADD, first);
        break;
    case IR_OP_subf:
        if (undo) {
            emit_step(e, recipe, OP_ADD, G1_ADD, first);
        }
        emit_step(e, recipe, OP_SUB, G1_SUB, first);
        break;
    case IR_OP_negf:
        if (undo) {
            asm_digit_sized(&e->a, 0xf7, op->esz, 3, first);
        }
        asm_digit_sized(&e->a, 0xf7, op->esz, 3, first);
        break;
    default:
        emitter_const(e, op->args[1], &count);
        asm_shift_imm_sized(&e->a, op->esz, shifts[op->opcode], first,
                            (unsigned)count & (op->esz == 3 ? 63 : 31));
    }
}

void emit_recipe(Emitter *e, const Recipe *recipe)
{
    const IrOp *op = &e->unit->ops[recipe->op];
    bool compares =
        op->opcode == IR_OP_andf || (op->opcode == IR_OP_subf && recipe->form == RECIPE_REPEAT);
    Assembler *a = &e->a;
    int first = recipe->reg[0], saved = NO_REG;

    if (recipe->in_memory[0] || !compares) {
        /* A register for it, which is not the other operand. */
        saved = recipe->reg[1] == RCX ? RDX : RCX;
        asm_store(a, true, mem(RSP, FRAME_SCRATCH), saved);
        if (!recipe->in_memory[0]) {
            asm_mov(a, true, saved, first);
        } else {
            asm_load(a, op->type == IR_I64, saved, recipe->memory[0]);
        }
        first = saved;
    }
    if (op->opcode == IR_OP_andf) {
        emit_test(e, recipe, first);
    } else if (compares) {
        emit_step(e, recipe, OP_CMP, G1_CMP, first);
    } else {
        emit_again(e, recipe, first);
    }
    if (saved != NO_REG) {
        asm_load(a, true, saved, mem(RSP, FRAME_SCRATCH));
    }
}
