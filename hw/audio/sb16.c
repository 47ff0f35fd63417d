/* SPDX-License-Identifier: MIT */
/*
 * Creative Sound Blaster 16 (Creative, "Sound Blaster Series Hardware Programming Guide"): DSP 4.05 with transfers of 8 and 16
 * bits, and the CT1745 mixer.
 *
 * Not modelled: the FM synthesizer, the MPU-401 and MIDI, ADPCM, the joystick, and the choice of interrupt and DMA channels by
 * the mixer, which shows what the properties say.
 */
#include "hw/audio/sb16.h"

#include <string.h>

#include "base/error.h"
#include "hw/isa/isa.h"
#include "machine/isa-dma.h"
#include "machine/machine.h"

enum { PORTS = 16, DIRECT_RATE = 44100, DIRECT_IDLE_FRAMES = DIRECT_RATE / 2 };

static unsigned channel_of(const Sb16 *sb)
{
    return sb16_is_wide(sb) ? sb->dma16 : sb->dma;
}

static bool uses_dma(const Sb16 *sb)
{
    return (sb->mode == SB16_PLAY || sb->mode == SB16_RECORD) && !sb->paused;
}

/* Interrupts. */

static void update_irq(Sb16 *sb)
{
    irq_set(&sb->irq, (sb->mixer[SB16_INTERRUPT_STATUS] & (SB16_IRQ_8BIT | SB16_IRQ_16BIT)) != 0);
}

void sb16_raise(Sb16 *sb, uint8_t which)
{
    sb->mixer[SB16_INTERRUPT_STATUS] |= which;
    update_irq(sb);
}

static void acknowledge(Sb16 *sb, uint8_t which)
{
    sb->mixer[SB16_INTERRUPT_STATUS] &= ~which;
    update_irq(sb);
    audio_stream_seen(sb->out);
    audio_stream_seen(sb->in);
}

/* The transfer. */

static AudioSettings settings_of(const Sb16 *sb)
{
    if (sb->mode == SB16_DIRECT) {
        return (AudioSettings){ AUDIO_FORMAT_U8, DIRECT_RATE, 1 };
    }
    return (AudioSettings){ (AudioFormat)sb->format, sb->rate, sb->stereo ? 2 : 1 };
}

static unsigned frame_bytes(const Sb16 *sb)
{
    AudioSettings settings = settings_of(sb);

    return audio_frame_bytes(&settings);
}

/* A block is done. */
static void end_block(Sb16 *sb)
{
    sb->left_bytes = sb->block_bytes;
    if (!sb->automatic || sb->mode == SB16_SILENCE) {
        isa_dma_request(sb->device.machine, channel_of(sb), false);
        sb->mode = SB16_IDLE;
    }
    sb16_raise(sb, sb16_is_wide(sb) ? SB16_IRQ_16BIT : SB16_IRQ_8BIT);
}

/* Moves up to `bytes` by DMA, over the ends of blocks; returns how many. */
static size_t move(Sb16 *sb, IsaDmaDirection direction, uint8_t *data, size_t bytes)
{
    Sb16Mode mode = (Sb16Mode)sb->mode;
    size_t done = 0, n;

    while (done < bytes && sb->mode == mode && uses_dma(sb)) {
        bool end = false;

        n = isa_dma_transfer(sb->device.machine, channel_of(sb), direction, data + done,
                             MIN(bytes - done, sb->left_bytes), &end);
        if (n == 0) {
            break; /* the channel is not set up, or has ended */
        }
        done += n;
        sb->since_end += (uint32_t)n;
        if (end) {
            sb->ring_bytes = sb->since_end;
            sb->since_end = 0;
        }
        sb->left_bytes -= (uint32_t)n;
        if (sb->left_bytes == 0) {
            end_block(sb);
        }
    }
    return done;
}

static size_t play_direct(Sb16 *sb, uint8_t *data, size_t frames)
{
    size_t n = MIN(frames, DIRECT_IDLE_FRAMES - MIN(sb->idle_frames, DIRECT_IDLE_FRAMES));

    memset(data, sb->direct_sample, n);
    sb->idle_frames += (uint32_t)n;
    return n;
}

