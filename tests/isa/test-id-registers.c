/* SPDX-License-Identifier: MIT */
/*
 * Identification registers as a guest at EL1 reads them: the processors' against the values in their
 * Technical Reference Manuals, and -cpu max's against the Arm ARM's encodings of what we have. Then
 * every switch of -cpu max: switched off, its field is zero and its instructions are undefined.
 */
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bits.h"
#include "target/arm/sysregs.h"
#include "tests/isa/rig.h"

enum {
    VECTORS = 0x800, /* offsets in RAM */
    VALUES = 0x100000,
    SCRATCH = 0x200000,
    MAX_READS = 128,
};

/* Encodings; x2 is the address of SCRATCH. */
enum {
    MSR_VBAR_X9 = 0xd518c009,
    MSR_CPACR_X9 = 0xd5181049,
    MSR_CSSELR_X9 = 0xd51a0009,
    ISB = 0xd5033fdf,
    HVC_0 = 0xd4000002,
    MRS_X3_ESR = 0xd5385203,
};

typedef struct {
    IsaRig rig;
    uint32_t *code;
} Program;

static void emit(Program *p, uint32_t insn)
{
    store_le32(p->code++, insn);
}

/* MOVZ and MOVK of the low 32 bits. */
static void emit_mov(Program *p, unsigned reg, uint32_t value)
{
    emit(p, 0xd2800000 | (value & 0xffff) << 5 | reg);
    emit(p, 0xf2a00000 | (value >> 16) << 5 | reg);
}

static void emit_off(Program *p)
{
    emit_mov(p, 0, 0x84000008);
    emit(p, HVC_0);
}

static bool begin(Program *p, const char *cpu, bool interp)
{
    if (!isa_rig_open(&p->rig, cpu, 1, interp)) {
        return false;
    }
    p->code = (uint32_t *)(void *)(p->rig.ram + VECTORS + 0x200);
    emit(p, MRS_X3_ESR);
    emit_off(p);
    p->code = (uint32_t *)(void *)p->rig.ram;
    emit_mov(p, 9, RIG_RAM + VECTORS);
    emit(p, MSR_VBAR_X9);
    emit_mov(p, 9, 3 << 20);
    emit(p, MSR_CPACR_X9);
    emit(p, ISB);
    return true;
}

/* Reading. */

#define ID(crm, op2) ARM_SYSREG(3, 0, 0, crm, op2)
enum {
    CTR = ARM_SYSREG(3, 3, 0, 0, 1),
    DCZID = ARM_SYSREG(3, 3, 0, 0, 7),
    CLIDR = ARM_SYSREG(3, 1, 0, 0, 1),
    CCSIDR = ARM_SYSREG(3, 1, 0, 0, 0),
    AIDR = ARM_SYSREG(3, 1, 0, 0, 7),
    CNTFRQ = ARM_SYSREG(3, 3, 14, 0, 0),
    /* CCSIDR_EL1 for the values 0, 1 and 2 of CSSELR_EL1. */
    CCSIDR_L1D = CCSIDR | 1 << 20,
    CCSIDR_L1I = CCSIDR | 2 << 20,
    CCSIDR_L2 = CCSIDR | 3 << 20,
};

typedef struct {
    uint32_t encoding[MAX_READS];
    uint64_t value[MAX_READS];
    unsigned count;
} Readings;

static void emit_read(Program *p, Readings *r, uint32_t encoding)
{
    if (encoding >> 20) {
        emit_mov(p, 9, (encoding >> 20) - 1);
        emit(p, MSR_CSSELR_X9);
        emit(p, ISB);
    }
    emit(p, 0xd5300000 | (encoding & 0xffff) << 5 | 1); /* mrs x1, … */
    emit(p, 0xf8008441);                                /* str x1, [x2], #8 */
    r->encoding[r->count++] = encoding;
}

