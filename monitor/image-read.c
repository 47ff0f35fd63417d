/* SPDX-License-Identifier: MIT */
/*
 * Reading pictures: PPM (binary, P6, 8 bits) and PNG (RFC 2083: all colour types of 8 bits and palettes of 1 to 8, not interlaced). Files are foreign:
 * sizes are bounded before anything is allocated, and what is transparent counts as it is.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <glib/gstdio.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/file.h"
#include "monitor/image-file.h"

enum { SIDE_MAX = 16384, PIXELS_MAX = 1 << 26, FILE_MAX = 1 << 28 };

typedef struct {
    const char *path;
    const uint8_t *bytes;
    size_t size;
    GError **error;
} File;

static pixman_image_t *fail(const File *file, const char *what)
{
    error_fail(file->error, KASO_ERROR_INVALID, "'%s' cannot be read as a picture: %s", file->path,
               what);
    return NULL;
}

static pixman_image_t *new_image(const File *file, uint32_t width, uint32_t height)
{
    pixman_image_t *image;

    if (!width || !height || width > SIDE_MAX || height > SIDE_MAX ||
        (uint64_t)width * height > PIXELS_MAX) {
        return fail(file, "it has no sensible size");
    }
    image = pixman_image_create_bits(PIXMAN_x8r8g8b8, (int)width, (int)height, NULL, 0);
    return image ? image : fail(file, "there is no memory");
}

static uint32_t *row_of(pixman_image_t *image, uint32_t y)
{
    return pixman_image_get_data(image) + (size_t)y * (size_t)pixman_image_get_stride(image) / 4;
}

static uint32_t rgb(const uint8_t *bytes)
{
    return 0xff000000 | (uint32_t)bytes[0] << 16 | (uint32_t)bytes[1] << 8 | bytes[2];
}

/* PPM. */

/* The next number of the header; comments run from # to the end of the line. */
static bool ppm_number(const File *file, size_t *at, uint32_t *value)
{
    *value = 0;
    while (*at < file->size && (g_ascii_isspace(file->bytes[*at]) || file->bytes[*at] == '#')) {
        if (file->bytes[*at] == '#') {
            while (*at < file->size && file->bytes[*at] != '\n') {
                ++*at;
            }
        } else {
            ++*at;
        }
    }
    if (*at >= file->size || !g_ascii_isdigit(file->bytes[*at])) {
        return false;
    }
    while (*at < file->size && g_ascii_isdigit(file->bytes[*at]) && *value < 100000) {
        *value = *value * 10 + (uint32_t)(file->bytes[*at] - '0');
        ++*at;
    }
    return true;
}

static pixman_image_t *read_ppm(const File *file)
{
    uint32_t width, height, most;
    pixman_image_t *image;
    size_t at = 2;

    if (!ppm_number(file, &at, &width) || !ppm_number(file, &at, &height) ||
        !ppm_number(file, &at, &most) || most != 255) {
        return fail(file, "a PPM file has to say width, height and 255");
    }
    at++;
    image = new_image(file, width, height);
    if (!image) {
        return NULL;
    }
    if (file->size < at || (file->size - at) / 3 < (uint64_t)width * height) {
        pixman_image_unref(image);
        return fail(file, "it ends early");
    }
    for (uint32_t y = 0; y < height; y++) {
        uint32_t *row = row_of(image, y);

        for (uint32_t x = 0; x < width; x++, at += 3) {
            row[x] = rgb(file->bytes + at);
        }
    }
    return image;
}

/* PNG. */

enum { PNG_GREY = 0, PNG_RGB = 2, PNG_PALETTE = 3, PNG_GREY_ALPHA = 4, PNG_RGBA = 6 };

typedef struct {
    uint32_t width, height;
    uint8_t depth, colour;
    unsigned channels;
    size_t row_bytes;
    uint32_t palette[256];
    GByteArray *packed; /* all IDAT */
} Png;

static bool png_header(Png *png, const uint8_t *data, size_t size)
{
    static const uint8_t channels[] = {
        [PNG_GREY] = 1, [PNG_RGB] = 3, [PNG_PALETTE] = 1, [PNG_GREY_ALPHA] = 2, [PNG_RGBA] = 4
    };

    if (size != 13 || data[9] >= G_N_ELEMENTS(channels) || !channels[data[9]] || data[10] ||
        data[11] || data[12]) {
        return false;
    }
    png->width = load_be32(data);
    png->height = load_be32(data + 4);
    png->depth = data[8];
    png->colour = data[9];
    png->channels = channels[data[9]];
    png->row_bytes = ((size_t)png->width * png->channels * png->depth + 7) / 8;
    return png->depth == 8 ||
           (png->colour == PNG_PALETTE && (png->depth == 1 || png->depth == 2 || png->depth == 4));
}

