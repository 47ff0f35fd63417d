/* SPDX-License-Identifier: MIT */
/* From the choices to a machine that is ready to start, stage by stage. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "hw/acpi/acpi.h"
#include "machine/accelerator.h"
#include "machine/object.h"
#include "machine/random.h"
#include "main/setup.h"

/* Options that are one accelerator's, wherever they were given. */
static GHashTable *add_option(GHashTable *options, const char *name, const char *text)
{
    GHashTable *all = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GHashTableIter it;
    void *key, *value;

    g_hash_table_insert(all, g_strdup(name), g_strdup(text));
    if (options) {
        g_hash_table_iter_init(&it, options);
        while (g_hash_table_iter_next(&it, &key, &value)) {
            g_hash_table_insert(all, g_strdup(key), g_strdup(value));
        }
    }
    return all;
}

static bool try_accelerator(Setup *setup, const char *name, GHashTable *options, GError **error)
{
    const Accelerator *accelerator = accelerator_find(name, error);
    g_autoptr(GHashTable) all = NULL;

    if (!accelerator) {
        g_prefix_error(error, "-accel %s: ", name);
    }
    if (setup->perfmap && strcmp(name, "tcg") == 0) {
        options = all = add_option(options, "perfmap", "on");
    }
    if (setup->one_insn && strcmp(name, "tcg") == 0) {
        options = add_option(options, "one-insn-per-tb", "on");
        g_clear_pointer(&all, g_hash_table_unref);
        all = options;
    }
    if (setup->kernel_irqchip && strcmp(name, "kvm") == 0) {
        options = all = add_option(options, "kernel-irqchip", setup->kernel_irqchip);
    }
    return accelerator && machine_set_accelerator(setup->machine, accelerator, options, error);
}

/* The first of the list that works; each that does not is told in a line, unless it was the last. */
static bool choose_accelerator(Setup *setup, GError **error)
{
    if (setup->accelerators->len == 0) {
        return try_accelerator(setup, "tcg", NULL, error);
    }
    for (unsigned i = 0; i < setup->accelerators->len; i++) {
        const AcceleratorChoice *choice = &g_array_index(setup->accelerators, AcceleratorChoice, i);
        g_autoptr(GError) why = NULL;

        if (try_accelerator(setup, choice->name, choice->options, &why)) {
            return true;
        }
        if (i + 1 == setup->accelerators->len) {
            g_propagate_error(error, g_steal_pointer(&why));
            return false;
        }
        fprintf(stderr, "%s: %s; trying the next\n", setup->program, why->message);
    }
    return false;
}

/* -mem-path (or -mem-prealloc alone) is a memory back end that the user did not name. */
static bool create_memory_path(Setup *setup, GError **error)
{
    g_autoptr(GHashTable) options = NULL;
    Object *object;

    if (!setup->memory_path && !setup->memory_prealloc) {
        return true;
    }
    options = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    if (setup->memory_path) {
        g_hash_table_insert(options, (void *)"mem-path", g_strdup(setup->memory_path));
    }
    g_hash_table_insert(options, (void *)"prealloc",
                        g_strdup(setup->memory_prealloc ? "on" : "off"));
    g_hash_table_insert(options, (void *)"size",
                        g_strdup_printf("%" G_GUINT64_FORMAT, setup->config.ram_bytes));
    object = object_new(setup->machine,
                        setup->memory_path ? "memory-backend-file" : "memory-backend-ram",
                        "mem-path", options, error);
    if (!object) {
        return false;
    }
    machine_add_object(setup->machine, object);
    g_free(setup->machine->config.memory_backend);
    setup->machine->config.memory_backend = g_strdup("mem-path");
    return true;
}

static void drain_drives(void *opaque, bool running)
{
    Machine *machine = opaque;
    BlockBackend *drive = NULL;

    if (running) { /* what failed is tried again */
        while ((drive = block_next(machine->block_graph, drive))) {
            block_set_io_status(drive, 0);
        }
        return;
    }
    /* Completions take the machine lock, so it is given up while they run. */
    machine_unlock(machine);
    while ((drive = block_next(machine->block_graph, drive))) {
        block_settle(drive);
    }
    machine_lock(machine);
}

/* From now on nothing that images wait for delays the end. */
static void end_drives(void *opaque)
{
    Machine *machine = opaque;

    machine_unlock(machine);
    block_graph_hasten(machine->block_graph);
    block_jobs_end(machine->block_graph);
    machine_lock(machine);
}

static void close_drives(void *opaque)
{
    Machine *machine = opaque;
    GPtrArray *drives = machine_drives(machine);

    block_graph_hasten(machine->block_graph);
    block_set_event_handler(machine->block_graph, NULL, NULL); /* who listened is gone */
    block_nbd_stop(machine->block_graph, NULL);
    for (unsigned i = 0; i < drives->len; i++) {
        block_close(drives->pdata[i]);
    }
    block_graph_free(machine->block_graph);
}

/* drive= may name a node of -blockdev, which gets its back end then. */
static BlockBackend *attach_node(void *opaque, const char *name, GError **error)
{
    Machine *machine = opaque;
    BlockBackend *drive = block_attach(machine->block_graph, name, false, error);

    if (drive) {
        machine_add_drive(machine, name, drive);
    }
    return drive;
}

/* The node is free for another device, or to be closed. */
static void leave_node(void *opaque, BlockBackend *drive)
{
    machine_remove_drive(opaque, drive);
    block_jobs_leave(drive);
    block_close(drive);
}

