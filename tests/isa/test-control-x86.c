/* SPDX-License-Identifier: MIT */
/*
 * What control, debug and model-specific registers refuse (SDM 2, MOV CR and WRMSR; SDM 3, 2.5 and 12.11; APM 2, chapters 3 and 7).
 * usage: test-control-x86 [-i]     (-i: on the interpreter)
 */
#include "base/bits.h"
#include "target/i386/control.h"
#include "tests/isa/rig-x86.h"

enum { CODE = 0x1000, CATCHER = 0x2000, DATA = 0x4000, STACK = 0x8000 };

static bool interp;

static void prepare(X86Rig *rig, const char *model)
{
    if (!x86_rig_open(rig, model, interp)) {
        exit(77);
    }
    x86_rig_long_mode(rig);
    x86_rig_catch(rig, CATCHER);
    rig->cpu->gpr[X86_RSP] = STACK;
}

/* Returns the vector, or X86_RIG_DONE. */
static unsigned run(X86Rig *rig, const uint8_t *code, unsigned bytes)
{
    x86_rig_put_code(rig, CODE, code, bytes);
    x86_rig_run(rig, CODE);
    return rig->end_value;
}

static unsigned write_msr(X86Rig *rig, uint32_t index, uint64_t value)
{
    rig->cpu->gpr[X86_RCX] = index;
    rig->cpu->gpr[X86_RAX] = (uint32_t)value;
    rig->cpu->gpr[X86_RDX] = value >> 32;
    return run(rig, (uint8_t[]){ 0x0f, 0x30 }, 2);
}

#define BOTH  NULL
#define AMD   "EPYC"
#define INTEL "Skylake-Server"

