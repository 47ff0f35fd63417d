/* SPDX-License-Identifier: MIT */
/*
 * Units are shared by all CPUs, so nothing that differs between CPUs may be folded into them. Four CPUs,
 * one after the other, run the same code: it gives every register that it may write a value of the CPU's
 * own, then reads every register that there is. What each has read is compared with the register tables.
 */
#include <glib.h>
#include <stdio.h>

#include "base/bits.h"
#include "target/arm/sysregs.h"
#include "tests/isa/rig.h"

enum {
    CPUS = 4,
    FIRST = 2 << 14, /* op0 2 and 3 */
    END = 4 << 14,
    MOST = 2048,
    VECTORS = 0x400000, /* offsets in RAM */
    VALUES = 0x800000,
    VALUES_BYTES = 8 * MOST,
};

enum {
    MSR_VBAR_X9 = 0xd518c009,
    MSR_CPACR_X9 = 0xd5181049,
    ISB = 0xd5033fdf,
    HVC_0 = 0xd4000002,
};

/* Read before a register; what is undefined leaves it. */
#define UNREAD UINT64_C(0xdead)

/* Handler: goes on behind the instruction. */
static const uint32_t skip[] = {
    0xd5384029, /* mrs x9, elr_el1 */
    0x91001129, /* add x9, x9, #4 */
    0xd5184029, /* msr elr_el1, x9 */
    0xd69f03e0, /* eret */
};

static uint32_t *emit_mov(uint32_t *code, unsigned reg, uint32_t value)
{
    store_le32(code++, 0xd2800000 | (value & 0xffff) << 5 | reg);
    store_le32(code++, 0xf2a00000 | (value >> 16) << 5 | reg);
    return code;
}

/* Without these the program would stop working, or what it reads would change by itself. */
static bool may_write(uint32_t encoding)
{
    static const char *const not [] = { "sctlr_el1", "vbar_el1",  "cpacr_el1", "elr_el1",
                                        "spsr_el1",  "mdscr_el1", "pmcr_el0",  "esr_el1" };
    unsigned crn = encoding >> 7 & 15, op0 = encoding >> 14;
    const ArmSysreg *const *table, *const tables[] = { arm_sysregs_id,    arm_sysregs_memory,
                                                       arm_sysregs_timer, arm_sysregs_debug,
                                                       arm_sysregs_pmu,   NULL };

    for (table = tables; *table; table++) {
        for (const ArmSysreg *reg = *table; reg->name; reg++) {
            if (reg->encoding == encoding) {
                for (size_t i = 0; i < ARRAY_SIZE(not ); i++) {
                    if (strcmp(reg->name, not [i]) == 0) {
                        return false;
                    }
                }
                return !g_str_has_prefix(reg->name, "osl") && reg->access & ARM_EL1_W;
            }
        }
    }
    /* Of the GIC: PMR, binary points, active priorities, group enables, but nothing that acts. */
    return op0 == 3 &&
           (encoding == ARM_SYSREG(3, 0, 4, 6, 0) ||
            (crn == 12 && (encoding >> 3 & 15) == 8 && (encoding & 7) >= 3) ||
            encoding == ARM_SYSREG(3, 0, 12, 12, 6) || encoding == ARM_SYSREG(3, 0, 12, 12, 7));
}

/* Every register of the tables and of the GIC, PSTATE's, and some encodings that are undefined. */
static GArray *choose(IsaRig *rig)
{
    GArray *encodings = g_array_new(false, false, sizeof(uint32_t));
    void *opaque;

    for (uint32_t e = FIRST; e < END; e++) {
        bool pstate = e >> 14 == 3 && (e >> 7 & 15) == 4;

        if (arm_sysreg_find(rig->cpu, e) || pstate || e % 97 == 0 ||
            machine_find_external_register(rig->machine, e, &opaque)) {
            g_array_append_val(encodings, e);
        }
    }
    g_assert_cmpuint(encodings->len, <, MOST);
    return encodings;
}

static uint32_t encoding_at(const GArray *encodings, unsigned i)
{
    return g_array_index(encodings, uint32_t, i);
}

