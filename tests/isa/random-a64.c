/* SPDX-License-Identifier: MIT */
/*
 * Random A64 instructions, made from the decoder's own patterns, run by the IR interpreter or by the
 * back end, and by a probe program (probe-a64.c) on an installed qemu-aarch64: all registers, flags,
 * FPSR and memory must agree.
 *
 * usage: random-a64 [--count=N] [--seed=N] [--only=PATTERN] [--length=N] [--native] [--aligned]
 *                   [--undefined] PROBE-COMMAND...
 *
 * Without --only, all patterns that need neither system state nor branches are tried in turn.
 */
#include <glib.h>
#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "accel/tcg/host/host.h"
#include "accel/tcg/ir/interpret.h"
#include "base/capstone.h"
#include "base/softfloat.h"
#include "target/arm/fp-helpers.h"
#include "target/arm/translate.h"
#include "tests/isa/a64-state.h"

enum {
    STATES_PER_INSN = 16,
    INSNS_PER_BATCH = 64,
    BATCH = STATES_PER_INSN * INSNS_PER_BATCH,
    CODE_ROOM = 1 << 20,
    MAX_LINKS = 64,
    DATA_ADDRESS = A64_STATE_ADDRESS + offsetof(A64State, data),
    SIGNAL_UNDEFINED = 4,
    NOP = (int)0xd503201f,
    FPSR_UFC = 1 << 3,
    FPSR_IXC = 1 << 4,
};

typedef struct {
    ArmCpu *cpu;
    IrUnit unit;
    HostRuntime runtime;
    HostBackend *backend;
    HostThunks thunks;
    uint8_t *code, *code_next;
    uint8_t page[TCG_PAGE_SIZE];
    sigjmp_buf unwind;
    uint64_t random;
    FILE *to_probe, *from_probe;
    unsigned length;      /* instructions at a time */
    bool check_alignment; /* as with SCTLR.A: states that would fault are left out */
    bool try_undefined;   /* old versions of QEMU abort on some */
    unsigned long compared, undefined, skipped, failed;
    GHashTable *failures; /* pattern name: count */
} Test;

/* The memory of the state that runs. Callbacks have no other way to find it. */
static A64State *current;
static Test *current_test;

static uint64_t random64(Test *t)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return t->random * UINT64_C(0x2545f4914f6cdd1d);
}

static uint8_t *memory_at(uint64_t address, unsigned size, unsigned flags)
{
    if (address - DATA_ADDRESS > A64_DATA_BYTES - size ||
        (flags & IR_MEM_ALIGNED && address & (size - 1))) {
        siglongjmp(current_test->unwind, 2);
    }
    return current->data + (address - DATA_ADDRESS);
}

static uint64_t load(TcgState *env, uint64_t address, unsigned size, unsigned flags)
{
    uint64_t value = 0;

    memcpy(&value, memory_at(address, size, flags), size);
    return value;
}

static void store(TcgState *env, uint64_t address, uint64_t value, unsigned size, unsigned flags)
{
    memcpy(memory_at(address, size, flags), &value, size);
}

static V128 load_vector(TcgState *env, uint64_t address, unsigned size, unsigned flags)
{
    V128 value = { 0, 0 };

    memcpy(&value, memory_at(address, size, flags), size);
    return value;
}

static void store_vector(TcgState *env, uint64_t address, V128 value, unsigned size, unsigned flags)
{
    memcpy(memory_at(address, size, flags), &value, size);
}

static void store_check(TcgState *env, uint64_t address, unsigned size, unsigned flags)
{
    memory_at(address, size, flags);
}

static void *host_address(TcgState *env, uint64_t address, unsigned size, unsigned flags)
{
    return memory_at(address, size, flags);
}

static void zero(TcgState *env, uint64_t address, unsigned size)
{
    memset(memory_at(address, size, 0), 0, size);
}

static void *leave(TcgState *env)
{
    return current_test->thunks.exit;
}

static void *leave_by_link(TcgState *env, TcgLink *link)
{
    return current_test->thunks.exit;
}

static void *leave_indirect(TcgState *env, uint64_t address, unsigned jump_class, int64_t origin)
{
    return current_test->thunks.exit;
}

