/* SPDX-License-Identifier: MIT */
#ifndef TESTS_PATIENCE_H
#define TESTS_PATIENCE_H

#include <glib.h>
#include <stdint.h>
#include <stdlib.h>

/*
 * Until when, by g_get_monotonic_time, to wait for what comes within so many seconds on an idle machine: longer
 * by what KASO_TEST_PATIENCE says and by the machine's load, as patience.py has it.
 */
static inline int64_t patience_end(int seconds)
{
    const char *patience = g_getenv("KASO_TEST_PATIENCE");
    double factor = patience ? g_ascii_strtod(patience, NULL) : 3, load = 0;

    getloadavg(&load, 1);
    load /= g_get_num_processors();
    return g_get_monotonic_time() +
        (int64_t)(seconds * MAX(factor, MIN(factor * load, 20)) * G_USEC_PER_SEC);
}

#endif
