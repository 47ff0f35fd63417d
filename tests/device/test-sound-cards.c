/* SPDX-License-Identifier: MIT */
/*
 * Sound cards as their drivers use them: 30 s of a sine from a ring in memory arrive whole, and what is recorded does, while the
 * driver looks in at irregular times.
 */
#include "base/bits.h"
#include "hw/isa/isa.h"
#include "tests/device/audio-bench.h"
#include "tests/device/bench.h"
#include "tests/device/pc-rig.h"

enum {
    RATE = 44100,
    RING_FRAMES = 16384,
    FRAME = 4, /* bytes: stereo, 16 bits */
    PERIODS = 16,
    PERIOD_BYTES = RING_FRAMES * FRAME / PERIODS,
    PCI_RING = BENCH_RAM + 0x100000,
    PCI_LIST = BENCH_RAM + 0x80000,
    PCI_CORB = BENCH_RAM + 0x90000,
    PCI_RIRB = BENCH_RAM + 0x91000,
    ISA_RING = 0x100000,
    PORT0 = 0x1000,
    PORT1 = 0x2000,
    DEVFN = 2 << 3,
};

typedef struct Card Card;
typedef struct {
    const char *name, *device, *codec;
    void (*start)(Card *card);
    /* Where it is in the ring, in frames. */
    unsigned (*position)(Card *card);
    /* Acknowledges an interrupt; whether there was one. */
    bool (*acknowledge)(Card *card);
} CardOps;

struct Card {
    const CardOps *ops;
    Bench *bench;
    PcRig rig;
    IsaBus isa;
    Machine *machine;
    Capture *capture;
    bool record;
    uint8_t *ring;
    uint64_t moved, filled; /* frames; moved: by the card */
    unsigned last_position, interrupts;
    GArray *recorded; /* int16_t, stereo */
};

static void fill(Card *card)
{
    for (; card->filled < card->moved + RING_FRAMES - 256; card->filled++) {
        uint16_t sample = (uint16_t)audio_bench_sine(card->filled, RATE);

        store_le32(card->ring + card->filled % RING_FRAMES * FRAME,
                   sample | (uint32_t)sample << 16);
    }
}

static void look_in(void *opaque)
{
    Card *card = opaque;
    unsigned position = card->ops->position(card) % RING_FRAMES;

    card->interrupts += card->ops->acknowledge(card);
    card->moved += (position - card->last_position) % RING_FRAMES;
    card->last_position = position;
    if (!card->record) {
        fill(card);
        return;
    }
    for (; card->filled < card->moved; card->filled++) {
        g_array_append_vals(card->recorded, card->ring + card->filled % RING_FRAMES * FRAME, 2);
    }
}

static uint32_t in(Card *card, unsigned port, unsigned size)
{
    return (uint32_t)bench_read(card->bench, BENCH_IO_WINDOW + port, size);
}

static void out(Card *card, unsigned port, uint32_t value, unsigned size)
{
    bench_write(card->bench, BENCH_IO_WINDOW + port, value, size);
}

/* AC97 */

enum { AC97_RECORD = PORT1, AC97_PLAY = PORT1 + 0x10 };

static unsigned ac97_channel(const Card *card)
{
    return card->record ? AC97_RECORD : AC97_PLAY;
}

static void ac97_start(Card *card)
{
    out(card, PORT1 + 0x2c, 2, 4); /* out of reset */
    g_assert_cmphex(in(card, PORT1 + 0x30, 4) & 0x100, ==, 0x100);
    g_assert_cmphex(in(card, PORT0 + 0x7c, 2), ==, 0x8384);
    out(card, PORT0 + 0x02, 0, 2);
    out(card, PORT0 + 0x18, 0x0808, 2);
    out(card, PORT0 + 0x1c, 0, 2);
    out(card, PORT0 + 0x2a, 1, 2); /* variable rates */
    out(card, PORT0 + 0x2c, RATE, 2);
    out(card, PORT0 + 0x32, RATE, 2);
    for (unsigned i = 0; i < 32; i++) {
        uint8_t *d = bench_ram(card->bench, PCI_LIST + i * 8);

        store_le32(d, PCI_RING + i % PERIODS * PERIOD_BYTES);
        store_le32(d + 4, 1u << 31 | PERIOD_BYTES / 2);
    }
    out(card, ac97_channel(card), PCI_LIST, 4);
    out(card, ac97_channel(card) + 5, 31, 1);
    out(card, ac97_channel(card) + 0xb, 0x11, 1);
}

