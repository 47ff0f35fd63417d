/* SPDX-License-Identifier: MIT */
/*
 * Every registered device, none by name: creates and realizes it where that needs no back end, does
 * random accesses to all that it put into the memory and port maps, and checks that a reset restores each field of
 * its saved state from poison, and that saving and loading bring back the whole device. A machine that was loaded elsewhere answers as the one that was saved would have.
 *
 * Arguments: [--seconds N] [--seed N] [--only GLOB] for fuzzing; without them a short fixed run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/block.h"
#include "machine/private.h"
#include "machine/saved-state.h"

enum { POISON = 0xa5, ROUNDS = 4, ACCESSES = 3000 };
#define RAM_BASE UINT64_C(0x40000000)
#define MAP_BASE UINT64_C(0x100000000)

typedef struct {
    Machine *machine;
    BlockGraph *graph;
    GPtrArray *drives;  /* BlockBackend * */
    GPtrArray *devices; /* Device *, realized */
    GHashTable *fresh;  /* Device * -> GByteArray *: state after the first reset */
    uint64_t next_address, next_port;
    unsigned types, realized, refused;
    bool time_passes;
    GArray *heard; /* Answer, or NULL: nobody listens */
} Bench;

/* What a read of a random place gave. */
typedef struct {
    const char *region;
    uint64_t offset, value;
} Answer;

typedef struct {
    uint64_t seed;
    unsigned seconds;
    const char *only;
} Arguments;

/* CPUs for devices that look for some: they exist, and never run. */
static const Target idle_target = { .name = "idle", .cpu_size = sizeof(Vcpu) };
static const CpuModel idle_model = { .name = "idle", .target = &idle_target };

static bool idle_build(Machine *machine, void *board, GError **error)
{
    return machine_map_ram(machine, RAM_BASE, error) && machine_create_vcpus(machine, error);
}

static const Board idle_board = { .name = "idle",
                                  .instance_size = sizeof(Device),
                                  .build = idle_build };

/* A device on ports, so that there is one whatever else is registered, and proof that they are reached. */
typedef struct {
    Device device;
    uint8_t scratch;
    uint16_t data;
    unsigned accesses;
} PortProbe;

static uint64_t probe_read(Device *device, unsigned index)
{
    PortProbe *probe = container_of(device, PortProbe, device);

    probe->accesses++;
    return probe->data;
}

static const DeviceType port_probe_type = {
    .name = "port-probe",
    .instance_size = sizeof(PortProbe),
    .board_only = true,
    .banks =
        (const RegisterBank[]){
            { .name = "port-probe",
              .size = 4,
              .ports = true,
              .registers =
                  (const Register[]){
                      { "DATA", 0, 2, REGISTER_RW | REGISTER_EXACT | REGISTER_REPEAT,
                        .field = offsetof(PortProbe, data), .read = probe_read },
                      { "SCRATCH", 3, 1, REGISTER_RW, .field = offsetof(PortProbe, scratch) },
                      { 0 } } },
            { 0 } },
    .state = (const StateField[]){ STATE(PortProbe, scratch),
                                   STATE(PortProbe, data),
                                   STATE_DERIVED(PortProbe, accesses),
                                   { 0 } },
};
DEVICE_TYPE(port_probe_type);

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static void map_regions(Bench *bench, Device *device)
{
    for (unsigned i = 0; i < device->mmio_count; i++) {
        MemoryRegion *region = device->mmio[i];
        uint64_t align = MIN(MAX(region->size, 0x10000), GIB(1));

        if (region->parent) {
            continue; /* a bus placed it */
        }
        while (!is_power_of_two(align)) {
            align &= align - 1;
        }
        bench->next_address = align_up(bench->next_address, align);
        memory_region_add(bench->machine->system_memory, bench->next_address, region, 0);
        bench->next_address += MIN(region->size, GIB(1));
    }
    for (unsigned i = 0; i < device->io->len; i++) {
        MemoryRegion *region = device->io->pdata[i];

        if (!region->parent) {
            g_assert_cmpuint(bench->next_port + region->size, <=, 0x10000);
            device_map_io(device, i, (uint16_t)bench->next_port);
            bench->next_port = align_up(bench->next_port + region->size, 8);
        }
    }
}

