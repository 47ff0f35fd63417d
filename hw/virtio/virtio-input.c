/* SPDX-License-Identifier: MIT */
/*
 * Virtio input devices (Virtio 1.2, 5.8): events as Linux's evdev has them. What the driver has no buffers for waits
 * here. Room for the releases of all keys that are down is kept, so a guest that reads late finds none stuck.
 */
#include "hw/virtio/virtio-input.h"

#include "base/bits.h"
#include "machine/machine.h"

enum { QUEUE_EVENTS = 0, QUEUE_STATUS = 1, RING_SIZE = 64, EVENT_BYTES = 8 };

/* Configuration (5.8.4). */
enum {
    CONFIG_SELECT = 0,
    CONFIG_SUBSELECT = 1,
    CONFIG_SIZE = 2,
    CONFIG_DATA = 8,
    CONFIG_DATA_BYTES = 128,
    SELECT_NAME = 0x01,
    SELECT_SERIAL = 0x02,
    SELECT_IDS = 0x03,
    SELECT_PROPERTIES = 0x10,
    SELECT_EVENTS = 0x11,
    SELECT_ABSOLUTE = 0x12,
    BUS_VIRTUAL = 6,
    VENDOR = 0x0627,
};

static VirtioInput *virtio_input(VirtioDevice *virtio)
{
    return container_of(virtio, VirtioInput, virtio);
}

static const VirtioInputModel *model_of(const VirtioInput *input)
{
    return container_of(input->virtio.type, const VirtioInputModel, virtio);
}

/* The queue. */

static void put(VirtioInput *input, uint16_t type, uint16_t code, int32_t value)
{
    input->queue[input->count++] = type | (uint64_t)code << 16 | (uint64_t)(uint32_t)value << 32;
}

static unsigned ready(const VirtioInput *input)
{
    return MIN(input->complete, input->count);
}

/* Fills the driver's buffers with what belongs to complete reports. */
static void deliver(VirtioInput *input)
{
    VirtQueue *queue = virtio_queue(&input->virtio, QUEUE_EVENTS);
    unsigned sent = 0;

    while (sent < ready(input)) {
        VirtioElement *element = virtqueue_pop(queue);
        uint8_t event[EVENT_BYTES];

        if (!element) {
            break;
        }
        store_le64(event, input->queue[sent++]);
        virtqueue_push(element, (uint32_t)iovec_from_buffer(element->in, element->in_count, 0,
                                                            event, sizeof event));
    }
    if (sent) {
        input->count -= (uint16_t)sent;
        input->complete -= (uint16_t)sent;
        memmove(input->queue, input->queue + sent, input->count * sizeof *input->queue);
        virtqueue_notify(queue);
    }
}

static void kick_events(VirtQueue *queue)
{
    deliver(virtio_input(queue->virtio));
}

/* Whether `events` more fit, beside the releases of what is down and an end of report for each. */
static bool has_room(const VirtioInput *input, unsigned events)
{
    unsigned fingers = (unsigned)__builtin_popcount(input->fingers);
    unsigned reserved = 2 * input->down_count + 3 * fingers + 2;

    return input->count + events + reserved <= VIRTIO_INPUT_QUEUE;
}

/* Events from people. */

static void put_key(VirtioInput *input, uint16_t code, bool down)
{
    uint8_t *byte = &input->down[code / 8], bit = (uint8_t)(1 << code % 8);

    if (code >= VIRTIO_INPUT_CODES || !(*byte & bit) == !down || (down && !has_room(input, 4))) {
        return;
    }
    *byte ^= bit;
    input->down_count = (uint16_t)(down ? input->down_count + 1 : input->down_count - 1);
    put(input, EVDEV_KEY, code, down);
}

static bool can_say(const VirtioInput *input, uint16_t type, uint16_t code)
{
    for (const VirtioInputCode *c = model_of(input)->codes; c->type != EVDEV_SYN; c++) {
        if (c->type == type && c->code == code) {
            return true;
        }
    }
    return false;
}

static void put_button(VirtioInput *input, unsigned button, bool down)
{
    static const struct {
        uint16_t type, code;
        int8_t step;
    } buttons[INPUT_BUTTON_COUNT] = {
        [INPUT_LEFT] = { EVDEV_KEY, EVDEV_BTN_LEFT, 0 },
        [INPUT_MIDDLE] = { EVDEV_KEY, EVDEV_BTN_MIDDLE, 0 },
        [INPUT_RIGHT] = { EVDEV_KEY, EVDEV_BTN_RIGHT, 0 },
        [INPUT_SIDE] = { EVDEV_KEY, EVDEV_BTN_SIDE, 0 },
        [INPUT_EXTRA] = { EVDEV_KEY, EVDEV_BTN_EXTRA, 0 },
        [INPUT_TOUCH] = { EVDEV_KEY, EVDEV_BTN_TOUCH, 0 },
        [INPUT_WHEEL_UP] = { EVDEV_REL, EVDEV_REL_WHEEL, 1 },
        [INPUT_WHEEL_DOWN] = { EVDEV_REL, EVDEV_REL_WHEEL, -1 },
        [INPUT_WHEEL_LEFT] = { EVDEV_REL, EVDEV_REL_HWHEEL, -1 },
        [INPUT_WHEEL_RIGHT] = { EVDEV_REL, EVDEV_REL_HWHEEL, 1 },
    };

    if (button >= INPUT_BUTTON_COUNT ||
        !can_say(input, buttons[button].type, buttons[button].code)) {
        return;
    }
    if (buttons[button].type == EVDEV_KEY) {
        put_key(input, buttons[button].code, down);
    } else if (down && has_room(input, 1)) {
        put(input, EVDEV_REL, buttons[button].code, buttons[button].step);
    }
}

