/* SPDX-License-Identifier: MIT */
/*
 * RAM: anonymous memory, mapped piecewise into a window of address space that is reserved once, so that host
 * addresses never move. What the guest touches is in huge pages where the host has them: fewer page faults, and
 * its accesses miss the host's TLB less often. What was loaded before it runs is in small ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/error.h"
#include "machine/memory-holes.h"
#include "machine/private.h"

#define HUGE_PAGE_BYTES MIB(2)
/* Beside main RAM: flash, option ROMs, frame buffers. */
#define WINDOW_EXTRA       GIB(4)
#define WINDOW_EXTRA_LEAST MIB(256)

static void *reserve(uint64_t size)
{
    return mmap(NULL, size + HUGE_PAGE_BYTES, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

/* Reserves the window. */
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
    memory->base = aligned;
    memory->window_size = size;
    if (!memory_watch_create(memory)) {
        return error_fail_errno(error, errno, "cannot map the table of watched pages");
    }
    return true;
}

/* Only what has extents; -1: none. */
static int keep_file(int file)
{
    struct stat status;

    return file >= 0 && fstat(file, &status) == 0 && S_ISREG(status.st_mode)
               ? fcntl(file, F_DUPFD_CLOEXEC, 0)
               : -1;
}

bool memory_ram_allocate(MemoryRegion *region, int file, GError **error)
{
    MemoryState *memory = &region->machine->private->memory;
    uint64_t size = align_up(region->size, (uint64_t)sysconf(_SC_PAGESIZE));
    int kind = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    uint64_t offset;
    MemoryPiece piece;
    void *host;

    if (!memory->base && !open_window(region->machine, error)) {
        return false;
    }
    offset = align_up(memory->used, size >= HUGE_PAGE_BYTES ? HUGE_PAGE_BYTES : 0x1000);
    if (size > memory->window_size || offset > memory->window_size - size) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "no room for the %" G_GUINT64_FORMAT
                          " MiB of '%s' beside the other guest memories",
                          size >> 20, region->name);
    }
    host = mmap(memory->base + offset, size, PROT_READ | PROT_WRITE,
                kind | MAP_FIXED | MAP_NORESERVE, file, 0);
    if (host == MAP_FAILED) {
        return error_fail_errno(error, errno,
                                "cannot map %" G_GUINT64_FORMAT " MiB of guest memory ('%s')",
                                size >> 20, region->name);
    }
    region->host = host;
    region->from_file = file >= 0;
    region->ram_offset = offset;
    memory->used = offset + size;
    piece = (MemoryPiece){ region, offset, size, file >= 0 };
    g_array_append_val(memory->pieces, piece);
    file = keep_file(file);
    g_array_append_val(memory->files, file);
    return true;
}

static bool find_file(const MemoryState *memory, uint64_t ram_offset, int *file, uint64_t *size)
{
    for (unsigned i = 0; i < memory->pieces->len; i++) {
        const MemoryPiece *piece = &g_array_index(memory->pieces, MemoryPiece, i);

        if (piece->ram_offset == ram_offset) {
            *file = g_array_index(memory->files, int, i);
            *size = piece->size;
            return *file >= 0;
        }
    }
    return false;
}

MemoryExtent memory_extent_at(Machine *machine, uint64_t ram_offset, uint64_t offset)
{
    MemoryExtent extent = { UINT64_MAX, false };
    uint64_t size;
    off_t data;
    int file;

    if (!find_file(&machine->private->memory, ram_offset, &file, &size)) {
        return extent;
    }
    data = lseek(file, (off_t)offset, SEEK_DATA);
    if (data < 0) {
        return (MemoryExtent){ size, errno == ENXIO };
    }
    extent.hole = (uint64_t)data > offset;
    if (!extent.hole) {
        data = lseek(file, (off_t)offset, SEEK_HOLE);
    }
    extent.end = data < 0 ? size : (uint64_t)data;
    return extent;
}

void memory_forget_regions(Machine *machine, const void *start, size_t size)
{
    MemoryState *memory = &machine->private->memory;

    for (unsigned i = 0; i < memory->pieces->len; i++) {
        MemoryPiece *piece = &g_array_index(memory->pieces, MemoryPiece, i);

        if ((uintptr_t)piece->region - (uintptr_t)start < size) {
            piece->region = NULL;
            if (!piece->from_file) {
                madvise(memory->base + piece->ram_offset, piece->size, MADV_DONTNEED);
            }
        }
    }
}

const GArray *memory_pieces(Machine *machine)
{
    return machine->private->memory.pieces;
}

bool memory_ram_populate(MemoryRegion *region, GError **error)
{
    uint8_t *host = region->host;

    madvise(host, region->size, MADV_HUGEPAGE);
    if (madvise(host, region->size, MADV_POPULATE_WRITE) == 0) {
        return true;
    }
    if (errno != EINVAL) {
        return error_fail_errno(error, errno, "'%s': cannot allocate %" G_GUINT64_FORMAT " bytes",
                                region->name, region->size);
    }
    for (uint64_t at = 0; at < region->size; at += 0x1000) { /* a host before Linux 5.14 */
        ((volatile uint8_t *)host)[at] = 0;
    }
    return true;
}

uint64_t memory_ram_window(Machine *machine)
{
    return machine->private->memory.window_size;
}

uint8_t *memory_ram_base(Machine *machine)
{
    return machine->private->memory.base;
}

void memory_ram_use_huge_pages(Machine *machine)
{
    MemoryState *memory = &machine->private->memory;

    /* A host that has none does with small ones. */
    madvise(memory->base, align_down(memory->used, HUGE_PAGE_BYTES), MADV_HUGEPAGE);
}

void memory_ram_destroy(Machine *machine)
{
    MemoryState *memory = &machine->private->memory;

    memory_watch_destroy(memory);
    for (unsigned i = 0; i < memory->files->len; i++) {
        if (g_array_index(memory->files, int, i) >= 0) {
            close(g_array_index(memory->files, int, i));
        }
    }
    g_array_unref(memory->files);
    g_array_unref(memory->pieces);
    if (memory->base) {
        munmap(memory->base, memory->window_size);
    }
}
