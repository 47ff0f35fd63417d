/* SPDX-License-Identifier: MIT */
/* kaso-nbd: serves an image to NBD clients over a unix socket or TCP, or lists what others serve. */
#include "block/nbd/negotiate.h"
#include "block/nbd/server.h"
#include "block/jobs/overlay.h"
#include "block/tools/signals.h"
#include "block/tools/tool.h"

#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"
#include "base/version.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    OPTION_OBJECT = 256,
    OPTION_IMAGE_OPTS,
    OPTION_TLS,
    OPTION_TLS_HOST,
    OPTION_AUTHZ,
    OPTION_FORK,
    OPTION_PID,
    OPTION_CACHE,
    OPTION_DISCARD,
    OPTION_DETECT,
    OPTION_AIO,
    OPTION_HANDSHAKE,
    OPTION_NOT_HERE,
};
enum { BACKLOG = 64, FIRST_PASSED_FD = 3 };

typedef struct {
    Tool *tool;
    NbdAddress address;
    const char *name, *description, *format, *load_snapshot, *pid_file, *tls_id, *tls_host,
        *authz_id;
    GPtrArray *bitmaps;       /* names, of -B */
    GHashTable *node_options; /* cache, discard, detect-zeroes, aio */
    uint64_t offset, shared;  /* shared 0: any number of clients */
    uint64_t handshake_limit_s;
    bool write_through, has_cache;
    bool has_offset, read_only, persistent, image_opts, snapshot, allocation_depth, list, verbose,
        fork;
    int ready_fd; /* of --fork, or -1 */

    NbdServer *server;
    int signal_fd;
    bool stopping, watching_signals;
} Service;

/* The image. */

static BlockNode *open_layer(Service *s, const char *filename, GHashTable *options, GError **error)
{
    BlockOpenFlags flags = { .read_only = s->read_only || s->snapshot, .unmap = true };

    return node_open(s->tool->graph, filename, options, flags, error);
}

static BlockNode *open_image(Service *s, const char *filename, GError **error)
{
    GHashTable *options = s->image_opts ? options_parse(filename, NULL, error) : options_new();

    if (!options) {
        return NULL;
    }
    options_merge(options, s->node_options);
    if (s->format) {
        options_set(options, "driver", s->format);
    }
    return open_layer(s, s->image_opts ? NULL : filename, options, error);
}

/* -o, -l and -s put layers on the image. Takes node over. */
static BlockNode *add_layers(Service *s, BlockNode *node, GError **error)
{
    if (s->load_snapshot && !tool_load_snapshot(node, s->load_snapshot, error)) {
        node_unref(node);
        return NULL;
    }
    if (s->has_offset) {
        GHashTable *options = options_new();
        g_autofree char *offset = g_strdup_printf("%" G_GUINT64_FORMAT, s->offset);
        BlockNode *raw;

        options_set(options, "driver", "raw");
        options_set(options, "offset", offset);
        options_set(options, "file", node->node_name);
        raw = open_layer(s, NULL, options, error);
        node_unref(node);
        node = raw;
    }
    if (node && s->snapshot) {
        node = overlay_new(node, error);
    }
    return node;
}

/* Listening. */

/* Sockets that a service manager passed: LISTEN_PID and LISTEN_FDS. */
static unsigned passed_sockets(void)
{
    const char *pid = g_getenv("LISTEN_PID"), *count = g_getenv("LISTEN_FDS");

    if (!pid || !count || strtol(pid, NULL, 10) != getpid()) {
        return 0;
    }
    return (unsigned)CLAMP(strtol(count, NULL, 10), 0, 64);
}

static bool start_listening(Service *s, GError **error)
{
    g_autoptr(GArray) sockets = g_array_new(FALSE, FALSE, sizeof(int));
    unsigned passed = passed_sockets();

    for (unsigned i = 0; i < passed; i++) {
        int fd = (int)(FIRST_PASSED_FD + i);

        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        g_array_append_val(sockets, fd);
    }
    if (!passed && !nbd_address_listen(&s->address, BACKLOG, sockets, error)) {
        return false;
    }
    for (guint i = 0; i < sockets->len; i++) {
        nbd_server_add_socket(s->server, g_array_index(sockets, int, i));
    }
    return true;
}

