/* SPDX-License-Identifier: MIT */
/*
 * UHCI: schedules in memory. Everything in them is the driver's: it is read once, and a frame has a budget.
 *
 * A frame is a millisecond. While nothing moves, frames are walked by eights. Isochronous descriptors stand in the frames, each for
 * its own: a driver that has not seen an interrupt yet had no time to fill the frames behind it, so those wait.
 */
#include <string.h>

#include "base/bits.h"
#include "hw/usb/uhci.h"

enum {
    LINK_END = 1 << 0,
    LINK_QUEUE = 1 << 1,
    TD_ACTIVE = 1 << 23,
    TD_STALLED = 1 << 22,
    TD_NAK = 1 << 19,
    TD_TIMEOUT = 1 << 18,
    TD_STATUS = 0x7f << 16,
    TD_COMPLETE = 1 << 24,
    TD_ISOCH = 1 << 25,
    TD_ERRORS = 3 << 27,
    TD_SHORT = 1 << 29,
    TD_LENGTH = 0x7ff,

    FRAMES = 1024,
    PACKET_MAX = 1280,
    FRAME_STEPS = 2048,  /* links that one frame follows */
    FRAME_QUEUES = 128,  /* that it can tell apart, to know that it goes round */
    PENDING_FRAMES = 64, /* after which one that the schedule has lost is forgotten */
    IDLE_FRAMES = 32,
    IDLE_BATCH = 8,
    LATE_FRAMES = 64,
    ISOCH_FRAMES = 64, /* after which there are no isochronous descriptors any more */
    ISOCH_LATE_FRAMES = 1000,
};
#define LINK(link) ((link) & ~UINT32_C(0xf))

typedef struct {
    uint32_t link, control, token, buffer;
} Td;

/* A packet that a device has, with a buffer of ours: its driver may take the memory back at any time. */
struct UhciPending {
    UsbPacket packet; /* first */
    Uhci *uhci;
    uint32_t td, token;
    uint32_t frame; /* that has seen it last */
    bool done;
    struct iovec iov;
    uint8_t data[PACKET_MAX];
};

/* Memory. */

static bool read_words(Uhci *u, uint32_t address, uint32_t *words, unsigned count)
{
    uint8_t bytes[16];

    if (!pci_bus_master_enabled(&u->pci) ||
        address_space_read_bytes(&u->pci.device.machine->memory_space, address, bytes, 4 * count,
                                 pci_dma_attributes(&u->pci)) != MEMORY_OK) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        words[i] = load_le32(bytes + 4 * i);
    }
    return true;
}

static void write_word(Uhci *u, uint32_t address, uint32_t word)
{
    uint8_t bytes[4];

    store_le32(bytes, word);
    address_space_write_bytes(&u->pci.device.machine->memory_space, address, bytes, sizeof bytes,
                              pci_dma_attributes(&u->pci));
}

static bool move_data(Uhci *u, uint32_t address, void *data, uint32_t size, bool to_memory)
{
    AddressSpace *memory = &u->pci.device.machine->memory_space;
    MemoryAttributes attributes = pci_dma_attributes(&u->pci);

    return !size || (to_memory ? address_space_write_bytes(memory, address, data, size, attributes)
                               : address_space_read_bytes(memory, address, data, size,
                                                          attributes)) == MEMORY_OK;
}

static void interrupt(Uhci *u, unsigned cause)
{
    u->cause |= (uint8_t)cause;
    u->usbsts |= UHCI_STS_INTERRUPT;
}

/* Packets. */

static UhciPending *find_pending(Uhci *u, uint32_t td, uint32_t token)
{
    for (unsigned i = 0; i < u->pending_count; i++) {
        if (u->pending[i]->td == td && u->pending[i]->token == token) {
            return u->pending[i];
        }
    }
    return NULL;
}

static void drop_pending(Uhci *u, UhciPending *p)
{
    for (unsigned i = 0; i < u->pending_count; i++) {
        if (u->pending[i] == p) {
            u->pending[i] = u->pending[--u->pending_count];
            break;
        }
    }
    usb_packet_cancel(&p->packet);
    g_free(p);
}

void uhci_drop_all(Uhci *u)
{
    while (u->pending_count) {
        drop_pending(u, u->pending[0]);
    }
}

void uhci_wake(Uhci *u)
{
    u->quiet = 0;
    if (u->usbcmd & UHCI_CMD_RUN) {
        timer_arm(&u->timer, u->frame_ns);
    }
}

static void packet_done(UsbPacket *packet)
{
    UhciPending *p = (UhciPending *)packet;

    p->done = true;
    uhci_wake(p->uhci);
}

