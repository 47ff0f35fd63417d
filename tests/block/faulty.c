/* SPDX-License-Identifier: MIT */
#include "tests/block/faulty.h"

#include "base/bits.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define BACKING_STAMP 0x80000000u /* plus the sector's number */

Lab *lab;
BlockGraph *graph;

Lab *lab_new(void)
{
    void *memory =
        mmap(NULL, sizeof(Lab), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    g_assert_true(memory != MAP_FAILED);
    lab = memory;
    lab_clear_fault();
    return lab;
}

void lab_set_fault(Fault fault)
{
    lab->fault = fault;
    lab->steps = 0;
}

void lab_clear_fault(void)
{
    lab->fault = (Fault){ .first = -1, .last = -1 };
}

void lab_log(EventKind kind, unsigned disk, uint64_t offset, uint64_t bytes, const void *data,
             uint32_t stamp)
{
    Event *event = &lab->event[lab->events];

    if (!lab->recording) {
        return;
    }
    g_assert_cmpuint(lab->events, <, EVENTS_MAX);
    *event = (Event){ kind, disk, offset, bytes, lab->used, stamp };
    if (data) {
        g_assert_cmpuint(lab->used + bytes, <=, ARENA_SIZE);
        memcpy(lab->arena + lab->used, data, bytes);
        lab->used += bytes;
    }
    lab->events++;
}

/* Whether this step fails. */
static bool lab_step(bool writes)
{
    for (int i = lab->pauses ? g_rand_int_range(lab->pauses, 0, 4) : 0; i > 0; i--) {
        coroutine_pause();
    }
    long step = lab->steps++;
    bool fails =
        step >= lab->fault.first && step <= lab->fault.last && (writes || !lab->fault.writes_only);

    if (fails) {
        lab_log(EVENT_FAULT, 0, 0, 0, NULL, 0);
    }
    return fails;
}

/* The disks as a protocol. */

typedef struct {
    uint64_t index;
} DiskNode;

static bool disk_open(BlockNode *node, GHashTable *options, GError **error)
{
    return options_take_number(options, "index", &((DiskNode *)node->state)->index, error);
}

static unsigned disk_index(BlockNode *node)
{
    return (unsigned)((DiskNode *)node->state)->index;
}

static Disk *disk_of(BlockNode *node)
{
    return &lab->disks[disk_index(node)];
}

static int disk_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    if (lab_step(false)) {
        return lab->fault.error;
    }
    if (offset + bytes > DISK_MAX) {
        return -EIO;
    }
    io_vector_from_buffer(vector, disk_of(node)->data + offset, bytes);
    return 0;
}

static void disk_store(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    Disk *disk = disk_of(node);

    io_vector_to_buffer(vector, disk->data + offset, bytes);
    disk->size = MAX(disk->size, offset + bytes);
    lab_log(EVENT_WRITE, disk_index(node), offset, bytes, disk->data + offset, 0);
}

static int disk_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                      unsigned flags)
{
    if (offset + bytes > DISK_MAX) {
        return -ENOSPC;
    }
    if (lab_step(true)) {
        uint64_t half = align_down(bytes / 2, SECTOR);

        if (lab->fault.apply == APPLY_ALL) {
            disk_store(node, offset, bytes, vector);
        } else if (lab->fault.apply == APPLY_HALF && half) {
            disk_store(node, offset, half, vector);
        }
        return lab->fault.error;
    }
    disk_store(node, offset, bytes, vector);
    return 0;
}

static int disk_flush(BlockNode *node)
{
    uint32_t began = lab->events;

    if (lab_step(false)) {
        return lab->fault.error;
    }
    lab_log(EVENT_FLUSH, disk_index(node), 0, 0, NULL, began);
    return 0;
}

static int64_t disk_length(BlockNode *node)
{
    return (int64_t)disk_of(node)->size;
}

static void disk_resize(Disk *disk, uint64_t size)
{
    if (size < disk->size) {
        memset(disk->data + size, 0, disk->size - size);
    }
    disk->size = size;
}

