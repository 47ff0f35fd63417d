/* SPDX-License-Identifier: MIT */
/* UHCI: registers and ports are in uhci.c, schedules in uhci-schedule.c. Under the machine lock. */
#ifndef HW_USB_UHCI_H
#define HW_USB_UHCI_H

#include "hw/pci/pci.h"
#include "hw/usb/usb.h"
#include "machine/clock.h"
#include "machine/machine.h"

enum {
    UHCI_PORTS = 2,
    UHCI_PENDING_MAX = 32,

    UHCI_CMD_RUN = 1 << 0,
    UHCI_STS_INTERRUPT = 1 << 0,
    UHCI_STS_ERROR = 1 << 1,
    UHCI_CAUSE_COMPLETE = 1, /* of UHCI_STS_INTERRUPT */
    UHCI_CAUSE_SHORT = 2,
};
#define UHCI_FRAME_NS INT64_C(1000000)

typedef struct UhciPending UhciPending;

typedef struct {
    PciDevice pci; /* first */
    UsbBus bus;
    UsbPort ports[UHCI_PORTS];
    MemoryRegion registers;
    Timer timer;
    uint16_t usbcmd, usbsts, usbintr, frnum;
    uint32_t flbase;
    uint8_t sofmod, cause;
    uint16_t portsc[UHCI_PORTS];
    int64_t frame_ns; /* when the next frame begins */
    uint32_t quiet;   /* frames in which nothing moved */
    uint32_t frame_count;
    int64_t pace_ns;     /* of isochronous frames that are late: usb_pace */
    uint32_t isoch_left; /* frames for which isochronous descriptors are expected */
    UhciPending *pending[UHCI_PENDING_MAX];
    unsigned pending_count;
    /* Properties. */
    uint32_t bandwidth, maxframes, firstport;
    char *masterbus;
} Uhci;

/* uhci.c */
void uhci_update_irq(Uhci *u);
bool uhci_interrupts(const Uhci *u);

/* uhci-schedule.c */
void uhci_run_frames(void *uhci);
/* Something has happened: frames are walked in time again. */
void uhci_wake(Uhci *u);
void uhci_drop_all(Uhci *u);
/* The number of the frame that it is in. What is due is done first, where it matters. */
unsigned uhci_frame(Uhci *u);

#endif
