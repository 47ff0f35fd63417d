/* SPDX-License-Identifier: MIT */
/* A thread gives each CPU a nap in every period. */
#include "migration/throttle.h"

#include <stdatomic.h>

#include "machine/vcpu.h"

enum {
    PERIOD_US = 20 * 1000, /* short: who waits for all CPUs waits for a nap at most */
    SLICE_US = 500,        /* after which a CPU that naps looks whether it is to stop */
};

struct Throttle {
    Machine *machine;
    GThread *thread;
    atomic_uint percent, napping;
    atomic_bool ended;
};

static void nap(Vcpu *vcpu, void *opaque)
{
    Throttle *throttle = opaque;
    int64_t end_us = g_get_monotonic_time() + PERIOD_US * (int64_t)throttle->percent / 100;
    int64_t left_us;

    while ((left_us = end_us - g_get_monotonic_time()) > 0 && !throttle->ended &&
           !vcpu->stop_requested) {
        g_usleep((gulong)MIN(left_us, SLICE_US));
    }
    throttle->napping--;
    g_atomic_rc_box_release(throttle);
}

static void *run(void *opaque)
{
    Throttle *throttle = opaque;
    Machine *machine = throttle->machine;

    while (!throttle->ended) {
        machine_lock(machine);
        if (throttle->percent && !throttle->napping && machine_running(machine)) {
            throttle->napping = machine->vcpus->len;
            for (unsigned i = 0; i < machine->vcpus->len; i++) {
                vcpu_queue_work(machine->vcpus->pdata[i], nap, g_atomic_rc_box_acquire(throttle));
            }
        }
        machine_unlock(machine);
        g_usleep(PERIOD_US);
    }
    return NULL;
}

Throttle *throttle_new(Machine *machine)
{
    Throttle *throttle = g_atomic_rc_box_new0(Throttle);

    throttle->machine = machine;
    throttle->thread = g_thread_try_new("throttle", run, throttle, NULL);
    if (!throttle->thread) {
        g_atomic_rc_box_release(throttle);
        return NULL;
    }
    return throttle;
}

void throttle_free(Throttle *throttle)
{
    if (throttle) {
        throttle->ended = true;
        g_thread_join(throttle->thread);
        g_atomic_rc_box_release(throttle); /* a CPU that is parked may still have work with it */
    }
}

void throttle_set(Throttle *throttle, unsigned percent)
{
    throttle->percent = MIN(percent, 99);
}

unsigned throttle_percent(const Throttle *throttle)
{
    return throttle ? throttle->percent : 0;
}
