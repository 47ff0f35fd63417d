/* SPDX-License-Identifier: MIT */
#include "hw/usb/hid.h"

#include <string.h>

#include "base/error.h"

enum {
    GET_REPORT = 0x01,
    GET_IDLE = 0x02,
    GET_PROTOCOL = 0x03,
    SET_REPORT = 0x09,
    SET_IDLE = 0x0a,
    SET_PROTOCOL = 0x0b,
    GET_DESCRIPTOR = 0x06,
    TYPE_CLASS_IN = 0xa1,
    TYPE_CLASS_OUT = 0x21,
    TYPE_STANDARD_IN = 0x81,
    DESCRIPTOR_HID = 0x21,
    DESCRIPTOR_REPORT = 0x22,
    REPORT_OUTPUT = 2,
    IDLE_UNIT_MS = 4,
    RELEASE = 0x100, /* in events */
    FARTHEST = 1 << 20,
};
#define NS_PER_MS INT64_C(1000000)

static void tell(UsbHid *hid)
{
    if (hid->usb.configuration) {
        usb_ready(&hid->usb, HID_ENDPOINT_IN);
    }
}

/* Keys. Usages are those of the HID usage tables, page 7; codes are Linux's. */

static const uint8_t usages[] = {
    [1] = 0x29,   [2] = 0x1e,   [3] = 0x1f,   [4] = 0x20,   [5] = 0x21,   [6] = 0x22,
    [7] = 0x23,   [8] = 0x24,   [9] = 0x25,   [10] = 0x26,  [11] = 0x27,  [12] = 0x2d,
    [13] = 0x2e,  [14] = 0x2a,  [15] = 0x2b,  [16] = 0x14,  [17] = 0x1a,  [18] = 0x08,
    [19] = 0x15,  [20] = 0x17,  [21] = 0x1c,  [22] = 0x18,  [23] = 0x0c,  [24] = 0x12,
    [25] = 0x13,  [26] = 0x2f,  [27] = 0x30,  [28] = 0x28,  [29] = 0xe0,  [30] = 0x04,
    [31] = 0x16,  [32] = 0x07,  [33] = 0x09,  [34] = 0x0a,  [35] = 0x0b,  [36] = 0x0d,
    [37] = 0x0e,  [38] = 0x0f,  [39] = 0x33,  [40] = 0x34,  [41] = 0x35,  [42] = 0xe1,
    [43] = 0x31,  [44] = 0x1d,  [45] = 0x1b,  [46] = 0x06,  [47] = 0x19,  [48] = 0x05,
    [49] = 0x11,  [50] = 0x10,  [51] = 0x36,  [52] = 0x37,  [53] = 0x38,  [54] = 0xe5,
    [55] = 0x55,  [56] = 0xe2,  [57] = 0x2c,  [58] = 0x39,  [59] = 0x3a,  [60] = 0x3b,
    [61] = 0x3c,  [62] = 0x3d,  [63] = 0x3e,  [64] = 0x3f,  [65] = 0x40,  [66] = 0x41,
    [67] = 0x42,  [68] = 0x43,  [69] = 0x53,  [70] = 0x47,  [71] = 0x5f,  [72] = 0x60,
    [73] = 0x61,  [74] = 0x56,  [75] = 0x5c,  [76] = 0x5d,  [77] = 0x5e,  [78] = 0x57,
    [79] = 0x59,  [80] = 0x5a,  [81] = 0x5b,  [82] = 0x62,  [83] = 0x63,  [85] = 0x94,
    [86] = 0x64,  [87] = 0x44,  [88] = 0x45,  [89] = 0x87,  [90] = 0x92,  [91] = 0x93,
    [92] = 0x8a,  [93] = 0x88,  [94] = 0x8b,  [95] = 0x8c,  [96] = 0x58,  [97] = 0xe4,
    [98] = 0x54,  [99] = 0x46,  [100] = 0xe6, [102] = 0x4a, [103] = 0x52, [104] = 0x4b,
    [105] = 0x50, [106] = 0x4f, [107] = 0x4d, [108] = 0x51, [109] = 0x4e, [110] = 0x49,
    [111] = 0x4c, [113] = 0x7f, [114] = 0x81, [115] = 0x80, [116] = 0x66, [117] = 0x67,
    [119] = 0x48, [121] = 0x85, [122] = 0x90, [123] = 0x91, [124] = 0x89, [125] = 0xe3,
    [126] = 0xe7, [127] = 0x65, [128] = 0x78, [129] = 0x79, [130] = 0x76, [131] = 0x7a,
    [132] = 0x77, [133] = 0x7c, [134] = 0x74, [135] = 0x7d, [136] = 0x7e, [137] = 0x7b,
    [138] = 0x75, [183] = 0x68, [184] = 0x69, [185] = 0x6a, [186] = 0x6b, [187] = 0x6c,
    [188] = 0x6d, [189] = 0x6e, [190] = 0x6f, [191] = 0x70, [192] = 0x71, [193] = 0x72,
    [194] = 0x73,
};

