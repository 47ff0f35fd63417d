/* SPDX-License-Identifier: MIT */
/*
 * USB packets to each kind of device, and the descriptors of transfers in a controller's memory. The first byte of the input chooses:
 * below 64 a device, whose packets are the rest (token and endpoint, size, and so many bytes); below 128 attached SCSI, the same with
 * streams; else a controller, whose rings and schedules are the rest: it is in memory at 0 of RAM, where the registers point.
 */
#include "base/bits.h"
#include "machine/clock.h"
#include "tests/device/usb-bench.h"
#include "tests/fuzz/fuzz.h"

enum {
    STEPS = 512,
    DATA = 1024,
    DEVFN = 1 << 3,
    BAR = BENCH_MEMORY_WINDOW,
    PORTS = 0x1000,
    FRAMES = 64,
    WAITING = 64,
};

static const char *const devices[] = { "usb-kbd", "usb-mouse", "usb-tablet", "usb-hub",
                                       "usb-audio" };

/* The next bytes of the input, zeros beyond its end. */
static void take(const uint8_t **data, size_t *size, uint8_t *bytes, size_t count)
{
    size_t part = MIN(*size, count);

    memset(bytes, 0, count);
    memcpy(bytes, *data, part);
    *data += part;
    *size -= part;
}

static void run_packets(const char *type, const uint8_t *data, size_t size)
{
    static const UsbToken tokens[] = { USB_TOKEN_SETUP, USB_TOKEN_IN, USB_TOKEN_OUT };
    uint8_t bytes[DATA];
    Bench *bench;
    UsbDevice *usb = usb_bench_open(&bench, type, "serial", "1");

    for (unsigned step = 0; step < STEPS && size >= 2; step++) {
        UsbToken token = tokens[data[0] % 3];
        uint32_t length = token == USB_TOKEN_SETUP ? 8 : data[1] * 4u;
        unsigned endpoint = data[0] >> 4;

        data += 2;
        size -= 2;
        if (token != USB_TOKEN_IN) {
            take(&data, &size, bytes, MIN(length, DATA));
        }
        usb_bench_send(usb, token, endpoint, bytes, MIN(length, DATA), NULL);
    }
    bench_free(bench);
}

/* Packets of attached SCSI, some of which wait: there is one unit, a disc without a medium. */

typedef struct {
    UsbPacket packet;
    struct iovec iov;
    uint8_t bytes[256];
    bool waits;
} Waiting;

static void packet_done(UsbPacket *packet)
{
    ((Waiting *)packet)->waits = false;
}

static void send(UsbDevice *usb, Waiting *w, const uint8_t *head, const uint8_t **data,
                 size_t *size)
{
    static const uint8_t endpoints[] = { 1, 2, 3, 4 };
    uint8_t endpoint = endpoints[head[0] % 4];
    bool out = endpoint == 1 || endpoint == 4;

    if (w->waits) {
        usb_packet_cancel(&w->packet);
    }
    *w = (Waiting){ .iov = { NULL, head[1] } };
    w->iov.iov_base = w->bytes;
    if (out) {
        take(data, size, w->bytes, head[1]);
    }
    w->packet = (UsbPacket){ .token = out ? USB_TOKEN_OUT : USB_TOKEN_IN,
                             .endpoint = endpoint,
                             .stream = endpoint == 1 ? 0 : head[0] >> 2,
                             .iov = &w->iov,
                             .iov_count = 1,
                             .size = head[1],
                             .done = packet_done };
    w->waits = usb_device_handle(usb, &w->packet) == USB_PENDING;
}

static void run_uas(bool streams, const uint8_t *data, size_t size)
{
    static Waiting waiting[WAITING];
    Bench *bench = bench_new(false);
    UsbDevice *usb;

    memset(waiting, 0, sizeof waiting);
    usb_bench_add_host(bench);
    usb_bench_host->ports[0].speeds = streams ? USB_SPEEDS_3 : USB_SPEEDS_2;
    usb = usb_device(bench_device(bench, "usb-uas", "uas", NULL));
    bench_device(bench, "scsi-cd", "unit", "lun", "1", NULL);
    usb_bench_configure(usb);
    for (unsigned step = 0; step < STEPS && size >= 2; step++) {
        uint8_t head[2];

        take(&data, &size, head, sizeof head);
        send(usb, &waiting[step % WAITING], head, &data, &size);
        usb->halted_in = usb->halted_out = 0;
    }
    bench_free(bench);
}

