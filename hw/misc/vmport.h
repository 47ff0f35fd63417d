/* SPDX-License-Identifier: MIT */
/*
 * VMware's back door, as a bus: what sits on it adds commands, which guests call by the registers of a CPU. Under the
 * machine lock.
 */
#ifndef HW_MISC_VMPORT_H
#define HW_MISC_VMPORT_H

#include "machine/device.h"

/* In the order in which commands hand over data. */
enum { VMPORT_EAX, VMPORT_EBX, VMPORT_ECX, VMPORT_EDX, VMPORT_ESI, VMPORT_EDI, VMPORT_REGISTERS };

typedef enum {
    VMPORT_GET_VERSION = 10,
    VMPORT_GET_BIOS_UUID = 19,
    VMPORT_GET_RAM_SIZE = 20,
    VMPORT_GET_TIME = 23,
    VMPORT_POINTER_DATA = 39,
    VMPORT_POINTER_STATUS = 40,
    VMPORT_POINTER_COMMAND = 41,
    VMPORT_GET_HZ = 45,
    VMPORT_GET_TIME_FULL = 46,
    VMPORT_GET_VCPU_INFO = 68,
    VMPORT_COMMANDS,
} VmportCommand;

/* Registers come as the guest has set them, and go back as they are then. false: there is no such command. */
typedef bool VmportHandler(Device *device, uint32_t registers[VMPORT_REGISTERS]);

/* For realize of a device on the bus, which stays as long as the port. */
void vmport_add_command(Device *device, VmportCommand command, VmportHandler *handler);

#endif
