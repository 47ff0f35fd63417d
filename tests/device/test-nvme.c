/* SPDX-License-Identifier: MIT */
/* NVMe as its drivers use it: queues, identify, PRPs and SGLs, events, errors, resets, saved states; and what no driver would do. */
#include <string.h>

#include "base/bits.h"
#include "block/block.h"
#include "machine/machine.h"
#include "machine/saved-state.h"
#include "tests/device/bench.h"
#include "tests/device/image.h"
#include "tests/patience.h"

enum {
    BASE = BENCH_MEMORY_WINDOW,
    ADMIN_SQ = BENCH_RAM + 0x10000,
    ADMIN_CQ = BENCH_RAM + 0x11000,
    IO_SQ = BENCH_RAM + 0x12000,
    IO_CQ = BENCH_RAM + 0x13000,
    LIST = BENCH_RAM + 0x20000,
    DATA = BENCH_RAM + 0x100000,
    ENTRIES = 8,
    IMAGE_BYTES = 4 << 20,

    INTMS = 0x0c,
    INTMC = 0x10,
    CC = 0x14,
    CSTS = 0x1c,
    AQA = 0x24,
    ASQ = 0x28,
    ACQ = 0x30,
    CC_ON = 6 << 16 | 4 << 20 | 1,
    DNR = 0x4000,
    SGL = 1 << 14,
};

typedef struct {
    unsigned tail, head, phase;
    uint64_t sq, cq;
} Queue;

typedef struct {
    Bench *bench;
    Device *device;
    BlockGraph *graph;
    BlockBackend *block;
    Queue queues[3];
    uint32_t result; /* of the last command */
    uint16_t next_id;
} Rig;

static uint8_t *ram(Rig *r, uint64_t address)
{
    return bench_ram(r->bench, address);
}

static uint32_t get(Rig *r, unsigned offset)
{
    return (uint32_t)bench_read(r->bench, BASE + offset, 4);
}

static void put(Rig *r, unsigned offset, uint32_t value)
{
    bench_write(r->bench, BASE + offset, value, 4);
}

static void doorbell(Rig *r, unsigned queue, bool completion, unsigned value)
{
    put(r, 0x1000 + queue * 8 + completion * 4, value);
}

