/* SPDX-License-Identifier: MIT */
/*
 * Paging (Intel SDM 3, chapter 4; AMD APM 2, chapter 5): none, 32-bit with PSE and PSE-36, PAE, four and five levels;
 * NX, WP, SMEP, SMAP, protection keys, global pages, PCIDs, accessed and dirty bits; nested tables of
 * virtual machines (APM 2, 15.25).
 */
#include "target/i386/mmu.h"

#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/svm.h"

/* Page-table entries. */
#define PTE_P         UINT64_C(1)
#define PTE_W         UINT64_C(2)
#define PTE_U         UINT64_C(4)
#define PTE_A         UINT64_C(0x20)
#define PTE_D         UINT64_C(0x40)
#define PTE_PS        UINT64_C(0x80)
#define PTE_G         UINT64_C(0x100)
#define PTE_KEY_SHIFT 59
#define PTE_NX        UINT64_C(0x8000000000000000)
#define PTE_ADDRESS   UINT64_C(0x000ffffffffff000)

/*
 * Context keys: the PCID, and all that an answer of a walk depends on besides the tables. What supervisor mode may do
 * with user pages depends on EFLAGS.AC; implicit supervisor accesses have a context of their own. PKRU, which programs change often,
 * is in the upper half, so that what is known by another value stays. PKRS is not here: a change drops what is known.
 */
enum {
    KEY_PCID = 0xfff,
    KEY_USER = 1 << 12,
    KEY_CODE64 = 1 << 13, /* addresses are 64 bits wide */
    KEY_WP = 1 << 14,
    KEY_SMEP = 1 << 15,
    KEY_SMAP = 1 << 16, /* and EFLAGS.AC is clear */
    KEY_NXE = 1 << 17,
    KEY_PG = 1 << 18,
    KEY_PAE = 1 << 19,
    KEY_LONG = 1 << 20,
    KEY_LA57 = 1 << 21,
    KEY_PSE = 1 << 22,
    KEY_SMM = 1 << 23,
    KEY_A20 = 1 << 24, /* the gate is closed */
    KEY_PGE = 1 << 25,
    KEY_ASID_SHIFT = 27,
    KEY_ASID = (X86_SVM_ASIDS - 1) << KEY_ASID_SHIFT, /* of a virtual machine; 0: the host */
    KEY_PKRU_SHIFT = 32,
};

static bool has_keys(const X86Cpu *cpu)
{
    return (cpu->cr4 & CR4_PKE) && (cpu->efer & EFER_LMA);
}

static bool has_supervisor_keys(const X86Cpu *cpu)
{
    return (cpu->cr4 & CR4_PKS) && (cpu->efer & EFER_LMA);
}

static uint64_t asid_key(uint32_t asid)
{
    return (uint64_t)asid << KEY_ASID_SHIFT;
}

/* What tells the running address space from others. */
static uint64_t space_key(const X86Cpu *cpu)
{
    return (cpu->cr4 & CR4_PCIDE ? cpu->cr3 & KEY_PCID : 0) |
           (cpu->svm.guest ? asid_key(cpu->svm.asid) : 0);
}

static uint64_t common_key(const X86Cpu *cpu)
{
    uint64_t key = space_key(cpu);

    key |= x86_code64(cpu) ? KEY_CODE64 : 0;
    key |= cpu->smm ? KEY_SMM : 0;
    key |= cpu->a20 ? 0 : KEY_A20;
    if (cpu->cr0 & CR0_PG) {
        key |= KEY_PG;
        key |= cpu->cr0 & CR0_WP ? KEY_WP : 0;
        key |= cpu->cr4 & CR4_SMEP ? KEY_SMEP : 0;
        key |= cpu->efer & EFER_NXE ? KEY_NXE : 0;
        key |= cpu->cr4 & CR4_PAE ? KEY_PAE : 0;
        key |= cpu->efer & EFER_LMA ? KEY_LONG : 0;
        key |= cpu->cr4 & CR4_LA57 ? KEY_LA57 : 0;
        key |= cpu->cr4 & CR4_PSE ? KEY_PSE : 0;
        key |= cpu->cr4 & CR4_PGE ? KEY_PGE : 0;
        key |= has_keys(cpu) ? (uint64_t)cpu->pkru << KEY_PKRU_SHIFT : 0;
    }
    return key;
}

