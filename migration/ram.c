/* SPDX-License-Identifier: MIT */
/*
 * RAM, sent and received. A section has a number of runs: piece (4 bytes), first page in it (8), pages (4), form (1: 0 zero,
 * 1 bytes), and the bytes.
 */
#include "migration/ram.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "base/error.h"
#include "machine/memory-holes.h"

enum { RUN_BYTES = 4 + 8 + 4 + 1, FORM_ZERO = 0, FORM_BYTES = 1, SECTION_BYTES = 1 << 20 };

typedef struct {
    uint64_t ram_offset, pages;
    bool *dirty; /* by page */
    MemoryExtent
        extent; /* around the page that was looked at last, since the last look at what was written */
} SentPiece;

struct RamSender {
    Machine *machine;
    bool live, first_pass;
    SentPiece *pieces;
    unsigned count;
    unsigned at;      /* the piece that is being sent … */
    uint64_t at_page; /* … from this page on */
    GByteArray *section;
    uint64_t total_bytes;
    _Atomic uint64_t remaining, normal, zero, passes;
};

/* Those that are part of the machine now: const MemoryPiece *. */
static GPtrArray *living_pieces(Machine *machine)
{
    const GArray *pieces = memory_pieces(machine);
    GPtrArray *living = g_ptr_array_new();

    for (unsigned i = 0; i < pieces->len; i++) {
        const MemoryPiece *piece = &g_array_index(pieces, MemoryPiece, i);

        if (piece->region) {
            g_ptr_array_add(living, (void *)piece);
        }
    }
    return living;
}

static bool is_zero(const uint8_t *page)
{
    const uint64_t *words = (const uint64_t *)(const void *)page;

    if (words[0] | words[RAM_PAGE_BYTES / 16] | words[RAM_PAGE_BYTES / 8 - 1]) {
        return false;
    }
    for (unsigned i = 0; i < RAM_PAGE_BYTES / sizeof *words; i += 8) {
        if (words[i] | words[i + 1] | words[i + 2] | words[i + 3] | words[i + 4] | words[i + 5] |
            words[i + 6] | words[i + 7]) {
            return false;
        }
    }
    return true;
}

RamSender *ram_sender_new(Machine *machine, bool live)
{
    g_autoptr(GPtrArray) living = living_pieces(machine);
    RamSender *sender = g_new0(RamSender, 1);

    sender->machine = machine;
    sender->live = live;
    sender->first_pass = true;
    sender->count = living->len;
    sender->pieces = g_new0(SentPiece, sender->count);
    sender->section = g_byte_array_sized_new(SECTION_BYTES + RAM_PAGE_BYTES);
    for (unsigned i = 0; i < sender->count; i++) {
        const MemoryPiece *piece = living->pdata[i];
        SentPiece *sent = &sender->pieces[i];

        sent->ram_offset = piece->ram_offset;
        sent->pages = piece->size / RAM_PAGE_BYTES;
        sent->dirty = g_new(bool, sent->pages);
        memset(sent->dirty, true, sent->pages);
        sender->remaining += sent->pages;
        if (live) {
            memory_dirty_start(machine, DIRTY_MIGRATION, piece->ram_offset, piece->size);
        }
    }
    sender->total_bytes = sender->remaining * RAM_PAGE_BYTES;
    return sender;
}

void ram_sender_free(RamSender *sender)
{
    for (unsigned i = 0; i < sender->count; i++) {
        const SentPiece *sent = &sender->pieces[i];

        if (sender->live) {
            memory_dirty_stop(sender->machine, DIRTY_MIGRATION, sent->ram_offset,
                              sent->pages * RAM_PAGE_BYTES);
        }
        g_free(sent->dirty);
    }
    g_free(sender->pieces);
    g_byte_array_unref(sender->section);
    g_free(sender);
}

bool ram_sender_ready(RamSender *sender)
{
    return !sender->live || memory_dirty_settled(sender->machine);
}

static const uint8_t *page_of(const RamSender *sender, const SentPiece *sent, uint64_t page)
{
    return memory_ram_base(sender->machine) + sent->ram_offset + page * RAM_PAGE_BYTES;
}

/* A hole is not looked into: that would fill it. Pages are asked for in rising order. */
static bool reads_as_zero(const RamSender *sender, SentPiece *sent, uint64_t page)
{
    uint64_t offset = page * RAM_PAGE_BYTES;

    if (offset >= sent->extent.end) {
        sent->extent = memory_extent_at(sender->machine, sent->ram_offset, offset);
    }
    return (sent->extent.hole && offset + RAM_PAGE_BYTES <= sent->extent.end) ||
           is_zero(page_of(sender, sent, page));
}

static void put_run(GByteArray *section, unsigned piece, uint64_t page, uint32_t count, int form)
{
    uint8_t run[RUN_BYTES];

    store_le32(run, piece);
    store_le64(run + 4, page);
    store_le32(run + 12, count);
    run[16] = (uint8_t)form;
    g_byte_array_append(section, run, sizeof run);
}

