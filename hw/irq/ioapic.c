/* SPDX-License-Identifier: MIT */
/*
 * I/O APIC (Intel 82093AA, with the EOI register of version 0x20): 24 pins. It delivers by writing messages to
 * 0xfee00000, as message-signalled interrupts do.
 */
#include <string.h>

#include "hw/irq/apic.h"
#include "machine/arch/x86-chips.h"
#include "machine/device.h"
#include "machine/irq-chain.h"
#include "machine/machine.h"

enum {
    PINS = PC_GSI_COUNT,
    VERSION = 0x20,
    IOREGSEL = 0x00,
    IOWIN = 0x10,
    EOI = 0x40,
    REGISTER_ID = 0,
    REGISTER_VERSION = 1,
    REGISTER_ARBITRATION = 2,
    REGISTER_TABLE = 0x10,
};

#define ENTRY_LOGICAL    (UINT64_C(1) << 11)
#define ENTRY_ACTIVE_LOW (UINT64_C(1) << 13)
#define ENTRY_REMOTE_IRR (UINT64_C(1) << 14)
#define ENTRY_LEVEL      (UINT64_C(1) << 15)
#define ENTRY_MASKED     (UINT64_C(1) << 16)
#define ENTRY_WRITABLE   UINT64_C(0xff0000000001afff)

typedef struct {
    Device device;
    MemoryRegion mmio;
    uint32_t id, select;
    uint32_t lines; /* levels of the inputs, asserted = 1 whatever the polarity */
    uint64_t entry[PINS];
} IoApic;

static IoApic *ioapic(Device *device)
{
    return container_of(device, IoApic, device);
}

/* The host's kernel, when this I/O APIC is there. */
static const X86KernelChips *kernel_of(const IoApic *io)
{
    const X86KernelChips *chips = io->device.machine->kernel_chips;

    return chips && chips->all ? chips : NULL;
}

/* The kernel forgets the level of an input whose edge it has delivered. */
static void from_kernel(IoApic *io)
{
    X86IoApicState state;

    if (!kernel_of(io)) {
        return;
    }
    kernel_of(io)->get_ioapic(io->device.machine, &state);
    io->id = state.id;
    io->select = state.select;
    for (unsigned pin = 0; pin < PINS; pin++) {
        io->entry[pin] = state.entry[pin];
        if (io->entry[pin] & ENTRY_LEVEL || state.lines >> pin & 1) {
            io->lines = bits_deposit(io->lines, pin, 1, state.lines >> pin & 1);
        }
    }
}

static void to_kernel(const IoApic *io)
{
    X86IoApicState state = { .id = io->id, .select = io->select, .lines = io->lines };

    if (kernel_of(io)) {
        memcpy(state.entry, io->entry, sizeof io->entry);
        kernel_of(io)->set_ioapic(io->device.machine, &state);
    }
}

/* 12 and 13, like the vector: delivery mode, then trigger mode with its level. */
static void send(IoApic *io, uint64_t entry)
{
    uint64_t address = PC_APIC_ADDRESS | (entry >> 56) << 12 | (entry & ENTRY_LOGICAL ? 4 : 0);
    uint32_t data = (entry & 0x7ff) | (entry & ENTRY_LEVEL ? 0xc000 : 0);

    address_space_write(&io->device.machine->memory_space, address, data, 4,
                        MEMORY_ATTRIBUTES_OF(&io->device));
}

/* A pin that is asserted by level, unless its last message still waits for an EOI. */
static void check_level(IoApic *io, unsigned pin)
{
    uint64_t *entry = &io->entry[pin];
    unsigned mode = *entry >> 8 & 7;

    if (!(*entry & ENTRY_LEVEL) || *entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR) ||
        !(io->lines >> pin & 1)) {
        return;
    }
    if (mode <= 1) { /* fixed, lowest priority: the others have no EOI */
        *entry |= ENTRY_REMOTE_IRR;
    }
    send(io, *entry);
}

static void end_of_interrupt(IoApic *io, uint8_t vector)
{
    for (unsigned pin = 0; pin < PINS; pin++) {
        if (io->entry[pin] & ENTRY_REMOTE_IRR && (io->entry[pin] & 0xff) == vector) {
            io->entry[pin] &= ~ENTRY_REMOTE_IRR;
            check_level(io, pin);
        }
    }
}

/* An EOI comes from a vCPU's thread without the machine lock. */
static void eoi_message(IoApic *io, int vector)
{
    Machine *machine = io->device.machine;
    bool held = machine_lock_held(machine);

    if (!held) {
        machine_lock(machine);
    }
    end_of_interrupt(io, (uint8_t)vector);
    if (!held) {
        machine_unlock(machine);
    }
}

