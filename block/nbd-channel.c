/* SPDX-License-Identifier: MIT */
/* NBD connections: sockets without blocking the other coroutines, TLS by gnutls. */
#include "block/nbd.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_AHEAD = 16 * 1024 };

struct NbdChannel {
    int fd;
    gnutls_session_t tls;
    gnutls_certificate_credentials_t certificates;
    gnutls_psk_server_credentials_t psk_server;
    gnutls_psk_client_credentials_t psk_client;
    uint8_t ahead[READ_AHEAD]; /* read but not yet asked for */
    size_t ahead_at, ahead_size;
};

static const struct {
    uint32_t nbd;
    int host;
} errors[] = {
    { 1, EPERM },   { 5, EIO },         { 12, ENOMEM },  { 22, EINVAL },
    { 28, ENOSPC }, { 75, EOVERFLOW },  { 95, ENOTSUP }, { 108, ESHUTDOWN },
};

uint32_t nbd_error_of(int negative_errno)
{
    for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
        if (errors[i].host == -negative_errno) {
            return errors[i].nbd;
        }
    }
    return negative_errno == -EROFS ? 1 : negative_errno == -EFBIG ? 28 : 5;
}

int nbd_errno_of(uint32_t error)
{
    for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
        if (errors[i].nbd == error) {
            return -errors[i].host;
        }
    }
    return -EIO;
}

NbdChannel *nbd_channel_new(int fd)
{
    NbdChannel *channel = g_new0(NbdChannel, 1);

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    channel->fd = fd;
    return channel;
}

void nbd_channel_shutdown(NbdChannel *channel)
{
    shutdown(channel->fd, SHUT_RDWR);
}

void nbd_channel_free(NbdChannel *channel)
{
    if (!channel) {
        return;
    }
    if (channel->tls) {
        gnutls_bye(channel->tls, GNUTLS_SHUT_WR);
        gnutls_deinit(channel->tls);
    }
    if (channel->certificates) {
        gnutls_certificate_free_credentials(channel->certificates);
    }
    if (channel->psk_server) {
        gnutls_psk_free_server_credentials(channel->psk_server);
    }
    if (channel->psk_client) {
        gnutls_psk_free_client_credentials(channel->psk_client);
    }
    close(channel->fd);
    g_free(channel);
}

static ssize_t channel_recv(NbdChannel *channel, void *buffer, size_t size)
{
    for (;;) {
        ssize_t n = channel->tls ? gnutls_record_recv(channel->tls, buffer, size)
                                 : recv(channel->fd, buffer, size, 0);

        if (channel->tls ? n == GNUTLS_E_AGAIN : n < 0 && errno == EAGAIN) {
            coroutine_poll_fd(channel->fd, POLLIN);
            continue;
        }
        if (channel->tls ? n == GNUTLS_E_INTERRUPTED || n == GNUTLS_E_REHANDSHAKE
                         : n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return channel->tls ? -EIO : -errno;
        }
        return n;
    }
}

int nbd_read(NbdChannel *channel, void *buffer, size_t size)
{
    uint8_t *at = buffer;

    while (size) {
        size_t have = channel->ahead_size - channel->ahead_at, n = MIN(have, size);
        ssize_t got;

        if (n) {
            memcpy(at, channel->ahead + channel->ahead_at, n);
            channel->ahead_at += n;
            at += n;
            size -= n;
            continue;
        }
        if (size >= READ_AHEAD) {
            got = channel_recv(channel, at, size);
            if (got > 0) {
                at += got;
                size -= (size_t)got;
            }
        } else {
            got = channel_recv(channel, channel->ahead, READ_AHEAD);
            channel->ahead_at = 0;
            channel->ahead_size = got > 0 ? (size_t)got : 0;
        }
        if (got <= 0) {
            return got < 0 ? (int)got : -ECONNRESET;
        }
    }
    return 0;
}

int nbd_skip(NbdChannel *channel, uint64_t size)
{
    uint8_t waste[4096];
    int result = 0;

    while (size && result == 0) {
        size_t n = MIN(size, sizeof waste);

        result = nbd_read(channel, waste, n);
        size -= n;
    }
    return result;
}

