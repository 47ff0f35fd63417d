/* SPDX-License-Identifier: MIT */
/*
 * xHCI: event rings and interrupts (4.9.4, 4.17). What does not fit into a ring waits in the backlog, and no
 * transfer is begun while something waits there.
 */
#include <string.h>

#include "base/bits.h"
#include "hw/usb/xhci.h"

enum {
    IMAN_PENDING = 1 << 0,
    IMAN_ENABLE = 1 << 1,
    ERDP_BUSY = 1 << 3,
    ERDP_FLAGS = 0xf,
    SEGMENT_MIN = 16,
    SEGMENT_MAX = 4096,
};

static uint64_t erdp(const XhciInterrupter *i)
{
    return (uint64_t)i->erdp_high << 32 | (i->erdp_low & ~(uint32_t)ERDP_FLAGS);
}

/* The TRB that the driver will read next. */
static uint32_t dequeue(const XhciInterrupter *i)
{
    uint64_t offset = erdp(i) - i->ring;

    return offset < (uint64_t)i->size * XHCI_TRB_SIZE ? (uint32_t)(offset / XHCI_TRB_SIZE) : 0;
}

void xhci_update_irq(Xhci *xhci)
{
    const XhciInterrupter *first = &xhci->interrupters[0];
    bool messages = pci_msix_enabled(&xhci->pci) || pci_msi_enabled(&xhci->pci);
    unsigned both = IMAN_PENDING | IMAN_ENABLE;

    pci_set_irq(&xhci->pci,
                !messages && (first->iman & both) == both && xhci->usbcmd & XHCI_CMD_INTERRUPTS);
}

/* A message clears the pending bit by itself (4.17.5). */
static void interrupt(Xhci *xhci, unsigned number)
{
    XhciInterrupter *i = &xhci->interrupters[number];

    i->erdp_low |= ERDP_BUSY;
    i->iman |= IMAN_PENDING;
    xhci->usbsts |= XHCI_STS_EVENT;
    if (i->iman & IMAN_ENABLE && xhci->usbcmd & XHCI_CMD_INTERRUPTS) {
        if (pci_msix_enabled(&xhci->pci)) {
            i->iman &= ~(uint32_t)IMAN_PENDING;
            pci_msix_notify(&xhci->pci, number);
        } else if (pci_msi_enabled(&xhci->pci)) {
            i->iman &= ~(uint32_t)IMAN_PENDING;
            pci_msi_notify(&xhci->pci);
        }
    }
    xhci_update_irq(xhci);
}

/* One TRB stays free, by which a full ring differs from an empty one. */
static bool put(Xhci *xhci, XhciInterrupter *i, uint64_t parameter, uint32_t status,
                uint32_t control)
{
    uint8_t trb[XHCI_TRB_SIZE];

    if ((i->enqueue + 1) % i->size == dequeue(i)) {
        return false;
    }
    store_le64(trb, parameter);
    store_le32(trb + 8, status);
    store_le32(trb + 12, (control & ~(uint32_t)(TRB_CYCLE | TRB_BLOCK_INTERRUPT)) |
                             (i->cycle ? TRB_CYCLE : 0));
    xhci_write(xhci, i->ring + (uint64_t)i->enqueue * XHCI_TRB_SIZE, trb, sizeof trb);
    i->enqueue++;
    if (i->enqueue == i->size) {
        i->enqueue = 0;
        i->cycle ^= 1;
    }
    return true;
}

static void keep(Xhci *xhci, unsigned number, const XhciTrb *event)
{
    uint64_t *entry = xhci->backlog[xhci->backlog_count];

    if (xhci->backlog_count == XHCI_BACKLOG) {
        xhci_fail(xhci, "events are not read");
        return;
    }
    entry[0] = event->parameter;
    entry[1] = (uint64_t)event->status << 32 | event->control;
    entry[2] = number;
    xhci->backlog_count++;
}

void xhci_post(Xhci *xhci, unsigned number, const XhciTrb *event)
{
    XhciInterrupter *i = &xhci->interrupters[number];

    if (number >= xhci->interrupter_count || !i->size) {
        log_guest_error(xhci->pci.device.id, "an event for interrupter %u, which has no ring",
                        number);
        return;
    }
    if (xhci->backlog_count || !put(xhci, i, event->parameter, event->status, event->control)) {
        keep(xhci, number, event);
        return;
    }
    if (!(event->control & TRB_BLOCK_INTERRUPT) && !(i->erdp_low & ERDP_BUSY)) {
        interrupt(xhci, number);
    }
}

static void flush_backlog(Xhci *xhci)
{
    uint32_t done = 0;

    while (done < xhci->backlog_count) {
        const uint64_t *entry = xhci->backlog[done];
        unsigned number = (unsigned)entry[2] % XHCI_INTERRUPTERS_MAX;
        XhciInterrupter *i = &xhci->interrupters[number];

        if (i->size && !put(xhci, i, entry[0], (uint32_t)(entry[1] >> 32), (uint32_t)entry[1])) {
            break;
        }
        if (i->size && !(i->erdp_low & ERDP_BUSY)) {
            interrupt(xhci, number);
        }
        done++;
    }
    if (done) {
        xhci->backlog_count -= done;
        memmove(xhci->backlog, xhci->backlog + done, xhci->backlog_count * sizeof *xhci->backlog);
    }
}

bool xhci_events_unseen(const Xhci *xhci)
{
    for (unsigned n = 0; n < xhci->interrupter_count; n++) {
        const XhciInterrupter *i = &xhci->interrupters[n];

        if (i->size && i->iman & IMAN_ENABLE && i->erdp_low & ERDP_BUSY) {
            return true;
        }
    }
    return false;
}

void xhci_interrupter_reset(XhciInterrupter *i)
{
    *i = (XhciInterrupter){ .imod = 4000, .cycle = 1 };
}

void xhci_start_events(Xhci *xhci, unsigned number)
{
    XhciInterrupter *i = &xhci->interrupters[number];
    uint64_t table = (uint64_t)i->erst_high << 32 | (i->erst_low & ~UINT32_C(0x3f));
    uint8_t entry[XHCI_TRB_SIZE];
    uint32_t size;

    i->size = 0;
    if (i->erst_size != 1 || !xhci_read(xhci, table, entry, sizeof entry)) {
        return;
    }
    size = load_le16(entry + 8);
    if (size < SEGMENT_MIN || size > SEGMENT_MAX) {
        xhci_fail(xhci, "an event ring of less than 16 or more than 4096 entries");
        return;
    }
    i->ring = load_le64(entry) & ~UINT64_C(0x3f);
    i->size = size;
    i->enqueue = 0;
    i->cycle = 1;
}

void xhci_events_read(Xhci *xhci, unsigned number, uint32_t value)
{
    XhciInterrupter *i = &xhci->interrupters[number];
    uint32_t busy = value & ERDP_BUSY ? 0 : i->erdp_low & ERDP_BUSY;

    i->erdp_low = (value & ~(uint32_t)ERDP_BUSY) | busy;
    if (!i->size) {
        return;
    }
    if (!busy && i->enqueue != dequeue(i)) {
        interrupt(xhci, number);
    }
    if (xhci->backlog_count) {
        flush_backlog(xhci);
        if (!xhci->backlog_count) {
            timer_arm(&xhci->timer, clock_now_ns(xhci->pci.device.machine));
        }
    }
}
