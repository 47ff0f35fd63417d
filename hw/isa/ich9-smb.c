/* SPDX-License-Identifier: MIT */
/*
 * The SMBus function of ICH9 (data sheet 316972, chapter 20).
 *
 * Not modelled: interrupts, the 32-byte buffer of newer chips, being a slave.
 */
#include "hw/isa/smbus-host.h"
#include "hw/pci/pci.h"
#include "machine/machine.h"

enum { PORTS_SIZE = 64, CONFIG_HOST = 0x40 };

typedef struct {
    PciDevice pci;
    SmbusHost smbus;
} Ich9Smb;

static Ich9Smb *ich9_smb(Device *device)
{
    return container_of(device, Ich9Smb, pci.device);
}

static bool ich9_smb_realize(Device *device, GError **error)
{
    Ich9Smb *smb = ich9_smb(device);

    pci_set_identity(&smb->pci, 0x8086, 0x2930, 0x0c0500, 2);
    pci_set_interrupt_pin(&smb->pci, 1);
    smb->pci.config[PCI_HEADER_TYPE] |= PCI_HEADER_MULTIFUNCTION;
    smb->pci.writable[CONFIG_HOST] = 0x07; /* enable, SMI, I2C */
    smbus_host_init(&smb->smbus, device, PORTS_SIZE);
    pci_add_bar(&smb->pci, 4, PCI_BAR_IO, false, &smb->smbus.ports);
    return true;
}

static void ich9_smb_reset(Device *device)
{
    pci_reset(pci_device(device));
    smbus_host_reset(&ich9_smb(device)->smbus);
}

static void ich9_smb_state_loaded(Device *device)
{
    pci_state_loaded(pci_device(device));
}

static const DeviceType ich9_smb_type = {
    .name = "ICH9-SMB",
    .summary = "Intel ICH9 SMBus host",
    .bus = "pci",
    .category = "bridge",
    .instance_size = sizeof(Ich9Smb),
    .bus_properties = (const Property[]){ PCI_PROPERTIES(Ich9Smb, pci), { 0 } },
    .state_version = 1,
    .state =
        (const StateField[]){ PCI_STATE(Ich9Smb, pci), SMBUS_HOST_STATE(Ich9Smb, smbus, 1), { 0 } },
    .board_only = true,
    .realize = ich9_smb_realize,
    .reset = ich9_smb_reset,
    .state_loaded = ich9_smb_state_loaded,
};
DEVICE_TYPE(ich9_smb_type);
