/* SPDX-License-Identifier: MIT */
/*
 * From pixels to rectangles of the RFB protocol (RFC 6143, 7.7; the community's rfbproto document for zlib and Tight). An
 * encoder belongs to a client and carries its compression streams; it needs no lock, and one thread uses it at a time.
 */
#ifndef UI_VNC_ENCODE_H
#define UI_VNC_ENCODE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <zlib.h>

typedef enum {
    VNC_RAW = 0,
    VNC_COPY_RECT = 1,
    VNC_HEXTILE = 5,
    VNC_ZLIB = 6,
    VNC_TIGHT = 7,
    VNC_ZRLE = 16,
    VNC_TIGHT_PNG = -260,
} VncEncoding;

/* The pixels that a client wants; ours are 0x00RRGGBB. */
typedef struct {
    unsigned bytes; /* 1, 2 or 4 */
    unsigned depth;
    bool big_endian;
    uint16_t max[3]; /* red, green, blue */
    uint8_t shift[3];
} VncFormat;

/* The one that servers offer: 32 bits as x86 stores them. */
extern const VncFormat vnc_format_ours;
bool vnc_format_is_ours(const VncFormat *format);
/* From the 16 bytes of the protocol. false: nobody can have such pixels. */
bool vnc_format_parse(VncFormat *format, const uint8_t bytes[16]);
void vnc_format_put(const VncFormat *format, uint8_t bytes[16]);

typedef struct {
    z_stream stream;
    bool started;
    int level; /* zlib's own */
} VncDeflate;

typedef struct {
    /* Set by the owner between updates. */
    VncEncoding encoding;
    VncFormat format;
    int level;   /* of compression, 0 to 9, as clients count */
    int quality; /* of JPEG, 0 to 9; -1: nothing may be lost */
    /* What comes out. */
    GByteArray *out;
    unsigned rects;
    /* The rest is the encoder's. */
    VncDeflate zlib, zrle, tight[4];
    bool hard; /* for Tight: pixels that came last did not become much shorter */
    GByteArray *scratch, *packed;
} VncEncoder;

/* For clients that have no wish. */
enum { VNC_LEVEL_DEFAULT = 5 };

void vnc_encoder_init(VncEncoder *encoder);
void vnc_encoder_clear(VncEncoder *encoder);

/* Pixels of a rectangle whose left upper corner is at x, y of the screen. */
typedef struct {
    const uint32_t *pixels;
    unsigned stride; /* pixels from one row to the next */
    int x, y, width, height;
} VncArea;

/* Appends one or more rectangles that show the area. */
void vnc_encode(VncEncoder *encoder, const VncArea *area);
/* The head of a rectangle; counts it. */
void vnc_put_head(VncEncoder *encoder, int x, int y, int width, int height, int32_t encoding);

/* For the encodings' own files. */
void vnc_encode_hextile(VncEncoder *encoder, const VncArea *area);
void vnc_encode_zrle(VncEncoder *encoder, const VncArea *area);
void vnc_encode_tight(VncEncoder *encoder, const VncArea *area);
VncArea vnc_part(const VncArea *area, int x, int y, int width, int height); /* x, y: in it */
static inline const uint32_t *vnc_row(const VncArea *area, int row)
{
    return area->pixels + (size_t)row * area->stride;
}
/* Appends pixels in the client's format. */
void vnc_put_pixels(const VncFormat *format, GByteArray *out, const uint32_t *pixels,
                    unsigned count);
void vnc_put_area(const VncFormat *format, GByteArray *out, const VncArea *area);
/* Appends what a stream, which goes on with the next call, makes of the data. */
void vnc_deflate(VncDeflate *deflate, int level, const uint8_t *data, size_t size, GByteArray *out);
/* The colours of an area, in the order in which they come. false: there are more than `limit`. */
enum { VNC_COLOURS_MAX = 256 };
typedef struct {
    uint32_t colours[VNC_COLOURS_MAX];
    unsigned counts[VNC_COLOURS_MAX];
    uint16_t slots[1024]; /* hash of colour -> index + 1 */
    unsigned used;
} VncPalette;
bool vnc_palette_take(VncPalette *palette, const VncArea *area, unsigned limit);
unsigned vnc_palette_index(const VncPalette *palette, uint32_t colour);
/* Appends the index of each pixel in 1, 2, 4 or 8 bits, the first in the highest; rows begin at a byte. */
void vnc_palette_put(const VncPalette *palette, const VncArea *area, unsigned bits,
                     GByteArray *out);

#endif
