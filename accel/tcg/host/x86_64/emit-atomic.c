/* SPDX-License-Identifier: MIT */
/* Atomic read-modify-write ops, by lock instructions on the host address. */
#include "accel/tcg/host/x86_64/emitter.h"

/*
 * Host address of the access into a register that is returned; page is another register, free for
 * use after this. jump_over: a jump that is taken before the lookup.
 */
static int emit_host_address(Emitter *e, const IrOp *op, int address, int32_t imm, int t, int page)
{
    TlbLookup l = { .address = address,
                    .imm = imm,
                    .size = 1u << op->esz,
                    .element = 1u << op->esz,
                    .flags = op->sub,
                    .write = true,
                    .t = t,
                    .page = page };
    ColdStub *stub = emitter_stub(e, STUB_ATOMIC);

    stub->address = (int8_t)address;
    stub->imm = imm;
    stub->scratch = stub->result = (int8_t)t;
    emitter_snapshot(e, stub);
    emit_tlb_lookup(e, &l, stub);
    asm_lea(&e->a, true, t, mem_index(address, t, 0, imm));
    stub->join = e->a.p;
    return t;
}

/* Behind the instruction: what worked on a copy goes back. */
static void emit_end(Emitter *e)
{
    ColdStub *stub;

    if (e->b->runtime.atomic_end) {
        stub = emitter_stub(e, STUB_ATOMIC_END);
        asm_group1_mem_imm(&e->a, false, G1_CMP, ENV(e, exclusive_size), 0);
        emitter_stub_jump(stub, asm_jcc(&e->a, CC_NE));
        stub->join = e->a.p;
    }
}

/* lock op [host], reg for an instruction whose byte form is one less. */
static void emit_locked(Emitter *e, const IrOp *op, unsigned map, unsigned opcode, int host,
                        int reg)
{
    asm_u8(&e->a, 0xf0);
    asm_rm(&e->a,
           op->esz == 0 ? OP_BYTE_REG | OP(PP_NONE, map, opcode - 1)
                        : OP(op->esz == 1 ? PP_66 : PP_NONE, map, opcode),
           op->esz == 3, reg, mem(host, 0));
}

static void emit_cmpxchg(Emitter *e, const IrOp *op, int host, int value)
{
    emit_locked(e, op, MAP_0F, 0xb1, host, value);
}

static void swap_if_big_endian(Emitter *e, const IrOp *op, int reg)
{
    if ((op->sub & IR_MEM_BE) && op->esz) {
        if (op->esz == 1) {
            asm_u8(&e->a, 0x66);
            asm_shift_imm(&e->a, false, SHIFT_ROL, reg, 8);
        } else {
            asm_bswap(&e->a, op->esz == 3, reg);
        }
    }
}

/* The value to write, swapped in a spare register when the access is big-endian. */
static int value_to_write(Emitter *e, const IrOp *op, int value, int spare)
{
    if ((op->sub & IR_MEM_BE) && op->esz) {
        asm_mov(&e->a, true, spare, value);
        swap_if_big_endian(e, op, spare);
        return spare;
    }
    return value;
}

static void emit_cas(Emitter *e, const IrOp *op)
{
    int32_t imm;
    int address, value, t, page;

    emitter_clobber_flags(e);
    emitter_use_in(e, op->args[1], RAX);
    value = emitter_use(e, op->args[2]);
    address = emitter_use_address(e, op->args[0], op->imm, &imm);
    t = emitter_scratch(e);
    page = emitter_scratch(e);
    emit_host_address(e, op, address, imm, t, page);
    emitter_advance(e);
    value = value_to_write(e, op, value, page);
    swap_if_big_endian(e, op, RAX);
    emit_cmpxchg(e, op, t, value);
    swap_if_big_endian(e, op, RAX);
    emit_extend_reg(&e->a, false, op->type == IR_I64, op->esz, RAX, RAX);
    emitter_unbind(e, RAX);
    emit_end(e);
    emitter_finish_from(e, RAX);
}

/* next = old (rax) op b */
static void emit_amo_value(Emitter *e, const IrOp *op, int next, int b)
{
    Assembler *a = &e->a;
    bool w = op->esz == 3, is_signed = op->aux == IR_AMO_SMAX || op->aux == IR_AMO_SMIN;
    static const uint8_t keep_b[] = {
        /* condition on old ? b for taking b */
        [IR_AMO_SMAX] = CC_L,
        [IR_AMO_SMIN] = CC_G,
        [IR_AMO_UMAX] = CC_B,
        [IR_AMO_UMIN] = CC_A,
    };

    asm_mov(a, true, next, RAX);
    swap_if_big_endian(e, op, next);
    switch (op->aux) {
    case IR_AMO_ADD:
        asm_rr(a, OP_ADD, w, next, b);
        break;
    case IR_AMO_CLR:
        asm_unary(a, w, 2, next);
        asm_rr(a, OP_OR, w, next, b);
        asm_unary(a, w, 2, next);
        break;
    case IR_AMO_EOR:
        asm_rr(a, OP_XOR, w, next, b);
        break;
    case IR_AMO_SET:
        asm_rr(a, OP_OR, w, next, b);
        break;
    case IR_AMO_SWP:
        asm_mov(a, w, next, b);
        break;
    default:
        emit_extend_reg(a, is_signed, w, op->esz, next, next);
        asm_rr(a, OP_CMP, w, next, b);
        asm_rr(a, OP(PP_NONE, MAP_0F, 0x40 | keep_b[op->aux]), w, next, b);
    }
    swap_if_big_endian(e, op, next);
}

