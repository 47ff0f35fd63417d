/* SPDX-License-Identifier: MIT */
/*
 * RAM and ROM on their way: pages that are not zero, in sections of about a megabyte; while the machine runs, again
 * those that were written since.
 */
#ifndef MIGRATION_RAM_H
#define MIGRATION_RAM_H

#include "machine/machine.h"
#include "migration/stream.h"

enum { RAM_PAGE_BYTES = 4096 };

typedef struct RamSender RamSender;

typedef struct {
    uint64_t total_bytes;
    uint64_t remaining_pages;          /* that are to be sent as of now */
    uint64_t normal_pages, zero_pages; /* that went */
    uint64_t passes;                   /* times that it was asked what was written */
} RamCounts;

/*
 * All pages are to be sent. live: the machine goes on meanwhile, and what it writes is looked for. Pieces of memory that
 * come later are not in it. [lock]
 */
RamSender *ram_sender_new(Machine *machine, bool live);
void ram_sender_free(RamSender *sender); /* [lock] */
/* false: some vCPU may not know yet that its stores shall be seen. Nothing is sent before. */
bool ram_sender_ready(RamSender *sender);
/* The next section of this pass; *more: false when there was nothing left. On any thread, one at a time. */
bool ram_sender_send(RamSender *sender, StreamWriter *writer, bool *more, GError **error);
/* A new pass: all that was written since. Returns how many pages are to be sent now. [lock] */
uint64_t ram_sender_collect(RamSender *sender);
/* [any thread; a moment's values] */
RamCounts ram_sender_counts(const RamSender *sender);

/* What the machine has to be for the pages: lines for STREAM_MACHINE. */
void ram_describe(Machine *machine, GByteArray *lines);
/* The machine's piece for each one that the stream has, elements MemoryPiece; the caller unrefs. NULL with an error. */
GArray *ram_match(Machine *machine, const GByteArray *lines, GError **error);
/* Everything reads as zero, as what is not sent does. vCPUs are parked. */
void ram_clear(Machine *machine);
/* Whether ram_receive would take it. */
bool ram_fits(const GArray *pieces, const uint8_t *data, size_t size, GError **error);
/* The content of a STREAM_RAM section. vCPUs are parked. */
bool ram_receive(Machine *machine, const GArray *pieces, const uint8_t *data, size_t size, GError **error);
/* All has been received: who watches pages is told. [lock] */
void ram_received(Machine *machine);

#endif