/* x20: the CPU's number; x21: where its values go. */
static void make_program(IsaRig *rig, const GArray *encodings)
{
    uint32_t *code = (uint32_t *)(void *)rig->ram;

    for (unsigned vector = 0; vector < 16; vector++) {
        memcpy(rig->ram + VECTORS + 0x80 * vector, skip, sizeof skip);
    }
    store_le32(code++, 0xaa0003f4); /* mov x20, x0 */
    code = emit_mov(code, 21, RIG_RAM + VALUES);
    code = emit_mov(code, 9, VALUES_BYTES);
    store_le32(code++, 0x9b095695); /* madd x21, x20, x9, x21 */
    code = emit_mov(code, 9, RIG_RAM + VECTORS);
    store_le32(code++, MSR_VBAR_X9);
    code = emit_mov(code, 9, 3 << 20);
    store_le32(code++, MSR_CPACR_X9);
    store_le32(code++, ISB);
    code = emit_mov(code, 9, 0x11111100);
    store_le32(code++, 0x91000696); /* add x22, x20, #1 */
    store_le32(code++, 0x9b097ed6); /* mul x22, x22, x9 */
    for (unsigned i = 0; i < encodings->len; i++) {
        if (may_write(encoding_at(encodings, i))) {
            store_le32(code++, 0xd5100000 | encoding_at(encodings, i) << 5 | 22);
        }
    }
    store_le32(code++, ISB);
    for (unsigned i = 0; i < encodings->len; i++) {
        store_le32(code++, 0xd2800000 | UNREAD << 5 | 1);                    /* mov x1, #UNREAD */
        store_le32(code++, 0xd5300000 | encoding_at(encodings, i) << 5 | 1); /* mrs x1, … */
        store_le32(code++, 0xf80086a1);                                      /* str x1, [x21], #8 */
    }
    /* The next CPU, or the end. */
    code = emit_mov(code, 0, 0x84000003); /* CPU_ON */
    store_le32(code++, 0x91000681);       /* add x1, x20, #1 */
    code = emit_mov(code, 2, RIG_RAM);
    store_le32(code++, 0xaa0103e3);         /* mov x3, x1 */
    store_le32(code++, 0xf1000c3f + 0x400); /* cmp x1, #4 */
    store_le32(code++, 0x540000a0);         /* b.eq 1f */
    store_le32(code++, HVC_0);
    store_le32(code++, 0xd503207f);       /* 2: wfi */
    store_le32(code++, 0x17ffffff);       /* b 2b */
    store_le32(code++, 0xd503201f);       /* nop */
    code = emit_mov(code, 0, 0x84000008); /* 1: SYSTEM_OFF */
    store_le32(code++, HVC_0);
    store_le32(code++, 0x14000000); /* b . */
    g_assert_cmpuint((uint8_t *)code - rig->ram, <, VECTORS);
}

/* What changes between two reads. */
static bool is_volatile(const char *name)
{
    static const char *const names[] = { "cntpct_el0",    "cntvct_el0", "cntp_tval_el0",
                                         "cntv_tval_el0", "elr_el1",    "spsr_el1",
                                         "esr_el1",       "far_el1" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return g_str_has_prefix(name, "pmc") || g_str_has_prefix(name, "pmx");
}

/* The register as the tables have it for one CPU; false: it is not in them, or has no steady value. */
static bool expected(ArmCpu *cpu, uint32_t encoding, const char **name, uint64_t *value)
{
    const ArmSysreg *reg = arm_sysreg_find(cpu, encoding);
    const ExternalRegister *external;
    void *opaque;

    if (reg) {
        *name = reg->name;
        *value = reg->access & ARM_EL1_R ? arm_sysreg_read(cpu, reg) : UNREAD;
        return !is_volatile(reg->name);
    }
    external = machine_find_external_register(cpu->vcpu.machine, encoding, &opaque);
    if (!external) {
        return false;
    }
    *name = external->name;
    if (!external->read(opaque, &cpu->vcpu, encoding, value)) {
        *value = UNREAD;
    }
    return true;
}

static bool check(IsaRig *rig, const GArray *encodings, const char *cpu_name, bool interp)
{
    unsigned readable = 0, unlike = 0;
    bool good = true;

    for (unsigned i = 0; i < encodings->len; i++) {
        bool differs = false;

        for (unsigned n = 0; n < CPUS; n++) {
            const uint8_t *values = rig->ram + VALUES + n * VALUES_BYTES;
            uint64_t read = load_le64(values + 8 * i), want;
            const char *name;

            differs |= read != load_le64(rig->ram + VALUES + 8 * i);
            if (expected(arm_cpu(rig->machine->vcpus->pdata[n]), encoding_at(encodings, i), &name,
                         &want)) {
                readable += n == 0 && want != UNREAD;
                if (read != want) {
                    printf("%s, %s: CPU %u reads %s as %#" PRIx64 ", not %#" PRIx64 "\n", cpu_name,
                           interp ? "interpreter" : "translator", n, name, read, want);
                    good = false;
                }
            }
        }
        unlike += differs;
    }
    printf("%s, %s: %u registers, %u unlike\n", cpu_name, interp ? "interpreter" : "translator",
           readable, unlike);
    return good && readable > 100 && unlike > 60;
}

static bool run(const char *cpu, bool interp)
{
    g_autoptr(GArray) encodings = NULL;
    IsaRig rig;
    bool good;

    if (!isa_rig_open_with_gic(&rig, cpu, CPUS, interp)) {
        return true;
    }
    encodings = choose(&rig);
    make_program(&rig, encodings);
    isa_rig_run_bare(&rig);
    good = check(&rig, encodings, cpu, interp);
    for (unsigned n = 0; n < CPUS; n++) {
        g_assert_cmphex(arm_cpu(rig.machine->vcpus->pdata[n])->mpidr, ==, 0x80000000 | n);
    }
    isa_rig_close(&rig);
    return good;
}

int main(void)
{
    bool good = true;

    for (unsigned interp = 0; interp < 2; interp++) {
        good &= run("max", interp);
        good &= run("cortex-a53", interp);
    }
    return !good;
}
