/* SPDX-License-Identifier: MIT */
/* AHCI as its drivers use it: single and queued commands, packets, resets, errors, saved states; and broken tables. */

#include "base/bits.h"
#include "block/block.h"
#include "machine/saved-state.h"
#include "tests/device/bench.h"
#include "tests/device/image.h"
#include "tests/patience.h"

enum {
    BASE = BENCH_MEMORY_WINDOW,
    LIST = BENCH_RAM + 0x10000,
    RECEIVED = BENCH_RAM + 0x11000,
    TABLES = BENCH_RAM + 0x20000, /* a page for each slot */
    DATA = BENCH_RAM + 0x100000,
    IMAGE_BYTES = 4 << 20,

    GHC = 0x04,
    HBA_IS = 0x08,
    CLB = 0x00,
    FB = 0x08,
    IS = 0x10,
    IE = 0x14,
    CMD = 0x18,
    TFD = 0x20,
    SIG = 0x24,
    SSTS = 0x28,
    SCTL = 0x2c,
    SACT = 0x34,
    CI = 0x38,
    ST = 1 << 0,
    FRE = 1 << 4,
    IS_OFS = 1 << 24,
    IS_TFES = 1 << 30,
    WRITE = 1 << 6,
    PACKET = 1 << 5,
};

typedef struct {
    Bench *bench;
    Device *controller;
    BlockGraph *graph;
    GPtrArray *blocks; /* BlockBackend */
    unsigned port;     /* that the functions below use */
} Ahci;

static void add_drive(Ahci *a, const char *type, const char *bus, const char *error,
                      const char *werror)
{
    g_autofree char *id = g_strdup_printf("disk%u", a->blocks->len);
    GError *failure = NULL;
    Device *device = device_create(a->bench->machine, NULL, type, bus_find(a->bench->machine, bus),
                                   NULL, &failure);

    g_assert_no_error(failure);
    g_ptr_array_add(a->blocks,
                    image_open(a->bench->machine, a->graph, id, IMAGE_BYTES, false, error));
    g_assert_true(device_set(device, "drive", id, NULL));
    g_assert_true(device_set(device, "werror", werror, NULL));
    g_assert_true(device_set(device, "rerror", werror, NULL));
    device_realize(device, &failure);
    g_assert_no_error(failure);
}

static uint64_t at(const Ahci *a, unsigned offset)
{
    return BASE + 0x100 + 0x80 * a->port + offset;
}

static uint32_t get(Ahci *a, unsigned offset)
{
    return bench_read(a->bench, at(a, offset), 4);
}

static void put(Ahci *a, unsigned offset, uint32_t value)
{
    bench_write(a->bench, at(a, offset), value, 4);
}

static uint8_t *ram(Ahci *a, uint64_t address)
{
    return bench_ram(a->bench, address);
}

static void start_port(Ahci *a, unsigned port)
{
    a->port = port;
    put(a, CLB, LIST);
    put(a, FB, RECEIVED);
    put(a, CMD, FRE);
    put(a, IE, 0xffffffff);
    put(a, CMD, FRE | ST);
}

static Ahci *ahci_new(const char *error, const char *werror)
{
    Ahci *a = g_new0(Ahci, 1);

    a->bench = bench_new(false);
    a->graph = block_graph_new(NULL);
    a->blocks = g_ptr_array_new();
    a->controller = bench_device(a->bench, "ahci", "ahci0", "addr", "1", NULL);
    add_drive(a, "ide-hd", "ahci0.1", error, werror);
    add_drive(a, "ide-cd", "ahci0.4", NULL, "report");
    device_reset_tree(a->bench->machine->root);
    bench_config_write(a->bench, 8, PCI_BASE_ADDRESS_0 + 20, BASE, 4);
    bench_config_write(a->bench, 8, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER, 2);
    bench_write(a->bench, BASE + GHC, 1u << 31 | 2, 4);
    start_port(a, 1);
    return a;
}

