/* SPDX-License-Identifier: MIT */
/*
 * xHCI (eXtensible Host Controller Interface for USB, revision 1.2): what its files share.
 *
 * Registers are in xhci.c, root ports in xhci-ports.c, events in xhci-events.c, commands in xhci-commands.c, transfers in
 * xhci-transfers.c. Everything that a driver has in memory is read once and checked. Under the machine lock.
 */
#ifndef HW_USB_XHCI_H
#define HW_USB_XHCI_H

#include "hw/pci/pci.h"
#include "hw/usb/usb.h"
#include "machine/clock.h"
#include "machine/machine.h"

enum {
    XHCI_PORTS_MAX = 15, /* of each protocol */
    XHCI_SLOTS_MAX = 64,
    XHCI_INTERRUPTERS_MAX = 16,
    XHCI_ENDPOINTS = 31, /* of a slot; number 1 is the control endpoint */
    XHCI_BACKLOG = 1024,
    XHCI_TRB_SIZE = 16,
    XHCI_CONTEXT = 32,
    XHCI_STREAMS = 5, /* at most, as contexts have it: 2 to the power of 1 more, with the reserved one */

    XHCI_CMD_RUN = 1 << 0,
    XHCI_CMD_RESET = 1 << 1,
    XHCI_CMD_INTERRUPTS = 1 << 2,
    XHCI_CMD_LIGHT_RESET = 1 << 7,
    XHCI_CMD_SAVE = 1 << 8,
    XHCI_CMD_RESTORE = 1 << 9,
    XHCI_STS_HALTED = 1 << 0,
    XHCI_STS_EVENT = 1 << 3,
    XHCI_STS_PORT = 1 << 4,
    XHCI_STS_RESTORE_ERROR = 1 << 10,
    XHCI_STS_ERROR = 1 << 12,
    XHCI_CRCR_RUNNING = 1 << 3,
};

/* TRB types (table 6-91). */
typedef enum {
    TRB_NORMAL = 1,
    TRB_SETUP = 2,
    TRB_DATA = 3,
    TRB_STATUS = 4,
    TRB_ISOCH = 5,
    TRB_LINK = 6,
    TRB_EVENT_DATA = 7,
    TRB_NO_OP = 8,
    TRB_ENABLE_SLOT = 9,
    TRB_DISABLE_SLOT = 10,
    TRB_ADDRESS_DEVICE = 11,
    TRB_CONFIGURE_ENDPOINT = 12,
    TRB_EVALUATE_CONTEXT = 13,
    TRB_RESET_ENDPOINT = 14,
    TRB_STOP_ENDPOINT = 15,
    TRB_SET_DEQUEUE = 16,
    TRB_RESET_DEVICE = 17,
    TRB_NO_OP_COMMAND = 23,
    TRB_TRANSFER_EVENT = 32,
    TRB_COMMAND_EVENT = 33,
    TRB_PORT_EVENT = 34,
    TRB_NEC_EVENT = 48,
    TRB_NEC_FIRMWARE = 49,
} XhciTrbType;

enum {
    TRB_CYCLE = 1 << 0,
    TRB_TOGGLE = 1 << 1,          /* of a link */
    TRB_SHORT = 1 << 2,           /* interrupt on short packet */
    TRB_EVENT_DATA_FLAG = 1 << 2, /* of a transfer event */
    TRB_CHAIN = 1 << 4,
    TRB_IOC = 1 << 5,
    TRB_IMMEDIATE = 1 << 6,
    TRB_BLOCK_INTERRUPT = 1 << 9,
    TRB_IN = 1 << 16,
    TRB_LENGTH = 0x1ffff,
};

/* Completion codes (table 6-90). */
typedef enum {
    CODE_SUCCESS = 1,
    CODE_DATA_BUFFER = 2,
    CODE_TRANSACTION = 4,
    CODE_TRB = 5,
    CODE_STALL = 6,
    CODE_NO_SLOTS = 9,
    CODE_SLOT_NOT_ENABLED = 11,
    CODE_ENDPOINT_NOT_ENABLED = 12,
    CODE_SHORT = 13,
    CODE_PARAMETER = 17,
    CODE_CONTEXT_STATE = 19,
    CODE_COMMAND_RING_STOPPED = 24,
    CODE_STREAM = 34,
} XhciCode;

typedef struct {
    uint64_t parameter;
    uint32_t status, control;
    uint64_t address; /* where it was */
} XhciTrb;

/* A ring that the driver fills: what is next, and the cycle bit of what is valid. */
typedef struct {
    uint64_t dequeue;
    uint8_t cycle;
} XhciRing;

typedef enum {
    ENDPOINT_DISABLED,
    ENDPOINT_RUNNING,
    ENDPOINT_HALTED,
    ENDPOINT_STOPPED,
    ENDPOINT_ERROR,
    ENDPOINT_STATE_COUNT,
} XhciEndpointState;

typedef enum {
    TYPE_ISOCH_OUT = 1,
    TYPE_BULK_OUT,
    TYPE_INTERRUPT_OUT,
    TYPE_CONTROL,
    TYPE_ISOCH_IN,
    TYPE_BULK_IN,
    TYPE_INTERRUPT_IN,
} XhciEndpointType;

typedef struct XhciTransfer XhciTransfer;