static void make_cpu(Test *t)
{
    TcgContext *context = g_malloc0(tcg_context_size(4));

    tcg_context_init_tables(context);
    t->cpu = aligned_alloc(64, (sizeof *t->cpu + 63) & ~(size_t)63);
    memset(t->cpu, 0, sizeof *t->cpu);
    t->cpu->features = bits_mask(ARM_FEATURE_COUNT);
    tcg_set_fp_control(&t->cpu->tcg, (TcgFpControl){ 0 });
    t->cpu->tcg.context = t->cpu->tcg.context_other = context;
    t->cpu->tcg.interpreter_values = g_malloc0(sizeof(IrValue) * IR_MAX_OPS);
    t->runtime = (HostRuntime){
        .vars = arm_target.tcg->vars,
        .var_count = arm_target.tcg->var_count,
        .pinned_ints = arm_target.tcg->pinned_ints,
        .pinned_vectors = arm_target.tcg->pinned_vectors,
        .env_bias = arm_target.tcg->env_bias,
        .load = load,
        .store = store,
        .load_vector = load_vector,
        .store_vector = store_vector,
        .store_check = store_check,
        .load_check = host_address,
        .atomic_check = host_address,
        .zero = zero,
        .dispatch = leave,
        .follow_link = leave_by_link,
        .indirect = leave_indirect,
    };
}

static void make_backend(Test *t)
{
    g_autoptr(GError) error = NULL;

    t->backend = host_backend_new(&t->runtime, &error);
    if (!t->backend) {
        g_printerr("%s\n", error->message);
        exit(77); /* meson: skipped */
    }
    t->code = mmap(NULL, CODE_ROOM, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                   -1, 0);
    t->code_next = t->code + host_emit_thunks(t->backend, t->code, CODE_ROOM, &t->thunks);
}

/* The FPCR bits that select what the translation is specialised on. */
static uint32_t mode_of(const Test *t, uint32_t fpcr)
{
    return ARM_MODE_EL1 | ARM_MODE_FP | arm_fpcr_mode(fpcr) |
           (t->check_alignment ? ARM_MODE_ALIGN : 0);
}

static bool is_undefined(const IrUnit *unit)
{
    for (unsigned i = 0; i < unit->count; i++) {
        if (unit->ops[i].opcode == IR_OP_call && strcmp(unit->ops[i].helper->name, "raise") == 0) {
            return true;
        }
    }
    return false;
}

static void run_unit(Test *t)
{
    TcgState *env = &t->cpu->tcg;
    TcgLink links[MAX_LINKS];
    HostCode code;

    if (!t->backend) {
        ir_interpret(&t->unit, env, &t->runtime);
        return;
    }
    if (!host_emit_unit(t->backend, &t->unit, t->code_next, CODE_ROOM / 2, NULL, 0, links,
                        MAX_LINKS, &code)) {
        g_error("no room for the unit");
    }
    env->in_code = true;
    t->thunks.enter(env, code.entry);
    env->in_code = false;
}

/* Runs one state on our side, in place. false: the state is of no use (memory outside the data). */
static bool run_ours(Test *t, A64State *s)
{
    ArmCpu *cpu = t->cpu;
    g_autoptr(GError) error = NULL;

    memcpy(cpu->x, s->x, sizeof s->x);
    cpu->x[31] = A64_STATE_ADDRESS;
    memcpy(cpu->v, s->v, sizeof s->v);
    cpu->flags = tcg_flags_from_nzcv((uint32_t)s->nzcv);
    arm_set_fpcr(cpu, (uint32_t)s->fpcr);
    arm_set_fpsr(cpu, (uint32_t)s->fpsr);
    memcpy(t->page, s->insns, sizeof s->insns);
    ir_unit_init(&t->unit, arm_target.tcg->vars, arm_target.tcg->var_count);
    /* Nothing is in the TLB, so that groups would not do. */
    t->unit.mode = mode_of(t, (uint32_t)s->fpcr) | TCG_MODE_UNGROUPED;
    arm_target.tcg->translate(&t->unit, &cpu->tcg, &(TcgCode){ .page = t->page }, 0, t->unit.mode,
                              t->length);
    if (is_undefined(&t->unit)) {
        s->signal = SIGNAL_UNDEFINED;
        return true;
    }
    if (!ir_verify(&t->unit, &error)) {
        g_autofree char *text = ir_print(&t->unit);

        g_error("%08x: %s\n%s", s->insns[0], error->message, text);
    }
    current = s;
    if (sigsetjmp(t->unwind, 0)) {
        return false;
    }
    run_unit(t);
    memcpy(s->x, cpu->x, sizeof s->x);
    memcpy(s->v, cpu->v, sizeof s->v);
    s->nzcv = tcg_flags_to_nzcv(cpu->flags);
    s->fpsr = arm_get_fpsr(cpu);
    return cpu->x[31] == A64_STATE_ADDRESS;
}

