/* SPDX-License-Identifier: MIT */
/* kaso-img bitmap; convert --bitmaps. */
#include "block/tools/img-bitmap.h"

#include "base/bits.h"
#include "base/error.h"
#include "block/graph/bitmap.h"
#include "block/tools/options.h"

#include <string.h>

/* Copying. */

bool img_bitmaps_check(Tool *tool, BlockNode *source, bool skip_broken)
{
    if (!source->driver->bitmap_action) {
        tool_fail(tool, "Source lacks bitmap support");
        return false;
    }
    for (GSList *link = source->dirty_bitmaps; link; link = link->next) {
        const DirtyBitmap *bitmap = link->data;

        if (bitmap->persistent && bitmap->inconsistent && !skip_broken) {
            tool_fail(tool, "Cannot copy inconsistent bitmap '%s'", bitmap->name);
            fprintf(stderr, "Try --skip-broken-bitmaps, or use '%s bitmap --remove' to delete it\n",
                    tool->program);
            return false;
        }
    }
    return true;
}

static bool copy_one(BlockNode *target, const DirtyBitmap *bitmap, GError **error)
{
    g_autoptr(GHashTable) arguments = options_new();
    g_autofree char *granularity = g_strdup_printf("%" G_GUINT64_FORMAT, bitmap->granularity);

    options_set(arguments, "granularity", granularity);
    options_set(arguments, "disabled", bitmap->enabled ? "off" : "on");
    if (!target->driver->bitmap_action(target, "add", bitmap->name, arguments, error)) {
        g_prefix_error(error, "Failed to create bitmap %s: ", bitmap->name);
        return false;
    }
    options_set(arguments, "source", bitmap->name);
    options_set(arguments, "source-node", bitmap->node->node_name);
    if (!target->driver->bitmap_action(target, "merge", bitmap->name, arguments, error)) {
        g_prefix_error(error, "Failed to populate bitmap %s: ", bitmap->name);
        return false;
    }
    return true;
}

bool img_bitmaps_copy(Tool *tool, BlockNode *source, BlockNode *target, bool skip_broken)
{
    for (GSList *link = source->dirty_bitmaps; link; link = link->next) {
        const DirtyBitmap *bitmap = link->data;
        GError *error = NULL;

        if (!bitmap->persistent) {
            continue;
        }
        if (bitmap->inconsistent) {
            g_assert(skip_broken);
            tool_warn(tool, "Skipping inconsistent bitmap '%s'", bitmap->name);
        } else if (!copy_one(target, bitmap, &error)) {
            tool_error(tool, error);
            return false;
        }
    }
    return true;
}

/* The command. */

enum { STEPS_MAX = 32 };

typedef struct {
    const char *action, *source;
} BitmapStep;

typedef struct {
    ImageArguments image, source;
    const char *granularity, *source_name;
    BitmapStep steps[STEPS_MAX];
    unsigned count;
    bool adds, merges, removes_all;
} BitmapCommand;

static bool add_step(Tool *tool, void *arguments, const char *name, const char *value)
{
    BitmapCommand *command = arguments;

    if (command->count == STEPS_MAX) {
        tool_fail(tool, "More than %d actions", STEPS_MAX);
        return false;
    }
    command->steps[command->count++] = (BitmapStep){ name, value };
    command->adds |= !strcmp(name, "add");
    command->merges |= !strcmp(name, "merge");
    command->removes_all |= !strcmp(name, "remove-all");
    return true;
}

static const ToolOption bitmap_options[] = {
    TOOL_IMAGE_OPTIONS(BitmapCommand, image),
    { "add", 0, TOOL_CALL_FLAG, 0, add_step },
    { "remove", 0, TOOL_CALL_FLAG, 0, add_step },
    { "remove-all", 0, TOOL_CALL_FLAG, 0, add_step },
    { "clear", 0, TOOL_CALL_FLAG, 0, add_step },
    { "enable", 0, TOOL_CALL_FLAG, 0, add_step },
    { "disable", 0, TOOL_CALL_FLAG, 0, add_step },
    { "merge", 0, TOOL_CALL, 0, add_step },
    { "granularity", 'g', TOOL_TEXT, offsetof(BitmapCommand, granularity) },
    { "source-file", 'b', TOOL_TEXT, offsetof(BitmapCommand, source_name) },
    { "source-format", 'F', TOOL_TEXT, offsetof(BitmapCommand, source.format) },
    { 0 },
};

