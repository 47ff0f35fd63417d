/* SPDX-License-Identifier: MIT */
/*
 * Keyboard controller of a PC (Intel 8042 as the IBM PS/2 uses it), with a PS/2 keyboard and a PS/2 mouse.
 *
 * What it answers itself is there at once. Bytes of the keyboard and the mouse come one after another at the pace of
 * their cables, so that software that reads a byte twice, as hooks of the keyboard's interrupt do, sees it twice.
 */
#include <string.h>

#include "base/bits.h"
#include "hw/input/ps2.h"
#include "machine/arch/pc.h"
#include "machine/arch/x86.h"
#include "machine/clock.h"
#include "machine/machine.h"

/* From the reading of a byte to the next; a cable needs about 1 ms. */
#define BYTE_NS INT64_C(200000)

enum {
    STATUS_OUTPUT_FULL = 0x01,
    STATUS_SYSTEM = 0x04,
    STATUS_COMMAND = 0x08,
    STATUS_UNLOCKED = 0x10,
    STATUS_MOUSE = 0x20,
};
/* The controller's first byte of memory. */
enum {
    MODE_KEYBOARD_IRQ = 0x01,
    MODE_MOUSE_IRQ = 0x02,
    MODE_SYSTEM = 0x04,
    MODE_KEYBOARD_OFF = 0x10,
    MODE_MOUSE_OFF = 0x20,
    MODE_TRANSLATE = 0x40,
};
enum {
    OUTPUT_NO_RESET = 0x01,
    OUTPUT_A20 = 0x02,
    OUTPUT_KEYBOARD = 0x10,
    OUTPUT_MOUSE = 0x20,
    OUTPUT_IDLE = 0xcc, /* pins without use, and the cable's lines between bytes */
};
enum {
    COMMAND_READ_MEMORY = 0x20,
    COMMAND_WRITE_MEMORY = 0x60,
    COMMAND_PASSWORD_TEST = 0xa4,
    COMMAND_MOUSE_OFF = 0xa7,
    COMMAND_MOUSE_ON = 0xa8,
    COMMAND_MOUSE_TEST = 0xa9,
    COMMAND_SELF_TEST = 0xaa,
    COMMAND_KEYBOARD_TEST = 0xab,
    COMMAND_KEYBOARD_OFF = 0xad,
    COMMAND_KEYBOARD_ON = 0xae,
    COMMAND_READ_INPUTS = 0xc0,
    COMMAND_READ_OUTPUTS = 0xd0,
    COMMAND_WRITE_OUTPUTS = 0xd1,
    COMMAND_WRITE_AS_KEYBOARD = 0xd2,
    COMMAND_WRITE_AS_MOUSE = 0xd3,
    COMMAND_WRITE_MOUSE = 0xd4,
    COMMAND_A20_OFF = 0xdd,
    COMMAND_A20_ON = 0xdf,
    COMMAND_READ_TESTS = 0xe0,
    COMMAND_PULSE = 0xf0,
    REPLY_SELF_TEST = 0x55,
    REPLY_NO_PASSWORD = 0xf1,
};

typedef enum { FROM_NOBODY, FROM_CONTROLLER, FROM_KEYBOARD, FROM_MOUSE } Source;

typedef struct {
    Device device;
    IrqLine irq[I8042_IRQ_COUNT];
    Timer timer; /* runs while the next byte is on its way */
    Ps2Keyboard keyboard;
    Ps2Mouse mouse;
    uint8_t memory[32]; /* the first byte is the mode */
    uint8_t status, data, source;
    uint8_t outputs; /* bits 1:0 of the output port */
    uint8_t command; /* whose parameter comes by port 0x60, 0: none */
    uint8_t release; /* translation: 0x80 after a set 2 break prefix */
} I8042;

static I8042 *i8042(Device *device)
{
    return container_of(device, I8042, device);
}

