/* SPDX-License-Identifier: MIT */
/* Target.x86: the parts of the state that registers of the table do not show. */
#include "target/i386/processor.h"

#include <string.h>

#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/xsave.h"

G_STATIC_ASSERT(X86_HIDDEN_SEGMENTS == X86_TR + 1);

static X86Segment *segment(X86Cpu *cpu, unsigned n)
{
    return n < X86_SEGMENTS ? &cpu->seg[n] : n == X86_LDTR ? &cpu->ldtr : &cpu->tr;
}

static void get_table(const X86TableRegister *from, X86HiddenTable *to)
{
    to->base = from->base;
    to->limit = from->limit;
}

static void get_hidden(Vcpu *vcpu, X86Hidden *hidden)
{
    X86Cpu *cpu = x86_cpu(vcpu);

    memset(hidden, 0, sizeof *hidden);
    for (unsigned i = 0; i < X86_HIDDEN_SEGMENTS; i++) {
        const X86Segment *from = segment(cpu, i);
        X86HiddenSegment *to = &hidden->segment[i];

        to->base = from->base;
        to->limit = from->limit;
        to->flags = from->flags;
        to->selector = from->selector;
    }
    get_table(&cpu->gdtr, &hidden->gdtr);
    get_table(&cpu->idtr, &hidden->idtr);
    hidden->smbase = cpu->smbase;
    hidden->pkru = cpu->pkru;
    hidden->smm = cpu->smm;
    hidden->nmi_blocked = cpu->nmi_blocked;
    hidden->interrupt_shadow = cpu->shadow != 0;
    hidden->wait_for_sipi = cpu->wait_for_sipi;
    hidden->shut_down = cpu->shut_down;
}

static void set_hidden(Vcpu *vcpu, const X86Hidden *hidden)
{
    X86Cpu *cpu = x86_cpu(vcpu);

    for (unsigned i = 0; i < X86_HIDDEN_SEGMENTS; i++) {
        const X86HiddenSegment *from = &hidden->segment[i];
        X86Segment *to = segment(cpu, i);

        *to = (X86Segment){ .selector = from->selector,
                            .limit = from->limit,
                            .flags = from->flags,
                            .base = from->base };
    }
    cpu->gdtr = (X86TableRegister){ hidden->gdtr.base, hidden->gdtr.limit };
    cpu->idtr = (X86TableRegister){ hidden->idtr.base, hidden->idtr.limit };
    cpu->smbase = hidden->smbase;
    cpu->pkru = hidden->pkru;
    cpu->smm = hidden->smm;
    cpu->nmi_blocked = hidden->nmi_blocked;
    cpu->shadow = hidden->interrupt_shadow;
    cpu->wait_for_sipi = hidden->wait_for_sipi;
    cpu->shut_down = hidden->shut_down;
    cpu->cpl = hidden->segment[X86_SS].flags >> X86_SEG_DPL_SHIFT & 3;
}

/* Components of AVX-512, and where they are in the structure. */
static const struct {
    uint32_t component;
    size_t offset, bytes;
} avx512_parts[] = {
    { 5, offsetof(X86Avx512, mask), sizeof((X86Avx512 *)NULL)->mask },
    { 6, offsetof(X86Avx512, high), sizeof((X86Avx512 *)NULL)->high },
    { 7, offsetof(X86Avx512, more), sizeof((X86Avx512 *)NULL)->more },
};

/* Where in an area a part is; 0: the processor has no such, or the area ends before. */
static size_t avx512_place(X86Cpu *cpu, unsigned part, size_t bytes)
{
    uint32_t out[4];

    x86_cpuid(cpu, 0xd, avx512_parts[part].component, out);
    return out[0] == avx512_parts[part].bytes && out[1] >= X86_XSAVE_BYTES &&
                   (size_t)out[1] + out[0] <= bytes
               ? out[1]
               : 0;
}

static void get_xsave(Vcpu *vcpu, uint8_t *area, size_t bytes)
{
    X86Cpu *cpu = x86_cpu(vcpu);

    x86_get_xsave(cpu, area, X86_XSAVE_BYTES);
    for (unsigned i = 0; i < ARRAY_SIZE(avx512_parts); i++) {
        size_t at = avx512_place(cpu, i, bytes);

        if (at) {
            memcpy(area + at, (char *)&cpu->avx512 + avx512_parts[i].offset, avx512_parts[i].bytes);
        }
    }
}

static void set_xsave(Vcpu *vcpu, const uint8_t *area, size_t bytes)
{
    X86Cpu *cpu = x86_cpu(vcpu);

    x86_set_xsave(cpu, area, X86_XSAVE_BYTES);
    for (unsigned i = 0; i < ARRAY_SIZE(avx512_parts); i++) {
        size_t at = avx512_place(cpu, i, bytes);

        if (at) {
            memcpy((char *)&cpu->avx512 + avx512_parts[i].offset, area + at, avx512_parts[i].bytes);
        }
    }
}

static void cpuid(Vcpu *vcpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    x86_cpuid(x86_cpu(vcpu), leaf, subleaf, out);
}

static void take_event(Vcpu *vcpu, const VcpuEvent *event)
{
    if (event->kind == X86_EVENT_INIT) {
        x86_take_init(x86_cpu(vcpu));
    } else if (event->kind == X86_EVENT_SIPI) {
        x86_start_up(x86_cpu(vcpu), event->data);
    }
}

static uint64_t wanted_tsc_hz(const Vcpu *vcpu)
{
    GHashTable *options = vcpu->machine->config.cpu_options;

    return options && g_hash_table_contains(options, "tsc-frequency")
               ? container_of(vcpu, X86Cpu, vcpu)->tsc_hz
               : 0;
}

static void set_tsc_hz(Vcpu *vcpu, uint64_t hz)
{
    x86_cpu(vcpu)->tsc_hz = hz;
}

const X86Processor x86_processor = {
    .get_hidden = get_hidden,
    .set_hidden = set_hidden,
    .get_xsave = get_xsave,
    .set_xsave = set_xsave,
    .cpuid = cpuid,
    .take_event = take_event,
    .wanted_tsc_hz = wanted_tsc_hz,
    .set_tsc_hz = set_tsc_hz,
};
