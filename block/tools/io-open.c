/* SPDX-License-Identifier: MIT */
/* kaso-io: opening the image, with a temporary layer, and once more with other options. */
#include "block/graph/debug-event.h"
#include "block/tools/io.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An empty qcow2 image without a name. */
static BlockNode *open_temporary(Tool *tool, uint64_t size, GError **error)
{
    const char *folder = getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp";
    g_autofree char *path = g_strdup_printf("%s/kaso-io-XXXXXX", folder);
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, size);
    g_autoptr(GHashTable) create = options_new();
    GHashTable *options;
    BlockNode *node = NULL;
    int fd = mkstemp(path);

    if (fd < 0) {
        error_fail_errno(
            error, errno,
            "Could not make the temporary file '%s' (set TMPDIR to a folder with room)", path);
        return NULL;
    }
    close(fd);
    options_set(create, "size", text);
    if (block_driver_find("qcow2")->create(tool->graph, path, create, error)) {
        options = options_new();
        options_set(options, "driver", "qcow2");
        node = node_open(
            tool->graph, path, options,
            (BlockOpenFlags){ .cache_no_flush = true, .no_backing = true, .unmap = true }, error);
    }
    unlink(path);
    return node;
}

static unsigned permissions(const ImageArguments *arguments)
{
    return BLOCK_PERM_CONSISTENT_READ | (arguments->writable ? BLOCK_PERM_WRITE : 0) |
           (arguments->resizable ? BLOCK_PERM_RESIZE : 0);
}

static BlockChild *open_snapshot(Session *session, const char *name,
                                 const ImageArguments *arguments, GError **error)
{
    ImageArguments below = *arguments;
    BlockChild *base, *child = NULL;
    BlockNode *node;

    below.writable = below.resizable = false;
    base = tool_open_error(session->tool, name, &below, error);
    if (!base) {
        return NULL;
    }
    node = open_temporary(session->tool, node_size(base->node), error);
    if (node && node_set_backing(node, base->node, error) &&
        (arguments->writable || node_set_read_only(node, true, error))) {
        child = node_attach_user(node, session->tool->program, permissions(arguments),
                                 BLOCK_PERM_ALL, error);
    }
    if (node) {
        node_unref(node);
    }
    child_detach(base);
    return child;
}

bool io_discard_option(Tool *tool, const char *mode, ImageArguments *arguments)
{
    arguments->unmap = !strcmp(mode, "unmap") || !strcmp(mode, "on");
    if (!arguments->unmap && strcmp(mode, "ignore") && strcmp(mode, "off")) {
        tool_fail(tool, "Invalid discard option: %s", mode);
        return false;
    }
    return true;
}

static bool is_write_through(const char *cache)
{
    return cache && (!strcmp(cache, "writethrough") || !strcmp(cache, "directsync"));
}

static void forget_opened(Session *session)
{
    g_clear_pointer(&session->opened.name, g_free);
    g_clear_pointer(&session->opened.cache, g_free);
    g_clear_pointer(&session->opened.changes, g_hash_table_unref);
}

bool io_session_open(Session *session, const char *name, const ImageArguments *arguments,
                     bool snapshot)
{
    GError *error = NULL;

    session->child = snapshot ? open_snapshot(session, name, arguments, &error)
                              : tool_open_error(session->tool, name, arguments, &error);
    if (session->child) {
        session->opened.name = g_strdup(name);
        session->opened.arguments = *arguments;
        session->opened.arguments.options = NULL;
        session->opened.snapshot = snapshot;
        session->write_through = is_write_through(arguments->cache);
        session->opened.changes =
            arguments->options ? options_copy(arguments->options) : options_new();
    } else {
        g_prefix_error(&error, "can't open%s%s: ", name ? " device " : "", name ? name : "");
        tool_error(session->tool, error);
    }
    return session->child != NULL;
}

int io_close(Session *session, int argc, char **argv)
{
    /* Nobody could tell it to go on. */
    node_debug_break(session->child->node, DEBUG_BREAK_REMOVE, NULL, EVENT_NONE);
    io_aio_flush(session, 0, NULL);
    child_detach(session->child);
    session->child = NULL;
    forget_opened(session);
    return 0;
}

int io_open(Session *session, int argc, char **argv)
{
    ImageArguments arguments = session->arguments;
    bool snapshot = session->snapshot;
    g_autoptr(GHashTable) options = options_new();
    int c;

    if (session->child) {
        return io_complain(session, "file open already, try 'help close'\n");
    }
    optind = 0;
    while ((c = getopt(argc, argv, "snCkrt:d:Uo:")) != -1) {
        switch (c) {
        case 'o':
            arguments.options = options;
            if (!tool_parse_options(session->tool, optarg, options)) {
                return -EINVAL;
            }
            break;
        case 'r':
            arguments.writable = arguments.resizable = false;
            break;
        case 's':
            snapshot = true;
            break;
        case 'n':
            arguments.cache = "none";
            break;
        case 'k':
            arguments.aio = BLOCK_AIO_NATIVE;
            break;
        case 'U':
            arguments.force_share = true;
            break;
        case 'C':
            arguments.copy_on_read = true;
            break;
        case 't':
            arguments.cache = optarg;
            break;
        case 'd':
            if (!io_discard_option(session->tool, optarg, &arguments)) {
                return -EINVAL;
            }
            break;
        default:
            return -EINVAL;
        }
    }
    if (optind >= argc && !arguments.options) {
        return io_complain(session, "expected a file name\n");
    }
    if (options_get(options, "driver")) {
        arguments.format = NULL; /* -f of the command line is for images that say nothing else */
    }
    return io_session_open(session, argv[optind], &arguments, snapshot) ? 0 : -EIO;
}

