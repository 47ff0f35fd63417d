/* SPDX-License-Identifier: MIT */
/* kaso-img dd. */
#include "block/tools/options.h"

#include "base/bits.h"
#include "base/error.h"

#include <string.h>

typedef struct {
    char *input, *output;
    uint64_t block_size, count, skip;
    bool has_count;
} DdOperands;

static bool dd_number(Tool *tool, const char *name, const char *value, uint64_t *number)
{
    if (!tool_size(tool, name, value, number)) {
        return false;
    }
    if (strcmp(name, "bs") == 0 && (*number < 1 || *number > INT32_MAX)) {
        tool_fail(tool, "Invalid bs specified. Must be between 1 and %d.", INT32_MAX);
        return false;
    }
    return true;
}

static bool dd_operand(Tool *tool, const char *text, DdOperands *dd)
{
    const char *value = strchr(text, '=');
    g_autofree char *name = value ? g_strndup(text, (gsize)(value - text)) : g_strdup(text);

    value = value ? value + 1 : "";
    if (!strcmp(name, "if")) {
        dd->input = (char *)value;
    } else if (!strcmp(name, "of")) {
        dd->output = (char *)value;
    } else if (!strcmp(name, "bs")) {
        return dd_number(tool, name, value, &dd->block_size);
    } else if (!strcmp(name, "count")) {
        dd->has_count = true;
        return dd_number(tool, name, value, &dd->count);
    } else if (!strcmp(name, "skip")) {
        return dd_number(tool, name, value, &dd->skip);
    } else {
        tool_fail(tool, "unrecognized operand %s", name);
        return false;
    }
    return true;
}

static int dd_copy(Tool *tool, BlockNode *source, BlockNode *target, const DdOperands *dd,
                   uint64_t start, uint64_t size)
{
    g_autofree uint8_t *buffer = g_try_malloc(MIN(MAX(dd->block_size, 512), MIB(64)));
    uint64_t chunk = MIN(MAX(dd->block_size, 512), MIB(64));
    int result = buffer ? 0 : -ENOMEM;

    for (uint64_t at = 0; at < size && result == 0; at += chunk) {
        uint64_t n = MIN(chunk, size - at);

        if (tool_interrupted(tool)) {
            return 1;
        }
        result = node_pread(source, start + at, buffer, n);
        if (result == 0) {
            result = node_pwrite(target, at, buffer, n, 0);
        }
    }
    if (result == 0) {
        result = node_flush(target);
    }
    return result < 0 ? tool_fail(tool, "error while copying: %s", g_strerror(-result)) : 0;
}

static int dd_images(Tool *tool, const ImageArguments *source_arguments, const char *format,
                     const DdOperands *dd)
{
    ImageArguments target_arguments = { .format = format, .writable = true };
    g_autoptr(GHashTable) options = options_new();
    g_autofree char *text = NULL;
    BlockChild *source, *target = NULL;
    GError *error = NULL;
    uint64_t total, start, size;
    int status = 1;

    source = tool_open(tool, dd->input, source_arguments);
    if (!source) {
        return 1;
    }
    total = node_size(source->node);
    if (dd->skip > total / dd->block_size) {
        tool_fail(tool, "%s: cannot skip to specified offset", dd->input);
        start = total;
    } else {
        start = dd->skip * dd->block_size;
    }
    size = total - start;
    if (dd->has_count && dd->count <= size / dd->block_size) {
        size = dd->count * dd->block_size;
    }
    text = g_strdup_printf("%" G_GUINT64_FORMAT, size);
    options_set(options, "size", text);
    if (!tool_create(tool, dd->output, format, options, &error)) {
        tool_error(tool, error);
    } else {
        target = tool_open(tool, dd->output, &target_arguments);
    }
    if (target) {
        status = dd_copy(tool, source->node, target->node, dd, start, size);
        if (status == 0 && tool_has_lost_data(tool, "the copy has zeroes where data is lost")) {
            status = 1;
        }
        child_detach(target);
    }
    child_detach(source);
    return status;
}

typedef struct {
    ImageArguments image;
    const char *format;
} DdCommand;

static const ToolOption dd_options[] = {
    TOOL_IMAGE_OPTIONS(DdCommand, image),
    TOOL_SHARE_OPTION(DdCommand, image),
    { "output-format", 'O', TOOL_TEXT, offsetof(DdCommand, format) },
    { 0 },
};

static int dd_run(Tool *tool, int argc, char **argv)
{
    DdCommand command = { .image = { .no_share = true }, .format = "raw" };
    DdOperands dd = { .block_size = 512 };
    char **operands;
    unsigned count;
    int status;

    if (!tool_parse(tool, &img_dd, dd_options, &command, argc, argv, &operands, &count, &status)) {
        return status;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!dd_operand(tool, operands[i], &dd)) {
            return 1;
        }
    }
    if (!dd.input || !dd.output) {
        return tool_fail(tool, "Must specify both input and output files");
    }
    return dd_images(tool, &command.image, command.format, &dd);
}

const ToolCommand img_dd = {
    .name = "dd",
    .summary = "Copy input to output with optional format conversion",
    .usage = "[-f FMT | --image-opts] [-O OUTPUT_FMT] [-U] [--object OBJDEF] [bs=SIZE] [count=N] "
             "[skip=N] if=INPUT of=OUTPUT",
    .run = dd_run,
};
