/* SPDX-License-Identifier: MIT */
/* xHCI: the command ring, slots and contexts (4.6, 6.2). */
#include "base/bits.h"
#include "hw/usb/xhci.h"

enum {
    RUN_BUDGET = 256,
    COMMAND_DECONFIGURE = 1 << 9,
    COMMAND_BLOCK_ADDRESS = 1 << 9,

    SLOT_DEFAULT = 1,
    SLOT_ADDRESSED = 2,
    SLOT_CONFIGURED = 3,
    SLOT_STATE_SHIFT = 27,
    SLOT_CONTEXT_WORDS = XHCI_CONTEXT / 4,
    ROUTE = 0xfffff,
    ENTRIES_SHIFT = 27,
    NEC_FIRMWARE = 0x3025,
    /* Of an endpoint context. */
    MAX_INTERVAL = 15,
};

static XhciSlot *slot_of(Xhci *xhci, unsigned number)
{
    return number >= 1 && number <= xhci->slot_count ? &xhci->slots[number - 1] : NULL;
}

static bool read_words(Xhci *xhci, uint64_t address, uint32_t *words, unsigned count)
{
    if (!xhci_read(xhci, address, words, 4 * count)) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        words[i] = load_le32((const uint8_t *)&words[i]);
    }
    return true;
}

static bool write_words(Xhci *xhci, uint64_t address, const uint32_t *words, unsigned count)
{
    uint8_t bytes[XHCI_CONTEXT];

    for (unsigned i = 0; i < count; i++) {
        store_le32(bytes + 4 * i, words[i]);
    }
    return xhci_write(xhci, address, bytes, 4 * count);
}

static void set_slot_state(uint32_t *context, unsigned state)
{
    context[3] = bits_deposit(context[3], SLOT_STATE_SHIFT, 5, state);
}

/* Endpoints. */

static void disable_endpoint(Xhci *xhci, unsigned slot, unsigned endpoint)
{
    xhci_stop_endpoint(xhci, slot, endpoint);
    xhci->slots[slot - 1].endpoints[endpoint - 1] = (XhciEndpoint){ 0 };
    xhci_set_endpoint_state(xhci, slot, endpoint, ENDPOINT_DISABLED);
}

/* Streams are for bulk endpoints, in one linear array (6.2.3). */
static bool streams_allowed(const Xhci *xhci, const uint32_t *context)
{
    enum { LINEAR = 1 << 15 };
    unsigned streams = context[0] >> 10 & 0x1f, type = context[1] >> 3 & 7;

    return !streams || (xhci->streams && streams <= XHCI_STREAMS && context[0] & LINEAR &&
                        (type == TYPE_BULK_IN || type == TYPE_BULK_OUT));
}

static XhciCode enable_endpoint(Xhci *xhci, unsigned slot, unsigned endpoint, uint64_t input)
{
    XhciSlot *s = &xhci->slots[slot - 1];
    uint32_t context[SLOT_CONTEXT_WORDS];
    XhciEndpoint *e = &s->endpoints[endpoint - 1];

    if (!read_words(xhci, input + (uint64_t)XHCI_CONTEXT * (endpoint + 1), context,
                    SLOT_CONTEXT_WORDS) ||
        !streams_allowed(xhci, context)) {
        return CODE_PARAMETER;
    }
    xhci_stop_endpoint(xhci, slot, endpoint);
    *e = (XhciEndpoint){
        .state = ENDPOINT_RUNNING,
        .type = context[1] >> 3 & 7,
        .interval = (uint8_t)MIN(context[0] >> 16 & 0xff, MAX_INTERVAL),
        .streams = context[0] >> 10 & 0x1f,
        .ring = { .dequeue = ((uint64_t)context[3] << 32 | context[2]) & ~UINT64_C(0xf),
                  .cycle = context[2] & 1 },
    };
    context[0] = (context[0] & ~7u) | ENDPOINT_RUNNING;
    return write_words(xhci, s->context + (uint64_t)XHCI_CONTEXT * endpoint, context,
                       SLOT_CONTEXT_WORDS)
               ? CODE_SUCCESS
               : CODE_PARAMETER;
}