static unsigned ac97_position(Card *card)
{
    unsigned base = ac97_channel(card), current = in(card, base + 4, 1);
    unsigned left = in(card, base + 8, 2);

    out(card, base + 5, (current + 31) % 32, 1); /* it never comes to the last */
    return current % PERIODS * (PERIOD_BYTES / FRAME) + (PERIOD_BYTES / 2 - left) / 2;
}

static bool ac97_acknowledge(Card *card)
{
    unsigned base = ac97_channel(card);
    bool level = card->bench->intx[0] || card->bench->intx[1] || card->bench->intx[2] ||
                 card->bench->intx[3];

    out(card, base + 6, 0x1c, 2);
    return level;
}

/* ES1370 */

static void es1370_start(Card *card)
{
    unsigned page = card->record ? 0xd : 0xc, size = card->record ? 0x34 : 0x3c;
    uint32_t divisor = 1411200 / RATE - 2;

    out(card, PORT0 + 0x0c, page, 4);
    out(card, PORT0 + size - 4, PCI_RING, 4);
    out(card, PORT0 + size, RING_FRAMES - 1, 4);
    out(card, PORT0 + (card->record ? 0x2c : 0x28), RING_FRAMES / PERIODS - 1, 4);
    out(card, PORT0 + 0x20, card->record ? 0x430 : 0x20c, 4); /* 16 bits, stereo, interrupts */
    out(card, PORT0, divisor << 16 | (card->record ? 0x10 : 0x20), 4);
}

static unsigned es1370_position(Card *card)
{
    return in(card, PORT0 + (card->record ? 0x34 : 0x3c), 4) >> 16;
}

static bool es1370_acknowledge(Card *card)
{
    uint32_t serial = in(card, PORT0 + 0x20, 4), status = in(card, PORT0 + 4, 4);

    out(card, PORT0 + 0x20, serial & ~0x700u, 4);
    out(card, PORT0 + 0x20, serial, 4);
    g_assert_cmphex(in(card, PORT0 + 4, 4) & 7, ==, 0);
    return status >> 31;
}

/* HDA */

static uint32_t hda_in(Card *card, unsigned offset, unsigned size)
{
    return (uint32_t)bench_read(card->bench, BENCH_MEMORY_WINDOW + offset, size);
}

static void hda_out(Card *card, unsigned offset, uint32_t value, unsigned size)
{
    bench_write(card->bench, BENCH_MEMORY_WINDOW + offset, value, size);
}

static uint32_t hda_command(Card *card, uint32_t command)
{
    unsigned write = (hda_in(card, 0x48, 2) + 1) % 256, read;

    store_le32(bench_ram(card->bench, PCI_CORB + write * 4), command);
    hda_out(card, 0x48, write, 2);
    g_assert_cmphex(hda_in(card, 0x5d, 1) & 1, ==, 1);
    hda_out(card, 0x5d, 1, 1);
    read = hda_in(card, 0x58, 2);
    g_assert_cmphex(load_le32(bench_ram(card->bench, PCI_RIRB + read * 8 + 4)), ==, 0);
    return load_le32(bench_ram(card->bench, PCI_RIRB + read * 8));
}

static unsigned hda_stream(const Card *card)
{
    return card->record ? 0x80 : 0x100;
}

