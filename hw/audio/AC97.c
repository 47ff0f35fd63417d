/* SPDX-License-Identifier: MIT */
/*
 * AC '97 audio controller of an Intel 82801AA (Intel 290655, "AC '97 Controller Registers"): one codec, with playback,
 * recording and microphone channels of stereo 16-bit samples (the microphone: mono).
 *
 * Not modelled: a second codec, more than two channels, wake-up from power states, the modem's function.
 */
#include "hw/audio/ac97.h"

#include "base/error.h"
#include "hw/pci/pci.h"
#include "machine/audio.h"
#include "machine/machine.h"

enum {
    CHANNEL_RECORD,
    CHANNEL_PLAY,
    CHANNEL_MICROPHONE,
    CHANNELS,

    DESCRIPTORS = 32,
    BYTES_AT_ONCE = 4096,

    CONTROL_RUN = 1 << 0,
    CONTROL_RESET = 1 << 1,
    CONTROL_LAST_INTERRUPT = 1 << 2,
    CONTROL_FIFO_INTERRUPT = 1 << 3,
    CONTROL_COMPLETION_INTERRUPT = 1 << 4,

    STATUS_HALTED = 1 << 0,
    STATUS_AT_LAST = 1 << 1, /* current equals last valid */
    STATUS_LAST = 1 << 2,    /* the last valid buffer is done */
    STATUS_COMPLETION = 1 << 3,
    STATUS_FIFO = 1 << 4,
    STATUS_CLEARED_BY_ONE = STATUS_LAST | STATUS_COMPLETION | STATUS_FIFO,

    GLOBAL_COLD_RESET = 1 << 1, /* 0: the codec is held in reset */
    GLOBAL_WARM_RESET = 1 << 2,
    GLOBAL_CONTROL_WRITABLE = 0x3f & ~GLOBAL_WARM_RESET,
    GLOBAL_STATUS_CODEC_READY = 1 << 8,
    GLOBAL_STATUS_ONE = 1 << 5, /* the interrupt of the first channel; the others follow */

    CODEC_BYTES = 0x400,
    MASTER_BYTES = 0x100,
    CLASS_AUDIO = 0x040100,
};
#define LENGTH_INTERRUPT (UINT32_C(1) << 31)

typedef struct {
    uint32_t base;               /* of the list of descriptors */
    uint8_t current, last, next; /* descriptors */
    uint8_t control;
    uint16_t status, left;    /* left: samples of the current buffer */
    uint32_t address, length; /* of the current descriptor, as read; address moves on */
    uint8_t loaded;           /* there is a current descriptor */
} Channel;

typedef struct {
    PciDevice pci;
    MemoryRegion codec_region, master_region;
    uint16_t codec[AC97_CODEC_REGISTERS];
    Channel channels[CHANNELS];
    uint32_t global_control;
    uint8_t semaphore;  /* an access to the codec is under way */
    Audiodev *audiodev; /* property */
    AudioStream *streams[CHANNELS];
} Ac97;

static Ac97 *ac97_of(Device *device)
{
    return container_of(pci_device(device), Ac97, pci);
}

static bool channel_interrupts(const Channel *c)
{
    return (c->status & STATUS_LAST && c->control & CONTROL_LAST_INTERRUPT) ||
           (c->status & STATUS_COMPLETION && c->control & CONTROL_COMPLETION_INTERRUPT) ||
           (c->status & STATUS_FIFO && c->control & CONTROL_FIFO_INTERRUPT);
}

static uint32_t global_status(const Ac97 *ac97)
{
    uint32_t status = ac97->global_control & GLOBAL_COLD_RESET ? GLOBAL_STATUS_CODEC_READY : 0;

    for (unsigned i = 0; i < CHANNELS; i++) {
        status |= channel_interrupts(&ac97->channels[i]) ? GLOBAL_STATUS_ONE << i : 0;
    }
    return status;
}

static void update_irq(Ac97 *ac97)
{
    pci_set_irq(&ac97->pci, global_status(ac97) & ~GLOBAL_STATUS_CODEC_READY);
}

/* The bus master: through the descriptors of a channel. */

