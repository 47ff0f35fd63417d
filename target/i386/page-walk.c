/* SPDX-License-Identifier: MIT */
/*
 * Translation of one address for people (SDM 3, chapter 4): each entry on the way, what kernel and user may do, and which bit denies the
 * rest. The verdicts are those of the walker that the processor uses; only the reasons are worked out here.
 */
#include <glib.h>

#include "target/i386/control.h"
#include "target/i386/mmu.h"
#include "target/i386/svm.h"

#define PTE_P  UINT64_C(1)
#define PTE_W  UINT64_C(2)
#define PTE_U  UINT64_C(4)
#define PTE_PS UINT64_C(0x80)
#define PTE_NX (UINT64_C(1) << 63)

/* By level, from 1. */
static const char *const tables[] = { "?", "PT", "PD", "PDPT", "PML4", "PML5" };

static const char *table_name(const X86TrailEntry *e)
{
    return tables[e->level < G_N_ELEMENTS(tables) ? e->level : 0];
}

static bool is_leaf(const X86TrailEntry *e)
{
    return e->level == 1 || (e->entry & PTE_PS && e->level <= 3);
}

static unsigned size_bits(const X86TrailEntry *e)
{
    return e->bytes == 4 ? (e->level == 2 ? 22 : 12) : 12u + 9 * (e->level - 1u);
}

/* Index into the PAT; bit 12 has the PAT's bit where bit 7 is PS. */
static unsigned pat_index(const X86TrailEntry *e)
{
    unsigned pat = e->level == 1 ? e->entry >> 7 & 1 : e->entry >> 12 & 1;

    return (e->entry >> 3 & 3) | pat << 2;
}

static const char *memory_type(const X86Cpu *cpu, const X86TrailEntry *e)
{
    static const char *const types[] = { "uncacheable", "write-combining", "?",
                                         "?",           "write-through",   "write-protected",
                                         "write-back",  "uncached (UC-)" };

    return types[cpu->pat >> 8 * pat_index(e) & 7];
}

static void describe_entry(const X86Cpu *cpu, const X86TrailEntry *e, bool pae, PageWalkStep *step)
{
    static const struct {
        uint64_t bit;
        const char *name;
    } bits[] = { { 1 << 3, "PWT" }, { 1 << 4, "PCD" }, { 1 << 5, "A" } },
      leaf_bits[] = { { 1 << 6, "D" }, { 1 << 8, "G" } };
    GString *text = g_string_new(NULL);

    if (!(e->entry & PTE_P)) {
        g_string_append(text, "not present");
    } else if (pae && e->level == 3) {
        g_string_append(text, "table");
    } else {
        g_string_append_printf(text, "%s | %s | %s", is_leaf(e) ? "page" : "table",
                               e->entry & PTE_W ? "RW" : "RO",
                               e->entry & PTE_U ? "user" : "supervisor");
        for (size_t i = 0; i < G_N_ELEMENTS(bits); i++) {
            g_string_append(text, e->entry & bits[i].bit ? " | " : "");
            g_string_append(text, e->entry & bits[i].bit ? bits[i].name : "");
        }
        for (size_t i = 0; i < G_N_ELEMENTS(leaf_bits) && is_leaf(e); i++) {
            g_string_append(text, e->entry & leaf_bits[i].bit ? " | " : "");
            g_string_append(text, e->entry & leaf_bits[i].bit ? leaf_bits[i].name : "");
        }
        g_string_append(text, e->bytes == 8 && e->entry & PTE_NX ? " | NX" : "");
        if (is_leaf(e) && cpu->cr4 & (e->entry & PTE_U ? CR4_PKE : CR4_PKS)) {
            g_string_append_printf(text, " | key %u", (unsigned)(e->entry >> 59 & 15));
        }
    }
    g_strlcpy(step->table, table_name(e), sizeof step->table);
    step->stage = e->nested != X86_NOT_NESTED ? 2 : 1;
    step->bytes = e->bytes;
    step->at = e->at;
    step->entry = e->entry;
    g_strlcpy(step->attributes, text->str, sizeof step->attributes);
    g_string_free(text, TRUE);
}

/* The highest table whose entry has a bit set (or clear); NULL: none. */
static const X86TrailEntry *entry_with(const X86Trail *trail, uint64_t bit, bool set, bool pae)
{
    for (unsigned i = 0; i < trail->count; i++) {
        const X86TrailEntry *e = &trail->entry[i];

        if (e->nested == X86_NOT_NESTED && !(pae && e->level == 3) && !(e->entry & bit) == !set) {
            return e;
        }
    }
    return NULL;
}

static void by_entry(const X86TrailEntry *e, const char *what, const char *more, char *text)
{
    g_snprintf(text, PAGE_WALK_TEXT, "%s in the %s entry%s", what, table_name(e), more);
}

