/* SPDX-License-Identifier: MIT */
/*
 * The descriptor tables for people (SDM 3, 3.4.5, 3.5, 6.11 and 6.14.1; of real mode 20.1.4), and what the processor does with an interrupt
 * now. All is read without side effects, through the tables of pages as a debugger does.
 */
#include <glib.h>
#include <inttypes.h>
#include <string.h>

#include "target/i386/describe.h"
#include "target/i386/mmu.h"
#include "target/i386/svm.h"

const char *const x86_system_tables[] = { "gdt", "ldt", "idt", NULL };

static bool read_bytes(X86Cpu *cpu, uint64_t address, void *buffer, size_t size)
{
    uint8_t *to = buffer;

    while (size) {
        size_t n = MIN(size, 4096 - (address & 4095));
        uint64_t guest_phys;

        if (!x86_translate_debug(&cpu->vcpu, address, &guest_phys) ||
            address_space_read_bytes(cpu->vcpu.memory, guest_phys, to, n,
                                     (MemoryAttributes){ .vcpu = (int16_t)cpu->vcpu.index,
                                                         .secure = cpu->smm }) != MEMORY_OK) {
            return false;
        }
        to += n;
        address += n;
        size -= n;
    }
    return true;
}

static const char *system_type(const X86Cpu *cpu, unsigned type)
{
    static const char *const names[16] = { "reserved",
                                           "TSS, 16 bit",
                                           "LDT",
                                           "TSS, 16 bit, busy",
                                           "call gate, 16 bit",
                                           "task gate",
                                           "interrupt gate, 16 bit",
                                           "trap gate, 16 bit",
                                           "reserved",
                                           "TSS, 32 bit",
                                           "reserved",
                                           "TSS, 32 bit, busy",
                                           "call gate, 32 bit",
                                           "reserved",
                                           "interrupt gate, 32 bit",
                                           "trap gate, 32 bit" };
    static const char *const long_names[16] = {
        "reserved",          "reserved", "LDT",
        "reserved",          "reserved", "reserved",
        "reserved",          "reserved", "reserved",
        "TSS, 64 bit",       "reserved", "TSS, 64 bit, busy",
        "call gate, 64 bit", "reserved", "interrupt gate, 64 bit",
        "trap gate, 64 bit"
    };

    return x86_long_mode(cpu) ? long_names[type & 15] : names[type & 15];
}

/* The row's words are filled in. Returns how many 8-byte entries it takes. */
static unsigned describe_descriptor(const X86Cpu *cpu, SystemTableRow *row)
{
    uint64_t d = row->words[0], base = bits_extract(d, 16, 24) | bits_extract(d, 56, 8) << 24;
    uint32_t flags = (uint32_t)(d >> 32),
             limit = (uint32_t)(bits_extract(d, 0, 16) | bits_extract(d, 48, 4) << 16);
    unsigned type = flags >> X86_SEG_TYPE_SHIFT & 15,
             dpl = (flags & X86_SEG_DPL) >> X86_SEG_DPL_SHIFT;
    bool wide = !(flags & X86_SEG_S) && x86_long_mode(cpu) && type != 0;
    const char *absent = flags & X86_SEG_P ? "" : ", not present";

    if (flags & X86_SEG_G) {
        limit = limit << 12 | 0xfff;
    }
    if (flags & X86_SEG_CODE && flags & X86_SEG_S) {
        g_snprintf(row->text, sizeof row->text,
                   "code, %s bit%s%s%s, DPL %u, base %#" PRIx64 ", limit %#x%s",
                   flags & X86_SEG_L   ? "64"
                   : flags & X86_SEG_B ? "32"
                                       : "16",
                   flags & X86_SEG_WRITE ? ", readable" : "",
                   flags & X86_SEG_DOWN ? ", conforming" : "",
                   flags & X86_SEG_ACCESSED ? ", accessed" : "", dpl, base, limit, absent);
    } else if (flags & X86_SEG_S) {
        g_snprintf(row->text, sizeof row->text,
                   "data, %s bit%s%s%s, DPL %u, base %#" PRIx64 ", limit %#x%s",
                   flags & X86_SEG_B ? "32" : "16", flags & X86_SEG_WRITE ? ", writable" : "",
                   flags & X86_SEG_DOWN ? ", expands down" : "",
                   flags & X86_SEG_ACCESSED ? ", accessed" : "", dpl, base, limit, absent);
    } else if (type == 4 || type == 5 || type == 12) {
        row->leads = type != 5;
        row->target = bits_extract(d, 0, 16) | (type == 4 ? 0 : bits_extract(d, 48, 16) << 16) |
                      (wide ? row->words[1] << 32 : 0);
        g_snprintf(row->text, sizeof row->text, "%s, DPL %u, selector %04x%s",
                   system_type(cpu, type), dpl, (unsigned)bits_extract(d, 16, 16), absent);
    } else {
        base |= wide ? row->words[1] << 32 : 0;
        g_snprintf(row->text, sizeof row->text, "%s, DPL %u, base %#" PRIx64 ", limit %#x%s",
                   system_type(cpu, type), dpl, base, limit, absent);
    }
    return wide ? 2 : 1;
}