static bool load_descriptor(Ac97 *ac97, Channel *c)
{
    uint8_t raw[8] = { 0 };

    c->current = c->next;
    c->next = (c->next + 1) % DESCRIPTORS;
    if (address_space_read_bytes(&ac97->pci.device.machine->memory_space,
                                 c->base + c->current * sizeof raw, raw, sizeof raw,
                                 pci_dma_attributes(&ac97->pci)) != MEMORY_OK) {
        log_guest_error("AC97", "descriptor %u at %#x is not in memory", c->current, c->base);
    }
    c->address = load_le32(raw) & ~1u;
    c->length = load_le32(raw + 4);
    c->left = (uint16_t)c->length;
    c->loaded = 1;
    return c->left != 0;
}

/* The current buffer is done. Returns whether there is another one. */
static bool end_buffer(Ac97 *ac97, Channel *c)
{
    if (c->length & LENGTH_INTERRUPT) {
        c->status |= STATUS_COMPLETION;
    }
    if (c->current == c->last) {
        c->status |= STATUS_LAST | STATUS_AT_LAST | STATUS_HALTED;
        update_irq(ac97);
        return false;
    }
    load_descriptor(ac97, c);
    update_irq(ac97);
    return true;
}

/* Moves up to `samples` between the channel's buffers and data; returns how many. Empty buffers are passed over, but not for ever. */
static size_t move_samples(Ac97 *ac97, Channel *c, bool to_memory, uint8_t *data, size_t samples)
{
    AddressSpace *space = &ac97->pci.device.machine->memory_space;
    MemoryAttributes attributes = pci_dma_attributes(&ac97->pci);
    size_t done = 0, n;

    if (!pci_bus_master_enabled(&ac97->pci)) {
        return 0;
    }
    for (unsigned turns = 0; done < samples && turns < 2 * DESCRIPTORS; turns++) {
        if (!(c->control & CONTROL_RUN) || c->status & STATUS_HALTED) {
            break;
        }
        n = MIN(samples - done, c->left);
        if (to_memory) {
            address_space_write_bytes(space, c->address, data + done * 2, n * 2, attributes);
        } else if (address_space_read_bytes(space, c->address, data + done * 2, n * 2,
                                            attributes) != MEMORY_OK) {
            memset(data + done * 2, 0, n * 2);
        }
        done += n;
        c->address += (uint32_t)n * 2;
        c->left = (uint16_t)(c->left - n);
        if (c->left == 0 && !end_buffer(ac97, c)) {
            break;
        }
    }
    return done;
}

static size_t play(void *opaque, void *data, size_t frames)
{
    Ac97 *ac97 = opaque;

    return move_samples(ac97, &ac97->channels[CHANNEL_PLAY], false, data, frames * 2) / 2;
}

static void record(void *opaque, const void *data, size_t frames)
{
    Ac97 *ac97 = opaque;

    move_samples(ac97, &ac97->channels[CHANNEL_RECORD], true, (uint8_t *)data, frames * 2);
}

static void record_microphone(void *opaque, const void *data, size_t frames)
{
    Ac97 *ac97 = opaque;

    move_samples(ac97, &ac97->channels[CHANNEL_MICROPHONE], true, (uint8_t *)data, frames);
}

static size_t play_until_event(void *opaque)
{
    return ((Ac97 *)opaque)->channels[CHANNEL_PLAY].left / 2;
}

static size_t record_until_event(void *opaque)
{
    return ((Ac97 *)opaque)->channels[CHANNEL_RECORD].left / 2;
}

static size_t microphone_until_event(void *opaque)
{
    return ((Ac97 *)opaque)->channels[CHANNEL_MICROPHONE].left;
}

/* A driver has its buffers in the list again and again: after how many the same one comes. */
static unsigned buffers_of_ring(Ac97 *ac97, const Channel *c)
{
    uint8_t raw[DESCRIPTORS * 8];
    unsigned count = 1;

    if (address_space_read_bytes(&ac97->pci.device.machine->memory_space, c->base, raw, sizeof raw,
                                 pci_dma_attributes(&ac97->pci)) != MEMORY_OK) {
        return 0;
    }
    while (count < DESCRIPTORS && memcmp(raw, raw + count * 8, 4)) {
        count++;
    }
    return count;
}

