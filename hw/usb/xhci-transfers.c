/* SPDX-License-Identifier: MIT */
/*
 * xHCI: transfer rings (4.9, 4.10, 4.11). A transfer descriptor goes to its device as one packet over the guest's own
 * memory; an endpoint has one at a time, or one for each of its streams (4.12). What a device has nothing for stays in the ring until the device is ready.
 */
#include <string.h>

#include "base/bits.h"
#include "hw/usb/xhci.h"
#include "machine/debug.h"

enum {
    RUN_BUDGET = 64, /* transfer descriptors in one go */
    DESCRIPTOR_TRBS = 1024,
    DESCRIPTOR_BYTES = 16 << 20,
    DESCRIPTOR_PIECES = 2048,
    ISOCH_LATE = 8 * 1000, /* microframes that an isochronous endpoint catches up */
    ISOCH_LOOK = 1,        /* microframes until one that waits is looked at again */
    MICROFRAME_NS = 125000,
};

struct XhciTransfer {
    UsbPacket packet; /* first */
    Xhci *xhci;
    uint8_t slot, endpoint;
    XhciRing after;     /* the ring behind it */
    XhciTransfer *next; /* of the endpoint's */
    GArray *trbs;       /* XhciTrb */
    GArray *iov;
};

static XhciEndpoint *endpoint_of(Xhci *xhci, unsigned slot, unsigned endpoint)
{
    return &xhci->slots[slot - 1].endpoints[endpoint - 1];
}

static bool is_isoch(const XhciEndpoint *e)
{
    return e->type == TYPE_ISOCH_IN || e->type == TYPE_ISOCH_OUT;
}

UsbDevice *xhci_slot_device(Xhci *xhci, unsigned slot)
{
    const XhciSlot *s = &xhci->slots[slot - 1];
    UsbPort *socket = s->addressed ? xhci_port_socket(xhci, s->port) : NULL;

    return socket && socket->enabled ? usb_port_route(socket, s->route) : NULL;
}

void xhci_set_endpoint_state(Xhci *xhci, unsigned slot, unsigned endpoint, XhciEndpointState state)
{
    XhciSlot *s = &xhci->slots[slot - 1];
    XhciEndpoint *e = endpoint_of(xhci, slot, endpoint);
    uint64_t address = s->context + (uint64_t)XHCI_CONTEXT * endpoint;
    uint8_t context[XHCI_CONTEXT];

    e->state = (uint8_t)state;
    if (xhci_read(xhci, address, context, sizeof context)) {
        context[0] = (uint8_t)((context[0] & ~7u) | state);
        store_le64(context + 8, e->ring.dequeue | e->ring.cycle);
        xhci_write(xhci, address, context, 16);
    }
}

/* Rings of streams: their contexts stay in the driver's memory, which reads them when the endpoint is stopped. */

static uint64_t stream_context(const XhciEndpoint *e, unsigned stream)
{
    enum { STREAM_CONTEXT = 16 };

    return e->ring.dequeue + (uint64_t)STREAM_CONTEXT * stream;
}

bool xhci_has_stream(const XhciEndpoint *e, unsigned stream)
{
    return e->streams ? stream > 0 && stream < 2u << e->streams : stream == 0;
}

enum { STREAM_TYPE = 7 << 1, STREAM_PRIMARY = 1 << 1 };

static bool get_ring(Xhci *xhci, const XhciEndpoint *e, unsigned stream, XhciRing *ring)
{
    uint8_t context[8];
    uint64_t value;

    *ring = e->ring;
    if (!stream) {
        return true;
    }
    if (!xhci_read(xhci, stream_context(e, stream), context, sizeof context)) {
        return false;
    }
    value = load_le64(context);
    *ring = (XhciRing){ value & ~UINT64_C(0xf), value & 1 };
    return (value & STREAM_TYPE) == STREAM_PRIMARY;
}

