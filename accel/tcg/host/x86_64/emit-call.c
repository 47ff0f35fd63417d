/* SPDX-License-Identifier: MIT */
/* Calls of C helpers, by the System V calling convention. */
#include "accel/tcg/host/x86_64/emitter.h"

typedef struct {
    IrRef ref; /* source: a value */
    int from;  /* its register, or NO_REG: loaded after the moves */
    int to;
    bool done;
} ArgMove;

static bool is_pending(const ArgMove *move)
{
    return !move->done && move->from != NO_REG;
}

static bool is_source(const ArgMove *moves, unsigned count, int reg)
{
    for (unsigned i = 0; i < count; i++) {
        if (is_pending(&moves[i]) && moves[i].from == reg) {
            return true;
        }
    }
    return false;
}

static bool is_target(const ArgMove *moves, unsigned count, int reg)
{
    for (unsigned i = 0; i < count; i++) {
        if (is_pending(&moves[i]) && moves[i].to == reg) {
            return true;
        }
    }
    return false;
}

/* A move whose target no other pending move reads, or -1. */
static int find_safe_move(const ArgMove *moves, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (is_pending(&moves[i]) && !is_source(moves, count, moves[i].to)) {
            return (int)i;
        }
    }
    return -1;
}

/* Breaks a cycle: a source that is also a target goes to a spare register. Pins are saved by now. */
static void break_cycle(Emitter *e, ArgMove *moves, unsigned count)
{
    static const int8_t spares[] = { RAX, R10, R11 };

    for (unsigned i = 0; i < count; i++) {
        int from = moves[i].from, spare = VTMP0;

        if (!is_pending(&moves[i]) || !is_target(moves, count, from)) {
            continue;
        }
        for (unsigned s = 0; from < XMM0 && s < G_N_ELEMENTS(spares); s++) {
            spare = spares[s];
            if (!is_source(moves, count, spare)) {
                break;
            }
        }
        emitter_copy(e, spare, from);
        for (unsigned j = 0; j < count; j++) {
            if (is_pending(&moves[j]) && moves[j].from == from) {
                moves[j].from = spare;
            }
        }
        return;
    }
}

static void move_arguments(Emitter *e, ArgMove *moves, unsigned count)
{
    unsigned pending = 0;

    for (unsigned i = 0; i < count; i++) {
        moves[i].done = moves[i].from == moves[i].to;
        pending += !moves[i].done && moves[i].from != NO_REG;
    }
    while (pending) {
        int i = find_safe_move(moves, count);

        if (i < 0) {
            break_cycle(e, moves, count);
            continue;
        }
        emitter_copy(e, moves[i].to, moves[i].from);
        moves[i].done = true;
        pending--;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!moves[i].done && moves[i].from == NO_REG) {
            emitter_load_value(e, e->values[moves[i].ref].root, moves[i].to);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        if (e->values[moves[i].ref].upper_garbage) {
            asm_mov(&e->a, false, moves[i].to, moves[i].to);
        }
    }
}

static const int8_t int_args[] = { RDI, RSI, RDX, RCX, R8, R9 };

static void place_arguments(Emitter *e, const IrOp *op)
{
    bool env = op->helper->flags & HELPER_ENV;
    unsigned ints = env, vectors = 0, count = 0;
    ArgMove moves[4];

    for (unsigned k = 0; k < 4 && op->args[k]; k++) {
        IrRef root = e->values[op->args[k]].root;
        bool vector = ir_result_type(&e->unit->ops[root]) == IR_V128;

        moves[count++] = (ArgMove){
            .ref = op->args[k],
            .from = e->values[root].regs ? __builtin_ctz(e->values[root].regs) : NO_REG,
            .to = vector ? XMM0 + (int)vectors++ : int_args[ints++],
        };
    }
    /* rdi is loaded last, so that it may still be a source. */
    move_arguments(e, moves, count);
    if (op->helper->flags & HELPER_IMM) {
        asm_mov_imm(&e->a, int_args[ints], (uint64_t)op->imm);
    }
    if (env) {
        asm_lea(&e->a, true, RDI, mem(RBP, -e->b->runtime.env_bias));
    }
}

