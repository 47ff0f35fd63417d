/* SPDX-License-Identifier: MIT */
/* Stubs of memory accesses: the call of the thunk, and the record that it reads (cold.h). */
#include "accel/tcg/host/x86_64/cold.h"

#include "accel/tcg/host/x86_64/emitter.h"

static void put_value(Emitter *e, uint64_t value)
{
    if (asm_fits32((int64_t)value)) {
        asm_u8(&e->a, PLACE_CONST32);
        asm_u32(&e->a, (uint32_t)value);
    } else {
        asm_u8(&e->a, PLACE_CONST64);
        asm_u64(&e->a, value);
    }
}

static void put_store(Emitter *e, const ColdStore *store)
{
    const IrOp *op = &e->unit->ops[store->value];
    uint64_t value = 0;

    asm_u8(&e->a, store->var);
    if (store->reg != NO_REG) {
        asm_u8(&e->a, (unsigned)store->reg);
    } else if (op->opcode == IR_OP_fconst) {
        put_value(e, ir_const_flags(op));
    } else {
        emitter_const(e, store->value, &value);
        put_value(e, value);
    }
}

static void put_operand(Emitter *e, const Recipe *recipe, unsigned k, IrRef constant)
{
    const Mem *m = &recipe->memory[k];
    uint64_t value = 0;

    if (recipe->reg[k] != NO_REG) {
        asm_u8(&e->a, (unsigned)recipe->reg[k]);
    } else if (recipe->in_memory[k]) {
        asm_u8(&e->a, m->base == RSP ? PLACE_FRAME : PLACE_ENV);
        asm_u32(&e->a, (uint32_t)(m->disp + (m->base == RSP ? 0 : e->b->runtime.env_bias)));
    } else if (constant) {
        emitter_const(e, constant, &value);
        put_value(e, value);
    } else {
        asm_u8(&e->a, PLACE_NONE);
    }
}

static void put_recipe(Emitter *e, const Recipe *recipe)
{
    const IrOp *op = &e->unit->ops[recipe->op];

    asm_u8(&e->a, op->opcode);
    asm_u8(&e->a, recipe->form);
    asm_u8(&e->a, op->esz);
    asm_u8(&e->a, op->sub & 0xff);
    asm_u8(&e->a, op->sub >> 8);
    put_operand(e, recipe, 0, 0);
    put_operand(e, recipe, 1, recipe->form == RECIPE_TEST ? 0 : op->args[1]);
}

/* Where the n-th value to store is; constants follow. */
static int8_t value_place(const Emitter *e, IrRef ref, int reg, int32_t constants[2],
                          unsigned *count)
{
    uint64_t value = 0;

    if (reg != NO_REG) {
        return (int8_t)reg;
    }
    emitter_const(e, ref, &value);
    constants[(*count)++] = (int32_t)value;
    return PLACE_CONST32;
}

static unsigned access_bytes(const IrOp *op, unsigned kind)
{
    return kind == STUB_ZERO                          ? (unsigned)op->imm
           : kind == STUB_CHECK || kind == STUB_GROUP ? (unsigned)emit_access_size(op)
                                                      : 1u << op->esz;
}

static uint8_t record_flags(const ColdStub *stub, const IrOp *op)
{
    return (uint8_t)((op->type == IR_V128 ? RECORD_VECTOR : 0) |
                     (op->type == IR_I64 ? RECORD_I64 : 0) |
                     (emit_is_write(op) ? RECORD_WRITE : 0) |
                     (stub->group && stub->group->write ? RECORD_GROUP_WRITE : 0) |
                     (stub->has_recipe ? RECORD_RECIPE : 0));
}

static void describe_group(ColdRecord *record, const ColdStub *stub, const IrOp *op)
{
    const AccessGroup *g = stub->group;

    record->group_start = (int16_t)(g->start - emitter_lead_start(g, op, stub->imm));
    record->group_size = (uint16_t)(g->end - g->start);
}

void emit_memory_stub(Emitter *e, ColdStub *stub)
{
    const IrOp *op = &e->unit->ops[stub->op];
    ColdRecord record = { .imm = stub->imm,
                          .pc_offset = stub->pc_offset,
                          .size = (uint16_t)access_bytes(op, stub->kind),
                          .sub = op->sub,
                          .kind = stub->kind,
                          .flags = record_flags(stub, op),
                          .address = stub->address == NO_REG ? RSP : stub->address,
                          .result = stub->result,
                          .values = { PLACE_NONE, PLACE_NONE },
                          .stores = (uint8_t)stub->store_count };
    bool vectors = stub->save_vectors || record.flags & RECORD_VECTOR;
    int32_t constants[2];
    unsigned count = 0;

    asm_call_to(&e->a, e->b->cold_access[vectors]);
    record.join = (int32_t)(stub->join - e->a.p);
    if (stub->kind == STUB_GROUP) {
        describe_group(&record, stub, op);
    }
    if (stub->kind == STUB_STORE || stub->kind == STUB_STORE2) {
        record.values[0] = value_place(e, op->args[1], stub->value, constants, &count);
    }
    if (stub->kind == STUB_STORE2) {
        record.values[1] = value_place(e, op->args[2], stub->value2, constants, &count);
    }
    asm_bytes(&e->a, &record, sizeof record);
    for (unsigned i = 0; i < stub->store_count; i++) {
        put_store(e, &e->cold_stores[stub->first_store + i]);
    }
    if (stub->has_recipe) {
        put_recipe(e, &e->recipes[stub - e->stubs]);
    }
    for (unsigned i = 0; i < count; i++) {
        asm_u32(&e->a, (uint32_t)constants[i]);
    }
}