/* P was set everywhere. */
static void explain_rights(const X86Cpu *cpu, const X86Trail *trail, bool user, PageAccess access,
                           bool pae, char *text)
{
    const X86TrailEntry *e;

    if (user && (e = entry_with(trail, PTE_U, false, pae))) {
        by_entry(e, "US is 0 (supervisor only)", "", text);
    } else if (access == PAGE_EXECUTE && (e = entry_with(trail, PTE_NX, true, pae))) {
        by_entry(e, "NX is 1", "", text);
    } else if (access == PAGE_EXECUTE) {
        g_strlcpy(text, "CR4.SMEP is 1, and the page is the user's", PAGE_WALK_TEXT);
    } else if (access == PAGE_WRITE && (e = entry_with(trail, PTE_W, false, pae))) {
        by_entry(e, "RW is 0 (read-only)", user ? "" : ", and CR0.WP is 1", text);
    } else {
        g_strlcpy(text, "CR4.SMAP is 1, EFLAGS.AC is 0, and the page is the user's",
                  PAGE_WALK_TEXT);
    }
}

static void explain_fault(const X86Cpu *cpu, const X86Trail *trail, const X86Fault *fault,
                          bool user, PageAccess access, bool pae, char *text)
{
    const X86TrailEntry *last = trail->count ? &trail->entry[trail->count - 1] : NULL;
    const char *of = fault->nested != X86_NOT_NESTED ? "nested " : "";

    if (fault->vector == X86_GP || !last) {
        g_snprintf(text, PAGE_WALK_TEXT, "the address is not canonical: bits 63 to %d differ",
                   cpu->cr4 & CR4_LA57 ? 56 : 47);
    } else if (!(fault->error_code & X86_PF_P)) {
        g_snprintf(text, PAGE_WALK_TEXT, "not present: P is 0 in the %s%s entry", of,
                   table_name(last));
    } else if (fault->error_code & X86_PF_RSVD) {
        g_snprintf(text, PAGE_WALK_TEXT, "reserved bits are set in the %s%s entry", of,
                   table_name(last));
    } else if (fault->error_code & X86_PF_PK) {
        g_snprintf(text, PAGE_WALK_TEXT, "%s denies it to protection key %u",
                   last->entry & PTE_U ? "PKRU" : "PKRS", (unsigned)(last->entry >> 59 & 15));
    } else if (fault->nested != X86_NOT_NESTED) {
        g_snprintf(text, PAGE_WALK_TEXT, "the host's nested tables do not allow it");
    } else {
        explain_rights(cpu, trail, user, access, pae, text);
    }
}

/* The guest's own leaf. */
static const X86TrailEntry *own_leaf(const X86Trail *trail)
{
    for (unsigned i = trail->count; i-- > 0;) {
        if (trail->entry[i].nested == X86_NOT_NESTED) {
            return &trail->entry[i];
        }
    }
    return NULL;
}

void x86_walk_page(Vcpu *vcpu, uint64_t guest_virt, PageWalk *walk)
{
    static const TcgAccess accesses[] = { TCG_READ, TCG_WRITE, TCG_FETCH };
    X86Cpu *cpu = x86_cpu(vcpu);
    bool pae = cpu->cr4 & CR4_PAE && !x86_long_mode(cpu);
    X86Trail longest = { 0 };
    const X86TrailEntry *leaf;

    walk->address = guest_virt;
    walk->on = cpu->cr0 & CR0_PG;
    for (unsigned i = 0; i < PAGE_LEVELS * PAGE_ACCESSES; i++) {
        bool user = i / PAGE_ACCESSES == PAGE_USER;
        PageAccess access = i % PAGE_ACCESSES;
        TcgMapping mapping;
        X86Trail trail;
        X86Fault fault;

        walk->allowed[user][access] =
            x86_probe(cpu, guest_virt, accesses[access], user, &trail, &mapping, &fault);
        if (!walk->allowed[user][access]) {
            explain_fault(cpu, &trail, &fault, user, access, pae, walk->denied[user][access]);
        }
        if (trail.count > longest.count) {
            longest = trail;
        }
    }
    walk->mapped = x86_translate_debug(vcpu, guest_virt, &walk->guest_phys);
    for (unsigned i = 0; i < longest.count; i++) {
        describe_entry(cpu, &longest.entry[i], pae && longest.entry[i].nested == X86_NOT_NESTED,
                       page_walk_add(walk));
    }
    leaf = own_leaf(&longest);
    walk->size = leaf ? UINT64_C(1) << size_bits(leaf) : 4096;
    if (walk->mapped && leaf) {
        g_strlcpy(walk->memory, memory_type(cpu, leaf), sizeof walk->memory);
    }
    if (!walk->mapped) {
        g_strlcpy(walk->fault, walk->denied[PAGE_KERNEL][PAGE_READ], sizeof walk->fault);
    }
}
