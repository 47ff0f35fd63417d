/* SPDX-License-Identifier: MIT */
/*
 * NBD client: the protocol driver "nbd". One coroutine reads the replies and wakes the requests,
 * which are matched by cookie. Structured replies and base:allocation are used when offered.
 */
#include "block/nbd.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { IN_FLIGHT_MAX = 16, PAYLOAD_MAX = NBD_MAX_BUFFER + 4096 };

typedef struct NbdRequest {
    uint64_t cookie, offset, length;
    uint16_t type;
    IoVector vector;
    Coroutine *coroutine;
    bool done;
    int result;
    uint32_t extent_length, extent_flags; /* of block status */
} NbdRequest;

typedef struct {
    NbdChannel *channel;
    char *host, *port, *path, *export, *tls_creds, *tls_hostname;
    uint64_t size;
    uint16_t flags;
    bool structured, has_allocation;
    uint32_t context_id;
    int failure; /* of the connection: nothing works any more */
    NbdRequest *in_flight[IN_FLIGHT_MAX];
    unsigned count;
    uint64_t next_cookie;
    CoroutineMutex write_lock;
    CoroutineQueue slots, reader_done;
    bool reader_running;
} Nbd;

/* Connecting. */

static int connect_worker(void *opaque)
{
    Nbd *nbd = opaque;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *at;
    int fd = -1, failure = ENOENT;

    if (nbd->path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (strlen(nbd->path) >= sizeof address.sun_path) {
            return -ENAMETOOLONG;
        }
        strcpy(address.sun_path, nbd->path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
            failure = errno;
            close(fd);
            return -failure;
        }
        return fd < 0 ? -errno : fd;
    }
    if (getaddrinfo(nbd->host, nbd->port, &hints, &list) != 0) {
        return -EHOSTUNREACH;
    }
    for (at = list; at; at = at->ai_next) {
        fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) == 0) {
            break;
        }
        failure = errno;
        if (fd >= 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd >= 0 ? fd : -failure;
}

static int send_option(Nbd *nbd, uint32_t option, const void *data, uint32_t size)
{
    uint8_t head[16];
    int result;

    store_be64(head, NBD_OPTION_MAGIC);
    store_be32(head + 8, option);
    store_be32(head + 12, size);
    result = nbd_write(nbd->channel, head, sizeof head);
    return result == 0 && size ? nbd_write(nbd->channel, data, size) : result;
}

/* The next reply; *data is freed by the caller. */
static int read_option_reply(Nbd *nbd, uint32_t option, uint32_t *type, uint8_t **data,
                             uint32_t *size)
{
    uint8_t head[20];
    int result = nbd_read(nbd->channel, head, sizeof head);

    *data = NULL;
    if (result < 0) {
        return result;
    }
    *type = load_be32(head + 12);
    *size = load_be32(head + 16);
    if (load_be64(head) != NBD_OPTION_REPLY_MAGIC || load_be32(head + 8) != option ||
        *size > 65536) {
        return -EPROTO;
    }
    *data = g_malloc0(*size + 1);
    result = nbd_read(nbd->channel, *data, *size);
    if (result < 0) {
        g_free(*data);
        *data = NULL;
    }
    return result;
}

static bool protocol_error(GError **error, int result, const char *what)
{
    return error_fail_errno(error, -result, "NBD negotiation failed (%s)", what);
}

/* A yes-or-no option. */
static int simple_option(Nbd *nbd, uint32_t option, bool *accepted)
{
    uint32_t type, size;
    uint8_t *data;
    int result = send_option(nbd, option, NULL, 0);

    if (result == 0) {
        result = read_option_reply(nbd, option, &type, &data, &size);
    }
    if (result == 0) {
        *accepted = type == NBD_REP_ACK;
        g_free(data);
    }
    return result;
}

