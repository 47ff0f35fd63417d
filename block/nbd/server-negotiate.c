/* SPDX-License-Identifier: MIT */
/* NBD server: the fixed newstyle handshake and its options. */
#include "block/nbd/server-internal.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

enum {
    OPTION_SIZE_MAX = 32 * 1024,
    OPTIONS_MAX = 1000, /* a client that haggles longer is sent away */
    INFO_REQUESTS_MAX = 1000,
};

/* What an option handler says about the rest of the handshake. */
typedef enum { OPTION_NEXT, OPTION_TRANSMIT, OPTION_END } OptionOutcome;

typedef struct {
    NbdConnection *connection;
    uint32_t option, size;
    uint8_t *data;
} Option;

/* The name of a context of this export, or NULL when it has none of that number. */
static char *context_name(const NbdExport *export, unsigned context)
{
    if (context == NBD_CONTEXT_ALLOCATION) {
        return g_strdup("base:allocation");
    }
    if (context == NBD_CONTEXT_DEPTH) {
        return export->allocation_depth ? g_strdup("qemu:allocation-depth") : NULL;
    }
    if (context - NBD_CONTEXT_BITMAPS < export->bitmaps->len) {
        DirtyBitmap *bitmap = export->bitmaps->pdata[context - NBD_CONTEXT_BITMAPS];

        return g_strconcat("qemu:dirty-bitmap:", bitmap->name, NULL);
    }
    return NULL;
}

uint16_t nbd_server_export_flags(const NbdConnection *connection, const NbdExport *export)
{
    uint16_t flags =
        NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_CACHE;

    flags |= export->writable
                 ? NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO
                 : NBD_FLAG_READ_ONLY;
    flags |= export->multi_conn ? NBD_FLAG_CAN_MULTI_CONN : 0;
    flags |= connection->mode != NBD_MODE_SIMPLE ? NBD_FLAG_SEND_DF : 0;
    return flags;
}

static bool send_reply(const Option *o, uint32_t type, const void *data, uint32_t size)
{
    g_autofree uint8_t *buffer = g_malloc(20 + size);

    store_be64(buffer, NBD_REPLY_OPTION_MAGIC);
    store_be32(buffer + 8, o->option);
    store_be32(buffer + 12, type);
    store_be32(buffer + 16, size);
    if (size) {
        memcpy(buffer + 20, data, size);
    }
    return nbd_channel_write(o->connection->channel, buffer, 20 + size) == 0;
}

static OptionOutcome reply(const Option *o, uint32_t type)
{
    return send_reply(o, type, NULL, 0) ? OPTION_NEXT : OPTION_END;
}

static OptionOutcome refuse(const Option *o, uint32_t type, const char *text)
{
    return send_reply(o, type, text, (uint32_t)strlen(text)) ? OPTION_NEXT : OPTION_END;
}

/* A string with its length before it at *at; NULL when it does not fit. The caller frees. */
static char *take_string(const Option *o, uint32_t *at)
{
    uint32_t size;
    char *text;

    if (o->size - *at < 4) {
        return NULL;
    }
    size = load_be32(o->data + *at);
    if (size > NBD_NAME_MAX || size > o->size - *at - 4) {
        return NULL;
    }
    text = g_strndup((char *)o->data + *at + 4, size);
    *at += 4 + size;
    return text;
}

static OptionOutcome list_exports(const Option *o)
{
    GPtrArray *exports = o->connection->server->exports;

    if (o->size) {
        return refuse(o, NBD_REP_ERR_INVALID, "LIST takes no data");
    }
    for (guint i = 0; i < exports->len; i++) {
        NbdExport *export = exports->pdata[i];
        size_t name = strlen(export->name);
        size_t description = export->description ? strlen(export->description) : 0;
        g_autofree uint8_t *data = g_malloc(4 + name + description);

        store_be32(data, (uint32_t)name);
        memcpy(data + 4, export->name, name);
        if (description) {
            memcpy(data + 4 + name, export->description, description);
        }
        if (!send_reply(o, NBD_REP_SERVER, data, (uint32_t)(4 + name + description))) {
            return OPTION_END;
        }
    }
    return reply(o, NBD_REP_ACK);
}