int nbd_write(NbdChannel *channel, const void *buffer, size_t size)
{
    const uint8_t *at = buffer;

    while (size) {
        ssize_t n = channel->tls ? gnutls_record_send(channel->tls, at, size)
                                 : send(channel->fd, at, size, MSG_NOSIGNAL);

        if (channel->tls ? n == GNUTLS_E_AGAIN : n < 0 && errno == EAGAIN) {
            coroutine_poll_fd(channel->fd, POLLOUT);
            continue;
        }
        if (channel->tls ? n == GNUTLS_E_INTERRUPTED : n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return channel->tls ? -EIO : -errno;
        }
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

/* TLS. */

static bool tls_check(int status, const char *what, GError **error)
{
    return status >= 0 || error_fail(error, KASO_ERROR_IO, "%s: %s", what, gnutls_strerror(status));
}

static bool load_certificates(NbdChannel *channel, const char *folder, bool is_server,
                              GError **error)
{
    const char *side = is_server ? "server" : "client";
    g_autofree char *ca = g_build_filename(folder, "ca-cert.pem", NULL);
    g_autofree char *cert_name = g_strdup_printf("%s-cert.pem", side);
    g_autofree char *key_name = g_strdup_printf("%s-key.pem", side);
    g_autofree char *cert = g_build_filename(folder, cert_name, NULL);
    g_autofree char *key = g_build_filename(folder, key_name, NULL);

    gnutls_certificate_allocate_credentials(&channel->certificates);
    if (!tls_check(gnutls_certificate_set_x509_trust_file(channel->certificates, ca,
                                                          GNUTLS_X509_FMT_PEM), ca, error)) {
        return false;
    }
    if (is_server || g_file_test(cert, G_FILE_TEST_EXISTS)) {
        return tls_check(gnutls_certificate_set_x509_key_file(channel->certificates, cert, key,
                                                              GNUTLS_X509_FMT_PEM), cert, error);
    }
    return true;
}

static bool load_psk(NbdChannel *channel, const char *folder, const char *user, bool is_server,
                     GError **error)
{
    g_autofree char *path = g_build_filename(folder, "keys.psk", NULL), *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (is_server) {
        gnutls_psk_allocate_server_credentials(&channel->psk_server);
        return tls_check(gnutls_psk_set_server_credentials_file(channel->psk_server, path), path,
                         error);
    }
    if (!g_file_get_contents(path, &text, NULL, error)) {
        return false;
    }
    lines = g_strsplit(text, "\n", -1);
    for (int i = 0; lines[i]; i++) {
        char *colon = strchr(lines[i], ':');

        if (colon && !strncmp(lines[i], user, (size_t)(colon - lines[i])) &&
            strlen(user) == (size_t)(colon - lines[i])) {
            gnutls_datum_t key = { (unsigned char *)colon + 1, (unsigned)strlen(colon + 1) };

            gnutls_psk_allocate_client_credentials(&channel->psk_client);
            return tls_check(gnutls_psk_set_client_credentials(channel->psk_client, user, &key,
                                                               GNUTLS_PSK_KEY_HEX), path, error);
        }
    }
    return error_fail(error, KASO_ERROR_NOT_FOUND, "Username '%s' not found in PSK file '%s'", user,
                      path);
}

static bool handshake(NbdChannel *channel, GError **error)
{
    int status;

    gnutls_transport_set_int(channel->tls, channel->fd);
    while ((status = gnutls_handshake(channel->tls)) < 0 && !gnutls_error_is_fatal(status)) {
        if (status == GNUTLS_E_AGAIN) {
            coroutine_poll_fd(channel->fd,
                              gnutls_record_get_direction(channel->tls) ? POLLOUT : POLLIN);
        }
    }
    return tls_check(status, "TLS handshake failed", error);
}

bool nbd_start_tls(NbdChannel *channel, BlockGraph *graph, const char *creds, bool is_server,
                   const char *hostname, GError **error)
{
    GHashTable *options = block_tls_creds(graph, creds, error);
    const char *folder = options ? options_get(options, "dir") : NULL;
    const char *verify = options ? options_get(options, "verify-peer") : NULL;
    const char *user = options ? options_get(options, "username") : NULL;
    bool is_psk;

    if (!options) {
        return false;
    }
    if (!folder) {
        return error_fail(error, KASO_ERROR_INVALID, "TLS credentials '%s' need dir=", creds);
    }
    is_psk = !strcmp(options_get(options, "qom-type"), "tls-creds-psk");
    if (is_psk ? !load_psk(channel, folder, user ? user : "qemu", is_server, error)
               : !load_certificates(channel, folder, is_server, error)) {
        return false;
    }
    channel->ahead_at = channel->ahead_size = 0; /* nothing read in clear text may count */
    gnutls_init(&channel->tls, (is_server ? GNUTLS_SERVER : GNUTLS_CLIENT) | GNUTLS_NONBLOCK |
                                   GNUTLS_NO_SIGNAL);
    if (is_psk) {
        gnutls_priority_set_direct(channel->tls, "NORMAL:+ECDHE-PSK:+DHE-PSK:+PSK", NULL);
        gnutls_credentials_set(channel->tls, GNUTLS_CRD_PSK,
                               is_server ? (void *)channel->psk_server
                                         : (void *)channel->psk_client);
    } else {
        gnutls_set_default_priority(channel->tls);
        gnutls_credentials_set(channel->tls, GNUTLS_CRD_CERTIFICATE, channel->certificates);
        if (!verify || strcmp(verify, "no")) {
            if (is_server) {
                gnutls_certificate_server_set_request(channel->tls, GNUTLS_CERT_REQUIRE);
            }
            gnutls_session_set_verify_cert(channel->tls, is_server ? NULL : hostname, 0);
        }
        if (!is_server && hostname) {
            gnutls_server_name_set(channel->tls, GNUTLS_NAME_DNS, hostname, strlen(hostname));
        }
    }
    return handshake(channel, error);
}
