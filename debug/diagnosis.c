/* SPDX-License-Identifier: MIT */
/* Watches a guest for a moment and says what it does; see the header. */
#include "debug/diagnosis.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "debug/diagnosis-exceptions.h"
#include "debug/diagnosis-private.h"
#include "debug/linux/linux.h"
#include "debug/linux/registers.h"
#include "debug/linux/tasks.h"
#include "debug/memory.h"
#include "debug/symbols/symbols.h"
#include "machine/accelerator.h"
#include "machine/console.h"
#include "machine/display.h"

#define FAR_NS     (INT64_C(60) * 1000000000)
#define STATE_NAME "debug/diagnosis.h"

enum { PLACES_MAX = 64, SAMPLES = 30, LOOP_BYTES = 256, SHOWN_MAX = 4 };

typedef struct {
    const MemoryRegion *region; /* NULL: nothing is there */
    uint64_t address;           /* in the region, or in the space */
    uint64_t at;                /* in the space */
    unsigned size, count;
    bool write;
} Place;

typedef struct {
    Place places[PLACES_MAX];
    unsigned count;
} Places;

typedef struct {
    Machine *machine;
    MemoryObserver observer;
    ExceptionWatch exceptions;
    GMutex lock;
    bool watching;          /* polled is filled */
    Places polled, missing; /* guarded by lock */
} State;

typedef struct {
    uint64_t pc[SAMPLES];
    bool halted[SAMPLES];
} Samples;

bool diagnosis_is_nothing(const MemoryRegion *region)
{
    return !region || g_str_has_suffix(region->name, "-abort");
}

static void count_place(Places *places, const MemoryRegion *region, uint64_t address, uint64_t at,
                        unsigned size, bool write)
{
    unsigned i = 0;

    while (i < places->count &&
           (places->places[i].region != region || places->places[i].address != address ||
            places->places[i].write != write)) {
        i++;
    }
    if (i == places->count) {
        if (i == PLACES_MAX) {
            return;
        }
        places->places[places->count++] = (Place){ region, address, at, size, 0, write };
    }
    places->places[i].count++;
}

/* On vCPU threads. */
static void observe(void *opaque, AddressSpace *space, const MemoryRange *range, uint64_t address,
                    unsigned size, bool write, MemoryResult result, MemoryAttributes attributes)
{
    State *state = opaque;

    if (attributes.vcpu < 0) {
        return;
    }
    g_mutex_lock(&state->lock);
    if (!range && space != &state->machine->io_space) {
        count_place(&state->missing, NULL, address, address, size, write);
    } else if (range && state->watching && range->region->kind == MEMORY_IO) {
        count_place(&state->polled, range->region, range->offset + (address - range->start),
                    address, size, write);
    }
    g_mutex_unlock(&state->lock);
}

static void state_free(void *opaque)
{
    State *state = opaque;

    memory_set_observer(state->machine, NULL);
    exception_watch_destroy(&state->exceptions);
    g_mutex_clear(&state->lock);
    g_free(state);
}

static State *state_of(Machine *machine)
{
    State *state = machine_attached(machine, STATE_NAME);

    if (!state) {
        state = g_new0(State, 1);
        state->machine = machine;
        state->observer = (MemoryObserver){ observe, state };
        g_mutex_init(&state->lock);
        machine_attach(machine, STATE_NAME, state, state_free);
        memory_set_observer(machine, &state->observer);
        exception_watch_create(&state->exceptions, machine);
        console_keep_last(machine);
    }
    return state;
}

void diagnosis_prepare(Machine *machine)
{
    state_of(machine);
}

static void sample(Machine *machine, Samples *samples, unsigned n)
{
    machine_exclusive_begin(machine);
    for (guint i = 0; i < machine->vcpus->len; i++) {
        Vcpu *vcpu = machine->vcpus->pdata[i];

        vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
        samples[i].pc[n] = vcpu->target->get_pc ? vcpu->target->get_pc(vcpu) : 0;
        samples[i].halted[n] = atomic_load(&vcpu->halted);
    }
    machine_exclusive_end(machine);
}

