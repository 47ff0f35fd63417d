/* SPDX-License-Identifier: MIT */
/* What reaches a vCPU beside its input lines: queued events, and vectors by acknowledge cycles. */
#include "base/log.h"
#include "machine/vcpu.h"

/* work_lock is held. */
static void update_pending(Vcpu *vcpu)
{
    uint32_t pending = 0;

    for (unsigned i = 0; i < vcpu->event_count; i++) {
        pending |= 1u << vcpu->event_queue[i].kind;
    }
    atomic_store(&vcpu->events, pending);
}

/* work_lock is held. */
static bool is_last(const Vcpu *vcpu, VcpuEvent event)
{
    unsigned count = vcpu->event_count;
    const VcpuEvent *last = &vcpu->event_queue[count ? count - 1 : 0];

    return count && last->kind == event.kind && last->data == event.data;
}

/* work_lock is held. */
static unsigned count_kind(const Vcpu *vcpu, unsigned kind)
{
    unsigned count = 0;

    for (unsigned i = 0; i < vcpu->event_count; i++) {
        count += vcpu->event_queue[i].kind == kind;
    }
    return count;
}

/* work_lock is held. */
static void remove_event(Vcpu *vcpu, unsigned i)
{
    vcpu->event_count--;
    for (unsigned j = i; j < vcpu->event_count; j++) {
        vcpu->event_queue[j] = vcpu->event_queue[j + 1];
    }
}

/* most: 0 for events that are joined with the last one. */
static void post(Vcpu *vcpu, VcpuEvent event, unsigned most)
{
    bool enough, full;

    g_mutex_lock(&vcpu->work_lock);
    enough = most ? count_kind(vcpu, event.kind) >= most : is_last(vcpu, event);
    full = vcpu->event_count == VCPU_EVENTS_MAX;
    if (!enough && !full) {
        vcpu->event_queue[vcpu->event_count++] = event;
        update_pending(vcpu);
    }
    g_mutex_unlock(&vcpu->work_lock);
    if (full && !enough) {
        log_guest_error("vcpu", "cpu%u: event %u is lost: %d wait already", vcpu->index, event.kind,
                        VCPU_EVENTS_MAX);
    }
    vcpu_kick(vcpu);
}

void vcpu_post_event(Vcpu *vcpu, unsigned kind, uint32_t data)
{
    post(vcpu, (VcpuEvent){ kind, data }, 0);
}

void vcpu_post_counted_event(Vcpu *vcpu, unsigned kind, unsigned most)
{
    post(vcpu, (VcpuEvent){ kind, 0 }, most);
}

void vcpu_limit_events(Vcpu *vcpu, unsigned kind, unsigned most)
{
    if (!(atomic_load(&vcpu->events) >> kind & 1)) {
        return;
    }
    g_mutex_lock(&vcpu->work_lock);
    for (unsigned i = vcpu->event_count; i-- > 0 && count_kind(vcpu, kind) > most;) {
        if (vcpu->event_queue[i].kind == kind) {
            remove_event(vcpu, i);
        }
    }
    update_pending(vcpu);
    g_mutex_unlock(&vcpu->work_lock);
}

bool vcpu_take_event(Vcpu *vcpu, uint32_t kinds, VcpuEvent *event)
{
    bool found = false;

    if (!(atomic_load(&vcpu->events) & kinds)) {
        return false;
    }
    g_mutex_lock(&vcpu->work_lock);
    for (unsigned i = 0; i < vcpu->event_count && !found; i++) {
        if (kinds >> vcpu->event_queue[i].kind & 1) {
            found = true;
            *event = vcpu->event_queue[i];
            remove_event(vcpu, i);
        }
    }
    update_pending(vcpu);
    g_mutex_unlock(&vcpu->work_lock);
    return found;
}

void vcpu_clear_events(Vcpu *vcpu)
{
    g_mutex_lock(&vcpu->work_lock);
    vcpu->event_count = 0;
    atomic_store(&vcpu->events, 0);
    g_mutex_unlock(&vcpu->work_lock);
}

void vcpu_events_loaded(Vcpu *vcpu)
{
    g_mutex_lock(&vcpu->work_lock);
    update_pending(vcpu);
    g_mutex_unlock(&vcpu->work_lock);
}

void vcpu_connect_acknowledge(Vcpu *vcpu, Device *controller)
{
    irq_connect_acknowledge(&vcpu->acknowledge, controller->type->acknowledge, controller);
}

int vcpu_acknowledge(Vcpu *vcpu)
{
    return irq_acknowledge(&vcpu->acknowledge);
}