static void ahci_free(Ahci *a)
{
    bench_free(a->bench);
    for (unsigned i = 0; i < a->blocks->len; i++) {
        block_close(a->blocks->pdata[i]);
    }
    block_graph_free(a->graph);
    g_ptr_array_unref(a->blocks);
    g_free(a);
}

/* Writes a command with regions of `regions` (address, bytes) into a slot. */
static void prepare(Ahci *a, unsigned slot, uint32_t flags, uint8_t command, uint64_t lba,
                    unsigned count, const uint64_t (*regions)[2], unsigned region_count)
{
    uint64_t table = TABLES + slot * 0x1000;
    uint8_t *header = ram(a, LIST + slot * 32), *fis = ram(a, table);
    bool queued = command == 0x60 || command == 0x61;

    memset(header, 0, 32);
    memset(fis, 0, 0x80);
    store_le32(header, 5 | flags | region_count << 16);
    store_le64(header + 8, table);
    fis[0] = 0x27;
    fis[1] = 0x80;
    fis[2] = command;
    fis[7] = 0x40;
    for (unsigned i = 0; i < 3; i++) {
        fis[4 + i] = lba >> 8 * i;
        fis[8 + i] = lba >> (24 + 8 * i);
    }
    fis[queued ? 3 : 12] = count;
    fis[queued ? 11 : 13] = count >> 8;
    if (queued) {
        fis[12] = slot << 3;
    }
    for (unsigned i = 0; i < region_count; i++) {
        store_le64(fis + 0x80 + 16 * i, regions[i][0]);
        store_le32(fis + 0x80 + 16 * i + 12, regions[i][1] - 1);
    }
}

static void wait_for(Ahci *a, unsigned offset, uint32_t clear)
{
    int64_t end = patience_end(20);

    while (get(a, offset) & clear) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        bench_run_main_loop(a->bench);
    }
}

static void settle(Ahci *a)
{
    for (unsigned i = 0; i < 50; i++) {
        bench_run_main_loop(a->bench);
        g_usleep(1000);
    }
}

static void run(Ahci *a, unsigned slot)
{
    put(a, IS, 0xffffffff);
    put(a, CI, 1u << slot);
    wait_for(a, CI, 1u << slot);
}

static void test_identify(void)
{
    Ahci *a = ahci_new(NULL, "report");
    const uint64_t regions[][2] = { { DATA, 512 } };

    g_assert_cmphex(get(a, SSTS), ==, 0x113);
    g_assert_cmphex(get(a, SIG), ==, 0x101);
    g_assert_cmphex(get(a, TFD) & 0x89, ==, 0);
    prepare(a, 3, 0, 0xec, 0, 0, regions, 1);
    run(a, 3);
    g_assert_cmphex(get(a, TFD) & 0xff, ==, 0x50);
    g_assert_cmphex(get(a, IS) & 3, ==, 3); /* by PIO: its setup and its end */
    g_assert_cmpuint(load_le16(ram(a, DATA) + 2 * 75), ==, 31);
    g_assert_cmpuint(load_le32(ram(a, DATA) + 2 * 100), ==, IMAGE_BYTES / 512);
    g_assert_cmpuint(load_le32(ram(a, LIST + 3 * 32 + 4)), ==, 512);
    g_assert_cmphex(*ram(a, RECEIVED + 0x40), ==, 0x34);
    g_assert_cmphex(*ram(a, RECEIVED + 0x20), ==, 0x5f);
    /* The interrupt is at the pin until port and HBA have been told. */
    g_assert_true(a->bench->intx[1]);
    put(a, IS, 0xffffffff);
    bench_write(a->bench, BASE + HBA_IS, 2, 4);
    g_assert_false(a->bench->intx[1]);
    a->port = 0;
    g_assert_cmphex(get(a, SSTS), ==, 0);
    g_assert_cmphex(get(a, TFD) & 0xff, ==, 0x7f);
    ahci_free(a);
}

