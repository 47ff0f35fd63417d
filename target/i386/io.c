/* SPDX-License-Identifier: MIT */
/* I/O port accesses of instructions. */
#include "target/i386/io.h"

#include "machine/debug.h"
#include "machine/event-names.h"

static MemoryAttributes attributes(const X86Cpu *cpu)
{
    return (MemoryAttributes){ .vcpu = (int16_t)cpu->vcpu.index, .secure = cpu->smm };
}

static void report(X86Cpu *cpu, uint16_t port, bool write, uint64_t value)
{
    if (debug_wants(cpu->vcpu.machine, DEBUG_PORT)) {
        debug_report(
            cpu->vcpu.machine, &cpu->vcpu,
            &(DebugEvent){ .kind = DEBUG_PORT, .write = write, .number = port, .value = value });
    }
}

uint32_t x86_io_read(X86Cpu *cpu, uint16_t port, unsigned bytes)
{
    uint64_t value = 0;

    if (address_space_read(&cpu->vcpu.machine->io_space, port, &value, bytes, attributes(cpu)) !=
        MEMORY_OK) {
        value = UINT64_MAX;
    }
    report(cpu, port, false, value & bits_mask(8 * bytes));
    return (uint32_t)(value & bits_mask(8 * bytes));
}

void x86_io_write(X86Cpu *cpu, uint16_t port, uint32_t value, unsigned bytes)
{
    report(cpu, port, true, value & bits_mask(8 * bytes));
    address_space_write(&cpu->vcpu.machine->io_space, port, value & bits_mask(8 * bytes), bytes,
                        attributes(cpu));
}

static const EventNames port_names = { DEBUG_PORT, { "x86_64", "i386" }, NULL, 65536 };
EVENT_NAMES(port_names);
