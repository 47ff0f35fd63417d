/* SPDX-License-Identifier: MIT */
/* The AML writer (ACPI 6.5, chapter 20: encoding; 6.4: resource descriptors). */
#include "hw/acpi/aml.h"

#include <string.h>

#include "base/bits.h"

enum {
    OP_NAME = 0x08,
    OP_BYTE = 0x0a,
    OP_WORD = 0x0b,
    OP_DWORD = 0x0c,
    OP_STRING = 0x0d,
    OP_QWORD = 0x0e,
    OP_SCOPE = 0x10,
    OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12,
    OP_METHOD = 0x14,
    OP_DUAL_NAME = 0x2e,
    OP_MULTI_NAME = 0x2f,
    OP_EXTENDED = 0x5b,
    OP_CREATE_DWORD_FIELD = 0x8a,
    OP_IF = 0xa0,
    OP_ELSE = 0xa1,
    OP_WHILE = 0xa2,
    /* After OP_EXTENDED. */
    EXT_MUTEX = 0x01,
    EXT_ACQUIRE = 0x23,
    EXT_RELEASE = 0x27,
    EXT_REGION = 0x80,
    EXT_FIELD = 0x81,
    EXT_DEVICE = 0x82,
    NO_TIMEOUT = 0xffff,
    SEGMENT_BYTES = 4,
};

static void put8(GByteArray *out, unsigned value)
{
    uint8_t byte = (uint8_t)value;

    g_byte_array_append(out, &byte, 1);
}

static void put_le(GByteArray *out, uint64_t value, unsigned bytes)
{
    uint8_t data[8];

    store_le64(data, value);
    g_byte_array_append(out, data, bytes);
}

void aml_op(GByteArray *out, AmlOp op)
{
    put8(out, op);
}

/* Names and literals. */

/* A name of fewer than four characters is filled up with underscores. */
static void put_segment(GByteArray *out, const char *text, size_t length)
{
    char segment[SEGMENT_BYTES] = { '_', '_', '_', '_' };

    g_assert(length >= 1 && length <= SEGMENT_BYTES);
    memcpy(segment, text, length);
    g_byte_array_append(out, (const uint8_t *)segment, SEGMENT_BYTES);
}

void aml_path(GByteArray *out, const char *path)
{
    unsigned segments = 1;

    while (*path == '\\' || *path == '^') {
        put8(out, (unsigned char)*path++);
    }
    if (!*path) {
        put8(out, 0); /* the root itself */
        return;
    }
    for (const char *p = path; *p; p++) {
        segments += *p == '.';
    }
    if (segments == 2) {
        put8(out, OP_DUAL_NAME);
    } else if (segments > 2) {
        put8(out, OP_MULTI_NAME);
        put8(out, segments);
    }
    while (*path) {
        size_t length = strcspn(path, ".");

        put_segment(out, path, length);
        path += length + (path[length] == '.');
    }
}

void aml_integer(GByteArray *out, uint64_t value)
{
    if (value <= 1) {
        put8(out, (unsigned)value);
    } else if (value <= UINT8_MAX) {
        put8(out, OP_BYTE);
        put_le(out, value, 1);
    } else if (value <= UINT16_MAX) {
        put8(out, OP_WORD);
        put_le(out, value, 2);
    } else if (value <= UINT32_MAX) {
        put8(out, OP_DWORD);
        put_le(out, value, 4);
    } else {
        put8(out, OP_QWORD);
        put_le(out, value, 8);
    }
}

size_t aml_dword(GByteArray *out, uint32_t value)
{
    put8(out, OP_DWORD);
    put_le(out, value, 4);
    return out->len - 4;
}

void aml_string(GByteArray *out, const char *text)
{
    put8(out, OP_STRING);
    g_byte_array_append(out, (const uint8_t *)text, (unsigned)strlen(text) + 1);
}

/* Letters have five bits each, and the number is big-endian (ACPI 6.5, 19.6.36). */
void aml_eisa_id(GByteArray *out, const char *id)
{
    uint32_t value;

    g_assert(strlen(id) == 7);
    value = (uint32_t)(id[0] - '@') << 26 | (uint32_t)(id[1] - '@') << 21 |
            (uint32_t)(id[2] - '@') << 16 | (uint32_t)g_ascii_strtoull(id + 3, NULL, 16);
    put8(out, OP_DWORD);
    put_le(out, GUINT32_SWAP_LE_BE(value), 4);
}

/* Blocks. */

/*
 * The length is put in at the end, when it is known: it counts itself, in one byte up to 63, else with four bits in the
 * first byte.
 */
