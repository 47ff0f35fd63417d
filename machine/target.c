/* SPDX-License-Identifier: MIT */
/* Look-up of targets and CPU models, and registers that devices add to CPUs. */
#include "machine/target.h"

#include <string.h>

#include "machine/private.h"

typedef struct {
    const ExternalRegister *table;
    void *opaque;
} ExternalRegisterTable;

const Target *target_find(const char *name)
{
    const Target *const *it;

    REGISTRY_FOREACH(targets, it) {
        if (strcmp((*it)->name, name) == 0) {
            return *it;
        }
    }
    return NULL;
}

const CpuModel *cpu_model_find(const Target *target, const char *name)
{
    const CpuModel *const *it;

    REGISTRY_FOREACH(cpu_models, it) {
        if ((*it)->target == target && strcmp((*it)->name, name) == 0) {
            return *it;
        }
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
