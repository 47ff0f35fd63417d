/* SPDX-License-Identifier: MIT */
/* A vCPU's registers by the target's table; see the header. */
#include "monitor/registers.h"

#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "machine/machine.h"

void registers_read(Vcpu *vcpu, const TargetRegister *reg, uint8_t *value)
{
    memset(value, 0, REGISTERS_BYTES_MAX);
    if (reg->get) {
        reg->get(vcpu, value);
    } else {
        memcpy(value, (const uint8_t *)vcpu + reg->offset, reg->bits / 8);
    }
}

bool registers_read_number(Vcpu *vcpu, const char *name, uint64_t *value, GError **error)
{
    const Target *target = vcpu->target;
    uint8_t bytes[REGISTERS_BYTES_MAX];

    for (const TargetRegister *reg = target->registers; reg && reg->name; reg++) {
        if (!g_ascii_strcasecmp(reg->name, name)) {
            machine_exclusive_begin(vcpu->machine);
            registers_read(vcpu, reg, bytes);
            machine_exclusive_end(vcpu->machine);
            *value = load_le64(bytes) & bits_mask(MIN(reg->bits, 64));
            return true;
        }
    }
    if (!strcmp(name, "pc") && target->get_pc) {
        machine_exclusive_begin(vcpu->machine);
        *value = target->get_pc(vcpu);
        machine_exclusive_end(vcpu->machine);
        return true;
    }
    return error_fail(error, KASO_ERROR_NOT_FOUND,
                      "%s has no register '%s'; 'info registers -a' shows them", target->name,
                      name);
}
