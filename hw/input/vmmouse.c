/* SPDX-License-Identifier: MIT */
/*
 * VMware's mouse: a pointer by absolute coordinates, read through the back door (open-vm-tools; Linux's vmmouse). Its one output
 * has the PS/2 mouse send a packet, by whose interrupt drivers come to read.
 */
#include <string.h>

#include "hw/misc/vmport.h"
#include "machine/input.h"
#include "machine/machine.h"

enum { QUEUE_WORDS = 1024, PACKET_WORDS = 4 };
/* Parameters of VMPORT_POINTER_COMMAND, what the first of them answers, and the upper half of the status. */
#define COMMAND_READ_ID  0x45414552u
#define COMMAND_DISABLE  0x000000f5u
#define COMMAND_RELATIVE 0x4c455252u
#define COMMAND_ABSOLUTE 0x53424152u
#define VERSION_ID       0x3442554au
#define STATUS_ERROR     0xffff0000u
/* The first word of a packet. */
enum { PACKET_MIDDLE = 0x08, PACKET_RIGHT = 0x10, PACKET_LEFT = 0x20, PACKET_RELATIVE = 0x10000 };

typedef enum { REPORTS_NOTHING, REPORTS_RELATIVE, REPORTS_ABSOLUTE } Reports;

typedef struct {
    Device device;
    InputHandler handler;
    IrqLine news;
    uint32_t queue[QUEUE_WORDS]; /* the oldest first */
    uint16_t count;
    uint8_t failed; /* until the guest begins anew: nothing is queued */
    uint8_t reports;
    uint32_t buttons; /* as packets have them */
    int32_t place[INPUT_AXIS_COUNT];
    int32_t wheel;
} Vmmouse;

static Vmmouse *vmmouse(Device *device)
{
    return container_of(device, Vmmouse, device);
}

/* --- from people --- */

static void handle_event(void *opaque, const InputEvent *event)
{
    static const uint8_t bits[INPUT_BUTTON_COUNT] = {
        [INPUT_LEFT] = PACKET_LEFT, [INPUT_RIGHT] = PACKET_RIGHT, [INPUT_MIDDLE] = PACKET_MIDDLE
    };
    Vmmouse *m = opaque;

    if (event->kind == INPUT_ABSOLUTE) {
        uint32_t value = (uint32_t)CLAMP(event->value, 0, INPUT_ABSOLUTE_MAX);

        m->place[event->code] = (int32_t)(value << 1 | value >> 14); /* 16 bits */
    } else if (event->kind == INPUT_RELATIVE) {
        /* Drivers take upwards as positive. */
        m->place[event->code] += event->code == INPUT_Y ? -event->value : event->value;
    } else if (bits[event->code]) {
        m->buttons =
            event->value ? m->buttons | bits[event->code] : m->buttons & ~bits[event->code];
    } else if (event->value && event->code == INPUT_WHEEL_UP) {
        m->wheel = -1;
    } else if (event->value && event->code == INPUT_WHEEL_DOWN) {
        m->wheel = 1;
    }
}

/* A packet that finds no room is lost; the next one has the place and the buttons again. */
static void handle_sync(void *opaque)
{
    Vmmouse *m = opaque;
    bool relative = m->reports == REPORTS_RELATIVE;
    uint32_t *packet = m->queue + m->count;

    if (m->count + PACKET_WORDS <= QUEUE_WORDS) {
        packet[0] = m->buttons | (relative ? PACKET_RELATIVE : 0);
        packet[1] = (uint32_t)m->place[INPUT_X];
        packet[2] = (uint32_t)m->place[INPUT_Y];
        packet[3] = (uint32_t)m->wheel;
        m->count += PACKET_WORDS;
    }
    m->wheel = 0;
    if (relative) {
        memset(m->place, 0, sizeof m->place);
    }
    irq_pulse(&m->news);
}

static const InputHandlerType handlers[] = {
    [REPORTS_RELATIVE] = { "vmmouse", INPUT_RELATIVE | INPUT_BUTTON, handle_event, handle_sync },
    [REPORTS_ABSOLUTE] = { "vmmouse", INPUT_ABSOLUTE | INPUT_BUTTON, handle_event, handle_sync },
};

