/* SPDX-License-Identifier: MIT */
/* Look-up of targets and CPU models, and registers that devices add to CPUs. */
#include "machine/target.h"

#include <string.h>

#include "base/names.h"
#include "machine/event-names.h"
#include "machine/private.h"

typedef struct {
    const ExternalRegister *table;
    void *opaque;
} ExternalRegisterTable;

static const NameKind target_kind = { .what = "target" };

const Target *target_find(const char *name)
{
    return REGISTRY_FIND(targets, &target_kind, name, NULL);
}

const CpuModel *cpu_model_find(const Target *target, const char *name)
{
    return cpu_model_get(target, name, NULL);
}

const CpuModel *cpu_model_get(const Target *target, const char *name, GError **error)
{
    const NameKind kind = { "CPU model", "-cpu help", target->models_not_yet };
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const CpuModel *const *it;

    REGISTRY_FOREACH(cpu_models, it) {
        if ((*it)->target != target) {
            continue;
        }
        if (strcmp((*it)->name, name) == 0) {
            return *it;
        }
        g_ptr_array_add(names, (void *)(*it)->name);
    }
    g_ptr_array_add(names, NULL);
    if (error) {
        names_fail(&kind, name, (const char *const *)names->pdata, error);
    }
    return NULL;
}

Vcpu *cpu_model_sample(const CpuModel *model, Machine *machine, char ***lacking)
{
    Vcpu *vcpu = g_malloc0(model->target->cpu_size);
    char **names;

    vcpu->machine = machine;
    vcpu->model = model;
    vcpu->target = model->target;
    properties_init(model->target->properties, vcpu);
    names = model->target->resolve(vcpu);
    if (lacking) {
        *lacking = names;
    } else {
        g_strfreev(names);
    }
    return vcpu;
}

void cpu_model_sample_free(Vcpu *vcpu)
{
    properties_free(vcpu->target->properties, vcpu);
    g_free(vcpu);
}

const TargetRegister *target_register_find(const Target *target, const char *name)
{
    for (const TargetRegister *reg = target->registers; reg && reg->name; reg++) {
        if (g_ascii_strcasecmp(reg->name, name) == 0) {
            return reg;
        }
    }
    return NULL;
}

const RegisterField *target_register_fields(const Target *target, const char *name)
{
    for (const RegisterFields *it = target->register_fields; it && it->reg; it++) {
        if (strcmp(it->reg, name) == 0) {
            return it->fields;
        }
    }
    return NULL;
}

unsigned target_register_bytes(const TargetRegister *reg)
{
    return (reg->bits + 7) / 8;
}

bool target_register_is_saved(const TargetRegister *reg)
{
    return !(reg->flags & (TARGET_REGISTER_DERIVED | TARGET_REGISTER_READONLY));
}

int target_register_gdb_number(const Target *target, const TargetRegister *reg)
{
    int number = 0;

    if (!reg->gdb_feature) {
        return -1;
    }
    for (const TargetRegister *it = target->registers; it != reg; it++) {
        number += it->gdb_feature != NULL;
    }
    return number;
}

void target_register_read(Vcpu *vcpu, const TargetRegister *reg, uint8_t *value)
{
    memset(value, 0, TARGET_REGISTER_BYTES_MAX);
    if (reg->get) {
        reg->get(vcpu, reg, value);
    } else {
        memcpy(value, (const uint8_t *)vcpu + reg->offset, target_register_bytes(reg));
    }
}

bool target_register_write(Vcpu *vcpu, const TargetRegister *reg, const uint8_t *value)
{
    if (reg->flags & TARGET_REGISTER_READONLY || (reg->get && !reg->set)) {
        return false;
    }
    if (reg->set) {
        reg->set(vcpu, reg, value);
    } else {
        memcpy((uint8_t *)vcpu + reg->offset, value, target_register_bytes(reg));
    }
    return true;
}

void machine_add_external_registers(Machine *machine, const ExternalRegister *table, void *opaque)
{
    ExternalRegisterTable entry = { table, opaque };

    if (!machine->private->external_registers) {
        machine->private->external_registers =
            g_array_new(false, false, sizeof(ExternalRegisterTable));
    }
    g_array_append_val(machine->private->external_registers, entry);
}

const ExternalRegister *machine_find_external_register(Machine *machine, uint32_t encoding,
                                                       void **opaque)
{
    GArray *tables = machine->private->external_registers;

    for (unsigned i = 0; tables && i < tables->len; i++) {
        const ExternalRegisterTable *entry = &g_array_index(tables, ExternalRegisterTable, i);

        for (const ExternalRegister *reg = entry->table; reg->name; reg++) {
            if (reg->encoding == encoding) {
                *opaque = entry->opaque;
                return reg;
            }
        }
    }
    return NULL;
}

const char *machine_external_register_name(Machine *machine, unsigned index)
{
    GArray *tables = machine->private->external_registers;

    for (unsigned i = 0; tables && i < tables->len; i++) {
        const ExternalRegister *reg = g_array_index(tables, ExternalRegisterTable, i).table;

        for (; reg->name; reg++) {
            if (index-- == 0) {
                return reg->name;
            }
        }
    }
    return NULL;
}
