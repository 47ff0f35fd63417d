/* SPDX-License-Identifier: MIT */
/* Start, stop, reset, the requests that lead to them, events, and the main loop. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "machine/accelerator.h"
#include "machine/debug.h"
#include "machine/private.h"

typedef struct {
    MachineEventListener *fn;
    void *opaque;
} EventListener;

typedef struct {
    void (*fn)(void *opaque, bool running);
    void *opaque;
} StateListener;

/* clang-format off */
static const struct {
    const char *name;     /* RunState while stopped for this reason */
    const char *cause;    /* ShutdownCause when it ends the run */
    const char *sentence; /* what the user reads at the end */
    bool guest;
    bool ordinary;        /* an end as it should be: said on a terminal only */
    uint8_t status;       /* the program's exit status */
    uint8_t distinct;     /* the same with -action exit-status=distinct; see machine_request_end for signals */
} reasons[] = {
    [STOP_NONE] = { "running", "none", "stopped" },
    [STOP_PAUSED] = { "paused", "none", "stopped" },
    [STOP_SUSPENDED] = { "suspended", "none", "suspended" },
    [STOP_INMIGRATE] = { "inmigrate", "none", "stopped" },
    [STOP_FINISH_MIGRATE] = { "finish-migrate", "none", "stopped" },
    [STOP_POSTMIGRATE] = { "postmigrate", "none", "stopped" },
    [STOP_SAVE_VM] = { "save-vm", "none", "stopped" },
    [STOP_RESTORE_VM] = { "restore-vm", "none", "stopped" },
    [STOP_GUEST_POWEROFF] = { "shutdown", "guest-shutdown", "guest powered off", true, true, 0, 0 },
    [STOP_GUEST_RESET] = { "shutdown", "guest-reset", "guest reset (-no-reboot)", true, true, 0, 10 },
    [STOP_GUEST_PANIC] = { "guest-panicked", "guest-panic", "guest panicked", true, false, 0, 11 },
    [STOP_WATCHDOG] = { "watchdog", "none", "stopped by the guest's watchdog" },
    [STOP_DEBUG] = { "debug", "none", "stopped in the debugger" },
    [STOP_IO_ERROR] = { "io-error", "none", "stopped on an I/O error", false, false, 1, 12 },
    [STOP_CONSOLE_MATCH] = { "shutdown", "host-ui", "console matched", false, true, 0, 0 },
    [STOP_USER_QUIT] = { "shutdown", "host-qmp-quit", "quit by the user", false, true, 0, 13 },
    [STOP_SIGNAL] = { "shutdown", "host-signal", "ended by a signal", false, false, 0, 14 },
    [STOP_ERROR] = { "internal-error", "host-error", "cannot go on", false, false, 1, 12 },
};
/* clang-format on */

const char *stop_reason_name(StopReason reason)
{
    return reasons[reason].name;
}

void machine_add_event_listener(Machine *machine, MachineEventListener *fn, void *opaque)
{
    EventListener listener = { fn, opaque };

    g_array_append_val(machine->private->listeners, listener);
}

void machine_remove_event_listener(Machine *machine, MachineEventListener *fn, void *opaque)
{
    GArray *listeners = machine->private->listeners;

    jitter_sleep(&machine->private->jitter, MACHINE_JITTER_NS);
    for (unsigned i = 0; i < listeners->len; i++) {
        EventListener *listener = &g_array_index(listeners, EventListener, i);

        if (listener->fn == fn && listener->opaque == opaque) {
            g_array_remove_index(listeners, i);
            return;
        }
    }
}

void machine_event(Machine *machine, const char *event, const char *json_data)
{
    GArray *listeners = machine->private->listeners;

    for (unsigned i = 0; i < listeners->len; i++) {
        EventListener *listener = &g_array_index(listeners, EventListener, i);

        listener->fn(listener->opaque, event, json_data);
    }
}

void machine_on_run_state(Machine *machine, void (*fn)(void *opaque, bool running), void *opaque)
{
    StateListener listener = { fn, opaque };

    g_array_append_val(machine->private->state_listeners, listener);
}

