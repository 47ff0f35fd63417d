/* SPDX-License-Identifier: MIT */
/*
 * Address translation, stage 1 of EL1&0 (DDI 0487 D8): granules of 4, 16 and 64 KiB, 48-bit virtual
 * and physical addresses, hierarchical permissions, PAN, E0PD, hardware access flag and dirty state,
 * guarded pages, top-byte-ignore. Stage 2 and 52-bit addresses do not exist.
 *
 * What a walk of one address-space context finds depends on its key alone, apart from registers that
 * the architecture allows to be cached in a TLB.
 */
#include "target/arm/mmu.h"

#include "base/bits.h"
#include "base/log.h"
#include "target/arm/exception.h"
#include "target/arm/sysregs.h"

enum { PHYSICAL_BITS = 48 };

/* Context keys: ASID in bits 15 to 0, then: */
enum { KEY_EL1 = 1 << 16, KEY_PAN = 1 << 17, KEY_MMU_OFF = 1 << 18 };

/* TCR_EL1. */
#define TCR_EPD(high)  ((high) ? UINT64_C(1) << 23 : UINT64_C(1) << 7)
#define TCR_TBI(high)  (UINT64_C(1) << (37 + (high)))
#define TCR_HPD(high)  (UINT64_C(1) << (41 + (high)))
#define TCR_TBID(high) (UINT64_C(1) << (51 + (high)))
#define TCR_E0PD(high) (UINT64_C(1) << (55 + (high)))
#define TCR_A1         (UINT64_C(1) << 22)
#define TCR_AS         (UINT64_C(1) << 36)
#define TCR_HA         (UINT64_C(1) << 39)
#define TCR_HD         (UINT64_C(1) << 40)

/* Descriptors. */
#define DESC_VALID              UINT64_C(1)
#define DESC_TABLE              UINT64_C(2)
#define DESC_AP_EL0             (UINT64_C(1) << 6)
#define DESC_AP_READ_ONLY       (UINT64_C(1) << 7)
#define DESC_AF                 (UINT64_C(1) << 10)
#define DESC_NG                 (UINT64_C(1) << 11)
#define DESC_GP                 (UINT64_C(1) << 50)
#define DESC_DBM                (UINT64_C(1) << 51)
#define DESC_PXN                (UINT64_C(1) << 53)
#define DESC_UXN                (UINT64_C(1) << 54)
#define DESC_PXN_TABLE          (UINT64_C(1) << 59)
#define DESC_UXN_TABLE          (UINT64_C(1) << 60)
#define DESC_AP_TABLE_NO_EL0    (UINT64_C(1) << 61)
#define DESC_AP_TABLE_READ_ONLY (UINT64_C(1) << 62)

uint64_t arm_context_key(const ArmCpu *cpu, bool el1, bool pan)
{
    uint64_t key = el1 ? KEY_EL1 : 0, asid;

    if (!(cpu->sctlr_el1 & SCTLR_M)) {
        return key | KEY_MMU_OFF;
    }
    asid = (cpu->tcr_el1 & TCR_A1 ? cpu->ttbr1_el1 : cpu->ttbr0_el1) >> 48;
    if (!(cpu->tcr_el1 & TCR_AS)) {
        asid &= 0xff;
    }
    return key | (el1 && pan ? KEY_PAN : 0) | asid;
}

void arm_update_context(ArmCpu *cpu)
{
    tcg_set_context(&cpu->tcg, arm_context_key(cpu, cpu->el1, cpu->pan),
                    arm_context_key(cpu, false, false));
}

/* How one half of the address space is translated. */
typedef struct {
    uint64_t base; /* of the first table */
    unsigned input_bits, granule_bits;
    bool high;
} Regime;

static bool ignores_top_byte(const ArmCpu *cpu, bool high, bool fetch)
{
    if (fetch && arm_has(cpu, FEAT_PAUTH) && cpu->tcr_el1 & TCR_TBID(high)) {
        return false;
    }
    return cpu->tcr_el1 & TCR_TBI(high);
}

uint64_t arm_strip_pc(const ArmCpu *cpu, uint64_t pc)
{
    return ignores_top_byte(cpu, pc >> 55 & 1, true) ? (uint64_t)bits_sign_extend(pc, 56) : pc;
}

