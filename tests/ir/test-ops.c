/* SPDX-License-Identifier: MIT */
/*
 * Every op in every width and variant that the verifier lets pass: its text survives printing and parsing, and what
 * the host's code computes is what the interpreter says. Ops on memory and those that leave the unit have their text
 * tested here, the rest in test-host-random; floating point is test-host-float's.
 */
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "accel/tcg/host/host.h"
#include "accel/tcg/ir/interpret.h"
#include "accel/tcg/ir/services.h"
#include "accel/tcg/opt/opt.h"
#include "base/bits.h"

enum { CODE_SIZE = 1 << 20, TRIALS = 24, MAX_SUB = 9, MAX_ESZ = 5 };

/* Variables: operands by type, and results, in a register or not. */
enum {
    INTS = 4,
    VECTORS = 4,
    VAR_I64 = 0,
    VAR_I32 = INTS,
    VAR_V128 = 2 * INTS,
    VAR_FLAGS = 2 * INTS + VECTORS,
    VAR_COUNT,
};

typedef struct {
    TcgState env;
    uint64_t wide[INTS];
    uint32_t narrow[INTS];
    V128 vector[VECTORS];
    uint16_t flags;
} Guest;

static IrVar vars[VAR_COUNT];
static HostThunks thunks;
static HostBackend *backend;
static uint8_t *code;
static GRand *rng;
static Guest expected, actual;
static TcgContext *context;
static IrUnit *unit, *parsed;
static unsigned seen[IR_OP_COUNT], variants;

_Noreturn void tcg_unwind(TcgState *env)
{
    (void)env;
    abort();
}

static void *leave(TcgState *env)
{
    (void)env;
    return thunks.exit;
}

static unsigned pick(unsigned limit)
{
    return (unsigned)g_rand_int_range(rng, 0, (gint32)limit);
}

static uint64_t value64(void)
{
    static const uint64_t special[] = { 0,          1,          2,         7,
                                        8,          0x7f,       0x80,      0xff,
                                        0x7fff,     0x8000,     0xffff,    0x7fffffff,
                                        0x80000000, 0xffffffff, INT64_MAX, UINT64_C(1) << 63,
                                        UINT64_MAX };
    uint64_t value = (uint64_t)g_rand_int(rng) << 32 | g_rand_int(rng);

    return pick(2) ? special[pick(G_N_ELEMENTS(special))] : value >> pick(64);
}

static IrType type_of_letter(char letter, const IrOp *op)
{
    switch (letter) {
    case 'T':
        return op->type;
    case 'I':
        return IR_I32;
    case 'F':
        return IR_FLAGS;
    case 'Q':
        return IR_V128;
    default:
        return IR_I64;
    }
}

static unsigned var_of(IrType type, unsigned k)
{
    return type == IR_I64    ? VAR_I64 + k % INTS
           : type == IR_I32  ? VAR_I32 + k % INTS
           : type == IR_V128 ? VAR_V128 + k % VECTORS
                             : VAR_FLAGS;
}

static IrRef operand(IrType type, unsigned k)
{
    if ((type == IR_I32 || type == IR_I64) && k > 0 && pick(3) == 0) {
        uint64_t value = pick(2) ? value64() : pick(70);

        return ir_emit(unit,
                       (IrOp){ .opcode = IR_OP_const,
                               .type = type,
                               .imm = type == IR_I32 ? (int64_t)(uint32_t)value : (int64_t)value });
    }
    return ir_emit(unit,
                   (IrOp){ .opcode = IR_OP_get, .type = type, .var = (uint8_t)var_of(type, k) });
}

/* imm and aux: anything that the verifier takes. */
static void choose_fields(IrOp *op)
{
    switch (op->opcode) {
    case IR_OP_fconst:
        op->imm = op->sub ? (int64_t)(g_rand_int(rng) & TCG_EFLAGS_MASK) : pick(16);
        break;
    case IR_OP_fmerge:
        op->imm = g_rand_int(rng) & TCG_FLAGS_ALL;
        break;
    case IR_OP_const:
    case IR_OP_vconst:
    case IR_OP_insn:
        op->imm = (int64_t)value64();
        op->aux = op->opcode == IR_OP_const ? 0 : (int64_t)value64();
        break;
    case IR_OP_pc:
        op->imm = (int64_t)value64() >> 20;
        break;
    case IR_OP_mzero:
        op->imm = 16 << pick(8);
        break;
    case IR_OP_ldchk:
        op->aux = 1 + pick(64);
        break;
    default:
        op->imm = pick(pick(2) ? 65 : 4);
        op->aux = pick(pick(2) ? 65 : 4);
    }
}

static bool is_double_shift(unsigned opcode)
{
    return opcode == IR_OP_shld || opcode == IR_OP_shrd || opcode == IR_OP_shldf ||
           opcode == IR_OP_shrdf;
}

