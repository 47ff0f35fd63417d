/* SPDX-License-Identifier: MIT */
/* The parts of ICH9-LPC, for one another and for its board. */
#ifndef HW_ISA_ICH9_H
#define HW_ISA_ICH9_H

#include "hw/isa/acpi-pm.h"
#include "hw/isa/isa.h"
#include "hw/pci/pci.h"
#include "machine/arch/ich9.h"

/* The watchdog (TCO; 316972, 13.9). */
typedef struct {
    Device *device;
    void (*first_timeout)(Device *device); /* the second one is watchdog_expired */
    Timer timer;
    MemoryRegion ports;
    int64_t deadline_ns; /* 0: the timer stands */
    uint16_t left;       /* ticks when it stands */
    uint16_t status1, status2, control1, control2, start;
    uint8_t data_in, data_out, message[2], software_irq;
    bool once; /* the first timeout was */
    bool no_reboot;
} Ich9Tco;

#define ICH9_TCO_STATE(Instance, tco)                                                              \
    STATE(Instance, tco.deadline_ns), STATE(Instance, tco.left), STATE(Instance, tco.status1),     \
        STATE(Instance, tco.status2), STATE(Instance, tco.control1),                               \
        STATE(Instance, tco.control2), STATE(Instance, tco.start), STATE(Instance, tco.data_in),   \
        STATE(Instance, tco.data_out), STATE(Instance, tco.message),                               \
        STATE(Instance, tco.software_irq), STATE(Instance, tco.once),                              \
        STATE(Instance, tco.no_reboot), STATE_DERIVED(Instance, tco.timer)

enum { ICH9_TCO_SIZE = 32 };
void ich9_tco_init(Ich9Tco *tco, Device *device, void (*first_timeout)(Device *device));
void ich9_tco_remove(Ich9Tco *tco);
void ich9_tco_reset(Ich9Tco *tco);
void ich9_tco_state_loaded(Ich9Tco *tco);

typedef struct {
    PciDevice pci;
    IsaBus isa;
    AcpiPm pm;
    Ich9Tco tco;
    MemoryRegion block, gpe, smi, rcba; /* at the places that configuration space gives */
    IrqLine gsi[ICH9_PIRQS], smi_first, smi_all;
    int driver[ISA_IRQ_COUNT];      /* our numbers at the ISA bus */
    uint32_t wires;                 /* bit per wire that is high */
    uint16_t routes[7];             /* DnnIR of the slots from ICH9_OWN_SLOT on */
    uint32_t hpet_config;           /* HPTC */
    uint16_t io_apic_config;        /* OIC */
    uint32_t smi_enable, smi_status;
    uint8_t apm_control, apm_status, reset_control;
    /* What firmware asked for of ICH9_SMI_FEATURES, little-endian, and what it has. */
    uint8_t smi_requested[8];
    uint64_t smi_features;
    bool smi_agreed;
    Device *fw_cfg;
    /* Properties. */
    bool smm, no_reboot_strap;
} Ich9Lpc;

/* Of etc/smi/supported-features: an SMI by port 0xb2 reaches all CPUs. */
enum { ICH9_SMI_BROADCAST = 1 << 0 };

/* The files of fw_cfg by which firmware learns of SMI's features and takes them; nothing where there is no SMI. */
bool ich9_lpc_offer(Device *lpc, Device *fw_cfg, GError **error);

/* ich9-chipset.c: the registers at RCBA; those of routing change lines. */
void ich9_chipset_init(Ich9Lpc *lpc);
void ich9_chipset_reset(Ich9Lpc *lpc);
/* Which PIRQ a wire is on. */
unsigned ich9_pirq_of_wire(const Ich9Lpc *lpc, unsigned wire);
/* ich9-lpc.c: after a change of routes. */
void ich9_update_lines(Ich9Lpc *lpc);

#endif
