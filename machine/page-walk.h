/* SPDX-License-Identifier: MIT */
/*
 * How a guest's tables translate one address, for people: each table's entry on the way, and which accesses the processor would allow
 * now, with what denies the others. Nothing is changed by looking.
 */
#ifndef MACHINE_PAGE_WALK_H
#define MACHINE_PAGE_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/target.h"

enum { PAGE_WALK_STEPS_MAX = 64, PAGE_WALK_TEXT = 200 };

typedef struct {
    char table[16];          /* "PML4", "level 2" */
    uint8_t stage;           /* 1; 2: of nested tables */
    uint8_t bytes;           /* of the entry */
    uint64_t at, entry;      /* guest physical (stage 1 under nested tables: the inner guest's), and what is there */
    char attributes[PAGE_WALK_TEXT]; /* "table | RW | US | A" */
} PageWalkStep;

typedef enum { PAGE_READ, PAGE_WRITE, PAGE_EXECUTE, PAGE_ACCESSES } PageAccess;
typedef enum { PAGE_KERNEL, PAGE_USER, PAGE_LEVELS } PageLevel;

struct PageWalk {
    uint64_t address;
    bool on;                 /* translation is switched on */
    unsigned count;
    PageWalkStep steps[PAGE_WALK_STEPS_MAX];
    bool mapped;             /* to: */
    uint64_t guest_phys, size;
    char memory[64];         /* "Normal, write-back", "write-back"; "": not told */
    bool allowed[PAGE_LEVELS][PAGE_ACCESSES];
    char denied[PAGE_LEVELS][PAGE_ACCESSES][PAGE_WALK_TEXT]; /* a sentence; "" where allowed */
    char fault[PAGE_WALK_TEXT]; /* why it is not mapped: a sentence */
};

/* A step to fill; the last one again when there are too many. */
static inline PageWalkStep *page_walk_add(PageWalk *walk)
{
    if (walk->count < PAGE_WALK_STEPS_MAX) {
        walk->count++;
    }
    return &walk->steps[walk->count - 1];
}

#endif