void machine_forget_run_state(Machine *machine, const void *opaque)
{
    GArray *listeners = machine->private->state_listeners;

    for (unsigned i = listeners->len; i-- > 0;) {
        if (g_array_index(listeners, StateListener, i).opaque == opaque) {
            g_array_remove_index(listeners, i);
        }
    }
}

static void tell_state(Machine *machine, bool running)
{
    GArray *listeners = machine->private->state_listeners;

    for (unsigned i = 0; i < listeners->len; i++) {
        StateListener *listener = &g_array_index(listeners, StateListener, i);

        listener->fn(listener->opaque, running);
    }
}

/* Comes or goes, or is being saved: only who does that lets it run again. */
static bool is_on_its_way(Machine *machine)
{
    StopReason reason = atomic_load(&machine->stop_reason);

    return reason >= STOP_INMIGRATE && reason <= STOP_RESTORE_VM;
}

void machine_start(Machine *machine)
{
    MachinePrivate *private = machine->private;

    if (machine_running(machine) || private->run_ended || is_on_its_way(machine) ||
        atomic_load(&machine->stop_reason) == STOP_SUSPENDED) {
        return;
    }
    if (!private->ever_reset) {
        machine_reset(machine);
    }
    if (!debug_may_start(machine)) {
        return;
    }
    if (private->suspended) {
        /* It was paused in its sleep, and sleeps on. */
        clock_start(machine);
        atomic_store(&machine->stop_reason, STOP_SUSPENDED);
        machine_event(machine, "RESUME", NULL);
        return;
    }
    if (!private->ever_started) {
        memory_ram_use_huge_pages(machine);
    }
    atomic_store(&machine->stop_reason, STOP_NONE);
    if (!debug_holds_clock(machine)) {
        clock_start(machine);
    }
    tell_state(machine, true);
    vcpus_start_threads(machine);
    vcpus_resume(machine);
    private->ever_started = true;
    machine_event(machine, "RESUME", NULL);
}

/* Whether it ran, or slept, before. */
static bool halt(Machine *machine, StopReason reason)
{
    StopReason before = atomic_load(&machine->stop_reason);

    atomic_store(&machine->stop_reason, reason);
    if (before != STOP_NONE && before != STOP_SUSPENDED) {
        return false;
    }
    if (before == STOP_NONE) {
        vcpus_park(machine);
        tell_state(machine, false);
    }
    clock_stop(machine);
    return true;
}

void machine_stop(Machine *machine, StopReason reason)
{
    if (halt(machine, reason)) {
        machine_event(machine, "STOP", NULL);
    }
}

void machine_on_reset(Machine *machine, void (*fn)(void *opaque), void *opaque)
{
    Callback callback = { fn, opaque };

    g_array_append_val(machine->private->reset_callbacks, callback);
}

void machine_forget_on_reset(Machine *machine, const void *opaque)
{
    GArray *callbacks = machine->private->reset_callbacks;

    for (unsigned i = callbacks->len; i-- > 0;) {
        if (g_array_index(callbacks, Callback, i).opaque == opaque) {
            g_array_remove_index(callbacks, i);
        }
    }
}

static void reset_vcpu(Machine *machine, Vcpu *vcpu)
{
    atomic_store(&vcpu->interrupts, 0);
    vcpu_clear_events(vcpu);
    vcpu_set_secure(vcpu, false);
    atomic_store(&vcpu->halted, false);
    atomic_store(&vcpu->powered, true);
    if (vcpu->target->reset) {
        vcpu->target->reset(vcpu);
    }
    if (machine->accelerator && machine->accelerator->vcpu_reset) {
        machine->accelerator->vcpu_reset(vcpu);
    }
}

typedef struct {
    void (*fn)(void *opaque);
    void *opaque;
} Deferred;

static Deferred *take_deferred(MachinePrivate *private)
{
    Deferred *deferred;

    g_mutex_lock(&private->request_lock);
    deferred = g_queue_pop_head(&private->deferred);
    g_mutex_unlock(&private->request_lock);
    return deferred;
}

