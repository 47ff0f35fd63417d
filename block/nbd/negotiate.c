/* SPDX-License-Identifier: MIT */
/*
 * NBD handshake as a client: newstyle and fixed newstyle, TLS, structured replies and extended
 * headers, metadata contexts. Oldstyle servers are refused.
 */
#include "block/nbd/negotiate.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

enum {
    OPTION_PAYLOAD_MAX = 64 * 1024, /* of one reply */
    REPLIES_MAX = 10000,            /* to one option */
    EXPORTS_MAX = 10000,
};

typedef struct {
    NbdChannel *channel;
    GError **error;
    bool fixed, no_zeroes;
} Handshake;

typedef struct {
    uint32_t type, size;
    uint8_t payload[OPTION_PAYLOAD_MAX + 1];
} OptionReply;

void nbd_export_info_clear(NbdExportInfo *info)
{
    g_free(info->name);
    g_free(info->context);
    g_free(info->description);
    g_strfreev(info->contexts);
    *info = (NbdExportInfo){ 0 };
}

static bool check_io(Handshake *h, int result)
{
    return result == 0 ||
           error_fail(h->error, KASO_ERROR_IO, "NBD negotiation: %s",
                      result == -EPIPE || result == -ECONNRESET ? "the server closed the connection"
                                                                : g_strerror(-result));
}

static bool send_option(Handshake *h, uint32_t option, const void *data, uint32_t size)
{
    g_autofree uint8_t *buffer = g_malloc(16 + size);

    store_be64(buffer, NBD_OPTION_MAGIC);
    store_be32(buffer + 8, option);
    store_be32(buffer + 12, size);
    if (size) {
        memcpy(buffer + 16, data, size);
    }
    return check_io(h, nbd_channel_write(h->channel, buffer, 16 + size));
}

static bool read_reply(Handshake *h, uint32_t option, OptionReply *reply)
{
    uint8_t head[20];

    if (!check_io(h, nbd_channel_read(h->channel, head, sizeof head))) {
        return false;
    }
    reply->type = load_be32(head + 12);
    reply->size = load_be32(head + 16);
    if (load_be64(head) != NBD_REPLY_OPTION_MAGIC || load_be32(head + 8) != option) {
        return error_fail(h->error, KASO_ERROR_IO,
                          "The NBD server's reply to option %u has a wrong magic or option",
                          option);
    }
    if (reply->size > OPTION_PAYLOAD_MAX) {
        return error_fail(h->error, KASO_ERROR_IO,
                          "The NBD server's reply to option %u is too long (%u bytes)", option,
                          reply->size);
    }
    reply->payload[reply->size] = 0;
    return check_io(h, nbd_channel_read(h->channel, reply->payload, reply->size));
}

static const char *reply_error_name(uint32_t type)
{
    static const char *const names[] = {
        "unknown error",
        "not supported",
        "not permitted by the server's policy",
        "invalid request",
        "not supported on this platform",
        "the server requires TLS; give tls-creds",
        "no such export",
        "the server is shutting down",
        "the server requires block size negotiation",
        "the request is too large",
        "extended headers are required",
    };
    uint32_t number = type & ~NBD_REP_ERROR;

    return names[number < ARRAY_SIZE(names) ? number : 0];
}

static bool fail_reply(Handshake *h, const char *what, const OptionReply *reply)
{
    g_autofree char *text = g_utf8_make_valid((const char *)reply->payload, -1);

    if (!(reply->type & NBD_REP_ERROR)) {
        return error_fail(h->error, KASO_ERROR_IO, "%s: unexpected reply %u of the NBD server",
                          what, reply->type);
    }
    return error_fail(h->error, KASO_ERROR_IO, "%s: %s%s%s%s", what, reply_error_name(reply->type),
                      reply->size ? " (server reported: " : "", text, reply->size ? ")" : "");
}

