/* SPDX-License-Identifier: MIT */
/* Table-driven options, by getopt_long. */
#include "block/tools/options.h"

#include "base/bits.h"

#include <stdio.h>
#include <string.h>

enum { LONG_BASE = 256 }; /* getopt's value of the table's first line */

static bool set_quiet(Tool *tool, void *arguments, const char *name, const char *value)
{
    tool->quiet = true;
    return true;
}

static bool set_progress(Tool *tool, void *arguments, const char *name, const char *value)
{
    tool->progress = true;
    return true;
}

static bool add_object(Tool *tool, void *arguments, const char *name, const char *value)
{
    return tool_object(tool, value);
}

static const ToolOption common_options[] = {
    { "object", 0, TOOL_CALL, 0, add_object },
    { "quiet", 'q', TOOL_CALL_FLAG, 0, set_quiet },
    { "progress", 'p', TOOL_CALL_FLAG, 0, set_progress },
    { "help", 'h', TOOL_CALL_FLAG, 0, NULL },
    { 0 },
};

static bool is_end(const ToolOption *option)
{
    return !option->name && !option->letter;
}

static bool has_value(const ToolOption *option)
{
    return option->kind != TOOL_FLAG && option->kind != TOOL_CALL_FLAG;
}

/* The table as getopt takes it; a line's number in `all` is its value minus LONG_BASE. */
static void describe(const GPtrArray *all, GArray *longs, GString *letters)
{
    for (unsigned i = 0; i < all->len; i++) {
        const ToolOption *option = all->pdata[i];
        int argument = has_value(option) ? required_argument : no_argument;
        struct option entry = { option->name, argument, NULL, LONG_BASE + (int)i };

        if (option->name) {
            g_array_append_val(longs, entry);
        }
        if (option->letter && !strchr(letters->str, option->letter)) {
            g_string_append_printf(letters, "%c%s", option->letter, has_value(option) ? ":" : "");
        }
    }
}

static const ToolOption *find(const GPtrArray *all, int c)
{
    if (c >= LONG_BASE) {
        return all->pdata[c - LONG_BASE];
    }
    for (unsigned i = 0; i < all->len; i++) {
        const ToolOption *option = all->pdata[i];

        if (option->letter == c) {
            return option;
        }
    }
    return NULL;
}

int tool_try(Tool *tool, const ToolCommand *command, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    tool_fail(tool, "%s", text);
    fprintf(stderr, "Try '%s %s --help' for more information\n", tool->program, command->name);
    return 1;
}

static bool apply(Tool *tool, const ToolCommand *command, const ToolOption *option, void *arguments,
                  const char *value)
{
    char letter[2] = { option->letter, 0 };
    const char *name = option->name ? option->name : letter;
    char *variable = (char *)arguments + option->offset;

    switch (option->kind) {
    case TOOL_FLAG:
        *(bool *)variable = true;
        return true;
    case TOOL_TEXT:
        *(const char **)variable = value;
        return true;
    case TOOL_SIZE:
        return tool_size(tool, name, value, (uint64_t *)variable);
    case TOOL_OUTPUT:
        *(bool *)variable = !strcmp(value, "json");
        if (!*(bool *)variable && strcmp(value, "human")) {
            tool_try(tool, command, "--output expects 'human' or 'json', not '%s'", value);
            return false;
        }
        return true;
    default:
        return option->call(tool, arguments, name, value);
    }
}

bool tool_parse(Tool *tool, const ToolCommand *command, const ToolOption *table, void *arguments,
                int argc, char **argv, char ***operands, unsigned *count, int *status)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    g_autoptr(GArray) longs = g_array_new(TRUE, TRUE, sizeof(struct option));
    g_autofree char *name = g_strdup_printf("%s %s", tool->program, command->name);
    GString *letters = g_string_new(NULL);
    bool done = true;
    int c;

    *status = 1;
    argv[0] = name; /* getopt's messages begin with it */
    for (const ToolOption *option = table; !is_end(option); option++) {
        g_ptr_array_add(all, (gpointer)option);
    }
    for (const ToolOption *option = common_options; !is_end(option); option++) {
        g_ptr_array_add(all, (gpointer)option);
    }
    describe(all, longs, letters);
    optind = 1;
    while (done && (c = getopt_long(argc, argv, letters->str, (struct option *)(void *)longs->data,
                                    NULL)) != -1) {
        const ToolOption *option = c == '?' ? NULL : find(all, c);

        if (!option) {
            fprintf(stderr, "Try '%s --help' for more information\n", name);
            done = false;
        } else if (option->kind == TOOL_CALL_FLAG && !option->call) {
            tool_help(tool, command);
            *status = 0;
            done = false;
        } else {
            done = apply(tool, command, option, arguments, optarg);
        }
    }
    g_string_free(letters, TRUE);
    tool->progress &= !tool->quiet;
    argv[0] = (char *)command->name;
    *operands = argv + optind;
    *count = (unsigned)(argc - optind);
    return done;
}

const char *tool_parse_one(Tool *tool, const ToolCommand *command, const ToolOption *table,
                           void *arguments, int argc, char **argv, int *status)
{
    char **operands;
    unsigned count;

    if (!tool_parse(tool, command, table, arguments, argc, argv, &operands, &count, status)) {
        return NULL;
    }
    if (count != 1) {
        tool_try(tool, command, "Expecting one image file name");
        return NULL;
    }
    return operands[0];
}