static void test_msrs(void)
{
    static const struct {
        const char *model;
        uint32_t index;
        uint64_t value;
        bool fault;
    } cases[] = {
        { BOTH, 0x200, 6, false },
        { BOTH, 0x200, 2, true }, /* no such memory type */
        { BOTH, 0x200, 7, true },
        { BOTH, 0x20e, 0x100, true },
        { BOTH, 0x200, UINT64_C(1) << 56, true },
        { BOTH, 0x201, 0xffff800, false },
        { BOTH, 0x201, 0x400, true },
        { BOTH, 0x201, UINT64_C(1) << 56, true },
        { BOTH, 0x250, UINT64_C(0x0601040506000106), false },
        { BOTH, 0x250, UINT64_C(0x0603060606060606), true },
        { BOTH, 0x259, 2, true },
        { BOTH, 0x26f, UINT64_C(0xff) << 56, true },
        { BOTH, 0x268, 0x1e, true }, /* AMD's bits for DRAM are not enabled */
        { BOTH, 0x2ff, 0xc06, false },
        { BOTH, 0x2ff, 0xc02, true },
        { BOTH, 0x2ff, 0xc07, true },
        { BOTH, 0x2ff, 0x1006, true },
        { BOTH, 0x277, UINT64_C(0x0007040600070406), false },
        { BOTH, 0x277, UINT64_C(0x0207040600070406), true },
        { BOTH, 0x277, 3, true },
        { BOTH, 0x277, 8, true },
        { BOTH, 0xc0000080, EFER_LME | EFER_LMA | EFER_SCE, false },
        { BOTH, 0xc0000080, EFER_LME | EFER_LMA | 2, true },
        { BOTH, 0xc0000080, EFER_LMA, true }, /* LME may not be changed while paging is on */
        { BOTH, 0x1b, UINT64_C(0xfee00900) | UINT64_C(1) << 56, true },
        { BOTH, 0x1d9, 3, false },
        { BOTH, 0x1d9, UINT64_C(1) << 20, true },
        { INTEL, 0x1d9, 0x3c, true },
        { AMD, 0x1d9, 0x3c, false },
        { BOTH, 0xc0000103, 0xffffffff, false },
        { INTEL, 0xc0000103, UINT64_C(1) << 32, true },
        { AMD, 0xc0000103, UINT64_C(1) << 32, false },
        { BOTH, 0xc0000081, UINT64_MAX, false },
        { BOTH, 0xc0000084, 0xffffffff, false },
        { INTEL, 0xc0000084, UINT64_C(1) << 32, true },
        { AMD, 0xc0000084, UINT64_C(1) << 32, false },
        { BOTH, 0xc0000082, UINT64_C(0xffff800000000000), false },
        { BOTH, 0xc0000082, UINT64_C(0x800000000000), true },
        { BOTH, 0xc0000083, UINT64_C(0x800000000000), true },
        { INTEL, 0x175, UINT64_C(0x800000000000), true },
        { INTEL, 0x176, UINT64_C(0x800000000000), true },
        { BOTH, 0xc0000100, UINT64_C(0x800000000000), true },
        { BOTH, 0xc0000101, UINT64_C(0x800000000000), true },
        { BOTH, 0xc0000102, UINT64_C(0x800000000000), true },
        { BOTH, 0x49, 1, false },
        { BOTH, 0x49, 2, true },
        { AMD, 0x17a, 4, false },
        { INTEL, 0x17a, 4, true },
        { BOTH, 0x17a, 0, false },
        { BOTH, 0x400, UINT64_MAX, false },
        { BOTH, 0x401, 0, false },
        { BOTH, 0x401, 1, true },
        { INTEL, 0x400, UINT64_C(0x5555), true },
        { AMD, 0x400, UINT64_C(0x5555), false },
        { BOTH, 0x402, UINT64_MAX, false },
        { BOTH, 0x403, UINT64_C(1) << 56, false },
        { BOTH, 0x1a0, UINT64_C(0xe401dd3fdf), false }, /* bits of some processor or other */
        { INTEL, 0x1a0, UINT64_C(1) << 25, true },
        { INTEL, 0x1a0, UINT64_C(1) << 63, true },
        { AMD, 0x1a0, UINT64_MAX, false },
        { AMD, 0xc0010015, UINT64_MAX, false },
        { INTEL, 0xc0010015, 0, true },
        { INTEL, 0xc0010010, 0, true },
        { BOTH, 0x17, 0, true }, /* read-only */
        { BOTH, 0xfe, 0, true },
        { BOTH, 0x12345, 0, true },
    };

    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(cases); i++) {
        const char *wanted = cases[i / 2].model, *model = i % 2 ? AMD : INTEL;
        X86Rig rig;

        if (wanted == BOTH || strcmp(wanted, model) == 0) {
            prepare(&rig, model);
            g_test_message("%s: %#x = %#" PRIx64, model, cases[i / 2].index, cases[i / 2].value);
            g_assert_cmpuint(write_msr(&rig, cases[i / 2].index, cases[i / 2].value), ==,
                             cases[i / 2].fault ? X86_GP : X86_RIG_DONE);
            x86_rig_close(&rig);
        }
    }
}

/* What one MSR allows in another. */
static void test_msrs_that_allow(void)
{
    uint64_t value;
    X86Rig rig;

    prepare(&rig, AMD);
    rig.cpu->syscfg = UINT64_C(1) << 19; /* MtrrFixDramModEn */
    g_assert_cmpuint(write_msr(&rig, 0x268, 0x1e), ==, X86_RIG_DONE);
    x86_rig_close(&rig);
    prepare(&rig, AMD);
    rig.cpu->hwcr = UINT64_C(1) << 18; /* McStatusWrEn */
    g_assert_cmpuint(write_msr(&rig, 0x401, 1), ==, X86_RIG_DONE);
    x86_rig_close(&rig);
    prepare(&rig, AMD);
    g_assert_cmpuint(write_msr(&rig, 0xc0000103, UINT64_C(0x300000005)), ==, X86_RIG_DONE);
    g_assert_cmphex(rig.cpu->tsc_aux, ==, 5);
    x86_rig_close(&rig);
    prepare(&rig, INTEL); /* the processor's own bits of MISC_ENABLE do not change */
    g_assert_cmpuint(write_msr(&rig, 0x1a0, UINT64_C(0x400c51889)), ==, X86_RIG_DONE);
    g_assert_true(x86_read_msr(rig.cpu, 0x1a0, &value));
    g_assert_cmphex(value, ==, UINT64_C(0x400c51809));
    x86_rig_close(&rig);
    prepare(&rig, AMD); /* SmmLock stays, and TscFreqSel is the processor's own */
    g_assert_cmpuint(write_msr(&rig, 0xc0010015, 1), ==, X86_RIG_DONE);
    g_assert_cmpuint(write_msr(&rig, 0xc0010015, UINT64_C(0xf80000040)), ==, X86_RIG_DONE);
    g_assert_true(x86_read_msr(rig.cpu, 0xc0010015, &value));
    g_assert_cmphex(value, ==, 1 << 24 | 1);
    x86_rig_close(&rig);
    prepare(&rig, "max");
    g_assert_cmpuint(write_msr(&rig, 0xc0010114, 0x20), ==, X86_GP); /* VM_CR */
    x86_rig_close(&rig);
}