static bool remove_all(BlockNode *node, GError **error)
{
    g_autoptr(GHashTable) none = options_new();

    while (node->dirty_bitmaps) {
        DirtyBitmap *bitmap = node->dirty_bitmaps->data;
        g_autofree char *name = g_strdup(bitmap->name);

        if (!node->driver->bitmap_action(node, "remove", name, none, error)) {
            return false;
        }
    }
    return true;
}

static int run_steps(Tool *tool, const BitmapCommand *command, BlockNode *node, BlockNode *source,
                     const char *name)
{
    if (!node->driver->bitmap_action) {
        return tool_fail(tool, "Format driver '%s' does not support persistent bitmaps",
                         node->driver->name);
    }
    for (unsigned i = 0; i < command->count; i++) {
        const BitmapStep *step = &command->steps[i];
        g_autoptr(GHashTable) arguments = options_new();
        GError *error = NULL;
        bool done;

        if (command->granularity) {
            options_set(arguments, "granularity", command->granularity);
        }
        if (step->source) {
            options_set(arguments, "source", step->source);
        }
        if (source) {
            options_set(arguments, "source-node", source->node_name);
        }
        done = !strcmp(step->action, "remove-all")
                   ? remove_all(node, &error)
                   : node->driver->bitmap_action(node, step->action, name, arguments, &error);
        if (!done) {
            g_prefix_error(&error, "Operation %s on bitmap %s failed: ", step->action,
                           name ? name : "");
            return tool_error(tool, error);
        }
    }
    return 0;
}

static bool check_command(Tool *tool, const BitmapCommand *command, unsigned count)
{
    bool no_name = command->count == 1 && command->removes_all;
    const char *message = NULL;

    if (!command->count) {
        message = "Need at least one of --add, --remove, --remove-all, --clear, --enable, "
                  "--disable, or --merge";
    } else if (command->granularity && !command->adds) {
        message = "granularity only supported with --add";
    } else if (command->source_name && !command->merges) {
        message = "Merge bitmap source file only supported with --merge";
    } else if (command->source.format && !command->source_name) {
        message = "-F only supported with -b";
    } else if (no_name ? count != 1 : count != 2) {
        message = no_name ? "Expecting filename" : "Expecting filename and bitmap name";
    }
    if (message) {
        tool_fail(tool, "%s", message);
    }
    return !message;
}

static int bitmap_run(Tool *tool, int argc, char **argv)
{
    BitmapCommand command = {
        .image = { .writable = true, .resizable = true, .no_backing = true },
        .source = { .no_backing = true },
    };
    BlockChild *child, *source = NULL;
    char **operands;
    unsigned count;
    int status;

    if (!tool_parse(tool, &img_bitmap, bitmap_options, &command, argc, argv, &operands, &count,
                    &status) ||
        !check_command(tool, &command, count)) {
        return status;
    }
    child = tool_open(tool, operands[0], &command.image);
    if (child && command.source_name) {
        source = tool_open(tool, command.source_name, &command.source);
    }
    if (child && (source || !command.source_name)) {
        status = run_steps(tool, &command, child->node, source ? source->node : NULL,
                           count > 1 ? operands[1] : NULL);
    }
    if (source) {
        child_detach(source);
    }
    if (child) {
        child_detach(child);
    }
    return status;
}

const ToolCommand img_bitmap = {
    .name = "bitmap",
    .summary = "Perform modifications of the persistent bitmap in the image",
    .usage = "[-f FMT | --image-opts] (--add [-g SIZE] | --remove | --remove-all | --clear | "
             "--enable | --disable | --merge SOURCE [-b SRC_FILE [-F SRC_FMT]])... "
             "[--object OBJDEF] FILE [BITMAP]",
    .run = bitmap_run,
};