/* Room for the releases of all that is down is kept, and no more is down than the host can be told of. */
void hid_key_event(void *opaque, const InputEvent *event)
{
    UsbHid *hid = opaque;
    uint8_t usage = event->code < ARRAY_SIZE(usages) ? usages[event->code] : 0;
    uint8_t *byte = &hid->wanted[usage / 8], bit = (uint8_t)(1 << usage % 8);
    bool full =
        hid->event_count + hid->wanted_count + 2 > HID_EVENTS || hid->wanted_count >= HID_KEYS;

    if (!usage || !hid->usb.configuration || !(*byte & bit) == !event->value ||
        (event->value && full)) {
        return;
    }
    *byte ^= bit;
    hid->wanted_count = (uint8_t)(event->value ? hid->wanted_count + 1 : hid->wanted_count - 1);
    hid->events[hid->event_count++] = usage | (event->value ? 0 : RELEASE);
    tell(hid);
}

unsigned hid_leds(void *opaque)
{
    return ((UsbHid *)opaque)->leds;
}

static void release_key(UsbHid *hid, uint8_t usage)
{
    for (unsigned i = 0; i < hid->down_count; i++) {
        if (hid->down[i] == usage) {
            hid->down_count--;
            memmove(hid->down + i, hid->down + i + 1, hid->down_count - i);
            return;
        }
    }
}

void hid_next_key(UsbHid *hid)
{
    uint16_t event = hid->events[0];

    if (!hid->event_count) {
        return;
    }
    hid->event_count--;
    memmove(hid->events, hid->events + 1, hid->event_count * sizeof *hid->events);
    if (event & RELEASE) {
        release_key(hid, (uint8_t)event);
    } else if (hid->down_count < HID_KEYS) {
        hid->down[hid->down_count++] = (uint8_t)event;
    }
}

/* Pointers. */

static void add(int32_t *sum, int32_t by)
{
    *sum = (int32_t)CLAMP((int64_t)*sum + by, -FARTHEST, FARTHEST);
}

/* A change of buttons begins a new sample, so that no click is lost; of many the newest are joined. */
static void complete_sample(UsbHid *hid)
{
    if (!hid->changed) {
        return;
    }
    if (hid->sample_count == HID_SAMPLES) {
        int32_t *last = hid->samples[HID_SAMPLES - 1];
        bool absolute = hid_type(hid)->handler.kinds & INPUT_ABSOLUTE;

        for (unsigned f = HID_X; f < HID_FIELD_COUNT; f++) {
            bool place = absolute && f <= HID_Y;

            last[f] = place ? hid->now[f] : last[f];
            if (!place) {
                add(&last[f], hid->now[f]);
            }
        }
        last[HID_BUTTONS] = hid->now[HID_BUTTONS];
    } else {
        memcpy(hid->samples[hid->sample_count++], hid->now, sizeof hid->now);
    }
    if (!(hid_type(hid)->handler.kinds & INPUT_ABSOLUTE)) {
        hid->now[HID_X] = hid->now[HID_Y] = 0;
    }
    hid->now[HID_WHEEL] = hid->now[HID_PAN] = 0;
    hid->changed = 0;
}

static void set_button(UsbHid *hid, unsigned button, bool down)
{
    static const struct {
        uint8_t bit;
        int8_t wheel, pan;
    } buttons[INPUT_BUTTON_COUNT] = {
        [INPUT_LEFT] = { 1, 0, 0 },        [INPUT_RIGHT] = { 2, 0, 0 },
        [INPUT_MIDDLE] = { 4, 0, 0 },      [INPUT_SIDE] = { 8, 0, 0 },
        [INPUT_EXTRA] = { 16, 0, 0 },      [INPUT_WHEEL_UP] = { 0, 1, 0 },
        [INPUT_WHEEL_DOWN] = { 0, -1, 0 }, [INPUT_WHEEL_LEFT] = { 0, 0, -1 },
        [INPUT_WHEEL_RIGHT] = { 0, 0, 1 }, [INPUT_TOUCH] = { 1, 0, 0 },
    };
    int32_t now = hid->now[HID_BUTTONS], bit;

    if (button >= INPUT_BUTTON_COUNT) {
        return;
    }
    bit = buttons[button].bit;
    if (down) {
        add(&hid->now[HID_WHEEL], buttons[button].wheel);
        add(&hid->now[HID_PAN], buttons[button].pan);
        hid->changed |= !bit;
    }
    if (bit && !(now & bit) != !down) {
        complete_sample(hid);
        hid->now[HID_BUTTONS] = now ^ bit;
        hid->changed = 1;
    }
}