static OptionOutcome start_tls(const Option *o)
{
    NbdConnection *connection = o->connection;
    TlsCredentials *credentials = connection->server->credentials;

    if (o->size) {
        return refuse(o, NBD_REP_ERR_INVALID, "STARTTLS takes no data");
    }
    if (!credentials) {
        return refuse(o, NBD_REP_ERR_POLICY, "TLS is not configured");
    }
    if (connection->tls) {
        return refuse(o, NBD_REP_ERR_INVALID, "TLS is on already");
    }
    if (reply(o, NBD_REP_ACK) != OPTION_NEXT ||
        !nbd_channel_start_tls(connection->channel, credentials, NULL, NULL)) {
        return OPTION_END;
    }
    /* What was agreed in the clear does not count. */
    connection->tls = true;
    connection->mode = NBD_MODE_SIMPLE;
    connection->contexts = 0;
    g_clear_pointer(&connection->context_export, g_free);
    return OPTION_NEXT;
}

static bool send_info_export(const Option *o, const NbdExport *export)
{
    uint8_t info[12];

    store_be16(info, NBD_INFO_EXPORT);
    store_be64(info + 2, node_size(export->user->node));
    store_be16(info + 10, nbd_server_export_flags(o->connection, export));
    return send_reply(o, NBD_REP_INFO, info, sizeof info);
}

static bool send_info_block_size(const Option *o, const NbdExport *export)
{
    uint8_t info[14];

    store_be16(info, NBD_INFO_BLOCK_SIZE);
    store_be32(info + 2, 1);
    store_be32(info + 6, MAX(export->user->node->request_alignment, 4096));
    store_be32(info + 10, NBD_PAYLOAD_MAX);
    return send_reply(o, NBD_REP_INFO, info, sizeof info);
}

static bool send_info_text(const Option *o, uint16_t type, const char *text)
{
    size_t size = strlen(text);
    g_autofree uint8_t *info = g_malloc(2 + size);

    store_be16(info, type);
    memcpy(info + 2, text, size);
    return send_reply(o, NBD_REP_INFO, info, (uint32_t)(2 + size));
}

static bool send_info(const Option *o, const NbdExport *export, uint16_t type)
{
    switch (type) {
    case NBD_INFO_NAME:
        return send_info_text(o, type, export->name);
    case NBD_INFO_DESCRIPTION:
        return !export->description || send_info_text(o, type, export->description);
    case NBD_INFO_BLOCK_SIZE:
        return send_info_block_size(o, export);
    default:
        return true;
    }
}

static void forget_other_contexts(NbdConnection *connection, const char *name)
{
    if (g_strcmp0(connection->context_export, name)) {
        connection->contexts = 0;
    }
}

static OptionOutcome info_or_go(const Option *o)
{
    uint32_t at = 0, count;
    g_autofree char *name = take_string(o, &at);
    NbdExport *export;

    if (!name || o->size - at < 2) {
        return refuse(o, NBD_REP_ERR_INVALID, "malformed INFO or GO");
    }
    count = load_be16(o->data + at);
    if (o->size - at != 2 + 2 * count || count > INFO_REQUESTS_MAX) {
        return refuse(o, NBD_REP_ERR_INVALID, "wrong number of information requests");
    }
    export = nbd_server_find_export(o->connection->server, name);
    if (!export) {
        g_autofree char *text = g_strdup_printf("export '%s' not present", name);

        return refuse(o, NBD_REP_ERR_UNKNOWN, text);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!send_info(o, export, load_be16(o->data + at + 2 + 2 * i))) {
            return OPTION_END;
        }
    }
    if (!send_info_export(o, export) || reply(o, NBD_REP_ACK) != OPTION_NEXT) {
        return OPTION_END;
    }
    if (o->option == NBD_OPT_INFO) {
        return OPTION_NEXT;
    }
    forget_other_contexts(o->connection, name);
    o->connection->export = export;
    return OPTION_TRANSMIT;
}

