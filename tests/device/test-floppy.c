/* SPDX-License-Identifier: MIT */
/* The floppy controller and its drives, by DMA and without, as BIOSes and Linux use them. */
#include <string.h>

#include "block/block.h"
#include "hw/isa/isa.h"
#include "tests/device/pc-rig.h"
#include "tests/device/image.h"
#include "tests/patience.h"

enum { BASE = 0x3f0, DOR = 2, MSR = 4, FIFO = 5, DIRECTION = 7, IRQ = 6, MEMORY = 0x10000 };

typedef struct {
    PcRig rig;
    IsaBus isa;
    BlockGraph *graph;
    BlockBackend *block;
} Bench;

static void set_irq(void *opaque, int number, int level)
{
    PcRig *rig = opaque;

    rig->rises[number] += level && !rig->levels[number];
    rig->levels[number] = level;
}

static void run(Bench *b)
{
    machine_unlock(b->rig.machine);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    machine_lock(b->rig.machine);
    pc_rig_advance(&b->rig, 1000);
}

static Device *add(Bench *b, const char *type, Bus *bus, const char *drive)
{
    g_autoptr(GError) error = NULL;
    Device *device = device_create(b->rig.machine, NULL, type, bus, NULL, &error);

    g_assert_no_error(error);
    if (drive) {
        g_assert_true(device_set(device, "drive", drive, NULL));
    }
    device_realize(device, &error);
    g_assert_no_error(error);
    return device;
}

static Bench *bench_new(uint64_t bytes, const char *read_only)
{
    static const uint16_t ports[] = { 0x00, 0x81, 0x87, 0x89, 0x8f, 0xc0 };
    Bench *b = g_new0(Bench, 1);
    Device *dma;

    pc_rig_open(&b->rig);
    b->graph = block_graph_new(NULL);
    dma = pc_rig_add(&b->rig, "i8257", NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(ports); i++) {
        device_map_io(dma, i, ports[i]);
    }
    isa_bus_init(&b->isa, b->rig.machine->root, "isa.0", b->rig.machine->system_io,
                 b->rig.machine->system_memory);
    irq_connect(&b->isa.lines[IRQ], set_irq, &b->rig, IRQ);
    add(b, "isa-fdc", &b->isa.bus, NULL);
    if (bytes) {
        b->block =
            image_open(b->rig.machine, b->graph, "fd0", bytes, !strcmp(read_only, "on"), NULL);
    }
    add(b, "floppy", bus_find(b->rig.machine, "floppy-bus.0"), bytes ? "fd0" : NULL);
    device_reset_tree(b->rig.machine->root);
    pc_rig_out(&b->rig, 0xd6, 0xc0); /* cascade */
    pc_rig_out(&b->rig, 0xd4, 0x00);
    return b;
}

static void bench_free(Bench *b)
{
    for (unsigned i = 0; i < b->rig.machine->root->buses->len; i++) {
        if (b->rig.machine->root->buses->pdata[i] == &b->isa.bus) {
            Bus *bus = &b->isa.bus;

            while (bus->devices->len) {
                device_destroy(bus->devices->pdata[0]);
            }
        }
    }
    pc_rig_close(&b->rig);
    if (b->block) {
        block_close(b->block);
    }
    block_graph_free(b->graph);
    g_free(b);
}

static uint8_t in(Bench *b, unsigned port)
{
    return pc_rig_in(&b->rig, BASE + port);
}

static void out(Bench *b, unsigned port, uint8_t value)
{
    pc_rig_out(&b->rig, BASE + port, value);
}

static void command(Bench *b, const uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        g_assert_cmphex(in(b, MSR) & 0xc0, ==, 0x80);
        out(b, FIFO, bytes[i]);
    }
}

static void wait_irq(Bench *b)
{
    int64_t end = patience_end(20);

    while (!b->rig.levels[IRQ]) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        run(b);
    }
}

static void result(Bench *b, uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        g_assert_cmphex(in(b, MSR) & 0xd0, ==, 0xd0);
        bytes[i] = in(b, FIFO);
    }
    g_assert_cmphex(in(b, MSR), ==, 0x80);
}

static void sense(Bench *b, uint8_t st0, uint8_t cylinder)
{
    uint8_t bytes[2];

    command(b, (const uint8_t[]){ 0x08 }, 1);
    result(b, bytes, 2);
    g_assert_cmphex(bytes[0], ==, st0);
    g_assert_cmphex(bytes[1], ==, cylinder);
}

