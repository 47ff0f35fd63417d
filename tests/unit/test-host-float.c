/* SPDX-License-Identifier: MIT */
/*
 * The host back end's floating point against base/softfloat.h with Arm's rules: every operation, all
 * rounding modes, special values; results and sticky flags, and EFLAGS of comparisons.
 *
 * Usage: test-host-float [COUNT [SEED]]
 */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "accel/tcg/host/host.h"
#include "accel/tcg/ir/services.h"
#include "base/bits.h"
#include "base/softfloat.h"

enum { CODE_SIZE = 1 << 18 };
enum { VAR_A, VAR_B, VAR_C, VAR_R, VAR_X, VAR_Y, VAR_FLAGS, VAR_COUNT };

typedef struct {
    TcgState env;
    V128 v[4];
    uint64_t x, y;
    uint16_t flags;
} Guest;

typedef struct {
    IrOp op;
    FloatRounding rounding;
    uint8_t cond; /* of a condition on an fcmp */
    V128 a, b, c;
    uint64_t x;
    V128 result;
    uint64_t int_result;
    unsigned sticky;
} Case;

static Case current;
static unsigned helper_sticky;
static HostThunks thunks;
static GRand *rng;

static uint32_t pick(uint32_t limit)
{
    return (uint32_t)g_rand_int_range(rng, 0, (gint32)limit);
}

_Noreturn void tcg_unwind(TcgState *env)
{
    (void)env;
    abort();
}

/* --- the expected result ------------------------------------------------------------------------ */

static const FloatFormat *format(unsigned esz)
{
    return esz == 1 ? &float_f16 : esz == 2 ? &float_f32 : &float_f64;
}

static uint64_t lane_get(V128 v, unsigned esz, unsigned i)
{
    uint64_t value = 0;

    memcpy(&value, (const uint8_t *)&v + (i << esz), 1u << esz);
    return value;
}

static void lane_set(V128 *v, unsigned esz, unsigned i, uint64_t value)
{
    memcpy((uint8_t *)v + (i << esz), &value, 1u << esz);
}

static uint64_t mask_if(bool condition)
{
    return condition ? UINT64_MAX : 0;
}

static uint64_t lane_result(const Case *k, uint64_t a, uint64_t b, uint64_t c, FloatStatus *s)
{
    const FloatFormat *f = format(k->op.esz);
    unsigned imm = (unsigned)k->op.imm, width = 8u << k->op.esz;
    FloatRounding rounding = (imm & 7) == IR_ROUND_CURRENT ? k->rounding : (FloatRounding)(imm & 7);

    switch (k->op.sub) {
    case IR_FADD:
        return float_add(f, a, b, s);
    case IR_FSUB:
        return float_sub(f, a, b, s);
    case IR_FMUL:
        return float_mul(f, a, b, s);
    case IR_FDIV:
        return float_div(f, a, b, s);
    case IR_FSQRT:
        return float_sqrt(f, a, s);
    case IR_FMA:
        return float_muladd(f, a, b, c, s);
    case IR_FMIN:
        return float_min(f, a, b, s);
    case IR_FMAX:
        return float_max(f, a, b, s);
    case IR_FMINNM:
        return float_minnum(f, a, b, s);
    case IR_FMAXNM:
        return float_maxnum(f, a, b, s);
    case IR_FCMPEQ:
        return mask_if(float_compare(f, a, b, false, s) == FLOAT_EQUAL);
    case IR_FCMPGT:
        return mask_if(float_compare(f, a, b, true, s) == FLOAT_GREATER);
    case IR_FCMPGE: {
        FloatOrder order = float_compare(f, a, b, true, s);

        return mask_if(order == FLOAT_GREATER || order == FLOAT_EQUAL);
    }
    case IR_FCVT_F:
        return float_convert(format(imm), f, a, s);
    case IR_FROUND:
        return float_round_to_integral(f, a, rounding, imm & IR_ROUND_EXACT, s);
    case IR_FVFROM_S:
        return float_from_int64(f, bits_sign_extend(a, width), 0, s);
    case IR_FVFROM_U:
        return float_from_uint64(f, a, 0, s);
    case IR_FVTO_S:
    case IR_FVTO_U:
        return float_to_int(f, a, width, k->op.sub == IR_FVTO_S, 0, rounding, s);
    }
    return 0;
}

