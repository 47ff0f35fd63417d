/* SPDX-License-Identifier: MIT */
/*
 * VMware's back door: a 32-bit access to the port with a magic number in EAX calls the command in CX, which takes its
 * parameters from the other registers of the CPU and leaves its answers there (open-vm-tools, backdoor_def.h).
 */
#include "hw/misc/vmport.h"

#include <string.h>

#include "base/uuid.h"
#include "hw/isa/isa.h"
#include "machine/accelerator.h"
#include "machine/machine.h"

enum { X2APIC_ID = 0x802 };
enum { VMPORT_PORT = 0x5658, MAGIC = 0x564d5868, NO_COMMAND = -1 };
/* The timer of a local APIC counts nanoseconds. */
#define APIC_HZ 1000000000u
/* Guests that follow the host's time need not mind this much. */
#define TIME_LAG_US        1000000u
#define VCPU_LEGACY_X2APIC (1u << 3) /* x2APIC mode needs no interrupt remapping */

typedef struct {
    Device *device;
    VmportHandler *handler;
} Entry;

typedef struct {
    Device device;
    Bus bus;
    MemoryRegion port;
    Entry commands[VMPORT_COMMANDS];
    const TargetRegister *registers[VMPORT_REGISTERS];
    uint32_t version;
    uint8_t product;
} Vmport;

static const BusType vmport_bus_type = { .name = "vmport" };

static Vmport *vmport(Device *device)
{
    return container_of(device, Vmport, device);
}

static void add_command(Vmport *v, VmportCommand command, VmportHandler *handler, Device *device)
{
    v->commands[command] = (Entry){ device, handler };
}

void vmport_add_command(Device *device, VmportCommand command, VmportHandler *handler)
{
    add_command(vmport(device->bus->parent), command, handler, device);
}

/* --- the port's own commands --- */

static bool get_version(Device *device, uint32_t *r)
{
    r[VMPORT_EAX] = vmport(device)->version;
    r[VMPORT_EBX] = MAGIC;
    r[VMPORT_ECX] = vmport(device)->product;
    return true;
}

static bool get_bios_uuid(Device *device, uint32_t *r)
{
    const char *text = device->machine->config.uuid;
    uint8_t uuid[UUID_BYTES] = { 0 };

    if (text) {
        uuid_parse(text, uuid);
    }
    for (unsigned i = 0; i < 4; i++) {
        r[VMPORT_EAX + i] = load_le32(uuid + 4 * i);
    }
    return true;
}

static bool get_ram_size(Device *device, uint32_t *r)
{
    r[VMPORT_EAX] = (uint32_t)device->machine->config.ram_bytes;
    r[VMPORT_EBX] = 0x1177;
    return true;
}

static bool get_time(Device *device, uint32_t *r)
{
    int64_t now_us = g_get_real_time();

    r[VMPORT_EAX] = (uint32_t)(now_us / G_USEC_PER_SEC);
    r[VMPORT_EBX] = (uint32_t)(now_us % G_USEC_PER_SEC);
    r[VMPORT_ECX] = TIME_LAG_US;
    return true;
}

static bool get_time_full(Device *device, uint32_t *r)
{
    int64_t now_us = g_get_real_time(), now_s = now_us / G_USEC_PER_SEC;

    r[VMPORT_EAX] = MAGIC;
    r[VMPORT_ESI] = (uint32_t)(now_s >> 32);
    r[VMPORT_EDX] = (uint32_t)now_s;
    r[VMPORT_EBX] = (uint32_t)(now_us % G_USEC_PER_SEC);
    r[VMPORT_ECX] = TIME_LAG_US;
    return true;
}

/* Of the time-stamp counter, and of the local APIC's timer. */
static bool get_hz(Device *device, uint32_t *r)
{
    const Target *target = device->machine->config.target;
    uint64_t hz;

    if (target->counter != COUNTER_X86_TSC) {
        return false;
    }
    hz = target->counter_at(device->machine, 1000000000) - target->counter_at(device->machine, 0);
    r[VMPORT_EAX] = (uint32_t)hz;
    r[VMPORT_EBX] = (uint32_t)(hz >> 32);
    r[VMPORT_ECX] = APIC_HZ;
    return true;
}

static bool get_vcpu_info(Device *device, uint32_t *r)
{
    void *opaque;
    bool x2apic = machine_find_external_register(device->machine, X2APIC_ID, &opaque) != NULL;

    r[VMPORT_EAX] = x2apic ? VCPU_LEGACY_X2APIC : 0;
    return true;
}

/* --- the port --- */