static uint64_t random_float(Test *t, const FloatFormat *f)
{
    uint64_t exp_max = bits_mask(f->exp_bits), frac_mask = bits_mask(f->frac_bits);
    uint64_t exp = random64(t) & exp_max, frac = random64(t) & frac_mask;

    switch (random64(t) % 8) {
    case 0:
        exp = random64(t) & 1 ? 0 : exp_max;
        frac = random64(t) & 1 ? frac : random64(t) & 3;
        break;
    case 1:
        exp = (exp_max >> 1) + random64(t) % 5 - 2;
        frac = random64(t) & 1 ? frac & (frac << 9) & frac_mask : frac_mask - (random64(t) & 3);
        break;
    case 2:
        exp = (exp_max >> 1) + random64(t) % (f->frac_bits + 4);
        break;
    case 3:
        exp = (exp_max >> 1) + random64(t) % 40;
        break;
    case 4:
        exp = random64(t) & 1 ? random64(t) % 3 : exp_max - random64(t) % 3;
        break;
    case 5:
        frac = random64(t) & 1 ? 0 : frac & ~(frac_mask >> 4);
        break;
    default:
        break;
    }
    return (random64(t) & 1) << (f->exp_bits + f->frac_bits) | (exp & exp_max) << f->frac_bits |
           frac;
}

static uint64_t random_lane(Test *t, unsigned esz)
{
    const FloatFormat *formats[4] = { NULL, &float_f16, &float_f32, &float_f64 };

    switch (random64(t) % 6) {
    case 0:
        return random64(t);
    case 1:
        return random64(t) % 5 - 2;
    case 2:
        return BIT((8 << esz) - 1) - (random64(t) & 1);
    default:
        return esz ? random_float(t, formats[esz]) : random64(t);
    }
}

static void random_vector(Test *t, uint64_t v[2])
{
    unsigned esz = random64(t) % 4;

    for (unsigned i = 0; i < 2; i++) {
        v[i] = 0;
        for (unsigned shift = 0; shift < 64; shift += 8u << esz) {
            v[i] |= (random_lane(t, esz) & bits_mask(8u << esz)) << shift;
        }
    }
}

/* Loads and stores: an address in the data, and a small index. */
static void aim_memory(Test *t, A64State *s, uint32_t insn)
{
    unsigned rn = insn >> 5 & 31, rm = insn >> 16 & 31;

    if ((insn & 0x0a000000) == 0x08000000) {
        if (rm < 31 && (insn & 0x3b200c00) == 0x38200800) {
            s->x[rm] = random64(t) % 32;
        }
        if (rn < 31) {
            s->x[rn] = DATA_ADDRESS + 128 + random64(t) % 128;
        }
    }
}

static void random_state(Test *t, A64State *s, const uint32_t *insns)
{
    unsigned rn = insns[0] >> 5 & 31, rm = insns[0] >> 16 & 31;

    memset(s, 0, sizeof *s);
    memcpy(s->insns, insns, sizeof s->insns);
    for (unsigned i = 0; i < 31; i++) {
        s->x[i] = random_lane(t, random64(t) % 4);
    }
    for (unsigned i = 0; i < 32; i++) {
        random_vector(t, s->v[i]);
    }
    if (random64(t) % 4 == 0) {
        memcpy(s->v[rm], s->v[rn], sizeof s->v[0]);
    }
    for (unsigned i = 0; i < A64_DATA_BYTES; i++) {
        s->data[i] = (uint8_t)random64(t);
    }
    s->nzcv = random64(t) & UINT64_C(0xf0000000);
    s->fpsr = random64(t) & 1 ? 0 : random64(t) & 0x0800009f;
    if (random64(t) % 2) {
        s->fpcr = (random64(t) & 3) << 22;
        if (random64(t) % 2) {
            s->fpcr |= random64(t) & 0x07080000;
        }
    }
    for (unsigned i = A64_INSNS; i-- > 0;) {
        aim_memory(t, s, insns[i]);
    }
}

