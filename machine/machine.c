/* SPDX-License-Identifier: MIT */
/* Life of a machine: creation, building, vCPUs, the lock, destruction. */
#include "machine/machine.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "machine/accelerator.h"
#include "machine/coverage.h"
#include "machine/debug.h"
#include "machine/numa.h"
#include "machine/object.h"
#include "machine/private.h"

void machine_lock(Machine *machine)
{
    MachinePrivate *private = machine->private;

    assert(!machine_lock_held(machine));
    jitter_sleep(&private->jitter, MACHINE_JITTER_NS);
    pthread_mutex_lock(&private->lock);
    atomic_store_explicit(&private->lock_owner, (uintptr_t)pthread_self(), memory_order_relaxed);
}

void machine_unlock(Machine *machine)
{
    MachinePrivate *private = machine->private;

    assert(machine_lock_held(machine));
    /* A quiet point of this thread's use of the map; a vCPU's are its safe points. */
    if (atomic_load_explicit(&private->memory.retired_any, memory_order_relaxed)) {
        memory_reclaim(machine);
    }
    atomic_store_explicit(&private->lock_owner, 0, memory_order_relaxed);
    pthread_mutex_unlock(&private->lock);
}

bool machine_lock_held(Machine *machine)
{
    return atomic_load_explicit(&machine->private->lock_owner, memory_order_relaxed) ==
           (uintptr_t)pthread_self();
}

static void create_root(Machine *machine)
{
    MachinePrivate *private = machine->private;
    const Board *board = machine->config.board;
    size_t size = board ? MAX(board->instance_size, sizeof(Device)) : sizeof(Device);

    private->root_type_name = g_strdup_printf("%s-machine", board ? board->name : "none");
    private->root_type = (DeviceType){
        .name = private->root_type_name,
        .summary = board ? board->summary : "A machine without a board",
        .instance_size = size,
        .properties = board ? board->properties : NULL,
        .board_only = true,
    };
    machine->board = board;
    machine->board_state = g_malloc0(size);
    machine->root = machine->board_state;
    device_adopt(machine->root, machine, &private->root_type, NULL, "machine");
    properties_init(private->root_type.properties, machine->root);
}

Machine *machine_new(MachineConfig *config)
{
    Machine *machine = g_new0(Machine, 1);
    MachinePrivate *private = g_new0(MachinePrivate, 1);

    machine->config = *config;
    *config = (MachineConfig){ 0 };
    machine->private = private;
    machine->vcpus = g_ptr_array_new();
    atomic_init(&machine->stop_reason, STOP_PAUSED);
    pthread_mutex_init(&private->lock, NULL);
    jitter_init(&private->jitter, 0);
    g_mutex_init(&private->park_lock);
    g_cond_init(&private->park_cond);
    g_mutex_init(&private->request_lock);
    registry_create(machine);
    clock_create(machine);
    icount_create(machine);
    memory_create(machine);
    debug_create(machine);
    create_root(machine);
    return machine;
}

bool machine_set_accelerator(Machine *machine, const struct Accelerator *accelerator,
                             GHashTable *options, GError **error)
{
    g_autofree char *who = g_strdup_printf("accelerator '%s'", accelerator->name);
    void *state;

    if (machine->config.icount.on && !(accelerator->abilities & ACCELERATOR_ICOUNT)) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "%s does not count instructions; -icount goes with -accel tcg", who);
    }
    state = g_malloc0(MAX(accelerator->state_size, 1));
    properties_init(accelerator->properties, state);
    if (!properties_set_all(machine, accelerator->properties, state, who, options, error) ||
        (accelerator->init && !accelerator->init(machine, state, error))) {
        properties_free(accelerator->properties, state);
        g_free(state);
        return false;
    }
    machine->accelerator = accelerator;
    machine->accel_state = state;
    return true;
}

bool machine_build(Machine *machine, GError **error)
{
    const Board *board = machine->board;
    g_autofree char *who = g_strdup_printf("machine '%s'", board ? board->name : "none");
    bool ok;

    machine_lock(machine);
    ok = properties_set_all(machine, machine->private->root_type.properties, machine->board_state,
                            who, machine->config.board_options, error) &&
         numa_complete(machine, error) &&
         (!board || board->build(machine, machine->board_state, error));
    machine->root->realized = ok;
    machine_unlock(machine);
    return ok;
}

