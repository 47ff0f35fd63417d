/* SPDX-License-Identifier: MIT */
#include "base/port.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"

bool port_check(const char *text, GError **error)
{
    char *end;
    unsigned long long number;

    errno = 0;
    number = strtoull(text, &end, 10);
    if (end == text || *end || (!errno && number <= UINT16_MAX)) {
        return true;
    }
    return error_fail(error, KASO_ERROR_INVALID, "port %s is not one of 0 to %u", text, UINT16_MAX);
}
