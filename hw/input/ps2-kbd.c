/* SPDX-License-Identifier: MIT */
/*
 * PS/2 keyboard (IBM PS/2 hardware technical reference, keyboards; scan code sets 1 to 3). Keys are repeated by whoever
 * sends them; the rate that a guest sets is taken and changes nothing.
 */
#include <string.h>

#include "base/bits.h"
#include "hw/input/ps2.h"

enum {
    COMMAND_LEDS = 0xed,
    COMMAND_ECHO = 0xee,
    COMMAND_SET = 0xf0,
    COMMAND_IDENTIFY = 0xf2,
    COMMAND_RATE = 0xf3,
    COMMAND_ENABLE = 0xf4,
    COMMAND_DISABLE = 0xf5,
    COMMAND_DEFAULTS = 0xf6,
    COMMAND_ALL_REPEAT = 0xf7,
    COMMAND_ALL_BREAK = 0xf8,
    COMMAND_ALL_MAKE = 0xf9,
    COMMAND_ALL_BOTH = 0xfa,
    COMMAND_KEY_FIRST = 0xfb,
    COMMAND_KEY_LAST = 0xfd,
    COMMAND_RESEND = 0xfe,
    COMMAND_RESET = 0xff,
    REPLY_ACK = 0xfa,
    REPLY_RESEND = 0xfe,
    REPLY_PASSED = 0xaa,
    REPLY_BREAK = 0xf0,
    DEFAULT_RATE = 0x2b,
    /* Keys that are pressed leave this much room, for those that are let go and for replies. */
    HEADROOM = 48,
};

enum { MODIFIER_CTRL = 1, MODIFIER_SHIFT = 2, MODIFIER_ALT = 4 };

/* What set 2 sends for set 1's codes: the inverse of what a keyboard controller makes of them. */
static const uint8_t set2_codes[] = {
    0x00, 0x76, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d,
    0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x14, 0x1c, 0x1b,
    0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5d, 0x1a, 0x22, 0x21, 0x2a,
    0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7c, 0x11, 0x29, 0x58, 0x05, 0x06, 0x04, 0x0c, 0x03,
    0x0b, 0x83, 0x0a, 0x01, 0x09, 0x77, 0x7e, 0x6c, 0x75, 0x7d, 0x7b, 0x6b, 0x73, 0x74, 0x79, 0x69,
    0x72, 0x7a, 0x70, 0x71, 0x84, 0x60, 0x61, 0x78, 0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f,
    0x47, 0x4f, 0x56, 0x5e, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x40, 0x48, 0x50, 0x57, 0x6f,
    0x13, 0x19, 0x39, 0x51, 0x53, 0x5c, 0x5f, 0x62, 0x63, 0x64, 0x65, 0x67, 0x68, 0x6a, 0x6d, 0x6e,
};

/* Print and Pause, pressed and let go, alone and with Alt or Ctrl. */
typedef struct {
    uint16_t code;
    uint8_t with;                      /* a modifier; the first that fits decides */
    uint8_t make[3][9], release[3][7]; /* by set, each after its length */
} SpecialKey;

/* clang-format off */
static const SpecialKey special_keys[] = {
    { INPUT_KEY_PRINT, MODIFIER_ALT,
      { { 1, 0x54 }, { 1, 0x84 }, { 1, 0x57 } },
      { { 1, 0xd4 }, { 2, 0xf0, 0x84 }, { 2, 0xf0, 0x57 } } },
    { INPUT_KEY_PRINT, MODIFIER_CTRL | MODIFIER_SHIFT,
      { { 2, 0xe0, 0x37 }, { 2, 0xe0, 0x7c }, { 1, 0x57 } },
      { { 2, 0xe0, 0xb7 }, { 3, 0xe0, 0xf0, 0x7c }, { 2, 0xf0, 0x57 } } },
    { INPUT_KEY_PRINT, 0,
      { { 4, 0xe0, 0x2a, 0xe0, 0x37 }, { 4, 0xe0, 0x12, 0xe0, 0x7c }, { 1, 0x57 } },
      { { 4, 0xe0, 0xb7, 0xe0, 0xaa }, { 6, 0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12 }, { 2, 0xf0, 0x57 } } },
    { INPUT_KEY_PAUSE, MODIFIER_CTRL,
      { { 4, 0xe0, 0x46, 0xe0, 0xc6 }, { 5, 0xe0, 0x7e, 0xe0, 0xf0, 0x7e }, { 1, 0x62 } },
      { { 0 }, { 0 }, { 2, 0xf0, 0x62 } } },
    { INPUT_KEY_PAUSE, 0,
      { { 6, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5 }, { 8, 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77 }, { 1, 0x62 } },
      { { 0 }, { 0 }, { 2, 0xf0, 0x62 } } },
};
/* clang-format on */

