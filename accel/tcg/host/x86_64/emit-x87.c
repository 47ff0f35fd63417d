/* SPDX-License-Identifier: MIT */
/*
 * x87 instructions of guests (IR_HOST_X87). The host's x87 has the guest's while code runs, from the first such instruction on: a
 * byte of the state says so, and a stub lends it. C code that generated code calls does not use the x87.
 */
#include "accel/tcg/host/x86_64/emitter.h"

enum { ESCAPE = 0xd8, REGISTERS = 0xc0, FCMOVNE = 0xc8 };

static unsigned escape_of(const IrOp *op)
{
    return ESCAPE | ((unsigned)op->imm >> 8 & 7);
}

static unsigned modrm_of(const IrOp *op)
{
    return (unsigned)op->imm & 0xff;
}

static bool is_in_memory(const IrOp *op)
{
    return modrm_of(op) < REGISTERS;
}

static void put_registers(Emitter *e, unsigned escape, unsigned modrm)
{
    asm_u8(&e->a, escape);
    asm_u8(&e->a, modrm);
}

static bool is_int32(const Emitter *e, IrRef ref)
{
    return ir_result_type(&e->unit->ops[ref]) == IR_I32;
}

/* operand: the register of a cookie, a value, or FCMOV's condition; or NO_REG. */
static void put_instruction(Emitter *e, const IrOp *op, int operand)
{
    Mem m = mem(operand, 0);

    if (is_in_memory(op)) {
        if (is_int32(e, op->args[0])) {
            m = mem(RSP, FRAME_SCRATCH);
            asm_store(&e->a, false, m, operand);
        }
        asm_rm(&e->a, OP(PP_NONE, MAP_NONE, escape_of(op)), false, modrm_of(op) >> 3 & 7, m);
    } else if (operand != NO_REG) {
        asm_rr(&e->a, OP(PP_NONE, MAP_NONE, 0x85), false, operand, operand); /* test */
        put_registers(e, 0xdb, FCMOVNE | (modrm_of(op) & 7));
    } else {
        put_registers(e, escape_of(op), modrm_of(op));
    }
}

bool emit_x87(Emitter *e, const IrOp *op)
{
    Assembler *a = &e->a;
    int operand = NO_REG;
    ColdStub *stub;

    if (!e->b->runtime.lend_x87) {
        return false;
    }
    emitter_clobber_flags(e);
    if (op->type == IR_I32) {
        emitter_take(e, RAX);
    } else if (op->args[0]) {
        operand = emitter_use(e, op->args[0]);
    }
    stub = emitter_stub(e, STUB_X87);
    emitter_advance(e);
    asm_group1_mem_imm_sized(a, 0, G1_CMP, ENV(e, x87_lent), 0);
    emitter_stub_jump(stub, asm_jcc(a, CC_E));
    stub->join = a->p;
    put_instruction(e, op, operand);
    if (op->type == IR_I32) {
        emit_extend_reg(a, false, false, 1, RAX, RAX);
        emitter_finish_from(e, RAX);
        return true;
    }
    emitter_finish_void(e);
    if (op->type == IR_FLAGS) {
        emitter_set_eflags(e, (IrRef)e->at, EFLAGS_DIRECT);
    }
    return true;
}

void emit_x87_stub(Emitter *e, ColdStub *stub)
{
    uintptr_t function = (uintptr_t)e->b->runtime.lend_x87;
    Mem place = mem(RSP, FRAME_FUNCTION);

    asm_store_imm(&e->a, 2, place, (int32_t)function);
    place.disp += 4;
    asm_store_imm(&e->a, 2, place, (int32_t)((uint64_t)function >> 32));
    asm_call_to(&e->a, e->b->cold_helper);
    asm_jmp_to(&e->a, stub->join);
}
