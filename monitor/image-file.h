/* SPDX-License-Identifier: MIT */
/* Pictures as files: PPM (binary, P6) and PNG (RFC 2083), 8 bits a colour. */
#ifndef MONITOR_IMAGE_FILE_H
#define MONITOR_IMAGE_FILE_H

#include <glib.h>
#include <pixman.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum { IMAGE_FILE_PPM, IMAGE_FILE_PNG } ImageFileFormat;

/* Replaces the file as a whole, or leaves it. Any of pixman's formats. */
bool image_file_write(pixman_image_t *image, ImageFileFormat format, const char *path,
                      GError **error);

/* The same at the end of an array. */
bool image_file_append(pixman_image_t *image, ImageFileFormat format, GByteArray *file,
                       GError **error);

/* A picture of x8r8g8b8 from a file of either format, or from its bytes (path is for messages); the caller drops it. NULL with an error. */
pixman_image_t *image_file_read(const char *path, GError **error);
pixman_image_t *image_read(const char *path, const uint8_t *bytes, size_t size, GError **error);

#endif
