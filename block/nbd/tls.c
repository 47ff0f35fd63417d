/* SPDX-License-Identifier: MIT */
/*
 * TLS by GnuTLS: the objects tls-creds-x509 (a folder with ca-cert.pem, ca-crl.pem, server-cert.pem, server-key.pem,
 * client-cert.pem, client-key.pem), tls-creds-psk (a folder with keys.psk) and tls-creds-anon (no files: who listens in
 * learns nothing, but nobody is sure whom he talks to). Files are read when a client or server starts.
 */
#include "block/nbd/tls.h"

#include "base/bits.h"
#include "base/error.h"
#include "base/file.h"
#include "base/library.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* clang-format off */
#define GNUTLS_FUNCTIONS(F) \
    F(gnutls_anon_allocate_client_credentials) F(gnutls_anon_allocate_server_credentials) \
    F(gnutls_anon_free_client_credentials) F(gnutls_anon_free_server_credentials) \
    F(gnutls_anon_set_server_known_dh_params) F(gnutls_certificate_allocate_credentials) \
    F(gnutls_certificate_free_credentials) F(gnutls_certificate_get_peers) \
    F(gnutls_certificate_server_set_request) F(gnutls_certificate_set_x509_crl_file) \
    F(gnutls_certificate_set_x509_key_file) F(gnutls_certificate_set_x509_trust_file) \
    F(gnutls_certificate_verification_status_print) F(gnutls_credentials_set) F(gnutls_deinit) \
    F(gnutls_error_is_fatal) F(gnutls_free) F(gnutls_handshake) F(gnutls_init) \
    F(gnutls_priority_set_direct) F(gnutls_psk_allocate_client_credentials) \
    F(gnutls_psk_allocate_server_credentials) F(gnutls_psk_free_client_credentials) \
    F(gnutls_psk_free_server_credentials) F(gnutls_psk_server_get_username) \
    F(gnutls_psk_set_client_credentials) F(gnutls_psk_set_server_credentials_file) \
    F(gnutls_record_get_direction) F(gnutls_record_recv) F(gnutls_record_send) \
    F(gnutls_server_name_set) F(gnutls_session_get_verify_cert_status) \
    F(gnutls_session_set_verify_cert) F(gnutls_strerror) F(gnutls_transport_set_int2) \
    F(gnutls_x509_crt_deinit) F(gnutls_x509_crt_get_dn2) F(gnutls_x509_crt_import) \
    F(gnutls_x509_crt_init)
/* clang-format on */

static struct {
    GNUTLS_FUNCTIONS(LIBRARY_MEMBER)
} gnutls;

LIBRARY_FILLS(gnutls, GNUTLS_FUNCTIONS, "libgnutls.so.30", "libgnutls30");

struct TlsCredentials {
    bool server, psk, anonymous, verify_peer;
    char *priority;
    char *authz; /* NULL: whoever has credentials */
    BlockGraph *graph;
    gnutls_certificate_credentials_t x509;
    gnutls_psk_server_credentials_t psk_server;
    gnutls_psk_client_credentials_t psk_client;
    gnutls_anon_server_credentials_t anonymous_server;
    gnutls_anon_client_credentials_t anonymous_client;
};

struct TlsSession {
    gnutls_session_t session;
    const TlsCredentials *credentials;
};

static bool fail_tls(GError **error, int code, const char *what, const char *name)
{
    return error_fail(error, KASO_ERROR_IO, "%s '%s': %s", what, name,
                      gnutls.gnutls_strerror(code));
}

static bool load_x509(TlsCredentials *c, const char *dir, GError **error)
{
    const char *side = c->server ? "server" : "client";
    g_autofree char *ca = g_build_filename(dir, "ca-cert.pem", NULL);
    g_autofree char *crl = g_build_filename(dir, "ca-crl.pem", NULL);
    g_autofree char *cert = g_strdup_printf("%s/%s-cert.pem", dir, side);
    g_autofree char *key = g_strdup_printf("%s/%s-key.pem", dir, side);
    int result = gnutls.gnutls_certificate_allocate_credentials(&c->x509);

    if (result < 0) {
        return fail_tls(error, result, "Cannot allocate credentials", dir);
    }
    result = gnutls.gnutls_certificate_set_x509_trust_file(c->x509, ca, GNUTLS_X509_FMT_PEM);
    if (result < 0) {
        return fail_tls(error, result, "Unable to load the CA certificate", ca);
    }
    if (access(crl, R_OK) == 0) {
        result = gnutls.gnutls_certificate_set_x509_crl_file(c->x509, crl, GNUTLS_X509_FMT_PEM);
        if (result < 0) {
            return fail_tls(error, result, "Unable to load the revocation list", crl);
        }
    }
    if (!c->server && access(cert, F_OK) < 0) {
        return true; /* a client may stay anonymous */
    }
    result = gnutls.gnutls_certificate_set_x509_key_file(c->x509, cert, key, GNUTLS_X509_FMT_PEM);
    if (result < 0) {
        return fail_tls(error, result, "Unable to load certificate and key", cert);
    }
    return true;
}