enum { LEGACY, PAE, LONG };

/* Paging is off in legacy mode; in PAE's the whole is mapped by one directory of large pages. */
static void prepare_mode(X86Rig *rig, unsigned mode)
{
    enum { POINTERS = 0x3fe0000, DIRECTORY = 0x3fe1000 };
    X86Cpu *cpu;

    prepare(rig, "max");
    cpu = rig->cpu;
    if (mode == LONG) {
        return;
    }
    cpu->efer = 0;
    cpu->cr0 = CR0_PE | CR0_ET;
    cpu->cr4 = 0;
    x86_set_segment(cpu, X86_CS, 8, 0, 0xffffffff,
                    X86_SEG_P | X86_SEG_S | X86_SEG_CODE | X86_SEG_ACCESSED | X86_SEG_G |
                        X86_SEG_B);
    x86_rig_catch(rig, CATCHER);
    if (mode == PAE) {
        store_le64(rig->ram + POINTERS, DIRECTORY | 1);
        for (unsigned i = 0; i < 512; i++) {
            store_le64(rig->ram + DIRECTORY + 8 * i, (uint64_t)i << 21 | 0x83);
        }
        cpu->cr3 = POINTERS;
        cpu->pdpte[0] = DIRECTORY | 1;
        cpu->cr4 = CR4_PAE;
        cpu->cr0 |= CR0_PG;
    }
}

static void test_control_registers(void)
{
    static const struct {
        uint8_t mode, n;
        uint64_t set, clear; /* in what the register has */
        bool fault;
    } cases[] = {
        { LEGACY, 0, CR0_TS, 0, false },
        { LEGACY, 0, CR0_PG, CR0_PE, true },
        { LEGACY, 0, CR0_NW, 0, true },
        { LEGACY, 0, CR0_NW | CR0_CD, 0, false },
        { LEGACY, 0, 0x1ffaffc0 & ~(uint64_t)(CR0_WP | CR0_AM), 0, false }, /* ignored */
        { LONG, 0, UINT64_C(1) << 32, 0, true },
        { LONG, 0, UINT64_C(1) << 63, 0, true },
        { LONG, 0, 0, CR0_PG, true },
        { LONG, 0, 0, CR0_PE, true },
        { LONG, 3, 0xfff, 0, false },
        { LONG, 3, UINT64_C(1) << 62, 0, true },
        { LONG, 3, UINT64_C(1) << 63, 0, true }, /* no PCIDs */
        { LONG, 4, 0, CR4_PAE, true },
        { LONG, 4, CR4_LA57, 0, true },
        { LONG, 4, CR4_PCIDE, 0, false },
        { LONG, 4, UINT64_C(1) << 13, 0, true }, /* VMXE */
        { LONG, 4, UINT64_C(1) << 15, 0, true },
        { LONG, 4, UINT64_C(1) << 19, 0, true },
        { LONG, 4, UINT64_C(1) << 23, 0, true }, /* CET */
        { LONG, 4, CR4_PKS, 0, false },
        { LONG, 4, UINT64_C(1) << 25, 0, true }, /* UINTR */
        { LONG, 4, UINT64_C(1) << 32, 0, true },
        { LEGACY, 4, CR4_PCIDE, 0, true },
        { LEGACY, 4, CR4_PAE | CR4_LA57, 0, false },
        { PAE, 4, CR4_PGE | CR4_PCE, 0, false },
        { PAE, 4, CR4_PCIDE, 0, true },
        { LONG, 8, 16, 0, true },
        { LONG, 8, 15, 0, false },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint8_t modrm = (uint8_t)(0xc0 | (cases[i].n & 7) << 3);
        const uint8_t narrow[] = { 0x0f, 0x22, modrm },
                      wide[] = { cases[i].n == 8 ? 0x44 : 0x40, 0x0f, 0x22, modrm };
        bool is_wide = cases[i].mode == LONG;
        X86Rig rig;

        prepare_mode(&rig, cases[i].mode);
        rig.cpu->gpr[X86_RAX] = (x86_get_cr(rig.cpu, cases[i].n) & ~cases[i].clear) | cases[i].set;
        g_test_message("mode %u: CR%u = %#" PRIx64, cases[i].mode, cases[i].n,
                       rig.cpu->gpr[X86_RAX]);
        g_assert_cmpuint(run(&rig, is_wide ? wide : narrow, is_wide ? sizeof wide : sizeof narrow),
                         ==, cases[i].fault ? X86_GP : X86_RIG_DONE);
        x86_rig_close(&rig);
    }
}

