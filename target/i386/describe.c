/* SPDX-License-Identifier: MIT */
/* What the monitor shows of a processor: info registers, info mem, info tlb. */
#include "target/i386/describe.h"

#include <inttypes.h>

#include "target/i386/control.h"
#include "target/i386/x87.h"

/* Registers. */

static void describe_general(const X86Cpu *cpu, GString *out)
{
    static const struct {
        const char *name;
        uint8_t number;
    } order[16] = { { "AX", X86_RAX }, { "BX", X86_RBX }, { "CX", X86_RCX }, { "DX", X86_RDX },
                    { "SI", X86_RSI }, { "DI", X86_RDI }, { "BP", X86_RBP }, { "SP", X86_RSP },
                    { "R8 ", 8 },      { "R9 ", 9 },      { "R10", 10 },     { "R11", 11 },
                    { "R12", 12 },     { "R13", 13 },     { "R14", 14 },     { "R15", 15 } };
    bool wide = x86_code64(cpu);

    for (unsigned i = 0; i < (wide ? 16u : 8u); i++) {
        uint64_t value = cpu->gpr[order[i].number];
        const char *end = i % 4 == 3 ? "\n" : " ";

        if (wide) {
            g_string_append_printf(out, "%s%s=%016" PRIx64 "%s", i < 8 ? "R" : "", order[i].name,
                                   value, end);
        } else {
            g_string_append_printf(out, "E%s=%08x%s", order[i].name, (uint32_t)value, end);
        }
    }
}

static void describe_pc(X86Cpu *cpu, GString *out)
{
    static const struct {
        uint32_t flag;
        char letter;
    } letters[] = { { EFLAGS_DF, 'D' }, { EFLAGS_OF, 'O' }, { EFLAGS_SF, 'S' }, { EFLAGS_ZF, 'Z' },
                    { EFLAGS_AF, 'A' }, { EFLAGS_PF, 'P' }, { EFLAGS_CF, 'C' } };
    uint64_t eflags = x86_get_eflags(cpu);

    if (x86_code64(cpu)) {
        g_string_append_printf(out, "RIP=%016" PRIx64 " RFL=%08" PRIx64 " [", x86_eip(cpu), eflags);
    } else {
        g_string_append_printf(out, "EIP=%08x EFL=%08" PRIx64 " [", (uint32_t)x86_eip(cpu), eflags);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(letters); i++) {
        g_string_append_c(out, eflags & letters[i].flag ? letters[i].letter : '-');
    }
    g_string_append_printf(out, "] CPL=%u II=%d A20=%d SMM=%d HLT=%d\n", cpu->cpl, cpu->shadow != 0,
                           cpu->a20, cpu->smm, atomic_load(&cpu->vcpu.halted));
}

/* " DPL=0 CS64 [-RA]" */
static void describe_rights(const X86Cpu *cpu, uint32_t flags, GString *out)
{
    static const char *const systems[2][16] = {
        { "Reserved", "TSS16-avl", "LDT", "TSS16-busy", "CallGate16", "TaskGate", "IntGate16",
          "TrapGate16", "Reserved", "TSS32-avl", "Reserved", "TSS32-busy", "CallGate32", "Reserved",
          "IntGate32", "TrapGate32" },
        { "<hiword>", "Reserved", "LDT", "Reserved", "Reserved", "Reserved", "Reserved", "Reserved",
          "Reserved", "TSS64-avl", "Reserved", "TSS64-busy", "CallGate64", "Reserved", "IntGate64",
          "TrapGate64" },
    };
    char accessed = flags & X86_SEG_ACCESSED ? 'A' : '-';

    g_string_append_printf(out, " DPL=%u ", (flags & X86_SEG_DPL) >> X86_SEG_DPL_SHIFT);
    if (!(flags & X86_SEG_S)) {
        g_string_append(out, systems[x86_long_mode(cpu)][flags >> X86_SEG_TYPE_SHIFT & 15]);
    } else if (flags & X86_SEG_CODE) {
        g_string_append_printf(out, "%s [%c%c%c]",
                               flags & X86_SEG_B   ? "CS32"
                               : flags & X86_SEG_L ? "CS64"
                                                   : "CS16",
                               flags & X86_SEG_DOWN ? 'C' : '-', flags & X86_SEG_WRITE ? 'R' : '-',
                               accessed);
    } else {
        g_string_append_printf(
            out, "%s [%c%c%c]", (flags & X86_SEG_B) || x86_long_mode(cpu) ? "DS  " : "DS16",
            flags & X86_SEG_DOWN ? 'E' : '-', flags & X86_SEG_WRITE ? 'W' : '-', accessed);
    }
}

