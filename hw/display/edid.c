/* SPDX-License-Identifier: MIT */
/* An EDID block, version 1.4 (VESA E-EDID Standard, release A2): a digital monitor with one preferred mode. */
#include "hw/display/vga.h"

enum {
    OFFSET_ID = 8,
    OFFSET_VERSION = 18,
    OFFSET_ESTABLISHED = 35,
    OFFSET_STANDARD = 38,
    OFFSET_DETAILED = 54,
    DESCRIPTOR_SIZE = 18,
    DOTS_PER_CM = 39, /* 100 dots an inch */
};

/* Section 3.11: a descriptor of up to 13 characters, ended by a line feed. */
static void put_text(uint8_t *out, uint8_t tag, const char *text)
{
    size_t length = strlen(text);

    out[3] = tag;
    memset(out + 5, ' ', 13);
    memcpy(out + 5, text, length);
    out[5 + length] = '\n';
}

/* Section 3.10.2. Blanking as the reduced-blanking timings of VESA's CVT have it. */
static void put_timing(uint8_t *out, uint32_t width, uint32_t height, uint32_t refresh_millihertz)
{
    uint32_t h_blank = 160, v_blank = MAX(height * 35 / 1000, 10), v_front = 3, v_sync = 4;
    uint64_t clock =
        (uint64_t)(width + h_blank) * (height + v_blank) * refresh_millihertz / 1000 / 10000;
    uint32_t width_mm = width * 10 / DOTS_PER_CM, height_mm = height * 10 / DOTS_PER_CM;

    store_le16(out, (uint16_t)MIN(clock, UINT16_MAX));
    out[2] = (uint8_t)width;
    out[3] = (uint8_t)h_blank;
    out[4] = (uint8_t)((width >> 8 & 0xf) << 4 | h_blank >> 8);
    out[5] = (uint8_t)height;
    out[6] = (uint8_t)v_blank;
    out[7] = (uint8_t)((height >> 8 & 0xf) << 4 | v_blank >> 8);
    out[8] = 48; /* pixels before, and of, the horizontal sync */
    out[9] = 32;
    out[10] = (uint8_t)(v_front << 4 | v_sync);
    out[12] = (uint8_t)width_mm;
    out[13] = (uint8_t)height_mm;
    out[14] = (uint8_t)((width_mm >> 8 & 0xf) << 4 | (height_mm >> 8 & 0xf));
    out[17] = 0x1e; /* digital separate syncs, both positive */
}

/* Section 3.9: multiples of eight from 256 pixels on, by aspect ratio, at 60 Hz. */
static void put_standard(uint8_t *out, uint32_t width_max, uint32_t height_max)
{
    static const struct {
        uint16_t width, height;
        uint8_t aspect; /* 0 16:10, 1 4:3, 2 5:4, 3 16:9 */
    } modes[] = { { 1920, 1080, 3 }, { 1280, 720, 3 },  { 1440, 900, 0 }, { 1680, 1050, 0 },
                  { 1280, 1024, 2 }, { 1600, 1200, 1 }, { 1280, 960, 1 }, { 1920, 1200, 0 } };

    memset(out, 1, 16);
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        if (modes[i].width <= width_max && modes[i].height <= height_max) {
            *out++ = (uint8_t)(modes[i].width / 8 - 31);
            *out++ = (uint8_t)(modes[i].aspect << 6);
        }
    }
}

void edid_make(uint8_t edid[128], uint32_t width, uint32_t height, uint32_t width_max,
               uint32_t height_max, uint32_t refresh_millihertz)
{
    static const uint8_t magic[8] = { 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0 };
    /* sRGB's primaries and D65, section 3.7. */
    static const uint8_t colours[10] = {
        0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54
    };
    /* Five bits a letter: KSO. */
    static const uint8_t identity[10] = { 0x2e, 0x6f, 1, 0, 1, 0, 0, 0, 1, 34 };
    uint8_t *descriptor = edid + OFFSET_DETAILED, sum = 0;

    memset(edid, 0, 128);
    memcpy(edid, magic, sizeof(magic));
    memcpy(edid + OFFSET_ID, identity, sizeof(identity));
    edid[OFFSET_VERSION] = 1;
    edid[19] = 4;
    edid[20] = 0xa5; /* digital, 8 bits a colour, DisplayPort */
    edid[21] = (uint8_t)CLAMP(width / DOTS_PER_CM, 1, 255);
    edid[22] = (uint8_t)CLAMP(height / DOTS_PER_CM, 1, 255);
    edid[23] = 120;  /* gamma 2.2 */
    edid[24] = 0x06; /* sRGB; the first detailed timing is the native one */
    memcpy(edid + 25, colours, sizeof(colours));
    edid[OFFSET_ESTABLISHED] = 0x21;     /* 640x480 and 800x600 at 60 Hz */
    edid[OFFSET_ESTABLISHED + 1] = 0x08; /* 1024x768 at 60 Hz */
    put_standard(edid + OFFSET_STANDARD, width_max, height_max);
    put_timing(descriptor, width, height, refresh_millihertz);
    descriptor += DESCRIPTOR_SIZE;
    descriptor[3] =
        0xfd; /* ranges: 50 to 125 Hz, 30 to 160 kHz, 2550 MHz; none but listed timings */
    memcpy(descriptor + 5, (const uint8_t[]){ 50, 125, 30, 160, 255, 1, '\n' }, 7);
    memset(descriptor + 12, ' ', 6);
    descriptor += DESCRIPTOR_SIZE;
    put_text(descriptor, 0xfc, "Kaso Monitor");
    descriptor += DESCRIPTOR_SIZE;
    descriptor[3] = 0x10; /* unused */
    for (unsigned i = 0; i < 127; i++) {
        sum += edid[i];
    }
    edid[127] = (uint8_t)-sum;
}
