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
        return pick(m, 2) ? emit(m, (IrOp){ .opcode = IR_OP_fconst, .imm = value & 15 })
                          : emit(m, (IrOp){ .opcode = IR_OP_fconst,
                                            .sub = IR_X86,
                                            .imm = value & TCG_EFLAGS_MASK });
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

/* The count of a shift or rotate when it is a constant, else -1. */
static int64_t count_of(const IrUnit *unit, const IrOp *op)
{
    bool is_double = op->opcode == IR_OP_shldf || op->opcode == IR_OP_shrdf;
    const IrOp *count = &unit->ops[op->args[is_double ? 2 : 1]];

    return count->opcode == IR_OP_const ? count->imm & (op->esz == 3 ? 63 : 31) : -1;
}

/* Flags of which not all are specified: only fmerge may use them. */
static bool is_partial(const IrUnit *unit, const IrOp *op)
{
    return ir_is_flags_producer(op->opcode) &&
           ir_specified_flags(op, count_of(unit, op)) != TCG_FLAGS_ALL;
}

static IrRef value_of(Maker *m, IrType type)
{
    for (unsigned tries = 0; tries < 12; tries++) {
        unsigned back = 1 + pick(m, m->window);

        if (back < m->unit->count) {
            const IrOp *op = &m->unit->ops[m->unit->count - back];

            if (op->opcode != IR_OP_nop && op->opcode != IR_OP_ldchk &&
                ir_result_type(op) == type && !is_partial(m->unit, op)) {
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
        IR_OP_shr,  IR_OP_sar, IR_OP_ror, IR_OP_extr,  IR_OP_rol,   IR_OP_sub,
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

/* An array's element: base + (index << scale), in either order. */
static void make_scaled(Maker *m)
{
    IrType t = int_type(m);
    IrRef base = value_of(m, t), index = value_of(m, t), scaled;
    unsigned swap = pick(m, 2);
    IrOp op = { .opcode = IR_OP_add, .type = t };

    scaled = emit(m, (IrOp){ .opcode = IR_OP_shl,
                             .type = t,
                             .args = { index, emit(m, (IrOp){ .opcode = IR_OP_const,
                                                              .type = t,
                                                              .imm = pick(m, 5) }) } });
    op.args[swap] = scaled;
    op.args[!swap] = base;
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
        if (pick(m, 2)) {
            op.imm = 0;
            op.aux = 8 << pick(m, 2);
        }
        break;
    default:
        op.opcode = pick(m, 2) ? IR_OP_ubfx : IR_OP_sbfx;
        op.args[0] = value_of(m, t);
    }
    emit(m, op);
}

static IrRef random_count(Maker *m, IrType t, unsigned limit)
{
    return emit(m, (IrOp){ .opcode = IR_OP_const, .type = t, .imm = pick(m, limit) });
}

static bool is_shift(unsigned opcode)
{
    return opcode >= IR_OP_shlf && opcode <= IR_OP_shrdf;
}

/* The operands of a flags op of 8 << esz bits. */
static IrOp flags_operands(Maker *m, unsigned opcode, IrType t, unsigned esz)
{
    bool is_double = opcode == IR_OP_shldf || opcode == IR_OP_shrdf;
    IrOp op = { .opcode = (uint8_t)opcode, .type = t, .esz = (uint8_t)esz };
    unsigned args = ir_op_info[opcode].args;

    op.args[0] = value_of(m, t);
    if (args > 1) {
        op.args[1] = pick(m, 3) ? value_of(m, t) : constant(m, t);
    }
    if (is_shift(opcode)) {
        unsigned at = is_double ? 2 : 1;

        if (is_double && esz == 1) {
            op.args[at] =
                pick(m, 2) ? random_count(m, t, 17)
                           : emit(m, (IrOp){ .opcode = IR_OP_and,
                                             .type = t,
                                             .args = { value_of(m, t), random_count(m, t, 16) } });
        } else {
            op.args[at] = pick(m, 2) ? random_count(m, t, pick(m, 2) ? 70 : 3) : value_of(m, t);
        }
    }
    if (opcode == IR_OP_adcf || opcode == IR_OP_sbcf || opcode == IR_OP_rclf ||
        opcode == IR_OP_rcrf || (is_shift(opcode) && pick(m, 3))) {
        op.args[args - 1] = value_of(m, IR_FLAGS);
    } else if (is_shift(opcode)) {
        op.args[args - 1] = 0;
    }
    if (opcode == IR_OP_subf || opcode == IR_OP_sbcf) {
        op.sub = pick(m, 2) ? IR_BORROW : 0;
    } else if (opcode == IR_OP_mulf) {
        op.sub = pick(m, 2) ? IR_UNSIGNED : 0;
    }
    return op;
}

static uint8_t merge_of(unsigned esz)
{
    return esz == 0 ? IR_MERGE8 : esz == 1 ? IR_MERGE16 : 0;
}

/* The value op of the same operation; nop when there is none of that width. */
static IrOp value_op_of(const IrOp *flags)
{
    IrOp op = *flags;
    unsigned args;

    op.opcode = (uint8_t)ir_value_of_flags(flags->opcode);
    args = ir_op_info[op.opcode].args;
    op.sub = op.opcode == IR_OP_sbc ? flags->sub : 0;
    op.sub |= merge_of(flags->esz);
    op.esz = 0;
    if (flags->opcode == IR_OP_mulf && flags->esz == 0) {
        op.opcode = IR_OP_nop;
    }
    for (unsigned k = args; k < 4; k++) {
        op.args[k] = 0;
    }
    return op;
}

/* Other flags come from an older value. */
static IrRef complete_flags(Maker *m, IrRef old, IrRef flags)
{
    const IrOp *op = &m->unit->ops[flags];
    unsigned mask = ir_specified_flags(op, count_of(m->unit, op));

    if (pick(m, 4) == 0) {
        mask &= g_rand_int(m->from->rng);
    } else if (mask == TCG_FLAGS_ALL) {
        return flags;
    }
    return emit(m, (IrOp){ .opcode = IR_OP_fmerge, .args = { old, flags }, .imm = mask });
}

static void make_flags(Maker *m)
{
    IrType t = int_type(m);
    unsigned opcode = pick(m, 3) ? IR_OP_addf + pick(m, IR_OP_sbcf - IR_OP_addf + 1)
                                 : IR_OP_shlf + pick(m, IR_OP_popcntf - IR_OP_shlf + 1);
    unsigned narrowest = opcode >= IR_OP_shldf && opcode != IR_OP_mulf, order = pick(m, 5);
    unsigned esz = pick(m, 2) ? narrowest + pick(m, 2 - narrowest) : t == IR_I32 ? 2 : 3;
    IrRef old = value_of(m, IR_FLAGS), flags;
    IrOp op = flags_operands(m, opcode, t, esz), value = value_op_of(&op);

    if (order == 0 && value.opcode) {
        emit(m, value);
        if (pick(m, 2)) {
            emit(m, (IrOp){ .opcode = IR_OP_set,
                            .type = t,
                            .var = (uint8_t)random_var(m, IR_I64),
                            .args = { t == IR_I64 ? (IrRef)(m->unit->count - 1)
                                                  : value_of(m, IR_I64) } });
        }
    }
    flags = emit(m, op);
    if (order == 1 && value.opcode) {
        emit(m, value);
    }
    flags = complete_flags(m, old, flags);
    if (pick(m, 2)) {
        emit(m,
             (IrOp){ .opcode = IR_OP_set, .type = IR_FLAGS, .var = FLAGS_VAR, .args = { flags } });
    }
}

/* As x86 has them: INC and DEC, which keep C, and logic with the flags of its result. */
static void make_idiom(Maker *m)
{
    static const uint8_t logic[] = { IR_OP_and, IR_OP_or, IR_OP_xor };
    IrType t = int_type(m);
    unsigned esz = pick(m, 2) ? pick(m, 2) : t == IR_I32 ? 2 : 3;
    bool is_increment = pick(m, 2);
    IrRef old = value_of(m, IR_FLAGS), flags, value;
    IrOp op = { .opcode = logic[pick(m, 3)], .type = t, .sub = merge_of(esz) };

    op.args[0] = value_of(m, t);
    op.args[1] = is_increment ? emit(m, (IrOp){ .opcode = IR_OP_const, .type = t, .imm = 1 })
                              : value_of(m, t);
    if (is_increment) {
        op.opcode = pick(m, 2) ? IR_OP_add : IR_OP_sub;
    }
    value = emit(m, op);
    if (t == IR_I64 && pick(m, 2)) {
        emit(m, (IrOp){ .opcode = IR_OP_set,
                        .type = t,
                        .var = (uint8_t)random_var(m, t),
                        .args = { value } });
    }
    if (is_increment) {
        op.opcode = op.opcode == IR_OP_add ? IR_OP_addf : IR_OP_subf;
        op.sub = op.opcode == IR_OP_subf ? IR_BORROW : 0;
        op.esz = (uint8_t)esz;
        flags = emit(m, op);
        flags = emit(m, (IrOp){ .opcode = IR_OP_fmerge,
                                .args = { old, flags },
                                .imm = TCG_FLAGS_ALL & ~TCG_FLAG_C });
    } else {
        flags = emit(m, (IrOp){ .opcode = IR_OP_andf,
                                .type = t,
                                .esz = (uint8_t)esz,
                                .args = { value, value } });
    }
    emit(m, (IrOp){ .opcode = IR_OP_set, .type = IR_FLAGS, .var = FLAGS_VAR, .args = { flags } });
}

/* Value ops of 8 and 16 bits, and those with a carry, for themselves. */
static void make_narrow(Maker *m)
{
    static const uint8_t two[] = { IR_OP_or, IR_OP_xor, IR_OP_not, IR_OP_add };
    unsigned opcode = IR_OP_addf + pick(m, IR_OP_popcntf - IR_OP_addf + 1);
    unsigned narrowest = opcode >= IR_OP_shldf, esz = narrowest + pick(m, 4 - narrowest);
    IrType t = esz == 3 ? IR_I64 : esz == 2 ? IR_I32 : int_type(m);
    IrOp op = flags_operands(m, opcode == IR_OP_btf ? IR_OP_addf : opcode, t, esz);

    op = value_op_of(&op);
    if (esz < 2 && pick(m, 4) == 0) {
        op.opcode = two[pick(m, G_N_ELEMENTS(two))];
        op.args[0] = value_of(m, t);
        op.args[1] = op.opcode == IR_OP_not ? 0 : value_of(m, t);
        op.args[2] = 0;
        op.sub = merge_of(esz);
    }
    emit(m, op);
}

static void make_flags_use(Maker *m)
{
    IrType t = pick(m, 6) ? int_type(m) : IR_V128;
    IrOp op = { .cond = (uint8_t)pick(m, IR_COND_COUNT), .type = t };

    switch (pick(m, 6)) {
    case 0:
        op.opcode = IR_OP_fpack;
        op.sub = pick(m, 2) ? IR_X86 : 0;
        op.type = IR_I32;
        op.args[0] = value_of(m, IR_I32);
        break;
    case 1:
        op.opcode = IR_OP_funpack;
        op.sub = pick(m, 2) ? IR_X86 : 0;
        op.type = IR_I32;
        op.args[0] = value_of(m, IR_FLAGS);
        break;
    case 2:
        op.opcode = IR_OP_cset;
        op.type = int_type(m);
        op.args[0] = value_of(m, IR_FLAGS);
        break;
    case 3:
        op = (IrOp){ .opcode = IR_OP_fmerge, .imm = g_rand_int(m->from->rng) & TCG_FLAGS_ALL };
        op.args[0] = value_of(m, IR_FLAGS);
        op.args[1] = pick(m, 3) ? value_of(m, IR_FLAGS) : constant(m, IR_FLAGS);
        if (pick(m, 2)) {
            op.imm = TCG_FLAG_C;
        }
        break;
    case 4:
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
    static const uint16_t flags[] = { 0,
                                      0,
                                      0,
                                      IR_MEM_SIGNED,
                                      IR_MEM_BE,
                                      IR_MEM_BE | IR_MEM_SIGNED,
                                      IR_MEM_OTHER,
                                      IR_MEM_SC,
                                      IR_MEM_ALIGNED,
                                      IR_MEM_FOR_WRITE,
                                      IR_MEM_WRAP32 | IR_MEM_STACK,
                                      IR_MEM_WRAP32 | IR_MEM_FOR_WRITE };
    IrType t = pick(m, 4) ? int_type(m) : IR_V128;
    uint8_t esz = (uint8_t)pick(m, t == IR_V128 ? 5 : t == IR_I64 ? 4 : 3);
    uint16_t sub = flags[pick(m, G_N_ELEMENTS(flags))];
    IrRef address = address_of(m, sub & IR_MEM_ALIGNED && pick(m, 20), esz);
    uint16_t load_only = IR_MEM_SIGNED | IR_MEM_FOR_WRITE;
    int64_t imm = sub & IR_MEM_ALIGNED ? 0 : pick(m, 3) ? (int64_t)pick(m, 300) - 100 : 0;

    if (t == IR_V128) {
        sub &= (uint16_t) ~(IR_MEM_SIGNED | IR_MEM_BE);
    }
    if (sub & IR_MEM_WRAP32 && pick(m, 2)) {
        address =
            emit(m, (IrOp){ .opcode = IR_OP_add,
                            .type = IR_I64,
                            .args = { address, emit(m, (IrOp){ .opcode = IR_OP_const,
                                                               .type = IR_I64,
                                                               .imm = INT64_C(3) << 32 }) } });
    }
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
                        .sub = sub & ~(load_only | IR_MEM_ALIGNED | IR_MEM_SC),
                        .imm = imm,
                        .args = { address, value_of(m, t), value_of(m, t) } });
        break;
    case 3: {
        IrRef cookie = emit(m, (IrOp){ .opcode = IR_OP_ldchk,
                                       .type = IR_I64,
                                       .esz = esz,
                                       .sub = sub & (IR_MEM_WRAP32 | IR_MEM_FOR_WRITE),
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
                        .sub = sub & ~load_only,
                        .imm = imm,
                        .args = { address, pick(m, 5) ? value_of(m, t) : constant(m, t) } });
    }
}

/* An operation on what is in memory, as one instruction of x86 does it. */
static void make_update(Maker *m)
{
    static const struct {
        uint8_t value, flags;
        uint16_t sub;
    } operations[] = {
        { IR_OP_add, IR_OP_addf, 0 }, { IR_OP_sub, IR_OP_subf, IR_BORROW },
        { IR_OP_sub, IR_OP_subf, 0 }, { IR_OP_and, IR_OP_andf, 0 },
        { IR_OP_or, IR_OP_andf, 0 },  { IR_OP_xor, IR_OP_andf, 0 },
    };
    unsigned n = pick(m, G_N_ELEMENTS(operations));
    IrType t = int_type(m);
    uint8_t esz = (uint8_t)(pick(m, 2) ? pick(m, 2) : t == IR_I64 ? 3 : 2);
    IrRef b = pick(m, 2) ? value_of(m, t) : constant(m, t), address = address_of(m, false, esz);
    IrOp op = { .opcode = IR_OP_ld,
                .type = t,
                .esz = esz,
                .sub = IR_MEM_FOR_WRITE | (pick(m, 4) ? 0 : IR_MEM_WRAP32),
                .imm = pick(m, 2) ? pick(m, 100) : 0,
                .args = { address } };
    IrRef old, value, flags = 0;

    if (pick(m, 2)) {
        next_insn(m);
    }
    old = emit(m, op);
    value = emit(m, (IrOp){ .opcode = operations[n].value,
                            .type = t,
                            .sub = merge_of(esz),
                            .args = { old, b } });
    if (pick(m, 5)) {
        bool tests = operations[n].value == IR_OP_or || operations[n].value == IR_OP_xor;

        flags = emit(m, (IrOp){ .opcode = operations[n].flags,
                                .type = t,
                                .esz = esz,
                                .sub = operations[n].sub,
                                .args = { tests ? value : old, tests ? value : b } });
    }
    op.opcode = IR_OP_st;
    op.sub &= (uint16_t)~IR_MEM_FOR_WRITE;
    op.args[1] = value;
    emit(m, op);
    if (flags && pick(m, 4)) {
        emit(m,
             (IrOp){ .opcode = IR_OP_set, .type = IR_FLAGS, .var = FLAGS_VAR, .args = { flags } });
    }
    if (flags && pick(m, 2)) {
        next_insn(m);
        emit(m, (IrOp){ .opcode = IR_OP_exit_if,
                        .cond = (uint8_t)pick(m, IR_COND_COUNT),
                        .args = { flags },
                        .imm = pick(m, 1024) * 4 });
    }
}

static void make_atomic(Maker *m)
{
    IrType t = int_type(m);
    uint8_t esz = (uint8_t)pick(m, t == IR_I64 ? 4 : 3);
    uint16_t sub = (pick(m, 4) ? 0 : IR_MEM_BE) | (pick(m, 4) ? 0 : IR_MEM_FOR_WRITE);
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

/* On a condition: helpers that write no variables, and take at most three integers. */
static bool may_be_conditional(const TcgHelper *h)
{
    for (unsigned i = 0; i < 4; i++) {
        if (h->arg_types[i] == IR_V128) {
            return false;
        }
    }
    return !(h->flags & HELPER_WRITES) && !h->arg_types[3];
}

static void make_conditional_call(Maker *m, const TcgHelper *h)
{
    IrOp op = { .opcode = IR_OP_call_if,
                .cond = (uint8_t)pick(m, IR_COND_COUNT),
                .args = { value_of(m, IR_FLAGS) },
                .helper = h };

    for (unsigned i = 0; i < 3 && h->arg_types[i]; i++) {
        op.args[i + 1] = value_of(m, h->arg_types[i]);
    }
    emit(m, op);
}

static void make_call(Maker *m)
{
    unsigned count = m->from->encoded_count;
    const TcgHelper *h = count && pick(m, 2) ? &m->from->encoded[pick(m, count)]
                                             : &m->from->helpers[pick(m, m->from->helper_count)];
    IrOp op = { .opcode = IR_OP_call, .type = h->result, .helper = h };

    op.imm = h->flags & HELPER_IMM ? pick(m, 128) : 0;

    next_insn(m);
    if (may_be_conditional(h) && pick(m, 2)) {
        make_conditional_call(m, h);
        return;
    }
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
                    .cond = (uint8_t)pick(m, IR_COND_COUNT),
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
        make_integer, make_narrow, make_bits,   make_flags,  make_flags_use, make_load_store,
        make_vector,  make_set,    make_set,    make_atomic, make_call,      make_exit,
        make_flags,   make_idiom,  make_scaled, make_update,
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
