/* SPDX-License-Identifier: MIT */
/* The disassembler's functions. The library is loaded when something is disassembled: its tables are larger than the whole program. */
#ifndef BASE_CAPSTONE_H
#define BASE_CAPSTONE_H

#include <capstone/capstone.h>

#include "base/library.h"

#define CAPSTONE_FUNCTIONS(F)                                                                      \
    F(cs_open) F(cs_close) F(cs_option) F(cs_malloc) F(cs_disasm) F(cs_disasm_iter) F(cs_free)

typedef struct {
    CAPSTONE_FUNCTIONS(LIBRARY_MEMBER)
} CapstoneFunctions;

/* Filled after a capstone_open that succeeded. */
extern CapstoneFunctions capstone;

/* arch, mode: cs_arch and cs_mode. */
bool capstone_open(int arch, int mode, csh *handle, GError **error);

#endif