static void fill_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

/*
 * SIGTERM, SIGINT and SIGHUP end the server when the requests in flight are done, which limits and servers that do not answer
 * do not delay; a second one ends the program at once.
 */
static void watch_signals(void *opaque)
{
    Service *s = opaque;
    struct signalfd_siginfo info;
    sigset_t set;

    while (!s->stopping) {
        if (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
            break;
        }
        if (coroutine_poll_fd(s->signal_fd, POLLIN) < 0) {
            break;
        }
    }
    s->stopping = true;
    s->watching_signals = false;
    block_graph_hasten(s->tool->graph);
    fill_signals(&set);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    nbd_server_wake(s->server);
}

/*
 * The parent ends when the child listens, with status 1 when it never does. Neither this nor
 * blocking signals works once there are threads: both come before the image is opened.
 */
static bool fork_into_background(Service *s)
{
    int fds[2];
    char byte;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0) {
        return false;
    }
    pid = fork();
    if (pid > 0) {
        close(fds[1]);
        _exit(read(fds[0], &byte, 1) == 1 ? 0 : 1);
    }
    close(fds[0]);
    s->ready_fd = fds[1];
    return pid == 0 && setsid() >= 0;
}

/* Only the descriptor sees them. */
static int block_signals(void)
{
    sigset_t set;

    fill_signals(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void tell_parent(Service *s)
{
    ssize_t told;
    int null;

    if (s->ready_fd < 0) {
        return;
    }
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; null >= 0 && fd < 3 - s->verbose; fd++) {
        dup2(null, fd);
    }
    told = write(s->ready_fd, "", 1);
    (void)told;
    close(s->ready_fd);
}

static bool announce(Service *s, GError **error)
{
    if (s->pid_file) {
        g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());

        if (!g_file_set_contents(s->pid_file, text, -1, error)) {
            return false;
        }
    }
    tell_parent(s);
    return true;
}

/* Until a signal, or without -t until the last client has left. */
static void serve(Service *s)
{
    for (;;) {
        uint64_t ever;
        unsigned now = nbd_server_clients(s->server, &ever);

        if (s->stopping || (!s->persistent && ever && !now)) {
            break;
        }
        nbd_server_wait(s->server);
    }
    s->stopping = true;
    if (s->watching_signals) {
        kill(getpid(), SIGUSR1);
    }
    while (s->watching_signals) {
        nbd_server_wait(s->server);
    }
}

static bool serve_node(Service *s, BlockNode *node, GError **error)
{
    TlsCredentials *credentials = NULL;
    NbdExport *export;
    bool done = false;

    if (s->authz_id && !s->tls_id) {
        return error_fail(error, KASO_ERROR_INVALID, "--tls-authz takes --tls-creds, too");
    }
    if (s->tls_id) {
        credentials = tls_credentials_load(s->tool->graph, s->tls_id, true, error);
        if (!credentials ||
            !tls_credentials_set_authz(credentials, s->tool->graph, s->authz_id, error)) {
            tls_credentials_free(credentials);
            return false;
        }
    }
    s->server = nbd_server_new(s->tool->graph, credentials, (unsigned)s->shared);
    nbd_server_set_handshake_limit(s->server, (unsigned)s->handshake_limit_s);
    export =
        nbd_server_add_export(s->server, s->name, s->description, node, !node->read_only, error);
    if (export) {
        export->allocation_depth = s->allocation_depth;
        export->write_through = s->write_through;
        done = true;
        for (guint i = 0; done && i < s->bitmaps->len; i++) {
            done = nbd_export_add_bitmap(export, s->bitmaps->pdata[i], error);
        }
        done = done && start_listening(s, error) && announce(s, error);
    }
    if (done) {
        s->watching_signals = true;
        async_start(coroutine_context(), watch_signals, s);
        serve(s);
    }
    nbd_server_free(s->server);
    if (done && s->address.path) {
        unlink(s->address.path);
    }
    return done;
}