static void test_transfers(void)
{
    Ahci *a = ahci_new(NULL, "report");
    const uint64_t pieces[][2] = { { DATA, 1022 }, { DATA + 0x2000, 2 }, { DATA + 0x3000, 1024 } };
    const uint64_t whole[][2] = { { DATA, 4096 } };

    for (unsigned dma = 0; dma < 2; dma++) {
        memset(ram(a, DATA), 0, 0x4000);
        prepare(a, 0, 0, dma ? 0x25 : 0x24, 100, 4, pieces, 3);
        run(a, 0);
        g_assert_cmphex(get(a, TFD) & 1, ==, 0);
        g_assert_cmpuint(load_le32(ram(a, DATA) + 512), ==, 101);
        g_assert_cmpuint(load_le32(ram(a, DATA + 0x3000)), ==, 102);
        g_assert_cmpuint(load_le32(ram(a, LIST + 4)), ==, 2048);
        memset(ram(a, DATA), 0x40 + dma, 4096);
        prepare(a, 1, WRITE, dma ? 0x35 : 0x34, 200 + 16 * dma, 8, whole, 1);
        run(a, 1);
        g_assert_cmphex(get(a, TFD) & 1, ==, 0);
        memset(ram(a, DATA), 0, 4096);
        prepare(a, 2, 0, 0x25, 200 + 16 * dma, 8, whole, 1);
        run(a, 2);
        g_assert_cmphex(*ram(a, DATA + 4095), ==, 0x40 + dma);
    }
    ahci_free(a);
}

static void test_queued(void)
{
    Ahci *a = ahci_new(NULL, "report");

    for (unsigned slot = 0; slot < 32; slot++) {
        const uint64_t region[][2] = { { DATA + slot * 0x1000, 4096 } };

        prepare(a, slot, slot & 1 ? WRITE : 0, slot & 1 ? 0x61 : 0x60, 8 * slot, 8, region, 1);
        memset(ram(a, DATA + slot * 0x1000), slot, 4096);
    }
    put(a, SACT, 0xffffffff);
    put(a, CI, 0xffffffff);
    wait_for(a, SACT, 0xffffffff);
    g_assert_cmphex(get(a, CI), ==, 0);
    g_assert_cmphex(*ram(a, RECEIVED + 0x58), ==, 0xa1);
    for (unsigned slot = 0; slot < 32; slot += 2) {
        g_assert_cmpuint(load_le32(ram(a, DATA + slot * 0x1000 + 512)), ==, 8 * slot + 1);
    }
    for (unsigned slot = 1; slot < 32; slot += 2) {
        const uint64_t region[][2] = { { DATA, 512 } };

        prepare(a, 0, 0, 0x25, 8 * slot + 7, 1, region, 1);
        run(a, 0);
        g_assert_cmphex(*ram(a, DATA + 511), ==, slot);
    }
    ahci_free(a);
}

