/* SPDX-License-Identifier: MIT */
#include "base/hex.h"

#include <glib.h>

size_t hex_decode(const char *text, size_t count, uint8_t *bytes)
{
    size_t done = 0;

    for (; done < count; done++, text += 2) {
        int high = g_ascii_xdigit_value(text[0]);
        int low = high < 0 ? -1 : g_ascii_xdigit_value(text[1]);

        if (low < 0) {
            break;
        }
        bytes[done] = (uint8_t)(high << 4 | low);
    }
    return done;
}