/* Set 2 to set 1. */
static const uint8_t translation[] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
    0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
    0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
    0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
    0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
    0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
    0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
    0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
    0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, 0x80, 0x81, 0x82, 0x41, 0x54,
};

static void update_irqs(I8042 *kbc)
{
    bool full = kbc->status & STATUS_OUTPUT_FULL, mouse = kbc->status & STATUS_MOUSE;

    irq_set(&kbc->irq[I8042_IRQ_KEYBOARD],
            full && !mouse && kbc->memory[0] & MODE_KEYBOARD_IRQ ? 1 : 0);
    irq_set(&kbc->irq[I8042_IRQ_MOUSE], full && mouse && kbc->memory[0] & MODE_MOUSE_IRQ ? 1 : 0);
}

static void fill(I8042 *kbc, Source source, uint8_t data)
{
    kbc->data = data;
    kbc->source = source;
    kbc->status |= STATUS_OUTPUT_FULL;
    kbc->status &= ~STATUS_MOUSE;
    if (source == FROM_MOUSE) {
        kbc->status |= STATUS_MOUSE;
    }
    update_irqs(kbc);
}

/* Takes a byte of the keyboard's; false: it was a prefix that the translation swallows. */
static bool take_key(I8042 *kbc)
{
    uint8_t byte = ps2_queue_take(&kbc->keyboard.queue);

    if (kbc->memory[0] & MODE_TRANSLATE) {
        if (byte == 0xf0) {
            kbc->release = 0x80;
            return false;
        }
        if (byte < sizeof translation) {
            byte = translation[byte] | kbc->release;
        }
        kbc->release = 0;
    }
    fill(kbc, FROM_KEYBOARD, byte);
    return true;
}

/* Takes the next byte of the keyboard or the mouse when there is room for it. */
static void pump(I8042 *kbc)
{
    if (kbc->status & STATUS_OUTPUT_FULL || timer_is_armed(&kbc->timer)) {
        return;
    }
    while (!(kbc->memory[0] & MODE_KEYBOARD_OFF) && kbc->keyboard.queue.count) {
        if (take_key(kbc)) {
            return;
        }
    }
    if (!(kbc->memory[0] & MODE_MOUSE_OFF) && kbc->mouse.queue.count) {
        fill(kbc, FROM_MOUSE, ps2_queue_take(&kbc->mouse.queue));
    }
}

static void pump_later(void *opaque)
{
    pump(opaque);
}

/* A byte that was not read is lost. */
static void reply(I8042 *kbc, uint8_t data)
{
    timer_cancel(&kbc->timer);
    fill(kbc, FROM_CONTROLLER, data);
}

static void set_mode(I8042 *kbc, uint8_t mode)
{
    kbc->memory[0] = mode;
    kbc->status = mode & MODE_SYSTEM ? kbc->status | STATUS_SYSTEM : kbc->status & ~STATUS_SYSTEM;
    update_irqs(kbc);
    pump(kbc);
}

static void write_outputs(I8042 *kbc, uint8_t value)
{
    kbc->outputs = value & (OUTPUT_A20 | OUTPUT_NO_RESET);
    x86_set_a20(kbc->device.machine->vcpus, value & OUTPUT_A20);
    if (!(value & OUTPUT_NO_RESET)) {
        machine_request_reset(kbc->device.machine, "guest");
    }
}

static uint8_t read_outputs(const I8042 *kbc)
{
    bool full = kbc->status & STATUS_OUTPUT_FULL, mouse = kbc->status & STATUS_MOUSE;

    return OUTPUT_IDLE | kbc->outputs | (full && !mouse ? OUTPUT_KEYBOARD : 0) |
           (full && mouse ? OUTPUT_MOUSE : 0);
}