void xhci_set_stream_ring(Xhci *xhci, const XhciEndpoint *e, unsigned stream, XhciRing ring)
{
    uint8_t context[8];

    store_le64(context, ring.dequeue | STREAM_PRIMARY | ring.cycle);
    xhci_write(xhci, stream_context(e, stream), context, sizeof context);
}

static XhciTransfer **find_transfer(XhciEndpoint *e, unsigned stream)
{
    XhciTransfer **at = &e->transfers;

    while (*at && (*at)->packet.stream != stream) {
        at = &(*at)->next;
    }
    return at;
}

static void free_transfer(XhciTransfer *t)
{
    g_array_unref(t->trbs);
    g_array_unref(t->iov);
    g_free(t);
}

void xhci_stop_endpoint(Xhci *xhci, unsigned slot, unsigned endpoint)
{
    XhciEndpoint *e = endpoint_of(xhci, slot, endpoint);

    while (e->transfers) {
        XhciTransfer *t = e->transfers;

        e->transfers = t->next;
        usb_packet_cancel(&t->packet);
        free_transfer(t);
    }
}

/* Reports. */

static bool has_data(const XhciTrb *trb)
{
    unsigned type = trb_type(trb);

    return type == TRB_NORMAL || type == TRB_DATA || type == TRB_ISOCH || type == TRB_SETUP;
}

static void report(XhciTransfer *t, const XhciTrb *trb, XhciCode code, uint32_t length,
                   bool event_data)
{
    XhciTrb event = {
        event_data ? trb->parameter : trb->address,
        (length & 0xffffff) | (uint32_t)code << 24,
        TRB_TRANSFER_EVENT << 10 | (event_data ? TRB_EVENT_DATA_FLAG : 0) |
            (uint32_t)t->endpoint << 16 | (uint32_t)t->slot << 24 |
            (trb->control & TRB_BLOCK_INTERRUPT),
        0,
    };

    xhci_post(t->xhci, trb->status >> 22, &event);
}

/*
 * Walks the descriptor with what was moved. A short packet is told once, where it ended; an error at the piece where it
 * happened; event data with the bytes since the last one.
 */
static void report_all(XhciTransfer *t, XhciCode code)
{
    uint32_t left = t->packet.moved, sum = 0;
    bool told = false, is_short = false;

    for (unsigned i = 0; i < t->trbs->len; i++) {
        const XhciTrb *trb = &g_array_index(t->trbs, XhciTrb, i);
        uint32_t length = has_data(trb) ? trb->status & TRB_LENGTH : 0;
        uint32_t part = MIN(length, left);
        bool last = i + 1 == t->trbs->len;

        left -= part;
        sum += part;
        if (trb_type(trb) == TRB_EVENT_DATA) {
            if (trb->control & TRB_IOC) {
                report(t, trb, is_short ? CODE_SHORT : code, sum, true);
            }
            sum = 0;
            continue;
        }
        if (code != CODE_SUCCESS) {
            if (part < length || last) {
                report(t, trb, code, length - part, false);
                return;
            }
        } else if (!told) {
            is_short |= part < length;
            if (trb->control & TRB_IOC || (is_short && trb->control & TRB_SHORT)) {
                report(t, trb, is_short ? CODE_SHORT : code, length - part, false);
                told = is_short;
            }
        }
    }
}

static void mark_written(XhciTransfer *t)
{
    AddressSpace *memory = &t->xhci->pci.device.machine->memory_space;
    uint32_t left = t->packet.moved;

    for (unsigned i = 0; i < t->trbs->len && left; i++) {
        const XhciTrb *trb = &g_array_index(t->trbs, XhciTrb, i);
        uint32_t part = has_data(trb) ? MIN(trb->status & TRB_LENGTH, left) : 0;

        if (part) {
            address_space_written(memory, &t->xhci->pci.device, trb->parameter, part);
        }
        left -= part;
    }
}