static void ioapic_input(void *opaque, int number, int level)
{
    IoApic *io = ioapic(opaque);
    const X86KernelChips *kernel = kernel_of(io);
    bool rises;

    if (kernel) {
        if (number >= 0 && number < PINS) {
            io->lines = bits_deposit(io->lines, number, 1, level != 0);
            kernel->set_pin(io->device.machine, (unsigned)number, level);
        }
        return;
    }
    if (number == IOAPIC_INPUT_EOI) {
        eoi_message(io, level);
        return;
    }
    if (number < 0 || number >= PINS) {
        return;
    }
    rises = level && !(io->lines >> number & 1);
    io->lines = bits_deposit(io->lines, number, 1, level != 0);
    if (io->entry[number] & ENTRY_LEVEL) {
        check_level(io, number);
    } else if (rises && !(io->entry[number] & ENTRY_MASKED)) {
        send(io, io->entry[number]); /* an edge on a masked pin is lost, says the data sheet */
    }
}

/* Of fixed interrupts by edge. Those by level wait here, and others do not merge. */
static IrqAnswer ioapic_query(void *opaque, int number, IrqWatch *watch)
{
    IoApic *io = ioapic(opaque);
    uint64_t entry = number >= 0 && number < PINS ? io->entry[number] : ENTRY_MASKED;
    unsigned mode = entry >> 8 & 7;
    ApicMessage message = {
        .destination = entry >> 56,
        .logical = entry & ENTRY_LOGICAL,
        .mode = mode,
        .vector = entry & 0xff,
    };

    if (entry & ENTRY_MASKED || mode == APIC_EXTINT || io->device.machine->kernel_chips) {
        return IRQ_NOBODY; /* of ExtINT the PIC knows, and the host's kernel does not say */
    }
    return entry & ENTRY_LEVEL || mode > APIC_LOWEST_PRIORITY
               ? IRQ_TAKEN
               : apic_bus_query(apic_bus_get(io->device.machine), &message, watch);
}

static uint32_t read_selected(const IoApic *io)
{
    unsigned index = io->select - REGISTER_TABLE;

    switch (io->select) {
    case REGISTER_ID:
    case REGISTER_ARBITRATION:
        return io->id << 24;
    case REGISTER_VERSION:
        return VERSION | (PINS - 1) << 16;
    default:
        if (index < 2 * PINS) {
            return (uint32_t)(io->entry[index / 2] >> (index % 2 * 32));
        }
        log_guest_error("ioapic", "read of register %#x", io->select);
        return 0;
    }
}

static void write_entry(IoApic *io, unsigned pin, unsigned half, uint32_t value)
{
    uint64_t *entry = &io->entry[pin], writable = ENTRY_WRITABLE & UINT64_C(0xffffffff)
                                                                       << (half * 32);

    *entry = (*entry & ~writable) | ((uint64_t)value << (half * 32) & writable);
    if (!(*entry & ENTRY_LEVEL)) {
        *entry &= ~ENTRY_REMOTE_IRR; /* software without the EOI register ends interrupts so */
    }
    check_level(io, pin);
}

static void write_selected(IoApic *io, uint32_t value)
{
    unsigned index = io->select - REGISTER_TABLE;

    if (io->select == REGISTER_ID) {
        io->id = value >> 24 & 0xf;
    } else if (index < 2 * PINS) {
        write_entry(io, index / 2, index % 2, value);
    } else {
        log_guest_error("ioapic", "write of %#x to register %#x", value, io->select);
    }
}

static MemoryResult ioapic_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                MemoryAttributes attributes)
{
    IoApic *io = opaque;

    *value = offset == IOREGSEL ? io->select : offset == IOWIN ? read_selected(io) : 0;
    return MEMORY_OK;
}

static MemoryResult ioapic_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                 MemoryAttributes attributes)
{
    IoApic *io = opaque;

    switch (offset) {
    case IOREGSEL:
        io->select = value & 0xff;
        break;
    case IOWIN:
        write_selected(io, (uint32_t)value);
        break;
    case EOI:
        end_of_interrupt(io, (uint8_t)value);
        break;
    default:
        log_guest_error("ioapic", "write to offset %#" PRIx64, offset);
    }
    return MEMORY_OK;
}

static const MemoryOps ioapic_ops = {
    .read = ioapic_read,
    .write = ioapic_write,
    .size_min = 4,
    .size_max = 4,
};

static void describe_pin(unsigned pin, uint64_t entry, GString *out)
{
    static const char *const modes[] = { "fixed", "lowest", "SMI", "...",
                                         "NMI",   "INIT",   "...", "extINT" };

    g_string_append_printf(
        out, "  pin %-2u 0x%016" PRIx64 " dest=%x vec=%-3u %s %-5s %-6s %-6s %s\n", pin, entry,
        (unsigned)(entry >> 56), (unsigned)(entry & 0xff),
        entry & ENTRY_ACTIVE_LOW ? "active-lo" : "active-hi",
        entry & ENTRY_LEVEL ? "level" : "edge", entry & ENTRY_MASKED ? "masked" : "",
        modes[entry >> 8 & 7], entry & ENTRY_LOGICAL ? "logical" : "physical");
}

