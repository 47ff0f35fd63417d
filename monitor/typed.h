/* SPDX-License-Identifier: MIT */
/*
 * Expressions with C types, by those of files that the user has added and of the guest's kernel: variables by name, casts "(struct task_struct *)X", "*", "&", "->", "." and "[N]"; X and N
 * are expressions of expression.h. "current" is the task that the CPU runs.
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
} TypedValue;

/* Whether the text uses types: then typed_evaluate is for it, and not expression_evaluate alone. vCPUs parked. */
bool typed_is_typed(Vcpu *vcpu, const char *text);
/* All of the text. vCPUs parked, symbols refreshed. */
bool typed_evaluate(Vcpu *vcpu, const char *text, TypedValue *value, GError **error);
/* The value of a scalar, the address of anything else. vCPUs parked. */
bool typed_number(Vcpu *vcpu, const TypedValue *value, uint64_t *number, bool *is_signed,
                  GError **error);
/* As JSON: structures are objects, arrays are arrays, texts of char are strings, addresses are strings with their symbol. */
json_t *typed_json(Vcpu *vcpu, const TypedValue *value);
/* As C writes an initialiser. */
void typed_print(json_t *json, GString *out);

#endif
