/* SPDX-License-Identifier: MIT */
/* What the processor's tables map: info mem and info tlb. */
#include <glib.h>
#include <inttypes.h>

#include "base/bits.h"
#include "target/arm/mmu.h"
#include "target/arm/sysregs.h"

/* Tables that refer to each other in circles have no end: so many entries are looked at. */
enum { PROBES_MOST = 1 << 22 };

/* Pages in a row of equal rights. */
typedef struct {
    uint64_t start, end;
    uint8_t rights,
        attributes; /* rights: EL1 read, write, execute in bits 2:0, EL0 in bits 5:3; 0: none */
} Run;

typedef struct {
    ArmCpu *cpu;
    GString *out;
    bool ranges;
    Run run;
    unsigned probes;
} Lister;

static unsigned rights_of(const TcgMapping *m)
{
    return m->read << 2 | m->write << 1 | m->execute;
}

static void append_rights(GString *out, unsigned rights)
{
    g_string_append_printf(out, "%c%c%c", rights & 4 ? 'r' : '-', rights & 2 ? 'w' : '-',
                           rights & 1 ? 'x' : '-');
}

static void append_page(GString *out, const Run *run)
{
    g_string_append(out, " el1 ");
    append_rights(out, run->rights & 7);
    g_string_append(out, " el0 ");
    append_rights(out, run->rights >> 3);
    g_string_append_printf(out, " %s\n", arm_memory_type(run->attributes));
}

static void end_run(Lister *l)
{
    if (l->run.end != l->run.start) {
        g_string_append_printf(l->out, "%016" PRIx64 "-%016" PRIx64 " %016" PRIx64, l->run.start,
                               l->run.end, l->run.end - l->run.start);
        append_page(l->out, &l->run);
    }
    l->run = (Run){ 0 };
}

static void show_page(Lister *l, uint64_t guest_virt, uint64_t size, const ArmWalkResult *of_el1,
                      const ArmWalkResult *of_el0)
{
    Run page = { .start = guest_virt,
                 .end = guest_virt + size,
                 .rights =
                     (uint8_t)(rights_of(&of_el1->mapping) | rights_of(&of_el0->mapping) << 3),
                 .attributes = of_el1->attributes };

    if (!l->ranges) {
        g_string_append_printf(l->out, "%016" PRIx64 ": %016" PRIx64 " %8" PRIu64 "K", guest_virt,
                               of_el1->mapping.guest_phys & ~(size - 1), size >> 10);
        append_page(l->out, &page);
        return;
    }
    if (l->run.end != page.start || l->run.rights != page.rights ||
        l->run.attributes != page.attributes) {
        end_run(l);
        l->run = page;
    }
    l->run.end = page.end;
}

/* One probe; returns how far the next is, 0: there is nothing in this half. */
static uint64_t probe(Lister *l, uint64_t guest_virt)
{
    ArmWalkRequest request = { .access = TCG_READ, .probe = true };
    ArmWalkResult of_el1, of_el0;
    ArmTrail trail = { 0 };
    uint32_t status = arm_translate_trailed(l->cpu, guest_virt, request, &of_el1, &trail);
    uint64_t size;

    if (!trail.count) {
        return 0;
    }
    size = UINT64_C(1) << trail.entry[trail.count - 1].size_bits;
    if (!status || (status & 0x3c) == ARM_FSC_PERMISSION) {
        request.el0 = true;
        arm_translate(l->cpu, guest_virt, request, &of_el0);
        show_page(l, guest_virt, size, &of_el1, &of_el0);
    }
    return size;
}

static void list_half(Lister *l, uint64_t start, uint64_t last)
{
    uint64_t at = start, step = 1;

    while (step && l->probes < PROBES_MOST) {
        l->probes++;
        step = probe(l, at);
        if (step > last - at) {
            break;
        }
        at += step;
    }
}

void arm_describe_mappings(Vcpu *vcpu, bool ranges, GString *out)
{
    ArmCpu *cpu = arm_cpu(vcpu);
    Lister l = { .cpu = cpu, .out = out, .ranges = ranges };
    unsigned low = 64 - bits_extract(cpu->tcr_el1, 0, 6),
             high = 64 - bits_extract(cpu->tcr_el1, 16, 6);

    if (!(cpu->sctlr_el1 & SCTLR_M)) {
        g_string_append(out, "Translation is off (SCTLR_EL1.M is 0)\n");
        return;
    }
    list_half(&l, 0, bits_mask(CLAMP(low, 16u, 48u)));
    end_run(&l);
    list_half(&l, ~bits_mask(CLAMP(high, 16u, 48u)), UINT64_MAX);
    end_run(&l);
    if (l.probes >= PROBES_MOST) {
        g_string_append_printf(out, "(the first %u entries)\n", (unsigned)PROBES_MOST);
    }
}
