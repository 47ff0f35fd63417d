/* SPDX-License-Identifier: MIT */
/* blockdev-create: a job that makes a file, or writes an empty image into an open node. */
#include "block/graph/open.h"
#include "block/jobs/job.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>

/* Choices of QMP that drivers have under another name. */
static const struct {
    const char *driver, *key, *value, *option, *setting;
} translations[] = {
    { "vdi", "preallocation", "off", "static", "off" },
    { "vdi", "preallocation", "metadata", "static", "on" },
    { "qcow", "encrypt.format", "qcow", "encrypt.format", "aes" },
};

/* QMP's enumerations: drivers know more words than these, and fewer things. */
static const char *const versions[] = { "v2", "v3", NULL };
static const char *const preallocations[] = { "off", "metadata", "falloc", "full", NULL };
static const char *const compressions[] = { "zlib", "zstd", NULL };
static const char *const disk_formats[] = { "dynamic", "fixed", NULL };
static const char *const extent_formats[] = { "monolithicSparse",     "monolithicFlat",
                                              "twoGbMaxExtentSparse", "twoGbMaxExtentFlat",
                                              "streamOptimized",      NULL };
static const char *const adapters[] = { "ide", "buslogic", "lsilogic", "legacyESX", NULL };
static const char *const encryptions[] = { "qcow", "luks", NULL };

static const struct {
    const char *driver; /* NULL: any */
    const char *key;
    const char *const *values;
} choices[] = {
    { NULL, "preallocation", preallocations },     { "qcow2", "version", versions },
    { "qcow2", "compression-type", compressions }, { "vpc", "subformat", disk_formats },
    { "vhdx", "subformat", disk_formats },         { "vmdk", "subformat", extent_formats },
    { "vmdk", "adapter-type", adapters },          { "qcow2", "encrypt.format", encryptions },
    { "qcow", "encrypt.format", encryptions },
};

/* Refused at once, with no job that fails. */
static bool check_choice(const BlockDriver *driver, const char *key, const char *value,
                         GError **error)
{
    for (unsigned i = 0; i < ARRAY_SIZE(choices); i++) {
        if (!strcmp(choices[i].key, key) &&
            (!choices[i].driver || !strcmp(choices[i].driver, driver->name)) &&
            !g_strv_contains(choices[i].values, value)) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "Parameter '%s' does not accept value '%s'", key, value);
        }
    }
    return strcmp(key, "backing-fmt") || block_driver_find(value) ||
           error_fail(error, KASO_ERROR_INVALID, "Parameter '%s' does not accept value '%s'", key,
                      value);
}

/* Sizes that a command line may leave to the driver are exact here. */
static bool check_exact(const BlockJob *job, GError **error)
{
    static const struct {
        const char *option, *name;
    } sizes[] = { { "log_size", "Log" }, { "block_size", "Block" } };
    bool vhdx = !strcmp(job->create_driver->name, "vhdx");

    for (unsigned i = 0; vhdx && i < ARRAY_SIZE(sizes); i++) {
        const char *text = options_get(job->create_options, sizes[i].option);
        uint64_t size = MIB(1);

        if (text && (!parse_size(text, &size, error) || !size || size % MIB(1))) {
            return *error ? false
                          : error_fail(error, KASO_ERROR_INVALID,
                                       "%s size must be a multiple of 1 MB", sizes[i].name);
        }
    }
    return true;
}

static bool translate(const BlockDriver *driver, const char *key, const char *value, GHashTable *to)
{
    for (unsigned i = 0; i < ARRAY_SIZE(translations); i++) {
        if (!strcmp(translations[i].driver, driver->name) && !strcmp(translations[i].key, key) &&
            !strcmp(translations[i].value, value)) {
            options_set(to, translations[i].option, translations[i].setting);
            return true;
        }
    }
    return false;
}

/* Options of drivers have underscores where QMP has dashes. */
static bool take_create_option(const BlockDriver *driver, const char *key, const char *value,
                               GHashTable *to, GError **error)
{
    g_autofree char *name = g_strdup(!strcmp(key, "version") ? "compat" : key);

    if (!check_choice(driver, key, value, error)) {
        return false;
    }
    if (translate(driver, key, value, to)) {
        return true;
    }
    for (int dashes = 1; dashes >= 0; dashes--) {
        for (const BlockOption *option = driver->create_options; option && option->name; option++) {
            if (!strcmp(option->name, name)) {
                options_set(to, name, value);
                return true;
            }
        }
        g_strdelimit(name, "-", '_');
    }
    return error_fail(error, KASO_ERROR_INVALID, "Parameter 'options.%s' is unexpected", key);
}

