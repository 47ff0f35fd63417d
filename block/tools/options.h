/* SPDX-License-Identifier: MIT */
/* The command lines of kaso-img's commands: each option is a line of a table. */
#ifndef BLOCK_TOOLS_OPTIONS_H
#define BLOCK_TOOLS_OPTIONS_H

#include "block/tools/tool.h"

typedef enum {
    TOOL_FLAG,      /* bool: set */
    TOOL_TEXT,      /* const char *: the value */
    TOOL_SIZE,      /* uint64_t: the value as bytes */
    TOOL_OUTPUT,    /* bool: "json", not "human" */
    TOOL_CALL,      /* call(value) */
    TOOL_CALL_FLAG, /* call(NULL) */
} ToolOptionKind;

typedef struct {
    const char *name; /* long; NULL: none. Both NULL and no letter end a table */
    char letter;      /* 0: none */
    ToolOptionKind kind;
    size_t offset; /* of the variable in the command's arguments */
    /* Prints an error and returns false. name: as in the table, the letter's if there is no long one. */
    bool (*call)(Tool *tool, void *arguments, const char *name, const char *value);
} ToolOption;

/* Lines for an ImageArguments that is a member of Arguments. */
#define TOOL_IMAGE_OPTIONS(Arguments, image)                                                       \
    { "format", 'f', TOOL_TEXT, offsetof(Arguments, image.format) },                               \
    {                                                                                              \
        "image-opts", 0, TOOL_FLAG, offsetof(Arguments, image.image_opts)                          \
    }
#define TOOL_SHARE_OPTION(Arguments, image)                                                        \
    {                                                                                              \
        "force-share", 'U', TOOL_FLAG, offsetof(Arguments, image.force_share)                      \
    }

/*
 * Fills arguments from argv by the table; --object, -q/--quiet, -p/--progress (where the command's table
 * does not have them) and -h/--help are known to all. operands: what is left, *count of them. False: an error was printed,
 * or (*status 0) help was.
 */
bool tool_parse(Tool *tool, const ToolCommand *command, const ToolOption *table, void *arguments,
                int argc, char **argv, char ***operands, unsigned *count, int *status);
/* Prints the message and how to get help; returns 1. */
int tool_try(Tool *tool, const ToolCommand *command, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* For commands with one image: its name, NULL when an error was printed. */
const char *tool_parse_one(Tool *tool, const ToolCommand *command, const ToolOption *table,
                           void *arguments, int argc, char **argv, int *status);

#endif