static void hda_start(Card *card)
{
    unsigned node = card->record ? 4 : 2, sd = hda_stream(card);
    uint32_t format = 0x4011; /* 44.1 kHz, 16 bits, stereo */

    hda_out(card, 0x08, 1, 4);
    g_assert_cmphex(hda_in(card, 0x0e, 2), ==, 1);
    hda_out(card, 0x40, PCI_CORB, 4);
    hda_out(card, 0x50, PCI_RIRB, 4);
    hda_out(card, 0x4c, 2, 1);
    hda_out(card, 0x5c, 3, 1);
    g_assert_cmphex(hda_command(card, 0xf0000), ==, 0x1af40022);
    hda_command(card, node << 20 | 0x20000 | format);
    hda_command(card, node << 20 | 0x70610); /* stream 1 */
    g_assert_cmphex(hda_command(card, node << 20 | 0xa0000), ==, format);
    for (unsigned i = 0; i < PERIODS; i++) {
        uint8_t *d = bench_ram(card->bench, PCI_LIST + i * 16);

        store_le64(d, PCI_RING + i * PERIOD_BYTES);
        store_le32(d + 8, PERIOD_BYTES);
        store_le32(d + 12, 1);
    }
    hda_out(card, sd + 0x18, PCI_LIST, 4);
    hda_out(card, sd + 0x08, RING_FRAMES * FRAME, 4);
    hda_out(card, sd + 0x0c, PERIODS - 1, 2);
    hda_out(card, sd + 0x12, format, 2);
    hda_out(card, 0x20, 0xc00000ff, 4);
    hda_out(card, sd + 2, 0x10, 1);
    hda_out(card, sd, 0x06, 1);
    g_assert_cmphex(hda_in(card, sd + 3, 1) & 0x20, ==, 0x20);
}

static unsigned hda_position(Card *card)
{
    unsigned position = hda_in(card, hda_stream(card) + 4, 4);

    g_assert_cmpuint(position, ==, hda_in(card, 0x2000 + hda_stream(card) + 4, 4));
    return position / FRAME;
}

static bool hda_acknowledge(Card *card)
{
    bool level = hda_in(card, 0x24, 4) >> 31;

    hda_out(card, hda_stream(card) + 3, 0x1c, 1);
    g_assert_cmphex(hda_in(card, 0x24, 4) & 0xff, ==, 0);
    return level;
}

/* Sound Blaster 16 */

static void dsp(Card *card, uint8_t value)
{
    pc_rig_out(&card->rig, 0x22c, value);
}

static void sb16_start(Card *card)
{
    unsigned words = RING_FRAMES * 2, block = words / PERIODS;

    pc_rig_out(&card->rig, 0x226, 1);
    pc_rig_out(&card->rig, 0x226, 0);
    g_assert_cmphex(pc_rig_in(&card->rig, 0x22a), ==, 0xaa);
    dsp(card, 0xe1);
    g_assert_cmpuint(pc_rig_in(&card->rig, 0x22a), ==, 4);
    g_assert_cmpuint(pc_rig_in(&card->rig, 0x22a), ==, 5);
    for (unsigned i = 0x30; i < 0x34; i++) {
        pc_rig_out(&card->rig, 0x224, (uint8_t)i);
        pc_rig_out(&card->rig, 0x225, 0xf8);
    }
    pc_rig_out(&card->rig, 0xd8, 0);
    pc_rig_out(&card->rig, 0xd6, card->record ? 0x55 : 0x59); /* channel 5, again and again */
    pc_rig_out(&card->rig, 0xc4, (uint8_t)(ISA_RING / 2));
    pc_rig_out(&card->rig, 0xc4, (uint8_t)(ISA_RING / 2 >> 8));
    pc_rig_out(&card->rig, 0x8b, ISA_RING >> 16);
    pc_rig_out(&card->rig, 0xc6, (uint8_t)(words - 1));
    pc_rig_out(&card->rig, 0xc6, (uint8_t)((words - 1) >> 8));
    pc_rig_out(&card->rig, 0xd4, 1);
    dsp(card, card->record ? 0x42 : 0x41);
    dsp(card, RATE >> 8);
    dsp(card, (uint8_t)RATE);
    dsp(card, card->record ? 0xbe : 0xb6);
    dsp(card, 0x30); /* signed, stereo */
    dsp(card, (uint8_t)(block - 1));
    dsp(card, (uint8_t)((block - 1) >> 8));
}

static unsigned sb16_position(Card *card)
{
    unsigned left;

    pc_rig_in(&card->rig, 0x22e); /* brings it up to now */
    pc_rig_out(&card->rig, 0xd8, 0);
    left = pc_rig_in(&card->rig, 0xc6);
    left |= (unsigned)pc_rig_in(&card->rig, 0xc6) << 8;
    return (RING_FRAMES * 2 - 1 - left) / 2;
}

