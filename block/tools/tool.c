/* SPDX-License-Identifier: MIT */
/* Common parts of the image tools. */
#include "block/tools/tool.h"

#include "base/bits.h"
#include "base/error.h"
#include "base/names.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* More than processors: some wait in the kernel. */
enum { HELPERS_MIN = 4, HELPERS_MAX = 16 };
enum { PATIENCE_US = 1000 * 1000 }; /* of somebody at a terminal */

int tool_fail(Tool *tool, const char *format, ...)
{
    va_list args;
    g_autofree char *text = NULL;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    if (!tool_interrupted(tool)) { /* else this comes of it, which is told at the end */
        fprintf(stderr, "%s: %s\n", tool->program, text);
    }
    return 1;
}

void tool_warn(Tool *tool, const char *format, ...)
{
    va_list args;
    g_autofree char *text = NULL;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    fprintf(stderr, "%s: warning: %s\n", tool->program, text);
}

int tool_error(Tool *tool, GError *error)
{
    tool_fail(tool, "%s", error ? error->message : "unknown error");
    g_clear_error(&error);
    return 1;
}

int tool_usage(Tool *tool, const ToolCommand *command)
{
    fprintf(stderr, "Usage: %s %s %s\n", tool->program, command->name, command->usage);
    return 1;
}

void tool_help(Tool *tool, const ToolCommand *command)
{
    printf("Usage:\n  %s %s %s\n\n%s.\n", tool->program, command->name, command->usage,
           command->summary);
}

bool tool_has_lost_data(Tool *tool, const char *consequence)
{
    for (GList *link = block_graph_nodes(tool->graph); link; link = link->next) {
        const BlockNode *node = link->data;

        if (node->cut_off) {
            tool_fail(tool, "'%s' is cut off: %s", node->filename, consequence);
            return true;
        }
    }
    return false;
}

void tool_on_signal(Tool *tool, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tool_signals_outcome(tool->signals, g_strdup_vprintf(format, args));
    va_end(args);
}

bool tool_interrupted(Tool *tool)
{
    return tool_signals_caught(tool->signals);
}

bool tool_size(Tool *tool, const char *what, const char *text, uint64_t *size)
{
    if (parse_size(text, size, NULL)) {
        return true;
    }
    tool_fail(tool,
              "Invalid %s specified: '%s'; give a number, with k, M, G, T, P or E as you like",
              what, text);
    return false;
}

void tool_show_progress(Tool *tool, double fraction)
{
    double percent = fraction * 100;
    struct signalfd_siginfo asked;

    if (tool->progress_fd >= 0 && read(tool->progress_fd, &asked, sizeof asked) > 0) {
        fprintf(stderr, "    (%3.2f/100%%)\n", percent);
    }
    if (tool->patience_us && !tool->quiet && g_get_monotonic_time() > tool->patience_us) {
        tool->progress = true;
    }
    if (!tool->progress || (percent - tool->last_progress < 0.5 && percent < 100 && percent > 0)) {
        return;
    }
    tool->last_progress = percent;
    printf("    (%3.2f/100%%)\r", percent);
    fflush(stdout);
}

void tool_end_progress(Tool *tool)
{
    if (tool->progress) {
        tool_show_progress(tool, 1);
        printf("\n");
    }
}

bool tool_wants_help(const char *text)
{
    g_auto(GStrv) options = g_strsplit(text, ",", -1);

    return g_strv_contains((const char *const *)options, "help") ||
           g_strv_contains((const char *const *)options, "?");
}

bool tool_parse_options(Tool *tool, const char *text, GHashTable *options)
{
    GError *error = NULL;
    size_t length = strlen(text), commas = 0;
    GHashTable *parsed;
    GHashTableIter iter;
    gpointer key, value;

    while (commas < length && text[length - commas - 1] == ',') {
        commas++;
    }
    if (!length || text[0] == ',' || commas % 2) { /* two are one of a value */
        tool_fail(tool, "Invalid option list: %s", text);
        return false;
    }
    parsed = options_parse(text, NULL, &error);
    if (!parsed) {
        tool_error(tool, error);
        return false;
    }
    g_hash_table_iter_init(&iter, parsed);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        options_set(options, key, value);
    }
    g_hash_table_unref(parsed);
    return true;
}

