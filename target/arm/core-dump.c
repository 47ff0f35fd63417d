/* SPDX-License-Identifier: MIT */
/* A CPU in a core file: the registers as Linux's struct user_pt_regs has them. */
#include "machine/core-notes.h"
#include "target/arm/core-dump.h"

enum { GENERAL = 31, USER_REGISTERS = GENERAL + 3 };

void arm_core_notes(Vcpu *vcpu, GByteArray *notes)
{
    const ArmCpu *cpu = arm_cpu(vcpu);
    uint64_t registers[USER_REGISTERS];

    for (unsigned i = 0; i < GENERAL + 1; i++) {
        registers[i] = cpu->x[i]; /* the last is the stack pointer */
    }
    registers[GENERAL + 1] = vcpu->target->get_pc(vcpu);
    registers[GENERAL + 2] = arm_get_pstate(cpu);
    core_note_add_prstatus(notes, vcpu->index, registers, USER_REGISTERS);
}
