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

    *format = (DumpFormat){ 1, 0, 0 };
    if (isdigit((unsigned char)*c)) {
        while (isdigit((unsigned char)*c)) {
            count = count * 10 + *c++ - '0';
            count = MIN(count, DUMP_COUNT_MAX + 1);
        }
        format->count = count;
    }
    for (; *c; c++) {
        const char *sizes = "bhwg", *size = strchr(sizes, *c);

        if (strchr("xduotacis", *c)) {
            format->letter = *c;
        } else if (size) {
            format->size = 1u << (size - sizes);
        } else {
            return error_fail(
                error, KASO_ERROR_INVALID,
                "format '/%s': '%c' is neither a format (x d u o t a c i s) nor a size "
                "(b h w g)",
                text, *c);
        }
    }
    if (format->count > DUMP_COUNT_MAX) {
        return error_fail(error, KASO_ERROR_INVALID, "format '/%s' asks for more than %d elements",
                          text, DUMP_COUNT_MAX);
    }
    return true;
}

static void append_character(GString *out, uint64_t value)
{
    if (value == '\'' || value == '\\') {
        g_string_append_printf(out, "'\\%c'", (char)value);
    } else if (value < 128 && isprint((int)value)) {
        g_string_append_printf(out, "'%c'", (char)value);
    } else if (value == '\n' || value == '\r' || value == '\t') {
        g_string_append_printf(out, "'\\%c'", value == '\n' ? 'n' : value == '\r' ? 'r' : 't');
    } else {
        g_string_append_printf(out, "'\\x%02x'", (unsigned)(value & 0xff));
    }
}

static void append_binary(GString *out, uint64_t value, unsigned digits)
{
    for (unsigned i = MAX(digits, 1); i-- > 0;) {
        g_string_append_c(out, value >> i & 1 ? '1' : '0');
    }
}

void dump_format_append(GString *out, char format, unsigned size, uint64_t value)
{
    int width = (int)(size * 8 * 10 + 32) / 33;

    g_string_append_c(out, ' ');
    switch (format) {
    case 'd':
        g_string_append_printf(out, "%*" PRId64, width, bits_sign_extend(value, 8 * size));
        break;
    case 'u':
        g_string_append_printf(out, "%*" PRIu64, width, value);
        break;
    case 'o':
        g_string_append_printf(out, "%#0*" PRIo64, (int)(size * 8 + 2) / 3 + 1, value);
        break;
    case 't':
        append_binary(out, value, 8 * size);
        break;
    case 'c':
        append_character(out, value);
        break;
    default:
        g_string_append_printf(out, "0x%0*" PRIx64, (int)size * 2, value);
    }
}

void dump_format_value(GString *out, char format, unsigned bits, uint64_t value)
{
    switch (format) {
    case 'd':
        g_string_append_printf(out, "%" PRId64, bits_sign_extend(value, bits));
        break;
    case 'u':
        g_string_append_printf(out, "%" PRIu64, value);
        break;
    case 'o':
        g_string_append_printf(out, "%#" PRIo64, value);
        break;
    case 't':
        append_binary(out, value, value ? 64 - (unsigned)__builtin_clzll(value) : 1);
        break;
    case 'c':
        append_character(out, value & 0xff);
        break;
    default:
        g_string_append_printf(out, "0x%" PRIx64, value);
    }
}
