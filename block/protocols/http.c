/* SPDX-License-Identifier: MIT */
/*
 * Images on web servers, read by range requests (http, https, ftp, ftps) with libcurl. A request
 * reads ahead; each connection is used by one request at a time, on a worker thread. The library is loaded for the first
 * image: with it come some twenty others.
 */
#include "base/bits.h"
#include "base/error.h"
#include "base/library.h"
#include "block/graph/node.h"

#define CURL_DISABLE_TYPECHECK /* its macros have the functions' names */
#include <curl/curl.h>
#include <errno.h>
#include <string.h>

enum {
    CONNECTIONS = 4,
    READAHEAD_DEFAULT = 256 * 1024,
    READAHEAD_MAX = 64 * 1024 * 1024,
    TIMEOUT_DEFAULT_S = 5,
    ATTEMPTS = 3,
};

#define CURL_FUNCTIONS(F)                                                                          \
    F(curl_easy_cleanup)                                                                           \
    F(curl_easy_getinfo)                                                                           \
    F(curl_easy_init)                                                                              \
    F(curl_easy_perform)                                                                           \
    F(curl_easy_reset)                                                                             \
    F(curl_easy_setopt)                                                                            \
    F(curl_easy_strerror)                                                                          \
    F(curl_version_info)

static struct {
    CURL_FUNCTIONS(LIBRARY_MEMBER)
} curl_api;

/* Both builds of the library, by what they encrypt with, have the same interface. */
LIBRARY_FILLS(curl_api, CURL_FUNCTIONS, "libcurl-gnutls.so.4 libcurl.so.4", "libcurl3-gnutls");

/* A connection and what it read last. */
typedef struct {
    CURL *curl;
    bool busy;
    uint8_t *buffer;
    uint64_t offset, valid;
} HttpConnection;

typedef struct {
    char *url, *cookie, *username, *password, *proxy_username, *proxy_password;
    bool verify, takes_ranges;
    uint64_t readahead, timeout_s, size;
    HttpConnection connections[CONNECTIONS];
    CoroutineQueue waiting; /* for a connection */
} HttpNode;

typedef struct {
    HttpNode *http;
    HttpConnection *connection;
    const Coroutine *coroutine; /* that waits for it */
    uint64_t offset, bytes, received;
    char message[CURL_ERROR_SIZE];
    CURLcode code;
    long status;
    curl_off_t length;
} HttpCall;

static size_t take_data(char *data, size_t size, size_t count, void *opaque)
{
    HttpCall *call = opaque;
    uint64_t n = (uint64_t)size * count;

    /* A server that ignores the range sends everything: stop it. */
    if (n > call->bytes - call->received) {
        return 0;
    }
    memcpy(call->connection->buffer + call->received, data, n);
    call->received += n;
    return n;
}

static size_t take_header(char *data, size_t size, size_t count, void *opaque)
{
    static const char name[] = "accept-ranges:";
    HttpCall *call = opaque;
    size_t n = size * count;

    if (n > sizeof name && !g_ascii_strncasecmp(data, name, sizeof name - 1) &&
        g_strstr_len(data, (gssize)n, "bytes")) {
        call->http->takes_ranges = true;
    }
    return n;
}

/* Asked at least once a second: not 0 ends the transfer. */
static int look_for_hurry(void *opaque, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                          curl_off_t up)
{
    return coroutine_hurry(((const HttpCall *)opaque)->coroutine) >= HURRY_GIVE_UP;
}