static void test_packet(void)
{
    Ahci *a = ahci_new(NULL, "report");
    const uint64_t region[][2] = { { DATA, 4096 } };
    g_autoptr(GByteArray) saved = NULL;
    GError *error = NULL;

    start_port(a, 4);
    g_assert_cmphex(get(a, SIG), ==, 0xeb140101);
    for (unsigned i = 0; i < 4; i++) {
        bool dma = i > 1;

        prepare(a, 0, PACKET, 0xa0, 0, 0, region, 1);
        ram(a, TABLES)[3] = dma;
        ram(a, TABLES)[5] = 0xfe;
        ram(a, TABLES)[6] = 0xff;
        memcpy(ram(a, TABLES + 0x40),
               i ? "\x28\0\0\0\0\x05\0\0\x02\0\0\0" : "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
        run(a, 0);
    }
    g_assert_cmphex(get(a, TFD) & 1, ==, 0);
    g_assert_cmpuint(load_le32(ram(a, DATA)), ==, 20);
    g_assert_cmpuint(load_le32(ram(a, DATA + 2048)), ==, 24);
    /* An answer that came whole by DMA: INQUIRY. Its state is one that the drive can have. */
    prepare(a, 0, PACKET, 0xa0, 0, 0, region, 1);
    ram(a, TABLES)[3] = 1;
    memcpy(ram(a, TABLES + 0x40), "\x12\0\0\0\x24\0\0\0\0\0\0\0", 12);
    run(a, 0);
    g_assert_cmphex(*ram(a, DATA), ==, 5);
    saved = machine_save_state(a->bench->machine);
    machine_load_state(a->bench->machine, saved->data, saved->len, &error);
    g_assert_no_error(error);
    ahci_free(a);
}

static void test_resets(void)
{
    Ahci *a = ahci_new(NULL, "report");
    const uint64_t region[][2] = { { DATA, 512 } };

    /* A software reset: two control frames. */
    for (unsigned i = 0; i < 2; i++) {
        prepare(a, 0, 1 << 8 | 1 << 10, 0, 0, 0, NULL, 0);
        ram(a, TABLES)[1] = 0;
        ram(a, TABLES)[15] = i ? 0 : 4;
        run(a, 0);
        g_assert_cmphex(get(a, TFD) & 0x80, ==, i ? 0 : 0x80);
    }
    g_assert_cmphex(get(a, SIG), ==, 0x101);
    /* And the link's, which can be put off line. */
    put(a, SCTL, 4);
    g_assert_cmphex(get(a, SSTS), ==, 4);
    put(a, SCTL, 0);
    g_assert_cmphex(get(a, SSTS), ==, 0x113);
    put(a, SCTL, 1);
    put(a, SCTL, 0);
    g_assert_cmphex(get(a, SIG), ==, 0x101);
    prepare(a, 0, 0, 0xec, 0, 0, region, 1);
    run(a, 0);
    g_assert_cmphex(get(a, TFD) & 0xff, ==, 0x50);
    bench_write(a->bench, BASE + GHC, 1, 4);
    g_assert_cmphex(bench_read(a->bench, BASE + GHC, 4), ==, 1u << 31);
    g_assert_cmphex(get(a, CMD) & ST, ==, 0);
    ahci_free(a);
}

/* One page of a log at DATA, by PIO or DMA; its bytes sum up to 0 where it has a checksum. */
static void read_log(Ahci *a, uint8_t opcode, uint8_t log)
{
    const uint64_t region[][2] = { { DATA, 512 } };
    uint8_t sum = 0;

    prepare(a, 0, 0, opcode, log, 1, region, 1);
    run(a, 0);
    g_assert_cmphex(get(a, TFD) & 1, ==, 0);
    for (unsigned i = 0; i < 512; i++) {
        sum += ram(a, DATA)[i];
    }
    g_assert_true(!log || !sum);
}

static void test_errors(void)
{
    Ahci *a = ahci_new("write", "report");
    const uint64_t region[][2] = { { DATA, 512 } };

    read_log(a, 0x2f, 0x10);
    g_assert_cmphex(*ram(a, DATA), ==, 0x80); /* none has failed */
    read_log(a, 0x2f, 0);
    g_assert_cmphex(load_le16(ram(a, DATA) + 0x10 * 2), ==, 1);
    prepare(a, 3, WRITE, 0x61, 5, 1, region, 1);
    put(a, SACT, 8);
    put(a, CI, 8);
    settle(a);
    g_assert_cmphex(get(a, IS) & IS_TFES, ==, IS_TFES);
    g_assert_cmphex(get(a, SACT), ==, 8);
    put(a, CMD, FRE);
    put(a, CMD, FRE | ST);
    g_assert_cmphex(get(a, SACT), ==, 0);
    read_log(a, 0x47, 0x10);
    g_assert_cmphex(*ram(a, DATA), ==, 3); /* the tag */
    g_assert_cmphex(ram(a, DATA)[2] & 0x81, ==, 1);
    g_assert_cmphex(ram(a, DATA)[3], ==, 4);
    g_assert_cmphex(load_le32(ram(a, DATA) + 4) & 0xffffff, ==, 5);
    g_assert_cmphex(load_le16(ram(a, DATA) + 12), ==, 1);
    prepare(a, 0, 0, 0x25, 5, 1, region, 1);
    run(a, 0);
    g_assert_cmpuint(load_le32(ram(a, DATA)), ==, 5);
    /* Beyond the end. */
    prepare(a, 0, 0, 0x25, IMAGE_BYTES / 512, 1, region, 1);
    run(a, 0);
    g_assert_cmphex(get(a, TFD) & 1, ==, 1);
    g_assert_cmphex(get(a, IS) & IS_TFES, ==, IS_TFES);
    ahci_free(a);
}

static void test_held(void)
{
    Ahci *a = ahci_new("write", "stop");
    const uint64_t region[][2] = { { DATA, 512 } };
    g_autoptr(GByteArray) saved = g_byte_array_new();
    GError *error = NULL;

    memset(ram(a, DATA), 0x66, 512);
    prepare(a, 7, WRITE, 0x61, 30, 1, region, 1);
    put(a, SACT, 1 << 7);
    put(a, CI, 1 << 7);
    settle(a);
    g_assert_cmphex(get(a, SACT), ==, 1 << 7);
    device_save_state(a->controller, saved);
    device_load_state(a->controller, a->controller->type->state_version, saved->data, saved->len,
                      &error);
    g_assert_no_error(error);
    machine_event(a->bench->machine, "RESUME", NULL);
    wait_for(a, SACT, 1 << 7);
    memset(ram(a, DATA), 0, 512);
    prepare(a, 0, 0, 0x25, 30, 1, region, 1);
    run(a, 0);
    g_assert_cmphex(*ram(a, DATA), ==, 0x66);
    ahci_free(a);
}

/* Too little memory, none, none that answers, the port's own registers: an end, whatever it is. */
static void test_broken(void)
{
    Ahci *a = ahci_new(NULL, "report");
    const uint64_t regions[][2][2] = {
        { { DATA, 512 } },
        { { BENCH_RAM + BENCH_RAM_SIZE + 0x1000, 4096 } },
        { { UINT64_MAX - 4095, 4096 } },
        { { BASE + 0x180, 4096 } },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(regions); i++) {
        for (unsigned j = 0; j < 4; j++) {
            static const uint8_t commands[] = { 0x24, 0x25, 0x35, 0x60 };
            bool queued = commands[j] == 0x60;

            prepare(a, 0, commands[j] == 0x35 ? WRITE : 0, commands[j], 0, 8, regions[i], 1);
            put(a, SACT, queued);
            put(a, CI, 1);
            settle(a);
            put(a, CMD, 0);
            settle(a);
            put(a, SCTL, 1);
            put(a, SCTL, 0);
            put(a, IS, 0xffffffff);
            start_port(a, 1);
        }
    }
    prepare(a, 0, 0, 0x25, 0, 8, NULL, 0); /* no regions */
    run(a, 0);
    g_assert_cmphex(get(a, IS) & IS_OFS, ==, IS_OFS);
    /* The list itself is nowhere; frames go to the registers, which start commands by it. */
    put(a, CLB, 0);
    put(a, CI, 1);
    settle(a);
    start_port(a, 1);
    put(a, FB, BASE + 0x100 + 0x80 - 0x40 + CI - 0x10);
    prepare(a, 0, 0, 0xe7, 0, 0, NULL, 0);
    put(a, CI, 1);
    settle(a);
    put(a, CMD, 0);
    start_port(a, 1);
    prepare(a, 0, 0, 0xe7, 0, 0, NULL, 0);
    run(a, 0);
    ahci_free(a);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ahci/identify", test_identify);
    g_test_add_func("/ahci/transfers", test_transfers);
    g_test_add_func("/ahci/queued", test_queued);
    g_test_add_func("/ahci/packet", test_packet);
    g_test_add_func("/ahci/resets", test_resets);
    g_test_add_func("/ahci/errors", test_errors);
    g_test_add_func("/ahci/held", test_held);
    g_test_add_func("/ahci/broken", test_broken);
    return g_test_run();
}
