/* SPDX-License-Identifier: MIT */
/* The error domain and "did you mean" suggestions. */
#include "base/error.h"

#include <stdarg.h>
#include <string.h>

GQuark kaso_error_quark(void)
{
    return g_quark_from_static_string("kaso-error");
}

bool error_fail(GError **error, KasoErrorCode code, const char *format, ...)
{
    va_list arguments;

    if (error) {
        va_start(arguments, format);
        g_propagate_error(error, g_error_new_valist(KASO_ERROR, code, format, arguments));
        va_end(arguments);
    }
    return false;
}

bool error_fail_errno(GError **error, int errno_value, const char *format, ...)
{
    va_list arguments;

    if (error) {
        char *text;

        va_start(arguments, format);
        text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_set_error(error, KASO_ERROR, KASO_ERROR_IO, "%s: %s", text, g_strerror(errno_value));
        g_free(text);
    }
    return false;
}

enum { NAME_MAX_LENGTH = 63 }; /* longer names get no suggestion */

/* Edits (insert, delete, replace, swap of neighbours) that turn a into b, ignoring case. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned rows[3][NAME_MAX_LENGTH + 2];
    size_t a_length = strlen(a), b_length = strlen(b);
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b_length; j++) {
        before[j] = 0;
        last[j] = j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        unsigned *recycled = before;

        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            char ca = g_ascii_tolower(a[i - 1]), cb = g_ascii_tolower(b[j - 1]);
            unsigned cost = MIN(MIN(row[j - 1], last[j]) + 1, last[j - 1] + (ca != cb));

            if (i > 1 && j > 1 && ca == g_ascii_tolower(b[j - 2]) &&
                cb == g_ascii_tolower(a[i - 2])) {
                cost = MIN(cost, before[j - 2] + 1);
            }
            row[j] = cost;
        }
        before = last;
        last = row;
        row = recycled;
    }
    return last[b_length];
}

static size_t common_prefix(const char *a, const char *b)
{
    size_t length = 0;

    while (a[length] && g_ascii_tolower(a[length]) == g_ascii_tolower(b[length])) {
        length++;
    }
    return length;
}

const char *error_nearest(const char *name, const char *const *candidates)
{
    size_t length = strlen(name);
    unsigned best = length / 3 + 2; /* what is farther is no likely slip */
    size_t best_prefix = 0;
    const char *nearest = NULL;

    if (length > NAME_MAX_LENGTH) {
        return NULL;
    }
    for (; *candidates; candidates++) {
        unsigned distance;
        size_t prefix;
        bool equal;

        if (strlen(*candidates) > NAME_MAX_LENGTH) {
            continue;
        }
        distance = edit_distance(name, *candidates);
        /* A name that the user only began to type. */
        if (length >= 3 && g_ascii_strncasecmp(name, *candidates, length) == 0) {
            distance = MIN(distance, 1);
        }
        /* Among equals, the one that begins alike for longer, then the shorter. */
        prefix = common_prefix(name, *candidates);
        equal = nearest && distance == best;
        if ((distance < best || (equal && prefix > best_prefix) ||
             (equal && prefix == best_prefix && strlen(*candidates) < strlen(nearest))) &&
            distance < strlen(*candidates)) {
            best = distance;
            best_prefix = prefix;
            nearest = *candidates;
        }
    }
    return nearest;
}
