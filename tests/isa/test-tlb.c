/* SPDX-License-Identifier: MIT */
/*
 * TLBs: arrays at round distances do not compete, what is invalidated is gone whatever was filled in
 * which order, and an emptied table is empty.
 */
#include <sys/resource.h>

#include "accel/tcg/run/run.h"
#include "base/bits.h"
#include "tests/isa/rig.h"

/* x2[i] = x0[i] + x1[i], x3 times. */
static const uint32_t sum_loop[] = {
    0xf8408404, /* 1: ldr x4, [x0], #8 */
    0xf8408425, /* ldr x5, [x1], #8 */
    0x8b050084, /* add x4, x4, x5 */
    0xf8008444, /* str x4, [x2], #8 */
    0xf1000463, /* subs x3, x3, #1 */
    0x54ffff61, /* b.ne 1b */
    0xd4200000, /* brk #0 */
};

/* Slow accesses of the loop over three arrays at a distance. */
static uint64_t slow_accesses(uint64_t distance)
{
    enum { COUNT = 20000, ARRAYS = RIG_RAM + 0x100000 };
    IsaRig rig;
    uint64_t slow;

    if (!isa_rig_open(&rig, "max", 1, false)) {
        return 0;
    }
    memcpy(rig.ram, sum_loop, sizeof sum_loop);
    for (unsigned i = 0; i < 3; i++) {
        rig.cpu->x[i] = ARRAYS + i * distance;
    }
    rig.cpu->x[3] = COUNT;
    isa_rig_run(&rig, RIG_RAM);
    slow = rig.cpu->tcg.slow_loads + rig.cpu->tcg.slow_stores;
    isa_rig_close(&rig);
    return slow;
}

static void test_distances(void)
{
    /* 40 pages each, and what the vectors and page crossings need. */
    g_assert_cmpuint(slow_accesses(MIB(15)), <, 200);
    g_assert_cmpuint(slow_accesses(MIB(16)), <, 200);
    g_assert_cmpuint(slow_accesses(MIB(4)), <, 200);
}

/* --- fills, drops and flushes of one context against a list ------------------------------------- */

enum { MAX_MAPPINGS = 4000, ROUNDS = 60 };

typedef struct {
    uint64_t page;
    unsigned size_bits;
    bool global, fetch, gone;
} Filled;

static uint64_t block_of(uint64_t guest_virt, unsigned size_bits)
{
    return guest_virt >> size_bits;
}

static void fill_one(TcgVcpu *tv, GRand *rand, Filled *f, unsigned size_bits)
{
    static uint8_t bytes[TCG_PAGE_SIZE] __attribute__((aligned(4096)));
    TcgWalkEntry walk = { .host = bytes, .writable = true };

    *f = (Filled){ .page = ((uint64_t)g_rand_int_range(rand, 0, 1 << 20) << 12) +
                           (g_rand_boolean(rand) ? UINT64_C(0xffff) << 48 : 0),
                   .size_bits = size_bits,
                   .global = g_rand_boolean(rand),
                   .fetch = g_rand_int_range(rand, 0, 4) == 0 };
    walk.mapping = (TcgMapping){ .size_bits = (uint8_t)f->size_bits,
                                 .read = true,
                                 .write = true,
                                 .execute = true,
                                 .global = f->global };
    if (f->fetch) {
        tlb_fill_fetch(tv, tv->env->context, f->page, &walk);
    } else {
        tlb_fill(tv, tv->env->context, f->page, &walk, true);
    }
}

static void check(TcgContext *context, const Filled *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t page = list[i].page;
        bool again = false;

        for (unsigned k = i + 1; k < count; k++) {
            again |= list[k].page == page;
        }
        if (!again && list[i].gone) {
            g_assert_true(list[i].fetch ? tlb_fetch_entry(context, page)->tag != page
                                        : tlb_entry(context, page)->read != page &&
                                              tlb_entry(context, page)->write != page);
        }
    }
}

static void drop_one(TcgVcpu *tv, Filled *list, unsigned count, uint64_t page, bool matches)
{
    tlb_drop_page(tv, tv->env->context, page, matches);
    for (unsigned i = 0; i < count; i++) {
        list[i].gone |= (matches || list[i].global) && block_of(list[i].page, list[i].size_bits) ==
                                                           block_of(page, list[i].size_bits);
    }
}