static GByteArray *save_field(const StateField *field, const void *instance)
{
    const StateField table[] = { *field, { 0 } };
    GByteArray *out = g_byte_array_new();

    state_save(table, instance, out);
    return out;
}

static GByteArray *copy_state(Device *device)
{
    GByteArray *out = g_byte_array_new();

    device_save_state(device, out);
    return out;
}

/* A bool has but two values. */
static void poison_integers(const StateField *field, uint8_t *at, size_t size)
{
    if (field->element != 1 || field->most != 1) {
        memset(at, POISON, size);
        return;
    }
    for (size_t i = 0; i < size; i++) {
        at[i] = !at[i];
    }
}

/* Fields that are plain bytes get others; hooks, timers and buffers are left, and what a reset keeps if `for_reset`. */
static void poison_fields(const StateField *fields, void *instance, bool for_reset)
{
    for (const StateField *f = fields; f && f->name; f++) {
        size_t size;
        uint8_t *at = state_field_data(f, instance, &size);

        if (f->kept && for_reset) {
            continue;
        }
        if (f->kind == STATE_KIND_INTEGERS) {
            poison_integers(f, at, size);
        } else if (f->kind == STATE_KIND_STRUCTS) {
            for (uint8_t *end = at + size; at < end; at += f->element) {
                poison_fields(f->fields, at, for_reset);
            }
        }
    }
}

/* Marks the bytes of an instance that a table knows. */
static void mark_known(const StateField *fields, size_t base, uint8_t *known)
{
    for (const StateField *f = fields; f && f->name; f++) {
        if (f->kind == STATE_KIND_STRUCTS && !f->allocated) {
            for (size_t at = 0; at < f->size; at += f->element) {
                mark_known(f->fields, base + f->offset + at, known);
            }
        } else {
            memset(known + base + f->offset, 1, f->size);
        }
    }
}

/* Places in the map are the board's affair, and the bench moves nothing. */
static void mark_region(const Device *device, const MemoryRegion *region, uint8_t *known)
{
    uintptr_t at = (uintptr_t)region - (uintptr_t)device;

    if (at < device->type->instance_size) {
        memset(known + at, 1, sizeof *region);
    }
}

/* A disk that reads as zeros for each property that wants one. */
static void give_drives(Bench *bench, Device *device, const Property *table)
{
    for (; table && table->name; table++) {
        g_autoptr(GHashTable) options = NULL;
        g_autofree char *id = g_strdup_printf("disk%u", bench->drives->len);
        BlockBackend *drive;
        GError *error = NULL;

        if (table->kind != PROPERTY_DRIVE) {
            continue;
        }
        options = g_hash_table_new(g_str_hash, g_str_equal);
        g_hash_table_insert(options, (void *)"driver", (void *)"null-co");
        g_hash_table_insert(options, (void *)"size", (void *)"1048576");
        g_hash_table_insert(options, (void *)"read-zeroes", (void *)"on");
        g_hash_table_insert(options, (void *)"id", id);
        drive = block_open(bench->graph, options, &error);
        g_assert_no_error(error);
        g_ptr_array_add(bench->drives, drive);
        machine_add_drive(bench->machine, id, drive);
        device_set(device, table->name, id, &error);
        g_assert_no_error(error);
    }
}

static Device *create(Bench *bench, const DeviceType *type, Bus *bus, bool with_drives,
                      GError **error)
{
    Device *device = device_create(bench->machine, NULL, type->name, bus, NULL, error);

    g_assert_nonnull(device);
    if (with_drives) {
        give_drives(bench, device, type->properties);
        if (property_find(type->properties, "serial")) {
            device_set(device, "serial", "1", NULL); /* some insist on it */
        }
    }
    if (device_realize(device, error)) {
        return device;
    }
    g_assert_true(!error || *error);
    device_destroy(device);
    return NULL;
}

static bool try_device(Bench *bench, const DeviceType *type, bool last);

/* Its functions are all in slots of their own here. */
static bool has_room(const Bus *bus)
{
    enum { PCI_SLOTS = 32 };

    return strcmp(bus->type->name, "pci") != 0 || bus->devices->len < PCI_SLOTS;
}

