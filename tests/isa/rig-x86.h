/* SPDX-License-Identifier: MIT */
/* Runs x86 code on a bare machine: 64 MiB of RAM at 0, and a port that ends the run. */
#ifndef TESTS_ISA_RIG_X86_H
#define TESTS_ISA_RIG_X86_H

#include "target/i386/cpu.h"

enum { X86_RIG_RAM_BYTES = 0x4000000, X86_RIG_END_PORT = 0x5f4 };

typedef struct {
    Machine *machine;
    X86Cpu *cpu;
    uint8_t *ram;
    uint32_t end_value; /* what was written to the port */
} X86Rig;

/* cpu: NAME[,FEATURE=on|off…]. interp: on the reference interpreter, else on the translator; false: the host has no back end. */
bool x86_rig_open(X86Rig *rig, const char *cpu, bool interp);
/* With several processors, of which rig->cpu is the first. */
bool x86_rig_open_smp(X86Rig *rig, const char *cpu, bool interp, unsigned vcpus);
/* Sets up flat 64-bit mode at CPL 0 with the first GiB mapped one to one (tables in the last 64 KiB of RAM). */
void x86_rig_long_mode(X86Rig *rig);
/* The same for another processor, on the tables of the first. */
void x86_rig_long_mode_cpu(X86Rig *rig, X86Cpu *cpu);
/* Runs from a linear address in the state that rig->cpu is in, until something is written to the port. */
void x86_rig_run(X86Rig *rig, uint64_t pc);
void x86_rig_close(X86Rig *rig);

/*
 * Makes exceptions end the run: end_value is the vector then, and *frame what was pushed, on a stack of its own in long mode.
 * For the mode that rig->cpu is in, long or 32-bit protected; takes X86_RIG_CATCHER_BYTES of RAM at a page's start. Its GDT has
 * what x86_rig_long_mode selects, and the code and the data of user mode.
 */
enum { X86_RIG_CATCHER_BYTES = 0x1000, X86_RIG_DATA_3 = 0x18 | 3, X86_RIG_CODE_3 = 0x20 | 3 };
void x86_rig_catch(X86Rig *rig, uint32_t at);
/* The error code comes first where the vector has one. */
uint8_t *x86_rig_frame(X86Rig *rig, uint32_t catcher);
void x86_rig_user_mode(X86Rig *rig);
/* Puts code at an address that ends the run, where nothing faults before, with X86_RIG_DONE. */
enum { X86_RIG_DONE = 0xff };
void x86_rig_put_code(X86Rig *rig, uint32_t at, const uint8_t *code, unsigned bytes);

/* Whether this host has all instructions with VEX prefixes that models have, and so can be their judge. */
bool x86_rig_host_has_vex(void);

#endif
