/* SPDX-License-Identifier: MIT */
/* Which instructions a guest has executed; see the header. */
#include "machine/coverage.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "machine/accelerator.h"
#include "machine/private.h"

struct CoverageState {
    GArray *ranges;    /* CoverageRange, by address, none touches another */
    GMutex lock;       /* guards what follows */
    GHashTable *pages; /* guest virtual -> CoveragePage */
    bool full;
};

#define PAGE_MASK (~(uint64_t)(COVERAGE_PAGE_SIZE - 1))

static void free_state(CoverageState *state)
{
    g_hash_table_unref(state->pages);
    g_mutex_clear(&state->lock);
    g_array_unref(state->ranges);
    g_free(state);
}

static int compare_ranges(const void *a, const void *b)
{
    const CoverageRange *x = a, *y = b;

    return (x->first > y->first) - (x->first < y->first);
}

/* Sorted, and those that touch made one. */
static GArray *tidy_ranges(const CoverageRange *ranges, unsigned count)
{
    GArray *tidy = g_array_new(FALSE, FALSE, sizeof *ranges);
    CoverageRange *all;
    unsigned kept = 0;

    if (!count) {
        return tidy;
    }
    g_array_append_vals(tidy, ranges, count);
    g_array_sort(tidy, compare_ranges);
    all = (CoverageRange *)tidy->data;
    for (unsigned i = 1; i < count; i++) {
        if (all[i].first <= all[kept].last || all[i].first - all[kept].last == 1) {
            all[kept].last = MAX(all[kept].last, all[i].last);
        } else {
            all[++kept] = all[i];
        }
    }
    g_array_set_size(tidy, kept + 1);
    return tidy;
}

static CoverageState *new_state(const CoverageRange *ranges, unsigned count)
{
    CoverageState *state = g_new0(CoverageState, 1);

    state->ranges = tidy_ranges(ranges, count);
    g_mutex_init(&state->lock);
    state->pages = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    return state;
}

bool coverage_start(Machine *machine, const CoverageRange *ranges, unsigned count, GError **error)
{
    bool ok;

    if (!machine_can(machine, ACCELERATOR_COVERAGE)) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "accelerator '%s' does not tell which code is executed; use -accel tcg",
                          machine->accelerator ? machine->accelerator->name : "none");
    }
    coverage_stop(machine);
    machine_exclusive_begin(machine);
    machine->private->coverage = new_state(ranges, count);
    ok = machine->accelerator->debug_changed(machine, error);
    machine_exclusive_end(machine);
    return ok;
}

void coverage_stop(Machine *machine)
{
    if (!coverage_runs(machine)) {
        return;
    }
    machine_exclusive_begin(machine);
    g_clear_pointer(&machine->private->coverage, free_state);
    machine->accelerator->debug_changed(machine, NULL);
    machine_exclusive_end(machine);
}

void coverage_destroy(Machine *machine)
{
    g_clear_pointer(&machine->private->coverage, free_state);
}

bool coverage_runs(const Machine *machine)
{
    return machine->private->coverage;
}

/* Whether any range has something of [first, last]; all has when there are none. */
static bool any_in_ranges(const GArray *ranges, uint64_t first, uint64_t last)
{
    const CoverageRange *all = (const CoverageRange *)ranges->data;
    unsigned low = 0, high = ranges->len;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (all[middle].last < first) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return !ranges->len || (low < ranges->len && all[low].first <= last);
}

/* --- for accelerators --------------------------------------------------------------------------- */

bool coverage_wants(const Machine *machine, uint64_t guest_virt)
{
    uint64_t page = guest_virt & PAGE_MASK;

    return any_in_ranges(machine->private->coverage->ranges, page, page + COVERAGE_PAGE_SIZE - 1);
}

