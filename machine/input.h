/* SPDX-License-Identifier: MIT */
/*
 * Input from people (and scripts) to guests: keys, pointers and buttons, from whoever has them (displays, the monitor) to
 * the devices that guests read. An event goes to one handler: of those that take its kind the one that was
 * activated last, else the newest. All of this runs under the machine lock.
 */
#ifndef MACHINE_INPUT_H
#define MACHINE_INPUT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Display Display;
typedef struct Machine Machine;

/* Kinds are bits of InputHandlerType.kinds. */
typedef enum {
    INPUT_KEY = 1,      /* code: of Linux (input-event-codes.h); value: 1 down, 0 up */
    INPUT_BUTTON = 2,   /* code: InputButton; value: 1 down, 0 up */
    INPUT_RELATIVE = 4, /* code: InputAxis; value: by how much, right and down positive */
    INPUT_ABSOLUTE = 8, /* code: InputAxis; value: 0 to INPUT_ABSOLUTE_MAX over the whole screen */
    INPUT_TOUCHES = 16, /* code: InputTouch; slot: which finger */
} InputKind;

/* A finger on a touch screen. Its place comes before or after the begin or update that it belongs to. */
typedef enum {
    INPUT_TOUCH_BEGIN, /* value: a tracking number that no other finger has */
    INPUT_TOUCH_UPDATE,
    INPUT_TOUCH_END,
    INPUT_TOUCH_CANCEL,
    INPUT_TOUCH_X, /* value: 0 to INPUT_ABSOLUTE_MAX */
    INPUT_TOUCH_Y,
    INPUT_TOUCH_CODE_COUNT,
} InputTouch;
enum { INPUT_TOUCH_SLOTS = 10 };

typedef enum { INPUT_X, INPUT_Y, INPUT_AXIS_COUNT } InputAxis;

typedef enum {
    INPUT_LEFT,
    INPUT_MIDDLE,
    INPUT_RIGHT,
    INPUT_WHEEL_UP, /* a step of a wheel is its button down and up */
    INPUT_WHEEL_DOWN,
    INPUT_SIDE,
    INPUT_EXTRA,
    INPUT_WHEEL_LEFT,
    INPUT_WHEEL_RIGHT,
    INPUT_TOUCH,
    INPUT_BUTTON_COUNT,
} InputButton;

enum { INPUT_ABSOLUTE_MAX = 0x7fff };

typedef struct {
    InputKind kind;
    uint16_t code;
    int32_t value;
    uint8_t slot; /* INPUT_TOUCHES: less than INPUT_TOUCH_SLOTS */
} InputEvent;

typedef struct {
    const char *name; /* as query-mice shows it */
    unsigned kinds;   /* InputKinds that it takes */
    void (*event)(void *opaque, const InputEvent *event);
    void (*sync)(void *opaque); /* the events since the last time belong together; may be NULL */
    unsigned (*leds)(void *opaque); /* InputLeds that the guest has lit; NULL: it has none */
} InputHandlerType;

/* A device embeds one and adds it in realize; zero-initialised it is in no list, and removing it is harmless. */
typedef struct {
    const InputHandlerType *type;
    void *opaque;
    Machine *machine;
    unsigned number; /* for people: query-mice, mouse_set */
    bool pending;    /* has got events since its last sync */
    /*
     * Only for what is done on this display (a seat of several: -device …,display=, head=); NULL: for all that have no
     * handler of their own. Set after input_add_handler.
     */
    Display *display;
} InputHandler;

/* What a keyboard shows. */
typedef enum { INPUT_LED_SCROLL = 1, INPUT_LED_NUM = 2, INPUT_LED_CAPS = 4 } InputLeds;

void input_add_handler(InputHandler *handler, Machine *machine, const InputHandlerType *type,
                       void *opaque);
void input_remove_handler(InputHandler *handler);
/* From now on events of its kinds are for this one. */
void input_activate_handler(InputHandler *handler);
/* From now on this one gets only events that no other handler takes: its guest does not listen. */
void input_deactivate_handler(InputHandler *handler);
/* For realize, after input_add_handler: the handler's display by -device …,display=, head=; device NULL: none in particular. */
bool input_set_display(InputHandler *handler, const char *device, unsigned head, GError **error);
/* Who gets events of these kinds, or NULL. from: the display that they are done on; NULL: none in particular. */
InputHandler *input_find_handler(Machine *machine, InputKind kind);
InputHandler *input_find_handler_of(Machine *machine, const Display *from, unsigned kinds);
/* Whether the pointer in use on that display takes places rather than movements. */
bool input_is_absolute(Machine *machine, const Display *from);
/* Of the keyboard that gets the keys; 0: all dark, or it tells nothing. */
unsigned input_leds(Machine *machine, const Display *from);
/* Calls fn for each, the next to get events first. */
void input_foreach_handler(Machine *machine, void (*fn)(InputHandler *handler, void *opaque),
                           void *opaque);

/* false: nobody takes events of this kind. */
bool input_send(Machine *machine, const InputEvent *event);
bool input_send_from(Machine *machine, const Display *from, const InputEvent *event);
void input_sync(Machine *machine);

/*
 * Presses keys in this order, each `hold_ms` after the one before, and lets go of them backwards after `hold_ms` more, after what
 * was asked for earlier. false: too much waits already.
 */
bool input_type_keys(Machine *machine, const uint16_t *codes, unsigned count, unsigned hold_ms);

/*
 * Keys. `set1` is what a PC keyboard of the first kind sends when it is pressed, 0xe0 in the upper byte where it sends that
 * before; 0: it sends something special or nothing. `set3` in the same way, 0: no such key.
 */
typedef struct {
    const char *name; /* as sendkey and QMP's QKeyCode spell it */
    uint16_t code;    /* Linux's */
    uint16_t set1;
    uint8_t set3;
} InputKey;

enum { INPUT_KEY_PRINT = 99, INPUT_KEY_PAUSE = 119 };

extern const InputKey input_keys[]; /* ends with a NULL name */
const InputKey *input_key_by_name(const char *name);
const InputKey *input_key_by_code(uint16_t code);
/* By a number that monitors take: set 1, with 0x80 for 0xe0. NULL: no such key. */
const InputKey *input_key_by_number(unsigned number);
extern const char *const input_button_names[INPUT_BUTTON_COUNT + 1]; /* ends with NULL */

#endif