/* Reset, SPECIFY, motor, rate, recalibration. */
static void start(Bench *b, uint8_t rate, bool dma)
{
    out(b, DOR, 0);
    out(b, DOR, 0x1c);
    g_assert_cmpint(b->rig.levels[IRQ], ==, 1);
    for (unsigned i = 0; i < 4; i++) {
        sense(b, 0xc0 | i, 0);
    }
    g_assert_cmpint(b->rig.levels[IRQ], ==, 0);
    command(b, (const uint8_t[]){ 0x03, 0xaf, dma ? 2 : 3 }, 3);
    out(b, DIRECTION, rate);
    command(b, (const uint8_t[]){ 0x07, 0 }, 2);
    g_assert_cmpint(b->rig.levels[IRQ], ==, 1);
    sense(b, 0x20, 0);
}

static void program_dma(Bench *b, uint8_t mode, unsigned bytes)
{
    PcRig *rig = &b->rig;

    pc_rig_out(rig, 0x0a, 0x06);
    pc_rig_out(rig, 0x0c, 0);
    pc_rig_out(rig, 0x0b, mode);
    pc_rig_out(rig, 0x04, 0);
    pc_rig_out(rig, 0x04, 0);
    pc_rig_out(rig, 0x81, MEMORY >> 16);
    pc_rig_out(rig, 0x05, (uint8_t)(bytes - 1));
    pc_rig_out(rig, 0x05, (uint8_t)((bytes - 1) >> 8));
    pc_rig_out(rig, 0x0a, 0x02);
}

static uint32_t memory(Bench *b, unsigned offset)
{
    return pc_rig_read(&b->rig, -1, MEMORY + offset);
}

static void test_reads(void)
{
    Bench *b = bench_new(1474560, "off");
    uint8_t bytes[7];

    start(b, 0, true);
    command(b, (const uint8_t[]){ 0x0f, 0, 5 }, 3);
    sense(b, 0x20, 5);
    g_assert_cmphex(in(b, DIRECTION) & 0x80, ==, 0);
    /* Both sides from sector 17 on: four sectors. */
    program_dma(b, 0x46, 4 * 512);
    command(b, (const uint8_t[]){ 0xe6, 0, 5, 0, 17, 2, 18, 0x1b, 0xff }, 9);
    wait_irq(b);
    result(b, bytes, 7);
    g_assert_cmpmem(bytes, 7, ((const uint8_t[]){ 0x04, 0, 0, 5, 1, 3, 2 }), 7);
    for (unsigned i = 0; i < 4; i++) {
        g_assert_cmpuint(memory(b, i * 512), ==, 5 * 36 + 16 + i);
    }
    /* Past the end of the track. */
    program_dma(b, 0x46, 4 * 512);
    command(b, (const uint8_t[]){ 0x46, 0, 5, 0, 17, 2, 18, 0x1b, 0xff }, 9);
    wait_irq(b);
    result(b, bytes, 7);
    g_assert_cmphex(bytes[0], ==, 0x40);
    g_assert_cmphex(bytes[1], ==, 0x80);
    /* Another cylinder, no such sector, another rate. */
    command(b, (const uint8_t[]){ 0x46, 0, 6, 0, 1, 2, 18, 0x1b, 0xff }, 9);
    result(b, bytes, 7);
    g_assert_cmphex(bytes[2], ==, 0x10);
    command(b, (const uint8_t[]){ 0x46, 0, 5, 0, 19, 2, 18, 0x1b, 0xff }, 9);
    result(b, bytes, 7);
    g_assert_cmphex(bytes[1], ==, 0x04);
    out(b, DIRECTION, 2);
    command(b, (const uint8_t[]){ 0x4a, 0 }, 2);
    result(b, bytes, 7);
    g_assert_cmphex(bytes[1], ==, 0x01);
    bench_free(b);
}

static void test_writes(void)
{
    Bench *b = bench_new(737280, "off");
    uint8_t bytes[7], sector[512];

    start(b, 2, true);
    pc_rig_write(&b->rig, -1, MEMORY, 0x12345678);
    pc_rig_write(&b->rig, -1, MEMORY + 508, 0x9abcdef0);
    program_dma(b, 0x4a, 512);
    command(b, (const uint8_t[]){ 0x45, 4, 0, 1, 9, 2, 9, 0x1b, 0xff }, 9);
    wait_irq(b);
    result(b, bytes, 7);
    g_assert_cmpmem(bytes, 7, ((const uint8_t[]){ 0x04, 0, 0, 1, 1, 1, 2 }), 7);
    g_assert_cmpint(block_pread(b->block, 17 * 512, sector, 512), ==, 0);
    g_assert_cmphex(sector[0], ==, 0x78);
    g_assert_cmphex(sector[511], ==, 0x9a);
    /* FORMAT TRACK: two sectors. */
    pc_rig_write(&b->rig, -1, MEMORY, 0x02010000);
    pc_rig_write(&b->rig, -1, MEMORY + 4, 0x02020000);
    program_dma(b, 0x4a, 8);
    command(b, (const uint8_t[]){ 0x4d, 0, 2, 2, 0x50, 0xf6 }, 6);
    wait_irq(b);
    result(b, bytes, 7);
    g_assert_cmphex(bytes[0], ==, 0);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(block_pread(b->block, i * 512, sector, 512), ==, 0);
        g_assert_cmphex(sector[100], ==, i < 2 ? 0xf6 : 0);
    }
    bench_free(b);
}