static bool disk_truncate(BlockNode *node, uint64_t size, Prealloc prealloc, GError **error)
{
    if (size > DISK_MAX || lab_step(true)) {
        g_set_error(error, g_quark_from_static_string("disk"), 0, "The disk is full");
        return false;
    }
    disk_resize(disk_of(node), size);
    lab_log(EVENT_TRUNCATE, disk_index(node), 0, size, NULL, 0);
    return true;
}

static const BlockOption disk_options[] = { { "index", "Which disk" }, { NULL, NULL } };

static const BlockDriver disk_driver = {
    .name = "test-disk",
    .summary = "Disk in memory",
    .options = disk_options,
    .instance_size = sizeof(DiskNode),
    .is_protocol = true,
    .grows_with_zeroes = true,
    .open = disk_open,
    .read = disk_read,
    .write = disk_write,
    .flush = disk_flush,
    .length = disk_length,
    .truncate = disk_truncate,
};
BLOCK_DRIVER(disk_driver);

/* Images. */

static void put_on_disk(unsigned index, const char *path)
{
    g_autofree char *content = NULL;
    gsize length;

    g_assert_true(g_file_get_contents(path, &content, &length, NULL));
    g_assert_cmpuint(length, <=, DISK_MAX);
    memset(lab->disks[index].data, 0, DISK_MAX);
    memcpy(lab->disks[index].data, content, length);
    lab->disks[index].size = length;
    g_assert_cmpint(remove(path), ==, 0);
}

static void fill_backing(void)
{
    Disk *disk = &lab->disks[DISK_BACKING];

    for (uint64_t at = 0; at < GUEST_SIZE; at += 4) {
        store_le32(disk->data + at, BACKING_STAMP + (uint32_t)(at / SECTOR));
    }
    disk->size = GUEST_SIZE;
}

static const char *format_of(const Kind *kind)
{
    return kind->format ? kind->format : "qcow2";
}

