/* SPDX-License-Identifier: MIT */
/* PCnet-PCI II as its drivers use it, in the descriptor styles 0, 2 and 3; and rings that break the rules. */
#include "base/bits.h"
#include "tests/device/net-bench.h"

enum {
    BASE = BENCH_MEMORY_WINDOW,
    BLOCK = BENCH_RAM + 0x1000,
    RX_RING = BENCH_RAM + 0x2000,
    TX_RING = BENCH_RAM + 0x3000,
    RX_BUFFERS = BENCH_RAM + 0x10000,
    TX_DATA = BENCH_RAM + 0x40000,
    RING = 4,
    RX_BYTES = 128, /* most frames take several */
    OWN = 0x8000,
    ERR = 0x4000,
    STP = 0x200,
    ENP = 0x100,
    IDON = 0x100,
    TINT = 0x200,
    RINT = 0x400,
    MERR = 0x800,
};

typedef struct {
    Bench *bench;
    KeepingNetdev *netdev;
    unsigned style, tx_tail, rx_head;
} Nic;

static uint16_t get_csr(Nic *n, unsigned index)
{
    bench_write(n->bench, BASE + 0x12, index, 2);
    return (uint16_t)bench_read(n->bench, BASE + 0x10, 2);
}

static void set_csr(Nic *n, unsigned index, uint16_t value)
{
    bench_write(n->bench, BASE + 0x12, index, 2);
    bench_write(n->bench, BASE + 0x10, value, 2);
}

static uint16_t get_bcr(Nic *n, unsigned index)
{
    bench_write(n->bench, BASE + 0x12, index, 2);
    return (uint16_t)bench_read(n->bench, BASE + 0x16, 2);
}

static void set_bcr(Nic *n, unsigned index, uint16_t value)
{
    bench_write(n->bench, BASE + 0x12, index, 2);
    bench_write(n->bench, BASE + 0x16, value, 2);
}

/* A descriptor in the style that is set. */
static void put(Nic *n, uint32_t ring, unsigned index, uint32_t buffer, uint16_t flags,
                unsigned bytes)
{
    uint8_t *d = bench_ram(n->bench, ring + index * (n->style ? 16 : 8));
    uint16_t count = (uint16_t)(0x10000 - bytes);

    if (n->style == 0) {
        store_le16(d, (uint16_t)buffer);
        d[2] = (uint8_t)(buffer >> 16);
        store_le16(d + 4, count);
        store_le16(d + 6, 0);
        d[3] = (uint8_t)(flags >> 8);
        return;
    }
    store_le32(d + (n->style == 3 ? 8 : 0), buffer);
    store_le16(d + 4, count);
    store_le32(d + (n->style == 3 ? 0 : 8), 0);
    store_le16(d + 6, flags);
}

static uint16_t flags_of(Nic *n, uint32_t ring, unsigned index)
{
    const uint8_t *d = bench_ram(n->bench, ring + index * (n->style ? 16 : 8));

    return n->style ? load_le16(d + 6) : (uint16_t)(d[3] << 8);
}

/* MCNT of a receive descriptor; what went wrong of a transmit one, as bits 31:16. */
static uint32_t status_of(Nic *n, uint32_t ring, unsigned index)
{
    const uint8_t *d = bench_ram(n->bench, ring + index * (n->style ? 16 : 8));

    return n->style ? load_le32(d + (n->style == 3 ? 0 : 8)) : load_le16(d + 6);
}

static void initialize(Nic *n, uint16_t mode)
{
    uint8_t *b = bench_ram(n->bench, BLOCK);
    static const uint8_t mac[] = { 0x52, 0x54, 0, 0, 0, 1 };
    unsigned at = n->style ? 4 : 2;

    memset(b, 0, 28);
    store_le16(b, mode);
    memcpy(b + at, mac, 6);
    store_le32(b + (n->style ? 12 : 8), 1); /* multicast hash 0 */
    if (n->style) {
        b[2] = b[3] = 2 << 4;
        store_le32(b + 20, RX_RING);
        store_le32(b + 24, TX_RING);
    } else {
        store_le32(b + 16, (RX_RING & 0xffffff) | 2u << 29);
        store_le32(b + 20, (TX_RING & 0xffffff) | 2u << 29);
    }
    for (unsigned i = 0; i < RING; i++) {
        put(n, RX_RING, i, RX_BUFFERS + i * RX_BYTES, OWN, RX_BYTES);
        put(n, TX_RING, i, TX_DATA, 0, 0);
    }
    n->tx_tail = n->rx_head = 0;
    set_csr(n, 0, 4);
    set_csr(n, 1, (uint16_t)BLOCK);
    set_csr(n, 2, BLOCK >> 16);
    set_csr(n, 0, 1);
    g_assert_cmphex(get_csr(n, 0) & IDON, ==, IDON);
    set_csr(n, 0, IDON | 0x42);
    g_assert_cmphex(get_csr(n, 0), ==, 0x0073); /* IENA RXON TXON STRT INIT */
}

