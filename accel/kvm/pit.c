/* SPDX-License-Identifier: MIT */
/*
 * The interval timer in the kernel (kernel-irqchip=on). It counts by the host's monotonic clock, which the machine's clock is another
 * one than.
 */
#include <time.h>

#include "accel/kvm/kvm.h"
#include "base/error.h"
#include "machine/clock.h"

/* The kernel's mode of a channel that has not been programmed, and how it has bytes left to read. */
enum { MODE_NONE = 0xff, WORD_LOW = 3, WORD_HIGH = 4, SPEAKER = 2 };

static Kvm *kvm_of(Machine *machine)
{
    return machine->accel_state;
}

/* Added to the host's time it is the machine's. */
static int64_t to_machine_ns(Machine *machine)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return clock_now_ns(machine) - ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
}

static X86PitChannel from_channel(const struct kvm_pit_channel_state *k, int64_t offset_ns)
{
    bool pair = k->rw_mode == PIT_ACCESS_PAIR;

    return (X86PitChannel){
        .start_ns = k->count_load_time + offset_ns,
        .stopped_ticks = -1,
        .count = k->count ? MIN(k->count, 0x10000) : 0x10000,
        .latched = k->latched_count,
        .latched_bytes = !k->count_latched              ? 0
                         : k->count_latched == WORD_LOW ? 2
                                                        : 1,
        .status = k->status,
        .status_latched = k->status_latched,
        .mode = k->mode == MODE_NONE ? 3 : MIN(k->mode, 5),
        .access = k->rw_mode ? MIN(k->rw_mode, PIT_ACCESS_PAIR) : PIT_ACCESS_PAIR,
        .bcd = k->bcd != 0,
        .gate = k->gate,
        .loaded = k->mode != MODE_NONE,
        .triggered = k->mode != MODE_NONE,
        .read_high = pair && k->read_state == WORD_HIGH,
        .write_high = pair && k->write_state == WORD_HIGH,
        .write_low = k->write_latch,
    };
}

static struct kvm_pit_channel_state to_channel(const X86PitChannel *c, int64_t offset_ns)
{
    bool pair = c->access == PIT_ACCESS_PAIR;

    return (struct kvm_pit_channel_state){
        .count = c->count,
        .latched_count = c->latched,
        .count_latched = !c->latched_bytes       ? 0
                         : !pair                 ? c->access
                         : c->latched_bytes == 2 ? WORD_LOW
                                                 : WORD_HIGH,
        .status_latched = c->status_latched,
        .status = c->status,
        .read_state = !pair          ? c->access
                      : c->read_high ? WORD_HIGH
                                     : WORD_LOW,
        .write_state = !pair           ? c->access
                       : c->write_high ? WORD_HIGH
                                       : WORD_LOW,
        .write_latch = c->write_low,
        .rw_mode = c->access,
        .mode = c->loaded ? c->mode : MODE_NONE,
        .bcd = c->bcd,
        .gate = c->gate,
        .count_load_time = c->start_ns - offset_ns,
    };
}

void pit_get(Machine *machine, X86PitState *state)
{
    struct kvm_pit_state2 kernel = { 0 };
    int64_t offset_ns = to_machine_ns(machine);

    kvm_ioctl(kvm_of(machine)->vm, KVM_GET_PIT2, &kernel);
    for (unsigned i = 0; i < X86_PIT_CHANNELS; i++) {
        state->channel[i] = from_channel(&kernel.channels[i], offset_ns);
    }
    state->speaker = kernel.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON;
}

static void give(Kvm *kvm, const struct kvm_pit_state2 *kernel)
{
    g_autoptr(GError) error = NULL;

    if (!KVM_DO(kvm->vm, KVM_SET_PIT2, kernel, &error)) {
        kvm_fail(kvm, NULL, KVM_STATUS_HOST, g_strdup(error->message));
    }
}

void pit_set(Machine *machine, const X86PitState *state)
{
    Kvm *kvm = kvm_of(machine);
    struct kvm_pit_state2 kernel = { .flags = kvm->pit_replaced ? KVM_PIT_FLAGS_HPET_LEGACY : 0 };
    int64_t offset_ns = to_machine_ns(machine);

    kernel.flags |= state->speaker ? KVM_PIT_FLAGS_SPEAKER_DATA_ON : 0;
    for (unsigned i = 0; i < X86_PIT_CHANNELS; i++) {
        kernel.channels[i] = to_channel(&state->channel[i], offset_ns);
    }
    give(kvm, &kernel);
}

void pit_replace(Machine *machine, bool replaced)
{
    Kvm *kvm = kvm_of(machine);
    struct kvm_pit_state2 kernel = { 0 };

    if (!kvm->pit || kvm->pit_replaced == replaced ||
        kvm_ioctl(kvm->vm, KVM_GET_PIT2, &kernel) < 0) {
        return;
    }
    kvm->pit_replaced = replaced;
    kernel.flags ^= KVM_PIT_FLAGS_HPET_LEGACY;
    give(kvm, &kernel);
}

bool pit_take(Machine *machine, bool delay)
{
    Kvm *kvm = kvm_of(machine);
    const struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };
    const struct kvm_reinject_control control = { .pit_reinject = delay };

    if (!kvm_has(kvm, KVM_HAS_PIT2) || !kvm_has(kvm, KVM_HAS_PIT_STATE2) ||
        (!delay && !kvm_has(kvm, KVM_HAS_REINJECT_CONTROL)) ||
        kvm_ioctl(kvm->vm, KVM_CREATE_PIT2, &config) < 0) {
        return false;
    }
    kvm->pit = true;
    if (kvm_has(kvm, KVM_HAS_REINJECT_CONTROL)) {
        kvm_ioctl(kvm->vm, KVM_REINJECT_CONTROL, &control);
    }
    return true;
}
