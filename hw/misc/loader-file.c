/* SPDX-License-Identifier: MIT */
/*
 * Formats of files that are loaded: ELF (System V ABI, chapter 5), Intel HEX (Intel, 1988); uImages are read by uimage.c.
 *
 * Files come from the user: each size and offset is checked against the file before use.
 */
#include "hw/misc/loader-file.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hex.h"
#include "hw/misc/uimage.h"

typedef struct {
    const char *path;
    GBytes *whole;
    const uint8_t *data;
    uint64_t size;
    uint64_t address, limit;
} Source;

static void clear_part(void *part)
{
    g_bytes_unref(((LoaderPart *)part)->content);
}

void loader_file_add(LoaderFile *file, uint64_t address, GBytes *content, uint64_t memory_bytes)
{
    LoaderPart part = { address, content, MAX(memory_bytes, g_bytes_get_size(content)) };

    if (!file->parts) {
        file->parts = g_array_new(false, false, sizeof part);
        g_array_set_clear_func(file->parts, clear_part);
    }
    g_array_append_val(file->parts, part);
}

void loader_file_clear(LoaderFile *file)
{
    g_clear_pointer(&file->parts, g_array_unref);
}

static GBytes *piece(const Source *s, uint64_t offset, uint64_t bytes)
{
    return g_bytes_new_from_bytes(s->whole, offset, bytes);
}

/* --- ELF --- */

/* Fields of both widths and byte orders. */
typedef struct {
    bool wide, big;
} ElfKind;

static uint64_t elf_number(const uint8_t *at, unsigned bytes, bool big)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)at[big ? bytes - 1 - i : i] << (8 * i);
    }
    return value;
}