/* CR4.PCIDE is set only with PCID 0, and CR0.PG stays as long as it is. */
static void test_pcide(void)
{
    X86Rig rig;

    prepare_mode(&rig, LONG);
    rig.cpu->cr3 |= 0x18;
    rig.cpu->gpr[X86_RAX] = rig.cpu->cr4 | CR4_PCIDE;
    g_assert_cmpuint(run(&rig, (uint8_t[]){ 0x0f, 0x22, 0xe0 }, 3), ==, X86_GP);
    x86_rig_close(&rig);
    prepare_mode(&rig, LONG);
    rig.cpu->cr4 |= CR4_PCIDE;
    rig.cpu->gpr[X86_RAX] = rig.cpu->cr3 | UINT64_C(1) << 63;
    g_assert_cmpuint(run(&rig, (uint8_t[]){ 0x0f, 0x22, 0xd8 }, 3), ==, X86_RIG_DONE);
    g_assert_false(rig.cpu->cr3 >> 63);
    x86_rig_close(&rig);
}

/* PAE's directory pointers are loaded by writes to CR0 that change PG, CD or NW, and by no others. */
static void test_directory_pointers(void)
{
    for (unsigned cached = 0; cached < 2; cached++) {
        X86Rig rig;

        prepare_mode(&rig, PAE);
        store_le64(rig.ram + rig.cpu->cr3 + 8, 2 | 1); /* a reserved bit */
        rig.cpu->gpr[X86_RAX] = rig.cpu->cr0 | (cached ? CR0_TS : CR0_CD);
        g_assert_cmpuint(run(&rig, (uint8_t[]){ 0x0f, 0x22, 0xc0 }, 3), ==,
                         cached ? X86_RIG_DONE : X86_GP);
        x86_rig_close(&rig);
    }
}

/* ModRM.mod says nothing in these: rm is a register, and nothing follows. */
static void test_register_forms(void)
{
    static const uint8_t code[][3] = { { 0x0f, 0x20, 0x04 }, { 0x0f, 0x20, 0x45 },
                                       { 0x0f, 0x20, 0x80 }, { 0x0f, 0x21, 0x3d },
                                       { 0x0f, 0x22, 0x05 }, { 0x0f, 0x23, 0x04 } };

    for (unsigned i = 0; i < G_N_ELEMENTS(code); i++) {
        X86Rig rig;

        prepare_mode(&rig, LONG);
        rig.cpu->gpr[X86_RBP] = rig.cpu->cr0;
        g_test_message("%02x %02x", code[i][1], code[i][2]);
        g_assert_cmpuint(run(&rig, code[i], 3), ==, X86_RIG_DONE);
        if (i == 0) {
            g_assert_cmphex(rig.cpu->gpr[X86_RSP], ==, rig.cpu->cr0);
        }
        x86_rig_close(&rig);
    }
}

