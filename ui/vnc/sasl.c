/* SPDX-License-Identifier: MIT */
#include "ui/vnc/sasl.h"

#include <sasl/sasl.h>
#include <string.h>

#include "base/bits.h"
#include "base/library.h"
#include "block/block.h"

/* clang-format off */
#define SASL_FUNCTIONS(F) \
    F(sasl_decode) F(sasl_dispose) F(sasl_encode) F(sasl_errdetail) F(sasl_errstring) \
    F(sasl_getprop) F(sasl_listmech) F(sasl_server_init) F(sasl_server_new) \
    F(sasl_server_start) F(sasl_server_step) F(sasl_setprop)
/* clang-format on */

static struct {
    SASL_FUNCTIONS(LIBRARY_MEMBER)
} libsasl;

LIBRARY_FILLS(libsasl, SASL_FUNCTIONS, "libsasl2.so.2 libsasl2.so.3", "libsasl2-2");

enum {
    MECHANISM_MAX = 100,
    DATA_MAX = 64 << 10,
    STRENGTH_MIN = 56, /* bits of the keys of what encrypts */
    BUFFER_MAX = 8192, /* of the layer */
};

struct VncSasl {
    sasl_conn_t *connection;
    char *mechanism;
    uint32_t expected; /* bytes of what is read now */
    bool secret;       /* without a layer of SASL's */
    bool begun;
    char *user;
};

bool vnc_sasl_init(GError **error)
{
    int result;

    if (!library_want(&libsasl_library, error)) {
        return false;
    }
    result = libsasl.sasl_server_init(NULL, "qemu"); /* the library counts */
    return result == SASL_OK ||
           error_fail(error, KASO_ERROR_IO, "sasl=on: the library does not start: %s",
                      libsasl.sasl_errstring(result, NULL, NULL));
}

void vnc_sasl_free(VncSasl *sasl)
{
    if (sasl) {
        if (sasl->connection) {
            libsasl.sasl_dispose(&sasl->connection);
        }
        g_free(sasl->mechanism);
        g_free(sasl->user);
        g_free(sasl);
    }
}

const char *vnc_sasl_user(const VncSasl *sasl)
{
    return sasl ? sasl->user : NULL;
}

/* What the connection's bytes go through from then on. */

static bool encode(void *opaque, const void *data, size_t size, GByteArray *to)
{
    VncSasl *sasl = opaque;
    const char *at = data;

    while (size) {
        unsigned piece = (unsigned)MIN(size, BUFFER_MAX / 2), length;
        const char *out;

        if (libsasl.sasl_encode(sasl->connection, at, piece, &out, &length) != SASL_OK) {
            return false;
        }
        g_byte_array_append(to, (const guint8 *)out, length);
        at += piece;
        size -= piece;
    }
    return true;
}

static bool decode(void *opaque, const void *data, size_t size, GByteArray *to)
{
    VncSasl *sasl = opaque;
    const char *out;
    unsigned length;

    if (libsasl.sasl_decode(sasl->connection, data, (unsigned)size, &out, &length) != SASL_OK) {
        return false;
    }
    g_byte_array_append(to, (const guint8 *)out, length);
    return true;
}

static const StreamLayer layer = { encode, decode };

/* The conversation. */

static size_t parse_step_size(VncClient *client, const uint8_t *data, size_t size);

static bool find_user(VncClient *client, GError **error)
{
    VncServer *server = client->server;
    VncSasl *sasl = client->sasl;
    const void *user = NULL, *strength = NULL;

    if (libsasl.sasl_getprop(sasl->connection, SASL_USERNAME, &user) != SASL_OK || !user) {
        return error_fail(error, KASO_ERROR_IO, "SASL does not say who the client is");
    }
    if (!sasl->secret && (libsasl.sasl_getprop(sasl->connection, SASL_SSF, &strength) != SASL_OK ||
                          *(const sasl_ssf_t *)strength < STRENGTH_MIN)) {
        return error_fail(error, KASO_ERROR_IO, "%s does not encrypt", sasl->mechanism);
    }
    sasl->user = g_strdup(user);
    return !server->sasl_authz ||
           block_authz_allows(server->machine->block_graph, server->sasl_authz, sasl->user, error);
}

/* rest: bytes that came behind the client's last word. */
static void finish(VncClient *client, size_t rest)
{
    g_autoptr(GError) error = NULL;

    if (!find_user(client, &error)) {
        trace(client->server->id, "SASL: %s", error->message);
        vnc_handshake_refuse(client);
        return;
    }
    if (!client->sasl->secret && rest) {
        vnc_client_close(client, "bytes before SASL's layer");
        return;
    }
    vnc_handshake_admit(client, true);
    if (!client->sasl->secret) {
        stream_set_layer(client->stream, &layer, client->sasl);
    }
}

/* Strings have a zero behind them that counts; none at all is something else than an empty one. */
static void write_answer(VncClient *client, const char *answer, unsigned size, bool complete)
{
    GByteArray *out = g_byte_array_new();
    uint8_t head[4];

    store_be32(head, size ? size + 1 : 0);
    g_byte_array_append(out, head, sizeof(head));
    if (size) {
        g_byte_array_append(out, (const guint8 *)answer, size);
        g_byte_array_append(out, (const guint8 *)"", 1);
    }
    head[0] = complete;
    g_byte_array_append(out, head, 1);
    vnc_client_write(client, out->data, out->len);
    g_byte_array_unref(out);
}

