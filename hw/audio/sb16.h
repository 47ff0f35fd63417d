/* SPDX-License-Identifier: MIT */
/* The parts of a Sound Blaster 16: its DSP's transfers (sb16.c), commands (sb16-dsp.c) and mixer (sb16-mixer.c). */
#ifndef HW_AUDIO_SB16_H
#define HW_AUDIO_SB16_H

#include "machine/audio.h"
#include "machine/device.h"

enum {
    SB16_MIXER_REGISTERS = 256,
    SB16_ARGUMENTS_MOST = 4,
    SB16_ANSWERS_MOST = 64,

    SB16_RATE_MOST = 48000,
    SB16_BLOCK_MOST = 0x20000, /* bytes */

    /* Registers of the mixer that mean something to the DSP. */
    SB16_OUTPUT_SELECT = 0x0e, /* bit 1: the commands of older cards are in stereo */
    SB16_INTERRUPT_STATUS = 0x82,
    SB16_IRQ_8BIT = 1 << 0, /* in the mixer's interrupt status */
    SB16_IRQ_16BIT = 1 << 1,
};

/* What the DSP is doing. */
typedef enum { SB16_IDLE, SB16_PLAY, SB16_RECORD, SB16_SILENCE, SB16_DIRECT } Sb16Mode;

typedef struct {
    Device device;
    IrqLine irq;
    /* The DSP's mailbox. */
    uint8_t command, arguments[SB16_ARGUMENTS_MOST], argument_count, arguments_wanted;
    uint8_t answers[SB16_ANSWERS_MOST], answer_first, answer_count;
    uint8_t reset_line, test, speaker;
    /* The transfer. */
    uint8_t mode;   /* Sb16Mode */
    uint8_t format; /* AudioFormat */
    uint8_t stereo, automatic, paused;
    uint32_t rate;
    uint32_t block_bytes, left_bytes; /* of a block: after it comes an interrupt */
    uint32_t since_end,
        ring_bytes; /* bytes since the DMA channel's count ran out, and between the last two times */
    uint32_t idle_frames; /* SB16_DIRECT: since the last sample */
    uint8_t direct_sample;
    uint8_t partial[4], partial_bytes; /* of a frame that a block ended in */
    uint8_t mixer_index, mixer[SB16_MIXER_REGISTERS];
    /* Properties, and what comes of them. */
    Audiodev *audiodev;
    uint32_t version, iobase, irq_number, dma, dma16;
    AudioStream *out, *in;
} Sb16;

static inline Sb16 *sb16_of(Device *device)
{
    return container_of(device, Sb16, device);
}

void sb16_raise(Sb16 *sb, uint8_t which);
static inline bool sb16_is_wide(const Sb16 *sb)
{
    return sb->format == AUDIO_FORMAT_S16 || sb->format == AUDIO_FORMAT_U16;
}
/* Before something of the transfer changes: it has gone on as it was until now. */
void sb16_update(Sb16 *sb);
/* After it: streams and DMA requests are as the transfer is. */
void sb16_follow(Sb16 *sb);

/* sb16-dsp.c */
void sb16_dsp_reset(Sb16 *sb);
void sb16_dsp_write(Sb16 *sb, uint8_t value);
void sb16_answer(Sb16 *sb, uint8_t value);
uint8_t sb16_take_answer(Sb16 *sb);

/* sb16-mixer.c */
void sb16_mixer_reset(Sb16 *sb);
uint8_t sb16_mixer_read(Sb16 *sb);
void sb16_mixer_write(Sb16 *sb, uint8_t value);
/* Of the voice, with the master. */
void sb16_mixer_gains(const Sb16 *sb, float *left, float *right);

#endif