/* Commands that answer, or only switch something; false: it is none of these. */
static bool run_simple_command(I8042 *kbc, uint8_t command)
{
    switch (command) {
    case COMMAND_PASSWORD_TEST:
        reply(kbc, REPLY_NO_PASSWORD);
        return true;
    case COMMAND_MOUSE_OFF:
        set_mode(kbc, kbc->memory[0] | MODE_MOUSE_OFF);
        return true;
    case COMMAND_MOUSE_ON:
        set_mode(kbc, kbc->memory[0] & ~MODE_MOUSE_OFF);
        return true;
    case COMMAND_MOUSE_TEST:
    case COMMAND_KEYBOARD_TEST:
        reply(kbc, 0);
        return true;
    case COMMAND_SELF_TEST:
        kbc->status |= STATUS_SYSTEM;
        kbc->memory[0] |= MODE_SYSTEM;
        reply(kbc, REPLY_SELF_TEST);
        return true;
    case COMMAND_KEYBOARD_OFF:
        set_mode(kbc, kbc->memory[0] | MODE_KEYBOARD_OFF);
        return true;
    case COMMAND_KEYBOARD_ON:
        set_mode(kbc, kbc->memory[0] & ~MODE_KEYBOARD_OFF);
        return true;
    case COMMAND_READ_INPUTS:
        reply(kbc, 0x80); /* the keyboard is not locked */
        return true;
    case COMMAND_READ_OUTPUTS:
        reply(kbc, read_outputs(kbc));
        return true;
    case COMMAND_READ_TESTS:
        reply(kbc, 0);
        return true;
    case COMMAND_A20_OFF:
        write_outputs(kbc, kbc->outputs & ~OUTPUT_A20);
        return true;
    case COMMAND_A20_ON:
        write_outputs(kbc, kbc->outputs | OUTPUT_A20);
        return true;
    default:
        return false;
    }
}

static void command_write(Device *device, unsigned index, uint64_t value)
{
    I8042 *kbc = i8042(device);
    uint8_t command = (uint8_t)value;

    kbc->command = 0;
    kbc->status |= STATUS_COMMAND;
    if ((command & 0xe0) == COMMAND_READ_MEMORY) {
        reply(kbc, kbc->memory[command & 0x1f]);
    } else if ((command & 0xe0) == COMMAND_WRITE_MEMORY ||
               (command >= COMMAND_WRITE_OUTPUTS && command <= COMMAND_WRITE_MOUSE)) {
        kbc->command = command;
    } else if (command >= COMMAND_PULSE) {
        if (!(command & OUTPUT_NO_RESET)) {
            machine_request_reset(device->machine, "guest");
        }
    } else if (!run_simple_command(kbc, command)) {
        log_guest_error("i8042", "unknown command %#x", command);
    }
}

static void data_write(Device *device, unsigned index, uint64_t value)
{
    I8042 *kbc = i8042(device);
    uint8_t command = kbc->command, data = (uint8_t)value;

    kbc->command = 0;
    kbc->status &= ~STATUS_COMMAND;
    switch (command) {
    case 0:
        kbc->memory[0] &= ~MODE_KEYBOARD_OFF;
        ps2_keyboard_write(&kbc->keyboard, data);
        break;
    case COMMAND_WRITE_MEMORY:
        set_mode(kbc, data);
        break;
    case COMMAND_WRITE_OUTPUTS:
        write_outputs(kbc, data);
        break;
    case COMMAND_WRITE_AS_KEYBOARD:
        fill(kbc, FROM_KEYBOARD, data);
        break;
    case COMMAND_WRITE_AS_MOUSE:
        fill(kbc, FROM_MOUSE, data);
        break;
    case COMMAND_WRITE_MOUSE:
        kbc->memory[0] &= ~MODE_MOUSE_OFF;
        ps2_mouse_write(&kbc->mouse, data);
        break;
    default:
        kbc->memory[command & 0x1f] = data;
    }
}

