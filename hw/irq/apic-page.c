/* SPDX-License-Identifier: MIT */
/*
 * Where a local APIC's page is. At its usual address all CPUs share one region, which knows by the access whose page is meant. A
 * CPU that moves it gets views of memory of its own, with the page in front of whatever else is there: nobody else sees
 * it, and those who do not move it pay nothing.
 */
#include "hw/irq/apic.h"

/* The page lies in front in all of them. */
static void make_view(Apic *apic, ApicView *view, AddressSpace *behind)
{
    Machine *machine = apic->device.machine;

    view->behind = behind;
    memory_region_init_container(&view->root, machine, "cpu", UINT64_MAX);
    memory_region_init_alias(&view->all, machine, "cpu-memory", behind->root, 0, UINT64_MAX);
    memory_region_init_alias(&view->page, machine, "cpu-apic", &apic->page, 0, APIC_PAGE_BYTES);
    memory_region_add(&view->root, 0, &view->all, 0);
    address_space_init(&view->space, machine, &view->root, "cpu");
    view->space.open_bus = behind->open_bus;
}

static void make_views(Apic *apic)
{
    AddressSpace *const *board = apic->vcpu->views;

    make_view(apic, &apic->view[0], board[0]);
    apic->view_count = 1;
    if (board[1] != board[0]) {
        make_view(apic, &apic->view[1], board[1]);
        apic->view_count = 2;
    }
}

static void use_views(Apic *apic, bool own)
{
    ApicView *first = &apic->view[0], *second = &apic->view[apic->view_count - 1];

    if ((apic->vcpu->views[0] == &first->space) != own) {
        vcpu_set_memory(apic->vcpu, own ? &first->space : first->behind,
                        own ? &second->space : second->behind);
    }
}

static void place_in_views(Apic *apic, uint64_t address, bool shown)
{
    memory_transaction_begin(apic->device.machine);
    for (unsigned i = 0; i < apic->view_count; i++) {
        memory_region_place(&apic->view[i].root, address, &apic->view[i].page, 1, shown);
    }
    memory_transaction_end(apic->device.machine);
}

void apic_place_page(Apic *apic)
{
    uint64_t address = apic->base & ~UINT64_C(0xfff);
    bool moved =
        !apic->kernel && apic_enabled(apic) && !apic_is_x2apic(apic) && address != PC_APIC_ADDRESS;

    if (moved && !apic->view_count) {
        make_views(apic);
    }
    if (!apic->view_count) {
        return;
    }
    /* Accelerators learn of what changes in views that are in use. */
    if (moved) {
        use_views(apic, true);
    }
    place_in_views(apic, address, moved);
    use_views(apic, moved);
}

void apic_free_views(Apic *apic)
{
    if (!apic->view_count) {
        return;
    }
    place_in_views(apic, 0, false);
    use_views(apic, false);
    for (unsigned i = 0; i < apic->view_count; i++) {
        memory_region_remove(&apic->view[i].all);
        address_space_destroy(&apic->view[i].space);
    }
    apic->view_count = 0;
}
