/* SPDX-License-Identifier: MIT */
/* Identification registers (DDI 0487 D19.2): they tell exactly which features the CPU has. */
#include "target/arm/models.h"
#include "target/arm/sysregs.h"

/* Where a feature shows: CRm and op2 of the register, the field's low bit, and its value. */
typedef struct {
    ArmFeature feature;
    uint8_t crm, op2, shift, value;
} IdField;

/* Of several rows for one field the largest value counts. */
/* clang-format off */
static const IdField id_fields[] = {
    { FEAT_FP16, 4, 0, 16, 1 }, { FEAT_FP16, 4, 0, 20, 1 },
    { FEAT_BTI, 4, 1, 0, 1 }, { FEAT_SSBS, 4, 1, 4, 1 },
    { FEAT_SSBS2, 4, 1, 4, 2 },
    { FEAT_AES, 6, 0, 4, 1 }, { FEAT_PMULL, 6, 0, 4, 2 }, { FEAT_SHA1, 6, 0, 8, 1 },
    { FEAT_SHA256, 6, 0, 12, 1 }, { FEAT_SHA512, 6, 0, 12, 2 }, { FEAT_CRC32, 6, 0, 16, 1 },
    { FEAT_LSE, 6, 0, 20, 2 }, { FEAT_RDM, 6, 0, 28, 1 }, { FEAT_SHA3, 6, 0, 32, 1 },
    { FEAT_SM3, 6, 0, 36, 1 }, { FEAT_SM4, 6, 0, 40, 1 }, { FEAT_DOTPROD, 6, 0, 44, 1 },
    { FEAT_FHM, 6, 0, 48, 1 }, { FEAT_FLAGM, 6, 0, 52, 1 }, { FEAT_FLAGM2, 6, 0, 52, 2 },
    { FEAT_TLBIOS, 6, 0, 56, 1 }, { FEAT_TLBIRANGE, 6, 0, 56, 2 }, { FEAT_RNG, 6, 0, 60, 1 },
    { FEAT_DPB, 6, 1, 0, 1 }, { FEAT_DPB2, 6, 1, 0, 2 }, { FEAT_PAUTH_IMPDEF, 6, 1, 8, 3 },
    { FEAT_JSCVT, 6, 1, 12, 1 }, { FEAT_FCMA, 6, 1, 16, 1 }, { FEAT_LRCPC, 6, 1, 20, 1 },
    { FEAT_LRCPC2, 6, 1, 20, 2 }, { FEAT_PAUTH_IMPDEF, 6, 1, 28, 1 }, { FEAT_FRINTTS, 6, 1, 32, 1 },
    { FEAT_SB, 6, 1, 36, 1 }, { FEAT_SPECRES, 6, 1, 40, 1 }, { FEAT_BF16, 6, 1, 44, 1 },
    { FEAT_I8MM, 6, 1, 52, 1 },
    { FEAT_WFXT, 6, 2, 0, 2 }, { FEAT_MOPS, 6, 2, 16, 1 },
    { FEAT_PAUTH_QARMA3, 6, 2, 8, 1 }, { FEAT_PAUTH_QARMA3, 6, 2, 12, 3 },
    { FEAT_HAFDBS, 7, 1, 0, 2 }, { FEAT_HPDS, 7, 1, 12, 1 }, { FEAT_PAN, 7, 1, 20, 1 },
    { FEAT_PAN2, 7, 1, 20, 2 },
    { FEAT_TTCNP, 7, 2, 0, 1 }, { FEAT_UAO, 7, 2, 4, 1 }, { FEAT_ST, 7, 2, 28, 1 },
    { FEAT_TTL, 7, 2, 48, 1 }, { FEAT_E0PD, 7, 2, 60, 1 },
};
/* clang-format on */

void arm_id_registers_init(ArmCpu *cpu)
{
    uint64_t *id = cpu->id_registers;
    const ArmModel *model = cpu->arm_model;

    memset(id, 0, sizeof cpu->id_registers);
    id[4 << 3 | 0] = 0x11 | (model->csv ? UINT64_C(0x11) << 56 : 0);
    /* Debug v8; 6 breakpoints of which 2 compare contexts; 4 watchpoints; PMUv3. */
    id[5 << 3 | 0] = 6 | (ARM_MAX_BREAKPOINTS - 1) << 12 | (ARM_MAX_WATCHPOINTS - 1) << 20 |
                     1 << 28 | (arm_has(cpu, FEAT_PMU) ? 1 << 8 : 0);
    /* 16-bit ASIDs, mixed endianness, 4 and 64 KiB granules. */
    id[7 << 3 | 0] =
        model->physical_range | 2 << 4 | 1 << 8 | 1 << 12 | (model->granule_16k ? 1 << 20 : 0);
    id[7 << 3 | 1] = model->ecbhb ? UINT64_C(1) << 60 : 0;
    /* APA and GPA: QARMA5. */
    id[6 << 3 | 1] = arm_has(cpu, FEAT_PAUTH) && !arm_has(cpu, FEAT_PAUTH_IMPDEF) &&
                             !arm_has(cpu, FEAT_PAUTH_QARMA3)
                         ? 3 << 4 | 1 << 24
                         : 0;
    for (size_t i = 0; i < ARRAY_SIZE(id_fields); i++) {
        const IdField *f = &id_fields[i];
        uint64_t *reg = &id[f->crm << 3 | f->op2];

        if (arm_has(cpu, f->feature) && bits_extract(*reg, f->shift, 4) < f->value) {
            *reg = bits_deposit(*reg, f->shift, 4, f->value);
        }
    }
}