static void set_port(Bench *bench, unsigned offset, uint32_t value)
{
    bench_write(bench, BENCH_IO_WINDOW + PORTS + offset, value, 2);
}

/* UHCI: the frame list is at 0, ports are enabled. */
static void start_uhci(Bench *bench)
{
    bench_config_write(bench, DEVFN, PCI_BASE_ADDRESS_0 + 16, PORTS, 4);
    bench_config_write(bench, DEVFN, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_BUS_MASTER, 2);
    bench_write(bench, BENCH_IO_WINDOW + PORTS + 8, BENCH_RAM, 4);
    for (unsigned port = 0; port < 2; port++) {
        set_port(bench, 0x10 + 2 * port, 1 << 9);
        set_port(bench, 0x10 + 2 * port, 1 << 2);
    }
    set_port(bench, 4, 15);
    set_port(bench, 0, 1);
}

static void set_register(Bench *bench, unsigned offset, uint32_t value)
{
    bench_write(bench, BAR + offset, value, 4);
}

static void start_xhci(Bench *bench)
{
    set_register(bench, 0x70, BENCH_RAM + 0x100); /* device contexts */
    set_register(bench, 0x58, BENCH_RAM + 0x401); /* commands */
    set_register(bench, 0x5c, 0);
    set_register(bench, 0x1028, 1);
    set_register(bench, 0x1038, BENCH_RAM + 0x4000);
    set_register(bench, 0x1030, BENCH_RAM + 0x40);
    set_register(bench, 0x1034, 0);
    for (unsigned port = 0; port < 8; port++) {
        set_register(bench, 0x440 + 16 * port, 1 << 4);
    }
    set_register(bench, 0x40, 1);
    set_register(bench, 0x2000, 0);
    for (unsigned i = 1; i < 64; i++) {
        set_register(bench, 0x2000 + 4 * (1 + i % 4),
                     (1 + i / 4) | (i % 8) << 16); /* and streams */
    }
}

static void start_ehci(Bench *bench)
{
    set_register(bench, 0x60, 1);
    set_register(bench, 0x64, 1 << 8);
    set_register(bench, 0x64, 0);
    set_register(bench, 0x34, BENCH_RAM);
    set_register(bench, 0x38, BENCH_RAM + 0x1000);
    set_register(bench, 0x20, 0x31);
}

/* A controller whose first port has a tablet, or a disk of attached SCSI, with 32 KiB of the input as its memory. */
static void run_memory(unsigned kind, const uint8_t *data, size_t size)
{
    static const struct {
        const char *type;
        void (*start)(Bench *bench);
    } controllers[] = { { "usb-ehci", start_ehci },
                        { "qemu-xhci", start_xhci },
                        { "piix3-usb-uhci", start_uhci } };
    Bench *bench = bench_new(false);

    clock_set_manual(bench->machine);
    bench_device(bench, controllers[kind % 3].type, "hc", "addr", "1", NULL);
    bench_device(bench, kind / 3 % 2 ? "usb-uas" : "usb-tablet", "a", NULL);
    memcpy(bench_ram(bench, BENCH_RAM), data, MIN(size, 32768));
    bench_config_write(bench, DEVFN, PCI_BASE_ADDRESS_0, BAR, 4);
    bench_config_write(bench, DEVFN, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER, 2);
    controllers[kind % 3].start(bench);
    for (unsigned i = 0; i < FRAMES; i++) {
        clock_advance(bench->machine, clock_now_ns(bench->machine) + 250000);
    }
    bench_free(bench);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_enter_folder();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && data[0] < 64) {
        run_packets(devices[data[0] % G_N_ELEMENTS(devices)], data + 1, size - 1);
    } else if (size && data[0] < 128) {
        run_uas(data[0] % 2, data + 1, size - 1);
    } else if (size) {
        run_memory(data[0] - 128u, data + 1, size - 1);
    }
    return 0;
}
