/* SPDX-License-Identifier: MIT */
/*
 * Sound cards and their drivers' lists in memory: the input is a program of register accesses, changes of memory, control messages of
 * virtio-sound, and time that passes. Card n of the PCI ones is at 0x1000 * (n + 1) of I/O space and of memory.
 */
#include "base/bits.h"
#include "hw/isa/isa.h"
#include "tests/device/audio-bench.h"
#include "tests/device/bench.h"
#include "tests/fuzz/fuzz.h"

enum {
    PORTS = 0x1000,
    MEMORY = BENCH_MEMORY_WINDOW,
    WINDOW = 0x100000, /* of memory, for each card */
    LISTS = BENCH_RAM + 0x1000,
    SB16_PORTS = 0x8220,
    STEPS_MOST = 400,
};

static const char *const cards[] = { "AC97", "ES1370", "intel-hda" };

typedef struct {
    Bench *bench;
    IsaBus isa;
    Driver *virtio;
    const uint8_t *at, *end;
} Run;

static uint8_t byte(Run *run)
{
    return run->at < run->end ? *run->at++ : 0;
}

static uint32_t word(Run *run)
{
    uint32_t value = byte(run);

    value |= (uint32_t)byte(run) << 8;
    value |= (uint32_t)byte(run) << 16;
    return value | (uint32_t)byte(run) << 24;
}

static void add_isa(Run *run)
{
    static const uint16_t ports[] = { 0x00, 0x81, 0x87, 0x89, 0x8f, 0xc0 };
    Machine *machine = run->bench->machine;
    Device *dma = bench_device(run->bench, "i8257", NULL, NULL);

    for (unsigned i = 0; i < G_N_ELEMENTS(ports); i++) {
        device_map_io(dma, i, ports[i]);
    }
    isa_bus_init(&run->isa, machine->root, "isa.0", machine->system_io, machine->system_memory);
    bench_device(run->bench, "sb16", "sb16", "audiodev", "a0", NULL);
}

static void open_cards(Run *run)
{
    run->bench = bench_new(false);
    audio_bench_open(run->bench->machine);
    for (unsigned i = 0; i < G_N_ELEMENTS(cards); i++) {
        g_autofree char *slot = g_strdup_printf("%x", i + 2);

        if (i < 2) {
            bench_device(run->bench, cards[i], cards[i], "addr", slot, "audiodev", "a0", NULL);
        } else {
            bench_device(run->bench, cards[i], cards[i], "addr", slot, NULL);
        }
    }
    bench_device(run->bench, "hda-duplex", "codec", "audiodev", "a0", NULL);
    run->virtio = driver_new(run->bench, DRIVE_MMIO, "virtio-sound", "audiodev", "a0", NULL);
    add_isa(run);
    device_reset_tree(run->bench->machine->root);
    for (unsigned i = 0; i < G_N_ELEMENTS(cards); i++) {
        unsigned devfn = (i + 2) << 3;

        bench_config_write(run->bench, devfn, PCI_BASE_ADDRESS_0,
                           i < 2 ? PORTS * (i + 1) : MEMORY + WINDOW * i, 4);
        bench_config_write(run->bench, devfn, PCI_BASE_ADDRESS_0 + 4, PORTS * (i + 1) + 0x800, 4);
        bench_config_write(run->bench, devfn, PCI_COMMAND,
                           PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER, 2);
    }
    driver_start(run->virtio, 0, 4);
}

/* Where a register of a card is, by two bytes of the input. */
static uint64_t place(Run *run, uint8_t card)
{
    uint32_t offset = byte(run) | (uint32_t)byte(run) << 8;

    if (card % 3 == 2) {
        return MEMORY + WINDOW * 2 + offset % 0x4000;
    }
    return BENCH_IO_WINDOW + PORTS * (card % 3 + 1) + offset % 0x1000;
}

static void send_message(Run *run, unsigned queue)
{
    unsigned size = byte(run) % 64;

    for (unsigned i = 0; i < size; i++) {
        *bench_ram(run->bench, DRIVER_DATA + i) = byte(run);
    }
    driver_add(run->virtio, queue,
               (const Buffer[]){ { DRIVER_DATA, size, false },
                                 { DRIVER_DATA + 0x1000, byte(run) * 8, true } },
               2);
    driver_kick(run->virtio, queue);
}

static void port(Run *run)
{
    uint16_t number = byte(run);
    MemoryResult result;

    if (number & 0x80) {
        number = 0x220 + number % 16;
    } /* else the DMA controllers */
    result = address_space_write(&run->bench->machine->io_space, number, byte(run), 1,
                                 MEMORY_ATTRIBUTES_DMA);
    (void)result;
}

static void step(Run *run)
{
    uint8_t what = byte(run);
    uint64_t at;
    unsigned size;

    switch (what % 8) {
    case 0:
    case 1:
        at = place(run, what / 8);
        size = 1u << byte(run) % 3;
        bench_write(run->bench, at, word(run), size);
        break;
    case 2:
        bench_read(run->bench, place(run, what / 8), 1u << what / 64 % 3);
        break;
    case 3:
        at = LISTS + (byte(run) | (uint32_t)byte(run) << 8) % 0x4000 * 4;
        store_le32(bench_ram(run->bench, at), word(run));
        break;
    case 4:
        clock_advance(run->bench->machine,
                      clock_now_ns(run->bench->machine) + (int64_t)(byte(run) % 64) * 1000000);
        break;
    case 5:
        port(run);
        break;
    default:
        send_message(run, what / 8 % 4);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Run run = { .at = data, .end = data + size };

    open_cards(&run);
    for (unsigned n = 0; n < STEPS_MOST && run.at < run.end; n++) {
        step(&run);
    }
    while (run.isa.bus.devices->len) {
        device_destroy(run.isa.bus.devices->pdata[0]);
    }
    driver_free(run.virtio);
    return 0;
}
