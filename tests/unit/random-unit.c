/* SPDX-License-Identifier: MIT */
/* Makes random units: see random-unit.h. */
#include "tests/unit/random-unit-maker.h"

#include "accel/tcg/ir/abi.h"
#include "base/bits.h"

uint32_t maker_pick(Maker *m, uint32_t limit)
{
    return random_below(m->from->rng, limit);
}

IrRef maker_emit(Maker *m, IrOp op)
{
    return ir_emit(m->unit, op);
}

IrRef maker_constant(Maker *m, IrType type)
{
    static const int64_t interesting[] = {
        0,          1,          -1,        0xff,      0xffff,           0x7fffffff,
        0x80000000, 0xffffffff, INT64_MIN, INT64_MAX, 0x123456789abcdef
    };
    int64_t value = interesting[maker_pick(m, G_N_ELEMENTS(interesting))];

    if (maker_pick(m, 2)) {
        value = (int64_t)((uint64_t)g_rand_int(m->from->rng) << 32 | g_rand_int(m->from->rng)) >>
                maker_pick(m, 64);
    }
    if (type == IR_FLAGS) {
        return maker_pick(m, 2) ? maker_emit(m, (IrOp){ .opcode = IR_OP_fconst, .imm = value & 15 })
                                : maker_emit(m, (IrOp){ .opcode = IR_OP_fconst,
                                                        .sub = IR_X86,
                                                        .imm = value & TCG_EFLAGS_MASK });
    }
    if (type == IR_V128) {
        bool zero = maker_pick(m, 3) == 0;

        return maker_emit(m, (IrOp){ .opcode = IR_OP_vconst,
                                     .type = IR_V128,
                                     .imm = zero ? 0 : value,
                                     .aux = zero ? 0 : (int64_t)(~(uint64_t)value * 3) });
    }
    if (type == IR_I64 && maker_pick(m, 4) == 0) {
        return maker_emit(m, (IrOp){ .opcode = IR_OP_pc, .type = type, .imm = value });
    }
    if (type == IR_I32) {
        value = (uint32_t)value;
    }
    return maker_emit(m, (IrOp){ .opcode = IR_OP_const, .type = type, .imm = value });
}

