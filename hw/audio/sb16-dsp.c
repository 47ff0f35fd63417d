/* SPDX-License-Identifier: MIT */
/* Commands of the Sound Blaster 16's DSP: a byte, its arguments, and answers. */
#include "hw/audio/sb16.h"

#include <string.h>

enum { RATE_LEAST = 4000, MICROSECONDS = 1000000 };

/* Modes of commands 0xb0 to 0xcf, in the command and its first argument. */
enum {
    COMMAND_RECORD = 1 << 3,
    COMMAND_AUTOMATIC = 1 << 2,
    MODE_STEREO = 1 << 5,
    MODE_SIGNED = 1 << 4,
};

static uint16_t word(const Sb16 *sb, unsigned first)
{
    return (uint16_t)(sb->arguments[first] | sb->arguments[first + 1] << 8);
}

void sb16_answer(Sb16 *sb, uint8_t value)
{
    if (sb->answer_count < SB16_ANSWERS_MOST) {
        sb->answers[(sb->answer_first + sb->answer_count++) % SB16_ANSWERS_MOST] = value;
    }
}

/* When there is none, the last one stays on the port. */
uint8_t sb16_take_answer(Sb16 *sb)
{
    uint8_t value = sb->answers[sb->answer_first];

    if (sb->answer_count) {
        sb->answer_count--;
        sb->answer_first = (sb->answer_first + 1) % SB16_ANSWERS_MOST;
        if (sb->answer_count == 0) {
            sb->answers[sb->answer_first] = value;
        }
    }
    return value;
}

void sb16_dsp_reset(Sb16 *sb)
{
    sb->command = 0;
    memset(sb->arguments, 0, sizeof sb->arguments);
    memset(sb->answers, 0, sizeof sb->answers);
    sb->argument_count = sb->arguments_wanted = sb->answer_first = sb->answer_count = 0;
    sb->mode = SB16_IDLE;
    sb->format = AUDIO_FORMAT_U8;
    sb->stereo = sb->automatic = sb->paused = 0;
    sb->rate = 11025;
    sb->block_bytes = sb->left_bytes = 0x800;
    sb->since_end = sb->ring_bytes = 0;
    sb->idle_frames = 0;
    sb->direct_sample = 0x80;
    memset(sb->partial, 0, sizeof sb->partial);
    sb->partial_bytes = 0;
}

static void begin(Sb16 *sb, Sb16Mode mode, uint32_t block_bytes)
{
    sb->mode = (uint8_t)mode;
    sb->block_bytes = sb->left_bytes = block_bytes;
    sb->paused = 0;
    sb->partial_bytes = 0;
}

/* The transfers of older cards: 8 bits; stereo, and then at half the rate that was set, by the mixer. */
static void begin_old(Sb16 *sb, Sb16Mode mode, bool automatic, uint32_t block_bytes)
{
    sb->format = AUDIO_FORMAT_U8;
    sb->stereo = sb->mixer[SB16_OUTPUT_SELECT] >> 1 & 1;
    sb->automatic = automatic;
    begin(sb, mode, block_bytes);
}

static void begin_new(Sb16 *sb)
{
    bool wide = (sb->command & 0xf0) == 0xb0, is_signed = sb->arguments[0] & MODE_SIGNED;
    uint32_t samples = word(sb, 1) + 1u;

    sb->format = wide ? (is_signed ? AUDIO_FORMAT_S16 : AUDIO_FORMAT_U16)
                      : (is_signed ? AUDIO_FORMAT_S8 : AUDIO_FORMAT_U8);
    sb->stereo = (sb->arguments[0] & MODE_STEREO) != 0;
    sb->automatic = (sb->command & COMMAND_AUTOMATIC) != 0;
    begin(sb, sb->command & COMMAND_RECORD ? SB16_RECORD : SB16_PLAY, samples * (wide ? 2 : 1));
}

static void set_time_constant(Sb16 *sb, uint8_t value)
{
    uint32_t rate = MICROSECONDS / (256u - value);

    /* What older programs set for stereo counts both channels. */
    if (sb->mixer[SB16_OUTPUT_SELECT] & 2) {
        rate /= 2;
    }
    sb->rate = MAX(rate, RATE_LEAST);
}

static void set_rate(Sb16 *sb)
{
    uint32_t rate = (uint32_t)sb->arguments[0] << 8 | sb->arguments[1]; /* the high byte first */

    sb->rate = CLAMP(rate, RATE_LEAST, SB16_RATE_MOST);
}

static void write_direct(Sb16 *sb, uint8_t sample)
{
    sb->mode = SB16_DIRECT;
    sb->direct_sample = sample;
    sb->idle_frames = 0;
}

