/* SPDX-License-Identifier: MIT */
/* Until a client may do something: version, security, TLS by VeNCrypt, password, ClientInit (RFC 6143, 7.1 to 7.3). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <nettle/des.h>
#include <nettle/memops.h>

#include "base/bits.h"
#include "ui/vnc/sasl.h"
#include "ui/vnc/vnc.h"

enum {
    FAILURE_MS = 1000, /* who guesses waits */
};

static void write_u32(VncClient *client, uint32_t value)
{
    uint8_t bytes[4];

    store_be32(bytes, value);
    vnc_client_write(client, bytes, sizeof(bytes));
}

static gboolean end_refused(gpointer opaque)
{
    VncClient *client = opaque;
    Machine *machine = client->server->machine; /* which outlives the client */

    client->timer = 0;
    machine_lock(machine);
    vnc_client_close(client, "authentication failed");
    machine_unlock(machine);
    return G_SOURCE_REMOVE;
}

static size_t ignore_bytes(VncClient *client, const uint8_t *data, size_t size)
{
    return size;
}

static gboolean tell_refused(gpointer opaque)
{
    static const char reason[] = "Authentication failed";
    VncClient *client = opaque;

    write_u32(client, 1);
    if (client->minor >= 8) {
        write_u32(client, sizeof(reason) - 1);
        vnc_client_write(client, reason, sizeof(reason) - 1);
    }
    client->timer = g_timeout_add(FAILURE_MS, end_refused, client);
    return G_SOURCE_REMOVE;
}

void vnc_handshake_refuse(VncClient *client)
{
    g_clear_handle_id(&client->timer, g_source_remove);
    client->timer = g_timeout_add(FAILURE_MS, tell_refused, client);
    client->parser = ignore_bytes;
}

/* Whether the policy of sharing lets it in; others may have to go. */
static bool claim_screen(VncClient *client)
{
    VncServer *server = client->server;
    unsigned ready = 0;

    for (guint i = server->clients->len; i-- > 0;) {
        VncClient *other = server->clients->pdata[i];

        if (other == client || !other->ready) {
            continue;
        }
        if (server->share == VNC_SHARE_ALLOW_EXCLUSIVE && client->exclusive) {
            vnc_client_close(other, "another client wants to be alone");
            continue;
        }
        if (server->share == VNC_SHARE_ALLOW_EXCLUSIVE && other->exclusive) {
            return false;
        }
        ready++;
    }
    if (server->share == VNC_SHARE_FORCE_SHARED && client->exclusive) {
        return false;
    }
    return ready < server->connections;
}

static void put_server_init(VncClient *client)
{
    VncServer *server = client->server;
    g_autofree char *title = seat_title(server->machine, server->display);
    uint8_t init[20];

    client->width = pixman_image_get_width(server->screen);
    client->height = pixman_image_get_height(server->screen);
    store_be16(init, (uint16_t)client->width);
    store_be16(init + 2, (uint16_t)client->height);
    vnc_format_put(&vnc_format_ours, init + 4);
    vnc_client_write(client, init, sizeof(init));
    write_u32(client, (uint32_t)strlen(title));
    vnc_client_write(client, title, strlen(title));
}

static size_t parse_client_init(VncClient *client, const uint8_t *data, size_t size)
{
    client->exclusive = !data[0];
    if (!claim_screen(client)) {
        vnc_client_close(client, "the screen is taken");
        return 1;
    }
    g_clear_handle_id(&client->timer, g_source_remove);
    put_server_init(client);
    vnc_client_begin(client);
    return 1;
}

void vnc_handshake_admit(VncClient *client, bool tell)
{
    client->authenticated = true;
    vnc_server_update_watch(client->server);
    if (tell) {
        write_u32(client, 0);
    }
    client->parser = parse_client_init;
}

/* DES with the password as the key, whose bits RFB has the other way round in each byte. */
static void expected_response(const char *password, const uint8_t challenge[16],
                              uint8_t response[16])
{
    struct des_ctx des;
    uint8_t key[DES_KEY_SIZE] = { 0 };

    memcpy(key, password, strnlen(password, DES_KEY_SIZE));
    for (unsigned i = 0; i < DES_KEY_SIZE; i++) {
        uint8_t reversed = 0;

        for (unsigned bit = 0; bit < 8; bit++) {
            reversed |= (uint8_t)((key[i] >> bit & 1) << (7 - bit));
        }
        key[i] = reversed;
    }
    des_set_key(&des, key);
    des_encrypt(&des, 16, response, challenge);
}

static size_t parse_response(VncClient *client, const uint8_t *data, size_t size)
{
    const VncServer *server = client->server;
    uint8_t expected[16];
    bool right;

    if (size < 16) {
        return 0;
    }
    expected_response(server->password ? server->password : "", client->challenge, expected);
    right = memeql_sec(expected, data, sizeof(expected));
    if (right && vnc_server_password_is_valid(server)) {
        vnc_handshake_admit(client, true);
    } else {
        vnc_handshake_refuse(client);
    }
    return 16;
}

static VncSecurity wanted_method(const VncClient *client)
{
    return client->trusted ? VNC_SECURITY_NONE : vnc_server_security(client->server);
}