void hid_pointer_event(void *opaque, const InputEvent *event)
{
    UsbHid *hid = opaque;
    unsigned field = event->code == INPUT_X ? HID_X : HID_Y;

    if (!hid->usb.configuration) {
        return;
    }
    if (event->kind == INPUT_BUTTON) {
        set_button(hid, event->code, event->value);
    } else if (event->kind == INPUT_RELATIVE) {
        add(&hid->now[field], event->value);
        hid->changed |= event->value != 0;
    } else {
        hid->now[field] = CLAMP(event->value, 0, INPUT_ABSOLUTE_MAX);
        hid->changed = 1;
    }
}

void hid_pointer_sync(void *opaque)
{
    UsbHid *hid = opaque;

    if (hid->changed || hid->sample_count) {
        tell(hid);
    }
}

/* The most that one report can say of each field; what is more stays for the next. */
static void take_part(int32_t *from, int32_t *part, HidField field, bool relative)
{
    if (field == HID_BUTTONS || (!relative && field <= HID_Y)) {
        *part = *from;
        return;
    }
    *part = CLAMP(*from, -127, 127);
    *from -= *part;
}

bool hid_next_sample(UsbHid *hid, int32_t sample[HID_FIELD_COUNT], bool relative, bool take)
{
    int32_t before[HID_FIELD_COUNT], *from = hid->sample_count ? hid->samples[0] : hid->now;
    bool news = hid->sample_count || hid->changed, rest = false;

    memcpy(before, from, sizeof before);
    for (unsigned f = 0; f < HID_FIELD_COUNT; f++) {
        take_part(&from[f], &sample[f], f, relative);
        rest |= f != HID_BUTTONS && !(f <= HID_Y && !relative) && from[f];
    }
    if (!take) {
        memcpy(from, before, sizeof before);
    } else if (from == hid->now) {
        hid->changed = rest;
    } else if (!rest) {
        hid->sample_count--;
        memmove(hid->samples, hid->samples + 1, hid->sample_count * sizeof *hid->samples);
    }
    return news;
}

/* The host. */

static bool has_news(const UsbHid *hid)
{
    return hid->event_count || hid->sample_count || hid->changed || hid->again;
}

static void arm_idle(UsbHid *hid)
{
    if (hid->idle) {
        timer_arm(&hid->idle_timer,
                  clock_now_ns(hid->usb.device.machine) + hid->idle * IDLE_UNIT_MS * NS_PER_MS);
    } else {
        timer_cancel(&hid->idle_timer);
    }
}

static void idle_over(void *opaque)
{
    UsbHid *hid = opaque;

    hid->again = 1;
    tell(hid);
}

UsbStatus hid_transfer(UsbDevice *usb, UsbPacket *packet)
{
    UsbHid *hid = usb_hid(usb);
    uint8_t report[HID_REPORT_MAX] = { 0 };
    unsigned size;

    if (packet->token != USB_TOKEN_IN) {
        return USB_STALL;
    }
    if (!has_news(hid)) {
        return USB_NAK;
    }
    hid->again = 0;
    size = hid_type(hid)->report(hid, report, true);
    usb_packet_put(packet, report, size);
    arm_idle(hid);
    return USB_DONE;
}

static UsbStatus get_descriptor(UsbHid *hid, unsigned kind, uint8_t *data, uint32_t *length)
{
    const UsbInterface *interface = hid->usb.type->interfaces;
    const HidType *type = hid_type(hid);
    uint32_t room = *length;

    switch (kind) {
    case DESCRIPTOR_HID:
        *length = MIN(room, interface->extra_size);
        memcpy(data, interface->extra, *length);
        return USB_DONE;
    case DESCRIPTOR_REPORT:
        *length = MIN(room, type->report_size);
        memcpy(data, type->report_descriptor, *length);
        return USB_DONE;
    }
    return USB_STALL;
}

static UsbStatus get_byte(uint8_t value, uint8_t *data, uint32_t *length)
{
    *data = value;
    *length = 1;
    return USB_DONE;
}

/* An output report is the lights of a keyboard: num, caps and scroll lock from bit 0 on. */
static UsbStatus set_report(UsbHid *hid, unsigned kind, const uint8_t *data, uint32_t length)
{
    if (kind == REPORT_OUTPUT && length && hid_type(hid)->handler.leds) {
        hid->leds = (uint8_t)((*data & 1 ? INPUT_LED_NUM : 0) | (*data & 2 ? INPUT_LED_CAPS : 0) |
                              (*data & 4 ? INPUT_LED_SCROLL : 0));
    }
    return USB_DONE;
}

