/* SPDX-License-Identifier: MIT */
/* The region tree: creation and changes, and publication of the flat views that follow. */
#include "machine/memory.h"

#include <assert.h>

#include "base/bits.h"
#include "machine/private.h"

typedef struct {
    void (*fn)(void *opaque, AddressSpace *space);
    void *opaque;
} MemoryListener;

/* A view that readers may still hold. */
typedef struct {
    FlatView *view;
    uint64_t epoch; /* readers whose quiet epoch is at least this cannot see it */
} RetiredView;

static void region_init(MemoryRegion *region, Machine *machine, const char *name, MemoryKind kind,
                        uint64_t size)
{
    *region = (MemoryRegion){
        .name = name, .kind = kind, .size = size, .enabled = true, .machine = machine
    };
}

void memory_region_init_container(MemoryRegion *region, Machine *machine, const char *name,
                                  uint64_t size)
{
    region_init(region, machine, name, MEMORY_CONTAINER, size);
}

void memory_region_init_io(MemoryRegion *region, Machine *machine, const char *name, uint64_t size,
                           const MemoryOps *ops, void *opaque)
{
    region_init(region, machine, name, MEMORY_IO, size);
    region->ops = ops;
    region->opaque = opaque;
}

void memory_region_init_alias(MemoryRegion *region, Machine *machine, const char *name,
                              MemoryRegion *target, uint64_t target_offset, uint64_t size)
{
    region_init(region, machine, name, MEMORY_ALIAS, size);
    region->target = target;
    region->target_offset = target_offset;
}

bool memory_region_init_ram(MemoryRegion *region, Machine *machine, const char *name, uint64_t size,
                            GError **error)
{
    region_init(region, machine, name, MEMORY_RAM, size);
    return memory_ram_allocate(region, error);
}

bool memory_region_init_rom(MemoryRegion *region, Machine *machine, const char *name, uint64_t size,
                            const MemoryOps *ops, void *opaque, GError **error)
{
    region_init(region, machine, name, MEMORY_ROM, size);
    region->ops = ops;
    region->opaque = opaque;
    return memory_ram_allocate(region, error);
}

/* Siblings are kept by priority, highest first, and the newest first among equals: it wins. */
static void insert_child(MemoryRegion *container, MemoryRegion *child)
{
    unsigned i = 0;

    if (!container->children) {
        container->children = g_ptr_array_new();
    }
    while (i < container->children->len &&
           ((MemoryRegion *)container->children->pdata[i])->priority > child->priority) {
        i++;
    }
    g_ptr_array_insert(container->children, i, child);
}

void memory_region_add(MemoryRegion *container, uint64_t address, MemoryRegion *child, int priority)
{
    assert(container->kind == MEMORY_CONTAINER && !child->parent);
    child->parent = container;
    child->address = address;
    child->priority = priority;
    insert_child(container, child);
    memory_map_changed(container->machine);
}

void memory_region_remove(MemoryRegion *child)
{
    MemoryRegion *container = child->parent;

    assert(container);
    g_ptr_array_remove(container->children, child);
    if (container->children->len == 0) {
        g_clear_pointer(&container->children, g_ptr_array_unref);
    }
    child->parent = NULL;
    memory_map_changed(container->machine);
}

void memory_region_place(MemoryRegion *container, uint64_t address, MemoryRegion *child,
                         int priority, bool shown)
{
    if (child->parent && (!shown || child->parent != container || child->address != address)) {
        memory_region_remove(child);
    }
    if (shown && !child->parent) {
        memory_region_add(container, address, child, priority);
    }
}

void memory_region_set_enabled(MemoryRegion *region, bool enabled)
{
    if (region->enabled != enabled) {
        region->enabled = enabled;
        memory_map_changed(region->machine);
    }
}

void memory_region_set_address(MemoryRegion *region, uint64_t address)
{
    if (region->address != address) {
        region->address = address;
        memory_map_changed(region->machine);
    }
}

void memory_region_set_rom_io(MemoryRegion *region, bool io)
{
    assert(region->kind == MEMORY_ROM);
    if (region->rom_io != io) {
        region->rom_io = io;
        /* The ranges stay as they are, but users who cached how to read them must look again. */
        memory_map_republish(region->machine);
    }
}

