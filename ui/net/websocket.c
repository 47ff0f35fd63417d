/* SPDX-License-Identifier: MIT */
#include "ui/net/websocket.h"

#include <string.h>

#include "base/bits.h"

enum { OPCODE_CLOSE = 8, OPCODE_PING = 9, OPCODE_PONG = 10, FIN = 0x80, MASKED = 0x80 };

/* Where the head of a request ends, behind its empty line; 0: it does not yet. */
static size_t head_size(const GByteArray *in)
{
    const uint8_t *end = memmem(in->data, in->len, "\r\n\r\n", 4);

    return end ? (size_t)(end - in->data) + 4 : 0;
}

static bool parse_fields(HttpRequest *request, char *text)
{
    while (*text) {
        char *end = strstr(text, "\r\n"), *colon = strchr(text, ':');

        if (!end || !colon || colon > end || colon == text) {
            return false;
        }
        *end = '\0';
        *colon = '\0';
        g_ptr_array_add(request->names, text);
        g_ptr_array_add(request->values, g_strstrip(colon + 1));
        text = end + 2;
    }
    return true;
}

/* "GET /path?query HTTP/1.1" and fields. */
static bool parse(HttpRequest *request)
{
    char *line_end = strstr(request->text, "\r\n");
    char *path, *version, *query;

    if (!line_end) {
        return false;
    }
    *line_end = '\0';
    request->method = request->text;
    path = strchr(request->text, ' ');
    version = path ? strchr(path + 1, ' ') : NULL;
    if (!version || !g_str_has_prefix(version + 1, "HTTP/1.")) {
        return false;
    }
    *path++ = '\0';
    *version = '\0';
    query = strchr(path, '?');
    if (query) {
        *query++ = '\0';
    }
    request->path = path;
    request->query = query ? query : "";
    return path[0] == '/' && parse_fields(request, line_end + 2);
}

HttpState http_request_take(GByteArray *in, HttpRequest **request)
{
    size_t size = head_size(in);
    HttpRequest *taken;

    if (size == 0) {
        return in->len < HTTP_REQUEST_MAX ? HTTP_INCOMPLETE : HTTP_BAD;
    }
    if (size > HTTP_REQUEST_MAX || memchr(in->data, 0, size)) {
        return HTTP_BAD;
    }
    taken = g_new0(HttpRequest, 1);
    taken->names = g_ptr_array_new();
    taken->values = g_ptr_array_new();
    taken->text = g_strndup((const char *)in->data, size - 2); /* without the empty line */
    g_byte_array_remove_range(in, 0, (guint)size);
    if (!parse(taken)) {
        http_request_free(taken);
        return HTTP_BAD;
    }
    *request = taken;
    return HTTP_COMPLETE;
}

void http_request_free(HttpRequest *request)
{
    g_ptr_array_unref(request->names);
    g_ptr_array_unref(request->values);
    g_free(request->text);
    g_free(request);
}

const char *http_request_field(const HttpRequest *request, const char *name)
{
    for (guint i = 0; i < request->names->len; i++) {
        if (g_ascii_strcasecmp(request->names->pdata[i], name) == 0) {
            return request->values->pdata[i];
        }
    }
    return NULL;
}

/* Whether a list of words with commas has this one. */
static bool has_word(const char *list, const char *word)
{
    g_auto(GStrv) words = g_strsplit(list ? list : "", ",", -1);

    for (char **at = words; *at; at++) {
        if (g_ascii_strcasecmp(g_strstrip(*at), word) == 0) {
            return true;
        }
    }
    return false;
}

