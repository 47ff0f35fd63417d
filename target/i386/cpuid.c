/* SPDX-License-Identifier: MIT */
/* CPUID. */
#include "target/i386/control.h"
#include "target/i386/models.h"

static uint32_t family_word(const X86Cpu *cpu)
{
    const X86Model *m = cpu->x86_model;
    uint32_t family = m->family, model = m->model;
    uint32_t word = m->stepping | (model & 15) << 4 | (model >> 4) << 16;

    return word | (family > 15 ? 0xf00 | (family - 15) << 20 : family << 8);
}

static void brand_string(const X86Cpu *cpu, uint32_t leaf, uint32_t out[4])
{
    char text[48] = { 0 };

    g_strlcpy(text, cpu->x86_model->model_id, sizeof text);
    memcpy(out, text + 16 * (leaf - 0x80000002), 16);
}

static void vendor(const X86Cpu *cpu, uint32_t out[4])
{
    memcpy(&out[1], cpu->x86_model->vendor, 4);
    memcpy(&out[3], cpu->x86_model->vendor + 4, 4);
    memcpy(&out[2], cpu->x86_model->vendor + 8, 4);
}

void x86_cpuid(X86Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const X86Model *m = cpu->x86_model;

    memset(out, 0, 16);
    switch (leaf) {
    case 0:
        out[0] = m->level;
        vendor(cpu, out);
        break;
    case 1:
        out[0] = family_word(cpu);
        out[1] = cpu->vcpu.index << 24 | 8 << 8 | 1 << 16;
        out[2] = cpu->features[X86_WORD_1_ECX] | (cpu->cr4 & CR4_OSXSAVE ? 1u << 27 : 0);
        out[3] = cpu->features[X86_WORD_1_EDX];
        break;
    case 6:
        out[0] = cpu->features[X86_WORD_6_EAX];
        break;
    case 7:
        if (subleaf == 0) {
            out[1] = cpu->features[X86_WORD_7_0_EBX];
            out[2] = cpu->features[X86_WORD_7_0_ECX];
            out[3] = cpu->features[X86_WORD_7_0_EDX];
        }
        break;
    case 0x80000000:
        out[0] = m->xlevel;
        vendor(cpu, out);
        break;
    case 0x80000001:
        out[0] = family_word(cpu);
        out[2] = cpu->features[X86_WORD_8000_0001_ECX];
        out[3] =
            cpu->features[X86_WORD_8000_0001_EDX] | (cpu->features[X86_WORD_1_EDX] & 0x0183f3ff);
        break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
        brand_string(cpu, leaf, out);
        break;
    case 0x80000008:
        out[0] = cpu->phys_bits | (uint32_t)cpu->virt_bits << 8;
        out[1] = cpu->features[X86_WORD_8000_0008_EBX];
        break;
    }
}
