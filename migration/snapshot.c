/* SPDX-License-Identifier: MIT */
/* Snapshots of the whole machine inside its disks. */
#include "migration/snapshot.h"

#include <string.h>

#include "base/error.h"
#include "block/vm-snapshot.h"
#include "machine/icount.h"
#include "machine/saved-state.h"
#include "migration/private.h"

/* The state's place in an image, written and read in large pieces. */
typedef struct {
    VmSnapshot *set;
    GByteArray *buffer;
    size_t taken;    /* reading: of the buffer */
    uint64_t offset; /* in the image, of what follows the buffer */
    uint64_t end;    /* reading: how many bytes there are */
    const char *tag; /* reading: of a snapshot that is not applied; NULL: of the one that is */
} StateFile;

enum { PIECE_BYTES = 4 << 20, HURRY_US = 500 * 1000 };

static bool flush_state(StateFile *file, GError **error)
{
    int result =
        vm_snapshot_state_write(file->set, file->offset, file->buffer->data, file->buffer->len);

    if (result < 0) {
        return error_fail_errno(error, -result, "Could not write the state of the machine");
    }
    file->offset += file->buffer->len;
    g_byte_array_set_size(file->buffer, 0);
    return true;
}

static bool write_state(void *opaque, const void *data, size_t size, GError **error)
{
    StateFile *file = opaque;

    g_byte_array_append(file->buffer, data, (guint)size);
    return file->buffer->len < PIECE_BYTES || flush_state(file, error);
}

static bool fill(StateFile *file, GError **error)
{
    uint64_t part = MIN(file->end - file->offset, PIECE_BYTES);
    int result;

    if (!part) {
        return error_fail(error, KASO_ERROR_INVALID, "the saved state of the machine is cut short");
    }
    g_byte_array_set_size(file->buffer, (guint)part);
    result = file->tag ? vm_snapshot_state_peek(file->set, file->tag, file->offset,
                                                file->buffer->data, part)
                       : vm_snapshot_state_read(file->set, file->offset, file->buffer->data, part);
    if (result < 0) {
        return error_fail_errno(error, -result, "Could not read the state of the machine");
    }
    file->offset += part;
    file->taken = 0;
    return true;
}

static bool read_state(void *opaque, void *data, size_t size, GError **error)
{
    StateFile *file = opaque;
    uint8_t *to = data;

    while (size) {
        size_t part = MIN(size, file->buffer->len - file->taken);

        if (!part) {
            if (!fill(file, error)) {
                return false;
            }
            continue;
        }
        memcpy(to, file->buffer->data + file->taken, part);
        file->taken += part;
        to += part;
        size -= part;
    }
    return true;
}

static char *tag_of_now(void)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();

    return g_date_time_format(now, "vm-%Y%m%d%H%M%S");
}

static bool make_room(VmSnapshot *set, const char *tag, bool replace, GError **error)
{
    if (!vm_snapshot_any_has(set, tag)) {
        return true;
    }
    if (!replace) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Snapshot '%s' already exists in one or more devices", tag);
    }
    return vm_snapshot_delete(set, tag, error);
}

static VmSnapshot *open_disks(Machine *machine, const SnapshotDisks *disks, GError **error)
{
    if (!machine->block_graph) {
        error_fail(error, KASO_ERROR_INVALID,
                   "No block device can accept snapshots: the machine has none");
        return NULL;
    }
    return migration_may_begin(machine, error)
               ? vm_snapshot_new(machine->block_graph, disks->devices, disks->vmstate, error)
               : NULL;
}

/* Saving, in steps of some MiB. */

struct SnapshotSave {
    Machine *machine;
    VmSnapshot *set;
    char *tag;
    StopReason before;
    bool ran, more;
    StateFile file;
    StreamWriter writer;
    RamSender
        *sender; /* live: what comes from outside between the steps may be written to memory */
    GError *error;
    SnapshotDone *done;
    void *opaque;
    guint source;
};

enum { STEP_BYTES = 8 << 20 };