static void test_protected(void)
{
    Bench *b = bench_new(1474560, "on");
    uint8_t bytes[7];

    start(b, 0, true);
    command(b, (const uint8_t[]){ 0x45, 0, 0, 0, 1, 2, 18, 0x1b, 0xff }, 9);
    result(b, bytes, 7);
    g_assert_cmphex(bytes[1], ==, 0x02);
    command(b, (const uint8_t[]){ 0x04, 0 }, 2);
    result(b, bytes, 1);
    g_assert_cmphex(bytes[0], ==, 0x78);
    bench_free(b);
}

static void test_by_port(void)
{
    Bench *b = bench_new(2949120, "off");
    uint8_t bytes[7], data[512];

    start(b, 3, false);
    command(b, (const uint8_t[]){ 0x46, 0, 0, 0, 3, 2, 3, 0x1b, 0xff }, 9);
    wait_irq(b);
    for (unsigned i = 0; i < 512; i++) {
        g_assert_cmphex(in(b, MSR), ==, 0xf0);
        data[i] = in(b, FIFO);
    }
    g_assert_cmphex(data[0], ==, 2);
    wait_irq(b);
    result(b, bytes, 7); /* no terminal count: the end of the cylinder */
    g_assert_cmphex(bytes[1], ==, 0x80);
    bench_free(b);
}

/* The line says that a disk was changed until the heads step. */
static void test_change_line(void)
{
    static const struct {
        uint8_t command[3], size, cylinder, line;
    } steps[] = {
        { { 0x07, 0 }, 2, 0, 0x80 },
        { { 0x0f, 0, 0 }, 3, 0, 0x80 },
        { { 0x0f, 0, 1 }, 3, 1, 0 },
        { { 0x0f, 0, 0 }, 3, 0, 0 },
    };
    Bench *b = bench_new(1474560, "off");

    start(b, 0, true);
    g_assert_cmphex(in(b, DIRECTION) & 0x80, ==, 0x80);
    for (unsigned i = 0; i < G_N_ELEMENTS(steps); i++) {
        command(b, steps[i].command, steps[i].size);
        sense(b, 0x20, steps[i].cylinder);
        g_assert_cmphex(in(b, DIRECTION) & 0x80, ==, steps[i].line);
    }
    bench_free(b);
}

static void test_settings(void)
{
    Bench *b = bench_new(0, "off");
    uint8_t bytes[10];

    start(b, 0, true);
    g_assert_cmphex(in(b, DIRECTION) & 0x80, ==, 0x80); /* nothing in it */
    command(b, (const uint8_t[]){ 0x4a, 0 }, 2);
    result(b, bytes, 7);
    g_assert_cmphex(bytes[0] & 0xc0, ==, 0x40);
    command(b, (const uint8_t[]){ 0x10 }, 1);
    result(b, bytes, 1);
    g_assert_cmphex(bytes[0], ==, 0x90);
    command(b, (const uint8_t[]){ 0x13, 0, 0x57, 7 }, 4);
    command(b, (const uint8_t[]){ 0x94 }, 1);
    result(b, bytes, 1);
    g_assert_cmphex(bytes[0], ==, 0x10);
    out(b, MSR, 0x80); /* reset: the FIFO's settings stay, but polling and its interrupt do not */
    for (unsigned i = 0; i < 4; i++) {
        sense(b, 0xc0 | i, 0);
    }
    command(b, (const uint8_t[]){ 0x0e }, 1);
    result(b, bytes, 10);
    g_assert_cmphex(bytes[8], ==, 0x07);
    g_assert_cmphex(bytes[9], ==, 7);
    command(b, (const uint8_t[]){ 0x8e, 0, 0xc0 }, 3);
    command(b, (const uint8_t[]){ 0x1c }, 1);
    result(b, bytes, 1);
    g_assert_cmphex(bytes[0], ==, 0x80);
    bench_free(b);
}

