/* SPDX-License-Identifier: MIT */
#include "tests/isa/rig-x86.h"

#include <cpuid.h>
#include <stdio.h>

#include "base/bits.h"
#include "base/error.h"
#include "machine/accelerator.h"
#include "target/i386/control.h"

enum { TABLES = 0x3ff0000 };

typedef struct {
    Device device;
    MemoryRegion port;
    X86Rig *rig;
} RigBoard;

static X86Rig *opening;

static MemoryResult end_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                              MemoryAttributes attributes)
{
    X86Rig *rig = opaque;

    rig->end_value = (uint32_t)value;
    machine_request_stop(rig->machine, STOP_DEBUG, NULL);
    return MEMORY_OK;
}

static const MemoryOps end_ops = { .write = end_write };

static bool build(Machine *machine, void *instance, GError **error)
{
    RigBoard *board = instance;

    board->rig = opening;
    memory_region_init_io(&board->port, machine, "end", 1, &end_ops, board->rig);
    memory_region_add(machine->system_io, X86_RIG_END_PORT, &board->port, 0);
    return machine_map_ram(machine, 0, error) && machine_create_vcpus(machine, error);
}

static const Board x86_board = {
    .name = "x86-rig",
    .instance_size = sizeof(RigBoard),
    .build = build,
    .max_vcpus = 4,
};

/* The model, and its features in the configuration. */
static void choose_cpu(MachineConfig *config, const char *cpu)
{
    g_auto(GStrv) parts = g_strsplit(cpu, ",", -1);

    config->cpu_model = cpu_model_find(&x86_64_target, parts[0]);
    g_assert_nonnull(config->cpu_model);
    config->cpu_options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    for (unsigned i = 1; parts[i]; i++) {
        g_auto(GStrv) pair = g_strsplit(parts[i], "=", 2);

        g_hash_table_insert(config->cpu_options, g_strdup(pair[0]), g_strdup(pair[1]));
    }
}

bool x86_rig_open(X86Rig *rig, const char *cpu, bool interp)
{
    return x86_rig_open_smp(rig, cpu, interp, 1);
}

bool x86_rig_open_smp(X86Rig *rig, const char *cpu, bool interp, unsigned vcpus)
{
    MachineConfig config = { .target = &x86_64_target,
                             .board = &x86_board,
                             .vcpus = vcpus,
                             .ram_bytes = X86_RIG_RAM_BYTES,
                             .rtc_base_s = INT64_MIN };
    GHashTable *options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GError *error = NULL;

    choose_cpu(&config, cpu);
    g_hash_table_insert(options, g_strdup("verify"), g_strdup("on"));
    if (interp) {
        g_hash_table_insert(options, g_strdup("interp"), g_strdup("on"));
    }
    opening = rig;
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
    rig->cpu = x86_cpu(rig->machine->vcpus->pdata[0]);
    rig->ram = rig->machine->ram.host;
    return true;
}

void x86_rig_long_mode(X86Rig *rig)
{
    uint64_t *tables = (uint64_t *)(void *)(rig->ram + TABLES);

    tables[0] = (TABLES + 0x1000) | 7;
    if (x86_has(rig->cpu, X86_FEATURE_PDPE1GB)) {
        tables[512] = 7 | 1 << 7; /* a page of 1 GiB */
    } else {
        tables[512] = (TABLES + 0x2000) | 7;
        for (unsigned i = 0; i < 512; i++) {
            tables[1024 + i] = (uint64_t)i << 21 | 7 | 1 << 7;
        }
    }
    x86_rig_long_mode_cpu(rig, rig->cpu);
}

void x86_rig_long_mode_cpu(X86Rig *rig, X86Cpu *cpu)
{
    const uint32_t rights = X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED | X86_SEG_G;

    cpu->cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP | CR0_MP;
    cpu->cr3 = TABLES;
    cpu->cr4 =
        CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | (x86_has(cpu, X86_FEATURE_XSAVE) ? CR4_OSXSAVE : 0);
    cpu->xcr0 = x86_xcr0_mask(cpu);
    cpu->efer = EFER_LME | EFER_LMA | EFER_SCE;
    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        x86_set_segment(cpu, (X86SegmentName)i, 16, 0, 0xffffffff, rights | X86_SEG_B);
    }
    x86_set_segment(cpu, X86_CS, 8, 0, 0xffffffff, rights | X86_SEG_CODE | X86_SEG_L);
    x86_update_context(cpu);
}

void x86_rig_run(X86Rig *rig, uint64_t pc)
{
    rig->machine->config.no_reboot = true;
    tcg_set_pc(&rig->cpu->tcg, pc);
    x86_update_context(rig->cpu);
    machine_start(rig->machine);
    machine_unlock(rig->machine);
    while (machine_running(rig->machine)) {
        g_main_context_iteration(NULL, true);
    }
    machine_lock(rig->machine);
}