/* Slots. */

static XhciCode enable_slot(Xhci *xhci, unsigned *number)
{
    for (unsigned i = 1; i <= xhci->slot_count; i++) {
        if (!xhci->slots[i - 1].enabled) {
            xhci->slots[i - 1] = (XhciSlot){ .enabled = 1 };
            *number = i;
            return CODE_SUCCESS;
        }
    }
    return CODE_NO_SLOTS;
}

void xhci_disable_slot(Xhci *xhci, unsigned number)
{
    for (unsigned e = 1; e <= XHCI_ENDPOINTS; e++) {
        xhci_stop_endpoint(xhci, number, e);
    }
    xhci->slots[number - 1] = (XhciSlot){ 0 };
}

static bool place_taken(const Xhci *xhci, const XhciSlot *self, unsigned port, uint32_t route)
{
    for (unsigned i = 0; i < xhci->slot_count; i++) {
        const XhciSlot *s = &xhci->slots[i];

        if (s != self && s->addressed && s->port == port && s->route == route) {
            return true;
        }
    }
    return false;
}

static bool set_address(UsbDevice *usb, unsigned address)
{
    uint8_t setup[8] = { 0, 5 };
    struct iovec iov = { setup, sizeof setup };
    UsbPacket packet = { .token = USB_TOKEN_SETUP, .iov = &iov, .iov_count = 1, .size = 8 };
    UsbPacket status = { .token = USB_TOKEN_IN };

    store_le16(setup + 2, (uint16_t)address);
    return usb_device_handle(usb, &packet) == USB_DONE &&
           usb_device_handle(usb, &status) == USB_DONE;
}

/* Finds the device that the slot context points at. */
static XhciCode place_slot(Xhci *xhci, XhciSlot *s, const uint32_t *context, UsbDevice **usb)
{
    unsigned port = context[1] >> 16 & 0xff;
    uint32_t route = context[0] & ROUTE;
    UsbPort *socket = xhci_port_socket(xhci, port);

    if (!socket || place_taken(xhci, s, port, route)) {
        return CODE_TRB;
    }
    *usb = socket->enabled ? usb_port_route(socket, route) : NULL;
    s->port = (uint8_t)port;
    s->route = route;
    s->interrupter = (uint16_t)MIN(context[2] >> 22, XHCI_INTERRUPTERS_MAX - 1);
    return *usb ? CODE_SUCCESS : CODE_TRANSACTION;
}

static bool find_context(Xhci *xhci, XhciSlot *s, unsigned number)
{
    uint64_t table = (uint64_t)xhci->dcbaap_high << 32 | (xhci->dcbaap_low & ~UINT32_C(0x3f));
    uint8_t pointer[8];

    if (!xhci_read(xhci, table + 8 * number, pointer, sizeof pointer)) {
        return false;
    }
    s->context = load_le64(pointer) & ~UINT64_C(0x3f);
    return true;
}

static XhciCode address_device(Xhci *xhci, unsigned number, uint64_t input, bool only_default)
{
    XhciSlot *s = &xhci->slots[number - 1];
    uint32_t control[2], context[SLOT_CONTEXT_WORDS];
    UsbDevice *usb = NULL;
    XhciCode code;

    if (!read_words(xhci, input, control, 2) ||
        !read_words(xhci, input + XHCI_CONTEXT, context, SLOT_CONTEXT_WORDS) ||
        !find_context(xhci, s, number)) {
        return CODE_PARAMETER;
    }
    if (control[0] || control[1] != 3) {
        return CODE_TRB; /* the slot and the control endpoint, and nothing dropped */
    }
    code = place_slot(xhci, s, context, &usb);
    if (code == CODE_SUCCESS && !only_default && !set_address(usb, number)) {
        code = CODE_TRANSACTION;
    }
    if (code == CODE_SUCCESS) {
        code = enable_endpoint(xhci, number, 1, input);
    }
    if (code != CODE_SUCCESS) {
        return code;
    }
    context[3] = only_default ? 0 : number;
    set_slot_state(context, only_default ? SLOT_DEFAULT : SLOT_ADDRESSED);
    s->addressed = 1;
    return write_words(xhci, s->context, context, SLOT_CONTEXT_WORDS) ? CODE_SUCCESS
                                                                      : CODE_PARAMETER;
}

