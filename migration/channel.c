/* SPDX-License-Identifier: MIT */
/* Channels: descriptors that are never waited for without looking whether somebody has given up. */
#include "migration/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/socket-address.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "block/nbd/tls.h"

struct Channel {
    char *address;
    bool output;
    int fd, listener; /* -1: none */
    int broken;       /* an eventfd */
    GPid command;     /* 0: none */
    bool is_socket, is_file, keeps_listening;
    char *path, *host, *port;
    SocketAddress socket;        /* refers to the three above */
    TlsCredentials *credentials; /* NULL: no TLS */
    char *tls_host;
    TlsSession *tls;
};

enum {
    REAP_MS = 10,  /* a command that has all is asked so often whether it has ended */
    END_MS = 1000, /* how long one that is to end may take */
};

static const char *rest_of(const char *address, const char *kind)
{
    return g_str_has_prefix(address, kind) ? address + strlen(kind) : NULL;
}

/* file:PATH,offset=N: where the state begins. */
static bool open_file(Channel *channel, const char *text, GError **error)
{
    const char *option = strstr(text, ",offset=");
    g_autofree char *path = option ? g_strndup(text, (gsize)(option - text)) : g_strdup(text);
    guint64 offset = 0;
    int flags = channel->output ? O_WRONLY | O_CREAT : O_RDONLY;

    if (option &&
        !g_ascii_string_to_unsigned(option + strlen(",offset="),
                                    g_str_has_prefix(option + strlen(",offset="), "0x") ? 16 : 10,
                                    0, INT64_MAX, &offset, NULL)) {
        char *end;

        offset = g_ascii_strtoull(option + strlen(",offset="), &end, 0);
        if (*end) {
            return error_fail(error, KASO_ERROR_INVALID, "'%s' is no offset in a file",
                              option + strlen(",offset="));
        }
    }
    channel->fd = descriptors_open(path, flags, 0600);
    if (channel->fd < 0) {
        return error_fail_errno(error, errno, "Could not open '%s'", path);
    }
    channel->is_file = true;
    if (offset && lseek(channel->fd, (off_t)offset, SEEK_SET) < 0) {
        return error_fail_errno(
            error, errno, "Could not go to offset %" G_GUINT64_FORMAT " of '%s'", offset, path);
    }
    if (channel->output && ftruncate(channel->fd, (off_t)offset) < 0 && errno != EINVAL) {
        return error_fail_errno(error, errno, "Could not write to '%s'", path);
    }
    return true;
}

/* What the command starts ends with it. */
static void lead_group(gpointer opaque)
{
    setpgid(0, 0);
}

static bool start_command(Channel *channel, const char *command, GError **error)
{
    const char *argv[] = { "/bin/sh", "-c", command, NULL };

    return g_spawn_async_with_pipes(
        NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, lead_group, NULL, &channel->command,
        channel->output ? &channel->fd : NULL, channel->output ? NULL : &channel->fd, NULL, error);
}

static bool take_descriptor(Channel *channel, const char *name, GError **error)
{
    struct stat status;

    channel->fd = descriptors_take(name, error);
    if (channel->fd < 0) {
        return false;
    }
    channel->is_socket = fstat(channel->fd, &status) == 0 && S_ISSOCK(status.st_mode);
    return true;
}

static bool take_socket(Channel *channel, GError **error)
{
    channel->is_socket = true;
    if (channel->output) {
        return true;
    }
    channel->listener = socket_address_listen(&channel->socket, "migration", error);
    return channel->listener >= 0;
}

static bool open_channel(Channel *channel, GError **error)
{
    const char *rest;

    if ((rest = rest_of(channel->address, "file:"))) {
        return open_file(channel, rest, error);
    }
    if ((rest = rest_of(channel->address, "exec:"))) {
        return start_command(channel, rest, error);
    }
    if ((rest = rest_of(channel->address, "fd:"))) {
        return take_descriptor(channel, rest, error);
    }
    if ((rest = rest_of(channel->address, "unix:"))) {
        channel->socket.path = channel->path = g_strdup(rest);
        return take_socket(channel, error);
    }
    if ((rest = rest_of(channel->address, "tcp:"))) {
        if (!socket_address_split(rest, &channel->host, &channel->port)) {
            return error_fail(error, KASO_ERROR_INVALID, "'%s' is no HOST:PORT", rest);
        }
        channel->socket.host = channel->host[0] ? channel->host : NULL;
        channel->socket.port = channel->port;
        return take_socket(channel, error);
    }
    return error_fail(error, KASO_ERROR_INVALID,
                      "'%s' is no address for a migration: file:PATH[,offset=N], exec:COMMAND, "
                      "fd:NAME, unix:PATH or tcp:HOST:PORT",
                      channel->address);
}

static void set_non_blocking(Channel *channel)
{
    if (channel->fd >= 0) {
        fcntl(channel->fd, F_SETFL, fcntl(channel->fd, F_GETFL) | O_NONBLOCK);
    }
}