/* LMSW sets PE and never clears it; with CLTS it is CPL 0's, and SMSW is everyone's without UMIP. */
static void test_machine_status(void)
{
    static const struct {
        uint8_t code[3];
        bool user;
        uint64_t cr4;
        unsigned vector;
    } cases[] = {
        { { 0x0f, 0x01, 0xf0 }, false, 0, X86_RIG_DONE },
        { { 0x0f, 0x01, 0xf0 }, true, 0, X86_GP },
        { { 0x0f, 0x06, 0x90 }, false, 0, X86_RIG_DONE },
        { { 0x0f, 0x06, 0x90 }, true, 0, X86_GP },
        { { 0x0f, 0x01, 0xe0 }, false, CR4_UMIP, X86_RIG_DONE },
        { { 0x0f, 0x01, 0xe3 }, true, CR4_UMIP, X86_GP },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        prepare_mode(&rig, LONG);
        rig.cpu->cr4 |= cases[i].cr4;
        rig.cpu->cr0 |= CR0_TS;
        rig.cpu->gpr[X86_RAX] = CR0_EM;
        if (cases[i].user) {
            x86_rig_user_mode(&rig);
        }
        g_test_message("case %u", i);
        g_assert_cmpuint(run(&rig, cases[i].code, 3), ==, cases[i].vector);
        if (i == 0) {
            g_assert_cmphex(rig.cpu->cr0 & 0xf, ==, CR0_PE | CR0_EM);
        } else if (i == 2) {
            g_assert_false(rig.cpu->cr0 & CR0_TS);
        }
        x86_rig_close(&rig);
    }
}

static void test_debug_registers(void)
{
    static const struct {
        uint8_t n;
        uint64_t value, becomes, cr4, dr7;
        unsigned vector;
    } cases[] = {
        { 6, UINT64_C(1) << 32, 0, 0, 0, X86_GP },
        { 7, UINT64_C(1) << 32, 0, 0, 0, X86_GP },
        { 6, 0, 0xffff0ff0, 0, 0, X86_RIG_DONE },
        { 6, 0xffffffff, 0xffffefff, 0, 0, X86_RIG_DONE },
        { 7, 0, 0x400, 0, 0, X86_RIG_DONE },
        { 7, 0xc000d000, 0xc0000400, 0, 0, X86_RIG_DONE },
        { 4, 0, 0xffff0ff0, 0, 0, X86_RIG_DONE },
        { 5, 0, 0, CR4_DE, 0, X86_UD },
        { 4, 0, 0, CR4_DE, 0, X86_UD },
        { 0, 5, 0, 0, 0x2400, X86_DB }, /* GD */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        prepare_mode(&rig, LONG);
        rig.cpu->cr4 |= cases[i].cr4;
        rig.cpu->dr[7] = cases[i].dr7 ? cases[i].dr7 : 0x400;
        rig.cpu->gpr[X86_RAX] = cases[i].value;
        g_test_message("DR%u = %#" PRIx64, cases[i].n, cases[i].value);
        g_assert_cmpuint(run(&rig, (uint8_t[]){ 0x0f, 0x23, (uint8_t)(0xc0 | cases[i].n << 3) }, 3),
                         ==, cases[i].vector);
        if (cases[i].vector == X86_RIG_DONE) {
            g_assert_cmphex(rig.cpu->dr[cases[i].n | 2], ==, cases[i].becomes);
        } else if (cases[i].vector == X86_DB) {
            /* A fault: RF is pushed set; GD is cleared for the handler. */
            g_assert_cmphex(rig.cpu->dr[6] & 0x2000, ==, 0x2000);
            g_assert_cmphex(rig.cpu->dr[7], ==, 0x400);
            g_assert_cmphex(load_le64(x86_rig_frame(&rig, CATCHER)), ==, CODE);
            g_assert_true(load_le64(x86_rig_frame(&rig, CATCHER) + 16) & EFLAGS_RF);
        }
        x86_rig_close(&rig);
    }
}

