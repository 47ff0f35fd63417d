/* SPDX-License-Identifier: MIT */
/* The machine's named things: back ends, drives, objects, globals, firmware folders, callbacks. */
#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "machine/audio.h"
#include "machine/chardev.h"
#include "machine/netdev.h"
#include "machine/object.h"
#include "machine/private.h"

static void create_things(NamedThings *set)
{
    set->ids = g_ptr_array_new_with_free_func(g_free);
    set->things = g_ptr_array_new();
}

static void destroy_things(NamedThings *set)
{
    g_ptr_array_unref(set->ids);
    g_ptr_array_unref(set->things);
}

static void add_thing(NamedThings *set, const char *id, void *thing)
{
    g_ptr_array_add(set->ids, g_strdup(id));
    g_ptr_array_add(set->things, thing);
}

static void *find_thing(const NamedThings *set, const char *id)
{
    for (unsigned i = 0; i < set->ids->len; i++) {
        if (strcmp(set->ids->pdata[i], id) == 0) {
            return set->things->pdata[i];
        }
    }
    return NULL;
}

static void remove_thing(NamedThings *set, const void *thing)
{
    for (unsigned i = set->things->len; i-- > 0;) {
        if (set->things->pdata[i] == thing) {
            g_ptr_array_remove_index(set->ids, i);
            g_ptr_array_remove_index(set->things, i);
        }
    }
}

Chardev *machine_find_chardev(Machine *machine, const char *id)
{
    return find_thing(&machine->private->chardevs, id);
}

Netdev *machine_find_netdev(Machine *machine, const char *id)
{
    return find_thing(&machine->private->netdevs, id);
}

Audiodev *machine_find_audiodev(Machine *machine, const char *id)
{
    return find_thing(&machine->private->audiodevs, id);
}

BlockBackend *machine_find_drive(Machine *machine, const char *id)
{
    const NamedThings *drives = &machine->private->drives;

    for (unsigned i = drives->ids->len; i-- > 0;) {
        if (strcmp(drives->ids->pdata[i], id) == 0) {
            return drives->things->pdata[i];
        }
    }
    return NULL;
}

char *machine_drive_name(Machine *machine, const BlockBackend *drive)
{
    const NamedThings *drives = &machine->private->drives;
    guint i;

    return g_strdup(drive && g_ptr_array_find(drives->things, drive, &i) ? drives->ids->pdata[i]
                                                                         : "");
}

BlockBackend *machine_open_drive(Machine *machine, const char *id, GError **error)
{
    MachinePrivate *private = machine->private;
    BlockBackend *drive = machine_find_drive(machine, id);

    /* One that was opened for a device is that device's; another has its own, and permissions decide. */
    if (drive && !g_ptr_array_find(private->opened_drives, drive, NULL)) {
        return drive;
    }
    if (!private->drive_opener) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "there is no drive '%s'", id);
        return NULL;
    }
    drive = private->drive_opener(private->drive_opener_opaque, id, error);
    if (drive) {
        g_ptr_array_add(private->opened_drives, drive);
    }
    return drive;
}

void machine_leave_drive(Machine *machine, BlockBackend *drive)
{
    MachinePrivate *private = machine->private;

    if (drive && g_ptr_array_remove(private->opened_drives, drive)) {
        private->drive_closer(private->drive_opener_opaque, drive);
    }
}

void machine_disown_drive(Machine *machine, BlockBackend *drive)
{
    MachinePrivate *private = machine->private;

    if (!g_ptr_array_find(private->opened_drives, drive, NULL) &&
        g_ptr_array_find(private->drives.things, drive, NULL)) {
        machine_remove_drive(machine, drive);
        g_ptr_array_add(private->opened_drives, drive);
    }
}

void machine_set_drive_opener(Machine *machine, DriveOpener *opener, DriveCloser *closer,
                              void *opaque)
{
    machine->private->drive_opener = opener;
    machine->private->drive_closer = closer;
    machine->private->drive_opener_opaque = opaque;
}

Object *machine_find_object(Machine *machine, const char *id)
{
    return find_thing(&machine->private->objects, id);
}

Object *machine_find_memory(Machine *machine, const char *id, ObjectMemory *memory, GError **error)
{
    Object *object = machine_find_object(machine, id);

    if (!object || !object->type->memory) {
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   "there is no memory back end '%s'; define it with "
                   "-object memory-backend-ram,id=%s,size=…",
                   id, id);
        return NULL;
    }
    object->type->memory(object, memory);
    return object;
}

