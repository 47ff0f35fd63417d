/* SPDX-License-Identifier: MIT */
/* Points, steps and stops of debuggers; see the header. */
#include "machine/debug.h"

#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "machine/accelerator.h"
#include "machine/private.h"

enum { PAGE_BITS = 12 };
#define PAGE_OF(address) ((address) >> PAGE_BITS)

struct DebugState {
    GPtrArray *clients; /* DebugClient */
    GPtrArray *points;  /* const DebugPoint */
    unsigned step_flags;
    bool holds_clock;
    DebugStop last;
    GMutex lock;  /* guards stops */
    GQueue stops; /* DebugStop, of vCPUs that were trapped and have not been told of */
};

static DebugState *state_of(Machine *machine)
{
    return machine->private->debug;
}

const GPtrArray *debug_points(Machine *machine)
{
    return state_of(machine)->points;
}

unsigned debug_step_flags(Machine *machine)
{
    return state_of(machine)->step_flags;
}

void debug_set_step_flags(Machine *machine, unsigned flags)
{
    state_of(machine)->step_flags = flags;
}

bool debug_holds_clock(Machine *machine)
{
    return state_of(machine)->holds_clock;
}

const DebugStop *debug_last_stop(Machine *machine)
{
    const DebugStop *stop = &state_of(machine)->last;

    return stop->kind == DEBUG_STOP_NONE ? NULL : stop;
}

/* --- memory ------------------------------------------------------------------------------------ */

/* What of [address, address + size) lies in one page, by its physical address; 0: it is not mapped. */
static size_t piece(Vcpu *vcpu, bool physical, uint64_t address, size_t size, uint64_t *guest_phys)
{
    /* No page of any architecture is smaller than 1 KiB. */
    size_t part = MIN(size, 1024 - (address & 1023));

    *guest_phys = address;
    return physical || vcpu->target->translate_debug(vcpu, address, guest_phys) ? part : 0;
}

size_t debug_read(Vcpu *vcpu, bool physical, uint64_t address, void *buffer, size_t size,
                  bool ram_only)
{
    size_t done = 0;

    while (done < size) {
        uint64_t guest_phys;
        size_t part = piece(vcpu, physical, address + done, size - done, &guest_phys);
        uint64_t in_ram = part;

        if (!part || (ram_only && (!address_space_map(vcpu->memory, guest_phys, &in_ram, false) ||
                                   in_ram < part))) {
            break;
        }
        if (address_space_read_bytes(vcpu->memory, guest_phys, (uint8_t *)buffer + done, part,
                                     MEMORY_ATTRIBUTES_DMA) != MEMORY_OK) {
            break;
        }
        done += part;
    }
    return done;
}

static bool write_piece(Vcpu *vcpu, uint64_t guest_phys, const uint8_t *from, size_t size)
{
    const MemoryRange *range = address_space_find(vcpu->memory, guest_phys);
    MemoryRegion *region = range ? range->region : NULL;
    uint64_t offset;

    if (!region || !memory_range_direct(range, false) ||
        guest_phys + size > range->start + range->size) {
        return address_space_write_bytes(vcpu->memory, guest_phys, from, size,
                                         MEMORY_ATTRIBUTES_DMA) == MEMORY_OK;
    }
    offset = range->offset + (guest_phys - range->start);
    memcpy(region->host + offset, from, size);
    memory_ram_dirty(vcpu->machine, region->ram_offset + offset, size);
    memory_ram_written(vcpu->machine, region->ram_offset + offset, size);
    return true;
}

size_t debug_write(Vcpu *vcpu, bool physical, uint64_t address, const void *buffer, size_t size)
{
    size_t done = 0;

    while (done < size) {
        uint64_t guest_phys;
        size_t part = piece(vcpu, physical, address + done, size - done, &guest_phys);

        if (!part || !write_piece(vcpu, guest_phys, (const uint8_t *)buffer + done, part)) {
            break;
        }
        done += part;
    }
    return done;
}

