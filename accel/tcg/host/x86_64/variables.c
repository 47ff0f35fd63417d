/* SPDX-License-Identifier: MIT */
/* Guest variables: what their current values are, and when they go back to memory. */
#include "accel/tcg/host/x86_64/emitter.h"

static bool is_dirty(const Emitter *e, unsigned var)
{
    return e->dirty[var / 64] >> var % 64 & 1;
}

static void clear_dirty(Emitter *e, unsigned var)
{
    e->dirty[var / 64] &= ~(UINT64_C(1) << var % 64);
}

void emitter_get(Emitter *e, const IrOp *op)
{
    IrRef value = (IrRef)e->at;
    int pin = e->b->var_pin[op->var];

    e->var_value[op->var] = value;
    if (pin != NO_REG) {
        emitter_bind(e, value, pin);
    } else {
        e->values[value].home_var = op->var;
        e->home_value[op->var] = value;
    }
}

static void set_pinned(Emitter *e, IrRef value, int pin)
{
    if (e->reg_value[pin] == value) {
        return;
    }
    emitter_take(e, pin);
    emitter_load_value(e, value, pin);
    emitter_bind(e, value, pin);
    for (uint32_t map = e->values[value].regs & e->b->temporaries; map; map &= map - 1) {
        e->reg_value[__builtin_ctz(map)] = 0;
    }
    e->values[value].regs &= ~e->b->temporaries;
}

/* The value that lives in the variable's home must go elsewhere before the home is overwritten. */
static void vacate_home(Emitter *e, unsigned var)
{
    IrRef old = e->home_value[var];

    if (!old) {
        return;
    }
    if (emitter_needed(e, old) && !e->values[old].regs && e->values[old].slot == NO_SLOT) {
        emitter_use(e, old);
    }
    e->values[old].home_var = NO_VAR;
    e->home_value[var] = 0;
}

static void set_unpinned(Emitter *e, IrRef value, unsigned var)
{
    const IrOp *op = &e->unit->ops[value];
    bool recipe = e->planned.alone && e->planned.flags == value;

    if (is_dirty(e, var)) {
        IrRef old = e->values[e->var_value[var]].root;

        clear_dirty(e, var);
        e->values[old].hold--;
        if (e->recipe.flags == old) {
            emitter_drop_recipe(e, &e->recipe);
        }
        emitter_release(e, old);
    }
    if (e->home_value[var] == value) {
        return;
    }
    vacate_home(e, var);
    /* EFLAGS will do until they are overwritten, unless a copy in the frame lets that happen. */
    if (!recipe && !emitter_is_immediate(op) &&
        (e->eflags != value || e->values[value].slot != NO_SLOT)) {
        emitter_use(e, value);
    }
    e->values[value].hold++;
    e->dirty[var / 64] |= UINT64_C(1) << var % 64;
    if (recipe || (var == e->b->flags_var && e->eflags == value)) {
        emitter_begin_recipe(e, value);
    }
}

void emitter_set(Emitter *e, const IrOp *op)
{
    IrRef value = e->values[op->args[0]].root;
    int pin = e->b->var_pin[op->var];

    emitter_lock_value(e, value);
    if (pin != NO_REG) {
        emitter_advance(e);
        set_pinned(e, value, pin);
    } else {
        /* The value counts as used only now, so that making room does not lose it. */
        set_unpinned(e, value, op->var);
        emitter_advance(e);
    }
    e->var_value[op->var] = value;
    emitter_finish_void(e);
}

static void store_const(Emitter *e, unsigned var, IrRef value)
{
    bool w = e->b->runtime.vars[var].type == IR_I64;
    Mem home = emitter_home(e, var);
    uint64_t full = 0;

    emitter_const(e, value, &full);
    if (!w || asm_fits32((int64_t)full)) {
        asm_store_imm(&e->a, w ? 3 : 2, home, (int32_t)full);
    } else {
        int reg = emitter_scratch(e);

        asm_mov_imm(&e->a, reg, full);
        asm_store(&e->a, true, home, reg);
        e->locked &= ~(1u << reg);
    }
}