static FloatStatus status_of(const Case *k)
{
    return (FloatStatus){ .rounding = (uint8_t)k->rounding, .tininess_before = true };
}

static V128 vector_result(const Case *k, V128 a, V128 b, V128 c, unsigned *sticky)
{
    FloatStatus s = status_of(k);
    unsigned esz = k->op.esz;
    V128 r = a;

    if (k->op.var && (k->op.sub == IR_FCVT_F || k->op.sub >= IR_FROUND)) {
        r = (V128){ lane_result(k, lane_get(a, esz, 0), 0, 0, &s), 0 };
    } else {
        for (unsigned i = 0; i < (k->op.var ? 1 : 16u >> esz); i++) {
            lane_set(
                &r, esz, i,
                lane_result(k, lane_get(a, esz, i), lane_get(b, esz, i), lane_get(c, esz, i), &s));
        }
    }
    *sticky |= s.flags;
    return r;
}

static uint64_t int_result(const Case *k, V128 a, V128 b, unsigned *sticky)
{
    static const uint8_t nzcv[] = {
        [FLOAT_LESS] = 8, [FLOAT_EQUAL] = 6, [FLOAT_GREATER] = 2, [FLOAT_UNORDERED] = 3
    };
    static const uint8_t x86[] = {
        [FLOAT_LESS] = 1, [FLOAT_EQUAL] = 0x40, [FLOAT_GREATER] = 0, [FLOAT_UNORDERED] = 0x45
    };
    FloatStatus s = status_of(k);
    const FloatFormat *f = format(k->op.esz);
    unsigned imm = (unsigned)k->op.imm;
    uint64_t r;

    if (k->op.opcode == IR_OP_fcmp) {
        FloatOrder order =
            float_compare(f, lane_get(a, k->op.esz, 0), lane_get(b, k->op.esz, 0), imm & 1, &s);

        r = k->op.sub ? tcg_flags_from_eflags(x86[order])
                      : tcg_flags_from_nzcv((uint32_t)nzcv[order] << 28);
    } else {
        r = float_to_int(
            f, lane_get(a, k->op.esz, 0), k->op.type == IR_I64 ? 64 : 32, k->op.sub == IR_FTO_S, 0,
            (imm & 7) == IR_ROUND_CURRENT ? k->rounding : (FloatRounding)(imm & 7), &s);
    }
    *sticky |= s.flags;
    return r;
}

static V128 from_int_result(const Case *k, uint64_t x, unsigned *sticky)
{
    FloatStatus s = status_of(k);
    bool wide = k->op.type != IR_V128 || k->op.aux;
    V128 r = { 0 };

    r[0] = k->op.sub == IR_FROM_S
               ? float_from_int64(format(k->op.esz), wide ? (int64_t)x : (int32_t)x, 0, &s)
               : float_from_uint64(format(k->op.esz), wide ? x : (uint32_t)x, 0, &s);
    *sticky |= s.flags;
    return r;
}

/* Helpers, which stubs call: they note the flags that they would add to FPSR. */
static V128 vector_helper(TcgState *env, uint64_t imm, V128 a, V128 b, V128 c)
{
    (void)env;
    g_assert(imm == (uint64_t)current.op.imm);
    return vector_result(&current, a, b, c, &helper_sticky);
}

static uint64_t int_helper(TcgState *env, uint64_t imm, V128 a, V128 b)
{
    (void)env;
    g_assert(imm == (uint64_t)current.op.imm);
    return int_result(&current, a, b, &helper_sticky);
}

static V128 from_int_helper(TcgState *env, uint64_t x, uint64_t imm)
{
    (void)env;
    (void)imm;
    return from_int_result(&current, x, &helper_sticky);
}