static bool read_value(Vcpu *vcpu, const DebugPoint *point, uint64_t *value)
{
    uint8_t bytes[8] = { 0 };

    if (point->size > 8 || (point->size & (point->size - 1)) ||
        debug_read(vcpu, point->physical, point->address, bytes, point->size, true) < point->size) {
        return false;
    }
    *value = load_le64(bytes);
    return true;
}

/* --- clients and points ------------------------------------------------------------------------ */

void debug_add_client(Machine *machine, DebugClient *client)
{
    client->machine = machine;
    machine_exclusive_begin(machine);
    g_ptr_array_add(state_of(machine)->clients, client);
    machine_exclusive_end(machine);
}

/* Stops that a point or client made: of all when both are NULL. */
static void forget_stops(DebugState *state, const DebugPoint *point, const DebugClient *client)
{
    g_mutex_lock(&state->lock);
    for (GList *link = state->stops.head, *next; link; link = next) {
        DebugStop *stop = link->data;

        next = link->next;
        if ((!point && !client) || (point && stop->point == point) ||
            (client && stop->client == client)) {
            g_queue_delete_link(&state->stops, link);
            g_free(stop);
        }
    }
    g_mutex_unlock(&state->lock);
    if (point && state->last.point == point) {
        state->last.point = NULL;
    }
    if (client && state->last.client == client) {
        state->last = (DebugStop){ 0 };
    }
}

static bool tell_accelerator(Machine *machine, GError **error)
{
    const Accelerator *accelerator = machine->accelerator;

    if (!machine->vcpus->len) {
        return true; /* nothing runs: the machine is being freed */
    }
    if (!accelerator || !accelerator->debug_changed) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "accelerator '%s' has no breakpoints and watchpoints yet",
                          accelerator ? accelerator->name : "none");
    }
    return accelerator->debug_changed(machine, error);
}

void debug_forget_events(DebugClient *client, const void *opaque)
{
    DebugState *state = state_of(client->machine);

    g_mutex_lock(&state->lock);
    for (GList *link = state->stops.head, *next; link; link = next) {
        DebugStop *stop = link->data;

        next = link->next;
        if (stop->client == client && stop->kind == DEBUG_STOP_EVENT && stop->opaque == opaque) {
            g_queue_delete_link(&state->stops, link);
            g_free(stop);
        }
    }
    g_mutex_unlock(&state->lock);
    if (state->last.client == client && state->last.opaque == opaque) {
        state->last.opaque = NULL;
    }
}

static bool is_at(Vcpu *vcpu, const DebugPoint *point, uint64_t pc)
{
    uint64_t guest_phys = pc;

    if (!(point->access & DEBUG_EXECUTE)) {
        return false;
    }
    return (!point->physical || vcpu->target->translate_debug(vcpu, pc, &guest_phys)) &&
           guest_phys - point->address < point->size;
}

/* A new point has told of nothing, also where an instruction that was told of comes once more. */
static void forget_told(Machine *machine, const DebugPoint *point)
{
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        Vcpu *vcpu = g_ptr_array_index(machine->vcpus, i);

        if (is_at(vcpu, point, vcpu->debug.passed_pc)) {
            vcpu->debug.again = false;
        }
    }
}

bool debug_add_point(Machine *machine, const DebugPoint *point, GError **error)
{
    DebugState *state = state_of(machine);
    bool ok;

    machine_exclusive_begin(machine);
    g_ptr_array_add(state->points, (void *)point);
    forget_told(machine, point);
    ok = tell_accelerator(machine, error);
    if (!ok) {
        g_ptr_array_remove(state->points, (void *)point);
        tell_accelerator(machine, NULL);
    }
    machine_exclusive_end(machine);
    return ok;
}

void debug_remove_point(Machine *machine, const DebugPoint *point)
{
    DebugState *state = state_of(machine);

    machine_exclusive_begin(machine);
    if (g_ptr_array_remove(state->points, (void *)point)) {
        tell_accelerator(machine, NULL);
    }
    forget_stops(state, point, NULL);
    machine_exclusive_end(machine);
}