/* A free bus of a type; when all are full, another of the device that provides them. */
static Bus *find_bus(Bench *bench, const char *type)
{
    Bus *bus = bus_find_by_type(bench->machine, type);

    bus = bus && has_room(bus) ? bus : NULL;

    for (unsigned i = 0; !bus && i < bench->devices->len; i++) {
        Device *device = bench->devices->pdata[i];

        if (device->buses && strcmp(((Bus *)device->buses->pdata[0])->type->name, type) == 0 &&
            !device->type->bus && try_device(bench, device->type, false)) {
            bus = bus_find_by_type(bench->machine, type);
        }
    }
    return bus;
}

static bool try_device(Bench *bench, const DeviceType *type, bool last)
{
    g_autoptr(GError) error = NULL;
    Bus *bus = type->bus ? find_bus(bench, type->bus) : NULL;
    Device *device;

    if (type->bus && !bus) {
        if (last) {
            printf("# %s: no bus of type %s\n", type->name, type->bus);
        }
        return false;
    }
    device = create(bench, type, bus, false, &error);
    if (!device) {
        g_clear_error(&error);
        device = create(bench, type, bus, true, &error);
    }
    if (!device) {
        if (last) {
            printf("# %s: %s\n", type->name, error->message);
        }
        return false;
    }
    map_regions(bench, device);
    g_ptr_array_add(bench->devices, device);
    return true;
}

/* Sound keeps the pace of its back end, which begins anew where a machine is loaded: nothing that must be the same. */
static bool is_wanted(const Bench *bench, const DeviceType *type, const char *only)
{
    return (!only || !type->bus || g_pattern_match_simple(only, type->name)) &&
           !(bench->time_passes && g_strcmp0(type->category, "sound") == 0);
}

static void make_devices(Bench *bench, const char *only)
{
    const DeviceType *const *it;
    g_autoptr(GHashTable) done = g_hash_table_new(NULL, NULL);

    /* Buses come with devices, so those that found none try again; the last round says why not. */
    for (int round = 0; round < 3; round++) {
        bench->types = 0;
        REGISTRY_FOREACH(device_types, it) {
            bench->types++;
            if (!is_wanted(bench, *it, only)) {
                continue;
            }
            if (!g_hash_table_contains(done, *it) && try_device(bench, *it, round == 2)) {
                g_hash_table_add(done, (void *)*it);
            }
        }
    }
    bench->realized = bench->devices->len;
}

static Bench *bench_new(const char *only, bool time_passes)
{
    Bench *bench = g_new0(Bench, 1);
    MachineConfig config = { .target = &idle_target,
                             .board = &idle_board,
                             .cpu_model = &idle_model,
                             .vcpus = 2,
                             .ram_bytes = MIB(16),
                             .rtc_base_s = INT64_MIN,
                             /* Nothing happens between a state and a look at it. */
                             .rtc_clock = RTC_CLOCK_VM,
                             /* The bench resets when it is time to. */
                             .no_reboot = time_passes };

    bench->time_passes = time_passes;
    bench->machine = machine_new(&config);
    bench->graph = block_graph_new(NULL);
    bench->drives = g_ptr_array_new();
    bench->devices = g_ptr_array_new();
    bench->fresh = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_byte_array_unref);
    bench->next_address = MAP_BASE;
    /* Devices stay, whatever is written to the register that takes them out. */
    machine_add_global(bench->machine, "PIIX4_PM", "acpi-root-pci-hotplug", "off");
    g_assert_true(machine_build(bench->machine, NULL));
    clock_set_manual(bench->machine);
    machine_lock(bench->machine);
    make_devices(bench, only);
    device_reset_tree(bench->machine->root);
    for (unsigned i = 0; i < bench->devices->len; i++) {
        Device *device = bench->devices->pdata[i];

        g_hash_table_insert(bench->fresh, device, copy_state(device));
    }
    machine_unlock(bench->machine);
    return bench;
}

static void bench_free(Bench *bench)
{
    g_hash_table_unref(bench->fresh);
    g_ptr_array_unref(bench->devices);
    machine_free(bench->machine);
    for (unsigned i = 0; i < bench->drives->len; i++) {
        block_close(bench->drives->pdata[i]);
    }
    block_graph_free(bench->graph);
    g_ptr_array_unref(bench->drives);
    g_free(bench);
}