static void set_common_options(HttpNode *http, CURL *curl, HttpCall *call)
{
    curl_api.curl_easy_setopt(curl, CURLOPT_URL, http->url);
    curl_api.curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_api.curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_api.curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 16L);
    curl_api.curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    /* A server must not lead us to files or other services. */
    curl_api.curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https,ftp,ftps");
    curl_api.curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https,ftp,ftps");
    curl_api.curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)http->timeout_s);
    curl_api.curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_api.curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)http->timeout_s);
    curl_api.curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, http->verify ? 1L : 0L);
    curl_api.curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, http->verify ? 2L : 0L);
    curl_api.curl_easy_setopt(curl, CURLOPT_COOKIE, http->cookie);
    curl_api.curl_easy_setopt(curl, CURLOPT_USERNAME, http->username);
    curl_api.curl_easy_setopt(curl, CURLOPT_PASSWORD, http->password);
    curl_api.curl_easy_setopt(curl, CURLOPT_PROXYUSERNAME, http->proxy_username);
    curl_api.curl_easy_setopt(curl, CURLOPT_PROXYPASSWORD, http->proxy_password);
    curl_api.curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, call->message);
    curl_api.curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_api.curl_easy_setopt(curl, CURLOPT_HEADERDATA, call);
    curl_api.curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_data);
    curl_api.curl_easy_setopt(curl, CURLOPT_WRITEDATA, call);
    curl_api.curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_api.curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_for_hurry);
    curl_api.curl_easy_setopt(curl, CURLOPT_XFERINFODATA, call);
}

/* What the server says about the file. */
static int look_worker(void *opaque)
{
    HttpCall *call = opaque;
    CURL *curl = call->connection->curl;

    set_common_options(call->http, curl, call);
    curl_api.curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    call->code = curl_api.curl_easy_perform(curl);
    curl_api.curl_easy_getinfo(curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &call->length);
    curl_api.curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &call->status);
    return call->code == CURLE_OK ? 0 : -EIO;
}

static int fetch_worker(void *opaque)
{
    HttpCall *call = opaque;
    CURL *curl = call->connection->curl;
    g_autofree char *range = g_strdup_printf("%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT,
                                             call->offset, call->offset + call->bytes - 1);

    for (unsigned i = 0; i < ATTEMPTS; i++) {
        set_common_options(call->http, curl, call);
        curl_api.curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
        curl_api.curl_easy_setopt(curl, CURLOPT_RANGE, range);
        call->received = 0;
        call->code = curl_api.curl_easy_perform(curl);
        curl_api.curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &call->status);
        if (call->code == CURLE_OK && call->received == call->bytes) {
            return 0;
        }
        if (call->code == CURLE_WRITE_ERROR || call->code == CURLE_ABORTED_BY_CALLBACK ||
            (call->status >= 400 && call->status < 500)) {
            break; /* asking again would not help */
        }
    }
    return call->status == 401 || call->status == 403 ? -EACCES
           : call->status == 404                      ? -ENOENT
           : call->code == CURLE_OPERATION_TIMEDOUT   ? -ETIMEDOUT
                                                      : -EIO;
}

/* A free connection, best one that has the range already; NULL in a hurry. */
static HttpConnection *take_connection(HttpNode *http, uint64_t offset)
{
    for (;;) {
        HttpConnection *free_one = NULL;

        for (unsigned i = 0; i < CONNECTIONS; i++) {
            HttpConnection *c = &http->connections[i];

            if (c->busy) {
                continue;
            }
            if (offset >= c->offset && offset - c->offset < c->valid) {
                free_one = c;
                break;
            }
            free_one = free_one ? free_one : c;
        }
        if (free_one) {
            free_one->busy = true;
            return free_one;
        }
        if (coroutine_hurry(coroutine_self()) >= HURRY_GIVE_UP) {
            return NULL;
        }
        coroutine_queue_wait(&http->waiting);
    }
}

/* Fills the connection's buffer from offset on. */
static int fetch(HttpNode *http, HttpConnection *c, uint64_t offset, uint64_t bytes)
{
    HttpCall call = {
        .http = http, .connection = c, .coroutine = coroutine_self(), .offset = offset
    };
    int result;

    call.bytes = MIN(http->size - offset, MAX(MIN(bytes, READAHEAD_MAX), http->readahead));
    c->valid = 0;
    g_free(c->buffer);
    c->buffer = g_try_malloc(call.bytes);
    if (!c->buffer) {
        return -ENOMEM;
    }
    if (!c->curl) {
        c->curl = curl_api.curl_easy_init();
    }
    result = c->curl ? worker_call(fetch_worker, &call) : -ENOMEM;
    if (result == 0) {
        c->offset = offset;
        c->valid = call.bytes;
    }
    return result;
}