/* The name of the node that `key` names, or that is opened for the job as `key` describes it. NULL: there is none. */
static char *take_node(BlockJob *job, GHashTable *options, const char *key, GError **error)
{
    char *name = options_take(options, key);
    BlockNode *node;

    if (name || !options_has_nested(options, key)) {
        return name;
    }
    node = node_open(job->graph, NULL, options_take_nested(options, key),
                     (BlockOpenFlags){ .unmap = true }, error);
    if (!node) {
        return NULL;
    }
    g_ptr_array_add(job->opened, node);
    return g_strdup(node->node_name);
}

/* The file name that the driver is given: a node stands behind it, unless the driver makes files. */
static bool take_place(BlockJob *job, GHashTable *options, GError **error)
{
    bool makes_files = job->create_driver->is_protocol;
    const char *key = makes_files ? "filename" : "file";
    bool given = options_get(options, key) || options_has_nested(options, key);
    g_autofree char *place = NULL;

    if (!given || !options_get(options, "size")) {
        return error_fail(error, KASO_ERROR_INVALID, "Parameter 'options.%s' is missing",
                          given ? "size" : key);
    }
    place = makes_files ? options_take(options, key) : take_node(job, options, key, error);
    if (!place) {
        return false;
    }
    job->create_place =
        makes_files ? g_steal_pointer(&place) : g_strconcat("format-target:", place, NULL);
    return true;
}

/* extents of vmdk: a list of nodes. */
static bool take_extents(BlockJob *job, GHashTable *options, GError **error)
{
    g_autoptr(GHashTable) extents = options_take_nested(options, "extents");

    for (guint i = 0; g_hash_table_size(extents); i++) {
        g_autofree char *number = g_strdup_printf("%u", i);
        g_autofree char *key = g_strconcat("extent_node.", number, NULL);
        g_autofree char *node = take_node(job, extents, number, error);

        if (!node) {
            return false;
        }
        options_set(job->create_options, key, node);
    }
    return true;
}

/* The node of `key` is to hold an image's data. */
static bool take_data_node(BlockJob *job, GHashTable *options, const char *key, GError **error)
{
    g_autofree char *data = NULL;

    if (!options_get(options, key) && !options_has_nested(options, key)) {
        return true;
    }
    data = take_node(job, options, key, error);
    if (data) {
        options_set(job->create_options, "data_file_node", data);
    }
    return data != NULL;
}

/* With a header of its own, that is what is written, and `file`, if there is one, is the disk, which is only given its size. */
static bool take_luks_header(BlockJob *job, GHashTable *options, GError **error)
{
    g_autofree char *reference = options_take(options, "header");

    if (!reference && !options_has_nested(options, "header")) {
        return true;
    }
    if (options_get(options, "preallocation") && !options_get(options, "file") &&
        !options_has_nested(options, "file")) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Parameter 'preallocation' requires 'file' to be specified for "
                          "formatting LUKS disk");
    }
    if (!take_data_node(job, options, "file", error)) {
        return false;
    }
    if (reference) {
        options_set(options, "file", reference);
    } else {
        open_rename_child_option("header", options);
    }
    options_set(job->create_options, "detached-header", "on");
    return true;
}

static bool take_create_options(BlockJob *job, GHashTable *options, GError **error)
{
    g_autofree char *name = options_take(options, "driver");
    GHashTableIter iter;
    gpointer key, value;

    job->create_driver = name ? block_driver_find(name) : NULL;
    if (!job->create_driver) {
        return name
                   ? error_fail(error, KASO_ERROR_INVALID,
                                "Parameter 'driver' does not accept value '%s'", name)
                   : error_fail(error, KASO_ERROR_INVALID, "Parameter 'options.driver' is missing");
    }
    if (!job->create_driver->create || !strcmp(name, "raw") || !strcmp(name, "format-target")) {
        return error_fail(error, KASO_ERROR_INVALID, "Driver '%s' does not support blockdev-create",
                          name);
    }
    job->create_options = options_new();
    if ((!strcmp(name, "luks") && !take_luks_header(job, options, error)) ||
        !take_place(job, options, error)) {
        return false;
    }
    if (options_get(options, "extents")) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Invalid parameter type for 'options.extents', expected: array");
    }
    if (!strcmp(name, "vmdk") && !take_extents(job, options, error)) {
        return false;
    }
    if (!strcmp(name, "qcow2") && !take_data_node(job, options, "data-file", error)) {
        return false;
    }
    g_hash_table_iter_init(&iter, options);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (!take_create_option(job->create_driver, key, value, job->create_options, error)) {
            return false;
        }
    }
    return true;
}