/* Values that mean something more often than chance: addresses in RAM, small numbers, single bits. */
static uint64_t random_value(uint64_t *state)
{
    uint64_t value = next_random(state);

    switch (next_random(state) % 5) {
    case 0:
        return RAM_BASE + value % MIB(16);
    case 1:
        return value % 64;
    case 2:
        return BIT(value % 64);
    case 3:
        return 0;
    default:
        return value;
    }
}

static void random_access(Bench *bench, uint64_t *state)
{
    AddressSpace *spaces[] = { &bench->machine->memory_space, &bench->machine->io_space };
    bool ports = atomic_load(&spaces[1]->view)->count && next_random(state) % 2;
    AddressSpace *space = spaces[ports];
    const FlatView *view = atomic_load(&space->view);
    const MemoryRange *range = &view->ranges[next_random(state) % view->count];
    unsigned size = 1u << next_random(state) % 4;
    static const uint64_t reach[] = { 0x100, 0x1000, 0x20000, 0x200000 };
    uint64_t offset = next_random(state) % MIN(range->size, reach[next_random(state) % 4]), value;

    if (range->region->kind == MEMORY_RAM && next_random(state) % 16) {
        return; /* mostly devices */
    }
    if (next_random(state) % 8) {
        offset &= ~(uint64_t)(size - 1);
    }
    if (next_random(state) % 3) {
        address_space_write(space, range->start + offset, random_value(state), size,
                            (MemoryAttributes){ .vcpu = 0 });
    } else {
        address_space_read(space, range->start + offset, &value, size,
                           (MemoryAttributes){ .vcpu = 0 });
        if (bench->heard) {
            Answer answer = { range->region->name, range->offset + offset,
                              value & bits_mask(size * 8) };

            g_array_append_val(bench->heard, answer);
        }
    }
}

/* Inputs, too: levels from other devices, and what timers and completions do meanwhile. */
static void random_input(Bench *bench, uint64_t *state)
{
    Device *device = bench->devices->pdata[next_random(state) % bench->devices->len];

    if (device->type->input) {
        device->type->input(device, next_random(state) % 64, next_random(state) & 1);
    }
}

/* Up to a tenth of a second, mostly less. */
static void let_time_pass(Bench *bench, uint64_t *state)
{
    uint64_t most = BIT(10 + next_random(state) % 17), ns = next_random(state) % most;

    clock_advance(bench->machine, clock_now_ns(bench->machine) + (int64_t)ns);
}

static void hammer(Bench *bench, uint64_t *state)
{
    for (int i = 0; i < ACCESSES; i++) {
        machine_lock(bench->machine);
        random_access(bench, state);
        if (i % 64 == 0) {
            random_input(bench, state);
            if (bench->time_passes) {
                let_time_pass(bench, state);
            }
        }
        machine_unlock(bench->machine);
        if (i % 256 == 0) {
            while (g_main_context_iteration(NULL, false)) {
            }
        }
    }
}

