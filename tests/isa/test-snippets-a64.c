/* SPDX-License-Identifier: MIT */
/*
 * Snippets of random A64 instructions, made from the decoder's patterns: the same run on interpreter,
 * translator and, when it is installed, on qemu-aarch64; all registers, flags, FPSR and memory must
 * agree.
 *
 * test-snippets-a64 [--count N] [--seed S] [--per-snippet K] [--only SUBSTRING] [--user RUNNER]
 *
 * A snippet loads all registers from its block, executes K instructions, and stores the registers to
 * the block. x28 is the block's address, x27 a base address and x26 a small offset; they are never
 * destinations. Words whose result the manual calls constrained unpredictable are not generated.
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/capstone.h"
#include "target/arm/translate.h"
#include "tests/isa/rig.h"

enum {
    IMAGE = 0x41000000,
    DATA = 0x41400000,
    SCRATCH = 0x41800000,
    SCRATCH_BYTES = 0x20000,
    IMAGE_BYTES = SCRATCH + SCRATCH_BYTES - IMAGE,
    MAX_SNIPPETS = 2000,
    MAX_PER_SNIPPET = 8,
    BLOCK = 1024,
    BLOCK_X = 512,
    BLOCK_SP = 760,
    BLOCK_NZCV = 768,
    BLOCK_FPCR = 776,
    BLOCK_FPSR = 784,
    BLOCK_END = 792,
};

static gint64 count = 20000;
static gint64 seed = 1;
static int per_snippet = 4;
static char *only, *user_runner;

typedef struct {
    uint8_t *image; /* as before the run */
    unsigned snippets;
    uint32_t words[MAX_SNIPPETS][MAX_PER_SNIPPET];
    uint32_t *code;
} Batch;

/* What is not tested here: control flow, state that differs between systems, other algorithms. */
static const char *const excluded_files[] = { "branch.c", "system.c", "sysreg.c", "pauth.c",
                                              "mops.c" };

/* Where qemu-aarch64 is known to answer otherwise: see docs/decisions; random-a64 covers them. */
static const char *const excluded_names[] = { "fjcvtzs", "simd_fcvtz_fixed_scalar",
                                              "simd_fp16_misc", "simd_fp16_misc_scalar" };

static bool is_memory(const A64Pattern *p)
{
    return strstr(p->file, "load-store") || strstr(p->file, "atomic") ||
           strstr(p->file, "structure");
}

