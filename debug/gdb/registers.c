/* SPDX-License-Identifier: MIT */
/*
 * Packets about registers. Their numbers are the positions in the target's table; g and G are about those before the first
 * system register, as gdb asks for the others one by one.
 *
 * The pc is a linear address, also where the architecture has a segment's base beside it (x86): what gdb looks up, disassembles and
 * compares with breakpoints is then right in real mode, too.
 */
#include <string.h>

#include "base/bits.h"
#include "debug/gdb/session.h"
#include "machine/accelerator.h"

static bool is_pc(const TargetRegister *reg)
{
    return reg->gdb_type && strcmp(reg->gdb_type, "code_ptr") == 0;
}

static bool is_present(const Vcpu *vcpu, const TargetRegister *reg)
{
    return reg->gdb_feature && (!reg->present || reg->present(vcpu));
}

static void read_register(Vcpu *vcpu, const TargetRegister *reg, uint8_t *value)
{
    target_register_read(vcpu, reg, value);
    if (is_pc(reg)) {
        store_le64(value, vcpu->target->get_pc(vcpu));
    }
}

static bool write_register(Vcpu *vcpu, const TargetRegister *reg, const uint8_t *bytes, size_t size)
{
    uint8_t value[TARGET_REGISTER_BYTES_MAX] = { 0 };

    memcpy(value, bytes, MIN(size, target_register_bytes(reg)));
    if (is_pc(reg)) {
        vcpu->target->set_pc(vcpu, load_le64(value) & bits_mask(reg->bits));
        return true;
    }
    return target_register_write(vcpu, reg, value);
}

static void end_writing(Vcpu *vcpu)
{
    if (vcpu->target->state_loaded) {
        vcpu->target->state_loaded(vcpu);
    }
    vcpu_sync(vcpu, VCPU_SYNC_TO_ACCELERATOR);
}

static const TargetRegister *find(Vcpu *vcpu, uint64_t number)
{
    for (const TargetRegister *reg = vcpu->target->registers; reg && reg->name; reg++) {
        if (reg->gdb_feature && number-- == 0) {
            return is_present(vcpu, reg) ? reg : NULL;
        }
    }
    return NULL;
}

void gdb_read_registers(GdbStub *stub, const char *arguments, size_t size)
{
    Vcpu *vcpu = gdb_vcpu(stub);
    uint8_t value[TARGET_REGISTER_BYTES_MAX];

    gdb_begin(stub);
    for (const TargetRegister *reg = vcpu->target->registers;
         reg && reg->name && strcmp(reg->group, REGISTERS_SYSTEM) != 0; reg++) {
        if (is_present(vcpu, reg)) {
            read_register(vcpu, reg, value);
            gdb_append_hex(stub->reply, value, target_register_bytes(reg));
        }
    }
    gdb_end(stub);
    stub->has_reply = true;
}

/* Fewer than all are the first ones. */
void gdb_write_registers(GdbStub *stub, const char *arguments, size_t size)
{
    Vcpu *vcpu = gdb_vcpu(stub);
    uint8_t value[TARGET_REGISTER_BYTES_MAX];
    bool ok = true;

    gdb_begin(stub);
    for (const TargetRegister *reg = vcpu->target->registers;
         ok && reg && reg->name && strcmp(reg->group, REGISTERS_SYSTEM) != 0; reg++) {
        size_t bytes = target_register_bytes(reg);

        if (!is_present(vcpu, reg)) {
            continue;
        }
        if (size < 2 * bytes) {
            break;
        }
        ok = gdb_from_hex(arguments, 2 * bytes, value);
        if (ok) {
            write_register(vcpu, reg, value, bytes);
        }
        arguments += 2 * bytes;
        size -= 2 * bytes;
    }
    end_writing(vcpu);
    gdb_end(stub);
    gdb_reply(stub, "%s", ok ? "OK" : GDB_EINVAL);
}

void gdb_read_register(GdbStub *stub, const char *arguments, size_t size)
{
    Vcpu *vcpu = gdb_vcpu(stub);
    uint8_t value[TARGET_REGISTER_BYTES_MAX];
    const TargetRegister *reg;
    uint64_t number;

    reg = gdb_number(&arguments, &number) ? find(vcpu, number) : NULL;
    if (!reg) {
        gdb_reply(stub, GDB_EFAULT);
        return;
    }
    gdb_begin(stub);
    read_register(vcpu, reg, value);
    gdb_end(stub);
    gdb_append_hex(stub->reply, value, target_register_bytes(reg));
    stub->has_reply = true;
}

void gdb_write_register(GdbStub *stub, const char *arguments, size_t size)
{
    Vcpu *vcpu = gdb_vcpu(stub);
    const char *end = arguments + size;
    uint8_t value[TARGET_REGISTER_BYTES_MAX];
    const TargetRegister *reg;
    uint64_t number;
    size_t digits;
    bool ok;

    if (!gdb_number(&arguments, &number) || !gdb_take(&arguments, '=')) {
        gdb_reply(stub, GDB_EINVAL);
        return;
    }
    reg = find(vcpu, number);
    digits = (size_t)(end - arguments);
    if (!reg || digits / 2 > sizeof value || !gdb_from_hex(arguments, digits, value)) {
        gdb_reply(stub, "%s", reg ? GDB_EINVAL : GDB_EFAULT);
        return;
    }
    gdb_begin(stub);
    ok = write_register(vcpu, reg, value, digits / 2);
    end_writing(vcpu);
    gdb_end(stub);
    gdb_reply(stub, "%s", ok ? "OK" : GDB_EINVAL);
}
