/* SPDX-License-Identifier: MIT */
/* The parts of a PC's DSDT (acpi-pc-*.c), for one another. */
#ifndef HW_ACPI_ACPI_PC_DSDT_H
#define HW_ACPI_ACPI_PC_DSDT_H

#include "hw/acpi/acpi.h"
#include "hw/acpi/aml.h"
#include "machine/arch/x86.h"

enum {
    ACPI_PCI_SLOTS = 32,
    ACPI_PCI_PINS = 4,
    ACPI_STA_PRESENT = 0x0f,
    ACPI_STA_DISABLED = 0x09, /* present, shown, not decoding */
    ACPI_STA_HIDDEN = 0x0b,
};

/* acpi-pc-dsdt.c */
/* Return (value) of a method without arguments. */
void acpi_constant_method(GByteArray *out, const char *name, uint64_t value);
/* uid 0: none. */
void acpi_identity(GByteArray *out, const char *id, unsigned uid);
/* Ports that belong to no device that a system would know. */
void acpi_reserved_ports(GByteArray *out, const char *name, const char *uid, uint16_t port,
                         uint8_t bytes);

/* acpi-pc-isa.c: the bridge and what is behind it. */
void acpi_isa_bridge(GByteArray *out, const AcpiPc *pc);

/* acpi-pc-links.c */
/* In the PCI host: _PRT. */
void acpi_routing(GByteArray *out, const AcpiPc *pc);
/* In the bridge: the region of its registers of routing. */
void acpi_link_registers(GByteArray *out, const AcpiPc *pc);
/* At the end: the links that _PRT names. */
void acpi_interrupt_links(GByteArray *out, const AcpiPc *pc);

/* acpi-pc-slots.c: slots of the root bus in which devices come and go. */
void acpi_slots(GByteArray *out, const AcpiPc *pc);
bool acpi_has_pluggable_slots(const AcpiPc *pc);

/* acpi-pc-express.c */
/* In the PCI host: what a system may do itself. */
void acpi_osc_method(GByteArray *out);
/* Configuration space in memory belongs to no device. */
void acpi_ecam_device(GByteArray *out, const AcpiPc *pc);
void acpi_add_mcfg(AcpiFiles *files, const AcpiPc *pc);

#endif
