/* SPDX-License-Identifier: MIT */
#include "tests/isa/rig.h"

#include <stdio.h>

#include "base/bits.h"
#include "base/error.h"
#include "machine/accelerator.h"
#include "target/arm/sysregs.h"

enum {
    TABLE = 0x3fff000, /* offsets in RAM */
    VECTORS = 0x3ffe000,
    ALIAS = 0x80000000, /* where EL1 sees RAM: it may not execute what EL0 can write */
};

/* Synchronous exceptions from EL0: skip the instruction, or power off at BRK. */
static const uint32_t vector_code[] = {
    0xd518d080, /* msr tpidr_el1, x0 */
    0xd5385200, /* mrs x0, esr_el1 */
    0xd35afc00, /* lsr x0, x0, #26 */
    0xf100f01f, /* cmp x0, #0x3c */
    0x540000c0, /* b.eq 1f */
    0xd5384020, /* mrs x0, elr_el1 */
    0x91001000, /* add x0, x0, #4 */
    0xd5184020, /* msr elr_el1, x0 */
    0xd538d080, /* mrs x0, tpidr_el1 */
    0xd69f03e0, /* eret */
    0xd2b08000, /* 1: mov x0, #0x84000000 */
    0xf2800100, /* movk x0, #8: PSCI SYSTEM_OFF */
    0xd4000002, /* hvc #0 */
    0x14000000, /* b . */
};

static void set_cpu_line(void *opaque, int number, int level)
{
    vcpu_set_interrupt(opaque, (unsigned)number, level);
}

/* The counters and the virtual timer interrupt without an interrupt controller. */
static bool build(Machine *machine, void *board, GError **error)
{
    if (!machine_map_ram(machine, RIG_RAM, error) || !machine_create_vcpus(machine, error)) {
        return false;
    }
    for (unsigned i = 0; i < machine->vcpus->len; i++) {
        Vcpu *vcpu = machine->vcpus->pdata[i];

        device_connect_irq(&vcpu->device, ARM_CPU_IRQ_TIMER_VIRT, set_cpu_line, vcpu, ARM_LINE_IRQ);
        device_connect_irq(&vcpu->device, ARM_CPU_IRQ_PMU, set_cpu_line, vcpu, ARM_LINE_IRQ);
    }
    return true;
}

static bool build_with_gic(Machine *machine, void *board, GError **error)
{
    g_autofree char *cpus = g_strdup_printf("%u", machine->config.vcpus);
    Device *gic = device_create(machine, NULL, "arm-gicv3", NULL, "gic", error);

    return gic && device_set(gic, "num-cpu", cpus, error) && device_realize(gic, error) &&
           build(machine, board, error);
}

/* All but the first are off until PSCI CPU_ON. */
static void reset(Machine *machine, void *board)
{
    for (unsigned i = 1; i < machine->vcpus->len; i++) {
        atomic_store(&((Vcpu *)machine->vcpus->pdata[i])->powered, false);
    }
}

static const Board isa_board = {
    .name = "isa-rig",
    .instance_size = sizeof(Device),
    .build = build,
    .max_vcpus = 4,
    .reset = reset,
};

static const Board isa_board_with_gic = {
    .name = "isa-rig-gic",
    .instance_size = sizeof(Device),
    .build = build_with_gic,
    .max_vcpus = 4,
    .reset = reset,
};

/* The model, and its features in the configuration. */
static void choose_cpu(MachineConfig *config, const char *cpu)
{
    g_auto(GStrv) parts = g_strsplit(cpu, ",", -1);

    config->cpu_model = cpu_model_find(&arm_target, parts[0]);
    g_assert_nonnull(config->cpu_model);
    config->cpu_options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (char **part = parts + 1; *part; part++) {
        g_auto(GStrv) pair = g_strsplit(*part, "=", 2);

        g_hash_table_insert(config->cpu_options, g_strdup(pair[0]), g_strdup(pair[1]));
    }
}

static bool open_board(IsaRig *rig, const Board *board, const char *cpu, unsigned vcpus,
                       bool interp)
{
    MachineConfig config = { .target = &arm_target,
                             .board = board,
                             .vcpus = vcpus,
                             .ram_bytes = RIG_RAM_BYTES,
                             .rtc_base_s = INT64_MIN };
    GHashTable *options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GError *error = NULL;

    choose_cpu(&config, cpu);
    if (interp) {
        g_hash_table_insert(options, g_strdup("interp"), g_strdup("on"));
    }
    rig->machine = machine_new(&config);
    if (!machine_set_accelerator(rig->machine, accelerator_find("tcg", NULL), options, &error)) {
        g_assert_true(g_error_matches(error, KASO_ERROR, KASO_ERROR_UNSUPPORTED));
        printf("%s\n", error->message);
        g_clear_error(&error);
        g_hash_table_unref(options);
        machine_free(rig->machine);
        return false;
    }
    machine_build(rig->machine, &error);
    g_assert_no_error(error);
    g_hash_table_unref(options);
    machine_lock(rig->machine);
    machine_reset(rig->machine);
    rig->cpu = arm_cpu(rig->machine->vcpus->pdata[0]);
    rig->ram = rig->machine->ram.host;
    return true;
}

bool isa_rig_open(IsaRig *rig, const char *cpu, unsigned vcpus, bool interp)
{
    return open_board(rig, &isa_board, cpu, vcpus, interp);
}

bool isa_rig_open_with_gic(IsaRig *rig, const char *cpu, unsigned vcpus, bool interp)
{
    return open_board(rig, &isa_board_with_gic, cpu, vcpus, interp);
}

/* Registers as an operating system would have set them before it returns to EL0. */
static void prepare(IsaRig *rig)
{
    const uint64_t normal = 1 << 10 | 3 << 8 | 1;
    ArmCpu *cpu = rig->cpu;
    uint64_t *table = (uint64_t *)(void *)(rig->ram + TABLE);

    memcpy(rig->ram + VECTORS + 0x400, vector_code, sizeof vector_code);
    table[1] = RIG_RAM | normal | 1 << 6;
    table[2] = RIG_RAM | normal | UINT64_C(1) << 54;
    cpu->ttbr0_el1 = RIG_RAM + TABLE;
    cpu->tcr_el1 = 25 | 1 << 23 | UINT64_C(2) << 32;
    cpu->mair_el1 = 0xff;
    cpu->cpacr_el1 = 3 << 20;
    cpu->vbar_el1 = ALIAS + VECTORS;
    cpu->sctlr_el1 |= SCTLR_M | SCTLR_C | SCTLR_I | SCTLR_DZE | SCTLR_UCT | SCTLR_UCI | SCTLR_NTWI |
                      SCTLR_NTWE | SCTLR_MSCEN;
    cpu->sctlr_el1 &= ~(uint64_t)SCTLR_SA0;
    arm_set_pstate(cpu, 0);
}

static void run(IsaRig *rig, uint64_t pc)
{
    tcg_set_pc(&rig->cpu->tcg, pc);
    arm_update_controls(rig->cpu);
    arm_update_context(rig->cpu);
    machine_start(rig->machine);
    machine_unlock(rig->machine);
    machine_run(rig->machine);
    machine_lock(rig->machine);
}

void isa_rig_run(IsaRig *rig, uint64_t pc)
{
    prepare(rig);
    run(rig, pc);
    rig->cpu->x[0] = rig->cpu->tpidr_el1;
}

void isa_rig_run_bare(IsaRig *rig)
{
    run(rig, RIG_RAM);
}

void isa_rig_close(IsaRig *rig)
{
    machine_unlock(rig->machine);
    machine_free(rig->machine);
}