static void set_reports(Vmmouse *m, Reports reports)
{
    input_remove_handler(&m->handler);
    m->reports = (uint8_t)reports;
    if (reports != REPORTS_NOTHING) {
        input_add_handler(&m->handler, m->device.machine, &handlers[reports], m);
    }
}

/* --- from the guest --- */

static bool give_status(Device *device, uint32_t *r)
{
    Vmmouse *m = vmmouse(device);

    r[VMPORT_EAX] = (m->failed ? STATUS_ERROR : 0) | m->count;
    return true;
}

/* EBX words, one to a register. */
static bool give_data(Device *device, uint32_t *r)
{
    Vmmouse *m = vmmouse(device);
    uint32_t words = r[VMPORT_EBX];

    if (words == 0 || words > VMPORT_REGISTERS || words > m->count) {
        log_guest_error(device->id, "%u words asked for, %u are there", words, m->count);
        m->failed = 1;
        return true;
    }
    memcpy(r, m->queue, words * sizeof *r);
    m->count -= (uint16_t)words;
    memmove(m->queue, m->queue + words, m->count * sizeof *m->queue);
    return true;
}

static bool take_command(Device *device, uint32_t *r)
{
    Vmmouse *m = vmmouse(device);

    switch (r[VMPORT_EBX]) {
    case COMMAND_READ_ID:
        m->failed = 0;
        m->count = 1;
        m->queue[0] = VERSION_ID;
        break;
    case COMMAND_DISABLE:
        m->failed = 1;
        m->count = 0;
        set_reports(m, REPORTS_NOTHING);
        break;
    case COMMAND_RELATIVE:
        memset(m->place, 0, sizeof m->place);
        set_reports(m, m->failed ? REPORTS_NOTHING : REPORTS_RELATIVE);
        break;
    case COMMAND_ABSOLUTE:
        set_reports(m, m->failed ? REPORTS_NOTHING : REPORTS_ABSOLUTE);
        break;
    default:
        log_guest_error(device->id, "unknown command %#x", r[VMPORT_EBX]);
    }
    return true;
}

/* --- life --- */

static bool realize(Device *device, GError **error)
{
    device_add_irq(device, &vmmouse(device)->news);
    vmport_add_command(device, VMPORT_POINTER_STATUS, give_status);
    vmport_add_command(device, VMPORT_POINTER_DATA, give_data);
    vmport_add_command(device, VMPORT_POINTER_COMMAND, take_command);
    return true;
}

static void unrealize(Device *device)
{
    input_remove_handler(&vmmouse(device)->handler);
}

static void reset(Device *device)
{
    Vmmouse *m = vmmouse(device);

    memset(m->queue, 0, sizeof m->queue);
    memset(m->place, 0, sizeof m->place);
    m->count = 0;
    m->failed = 1;
    m->buttons = 0;
    m->wheel = 0;
    set_reports(m, REPORTS_NOTHING);
}

static void state_loaded(Device *device)
{
    Vmmouse *m = vmmouse(device);

    set_reports(m, m->reports);
}

static const StateField state[] = {
    STATE(Vmmouse, queue),
    STATE_MOST(Vmmouse, count, QUEUE_WORDS),
    STATE_MOST(Vmmouse, failed, 1),
    STATE_MOST(Vmmouse, reports, REPORTS_ABSOLUTE),
    STATE(Vmmouse, buttons),
    STATE(Vmmouse, place),
    STATE(Vmmouse, wheel),
    STATE_DERIVED(Vmmouse, handler),
    { 0 },
};

static const DeviceType vmmouse_type = {
    .name = "vmmouse",
    .summary = "VMware's absolute pointer",
    .bus = "vmport",
    .category = "input",
    .board_only = true,
    .instance_size = sizeof(Vmmouse),
    .state = state,
    .realize = realize,
    .unrealize = unrealize,
    .reset = reset,
    .state_loaded = state_loaded,
};
DEVICE_TYPE(vmmouse_type);