static void enable(Rig *r)
{
    memset(r->queues, 0, sizeof r->queues);
    r->queues[0] = (Queue){ .sq = ADMIN_SQ, .cq = ADMIN_CQ, .phase = 1 };
    r->queues[1] = (Queue){ .sq = IO_SQ, .cq = IO_CQ, .phase = 1 };
    memset(ram(r, ADMIN_SQ), 0, 0x4000);
    put(r, AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
    bench_write(r->bench, BASE + ASQ, ADMIN_SQ, 8);
    put(r, ACQ, ADMIN_CQ);
    put(r, ACQ + 4, 0);
    put(r, CC, CC_ON);
}

static void map_and_enable(Rig *r)
{
    bench_config_write(r->bench, 8, PCI_BASE_ADDRESS_0, BASE, 4);
    bench_config_write(r->bench, 8, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER, 2);
    enable(r);
}

/* The image fails once at `error`, and the disk does with that as policy says. */
static Rig *rig_new_with(const char *error, const char *policy, bool read_only)
{
    Rig *r = g_new0(Rig, 1);

    r->bench = bench_new(false);
    r->graph = block_graph_new(NULL);
    r->block = image_open(r->bench->machine, r->graph, "disk", IMAGE_BYTES, read_only, error);
    r->device = bench_device(r->bench, "nvme", "nvme0", "addr", "1", "drive", "disk", "serial",
                             "S123", "werror", policy, "rerror", policy, NULL);
    device_reset_tree(r->bench->machine->root);
    map_and_enable(r);
    return r;
}

static Rig *rig_new(void)
{
    return rig_new_with(NULL, "report", false);
}

static void rig_free(Rig *r)
{
    bench_free(r->bench);
    block_close(r->block);
    block_graph_free(r->graph);
    g_free(r);
}

/* Writes a command into a queue without ringing. */
static uint8_t *add(Rig *r, unsigned queue, uint32_t opcode, uint32_t nsid, uint64_t prp1,
                    uint64_t prp2)
{
    Queue *q = &r->queues[queue];
    uint8_t *entry = ram(r, q->sq + q->tail * 64);

    memset(entry, 0, 64);
    store_le32(entry, opcode | (uint32_t)++r->next_id << 16);
    store_le32(entry + 4, nsid);
    store_le64(entry + 24, prp1);
    store_le64(entry + 32, prp2);
    q->tail = (q->tail + 1) % ENTRIES;
    return entry;
}

static void ring(Rig *r, unsigned queue)
{
    doorbell(r, queue, false, r->queues[queue].tail);
}

static bool completed(Rig *r, unsigned queue)
{
    Queue *q = &r->queues[queue];

    return (ram(r, q->cq + q->head * 16)[14] & 1) == q->phase;
}

/* The status of the next completion, which is taken. */
static unsigned take(Rig *r, unsigned queue)
{
    Queue *q = &r->queues[queue];
    int64_t end = patience_end(30);
    const uint8_t *entry = ram(r, q->cq + q->head * 16);
    unsigned status;

    while (!completed(r, queue)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        bench_run_main_loop(r->bench);
    }
    r->result = load_le32(entry);
    g_assert_cmpuint(load_le16(entry + 10), ==, queue);
    status = load_le16(entry + 14) >> 1;
    q->head = (q->head + 1) % ENTRIES;
    q->phase ^= q->head == 0;
    doorbell(r, queue, true, q->head);
    return status;
}

static unsigned run(Rig *r, unsigned queue)
{
    ring(r, queue);
    return take(r, queue);
}

static unsigned admin(Rig *r, uint32_t opcode, uint32_t nsid, uint32_t dw10, uint32_t dw11)
{
    uint8_t *entry = add(r, 0, opcode, nsid, DATA, 0);

    store_le32(entry + 40, dw10);
    store_le32(entry + 44, dw11);
    return run(r, 0);
}

static unsigned create(Rig *r, uint32_t opcode, uint64_t at, uint32_t dw10, uint32_t dw11)
{
    uint8_t *entry = add(r, 0, opcode, 0, at, 0);

    store_le32(entry + 40, dw10);
    store_le32(entry + 44, dw11);
    return run(r, 0);
}

static void create_queues(Rig *r)
{
    g_assert_cmphex(create(r, 5, IO_CQ, (ENTRIES - 1) << 16 | 1, 3), ==, 0);
    g_assert_cmphex(create(r, 1, IO_SQ, (ENTRIES - 1) << 16 | 1, 1 << 16 | 1), ==, 0);
}

static uint8_t *add_io(Rig *r, uint32_t opcode, uint64_t lba, unsigned blocks, uint64_t prp1,
                       uint64_t prp2)
{
    uint8_t *entry = add(r, 1, opcode, 1, prp1, prp2);

    store_le64(entry + 40, lba);
    store_le32(entry + 48, blocks - 1);
    return entry;
}

static unsigned io(Rig *r, uint32_t opcode, uint64_t lba, unsigned blocks, uint64_t prp1,
                   uint64_t prp2)
{
    add_io(r, opcode, lba, blocks, prp1, prp2);
    return run(r, 1);
}

static void test_identify(void)
{
    Rig *r = rig_new();
    const uint8_t *id = ram(r, DATA);

    g_assert_cmphex(get(r, 0x08), ==, 0x10400);
    g_assert_cmphex(get(r, CSTS), ==, 1);
    g_assert_cmphex(bench_read(r->bench, BASE, 8) & 0xffff, ==, 2047);
    add(r, 0, 6, 0, DATA, 0)[40] = 1;
    ring(r, 0);
    g_assert_true(completed(r, 0));
    g_assert_true(r->bench->intx[1]);
    g_assert_cmphex(take(r, 0), ==, 0);
    g_assert_false(r->bench->intx[1]);
    g_assert_cmpuint(load_le16(id), ==, 0x1b36);
    g_assert_true(memcmp(id + 4, "S123                QEMU NVMe Ctrl", 34) == 0);
    g_assert_cmpuint(id[77], ==, 7);
    g_assert_cmphex(admin(r, 6, 1, 0, 0), ==, 0);
    g_assert_cmpuint(load_le64(id), ==, IMAGE_BYTES / 512);
    g_assert_cmpuint(id[130], ==, 9);
    g_assert_cmphex(admin(r, 6, 0, 2, 0), ==, 0);
    g_assert_cmpuint(load_le32(id), ==, 1);
    g_assert_cmpuint(load_le32(id + 4), ==, 0);
    g_assert_cmphex(admin(r, 6, 2, 0, 0), ==, 0); /* inactive: zeroes */
    g_assert_cmpuint(load_le64(id), ==, 0);
    g_assert_cmphex(admin(r, 6, 257, 0, 0), ==, DNR | 0x0b);
    g_assert_cmphex(admin(r, 6, 0, 0x55, 0), ==, DNR | 0x02);
    g_assert_cmphex(admin(r, 0x7f, 0, 0, 0), ==, DNR | 0x01);
    rig_free(r);
}

static void test_transfers(void)
{
    Rig *r = rig_new();

    create_queues(r);
    /* One page, two, a list, from within a page, and a list that begins at the end of its page and goes on in another. */
    g_assert_cmphex(io(r, 2, 100, 8, DATA, 0), ==, 0);
    g_assert_cmpuint(load_le32(ram(r, DATA + 512)), ==, 101);
    g_assert_cmphex(io(r, 2, 200, 16, DATA, DATA + 0x5000), ==, 0);
    g_assert_cmpuint(load_le32(ram(r, DATA + 0x5000)), ==, 208);
    for (unsigned i = 0; i < 3; i++) {
        store_le64(ram(r, LIST + 8 * i), DATA + 0x10000 + i * 0x2000);
    }
    g_assert_cmphex(io(r, 2, 300, 25, DATA + 0xc00, LIST), ==, 0);
    g_assert_cmpuint(load_le32(ram(r, DATA + 0xe00)), ==, 301);
    g_assert_cmpuint(load_le32(ram(r, DATA + 0x10000)), ==, 302);
    g_assert_cmpuint(load_le32(ram(r, DATA + 0x14000 + 6 * 512)), ==, 324);
    store_le64(ram(r, LIST + 0xff0), DATA + 0x20000);
    store_le64(ram(r, LIST + 0xff8), LIST + 0x3000);
    store_le64(ram(r, LIST + 0x3000), DATA + 0x22000);
    store_le64(ram(r, LIST + 0x3008), DATA + 0x24000);
    memset(ram(r, DATA), 0x11, 4096);
    memset(ram(r, DATA + 0x20000), 0x22, 4096);
    memset(ram(r, DATA + 0x22000), 0x33, 4096);
    memset(ram(r, DATA + 0x24000), 0x44, 4096);
    g_assert_cmphex(io(r, 1, 400, 32, DATA, LIST + 0xff0), ==, 0);
    g_assert_cmphex(io(r, 2, 400 + 16, 16, DATA + 0x6000, DATA + 0x7000), ==, 0);
    g_assert_cmphex(*ram(r, DATA + 0x6fff), ==, 0x33);
    g_assert_cmphex(*ram(r, DATA + 0x7000), ==, 0x44);
    /* Compare, zeroes, deallocation, flush. */
    g_assert_cmphex(io(r, 5, 416, 8, DATA + 0x6000, 0), ==, 0);
    g_assert_cmphex(io(r, 5, 415, 8, DATA + 0x6000, 0), ==, DNR | 0x285);
    g_assert_cmphex(io(r, 8, 416, 8, 0, 0), ==, 0);
    g_assert_cmphex(io(r, 2, 416, 8, DATA, 0), ==, 0);
    g_assert_cmphex(*ram(r, DATA), ==, 0);
    memset(ram(r, DATA), 0, 32);
    store_le32(ram(r, DATA + 4), 8);
    store_le64(ram(r, DATA + 8), 424);
    store_le32(ram(r, DATA + 20), 0);
    add(r, 1, 9, 1, DATA, 0)[40] = 1;
    ram(r, IO_SQ + ((r->queues[1].tail + ENTRIES - 1) % ENTRIES) * 64)[44] = 4;
    g_assert_cmphex(run(r, 1), ==, 0);
    g_assert_cmphex(io(r, 0, 0, 1, 0, 0), ==, 0);
    add(r, 1, 0, 0xffffffff, 0, 0);
    g_assert_cmphex(run(r, 1), ==, 0);
    rig_free(r);
}

static void put_sgl(Rig *r, uint64_t at, uint64_t address, uint32_t bytes, uint8_t type)
{
    memset(ram(r, at), 0, 16);
    store_le64(ram(r, at), address);
    store_le32(ram(r, at) + 8, bytes);
    ram(r, at)[15] = type;
}

static unsigned sgl_read(Rig *r, unsigned blocks, uint64_t address, uint32_t bytes, uint8_t type)
{
    uint8_t *entry = add_io(r, 2 | SGL, 500, blocks, address, bytes);

    entry[39] = type;
    return run(r, 1);
}

static void test_scatter(void)
{
    Rig *r = rig_new();

    create_queues(r);
    g_assert_cmphex(sgl_read(r, 2, DATA + 2, 1024, 0), ==, 0);
    g_assert_cmpuint(load_le32(ram(r, DATA + 2 + 512)), ==, 501);
    put_sgl(r, LIST, DATA + 0x1001, 511, 0);
    put_sgl(r, LIST + 16, LIST + 0x100, 32, 0x30);
    put_sgl(r, LIST + 0x100, DATA + 0x2000, 1, 0);
    put_sgl(r, LIST + 0x110, DATA + 0x3000, 512, 0);
    g_assert_cmphex(sgl_read(r, 2, LIST, 32, 0x20), ==, 0);
    g_assert_cmpuint(load_le32(ram(r, DATA + 0x1001)), ==, 500);
    g_assert_cmpuint(load_le32(ram(r, DATA + 0x3000)), ==, 501);
    g_assert_cmphex(sgl_read(r, 2, DATA, 512, 0), ==, DNR | 0x0f);
    g_assert_cmphex(sgl_read(r, 2, DATA, 2048, 0), ==, DNR | 0x0f);
    g_assert_cmphex(sgl_read(r, 2, DATA, 1024, 0x40), ==, DNR | 0x11);
    g_assert_cmphex(sgl_read(r, 2, LIST, 33, 0x20), ==, DNR | 0x0d);
    g_assert_cmphex(sgl_read(r, 2, LIST, 0, 0x30), ==, DNR | 0x0d);
    g_assert_cmphex(sgl_read(r, 2, LIST, 0xfffffff0, 0x30), ==, DNR | 0x0e);
    g_assert_cmphex(sgl_read(r, 2, 0x4000, 32, 0x20), ==, 0x04);
    /* Segments that name each other end, too. */
    put_sgl(r, LIST, LIST, 16, 0x20);
    g_assert_cmphex(sgl_read(r, 2, LIST, 16, 0x20), ==, DNR | 0x0e);
    put_sgl(r, LIST, DATA, 512, 0);
    g_assert_cmphex(sgl_read(r, 2, LIST, 16, 0x20), ==, DNR | 0x0d);
    /* Admin commands have no lists. */
    add(r, 0, 6 | SGL, 0, DATA, 4096)[40] = 1;
    g_assert_cmphex(run(r, 0), ==, DNR | 0x02);
    rig_free(r);
}

static void test_bad_commands(void)
{
    Rig *r = rig_new();

    create_queues(r);
    g_assert_cmphex(io(r, 2, 8191, 2, DATA, 0), ==, DNR | 0x80);
    g_assert_cmphex(io(r, 2, UINT64_MAX, 2, DATA, 0), ==, DNR | 0x80);
    g_assert_cmphex(io(r, 1, 8192, 1, DATA, 0), ==, DNR | 0x80);
    g_assert_cmphex(io(r, 2, 0, 1025, DATA, LIST), ==, DNR | 0x02); /* above MDTS */
    g_assert_cmphex(io(r, 2, 0, 8, DATA + 1, 0), ==, DNR | 0x13);
    g_assert_cmphex(io(r, 2, 0, 16, DATA, DATA + 4), ==, DNR | 0x13);
    g_assert_cmphex(io(r, 2, 0, 32, DATA, LIST + 4), ==, DNR | 0x13);
    store_le64(ram(r, LIST), DATA + 8);
    g_assert_cmphex(io(r, 2, 0, 32, DATA, LIST), ==, DNR | 0x13);
    g_assert_cmphex(io(r, 2, 0, 32, DATA, 0x1000), ==, 0x04); /* no memory there */
    g_assert_cmphex(io(r, 2, 0, 8, 0x1000, 0), ==, 0x04);
    g_assert_cmphex(io(r, 1, 0, 8, 0x1000, 0), ==, 0x04);
    add_io(r, 2, 0, 1, DATA, 0)[4] = 2;
    g_assert_cmphex(run(r, 1), ==, DNR | 0x0b);
    g_assert_cmphex(io(r, 0x30, 0, 1, DATA, 0), ==, DNR | 0x01);
    memset(ram(r, DATA), 0xff, 16);
    add(r, 1, 9, 1, DATA, 0);
    g_assert_cmphex(run(r, 1), ==, DNR | 0x80);
    /* Queues. */
    g_assert_cmphex(create(r, 5, IO_CQ, 7 << 16 | 1, 1), ==, DNR | 0x101);
    g_assert_cmphex(create(r, 5, IO_CQ, 7 << 16, 1), ==, DNR | 0x101);
    g_assert_cmphex(create(r, 5, IO_CQ, 7 << 16 | 65, 1), ==, DNR | 0x101);
    g_assert_cmphex(create(r, 5, IO_CQ, 2, 1), ==, DNR | 0x102);
    g_assert_cmphex(create(r, 5, IO_CQ, 2048u << 16 | 2, 1), ==, DNR | 0x102);
    g_assert_cmphex(create(r, 5, IO_CQ + 4, 7 << 16 | 2, 1), ==, DNR | 0x13);
    g_assert_cmphex(create(r, 5, IO_CQ, 7 << 16 | 2, 0), ==, DNR | 0x02);
    g_assert_cmphex(create(r, 5, IO_CQ, 7 << 16 | 2, 200u << 16 | 1), ==, DNR | 0x108);
    g_assert_cmphex(create(r, 1, IO_SQ, 7 << 16 | 2, 2 << 16 | 1), ==, DNR | 0x100);
    g_assert_cmphex(create(r, 4, 0, 1, 0), ==, DNR | 0x10c);
    g_assert_cmphex(create(r, 0, 0, 2, 0), ==, DNR | 0x101);
    g_assert_cmphex(create(r, 0, 0, 1, 0), ==, 0);
    g_assert_cmphex(create(r, 4, 0, 1, 0), ==, 0);
    g_assert_cmphex(create(r, 4, 0, 1, 0), ==, DNR | 0x101);
    rig_free(r);
}

static void test_features_and_logs(void)
{
    Rig *r = rig_new();
    const uint8_t *page = ram(r, DATA);

    g_assert_cmphex(admin(r, 9, 0, 7, 3 << 16 | 3), ==, 0);
    g_assert_cmphex(r->result, ==, 63 << 16 | 63);
    create_queues(r);
    g_assert_cmphex(admin(r, 9, 0, 7, 3 << 16 | 3), ==, DNR | 0x0c);
    g_assert_cmphex(admin(r, 9, 0, 6, 0), ==, 0);
    g_assert_false(block_write_cache(r->block));
    g_assert_cmphex(admin(r, 0xa, 0, 6, 0), ==, 0);
    g_assert_cmphex(r->result, ==, 0);
    g_assert_cmphex(admin(r, 9, 0, 0x80000006, 1), ==, DNR | 0x10d);
    g_assert_cmphex(admin(r, 9, 0, 0x7f, 1), ==, DNR | 0x02);
    store_le64(ram(r, DATA), 1234567);
    g_assert_cmphex(admin(r, 9, 0, 0xe, 0), ==, 0);
    g_assert_cmphex(admin(r, 0xa, 0, 0xe, 0), ==, 0);
    g_assert_cmpuint(load_le64(page) & 0xffffffff, >=, 1234567);
    g_assert_cmpuint(page[6], ==, 2);
    g_assert_cmphex(io(r, 2, 0, 8, DATA, 0), ==, 0);
    g_assert_cmphex(admin(r, 2, 0xffffffff, 127 << 16 | 2, 0), ==, 0);
    g_assert_cmpuint(load_le16(page + 1), ==, 323);
    g_assert_cmpuint(load_le64(page + 32), ==, 1);
    g_assert_cmpuint(load_le64(page + 64), ==, 1);
    g_assert_cmphex(admin(r, 2, 0, 127 << 16 | 3, 0), ==, 0);
    g_assert_cmphex(admin(r, 2, 0, 1023 << 16 | 5, 0), ==, 0);
    g_assert_cmpuint(page[1024 + 4], ==, 3); /* write: there, and changes contents */
    g_assert_cmphex(admin(r, 2, 0, 0x77, 0), ==, DNR | 0x109);
    /* A page from an offset, of which a driver asks for too much. */
    store_le64(add(r, 0, 2, 0, DATA, 0) + 48, 500);
    store_le32(ram(r, ADMIN_SQ + ((r->queues[0].tail + ENTRIES - 1) % ENTRIES) * 64 + 40),
               1023 << 16 | 3);
    g_assert_cmphex(run(r, 0), ==, 0);
    store_le64(add(r, 0, 2, 0, DATA, 0) + 48, 516);
    store_le32(ram(r, ADMIN_SQ + ((r->queues[0].tail + ENTRIES - 1) % ENTRIES) * 64 + 40), 3);
    g_assert_cmphex(run(r, 0), ==, DNR | 0x02);
    rig_free(r);
}

static void test_events(void)
{
    Rig *r = rig_new();

    g_assert_cmphex(admin(r, 9, 0, 0xb, 2), ==, 0);
    for (unsigned i = 0; i < 4; i++) {
        add(r, 0, 0xc, 0, 0, 0);
    }
    ring(r, 0);
    g_assert_false(completed(r, 0));
    add(r, 0, 0xc, 0, 0, 0);
    g_assert_cmphex(run(r, 0), ==, DNR | 0x105);
    /* A wrong doorbell, twice: the second is told when the log of the first has been read. */
    doorbell(r, 5, false, 1);
    g_assert_cmphex(take(r, 0), ==, 0);
    g_assert_cmphex(r->result, ==, 0x010000);
    doorbell(r, 0, true, 99);
    g_assert_false(completed(r, 0));
    g_assert_cmphex(admin(r, 2, 0, 15 << 16 | 1, 0), ==, 0);
    g_assert_cmphex(take(r, 0), ==, 0);
    g_assert_cmphex(r->result, ==, 0x010100);
    /* The disk is warmer than the host likes. */
    add(r, 0, 9, 0, 0, 0)[40] = 4;
    store_le32(ram(r, ADMIN_SQ + ((r->queues[0].tail + ENTRIES - 1) % ENTRIES) * 64 + 44), 300);
    g_assert_cmphex(run(r, 0), ==, 0);
    g_assert_cmphex(take(r, 0), ==, 0);
    g_assert_cmphex(r->result, ==, 0x020101);
    /* The last of the four requests is aborted. */
    g_assert_cmphex(admin(r, 8, 0, 0xfff0u << 16, 0), ==, 0);
    g_assert_cmphex(r->result, ==, 1);
    add(r, 0, 8, 0, 0, 0);
    for (unsigned i = 2; i <= 5; i++) {
        store_le32(ram(r, ADMIN_SQ + ((r->queues[0].tail + ENTRIES - 1) % ENTRIES) * 64 + 40),
                   i << 16);
        ring(r, 0);
        take(r, 0);
        if (r->result == 0) {
            break;
        }
        add(r, 0, 8, 0, 0, 0);
    }
    rig_free(r);
}

/* More completions than the queue has room for wait; the pin is up as long as some are there. */
static void test_full_queue(void)
{
    Rig *r = rig_new();

    create_queues(r);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 5; i++) {
            add_io(r, 2, 8 * i, 8, DATA + i * 0x1000, 0);
        }
        ring(r, 1);
        for (unsigned i = 0; i < 200; i++) {
            bench_run_main_loop(r->bench);
            g_usleep(200);
        }
    }
    g_assert_true(r->bench->intx[1]);
    for (unsigned i = 0; i < 10; i++) {
        g_assert_cmphex(take(r, 1), ==, 0);
    }
    g_assert_false(completed(r, 1));
    g_assert_false(r->bench->intx[1]);
    add_io(r, 2, 0, 1, DATA, 0);
    put(r, INTMS, 1);
    ring(r, 1);
    while (!completed(r, 1)) {
        bench_run_main_loop(r->bench);
    }
    g_assert_false(r->bench->intx[1]);
    put(r, INTMC, 1);
    g_assert_true(r->bench->intx[1]);
    rig_free(r);
}

