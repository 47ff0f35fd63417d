/* SPDX-License-Identifier: MIT */
/* A vCPU's registers by the target's table; see the header. */
#include "monitor/registers.h"

#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "machine/accelerator.h"

bool registers_read_number(Vcpu *vcpu, const char *name, uint64_t *value, GError **error)
{
    const Target *target = vcpu->target;
    const TargetRegister *reg = target_register_find(target, name);
    uint8_t bytes[TARGET_REGISTER_BYTES_MAX];

    if (reg) {
        machine_exclusive_begin(vcpu->machine);
        vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
        target_register_read(vcpu, reg, bytes);
        machine_exclusive_end(vcpu->machine);
        *value = load_le64(bytes) & bits_mask(MIN(reg->bits, 64));
        return true;
    }
    if (!strcmp(name, "pc") && target->get_pc) {
        machine_exclusive_begin(vcpu->machine);
        vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
        *value = target->get_pc(vcpu);
        machine_exclusive_end(vcpu->machine);
        return true;
    }
    return error_fail(error, KASO_ERROR_NOT_FOUND,
                      "%s has no register '%s'; 'info registers -a' shows them", target->name,
                      name);
}