void x86_set_contexts(X86Cpu *cpu)
{
    uint64_t key = common_key(cpu), system = key;
    bool smap = (cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_SMAP);

    system |= smap ? KEY_SMAP : 0;
    if (cpu->cpl == 3) {
        key |= KEY_USER;
    } else if (smap && !(cpu->eflags & EFLAGS_AC)) {
        key |= KEY_SMAP;
    }
    tcg_set_context(&cpu->tcg, key, system);
}

typedef struct {
    X86Cpu *cpu;
    uint64_t address;
    TcgAccess access;
    uint64_t cr3, cr4, efer; /* which tables, and their form */
    X86Nested nested;        /* they are a virtual machine's, and the address is physical to it */
    bool user;               /* a user access */
    bool implicit;           /* a supervisor access whatever the CPL, for which AC does not count */
    bool debug;              /* no side effects */
    bool all_keys;           /* protection keys deny nothing */
    X86Trail *trail;         /* NULL: nobody asks */
    uint32_t error;          /* error code without P */
    /* What all levels so far allow. */
    bool write, user_page, execute;
} Walk;

static bool nest(const Walk *outer, uint64_t address, TcgAccess access, X86Nested cause,
                 TcgMapping *mapping);

/* The address of an entry, which in a virtual machine is physical to that. Walking is writing: bits may be set. */
static bool locate_entry(Walk *w, uint64_t *address)
{
    TcgMapping mapping;

    if (w->nested == X86_NOT_NESTED && x86_svm_nests(w->cpu)) {
        if (!nest(w, *address, w->debug ? TCG_READ : TCG_WRITE, X86_NESTED_TABLE, &mapping)) {
            return false;
        }
        *address = mapping.guest_phys | (*address & (TCG_PAGE_SIZE - 1));
    }
    if (!w->cpu->a20) {
        *address &= ~(UINT64_C(1) << 20);
    }
    return true;
}

static void note_entry(const Walk *w, uint64_t at, uint64_t entry, unsigned level, unsigned bytes)
{
    if (w->trail && w->trail->count < X86_TRAIL_MOST) {
        w->trail->entry[w->trail->count++] = (X86TrailEntry){ .at = at,
                                                              .entry = entry,
                                                              .level = (uint8_t)level,
                                                              .bytes = (uint8_t)bytes,
                                                              .nested = (uint8_t)w->nested };
    }
}

/* Addresses of entries are those of locate_entry from here on. */
static uint64_t read_entry(Walk *w, uint64_t address, unsigned level, unsigned bytes)
{
    uint64_t value = 0;

    address_space_read(
        w->cpu->vcpu.memory, address, &value, bytes,
        (MemoryAttributes){ .vcpu = (int16_t)w->cpu->vcpu.index, .secure = w->cpu->smm });
    note_entry(w, address, value, level, bytes);
    return value;
}

