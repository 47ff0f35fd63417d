/* SPDX-License-Identifier: MIT */
/*
 * Network cards: the first byte of the input says which, and whether its driver has set it up; then steps of eight bytes: accesses to its
 * registers, what lies in memory where it looks, frames, time, the cable, states that are saved, changed in one byte, and loaded.
 */
#include <string.h>

#include "base/bits.h"
#include "machine/saved-state.h"
#include "tests/device/net-bench.h"
#include "tests/fuzz/fuzz.h"

enum { STEP = 8, STEPS = 400, BARS = 6, STARTED = 0x80, FRAME = 0x4000 };
enum { RING_AT = BENCH_RAM + 0x1000, RINGS = 0x4000, DATA_AT = BENCH_RAM + 0x10000 };
enum {
    WRITE,
    WRITE_AGAIN,
    READ,
    MEMORY,
    MEMORY_HIGH,
    RECEIVE,
    PASS,
    LINK,
    CONFIG,
    LOAD,
    RESET,
    OPERATIONS
};

typedef struct {
    uint64_t address, size; /* size 0: there is none */
} Bar;

typedef struct {
    const char *type; /* of the bench's virtio drivers, the stem */
    Bench *bench;
    KeepingNetdev *netdev;
    Device *device;
    Driver *driver; /* or NULL */
    unsigned devfn;
    Bar bars[BARS];
} Card;

/* What a driver does: below 64 KiB an offset in the first BAR, else an address. Size 0 ends. */
typedef struct {
    uint32_t at, value, size;
} Access;

#define GIGABIT_RING(offset, ring)                                                                 \
    { offset, RING_AT + (ring)*0x400, 4 },                                                         \
    {                                                                                              \
        (offset) + 8, 0x100, 4                                                                     \
    }

static const Access gigabit[] = {
    { 0x5400, 0x00005452, 4 }, /* the address of frames that make_frame makes */
    { 0x5404, 0x80000100, 4 }, GIGABIT_RING(0x2800, 0),  GIGABIT_RING(0x2900, 1),
    GIGABIT_RING(0x3800, 2),   GIGABIT_RING(0x3900, 3),  { 0x2818, 15, 4 },
    { 0x2918, 15, 4 },         { 0x100, 0x0400801a, 4 }, /* all frames, without their sums */
    { 0x400, 2, 4 },           { 0xd0, 0xffffffff, 4 },  { 0 },
};

static const Access realtek[] = {
    { 0x50, 0xc0, 1 },
    { 0x52, 0, 1 },
    { 0x30, RING_AT, 4 },
    { 0x37, 0x0c, 1 },
    { 0x44, 0x9f, 4 },
    { 0x20, DATA_AT, 4 },
    { 0x3c, 0xffff, 2 },
    { 0xe0, 0x2b, 2 },
    { 0xe4, RING_AT, 4 },
    { 0x28, RING_AT + 0x400, 4 },
    { 0 },
};

/* The block: all frames, rings of four in the style of 32 bits. */
static const Access lance[] = {
    { RING_AT, 0x20208000, 4 },
    { RING_AT + 20, RING_AT + 0x400, 4 },
    { RING_AT + 24, RING_AT + 0x800, 4 },
    { 0x12, 20, 2 },
    { 0x16, 3, 2 },
    { 0x12, 1, 2 },
    { 0x10, RING_AT & 0xffff, 2 },
    { 0x12, 2, 2 },
    { 0x10, RING_AT >> 16, 2 },
    { 0x12, 0, 2 },
    { 0x10, 0x43, 2 },
    { 0 },
};

static const Access novell[] = {
    { 0x0, 0x21, 1 }, { 0x1, 0x46, 1 }, { 0x2, 0x80, 1 },
    { 0x3, 0x46, 1 }, { 0xe, 0x49, 1 }, { 0xc, 0x1f, 1 },
    { 0xf, 0xff, 1 }, { 0x0, 0x22, 1 }, { 0 },
};

static const struct {
    const char *type;
    const Access *start;
} cards[] = {
    { "e1000", gigabit },         { "e1000e", gigabit },  { "rtl8139", realtek },
    { "pcnet", lance },           { "ne2k_pci", novell }, { "virtio-net", NULL },
    { "e1000-82544gc", gigabit },
};

static void look_at_bars(Card *card, bool place)
{
    uint64_t places[] = { BENCH_MEMORY_WINDOW + 0x1000000, 0x4000 };

    for (unsigned i = 0; i < BARS; i++) {
        unsigned at = PCI_BASE_ADDRESS_0 + 4 * i;
        uint32_t was = bench_config_read(card->bench, card->devfn, at, 4), mask;
        bool ports;

        bench_config_write(card->bench, card->devfn, at, UINT32_MAX, 4);
        mask = bench_config_read(card->bench, card->devfn, at, 4);
        ports = mask & 1;
        card->bars[i].size = mask ? -(mask & (ports ? ~3u : ~15u)) & UINT32_MAX : 0;
        if (place && mask) {
            was = (uint32_t)align_up(places[ports], card->bars[i].size);
            places[ports] = was + card->bars[i].size;
        }
        bench_config_write(card->bench, card->devfn, at, was, 4);
        card->bars[i].address = ports ? BENCH_IO_WINDOW + (was & ~3u) : was & ~15u;
        i += (mask & 7) == 4; /* 64 bits */
    }
}

static void write_start(Card *card, const Access *a)
{
    for (; a && a->size; a++) {
        bench_write(card->bench, a->at < 0x10000 ? card->bars[0].address + a->at : a->at, a->value,
                    a->size);
    }
}