void machine_add_chardev(Machine *machine, const char *id, Chardev *chardev)
{
    add_thing(&machine->private->chardevs, id, chardev);
}

void machine_add_netdev(Machine *machine, const char *id, Netdev *netdev)
{
    add_thing(&machine->private->netdevs, id, netdev);
}

void machine_add_audiodev(Machine *machine, Audiodev *audiodev)
{
    add_thing(&machine->private->audiodevs, audiodev->id, audiodev);
}

void machine_set_default_audiodev(Machine *machine, Audiodev *audiodev)
{
    machine->private->default_audiodev = audiodev;
}

void machine_add_drive(Machine *machine, const char *id, BlockBackend *drive)
{
    add_thing(&machine->private->drives, id, drive);
}

void machine_add_object(Machine *machine, Object *object)
{
    add_thing(&machine->private->objects, object->id, object);
}

GPtrArray *machine_chardevs(Machine *machine)
{
    return machine->private->chardevs.things;
}

GPtrArray *machine_objects(Machine *machine)
{
    return machine->private->objects.things;
}

GPtrArray *machine_netdevs(Machine *machine)
{
    return machine->private->netdevs.things;
}

GPtrArray *machine_audiodevs(Machine *machine)
{
    return machine->private->audiodevs.things;
}

GPtrArray *machine_drives(Machine *machine)
{
    return machine->private->drives.things;
}

void machine_remove_chardev(Machine *machine, Chardev *chardev)
{
    remove_thing(&machine->private->chardevs, chardev);
}

void machine_remove_netdev(Machine *machine, Netdev *netdev)
{
    remove_thing(&machine->private->netdevs, netdev);
}

void machine_remove_drive(Machine *machine, BlockBackend *drive)
{
    remove_thing(&machine->private->drives, drive);
}

void machine_remove_object(Machine *machine, Object *object)
{
    remove_thing(&machine->private->objects, object);
}

Chardev *machine_serial(Machine *machine, unsigned index)
{
    GPtrArray *serials = machine->private->serials;

    return index < serials->len ? serials->pdata[index] : NULL;
}

void machine_set_serial(Machine *machine, unsigned index, Chardev *chardev)
{
    GPtrArray *serials = machine->private->serials;

    if (index >= serials->len) {
        g_ptr_array_set_size(serials, index + 1);
    }
    serials->pdata[index] = chardev;
}

BlockBackend *machine_placed_drive(Machine *machine, const char *interface, unsigned index)
{
    g_autofree char *place = g_strdup_printf("%s.%u", interface, index);

    return find_thing(&machine->private->placed_drives, place);
}

bool machine_place_drive(Machine *machine, const char *interface, unsigned index,
                         BlockBackend *drive)
{
    g_autofree char *place = g_strdup_printf("%s.%u", interface, index);

    if (find_thing(&machine->private->placed_drives, place)) {
        return false;
    }
    add_thing(&machine->private->placed_drives, place, drive);
    return true;
}

void machine_add_global(Machine *machine, const char *driver, const char *property,
                        const char *value)
{
    GlobalProperty global = { g_strdup(driver), g_strdup(property), g_strdup(value), false };

    g_array_append_val(machine->private->globals, global);
}

void machine_add_default(Machine *machine, const char *property, const char *value)
{
    GlobalProperty global = { NULL, g_strdup(property), g_strdup(value), true };

    g_array_prepend_val(machine->private->globals, global);
}

void machine_apply_globals(Machine *machine, Device *device, const char *type_name)
{
    GArray *globals = machine->private->globals;
    const char *alias = device->type ? device->type->alias : NULL;

    for (unsigned i = 0; i < globals->len; i++) {
        GlobalProperty *global = &g_array_index(globals, GlobalProperty, i);
        const Property *table = device->type->properties;
        g_autoptr(GError) error = NULL;
        g_autofree char *who = NULL;

        if (!property_find(table, global->property)) {
            table = device->type->bus_properties;
        }
        if (global->driver ? strcmp(global->driver, type_name) != 0 &&
                                 (!alias || strcmp(global->driver, alias) != 0)
                           : !property_find(table, global->property)) {
            continue;
        }
        global->used = true;
        who = g_strdup_printf("-global %s.%s", global->driver, global->property);
        if (!property_set(machine, table, device, who, global->property, global->value, &error)) {
            g_printerr("kaso: warning: %s\n", error->message);
        }
    }
}

