/* SPDX-License-Identifier: MIT */
/*
 * Random units run on the reference interpreter and as host code, optimised or not, must leave the same state: guest
 * variables, memory, pc, and the log of slow accesses and faults.
 *
 * Usage: test-host-random [COUNT [SEED [LENGTH [FILE]]]]; a small LENGTH finds short failures; FILE
 * gets the code of the unit that fails, to disassemble (objdump -D -b binary -m i386:x86-64).
 * NARROW in the environment: some variables are i32.
 */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "accel/tcg/host/host.h"
#include "accel/tcg/ir/interpret.h"
#include "accel/tcg/opt/opt.h"
#include "base/bits.h"

enum {
    INT_VARS = 18,
    VECTOR_VARS = 14,
    VAR_COUNT = INT_VARS + VECTOR_VARS + 1,
    FLAGS_VAR = INT_VARS + VECTOR_VARS,
    PAGES = 6,
    FAULT_PAGE = 5,
    SLOW_PAGE = 1,
    READ_ONLY_PAGE = 3,
    CODE_SIZE = 1 << 20,
    LOG_SIZE = 256,
};
#define DATA_BASE UINT64_C(0x7f8000123000)
#define CODE_PAGE UINT64_C(0xffff800010234000)

typedef struct {
    TcgState env;
    uint64_t x[INT_VARS];
    V128 v[VECTOR_VARS];
    uint16_t flags;
    uint8_t ram[PAGES][TCG_PAGE_SIZE];
    uint64_t log[LOG_SIZE];
    unsigned log_count;
    unsigned left; /* how the unit was left */
    uint64_t left_pc;
} Guest;

enum { LEFT_DIRECT = 1, LEFT_INDIRECT, LEFT_DISPATCH, LEFT_FAULT };

static IrVar vars[VAR_COUNT];
static uint8_t pinned_ints[9], pinned_vectors[9];
static HostThunks thunks;
static bool interpreting;
static GRand *rng;
static unsigned max_length = 300;
static unsigned narrow_from = INT_VARS; /* int variables from this one on are i32 */

static Guest *guest_of(TcgState *env)
{
    return (Guest *)env;
}

static uint32_t pick(uint32_t limit)
{
    return (uint32_t)g_rand_int_range(rng, 0, (gint32)limit);
}

static void note(Guest *g, uint64_t value)
{
    if (g->log_count < LOG_SIZE) {
        g->log[g->log_count++] = value;
    }
}

_Noreturn void tcg_unwind(TcgState *env)
{
    guest_of(env)->left = LEFT_FAULT;
    guest_of(env)->left_pc = tcg_pc(env);
    if (interpreting) {
        longjmp(*env->unwind, 1);
    }
    thunks.unwind(env);
    abort();
}

/* --- the run time's callbacks ------------------------------------------------------------------ */

static void check(TcgState *env, uint64_t address, unsigned size, bool write, unsigned flags)
{
    uint64_t first = (address - DATA_BASE) >> TCG_PAGE_BITS;
    uint64_t last = (address + size - 1 - DATA_BASE) >> TCG_PAGE_BITS;

    if (first >= PAGES || last >= PAGES || first == FAULT_PAGE || last == FAULT_PAGE ||
        (write && (first == READ_ONLY_PAGE || last == READ_ONLY_PAGE)) ||
        ((flags & IR_MEM_ALIGNED) && (address & (size - 1)))) {
        note(guest_of(env), address);
        note(guest_of(env), size | (unsigned)write << 8);
        tcg_unwind(env);
    }
}

static uint8_t *at(TcgState *env, uint64_t address)
{
    return (uint8_t *)guest_of(env)->ram + (address - DATA_BASE);
}

static uint64_t reverse(uint64_t value, unsigned size)
{
    return __builtin_bswap64(value) >> (64 - 8 * size);
}

static uint64_t slow_load(TcgState *env, uint64_t address, unsigned size, unsigned flags)
{
    uint64_t value = 0;

    check(env, address, size, false, flags);
    memcpy(&value, at(env, address), size);
    return flags & IR_MEM_BE ? reverse(value, size) : value;
}

static void slow_store(TcgState *env, uint64_t address, uint64_t value, unsigned size,
                       unsigned flags)
{
    check(env, address, size, true, flags);
    if (flags & IR_MEM_BE) {
        value = reverse(value & bits_mask(8 * size), size);
    }
    memcpy(at(env, address), &value, size);
}

