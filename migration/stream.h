/* SPDX-License-Identifier: MIT */
/*
 * The bytes in which a machine travels: a magic, then sections of a name, a length and a checksum each, the last of
 * which is the end. docs/design/migration.md has all of the form. A stream that is not ours, or is damaged, gives an error.
 */
#ifndef MIGRATION_STREAM_H
#define MIGRATION_STREAM_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the bytes go, and where they come from: all of them, or an error. */
typedef struct {
    bool (*write)(void *opaque, const void *data, size_t size, GError **error);
    void *opaque;
} StreamSink;

typedef struct {
    bool (*read)(void *opaque, void *data, size_t size, GError **error);
    void *opaque;
} StreamSource;

/* Names of sections: four letters. */
#define STREAM_MACHINE "MACH" /* what machine it is: lines of NAME=VALUE */
#define STREAM_RAM     "RAM " /* pages */
#define STREAM_PACKED  "PACK" /* pages, compressed (packing.h) */
#define STREAM_SYNC    "SYNC" /* what follows on any channel comes after what was before this on all */
#define STREAM_BITMAPS "BMAP" /* block/bitmap-transfer.h */
#define STREAM_DEVICES "DEVS" /* machine/saved-state.h */
#define STREAM_RUN     "RUN " /* whether it ran: lines of NAME=VALUE */
#define STREAM_END     "END "

enum {
    STREAM_NAME_BYTES = 4,
    STREAM_HEADER_BYTES = STREAM_NAME_BYTES + 8 + 4,
    STREAM_SECTION_MOST = 256 << 20
};

typedef struct {
    StreamSink sink;
    StreamSink pages; /* write: takes contents of STREAM_RAM instead; NULL: they go the way of all others */
    uint64_t bytes;   /* written so far */
} StreamWriter;

typedef struct {
    StreamSource source;
    char name[STREAM_NAME_BYTES + 1]; /* of the section that was read last */
    GByteArray *content;              /* its content; the reader's owner frees it */
} StreamReader;

bool stream_write_start(StreamWriter *writer, GError **error);
bool stream_write_section(StreamWriter *writer, const char *name, const void *data, size_t size, GError **error);

bool stream_read_start(StreamReader *reader, GError **error);
/* The next section into name and content. */
bool stream_read_section(StreamReader *reader, GError **error);

/* Lines of NAME=VALUE. The value of a name in them, for the caller to free; NULL: it is not there. */
void stream_add_line(GByteArray *lines, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
char *stream_find_line(const GByteArray *lines, const char *name);

#endif