static bool sb16_acknowledge(Card *card)
{
    bool level = card->rig.levels[5];

    pc_rig_in(&card->rig, 0x22f);
    g_assert_cmpint(card->rig.levels[5], ==, 0);
    return level;
}

static const CardOps cards[] = {
    { "AC97", "AC97", NULL, ac97_start, ac97_position, ac97_acknowledge },
    { "ES1370", "ES1370", NULL, es1370_start, es1370_position, es1370_acknowledge },
    { "intel-hda", "intel-hda", "hda-duplex", hda_start, hda_position, hda_acknowledge },
    { "ich9-intel-hda", "ich9-intel-hda", "hda-duplex", hda_start, hda_position, hda_acknowledge },
    { "sb16", "sb16", NULL, sb16_start, sb16_position, sb16_acknowledge },
};

static void open_pci(Card *card)
{
    static const struct {
        unsigned offset;
        uint32_t value;
    } bars[] = { { PCI_BASE_ADDRESS_0, PORT0 }, { PCI_BASE_ADDRESS_0 + 4, PORT1 } };
    bool codec = card->ops->codec != NULL;

    card->bench = bench_new(false);
    card->machine = card->bench->machine;
    card->ring = bench_ram(card->bench, PCI_RING);
    card->capture = audio_bench_open(card->machine);
    if (codec) {
        bench_device(card->bench, card->ops->device, "card", "addr", "2", NULL);
        bench_device(card->bench, card->ops->codec, "codec", "audiodev", "a0", NULL);
    } else {
        bench_device(card->bench, card->ops->device, "card", "addr", "2", "audiodev", "a0", NULL);
    }
    device_reset_tree(card->machine->root);
    for (size_t i = 0; i < G_N_ELEMENTS(bars); i++) {
        bench_config_write(card->bench, DEVFN, bars[i].offset,
                           codec ? BENCH_MEMORY_WINDOW : bars[i].value, 4);
    }
    bench_config_write(card->bench, DEVFN, PCI_COMMAND,
                       PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER, 2);
}

static void set_level(void *opaque, int number, int level)
{
    ((PcRig *)opaque)->levels[number] = level;
}

static void open_isa(Card *card)
{
    static const uint16_t ports[] = { 0x00, 0x81, 0x87, 0x89, 0x8f, 0xc0 };
    g_autoptr(GError) error = NULL;
    Device *dma, *device;

    pc_rig_open(&card->rig);
    card->machine = card->rig.machine;
    card->ring = (uint8_t *)card->machine->ram.host + ISA_RING;
    card->capture = audio_bench_open(card->machine);
    dma = pc_rig_add(&card->rig, "i8257", NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(ports); i++) {
        device_map_io(dma, i, ports[i]);
    }
    isa_bus_init(&card->isa, card->machine->root, "isa.0", card->machine->system_io,
                 card->machine->system_memory);
    irq_connect(&card->isa.lines[5], set_level, &card->rig, 5);
    device = device_create(card->machine, NULL, card->ops->device, &card->isa.bus, NULL, &error);
    g_assert_no_error(error);
    device_set(device, "audiodev", "a0", &error);
    device_realize(device, &error);
    g_assert_no_error(error);
    device_reset_tree(card->machine->root);
    pc_rig_out(&card->rig, 0xd6, 0xc0); /* cascade */
    pc_rig_out(&card->rig, 0xd4, 0x00);
}

static void card_open(Card *card, const CardOps *ops, bool record)
{
    *card = (Card){ .ops = ops, .record = record };
    card->recorded = g_array_new(false, false, FRAME / 2);
    if (strcmp(device_type_find(ops->device)->bus, "isa") == 0) {
        open_isa(card);
    } else {
        open_pci(card);
    }
    if (!record) {
        fill(card);
    }
    ops->start(card);
}

static void card_close(Card *card)
{
    if (card->bench) {
        bench_free(card->bench);
    } else {
        while (card->isa.bus.devices->len) {
            device_destroy(card->isa.bus.devices->pdata[0]);
        }
        pc_rig_close(&card->rig);
    }
    g_array_unref(card->recorded);
}