static unsigned random_var(Maker *m, IrType type)
{
    switch (type) {
    case IR_FLAGS:
        return FLAGS_VAR;
    case IR_V128:
        return INT_VARS + maker_pick(m, VECTOR_VARS);
    case IR_I32:
        return m->from->narrow_from + maker_pick(m, INT_VARS - m->from->narrow_from);
    default:
        return maker_pick(m, m->from->narrow_from);
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

IrRef maker_value(Maker *m, IrType type)
{
    for (unsigned tries = 0; tries < 12; tries++) {
        unsigned back = 1 + maker_pick(m, m->window);

        if (back < m->unit->count) {
            const IrOp *op = &m->unit->ops[m->unit->count - back];

            if (op->opcode != IR_OP_nop && op->opcode != IR_OP_ldchk &&
                ir_result_type(op) == type && !is_partial(m->unit, op)) {
                return (IrRef)(m->unit->count - back);
            }
        }
    }
    if (type == IR_I32 && maker_pick(m, 3)) {
        return maker_emit(
            m, (IrOp){ .opcode = IR_OP_trunc, .type = IR_I32, .args = { maker_value(m, IR_I64) } });
    }
    if (type == IR_I32 || maker_pick(m, 5) == 0) {
        return maker_constant(m, type);
    }
    return maker_emit(
        m, (IrOp){ .opcode = IR_OP_get, .type = type, .var = (uint8_t)random_var(m, type) });
}

IrType maker_int_type(Maker *m)
{
    return maker_pick(m, 3) ? IR_I64 : IR_I32;
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
    IrType t = maker_int_type(m);
    unsigned width = t == IR_I64 ? 64 : 32;
    IrOp op = { .type = t };

    if (maker_pick(m, 3)) {
        op.opcode = two[maker_pick(m, G_N_ELEMENTS(two))];
        op.args[0] = maker_value(m, t);
        op.args[1] = maker_pick(m, 3) ? maker_value(m, t) : maker_constant(m, t);
        op.imm = op.opcode == IR_OP_extr ? (int64_t)maker_pick(m, width) : 0;
    } else {
        op.opcode = one[maker_pick(m, G_N_ELEMENTS(one))];
        op.args[0] = maker_value(m, t);
        op.esz = (uint8_t)(op.opcode == IR_OP_bswap ? 1 + maker_pick(m, t == IR_I64 ? 3 : 2) : 0);
    }
    maker_emit(m, op);
}

/* An array's element: base + (index << scale), in either order. */
static void make_scaled(Maker *m)
{
    IrType t = maker_int_type(m);
    IrRef base = maker_value(m, t), index = maker_value(m, t), scaled;
    unsigned swap = maker_pick(m, 2);
    IrOp op = { .opcode = IR_OP_add, .type = t };

    scaled = maker_emit(
        m, (IrOp){ .opcode = IR_OP_shl,
                   .type = t,
                   .args = { index, maker_emit(m, (IrOp){ .opcode = IR_OP_const,
                                                          .type = t,
                                                          .imm = maker_pick(m, 5) }) } });
    op.args[swap] = scaled;
    op.args[!swap] = base;
    maker_emit(m, op);
}

static void make_bits(Maker *m)
{
    IrType t = maker_int_type(m);
    unsigned width = t == IR_I64 ? 64 : 32, lsb = maker_pick(m, width);
    IrOp op = { .type = t, .imm = lsb, .aux = 1 + maker_pick(m, width - lsb) };

    switch (maker_pick(m, 6)) {
    case 0:
        op = (IrOp){ .opcode = IR_OP_trunc, .type = IR_I32, .args = { maker_value(m, IR_I64) } };
        break;
    case 1:
        op = (IrOp){ .opcode = maker_pick(m, 2) ? IR_OP_zext : IR_OP_sext,
                     .type = IR_I64,
                     .esz = (uint8_t)maker_pick(m, 3),
                     .args = { maker_value(m, maker_int_type(m)) } };
        break;
    case 2:
        op = (IrOp){ .opcode = maker_pick(m, 2) ? IR_OP_zext : IR_OP_sext,
                     .type = IR_I32,
                     .esz = (uint8_t)maker_pick(m, 2),
                     .args = { maker_value(m, IR_I32) } };
        break;
    case 3:
        op.opcode = IR_OP_bfi;
        op.args[0] = maker_value(m, t);
        op.args[1] = maker_value(m, t);
        if (maker_pick(m, 2)) {
            op.imm = 0;
            op.aux = 8 << maker_pick(m, 2);
        }
        break;
    default:
        op.opcode = maker_pick(m, 2) ? IR_OP_ubfx : IR_OP_sbfx;
        op.args[0] = maker_value(m, t);
    }
    maker_emit(m, op);
}

static IrRef random_count(Maker *m, IrType t, unsigned limit)
{
    return maker_emit(m, (IrOp){ .opcode = IR_OP_const, .type = t, .imm = maker_pick(m, limit) });
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

    op.args[0] = maker_value(m, t);
    if (args > 1) {
        op.args[1] = maker_pick(m, 3) ? maker_value(m, t) : maker_constant(m, t);
    }
    if (is_shift(opcode)) {
        unsigned at = is_double ? 2 : 1;

        if (is_double && esz == 1) {
            op.args[at] =
                maker_pick(m, 2)
                    ? random_count(m, t, 17)
                    : maker_emit(m,
                                 (IrOp){ .opcode = IR_OP_and,
                                         .type = t,
                                         .args = { maker_value(m, t), random_count(m, t, 16) } });
        } else {
            op.args[at] = maker_pick(m, 2) ? random_count(m, t, maker_pick(m, 2) ? 70 : 3)
                                           : maker_value(m, t);
        }
    }
    if (opcode == IR_OP_adcf || opcode == IR_OP_sbcf || opcode == IR_OP_rclf ||
        opcode == IR_OP_rcrf || (is_shift(opcode) && maker_pick(m, 3))) {
        op.args[args - 1] = maker_value(m, IR_FLAGS);
    } else if (is_shift(opcode)) {
        op.args[args - 1] = 0;
    }
    if (opcode == IR_OP_subf || opcode == IR_OP_sbcf) {
        op.sub = maker_pick(m, 2) ? IR_BORROW : 0;
    } else if (opcode == IR_OP_mulf) {
        op.sub = maker_pick(m, 2) ? IR_UNSIGNED : 0;
    }
    return op;
}

uint8_t maker_merge(unsigned esz)
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
    op.sub |= maker_merge(flags->esz);
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

    if (maker_pick(m, 4) == 0) {
        mask &= g_rand_int(m->from->rng);
    } else if (mask == TCG_FLAGS_ALL) {
        return flags;
    }
    return maker_emit(m, (IrOp){ .opcode = IR_OP_fmerge, .args = { old, flags }, .imm = mask });
}

static void make_flags(Maker *m)
{
    IrType t = maker_int_type(m);
    unsigned opcode = maker_pick(m, 3) ? IR_OP_addf + maker_pick(m, IR_OP_sbcf - IR_OP_addf + 1)
                                       : IR_OP_shlf + maker_pick(m, IR_OP_popcntf - IR_OP_shlf + 1);
    unsigned narrowest = opcode >= IR_OP_shldf && opcode != IR_OP_mulf, order = maker_pick(m, 5);
    unsigned esz = maker_pick(m, 2) ? narrowest + maker_pick(m, 2 - narrowest)
                   : t == IR_I32    ? 2
                                    : 3;
    IrRef old = maker_value(m, IR_FLAGS), flags;
    IrOp op = flags_operands(m, opcode, t, esz), value = value_op_of(&op);

    if (order == 0 && value.opcode) {
        maker_emit(m, value);
        if (maker_pick(m, 2)) {
            maker_emit(m, (IrOp){ .opcode = IR_OP_set,
                                  .type = t,
                                  .var = (uint8_t)random_var(m, IR_I64),
                                  .args = { t == IR_I64 ? (IrRef)(m->unit->count - 1)
                                                        : maker_value(m, IR_I64) } });
        }
    }
    flags = maker_emit(m, op);
    if (order == 1 && value.opcode) {
        maker_emit(m, value);
    }
    flags = complete_flags(m, old, flags);
    if (maker_pick(m, 2)) {
        maker_emit(
            m,
            (IrOp){ .opcode = IR_OP_set, .type = IR_FLAGS, .var = FLAGS_VAR, .args = { flags } });
    }
}

/* As x86 has them: INC and DEC, which keep C, and logic with the flags of its result. */
static void make_idiom(Maker *m)
{
    static const uint8_t logic[] = { IR_OP_and, IR_OP_or, IR_OP_xor };
    IrType t = maker_int_type(m);
    unsigned esz = maker_pick(m, 2) ? maker_pick(m, 2) : t == IR_I32 ? 2 : 3;
    bool is_increment = maker_pick(m, 2);
    IrRef old = maker_value(m, IR_FLAGS), flags, value;
    IrOp op = { .opcode = logic[maker_pick(m, 3)], .type = t, .sub = maker_merge(esz) };

    op.args[0] = maker_value(m, t);
    op.args[1] = is_increment ? maker_emit(m, (IrOp){ .opcode = IR_OP_const, .type = t, .imm = 1 })
                              : maker_value(m, t);
    if (is_increment) {
        op.opcode = maker_pick(m, 2) ? IR_OP_add : IR_OP_sub;
    }
    value = maker_emit(m, op);
    if (t == IR_I64 && maker_pick(m, 2)) {
        maker_emit(m, (IrOp){ .opcode = IR_OP_set,
                              .type = t,
                              .var = (uint8_t)random_var(m, t),
                              .args = { value } });
    }
    if (is_increment) {
        op.opcode = op.opcode == IR_OP_add ? IR_OP_addf : IR_OP_subf;
        op.sub = op.opcode == IR_OP_subf ? IR_BORROW : 0;
        op.esz = (uint8_t)esz;
        flags = maker_emit(m, op);
        flags = maker_emit(m, (IrOp){ .opcode = IR_OP_fmerge,
                                      .args = { old, flags },
                                      .imm = TCG_FLAGS_ALL & ~TCG_FLAG_C });
    } else {
        flags = maker_emit(m, (IrOp){ .opcode = IR_OP_andf,
                                      .type = t,
                                      .esz = (uint8_t)esz,
                                      .args = { value, value } });
    }
    maker_emit(
        m, (IrOp){ .opcode = IR_OP_set, .type = IR_FLAGS, .var = FLAGS_VAR, .args = { flags } });
}

/* Value ops of 8 and 16 bits, and those with a carry, for themselves. */
static void make_narrow(Maker *m)
{
    static const uint8_t two[] = { IR_OP_or, IR_OP_xor, IR_OP_not, IR_OP_add };
    unsigned opcode = IR_OP_addf + maker_pick(m, IR_OP_popcntf - IR_OP_addf + 1);
    unsigned narrowest = opcode >= IR_OP_shldf, esz = narrowest + maker_pick(m, 4 - narrowest);
    IrType t = esz == 3 ? IR_I64 : esz == 2 ? IR_I32 : maker_int_type(m);
    IrOp op = flags_operands(m, opcode == IR_OP_btf ? IR_OP_addf : opcode, t, esz);

    op = value_op_of(&op);
    if (esz < 2 && maker_pick(m, 4) == 0) {
        op.opcode = two[maker_pick(m, G_N_ELEMENTS(two))];
        op.args[0] = maker_value(m, t);
        op.args[1] = op.opcode == IR_OP_not ? 0 : maker_value(m, t);
        op.args[2] = 0;
        op.sub = maker_merge(esz);
    }
    maker_emit(m, op);
}

static void make_flags_use(Maker *m)
{
    IrType t = maker_pick(m, 6) ? maker_int_type(m) : IR_V128;
    IrOp op = { .cond = (uint8_t)maker_pick(m, IR_COND_COUNT), .type = t };

    switch (maker_pick(m, 6)) {
    case 0:
        op.opcode = IR_OP_fpack;
        op.sub = maker_pick(m, 2) ? IR_X86 : 0;
        op.type = IR_I32;
        op.args[0] = maker_value(m, IR_I32);
        break;
    case 1:
        op.opcode = IR_OP_funpack;
        op.sub = maker_pick(m, 2) ? IR_X86 : 0;
        op.type = IR_I32;
        op.args[0] = maker_value(m, IR_FLAGS);
        break;
    case 2:
        op.opcode = IR_OP_cset;
        op.type = maker_int_type(m);
        op.args[0] = maker_value(m, IR_FLAGS);
        break;
    case 3:
        op = (IrOp){ .opcode = IR_OP_fmerge, .imm = g_rand_int(m->from->rng) & TCG_FLAGS_ALL };
        op.args[0] = maker_value(m, IR_FLAGS);
        op.args[1] = maker_pick(m, 3) ? maker_value(m, IR_FLAGS) : maker_constant(m, IR_FLAGS);
        if (maker_pick(m, 2)) {
            op.imm = TCG_FLAG_C;
        }
        break;
    case 4:
        op.opcode = IR_OP_fsel;
        op.args[0] = maker_value(m, IR_FLAGS);
        op.args[1] = maker_value(m, IR_FLAGS);
        op.args[2] = maker_value(m, IR_FLAGS);
        break;
    default:
        op.opcode = IR_OP_sel;
        op.args[1] = maker_value(m, t);
        op.args[2] = maker_value(m, t);
        op.args[0] = maker_value(m, IR_FLAGS);
    }
    maker_emit(m, op);
}

void maker_next_insn(Maker *m)
{
    maker_emit(m, (IrOp){ .opcode = IR_OP_insn, .imm = m->unit->count & (TCG_PAGE_SIZE - 1) });
}

static uint8_t vector_esz(Maker *m, unsigned opcode)
{
    switch (opcode) {
    case IR_OP_vmull:
    case IR_OP_vwidens:
    case IR_OP_vwidenu:
    case IR_OP_vnarrow:
        return (uint8_t)maker_pick(m, 3);
    case IR_OP_vpopcnt:
    case IR_OP_vext:
        return 0;
    default:
        return (uint8_t)maker_pick(m, 4);
    }
}

static void make_vector(Maker *m)
{
    unsigned opcode = IR_OP_vadd + maker_pick(m, IR_OP_pmull - IR_OP_vadd + 1);
    IrOp op = { .opcode = (uint8_t)opcode, .type = IR_V128, .esz = vector_esz(m, opcode) };
    unsigned lanes = 16u >> op.esz, width = 8u << op.esz;

    for (unsigned i = 0; i < ir_op_info[opcode].args; i++) {
        op.args[i] = maker_value(m, IR_V128);
    }
    switch (opcode) {
    case IR_OP_vmull:
        op.imm = maker_pick(m, 2);
        break;
    case IR_OP_vshl:
        op.imm = maker_pick(m, width);
        break;
    case IR_OP_vshr:
    case IR_OP_vsar:
        op.imm = maker_pick(m, width + 1);
        break;
    case IR_OP_vext:
        op.imm = maker_pick(m, 16);
        break;
    case IR_OP_vrev:
        op.esz = (uint8_t)maker_pick(m, 3);
        op.imm = op.esz + 1 + maker_pick(m, 3u - op.esz);
        break;
    case IR_OP_vdup:
    case IR_OP_vfromint:
        op.args[0] = maker_value(m, opcode == IR_OP_vdup ? IR_I64 : maker_int_type(m));
        break;
    case IR_OP_vins:
        op.args[1] = maker_value(m, IR_I64);
        op.imm = maker_pick(m, lanes);
        break;
    case IR_OP_vinslane:
        op.aux = maker_pick(m, lanes);
        op.imm = maker_pick(m, lanes);
        break;
    case IR_OP_vduplane:
        op.imm = maker_pick(m, lanes);
        break;
    case IR_OP_vlane:
        op.imm = maker_pick(m, lanes);
        op.type = op.esz == 3 ? IR_I64 : maker_int_type(m);
        break;
    }
    maker_emit(m, op);
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
                .cond = (uint8_t)maker_pick(m, IR_COND_COUNT),
                .args = { maker_value(m, IR_FLAGS) },
                .helper = h };

    for (unsigned i = 0; i < 3 && h->arg_types[i]; i++) {
        op.args[i + 1] = maker_value(m, h->arg_types[i]);
    }
    maker_emit(m, op);
}

