/* SPDX-License-Identifier: MIT */
/*
 * RAM: one sparse memfd per machine, mapped piecewise into a window of address space that is reserved
 * once, so that host addresses never move; and the dirty bitmaps over it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/error.h"
#include "machine/private.h"

enum { DIRTY_PAGE_SHIFT = 12 };
#define HUGE_PAGE_BYTES MIB(2)
/* Beside main RAM: flash, option ROMs, frame buffers. */
#define WINDOW_EXTRA       GIB(4)
#define WINDOW_EXTRA_LEAST MIB(256)

static void *reserve(uint64_t size)
{
    return mmap(NULL, size + HUGE_PAGE_BYTES, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

/* Reserves the window and creates the memfd. */
static bool open_window(Machine *machine, GError **error)
{
    MemoryState *memory = &machine->private->memory;
    uint64_t ram_bytes = align_up(machine->config.ram_bytes, HUGE_PAGE_BYTES), size;
    uint8_t *base, *aligned;

    size = ram_bytes + WINDOW_EXTRA;
    base = reserve(size);
    if (base == MAP_FAILED) {
        /* A limit on address space: make do with less. */
        size = ram_bytes + WINDOW_EXTRA_LEAST;
        base = reserve(size);
    }
    if (base == MAP_FAILED) {
        return error_fail_errno(error, errno,
                                "cannot reserve %" G_GUINT64_FORMAT
                                " MiB of address space for guest memory",
                                size >> 20);
    }
    aligned = (uint8_t *)align_up((uintptr_t)base, HUGE_PAGE_BYTES);
    if (aligned > base) {
        munmap(base, aligned - base);
    }
    munmap(aligned + size, base + HUGE_PAGE_BYTES - aligned);
    memory->fd = memfd_create("kaso-ram", MFD_CLOEXEC);
    if (memory->fd < 0) {
        munmap(aligned, size);
        return error_fail_errno(error, errno, "cannot create the memory file for guest memory");
    }
    memory->base = aligned;
    memory->window_size = size;
    return true;
}

bool memory_ram_allocate(MemoryRegion *region, int file, GError **error)
{
    MemoryState *memory = &region->machine->private->memory;
    uint64_t size = align_up(region->size, (uint64_t)sysconf(_SC_PAGESIZE));
    uint64_t offset;
    void *host;

    if (memory->fd < 0 && !open_window(region->machine, error)) {
        return false;
    }
    offset = align_up(memory->used, size >= HUGE_PAGE_BYTES ? HUGE_PAGE_BYTES : 0x1000);
    if (size > memory->window_size || offset > memory->window_size - size) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "no room for the %" G_GUINT64_FORMAT
                          " MiB of '%s' beside the other guest memories",
                          size >> 20, region->name);
    }
    if (file < 0 && ftruncate(memory->fd, offset + size) < 0) {
        return error_fail_errno(
            error, errno, "cannot grow guest memory by %" G_GUINT64_FORMAT " MiB", size >> 20);
    }
    host = mmap(memory->base + offset, size, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_FIXED | MAP_NORESERVE, file < 0 ? memory->fd : file,
                file < 0 ? (off_t)offset : 0);
    if (host == MAP_FAILED) {
        return error_fail_errno(error, errno,
                                "cannot map %" G_GUINT64_FORMAT " MiB of guest memory ('%s')",
                                size >> 20, region->name);
    }
    region->host = host;
    region->from_file = file >= 0;
    region->ram_offset = offset;
    memory->used = offset + size;
    return true;
}

bool memory_ram_pwrite(MemoryRegion *region, uint64_t offset, const void *data, uint64_t size)
{
    MemoryState *memory = &region->machine->private->memory;
    const char *in = data;

    while (size && !region->from_file) {
        ssize_t done = pwrite(memory->fd, in, size, region->ram_offset + offset);

        if (done <= 0) {
            return false;
        }
        in += done;
        offset += done;
        size -= done;
    }
    return size == 0;
}

uint8_t *memory_ram_base(Machine *machine)
{
    return machine->private->memory.base;
}

void memory_ram_destroy(Machine *machine)
{
    MemoryState *memory = &machine->private->memory;

    for (int i = 0; i < DIRTY_CLIENT_COUNT; i++) {
        g_free(atomic_load(&memory->dirty[i]));
    }
    if (memory->fd >= 0) {
        munmap(memory->base, memory->window_size);
        close(memory->fd);
    }
}

void memory_set_write_watcher(Machine *machine,
                              void (*fn)(void *opaque, uint64_t ram_offset, uint64_t size),
                              void *opaque)
{
    machine->private->memory.write_watcher_opaque = opaque;
    machine->private->memory.write_watcher = fn;
}

void memory_ram_written(Machine *machine, uint64_t ram_offset, uint64_t size)
{
    MemoryState *memory = &machine->private->memory;
    uint32_t active = atomic_load_explicit(&memory->dirty_active, memory_order_relaxed);

    if (size == 0) {
        return;
    }
    if (memory->write_watcher) {
        memory->write_watcher(memory->write_watcher_opaque, ram_offset, size);
    }
    for (int client = 0; active; client++, active >>= 1) {
        _Atomic uint64_t *bitmap;

        if (!(active & 1)) {
            continue;
        }
        bitmap = (_Atomic uint64_t *)atomic_load(&memory->dirty[client]);
        for (uint64_t page = ram_offset >> DIRTY_PAGE_SHIFT;
             page <= (ram_offset + size - 1) >> DIRTY_PAGE_SHIFT; page++) {
            if (!(atomic_load_explicit(&bitmap[page / 64], memory_order_relaxed) &
                  BIT(page % 64))) {
                atomic_fetch_or(&bitmap[page / 64], BIT(page % 64));
            }
        }
    }
}

void memory_dirty_start(Machine *machine, DirtyClient client)
{
    MemoryState *memory = &machine->private->memory;
    uint64_t pages = memory->window_size >> DIRTY_PAGE_SHIFT;

    /* Kept once made: writers read the pointer without a lock. Zero pages until touched. */
    if (!atomic_load(&memory->dirty[client])) {
        atomic_store(&memory->dirty[client], g_malloc0((pages / 64 + 1) * sizeof(uint64_t)));
    }
    atomic_fetch_or(&memory->dirty_active, 1u << client);
}

void memory_dirty_stop(Machine *machine, DirtyClient client)
{
    atomic_fetch_and(&machine->private->memory.dirty_active, ~(1u << client));
}

bool memory_dirty_test_and_clear(Machine *machine, DirtyClient client, uint64_t ram_offset,
                                 uint64_t size)
{
    MemoryState *memory = &machine->private->memory;
    _Atomic uint64_t *bitmap = (_Atomic uint64_t *)atomic_load(&memory->dirty[client]);
    bool dirty = false;

    if (!bitmap || size == 0) {
        return false;
    }
    for (uint64_t page = ram_offset >> DIRTY_PAGE_SHIFT;
         page <= (ram_offset + size - 1) >> DIRTY_PAGE_SHIFT; page++) {
        uint64_t bit = BIT(page % 64);

        if (atomic_load_explicit(&bitmap[page / 64], memory_order_relaxed) & bit) {
            atomic_fetch_and(&bitmap[page / 64], ~bit);
            dirty = true;
        }
    }
    return dirty;
}