static void wait_status(Rig *r, uint32_t mask, uint32_t value)
{
    int64_t end = patience_end(30);

    while ((get(r, CSTS) & mask) != value) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        bench_run_main_loop(r->bench);
    }
}

static void test_resets(void)
{
    Rig *r = rig_new();
    bool before;

    create_queues(r);
    add_io(r, 1, 0, 8, DATA, 0);
    ring(r, 1);
    before = completed(r, 1); /* at once, or not at all */
    put(r, CC, 0);
    wait_status(r, 1, 0);
    g_assert_cmpint(completed(r, 1), ==, before);
    enable(r);
    create_queues(r);
    g_assert_cmphex(io(r, 2, 8, 1, DATA, 0), ==, 0);
    put(r, CC, CC_ON | 1 << 14);
    wait_status(r, 0xc, 0x8);
    put(r, CC, 0);
    wait_status(r, 0xffff, 0);
    /* What the controller cannot be is fatal, until it is switched off. */
    put(r, AQA, 0);
    put(r, CC, CC_ON);
    g_assert_cmphex(get(r, CSTS), ==, 2);
    put(r, CC, 0);
    g_assert_cmphex(get(r, CSTS), ==, 0);
    enable(r);
    put(r, CC, 0);
    put(r, ASQ, 0x8000);
    put(r, CC, CC_ON);
    ring(r, 0);
    doorbell(r, 0, false, 1);
    g_assert_cmphex(get(r, CSTS) & 2, ==, 2);
    device_reset_tree(r->bench->machine->root);
    rig_free(r);
}

