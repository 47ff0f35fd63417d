/* SPDX-License-Identifier: MIT */
/*
 * Translation of one address for people (DDI 0487 D8): each descriptor on the way, what EL1 and EL0 may do, and which bit denies the rest.
 * The verdicts are those of the walker that the processor uses; only the reasons are worked out here.
 */
#include <glib.h>

#include "base/bits.h"
#include "target/arm/mmu.h"
#include "target/arm/sysregs.h"

typedef struct {
    uint8_t bit;
    const char *name;
} Bit;

static const Bit table_bits[] = {
    { 59, "PXNTable" },
    { 60, "UXNTable" },
    { 61, "APTable: no EL0" },
    { 62, "APTable: read-only" },
};
static const Bit leaf_bits[] = {
    { 10, "AF" },         { 11, "nG" },  { 50, "GP" },  { 51, "DBM" },
    { 52, "Contiguous" }, { 53, "PXN" }, { 54, "UXN" },
};

static void append_bits(GString *text, uint64_t value, const Bit *bits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (value >> bits[i].bit & 1) {
            g_string_append_printf(text, " | %s", bits[i].name);
        }
    }
}

/* A byte of MAIR_EL1. */
const char *arm_memory_type(uint8_t attributes)
{
    static const char *const device[] = { "Device-nGnRnE", "Device-nGnRE", "Device-nGRE",
                                          "Device-GRE" };
    static const char *const normal[] = { "?",
                                          "write-through, transient",
                                          "write-through, transient",
                                          "write-through, transient",
                                          "Normal, non-cacheable",
                                          "Normal, write-back, transient",
                                          "Normal, write-back, transient",
                                          "Normal, write-back, transient" };

    return attributes < 0x10      ? device[attributes >> 2 & 3]
           : attributes >> 4 < 8  ? normal[attributes >> 4 & 7]
           : attributes >> 4 < 12 ? "Normal, write-through"
                                  : "Normal, write-back";
}

static void describe_entry(const ArmCpu *cpu, const ArmTrail *trail, unsigned i, PageWalkStep *step)
{
    static const char *const rights[] = { "AP: RW at EL1", "AP: RW at EL1 and EL0", "AP: RO at EL1",
                                          "AP: RO at EL1 and EL0" };
    static const char *const shareability[] = { "non-shareable", "SH: reserved", "outer shareable",
                                                "inner shareable" };
    uint64_t d = trail->entry[i].descriptor;
    unsigned level = trail->entry[i].level;
    GString *text = g_string_new(NULL);

    if (!(d & 1)) {
        g_string_append(text, "not valid");
    } else if (level < 3 && d & 2) {
        g_string_append(text, "table");
        append_bits(text, d, table_bits, G_N_ELEMENTS(table_bits));
    } else if (level == 3 && !(d & 2)) {
        g_string_append(text, "reserved, as if not valid");
    } else {
        uint8_t index = d >> 2 & 7;

        g_string_append_printf(text, "%s | %s", level == 3 ? "page" : "block", rights[d >> 6 & 3]);
        append_bits(text, d, leaf_bits, G_N_ELEMENTS(leaf_bits));
        g_string_append_printf(text, " | %s | Attr%u: %s", shareability[d >> 8 & 3], index,
                               arm_memory_type(cpu->mair_el1 >> 8 * index & 0xff));
    }
    g_snprintf(step->table, sizeof step->table, "level %u", level);
    step->stage = 1;
    step->bytes = 8;
    step->at = trail->entry[i].address;
    step->entry = d;
    g_strlcpy(step->attributes, text->str, sizeof step->attributes);
    g_string_free(text, TRUE);
}

/* The level whose table entry has a bit that takes a right away from all below; -1: none has. */
static int table_with(const ArmTrail *trail, unsigned bit)
{
    for (unsigned i = 0; i + 1 < trail->count; i++) {
        if (trail->entry[i].descriptor >> bit & 1) {
            return trail->entry[i].level;
        }
    }
    return -1;
}

/* Which of two bits, of the tables or of the leaf, denies something. */
static bool by_bit(const ArmTrail *trail, unsigned leaf_bit, bool leaf_denies_when,
                   const char *leaf_name, unsigned table_bit, const char *table_name, char *text)
{
    uint64_t leaf = trail->entry[trail->count - 1].descriptor;
    int level = table_with(trail, table_bit);

    if ((leaf >> leaf_bit & 1) == leaf_denies_when) {
        g_snprintf(text, PAGE_WALK_TEXT, "%s of the level %u entry is %d", leaf_name,
                   trail->entry[trail->count - 1].level, leaf_denies_when);
    } else if (level >= 0) {
        g_snprintf(text, PAGE_WALK_TEXT, "%s of the level %d table is set", table_name, level);
    } else {
        return false;
    }
    return true;
}

static bool denied_to_el0(const ArmTrail *trail, char *text)
{
    return by_bit(trail, 6, 0, "AP[1] (access from EL0)", 61, "APTable[0] (none from EL0)", text);
}

static bool denied_write(const ArmTrail *trail, char *text)
{
    return by_bit(trail, 7, 1, "AP[2] (read-only)", 62, "APTable[1] (read-only)", text);
}

