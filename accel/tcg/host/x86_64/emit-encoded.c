/* SPDX-License-Identifier: MIT */
/* Helpers that name the instruction which computes them (ir/host-code.h). */
#include "accel/tcg/ir/host-code.h"

#include "accel/tcg/host/x86_64/emitter.h"

typedef struct {
    const IrOp *op;
    const IrHostCode *code;
    uint32_t opcode; /* OP(…) */
    bool vex;
    int args[4];
} Encoded;

static bool is_available(const HostFeatures *has, unsigned feature)
{
    switch (feature) {
    case IR_HOST_AES:
        return has->aes;
    case IR_HOST_PCLMUL:
        return has->pclmul;
    case IR_HOST_SHA:
        return has->sha;
    case IR_HOST_AVX:
        return has->avx;
    case IR_HOST_AVX2:
        return has->avx2;
    case IR_HOST_FMA:
        return has->fma;
    case IR_HOST_F16C:
        return has->f16c;
    case IR_HOST_BMI1:
        return has->bmi1;
    case IR_HOST_BMI2:
        return has->bmi2;
    case IR_HOST_LZCNT:
        return has->lzcnt;
    case IR_HOST_GFNI:
        return has->gfni;
    case IR_HOST_SSE4A:
        return has->sse4a;
    default:
        return true;
    }
}

static uint32_t opcode_of(const IrHostCode *code)
{
    unsigned pp = code->prefix == 0x66   ? PP_66
                  : code->prefix == 0xf3 ? PP_F3
                  : code->prefix == 0xf2 ? PP_F2
                                         : PP_NONE;

    return OP(pp, code->map, code->opcode);
}

/* vvvv is left out where there is no VEX prefix. */
static void put(Emitter *e, const Encoded *c, int reg, int vvvv, int rm)
{
    bool w = c->code->flags & IR_HOST_W;

    if (c->vex) {
        asm_vex_rr(&e->a, c->opcode, w, false, reg, vvvv, rm);
    } else {
        asm_rr(&e->a, c->opcode, w, reg, rm);
    }
    if (c->code->flags & IR_HOST_IMM) {
        asm_u8(&e->a, (uint8_t)c->op->imm);
    }
}

static uint32_t bit_unless(int reg, int same)
{
    return reg == same ? 0 : 1u << reg;
}

/* A result that has the first argument's value before. avoid: what it may not be. */
static int result_from_first(Emitter *e, const Encoded *c, uint32_t avoid)
{
    int to;

    emitter_advance(e);
    to = emitter_result(e, c->args[0], avoid);
    emitter_copy(e, to, c->args[0]);
    return to;
}

static void emit_unary(Emitter *e, Encoded *c)
{
    int to;

    emitter_advance(e);
    to = emitter_result(e, NO_REG, 0);
    if (c->code->form == IR_HOST_STORE) {
        put(e, c, c->args[0], 0, to);
    } else {
        put(e, c, to, 0, c->args[0]);
    }
    emitter_finish(e, to);
}

static void emit_binary(Emitter *e, Encoded *c)
{
    int to;

    if (c->vex) {
        emitter_advance(e);
        to = emitter_result(e, c->args[0], 0);
    } else {
        to = result_from_first(e, c, bit_unless(c->args[1], c->args[0]));
    }
    put(e, c, to, c->args[0], c->args[1]);
    emitter_finish(e, to);
}

/* PBLENDVB and its like have the mask in XMM0; their VEX forms name it in an immediate. */
static void emit_blend(Emitter *e, Encoded *c)
{
    int to;

    if (c->vex) {
        unsigned opcode = c->code->opcode == 0x10 ? 0x4c : 0x4a | (c->code->opcode & 1);

        emitter_advance(e);
        to = emitter_result(e, NO_REG, 0);
        asm_vex_rr(&e->a, OP(PP_66, MAP_0F3A, opcode), false, false, to, c->args[0], c->args[1]);
        asm_u8(&e->a, (unsigned)(c->args[2] - XMM0) << 4);
    } else {
        to = result_from_first(e, c, bit_unless(c->args[1], c->args[0]) | 1u << XMM0);
        put(e, c, to, 0, c->args[1]);
    }
    emitter_finish(e, to);
}

static void emit_ternary(Emitter *e, Encoded *c)
{
    int to = result_from_first(
        e, c, bit_unless(c->args[1], c->args[0]) | bit_unless(c->args[2], c->args[0]));

    put(e, c, to, c->args[1], c->args[2]);
    emitter_finish(e, to);
}