static bool read_greeting(Handshake *h)
{
    uint8_t head[18], flags[4];
    uint16_t server;

    if (!check_io(h, nbd_channel_read(h->channel, head, 16))) {
        return false;
    }
    if (load_be64(head) != NBD_INIT_MAGIC) {
        return error_fail(h->error, KASO_ERROR_IO,
                          "The server does not speak NBD: magic 0x%016" G_GINT64_MODIFIER "x",
                          load_be64(head));
    }
    if (load_be64(head + 8) == NBD_OLDSTYLE_MAGIC) {
        return error_fail(h->error, KASO_ERROR_UNSUPPORTED,
                          "The NBD server speaks the oldstyle protocol, which is not supported");
    }
    if (load_be64(head + 8) != NBD_OPTION_MAGIC) {
        return error_fail(h->error, KASO_ERROR_IO,
                          "Bad NBD server magic 0x%016" G_GINT64_MODIFIER "x", load_be64(head + 8));
    }
    if (!check_io(h, nbd_channel_read(h->channel, head + 16, 2))) {
        return false;
    }
    server = load_be16(head + 16);
    h->fixed = server & NBD_FLAG_FIXED_NEWSTYLE;
    h->no_zeroes = server & NBD_FLAG_NO_ZEROES;
    store_be32(flags, server & (NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES));
    return check_io(h, nbd_channel_write(h->channel, flags, 4));
}

static bool start_tls(Handshake *h, TlsCredentials *credentials, const char *host)
{
    g_autofree OptionReply *reply = g_new(OptionReply, 1);

    if (!h->fixed) {
        return error_fail(h->error, KASO_ERROR_UNSUPPORTED, "The NBD server does not support TLS");
    }
    if (!send_option(h, NBD_OPT_STARTTLS, NULL, 0) || !read_reply(h, NBD_OPT_STARTTLS, reply)) {
        return false;
    }
    if (reply->type != NBD_REP_ACK || reply->size) {
        return fail_reply(h, "Server rejected request for TLS", reply);
    }
    return nbd_channel_start_tls(h->channel, credentials, host, h->error);
}

/* *accepted: whether the server knows an option without payload. */
static bool try_option(Handshake *h, uint32_t option, bool *accepted)
{
    g_autofree OptionReply *reply = g_new(OptionReply, 1);

    if (!send_option(h, option, NULL, 0) || !read_reply(h, option, reply)) {
        return false;
    }
    *accepted = reply->type == NBD_REP_ACK;
    if (!*accepted && (!(reply->type & NBD_REP_ERROR) || reply->type == NBD_REP_ERR_TLS_REQD)) {
        return fail_reply(h, "NBD negotiation", reply);
    }
    return true;
}

static bool negotiate_mode(Handshake *h, NbdMode *mode)
{
    bool accepted;

    *mode = NBD_MODE_SIMPLE;
    if (!try_option(h, NBD_OPT_EXTENDED_HEADERS, &accepted)) {
        return false;
    }
    if (accepted) {
        *mode = NBD_MODE_EXTENDED;
        return true;
    }
    if (!try_option(h, NBD_OPT_STRUCTURED_REPLY, &accepted)) {
        return false;
    }
    *mode = accepted ? NBD_MODE_STRUCTURED : NBD_MODE_SIMPLE;
    return true;
}

/* A name with its length before it. */
static void append_string(GByteArray *data, const char *text)
{
    uint8_t size[4];

    store_be32(size, (uint32_t)strlen(text));
    g_byte_array_append(data, size, 4);
    g_byte_array_append(data, (const guint8 *)text, (guint)strlen(text));
}

/* NBD_OPT_SET_META_CONTEXT with one query, or LIST with none. Calls found for each answer. */
static bool query_contexts(Handshake *h, uint32_t option, const char *name, const char *query,
                           void (*found)(void *opaque, uint32_t id, const char *context),
                           void *opaque)
{
    g_autoptr(GByteArray) data = g_byte_array_new();
    g_autofree OptionReply *reply = g_new(OptionReply, 1);
    uint8_t count[4];

    append_string(data, name);
    store_be32(count, query ? 1 : 0);
    g_byte_array_append(data, count, 4);
    if (query) {
        append_string(data, query);
    }
    if (!send_option(h, option, data->data, data->len)) {
        return false;
    }
    for (unsigned i = 0; i < REPLIES_MAX; i++) {
        if (!read_reply(h, option, reply)) {
            return false;
        }
        if (reply->type == NBD_REP_ACK || (reply->type & NBD_REP_ERROR)) {
            return true; /* an error: no such context, which is no reason to give up */
        }
        if (reply->type != NBD_REP_META_CONTEXT || reply->size < 4) {
            return fail_reply(h, "Listing metadata contexts", reply);
        }
        found(opaque, load_be32(reply->payload), (const char *)reply->payload + 4);
    }
    return error_fail(h->error, KASO_ERROR_IO, "The NBD server offers too many metadata contexts");
}