/* What was put off until now, and not what that puts off. With the machine lock. */
static void run_all_deferred(Machine *machine)
{
    for (guint left = g_queue_get_length(&machine->private->deferred); left; left--) {
        g_autofree Deferred *deferred = take_deferred(machine->private);

        if (deferred) {
            deferred->fn(deferred->opaque);
        }
    }
}

void machine_reset(Machine *machine)
{
    MachinePrivate *private = machine->private;
    bool running = machine_running(machine);

    private->ever_reset = true;
    private->suspended = false;
    vcpus_park(machine);
    clock_forget_lost_time(machine);
    memory_transaction_begin(machine);
    device_reset_tree(machine->root);
    memory_transaction_end(machine);
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        reset_vcpu(machine, machine->vcpus->pdata[i]);
    }
    /* Devices that their reset has unplugged go before the board tells firmware which there are. */
    run_all_deferred(machine);
    if (machine->board && machine->board->reset && machine->root->realized) {
        machine->board->reset(machine, machine->board_state);
    }
    for (unsigned i = 0; i < private->reset_callbacks->len; i++) {
        Callback *callback = &g_array_index(private->reset_callbacks, Callback, i);

        callback->fn(callback->opaque);
    }
    if (running) {
        vcpus_resume(machine);
    }
}

/* by_host: -no-reboot makes an end of the user's reset, too. */
static void tell_shutdown(Machine *machine, StopReason reason, bool by_host)
{
    g_autofree char *data = g_strdup_printf(
        "{\"guest\": %s, \"reason\": \"%s\"}", reasons[reason].guest && !by_host ? "true" : "false",
        by_host ? "host-qmp-system-reset" : reasons[reason].cause);

    machine_event(machine, "SHUTDOWN", data);
}

static void end_run(Machine *machine, StopReason reason, bool by_host, const char *detail,
                    int status)
{
    MachinePrivate *private = machine->private;

    if (private->run_ended) {
        return;
    }
    tell_shutdown(machine, reason, by_host);
    for (unsigned i = 0; i < private->end_callbacks->len; i++) {
        Callback *callback = &g_array_index(private->end_callbacks, Callback, i);

        callback->fn(callback->opaque);
    }
    halt(machine, reason); /* SHUTDOWN says it: no STOP, which is of machines that can go on */
    private->run_ended = true;
    private->end_reason = reason;
    private->end_detail = g_strdup(detail);
    private->end_status = status;
}

/* A panic that would end the machine pauses it where nothing ends it, unless its own action was asked for. */
static PanicAction panic_action(const MachineConfig *config)
{
    return config->panic_action == PANIC_SHUTDOWN && config->no_shutdown ? PANIC_PAUSE
                                                                         : config->panic_action;
}

/* Whether it ends the run, as far as the options let it, or pauses it at most. */
static bool ends_run(const MachineConfig *config, StopReason reason)
{
    switch (reason) {
    case STOP_NONE:
    case STOP_PAUSED:
    case STOP_DEBUG:
    case STOP_WATCHDOG:
    case STOP_IO_ERROR:
        return false;
    case STOP_GUEST_POWEROFF:
    case STOP_GUEST_RESET:
        return !config->no_shutdown;
    case STOP_GUEST_PANIC:
        return !config->no_shutdown && panic_action(config) != PANIC_NONE &&
               panic_action(config) != PANIC_PAUSE;
    default:
        return true;
    }
}