void emit_call(Emitter *e, const IrOp *op)
{
    Assembler *a = &e->a;
    unsigned flags = op->helper->flags;
    bool writes = flags & HELPER_WRITES;
    bool reads = writes || (flags & (HELPER_READS | HELPER_FAULTS | HELPER_NORETURN));

    for (unsigned k = 0; k < 4; k++) {
        if (op->args[k] && e->eflags && e->values[op->args[k]].root == e->eflags) {
            emitter_use(e, op->args[k]);
        }
    }
    e->locked = 0;
    emitter_evict_groups(e, ~0u);
    emitter_clobber_flags(e);
    if (reads) {
        emitter_write_back(e);
        asm_store_imm(a, 2, ENV(e, pc_offset), e->pc_offset);
    }
    if (writes) {
        emitter_detach_variables(e);
    }
    emitter_spill_temporaries(e);
    asm_call_to(a, e->b->save_pins);
    place_arguments(e, op);
    asm_call_to(a, op->helper->function);
    emitter_advance(e);
    emitter_drop_temporaries(e);
    if (flags & HELPER_NORETURN) {
        e->done = true;
        e->locked = 0;
        return;
    }
    if (writes) {
        emitter_forget_variables(e);
    }
    if (flags & (HELPER_WRITES | HELPER_EFFECT)) {
        asm_load(a, true, R15, ENV(e, context));
    }
    asm_call_to(a, writes ? e->b->load_pins : e->b->load_volatile_pins);
    if (op->type == IR_VOID) {
        emitter_finish_void(e);
        return;
    }
    if (op->type == IR_I32) {
        asm_mov(a, false, RAX, RAX);
    }
    emitter_finish_from(e, op->type == IR_V128 ? XMM0 : RAX);
}

/* Where a stub keeps EFLAGS: the place of a vector argument, of which there are none. */
enum { KEPT_EFLAGS = FRAME_VECTOR_ARGS + 48 };

/* An argument's register, or NO_REG: a constant. */
static int8_t call_if_argument(Emitter *e, IrRef ref)
{
    uint64_t value;

    /* Upper halves of 32-bit arguments do not count in the calling convention. */
    return !ref || emitter_const(e, ref, &value) ? NO_REG : (int8_t)emitter_use(e, ref);
}

void emit_call_if(Emitter *e, const IrOp *op)
{
    Assembler *a = &e->a;
    HostCondition c = emitter_condition(e, op->args[0], op->cond);
    ColdStub *stub = emitter_stub(e, STUB_CALL);
    uint8_t *jumps[2];
    unsigned count = 0;

    stub->address = call_if_argument(e, op->args[1]);
    stub->value = call_if_argument(e, op->args[2]);
    stub->value2 = call_if_argument(e, op->args[3]);
    emitter_advance(e);
    emitter_snapshot(e, stub);
    stub->keep_eflags = e->eflags && emitter_needed_after(e, e->eflags);
    if (c.parity != PARITY_NONE) {
        count = emit_skip_unless(e, c, jumps);
        emitter_stub_jump(stub, asm_jmp(a));
        while (count) {
            asm_patch_short(a, jumps[--count]);
        }
    } else {
        emitter_stub_jump(stub, asm_jcc(a, c.cc));
    }
    stub->join = a->p;
    emitter_finish_void(e);
}

void emit_call_stub(Emitter *e, ColdStub *stub)
{
    const IrOp *op = &e->unit->ops[stub->op];
    const int8_t regs[3] = { stub->address, stub->value, stub->value2 };
    uintptr_t function = (uintptr_t)op->helper->function;
    Mem place = mem(RSP, FRAME_FUNCTION);
    uint64_t value;

    if (stub->keep_eflags) {
        asm_u8(&e->a, 0x9c); /* pushf */
        asm_pop_mem(&e->a, mem(RSP, KEPT_EFLAGS));
    }
    if (stub->save_flags) {
        asm_store(&e->a, true, mem(RSP, FRAME_SCRATCH), RAX);
        emit_eflags_to_ax(e, stub->flags_kind, NO_REG);
        asm_store_sized(&e->a, 1, emitter_home(e, e->b->flags_var), RAX);
        asm_load(&e->a, true, RAX, mem(RSP, FRAME_SCRATCH));
    }
    emit_cold_stores(e, stub);
    asm_store_imm(&e->a, 2, ENV(e, pc_offset), stub->pc_offset);
    for (unsigned i = 0; i < 3; i++) {
        Mem slot = mem(RSP, FRAME_INT_ARGS + 8 * (int)i);

        if (regs[i] != NO_REG) {
            asm_store(&e->a, true, slot, regs[i]);
        } else if (op->args[i + 1]) {
            emitter_const(e, op->args[i + 1], &value);
            asm_store_imm(&e->a, 2, slot, (int32_t)value);
            slot.disp += 4;
            asm_store_imm(&e->a, 2, slot, (int32_t)(value >> 32));
        }
    }
    asm_store_imm(&e->a, 2, place, (int32_t)function);
    place.disp += 4;
    asm_store_imm(&e->a, 2, place, (int32_t)((uint64_t)function >> 32));
    asm_call_to(&e->a, e->b->cold_helper);
    if (stub->keep_eflags) {
        asm_push_mem(&e->a, mem(RSP, KEPT_EFLAGS));
        asm_u8(&e->a, 0x9d); /* popf */
    }
    asm_jmp_to(&e->a, stub->join);
}