static void test_play(gconstpointer data)
{
    Card card;

    card_open(&card, data, false);
    audio_bench_run(card.machine, 30, 60, look_in, &card);
    g_assert_cmpfloat_with_epsilon(audio_bench_check(card.capture, 30), AUDIO_BENCH_AMPLITUDE, 100);
    g_assert_cmpfloat_with_epsilon((double)card.moved / RATE, 30, 50e-6 * 30);
    g_assert_cmpuint(card.interrupts, >, 30 * RATE / RING_FRAMES * PERIODS / 4);
    card_close(&card);
}

static void test_record(gconstpointer data)
{
    uint64_t frames;
    Card card;

    card_open(&card, data, true);
    audio_bench_run(card.machine, 10, 60, look_in, &card);
    frames = audio_bench_judge((const int16_t *)card.recorded->data, card.recorded->len / 2, 2,
                               RATE, NULL);
    g_assert_cmpfloat_with_epsilon((double)frames / RATE, 10, 0.02);
    g_assert_cmpuint(card.interrupts, >, 50);
    card_close(&card);
}

/*
 * A guest whose processors stand still for longer than its ring lasts. No frame is lost or played twice, and while it is not late by
 * half a second all comes in time.
 */
static void test_starved(gconstpointer data)
{
    for (unsigned record = 0; record < 2; record++) {
        uint64_t frames;
        Card card;

        card_open(&card, data, record);
        for (unsigned i = 0; i < 20; i++) {
            audio_bench_run(card.machine, 0.8, 10, look_in, &card);
            clock_advance(card.machine, clock_now_ns(card.machine) + 420 * INT64_C(1000000));
            look_in(&card);
        }
        audio_bench_run(card.machine, 2, 10, look_in, &card);
        if (record) {
            frames = audio_bench_judge((const int16_t *)card.recorded->data, card.recorded->len / 2,
                                       2, RATE, NULL);
            g_assert_cmpfloat_with_epsilon((double)frames / RATE, 26.4, 0.02);
        } else {
            audio_bench_check(card.capture, 26.4);
        }
        card_close(&card);
    }
}

/* What is done to the lists in memory does not lead anywhere. */
static void test_bad_lists(void)
{
    Card card;

    card_open(&card, &cards[2], false);
    memset(bench_ram(card.bench, PCI_LIST), 0, 4096); /* empty buffers at 0 */
    audio_bench_run(card.machine, 1, 20, NULL, NULL);
    memset(bench_ram(card.bench, PCI_LIST), 0xff, 4096);
    audio_bench_run(card.machine, 1, 20, NULL, NULL);
    /* Buffers that are the card's own registers. */
    for (unsigned i = 0; i < PERIODS; i++) {
        store_le64(bench_ram(card.bench, PCI_LIST + i * 16), BENCH_MEMORY_WINDOW);
        store_le32(bench_ram(card.bench, PCI_LIST + i * 16 + 8), 0x4000);
    }
    audio_bench_run(card.machine, 1, 20, NULL, NULL);
    card_close(&card);
}

/* The speaker of a PC: 1193182 / 2706 is 440.9 Hz. */
static void test_speaker(void)
{
    const int16_t *samples;
    unsigned crossings = 0, frames;
    Capture *capture;
    Device *pit;
    PcRig rig;

    pc_rig_open(&rig);
    capture = audio_bench_open(rig.machine);
    pit = pc_rig_add(&rig, "isa-pit", "audiodev=a0");
    device_map_io(pit, 0, 0x40);
    device_map_io(pit, 1, 0x61);
    pc_rig_out(&rig, 0x43, 0xb6);
    pc_rig_out(&rig, 0x42, 2706 & 0xff);
    pc_rig_out(&rig, 0x42, 2706 >> 8);
    audio_bench_run(rig.machine, 1, 20, NULL, NULL);
    g_assert_cmpuint(capture->played->len, ==, 0);
    pc_rig_out(&rig, 0x61, 3);
    audio_bench_run(rig.machine, 10, 20, NULL, NULL);
    pc_rig_out(&rig, 0x61, 0);
    frames = capture->played->len / 2;
    g_assert_cmpfloat_with_epsilon((double)frames / RATE, 10, 0.05);
    samples = (const int16_t *)capture->played->data;
    for (unsigned i = 1; i < frames; i++) {
        crossings += samples[i * 2 - 2] < 4096 && samples[i * 2] >= 4096;
    }
    g_assert_cmpfloat_with_epsilon(crossings / 10.0, 440.9, 0.5);
    audio_bench_run(rig.machine, 4, 20, NULL, NULL);
    g_assert_cmpuint(capture->played->len / 2, <,
                     frames + 2 * RATE); /* it does not go on for ever */
    pc_rig_close(&rig);
}