static void make_call(Maker *m)
{
    unsigned count = m->from->encoded_count;
    const TcgHelper *h = count && maker_pick(m, 2)
                             ? &m->from->encoded[maker_pick(m, count)]
                             : &m->from->helpers[maker_pick(m, m->from->helper_count)];
    IrOp op = { .opcode = IR_OP_call, .type = h->result, .helper = h };

    op.imm = h->flags & HELPER_IMM ? maker_pick(m, 128) : 0;

    maker_next_insn(m);
    if (may_be_conditional(h) && maker_pick(m, 2)) {
        make_conditional_call(m, h);
        return;
    }
    for (unsigned i = 0; i < 4 && h->arg_types[i]; i++) {
        op.args[i] = maker_value(m, h->arg_types[i]);
    }
    maker_emit(m, op);
}

static void make_set(Maker *m)
{
    static const IrType types[] = { IR_I64,  IR_I64,   IR_I64, IR_V128,
                                    IR_V128, IR_FLAGS, IR_I32, IR_I32 };
    IrType t = types[maker_pick(m, m->from->narrow_from < INT_VARS ? G_N_ELEMENTS(types) : 6)];
    IrRef value = maker_pick(m, 4) ? maker_value(m, t) : maker_constant(m, t);

    maker_emit(m, (IrOp){ .opcode = IR_OP_set,
                          .type = t,
                          .var = (uint8_t)random_var(m, t),
                          .args = { value } });
}