static bool read_all(const char *cpu, bool interp, Readings *r)
{
    static const uint32_t others[] = { CTR,    DCZID,      CLIDR,      AIDR,
                                       CNTFRQ, CCSIDR_L1D, CCSIDR_L1I, CCSIDR_L2 };
    Program p;

    if (!begin(&p, cpu, interp)) {
        return false;
    }
    r->count = 0;
    emit_mov(&p, 2, RIG_RAM + VALUES);
    emit_read(&p, r, ID(0, 0));
    emit_read(&p, r, ID(0, 5));
    emit_read(&p, r, ID(0, 6));
    for (unsigned i = 8; i < 64; i++) {
        emit_read(&p, r, ID(i >> 3, i & 7));
    }
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        emit_read(&p, r, others[i]);
    }
    emit_mov(&p, 3, 0);
    emit_off(&p);
    isa_rig_run_bare(&p.rig);
    g_assert_cmphex(p.rig.cpu->x[3], ==, 0); /* no exception */
    for (unsigned i = 0; i < r->count; i++) {
        r->value[i] = load_le64(p.rig.ram + VALUES + 8 * i);
    }
    isa_rig_close(&p.rig);
    return true;
}

typedef struct {
    uint32_t encoding;
    const char *name;
    uint64_t a53, a57, a72, max, a35, a55, a76, n1;
} Expected;

/*
 * Cortex-A53 r0p4 (DDI 0500J), Cortex-A57 r1p0 (DDI 0488H), Cortex-A72 r0p3 (100095), max, Cortex-A35 r1p0
 * (100236), Cortex-A55 r2p0 (100442), Cortex-A76 r4p1 (100798), Neoverse N1 r4p1 (100616). What they have
 * and we do not: AArch32, EL2 and EL3 (ID_AA64PFR0_EL1 is 0x2222 there). All others read as zero.
 */
/* clang-format off */
static const Expected expected[] = {
    { ID(0, 0), "MIDR_EL1", 0x410fd034, 0x411fd070, 0x410fd083, 0x000f0510,
      0x411fd040, 0x412fd050, 0x414fd0b1, 0x414fd0c1 },
    { ID(0, 5), "MPIDR_EL1", 0x80000000, 0x80000000, 0x80000000, 0x80000000,
      0x80000000, 0x80000000, 0x80000000, 0x80000000 },
    { ID(4, 0), "ID_AA64PFR0_EL1", 0x11, 0x11, 0x11, UINT64_C(0x1100000000110011),
      0x11, 0x110011, UINT64_C(0x1100000000110011), UINT64_C(0x1100000000110011) },
    { ID(4, 1), "ID_AA64PFR1_EL1", 0, 0, 0, 0x21,
      0, 0x10, 0x10, 0x20 },
    { ID(5, 0), "ID_AA64DFR0_EL1", 0x10305106, 0x10305106, 0x10305106, 0x10305106,
      0x10305106, 0x10305106, 0x10305106, 0x10305106 },
    { ID(6, 0), "ID_AA64ISAR0_EL1", 0x11120, 0x11120, 0x11120, UINT64_C(0x1221111110212120),
      0x11120, UINT64_C(0x100010211120), UINT64_C(0x100010211120), UINT64_C(0x100010211120) },
    { ID(6, 1), "ID_AA64ISAR1_EL1", 0, 0, 0, UINT64_C(0x0010111110211302),
      0, 0x100001, 0x100001, 0x100001 },
    { ID(6, 2), "ID_AA64ISAR2_EL1", 0, 0, 0, 0x10002,
      0, 0, 0, 0 },
    { ID(7, 0), "ID_AA64MMFR0_EL1", 0x1122, 0x1124, 0x1124, 0x101125,
      0x101122, 0x101122, 0x101122, 0x101125 },
    { ID(7, 1), "ID_AA64MMFR1_EL1", 0, 0, 0, UINT64_C(0x1000000000201002),
      0, 0x201002, 0x201002, 0x201002 },
    { ID(7, 2), "ID_AA64MMFR2_EL1", 0, 0, 0, UINT64_C(0x1001000000000011),
      0, 0x11, 0x11, 0x11 },
    { CTR, "CTR_EL0", 0x84448004, 0x8444c004, 0x8444c004, 0x9444c004,
      0x84448004, 0x84448004, 0x8444c004, 0x8444c004 },
    { DCZID, "DCZID_EL0", 4, 4, 4, 4,
      4, 4, 4, 4 },
    { CLIDR, "CLIDR_EL1", 0x0a200023, 0x0a200023, 0x0a200023, 0x0a200023,
      0x0a200023, 0x82000023, 0x82000023, 0x82000023 },
    { CNTFRQ, "CNTFRQ_EL0", 62500000, 62500000, 62500000, 62500000,
      62500000, 62500000, 62500000, 62500000 },
    { CCSIDR_L1D, "CCSIDR_EL1 0", 0x700fe01a, 0x701fe00a, 0x701fe00a, 0x701fe00a,
      0x700fe01a, 0x700fe01a, 0x701fe01a, 0x701fe01a },
    { CCSIDR_L1I, "CCSIDR_EL1 1", 0x201fe00a, 0x201fe012, 0x201fe012, 0x201fe012,
      0x201fe00a, 0x200fe01a, 0x201fe01a, 0x201fe01a },
    { CCSIDR_L2, "CCSIDR_EL1 2", 0x707fe07a, 0x70ffe07a, 0x707fe07a, 0x707fe07a,
      0x703fe03a, 0x703fe07a, 0x707fe03a, 0x70ffe03a },
};
/* clang-format on */