static void explain_permission(const ArmTrail *trail, PageLevel level, PageAccess access,
                               char *text)
{
    char unused[PAGE_WALK_TEXT];

    if (level == PAGE_USER && access != PAGE_EXECUTE && denied_to_el0(trail, text)) {
        return;
    }
    if (access == PAGE_WRITE && denied_write(trail, text)) {
        return;
    }
    if (access != PAGE_EXECUTE) {
        g_strlcpy(text, "PSTATE.PAN is 1, and EL0 may access the page", PAGE_WALK_TEXT);
    } else if (level == PAGE_USER ? by_bit(trail, 54, 1, "UXN", 60, "UXNTable", text)
                                  : by_bit(trail, 53, 1, "PXN", 59, "PXNTable", text)) {
        return;
    } else if (level == PAGE_KERNEL && !denied_to_el0(trail, unused) &&
               !denied_write(trail, unused)) {
        g_strlcpy(text, "what EL0 may write is not executed at EL1", PAGE_WALK_TEXT);
    } else {
        g_strlcpy(text, "SCTLR_EL1.WXN is 1, and the page is writable", PAGE_WALK_TEXT);
    }
}

static void explain_no_table(const ArmCpu *cpu, uint64_t guest_virt, char *text)
{
    unsigned high = guest_virt >> 55 & 1, size = bits_extract(cpu->tcr_el1, high ? 16 : 0, 6);

    if (cpu->tcr_el1 >> (high ? 23 : 7) & 1) {
        g_snprintf(text, PAGE_WALK_TEXT, "TCR_EL1.EPD%u is 1: no walks by TTBR%u_EL1", high, high);
    } else {
        g_snprintf(
            text, PAGE_WALK_TEXT,
            "the address is in neither half: TCR_EL1.T%uSZ is %u, so TTBR%u_EL1 reaches %u bits",
            high, size, high, 64 - size);
    }
}

/* By a fault status code. */
static void explain_fault(const ArmCpu *cpu, uint64_t guest_virt, uint32_t status,
                          const ArmTrail *trail, PageLevel who, PageAccess access, char *text)
{
    unsigned level = status & 3;

    switch (status & 0x3c) {
    case ARM_FSC_TRANSLATION:
        if (!trail->count && who == PAGE_USER &&
            cpu->tcr_el1 >> (55 + (guest_virt >> 55 & 1)) & 1) {
            g_snprintf(text, PAGE_WALK_TEXT, "TCR_EL1.E0PD%u is 1: EL0 has nothing in this half",
                       (unsigned)(guest_virt >> 55 & 1));
        } else if (!trail->count) {
            explain_no_table(cpu, guest_virt, text);
        } else {
            g_snprintf(text, PAGE_WALK_TEXT,
                       "translation fault at level %u: the entry there is not valid", level);
        }
        break;
    case ARM_FSC_ACCESS_FLAG:
        g_snprintf(text, PAGE_WALK_TEXT,
                   "access flag fault at level %u: AF is 0, and TCR_EL1.HA does not have the "
                   "processor set it",
                   level);
        break;
    case ARM_FSC_PERMISSION:
        explain_permission(trail, who, access, text);
        break;
    case ARM_FSC_EXTERNAL_WALK:
        g_snprintf(text, PAGE_WALK_TEXT, "the level %u table is where there is no memory", level);
        break;
    default:
        g_snprintf(
            text, PAGE_WALK_TEXT,
            "address size fault at level %u: an address there is wider than TCR_EL1.IPS allows",
            level);
    }
}

void arm_walk_page(Vcpu *vcpu, uint64_t guest_virt, PageWalk *walk)
{
    static const TcgAccess accesses[] = { TCG_READ, TCG_WRITE, TCG_FETCH };
    ArmCpu *cpu = arm_cpu(vcpu);
    ArmTrail trail = { 0 };

    walk->address = guest_virt;
    walk->on = cpu->sctlr_el1 & SCTLR_M;
    for (unsigned i = 0; i < PAGE_LEVELS * PAGE_ACCESSES; i++) {
        PageLevel who = i / PAGE_ACCESSES;
        PageAccess access = i % PAGE_ACCESSES;
        ArmWalkRequest request = {
            .access = accesses[access], .el0 = who == PAGE_USER, .pan = cpu->pan, .probe = true
        };
        ArmTrail own = { 0 };
        ArmWalkResult result;
        uint32_t status = arm_translate_trailed(cpu, guest_virt, request, &result, &own);

        walk->allowed[who][access] = !status;
        if (status) {
            explain_fault(cpu, guest_virt, status, &own, who, access, walk->denied[who][access]);
        }
        if (own.count > trail.count) {
            trail = own;
        }
        if (!walk->mapped && (!status || (status & 0x3c) == ARM_FSC_PERMISSION)) {
            walk->mapped = true;
            walk->guest_phys = result.mapping.guest_phys | (guest_virt & (TCG_PAGE_SIZE - 1));
            walk->size = UINT64_C(1) << result.mapping.size_bits;
            g_strlcpy(walk->memory, arm_memory_type(result.attributes), sizeof walk->memory);
        }
    }
    for (unsigned i = 0; i < trail.count; i++) {
        describe_entry(cpu, &trail, i, page_walk_add(walk));
    }
    if (!walk->mapped) {
        g_strlcpy(walk->fault, walk->denied[PAGE_KERNEL][PAGE_READ], sizeof walk->fault);
    }
}
