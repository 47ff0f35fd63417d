/* SPDX-License-Identifier: MIT */
/* The NBD server of a running machine: QMP's nbd-server-* and block-export-*. */
#include "base/error.h"
#include "block/graph/open.h"
#include "block/nbd/server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 64, CLIENTS_DEFAULT = 100 };

typedef struct {
    char *id;
    NbdExport *export; /* NULL: it is being removed */
} Exported;

struct BlockExports {
    NbdServer *server;
    NbdAddress address;
    GPtrArray *list; /* Exported */
};

typedef struct {
    BlockGraph *graph;
    GHashTable *options;
    const char *id;
    bool hard, done;
    json_t *result;
    GError **error;
} ExportCall;

static bool run_call(ExportCall *call, CoroutineFunction *function)
{
    async_run_sync(block_graph_context(call->graph), function, call);
    return call->done;
}

static bool not_running(GError **error)
{
    return error_fail(error, KASO_ERROR_GENERIC, "NBD server not running");
}

/* Starting. */

/* SocketAddress of QMP, in its old form (with data) or the flat one. */
static bool take_address(GHashTable *options, NbdAddress *address, GError **error)
{
    g_autoptr(GHashTable) given = options_take_nested(options, "addr");
    g_autoptr(GHashTable) data = options_take_nested(given, "data");
    g_autofree char *type = options_take(given, "type");

    options_merge(data, given);
    address->host = options_take(data, "host");
    address->port = options_take(data, "port");
    address->path = options_take(data, "path");
    if (g_strcmp0(type, "unix") == 0 ? address->path != NULL
                                     : g_strcmp0(type, "inet") == 0 && address->port) {
        return true;
    }
    nbd_address_clear(address);
    return error_fail(error, KASO_ERROR_INVALID,
                      "addr: give type inet with host and port, or type unix with path");
}

static bool listen_at(BlockExports *exports, GError **error)
{
    g_autoptr(GArray) sockets = g_array_new(FALSE, FALSE, sizeof(int));

    if (!nbd_address_listen(&exports->address, BACKLOG, sockets, error)) {
        return false;
    }
    for (guint i = 0; i < sockets->len; i++) {
        nbd_server_add_socket(exports->server, g_array_index(sockets, int, i));
    }
    return true;
}

static void exports_free(BlockGraph *graph)
{
    BlockExports *exports = *block_graph_exports(graph);

    while (exports->list->len) {
        Exported *exported = exports->list->pdata[0];

        block_emit(graph, "BLOCK_EXPORT_DELETED", json_pack("{s:s}", "id", exported->id));
        g_free(exported->id);
        g_free(exported);
        g_ptr_array_remove_index(exports->list, 0);
    }
    *block_graph_exports(graph) = NULL;
    nbd_server_free(exports->server);
    if (exports->address.path) {
        unlink(exports->address.path);
    }
    nbd_address_clear(&exports->address);
    g_ptr_array_unref(exports->list);
    g_free(exports);
}

static void start_entry(void *opaque)
{
    ExportCall *call = opaque;
    g_autofree char *tls = options_take(call->options, "tls-creds");
    g_autofree char *authz = options_take(call->options, "tls-authz");
    TlsCredentials *credentials = NULL;
    uint64_t clients = CLIENTS_DEFAULT;
    NbdAddress address = { 0 };
    BlockExports *exports;

    if (*block_graph_exports(call->graph)) {
        error_fail(call->error, KASO_ERROR_GENERIC, "NBD server already running");
        return;
    }
    if (!options_take_number(call->options, "max-connections", &clients, call->error) ||
        !take_address(call->options, &address, call->error)) {
        return;
    }
    if (authz && !tls) {
        error_fail(call->error, KASO_ERROR_INVALID, "tls-authz takes tls-creds, too");
        nbd_address_clear(&address);
        return;
    }
    if (tls) {
        credentials = tls_credentials_load(call->graph, tls, true, call->error);
    }
    if (tls && (!credentials ||
                !tls_credentials_set_authz(credentials, call->graph, authz, call->error))) {
        tls_credentials_free(credentials);
        nbd_address_clear(&address);
        return;
    }
    exports = g_new0(BlockExports, 1);
    exports->address = address;
    exports->server = nbd_server_new(call->graph, credentials, (unsigned)MIN(clients, UINT32_MAX));
    exports->list = g_ptr_array_new();
    *block_graph_exports(call->graph) = exports;
    call->done = listen_at(exports, call->error);
    if (!call->done) {
        g_clear_pointer(&exports->address.path, g_free); /* it is somebody else's */
        exports_free(call->graph);
    }
}

