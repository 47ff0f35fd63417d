/* SPDX-License-Identifier: MIT */
/*
 * EHCI: queues of the asynchronous schedule and frames of the periodic one (4.8 to 4.12). A transfer descriptor is one packet over
 * the driver's memory. Drivers do not ring, so the schedules are looked at again and again: each microframe while something moves,
 * seldom when all is quiet.
 *
 * Not modelled: split transactions; slower devices are a companion's.
 */
#include <string.h>

#include "base/bits.h"
#include "hw/usb/ehci.h"
#include "machine/debug.h"

enum {
    LINK_END = 1 << 0,
    LINK_TYPE = 3 << 1,
    LINK_ITD = 0 << 1,
    LINK_QH = 1 << 1,

    /* Words of a queue head; the overlay is a transfer descriptor's words. */
    QH_LINK = 0,
    QH_ENDPOINT = 1,
    QH_CAPABILITIES = 2,
    QH_CURRENT = 3,
    QH_OVERLAY = 4,
    QH_WORDS = 12,
    QTD_NEXT = 0,
    QTD_ALTERNATE = 1,
    QTD_TOKEN = 2,
    QTD_BUFFERS = 3,
    QTD_WORDS = 8,
    BUFFERS = 5,
    PAGE = 4096,

    TOKEN_ERROR = 1 << 3,
    TOKEN_BUFFER_ERROR = 1 << 5,
    TOKEN_HALTED = 1 << 6,
    TOKEN_ACTIVE = 1 << 7,
    TOKEN_IOC = 1 << 15,
    TOKEN_BYTES_SHIFT = 16,
    TOKEN_BYTES = 0x7fff,
    TOKEN_CERR = 3 << 10,

    ITD_WORDS = 16,
    ITD_IOC = 1 << 15,
    ITD_ERROR = 1 << 28,
    ITD_BUFFER_ERROR = 1 << 30,
    ITD_BYTES_MAX = 3072,

    PIECES = 2 * BUFFERS + 2,
    ASYNC_QUEUES = 512,
    ASYNC_BUDGET = 128, /* transfer descriptors in one run */
    FRAME_STEPS = 256,
    LATE_FRAMES = 64,
    ISOCH_FRAMES = 64, /* after which there are no isochronous descriptors any more */
    ISOCH_LATE_FRAMES = 1000,
    BUSY_RUNS = 64,
    IDLE_RUNS = 512,
};
#define ITD_ACTIVE    (UINT32_C(1) << 31)
#define LINK(link)    ((link) & ~UINT32_C(0x1f))
#define FRAME_NS      INT64_C(1000000)
#define MICROFRAME_NS INT64_C(125000)
#define IDLE_NS       INT64_C(8000000)

struct EhciPending {
    UsbPacket packet; /* first */
    Ehci *ehci;
    uint32_t queue;
    uint32_t pass; /* that has seen it last */
    bool done, periodic;
    struct iovec iov[PIECES];
};

/* Packets that devices have. */

static void drop(Ehci *e, EhciPending *p)
{
    for (unsigned i = 0; i < e->pending_count; i++) {
        if (e->pending[i] == p) {
            e->pending[i] = e->pending[--e->pending_count];
            break;
        }
    }
    usb_packet_cancel(&p->packet);
    g_free(p);
}

void ehci_drop_all(Ehci *e)
{
    while (e->pending_count) {
        drop(e, e->pending[0]);
    }
}

static EhciPending *find_pending(Ehci *e, uint32_t queue)
{
    for (unsigned i = 0; i < e->pending_count; i++) {
        if (e->pending[i]->queue == queue) {
            return e->pending[i];
        }
    }
    return NULL;
}

static void packet_done(UsbPacket *packet)
{
    EhciPending *p = (EhciPending *)packet;

    p->done = true;
    ehci_wake(p->ehci);
}

/* Queues. */