static size_t unseen(Ac97 *ac97, unsigned i)
{
    const Channel *c = &ac97->channels[i];
    size_t period = (uint16_t)c->length / (i == CHANNEL_MICROPHONE ? 1 : 2);

    return channel_interrupts(c) ? audio_surely_filled(buffers_of_ring(ac97, c) * period, period)
                                 : AUDIO_ALL_SEEN;
}

static size_t play_unseen(void *opaque)
{
    return unseen(opaque, CHANNEL_PLAY);
}

static size_t record_unseen(void *opaque)
{
    return unseen(opaque, CHANNEL_RECORD);
}

static size_t microphone_unseen(void *opaque)
{
    return unseen(opaque, CHANNEL_MICROPHONE);
}

static const struct {
    const char *name;
    AudioDirection direction;
    unsigned channels;
    uint8_t rate; /* register of the codec */
    AudioClient client;
} kinds[CHANNELS] = {
    [CHANNEL_RECORD] = { "AC97 in",
                         AUDIO_RECORD,
                         2,
                         CODEC_ADC_RATE,
                         { .record = record,
                           .until_event = record_until_event,
                           .unseen = record_unseen } },
    [CHANNEL_PLAY] = { "AC97 out",
                       AUDIO_PLAY,
                       2,
                       CODEC_DAC_RATE,
                       { .play = play, .until_event = play_until_event, .unseen = play_unseen } },
    [CHANNEL_MICROPHONE] = { "AC97 microphone",
                             AUDIO_RECORD,
                             1,
                             CODEC_MICROPHONE_RATE,
                             { .record = record_microphone,
                               .until_event = microphone_until_event,
                               .unseen = microphone_unseen } },
};

/* Streams follow what the registers say: after a change of a rate, a volume, or a channel's run bit. */
static void update_stream(Ac97 *ac97, unsigned i)
{
    AudioSettings settings = { AUDIO_FORMAT_S16, ac97->codec[kinds[i].rate / 2],
                               kinds[i].channels };
    float left, right;

    if (kinds[i].direction == AUDIO_PLAY) {
        ac97_codec_play_gains(ac97->codec, &left, &right);
    } else {
        ac97_codec_record_gains(ac97->codec, &left, &right);
    }
    audio_stream_set_volume(ac97->streams[i], left, right);
    if (ac97->channels[i].control & CONTROL_RUN) {
        audio_stream_start(ac97->streams[i], &settings);
    } else {
        audio_stream_stop(ac97->streams[i]);
    }
}

static void update_streams(Ac97 *ac97)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        update_stream(ac97, i);
    }
}

/* Registers of a bus master's channel; the array index is the channel. */

static void sync_channel(Ac97 *ac97, unsigned i)
{
    audio_stream_update(ac97->streams[i]);
}

static uint64_t base_read(Device *device, unsigned i)
{
    return ac97_of(device)->channels[i].base;
}

static void base_write(Device *device, unsigned i, uint64_t value)
{
    ac97_of(device)->channels[i].base = value & ~7u;
}

static uint64_t current_read(Device *device, unsigned i)
{
    sync_channel(ac97_of(device), i);
    return ac97_of(device)->channels[i].current;
}

static uint64_t last_read(Device *device, unsigned i)
{
    return ac97_of(device)->channels[i].last;
}

/* A channel that waits at its last buffer goes on to the next one. */
static void last_write(Device *device, unsigned i, uint64_t value)
{
    Ac97 *ac97 = ac97_of(device);
    Channel *c = &ac97->channels[i];

    sync_channel(ac97, i);
    c->last = value % DESCRIPTORS;
    if (c->control & CONTROL_RUN && c->status & STATUS_HALTED) {
        c->status &= ~(STATUS_HALTED | STATUS_AT_LAST);
        load_descriptor(ac97, c);
        audio_stream_wake(ac97->streams[i]);
    }
}

static uint64_t status_read(Device *device, unsigned i)
{
    Channel *c = &ac97_of(device)->channels[i];

    sync_channel(ac97_of(device), i);
    return c->status | (c->loaded && c->current == c->last ? STATUS_AT_LAST : 0);
}

static void status_write(Device *device, unsigned i, uint64_t value)
{
    ac97_of(device)->channels[i].status &= ~(value & STATUS_CLEARED_BY_ONE);
    update_irq(ac97_of(device));
    audio_stream_seen(ac97_of(device)->streams[i]);
}

