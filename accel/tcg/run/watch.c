/* SPDX-License-Identifier: MIT */
/*
 * Watched pages of RAM, as far as the translator honours them: no write tags for them, and for targets with
 * coherent code the death of units whose bytes are stored to.
 *
 * A page that units were made of is watched. Its granules of 64 bytes that hold code are kept in a word, so
 * that a store beside code costs a slow store and no more. A store to code kills the units that overlap it;
 * when the storing unit is one of them, the store is not done: the instruction is translated alone and done
 * again, and what follows is translated anew.
 */
#include "accel/tcg/run/run.h"
#include "base/bits.h"

enum { GRANULE_BITS = TCG_PAGE_BITS - 6 };

static uint64_t ram_offset_of(const TcgRun *run, const uint8_t *host)
{
    return (uint64_t)(host - memory_ram_base(run->machine));
}

static _Atomic uint64_t *granules_of(TcgRun *run, uint64_t ram_offset)
{
    return &run->granules[ram_offset >> TCG_PAGE_BITS];
}

/* Whether stores may change the code of a page: all but a copy of a device's. */
static bool is_coherent(const TcgRun *run, const uint8_t *host_page)
{
    return run->target->coherent_code &&
           ram_offset_of(run, host_page) < memory_ram_window(run->machine);
}

/* Of the bytes [start, end) of a page. */
static uint64_t granule_mask(unsigned start, unsigned end)
{
    unsigned first = start >> GRANULE_BITS, last = (end - 1) >> GRANULE_BITS;

    return bits_mask(last - first + 1) << first;
}

static void protect(void *opaque, uint64_t ram_offset, uint64_t size)
{
    const TcgRequest request = { TCG_REQUEST_PROTECT, ram_offset, NULL, size };

    context_post_all(opaque, &request, NULL);
}

static bool settled(void *opaque)
{
    TcgRun *run = opaque;

    for (unsigned i = 0; i < run->vcpus->len; i++) {
        const TcgVcpu *tv = g_ptr_array_index(run->vcpus, i);

        if (atomic_load(&tv->in_guest) && atomic_load(&tv->processed) != atomic_load(&tv->posted)) {
            return false;
        }
    }
    return true;
}

static void code_written(void *opaque, uint64_t ram_offset, uint64_t size)
{
    TcgRun *run = opaque;
    unsigned start = ram_offset & (TCG_PAGE_SIZE - 1);

    if (atomic_load(granules_of(run, ram_offset)) & granule_mask(start, start + (unsigned)size)) {
        run->code_stores++;
        cache_invalidate_range(run, memory_ram_base(run->machine) + ram_offset, size);
    }
}

void watch_init(TcgRun *run)
{
    static const MemoryWatchHooks pages = { .protect = protect, .settled = settled };
    static const MemoryWatchHooks pages_and_code = { .protect = protect,
                                                     .settled = settled,
                                                     .code_written = code_written };

    memory_set_watch_hooks(run->machine, run->target->coherent_code ? &pages_and_code : &pages,
                           run);
}

void watch_free(TcgRun *run)
{
    if (run->granules) {
        tlb_unmap((void *)run->granules, run->granules_size);
    }
}

bool watch_code_page(TcgVcpu *tv, const uint8_t *host_page)
{
    TcgRun *run = tv->run;
    uint64_t ram_offset = ram_offset_of(run, host_page);
    const TcgRequest request = { TCG_REQUEST_PROTECT, ram_offset, NULL, TCG_PAGE_SIZE };

    if (!is_coherent(run, host_page) || !memory_watch_code(run->machine, ram_offset)) {
        return true;
    }
    context_broadcast(tv, &request);
    tcg_invalidate_wait(tv->env);
    memory_watch_untag(run->machine, ram_offset);
    return false;
}

bool watch_begin(TcgRun *run, const uint8_t *host_page, uint64_t *granules)
{
    uint64_t ram_offset;

    *granules = 0;
    if (!is_coherent(run, host_page)) {
        return true;
    }
    ram_offset = ram_offset_of(run, host_page);
    if (!memory_is_watched_code(run->machine, ram_offset)) {
        return false;
    }
    if (!run->granules) {
        run->granules_size = (memory_ram_window(run->machine) >> TCG_PAGE_BITS) * sizeof(uint64_t);
        run->granules = tlb_map(run->granules_size);
        g_assert(run->granules);
    }
    /* Any store to the page waits for the lock until it is known where the code is. */
    *granules = atomic_exchange(granules_of(run, ram_offset), UINT64_MAX);
    return true;
}