static void emit_shift(Emitter *e, Encoded *c)
{
    int to;

    if (c->vex) {
        emitter_advance(e);
        to = emitter_result(e, c->args[0], 0);
        put(e, c, c->code->digit, to, c->args[0]);
    } else {
        to = result_from_first(e, c, 0);
        put(e, c, c->code->digit, 0, to);
    }
    emitter_finish(e, to);
}

static void finish_flags(Emitter *e)
{
    emitter_advance(e);
    emitter_finish_void(e);
    emitter_set_eflags(e, (IrRef)e->at, EFLAGS_DIRECT);
}

static void emit_comparison(Emitter *e, Encoded *c)
{
    put(e, c, c->args[0], 0, c->args[1]);
    finish_flags(e);
}

static void emit_string(Emitter *e, Encoded *c)
{
    put(e, c, c->args[0], 0, c->args[1]);
    if (c->op->type == IR_FLAGS) {
        finish_flags(e);
        return;
    }
    emitter_advance(e);
    emitter_finish_from(e, c->op->type == IR_V128 ? XMM0 : RCX);
}

enum { MXCSR_OPCODE = OP(PP_NONE, MAP_0F, 0xae), LDMXCSR = 2, STMXCSR = 3 };

static void emit_stmxcsr(Emitter *e, Encoded *c)
{
    Mem place = mem(RSP, FRAME_SCRATCH);
    int to;

    emitter_advance(e);
    to = emitter_result(e, NO_REG, 0);
    asm_rm(&e->a, MXCSR_OPCODE, false, STMXCSR, place);
    asm_load(&e->a, false, to, place);
    emitter_finish(e, to);
}

static void emit_ldmxcsr(Emitter *e, Encoded *c)
{
    Mem place = mem(RSP, FRAME_SCRATCH);

    emitter_advance(e);
    asm_store(&e->a, false, place, c->args[0]);
    asm_rm(&e->a, MXCSR_OPCODE, false, LDMXCSR, place);
    emitter_finish_void(e);
}

/* Registers that the instruction names by itself, and then the other operands. */
static void use_operands(Emitter *e, Encoded *c)
{
    unsigned form = c->code->form, count = 4;

    if (c->op->type == IR_FLAGS || (c->code->flags & IR_HOST_CLOBBERS) || form == IR_HOST_STRING) {
        emitter_clobber_flags(e);
    }
    if (form == IR_HOST_STRING) {
        count = 2;
        emitter_take(e, c->op->type == IR_V128 ? XMM0 : RCX);
        if (c->op->args[2]) {
            emitter_use_in(e, c->op->args[2], RAX);
            emitter_use_in(e, c->op->args[3], RDX);
        }
    } else if (form == IR_HOST_BLEND && !c->vex) {
        count = 2;
        emitter_use_in(e, c->op->args[2], XMM0);
    }
    for (unsigned k = 0; k < count && c->op->args[k]; k++) {
        c->args[k] = emitter_use(e, c->op->args[k]);
    }
}

bool emit_encoded(Emitter *e, const IrOp *op)
{
    static void (*const emitters[])(Emitter * e, Encoded * c) = {
        [IR_HOST_UNARY] = emit_unary,        [IR_HOST_BINARY] = emit_binary,
        [IR_HOST_BLEND] = emit_blend,        [IR_HOST_TERNARY] = emit_ternary,
        [IR_HOST_STORE] = emit_unary,        [IR_HOST_SHIFT] = emit_shift,
        [IR_HOST_COMPARE] = emit_comparison, [IR_HOST_STRING] = emit_string,
        [IR_HOST_STMXCSR] = emit_stmxcsr,    [IR_HOST_LDMXCSR] = emit_ldmxcsr,
    };
    const IrHostCode *code = op->helper->host;
    Encoded c = { .op = op, .code = code };

    if (code && code->form == IR_HOST_X87) {
        return emit_x87(e, op);
    }
    if (!code || !is_available(e->has, code->feature)) {
        return false;
    }
    c.opcode = opcode_of(code);
    c.vex = (code->flags & IR_HOST_VEX) || (e->has->avx && !(code->flags & IR_HOST_NO_VEX));
    if ((code->flags & IR_HOST_IMM3) && !c.vex && op->imm > 7) {
        return false;
    }
    use_operands(e, &c);
    emitters[code->form](e, &c);
    return true;
}