static uint64_t left_read(Device *device, unsigned i)
{
    sync_channel(ac97_of(device), i);
    return ac97_of(device)->channels[i].left;
}

static uint64_t next_read(Device *device, unsigned i)
{
    sync_channel(ac97_of(device), i);
    return ac97_of(device)->channels[i].next;
}

static uint64_t control_read(Device *device, unsigned i)
{
    return ac97_of(device)->channels[i].control;
}

static void reset_channel(Ac97 *ac97, unsigned i)
{
    ac97->channels[i] = (Channel){ .status = STATUS_HALTED };
    update_stream(ac97, i);
}

static void control_write(Device *device, unsigned i, uint64_t value)
{
    Ac97 *ac97 = ac97_of(device);
    Channel *c = &ac97->channels[i];
    bool ran = c->control & CONTROL_RUN;

    if (value & CONTROL_RESET) {
        if (ran) {
            log_guest_error("AC97", "channel %u is reset while it runs", i);
        }
        reset_channel(ac97, i);
        update_irq(ac97);
        return;
    }
    if (ran) {
        sync_channel(ac97, i);
    }
    c->control = value & 0x1f;
    if (!(value & CONTROL_RUN)) {
        c->status |= STATUS_HALTED;
    } else if (!ran) {
        c->status &= ~(STATUS_HALTED | STATUS_AT_LAST);
        if (!c->loaded || c->left == 0) {
            load_descriptor(ac97, c);
        }
    }
    update_stream(ac97, i);
    update_irq(ac97);
}

static uint64_t global_control_read(Device *device, unsigned index)
{
    return ac97_of(device)->global_control;
}

static void reset_all(Ac97 *ac97)
{
    ac97_codec_reset(ac97->codec);
    for (unsigned i = 0; i < CHANNELS; i++) {
        reset_channel(ac97, i);
    }
    update_irq(ac97);
}

static void global_control_write(Device *device, unsigned index, uint64_t value)
{
    Ac97 *ac97 = ac97_of(device);
    bool was_out = ac97->global_control & GLOBAL_COLD_RESET;

    ac97->global_control = value & GLOBAL_CONTROL_WRITABLE;
    if (was_out && !(value & GLOBAL_COLD_RESET)) {
        reset_all(ac97);
    }
}

static uint64_t global_status_read(Device *device, unsigned index)
{
    return global_status(ac97_of(device));
}

static uint64_t semaphore_read(Device *device, unsigned index)
{
    uint8_t before = ac97_of(device)->semaphore;

    ac97_of(device)->semaphore = 1;
    return before;
}

/* Registers of the codec. */

static uint64_t codec_read(Device *device, unsigned index)
{
    ac97_of(device)->semaphore = 0;
    return ac97_of(device)->codec[index];
}

static void codec_write(Device *device, unsigned index, uint64_t value)
{
    Ac97 *ac97 = ac97_of(device);

    ac97->semaphore = 0;
    for (unsigned i = 0; i < CHANNELS; i++) {
        sync_channel(ac97, i);
    }
    if (ac97_codec_write(ac97->codec, index * 2, (uint16_t)value)) {
        update_streams(ac97);
    }
}

/* clang-format off */
#define CHANNEL_REGISTER(name, offset, width, access, ...) \
    { name, offset, width, access, .count = CHANNELS, .stride = 0x10, .field = REGISTER_NO_FIELD, __VA_ARGS__ }