static const Expected *find_expected(uint32_t encoding)
{
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        if (expected[i].encoding == encoding) {
            return &expected[i];
        }
    }
    return NULL;
}

static bool check_model(const char *cpu, size_t column, bool interp)
{
    Readings r;
    bool good = true;

    if (!read_all(cpu, interp, &r)) {
        return true;
    }
    for (unsigned i = 0; i < r.count; i++) {
        const Expected *e = find_expected(r.encoding[i]);
        uint64_t want = e ? *(const uint64_t *)(const void *)((const char *)e + column) : 0;

        if (r.value[i] != want) {
            printf("%s: %s (op1 %u CRm %u op2 %u) is %#" PRIx64 ", not %#" PRIx64 "\n", cpu,
                   e ? e->name : "?", r.encoding[i] >> 11 & 7, r.encoding[i] >> 3 & 15,
                   r.encoding[i] & 7, r.value[i], want);
            good = false;
        }
    }
    return good;
}

/* Switches: the ID field they own, and an instruction (0: none that becomes undefined). */
typedef struct {
    const char *name;
    uint8_t crm, op2, shift, on, off; /* the field's values */
    uint32_t insn;
} Switch;

/* clang-format off */
static const Switch switches[] = {
    { "aes", 6, 0, 4, 2, 0, 0x4e284820 },
    { "pmull", 6, 0, 4, 2, 1, 0x0ee2e020 },
    { "sha1", 6, 0, 8, 1, 0, 0x5e280820 },
    { "sha256", 6, 0, 12, 2, 0, 0x5e024020 },
    { "sha512", 6, 0, 12, 2, 1, 0xce628020 },
    { "sha3", 6, 0, 32, 1, 0, 0xce020c20 },
    { "sm3", 6, 0, 36, 1, 0, 0xce420c20 },
    { "sm4", 6, 0, 40, 1, 0, 0xcec08420 },
    { "crc32", 6, 0, 16, 1, 0, 0x1ac24020 },
    { "lse", 6, 0, 20, 2, 0, 0xf8200041 },
    { "rdm", 6, 0, 28, 1, 0, 0x6e828420 },
    { "dotprod", 6, 0, 44, 1, 0, 0x4e829420 },
    { "fhm", 6, 0, 48, 1, 0, 0x4e22ec20 },
    { "flagm", 6, 0, 52, 2, 0, 0xd500401f },
    { "flagm2", 6, 0, 52, 2, 1, 0xd500405f },
    { "tlbios", 6, 0, 56, 2, 0, 0xd508811f },
    { "tlbirange", 6, 0, 56, 2, 1, 0xd5088620 },
    { "rng", 6, 0, 60, 1, 0, 0xd53b2400 },
    { "dpb", 6, 1, 0, 2, 0, 0xd50b7c22 },
    { "dpb2", 6, 1, 0, 2, 1, 0xd50b7d22 },
    { "pauth", 6, 1, 8, 3, 0, 0xdac10020 },
    { "pauth-impdef", 6, 1, 8, 3, 0, 0 },
    { "jscvt", 6, 1, 12, 1, 0, 0x1e7e0020 },
    { "fcma", 6, 1, 16, 1, 0, 0x6e82e420 },
    { "lrcpc", 6, 1, 20, 2, 0, 0xf8bfc040 },
    { "lrcpc2", 6, 1, 20, 2, 1, 0xd9400040 },
    { "frintts", 6, 1, 32, 1, 0, 0x1e684020 },
    { "sb", 6, 1, 36, 1, 0, 0xd50330ff },
    { "specres", 6, 1, 40, 1, 0, 0xd50b7380 },
    { "bf16", 6, 1, 44, 1, 0, 0x6e42fc20 },
    { "i8mm", 6, 1, 52, 1, 0, 0x4e82a420 },
    { "wfxt", 6, 2, 0, 2, 0, 0xd5031000 },
    { "mops", 6, 2, 16, 1, 0, 0x19c50482 },
    { "fp16", 4, 0, 16, 1, 0, 0x1ee22820 },
    { "bti", 4, 1, 0, 1, 0, 0 },
    { "ssbs", 4, 1, 4, 2, 0, 0xd503403f },
    { "ssbs2", 4, 1, 4, 2, 1, 0xd503403f },
    { "pmu", 5, 0, 8, 1, 0, 0xd53b9c00 },
    { "hafdbs", 7, 1, 0, 2, 0, 0 },
    { "hpds", 7, 1, 12, 1, 0, 0 },
    { "pan", 7, 1, 20, 2, 0, 0xd500409f },
    { "pan2", 7, 1, 20, 2, 1, 0xd5087902 },
    { "ttcnp", 7, 2, 0, 1, 0, 0 },
    { "uao", 7, 2, 4, 1, 0, 0xd500407f },
    { "ttl", 7, 2, 48, 1, 0, 0 },
    { "e0pd", 7, 2, 60, 1, 0, 0 },
    { "ttst", 7, 2, 28, 0, 0, 0 },
    { "pauth-qarma3", 6, 2, 12, 0, 0, 0 },
};
/* clang-format on */