static void describe_segment(const X86Cpu *cpu, const char *name, const X86Segment *s, GString *out)
{
    /* The descriptor's second word also has bits 19:16 of the limit. */
    uint32_t limit = s->flags & X86_SEG_G ? s->limit >> 12 : s->limit;
    uint32_t word = s->flags | (limit & 0xf0000);

    if (x86_long_mode(cpu)) {
        g_string_append_printf(out, "%-3s=%04x %016" PRIx64 " %08x %08x", name, s->selector,
                               s->base, s->limit, word);
    } else {
        g_string_append_printf(out, "%-3s=%04x %08x %08x %08x", name, s->selector,
                               (uint32_t)s->base, s->limit, word);
    }
    if ((cpu->cr0 & CR0_PE) && (s->flags & X86_SEG_P)) {
        describe_rights(cpu, s->flags, out);
    }
    g_string_append_c(out, '\n');
}

static void describe_system(const X86Cpu *cpu, GString *out)
{
    bool wide = x86_long_mode(cpu);
    int digits = wide ? 16 : 8;

    g_string_append_printf(out, "GDT=     %0*" PRIx64 " %08x\n", digits, cpu->gdtr.base,
                           cpu->gdtr.limit);
    g_string_append_printf(out, "IDT=     %0*" PRIx64 " %08x\n", digits, cpu->idtr.base,
                           cpu->idtr.limit);
    g_string_append_printf(
        out, "CR0=%08" PRIx64 " CR2=%0*" PRIx64 " CR3=%0*" PRIx64 " CR4=%08" PRIx64 "\n", cpu->cr0,
        digits, cpu->cr2, digits, cpu->cr3, cpu->cr4);
    for (unsigned i = 0; i < 4; i++) {
        g_string_append_printf(out, "DR%u=%0*" PRIx64 " ", i, digits, cpu->dr[i]);
    }
    g_string_append_printf(out, "\nDR6=%0*" PRIx64 " DR7=%0*" PRIx64 "\n", digits, cpu->dr[6],
                           digits, cpu->dr[7]);
    g_string_append_printf(out, "EFER=%016" PRIx64 "\n", cpu->efer);
}

static void describe_fpu(X86Cpu *cpu, GString *out)
{
    const X87State *x87 = &cpu->x87;

    g_string_append_printf(out, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n", x87->control,
                           x87_status_word(cpu), x87->top, x87->valid, x86_get_mxcsr(cpu));
    for (unsigned i = 0; i < 8; i++) {
        g_string_append_printf(out, "FPR%u=%016" PRIx64 " %04x%c", i, x87->st[i].significand,
                               x87->st[i].sign_exponent, i & 1 ? '\n' : ' ');
    }
    for (unsigned i = 0; i < (x86_code64(cpu) ? 16u : 8u); i++) {
        const V128 *v = cpu->xmm[i];

        if (cpu->xcr0 & XCR0_AVX) {
            g_string_append_printf(
                out, "YMM%02u=%016" PRIx64 " %016" PRIx64 " %016" PRIx64 " %016" PRIx64 "\n", i,
                v[1][1], v[1][0], v[0][1], v[0][0]);
        } else {
            g_string_append_printf(out, "XMM%02u=%016" PRIx64 " %016" PRIx64 "%c", i, v[0][1],
                                   v[0][0], i & 1 ? '\n' : ' ');
        }
    }
}

void x86_describe(Vcpu *vcpu, bool all, GString *out)
{
    static const char *const names[] = { "ES", "CS", "SS", "DS", "FS", "GS" };
    X86Cpu *cpu = x86_cpu(vcpu);

    describe_general(cpu, out);
    describe_pc(cpu, out);
    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        describe_segment(cpu, names[i], &cpu->seg[i], out);
    }
    describe_segment(cpu, "LDT", &cpu->ldtr, out);
    describe_segment(cpu, "TR", &cpu->tr, out);
    describe_system(cpu, out);
    describe_fpu(cpu, out);
}

/* Page tables. */

enum {
    PTE_P = 1 << 0,
    PTE_W = 1 << 1,
    PTE_U = 1 << 2,
    PTE_PWT = 1 << 3,
    PTE_PCD = 1 << 4,
    PTE_A = 1 << 5,
    PTE_D = 1 << 6,
    PTE_PS = 1 << 7,
    PTE_G = 1 << 8,
    /* Tables that refer to each other in circles have no end: so many are shown. */
    TABLES_MOST = 1 << 14,
};
#define PTE_NX      (UINT64_C(1) << 63)
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)

typedef struct {
    X86Cpu *cpu;
    GString *out;
    bool ranges; /* info mem: equal rights together */
    unsigned entry_bytes, tables;
    /* The range that grows. */
    uint64_t start, end;
    uint64_t rights; /* PTE_P, PTE_W, PTE_U; 0: no range */
} Lister;

static uint64_t canonical(const Lister *l, uint64_t address)
{
    if (!x86_long_mode(l->cpu)) {
        return address;
    }
    return (uint64_t)bits_sign_extend(address, l->cpu->cr4 & CR4_LA57 ? 57 : 48);
}