static XhciCode deconfigure(Xhci *xhci, unsigned number)
{
    XhciSlot *s = &xhci->slots[number - 1];
    uint32_t context[SLOT_CONTEXT_WORDS];

    for (unsigned e = 2; e <= XHCI_ENDPOINTS; e++) {
        disable_endpoint(xhci, number, e);
    }
    if (!read_words(xhci, s->context, context, SLOT_CONTEXT_WORDS)) {
        return CODE_PARAMETER;
    }
    set_slot_state(context, SLOT_ADDRESSED);
    context[0] = bits_deposit(context[0], ENTRIES_SHIFT, 5, 1);
    return write_words(xhci, s->context, context, SLOT_CONTEXT_WORDS) ? CODE_SUCCESS
                                                                      : CODE_PARAMETER;
}

static XhciCode configure(Xhci *xhci, unsigned number, uint64_t input)
{
    XhciSlot *s = &xhci->slots[number - 1];
    uint32_t control[2], wanted[SLOT_CONTEXT_WORDS], context[SLOT_CONTEXT_WORDS];
    XhciCode code = CODE_SUCCESS;

    if (!read_words(xhci, input, control, 2) ||
        !read_words(xhci, input + XHCI_CONTEXT, wanted, SLOT_CONTEXT_WORDS) ||
        !read_words(xhci, s->context, context, SLOT_CONTEXT_WORDS)) {
        return CODE_PARAMETER;
    }
    if (control[0] & 3 || !(control[1] & 1)) {
        return CODE_TRB;
    }
    if (context[3] >> SLOT_STATE_SHIFT < SLOT_ADDRESSED) {
        return CODE_CONTEXT_STATE;
    }
    for (unsigned e = 2; e <= XHCI_ENDPOINTS && code == CODE_SUCCESS; e++) {
        if (control[0] >> e & 1) {
            disable_endpoint(xhci, number, e);
        }
        if (control[1] >> e & 1) {
            code = enable_endpoint(xhci, number, e, input);
        }
    }
    /* The driver says what of the context is new: entries, and what the device is as a hub (6.2.2.2). */
    context[0] = (context[0] & (ROUTE | 0xf << 20)) | (wanted[0] & ~(uint32_t)(ROUTE | 0xf << 20));
    context[1] = (context[1] & 0x00ffffff) | (wanted[1] & 0xff000000);
    set_slot_state(context, SLOT_CONFIGURED);
    write_words(xhci, s->context, context, SLOT_CONTEXT_WORDS);
    return code;
}