/* What the options make of a reason: does it end the run, pause it, or neither? by_host: of a reset. */
static void carry_out_stop(Machine *machine, StopReason reason, bool by_host, const char *detail,
                           int status)
{
    static const char *const panic_data[] = {
        [PANIC_PAUSE] = "{\"action\": \"pause\"}",
        [PANIC_NONE] = "{\"action\": \"run\"}",
        [PANIC_SHUTDOWN] = "{\"action\": \"poweroff\"}",
        [PANIC_EXIT_FAILURE] = "{\"action\": \"poweroff\"}",
    };
    const MachineConfig *config = &machine->config;
    PanicAction action = panic_action(config);

    if (reason == STOP_GUEST_PANIC) {
        machine_event(machine, "GUEST_PANICKED", panic_data[action]);
        if (action == PANIC_NONE) {
            vcpus_resume(machine);
            return;
        }
    }
    if (ends_run(config, reason)) {
        end_run(machine, reason, by_host, detail, status);
    } else if (reasons[reason].guest && !(reason == STOP_GUEST_PANIC && action == PANIC_PAUSE)) {
        tell_shutdown(machine, reason, by_host);
        /* One that the user resets before it has run may still do so. */
        if (!by_host || machine_running(machine)) {
            machine_stop(machine, reason == STOP_GUEST_PANIC ? STOP_GUEST_POWEROFF : reason);
        }
    } else {
        machine_stop(machine, reason == STOP_NONE ? STOP_PAUSED : reason);
    }
}

static void carry_out_reset(Machine *machine, bool by_host)
{
    StopReason reason = atomic_load(&machine->stop_reason);

    if (reason == STOP_INMIGRATE || reason == STOP_FINISH_MIGRATE) {
        return; /* it is not here yet, or not any more */
    }
    machine_event(machine, "RESET",
                  by_host ? "{\"guest\": false, \"reason\": \"host-qmp-system-reset\"}"
                          : "{\"guest\": true, \"reason\": \"guest-reset\"}");
    machine_reset(machine);
    /* One that had ended and was kept (-no-shutdown) may be continued now. */
    if (!machine_running(machine) && !is_on_its_way(machine)) {
        atomic_store(&machine->stop_reason, STOP_PAUSED);
    }
}

static void carry_out_suspend(Machine *machine)
{
    bool running = machine_running(machine);

    /* One that has been paused since it asked sleeps when it goes on. */
    if (!running && atomic_load(&machine->stop_reason) != STOP_PAUSED) {
        return;
    }
    machine->private->suspended = true;
    if (running) {
        atomic_store(&machine->stop_reason, STOP_SUSPENDED);
        vcpus_park(machine);
        tell_state(machine, false);
    }
    machine_event(machine, "SUSPEND", NULL);
}

static void carry_out_wakeup(Machine *machine, WakeReason reason)
{
    MachinePrivate *private = machine->private;
    bool paused = atomic_load(&machine->stop_reason) != STOP_SUSPENDED;

    if (!private->suspended || !(private->wakers & reason)) {
        return;
    }
    private->wake_reason = reason;
    machine_reset(machine);
    private->wake_reason = WAKE_NONE;
    machine_event(machine, "WAKEUP", NULL);
    if (!paused) {
        atomic_store(&machine->stop_reason, STOP_NONE);
        tell_state(machine, true);
        vcpus_resume(machine);
    }
}

bool machine_carry_out_requests(Machine *machine)
{
    MachinePrivate *private = machine->private;
    g_autofree char *detail = NULL;
    const char *reset_reason;
    StopReason stop;
    WakeReason wake;
    int status;
    bool reset, by_host, powerdown, suspend;

    g_mutex_lock(&private->request_lock);
    stop = private->requested_stop;
    status = private->requested_status;
    reset = private->requested_reset;
    by_host = private->reset_by_host;
    reset_reason = private->reset_reason;
    powerdown = private->requested_powerdown;
    suspend = private->requested_suspend;
    wake = private->requested_wake;
    private->requested_suspend = false;
    private->requested_wake = WAKE_NONE;
    detail = g_steal_pointer(&private->requested_detail);
    private->requested_stop = STOP_NONE;
    private->requested_reset = private->requested_powerdown = private->request_queued = false;
    g_mutex_unlock(&private->request_lock);

    if (stop != STOP_NONE) {
        carry_out_stop(machine, stop, false, detail, status);
    }
    if (reset && !private->run_ended) {
        if (machine->config.no_reboot) {
            carry_out_stop(machine, STOP_GUEST_RESET, by_host, reset_reason, -1);
        } else {
            if (!by_host) {
                private->last_reset = reset_reason ? reset_reason : "guest";
                private->guest_resets++;
            }
            carry_out_reset(machine, by_host);
        }
    }
    if (suspend && !private->run_ended) {
        carry_out_suspend(machine);
    }
    if (wake != WAKE_NONE && !private->run_ended) {
        carry_out_wakeup(machine, wake);
    }
    if (powerdown && !private->run_ended) {
        machine_event(machine, "POWERDOWN", NULL);
        if (machine->board && machine->board->powerdown) {
            machine->board->powerdown(machine, machine->board_state);
        }
    }
    return !private->run_ended;
}

