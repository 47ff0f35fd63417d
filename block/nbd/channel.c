/* SPDX-License-Identifier: MIT */
/* Sockets and TLS sessions below the NBD protocol, waited for in coroutines. */
#include "block/nbd/channel.h"

#include "base/error.h"
#include "base/port.h"
#include "block/nbd/nbd.h"
#include "block/nbd/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Replies are short: many of them come with one system call. */
/* The kernel's default for unix sockets holds less than one large reply. */
enum { UNIX_SEND_BUFFER = 2 * 1024 * 1024, HELD_MAX = 16 * 1024 };
enum { INPUT_SIZE = 16 * 1024, SEGMENTS = 64, CONNECT_TIMEOUT_MS = 30000 };

struct NbdChannel {
    int fd;
    TlsSession *tls;
    size_t input_at, input_end;
    uint8_t input[INPUT_SIZE];
};

static const struct {
    uint32_t nbd;
    int host;
} errors[] = {
    { 1, EPERM },   { 5, EIO },        { 12, ENOMEM },  { 22, EINVAL },
    { 28, ENOSPC }, { 75, EOVERFLOW }, { 95, ENOTSUP }, { 108, ESHUTDOWN },
};

uint32_t nbd_error_from_errno(int errno_value)
{
    switch (errno_value) {
    case EACCES:
    case EROFS:
        return 1;
    case EFBIG:
    case EDQUOT:
        return 28;
    default:
        for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
            if (errors[i].host == errno_value) {
                return errors[i].nbd;
            }
        }
        return 5;
    }
}

int nbd_error_to_errno(uint32_t error)
{
    for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
        if (errors[i].nbd == error) {
            return errors[i].host;
        }
    }
    return EINVAL;
}

NbdChannel *nbd_channel_new(int fd)
{
    NbdChannel *channel = g_new0(NbdChannel, 1);
    int on = 1, send_buffer = UNIX_SEND_BUFFER;
    struct sockaddr_storage address;
    socklen_t length = sizeof address;

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* fails harmlessly on unix sockets */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    /* TCP sizes its buffers itself. */
    if (getsockname(fd, (struct sockaddr *)&address, &length) == 0 &&
        address.ss_family == AF_UNIX) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    }
    channel->fd = fd;
    return channel;
}

void nbd_channel_free(NbdChannel *channel)
{
    if (!channel) {
        return;
    }
    if (channel->tls) {
        tls_session_free(channel->tls);
    }
    close(channel->fd);
    g_free(channel);
}

void nbd_channel_shutdown(NbdChannel *channel)
{
    shutdown(channel->fd, SHUT_RDWR);
}

/* What is there, at least one byte. */
static int channel_read_some(NbdChannel *channel, void *buffer, size_t size)
{
    for (;;) {
        short events = POLLIN;
        ssize_t n;

        if (channel->tls) {
            n = tls_session_read(channel->tls, buffer, size, &events);
        } else {
            n = recv(channel->fd, buffer, size, 0);
            n = n < 0 ? -errno : n;
        }
        if (n > 0) {
            return (int)MIN(n, INT32_MAX);
        }
        if (n == 0) {
            return -EPIPE;
        }
        if (n != -EAGAIN && n != -EWOULDBLOCK && n != -EINTR) {
            return (int)n;
        }
        if (n != -EINTR && coroutine_poll_fd(channel->fd, events) < 0) {
            return -EIO;
        }
    }
}

int nbd_channel_read(NbdChannel *channel, void *buffer, size_t size)
{
    uint8_t *to = buffer;
    bool first = true;

    while (size) {
        size_t n = MIN(size, channel->input_end - channel->input_at);
        int result;

        if (n) {
            memcpy(to, channel->input + channel->input_at, n);
            channel->input_at += n;
        } else if (size >= INPUT_SIZE) {
            result = channel_read_some(channel, to, MIN(size, MIB(64)));
            n = result > 0 ? (size_t)result : 0;
        } else {
            result = channel_read_some(channel, channel->input, INPUT_SIZE);
            channel->input_at = 0;
            channel->input_end = result > 0 ? (size_t)result : 0;
            if (result > 0) {
                first = false;
                continue;
            }
        }
        if (!n) {
            return result == -EPIPE && !first ? -ECONNRESET : result;
        }
        first = false;
        to += n;
        size -= n;
    }
    return 0;
}

int nbd_channel_read_vector(NbdChannel *channel, IoVector vector, uint64_t bytes)
{
    int result = 0;

    while (bytes && result == 0) {
        uint64_t n;

        vector = io_vector_skip(vector, 0);
        n = MIN(bytes, vector.iov->iov_len - vector.skip);
        result = nbd_channel_read(channel, (char *)vector.iov->iov_base + vector.skip, n);
        vector = io_vector_skip(vector, n);
        bytes -= n;
    }
    return result;
}