void tool_print_json(json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(4));

    puts(text);
    free(text);
    json_decref(value);
}

void tool_print_object(const json_t *object, int indent)
{
    tool_print_object_to(stdout, object, indent);
}

bool tool_object(Tool *tool, const char *text)
{
    GError *error = NULL;
    GHashTable *options = options_parse(text, "qom-type", &error);
    bool done = options && block_secret_add(tool->graph, options, &error);

    if (!done) {
        tool_error(tool, error);
    }
    if (options) {
        g_hash_table_unref(options);
    }
    return done;
}

static bool cache_flags(const char *mode, BlockOpenFlags *flags)
{
    if (!mode || !strcmp(mode, "writeback") || !strcmp(mode, "writethrough")) {
        return true;
    }
    flags->cache_direct =
        !strcmp(mode, "none") || !strcmp(mode, "off") || !strcmp(mode, "directsync");
    flags->cache_no_flush = !strcmp(mode, "unsafe");
    return flags->cache_direct || flags->cache_no_flush;
}

bool tool_check_cache(Tool *tool, const char *mode)
{
    BlockOpenFlags flags = { 0 };
    bool valid = cache_flags(mode, &flags);

    if (!valid) {
        tool_fail(tool, "Invalid cache option: %s", mode);
    }
    return valid;
}

void tool_warn_guessed(Tool *tool, BlockNode *node)
{
    if (node->probed && !node->read_only && !strcmp(node->driver->name, "raw")) {
        fprintf(stderr,
                "WARNING: Image format was not specified for '%s' and probing guessed raw.\n"
                "         Automatically detecting the format is dangerous for raw images, write "
                "operations on block 0 will be restricted.\n"
                "         Specify the 'raw' format explicitly to remove the restrictions.\n",
                node->filename);
    }
}

BlockChild *tool_open_error(Tool *tool, const char *name, const ImageArguments *arguments,
                            GError **error)
{
    BlockOpenFlags flags = { .read_only = !arguments->writable,
                             .force_share = arguments->force_share,
                             .no_backing = arguments->no_backing,
                             .no_io = arguments->no_io,
                             .check = arguments->check,
                             .aio = arguments->aio,
                             .unmap = arguments->unmap };
    unsigned perm = BLOCK_PERM_CONSISTENT_READ, shared = BLOCK_PERM_ALL;
    const char *shown = name ? name : "the image";
    bool by_options = name && arguments->image_opts;
    GHashTable *options;
    BlockChild *child;
    BlockNode *node;

    if (!cache_flags(arguments->cache, &flags)) {
        error_fail(error, KASO_ERROR_INVALID, "Invalid cache option: %s", arguments->cache);
        return NULL;
    }
    if (arguments->image_opts && arguments->format) {
        error_fail(error, KASO_ERROR_INVALID, "--image-opts and --format are mutually exclusive");
        return NULL;
    }
    options = by_options ? options_parse(name, NULL, error) : options_new();
    if (!options) {
        return NULL;
    }
    if (arguments->format) {
        options_set(options, "driver", arguments->format);
    }
    if (arguments->options) {
        g_autoptr(GHashTable) given = options;

        options = options_copy(arguments->options);
        options_merge(options, given);
    }
    if ((by_options || !name) && options_get(options, "file") &&
        !node_find(tool->graph, options_get(options, "file"))) {
        g_autofree char *file = options_take(options, "file");

        node = node_open(tool->graph, file, options, flags, error);
    } else {
        node = node_open(tool->graph, by_options ? NULL : name, options, flags, error);
    }
    if (!node) {
        g_prefix_error(error, "Could not open '%s': ", shown);
        return NULL;
    }
    if (arguments->writable) { /* a server that does not answer is not waited for */
        tool_signals_wait(tool->signals, tool->graph);
    }
    if (!arguments->options) {
        tool_warn_guessed(tool, node);
    }
    if (arguments->copy_on_read && !node->read_only) {
        GHashTable *filter = options_new();
        BlockNode *image = node;

        options_set(filter, "driver", "copy-on-read");
        options_set(filter, "file", image->node_name);
        node = node_open(tool->graph, NULL, filter, image->flags, error);
        node_unref(image);
        if (!node) {
            return NULL;
        }
    }
    perm |= arguments->writable ? BLOCK_PERM_WRITE : 0;
    perm |= arguments->resizable ? BLOCK_PERM_RESIZE : 0;
    if (arguments->no_share && !arguments->force_share) {
        shared = BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE_UNCHANGED;
    }
    child = node_attach_user(node, tool->program, perm, shared, error);
    node_unref(node);
    if (!child) {
        g_prefix_error(error, "Could not open '%s': ", shown);
    }
    return child;
}