static void set_granules(TcgRun *run, const uint8_t *host_page, uint64_t granules)
{
    uint64_t ram_offset = ram_offset_of(run, host_page);

    atomic_store(granules_of(run, ram_offset), granules);
    if (!granules) {
        memory_unwatch_code(run->machine, ram_offset);
    }
}

static uint64_t span_granules(const TcgSpan *span, const uint8_t *host_page)
{
    return span && span->host_page == host_page && span->end > span->start
               ? granule_mask(span->start, span->end)
               : 0;
}

void watch_end(TcgRun *run, const uint8_t *host_page, uint64_t granules, const TcgUnit *unit)
{
    if (!is_coherent(run, host_page)) {
        return;
    }
    if (unit) {
        granules |=
            span_granules(&unit->span, host_page) | span_granules(unit->next_span, host_page);
    }
    set_granules(run, host_page, granules);
}

void watch_update(TcgRun *run, const uint8_t *host_page)
{
    uint64_t granules = 0;

    if (!is_coherent(run, host_page)) {
        return;
    }
    for (const TcgSpan *s = cache_spans(run, host_page); s; s = s->page_next) {
        if (!s->unit->dead) {
            granules |= span_granules(s, host_page);
        }
    }
    set_granules(run, host_page, granules);
}

bool watch_is_code(TcgVcpu *tv, const uint8_t *host)
{
    return tv->run->target->coherent_code &&
           memory_is_watched_code(tv->run->machine, ram_offset_of(tv->run, host));
}

static bool span_holds(const TcgSpan *span, const uint8_t *host)
{
    return span && host >= span->host_page + span->start && host < span->host_page + span->end;
}

/* Whether a unit that contains the running instruction has bytes in [host, host + size). */
static bool hits_running_unit(TcgVcpu *tv, const uint8_t *host, unsigned size)
{
    const TcgFetchEntry *fetch = tlb_fetch_entry(tv->env->context, tv->env->pc_page);
    uint8_t *page = (uint8_t *)((uintptr_t)host & ~(uintptr_t)(TCG_PAGE_SIZE - 1));
    unsigned start = (unsigned)(host - page);
    const uint8_t *running;

    if (fetch->tag != tv->env->pc_page) {
        return true; /* not known: say so to be sure */
    }
    running = cache_page(fetch->host_page) + tv->env->pc_offset;
    for (const TcgSpan *s = cache_spans(tv->run, page); s; s = s->page_next) {
        if (s->host_page == page && !s->unit->dead && s->start < start + size && s->end > start &&
            (span_holds(&s->unit->span, running) || span_holds(s->unit->next_span, running))) {
            return true;
        }
    }
    return false;
}

/* As a unit of its own, to which nothing is joined. */
static bool runs_alone(const TcgVcpu *tv)
{
    return tv->alone == TCG_ALONE_RUNS && tv->alone_pc == tcg_pc(tv->env);
}

static _Noreturn void do_alone(TcgVcpu *tv)
{
    tv->alone = TCG_ALONE_WANTED;
    tv->alone_pc = tcg_pc(tv->env);
    tcg_unwind(tv->env);
}

void watch_before_interrupt(TcgVcpu *tv)
{
    if (!runs_alone(tv) && trap_can_undo(tv)) {
        do_alone(tv);
    }
}

void watch_before_device(TcgVcpu *tv)
{
    if (tv->run->limited) {
        watch_before_interrupt(tv);
    }
}

void tcg_begin_device_access(TcgState *env)
{
    watch_before_device(tcg_vcpu(env));
}

void watch_before_store(TcgVcpu *tv, const uint8_t *host, unsigned size)
{
    TcgRun *run = tv->run;
    unsigned start = (unsigned)((uintptr_t)host & (TCG_PAGE_SIZE - 1));
    bool hit;

    if (!watch_is_code(tv, host) ||
        !(atomic_load(granules_of(run, ram_offset_of(run, host))) &
          granule_mask(start, start + size)) ||
        runs_alone(tv) || !trap_can_undo(tv)) { /* no unit goes on after the delivery of an event */
        return;
    }
    g_mutex_lock(&run->lock);
    hit = hits_running_unit(tv, host, size);
    g_mutex_unlock(&run->lock);
    if (hit) {
        run->replays++;
        do_alone(tv);
    }
}