static void choose_slot(VirtioInput *input, unsigned slot)
{
    if (input->slot != slot) {
        input->slot = (uint8_t)slot;
        put(input, EVDEV_ABS, EVDEV_ABS_MT_SLOT, (int32_t)slot);
    }
}

/* The first finger also touches, and the last one lets go, for drivers that know of one only. */
static void put_touch(VirtioInput *input, unsigned slot, unsigned touch, int32_t value)
{
    bool there = slot < INPUT_TOUCH_SLOTS && input->fingers >> slot & 1;
    bool ends = touch == INPUT_TOUCH_END || touch == INPUT_TOUCH_CANCEL;

    if (slot >= INPUT_TOUCH_SLOTS || touch == INPUT_TOUCH_UPDATE || (ends && !there) ||
        (there && touch == INPUT_TOUCH_BEGIN) || (!ends && !has_room(input, 8))) {
        return;
    }
    choose_slot(input, slot);
    switch (touch) {
    case INPUT_TOUCH_BEGIN:
        put(input, EVDEV_ABS, EVDEV_ABS_MT_TRACKING_ID, value & 0xffff);
        input->fingers |= (uint16_t)(1 << slot);
        put_key(input, EVDEV_BTN_TOUCH, true);
        break;
    case INPUT_TOUCH_END:
    case INPUT_TOUCH_CANCEL:
        put(input, EVDEV_ABS, EVDEV_ABS_MT_TRACKING_ID, -1);
        input->fingers &= (uint16_t) ~(1 << slot);
        put_key(input, EVDEV_BTN_TOUCH, input->fingers != 0);
        break;
    default:
        put(input, EVDEV_ABS,
            touch == INPUT_TOUCH_X ? EVDEV_ABS_MT_POSITION_X : EVDEV_ABS_MT_POSITION_Y,
            CLAMP(value, 0, INPUT_ABSOLUTE_MAX));
    }
}

void virtio_input_event(void *opaque, const InputEvent *event)
{
    VirtioInput *input = opaque;

    if (!virtio_running(&input->virtio)) {
        return;
    }
    switch (event->kind) {
    case INPUT_KEY:
        put_key(input, event->code, event->value);
        break;
    case INPUT_BUTTON:
        put_button(input, event->code, event->value);
        break;
    case INPUT_TOUCHES:
        put_touch(input, event->slot, event->code, event->value);
        break;
    case INPUT_RELATIVE:
        if (event->value && has_room(input, 1)) {
            put(input, EVDEV_REL, event->code == INPUT_X ? EVDEV_REL_X : EVDEV_REL_Y, event->value);
        }
        break;
    case INPUT_ABSOLUTE:
        if (has_room(input, 1)) {
            put(input, EVDEV_ABS, event->code == INPUT_X ? EVDEV_ABS_X : EVDEV_ABS_Y,
                CLAMP(event->value, 0, INPUT_ABSOLUTE_MAX));
        }
        break;
    }
}

void virtio_input_sync(void *opaque)
{
    VirtioInput *input = opaque;

    if (!virtio_running(&input->virtio)) {
        return;
    }
    if (input->count > input->complete) {
        put(input, EVDEV_SYN, 0, 0);
        input->complete = input->count;
    }
    deliver(input);
}

/* What the driver tells: lights. */

unsigned virtio_input_leds(void *opaque)
{
    return ((VirtioInput *)opaque)->leds;
}

static bool take_status(VirtQueue *queue, VirtioElement *element)
{
    static const uint8_t bits[] = { [EVDEV_LED_NUM] = INPUT_LED_NUM,
                                    [EVDEV_LED_CAPS] = INPUT_LED_CAPS,
                                    [EVDEV_LED_SCROLL] = INPUT_LED_SCROLL };
    VirtioInput *input = virtio_input(queue->virtio);
    uint8_t event[EVENT_BYTES] = { 0 };
    uint16_t type, code;

    iovec_to_buffer(element->out, element->out_count, 0, event, sizeof event);
    type = load_le16(event);
    code = load_le16(event + 2);
    if (type == EVDEV_LED && code < ARRAY_SIZE(bits) && model_of(input)->keyboard) {
        input->leds = load_le32(event + 4) ? input->leds | bits[code] : input->leds & ~bits[code];
    }
    virtqueue_push(element, 0);
    return true;
}

static void kick_status(VirtQueue *queue)
{
    virtqueue_process(queue, take_status);
}

/* Configuration. */