CoveragePage *coverage_page(Machine *machine, uint64_t guest_virt)
{
    CoverageState *state = machine->private->coverage;
    uint64_t page = guest_virt & PAGE_MASK;
    CoveragePage *found;

    g_mutex_lock(&state->lock);
    found = g_hash_table_lookup(state->pages, &page);
    if (!found) {
        state->full = g_hash_table_size(state->pages) >= COVERAGE_PAGES_MAX;
        if (!state->full) {
            found = g_new0(CoveragePage, 1);
            g_hash_table_insert(state->pages, g_memdup2(&page, sizeof page), found);
        }
    }
    g_mutex_unlock(&state->lock);
    return found;
}

/* --- what was noted ---------------------------------------------------------------------------- */

static int compare_pages(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Pages hold what lies beside a range, too. */
static void copy_page(const CoverageState *state, uint64_t page, CoveragePage *from,
                      uint64_t to[COVERAGE_WORDS])
{
    for (unsigned i = 0; i < COVERAGE_WORDS; i++) {
        to[i] = atomic_load_explicit(&from->bits[i], memory_order_relaxed);
        for (unsigned bit = 0; bit < 64 && to[i] && state->ranges->len; bit++) {
            uint64_t address = page + i * 64 + bit;

            if (!any_in_ranges(state->ranges, address, address)) {
                to[i] &= ~(UINT64_C(1) << bit);
            }
        }
    }
}

CoverageTaken *coverage_take(Machine *machine)
{
    CoverageState *state = machine->private->coverage;
    CoverageTaken *taken = g_new0(CoverageTaken, 1);
    GHashTableIter it;
    gpointer key;

    taken->pages = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    taken->ranges =
        state ? g_array_copy(state->ranges) : g_array_new(FALSE, FALSE, sizeof(CoverageRange));
    if (!state) {
        return taken;
    }
    g_mutex_lock(&state->lock);
    taken->full = state->full;
    g_hash_table_iter_init(&it, state->pages);
    while (g_hash_table_iter_next(&it, &key, NULL)) {
        g_array_append_vals(taken->pages, key, 1);
    }
    g_array_sort(taken->pages, compare_pages);
    taken->bits = g_malloc0_n(MAX(taken->pages->len, 1), sizeof *taken->bits);
    for (guint i = 0; i < taken->pages->len; i++) {
        const uint64_t *page = &g_array_index(taken->pages, uint64_t, i);

        copy_page(state, *page, g_hash_table_lookup(state->pages, page), taken->bits[i]);
    }
    g_mutex_unlock(&state->lock);
    return taken;
}

void coverage_taken_free(CoverageTaken *taken)
{
    g_array_unref(taken->ranges);
    g_array_unref(taken->pages);
    g_free(taken->bits);
    g_free(taken);
}

bool coverage_wanted(const CoverageTaken *taken, uint64_t first, uint64_t last)
{
    return any_in_ranges(taken->ranges, first, last);
}

/* The first page that is not before the address's. */
static guint first_page(const CoverageTaken *taken, uint64_t address)
{
    guint low = 0, high = taken->pages->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(taken->pages, uint64_t, middle) < (address & PAGE_MASK)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Of the bits first to last of a page. */
static unsigned count_bits(const uint64_t bits[COVERAGE_WORDS], unsigned first, unsigned last)
{
    unsigned count = 0;

    for (unsigned i = first / 64; i <= last / 64; i++) {
        uint64_t word = bits[i];

        word &= i == first / 64 ? UINT64_MAX << first % 64 : UINT64_MAX;
        word &= i == last / 64 ? UINT64_MAX >> (63 - last % 64) : UINT64_MAX;
        count += (unsigned)__builtin_popcountll(word);
    }
    return count;
}

unsigned coverage_count(const CoverageTaken *taken, uint64_t first, uint64_t last)
{
    unsigned count = 0;

    for (guint i = first_page(taken, first); i < taken->pages->len; i++) {
        uint64_t page = g_array_index(taken->pages, uint64_t, i);

        if (page > last) {
            break;
        }
        count += count_bits(taken->bits[i], first > page ? (unsigned)(first - page) : 0,
                            (unsigned)MIN(last - page, COVERAGE_PAGE_SIZE - 1));
    }
    return count;
}