void image_create(const Kind *kind)
{
    g_autofree char *folder = g_dir_make_tmp("kaso-crash-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "image", NULL);
    g_autofree char *data = g_build_filename(folder, "data", NULL);
    GHashTable *options = options_parse(kind->config, NULL, NULL);
    g_autofree char *size = g_strdup_printf("%d", GUEST_SIZE);
    GError *error = NULL;

    block_secret_set(graph, "key", g_strdup("secret"), strlen("secret"));
    options_set(options, "size", size);
    if (kind->data_file) {
        options_set(options, "data_file", data);
    }
    block_driver_find(format_of(kind))
        ->create(graph, lab->file ? lab->file : path, options, &error);
    g_assert_no_error(error);
    g_hash_table_unref(options);
    if (!lab->file) {
        put_on_disk(DISK_IMAGE, path);
    }
    if (kind->data_file) {
        put_on_disk(DISK_DATA, data);
    }
    if (kind->backing) {
        fill_backing();
    }
    remove(folder);
    lab->recording = false;
    lab->events = 0;
    lab->used = 0;
}

BlockNode *image_open(const Kind *kind, bool writable, bool check, GError **error)
{
    BlockOpenFlags flags = { .read_only = !writable, .check = check, .unmap = true };
    GHashTable *options = options_new();

    options_set(options, "driver", format_of(kind));
    if (lab->file) {
        options_set(options, "file.driver", "file");
        options_set(options, "file.filename", lab->file);
        if (lab->aio) {
            options_set(options, "file.aio", lab->aio);
        }
    } else {
        options_set(options, "file.driver", "test-disk");
        options_set(options, "file.index", "0");
    }
    if (kind->data_file) {
        options_set(options, "data-file.driver", "test-disk");
        options_set(options, "data-file.index", "1");
    }
    if (kind->backing) {
        options_set(options, "backing.driver", "raw");
        options_set(options, "backing.file.driver", "test-disk");
        options_set(options, "backing.file.index", "2");
    }
    if (kind->key && kind->format) {
        options_set(options, "key-secret", "key");
    } else if (kind->key) {
        options_set(options, "encrypt.format", "luks");
        options_set(options, "encrypt.key-secret", "key");
    }
    return node_open(graph, NULL, options, flags, error);
}

/* The workload. Every guest sector holds the number of the operation that wrote it. */

int guest_transfer(BlockNode *node, int operation, uint64_t offset, uint64_t bytes, uint32_t stamp)
{
    g_autofree uint8_t *buffer = g_malloc(bytes);
    struct iovec iov = { buffer, bytes };

    for (uint64_t i = 0; i < bytes; i += 4) {
        store_le32(buffer + i, stamp);
    }
    switch (operation) {
    case 5:
        return node_write_zeroes(node, offset, bytes, BLOCK_MAY_UNMAP);
    case 6:
        return node->driver->discard ? node_discard(node, offset, bytes)
                                     : node_write_zeroes(node, offset, bytes, 0);
    case 7:
        return node_write_compressed(node, offset, bytes, io_vector_of(&iov));
    default:
        return node_pwrite(node, offset, buffer, bytes, 0);
    }
}

static int guest_write(const Kind *kind, BlockNode *node, GRand *rand, uint32_t stamp)
{
    uint64_t first = (uint64_t)g_rand_int_range(rand, 0, GUEST_SECTORS - 64);
    uint64_t sectors = (uint64_t)g_rand_int_range(rand, 1, 64);
    uint64_t offset = first * SECTOR, bytes = sectors * SECTOR;
    int operation = g_rand_int_range(rand, 0, kind->compress ? 8 : 7), result;
    BlockNodeInfo info = { 0 };

    node->driver->info(node, &info);
    if (operation >= 6) {
        offset = align_down(offset, info.cluster_size);
        bytes = MIN(info.cluster_size, GUEST_SIZE - offset);
    }
    if (operation == 5 || operation == 6) {
        stamp = 0;
    }
    lab_log(EVENT_GUEST_WRITE, 0, offset, bytes, NULL, stamp);
    result = guest_transfer(node, operation, offset, bytes, stamp);
    if (result == 0) {
        lab_log(EVENT_GUEST_WRITTEN, 0, offset, bytes, NULL, stamp);
    }
    return result;
}

int guest_flush(BlockNode *node)
{
    uint32_t stamp = ++lab->flushes;
    int result;

    lab_log(EVENT_GUEST_FLUSH, 0, 0, 0, NULL, stamp);
    result = node_flush(node);
    if (result == 0) {
        lab_log(EVENT_GUEST_FLUSHED, 0, 0, 0, NULL, stamp);
    }
    return result;
}

static int guest_snapshot(BlockNode *node, GRand *rand, uint32_t stamp)
{
    g_autoptr(GPtrArray) list = node->driver->snapshot_list(node);

    if (list->len < SNAPSHOTS_MAX && (!list->len || g_rand_boolean(rand))) {
        g_autofree char *name = g_strdup_printf("%u", stamp);
        BlockSnapshot snapshot = { .name = name };

        lab_log(EVENT_SNAPSHOT_CREATE, 0, 0, 0, NULL, stamp);
        if (!node->driver->snapshot_create(node, &snapshot, NULL)) {
            return -1;
        }
        lab_log(EVENT_SNAPSHOT_CREATED, 0, 0, 0, NULL, stamp);
        return 0;
    } else {
        BlockSnapshot *first = list->pdata[0];

        lab_log(EVENT_SNAPSHOT_DELETE, 0, 0, 0, NULL, (uint32_t)atoi(first->name));
        return node->driver->snapshot_delete(node, first->id, NULL) ? 0 : -1;
    }
}

static int guest_bitmap(BlockNode *node, GRand *rand)
{
    GHashTable *arguments = options_new();
    const char *name = g_rand_boolean(rand) ? "a" : "b";
    bool add = !node->dirty_bitmaps;

    if (add) {
        options_set(arguments, "granularity", "65536");
    }
    node->driver->bitmap_action(node, add ? "add" : "remove", name, arguments, NULL);
    g_hash_table_unref(arguments);
    return 0;
}

/* Larger and smaller; the part that the model knows stays. */
static int guest_resize(BlockNode *node, GRand *rand)
{
    uint64_t more = (uint64_t)g_rand_int_range(rand, 0, 400) * SECTOR;

    return node_truncate(node, GUEST_SIZE + more, PREALLOC_OFF, NULL) ? 0 : -1;
}

static int guest_operation(const Kind *kind, BlockNode *node, GRand *rand, uint32_t stamp)
{
    int choice = g_rand_int_range(rand, 0, 24);

    if (choice < 2 && kind->snapshots) {
        return guest_snapshot(node, rand, stamp);
    }
    if (choice == 2 && kind->bitmaps) {
        return guest_bitmap(node, rand);
    }
    if (choice == 3 && !kind->bitmaps && !kind->version2 && !kind->fixed_size) {
        return guest_resize(node, rand);
    }
    return choice < 7 ? guest_flush(node) : guest_write(kind, node, rand, stamp);
}

int workload(const Kind *kind, unsigned operations, uint32_t seed)
{
    GRand *rand = g_rand_new_with_seed(seed);
    GError *error = NULL;
    BlockNode *node = image_open(kind, true, false, &error);
    int failures = 0;

    if (!node) {
        g_assert_true(error && error->message[0]);
        g_error_free(error);
        g_rand_free(rand);
        return 1;
    }
    if (kind->parallel) {
        failures = parallel_operations(kind, node, operations, seed);
        operations = 0;
    }
    for (uint32_t i = 1; i <= operations; i++) {
        failures += guest_operation(kind, node, rand, i) < 0;
    }
    if (guest_flush(node) < 0) {
        failures += 1 + (guest_flush(node) < 0);
    }
    node_unref(node);
    g_rand_free(rand);
    return failures;
}

/* The model. */

static void add_value(GArray *values, uint32_t stamp, bool sure)
{
    Value value = { stamp, sure };

    g_array_append_val(values, value);
}

Model *model_new(const Kind *kind)
{
    Model *model = g_new0(Model, 1);

    for (unsigned i = 0; i < GUEST_SECTORS; i++) {
        model->values[i] = g_array_new(FALSE, FALSE, sizeof(Value));
        add_value(model->values[i], kind->backing ? BACKING_STAMP + i : 0, true);
    }
    model->snapshots = g_ptr_array_new();
    model->flushes = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    return model;
}

void model_free(Model *model)
{
    for (unsigned i = 0; i < model->snapshots->len; i++) {
        SnapshotModel *snapshot = model->snapshots->pdata[i];

        for (unsigned j = 0; j < GUEST_SECTORS; j++) {
            g_array_unref(snapshot->values[j]);
        }
        g_free(snapshot);
    }
    g_ptr_array_unref(model->snapshots);
    g_hash_table_unref(model->flushes);
    for (unsigned i = 0; i < GUEST_SECTORS; i++) {
        g_array_unref(model->values[i]);
    }
    g_free(model);
}

/* The last value whose write has succeeded. */
static unsigned last_sure(const GArray *values)
{
    unsigned i = values->len - 1;

    while (!g_array_index(values, Value, i).sure) {
        i--;
    }
    return i;
}

static SnapshotModel *find_snapshot(const Model *model, uint32_t stamp)
{
    for (unsigned i = 0; i < model->snapshots->len; i++) {
        SnapshotModel *snapshot = model->snapshots->pdata[i];

        if (snapshot->stamp == stamp) {
            return snapshot;
        }
    }
    return NULL;
}

static void model_snapshot(Model *model, uint32_t stamp)
{
    SnapshotModel *snapshot = g_new0(SnapshotModel, 1);

    snapshot->stamp = stamp;
    for (unsigned i = 0; i < GUEST_SECTORS; i++) {
        GArray *values = model->values[i];
        unsigned from = last_sure(values);

        snapshot->values[i] = g_array_new(FALSE, FALSE, sizeof(Value));
        g_array_append_vals(snapshot->values[i], &g_array_index(values, Value, from),
                            values->len - from);
    }
    g_ptr_array_add(model->snapshots, snapshot);
}

static void model_write(Model *model, const Event *event)
{
    bool written = event->kind == EVENT_GUEST_WRITTEN;

    for (uint64_t i = event->offset / SECTOR; i < (event->offset + event->bytes) / SECTOR; i++) {
        GArray *values = model->values[i];

        if (written) {
            g_array_index(values, Value, values->len - 1).sure = true;
        } else {
            add_value(values, event->stamp, false);
        }
    }
}

static void model_flush_begins(Model *model, uint32_t stamp)
{
    uint32_t *marks = g_new(uint32_t, GUEST_SECTORS);

    for (unsigned i = 0; i < GUEST_SECTORS; i++) {
        marks[i] = model->dropped[i] + last_sure(model->values[i]);
    }
    g_hash_table_replace(model->flushes, GUINT_TO_POINTER(stamp), marks);
}

static void model_flushed(Model *model, uint32_t stamp)
{
    const uint32_t *marks = g_hash_table_lookup(model->flushes, GUINT_TO_POINTER(stamp));

    for (unsigned i = 0; i < GUEST_SECTORS; i++) {
        if (marks[i] > model->dropped[i]) {
            g_array_remove_range(model->values[i], 0, marks[i] - model->dropped[i]);
            model->dropped[i] = marks[i];
        }
    }
}

void model_apply(Model *model, const Event *event)
{
    SnapshotModel *snapshot;

    switch (event->kind) {
    case EVENT_GUEST_WRITE:
    case EVENT_GUEST_WRITTEN:
        model_write(model, event);
        break;
    case EVENT_GUEST_FLUSH:
        model_flush_begins(model, event->stamp);
        break;
    case EVENT_GUEST_FLUSHED:
        model_flushed(model, event->stamp);
        break;
    case EVENT_SNAPSHOT_CREATE:
        model_snapshot(model, event->stamp);
        break;
    case EVENT_SNAPSHOT_CREATED:
    case EVENT_SNAPSHOT_DELETE:
        snapshot = find_snapshot(model, event->stamp);
        if (snapshot) {
            snapshot->created |= event->kind == EVENT_SNAPSHOT_CREATED;
            snapshot->deleting |= event->kind == EVENT_SNAPSHOT_DELETE;
        }
        break;
    default:
        break;
    }
}

void build_disks(const Disk *start, unsigned cut, Variant variant, GRand *rand)
{
    unsigned flushed[DISKS] = { 0 }, last = 0;

    memcpy(lab->disks, start, sizeof lab->disks);
    for (unsigned i = 0; i < cut; i++) {
        last = lab->event[i].kind == EVENT_WRITE ? i : last;
        if (lab->event[i].kind == EVENT_FLUSH) {
            flushed[lab->event[i].disk] = MAX(flushed[lab->event[i].disk], lab->event[i].stamp);
        }
    }
    for (unsigned i = 0; i < cut; i++) {
        const Event *event = &lab->event[i];
        Disk *disk = &lab->disks[event->disk];
        uint64_t bytes = event->bytes;

        if (event->kind != EVENT_WRITE && event->kind != EVENT_TRUNCATE) {
            continue;
        }
        if (i >= flushed[event->disk]) {
            if (variant == KEEP_NONE || (variant == KEEP_LAST && i != last) ||
                (variant == KEEP_SOME && g_rand_boolean(rand))) {
                continue;
            }
            if (variant == KEEP_TORN && event->kind == EVENT_WRITE && bytes > SECTOR) {
                bytes = align_down((uint64_t)g_rand_int_range(rand, 0, (gint32)bytes), SECTOR);
            }
        }
        if (event->kind == EVENT_TRUNCATE) {
            disk_resize(disk, bytes);
        } else {
            memcpy(disk->data + event->offset, lab->arena + event->data, bytes);
            disk->size = MAX(disk->size, event->offset + bytes);
        }
    }
}

/* Checking what is there. */

static bool sector_allowed(const GArray *values, const uint8_t *data, bool live)
{
    uint32_t stamp = load_le32(data);

    for (unsigned i = 4; i < SECTOR; i += 4) {
        if (load_le32(data + i) != stamp) {
            return false;
        }
    }
    for (unsigned i = live ? last_sure(values) : 0; i < values->len; i++) {
        if (g_array_index(values, Value, i).stamp == stamp) {
            return true;
        }
    }
    return false;
}

/* What led to a failure, for one sector. */
static void dump_events(unsigned sector)
{
    static const char *const names[] = { "write",       "truncate",       "flush",
                                         "fault",       "guest write",    "guest written",
                                         "guest flush", "guest flushed",  "snapshot create",
                                         "created",     "snapshot delete" };

    for (unsigned i = 0; i < lab->events; i++) {
        const Event *event = &lab->event[i];
        uint64_t offset = (uint64_t)sector * SECTOR;

        if ((event->kind == EVENT_GUEST_WRITE || event->kind == EVENT_GUEST_WRITTEN) &&
            (offset < event->offset || offset >= event->offset + event->bytes)) {
            continue;
        }
        fprintf(stderr, "%u: %s %u: %" G_GUINT64_FORMAT "+%" G_GUINT64_FORMAT "\n", i,
                names[event->kind], event->stamp, event->offset, event->bytes);
    }
}

static void verify_content(BlockNode *node, GArray *const *values, const char *what, bool live)
{
    static uint8_t content[GUEST_SIZE];

    g_assert_cmpint(node_pread(node, 0, content, GUEST_SIZE), ==, 0);
    for (unsigned i = 0; i < GUEST_SECTORS; i++) {
        if (!sector_allowed(values[i], content + i * SECTOR, live)) {
            dump_events(i);
            g_error("%s: sector %u holds %u; of %u values the first is %u, the last %u", what, i,
                    load_le32(content + i * SECTOR), values[i]->len,
                    g_array_index(values[i], Value, 0).stamp,
                    g_array_index(values[i], Value, values[i]->len - 1).stamp);
        }
    }
}

static void verify_snapshots(const Kind *kind, const Model *model, const char *what)
{
    BlockNode *node = image_open(kind, false, false, NULL);
    g_autoptr(GPtrArray) list = node->driver->snapshot_list(node);
    unsigned required = 0;

    for (unsigned i = 0; i < model->snapshots->len; i++) {
        const SnapshotModel *snapshot = model->snapshots->pdata[i];

        required += snapshot->created && !snapshot->deleting;
    }
    for (unsigned i = 0; i < list->len; i++) {
        const BlockSnapshot *found = list->pdata[i];
        const SnapshotModel *snapshot = find_snapshot(model, (uint32_t)atoi(found->name));
        g_autofree char *where = g_strdup_printf("%s, snapshot %s", what, found->name);

        if (!snapshot) {
            g_error("%s: unknown snapshot %s (%s)", what, found->name, found->id);
        }
        required -= snapshot->created && !snapshot->deleting;
        g_assert_true(node->driver->snapshot_load(node, found->id, NULL));
        verify_content(node, snapshot->values, where, false);
        node_unref(node);
        node = image_open(kind, false, false, NULL);
    }
    if (required) {
        g_error("%s: %u snapshots are missing", what, required);
    }
    node_unref(node);
}

static void collect(void *opaque, const char *text)
{
    g_string_append_printf(opaque, "%s\n", text);
}

void verify_check_first(const Kind *kind, const char *what)
{
    GError *error = NULL;
    BlockNode *node = image_open(kind, false, true, &error);
    g_autoptr(GString) said = g_string_new(NULL);
    BlockCheck check = { .message = collect, .opaque = said };
    BlockNodeInfo info = { 0 };

    if (!node) {
        g_error("%s: does not open for check: %s", what, error->message);
    }
    g_assert_cmpint(node->driver->check(node, &check), ==, 0);
    node->driver->info(node, &info);
    if (check.check_errors || (check.corruptions && !info.is_dirty)) {
        dump_events(0);
        g_error("%s: %u corruptions: %s", what, (unsigned)check.corruptions, said->str);
    }
    node_unref(node);
}

void verify(const Kind *kind, const Model *model, const char *what, bool live)
{
    BlockCheck check = { 0 };
    GError *error = NULL;
    BlockNode *node;

    verify_check_first(kind, what);
    node = image_open(kind, true, false, &error);
    if (!node) {
        g_error("%s: does not open: %s", what, error->message);
    }
    verify_content(node, model->values, what, live);
    g_assert_cmpint(node->driver->check(node, &check), ==, 0);
    if (check.corruptions || check.check_errors) {
        g_error("%s: %u corruptions after opening", what, (unsigned)check.corruptions);
    }
    node_unref(node);
    if (kind->snapshots) {
        verify_snapshots(kind, model, what);
    }
}