/* Selects the half; false: the address is in neither (a translation fault at level 0). */
static bool select_regime(const ArmCpu *cpu, uint64_t guest_virt, ArmWalkRequest request,
                          Regime *regime)
{
    static const uint8_t low_granules[] = { 12, 16, 14, 12 }, high_granules[] = { 12, 14, 12, 16 };
    bool high = guest_virt >> 55 & 1;
    unsigned size = bits_extract(cpu->tcr_el1, high ? 16 : 0, 6);
    unsigned minimum = 16, maximum = arm_has(cpu, FEAT_ST) ? 48 : 39, top;

    regime->high = high;
    regime->granule_bits = high ? high_granules[bits_extract(cpu->tcr_el1, 30, 2)]
                                : low_granules[bits_extract(cpu->tcr_el1, 14, 2)];
    if (regime->granule_bits == 16 && maximum > 47) {
        maximum = 47;
    }
    size = size < minimum ? minimum : size > maximum ? maximum : size;
    regime->input_bits = 64 - size;
    regime->base = bits_extract(high ? cpu->ttbr1_el1 : cpu->ttbr0_el1, 0, 48);
    top = ignores_top_byte(cpu, high, request.access == TCG_FETCH) ? 56 : 64;
    if ((uint64_t)bits_sign_extend(guest_virt, top) >> regime->input_bits !=
        (high ? UINT64_MAX >> regime->input_bits : 0)) {
        return false;
    }
    return !(cpu->tcr_el1 & TCR_EPD(high)) &&
           !(request.el0 && arm_has(cpu, FEAT_E0PD) && cpu->tcr_el1 & TCR_E0PD(high));
}

/* Descriptors are aligned to 8 bytes, and nearly always in RAM. */
static bool read_descriptor(ArmCpu *cpu, uint64_t address, uint64_t *descriptor)
{
    AddressSpace *space = cpu->vcpu.memory;
    const MemoryRange *range = address_space_find(space, address);
    bool swap = cpu->sctlr_el1 & SCTLR_EE;

    if (range && range->region->kind == MEMORY_RAM && address - range->start <= range->size - 8) {
        const uint64_t *host =
            (const uint64_t *)(const void *)(range->region->host + range->offset +
                                             (address - range->start));

        *descriptor = __atomic_load_n(host, __ATOMIC_RELAXED);
    } else if (address_space_read(space, address, descriptor, 8,
                                  (MemoryAttributes){ .vcpu = (int16_t)cpu->vcpu.index }) !=
               MEMORY_OK) {
        return false;
    }
    *descriptor = swap ? __builtin_bswap64(*descriptor) : *descriptor;
    return true;
}