static bool is_min_max(const IrOp *op)
{
    return op->aux >= IR_AMO_SMAX && op->aux <= IR_AMO_UMIN;
}

/* A compare-and-swap loop. */
static void emit_amo_loop(Emitter *e, const IrOp *op)
{
    Assembler *a = &e->a;
    bool is_signed = op->aux == IR_AMO_SMAX || op->aux == IR_AMO_SMIN;
    int32_t imm;
    int address, b, t, next;
    uint8_t *loop;

    emitter_take(e, RAX);
    if (is_min_max(op)) {
        int in;

        emitter_take(e, RCX);
        in = emitter_use(e, op->args[1]);
        b = RCX;
        emit_extend_reg(a, is_signed, op->esz == 3, op->esz, b, in);
        e->locked &= ~(1u << in);
    } else {
        b = emitter_use(e, op->args[1]);
    }
    address = emitter_use_address(e, op->args[0], op->imm, &imm);
    t = emitter_scratch(e);
    next = emitter_scratch(e);
    emit_host_address(e, op, address, imm, t, next);
    emitter_advance(e);
    asm_rm(a,
           op->esz == 0   ? OP(PP_NONE, MAP_0F, 0xb6)
           : op->esz == 1 ? OP(PP_NONE, MAP_0F, 0xb7)
                          : OP_MOV,
           op->esz == 3, RAX, mem(t, 0));
    loop = a->p;
    emit_amo_value(e, op, next, b);
    emit_cmpxchg(e, op, t, next);
    asm_jcc_to(a, CC_NE, loop);
    swap_if_big_endian(e, op, RAX);
    emit_extend_reg(a, false, op->type == IR_I64, op->esz, RAX, RAX);
    emit_end(e);
    emitter_finish_from(e, RAX);
}

/* One locked instruction: exchange, add, or a result nobody wants. */
static void emit_amo_direct(Emitter *e, const IrOp *op)
{
    Assembler *a = &e->a;
    int32_t imm;
    int address, b, t, page;

    b = emitter_use(e, op->args[1]);
    address = emitter_use_address(e, op->args[0], op->imm, &imm);
    t = emitter_scratch(e);
    page = emitter_scratch(e);
    emit_host_address(e, op, address, imm, t, page);
    emitter_advance(e);
    switch (op->aux) {
    case IR_AMO_EOR:
        emit_locked(e, op, MAP_NONE, 0x31, t, b);
        emit_end(e);
        emitter_finish_void(e);
        return;
    case IR_AMO_SET:
        emit_locked(e, op, MAP_NONE, 0x09, t, b);
        emit_end(e);
        emitter_finish_void(e);
        return;
    case IR_AMO_CLR:
        asm_mov(a, true, page, b);
        asm_unary(a, true, 2, page);
        emit_locked(e, op, MAP_NONE, 0x21, t, page);
        emit_end(e);
        emitter_finish_void(e);
        return;
    case IR_AMO_ADD:
        asm_mov(a, true, page, b);
        emit_locked(e, op, MAP_0F, 0xc1, t, page);
        break;
    default: /* IR_AMO_SWP */
        asm_mov(a, true, page, b);
        swap_if_big_endian(e, op, page);
        emit_locked(e, op, MAP_NONE, OP_XCHG, t, page);
        swap_if_big_endian(e, op, page);
    }
    emit_extend_reg(a, false, op->type == IR_I64, op->esz, page, page);
    emit_end(e);
    emitter_finish_from(e, page);
}

static void emit_amo(Emitter *e, const IrOp *op)
{
    bool big_endian = (op->sub & IR_MEM_BE) && op->esz;
    bool unused = !e->values[e->at].next_use;

    emitter_clobber_flags(e);
    if (op->aux == IR_AMO_SWP || (op->aux == IR_AMO_ADD && !big_endian) ||
        (unused && !big_endian && !is_min_max(op))) {
        emit_amo_direct(e, op);
    } else {
        emit_amo_loop(e, op);
    }
}

/* a == c, then compare-and-swap of b against d: 0 when it happened. */
static void emit_stx(Emitter *e, const IrOp *op)
{
    Assembler *a = &e->a;
    int address, value, monitored, t, page;
    uint8_t *fail;

    emitter_clobber_flags(e);
    monitored = emitter_use(e, op->args[2]);
    asm_store(a, true, mem(RSP, FRAME_SCRATCH), monitored);
    e->locked &= ~(1u << monitored);
    emitter_use_in(e, op->args[3], RAX);
    value = emitter_use(e, op->args[1]);
    address = emitter_use(e, op->args[0]);
    t = emitter_scratch(e);
    page = emitter_scratch(e);
    asm_rm(a, OP_CMP, true, address, mem(RSP, FRAME_SCRATCH));
    fail = asm_jcc(a, CC_NE);
    emit_host_address(e, op, address, 0, t, page);
    emitter_advance(e);
    value = value_to_write(e, op, value, page);
    swap_if_big_endian(e, op, RAX);
    emit_cmpxchg(e, op, t, value);
    asm_patch(a, fail);
    asm_setcc(a, CC_NE, page);
    asm_movzx8(a, page, page);
    emitter_unbind(e, RAX);
    emit_end(e);
    emitter_finish_from(e, page);
}

void emit_atomic_op(Emitter *e, const IrOp *op)
{
    switch (op->opcode) {
    case IR_OP_cas:
        emit_cas(e, op);
        break;
    case IR_OP_amo:
        emit_amo(e, op);
        break;
    case IR_OP_stx:
        emit_stx(e, op);
        break;
    default:
        e->failed = true;
    }
}