static gboolean carry_out_requests(gpointer opaque)
{
    Machine *machine = opaque;

    machine_lock(machine);
    machine_carry_out_requests(machine);
    machine_unlock(machine);
    return G_SOURCE_REMOVE;
}

/* request_lock is held. */
static void queue_requests(Machine *machine)
{
    if (!machine->private->request_queued) {
        machine->private->request_queued = true;
        /* In turn with all else: a guest that resets itself without end does not shut out the monitor. */
        g_idle_add_full(G_PRIORITY_DEFAULT, carry_out_requests, machine, NULL);
    }
}

/* request_lock is held. */
static bool end_pending(const Machine *machine)
{
    const MachinePrivate *private = machine->private;

    return ends_run(&machine->config, private->requested_stop) ||
           (private->requested_reset && machine->config.no_reboot &&
            ends_run(&machine->config, STOP_GUEST_RESET));
}

bool machine_end_pending(Machine *machine)
{
    bool pending;

    g_mutex_lock(&machine->private->request_lock);
    pending = end_pending(machine);
    g_mutex_unlock(&machine->private->request_lock);
    return pending;
}

void machine_on_end_request(Machine *machine, void (*fn)(void *opaque), void *opaque)
{
    g_mutex_lock(&machine->private->request_lock);
    machine->private->end_requested = fn;
    machine->private->end_requested_opaque = opaque;
    g_mutex_unlock(&machine->private->request_lock);
}

/* request_lock is held. */
static void tell_end_request(const Machine *machine)
{
    const MachinePrivate *private = machine->private;

    if (private->end_requested && end_pending(machine)) {
        private->end_requested(private->end_requested_opaque);
    }
}

/* A vCPU that asked for a stop or reset must not run another instruction before it happens. */
static void hold_current_vcpu(Machine *machine)
{
    Vcpu *vcpu = vcpu_current();

    if (vcpu && vcpu->machine == machine) {
        atomic_store(&vcpu->stop_requested, true);
        vcpu_kick(vcpu);
    }
}

void machine_request_reset(Machine *machine, const char *who)
{
    MachinePrivate *private = machine->private;

    trace("machine", "reset asked for by %s", who ? who : "the user");
    hold_current_vcpu(machine);
    g_mutex_lock(&private->request_lock);
    private->requested_reset = true;
    private->reset_by_host = who && g_str_has_prefix(who, "host-");
    private->reset_reason =
        who && !private->reset_by_host && strcmp(who, "guest") != 0 ? who : NULL;
    queue_requests(machine);
    tell_end_request(machine);
    g_mutex_unlock(&private->request_lock);
}

const char *machine_last_reset(const Machine *machine, unsigned *count)
{
    *count = machine->private->guest_resets;
    return machine->private->last_reset;
}

void machine_request_stop(Machine *machine, StopReason reason, const char *detail)
{
    machine_request_end(machine, reason, detail, -1);
}

void machine_request_end(Machine *machine, StopReason reason, const char *detail, int status)
{
    MachinePrivate *private = machine->private;

    hold_current_vcpu(machine);
    g_mutex_lock(&private->request_lock);
    /*
     * Later reasons in the list weigh more: an error or a quit is not hidden by a pause. Of two of the same weight the first
     * is the cause.
     */
    if (reason > private->requested_stop) {
        private->requested_stop = reason;
        private->requested_status = status;
        g_free(private->requested_detail);
        private->requested_detail = g_strdup(detail);
    }
    queue_requests(machine);
    tell_end_request(machine);
    g_mutex_unlock(&private->request_lock);
}

