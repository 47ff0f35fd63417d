/* SPDX-License-Identifier: MIT */
/* Address translation, stage 1 of EL1&0 (DDI 0487 D8). */
#ifndef TARGET_ARM_MMU_H
#define TARGET_ARM_MMU_H

#include "machine/page-walk.h"
#include "target/arm/cpu.h"

/*
 * Fault status codes; translation, access flag, permission and address size have a level added.
 * Registers get the low six bits: the bit above tells an address size fault at level 0 from no fault.
 */
enum {
    ARM_FSC_BITS = 6,
    ARM_FSC_ADDRESS_SIZE = 0x40,
    ARM_FSC_TRANSLATION = 0x04,
    ARM_FSC_ACCESS_FLAG = 0x08,
    ARM_FSC_PERMISSION = 0x0c,
    ARM_FSC_EXTERNAL = 0x10,
    ARM_FSC_EXTERNAL_WALK = 0x14,
    ARM_FSC_ALIGNMENT = 0x21,
    ARM_FSC_DEBUG = 0x22,
    ARM_FSC_UNSUPPORTED_EXCLUSIVE = 0x35,
};

/* What a walk is for. */
typedef struct {
    TcgAccess access;
    bool el0;               /* as if at EL0 */
    bool pan;               /* PSTATE.PAN applies */
    bool probe;             /* no side effects: neither AF nor dirty state are written */
} ArmWalkRequest;

typedef struct {
    TcgMapping mapping;
    uint8_t attributes;     /* MAIR byte */
    uint8_t shareability;
} ArmWalkResult;

/* The descriptors that a walk has read; with the level of each and log2 of what it maps. */
enum { ARM_WALK_LEVELS = 4 };
typedef struct {
    unsigned count;
    bool high;              /* by TTBR1_EL1 */
    struct {
        uint64_t address, descriptor;
        uint8_t level, size_bits;
    } entry[ARM_WALK_LEVELS];
} ArmTrail;

/* Returns 0, or the fault status code. */
uint32_t arm_translate(ArmCpu *cpu, uint64_t guest_virt, ArmWalkRequest request,
                       ArmWalkResult *result);
/* The same, and tells the way. */
uint32_t arm_translate_trailed(ArmCpu *cpu, uint64_t guest_virt, ArmWalkRequest request,
                               ArmWalkResult *result, ArmTrail *trail);
/* Target.walk_page and Target.describe_mappings. */
void arm_walk_page(Vcpu *vcpu, uint64_t guest_virt, PageWalk *walk);
void arm_describe_mappings(Vcpu *vcpu, bool ranges, GString *out);
/* What a byte of MAIR_EL1 says. */
const char *arm_memory_type(uint8_t attributes);
/* Present permissions of the page for fetches at the current EL; false: it faults. No side effects. */
bool arm_lookup(ArmCpu *cpu, uint64_t guest_virt, TcgMapping *mapping);
/* The instruction at a pc, without side effects. */
bool arm_read_code(ArmCpu *cpu, uint64_t pc, uint32_t *insn);
/* The pc without an ignored top byte. */
uint64_t arm_strip_pc(const ArmCpu *cpu, uint64_t pc);
bool arm_translate_debug(Vcpu *vcpu, uint64_t guest_virt, uint64_t *guest_phys);
/* Context keys: what TLB entries may be shared by. */
uint64_t arm_context_key(const ArmCpu *cpu, bool el1, bool pan);
static inline unsigned arm_key_asid(uint64_t key)
{
    return key & 0xffff;
}

/* AT: translates and fills PAR_EL1. */
void arm_address_translate(ArmCpu *cpu, uint64_t guest_virt, ArmWalkRequest request);

#endif