static int serve_image(Service *s, const char *filename)
{
    GError *error = NULL;
    ToolSignals *signals = tool_signals_start(s->tool->program);
    BlockNode *node = open_image(s, filename, &error);
    bool done;

    tool_signals_end(signals); /* from now on watch_signals takes them */
    if (!node) {
        g_prefix_error(&error, "Failed to open '%s': ", filename);
        return tool_error(s->tool, error);
    }
    tool_warn_guessed(s->tool, node);
    node = add_layers(s, node, &error);
    done = node && serve_node(s, node, &error);
    if (node) {
        node_unref(node);
    }
    return done ? 0 : tool_error(s->tool, error);
}

/* --list */

static void print_flags(uint16_t flags)
{
    static const char *const names[] = {
        NULL,     "readonly", "flush", "fua",    "rotational", "trim",
        "zeroes", "df",       "multi", "resize", "cache",      "fast-zero",
    };

    printf("  flags: 0x%x (", flags);
    for (unsigned i = 1; i < ARRAY_SIZE(names); i++) {
        if (flags & 1u << i) {
            printf(" %s", names[i]);
        }
    }
    printf(" )\n");
}

static void print_export(const NbdExportInfo *info)
{
    printf(" export: '%s'\n", info->name);
    if (info->description && info->description[0]) {
        printf("  description: %s\n", info->description);
    }
    if (info->flags & NBD_FLAG_HAS_FLAGS) {
        printf("  size:  %" G_GUINT64_FORMAT "\n", info->size);
        print_flags(info->flags);
    }
    if (info->block_min) {
        printf("  min block: %u\n  opt block: %u\n  max block: %u\n", info->block_min,
               info->block_preferred, info->block_max);
    }
    if (info->contexts && info->contexts[0]) {
        printf("  available meta contexts: %u\n", g_strv_length(info->contexts));
        for (char **context = info->contexts; *context; context++) {
            printf("   %s\n", *context);
        }
    }
}

static GPtrArray *fetch_list(Service *s, GError **error)
{
    TlsCredentials *credentials = NULL;
    GPtrArray *list = NULL;
    NbdConnecting connecting;
    NbdChannel *channel;
    int fd;

    if (s->tls_id) {
        credentials = tls_credentials_load(s->tool->graph, s->tls_id, false, error);
        if (!credentials) {
            return NULL;
        }
    }
    nbd_connecting_init(&connecting);
    fd = nbd_address_connect(&s->address, &connecting, error);
    nbd_connecting_clear(&connecting);
    if (fd >= 0) {
        channel = nbd_channel_new(fd);
        list = nbd_list(channel, credentials, s->tls_host ? s->tls_host : s->address.host, error);
        nbd_channel_free(channel);
    }
    tls_credentials_free(credentials);
    return list;
}

static int list_exports(Service *s)
{
    GError *error = NULL;
    GPtrArray *list = fetch_list(s, &error);

    if (!list) {
        return tool_error(s->tool, error);
    }
    printf("exports available: %u\n", list->len);
    for (guint i = 0; i < list->len; i++) {
        print_export(list->pdata[i]);
    }
    g_ptr_array_unref(list);
    return 0;
}

/* Options. */

static const struct option longs[] = {
    { "object", required_argument, NULL, OPTION_OBJECT },
    { "image-opts", no_argument, NULL, OPTION_IMAGE_OPTS },
    { "tls-creds", required_argument, NULL, OPTION_TLS },
    { "tls-hostname", required_argument, NULL, OPTION_TLS_HOST },
    { "fork", no_argument, NULL, OPTION_FORK },
    { "pid-file", required_argument, NULL, OPTION_PID },
    { "cache", required_argument, NULL, OPTION_CACHE },
    { "nocache", no_argument, NULL, 'n' },
    { "discard", required_argument, NULL, OPTION_DISCARD },
    { "detect-zeroes", required_argument, NULL, OPTION_DETECT },
    { "aio", required_argument, NULL, OPTION_AIO },
    { "port", required_argument, NULL, 'p' },
    { "bind", required_argument, NULL, 'b' },
    { "socket", required_argument, NULL, 'k' },
    { "shared", required_argument, NULL, 'e' },
    { "persistent", no_argument, NULL, 't' },
    { "format", required_argument, NULL, 'f' },
    { "read-only", no_argument, NULL, 'r' },
    { "export-name", required_argument, NULL, 'x' },
    { "description", required_argument, NULL, 'D' },
    { "offset", required_argument, NULL, 'o' },
    { "snapshot", no_argument, NULL, 's' },
    { "load-snapshot", required_argument, NULL, 'l' },
    { "allocation-depth", no_argument, NULL, 'A' },
    { "bitmap", required_argument, NULL, 'B' },
    { "list", no_argument, NULL, 'L' },
    { "verbose", no_argument, NULL, 'v' },
    { "handshake-limit", required_argument, NULL, OPTION_HANDSHAKE },
    { "trace", required_argument, NULL, 'T' },
    { "connect", required_argument, NULL, 'c' },
    { "disconnect", no_argument, NULL, 'd' },
    { "tls-authz", required_argument, NULL, OPTION_AUTHZ },
    { "selinux-label", required_argument, NULL, OPTION_NOT_HERE },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { 0 },
};