static UsbDevice *find_device(Uhci *u, uint8_t address)
{
    for (unsigned i = 0; i < UHCI_PORTS; i++) {
        UsbDevice *usb = usb_port_find(&u->ports[i], address);

        if (usb) {
            return usb;
        }
    }
    return NULL;
}

/* What a descriptor's packet came to; *pending is what has its data, to be dropped afterwards. */
static UsbStatus run_packet(Uhci *u, uint32_t address, const Td *td, UhciPending **pending)
{
    uint32_t size = ((td->token >> 21) + 1) & TD_LENGTH;
    UhciPending *p = find_pending(u, address, td->token);
    UsbDevice *usb;

    *pending = p;
    if (p) {
        p->frame = u->frame_count;
        return p->done ? p->packet.status : USB_PENDING;
    }
    usb = find_device(u, td->token >> 8 & 0x7f);
    if (!usb || size > PACKET_MAX) {
        return USB_ERROR;
    }
    if (u->pending_count == UHCI_PENDING_MAX) {
        return USB_NAK;
    }
    *pending = p = g_new0(UhciPending, 1);
    *p = (UhciPending){ .uhci = u, .td = address, .token = td->token, .frame = u->frame_count };
    p->iov = (struct iovec){ p->data, size };
    p->packet = (UsbPacket){ .token = td->token & 0xff,
                             .endpoint = td->token >> 15 & 0xf,
                             .iov = &p->iov,
                             .iov_count = 1,
                             .size = size,
                             .done = packet_done };
    u->pending[u->pending_count++] = p;
    if (p->packet.token != USB_TOKEN_IN && !move_data(u, td->buffer, p->data, size, false)) {
        return USB_ERROR;
    }
    return usb_device_handle(usb, &p->packet);
}

/* How walking goes on behind a descriptor. */
typedef enum { GO_ON, STAY } Step;

static Step end_td(Uhci *u, uint32_t address, Td *td, const UhciPending *p)
{
    uint32_t size = ((td->token >> 21) + 1) & TD_LENGTH, moved = p ? p->packet.moved : 0;
    bool in = (td->token & 0xff) == USB_TOKEN_IN;

    if (in && moved) {
        move_data(u, td->buffer, (void *)p->data, moved, true);
    }
    td->control =
        (td->control & ~(uint32_t)(TD_ACTIVE | TD_STATUS | TD_LENGTH)) | ((moved - 1) & TD_LENGTH);
    if (td->control & TD_COMPLETE) {
        interrupt(u, UHCI_CAUSE_COMPLETE);
    }
    if (in && moved < size && td->control & TD_SHORT) {
        interrupt(u, UHCI_CAUSE_SHORT);
        write_word(u, address + 4, td->control);
        return STAY;
    }
    write_word(u, address + 4, td->control);
    return GO_ON;
}

static Step fail_td(Uhci *u, uint32_t address, Td *td, uint32_t status)
{
    td->control = (td->control & ~(uint32_t)(TD_ACTIVE | TD_STATUS | TD_ERRORS)) | status;
    write_word(u, address + 4, td->control);
    u->usbsts |= UHCI_STS_ERROR;
    if (td->control & TD_COMPLETE) {
        interrupt(u, UHCI_CAUSE_COMPLETE);
    }
    return td->control & TD_ISOCH ? GO_ON : STAY;
}

static Step run_td(Uhci *u, uint32_t address, Td *td, uint32_t *budget)
{
    UhciPending *p = NULL;
    UsbStatus status;
    Step step = STAY;

    if (!(td->control & TD_ACTIVE)) {
        return STAY;
    }
    if (td->control & TD_ISOCH) {
        u->isoch_left = ISOCH_FRAMES;
    }
    status = run_packet(u, address, td, &p);
    switch (status) {
    case USB_PENDING:
        return STAY;
    case USB_NAK:
        if (td->control & TD_ISOCH) {
            step = end_td(u, address, td, NULL);
        } else {
            write_word(u, address + 4, td->control | TD_NAK);
        }
        break;
    case USB_DONE:
        u->quiet = 0;
        *budget -= MIN(*budget, p->packet.moved + 16);
        step = end_td(u, address, td, p);
        break;
    case USB_STALL:
        u->quiet = 0;
        step = fail_td(u, address, td, TD_STALLED);
        break;
    default:
        u->quiet = 0;
        step = fail_td(u, address, td, TD_STALLED | TD_TIMEOUT);
    }
    if (p) {
        drop_pending(u, p);
    }
    return step;
}

/* Schedules. */

