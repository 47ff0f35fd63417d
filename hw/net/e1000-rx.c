/* SPDX-License-Identifier: MIT */
/* Rings of the e1000 family, and legacy receive descriptors (3.2.3). */
#include "hw/net/e1000-core.h"
#include "machine/machine.h"

enum {
    RCTL_BSEX = 1 << 25,
    RCTL_THRESHOLD_SHIFT = 8,
    RCTL_SIZE_SHIFT = 16,
};

uint64_t e1000_ring_base(const E1000Ring *ring)
{
    return (uint64_t)ring->base_high << 32 | (ring->base_low & ~15u);
}

uint32_t e1000_ring_count(const E1000Ring *ring)
{
    return (ring->length & E1000_RING_BYTES) / E1000_DESCRIPTOR;
}

bool e1000_ring_ready(const E1000Core *core, const E1000Ring *ring)
{
    uint32_t count = e1000_ring_count(ring);

    return pci_bus_master_enabled(&core->pci) && ring->head != ring->tail && ring->head < count &&
           ring->tail < count;
}

uint32_t e1000_ring_free(const E1000Core *core, const E1000Ring *ring)
{
    uint32_t count = e1000_ring_count(ring);

    return e1000_ring_ready(core, ring) ? (ring->tail + count - ring->head) % count : 0;
}

/* What was written there may have changed the ring. */
void e1000_ring_advance(E1000Ring *ring, uint32_t descriptors)
{
    uint32_t count = e1000_ring_count(ring);

    ring->head = count ? (ring->head + descriptors) % count : 0;
}

uint32_t e1000_buffer_size(const E1000Core *core)
{
    uint32_t size = 2048u >> (core->rctl >> RCTL_SIZE_SHIFT & 3);

    return core->rctl & RCTL_BSEX && size < 2048 ? size * 16 : size;
}

static bool write_descriptor(E1000Core *core, E1000Ring *ring, const uint8_t *data, uint32_t size,
                             const E1000Incoming *in, bool last)
{
    AddressSpace *space = &core->pci.device.machine->memory_space;
    MemoryAttributes attributes = pci_dma_attributes(&core->pci);
    uint64_t at = e1000_ring_base(ring) + (uint64_t)ring->head * E1000_DESCRIPTOR;
    uint8_t descriptor[E1000_DESCRIPTOR];

    if (address_space_read_bytes(space, at, descriptor, sizeof descriptor, attributes) !=
        MEMORY_OK) {
        log_guest_error(core->pci.device.type->name,
                        "no memory for the receive descriptor at %#llx", (unsigned long long)at);
        return false;
    }
    if (load_le64(descriptor)) { /* a null buffer takes nothing */
        address_space_write_bytes(space, load_le64(descriptor), data, size, attributes);
    }
    store_le16(descriptor + 8, size);
    store_le16(descriptor + 10, in->checksum);
    descriptor[12] = E1000_RX_DD | (last ? E1000_RX_EOP | in->status : 0);
    descriptor[13] = last ? in->errors : 0;
    store_le16(descriptor + 14, last ? in->tag : 0);
    address_space_write_bytes(space, at, descriptor, sizeof descriptor, attributes);
    e1000_ring_advance(ring, 1);
    return true;
}

uint32_t e1000_deliver(E1000Core *core, E1000Ring *ring, const E1000Incoming *in)
{
    uint32_t room = e1000_buffer_size(core), done = 0;

    if ((uint64_t)e1000_ring_free(core, ring) * room < in->size) {
        e1000_count(core, E1000_MPC, 1);
        e1000_count(core, E1000_RNBC, 1);
        return E1000_RXO;
    }
    while (done < in->size) {
        uint32_t size = MIN(room, in->size - done);

        if (!write_descriptor(core, ring, in->bytes + done, size, in, done + size == in->size)) {
            return 0;
        }
        done += size;
    }
    if (e1000_ring_free(core, ring) <= e1000_ring_count(ring) >>
        (1 + (core->rctl >> RCTL_THRESHOLD_SHIFT & 3))) {
        return E1000_RXT0 | E1000_RXDMT0;
    }
    return E1000_RXT0;
}
