/* SPDX-License-Identifier: MIT */
/* Makes random units: see random-unit.h. */
#include "tests/unit/random-unit.h"

#include "accel/tcg/ir/abi.h"
#include "base/bits.h"

typedef struct {
    const RandomUnits *from;
    IrUnit *unit;
    unsigned window; /* values this far back are still used: register pressure */
    IrRef address;   /* of an earlier access */
} Maker;

static uint32_t pick(Maker *m, uint32_t limit)
{
    return random_below(m->from->rng, limit);
}

static IrRef emit(Maker *m, IrOp op)
{
    return ir_emit(m->unit, op);
}

static IrRef constant(Maker *m, IrType type)
{
    static const int64_t interesting[] = {
        0,          1,          -1,        0xff,      0xffff,           0x7fffffff,
        0x80000000, 0xffffffff, INT64_MIN, INT64_MAX, 0x123456789abcdef
    };
    int64_t value = interesting[pick(m, G_N_ELEMENTS(interesting))];

    if (pick(m, 2)) {
        value = (int64_t)((uint64_t)g_rand_int(m->from->rng) << 32 | g_rand_int(m->from->rng)) >>
                pick(m, 64);
    }
    if (type == IR_FLAGS) {
        return emit(m, (IrOp){ .opcode = IR_OP_fconst, .imm = value & 15 });
    }
    if (type == IR_V128) {
        return emit(m, (IrOp){ .opcode = IR_OP_vconst,
                               .type = IR_V128,
                               .imm = value,
                               .aux = (int64_t)(~(uint64_t)value * 3) });
    }
    if (type == IR_I32) {
        value = (uint32_t)value;
    }
    return emit(m, (IrOp){ .opcode = IR_OP_const, .type = type, .imm = value });
}

static unsigned random_var(Maker *m, IrType type)
{
    switch (type) {
    case IR_FLAGS:
        return FLAGS_VAR;
    case IR_V128:
        return INT_VARS + pick(m, VECTOR_VARS);
    case IR_I32:
        return m->from->narrow_from + pick(m, INT_VARS - m->from->narrow_from);
    default:
        return pick(m, m->from->narrow_from);
    }
}

static IrRef value_of(Maker *m, IrType type)
{
    for (unsigned tries = 0; tries < 12; tries++) {
        unsigned back = 1 + pick(m, m->window);

        if (back < m->unit->count) {
            const IrOp *op = &m->unit->ops[m->unit->count - back];

            if (op->opcode != IR_OP_nop && op->opcode != IR_OP_ldchk &&
                ir_result_type(op) == type) {
                return (IrRef)(m->unit->count - back);
            }
        }
    }
    if (type == IR_I32 && pick(m, 3)) {
        return emit(
            m, (IrOp){ .opcode = IR_OP_trunc, .type = IR_I32, .args = { value_of(m, IR_I64) } });
    }
    if (type == IR_I32 || pick(m, 5) == 0) {
        return constant(m, type);
    }
    return emit(m,
                (IrOp){ .opcode = IR_OP_get, .type = type, .var = (uint8_t)random_var(m, type) });
}

static IrType int_type(Maker *m)
{
    return pick(m, 3) ? IR_I64 : IR_I32;
}

static void make_integer(Maker *m)
{
    static const uint8_t two[] = {
        IR_OP_add,  IR_OP_sub, IR_OP_mul, IR_OP_mulhs, IR_OP_mulhu, IR_OP_divs,
        IR_OP_divu, IR_OP_and, IR_OP_or,  IR_OP_xor,   IR_OP_andn,  IR_OP_shl,
        IR_OP_shr,  IR_OP_sar, IR_OP_ror, IR_OP_extr,  IR_OP_add,   IR_OP_sub,
    };
    static const uint8_t one[] = { IR_OP_not, IR_OP_neg,  IR_OP_clz,   IR_OP_ctz,
                                   IR_OP_cls, IR_OP_rbit, IR_OP_bswap, IR_OP_popcnt };
    IrType t = int_type(m);
    unsigned width = t == IR_I64 ? 64 : 32;
    IrOp op = { .type = t };

    if (pick(m, 3)) {
        op.opcode = two[pick(m, G_N_ELEMENTS(two))];
        op.args[0] = value_of(m, t);
        op.args[1] = pick(m, 3) ? value_of(m, t) : constant(m, t);
        op.imm = op.opcode == IR_OP_extr ? (int64_t)pick(m, width) : 0;
    } else {
        op.opcode = one[pick(m, G_N_ELEMENTS(one))];
        op.args[0] = value_of(m, t);
        op.esz = (uint8_t)(op.opcode == IR_OP_bswap ? 1 + pick(m, t == IR_I64 ? 3 : 2) : 0);
    }
    emit(m, op);
}