/* Sets bits of an entry that still is what was read; false: it has changed, and the walk starts again. */
static bool update_entry(Walk *w, uint64_t address, uint64_t old, uint64_t bits, unsigned bytes)
{
    uint64_t size = bytes;
    void *host;
    bool done;

    if ((old & bits) == bits || w->debug) {
        return true;
    }
    host = address_space_map(w->cpu->vcpu.memory, address, &size, true);
    if (!host || size < bytes) {
        /* Tables in ROM or a device keep their bits. */
        return true;
    }
    if (bytes == 8) {
        done = __atomic_compare_exchange_n((uint64_t *)host, &old, old | bits, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    } else {
        uint32_t expected = (uint32_t)old;

        done = __atomic_compare_exchange_n((uint32_t *)host, &expected, (uint32_t)(old | bits),
                                           false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    address_space_dirty(w->cpu->vcpu.memory, address, bytes);
    return done;
}

static bool page_fault(Walk *w, uint32_t bits)
{
    w->cpu->fault = (X86Fault){ .address = w->address,
                                .error_code = w->error | bits,
                                .vector = X86_PF,
                                .nested = (uint8_t)w->nested };
    return false;
}

static uint64_t reserved_above_phys(const X86Cpu *cpu)
{
    return PTE_ADDRESS & ~bits_mask(cpu->phys_bits);
}

/* What PKRU takes away from data accesses to a user page of that key, and PKRS to a supervisor page; a debugger sees all. */
static bool check_key(Walk *w, unsigned page_key, TcgMapping *mapping)
{
    enum { ACCESS_DISABLE = 1, WRITE_DISABLE = 2 };
    const X86Cpu *cpu = w->cpu;
    uint64_t bits = (w->user_page ? cpu->pkru : cpu->pkrs) >> 2 * page_key;
    bool on = w->user_page ? has_keys(cpu) : has_supervisor_keys(cpu);
    bool read = true, write = true;

    if (on && !w->all_keys && w->nested == X86_NOT_NESTED) {
        read = !(bits & ACCESS_DISABLE);
        write = read && (!(bits & WRITE_DISABLE) || (!w->user && !(cpu->cr0 & CR0_WP)));
    }
    mapping->read = mapping->read && read;
    mapping->write = mapping->write && write;
    return w->access == TCG_READ ? read : w->access == TCG_WRITE ? write : true;
}

/* Rights of the leaf for the access; fills in mapping. */
static bool check_rights(Walk *w, TcgMapping *mapping)
{
    const X86Cpu *cpu = w->cpu;
    bool smap = (cpu->cr4 & CR4_SMAP) && (w->implicit || !(cpu->eflags & EFLAGS_AC));
    bool read, write;

    if (w->user) {
        read = w->user_page;
        write = read && w->write;
        w->execute = w->execute && w->user_page;
    } else {
        read = !w->user_page || !smap;
        write = read && (w->write || !(cpu->cr0 & CR0_WP));
        w->execute = w->execute && !(w->user_page && (cpu->cr4 & CR4_SMEP));
    }
    mapping->read = read;
    mapping->write = write;
    mapping->execute = w->execute;
    return w->access == TCG_READ ? read : w->access == TCG_WRITE ? write : w->execute;
}

/* A leaf entry at address `at`. 0: fault, 1: done, -1: again. */
static int finish_walk(Walk *w, uint64_t at, uint64_t entry, unsigned bytes, uint64_t page,
                       unsigned size_bits, TcgMapping *mapping)
{
    uint64_t bits = PTE_A | (w->access == TCG_WRITE ? PTE_D : 0);

    bool allowed = check_rights(w, mapping);
    bool by_key = check_key(w, entry >> PTE_KEY_SHIFT & 15, mapping);

    if (!allowed || !by_key) {
        return page_fault(w, X86_PF_P | (by_key ? 0 : X86_PF_PK));
    }
    if (!update_entry(w, at, entry, bits, bytes)) {
        return -1;
    }
    if (!((entry | bits) & PTE_D)) {
        /* The first write comes here again, to set it. */
        mapping->write = false;
    }
    mapping->guest_phys = page + (w->address & bits_mask(size_bits) & TCG_PAGE_MASK);
    if (!w->cpu->a20) {
        mapping->guest_phys &= ~(UINT64_C(1) << 20);
    }
    mapping->size_bits = (uint8_t)size_bits;
    mapping->global = (entry & PTE_G) && (w->cr4 & CR4_PGE);
    return 1;
}

/* 32-bit paging: two levels of 4-byte entries; PSE pages of 4 MiB, PSE-36 with eight bits more. */
static int walk32(Walk *w, TcgMapping *mapping)
{
    X86Cpu *cpu = w->cpu;
    uint64_t at = (w->cr3 & 0xfffff000) + (w->address >> 22 & 0x3ff) * 4, entry;

    if (!locate_entry(w, &at)) {
        return 0;
    }
    entry = read_entry(w, at, 2, 4);
    if (!(entry & PTE_P)) {
        return page_fault(w, 0);
    }
    w->write = entry & PTE_W;
    w->user_page = entry & PTE_U;
    if ((entry & PTE_PS) && (w->cr4 & CR4_PSE)) {
        uint64_t high = entry >> 13 & 0xff;

        if ((entry & (1 << 21)) || (high << 32 & ~bits_mask(MIN(cpu->phys_bits, 40)))) {
            return page_fault(w, X86_PF_P | X86_PF_RSVD);
        }
        return finish_walk(w, at, entry, 4, (entry & 0xffc00000) | high << 32, 22, mapping);
    }
    if (!update_entry(w, at, entry, PTE_A, 4)) {
        return -1;
    }
    at = (entry & 0xfffff000) + (w->address >> 12 & 0x3ff) * 4;
    if (!locate_entry(w, &at)) {
        return 0;
    }
    entry = read_entry(w, at, 1, 4);
    if (!(entry & PTE_P)) {
        return page_fault(w, 0);
    }
    w->write = w->write && (entry & PTE_W);
    w->user_page = w->user_page && (entry & PTE_U);
    return finish_walk(w, at, entry, 4, entry & 0xfffff000, 12, mapping);
}

/* Whether an entry of 8 bytes has reserved bits set. level: 1 page table … 5; leaf: it maps a page. */
static bool is_reserved(const Walk *w, uint64_t entry, unsigned level, bool leaf)
{
    const X86Cpu *cpu = w->cpu;
    uint64_t reserved = reserved_above_phys(cpu);

    if (!(w->efer & EFER_NXE)) {
        reserved |= PTE_NX;
    }
    if (!(w->efer & EFER_LMA)) {
        reserved |= UINT64_C(0x7ff) << 52;
    }
    if (level >= 4 || (level == 3 && !leaf && !x86_has(cpu, X86_FEATURE_PDPE1GB))) {
        reserved |= PTE_PS;
    }
    if (level >= 3 && !leaf && entry & PTE_G && x86_vendor_is_amd(cpu)) {
        /* Others ignore it where no page is. */
        reserved |= PTE_G;
    }
    if (leaf && level > 1) {
        /* Bit 12 is the PAT bit. */
        reserved |= bits_mask(12 + 9 * (level - 1)) & ~bits_mask(13);
    }
    return entry & reserved;
}

/* Levels of 8-byte entries from the table at `table` down. */
static int walk_levels(Walk *w, uint64_t table, unsigned level, TcgMapping *mapping)
{
    for (;; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        uint64_t at = table + (w->address >> shift & 0x1ff) * 8, entry;
        bool leaf;

        if (!locate_entry(w, &at)) {
            return 0;
        }
        entry = read_entry(w, at, level, 8);
        leaf = level == 1 || ((entry & PTE_PS) && level <= 3 &&
                              (level == 2 || x86_has(w->cpu, X86_FEATURE_PDPE1GB)));
        if (!(entry & PTE_P)) {
            return page_fault(w, 0);
        }
        if (is_reserved(w, entry, level, leaf)) {
            return page_fault(w, X86_PF_P | X86_PF_RSVD);
        }
        w->write = w->write && (entry & PTE_W);
        w->user_page = w->user_page && (entry & PTE_U);
        w->execute = w->execute && !(entry & PTE_NX);
        if (leaf) {
            return finish_walk(w, at, entry, 8, entry & PTE_ADDRESS & ~bits_mask(shift), shift,
                               mapping);
        }
        if (!update_entry(w, at, entry, PTE_A, 8)) {
            return -1;
        }
        table = entry & PTE_ADDRESS;
    }
}

/* PAE's directory pointers are loaded with CR3, but of nested tables and over them at each walk. */
static int walk_pae(Walk *w, TcgMapping *mapping)
{
    uint64_t pdpte = w->cpu->pdpte[w->address >> 30 & 3];

    if (w->nested != X86_NOT_NESTED || x86_svm_nests(w->cpu)) {
        uint64_t at = (w->cr3 & 0xffffffe0) + (w->address >> 30 & 3) * 8;

        if (!locate_entry(w, &at)) {
            return 0;
        }
        pdpte = read_entry(w, at, 3, 8);
    } else {
        note_entry(w, (w->cr3 & 0xffffffe0) + (w->address >> 30 & 3) * 8, pdpte, 3, 8);
    }
    return pdpte & PTE_P ? walk_levels(w, pdpte & PTE_ADDRESS, 2, mapping) : page_fault(w, 0);
}

static int walk_once(Walk *w, TcgMapping *mapping)
{
    w->write = w->user_page = w->execute = true;
    if (w->efer & EFER_LMA) {
        return walk_levels(w, w->cr3 & PTE_ADDRESS, w->cr4 & CR4_LA57 ? 5 : 4, mapping);
    }
    return w->cr4 & CR4_PAE ? walk_pae(w, mapping) : walk32(w, mapping);
}

static bool walk_tables(Walk *w, TcgMapping *mapping)
{
    bool smep = w->cr4 & CR4_SMEP;
    bool fetch_bit = w->access == TCG_FETCH && ((w->efer & EFER_NXE) || smep) && (w->cr4 & CR4_PAE);
    int result;

    w->error = (w->access == TCG_WRITE ? X86_PF_W : 0) | (w->user ? X86_PF_U : 0) |
               (fetch_bit || (w->access == TCG_FETCH && smep) ? X86_PF_I : 0);
    do {
        result = walk_once(w, mapping);
    } while (result < 0);
    return result;
}

/* By the running program's tables. */
static void use_own_tables(Walk *w)
{
    w->cr3 = w->cpu->cr3;
    w->cr4 = w->cpu->cr4;
    w->efer = w->cpu->efer;
}

/* An address that is physical to a virtual machine, by the host's tables for it: all accesses are a user's there. */
static bool nest(const Walk *outer, uint64_t address, TcgAccess access, X86Nested cause,
                 TcgMapping *mapping)
{
    X86Cpu *cpu = outer->cpu;
    Walk w = { .cpu = cpu,
               .address = address,
               .access = access,
               .cr3 = cpu->svm.nested_cr3,
               .cr4 = cpu->svm.host_cr4,
               .efer = cpu->svm.host_efer,
               .nested = cause,
               .user = true,
               .debug = outer->debug,
               .trail = outer->trail };

    *mapping = (TcgMapping){ 0 };
    return walk_tables(&w, mapping);
}

/* The second half of an access of a virtual machine: mapping leads to its physical memory. */
static bool nest_mapping(Walk *w, TcgMapping *mapping)
{
    TcgMapping inner;

    if (!nest(w, mapping->guest_phys | (w->address & (TCG_PAGE_SIZE - 1)), w->access,
              X86_NESTED_FINAL, &inner)) {
        return false;
    }
    mapping->guest_phys = inner.guest_phys;
    mapping->read = mapping->read && inner.read;
    mapping->write = mapping->write && inner.write;
    mapping->execute = mapping->execute && inner.execute;
    return true;
}

static bool without_paging(const X86Cpu *cpu, uint64_t address, TcgMapping *mapping)
{
    uint64_t page = address & TCG_PAGE_MASK;

    *mapping = (TcgMapping){ .guest_phys = cpu->a20 ? page : page & ~(UINT64_C(1) << 20),
                             .size_bits = 12,
                             .read = true,
                             .write = true,
                             .execute = true,
                             .global = true };
    return true;
}

/* Accesses that a hardware watchpoint may be about are asked again each time. */
static bool is_watched(const X86Cpu *cpu, uint64_t address)
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned kind = cpu->dr[7] >> (16 + 4 * i) & 3;

        if ((cpu->dr[7] >> (2 * i) & 3) && kind != 0 && kind != 2 &&
            ((cpu->dr[i] ^ address) & TCG_PAGE_MASK) == 0) {
            return true;
        }
    }
    return false;
}

/* DR6 bits of the watchpoints that an access hits; 0 unless one of them is enabled. */
static uint64_t watchpoints_hit(const X86Cpu *cpu, uint64_t address, unsigned size,
                                TcgAccess access)
{
    uint64_t hits = 0;
    bool enabled = false;

    for (unsigned i = 0; i < 4; i++) {
        static const uint8_t lengths[] = { 1, 2, 8, 4 };
        unsigned kind = cpu->dr[7] >> (16 + 4 * i) & 3;
        uint64_t bytes = lengths[cpu->dr[7] >> (18 + 4 * i) & 3];
        uint64_t start = cpu->dr[i] & ~(bytes - 1);

        if (access != TCG_FETCH && (kind == 3 || (kind == 1 && access == TCG_WRITE)) &&
            (address - start < bytes || start - address < MAX(size, 1u))) {
            hits |= UINT64_C(1) << i;
            enabled = enabled || (cpu->dr[7] >> (2 * i) & 3);
        }
    }
    return enabled ? hits : 0;
}

/*
 * The trap is due when the instruction is done, so that is executed on its own: again from its start, as after a fault. While an
 * exception is delivered there is no instruction; the trap comes behind the handler's first. false: again.
 */
static bool note_watchpoints(X86Cpu *cpu, uint64_t address, unsigned size, TcgAccess access)
{
    uint64_t hits = watchpoints_hit(cpu, address, size, access);

    if (hits && !(cpu->mode & TCG_MODE_ONE) && !cpu->delivering) {
        cpu->fault = (X86Fault){ .again = true };
        return false;
    }
    cpu->pending_debug |= hits;
    return true;
}

static bool bad_address(X86Cpu *cpu, unsigned flags)
{
    cpu->fault =
        (X86Fault){ .vector = flags & IR_MEM_STACK ? X86_SS_FAULT : X86_GP, .error_code = 0 };
    return false;
}

/* debug: without side effects. */
static bool walk_access(X86Cpu *cpu, uint64_t guest_virt, TcgAccess access, unsigned flags,
                        bool debug, TcgMapping *mapping)
{
    bool implicit = flags & IR_MEM_OTHER;
    Walk w = { .cpu = cpu,
               .address = guest_virt,
               .access = access,
               .user = cpu->cpl == 3 && !implicit,
               .implicit = implicit,
               .debug = debug };

    use_own_tables(&w);
    if (x86_long_mode(cpu) && !x86_is_canonical(cpu, guest_virt)) {
        return bad_address(cpu, flags);
    }
    if (!(cpu->cr0 & CR0_PG)) {
        without_paging(cpu, guest_virt, mapping);
    } else if (!walk_tables(&w, mapping)) {
        return false;
    }
    return !x86_svm_nests(cpu) || nest_mapping(&w, mapping);
}

/*
 * The end of the canonical addresses lies within an access whatever is mapped below it. What is not written in whole makes
 * no page dirty.
 */
bool x86_check_crossing(TcgState *env, uint64_t first, uint64_t second, TcgAccess access,
                        unsigned flags)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    TcgMapping mapping = { 0 };

    if (x86_long_mode(cpu) && !x86_is_canonical(cpu, second)) {
        return bad_address(cpu, flags);
    }
    return access != TCG_WRITE || (walk_access(cpu, first, access, flags, true, &mapping) &&
                                   walk_access(cpu, second, access, flags, true, &mapping));
}