static int request_context(Nbd *nbd)
{
    static const char name[] = "base:allocation";
    size_t length = strlen(nbd->export);
    uint32_t size = (uint32_t)(4 + length + 4 + 4 + sizeof name - 1), type, reply_size;
    g_autofree uint8_t *data = g_malloc(size);
    int result;

    store_be32(data, (uint32_t)length);
    memcpy(data + 4, nbd->export, length);
    store_be32(data + 4 + length, 1);
    store_be32(data + 8 + length, sizeof name - 1);
    memcpy(data + 12 + length, name, sizeof name - 1);
    result = send_option(nbd, NBD_OPT_SET_META_CONTEXT, data, size);
    while (result == 0) {
        uint8_t *reply;

        result = read_option_reply(nbd, NBD_OPT_SET_META_CONTEXT, &type, &reply, &reply_size);
        if (result < 0) {
            break;
        }
        if (type == NBD_REP_META_CONTEXT && reply_size >= 4) {
            nbd->has_allocation = true;
            nbd->context_id = load_be32(reply);
        }
        g_free(reply);
        if (type != NBD_REP_META_CONTEXT) {
            break;
        }
    }
    return result;
}

static bool go(Nbd *nbd, GError **error)
{
    size_t length = strlen(nbd->export);
    g_autofree uint8_t *data = g_malloc0(6 + length);
    uint32_t type = 0, size;
    int result;

    store_be32(data, (uint32_t)length);
    memcpy(data + 4, nbd->export, length);
    result = send_option(nbd, NBD_OPT_GO, data, (uint32_t)(6 + length));
    while (result == 0 && type != NBD_REP_ACK) {
        g_autofree uint8_t *reply = NULL;

        result = read_option_reply(nbd, NBD_OPT_GO, &type, &reply, &size);
        if (result < 0) {
            break;
        }
        if (type & 0x80000000u) {
            return error_fail(error, KASO_ERROR_IO, "The NBD server refuses export '%s': %s",
                              nbd->export,
                              type == NBD_REP_ERR_TLS_REQD ? "it requires TLS (tls-creds=)"
                              : size                        ? (char *)reply
                                                            : "no reason given");
        }
        if (type == NBD_REP_INFO && size >= 12 && load_be16(reply) == NBD_INFO_EXPORT) {
            nbd->size = load_be64(reply + 2);
            nbd->flags = load_be16(reply + 10);
        }
    }
    if (result == 0 && nbd->size > INT64_MAX) {
        result = -EFBIG;
    }
    return result == 0 || protocol_error(error, result, "export information");
}

static bool client_negotiate(BlockNode *node, Nbd *nbd, GError **error)
{
    uint8_t hello[18], flags[4];
    bool accepted = false;
    int result = nbd_read(nbd->channel, hello, sizeof hello);

    if (result < 0 || load_be64(hello) != NBD_MAGIC || load_be64(hello + 8) != NBD_OPTION_MAGIC ||
        !(load_be16(hello + 16) & NBD_FLAG_FIXED_NEWSTYLE)) {
        return protocol_error(error, result < 0 ? result : -EPROTO, "greeting");
    }
    store_be32(flags, load_be16(hello + 16) & (NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES));
    result = nbd_write(nbd->channel, flags, sizeof flags);
    if (result == 0 && nbd->tls_creds) {
        result = simple_option(nbd, NBD_OPT_STARTTLS, &accepted);
        if (result == 0 && !accepted) {
            return error_fail(error, KASO_ERROR_IO, "The NBD server does not offer TLS");
        }
        if (result == 0 && !nbd_start_tls(nbd->channel, node->graph, nbd->tls_creds, false,
                                          nbd->tls_hostname ? nbd->tls_hostname : nbd->host, error)) {
            return false;
        }
    }
    if (result == 0) {
        result = simple_option(nbd, NBD_OPT_STRUCTURED_REPLY, &nbd->structured);
    }
    if (result == 0 && nbd->structured) {
        result = request_context(nbd);
    }
    return result < 0 ? protocol_error(error, result, "options") : go(nbd, error);
}

/* Replies. */

static NbdRequest *find_request(Nbd *nbd, uint64_t cookie)
{
    for (unsigned i = 0; i < IN_FLIGHT_MAX; i++) {
        if (nbd->in_flight[i] && nbd->in_flight[i]->cookie == cookie) {
            return nbd->in_flight[i];
        }
    }
    return NULL;
}

static int read_into(Nbd *nbd, IoVector vector, uint64_t bytes)
{
    int result = 0;

    while (bytes && result == 0) {
        struct iovec piece;
        uint64_t n;

        vector = io_vector_skip(vector, 0);
        n = MIN(bytes, vector.iov->iov_len - vector.skip);
        io_vector_trim(vector, n, &piece, 1);
        result = nbd_read(nbd->channel, piece.iov_base, n);
        vector = io_vector_skip(vector, n);
        bytes -= n;
    }
    return result;
}