static void make_card(Card *card, unsigned kind, bool started)
{
    bool virtio = strcmp(cards[kind].type, "virtio-net") == 0;

    card->type = cards[kind].type;
    card->bench = virtio ? driver_bench_new(DRIVE_PCI) : bench_new(false);
    card->netdev = net_bench_new(card->bench);
    if (virtio) {
        card->driver = driver_new(card->bench, DRIVE_PCI, card->type, "netdev", "net0", NULL);
        card->device = card->driver->device;
    } else {
        card->device = bench_device(card->bench, card->type, "nic", "netdev", "net0", "mac",
                                    "52:54:00:00:00:01", NULL);
    }
    card->devfn = pci_device(card->device)->devfn;
    if (!virtio) {
        device_reset_tree(card->bench->machine->root);
    }
    look_at_bars(card, !virtio);
    bench_config_write(card->bench, card->devfn, PCI_COMMAND,
                       PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER, 2);
    if (started && virtio) {
        driver_start(card->driver, UINT64_MAX, 3);
    } else if (started) {
        write_start(card, cards[kind].start);
    }
    clock_set_manual(card->bench->machine);
}

/* TCP, UDP or something else over IPv4, IPv6 or something else, with a tag or without, as `how` says. */
static void make_frame(uint8_t *frame, uint16_t how, uint32_t size)
{
    static const uint8_t protocols[] = { 6, 17, 1, 0x2c };
    static const uint16_t types[] = { 0x0800, 0x86dd, 0x0806, 0x0800 };
    unsigned at = how & 0x10 ? 16 : 12;

    memset(frame, how & 0x40 ? 0 : 0x55, size);
    memset(frame, how & 0x20 ? 0xff : 0, 6);
    if (!(how & 0x20)) {
        store_be32(frame, 0x52540000);
        frame[5] = 1;
    }
    if (how & 0x10) {
        store_be16(frame + 12, 0x8100);
        store_be16(frame + 14, how);
    }
    store_be16(frame + at, types[how & 3]);
    frame[at + 2] = (how & 3) == 1 ? 0x60 : 0x40 | (how >> 8 & 15);
    store_be16(frame + at + 4, size + (how >> 12));
    frame[at + ((how & 3) == 1 ? 8 : 11)] = protocols[how >> 2 & 3];
    frame[at + 34] = (uint8_t)(how >> 8 & 0xf0);
}

static void receive(Card *card, uint16_t how, uint32_t size)
{
    uint8_t frame[FRAME];

    size %= sizeof frame;
    memset(frame, 0, 64);
    make_frame(frame, how, MAX(size, 64));
    netdev_receive(&card->netdev->netdev, frame, size);
}

/* A machine whose loading fails is reset, as its users do. */
static void load_changed(Card *card, uint32_t at, uint8_t with)
{
    g_autoptr(GByteArray) state = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    device_save_state(card->device, state);
    state->data[at % state->len] = with;
    if (!device_load_state(card->device, card->device->type->state_version, state->data, state->len,
                           &error)) {
        g_assert_nonnull(error);
        device_reset_tree(card->bench->machine->root);
    }
}

static void access_bar(Card *card, bool write, uint16_t at, uint32_t value, uint8_t how)
{
    const Bar *bar = &card->bars[how % BARS];
    unsigned size = 1u << how / BARS % 3;
    uint64_t offset;

    if (!bar->size) {
        bar = &card->bars[0];
    }
    offset = (bar->size > 0x10000 ? (uint64_t)at * 4 : at) % bar->size & ~(uint64_t)(size - 1);
    if (write) {
        bench_write(card->bench, bar->address + offset, value, size);
    } else {
        bench_read(card->bench, bar->address + offset, size);
    }
}

static void run_step(Card *card, const uint8_t *step)
{
    uint16_t at = load_le16(step + 1);
    uint32_t value = load_le32(step + 3);
    Machine *machine = card->bench->machine;

    switch (step[0] % OPERATIONS) {
    case WRITE:
    case WRITE_AGAIN:
        access_bar(card, true, at, value, step[7]);
        break;
    case READ:
        access_bar(card, false, at, value, step[7]);
        break;
    case MEMORY: /* the lower half of a descriptor is mostly an address */
        store_le64(bench_ram(card->bench, RING_AT) + at * 8 % RINGS,
                   step[7] & 1 ? value : DATA_AT + value % 0x10000);
        break;
    case MEMORY_HIGH:
        store_le32(bench_ram(card->bench, RING_AT) + at * 4 % RINGS, value);
        break;
    case RECEIVE:
        receive(card, at, value);
        break;
    case PASS:
        clock_advance(machine, clock_now_ns(machine) + value % 1000000000);
        break;
    case LINK:
        netdev_set_link(&card->netdev->netdev, at & 1);
        break;
    case CONFIG: /* but for where it is */
        if (at % 256 < PCI_BASE_ADDRESS_0 || at % 256 >= PCI_BASE_ADDRESS_0 + 4 * BARS) {
            bench_config_write(card->bench, card->devfn, at % 256, value, 1);
        }
        break;
    case LOAD:
        load_changed(card, value, step[7]);
        break;
    default:
        device_reset_tree(card->bench->machine->root);
    }
    g_ptr_array_set_size(card->netdev->sent, 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_enter_folder();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Card card = { 0 };

    if (!size) {
        return 0;
    }
    make_card(&card, (data[0] & ~STARTED) % G_N_ELEMENTS(cards), data[0] & STARTED);
    for (size_t at = 1; at + STEP <= size && at < STEP * STEPS; at += STEP) {
        run_step(&card, data + at);
    }
    bench_run_main_loop(card.bench);
    if (card.driver) {
        driver_free(card.driver);
    } else {
        bench_free(card.bench);
    }
    return 0;
}
