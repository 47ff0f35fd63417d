/* SPDX-License-Identifier: MIT */
/* I/O port accesses of instructions. */
#include "target/i386/io.h"

#include "machine/debug.h"
#include "machine/event-names.h"
#include "target/i386/control.h"
#include "target/i386/exception.h"

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

/*
 * Breakpoints of DR7 on ports, which CR4.DE makes of a kind that is none (SDM 3, 18.2.4). The trap is due when the instruction is
 * done: it is executed on its own, again from its start.
 */
static void check_breakpoints(X86Cpu *cpu, uint16_t port, unsigned bytes)
{
    static const uint8_t lengths[] = { 1, 2, 8, 4 };
    enum { ON_PORTS = 2 };
    uint64_t hits = 0;

    for (unsigned i = 0; i < 4; i++) {
        uint64_t size = lengths[cpu->dr[7] >> (18 + 4 * i) & 3], start = cpu->dr[i] & ~(size - 1);
        bool enabled = cpu->dr[7] >> (2 * i) & 3;

        if (enabled && (cpu->dr[7] >> (16 + 4 * i) & 3) == ON_PORTS &&
            (port - start < size || start - port < bytes)) {
            hits |= UINT64_C(1) << i;
        }
    }
    if (hits && !(cpu->mode & TCG_MODE_ONE)) {
        cpu->alone = true;
        x86_update_mode(cpu);
        tcg_unwind(&cpu->tcg);
    }
    cpu->pending_debug |= hits;
}

static bool has_breakpoints(const X86Cpu *cpu)
{
    return (cpu->dr[7] & 0xff) && (cpu->cr4 & CR4_DE);
}

uint32_t x86_io_read(X86Cpu *cpu, uint16_t port, unsigned bytes)
{
    uint64_t value = 0;

    if (has_breakpoints(cpu)) {
        check_breakpoints(cpu, port, bytes);
    }
    if (address_space_read(&cpu->vcpu.machine->io_space, port, &value, bytes, attributes(cpu)) !=
        MEMORY_OK) {
        value = UINT64_MAX;
    }
    report(cpu, port, false, value & bits_mask(8 * bytes));
    return (uint32_t)(value & bits_mask(8 * bytes));
}

void x86_io_write(X86Cpu *cpu, uint16_t port, uint32_t value, unsigned bytes)
{
    if (has_breakpoints(cpu)) {
        check_breakpoints(cpu, port, bytes);
    }
    report(cpu, port, true, value & bits_mask(8 * bytes));
    address_space_write(&cpu->vcpu.machine->io_space, port, value & bits_mask(8 * bytes), bytes,
                        attributes(cpu));
}

static const EventNames port_names = { DEBUG_PORT, { "x86_64", "i386" }, NULL, 65536 };
EVENT_NAMES(port_names);