static bool chunk_fits(const NbdRequest *r, uint64_t offset, uint64_t bytes)
{
    return r->type == NBD_CMD_READ && offset >= r->offset && bytes <= r->length &&
           offset - r->offset <= r->length - bytes;
}

static int read_small_chunk(Nbd *nbd, NbdRequest *r, uint16_t type, uint32_t length)
{
    uint8_t data[16];
    uint32_t n = MIN(length, sizeof data);
    int result = nbd_read(nbd->channel, data, n);

    if (result == 0) {
        result = nbd_skip(nbd->channel, length - n);
    }
    if (result < 0) {
        return result;
    }
    if (type == NBD_CHUNK_OFFSET_HOLE && length == 12) {
        uint64_t offset = load_be64(data), bytes = load_be32(data + 8);

        if (!chunk_fits(r, offset, bytes)) {
            return -EPROTO;
        }
        io_vector_zero(io_vector_skip(r->vector, offset - r->offset), bytes);
    } else if (type == NBD_CHUNK_BLOCK_STATUS && length >= 12) {
        if (load_be32(data) == nbd->context_id) {
            r->extent_length = load_be32(data + 4);
            r->extent_flags = load_be32(data + 8);
        }
    } else if (type & 0x8000) {
        r->result = length >= 4 ? nbd_errno_of(load_be32(data)) : -EIO;
    } else if (type != NBD_CHUNK_NONE) {
        return -EPROTO;
    }
    return 0;
}

static int read_chunk(Nbd *nbd, NbdRequest **finished)
{
    uint8_t head[16], offset[8];
    uint16_t flags, type;
    uint32_t length;
    NbdRequest *r;
    int result = nbd_read(nbd->channel, head, sizeof head);

    if (result < 0) {
        return result;
    }
    flags = load_be16(head);
    type = load_be16(head + 2);
    r = find_request(nbd, load_be64(head + 4));
    length = load_be32(head + 12);
    if (!r || length > PAYLOAD_MAX) {
        return -EPROTO;
    }
    if (type == NBD_CHUNK_OFFSET_DATA) {
        result = length >= 8 ? nbd_read(nbd->channel, offset, sizeof offset) : -EPROTO;
        if (result == 0 && !chunk_fits(r, load_be64(offset), length - 8)) {
            result = -EPROTO;
        }
        if (result == 0) {
            result = read_into(nbd, io_vector_skip(r->vector, load_be64(offset) - r->offset),
                               length - 8);
        }
    } else {
        result = read_small_chunk(nbd, r, type, length);
    }
    *finished = flags & NBD_CHUNK_DONE ? r : NULL;
    return result;
}

static int read_simple(Nbd *nbd, NbdRequest **finished)
{
    uint8_t rest[12];
    NbdRequest *r;
    int result = nbd_read(nbd->channel, rest, sizeof rest);

    if (result < 0) {
        return result;
    }
    r = find_request(nbd, load_be64(rest + 4));
    if (!r) {
        return -EPROTO;
    }
    if (load_be32(rest)) {
        r->result = nbd_errno_of(load_be32(rest));
    } else if (r->type == NBD_CMD_READ) {
        result = read_into(nbd, r->vector, r->length);
    }
    *finished = r;
    return result;
}

static void finish(NbdRequest *r)
{
    r->done = true;
    coroutine_wake(r->coroutine);
}

static void reader_entry(void *opaque)
{
    Nbd *nbd = opaque;
    int result = 0;

    while (result == 0) {
        NbdRequest *finished = NULL;
        uint8_t magic[4];

        result = nbd_read(nbd->channel, magic, sizeof magic);
        if (result == 0) {
            result = load_be32(magic) == NBD_SIMPLE_REPLY_MAGIC ? read_simple(nbd, &finished)
                     : load_be32(magic) == NBD_STRUCTURED_REPLY_MAGIC && nbd->structured
                         ? read_chunk(nbd, &finished)
                         : -EPROTO;
        }
        if (result == 0 && finished && !finished->done) {
            for (unsigned i = 0; i < IN_FLIGHT_MAX; i++) {
                if (nbd->in_flight[i] == finished) {
                    nbd->in_flight[i] = NULL;
                }
            }
            finish(finished);
        }
    }
    nbd->failure = result;
    for (unsigned i = 0; i < IN_FLIGHT_MAX; i++) {
        if (nbd->in_flight[i]) {
            nbd->in_flight[i]->result = -EIO;
            finish(nbd->in_flight[i]);
            nbd->in_flight[i] = NULL;
        }
    }
    nbd->reader_running = false;
    coroutine_queue_wake_all(&nbd->reader_done);
}