static void make_exit(Maker *m)
{
    maker_emit(m, (IrOp){ .opcode = IR_OP_exit_if,
                          .cond = (uint8_t)maker_pick(m, IR_COND_COUNT),
                          .args = { maker_value(m, IR_FLAGS) },
                          .imm = maker_pick(m, 4) ? (int64_t)maker_pick(m, 1024) * 4
                                                  : (int64_t)maker_pick(m, 100000) - 50000 });
    if (maker_pick(m, 4) == 0) {
        maker_emit(m, (IrOp){ .opcode = IR_OP_push_return, .imm = maker_pick(m, 1024) * 4 });
    }
}

static void make_end(Maker *m)
{
    switch (maker_pick(m, 4)) {
    case 0:
        maker_emit(m, (IrOp){ .opcode = IR_OP_goto_ind,
                              .args = { maker_value(m, IR_I64) },
                              .sub = (uint8_t)maker_pick(m, 3) });
        break;
    case 1:
        maker_emit(m, (IrOp){ .opcode = IR_OP_dispatch, .imm = maker_pick(m, 1025) * 4 });
        break;
    default:
        maker_emit(m, (IrOp){ .opcode = IR_OP_goto,
                              .imm = maker_pick(m, 4) ? (int64_t)maker_pick(m, 1024) * 4 : -4096 });
    }
}