bool machine_load(Machine *machine, GError **error)
{
    const Board *board = machine->board;
    bool ok;

    machine_lock(machine);
    ok = !board || !board->load || board->load(machine, machine->board_state, error);
    machine->private->loaded = ok;
    machine_unlock(machine);
    return ok;
}

/* Applies -cpu's features in a fixed order of names, so that messages do not depend on hashing. */
static bool set_cpu_options(Machine *machine, Vcpu *vcpu, const char *who, GError **error)
{
    GHashTable *options = machine->config.cpu_options;
    GList *names;
    bool ok = true;

    if (!options) {
        return true;
    }
    names = g_list_sort(g_hash_table_get_keys(options), (GCompareFunc)strcmp);
    for (GList *name = names; name && ok; name = name->next) {
        ok = property_set(machine, vcpu->target->properties, vcpu, who, name->data,
                          g_hash_table_lookup(options, name->data), error);
    }
    g_list_free(names);
    return ok;
}

static bool create_vcpu(Machine *machine, unsigned index, const char *who, GError **error)
{
    const Target *target = machine->config.target;
    Vcpu *vcpu = g_malloc0(target->cpu_size);
    g_autofree char *id = g_strdup_printf("cpu%u", index);

    vcpu_create(vcpu, machine, index);
    vcpu->target = target;
    vcpu->model = machine->config.cpu_model;
    device_adopt(&vcpu->device, machine, &machine->private->cpu_type, machine->root, id);
    g_ptr_array_add(machine->vcpus, vcpu);
    properties_init(target->properties, vcpu);
    machine_apply_globals(machine, &vcpu->device, machine->private->cpu_type_name);
    if (!set_cpu_options(machine, vcpu, who, error) ||
        (target->realize && !target->realize(vcpu, error))) {
        return false;
    }
    vcpu->device.realized = true;
    return !machine->accelerator || !machine->accelerator->vcpu_init ||
           machine->accelerator->vcpu_init(vcpu, error);
}

bool machine_create_vcpus(Machine *machine, GError **error)
{
    MachinePrivate *private = machine->private;
    const MachineConfig *config = &machine->config;
    g_autofree char *who = NULL;

    if (!config->target || !config->cpu_model) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "no CPU model was chosen; give one with -cpu (-cpu help lists them)");
    }
    who = g_strdup_printf("CPU '%s'", config->cpu_model->name);
    private->cpu_type_name =
        g_strdup_printf("%s-%s-cpu", config->cpu_model->name, config->target->name);
    private->cpu_type = (DeviceType){
        .name = private->cpu_type_name,
        .summary = config->cpu_model->summary,
        .instance_size = config->target->cpu_size,
        .properties = config->target->properties,
        .state = config->target->state,
        .state_version = config->target->state_version,
        .board_only = true,
    };
    for (unsigned i = 0; i < config->vcpus; i++) {
        if (!create_vcpu(machine, i, who, error)) {
            return false;
        }
    }
    return true;
}

/* Puts the memory of a back end where [offset, offset + bytes) of main RAM is. */
static bool place_backend(Machine *machine, const char *id, uint64_t offset, uint64_t bytes,
                          GError **error)
{
    ObjectMemory memory;
    Object *object = machine_find_memory(machine, id, &memory, error);

    if (!object) {
        return false;
    }
    if (memory.size != bytes) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "memory back end '%s' holds %" G_GUINT64_FORMAT
                          " MiB, but -m asks for %" G_GUINT64_FORMAT " MiB",
                          id, memory.size >> 20, bytes >> 20);
    }
    object->users++;
    return memory_ram_place(&machine->ram, offset, &memory, id, error);
}

static bool place_nodes(Machine *machine, GError **error)
{
    const Numa *numa = machine->numa;

    for (unsigned i = 0; numa && i < numa->count; i++) {
        const NumaNode *node = &numa->nodes[i];

        if (node->memdev &&
            !place_backend(machine, node->memdev, numa_node_start(numa, i), node->bytes, error)) {
            return false;
        }
    }
    return true;
}

bool machine_allocate_ram(Machine *machine, GError **error)
{
    const Board *board = machine->board;
    const char *id = machine->config.memory_backend;
    const char *name = board && board->ram_name ? board->ram_name : "ram";

    return memory_region_init_ram(&machine->ram, machine, id ? id : name, machine->config.ram_bytes,
                                  error) &&
           (!id || place_backend(machine, id, 0, machine->config.ram_bytes, error)) &&
           place_nodes(machine, error);
}