/* Queues and data at the controller's own registers: it does not hear itself. */
static void test_own_registers(void)
{
    Rig *r = rig_new();

    create_queues(r);
    g_assert_cmphex(io(r, 2, 1, 8, BASE + 0x1000, 0), ==, 0);
    g_assert_cmphex(create(r, 5, BASE + 0x1000, 7 << 16 | 2, 3), ==, 0);
    g_assert_cmphex(create(r, 1, IO_SQ, 7 << 16 | 2, 2 << 16 | 1), ==, 0);
    doorbell(r, 2, false, 7);
    for (unsigned i = 0; i < 50; i++) {
        bench_run_main_loop(r->bench);
    }
    g_assert_cmphex(admin(r, 6, 0, 1, 0), ==, 0);
    rig_free(r);
}

static void test_errors(void)
{
    Rig *r = rig_new_with("read", "report", false);

    create_queues(r);
    g_assert_cmphex(io(r, 2, 1, 8, DATA, 0), ==, 0x281);
    g_assert_cmphex(io(r, 2, 1, 8, DATA, 0), ==, 0);
    rig_free(r);
    r = rig_new_with("write", "report", false);
    create_queues(r);
    g_assert_cmphex(io(r, 1, 1, 8, DATA, 0), ==, 0x280);
    rig_free(r);
    r = rig_new_with(NULL, "report", true);
    create_queues(r);
    g_assert_cmphex(io(r, 1, 1, 8, DATA, 0), ==, DNR | 0x20);
    g_assert_cmphex(admin(r, 6, 1, 0, 0), ==, 0);
    g_assert_cmpuint(ram(r, DATA)[99], ==, 1);
    rig_free(r);
}