void aml_end(GByteArray *out, size_t block)
{
    size_t content = out->len - block, length, bytes = 1;
    uint8_t encoded[4];

    if (content + 1 > 0x3f) {
        bytes = content + 2 < 1 << 12 ? 2 : content + 3 < 1 << 20 ? 3 : 4;
    }
    length = content + bytes;
    encoded[0] = bytes == 1 ? (uint8_t)length : (uint8_t)((bytes - 1) << 6 | (length & 15));
    for (size_t i = 1; i < bytes; i++) {
        encoded[i] = (uint8_t)(length >> (4 + 8 * (i - 1)));
    }
    g_byte_array_set_size(out, out->len + (unsigned)bytes);
    memmove(out->data + block + bytes, out->data + block, content);
    memcpy(out->data + block, encoded, bytes);
}

static size_t begin(GByteArray *out, unsigned op)
{
    put8(out, op);
    return out->len;
}

static size_t begin_extended(GByteArray *out, unsigned op)
{
    put8(out, OP_EXTENDED);
    return begin(out, op);
}

size_t aml_scope(GByteArray *out, const char *path)
{
    size_t block = begin(out, OP_SCOPE);

    aml_path(out, path);
    return block;
}

size_t aml_device(GByteArray *out, const char *name)
{
    size_t block = begin_extended(out, EXT_DEVICE);

    aml_path(out, name);
    return block;
}

size_t aml_method(GByteArray *out, const char *name, unsigned arguments, bool serialized)
{
    size_t block = begin(out, OP_METHOD);

    aml_path(out, name);
    put8(out, arguments | (unsigned)serialized << 3);
    return block;
}

size_t aml_package(GByteArray *out, unsigned count)
{
    size_t block = begin(out, OP_PACKAGE);

    put8(out, count);
    return block;
}

size_t aml_if(GByteArray *out)
{
    return begin(out, OP_IF);
}

size_t aml_else(GByteArray *out)
{
    return begin(out, OP_ELSE);
}

size_t aml_while(GByteArray *out)
{
    return begin(out, OP_WHILE);
}

void aml_buffer(GByteArray *out, const void *data, size_t size)
{
    size_t block = begin(out, OP_BUFFER);

    aml_integer(out, size);
    g_byte_array_append(out, data, (unsigned)size);
    aml_end(out, block);
}

void aml_name(GByteArray *out, const char *path)
{
    put8(out, OP_NAME);
    aml_path(out, path);
}

void aml_name_integer(GByteArray *out, const char *path, uint64_t value)
{
    aml_name(out, path);
    aml_integer(out, value);
}

void aml_name_string(GByteArray *out, const char *path, const char *text)
{
    aml_name(out, path);
    aml_string(out, text);
}

/* Regions, fields, mutexes. */

void aml_region(GByteArray *out, const char *name, AmlSpace space, uint64_t offset, uint64_t length)
{
    put8(out, OP_EXTENDED);
    put8(out, EXT_REGION);
    aml_path(out, name);
    put8(out, space);
    aml_integer(out, offset);
    aml_integer(out, length);
}

size_t aml_field(GByteArray *out, const char *region, unsigned access, bool preserve)
{
    static const uint8_t codes[] = { [0] = 0, [1] = 1, [2] = 2, [4] = 3, [8] = 4 };
    size_t block = begin_extended(out, EXT_FIELD);

    aml_path(out, region);
    put8(out, codes[access] | (preserve ? 0 : 2u << 5));
    return block;
}

/* In a list of fields, lengths are encoded as those of blocks, but count bits, not themselves. */
static void put_bits(GByteArray *out, unsigned bits)
{
    if (bits <= 0x3f) {
        put8(out, bits);
    } else {
        g_assert(bits < 1 << 12);
        put8(out, 1 << 6 | (bits & 15));
        put8(out, bits >> 4);
    }
}

void aml_field_unit(GByteArray *out, const char *name, unsigned bits)
{
    put_segment(out, name, strlen(name));
    put_bits(out, bits);
}

void aml_field_skip(GByteArray *out, unsigned bits)
{
    put8(out, 0);
    put_bits(out, bits);
}

void aml_create_dword_field(GByteArray *out, AmlOp source, const char *path, unsigned offset,
                            const char *name)
{
    put8(out, OP_CREATE_DWORD_FIELD);
    if (path) {
        aml_path(out, path);
    } else {
        aml_op(out, source);
    }
    aml_integer(out, offset);
    aml_path(out, name);
}

void aml_mutex(GByteArray *out, const char *name)
{
    put8(out, OP_EXTENDED);
    put8(out, EXT_MUTEX);
    aml_path(out, name);
    put8(out, 0); /* SyncLevel */
}

