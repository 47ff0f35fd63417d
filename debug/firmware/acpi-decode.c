/* SPDX-License-Identifier: MIT */
/* What is in the ACPI tables that matter for a boot (ACPI 6.5, 5.2.9, 5.2.12; PCI Firmware 3.3, 4.1.2; SPCR, GTDT, HPET). */
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "debug/firmware/acpi-private.h"

enum { LINES_MAX = 1024 };

typedef struct {
    const uint8_t *bytes; /* whole table */
    uint32_t length;
    GPtrArray *lines;
} Decoder;

static void add(Decoder *d, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void add(Decoder *d, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (d->lines->len < LINES_MAX) {
        g_ptr_array_add(d->lines, g_strdup_vprintf(format, arguments));
    }
    va_end(arguments);
}

/* Fields beyond the table's end are 0. */
static uint64_t field(const Decoder *d, uint32_t at, unsigned bytes)
{
    uint8_t value[8] = { 0 };

    if (at < d->length && d->length - at >= bytes) {
        memcpy(value, d->bytes + at, bytes);
    }
    return load_le64(value);
}

/* A generic address structure. */
static void add_address(Decoder *d, const char *name, uint32_t at)
{
    static const char *const spaces[] = { "memory", "I/O", "PCI configuration" };
    unsigned space = (unsigned)field(d, at, 1);
    uint64_t address = field(d, at + 4, 8);

    if (address) {
        add(d, "%s: %s %#" PRIx64, name,
            space < G_N_ELEMENTS(spaces) ? spaces[space] : "other space", address);
    }
}

uint64_t acpi_fadt_dsdt(const uint8_t *table, uint32_t length)
{
    const Decoder d = { table, length, NULL };

    return field(&d, 140, 8) ? field(&d, 140, 8) : field(&d, 40, 4);
}

static void decode_fadt(Decoder *d)
{
    static const char *const profiles[] = { "unspecified",
                                            "desktop",
                                            "mobile",
                                            "workstation",
                                            "enterprise server",
                                            "SOHO server",
                                            "appliance PC",
                                            "performance server",
                                            "tablet" };
    static const struct {
        uint8_t bit;
        const char *name;
    } flags[] = { { 0, "WBINVD" },       { 4, "no power button" }, { 5, "no sleep button" },
                  { 8, "32-bit timer" }, { 10, "reset register" }, { 20, "hardware-reduced" } };
    uint32_t bits = (uint32_t)field(d, 112, 4);
    unsigned profile = (unsigned)field(d, 45, 1), arm = (unsigned)field(d, 129, 2);
    GString *text = g_string_new("flags:");

    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        g_string_append(text, bits >> flags[i].bit & 1 ? " " : "");
        g_string_append(text, bits >> flags[i].bit & 1 ? flags[i].name : "");
    }
    add(d, "DSDT at %#" PRIx64 ", FACS at %#" PRIx64 ", profile: %s",
        acpi_fadt_dsdt(d->bytes, d->length), field(d, 132, 8) ? field(d, 132, 8) : field(d, 36, 4),
        profile < G_N_ELEMENTS(profiles) ? profiles[profile] : "?");
    add(d, "%s", text->str);
    g_string_free(text, TRUE);
    if (!(bits >> 20 & 1)) {
        add(d, "SCI: interrupt %u; SMI command port %#x: %#x enables ACPI, %#x disables it",
            (unsigned)field(d, 46, 2), (unsigned)field(d, 48, 4), (unsigned)field(d, 52, 1),
            (unsigned)field(d, 53, 1));
        add(d, "PM1a events at port %#x, control at %#x, timer at %#x, GPE0 at %#x (%u bytes)",
            (unsigned)field(d, 56, 4), (unsigned)field(d, 64, 4), (unsigned)field(d, 76, 4),
            (unsigned)field(d, 80, 4), (unsigned)field(d, 92, 1));
    }
    if (bits >> 10 & 1) {
        add_address(d, "reset register", 116);
    }
    if (arm) {
        add(d, "Arm: %s%s", arm & 1 ? "PSCI" : "", arm & 2 ? " by HVC" : "");
    }
}

