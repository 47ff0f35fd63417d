/* SPDX-License-Identifier: MIT */
/*
 * The manuals' rules of page tables (SDM 3, 4.3 to 4.10), written down once more: whether an access faults, with which error code and
 * CR2, where it leads, and which accessed and dirty bits there are then. Two levels with and without PSE, PAE, four and five levels.
 */
#ifndef TESTS_ISA_WALKS_X86_H
#define TESTS_ISA_WALKS_X86_H

#include "base/bits.h"
#include "tests/isa/rig-x86.h"

/* All tables lie there. */
enum { TABLES = 0x3000000, TABLE_PAGES = 32, MAX_LEVELS = 5 };

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
#define NX (UINT64_C(1) << 63)

typedef enum { LEVELS_2, LEVELS_2_PSE, LEVELS_PAE, LEVELS_4, LEVELS_5, FORMS } Form;

typedef enum { READ, WRITE, FETCH, DESCRIPTOR, KINDS } Kind;

/* What is under test, and the tables as they must be. */
typedef struct {
    X86Rig rig;
    GRand *random;
    Form form;
    unsigned levels, entry_bytes;
    bool has_1g;
    uint32_t root; /* page of TABLES */
    uint8_t wanted[TABLE_PAGES * 4096];
    uint8_t open[TABLE_PAGES * 4096]; /* bits that may be either */
} Walks;

/* What an access comes to. */
typedef struct {
    bool fault;
    uint32_t error;
    uint64_t cr2, phys[2]; /* of its first byte, and of the second page */
} Outcome;

/* Entries that an access has been led by, and the page's. */
typedef struct {
    uint32_t at[MAX_LEVELS];
    unsigned count;
    uint64_t phys;
    bool global;
    unsigned size_bits;
} Path;

static inline bool walks_is_long(const Walks *t)
{
    return t->form >= LEVELS_4;
}

static inline uint32_t walks_page_at(unsigned page)
{
    return TABLES + page * 4096;
}

/* Whether an entry of the level may be a page, by its PS. */
bool walks_may_be_large(const Walks *t, unsigned level);
/* The least bit of an address that tells entries of a level apart. */
unsigned walks_shift(const Walks *t, unsigned level);
uint64_t walks_entry(const Walks *t, const uint8_t *p);
/* One page, by the tables as they must be. true: it may be accessed. error: what the error code is when not. */
bool walks_model_page(Walks *t, uint64_t address, Kind kind, bool write, bool user, Path *path, uint32_t *error);
/* All bytes of one access, at most two pages. Marks what it must leave accessed and dirty. */
Outcome walks_model_access(Walks *t, uint64_t address, unsigned bytes, Kind kind, bool write, bool user);

#endif
