/* SPDX-License-Identifier: MIT */
/* MSI-X (PCI Local Bus 3.0, 6.8.2): table and pending bits in a BAR of their own. */
#include "hw/pci/pci.h"

#include "base/error.h"
#include "machine/machine.h"

enum {
    MSIX_CONTROL = 2,
    MSIX_TABLE = 4,
    MSIX_PBA = 8,
    MSIX_CAPABILITY_SIZE = 12,
    MSIX_ENABLE_HIGH = 0x80, /* in the high byte of the control word */
    MSIX_MASK_ALL_HIGH = 0x40,

    ENTRY_SIZE = 16,
    ENTRY_DATA = 8,
    ENTRY_CONTROL = 12,
    ENTRY_MASKED = 1,

    PBA_OFFSET = 0x800,
};

static uint8_t *table_entry(PciDevice *pci, unsigned vector)
{
    return pci->msix.table + vector * ENTRY_SIZE;
}

static bool function_masked(const PciDevice *pci)
{
    uint8_t control = pci->config[pci->msix.capability + MSIX_CONTROL + 1];

    return (control & (MSIX_ENABLE_HIGH | MSIX_MASK_ALL_HIGH)) != MSIX_ENABLE_HIGH;
}

static bool vector_masked(PciDevice *pci, unsigned vector)
{
    return vector >= pci->msix.vectors || function_masked(pci) ||
           table_entry(pci, vector)[ENTRY_CONTROL] & ENTRY_MASKED;
}

bool pci_msix_enabled(const PciDevice *pci)
{
    return pci->msix.vectors &&
           (pci->config[pci->msix.capability + MSIX_CONTROL + 1] & MSIX_ENABLE_HIGH);
}

static void send_message(PciDevice *pci, unsigned vector)
{
    const uint8_t *entry = table_entry(pci, vector);

    if (!pci_bus_master_enabled(pci)) {
        return;
    }
    address_space_write(&pci->device.machine->memory_space, load_le64(entry),
                        load_le32(entry + ENTRY_DATA), 4, pci_dma_attributes(pci));
}

void pci_msix_notify(PciDevice *pci, unsigned vector)
{
    if (vector >= pci->msix.vectors) {
        return;
    }
    if (vector_masked(pci, vector)) {
        pci->msix.pending[vector / 8] |= 1u << (vector % 8);
        return;
    }
    send_message(pci, vector);
}

/* --- vectors that are signalled by descriptor --- */

typedef struct {
    IrqSignal *signal;
    unsigned vector;
} Bound;

static void follow(PciDevice *pci, const Bound *bound)
{
    IrqMessage message;

    if (vector_masked(pci, bound->vector) || !pci_bus_master_enabled(pci)) {
        irq_signal_set_message(bound->signal, NULL);
        return;
    }
    message.address = load_le64(table_entry(pci, bound->vector));
    message.data = load_le32(table_entry(pci, bound->vector) + ENTRY_DATA);
    irq_signal_set_message(bound->signal, &message);
}

void pci_msix_follow(PciDevice *pci)
{
    for (unsigned i = 0; pci->msix.bound && i < pci->msix.bound->len; i++) {
        follow(pci, &g_array_index(pci->msix.bound, Bound, i));
    }
}

void pci_msix_unbind(PciDevice *pci, IrqSignal *signal)
{
    GArray *bound = pci->msix.bound;

    for (unsigned i = 0; bound && i < bound->len; i++) {
        if (g_array_index(bound, Bound, i).signal == signal) {
            irq_signal_set_message(signal, NULL);
            g_array_remove_index_fast(bound, i);
            break;
        }
    }
    if (bound && bound->len == 0) {
        g_clear_pointer(&pci->msix.bound, g_array_unref);
    }
}

void pci_msix_bind(PciDevice *pci, unsigned vector, IrqSignal *signal)
{
    Bound bound = { signal, vector };

    if (!pci->msix.bound) {
        pci->msix.bound = g_array_new(false, false, sizeof(Bound));
    }
    for (unsigned i = 0; i < pci->msix.bound->len; i++) {
        Bound *old = &g_array_index(pci->msix.bound, Bound, i);

        if (old->signal == signal) {
            *old = bound;
            follow(pci, old);
            return;
        }
    }
    g_array_append_val(pci->msix.bound, bound);
    follow(pci, &bound);
}