static const char *png_chunks(const File *file, Png *png)
{
    size_t at = 8;

    while (at + 12 <= file->size) {
        uint32_t size = load_be32(file->bytes + at);
        const uint8_t *type = file->bytes + at + 4, *data = type + 4;

        if (size > file->size - at - 12) {
            return "it ends early";
        }
        if (memcmp(type, "IHDR", 4) == 0) {
            if (!png_header(png, data, size)) {
                return "PNG files of that kind are not read (8 bits, not interlaced)";
            }
        } else if (memcmp(type, "PLTE", 4) == 0) {
            for (uint32_t i = 0; i < MIN(size / 3, 256u); i++) {
                png->palette[i] = rgb(data + (size_t)3 * i);
            }
        } else if (memcmp(type, "IDAT", 4) == 0) {
            g_byte_array_append(png->packed, data, size);
        } else if (memcmp(type, "IEND", 4) == 0) {
            break;
        }
        at += 12 + (size_t)size;
    }
    return png->width ? NULL : "it has no header";
}

/* RFC 2083, 6.6. */
static int paeth(int left, int up, int corner)
{
    int estimate = left + up - corner;
    int to_left = abs(estimate - left), to_up = abs(estimate - up);
    int to_corner = abs(estimate - corner);

    return to_left <= to_up && to_left <= to_corner ? left : to_up <= to_corner ? up : corner;
}

/* Undoes a row's filter; above: the row before it, or zeros. */
static bool png_unfilter(uint8_t filter, uint8_t *row, const uint8_t *above, size_t bytes,
                         size_t pixel)
{
    for (size_t i = 0; i < bytes; i++) {
        int left = i >= pixel ? row[i - pixel] : 0, corner = i >= pixel ? above[i - pixel] : 0;
        int guess[] = { 0, left, above[i], (left + above[i]) / 2, paeth(left, above[i], corner) };

        if (filter >= G_N_ELEMENTS(guess)) {
            return false;
        }
        row[i] = (uint8_t)(row[i] + guess[filter]);
    }
    return true;
}

static uint32_t png_pixel(const Png *png, const uint8_t *row, uint32_t x)
{
    const uint8_t *bytes = row + (size_t)x * png->channels;
    unsigned bit;

    switch (png->colour) {
    case PNG_RGB:
    case PNG_RGBA:
        return rgb(bytes);
    case PNG_PALETTE:
        bit = x * png->depth;
        return png->palette[row[bit / 8] >> (8 - png->depth - bit % 8) & ((1 << png->depth) - 1)];
    default:
        return rgb((const uint8_t[]){ bytes[0], bytes[0], bytes[0] });
    }
}

static const char *png_rows(const Png *png, pixman_image_t *image)
{
    z_stream stream = { .next_in = png->packed->data, .avail_in = png->packed->len };
    g_autofree uint8_t *rows = g_malloc0(2 * (png->row_bytes + 1));
    uint8_t *row = rows, *above = rows + png->row_bytes + 1;
    const char *failure = inflateInit(&stream) == Z_OK ? NULL : "there is no memory";

    for (uint32_t y = 0; !failure && y < png->height; y++) {
        uint8_t *spare = above;

        stream.next_out = row;
        stream.avail_out = (uInt)png->row_bytes + 1;
        inflate(&stream, Z_SYNC_FLUSH);
        if (stream.avail_out) {
            failure = "it ends early, or is damaged";
        } else if (!png_unfilter(row[0], row + 1, above + 1, png->row_bytes,
                                 MAX((size_t)png->channels * png->depth / 8, 1))) {
            failure = "it is damaged";
        }
        for (uint32_t x = 0; !failure && x < png->width; x++) {
            row_of(image, y)[x] = png_pixel(png, row + 1, x);
        }
        above = row;
        row = spare;
    }
    inflateEnd(&stream);
    return failure;
}

static pixman_image_t *read_png(const File *file)
{
    Png png = { .packed = g_byte_array_new() };
    const char *failure = png_chunks(file, &png);
    pixman_image_t *image = failure ? fail(file, failure) : new_image(file, png.width, png.height);

    if (image) {
        failure = png_rows(&png, image);
        if (failure) {
            pixman_image_unref(image);
            image = fail(file, failure);
        }
    }
    g_byte_array_unref(png.packed);
    return image;
}

pixman_image_t *image_read(const char *path, const uint8_t *bytes, size_t size, GError **error)
{
    static const uint8_t signature[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
    const File file = { path, bytes, size, error };

    if (size > sizeof signature && memcmp(bytes, signature, sizeof signature) == 0) {
        return read_png(&file);
    }
    if (size > 2 && bytes[0] == 'P' && bytes[1] == '6') {
        return read_ppm(&file);
    }
    return fail(&file, "it is neither PNG nor PPM (P6)");
}

pixman_image_t *image_file_read(const char *path, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *bytes = NULL;
    gsize size;
    GStatBuf info;

    if (g_stat(path, &info) == 0 && (!S_ISREG(info.st_mode) || info.st_size > FILE_MAX)) {
        error_fail(error, KASO_ERROR_INVALID, "'%s' is no picture's file", path);
        return NULL;
    }
    if (!file_read(path, FILE_MAX, &bytes, &size, &why)) {
        error_fail(error, KASO_ERROR_INVALID, "cannot read the picture: %s", why->message);
        return NULL;
    }
    return image_read(path, (const uint8_t *)bytes, size, error);
}