static SnapshotSave *save_new(Machine *machine, const char *tag, const SnapshotDisks *disks,
                              GError **error)
{
    VmSnapshot *set = machine_may_save(machine, error) ? open_disks(machine, disks, error) : NULL;
    SnapshotSave *save;

    if (!set) {
        return NULL;
    }
    save = g_new0(SnapshotSave, 1);
    save->machine = machine;
    save->set = set;
    save->tag = tag ? g_strdup(tag) : tag_of_now();
    save->file = (StateFile){ .set = set, .buffer = g_byte_array_new() };
    save->writer.sink = (StreamSink){ write_state, &save->file };
    return save;
}

static void save_free(SnapshotSave *save)
{
    g_clear_pointer(&save->sender, ram_sender_free);
    g_byte_array_unref(save->file.buffer);
    vm_snapshot_free(save->set);
    g_free(save->tag);
    g_free(save);
}

/* The machine stands from then on, until save_end. */
static bool save_begin(SnapshotSave *save, bool replace, GError **error)
{
    if (!machine_state_hold(save->machine, STOP_SAVE_VM, &save->before, &save->ran)) {
        return error_fail(error, KASO_ERROR_GENERIC, "the run has ended");
    }
    memory_flush_late(save->machine);
    save->more =
        make_room(save->set, save->tag, replace, &save->error) &&
        machine_state_write_head(save->machine, &save->writer, &(MachineHead){ 0 }, &save->error);
    save->sender = ram_sender_new(save->machine, true);
    return true;
}

/* Ends it as a failure. */
static void save_abandon(SnapshotSave *save)
{
    if (!save->error) {
        error_fail(&save->error, KASO_ERROR_GENERIC,
                   "the machine ended before its state was saved");
    }
    save->more = false;
}

/* Whether there is more of it. */
static bool save_step(SnapshotSave *save)
{
    uint64_t until = save->writer.bytes + STEP_BYTES;
    unsigned looks = 0;

    if (machine_end_pending(save->machine)) {
        save_abandon(save);
    }
    while (save->more && save->writer.bytes < until && looks++ < STEP_BYTES >> 20) {
        if (!ram_sender_send(save->sender, &save->writer, &save->more, &save->error)) {
            save->more = false;
        }
    }
    return save->more;
}

static bool write_rest(SnapshotSave *save)
{
    Machine *machine = save->machine;
    uint64_t left;

    memory_flush_late(machine);
    left = ram_sender_collect(save->sender);
    for (bool more = left > 0; more;) {
        if (!ram_sender_send(save->sender, &save->writer, &more, &save->error)) {
            return false;
        }
    }
    return machine_state_write_devices(machine, &save->writer, save->ran, &save->error) &&
           flush_state(&save->file, &save->error);
}

/* The rest, in one go; the machine runs on. */
static bool save_end(SnapshotSave *save, GError **error)
{
    Machine *machine = save->machine;
    bool ok =
        !save->error && write_rest(save) &&
        vm_snapshot_create(save->set, save->tag, save->writer.bytes,
                           (uint64_t)clock_now_ns(machine), icount_executed(machine), &save->error);

    if (!ok) {
        vm_snapshot_state_drop(save->set);
        g_propagate_error(error, save->error);
    }
    machine_state_go_on(machine, save->before, save->ran);
    return ok;
}

bool snapshot_save(Machine *machine, const char *tag, bool replace, const SnapshotDisks *disks,
                   GError **error)
{
    SnapshotSave *save = save_new(machine, tag, disks, error);
    bool ok = save && save_begin(save, replace, error);

    if (ok) {
        while (save_step(save)) {
        }
        ok = save_end(save, error);
    }
    if (save) {
        save_free(save);
    }
    return ok;
}

static void save_conclude(SnapshotSave *save)
{
    SnapshotDone *done = save->done;
    void *opaque = save->opaque;
    GError *error = NULL;

    migration_of(save->machine)->saving = NULL;
    save_end(save, &error);
    save_free(save);
    done(opaque, error);
}