/* Virtio-sound: control messages, and buffers of both directions. */

static uint32_t vs_control(Driver *d, const uint32_t *request, unsigned words, unsigned answer)
{
    for (unsigned i = 0; i < words; i++) {
        store_le32(bench_ram(d->bench, DRIVER_DATA + i * 4), request[i]);
    }
    driver_do(d, 0,
              (const Buffer[]){ { DRIVER_DATA, words * 4, false },
                                { DRIVER_DATA + 0x100, answer, true } },
              2);
    return load_le32(bench_ram(d->bench, DRIVER_DATA + 0x100));
}

enum { VS_OK = 0x8000, VS_BAD = 0x8001, VS_UNSUPPORTED = 0x8002, VS_PERIOD = 4096, VS_BUFFERS = 2 };

static uint64_t vs_data(unsigned queue, unsigned slot)
{
    return DRIVER_DATA + 0x10000 * queue + slot * 0x4000;
}

/* Fills a buffer (recorded frames are read from it), and queues it. */
static void vs_queue(Driver *d, unsigned queue, unsigned slot, uint64_t *frames)
{
    uint64_t at = vs_data(queue, slot);
    Buffer buffers[3] = { { at, 4, false } };

    store_le32(bench_ram(d->bench, at), queue == 3); /* the stream */
    if (queue == 2) {
        for (unsigned i = 0; i < VS_PERIOD / FRAME; i++, (*frames)++) {
            uint16_t sample = (uint16_t)audio_bench_sine(*frames, RATE);

            store_le32(bench_ram(d->bench, at + 16 + i * FRAME), sample | (uint32_t)sample << 16);
        }
    }
    buffers[1] = (Buffer){ at + 16, VS_PERIOD, queue == 3 };
    buffers[2] = (Buffer){ at + 0x3000, 8, true };
    driver_add(d, queue, buffers, 3);
}

static void vs_start(Driver *d, unsigned stream)
{
    const uint32_t parameters[] = { 0x101,     stream, VS_PERIOD * VS_BUFFERS,
                                    VS_PERIOD, 0,      2 | 5 << 8 | 6 << 16 };

    g_assert_cmphex(vs_control(d, (const uint32_t[]){ 0x104, stream }, 2, 4), ==, VS_BAD);
    g_assert_cmphex(vs_control(d, parameters, 6, 4), ==, VS_OK);
    g_assert_cmphex(vs_control(d, (const uint32_t[]){ 0x102, stream }, 2, 4), ==, VS_OK);
    g_assert_cmphex(vs_control(d, (const uint32_t[]){ 0x104, stream }, 2, 4), ==, VS_OK);
}

static void test_virtio(gconstpointer data)
{
    Driver *d = driver_new(NULL, *(const DriveKind *)data, "virtio-sound", NULL);

    driver_start(d, UINT64_MAX, 4);
    g_assert_cmpuint(driver_config(d, 4, 4), ==, 2);
    g_assert_cmphex(vs_control(d, (const uint32_t[]){ 0x100, 0, 2, 32 }, 4, 4 + 64), ==, VS_OK);
    g_assert_cmphex(load_le32(bench_ram(d->bench, DRIVER_DATA + 0x104 + 8)), ==, 0xe0078);
    g_assert_cmpuint(*bench_ram(d->bench, DRIVER_DATA + 0x104 + 24), ==, 0);
    g_assert_cmpuint(*bench_ram(d->bench, DRIVER_DATA + 0x104 + 32 + 24), ==, 1);
    g_assert_cmphex(vs_control(d, (const uint32_t[]){ 0x100, 1, UINT32_MAX, 32 }, 4, 68), ==,
                    VS_BAD);
    g_assert_cmphex(vs_control(d, (const uint32_t[]){ 0x100, 0, 2, 32 }, 4, 8), ==, VS_BAD);
    g_assert_cmphex(vs_control(d, (const uint32_t[]){ 0x102, 7 }, 2, 4), ==, VS_BAD);
    g_assert_cmphex(vs_control(d, (const uint32_t[]){ 2, 0 }, 2, 4), ==, VS_UNSUPPORTED);
    g_assert_cmphex(vs_control(d, (const uint32_t[]){ 0x9999 }, 1, 4), ==, VS_BAD);
    driver_free(d);
}

