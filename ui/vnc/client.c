/* SPDX-License-Identifier: MIT */
/* A client: its connection, and the messages of its session (RFC 6143, 7.5). */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"
#include "ui/vnc/sasl.h"
#include "ui/vnc/vnc.h"

enum {
    MESSAGE_SET_FORMAT = 0,
    MESSAGE_SET_ENCODINGS = 2,
    MESSAGE_UPDATE_REQUEST = 3,
    MESSAGE_KEY = 4,
    MESSAGE_POINTER = 5,
    MESSAGE_CUT_TEXT = 6,
    MESSAGE_CONTINUOUS = 150,
    MESSAGE_FENCE = 248,
    MESSAGE_POWER = 250,
    MESSAGE_SET_SIZE = 251,
    MESSAGE_EXTENDED = 255,
    EXTENDED_KEY = 0,
};

/* What connections carry. */

void vnc_client_write(VncClient *client, const void *data, size_t size)
{
    if (!client->stream) {
        return;
    }
    stream_write(client->stream, data, size);
    if (stream_waiting(client->stream) > VNC_WAITING_MAX) {
        stream_set_reading(client->stream, false);
    }
}

/* Under the machine lock. */
static void parse_input(VncClient *client)
{
    GByteArray *in = stream_input(client->stream);
    size_t used = 0;

    while (client->stream && client->parser && used < in->len) {
        size_t taken = client->parser(client, in->data + used, in->len - used);

        if (!taken) {
            break;
        }
        used += taken;
    }
    if (client->stream) {
        g_byte_array_remove_range(in, 0, (guint)used);
    }
}

static void received(void *opaque)
{
    VncClient *client = opaque;
    Machine *machine = client->server->machine;

    machine_lock(machine);
    client->references++;
    parse_input(client);
    vnc_client_unref(client);
    machine_unlock(machine);
}

static void drained(void *opaque)
{
    VncClient *client = opaque;

    stream_set_reading(client->stream, true);
    vnc_client_kick(client);
}

static void closed(void *opaque, const char *reason)
{
    VncClient *client = opaque;
    Machine *machine = client->server->machine;

    machine_lock(machine);
    vnc_client_close(client, client->ready ? NULL : reason);
    machine_unlock(machine);
}

static void secured(void *opaque)
{
    VncClient *client = opaque;
    Machine *machine = client->server->machine;

    machine_lock(machine);
    vnc_handshake_secured(client);
    machine_unlock(machine);
}

static const StreamOps stream_ops = {
    .received = received, .drained = drained, .closed = closed, .secured = secured
};

static void tell_connected(VncClient *client)
{
    client->connected = true;
    vnc_client_event(client, "VNC_CONNECTED");
}

void vnc_client_upgrade(VncClient *client, const char *answer, size_t used)
{
    vnc_client_write(client, answer, strlen(answer));
    stream_start_websocket(client->stream, used);
    if (!client->connected) {
        tell_connected(client);
    }
    vnc_handshake_begin(client);
}