/* Requests. */

static int send_request(Nbd *nbd, const NbdRequest *r, uint16_t flags)
{
    uint8_t head[28];
    IoVector vector = r->vector;
    uint64_t bytes = r->type == NBD_CMD_WRITE ? r->length : 0;
    int result;

    store_be32(head, NBD_REQUEST_MAGIC);
    store_be16(head + 4, flags);
    store_be16(head + 6, r->type);
    store_be64(head + 8, r->cookie);
    store_be64(head + 16, r->offset);
    store_be32(head + 24, (uint32_t)r->length);
    result = nbd_write(nbd->channel, head, sizeof head);
    while (bytes && result == 0) {
        struct iovec piece;
        uint64_t n;

        vector = io_vector_skip(vector, 0);
        n = MIN(bytes, vector.iov->iov_len - vector.skip);
        io_vector_trim(vector, n, &piece, 1);
        result = nbd_write(nbd->channel, piece.iov_base, n);
        vector = io_vector_skip(vector, n);
        bytes -= n;
    }
    return result;
}

static int nbd_request(Nbd *nbd, NbdRequest *r, uint16_t flags)
{
    unsigned slot = 0;
    int result;

    while (nbd->count >= IN_FLIGHT_MAX) {
        coroutine_queue_wait(&nbd->slots);
    }
    if (nbd->failure) {
        return -EIO;
    }
    nbd->count++;
    r->coroutine = coroutine_self();
    r->cookie = nbd->next_cookie++;
    while (nbd->in_flight[slot]) {
        slot++;
    }
    nbd->in_flight[slot] = r;
    coroutine_mutex_lock(&nbd->write_lock);
    result = r->done ? 0 : send_request(nbd, r, flags);
    coroutine_mutex_unlock(&nbd->write_lock);
    if (result < 0) {
        nbd_channel_shutdown(nbd->channel); /* the reader fails all requests, this one too */
    }
    if (!r->done) {
        coroutine_yield();
    }
    nbd->count--;
    coroutine_queue_wake_one(&nbd->slots);
    return r->result;
}

static int nbd_node_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    NbdRequest r = { .type = NBD_CMD_READ, .offset = offset, .length = bytes, .vector = vector };

    return nbd_request(node->state, &r, 0);
}

static int nbd_node_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                          unsigned flags)
{
    Nbd *nbd = node->state;
    NbdRequest r = { .type = NBD_CMD_WRITE, .offset = offset, .length = bytes, .vector = vector };

    if (offset + bytes > nbd->size) {
        return -ENOSPC;
    }
    return nbd_request(nbd, &r, flags & BLOCK_FUA ? NBD_CMD_FLAG_FUA : 0);
}

static int nbd_node_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    Nbd *nbd = node->state;
    int result = 0;

    if (!(nbd->flags & NBD_SEND_WRITE_ZEROES)) {
        return -ENOTSUP;
    }
    if (offset + bytes > nbd->size) {
        return -ENOSPC;
    }
    while (bytes && result == 0) {
        NbdRequest r = { .type = NBD_CMD_WRITE_ZEROES, .offset = offset,
                         .length = MIN(bytes, GIB(1)) };

        result = nbd_request(nbd, &r, flags & BLOCK_MAY_UNMAP ? 0 : NBD_CMD_FLAG_NO_HOLE);
        offset += r.length;
        bytes -= r.length;
    }
    return result;
}

static int nbd_node_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    Nbd *nbd = node->state;
    int result = 0;

    while (bytes && result == 0 && (nbd->flags & NBD_SEND_TRIM)) {
        NbdRequest r = { .type = NBD_CMD_TRIM, .offset = offset, .length = MIN(bytes, GIB(1)) };

        result = nbd_request(nbd, &r, 0);
        offset += r.length;
        bytes -= r.length;
    }
    return result;
}

static int nbd_node_flush(BlockNode *node)
{
    Nbd *nbd = node->state;
    NbdRequest r = { .type = NBD_CMD_FLUSH };

    return nbd->flags & NBD_SEND_FLUSH ? nbd_request(nbd, &r, 0) : 0;
}