typedef struct {
    uint8_t state;           /* XhciEndpointState */
    uint8_t type;            /* XhciEndpointType */
    uint8_t interval;        /* exponent, in microframes */
    uint8_t wanted;          /* the driver has rung since it was last found empty */
    uint8_t streams;         /* 0: none; else `ring` is where the array of their contexts is */
    uint64_t wanted_streams; /* the same as `wanted`, a bit each */
    XhciRing ring;
    uint64_t next_microframe; /* of an isochronous endpoint */
    int64_t pace_ns;          /* usb_pace */
    XhciTransfer *transfers;  /* that a device has: one for each stream, else one */
} XhciEndpoint;

typedef struct {
    uint8_t enabled, addressed;
    uint8_t port; /* number of the port register, from 1; 0: none */
    uint32_t route;
    uint16_t interrupter;
    uint64_t context; /* the output device context */
    XhciEndpoint endpoints[XHCI_ENDPOINTS];
} XhciSlot;

typedef struct {
    uint32_t iman, imod, erst_size;
    uint32_t erst_low, erst_high, erdp_low, erdp_high;
    uint64_t ring;          /* the segment */
    uint32_t size, enqueue; /* TRBs */
    uint8_t cycle;
} XhciInterrupter;

typedef struct Xhci {
    PciDevice pci; /* first */
    UsbBus bus;
    MemoryRegion bar, registers;
    Timer timer; /* to look at all endpoints again */
    uint32_t usbcmd, usbsts, dnctrl, config;
    uint32_t crcr_low, crcr_high, dcbaap_low, dcbaap_high;
    XhciRing commands;
    uint8_t commands_running;
    uint32_t portsc[2 * XHCI_PORTS_MAX];
    UsbPort ports[XHCI_PORTS_MAX]; /* sockets: each has up to two port registers */
    XhciInterrupter interrupters[XHCI_INTERRUPTERS_MAX];
    XhciSlot slots[XHCI_SLOTS_MAX];
    /* Events that have no room in their ring yet: parameter, status and control, interrupter. */
    uint64_t backlog[XHCI_BACKLOG][3];
    uint32_t backlog_count;
    /* Properties. */
    uint32_t p2, p3, interrupter_count, slot_count;
    int msi, msix;
    bool streams, conditional;
} Xhci;

static inline unsigned xhci_port_count(const Xhci *xhci)
{
    return xhci->p2 + xhci->p3;
}

static inline bool xhci_running(const Xhci *xhci)
{
    return xhci->usbcmd & XHCI_CMD_RUN && !(xhci->usbsts & XHCI_STS_ERROR);
}

static inline unsigned trb_type(const XhciTrb *trb)
{
    return trb->control >> 10 & 0x3f;
}

/* xhci.c */
bool xhci_read(Xhci *xhci, uint64_t address, void *data, unsigned size);
bool xhci_write(Xhci *xhci, uint64_t address, const void *data, unsigned size);
/* The driver has left its senses: HCE, and nothing more until it resets the controller. */
void xhci_fail(Xhci *xhci, const char *why);
/* The next TRB of a ring, links followed; false: there is none, or the ring is broken. Moves the ring on. */
bool xhci_fetch(Xhci *xhci, XhciRing *ring, XhciTrb *trb);
uint64_t xhci_microframe(const Xhci *xhci);

/* xhci-events.c */
void xhci_post(Xhci *xhci, unsigned interrupter, const XhciTrb *event);
/* Whether the driver has been interrupted, and has not come to the end of its events since. */
bool xhci_events_unseen(const Xhci *xhci);
void xhci_interrupter_reset(XhciInterrupter *i);
/* The driver has written the high half of the event ring's table, or where it has read to. */
void xhci_start_events(Xhci *xhci, unsigned interrupter);
void xhci_events_read(Xhci *xhci, unsigned interrupter, uint32_t value);
void xhci_update_irq(Xhci *xhci);

/* xhci-ports.c */
void xhci_ports_init(Xhci *xhci);
void xhci_ports_free(Xhci *xhci);
void xhci_port_reset(Xhci *xhci, unsigned number);
void xhci_port_write(Xhci *xhci, unsigned number, uint32_t value);
void xhci_ports_loaded(Xhci *xhci);
/* The socket of a port register, from 1 on; NULL: none. */
UsbPort *xhci_port_socket(Xhci *xhci, unsigned number);

/* xhci-commands.c */
void xhci_run_commands(Xhci *xhci);
void xhci_stop_commands(Xhci *xhci);
void xhci_disable_slot(Xhci *xhci, unsigned slot);

/* xhci-transfers.c: slots and endpoints from 1 on. */
void xhci_kick(Xhci *xhci, unsigned slot, unsigned endpoint);
void xhci_kick_all(Xhci *xhci);
void xhci_stop_endpoint(Xhci *xhci, unsigned slot, unsigned endpoint);
void xhci_set_endpoint_state(Xhci *xhci, unsigned slot, unsigned endpoint, XhciEndpointState state);
UsbDevice *xhci_slot_device(Xhci *xhci, unsigned slot);
/* The driver has rung the bell of an endpoint's ring. */
void xhci_ring_bell(Xhci *xhci, unsigned slot, unsigned endpoint, unsigned stream);
/* Whether an endpoint has a stream. */
bool xhci_has_stream(const XhciEndpoint *e, unsigned stream);
/* Where the ring of a stream is, in the driver's memory. */
void xhci_set_stream_ring(Xhci *xhci, const XhciEndpoint *e, unsigned stream, XhciRing ring);
/* A device's endpoint has something. */
void xhci_endpoint_ready(Xhci *xhci, UsbDevice *usb, uint8_t address);

#endif