bool websocket_accept(const HttpRequest *request, char **answer)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    const char *key = http_request_field(request, "Sec-WebSocket-Key");
    const char *version = http_request_field(request, "Sec-WebSocket-Version");
    bool binary = has_word(http_request_field(request, "Sec-WebSocket-Protocol"), "binary");
    g_autoptr(GChecksum) sum = NULL;
    g_autofree char *accept = NULL;
    uint8_t digest[20];
    gsize size = sizeof(digest);

    if (!key || g_strcmp0(version, "13") != 0 || strcmp(request->method, "GET") != 0 ||
        !has_word(http_request_field(request, "Upgrade"), "websocket") ||
        !has_word(http_request_field(request, "Connection"), "Upgrade")) {
        return false;
    }
    sum = g_checksum_new(G_CHECKSUM_SHA1);
    g_checksum_update(sum, (const guchar *)key, -1);
    g_checksum_update(sum, (const guchar *)guid, -1);
    g_checksum_get_digest(sum, digest, &size);
    accept = g_base64_encode(digest, size);
    *answer = g_strdup_printf("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
                              accept, binary ? "Sec-WebSocket-Protocol: binary\r\n" : "");
    return true;
}

unsigned websocket_frame_head(uint8_t head[10], uint64_t size)
{
    head[0] = FIN | 2;
    if (size < 126) {
        head[1] = (uint8_t)size;
        return 2;
    }
    if (size <= UINT16_MAX) {
        head[1] = 126;
        store_be16(head + 2, (uint16_t)size);
        return 4;
    }
    head[1] = 127;
    store_be64(head + 2, size);
    return 10;
}

/* Clients mask all that they send. */
static void unmask(WebSocket *socket, uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        data[i] ^= socket->mask[socket->mask_at++ & 3];
    }
}

static void end_control(WebSocket *socket, GByteArray *reply)
{
    uint8_t head[2] = { FIN, (uint8_t)socket->control_size };

    socket->control = false;
    if (socket->control_opcode == OPCODE_PONG || socket->closed) {
        return;
    }
    head[0] |= socket->control_opcode == OPCODE_PING ? OPCODE_PONG : OPCODE_CLOSE;
    socket->closed = socket->control_opcode == OPCODE_CLOSE;
    g_byte_array_append(reply, head, 2);
    g_byte_array_append(reply, socket->control_data, socket->control_size);
}

/* The size of a frame's head that is complete in `raw`; 0: more is needed, -1: it is none. */
static int take_head(WebSocket *socket, const GByteArray *raw)
{
    const uint8_t *head = raw->data;
    unsigned opcode, length, size = 2;

    if (raw->len < 2) {
        return 0;
    }
    opcode = head[0] & 0xf;
    length = head[1] & 0x7f;
    size += length == 126 ? 2 : length == 127 ? 8 : 0;
    if (!(head[1] & MASKED) || head[0] & 0x70 || (opcode > 2 && opcode < OPCODE_CLOSE) ||
        opcode > OPCODE_PONG || (opcode >= OPCODE_CLOSE && (length > 125 || !(head[0] & FIN)))) {
        return -1;
    }
    if (raw->len < size + 4) {
        return 0;
    }
    socket->left = length == 126   ? load_be16(head + 2)
                   : length == 127 ? load_be64(head + 2)
                                   : length;
    memcpy(socket->mask, head + size, 4);
    socket->mask_at = 0;
    socket->control = opcode >= OPCODE_CLOSE;
    socket->control_opcode = (uint8_t)opcode;
    socket->control_size = 0;
    socket->started = true;
    return socket->left > INT64_MAX ? -1 : (int)size + 4;
}

bool websocket_decode(WebSocket *socket, GByteArray *raw, GByteArray *data, GByteArray *reply)
{
    size_t used = 0;

    while (!socket->closed) {
        GByteArray rest = { raw->data + used, raw->len - (guint)used };
        size_t size;

        if (!socket->started) {
            int head = take_head(socket, &rest);

            if (head <= 0) {
                g_byte_array_remove_range(raw, 0, (guint)used);
                return head == 0;
            }
            used += (size_t)head;
            continue;
        }
        size = MIN(socket->left, rest.len);
        unmask(socket, rest.data, size);
        if (socket->control) {
            memcpy(socket->control_data + socket->control_size, rest.data, size);
            socket->control_size += (unsigned)size;
        } else {
            g_byte_array_append(data, rest.data, (guint)size);
        }
        used += size;
        socket->left -= size;
        if (socket->left) {
            break;
        }
        socket->started = false;
        if (socket->control) {
            end_control(socket, reply);
        }
    }
    g_byte_array_remove_range(raw, 0, socket->closed ? raw->len : (guint)used);
    return true;
}
