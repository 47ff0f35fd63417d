/* SPDX-License-Identifier: MIT */
/*
 * Read-modify-write: a load for writing, an operation on what it gives, and the store of the result to the same place
 * are one instruction of the host's, which leaves its flags in EFLAGS. When the lookup fails, a stub does the two accesses.
 */
#include "accel/tcg/host/x86_64/emitter.h"

enum { MAX_DISTANCE = 8 };

typedef struct {
    uint8_t opcode; /* of the rm, reg form */
    uint8_t digit;  /* of group 1 */
    uint8_t flags;  /* the IR's flags op */
} Operation;

static const Operation operations[IR_OP_COUNT] = {
    [IR_OP_add] = { OP_ADD - 2, G1_ADD, IR_OP_addf },
    [IR_OP_sub] = { OP_SUB - 2, G1_SUB, IR_OP_subf },
    [IR_OP_and] = { OP_AND - 2, G1_AND, IR_OP_andf },
    [IR_OP_or] = { OP_OR - 2, G1_OR, IR_OP_andf },
    [IR_OP_xor] = { OP_XOR - 2, G1_XOR, IR_OP_andf },
};

typedef struct {
    unsigned value, flags, store; /* ops; flags 0: none */
} Update;

static IrRef root_of(const Emitter *e, unsigned op, unsigned k)
{
    return e->values[e->unit->ops[op].args[k]].root;
}

/* The ops that follow, in this order; nothing else may happen between them. */
static bool find_ops(const Emitter *e, Update *u)
{
    const IrUnit *unit = e->unit;

    *u = (Update){ 0 };
    for (unsigned i = e->at + 1u; i < unit->count && i <= e->at + MAX_DISTANCE; i++) {
        unsigned opcode = unit->ops[i].opcode;

        if (e->values[i].skip || opcode == IR_OP_const) {
            continue;
        }
        if (!u->value && operations[opcode].flags) {
            u->value = i;
        } else if (u->value && !u->flags &&
                   opcode == operations[unit->ops[u->value].opcode].flags) {
            u->flags = i;
        } else {
            u->store = i;
            return u->value && opcode == IR_OP_st;
        }
    }
    return false;
}

/* The store is to where the load was from, of the result, which nothing but the flags op uses as well. */
static bool is_same_place(const Emitter *e, const IrOp *load, const Update *u)
{
    const IrOp *store = &e->unit->ops[u->store];

    return load->type != IR_V128 && store->esz == load->esz && store->imm == load->imm &&
           store->sub == (load->sub & ~IR_MEM_FOR_WRITE) &&
           !(store->sub & (IR_MEM_BE | IR_MEM_SC | IR_MEM_ALIGNED | IR_MEM_OTHER)) &&
           root_of(e, u->store, 0) == e->values[load->args[0]].root &&
           root_of(e, u->store, 1) == u->value && !e->values[u->store].use_next[1];
}

/* What was loaded is the first operand of the operation, and is used for nothing else. */
static bool has_operands(const Emitter *e, const IrOp *load, const Update *u)
{
    const IrOp *value = &e->unit->ops[u->value];
    IrRef b = root_of(e, u->value, 1);

    return root_of(e, u->value, 0) == e->at && b < e->at && value->type == load->type &&
           ir_op_size(value) == load->esz && e->values[e->at].next_use == u->value &&
           (e->values[u->value].use_next[0] == 0 ||
            (e->values[u->value].use_next[0] == u->flags && root_of(e, u->flags, 0) == e->at &&
             e->values[u->flags].use_next[0] == 0));
}

/* The flags are those of the operation: of its operands, or a test of the result. */
static bool has_flags(const Emitter *e, const IrOp *load, const Update *u)
{
    const IrOp *value = &e->unit->ops[u->value], *flags = &e->unit->ops[u->flags];

    if (!u->flags) {
        return e->values[u->value].next_use == u->store;
    }
    if (flags->esz != load->esz || flags->type != value->type) {
        return false;
    }
    if (value->opcode == IR_OP_or || value->opcode == IR_OP_xor) {
        return root_of(e, u->flags, 0) == u->value && root_of(e, u->flags, 1) == u->value &&
               e->values[u->value].next_use == u->flags;
    }
    return root_of(e, u->flags, 0) == e->at && e->values[u->value].next_use == u->store &&
           root_of(e, u->flags, 1) == root_of(e, u->value, 1) &&
           (value->opcode != IR_OP_sub || flags->sub & IR_BORROW);
}

/* Whether the flags are wanted right behind the store, where they will be in EFLAGS. */
static bool are_used_next(const Emitter *e, const Update *u)
{
    unsigned use = e->values[u->flags].next_use;

    if (use && e->unit->ops[use].opcode == IR_OP_set) {
        use = e->values[use].use_next[0];
    }
    for (unsigned i = u->store + 1; use && i < use; i++) {
        switch (e->unit->ops[i].opcode) {
        case IR_OP_set:
        case IR_OP_get:
        case IR_OP_const:
        case IR_OP_insn:
            break;
        default:
            if (!e->values[i].skip) {
                return false;
            }
        }
    }
    return use;
}