static bool same_key(uint64_t key, uint64_t arg)
{
    return key == arg;
}

static void drop_local(TcgVcpu *tv, Filled *list, unsigned count)
{
    tcg_invalidate_contexts(tv->env, same_key, tv->env->context->key);
    for (unsigned i = 0; i < count; i++) {
        list[i].gone |= !list[i].global;
    }
}

static void check_empty(const TcgContext *context)
{
    const size_t count = G_N_ELEMENTS(context->tlb);

    for (size_t i = 0; i < count; i++) {
        uint64_t tag = i == 0           ? tcg_tlb_no_tag(0)
                       : i == count - 1 ? tcg_tlb_no_tag(TCG_PAGE_MASK)
                                        : 0;
        const TcgTlbEntry expected = { tag, tag, 0, 0 };

        g_assert_cmpmem(&context->tlb[i], sizeof expected, &expected, sizeof expected);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(context->fetch); i++) {
        g_assert_cmphex(context->fetch[i].tag, ==, i ? 0 : TCG_FETCH_EMPTY);
    }
}

static void test_drops(void)
{
    static const unsigned sizes[] = { 12, 12, 12, 16, 21, 30 };
    IsaRig rig;
    GRand *rand = g_rand_new_with_seed(8);
    Filled *list = g_new(Filled, MAX_MAPPINGS);
    TcgContext *context;
    TcgVcpu *tv;

    g_assert_true(isa_rig_open(&rig, "max", 1, true));
    tv = rig.cpu->vcpu.accel;
    context = tv->env->context;
    tlb_clear(context);
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned kinds = 1 + round % G_N_ELEMENTS(sizes);
        unsigned count = (unsigned)g_rand_int_range(rand, 1, round % 4 ? 300 : MAX_MAPPINGS);

        for (unsigned i = 0; i < count; i++) {
            fill_one(tv, rand, &list[i], sizes[g_rand_int_range(rand, 0, (gint32)kinds)]);
            if (g_rand_int_range(rand, 0, 100) == 0) {
                drop_local(tv, list, i + 1);
            }
        }
        for (unsigned i = 0; i < 20; i++) {
            unsigned which = (unsigned)g_rand_int_range(rand, 0, (gint32)count);

            drop_one(tv, list, count, list[which].page, g_rand_boolean(rand));
        }
        check(context, list, count);
        tlb_clear(context);
        check_empty(context);
    }
    g_free(list);
    g_rand_free(rand);
    isa_rig_close(&rig);
}

/* --- what stays when an address space goes ------------------------------------------------------- */

enum { PAGES = 200 };

/* The last slot, the first, which is global, and others. */
static uint64_t kept_page(unsigned i)
{
    return (UINT64_C(0xffff) << 48) + ((uint64_t)i - 1) * TCG_PAGE_SIZE;
}

static void fill_page(TcgVcpu *tv, unsigned i)
{
    static uint8_t bytes[TCG_PAGE_SIZE] __attribute__((aligned(4096)));
    TcgContext *context = tv->env->context;
    TcgWalkEntry walk = { .host = bytes, .writable = true };

    walk.mapping = (TcgMapping){
        .size_bits = 12, .read = true, .write = true, .execute = true, .global = i % 2
    };
    tlb_fill(tv, context, kept_page(i), &walk, true);
    tlb_fill_fetch(tv, context, kept_page(i), &walk);
    context_set_jump(tv, context, kept_page(i), 0, bytes);
}

static void check_page(TcgVcpu *tv, unsigned i, bool there)
{
    TcgContext *context = tv->env->context;
    uint64_t page = kept_page(i);

    g_assert_cmpint(tlb_entry(context, page)->read == page, ==, there);
    g_assert_cmpint(tlb_fetch_entry(context, page)->tag == page, ==, there);
    g_assert_cmpint(context_jump(tv, context, page, 0)->pc == page, ==, there);
}