UsbStatus hid_control(UsbDevice *usb, const UsbSetup *setup, uint8_t *data, uint32_t *length)
{
    UsbHid *hid = usb_hid(usb);

    switch (setup->type << 8 | setup->request) {
    case TYPE_STANDARD_IN << 8 | GET_DESCRIPTOR:
        return get_descriptor(hid, setup->value >> 8, data, length);
    case TYPE_CLASS_IN << 8 | GET_REPORT: {
        uint8_t report[HID_REPORT_MAX] = { 0 };

        *length = MIN(*length, hid_type(hid)->report(hid, report, false));
        memcpy(data, report, *length);
        return USB_DONE;
    }
    case TYPE_CLASS_IN << 8 | GET_IDLE:
        return get_byte(hid->idle, data, length);
    case TYPE_CLASS_IN << 8 | GET_PROTOCOL:
        return get_byte(!hid->boot, data, length);
    case TYPE_CLASS_OUT << 8 | SET_REPORT:
        return set_report(hid, setup->value >> 8, data, *length);
    case TYPE_CLASS_OUT << 8 | SET_IDLE:
        hid->idle = (uint8_t)(setup->value >> 8);
        arm_idle(hid);
        return USB_DONE;
    case TYPE_CLASS_OUT << 8 | SET_PROTOCOL:
        hid->boot = !(setup->value & 1);
        return USB_DONE;
    }
    return USB_STALL;
}

/* Life. */

void hid_configured(UsbDevice *usb)
{
    UsbHid *hid = usb_hid(usb);

    if (usb->configuration) {
        input_activate_handler(&hid->handler);
    } else {
        input_deactivate_handler(&hid->handler);
    }
}

void hid_reset(UsbDevice *usb)
{
    UsbHid *hid = usb_hid(usb);

    timer_cancel(&hid->idle_timer);
    hid->idle = hid->boot = hid->again = hid->leds = 0;
    hid->event_count = hid->down_count = hid->wanted_count = hid->sample_count = hid->changed = 0;
    memset(hid->events, 0, sizeof hid->events);
    memset(hid->down, 0, sizeof hid->down);
    memset(hid->wanted, 0, sizeof hid->wanted);
    memset(hid->samples, 0, sizeof hid->samples);
    memset(hid->now, 0, sizeof hid->now);
    input_deactivate_handler(&hid->handler);
}

bool hid_realize(UsbDevice *usb, GError **error)
{
    UsbHid *hid = usb_hid(usb);
    Machine *machine = usb->device.machine;

    timer_init(&hid->idle_timer, machine, idle_over, hid);
    input_add_handler(&hid->handler, machine, &hid_type(hid)->handler, hid);
    input_deactivate_handler(&hid->handler);
    if (!input_set_display(&hid->handler, hid->display, hid->head, error)) {
        input_remove_handler(&hid->handler);
        return false;
    }
    return true;
}

void hid_unrealize(UsbDevice *usb)
{
    timer_cancel(&usb_hid(usb)->idle_timer);
    input_remove_handler(&usb_hid(usb)->handler);
}

void hid_state_loaded(UsbDevice *usb)
{
    hid_configured(usb);
}

bool hid_state_check(Device *device, GError **error)
{
    const UsbHid *hid = usb_hid(usb_device(device));

    if (hid->event_count + hid->wanted_count > HID_EVENTS) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "the saved state of %s does not fit: %u events, %u keys down", device->id,
                          hid->event_count, hid->wanted_count);
    }
    return true;
}

const StateField hid_state[] = {
    USB_STATE(UsbHid, usb),
    STATE_DERIVED(UsbHid, handler),
    STATE_TIMER(UsbHid, idle_timer),
    STATE(UsbHid, idle),
    STATE_MOST(UsbHid, boot, 1),
    STATE_MOST(UsbHid, again, 1),
    STATE_MOST(UsbHid, leds, 7),
    STATE(UsbHid, events),
    STATE_MOST(UsbHid, event_count, HID_EVENTS),
    STATE(UsbHid, down),
    STATE_MOST(UsbHid, down_count, HID_KEYS),
    STATE(UsbHid, wanted),
    STATE_MOST(UsbHid, wanted_count, HID_KEYS),
    STATE_ARRAY(UsbHid, samples, int32_t),
    STATE_MOST(UsbHid, sample_count, HID_SAMPLES),
    STATE(UsbHid, now),
    STATE_MOST(UsbHid, changed, 1),
    { 0 },
};