static void found_context(void *opaque, uint32_t id, const char *context)
{
    NbdExportInfo *info = opaque;

    if (!strcmp(context, info->context ? info->context : "base:allocation")) {
        info->has_context = true;
        info->context_id = id;
    }
}

static void found_any_context(void *opaque, uint32_t id, const char *context)
{
    g_ptr_array_add(opaque, g_utf8_make_valid(context, -1));
}

static bool take_info(Handshake *h, const OptionReply *reply, NbdExportInfo *info, bool *has_export)
{
    const uint8_t *p = reply->payload;

    switch (reply->size < 2 ? UINT16_MAX : load_be16(p)) {
    case NBD_INFO_EXPORT:
        if (reply->size != 12) {
            break;
        }
        info->size = load_be64(p + 2);
        info->flags = load_be16(p + 10);
        *has_export = true;
        return true;
    case NBD_INFO_DESCRIPTION:
        g_free(info->description);
        info->description = g_utf8_make_valid((const char *)p + 2, -1);
        return true;
    case NBD_INFO_BLOCK_SIZE:
        if (reply->size != 14) {
            break;
        }
        info->block_min = load_be32(p + 2);
        info->block_preferred = load_be32(p + 6);
        info->block_max = load_be32(p + 10);
        if (!is_power_of_two(info->block_min) || info->block_min > KIB(64) ||
            info->block_max < info->block_min) {
            return error_fail(h->error, KASO_ERROR_IO,
                              "The NBD server's block sizes make no sense: minimum %u, maximum %u",
                              info->block_min, info->block_max);
        }
        return true;
    case UINT16_MAX:
        break;
    default:
        return true;
    }
    return error_fail(h->error, KASO_ERROR_IO, "An NBD_REP_INFO of the server has a wrong length");
}

/* NBD_OPT_GO or NBD_OPT_INFO. *known: false when the server does not know the option. */
static bool go(Handshake *h, uint32_t option, NbdExportInfo *info, bool *known)
{
    g_autoptr(GByteArray) data = g_byte_array_new();
    g_autofree OptionReply *reply = g_new(OptionReply, 1);
    g_autofree char *what = g_strdup_printf("Requested export '%s'", info->name);
    static const uint8_t requests[] = { 0, 2, 0, NBD_INFO_BLOCK_SIZE, 0, NBD_INFO_DESCRIPTION };
    bool has_export = false;

    *known = true;
    append_string(data, info->name);
    g_byte_array_append(data, requests, sizeof requests);
    if (!send_option(h, option, data->data, data->len)) {
        return false;
    }
    for (unsigned i = 0; i < REPLIES_MAX; i++) {
        if (!read_reply(h, option, reply)) {
            return false;
        }
        if (reply->type == NBD_REP_ACK) {
            return has_export ||
                   error_fail(h->error, KASO_ERROR_IO,
                              "The NBD server did not tell the size of export '%s'", info->name);
        }
        if (reply->type == NBD_REP_ERR_UNSUP) {
            *known = false;
            return true;
        }
        if (reply->type != NBD_REP_INFO) {
            return fail_reply(h, what, reply);
        }
        if (!take_info(h, reply, info, &has_export)) {
            return false;
        }
    }
    return error_fail(h->error, KASO_ERROR_IO, "The NBD server sends too many NBD_REP_INFO");
}

/* The way of servers that do not know NBD_OPT_GO: no error messages. */
static bool export_name(Handshake *h, NbdExportInfo *info)
{
    uint8_t head[10];

    if (!send_option(h, NBD_OPT_EXPORT_NAME, info->name, (uint32_t)strlen(info->name))) {
        return false;
    }
    if (nbd_channel_read(h->channel, head, sizeof head) < 0) {
        return error_fail(h->error, KASO_ERROR_IO, "The NBD server refuses export '%s'",
                          info->name);
    }
    info->size = load_be64(head);
    info->flags = load_be16(head + 8);
    return h->no_zeroes || check_io(h, nbd_channel_skip(h->channel, 124));
}

