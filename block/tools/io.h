/* SPDX-License-Identifier: MIT */
/* kaso-io: the image that its commands work on. */
#ifndef BLOCK_TOOLS_IO_H
#define BLOCK_TOOLS_IO_H

#include "block/tools/tool.h"

typedef struct IoCommand IoCommand;

typedef struct {
    Tool *tool; /* NULL: in a machine's monitor */
    FILE *out;
    const IoCommand *more; /* commands beside the common ones, or NULL */
    BlockChild *child;        /* NULL: no image is open */
    ImageArguments arguments; /* of the command line; `open` begins with them */
    bool snapshot;
    bool write_through; /* of the open image's cache mode */
    unsigned aio_running;
    CoroutineQueue aio_done;
    bool quit, failed;

    /* How the image was opened, for `reopen`. */
    struct {
        char *name, *cache;
        ImageArguments arguments;
        bool snapshot;
        GHashTable *changes;
    } opened;
} Session;

struct IoCommand {
    const char *name, *alias, *arguments, *summary;
    bool needs_image;
    int (*run)(Session *session, int argc, char **argv);
    unsigned perm; /* BLOCK_PERM_ that a machine's monitor needs beside reading */
};

/* Each ends with a NULL name: those that look at the image, that transfer data, and that suspend requests. */
extern const IoCommand io_inspect_commands[], io_transfer_commands[], io_debug_commands[];

void io_run_line(Session *session, const char *line);

/* Prints the message; returns -EINVAL. */
int io_complain(Session *session, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Parses a size, printing the error. */
bool io_number(Session *session, const char *text, uint64_t *value);
/* "4 KiB", "1.062 MiB", "100 bytes": as scripts of this kind of tool expect it. The caller frees. */
char *io_exact_size(uint64_t bytes);
/* -d of the command line and of `open`. */
bool io_discard_option(Tool *tool, const char *mode, ImageArguments *arguments);
/* read, write, discard and relatives, by the command's name. */
int io_transfer(Session *session, int argc, char **argv);
int io_aio_transfer(Session *session, int argc, char **argv);
int io_aio_flush(Session *session, int argc, char **argv);

/* snapshot: writes go to a temporary layer that vanishes when the image is closed. */
bool io_session_open(Session *session, const char *name, const ImageArguments *arguments,
                     bool snapshot);
int io_open(Session *session, int argc, char **argv);
int io_reopen(Session *session, int argc, char **argv);
int io_close(Session *session, int argc, char **argv);

#endif