static const TcgHelper vector_helper_info = {
    "vector", (void *)vector_helper, IR_V128, HELPER_ENV, { 0 }
};
static const TcgHelper int_helper_info = { "int", (void *)int_helper, IR_I64, HELPER_ENV, { 0 } };
static const TcgHelper from_helper_info = {
    "from", (void *)from_int_helper, IR_V128, HELPER_ENV, { 0 }
};

/* --- cases --------------------------------------------------------------------------------------- */

static uint64_t interesting(unsigned esz)
{
    static const double doubles[] = { 0.0,
                                      -0.0,
                                      1.0,
                                      -1.0,
                                      0.5,
                                      -0.5,
                                      1.5,
                                      2.5,
                                      -2.5,
                                      1e300,
                                      -1e300,
                                      1e-310,
                                      -1e-310,
                                      2147483647.0,
                                      2147483648.0,
                                      -2147483648.0,
                                      -2147483649.0,
                                      4294967295.0,
                                      4294967296.0,
                                      9223372036854775807.0,
                                      -9223372036854775808.0,
                                      18446744073709551616.0,
                                      1e-40,
                                      3.4028234e38,
                                      1.17549435e-38,
                                      2.2250738585072014e-308,
                                      0.3,
                                      4294967295.5,
                                      -0.75 };
    double d = doubles[pick(G_N_ELEMENTS(doubles))];
    uint64_t bits = (uint64_t)g_rand_int(rng) << 32 | g_rand_int(rng);
    float f = (float)d;

    switch (pick(8)) {
    case 0:
        return bits;
    case 1: /* NaNs and infinities */
        return esz == 3 ? bits | UINT64_C(0x7ff) << 52 : bits | 0x7f800000;
    case 2:
        return esz == 3 ? (bits & BIT(63)) | UINT64_C(0x7ff) << 52 : (bits & BIT(31)) | 0x7f800000;
    case 3: /* denormal */
        return esz == 3 ? bits & ~(UINT64_C(0x7ff) << 52) : bits & ~UINT64_C(0x7f800000);
    case 4: /* of moderate size */
        bits &= ~(UINT64_C(0xffffff) << 40) >> (esz == 3 ? 0 : 32);
        bits |= esz == 3 ? (uint64_t)(1000 + pick(60)) << 52 : (uint64_t)(110 + pick(60)) << 23;
        return bits;
    default:
        if (esz == 3) {
            memcpy(&bits, &d, 8);
        } else {
            bits = 0;
            memcpy(&bits, &f, 4);
        }
        return bits;
    }
}

static V128 random_vector(unsigned esz)
{
    V128 v = { 0 };

    for (unsigned i = 0; i < 16u >> esz; i++) {
        lane_set(&v, esz, i, interesting(esz));
    }
    return v;
}

static void make_case(Case *k)
{
    memset(k, 0, sizeof(*k));
    k->op = (IrOp){ .opcode = pick(12) ? IR_OP_fop : IR_OP_fcmp,
                    .type = IR_V128,
                    .sub = (uint8_t)pick(IR_FOP_COUNT),
                    .esz = (uint8_t)(2 + pick(2)),
                    .var = (uint8_t)pick(2),
                    .helper = &vector_helper_info };
    k->rounding = (FloatRounding)pick(4);
    k->cond = (uint8_t)pick(IR_COND_COUNT);
    k->a = random_vector(k->op.esz);
    k->b = pick(6) ? random_vector(k->op.esz) : k->a;
    k->c = random_vector(k->op.esz);
    k->x = pick(2) ? interesting(3) : interesting(3) >> pick(64);
    if (k->op.opcode == IR_OP_fcmp) {
        k->op.imm = pick(2);
        k->op.sub = pick(2) ? IR_X86 : 0;
        k->op.helper = &int_helper_info;
        return;
    }
    switch (k->op.sub) {
    case IR_FCVT_F:
        k->op.var = 1;
        k->op.imm = k->op.esz == 3 ? 2 : pick(2) ? 3 : 1;
        break;
    case IR_FROM_S:
    case IR_FROM_U:
        k->op.var = 1;
        k->op.helper = &from_helper_info;
        break;
    case IR_FTO_S:
    case IR_FTO_U:
        k->op.var = 1;
        k->op.type = pick(2) ? IR_I64 : IR_I32;
        k->op.helper = &int_helper_info;
        k->op.imm = pick(6);
        break;
    case IR_FROUND:
        k->op.imm = pick(6) | (pick(2) ? IR_ROUND_EXACT : 0);
        break;
    case IR_FVTO_S:
    case IR_FVTO_U:
        k->op.imm = pick(6);
        break;
    }
    if (k->op.sub == IR_FVFROM_S || k->op.sub == IR_FVFROM_U) {
        k->a = (V128){ interesting(3) >> pick(64), interesting(3) >> pick(64) };
    }
}