static int nbd_run(Tool *tool, int argc, char **argv);

static const ToolCommand nbd_command = {
    .name = "",
    .summary = "Serves an image to NBD clients, or lists exports (-L)",
    .usage = "[-p PORT] [-b ADDRESS] [-k SOCKET] [-e CLIENTS] [-t] [-f FMT | --image-opts] [-r] "
             "[-x NAME] [-D TEXT] [-A] [-B BITMAP]... [-o OFFSET] [-s] [-l SNAPSHOT] [-n] [--cache "
             "MODE] "
             "[--discard MODE] [--detect-zeroes MODE] [--aio MODE] [--object OBJDEF] "
             "[--tls-creds ID] [--tls-authz ID] [--tls-hostname HOST] [--handshake-limit SECONDS] "
             "[--fork] "
             "[--pid-file PATH] [-T TRACE] [-v] [-L] FILE",
    .run = nbd_run,
};

static bool cache_option(Service *s, const char *mode)
{
    bool direct = !strcmp(mode, "none") || !strcmp(mode, "off") || !strcmp(mode, "directsync");
    bool unsafe = !strcmp(mode, "unsafe");

    if (!direct && !unsafe && strcmp(mode, "writeback") && strcmp(mode, "writethrough")) {
        tool_fail(s->tool, "Invalid cache mode '%s'", mode);
        return false;
    }
    if (s->has_cache) {
        tool_fail(s->tool, "-n and --cache can only be specified once");
        return false;
    }
    s->has_cache = true;
    s->write_through = !strcmp(mode, "writethrough") || !strcmp(mode, "directsync");
    options_set(s->node_options, "cache.direct", direct ? "on" : "off");
    options_set(s->node_options, "cache.no-flush", unsafe ? "on" : "off");
    return true;
}

static bool flag_option(Service *s, int c)
{
    switch (c) {
    case 't':
        s->persistent = true;
        return true;
    case 'r':
        s->read_only = true;
        return true;
    case 's':
        s->snapshot = true;
        return true;
    case 'A':
        s->allocation_depth = true;
        return true;
    case 'L':
        s->list = true;
        return true;
    case 'v':
        s->verbose = true;
        return true;
    case 'n':
        return cache_option(s, "none");
    case OPTION_IMAGE_OPTS:
        s->image_opts = true;
        return true;
    case OPTION_FORK:
        s->fork = true;
        return true;
    default:
        tool_usage(s->tool, &nbd_command);
        return false;
    }
}

static bool image_option(Service *s, int c)
{
    switch (c) {
    case 'f':
        s->format = optarg;
        return true;
    case 'o':
        s->has_offset = true;
        return tool_size(s->tool, "offset", optarg, &s->offset);
    case 'l':
        s->load_snapshot = optarg;
        s->read_only = true;
        return true;
    case OPTION_CACHE:
        return cache_option(s, optarg);
    case OPTION_DISCARD:
        options_set(s->node_options, "discard", optarg);
        return true;
    case OPTION_DETECT:
        options_set(s->node_options, "detect-zeroes", optarg);
        return true;
    case OPTION_AIO:
        options_set(s->node_options, "file.aio", optarg);
        return true;
    default:
        return flag_option(s, c);
    }
}

static void set_text(char **to, const char *text)
{
    g_free(*to);
    *to = g_strdup(text);
}

