/* SPDX-License-Identifier: MIT */
/*
 * Runs A64 code at EL0 on a bare machine: 64 MiB of RAM at RIG_RAM, mapped flat and accessible for EL0.
 * Instructions that fault are skipped; BRK ends the run.
 */
#ifndef TESTS_ISA_RIG_H
#define TESTS_ISA_RIG_H

#include "target/arm/cpu.h"

enum { RIG_RAM = 0x40000000, RIG_RAM_BYTES = 0x4000000 };

typedef struct {
    Machine *machine;
    ArmCpu *cpu;
    uint8_t *ram;           /* RIG_RAM as the host sees it */
} IsaRig;

/* cpu: NAME[,FEATURE=on|off…]. interp: on the reference interpreter, else on the translator; false: the host has no back end. */
bool isa_rig_open(IsaRig *rig, const char *cpu, unsigned vcpus, bool interp);
/* The same with a GICv3, which is not mapped: its registers of the CPU interface. */
bool isa_rig_open_with_gic(IsaRig *rig, const char *cpu, unsigned vcpus, bool interp);
/* Runs from a pc at EL0 until BRK; registers and memory are then in rig->cpu and rig->ram. */
void isa_rig_run(IsaRig *rig, uint64_t pc);
/* Runs from RIG_RAM at EL1 as after reset, until PSCI SYSTEM_OFF. */
void isa_rig_run_bare(IsaRig *rig);
void isa_rig_close(IsaRig *rig);

#endif