enum { FORMAT = 0x80, SELF_TEST = 0x14, VERIFY = 0x0c, SELF_TEST_LOG = 564 / 4 - 1 };

static void test_verify(void)
{
    Rig *r = rig_new_with("read", "report", false);

    create_queues(r);
    g_assert_cmphex(io(r, VERIFY, 0, 8192, 0, 0), ==, 0x281);
    g_assert_cmphex(io(r, VERIFY, 0, 8192, 0, 0), ==, 0);
    g_assert_cmphex(io(r, VERIFY, 8191, 2, 0, 0), ==, DNR | 0x80);
    /* A reset does not wait for all of a long one. */
    add_io(r, VERIFY, 0, 8192, 0, 0);
    ring(r, 1);
    put(r, CC, 0);
    while (get(r, CSTS)) {
        bench_run_main_loop(r->bench);
    }
    rig_free(r);
}

static void test_format(void)
{
    static const uint8_t zeroes[4096];
    Rig *r = rig_new();
    g_autoptr(GByteArray) state = g_byte_array_new();
    GError *error = NULL;

    create_queues(r);
    g_assert_cmphex(io(r, 2, 8, 8, DATA, 0), ==, 0);
    g_assert_true(memcmp(ram(r, DATA), zeroes, 4096));
    g_assert_cmphex(admin(r, FORMAT, 1, 4, 0), ==, DNR | 0x10a);
    g_assert_cmphex(admin(r, FORMAT, 1, 1 << 5, 0), ==, DNR | 0x10a);
    g_assert_cmphex(admin(r, FORMAT, 1, 2 << 9, 0), ==, DNR | 0x02);
    g_assert_cmphex(admin(r, FORMAT, 7, 0, 0), ==, DNR | 0x0b);
    g_assert_cmphex(admin(r, FORMAT, 1, 1 << 9 | 3, 0), ==, 0);
    g_assert_cmphex(admin(r, 6, 1, 0, 0), ==, 0);
    g_assert_cmpuint(load_le64(ram(r, DATA)), ==, IMAGE_BYTES / 4096);
    g_assert_cmpuint(ram(r, DATA)[26], ==, 3);
    g_assert_cmpuint(ram(r, DATA)[128 + 3 * 4 + 2], ==, 12);
    g_assert_cmphex(io(r, 2, 1, 1, DATA, 0), ==, 0);
    g_assert_cmpmem(ram(r, DATA), 4096, zeroes, 4096);
    g_assert_cmphex(io(r, 2, IMAGE_BYTES / 4096, 1, DATA, 0), ==, DNR | 0x80);
    /* It is the namespace's for good, and a saved state has it. */
    device_save_state(r->device, state);
    g_assert_cmphex(admin(r, FORMAT, 0xffffffff, 0, 0), ==, 0);
    g_assert_cmphex(io(r, 2, IMAGE_BYTES / 512 - 1, 1, DATA, 0), ==, 0);
    device_load_state(r->device, r->device->type->state_version, state->data, state->len, &error);
    g_assert_no_error(error);
    put(r, CC, 0);
    enable(r);
    g_assert_cmphex(admin(r, 6, 1, 0, 0), ==, 0);
    g_assert_cmpuint(ram(r, DATA)[26], ==, 3);
    rig_free(r);
    r = rig_new_with(NULL, "report", true);
    g_assert_cmphex(admin(r, FORMAT, 1, 0, 0), ==, DNR | 0x20);
    rig_free(r);
}

