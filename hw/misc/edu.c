/* SPDX-License-Identifier: MIT */
/*
 * "edu", a PCI device to learn drivers on (QEMU's description of the EDU device): a liveness check, a factorial, an
 * interrupt that software raises, and DMA between RAM and a buffer of 4 KiB. The factorial is there as soon as it is
 * asked for.
 */
#include "base/error.h"
#include "hw/pci/pci.h"
#include "machine/clock.h"
#include "machine/machine.h"

enum {
    EDU_SIZE = 1 << 20,
    EDU_IDENTIFICATION = 0x010000ed,
    BUFFER_START = 0x40000,
    BUFFER_SIZE = 4096,

    STATUS_COMPUTING = 0x01,
    STATUS_INTERRUPT = 0x80,
    INTERRUPT_FACTORIAL = 0x001,
    INTERRUPT_DMA = 0x100,
    DMA_START = 1,
    DMA_TO_RAM = 2,
    DMA_INTERRUPT = 4,
};
#define DMA_TIME_NS INT64_C(100000000)

typedef struct {
    PciDevice pci;
    MemoryRegion region;
    Timer timer;
    uint32_t liveness, factorial, status, interrupts;
    uint64_t source, destination, count, command;
    uint8_t buffer[BUFFER_SIZE];
    uint64_t dma_mask; /* property: the address bits that DMA drives */
} Edu;

static Edu *edu(Device *device)
{
    return container_of(pci_device(device), Edu, pci);
}

static void update_irq(Edu *e)
{
    pci_set_irq(&e->pci, e->interrupts && !pci_msi_enabled(&e->pci));
}

/* Each time that something is raised there is a message, whether or not the last one was acknowledged. */
static void tell(Edu *e, uint32_t causes)
{
    e->interrupts |= causes;
    if (e->interrupts) {
        pci_msi_notify(&e->pci);
    }
    update_irq(e);
}

/* Modulo 2^32, which is 0 from 34 on: 34! has 32 factors of two. */
static uint32_t factorial_of(uint32_t n)
{
    uint32_t result = n < 34;

    for (uint32_t i = 2; result && i <= n; i++) {
        result *= i;
    }
    return result;
}

/* Where in the buffer [address, address + count) is; false: it is not all there. */
static bool in_buffer(const Edu *e, uint64_t address, uint64_t *offset)
{
    *offset = address - BUFFER_START;
    if (e->count > BUFFER_SIZE || *offset > BUFFER_SIZE - e->count) {
        log_guest_error("edu", "DMA of %" PRIu64 " bytes at %#" PRIx64 " is outside the buffer",
                        e->count, address);
        return false;
    }
    return true;
}

static uint64_t mask_address(const Edu *e, uint64_t address)
{
    if (address & ~e->dma_mask) {
        log_guest_error("edu", "DMA address %#" PRIx64 " is beyond the mask %#" PRIx64, address,
                        e->dma_mask);
    }
    return address & e->dma_mask;
}

static void transfer(Edu *e)
{
    AddressSpace *space = &e->pci.device.machine->memory_space;
    bool to_ram = e->command & DMA_TO_RAM;
    uint64_t offset;

    if (!pci_bus_master_enabled(&e->pci) ||
        !in_buffer(e, to_ram ? e->source : e->destination, &offset)) {
        return;
    }
    if (to_ram) {
        address_space_write_bytes(space, mask_address(e, e->destination), e->buffer + offset,
                                  e->count, pci_dma_attributes(&e->pci));
    } else {
        address_space_read_bytes(space, mask_address(e, e->source), e->buffer + offset, e->count,
                                 pci_dma_attributes(&e->pci));
    }
}

static void finish_dma(void *opaque)
{
    Edu *e = opaque;

    transfer(e);
    e->command &= ~(uint64_t)DMA_START;
    if (e->command & DMA_INTERRUPT) {
        tell(e, INTERRUPT_DMA);
    }
}

static void write_liveness(Device *device, unsigned index, uint64_t value)
{
    edu(device)->liveness = ~(uint32_t)value;
}

static void write_factorial(Device *device, unsigned index, uint64_t value)
{
    Edu *e = edu(device);

    e->factorial = factorial_of(value);
    if (e->status & STATUS_INTERRUPT) {
        tell(e, INTERRUPT_FACTORIAL);
    }
}

static void write_raise(Device *device, unsigned index, uint64_t value)
{
    tell(edu(device), value);
}

static void write_acknowledge(Device *device, unsigned index, uint64_t value)
{
    edu(device)->interrupts &= ~(uint32_t)value;
    update_irq(edu(device));
}

/* While a transfer runs its registers stand still. */
static void write_dma(Edu *e, uint64_t *field, uint64_t value)
{
    if (!(e->command & DMA_START)) {
        *field = value;
    }
}

static void write_source(Device *device, unsigned index, uint64_t value)
{
    write_dma(edu(device), &edu(device)->source, value);
}

static void write_destination(Device *device, unsigned index, uint64_t value)
{
    write_dma(edu(device), &edu(device)->destination, value);
}

