/* SPDX-License-Identifier: MIT */
/* A machine without a board, for tests that drive one device by its registers and lines. */
#ifndef TESTS_DEVICE_RIG_H
#define TESTS_DEVICE_RIG_H

#include <glib.h>

#include "machine/machine.h"

enum { RIG_OUTPUTS = 1024 };

typedef struct {
    Machine *machine;
    Device *device;
    uint64_t base;               /* where mmio 0 is; mmio n is n MiB further */
    int levels[RIG_OUTPUTS];     /* of the device's outputs */
    unsigned rises[RIG_OUTPUTS]; /* how often each went from 0 to 1 */
    MemoryRegion ram;            /* 1 MiB at RIG_RAM */
} Rig;

#define RIG_RAM       UINT64_C(0x40000000)
#define RIG_RAM_BYTES MIB(1)
/* Where io 0 is; io n is n * 0x100 further. */
#define RIG_PORTS 0x1000

/* properties: "name=value" strings, NULL-terminated, or NULL. The machine lock is held until rig_close. */
void rig_open(Rig *rig, const char *type, const char *const *properties);
void rig_close(Rig *rig);

/* cpu -1: DMA. index: which mmio region. */
uint64_t rig_read(Rig *rig, int cpu, unsigned index, uint64_t offset, unsigned size);
void rig_write(Rig *rig, int cpu, unsigned index, uint64_t offset, uint64_t value, unsigned size);
/* Ports, as a CPU sees them. */
uint64_t rig_in(Rig *rig, uint16_t port, unsigned size);
void rig_out(Rig *rig, uint16_t port, uint64_t value, unsigned size);
void rig_input(Rig *rig, int number, int level);

/* Accesses of random kind and place; outlives them, that is all. */
void rig_hammer(Rig *rig, unsigned cpus, unsigned accesses);

void test_gicv2(void);
void test_gicv3(void);
void test_pl011(void);
void test_small_devices(void);
void test_fw_cfg(void);
void test_flash(void);
void test_boot_loader(void);
void test_virt(void);

#endif