static bool load_psk_client(TlsCredentials *c, const char *file, const char *username,
                            GError **error)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    int result;

    if (!file_read(file, FILE_TEXT_MOST, &text, NULL, error)) {
        return false;
    }
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        size_t name = strlen(username);

        if (strncmp(*line, username, name) || (*line)[name] != ':') {
            continue;
        }
        {
            char *hex = g_strchomp(*line + name + 1);
            gnutls_datum_t key = { (unsigned char *)hex, (unsigned)strlen(hex) };

            result = gnutls.gnutls_psk_allocate_client_credentials(&c->psk_client);
            if (result >= 0) {
                result = gnutls.gnutls_psk_set_client_credentials(c->psk_client, username, &key,
                                                                  GNUTLS_PSK_KEY_HEX);
            }
            return result >= 0 || fail_tls(error, result, "Unable to use the key in", file);
        }
    }
    return error_fail(error, KASO_ERROR_NOT_FOUND, "Username %s not found in '%s'", username, file);
}

static bool load_psk(TlsCredentials *c, const char *dir, const char *username, GError **error)
{
    g_autofree char *file = g_build_filename(dir, "keys.psk", NULL);
    int result;

    if (!c->server) {
        return load_psk_client(c, file, username ? username : "qemu", error);
    }
    result = gnutls.gnutls_psk_allocate_server_credentials(&c->psk_server);
    if (result >= 0) {
        result = gnutls.gnutls_psk_set_server_credentials_file(c->psk_server, file);
    }
    return result >= 0 || fail_tls(error, result, "Unable to load the keys in", file);
}

static bool load_anonymous(TlsCredentials *c, GError **error)
{
    int result = c->server ? gnutls.gnutls_anon_allocate_server_credentials(&c->anonymous_server)
                           : gnutls.gnutls_anon_allocate_client_credentials(&c->anonymous_client);

    if (result >= 0 && c->server) {
        result = gnutls.gnutls_anon_set_server_known_dh_params(c->anonymous_server,
                                                               GNUTLS_SEC_PARAM_MEDIUM);
    }
    return result >= 0 || fail_tls(error, result, "Cannot allocate credentials", "anonymous");
}

static bool load(TlsCredentials *c, const char *id, const char *dir, const char *username,
                 GError **error)
{
    if (!library_want(&gnutls_library, error)) {
        return false;
    }
    if (c->anonymous) {
        return load_anonymous(c, error);
    }
    if (!dir) {
        return error_fail(error, KASO_ERROR_INVALID, "TLS credentials '%s' need dir=", id);
    }
    return c->psk ? load_psk(c, dir, username, error) : load_x509(c, dir, error);
}

bool tls_credentials_have_certificate(const TlsCredentials *c)
{
    return c->x509 != NULL;
}

TlsCredentials *tls_credentials_load(BlockGraph *graph, const char *id, bool server, GError **error)
{
    static const BlockOption known[] = {
        { "dir", "folder with the keys" },         { "endpoint", "client or server" },
        { "verify-peer", "demand a certificate" }, { "priority", "GnuTLS priority string" },
        { "username", "of tls-creds-psk" },        { 0 },
    };
    static const char *const endpoints[] = { "client", "server", NULL };
    GHashTable *object = block_tls_creds(graph, id, error);
    g_autoptr(GHashTable) options = object ? options_copy(object) : NULL;
    g_autofree char *type = NULL, *dir = NULL, *username = NULL;
    TlsCredentials *c;
    int endpoint = 0;
    bool done;

    if (!options) {
        return NULL;
    }
    type = options_take(options, "qom-type");
    dir = options_take(options, "dir");
    username = options_take(options, "username");
    c = g_new0(TlsCredentials, 1);
    c->server = server;
    c->psk = !g_strcmp0(type, "tls-creds-psk");
    c->anonymous = !g_strcmp0(type, "tls-creds-anon");
    c->verify_peer = true;
    c->priority = options_take(options, "priority");
    done = options_take_enum(options, "endpoint", endpoints, &endpoint, error) &&
           options_take_bool(options, "verify-peer", &c->verify_peer, error) &&
           options_check_empty(options, type ? type : "tls-creds", known, error);
    if (done && endpoint != server) {
        done = error_fail(error, KASO_ERROR_INVALID, "TLS credentials '%s' need endpoint=%s here",
                          id, endpoints[server]);
    }
    done = done && load(c, id, dir, username, error);
    if (!done) {
        tls_credentials_free(c);
        return NULL;
    }
    return c;
}