static XhciCode evaluate(Xhci *xhci, unsigned number, uint64_t input)
{
    XhciSlot *s = &xhci->slots[number - 1];
    uint32_t control[2], wanted[SLOT_CONTEXT_WORDS], context[SLOT_CONTEXT_WORDS];

    if (!read_words(xhci, input, control, 2)) {
        return CODE_PARAMETER;
    }
    if (control[1] & 1) {
        if (!read_words(xhci, input + XHCI_CONTEXT, wanted, SLOT_CONTEXT_WORDS) ||
            !read_words(xhci, s->context, context, SLOT_CONTEXT_WORDS)) {
            return CODE_PARAMETER;
        }
        context[1] = (context[1] & ~0xffffu) | (wanted[1] & 0xffff);
        context[2] = (context[2] & 0x003fffff) | (wanted[2] & 0xffc00000);
        s->interrupter = (uint16_t)MIN(wanted[2] >> 22, XHCI_INTERRUPTERS_MAX - 1);
        write_words(xhci, s->context, context, SLOT_CONTEXT_WORDS);
    }
    if (control[1] & 2) {
        if (!read_words(xhci, input + 2 * XHCI_CONTEXT, wanted, SLOT_CONTEXT_WORDS) ||
            !read_words(xhci, s->context + XHCI_CONTEXT, context, SLOT_CONTEXT_WORDS)) {
            return CODE_PARAMETER;
        }
        context[1] = (context[1] & 0xffff) | (wanted[1] & 0xffff0000);
        write_words(xhci, s->context + XHCI_CONTEXT, context, SLOT_CONTEXT_WORDS);
    }
    return CODE_SUCCESS;
}

static XhciCode reset_device(Xhci *xhci, unsigned number)
{
    XhciSlot *s = &xhci->slots[number - 1];
    uint32_t context[SLOT_CONTEXT_WORDS];

    if (!s->addressed || !read_words(xhci, s->context, context, SLOT_CONTEXT_WORDS)) {
        return CODE_CONTEXT_STATE;
    }
    for (unsigned e = 2; e <= XHCI_ENDPOINTS; e++) {
        disable_endpoint(xhci, number, e);
    }
    context[0] = bits_deposit(context[0], ENTRIES_SHIFT, 5, 1);
    context[3] = 0;
    set_slot_state(context, SLOT_DEFAULT);
    return write_words(xhci, s->context, context, SLOT_CONTEXT_WORDS) ? CODE_SUCCESS
                                                                      : CODE_PARAMETER;
}

static XhciCode set_dequeue(Xhci *xhci, const XhciTrb *trb, unsigned slot, unsigned number)
{
    XhciEndpoint *e = &xhci->slots[slot - 1].endpoints[number - 1];
    XhciRing ring = { .dequeue = trb->parameter & ~UINT64_C(0xf), .cycle = trb->parameter & 1 };
    unsigned stream = trb->status >> 16;

    if (e->state != ENDPOINT_STOPPED && e->state != ENDPOINT_ERROR) {
        return CODE_CONTEXT_STATE;
    }
    if (e->streams && !xhci_has_stream(e, stream)) {
        return CODE_STREAM;
    }
    if (e->streams) {
        xhci_set_stream_ring(xhci, e, stream, ring);
    } else {
        e->ring = ring;
    }
    xhci_set_endpoint_state(xhci, slot, number, ENDPOINT_STOPPED);
    return CODE_SUCCESS;
}

static XhciCode endpoint_command(Xhci *xhci, const XhciTrb *trb, unsigned slot)
{
    unsigned number = trb->control >> 16 & 0x1f;
    XhciEndpoint *e = number ? &xhci->slots[slot - 1].endpoints[number - 1] : NULL;

    if (!e) {
        return CODE_TRB;
    }
    if (e->state == ENDPOINT_DISABLED) {
        return CODE_ENDPOINT_NOT_ENABLED;
    }
    switch (trb_type(trb)) {
    case TRB_STOP_ENDPOINT:
        if (e->state != ENDPOINT_RUNNING) {
            return CODE_CONTEXT_STATE;
        }
        xhci_stop_endpoint(xhci, slot, number);
        xhci_set_endpoint_state(xhci, slot, number, ENDPOINT_STOPPED);
        return CODE_SUCCESS;
    case TRB_RESET_ENDPOINT:
        if (e->state != ENDPOINT_HALTED) {
            return CODE_CONTEXT_STATE;
        }
        xhci_set_endpoint_state(xhci, slot, number, ENDPOINT_STOPPED);
        return CODE_SUCCESS;
    default: /* TRB_SET_DEQUEUE */
        return set_dequeue(xhci, trb, slot, number);
    }
}