static Nic *nic_new(unsigned style)
{
    Nic *n = g_new0(Nic, 1);
    Device *device;

    n->bench = bench_new(false);
    n->style = style;
    n->netdev = net_bench_new(n->bench);
    device = bench_device(n->bench, "pcnet", "nic", "addr", "2", "netdev", "net0", "mac",
                          "52:54:00:00:00:01", NULL);
    device_reset_tree(n->bench->machine->root);
    bench_config_write(n->bench, pci_device(device)->devfn, PCI_BASE_ADDRESS_0 + 4, BASE, 4);
    bench_config_write(n->bench, pci_device(device)->devfn, PCI_COMMAND,
                       PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER, 2);
    set_bcr(n, 20, (uint16_t)style);
    return n;
}

static void nic_free(Nic *n)
{
    bench_free(n->bench);
    g_free(n);
}

static bool interrupts(Nic *n)
{
    return n->bench->intx[0] | n->bench->intx[1] | n->bench->intx[2] | n->bench->intx[3];
}

static const GByteArray *sent(Nic *n, unsigned index)
{
    g_assert_cmpuint(index, <, n->netdev->sent->len);
    return n->netdev->sent->pdata[index];
}

static void deliver(Nic *n, uint64_t destination, size_t size)
{
    uint8_t frame[2000];

    for (size_t i = 0; i < size; i++) {
        frame[i] = (uint8_t)(i * 7);
    }
    for (unsigned i = 0; i < 6; i++) {
        frame[i] = (uint8_t)(destination >> (40 - 8 * i));
    }
    netdev_receive(&n->netdev->netdev, frame, size);
}

static void test_registers(void)
{
    Nic *n = nic_new(0);
    uint16_t sum = 0;

    g_assert_cmphex(get_csr(n, 0), ==, 4);
    g_assert_cmphex(get_csr(n, 88), ==, 0x1003);
    g_assert_cmphex(get_csr(n, 89), ==, 0x0262);
    g_assert_cmphex(get_bcr(n, 4), ==, 0x80c0); /* the link is up */
    g_assert_cmphex(get_bcr(n, 20), ==, 0x0200);
    set_bcr(n, 20, 2);
    g_assert_cmphex(get_bcr(n, 20), ==, 0x0302);
    g_assert_cmphex(get_csr(n, 58), ==, 0x0302);
    g_assert_cmphex(bench_read(n->bench, BASE, 4), ==, 0x00005452);
    for (unsigned i = 0; i < 16; i++) {
        sum = (uint16_t)(sum + (i == 12 || i == 13 ? 0 : bench_read(n->bench, BASE + i, 1)));
    }
    g_assert_cmphex(bench_read(n->bench, BASE + 12, 2), ==, sum);
    g_assert_cmphex(bench_read(n->bench, BASE + 14, 2), ==, 0x5757);
    netdev_set_link(&n->netdev->netdev, false);
    g_assert_cmphex(get_bcr(n, 4), ==, 0x00c0);
    netdev_set_link(&n->netdev->netdev, true);
    /* A write of 32 bits makes the ports as wide; the reset port is a read. */
    bench_write(n->bench, BASE + 0x10, 0, 4);
    bench_write(n->bench, BASE + 0x14, 88, 4);
    g_assert_cmphex(bench_read(n->bench, BASE + 0x10, 4), ==, 0x1003);
    g_assert_cmphex(bench_read(n->bench, BASE + 0x14, 4), ==, 88);
    bench_read(n->bench, BASE + 0x18, 4);
    g_assert_cmphex(bench_read(n->bench, BASE + 0x14, 4), ==, 0);
    g_assert_cmphex(bench_read(n->bench, BASE + 0x10, 4), ==, 4);
    nic_free(n);
}

static void send(Nic *n, uint32_t from, uint16_t flags, unsigned bytes)
{
    put(n, TX_RING, n->tx_tail, from, OWN | flags, bytes);
    n->tx_tail = (n->tx_tail + 1) % RING;
}