/* So near to the end of the canonical addresses that a relative branch may lead over it. */
static bool is_near_end(const X86Cpu *cpu, uint64_t address)
{
    const uint64_t reach = UINT64_C(1) << 32;
    uint64_t end = UINT64_C(1) << (cpu->cr4 & CR4_LA57 ? 56 : 47);

    return x86_long_mode(cpu) && (end - address <= reach || address + end < reach);
}

bool x86_walk(TcgState *env, uint64_t guest_virt, unsigned size, TcgAccess access, unsigned flags,
              TcgMapping *mapping)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    if (size && (flags & IR_MEM_ALIGNED) && (guest_virt & (size - 1))) {
        cpu->fault = (X86Fault){ .vector = size >= 16 ? X86_GP : X86_AC };
        return false;
    }
    if (!walk_access(cpu, guest_virt, access, flags, false, mapping)) {
        return false;
    }
    mapping->guarded = is_near_end(cpu, guest_virt);
    /* Of fetches, too: an access would find the page known by them. */
    if ((cpu->dr[7] & 0xff) && is_watched(cpu, guest_virt)) {
        mapping->uncached = true;
        return note_watchpoints(cpu, guest_virt, size, access);
    }
    return true;
}

bool x86_translate_debug(Vcpu *vcpu, uint64_t guest_virt, uint64_t *guest_phys)
{
    X86Cpu *cpu = x86_cpu(vcpu);
    X86Fault fault = cpu->fault;
    TcgMapping mapping = { 0 };
    Walk w = { .cpu = cpu,
               .address = guest_virt,
               .access = TCG_READ,
               .implicit = true,
               .debug = true,
               .all_keys = true };
    bool ok;

    use_own_tables(&w);
    if (!(cpu->cr0 & CR0_PG)) {
        ok = without_paging(cpu, guest_virt, &mapping);
    } else {
        uint64_t eflags = cpu->eflags;

        /* A debugger sees user pages, too. */
        w.implicit = false;
        cpu->eflags |= EFLAGS_AC;
        ok = x86_is_canonical(cpu, guest_virt) && walk_tables(&w, &mapping);
        cpu->eflags = eflags;
    }
    ok = ok && (!x86_svm_nests(cpu) || nest_mapping(&w, &mapping));
    cpu->fault = fault;
    *guest_phys = mapping.guest_phys | (guest_virt & (TCG_PAGE_SIZE - 1));
    return ok;
}