static XhciCode code_of(const XhciTransfer *t, const XhciEndpoint *e)
{
    switch (t->packet.status) {
    case USB_STALL:
        return is_isoch(e) ? CODE_TRANSACTION : CODE_STALL;
    case USB_ERROR:
        return CODE_TRANSACTION;
    default:
        return CODE_SUCCESS;
    }
}

static void move_on(const XhciTransfer *t, XhciEndpoint *e)
{
    if (t->packet.stream) {
        xhci_set_stream_ring(t->xhci, e, t->packet.stream, t->after);
    } else {
        e->ring = t->after;
    }
}

/* After an error the endpoint is halted, with its ring where the trouble is. */
static void complete(XhciTransfer *t)
{
    Xhci *xhci = t->xhci;
    XhciEndpoint *e = endpoint_of(xhci, t->slot, t->endpoint);
    XhciCode code = code_of(t, e);

    if (t->packet.token == USB_TOKEN_IN) {
        mark_written(t);
    }
    if (code == CODE_SUCCESS || is_isoch(e)) {
        move_on(t, e);
    } else {
        xhci_set_endpoint_state(xhci, t->slot, t->endpoint, ENDPOINT_HALTED);
    }
    report_all(t, code);
    free_transfer(t);
}

static void packet_done(UsbPacket *packet)
{
    XhciTransfer *t = (XhciTransfer *)packet;
    Xhci *xhci = t->xhci;
    unsigned slot = t->slot, endpoint = t->endpoint;

    *find_transfer(endpoint_of(xhci, slot, endpoint), packet->stream) = t->next;
    complete(t);
    xhci_kick(xhci, slot, endpoint);
}

/* From a ring to a packet. */

typedef enum { FOUND, NOTHING, BROKEN } Found;

static Found gather(Xhci *xhci, const XhciEndpoint *e, XhciTransfer *t)
{
    XhciTrb trb;

    if (!get_ring(xhci, e, t->packet.stream, &t->after)) {
        log_guest_error(xhci->pci.device.id, "slot %u, endpoint %u: stream %u is no primary one",
                        t->slot, t->endpoint, t->packet.stream);
        return NOTHING;
    }
    do {
        if (t->trbs->len == DESCRIPTOR_TRBS) {
            return BROKEN;
        }
        if (!xhci_fetch(xhci, &t->after, &trb)) {
            return NOTHING;
        }
        g_array_append_val(t->trbs, trb);
    } while (trb.control & TRB_CHAIN);
    return FOUND;
}

static bool map(XhciTransfer *t, uint64_t address, uint32_t size, bool to_memory)
{
    AddressSpace *memory = &t->xhci->pci.device.machine->memory_space;

    while (size) {
        uint64_t part = size;
        void *host = address_space_map(memory, address, &part, to_memory);
        struct iovec piece = { host, MIN(part, size) };

        if (!host || !part || t->iov->len == DESCRIPTOR_PIECES) {
            return false;
        }
        g_array_append_val(t->iov, piece);
        if (!to_memory) {
            debug_dma(&t->xhci->pci.device, address, piece.iov_len, false);
        }
        address += piece.iov_len;
        size -= (uint32_t)piece.iov_len;
    }
    return true;
}

/* Sets what the packet moves; false: the descriptor's memory is not there, or there is too much of it. */
static bool describe(XhciTransfer *t)
{
    UsbPacket *packet = &t->packet;
    uint64_t size = 0;

    for (unsigned i = 0; i < t->trbs->len; i++) {
        XhciTrb *trb = &g_array_index(t->trbs, XhciTrb, i);
        uint32_t length = trb->status & TRB_LENGTH;

        if (!has_data(trb) || !length) {
            continue;
        }
        size += length;
        if (trb->control & TRB_IMMEDIATE) {
            struct iovec piece = { &trb->parameter, MIN(length, sizeof trb->parameter) };

            if (length > sizeof trb->parameter || packet->token == USB_TOKEN_IN) {
                return false;
            }
            g_array_append_val(t->iov, piece);
        } else if (size > DESCRIPTOR_BYTES ||
                   !map(t, trb->parameter, length, packet->token == USB_TOKEN_IN)) {
            return false;
        }
    }
    packet->size = (uint32_t)size;
    packet->iov = (struct iovec *)t->iov->data;
    packet->iov_count = t->iov->len;
    return true;
}