void tls_credentials_free(TlsCredentials *c)
{
    if (!c) {
        return;
    }
    if (c->x509) {
        gnutls.gnutls_certificate_free_credentials(c->x509);
    }
    if (c->psk_server) {
        gnutls.gnutls_psk_free_server_credentials(c->psk_server);
    }
    if (c->psk_client) {
        gnutls.gnutls_psk_free_client_credentials(c->psk_client);
    }
    if (c->anonymous_server) {
        gnutls.gnutls_anon_free_server_credentials(c->anonymous_server);
    }
    if (c->anonymous_client) {
        gnutls.gnutls_anon_free_client_credentials(c->anonymous_client);
    }
    g_free(c->priority);
    g_free(c->authz);
    g_free(c);
}

bool tls_credentials_set_authz(TlsCredentials *c, BlockGraph *graph, const char *authz,
                               GError **error)
{
    if (!authz) {
        return true;
    }
    if (!c->psk && (!c->x509 || !c->verify_peer)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "tls-authz=%s: these credentials do not tell who a client is; it takes "
                          "tls-creds-x509 with verify-peer=on, or tls-creds-psk",
                          authz);
    }
    c->graph = graph;
    c->authz = g_strdup(authz);
    return block_authz_exists(graph, authz, error);
}

static int set_credentials(TlsSession *s, const TlsCredentials *c)
{
    if (c->anonymous) {
        return gnutls.gnutls_credentials_set(s->session, GNUTLS_CRD_ANON,
                                             c->server ? (void *)c->anonymous_server
                                                       : (void *)c->anonymous_client);
    }
    if (c->psk) {
        return gnutls.gnutls_credentials_set(
            s->session, GNUTLS_CRD_PSK, c->server ? (void *)c->psk_server : (void *)c->psk_client);
    }
    return gnutls.gnutls_credentials_set(s->session, GNUTLS_CRD_CERTIFICATE, c->x509);
}

static bool set_up(TlsSession *s, TlsCredentials *c, const char *host, GError **error)
{
    const char *kinds = c->psk ? ":+ECDHE-PSK:+DHE-PSK:+PSK"
                        : c->anonymous
                            ? ":-VERS-TLS1.3:+ANON-ECDH:+ANON-DH" /* 1.3 has no anonymous servers */
                            : "";
    g_autofree char *priority = g_strconcat(c->priority ? c->priority : "NORMAL", kinds, NULL);
    int result = gnutls.gnutls_priority_set_direct(s->session, priority, NULL);

    if (result < 0) {
        return fail_tls(error, result, "Unable to set TLS priority", priority);
    }
    result = set_credentials(s, c);
    if (result < 0) {
        return fail_tls(error, result, "Unable to set TLS credentials", priority);
    }
    if (!c->x509) {
        return true;
    }
    if (c->server) {
        gnutls.gnutls_certificate_server_set_request(
            s->session, c->verify_peer ? GNUTLS_CERT_REQUIRE : GNUTLS_CERT_IGNORE);
    } else if (host) {
        gnutls.gnutls_server_name_set(s->session, GNUTLS_NAME_DNS, host, strlen(host));
    }
    /* Without a host (a unix socket without tls-hostname) no certificate can be believed. */
    if (c->verify_peer) {
        gnutls.gnutls_session_set_verify_cert(s->session, c->server ? NULL : host, 0);
    }
    return true;
}

static bool describe_failure(gnutls_session_t session, int code, GError **error)
{
    unsigned status = gnutls.gnutls_session_get_verify_cert_status(session);
    gnutls_datum_t text = { 0 };

    if (code != GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR ||
        gnutls.gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) <
            0) {
        return error_fail(error, KASO_ERROR_IO, "TLS handshake failed: %s",
                          gnutls.gnutls_strerror(code));
    }
    error_fail(error, KASO_ERROR_IO, "TLS handshake failed: %s", (char *)text.data);
    (*gnutls.gnutls_free)(text.data);
    return false;
}