static bool begin(Handshake *h, TlsCredentials *credentials, const char *tls_host)
{
    return read_greeting(h) && (!credentials || start_tls(h, credentials, tls_host));
}

bool nbd_negotiate(NbdChannel *channel, TlsCredentials *credentials, const char *tls_host,
                   NbdExportInfo *info, GError **error)
{
    Handshake h = { .channel = channel, .error = error };
    bool known = false;

    if (strlen(info->name) > NBD_NAME_MAX) {
        return error_fail(error, KASO_ERROR_INVALID, "The export name is longer than %d bytes",
                          NBD_NAME_MAX);
    }
    info->has_context = false;
    info->mode = NBD_MODE_SIMPLE;
    info->block_min = 1;
    info->block_preferred = 4096;
    info->block_max = NBD_PAYLOAD_MAX;
    if (!begin(&h, credentials, tls_host)) {
        return false;
    }
    if (h.fixed) {
        if (!negotiate_mode(&h, &info->mode) ||
            (info->mode != NBD_MODE_SIMPLE &&
             !query_contexts(&h, NBD_OPT_SET_META_CONTEXT, info->name,
                             info->context ? info->context : "base:allocation", found_context,
                             info)) ||
            !go(&h, NBD_OPT_GO, info, &known)) {
            return false;
        }
    }
    if (!known && !export_name(&h, info)) {
        return false;
    }
    if (info->size > INT64_MAX) {
        return error_fail(error, KASO_ERROR_IO,
                          "The size of export '%s' is absurd: 0x%" G_GINT64_MODIFIER "x",
                          info->name, info->size);
    }
    return true;
}

static void free_info(gpointer info)
{
    nbd_export_info_clear(info);
    g_free(info);
}

static bool list_names(Handshake *h, GPtrArray *list)
{
    g_autofree OptionReply *reply = g_new(OptionReply, 1);

    if (!send_option(h, NBD_OPT_LIST, NULL, 0)) {
        return false;
    }
    for (;;) {
        NbdExportInfo *info;
        uint32_t size;

        if (!read_reply(h, NBD_OPT_LIST, reply)) {
            return false;
        }
        if (reply->type == NBD_REP_ACK) {
            return true;
        }
        size = reply->size >= 4 ? load_be32(reply->payload) : UINT32_MAX;
        if (reply->type != NBD_REP_SERVER || size > reply->size - 4 || list->len == EXPORTS_MAX) {
            return fail_reply(h, "Listing exports", reply);
        }
        info = g_new0(NbdExportInfo, 1);
        info->name = g_strndup((char *)reply->payload + 4, size);
        if (reply->size > 4 + size) {
            info->description = g_utf8_make_valid((char *)reply->payload + 4 + size, -1);
        }
        g_ptr_array_add(list, info);
    }
}

GPtrArray *nbd_list(NbdChannel *channel, TlsCredentials *credentials, const char *tls_host,
                    GError **error)
{
    Handshake h = { .channel = channel, .error = error };
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(free_info);
    NbdMode mode;

    if (!begin(&h, credentials, tls_host)) {
        return NULL;
    }
    if (!h.fixed) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "The NBD server cannot list its exports");
        return NULL;
    }
    if (!negotiate_mode(&h, &mode) || !list_names(&h, list)) {
        return NULL;
    }
    for (guint i = 0; i < list->len; i++) {
        NbdExportInfo *info = list->pdata[i];
        GPtrArray *contexts = g_ptr_array_new();
        bool known, done = go(&h, NBD_OPT_INFO, info, &known);

        info->mode = mode;
        if (done && mode != NBD_MODE_SIMPLE) {
            done = query_contexts(&h, NBD_OPT_LIST_META_CONTEXT, info->name, NULL,
                                  found_any_context, contexts);
        }
        g_ptr_array_add(contexts, NULL);
        info->contexts = (char **)g_ptr_array_free(contexts, FALSE);
        if (!done) {
            return NULL;
        }
    }
    send_option(&h, NBD_OPT_ABORT, NULL, 0);
    return g_steal_pointer(&list);
}
