/* SPDX-License-Identifier: MIT */
/* The Sound Blaster 16's mixer, CT1745: of its volumes those of master and voice have an effect. */
#include "hw/audio/sb16.h"

#include <math.h>
#include <string.h>

enum {
    RESET = 0x00,
    OLD_VOICE = 0x04, /* those of the CT1345: both sides in a byte */
    OLD_MICROPHONE = 0x0a,
    OLD_MASTER = 0x22,
    OLD_FM = 0x26,
    OLD_CD = 0x28,
    OLD_LINE = 0x2e,
    MASTER = 0x30, /* left, and right behind it */
    VOICE = 0x32,
    MICROPHONE = 0x3a,
    LAST_VOLUME = 0x3a,
    INTERRUPT_SELECT = 0x80,
    DMA_SELECT = 0x81,
};

/* Old registers and the pairs that they are the upper bits of. */
static const struct {
    uint8_t old, pair;
} pairs[] = {
    { OLD_MASTER, MASTER }, { OLD_VOICE, VOICE }, { OLD_FM, 0x34 },
    { OLD_CD, 0x36 },       { OLD_LINE, 0x38 },
};

static void show_old(Sb16 *sb)
{
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        sb->mixer[pairs[i].old] =
            (sb->mixer[pairs[i].pair] & 0xf0) | sb->mixer[pairs[i].pair + 1] >> 4;
    }
}

void sb16_mixer_reset(Sb16 *sb)
{
    static const uint8_t interrupts[] = { 2, 5, 7, 10 };

    memset(sb->mixer, 0, sizeof sb->mixer);
    for (unsigned i = MASTER; i < MASTER + 6; i++) {
        sb->mixer[i] = 24 << 3; /* -14 dB */
    }
    sb->mixer[0x3c] = 0x1f; /* all sources to the output, and the usual to the input */
    sb->mixer[0x3d] = 0x15;
    sb->mixer[0x3e] = 0x0b;
    for (unsigned i = 0x44; i <= 0x47; i++) {
        sb->mixer[i] = 0x80;
    }
    for (size_t i = 0; i < ARRAY_SIZE(interrupts); i++) {
        sb->mixer[INTERRUPT_SELECT] |= sb->irq_number == interrupts[i] ? 1u << i : 0;
    }
    sb->mixer[DMA_SELECT] = (uint8_t)(1u << (sb->dma & 7) | 1u << (sb->dma16 & 7));
    show_old(sb);
}

uint8_t sb16_mixer_read(Sb16 *sb)
{
    return sb->mixer[sb->mixer_index];
}

void sb16_mixer_write(Sb16 *sb, uint8_t value)
{
    uint8_t index = sb->mixer_index, pending = sb->mixer[SB16_INTERRUPT_STATUS];

    switch (index) {
    case RESET:
        sb16_mixer_reset(sb);
        sb->mixer[SB16_INTERRUPT_STATUS] = pending;
        return;
    case INTERRUPT_SELECT:
    case DMA_SELECT:
    case SB16_INTERRUPT_STATUS:
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        if (pairs[i].old == index) {
            sb->mixer[pairs[i].pair] = (value & 0xf0) | 0x08;
            sb->mixer[pairs[i].pair + 1] = (uint8_t)(value << 4) | 0x08;
        }
    }
    sb->mixer[index] = index >= MASTER && index <= LAST_VOLUME ? value & 0xf8 : value;
    show_old(sb);
}

/* Steps of 2 dB, from -62 dB to 0. */
static float gain_of(uint8_t value)
{
    return powf(10, ((float)(value >> 3) - 31) * 2 / 20);
}

void sb16_mixer_gains(const Sb16 *sb, float *left, float *right)
{
    *left = gain_of(sb->mixer[MASTER]) * gain_of(sb->mixer[VOICE]);
    *right = gain_of(sb->mixer[MASTER + 1]) * gain_of(sb->mixer[VOICE + 1]);
}