void debug_remove_client(DebugClient *client)
{
    Machine *machine = client->machine;
    DebugState *state = state_of(machine);
    bool changed = false;

    machine_exclusive_begin(machine);
    for (unsigned i = state->points->len; i-- > 0;) {
        const DebugPoint *point = g_ptr_array_index(state->points, i);

        if (point->client == client) {
            g_ptr_array_remove_index(state->points, i);
            changed = true;
        }
    }
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        Vcpu *vcpu = g_ptr_array_index(machine->vcpus, i);

        if (vcpu->debug.stepper == client) {
            vcpu->debug.step = false;
            vcpu->debug.stepper = NULL;
        }
    }
    if (changed) {
        tell_accelerator(machine, NULL);
    }
    forget_stops(state, NULL, client);
    debug_want(client, 0);
    g_ptr_array_remove(state->clients, client);
    machine_exclusive_end(machine);
}

void debug_set_move(Vcpu *vcpu, DebugMove move, DebugClient *client)
{
    vcpu->debug.step = move == DEBUG_STEP;
    vcpu->debug.stepper = client;
    atomic_store(&vcpu->debug.hold, move == DEBUG_HOLD);
}

/* --- stops ------------------------------------------------------------------------------------- */

static void stop_machine(Machine *machine, const DebugStop *stop)
{
    DebugState *state = state_of(machine);

    g_mutex_lock(&state->lock);
    g_queue_push_tail(&state->stops, g_memdup2(stop, sizeof *stop));
    g_mutex_unlock(&state->lock);
    machine_request_stop(machine, STOP_DEBUG, NULL);
}

/* Asks the client whether the machine stops; queues the stop of the first that says so. */
static bool ask(const DebugStop *stop, bool *stopping)
{
    if (*stopping) {
        /* The machine stops already, but the client counts. */
        if (stop->client->reached) {
            stop->client->reached(stop->client, stop);
        }
        return false;
    }
    if (stop->client->reached && !stop->client->reached(stop->client, stop)) {
        return false;
    }
    *stopping = true;
    stop_machine(stop->vcpu->machine, stop);
    return true;
}

void debug_want(DebugClient *client, uint32_t kinds)
{
    const GPtrArray *clients = state_of(client->machine)->clients;
    Machine *machine = client->machine;
    uint32_t all = 0;

    client->wanted = kinds;
    for (unsigned i = 0; i < clients->len; i++) {
        all |= ((const DebugClient *)g_ptr_array_index(clients, i))->wanted;
    }
    if ((atomic_exchange(&machine->debug_wanted, all) ^ all) >> DEBUG_REGISTER & 1) {
        machine_exclusive_begin(machine);
        for (unsigned i = 0; i < machine->vcpus->len; i++) {
            Vcpu *vcpu = g_ptr_array_index(machine->vcpus, i);

            if (vcpu->target->debug_wants_changed) {
                vcpu->target->debug_wants_changed(vcpu);
            }
        }
        machine_exclusive_end(machine);
    }
}

bool debug_can_tell(const Machine *machine, DebugEventKind kind, GError **error)
{
    static const char *const of_cpus[DEBUG_EVENT_KINDS] = {
        [DEBUG_EXCEPTION] = "exceptions",
        [DEBUG_INTERRUPT] = "interrupts taken",
        [DEBUG_MODE] = "changes of mode",
        [DEBUG_REGISTER] = "system registers",
        [DEBUG_PAGING] = "changes of paging",
        [DEBUG_PORT] = "accesses to ports",
        [DEBUG_FIRMWARE_CALL] = "calls of firmware",
        [DEBUG_TRIPLE_FAULT] = "triple faults",
        [DEBUG_INSTRUCTIONS] = "how many instructions it has executed",
    };
    const Accelerator *accelerator = machine->accelerator;
    uint32_t told = accelerator ? accelerator->debug_events : 0;

    return !of_cpus[kind] || told >> kind & 1 ||
           error_fail(error, KASO_ERROR_UNSUPPORTED,
                      "accelerator '%s' does not tell of %s; use -accel tcg",
                      accelerator ? accelerator->name : "none", of_cpus[kind]);
}