static bool trace_option(Service *s, const char *globs)
{
    GError *error = NULL;

    if (log_set_trace(globs, &error)) {
        return true;
    }
    tool_error(s->tool, error);
    return false;
}

static bool network_option(Service *s, int c)
{
    switch (c) {
    case 'p':
        if (!g_ascii_string_to_unsigned(optarg, 10, 0, UINT16_MAX, NULL, NULL)) {
            tool_fail(s->tool, "Invalid port '%s': give 0 to %d", optarg, UINT16_MAX);
            return false;
        }
        set_text(&s->address.port, optarg);
        return true;
    case 'b':
        set_text(&s->address.host, optarg);
        return true;
    case 'k':
        set_text(&s->address.path, optarg);
        return true;
    case 'e':
        return tool_size(s->tool, "number of clients", optarg, &s->shared);
    case 'x':
        s->name = optarg;
        return true;
    case 'D':
        s->description = optarg;
        return true;
    case 'B':
        g_ptr_array_add(s->bitmaps, optarg);
        return true;
    case OPTION_PID:
        s->pid_file = optarg;
        return true;
    case OPTION_TLS:
        s->tls_id = optarg;
        return true;
    case OPTION_AUTHZ:
        s->authz_id = optarg;
        return true;
    case OPTION_TLS_HOST:
        s->tls_host = optarg;
        return true;
    case OPTION_OBJECT:
        return tool_object(s->tool, optarg);
    case OPTION_HANDSHAKE:
        return tool_size(s->tool, "handshake limit", optarg, &s->handshake_limit_s);
    case 'T':
        return trace_option(s, optarg);
    case 'c':
    case 'd':
        tool_fail(s->tool,
                  "-%c: the kernel's NBD client is not driven by kaso-nbd; serve with -k and "
                  "use nbd-client",
                  c);
        return false;
    case OPTION_NOT_HERE:
        tool_fail(s->tool, "not yet: --selinux-label");
        return false;
    default:
        return image_option(s, c);
    }
}

static int run_service(Service *s, int argc, char **argv)
{
    int c;

    while ((c = getopt_long(argc, argv, "p:b:k:e:tf:rx:D:B:o:snl:ALvT:c:dhV", longs, NULL)) != -1) {
        if (c == 'h') {
            tool_help(s->tool, &nbd_command);
            return 0;
        }
        if (c == 'V') {
            printf("qemu-nbd %s\n", version_text);
            return 0;
        }
        if (!network_option(s, c)) {
            return 1;
        }
    }
    if (!s->address.port) {
        s->address.port = g_strdup_printf("%d", NBD_DEFAULT_PORT);
    }
    if (s->image_opts && s->format) {
        return tool_fail(s->tool, "--image-opts and -f are mutually exclusive");
    }
    if (s->shared > 1000000) {
        return tool_fail(s->tool, "Invalid number of clients: %" G_GUINT64_FORMAT, s->shared);
    }
    if (s->list) {
        return optind == argc ? list_exports(s) : tool_usage(s->tool, &nbd_command);
    }
    if (optind != argc - 1) {
        return tool_fail(s->tool, "Invalid number of arguments: expecting one image file name");
    }
    if (s->fork && !fork_into_background(s)) {
        return tool_fail(s->tool, "Failed to fork: %s", g_strerror(errno));
    }
    s->signal_fd = block_signals();
    return serve_image(s, argv[optind]);
}

static int nbd_run(Tool *tool, int argc, char **argv)
{
    Service s = { .tool = tool,
                  .name = "",
                  .shared = 1,
                  .handshake_limit_s = 10,
                  .ready_fd = -1,
                  .signal_fd = -1,
                  .bitmaps = g_ptr_array_new(),
                  .node_options = options_new() };
    int status;

    /* Buffers of requests come and go: their memory stays. */
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, MIB(32));
    mallopt(M_TRIM_THRESHOLD, MIB(64));
    block_graph_set_blocking(tool->graph, false);
    status = run_service(&s, argc, argv);
    nbd_address_clear(&s.address);
    g_hash_table_unref(s.node_options);
    g_ptr_array_unref(s.bitmaps);
    return status;
}

int main(int argc, char **argv)
{
    return tool_main("kaso-nbd", &nbd_command, argc, argv);
}