static uint32_t random_insn(Test *t, const A64Pattern *pattern)
{
    uint32_t insn = 0;

    /* Some fields have few values that are allocated. */
    for (unsigned i = 0; i < 8; i++) {
        insn = pattern->value | ((uint32_t)random64(t) & ~pattern->mask);
        memcpy(t->page, &insn, sizeof insn);
        ir_unit_init(&t->unit, arm_target.tcg->vars, arm_target.tcg->var_count);
        arm_target.tcg->translate(&t->unit, &t->cpu->tcg, &(TcgCode){ .page = t->page }, 0,
                                  mode_of(t, 0), 1);
        if (t->try_undefined || !is_undefined(&t->unit)) {
            break;
        }
    }
    return insn;
}

static char *disassemble(uint32_t insn)
{
    cs_insn *out;
    char *text = NULL;
    csh handle;

    if (capstone_open(CS_ARCH_ARM64, CS_MODE_ARM, &handle, NULL)) {
        if (capstone.cs_disasm(handle, (const uint8_t *)&insn, 4, 0, 1, &out)) {
            text = g_strdup_printf("%s %s", out->mnemonic, out->op_str);
            capstone.cs_free(out, 1);
        }
        capstone.cs_close(&handle);
    }
    return text ? text : g_strdup("?");
}

static void print_difference(const A64State *before, const A64State *ours, const A64State *theirs)
{
    for (unsigned i = 0; i < 31; i++) {
        if (ours->x[i] != theirs->x[i]) {
            g_print("  x%u: before %#lx, ours %#lx, theirs %#lx\n", i, before->x[i], ours->x[i],
                    theirs->x[i]);
        }
    }
    for (unsigned i = 0; i < 32; i++) {
        if (memcmp(ours->v[i], theirs->v[i], 16)) {
            g_print("  v%u: before %016lx%016lx, ours %016lx%016lx, theirs %016lx%016lx\n", i,
                    before->v[i][1], before->v[i][0], ours->v[i][1], ours->v[i][0], theirs->v[i][1],
                    theirs->v[i][0]);
        }
    }
    if (ours->fpsr != theirs->fpsr) {
        g_print("  fpsr: before %#lx, ours %#lx, theirs %#lx\n", before->fpsr, ours->fpsr,
                theirs->fpsr);
    }
    if (ours->nzcv != theirs->nzcv) {
        g_print("  nzcv: ours %#lx, theirs %#lx\n", ours->nzcv, theirs->nzcv);
    }
    if (memcmp(ours->data, theirs->data, A64_DATA_BYTES)) {
        g_print("  memory differs\n");
    }
    if (ours->signal != theirs->signal) {
        g_print("  signal: ours %lu, theirs %lu\n", ours->signal, theirs->signal);
    }
}

static void print_operands(const A64State *s, uint32_t insn)
{
    g_autofree char *text = disassemble(insn);
    unsigned rn = insn >> 5 & 31, rm = insn >> 16 & 31, ra = insn >> 10 & 31;

    g_print("  %08x %s\n    vn %016lx%016lx vm %016lx%016lx va %016lx%016lx", insn, text,
            s->v[rn][1], s->v[rn][0], s->v[rm][1], s->v[rm][0], s->v[ra][1], s->v[ra][0]);
    g_print(rn < 31 ? " xn %#lx\n" : "\n", s->x[rn % 31]);
}

static void report(Test *t, const char *name, const A64State *before, const A64State *ours,
                   const A64State *theirs)
{
    unsigned seen = GPOINTER_TO_UINT(g_hash_table_lookup(t->failures, name));
    t->failed++;
    g_hash_table_insert(t->failures, (char *)name, GUINT_TO_POINTER(seen + 1));
    if (seen < 2) {
        g_print("%s, fpcr %#lx\n", name, before->fpcr);
        for (unsigned i = 0; i < t->length; i++) {
            print_operands(before, before->insns[i]);
        }
        print_difference(before, ours, theirs);
    }
}

