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

void vcpu_post_event(Vcpu *vcpu, unsigned kind, uint32_t data)
{
    unsigned count;
    bool same, full;

    g_mutex_lock(&vcpu->work_lock);
    count = vcpu->event_count;
    same = count && vcpu->event_queue[count - 1].kind == kind &&
           vcpu->event_queue[count - 1].data == data;
    full = count == VCPU_EVENTS_MAX;
    if (!same && !full) {
        vcpu->event_queue[vcpu->event_count++] = (VcpuEvent){ kind, data };
        update_pending(vcpu);
    }
    g_mutex_unlock(&vcpu->work_lock);
    if (full && !same) {
        log_guest_error("vcpu", "cpu%u: event %u is lost: %d wait already", vcpu->index, kind,
                        VCPU_EVENTS_MAX);
    }
    vcpu_kick(vcpu);
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
            vcpu->event_count--;
            for (unsigned j = i; j < vcpu->event_count; j++) {
                vcpu->event_queue[j] = vcpu->event_queue[j + 1];
            }
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
