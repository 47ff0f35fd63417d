/* SPDX-License-Identifier: MIT */
/* A vCPU's registers by the target's table; see the header. */
#include "monitor/registers.h"

#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "debug/linux/tasks.h"
#include "machine/accelerator.h"

const TargetRegister *registers_find(const Target *target, const char *name)
{
    static const char *const others[][4] = {
        { "sp", "rsp", "esp" },
        { "fp", "x29", "rbp", "ebp" },
        { "lr", "x30" },
    };
    const TargetRegister *reg = target_register_find(target, name);

    for (unsigned i = 0; i < G_N_ELEMENTS(others) && !reg; i++) {
        for (unsigned k = 1; k < 4 && others[i][k] && !strcmp(name, others[i][0]) && !reg; k++) {
            reg = target_register_find(target, others[i][k]);
        }
    }
    return reg;
}

static bool read_task(Vcpu *vcpu, bool process, uint64_t *value, GError **error)
{
    LinuxKernel *kernel = linux_kernel_find(vcpu->machine, error);
    LinuxTaskFinder finder;

    if (!kernel || !linux_task_finder(kernel, &finder, error)) {
        return false;
    }
    machine_exclusive_begin(vcpu->machine);
    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    *value = (uint64_t)linux_task_number(&finder, vcpu, process);
    machine_exclusive_end(vcpu->machine);
    return true;
}

bool registers_read_number(Vcpu *vcpu, const char *name, uint64_t *value, GError **error)
{
    const Target *target = vcpu->target;
    const TargetRegister *reg = registers_find(target, name);
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
    if (!strcmp(name, "pid") || !strcmp(name, "tid")) {
        return read_task(vcpu, *name == 'p', value, error);
    }
    return error_fail(error, KASO_ERROR_NOT_FOUND,
                      "%s has no register '%s'; 'info registers -a' shows them", target->name,
                      name);
}

static bool write_parked(Vcpu *vcpu, const TargetRegister *reg, const char *name, uint64_t value)
{
    uint8_t bytes[TARGET_REGISTER_BYTES_MAX] = { 0 };

    if (!strcmp(name, "pc")) { /* a linear address, as it is read */
        vcpu->target->set_pc(vcpu, value);
        return true;
    }
    store_le64(bytes, value);
    return target_register_write(vcpu, reg, bytes);
}

bool registers_write_number(Vcpu *vcpu, const char *name, uint64_t value, GError **error)
{
    const Target *target = vcpu->target;
    const TargetRegister *reg = registers_find(target, name);
    bool is_pc = !strcmp(name, "pc") && target->set_pc, ok;

    if (!reg && !is_pc) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "%s has no register '%s'; 'info registers -a' shows them", target->name,
                          name);
    }
    if (reg && !is_pc && reg->bits < 64 && value >> reg->bits &&
        (int64_t)value >> (reg->bits - 1) != -1) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%#" PRIx64 " does not fit: register '%s' has %u bits", value, name,
                          (unsigned)reg->bits);
    }
    machine_exclusive_begin(vcpu->machine);
    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    ok = write_parked(vcpu, reg, name, value) ||
         error_fail(error, KASO_ERROR_INVALID, "register '%s' cannot be written", name);
    if (target->state_loaded) {
        target->state_loaded(vcpu);
    }
    vcpu_sync(vcpu, VCPU_SYNC_TO_ACCELERATOR);
    machine_exclusive_end(vcpu->machine);
    return ok;
}