bool block_nbd_start(BlockGraph *graph, GHashTable *arguments, GError **error)
{
    g_autoptr(GHashTable) options = options_copy(arguments);
    ExportCall call = { .graph = graph, .options = options, .error = error };

    return run_call(&call, start_entry);
}

static void stop_entry(void *opaque)
{
    ExportCall *call = opaque;

    call->done = *block_graph_exports(call->graph) != NULL;
    if (call->done) {
        exports_free(call->graph);
    } else {
        not_running(call->error);
    }
}

bool block_nbd_stop(BlockGraph *graph, GError **error)
{
    ExportCall call = { .graph = graph, .error = error };

    return run_call(&call, stop_entry);
}

/* Exports. */

static Exported *find_export(BlockExports *exports, const char *id)
{
    for (guint i = 0; exports && i < exports->list->len; i++) {
        Exported *exported = exports->list->pdata[i];

        if (!strcmp(exported->id, id)) {
            return exported;
        }
    }
    return NULL;
}

/* bitmaps.0=NAME, bitmaps.1.name=NAME … */
static bool add_bitmaps(NbdExport *export, GHashTable *options, GError **error)
{
    for (unsigned i = 0;; i++) {
        g_autofree char *key = g_strdup_printf("bitmaps.%u", i);
        g_autofree char *name_key = g_strdup_printf("bitmaps.%u.name", i);
        const char *name = options_get(options, key);

        name = name ? name : options_get(options, name_key);
        if (!name) {
            return true;
        }
        if (!nbd_export_add_bitmap(export, name, error)) {
            return false;
        }
    }
}

static bool add_export(BlockGraph *graph, const char *id, BlockNode *node, GHashTable *options,
                       GError **error)
{
    BlockExports *exports = *block_graph_exports(graph);
    const char *name = options_get(options, "name");
    bool writable = false, depth = false, write_through = false;
    NbdExport *export;
    Exported *exported;

    if (!exports) {
        return not_running(error);
    }
    if (find_export(exports, id)) {
        return error_fail(error, KASO_ERROR_GENERIC, "Block export id '%s' is already in use", id);
    }
    if (!options_take_bool(options, "writable", &writable, error) ||
        !options_take_bool(options, "writethrough", &write_through, error) ||
        !options_take_bool(options, "allocation-depth", &depth, error)) {
        return false;
    }
    if (writable && node->read_only) {
        return error_fail(error, KASO_ERROR_GENERIC, "Cannot export read-only node as writable");
    }
    if (writable && !node_activate(node, error)) {
        return false;
    }
    export = nbd_server_add_export(exports->server, name ? name : node->node_name,
                                   options_get(options, "description"), node, writable, error);
    if (!export) {
        return false;
    }
    export->allocation_depth = depth;
    export->write_through = write_through;
    if (!add_bitmaps(export, options, error)) {
        nbd_server_remove_export(exports->server, export);
        return false;
    }
    exported = g_new(Exported, 1);
    *exported = (Exported){ g_strdup(id), export };
    g_ptr_array_add(exports->list, exported);
    return true;
}

