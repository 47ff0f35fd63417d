/* SPDX-License-Identifier: MIT */
/* I/O port accesses of instructions. */
#include "target/i386/io.h"

static MemoryAttributes attributes(const X86Cpu *cpu)
{
    return (MemoryAttributes){ .vcpu = (int16_t)cpu->vcpu.index, .secure = cpu->smm };
}

uint32_t x86_io_read(X86Cpu *cpu, uint16_t port, unsigned bytes)
{
    uint64_t value = 0;

    if (address_space_read(&cpu->vcpu.machine->io_space, port, &value, bytes, attributes(cpu)) !=
        MEMORY_OK) {
        return (uint32_t)bits_mask(8 * bytes);
    }
    return (uint32_t)(value & bits_mask(8 * bytes));
}

void x86_io_write(X86Cpu *cpu, uint16_t port, uint32_t value, unsigned bytes)
{
    address_space_write(&cpu->vcpu.machine->io_space, port, value & bits_mask(8 * bytes), bytes,
                        attributes(cpu));
}