static void end_range(Lister *l)
{
    if (l->rights) {
        g_string_append_printf(l->out, "%016" PRIx64 "-%016" PRIx64 " %016" PRIx64 " %c%c%c\n",
                               l->start, l->end, l->end - l->start, l->rights & PTE_U ? 'u' : '-',
                               'r', l->rights & PTE_W ? 'w' : '-');
    }
    l->rights = 0;
}

static void show_leaf(Lister *l, uint64_t virt, uint64_t entry, uint64_t rights, unsigned shift)
{
    static const struct {
        uint64_t bit;
        char letter;
    } letters[] = { { PTE_NX, 'X' },  { PTE_G, 'G' }, { PTE_PS, 'P' },
                    { PTE_D, 'D' },   { PTE_A, 'A' }, { PTE_PCD, 'C' },
                    { PTE_PWT, 'T' }, { PTE_U, 'U' }, { PTE_W, 'W' } };
    uint64_t size = UINT64_C(1) << shift;

    virt = canonical(l, virt);
    if (l->ranges) {
        if (l->rights != rights || l->end != virt) {
            end_range(l);
            l->start = virt;
            l->rights = rights;
        }
        l->end = virt + size;
        return;
    }
    /* In a page's entry, bit 7 is the PAT's. */
    entry &= shift == 12 ? ~(uint64_t)PTE_PS : UINT64_MAX;
    g_string_append_printf(l->out, "%016" PRIx64 ": %016" PRIx64 " ", virt,
                           entry & PTE_ADDRESS & ~(size - 1));
    for (size_t i = 0; i < G_N_ELEMENTS(letters); i++) {
        g_string_append_c(l->out, entry & letters[i].bit ? letters[i].letter : '-');
    }
    g_string_append_c(l->out, '\n');
}

static bool may_be_leaf(const Lister *l, unsigned shift)
{
    if (l->entry_bytes == 4) {
        return shift == 22 && (l->cpu->cr4 & CR4_PSE);
    }
    return shift == 21 || (shift == 30 && x86_long_mode(l->cpu));
}

/* shift: log2 of what an entry maps. rights: what the levels above allow. */
static void list_table(Lister *l, uint64_t table, uint64_t virt, unsigned shift, unsigned entries,
                       uint64_t rights)
{
    uint8_t bytes[4096] = { 0 };
    unsigned step = l->entry_bytes == 4 ? 10 : 9;

    if (l->tables++ >= TABLES_MOST) {
        return;
    }
    address_space_read_bytes(
        l->cpu->vcpu.memory, table, bytes, entries * l->entry_bytes,
        (MemoryAttributes){ .vcpu = (int16_t)l->cpu->vcpu.index, .secure = l->cpu->smm });
    for (unsigned i = 0; i < entries; i++) {
        uint64_t entry = l->entry_bytes == 4 ? load_le32(bytes + 4 * (size_t)i)
                                             : load_le64(bytes + 8 * (size_t)i);
        uint64_t here = virt + ((uint64_t)i << shift), allowed = rights & entry;

        /* The directory pointers of PAE have no rights. */
        if (shift == 30 && !x86_long_mode(l->cpu)) {
            allowed = rights;
        }
        if (!(entry & PTE_P)) {
            continue;
        }
        if (shift == 12 || ((entry & PTE_PS) && may_be_leaf(l, shift))) {
            show_leaf(l, here, entry, allowed | PTE_P, shift);
        } else {
            list_table(l, entry & PTE_ADDRESS, here, shift - step, 1u << step, allowed);
        }
    }
}

void x86_describe_mappings(Vcpu *vcpu, bool ranges, GString *out)
{
    X86Cpu *cpu = x86_cpu(vcpu);
    Lister l = { .cpu = cpu, .out = out, .ranges = ranges, .entry_bytes = 8 };
    const uint64_t all = PTE_P | PTE_W | PTE_U;

    if (!(cpu->cr0 & CR0_PG)) {
        g_string_append(out, "PG disabled\n");
        return;
    }
    if (x86_long_mode(cpu)) {
        list_table(&l, cpu->cr3 & PTE_ADDRESS, 0, cpu->cr4 & CR4_LA57 ? 48 : 39, 512, all);
    } else if (cpu->cr4 & CR4_PAE) {
        list_table(&l, cpu->cr3 & 0xffffffe0, 0, 30, 4, all);
    } else {
        l.entry_bytes = 4;
        list_table(&l, cpu->cr3 & 0xfffff000, 0, 22, 1024, all);
    }
    end_range(&l);
    if (l.tables > TABLES_MOST) {
        g_string_append_printf(out, "(the first %u tables)\n", (unsigned)TABLES_MOST);
    }
}