static void export_add_entry(void *opaque)
{
    ExportCall *call = opaque;
    const char *type = options_get(call->options, "type"), *id = options_get(call->options, "id");
    const char *name = options_get(call->options, "node-name");
    BlockNode *node;

    if (g_strcmp0(type, "nbd")) {
        error_fail(call->error, KASO_ERROR_UNSUPPORTED,
                   "not yet: exports of type '%s' are not built; nbd is", type ? type : "");
        return;
    }
    if (!id || !block_name_is_good(id)) {
        error_fail(call->error, KASO_ERROR_INVALID, "Invalid block export id");
        return;
    }
    node = name ? node_find(call->graph, name) : NULL;
    if (!node) {
        error_fail(call->error, KASO_ERROR_GENERIC, "Cannot find device='' nor node-name='%s'",
                   name ? name : "");
        return;
    }
    call->done = add_export(call->graph, id, node, call->options, call->error);
}

bool block_export_add(BlockGraph *graph, GHashTable *arguments, GError **error)
{
    g_autoptr(GHashTable) options = options_copy(arguments);
    ExportCall call = { .graph = graph, .options = options, .error = error };

    return run_call(&call, export_add_entry);
}

static void nbd_add_entry(void *opaque)
{
    ExportCall *call = opaque;
    const char *device = options_get(call->options, "device");
    const char *bitmap = options_get(call->options, "bitmap");
    BlockNode *node;

    if (!*block_graph_exports(call->graph)) {
        not_running(call->error);
        return;
    }
    node = block_find_node(call->graph, device ? device : "", call->error);
    if (!node) {
        return;
    }
    if (!options_get(call->options, "name")) {
        options_set(call->options, "name", device);
    }
    if (bitmap) {
        options_set(call->options, "bitmaps.0", bitmap);
    }
    call->done = add_export(call->graph, options_get(call->options, "name"), node, call->options,
                            call->error);
}

bool block_nbd_add(BlockGraph *graph, GHashTable *arguments, GError **error)
{
    g_autoptr(GHashTable) options = options_copy(arguments);
    ExportCall call = { .graph = graph, .options = options, .error = error };

    return run_call(&call, nbd_add_entry);
}

static void remove_entry(void *opaque)
{
    ExportCall *call = opaque;
    BlockExports *exports = *block_graph_exports(call->graph);
    Exported *exported = find_export(exports, call->id);
    NbdExport *export = exported ? exported->export : NULL;

    if (!export) {
        error_fail(call->error, KASO_ERROR_GENERIC, "Export '%s' is not found", call->id);
        return;
    }
    if (export->users && !call->hard) {
        error_fail(call->error, KASO_ERROR_GENERIC,
                   "export '%s' still in use\nUse mode='hard' to force client disconnect",
                   call->id);
        return;
    }
    exported->export = NULL;
    nbd_server_remove_export(exports->server, export);
    block_emit(call->graph, "BLOCK_EXPORT_DELETED", json_pack("{s:s}", "id", call->id));
    g_ptr_array_remove(exports->list, exported);
    g_free(exported->id);
    g_free(exported);
    call->done = true;
}

bool block_export_remove(BlockGraph *graph, const char *id, bool hard, GError **error)
{
    ExportCall call = { .graph = graph, .id = id, .hard = hard, .error = error };

    return run_call(&call, remove_entry);
}

static void query_entry(void *opaque)
{
    ExportCall *call = opaque;
    BlockExports *exports = *block_graph_exports(call->graph);

    call->result = json_array();
    for (guint i = 0; exports && i < exports->list->len; i++) {
        const Exported *exported = exports->list->pdata[i];
        const NbdExport *export = exported->export;

        json_array_append_new(call->result,
                              json_pack("{s:s, s:s, s:s, s:b}", "id", exported->id, "type", "nbd",
                                        "node-name", export ? export->user->node->node_name : "",
                                        "shutting-down", !export));
    }
}

char *block_query_exports(BlockGraph *graph)
{
    ExportCall call = { .graph = graph };
    char *text, *copy;

    run_call(&call, query_entry);
    text = json_dumps(call.result, JSON_COMPACT);
    copy = g_strdup(text);
    free(text);
    json_decref(call.result);
    return copy;
}