static XhciCode slot_command(Xhci *xhci, const XhciTrb *trb, unsigned slot)
{
    uint64_t input = trb->parameter & ~UINT64_C(0xf);

    if (!slot_of(xhci, slot)) {
        return CODE_TRB;
    }
    if (!slot_of(xhci, slot)->enabled) {
        return CODE_SLOT_NOT_ENABLED;
    }
    switch (trb_type(trb)) {
    case TRB_DISABLE_SLOT:
        xhci_disable_slot(xhci, slot);
        return CODE_SUCCESS;
    case TRB_ADDRESS_DEVICE:
        return address_device(xhci, slot, input, trb->control & COMMAND_BLOCK_ADDRESS);
    case TRB_RESET_DEVICE:
        return reset_device(xhci, slot);
    }
    if (!slot_of(xhci, slot)->addressed) {
        return CODE_CONTEXT_STATE;
    }
    switch (trb_type(trb)) {
    case TRB_CONFIGURE_ENDPOINT:
        return trb->control & COMMAND_DECONFIGURE ? deconfigure(xhci, slot)
                                                  : configure(xhci, slot, input);
    case TRB_EVALUATE_CONTEXT:
        return evaluate(xhci, slot, input);
    default:
        return endpoint_command(xhci, trb, slot);
    }
}

/* The ring. */

static void complete(Xhci *xhci, const XhciTrb *trb, XhciCode code, unsigned slot)
{
    bool nec = trb_type(trb) == TRB_NEC_FIRMWARE;
    XhciTrb event = { trb->address, (uint32_t)code << 24 | (nec ? NEC_FIRMWARE : 0),
                      (uint32_t)(nec ? TRB_NEC_EVENT : TRB_COMMAND_EVENT) << 10 | slot << 24, 0 };

    xhci_post(xhci, 0, &event);
}

static void execute(Xhci *xhci, const XhciTrb *trb)
{
    unsigned slot = trb->control >> 24;
    XhciCode code;

    switch (trb_type(trb)) {
    case TRB_ENABLE_SLOT:
        code = enable_slot(xhci, &slot);
        break;
    case TRB_DISABLE_SLOT:
    case TRB_ADDRESS_DEVICE:
    case TRB_CONFIGURE_ENDPOINT:
    case TRB_EVALUATE_CONTEXT:
    case TRB_RESET_ENDPOINT:
    case TRB_STOP_ENDPOINT:
    case TRB_SET_DEQUEUE:
    case TRB_RESET_DEVICE:
        code = slot_command(xhci, trb, slot);
        break;
    case TRB_NO_OP_COMMAND:
        code = CODE_SUCCESS;
        break;
    case TRB_NEC_FIRMWARE:
        code = xhci->pci.config[PCI_VENDOR_ID] == 0x33 ? CODE_SUCCESS : CODE_TRB;
        break;
    default:
        log_guest_error(xhci->pci.device.id, "unknown command %u", trb_type(trb));
        code = CODE_TRB;
    }
    complete(xhci, trb, code, slot);
}

void xhci_run_commands(Xhci *xhci)
{
    XhciTrb trb;

    if (!xhci_running(xhci)) {
        return;
    }
    xhci->commands_running = 1;
    for (unsigned i = 0; i < RUN_BUDGET; i++) {
        if (xhci->backlog_count || !xhci_fetch(xhci, &xhci->commands, &trb)) {
            return;
        }
        execute(xhci, &trb);
    }
    timer_arm(&xhci->timer, clock_now_ns(xhci->pci.device.machine));
}

void xhci_stop_commands(Xhci *xhci)
{
    XhciTrb event = { xhci->commands.dequeue, CODE_COMMAND_RING_STOPPED << 24,
                      TRB_COMMAND_EVENT << 10, 0 };

    xhci->commands_running = 0;
    xhci_post(xhci, 0, &event);
}
