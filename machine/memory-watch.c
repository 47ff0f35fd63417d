/* SPDX-License-Identifier: MIT */
/*
 * Watched pages: one byte for each 4 KiB of RAM says who wants to know of writes to it. Accelerators honour
 * it for the guest's own stores, memory_ram_written for everybody else's.
 */
#include <sys/mman.h>

#include "base/bits.h"
#include "machine/private.h"

enum { PAGE_SHIFT = 12 };

/*
 * The byte. W: not written since the client last asked. S: the client was told of a write, but a vCPU may
 * have stored unseen until it heard that the page is watched again, so that it is told once more.
 */
enum {
    WATCH_W = 1,           /* << client */
    WATCH_S = 1 << 2,      /* << client */
    WATCH_CODE = 1 << 4,   /* translated code was made of the page's bytes */
    WATCH_TAGGED = 1 << 5, /* a vCPU may store without asking */
    WATCH_ASKS = WATCH_W * 3 | WATCH_CODE,
};
G_STATIC_ASSERT(DIRTY_CLIENT_COUNT == 2);

typedef _Atomic uint8_t WatchByte;

bool memory_watch_create(MemoryState *memory)
{
    void *bytes = mmap(NULL, memory->window_size >> PAGE_SHIFT, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    memory->watch = bytes == MAP_FAILED ? NULL : bytes;
    return memory->watch;
}

void memory_watch_destroy(MemoryState *memory)
{
    if (memory->watch) {
        munmap((void *)memory->watch, memory->window_size >> PAGE_SHIFT);
    }
}

void memory_set_watch_hooks(Machine *machine, const MemoryWatchHooks *hooks, void *opaque)
{
    MemoryState *memory = &machine->private->memory;

    memory->watch_hooks = hooks;
    memory->watch_opaque = opaque;
    if (hooks->code_written) {
        atomic_fetch_or(&memory->watch_active, WATCH_CODE);
    }
}

static WatchByte *byte_of(MemoryState *memory, uint64_t ram_offset)
{
    return &memory->watch[ram_offset >> PAGE_SHIFT];
}

bool memory_watch_tag(Machine *machine, uint64_t ram_offset)
{
    MemoryState *memory = &machine->private->memory;
    WatchByte *byte;

    if (!atomic_load_explicit(&memory->watch_active, memory_order_relaxed)) {
        return true;
    }
    byte = byte_of(memory, ram_offset);
    if (atomic_load(byte) & WATCH_ASKS) {
        return false;
    }
    /* Said before it is looked again: who begins to watch sees one or the other. */
    if (!(atomic_load(byte) & WATCH_TAGGED)) {
        atomic_fetch_or(byte, WATCH_TAGGED);
    }
    return !(atomic_load(byte) & WATCH_ASKS);
}

bool memory_watch_code(Machine *machine, uint64_t ram_offset)
{
    WatchByte *byte = byte_of(&machine->private->memory, ram_offset);

    if (!(atomic_load(byte) & WATCH_CODE)) {
        atomic_fetch_or(byte, WATCH_CODE);
    }
    return atomic_load(byte) & WATCH_TAGGED;
}

bool memory_is_watched_code(Machine *machine, uint64_t ram_offset)
{
    return atomic_load(byte_of(&machine->private->memory, ram_offset)) & WATCH_CODE;
}

void memory_unwatch_code(Machine *machine, uint64_t ram_offset)
{
    atomic_fetch_and(byte_of(&machine->private->memory, ram_offset), (uint8_t)~WATCH_CODE);
}

void memory_watch_untag(Machine *machine, uint64_t ram_offset)
{
    atomic_fetch_and(byte_of(&machine->private->memory, ram_offset), (uint8_t)~WATCH_TAGGED);
}

void memory_ram_dirty(Machine *machine, uint64_t ram_offset, uint64_t size)
{
    MemoryState *memory = &machine->private->memory;
    uint32_t active = atomic_load_explicit(&memory->watch_active, memory_order_relaxed);

    if (!(active & ~(uint32_t)WATCH_CODE) || size == 0) {
        return;
    }
    for (uint64_t page = ram_offset >> PAGE_SHIFT; page <= (ram_offset + size - 1) >> PAGE_SHIFT;
         page++) {
        if (atomic_load_explicit(&memory->watch[page], memory_order_relaxed) & (WATCH_W * 3)) {
            atomic_fetch_and(&memory->watch[page], (uint8_t) ~(WATCH_W * 3));
        }
    }
}

void memory_ram_written(Machine *machine, uint64_t ram_offset, uint64_t size)
{
    MemoryState *memory = &machine->private->memory;
    uint64_t end = ram_offset + size;

    memory_ram_dirty(machine, ram_offset, size);
    if (!(atomic_load_explicit(&memory->watch_active, memory_order_relaxed) & WATCH_CODE)) {
        return;
    }
    /* The bytes are there before it is looked whether code was made of them. */
    atomic_thread_fence(memory_order_seq_cst);
    while (ram_offset < end) {
        uint64_t part = MIN(end, (ram_offset | 0xfff) + 1) - ram_offset;

        if (atomic_load(byte_of(memory, ram_offset)) & WATCH_CODE) {
            memory->watch_hooks->code_written(memory->watch_opaque, ram_offset, part);
        }
        ram_offset += part;
    }
}

static void protect(MemoryState *memory, uint64_t ram_offset, uint64_t size)
{
    if (size && memory->watch_hooks && memory->watch_hooks->protect) {
        memory->watch_hooks->protect(memory->watch_opaque, ram_offset, size);
    }
}

static void record(MemoryState *memory, uint64_t ram_offset, uint64_t size, bool on)
{
    if (memory->watch_hooks && memory->watch_hooks->record) {
        memory->watch_hooks->record(memory->watch_opaque, ram_offset, size, on);
    }
}

static void change_bytes(MemoryState *memory, uint64_t ram_offset, uint64_t size, uint8_t set,
                         uint8_t clear)
{
    for (uint64_t at = ram_offset & ~UINT64_C(0xfff); at < ram_offset + size; at += 0x1000) {
        atomic_fetch_or(byte_of(memory, at), set);
        atomic_fetch_and(byte_of(memory, at), (uint8_t)~clear);
    }
}

void memory_dirty_start(Machine *machine, DirtyClient client, uint64_t ram_offset, uint64_t size)
{
    MemoryState *memory = &machine->private->memory;

    memory->watch_ranges[client]++;
    atomic_fetch_or(&memory->watch_active, WATCH_W << client);
    record(memory, ram_offset, size, true);
    change_bytes(memory, ram_offset, size, (uint8_t)(WATCH_W << client), 0);
    protect(memory, ram_offset, size);
}

void memory_dirty_stop(Machine *machine, DirtyClient client, uint64_t ram_offset, uint64_t size)
{
    MemoryState *memory = &machine->private->memory;

    change_bytes(memory, ram_offset, size, 0, (uint8_t)((WATCH_W | WATCH_S) << client));
    record(memory, ram_offset, size, false);
    if (--memory->watch_ranges[client] == 0) {
        atomic_fetch_and(&memory->watch_active, ~((uint32_t)WATCH_W << client));
    }
}

bool memory_dirty_settled(Machine *machine)
{
    const MemoryState *memory = &machine->private->memory;
    const MemoryWatchHooks *hooks = memory->watch_hooks;

    return !hooks || !hooks->settled || hooks->settled(memory->watch_opaque);
}

/*
 * Pages that are watched again, when no vCPU is left that may still store to them unseen (one that waits runs no guest code): nothing is to be reported once more.
 */
static void settle(Machine *machine, uint8_t settling, uint64_t first, uint64_t last)
{
    MemoryState *memory = &machine->private->memory;

    if (first == last || !memory->watch_hooks || !memory_dirty_settled(machine)) {
        return;
    }
    for (uint64_t at = first; at < last; at += 0x1000) {
        if (atomic_load(byte_of(memory, at)) & settling) {
            atomic_fetch_and(byte_of(memory, at), (uint8_t)~settling);
        }
    }
}

bool memory_dirty_collect(Machine *machine, DirtyClient client, uint64_t ram_offset, uint64_t size,
                          bool *pages)
{
    MemoryState *memory = &machine->private->memory;
    const MemoryWatchHooks *hooks = memory->watch_hooks;
    bool settled = memory_dirty_settled(machine), any = false;
    uint8_t watch = (uint8_t)(WATCH_W << client), settling = (uint8_t)(WATCH_S << client);
    uint64_t start = ram_offset & ~UINT64_C(0xfff), first = 0, last = 0; /* to be watched again */

    if (!(atomic_load(&memory->watch_active) & watch)) {
        return false;
    }
    if (hooks && hooks->collect) {
        hooks->collect(memory->watch_opaque, ram_offset, size);
    }
    for (uint64_t at = start; at < ram_offset + size; at += 0x1000) {
        uint8_t old = atomic_load(byte_of(memory, at));
        /* Without hooks, an accelerator does not see stores: any may have been. */
        bool dirty = !hooks || !(old & watch) || old & settling;

        if (!(old & watch)) {
            atomic_fetch_or(byte_of(memory, at),
                            hooks && hooks->protect ? watch | settling : watch);
            first = last ? first : at;
            last = at + 0x1000;
        } else if (old & settling && settled) {
            atomic_fetch_and(byte_of(memory, at), (uint8_t)~settling);
        }
        any |= dirty;
        if (dirty && pages) {
            pages[(at - start) >> PAGE_SHIFT] = true;
        }
    }
    protect(memory, first, last - first);
    settle(machine, settling, first, last);
    return any;
}

bool memory_dirty_test_and_clear(Machine *machine, DirtyClient client, uint64_t ram_offset,
                                 uint64_t size)
{
    return memory_dirty_collect(machine, client, ram_offset, size, NULL);
}
