/* SPDX-License-Identifier: MIT */
/* Sections of a stream, written and read. */
#include "migration/stream.h"

#include <libdeflate.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"

/* The last bytes show what became of it on a channel that changes ends of lines. */
static const uint8_t magic[16] = "KASO STATE 1\r\n\032";

enum { READ_STEP = 1 << 20 };

static bool put(StreamWriter *writer, const void *data, size_t size, GError **error)
{
    if (!writer->sink.write(writer->sink.opaque, data, size, error)) {
        return false;
    }
    writer->bytes += size;
    return true;
}

bool stream_write_start(StreamWriter *writer, GError **error)
{
    return put(writer, magic, sizeof magic, error);
}

bool stream_write_section(StreamWriter *writer, const char *name, const void *data, size_t size,
                          GError **error)
{
    uint8_t header[STREAM_HEADER_BYTES];

    if (size > STREAM_SECTION_MOST) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "the state of the devices has %zu bytes, more than the %u of a section",
                          size, (unsigned)STREAM_SECTION_MOST);
    }
    if (writer->pages.write && strcmp(name, STREAM_RAM) == 0) {
        return writer->pages.write(writer->pages.opaque, data, size, error);
    }
    memcpy(header, name, STREAM_NAME_BYTES);
    store_le64(header + STREAM_NAME_BYTES, size);
    store_le32(header + STREAM_NAME_BYTES + 8, libdeflate_crc32(0, data, size));
    return put(writer, header, sizeof header, error) && put(writer, data, size, error);
}

bool stream_read_start(StreamReader *reader, GError **error)
{
    uint8_t start[sizeof magic];

    if (!reader->source.read(reader->source.opaque, start, sizeof start, error)) {
        return false;
    }
    if (memcmp(start, "QEVM", 4) == 0) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "this is the state of a machine of QEMU, which Kaso cannot read");
    }
    return memcmp(start, magic, sizeof magic) == 0 ||
           error_fail(error, KASO_ERROR_INVALID, "this is no state of a machine of Kaso");
}

/* Memory is taken as the bytes come: a length alone costs nothing. */
static bool read_content(StreamReader *reader, uint64_t size, GError **error)
{
    g_byte_array_set_size(reader->content, 0);
    while (size) {
        size_t part = MIN(size, READ_STEP);
        guint at = reader->content->len;

        g_byte_array_set_size(reader->content, at + (guint)part);
        if (!reader->source.read(reader->source.opaque, reader->content->data + at, part, error)) {
            return false;
        }
        size -= part;
    }
    return true;
}

bool stream_read_section(StreamReader *reader, GError **error)
{
    uint8_t header[STREAM_HEADER_BYTES];
    uint64_t size;

    if (!reader->source.read(reader->source.opaque, header, sizeof header, error)) {
        return false;
    }
    memcpy(reader->name, header, STREAM_NAME_BYTES);
    reader->name[STREAM_NAME_BYTES] = '\0';
    size = load_le64(header + STREAM_NAME_BYTES);
    for (unsigned i = 0; i < STREAM_NAME_BYTES; i++) {
        if (!g_ascii_isupper(reader->name[i]) && reader->name[i] != ' ') {
            return error_fail(error, KASO_ERROR_INVALID,
                              "the state of the machine is damaged: no section begins where one "
                              "should");
        }
    }
    if (size > STREAM_SECTION_MOST) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "the state of the machine is damaged: its section '%s' has a length of "
                          "%" G_GUINT64_FORMAT " bytes",
                          reader->name, size);
    }
    if (!read_content(reader, size, error)) {
        return false;
    }
    return libdeflate_crc32(0, reader->content->data, reader->content->len) ==
               load_le32(header + STREAM_NAME_BYTES + 8) ||
           error_fail(error, KASO_ERROR_INVALID,
                      "the state of the machine is damaged: the checksum of its section '%s' is "
                      "wrong",
                      reader->name);
}

void stream_add_line(GByteArray *lines, const char *name, const char *format, ...)
{
    g_autofree char *value = NULL, *line = NULL;
    va_list args;

    va_start(args, format);
    value = g_strdup_vprintf(format, args);
    va_end(args);
    line = g_strdup_printf("%s=%s\n", name, value);
    g_byte_array_append(lines, (const guint8 *)line, (guint)strlen(line));
}

char *stream_find_line(const GByteArray *lines, const char *name)
{
    const char *at = (const char *)lines->data, *end = at + lines->len, *stop;
    size_t length = strlen(name);

    for (; at < end; at = stop + 1) {
        stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) {
            return NULL;
        }
        if ((size_t)(stop - at) > length && at[length] == '=' && !memcmp(at, name, length)) {
            return g_strndup(at + length + 1, (size_t)(stop - at) - length - 1);
        }
    }
    return NULL;
}
