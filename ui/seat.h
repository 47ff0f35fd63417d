/* SPDX-License-Identifier: MIT */
/*
 * What a viewer's user does with keyboard and pointer, on its way to the guest: which display it is done on, and which keys and
 * buttons are down, so that none is left so when the viewer goes away or shows something else. Under the machine lock.
 */
#ifndef UI_SEAT_H
#define UI_SEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/display.h"
#include "machine/input.h"
#include "machine/machine.h"

enum { SEAT_KEYS = 0x300 };

typedef struct {
    Machine *machine;
    Display *display; /* NULL: none; what is done goes to any device */
    uint8_t held[SEAT_KEYS / 8];
    unsigned buttons; /* bit per InputButton */
    int x, y;         /* of the pointer; negative: not known */
} Seat;

void seat_init(Seat *seat, Machine *machine);
/* Lets go of everything first. */
void seat_set_display(Seat *seat, Display *display);
void seat_release(Seat *seat);
/* code: of Linux. A text console gets no keys, but it is remembered which are down. */
void seat_key(Seat *seat, unsigned code, bool down);
bool seat_is_held(const Seat *seat, unsigned code);
bool seat_has_control(const Seat *seat);
bool seat_has_alt(const Seat *seat);
bool seat_has_shift(const Seat *seat);
/* A text console's characters and DisplayKeys; with control held, letters become control characters. */
void seat_type(Seat *seat, uint32_t key);
bool seat_takes_text(const Seat *seat);
/* Bits of InputButtons that are down; wheels are buttons that are down for a moment. */
void seat_buttons(Seat *seat, unsigned buttons);
/* Where the pointer is on a screen of that size. For guests with a mouse it becomes a movement since the last time. */
void seat_move_to(Seat *seat, int x, int y, int width, int height);
void seat_move_by(Seat *seat, int dx, int dy);
bool seat_is_absolute(const Seat *seat);
/* What was sent belongs together. */
void seat_sync(Seat *seat);

/* The display behind Ctrl-Alt-1 (0), -2 …; NULL: there is none. */
Display *seat_console(Machine *machine, unsigned index);
/* What a viewer that shows the display is called: "Kaso (NAME): serial0"; the caller frees. display: NULL for none. */
char *seat_title(Machine *machine, const Display *display);
/* Its number for people, from 1. */
unsigned seat_console_number(const Display *display);

#endif