/* Runs a command on the registers; EAX is the port's answer, too. */
static uint32_t run_command(Vmport *v, uint32_t *r)
{
    unsigned command = r[VMPORT_ECX] & 0xffff;
    const Entry *entry;

    if (r[VMPORT_EAX] != MAGIC) {
        return (uint32_t)NO_COMMAND;
    }
    entry = command < VMPORT_COMMANDS ? &v->commands[command] : NULL;
    if (!entry || !entry->handler || !entry->handler(entry->device, r)) {
        log_guest_error(v->device.id, "no command %u", command);
        return (uint32_t)NO_COMMAND;
    }
    return r[VMPORT_EAX];
}

/* Of the CPU that accesses the port: by X86's rule its registers are exact in 32-bit accesses. */
static uint32_t call_by_registers(Vmport *v, Vcpu *vcpu)
{
    uint8_t bytes[TARGET_REGISTER_BYTES_MAX];
    uint32_t before[VMPORT_REGISTERS], after[VMPORT_REGISTERS];

    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    for (unsigned i = 0; i < VMPORT_REGISTERS; i++) {
        target_register_read(vcpu, v->registers[i], bytes);
        before[i] = after[i] = load_le32(bytes);
    }
    after[VMPORT_EAX] = run_command(v, after);
    for (unsigned i = 0; i < VMPORT_REGISTERS; i++) {
        if (after[i] != before[i]) {
            memset(bytes, 0, sizeof bytes);
            store_le32(bytes, after[i]);
            target_register_write(vcpu, v->registers[i], bytes);
        }
    }
    vcpu_sync(vcpu, VCPU_SYNC_TO_ACCELERATOR);
    return after[VMPORT_EAX];
}

static uint32_t access_port(Vmport *v, unsigned size, MemoryAttributes attributes)
{
    if (size != 4 || attributes.vcpu < 0 || !v->registers[0]) {
        return UINT32_MAX;
    }
    return call_by_registers(v, v->device.machine->vcpus->pdata[attributes.vcpu]);
}

static MemoryResult port_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    *value = access_port(opaque, size, attributes) & bits_mask(8 * size);
    return MEMORY_OK;
}

static MemoryResult port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    access_port(opaque, size, attributes);
    return MEMORY_OK;
}

static const MemoryOps port_ops = { .read = port_read, .write = port_write, .size_max = 4 };

static void find_registers(Vmport *v)
{
    static const char *const names[VMPORT_REGISTERS][2] = {
        [VMPORT_EAX] = { "rax", "eax" }, [VMPORT_EBX] = { "rbx", "ebx" },
        [VMPORT_ECX] = { "rcx", "ecx" }, [VMPORT_EDX] = { "rdx", "edx" },
        [VMPORT_ESI] = { "rsi", "esi" }, [VMPORT_EDI] = { "rdi", "edi" },
    };
    const Target *target = v->device.machine->config.target;

    for (unsigned i = 0; i < VMPORT_REGISTERS; i++) {
        const TargetRegister *wide = target_register_find(target, names[i][0]);

        v->registers[i] = wide ? wide : target_register_find(target, names[i][1]);
    }
}

static bool realize(Device *device, GError **error)
{
    static const struct {
        VmportCommand command;
        VmportHandler *handler;
    } own[] = {
        { VMPORT_GET_VERSION, get_version },
        { VMPORT_GET_BIOS_UUID, get_bios_uuid },
        { VMPORT_GET_RAM_SIZE, get_ram_size },
        { VMPORT_GET_TIME, get_time },
        { VMPORT_GET_HZ, get_hz },
        { VMPORT_GET_TIME_FULL, get_time_full },
        { VMPORT_GET_VCPU_INFO, get_vcpu_info },
    };
    Vmport *v = vmport(device);

    bus_init(&v->bus, &vmport_bus_type, device, "vmport.0");
    find_registers(v);
    for (unsigned i = 0; i < ARRAY_SIZE(own); i++) {
        add_command(v, own[i].command, own[i].handler, device);
    }
    memory_region_init_io(&v->port, device->machine, "vmport", 4, &port_ops, v);
    device_add_io(device, &v->port);
    isa_map_io(device, 0, VMPORT_PORT);
    return true;
}

static const DeviceType vmport_type = {
    .name = "vmport",
    .summary = "VMware's back door",
    .bus = "isa",
    .category = "misc",
    .board_only = true,
    .instance_size = sizeof(Vmport),
    .properties = (const Property[]){ { "vmware-vmx-type", PROPERTY_U8, offsetof(Vmport, product),
                                        "product that is told", "2" },
                                      { "vmware-vmx-version", PROPERTY_U32,
                                        offsetof(Vmport, version), "its version", "6" },
                                      { 0 } },
    .realize = realize,
};
DEVICE_TYPE(vmport_type);
