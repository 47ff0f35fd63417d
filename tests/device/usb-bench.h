/* SPDX-License-Identifier: MIT */
/* For tests of USB devices: a controller that does nothing by itself, whose test sends the packets. */
#ifndef TESTS_DEVICE_USB_BENCH_H
#define TESTS_DEVICE_USB_BENCH_H

#include "hw/usb/usb.h"
#include "tests/device/bench.h"

/* Port 1 takes high speed, port 2 does not. */
typedef struct {
    Device device;
    UsbBus bus;
    UsbPort ports[2];
    unsigned attached, detached, ready; /* calls of its ports */
} UsbBenchHost;

/* Of the bench that was opened last. */
extern UsbBenchHost *usb_bench_host;

void usb_bench_add_host(Bench *bench);
/* A new bench with a controller and a device, of which one property is set. */
UsbDevice *usb_bench_open(Bench **bench, const char *type, const char *property, const char *value);
/* moved: how many bytes; may be NULL. */
UsbStatus usb_bench_send(UsbDevice *usb, UsbToken token, unsigned endpoint, void *data,
                         uint32_t size, uint32_t *moved);
/* A whole control transfer, data in packets of 8 bytes; what came, or -1 when it was refused. */
int usb_bench_control(UsbDevice *usb, unsigned type, unsigned request, unsigned value,
                      unsigned index, void *data, unsigned length);
/* Gives it address 9 and its configuration. */
void usb_bench_configure(UsbDevice *usb);

#endif