bool x86_probe(X86Cpu *cpu, uint64_t guest_virt, TcgAccess access, bool user, X86Trail *trail,
               TcgMapping *mapping, X86Fault *fault)
{
    X86Fault before = cpu->fault;
    Walk w = { .cpu = cpu,
               .address = guest_virt,
               .access = access,
               .user = user,
               .debug = true,
               .trail = trail };
    bool ok;

    *trail = (X86Trail){ 0 };
    *mapping = (TcgMapping){ 0 };
    use_own_tables(&w);
    cpu->fault = (X86Fault){ .vector = X86_GP };
    ok = cpu->cr0 & CR0_PG ? (!x86_long_mode(cpu) || x86_is_canonical(cpu, guest_virt)) &&
                                 walk_tables(&w, mapping)
                           : without_paging(cpu, guest_virt, mapping);
    ok = ok && (!x86_svm_nests(cpu) || nest_mapping(&w, mapping));
    *fault = cpu->fault;
    cpu->fault = before;
    return ok;
}

/* Invalidation. */

/* space: a PCID and an ASID, as in keys. */
static bool same_space(uint64_t key, uint64_t space)
{
    return (key & (KEY_PCID | KEY_ASID)) == space;
}

static bool same_asid(uint64_t key, uint64_t asid)
{
    return (key & KEY_ASID) == asid;
}

