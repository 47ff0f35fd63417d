/* SPDX-License-Identifier: MIT */
/*
 * Memory between 640 KiB and 1 MiB as Intel's host bridges of PCs have it: the attributes of 13 segments (PAM: seven registers in a row) and
 * system management memory at 0xa0000 (SMRAM), whose register has been the same since the 82441FX.
 */
#ifndef HW_PCI_LEGACY_MEMORY_H
#define HW_PCI_LEGACY_MEMORY_H

#include "machine/memory.h"

enum { PAM_REGISTERS = 7, PAM_SEGMENTS = 13, PAM_WRITABLE = 0x33 };
enum {
    SMRAM_BASE = 0x02, /* the only base there is: 0xa0000 */
    SMRAM_ENABLE = 1 << 3,
    SMRAM_LOCK = 1 << 4,
    SMRAM_CLOSE = 1 << 5,
    SMRAM_OPEN = 1 << 6,
    SMRAM_UNLOCKED = SMRAM_ENABLE | SMRAM_LOCK | SMRAM_CLOSE | SMRAM_OPEN, /* what may be written */
    SMRAM_ADDRESS = 0xa0000,
    SMRAM_SIZE = 0x20000,
};

/* One range of PAM, and what is over RAM there by its two bits (read: 1, write: 2). */
typedef struct {
    MemoryRegion from_pci; /* 0: neither */
    MemoryRegion shadow;   /* 1: RAM that cannot be written */
    MemoryRegion split;    /* 2: reads from the bus, writes to RAM */
} PamSegment;

typedef struct {
    PamSegment pam[PAM_SEGMENTS];
    MemoryRegion vga_window, smram;
} LegacyMemory;

/*
 * overlay: where what is not RAM goes over it. pci: the bus's memory. smm: what system management mode sees over everything, at the same
 * addresses.
 */
void legacy_memory_init(LegacyMemory *legacy, Machine *machine, MemoryRegion *overlay,
                        MemoryRegion *pci, MemoryRegion *smm);
void legacy_memory_update(LegacyMemory *legacy, const uint8_t *pam, uint8_t smram);

/* A lock of SMRAM holds until a reset: what is locked stays as it is, and closed. Both are of the register; whether it is locked. */
bool smram_update_lock(uint8_t *smram, uint8_t *writable);

#endif
