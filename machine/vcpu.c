/* SPDX-License-Identifier: MIT */
/*
 * vCPU threads: kicks, queued work, waiting, parking, exclusive sections.
 *
 * A vCPU thread is `running` from the moment it leaves a safe point until it enters one where it has
 * to park. Whoever wants vCPUs out of the way says so in a flag that must_park reads, kicks, and waits
 * on park_cond until none is running. Parked threads sleep on wake_sequence, as halted ones do, so
 * one kick serves both. Lock order: machine lock, then park_lock; nobody waits for parking with the
 * machine lock held, because the vCPU to be parked may itself be waiting for that lock.
 */
#include "machine/vcpu.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "machine/accelerator.h"
#include "machine/icount.h"
#include "machine/private.h"

typedef struct {
    VcpuWork *fn;
    void *opaque;
    bool *done; /* guarded by park_lock; NULL when nobody waits */
} WorkItem;

/* The vCPU whose thread this is. */
static __thread Vcpu *current_vcpu;

Vcpu *vcpu_current(void)
{
    return current_vcpu;
}

static uintptr_t this_thread(void)
{
    return (uintptr_t)pthread_self();
}

/* Sleeps while *word is expected; until_ns: CLOCK_MONOTONIC, -1 for ever. */
static void futex_wait(atomic_uint *word, unsigned expected, int64_t until_ns)
{
    struct timespec until = { until_ns / 1000000000, until_ns % 1000000000 };

    syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
            until_ns < 0 ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
}