/* A unit around the op; its ref. */
static IrRef make_unit(IrOp op)
{
    const char *types = ir_argument_types(&op);
    unsigned args = ir_op_info[op.opcode].args, mask = TCG_FLAGS_ALL;
    IrType result;
    IrRef ref;

    ir_unit_init(unit, vars, VAR_COUNT);
    for (unsigned k = 0; k < args; k++) {
        op.args[k] = operand(type_of_letter(types[k], &op), k + pick(2));
    }
    if (op.opcode >= IR_OP_shlf && op.opcode <= IR_OP_shrdf && op.opcode != IR_OP_rclf &&
        op.opcode != IR_OP_rcrf && pick(3) == 0) {
        op.args[args - 1] = 0;
    }
    if (is_double_shift(op.opcode) && ir_op_size(&op) == 1) {
        op.args[2] =
            ir_emit(unit, (IrOp){ .opcode = IR_OP_const, .type = op.type, .imm = pick(17) });
    }
    if (op.opcode == IR_OP_ldraw) {
        op.args[0] = ir_emit(
            unit,
            (IrOp){ .opcode = IR_OP_ldchk, .type = IR_I64, .aux = 64, .args = { op.args[0] } });
    }
    op.var =
        op.opcode == IR_OP_get || op.opcode == IR_OP_set ? (uint8_t)var_of(op.type, pick(4)) : 0;
    op.cond = op.opcode >= IR_OP_cset && op.opcode <= IR_OP_fsel ? (uint8_t)pick(IR_COND_COUNT) : 0;
    ref = ir_emit(unit, op);
    result = ir_result_type(&op);
    if (ir_is_flags_producer(op.opcode)) {
        unsigned at = is_double_shift(op.opcode) ? 2 : 1;
        const IrOp *count = &unit->ops[op.args[at]];

        mask = ir_specified_flags(
            &op, count->opcode == IR_OP_const ? count->imm & (op.esz == 3 ? 63 : 31) : -1);
        if (mask != TCG_FLAGS_ALL) {
            IrRef old = operand(IR_FLAGS, 0);

            ref =
                ir_emit(unit, (IrOp){ .opcode = IR_OP_fmerge, .args = { old, ref }, .imm = mask });
        }
    }
    if (result != IR_VOID) {
        ir_emit(unit, (IrOp){ .opcode = IR_OP_set,
                              .type = result,
                              .var = (uint8_t)var_of(result, pick(4)),
                              .args = { ref } });
    }
    if (!ir_op_ends_unit(&op)) {
        ir_emit(unit, (IrOp){ .opcode = IR_OP_dispatch, .imm = 4 });
    }
    return ref;
}

/* Not their bytes: there is padding. */
static bool same_op(const IrOp *a, const IrOp *b)
{
    return a->opcode == b->opcode && a->type == b->type && a->esz == b->esz && a->cond == b->cond &&
           a->var == b->var && a->sub == b->sub && memcmp(a->args, b->args, sizeof a->args) == 0 &&
           a->imm == b->imm && a->aux == b->aux;
}

static void check_text(void)
{
    g_autofree char *text = ir_print(unit), *again = NULL;
    g_autoptr(GError) error = NULL;

    ir_unit_init(parsed, vars, VAR_COUNT);
    if (!ir_parse(parsed, text, &error)) {
        g_error("%s in:\n%s", error->message, text);
    }
    again = ir_print(parsed);
    g_assert_cmpstr(again, ==, text);
    g_assert_cmpuint(parsed->count, ==, unit->count);
    for (unsigned i = 0; i < unit->count; i++) {
        g_assert_true(same_op(&parsed->ops[i], &unit->ops[i]));
    }
}

static void randomize(Guest *g)
{
    memset(g, 0, sizeof(*g));
    for (unsigned i = 0; i < INTS; i++) {
        g->wide[i] = value64();
        g->narrow[i] = (uint32_t)value64();
        g->vector[i] = (V128){ value64(), value64() };
    }
    g->flags = tcg_flags_from_eflags(g_rand_int(rng));
    g->env.pc_page = UINT64_C(0xffff800010234000);
    g->env.fp_word = host_fp_word((TcgFpControl){ 0 });
}

static bool is_same(void)
{
    return !memcmp(expected.wide, actual.wide, sizeof(actual.wide)) &&
           !memcmp(expected.narrow, actual.narrow, sizeof(actual.narrow)) &&
           !memcmp(expected.vector, actual.vector, sizeof(actual.vector)) &&
           !((expected.flags ^ actual.flags) & TCG_FLAGS_ALL);
}

static void check_value(const HostRuntime *runtime, IrValue *values)
{
    HostCode out;

    randomize(&expected);
    actual = expected;
    expected.env.interpreter_values = values;
    ir_interpret(unit, &expected.env, runtime);
    if (pick(2)) {
        opt_run(unit);
    }
    g_assert_true(
        host_emit_unit(backend, unit, code + CODE_SIZE / 2, CODE_SIZE / 2, NULL, 0, NULL, 0, &out));
    actual.env.context = context;
    thunks.enter(&actual.env, out.entry);
    if (!is_same()) {
        g_autofree char *text = ir_print(unit);

        for (unsigned i = 0; i < INTS; i++) {
            printf("x%u %" PRIx64 ", expected %" PRIx64 "; w%u %x, expected %x; v%u %016" PRIx64
                   "%016" PRIx64 ", expected %016" PRIx64 "%016" PRIx64 "\n",
                   i, actual.wide[i], expected.wide[i], i, actual.narrow[i], expected.narrow[i], i,
                   actual.vector[i][1], actual.vector[i][0], expected.vector[i][1],
                   expected.vector[i][0]);
        }
        g_error("flags %x, expected %x after:\n%s", actual.flags, expected.flags, text);
    }
}

