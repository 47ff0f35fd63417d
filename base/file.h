/* SPDX-License-Identifier: MIT */
/*
 * Files that are wanted as a whole, by names that users give: regular ones, pipes, devices, "/dev/fdset/NUMBER". Each has
 * a limit, as there are files without end and those that were meant for another option.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For texts: rules, keys, options. */
enum { FILE_TEXT_MOST = 16 << 20, FILE_STREAM_MOST = 512 << 20 };

/* Content of at most `most` bytes, with a NUL behind it that size (which may be NULL) does not count. Free with g_free. */
bool file_read(const char *path, uint64_t most, char **content, size_t *size, GError **error);
/*
 * The same as bytes; those of a regular file are mapped, so that a large one costs no memory: what is written to it later may be seen, and what is cut
 * off reads as zeros. Of others FILE_STREAM_MOST are taken.
 */
GBytes *file_map(const char *path, uint64_t most, GError **error);
#endif