static void test_virtio_sound(gconstpointer data)
{
    unsigned queue = GPOINTER_TO_UINT(data), slot = 0;
    Bench *bench = driver_bench_new(DRIVE_PCI);
    Capture *capture = audio_bench_open(bench->machine);
    Driver *d = driver_new(bench, DRIVE_PCI, "virtio-sound", "audiodev", "a0", NULL);
    g_autoptr(GArray) recorded = g_array_new(false, false, FRAME / 2);
    uint64_t frames = 0;

    driver_start(d, 0, 4);
    vs_start(d, queue == 3);
    for (unsigned i = 0; i < VS_BUFFERS; i++) {
        vs_queue(d, queue, i, &frames);
    }
    driver_kick(d, queue);
    for (int64_t end = clock_now_ns(bench->machine) + 10 * INT64_C(1000000000);
         clock_now_ns(bench->machine) < end;) {
        clock_advance(bench->machine, clock_now_ns(bench->machine) + 1000000);
        while (driver_used_any(d, queue)) {
            uint32_t written = driver_wait(d, queue);

            g_assert_cmphex(load_le32(bench_ram(bench, vs_data(queue, slot) + 0x3000)), ==, VS_OK);
            if (queue == 3) {
                g_assert_cmpuint(written, ==, VS_PERIOD + 8);
                g_array_append_vals(recorded, bench_ram(bench, vs_data(queue, slot) + 16),
                                    VS_PERIOD / 2);
            }
            vs_queue(d, queue, slot, &frames);
            driver_kick(d, queue);
            slot = (slot + 1) % VS_BUFFERS;
        }
    }
    if (queue == 2) {
        audio_bench_check(capture, 10);
    } else {
        frames =
            audio_bench_judge((const int16_t *)recorded->data, recorded->len / 2, 2, RATE, NULL);
        g_assert_cmpfloat_with_epsilon((double)frames / RATE, 10, 0.1);
    }
    g_assert_cmphex(vs_control(d, (const uint32_t[]){ 0x105, queue == 3 }, 2, 4), ==, VS_OK);
    g_assert_cmphex(vs_control(d, (const uint32_t[]){ 0x103, queue == 3 }, 2, 4), ==, VS_OK);
    driver_free(d);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cards); i++) {
        g_autofree char *play = g_strconcat("/sound/play/", cards[i].name, NULL);
        g_autofree char *record = g_strconcat("/sound/record/", cards[i].name, NULL);
        g_autofree char *starved = g_strconcat("/sound/starved/", cards[i].name, NULL);

        g_test_add_data_func(play, &cards[i], test_play);
        g_test_add_data_func(record, &cards[i], test_record);
        g_test_add_data_func(starved, &cards[i], test_starved);
    }
    g_test_add_func("/sound/bad-lists", test_bad_lists);
    g_test_add_func("/sound/speaker", test_speaker);
    g_test_add_data_func("/sound/virtio/pci", &drive_kinds[DRIVE_PCI], test_virtio);
    g_test_add_data_func("/sound/virtio/mmio", &drive_kinds[DRIVE_MMIO], test_virtio);
    g_test_add_data_func("/sound/virtio/play", GUINT_TO_POINTER(2), test_virtio_sound);
    g_test_add_data_func("/sound/virtio/record", GUINT_TO_POINTER(3), test_virtio_sound);
    return g_test_run();
}
