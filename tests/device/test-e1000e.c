/* SPDX-License-Identifier: MIT */
/* e1000e as its drivers use it, with a back end that keeps what it gets: what it has beyond the e1000; and descriptors that break the rules. */
#include "base/bits.h"
#include "tests/device/net-bench.h"

enum {
    CTRL = 0x0,
    STATUS = 0x8,
    EERD = 0x14,
    CTRL_EXT = 0x18,
    MDIC = 0x20,
    VET = 0x38,
    ICR = 0xc0,
    ITR = 0xc4,
    ICS = 0xc8,
    IMS = 0xd0,
    IMC = 0xd8,
    EIAC = 0xdc,
    IAM = 0xe0,
    IVAR = 0xe4,
    EITR = 0xe8,
    RCTL = 0x100,
    TCTL = 0x400,
    EEWR = 0x102c,
    PSRCTL = 0x2170,
    RDBAL = 0x2800,
    TDBAL = 0x3800,
    QUEUE = 0x100, /* from one queue's registers to the next's */
    LENGTH = 8,
    HEAD = 0x10,
    TAIL = 0x18,
    TARC0 = 0x3840,
    GPRC = 0x4074,
    PRC64 = 0x405c,
    RXCSUM = 0x5000,
    RFCTL = 0x5008,
    MRQC = 0x5818,
    SWSM = 0x5b50,
    RETA = 0x5c00,
    RSSRK = 0x5c80,
    SYSTIML = 0xb600,
    SYSTIMH = 0xb604,
    TIMINCA = 0xb608,
    BASE = BENCH_MEMORY_WINDOW,
    MSIX_BASE = BENCH_MEMORY_WINDOW + 0x100000,
    MESSAGES = BENCH_RAM + 0x8000, /* where vectors write their numbers + 1 */
    RX_RING = BENCH_RAM + 0x1000,
    TX_RING = BENCH_RAM + 0x3000,
    RX_BUFFERS = BENCH_RAM + 0x10000,
    TX_DATA = BENCH_RAM + 0x80000,
    RING = 16,
    DEVFN = 2 << 3,
    LSC = 1 << 2,
    RXT0 = 1 << 7,
    RXQ0 = 1 << 20,
    RXQ1 = 1 << 21,
    TXQ0 = 1 << 22,
    OTHER = 1 << 24,
};

typedef struct {
    Bench *bench;
    KeepingNetdev *netdev;
    unsigned tx_tail;
} Nic;

static uint32_t get(Nic *n, unsigned offset)
{
    return bench_read(n->bench, BASE + offset, 4);
}

static void set(Nic *n, unsigned offset, uint32_t value)
{
    bench_write(n->bench, BASE + offset, value, 4);
}

static void set_ring(Nic *n, unsigned offset, uint32_t address, unsigned descriptors)
{
    set(n, offset, address);
    set(n, offset + 4, 0);
    set(n, offset + LENGTH, descriptors * 16);
    set(n, offset + HEAD, 0);
    set(n, offset + TAIL, 0);
}

static Nic *nic_with(const char *option, const char *value)
{
    Nic *n = g_new0(Nic, 1);

    n->bench = bench_new(false);
    n->netdev = net_bench_new(n->bench);
    bench_device(n->bench, "e1000e", "nic", "addr", "2", "netdev", "net0", "mac",
                 "52:54:00:00:00:01", option, value, NULL);
    device_reset_tree(n->bench->machine->root);
    bench_config_write(n->bench, DEVFN, PCI_BASE_ADDRESS_0, BASE, 4);
    bench_config_write(n->bench, DEVFN, PCI_BASE_ADDRESS_0 + 12, MSIX_BASE, 4);
    bench_config_write(n->bench, DEVFN, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER,
                       2);
    set_ring(n, TDBAL, TX_RING, RING);
    set(n, RCTL, 1 << 1 | 1 << 15 | 1 << 26);
    set(n, TCTL, 1 << 1);
    get(n, ICR);
    return n;
}

static Nic *nic_new(void)
{
    return nic_with("init-vet", "on");
}