static bool read_td(Uhci *u, uint32_t address, Td *td)
{
    uint32_t words[4];

    if (!read_words(u, address, words, 4)) {
        return false;
    }
    *td = (Td){ words[0], words[1], words[2], words[3] };
    return true;
}

/* A queue's first element. Returns whether it was done, so that the queue may have another turn. */
static bool run_queue(Uhci *u, uint32_t queue, uint32_t element, uint32_t *budget)
{
    Td td;

    if (element & (LINK_END | LINK_QUEUE) || !read_td(u, LINK(element), &td) ||
        run_td(u, LINK(element), &td, budget) != GO_ON) {
        return false;
    }
    write_word(u, queue + 4, td.link);
    return true;
}

/* Walks from the frame's entry on; queues that are linked in a circle have turns until none of them moves. */
static void run_frame(Uhci *u, uint32_t entry)
{
    uint32_t seen[FRAME_QUEUES], budget = u->bandwidth, link = entry;
    unsigned seen_count = 0;
    bool moved = false;

    for (unsigned step = 0; step < FRAME_STEPS && budget && !(link & LINK_END); step++) {
        uint32_t address = LINK(link), words[2];
        Td td;

        if (!(link & LINK_QUEUE)) {
            if (!read_td(u, address, &td)) {
                return;
            }
            run_td(u, address, &td, &budget);
            link = td.link;
            continue;
        }
        for (unsigned i = 0; i < seen_count; i++) {
            if (seen[i] == address) {
                if (!moved) {
                    return;
                }
                seen_count = 0;
                moved = false;
            }
        }
        if (seen_count == FRAME_QUEUES || !read_words(u, address, words, 2)) {
            return;
        }
        seen[seen_count++] = address;
        if (words[1] & LINK_QUEUE && !(words[1] & LINK_END)) {
            link = words[1]; /* a queue in a queue */
            continue;
        }
        /* One that gets on has another go at once, while the frame lasts. */
        while (budget && step < FRAME_STEPS && run_queue(u, address, words[1], &budget)) {
            moved = true;
            step++;
            if (!read_words(u, address, words, 2)) {
                return;
            }
        }
        link = words[0];
    }
}

static void forget_lost(Uhci *u)
{
    for (unsigned i = 0; i < u->pending_count;) {
        UhciPending *p = u->pending[i];

        if (u->frame_count - p->frame > PENDING_FRAMES) {
            drop_pending(u, p);
        } else {
            i++;
        }
    }
}

static void next_frame(Uhci *u)
{
    uint32_t entry;

    u->frame_count++;
    u->quiet++;
    u->isoch_left -= u->isoch_left ? 1 : 0;
    if (read_words(u, u->flbase + 4 * (u->frnum & (FRAMES - 1)), &entry, 1)) {
        run_frame(u, entry);
    }
    u->frnum = (u->frnum + 1) & 0x7ff;
    u->frame_ns += UHCI_FRAME_NS;
    forget_lost(u);
}

void uhci_run_frames(void *opaque)
{
    Uhci *u = opaque;
    int64_t now = clock_now_ns(u->pci.device.machine), next;
    int64_t late = (u->isoch_left ? ISOCH_LATE_FRAMES : LATE_FRAMES) * UHCI_FRAME_NS;
    bool waits = false;

    if (u->frame_ns + late < now) {
        u->frame_ns = now; /* what was missed comes later */
    }
    while (u->frame_ns <= now && u->usbcmd & UHCI_CMD_RUN && !waits) {
        waits = u->isoch_left && (uhci_interrupts(u) || !usb_pace(&u->pace_ns, now, UHCI_FRAME_NS));
        if (!waits) {
            next_frame(u);
        }
    }
    uhci_update_irq(u);
    if (u->usbcmd & UHCI_CMD_RUN) {
        next = waits                    ? MAX(u->pace_ns, now + UHCI_FRAME_NS / 8)
               : u->quiet > IDLE_FRAMES ? u->frame_ns + (IDLE_BATCH - 1) * UHCI_FRAME_NS
                                        : u->frame_ns;
        timer_arm(&u->timer, next);
    }
}

unsigned uhci_frame(Uhci *u)
{
    int64_t late;

    if (!(u->usbcmd & UHCI_CMD_RUN)) {
        return u->frnum;
    }
    if (u->isoch_left) {
        uhci_run_frames(u);
        return u->frnum;
    }
    late = clock_now_ns(u->pci.device.machine) - u->frame_ns;
    return (u->frnum + (late > 0 ? (unsigned)(late / UHCI_FRAME_NS) : 0)) & 0x7ff;
}