static int http_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    HttpNode *http = node->state;
    int result = 0;

    while (bytes && result == 0) {
        HttpConnection *c = take_connection(http, offset);

        if (!c) {
            return -ECANCELED;
        }
        if (offset < c->offset || offset - c->offset >= c->valid) {
            result = fetch(http, c, offset, bytes);
        }
        if (result == 0) {
            uint64_t at = offset - c->offset, n = MIN(bytes, c->valid - at);

            io_vector_from_buffer(vector, c->buffer + at, n);
            vector = io_vector_skip(vector, n);
            offset += n;
            bytes -= n;
        }
        c->busy = false;
        coroutine_queue_wake_one(&http->waiting);
    }
    return result;
}

static void http_hurry(BlockNode *node)
{
    coroutine_queue_wake_all(&((HttpNode *)node->state)->waiting);
}

static int64_t http_length(BlockNode *node)
{
    return (int64_t)((HttpNode *)node->state)->size;
}

static int64_t http_allocated_size(BlockNode *node)
{
    return -ENOTSUP;
}

static void http_close(BlockNode *node)
{
    HttpNode *http = node->state;

    for (unsigned i = 0; i < CONNECTIONS; i++) {
        if (http->connections[i].curl) {
            curl_api.curl_easy_cleanup(http->connections[i].curl);
        }
        g_free(http->connections[i].buffer);
    }
    g_free(http->url);
    g_free(http->cookie);
    g_free(http->username);
    g_free(http->password);
    g_free(http->proxy_username);
    g_free(http->proxy_password);
}

/* An option whose value is in a secret. */
static bool take_secret(BlockNode *node, GHashTable *options, const char *key, char **value,
                        GError **error)
{
    g_autofree char *id = options_take(options, key);
    const char *secret = id ? block_secret(node->graph, id, error) : NULL;

    if (secret) {
        g_free(*value);
        *value = g_strdup(secret);
    }
    return !id || secret;
}

static bool take_options(BlockNode *node, HttpNode *http, GHashTable *options, GError **error)
{
    g_autofree char *filename = options_take(options, "filename");

    http->verify = true;
    http->readahead = READAHEAD_DEFAULT;
    http->timeout_s = TIMEOUT_DEFAULT_S;
    http->url = options_take(options, "url");
    http->cookie = options_take(options, "cookie");
    http->username = options_take(options, "username");
    http->proxy_username = options_take(options, "proxy-username");
    if (!http->url) {
        http->url = g_steal_pointer(&filename);
    }
    if (!take_secret(node, options, "cookie-secret", &http->cookie, error) ||
        !take_secret(node, options, "password-secret", &http->password, error) ||
        !take_secret(node, options, "proxy-password-secret", &http->proxy_password, error) ||
        !options_take_bool(options, "sslverify", &http->verify, error) ||
        !options_take_size(options, "readahead", &http->readahead, error) ||
        !options_take_number(options, "timeout", &http->timeout_s, error)) {
        return false;
    }
    if (!http->url || strncmp(http->url, node->driver->name, strlen(node->driver->name)) ||
        http->url[strlen(node->driver->name)] != ':') {
        return error_fail(error, KASO_ERROR_INVALID, "The %s driver needs a URL %s://…, not '%s'",
                          node->driver->name, node->driver->name, http->url ? http->url : "");
    }
    if (http->readahead % 512 || http->readahead < 512 || http->readahead > READAHEAD_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "HTTP_READAHEAD_SIZE %" G_GUINT64_FORMAT
                          " is not a multiple of 512 up to %d",
                          http->readahead, READAHEAD_MAX);
    }
    if (http->timeout_s > 10000) {
        return error_fail(error, KASO_ERROR_INVALID, "timeout parameter is too large or negative");
    }
    return true;
}

