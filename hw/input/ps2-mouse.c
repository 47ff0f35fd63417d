/* SPDX-License-Identifier: MIT */
/* PS/2 mouse (IBM PS/2 hardware technical reference, mice), and with a wheel and five buttons as Microsoft's have them. */
#include <string.h>

#include "base/bits.h"
#include "hw/input/ps2.h"

enum {
    COMMAND_SCALE_1 = 0xe6,
    COMMAND_SCALE_2 = 0xe7,
    COMMAND_RESOLUTION = 0xe8,
    COMMAND_STATUS = 0xe9,
    COMMAND_STREAM = 0xea,
    COMMAND_READ = 0xeb,
    COMMAND_RESET_WRAP = 0xec,
    COMMAND_WRAP = 0xee,
    COMMAND_REMOTE = 0xf0,
    COMMAND_IDENTIFY = 0xf2,
    COMMAND_RATE = 0xf3,
    COMMAND_ENABLE = 0xf4,
    COMMAND_DISABLE = 0xf5,
    COMMAND_DEFAULTS = 0xf6,
    COMMAND_RESEND = 0xfe,
    COMMAND_RESET = 0xff,
    REPLY_ACK = 0xfa,
    REPLY_RESEND = 0xfe,
    REPLY_PASSED = 0xaa,
    IDENTITY_WHEEL = 3,
    IDENTITY_FIVE_BUTTONS = 4,
    /* Movements are added up while so much waits, and clamped where a guest does not read at all. */
    PACKETS_WAITING = 16,
    FARTHEST = 1 << 16,
};

static void put(Ps2Mouse *m, uint8_t byte)
{
    ps2_queue_put(&m->queue, &byte, 1);
    m->notify(m->opaque);
}

static void send_packet(Ps2Mouse *m)
{
    int32_t dx = CLAMP(m->dx, -255, 255), dy = CLAMP(m->dy, -255, 255);
    int32_t reach = m->identity == IDENTITY_FIVE_BUTTONS ? 7 : 127,
            dz = CLAMP(m->dz, -reach, reach);
    uint8_t packet[4] = { 0x08 | (m->buttons & 7) | (dx < 0 ? 0x10 : 0) | (dy < 0 ? 0x20 : 0),
                          (uint8_t)dx, (uint8_t)dy, (uint8_t)dz };

    if (m->identity == IDENTITY_FIVE_BUTTONS) {
        packet[3] = (dz & 0xf) | (m->buttons & 0x18) << 1;
    }
    if (ps2_queue_put(&m->queue, packet, m->identity ? 4 : 3)) {
        m->dx -= dx;
        m->dy -= dy;
        m->dz = m->identity ? m->dz - dz : 0;
        m->sent_buttons = m->buttons;
        m->notify(m->opaque);
    }
}

static bool has_news(const Ps2Mouse *m)
{
    return m->dx || m->dy || (m->dz && m->identity) || m->buttons != m->sent_buttons;
}

static bool is_streaming(const Ps2Mouse *m)
{
    return m->enabled && !m->remote && !m->wrap;
}

static void mouse_sync(void *opaque)
{
    Ps2Mouse *m = opaque;

    if (!is_streaming(m)) {
        return;
    }
    while (has_news(m) && m->queue.count < PACKETS_WAITING) {
        send_packet(m);
    }
}

static void add(int32_t *sum, int32_t by)
{
    *sum = (int32_t)CLAMP((int64_t)*sum + by, -FARTHEST, FARTHEST);
}

static void mouse_event(void *opaque, const InputEvent *event)
{
    static const uint8_t bits[INPUT_BUTTON_COUNT] = { [INPUT_LEFT] = 1,
                                                      [INPUT_RIGHT] = 2,
                                                      [INPUT_MIDDLE] = 4,
                                                      [INPUT_SIDE] = 8,
                                                      [INPUT_EXTRA] = 16 };
    Ps2Mouse *m = opaque;

    if (event->kind == INPUT_RELATIVE) {
        add(event->code == INPUT_X ? &m->dx : &m->dy,
            event->code == INPUT_X ? event->value : -CLAMP(event->value, -FARTHEST, FARTHEST));
    } else if (event->code < INPUT_BUTTON_COUNT && bits[event->code]) {
        m->buttons =
            event->value ? m->buttons | bits[event->code] : m->buttons & ~bits[event->code];
    } else if (event->value && event->code == INPUT_WHEEL_UP) {
        add(&m->dz, -1);
    } else if (event->value && event->code == INPUT_WHEEL_DOWN) {
        add(&m->dz, 1);
    }
}

static const InputHandlerType mouse_handler = {
    .name = "QEMU PS/2 Mouse",
    .kinds = INPUT_RELATIVE | INPUT_BUTTON,
    .event = mouse_event,
    .sync = mouse_sync,
};

/* Commands. */

static void set_defaults(Ps2Mouse *m)
{
    m->rate = 100;
    m->resolution = 2;
    m->scaling = m->remote = m->wrap = m->enabled = 0;
    m->command = 0;
}

/* Rates that nobody would set in this order ask for a wheel, and then for five buttons. */
static void write_rate(Ps2Mouse *m, uint8_t value)
{
    if (m->rates[0] == 200 && m->rates[1] == 100 && value == 80) {
        m->identity = IDENTITY_WHEEL;
    } else if (m->identity == IDENTITY_WHEEL && m->rates[0] == 200 && m->rates[1] == 200 &&
               value == 80) {
        m->identity = IDENTITY_FIVE_BUTTONS;
    }
    m->rates[0] = m->rates[1];
    m->rates[1] = value;
    m->rate = value;
}