/* Replaces a descriptor unless it has changed; false: walk again (or it is not in RAM). */
static bool update_descriptor(ArmCpu *cpu, uint64_t address, uint64_t old, uint64_t new)
{
    AddressSpace *space = cpu->vcpu.memory;
    uint64_t size = 8, *host = address_space_map(space, address, &size, true);
    bool swap = cpu->sctlr_el1 & SCTLR_EE, done;

    if (!host || size < 8) {
        return false;
    }
    old = swap ? __builtin_bswap64(old) : old;
    new = swap ? __builtin_bswap64(new) : new;
    done = __atomic_compare_exchange_n(host, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    address_space_dirty(space, address, 8);
    return done;
}

/* A leaf, with the attributes of the tables on the way to it in the table's bit positions. */
typedef struct {
    uint64_t descriptor, tables, address, output;
    unsigned level, size_bits;
    ArmTrail *trail; /* NULL: nobody asks */
} Leaf;

static void note_entry(ArmTrail *trail, uint64_t address, uint64_t descriptor, unsigned level,
                       unsigned shift)
{
    if (trail && trail->count < ARM_WALK_LEVELS) {
        trail->entry[trail->count].address = address;
        trail->entry[trail->count].descriptor = descriptor;
        trail->entry[trail->count].level = (uint8_t)level;
        trail->entry[trail->count++].size_bits = (uint8_t)shift;
    }
}

static unsigned output_size(const ArmCpu *cpu)
{
    static const uint8_t sizes[] = { 32, 36, 40, 42, 44, 48, 48, 48 };

    return sizes[bits_extract(cpu->tcr_el1, 32, 3)];
}

/* Walks to the leaf. Returns 0 or a fault status. */
static uint32_t find_leaf(ArmCpu *cpu, const Regime *regime, uint64_t guest_virt, Leaf *leaf)
{
    unsigned granule = regime->granule_bits, stride = granule - 3;
    unsigned levels = (regime->input_bits - granule + stride - 1) / stride;
    unsigned level = 4 - levels, shift = granule + (levels - 1) * stride;
    unsigned first_bits = regime->input_bits - shift, limit = output_size(cpu);
    uint64_t table = regime->base & ~bits_mask(MAX(first_bits + 3, 6u));
    uint64_t index = bits_extract(guest_virt, shift, first_bits);

    leaf->tables = 0;
    if (table >> limit) {
        return ARM_FSC_ADDRESS_SIZE;
    }
    for (;;) {
        uint64_t descriptor;

        leaf->address = table + index * 8;
        if (!read_descriptor(cpu, leaf->address, &descriptor)) {
            return ARM_FSC_EXTERNAL_WALK + level;
        }
        note_entry(leaf->trail, leaf->address, descriptor, level, shift);
        if (!(descriptor & DESC_VALID) || (level == 3 && !(descriptor & DESC_TABLE)) ||
            (!(descriptor & DESC_TABLE) && (level == 0 || (level == 1 && granule != 12)))) {
            return ARM_FSC_TRANSLATION + level;
        }
        if (level == 3 || !(descriptor & DESC_TABLE)) {
            leaf->descriptor = descriptor;
            leaf->level = level;
            leaf->size_bits = shift;
            leaf->output = descriptor & bits_mask(PHYSICAL_BITS) & ~bits_mask(shift);
            return leaf->output >> limit ? ARM_FSC_ADDRESS_SIZE + level : 0;
        }
        table = descriptor & bits_mask(PHYSICAL_BITS) & ~bits_mask(granule);
        if (table >> limit) {
            return ARM_FSC_ADDRESS_SIZE + level;
        }
        if (!(arm_has(cpu, FEAT_HPDS) && cpu->tcr_el1 & TCR_HPD(regime->high))) {
            leaf->tables |= descriptor;
        }
        level++;
        shift -= stride;
        index = bits_extract(guest_virt, shift, stride);
    }
}

/* Permissions for the request's exception level, and the memory type. */
static void leaf_permissions(const ArmCpu *cpu, const Leaf *leaf, ArmWalkRequest request,
                             ArmWalkResult *result)
{
    TcgMapping *m = &result->mapping;
    uint64_t d = leaf->descriptor;
    bool el0_access = d & DESC_AP_EL0 && !(leaf->tables & DESC_AP_TABLE_NO_EL0);
    bool read_only = d & DESC_AP_READ_ONLY || leaf->tables & DESC_AP_TABLE_READ_ONLY;
    bool uxn = d & DESC_UXN || leaf->tables & DESC_UXN_TABLE;
    bool pxn = d & DESC_PXN || leaf->tables & DESC_PXN_TABLE;
    bool wxn = cpu->sctlr_el1 & SCTLR_WXN;

    if (request.el0) {
        m->read = el0_access;
        m->write = el0_access && !read_only;
        m->execute = !uxn && !(wxn && m->write);
    } else {
        bool blocked = request.pan && el0_access;

        m->read = true;
        m->write = !read_only;
        /* What EL0 may write is never executable at EL1. */
        m->execute = !pxn && !(wxn && m->write) && !(el0_access && !read_only);
        if (blocked) {
            m->read = m->write = false;
        }
    }
    result->attributes = cpu->mair_el1 >> 8 * (d >> 2 & 7) & 0xff;
    result->shareability = d >> 8 & 3;
    m->device = result->attributes < 0x10;
    m->global = !(d & DESC_NG);
    m->guarded = arm_has(cpu, FEAT_BTI) && d & DESC_GP;
    m->size_bits = (uint8_t)leaf->size_bits;
}

static bool permits(const TcgMapping *mapping, TcgAccess access)
{
    return access == TCG_READ    ? mapping->read
           : access == TCG_WRITE ? mapping->write
                                 : mapping->execute;
}

/*
 * Access flag and dirty state. Returns 0, a fault status, or -1: the descriptor changed meanwhile.
 * With DBM, a read-only page that is not yet dirty is writable, but only a write makes it so.
 */
static int update_flags(ArmCpu *cpu, Leaf *leaf, ArmWalkRequest request, bool *clean)
{
    bool managed = arm_has(cpu, FEAT_HAFDBS) && cpu->tcr_el1 & TCR_HA;
    uint64_t new = leaf->descriptor;

    *clean = false;
    if (managed && cpu->tcr_el1 & TCR_HD && new &DESC_DBM &&new &DESC_AP_READ_ONLY) {
        *clean = request.access != TCG_WRITE || request.probe;
        new &= ~DESC_AP_READ_ONLY;
    }
    if (!(new &DESC_AF)) {
        if (!managed) {
            return (int)(ARM_FSC_ACCESS_FLAG + leaf->level);
        }
        new |= DESC_AF;
    }
    if (!request.probe) {
        uint64_t stored = *clean ? new | DESC_AP_READ_ONLY : new;

        if (stored != leaf->descriptor) {
            ArmWalkResult allowed;
            Leaf changed = *leaf;

            /* A write that is not permitted for another reason leaves the page clean. */
            changed.descriptor = new;
            leaf_permissions(cpu, &changed, request, &allowed);
            if (!permits(&allowed.mapping, request.access)) {
                stored |= leaf->descriptor & DESC_AP_READ_ONLY;
            }
            if (stored != leaf->descriptor &&
                !update_descriptor(cpu, leaf->address, leaf->descriptor, stored)) {
                return -1;
            }
        }
    }
    leaf->descriptor = new;
    return 0;
}

/* Translation is off: flat, and data is Device-nGnRnE. */
static uint32_t translate_flat(const ArmCpu *cpu, uint64_t guest_virt, ArmWalkRequest request,
                               ArmWalkResult *result)
{
    uint64_t address = guest_virt;

    if (ignores_top_byte(cpu, guest_virt >> 55 & 1, request.access == TCG_FETCH)) {
        address = bits_extract(guest_virt, 0, 56);
    }
    if (address >> PHYSICAL_BITS) {
        return ARM_FSC_ADDRESS_SIZE;
    }
    result->mapping = (TcgMapping){ .guest_phys = address & TCG_PAGE_MASK,
                                    .size_bits = TCG_PAGE_BITS,
                                    .read = true,
                                    .write = true,
                                    .execute = true,
                                    .global = true,
                                    .device = request.access != TCG_FETCH };
    result->attributes = request.access == TCG_FETCH ? 0xff : 0;
    result->shareability = 2;
    return 0;
}

uint32_t arm_translate(ArmCpu *cpu, uint64_t guest_virt, ArmWalkRequest request,
                       ArmWalkResult *result)
{
    return arm_translate_trailed(cpu, guest_virt, request, result, NULL);
}

uint32_t arm_translate_trailed(ArmCpu *cpu, uint64_t guest_virt, ArmWalkRequest request,
                               ArmWalkResult *result, ArmTrail *trail)
{
    Regime regime;
    Leaf leaf = { .trail = trail };
    bool clean;
    uint32_t fault;
    int changed = -1;

    *result = (ArmWalkResult){ 0 };
    if (!(cpu->sctlr_el1 & SCTLR_M)) {
        return translate_flat(cpu, guest_virt, request, result);
    }
    if (!select_regime(cpu, guest_virt, request, &regime)) {
        return ARM_FSC_TRANSLATION;
    }
    /* Another processor may change the descriptor again and again, but not for ever. */
    for (unsigned tries = 0; changed < 0 && tries < 64; tries++) {
        if (trail) {
            *trail = (ArmTrail){ .high = regime.high };
        }
        fault = find_leaf(cpu, &regime, guest_virt, &leaf);
        if (fault) {
            return fault;
        }
        changed = update_flags(cpu, &leaf, request, &clean);
    }
    if (changed) {
        return changed > 0 ? (uint32_t)changed : ARM_FSC_EXTERNAL_WALK + leaf.level;
    }
    leaf_permissions(cpu, &leaf, request, result);
    result->mapping.guest_phys =
        (leaf.output | (guest_virt & bits_mask(leaf.size_bits))) & TCG_PAGE_MASK;
    if (!permits(&result->mapping, request.access)) {
        return ARM_FSC_PERMISSION + leaf.level;
    }
    if (clean && !request.probe) {
        result->mapping.write = false;
    }
    return 0;
}

bool arm_walk(TcgState *env, uint64_t guest_virt, unsigned size, TcgAccess access, unsigned flags,
              TcgMapping *mapping)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    bool unpriv = !cpu->el1 || flags & IR_MEM_OTHER;
    ArmWalkRequest request = { .access = access, .el0 = unpriv, .pan = cpu->pan };
    ArmWalkResult result;
    uint32_t status = 0;

    cpu->fault.address = guest_virt;
    cpu->fault.access = (uint8_t)access;
    cpu->fault.watchpoint = false;
    if (access != TCG_FETCH && flags & IR_MEM_ALIGNED && size && guest_virt & (size - 1)) {
        status = ARM_FSC_ALIGNMENT;
    }
    if (!status) {
        status = arm_translate(cpu, guest_virt, request, &result);
    }
    if (!status && access != TCG_FETCH && result.mapping.device) {
        unsigned element = MIN(flags & IR_MEM_PAIR ? size / 2 : size, 8u);

        /* While translation is off, ARM_MODE_ALIGN sees to this. */
        result.mapping.uncached = cpu->sctlr_el1 & SCTLR_M;
        if ((element && guest_virt & (element - 1)) || flags & IR_MEM_ZERO) {
            status = ARM_FSC_ALIGNMENT;
        }
    }
    /* Of fetches, too: an access would find the page known by them. */
    if (!status && cpu->watch_armed && arm_page_watched(cpu, guest_virt)) {
        result.mapping.uncached = true;
        if (size && access != TCG_FETCH &&
            arm_watchpoint_hit(cpu, guest_virt, size, access == TCG_WRITE, unpriv)) {
            cpu->fault.watchpoint = true;
            status = ARM_FSC_DEBUG;
        }
    }
    if (log_enabled(LOG_MMU)) {
        log_printf("cpu%u: walk %#" PRIx64 " %s: %s %#" PRIx64 "\n", cpu->vcpu.index, guest_virt,
                   access == TCG_READ    ? "read"
                   : access == TCG_WRITE ? "write"
                                         : "fetch",
                   status ? "fault" : "phys", status ? status : result.mapping.guest_phys);
    }
    cpu->fault.status = status;
    if (!status) {
        *mapping = result.mapping;
        cpu->fault.cache_maintenance = false;
    }
    return !status;
}

