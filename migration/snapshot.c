/* SPDX-License-Identifier: MIT */
/* Snapshots of the whole machine inside its disks. */
#include "migration/snapshot.h"

#include <string.h>

#include "base/error.h"
#include "block/vm-snapshot.h"
#include "machine/saved-state.h"
#include "migration/machine-state.h"
#include "migration/migration.h"

/* The state's place in an image, written and read in large pieces. */
typedef struct {
    VmSnapshot *set;
    GByteArray *buffer;
    size_t taken;    /* reading: of the buffer */
    uint64_t offset; /* in the image, of what follows the buffer */
    uint64_t end;    /* reading: how many bytes there are */
} StateFile;

enum { PIECE_BYTES = 4 << 20 };

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
    result = vm_snapshot_state_read(file->set, file->offset, file->buffer->data, part);
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

static bool write_all(Machine *machine, VmSnapshot *set, bool running, uint64_t *bytes,
                      GError **error)
{
    StateFile file = { .set = set, .buffer = g_byte_array_new() };
    StreamWriter writer = { .sink = { write_state, &file } };
    bool ok = machine_state_write(machine, &writer, running, error) && flush_state(&file, error);

    *bytes = writer.bytes;
    g_byte_array_unref(file.buffer);
    return ok;
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

bool snapshot_save(Machine *machine, const char *tag, bool replace, const SnapshotDisks *disks,
                   GError **error)
{
    VmSnapshot *set = machine_may_save(machine, error) ? open_disks(machine, disks, error) : NULL;
    g_autofree char *made = tag ? NULL : tag_of_now();
    uint64_t bytes;
    StopReason before;
    bool run, ok;

    tag = tag ? tag : made;
    if (!set) {
        return false;
    }
    ok = machine_state_hold(machine, STOP_SAVE_VM, &before, &run);
    if (!ok) {
        vm_snapshot_free(set);
        return error_fail(error, KASO_ERROR_GENERIC, "the run has ended");
    }
    ok = make_room(set, tag, replace, error) && write_all(machine, set, run, &bytes, error) &&
         vm_snapshot_create(set, tag, bytes, (uint64_t)clock_now_ns(machine), error);
    machine_state_go_on(machine, before, run);
    vm_snapshot_free(set);
    return ok;
}

static bool read_all(Machine *machine, StreamReader *reader, GError **error)
{
    MachineState state = { 0 };
    bool running, answer, ok;

    ok = machine_state_read_head(machine, reader, &state, &answer, error);
    if (ok) {
        machine_reset(machine);
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
        ok = load(machine, set, tag, error);
        machine_state_go_on(machine, STOP_PAUSED, run && ok);
    }
    vm_snapshot_free(set);
    return ok;
}

bool snapshot_delete(Machine *machine, const char *tag, const SnapshotDisks *disks, GError **error)
{
    VmSnapshot *set = open_disks(machine, disks, error);
    bool ok = set &&
              (vm_snapshot_any_has(set, tag) ||
               error_fail(error, KASO_ERROR_NOT_FOUND,
                          "Snapshot '%s' does not exist in one or more devices", tag)) &&
              vm_snapshot_delete(set, tag, error);

    vm_snapshot_free(set);
    return ok;
}
