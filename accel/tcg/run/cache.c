/* SPDX-License-Identifier: MIT */
/*
 * The code cache: units by guest physical page (named by its host address), page offset and mode,
 * shared by all vCPUs and address spaces. Lookups are lock-free; a dead unit stays in memory until
 * the cache is flushed, its entry patched to leave to the dispatcher. The cache's memory, which tb-size
 * bounds, has the host code that usually runs, close together for the host's caches; and in another part slow paths, which
 * grow upwards, and the records of units, which grow downwards from its end.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "accel/tcg/run/run.h"
#include "base/bits.h"
#include "base/error.h"

/* Of the memory, what the code that usually runs gets: a little more than it takes. */
enum { CODE_SHARE = 2, ALL_SHARES = 5 };

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

/* So much code is a system's, no loader's: to clear the first huge page of each part costs a start a millisecond and a half. */
enum { HUGE_PAGES_FROM = 256 * 1024, HUGE_PAGE_BYTES = 2 * 1024 * 1024 };

bool cache_init(TcgRun *run, GError **error)
{
    size_t size = MIB(run->cache_mib);

    run->code = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (run->code == MAP_FAILED) {
        run->code = NULL;
        return error_fail_errno(error, errno,
                                "cannot map %" G_GUINT64_FORMAT
                                " MiB of executable memory for translated code",
                                run->cache_mib);
    }
    run->code_start = run->code_next = run->code;
    run->cold_start = run->cold_next = run->code + size / ALL_SHARES * CODE_SHARE;
    run->code_end = run->records = run->code + size;
    run->hash = mmap(NULL, sizeof *run->hash << TCG_UNIT_HASH_BITS, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    run->pages = mmap(NULL, sizeof *run->pages << TCG_PAGE_HASH_BITS, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (run->hash == MAP_FAILED || run->pages == MAP_FAILED) {
        return error_fail_errno(error, errno, "cannot map the translator's tables");
    }
    run->break_units = g_ptr_array_new();
    run->scratch = g_new(IrUnit, 1);
    g_mutex_init(&run->lock);
    return true;
}

void cache_free(TcgRun *run)
{
    if (run->scratch) {
        g_mutex_clear(&run->lock);
        g_ptr_array_unref(run->break_units);
        g_free(run->scratch);
    }
    if (run->code) {
        munmap(run->code, (size_t)(run->code_end - run->code));
        munmap((void *)run->hash, sizeof *run->hash << TCG_UNIT_HASH_BITS);
        munmap(run->pages, sizeof *run->pages << TCG_PAGE_HASH_BITS);
    }
}

size_t cache_room(const TcgRun *run)
{
    return (size_t)MIN(run->cold_start - run->code_next, run->records - run->cold_next);
}

/* Small pages that are there already. */
static void make_huge(uint8_t *start, const uint8_t *end)
{
    for (uint8_t *page = start - (uintptr_t)start % HUGE_PAGE_BYTES; page < end;
         page += HUGE_PAGE_BYTES) {
        madvise(page, HUGE_PAGE_BYTES, MADV_COLLAPSE);
    }
}

/* Fewer misses of the host's instruction TLB; where it is refused, nothing is lost. */
static void use_huge_pages(TcgRun *run)
{
    run->huge_pages = true;
    madvise(run->code, (size_t)(run->code_end - run->code), MADV_HUGEPAGE);
    make_huge(run->code, run->code_next);
    make_huge(run->cold_start, run->cold_next);
    make_huge(run->records, run->code_end);
}

void cache_keep(TcgRun *run, size_t code_size, size_t cold_size)
{
    run->code_next += code_size;
    run->cold_next += cold_size;
    if (!run->huge_pages && run->code_next - run->code_start >= HUGE_PAGES_FROM) {
        use_huge_pages(run);
    }
}

void *cache_take(TcgRun *run, size_t size)
{
    run->records -= (size + 63) & ~(size_t)63;
    memset(run->records, 0, size);
    return run->records;
}

static uint64_t mix(uint64_t key)
{
    return key * UINT64_C(0x9e3779b97f4a7c15);
}

/* Units of a page are near each other in the table: in one of its pages, a few lines of the host's cache. */
static _Atomic(TcgUnit *) *hash_slot(TcgRun *run, const uint8_t *host_page, unsigned offset,
                                     uint64_t mode)
{
    uint64_t block = mix((uintptr_t)host_page ^ (mix(mode) << 12)) >>
                     (64 - TCG_UNIT_HASH_BITS + TCG_UNIT_BLOCK_BITS);

    return &run->hash[block << TCG_UNIT_BLOCK_BITS | mix(offset) >> (64 - TCG_UNIT_BLOCK_BITS)];
}

static TcgSpan **page_slot(TcgRun *run, const uint8_t *host_page)
{
    return &run->pages[mix((uintptr_t)host_page) >> (64 - TCG_PAGE_HASH_BITS)];
}

static _Atomic(TcgUnit *) *unit_slot(TcgRun *run, const TcgUnit *unit)
{
    return hash_slot(run, unit->span.host_page, unit->span.start, unit->mode);
}

/* One key may have several units over two pages, for second pages that differ. */
static TcgUnit *lookup(TcgRun *run, uint8_t *host_page, unsigned offset, uint64_t mode,
                       uint64_t next_page, unsigned *needs)
{
    TcgUnit *unit =
        atomic_load_explicit(hash_slot(run, host_page, offset, mode), memory_order_acquire);

    for (; unit; unit = atomic_load_explicit(&unit->hash_next, memory_order_acquire)) {
        if (unit->span.host_page == host_page && unit->span.start == offset && unit->mode == mode) {
            if (unit->next_page == 0 || unit->next_page == next_page) {
                return unit;
            }
            *needs = next_page ? 0 : TCG_PAGE_SIZE + 1;
        }
    }
    return NULL;
}

const TcgSpan *cache_spans(TcgRun *run, const uint8_t *host_page)
{
    return *page_slot(run, host_page);
}

static void insert_span(TcgRun *run, TcgSpan *span)
{
    TcgSpan **page = page_slot(run, span->host_page);

    span->page_next = *page;
    *page = span;
}

static void insert(TcgRun *run, TcgUnit *unit)
{
    _Atomic(TcgUnit *) *slot = unit_slot(run, unit);

    insert_span(run, &unit->span);
    if (unit->mode & TCG_MODE_BREAK) {
        g_ptr_array_add(run->break_units, unit);
    }
    if (unit->next_span) {
        insert_span(run, unit->next_span);
    }
    atomic_store_explicit(&unit->hash_next, atomic_load(slot), memory_order_relaxed);
    atomic_store_explicit(slot, unit, memory_order_release);
}

/* Throws all code away. Other vCPUs are parked outside generated code meanwhile. */
void cache_empty(TcgRun *run)
{
    g_mutex_lock(&run->lock);
    memset((void *)run->hash, 0, sizeof *run->hash << TCG_UNIT_HASH_BITS);
    memset(run->pages, 0, sizeof *run->pages << TCG_PAGE_HASH_BITS);
    run->code_next = run->code_start;
    run->cold_next = run->cold_start;
    run->records = run->code_end;
    g_ptr_array_set_size(run->break_units, 0);
    for (unsigned i = 0; i < run->vcpus->len; i++) {
        context_forget_code(g_ptr_array_index(run->vcpus, i));
    }
    run->flushes++;
    g_mutex_unlock(&run->lock);
}

static void flush(TcgVcpu *tv)
{
    TcgRun *run = tv->run;

    /* Outside guest code as far as others are concerned: they may wait for requests meanwhile. */
    atomic_store(&tv->in_guest, false);
    machine_exclusive_begin(run->machine);
    cache_empty(run);
    machine_exclusive_end(run->machine);
    atomic_store(&tv->in_guest, true);
    context_process_inbox(tv);
}

/* The page behind, when its bytes are others than the first one's. */
static uint8_t *other_page(const uint8_t *page, uint64_t next_page)
{
    return next_page && cache_page(next_page) != page ? cache_page(next_page) : NULL;
}

/* *watched: false when a page is not watched any more, and nothing was translated. */
static TcgUnit *translate_watched(TcgVcpu *tv, uint8_t *page, unsigned offset, uint64_t mode,
                                  uint64_t next_page, unsigned *needs, bool *watched)
{
    TcgRun *run = tv->run;
    uint8_t *next = other_page(page, next_page);
    uint64_t granules, next_granules;
    TcgUnit *unit = NULL;

    *watched = watch_begin(run, page, &granules);
    if (!*watched) {
        return NULL;
    }
    *watched = !next || watch_begin(run, next, &next_granules);
    if (*watched) {
        int64_t start = g_get_monotonic_time();

        unit = translate_unit(tv, page, offset, mode, next_page, needs);
        run->translated_us += (uint64_t)(g_get_monotonic_time() - start);
        if (unit) {
            insert(run, unit);
        }
        if (next) {
            watch_end(run, next, next_granules, unit);
        }
    }
    watch_end(run, page, granules, unit);
    return unit;
}

TcgUnit *cache_find(TcgVcpu *tv, uint64_t host_page, unsigned offset, uint64_t mode,
                    uint64_t next_page, unsigned *needs)
{
    TcgRun *run = tv->run;
    uint8_t *page = cache_page(host_page), *next = other_page(page, next_page);
    bool watched = true;
    TcgUnit *unit;

    *needs = 0;
    unit = lookup(run, page, offset, mode, next_page, needs);
    if (unit || *needs) {
        return unit;
    }
    if (!watch_code_page(tv, page) || (next && !watch_code_page(tv, next))) {
        return NULL;
    }
    g_mutex_lock(&run->lock);
    unit = lookup(run, page, offset, mode, next_page, needs);
    if (!unit && !*needs) {
        unit = translate_watched(tv, page, offset, mode, next_page, needs, &watched);
    }
    g_mutex_unlock(&run->lock);
    if (!unit && !*needs && watched) {
        flush(tv);
    }
    return unit;
}

void cache_link(TcgRun *run, TcgLink *link, TcgUnit *to, uint64_t host_page)
{
    const TcgUnit *from;

    g_mutex_lock(&run->lock);
    from = link->unit;
    if (!from->dead &&
        ((from->mode ^ to->mode) & ~(TCG_MODE_GUARDED | TCG_MODE_BREAK | TCG_MODE_UNGROUPED)) ==
            0 &&
        !to->dead && !link->linked) {
        host_link(link, link->polls ? to->entry : to->body, host_page);
        link->linked = true;
        link->incoming_next = to->incoming;
        to->incoming = link;
        run->linked++;
    }
    g_mutex_unlock(&run->lock);
}

static void unlink_outgoing(TcgRun *run, TcgUnit *unit)
{
    for (unsigned i = 0; i < unit->link_count; i++) {
        TcgLink *link = &unit->links[i];

        if (link->linked) {
            host_unlink(link);
            link->linked = false;
        }
    }
}

/*
 * Links of dead units stay on their targets' lists, marked by linked = false; the other span of a unit stays on its
 * page's list until that is walked.
 */
static void kill_unit(TcgRun *run, TcgUnit *unit)
{
    _Atomic(TcgUnit *) *slot = unit_slot(run, unit);
    TcgUnit *next = atomic_load(&unit->hash_next);

    while (*slot != unit) {
        slot = &atomic_load(slot)->hash_next;
    }
    atomic_store_explicit(slot, next, memory_order_release);
    unit->dead = true;
    if (unit->entry) {
        host_kill_unit(unit->entry);
    }
    unlink_outgoing(run, unit);
    for (TcgLink *link = unit->incoming; link; link = link->incoming_next) {
        if (link->linked) {
            host_unlink(link);
            link->linked = false;
        }
    }
    unit->incoming = NULL;
    run->invalidated_units++;
}

void cache_forget_breaks(TcgRun *run)
{
    g_mutex_lock(&run->lock);
    for (unsigned i = 0; i < run->break_units->len; i++) {
        TcgUnit *unit = g_ptr_array_index(run->break_units, i);

        if (!unit->dead) {
            kill_unit(run, unit);
        }
    }
    g_ptr_array_set_size(run->break_units, 0);
    g_mutex_unlock(&run->lock);
}

unsigned cache_forget_covered(TcgRun *run)
{
    unsigned left = 0;

    g_mutex_lock(&run->lock);
    for (unsigned i = 0; i < run->break_units->len; i++) {
        TcgUnit *unit = g_ptr_array_index(run->break_units, i);

        if (!unit->dead && cover_count(run, &unit->span) != unit->covered) {
            kill_unit(run, unit);
        }
        if (!unit->dead) {
            run->break_units->pdata[left++] = unit;
        }
    }
    g_ptr_array_set_size(run->break_units, (gint)left);
    g_mutex_unlock(&run->lock);
    return left;
}

static uint64_t checksum(uint64_t sum, const TcgSpan *span)
{
    const uint8_t *bytes = span->host_page + span->start;
    unsigned size = span->end - span->start;

    sum += size;
    for (unsigned i = 0; i + 8 <= size; i += 8) {
        sum = (sum ^ load_le64(bytes + i)) * UINT64_C(0x9e3779b97f4a7c15);
        sum ^= sum >> 29;
    }
    for (unsigned i = size & ~7u; i < size; i++) {
        sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return sum;
}

uint64_t cache_checksum(const TcgUnit *unit)
{
    uint64_t sum = checksum(0, &unit->span);

    return unit->next_span ? checksum(sum, unit->next_span) : sum;
}

static void invalidate_in_page(TcgRun *run, uint8_t *page, uint64_t from, uint64_t to)
{
    TcgSpan **at = page_slot(run, page);

    while (*at) {
        TcgSpan *span = *at;

        if (span->unit->dead) {
            *at = span->page_next;
        } else if (span->host_page == page && span->start < to && span->end > from) {
            *at = span->page_next;
            kill_unit(run, span->unit);
        } else {
            at = &span->page_next;
        }
    }
}

void cache_invalidate_range(TcgRun *run, const uint8_t *host, uint64_t size)
{
    g_mutex_lock(&run->lock);
    while (size) {
        uintptr_t offset = (uintptr_t)host & (TCG_PAGE_SIZE - 1);
        uint64_t part = MIN(size, TCG_PAGE_SIZE - offset);

        invalidate_in_page(run, (uint8_t *)((uintptr_t)host - offset), offset, offset + part);
        watch_update(run, host - offset);
        host += part;
        size -= part;
    }
    g_mutex_unlock(&run->lock);
}

void cache_verify_all(TcgRun *run)
{
    g_mutex_lock(&run->lock);
    /* A table that nobody has written to yet is not read either: each of its pages would be a page fault. */
    for (size_t i = 0; run->records < run->code_end && i < 1u << TCG_PAGE_HASH_BITS; i++) {
        TcgSpan **at = &run->pages[i];

        while (*at) {
            TcgSpan *span = *at;
            TcgUnit *unit = span->unit;

            if (unit->dead) {
                *at = span->page_next;
            } else if (cache_checksum(unit) != unit->checksum) {
                *at = span->page_next;
                kill_unit(run, unit);
            } else {
                at = &span->page_next;
            }
        }
    }
    g_mutex_unlock(&run->lock);
}

void tcg_invalidate_code(TcgState *env, uint64_t guest_virt, uint64_t size)
{
    TcgVcpu *tv = tcg_vcpu(env);

    while (size) {
        uint64_t part = MIN(size, TCG_PAGE_SIZE - (guest_virt & (TCG_PAGE_SIZE - 1)));
        const uint8_t *host = memory_peek(tv, guest_virt);

        if (host) {
            cache_invalidate_range(tv->run, host, part);
        }
        guest_virt += part;
        size -= part;
    }
}

void tcg_invalidate_all_code(TcgState *env)
{
    cache_verify_all(tcg_vcpu(env)->run);
}