static unsigned set_bit(uint8_t *data, unsigned size, unsigned bit)
{
    if (bit / 8 >= CONFIG_DATA_BYTES) {
        return size;
    }
    data[bit / 8] |= (uint8_t)(1 << bit % 8);
    return MAX(size, bit / 8 + 1);
}

static unsigned put_codes(const VirtioInputModel *model, unsigned type, uint8_t *data)
{
    unsigned size = 0;

    for (const VirtioInputCode *c = model->codes; c->type != EVDEV_SYN; c++) {
        if (c->type == type) {
            size = set_bit(data, size, c->code);
        }
    }
    for (const InputKey *key = input_keys; model->keyboard && type == EVDEV_KEY && key->name;
         key++) {
        size = set_bit(data, size, key->code);
    }
    return size;
}

static unsigned put_axis(const VirtioInputModel *model, unsigned code, uint8_t *data)
{
    for (const VirtioInputCode *c = model->codes; c->type != EVDEV_SYN; c++) {
        if (c->type == EVDEV_ABS && c->code == code) {
            store_le32(data + 4, c->most); /* least, most, and no fuzz, flat and resolution */
            return 20;
        }
    }
    return 0;
}

static unsigned put_text(const char *text, uint8_t *data)
{
    size_t size = text ? MIN(strlen(text), CONFIG_DATA_BYTES) : 0;

    if (size) {
        memcpy(data, text, size);
    }
    return (unsigned)size;
}

static unsigned put_answer(const VirtioInput *input, uint8_t *data)
{
    const VirtioInputModel *model = model_of(input);

    switch (input->select) {
    case SELECT_NAME:
        return input->subselect ? 0 : put_text(model->handler.name, data);
    case SELECT_SERIAL:
        return input->subselect ? 0 : put_text(input->serial, data);
    case SELECT_IDS:
        store_le16(data, BUS_VIRTUAL);
        store_le16(data + 2, VENDOR);
        store_le16(data + 4, model->product);
        store_le16(data + 6, model->version);
        return input->subselect ? 0 : 8;
    case SELECT_PROPERTIES:
        return model->direct ? set_bit(data, 0, EVDEV_PROPERTY_DIRECT) : 0;
    case SELECT_EVENTS:
        return put_codes(model, input->subselect, data);
    case SELECT_ABSOLUTE:
        return put_axis(model, input->subselect, data);
    }
    return 0;
}

void virtio_input_config_read(VirtioDevice *virtio)
{
    VirtioInput *input = virtio_input(virtio);
    uint8_t *config = virtio->config;

    memset(config, 0, VIRTIO_INPUT_CONFIG);
    config[CONFIG_SELECT] = input->select;
    config[CONFIG_SUBSELECT] = input->subselect;
    config[CONFIG_SIZE] = (uint8_t)put_answer(input, config + CONFIG_DATA);
}

void virtio_input_config_written(VirtioDevice *virtio, unsigned offset, unsigned size)
{
    VirtioInput *input = virtio_input(virtio);

    if (offset <= CONFIG_SELECT && offset + size > CONFIG_SELECT) {
        input->select = virtio->config[CONFIG_SELECT];
    }
    if (offset <= CONFIG_SUBSELECT && offset + size > CONFIG_SUBSELECT) {
        input->subselect = virtio->config[CONFIG_SUBSELECT];
    }
}

/* Life. */

static void follow_driver(VirtioInput *input)
{
    if (virtio_running(&input->virtio)) {
        input_activate_handler(&input->handler);
    } else {
        input_deactivate_handler(&input->handler);
    }
}

void virtio_input_status_changed(VirtioDevice *virtio)
{
    follow_driver(virtio_input(virtio));
}

uint64_t virtio_input_features(VirtioDevice *virtio)
{
    return 0;
}

void virtio_input_reset(VirtioDevice *virtio)
{
    VirtioInput *input = virtio_input(virtio);

    input->count = input->complete = input->down_count = input->fingers = 0;
    input->slot = INPUT_TOUCH_SLOTS; /* none was told yet */
    input->select = input->subselect = input->leds = 0;
    memset(input->queue, 0, sizeof input->queue);
    memset(input->down, 0, sizeof input->down);
    follow_driver(input);
}

bool virtio_input_realize(VirtioDevice *virtio, GError **error)
{
    VirtioInput *input = virtio_input(virtio);

    virtio_add_queue(virtio, RING_SIZE, kick_events);
    virtio_add_queue(virtio, RING_SIZE, kick_status);
    input_add_handler(&input->handler, virtio_machine(virtio), &model_of(input)->handler, input);
    input_deactivate_handler(&input->handler);
    if (!input_set_display(&input->handler, input->display, input->head, error)) {
        input_remove_handler(&input->handler);
        return false;
    }
    return true;
}

void virtio_input_unrealize(VirtioDevice *virtio)
{
    input_remove_handler(&virtio_input(virtio)->handler);
}

void virtio_input_state_loaded(VirtioDevice *virtio)
{
    VirtioInput *input = virtio_input(virtio);

    input->complete = (uint16_t)ready(input);
    follow_driver(input);
}
