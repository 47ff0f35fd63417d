/* SPDX-License-Identifier: MIT */
#include "tests/device/usb-bench.h"

#include "base/bits.h"

UsbBenchHost *usb_bench_host;

static void attached(UsbPort *port)
{
    ((UsbBenchHost *)port->opaque)->attached++;
}

static void detached(UsbPort *port)
{
    ((UsbBenchHost *)port->opaque)->detached++;
}

static void ready(UsbPort *port, UsbDevice *usb, uint8_t endpoint)
{
    ((UsbBenchHost *)port->opaque)->ready++;
}

static bool host_realize(Device *device, GError **error)
{
    static const UsbPortOps ops = { attached, detached, ready };
    UsbBenchHost *host = (UsbBenchHost *)device;

    usb_bus_init(&host->bus, device);
    for (unsigned i = 0; i < 2; i++) {
        usb_port_init(&host->ports[i], &host->bus, NULL, i, i ? USB_SPEEDS_1 : USB_SPEEDS_2, &ops,
                      host);
        host->ports[i].enabled = true;
    }
    usb_bench_host = host;
    return true;
}

static void host_unrealize(Device *device)
{
    UsbBenchHost *host = (UsbBenchHost *)device;

    usb_port_free(&host->ports[0]);
    usb_port_free(&host->ports[1]);
    usb_bus_free(&host->bus);
}

static const DeviceType host_type = {
    .name = "test-usb-host",
    .summary = "A USB controller for a test",
    .category = "usb",
    .instance_size = sizeof(UsbBenchHost),
    .realize = host_realize,
    .unrealize = host_unrealize,
};
DEVICE_TYPE(host_type);

void usb_bench_add_host(Bench *bench)
{
    Device *host = device_create(bench->machine, NULL, "test-usb-host", NULL, NULL, NULL);

    g_assert_true(device_realize(host, NULL));
}

UsbDevice *usb_bench_open(Bench **bench, const char *type, const char *property, const char *value)
{
    *bench = bench_new(false);
    usb_bench_add_host(*bench);
    return usb_device(bench_device(*bench, type, "dut", property, value, NULL));
}

UsbStatus usb_bench_send(UsbDevice *usb, UsbToken token, unsigned endpoint, void *data,
                         uint32_t size, uint32_t *moved)
{
    struct iovec iov = { data, size };
    UsbPacket packet = {
        .token = token, .endpoint = (uint8_t)endpoint, .iov = &iov, .iov_count = 1, .size = size
    };
    UsbStatus status = usb_device_handle(usb, &packet);

    if (moved) {
        *moved = packet.moved;
    }
    return status;
}

int usb_bench_control(UsbDevice *usb, unsigned type, unsigned request, unsigned value,
                      unsigned index, void *data, unsigned length)
{
    uint8_t setup[8] = { (uint8_t)type, (uint8_t)request };
    bool in = type & USB_DIRECTION_IN;
    unsigned done = 0;
    uint32_t moved;

    store_le16(setup + 2, (uint16_t)value);
    store_le16(setup + 4, (uint16_t)index);
    store_le16(setup + 6, (uint16_t)length);
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_SETUP, 0, setup, 8, NULL), ==, USB_DONE);
    while (done < length) {
        unsigned part = MIN(8, length - done);

        if (usb_bench_send(usb, in ? USB_TOKEN_IN : USB_TOKEN_OUT, 0, (uint8_t *)data + done, part,
                           &moved) != USB_DONE) {
            return -1;
        }
        done += moved;
        if (moved < part) {
            break;
        }
    }
    return usb_bench_send(usb, in && length ? USB_TOKEN_OUT : USB_TOKEN_IN, 0, NULL, 0, NULL) ==
                   USB_DONE
               ? (int)done
               : -1;
}

void usb_bench_configure(UsbDevice *usb)
{
    g_assert_cmpint(usb_bench_control(usb, 0, 5, 9, 0, NULL, 0), ==, 0);
    g_assert_cmpuint(usb->address, ==, 9);
    g_assert_cmpint(usb_bench_control(usb, 0, 9, 1, 0, NULL, 0), ==, 0);
}