static bool find_update(const Emitter *e, const IrOp *load, Update *u)
{
    if (!find_ops(e, u) || !is_same_place(e, load, u) || !has_operands(e, load, u) ||
        !has_flags(e, load, u)) {
        return false;
    }
    /* Flags that only faults can see are had by a recipe, which wants the result in a register. */
    return !u->flags || !e->values[u->flags].plan || are_used_next(e, u);
}

static void advance_to(Emitter *e, unsigned op)
{
    if (op) {
        e->values[op].skip = SKIP_FUSED;
        e->at = op;
        emitter_advance(e);
    }
}

static void emit_operation(Emitter *e, const IrOp *value, Mem m, int b, int32_t imm)
{
    const Operation *o = &operations[value->opcode];
    unsigned size = ir_op_size(value);

    if (b == NO_REG) {
        asm_group1_mem_imm_sized(&e->a, size, o->digit, m, imm);
    } else {
        asm_rm_sized(&e->a, o->opcode, size, b, m);
    }
}

/* The two accesses of an update that is not in a group, when its lookup fails. */
static ColdStub *add_slow_update(Emitter *e, const Update *u, const Access *access)
{
    const TlbLookup *l = &access->l;
    ColdStub *store, *update;

    access->stub->result = (int8_t)l->page;
    e->at = u->store;
    store = emitter_stub(e, STUB_STORE);
    store->address = (int8_t)l->address;
    store->imm = l->imm;
    store->value = (int8_t)l->page;
    emitter_snapshot(e, store);
    update = emitter_stub(e, STUB_UPDATE);
    update->op = (IrRef)u->value;
    update->result = (int8_t)l->page;
    update->keep_eflags = u->flags;
    update->load = access->stub;
    update->store = store;
    return update;
}

static void emit_accesses(Emitter *e, const Update *u, Access *access, int b, int32_t imm)
{
    ColdStub *update = NULL;

    emitter_check_access(e, access, STUB_LOAD);
    if (access->stub) {
        update = add_slow_update(e, u, access);
        update->value = (int8_t)b;
        update->imm = imm;
    }
    emit_operation(e, &e->unit->ops[u->value], emitter_access_mem(access), b, imm);
    e->at = u->store;
    if (update) {
        update->join = e->a.p;
    } else {
        emitter_end_access(e, access);
    }
}

bool emit_update(Emitter *e, const IrOp *load)
{
    Access access = { .l = { .size = 1u << load->esz,
                             .element = 1u << load->esz,
                             .flags = load->sub,
                             .write = true,
                             .page = NO_REG } };
    unsigned at = e->at;
    int b = NO_REG;
    int32_t imm;
    IrRef second;
    Update u;

    if (!find_update(e, load, &u)) {
        return false;
    }
    second = e->unit->ops[u.value].args[1];
    e->values[u.store].skip = SKIP_FUSED;
    emitter_clobber_flags(e);
    emitter_begin_access(e, load, &access);
    if (!emitter_const32(e, second, load->esz == 3, &imm)) {
        b = emitter_use(e, second);
    }
    if (!emitter_is_follower(e, at)) {
        access.l.page = emitter_scratch(e);
    }
    emitter_advance(e);
    advance_to(e, u.value);
    advance_to(e, u.flags);
    advance_to(e, u.store);
    e->at = at;
    emit_accesses(e, &u, &access, b, imm);
    if (u.flags) {
        emitter_set_eflags(e, (IrRef)u.flags, EFLAGS_DIRECT);
    }
    emitter_finish_void(e);
    emitter_release(e, e->values[second].root);
    return true;
}

/* Register forms of the operation, on what was loaded. */
static void emit_step(Emitter *e, const ColdStub *stub, unsigned opcode)
{
    unsigned size = ir_op_size(&e->unit->ops[stub->op]);
    const Operation *o = &operations[opcode];

    if (stub->value == NO_REG) {
        asm_group1_imm_sized(&e->a, size, o->digit, stub->result, stub->imm);
    } else {
        asm_rr_sized(&e->a, o->opcode + 2u, size, stub->result, stub->value);
    }
}

/* The flags once more, from the result. */
static void emit_flags_again(Emitter *e, const ColdStub *stub)
{
    const IrOp *value = &e->unit->ops[stub->op];

    switch (value->opcode) {
    case IR_OP_add:
        emit_step(e, stub, IR_OP_sub);
        emit_step(e, stub, IR_OP_add);
        break;
    case IR_OP_sub:
        emit_step(e, stub, IR_OP_add);
        emit_step(e, stub, IR_OP_sub);
        break;
    default:
        asm_rr_sized(&e->a, OP_TEST, ir_op_size(value), stub->result, stub->result);
    }
}

void emit_update_stub(Emitter *e, const ColdStub *stub)
{
    stub->load->join = e->a.p;
    emit_step(e, stub, e->unit->ops[stub->op].opcode);
    emitter_stub_jump(stub->store, asm_jmp(&e->a));
    stub->store->join = e->a.p;
    if (stub->keep_eflags) {
        emit_flags_again(e, stub);
    }
    asm_jmp_to(&e->a, stub->join);
}