static size_t play_silence(Sb16 *sb, uint8_t *data, size_t frames)
{
    size_t n = MIN(frames, sb->left_bytes);

    audio_fill_silence((AudioFormat)sb->format, data, n * (sb->stereo ? 2 : 1));
    sb->left_bytes -= (uint32_t)n;
    if (sb->left_bytes == 0) {
        end_block(sb);
    }
    return n;
}

static size_t play(void *opaque, void *data, size_t frames)
{
    Sb16 *sb = opaque;
    unsigned bytes = frame_bytes(sb);
    size_t had = sb->partial_bytes;

    if (sb->mode == SB16_DIRECT) {
        return play_direct(sb, data, frames);
    }
    if (sb->mode == SB16_SILENCE) {
        return play_silence(sb, data, frames);
    }
    if (sb->mode != SB16_PLAY || frames == 0) {
        return 0;
    }
    memcpy(data, sb->partial, had);
    had += move(sb, ISA_DMA_FROM_MEMORY, (uint8_t *)data + had, frames * bytes - had);
    sb->partial_bytes = (uint8_t)(had % bytes);
    memcpy(sb->partial, (uint8_t *)data + had - sb->partial_bytes, sb->partial_bytes);
    return had / bytes;
}

static void record(void *opaque, const void *data, size_t frames)
{
    Sb16 *sb = opaque;

    if (sb->mode == SB16_RECORD) {
        move(sb, ISA_DMA_TO_MEMORY, (uint8_t *)data, frames * frame_bytes(sb));
    }
}

static size_t until_event(void *opaque)
{
    const Sb16 *sb = opaque;

    if (sb->mode == SB16_SILENCE) {
        return sb->left_bytes;
    }
    return uses_dma(sb) ? (sb->left_bytes + frame_bytes(sb) - 1) / frame_bytes(sb) : 0;
}

static size_t unseen(void *opaque)
{
    const Sb16 *sb = opaque;

    return sb->mixer[SB16_INTERRUPT_STATUS] & (SB16_IRQ_8BIT | SB16_IRQ_16BIT)
               ? audio_surely_filled(sb->ring_bytes, sb->block_bytes) / frame_bytes(sb)
               : AUDIO_ALL_SEEN;
}

static const AudioClient play_client = {
    .play = play,
    .until_event = until_event,
    .unseen = unseen,
};
static const AudioClient record_client = {
    .record = record,
    .until_event = until_event,
    .unseen = unseen,
};

void sb16_update(Sb16 *sb)
{
    audio_stream_update(sb->out);
    audio_stream_update(sb->in);
}

void sb16_follow(Sb16 *sb)
{
    AudioSettings settings = settings_of(sb);
    bool request = uses_dma(sb);
    float left, right;

    sb16_mixer_gains(sb, &left, &right);
    audio_stream_set_volume(sb->out, left, right);
    isa_dma_request(sb->device.machine, sb->dma, request && !sb16_is_wide(sb));
    if (sb->dma16 != sb->dma) {
        isa_dma_request(sb->device.machine, sb->dma16, request && sb16_is_wide(sb));
    }
    if (sb->mode == SB16_RECORD && !sb->paused) {
        audio_stream_start(sb->in, &settings);
    } else {
        audio_stream_stop(sb->in);
    }
    /* Between blocks of a guest that starts each by itself the stream waits, and sleeps in the end. */
    if (sb->paused) {
        audio_stream_stop(sb->out);
    } else if (sb->mode != SB16_IDLE && sb->mode != SB16_RECORD) {
        audio_stream_start(sb->out, &settings);
        audio_stream_wake(sb->out);
    }
}

/* The guest unmasked the channel. In the main loop. */
static void dma_ready(void *opaque)
{
    audio_stream_wake(((Sb16 *)opaque)->out);
}

/* Ports. */

static uint64_t mixer_read(Device *device, unsigned index)
{
    return sb16_mixer_read(sb16_of(device));
}