static void put(Ps2Keyboard *k, uint8_t byte)
{
    ps2_queue_put(&k->queue, &byte, 1);
    k->notify(k->opaque);
}

/* Keys. */

static unsigned plain_code(const Ps2Keyboard *k, const InputKey *key, bool down, uint8_t *out)
{
    unsigned n = 0;
    uint8_t low = (uint8_t)key->set1;

    if (k->set == 3) {
        if (!key->set3 || (!down && !k->breaks)) {
            return 0;
        }
    } else if (!key->set1) {
        return 0;
    } else if (key->set1 >> 8) {
        out[n++] = key->set1 >> 8;
    }
    if (k->set == 1) {
        out[n++] = low | (down ? 0 : 0x80);
        return n;
    }
    if (!down) {
        out[n++] = REPLY_BREAK;
    }
    out[n++] = k->set == 3 ? key->set3 : set2_codes[low & 0x7f];
    return n;
}

static unsigned special_code(const Ps2Keyboard *k, const SpecialKey *key, bool down, uint8_t *out)
{
    const uint8_t *from = down ? key->make[k->set - 1] : key->release[k->set - 1];

    if (k->set == 3 && !down && !k->breaks) {
        return 0;
    }
    memcpy(out, from + 1, from[0]);
    return from[0];
}

static unsigned key_code(const Ps2Keyboard *k, uint16_t code, bool down, uint8_t *out)
{
    const InputKey *key = input_key_by_code(code);

    for (unsigned i = 0; i < G_N_ELEMENTS(special_keys); i++) {
        if (special_keys[i].code == code &&
            (!special_keys[i].with || special_keys[i].with & k->modifiers)) {
            return special_code(k, &special_keys[i], down, out);
        }
    }
    return key ? plain_code(k, key, down, out) : 0;
}

static void track_modifiers(Ps2Keyboard *k, uint16_t code, bool down)
{
    static const struct {
        uint16_t code;
        uint8_t modifier;
    } keys[] = {
        { 29, MODIFIER_CTRL },  { 97, MODIFIER_CTRL }, { 42, MODIFIER_SHIFT },
        { 54, MODIFIER_SHIFT }, { 56, MODIFIER_ALT },  { 100, MODIFIER_ALT },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (keys[i].code == code) {
            k->modifiers =
                down ? k->modifiers | keys[i].modifier : k->modifiers & ~keys[i].modifier;
        }
    }
}

/* A key that did not fit in when it was pressed is not let go either. */
static void keyboard_event(void *opaque, const InputEvent *event)
{
    Ps2Keyboard *k = opaque;
    uint8_t bytes[8], *known = &k->down[event->code / 8 % sizeof k->down];
    uint8_t bit = 1 << event->code % 8;
    unsigned count;

    track_modifiers(k, event->code, event->value);
    if (!k->enabled || (!event->value && !(*known & bit))) {
        return;
    }
    count = key_code(k, event->code, event->value, bytes);
    if (k->queue.count + count > PS2_QUEUE_BYTES - (event->value ? HEADROOM : 0)) {
        return;
    }
    *known = event->value ? *known | bit : *known & ~bit;
    if (count) {
        ps2_queue_put(&k->queue, bytes, count);
        k->notify(k->opaque);
    }
}

/* The bits of the command are those of InputLeds. */
static unsigned keyboard_leds(void *opaque)
{
    return ((Ps2Keyboard *)opaque)->leds;
}

static const InputHandlerType keyboard_handler = {
    .name = "QEMU PS/2 Keyboard",
    .kinds = INPUT_KEY,
    .event = keyboard_event,
    .leds = keyboard_leds,
};

/* Commands. */

