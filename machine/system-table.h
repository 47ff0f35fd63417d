/* SPDX-License-Identifier: MIT */
/* Tables in guest memory that tell a processor where interrupts and segments lead, decoded for people. */
#ifndef MACHINE_SYSTEM_TABLE_H
#define MACHINE_SYSTEM_TABLE_H

#include "machine/target.h"

enum { SYSTEM_TABLE_ROWS_MAX = 8192, SYSTEM_TABLE_TEXT = 120 };

typedef struct {
    unsigned number;   /* of the vector or selector */
    uint64_t at;       /* guest virtual, of the entry */
    uint64_t words[2]; /* the entry; all zero where there is code instead */
    bool leads;        /* to code: */
    uint64_t target;   /* its address, guest virtual */
    char text[SYSTEM_TABLE_TEXT];
} SystemTableRow;

struct SystemTable {
    uint64_t base;
    uint64_t limit;    /* of its last byte, from the base */
    char note[SYSTEM_TABLE_TEXT]; /* of the whole; "" */
    /* Called for each entry that there is, in order. */
    void (*row)(void *opaque, const SystemTableRow *row);
    void *opaque;
};

#endif