static void send_pending(PciDevice *pci)
{
    for (unsigned vector = 0; vector < pci->msix.vectors && !function_masked(pci); vector++) {
        uint8_t bit = 1u << (vector % 8);

        if (pci->msix.pending[vector / 8] & bit && !vector_masked(pci, vector)) {
            pci->msix.pending[vector / 8] &= ~bit;
            send_message(pci, vector);
        }
    }
}

/* What waits is sent, and who signals by descriptor is told the way. */
static void changed(PciDevice *pci)
{
    send_pending(pci);
    pci_msix_follow(pci);
    if (pci->ops && pci->ops->msix_changed) {
        pci->ops->msix_changed(pci);
    }
}

void pci_msix_config_written(PciDevice *pci)
{
    changed(pci);
}

static MemoryResult msix_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    PciDevice *pci = opaque;
    const PciMsix *msix = &pci->msix;

    *value = 0;
    if (offset + size <= msix->vectors * ENTRY_SIZE) {
        memcpy(value, msix->table + offset, size);
    } else if (offset >= PBA_OFFSET && offset - PBA_OFFSET + size <= sizeof msix->pending) {
        memcpy(value, msix->pending + (offset - PBA_OFFSET), size);
    }
    return MEMORY_OK;
}

static MemoryResult msix_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    PciDevice *pci = opaque;

    if (offset + size <= pci->msix.vectors * ENTRY_SIZE) {
        memcpy(pci->msix.table + offset, &value, size);
        changed(pci);
    }
    return MEMORY_OK;
}

static const MemoryOps msix_ops = {
    .read = msix_read,
    .write = msix_write,
    .size_min = 4,
    .size_max = 8,
};

void pci_msix_reset(PciDevice *pci)
{
    memset(pci->msix.table, 0, sizeof pci->msix.table);
    memset(pci->msix.pending, 0, sizeof pci->msix.pending);
    for (unsigned vector = 0; vector < PCI_MSIX_MAX_VECTORS; vector++) {
        table_entry(pci, vector)[ENTRY_CONTROL] = ENTRY_MASKED;
    }
    pci_msix_follow(pci);
}

static bool add_capability(PciDevice *pci, unsigned bar, unsigned vectors, uint32_t offset,
                           GError **error)
{
    uint8_t *capability;

    if (vectors > PCI_MSIX_MAX_VECTORS) {
        return error_fail(error, KASO_ERROR_INVALID, "vectors=%u is too many (up to %u)", vectors,
                          PCI_MSIX_MAX_VECTORS);
    }
    pci->msix.vectors = vectors;
    pci->msix.capability = pci_add_capability(pci, PCI_CAPABILITY_MSIX, MSIX_CAPABILITY_SIZE);
    capability = pci->config + pci->msix.capability;
    store_le16(capability + MSIX_CONTROL, vectors - 1);
    store_le32(capability + MSIX_TABLE, offset | bar);
    store_le32(capability + MSIX_PBA, (offset + PBA_OFFSET) | bar);
    pci->writable[pci->msix.capability + MSIX_CONTROL + 1] = MSIX_ENABLE_HIGH | MSIX_MASK_ALL_HIGH;
    memory_region_init_io(&pci->msix.region, pci->device.machine, "msix", PCI_MSIX_BAR_SIZE,
                          &msix_ops, pci);
    return true;
}

static bool is_wanted(const PciDevice *pci, unsigned vectors)
{
    return vectors && pci_bus_root(pci->bus)->msi;
}

bool pci_add_msix(PciDevice *pci, unsigned bar, unsigned vectors, GError **error)
{
    if (is_wanted(pci, vectors)) {
        if (!add_capability(pci, bar, vectors, 0, error)) {
            return false;
        }
        pci_add_bar(pci, bar, PCI_BAR_MEMORY32, false, &pci->msix.region);
    }
    return true;
}

bool pci_add_msix_within(PciDevice *pci, unsigned bar, unsigned vectors, MemoryRegion *container,
                         uint32_t offset, GError **error)
{
    if (is_wanted(pci, vectors)) {
        if (!add_capability(pci, bar, vectors, offset, error)) {
            return false;
        }
        memory_region_add(container, offset, &pci->msix.region, 0);
    }
    return true;
}
