/* SPDX-License-Identifier: MIT */
/*
 * Clipboards of clients: cut text in Latin-1 (RFC 6143, 7.5.6), and the community's extended clipboard in UTF-8, which is told first and
 * given on demand. Under the machine lock.
 */
#include <string.h>

#include "base/bits.h"
#include "machine/clipboard.h"
#include "ui/vnc/vnc.h"

enum {
    FORMAT_TEXT = 1,
    CAPABILITIES = 1 << 24,
    REQUEST = 1 << 25,
    PEEK = 1 << 26,
    NOTIFY = 1 << 27,
    PROVIDE = 1 << 28,
    SERVER_CUT_TEXT = 3,
};

static void send_cut_text(VncClient *client, int32_t length, const void *data, size_t size)
{
    uint8_t head[8] = { SERVER_CUT_TEXT };

    store_be32(head + 4, (uint32_t)length);
    vnc_client_write(client, head, sizeof(head));
    vnc_client_write(client, data, size);
}

static void send_extended(VncClient *client, uint32_t flags, const void *data, size_t size)
{
    g_autoptr(GByteArray) message = g_byte_array_new();
    uint8_t word[4];

    store_be32(word, flags);
    g_byte_array_append(message, word, sizeof(word));
    g_byte_array_append(message, data, (guint)size);
    send_cut_text(client, -(int32_t)message->len, message->data, message->len);
}

void vnc_clipboard_begin(VncClient *client)
{
    uint8_t largest[4];

    store_be32(largest, CLIPBOARD_MAX);
    send_extended(client, CAPABILITIES | REQUEST | PEEK | NOTIFY | PROVIDE | FORMAT_TEXT, largest,
                  sizeof(largest));
}

/* A clipboard of Windows: every line ends with two characters. */
static char *with_returns(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    return g_strjoinv("\r\n", lines);
}

static char *without_returns(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\r\n", -1);

    return g_strjoinv("\n", lines);
}

static void provide(VncClient *client)
{
    g_autofree char *text = with_returns(clipboard_text(client->server->machine));
    g_autoptr(GByteArray) plain = g_byte_array_new(), packed = g_byte_array_new();
    VncDeflate deflate = { .started = false };
    uint8_t size[4];

    store_be32(size, (uint32_t)strlen(text) + 1);
    g_byte_array_append(plain, size, sizeof(size));
    g_byte_array_append(plain, (const guint8 *)text, (guint)strlen(text) + 1);
    vnc_deflate(&deflate, 6, plain->data, plain->len, packed);
    deflateEnd(&deflate.stream);
    send_extended(client, PROVIDE | FORMAT_TEXT, packed->data, packed->len);
}

static void set_text(VncClient *client, const char *text)
{
    g_autofree char *lines = without_returns(text);

    clipboard_set_text(client->server->machine, &client->server->clipboard, lines);
    /* The other clients of this server are told by us. */
    for (guint i = 0; i < client->server->clients->len; i++) {
        if (client->server->clients->pdata[i] != client) {
            vnc_clipboard_tell(client->server->clients->pdata[i]);
        }
    }
}

static void take_provided(VncClient *client, const uint8_t *data, size_t size)
{
    z_stream stream = { .next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)size };
    g_autofree uint8_t *plain = g_malloc(CLIPBOARD_MAX + 8);
    size_t got;

    if (inflateInit(&stream) != Z_OK) {
        return;
    }
    stream.next_out = plain;
    stream.avail_out = CLIPBOARD_MAX + 4;
    inflate(&stream, Z_SYNC_FLUSH); /* what does not fit or is broken ends there */
    got = CLIPBOARD_MAX + 4 - stream.avail_out;
    inflateEnd(&stream);
    if (got >= 4 && load_be32(plain) <= got - 4) {
        g_autofree char *text = g_strndup((const char *)plain + 4, load_be32(plain));

        set_text(client, text);
    }
}

void vnc_clipboard_extended(VncClient *client, const uint8_t *data, size_t size)
{
    uint32_t flags = size >= 4 ? load_be32(data) : 0;

    if (flags & CAPABILITIES) {
        client->clipboard_caps = flags;
    } else if (flags & NOTIFY && flags & FORMAT_TEXT) {
        send_extended(client, REQUEST | FORMAT_TEXT, "", 0);
    } else if (flags & REQUEST && flags & FORMAT_TEXT) {
        provide(client);
    } else if (flags & PEEK) {
        send_extended(client, NOTIFY | (*clipboard_text(client->server->machine) ? FORMAT_TEXT : 0),
                      "", 0);
    } else if (flags & PROVIDE && flags & FORMAT_TEXT) {
        take_provided(client, data + 4, size - 4);
    }
}

void vnc_clipboard_plain(VncClient *client, const uint8_t *data, size_t size)
{
    g_autofree char *text =
        g_convert((const char *)data, (gssize)size, "UTF-8", "ISO-8859-1", NULL, NULL, NULL);

    if (text) {
        set_text(client, text);
    }
}

void vnc_clipboard_tell(VncClient *client)
{
    const char *text = clipboard_text(client->server->machine);
    g_autofree char *latin = NULL;
    gsize size = 0;

    if (!client->ready) {
        return;
    }
    if (client->features & VNC_CAN_CLIPBOARD) {
        send_extended(client, NOTIFY | FORMAT_TEXT, "", 0);
        return;
    }
    latin = g_convert_with_fallback(text, -1, "ISO-8859-1", "UTF-8", "?", NULL, &size, NULL);
    if (latin) {
        send_cut_text(client, (int32_t)size, latin, size);
    }
}

void vnc_clipboard_changed(ClipboardPeer *peer)
{
    VncServer *server = (VncServer *)((char *)peer - offsetof(VncServer, clipboard));

    for (guint i = 0; i < server->clients->len; i++) {
        vnc_clipboard_tell(server->clients->pdata[i]);
    }
}