Channel *channel_new(const char *address, bool output, GError **error)
{
    Channel *channel = g_new0(Channel, 1);

    channel->address = g_strdup(address);
    channel->output = output;
    channel->fd = channel->listener = -1;
    channel->broken = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!open_channel(channel, error)) {
        channel_free(channel);
        return NULL;
    }
    set_non_blocking(channel);
    return channel;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

/* One that does not hear is not waited for long. */
static void end_command(Channel *channel)
{
    if (!channel->command) {
        return;
    }
    kill(-channel->command, SIGTERM);
    for (unsigned ms = 0; waitpid(channel->command, NULL, WNOHANG) == 0; ms += REAP_MS) {
        if (ms >= END_MS) {
            kill(-channel->command, SIGKILL);
            waitpid(channel->command, NULL, 0);
            return;
        }
        g_usleep(REAP_MS * 1000);
    }
}

void channel_free(Channel *channel)
{
    g_clear_pointer(&channel->tls, tls_session_free);
    close_fd(&channel->fd);
    channel_stop_listening(channel);
    close_fd(&channel->broken);
    end_command(channel);
    g_free(channel->tls_host);
    g_free(channel->path);
    g_free(channel->host);
    g_free(channel->port);
    g_free(channel->address);
    g_free(channel);
}

void channel_break_off(Channel *channel)
{
    const uint64_t one = 1;
    ssize_t ignored = write(channel->broken, &one, sizeof one);

    (void)ignored;
}

/* Until the descriptor can be read or written. */
static bool wait_for(Channel *channel, short events, GError **error)
{
    struct pollfd fds[] = { { channel->broken, POLLIN, 0 }, { channel->fd, events, 0 } };

    while (poll(fds, G_N_ELEMENTS(fds), -1) < 0) {
        if (errno != EINTR) {
            return error_fail_errno(error, errno, "Could not wait for '%s'", channel->address);
        }
    }
    return !fds[0].revents || error_fail(error, KASO_ERROR_GENERIC, "The migration was cancelled");
}

bool channel_set_tls(Channel *channel, TlsCredentials *credentials, const char *host,
                     GError **error)
{
    host = host ? host : channel->host;
    if (!channel->is_socket) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "TLS is for sockets: '%s' is none; set tls-creds to nothing",
                          channel->address);
    }
    if (channel->output && tls_credentials_have_certificate(credentials) && (!host || !host[0])) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "'%s' names no host that the destination's certificate could be compared "
                          "with; set tls-hostname",
                          channel->address);
    }
    channel->credentials = credentials;
    channel->tls_host = channel->output ? g_strdup(host) : NULL;
    return true;
}

static bool shake_hands(Channel *channel, GError **error)
{
    short events;
    int result;

    if (!channel->credentials || channel->tls) {
        return true;
    }
    channel->tls = tls_session_begin(channel->fd, channel->credentials, channel->tls_host, error);
    if (!channel->tls) {
        return false;
    }
    while ((result = tls_session_shake_hands(channel->tls, &events, error)) == -EAGAIN) {
        if (!wait_for(channel, events, error)) {
            return false;
        }
    }
    return result == 0;
}

static bool connect_socket(Channel *channel, GError **error)
{
    int failure = 0;
    socklen_t size = sizeof failure;

    if (channel->fd >= 0) {
        return true;
    }
    channel->fd = socket_address_connect(&channel->socket, false, "migration", error);
    if (channel->fd < 0 || !wait_for(channel, POLLOUT, error)) {
        return false;
    }
    getsockopt(channel->fd, SOL_SOCKET, SO_ERROR, &failure, &size);
    return failure == 0 ||
           error_fail_errno(error, failure, "Could not connect to '%s'", channel->address);
}

bool channel_connect(Channel *channel, GError **error)
{
    return connect_socket(channel, error) && shake_hands(channel, error);
}

int channel_listener(const Channel *channel)
{
    return channel->listener;
}

