/* SPDX-License-Identifier: MIT */
/* e1000 as its drivers use it, with a back end that keeps what it gets; and descriptors that break the rules. */
#include "base/bits.h"
#include "tests/device/net-bench.h"

enum {
    CTRL = 0x0,
    STATUS = 0x8,
    EECD = 0x10,
    EERD = 0x14,
    MDIC = 0x20,
    ICR = 0xc0,
    ITR = 0xc4,
    ICS = 0xc8,
    IMS = 0xd0,
    IMC = 0xd8,
    RCTL = 0x100,
    TCTL = 0x400,
    RDBAL = 0x2800,
    RDT = 0x2818,
    TDBAL = 0x3800,
    TDH = 0x3810,
    TDT = 0x3818,
    RXCSUM = 0x5000,
    MTA = 0x5200,
    RA = 0x5400,
    VFTA = 0x5600,
    BASE = BENCH_MEMORY_WINDOW,
    RX_RING = BENCH_RAM + 0x1000,
    TX_RING = BENCH_RAM + 0x2000,
    RX_BUFFERS = BENCH_RAM + 0x10000,
    TX_DATA = BENCH_RAM + 0x40000,
    RING = 16,
    TXDW = 1,
    LSC = 4,
    RXT0 = 0x80,
};

typedef struct {
    Bench *bench;
    KeepingNetdev *netdev;
    unsigned rx_tail, tx_tail;
} Nic;

static uint32_t get(Nic *n, unsigned offset)
{
    return bench_read(n->bench, BASE + offset, 4);
}

static void set(Nic *n, unsigned offset, uint32_t value)
{
    bench_write(n->bench, BASE + offset, value, 4);
}

static void set_ring(Nic *n, unsigned offset, uint32_t address)
{
    set(n, offset, address);
    set(n, offset + 4, 0);
    set(n, offset + 8, RING * 16);
    set(n, offset + 0x10, 0);
    set(n, offset + 0x18, 0);
}

static Nic *nic_of_model(const char *model)
{
    Nic *n = g_new0(Nic, 1);
    Device *device;

    n->bench = bench_new(false);
    n->netdev = net_bench_new(n->bench);
    device = bench_device(n->bench, model, "nic", "addr", "2", "netdev", "net0", "mac",
                          "52:54:00:00:00:01", NULL);
    device_reset_tree(n->bench->machine->root);
    bench_config_write(n->bench, pci_device(device)->devfn, PCI_BASE_ADDRESS_0, BASE, 4);
    bench_config_write(n->bench, pci_device(device)->devfn, PCI_COMMAND,
                       PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER, 2);
    set_ring(n, RDBAL, RX_RING);
    set_ring(n, TDBAL, TX_RING);
    for (unsigned i = 0; i < RING; i++) {
        store_le64(bench_ram(n->bench, RX_RING + i * 16), RX_BUFFERS + i * 2048);
    }
    set(n, RDT, RING - 1);
    set(n, RCTL, 1 << 1 | 1 << 15 | 1 << 26);
    set(n, TCTL, 1 << 1);
    get(n, ICR);
    return n;
}

static Nic *nic_new(void)
{
    return nic_of_model("e1000");
}

static void nic_free(Nic *n)
{
    bench_free(n->bench);
    g_free(n);
}

static void queue(Nic *n, uint64_t low, uint64_t high)
{
    uint8_t *d = bench_ram(n->bench, TX_RING + n->tx_tail * 16);

    store_le64(d, low);
    store_le64(d + 8, high);
    n->tx_tail = (n->tx_tail + 1) % RING;
}

static const GByteArray *sent(Nic *n, unsigned index)
{
    g_assert_cmpuint(index, <, n->netdev->sent->len);
    return n->netdev->sent->pdata[index];
}