static void answer_text(Sb16 *sb, const char *text)
{
    do {
        sb16_answer(sb, (uint8_t)*text);
    } while (*text++);
}

static void pause_transfer(Sb16 *sb, bool paused)
{
    sb->paused = paused;
}

static void commands_about_itself(Sb16 *sb)
{
    switch (sb->command) {
    case 0xd1:
    case 0xd3:
        sb->speaker = sb->command == 0xd1 ? 0xff : 0;
        break;
    case 0xd8:
        sb16_answer(sb, sb->speaker);
        break;
    case 0xe0:
        sb16_answer(sb, (uint8_t)~sb->arguments[0]);
        break;
    case 0xe1:
        sb16_answer(sb, (uint8_t)(sb->version >> 8));
        sb16_answer(sb, (uint8_t)sb->version);
        break;
    case 0xe3:
        answer_text(sb, "COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992.");
        break;
    case 0xe4:
        sb->test = sb->arguments[0];
        break;
    case 0xe8:
        sb16_answer(sb, sb->test);
        break;
    case 0xf2:
        sb16_raise(sb, SB16_IRQ_8BIT);
        break;
    case 0xf3:
        sb16_raise(sb, SB16_IRQ_16BIT);
        break;
    case 0x08: /* the effects processor, which is absent */
    case 0x0f:
    case 0xf8:
        sb16_answer(sb, 0);
        break;
    case 0x20: /* a sample of silence */
        sb16_answer(sb, 0x80);
        break;
    default:
        log_unimplemented("sb16", "command %#x of the DSP", sb->command);
    }
}

static void carry_out(Sb16 *sb)
{
    trace("sb16.dsp", "command %#x, arguments %02x %02x %02x", sb->command, sb->arguments[0],
          sb->arguments[1], sb->arguments[2]);
    if (sb->command >= 0xb0 && sb->command <= 0xcf) {
        begin_new(sb);
        return;
    }
    switch (sb->command) {
    case 0x10:
        write_direct(sb, sb->arguments[0]);
        break;
    case 0x14:
    case 0x91:
        begin_old(sb, SB16_PLAY, false, sb->command == 0x14 ? word(sb, 0) + 1u : sb->block_bytes);
        break;
    case 0x1c:
    case 0x90:
        begin_old(sb, SB16_PLAY, true, sb->block_bytes);
        break;
    case 0x24:
    case 0x99:
        begin_old(sb, SB16_RECORD, false, sb->command == 0x24 ? word(sb, 0) + 1u : sb->block_bytes);
        break;
    case 0x2c:
    case 0x98:
        begin_old(sb, SB16_RECORD, true, sb->block_bytes);
        break;
    case 0x40:
        set_time_constant(sb, sb->arguments[0]);
        break;
    case 0x41:
    case 0x42:
        set_rate(sb);
        break;
    case 0x48:
        sb->block_bytes = word(sb, 0) + 1u;
        break;
    case 0x80:
        begin_old(sb, SB16_SILENCE, false, word(sb, 0) + 1u);
        break;
    case 0xd0:
    case 0xd5:
        pause_transfer(sb, true);
        break;
    case 0xd4:
    case 0xd6:
        pause_transfer(sb, false);
        break;
    case 0xd9:
    case 0xda:
        sb->automatic = 0; /* ends with the block */
        break;
    default:
        commands_about_itself(sb);
    }
}

static unsigned arguments_of(uint8_t command)
{
    static const uint8_t one[] = { 0x04, 0x08, 0x0f, 0x10, 0x38, 0x40, 0xe0, 0xe2, 0xe4 };
    static const uint8_t two[] = { 0x05, 0x0e, 0x14, 0x16, 0x17, 0x24, 0x41,
                                   0x42, 0x48, 0x74, 0x75, 0x76, 0x77, 0x80 };

    if (command >= 0xb0 && command <= 0xcf) {
        return 3;
    }
    return memchr(one, command, sizeof one) ? 1 : memchr(two, command, sizeof two) ? 2 : 0;
}

void sb16_dsp_write(Sb16 *sb, uint8_t value)
{
    if (sb->argument_count < sb->arguments_wanted) {
        sb->arguments[sb->argument_count++] = value;
    } else {
        sb->command = value;
        sb->argument_count = 0;
        sb->arguments_wanted = (uint8_t)arguments_of(value);
    }
    if (sb->argument_count == sb->arguments_wanted) {
        sb->arguments_wanted = sb->argument_count = 0;
        carry_out(sb);
        sb16_follow(sb);
    }
}
