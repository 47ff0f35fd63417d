/* SPDX-License-Identifier: MIT */
/*
 * PS/2 keyboard and mouse, as a keyboard controller has them on its two ports: it sends bytes, and takes those that they
 * have queued. Part of the controller's structure, and saved with it.
 */
#ifndef HW_INPUT_PS2_H
#define HW_INPUT_PS2_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/device.h"
#include "machine/input.h"

enum { PS2_QUEUE_BYTES = 128 };

typedef struct {
    uint8_t data[PS2_QUEUE_BYTES];
    uint8_t first, count;
    uint8_t last; /* what was taken last, for a repetition */
} Ps2Queue;
extern const StateField ps2_queue_state[];

/* Takes the oldest byte; 0 when there is none. */
uint8_t ps2_queue_take(Ps2Queue *queue);

typedef void Ps2Notify(void *opaque); /* a byte was queued */

typedef struct {
    /* Wiring. */
    InputHandler handler;
    Ps2Notify *notify;
    void *opaque;
    /* State. */
    Ps2Queue queue;
    uint8_t command;     /* whose parameter is awaited, 0: none */
    uint8_t enabled, set;
    uint8_t leds, rate;
    uint8_t breaks;      /* set 3: keys tell when they are let go */
    uint8_t modifiers;   /* those that change what Print and Pause send */
    uint8_t down[32];    /* bit per Linux code below 256 */
} Ps2Keyboard;
extern const StateField ps2_keyboard_state[];

typedef struct {
    InputHandler handler;
    Ps2Notify *notify;
    void *opaque;
    Ps2Queue queue;
    uint8_t command;
    uint8_t enabled, remote, wrap, scaling;
    uint8_t rate, resolution;
    uint8_t rates[2];    /* the two before this one: the knock that asks for a wheel */
    uint8_t identity;    /* 0: plain, 3: wheel, 4: five buttons */
    uint8_t buttons, sent_buttons; /* bit 0 left, 1 right, 2 middle, 3 side, 4 extra */
    int32_t dx, dy, dz;  /* not sent yet; up is positive */
} Ps2Mouse;
extern const StateField ps2_mouse_state[];

void ps2_keyboard_init(Ps2Keyboard *keyboard, Machine *machine, Ps2Notify *notify, void *opaque);
void ps2_keyboard_free(Ps2Keyboard *keyboard);
void ps2_keyboard_reset(Ps2Keyboard *keyboard);
void ps2_keyboard_write(Ps2Keyboard *keyboard, uint8_t value);

void ps2_mouse_init(Ps2Mouse *mouse, Machine *machine, Ps2Notify *notify, void *opaque);
void ps2_mouse_free(Ps2Mouse *mouse);
void ps2_mouse_reset(Ps2Mouse *mouse);
void ps2_mouse_write(Ps2Mouse *mouse, uint8_t value);
/* Sends a packet, where the guest has asked for packets, even when nothing is new. */
void ps2_mouse_stir(Ps2Mouse *mouse);

/* For the two: queue bytes, all or none. */
bool ps2_queue_put(Ps2Queue *queue, const uint8_t *bytes, unsigned count);
void ps2_queue_clear(Ps2Queue *queue);

#endif