static void send_status(Ps2Mouse *m)
{
    uint8_t left_right = (m->buttons & 1) << 2 | (m->buttons >> 1 & 1) | (m->buttons >> 2 & 1) << 1;

    put(m, (uint8_t)(m->remote << 6 | m->enabled << 5 | m->scaling << 4 | left_right));
    put(m, m->resolution);
    put(m, m->rate);
}

static void reset_device(Ps2Mouse *m)
{
    set_defaults(m);
    ps2_queue_clear(&m->queue);
    m->identity = 0;
    m->rates[0] = m->rates[1] = 0;
    m->dx = m->dy = m->dz = 0;
    m->sent_buttons = m->buttons;
}

static void set_mode(Ps2Mouse *m, uint8_t command)
{
    switch (command) {
    case COMMAND_SCALE_1:
    case COMMAND_SCALE_2:
        m->scaling = command == COMMAND_SCALE_2;
        break;
    case COMMAND_STREAM:
        m->remote = 0;
        break;
    case COMMAND_REMOTE:
        m->remote = 1;
        break;
    case COMMAND_WRAP:
        m->wrap = 1;
        break;
    case COMMAND_ENABLE:
    case COMMAND_DISABLE:
        m->enabled = command == COMMAND_ENABLE;
        break;
    case COMMAND_DEFAULTS:
        set_defaults(m);
        break;
    case COMMAND_RATE:
    case COMMAND_RESOLUTION:
        m->command = command;
        break;
    }
}

static void write_command(Ps2Mouse *m, uint8_t value)
{
    switch (value) {
    case COMMAND_SCALE_1:
    case COMMAND_SCALE_2:
    case COMMAND_STREAM:
    case COMMAND_WRAP:
    case COMMAND_REMOTE:
    case COMMAND_ENABLE:
    case COMMAND_DISABLE:
    case COMMAND_DEFAULTS:
    case COMMAND_RATE:
    case COMMAND_RESOLUTION:
        ps2_queue_clear(&m->queue);
        set_mode(m, value);
        put(m, REPLY_ACK);
        break;
    case COMMAND_STATUS:
        put(m, REPLY_ACK);
        send_status(m);
        break;
    case COMMAND_IDENTIFY:
        put(m, REPLY_ACK);
        put(m, m->identity);
        break;
    case COMMAND_READ:
        put(m, REPLY_ACK);
        send_packet(m);
        break;
    case COMMAND_RESEND:
        put(m, m->queue.last);
        break;
    case COMMAND_RESET:
        reset_device(m);
        put(m, REPLY_ACK);
        put(m, REPLY_PASSED);
        put(m, 0);
        break;
    case COMMAND_RESET_WRAP:
        put(m, REPLY_ACK);
        break;
    default:
        log_guest_error("ps2-mouse", "unknown command %#x", value);
        put(m, REPLY_RESEND);
    }
}

void ps2_mouse_write(Ps2Mouse *m, uint8_t value)
{
    uint8_t command = m->command;

    m->command = 0;
    if (m->wrap && value != COMMAND_RESET_WRAP && value != COMMAND_RESET) {
        put(m, value);
        return;
    }
    m->wrap = 0;
    if (command == COMMAND_RATE && value <= 200) {
        write_rate(m, value);
        put(m, REPLY_ACK);
    } else if (command == COMMAND_RESOLUTION && value <= 3) {
        m->resolution = value;
        put(m, REPLY_ACK);
    } else {
        write_command(m, value);
    }
}

void ps2_mouse_stir(Ps2Mouse *m)
{
    if (is_streaming(m) && m->queue.count < PACKETS_WAITING) {
        send_packet(m);
    }
}

void ps2_mouse_reset(Ps2Mouse *m)
{
    m->buttons = 0;
    reset_device(m);
    m->queue.last = 0;
    memset(m->queue.data, 0, sizeof m->queue.data);
}

void ps2_mouse_init(Ps2Mouse *m, Machine *machine, Ps2Notify *notify, void *opaque)
{
    m->notify = notify;
    m->opaque = opaque;
    input_add_handler(&m->handler, machine, &mouse_handler, m);
}

void ps2_mouse_free(Ps2Mouse *m)
{
    input_remove_handler(&m->handler);
}

const StateField ps2_mouse_state[] = {
    STATE_DERIVED(Ps2Mouse, handler),
    STATE_STRUCT(Ps2Mouse, queue, ps2_queue_state),
    STATE(Ps2Mouse, command),
    STATE_MOST(Ps2Mouse, enabled, 1),
    STATE_MOST(Ps2Mouse, remote, 1),
    STATE(Ps2Mouse, wrap),
    STATE_MOST(Ps2Mouse, scaling, 1),
    STATE(Ps2Mouse, rate),
    STATE(Ps2Mouse, resolution),
    STATE(Ps2Mouse, rates),
    STATE(Ps2Mouse, identity),
    STATE(Ps2Mouse, buttons),
    STATE(Ps2Mouse, sent_buttons),
    STATE(Ps2Mouse, dx),
    STATE(Ps2Mouse, dy),
    STATE(Ps2Mouse, dz),
    { 0 },
};