BlockChild *tool_open(Tool *tool, const char *name, const ImageArguments *arguments)
{
    GError *error = NULL;
    BlockChild *child = tool_open_error(tool, name, arguments, &error);

    if (!child) {
        tool_error(tool, error);
    }
    return child;
}

bool tool_check_backing(Tool *tool, const char *filename, GHashTable *options, bool unsafe,
                        GError **error)
{
    const char *format = options_get(options, "backing_fmt");
    g_autofree char *path =
        block_combine_path(filename, options_get(options, "backing_file"), error);
    ImageArguments arguments = { .format = format, .no_io = true };
    g_autofree char *text = NULL;
    BlockChild *child;

    if (!path) {
        return false;
    }
    if (block_is_same_file(path, filename)) { /* which creating empties */
        return error_fail(error, KASO_ERROR_INVALID,
                          "Error: Trying to create an image with the same filename as the backing "
                          "file");
    }
    if (unsafe) {
        return true;
    }
    if (!format) {
        g_autofree char *hint = NULL;

        child = tool_open_error(tool, path, &arguments, NULL);
        hint = child ? g_strdup_printf("\nDetected format of %s.", child->node->driver->name)
                     : g_strdup("");
        if (child) {
            child_detach(child);
        }
        return error_fail(error, KASO_ERROR_INVALID,
                          "Backing file specified without backing format%s", hint);
    }
    child = tool_open_error(tool, path, &arguments, error);
    if (!child) {
        g_prefix_error(error, "Could not open backing image (-u creates it without looking): ");
        return false;
    }
    if (!options_get(options, "size")) {
        text = g_strdup_printf("%" G_GUINT64_FORMAT, node_size(child->node));
        options_set(options, "size", text);
    }
    child_detach(child);
    return true;
}

static bool unknown_option(const BlockDriver *driver, const char *key, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *suggestion = NULL;

    for (const BlockOption *option = driver->create_options; option->name; option++) {
        g_ptr_array_add(names, (gpointer)option->name);
    }
    g_ptr_array_add(names, NULL);
    suggestion = names_suggest(key, (const char *const *)names->pdata);
    return error_fail(error, KASO_ERROR_INVALID, "Invalid parameter '%s'%s (-o help lists them)",
                      key, suggestion);
}

bool tool_check_options(const BlockDriver *driver, GHashTable *options, GError **error)
{
    GHashTableIter iter;
    gpointer key;

    if (!driver->create) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "Format driver '%s' does not support image creation", driver->name);
    }
    g_hash_table_iter_init(&iter, options);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        const BlockOption *known = driver->create_options;

        while (known->name && strcmp(known->name, key)) {
            known++;
        }
        if (!known->name) {
            return unknown_option(driver, key, error);
        }
    }
    return true;
}