static int nbd_node_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                           uint64_t *map, BlockNode **file)
{
    Nbd *nbd = node->state;
    NbdRequest r = { .type = NBD_CMD_BLOCK_STATUS, .offset = offset, .length = MIN(bytes, GIB(1)) };
    int result;

    *count = bytes;
    *map = offset;
    *file = node;
    if (!nbd->has_allocation) {
        return BLOCK_STATUS_DATA | BLOCK_STATUS_OFFSET_VALID | BLOCK_STATUS_ALLOCATED;
    }
    result = nbd_request(nbd, &r, NBD_CMD_FLAG_REQ_ONE);
    if (result < 0 || !r.extent_length) {
        return result < 0 ? result : -EPROTO;
    }
    *count = MIN(bytes, r.extent_length);
    return BLOCK_STATUS_OFFSET_VALID | BLOCK_STATUS_ALLOCATED |
           (r.extent_flags & NBD_STATE_HOLE ? 0 : BLOCK_STATUS_DATA) |
           (r.extent_flags & NBD_STATE_ZERO ? BLOCK_STATUS_ZERO : 0);
}

static int64_t nbd_node_length(BlockNode *node)
{
    return (int64_t)((Nbd *)node->state)->size;
}

/* Opening. */

static char *first_of(GHashTable *options, const char *a, const char *b)
{
    char *value = options_take(options, a), *other = options_take(options, b);

    if (value) {
        g_free(other);
    }
    return value ? value : other;
}

static bool nbd_take_options(Nbd *nbd, GHashTable *options, GError **error)
{
    g_autofree char *type = options_take(options, "server.type");
    uint64_t ignored;

    nbd->host = first_of(options, "server.host", "host");
    nbd->port = first_of(options, "server.port", "port");
    nbd->path = first_of(options, "server.path", "path");
    nbd->export = options_take(options, "export");
    nbd->tls_creds = options_take(options, "tls-creds");
    nbd->tls_hostname = options_take(options, "tls-hostname");
    nbd->export = nbd->export ? nbd->export : g_strdup("");
    nbd->port = nbd->port ? nbd->port : g_strdup_printf("%d", NBD_PORT);
    g_free(options_take(options, "filename"));
    if (!options_take_number(options, "reconnect-delay", &ignored, error) ||
        !options_take_number(options, "open-timeout", &ignored, error)) {
        return false;
    }
    if (!nbd->host == !nbd->path) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "one of server.path (type unix) and server.host (type inet) must be "
                          "specified");
    }
    if (strlen(nbd->export) > NBD_MAX_STRING) {
        return error_fail(error, KASO_ERROR_INVALID, "The export name is too long");
    }
    return true;
}

static void nbd_node_close(BlockNode *node)
{
    Nbd *nbd = node->state;
    NbdRequest r = { .type = NBD_CMD_DISC };

    if (nbd->channel) {
        if (nbd->reader_running) {
            coroutine_mutex_lock(&nbd->write_lock);
            send_request(nbd, &r, 0);
            coroutine_mutex_unlock(&nbd->write_lock);
            nbd_channel_shutdown(nbd->channel);
            while (nbd->reader_running) {
                coroutine_queue_wait(&nbd->reader_done);
            }
        }
        nbd_channel_free(nbd->channel);
    }
    g_free(nbd->host);
    g_free(nbd->port);
    g_free(nbd->path);
    g_free(nbd->export);
    g_free(nbd->tls_creds);
    g_free(nbd->tls_hostname);
}

static bool nbd_node_open(BlockNode *node, GHashTable *options, GError **error)
{
    Nbd *nbd = node->state;
    int fd;

    coroutine_mutex_init(&nbd->write_lock);
    coroutine_queue_init(&nbd->slots);
    coroutine_queue_init(&nbd->reader_done);
    if (!nbd_take_options(nbd, options, error)) {
        nbd_node_close(node);
        return false;
    }
    fd = worker_call(connect_worker, nbd);
    if (fd < 0) {
        error_fail_errno(error, -fd, "Failed to connect to '%s'",
                         nbd->path ? nbd->path : nbd->host);
        nbd_node_close(node);
        return false;
    }
    nbd->channel = nbd_channel_new(fd);
    if (!client_negotiate(node, nbd, error)) {
        nbd_node_close(node);
        return false;
    }
    if ((nbd->flags & NBD_READ_ONLY) && !node->read_only) {
        if (!node->flags.auto_read_only) {
            nbd_node_close(node);
            return error_fail(error, KASO_ERROR_GENERIC,
                              "request to write denied: the NBD export is read-only");
        }
        node->read_only = true;
    }
    node->max_transfer = NBD_MAX_BUFFER;
    node->supports_fua = (nbd->flags & NBD_SEND_FUA) != 0;
    nbd->reader_running = true;
    async_start(coroutine_context(), reader_entry, nbd);
    return true;
}