int nbd_channel_skip(NbdChannel *channel, uint64_t bytes)
{
    uint8_t buffer[512];
    int result = 0;

    while (bytes && result == 0) {
        uint64_t n = MIN(bytes, sizeof buffer);

        result = nbd_channel_read(channel, buffer, n);
        bytes -= n;
    }
    return result;
}

/* Copying much into the socket takes long enough to give up the context's lock. */
static ssize_t send_released(int fd, const struct msghdr *message)
{
    bool released =
        message->msg_iov[message->msg_iovlen - 1].iov_len > HELD_MAX && coroutine_release();
    ssize_t n = sendmsg(fd, message, MSG_NOSIGNAL);

    n = n < 0 ? -errno : n;
    if (released) {
        coroutine_reacquire();
    }
    return n;
}

/* Writes all of iov, which is changed. */
static int channel_write_all(NbdChannel *channel, struct iovec *iov, unsigned count)
{
    while (count) {
        struct msghdr message = { .msg_iov = iov, .msg_iovlen = count };
        short events = POLLOUT;
        ssize_t n;

        if (!iov->iov_len) {
            iov++;
            count--;
            continue;
        }
        if (channel->tls) {
            n = tls_session_write(channel->tls, iov->iov_base, iov->iov_len, &events);
        } else {
            n = send_released(channel->fd, &message);
        }
        if (n == -EAGAIN || n == -EWOULDBLOCK) {
            if (coroutine_poll_fd(channel->fd, events) < 0) {
                return -EIO;
            }
            continue;
        }
        if (n == -EINTR) {
            continue;
        }
        if (n < 0) {
            return (int)n;
        }
        while (count && (size_t)n >= iov->iov_len) {
            n -= (ssize_t)iov->iov_len;
            iov++;
            count--;
        }
        if (count) {
            iov->iov_base = (char *)iov->iov_base + n;
            iov->iov_len -= (size_t)n;
        }
    }
    return 0;
}

int nbd_channel_write(NbdChannel *channel, const void *buffer, size_t size)
{
    struct iovec iov = { (void *)buffer, size };

    return channel_write_all(channel, &iov, 1);
}

int nbd_channel_write_with(NbdChannel *channel, const void *head, size_t head_size, IoVector vector,
                           uint64_t bytes)
{
    struct iovec iov[SEGMENTS] = { { (void *)head, head_size } };
    unsigned count = 1;
    int result;

    do {
        while (bytes && count < SEGMENTS) {
            uint64_t n;

            vector = io_vector_skip(vector, 0);
            n = MIN(bytes, vector.iov->iov_len - vector.skip);
            io_vector_trim(vector, n, &iov[count++], 1);
            vector = io_vector_skip(vector, n);
            bytes -= n;
        }
        result = channel_write_all(channel, iov, count);
        count = 0;
    } while (bytes && result == 0);
    return result;
}

bool nbd_channel_start_tls(NbdChannel *channel, TlsCredentials *credentials, const char *host,
                           GError **error)
{
    if (channel->input_at != channel->input_end) {
        return error_fail(error, KASO_ERROR_IO,
                          "The other side sent data before TLS was negotiated");
    }
    channel->tls = tls_session_new(channel->fd, credentials, host, error);
    return channel->tls != NULL;
}

/* Addresses. */

void nbd_address_clear(NbdAddress *address)
{
    g_clear_pointer(&address->host, g_free);
    g_clear_pointer(&address->port, g_free);
    g_clear_pointer(&address->path, g_free);
}

static bool unix_address(const char *path, struct sockaddr_un *address, GError **error)
{
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address->sun_path) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "The socket path '%s' is longer than %zu bytes; use a shorter one", path,
                          sizeof address->sun_path - 1);
    }
    strcpy(address->sun_path, path);
    return true;
}

/* A pending connect, waited for on a worker. */
static int finish_connect(int fd)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
    int failure = 0, n;
    socklen_t size = sizeof failure;

    do {
        n = poll(&poll_fd, 1, CONNECT_TIMEOUT_MS);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        return n < 0 ? -errno : -ETIMEDOUT;
    }
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) < 0 ? -errno : -failure;
}

void nbd_connecting_init(NbdConnecting *connecting)
{
    *connecting = (NbdConnecting){ .fd = -1 };
    g_mutex_init(&connecting->lock);
}

void nbd_connecting_clear(NbdConnecting *connecting)
{
    g_mutex_clear(&connecting->lock);
}

void nbd_connecting_cancel(NbdConnecting *connecting)
{
    g_mutex_lock(&connecting->lock);
    connecting->cancelled = true;
    if (connecting->fd >= 0) {
        shutdown(connecting->fd, SHUT_RDWR); /* also wakes who waits for it to be connected */
    }
    g_mutex_unlock(&connecting->lock);
}

/* fd -1: nobody may touch the socket any more. False when the connection is not wanted. */
static bool show_socket(NbdConnecting *connecting, int fd)
{
    bool wanted;

    g_mutex_lock(&connecting->lock);
    connecting->fd = fd;
    wanted = !connecting->cancelled;
    g_mutex_unlock(&connecting->lock);
    return wanted;
}

