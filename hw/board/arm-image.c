/* SPDX-License-Identifier: MIT */
/*
 * Kernel image formats: arm64 Image (Linux, Documentation/arch/arm64/booting.rst), gzip (RFC 1952),
 * EFI zboot (Linux, drivers/firmware/efi/libstub/Makefile.zboot) with gzip or zstd, ELF64.
 *
 * Images come from the user: each size and offset is checked against the file before use.
 */
#include "hw/board/arm-image.h"

#include <elf.h>
#include <inttypes.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bits.h"
#include "base/error.h"
#include "hw/board/image-guess.h"
#include "hw/misc/uimage.h"

/* --- containers --- */

static GBytes *gunzip(const char *path, const uint8_t *data, gsize size, uint64_t limit,
                      GError **error)
{
    GByteArray *out = g_byte_array_new();
    z_stream stream = { .next_in = (Bytef *)data, .avail_in = (uInt)size };
    g_autofree uint8_t *chunk = g_malloc(256 * KIB(1));
    int status = inflateInit2(&stream, 15 + 16);

    while (status == Z_OK && out->len <= limit) {
        stream.next_out = chunk;
        stream.avail_out = 256 * KIB(1);
        status = inflate(&stream, Z_NO_FLUSH);
        g_byte_array_append(out, chunk, (guint)(256 * KIB(1) - stream.avail_out));
    }
    inflateEnd(&stream);
    if (status == Z_STREAM_END && out->len <= limit) {
        return g_byte_array_free_to_bytes(out);
    }
    if (out->len > limit) {
        error_fail(error, KASO_ERROR_INVALID,
                   "too little RAM: kernel '%s' unpacks to more than the %" PRIu64 " MiB there are",
                   path, limit >> 20);
    } else if (status == Z_BUF_ERROR) {
        error_fail(error, KASO_ERROR_INVALID,
                   "kernel '%s' is truncated: its gzip data ends after %" G_GSIZE_FORMAT
                   " bytes (unpacked %u)",
                   path, size, out->len);
    } else {
        error_fail(error, KASO_ERROR_INVALID, "kernel '%s' has damaged gzip data (%s)", path,
                   stream.msg ? stream.msg : "unknown error");
    }
    g_byte_array_unref(out);
    return NULL;
}

static GBytes *unzstd(const char *path, const uint8_t *data, gsize size, uint64_t limit,
                      GError **error)
{
    GByteArray *out = g_byte_array_new();
    ZSTD_DStream *stream = ZSTD_createDStream();
    ZSTD_inBuffer in = { data, size, 0 };
    size_t chunk_size = ZSTD_DStreamOutSize(), status;
    g_autofree uint8_t *chunk = g_malloc(chunk_size);
    bool starved;

    do {
        ZSTD_outBuffer to = { chunk, chunk_size, 0 };
        size_t before = in.pos;

        status = ZSTD_decompressStream(stream, &to, &in);
        g_byte_array_append(out, chunk, (guint)to.pos);
        starved = in.pos == before && to.pos == 0;
    } while (status && !ZSTD_isError(status) && !starved && out->len <= limit);
    ZSTD_freeDStream(stream);
    if (status == 0 && out->len <= limit) {
        return g_byte_array_free_to_bytes(out);
    }
    error_fail(error, KASO_ERROR_INVALID, "kernel '%s' %s", path,
               out->len > limit       ? "unpacks to more than the RAM there is"
               : ZSTD_isError(status) ? "has damaged zstd data"
                                      : "is truncated (zstd data)");
    g_byte_array_unref(out);
    return NULL;
}

/* struct linux_efi_zboot_header: "MZ\0\0" "zimg" offset size reserved[2] compression[32]. */
static bool is_zboot(const uint8_t *data, gsize size)
{
    return size >= 56 && memcmp(data, "MZ\0\0zimg", 8) == 0;
}