void x86_rig_close(X86Rig *rig)
{
    machine_unlock(rig->machine);
    machine_free(rig->machine);
}

/* In the catcher's page. */
enum {
    HANDLERS = 0x400,
    HANDLER_BYTES = 32,
    VECTORS = 32,
    SEEN = 0x800,
    GDT = 0x900,
    TSS = 0xa00,
    STACK_TOP = 0x1000
};
enum { TSS_RSP0 = 4, TSS_IST1 = 0x24, TSS_BYTES = 0x68, TASK = 0x28 };

static void put_handler(X86Rig *rig, uint32_t at, unsigned vector, bool wide)
{
    uint8_t *p = rig->ram + at + HANDLERS + HANDLER_BYTES * vector;
    /* mov al, vector; mov dx, END_PORT; out dx, al; jmp . */
    const uint8_t end[] = { 0xb0, (uint8_t)vector, 0x66, 0xba, 0xf4, 0x05, 0xee, 0xeb, 0xfe };

    /* mov ss:[SEEN], rsp */
    if (wide) {
        memcpy(p, (uint8_t[]){ 0x48, 0x89, 0x24, 0x25 }, 4);
        p += 4;
    } else {
        memcpy(p, (uint8_t[]){ 0x36, 0x89, 0x25 },
               3); /* from virtual-8086 mode only SS is loaded */
        p += 3;
    }
    store_le32(p, at + SEEN);
    memcpy(p + 4, end, sizeof end);
}

static void put_gate(X86Rig *rig, uint32_t at, unsigned vector, bool wide)
{
    uint32_t handler = at + HANDLERS + HANDLER_BYTES * vector;
    uint64_t gate =
        (handler & 0xffff) | 8 << 16 | UINT64_C(0x8e00) << 32 | (uint64_t)(handler >> 16) << 48;

    store_le64(rig->ram + at + (wide ? 16 : 8) * vector, gate | (wide ? UINT64_C(1) << 32 : 0));
}

void x86_rig_catch(X86Rig *rig, uint32_t at)
{
    static const uint64_t descriptors[] = { 0, 0x00209b0000000000, 0x00cf93000000ffff,
                                            0x00cff3000000ffff, 0x0020fb0000000000 };
    bool wide = rig->cpu->efer & EFER_LMA;

    for (unsigned i = 0; i < VECTORS; i++) {
        put_handler(rig, at, i, wide);
        put_gate(rig, at, i, wide);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(descriptors); i++) {
        store_le64(rig->ram + at + GDT + 8 * i, descriptors[i]);
    }
    if (!wide) {
        store_le64(rig->ram + at + GDT + 8, UINT64_C(0x00cf9b000000ffff));
    }
    store_le64(rig->ram + at + TSS + TSS_RSP0, at + STACK_TOP);
    store_le64(rig->ram + at + TSS + TSS_IST1, at + STACK_TOP);
    rig->cpu->gdtr = (X86TableRegister){ at + GDT, TASK + 15 };
    rig->cpu->idtr = (X86TableRegister){ at, 16 * VECTORS - 1 };
    rig->cpu->tr =
        (X86Segment){ .selector = TASK, .base = at + TSS, .limit = TSS_BYTES - 1, .flags = 0x8b00 };
}

uint8_t *x86_rig_frame(X86Rig *rig, uint32_t catcher)
{
    return rig->ram + load_le32(rig->ram + catcher + SEEN);
}

void x86_rig_user_mode(X86Rig *rig)
{
    const uint32_t rights = X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED | X86_SEG_G |
                            3 << X86_SEG_DPL_SHIFT;

    x86_set_segment(rig->cpu, X86_SS, X86_RIG_DATA_3, 0, 0xffffffff, rights | X86_SEG_B);
    x86_set_segment(rig->cpu, X86_CS, X86_RIG_CODE_3, 0, 0xffffffff,
                    rights | X86_SEG_CODE | X86_SEG_L);
    rig->cpu->cpl = 3;
}

void x86_rig_put_code(X86Rig *rig, uint32_t at, const uint8_t *code, unsigned bytes)
{
    const uint8_t end[] = { 0xb0, X86_RIG_DONE, 0x66, 0xba, 0xf4, 0x05, 0xee, 0xeb, 0xfe };

    memcpy(rig->ram + at, code, bytes);
    memcpy(rig->ram + at + bytes, end, sizeof end);
}

bool x86_rig_host_has_vex(void)
{
    const unsigned basic = bit_FMA | bit_OSXSAVE | bit_AVX | bit_F16C | bit_AES | bit_PCLMUL;
    const unsigned extended_b = bit_AVX2 | bit_BMI | bit_BMI2;
    const unsigned extended_c = bit_GFNI | bit_VAES | bit_VPCLMULQDQ;
    unsigned a, b, c, d;

    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & basic) != basic) {
        return false;
    }
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & extended_b) == extended_b &&
           (c & extended_c) == extended_c;
}