/* Nothing has VTMP0 where variables are written back. */
static void store_vector_zero(Emitter *e, unsigned var)
{
    asm_vector_const(e, VTMP0, 0, 0);
    asm_vector_store(e, 4, emitter_home(e, var), VTMP0);
}

static void store_reg(Emitter *e, unsigned var, int reg)
{
    Mem home = emitter_home(e, var);

    switch (e->b->runtime.vars[var].type) {
    case IR_V128:
        asm_vector_store(e, 4, home, reg);
        break;
    case IR_FLAGS:
        asm_store_sized(&e->a, 1, home, reg);
        break;
    default:
        asm_store(&e->a, e->b->runtime.vars[var].type == IR_I64, home, reg);
    }
}

/* The variable's home now holds its current value. */
void emitter_mark_clean(Emitter *e, unsigned var)
{
    IrRef value = e->values[e->var_value[var]].root;

    clear_dirty(e, var);
    e->values[value].hold--;
    if (e->recipe.flags == value) {
        emitter_drop_recipe(e, &e->recipe);
    }
    if (e->values[value].home_var == NO_VAR) {
        e->values[value].home_var = (uint8_t)var;
        e->home_value[var] = value;
    }
}

void emitter_forget_flags(Emitter *e)
{
    unsigned var = e->b->flags_var;
    IrRef value = e->values[e->var_value[var]].root;

    clear_dirty(e, var);
    e->values[value].hold--;
    if (e->recipe.flags == value) {
        emitter_drop_recipe(e, &e->recipe);
    }
    emitter_release(e, value);
}

void emitter_store_home(Emitter *e, unsigned var)
{
    IrRef value = e->values[e->var_value[var]].root;
    unsigned opcode = e->unit->ops[value].opcode;

    if (e->values[value].regs) {
        store_reg(e, var, __builtin_ctz(e->values[value].regs));
    } else if (opcode == IR_OP_fconst) {
        asm_store_imm(&e->a, 1, emitter_home(e, var),
                      (int32_t)ir_const_flags(&e->unit->ops[value]));
    } else if (emitter_is_vector_zero(&e->unit->ops[value])) {
        store_vector_zero(e, var);
    } else if (opcode == IR_OP_const) {
        store_const(e, var, value);
    } else if (e->eflags == value || e->recipe.flags == value) {
        if (e->eflags != value) {
            Recipe recipe = emitter_recipe(e);

            emit_recipe(e, &recipe);
            emitter_set_eflags(e, value, emitter_flags_kind(&e->unit->ops[value]));
        }
        emitter_flags_to_rax(e); /* stores and marks */
        return;
    } else if (e->values[value].slot != NO_SLOT) {
        int reg = emitter_use(e, value);

        store_reg(e, var, reg);
        e->locked &= ~(1u << reg);
    } else {
        e->failed = true;
    }
    emitter_mark_clean(e, var);
}

void emitter_write_back(Emitter *e)
{
    for (unsigned word = 0; word < 2; word++) {
        for (uint64_t map = e->dirty[word]; map; map &= map - 1) {
            unsigned var = word * 64 + (unsigned)__builtin_ctzll(map);

            if (is_dirty(e, var)) {
                emitter_store_home(e, var);
            }
        }
    }
}

/* Stores what no later op of the unit overwrites: it is stored once on every path. */
void emitter_write_back_final(Emitter *e)
{
    for (unsigned word = 0; word < 2; word++) {
        for (uint64_t map = e->dirty[word]; map; map &= map - 1) {
            unsigned var = word * 64 + (unsigned)__builtin_ctzll(map);

            if (is_dirty(e, var) && e->last_set[var] < e->at) {
                emitter_store_home(e, var);
            }
        }
    }
}

