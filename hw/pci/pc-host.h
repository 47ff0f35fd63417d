/* SPDX-License-Identifier: MIT */
/*
 * What the host bridges of PCs have in common: a bus with memory and port spaces, configuration by mechanism #1, memory below 1 MiB
 * by PAM and SMRAM, and function 00.0, in whose configuration space the registers of that are.
 */
#ifndef HW_PCI_PC_HOST_H
#define HW_PCI_PC_HOST_H

#include "hw/pci/conf1.h"
#include "hw/pci/legacy-memory.h"

typedef struct {
    Device device;
    PciBus bus;
    PciConf1 conf1;
    MemoryRegion memory, memory_abort, overlay, smm;
    MemoryOps abort_ops;
    LegacyMemory legacy;
    Device *function;
    IrqLine *wires; /* the owner's: its outputs, by the bus's intx_wire */
    unsigned wire_count;
    uint64_t pci_hole64_size;
} PcHost;

typedef struct {
    const char *bus, *function, *overlay;
    uint64_t overlay_bytes, smm_bytes; /* from address 0 */
    unsigned (*intx_wire)(unsigned slot, unsigned pin); /* NULL: INTA to INTD */
} PcHostShape;

/*
 * For realize, with `wires` set. The host has then: io 0 and 1, mechanism #1; mmio 0, the bus's memory; mmio 1, what goes over RAM; mmio 2,
 * what system management mode sees over everything; its wires as outputs. The function is realized last, by pc_host_add_function.
 */
bool pc_host_init(PcHost *host, const PcHostShape *shape, GError **error);
bool pc_host_add_function(PcHost *host, const PcHostShape *shape, GError **error);
void pc_host_reset(PcHost *host);

#define PC_HOST_STATE(type, host)                                                                  \
    STATE_AS("address", type, host.conf1.address), STATE_DERIVED(type, host.legacy)

#endif