static void mixer_write(Device *device, unsigned index, uint64_t value)
{
    Sb16 *sb = sb16_of(device);

    sb16_update(sb);
    sb16_mixer_write(sb, (uint8_t)value);
    sb16_follow(sb);
}

/* A pulse resets the DSP, which says so. */
static void reset_write(Device *device, unsigned index, uint64_t value)
{
    Sb16 *sb = sb16_of(device);

    if (sb->reset_line && !(value & 1)) {
        sb16_dsp_reset(sb);
        sb16_answer(sb, 0xaa);
        acknowledge(sb, SB16_IRQ_8BIT | SB16_IRQ_16BIT);
        sb16_follow(sb);
    }
    sb->reset_line = value & 1;
}

static uint64_t answer_read(Device *device, unsigned index)
{
    return sb16_take_answer(sb16_of(device));
}

static void command_write(Device *device, unsigned index, uint64_t value)
{
    Sb16 *sb = sb16_of(device);

    sb16_update(sb);
    sb16_dsp_write(sb, (uint8_t)value);
}

/* Bit 7: the DSP is busy. It never is. */
static uint64_t command_read(Device *device, unsigned index)
{
    return 0x7f;
}

/* Bit 7: there is an answer to read. Reading acknowledges. */
static uint64_t status_read(Device *device, unsigned index)
{
    Sb16 *sb = sb16_of(device);

    sb16_update(sb);
    acknowledge(sb, SB16_IRQ_8BIT);
    return sb->answer_count ? 0xff : 0x7f;
}

static uint64_t acknowledge_read(Device *device, unsigned index)
{
    sb16_update(sb16_of(device));
    acknowledge(sb16_of(device), SB16_IRQ_16BIT);
    return 0xff;
}

/* clang-format off */
static const Register registers[] = {
    { "MIXER_INDEX", 0x4, 1, REGISTER_RW, .field = offsetof(Sb16, mixer_index) },
    { "MIXER_DATA", 0x5, 1, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = mixer_read, .write = mixer_write },
    { "RESET", 0x6, 1, REGISTER_W, .field = REGISTER_NO_FIELD, .write = reset_write },
    { "READ", 0xa, 1, REGISTER_R, .field = REGISTER_NO_FIELD, .read = answer_read, .summary = "answers of the DSP" },
    { "COMMAND", 0xc, 1, REGISTER_RW, .field = REGISTER_NO_FIELD, .read = command_read, .write = command_write, .summary = "to the DSP; bit 7: it is busy" },
    { "STATUS", 0xe, 1, REGISTER_R, .field = REGISTER_NO_FIELD, .read = status_read, .summary = "bit 7: there is an answer" },
    { "ACKNOWLEDGE16", 0xf, 1, REGISTER_R, .field = REGISTER_NO_FIELD, .read = acknowledge_read },
    { 0 },
};
/* clang-format on */

static bool sb16_realize(Device *device, GError **error)
{
    Sb16 *sb = sb16_of(device);
    Machine *machine = device->machine;
    Audiodev *audiodev = audiodev_choose(machine, sb->audiodev, error);

    device_add_irq(device, &sb->irq);
    if (!audiodev || !isa_dma_claim(machine, sb->dma, dma_ready, sb, error)) {
        return false;
    }
    if ((sb->dma16 != sb->dma && !isa_dma_claim(machine, sb->dma16, dma_ready, sb, error)) ||
        !isa_place(device, sb->iobase, sb->irq_number, error)) {
        isa_dma_release(machine, sb->dma);
        return false;
    }
    sb->out = audio_stream_new(audiodev, AUDIO_PLAY, "SB16 out", &play_client, sb);
    sb->in = audio_stream_new(audiodev, AUDIO_RECORD, "SB16 in", &record_client, sb);
    return true;
}

static void sb16_unrealize(Device *device)
{
    Sb16 *sb = sb16_of(device);

    audio_stream_free(sb->out);
    audio_stream_free(sb->in);
    isa_dma_release(device->machine, sb->dma);
    isa_dma_release(device->machine, sb->dma16);
}

