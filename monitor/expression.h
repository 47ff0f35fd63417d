/* SPDX-License-Identifier: MIT */
/*
 * HMP's expressions: C's integer operators | ^ & << >> + - * / % and unary - ~ !, parentheses,
 * decimal, octal and hexadecimal numbers, 'c' characters, and $register of a vCPU.
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

#endif