static unsigned argument_count(const Case *k)
{
    if (k->op.opcode == IR_OP_fcmp || k->op.sub <= IR_FDIV) {
        return 2;
    }
    if (k->op.sub == IR_FMA) {
        return 3;
    }
    return k->op.sub >= IR_FMIN && k->op.sub <= IR_FCMPGE ? 2 : 1;
}

static bool is_from_int(const Case *k)
{
    return k->op.opcode == IR_OP_fop && (k->op.sub == IR_FROM_S || k->op.sub == IR_FROM_U);
}

static IrRef emit_get(IrUnit *unit, unsigned var, IrType type)
{
    return ir_emit(unit, (IrOp){ .opcode = IR_OP_get, .type = type, .var = (uint8_t)var });
}

static void emit_set(IrUnit *unit, unsigned var, IrType type, IrRef value)
{
    ir_emit(unit,
            (IrOp){ .opcode = IR_OP_set, .type = type, .var = (uint8_t)var, .args = { value } });
}

/* The result goes to its own variable, or over an operand. */
static void make_unit(IrUnit *unit, const IrVar *vars, Case *k, unsigned *result_var)
{
    IrOp op = k->op;
    IrRef r;
    bool wide = pick(2);

    ir_unit_init(unit, vars, VAR_COUNT);
    ir_emit(unit, (IrOp){ .opcode = IR_OP_insn });
    if (is_from_int(k)) {
        op.args[0] = emit_get(unit, VAR_X, IR_I64);
        if (!wide) {
            op.args[0] = ir_emit(
                unit, (IrOp){ .opcode = IR_OP_trunc, .type = IR_I32, .args = { op.args[0] } });
        }
        k->op.aux = wide;
    } else {
        for (unsigned i = 0; i < argument_count(k); i++) {
            op.args[i] = emit_get(unit, VAR_A + i, IR_V128);
        }
    }
    r = ir_emit(unit, op);
    *result_var = pick(2) ? VAR_R : VAR_A + pick(argument_count(k));
    if (op.opcode == IR_OP_fcmp) {
        IrRef set = ir_emit(
            unit, (IrOp){ .opcode = IR_OP_cset, .type = IR_I64, .cond = k->cond, .args = { r } });

        emit_set(unit, VAR_Y, IR_I64, set);
        emit_set(unit, VAR_FLAGS, IR_FLAGS, r);
    } else if (op.type == IR_V128) {
        emit_set(unit, *result_var, IR_V128, r);
    } else {
        if (op.type == IR_I32) {
            r = ir_emit(unit,
                        (IrOp){ .opcode = IR_OP_zext, .type = IR_I64, .esz = 2, .args = { r } });
        }
        emit_set(unit, VAR_Y, IR_I64, r);
    }
    ir_emit(unit, (IrOp){ .opcode = IR_OP_dispatch });
}

static void *leave(TcgState *env)
{
    (void)env;
    return thunks.exit;
}

