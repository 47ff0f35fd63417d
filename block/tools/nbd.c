/* SPDX-License-Identifier: MIT */
/* kaso-nbd: serves an image to NBD clients over a unix socket or TCP. */
#include "block/nbd.h"
#include "block/tools/tool.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { OPTION_OBJECT = 256, OPTION_IMAGE_OPTS, OPTION_TLS, OPTION_TLS_HOST, OPTION_FORK, OPTION_PID,
       OPTION_CACHE, OPTION_DISCARD, OPTION_DETECT, OPTION_AIO };

typedef struct {
    Tool *tool;
    ImageArguments arguments;
    NbdExport export;
    const char *bind, *port, *path, *snapshot, *pid_file;
    unsigned shared; /* connections at once; 0: any number */
    bool persistent;
    bool stopping;
    int listen_fd, stop_fds[2];
    CoroutineQueue idle;
    GList *clients; /* Client */
    bool waiting_for_signal;
} Server;

static int listen_unix(Server *server, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (strlen(server->path) >= sizeof address.sun_path) {
        error_fail(error, KASO_ERROR_INVALID, "The socket path '%s' is too long", server->path);
        return -1;
    }
    strcpy(address.sun_path, server->path);
    unlink(server->path); /* left over by an earlier server */
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, 64) < 0) {
        error_fail_errno(error, errno, "Failed to bind socket to %s", server->path);
        return -1;
    }
    return fd;
}

static int listen_tcp(Server *server, GError **error)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list, *at;
    int fd = -1, one = 1, failure = 0;

    if (getaddrinfo(server->bind, server->port, &hints, &list) != 0) {
        error_fail(error, KASO_ERROR_INVALID, "Cannot find the address '%s' port '%s'",
                   server->bind ? server->bind : "0.0.0.0", server->port);
        return -1;
    }
    for (at = list; at; at = at->ai_next) {
        fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (fd >= 0 && bind(fd, at->ai_addr, at->ai_addrlen) == 0 && listen(fd, 64) == 0) {
            break;
        }
        failure = errno;
        close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    if (fd < 0) {
        error_fail_errno(error, failure, "Failed to listen on port %s", server->port);
    }
    return fd;
}

typedef struct {
    Server *server;
    NbdChannel *channel;
} Client;

static void client_entry(void *opaque)
{
    Client *client = opaque;
    Server *server = client->server;

    nbd_serve(&server->export, client->channel);
    server->clients = g_list_remove(server->clients, client);
    g_free(client);
    if (--server->export.connections == 0) {
        if (!server->persistent) {
            server->stopping = true;
            shutdown(server->listen_fd, SHUT_RDWR); /* wakes the accepting coroutine */
        }
    }
    coroutine_queue_wake_all(&server->idle);
}

static void accept_clients(Server *server)
{
    while (!server->stopping) {
        Client *client;
        int fd;

        while (server->shared && server->export.connections >= server->shared &&
               !server->stopping) {
            coroutine_queue_wait(&server->idle);
        }
        if (server->stopping) {
            break;
        }
        coroutine_poll_fd(server->listen_fd, POLLIN);
        fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EINTR || errno == EAGAIN || errno == ECONNABORTED) {
                continue;
            }
            break;
        }
        server->export.connections++;
        client = g_new(Client, 1);
        *client = (Client){ server, nbd_channel_new(fd) };
        server->clients = g_list_prepend(server->clients, client);
        async_start(coroutine_context(), client_entry, client);
    }
    while (server->export.connections) {
        coroutine_queue_wait(&server->idle);
    }
}

/* SIGTERM, SIGINT and SIGHUP end the server when its clients are done with their requests. */
static int wait_signal(void *opaque)
{
    Server *server = opaque;
    struct pollfd fd = { .fd = server->stop_fds[0], .events = POLLIN };

    while (poll(&fd, 1, -1) < 0 && errno == EINTR) {
    }
    return 0;
}

/* For the signal handler, and for telling the parent of --fork. */
static int signal_pipe = -1, ready_pipe = -1;

static void on_signal(int signal)
{
    ssize_t written = write(signal_pipe, "", 1);

    (void)written;
}

static void signal_entry(void *opaque)
{
    Server *server = opaque;

    worker_call(wait_signal, server);
    if (!server->stopping) {
        server->stopping = true;
        shutdown(server->listen_fd, SHUT_RDWR);
        for (GList *link = server->clients; link; link = link->next) {
            nbd_channel_shutdown(((Client *)link->data)->channel);
        }
    }
    server->waiting_for_signal = false;
    coroutine_queue_wake_all(&server->idle);
}

static int serve_image(Server *server, BlockChild *child)
{
    GError *error = NULL;

    coroutine_queue_init(&server->idle);
    server->export.node = child->node;
    server->export.graph = server->tool->graph;
    server->listen_fd = server->path ? listen_unix(server, &error) : listen_tcp(server, &error);
    if (server->listen_fd < 0) {
        return tool_error(server->tool, error);
    }
    if (server->pid_file) {
        g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());

        if (!g_file_set_contents(server->pid_file, text, -1, &error)) {
            return tool_error(server->tool, error);
        }
    }
    if (pipe(server->stop_fds) == 0) {
        signal_pipe = server->stop_fds[1];
        signal(SIGTERM, on_signal);
        signal(SIGINT, on_signal);
        signal(SIGHUP, on_signal);
        server->waiting_for_signal = true;
        async_start(coroutine_context(), signal_entry, server);
    }
    if (ready_pipe >= 0) {
        ssize_t told = write(ready_pipe, "", 1);

        (void)told;
        close(ready_pipe);
    }
    accept_clients(server);
    server->stopping = true;
    if (server->waiting_for_signal) {
        on_signal(0);
    }
    while (server->waiting_for_signal) {
        coroutine_queue_wait(&server->idle);
    }
    close(server->listen_fd);
    if (server->path) {
        unlink(server->path);
    }
    return 0;
}