static GBytes *unpack_zboot(const char *path, const uint8_t *data, gsize size, uint64_t limit,
                            GError **error)
{
    uint32_t offset = load_le32(data + 8), length = load_le32(data + 12);
    const char *compression = (const char *)data + 24;

    if ((uint64_t)offset + length > size) {
        error_fail(error, KASO_ERROR_INVALID,
                   "kernel '%s' is truncated: its EFI zboot header asks for %" PRIu64
                   " bytes, the file has %" G_GSIZE_FORMAT,
                   path, (uint64_t)offset + length, size);
        return NULL;
    }
    if (strncmp(compression, "gzip", 32) == 0) {
        return gunzip(path, data + offset, length, limit, error);
    }
    if (strncmp(compression, "zstd", 32) == 0 || strncmp(compression, "zstd22", 32) == 0) {
        return unzstd(path, data + offset, length, limit, error);
    }
    error_fail(
        error, KASO_ERROR_UNSUPPORTED,
        "kernel '%s' is an EFI zboot image packed with '%.32s'; gzip and zstd can be unpacked",
        path, compression);
    return NULL;
}

GBytes *arm_image_unpack(const char *path, GBytes *file, bool zboot, uint64_t limit, GError **error)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(file, &size);

    if (size >= 2 && data[0] == 0x1f && data[1] == 0x8b) {
        return gunzip(path, data, size, limit, error);
    }
    if (zboot && is_zboot(data, size)) {
        return unpack_zboot(path, data, size, limit, error);
    }
    return g_bytes_ref(file);
}

/* --- formats --- */

static void add_segment(ArmImage *image, uint64_t address, GBytes *whole, uint64_t offset,
                        uint64_t file_bytes, uint64_t memory_bytes)
{
    ArmImageSegment segment = {
        .address = address,
        .content = g_bytes_new_from_bytes(whole, offset, file_bytes),
        .memory_bytes = MAX(memory_bytes, file_bytes),
    };

    g_array_append_val(image->segments, segment);
}

/* An Image with an EFI stub is a PE file, too: its sections tell how long the file must be. */
static uint64_t pe_file_bytes(const uint8_t *data, gsize size)
{
    uint32_t pe = load_le32(data + 0x3c);
    uint64_t needed = 0, table;
    unsigned sections;

    if (data[0] != 'M' || data[1] != 'Z' || (uint64_t)pe + 24 > size ||
        memcmp(data + pe, "PE\0\0", 4) != 0) {
        return 0;
    }
    sections = load_le16(data + pe + 6);
    table = (uint64_t)pe + 24 + load_le16(data + pe + 20);
    for (unsigned i = 0; i < sections && table + (i + 1) * UINT64_C(40) <= size; i++) {
        const uint8_t *section = data + table + i * UINT64_C(40);
        uint64_t end = (uint64_t)load_le32(section + 16) + load_le32(section + 20);

        needed = MAX(needed, end);
    }
    return needed;
}

/* Where things are in struct arm64_image_header. */
enum { TEXT_OFFSET = 8, IMAGE_SIZE = 16, IMAGE_MAGIC = 0x38, IMAGE_HEADER = 64 };

/* Of kernels that do not say it, as Linux before 3.17, from the start of RAM. */
enum { PLAIN_OFFSET = 0x80000 };

static bool is_linux_image(const uint8_t *data, gsize size)
{
    return size >= IMAGE_HEADER && memcmp(data + IMAGE_MAGIC, "ARM\x64", 4) == 0;
}

static bool parse_linux_image(ArmImage *image, const char *path, GBytes *content, uint64_t base,
                              GError **error)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(content, &size);
    uint64_t text_offset = load_le64(data + TEXT_OFFSET), image_size = load_le64(data + IMAGE_SIZE);
    uint64_t needed = pe_file_bytes(data, size);

    if (image_size == 0) {
        text_offset = PLAIN_OFFSET;
    }
    if (needed > size) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "kernel '%s' is truncated: its header asks for %" PRIu64
                          " bytes, there are %" G_GSIZE_FORMAT,
                          path, needed, size);
    }
    if (text_offset >= MIB(2) || image_size > GIB(1) * 4) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "kernel '%s' has a damaged Image header (text_offset %#" PRIx64
                          ", image_size %#" PRIx64 ")",
                          path, text_offset, image_size);
    }
    add_segment(image, base + text_offset, content, 0, size, image_size);
    image->entry = base + text_offset;
    return true;
}