/* The log, with the test that runs first and its results behind. */
static const uint8_t *self_test_log(Rig *r)
{
    g_assert_cmphex(admin(r, 2, 0xffffffff, SELF_TEST_LOG << 16 | 6, 0), ==, 0);
    return ram(r, DATA);
}

static const uint8_t *wait_for_self_test(Rig *r)
{
    int64_t end = patience_end(60);

    while (self_test_log(r)[0]) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        bench_run_main_loop(r->bench);
        g_usleep(500);
    }
    return ram(r, DATA) + 4;
}

static void test_self_test(void)
{
    Rig *r = rig_new();
    g_autoptr(GByteArray) state = g_byte_array_new();
    GError *error = NULL;

    machine_start(r->bench->machine); /* so that its clock runs, after a reset */
    map_and_enable(r);
    g_assert_cmphex(self_test_log(r)[4], ==, 0x0f); /* none was made */
    g_assert_cmphex(admin(r, SELF_TEST, 1, 3, 0), ==, DNR | 0x02);
    g_assert_cmphex(admin(r, SELF_TEST, 300, 1, 0), ==, DNR | 0x0b);
    g_assert_cmphex(admin(r, SELF_TEST, 0xffffffff, 1, 0), ==, 0);
    g_assert_cmphex(admin(r, SELF_TEST, 1, 2, 0), ==, DNR | 0x1d);
    g_assert_cmphex(self_test_log(r)[0], ==, 1);
    g_assert_cmphex(*wait_for_self_test(r), ==, 0x10);
    g_assert_cmphex(admin(r, SELF_TEST, 1, 2, 0), ==, 0);
    g_assert_cmphex(*wait_for_self_test(r), ==, 0x20);
    g_assert_cmphex(ram(r, DATA)[4 + 28], ==, 0x10);
    /* Ended by the host, by a format, and the short one by a reset; the extended one goes on. */
    g_assert_cmphex(admin(r, SELF_TEST, 1, 2, 0), ==, 0);
    g_assert_cmphex(admin(r, SELF_TEST, 1, 15, 0), ==, 0);
    g_assert_cmphex(self_test_log(r)[4], ==, 0x21);
    g_assert_cmphex(admin(r, SELF_TEST, 1, 2, 0), ==, 0);
    device_save_state(r->device, state);
    g_assert_cmphex(admin(r, FORMAT, 1, 0, 0), ==, 0);
    g_assert_cmphex(self_test_log(r)[4], ==, 0x24);
    g_assert_cmphex(admin(r, SELF_TEST, 1, 1, 0), ==, 0);
    put(r, CC, 0);
    enable(r);
    g_assert_cmphex(self_test_log(r)[4], ==, 0x12);
    device_load_state(r->device, r->device->type->state_version, state->data, state->len, &error);
    g_assert_no_error(error);
    put(r, CC, 0);
    enable(r);
    g_assert_cmphex(self_test_log(r)[0], ==, 2);
    g_assert_cmphex(*wait_for_self_test(r), ==, 0x20);
    g_assert_cmphex(ram(r, DATA)[4 + 28], ==, 0x21);
    rig_free(r);
}