/* What the manual reserves is not kept: drivers' self-tests look. */
static void test_widths(void)
{
    static const struct {
        uint32_t offset, kept;
    } registers[] = {
        { 0x28, 0xffffffff },   { 0x2c, 0xffff },       { 0x30, 0xffff },
        { 0x38, 0xffff },       { 0xc4, 0xffff },       { 0x170, 0xffff },
        { 0x410, 0x3fffffff },  { 0x2160, 0x8000fff8 }, { 0x2168, 0xfff8 },
        { 0x2800, 0xfffffff0 }, { 0x2804, 0xffffffff }, { 0x2808, 0xfff80 },
        { 0x2810, 0xffff },     { 0x2818, 0xffff },     { 0x2820, 0xffff },
        { 0x282c, 0xffff },     { 0x3800, 0xfffffff0 }, { 0x3804, 0xffffffff },
        { 0x3808, 0xfff80 },    { 0x3820, 0xffff },     { 0x382c, 0xffff },
    };
    static const uint32_t patterns[] = { 0x5a5a5a5a, 0xa5a5a5a5, 0, 0xffffffff };
    Nic *n = nic_new();

    for (unsigned i = 0; i < G_N_ELEMENTS(registers) * G_N_ELEMENTS(patterns); i++) {
        uint32_t offset = registers[i / G_N_ELEMENTS(patterns)].offset;
        uint32_t kept = registers[i / G_N_ELEMENTS(patterns)].kept;
        uint32_t pattern = patterns[i % G_N_ELEMENTS(patterns)];

        set(n, offset, pattern);
        g_assert_cmphex(get(n, offset), ==, pattern & kept);
    }
    nic_free(n);
}

static void test_registers(void)
{
    Nic *n = nic_new();
    uint16_t sum = 0;

    g_assert_cmphex(get(n, STATUS) & 3, ==, 3);
    g_assert_cmphex(get(n, RA), ==, 0x00005452);
    g_assert_cmphex(get(n, RA + 4), ==, 0x80000100);
    for (unsigned i = 0; i < 64; i++) {
        set(n, EERD, i << 8 | 1);
        g_assert_cmphex(get(n, EERD) & 0x10, ==, 0x10);
        sum += get(n, EERD) >> 16;
    }
    g_assert_cmphex(sum, ==, 0xbaba);
    set(n, MDIC, 2 << 26 | 1 << 21 | 2 << 16);
    g_assert_cmphex(get(n, MDIC) & 0x1000ffff, ==, 0x10000141);
    set(n, MDIC, 2 << 26 | 3 << 21); /* no such PHY */
    g_assert_cmphex(get(n, MDIC) >> 30, ==, 1);
    set(n, 0x5b50, 2); /* SWSM: a semaphore that nobody else has */
    g_assert_cmphex(get(n, 0x5b50), ==, 2);
    set(n, CTRL, 1 << 26);
    g_assert_cmphex(get(n, RCTL), ==, 0);
    g_assert_cmphex(get(n, STATUS) & 2, ==, 2);
    nic_free(n);
}