static bool parse_elf(ArmImage *image, const char *path, GBytes *content, GError **error)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(content, &size);
    Elf64_Ehdr header;

    if (size < sizeof header) {
        return error_fail(error, KASO_ERROR_INVALID, "kernel '%s' is a truncated ELF file", path);
    }
    memcpy(&header, data, sizeof header);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_machine != EM_AARCH64 || header.e_phentsize != sizeof(Elf64_Phdr)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "kernel '%s' is not for a 64-bit little-endian ARM: it looks like %s",
                          path, image_guess(data, size));
    }
    image->entry = header.e_entry;
    image->is_elf = true;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        uint64_t at = header.e_phoff + i * sizeof(Elf64_Phdr);
        Elf64_Phdr segment = { 0 };
        bool load;

        if (header.e_phoff <= size && at + sizeof segment <= size) {
            memcpy(&segment, data + at, sizeof segment);
        }
        load = segment.p_type == PT_LOAD && segment.p_memsz != 0;

        if (header.e_phoff > size || at + sizeof segment > size ||
            (load && (segment.p_filesz > size || segment.p_offset > size - segment.p_filesz))) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "kernel '%s' is truncated: ELF program header %u reaches beyond its "
                              "%" G_GSIZE_FORMAT " bytes",
                              path, i, size);
        }
        if (!load) {
            continue;
        }
        add_segment(image, segment.p_paddr, content, segment.p_offset, segment.p_filesz,
                    segment.p_memsz);
        /* The entry is a virtual address; the MMU is off. */
        if (header.e_entry >= segment.p_vaddr &&
            header.e_entry - segment.p_vaddr < segment.p_memsz) {
            image->entry = header.e_entry - segment.p_vaddr + segment.p_paddr;
        }
    }
    if (image->segments->len == 0) {
        return error_fail(error, KASO_ERROR_INVALID, "kernel '%s' has no ELF segment to load",
                          path);
    }
    return true;
}

/* A kernel that says no address goes where plain binaries go. */
static bool parse_uimage(ArmImage *image, const char *path, GBytes *file, uint64_t base,
                         uint64_t limit, GError **error)
{
    UImage uimage;
    uint64_t start, memory_bytes = 0;
    gsize size;
    const uint8_t *data;

    if (!uimage_read(&uimage, "kernel", path, file, limit, error)) {
        return false;
    }
    data = g_bytes_get_data(uimage.content, &size);
    start = uimage.placed ? uimage.load : base + PLAIN_OFFSET;
    if (is_linux_image(data, size)) {
        image->is_linux = true;
        memory_bytes = load_le64(data + IMAGE_SIZE);
    }
    add_segment(image, start, uimage.content, 0, size, memory_bytes);
    image->entry = uimage.placed ? uimage.entry : start;
    g_bytes_unref(uimage.content);
    return true;
}

static void clear_segment(void *segment)
{
    g_bytes_unref(((ArmImageSegment *)segment)->content);
}

bool arm_image_parse(ArmImage *image, const char *path, GBytes *content, uint64_t base,
                     uint64_t limit, GError **error)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(content, &size);

    image->segments = g_array_new(false, true, sizeof(ArmImageSegment));
    g_array_set_clear_func(image->segments, clear_segment);
    if (is_linux_image(data, size)) {
        image->is_linux = true;
        return parse_linux_image(image, path, content, base, error);
    }
    if (size >= SELFMAG && memcmp(data, ELFMAG, SELFMAG) == 0) {
        return parse_elf(image, path, content, error);
    }
    if (uimage_is(data, size)) {
        return parse_uimage(image, path, content, base, limit, error);
    }
    if (image_guess(data, size)) {
        g_printerr(
            "kaso: warning: kernel '%s' looks like %s; it is started as code for this machine\n",
            path, image_guess(data, size));
    }
    add_segment(image, base + PLAIN_OFFSET, content, 0, size, 0);
    image->entry = base + PLAIN_OFFSET;
    return true;
}

void arm_image_clear(ArmImage *image)
{
    g_clear_pointer(&image->segments, g_array_unref);
}
