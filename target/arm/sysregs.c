/* SPDX-License-Identifier: MIT */
/* Finding, reading, writing and resetting system registers by their tables. */
#include "target/arm/sysregs.h"
#include "machine/event-names.h"

static const ArmSysreg *const tables[] = { arm_sysregs_id, arm_sysregs_memory, arm_sysregs_timer,
                                           arm_sysregs_debug, arm_sysregs_pmu };

const ArmSysreg *arm_sysreg_find(const ArmCpu *cpu, uint32_t encoding)
{
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        for (const ArmSysreg *reg = tables[i]; reg->name; reg++) {
            if (reg->encoding == encoding) {
                bool present = !reg->feature || arm_has(cpu, (ArmFeature)(reg->feature - 1));

                return present ? reg : NULL;
            }
        }
    }
    return NULL;
}

/* Of the tables, in their order. */
static const char *nth_register(unsigned index)
{
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        for (const ArmSysreg *reg = tables[i]; reg->name; reg++) {
            if (index-- == 0) {
                return reg->name;
            }
        }
    }
    return NULL;
}

static const EventNames register_names = { DEBUG_REGISTER, { "aarch64" }, nth_register, 1 };
EVENT_NAMES(register_names);

static uint64_t *field_of(ArmCpu *cpu, const ArmSysreg *reg)
{
    return (uint64_t *)(void *)((char *)cpu + reg->field);
}

uint64_t arm_sysreg_read(ArmCpu *cpu, const ArmSysreg *reg)
{
    if (reg->read) {
        return reg->read(cpu, reg);
    }
    return reg->field ? *field_of(cpu, reg) : reg->reset;
}

void arm_sysreg_write(ArmCpu *cpu, const ArmSysreg *reg, uint64_t value)
{
    if (reg->field) {
        value = (value & ~reg->read_only) | (*field_of(cpu, reg) & reg->read_only);
    }
    if (reg->write) {
        reg->write(cpu, reg, value);
    } else if (reg->field) {
        *field_of(cpu, reg) = value;
    }
}

void arm_sysregs_reset(ArmCpu *cpu)
{
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        for (const ArmSysreg *reg = tables[i]; reg->name; reg++) {
            if (reg->field && !(reg->access & ARM_SYSREG_CONST)) {
                *field_of(cpu, reg) = reg->reset;
            }
        }
    }
}