static bool same_bytes(const GByteArray *a, const GByteArray *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* Which of the fields reset leaves otherwise than the first time. */
static unsigned compare_with_fresh(Device *device, const GByteArray *fresh)
{
    g_autoptr(GByteArray) now = copy_state(device);
    unsigned failures = 0;

    if (same_bytes(now, fresh)) {
        return 0;
    }
    for (const StateField *f = device->type->state; f && f->name; f++) {
        g_autoptr(GByteArray) field = save_field(f, device);

        if (!f->kept && field->len && !memmem(fresh->data, fresh->len, field->data, field->len)) {
            printf("# %s: reset does not restore '%s'\n", device->type->name, f->name);
            failures++;
        }
    }
    return failures;
}

static unsigned check_reset(Bench *bench)
{
    unsigned failures = 0;

    machine_lock(bench->machine);
    /* Once as after a guest's run; then once more from poison, which finds what no access had changed. */
    device_reset_tree(bench->machine->root);
    for (unsigned i = 0; i < bench->devices->len; i++) {
        Device *device = bench->devices->pdata[i];

        poison_fields(device->type->state, device, true);
    }
    device_reset_tree(bench->machine->root);
    for (unsigned i = 0; i < bench->devices->len; i++) {
        Device *device = bench->devices->pdata[i];

        failures += compare_with_fresh(device, g_hash_table_lookup(bench->fresh, device));
    }
    machine_unlock(bench->machine);
    return failures;
}

/* A device at one moment: its saved form, and all bytes of its structure. */
typedef struct {
    GByteArray *saved;
    uint8_t *bytes;
} Moment;

static Moment take_moment(Device *device)
{
    Moment moment = { copy_state(device) };

    moment.bytes = g_memdup2(device, device->type->instance_size);
    return moment;
}

/* What changed and did not come back, although no table lists it. */
static unsigned compare_bytes(const Device *device, const uint8_t *before)
{
    size_t size = device->type->instance_size;
    g_autofree uint8_t *known = g_malloc0(size);
    unsigned failures = 0;

    memset(known, 1, sizeof(Device));
    mark_known(device->type->state, 0, known);
    for (unsigned i = 0; i < device->mmio_count; i++) {
        mark_region(device, device->mmio[i], known);
    }
    for (unsigned i = 0; i < device->io->len; i++) {
        mark_region(device, device->io->pdata[i], known);
    }
    for (size_t at = 0; at < size; at++) {
        if (!known[at] && ((const uint8_t *)device)[at] != before[at]) {
            printf("# %s: byte %zu of %zu is state that no table lists\n", device->type->name, at,
                   size);
            failures++;
            at |= 63;
        }
    }
    return failures;
}

static unsigned check_moment(Device *device, const Moment *moment)
{
    g_autoptr(GByteArray) again = copy_state(device);
    unsigned failures = 0;

    if (!same_bytes(again, moment->saved)) {
        printf("# %s: loading does not bring back what was saved\n", device->type->name);
        failures++;
    }
    return failures + compare_bytes(device, moment->bytes);
}

/* Saves all, lets the guest go on, poisons, loads: all must be as it was when saved. */
static unsigned check_saving(Bench *bench, uint64_t *state)
{
    unsigned count = bench->devices->len, failures = 0;
    g_autofree Moment *moments = g_new0(Moment, count);

    machine_lock(bench->machine);
    for (unsigned i = 0; i < count; i++) {
        moments[i] = take_moment(bench->devices->pdata[i]);
    }
    machine_unlock(bench->machine);
    hammer(bench, state);
    machine_lock(bench->machine);
    for (unsigned i = 0; i < count; i++) {
        Device *device = bench->devices->pdata[i];
        g_autoptr(GError) error = NULL;

        poison_fields(device->type->state, device, false);
        if (!device_load_state(device, device->type->state_version, moments[i].saved->data,
                               moments[i].saved->len, &error)) {
            printf("# %s: %s\n", device->type->name, error->message);
            failures++;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        failures += check_moment(bench->devices->pdata[i], &moments[i]);
        g_byte_array_unref(moments[i].saved);
        g_free(moments[i].bytes);
    }
    machine_unlock(bench->machine);
    return failures;
}

static Bench *load_elsewhere(const Bench *bench, const char *only, const GByteArray *state)
{
    Bench *other = bench_new(only, true);
    GError *error = NULL;

    machine_lock(other->machine);
    clock_set_rtc_start_ns(other->machine, clock_rtc_start_ns(bench->machine));
    memcpy(other->machine->ram.host, bench->machine->ram.host, other->machine->ram.size);
    machine_load_state(other->machine, state->data, state->len, &error);
    g_assert_no_error(error);
    machine_unlock(other->machine);
    return other;
}

static unsigned compare_answers(const GArray *here, const GArray *there)
{
    for (guint i = 0; i < MIN(here->len, there->len); i++) {
        const Answer *a = &g_array_index(here, Answer, i), *b = &g_array_index(there, Answer, i);

        if (strcmp(a->region, b->region) != 0 || a->offset != b->offset || a->value != b->value) {
            printf("# %s, offset %#" PRIx64 " reads %#" PRIx64
                   "; of the machine that was loaded: %s, "
                   "%#" PRIx64 ", %#" PRIx64 "\n",
                   a->region, a->offset, a->value, b->region, b->offset, b->value);
            return 1; /* what comes after follows from it */
        }
    }
    return 0;
}

static unsigned compare_states(const Bench *here, const Bench *there)
{
    unsigned failures = 0;

    for (unsigned i = 0; i < here->devices->len; i++) {
        g_autoptr(GByteArray) a = copy_state(here->devices->pdata[i]);
        g_autoptr(GByteArray) b = copy_state(there->devices->pdata[i]);

        if (!same_bytes(a, b)) {
            printf("# %s goes another way when it was loaded\n",
                   ((const Device *)here->devices->pdata[i])->type->name);
            failures++;
        }
    }
    return failures;
}

/*
 * Saves a machine and loads it into a new one; then the same guest and the same time must find the same in both, whatever the
 * devices make of their state for themselves: masks, counts, levels, places in the map.
 */
static unsigned check_moving(const char *only, uint64_t *state)
{
    Bench *benches[2] = { bench_new(only, true) };
    g_autoptr(GByteArray) saved = NULL;
    unsigned failures;

    hammer(benches[0], state);
    while (g_main_context_iteration(NULL, false)) {
    }
    machine_lock(benches[0]->machine);
    saved = machine_save_state(benches[0]->machine);
    machine_unlock(benches[0]->machine);
    benches[1] = load_elsewhere(benches[0], only, saved);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t same = *state;

        benches[i]->heard = g_array_new(false, false, sizeof(Answer));
        hammer(benches[i], &same);
    }
    failures = compare_answers(benches[0]->heard, benches[1]->heard);
    if (!failures) {
        failures = compare_states(benches[0], benches[1]);
    }
    for (unsigned i = 0; i < 2; i++) {
        g_array_unref(benches[i]->heard);
        bench_free(benches[i]);
    }
    return failures;
}

/* What is built must not be told to be missing. */
static unsigned check_not_yet(void)
{
    unsigned failures = 0;

    for (const NotYet *list = device_types_not_yet; list->names; list++) {
        g_auto(GStrv) names = g_strsplit(list->names, " ", -1);

        for (unsigned i = 0; names[i]; i++) {
            if (device_type_find(names[i])) {
                printf("# %s is built, and in the list of what is not\n", names[i]);
                failures++;
            }
        }
    }
    return failures;
}

static bool ports_reached(const Bench *bench)
{
    for (unsigned i = 0; i < bench->devices->len; i++) {
        Device *device = bench->devices->pdata[i];

        if (device->type == &port_probe_type) {
            return container_of(device, PortProbe, device)->accesses > 0;
        }
    }
    return false;
}

static Arguments parse_arguments(int argc, char **argv)
{
    /* In long runs, a minute. */
    Arguments arguments = { .seed = 0x9e3779b97f4a7c15, .seconds = getenv("KASO_LONG") ? 60 : 0 };

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seconds") == 0) {
            arguments.seconds = atoi(argv[i + 1]);
        } else if (strcmp(argv[i], "--seed") == 0) {
            arguments.seed = strtoull(argv[i + 1], NULL, 0) | 1;
        } else if (strcmp(argv[i], "--only") == 0) {
            arguments.only = argv[i + 1];
        }
    }
    return arguments;
}

int main(int argc, char **argv)
{
    Arguments arguments = parse_arguments(argc, argv);
    int64_t end = g_get_monotonic_time() + arguments.seconds * G_USEC_PER_SEC;
    uint64_t state = arguments.seed;
    unsigned failures = check_not_yet(), rounds = 0;

    do {
        Bench *bench = bench_new(arguments.only, false);

        if (bench->types == 0 || bench->realized == 0) {
            printf("Bail out! no device is registered: were the libraries linked whole?\n");
            return 1;
        }
        if (rounds == 0) {
            printf("# %u device types, %u realized\n", bench->types, bench->realized);
            failures += check_reset(bench);
        }
        for (int i = 0; i < ROUNDS; i++) {
            hammer(bench, &state);
            failures += check_saving(bench, &state);
            failures += check_reset(bench);
        }
        if (!ports_reached(bench)) {
            printf("# no access reached a device on ports\n");
            failures++;
        }
        bench_free(bench);
        failures += check_moving(arguments.only, &state);
        rounds++;
    } while (g_get_monotonic_time() < end && !failures);
    printf("1..1\n%s 1 - every device, %u rounds, seed %#" PRIx64 "\n", failures ? "not ok" : "ok",
           rounds, arguments.seed);
    return failures != 0;
}
