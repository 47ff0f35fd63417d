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
#include "accel/tcg/ir/services.h"
#include "accel/tcg/opt/opt.h"
#include "base/bits.h"
#include "tests/unit/encoded-helpers.h"
#include "tests/unit/random-unit.h"

enum { JUMP_SHIFT = 2 };
enum {
    READ_ONLY_PAGE = 3,
    CODE_SIZE = 1 << 20,
    LOG_SIZE = 256,
};

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
    uint64_t exclusive_address;
} Guest;

enum { LEFT_DIRECT = 1, LEFT_INDIRECT, LEFT_DISPATCH, LEFT_FAULT, LEFT_UNGROUPED };

static IrVar vars[VAR_COUNT];
static uint8_t pinned_ints[9], pinned_vectors[9];
static HostThunks thunks;
static bool interpreting;
static RandomUnits units = { .vars = vars, .max_length = 300 };

static Guest *guest_of(TcgState *env)
{
    return (Guest *)env;
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

/* Addresses of 32 bits wrap within the 4 GiB that the data lie in. */
static uint64_t wrap(uint64_t address, unsigned flags)
{
    return flags & IR_MEM_WRAP32 ? (DATA_BASE & ~UINT64_C(0xffffffff)) | ir_mem_wrap(address, flags)
                                 : address;
}

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

    address = wrap(address, flags);
    check(env, address, size, flags & IR_MEM_FOR_WRITE, flags);
    memcpy(&value, at(env, address), size);
    return flags & IR_MEM_BE ? reverse(value, size) : value;
}

static void slow_store(TcgState *env, uint64_t address, uint64_t value, unsigned size,
                       unsigned flags)
{
    address = wrap(address, flags);
    check(env, address, size, true, flags);
    if (flags & IR_MEM_BE) {
        value = reverse(value & bits_mask(8 * size), size);
    }
    memcpy(at(env, address), &value, size);
}

static V128 slow_load_vector(TcgState *env, uint64_t address, unsigned size, unsigned flags)
{
    V128 value = { 0 };

    address = wrap(address, flags);
    check(env, address, size, flags & IR_MEM_FOR_WRITE, flags);
    memcpy(&value, at(env, address), size);
    return value;
}

static void slow_store_vector(TcgState *env, uint64_t address, V128 value, unsigned size,
                              unsigned flags)
{
    address = wrap(address, flags);
    check(env, address, size, true, flags);
    memcpy(at(env, address), &value, size);
}

/* Page by page: what may be known of a page is in the TLB already. */
static bool reach(TcgState *env, uint64_t address, unsigned size, unsigned flags, bool write,
                  bool all_write)
{
    check(env, wrap(address, flags), size, write, flags);
    return !all_write || write;
}

static void slow_store_check(TcgState *env, uint64_t address, unsigned size, unsigned flags)
{
    address = wrap(address, flags);
    check(env, address, size, true, flags & ~(unsigned)IR_MEM_ALIGNED);
}

static void *slow_load_check(TcgState *env, uint64_t address, unsigned size, unsigned flags)
{
    address = wrap(address, flags);
    check(env, address, size, flags & IR_MEM_FOR_WRITE, flags & ~(unsigned)IR_MEM_ALIGNED);
    memcpy(env->bounce, at(env, address), size);
    return env->bounce;
}

static void *slow_atomic_check(TcgState *env, uint64_t address, unsigned size, unsigned flags)
{
    check(env, address, size, true, flags);
    if ((address - DATA_BASE) >> TCG_PAGE_BITS == SLOW_PAGE) {
        memcpy(env->bounce, at(env, address), size);
        env->exclusive_size = size;
        guest_of(env)->exclusive_address = address;
        return env->bounce;
    }
    return at(env, address);
}

static void slow_atomic_end(TcgState *env)
{
    memcpy(at(env, guest_of(env)->exclusive_address), env->bounce, env->exclusive_size);
    env->exclusive_size = 0;
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

static void *ungrouped(TcgState *env)
{
    guest_of(env)->left = LEFT_UNGROUPED;
    guest_of(env)->left_pc = tcg_pc(env);
    return thunks.exit;
}

static void *indirect(TcgState *env, uint64_t pc, unsigned jump_class, int64_t origin)
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
    note(g, g->flags & TCG_FLAGS_ALL);
    return a + g->x[3] + g->v[1][0];
}

