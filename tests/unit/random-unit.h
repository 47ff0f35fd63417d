/* SPDX-License-Identifier: MIT */
/* Random units of IR over a small guest: integer, vector and flags variables, and a few pages of memory. */
#ifndef TESTS_UNIT_RANDOM_UNIT_H
#define TESTS_UNIT_RANDOM_UNIT_H

#include <glib.h>

#include "accel/tcg/ir/ir.h"

/* Guest variables: integers, vectors, flags; and memory, of which some pages are special. */
enum {
    INT_VARS = 18,
    VECTOR_VARS = 14,
    VAR_COUNT = INT_VARS + VECTOR_VARS + 1,
    FLAGS_VAR = INT_VARS + VECTOR_VARS,
    PAGES = 6,
    FAULT_PAGE = 5,
    SLOW_PAGE = 1,
};
#define DATA_BASE UINT64_C(0xffff800010123000)
#define CODE_PAGE UINT64_C(0xffff800010234000)

/* What units are made of. */
typedef struct {
    GRand *rng;
    const IrVar *vars;          /* VAR_COUNT */
    const TcgHelper *helpers;
    unsigned helper_count;
    const TcgHelper *encoded; /* those that name an instruction */
    unsigned encoded_count;
    unsigned narrow_from;       /* integer variables from this one on are i32 */
    unsigned max_length;        /* in calls of makers */
} RandomUnits;

/* Fills unit, which is not optimised. The same state of rng makes the same unit. */
void random_unit(IrUnit *unit, const RandomUnits *from);

static inline uint32_t random_below(GRand *rng, uint32_t limit)
{
    return (uint32_t)g_rand_int_range(rng, 0, (gint32)limit);
}

#endif