const char *machine_unused_global(Machine *machine)
{
    GArray *globals = machine->private->globals;

    for (unsigned i = 0; i < globals->len; i++) {
        GlobalProperty *global = &g_array_index(globals, GlobalProperty, i);

        const DeviceType *type = global->driver ? device_type_find(global->driver) : NULL;

        /* What may be plugged later is for that. */
        if (!global->used && !(type && type->bus && !type->fixed && !type->board_only)) {
            return global->driver;
        }
    }
    return NULL;
}

unsigned machine_next_number(Machine *machine, const char *type_name)
{
    GHashTable *counts = machine->private->type_counts;
    unsigned number = GPOINTER_TO_UINT(g_hash_table_lookup(counts, type_name));

    g_hash_table_insert(counts, g_strdup(type_name), GUINT_TO_POINTER(number + 1));
    return number;
}

void machine_add_firmware_folder(Machine *machine, const char *folder)
{
    g_ptr_array_add(machine->private->firmware_folders, g_strdup(folder));
}

/* Where Debian's packages put what we run. */
static const char *const package_folders[] = {
    "/usr/share/qemu-efi-aarch64",
    "/usr/share/AAVMF",
    "/usr/share/qemu",
    "/usr/share/OVMF",
    "/usr/lib/u-boot/qemu_arm64",
    "/usr/lib/u-boot/qemu_arm",
    "/usr/share/seabios",
    "/usr/lib/ipxe/qemu",
    NULL,
};

const char *const *machine_firmware_folders(void)
{
    return package_folders;
}

char *machine_find_firmware(Machine *machine, const char *name, GError **error)
{
    GPtrArray *folders = machine->private->firmware_folders;
    char *path;

    if (access(name, F_OK) == 0) {
        return g_strdup(name);
    }
    for (unsigned i = 0; i < folders->len; i++) {
        path = g_build_filename(folders->pdata[i], name, NULL);
        if (access(path, R_OK) == 0) {
            return path;
        }
        g_free(path);
    }
    for (size_t i = 0; package_folders[i] && !strchr(name, '/'); i++) {
        path = g_build_filename(package_folders[i], name, NULL);
        if (access(path, R_OK) == 0) {
            return path;
        }
        g_free(path);
    }
    error_fail(
        error, KASO_ERROR_NOT_FOUND,
        strchr(name, '/')
            ? "cannot find the firmware '%s': there is no such file"
            : "cannot find the firmware '%s': no such file here, in a -L folder, or in the folders "
              "of the packages qemu-efi-aarch64, ovmf, u-boot-qemu, seabios and ipxe-qemu",
        name);
    return NULL;
}

void machine_on_end(Machine *machine, void (*fn)(void *opaque), void *opaque)
{
    Callback callback = { fn, opaque };

    g_array_append_val(machine->private->end_callbacks, callback);
}

static void forget(GArray *callbacks, const void *opaque)
{
    for (guint i = callbacks->len; i-- > 0;) {
        if (g_array_index(callbacks, Callback, i).opaque == opaque) {
            g_array_remove_index(callbacks, i);
        }
    }
}

void machine_forget_on_end(Machine *machine, const void *opaque)
{
    forget(machine->private->end_callbacks, opaque);
}

void fw_cfg_file_free(FwCfgFile *file)
{
    g_free(file->name);
    g_bytes_unref(file->content);
    g_free(file);
}

void machine_add_firmware_file(Machine *machine, const char *name, GBytes *content)
{
    MachineConfig *config = &machine->config;
    FwCfgFile *file = g_new(FwCfgFile, 1);

    if (!config->fw_cfg_files) {
        config->fw_cfg_files = g_ptr_array_new_with_free_func((GDestroyNotify)fw_cfg_file_free);
    }
    *file = (FwCfgFile){ g_strdup(name), content };
    g_ptr_array_add(config->fw_cfg_files, file);
}

void machine_set_data(Machine *machine, const char *name, void *data)
{
    g_hash_table_insert(machine->private->data, (gpointer)(uintptr_t)name, data);
}

void *machine_get_data(Machine *machine, const char *name)
{
    return g_hash_table_lookup(machine->private->data, name);
}

void machine_on_free(Machine *machine, void (*fn)(void *opaque), void *opaque)
{
    Callback callback = { fn, opaque };

    g_array_append_val(machine->private->free_callbacks, callback);
}

void machine_forget_on_free(Machine *machine, const void *opaque)
{
    forget(machine->private->free_callbacks, opaque);
}

typedef struct {
    void *thing;
    GDestroyNotify free;
    guint64 number; /* in order of attaching */
} Attachment;

static void attachment_free(void *opaque)
{
    Attachment *attachment = opaque;

    attachment->free(attachment->thing);
    g_free(attachment);
}