typedef struct {
    int access; /* 'r', 'w', 0: as it is */
    const char *cache;
    GHashTable *options;
} Reopen;

/* What image it is stays; a read-only or cache mode is given once. */
static bool check_reopen(const Reopen *r, GError **error)
{
    static const char *const fixed[] = { "driver",  "filename",  "node-name", "file",
                                         "backing", "data-file", "header" };
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, r->options);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        size_t length = strcspn(key, ".");

        for (unsigned i = 0; i < G_N_ELEMENTS(fixed); i++) {
            if (strlen(fixed[i]) == length && !strncmp(key, fixed[i], length)) {
                return error_fail(error, KASO_ERROR_INVALID,
                                  "Cannot change the option '%s' of an open image: close it and "
                                  "open it again",
                                  (char *)key);
            }
        }
        if (r->access && !strcmp(key, "read-only")) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "Give either -r or -w, or the option 'read-only'");
        }
        if (r->cache && g_str_has_prefix(key, "cache")) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "Give either -c, or the options of the cache");
        }
    }
    return true;
}

/* The temporary layer must stay open: only its access can change. */
static bool reopen_snapshot(Session *session, const Reopen *r, GError **error)
{
    ImageArguments arguments = session->opened.arguments;
    bool writable = r->access ? r->access == 'w' : arguments.writable;

    if (r->cache || g_hash_table_size(r->options)) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "With a snapshot (-s) only -r and -w can change: what was written would "
                          "be lost");
    }
    arguments.writable = arguments.resizable = writable;
    if ((writable && !node_set_read_only(session->child->node, false, error)) ||
        !child_set_perm(session->child, permissions(&arguments), BLOCK_PERM_ALL, error) ||
        (!writable && !node_set_read_only(session->child->node, true, error))) {
        return false;
    }
    session->opened.arguments = arguments;
    return true;
}

static bool open_again(Session *session, const ImageArguments *arguments, GHashTable *changes,
                       GError **error)
{
    ImageArguments wanted = *arguments;

    wanted.options = changes;
    session->child = tool_open_error(session->tool, session->opened.name, &wanted, error);
    return session->child != NULL;
}

/* Closes and opens; as it was, when the new options do not work. */
static bool reopen_image(Session *session, const Reopen *r, GError **error)
{
    ImageArguments arguments = session->opened.arguments;
    g_autoptr(GHashTable) changes = options_copy(r->options);
    g_autofree char *read_only = options_take(changes, "read-only");
    GError *again = NULL;

    options_merge(changes, session->opened.changes);
    if (r->access) {
        arguments.writable = arguments.resizable = r->access == 'w';
    }
    if (read_only) {
        arguments.writable = arguments.resizable = !strcmp(read_only, "off");
    }
    if (r->cache) {
        arguments.cache = r->cache;
    }
    child_detach(session->child);
    if (!open_again(session, &arguments, changes, error)) {
        if (!open_again(session, &session->opened.arguments, session->opened.changes, &again)) {
            g_prefix_error(error, "The image is closed now (%s): ", again->message);
            g_error_free(again);
            forget_opened(session);
        }
        return false;
    }
    if (r->cache) {
        g_free(session->opened.cache);
        arguments.cache = session->opened.cache = g_strdup(r->cache);
    }
    session->opened.arguments = arguments;
    session->write_through = is_write_through(arguments.cache);
    g_hash_table_unref(session->opened.changes);
    session->opened.changes = g_steal_pointer(&changes);
    return true;
}

static bool take_reopen(Session *session, int argc, char **argv, Reopen *r)
{
    int c;

    optind = 0;
    while ((c = getopt(argc, argv, "rwc:o:")) != -1) {
        if (c == 'c') {
            r->cache = optarg;
        } else if (c == 'o') {
            if (!tool_parse_options(session->tool, optarg, r->options)) {
                return false;
            }
        } else if (c == '?') {
            return false;
        } else if (r->access) {
            io_complain(session, "Only one -r/-w option may be given\n");
            return false;
        } else {
            r->access = c;
        }
    }
    if (optind < argc) {
        io_complain(session, "reopen takes options only, not '%s'\n", argv[optind]);
    }
    return optind == argc;
}

int io_reopen(Session *session, int argc, char **argv)
{
    g_autoptr(GHashTable) options = options_new();
    Reopen r = { .options = options };
    GError *error = NULL;
    bool done;

    if (!take_reopen(session, argc, argv, &r)) {
        return -EINVAL;
    }
    io_aio_flush(session, 0, NULL);
    done = check_reopen(&r, &error) &&
           (session->opened.snapshot ? reopen_snapshot : reopen_image)(session, &r, &error);
    if (!done) {
        tool_error(session->tool, error);
    }
    return done ? 0 : -EINVAL;
}
