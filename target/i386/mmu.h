/* SPDX-License-Identifier: MIT */
/* Paging: walks, contexts, invalidation (Intel SDM 3, chapter 4). */
#ifndef TARGET_I386_MMU_H
#define TARGET_I386_MMU_H

#include "machine/page-walk.h"
#include "target/i386/cpu.h"

/* TcgTarget.walk. */
bool x86_walk(TcgState *env, uint64_t guest_virt, unsigned size, TcgAccess access, unsigned flags, TcgMapping *mapping);
/* TcgTarget.check_crossing. */
bool x86_check_crossing(TcgState *env, uint64_t first, uint64_t second, TcgAccess access, unsigned flags);
/* Target.translate_debug */
bool x86_translate_debug(Vcpu *vcpu, uint64_t guest_virt, uint64_t *guest_phys);

/* The entries that a walk has read, for people: addresses are those of locations in the machine. */
enum { X86_TRAIL_MOST = 40 };
typedef struct {
    uint64_t at, entry;
    uint8_t level; /* 1 the page table, 2 the directory … */
    uint8_t bytes, nested;
} X86TrailEntry;
typedef struct {
    unsigned count;
    X86TrailEntry entry[X86_TRAIL_MOST];
} X86Trail;
/*
 * Whether an access at a privilege level would be allowed now; without side effects. false: *fault tells. mapping: as far as it was
 * found.
 */
bool x86_probe(X86Cpu *cpu, uint64_t guest_virt, TcgAccess access, bool user, X86Trail *trail, TcgMapping *mapping,
               X86Fault *fault);
/* Target.walk_page */
void x86_walk_page(Vcpu *vcpu, uint64_t guest_virt, PageWalk *walk);

/* The keys of the contexts of ordinary and of implicit supervisor accesses, set by x86_update_context. */
void x86_set_contexts(X86Cpu *cpu);
/* Drops what a load of CR3 drops, or with `global` everything. */
void x86_flush_translations(X86Cpu *cpu, bool global);
void x86_invalidate_page(X86Cpu *cpu, uint64_t address);
/* Of a virtual machine: all of its translations, or a page's in all its address spaces. */
void x86_flush_asid(X86Cpu *cpu, uint32_t asid, bool global);
void x86_invalidate_page_of(X86Cpu *cpu, uint64_t address, uint32_t asid);
/* INVPCID; faults unwind. */
void x86_invalidate_pcid(X86Cpu *cpu, uint64_t type, uint64_t descriptor, uint64_t address);
/*
 * Loads the four PAE directory pointers; false: one has reserved bits set. A virtual machine with nested tables
 * reads them when it walks.
 */
bool x86_load_pdptes(X86Cpu *cpu, uint64_t cr3);

/* Implicit supervisor accesses to descriptor tables and task state: linear addresses, faults unwind. */
uint64_t x86_load_system(X86Cpu *cpu, uint64_t address, unsigned bytes);
void x86_store_system(X86Cpu *cpu, uint64_t address, uint64_t value, unsigned bytes);
/* Whether that will not fault. */
void x86_check_store_system(X86Cpu *cpu, uint64_t address, unsigned bytes);

static inline bool x86_is_canonical(const X86Cpu *cpu, uint64_t address)
{
    unsigned bits = cpu->cr4 & CR4_LA57 ? 57 : 48;

    return (uint64_t)bits_sign_extend(address, bits) == address;
}

/*
 * Bases of segments and tables, MSRs, and what INVPCID names, may be canonical by as many bits as the processor has,
 * whatever CR4.LA57 is. Those that are not under it fault when they are used.
 */
static inline bool x86_is_canonical_base(const X86Cpu *cpu, uint64_t address)
{
    return (uint64_t)bits_sign_extend(address, cpu->virt_bits) == address;
}

#endif