void *machine_attached(Machine *machine, const char *name)
{
    const Attachment *attachment = g_hash_table_lookup(machine->private->attached, name);

    return attachment ? attachment->thing : NULL;
}

void machine_attach(Machine *machine, const char *name, void *thing, GDestroyNotify free)
{
    Attachment *attachment = g_new(Attachment, 1);

    assert(!machine_attached(machine, name));
    *attachment = (Attachment){ thing, free, ++machine->private->attached_count };
    g_hash_table_insert(machine->private->attached, g_strdup(name), attachment);
}

/* The last one first: it may stand on earlier ones, and look them up. */
static void free_attachments(MachinePrivate *private)
{
    while (g_hash_table_size(private->attached)) {
        const Attachment *attachment, *last = NULL;
        const char *last_name = NULL;
        GHashTableIter iter;
        gpointer name, value;

        g_hash_table_iter_init(&iter, private->attached);
        while (g_hash_table_iter_next(&iter, &name, &value)) {
            attachment = value;
            if (!last || attachment->number > last->number) {
                last = attachment;
                last_name = name;
            }
        }
        g_hash_table_remove(private->attached, last_name);
    }
    g_hash_table_unref(private->attached);
}

void registry_create(Machine *machine)
{
    MachinePrivate *private = machine->private;

    create_things(&private->chardevs);
    create_things(&private->netdevs);
    create_things(&private->audiodevs);
    create_things(&private->drives);
    create_things(&private->objects);
    create_things(&private->placed_drives);
    private->opened_drives = g_ptr_array_new();
    private->attached = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, attachment_free);
    private->serials = g_ptr_array_new();
    private->displays = g_ptr_array_new();
    private->globals = g_array_new(false, false, sizeof(GlobalProperty));
    private->type_counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    private->firmware_folders = g_ptr_array_new_with_free_func(g_free);
    private->listeners = g_array_new(false, false, 2 * sizeof(void *));
    private->state_listeners = g_array_new(false, false, 2 * sizeof(void *));
    private->reset_callbacks = g_array_new(false, false, sizeof(Callback));
    private->end_callbacks = g_array_new(false, false, sizeof(Callback));
    private->data = g_hash_table_new(g_str_hash, g_str_equal);
    private->free_callbacks = g_array_new(false, false, sizeof(Callback));
}

static void free_globals(GArray *globals)
{
    for (unsigned i = 0; i < globals->len; i++) {
        GlobalProperty *global = &g_array_index(globals, GlobalProperty, i);

        g_free(global->driver);
        g_free(global->property);
        g_free(global->value);
    }
    g_array_unref(globals);
}

void registry_destroy(Machine *machine)
{
    MachinePrivate *private = machine->private;

    for (unsigned i = private->free_callbacks->len; i-- > 0;) {
        Callback *callback = &g_array_index(private->free_callbacks, Callback, i);

        callback->fn(callback->opaque);
    }
    /* Later ones may stand on earlier ones, as a multiplexer does. */
    for (unsigned i = private->netdevs.things->len; i-- > 0;) {
        netdev_free(private->netdevs.things->pdata[i]);
    }
    for (unsigned i = private->audiodevs.things->len; i-- > 0;) {
        audiodev_free(private->audiodevs.things->pdata[i]);
    }
    g_clear_pointer(&private->silent_audiodev, audiodev_free);
    for (unsigned i = private->chardevs.things->len; i-- > 0;) {
        chardev_free(private->chardevs.things->pdata[i]);
    }
    for (unsigned i = private->objects.things->len; i-- > 0;) {
        object_free(private->objects.things->pdata[i]);
    }
    destroy_things(&private->chardevs);
    destroy_things(&private->netdevs);
    destroy_things(&private->audiodevs);
    destroy_things(&private->drives);
    destroy_things(&private->objects);
    destroy_things(&private->placed_drives);
    g_ptr_array_unref(private->opened_drives);
    free_attachments(private);
    g_ptr_array_unref(private->serials);
    g_hash_table_unref(private->data);
    g_ptr_array_unref(private->displays);
    free_globals(private->globals);
    g_hash_table_unref(private->type_counts);
    g_ptr_array_unref(private->firmware_folders);
    g_array_unref(private->listeners);
    g_array_unref(private->state_listeners);
    g_array_unref(private->reset_callbacks);
    g_array_unref(private->end_callbacks);
    g_array_unref(private->free_callbacks);
    g_clear_pointer(&private->external_registers, g_array_unref);
}