static bool is_wanted(const A64Pattern *p)
{
    for (size_t i = 0; i < ARRAY_SIZE(excluded_files); i++) {
        if (strcmp(p->file, excluded_files[i]) == 0) {
            return false;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(excluded_names); i++) {
        if (strcmp(p->name, excluded_names[i]) == 0) {
            return false;
        }
    }
    return !only || strstr(p->name, only) || strstr(p->file, only);
}

static uint64_t random64(GRand *rand)
{
    return (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);
}

/* Keeps a free register field away from the reserved registers. */
static uint32_t avoid_reserved(const A64Pattern *p, uint32_t insn, unsigned shift)
{
    unsigned n = insn >> shift & 31;

    if (!(p->mask >> shift & 31) && n >= 26 && n <= 28) {
        insn ^= 1u << (shift + 4);
    }
    return insn;
}

static uint32_t set_field(uint32_t insn, unsigned shift, uint32_t value)
{
    return (uint32_t)bits_deposit(insn, shift, 5, value);
}

/* Constrained unpredictable forms, and should-be-one fields. */
static uint32_t make_predictable(const A64Pattern *p, uint32_t insn)
{
    bool pair = strstr(p->name, "pair") || strcmp(p->name, "ldxp") == 0;

    /* Not the neighbour: that may be a reserved register. */
    if (pair && (insn & 31) == (insn >> 10 & 31)) {
        insn = set_field(insn, 0, (insn & 31) == 0);
    }
    /* The base stays aligned, for those that ask for it. */
    if (strstr(p->name, "_post") || strstr(p->name, "_pre") || strstr(p->name, "rcpc")) {
        insn &= strstr(p->file, "structure") ? UINT32_MAX : ~(15u << 12);
    } else if (strstr(p->name, "pair")) {
        insn &= ~(3u << 15);
    }
    if (strcmp(p->name, "stxr") == 0 || strcmp(p->name, "stxp") == 0) {
        insn = set_field(insn, 16, 9);
        insn = set_field(insn, 0, 10 + (insn & 7));
    }
    if (strcmp(p->name, "stxp") == 0) {
        insn = set_field(insn, 10, 18 + (insn >> 10 & 7));
    }
    if (strcmp(p->name, "ldxr") == 0 || strcmp(p->name, "ldar") == 0 ||
        strcmp(p->name, "stlr") == 0 || strcmp(p->name, "ldxp") == 0) {
        insn = set_field(insn, 16, 31);
    }
    if (strcmp(p->name, "ldxr") == 0 || strcmp(p->name, "stxr") == 0 ||
        strcmp(p->name, "ldar") == 0 || strcmp(p->name, "stlr") == 0 ||
        strcmp(p->name, "mulh") == 0) {
        insn = set_field(insn, 10, 31);
    }
    return insn;
}

static uint32_t random_instruction(GRand *rand, const GPtrArray *patterns)
{
    for (;;) {
        const A64Pattern *p = patterns->pdata[g_rand_int_range(rand, 0, (gint32)patterns->len)];
        uint32_t insn = (g_rand_int(rand) & ~p->mask) | p->value;
        A64Fields fields;
        const A64Instruction *found;

        for (unsigned shift = 0; shift <= 16; shift += shift == 10 ? 6 : 5) {
            insn = avoid_reserved(p, insn, shift);
        }
        if (is_memory(p)) {
            if (strstr(p->name, "literal")) {
                insn &= ~0x00fff800u; /* stays within the code, which is the same everywhere */
            } else {
                insn = set_field(insn, 5, 27);
            }
            if (strstr(p->name, "register")) {
                insn = set_field(insn, 16, 26);
            }
            if (strstr(p->file, "structure") && !(p->mask >> 16 & 31)) {
                /* By x26, a multiple of 16, or by the size, where that is one. */
                insn = set_field(insn, 16,
                                 strstr(p->name, "single") || g_rand_boolean(rand) ? 26 : 31);
            }
        }
        insn = make_predictable(p, insn);
        found = (insn & p->mask) == p->value ? a64_decode(insn, &fields) : NULL;
        if (found && strcmp(found->name, p->name) == 0) {
            return insn;
        }
    }
}

static uint64_t random_integer(GRand *rand)
{
    switch (g_rand_int_range(rand, 0, 8)) {
    case 0:
        return (uint64_t)g_rand_int_range(rand, -3, 4);
    case 1:
        return UINT64_C(1) << g_rand_int_range(rand, 0, 64);
    case 2:
        return UINT64_MAX >> g_rand_int_range(rand, 0, 64);
    case 3:
        return (uint64_t)INT64_MIN + (uint64_t)g_rand_int_range(rand, -2, 3);
    case 4:
        return (uint32_t)INT32_MIN + (uint64_t)g_rand_int_range(rand, -2, 3);
    default:
        return random64(rand);
    }
}

/* Lanes of numbers near 1, special values, and noise. */
static uint64_t random_float_lanes(GRand *rand)
{
    static const uint32_t singles[] = {
        0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
        0x7fc00000, 0x7f800001, 0xffc12345, 1,          0x807fffff, 0x00800000,
        0x7f7fffff, 0x4f000000, 0x5f000000, 0x3f000000, 0x3fc00000, 0x40200000,
        0x33000000, 0x7bff7bff, 0x7c007e00, 0xfc010001, 0x3c00bc00,
    };
    static const uint64_t doubles[] = {
        0,
        UINT64_C(0x8000000000000000),
        UINT64_C(0x3ff0000000000000),
        UINT64_C(0xbff8000000000000),
        UINT64_C(0x7ff0000000000000),
        UINT64_C(0xfff0000000000000),
        UINT64_C(0x7ff8000000000000),
        UINT64_C(0x7ff0000000000001),
        1,
        UINT64_C(0x000fffffffffffff),
        UINT64_C(0x0010000000000000),
        UINT64_C(0x7fefffffffffffff),
        UINT64_C(0x43e0000000000000),
        UINT64_C(0x41dfffffffe00000),
        UINT64_C(0x3fe0000000000000),
        UINT64_C(0x4004000000000000),
        UINT64_C(0xfff4000000012345),
        UINT64_C(0x36a0000000000000),
        UINT64_C(0x380fffffe0000000),
        UINT64_C(0x3f10000000000000),
    };

    switch (g_rand_int_range(rand, 0, 6)) {
    case 0:
        return doubles[g_rand_int_range(rand, 0, ARRAY_SIZE(doubles))];
    case 1:
        return (uint64_t)singles[g_rand_int_range(rand, 0, ARRAY_SIZE(singles))] << 32 |
               singles[g_rand_int_range(rand, 0, ARRAY_SIZE(singles))];
    case 2:
        /* doubles between 2^-8 and 2^8 */
        return (random64(rand) & UINT64_C(0x800fffffffffffff)) |
               (uint64_t)(1023 + g_rand_int_range(rand, -8, 9)) << 52;
    case 3:
        return (random64(rand) & UINT64_C(0x807fffff807fffff)) |
               (uint64_t)(127 + g_rand_int_range(rand, -6, 7)) << 55 |
               (uint64_t)(127 + g_rand_int_range(rand, -6, 7)) << 23;
    case 4:
        return random_integer(rand);
    default:
        return random64(rand);
    }
}

static void fill_block(GRand *rand, uint8_t *block)
{
    static const uint32_t fpcr[] = { 0,        0,        0,        1u << 22, 2u << 22, 3u << 22,
                                     1u << 24, 1u << 25, 1u << 26, 3u << 24, 1u << 19 };

    for (unsigned i = 0; i < 64; i++) {
        store_le64(block + 8 * i, random_float_lanes(rand));
    }
    for (unsigned i = 0; i < 31; i++) {
        store_le64(block + BLOCK_X + 8 * i, random_integer(rand));
    }
    store_le64(block + BLOCK_X + 8 * 26, 16 * (uint64_t)g_rand_int_range(rand, 0, 16));
    store_le64(block + BLOCK_X + 8 * 27,
               SCRATCH + 0x8000 + 16 * (uint64_t)g_rand_int_range(rand, 0, 64));
    store_le64(block + BLOCK_SP, random_integer(rand));
    store_le64(block + BLOCK_NZCV, g_rand_int(rand) & 0xf0000000u);
    store_le64(block + BLOCK_FPCR, fpcr[g_rand_int_range(rand, 0, ARRAY_SIZE(fpcr))]);
}

/* Encodings that snippets are made of. */
static uint32_t ldr_x(unsigned rt, unsigned offset)
{
    return 0xf9400380 | offset / 8 << 10 | rt;
}

static uint32_t str_x(unsigned rt, unsigned offset)
{
    return 0xf9000380 | offset / 8 << 10 | rt;
}

static uint32_t pair_q(bool load, unsigned rt)
{
    return (load ? 0xad400380 : 0xad000380) | rt << 15 | (rt + 1) << 10 | rt;
}

static void emit(Batch *batch, uint32_t insn)
{
    store_le32(batch->code++, insn);
}

static void emit_loads(Batch *batch)
{
    for (unsigned i = 0; i < 32; i += 2) {
        emit(batch, pair_q(true, i));
    }
    emit(batch, ldr_x(0, BLOCK_NZCV));
    emit(batch, 0xd51b4200); /* msr nzcv, x0 */
    emit(batch, 0xd5033f5f); /* clrex */
    emit(batch, ldr_x(0, BLOCK_FPCR));
    emit(batch, 0xd51b4400); /* msr fpcr, x0 */
    emit(batch, 0xd51b443f); /* msr fpsr, xzr */
    emit(batch, ldr_x(0, BLOCK_SP));
    emit(batch, 0x9100001f); /* mov sp, x0 */
    for (unsigned i = 0; i < 31; i++) {
        if (i != 28) {
            emit(batch, ldr_x(i, BLOCK_X + 8 * i));
        }
    }
}

static void emit_stores(Batch *batch)
{
    for (unsigned i = 0; i < 31; i++) {
        if (i != 28) {
            emit(batch, str_x(i, BLOCK_X + 8 * i));
        }
    }
    emit(batch, 0x910003e0); /* mov x0, sp */
    emit(batch, str_x(0, BLOCK_SP));
    emit(batch, 0xd53b4200); /* mrs x0, nzcv */
    emit(batch, str_x(0, BLOCK_NZCV));
    emit(batch, 0xd53b4420); /* mrs x0, fpsr */
    emit(batch, str_x(0, BLOCK_FPSR));
    for (unsigned i = 0; i < 32; i += 2) {
        emit(batch, pair_q(false, i));
    }
    emit(batch, 0x9110039c); /* add x28, x28, #1024 */
}

static void make_batch(Batch *batch, GRand *rand, const GPtrArray *patterns, unsigned snippets)
{
    memset(batch->image, 0, IMAGE_BYTES);
    batch->snippets = snippets;
    batch->code = (uint32_t *)(void *)batch->image;
    emit(batch, 0xd2a8281c | 0); /* mov x28, #DATA */
    for (unsigned i = 0; i < snippets; i++) {
        fill_block(rand, batch->image + (DATA - IMAGE) + i * BLOCK);
        emit_loads(batch);
        for (int k = 0; k < per_snippet; k++) {
            uint32_t word = random_instruction(rand, patterns);

            /* A store-exclusive of another size than the load's is unpredictable. */
            if (k && (word & 0x3fc00000) == 0x08000000) {
                batch->words[i][k - 1] =
                    (word & 0xc0200000) | 0x085f0365 | (word >> 21 & 1) * 0x1800;
                batch->words[i][k - 1] |= word & 1u << 21 ? 0 : 0x7c00;
            }
            batch->words[i][k] = word;
        }
        for (int k = 0; k < per_snippet; k++) {
            emit(batch, batch->words[i][k]);
        }
        emit_stores(batch);
    }
    emit(batch, 0xd4200000); /* brk #0 */
    g_assert((uint8_t *)batch->code < batch->image + (DATA - IMAGE));
    for (unsigned i = 0; i < SCRATCH_BYTES; i += 8) {
        store_le64(batch->image + (SCRATCH - IMAGE) + i, random_float_lanes(rand));
    }
}

static bool run_on_rig(const Batch *batch, bool interp, uint8_t *result)
{
    IsaRig rig;

    if (!isa_rig_open(&rig, "max", 1, interp)) {
        return false;
    }
    memcpy(rig.ram + (IMAGE - RIG_RAM), batch->image, IMAGE_BYTES);
    isa_rig_run(&rig, IMAGE);
    memcpy(result, rig.ram + (IMAGE - RIG_RAM), IMAGE_BYTES);
    isa_rig_close(&rig);
    return true;
}

static bool run_as_user(const Batch *batch, uint8_t *result)
{
    g_autofree char *folder = g_dir_make_tmp("kaso-random-XXXXXX", NULL);
    g_autofree char *image = g_build_filename(folder, "image", NULL);
    g_autofree char *out = g_build_filename(folder, "result", NULL);
    char *argv[] = {
        (char *)"qemu-aarch64", (char *)"-cpu", (char *)"max", user_runner, image, out, NULL
    };
    g_autofree char *bytes = NULL;
    gsize length = 0;
    int status = -1;

    g_file_set_contents(image, (const char *)batch->image, IMAGE_BYTES, NULL);
    g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL);
    g_file_get_contents(out, &bytes, &length, NULL);
    g_unlink(image);
    g_unlink(out);
    g_rmdir(folder);
    if (status != 0 || length != IMAGE_BYTES) {
        fprintf(stderr, "qemu-aarch64 did not finish: status %#x, %zu bytes\n", status, length);
        return false;
    }
    memcpy(result, bytes, IMAGE_BYTES);
    return true;
}