/* A division and its remainder by a product, or nearly so, with more ops in between and behind. */
static void make_remainder(Maker *m)
{
    IrType t = maker_int_type(m);
    IrRef n = maker_value(m, t), d = maker_pick(m, 4) ? maker_value(m, t) : maker_constant(m, t);
    IrOp divide = { .opcode = maker_pick(m, 2) ? IR_OP_divs : IR_OP_divu,
                    .type = t,
                    .args = { n, d } };
    IrOp multiply = { .opcode = IR_OP_mul, .type = t };
    IrOp subtract = { .opcode = IR_OP_sub, .type = t };
    unsigned swap = maker_pick(m, 2);

    multiply.args[swap] = maker_emit(m, divide);
    multiply.args[!swap] = maker_pick(m, 8) ? d : maker_value(m, t);
    if (maker_pick(m, 2)) {
        make_set(m);
    }
    subtract.args[0] = maker_pick(m, 8) ? n : maker_value(m, t);
    subtract.args[1] = maker_emit(m, multiply);
    if (maker_pick(m, 3) == 0) {
        maker_load_store(m);
    }
    maker_emit(m, subtract);
    if (maker_pick(m, 4) == 0) {
        maker_emit(m, (IrOp){ .opcode = IR_OP_add, .type = t, .args = { subtract.args[1], n } });
    }
}