static bool check_case(const Case *k, const Guest *g, unsigned result_var)
{
    unsigned sticky = 0, got = (host_fp_control(g->env.fp_word).exceptions | helper_sticky) & 0x1f;
    V128 want = { 0 }, have = g->v[result_var - VAR_A];
    bool ok;

    if (k->op.opcode == IR_OP_fcmp) {
        want[0] = int_result(k, k->a, k->b, &sticky);
        have = (V128){ g->flags & TCG_FLAGS_ALL, g->y };
        want[1] = ir_cond_holds(k->cond, want[0]);
    } else if (is_from_int(k)) {
        want = from_int_result(k, k->x, &sticky);
    } else if (k->op.type == IR_V128) {
        want = vector_result(k, k->a, k->b, k->c, &sticky);
    } else {
        want[0] = int_result(k, k->a, k->b, &sticky);
        have = (V128){ g->y, 0 };
    }
    sticky &= 0x1f;
    ok = want[0] == have[0] && want[1] == have[1] && sticky == got;
    if (!ok) {
        printf("opcode %u sub %u esz %u scalar %u imm %" PRId64 " type %u rounding %u\n"
               "a %016" PRIx64 "%016" PRIx64 " b %016" PRIx64 "%016" PRIx64 " c %016" PRIx64
               "%016" PRIx64 " x %" PRIx64 "\nis %016" PRIx64 "%016" PRIx64
               " flags %x\nnot %016" PRIx64 "%016" PRIx64 " flags %x\n",
               k->op.opcode, k->op.sub, k->op.esz, k->op.var, k->op.imm, k->op.type, k->rounding,
               k->a[1], k->a[0], k->b[1], k->b[0], k->c[1], k->c[0], k->x, have[1], have[0], got,
               want[1], want[0], sticky);
    }
    return ok;
}

static bool run_case(HostBackend *backend, IrUnit *unit, const IrVar *vars, uint8_t *code, Guest *g,
                     TcgContext *context)
{
    unsigned result_var;
    HostCode out;

    make_case(&current);
    make_unit(unit, vars, &current, &result_var);
    if (!host_emit_unit(backend, unit, code, CODE_SIZE / 2, NULL, 0, NULL, 0, &out)) {
        printf("no code\n");
        return false;
    }
    memset(g, 0, sizeof(*g));
    g->v[0] = current.a;
    g->v[1] = current.b;
    g->v[2] = current.c;
    g->x = current.x;
    g->env.fp_word = host_fp_word((TcgFpControl){ .rounding = (uint8_t)current.rounding });
    g->env.context = context;
    helper_sticky = 0;
    thunks.enter(&g->env, out.entry);
    return check_case(&current, g, result_var);
}

int main(int argc, char **argv)
{
    static const uint8_t pins[] = { VAR_A, VAR_R, 0xff }, int_pins[] = { VAR_Y, 0xff };
    static const IrVar vars[VAR_COUNT] = {
        [VAR_A] = { "a", IR_V128, offsetof(Guest, v[0]) },
        [VAR_B] = { "b", IR_V128, offsetof(Guest, v[1]) },
        [VAR_C] = { "c", IR_V128, offsetof(Guest, v[2]) },
        [VAR_R] = { "r", IR_V128, offsetof(Guest, v[3]) },
        [VAR_X] = { "x", IR_I64, offsetof(Guest, x) },
        [VAR_Y] = { "y", IR_I64, offsetof(Guest, y) },
        [VAR_FLAGS] = { "nzcv", IR_FLAGS, offsetof(Guest, flags) },
    };
    HostRuntime runtime = { .vars = vars,
                            .var_count = VAR_COUNT,
                            .pinned_ints = int_pins,
                            .pinned_vectors = pins,
                            .dispatch = leave };
    unsigned count = argc > 1 ? (unsigned)atoi(argv[1]) : 100000;
    HostBackend *backend = host_backend_new(&runtime, NULL);
    Guest *g = g_new0(Guest, 1);
    TcgContext *context = g_malloc0(tcg_context_size(1));
    IrUnit *unit = g_new0(IrUnit, 1);
    uint8_t *code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t used;
    int status = 0;

    if (!backend) {
        printf("no back end for this host\n");
        return 77;
    }
    if (code == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    rng = g_rand_new_with_seed(argc > 2 ? (uint32_t)atoi(argv[2]) : 1);
    used = host_emit_thunks(backend, code, CODE_SIZE / 2, &thunks);
    for (unsigned i = 0; i < count && status == 0; i++) {
        status = !run_case(backend, unit, vars, code + used, g, context);
    }
    printf("%u operations (%s)\n", count, host_backend_describe(backend));
    host_backend_free(backend);
    return status;
}