static void describe_pins(const char *what, uint32_t pins, GString *out)
{
    g_string_append_printf(out, "  %-8s ", what);
    for (unsigned pin = 0; pin < PINS; pin++) {
        if (pins >> pin & 1) {
            g_string_append_printf(out, "%u ", pin);
        }
    }
    g_string_append(out, pins ? "\n" : "(none)\n");
}

/* Why a pin's interrupt is sent or not; ISA's 0 is pin 2. */
static void ioapic_explain_interrupt(Device *device, unsigned number, IrqChain *chain)
{
    static const char *const modes[] = { "fixed", "lowest priority", "SMI",   "reserved", "NMI",
                                         "INIT",  "reserved",        "ExtINT" };
    IoApic *io = ioapic(device);
    unsigned pin = number == 0 ? 2 : number;
    bool level, asserted;
    uint64_t entry;

    if (pin >= PINS || chain->of_cpus) {
        return;
    }
    from_kernel(io);
    entry = io->entry[pin];
    level = entry & ENTRY_LEVEL;
    asserted = io->lines >> pin & 1;
    irq_chain_add(chain, "ioapic", level && !asserted, "pin %u: its input is %s, %s-triggered%s",
                  pin, asserted ? "asserted" : "not asserted", level ? "level" : "edge",
                  level && !asserted ? ": nothing asks for it" : "");
    irq_chain_add(chain, "ioapic", entry & ENTRY_MASKED, "the pin is %s",
                  entry & ENTRY_MASKED ? "masked (its redirection entry's bit 16)" : "not masked");
    if (level && entry & ENTRY_REMOTE_IRR) {
        irq_chain_add(chain, "ioapic", true,
                      "its last interrupt has not been ended by a CPU (remote IRR is 1)");
    }
    irq_chain_add(chain, "ioapic", false, "it sends vector %#x, %s, to %s %#x",
                  (unsigned)(entry & 0xff), modes[entry >> 8 & 7],
                  entry & ENTRY_LOGICAL ? "logical destination" : "APIC", (unsigned)(entry >> 56));
    if (!(entry & ENTRY_MASKED) && (entry >> 8 & 7) <= 1) {
        chain->vector = entry & 0xff;
        chain->destination = entry >> 56;
        chain->logical = entry & ENTRY_LOGICAL;
    }
}

static void ioapic_describe_interrupts(Device *device, const Vcpu *vcpu, GString *out)
{
    IoApic *io = ioapic(device);
    uint32_t remote = 0;

    if (vcpu) {
        return;
    }
    from_kernel(io);
    g_string_append_printf(out, "ioapic0: ver=0x%x id=0x%02x sel=0x%02x\n", VERSION, io->id,
                           io->select);
    for (unsigned pin = 0; pin < PINS; pin++) {
        describe_pin(pin, io->entry[pin], out);
        remote |= (io->entry[pin] & ENTRY_REMOTE_IRR ? 1u : 0) << pin;
    }
    describe_pins("IRR", io->lines, out);
    describe_pins("Remote IRR", remote, out);
}

static bool ioapic_realize(Device *device, GError **error)
{
    IoApic *io = ioapic(device);

    memory_region_init_io(&io->mmio, device->machine, "ioapic", 0x1000, &ioapic_ops, io);
    device_add_mmio(device, &io->mmio);
    return true;
}

static void ioapic_reset(Device *device)
{
    IoApic *io = ioapic(device);

    io->id = io->select = io->lines = 0;
    for (unsigned pin = 0; pin < PINS; pin++) {
        io->entry[pin] = ENTRY_MASKED;
    }
    to_kernel(io);
}

static void ioapic_state_saving(Device *device)
{
    from_kernel(ioapic(device));
}

static void ioapic_state_loaded(Device *device)
{
    to_kernel(ioapic(device));
}

static const DeviceType ioapic_type = {
    .name = "ioapic",
    .summary = "I/O APIC, 24 interrupt pins",
    .board_only = true,
    .instance_size = sizeof(IoApic),
    .state = (const StateField[]){ STATE(IoApic, id),
                                   STATE(IoApic, select),
                                   STATE(IoApic, lines),
                                   STATE(IoApic, entry),
                                   { 0 } },
    .input = ioapic_input,
    .query = ioapic_query,
    .describe_interrupts = ioapic_describe_interrupts,
    .explain_interrupt = ioapic_explain_interrupt,
    .realize = ioapic_realize,
    .reset = ioapic_reset,
    .state_saving = ioapic_state_saving,
    .state_loaded = ioapic_state_loaded,
};
DEVICE_TYPE(ioapic_type);