/* A request that failed under rerror=stop is in the saved state, and is made again when the machine goes on. */
static void test_held_and_saved(void)
{
    Rig *r = rig_new_with("read", "stop", false);
    g_autoptr(GByteArray) state = g_byte_array_new();
    GError *error = NULL;

    create_queues(r);
    add_io(r, 2, 77, 8, DATA, 0);
    ring(r, 1);
    for (unsigned i = 0; i < 200; i++) {
        bench_run_main_loop(r->bench);
        g_usleep(200);
    }
    g_assert_false(completed(r, 1));
    device_save_state(r->device, state);
    put(r, CC, 0);
    device_load_state(r->device, r->device->type->state_version, state->data, state->len, &error);
    g_assert_no_error(error);
    g_assert_cmphex(get(r, CSTS), ==, 1);
    g_assert_false(completed(r, 1));
    machine_event(r->bench->machine, "RESUME", NULL);
    g_assert_cmphex(take(r, 1), ==, 0);
    g_assert_cmpuint(load_le32(ram(r, DATA)), ==, 77);
    rig_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nvme/identify", test_identify);
    g_test_add_func("/nvme/transfers", test_transfers);
    g_test_add_func("/nvme/scatter", test_scatter);
    g_test_add_func("/nvme/bad-commands", test_bad_commands);
    g_test_add_func("/nvme/features-and-logs", test_features_and_logs);
    g_test_add_func("/nvme/events", test_events);
    g_test_add_func("/nvme/full-queue", test_full_queue);
    g_test_add_func("/nvme/resets", test_resets);
    g_test_add_func("/nvme/own-registers", test_own_registers);
    g_test_add_func("/nvme/errors", test_errors);
    g_test_add_func("/nvme/verify", test_verify);
    g_test_add_func("/nvme/format", test_format);
    g_test_add_func("/nvme/self-test", test_self_test);
    g_test_add_func("/nvme/held-and-saved", test_held_and_saved);
    return g_test_run();
}