static void watch(State *state, Samples *samples)
{
    Machine *machine = state->machine;
    bool running = machine_running(machine);

    g_mutex_lock(&state->lock);
    state->polled.count = 0;
    state->watching = true;
    g_mutex_unlock(&state->lock);
    exception_watch_begin(&state->exceptions);
    for (unsigned n = 0; n < SAMPLES; n++) {
        if (running) {
            machine_unlock(machine);
            g_usleep(DIAGNOSIS_WATCH_MS * 1000 / SAMPLES);
            machine_lock(machine);
        }
        sample(machine, samples, n);
    }
    exception_watch_end(&state->exceptions);
    g_mutex_lock(&state->lock);
    state->watching = false;
    g_mutex_unlock(&state->lock);
}

static char *describe_mode(Vcpu *vcpu)
{
    bool arm = g_str_equal(vcpu->target->name, "aarch64");
    unsigned mode = target_capstone_mode(vcpu);

    if (arm) {
        unsigned el = linux_register(vcpu, "cpsr") >> 2 & 3;

        return g_strdup_printf("EL%u, MMU %s", el,
                               linux_register(vcpu, "sctlr_el1") & 1 ? "on" : "off");
    }
    if (!target_register_find(vcpu->target, "cr0")) {
        return g_strdup(vcpu->target->name);
    }
    return g_strdup_printf(
        "%s%s",
        !(linux_register(vcpu, "cr0") & 1) ? "real mode"
        : mode & 8                         ? "64-bit mode"
        : mode & 4                         ? "32-bit protected mode"
                                           : "16-bit protected mode",
        linux_register(vcpu, "cs") & 3 && linux_register(vcpu, "cr0") & 1 ? ", user code" : "");
}

/* A symbol, or what the code lies in. */
static char *describe_place(Vcpu *vcpu, uint64_t pc)
{
    char *symbol = symbols_describe(vcpu->machine, vcpu, pc);
    const MemoryRange *range;
    uint64_t guest_phys;

    if (symbol) {
        return symbol;
    }
    if (!vcpu->target->translate_debug(vcpu, pc, &guest_phys)) {
        return g_strdup_printf("%#" PRIx64 ", which is not mapped", pc);
    }
    range = address_space_find(vcpu->memory, guest_phys);
    if (!range) {
        return g_strdup_printf("%#" PRIx64 ", where there is no memory", pc);
    }
    return g_strdup_printf("%#" PRIx64 " (%s)", pc, range->region->name);
}

static char *describe_wait(const Vcpu *vcpu)
{
    Machine *machine = vcpu->machine;
    int64_t now_ns = clock_now_ns(machine), own_ns = vcpu->halt_deadline_ns,
            next_ns = clock_next_deadline_ns(machine);
    bool x86 = target_register_find(vcpu->target, "eflags");

    if (x86 && !(linux_register((Vcpu *)vcpu, "eflags") & 0x200)) {
        return g_strdup("interrupts are off: only a reset or an NMI wakes it");
    }
    if (own_ns >= 0 || next_ns >= 0) {
        int64_t due_ns = own_ns < 0 || (next_ns >= 0 && next_ns < own_ns) ? next_ns : own_ns;

        if (due_ns - now_ns < FAR_NS) {
            return g_strdup_printf("%s timer goes off in %" PRId64 " ms",
                                   due_ns == own_ns ? "its" : "a device's",
                                   MAX(due_ns - now_ns, 0) / 1000000);
        }
    }
    return g_strdup("no timer goes off within a minute: only a device can wake it");
}