static OptionOutcome export_name(const Option *o)
{
    NbdConnection *connection = o->connection;
    g_autofree char *name = g_strndup((char *)o->data, o->size);
    NbdExport *export = nbd_server_find_export(connection->server, name);
    uint8_t answer[10 + 124] = { 0 };

    if (!export) {
        return OPTION_END; /* this option has no way to say no */
    }
    forget_other_contexts(connection, name);
    store_be64(answer, node_size(export->user->node));
    store_be16(answer + 8, nbd_server_export_flags(connection, export));
    connection->export = export;
    return nbd_channel_write(connection->channel, answer,
                             connection->no_zeroes ? 10 : sizeof answer) == 0
               ? OPTION_TRANSMIT
               : OPTION_END;
}

/* "base:", "qemu:" and "qemu:dirty-bitmap:" ask for all that begins so. */
static bool query_covers(const char *query, const char *name)
{
    size_t size = strlen(query);

    return size && query[size - 1] == ':' && g_str_has_prefix(name, query);
}

/* Which contexts a query names: one of them, or all of a namespace when listing. */
static unsigned match_query(const NbdExport *export, const char *query, bool list)
{
    unsigned matches = 0;

    for (unsigned i = 0; i < NBD_CONTEXTS_MAX; i++) {
        g_autofree char *name = context_name(export, i);

        if (name && (!strcmp(query, name) || (list && query_covers(query, name)))) {
            matches |= 1u << i;
        }
    }
    return matches;
}

static bool send_contexts(const Option *o, const NbdExport *export, unsigned contexts)
{
    for (unsigned i = 0; i < NBD_CONTEXTS_MAX; i++) {
        g_autofree char *name = contexts & 1u << i ? context_name(export, i) : NULL;
        g_autofree uint8_t *data = name ? g_malloc(4 + strlen(name)) : NULL;

        if (!name) {
            continue;
        }
        store_be32(data, o->option == NBD_OPT_LIST_META_CONTEXT ? 0 : i);
        memcpy(data + 4, name, strlen(name));
        if (!send_reply(o, NBD_REP_META_CONTEXT, data, (uint32_t)(4 + strlen(name)))) {
            return false;
        }
    }
    return true;
}

static OptionOutcome meta_context(const Option *o)
{
    NbdConnection *connection = o->connection;
    bool list = o->option == NBD_OPT_LIST_META_CONTEXT;
    uint32_t at = 0, count;
    g_autofree char *name = take_string(o, &at);
    unsigned contexts = 0;
    NbdExport *export;

    if (!list) {
        connection->contexts = 0;
    }
    if (!name || o->size - at < 4) {
        return refuse(o, NBD_REP_ERR_INVALID, "malformed metadata context query");
    }
    if (connection->mode == NBD_MODE_SIMPLE) {
        return refuse(o, NBD_REP_ERR_INVALID, "structured replies must be negotiated first");
    }
    export = nbd_server_find_export(connection->server, name);
    if (!export) {
        return refuse(o, NBD_REP_ERR_UNKNOWN, "no such export");
    }
    count = load_be32(o->data + at);
    at += 4;
    for (uint32_t i = 0; i < count; i++) {
        g_autofree char *query = take_string(o, &at);

        if (!query) {
            return refuse(o, NBD_REP_ERR_INVALID, "malformed metadata context query");
        }
        contexts |= match_query(export, query, list);
    }
    if (list && !count) {
        contexts = match_query(export, "base:", true) | match_query(export, "qemu:", true);
    }
    if (!list) {
        connection->contexts = contexts;
        g_free(connection->context_export);
        connection->context_export = g_strdup(name);
    }
    return send_contexts(o, export, contexts) ? reply(o, NBD_REP_ACK) : OPTION_END;
}