static int connect_one(NbdConnecting *connecting, int family, const struct sockaddr *address,
                       socklen_t size)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), result = 0;

    if (fd < 0) {
        return -errno;
    }
    if (connect(fd, address, size) < 0) {
        result = errno != EINPROGRESS          ? -errno
                 : show_socket(connecting, fd) ? finish_connect(fd)
                                               : -ECANCELED;
        if (!show_socket(connecting, -1)) {
            result = -ECANCELED;
        }
    }
    if (result < 0) {
        close(fd);
        return result;
    }
    return fd;
}

typedef struct {
    const NbdAddress *address;
    NbdConnecting *connecting;
    GError *error;
} ConnectCall;

static int look_up(const NbdAddress *address, int flags, struct addrinfo **list, GError **error)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags };
    int result;

    if (!port_check(address->port, error)) {
        return -EINVAL;
    }
    result = getaddrinfo(address->host && address->host[0] ? address->host : NULL, address->port,
                         &hints, list);
    if (result != 0) {
        error_fail(error, KASO_ERROR_IO, "address resolution failed for %s:%s: %s",
                   address->host ? address->host : "", address->port, gai_strerror(result));
        return -EHOSTUNREACH;
    }
    return 0;
}

static int connect_worker(void *opaque)
{
    ConnectCall *call = opaque;
    const NbdAddress *address = call->address;
    struct addrinfo *list = NULL;
    int result;

    if (address->path) {
        struct sockaddr_un un;

        result = unix_address(address->path, &un, &call->error)
                     ? connect_one(call->connecting, AF_UNIX, (struct sockaddr *)&un, sizeof un)
                     : -EINVAL;
        if (result < 0 && !call->error) {
            error_fail_errno(&call->error, -result, "Failed to connect to '%s'", address->path);
        }
        return result;
    }
    result = look_up(address, 0, &list, &call->error);
    if (result < 0) {
        return result;
    }
    result = -EHOSTUNREACH;
    for (struct addrinfo *it = list; it && result < 0; it = it->ai_next) {
        result = connect_one(call->connecting, it->ai_family, it->ai_addr, it->ai_addrlen);
    }
    freeaddrinfo(list);
    if (result < 0) {
        error_fail_errno(&call->error, -result, "Failed to connect to '%s:%s'",
                         address->host ? address->host : "localhost", address->port);
    }
    return result;
}

int nbd_address_connect(const NbdAddress *address, NbdConnecting *connecting, GError **error)
{
    ConnectCall call = { .address = address, .connecting = connecting };
    int result = worker_call(connect_worker, &call);

    /* It may have been connected before it was cancelled. */
    if (result >= 0 && !show_socket(connecting, -1)) {
        close(result);
        result = -ECANCELED;
        error_fail_errno(&call.error, ECANCELED, "Failed to connect");
    }

    if (call.error) {
        g_propagate_error(error, call.error);
    }
    return result;
}

static bool listen_unix(const char *path, int backlog, GArray *sockets, GError **error)
{
    struct sockaddr_un un;
    int fd;

    if (!unix_address(path, &un, error)) {
        return false;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return error_fail_errno(error, errno, "Failed to create a unix socket");
    }
    unlink(path);
    if (bind(fd, (struct sockaddr *)&un, sizeof un) < 0 || listen(fd, backlog) < 0) {
        error_fail_errno(error, errno, "Failed to bind socket to %s", path);
        close(fd);
        return false;
    }
    g_array_append_val(sockets, fd);
    return true;
}

bool nbd_address_listen(const NbdAddress *address, int backlog, GArray *sockets, GError **error)
{
    struct addrinfo *list = NULL;
    int failure = 0;
    guint before = sockets->len;

    if (address->path) {
        return listen_unix(address->path, backlog, sockets, error);
    }
    if (look_up(address, AI_PASSIVE, &list, error) < 0) {
        return false;
    }
    for (struct addrinfo *it = list; it; it = it->ai_next) {
        int fd = socket(it->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

        if (fd < 0) {
            failure = errno;
            continue;
        }
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (it->ai_family == AF_INET6) {
            /* "::" is for callers over IPv4 as well, as libvirt expects it; without a host each family has a socket. */
            int alone = !address->host || strcmp(address->host, "::") != 0;

            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &alone, sizeof alone);
        }
        if (bind(fd, it->ai_addr, it->ai_addrlen) < 0 || listen(fd, backlog) < 0) {
            failure = errno;
            close(fd);
            continue;
        }
        g_array_append_val(sockets, fd);
    }
    freeaddrinfo(list);
    if (sockets->len == before) {
        return error_fail_errno(error, failure, "Failed to listen on %s:%s",
                                address->host ? address->host : "*", address->port);
    }
    return true;
}