void vcpu_wake_thread(Vcpu *vcpu)
{
    atomic_fetch_add(&vcpu->wake_sequence, 1);
    if (atomic_load(&vcpu->sleeping)) {
        syscall(SYS_futex, &vcpu->wake_sequence, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
    }
}

void vcpu_kick(Vcpu *vcpu)
{
    const struct Accelerator *accelerator = vcpu->machine->accelerator;

    vcpu_wake_thread(vcpu);
    if (icount_on(vcpu->machine)) {
        icount_notice_work(vcpu->machine);
    }
    if (accelerator && accelerator->vcpu_kick && vcpu->accel) {
        accelerator->vcpu_kick(vcpu);
    }
}

void vcpu_set_interrupt(Vcpu *vcpu, unsigned line, bool level)
{
    unsigned bit = 1u << line;

    if (!level) {
        atomic_fetch_and(&vcpu->interrupts, ~bit);
    } else if (!(atomic_fetch_or(&vcpu->interrupts, bit) & bit)) {
        vcpu_kick(vcpu);
    }
}

static void use_view(Vcpu *vcpu)
{
    const struct Accelerator *accelerator = vcpu->machine->accelerator;
    AddressSpace *space = vcpu->views[vcpu->secure];

    if (vcpu->memory == space) {
        return;
    }
    vcpu->memory = space;
    if (accelerator && accelerator->vcpu_memory_changed && vcpu->accel) {
        accelerator->vcpu_memory_changed(vcpu);
    }
}

void vcpu_set_memory(Vcpu *vcpu, AddressSpace *normal, AddressSpace *secure)
{
    vcpu->views[0] = normal;
    vcpu->views[1] = secure ? secure : normal;
    atomic_store(&vcpu->views[0]->vcpu_view, true);
    atomic_store(&vcpu->views[1]->vcpu_view, true);
    use_view(vcpu);
}

void vcpu_set_secure(Vcpu *vcpu, bool secure)
{
    vcpu->secure = secure;
    use_view(vcpu);
}

static void queue_item(Vcpu *vcpu, VcpuWork *fn, void *opaque, bool *done)
{
    WorkItem *item = g_new(WorkItem, 1);

    *item = (WorkItem){ fn, opaque, done };
    g_mutex_lock(&vcpu->work_lock);
    g_queue_push_tail(&vcpu->work, item);
    atomic_store(&vcpu->work_pending, true);
    g_mutex_unlock(&vcpu->work_lock);
    vcpu_kick(vcpu);
}

void vcpu_queue_work(Vcpu *vcpu, VcpuWork *fn, void *opaque)
{
    queue_item(vcpu, fn, opaque, NULL);
}

void vcpu_run_work(Vcpu *vcpu, VcpuWork *fn, void *opaque)
{
    MachinePrivate *private = vcpu->machine->private;
    bool done = false;

    /* The lock holder alone can let a parked vCPU go on, so its state is the holder's. */
    if (current_vcpu == vcpu || !vcpu->thread_started ||
        (machine_lock_held(vcpu->machine) && atomic_load(&vcpu->stop_requested) &&
         !atomic_load(&vcpu->running))) {
        fn(vcpu, opaque);
        return;
    }
    queue_item(vcpu, fn, opaque, &done);
    g_mutex_lock(&private->park_lock);
    while (!done) {
        g_cond_wait(&private->park_cond, &private->park_lock);
    }
    g_mutex_unlock(&private->park_lock);
}

/*
 * With -icount, what the guest has asked another vCPU for is part of that one's turn, so that it comes at a certain time; what
 * somebody outside waits for comes at once.
 */
static WorkItem *next_item(Vcpu *vcpu)
{
    bool all = !icount_must_wait(vcpu) || atomic_load(&vcpu->stop_requested);
    GList *link = vcpu->work.head;
    WorkItem *item;

    while (link && !all && !((WorkItem *)link->data)->done) {
        link = link->next;
    }
    item = link ? link->data : NULL;
    if (link) {
        g_queue_delete_link(&vcpu->work, link);
    }
    return item;
}

static void run_queued_work(Vcpu *vcpu)
{
    MachinePrivate *private = vcpu->machine->private;
    WorkItem *item;

    while (atomic_load(&vcpu->work_pending)) {
        g_mutex_lock(&vcpu->work_lock);
        item = next_item(vcpu);
        atomic_store(&vcpu->work_pending, !g_queue_is_empty(&vcpu->work));
        g_mutex_unlock(&vcpu->work_lock);
        if (!item) {
            return;
        }
        item->fn(vcpu, item->opaque);
        if (item->done) {
            g_mutex_lock(&private->park_lock);
            *item->done = true;
            g_cond_broadcast(&private->park_cond);
            g_mutex_unlock(&private->park_lock);
        }
        g_free(item);
    }
}

static bool must_park(Vcpu *vcpu)
{
    return atomic_load(&vcpu->stop_requested) || !atomic_load(&vcpu->powered) ||
           atomic_load(&vcpu->debug.hold) || atomic_load(&vcpu->machine->private->exclusive) ||
           icount_must_wait(vcpu);
}

/* Whether it cannot make use of its turn for longer than somebody else's work takes. */
static bool is_off(Vcpu *vcpu)
{
    return !atomic_load(&vcpu->powered) || atomic_load(&vcpu->debug.hold);
}

/* The vCPU holds no pointer into a memory view while it sleeps. */
static void sleep_until_kicked(Vcpu *vcpu, unsigned sequence, int64_t until_ns)
{
    atomic_store(&vcpu->quiet_epoch, UINT64_MAX);
    futex_wait(&vcpu->wake_sequence, sequence, until_ns);
    /* Stored before any later load of a view, hence sequentially consistent. */
    atomic_store(&vcpu->quiet_epoch, atomic_load(&vcpu->machine->private->memory.epoch));
}

/* The slow path of a safe point: returns when the vCPU may run, or false when its thread must end. */
static bool work_and_park(Vcpu *vcpu)
{
    MachinePrivate *private = vcpu->machine->private;
    const struct Accelerator *accelerator = vcpu->machine->accelerator;

    if (accelerator && accelerator->vcpu_settle && vcpu->accel && atomic_load(&vcpu->running)) {
        accelerator->vcpu_settle(vcpu);
    }
    for (;;) {
        unsigned sequence;
        bool park, quit;

        atomic_store(&vcpu->sleeping, true);
        sequence = atomic_load(&vcpu->wake_sequence);
        run_queued_work(vcpu);
        g_mutex_lock(&private->park_lock);
        quit = atomic_load(&private->quitting);
        park = quit || must_park(vcpu);
        if (atomic_load(&vcpu->running) == park) {
            atomic_store(&vcpu->running, !park);
            g_cond_broadcast(&private->park_cond);
        }
        g_mutex_unlock(&private->park_lock);
        if (quit || !park) {
            atomic_store(&vcpu->sleeping, false);
            return !quit;
        }
        if (icount_on(vcpu->machine) && is_off(vcpu)) {
            icount_pass(vcpu);
        }
        sleep_until_kicked(vcpu, sequence, -1);
    }
}

bool vcpu_safe_point(Vcpu *vcpu)
{
    MachinePrivate *private = vcpu->machine->private;

    atomic_store_explicit(&vcpu->quiet_epoch,
                          atomic_load_explicit(&private->memory.epoch, memory_order_acquire),
                          memory_order_release);
    if (__builtin_expect(atomic_load_explicit(&vcpu->work_pending, memory_order_relaxed) ||
                             !atomic_load_explicit(&vcpu->running, memory_order_relaxed) ||
                             atomic_load_explicit(&private->quitting, memory_order_relaxed) ||
                             must_park(vcpu),
                         0)) {
        return work_and_park(vcpu);
    }
    return true;
}

static bool has_work(const Vcpu *vcpu)
{
    const struct Accelerator *accelerator = vcpu->machine->accelerator;

    if (accelerator && accelerator->vcpu_has_work && vcpu->accel) {
        return accelerator->vcpu_has_work(vcpu);
    }
    return vcpu->target && vcpu->target->has_work && vcpu->target->has_work(vcpu);
}

void vcpu_wait(Vcpu *vcpu, int64_t deadline_ns)
{
    int64_t until_ns = -1;
    unsigned sequence;

    atomic_store(&vcpu->sleeping, true);
    sequence = atomic_load(&vcpu->wake_sequence);
    if (deadline_ns >= 0) {
        until_ns = clock_deadline_monotonic_ns(vcpu->machine, deadline_ns);
    }
    if (!atomic_load(&vcpu->work_pending) && !must_park(vcpu) &&
        !atomic_load(&vcpu->machine->private->quitting) && !has_work(vcpu)) {
        sleep_until_kicked(vcpu, sequence, until_ns);
    }
    atomic_store(&vcpu->sleeping, false);
}

static void *vcpu_thread(void *opaque)
{
    Vcpu *vcpu = opaque;
    MachinePrivate *private = vcpu->machine->private;
    g_autofree char *accelerator = NULL;
    char name[16];

    current_vcpu = vcpu;
    /* As those know it who bind vCPUs to processors by name. */
    accelerator = g_ascii_strup(vcpu->machine->accelerator->name, -1);
    snprintf(name, sizeof(name), "CPU %u/%s", vcpu->index, accelerator);
    prctl(PR_SET_NAME, name);
    prctl(PR_SET_TIMERSLACK, 1); /* guest timers want the host's precision */
    g_mutex_lock(&private->park_lock);
    vcpu->thread_id = gettid();
    g_cond_broadcast(&private->park_cond);
    g_mutex_unlock(&private->park_lock);
    if (vcpu_safe_point(vcpu)) {
        vcpu->machine->accelerator->vcpu_run(vcpu);
    }
    return NULL;
}

void vcpus_start_threads(Machine *machine)
{
    sigset_t all, before;

    if (machine->private->threads_started || !machine->accelerator ||
        !machine->accelerator->vcpu_run) {
        return;
    }
    machine->private->threads_started = true;
    /* Signals are the main thread's, except the synchronous ones. */
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGTRAP);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        Vcpu *vcpu = machine->vcpus->pdata[i];
        int failure;

        vcpu->thread_started = true;
        failure = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
        if (failure) {
            /* The guest has not run an instruction: nothing is lost. */
            fprintf(stderr, "kaso: cannot start the thread of CPU %u: %s (ulimit -u)\n", i,
                    g_strerror(failure));
            quick_exit(EXIT_FAILURE);
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    /* Managers pin them by their numbers before the machine goes on. */
    g_mutex_lock(&machine->private->park_lock);
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        while (((Vcpu *)machine->vcpus->pdata[i])->thread_id == 0) {
            g_cond_wait(&machine->private->park_cond, &machine->private->park_lock);
        }
    }
    g_mutex_unlock(&machine->private->park_lock);
}