static void write_count(Device *device, unsigned index, uint64_t value)
{
    write_dma(edu(device), &edu(device)->count, value);
}

static void write_command(Device *device, unsigned index, uint64_t value)
{
    Edu *e = edu(device);

    if (value & DMA_START && !(e->command & DMA_START)) {
        e->command = value & (DMA_START | DMA_TO_RAM | DMA_INTERRUPT);
        timer_arm(&e->timer, clock_now_ns(device->machine) + DMA_TIME_NS);
    }
}

static uint64_t read_identification(Device *device, unsigned index)
{
    return EDU_IDENTIFICATION;
}

/* clang-format off */
static const Register registers[] = {
    { "ID", 0x00, 4, REGISTER_R, .field = REGISTER_NO_FIELD, .read = read_identification,
      .summary = "0xRRrr00ed: version and name" },
    { "LIVENESS", 0x04, 4, REGISTER_RW, .field = offsetof(Edu, liveness), .write = write_liveness,
      .summary = "reads as the inverse of what was written" },
    { "FACTORIAL", 0x08, 4, REGISTER_RW, .field = offsetof(Edu, factorial),
      .write = write_factorial, .summary = "reads as the factorial of what was written" },
    { "STATUS", 0x20, 4, REGISTER_RW, .field = offsetof(Edu, status), .writable = STATUS_INTERRUPT,
      .summary = "bit 0: computing; bit 7: interrupt when done" },
    { "INTERRUPTS", 0x24, 4, REGISTER_R, .field = offsetof(Edu, interrupts),
      .summary = "what raised the interrupt" },
    { "RAISE", 0x60, 4, REGISTER_W, .field = REGISTER_NO_FIELD, .write = write_raise,
      .summary = "sets bits of INTERRUPTS" },
    { "ACKNOWLEDGE", 0x64, 4, REGISTER_W, .field = REGISTER_NO_FIELD, .write = write_acknowledge,
      .summary = "clears bits of INTERRUPTS" },
    { "DMA_SOURCE", 0x80, 8, REGISTER_RW, .field = offsetof(Edu, source), .write = write_source },
    { "DMA_DESTINATION", 0x88, 8, REGISTER_RW, .field = offsetof(Edu, destination),
      .write = write_destination },
    { "DMA_COUNT", 0x90, 8, REGISTER_RW, .field = offsetof(Edu, count), .write = write_count },
    { "DMA_COMMAND", 0x98, 8, REGISTER_RW, .field = offsetof(Edu, command), .write = write_command,
      .summary = "bit 0: start, and busy; bit 1: to RAM; bit 2: interrupt 0x100 when done" },
    { 0 },
};
/* clang-format on */

static const RegisterBank bank = { .name = "edu",
                                   .size = EDU_SIZE,
                                   .registers = registers,
                                   .size_min = 4,
                                   .strict = true,
                                   .ones = true };

static bool edu_realize(Device *device, GError **error)
{
    Edu *e = edu(device);

    pci_set_identity(&e->pci, 0x1234, 0x11e8, 0x00ff00, 0x10);
    pci_set_interrupt_pin(&e->pci, 1);
    register_bank_init(device, &e->region, &bank);
    pci_add_msi(&e->pci);
    pci_add_bar(&e->pci, 0, PCI_BAR_MEMORY32, false, &e->region);
    timer_init(&e->timer, device->machine, finish_dma, e);
    return true;
}

static void edu_unrealize(Device *device)
{
    timer_cancel(&edu(device)->timer);
}

static void edu_reset(Device *device)
{
    Edu *e = edu(device);

    timer_cancel(&e->timer);
    register_bank_reset(device, &bank);
    memset(e->buffer, 0, sizeof e->buffer);
    pci_reset(&e->pci);
}

static void edu_state_loaded(Device *device)
{
    pci_state_loaded(pci_device(device));
    update_irq(edu(device));
}

static const Property edu_properties[] = {
    { "dma_mask", PROPERTY_U64, offsetof(Edu, dma_mask), "address bits that DMA drives",
      "268435455" },
    { 0 },
};
static const Property edu_bus_properties[] = { PCI_PROPERTIES(Edu, pci), { 0 } };
static const StateField edu_state[] = {
    PCI_STATE(Edu, pci),    STATE(Edu, liveness), STATE(Edu, factorial),   STATE(Edu, status),
    STATE(Edu, interrupts), STATE(Edu, source),   STATE(Edu, destination), STATE(Edu, count),
    STATE(Edu, command),    STATE(Edu, buffer),   STATE_TIMER(Edu, timer), { 0 },
};

static const DeviceType edu_type = {
    .name = "edu",
    .summary = "PCI device to learn drivers on",
    .bus = "pci",
    .category = "misc",
    .instance_size = sizeof(Edu),
    .properties = edu_properties,
    .bus_properties = edu_bus_properties,
    .state = edu_state,
    .realize = edu_realize,
    .unrealize = edu_unrealize,
    .reset = edu_reset,
    .state_loaded = edu_state_loaded,
};
DEVICE_TYPE(edu_type);