static V128 slow_load_vector(TcgState *env, uint64_t address, unsigned size, unsigned flags)
{
    V128 value = { 0 };

    check(env, address, size, false, flags);
    memcpy(&value, at(env, address), size);
    return value;
}

static void slow_store_vector(TcgState *env, uint64_t address, V128 value, unsigned size,
                              unsigned flags)
{
    check(env, address, size, true, flags);
    memcpy(at(env, address), &value, size);
}

static void slow_store_check(TcgState *env, uint64_t address, unsigned size, unsigned flags)
{
    check(env, address, size, true, flags & ~(unsigned)IR_MEM_ALIGNED);
}

static void *slow_load_check(TcgState *env, uint64_t address, unsigned size, unsigned flags)
{
    check(env, address, size, false, flags & ~(unsigned)IR_MEM_ALIGNED);
    memcpy(env->bounce, at(env, address), size);
    return env->bounce;
}

static void *slow_atomic_check(TcgState *env, uint64_t address, unsigned size, unsigned flags)
{
    check(env, address, size, true, flags);
    return at(env, address);
}

static void slow_zero(TcgState *env, uint64_t address, unsigned size)
{
    check(env, address, size, true, 0);
    memset(at(env, address), 0, size);
}

static void *dispatch(TcgState *env)
{
    guest_of(env)->left = LEFT_DISPATCH;
    guest_of(env)->left_pc = tcg_pc(env);
    return thunks.exit;
}

static void *follow_link(TcgState *env, TcgLink *link)
{
    tcg_set_pc(env, env->pc_page + (uint64_t)(int64_t)link->target);
    guest_of(env)->left = LEFT_DIRECT;
    guest_of(env)->left_pc = tcg_pc(env);
    return thunks.exit;
}

static void *indirect(TcgState *env, uint64_t pc, unsigned jump_class)
{
    tcg_set_pc(env, pc);
    guest_of(env)->left = LEFT_INDIRECT;
    guest_of(env)->left_pc = pc;
    note(guest_of(env), jump_class);
    return thunks.exit;
}

/* --- helpers that random units call ------------------------------------------------------------ */

static uint64_t mix(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return (a * 3 + b) ^ (c * 5 - d) ^ (a >> 7);
}

static uint32_t mix32(uint32_t a, uint64_t b)
{
    return a * 7 + (uint32_t)(b >> 3);
}

static V128 mix_vectors(V128 a, uint64_t b, V128 c)
{
    return a + (c ^ (V128){ b, ~b });
}

static uint64_t observe(TcgState *env, uint64_t a)
{
    Guest *g = guest_of(env);

    note(g, tcg_pc(env));
    for (unsigned i = 0; i < INT_VARS; i++) {
        note(g, g->x[i]);
    }
    note(g, g->flags & (TCG_FLAG_N | TCG_FLAG_Z | TCG_FLAG_C | TCG_FLAG_V));
    return a + g->x[3] + g->v[1][0];
}

static void scramble(TcgState *env, uint64_t a)
{
    Guest *g = guest_of(env);

    g->x[1] += a;
    g->x[INT_VARS - 1] ^= a;
    g->v[2][1] -= a;
    g->v[VECTOR_VARS - 1][0] += a;
    g->flags = (uint16_t)(a & 1 ? TCG_FLAG_N | TCG_FLAG_C : TCG_FLAG_Z | TCG_FLAG_V);
}

static uint64_t may_fault(TcgState *env, uint64_t a)
{
    if ((a & 15) == 3) {
        note(guest_of(env), a);
        tcg_unwind(env);
    }
    return ~a;
}

static const TcgHelper helpers[] = {
    { "mix", (void *)mix, IR_I64, 0, { IR_I64, IR_I64, IR_I64, IR_I64 } },
    { "mix32", (void *)mix32, IR_I32, 0, { IR_I32, IR_I64 } },
    { "mix_vectors", (void *)mix_vectors, IR_V128, 0, { IR_V128, IR_I64, IR_V128 } },
    { "observe", (void *)observe, IR_I64, HELPER_ENV | HELPER_READS | HELPER_EFFECT, { IR_I64 } },
    { "scramble",
      (void *)scramble,
      IR_VOID,
      HELPER_ENV | HELPER_READS | HELPER_WRITES,
      { IR_I64 } },
    { "may_fault", (void *)may_fault, IR_I64, HELPER_ENV | HELPER_FAULTS, { IR_I64 } },
};