void x86_flush_translations(X86Cpu *cpu, bool global)
{
    if (global) {
        tcg_invalidate_contexts(&cpu->tcg, NULL, 0);
    } else {
        tcg_invalidate_contexts(&cpu->tcg, same_space, space_key(cpu));
    }
}

void x86_flush_asid(X86Cpu *cpu, uint32_t asid, bool global)
{
    if (global) {
        /* Nothing drops global entries of one space alone. */
        tcg_invalidate_contexts(&cpu->tcg, NULL, 0);
    } else {
        tcg_invalidate_contexts(&cpu->tcg, same_asid, asid_key(asid));
    }
}

void x86_invalidate_page_of(X86Cpu *cpu, uint64_t address, uint32_t asid)
{
    tcg_invalidate_page(&cpu->tcg, address, same_asid, asid_key(asid));
}

void x86_invalidate_page(X86Cpu *cpu, uint64_t address)
{
    if (!x86_long_mode(cpu)) {
        address = (uint32_t)address;
    }
    tcg_invalidate_page(&cpu->tcg, address, same_space, space_key(cpu));
}

enum { INVPCID_ADDRESS, INVPCID_SINGLE, INVPCID_ALL, INVPCID_ALL_BUT_GLOBAL };

void x86_invalidate_pcid(X86Cpu *cpu, uint64_t type, uint64_t descriptor, uint64_t address)
{
    uint64_t asid = space_key(cpu) & KEY_ASID;
    bool pcide = cpu->cr4 & CR4_PCIDE;

    if (type > INVPCID_ALL_BUT_GLOBAL || descriptor >> 12 ||
        (type <= INVPCID_SINGLE && descriptor && !pcide) ||
        (type == INVPCID_ADDRESS && !x86_is_canonical_base(cpu, address))) {
        x86_fault(cpu, X86_GP, 0);
    }
    switch (type) {
    case INVPCID_ADDRESS:
        tcg_invalidate_page(&cpu->tcg, address, same_space, descriptor | asid);
        break;
    case INVPCID_SINGLE:
        tcg_invalidate_contexts(&cpu->tcg, same_space, descriptor | asid);
        break;
    case INVPCID_ALL:
        tcg_invalidate_contexts(&cpu->tcg, NULL, 0);
        break;
    default:
        tcg_invalidate_contexts(&cpu->tcg, same_asid, asid);
    }
}

