/* SPDX-License-Identifier: MIT */
/*
 * HMP's expressions: C's integer operators | ^ & << >> + - * / % and unary - ~ !, parentheses,
 * decimal, octal and hexadecimal numbers, 'c' characters, $register of a vCPU, and names of symbols, which
 * mean their addresses with or without & before them ("virtio_net!probe": of that file).
 */
#ifndef MONITOR_EXPRESSION_H
#define MONITOR_EXPRESSION_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "machine/vcpu.h"

/*
 * Evaluates the expression at *text and moves *text behind it. vcpu: whose registers $name means,
 * NULL: none; it is stopped for the reading.
 */
bool expression_evaluate(const char **text, Vcpu *vcpu, int64_t *value, GError **error);
/* The same up to the first operator between two operands. */
bool expression_evaluate_unary(const char **text, Vcpu *vcpu, int64_t *value, GError **error);

/* The operators by precedence, the loosest at level 0: the one that *text goes on with is taken; NULL: another. */
enum { EXPRESSION_LEVELS = 6 };
const char *expression_operator(const char **text, unsigned level);
/* *left becomes "*left name right". */
bool expression_apply(const char *name, int64_t *left, int64_t right, GError **error);

#endif