/* --- random units ------------------------------------------------------------------------------ */

typedef struct {
    IrUnit *unit;
    unsigned window; /* values this far back are still used: register pressure */
    IrRef address;   /* of an earlier access */
} Maker;

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
    int64_t value = interesting[pick(G_N_ELEMENTS(interesting))];

    if (pick(2)) {
        value = (int64_t)((uint64_t)g_rand_int(rng) << 32 | g_rand_int(rng)) >> pick(64);
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

static unsigned random_var(IrType type)
{
    switch (type) {
    case IR_FLAGS:
        return FLAGS_VAR;
    case IR_V128:
        return INT_VARS + pick(VECTOR_VARS);
    case IR_I32:
        return narrow_from + pick(INT_VARS - narrow_from);
    default:
        return pick(narrow_from);
    }
}

static IrRef value_of(Maker *m, IrType type)
{
    for (unsigned tries = 0; tries < 12; tries++) {
        unsigned back = 1 + pick(m->window);

        if (back < m->unit->count) {
            const IrOp *op = &m->unit->ops[m->unit->count - back];

            if (op->opcode != IR_OP_nop && op->opcode != IR_OP_ldchk &&
                ir_result_type(op) == type) {
                return (IrRef)(m->unit->count - back);
            }
        }
    }
    if (type == IR_I32 && pick(3)) {
        return emit(
            m, (IrOp){ .opcode = IR_OP_trunc, .type = IR_I32, .args = { value_of(m, IR_I64) } });
    }
    if (type == IR_I32 || pick(5) == 0) {
        return constant(m, type);
    }
    return emit(m, (IrOp){ .opcode = IR_OP_get, .type = type, .var = (uint8_t)random_var(type) });
}

static IrType int_type(void)
{
    return pick(3) ? IR_I64 : IR_I32;
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
    IrType t = int_type();
    unsigned width = t == IR_I64 ? 64 : 32;
    IrOp op = { .type = t };

    if (pick(3)) {
        op.opcode = two[pick(G_N_ELEMENTS(two))];
        op.args[0] = value_of(m, t);
        op.args[1] = pick(3) ? value_of(m, t) : constant(m, t);
        op.imm = op.opcode == IR_OP_extr ? (int64_t)pick(width) : 0;
    } else {
        op.opcode = one[pick(G_N_ELEMENTS(one))];
        op.args[0] = value_of(m, t);
        op.esz = (uint8_t)(op.opcode == IR_OP_bswap ? 1 + pick(t == IR_I64 ? 3 : 2) : 0);
    }
    emit(m, op);
}

static void make_bits(Maker *m)
{
    IrType t = int_type();
    unsigned width = t == IR_I64 ? 64 : 32, lsb = pick(width);
    IrOp op = { .type = t, .imm = lsb, .aux = 1 + pick(width - lsb) };

    switch (pick(6)) {
    case 0:
        op = (IrOp){ .opcode = IR_OP_trunc, .type = IR_I32, .args = { value_of(m, IR_I64) } };
        break;
    case 1:
        op = (IrOp){ .opcode = pick(2) ? IR_OP_zext : IR_OP_sext,
                     .type = IR_I64,
                     .esz = (uint8_t)pick(3),
                     .args = { value_of(m, int_type()) } };
        break;
    case 2:
        op = (IrOp){ .opcode = pick(2) ? IR_OP_zext : IR_OP_sext,
                     .type = IR_I32,
                     .esz = (uint8_t)pick(2),
                     .args = { value_of(m, IR_I32) } };
        break;
    case 3:
        op.opcode = IR_OP_bfi;
        op.args[0] = value_of(m, t);
        op.args[1] = value_of(m, t);
        break;
    default:
        op.opcode = pick(2) ? IR_OP_ubfx : IR_OP_sbfx;
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
    IrType t = int_type();
    unsigned kind = pick(5), order = pick(5);
    IrOp op = { .type = t };
    IrRef flags;

    op.args[0] = value_of(m, t);
    op.args[1] = pick(3) ? value_of(m, t) : constant(m, t);
    if (kind >= 3) {
        op.args[2] = value_of(m, IR_FLAGS);
    }
    if (order == 0) {
        op.opcode = producers[kind][1];
        emit(m, op);
        if (pick(2)) {
            emit(m, (IrOp){ .opcode = IR_OP_set,
                            .type = t,
                            .var = (uint8_t)random_var(IR_I64),
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
    if (pick(2)) {
        emit(m,
             (IrOp){ .opcode = IR_OP_set, .type = IR_FLAGS, .var = FLAGS_VAR, .args = { flags } });
    }
}

static void make_flags_use(Maker *m)
{
    IrType t = pick(6) ? int_type() : IR_V128;
    IrOp op = { .cond = (uint8_t)pick(14), .type = t };

    switch (pick(5)) {
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
        op.type = int_type();
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
    unsigned page = pick(40) == 0 ? pick(PAGES) : pick(3);
    IrRef offset, base;
    uint64_t mask = pick(12) == 0 ? 0x1fff : 0x7f8;

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
    if (!aligned && m->address && pick(2)) {
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
    IrType t = pick(4) ? int_type() : IR_V128;
    uint8_t esz = (uint8_t)pick(t == IR_V128 ? 5 : t == IR_I64 ? 4 : 3);
    uint8_t sub = flags[pick(t == IR_V128 ? 3 : G_N_ELEMENTS(flags))];
    IrRef address = address_of(m, sub & IR_MEM_ALIGNED && pick(20), esz);
    int64_t imm = sub & IR_MEM_ALIGNED ? 0 : pick(3) ? (int64_t)pick(300) - 100 : 0;

    switch (pick(5)) {
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
                        .args = { address, pick(5) ? value_of(m, t) : constant(m, t) } });
    }
}

static void make_atomic(Maker *m)
{
    IrType t = int_type();
    uint8_t esz = (uint8_t)pick(t == IR_I64 ? 4 : 3);
    uint8_t sub = pick(4) ? 0 : IR_MEM_BE;
    IrRef address = address_of(m, true, 3);

    switch (pick(5)) {
    case 0:
        emit(m, (IrOp){ .opcode = IR_OP_mzero, .imm = 16 << pick(8), .args = { address } });
        break;
    case 1: {
        IrRef old = emit(
            m,
            (IrOp){ .opcode = IR_OP_ld, .type = t, .esz = esz, .sub = sub, .args = { address } });

        emit(m, (IrOp){ .opcode = IR_OP_cas,
                        .type = t,
                        .esz = esz,
                        .sub = sub,
                        .args = { address, pick(2) ? old : value_of(m, t), value_of(m, t) } });
        break;
    }
    case 2: {
        IrRef old = emit(
            m,
            (IrOp){ .opcode = IR_OP_ld, .type = t, .esz = esz, .sub = sub, .args = { address } });

        emit(m, (IrOp){ .opcode = IR_OP_stx,
                        .type = t,
                        .esz = esz,
                        .sub = sub,
                        .args = { address, value_of(m, t), pick(4) ? address : value_of(m, IR_I64),
                                  pick(3) ? old : value_of(m, t) } });
        break;
    }
    default:
        emit(m, (IrOp){ .opcode = IR_OP_amo,
                        .type = t,
                        .esz = esz,
                        .sub = sub,
                        .aux = pick(9),
                        .args = { address, value_of(m, t) } });
    }
}

static uint8_t vector_esz(unsigned opcode)
{
    switch (opcode) {
    case IR_OP_vmull:
    case IR_OP_vwidens:
    case IR_OP_vwidenu:
    case IR_OP_vnarrow:
        return (uint8_t)pick(3);
    case IR_OP_vpopcnt:
    case IR_OP_vext:
        return 0;
    default:
        return (uint8_t)pick(4);
    }
}

static void make_vector(Maker *m)
{
    unsigned opcode = IR_OP_vadd + pick(IR_OP_pmull - IR_OP_vadd + 1);
    IrOp op = { .opcode = (uint8_t)opcode, .type = IR_V128, .esz = vector_esz(opcode) };
    unsigned lanes = 16u >> op.esz, width = 8u << op.esz;

    for (unsigned i = 0; i < ir_op_info[opcode].args; i++) {
        op.args[i] = value_of(m, IR_V128);
    }
    switch (opcode) {
    case IR_OP_vmull:
        op.imm = pick(2);
        break;
    case IR_OP_vshl:
        op.imm = pick(width);
        break;
    case IR_OP_vshr:
    case IR_OP_vsar:
        op.imm = pick(width + 1);
        break;
    case IR_OP_vext:
        op.imm = pick(16);
        break;
    case IR_OP_vrev:
        op.esz = (uint8_t)pick(3);
        op.imm = op.esz + 1 + pick(3u - op.esz);
        break;
    case IR_OP_vdup:
    case IR_OP_vfromint:
        op.args[0] = value_of(m, opcode == IR_OP_vdup ? IR_I64 : int_type());
        break;
    case IR_OP_vins:
        op.args[1] = value_of(m, IR_I64);
        op.imm = pick(lanes);
        break;
    case IR_OP_vinslane:
        op.aux = pick(lanes);
        op.imm = pick(lanes);
        break;
    case IR_OP_vduplane:
        op.imm = pick(lanes);
        break;
    case IR_OP_vlane:
        op.imm = pick(lanes);
        op.type = op.esz == 3 ? IR_I64 : int_type();
        break;
    }
    emit(m, op);
}

static void make_call(Maker *m)
{
    const TcgHelper *h = &helpers[pick(G_N_ELEMENTS(helpers))];
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
    IrType t = types[pick(narrow_from < INT_VARS ? G_N_ELEMENTS(types) : 6)];
    IrRef value = value_of(m, t);

    emit(m, (IrOp){
                .opcode = IR_OP_set, .type = t, .var = (uint8_t)random_var(t), .args = { value } });
}

static void make_exit(Maker *m)
{
    emit(m, (IrOp){ .opcode = IR_OP_exit_if,
                    .cond = (uint8_t)pick(14),
                    .args = { value_of(m, IR_FLAGS) },
                    .imm = pick(4) ? (int64_t)pick(1024) * 4 : (int64_t)pick(100000) - 50000 });
    if (pick(4) == 0) {
        emit(m, (IrOp){ .opcode = IR_OP_push_return, .imm = pick(1024) * 4 });
    }
}

static void make_end(Maker *m)
{
    switch (pick(4)) {
    case 0:
        emit(m, (IrOp){ .opcode = IR_OP_goto_ind,
                        .args = { value_of(m, IR_I64) },
                        .sub = (uint8_t)pick(3) });
        break;
    case 1:
        emit(m, (IrOp){ .opcode = IR_OP_dispatch, .imm = pick(1025) * 4 });
        break;
    default:
        emit(m, (IrOp){ .opcode = IR_OP_goto, .imm = pick(4) ? (int64_t)pick(1024) * 4 : -4096 });
    }
}

static void make_unit(IrUnit *unit)
{
    static void (*const makers[])(Maker *) = {
        make_integer, make_integer, make_bits, make_flags,  make_flags_use, make_load_store,
        make_vector,  make_set,     make_set,  make_atomic, make_call,      make_exit,
    };
    Maker m = { .unit = unit, .window = 4 + pick(40) };
    unsigned length = 1 + pick(pick(3) ? MIN(40, max_length) : max_length);
    unsigned only = pick(4) ? G_N_ELEMENTS(makers) : 0;
    unsigned pair[2] = { pick(G_N_ELEMENTS(makers)), pick(G_N_ELEMENTS(makers)) };

    ir_unit_init(unit, vars, VAR_COUNT);
    unit->start = 0x82; /* no exit leads back here */
    unit->end = 0x1000;
    for (unsigned i = 0; i < length; i++) {
        if (pick(3) == 0) {
            next_insn(&m);
        }
        makers[only ? pick(only) : pick(3) ? pair[pick(2)] : 7](&m);
    }
    make_end(&m);
}

/* --- running and comparing ---------------------------------------------------------------------- */

static uint64_t random64(void)
{
    uint64_t value = (uint64_t)g_rand_int(rng) << 32 | g_rand_int(rng);

    return pick(3) ? value : value >> pick(64);
}

static void randomize(Guest *g)
{
    memset(g, 0, sizeof(*g));
    for (unsigned i = 0; i < INT_VARS; i++) {
        g->x[i] = random64();
    }
    for (unsigned i = 0; i < VECTOR_VARS; i++) {
        g->v[i] = (V128){ random64(), random64() };
    }
    g->flags = tcg_flags_from_nzcv(g_rand_int(rng));
    for (unsigned i = 0; i < sizeof(g->ram); i += 4) {
        uint32_t word = g_rand_int(rng);

        memcpy((uint8_t *)g->ram + i, &word, 4);
    }
    g->env.pc_page = CODE_PAGE;
    g->env.pc_offset = 0x82;
    g->env.mxcsr = g->env.host_mxcsr = 0x1f80;
}

static void map_pages(TcgContext *context, Guest *g)
{
    for (unsigned i = 0; i < 1 << TCG_TLB_BITS; i++) {
        context->tlb[i].read = context->tlb[i].write = TCG_TLB_EMPTY;
    }
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t page = DATA_BASE + i * TCG_PAGE_SIZE;
        TcgTlbEntry *entry = &context->tlb[page >> TCG_PAGE_BITS & ((1 << TCG_TLB_BITS) - 1)];

        if (i != SLOW_PAGE && i != FAULT_PAGE) {
            entry->read = page;
            entry->write = i == READ_ONLY_PAGE ? TCG_TLB_EMPTY : page;
            entry->addend = (uintptr_t)g->ram[i] - page;
        }
    }
    for (unsigned i = 0; i < 1 << TCG_FETCH_BITS; i++) {
        context->fetch[i].tag = 1;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(context->jump); i++) {
        context->jump[i].pc =
            i & ((1 << TCG_JUMP_BITS) - 1) ? TCG_JUMP_EMPTY : TCG_JUMP_EMPTY_FIRST;
    }
    for (unsigned i = 0; i < TCG_RETURN_STACK; i++) {
        context->returns[i] = (TcgJumpEntry){ TCG_JUMP_EMPTY, thunks.empty_return };
    }
}

static void interpret(const IrUnit *unit, Guest *g, const HostRuntime *runtime, IrValue *values)
{
    static const unsigned left[] = { LEFT_DIRECT, LEFT_INDIRECT, LEFT_DISPATCH };
    jmp_buf unwind;

    g->env.interpreter_values = values;
    g->env.unwind = &unwind;
    interpreting = true;
    if (setjmp(unwind) == 0) {
        g->left = left[ir_interpret(unit, &g->env, runtime)];
        g->left_pc = tcg_pc(&g->env);
        if (g->left == LEFT_INDIRECT) {
            note(g, g->env.jump_class);
        }
    }
    interpreting = false;
}

static bool same(const Guest *a, const Guest *b)
{
    uint16_t mask = TCG_FLAG_N | TCG_FLAG_Z | TCG_FLAG_C | TCG_FLAG_V;
    bool ok = true;

    if (a->left != b->left || a->left_pc != b->left_pc) {
        printf("left %u at %" PRIx64 ", expected %u at %" PRIx64 "\n", b->left, b->left_pc, a->left,
               a->left_pc);
        ok = false;
    }
    for (unsigned i = 0; i < INT_VARS; i++) {
        if (a->x[i] != b->x[i]) {
            printf("x%u is %" PRIx64 ", expected %" PRIx64 "\n", i, b->x[i], a->x[i]);
            ok = false;
        }
    }
    for (unsigned i = 0; i < VECTOR_VARS; i++) {
        if (memcmp(&a->v[i], &b->v[i], 16)) {
            printf("v%u is %016" PRIx64 "%016" PRIx64 ", expected %016" PRIx64 "%016" PRIx64 "\n",
                   i, b->v[i][1], b->v[i][0], a->v[i][1], a->v[i][0]);
            ok = false;
        }
    }
    if ((a->flags ^ b->flags) & mask) {
        printf("flags are %x, expected %x\n", b->flags & mask, a->flags & mask);
        ok = false;
    }
    if (memcmp(a->ram, b->ram, sizeof(a->ram))) {
        printf("memory differs\n");
        ok = false;
    }
    if (a->log_count != b->log_count || memcmp(a->log, b->log, a->log_count * 8)) {
        printf("logs differ (%u, expected %u)\n", b->log_count, a->log_count);
        ok = false;
    }
    return ok;
}

static void describe_state(void)
{
    for (unsigned i = 0; i < VAR_COUNT; i++) {
        vars[i].name = g_strdup_printf("%c%u",
                                       i < INT_VARS    ? 'x'
                                       : i < FLAGS_VAR ? 'v'
                                                       : 'f',
                                       i < INT_VARS ? i : i - INT_VARS);
        vars[i].type = i < narrow_from ? IR_I64
                       : i < INT_VARS  ? IR_I32
                       : i < FLAGS_VAR ? IR_V128
                                       : IR_FLAGS;
        vars[i].offset = (int32_t)(i < INT_VARS    ? offsetof(Guest, x) + 8 * i
                                   : i < FLAGS_VAR ? offsetof(Guest, v) + 16 * (i - INT_VARS)
                                                   : offsetof(Guest, flags));
    }
    for (unsigned i = 0; i < 8; i++) {
        pinned_ints[i] = (uint8_t)(2 * i + 1);
        pinned_vectors[i] = (uint8_t)(INT_VARS + i);
    }
    pinned_ints[8] = pinned_vectors[8] = 0xff;
}

typedef struct {
    HostBackend *backend;
    uint8_t *code, *units;
    const HostRuntime *runtime;
    TcgContext *context;
    Guest *expected, *actual;
    IrValue *values;
    TcgLink *links;
    IrUnit *unit;
} Bench;

static bool run_one(Bench *b)
{
    HostCode out;

    make_unit(b->unit);
    randomize(b->expected);
    *b->actual = *b->expected;
    interpret(b->unit, b->expected, b->runtime, b->values);
    if (pick(2)) {
        GError *error = NULL;

        opt_run(b->unit);
        if (!ir_verify(b->unit, &error)) {
            printf("after optimisation: %s\n", error->message);
            return false;
        }
    }
    if (!host_emit_unit(b->backend, b->unit, b->units, CODE_SIZE / 2, b->links, 2048, &out)) {
        printf("no code for a unit of %u ops\n", b->unit->count);
        return false;
    }
    map_pages(b->context, b->actual);
    b->actual->env.context = b->actual->env.context_unpriv = b->context;
    thunks.enter(&b->actual->env, out.entry);
    return same(b->expected, b->actual);
}

int main(int argc, char **argv)
{
    unsigned count = argc > 1 ? (unsigned)atoi(argv[1]) : 3000;
    uint32_t seed = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 1;
    GError *error = NULL;
    HostRuntime runtime = {
        .vars = vars,
        .var_count = VAR_COUNT,
        .pinned_ints = pinned_ints,
        .pinned_vectors = pinned_vectors,
        .env_bias = 128,
        .load = slow_load,
        .store = slow_store,
        .load_vector = slow_load_vector,
        .store_vector = slow_store_vector,
        .store_check = slow_store_check,
        .load_check = slow_load_check,
        .atomic_check = slow_atomic_check,
        .zero = slow_zero,
        .dispatch = dispatch,
        .follow_link = follow_link,
        .indirect = indirect,
    };
    Bench b = { .runtime = &runtime,
                .context = g_new0(TcgContext, 1),
                .expected = g_new0(Guest, 1),
                .actual = g_new0(Guest, 1),
                .values = g_new0(IrValue, IR_MAX_OPS),
                .links = g_new0(TcgLink, 2048),
                .unit = g_new0(IrUnit, 1) };

    narrow_from = g_getenv("NARROW") ? 12 : INT_VARS;
    max_length = argc > 3 ? (unsigned)atoi(argv[3]) : max_length;
    describe_state();
    b.backend = host_backend_new(&runtime, &error);
    if (!b.backend) {
        fprintf(stderr, "%s\n", error->message);
        return 77; /* skipped */
    }
    b.code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                  -1, 0);
    if (b.code == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    b.units = b.code + host_emit_thunks(b.backend, b.code, CODE_SIZE / 2, &thunks);
    for (unsigned i = 0; i < count; i++) {
        rng = g_rand_new_with_seed(seed + i);
        if (!run_one(&b)) {
            char *text = ir_print(b.unit);

            printf("seed %u:\n%s", seed + i, text);
            if (argc > 4) {
                g_file_set_contents(argv[4], (char *)b.units, CODE_SIZE / 4, NULL);
            }
            g_free(text);
            return 1;
        }
        g_rand_free(rng);
    }
    printf("%u units agree (%s)\n", count, host_backend_describe(b.backend));
    return 0;
}