bool channel_accept(Channel *channel, GError **error)
{
    channel->fd = accept4(channel->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (channel->fd < 0) {
        return error_fail_errno(error, errno, "Nobody has connected to '%s'", channel->address);
    }
    if (!channel->keeps_listening) {
        channel_stop_listening(channel);
    }
    return true;
}

void channel_keep_listening(Channel *channel)
{
    channel->keeps_listening = true;
}

void channel_stop_listening(Channel *channel)
{
    if (channel->listener >= 0 && channel->path) {
        unlink(channel->path);
    }
    close_fd(&channel->listener);
}

/* Of a socket, with nothing open. */
static Channel *copy_of(const Channel *channel)
{
    Channel *other = g_new0(Channel, 1);

    other->address = g_strdup(channel->address);
    other->output = channel->output;
    other->is_socket = true;
    other->fd = other->listener = -1;
    other->broken = fcntl(channel->broken, F_DUPFD_CLOEXEC, 0);
    other->credentials = channel->credentials;
    other->tls_host = g_strdup(channel->tls_host);
    other->socket.path = other->path = g_strdup(channel->path);
    other->host = g_strdup(channel->host);
    other->socket.host = channel->socket.host ? other->host : NULL;
    other->socket.port = other->port = g_strdup(channel->port);
    return other;
}

bool channel_may_be_several(const Channel *channel, GError **error)
{
    return channel->path || channel->port ||
           error_fail(error, KASO_ERROR_UNSUPPORTED,
                      "'%s' is one channel, and multifd is for several: those of unix:PATH and "
                      "tcp:HOST:PORT; turn multifd off",
                      channel->address);
}

Channel *channel_another(Channel *channel, GError **error)
{
    struct pollfd fds[] = { { channel->broken, POLLIN, 0 }, { channel->listener, POLLIN, 0 } };
    Channel *other;

    if (!channel_may_be_several(channel, error)) {
        return NULL;
    }
    other = copy_of(channel);
    if (channel->output) {
        return other;
    }
    while (other->fd < 0) {
        if (poll(fds, G_N_ELEMENTS(fds), -1) < 0 && errno != EINTR) {
            error_fail_errno(error, errno, "Could not wait for '%s'", channel->address);
        } else if (fds[0].revents) {
            error_fail(error, KASO_ERROR_GENERIC, "The migration was cancelled");
        } else {
            other->fd = accept4(channel->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
            continue;
        }
        channel_free(other);
        return NULL;
    }
    return other;
}

char *channel_listening_at(const Channel *channel)
{
    return channel->listener >= 0 ? socket_address_of(channel->listener, false) : NULL;
}

/* A part of it, or -errno; *events: what to wait for before the next. */
static ssize_t write_some(Channel *channel, const void *data, size_t size, short *events)
{
    ssize_t done;

    *events = POLLOUT;
    if (channel->tls) {
        return tls_session_write(channel->tls, data, size, events);
    }
    done = write(channel->fd, data, size);
    return done < 0 ? -errno : done;
}

static ssize_t read_some(Channel *channel, void *data, size_t size, short *events)
{
    ssize_t done;

    *events = POLLIN;
    if (channel->tls) {
        return tls_session_read(channel->tls, data, size, events);
    }
    done = read(channel->fd, data, size);
    return done < 0 ? -errno : done;
}

static bool is_broken(Channel *channel, GError **error)
{
    struct pollfd broken = { channel->broken, POLLIN, 0 };

    return poll(&broken, 1, 0) > 0 &&
           !error_fail(error, KASO_ERROR_GENERIC, "The migration was cancelled");
}

bool channel_write(Channel *channel, const void *data, size_t size, GError **error)
{
    const char *from = data;

    while (size) {
        short events;
        ssize_t done;

        if (is_broken(channel, error)) {
            return false;
        }
        done = write_some(channel, from, size, &events);
        if (done < 0 && done != -EINTR && done != -EAGAIN) {
            return error_fail_errno(error, (int)-done, "Could not write to '%s'", channel->address);
        }
        if (done == -EAGAIN && !wait_for(channel, events, error)) {
            return false;
        }
        if (done > 0) {
            from += done;
            size -= (size_t)done;
        }
    }
    return true;
}

bool channel_read(Channel *channel, void *data, size_t size, GError **error)
{
    char *to = data;

    while (size) {
        short events;
        ssize_t done;

        if (is_broken(channel, error)) {
            return false;
        }
        done = read_some(channel, to, size, &events);
        if (done < 0 && done != -EINTR && done != -EAGAIN) {
            return error_fail_errno(error, (int)-done, "Could not read from '%s'",
                                    channel->address);
        }
        if (done == -EAGAIN && !wait_for(channel, events, error)) {
            return false;
        }
        if (done == 0) {
            return error_fail(error, KASO_ERROR_IO,
                              "'%s' ended before the state of the machine did", channel->address);
        }
        if (done > 0) {
            to += done;
            size -= (size_t)done;
        }
    }
    return true;
}

bool channel_answers(const Channel *channel)
{
    return channel->is_socket;
}

static bool reap_command(Channel *channel, GError **error)
{
    struct pollfd broken = { channel->broken, POLLIN, 0 };
    int status = 0;

    close_fd(&channel->fd);
    while (waitpid(channel->command, &status, WNOHANG) == 0) {
        if (poll(&broken, 1, REAP_MS) > 0) {
            return error_fail(error, KASO_ERROR_GENERIC, "The migration was cancelled");
        }
    }
    channel->command = 0;
    return g_spawn_check_wait_status(status, error);
}

bool channel_finish(Channel *channel, GError **error)
{
    int fd = channel->fd;

    if (channel->command) {
        return reap_command(channel, error);
    }
    if (channel->is_file && channel->output && fsync(fd) < 0 && errno != EINVAL) {
        return error_fail_errno(error, errno, "Could not write to '%s'", channel->address);
    }
    if (channel->is_socket) {
        return true; /* the answer may still be to come: channel_free closes it */
    }
    channel->fd = -1;
    return close(fd) == 0 ||
           error_fail_errno(error, errno, "Could not write to '%s'", channel->address);
}