/*
 * The run of pages of one form that begins at the place; returns how many pages it has. A page may change while it is
 * looked at: then it is sent again.
 */
static void put_pages(RamSender *sender, SentPiece *sent, uint64_t page)
{
    GByteArray *section = sender->section;
    uint64_t end = page;
    bool zero = reads_as_zero(sender, sent, page);
    guint room = SECTION_BYTES - MIN(section->len, SECTION_BYTES);

    while (end < sent->pages && sent->dirty[end] &&
           (zero || (end - page) * RAM_PAGE_BYTES < MAX(room, RAM_PAGE_BYTES)) &&
           end - page < UINT32_MAX && (end == page || reads_as_zero(sender, sent, end) == zero)) {
        sent->dirty[end++] = false;
    }
    if (zero) {
        sender->zero += end - page;
    } else {
        sender->normal += end - page;
    }
    sender->remaining -= end - page;
    sender->at_page = end;
    if (zero && sender->first_pass) {
        return; /* who receives begins with zeroes */
    }
    put_run(section, sender->at, page, (uint32_t)(end - page), zero ? FORM_ZERO : FORM_BYTES);
    if (!zero) {
        g_byte_array_append(section, page_of(sender, sent, page),
                            (guint)((end - page) * RAM_PAGE_BYTES));
    }
}

bool ram_sender_send(RamSender *sender, StreamWriter *writer, bool *more, GError **error)
{
    /* Many zeroes make no section: they end the call as well, for who wants to look at other things. */
    enum { LOOK_PAGES = 1 << 16 };
    uint64_t least = sender->remaining > LOOK_PAGES ? sender->remaining - LOOK_PAGES : 0;

    g_byte_array_set_size(sender->section, 0);
    while (sender->at < sender->count && sender->section->len < SECTION_BYTES &&
           sender->remaining > least) {
        SentPiece *sent = &sender->pieces[sender->at];

        while (sender->at_page < sent->pages && !sent->dirty[sender->at_page]) {
            sender->at_page++;
        }
        if (sender->at_page < sent->pages) {
            put_pages(sender, sent, sender->at_page);
        } else {
            sender->at++;
            sender->at_page = 0;
        }
    }
    *more = sender->remaining > 0;
    return sender->section->len == 0 ||
           stream_write_section(writer, STREAM_RAM, sender->section->data, sender->section->len,
                                error);
}

uint64_t ram_sender_collect(RamSender *sender)
{
    uint64_t remaining = 0;

    for (unsigned i = 0; sender->live && i < sender->count; i++) {
        SentPiece *sent = &sender->pieces[i];

        memory_dirty_collect(sender->machine, DIRTY_MIGRATION, sent->ram_offset,
                             sent->pages * RAM_PAGE_BYTES, sent->dirty);
        for (uint64_t page = 0; page < sent->pages; page++) {
            remaining += sent->dirty[page];
        }
        sent->extent = (MemoryExtent){ 0 };
    }
    sender->remaining = remaining;
    sender->at = 0;
    sender->at_page = 0;
    sender->first_pass = false;
    sender->passes++;
    return remaining;
}

RamCounts ram_sender_counts(const RamSender *sender)
{
    return (RamCounts){ .total_bytes = sender->total_bytes,
                        .remaining_pages = sender->remaining,
                        .normal_pages = sender->normal,
                        .zero_pages = sender->zero,
                        .passes = sender->passes };
}

/* Receiving. */

static char *line_name(unsigned index)
{
    return g_strdup_printf("memory.%u", index);
}

typedef struct {
    const MemoryRegion *region;
    const Device *device; /* whose instance it lies in */
} Owner;

static void look_at_device(Device *device, void *opaque)
{
    Owner *owner = opaque;

    if ((uintptr_t)owner->region - (uintptr_t)device < device->type->instance_size) {
        owner->device = device;
    }
}

/* Bytes, device and name: devices may have been plugged in any order. */
static char *piece_name(Machine *machine, const MemoryPiece *piece)
{
    Owner owner = { piece->region, NULL };
    g_autofree char *path = NULL;

    device_foreach(machine->root, look_at_device, &owner);
    path = owner.device ? device_path(owner.device) : g_strdup("/");
    return g_strdup_printf("%" G_GUINT64_FORMAT " %s %s", piece->size, path, piece->region->name);
}

static GPtrArray *piece_names(Machine *machine)
{
    g_autoptr(GPtrArray) living = living_pieces(machine);
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

    for (unsigned i = 0; i < living->len; i++) {
        g_ptr_array_add(names, piece_name(machine, living->pdata[i]));
    }
    return names;
}

void ram_describe(Machine *machine, GByteArray *lines)
{
    g_autoptr(GPtrArray) names = piece_names(machine);

    for (unsigned i = 0; i < names->len; i++) {
        g_autofree char *name = line_name(i);

        stream_add_line(lines, name, "%s", (const char *)names->pdata[i]);
    }
}