static unsigned bytes_of(uint32_t token)
{
    return token >> TOKEN_BYTES_SHIFT & TOKEN_BYTES;
}

static bool map(Ehci *e, uint64_t address, uint32_t size, bool to_memory, struct iovec *iov,
                unsigned *count)
{
    AddressSpace *memory = &e->pci.device.machine->memory_space;

    while (size) {
        uint64_t part = size;
        void *host = address_space_map(memory, address, &part, to_memory);

        if (!host || !part || *count == PIECES) {
            return false;
        }
        iov[*count] = (struct iovec){ host, MIN(part, size) };
        if (!to_memory) {
            debug_dma(&e->pci.device, address, iov[*count].iov_len, false);
        }
        address += iov[*count].iov_len;
        size -= (uint32_t)iov[*count].iov_len;
        ++*count;
    }
    return true;
}

/* The pages of a descriptor, from the current one on. */
static bool map_buffers(Ehci *e, const uint32_t *overlay, uint32_t size, bool to_memory,
                        EhciPending *p)
{
    unsigned page = overlay[QTD_TOKEN] >> 12 & 7;
    uint32_t offset = overlay[QTD_BUFFERS] & (PAGE - 1);

    while (size) {
        uint32_t part = MIN(size, PAGE - offset);

        if (page >= BUFFERS ||
            !map(e, (overlay[QTD_BUFFERS + page] & ~(uint32_t)(PAGE - 1)) + offset, part, to_memory,
                 p->iov, &p->packet.iov_count)) {
            return false;
        }
        size -= part;
        offset = 0;
        page++;
    }
    return true;
}

static void mark_written(Ehci *e, const uint32_t *overlay, uint32_t size)
{
    unsigned page = overlay[QTD_TOKEN] >> 12 & 7;
    uint32_t offset = overlay[QTD_BUFFERS] & (PAGE - 1);

    for (; size && page < BUFFERS; page++) {
        uint32_t part = MIN(size, PAGE - offset);

        address_space_written(&e->pci.device.machine->memory_space, &e->pci.device,
                              (overlay[QTD_BUFFERS + page] & ~(uint32_t)(PAGE - 1)) + offset, part);
        size -= part;
        offset = 0;
    }
}

static UsbStatus start_packet(Ehci *e, uint32_t address, const uint32_t *qh, bool periodic,
                              EhciPending **out)
{
    static const UsbToken tokens[] = { USB_TOKEN_OUT, USB_TOKEN_IN, USB_TOKEN_SETUP,
                                       USB_TOKEN_OUT };
    const uint32_t *overlay = qh + QH_OVERLAY;
    UsbDevice *usb = ehci_find_device(e, qh[QH_ENDPOINT] & 0x7f);
    UsbToken token = tokens[overlay[QTD_TOKEN] >> 8 & 3];
    EhciPending *p;

    if (e->pending_count == EHCI_PENDING_MAX) {
        return USB_NAK;
    }
    p = g_new0(EhciPending, 1);
    p->ehci = e;
    p->queue = address;
    p->pass = e->pass;
    p->periodic = periodic;
    p->packet = (UsbPacket){ .token = token,
                             .endpoint = qh[QH_ENDPOINT] >> 8 & 0xf,
                             .iov = p->iov,
                             .size = bytes_of(overlay[QTD_TOKEN]),
                             .done = packet_done };
    e->pending[e->pending_count++] = p;
    *out = p;
    if (!map_buffers(e, overlay, p->packet.size, token == USB_TOKEN_IN, p)) {
        p->packet.status = USB_STALL;
        return USB_STALL;
    }
    return usb ? usb_device_handle(usb, &p->packet) : (p->packet.status = USB_ERROR);
}