static void nic_free(Nic *n)
{
    bench_free(n->bench);
    g_free(n);
}

static uint8_t *rx_descriptor(Nic *n, unsigned queue, unsigned index)
{
    return bench_ram(n->bench, RX_RING + queue * 0x400 + index * 16);
}

/* Extended descriptors, or those with four buffers, each of 0x2000 bytes. */
static void set_receive_rings(Nic *n, bool split)
{
    for (unsigned queue = 0; queue < 2; queue++) {
        unsigned size = split ? 2 : 1;

        set_ring(n, RDBAL + queue * QUEUE, RX_RING + queue * 0x400, RING * size);
        for (unsigned i = 0; i < RING * size; i++) {
            unsigned buffers = split ? 2 : 1;

            for (unsigned j = 0; j < buffers; j++) {
                store_le64(rx_descriptor(n, queue, i) + 8 * j,
                           RX_BUFFERS + queue * 0x40000 + (i * buffers + j) * 0x1000);
            }
            if (!split) {
                store_le64(rx_descriptor(n, queue, i) + 8, 0);
            }
        }
        set(n, RDBAL + queue * QUEUE + TAIL, (RING - 1) * size);
    }
    set(n, RFCTL, 1 << 15);
}

/* UDP or TCP over IPv4, with sums that are right; as many bytes of data. */
static unsigned make_frame(uint8_t *frame, bool tcp, unsigned data)
{
    static const uint8_t head[] = { 0x52, 0x54, 0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 8, 0, 0x45, 0 };
    unsigned transport = tcp ? 20 : 8, size = 34 + transport + data;
    uint32_t sum = 0;

    memset(frame, 0, size);
    memcpy(frame, head, sizeof head);
    store_be16(frame + 16, size - 14);
    store_be16(frame + 18, 0x1234);
    frame[22] = 64;
    frame[23] = tcp ? 6 : 17;
    store_be32(frame + 26, 0x420995bb); /* 66.9.149.187 */
    store_be32(frame + 30, 0xa18e6450); /* 161.142.100.80 */
    store_be16(frame + 34, 2794);
    store_be16(frame + 36, 1766);
    if (tcp) {
        frame[46] = 0x50;
    } else {
        store_be16(frame + 38, 8 + data);
    }
    for (unsigned i = 0; i < data; i++) {
        frame[34 + transport + i] = i * 7;
    }
    for (unsigned i = 14; i < 34; i += 2) {
        sum += load_be16(frame + i);
    }
    store_be16(frame + 24, ~((sum & 0xffff) + (sum >> 16)));
    sum = frame[23] + transport + data;
    for (unsigned i = 26; i < size; i += 2) {
        sum += i + 1 < size ? load_be16(frame + i) : (uint32_t)frame[i] << 8;
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    store_be16(frame + (tcp ? 50 : 40), ~sum);
    return size;
}

static void test_registers(void)
{
    Nic *n = nic_new();
    uint16_t sum = 0;

    g_assert_cmphex(get(n, STATUS) & 0x80003, ==, 0x80003);
    set(n, CTRL, get(n, CTRL) | 1 << 2); /* no more requests */
    g_assert_cmphex(get(n, STATUS) & 0x80000, ==, 0);
    for (unsigned i = 0; i < 64; i++) {
        set(n, EERD, i << 2 | 1);
        g_assert_cmphex(get(n, EERD) & 2, ==, 2);
        sum += get(n, EERD) >> 16;
    }
    g_assert_cmphex(sum, ==, 0xbaba);
    set(n, EEWR, 0x55aa0000 | 0x20 << 2 | 1);
    set(n, EERD, 0x20 << 2 | 1);
    g_assert_cmphex(get(n, EERD) >> 16, ==, 0x55aa);
    set(n, MDIC, 2 << 26 | 1 << 21 | 3 << 16);
    g_assert_cmphex(get(n, MDIC), ==, 0x18230cb1);
    set(n, MDIC, 1 << 26 | 1 << 21 | 22 << 16 | 5); /* another page */
    set(n, MDIC, 1 << 26 | 1 << 21 | 3 << 16 | 77);
    set(n, MDIC, 2 << 26 | 1 << 21 | 3 << 16);
    g_assert_cmphex(get(n, MDIC) & 0xffff, ==, 77);
    set(n, MDIC, 1 << 26 | 1 << 21 | 22 << 16);
    set(n, MDIC, 2 << 26 | 1 << 21 | 3 << 16);
    g_assert_cmphex(get(n, MDIC) & 0xffff, ==, 0x0cb1);
    g_assert_cmphex(get(n, SWSM) & 1, ==, 0);
    g_assert_cmphex(get(n, SWSM) & 1, ==, 1); /* somebody has it */
    set(n, TIMINCA, 1 << 24 | 40);
    set(n, SYSTIMH, 7);
    get(n, SYSTIML);
    g_assert_cmphex(get(n, SYSTIMH), ==, 7);
    g_assert_cmphex(get(n, VET), ==, 0x8100);
    nic_free(n);
    n = nic_with("init-vet", "off");
    g_assert_cmphex(get(n, VET), ==, 0);
    nic_free(n);
}

static void test_configuration(void)
{
    static const struct {
        uint8_t id;
        uint16_t at;
    } capabilities[] = { { 0x01, 0xc8 }, { 0x05, 0xd0 }, { 0x10, 0xe0 }, { 0x11, 0xa0 } };
    static const uint64_t bars[] = { 0xfffe0000, 0xfffe0000, 0xffffffe1, 0xffffc000 };
    Nic *n = nic_with("subsys", "0x1234");

    g_assert_cmphex(bench_config_read(n->bench, DEVFN, 0, 4), ==, 0x10d38086);
    g_assert_cmphex(bench_config_read(n->bench, DEVFN, PCI_SUBSYSTEM_VENDOR_ID, 4), ==, 0x12348086);
    for (unsigned i = 0; i < ARRAY_SIZE(capabilities); i++) {
        g_assert_cmphex(bench_find_capability(n->bench, DEVFN, capabilities[i].id, 0), ==,
                        capabilities[i].at);
    }
    g_assert_cmphex(bench_config_read(n->bench, DEVFN, 0xa2, 2), ==, 4);
    g_assert_cmphex(bench_config_read(n->bench, DEVFN, 0x100, 4), ==, 0x00010003);
    g_assert_cmphex(bench_config_read(n->bench, DEVFN, 0x104, 4), ==, 0xff000001);
    g_assert_cmphex(bench_config_read(n->bench, DEVFN, 0x108, 4), ==, 0x525400ff);
    bench_config_write(n->bench, DEVFN, 0x108, 0, 4);
    g_assert_cmphex(bench_config_read(n->bench, DEVFN, 0x108, 4), ==, 0x525400ff);
    g_assert_cmphex(bench_config_read(n->bench, DEVFN, 0xffc, 4), ==, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(bars); i++) {
        bench_config_write(n->bench, DEVFN, PCI_BASE_ADDRESS_0 + 4 * i, 0xffffffff, 4);
        g_assert_cmphex(bench_config_read(n->bench, DEVFN, PCI_BASE_ADDRESS_0 + 4 * i, 4), ==,
                        bars[i]);
    }
    nic_free(n);
}

static void test_extended(void)
{
    Nic *n = nic_new();
    uint8_t frame[1514];
    unsigned size = make_frame(frame, false, 100);
    const uint8_t *d = rx_descriptor(n, 0, 0);

    set_receive_rings(n, false);
    set(n, RXCSUM, 0x300);
    netdev_receive(&n->netdev->netdev, frame, size);
    g_assert_cmphex(load_le32(d + 8), ==, 0x677 & ~4u); /* DD EOP UDPCS TCPCS IPCS IPIDV UDPV */
    g_assert_cmphex(load_le16(d + 4), ==, 0x1234);
    g_assert_cmpuint(load_le16(d + 12), ==, size);
    g_assert_cmpmem(bench_ram(n->bench, RX_BUFFERS), size, frame, size);
    frame[100] ^= 1; /* a sum that is wrong */
    netdev_receive(&n->netdev->netdev, frame, size);
    g_assert_cmphex(load_le32(rx_descriptor(n, 0, 1) + 8) >> 24, ==, 0x20);
    frame[22] ^= 1;
    netdev_receive(&n->netdev->netdev, frame, size);
    g_assert_cmphex(load_le32(rx_descriptor(n, 0, 2) + 8) >> 24, ==, 0x60);
    g_assert_cmpuint(get(n, GPRC), ==, 3);
    g_assert_cmpuint(get(n, PRC64 + 8), ==, 3); /* 128 to 255 bytes */
    g_assert_cmpuint(get(n, GPRC), ==, 0);
    nic_free(n);
}

/* The vectors of the "Receive-side scaling" hash's published verification suite. */
static void test_hash(void)
{
    static const uint32_t key[] = { 0xda565a6d, 0xc20e5b25, 0x3d256741, 0xb08fa343, 0xcb2bcad0,
                                    0xb4307bae, 0xa32dcb77, 0x0cf23080, 0x3bb7426a, 0xfa01acbe };
    Nic *n = nic_new();
    uint8_t frame[1514];
    unsigned size = make_frame(frame, true, 10);

    set_receive_rings(n, false);
    set(n, RXCSUM, 0x2300);
    for (unsigned i = 0; i < ARRAY_SIZE(key); i++) {
        set(n, RSSRK + 4 * i, key[i]);
    }
    set(n, MRQC, 0x30001);
    netdev_receive(&n->netdev->netdev, frame, size);
    g_assert_cmphex(load_le32(rx_descriptor(n, 0, 0)), ==, 1);
    g_assert_cmphex(load_le32(rx_descriptor(n, 0, 0) + 4), ==, 0x51ccc178);
    set(n, RETA + (0x78 & ~3u), 0x80); /* that one goes to the second queue */
    netdev_receive(&n->netdev->netdev, frame, size);
    g_assert_cmphex(load_le32(rx_descriptor(n, 1, 0)), ==, 0x101);
    size = make_frame(frame, false, 10); /* IPv4 alone */
    netdev_receive(&n->netdev->netdev, frame, size);
    g_assert_cmphex(load_le32(rx_descriptor(n, 0, 1)), ==, 2);
    g_assert_cmphex(load_le32(rx_descriptor(n, 0, 1) + 4), ==, 0x323e8fc2);
    nic_free(n);
}

/* Headers in the first buffer, data in the others and in the next descriptor. */
static void test_split(void)
{
    Nic *n = nic_new();
    uint8_t frame[9000];
    unsigned size = make_frame(frame, true, 3500);
    const uint8_t *d = rx_descriptor(n, 0, 0), *next = rx_descriptor(n, 0, 2);

    set_receive_rings(n, true);
    set(n, PSRCTL, 2 | 1 << 8 | 1 << 16 | 1 << 24); /* 256 bytes, and 1 KiB each */
    set(n, RCTL, get(n, RCTL) | 1 << 5 | 1 << 10);
    netdev_receive(&n->netdev->netdev, frame, size);
    g_assert_cmpuint(load_le16(d + 12), ==, 54);
    g_assert_cmphex(load_le16(d + 16), ==, 0x8000 | 54);
    g_assert_cmpuint(load_le16(d + 18), ==, 1024);
    g_assert_cmpuint(load_le16(d + 22), ==, 1024);
    g_assert_cmphex(load_le32(d + 8) & 3, ==, 1);
    g_assert_cmphex(load_le32(next + 8) & 3, ==, 3);
    g_assert_cmpuint(load_le16(next + 12), ==, 0);
    g_assert_cmpuint(load_le16(next + 18), ==, 3500 - 3072);
    g_assert_cmpmem(bench_ram(n->bench, RX_BUFFERS), 54, frame, 54);
    g_assert_cmpmem(bench_ram(n->bench, RX_BUFFERS + 0x1000), 1024, frame + 54, 1024);
    g_assert_cmpmem(bench_ram(n->bench, RX_BUFFERS + 0x5000), 428, frame + 54 + 3072, 428);
    store_be16(frame + 12, 0x88b5); /* no headers that are known: in a row */
    netdev_receive(&n->netdev->netdev, frame, 300);
    d = rx_descriptor(n, 0, 4);
    g_assert_cmpuint(load_le16(d + 12), ==, 256);
    g_assert_cmphex(load_le16(d + 16), ==, 0);
    g_assert_cmpuint(load_le16(d + 18), ==, 44);
    nic_free(n);
}

static void test_second_transmit_queue(void)
{
    Nic *n = nic_new();
    uint8_t *d = bench_ram(n->bench, TX_RING + 0x400);

    set_ring(n, TDBAL + QUEUE, TX_RING + 0x400, RING);
    store_le64(d, TX_DATA);
    store_le64(d + 8, 100 | UINT64_C(0x9000000));
    set(n, TARC0 + QUEUE, 0);
    set(n, TDBAL + QUEUE + TAIL, 1);
    g_assert_cmpuint(n->netdev->sent->len, ==, 0);
    set(n, TARC0 + QUEUE, 1 << 10);
    set(n, TDBAL + QUEUE + TAIL, 1);
    g_assert_cmpuint(n->netdev->sent->len, ==, 1);
    g_assert_cmphex(d[12] & 1, ==, 1);
    nic_free(n);
}

/* The pin: reading the causes clears and masks them. */
static void test_pin(void)
{
    Nic *n = nic_new();

    set(n, IAM, 0xffffffff);
    set(n, CTRL_EXT, 1 << 27);
    set(n, IMS, LSC);
    set(n, ICS, LSC);
    g_assert_cmpint(n->bench->intx[2], ==, 1);
    g_assert_cmphex(get(n, ICR), ==, 0x80000000 | OTHER | LSC);
    g_assert_cmpint(n->bench->intx[2], ==, 0);
    g_assert_cmphex(get(n, IMS), ==, 0);
    set(n, ICS, RXT0);
    g_assert_cmphex(get(n, ICR), ==, RXT0);
    set(n, IMS, LSC);
    set(n, ITR, 0xffff); /* 16.8 ms */
    set(n, ICS, LSC);
    g_assert_cmpint(n->bench->intx[2], ==, 1);
    get(n, ICR);
    set(n, IMS, LSC);
    set(n, ICS, LSC);
    g_assert_cmpint(n->bench->intx[2], ==, 0);
    nic_free(n);
}

static uint32_t take_message(Nic *n, unsigned vector)
{
    uint8_t *at = bench_ram(n->bench, MESSAGES + 4 * vector);
    uint32_t value = load_le32(at);

    store_le32(at, 0);
    return value;
}

static void test_vectors(void)
{
    Nic *n = nic_new();

    for (unsigned i = 0; i < 5; i++) {
        bench_write(n->bench, MSIX_BASE + 16 * i, MESSAGES + 4 * i, 4);
        bench_write(n->bench, MSIX_BASE + 16 * i + 8, i + 1, 4);
        bench_write(n->bench, MSIX_BASE + 16 * i + 12, 0, 4);
    }
    bench_config_write(n->bench, DEVFN, 0xa3, 0x80, 1);
    set(n, IVAR, 8 | 9 << 8 | 10 << 16); /* RxQ0 to 0, TxQ0 to 1, others to 2 */
    set(n, IAM, 0xffffffff);
    set(n, CTRL_EXT, 1 << 24);
    set(n, EIAC, RXQ0 | TXQ0);
    set(n, IMS, RXQ0 | TXQ0 | OTHER | LSC);
    set(n, ICS, RXQ0);
    g_assert_cmphex(take_message(n, 0), ==, 1);
    g_assert_cmphex(get(n, IMS), ==, TXQ0 | OTHER | LSC); /* masked by itself, and cleared */
    g_assert_cmphex(get(n, ICS), ==, 0);
    set(n, ICS, RXQ0);
    g_assert_cmphex(take_message(n, 0), ==, 0);
    set(n, IMS, RXQ0);
    g_assert_cmphex(take_message(n, 0), ==, 1);
    set(n, ICS, RXQ1 | LSC); /* one goes nowhere */
    g_assert_cmphex(take_message(n, 2), ==, 3);
    g_assert_cmphex(take_message(n, 1), ==, 0);
    g_assert_cmphex(get(n, ICR) & LSC, ==, LSC);
    set(n, EITR + 4, 0xffff);
    set(n, ICS, TXQ0);
    g_assert_cmphex(take_message(n, 1), ==, 2);
    set(n, IMS, TXQ0);
    set(n, ICS, TXQ0); /* too early */
    g_assert_cmphex(take_message(n, 1), ==, 0);
    /* A vector that writes to the causes makes no endless row of messages. */
    bench_write(n->bench, MSIX_BASE + 8, RXQ0, 4);
    bench_write(n->bench, MSIX_BASE, BASE + ICS, 4);
    set(n, CTRL_EXT, 0);
    set(n, IMS, RXQ0);
    set(n, ICS, RXQ0);
    nic_free(n);
}

static void test_hostile(void)
{
    Nic *n = nic_new();
    GRand *random = g_rand_new_with_seed(5);
    uint8_t frame[1514] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [12] = 8, [14] = 0x45 };

    for (unsigned i = 0; i < 3000; i++) {
        set(n, RCTL, 0xc0 | 1 << 1 | 3 << 3 | 1 << 5 | 1 << 15 | (g_rand_int(random) & 0x78030c00));
        set(n, PSRCTL, g_rand_int(random) & 0x3f3f3f7f);
        set(n, RFCTL, i % 4 ? 1 << 15 : 0);
        set(n, MRQC, g_rand_int(random) & 0x1f0003);
        set(n, RXCSUM, g_rand_int(random) & 0x23ff);
        set(n, RETA + 4 * (i % 32), g_rand_int(random));
        for (unsigned j = 0; j < RING; j++) {
            uint8_t *tx = bench_ram(n->bench, TX_RING + j * 16), *rx = rx_descriptor(n, i & 1, j);
            uint64_t low = (uint64_t)g_rand_int(random) << 32 | g_rand_int(random);

            store_le64(tx, i % 3 ? low : BASE + (low & 0x5ffc));
            store_le64(tx + 8, low >> 7 ^ (uint64_t)g_rand_int(random) << 24 ^ g_rand_int(random));
            store_le64(rx, i % 5 ? RX_BUFFERS : BASE + (low & 0x3ffc));
            store_le64(rx + 8, i % 5 ? RX_BUFFERS : BASE + (low & 0x3ff8));
        }
        set_ring(n, TDBAL + (i & 1) * QUEUE, TX_RING, i % 7 ? RING : 0);
        set_ring(n, RDBAL + (i & 1) * QUEUE, RX_RING + (i & 1) * 0x400, RING);
        set(n, TCTL, 2);
        set(n, TDBAL + (i & 1) * QUEUE + TAIL, g_rand_int(random) % RING);
        set(n, RDBAL + (i & 1) * QUEUE + TAIL, g_rand_int(random) % (RING + 2));
        store_be16(frame + 16, g_rand_int(random) & 0x7ff);
        frame[23] = i & 1 ? 6 : 17;
        netdev_receive(&n->netdev->netdev, frame, g_rand_int_range(random, 0, sizeof frame));
        g_ptr_array_set_size(n->netdev->sent, 0);
    }
    g_rand_free(random);
    nic_free(n);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/e1000e/registers", test_registers);
    g_test_add_func("/e1000e/configuration", test_configuration);
    g_test_add_func("/e1000e/extended", test_extended);
    g_test_add_func("/e1000e/hash", test_hash);
    g_test_add_func("/e1000e/split", test_split);
    g_test_add_func("/e1000e/second-transmit-queue", test_second_transmit_queue);
    g_test_add_func("/e1000e/pin", test_pin);
    g_test_add_func("/e1000e/vectors", test_vectors);
    g_test_add_func("/e1000e/hostile", test_hostile);
    return g_test_run();
}
