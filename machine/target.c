/* SPDX-License-Identifier: MIT */
/* Look-up of targets and CPU models, and registers that devices add to CPUs. */
#include "machine/target.h"

#include <string.h>

#include "base/names.h"
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
