/* SPDX-License-Identifier: MIT */
/* What bits of a register are called; see the header. */
#include "machine/register-field.h"

#include <inttypes.h>

#include "base/bits.h"

void register_fields_describe(const RegisterField *fields, uint64_t value, GString *out)
{
    enum { ADDRESS_BITS = 33 };
    const char *between = "";

    for (; fields->name; fields++) {
        unsigned width = fields->high - fields->low + 1;
        uint64_t part = bits_extract(value, fields->low, width);

        value &= ~(bits_mask(width) << fields->low);
        if (part && width == 1) {
            g_string_append_printf(out, "%s%s", between, fields->name);
        } else if (part) {
            part <<= width >= ADDRESS_BITS ? fields->low : 0;
            g_string_append_printf(out, part < 10 ? "%s%s=%" PRIu64 : "%s%s=%#" PRIx64, between,
                                   fields->name, part);
        }
        between = part ? "|" : between;
    }
    if (value || !*between) {
        g_string_append_printf(out, value ? "%s%#" PRIx64 : "%s%" PRIx64, between, value);
    }
}