void emitter_snapshot(Emitter *e, ColdStub *stub)
{
    stub->first_store = (uint16_t)e->cold_store_count;
    stub->store_count = 0;
    for (unsigned word = 0; word < 2; word++) {
        for (uint64_t map = e->dirty[word]; map; map &= map - 1) {
            unsigned var = word * 64 + (unsigned)__builtin_ctzll(map);
            IrRef value = e->values[e->var_value[var]].root;

            if (e->cold_store_count == MAX_COLD_STORES) {
                e->failed = true;
                return;
            }
            if (e->recipe.flags == value && e->eflags != value) {
                stub->has_recipe = true;
                e->recipes[stub - e->stubs] = emitter_recipe(e);
                continue;
            }
            if (!e->values[value].regs && e->eflags == value &&
                e->unit->ops[value].opcode != IR_OP_fconst) {
                stub->save_flags = true;
                stub->flags_kind = e->eflags_kind;
                continue;
            }
            e->cold_stores[e->cold_store_count++] = (ColdStore){
                .var = (uint8_t)var,
                .reg =
                    e->values[value].regs ? (int8_t)__builtin_ctz(e->values[value].regs) : NO_REG,
                .value = value,
            };
            stub->store_count++;
        }
    }
}

static void cold_store_const(Emitter *e, const ColdStore *store)
{
    const IrOp *op = &e->unit->ops[store->value];
    Mem home = emitter_home(e, store->var);
    uint64_t full = 0;

    if (op->opcode == IR_OP_fconst) {
        asm_store_imm(&e->a, 1, home, (int32_t)ir_const_flags(op));
        return;
    }
    emitter_const(e, store->value, &full);
    if (emitter_is_vector_zero(op)) {
        asm_store_imm(&e->a, 3, home, 0);
        home.disp += 8;
        asm_store_imm(&e->a, 3, home, 0);
    } else if (e->b->runtime.vars[store->var].type != IR_I64) {
        asm_store_imm(&e->a, 2, home, (int32_t)full);
    } else if (asm_fits32((int64_t)full)) {
        asm_store_imm(&e->a, 3, home, (int32_t)full);
    } else {
        asm_store_imm(&e->a, 2, home, (int32_t)full);
        home.disp += 4;
        asm_store_imm(&e->a, 2, home, (int32_t)(full >> 32));
    }
}

static void cold_store_recipe(Emitter *e, const Recipe *recipe)
{
    emit_recipe(e, recipe);
    asm_store(&e->a, true, mem(RSP, FRAME_SCRATCH), RAX);
    emit_eflags_to_ax(e, emitter_flags_kind(&e->unit->ops[recipe->op]), NO_REG);
    asm_store_sized(&e->a, 1, emitter_home(e, e->b->flags_var), RAX);
    asm_load(&e->a, true, RAX, mem(RSP, FRAME_SCRATCH));
}

/* In a stub: stores only, and no register changes. EFLAGS change when there is a recipe. */
void emit_cold_stores(Emitter *e, const ColdStub *stub)
{
    if (stub->has_recipe) {
        cold_store_recipe(e, &e->recipes[stub - e->stubs]);
    }
    for (unsigned i = 0; i < stub->store_count; i++) {
        const ColdStore *store = &e->cold_stores[stub->first_store + i];

        if (store->reg == NO_REG) {
            cold_store_const(e, store);
        } else {
            store_reg(e, store->var, store->reg);
        }
    }
}

/* Before a call that writes variables: old values that are still needed move to the frame. */
void emitter_detach_variables(Emitter *e)
{
    for (unsigned var = 0; var < e->b->runtime.var_count; var++) {
        IrRef old = e->home_value[var];
        int pin = e->b->var_pin[var];

        if (old) {
            if (emitter_needed(e, old)) {
                emitter_move_to_slot(e, old);
            }
            e->values[old].home_var = NO_VAR;
            e->home_value[var] = 0;
        }
        if (pin != NO_REG && e->reg_value[pin] && emitter_needed(e, e->reg_value[pin])) {
            emitter_move_to_slot(e, e->reg_value[pin]);
        }
    }
}

void emitter_forget_variables(Emitter *e)
{
    for (unsigned var = 0; var < e->b->runtime.var_count; var++) {
        int pin = e->b->var_pin[var];

        e->var_value[var] = 0;
        if (pin != NO_REG && e->reg_value[pin]) {
            e->values[e->reg_value[pin]].regs &= ~(1u << pin);
            e->reg_value[pin] = 0;
        }
    }
}