static void scramble(TcgState *env, uint64_t a)
{
    Guest *g = guest_of(env);

    g->x[1] += a;
    g->x[INT_VARS - 1] ^= a;
    g->v[2][1] -= a;
    g->v[VECTOR_VARS - 1][0] += a;
    g->flags = (uint16_t)(a & 1 ? TCG_FLAG_N | TCG_FLAG_C | TCG_FLAG_P
                                : TCG_FLAG_Z | TCG_FLAG_V | TCG_FLAG_A);
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

/* --- running and comparing ---------------------------------------------------------------------- */

static uint64_t random64(void)
{
    uint64_t value = (uint64_t)g_rand_int(units.rng) << 32 | g_rand_int(units.rng);

    return random_below(units.rng, 3) ? value : value >> random_below(units.rng, 64);
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
    g->flags = tcg_flags_from_eflags(g_rand_int(units.rng));
    for (unsigned i = 0; i < sizeof(g->ram); i += 4) {
        uint32_t word = g_rand_int(units.rng);

        memcpy((uint8_t *)g->ram + i, &word, 4);
    }
    g->env.pc_page = CODE_PAGE;
    g->env.pc_offset = 0x82;
    g->env.fp_word = g->env.host_fp_word = host_fp_word((TcgFpControl){ 0 });
}

static void map_pages(TcgContext *context, Guest *g)
{
    tcg_context_init_tables(context);
    for (unsigned i = 0; i < PAGES; i++) {
        uint64_t page = DATA_BASE + i * TCG_PAGE_SIZE;
        TcgTlbEntry *entry = &context->tlb[page >> TCG_PAGE_BITS & ((1 << TCG_TLB_BITS) - 1)];

        if (i != SLOW_PAGE && i != FAULT_PAGE) {
            entry->read = page;
            entry->write = i == READ_ONLY_PAGE ? tcg_tlb_no_tag(page) : page;
            entry->addend = (uintptr_t)g->ram[i] - page;
        }
    }
    for (unsigned i = 0; i < 1 << TCG_JUMP_BITS; i++) {
        context->jump[i].pc = tcg_jump_empty(i, JUMP_SHIFT);
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
    uint16_t mask = TCG_FLAGS_ALL;
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
        vars[i].type = i < units.narrow_from ? IR_I64
                       : i < INT_VARS        ? IR_I32
                       : i < FLAGS_VAR       ? IR_V128
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
    IrUnit *unit, *original; /* as it was made */
    Guest *before;
    unsigned ungrouped; /* units that were left at a group */
} Bench;

static void copy_unit(IrUnit *to, const IrUnit *from)
{
    memcpy(to, from, offsetof(IrUnit, ops) + from->count * sizeof from->ops[0]);
}

/* A unit that was left at a group has done what comes before the instruction that leads it, and nothing else. */
static void expect_begin_of_insn(Bench *b)
{
    IrUnit *unit = b->original;

    for (unsigned i = 1; i < unit->count; i++) {
        int64_t pc = unit->ops[i].imm;

        if (unit->ops[i].opcode == IR_OP_insn && CODE_PAGE + (uint64_t)pc == b->actual->left_pc) {
            unit->ops[i] = (IrOp){ .opcode = IR_OP_goto, .imm = pc };
            unit->count = i + 1;
            break;
        }
    }
    *b->expected = *b->before;
    interpret(unit, b->expected, b->runtime, b->values);
    b->actual->left = LEFT_DIRECT;
    b->ungrouped++;
}

static bool run_one(Bench *b)
{
    GError *error = NULL;
    HostCode out;

    random_unit(b->unit, &units);
    if (!ir_verify(b->unit, &error)) {
        printf("%s\n", error->message);
        return false;
    }
    copy_unit(b->original, b->unit);
    randomize(b->expected);
    *b->actual = *b->before = *b->expected;
    interpret(b->unit, b->expected, b->runtime, b->values);
    if (random_below(units.rng, 2)) {
        opt_run(b->unit);
        if (!ir_verify(b->unit, &error)) {
            printf("after optimisation: %s\n", error->message);
            return false;
        }
    }
    if (!host_emit_unit(b->backend, b->unit, b->units, CODE_SIZE / 2, b->code + CODE_SIZE / 4 * 3,
                        CODE_SIZE / 4, b->links, 2048, &out)) {
        printf("no code for a unit of %u ops\n", b->unit->count);
        return false;
    }
    map_pages(b->context, b->actual);
    b->actual->env.context = b->actual->env.context_other = b->context;
    thunks.enter(&b->actual->env, out.entry);
    if (b->actual->left == LEFT_UNGROUPED) {
        expect_begin_of_insn(b);
    }
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
        .jump_shift = JUMP_SHIFT,
        .pinned_ints = pinned_ints,
        .pinned_vectors = pinned_vectors,
        .env_bias = 128,
        .load = slow_load,
        .store = slow_store,
        .load_vector = slow_load_vector,
        .store_vector = slow_store_vector,
        .reach = reach,
        .store_check = slow_store_check,
        .load_check = slow_load_check,
        .atomic_check = slow_atomic_check,
        .atomic_end = slow_atomic_end,
        .zero = slow_zero,
        .dispatch = dispatch,
        .follow_link = follow_link,
        .indirect = indirect,
        .ungrouped = ungrouped,
    };
    Bench b = { .runtime = &runtime,
                .context = g_malloc0(tcg_context_size(1)),
                .expected = g_new0(Guest, 1),
                .actual = g_new0(Guest, 1),
                .values = g_new0(IrValue, IR_MAX_OPS),
                .links = g_new0(TcgLink, 2048),
                .unit = g_new0(IrUnit, 1),
                .original = g_new0(IrUnit, 1),
                .before = g_new0(Guest, 1) };

    units.helpers = helpers;
    units.helper_count = G_N_ELEMENTS(helpers);
    units.encoded = encoded_helpers(&units.encoded_count);
    units.narrow_from = g_getenv("NARROW") ? 12 : INT_VARS;
    units.max_length = argc > 3 ? (unsigned)atoi(argv[3]) : units.max_length;
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
        units.rng = g_rand_new_with_seed(seed + i);
        if (!run_one(&b)) {
            char *text = ir_print(b.unit);

            printf("seed %u:\n%s", seed + i, text);
            if (argc > 4) {
                g_file_set_contents(argv[4], (char *)b.units, CODE_SIZE / 4, NULL);
            }
            g_free(text);
            return 1;
        }
        g_rand_free(units.rng);
    }
    printf("%u units agree, %u of them left at a group (%s)\n", count, b.ungrouped,
           host_backend_describe(b.backend));
    return 0;
}
