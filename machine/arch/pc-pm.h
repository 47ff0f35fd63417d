/* SPDX-License-Identifier: MIT */
/*
 * Where a PC's ACPI registers are, and which events they report: what its board, its power management device and
 * whoever writes its ACPI tables agree on.
 */
#ifndef MACHINE_ARCH_PC_PM_H
#define MACHINE_ARCH_PC_PM_H

enum {
    PC_APM_PORT = 0xb2,          /* FADT: SMI_CMD; 0xf1 enables ACPI, 0xf0 disables it */
    PC_PM_BASE = 0x600,          /* of the PM block, until firmware places it: events, +4 control, +8 timer */
    PC_GPE0_PORT = 0xafe0,       /* 4 bytes: status, enable */
    PC_PCI_HOTPLUG_PORT = 0xae00,
    PC_CPU_HOTPLUG_PORT = 0xaf00,
};

/* Inputs of PIIX4_PM and ICH9-LPC; PC_PM_GPE + n: event n happened. */
enum { PC_PM_POWER_BUTTON = 0xff, PC_PM_GPE = 0x100 };

/* General purpose events, by the DSDT's method _GPE._Exx. */
enum { PC_GPE_PCI_HOTPLUG = 1, PC_GPE_CPU_HOTPLUG = 2, PC_GPE_VMGENID = 5 };

#endif
