/* SPDX-License-Identifier: MIT */
/* What there is to tell of a PCI function: the door between the buses of hw/pci and the monitor. */
#ifndef MACHINE_PCI_FUNCTION_H
#define MACHINE_PCI_FUNCTION_H

#include <stdbool.h>
#include <stdint.h>

typedef struct PciFunctionInfo PciFunctionInfo;

typedef struct {
    uint64_t base, limit; /* inclusive; base > limit: nothing */
} PciRange;

typedef struct {
    unsigned primary, secondary, subordinate;
    PciRange io, memory, prefetchable;
} PciBridgeInfo;

typedef struct {
    unsigned bar; /* 6: the expansion ROM */
    bool is_io, wide, prefetch, mapped;
    uint64_t address, size; /* address: when mapped */
} PciRegionInfo;

struct PciFunctionInfo {
    unsigned bus, slot, function;
    uint16_t vendor, device, subsystem_vendor, subsystem; /* a bridge has no subsystem */
    uint16_t class_code; /* base class and subclass */
    unsigned irq_pin;    /* 1 for INTA; 0: none */
    unsigned irq_line;   /* as firmware has left it */
    bool is_bridge;
    PciBridgeInfo bridge;
    PciRegionInfo regions[7];
    unsigned region_count;
};

#endif
