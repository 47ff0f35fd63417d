/* SPDX-License-Identifier: MIT */
/* What kaso-img, kaso-io and kaso-nbd share: opening images by option, messages, progress. */
#ifndef BLOCK_TOOLS_TOOL_H
#define BLOCK_TOOLS_TOOL_H

#include "block/graph/node.h"
#include "block/tools/signals.h"

#include <getopt.h>
#include <stdio.h>

typedef struct {
    const char *program;
    BlockGraph *graph;
    bool quiet;
    bool progress;
    int64_t patience_us; /* when to show it without being asked, on a terminal; 0: never */
    double last_progress;
    ToolSignals *signals; /* NULL: they end the program as usual */
    int progress_fd;      /* readable: SIGUSR1 has asked how far we are; -1: not watched */
} Tool;

/* How the user wants an image opened. */
typedef struct {
    const char *format;
    const char *cache; /* NULL: writeback */
    BlockAio aio;
    bool image_opts; /* the name is an option string */
    bool writable, resizable, force_share, no_backing, no_io, check, unmap, copy_on_read;
    bool no_share;       /* nobody may write it meanwhile, not even we as something else */
    GHashTable *options; /* more of them, or NULL */
} ImageArguments;

/* A command of kaso-img; runs in a coroutine. Returns the exit status. */
typedef struct {
    const char *name, *summary, *usage;
    int (*run)(Tool *tool, int argc, char **argv);
} ToolCommand;

extern const ToolCommand img_create, img_amend, img_resize, img_measure, img_info, img_map,
    img_check, img_snapshot, img_convert, img_dd, img_commit, img_rebase, img_compare, img_bench,
    img_bitmap;

/*
 * An open image with a user's edge on it; child_detach closes it. Prints the error when NULL. name: NULL when
 * arguments->options say all.
 */
BlockChild *tool_open(Tool *tool, const char *name, const ImageArguments *arguments);
BlockChild *tool_open_error(Tool *tool, const char *name, const ImageArguments *arguments,
                            GError **error);
/* Says so when a writable image is raw only because nothing else fits. */
/* Whether that is a cache mode (NULL: the default one); prints the error. */
bool tool_check_cache(Tool *tool, const char *mode);
/*
 * That the image which is to become a backing file is there and can be opened, unless the user knows better (unsafe), and is
 * not the file that is to be made; options get its size if they have none.
 */
bool tool_check_backing(Tool *tool, const char *filename, GHashTable *options, bool unsafe,
                        GError **error);
void tool_warn_guessed(Tool *tool, BlockNode *node);
/*
 * Reads of a node go to a snapshot from now on: "snapshot.id=ID,snapshot.name=NAME" (or one of them), or just an id or a
 * name.
 */
bool tool_load_snapshot(BlockNode *node, const char *text, GError **error);
/* "kaso-img: message" on standard error; frees the error. Returns 1. */
int tool_error(Tool *tool, GError *error);
int tool_fail(Tool *tool, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tool_warn(Tool *tool, const char *format, ...) __attribute__((format(printf, 2, 3)));
/*
 * Whether any image was cut off, so that zeroes have been read in place of data: prints what that means
 * (consequence) and returns true.
 */
bool tool_has_lost_data(Tool *tool, const char *consequence);
/*
 * What becomes of the files when a signal stops the command from now on. Once an image is open for
 * writing, commands go on until they end or tool_interrupted tells them to stop.
 */
void tool_on_signal(Tool *tool, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool tool_interrupted(Tool *tool);
/* Parses a size argument, printing the error. */
bool tool_size(Tool *tool, const char *what, const char *text, uint64_t *size);
/* fraction 0 to 1. With -p, and on a terminal of what takes longer than a second. */
void tool_show_progress(Tool *tool, double fraction);
void tool_end_progress(Tool *tool);
/* "10 MiB" as the tools of this kind print sizes. The caller frees. */
char *tool_human_size(uint64_t size);
/* Whether one of -o's options is "help" or "?". */
bool tool_wants_help(const char *text);
/* What create or amend takes after -o for a format; the program's status. */
int tool_print_options(const char *format, bool amend);
/* -o a=b,c=d into options. */
bool tool_parse_options(Tool *tool, const char *text, GHashTable *options);
/* What `COMMAND --help` prints. */
void tool_help(Tool *tool, const ToolCommand *command);
/* Prints "unexpected argument" and usage; returns 1. */
int tool_usage(Tool *tool, const ToolCommand *command);
/* --object secret,… */
bool tool_object(Tool *tool, const char *text);
/* Whether -U, --image-opts and the like, which many commands share, was `option`. */
void tool_print_json(json_t *value);
/* "key: value" lines, dashes as spaces, deeper objects indented by four. */
void tool_print_object(const json_t *object, int indent);
void tool_print_object_to(FILE *out, const json_t *object, int indent);
/* Whether the driver can create images and knows these options. */
bool tool_check_options(const BlockDriver *driver, GHashTable *options, GError **error);
/* Creates an image; checks that the driver knows the options. */
bool tool_create(Tool *tool, const char *filename, const char *format, GHashTable *options,
                 GError **error);

/* Runs the command in a coroutine of a new graph. */
int tool_main(const char *program, const ToolCommand *command, int argc, char **argv);

#endif