/*
 * a is ours. Where the back end ran, it may have IXC where a result was flushed: docs/decisions/ tells
 * why.
 */
static bool agree(const Test *t, const A64State *a, const A64State *b)
{
    uint64_t fpsr = a->fpsr;

    if (t->backend && b->fpsr & FPSR_UFC && a->fpcr & FPCR_FZ) {
        fpsr = (fpsr & ~(uint64_t)FPSR_IXC) | (b->fpsr & FPSR_IXC);
    }
    return a->signal == b->signal && !memcmp(a->x, b->x, sizeof a->x) &&
           !memcmp(a->v, b->v, sizeof a->v) && fpsr == b->fpsr && a->nzcv == b->nzcv &&
           !memcmp(a->data, b->data, A64_DATA_BYTES);
}

/* Known disagreements: docs/decisions/ tells why. */
static bool is_explained(const Test *t, const A64State *s, uint32_t insn)
{
    uint32_t rn = insn >> 5 & 31;

    /* FJCVTZS of a denormal number that is flushed */
    if ((insn & 0xfffffc00) == 0x1e7e0000) {
        return s->fpcr & 1 << 24 && (t->length > 1 || !(s->v[rn][0] >> 52 & 0x7ff));
    }
    /* FCVTZS, FCVTZU of a half to fixed point, scalar: QEMU before 8.0 keeps 32 bits */
    if ((insn & 0xdf80fc00) == 0x5f00fc00 && !(insn >> 21 & 3)) {
        return true;
    }
    /* Loads and stores that write back to the register they transfer */
    if ((insn & 0x3f200400) == 0x38000400) {
        return rn == (insn & 31);
    }
    /* and of pairs; and loads of twice the same register */
    return (insn & 0x3a000000) == 0x28000000 &&
           (((insn & 0x00800000) && (rn == (insn & 31) || rn == (insn >> 10 & 31))) ||
            (insn & 31) == (insn >> 10 & 31));
}

static bool is_any_explained(const Test *t, const A64State *s)
{
    for (unsigned i = 0; i < t->length; i++) {
        if (is_explained(t, s, s->insns[i])) {
            return true;
        }
    }
    return false;
}

static void run_batch(Test *t, A64State *before, const char **names, uint32_t count)
{
    g_autofree A64State *ours = g_new(A64State, BATCH), *theirs = g_new(A64State, BATCH);
    uint32_t used = 0;

    for (uint32_t i = 0; i < count; i++) {
        ours[used] = before[i];
        if (!is_any_explained(t, &before[i]) && run_ours(t, &ours[used]) &&
            (!ours[used].signal || t->try_undefined)) {
            before[used] = before[i];
            names[used++] = names[i];
        } else {
            t->skipped++;
        }
    }
    if (fwrite(&used, sizeof used, 1, t->to_probe) != 1 ||
        fwrite(before, sizeof *before, used, t->to_probe) != used || fflush(t->to_probe) ||
        fread(theirs, sizeof *theirs, used, t->from_probe) != used) {
        g_error("the probe has died");
    }
    for (uint32_t i = 0; i < used; i++) {
        t->undefined += ours[i].signal != 0;
        t->compared++;
        if (!agree(t, &ours[i], &theirs[i])) {
            report(t, names[i], &before[i], &ours[i], &theirs[i]);
        }
    }
}

/* Whether single instructions of this pattern can be compared. */
static bool is_testable(const A64Pattern *pattern)
{
    static const char *const never[] = { "adr", "bra", "ret", "eret", "pac", "aut", "xpac" };

    if (strstr(pattern->file, "branch") || strstr(pattern->file, "sys") ||
        strstr(pattern->file, "atomic") || strstr(pattern->file, "pauth") ||
        strstr(pattern->name, "literal") || strstr(pattern->name, "rcpc") ||
        strstr(pattern->name, "unpriv") || strstr(pattern->name, "prf") ||
        strstr(pattern->file, "mops")) {
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(never); i++) {
        if (g_str_has_prefix(pattern->name, never[i])) {
            return false;
        }
    }
    return true;
}

