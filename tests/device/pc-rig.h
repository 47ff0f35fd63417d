/* SPDX-License-Identifier: MIT */
/* Two CPUs that never run, any devices beside them, and a clock that the test moves. */
#ifndef TESTS_DEVICE_PC_RIG_H
#define TESTS_DEVICE_PC_RIG_H

#include "machine/arch/pc.h"
#include "machine/arch/x86.h"
#include "machine/machine.h"

enum { PC_RIG_CPUS = 2, PC_RIG_LINES = 32 };
#define PC_RIG_RAM_BYTES MIB(4)

typedef struct {
    Machine *machine;
    int levels[PC_RIG_LINES];     /* of what pc_rig_watch connected */
    unsigned rises[PC_RIG_LINES];
} PcRig;

/* The clock stands at 1 s; the RTC base is 1,000,000 s. The machine lock is held until pc_rig_close. */
void pc_rig_open(PcRig *rig);
void pc_rig_close(PcRig *rig);
/* property: "name=value" or NULL. */
Device *pc_rig_add(PcRig *rig, const char *type, const char *property);
/* Connects output `index` to line `number` of the rig. */
void pc_rig_watch(PcRig *rig, Device *device, unsigned index, int number);
/* Moves the clock; timers expire on the way, each at its time. */
void pc_rig_advance(PcRig *rig, int64_t ns);
/* The clock jumps, and what is due expires late. */
void pc_rig_jump(PcRig *rig, int64_t ns);
uint8_t pc_rig_in(PcRig *rig, uint16_t port);
void pc_rig_out(PcRig *rig, uint16_t port, uint8_t value);
uint32_t pc_rig_read(PcRig *rig, int cpu, uint64_t address);
void pc_rig_write(PcRig *rig, int cpu, uint64_t address, uint32_t value);
Vcpu *pc_rig_cpu(PcRig *rig, unsigned index);
bool pc_rig_intr(PcRig *rig, unsigned index);
/* The oldest event of a CPU, or -1. */
int pc_rig_event(PcRig *rig, unsigned index, uint32_t *data);

void test_pc_interrupts(void);
void test_pc_timers(void);
void test_pc_input(void);
void test_pc_dma(void);

#endif
