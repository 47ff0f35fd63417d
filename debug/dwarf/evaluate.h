/* SPDX-License-Identifier: MIT */
/* Frames of a program that runs, and expressions over them (DWARF 5, chapters 2.5 and 6.4). */
#ifndef DEBUG_DWARF_EVALUATE_H
#define DEBUG_DWARF_EVALUATE_H

#include "debug/dwarf/private.h"

bool dwarf_frame_cfa(DwarfFile *dwarf, uint64_t address, DwarfFrame *frame);
void dwarf_frames_free(DwarfFrames *frames);

enum { DWARF_VALUE_BYTES_MAX = 64 };

/* Where something is, or what. */
typedef enum { LOCATION_NONE, LOCATION_MEMORY, LOCATION_REGISTER, LOCATION_VALUE } DwarfLocationKind;

typedef struct {
    DwarfLocationKind kind;
    uint64_t address; /* MEMORY: of the guest; REGISTER: its number */
    uint8_t bytes[DWARF_VALUE_BYTES_MAX]; /* REGISTER, VALUE */
    unsigned size;
} DwarfLocation;

/* start: what is on the stack first; NULL: nothing. false: it cannot be known (optimized out), or is damaged. */
bool dwarf_evaluate(DwarfFrame *frame, const uint8_t *bytes, uint64_t size, const uint64_t *start,
                    DwarfLocation *location);
/* The same for what is one number. */
bool dwarf_evaluate_number(DwarfFrame *frame, const uint8_t *bytes, uint64_t size,
                           const uint64_t *start, uint64_t *number);

#endif