static void test_global(void)
{
    IsaRig rig;
    TcgContext *context;
    TcgVcpu *tv;

    g_assert_true(isa_rig_open(&rig, "max", 1, true));
    tv = rig.cpu->vcpu.accel;
    context = tv->env->context;
    tcg_invalidate_contexts(tv->env, NULL, 0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < PAGES; i++) {
            fill_page(tv, i);
        }
        tcg_invalidate_contexts(tv->env, same_key, context->key);
        for (unsigned i = 0; i < PAGES; i++) {
            check_page(tv, i, i % 2 && i != 1);
        }
    }
    for (unsigned i = 0; i < PAGES; i++) {
        fill_page(tv, i);
        tcg_invalidate_page(tv->env, kept_page(i), same_key, context->key + 1);
        check_page(tv, i, i % 2 == 0);
    }
    for (unsigned i = 0; i < PAGES; i++) {
        fill_page(tv, i);
        tcg_invalidate_page(tv->env, kept_page(i), same_key, context->key);
        check_page(tv, i, false);
    }
    tcg_invalidate_contexts(tv->env, NULL, 0);
    check_empty(context);
    isa_rig_close(&rig);
}

/* --- address spaces that come and go -------------------------------------------------------------- */

enum { SPACES = 60, SPARSE_PAGES = 100, PART_PAGES = 4096 / sizeof(TcgTlbEntry) };

/* In a part of the table each. */
static uint64_t sparse_page(unsigned i)
{
    return (uint64_t)(i + 1) * PART_PAGES * TCG_PAGE_SIZE;
}

static uint8_t *space_bytes(uint64_t key)
{
    static uint8_t bytes[SPACES][TCG_PAGE_SIZE] __attribute__((aligned(4096)));

    return bytes[(key >> 20) % SPACES];
}

/* What is there is what was filled in for this key. */
static void use_space(TcgVcpu *tv, uint64_t key, unsigned pages)
{
    TcgWalkEntry walk = { .host = space_bytes(key), .writable = true };
    TcgContext *context;

    walk.mapping = (TcgMapping){ .size_bits = 12, .read = true, .write = true, .execute = true };
    tcg_set_context(tv->env, key, key);
    context = tv->env->context;
    g_assert_cmphex(context->key, ==, key);
    for (unsigned i = 0; i < pages; i++) {
        uint64_t page = sparse_page(i);
        const TcgJumpEntry *jump = context_jump(tv, context, page, 0);
        TcgTlbEntry expected;

        g_assert_true(jump->pc != page || jump->code == walk.host);
        if (tlb_entry(context, page)->read == page) {
            expected = *tlb_entry(context, page);
            tlb_fill(tv, context, page, &walk, true);
            g_assert_cmpmem(tlb_entry(context, page), sizeof expected, &expected, sizeof expected);
        } else {
            tlb_fill(tv, context, page, &walk, true);
            context_set_jump(tv, context, page, 0, walk.host);
        }
    }
}

static void test_spaces(void)
{
    IsaRig rig;
    GRand *rand = g_rand_new_with_seed(9);
    TcgVcpu *tv;

    g_assert_true(isa_rig_open(&rig, "max", 1, true));
    tv = rig.cpu->vcpu.accel;
    for (unsigned i = 0; i < 5000; i++) {
        use_space(tv, (uint64_t)g_rand_int_range(rand, 0, i % 500 < 250 ? SPACES : 20) << 20,
                  (unsigned)g_rand_int_range(rand, 0, SPARSE_PAGES));
    }
    g_rand_free(rand);
    isa_rig_close(&rig);
}

static long host_faults(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

/* A shell that forks: nothing is had from the host for each new address space. */
static void test_memory_of_spaces(void)
{
    enum { WARM = 100, COUNTED = 100 };
    IsaRig rig;
    TcgVcpu *tv;
    long before = 0;

    g_assert_true(isa_rig_open(&rig, "max", 1, true));
    tv = rig.cpu->vcpu.accel;
    for (unsigned i = 0; i < WARM + COUNTED; i++) {
        before = i == WARM ? host_faults() : before;
        use_space(tv, (uint64_t)(i + 1) << 20, SPARSE_PAGES);
    }
    g_assert_cmpint(host_faults() - before, <, COUNTED * SPARSE_PAGES / 20);
    isa_rig_close(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tlb/distances", test_distances);
    g_test_add_func("/tlb/drops", test_drops);
    g_test_add_func("/tlb/global", test_global);
    g_test_add_func("/tlb/spaces", test_spaces);
    g_test_add_func("/tlb/memory-of-spaces", test_memory_of_spaces);
    return g_test_run();
}