void random_unit(IrUnit *unit, const RandomUnits *from)
{
    static void (*const makers[])(Maker *) = {
        make_integer, make_narrow, make_bits,   make_flags,   make_flags_use, maker_load_store,
        make_vector,  make_set,    make_set,    maker_atomic, make_call,      make_exit,
        make_flags,   make_idiom,  make_scaled, maker_update, make_remainder,
    };
    Maker maker = { .from = from, .unit = unit, .window = 4 + random_below(from->rng, 40) };
    Maker *m = &maker;
    unsigned max_length = from->max_length;
    unsigned length = 1 + maker_pick(m, maker_pick(m, 3) ? MIN(40, max_length) : max_length);
    unsigned only = maker_pick(m, 4) ? G_N_ELEMENTS(makers) : 0;
    unsigned pair[2] = { maker_pick(m, G_N_ELEMENTS(makers)), maker_pick(m, G_N_ELEMENTS(makers)) };

    ir_unit_init(unit, from->vars, VAR_COUNT);
    unit->start = 0x82; /* no exit leads back here */
    unit->end = 0x1000;
    for (unsigned i = 0; i < length; i++) {
        if (maker_pick(m, 3) == 0) {
            maker_next_insn(m);
        }
        makers[only ? maker_pick(m, only) : maker_pick(m, 3) ? pair[maker_pick(m, 2)] : 7](m);
    }
    make_end(m);
}