static void make_bits(Maker *m)
{
    IrType t = int_type(m);
    unsigned width = t == IR_I64 ? 64 : 32, lsb = pick(m, width);
    IrOp op = { .type = t, .imm = lsb, .aux = 1 + pick(m, width - lsb) };

    switch (pick(m, 6)) {
    case 0:
        op = (IrOp){ .opcode = IR_OP_trunc, .type = IR_I32, .args = { value_of(m, IR_I64) } };
        break;
    case 1:
        op = (IrOp){ .opcode = pick(m, 2) ? IR_OP_zext : IR_OP_sext,
                     .type = IR_I64,
                     .esz = (uint8_t)pick(m, 3),
                     .args = { value_of(m, int_type(m)) } };
        break;
    case 2:
        op = (IrOp){ .opcode = pick(m, 2) ? IR_OP_zext : IR_OP_sext,
                     .type = IR_I32,
                     .esz = (uint8_t)pick(m, 2),
                     .args = { value_of(m, IR_I32) } };
        break;
    case 3:
        op.opcode = IR_OP_bfi;
        op.args[0] = value_of(m, t);
        op.args[1] = value_of(m, t);
        break;
    default:
        op.opcode = pick(m, 2) ? IR_OP_ubfx : IR_OP_sbfx;
        op.args[0] = value_of(m, t);
    }
    emit(m, op);
}

static void make_flags(Maker *m)
{
    static const uint8_t producers[][2] = {
        { IR_OP_addf, IR_OP_add }, { IR_OP_subf, IR_OP_sub }, { IR_OP_andf, IR_OP_and },
        { IR_OP_adcf, IR_OP_adc }, { IR_OP_sbcf, IR_OP_sbc },
    };
    IrType t = int_type(m);
    unsigned kind = pick(m, 5), order = pick(m, 5);
    IrOp op = { .type = t };
    IrRef flags;

    op.args[0] = value_of(m, t);
    op.args[1] = pick(m, 3) ? value_of(m, t) : constant(m, t);
    if (kind >= 3) {
        op.args[2] = value_of(m, IR_FLAGS);
    }
    if (order == 0) {
        op.opcode = producers[kind][1];
        emit(m, op);
        if (pick(m, 2)) {
            emit(m, (IrOp){ .opcode = IR_OP_set,
                            .type = t,
                            .var = (uint8_t)random_var(m, IR_I64),
                            .args = { t == IR_I64 ? (IrRef)(m->unit->count - 1)
                                                  : value_of(m, IR_I64) } });
        }
    }
    op.opcode = producers[kind][0];
    flags = emit(m, op);
    if (order == 1) {
        op.opcode = producers[kind][1];
        emit(m, op);
    }
    if (pick(m, 2)) {
        emit(m,
             (IrOp){ .opcode = IR_OP_set, .type = IR_FLAGS, .var = FLAGS_VAR, .args = { flags } });
    }
}

