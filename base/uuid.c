/* SPDX-License-Identifier: MIT */
#include "base/uuid.h"

#include <glib.h>

#include "base/bits.h"

bool uuid_parse(const char *text, uint8_t uuid[UUID_BYTES])
{
    unsigned count = 0;

    if (!g_uuid_string_is_valid(text)) {
        return false;
    }
    for (; *text; text++) {
        if (*text != '-') {
            uuid[count++] =
                (uint8_t)(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));
            text++;
        }
    }
    return true;
}

void uuid_swap(uint8_t uuid[UUID_BYTES])
{
    store_le32(uuid, load_be32(uuid));
    store_le16(uuid + 4, load_be16(uuid + 4));
    store_le16(uuid + 6, load_be16(uuid + 6));
}