void machine_map_ram_piece(Machine *machine, const char *name, uint64_t offset, uint64_t size,
                           uint64_t address)
{
    MemoryRegion *piece = g_new0(MemoryRegion, 1);

    assert(offset <= machine->ram.size && size <= machine->ram.size - offset);
    machine->root->owned = g_slist_prepend(machine->root->owned, piece);
    memory_region_init_alias(piece, machine, name, &machine->ram, offset, size);
    memory_region_add(machine->system_memory, address, piece, 0);
}

bool machine_map_ram(Machine *machine, uint64_t address, GError **error)
{
    if (!machine_allocate_ram(machine, error)) {
        return false;
    }
    memory_region_add(machine->system_memory, address, &machine->ram, 0);
    return true;
}

static void free_vcpus(Machine *machine)
{
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        Vcpu *vcpu = machine->vcpus->pdata[i];

        if (machine->accelerator && machine->accelerator->vcpu_free && vcpu->accel) {
            machine->accelerator->vcpu_free(vcpu);
        }
        if (vcpu->device.realized && vcpu->target->unrealize) {
            vcpu->target->unrealize(vcpu);
        }
        vcpu_destroy(vcpu);
        device_release(&vcpu->device);
        g_free(vcpu);
    }
    g_ptr_array_set_size(machine->vcpus, 0);
}

static void free_config(MachineConfig *config)
{
    g_clear_pointer(&config->board_options, g_hash_table_unref);
    g_clear_pointer(&config->cpu_options, g_hash_table_unref);
    g_clear_pointer(&config->boot_options, g_hash_table_unref);
    g_clear_pointer(&config->smbios, g_ptr_array_unref);
    g_clear_pointer(&config->fw_cfg_files, g_ptr_array_unref);
    g_clear_pointer(&config->console_matches, g_ptr_array_unref);
    g_free(config->kernel);
    g_free(config->initrd);
    g_free(config->append);
    g_free(config->dtb);
    g_free(config->bios);
    g_free(config->vga);
    g_free(config->name);
    g_free(config->uuid);
    g_free(config->memory_backend);
}

/* A device may still drop its lines when it goes, and what they lead to may have gone before it. */
static void disconnect_lines(Device *device)
{
    for (unsigned i = 0; i < device->irq_count; i++) {
        irq_connect(device->irqs[i], NULL, NULL, 0);
    }
    for (unsigned i = 0; i < device->children->len; i++) {
        disconnect_lines(device->children->pdata[i]);
    }
}

void machine_free(Machine *machine)
{
    MachinePrivate *private = machine->private;

    vcpus_join_threads(machine);
    machine_lock(machine);
    clock_stop(machine);
    memory_transaction_begin(machine);
    disconnect_lines(machine->root);
    /* Devices may refer to vCPUs, so they go first; those that the board made by hand are its own. */
    for (unsigned i = machine->root->children->len; i-- > 0;) {
        Device *device =
            i < machine->root->children->len ? machine->root->children->pdata[i] : NULL;

        if (device && device->type != &private->cpu_type) {
            device_destroy(device);
        }
    }
    free_vcpus(machine);
    device_release(machine->root);
    if (machine->accelerator) {
        if (machine->accelerator->shutdown) {
            machine->accelerator->shutdown(machine, machine->accel_state);
        }
        properties_free(machine->accelerator->properties, machine->accel_state);
        g_free(machine->accel_state);
    }
    console_destroy(machine);
    numa_free(machine->numa);
    machine_unlock(machine);
    run_state_destroy(machine);
    registry_destroy(machine); /* runs the callbacks of machine_on_free, the board's among them */
    g_free(machine->board_state);
    coverage_destroy(machine);
    debug_destroy(machine);
    clock_destroy(machine);
    icount_destroy(machine);
    memory_destroy(machine);
    g_ptr_array_unref(machine->vcpus);
    free_config(&machine->config);
    g_free(private->root_type_name);
    g_free(private->cpu_type_name);
    g_free(private->end_detail);
    g_free(private->requested_detail);
    pthread_mutex_destroy(&private->lock);
    g_mutex_clear(&private->park_lock);
    g_cond_clear(&private->park_cond);
    g_mutex_clear(&private->request_lock);
    g_free(private);
    g_free(machine);
}
