/* SPDX-License-Identifier: MIT */
/*
 * RAM: anonymous memory, mapped piecewise into a window of address space that is reserved once, so that host
 * addresses never move. What the guest touches is in huge pages where the host has them: fewer page faults, and
 * its accesses miss the host's TLB less often. What was loaded before it runs is in small ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/thread-sanitizer.h"
#include "machine/memory-holes.h"
#include "machine/object.h"
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
    /* Processors, and devices on their behalf: what a guest races about is as it would be on real ones. */
    TSAN_BENIGN(aligned, size, "guest memory");
    memory->base = aligned;
    memory->window_size = size;
    if (!memory_watch_create(memory)) {
        return error_fail_errno(error, errno, "cannot map the table of watched pages");
    }
    return true;
}

/* Whether it has extents. */
static bool has_extents(int file)
{
    struct stat status;

    return fstat(file, &status) == 0 && S_ISREG(status.st_mode);
}

bool memory_ram_allocate(MemoryRegion *region, GError **error)
{
    MemoryState *memory = &region->machine->private->memory;
    uint64_t size = align_up(region->size, (uint64_t)sysconf(_SC_PAGESIZE));
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
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (host == MAP_FAILED) {
        return error_fail_errno(error, errno,
                                "cannot map %" G_GUINT64_FORMAT " MiB of guest memory ('%s')",
                                size >> 20, region->name);
    }
    region->host = host;
    region->ram_offset = offset;
    memory->used = offset + size;
    piece = (MemoryPiece){ region, offset, size, false };
    g_array_append_val(memory->pieces, piece);
    return true;
}

/* The part that has a byte of the window; NULL: none, and *next is where the next one begins. */
static const MemoryFile *find_file(const MemoryState *memory, uint64_t at, uint64_t *next)
{
    *next = UINT64_MAX;
    for (unsigned i = 0; i < memory->files->len; i++) {
        const MemoryFile *part = &g_array_index(memory->files, MemoryFile, i);

        if (at >= part->start && at - part->start < part->size) {
            return part;
        }
        if (part->start > at) {
            *next = MIN(*next, part->start);
        }
    }
    return NULL;
}

MemoryExtent memory_extent_at(Machine *machine, uint64_t ram_offset, uint64_t offset)
{
    MemoryExtent extent = { UINT64_MAX, false };
    uint64_t at = ram_offset + offset, next;
    const MemoryFile *part = find_file(&machine->private->memory, at, &next);
    off_t data, from;

    if (!part) {
        extent.end = next == UINT64_MAX ? next : next - ram_offset;
        return extent;
    }
    from = (off_t)(part->offset + at - part->start);
    data = lseek(part->fd, from, SEEK_DATA);
    extent.hole = data < 0 ? errno == ENXIO : data > from;
    extent.end = part->start + part->size - ram_offset;
    if (!extent.hole && data >= 0) {
        data = lseek(part->fd, from, SEEK_HOLE);
    }
    if (data >= 0) {
        extent.end = MIN(extent.end, offset + (uint64_t)(data - from));
    }
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

static bool populate(uint8_t *host, uint64_t size, const char *name, GError **error)
{
    madvise(host, size, MADV_HUGEPAGE);
    if (madvise(host, size, MADV_POPULATE_WRITE) == 0) {
        return true;
    }
    if (errno != EINVAL) {
        return error_fail_errno(error, errno, "'%s': cannot allocate %" G_GUINT64_FORMAT " bytes",
                                name, size);
    }
    for (uint64_t at = 0; at < size; at += 0x1000) { /* a host before Linux 5.14 */
        volatile uint8_t *byte = host + at;

        *byte = *byte;
    }
    return true;
}

static bool has_huge_pages(int file)
{
    struct statfs status;

    return fstatfs(file, &status) == 0 && status.f_type == HUGETLBFS_MAGIC;
}

/* Huge pages are set aside for the machine: where the host has too few, its first access to a lacking one would end it. */
static bool map_file(uint8_t *host, const ObjectMemory *memory, const char *name, GError **error)
{
    bool huge = has_huge_pages(memory->fd);
    int kind = memory->private_copy ? MAP_PRIVATE : MAP_SHARED;
    int pages = huge && !memory->no_reserve ? 0 : MAP_NORESERVE;

    return mmap(host, memory->size, PROT_READ | PROT_WRITE, kind | MAP_FIXED | pages, memory->fd,
                (off_t)memory->offset) != MAP_FAILED ||
           error_fail_errno(
               error, errno,
               "memory back end '%s': cannot map %" G_GUINT64_FORMAT " bytes of its file%s", name,
               memory->size,
               huge ? " (/proc/sys/vm/nr_hugepages has how many huge pages there are)" : "");
}

/* On which of the host's nodes its pages are to be (mbind). */
static bool bind_to_nodes(uint8_t *host, const ObjectMemory *memory, const char *name,
                          GError **error)
{
    return memory->policy == 0 ||
           syscall(SYS_mbind, host, memory->size, memory->policy, memory->host_nodes,
                   HOST_NODES_MOST + 1UL, 0) == 0 ||
           error_fail_errno(error, errno,
                            "memory back end '%s': policy=%s: the host does not put "
                            "memory on these nodes",
                            name, memory_policies[memory->policy]);
}

/* Where it has holes is asked for as long as the machine lives. */
static void keep_file(MemoryState *state, uint64_t start, const ObjectMemory *memory)
{
    MemoryFile part = { start, memory->size, memory->offset, -1 };

    if (!memory->private_copy && has_extents(memory->fd)) {
        part.fd = fcntl(memory->fd, F_DUPFD_CLOEXEC, 0);
    }
    if (part.fd >= 0) {
        g_array_append_val(state->files, part);
    }
}

bool memory_ram_place(MemoryRegion *region, uint64_t offset, const ObjectMemory *memory,
                      const char *name, GError **error)
{
    MemoryState *state = &region->machine->private->memory;
    uint8_t *host = (uint8_t *)region->host + offset;

    if (memory->fd >= 0) {
        if (!map_file(host, memory, name, error)) {
            return false;
        }
        region->from_file = true;
        keep_file(state, region->ram_offset + offset, memory);
        for (unsigned i = 0; i < state->pieces->len; i++) {
            MemoryPiece *piece = &g_array_index(state->pieces, MemoryPiece, i);

            piece->from_file |= piece->region == region;
        }
    }
    if (memory->no_dump) {
        madvise(host, memory->size, MADV_DONTDUMP);
    }
    if (memory->no_merge) {
        madvise(host, memory->size, MADV_UNMERGEABLE);
    }
    return bind_to_nodes(host, memory, name, error) &&
           (!memory->populate || populate(host, memory->size, name, error));
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
        close(g_array_index(memory->files, MemoryFile, i).fd);
    }
    g_array_unref(memory->files);
    g_array_unref(memory->pieces);
    if (memory->base) {
        munmap(memory->base, memory->window_size);
    }
}
