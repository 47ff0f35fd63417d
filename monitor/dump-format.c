/* SPDX-License-Identifier: MIT */
/* How values are shown; see the header. */
#include "monitor/dump-format.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"

bool dump_format_parse(const char *text, DumpFormat *format, GError **error)
{
    const char *c = text ? text : "";
    uint64_t count = 0;

    *format = (DumpFormat){ 1, 'x', 0 };
    if (isdigit((unsigned char)*c)) {
        while (isdigit((unsigned char)*c) && count <= DUMP_COUNT_MAX) {
            count = count * 10 + *c++ - '0';
        }
        format->count = count;
    }
    for (; *c; c++) {
        const char *sizes = "bhwg", *size = strchr(sizes, *c);

        if (strchr("xduocis", *c)) {
            format->letter = *c;
        } else if (size) {
            format->size = 1u << (size - sizes);
        } else {
            return error_fail(error, KASO_ERROR_INVALID,
                              "format '/%s': '%c' is neither a format (x d u o c i s) nor a size "
                              "(b h w g)",
                              text, *c);
        }
    }
    if (format->count > DUMP_COUNT_MAX) {
        return error_fail(error, KASO_ERROR_INVALID, "format '/%s' asks for more than %d elements",
                          text, DUMP_COUNT_MAX);
    }
    if (!format->size) {
        format->size = format->letter == 'c' || format->letter == 's' ? 1 : 4;
    }
    return true;
}

void dump_format_append(GString *out, char format, unsigned size, uint64_t value)
{
    switch (format) {
    case 'd':
        g_string_append_printf(out, " %*" PRId64, (int)(size * 8 * 10 + 32) / 33,
                               bits_sign_extend(value, 8 * size));
        break;
    case 'u':
        g_string_append_printf(out, " %*" PRIu64, (int)(size * 8 * 10 + 32) / 33, value);
        break;
    case 'o':
        g_string_append_printf(out, " %#0*" PRIo64, (int)(size * 8 + 2) / 3 + 1, value);
        break;
    case 'c':
        if (value == '\'' || value == '\\') {
            g_string_append_printf(out, " '\\%c'", (char)value);
        } else if (value < 128 && isprint((int)value)) {
            g_string_append_printf(out, " '%c'", (char)value);
        } else if (value == '\n' || value == '\r' || value == '\t') {
            g_string_append_printf(out, " '\\%c'", value == '\n' ? 'n' : value == '\r' ? 'r' : 't');
        } else {
            g_string_append_printf(out, " '\\x%02x'", (unsigned)(value & 0xff));
        }
        break;
    default:
        g_string_append_printf(out, " 0x%0*" PRIx64, (int)size * 2, value);
    }
}