/* Nobody listens in, and the client knows whom it talks to. */
static bool is_secret(const VncClient *client)
{
    const VncServer *server = client->server;
    bool tls = client->vencrypt || client->transport != VNC_PLAIN;

    return g_strcmp0(client->family, "unix") == 0 ||
           (tls && server->credentials && tls_credentials_have_certificate(server->credentials));
}

/* In TLS or not. */
static void authenticate(VncClient *client, VncSecurity method)
{
    if (method == VNC_SECURITY_SASL) {
        vnc_sasl_begin(client, is_secret(client));
    } else if (method == VNC_SECURITY_NONE) {
        vnc_handshake_admit(client, client->minor >= 8 || client->vencrypt);
    } else if (getentropy(client->challenge, sizeof(client->challenge)) < 0) {
        vnc_client_close(client, "no random numbers");
    } else {
        vnc_client_write(client, client->challenge, sizeof(client->challenge));
        client->parser = parse_response;
    }
}

/* VeNCrypt: its version, a subtype, TLS, and then what the subtype says. */

static unsigned vencrypt_subtype(const VncClient *client)
{
    bool certificate = tls_credentials_have_certificate(client->server->credentials);

    switch (wanted_method(client)) {
    case VNC_SECURITY_PASSWORD:
        return certificate ? 261 : 258;
    case VNC_SECURITY_SASL:
        return certificate ? 264 : 263;
    default:
        return certificate ? 260 : 257;
    }
}

void vnc_handshake_secured(VncClient *client)
{
    if (client->vencrypt) {
        authenticate(client, wanted_method(client));
    }
}

static size_t parse_subtype(VncClient *client, const uint8_t *data, size_t size)
{
    static const uint8_t yes[1] = { 1 }, no[1] = { 0 };
    g_autoptr(GError) error = NULL;

    if (size < 4) {
        return 0;
    }
    if (load_be32(data) != vencrypt_subtype(client)) {
        vnc_client_write(client, no, sizeof(no));
        vnc_client_close(client, "a VeNCrypt subtype that was not offered");
        return 4;
    }
    client->vencrypt = load_be32(data);
    vnc_client_write(client, yes, sizeof(yes));
    client->parser = NULL; /* what comes next belongs to TLS */
    if (size > 4 || !stream_start_tls(client->stream, client->server->credentials, &error)) {
        vnc_client_close(client, error ? error->message : "bytes before the TLS handshake");
    }
    return 4;
}

static size_t parse_vencrypt_version(VncClient *client, const uint8_t *data, size_t size)
{
    uint8_t answer[6] = { 0 /* we understand */, 1 /* subtype */ };

    if (size < 2) {
        return 0;
    }
    if (data[0] != 0 || data[1] != 2) {
        answer[0] = 0xff;
        vnc_client_write(client, answer, 1);
        vnc_client_close(client, "a VeNCrypt version that is not 0.2");
        return 2;
    }
    store_be32(answer + 2, vencrypt_subtype(client));
    vnc_client_write(client, answer, sizeof(answer));
    client->parser = parse_subtype;
    return 2;
}

static void begin_security(VncClient *client)
{
    static const uint8_t vencrypt[2] = { 0, 2 };

    if (client->security == VNC_SECURITY_VENCRYPT) {
        vnc_client_write(client, vencrypt, sizeof(vencrypt));
        client->parser = parse_vencrypt_version;
    } else {
        authenticate(client, client->security);
    }
}

static size_t parse_security(VncClient *client, const uint8_t *data, size_t size)
{
    if (data[0] != client->security) {
        vnc_handshake_refuse(client);
    } else {
        begin_security(client);
    }
    return 1;
}

static VncSecurity wanted_security(const VncClient *client)
{
    const VncServer *server = client->server;

    /* A websocket in TLS is secure as it is. */
    if (server->credentials && client->transport == VNC_PLAIN) {
        return VNC_SECURITY_VENCRYPT;
    }
    return wanted_method(client);
}

size_t vnc_parse_version(VncClient *client, const uint8_t *data, size_t size)
{
    char text[13] = "";
    unsigned major, minor;
    uint8_t offer[2] = { 1 };

    if (size < 12) {
        return 0;
    }
    memcpy(text, data, 12);
    if (sscanf(text, "RFB %3u.%3u\n", &major, &minor) != 2 || major != 3 || text[11] != '\n') {
        vnc_client_close(client, "no RFB client");
        return 12;
    }
    /* 4 and 5 are what some clients say for 3; later ones know 8. */
    client->minor = minor < 7 ? 3 : minor == 7 ? 7 : 8;
    client->security = wanted_security(client);
    if (client->minor == 3) {
        if (client->security > VNC_SECURITY_PASSWORD) {
            static const char reason[] = "this server needs TLS or SASL";

            write_u32(client, 0);
            write_u32(client, sizeof(reason) - 1);
            vnc_client_write(client, reason, sizeof(reason) - 1);
            vnc_client_close(client, "its version of RFB has neither TLS nor SASL");
            return 12;
        }
        write_u32(client, client->security);
        begin_security(client);
        return 12;
    }
    offer[1] = (uint8_t)client->security;
    vnc_client_write(client, offer, sizeof(offer));
    client->parser = parse_security;
    return 12;
}

void vnc_handshake_begin(VncClient *client)
{
    static const char version[12] = "RFB 003.008\n";

    vnc_client_write(client, version, sizeof(version));
    client->parser = vnc_parse_version;
}