/* Whether the op can run here: no memory, nothing that leaves, no helper. */
static bool is_computation(unsigned opcode)
{
    return opcode != IR_OP_nop &&
           !(ir_op_info[opcode].effects & (IR_MEMORY | IR_CONTROL | IR_FAULTS | IR_EFFECT));
}

static bool is_float_or_call(unsigned opcode)
{
    return opcode == IR_OP_fop || opcode == IR_OP_fcmp || opcode == IR_OP_call ||
           opcode == IR_OP_call_if;
}

static void check_variant(IrOp op, const HostRuntime *runtime, IrValue *values)
{
    unsigned valid = 0;

    for (unsigned i = 0; i < 10 * TRIALS && valid < TRIALS && (valid || i < 100); i++) {
        choose_fields(&op);
        make_unit(op);
        if (!ir_verify(unit, NULL)) {
            continue;
        }
        check_text();
        if (is_computation(op.opcode)) {
            check_value(runtime, values);
        }
        valid++;
    }
    variants += valid != 0;
    seen[op.opcode] += valid != 0;
}

/* Whether an op's esz and sub mean anything. */
static bool uses_esz(unsigned opcode)
{
    return ir_is_flags_producer(opcode) || opcode == IR_OP_zext || opcode == IR_OP_sext ||
           opcode == IR_OP_bswap || opcode >= IR_OP_ld;
}

static bool uses_sub(unsigned opcode)
{
    return opcode < IR_OP_fence || opcode == IR_OP_goto_ind;
}

static void check_op(unsigned opcode, const HostRuntime *runtime, IrValue *values)
{
    static const uint8_t types[] = { IR_VOID, IR_I32, IR_I64, IR_V128, IR_FLAGS };

    for (unsigned t = 0; t < G_N_ELEMENTS(types); t++) {
        for (unsigned esz = 0; esz < (uses_esz(opcode) ? MAX_ESZ : 1); esz++) {
            for (unsigned sub = 0; sub < (uses_sub(opcode) ? MAX_SUB : 1); sub++) {
                check_variant((IrOp){ .opcode = (uint8_t)opcode,
                                      .type = types[t],
                                      .esz = (uint8_t)esz,
                                      .sub = (uint8_t)sub },
                              runtime, values);
            }
        }
    }
    if (!seen[opcode]) {
        g_error("no variant of %s is valid", ir_op_info[opcode].name);
    }
}

static void describe_vars(void)
{
    for (unsigned i = 0; i < VAR_COUNT; i++) {
        IrType type = i < VAR_I32     ? IR_I64
                      : i < VAR_V128  ? IR_I32
                      : i < VAR_FLAGS ? IR_V128
                                      : IR_FLAGS;
        size_t offset = i < VAR_I32     ? offsetof(Guest, wide) + 8 * i
                        : i < VAR_V128  ? offsetof(Guest, narrow) + 4 * (i - VAR_I32)
                        : i < VAR_FLAGS ? offsetof(Guest, vector) + 16 * (i - VAR_V128)
                                        : offsetof(Guest, flags);

        vars[i] = (IrVar){ g_strdup_printf("r%u", i), type, (int32_t)offset };
    }
}

int main(void)
{
    static const uint8_t ints[] = { VAR_I64 + 1, VAR_I64 + 3, VAR_I32 + 1, 0xff };
    static const uint8_t vectors[] = { VAR_V128 + 1, VAR_V128 + 3, 0xff };
    HostRuntime runtime = { .vars = vars,
                            .var_count = VAR_COUNT,
                            .pinned_ints = ints,
                            .pinned_vectors = vectors,
                            .env_bias = 128,
                            .dispatch = leave };
    IrValue *values = g_new0(IrValue, IR_MAX_OPS);

    rng = g_rand_new_with_seed(3);
    unit = g_new0(IrUnit, 1);
    parsed = g_new0(IrUnit, 1);
    context = g_malloc0(tcg_context_size(1));
    describe_vars();
    backend = host_backend_new(&runtime, NULL);
    if (!backend) {
        printf("no back end for this host\n");
        return 77;
    }
    code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                -1, 0);
    g_assert_true(code != MAP_FAILED);
    host_emit_thunks(backend, code, CODE_SIZE / 2, &thunks);
    for (unsigned opcode = IR_OP_nop + 1; opcode < IR_OP_COUNT; opcode++) {
        if (!is_float_or_call(opcode)) {
            check_op(opcode, &runtime, values);
        }
    }
    printf("%u variants of %u ops agree (%s)\n", variants, IR_OP_COUNT,
           host_backend_describe(backend));
    return 0;
}
