/* SPDX-License-Identifier: MIT */
/*
 * USB packets to each kind of device, and the descriptors of transfers in a controller's memory. The first byte of the input chooses:
 * below 128 a device, whose packets are the rest (token, endpoint, size and so many bytes); else a controller, whose rings and schedules
 * are the rest: it is in memory at 0 of RAM, where the registers point.
 */
#include "base/bits.h"
#include "machine/clock.h"
#include "tests/device/usb-bench.h"
#include "tests/fuzz/fuzz.h"

enum { STEPS = 512, DATA = 1024, DEVFN = 1 << 3, BAR = BENCH_MEMORY_WINDOW, FRAMES = 64 };

static const char *const devices[] = { "usb-kbd", "usb-mouse", "usb-tablet", "usb-hub" };

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
        memset(bytes, 0, sizeof bytes);
        if (token != USB_TOKEN_IN) {
            memcpy(bytes, data, MIN(size, length));
            data += MIN(size, length);
            size -= MIN(size, length);
        }
        usb_bench_send(usb, token, endpoint, bytes, MIN(length, DATA), NULL);
    }
    bench_free(bench);
}

static void set_register(Bench *bench, unsigned offset, uint32_t value)
{
    bench_write(bench, BAR + offset, value, 4);
}

/* A controller whose first ports have a tablet and a hub, with 32 KiB of the input as its memory. */
static void run_memory(const char *type, const uint8_t *data, size_t size)
{
    Bench *bench = bench_new(false);
    bool xhci = strcmp(type, "qemu-xhci") == 0;

    clock_set_manual(bench->machine);
    bench_device(bench, type, "hc", "addr", "1", NULL);
    bench_device(bench, "usb-tablet", "a", NULL);
    memcpy(bench_ram(bench, BENCH_RAM), data, MIN(size, 32768));
    bench_config_write(bench, DEVFN, PCI_BASE_ADDRESS_0, BAR, 4);
    bench_config_write(bench, DEVFN, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER, 2);
    if (xhci) {
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
            set_register(bench, 0x2000 + 4 * (1 + i % 4), 1 + i / 4);
        }
    } else {
        set_register(bench, 0x60, 1);
        set_register(bench, 0x64, 1 << 8);
        set_register(bench, 0x64, 0);
        set_register(bench, 0x34, BENCH_RAM);
        set_register(bench, 0x38, BENCH_RAM + 0x1000);
        set_register(bench, 0x20, 0x31);
    }
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
    if (size && data[0] < 128) {
        run_packets(devices[data[0] % G_N_ELEMENTS(devices)], data + 1, size - 1);
    } else if (size) {
        run_memory(data[0] % 2 ? "qemu-xhci" : "usb-ehci", data + 1, size - 1);
    }
    return 0;
}