static void read_segments(X86Cpu *cpu, SystemTable *table)
{
    uint64_t count = MIN((table->limit + 1) / 8, 8192);

    for (uint64_t i = 0; i < count;) {
        SystemTableRow row = { .number = (unsigned)i * 8, .at = table->base + i * 8 };
        unsigned used = 1;

        if (!read_bytes(cpu, row.at, row.words, 8)) {
            g_snprintf(table->note, sizeof table->note,
                       "from %#" PRIx64 " on, the table is not mapped", row.at);
            return;
        }
        if (i + 1 < count) {
            read_bytes(cpu, row.at + 8, &row.words[1], 8);
        }
        if (row.words[0]) {
            used = describe_descriptor(cpu, &row);
            if (used == 1) {
                row.words[1] = 0;
            }
            table->row(table->opaque, &row);
        }
        i += used;
    }
}

static void describe_gate(const X86Cpu *cpu, SystemTableRow *row)
{
    uint64_t d = row->words[0];
    unsigned type = d >> 40 & 31, ist = x86_long_mode(cpu) ? d >> 32 & 7 : 0;
    char stack[16] = "";

    row->leads = type == 6 || type == 7 || type == 14 || type == 15;
    row->target = bits_extract(d, 0, 16) | (type & 8 ? bits_extract(d, 48, 16) << 16 : 0) |
                  row->words[1] << 32;
    if (ist) {
        g_snprintf(stack, sizeof stack, ", IST %u", ist);
    }
    g_snprintf(row->text, sizeof row->text, "%s, DPL %u, selector %04x%s%s",
               type & 16 ? "no gate" : system_type(cpu, type), (unsigned)(d >> 45 & 3),
               (unsigned)(d >> 16 & 0xffff), stack, d >> 47 & 1 ? "" : ", not present");
}

static void read_vectors(X86Cpu *cpu, SystemTable *table)
{
    bool real = !x86_protected(cpu);
    unsigned size = real ? 4 : x86_long_mode(cpu) ? 16 : 8;

    for (unsigned vector = 0; vector < 256 && (vector + 1) * size - 1 <= table->limit; vector++) {
        SystemTableRow row = { .number = vector, .at = table->base + (uint64_t)vector * size };

        if (!read_bytes(cpu, row.at, row.words, size)) {
            g_snprintf(table->note, sizeof table->note,
                       "from vector %u on, the table is not mapped", vector);
            return;
        }
        if (real) {
            uint32_t far_pointer = (uint32_t)row.words[0];

            row.leads = true;
            row.target = (far_pointer >> 16) * 16 + (far_pointer & 0xffff);
            g_snprintf(row.text, sizeof row.text, "%04x:%04x", far_pointer >> 16,
                       far_pointer & 0xffff);
        } else if (row.words[0]) {
            row.words[1] &= size == 16 ? UINT64_MAX : 0;
            describe_gate(cpu, &row);
        }
        if (row.words[0]) {
            table->row(table->opaque, &row);
        }
    }
}

void x86_read_table(Vcpu *vcpu, const char *name, SystemTable *table)
{
    X86Cpu *cpu = x86_cpu(vcpu);

    if (!strcmp(name, "idt")) {
        table->base = cpu->idtr.base;
        table->limit = cpu->idtr.limit;
        read_vectors(cpu, table);
    } else if (!strcmp(name, "gdt")) {
        table->base = cpu->gdtr.base;
        table->limit = cpu->gdtr.limit;
        read_segments(cpu, table);
    } else if (cpu->ldtr.flags & X86_SEG_P) {
        table->base = cpu->ldtr.base;
        table->limit = cpu->ldtr.limit;
        read_segments(cpu, table);
    } else {
        g_strlcpy(table->note, "LDTR is unusable: there is none", sizeof table->note);
    }
}

void x86_explain_interrupt(Vcpu *vcpu, IrqChain *chain)
{
    const X86Cpu *cpu = x86_cpu(vcpu);
    bool line = atomic_load(&vcpu->interrupts) >> X86_LINE_INTR & 1;
    g_autofree char *name = g_strdup_printf("cpu%u", vcpu->index);

    if (cpu->wait_for_sipi) {
        irq_chain_add(chain, name, true, "it waits for a start-up message: nothing has started it");
    } else if (cpu->shut_down) {
        irq_chain_add(chain, name, true, "it is shut down after a triple fault");
    } else if (!(cpu->eflags & EFLAGS_IF)) {
        irq_chain_add(chain, name, true, "EFLAGS.IF is 0: the program has interrupts switched off");
    } else if (cpu->svm.guest || !cpu->svm.gif) {
        irq_chain_add(chain, name, !cpu->svm.gif,
                      cpu->svm.gif
                          ? "it runs a virtual machine: what its hypervisor intercepts leaves that"
                          : "the global interrupt flag is 0 (CLGI)");
    } else if (cpu->shadow) {
        irq_chain_add(chain, name, false,
                      "interrupts are held back for one instruction (STI, MOV SS)");
    } else {
        irq_chain_add(chain, name, false, "EFLAGS.IF is 1; INTR is %s",
                      line                          ? "asserted: it is about to be taken"
                      : vcpu->machine->kernel_chips ? "the host kernel's APIC's"
                                                    : "not asserted");
    }
}