static bool fail_match(const char *there, const char *here, GError **error)
{
    return error_fail(error, KASO_ERROR_INVALID,
                      "the saved state has the memory '%s' (bytes, device, name), and this machine "
                      "has '%s'; give the same options, devices and firmware as then",
                      there, here);
}

/* The first of that name that is not taken yet. */
static bool take_name(GPtrArray *names, const char *wanted, unsigned *found)
{
    for (unsigned i = 0; i < names->len; i++) {
        if (g_strcmp0(names->pdata[i], wanted) == 0) {
            g_clear_pointer(&names->pdata[i], g_free);
            *found = i;
            return true;
        }
    }
    return false;
}

GArray *ram_match(Machine *machine, const GByteArray *lines, GError **error)
{
    g_autoptr(GPtrArray) living = living_pieces(machine), names = piece_names(machine);
    g_autoptr(GArray) matched = g_array_new(false, false, sizeof(MemoryPiece));
    const char *left = NULL;

    for (unsigned i = 0; i < living->len; i++) {
        g_autofree char *name = line_name(i), *there = stream_find_line(lines, name);
        unsigned found;

        if (!there) {
            break;
        }
        if (!take_name(names, there, &found)) {
            fail_match(there, "none", error);
            return NULL;
        }
        g_array_append_val(matched, *(MemoryPiece *)living->pdata[found]);
    }
    for (unsigned i = 0; i < names->len; i++) {
        left = left ? left : names->pdata[i];
    }
    if (left) {
        fail_match("none", left, error);
        return NULL;
    }
    return g_steal_pointer(&matched);
}

static void clear_piece(Machine *machine, const MemoryPiece *piece)
{
    uint8_t *host = memory_ram_base(machine) + piece->ram_offset;
    MemoryExtent extent = { 0 };

    if (!piece->from_file && madvise(host, piece->size, MADV_DONTNEED) == 0) {
        return;
    }
    for (uint64_t at = 0; at + RAM_PAGE_BYTES <= piece->size; at += RAM_PAGE_BYTES) {
        if (at >= extent.end) {
            extent = memory_extent_at(machine, piece->ram_offset, at);
        }
        if ((!extent.hole || at + RAM_PAGE_BYTES > extent.end) && !is_zero(host + at)) {
            memset(host + at, 0, RAM_PAGE_BYTES);
        }
    }
}

void ram_clear(Machine *machine)
{
    const GArray *pieces = memory_pieces(machine);

    for (unsigned i = 0; i < pieces->len; i++) {
        clear_piece(machine, &g_array_index(pieces, MemoryPiece, i));
    }
}

/* A run of a section, and where it goes. */
typedef struct {
    const MemoryPiece *piece;
    uint64_t page, count, bytes;
} Run;

static bool read_run(const GArray *pieces, const uint8_t *data, size_t size, Run *run,
                     GError **error)
{
    uint64_t pages;

    if (size < RUN_BYTES || load_le32(data) >= pieces->len) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "the saved state has pages of a memory that is not there");
    }
    run->piece = &g_array_index(pieces, MemoryPiece, load_le32(data));
    run->page = load_le64(data + 4);
    run->count = load_le32(data + 12);
    run->bytes = data[16] == FORM_BYTES ? run->count * RAM_PAGE_BYTES : 0;
    pages = run->piece->size / RAM_PAGE_BYTES;
    return (run->page <= pages && run->count <= pages - run->page && data[16] <= FORM_BYTES &&
            run->bytes <= size - RUN_BYTES) ||
           error_fail(error, KASO_ERROR_INVALID, "the saved state has pages that '%s' has not",
                      run->piece->region->name);
}

bool ram_fits(const GArray *pieces, const uint8_t *data, size_t size, GError **error)
{
    while (size) {
        Run run;

        if (!read_run(pieces, data, size, &run, error)) {
            return false;
        }
        data += RUN_BYTES + run.bytes;
        size -= RUN_BYTES + run.bytes;
    }
    return true;
}

bool ram_receive(Machine *machine, const GArray *pieces, const uint8_t *data, size_t size,
                 GError **error)
{
    while (size) {
        Run run;
        uint8_t *host;

        if (!read_run(pieces, data, size, &run, error)) {
            return false;
        }
        host = memory_ram_base(machine) + run.piece->ram_offset + run.page * RAM_PAGE_BYTES;
        if (run.bytes) {
            memcpy(host, data + RUN_BYTES, run.bytes);
        } else {
            memset(host, 0, run.count * RAM_PAGE_BYTES);
        }
        data += RUN_BYTES + run.bytes;
        size -= RUN_BYTES + run.bytes;
    }
    return true;
}

void ram_received(Machine *machine)
{
    const GArray *pieces = memory_pieces(machine);

    for (unsigned i = 0; i < pieces->len; i++) {
        const MemoryPiece *piece = &g_array_index(pieces, MemoryPiece, i);

        memory_ram_written(machine, piece->ram_offset, piece->size);
    }
}