static UsbToken token_of(const XhciTransfer *t, const XhciTrb *trb)
{
    bool in = t->endpoint == 1 ? trb->control & TRB_IN : t->endpoint & 1;

    return t->endpoint == 1 && trb_type(trb) == TRB_SETUP ? USB_TOKEN_SETUP
           : in                                           ? USB_TOKEN_IN
                                                          : USB_TOKEN_OUT;
}

static XhciTransfer *new_transfer(Xhci *xhci, unsigned slot, unsigned endpoint, unsigned stream)
{
    XhciTransfer *t = g_new0(XhciTransfer, 1);

    t->xhci = xhci;
    t->slot = (uint8_t)slot;
    t->endpoint = (uint8_t)endpoint;
    t->packet.done = packet_done;
    t->packet.endpoint = (uint8_t)(endpoint / 2);
    t->packet.stream = (uint16_t)stream;
    t->trbs = g_array_new(FALSE, FALSE, sizeof(XhciTrb));
    t->iov = g_array_new(FALSE, FALSE, sizeof(struct iovec));
    return t;
}

static void refuse(XhciTransfer *t, XhciCode code)
{
    log_guest_error(t->xhci->pci.device.id, "slot %u, endpoint %u: a bad transfer descriptor",
                    t->slot, t->endpoint);
    xhci_set_endpoint_state(t->xhci, t->slot, t->endpoint,
                            code == CODE_TRB ? ENDPOINT_ERROR : ENDPOINT_HALTED);
    report(t, &g_array_index(t->trbs, XhciTrb, 0), code, 0, false);
    free_transfer(t);
}

static void found_empty(XhciEndpoint *e, unsigned stream)
{
    e->wanted_streams &= ~(UINT64_C(1) << stream);
    e->wanted = stream && e->wanted_streams;
}

/* Runs the next descriptor of a ring; false: it can go no further now. */
static bool run_next(Xhci *xhci, unsigned slot, unsigned endpoint, unsigned stream)
{
    XhciEndpoint *e = endpoint_of(xhci, slot, endpoint);
    XhciTransfer *t = new_transfer(xhci, slot, endpoint, stream);
    UsbDevice *usb = xhci_slot_device(xhci, slot);
    Found found = gather(xhci, e, t);
    const XhciTrb *first;

    if (found == NOTHING) {
        found_empty(e, stream);
        free_transfer(t);
        return false;
    }
    first = &g_array_index(t->trbs, XhciTrb, 0);
    t->packet.token = token_of(t, first);
    if (found == BROKEN || !describe(t)) {
        refuse(t, found == BROKEN ? CODE_TRB : CODE_DATA_BUFFER);
        return false;
    }
    if (trb_type(first) == TRB_NO_OP || (trb_type(first) == TRB_EVENT_DATA && t->trbs->len == 1)) {
        t->packet.status = USB_DONE;
    } else if (!usb) {
        t->packet.status = USB_ERROR;
    } else {
        usb_device_handle(usb, &t->packet);
    }
    if (t->packet.status == USB_PENDING) {
        t->next = e->transfers;
        e->transfers = t;
        return false;
    }
    if (t->packet.status == USB_NAK && !is_isoch(e)) {
        free_transfer(t);
        return false;
    }
    complete(t);
    return e->state == ENDPOINT_RUNNING;
}

static void look_again(Xhci *xhci, uint64_t microframes)
{
    int64_t at = clock_now_ns(xhci->pci.device.machine) + (int64_t)microframes * MICROFRAME_NS;

    if (!timer_is_armed(&xhci->timer) || xhci->timer.deadline_ns > at) {
        timer_arm(&xhci->timer, at);
    }
}