static void print_instruction(uint32_t word, uint64_t pc)
{
    csh handle;
    cs_insn *insn;
    A64Fields fields;
    const A64Instruction *found = a64_decode(word, &fields);

    printf("    %08x %-18s ", word, found ? found->name : "?");
    if (capstone_open(CS_ARCH_ARM64, CS_MODE_ARM, &handle, NULL)) {
        if (capstone.cs_disasm(handle, (const uint8_t *)&word, 4, pc, 1, &insn) == 1) {
            printf("%s %s", insn->mnemonic, insn->op_str);
            capstone.cs_free(insn, 1);
        }
        capstone.cs_close(&handle);
    }
    printf("\n");
}

static void print_difference(const char *name, unsigned offset, const uint8_t *a, const uint8_t *b,
                             const uint8_t *before)
{
    if (offset < BLOCK_X) {
        printf("    v%u.d[%u]", offset / 16, offset / 8 % 2);
    } else if (offset < BLOCK_SP) {
        printf("    x%u", (offset - BLOCK_X) / 8);
    } else {
        printf("    %s", offset == BLOCK_SP     ? "sp"
                         : offset == BLOCK_NZCV ? "nzcv"
                         : offset == BLOCK_FPSR ? "fpsr"
                                                : "?");
    }
    printf(" = %016" PRIx64 ", %s %016" PRIx64 " (before %016" PRIx64 ")\n", load_le64(a), name,
           load_le64(b), load_le64(before));
}