void memory_region_set_written(MemoryRegion *alias, MemoryRegion *ram, uint64_t offset)
{
    assert(alias->kind == MEMORY_ALIAS && ram->kind == MEMORY_RAM);
    alias->written = ram;
    alias->written_offset = offset;
    memory_map_changed(alias->machine);
}

void memory_region_set_readonly(MemoryRegion *region, bool readonly)
{
    if (region->readonly != readonly) {
        region->readonly = readonly;
        memory_map_changed(region->machine);
    }
}

static void retire(MemoryState *memory, FlatView *view)
{
    RetiredView *retired = g_new(RetiredView, 1);

    retired->view = view;
    retired->epoch = atomic_fetch_add(&memory->epoch, 1) + 1;
    memory->retired = g_slist_prepend(memory->retired, retired);
    atomic_store(&memory->retired_any, true);
}

/* Publishes a view; the old one lives until no reader can hold it. */
static void publish(AddressSpace *space, FlatView *view)
{
    MemoryState *memory = &space->machine->private->memory;
    FlatView *old = atomic_load(&space->view);

    view->generation = old ? old->generation + 1 : 1;
    atomic_store(&space->view, view);
    if (old) {
        retire(memory, old);
    }
    for (unsigned i = 0; i < memory->listeners->len; i++) {
        MemoryListener *listener = &g_array_index(memory->listeners, MemoryListener, i);

        listener->fn(listener->opaque, space);
    }
}

static void update_views(Machine *machine, bool always)
{
    MemoryState *memory = &machine->private->memory;

    for (unsigned i = 0; i < memory->spaces->len; i++) {
        AddressSpace *space = memory->spaces->pdata[i];
        FlatView *view = flat_view_build(space->root);

        if (!always && flat_view_equal(view, atomic_load(&space->view))) {
            g_free(view);
        } else {
            publish(space, view);
        }
    }
}

void memory_map_changed(Machine *machine)
{
    MemoryState *memory = &machine->private->memory;

    if (memory->transaction_depth) {
        memory->change_pending = true;
    } else {
        update_views(machine, false);
    }
}

void memory_map_republish(Machine *machine)
{
    update_views(machine, true);
}

void memory_transaction_begin(Machine *machine)
{
    machine->private->memory.transaction_depth++;
}

void memory_transaction_end(Machine *machine)
{
    MemoryState *memory = &machine->private->memory;

    assert(memory->transaction_depth > 0);
    if (--memory->transaction_depth == 0 && memory->change_pending) {
        memory->change_pending = false;
        update_views(machine, false);
    }
}

void address_space_init(AddressSpace *space, Machine *machine, MemoryRegion *root, const char *name)
{
    space->name = name;
    space->root = root;
    space->machine = machine;
    atomic_init(&space->view, NULL);
    g_ptr_array_add(machine->private->memory.spaces, space);
    publish(space, flat_view_build(root));
}

void address_space_destroy(AddressSpace *space)
{
    MemoryState *memory = &space->machine->private->memory;
    FlatView *view = atomic_exchange(&space->view, NULL);

    g_ptr_array_remove(memory->spaces, space);
    if (view) {
        retire(memory, view);
    }
}

void memory_add_listener(Machine *machine, void (*fn)(void *opaque, AddressSpace *space),
                         void *opaque)
{
    MemoryListener listener = { fn, opaque };

    g_array_append_val(machine->private->memory.listeners, listener);
}

void memory_remove_listener(Machine *machine, const void *opaque)
{
    GArray *listeners = machine->private->memory.listeners;

    for (unsigned i = listeners->len; i-- > 0;) {
        if (g_array_index(listeners, MemoryListener, i).opaque == opaque) {
            g_array_remove_index(listeners, i);
        }
    }
}

bool memory_add_doorbell(const MemoryDoorbell *doorbell)
{
    MemoryState *memory = &doorbell->region->machine->private->memory;

    if (!memory->doorbells_changed) {
        return false;
    }
    g_ptr_array_add(memory->doorbells, (void *)doorbell);
    memory->doorbells_changed(memory->doorbells_opaque);
    return true;
}