static uint64_t data_read(Device *device, unsigned index)
{
    I8042 *kbc = i8042(device);

    if (kbc->status & STATUS_OUTPUT_FULL) {
        kbc->status &= ~(STATUS_OUTPUT_FULL | STATUS_MOUSE);
        update_irqs(kbc);
        if (kbc->source != FROM_CONTROLLER) {
            timer_arm(&kbc->timer, clock_now_ns(device->machine) + BYTE_NS);
        }
        pump(kbc);
    }
    return kbc->data;
}

static uint64_t status_read(Device *device, unsigned index)
{
    return i8042(device)->status;
}

/* clang-format off */
static const Register data_registers[] = {
    { "DATA", 0, 1, REGISTER_RW, .field = offsetof(I8042, data), .read = data_read, .write = data_write },
    { 0 },
};
static const Register command_registers[] = {
    { "STATUS/COMMAND", 0, 1, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = status_read, .write = command_write },
    { 0 },
};
/* clang-format on */

static bool i8042_realize(Device *device, GError **error)
{
    I8042 *kbc = i8042(device);

    timer_init(&kbc->timer, device->machine, pump_later, kbc);
    for (unsigned i = 0; i < I8042_IRQ_COUNT; i++) {
        device_add_irq(device, &kbc->irq[i]);
    }
    ps2_keyboard_init(&kbc->keyboard, device->machine, pump_later, kbc);
    ps2_mouse_init(&kbc->mouse, device->machine, pump_later, kbc);
    return true;
}

static void i8042_unrealize(Device *device)
{
    I8042 *kbc = i8042(device);

    timer_cancel(&kbc->timer);
    ps2_keyboard_free(&kbc->keyboard);
    ps2_mouse_free(&kbc->mouse);
}

static void i8042_reset(Device *device)
{
    I8042 *kbc = i8042(device);

    timer_cancel(&kbc->timer);
    memset(kbc->memory, 0, sizeof kbc->memory);
    kbc->memory[0] = MODE_KEYBOARD_IRQ | MODE_MOUSE_IRQ;
    kbc->status = STATUS_COMMAND | STATUS_UNLOCKED;
    kbc->outputs = OUTPUT_NO_RESET | OUTPUT_A20;
    kbc->data = kbc->command = kbc->release = 0;
    kbc->source = FROM_NOBODY;
    ps2_keyboard_reset(&kbc->keyboard);
    ps2_mouse_reset(&kbc->mouse);
    update_irqs(kbc);
}

static void i8042_input(void *opaque, int number, int level)
{
    I8042 *kbc = i8042(opaque);

    if (number == I8042_INPUT_STIR_MOUSE && level) {
        ps2_mouse_stir(&kbc->mouse);
    }
}

static void i8042_state_loaded(Device *device)
{
    update_irqs(i8042(device));
}

static const DeviceType i8042_type = {
    .name = "i8042",
    .summary = "PC keyboard controller with keyboard and mouse",
    .category = "input",
    .board_only = true,
    .instance_size = sizeof(I8042),
    .banks =
        (const RegisterBank[]){
            { .name = "i8042-data", .size = 1, .registers = data_registers, .ports = true },
            { .name = "i8042-cmd", .size = 1, .registers = command_registers, .ports = true },
            { 0 } },
    .state = (const StateField[]){ STATE_STRUCT(I8042, keyboard, ps2_keyboard_state),
                                   STATE_STRUCT(I8042, mouse, ps2_mouse_state),
                                   STATE(I8042, memory),
                                   STATE(I8042, status),
                                   STATE(I8042, data),
                                   STATE_MOST(I8042, source, FROM_MOUSE),
                                   STATE(I8042, outputs),
                                   STATE(I8042, command),
                                   STATE(I8042, release),
                                   STATE_TIMER(I8042, timer),
                                   { 0 } },
    .input = i8042_input,
    .realize = i8042_realize,
    .unrealize = i8042_unrealize,
    .reset = i8042_reset,
    .state_loaded = i8042_state_loaded,
};
DEVICE_TYPE(i8042_type);
