/* SPDX-License-Identifier: MIT */
/* vCPU threads: work, halting, parking, exclusive sections. */
#include <glib.h>
#include <unistd.h>

#include "machine/saved-state.h"
#include "tests/unit/counting-machine.h"

static void note_work(Vcpu *vcpu, void *opaque)
{
    g_assert_true(vcpu_current() == vcpu || !vcpu->thread_started ||
                  atomic_load(&vcpu->stop_requested));
    *(int *)opaque += 1;
}

static void test_vcpus(void)
{
    Machine *machine = counting_machine(4);
    Vcpu *second = machine->vcpus->pdata[1];
    unsigned before;
    int done = 0;

    vcpu_run_work(second, note_work, &done);
    machine_lock(machine);
    atomic_store(&second->powered, false);
    machine_start(machine);
    machine_unlock(machine);
    while (counting_rounds(machine, 0) == 0) {
        g_usleep(100);
    }
    g_assert_cmpuint(counting_rounds(machine, 1), ==, 0);
    vcpu_run_work(machine->vcpus->pdata[0], note_work, &done);
    vcpu_run_work(second, note_work, &done); /* also when powered off */
    g_assert_cmpint(done, ==, 3);
    atomic_store(&second->powered, true);
    vcpu_kick(second);
    while (counting_rounds(machine, 1) == 0) {
        g_usleep(100);
    }
    /* Halted, woken by an interrupt. */
    atomic_store(&second->halted, true);
    vcpu_kick(second);
    while (!atomic_load(&second->sleeping)) {
        g_usleep(100);
    }
    vcpu_set_interrupt(second, 2, true);
    while (atomic_load(&second->halted)) {
        g_usleep(100);
    }
    machine_lock(machine);
    machine_stop(machine, STOP_PAUSED);
    before = counting_rounds(machine, 0);
    g_usleep(3000);
    g_assert_cmpuint(counting_rounds(machine, 0), ==, before);
    vcpu_run_work(second, note_work, &done);
    g_assert_cmpint(done, ==, 4);
    machine_reset(machine);
    g_assert_cmpuint(atomic_load(&second->interrupts), ==, 0);
    machine_start(machine);
    machine_reset(machine);
    machine_unlock(machine);
    machine_free(machine);
}

static bool knows_of_work(const Vcpu *vcpu)
{
    return true;
}

/* An accelerator knows of work that the CPU structure does not show: its vCPU does not fall asleep over it. */
static void test_accelerator_knows(void)
{
    Machine *machine = counting_machine(1);
    Accelerator knowing = counting_accelerator;
    Vcpu *vcpu = machine->vcpus->pdata[0];
    unsigned before;

    knowing.vcpu_has_work = knows_of_work;
    machine->accelerator = &knowing;
    machine_lock(machine);
    machine_start(machine);
    machine_unlock(machine);
    atomic_store(&vcpu->halted, true);
    vcpu_kick(vcpu);
    before = counting_rounds(machine, 0);
    while (counting_rounds(machine, 0) < before + 10) {
        g_usleep(100);
    }
    machine_free(machine);
}

/* What waits at a CPU is announced where its state is loaded, too. */
static void test_events_move(void)
{
    enum { SOME = 3, OTHER = 5, DATA = 0x20 };
    Machine *from = counting_machine(1), *to = counting_machine(1);
    Vcpu *old = from->vcpus->pdata[0], *new = to->vcpus->pdata[0];
    g_autoptr(GByteArray) state = g_byte_array_new();
    VcpuEvent event;

    vcpu_post_event(old, SOME, DATA);
    vcpu_post_event(old, OTHER, 0);
    device_save_state(&old->device, state);
    g_assert_true(device_load_state(&new->device, new->device.type->state_version, state->data,
                                    state->len, NULL));
    g_assert_cmphex(atomic_load(&new->events), ==, 1u << SOME | 1u << OTHER);
    g_assert_true(vcpu_take_event(new, 1u << SOME, &event));
    g_assert_cmphex(event.data, ==, DATA);
    g_assert_true(vcpu_take_event(new, 1u << OTHER, &event));
    g_assert_cmphex(atomic_load(&new->events), ==, 0);
    machine_free(from);
    machine_free(to);
}

typedef struct {
    Machine *machine;
    atomic_int inside, most, count;
} Exclusion;

static void exclude(Vcpu *vcpu, void *opaque)
{
    Exclusion *x = opaque;

    machine_exclusive_begin(x->machine);
    machine_exclusive_begin(x->machine);
    if (atomic_fetch_add(&x->inside, 1) > 0) {
        atomic_store(&x->most, 2);
    }
    g_usleep(100);
    for (unsigned i = 0; i < x->machine->vcpus->len; i++) {
        Vcpu *other = x->machine->vcpus->pdata[i];

        g_assert_true(other == vcpu || !atomic_load(&other->running) || other->exclusive_waiting);
    }
    atomic_fetch_sub(&x->inside, 1);
    machine_exclusive_end(x->machine);
    machine_exclusive_end(x->machine);
    atomic_fetch_add(&x->count, 1);
}

static void test_exclusive(void)
{
    enum { ROUNDS = 50 };
    Machine *machine = counting_machine(4);
    Exclusion x = { .machine = machine };

    machine_lock(machine);
    machine_start(machine);
    machine_unlock(machine);
    for (int i = 0; i < ROUNDS; i++) {
        for (int v = 0; v < 4; v++) {
            vcpu_queue_work(machine->vcpus->pdata[v], exclude, &x);
        }
        exclude(NULL, &x);
        if (i % 10 == 0) {
            machine_lock(machine);
            machine_stop(machine, STOP_PAUSED);
            machine_start(machine);
            machine_exclusive_begin(machine);
            machine_exclusive_end(machine);
            machine_unlock(machine);
        }
    }
    while (atomic_load(&x.count) < ROUNDS * 5) {
        g_usleep(200);
    }
    g_assert_cmpint(atomic_load(&x.most), ==, 0);
    machine_free(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vcpu/vcpus", test_vcpus);
    g_test_add_func("/vcpu/accelerator-knows", test_accelerator_knows);
    g_test_add_func("/vcpu/events-move", test_events_move);
    g_test_add_func("/vcpu/exclusive", test_exclusive);
    return g_test_run();
}
