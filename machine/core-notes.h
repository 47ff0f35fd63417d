/* SPDX-License-Identifier: MIT */
/* Notes of ELF core files, which say where each CPU was. */
#ifndef MACHINE_CORE_NOTES_H
#define MACHINE_CORE_NOTES_H

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

enum { CORE_NOTE_PRSTATUS = 1 }; /* of "CORE": a thread's signal and registers, as Linux lays them out */

/* Appends a note: name and content padded to 4 bytes each, as the ELF specification has them. */
void core_note_add(GByteArray *notes, const char *name, uint32_t type, const void *content,
                   size_t size);
/*
 * Appends a CPU's PRSTATUS: `count` general registers in Linux's order for the architecture. Threads are numbered from 1, as
 * debuggers want it.
 */
void core_note_add_prstatus(GByteArray *notes, unsigned cpu, const uint64_t *registers,
                            unsigned count);

#endif