/* A drive that is not there takes any step, but never comes to track 0. */
static void test_absent_drive(void)
{
    Bench *b = bench_new(1474560, "off");

    start(b, 0, true);
    g_assert_cmphex(pc_rig_in(&b->rig, BASE), ==, 0xff); /* SRA is for PS/2 mode */
    command(b, (const uint8_t[]){ 0x0f, 1, 5 }, 3);
    sense(b, 0x21, 0);
    command(b, (const uint8_t[]){ 0x8f, 1, 5 }, 3);
    sense(b, 0x21, 0);
    command(b, (const uint8_t[]){ 0x07, 1 }, 2);
    sense(b, 0x71, 0);
    command(b, (const uint8_t[]){ 0x0f, 0, 5 }, 3);
    sense(b, 0x20, 5);
    g_assert_cmphex(in(b, DIRECTION) & 0x80, ==, 0);
    out(b, DOR, 0x2d);
    g_assert_cmphex(in(b, DIRECTION) & 0x80, ==, 0x80);
    bench_free(b);
}

/* What SAVE gave makes the controller again what it was. */
static void test_save_restore(void)
{
    Bench *b = bench_new(1474560, "off");
    uint8_t before[16], after[16], words[17] = { 0x4e };

    start(b, 0, true);
    command(b, (const uint8_t[]){ 0x0f, 0, 5 }, 3);
    sense(b, 0x20, 5);
    command(b, (const uint8_t[]){ 0x12, 0x85 }, 2);
    command(b, (const uint8_t[]){ 0x13, 0, 0x57, 7 }, 4);
    command(b, (const uint8_t[]){ 0x17, 0x13 }, 2);
    result(b, before, 1);
    g_assert_cmphex(before[0], ==, 0x13);
    command(b, (const uint8_t[]){ 0x2e }, 1);
    result(b, before, 16);
    g_assert_cmpmem(
        before, 16,
        ((const uint8_t[]){ 0, 0, 5, 0, 0, 0, 0xaf, 2, 0, 0x05, 0x57, 7, 0x13, 0, 0, 0 }), 16);
    device_reset_tree(b->rig.machine->root);
    command(b, (const uint8_t[]){ 0x2e }, 1);
    result(b, after, 16);
    g_assert_cmphex(after[10], ==, 0x20);
    memcpy(words + 1, before, 16);
    command(b, words, 17);
    g_assert_cmphex(in(b, MSR), ==, 0x80);
    command(b, (const uint8_t[]){ 0x2e }, 1);
    result(b, after, 16);
    g_assert_cmpmem(before, 16, after, 16);
    bench_free(b);
}

/* Up to four drives, and with the last byte's sixth bit clear a byte for each of all. */
static void test_drive_specification(void)
{
    Bench *b = bench_new(0, "off");
    uint8_t bytes[4];

    start(b, 0, true);
    command(b, (const uint8_t[]){ 0x8e, 0x15, 0x6a, 0xc0 }, 4);
    g_assert_cmphex(in(b, MSR), ==, 0x80);
    command(b, (const uint8_t[]){ 0x8e, 0x80 }, 2);
    result(b, bytes, 4);
    g_assert_cmpmem(bytes, 4, ((const uint8_t[]){ 0x15, 0, 0, 0x0a }), 4);
    command(b, (const uint8_t[]){ 0x33, 0x80 }, 2);
    g_assert_cmphex(in(b, MSR), ==, 0x80);
    bench_free(b);
}

/* FORMAT AND WRITE takes a sector behind each address; no sector is a deleted one. */
static void test_format_and_write(void)
{
    Bench *b = bench_new(737280, "off");
    uint8_t bytes[7], sector[512];

    start(b, 2, false);
    command(b, (const uint8_t[]){ 0xed, 0, 2, 2, 0x50, 0xf6 }, 6);
    for (unsigned n = 1; n <= 2; n++) {
        const uint8_t address[4] = { 0, 0, (uint8_t)n, 2 };

        for (unsigned i = 0; i < 4 + 512; i++) {
            wait_irq(b);
            g_assert_cmphex(in(b, MSR), ==, 0xb0);
            out(b, FIFO, i < 4 ? address[i] : (uint8_t)(i * n));
        }
    }
    wait_irq(b);
    result(b, bytes, 7);
    g_assert_cmphex(bytes[0], ==, 0);
    for (unsigned n = 1; n <= 2; n++) {
        g_assert_cmpint(block_pread(b->block, (n - 1) * 512, sector, 512), ==, 0);
        g_assert_cmphex(sector[100], ==, 104 * n);
    }
    command(b, (const uint8_t[]){ 0x03, 0xaf, 2 }, 3);
    program_dma(b, 0x46, 2 * 512);
    command(b, (const uint8_t[]){ 0x4c, 0, 0, 0, 2, 2, 9, 0x1b, 0xff }, 9);
    wait_irq(b);
    result(b, bytes, 7);
    g_assert_cmpmem(bytes, 7, ((const uint8_t[]){ 0, 0, 0x40, 0, 0, 2, 2 }), 7);
    command(b, (const uint8_t[]){ 0x6c, 0, 0, 0, 1, 2, 9, 0x1b, 0xff }, 9);
    result(b, bytes, 7);
    g_assert_cmphex(bytes[2], ==, 0x40);
    bench_free(b);
}