static void sb16_reset(Device *device)
{
    Sb16 *sb = sb16_of(device);

    sb->reset_line = sb->test = sb->speaker = 0;
    sb16_dsp_reset(sb);
    sb16_mixer_reset(sb);
    sb->mixer_index = 0;
    sb16_follow(sb);
    update_irq(sb);
}

static bool sb16_state_check(Device *device, GError **error)
{
    const Sb16 *sb = sb16_of(device);

    return (sb->answer_first < SB16_ANSWERS_MOST && sb->answer_count <= SB16_ANSWERS_MOST &&
            sb->argument_count <= SB16_ARGUMENTS_MOST && sb->left_bytes && sb->rate) ||
           error_fail(error, KASO_ERROR_INVALID, "the DSP's mailbox or block is beyond its end");
}

static void sb16_state_loaded(Device *device)
{
    update_irq(sb16_of(device));
    sb16_follow(sb16_of(device));
}

static const DeviceType sb16_type = {
    .name = "sb16",
    .summary = "Creative Sound Blaster 16",
    .bus = "isa",
    .category = "sound",
    .instance_size = sizeof(Sb16),
    .properties =
        (const Property[]){
            { "audiodev", PROPERTY_AUDIODEV, offsetof(Sb16, audiodev),
              "id of the back end of sound" },
            { "version", PROPERTY_U32, offsetof(Sb16, version),
              "of the DSP: 256 times the main number, and the other", "1029" },
            { "iobase", PROPERTY_U32, offsetof(Sb16, iobase), "first port", "544" },
            { "irq", PROPERTY_U32, offsetof(Sb16, irq_number), "interrupt line", "5" },
            { "dma", PROPERTY_U32, offsetof(Sb16, dma), "DMA channel of 8-bit sound", "1" },
            { "dma16", PROPERTY_U32, offsetof(Sb16, dma16), "DMA channel of 16-bit sound", "5" },
            { 0 } },
    .banks =
        (const RegisterBank[]){
            { .name = "sb16", .size = PORTS, .registers = registers, .ports = true }, { 0 } },
    .state = (const StateField[]){ STATE(Sb16, command),
                                   STATE(Sb16, arguments),
                                   STATE_MOST(Sb16, argument_count, SB16_ARGUMENTS_MOST),
                                   STATE_MOST(Sb16, arguments_wanted, SB16_ARGUMENTS_MOST),
                                   STATE(Sb16, answers),
                                   STATE_MOST(Sb16, answer_first, SB16_ANSWERS_MOST - 1),
                                   STATE_MOST(Sb16, answer_count, SB16_ANSWERS_MOST),
                                   STATE(Sb16, reset_line),
                                   STATE(Sb16, test),
                                   STATE(Sb16, speaker),
                                   STATE_MOST(Sb16, mode, SB16_DIRECT),
                                   STATE_MOST(Sb16, format, AUDIO_FORMAT_U16),
                                   STATE_MOST(Sb16, stereo, 1),
                                   STATE_MOST(Sb16, automatic, 1),
                                   STATE_MOST(Sb16, paused, 1),
                                   STATE_MOST(Sb16, rate, SB16_RATE_MOST),
                                   STATE_MOST(Sb16, block_bytes, SB16_BLOCK_MOST),
                                   STATE_MOST(Sb16, left_bytes, SB16_BLOCK_MOST),
                                   STATE(Sb16, since_end),
                                   STATE(Sb16, ring_bytes),
                                   STATE(Sb16, idle_frames),
                                   STATE(Sb16, direct_sample),
                                   STATE(Sb16, partial),
                                   STATE_MOST(Sb16, partial_bytes, 3),
                                   STATE(Sb16, mixer_index),
                                   STATE(Sb16, mixer),
                                   { 0 } },
    .realize = sb16_realize,
    .unrealize = sb16_unrealize,
    .reset = sb16_reset,
    .state_check = sb16_state_check,
    .state_loaded = sb16_state_loaded,
};
DEVICE_TYPE(sb16_type);