/* The library may ask other programs, which take their time: the guest runs on meanwhile. */
static int ask_library(VncClient *client, const char *text, unsigned size, const char **answer,
                       unsigned *answer_size)
{
    VncSasl *sasl = client->sasl;
    Machine *machine = client->server->machine;
    int result;

    machine_unlock(machine);
    result = sasl->begun
                 ? libsasl.sasl_server_step(sasl->connection, text, size, answer, answer_size)
                 : libsasl.sasl_server_start(sasl->connection, sasl->mechanism, text, size, answer,
                                             answer_size);
    machine_lock(machine);
    sasl->begun = true;
    return result;
}

static void step(VncClient *client, const char *text, unsigned size, size_t rest)
{
    const char *answer = NULL;
    unsigned answer_size = 0;
    int result = ask_library(client, text, size, &answer, &answer_size);

    if (result != SASL_OK && result != SASL_CONTINUE) {
        trace(client->server->id, "SASL: %s", libsasl.sasl_errdetail(client->sasl->connection));
        vnc_handshake_refuse(client);
        return;
    }
    if (answer_size > DATA_MAX) {
        vnc_client_close(client, "SASL wants to say too much");
        return;
    }
    write_answer(client, answer, answer ? answer_size : 0, result == SASL_OK);
    if (result == SASL_OK) {
        finish(client, rest);
    } else {
        client->parser = parse_step_size;
    }
}

static size_t parse_step(VncClient *client, const uint8_t *data, size_t size)
{
    uint32_t expected = client->sasl->expected;
    g_autofree char *text = NULL;

    if (size < expected) {
        return 0;
    }
    text = g_strndup("", expected + 1);
    memcpy(text, data, expected);
    /* Without its zero, whether or not that is one. */
    step(client, expected ? text : NULL, expected ? expected - 1 : 0, size - expected);
    return expected;
}

static size_t parse_step_size(VncClient *client, const uint8_t *data, size_t size)
{
    if (size < 4) {
        return 0;
    }
    client->sasl->expected = load_be32(data);
    if (client->sasl->expected > DATA_MAX) {
        vnc_client_close(client, "more than SASL would say");
    } else if (!client->sasl->expected) {
        step(client, NULL, 0, size - 4);
    } else {
        client->parser = parse_step;
    }
    return 4;
}

static bool is_offered(const VncClient *client, const char *mechanism)
{
    g_auto(GStrv) offered = g_strsplit(client->sasl->mechanism, ",", -1);

    return g_strv_contains((const char *const *)offered, mechanism);
}

static size_t parse_mechanism(VncClient *client, const uint8_t *data, size_t size)
{
    VncSasl *sasl = client->sasl;
    g_autofree char *name = NULL;

    if (size < sasl->expected) {
        return 0;
    }
    name = g_strndup((const char *)data, sasl->expected);
    if (!is_offered(client, name)) {
        trace(client->server->id, "SASL: a mechanism that was not offered: %s", name);
        vnc_handshake_refuse(client);
        return sasl->expected;
    }
    g_free(sasl->mechanism);
    sasl->mechanism = g_steal_pointer(&name);
    client->parser = parse_step_size;
    return sasl->expected;
}

static size_t parse_mechanism_size(VncClient *client, const uint8_t *data, size_t size)
{
    if (size < 4) {
        return 0;
    }
    client->sasl->expected = load_be32(data);
    if (client->sasl->expected < 1 || client->sasl->expected > MECHANISM_MAX) {
        vnc_client_close(client, "no name of a SASL mechanism");
    } else {
        client->parser = parse_mechanism;
    }
    return 4;
}

/* "HOST;PORT" of connections that have those. */
static char *address_text(const VncClient *client, const char *host, const char *service)
{
    bool internet =
        g_strcmp0(client->family, "ipv4") == 0 || g_strcmp0(client->family, "ipv6") == 0;

    return internet && host && service ? g_strdup_printf("%s;%s", host, service) : NULL;
}

static int connect_library(VncClient *client)
{
    VncSasl *sasl = client->sasl;
    g_autofree char *ours = address_text(client, client->local_host, client->local_service);
    g_autofree char *peers = address_text(client, client->host, client->service);
    const sasl_security_properties_t properties = {
        .min_ssf = sasl->secret ? 0 : STRENGTH_MIN,
        .max_ssf = sasl->secret ? 0 : 100000,
        .maxbufsize = BUFFER_MAX,
        .security_flags =
            SASL_SEC_NOANONYMOUS | (sasl->secret ? 0 : (unsigned)SASL_SEC_NOPLAINTEXT),
    };
    const sasl_ssf_t external = 256;
    int result = libsasl.sasl_server_new("vnc", NULL, NULL, ours, peers, NULL, SASL_SUCCESS_DATA,
                                         &sasl->connection);

    if (result == SASL_OK && sasl->secret) {
        result = libsasl.sasl_setprop(sasl->connection, SASL_SSF_EXTERNAL, &external);
    }
    return result == SASL_OK ? libsasl.sasl_setprop(sasl->connection, SASL_SEC_PROPS, &properties)
                             : result;
}

void vnc_sasl_begin(VncClient *client, bool secret)
{
    VncSasl *sasl = client->sasl = g_new0(VncSasl, 1);
    const char *list = NULL;
    uint8_t size[4];
    int result;

    sasl->secret = secret;
    result = connect_library(client);
    if (result == SASL_OK) {
        result = libsasl.sasl_listmech(sasl->connection, NULL, "", ",", "", &list, NULL, NULL);
    }
    if (result != SASL_OK) {
        vnc_client_close(client, secret ? "no SASL mechanism"
                                        : "no SASL mechanism that encrypts; tls-creds= would");
        return;
    }
    sasl->mechanism = g_strdup(list); /* all of them, until one is chosen */
    store_be32(size, (uint32_t)strlen(list));
    vnc_client_write(client, size, sizeof(size));
    vnc_client_write(client, list, strlen(list));
    client->parser = parse_mechanism_size;
}