/*
 * Isochronous descriptors take their turns, one in each interval. Those that are late come one after the other, but not while the
 * driver has still to see an event: what it reports leads to the next descriptors, and there was no time for those.
 */
static bool isoch_is_due(Xhci *xhci, XhciEndpoint *e)
{
    uint64_t now = xhci_microframe(xhci);

    if (e->next_microframe + ISOCH_LATE < now) {
        e->next_microframe = now;
    }
    if (e->next_microframe > now) {
        look_again(xhci, e->next_microframe - now);
        return false;
    }
    if (xhci_events_unseen(xhci) || !usb_pace(&e->pace_ns, clock_now_ns(xhci->pci.device.machine),
                                              MICROFRAME_NS * (INT64_C(1) << e->interval))) {
        look_again(xhci, ISOCH_LOOK);
        return false;
    }
    e->next_microframe += UINT64_C(1) << e->interval;
    return true;
}

/* Takes from the budget for each descriptor; what is left of it is 0 when there may be more. */
static void kick_ring(Xhci *xhci, unsigned slot, unsigned endpoint, unsigned stream,
                      unsigned *budget)
{
    XhciEndpoint *e = endpoint_of(xhci, slot, endpoint);

    for (; *budget; --*budget) {
        if (!xhci_running(xhci) || e->state != ENDPOINT_RUNNING || *find_transfer(e, stream) ||
            xhci->backlog_count || (is_isoch(e) && !isoch_is_due(xhci, e)) ||
            !run_next(xhci, slot, endpoint, stream)) {
            return;
        }
    }
}

void xhci_kick(Xhci *xhci, unsigned slot, unsigned endpoint)
{
    XhciEndpoint *e = endpoint_of(xhci, slot, endpoint);
    unsigned budget = RUN_BUDGET;

    if (!e->streams) {
        kick_ring(xhci, slot, endpoint, 0, &budget);
    }
    for (unsigned stream = 1; budget && xhci_has_stream(e, stream); stream++) {
        if (e->wanted_streams >> stream & 1) {
            kick_ring(xhci, slot, endpoint, stream, &budget);
        }
    }
    if (!budget) {
        timer_arm(&xhci->timer, clock_now_ns(xhci->pci.device.machine));
    }
}

void xhci_ring_bell(Xhci *xhci, unsigned slot, unsigned endpoint, unsigned stream)
{
    XhciEndpoint *e = endpoint_of(xhci, slot, endpoint);

    if (e->streams && !xhci_has_stream(e, stream)) {
        log_guest_error(xhci->pci.device.id, "slot %u, endpoint %u has no stream %u", slot,
                        endpoint, stream);
        return;
    }
    if (e->state == ENDPOINT_STOPPED && xhci_running(xhci)) {
        xhci_set_endpoint_state(xhci, slot, endpoint, ENDPOINT_RUNNING);
    }
    e->wanted = e->state == ENDPOINT_RUNNING;
    if (e->streams && e->wanted) {
        e->wanted_streams |= UINT64_C(1) << stream;
    }
    xhci_kick(xhci, slot, endpoint);
}

void xhci_kick_all(Xhci *xhci)
{
    for (unsigned slot = 1; slot <= xhci->slot_count; slot++) {
        for (unsigned e = 1; xhci->slots[slot - 1].enabled && e <= XHCI_ENDPOINTS; e++) {
            if (endpoint_of(xhci, slot, e)->wanted) {
                xhci_kick(xhci, slot, e);
            }
        }
    }
}

void xhci_endpoint_ready(Xhci *xhci, UsbDevice *usb, uint8_t address)
{
    unsigned endpoint = 2 * (address & 0xf) + (address & USB_DIRECTION_IN ? 1 : 0);

    for (unsigned slot = 1; slot <= xhci->slot_count; slot++) {
        if (xhci->slots[slot - 1].addressed && xhci_slot_device(xhci, slot) == usb) {
            xhci_kick(xhci, slot, endpoint);
            return;
        }
    }
}