/* The exception that a CPU takes again and again. */
static char *describe_storm(Vcpu *vcpu, const ExceptionPlace *place)
{
    g_autofree char *where = describe_place(vcpu, place->from);
    GString *text = g_string_new(NULL);

    if (vcpu->target->x86) {
        g_string_append_printf(
            text, "%u× exception %" PRIu64 " (%s), error code %#" PRIx64 ", taken at %s",
            place->count, place->number, diagnosis_x86_exception((unsigned)place->number),
            place->value, where);
        if (place->number == 14) {
            g_string_append_printf(text, ", CR2=%#" PRIx64, place->address);
        }
    } else {
        uint64_t base = linux_register(vcpu, "vbar_el1");

        g_string_append_printf(
            text, "%u× %s, ESR_EL1=%#" PRIx64 ", taken at %s, FAR_EL1=%#" PRIx64 "%s", place->count,
            diagnosis_arm_class(place->number), place->value, where, place->address,
            base ? "" : "; VBAR_EL1 is 0: the guest has set up no vectors");
    }
    return g_string_free(text, FALSE);
}

static unsigned count_halted(const Samples *samples)
{
    unsigned n = 0;

    for (unsigned i = 0; i < SAMPLES; i++) {
        n += samples->halted[i];
    }
    return n;
}

static void classify(State *state, Vcpu *vcpu, const Samples *samples, CpuDiagnosis *cpu)
{
    uint64_t low = UINT64_MAX, high = 0;
    ExceptionPlace place;

    for (unsigned i = 0; i < SAMPLES; i++) {
        low = MIN(low, samples->pc[i]);
        high = MAX(high, samples->pc[i]);
    }
    if (!atomic_load(&vcpu->powered)) {
        cpu->activity = CPU_OFF;
    } else if (count_halted(samples) > SAMPLES / 2) {
        cpu->activity = CPU_WAITS;
        cpu->detail = describe_wait(vcpu);
    } else if (!machine_running(vcpu->machine)) {
        cpu->activity = CPU_STOPPED;
    } else if (exception_watch_storm(&state->exceptions, vcpu, &place)) {
        cpu->activity = CPU_STORM;
        cpu->detail = describe_storm(vcpu, &place);
    } else if (high - low < LOOP_BYTES) {
        cpu->activity = CPU_LOOPS;
        cpu->detail = low == high
                          ? g_strdup_printf("always at %#" PRIx64, low)
                          : g_strdup_printf("between %#" PRIx64 " and %#" PRIx64, low, high);
    } else {
        cpu->activity = CPU_RUNS;
    }
}

/* The lowest row of a screen that shows text, for guests that use no serial port; NULL: there is none. */
static char *last_row(Machine *machine)
{
    GPtrArray *displays = machine_displays(machine);
    char *line = NULL;

    for (guint i = 0; i < displays->len && !line; i++) {
        DisplayText text = { 0 };

        if (!display_device(displays->pdata[i]) || !display_read_text(displays->pdata[i], &text)) {
            continue;
        }
        for (unsigned row = text.rows; row-- > 0 && !line;) {
            line = display_text_row(&text, row);
            if (!*line) {
                g_clear_pointer(&line, g_free);
            }
        }
        g_free(text.cells);
    }
    return line;
}

/* Code that is all zeros was never loaded. */
static void notice_empty_code(Vcpu *vcpu, CpuDiagnosis *cpu)
{
    uint8_t code[32];
    bool zero = debug_memory_read_virtual(vcpu, cpu->pc, code, sizeof code);

    for (unsigned i = 0; i < sizeof code && zero; i++) {
        zero = !code[i];
    }
    if (zero && cpu->activity != CPU_OFF) {
        g_autofree char *before = cpu->detail;

        cpu->detail = g_strdup_printf("%s%sthe memory there holds zeros: no code was loaded",
                                      before ? before : "", before ? "; " : "");
    }
}

