/* SPDX-License-Identifier: MIT */
/* x-blockdev-amend: a job that changes the keys of an encrypted image while it is in use. */
#include "block/jobs/job.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>

/* What QMP has amended of each driver: options with this prefix. Requests of a guest do not touch key slots. */
static const struct {
    const char *driver, *prefix;
} amendable[] = {
    { "luks", "" },
    { "qcow2", "encrypt." },
};

static const char *prefix_of(const BlockDriver *driver)
{
    for (unsigned i = 0; i < ARRAY_SIZE(amendable); i++) {
        if (!strcmp(amendable[i].driver, driver->name)) {
            return amendable[i].prefix;
        }
    }
    return NULL;
}

static int run_amend(BlockJob *job)
{
    bool done = job->source->driver->amend(job->source, job->create_options, job->force, NULL, NULL,
                                           &job->error);

    job->offset = job->total = 1;
    return done ? 0 : -EIO;
}

static bool check_options(const BlockNode *node, GHashTable *options, GError **error)
{
    g_autofree char *driver = options_take(options, "driver");
    g_autofree char *format = options_take(options, "encrypt.format");
    const char *prefix = prefix_of(node->driver);
    GHashTableIter iter;
    gpointer key;

    if (!driver) {
        return error_fail(error, KASO_ERROR_INVALID, "Parameter 'options.driver' is missing");
    }
    if (strcmp(driver, node->driver->name) != 0) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "x-blockdev-amend doesn't support changing the block driver");
    }
    if (!prefix || !node->driver->amend) {
        return error_fail(error, KASO_ERROR_GENERIC, "Driver does not support x-blockdev-amend");
    }
    if (format && (!prefix[0] || strcmp(format, "luks") != 0)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Parameter 'options.encrypt.format' does not accept value '%s'", format);
    }
    g_hash_table_iter_init(&iter, options);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (!g_str_has_prefix(key, prefix)) {
            return error_fail(error, KASO_ERROR_INVALID, "Parameter 'options.%s' is unexpected",
                              (const char *)key);
        }
    }
    return true;
}

typedef struct {
    BlockGraph *graph;
    GHashTable *arguments;
    bool done;
    GError **error;
} AmendCall;

static BlockJob *make_job(AmendCall *call, const char *id, BlockNode *node, GHashTable *options)
{
    BlockJob *job = job_new(call->graph, id, g_strdup(id), node);

    job->type = "amend";
    job->plain = true;
    job->auto_finalize = true;
    job->run = run_amend;
    job->total = 1;
    job->create_options = g_hash_table_ref(options);
    return job;
}

static void amend_entry(void *opaque)
{
    AmendCall *call = opaque;
    g_autoptr(GHashTable) arguments = options_copy(call->arguments);
    g_autoptr(GHashTable) options = options_take_nested(arguments, "options");
    g_autofree char *id = options_take(arguments, "job-id");
    const char *name = options_get(arguments, "node-name");
    bool force = false;
    BlockNode *node;
    BlockJob *job;

    if (!job_id_is_free(call->graph, id, call->error) ||
        !options_take_bool(arguments, "force", &force, call->error)) {
        return;
    }
    node = node_find(call->graph, name);
    if (!node) {
        error_fail(call->error, KASO_ERROR_NOT_FOUND, "Cannot find device='' nor node-name='%s'",
                   name);
        return;
    }
    if (!node_may(node, OPERATION_FORMAT, call->error) ||
        !check_options(node, options, call->error)) {
        return;
    }
    job = make_job(call, id, node, options);
    job->force = force;
    job->source_user = node_attach_user(node, "an unnamed block device", BLOCK_PERM_WRITE_UNCHANGED,
                                        BLOCK_PERM_ALL, call->error);
    if (!job->source_user) {
        job_release(job);
        job_free(job);
        return;
    }
    call->done = true;
    job_begin(job);
}

bool block_job_amend(BlockGraph *graph, GHashTable *arguments, GError **error)
{
    AmendCall call = { .graph = graph, .arguments = arguments, .error = error };

    async_run_sync(block_graph_context(graph), amend_entry, &call);
    return call.done;
}