static void make_flags_use(Maker *m)
{
    IrType t = pick(m, 6) ? int_type(m) : IR_V128;
    IrOp op = { .cond = (uint8_t)pick(m, 14), .type = t };

    switch (pick(m, 5)) {
    case 0:
        op.opcode = IR_OP_fpack;
        op.type = IR_I32;
        op.args[0] = value_of(m, IR_I32);
        break;
    case 1:
        op.opcode = IR_OP_funpack;
        op.type = IR_I32;
        op.args[0] = value_of(m, IR_FLAGS);
        break;
    case 2:
        op.opcode = IR_OP_cset;
        op.type = int_type(m);
        op.args[0] = value_of(m, IR_FLAGS);
        break;
    case 3:
        op.opcode = IR_OP_fsel;
        op.args[0] = value_of(m, IR_FLAGS);
        op.args[1] = value_of(m, IR_FLAGS);
        op.args[2] = value_of(m, IR_FLAGS);
        break;
    default:
        op.opcode = IR_OP_sel;
        op.args[1] = value_of(m, t);
        op.args[2] = value_of(m, t);
        op.args[0] = value_of(m, IR_FLAGS);
    }
    emit(m, op);
}

/* An address that is mostly fine; sometimes in a slow, read-only or faulting page, or crossing. */
static IrRef new_address_of(Maker *m, bool aligned, unsigned esz)
{
    unsigned page = pick(m, 40) == 0 ? pick(m, PAGES) : pick(m, 3);
    IrRef offset, base;
    uint64_t mask = pick(m, 12) == 0 ? 0x1fff : 0x7f8;

    if (aligned) {
        mask &= ~(uint64_t)((1u << esz) - 1);
    }
    base = emit(m, (IrOp){ .opcode = IR_OP_const,
                           .type = IR_I64,
                           .imm = (int64_t)(DATA_BASE + page * TCG_PAGE_SIZE) });
    offset =
        emit(m, (IrOp){ .opcode = IR_OP_and,
                        .type = IR_I64,
                        .args = { value_of(m, IR_I64), emit(m, (IrOp){ .opcode = IR_OP_const,
                                                                       .type = IR_I64,
                                                                       .imm = (int64_t)mask }) } });
    return emit(m, (IrOp){ .opcode = IR_OP_add, .type = IR_I64, .args = { base, offset } });
}

/* The same as before, or another. */
static IrRef address_of(Maker *m, bool aligned, unsigned esz)
{
    if (!aligned && m->address && pick(m, 2)) {
        return m->address;
    }
    return m->address = new_address_of(m, aligned, esz);
}

static void next_insn(Maker *m)
{
    emit(m, (IrOp){ .opcode = IR_OP_insn, .imm = (int64_t)(m->unit->count & 0x3ff) * 4 });
}

static void make_load_store(Maker *m)
{
    static const uint8_t flags[] = { 0,
                                     0,
                                     0,
                                     IR_MEM_SIGNED,
                                     IR_MEM_BE,
                                     IR_MEM_BE | IR_MEM_SIGNED,
                                     IR_MEM_UNPRIV,
                                     IR_MEM_SC,
                                     IR_MEM_ALIGNED };
    IrType t = pick(m, 4) ? int_type(m) : IR_V128;
    uint8_t esz = (uint8_t)pick(m, t == IR_V128 ? 5 : t == IR_I64 ? 4 : 3);
    uint8_t sub = flags[pick(m, t == IR_V128 ? 3 : G_N_ELEMENTS(flags))];
    IrRef address = address_of(m, sub & IR_MEM_ALIGNED && pick(m, 20), esz);
    int64_t imm = sub & IR_MEM_ALIGNED ? 0 : pick(m, 3) ? (int64_t)pick(m, 300) - 100 : 0;

    switch (pick(m, 5)) {
    case 0:
    case 1:
        emit(m, (IrOp){ .opcode = IR_OP_ld,
                        .type = t,
                        .esz = esz,
                        .sub = sub,
                        .imm = imm,
                        .args = { address } });
        break;
    case 2:
        emit(m, (IrOp){ .opcode = IR_OP_st2,
                        .type = t,
                        .esz = esz,
                        .sub = sub & ~(IR_MEM_SIGNED | IR_MEM_ALIGNED | IR_MEM_SC),
                        .imm = imm,
                        .args = { address, value_of(m, t), value_of(m, t) } });
        break;
    case 3: {
        IrRef cookie = emit(m, (IrOp){ .opcode = IR_OP_ldchk,
                                       .type = IR_I64,
                                       .esz = esz,
                                       .imm = imm,
                                       .aux = 2 << esz,
                                       .args = { address } });

        emit(m, (IrOp){ .opcode = IR_OP_ldraw,
                        .type = t,
                        .esz = esz,
                        .sub = sub & (IR_MEM_SIGNED | IR_MEM_BE),
                        .args = { cookie } });
        emit(m, (IrOp){ .opcode = IR_OP_ldraw,
                        .type = t,
                        .esz = esz,
                        .imm = 1 << esz,
                        .args = { cookie } });
        break;
    }
    default:
        emit(m, (IrOp){ .opcode = IR_OP_st,
                        .type = t,
                        .esz = esz,
                        .sub = sub & ~IR_MEM_SIGNED,
                        .imm = imm,
                        .args = { address, pick(m, 5) ? value_of(m, t) : constant(m, t) } });
    }
}