/* Executes one instruction at EL1: the ESR of its exception, or 0. And the ID field. */
static uint64_t execute(const char *cpu, const Switch *s, unsigned *field)
{
    Program p;
    uint64_t esr;

    g_assert_true(begin(&p, cpu, true));
    emit_mov(&p, 2, RIG_RAM + SCRATCH);
    emit_mov(&p, 0, 0);
    emit_mov(&p, 4, 0);
    emit(&p, s->insn ? s->insn : ISB);
    emit_mov(&p, 3, 0);
    emit_off(&p);
    isa_rig_run_bare(&p.rig);
    esr = p.rig.cpu->x[3];
    *field = (unsigned)bits_extract(p.rig.cpu->id_registers[s->crm << 3 | s->op2], s->shift, 4);
    isa_rig_close(&p.rig);
    return esr;
}

static bool check_switch(const Switch *s)
{
    g_autofree char *without = g_strdup_printf("max,%s=off", s->name);
    unsigned field_on, field_off;
    uint64_t on = execute("max", s, &field_on), off = execute(without, s, &field_off);
    bool good = on == 0 && field_on == s->on && field_off == s->off &&
                (s->insn ? off >> 26 == 0 && off != 0 : off == 0);

    if (!good) {
        printf("%s: field %u, off %u; exception %#" PRIx64 ", off %#" PRIx64 "\n", s->name,
               field_on, field_off, on, off);
    }
    return good;
}

/* Every feature is in the table. */
static bool check_complete(void)
{
    static const char *const names[] = {
#define X(identifier, name, summary) name,
        ARM_FEATURES(X)
#undef X
    };
    bool good = true;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        bool found = false;

        for (size_t k = 0; k < ARRAY_SIZE(switches); k++) {
            found |= strcmp(switches[k].name, names[i]) == 0;
        }
        if (!found) {
            printf("%s: not in this test\n", names[i]);
            good = false;
        }
    }
    return good;
}

int main(void)
{
    bool good = check_complete();

    for (unsigned interp = 0; interp < 2; interp++) {
        good &= check_model("cortex-a53", offsetof(Expected, a53), interp);
        good &= check_model("cortex-a57", offsetof(Expected, a57), interp);
        good &= check_model("cortex-a72", offsetof(Expected, a72), interp);
        good &= check_model("max", offsetof(Expected, max), interp);
        good &= check_model("cortex-a35", offsetof(Expected, a35), interp);
        good &= check_model("cortex-a55", offsetof(Expected, a55), interp);
        good &= check_model("cortex-a76", offsetof(Expected, a76), interp);
        good &= check_model("neoverse-n1", offsetof(Expected, n1), interp);
    }
    for (size_t i = 0; i < ARRAY_SIZE(switches); i++) {
        good &= check_switch(&switches[i]);
    }
    return !good;
}