static gboolean save_some(gpointer opaque)
{
    SnapshotSave *save = opaque;
    Machine *machine = save->machine;
    bool more;

    machine_lock(machine);
    more = save_step(save);
    if (!more) {
        save_conclude(save);
    }
    machine_unlock(machine);
    return more ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

void snapshot_save_hurry(SnapshotSave *save)
{
    gint64 limit = g_get_monotonic_time() + HURRY_US;

    g_source_remove(save->source);
    while (save_step(save)) {
        if (g_get_monotonic_time() > limit) {
            save_abandon(save);
        }
    }
    save_conclude(save);
}

bool snapshot_save_start(Machine *machine, const char *tag, bool replace,
                         const SnapshotDisks *disks, SnapshotDone *done, void *opaque,
                         GError **error)
{
    SnapshotSave *save = save_new(machine, tag, disks, error);

    if (!save) {
        return false;
    }
    if (!save_begin(save, replace, error)) {
        save_free(save);
        return false;
    }
    save->done = done;
    save->opaque = opaque;
    save->source = g_idle_add(save_some, save);
    migration_of(machine)->saving = save;
    return true;
}

bool snapshot_save_progress(Machine *machine, uint64_t *done, uint64_t *total)
{
    const SnapshotSave *save = migration_of(machine)->saving;

    if (save) {
        RamCounts counts = ram_sender_counts(save->sender);

        *total = counts.total_bytes;
        *done = counts.total_bytes - counts.remaining_pages * RAM_PAGE_BYTES;
    }
    return save != NULL;
}

/* Whether the machine will take the state, before anything is given up for it. */
static bool check(Machine *machine, VmSnapshot *set, const char *tag, GError **error)
{
    StateFile file = { .set = set, .tag = tag, .buffer = g_byte_array_new() };
    StreamReader reader = { .source = { read_state, &file }, .content = g_byte_array_new() };
    bool ok;

    file.end = vm_snapshot_state_bytes(set, tag);
    ok = machine_state_check(machine, &reader, error);
    g_byte_array_unref(file.buffer);
    g_byte_array_unref(reader.content);
    return ok;
}

static bool read_all(Machine *machine, StreamReader *reader, GError **error)
{
    MachineState state = { 0 };
    MachineHead head;
    bool running, ok;

    ok = machine_state_read_head(reader, error) &&
         machine_state_match(machine, reader, &state, &head, error);
    if (ok) {
        machine_reset(machine);
        ram_clear(machine);
    }
    ok = ok && machine_state_read(machine, reader, &state, error) &&
         machine_state_load(machine, &state, &running, error);
    machine_state_clear(&state);
    return ok;
}

/* The disks become the snapshot's before the state is read, which lies in one of them: there is no way back. */
static bool load(Machine *machine, VmSnapshot *set, const char *tag, GError **error)
{
    StateFile file = { .set = set, .buffer = g_byte_array_new() };
    StreamReader reader = { .source = { read_state, &file }, .content = g_byte_array_new() };
    bool ok;

    file.end = vm_snapshot_state_bytes(set, tag);
    ok = vm_snapshot_apply(set, tag, error) && read_all(machine, &reader, error);
    vm_snapshot_state_drop(set); /* it stays the snapshot's */
    g_byte_array_unref(file.buffer);
    g_byte_array_unref(reader.content);
    if (!ok) {
        g_prefix_error(error, "the machine is stopped and was reset: ");
        machine_reset(machine);
    }
    return ok;
}

bool snapshot_load(Machine *machine, const char *tag, const SnapshotDisks *disks, GError **error)
{
    VmSnapshot *set = open_disks(machine, disks, error);
    StopReason before;
    bool ok, run;

    if (!set) {
        return false;
    }
    ok = vm_snapshot_all_have(set, tag, error) &&
         (vm_snapshot_state_bytes(set, tag) ||
          error_fail(error, KASO_ERROR_INVALID,
                     "This is a disk-only snapshot. Revert to it offline using kaso-img"));
    if (ok && machine_state_hold(machine, STOP_RESTORE_VM, &before, &run)) {
        ok = check(machine, set, tag, error);
        if (!ok) {
            machine_state_go_on(machine, before, run);
        } else {
            ok = load(machine, set, tag, error);
            machine_state_go_on(machine, STOP_PAUSED, run && ok);
        }
    }
    vm_snapshot_free(set);
    return ok;
}

bool snapshot_delete(Machine *machine, const char *tag, const SnapshotDisks *disks, GError **error)
{
    VmSnapshot *set = open_disks(machine, disks, error);
    bool ok = set && vm_snapshot_delete(set, tag, error);

    vm_snapshot_free(set);
    return ok;
}