static void make_atomic(Maker *m)
{
    IrType t = int_type(m);
    uint8_t esz = (uint8_t)pick(m, t == IR_I64 ? 4 : 3);
    uint8_t sub = pick(m, 4) ? 0 : IR_MEM_BE;
    IrRef address = address_of(m, true, 3);

    switch (pick(m, 5)) {
    case 0:
        emit(m, (IrOp){ .opcode = IR_OP_mzero, .imm = 16 << pick(m, 8), .args = { address } });
        break;
    case 1: {
        IrRef old = emit(
            m,
            (IrOp){ .opcode = IR_OP_ld, .type = t, .esz = esz, .sub = sub, .args = { address } });

        emit(m, (IrOp){ .opcode = IR_OP_cas,
                        .type = t,
                        .esz = esz,
                        .sub = sub,
                        .args = { address, pick(m, 2) ? old : value_of(m, t), value_of(m, t) } });
        break;
    }
    case 2: {
        IrRef old = emit(
            m,
            (IrOp){ .opcode = IR_OP_ld, .type = t, .esz = esz, .sub = sub, .args = { address } });

        emit(m,
             (IrOp){ .opcode = IR_OP_stx,
                     .type = t,
                     .esz = esz,
                     .sub = sub,
                     .args = { address, value_of(m, t), pick(m, 4) ? address : value_of(m, IR_I64),
                               pick(m, 3) ? old : value_of(m, t) } });
        break;
    }
    default:
        emit(m, (IrOp){ .opcode = IR_OP_amo,
                        .type = t,
                        .esz = esz,
                        .sub = sub,
                        .aux = pick(m, 9),
                        .args = { address, value_of(m, t) } });
    }
}

static uint8_t vector_esz(Maker *m, unsigned opcode)
{
    switch (opcode) {
    case IR_OP_vmull:
    case IR_OP_vwidens:
    case IR_OP_vwidenu:
    case IR_OP_vnarrow:
        return (uint8_t)pick(m, 3);
    case IR_OP_vpopcnt:
    case IR_OP_vext:
        return 0;
    default:
        return (uint8_t)pick(m, 4);
    }
}

static void make_vector(Maker *m)
{
    unsigned opcode = IR_OP_vadd + pick(m, IR_OP_pmull - IR_OP_vadd + 1);
    IrOp op = { .opcode = (uint8_t)opcode, .type = IR_V128, .esz = vector_esz(m, opcode) };
    unsigned lanes = 16u >> op.esz, width = 8u << op.esz;

    for (unsigned i = 0; i < ir_op_info[opcode].args; i++) {
        op.args[i] = value_of(m, IR_V128);
    }
    switch (opcode) {
    case IR_OP_vmull:
        op.imm = pick(m, 2);
        break;
    case IR_OP_vshl:
        op.imm = pick(m, width);
        break;
    case IR_OP_vshr:
    case IR_OP_vsar:
        op.imm = pick(m, width + 1);
        break;
    case IR_OP_vext:
        op.imm = pick(m, 16);
        break;
    case IR_OP_vrev:
        op.esz = (uint8_t)pick(m, 3);
        op.imm = op.esz + 1 + pick(m, 3u - op.esz);
        break;
    case IR_OP_vdup:
    case IR_OP_vfromint:
        op.args[0] = value_of(m, opcode == IR_OP_vdup ? IR_I64 : int_type(m));
        break;
    case IR_OP_vins:
        op.args[1] = value_of(m, IR_I64);
        op.imm = pick(m, lanes);
        break;
    case IR_OP_vinslane:
        op.aux = pick(m, lanes);
        op.imm = pick(m, lanes);
        break;
    case IR_OP_vduplane:
        op.imm = pick(m, lanes);
        break;
    case IR_OP_vlane:
        op.imm = pick(m, lanes);
        op.type = op.esz == 3 ? IR_I64 : int_type(m);
        break;
    }
    emit(m, op);
}