static void set_defaults(Ps2Keyboard *k)
{
    k->set = 2;
    k->leds = 0;
    k->rate = DEFAULT_RATE;
    k->breaks = 1;
    k->command = 0;
    memset(k->down, 0, sizeof k->down);
}

static void write_parameter(Ps2Keyboard *k, uint8_t value)
{
    uint8_t command = k->command;

    k->command = 0;
    switch (command) {
    case COMMAND_LEDS:
        k->leds = value & 7;
        put(k, REPLY_ACK);
        break;
    case COMMAND_RATE:
        k->rate = value & 0x7f;
        put(k, REPLY_ACK);
        break;
    case COMMAND_SET:
        if (value > 3) {
            put(k, REPLY_RESEND);
            break;
        }
        put(k, REPLY_ACK);
        if (value == 0) {
            put(k, k->set);
        } else {
            k->set = value;
        }
        break;
    default: /* a key of set 3, until a command comes */
        k->command = command;
        put(k, REPLY_ACK);
    }
}

static void identify(Ps2Keyboard *k)
{
    put(k, REPLY_ACK);
    put(k, 0xab);
    put(k, 0x83);
}

static void write_command(Ps2Keyboard *k, uint8_t value)
{
    switch (value) {
    case COMMAND_ECHO:
        put(k, COMMAND_ECHO);
        return;
    case COMMAND_RESEND:
        put(k, k->queue.last);
        return;
    case COMMAND_IDENTIFY:
        identify(k);
        return;
    case COMMAND_LEDS:
    case COMMAND_SET:
    case COMMAND_RATE:
    case COMMAND_KEY_FIRST ... COMMAND_KEY_LAST:
        k->command = value;
        break;
    case COMMAND_ENABLE:
        ps2_queue_clear(&k->queue);
        k->enabled = 1;
        break;
    case COMMAND_DISABLE:
    case COMMAND_DEFAULTS:
        ps2_queue_clear(&k->queue);
        set_defaults(k);
        k->enabled = value == COMMAND_DEFAULTS;
        break;
    case COMMAND_ALL_REPEAT:
    case COMMAND_ALL_MAKE:
        k->breaks = 0;
        break;
    case COMMAND_ALL_BREAK:
    case COMMAND_ALL_BOTH:
        k->breaks = 1;
        break;
    case COMMAND_RESET:
        ps2_keyboard_reset(k);
        put(k, REPLY_ACK);
        put(k, REPLY_PASSED);
        return;
    default:
        log_guest_error("ps2-kbd", "unknown command %#x", value);
        put(k, REPLY_RESEND);
        return;
    }
    put(k, REPLY_ACK);
}

void ps2_keyboard_write(Ps2Keyboard *k, uint8_t value)
{
    /* Values above are commands even where a parameter is awaited. */
    if (k->command && value < COMMAND_LEDS) {
        write_parameter(k, value);
    } else {
        k->command = 0;
        write_command(k, value);
    }
}

void ps2_keyboard_reset(Ps2Keyboard *k)
{
    ps2_queue_clear(&k->queue);
    k->queue.last = 0;
    memset(k->queue.data, 0, sizeof k->queue.data);
    k->enabled = 1;
    k->modifiers = 0;
    set_defaults(k);
}

void ps2_keyboard_init(Ps2Keyboard *k, Machine *machine, Ps2Notify *notify, void *opaque)
{
    k->notify = notify;
    k->opaque = opaque;
    input_add_handler(&k->handler, machine, &keyboard_handler, k);
}

void ps2_keyboard_free(Ps2Keyboard *k)
{
    input_remove_handler(&k->handler);
}

const StateField ps2_keyboard_state[] = {
    STATE_DERIVED(Ps2Keyboard, handler),
    STATE_STRUCT(Ps2Keyboard, queue, ps2_queue_state),
    STATE(Ps2Keyboard, command),
    STATE(Ps2Keyboard, enabled),
    STATE_MOST(Ps2Keyboard, set, 3),
    STATE(Ps2Keyboard, leds),
    STATE(Ps2Keyboard, rate),
    STATE(Ps2Keyboard, breaks),
    STATE(Ps2Keyboard, modifiers),
    STATE(Ps2Keyboard, down),
    { 0 },
};
