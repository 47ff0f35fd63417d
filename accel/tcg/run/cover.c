/* SPDX-License-Identifier: MIT */
/*
 * Coverage (machine/coverage.h): a page whose code is to be noted is one with breaks, before each instruction that has not been executed yet. What
 * was noted costs nothing any more once its units have been made again without; that is done when so many calls were in vain that it pays.
 *
 * Units are shared by all addresses that a page is mapped at, what was executed is by address: where there are several, all calls stay.
 */
#include "accel/tcg/run/run.h"

#define SHARED UINT64_MAX
enum { SWEEP_CALLS_MIN = 1024, SWEEP_CALLS_PER_UNIT = 64 };

void cover_init(TcgRun *run)
{
    g_mutex_init(&run->cover_lock);
    run->cover_pages = g_hash_table_new_full(NULL, NULL, NULL, g_free);
}

void cover_free(TcgRun *run)
{
    if (run->cover_pages) {
        g_hash_table_unref(run->cover_pages);
        g_mutex_clear(&run->cover_lock);
    }
}

void cover_changed(TcgRun *run)
{
    run->covering = coverage_runs(run->machine);
    run->cover_sweep_at = SWEEP_CALLS_MIN;
    g_hash_table_remove_all(run->cover_pages);
    for (unsigned i = 0; i < run->vcpus->len; i++) {
        TcgVcpu *tv = g_ptr_array_index(run->vcpus, i);

        tv->cover_page = NULL;
        tv->cover_repeats = 0;
    }
}

bool cover_enters(TcgVcpu *tv, uint64_t guest_virt, const uint8_t *host_page)
{
    TcgRun *run = tv->run;
    bool again = false;
    uint64_t *known;

    if (!coverage_wants(run->machine, guest_virt)) {
        return false;
    }
    g_mutex_lock(&run->cover_lock);
    known = g_hash_table_lookup(run->cover_pages, host_page);
    if (!known) {
        g_hash_table_insert(run->cover_pages, (gpointer)host_page,
                            g_memdup2(&guest_virt, sizeof guest_virt));
    } else if (*known != guest_virt && *known != SHARED) {
        *known = SHARED;
        again = true;
    }
    g_mutex_unlock(&run->cover_lock);
    if (again) {
        cache_invalidate_range(run, host_page, TCG_PAGE_SIZE);
    }
    return true;
}

/* The bits of a page that is at one address only; NULL. */
static CoveragePage *page_of(TcgRun *run, const uint8_t *host_page)
{
    uint64_t *known, guest_virt;

    g_mutex_lock(&run->cover_lock);
    known = g_hash_table_lookup(run->cover_pages, host_page);
    guest_virt = known ? *known : SHARED;
    g_mutex_unlock(&run->cover_lock);
    return guest_virt == SHARED ? NULL : coverage_page(run->machine, guest_virt);
}

void cover_add_breaks(TcgRun *run, const uint8_t *host_page, uint64_t breaks[TCG_BREAK_WORDS])
{
    CoveragePage *page = page_of(run, host_page);

    for (unsigned i = 0; i < TCG_BREAK_WORDS; i++) {
        breaks[i] |=
            page ? ~atomic_load_explicit(&page->bits[i], memory_order_relaxed) : UINT64_MAX;
    }
}

unsigned cover_count(TcgRun *run, const TcgSpan *span)
{
    CoveragePage *page = page_of(run, span->host_page);
    unsigned count = 0;

    for (unsigned at = span->start; page && at < span->end; at++) {
        count += atomic_load_explicit(&page->bits[at / 64], memory_order_relaxed) >> at % 64 & 1;
    }
    return count;
}

unsigned cover_count_made(const TcgRun *run, const TcgSpan *span)
{
    unsigned count = 0;

    for (unsigned at = span->start; at < span->end; at++) {
        count += !(run->unit_breaks[at / 64] >> at % 64 & 1);
    }
    return count;
}

/* Units that call for what has been noted since are made again. */
static void sweep(TcgRun *run)
{
    unsigned left = cache_forget_covered(run);

    atomic_store(&run->cover_sweep_at, SWEEP_CALLS_MIN + SWEEP_CALLS_PER_UNIT * left);
}

void cover_note(TcgVcpu *tv)
{
    uint64_t pc = tcg_pc(tv->env), page = pc & TCG_PAGE_MASK;
    unsigned offset = (unsigned)(pc & (TCG_PAGE_SIZE - 1));
    uint64_t bit = UINT64_C(1) << offset % 64;
    TcgRun *run = tv->run;

    if (!tv->cover_page || tv->cover_virt != page) {
        tv->cover_virt = page;
        tv->cover_page = coverage_page(run->machine, page);
    }
    if (!tv->cover_page) {
        return;
    }
    if (!(atomic_load_explicit(&tv->cover_page->bits[offset / 64], memory_order_relaxed) & bit)) {
        atomic_fetch_or(&tv->cover_page->bits[offset / 64], bit);
        atomic_store(&run->cover_news, true);
    } else if (++tv->cover_repeats >= atomic_load(&run->cover_sweep_at)) {
        tv->cover_repeats = 0;
        if (atomic_exchange(&run->cover_news, false)) {
            sweep(run);
        }
    }
}