void debug_report(Machine *machine, Vcpu *vcpu, const DebugEvent *event)
{
    const GPtrArray *clients = state_of(machine)->clients;

    if (vcpu) {
        vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    }
    for (unsigned i = 0; i < clients->len; i++) {
        DebugClient *client = g_ptr_array_index(clients, i);
        DebugStop stop = { .kind = DEBUG_STOP_EVENT,
                           .client = client,
                           .vcpu = vcpu,
                           .pc = vcpu ? vcpu->target->get_pc(vcpu) : 0,
                           .event = *event };

        stop.event.text = NULL;
        if (client->wanted >> event->kind & 1 &&
            client->happened(client, vcpu, event, &stop.opaque)) {
            stop_machine(machine, &stop);
        }
    }
}

void debug_report_dma(const Device *device, uint64_t guest_phys, uint64_t bytes, bool write)
{
    if (bytes) {
        debug_report(device->machine, vcpu_current(),
                     &(DebugEvent){ .kind = DEBUG_DMA,
                                    .write = write,
                                    .who = device->type->name,
                                    .name = g_intern_string(device->id),
                                    .number = guest_phys,
                                    .value = bytes });
    }
}

static uint64_t stack_pointer(Vcpu *vcpu)
{
    static const char *const names[] = { "sp", "rsp", "esp" };
    uint8_t bytes[TARGET_REGISTER_BYTES_MAX] = { 0 };

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const TargetRegister *reg = target_register_find(vcpu->target, names[i]);

        if (reg) {
            target_register_read(vcpu, reg, bytes);
            break;
        }
    }
    return load_le64(bytes);
}

/* Whether the instruction has been told of, and comes once more because it could not be executed. */
static bool told_before(Vcpu *vcpu, uint64_t pc)
{
    VcpuDebug *debug = &vcpu->debug;

    if (!debug->again || pc != debug->passed_pc || stack_pointer(vcpu) != debug->passed_stack) {
        return false;
    }
    debug->again = false;
    return true;
}

static bool break_at(Vcpu *vcpu, uint64_t pc, bool *stopping)
{
    const GPtrArray *points = debug_points(vcpu->machine);

    if (told_before(vcpu, pc)) {
        return false;
    }

    for (unsigned i = 0; i < points->len; i++) {
        const DebugPoint *point = g_ptr_array_index(points, i);

        if (is_at(vcpu, point, pc)) {
            ask(&(DebugStop){ .kind = DEBUG_STOP_BREAK,
                              .client = point->client,
                              .vcpu = vcpu,
                              .point = point,
                              .pc = pc },
                stopping);
        }
    }
    return *stopping;
}

bool debug_reached(Vcpu *vcpu)
{
    bool stopping = false;

    return break_at(vcpu, vcpu->target->get_pc(vcpu), &stopping);
}

bool debug_page_has(Machine *machine, uint64_t guest_virt, uint64_t guest_phys, unsigned access)
{
    const GPtrArray *points = debug_points(machine);

    for (unsigned i = 0; i < points->len; i++) {
        const DebugPoint *point = g_ptr_array_index(points, i);
        uint64_t page = PAGE_OF(point->physical ? guest_phys : guest_virt);

        if (point->access & access && page >= PAGE_OF(point->address) &&
            page <= PAGE_OF(point->address + point->size - 1)) {
            return true;
        }
    }
    return false;
}

static const DebugPoint *watched(Machine *machine, unsigned access, uint64_t guest_virt,
                                 uint64_t guest_phys, unsigned size, bool before, uint64_t *offset)
{
    const GPtrArray *points = debug_points(machine);

    for (unsigned i = 0; i < points->len; i++) {
        const DebugPoint *point = g_ptr_array_index(points, i);
        uint64_t start = point->physical ? guest_phys : guest_virt;

        if (point->access & access & (DEBUG_READ | DEBUG_WRITE) && point->before == before &&
            (start - point->address < point->size || point->address - start < size)) {
            *offset = start > point->address ? 0 : point->address - start;
            return point;
        }
    }
    return NULL;
}