void machine_request_powerdown(Machine *machine)
{
    MachinePrivate *private = machine->private;

    g_mutex_lock(&private->request_lock);
    private->requested_powerdown = true;
    queue_requests(machine);
    g_mutex_unlock(&private->request_lock);
}

void machine_request_suspend(Machine *machine, unsigned wakers)
{
    MachinePrivate *private = machine->private;

    hold_current_vcpu(machine);
    g_mutex_lock(&private->request_lock);
    private->requested_suspend = true;
    private->wakers = wakers;
    queue_requests(machine);
    g_mutex_unlock(&private->request_lock);
}

void machine_request_wakeup(Machine *machine, WakeReason reason)
{
    MachinePrivate *private = machine->private;

    if (atomic_load(&machine->stop_reason) != STOP_SUSPENDED) {
        return;
    }
    g_mutex_lock(&private->request_lock);
    private->requested_wake = reason;
    queue_requests(machine);
    g_mutex_unlock(&private->request_lock);
}

bool machine_sleeps(const Machine *machine, unsigned *wakers)
{
    *wakers = machine->private->wakers;
    return machine->private->suspended;
}

void machine_set_sleep(Machine *machine, bool sleeps, unsigned wakers)
{
    machine->private->suspended = sleeps;
    machine->private->wakers = wakers & (WAKE_OTHER | WAKE_RTC | WAKE_PM_TIMER);
}

WakeReason machine_wake_reason(const Machine *machine)
{
    return machine->private->wake_reason;
}

/* One at a time, each in a round of the main loop. */
static gboolean run_deferred(gpointer opaque)
{
    Machine *machine = opaque;
    g_autofree Deferred *deferred = take_deferred(machine->private);

    if (deferred) {
        machine_lock(machine);
        deferred->fn(deferred->opaque);
        machine_unlock(machine);
    }
    return G_SOURCE_REMOVE;
}

void machine_defer(Machine *machine, void (*fn)(void *opaque), void *opaque)
{
    Deferred *deferred = g_new(Deferred, 1);

    *deferred = (Deferred){ fn, opaque };
    g_mutex_lock(&machine->private->request_lock);
    g_queue_push_tail(&machine->private->deferred, deferred);
    g_idle_add_full(G_PRIORITY_DEFAULT, run_deferred, machine, NULL);
    g_mutex_unlock(&machine->private->request_lock);
}

void run_state_destroy(Machine *machine)
{
    while (g_idle_remove_by_data(machine)) {
    }
    g_queue_clear_full(&machine->private->deferred, g_free);
    machine_forget_events(machine);
}

static int exit_status(const Machine *machine)
{
    const MachineConfig *config = &machine->config;
    StopReason reason = machine->private->end_reason;

    if (config->exit_status[reason].set) {
        return config->exit_status[reason].status;
    }
    if (machine->private->end_status >= 0) {
        return machine->private->end_status;
    }
    if (config->exit_distinct) {
        return reasons[reason].distinct;
    }
    return reason == STOP_GUEST_PANIC && config->panic_action == PANIC_EXIT_FAILURE
               ? 1
               : reasons[reason].status;
}

int machine_run(Machine *machine)
{
    MachinePrivate *private = machine->private;
    const char *detail;
    StopReason reason;

    machine_lock(machine);
    vcpus_start_threads(machine); /* of a machine that does not start by itself, too */
    machine_unlock(machine);
    while (!private->run_ended) {
        g_main_context_iteration(NULL, true);
    }
    reason = private->end_reason;
    detail = private->end_detail;
    /* Scripts read standard error: an ordinary end is news for people only, unless there is more to say of it than by what means
     * the guest ended it. */
    if (!reasons[reason].ordinary || (detail && reason != STOP_GUEST_POWEROFF) ||
        isatty(STDERR_FILENO)) {
        fprintf(stderr, "kaso: %s%s%s\n", reasons[reason].sentence, detail ? ": " : "",
                detail ? detail : "");
    }
    return exit_status(machine);
}