/* The board's own graphics card is not wanted beside one of -device. */
static bool device_is_display(const GivenOption *given)
{
    g_autofree char *name = NULL;
    const DeviceType *type;

    if (strcmp(given->option->name, "device") != 0) {
        return false;
    }
    name = g_strndup(given->argument, strcspn(given->argument, ","));
    type = device_type_find(g_str_has_prefix(name, "driver=") ? name + strlen("driver=") : name);
    return type && type->category && strcmp(type->category, "display") == 0;
}

static void choose_vga(Setup *setup)
{
    for (unsigned i = 0; !setup->config.vga && i < setup->given->len; i++) {
        if (device_is_display(&g_array_index(setup->given, GivenOption, i))) {
            setup->config.vga = g_strdup("none");
        }
    }
    if (setup->config.vga && strcmp(setup->config.vga, "none") != 0 && setup->config.board &&
        !setup->config.board->default_vga) {
        fprintf(stderr,
                "%s: warning: -vga %s: machine '%s' has no graphics card of its own; use -device\n",
                setup->program, setup->config.vga, setup->config.board->name);
    }
}

/* Whether the board or an option gives it a graphics card. */
static bool has_screen(const Setup *setup)
{
    const MachineConfig *config = &setup->config;

    for (unsigned i = 0; i < setup->given->len; i++) {
        if (device_is_display(&g_array_index(setup->given, GivenOption, i))) {
            return true;
        }
    }
    return config->board->default_vga &&
           (config->vga ? strcmp(config->vga, "none") != 0 : !config->no_defaults);
}

/* A device of -usbdevice brings the controller with it, unless there shall be none. */
static void choose_usb(Setup *setup)
{
    for (unsigned i = 0; !setup->usb_given && i < setup->given->len; i++) {
        const GivenOption *given = &g_array_index(setup->given, GivenOption, i);

        setup->config.usb |= strcmp(given->option->name, "usbdevice") == 0;
    }
}

static void create_machine(Setup *setup)
{
    MachineConfig config;
    Machine *machine;

    viewers_choose_default(setup, has_screen(setup));
    choose_vga(setup);
    choose_usb(setup);
    config = setup->config; /* the handlers still read the scalars and the board */
    config.options = option_groups(setup);
    machine = machine_new(&config);
    setup->machine = machine;
    if (setup->seeded) {
        machine_seed_random(machine, setup->seed);
    }
    machine_set_data(machine, ACPI_GIVEN_TABLES, setup->acpi_tables);
    setup->graph = block_graph_new(NULL);
    if (setup->incoming) {
        block_begin_inactive(setup->graph); /* who sends the machine has them still */
    }
    if (!setup->daemonize) {
        block_set_named_file_handler(setup->graph, block_show_named_file, (void *)"kaso");
    }
    machine->block_graph = setup->graph;
    machine_set_drive_opener(machine, attach_node, leave_node, machine);
    machine_on_free(machine, close_drives, machine);
    machine_on_run_state(machine, drain_drives, machine);
    machine_on_end(machine, end_drives, machine);
    for (unsigned i = 0; i < setup->firmware_folders->len; i++) {
        machine_add_firmware_folder(machine, setup->firmware_folders->pdata[i]);
    }
    for (unsigned i = 0; i < setup->globals->len; i++) {
        const KeyValues *global = setup->globals->pdata[i];

        machine_add_global(machine, key_values_get(global, "driver"),
                           key_values_get(global, "property"), key_values_get(global, "value"));
    }
}

/* Until here a signal ends the program as usual: a socket with wait=on may wait for ever. */
static bool build_consoles(Setup *setup, GError **error)
{
    bool ok = create_memory_path(setup, error) && setup_run_stage(setup, STAGE_OBJECT, error) &&
              setup_run_stage(setup, STAGE_NUMA, error) &&
              setup_run_stage(setup, STAGE_CHARDEV, error) &&
              setup_run_stage(setup, STAGE_CONSOLE, error) && consoles_add_defaults(setup, error);

    process_watch_signals(setup);
    return ok;
}

/* All that is mapped, and what will be: guest memory above all; late: as soon as it is used. */
static bool lock_memory(const Setup *setup, GError **error)
{
    int flags = MCL_CURRENT | MCL_FUTURE | (setup->memory_lock_late ? MCL_ONFAULT : 0);

    return !setup->memory_lock || mlockall(flags) == 0 ||
           error_fail_errno(error, errno,
                            "-overcommit mem-lock=: the host does not keep that much in its RAM "
                            "(ulimit -l)");
}

bool setup_build(Setup *setup, GError **error)
{
    const char *unused;

    create_machine(setup);
    if (!build_consoles(setup, error) || !setup_run_stage(setup, STAGE_BLOCKDEV, error) ||
        !setup_run_stage(setup, STAGE_DRIVE, error) || !drives_add_defaults(setup, error) ||
        !setup_run_stage(setup, STAGE_NETDEV, error) || !setup_run_stage(setup, STAGE_NIC, error) ||
        !network_add_defaults(setup, error) || !objects_add_on_netdevs(setup, error) ||
        !choose_accelerator(setup, error) || !machine_build(setup->machine, error) ||
        !network_create_devices(setup, error) || !sound_create_devices(setup, error) ||
        !drives_create_devices(setup, error) || !setup_run_stage(setup, STAGE_DEVICE, error) ||
        !machine_load(setup->machine, error) || !monitors_create(setup, error) ||
        !viewers_start(setup, error) || !lock_memory(setup, error)) {
        return false;
    }
    unused = machine_unused_global(setup->machine);
    if (unused) {
        fprintf(stderr, "%s: warning: -global %s…: there is no such device in this machine\n",
                setup->program, unused);
    }
    return true;
}