static bool load_library(GError **error)
{
    enum { VERSION_LEAST = 0x075500 /* 7.85.0: knows which protocols to stay with */ };

    if (!library_want(&curl_api_library, error)) {
        return false;
    }
    if (curl_api.curl_version_info(CURLVERSION_NOW)->version_num < VERSION_LEAST) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "libcurl %s is too old: images by URL need 7.85 or later",
                          curl_api.curl_version_info(CURLVERSION_NOW)->version);
    }
    return true;
}

static bool look(HttpNode *http, GError **error)
{
    HttpConnection *c = &http->connections[0];
    HttpCall call = { .http = http, .connection = c, .coroutine = coroutine_self() };

    if (!load_library(error)) {
        return false;
    }
    c->curl = curl_api.curl_easy_init();
    if (!c->curl) {
        return error_fail(error, KASO_ERROR_GENERIC, "libcurl could not be set up");
    }
    if (worker_call(look_worker, &call) < 0) {
        return error_fail(error, KASO_ERROR_IO, "CURL: Error opening '%s': %s", http->url,
                          call.message[0] ? call.message : curl_api.curl_easy_strerror(call.code));
    }
    curl_api.curl_easy_reset(c->curl); /* the next request is no HEAD */
    if (call.length < 0) {
        return error_fail(error, KASO_ERROR_IO, "The server of '%s' didn't report the file size",
                          http->url);
    }
    if (g_str_has_prefix(http->url, "http") && !http->takes_ranges) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "The server of '%s' does not support 'range' (byte ranges); download the "
                          "image first",
                          http->url);
    }
    http->size = (uint64_t)call.length;
    return true;
}

static bool http_open(BlockNode *node, GHashTable *options, GError **error)
{
    HttpNode *http = node->state;
    bool done = true;

    coroutine_queue_init(&http->waiting);
    if (!node->read_only && node->flags.auto_read_only) {
        node->read_only = node->flags.read_only = true;
    }
    if (!node->read_only) {
        done = error_fail(error, KASO_ERROR_INVALID,
                          "curl block device does not support writes; "
                          "use read-only=on");
    }
    done = done && take_options(node, http, options, error) && look(http, error);
    if (!done) {
        http_close(node);
    }
    return done;
}

static bool http_parse_filename(const char *filename, GHashTable *options, GError **error)
{
    options_set(options, "url", filename);
    return true;
}

static const BlockOption http_options[] = {
    { "url", "where the image is" },
    { "readahead", "bytes to read at once (256k)" },
    { "sslverify", "check the server's certificate (on)" },
    { "timeout", "seconds of silence that are too long (5)" },
    { "cookie", "cookies to send" },
    { "cookie-secret", "id of a secret with the cookies to send" },
    { "username", "for the server" },
    { "password-secret", "id of a secret with the password" },
    { "proxy-username", "for the proxy" },
    { "proxy-password-secret", "id of a secret with the proxy's password" },
    { 0 },
};

#define HTTP_DRIVER(scheme)                                                                        \
    static const char *const scheme##_prefixes[] = { #scheme "://", NULL };                        \
    static const BlockDriver scheme##_driver = {                                                   \
        .name = #scheme,                                                                           \
        .summary = "File on a server, by libcurl; read-only",                                      \
        .options = http_options,                                                                   \
        .prefixes = scheme##_prefixes,                                                             \
        .instance_size = sizeof(HttpNode),                                                         \
        .is_protocol = true,                                                                       \
        .parse_filename = http_parse_filename,                                                     \
        .open = http_open,                                                                         \
        .close = http_close,                                                                       \
        .read = http_read,                                                                         \
        .length = http_length,                                                                     \
        .allocated_size = http_allocated_size,                                                     \
        .hurry = http_hurry,                                                                       \
    };                                                                                             \
    BLOCK_DRIVER(scheme##_driver)

HTTP_DRIVER(http);
HTTP_DRIVER(https);
HTTP_DRIVER(ftp);
HTTP_DRIVER(ftps);