/* Nobody else writes to the node, or looks at its content, while it becomes an image, or its data. */
static bool hold_node(BlockJob *job, const char *name, BlockChild **user)
{
    BlockNode *node = node_find(job->graph, name);

    if (!node) {
        return error_fail(&job->error, KASO_ERROR_NOT_FOUND,
                          "Cannot find device='%s' nor node-name='%s'", name, name);
    }
    if (!node_may(node, OPERATION_FORMAT, &job->error)) {
        return false;
    }
    *user = node_attach_user(node, "an unnamed block device", BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE,
                             BLOCK_PERM_ALL, &job->error);
    if (!*user) {
        return false;
    }
    node_hold(node, HOLD_FORMAT, job, job->type);
    /* Nobody minds; from here on the driver's own nodes write, and say what they need. */
    return child_set_perm(*user, 0, BLOCK_PERM_ALL, &job->error);
}

static bool hold_target(BlockJob *job)
{
    const char *place = strchr(job->create_place, ':') + 1;
    const char *data = options_get(job->create_options, "data_file_node");

    if (data && !strcmp(data, place)) {
        return error_fail(&job->error, KASO_ERROR_INVALID,
                          "The data file '%s' is the image itself: give it another node", data);
    }
    if (!hold_node(job, place, &job->target_user) ||
        (data && !hold_node(job, data, &job->source_user))) {
        return false;
    }
    for (guint i = 0;; i++) {
        g_autofree char *key = g_strdup_printf("extent_node.%u", i);
        const char *node = options_get(job->create_options, key);
        BlockChild *user = NULL;

        if (!node) {
            return true;
        }
        if (!hold_node(job, node, &user)) {
            return false;
        }
        job_add_user(job, user);
    }
}

int job_run_create(BlockJob *job)
{
    const BlockDriver *driver = job->create_driver;
    uint64_t size = 0;
    bool done;

    job->length = job->total = 1;
    done = options_get(job->create_options, "size") &&
           parse_size(options_get(job->create_options, "size"), &size, &job->error);
    if (done && !driver->is_protocol && size % 512) {
        done = error_fail(&job->error, KASO_ERROR_INVALID,
                          "Image size must be a multiple of 512 bytes");
    }
    done = done && check_exact(job, &job->error) && (driver->is_protocol || hold_target(job)) &&
           driver->create(job->graph, job->create_place, job->create_options, &job->error) &&
           options_check_empty(job->create_options, driver->name, NULL, &job->error);
    job->offset = 1;
    return done ? 0 : -EIO;
}

typedef struct {
    BlockGraph *graph;
    GHashTable *arguments;
    bool done;
    GError **error;
} CreateCall;

static void create_entry(void *opaque)
{
    CreateCall *call = opaque;
    g_autoptr(GHashTable) arguments = options_copy(call->arguments);
    g_autoptr(GHashTable) options = options_take_nested(arguments, "options");
    g_autofree char *id = options_take(arguments, "job-id");
    BlockJob *job;

    if (!job_id_is_free(call->graph, id, call->error)) {
        return;
    }
    job = job_new(call->graph, id, g_strdup(id), NULL);
    job->type = "create";
    job->opened = g_ptr_array_new_with_free_func((GDestroyNotify)node_unref);
    job->plain = true;
    job->auto_finalize = true;
    job->run = job_run_create;
    call->done = take_create_options(job, options, call->error);
    if (!call->done) {
        job_release(job);
        job_free(job);
        return;
    }
    job_begin(job);
}

bool block_job_create(BlockGraph *graph, GHashTable *arguments, GError **error)
{
    CreateCall call = { .graph = graph, .arguments = arguments, .error = error };

    async_run_sync(block_graph_context(graph), create_entry, &call);
    return call.done;
}