TlsSession *tls_session_begin(int fd, TlsCredentials *c, const char *host, GError **error)
{
    TlsSession *s = g_new0(TlsSession, 1);
    int result;

    s->credentials = c;
    result = gnutls.gnutls_init(&s->session, (c->server ? GNUTLS_SERVER : GNUTLS_CLIENT) |
                                                 GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);

    if (result < 0) {
        g_free(s);
        fail_tls(error, result, "Unable to set up", "TLS");
        return NULL;
    }
    if (c->x509 && !c->server && c->verify_peer && !host) {
        error_fail(error, KASO_ERROR_INVALID,
                   "No host name to check the server's certificate against; give tls-hostname");
    } else if (set_up(s, c, host, error)) {
        gnutls.gnutls_transport_set_int2(s->session, fd, fd);
        return s;
    }
    tls_session_free(s);
    return NULL;
}

/* The name in the peer's certificate as RFC 4514 writes it, or a pre-shared key's user. */
char *tls_session_identity(TlsSession *s)
{
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls.gnutls_certificate_get_peers(s->session, &count);
    const char *user =
        s->credentials->psk ? gnutls.gnutls_psk_server_get_username(s->session) : NULL;
    gnutls_x509_crt_t certificate;
    gnutls_datum_t name = { 0 };
    char *text = NULL;

    if (user) {
        return g_strdup(user);
    }
    if (chain && count && gnutls.gnutls_x509_crt_init(&certificate) == 0) {
        if (gnutls.gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) == 0 &&
            gnutls.gnutls_x509_crt_get_dn2(certificate, &name) == 0) {
            text = g_strndup((const char *)name.data, name.size);
            (*gnutls.gnutls_free)(name.data);
        }
        gnutls.gnutls_x509_crt_deinit(certificate);
    }
    return text;
}

static bool peer_may_come_in(TlsSession *s, GError **error)
{
    const TlsCredentials *c = s->credentials;
    g_autofree char *identity = c->authz ? tls_session_identity(s) : NULL;

    if (!c->authz) {
        return true;
    }
    return identity ? block_authz_allows(c->graph, c->authz, identity, error)
                    : error_fail(error, KASO_ERROR_IO, "the client has no name");
}

int tls_session_shake_hands(TlsSession *s, short *events, GError **error)
{
    int result;

    do {
        result = gnutls.gnutls_handshake(s->session);
    } while (result < 0 && result != GNUTLS_E_AGAIN && !gnutls.gnutls_error_is_fatal(result));
    if (result == 0) {
        return peer_may_come_in(s, error) ? 0 : -EACCES;
    }
    *events = gnutls.gnutls_record_get_direction(s->session) ? POLLOUT : POLLIN;
    if (result == GNUTLS_E_AGAIN) {
        return -EAGAIN;
    }
    describe_failure(s->session, result, error);
    return -EIO;
}

TlsSession *tls_session_new(int fd, TlsCredentials *c, const char *host, GError **error)
{
    TlsSession *s = tls_session_begin(fd, c, host, error);
    short events;
    int result = 0;

    while (s && (result = tls_session_shake_hands(s, &events, error)) == -EAGAIN) {
        if (coroutine_poll_fd(fd, events) < 0) {
            error_fail(error, KASO_ERROR_IO, "TLS handshake failed: the connection was given up");
            break;
        }
    }
    if (s && result < 0) {
        g_clear_pointer(&s, tls_session_free);
    }
    return s;
}

void tls_session_free(TlsSession *s)
{
    gnutls.gnutls_deinit(s->session);
    g_free(s);
}

static ssize_t tls_result(TlsSession *s, ssize_t n, short *events)
{
    switch (n) {
    case GNUTLS_E_AGAIN:
        *events = gnutls.gnutls_record_get_direction(s->session) ? POLLOUT : POLLIN;
        return -EAGAIN;
    case GNUTLS_E_INTERRUPTED:
        return -EINTR;
    case GNUTLS_E_PREMATURE_TERMINATION:
        return 0;
    default:
        return n < 0 ? (gnutls.gnutls_error_is_fatal((int)n) ? -EIO : -EINTR) : n;
    }
}

ssize_t tls_session_read(TlsSession *s, void *buffer, size_t size, short *events)
{
    ssize_t n = tls_result(s, gnutls.gnutls_record_recv(s->session, buffer, size), events);

    *events = POLLIN; /* the direction may be the writer's */
    return n;
}

ssize_t tls_session_write(TlsSession *s, const void *buffer, size_t size, short *events)
{
    ssize_t n = tls_result(s, gnutls.gnutls_record_send(s->session, buffer, size), events);

    *events = POLLOUT;
    return n;
}