/*
 * Where FPCR.FZ flushes a result, the translator may set FPSR.IXC, too: docs/decisions/ tells why. Makes
 * its block say what the reference does.
 */
static void excuse_inexact(const uint8_t *reference, uint8_t *result)
{
    enum { FZ = 1 << 24, UFC = 1 << 3, IXC = 1 << 4 };
    uint64_t want = load_le64(reference + BLOCK_FPSR);

    if (load_le64(reference + BLOCK_FPCR) & FZ && want & UFC &&
        load_le64(result + BLOCK_FPSR) == (want | IXC)) {
        store_le64(result + BLOCK_FPSR, want);
    }
}

/* Compares two results; prints the first few snippets that differ. Returns how many do. */
static unsigned compare(const Batch *batch, const char *name, const uint8_t *reference,
                        uint8_t *result)
{
    const char *verbose = g_getenv("VERBOSE");
    unsigned bad = 0;

    for (unsigned i = 0; i < batch->snippets; i++) {
        size_t at = (size_t)(DATA - IMAGE) + i * BLOCK;

        excuse_inexact(reference + at, result + at);
        if (memcmp(reference + at, result + at, BLOCK_END) == 0) {
            continue;
        }
        if (bad++ < (verbose ? 50 : 10)) {
            printf("  snippet %u fpcr %08x:\n", i, load_le32(batch->image + at + BLOCK_FPCR));
            for (int k = 0; k < per_snippet; k++) {
                print_instruction(batch->words[i][k], 0);
            }
            for (unsigned offset = 0; offset < BLOCK_END; offset += 8) {
                if (memcmp(reference + at + offset, result + at + offset, 8)) {
                    print_difference(name, offset, reference + at + offset, result + at + offset,
                                     batch->image + at + offset);
                }
            }
        }
    }
    if (memcmp(reference + (SCRATCH - IMAGE), result + (SCRATCH - IMAGE), SCRATCH_BYTES)) {
        for (unsigned i = 0; i < SCRATCH_BYTES && bad < 10; i += 8) {
            if (memcmp(reference + (SCRATCH - IMAGE) + i, result + (SCRATCH - IMAGE) + i, 8)) {
                printf("  memory at +%#x differs\n", i);
                bad++;
            }
        }
        bad++;
    }
    if (bad) {
        printf("  %u disagreements between interpreter and %s\n", bad, name);
    }
    return bad;
}