static void decode_madt_entry(Decoder *d, uint32_t at)
{
    uint64_t flags;

    switch (d->bytes[at]) {
    case 0:
        flags = field(d, at + 4, 4);
        add(d, "local APIC %u of processor %u%s", (unsigned)field(d, at + 3, 1),
            (unsigned)field(d, at + 2, 1),
            flags & 1   ? ""
            : flags & 2 ? ", may be added"
                        : ", disabled");
        break;
    case 1:
        add(d, "I/O APIC %u at %#" PRIx64 ", interrupts from %" PRIu64,
            (unsigned)field(d, at + 2, 1), field(d, at + 4, 4), field(d, at + 8, 4));
        break;
    case 2:
        flags = field(d, at + 8, 2);
        add(d, "ISA interrupt %u is interrupt %" PRIu64 ", %s, %s", (unsigned)field(d, at + 3, 1),
            field(d, at + 4, 4), (flags & 3) == 3 ? "active low" : "active high",
            (flags >> 2 & 3) == 3 ? "level" : "edge");
        break;
    case 4:
        add(d, "NMI at LINT%u of %s", (unsigned)field(d, at + 5, 1),
            field(d, at + 2, 1) == 255 ? "all" : "one processor");
        break;
    case 9:
        add(d, "x2APIC %" PRIu64 " of processor %" PRIu64 "%s", field(d, at + 4, 4),
            field(d, at + 12, 4), field(d, at + 8, 4) & 1 ? "" : ", disabled");
        break;
    case 11:
        add(d, "GIC interface of processor %" PRIu64 ", MPIDR %#" PRIx64 "%s", field(d, at + 8, 4),
            field(d, at + 68, 8), field(d, at + 12, 4) & 1 ? "" : ", disabled");
        break;
    case 12:
        add(d, "GIC distributor at %#" PRIx64 ", version %u", field(d, at + 8, 8),
            (unsigned)field(d, at + 20, 1));
        break;
    case 13:
        add(d, "GICv2m frame at %#" PRIx64, field(d, at + 8, 8));
        break;
    case 14:
        add(d, "GIC redistributors at %#" PRIx64 ", %#" PRIx64 " bytes", field(d, at + 4, 8),
            field(d, at + 12, 4));
        break;
    case 15:
        add(d, "GIC ITS at %#" PRIx64, field(d, at + 8, 8));
        break;
    default:
        add(d, "entry of type %u, %u bytes", d->bytes[at], d->bytes[at + 1]);
    }
}

static void decode_madt(Decoder *d)
{
    add(d, "local APICs at %#" PRIx64 "%s", field(d, 36, 4),
        field(d, 40, 4) & 1 ? ", with 8259 PICs" : "");
    for (uint32_t at = 44; at + 2 <= d->length; at += d->bytes[at + 1]) {
        if (d->bytes[at + 1] < 2 || d->bytes[at + 1] > d->length - at) {
            add(d, "at offset %#x an entry has an impossible length, %u", at, d->bytes[at + 1]);
            return;
        }
        decode_madt_entry(d, at);
    }
}

static void decode_mcfg(Decoder *d)
{
    for (uint32_t at = 44; at + 16 <= d->length; at += 16) {
        add(d, "segment %u, buses %u to %u: configuration space at %#" PRIx64,
            (unsigned)field(d, at + 8, 2), (unsigned)field(d, at + 10, 1),
            (unsigned)field(d, at + 11, 1), field(d, at, 8));
    }
}

static void decode_spcr(Decoder *d)
{
    add(d, "console of type %u, interrupt %" PRIu64, (unsigned)field(d, 36, 1), field(d, 54, 4));
    add_address(d, "registers", 40);
}

static void decode_hpet(Decoder *d)
{
    add_address(d, "registers", 40);
}

static void decode_gtdt(Decoder *d)
{
    add(d, "timers: secure EL1 %" PRIu64 ", EL1 %" PRIu64 ", virtual %" PRIu64 ", EL2 %" PRIu64,
        field(d, 48, 4), field(d, 56, 4), field(d, 64, 4), field(d, 72, 4));
}

void acpi_decode(const char *signature, const uint8_t *table, uint32_t length, GPtrArray *lines)
{
    static const struct {
        const char *signature;
        void (*decode)(Decoder *d);
    } decoders[] = { { "FACP", decode_fadt }, { "APIC", decode_madt }, { "MCFG", decode_mcfg },
                     { "SPCR", decode_spcr }, { "HPET", decode_hpet }, { "GTDT", decode_gtdt } };
    Decoder d = { table, length, lines };

    for (size_t i = 0; i < G_N_ELEMENTS(decoders); i++) {
        if (!strcmp(signature, decoders[i].signature)) {
            decoders[i].decode(&d);
        }
    }
}
