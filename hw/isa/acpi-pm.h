/* SPDX-License-Identifier: MIT */
/*
 * ACPI's fixed hardware as Intel's south bridges of PCs have it (ACPI 6.5, 4.8.3): events, control and timer at the start of a block of ports,
 * and general purpose events, whose registers the owner shows where its chip has them. Under the machine lock.
 */
#ifndef HW_ISA_ACPI_PM_H
#define HW_ISA_ACPI_PM_H

#include "machine/arch/pc-pm.h"
#include "machine/machine.h"

typedef struct {
    Device *device;
    void (*sci_changed)(Device *device); /* `sci` may be another one */
    bool sci;                            /* level of the system control interrupt */
    Timer overflow;
    MemoryRegion words, timer;
    uint64_t overflow_ticks; /* when bit 23 of the timer changes next */
    uint16_t status, enable, control;
    uint16_t gpe_status, gpe_enable;
    /* Properties. */
    bool disable_s3, disable_s4;
    uint8_t s4_val;
} AcpiPm;

#define ACPI_PM_PROPERTIES(Instance, pm)                                                           \
    { "disable_s3", PROPERTY_BOOL, offsetof(Instance, pm.disable_s3),                              \
      "suspend to RAM is not offered" },                                                           \
    { "disable_s4", PROPERTY_BOOL, offsetof(Instance, pm.disable_s4),                              \
      "suspend to disk is not offered" },                                                          \
    { "s4_val", PROPERTY_U8, offsetof(Instance, pm.s4_val), "sleep type of suspend to disk", "2" }

#define ACPI_PM_STATE(Instance, pm)                                                                \
    STATE_AS("overflow_ticks", Instance, pm.overflow_ticks),                                       \
        STATE_AS("status", Instance, pm.status), STATE_AS("enable", Instance, pm.enable),          \
        STATE_AS("control", Instance, pm.control),                                                 \
        STATE_AS("gpe_status", Instance, pm.gpe_status),                                           \
        STATE_AS("gpe_enable", Instance, pm.gpe_enable), STATE_DERIVED(Instance, pm.sci),          \
        STATE_DERIVED(Instance, pm.overflow)

/* For realize and unrealize. block: a container, which has nothing else at the places that are free of other regions of priority 1. */
void acpi_pm_init(AcpiPm *pm, Device *device, MemoryRegion *block,
                  void (*sci_changed)(Device *device));
void acpi_pm_remove(AcpiPm *pm);
void acpi_pm_reset(AcpiPm *pm);
/* After any change of state: the interrupt and the timer follow. */
void acpi_pm_update(AcpiPm *pm);
/* An input of the owner that has risen: PC_PM_POWER_BUTTON or PC_PM_GPE + n. */
void acpi_pm_input(AcpiPm *pm, int number);
/* Firmware hands the machine to ACPI, or ACPI to firmware. */
void acpi_pm_hand_over(AcpiPm *pm, bool to_acpi);

/* For write hooks of the registers of general purpose events. */
void acpi_pm_write_gpe_status(AcpiPm *pm, uint16_t value);
void acpi_pm_write_gpe_enable(AcpiPm *pm, uint16_t value);

#endif