static uint64_t read_id(ArmCpu *cpu, const ArmSysreg *reg)
{
    uint64_t value = cpu->id_registers[reg->encoding & 63];
    void *opaque;

    if ((reg->encoding & 63) == (4 << 3)) {
        /* ICC_SRE_EL1 is there exactly with the system register interface of a GICv3. */
        if (machine_find_external_register(cpu->vcpu.machine, ARM_SYSREG(3, 0, 12, 12, 5),
                                           &opaque)) {
            value |= 1 << 24;
        }
    }
    return value;
}

static uint64_t read_model(ArmCpu *cpu, const ArmSysreg *reg)
{
    const ArmModel *model = cpu->arm_model;

    switch (reg->index) {
    case 0:
        return model->midr;
    case 1:
        return cpu->mpidr;
    case 2:
        return model->revidr;
    case 3:
        return model->ctr;
    case 4:
        return model->clidr;
    default:
        /* BS: log2 of words; DZP: whether DC ZVA is prohibited here. */
        return (uint64_t)__builtin_ctz((unsigned)cpu->dczva_bytes) - 2;
    }
}

static uint64_t read_dczid(ArmCpu *cpu, const ArmSysreg *reg)
{
    return read_model(cpu, reg) | (cpu->mode & ARM_MODE_DZE ? 0 : 1 << 4);
}

static uint64_t read_ccsidr(ArmCpu *cpu, const ArmSysreg *reg)
{
    static const uint8_t cache[16] = { 0, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3 };

    return cpu->arm_model->ccsidr[cache[cpu->csselr_el1 & 15]];
}

/* clang-format off */
#define MODEL(op1, crm, op2, name, number)                                                         \
    { ARM_SYSREG(3, op1, 0, crm, op2), name, ARM_EL1_R | ARM_SYSREG_CONST, .read = read_model,     \
      .index = number }
#define ID(crm, op2, name)                                                                         \
    { ARM_SYSREG(3, 0, 0, crm, op2), name, ARM_EL1_R | ARM_SYSREG_CONST, .read = read_id }
#define ID_GROUP(crm, n0, n1, n2, n3, n4, n5, n6, n7)                                              \
    ID(crm, 0, n0), ID(crm, 1, n1), ID(crm, 2, n2), ID(crm, 3, n3), ID(crm, 4, n4),                \
    ID(crm, 5, n5), ID(crm, 6, n6), ID(crm, 7, n7)
#define RESERVED "reserved_id"

const ArmSysreg arm_sysregs_id[] = {
    MODEL(0, 0, 0, "midr_el1", 0), MODEL(0, 0, 6, "revidr_el1", 2),
    { ARM_SYSREG(3, 0, 0, 0, 5), "mpidr_el1", ARM_EL1_R, .read = read_model, .index = 1 },
    ID_GROUP(1, "id_pfr0_el1", "id_pfr1_el1", "id_dfr0_el1", "id_afr0_el1", "id_mmfr0_el1",
             "id_mmfr1_el1", "id_mmfr2_el1", "id_mmfr3_el1"),
    ID_GROUP(2, "id_isar0_el1", "id_isar1_el1", "id_isar2_el1", "id_isar3_el1", "id_isar4_el1",
             "id_isar5_el1", "id_mmfr4_el1", "id_isar6_el1"),
    ID_GROUP(3, "mvfr0_el1", "mvfr1_el1", "mvfr2_el1", RESERVED, "id_pfr2_el1", "id_dfr1_el1",
             "id_mmfr5_el1", RESERVED),
    ID_GROUP(4, "id_aa64pfr0_el1", "id_aa64pfr1_el1", "id_aa64pfr2_el1", RESERVED,
             "id_aa64zfr0_el1", "id_aa64smfr0_el1", RESERVED, "id_aa64fpfr0_el1"),
    ID_GROUP(5, "id_aa64dfr0_el1", "id_aa64dfr1_el1", "id_aa64dfr2_el1", RESERVED,
             "id_aa64afr0_el1", "id_aa64afr1_el1", RESERVED, RESERVED),
    ID_GROUP(6, "id_aa64isar0_el1", "id_aa64isar1_el1", "id_aa64isar2_el1", "id_aa64isar3_el1",
             RESERVED, RESERVED, RESERVED, RESERVED),
    ID_GROUP(7, "id_aa64mmfr0_el1", "id_aa64mmfr1_el1", "id_aa64mmfr2_el1", "id_aa64mmfr3_el1",
             "id_aa64mmfr4_el1", RESERVED, RESERVED, RESERVED),
    { ARM_SYSREG(3, 1, 0, 0, 0), "ccsidr_el1", ARM_EL1_R, .read = read_ccsidr },
    MODEL(1, 0, 1, "clidr_el1", 4),
    { ARM_SYSREG(3, 1, 0, 0, 7), "aidr_el1", ARM_EL1_R | ARM_SYSREG_CONST },
    { ARM_SYSREG(3, 2, 0, 0, 0), "csselr_el1", ARM_EL1_RW, .field = offsetof(ArmCpu, csselr_el1),
      .read_only = ~UINT64_C(15) },
    { ARM_SYSREG(3, 3, 0, 0, 1), "ctr_el0", ARM_ALL_R | ARM_SYSREG_CONST, .read = read_model,
      .index = 3, .el0_mode = ARM_MODE_UCT },
    { ARM_SYSREG(3, 3, 0, 0, 7), "dczid_el0", ARM_ALL_R, .read = read_dczid, .index = 5 },
    { 0 },
};
/* clang-format on */