/* One sector by DMA; returns ST0. */
static uint8_t transfer(Bench *b, bool write, uint32_t sector)
{
    uint8_t cylinder = (uint8_t)(sector / 36), head = sector / 18 % 2, bytes[7];
    uint8_t unit = (uint8_t)(head << 2), place = (uint8_t)(sector % 18 + 1);

    command(b, (const uint8_t[]){ 0x0f, 0, cylinder }, 3);
    sense(b, 0x20, cylinder);
    program_dma(b, write ? 0x4a : 0x46, 512);
    command(
        b, (const uint8_t[]){ write ? 0x45 : 0x46, unit, cylinder, head, place, 2, 18, 0x1b, 0xff },
        9);
    wait_irq(b);
    result(b, bytes, 7);
    return bytes[0] & 0xc0;
}

/* Images of no format's size: the rest of a usual floppy reads as zeros and is not written. */
static void test_odd_sizes(void)
{
    static const uint32_t sizes[] = {
        512, 1000, 163840 + 512, 1294336, 1474560 - 512, 1474560 + 512
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        Bench *b = bench_new(sizes[i], "off");
        uint32_t whole = MIN(sizes[i], 1474560) / 512;

        start(b, 0, true);
        g_assert_cmphex(transfer(b, false, whole - 1), ==, 0);
        g_assert_cmphex(memory(b, 0), ==, whole - 1);
        if (sizes[i] < 1474560) {
            g_assert_cmphex(transfer(b, false, 2879), ==, 0);
            g_assert_cmphex(memory(b, 0), ==, 0);
            g_assert_cmphex(transfer(b, true, 2879), ==, 0x40);
        }
        bench_free(b);
    }
}

/* A part of a sector is there. */
static void test_part_of_sector(void)
{
    Bench *b = bench_new(1000, "off");
    const uint32_t value = 0x12345678;

    g_assert_cmpint(block_pwrite(b->block, 996, &value, 4), ==, 0);
    start(b, 0, true);
    pc_rig_write(&b->rig, -1, MEMORY + 488, 0xffffffff);
    g_assert_cmphex(transfer(b, false, 1), ==, 0);
    g_assert_cmphex(memory(b, 484), ==, value);
    g_assert_cmphex(memory(b, 488), ==, 0);
    bench_free(b);
}

static void test_noise(void)
{
    Bench *b = bench_new(1474560, "off");
    GRand *random = g_rand_new_with_seed(5);

    start(b, 0, true);
    for (unsigned i = 0; i < 20000; i++) {
        unsigned port = g_rand_int_range(random, 0, 8);

        if (port == 6) {
            run(b);
        } else if (g_rand_int(random) & 1) {
            in(b, port);
        } else if (port != DOR || i % 16 == 0) {
            out(b, port, g_rand_int(random) & (port == FIFO ? 0xff : 0x1c));
        }
        if (i % 64 == 0) {
            program_dma(b, 0x44 + (g_rand_int(random) & 3) * 4 + 2, 700);
        }
    }
    g_rand_free(random);
    bench_free(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/floppy/reads", test_reads);
    g_test_add_func("/floppy/writes", test_writes);
    g_test_add_func("/floppy/protected", test_protected);
    g_test_add_func("/floppy/by-port", test_by_port);
    g_test_add_func("/floppy/change-line", test_change_line);
    g_test_add_func("/floppy/settings", test_settings);
    g_test_add_func("/floppy/absent-drive", test_absent_drive);
    g_test_add_func("/floppy/save-restore", test_save_restore);
    g_test_add_func("/floppy/drive-specification", test_drive_specification);
    g_test_add_func("/floppy/format-and-write", test_format_and_write);
    g_test_add_func("/floppy/odd-sizes", test_odd_sizes);
    g_test_add_func("/floppy/part-of-sector", test_part_of_sector);
    g_test_add_func("/floppy/noise", test_noise);
    return g_test_run();
}
