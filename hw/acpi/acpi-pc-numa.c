/* SPDX-License-Identifier: MIT */
/* Which CPUs and which memory of a PC belong together, and how far apart they are (ACPI 6.5, 5.2.16 SRAT and 5.2.17 SLIT). */
#include "base/bits.h"
#include "hw/acpi/acpi.h"
#include "machine/arch/x86.h"
#include "machine/numa.h"

enum {
    SRAT_LAPIC = 0,
    SRAT_MEMORY = 1,
    SRAT_X2APIC = 2,
    SRAT_ENABLED = 1,
    XAPIC_ID_MOST = 254,
    NO_HOLES = 3,
};

static void put_cpu(AcpiFiles *files, uint32_t apic_id, unsigned node)
{
    if (apic_id <= XAPIC_ID_MOST) {
        acpi_put(files, SRAT_LAPIC, 1);
        acpi_put(files, 16, 1);
        acpi_put(files, node & 0xff, 1);
        acpi_put(files, apic_id, 1);
        acpi_put(files, SRAT_ENABLED, 4);
        acpi_put(files, 0, 1); /* SAPIC's EID */
        acpi_put(files, node >> 8, 3);
        acpi_put(files, 0, 4); /* clock domain */
    } else {
        acpi_put(files, SRAT_X2APIC, 1);
        acpi_put(files, 24, 1);
        acpi_put(files, 0, 2);
        acpi_put(files, node, 4);
        acpi_put(files, apic_id, 4);
        acpi_put(files, SRAT_ENABLED, 4);
        acpi_put(files, 0, 8); /* clock domain */
    }
}

static void put_memory(AcpiFiles *files, uint64_t start, uint64_t size, unsigned node)
{
    acpi_put(files, SRAT_MEMORY, 1);
    acpi_put(files, 40, 1);
    acpi_put(files, node, 4);
    acpi_put(files, 0, 2);
    acpi_put(files, start, 8);
    acpi_put(files, size, 8);
    acpi_put(files, 0, 4);
    acpi_put(files, SRAT_ENABLED, 4);
    acpi_put(files, 0, 8);
}

/* [from, to) of main RAM lies in up to three runs of addresses: below and above the video memory's, and from 4 GiB. */
static void put_node_memory(AcpiFiles *files, const AcpiPc *pc, unsigned node)
{
    uint64_t from = numa_node_start(pc->numa, node), to = from + pc->numa->nodes[node].bytes;
    const struct {
        uint64_t first, end, address; /* of main RAM, and where it is */
    } runs[NO_HOLES] = {
        { 0, MIN(pc->ram_low, KIB(640)), 0 },
        { MIB(1), pc->ram_low, MIB(1) },
        { pc->ram_low, pc->ram_low + pc->ram_high, GIB(4) },
    };

    for (unsigned i = 0; i < NO_HOLES; i++) {
        uint64_t first = MAX(from, runs[i].first), end = MIN(to, runs[i].end);

        if (first < end) {
            put_memory(files, runs[i].address + first - runs[i].first, end - first, node);
        }
    }
}

static void build_srat(AcpiFiles *files, const AcpiPc *pc)
{
    uint32_t srat = acpi_begin_table(files, "SRAT", 1, true);

    acpi_put(files, 1, 4);
    acpi_put(files, 0, 8);
    for (unsigned i = 0; i < pc->cpus; i++) {
        put_cpu(files, x86_topology(i, pc->layout).apic_id, (unsigned)pc->numa->cpu_nodes[i]);
    }
    for (unsigned node = 0; node < pc->numa->count; node++) {
        put_node_memory(files, pc, node);
    }
    acpi_end_table(files, srat);
}

static void build_slit(AcpiFiles *files, const AcpiPc *pc)
{
    uint32_t slit = acpi_begin_table(files, "SLIT", 1, true);

    acpi_put(files, pc->numa->count, 8);
    for (unsigned from = 0; from < pc->numa->count; from++) {
        for (unsigned to = 0; to < pc->numa->count; to++) {
            acpi_put(files, pc->numa->distance[from][to], 1);
        }
    }
    acpi_end_table(files, slit);
}

void acpi_pc_add_numa(AcpiFiles *files, const AcpiPc *pc)
{
    build_srat(files, pc);
    if (pc->numa->distances) {
        build_slit(files, pc);
    }
}