static void test_send(gconstpointer data)
{
    Nic *n = nic_new(GPOINTER_TO_UINT(data));

    initialize(n, 0);
    memset(bench_ram(n->bench, TX_DATA), 0x5a, 4096);
    send(n, TX_DATA, STP, 14);
    send(n, TX_DATA + 14, ENP, 1000);
    set_csr(n, 0, 0x48);
    g_assert_cmpuint(sent(n, 0)->len, ==, 1014);
    g_assert_cmphex(get_csr(n, 0), ==, 0x0073 | TINT | 0x80);
    g_assert_true(interrupts(n));
    g_assert_cmphex(flags_of(n, TX_RING, 0), ==, STP);
    g_assert_cmphex(flags_of(n, TX_RING, 1), ==, ENP);
    set_csr(n, 0, TINT | 0x40);
    g_assert_false(interrupts(n));
    /* Short ones are padded if the driver asks for it. */
    set_csr(n, 4, 0x0915);
    send(n, TX_DATA, STP | ENP, 20);
    send(n, TX_DATA, STP | ENP, 61);
    set_csr(n, 0, 0x48);
    g_assert_cmpuint(sent(n, 1)->len, ==, 60);
    g_assert_cmpuint(sent(n, 1)->data[59], ==, 0);
    g_assert_cmpuint(sent(n, 2)->len, ==, 61);
    /* Nobody hears it while the link is down, and the driver gets to know. */
    netdev_set_link(&n->netdev->netdev, false);
    send(n, TX_DATA, STP | ENP, 100);
    set_csr(n, 0, 0x48);
    g_assert_cmpuint(n->netdev->sent->len, ==, 3);
    g_assert_cmphex(flags_of(n, TX_RING, 0) & (OWN | ERR), ==, ERR);
    g_assert_cmphex(status_of(n, TX_RING, 0) >> (n->style ? 16 : 0), ==, 0x0800);
    netdev_set_link(&n->netdev->netdev, true);
    /* The rest of a frame is missing: underflow, and the transmitter stops. */
    send(n, TX_DATA, STP, 100);
    set_csr(n, 0, 0x48);
    g_assert_cmphex(get_csr(n, 0) & 0x10, ==, 0);
    g_assert_cmphex(status_of(n, TX_RING, 1) >> (n->style ? 16 : 0), ==, 0xc000);
    nic_free(n);
}

/* Takes the frame that begins at the head; how long it is, by its descriptors. */
static unsigned take(Nic *n, uint8_t *frame)
{
    unsigned done = 0;
    uint16_t flags;

    do {
        flags = flags_of(n, RX_RING, n->rx_head);
        g_assert_cmphex(flags & (OWN | ERR), ==, 0);
        g_assert_cmphex(flags & STP, ==, done ? 0 : STP);
        memcpy(frame + done, bench_ram(n->bench, RX_BUFFERS + n->rx_head * RX_BYTES), RX_BYTES);
        done = flags & ENP ? status_of(n, RX_RING, n->rx_head) & 0xfff : done + RX_BYTES;
        put(n, RX_RING, n->rx_head, RX_BUFFERS + n->rx_head * RX_BYTES, OWN, RX_BYTES);
        n->rx_head = (n->rx_head + 1) % RING;
    } while (!(flags & ENP));
    return done;
}

static void test_receive(gconstpointer data)
{
    Nic *n = nic_new(GPOINTER_TO_UINT(data));
    uint8_t frame[4096];

    initialize(n, 0);
    deliver(n, 0x525400000002, 100); /* somebody else's */
    deliver(n, 0x01005e000001, 100); /* a group that nobody is in */
    g_assert_cmphex(get_csr(n, 0), ==, 0x0073);
    deliver(n, 0x525400000001, 300);
    g_assert_cmphex(get_csr(n, 0), ==, 0x0073 | RINT | 0x80);
    g_assert_true(interrupts(n));
    if (n->style) {
        g_assert_cmphex(flags_of(n, RX_RING, 2), ==, ENP | 0x40);
    }
    g_assert_cmpuint(take(n, frame), ==, 304);
    for (unsigned i = 6; i < 300; i++) {
        g_assert_cmpuint(frame[i], ==, (uint8_t)(i * 7));
    }
    set_csr(n, 0, RINT | 0x40);
    g_assert_false(interrupts(n));
    deliver(n, 0xffffffffffff, 42); /* padded */
    g_assert_cmpuint(take(n, frame), ==, 64);
    g_assert_cmpuint(frame[41], ==, (uint8_t)(41 * 7));
    g_assert_cmpuint(frame[42], ==, 0);
    /* The group of hash 0, and anything in promiscuous mode. */
    deliver(n, 0x01005e000005, 60);
    set_csr(n, 0, 4);
    set_csr(n, 15, 0x8000);
    set_csr(n, 0, 0x42);
    deliver(n, 0x525400000002, 60);
    g_assert_cmphex(flags_of(n, RX_RING, n->rx_head) & OWN, ==, 0);
    nic_free(n);
}