static const struct option longs[] = {
    { "object", required_argument, NULL, OPTION_OBJECT },
    { "image-opts", no_argument, NULL, OPTION_IMAGE_OPTS },
    { "tls-creds", required_argument, NULL, OPTION_TLS },
    { "tls-hostname", required_argument, NULL, OPTION_TLS_HOST },
    { "fork", no_argument, NULL, OPTION_FORK },
    { "pid-file", required_argument, NULL, OPTION_PID },
    { "cache", required_argument, NULL, OPTION_CACHE },
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
    { "load-snapshot", required_argument, NULL, 'l' },
    { "allocation-depth", no_argument, NULL, 'A' },
    { "verbose", no_argument, NULL, 'v' },
    { 0 },
};

static int nbd_run(Tool *tool, int argc, char **argv);

static const ToolCommand nbd_command = {
    .name = "",
    .summary = "Serves an image to NBD clients",
    .usage = "[-p PORT] [-b ADDRESS] [-k SOCKET] [-e CLIENTS] [-t] [-f FMT | --image-opts] [-r] "
             "[-x NAME] [-D TEXT] [-A] [-l SNAPSHOT] [--cache MODE] [--discard MODE] "
             "[--object OBJDEF] [--tls-creds ID] [--fork] [--pid-file PATH] FILE",
    .run = nbd_run,
};

static bool nbd_number(Tool *tool, const char *text, unsigned *value)
{
    uint64_t number;

    if (!tool_size(tool, "number", text, &number)) {
        return false;
    }
    *value = (unsigned)number;
    return true;
}

static bool nbd_flag(int c, Server *server)
{
    switch (c) {
    case 't':
        server->persistent = true;
        return true;
    case 'r':
        server->arguments.writable = false;
        return true;
    case 'A':
        server->export.allocation_depth = true;
        return true;
    case 'v':
        server->export.verbose = true;
        return true;
    case OPTION_IMAGE_OPTS:
        server->arguments.image_opts = true;
        return true;
    case OPTION_FORK:
        return true; /* done before any thread was started */
    case OPTION_TLS_HOST:
    case OPTION_DETECT:
    case OPTION_AIO:
        return true;
    default:
        return false;
    }
}

static bool nbd_option(Server *server, int c)
{
    switch (c) {
    case 'p':
        server->port = optarg;
        return true;
    case 'b':
        server->bind = optarg;
        return true;
    case 'k':
        server->path = optarg;
        return true;
    case 'e':
        return nbd_number(server->tool, optarg, &server->shared);
    case 'f':
        server->arguments.format = optarg;
        return true;
    case 'x':
        server->export.name = optarg;
        return true;
    case 'D':
        server->export.description = optarg;
        return true;
    case 'l':
        server->snapshot = optarg;
        server->arguments.writable = false;
        return true;
    case OPTION_PID:
        server->pid_file = optarg;
        return true;
    case OPTION_CACHE:
        server->arguments.cache = optarg;
        return true;
    case OPTION_DISCARD:
        server->arguments.unmap = !strcmp(optarg, "unmap") || !strcmp(optarg, "on");
        return true;
    case OPTION_TLS:
        server->export.tls_creds = optarg;
        return true;
    case OPTION_OBJECT:
        return tool_object(server->tool, optarg);
    default:
        if (nbd_flag(c, server)) {
            return true;
        }
        tool_usage(server->tool, &nbd_command);
        return false;
    }
}

static int nbd_run(Tool *tool, int argc, char **argv)
{
    Server server = { .tool = tool, .arguments = { .writable = true, .unmap = true },
                      .export = { .name = "" }, .port = "10809", .shared = 1 };
    GError *error = NULL;
    BlockChild *child;
    int c, status;

    while ((c = getopt_long(argc, argv, "p:b:k:e:tf:rx:D:l:Av", longs, NULL)) != -1) {
        if (!nbd_option(&server, c)) {
            return 1;
        }
    }
    if (optind != argc - 1) {
        return tool_fail(tool, "Expecting one image file name");
    }
    block_graph_set_blocking(tool->graph, false);
    child = tool_open(tool, argv[optind], &server.arguments);
    if (!child) {
        return 1;
    }
    if (server.snapshot && (!child->node->driver->snapshot_load ||
                            !child->node->driver->snapshot_load(child->node, server.snapshot,
                                                                &error))) {
        child_detach(child);
        return tool_error(tool, error);
    }
    server.export.read_only = child->node->read_only;
    status = serve_image(&server, child);
    child_detach(child);
    return status;
}

/*
 * The parent ends when the child says that it listens. Forking must come before any thread, and
 * so before the options are parsed.
 */
static int fork_into_background(void)
{
    int fds[2];
    char byte;
    pid_t pid;

    if (pipe(fds) < 0) {
        return -1;
    }
    pid = fork();
    if (pid > 0) {
        close(fds[1]);
        _exit(read(fds[0], &byte, 1) == 1 ? 0 : 1);
    }
    close(fds[0]);
    setsid();
    return fds[1];
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            printf("Usage: kaso-nbd %s\n\n%s.\n", nbd_command.usage, nbd_command.summary);
            return 0;
        }
        if (!strcmp(argv[i], "--version") || !strcmp(argv[i], "-V")) {
            printf("kaso-nbd 0.1.0\n");
            return 0;
        }
        if (!strcmp(argv[i], "--fork")) {
            ready_pipe = fork_into_background();
        }
    }
    return tool_main("kaso-nbd", &nbd_command, argc, argv);
}