bool x86_load_pdptes(X86Cpu *cpu, uint64_t cr3)
{
    Walk w = { .cpu = cpu };
    uint64_t entries[4];

    if (x86_svm_nests(cpu)) {
        return true;
    }
    for (unsigned i = 0; i < 4; i++) {
        uint64_t at = (cr3 & 0xffffffe0) + 8 * i;

        entries[i] = locate_entry(&w, &at) ? read_entry(&w, at, 3, 8) : 0;
        if ((entries[i] & PTE_P) &&
            (entries[i] & (reserved_above_phys(cpu) | UINT64_C(0xfff00000000001e6)))) {
            return false;
        }
    }
    memcpy(cpu->pdpte, entries, sizeof entries);
    return true;
}

uint64_t x86_load_system(X86Cpu *cpu, uint64_t address, unsigned bytes)
{
    return tcg_load(&cpu->tcg, x86_long_mode(cpu) ? address : (uint32_t)address, bytes,
                    IR_MEM_OTHER | (x86_long_mode(cpu) ? 0 : IR_MEM_WRAP32));
}

void x86_store_system(X86Cpu *cpu, uint64_t address, uint64_t value, unsigned bytes)
{
    tcg_store(&cpu->tcg, x86_long_mode(cpu) ? address : (uint32_t)address, value, bytes,
              IR_MEM_OTHER | (x86_long_mode(cpu) ? 0 : IR_MEM_WRAP32));
}

void x86_check_store_system(X86Cpu *cpu, uint64_t address, unsigned bytes)
{
    tcg_check_store(&cpu->tcg, x86_long_mode(cpu) ? address : (uint32_t)address, bytes,
                    IR_MEM_OTHER | (x86_long_mode(cpu) ? 0 : IR_MEM_WRAP32));
}
