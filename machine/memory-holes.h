/* SPDX-License-Identifier: MIT */
/* Guest memory that a file has (memory back ends): where it has nothing yet. To read there would take the host's memory. */
#ifndef MACHINE_MEMORY_HOLES_H
#define MACHINE_MEMORY_HOLES_H

#include "machine/machine.h"

/* From an offset of a piece on; each call is a system call. */
typedef struct {
    uint64_t end; /* what is said holds up to there */
    bool hole;    /* nothing is there: it reads as zero */
} MemoryExtent;
/* A moment's answer: who writes meanwhile fills holes. Memory that no file has is said to have none. [any thread] */
MemoryExtent memory_extent_at(Machine *machine, uint64_t ram_offset, uint64_t offset);

#endif