bool arm_lookup(ArmCpu *cpu, uint64_t guest_virt, TcgMapping *mapping)
{
    ArmWalkRequest request = { .access = TCG_FETCH, .el0 = !cpu->el1, .probe = true };
    ArmWalkResult result;

    if (arm_translate(cpu, guest_virt, request, &result)) {
        return false;
    }
    *mapping = result.mapping;
    return true;
}

bool arm_read_code(ArmCpu *cpu, uint64_t pc, uint32_t *insn)
{
    AddressSpace *space = cpu->vcpu.memory;
    uint64_t size = 4;
    TcgMapping mapping;
    const void *host;

    if (!arm_lookup(cpu, pc, &mapping)) {
        return false;
    }
    host = address_space_map(space, mapping.guest_phys | (pc & (TCG_PAGE_SIZE - 4)), &size, false);
    if (!host || size < 4) {
        return false;
    }
    *insn = load_le32(host);
    return true;
}

bool arm_translate_debug(Vcpu *vcpu, uint64_t guest_virt, uint64_t *guest_phys)
{
    ArmCpu *cpu = arm_cpu(vcpu);
    ArmWalkRequest request = { .access = TCG_READ, .probe = true };
    ArmWalkResult result;
    uint32_t status = arm_translate(cpu, guest_virt, request, &result);

    if (status && (status & ~3u) != ARM_FSC_PERMISSION && (status & ~3u) != ARM_FSC_ACCESS_FLAG) {
        return false;
    }
    *guest_phys = result.mapping.guest_phys | (guest_virt & (TCG_PAGE_SIZE - 1));
    return !status || (status & ~3u) == ARM_FSC_PERMISSION;
}

void arm_address_translate(ArmCpu *cpu, uint64_t guest_virt, ArmWalkRequest request)
{
    ArmWalkResult result;
    uint32_t status = arm_translate(cpu, guest_virt, request, &result);

    if (status) {
        cpu->par_el1 = 1 | (status & bits_mask(ARM_FSC_BITS)) << 1 | 1u << 11;
        return;
    }
    /* Device memory reports outer shareable. */
    cpu->par_el1 = 1u << 11 | (uint64_t)result.attributes << 56 | result.mapping.guest_phys |
                   (uint64_t)(result.mapping.device ? 2 : result.shareability) << 7;
}