/* File names. */

/* "nbd:host:port:exportname=x" and "nbd:unix:path:exportname=x" */
static bool parse_old_name(const char *name, GHashTable *options, GError **error)
{
    g_autofree char *text = g_strdup(name);
    char *export = strstr(text, ":exportname="), *colon;

    if (export) {
        *export = '\0';
        options_set(options, "export", export + strlen(":exportname="));
    }
    if (g_str_has_prefix(text, "unix:")) {
        options_set(options, "path", text + strlen("unix:"));
        return true;
    }
    colon = strrchr(text, ':');
    if (!colon || colon == text) {
        return error_fail(error, KASO_ERROR_INVALID, "No valid host and port in 'nbd:%s'", name);
    }
    *colon = '\0';
    options_set(options, "host", text);
    options_set(options, "port", colon + 1);
    return true;
}

/* "nbd://host[:port]/export" and "nbd+unix:///export?socket=path" */
static bool nbd_parse_filename(const char *filename, GHashTable *options, GError **error)
{
    g_autoptr(GUri) uri = NULL;
    g_autoptr(GHashTable) query = NULL;

    if (g_str_has_prefix(filename, "nbd:") && !g_str_has_prefix(filename, "nbd://")) {
        return parse_old_name(filename + strlen("nbd:"), options, error);
    }
    uri = g_uri_parse(filename, G_URI_FLAGS_NONE, error);
    if (!uri) {
        return false;
    }
    if (g_uri_get_query(uri)) {
        query = g_uri_parse_params(g_uri_get_query(uri), -1, "&", G_URI_PARAMS_NONE, error);
        if (!query) {
            return false;
        }
    }
    if (query && g_hash_table_lookup(query, "socket")) {
        options_set(options, "path", g_hash_table_lookup(query, "socket"));
    } else if (g_uri_get_host(uri) && g_uri_get_host(uri)[0]) {
        g_autofree char *port = g_strdup_printf("%d", g_uri_get_port(uri) > 0 ? g_uri_get_port(uri)
                                                                              : NBD_PORT);

        options_set(options, "host", g_uri_get_host(uri));
        options_set(options, "port", port);
    }
    if (g_uri_get_path(uri)[0] == '/' && g_uri_get_path(uri)[1]) {
        options_set(options, "export", g_uri_get_path(uri) + 1);
    }
    return true;
}

static const BlockOption nbd_options[] = {
    { "export", "name of the export" },
    { "host", "host of the server" },
    { "open-timeout", "accepted; connecting is tried once" },
    { "path", "unix socket of the server" },
    { "port", "port of the server (10809)" },
    { "reconnect-delay", "accepted; a lost connection is not made again" },
    { "server.host", "host of the server" },
    { "server.path", "unix socket of the server" },
    { "server.port", "port of the server" },
    { "server.type", "inet or unix" },
    { "tls-creds", "id of the TLS credentials" },
    { "tls-hostname", "name in the server's certificate" },
    { 0 },
};

static const char *const nbd_prefixes[] = { "nbd:", "nbd+unix:", "nbd+tcp:", NULL };

static const BlockDriver nbd_driver = {
    .name = "nbd",
    .summary = "Network block device client",
    .options = nbd_options,
    .instance_size = sizeof(Nbd),
    .is_protocol = true,
    .prefixes = nbd_prefixes,
    .parse_filename = nbd_parse_filename,
    .open = nbd_node_open,
    .close = nbd_node_close,
    .read = nbd_node_read,
    .write = nbd_node_write,
    .write_zeroes = nbd_node_write_zeroes,
    .discard = nbd_node_discard,
    .flush = nbd_node_flush,
    .status = nbd_node_status,
    .length = nbd_node_length,
};
BLOCK_DRIVER(nbd_driver);
