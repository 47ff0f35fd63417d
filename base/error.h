/* SPDX-License-Identifier: MIT */
/*
 * Errors of host and user: a GError in one domain. A message says what failed, with which value,
 * and what to do about it. Only main and the monitor print errors; everyone else passes them up.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <glib.h>
#include <stdbool.h>

#define KASO_ERROR kaso_error_quark()
GQuark kaso_error_quark(void);

typedef enum {
    KASO_ERROR_GENERIC,     /* QMP class GenericError */
    KASO_ERROR_INVALID,     /* a value is out of range or does not parse */
    KASO_ERROR_NOT_FOUND,   /* unknown name of anything */
    KASO_ERROR_NO_DEVICE,   /* QMP class DeviceNotFound: what clients test for */
    KASO_ERROR_NOT_ACTIVE,  /* QMP DeviceNotActive: no such job */
    KASO_ERROR_UNSUPPORTED, /* known, but not built yet: a plain "not yet" */
    KASO_ERROR_IO,          /* the host refused; the message holds strerror */
} KasoErrorCode;

/* Sets *error (when not NULL) and returns false, so that `return error_fail(error, …);` reads well. */
bool error_fail(GError **error, KasoErrorCode code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_fail, with ": strerror(errno_value)" appended. */
bool error_fail_errno(GError **error, int errno_value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * The candidate nearest to `name` by edit distance, or NULL when none is near enough to suggest.
 * candidates: NULL-terminated. For "did you mean" messages.
 */
const char *error_nearest(const char *name, const char *const *candidates);

#endif
