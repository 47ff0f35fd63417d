/* SPDX-License-Identifier: MIT */
/*
 * EHCI (Enhanced Host Controller Interface for USB, revision 1.0): registers and ports are in ehci.c, schedules in
 * ehci-schedule.c. Under the machine lock.
 */
#ifndef HW_USB_EHCI_H
#define HW_USB_EHCI_H

#include "hw/pci/pci.h"
#include "hw/usb/usb.h"
#include "machine/clock.h"
#include "machine/machine.h"

enum {
    EHCI_PORTS = 6,
    EHCI_PENDING_MAX = 32,

    EHCI_CMD_RUN = 1 << 0,
    EHCI_CMD_RESET = 1 << 1,
    EHCI_CMD_FRAME_LIST = 3 << 2,
    EHCI_CMD_PERIODIC = 1 << 4,
    EHCI_CMD_ASYNC = 1 << 5,
    EHCI_CMD_DOORBELL = 1 << 6,
    EHCI_STS_INTERRUPT = 1 << 0,
    EHCI_STS_ERROR = 1 << 1,
    EHCI_STS_PORT = 1 << 2,
    EHCI_STS_ROLLOVER = 1 << 3,
    EHCI_STS_SYSTEM = 1 << 4,
    EHCI_STS_ADVANCE = 1 << 5,
    EHCI_STS_HALTED = 1 << 12,
    EHCI_STS_PERIODIC = 1 << 14,
    EHCI_STS_ASYNC = 1 << 15,
    EHCI_STS_CAUSES = 0x3f,
};

typedef struct EhciPending EhciPending;

typedef struct {
    PciDevice pci; /* first */
    UsbBus bus;
    UsbPort ports[EHCI_PORTS];
    UsbPort *companions[EHCI_PORTS];
    unsigned companion_count; /* controllers */
    MemoryRegion registers;
    Timer timer;
    uint32_t usbcmd, usbsts, usbintr, frindex, segment, periodic_base, async_address, configflag;
    uint32_t portsc[EHCI_PORTS];
    int64_t frame_ns; /* when the next frame begins */
    uint32_t quiet;   /* runs in which nothing moved */
    uint32_t pass;    /* of the asynchronous schedule */
    int64_t pace_ns;     /* of isochronous frames that are late: usb_pace */
    uint32_t isoch_left; /* frames for which isochronous descriptors are expected */
    bool in_frames;      /* they are being walked: not from within */
    EhciPending *pending[EHCI_PENDING_MAX];
    unsigned pending_count;
    uint32_t maxframes;
} Ehci;

/* ehci.c */
bool ehci_read(Ehci *e, uint32_t address, uint32_t *words, unsigned count);
void ehci_write(Ehci *e, uint32_t address, const uint32_t *words, unsigned count);
UsbDevice *ehci_find_device(Ehci *e, uint8_t address);
void ehci_update_irq(Ehci *e);
/* Something has happened, or will: the schedules are looked at soon, and often. */
void ehci_wake(Ehci *e);

/* ehci-schedule.c */
void ehci_run(void *ehci);
void ehci_drop_all(Ehci *e);
/* The microframe that it would be in. */
uint32_t ehci_microframe(Ehci *e);

#endif