static void make_call(Maker *m)
{
    const TcgHelper *h = &m->from->helpers[pick(m, m->from->helper_count)];
    IrOp op = { .opcode = IR_OP_call, .type = h->result, .helper = h };

    next_insn(m);
    for (unsigned i = 0; i < 4 && h->arg_types[i]; i++) {
        op.args[i] = value_of(m, h->arg_types[i]);
    }
    emit(m, op);
}

static void make_set(Maker *m)
{
    static const IrType types[] = { IR_I64,  IR_I64,   IR_I64, IR_V128,
                                    IR_V128, IR_FLAGS, IR_I32, IR_I32 };
    IrType t = types[pick(m, m->from->narrow_from < INT_VARS ? G_N_ELEMENTS(types) : 6)];
    IrRef value = value_of(m, t);

    emit(m,
         (IrOp){
             .opcode = IR_OP_set, .type = t, .var = (uint8_t)random_var(m, t), .args = { value } });
}

static void make_exit(Maker *m)
{
    emit(m, (IrOp){ .opcode = IR_OP_exit_if,
                    .cond = (uint8_t)pick(m, 14),
                    .args = { value_of(m, IR_FLAGS) },
                    .imm = pick(m, 4) ? (int64_t)pick(m, 1024) * 4
                                      : (int64_t)pick(m, 100000) - 50000 });
    if (pick(m, 4) == 0) {
        emit(m, (IrOp){ .opcode = IR_OP_push_return, .imm = pick(m, 1024) * 4 });
    }
}

static void make_end(Maker *m)
{
    switch (pick(m, 4)) {
    case 0:
        emit(m, (IrOp){ .opcode = IR_OP_goto_ind,
                        .args = { value_of(m, IR_I64) },
                        .sub = (uint8_t)pick(m, 3) });
        break;
    case 1:
        emit(m, (IrOp){ .opcode = IR_OP_dispatch, .imm = pick(m, 1025) * 4 });
        break;
    default:
        emit(m, (IrOp){ .opcode = IR_OP_goto,
                        .imm = pick(m, 4) ? (int64_t)pick(m, 1024) * 4 : -4096 });
    }
}

void random_unit(IrUnit *unit, const RandomUnits *from)
{
    static void (*const makers[])(Maker *) = {
        make_integer, make_integer, make_bits, make_flags,  make_flags_use, make_load_store,
        make_vector,  make_set,     make_set,  make_atomic, make_call,      make_exit,
    };
    Maker maker = { .from = from, .unit = unit, .window = 4 + random_below(from->rng, 40) };
    Maker *m = &maker;
    unsigned max_length = from->max_length;
    unsigned length = 1 + pick(m, pick(m, 3) ? MIN(40, max_length) : max_length);
    unsigned only = pick(m, 4) ? G_N_ELEMENTS(makers) : 0;
    unsigned pair[2] = { pick(m, G_N_ELEMENTS(makers)), pick(m, G_N_ELEMENTS(makers)) };

    ir_unit_init(unit, from->vars, VAR_COUNT);
    unit->start = 0x82; /* no exit leads back here */
    unit->end = 0x1000;
    for (unsigned i = 0; i < length; i++) {
        if (pick(m, 3) == 0) {
            next_insn(m);
        }
        makers[only ? pick(m, only) : pick(m, 3) ? pair[pick(m, 2)] : 7](m);
    }
    make_end(m);
}