#define ELF_FIELD(kind, at, Type, field)                                                           \
    ((kind).wide ? elf_number((at) + offsetof(Elf64_##Type, field),                                \
                              sizeof(((Elf64_##Type *)0)->field), (kind).big)                      \
                 : elf_number((at) + offsetof(Elf32_##Type, field),                                \
                              sizeof(((Elf32_##Type *)0)->field), (kind).big))

static bool is_elf(const Source *s)
{
    return s->size >= EI_NIDENT && memcmp(s->data, ELFMAG, SELFMAG) == 0;
}

static bool truncated(const Source *s, GError **error)
{
    return error_fail(error, KASO_ERROR_INVALID,
                      "file '%s' is truncated: its ELF headers name more than its %" PRIu64
                      " bytes; force-raw=on loads it as it is",
                      s->path, s->size);
}

static bool add_segment(LoaderFile *file, const Source *s, ElfKind kind, const uint8_t *header,
                        GError **error)
{
    uint64_t offset = ELF_FIELD(kind, header, Phdr, p_offset);
    uint64_t in_file = ELF_FIELD(kind, header, Phdr, p_filesz);
    uint64_t in_memory = ELF_FIELD(kind, header, Phdr, p_memsz);
    uint64_t virt = ELF_FIELD(kind, header, Phdr, p_vaddr);
    uint64_t phys = ELF_FIELD(kind, header, Phdr, p_paddr);
    uint64_t entry = ELF_FIELD(kind, s->data, Ehdr, e_entry);

    if (ELF_FIELD(kind, header, Phdr, p_type) != PT_LOAD || !in_memory) {
        return true;
    }
    if (in_file > s->size || offset > s->size - in_file) {
        return truncated(s, error);
    }
    loader_file_add(file, phys, piece(s, offset, in_file), in_memory);
    /* The entry is a virtual address; paging is off. */
    if (entry >= virt && entry - virt < in_memory) {
        file->entry = entry - virt + phys;
    }
    return true;
}

static bool read_elf(LoaderFile *file, const Source *s, GError **error)
{
    ElfKind kind = { s->data[EI_CLASS] == ELFCLASS64, s->data[EI_DATA] == ELFDATA2MSB };
    uint64_t header_bytes = kind.wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
    uint64_t entry_bytes = kind.wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr), table, count;

    if (s->size < header_bytes) {
        return truncated(s, error);
    }
    file->entry = ELF_FIELD(kind, s->data, Ehdr, e_entry);
    table = ELF_FIELD(kind, s->data, Ehdr, e_phoff);
    count = ELF_FIELD(kind, s->data, Ehdr, e_phnum);
    if (count && (ELF_FIELD(kind, s->data, Ehdr, e_phentsize) != entry_bytes || table > s->size ||
                  count * entry_bytes > s->size - table)) {
        return truncated(s, error);
    }
    for (uint64_t i = 0; i < count; i++) {
        if (!add_segment(file, s, kind, s->data + table + i * entry_bytes, error)) {
            return false;
        }
    }
    return file->parts ||
           error_fail(error, KASO_ERROR_INVALID,
                      "file '%s' is an ELF file without anything to load (an object file?)",
                      s->path);
}

static bool read_uimage(LoaderFile *file, const Source *s, GError **error)
{
    UImage image;

    if (!uimage_read(&image, "file", s->path, s->whole, s->limit, error)) {
        g_prefix_error(error, "with force-raw=on it is loaded as it is: ");
        return false;
    }
    loader_file_add(file, image.placed ? image.load : s->address, image.content, 0);
    file->entry = image.entry + (image.placed ? 0 : s->address);
    return true;
}

/* --- Intel HEX: lines ":LLAAAATT data CC" --- */

enum {
    HEX_DATA = 0,
    HEX_END = 1,
    HEX_SEGMENT = 2,
    HEX_SEGMENT_ENTRY = 3,
    HEX_LINEAR = 4,
    HEX_LINEAR_ENTRY = 5,
    HEX_FRAME = 5, /* length, address, type and checksum */
    HEX_MOST = 255 + HEX_FRAME,
};

typedef struct {
    uint64_t base, next; /* next: where the bytes that are gathered end */
    GByteArray *gathered;
} HexState;

/* The next line's bytes; 0: it is none. */
static unsigned hex_line(const char **at, const char *end, uint8_t line[HEX_MOST])
{
    unsigned count = 0, sum = 0;
    const char *p = *at;

    if (p == end || *p++ != ':') {
        return 0;
    }
    count = (unsigned)hex_decode(p, MIN((size_t)(end - p) / 2, HEX_MOST), line);
    p += 2 * count;
    for (unsigned i = 0; i < count; i++) {
        sum += line[i];
    }
    while (p < end && g_ascii_isspace(*p)) {
        p++;
    }
    *at = p;
    return count >= HEX_FRAME && count == line[0] + (unsigned)HEX_FRAME && !(sum & 0xff) ? count
                                                                                         : 0;
}

static void hex_flush(LoaderFile *file, HexState *state)
{
    uint64_t bytes = state->gathered->len;

    if (bytes) {
        loader_file_add(file, state->next - bytes, g_byte_array_free_to_bytes(state->gathered), 0);
        state->gathered = g_byte_array_new();
    }
}

static void hex_data(LoaderFile *file, HexState *state, uint64_t address, const uint8_t *data,
                     unsigned bytes)
{
    if (address != state->next) {
        hex_flush(file, state);
    }
    g_byte_array_append(state->gathered, data, bytes);
    state->next = address + bytes;
}

/* False: there is no such record. */
static bool hex_record(LoaderFile *file, HexState *state, const uint8_t *line)
{
    unsigned bytes = line[0], type = line[3];
    uint32_t value = (uint32_t)elf_number(line + 4, MIN(bytes, 4), true);

    switch (type) {
    case HEX_DATA:
        hex_data(file, state, state->base + elf_number(line + 1, 2, true), line + 4, bytes);
        return true;
    case HEX_END:
        return bytes == 0;
    case HEX_SEGMENT:
        state->base = (uint64_t)value << 4;
        return bytes == 2;
    case HEX_LINEAR:
        state->base = (uint64_t)value << 16;
        return bytes == 2;
    case HEX_SEGMENT_ENTRY:
        file->entry = ((value >> 16) << 4) + (value & 0xffff);
        return bytes == 4;
    case HEX_LINEAR_ENTRY:
        file->entry = value;
        return bytes == 4;
    default:
        return false;
    }
}

/* False: the file is not of this format. */
static bool read_hex(LoaderFile *file, const Source *s)
{
    const char *at = (const char *)s->data, *end = at + s->size;
    HexState state = { .gathered = g_byte_array_new() };
    uint8_t line[HEX_MOST];
    bool good = true, ended = false;

    while (good && !ended) {
        good = hex_line(&at, end, line) && hex_record(file, &state, line);
        ended = good && line[3] == HEX_END;
    }
    hex_flush(file, &state);
    g_byte_array_unref(state.gathered);
    return ended;
}

/* --- */

static bool parse(LoaderFile *file, const Source *s, bool raw, GError **error)
{
    if (!raw && is_elf(s)) {
        return read_elf(file, s, error);
    }
    if (!raw && uimage_is(s->data, s->size)) {
        return read_uimage(file, s, error);
    }
    if (!raw && read_hex(file, s)) {
        return true;
    }
    loader_file_clear(file);
    loader_file_add(file, s->address, g_bytes_ref(s->whole), 0);
    file->entry = s->address;
    return true;
}

bool loader_file_read(LoaderFile *file, const char *path, uint64_t address, bool raw,
                      uint64_t limit, GError **error)
{
    Source s = {
        .path = path,
        .address = address,
        .limit = limit,
        .whole = file_map(path, MAX(limit, INT32_MAX), error),
    };
    gsize size;
    bool ok;

    if (!s.whole) {
        g_prefix_error(error, "file=%s: ", path);
        return false;
    }
    s.data = g_bytes_get_data(s.whole, &size);
    s.size = size;
    *file = (LoaderFile){ 0 };
    ok = size ? parse(file, &s, raw, error)
              : error_fail(error, KASO_ERROR_INVALID, "file '%s' is empty", path);
    g_bytes_unref(s.whole);
    if (!ok) {
        loader_file_clear(file);
    }
    return ok;
}