/* Writes back what became of the overlay's transfer, to the queue head and to the descriptor that it is of. */
static void end_transfer(Ehci *e, uint32_t address, uint32_t *qh, const UsbPacket *packet)
{
    uint32_t *overlay = qh + QH_OVERLAY, *token = &overlay[QTD_TOKEN];
    unsigned largest = qh[QH_ENDPOINT] >> 16 & 0x7ff, moved = packet->moved;
    bool in = packet->token == USB_TOKEN_IN, failed = packet->status != USB_DONE;

    if (in) {
        mark_written(e, overlay, moved);
    }
    *token &= ~(uint32_t)TOKEN_ACTIVE;
    if (failed) {
        *token |= TOKEN_HALTED | (packet->status == USB_ERROR ? TOKEN_ERROR : 0);
        *token &= packet->status == USB_ERROR ? ~(uint32_t)TOKEN_CERR : UINT32_MAX;
        e->usbsts |= EHCI_STS_ERROR;
    } else {
        unsigned packets = largest ? MAX((moved + largest - 1) / largest, 1) : 1;

        *token ^= (uint32_t)(packets & 1) << 31; /* the data toggle */
        *token = bits_deposit(*token, TOKEN_BYTES_SHIFT, 15, bytes_of(*token) - moved);
    }
    if (*token & TOKEN_IOC || (!failed && in && bytes_of(*token))) {
        e->usbsts |= EHCI_STS_INTERRUPT;
    }
    ehci_write(e, address + 4 * (QH_OVERLAY + QTD_TOKEN), token, 1);
    ehci_write(e, LINK(qh[QH_CURRENT]) + 4 * QTD_TOKEN, token, 1);
}

/* Brings the next descriptor into the overlay; false: there is none that is active. */
static bool advance(Ehci *e, uint32_t address, uint32_t *qh)
{
    enum { TOGGLE_FROM_QTD = 1 << 14 };
    uint32_t *overlay = qh + QH_OVERLAY, qtd[QTD_WORDS], next = overlay[QTD_NEXT];

    if (bytes_of(overlay[QTD_TOKEN]) && !(overlay[QTD_ALTERNATE] & LINK_END)) {
        next = overlay[QTD_ALTERNATE]; /* behind a short packet */
    }
    if (next & LINK_END || !ehci_read(e, LINK(next), qtd, QTD_WORDS) ||
        !(qtd[QTD_TOKEN] & TOKEN_ACTIVE)) {
        return false;
    }
    if (!(qh[QH_ENDPOINT] & TOGGLE_FROM_QTD)) {
        qtd[QTD_TOKEN] = (qtd[QTD_TOKEN] & INT32_MAX) | (overlay[QTD_TOKEN] & ~(uint32_t)INT32_MAX);
    }
    qh[QH_CURRENT] = LINK(next);
    memcpy(overlay, qtd, sizeof qtd);
    ehci_write(e, address + 4 * QH_CURRENT, qh + QH_CURRENT, QH_WORDS - QH_CURRENT);
    return true;
}

/* One transfer of a queue; whether it got on. */
static bool run_queue(Ehci *e, uint32_t address, uint32_t *qh, bool periodic)
{
    EhciPending *p = find_pending(e, address);
    UsbStatus status;

    if (p) {
        p->pass = e->pass;
        if (!p->done) {
            return false;
        }
        status = p->packet.status;
    } else {
        uint32_t token = qh[QH_OVERLAY + QTD_TOKEN];

        if (token & TOKEN_HALTED || (!(token & TOKEN_ACTIVE) && !advance(e, address, qh))) {
            return false;
        }
        status = start_packet(e, address, qh, periodic, &p);
    }
    if (status == USB_PENDING) {
        return false;
    }
    if (status != USB_NAK) {
        e->quiet = 0;
        end_transfer(e, address, qh, &p->packet);
    }
    if (p) {
        drop(e, p);
    }
    return status == USB_DONE;
}