static void start_probe(Test *t, char **argv)
{
    g_autoptr(GError) error = NULL;
    int in, out;

    if (!g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, &in,
                                  &out, NULL, &error)) {
        g_printerr("%s\n", error->message);
        exit(77);
    }
    t->to_probe = fdopen(in, "w");
    t->from_probe = fdopen(out, "r");
}

/* The patterns to choose from. */
static GPtrArray *choose_patterns(const char *only)
{
    GPtrArray *chosen = g_ptr_array_new();

    for (const A64Pattern *pattern = a64_patterns; pattern->name; pattern++) {
        if (only ? g_pattern_match_simple(only, pattern->name) : is_testable(pattern)) {
            g_ptr_array_add(chosen, (void *)pattern);
        }
    }
    if (!chosen->len) {
        g_error("no such pattern");
    }
    return chosen;
}

static void run_all(Test *t, const char *only, unsigned long count)
{
    g_autofree A64State *before = g_new(A64State, BATCH);
    g_autoptr(GPtrArray) patterns = choose_patterns(only);
    const char *names[BATCH];
    uint32_t filled = 0;

    for (unsigned next = 0; t->compared + t->skipped < count; next++) {
        const A64Pattern *pattern = patterns->pdata[next % patterns->len];
        uint32_t insns[A64_INSNS];

        for (unsigned i = 0; i < A64_INSNS; i++) {
            insns[i] = i == 0 ? random_insn(t, pattern)
                       : i < t->length
                           ? random_insn(t, patterns->pdata[random64(t) % patterns->len])
                           : (uint32_t)NOP;
        }
        for (unsigned i = 0; i < STATES_PER_INSN; i++) {
            random_state(t, &before[filled], insns);
            names[filled++] = pattern->name;
        }
        if (filled == BATCH) {
            run_batch(t, before, names, filled);
            filled = 0;
        }
    }
}

int main(int argc, char **argv)
{
    g_autofree Test *t = g_new0(Test, 1);
    g_autofree char *only = NULL;
    gint64 count = 100000, seed = 1, length = 1;
    gboolean native = FALSE, undefined = FALSE, aligned = FALSE;
    g_auto(GStrv) command = NULL;
    g_autoptr(GError) error = NULL;
    GHashTableIter it;
    gpointer name, failures;
    const GOptionEntry entries[] = {
        { "count", 0, 0, G_OPTION_ARG_INT64, &count, "how many states to run", "N" },
        { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "of the random numbers", "N" },
        { "length", 0, 0, G_OPTION_ARG_INT64, &length, "instructions at a time (1 to 8)", "N" },
        { "only", 0, 0, G_OPTION_ARG_STRING, &only, "patterns to try (glob)", "NAME" },
        { "aligned", 0, 0, G_OPTION_ARG_NONE, &aligned, "check alignment", NULL },
        { "undefined", 0, 0, G_OPTION_ARG_NONE, &undefined, "also try undefined ones", NULL },
        { "native", 0, 0, G_OPTION_ARG_NONE, &native, "use the back end", NULL },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &command, "", "PROBE-COMMAND" },
        { 0 },
    };
    g_autoptr(GOptionContext) context = g_option_context_new("PROBE-COMMAND...");

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || !command) {
        g_printerr("%s\n", error ? error->message : "which probe?");
        return 2;
    }
    t->random = (uint64_t)seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    t->failures = g_hash_table_new(g_str_hash, g_str_equal);
    t->length = (unsigned)CLAMP(length, 1, A64_INSNS);
    t->check_alignment = aligned;
    t->try_undefined = undefined;
    current_test = t;
    make_cpu(t);
    if (native) {
        make_backend(t);
    }
    start_probe(t, command);
    run_all(t, only, (unsigned long)count);
    g_print("%lu states compared (%lu undefined), %lu skipped, %lu differ\n", t->compared,
            t->undefined, t->skipped, t->failed);
    g_hash_table_iter_init(&it, t->failures);
    while (g_hash_table_iter_next(&it, &name, &failures)) {
        g_print("  %s: %u\n", (char *)name, GPOINTER_TO_UINT(failures));
    }
    return t->failed != 0;
}
