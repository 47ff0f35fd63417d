/* SPDX-License-Identifier: MIT */
/*
 * Expressions with C types, by those of files that the user has added and of the guest's kernel: variables by name, casts "(struct task_struct *)X", "*", "&", "->", "." and "[N]", the operators of
 * expression.h (pointers count in what they point to), and behind all "@N": so many, one behind the other. "current" is the task that the CPU runs.
 */
#ifndef MONITOR_TYPED_H
#define MONITOR_TYPED_H

#include <jansson.h>

#include "debug/types.h"
#include "machine/vcpu.h"

typedef struct {
    const Types *types;
    uint32_t type;
    unsigned stars; /* it is a pointer to a pointer … to that type */
    bool in_memory; /* at `address`; else it is `value` */
    uint64_t address, value;
    unsigned bit_offset; /* of a bit field, from the address */
    uint8_t bit_size;
    unsigned repeat; /* not 0: so many, one behind the other in memory ("*head@4") */
} TypedValue;

/* Whether the text uses types: then typed_evaluate is for it, and not expression_evaluate alone. vCPUs parked. */
bool typed_is_typed(Vcpu *vcpu, const char *text);
/* All of the text. vCPUs parked, symbols refreshed. */
bool typed_evaluate(Vcpu *vcpu, const char *text, TypedValue *value, GError **error);
/* The same of a text's beginning, as a number; *text moves behind it. */
bool typed_evaluate_number(Vcpu *vcpu, const char **text, uint64_t *number, GError **error);
/* How C writes the type. Caller frees. */
char *typed_describe(const TypedValue *value);
/* The value of a scalar, the address of anything else. vCPUs parked. */
bool typed_number(Vcpu *vcpu, const TypedValue *value, uint64_t *number, bool *is_signed,
                  GError **error);
/*
 * As JSON: TypedValue of schema-types.c. format: 0, or a letter of dump-format.h: 's' shows the text that a pointer or number is the address of, 'a' the
 * symbols of numbers.
 */
json_t *typed_json(Vcpu *vcpu, const TypedValue *value, char format);
/* The same of a number without a type; vcpu may be NULL. */
json_t *typed_number_json(Vcpu *vcpu, uint64_t value, char format);
/* As C writes an initialiser; numbers by the format, unless that is 0. */
void typed_print(json_t *json, char format, GString *out);

#endif