static void test_invpcid(void)
{
    static const struct {
        uint64_t type, descriptor, address;
        bool pcide, fault;
    } cases[] = {
        { 0, 0, 0x1000, false, false },
        { 0, 0, UINT64_C(1) << 62, false, true },
        { 1, 0, UINT64_C(1) << 62, false, false },
        { 0, 5, 0, false, true },
        { 1, 5, 0, false, true },
        { 2, 5, 0, false, false },
        { 3, 5, 0, false, false },
        { 0, 5, 0, true, false },
        { 1, 0x1000, 0, true, true },
        { 2, 0x1000, 0, true, true },
        { 3, UINT64_C(1) << 63, 0, true, true },
        { 4, 0, 0, true, true },
        { UINT64_C(1) << 32, 0, 0, true, true },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        prepare_mode(&rig, LONG);
        rig.cpu->cr4 |= cases[i].pcide ? CR4_PCIDE : 0;
        store_le64(rig.ram + DATA, cases[i].descriptor);
        store_le64(rig.ram + DATA + 8, cases[i].address);
        rig.cpu->gpr[X86_RAX] = cases[i].type;
        rig.cpu->gpr[X86_RBX] = DATA;
        g_test_message("case %u", i);
        g_assert_cmpuint(run(&rig, (uint8_t[]){ 0x66, 0x0f, 0x38, 0x82, 0x03 }, 5), ==,
                         cases[i].fault ? X86_GP : X86_RIG_DONE);
        x86_rig_close(&rig);
    }
}

static void test_xsetbv(void)
{
    static const struct {
        uint64_t value;
        uint32_t index;
        bool user;
        unsigned vector;
    } cases[] = {
        { 7, 0, false, X86_RIG_DONE }, { 3, 0, false, X86_RIG_DONE },
        { 0, 0, false, X86_GP },       { 2, 0, false, X86_GP },
        { 5, 0, false, X86_GP }, /* AVX without SSE */
        { 7 | 8, 0, false, X86_GP },   { 7 | UINT64_C(1) << 63, 0, false, X86_GP },
        { 7, 1, false, X86_GP },       { 7, 0, true, X86_GP },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        prepare_mode(&rig, LONG);
        rig.cpu->gpr[X86_RAX] = (uint32_t)cases[i].value;
        rig.cpu->gpr[X86_RDX] = cases[i].value >> 32;
        rig.cpu->gpr[X86_RCX] = cases[i].index;
        if (cases[i].user) {
            x86_rig_user_mode(&rig);
        }
        g_test_message("case %u", i);
        g_assert_cmpuint(run(&rig, (uint8_t[]){ 0x0f, 0x01, 0xd1 }, 3), ==, cases[i].vector);
        x86_rig_close(&rig);
    }
}

/* SYSEXIT and Intel's SYSRET to where no code can be fault before they leave CPL 0; AMD's SYSRET does at the target. */
static void test_returns_to_user_mode(void)
{
    static const struct {
        const char *model;
        uint8_t code[3];
        bool at_target;
    } cases[] = { { INTEL, { 0x48, 0x0f, 0x35 }, false },
                  { INTEL, { 0x48, 0x0f, 0x07 }, false },
                  { AMD, { 0x48, 0x0f, 0x07 }, true } };
    const uint64_t target = UINT64_C(1) << 60;

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        prepare(&rig, cases[i].model);
        rig.cpu->sysenter_cs = 8;
        rig.cpu->star = UINT64_C(0x10) << 48;
        rig.cpu->gpr[X86_RCX] = rig.cpu->gpr[X86_RDX] = target;
        g_assert_cmpuint(run(&rig, cases[i].code, 3), ==, X86_GP);
        g_assert_cmphex(load_le64(x86_rig_frame(&rig, CATCHER) + 8), ==,
                        cases[i].at_target ? target : CODE);
        x86_rig_close(&rig);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    g_test_add_func("/control-x86/msrs", test_msrs);
    g_test_add_func("/control-x86/msrs-that-allow", test_msrs_that_allow);
    g_test_add_func("/control-x86/control-registers", test_control_registers);
    g_test_add_func("/control-x86/pcide", test_pcide);
    g_test_add_func("/control-x86/directory-pointers", test_directory_pointers);
    g_test_add_func("/control-x86/register-forms", test_register_forms);
    g_test_add_func("/control-x86/machine-status", test_machine_status);
    g_test_add_func("/control-x86/debug-registers", test_debug_registers);
    g_test_add_func("/control-x86/invpcid", test_invpcid);
    g_test_add_func("/control-x86/xsetbv", test_xsetbv);
    g_test_add_func("/control-x86/returns-to-user-mode", test_returns_to_user_mode);
    return g_test_run();
}