/* Whether the client may come in now; else it has been answered. */
static bool accept_request(VncClient *client, const HttpRequest *request, char **answer)
{
    static const char refusal[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";

    if (client->transport == VNC_WEB) {
        return vnc_web_answer(client, request, answer);
    }
    if (websocket_accept(request, answer)) {
        return true;
    }
    vnc_client_write(client, refusal, sizeof(refusal) - 1);
    vnc_client_close(client, "no websocket's request");
    return false;
}

/* A websocket begins with a request of HTTP; a browser asks for pages before. */
static size_t parse_request(VncClient *client, const uint8_t *data, size_t size)
{
    g_autoptr(GByteArray) head = g_byte_array_new();
    HttpRequest *request = NULL;
    g_autofree char *answer = NULL;
    HttpState state;
    size_t used;

    g_byte_array_append(head, data, (guint)MIN(size, HTTP_REQUEST_MAX));
    state = http_request_take(head, &request);
    used = MIN(size, HTTP_REQUEST_MAX) - head->len;
    if (state == HTTP_INCOMPLETE) {
        return 0;
    }
    if (state == HTTP_BAD) {
        vnc_client_close(client, "no request of HTTP");
        return size;
    }
    if (accept_request(client, request, &answer)) {
        /* The parser's bytes are the last of the input. */
        vnc_client_upgrade(client, answer, stream_input(client->stream)->len - size + used);
    }
    http_request_free(request);
    return used;
}

static gboolean too_late(gpointer opaque)
{
    VncClient *client = opaque;
    Machine *machine = client->server->machine; /* which outlives the client */

    client->timer = 0;
    machine_lock(machine);
    vnc_client_close(client, "it did not say who it is in time");
    machine_unlock(machine);
    return G_SOURCE_REMOVE;
}

/* The oldest of too many that have not said who they are makes room. */
static void limit_strangers(VncServer *server)
{
    unsigned strangers = 0;
    VncClient *oldest = NULL;

    for (guint i = 0; i < server->clients->len; i++) {
        VncClient *client = server->clients->pdata[i];

        if (!client->ready) {
            strangers++;
            oldest = oldest ? oldest : client;
        }
    }
    if (strangers > VNC_CLIENTS_MAX) {
        vnc_client_close(oldest, "too many others wait");
    }
}

void vnc_client_new(VncServer *server, int fd, VncTransport transport, bool trusted)
{
    VncClient *client = g_new0(VncClient, 1);
    g_autoptr(GError) error = NULL;

    client->server = server;
    client->references = 1;
    client->transport = transport;
    client->trusted = trusted;
    client->format = vnc_format_ours;
    client->pointer_x = client->pointer_y = -1;
    client->keysyms = g_hash_table_new(NULL, NULL);
    client->stream = stream_new(fd, &stream_ops, client);
    vnc_client_name(client, fd);
    vnc_encoder_init(&client->encoder);
    client->pixel_us = 1; /* not known yet: a worker does the first */
    client->encoder.out = g_byte_array_new();
    client->copies = g_array_new(false, false, sizeof(VncCopy));
    pixman_region32_init(&client->damage);
    pixman_region32_init(&client->requested);
    client->timer = g_timeout_add_seconds(VNC_HANDSHAKE_SECONDS, too_late, client);
    g_ptr_array_add(server->clients, client);
    if (transport != VNC_WEB) {
        tell_connected(client);
    }
    limit_strangers(server);
    vnc_server_update_watch(server);
    if (transport == VNC_PLAIN) {
        vnc_handshake_begin(client);
        return;
    }
    client->parser = parse_request;
    if (server->credentials && !stream_start_tls(client->stream, server->credentials, &error)) {
        vnc_client_close(client, error->message);
    }
}

void vnc_client_unref(VncClient *client)
{
    if (--client->references) {
        return;
    }
    vnc_encoder_clear(&client->encoder);
    g_byte_array_unref(client->encoder.out);
    g_array_unref(client->copies);
    pixman_region32_fini(&client->damage);
    pixman_region32_fini(&client->requested);
    g_hash_table_unref(client->keysyms);
    vnc_sasl_free(client->sasl);
    g_free(client->host);
    g_free(client->service);
    g_free(client->local_host);
    g_free(client->local_service);
    g_free(client);
}

void vnc_client_close(VncClient *client, const char *why)
{
    VncServer *server = client->server;

    if (!client->stream) {
        return;
    }
    trace(server->id, "client %s:%s ends: %s", client->host, client->service,
          why ? why : "its wish");
    vnc_client_release(client);
    g_clear_handle_id(&client->timer, g_source_remove);
    g_clear_handle_id(&client->kick, g_source_remove);
    g_clear_pointer(&client->stream, stream_free);
    vnc_client_event(client, "VNC_DISCONNECTED");
    client->ready = false;
    g_ptr_array_remove(server->clients, client);
    vnc_server_update_watch(server);
    vnc_client_unref(client);
}

/* Messages. */

static size_t set_format(VncClient *client, const uint8_t *data, size_t size)
{
    if (size < 20) {
        return 0;
    }
    if (!vnc_format_parse(&client->format, data + 4)) {
        vnc_client_close(client, "a pixel format that cannot be");
        return 20;
    }
    if (!data[7]) { /* it wants a colour map: that of the 8 bits that it gets */
        uint8_t map[6 + 256 * 6] = { 1, [4] = 1 };

        for (unsigned i = 0; i < 256; i++) {
            store_be16(map + 6 + 6 * i, (uint16_t)((i & 7) * 65535 / 7));
            store_be16(map + 8 + 6 * i, (uint16_t)((i >> 3 & 7) * 65535 / 7));
            store_be16(map + 10 + 6 * i, (uint16_t)((i >> 6) * 65535 / 3));
        }
        vnc_client_write(client, map, sizeof(map));
    }
    client->send_cursor = true;
    vnc_client_damage_all(client);
    return 20;
}

static size_t set_encodings(VncClient *client, const uint8_t *data, size_t size)
{
    unsigned count = size < 4 ? 0 : load_be16(data + 2);
    g_autofree int32_t *encodings = NULL;

    if (size < 4 || size < 4 + 4 * (size_t)count) {
        return 0;
    }
    encodings = g_new0(int32_t, count + 1);
    for (unsigned i = 0; i < count; i++) {
        encodings[i] = (int32_t)load_be32(data + 4 + (size_t)4 * i);
    }
    vnc_client_set_encodings(client, encodings, count);
    return 4 + 4 * (size_t)count;
}

static size_t update_request(VncClient *client, const uint8_t *data, size_t size)
{
    unsigned x, y, width, height;

    if (size < 10) {
        return 0;
    }
    x = load_be16(data + 2);
    y = load_be16(data + 4);
    width = load_be16(data + 6);
    height = load_be16(data + 8);
    pixman_region32_union_rect(&client->requested, &client->requested, (int)x, (int)y, width,
                               height);
    if (!data[1]) {
        /* It has nothing: an answer must come even when nothing has changed. */
        pixman_region32_union_rect(&client->damage, &client->damage, (int)x, (int)y, width, height);
        client->send_size |= client->features & VNC_CAN_RESIZE_EXTENDED;
    }
    vnc_client_kick(client);
    return 10;
}

static size_t key_event(VncClient *client, const uint8_t *data, size_t size)
{
    if (size < 8) {
        return 0;
    }
    vnc_client_key(client, data[1], load_be32(data + 4), 0);
    return 8;
}

static size_t pointer_event(VncClient *client, const uint8_t *data, size_t size)
{
    if (size < 6) {
        return 0;
    }
    vnc_client_pointer(client, data[1], load_be16(data + 2), load_be16(data + 4));
    return 6;
}

/* More than we take is read and forgotten. */
static size_t skip_cut_text(VncClient *client, const uint8_t *data, size_t size)
{
    size_t taken = MIN(size, client->cut_text_left);

    client->cut_text_left -= (unsigned)taken;
    if (!client->cut_text_left) {
        client->parser = vnc_parse_message;
    }
    return taken;
}

/* A negative length: the extended clipboard. */
static size_t cut_text(VncClient *client, const uint8_t *data, size_t size)
{
    int32_t length;
    unsigned bytes;

    if (size < 8) {
        return 0;
    }
    length = (int32_t)load_be32(data + 4);
    if (length == INT32_MIN) {
        vnc_client_close(client, "a clipboard message that cannot be");
        return 8;
    }
    bytes = (unsigned)ABS(length);
    if (bytes > VNC_CUT_TEXT_MAX) {
        client->cut_text_left = bytes;
        client->parser = skip_cut_text;
        return 8;
    }
    if (size < 8 + (size_t)bytes) {
        return 0;
    }
    if (length < 0) {
        vnc_clipboard_extended(client, data + 8, bytes);
    } else if (bytes) {
        vnc_clipboard_plain(client, data + 8, bytes);
    }
    return 8 + (size_t)bytes;
}

static size_t continuous_updates(VncClient *client, const uint8_t *data, size_t size)
{
    static const uint8_t ends[1] = { MESSAGE_CONTINUOUS };

    if (size < 10) {
        return 0;
    }
    client->continuous_area = (pixman_box32_t){ load_be16(data + 2), load_be16(data + 4),
                                                load_be16(data + 2) + load_be16(data + 6),
                                                load_be16(data + 4) + load_be16(data + 8) };
    if (client->continuous && !data[1]) {
        vnc_client_write(client, ends, sizeof(ends));
    }
    client->continuous = data[1];
    vnc_client_kick(client);
    return 10;
}

/* All that came before it has been done, and all that we send is in order: its answer can go at once. */
static size_t fence(VncClient *client, const uint8_t *data, size_t size)
{
    enum { REQUEST = 1u << 31, KNOWN = 7 };
    uint8_t answer[9 + 64] = { MESSAGE_FENCE };
    uint32_t flags;
    unsigned length;

    if (size < 9 || size < 9u + data[8]) {
        return 0;
    }
    flags = load_be32(data + 4);
    length = data[8];
    if (length > 64) {
        vnc_client_close(client, "a fence of more than 64 bytes");
    } else if (flags & REQUEST) {
        store_be32(answer + 4, flags & KNOWN);
        answer[8] = (uint8_t)length;
        memcpy(answer + 9, data + 9, length);
        vnc_client_write(client, answer, 9 + length);
    }
    return 9 + length;
}

/* xvp: version and what to do. */
static size_t power(VncClient *client, const uint8_t *data, size_t size)
{
    enum { SHUT_DOWN = 2, REBOOT = 3, RESET = 4 };
    static const uint8_t failed[4] = { MESSAGE_POWER, 0, 1, 0 };
    Machine *machine = client->server->machine;

    if (size < 4) {
        return 0;
    }
    if (!client->server->power_control || data[2] != 1 || data[3] < SHUT_DOWN || data[3] > RESET) {
        vnc_client_write(client, failed, sizeof(failed));
    } else if (data[3] == RESET) {
        machine_request_reset(machine, "host-ui");
    } else {
        machine_request_powerdown(machine);
    }
    return 4;
}

/* The client would like another size. Only one screen of it is looked at. */
static size_t set_size(VncClient *client, const uint8_t *data, size_t size)
{
    enum { BY_CLIENT = 1, PROHIBITED = 1, INVALID = 3, REQUESTED = 4 };
    Display *display = client->server->display;
    DisplayInfo info = { 0 };

    if (size < 8 || size < 8 + (size_t)16 * data[6]) {
        return 0;
    }
    info.width = load_be16(data + 2);
    info.height = load_be16(data + 4);
    client->size_reason = BY_CLIENT;
    if (!info.width || !info.height || !data[6]) {
        client->size_status = INVALID;
    } else if (!display || !display_can_wish(display)) {
        client->size_status = PROHIBITED;
    } else {
        client->size_status = REQUESTED;
        display_wish(display, &info);
    }
    client->send_size = true;
    vnc_client_kick(client);
    return 8 + (size_t)16 * data[6];
}

static size_t extended_message(VncClient *client, const uint8_t *data, size_t size)
{
    const InputKey *key;

    if (size < 2) {
        return 0;
    }
    if (data[1] != EXTENDED_KEY) {
        vnc_client_close(client, "an extended message that it was not offered");
        return 2;
    }
    if (size < 12) {
        return 0;
    }
    key = input_key_by_number(load_be32(data + 8));
    vnc_client_key(client, load_be16(data + 2), load_be32(data + 4), key ? key->code : 0);
    return 12;
}

size_t vnc_parse_message(VncClient *client, const uint8_t *data, size_t size)
{
    static const struct {
        unsigned type;
        VncParser *parser;
    } messages[] = {
        { MESSAGE_SET_FORMAT, set_format },
        { MESSAGE_SET_ENCODINGS, set_encodings },
        { MESSAGE_UPDATE_REQUEST, update_request },
        { MESSAGE_KEY, key_event },
        { MESSAGE_POINTER, pointer_event },
        { MESSAGE_CUT_TEXT, cut_text },
        { MESSAGE_CONTINUOUS, continuous_updates },
        { MESSAGE_FENCE, fence },
        { MESSAGE_POWER, power },
        { MESSAGE_SET_SIZE, set_size },
        { MESSAGE_EXTENDED, extended_message },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(messages); i++) {
        if (messages[i].type == data[0]) {
            return messages[i].parser(client, data, size);
        }
    }
    vnc_client_close(client, "an unknown message");
    return 1;
}

void vnc_client_begin(VncClient *client)
{
    client->ready = true;
    client->parser = vnc_parse_message;
    vnc_client_set_encodings(client, NULL, 0);
    vnc_client_event(client, "VNC_INITIALIZED");
    vnc_client_damage_all(client);
    vnc_server_update_watch(client->server);
}

/* How events and query-vnc tell of it. */
json_t *vnc_client_json(const VncClient *client)
{
    json_t *result = vnc_address_json(client->host, client->service, client->family,
                                      client->transport != VNC_PLAIN);
    const TlsCredentials *credentials = client->server->credentials;
    bool certificate = credentials && tls_credentials_have_certificate(credentials);
    g_autofree char *name = certificate && client->stream ? stream_identity(client->stream) : NULL;

    if (name) {
        json_object_set_new(result, "x509_dname", json_string(name));
    }
    if (vnc_sasl_user(client->sasl)) {
        json_object_set_new(result, "sasl_username", json_string(vnc_sasl_user(client->sasl)));
    }
    return result;
}

void vnc_client_event(VncClient *client, const char *event)
{
    json_t *data, *server;
    char *dump;

    if (!client->connected) {
        return;
    }
    data = json_object();
    server = vnc_address_json(client->local_host, client->local_service, client->family,
                              client->transport != VNC_PLAIN);
    json_object_set_new(
        server, "auth",
        json_string(vnc_server_auth_name(client->server, client->transport == VNC_PLAIN)));
    json_object_set_new(data, "server", server);
    json_object_set_new(data, "client", vnc_client_json(client));
    dump = json_dumps(data, JSON_COMPACT);
    machine_event(client->server->machine, event, dump);
    free(dump);
    json_decref(data);
}