/* Drivers choose by the identity on the bus, in the EEPROM, and of the PHY. */
static void test_models(void)
{
    static const struct {
        const char *name;
        uint16_t device_id, phy_id;
    } models[] = {
        { "e1000", 0x100e, 0x0c20 },
        { "e1000-82544gc", 0x100c, 0x0c30 },
        { "e1000-82545em", 0x100f, 0x0c20 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
        Nic *n = nic_of_model(models[i].name);

        g_assert_cmphex(bench_config_read(n->bench, 2 << 3, PCI_DEVICE_ID, 2), ==,
                        models[i].device_id);
        set(n, EERD, 0xd << 8 | 1);
        g_assert_cmphex(get(n, EERD) >> 16, ==, models[i].device_id);
        set(n, MDIC, 2 << 26 | 1 << 21 | 3 << 16);
        g_assert_cmphex(get(n, MDIC) & 0xffff, ==, models[i].phy_id);
        nic_free(n);
    }
}

static void wait(Nic *n, unsigned ms)
{
    clock_advance(n->bench->machine, clock_now_ns(n->bench->machine) + ms * INT64_C(1000000));
}

/* Whether STATUS and the PHY say that there is a link, and whether ICR tells of a change. */
static void check_link(Nic *n, bool up, bool changed)
{
    set(n, MDIC, 2 << 26 | 1 << 21 | 1 << 16);
    g_assert_cmphex(get(n, MDIC) & 0x24, ==, up ? 0x24 : 0);
    g_assert_cmphex(get(n, STATUS) & 2, ==, up ? 2 : 0);
    g_assert_cmphex(get(n, ICR) & LSC, ==, changed ? LSC : 0);
}

/* Drivers set the MAC up after they restarted the PHY, and before it has a link. */
static void test_negotiation(void)
{
    static const char *const models[] = { "e1000", "e1000-82544gc", "e1000-82545em", "e1000e" };
    enum { AGAIN = 1 << 26 | 1 << 21 | 0x1340, PHY_RESET = 1 << 26 | 1 << 21 | 0x9140 };

    for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
        Nic *n = nic_of_model(models[i]);
        const struct {
            uint32_t offset, value;
        } restarts[] = { { MDIC, AGAIN }, { MDIC, PHY_RESET }, { CTRL, get(n, CTRL) | 1u << 31 } };

        clock_set_manual(n->bench->machine);
        check_link(n, true, false);
        for (size_t r = 0; r < ARRAY_SIZE(restarts); r++) {
            set(n, restarts[r].offset, restarts[r].value);
            check_link(n, false, true);
            wait(n, 300);
            set(n, restarts[r].offset, restarts[r].value); /* from the start */
            wait(n, 499);
            check_link(n, false, false);
            wait(n, 2);
            check_link(n, true, true);
        }
        set(n, MDIC, AGAIN);
        netdev_set_link(&n->netdev->netdev, false);
        wait(n, 1000);
        check_link(n, false, true);
        set(n, MDIC, AGAIN);
        wait(n, 1000);
        check_link(n, false, false);
        netdev_set_link(&n->netdev->netdev, true);
        wait(n, 1000);
        check_link(n, true, true);
        set(n, MDIC, AGAIN);
        device_reset_tree(n->bench->machine->root); /* back as at power-on */
        bench_config_write(n->bench, 2 << 3, PCI_BASE_ADDRESS_0, BASE, 4);
        bench_config_write(n->bench, 2 << 3, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
        get(n, ICR);
        check_link(n, true, false);
        wait(n, 1000);
        check_link(n, true, false);
        nic_free(n);
    }
}

static void clock_out(Nic *n, unsigned bits, unsigned count)
{
    while (count--) {
        unsigned di = bits >> count & 1 ? 4 : 0;

        set(n, EECD, 0x42 | di);
        set(n, EECD, 0x43 | di);
        set(n, EECD, 0x42 | di);
    }
}

static void test_microwire(void)
{
    Nic *n = nic_new();
    unsigned value = 0;

    set(n, EECD, 0x40);
    g_assert_cmphex(get(n, EECD) & 0x180, ==, 0x180);
    set(n, EECD, 0x42);
    clock_out(n, 6, 3);
    clock_out(n, 2, 6);
    for (unsigned i = 0; i < 16; i++) {
        set(n, EECD, 0x43);
        value = value << 1 | (get(n, EECD) >> 3 & 1);
        set(n, EECD, 0x42);
    }
    g_assert_cmphex(value, ==, 0x0100);
    nic_free(n);
}

static void test_transmit_frames(void)
{
    Nic *n = nic_new();
    uint8_t *data = bench_ram(n->bench, TX_DATA);

    for (unsigned i = 0; i < 200; i++) {
        data[i] = i;
    }
    set(n, IMS, TXDW);
    queue(n, TX_DATA, 60); /* in two pieces */
    queue(n, TX_DATA + 60, 40 | UINT64_C(0x9000000));
    set(n, TDT, n->tx_tail);
    g_assert_cmpuint(sent(n, 0)->len, ==, 100);
    g_assert_cmpmem(sent(n, 0)->data, 100, data, 100);
    g_assert_cmphex(bench_ram(n->bench, TX_RING + 16)[12] & 1, ==, 1);
    g_assert_cmpuint(get(n, TDH), ==, 2);
    g_assert_cmpint(n->bench->intx[2], ==, 1);
    g_assert_cmphex(get(n, ICR) & TXDW, ==, TXDW);
    g_assert_cmpint(n->bench->intx[2], ==, 0);
    nic_free(n);
}

static uint16_t fold_sum(const uint8_t *data, unsigned size, uint32_t sum)
{
    for (unsigned i = 0; i < size; i += 2) {
        sum += data[i] << 8 | (i + 1 < size ? data[i + 1] : 0);
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/* An IPv4 TCP packet of 54 bytes of headers and 2500 of data, in segments of 1000. */
static void test_segmentation(void)
{
    Nic *n = nic_new();
    uint8_t *p = bench_ram(n->bench, TX_DATA);

    memset(p, 0, 54);
    p[12] = 8;
    p[14] = 0x45;
    store_be16(p + 18, 7); /* identification */
    p[22] = 64;
    p[23] = 6;
    store_be32(p + 26, 0x0a000001);
    store_be32(p + 30, 0x0a000002);
    store_be32(p + 38, 1000000);
    p[46] = 0x50;
    p[47] = 0x19; /* ACK PSH FIN */
    store_be16(p + 50, fold_sum(p + 26, 8, 6));
    for (unsigned i = 0; i < 2500; i++) {
        p[54 + i] = i * 13;
    }
    queue(n, 14 | 24 << 8 | 33 << 16 | UINT64_C(34) << 32 | UINT64_C(50) << 40,
          2500 | UINT64_C(0x27000000) | UINT64_C(54) << 40 | UINT64_C(1000) << 48);
    queue(n, TX_DATA, 1000 | UINT64_C(0x24100000) | UINT64_C(3) << 40);
    queue(n, TX_DATA + 1000, 1554 | UINT64_C(0x2d100000) | UINT64_C(3) << 40);
    set(n, TDT, n->tx_tail);
    g_assert_cmpuint(n->netdev->sent->len, ==, 3);
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t *f = sent(n, i)->data;
        unsigned size = i == 2 ? 500 : 1000;

        g_assert_cmpuint(sent(n, i)->len, ==, 54 + size);
        g_assert_cmpuint(load_be16(f + 16), ==, 40 + size);
        g_assert_cmpuint(load_be16(f + 18), ==, 7 + i);
        g_assert_cmphex(fold_sum(f + 14, 20, 0), ==, 0xffff);
        g_assert_cmpuint(load_be32(f + 38), ==, 1000000 + i * 1000);
        g_assert_cmphex(f[47], ==, i == 2 ? 0x19 : 0x10);
        g_assert_cmphex(fold_sum(f + 34, 20 + size, fold_sum(f + 26, 8, 6 + 20 + size)), ==,
                        0xffff);
        g_assert_cmpmem(f + 54, size, p + 54 + i * 1000, size);
    }
    nic_free(n);
}

static const uint8_t *received(Nic *n, unsigned index)
{
    return bench_ram(n->bench, RX_RING + index * 16);
}

static void test_receive(void)
{
    Nic *n = nic_new();
    uint8_t frame[64] = { 0x52, 0x54, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 8, 6, 'x' };

    set(n, IMS, RXT0);
    netdev_receive(&n->netdev->netdev, frame, 42);
    g_assert_cmphex(received(n, 0)[12] & 3, ==, 3);
    g_assert_cmpuint(load_le16(received(n, 0) + 8), ==, 60);
    g_assert_cmpmem(bench_ram(n->bench, RX_BUFFERS), 42, frame, 42);
    g_assert_cmpint(n->bench->intx[2], ==, 1);
    g_assert_cmphex(get(n, ICR) & RXT0, ==, RXT0);
    frame[5] = 2; /* somebody else's */
    netdev_receive(&n->netdev->netdev, frame, 60);
    g_assert_cmphex(received(n, 1)[12], ==, 0);
    frame[0] = 1; /* multicast, by the hash */
    netdev_receive(&n->netdev->netdev, frame, 60);
    g_assert_cmphex(received(n, 1)[12], ==, 0);
    set(n, MTA + ((0x0200 >> 4 & 0xfff) >> 5) * 4, 1u << (0x0200 >> 4 & 31));
    netdev_receive(&n->netdev->netdev, frame, 60);
    g_assert_cmphex(received(n, 1)[12] & 1, ==, 1);
    memset(frame, 0xff, 6);
    netdev_receive(&n->netdev->netdev, frame, 60);
    g_assert_cmphex(received(n, 2)[12] & 1, ==, 1);
    /* A VLAN that is not ours, then one whose tag is taken out. */
    store_be16(frame + 12, 0x8100);
    store_be16(frame + 14, 0x2005);
    set(n, RCTL, get(n, RCTL) | 1 << 18);
    netdev_receive(&n->netdev->netdev, frame, 64);
    g_assert_cmphex(received(n, 3)[12], ==, 0);
    set(n, VFTA, 1 << 5);
    set(n, CTRL, get(n, CTRL) | 1 << 30);
    netdev_receive(&n->netdev->netdev, frame, 64);
    g_assert_cmphex(received(n, 3)[12] & 9, ==, 9);
    g_assert_cmphex(load_le16(received(n, 3) + 14), ==, 0x2005);
    g_assert_cmpuint(load_le16(received(n, 3) + 8), ==, 60);
    nic_free(n);
}

/* Frames wait while the ring is empty, long ones take several buffers. */
static void test_room(void)
{
    Nic *n = nic_new();
    uint8_t frame[1514] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

    set(n, RDT, 0);
    netdev_receive(&n->netdev->netdev, frame, sizeof frame);
    g_assert_cmphex(received(n, 0)[12], ==, 0);
    set(n, RCTL, get(n, RCTL) | 2 << 16); /* 512 bytes */
    set(n, RDT, 8);
    g_assert_cmphex(received(n, 0)[12] & 3, ==, 1);
    g_assert_cmphex(received(n, 2)[12] & 3, ==, 3);
    g_assert_cmpuint(load_le16(received(n, 2) + 8), ==, 1514 - 1024);
    nic_free(n);
}

static void test_throttle(void)
{
    Nic *n = nic_new();

    set(n, IMS, LSC);
    set(n, ITR, 0xffff); /* 16.8 ms */
    set(n, ICS, LSC);
    g_assert_cmpint(n->bench->intx[2], ==, 1);
    get(n, ICR);
    g_assert_cmpint(n->bench->intx[2], ==, 0);
    set(n, ICS, LSC);
    g_assert_cmphex(get(n, ICS) & LSC, ==, LSC);
    nic_free(n);
}

static void test_hostile(void)
{
    Nic *n = nic_new();
    GRand *random = g_rand_new_with_seed(3);
    uint8_t frame[1514] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

    /* DMA onto its own registers, loopback, noise in descriptors, rings of nothing. */
    set(n, RCTL, 0xc0 | 1 << 1 | 3 << 3 | 1 << 5 | 1 << 15);
    for (unsigned i = 0; i < 3000; i++) {
        for (unsigned j = 0; j < RING; j++) {
            uint8_t *tx = bench_ram(n->bench, TX_RING + j * 16),
                    *rx = bench_ram(n->bench, RX_RING + j * 16);
            uint64_t low = (uint64_t)g_rand_int(random) << 32 | g_rand_int(random);

            store_le64(tx, i % 3 ? low : BASE + (low & 0x5ffc));
            store_le64(tx + 8, low >> 7 ^ (uint64_t)g_rand_int(random) << 24 ^ g_rand_int(random));
            if (i % 2) {
                tx[8] &= 0xff;
                tx[10] &= 0x1f;
            }
            store_le64(rx, i % 5 ? RX_BUFFERS : BASE + (low & 0x3ffc));
        }
        set(n, TDBAL + 8, i % 7 ? RING * 16 : 0);
        set(n, RDBAL + 8, RING * 16);
        set(n, TCTL, 2);
        set(n, TDT, g_rand_int(random) % RING);
        netdev_receive(&n->netdev->netdev, frame, g_rand_int_range(random, 0, sizeof frame));
        set(n, RDT, g_rand_int(random) % (RING + 2));
        g_ptr_array_set_size(n->netdev->sent, 0);
    }
    g_rand_free(random);
    nic_free(n);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/e1000/registers", test_registers);
    g_test_add_func("/e1000/widths", test_widths);
    g_test_add_func("/e1000/models", test_models);
    g_test_add_func("/e1000/negotiation", test_negotiation);
    g_test_add_func("/e1000/microwire", test_microwire);
    g_test_add_func("/e1000/transmit", test_transmit_frames);
    g_test_add_func("/e1000/segmentation", test_segmentation);
    g_test_add_func("/e1000/receive", test_receive);
    g_test_add_func("/e1000/room", test_room);
    g_test_add_func("/e1000/throttle", test_throttle);
    g_test_add_func("/e1000/hostile", test_hostile);
    return g_test_run();
}
