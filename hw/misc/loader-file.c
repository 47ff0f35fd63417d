/* SPDX-License-Identifier: MIT */
/*
 * Formats of files that are loaded: ELF (System V ABI, chapter 5), U-Boot's legacy image (include/image.h of U-Boot),
 * Intel HEX (Intel, 1988).
 *
 * Files come from the user: each size and offset is checked against the file before use.
 */
#include "hw/misc/loader-file.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hex.h"

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

/* --- U-Boot's legacy image: a big-endian header of 64 bytes, then the data --- */

enum {
    UIMAGE_MAGIC = 0x27051956,
    UIMAGE_HEADER = 64,
    UIMAGE_HEADER_CRC = 4,
    UIMAGE_SIZE = 12,
    UIMAGE_LOAD = 16,
    UIMAGE_ENTRY = 20,
    UIMAGE_DATA_CRC = 24,
    UIMAGE_TYPE = 30,
    UIMAGE_COMPRESSION = 31,

    UIMAGE_STANDALONE = 1,
    UIMAGE_KERNEL = 2,
    UIMAGE_RAMDISK = 3,
    UIMAGE_FIRMWARE = 5,
    UIMAGE_KERNEL_NOLOAD = 14,
    UIMAGE_PLAIN = 0,
    UIMAGE_GZIP = 1,
};

static uint32_t uimage_word(const Source *s, unsigned offset)
{
    return (uint32_t)elf_number(s->data + offset, 4, true);
}

static bool is_uimage(const Source *s)
{
    return s->size >= UIMAGE_HEADER && uimage_word(s, 0) == UIMAGE_MAGIC;
}

static bool uimage_sums_agree(const Source *s, uint32_t bytes)
{
    uint8_t header[UIMAGE_HEADER];

    memcpy(header, s->data, sizeof header);
    memset(header + UIMAGE_HEADER_CRC, 0, 4);
    return crc32(0, header, sizeof header) == uimage_word(s, UIMAGE_HEADER_CRC) &&
           crc32(0, s->data + UIMAGE_HEADER, bytes) == uimage_word(s, UIMAGE_DATA_CRC);
}

static GBytes *unpack(const Source *s, uint32_t bytes, GError **error)
{
    enum { CHUNK = 65536 };
    GByteArray *out = g_byte_array_new();
    z_stream stream = { .next_in = (Bytef *)s->data + UIMAGE_HEADER, .avail_in = bytes };
    uint8_t chunk[CHUNK];
    int status = inflateInit2(&stream, 15 + 16);

    while (status == Z_OK && out->len <= s->limit) {
        stream.next_out = chunk;
        stream.avail_out = CHUNK;
        status = inflate(&stream, Z_NO_FLUSH);
        g_byte_array_append(out, chunk, CHUNK - stream.avail_out);
    }
    inflateEnd(&stream);
    if (status == Z_STREAM_END && out->len <= s->limit) {
        return g_byte_array_free_to_bytes(out);
    }
    error_fail(error, KASO_ERROR_INVALID, "file '%s' is a uImage whose gzip data %s", s->path,
               out->len > s->limit ? "unpacks to more than the RAM there is" : "is damaged");
    g_byte_array_unref(out);
    return NULL;
}

static bool read_uimage(LoaderFile *file, const Source *s, GError **error)
{
    uint32_t bytes = uimage_word(s, UIMAGE_SIZE);
    unsigned type = s->data[UIMAGE_TYPE], packed = s->data[UIMAGE_COMPRESSION];
    bool placed = type != UIMAGE_RAMDISK && type != UIMAGE_KERNEL_NOLOAD;
    GBytes *content;

    if (type != UIMAGE_STANDALONE && type != UIMAGE_KERNEL && type != UIMAGE_RAMDISK &&
        type != UIMAGE_FIRMWARE && type != UIMAGE_KERNEL_NOLOAD) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "file '%s' is a uImage of type %u; kernels (2, 14), RAM disks (3), "
                          "programs (1) and firmware (5) can be loaded, or force-raw=on",
                          s->path, type);
    }
    if (packed != UIMAGE_PLAIN && packed != UIMAGE_GZIP) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "file '%s' is a uImage with compression %u; only gzip can be unpacked",
                          s->path, packed);
    }
    if (bytes > s->size - UIMAGE_HEADER || !uimage_sums_agree(s, bytes)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "file '%s' is a uImage that is truncated or damaged (its checksums do "
                          "not agree); force-raw=on loads it as it is",
                          s->path);
    }
    content = packed == UIMAGE_GZIP ? unpack(s, bytes, error) : piece(s, UIMAGE_HEADER, bytes);
    if (!content) {
        return false;
    }
    loader_file_add(file, placed ? uimage_word(s, UIMAGE_LOAD) : s->address, content, 0);
    file->entry = uimage_word(s, UIMAGE_ENTRY) + (type == UIMAGE_KERNEL_NOLOAD ? s->address : 0);
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
    if (!raw && is_uimage(s)) {
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