void vcpus_join_threads(Machine *machine)
{
    atomic_store(&machine->private->quitting, true);
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        vcpu_kick(machine->vcpus->pdata[i]);
    }
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        Vcpu *vcpu = machine->vcpus->pdata[i];

        if (vcpu->thread_started) {
            pthread_join(vcpu->thread, NULL);
            vcpu->thread_started = false;
        }
    }
}

/*
 * park_lock is held. For an exclusive section, vCPUs that wait for their own section count as parked;
 * for a stop they do not, since their section is still to come.
 */
static void wait_until_parked(Machine *machine, const Vcpu *except, bool for_exclusive)
{
    MachinePrivate *private = machine->private;

    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        Vcpu *vcpu = machine->vcpus->pdata[i];

        while (vcpu != except && atomic_load(&vcpu->running) &&
               !(for_exclusive && vcpu->exclusive_waiting)) {
            g_cond_wait(&private->park_cond, &private->park_lock);
        }
    }
}

void vcpus_park(Machine *machine)
{
    MachinePrivate *private = machine->private;
    bool locked = machine_lock_held(machine);

    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        Vcpu *vcpu = machine->vcpus->pdata[i];

        atomic_store(&vcpu->stop_requested, true);
        vcpu_kick(vcpu);
    }
    if (locked) {
        machine_unlock(machine);
    }
    g_mutex_lock(&private->park_lock);
    wait_until_parked(machine, NULL, false);
    g_mutex_unlock(&private->park_lock);
    if (locked) {
        machine_lock(machine);
    }
}

