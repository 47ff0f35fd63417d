/* SPDX-License-Identifier: MIT */
/*
 * Variables and types of the programs whose files the user has added, by their DWARF. Machine lock held, vCPUs parked. Strings, and tables of
 * types, are good until symbols change.
 */
#ifndef DEBUG_VARIABLES_H
#define DEBUG_VARIABLES_H

#include "debug/backtrace.h"
#include "debug/types.h"

typedef struct {
    const char *name;
    Types *types;
    uint32_t type;
    bool argument;
    bool known;     /* else it was optimized out, or lies where nobody can tell */
    bool in_memory; /* at `address`; else it is `value`, if it has at most 8 bytes */
    uint64_t address, value;
    unsigned size;  /* bytes that value has */
} ProgramVariable;

/*
 * ProgramVariable of the function that a frame is in. depth: 0 for the innermost function that is inlined there, and so on outward; as
 * symbols_functions counts. Caller unrefs.
 */
GArray *program_locals(Machine *machine, Vcpu *vcpu, const Frame *frame, unsigned depth);
/* A variable that is seen from where the vCPU is: its function's, else one of the whole program. */
bool program_variable(Vcpu *vcpu, const char *name, ProgramVariable *variable);
/* As types_find, in all files. */
bool program_type(Machine *machine, const char *text, Types **types, uint32_t *number,
                  unsigned *stars);

#endif