/* Frames wait while there is no room, and come when the chip looks again. */
static void test_starved(void)
{
    Nic *n = nic_new(2);
    uint8_t frame[4096];

    initialize(n, 0);
    for (unsigned i = 0; i < 6; i++) {
        deliver(n, 0x525400000001, 64);
    }
    for (unsigned i = 0; i < RING; i++) {
        g_assert_cmphex(flags_of(n, RX_RING, i) & OWN, ==, 0);
    }
    g_assert_cmpuint(get_csr(n, 112), ==, 0);
    for (unsigned i = 0; i < RING; i++) {
        g_assert_cmpuint(take(n, frame), ==, 68);
    }
    set_csr(n, 0, 0x48);
    g_assert_cmpuint(take(n, frame), ==, 68);
    g_assert_cmpuint(take(n, frame), ==, 68);
    g_assert_cmphex(flags_of(n, RX_RING, n->rx_head) & OWN, ==, OWN);
    /* Too long for all of them: the last one says so. */
    deliver(n, 0x525400000001, 1400);
    g_assert_cmphex(flags_of(n, RX_RING, (n->rx_head + 3) % RING) & ERR, ==, ERR);
    nic_free(n);
}

static void test_loopback(void)
{
    Nic *n = nic_new(3);
    uint8_t frame[4096], *out;

    initialize(n, 4);
    deliver(n, 0x525400000001, 64); /* the wire is not listened to */
    out = bench_ram(n->bench, TX_DATA);
    memset(out, 0xff, 100);
    send(n, TX_DATA, STP | ENP, 100);
    set_csr(n, 0, 0x48);
    g_assert_cmpuint(take(n, frame), ==, 104);
    g_assert_cmpmem(frame, 100, out, 100);
    g_assert_cmpuint(n->netdev->sent->len, ==, 0);
    nic_free(n);
}

static void test_suspended(void)
{
    Nic *n = nic_new(2);

    initialize(n, 0);
    set_csr(n, 5, 1);
    g_assert_cmphex(get_csr(n, 5), ==, 1);
    send(n, TX_DATA, STP | ENP, 64);
    set_csr(n, 0, 0x48);
    deliver(n, 0x525400000001, 64);
    g_assert_cmpuint(n->netdev->sent->len, ==, 0);
    g_assert_cmphex(flags_of(n, RX_RING, 0), ==, OWN);
    set_csr(n, 8, 0x1234);
    g_assert_cmphex(get_csr(n, 8), ==, 0x1234);
    set_csr(n, 5, 0);
    g_assert_cmpuint(n->netdev->sent->len, ==, 1);
    g_assert_cmphex(flags_of(n, RX_RING, 0) & OWN, ==, 0);
    set_csr(n, 8, 0x4321); /* it runs: not now */
    g_assert_cmphex(get_csr(n, 8), ==, 0x1234);
    nic_free(n);
}

static void test_bad_rings(void)
{
    Nic *n = nic_new(2);

    initialize(n, 0);
    set_csr(n, 0, 4);
    for (unsigned csr = 24; csr <= 31; csr += csr == 25 ? 5 : 1) {
        set_csr(n, csr, 0xffff); /* nothing is there */
    }
    set_csr(n, 0, 0x4a);
    g_assert_cmphex(get_csr(n, 0) & MERR, ==, MERR);
    deliver(n, 0x525400000001, 64);
    set_csr(n, 0, 4);
    /* Rings of every length, full of descriptors without an end. */
    for (unsigned length = 0; length < 0x10000; length = length * 3 + 1) {
        set_csr(n, 0, 4);
        set_csr(n, 76, (uint16_t)length);
        set_csr(n, 78, (uint16_t)length);
        set_csr(n, 72, 0x7fff);
        set_csr(n, 74, 0x8001);
        set_csr(n, 24, 0);
        set_csr(n, 25, BENCH_RAM >> 16);
        set_csr(n, 30, 0);
        set_csr(n, 31, BENCH_RAM >> 16);
        memset(bench_ram(n->bench, BENCH_RAM), 0xff, 0x100000);
        set_csr(n, 0, 0x4a);
        deliver(n, 0x525400000001, 1500);
    }
    bench_read(n->bench, BASE + 0x14, 2);
    initialize(n, 0);
    nic_free(n);
}

int main(int argc, char **argv)
{
    static const char *const styles[] = { "0", NULL, "2", "3" };

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pcnet/registers", test_registers);
    for (unsigned style = 0; style < G_N_ELEMENTS(styles); style++) {
        if (styles[style]) {
            g_autofree char *out = g_strdup_printf("/pcnet/send-%s", styles[style]);
            g_autofree char *in = g_strdup_printf("/pcnet/receive-%s", styles[style]);

            g_test_add_data_func(out, GUINT_TO_POINTER(style), test_send);
            g_test_add_data_func(in, GUINT_TO_POINTER(style), test_receive);
        }
    }
    g_test_add_func("/pcnet/starved", test_starved);
    g_test_add_func("/pcnet/loopback", test_loopback);
    g_test_add_func("/pcnet/suspended", test_suspended);
    g_test_add_func("/pcnet/bad-rings", test_bad_rings);
    return g_test_run();
}