static CpuDiagnosis *diagnose_cpu(State *state, Vcpu *vcpu, const Samples *samples)
{
    CpuDiagnosis *cpu = g_new0(CpuDiagnosis, 1);
    LinuxKernel *kernel = linux_kernel_known(vcpu->machine);
    LinuxTask task;

    cpu->index = vcpu->index;
    cpu->pc = samples->pc[SAMPLES - 1];
    cpu->mode = describe_mode(vcpu);
    cpu->where = describe_place(vcpu, cpu->pc);
    if (kernel && kernel->root && linux_task_current(kernel, vcpu, &task) && *task.name) {
        cpu->task = g_strdup_printf("%u (%s)", task.pid, task.name);
    }
    classify(state, vcpu, samples, cpu);
    notice_empty_code(vcpu, cpu);
    return cpu;
}

static int more_first(const void *a, const void *b)
{
    const Place *x = a, *y = b;

    return (x->count < y->count) - (x->count > y->count);
}

/* The places with the most accesses. */
static GPtrArray *take_places(State *state, const Places *from)
{
    GPtrArray *list = g_ptr_array_new();
    Places places;

    g_mutex_lock(&state->lock);
    places = *from;
    g_mutex_unlock(&state->lock);
    qsort(places.places, places.count, sizeof places.places[0], more_first);
    for (unsigned i = 0; i < MIN(places.count, SHOWN_MAX); i++) {
        const Place *place = &places.places[i];
        TouchedPlace *touched = g_new0(TouchedPlace, 1);
        char name[128];

        touched->missing = diagnosis_is_nothing(place->region);
        touched->address = touched->missing ? place->at : place->address;
        touched->count = place->count;
        touched->write = place->write;
        touched->name =
            touched->missing ? g_strdup("nothing")
            : register_name(place->region, place->address, place->size, name, sizeof name)
                ? g_strdup(name)
                : g_strdup_printf("%s+%#" PRIx64, place->region->name, place->address);
        g_ptr_array_add(list, touched);
    }
    return list;
}

static void free_place(void *opaque)
{
    TouchedPlace *place = opaque;

    g_free(place->name);
    g_free(place);
}

static void free_cpu(void *opaque)
{
    CpuDiagnosis *cpu = opaque;

    g_free(cpu->mode);
    g_free(cpu->where);
    g_free(cpu->task);
    g_free(cpu->detail);
    g_free(cpu);
}

Diagnosis *diagnosis_make(Machine *machine)
{
    State *state = state_of(machine);
    Diagnosis *diagnosis = g_new0(Diagnosis, 1);
    g_autofree Samples *samples = g_new0(Samples, MAX(machine->vcpus->len, 1));

    watch(state, samples);
    symbols_refresh(machine);
    diagnosis->cpus = g_ptr_array_new_with_free_func(free_cpu);
    diagnosis->hints = g_ptr_array_new_with_free_func(g_free);
    machine_exclusive_begin(machine);
    for (guint i = 0; i < machine->vcpus->len; i++) {
        g_ptr_array_add(diagnosis->cpus,
                        diagnose_cpu(state, machine->vcpus->pdata[i], &samples[i]));
    }
    diagnosis->polled = take_places(state, &state->polled);
    diagnosis->missing = take_places(state, &state->missing);
    g_ptr_array_set_free_func(diagnosis->polled, free_place);
    g_ptr_array_set_free_func(diagnosis->missing, free_place);
    diagnosis->last_output = g_strdup(console_last_line(machine));
    if (!diagnosis->last_output) {
        diagnosis->last_output = last_row(machine);
    }
    diagnosis->reset_reason = machine_last_reset(machine, &diagnosis->resets);
    diagnosis->triple_fault = exception_watch_triple_fault(&state->exceptions);
    diagnosis_add_hints(machine, diagnosis);
    machine_exclusive_end(machine);
    return diagnosis;
}

void diagnosis_free(Diagnosis *diagnosis)
{
    g_ptr_array_unref(diagnosis->cpus);
    g_ptr_array_unref(diagnosis->polled);
    g_ptr_array_unref(diagnosis->missing);
    g_ptr_array_unref(diagnosis->hints);
    g_free(diagnosis->last_output);
    g_free(diagnosis->triple_fault);
    g_free(diagnosis->kernel);
    g_free(diagnosis->kernel_log);
    g_free(diagnosis);
}