DebugAnswer debug_accessed(Vcpu *vcpu, unsigned access, uint64_t guest_virt, uint64_t guest_phys,
                           unsigned size, bool alone)
{
    VcpuDebug *debug = &vcpu->debug;
    const DebugPoint *point;
    bool stopping = false;
    uint64_t offset;

    point = debug->pass
                ? NULL
                : watched(vcpu->machine, access, guest_virt, guest_phys, size, true, &offset);
    if (point) {
        const DebugStop stop = { .kind = DEBUG_STOP_WATCH,
                                 .client = point->client,
                                 .vcpu = vcpu,
                                 .point = point,
                                 .pc = vcpu->target->get_pc(vcpu),
                                 .access = (uint8_t)access,
                                 .address = guest_virt + offset };

        if (ask(&stop, &stopping)) {
            return DEBUG_ABANDON;
        }
    }
    point = watched(vcpu->machine, access, guest_virt, guest_phys, size, false, &offset);
    if (!point || debug->watch) {
        return DEBUG_GO;
    }
    if (!alone) {
        return DEBUG_ALONE;
    }
    debug->watch = point;
    debug->watch_access = (uint8_t)access;
    debug->watch_address = guest_virt + offset;
    debug->watch_known = read_value(vcpu, point, &debug->watch_value);
    return DEBUG_GO;
}

static void watch_done(Vcpu *vcpu, uint64_t pc, bool *stopping)
{
    VcpuDebug *debug = &vcpu->debug;
    const DebugPoint *point = debug->watch;
    DebugStop stop = { .kind = DEBUG_STOP_WATCH,
                       .client = point->client,
                       .vcpu = vcpu,
                       .point = point,
                       .pc = pc,
                       .access = debug->watch_access,
                       .address = debug->watch_address,
                       .old_value = debug->watch_value };

    debug->watch = NULL;
    stop.values_known = debug->watch_known && read_value(vcpu, point, &stop.new_value);
    ask(&stop, stopping);
}

bool debug_done(Vcpu *vcpu)
{
    VcpuDebug *debug = &vcpu->debug;
    uint64_t pc = vcpu->target->get_pc(vcpu);
    bool stopping = false;

    debug->again |= debug->pass && debug->faulted;
    debug->pass = debug->faulted = false;
    if (debug->count && --debug->count == 0) {
        debug_report(vcpu->machine, vcpu,
                     &(DebugEvent){ .kind = DEBUG_INSTRUCTIONS,
                                    .number = debug->counted,
                                    .source = debug->counter });
    }
    if (debug->watch) {
        watch_done(vcpu, pc, &stopping);
    }
    if (debug->step) {
        /* Instructions that are executed on their own are not looked at by debug_reached. */
        break_at(vcpu, pc, &stopping);
        ask(
            &(DebugStop){
                .kind = DEBUG_STOP_STEP, .client = debug->stepper, .vcpu = vcpu, .pc = pc },
            &stopping);
    }
    return stopping;
}

/* --- start and stop ---------------------------------------------------------------------------- */

static void tell_clients(void *opaque)
{
    Machine *machine = opaque;
    DebugState *state = state_of(machine);
    DebugClient *owner = state->last.client;

    /* One may let it go on, or leave. Whose stop it is comes first: what it lets go on was no stop for the others. */
    if (owner && owner->stopped && !machine_running(machine)) {
        owner->stopped(owner, &state->last);
    }
    for (unsigned i = 0; i < state->clients->len && !machine_running(machine); i++) {
        DebugClient *client = g_ptr_array_index(state->clients, i);

        if (client != owner && client->stopped) {
            client->stopped(client, &state->last);
        }
    }
}

