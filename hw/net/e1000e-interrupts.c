/* SPDX-License-Identifier: MIT */
/*
 * The 82574L's interrupts (7.4): causes, the pin, one message or five, which of them a message clears and masks, and how long they wait.
 */
#include "hw/net/e1000e.h"
#include "machine/machine.h"

enum {
    ASSERTED = 1u << 31,
    CAUSES = 0x01f782df, /* bit 3 too, which drivers raise to try whether messages arrive */
    OTHER_CAUSES = E1000_LSC | E1000_RXO | E1000_MDAC | 7 << 16, /* and of management */
    ITR_UNIT_NS = 256,
    AGAIN_NS = 10000,
    CTRL_EXT_EIAME = 1 << 24,
    CTRL_EXT_IAME = 1 << 27,
    ROUTE_VALID = 8,
    ROUTE_VECTOR = 7,
    MESSAGE = E1000E_VECTORS, /* the index of the pin's and MSI's quiet time */
};

uint32_t e1000e_queue_cause(const E1000E *e, uint32_t cause, unsigned queue)
{
    return pci_msix_enabled(&e->core.pci) ? cause << queue : 0;
}

/* Causes that IVAR sends to the vector: four bits for each of bits 20 and up. */
static uint32_t routed_to(const E1000E *e, unsigned vector)
{
    uint32_t causes = 0;

    for (unsigned i = 0; i < E1000E_VECTORS; i++) {
        unsigned route = e->ivar >> (4 * i) & 15;

        if (route & ROUTE_VALID && (route & ROUTE_VECTOR) == vector) {
            causes |= (uint32_t)E1000E_RXQ0 << i;
        }
    }
    return causes;
}

/* Whether it may be told now; else when, the earliest of all. */
static bool is_time(const E1000E *e, unsigned which, int64_t *next_ns)
{
    if (clock_now_ns(e->core.pci.device.machine) >= e->quiet_until_ns[which]) {
        return true;
    }
    *next_ns = MIN(*next_ns, e->quiet_until_ns[which]);
    return false;
}

static void begin_quiet(E1000E *e, unsigned which, uint32_t interval)
{
    e->quiet_until_ns[which] =
        clock_now_ns(e->core.pci.device.machine) + (int64_t)(interval & 0xffff) * ITR_UNIT_NS;
    e->more_statistics[E1000E_IAC] += e->more_statistics[E1000E_IAC] != UINT32_MAX;
}

static void tell_vectors(E1000E *e, uint32_t due, int64_t *next_ns)
{
    for (unsigned vector = 0; vector < E1000E_VECTORS; vector++) {
        uint32_t causes = due & routed_to(e, vector);

        if (causes && is_time(e, vector, next_ns)) {
            e->told |= causes;
            e->icr &= ~(causes & e->eiac);
            if (e->ctrl_ext & CTRL_EXT_EIAME) {
                e->ims &= ~(causes & e->iam);
            }
            begin_quiet(e, vector, e->eitr[vector]);
            pci_msix_notify(&e->core.pci, vector);
        }
    }
}

static void tell_message(E1000E *e, uint32_t due, int64_t *next_ns)
{
    if (due && is_time(e, MESSAGE, next_ns)) {
        e->told |= due;
        begin_quiet(e, MESSAGE, e->itr);
        pci_msi_notify(&e->core.pci);
    }
}

static void drive_pin(E1000E *e, uint32_t pending, int64_t *next_ns)
{
    if (!pending) {
        e->asserted = false;
    } else if (!e->asserted && is_time(e, MESSAGE, next_ns)) {
        e->asserted = true;
        begin_quiet(e, MESSAGE, e->itr);
    }
    pci_set_irq(&e->core.pci, e->asserted);
}

static void note_pending(E1000E *e)
{
    uint32_t pending = e->icr & e->ims & CAUSES;

    e->icr = pending ? e->icr | ASSERTED : e->icr & CAUSES;
    e->told &= pending;
}

static void tell(E1000E *e)
{
    uint32_t pending = e->icr & e->ims & CAUSES, due = pending & ~e->told;
    int64_t next_ns = INT64_MAX;

    if (pci_msix_enabled(&e->core.pci)) {
        drive_pin(e, 0, &next_ns);
        tell_vectors(e, due, &next_ns);
    } else if (pci_msi_enabled(&e->core.pci)) {
        drive_pin(e, 0, &next_ns);
        tell_message(e, due, &next_ns);
    } else {
        drive_pin(e, pending, &next_ns);
    }
    if (e->tell_again) {
        next_ns = clock_now_ns(e->core.pci.device.machine) + AGAIN_NS;
    }
    if (next_ns != INT64_MAX) {
        timer_arm(&e->throttle, next_ns);
    } else {
        timer_cancel(&e->throttle);
    }
}

void e1000e_update_interrupts(E1000E *e)
{
    note_pending(e);
    if (e->telling) {
        e->tell_again = true;
        return;
    }
    e->telling = true;
    e->tell_again = false;
    tell(e);
    note_pending(e);
    e->telling = e->tell_again = false;
}

void e1000e_raise(E1000Core *core, uint32_t causes)
{
    E1000E *e = container_of(core, E1000E, core);

    if (causes & OTHER_CAUSES) {
        causes |= E1000E_OTHER;
    }
    e->icr |= causes & CAUSES;
    e->told &= ~causes; /* each event is one, whether the last is forgotten or not */
    e1000e_update_interrupts(e);
}

static void mask_automatically(E1000E *e)
{
    if (e->icr & ASSERTED && e->ctrl_ext & CTRL_EXT_IAME) {
        e->ims &= ~e->iam;
    }
}

/* Reading clears what was told, or could not be (7.4.3); with several vectors, nothing that is masked. */
uint64_t e1000e_read_icr(Device *device, unsigned index)
{
    E1000E *e = e1000e(device);
    uint32_t value = e->icr;

    if (!e->ims || value & ASSERTED || !pci_msix_enabled(&e->core.pci)) {
        mask_automatically(e);
        e->icr = 0;
        e1000e_update_interrupts(e);
    }
    return value;
}

/* Whoever clears "other" has seen what it stands for. */
void e1000e_write_icr(Device *device, unsigned index, uint64_t value)
{
    E1000E *e = e1000e(device);

    mask_automatically(e);
    e->icr &= ~(uint32_t)(value & E1000E_OTHER ? value | OTHER_CAUSES : value);
    e1000e_update_interrupts(e);
}