static const GOptionEntry options[] = {
    { "count", 'c', 0, G_OPTION_ARG_INT64, &count, "instructions", "N" },
    { "seed", 's', 0, G_OPTION_ARG_INT64, &seed, "first seed", "S" },
    { "per-snippet", 'k', 0, G_OPTION_ARG_INT, &per_snippet, "instructions in a row", "K" },
    { "only", 'o', 0, G_OPTION_ARG_STRING, &only, "only patterns or files so named", "TEXT" },
    { "user", 'u', 0, G_OPTION_ARG_FILENAME, &user_runner, "user-runner for qemu-aarch64", "FILE" },
    { 0 },
};

static unsigned run_batch(Batch *batch, uint8_t *results[3])
{
    unsigned bad = 0;

    run_on_rig(batch, true, results[0]);
    if (run_on_rig(batch, false, results[1])) {
        bad += compare(batch, "translator", results[0], results[1]);
    }
    if (user_runner && run_as_user(batch, results[2])) {
        bad += compare(batch, "qemu", results[0], results[2]);
    }
    return bad;
}

int main(int argc, char **argv)
{
    GOptionContext *context = g_option_context_new(NULL);
    GPtrArray *patterns = g_ptr_array_new();
    Batch *batch = g_new0(Batch, 1);
    uint8_t *results[3];
    unsigned bad = 0;
    gint64 done = 0;

    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, NULL) || per_snippet < 1 ||
        per_snippet > MAX_PER_SNIPPET) {
        return 2;
    }
    for (const A64Pattern *p = a64_patterns; p->name; p++) {
        if (is_wanted(p)) {
            g_ptr_array_add(patterns, (void *)p);
        }
    }
    batch->image = g_malloc(IMAGE_BYTES);
    for (unsigned i = 0; i < 3; i++) {
        results[i] = g_malloc(IMAGE_BYTES);
    }
    for (gint64 s = seed; done < count && patterns->len; s++) {
        unsigned snippets = (unsigned)MIN(MAX_SNIPPETS, (count - done) / per_snippet + 1);
        GRand *rand = g_rand_new_with_seed((guint32)s);
        unsigned batch_bad;

        make_batch(batch, rand, patterns, snippets);
        g_rand_free(rand);
        batch_bad = run_batch(batch, results);
        if (batch_bad) {
            printf("seed %" G_GINT64_FORMAT ": %u disagreements\n", s, batch_bad);
        }
        bad += batch_bad;
        done += (gint64)snippets * per_snippet;
    }
    printf("%" G_GINT64_FORMAT " instructions of %u patterns, %u disagreements%s\n", done,
           patterns->len, bad, user_runner ? "" : " (no outside opinion)");
    g_option_context_free(context);
    g_ptr_array_unref(patterns);
    for (unsigned i = 0; i < 3; i++) {
        g_free(results[i]);
    }
    g_free(batch->image);
    g_free(batch);
    return bad != 0;
}
