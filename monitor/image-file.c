/* SPDX-License-Identifier: MIT */
#include "monitor/image-file.h"

#include <stdint.h>
#include <string.h>
#include <zlib.h>

#include "base/bits.h"
#include "base/error.h"

/* Rows of red, green and blue, each after `lead` zero bytes. */
static uint8_t *rgb_rows(pixman_image_t *image, int width, int height, size_t lead, GError **error)
{
    pixman_image_t *copy = pixman_image_create_bits(PIXMAN_x8r8g8b8, width, height, NULL, 0);
    size_t row_bytes = lead + 3 * (size_t)width;
    uint8_t *rows = copy ? g_try_malloc0(row_bytes * (size_t)height) : NULL, *out = rows;

    if (rows) {
        pixman_image_composite32(PIXMAN_OP_SRC, image, NULL, copy, 0, 0, 0, 0, 0, 0, width, height);
    } else {
        error_fail(error, KASO_ERROR_GENERIC, "no memory for a picture of %d x %d pixels", width,
                   height);
    }
    for (int y = 0; rows && y < height; y++) {
        const uint32_t *pixels =
            pixman_image_get_data(copy) + (size_t)y * (size_t)pixman_image_get_stride(copy) / 4;

        out += lead;
        for (int x = 0; x < width; x++) {
            *out++ = (uint8_t)(pixels[x] >> 16);
            *out++ = (uint8_t)(pixels[x] >> 8);
            *out++ = (uint8_t)pixels[x];
        }
    }
    if (copy) {
        pixman_image_unref(copy);
    }
    return rows;
}

/* RFC 2083, 3.2: length, type, data, and the CRC of type and data. */
static void put_chunk(GByteArray *file, const char *type, const uint8_t *data, size_t size)
{
    uint8_t word[4];
    uLong crc = crc32(crc32(0, NULL, 0), (const Bytef *)type, 4);

    store_be32(word, (uint32_t)size);
    g_byte_array_append(file, word, 4);
    g_byte_array_append(file, (const guint8 *)type, 4);
    if (size) {
        g_byte_array_append(file, data, (guint)size);
        crc = crc32_z(crc, data, size);
    }
    store_be32(word, (uint32_t)crc);
    g_byte_array_append(file, word, 4);
}

/* A row begins with the number of its filter; 0 is none. */
static bool put_png(GByteArray *file, const uint8_t *rows, int width, int height, GError **error)
{
    static const uint8_t signature[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
    uint8_t header[13] = { [8] = 8 /* bits a colour */, [9] = 2 /* red, green, blue */ };
    size_t size = (1 + 3 * (size_t)width) * (size_t)height;
    uLongf packed_size = compressBound(size);
    g_autofree uint8_t *packed = g_try_malloc(packed_size);

    if (!packed || compress2(packed, &packed_size, rows, size, Z_BEST_SPEED) != Z_OK) {
        return error_fail(error, KASO_ERROR_GENERIC, "the picture cannot be compressed");
    }
    store_be32(header, (uint32_t)width);
    store_be32(header + 4, (uint32_t)height);
    g_byte_array_append(file, signature, sizeof(signature));
    put_chunk(file, "IHDR", header, sizeof(header));
    put_chunk(file, "IDAT", packed, packed_size);
    put_chunk(file, "IEND", NULL, 0);
    return true;
}

bool image_file_append(pixman_image_t *image, ImageFileFormat format, GByteArray *file,
                       GError **error)
{
    int width = pixman_image_get_width(image), height = pixman_image_get_height(image);
    bool png = format == IMAGE_FILE_PNG;
    g_autofree uint8_t *rows = rgb_rows(image, width, height, png ? 1 : 0, error);
    g_autofree char *head = NULL;

    if (!rows) {
        return false;
    }
    if (png) {
        return put_png(file, rows, width, height, error);
    }
    head = g_strdup_printf("P6\n%d %d\n255\n", width, height);
    g_byte_array_append(file, (const guint8 *)head, (guint)strlen(head));
    g_byte_array_append(file, rows, (guint)(3 * (size_t)width * (size_t)height));
    return true;
}

bool image_file_write(pixman_image_t *image, ImageFileFormat format, const char *path,
                      GError **error)
{
    g_autoptr(GByteArray) file = g_byte_array_new();

    return image_file_append(image, format, file, error) &&
           g_file_set_contents(path, (const char *)file->data, file->len, error);
}