static const Register master_registers[] = {
    CHANNEL_REGISTER("BDBAR", 0x00, 4, REGISTER_RW, .read = base_read, .write = base_write, .summary = "list of 32 descriptors"),
    CHANNEL_REGISTER("CIV", 0x04, 1, REGISTER_R, .read = current_read, .summary = "current descriptor"),
    CHANNEL_REGISTER("LVI", 0x05, 1, REGISTER_RW, .read = last_read, .write = last_write, .summary = "last valid descriptor"),
    CHANNEL_REGISTER("SR", 0x06, 2, REGISTER_RW, .read = status_read, .write = status_write),
    CHANNEL_REGISTER("PICB", 0x08, 2, REGISTER_R, .read = left_read, .summary = "samples left in the current buffer"),
    CHANNEL_REGISTER("PIV", 0x0a, 1, REGISTER_R, .read = next_read, .summary = "descriptor after the current one"),
    CHANNEL_REGISTER("CR", 0x0b, 1, REGISTER_RW, .read = control_read, .write = control_write),
    { "GLOB_CNT", 0x2c, 4, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = global_control_read, .write = global_control_write },
    { "GLOB_STA", 0x30, 4, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = global_status_read },
    { "CAS", 0x34, 1, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = semaphore_read, .summary = "codec access semaphore" },
    { 0 },
};
static const Register codec_registers[] = {
    { "CODEC", 0, 2, REGISTER_RW, .count = AC97_CODEC_REGISTERS, .field = REGISTER_NO_FIELD, .read = codec_read, .write = codec_write },
    { 0 },
};
/* clang-format on */

static const RegisterBank codec_bank = {
    .name = "AC97.codec", .size = CODEC_BYTES, .registers = codec_registers, .ports = true
};
static const RegisterBank master_bank = {
    .name = "AC97.master", .size = MASTER_BYTES, .registers = master_registers, .ports = true
};

static bool ac97_realize(Device *device, GError **error)
{
    Ac97 *ac97 = ac97_of(device);
    Audiodev *audiodev = audiodev_choose(device->machine, ac97->audiodev, error);

    if (!audiodev) {
        return false;
    }
    pci_set_identity(&ac97->pci, 0x8086, 0x2415, CLASS_AUDIO, 1);
    pci_set_interrupt_pin(&ac97->pci, 1);
    register_bank_init(device, &ac97->codec_region, &codec_bank);
    register_bank_init(device, &ac97->master_region, &master_bank);
    pci_add_bar(&ac97->pci, 0, PCI_BAR_IO, false, &ac97->codec_region);
    pci_add_bar(&ac97->pci, 1, PCI_BAR_IO, false, &ac97->master_region);
    for (unsigned i = 0; i < CHANNELS; i++) {
        ac97->streams[i] =
            audio_stream_new(audiodev, kinds[i].direction, kinds[i].name, &kinds[i].client, ac97);
    }
    return true;
}

static void ac97_unrealize(Device *device)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        audio_stream_free(ac97_of(device)->streams[i]);
    }
}

static void ac97_reset(Device *device)
{
    Ac97 *ac97 = ac97_of(device);

    reset_all(ac97);
    ac97->global_control = 0;
    ac97->semaphore = 0;
    pci_reset(&ac97->pci);
}

static void ac97_state_loaded(Device *device)
{
    pci_state_loaded(pci_device(device));
    update_streams(ac97_of(device));
    update_irq(ac97_of(device));
}

static const StateField channel_state[] = {
    STATE(Channel, base),
    STATE_MOST(Channel, current, DESCRIPTORS - 1),
    STATE_MOST(Channel, last, DESCRIPTORS - 1),
    STATE_MOST(Channel, next, DESCRIPTORS - 1),
    STATE(Channel, control),
    STATE(Channel, status),
    STATE(Channel, left),
    STATE(Channel, address),
    STATE(Channel, length),
    STATE_MOST(Channel, loaded, 1),
    { 0 },
};

static const DeviceType ac97_type = {
    .name = "AC97",
    .alias = "ac97",
    .summary = "Intel 82801AA AC97 Audio",
    .bus = "pci",
    .category = "sound",
    .instance_size = sizeof(Ac97),
    .properties = (const Property[]){ { "audiodev", PROPERTY_AUDIODEV, offsetof(Ac97, audiodev),
                                        "id of the back end of sound" },
                                      { 0 } },
    .bus_properties = (const Property[]){ PCI_PROPERTIES(Ac97, pci), { 0 } },
    .state = (const StateField[]){ PCI_STATE(Ac97, pci),
                                   STATE(Ac97, codec),
                                   STATE_STRUCTS(Ac97, channels, channel_state),
                                   STATE(Ac97, global_control),
                                   STATE(Ac97, semaphore),
                                   { 0 } },
    .realize = ac97_realize,
    .unrealize = ac97_unrealize,
    .reset = ac97_reset,
    .state_loaded = ac97_state_loaded,
};
DEVICE_TYPE(ac97_type);
