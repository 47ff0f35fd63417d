/* SPDX-License-Identifier: MIT */
#include "hw/pci/legacy-memory.h"

#include "machine/machine.h"

enum { PAM_READ = 1, PAM_WRITE = 2, PAM_ATTRIBUTES = 4, PAM_ADDRESS = 0xc0000 };

/* Segment 0 is 0xf0000, in the high half of the first byte; then 16 KiB each from 0xc0000 on, low half first. */
static unsigned pam_attributes(const uint8_t *pam, unsigned segment)
{
    uint8_t byte = pam[(segment + 1) / 2];

    return (segment % 2 ? byte : byte >> PAM_ATTRIBUTES) & (PAM_READ | PAM_WRITE);
}

void legacy_memory_update(LegacyMemory *legacy, const uint8_t *pam, uint8_t smram)
{
    Machine *machine = legacy->smram.machine;
    bool enabled = smram & SMRAM_ENABLE;

    memory_transaction_begin(machine);
    for (unsigned i = 0; i < PAM_SEGMENTS; i++) {
        unsigned attributes = pam_attributes(pam, i);

        memory_region_set_enabled(&legacy->pam[i].from_pci, attributes == 0);
        memory_region_set_enabled(&legacy->pam[i].shadow, attributes == PAM_READ);
        memory_region_set_enabled(&legacy->pam[i].split, attributes == PAM_WRITE);
    }
    memory_region_set_enabled(&legacy->vga_window, !(enabled && smram & SMRAM_OPEN));
    memory_region_set_enabled(&legacy->smram, enabled && !(smram & SMRAM_CLOSE));
    memory_transaction_end(machine);
}

static void init_segment(PamSegment *segment, Machine *machine, MemoryRegion *overlay,
                         MemoryRegion *pci, uint32_t address, uint32_t size)
{
    memory_region_init_alias(&segment->from_pci, machine, "pam-pci", pci, address, size);
    memory_region_init_alias(&segment->shadow, machine, "pam-rom", &machine->ram, address, size);
    memory_region_set_readonly(&segment->shadow, true);
    memory_region_init_alias(&segment->split, machine, "pam-split", pci, address, size);
    memory_region_set_written(&segment->split, &machine->ram, address);
    memory_region_add(overlay, address, &segment->from_pci, 0);
    memory_region_add(overlay, address, &segment->shadow, 0);
    memory_region_add(overlay, address, &segment->split, 0);
}

void legacy_memory_init(LegacyMemory *legacy, Machine *machine, MemoryRegion *overlay,
                        MemoryRegion *pci, MemoryRegion *smm)
{
    init_segment(&legacy->pam[0], machine, overlay, pci, 0xf0000, 0x10000);
    for (unsigned i = 1; i < PAM_SEGMENTS; i++) {
        init_segment(&legacy->pam[i], machine, overlay, pci, PAM_ADDRESS + (i - 1) * 0x4000,
                     0x4000);
    }
    memory_region_init_alias(&legacy->vga_window, machine, "smram-region", pci, SMRAM_ADDRESS,
                             SMRAM_SIZE);
    memory_region_add(overlay, SMRAM_ADDRESS, &legacy->vga_window, 0);
    memory_region_init_alias(&legacy->smram, machine, "smram-low", &machine->ram, SMRAM_ADDRESS,
                             SMRAM_SIZE);
    memory_region_add(smm, SMRAM_ADDRESS, &legacy->smram, 0);
}

bool smram_update_lock(uint8_t *smram, uint8_t *writable)
{
    bool locked = *smram & SMRAM_LOCK;

    if (locked) {
        *smram &= (uint8_t)~SMRAM_OPEN;
    }
    *writable = locked ? SMRAM_CLOSE : SMRAM_UNLOCKED;
    return locked;
}