static OptionOutcome set_mode(const Option *o, NbdMode mode)
{
    if (o->size) {
        return refuse(o, NBD_REP_ERR_INVALID, "this option takes no data");
    }
    o->connection->mode = MAX(mode, o->connection->mode);
    return reply(o, NBD_REP_ACK);
}

static OptionOutcome handle_option(const Option *o)
{
    bool tls_missing = o->connection->server->credentials && !o->connection->tls;

    if (o->option == NBD_OPT_ABORT) {
        reply(o, NBD_REP_ACK);
        return OPTION_END;
    }
    if (tls_missing && o->option != NBD_OPT_STARTTLS) {
        return o->option == NBD_OPT_EXPORT_NAME
                   ? OPTION_END
                   : refuse(o, NBD_REP_ERR_TLS_REQD, "use STARTTLS first");
    }
    switch (o->option) {
    case NBD_OPT_EXPORT_NAME:
        return export_name(o);
    case NBD_OPT_LIST:
        return list_exports(o);
    case NBD_OPT_STARTTLS:
        return start_tls(o);
    case NBD_OPT_INFO:
    case NBD_OPT_GO:
        return info_or_go(o);
    case NBD_OPT_STRUCTURED_REPLY:
        return set_mode(o, NBD_MODE_STRUCTURED);
    case NBD_OPT_EXTENDED_HEADERS:
        return set_mode(o, NBD_MODE_EXTENDED);
    case NBD_OPT_LIST_META_CONTEXT:
    case NBD_OPT_SET_META_CONTEXT:
        return meta_context(o);
    default:
        return refuse(o, NBD_REP_ERR_UNSUP, "unknown option");
    }
}

/* Reads one option. *outcome is OPTION_END when the connection is of no more use. */
static OptionOutcome next_option(NbdConnection *connection)
{
    uint8_t head[16];
    g_autofree uint8_t *data = NULL;
    Option o = { .connection = connection };

    if (nbd_channel_read(connection->channel, head, sizeof head) < 0 ||
        load_be64(head) != NBD_OPTION_MAGIC) {
        return OPTION_END;
    }
    o.option = load_be32(head + 8);
    o.size = load_be32(head + 12);
    if (o.size > OPTION_SIZE_MAX) {
        if (o.option == NBD_OPT_EXPORT_NAME || o.size > NBD_PAYLOAD_MAX ||
            nbd_channel_skip(connection->channel, o.size) < 0) {
            return OPTION_END;
        }
        return refuse(&o, NBD_REP_ERR_TOO_BIG, "the option's data is too long");
    }
    o.data = data = g_malloc(o.size + 1);
    if (nbd_channel_read(connection->channel, data, o.size) < 0) {
        return OPTION_END;
    }
    return handle_option(&o);
}

bool nbd_server_negotiate(NbdConnection *connection)
{
    uint8_t greeting[18], flags[4];
    uint32_t client;

    store_be64(greeting, NBD_INIT_MAGIC);
    store_be64(greeting + 8, NBD_OPTION_MAGIC);
    store_be16(greeting + 16, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
    if (nbd_channel_write(connection->channel, greeting, sizeof greeting) < 0 ||
        nbd_channel_read(connection->channel, flags, sizeof flags) < 0) {
        return false;
    }
    client = load_be32(flags);
    if (client & ~(uint32_t)(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES)) {
        return false;
    }
    connection->no_zeroes = client & NBD_FLAG_NO_ZEROES;
    for (unsigned i = 0; i < OPTIONS_MAX; i++) {
        OptionOutcome outcome = next_option(connection);

        if (outcome != OPTION_NEXT) {
            return outcome == OPTION_TRANSMIT;
        }
    }
    return false;
}