void vcpus_resume(Machine *machine)
{
    if (machine->accelerator && machine->accelerator->resume) {
        machine->accelerator->resume(machine);
    }
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        Vcpu *vcpu = machine->vcpus->pdata[i];

        atomic_store(&vcpu->stop_requested, false);
        vcpu_kick(vcpu);
    }
}

void machine_exclusive_begin(Machine *machine)
{
    MachinePrivate *private = machine->private;
    Vcpu *self = current_vcpu && current_vcpu->machine == machine ? current_vcpu : NULL;
    bool locked = machine_lock_held(machine);

    if (locked) {
        machine_unlock(machine);
    }
    g_mutex_lock(&private->park_lock);
    if (private->exclusive_owner != this_thread()) {
        if (self) {
            self->exclusive_waiting = true;
            g_cond_broadcast(&private->park_cond);
        }
        while (private->exclusive_owner) {
            g_cond_wait(&private->park_cond, &private->park_lock);
        }
        private->exclusive_owner = this_thread();
        atomic_store(&private->exclusive, true);
        for (unsigned i = 0; i < machine->vcpus->len; i++) {
            Vcpu *vcpu = machine->vcpus->pdata[i];

            if (vcpu != self && atomic_load(&vcpu->running)) {
                vcpu_kick(vcpu);
            }
        }
        wait_until_parked(machine, self, true);
        if (self) {
            self->exclusive_waiting = false;
        }
    }
    private->exclusive_depth++;
    g_mutex_unlock(&private->park_lock);
    if (locked) {
        machine_lock(machine);
    }
}

void machine_exclusive_end(Machine *machine)
{
    MachinePrivate *private = machine->private;
    bool ended;

    g_mutex_lock(&private->park_lock);
    ended = --private->exclusive_depth == 0;
    if (ended) {
        private->exclusive_owner = 0;
        atomic_store(&private->exclusive, false);
        g_cond_broadcast(&private->park_cond);
    }
    g_mutex_unlock(&private->park_lock);
    for (unsigned i = 0; ended && i < machine->vcpus->len; i++) {
        if (machine->vcpus->pdata[i] != current_vcpu) {
            vcpu_kick(machine->vcpus->pdata[i]);
        }
    }
}

void vcpu_create(Vcpu *vcpu, Machine *machine, unsigned index)
{
    vcpu->machine = machine;
    vcpu->index = index;
    vcpu_set_memory(vcpu, &machine->memory_space, NULL);
    g_mutex_init(&vcpu->work_lock);
    g_queue_init(&vcpu->work);
    atomic_init(&vcpu->powered, true);
    vcpu->halt_deadline_ns = -1;
    atomic_init(&vcpu->stop_requested, true);
    atomic_init(&vcpu->quiet_epoch, UINT64_MAX);
}

void vcpu_destroy(Vcpu *vcpu)
{
    g_queue_clear_full(&vcpu->work, g_free);
    g_mutex_clear(&vcpu->work_lock);
}
