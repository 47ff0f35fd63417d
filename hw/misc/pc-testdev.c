/* SPDX-License-Identifier: MIT */
/*
 * The device that kvm-unit-tests of x86 drive (lib/x86 there): a latch on ports in two widths, memory that is reached like a device's, and
 * ports whose bytes are the levels of the ISA interrupt lines.
 */
#include <string.h>

#include "hw/isa/isa.h"
#include "machine/machine.h"

enum {
    LATCH_PORT = 0xe0,
    FLUSH_PORT = 0xe4, /* of a page; there is nothing to flush */
    BYTES_PORT = 0xe8, /* the latch, for tests that split accesses into bytes */
    LINES_PORT = 0x2000,
    LINES = 24, /* as many as an I/O APIC has inputs */
    MEMORY_BYTES = 0x10000,
};
#define MEMORY_ADDRESS 0xff000000u

typedef struct {
    Device device;
    IrqLine lines[ISA_IRQ_COUNT];
    MemoryRegion memory;
    uint32_t latch;
    uint16_t levels; /* of the lines */
    uint8_t content[MEMORY_BYTES];
} PcTestdev;

static PcTestdev *pc_testdev(Device *device)
{
    return container_of(device, PcTestdev, device);
}

static void update_lines(PcTestdev *t)
{
    for (unsigned i = 0; i < ISA_IRQ_COUNT; i++) {
        irq_set(&t->lines[i], t->levels >> i & 1);
    }
}

static void write_line(Device *device, unsigned index, uint64_t value)
{
    PcTestdev *t = pc_testdev(device);
    uint16_t bit = (uint16_t)(1u << index);

    if (index >= ISA_IRQ_COUNT) {
        log_guest_error(device->id, "interrupt line %u is not one of ISA", index);
        return;
    }
    t->levels = value ? t->levels | bit : t->levels & ~bit;
    irq_set(&t->lines[index], value != 0);
}

static void write_flush(Device *device, unsigned index, uint64_t value)
{
}

static MemoryResult memory_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                MemoryAttributes attributes)
{
    const PcTestdev *t = opaque;
    uint8_t bytes[8] = { 0 };

    memcpy(bytes, t->content + offset, size);
    *value = load_le64(bytes);
    return MEMORY_OK;
}

static MemoryResult memory_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                 MemoryAttributes attributes)
{
    PcTestdev *t = opaque;
    uint8_t bytes[8];

    store_le64(bytes, value);
    memcpy(t->content + offset, bytes, size);
    return MEMORY_OK;
}

static const MemoryOps memory_ops = {
    .read = memory_read, .write = memory_write, .size_max = 8, .unaligned = true
};

static bool realize(Device *device, GError **error)
{
    static const uint16_t ports[] = { LATCH_PORT, FLUSH_PORT, BYTES_PORT, LINES_PORT };
    PcTestdev *t = pc_testdev(device);
    IsaBus *bus = container_of(device->bus, IsaBus, bus);

    for (unsigned i = 0; i < ISA_IRQ_COUNT; i++) {
        device_add_irq(device, &t->lines[i]);
        if (!isa_connect_irq(device, i, i, error)) {
            return false;
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
        isa_map_io(device, i, ports[i]);
    }
    memory_region_init_io(&t->memory, device->machine, "pc-testdev-iomem", MEMORY_BYTES,
                          &memory_ops, t);
    device_add_mmio(device, &t->memory);
    memory_region_add(bus->memory, MEMORY_ADDRESS, &t->memory, 0);
    return true;
}

static void reset(Device *device)
{
    PcTestdev *t = pc_testdev(device);

    memset(t->content, 0, sizeof t->content);
    t->levels = 0;
    update_lines(t);
}

static void state_loaded(Device *device)
{
    update_lines(pc_testdev(device));
}

/* clang-format off */
static const Register latch_registers[] = {
    { "LATCH", 0, 4, REGISTER_RW, .field = offsetof(PcTestdev, latch) },
    { 0 },
};
static const Register flush_registers[] = {
    { "FLUSH", 0, 4, REGISTER_W | REGISTER_QUIET, .field = REGISTER_NO_FIELD, .write = write_flush },
    { 0 },
};
static const Register line_registers[] = {
    { "LINE", 0, 1, REGISTER_W, .count = LINES, .field = REGISTER_NO_FIELD, .write = write_line, .summary = "levels" },
    { 0 },
};
/* clang-format on */

static const DeviceType pc_testdev_type = {
    .name = "pc-testdev",
    .summary = "Ports, memory and interrupt lines for kvm-unit-tests",
    .bus = "isa",
    .category = "misc",
    .instance_size = sizeof(PcTestdev),
    .banks =
        (const RegisterBank[]){
            { .name = "pc-testdev-ioport", .size = 4, .registers = latch_registers, .ports = true },
            { .name = "pc-testdev-flush-page",
              .size = 4,
              .registers = flush_registers,
              .ports = true },
            { .name = "pc-testdev-ioport-byte",
              .size = 4,
              .registers = latch_registers,
              .ports = true },
            { .name = "pc-testdev-irq-line",
              .size = LINES,
              .registers = line_registers,
              .ports = true },
            { 0 } },
    .state =
        (const StateField[]){
            STATE(PcTestdev, latch), STATE(PcTestdev, levels), STATE(PcTestdev, content), { 0 } },
    .realize = realize,
    .reset = reset,
    .state_loaded = state_loaded,
};
DEVICE_TYPE(pc_testdev_type);