/* The asynchronous schedule: a ring, once around. */
static bool async_round(Ehci *e, unsigned *budget)
{
    uint32_t first = LINK(e->async_address), address = first, qh[QH_WORDS];
    bool moved = false;

    for (unsigned i = 0; i < ASYNC_QUEUES && *budget; i++) {
        if (!ehci_read(e, address, qh, QH_WORDS)) {
            break;
        }
        if (run_queue(e, address, qh, false)) {
            moved = true;
            --*budget;
        }
        if (qh[QH_LINK] & LINK_END || (qh[QH_LINK] & LINK_TYPE) != LINK_QH) {
            break;
        }
        address = LINK(qh[QH_LINK]);
        if (address == first) {
            break;
        }
    }
    return moved;
}

/* A queue that the ring does not have any more is the driver's again when it is told so. */
static void forget_unlinked(Ehci *e)
{
    for (unsigned i = 0; i < e->pending_count;) {
        EhciPending *p = e->pending[i];

        if (!p->periodic && p->pass != e->pass) {
            drop(e, p);
        } else {
            i++;
        }
    }
}

static void run_async(Ehci *e)
{
    unsigned budget = ASYNC_BUDGET;
    bool on = e->usbcmd & EHCI_CMD_ASYNC;

    e->pass++;
    while (on && async_round(e, &budget)) {
    }
    if (e->usbcmd & EHCI_CMD_DOORBELL) {
        if (budget) {
            forget_unlinked(e);
            e->usbcmd &= ~(uint32_t)EHCI_CMD_DOORBELL;
            e->usbsts |= EHCI_STS_ADVANCE;
        }
        e->quiet = 0;
    }
}

/* Isochronous descriptors: up to eight packets, one in each microframe. */

static void run_transaction(Ehci *e, const uint32_t *itd, uint32_t *transaction)
{
    uint32_t size = *transaction >> 16 & 0xfff, page = *transaction >> 12 & 7,
             offset = *transaction & (PAGE - 1);
    bool in = itd[10] & 1 << 11;
    UsbDevice *usb = ehci_find_device(e, itd[9] & 0x7f);
    struct iovec iov[PIECES];
    UsbPacket packet = { .token = in ? USB_TOKEN_IN : USB_TOKEN_OUT,
                         .endpoint = itd[9] >> 8 & 0xf,
                         .iov = iov,
                         .size = size };
    uint32_t left = size;
    bool mapped = size <= ITD_BYTES_MAX;

    for (; mapped && left; page++) {
        uint32_t part = MIN(left, PAGE - offset);

        mapped = page < 7 && map(e, (itd[9 + page] & ~(uint32_t)(PAGE - 1)) + offset, part, in, iov,
                                 &packet.iov_count);
        left -= part;
        offset = 0;
    }
    *transaction &= ~ITD_ACTIVE;
    if (!mapped) {
        *transaction |= ITD_BUFFER_ERROR;
    } else if (!usb || usb_device_handle(usb, &packet) == USB_STALL || packet.status == USB_ERROR) {
        *transaction |= in ? ITD_ERROR : 0;
    } else if (packet.status == USB_PENDING) {
        usb_packet_cancel(&packet); /* there is no later in an isochronous pipe */
        packet.moved = 0;
    }
    if (mapped && in) {
        *transaction = bits_deposit(*transaction, 16, 12, packet.moved);
    }
    if (*transaction & ITD_IOC) {
        e->usbsts |= EHCI_STS_INTERRUPT;
    }
}

static uint32_t run_itd(Ehci *e, uint32_t address)
{
    uint32_t itd[ITD_WORDS];

    if (!ehci_read(e, address, itd, ITD_WORDS)) {
        return LINK_END;
    }
    for (unsigned i = 0; i < 8; i++) {
        if (itd[1 + i] & ITD_ACTIVE) {
            e->quiet = 0;
            e->isoch_left = ISOCH_FRAMES;
            run_transaction(e, itd, &itd[1 + i]);
            ehci_write(e, address + 4 * (1 + i), &itd[1 + i], 1);
        }
    }
    return itd[0];
}