void aml_acquire(GByteArray *out, const char *name)
{
    put8(out, OP_EXTENDED);
    put8(out, EXT_ACQUIRE);
    aml_path(out, name);
    put_le(out, NO_TIMEOUT, 2);
}

void aml_release(GByteArray *out, const char *name)
{
    put8(out, OP_EXTENDED);
    put8(out, EXT_RELEASE);
    aml_path(out, name);
}

/* Resources. */

enum {
    RESOURCE_IRQ = 0x22, /* without flags: edge, active high, exclusive */
    RESOURCE_DMA = 0x2a,
    RESOURCE_IO = 0x47,
    RESOURCE_END = 0x79, /* and a checksum, which may be 0 */
    RESOURCE_MEMORY32_FIXED = 0x86,
    RESOURCE_DWORD = 0x87,
    RESOURCE_WORD = 0x88,
    RESOURCE_INTERRUPTS = 0x89,
    RESOURCE_QWORD = 0x8a,
    IO_DECODES_16 = 1,
    INTERRUPT_CONSUMER_SHARED_LEVEL = 1 | 8,
    WINDOW_MEMORY = 0,
    WINDOW_IO = 1,
    WINDOW_BUS = 2,
    WINDOW_FIXED = 0x0c, /* minimum and maximum; decodes positively */
    IO_ENTIRE = 3,
    MEMORY_WRITABLE = 1,
    MEMORY_CACHEABLE = 1 << 1,
};

void aml_io(GByteArray *resources, uint16_t first, uint16_t last, uint8_t align, uint8_t length)
{
    put8(resources, RESOURCE_IO);
    put8(resources, IO_DECODES_16);
    put_le(resources, first, 2);
    put_le(resources, last, 2);
    put8(resources, align);
    put8(resources, length);
}

void aml_irq(GByteArray *resources, unsigned irq)
{
    put8(resources, RESOURCE_IRQ);
    put_le(resources, UINT64_C(1) << irq, 2);
}

void aml_dma(GByteArray *resources, unsigned channel)
{
    put8(resources, RESOURCE_DMA);
    put8(resources, 1u << channel);
    put8(resources, 0); /* compatibility mode, 8 bits, no bus master */
}

void aml_memory32_fixed(GByteArray *resources, uint32_t address, uint32_t size, bool writable)
{
    put8(resources, RESOURCE_MEMORY32_FIXED);
    put_le(resources, 9, 2);
    put8(resources, writable);
    put_le(resources, address, 4);
    put_le(resources, size, 4);
}

void aml_interrupts(GByteArray *resources, const uint32_t *irqs, unsigned count)
{
    put8(resources, RESOURCE_INTERRUPTS);
    put_le(resources, 2 + 4 * (uint64_t)count, 2);
    put8(resources, INTERRUPT_CONSUMER_SHARED_LEVEL);
    put8(resources, count);
    for (unsigned i = 0; i < count; i++) {
        put_le(resources, irqs[i], 4);
    }
}

/* Address space descriptors: granularity, minimum, maximum, translation, length. */
static void window(GByteArray *resources, unsigned tag, unsigned bytes, unsigned type,
                   unsigned type_flags, uint64_t first, uint64_t last)
{
    put8(resources, tag);
    put_le(resources, 3 + 5 * (uint64_t)bytes, 2);
    put8(resources, type);
    put8(resources, WINDOW_FIXED);
    put8(resources, type_flags);
    put_le(resources, 0, bytes);
    put_le(resources, first, bytes);
    put_le(resources, last, bytes);
    put_le(resources, 0, bytes);
    put_le(resources, last - first + 1, bytes);
}

void aml_bus_range(GByteArray *resources, uint16_t first, uint16_t last)
{
    window(resources, RESOURCE_WORD, 2, WINDOW_BUS, 0, first, last);
}

void aml_io_window(GByteArray *resources, uint16_t first, uint16_t last)
{
    window(resources, RESOURCE_WORD, 2, WINDOW_IO, IO_ENTIRE, first, last);
}

void aml_memory_window(GByteArray *resources, uint32_t first, uint32_t last, bool cacheable)
{
    window(resources, RESOURCE_DWORD, 4, WINDOW_MEMORY,
           MEMORY_WRITABLE | (cacheable ? MEMORY_CACHEABLE : 0), first, last);
}

void aml_memory_window64(GByteArray *resources, uint64_t first, uint64_t last)
{
    window(resources, RESOURCE_QWORD, 8, WINDOW_MEMORY, MEMORY_WRITABLE | MEMORY_CACHEABLE, first,
           last);
}

void aml_resources(GByteArray *out, GByteArray *resources)
{
    put8(resources, RESOURCE_END);
    put8(resources, 0);
    aml_buffer(out, resources->data, resources->len);
    g_byte_array_unref(resources);
}