static bool take_stop(DebugState *state)
{
    DebugStop *stop;

    g_mutex_lock(&state->lock);
    stop = g_queue_pop_head(&state->stops);
    g_mutex_unlock(&state->lock);
    state->last = stop ? *stop : (DebugStop){ 0 };
    g_free(stop);
    return state->last.kind != DEBUG_STOP_NONE;
}

static void end_moves(Machine *machine)
{
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        debug_set_move(g_ptr_array_index(machine->vcpus, i), DEBUG_RUN, NULL);
    }
}

/* An instruction that has been told of is executed before points count again. */
static void pass_told(const DebugStop *told)
{
    Vcpu *vcpu = told->vcpu;

    if (told->kind != DEBUG_STOP_BREAK && told->kind != DEBUG_STOP_STEP &&
        !(told->kind == DEBUG_STOP_WATCH && told->point && told->point->before)) {
        return;
    }
    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    vcpu->debug.pass = vcpu->target->get_pc(vcpu) == told->pc;
    vcpu->debug.again = false;
    vcpu->debug.passed_pc = told->pc;
    vcpu->debug.passed_stack = stack_pointer(vcpu);
}

bool debug_count(Vcpu *vcpu, uint64_t instructions, const void *source)
{
    bool free = !vcpu->debug.count || !instructions;

    machine_exclusive_begin(vcpu->machine);
    if (free && (instructions || vcpu->debug.counter == source)) {
        vcpu->debug.count = vcpu->debug.counted = instructions;
        vcpu->debug.counter = source;
    }
    machine_exclusive_end(vcpu->machine);
    return free;
}

static void set_clock(Machine *machine)
{
    DebugState *state = state_of(machine);
    bool still = state->step_flags & DEBUG_STEP_NO_TIME, steps = false;

    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        const Vcpu *vcpu = g_ptr_array_index(machine->vcpus, i);

        if (vcpu->debug.step) {
            steps = true;
            still &= !atomic_load(&vcpu->halted);
        } else if (!atomic_load(&vcpu->debug.hold)) {
            still &= !atomic_load(&vcpu->powered);
        }
    }
    state->holds_clock = still && steps;
}

bool debug_may_start(Machine *machine)
{
    DebugState *state = state_of(machine);
    const DebugStop told = state->last;

    if (take_stop(state)) {
        end_moves(machine);
        machine_defer(machine, tell_clients, machine);
        return false;
    }
    pass_told(&told);
    set_clock(machine);
    return true;
}

static void run_state_changed(void *opaque, bool running)
{
    Machine *machine = opaque;
    DebugState *state = state_of(machine);

    if (running) {
        return;
    }
    end_moves(machine);
    take_stop(state);
    if (state->clients->len) {
        machine_defer(machine, tell_clients, machine);
    }
}

static void reset(void *opaque)
{
    Machine *machine = opaque;
    DebugState *state = state_of(machine);

    forget_stops(state, NULL, NULL);
    if (debug_wants(machine, DEBUG_RESET)) {
        debug_report(machine, NULL, &(DebugEvent){ .kind = DEBUG_RESET });
    }
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        VcpuDebug *debug = &((Vcpu *)g_ptr_array_index(machine->vcpus, i))->debug;

        debug->pass = debug->again = false;
    }
}

void debug_create(Machine *machine)
{
    DebugState *state = g_new0(DebugState, 1);

    state->clients = g_ptr_array_new();
    state->points = g_ptr_array_new();
    state->step_flags = DEBUG_STEP_NO_INTERRUPTS | DEBUG_STEP_NO_TIME;
    g_mutex_init(&state->lock);
    machine->private->debug = state;
    machine_on_run_state(machine, run_state_changed, machine);
    machine_on_reset(machine, reset, machine);
}

void debug_destroy(Machine *machine)
{
    DebugState *state = state_of(machine);

    forget_stops(state, NULL, NULL);
    g_ptr_array_unref(state->clients);
    g_ptr_array_unref(state->points);
    g_mutex_clear(&state->lock);
    g_free(state);
}