void memory_remove_doorbell(const MemoryDoorbell *doorbell)
{
    MemoryState *memory = &doorbell->region->machine->private->memory;

    if (g_ptr_array_remove(memory->doorbells, (void *)doorbell) && memory->doorbells_changed) {
        memory->doorbells_changed(memory->doorbells_opaque);
    }
}

const GPtrArray *memory_doorbells(Machine *machine)
{
    return machine->private->memory.doorbells;
}

void memory_flush_late(Machine *machine)
{
    MemoryState *memory = &machine->private->memory;

    if (memory->flush_late) {
        memory->flush_late(memory->flush_late_opaque);
    }
}

void memory_set_late_hook(Machine *machine, void (*flush)(void *opaque), void *opaque)
{
    machine->private->memory.flush_late = flush;
    machine->private->memory.flush_late_opaque = opaque;
}

void memory_set_doorbell_hook(Machine *machine, void (*changed)(void *opaque), void *opaque)
{
    machine->private->memory.doorbells_changed = changed;
    machine->private->memory.doorbells_opaque = opaque;
}

/* The oldest epoch that a vCPU thread may still read in. */
static uint64_t oldest_reader(Machine *machine)
{
    uint64_t oldest = UINT64_MAX;

    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        Vcpu *vcpu = machine->vcpus->pdata[i];

        oldest = MIN(oldest, atomic_load(&vcpu->quiet_epoch));
    }
    return oldest;
}

void memory_reclaim(Machine *machine)
{
    enum { TOO_MANY = 64 };
    MemoryState *memory = &machine->private->memory;
    uint64_t oldest = oldest_reader(machine);
    GSList **link = &memory->retired;
    unsigned kept = 0;

    while (*link) {
        RetiredView *retired = (*link)->data;

        if (retired->epoch <= oldest) {
            g_free(retired->view);
            g_free(retired);
            *link = g_slist_delete_link(*link, *link);
        } else {
            link = &(*link)->next;
            kept++;
        }
    }
    atomic_store(&memory->retired_any, kept > 0);
    if (kept > TOO_MANY) {
        for (unsigned i = 0; i < machine->vcpus->len; i++) {
            vcpu_kick(machine->vcpus->pdata[i]);
        }
    }
}

void memory_create(Machine *machine)
{
    enum { PORT_COUNT = 0x10000 };
    MemoryState *memory = &machine->private->memory;

    memory->spaces = g_ptr_array_new();
    memory->pieces = g_array_new(false, false, sizeof(MemoryPiece));
    memory->files = g_array_new(false, false, sizeof(MemoryFile));
    memory->doorbells = g_ptr_array_new();
    memory->listeners = g_array_new(false, false, sizeof(MemoryListener));
    machine->system_memory = g_new0(MemoryRegion, 1);
    memory_region_init_container(machine->system_memory, machine, "system", UINT64_MAX);
    address_space_init(&machine->memory_space, machine, machine->system_memory, "memory");
    machine->system_io = g_new0(MemoryRegion, 1);
    memory_region_init_container(machine->system_io, machine, "io", PORT_COUNT);
    address_space_init(&machine->io_space, machine, machine->system_io, "I/O");
    machine->io_space.open_bus = true;
}

static void free_root(MemoryRegion *root)
{
    if (root->children) {
        g_ptr_array_unref(root->children);
    }
    g_free(root);
}

void memory_destroy(Machine *machine)
{
    MemoryState *memory = &machine->private->memory;

    for (unsigned i = 0; i < memory->spaces->len; i++) {
        AddressSpace *space = memory->spaces->pdata[i];

        g_free(atomic_load(&space->view));
    }
    while (memory->retired) {
        RetiredView *retired = memory->retired->data;

        g_free(retired->view);
        g_free(retired);
        memory->retired = g_slist_delete_link(memory->retired, memory->retired);
    }
    g_ptr_array_unref(memory->spaces);
    g_ptr_array_unref(memory->doorbells);
    g_array_unref(memory->listeners);
    free_root(machine->system_memory);
    free_root(machine->system_io);
    memory_ram_destroy(machine);
}