static void run_frame(Ehci *e)
{
    static const uint16_t sizes[] = { 1024, 512, 256, 1024 };
    unsigned size = sizes[(e->usbcmd & EHCI_CMD_FRAME_LIST) >> 2];
    uint32_t link, qh[QH_WORDS];

    if (!ehci_read(e, (e->periodic_base & ~(uint32_t)(PAGE - 1)) + 4 * ((e->frindex >> 3) % size),
                   &link, 1)) {
        return;
    }
    for (unsigned step = 0; step < FRAME_STEPS && !(link & LINK_END); step++) {
        uint32_t address = LINK(link);

        switch (link & LINK_TYPE) {
        case LINK_ITD:
            link = run_itd(e, address);
            break;
        case LINK_QH:
            if (!ehci_read(e, address, qh, QH_WORDS)) {
                return;
            }
            if (qh[QH_CAPABILITIES] & 0xff) {
                run_queue(e, address, qh, true);
            }
            link = qh[QH_LINK];
            break;
        default: /* split transactions */
            if (!ehci_read(e, address, &link, 1)) {
                return;
            }
        }
    }
}

/* Behind the time by more than this, time is lost. Isochronous descriptors are not passed over: their frames come later. */
static void forget_late(Ehci *e, int64_t now)
{
    int64_t frames = (now - e->frame_ns) / FRAME_NS;

    if (frames > (e->isoch_left ? ISOCH_LATE_FRAMES : LATE_FRAMES)) {
        e->frindex = (uint32_t)((e->frindex + (e->isoch_left ? 0 : 8 * frames)) & 0x3fff);
        e->frame_ns += frames * FRAME_NS;
    }
}

/*
 * Where there are isochronous descriptors, each stands in its own frame: a driver that has not seen an interrupt yet had no time to
 * fill the frames behind it, so those wait.
 */
static void run_periodic(Ehci *e, int64_t now)
{
    if (e->in_frames) {
        return;
    }
    e->in_frames = true;
    forget_late(e, now);
    while (e->frame_ns <= now && !(e->isoch_left && (e->usbsts & e->usbintr & EHCI_STS_INTERRUPT ||
                                                     !usb_pace(&e->pace_ns, now, FRAME_NS)))) {
        e->isoch_left -= e->isoch_left ? 1 : 0;
        if (e->usbcmd & EHCI_CMD_PERIODIC) {
            run_frame(e);
        }
        e->frindex += 8;
        if (e->frindex & 0x4000) {
            e->usbsts |= EHCI_STS_ROLLOVER;
        }
        e->frindex &= 0x3fff;
        e->frame_ns += FRAME_NS;
    }
    e->in_frames = false;
}

uint32_t ehci_microframe(Ehci *e)
{
    int64_t now = clock_now_ns(e->pci.device.machine), late;

    if (!(e->usbcmd & EHCI_CMD_RUN)) {
        return e->frindex;
    }
    if (e->isoch_left) {
        run_periodic(e, now);
        ehci_update_irq(e);
    }
    late = (now - (e->frame_ns - FRAME_NS)) / MICROFRAME_NS;
    if (e->isoch_left) {
        late = MIN(late, 7);
    }
    return (e->frindex + (uint32_t)MAX(late, 0)) & 0x3fff;
}

void ehci_run(void *opaque)
{
    Ehci *e = opaque;
    int64_t now = clock_now_ns(e->pci.device.machine), period;

    if (!(e->usbcmd & EHCI_CMD_RUN)) {
        return;
    }
    e->quiet++;
    run_periodic(e, now);
    run_async(e);
    ehci_update_irq(e);
    period = e->quiet < BUSY_RUNS ? MICROFRAME_NS : e->quiet < IDLE_RUNS ? FRAME_NS : IDLE_NS;
    if (e->usbcmd & EHCI_CMD_RUN) {
        timer_arm(&e->timer, now + period);
    }
}