static BlockSnapshot *find_snapshot(BlockNode *node, const char *text, GError **error)
{
    static const char *const known[] = { "snapshot.id", "snapshot.name" };
    g_autoptr(GHashTable) options = NULL;
    unsigned found = 0;

    if (!g_str_has_prefix(text, "snapshot.")) {
        return node_find_snapshot_either(node, text, error);
    }
    options = options_parse(text, NULL, error);
    for (unsigned i = 0; options && i < ARRAY_SIZE(known); i++) {
        found += options_get(options, known[i]) != NULL;
    }
    if (!options || found < g_hash_table_size(options)) {
        if (options) {
            error_fail(error, KASO_ERROR_INVALID,
                       "only snapshot.id and snapshot.name can be said of a snapshot");
        }
        return NULL;
    }
    return node_find_snapshot(node, options_get(options, known[0]), options_get(options, known[1]),
                              error);
}

bool tool_load_snapshot(BlockNode *node, const char *text, GError **error)
{
    g_autoptr(BlockSnapshot) found = NULL;

    if (!node->driver->snapshot_load) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Failed to load snapshot: Can't find snapshot: '%s' has none",
                          node->driver->name);
    }
    found = find_snapshot(node, text, error);
    if (!found) {
        g_prefix_error(error, "Failed to load snapshot: Can't find snapshot: ");
    }
    return found && node->driver->snapshot_load(node, found->id, error);
}

bool tool_create(Tool *tool, const char *filename, const char *format, GHashTable *options,
                 GError **error)
{
    const BlockDriver *driver = block_driver_find(format);

    if (!driver) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "Unknown file format '%s': --help lists them", format);
    }
    tool_on_signal(tool, "'%s' is unfinished", filename);
    /* Creating empties the file, also with --force-share. */
    for (GList *link = block_graph_nodes(tool->graph); link; link = link->next) {
        const BlockNode *node = link->data;

        if (!strcmp(node->driver->name, "file") && block_is_same_file(node->filename, filename)) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "'%s' is being read: creating it would destroy what is in it",
                              filename);
        }
    }
    return tool_check_options(driver, options, error) &&
           block_create_image(tool->graph, driver, filename, options, error);
}

typedef struct {
    Tool tool;
    const ToolCommand *command;
    int argc;
    char **argv;
    int status;
} MainCall;

static void main_entry(void *opaque)
{
    MainCall *call = opaque;

    call->status = call->command->run(&call->tool, call->argc, call->argv);
}

/* SIGUSR1 asks for the progress; before there are threads. */
static int watch_signal(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int tool_main(const char *program, const ToolCommand *command, int argc, char **argv)
{
    MainCall call = {
        .tool = { .program = program, .progress_fd = -1 },
        .command = command,
        .argc = argc,
        .argv = argv,
    };

    if (isatty(STDOUT_FILENO)) {
        call.tool.patience_us = g_get_monotonic_time() + PATIENCE_US;
    }
    if (command->name[0]) {
        call.tool.progress_fd = watch_signal();
        call.tool.signals = tool_signals_start(program);
    }

    call.tool.graph = block_graph_new(NULL);
    block_graph_set_blocking(call.tool.graph, true);
    block_set_named_file_handler(call.tool.graph, block_show_named_file, (void *)program);
    async_context_set_helpers(block_graph_context(call.tool.graph),
                              CLAMP(g_get_num_processors(), HELPERS_MIN, HELPERS_MAX));
    async_run_sync(block_graph_context(call.tool.graph), main_entry, &call);
    tool_signals_wait(call.tool.signals, NULL);
    block_graph_free(call.tool.graph);
    if (call.status == 0) {
        tool_on_signal(&call.tool, "what was asked for was completed first");
    }
    if (call.tool.progress && tool_interrupted(&call.tool)) {
        printf("\n");
    }
    if (fflush(stdout) != 0) { /* who reads it may not do so: signals still end that */
        fprintf(stderr, "%s: standard output: %s\n", program, g_strerror(errno));
        call.status = call.status ? call.status : 1;
    }
    tool_signals_end(call.tool.signals);
    return call.status;
}
