/* SPDX-License-Identifier: MIT */
/*
 * Messages that the kernel sends when a descriptor is signalled (KVM_IRQFD): each has a route of its own, which stays for the descriptor's
 * next message when the guest masks it for a while.
 */
#include "accel/kvm/kvm.h"
#include "machine/irq-signal.h"

enum { APIC_MEGABYTE = 0xfee, DATA_LEVEL = 1 << 15 };

static bool tell(Kvm *kvm, const KvmRoute *route, bool on)
{
    const struct kvm_irqfd irqfd = {
        .fd = (uint32_t)route->fd,
        .gsi = route->gsi,
        .flags = on ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
    };

    return kvm_ioctl(kvm->vm, KVM_IRQFD, &irqfd) >= 0;
}

/* The first routes with split are those of our I/O APIC. */
static unsigned first_route(const Kvm *kvm)
{
    return kvm->irqchip == KVM_IRQCHIP_SPLIT ? PC_GSI_COUNT : 0;
}

static KvmRoute *find_route(Kvm *kvm, int fd)
{
    for (unsigned i = first_route(kvm); i < kvm->routes->len; i++) {
        KvmRoute *route = &g_array_index(kvm->routes, KvmRoute, i);

        if (route->fd == fd) {
            return route;
        }
    }
    return NULL;
}

/* One that nobody uses, or another. NULL: the kernel takes no more. */
static KvmRoute *free_route(Kvm *kvm)
{
    unsigned lines = kvm->irqchip == KVM_IRQCHIP_ON ? PC_GSI_COUNT : 0;
    KvmRoute route = { .gsi = lines + kvm->routes->len };

    for (unsigned i = first_route(kvm); i < kvm->routes->len; i++) {
        if (!g_array_index(kvm->routes, KvmRoute, i).used) {
            return &g_array_index(kvm->routes, KvmRoute, i);
        }
    }
    if (lines + route.gsi >= (unsigned)kvm->values[KVM_HAS_IRQ_ROUTING]) {
        return NULL; /* lines have a route at each of two controllers */
    }
    g_array_append_val(kvm->routes, route);
    return &g_array_index(kvm->routes, KvmRoute, kvm->routes->len - 1);
}

static void end(Kvm *kvm, KvmRoute *route)
{
    if (route && route->signalled) {
        tell(kvm, route, false);
        route->signalled = false;
    }
}

static bool set_message(Kvm *kvm, KvmRoute *route, int fd, const IrqMessage *message)
{
    g_autoptr(GError) error = NULL;
    bool same = route->used && route->address == message->address && route->data == message->data;

    route->used = true;
    route->fd = fd;
    route->address = message->address;
    route->data = message->data;
    if (!same && !irqchip_give_routes(kvm, &error)) {
        return false;
    }
    route->signalled = route->signalled || tell(kvm, route, true);
    return route->signalled;
}

/* The kernel sends to local APICs, by edge. */
static bool can_send(const IrqMessage *message)
{
    return message->address >> 20 == APIC_MEGABYTE && !(message->data & DATA_LEVEL);
}

static bool signal_becomes(void *opaque, int fd, const IrqMessage *message)
{
    Kvm *kvm = opaque;
    KvmRoute *route;
    bool done = false;

    g_mutex_lock(&kvm->routes_lock);
    route = find_route(kvm, fd);
    if (!message || !can_send(message)) {
        end(kvm, route);
    } else {
        route = route ? route : free_route(kvm);
        done = route && set_message(kvm, route, fd, message);
        if (route && !done) {
            end(kvm, route);
            route->used = false;
        }
    }
    g_mutex_unlock(&kvm->routes_lock);
    return done;
}

void irqfd_create(Kvm *kvm)
{
    if (kvm_has(kvm, KVM_HAS_IRQFD) && kvm_has(kvm, KVM_HAS_IRQ_ROUTING)) {
        irq_signal_set_hook(kvm->machine, signal_becomes, kvm);
    }
}

void irqfd_free(Kvm *kvm)
{
    irq_signal_set_hook(kvm->machine, NULL, NULL);
}
