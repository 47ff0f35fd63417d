/* SPDX-License-Identifier: MIT */
/*
 * Which fault comes, and when: of addresses that are not canonical, of pending x87 exceptions, of branches that lead nowhere.
 * usage: test-faults-x86 [-i]     (-i: on the interpreter)
 */
#include "base/bits.h"
#include "target/i386/control.h"
#include "target/i386/x87.h"
#include "tests/isa/rig-x86.h"

enum { CODE = 0x1000, CATCHER = 0x2000, STACK = 0x8000 };

static bool interp;

static void prepare(X86Rig *rig)
{
    if (!x86_rig_open(rig, "max", interp)) {
        exit(77);
    }
    x86_rig_long_mode(rig);
    x86_rig_catch(rig, CATCHER);
    rig->cpu->gpr[X86_RSP] = STACK;
}

/* Addresses that are not canonical: #SS when RSP or RBP is the base, unless FS or GS is the segment, and for the stack's own. */
static void test_not_canonical(void)
{
    static const struct {
        uint8_t code[5];
        X86Vector vector;
    } cases[] = {
        { { 0x8b, 0x03 }, X86_GP },                /* mov eax, [rbx] */
        { { 0x89, 0x45, 0 }, X86_SS_FAULT },       /* mov [rbp], eax */
        { { 0x3e, 0x8b, 0x45, 0 }, X86_SS_FAULT }, /* mov eax, ds:[rbp] */
        { { 0x36, 0x8b, 0x03 }, X86_GP },          /* mov eax, ss:[rbx] */
        { { 0x64, 0x8b, 0x45, 0 }, X86_GP },       /* mov eax, fs:[rbp] */
        { { 0x8b, 0x04, 0x2b }, X86_GP },          /* mov eax, [rbx + rbp] */
        { { 0x8b, 0x04, 0x24 }, X86_SS_FAULT },    /* mov eax, [rsp] */
        { { 0x01, 0x45, 0 }, X86_SS_FAULT },       /* add [rbp], eax */
        { { 0x0f, 0x10, 0x45, 0 }, X86_SS_FAULT }, /* movups xmm0, [rbp] */
        { { 0xdd, 0x45, 0 }, X86_SS_FAULT },       /* fld qword [rbp] */
        { { 0x0f, 0xae, 0x45, 0 }, X86_SS_FAULT }, /* fxsave [rbp] */
        { { 0x0f, 0xc7, 0x4d, 0 }, X86_SS_FAULT }, /* cmpxchg8b [rbp] */
        { { 0xa5 }, X86_GP },                      /* movsd */
        { { 0x50 }, X86_SS_FAULT },                /* push rax */
        { { 0x58 }, X86_SS_FAULT },                /* pop rax */
        { { 0xff, 0x33 }, X86_GP },                /* push [rbx] */
        { { 0xe8, 0, 0, 0, 0 }, X86_SS_FAULT },    /* call */
        { { 0xc3 }, X86_SS_FAULT },                /* ret */
        { { 0xc9 }, X86_SS_FAULT },                /* leave */
        { { 0x9c }, X86_SS_FAULT },                /* pushf */
        { { 0x9d }, X86_SS_FAULT },                /* popf */
        { { 0xcb }, X86_SS_FAULT },                /* retf */
        { { 0xcf }, X86_SS_FAULT },                /* iret */
        { { 0x0f, 0xa1 }, X86_SS_FAULT },          /* pop fs */
        { { 0xc8, 0, 0, 0 }, X86_SS_FAULT },       /* enter */
        { { 0x0f, 0x0b }, X86_UD }, /* its gate has a stack: nothing is pushed through RSP */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        prepare(&rig);
        memcpy(rig.ram + CODE, cases[i].code, sizeof cases[i].code);
        rig.cpu->gpr[X86_RBX] = rig.cpu->gpr[X86_RBP] = rig.cpu->gpr[X86_RSP] = UINT64_C(1) << 60;
        rig.cpu->gpr[X86_RSI] = rig.cpu->gpr[X86_RDI] = UINT64_C(1) << 60;
        x86_rig_run(&rig, CODE);
        g_test_message("%02x %02x", cases[i].code[0], cases[i].code[1]);
        g_assert_cmpuint(rig.end_value, ==, cases[i].vector);
        x86_rig_close(&rig);
    }
}

/* An x87 exception that is pending comes before what the next instruction's operand raises; those that do not wait leave it pending. */
static void test_pending_x87(void)
{
    static const struct {
        uint8_t code[3];
        X86Vector vector;
    } cases[] = {
        { { 0xd9, 0x2b }, X86_MF },       /* fldcw [rbx] */
        { { 0xd9, 0x3b }, X86_GP },       /* fnstcw [rbx] */
        { { 0xd9, 0x23 }, X86_MF },       /* fldenv [rbx] */
        { { 0xd9, 0x33 }, X86_GP },       /* fnstenv [rbx] */
        { { 0xdd, 0x23 }, X86_MF },       /* frstor [rbx] */
        { { 0xdd, 0x33 }, X86_GP },       /* fnsave [rbx] */
        { { 0xdd, 0x3b }, X86_GP },       /* fnstsw [rbx] */
        { { 0xdd, 0x03 }, X86_MF },       /* fld qword [rbx] */
        { { 0xdd, 0x1b }, X86_MF },       /* fstp qword [rbx] */
        { { 0xda, 0x03 }, X86_MF },       /* fiadd dword [rbx] */
        { { 0xdf, 0x23 }, X86_MF },       /* fbld [rbx] */
        { { 0x0f, 0x6f, 0x03 }, X86_MF }, /* movq mm0, [rbx] */
        { { 0x0f, 0xae, 0x03 }, X86_GP }, /* fxsave [rbx] */
        { { 0x0f, 0x10, 0x03 }, X86_GP }, /* movups xmm0, [rbx] */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        prepare(&rig);
        memcpy(rig.ram + CODE, cases[i].code, sizeof cases[i].code);
        rig.cpu->cr0 |= CR0_NE | CR0_MP;
        rig.cpu->cr4 |= CR4_OSFXSR;
        rig.cpu->x87.status = 0x8084;
        x87_set_control_word(rig.cpu, 0x37b);
        rig.cpu->gpr[X86_RBX] = UINT64_C(1) << 60;
        x86_update_mode(rig.cpu);
        x86_rig_run(&rig, CODE);
        g_test_message("%02x %02x", cases[i].code[0], cases[i].code[1]);
        g_assert_cmpuint(rig.end_value, ==, cases[i].vector);
        x86_rig_close(&rig);
    }
}

/*
 * Near branches to addresses that are not canonical fault where they are, as if they had not begun, but for the return address
 * below RSP; units of one instruction as well.
 */
static void test_branches_to_nowhere(void)
{
    enum { TARGET = 0x6000 };
    static const uint8_t cases[][4] = {
        { 0xff, 0xe3 },       /* jmp rbx */
        { 0xff, 0x21 },       /* jmp [rcx] */
        { 0xff, 0xd3 },       /* call rbx */
        { 0xff, 0x11 },       /* call [rcx] */
        { 0xff, 0x14, 0x24 }, /* call [rsp] */
        { 0xc3 },             /* ret */
        { 0xf3, 0xc3 },       /* repz ret */
        { 0xc2, 0x10, 0x80 }, /* ret 0x8010 */
        { 0xc2, 0xff, 0xff }, /* ret 0xffff */
    };
    static const uint64_t targets[] = { UINT64_C(0x800000000000), UINT64_C(0xffff7fffffffffff),
                                        UINT64_C(0x4141414141414141), UINT64_C(1) << 63 };

    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(cases) * G_N_ELEMENTS(targets); i++) {
        uint64_t target = targets[i / 2 % G_N_ELEMENTS(targets)];
        const uint8_t *frame;
        X86Rig rig;

        prepare(&rig);
        memcpy(rig.ram + CODE + 5, cases[i / 2 / G_N_ELEMENTS(targets)], 4);
        memset(rig.ram + CODE, 0x90, 5);
        store_le64(rig.ram + TARGET, target);
        store_le64(rig.ram + STACK, target);
        rig.cpu->gpr[X86_RBX] = target;
        rig.cpu->gpr[X86_RCX] = TARGET;
        rig.cpu->eflags |= i % 2 ? EFLAGS_RF : 0; /* which makes a unit of each instruction */
        x86_rig_run(&rig, CODE + (i % 2 ? 5 : 0));
        g_test_message("case %u: %02x %02x", i, rig.ram[CODE + 5], rig.ram[CODE + 6]);
        g_assert_cmpuint(rig.end_value, ==, X86_GP);
        frame = x86_rig_frame(&rig, CATCHER);
        g_assert_cmphex(load_le64(frame), ==, 0);
        g_assert_cmphex(load_le64(frame + 8), ==, CODE + 5);
        g_assert_cmphex(load_le64(frame + 32), ==, STACK);
        x86_rig_close(&rig);
    }
}

/* The same return, from a function that has returned to its callers before: neither a prediction nor a cache lets it pass. */
static void test_return_to_nowhere(void)
{
    /* f: test ecx, ecx; jnz over; mov [rsp], rbx; over: ret */
    static const uint8_t function[] = { 0x85, 0xc9, 0x75, 4, 0x48, 0x89, 0x1c, 0x24, 0xc3 };
    /* mov ecx, 100; again: dec ecx; call f; jmp again */
    static const uint8_t code[] = { 0xb9, 100,  0,    0, 0, 0xff, 0xc9,
                                    0xe8, 0xf4, 0x00, 0, 0, 0xeb, 0xf7 };
    enum { FUNCTION = CODE + 0x100 };
    const uint8_t *frame;
    X86Rig rig;

    prepare(&rig);
    memcpy(rig.ram + CODE, code, sizeof code);
    memcpy(rig.ram + FUNCTION, function, sizeof function);
    rig.cpu->gpr[X86_RBX] = UINT64_C(1) << 60;
    x86_rig_run(&rig, CODE);
    g_assert_cmpuint(rig.end_value, ==, X86_GP);
    frame = x86_rig_frame(&rig, CATCHER);
    g_assert_cmphex(load_le64(frame + 8), ==, FUNCTION + sizeof function - 1);
    g_assert_cmphex(load_le64(frame + 32), ==, STACK - 8);
    x86_rig_close(&rig);
}

/* Relative branches over the end of the canonical addresses. */

#define LOW_END    UINT64_C(0x800000000000)
#define HIGH_START UINT64_C(0xffff800000000000)
enum { PAGE_2M = 0x800000, LOW_TABLES = 0x2000000, HIGH_TABLES = 0x2010000 };

/* The last 2 MiB of the lower half and the first of the upper one, and those 1 GiB below, are PAGE_2M. */
static void map_ends(X86Rig *rig)
{
    uint8_t *root = rig->ram + rig->cpu->cr3;

    store_le64(root + 8 * 255, LOW_TABLES | 7);
    store_le64(rig->ram + LOW_TABLES + 8 * 511, (LOW_TABLES + 0x1000) | 7);
    store_le64(rig->ram + LOW_TABLES + 8 * 510, (LOW_TABLES + 0x1000) | 7);
    store_le64(rig->ram + LOW_TABLES + 0x1000 + 8 * 511, PAGE_2M | 0x87);
    store_le64(root + 8 * 256, HIGH_TABLES | 7);
    store_le64(rig->ram + HIGH_TABLES, (HIGH_TABLES + 0x1000) | 7);
    store_le64(rig->ram + HIGH_TABLES + 0x1000, PAGE_2M | 0x87);
}

/* They fault where they are, as if they had not begun. UD2 is behind those that are not taken. */
static void test_branches_over_the_end(void)
{
    static const struct {
        uint64_t at;
        uint8_t code[6];
        uint32_t rcx;
        X86Vector vector;
    } cases[] = {
        { LOW_END - 0x40, { 0xeb, 0x7f }, 0, X86_GP },       /* jmp */
        { LOW_END - 0x40, { 0xe9, 0x7f }, 0, X86_GP },       /* jmp, 32 bits */
        { LOW_END - 0x40, { 0xeb, 0x3e }, 0, X86_GP },       /* right to the end */
        { LOW_END - 0x40, { 0xe8, 0x7f }, 0, X86_GP },       /* call */
        { LOW_END - 0x40, { 0x74, 0x7f }, 0, X86_GP },       /* je */
        { LOW_END - 0x40, { 0x0f, 0x84, 0x7f }, 0, X86_GP }, /* je, 32 bits */
        { LOW_END - 0x40, { 0x75, 0x7f }, 0, X86_UD },       /* jne */
        { LOW_END - 0x40, { 0xe2, 0x7f }, 2, X86_GP },       /* loop */
        { LOW_END - 0x40, { 0xe2, 0x7f }, 1, X86_UD },       /* to its end */
        { LOW_END - 0x40, { 0xe1, 0x7f }, 2, X86_GP },       /* loope */
        { LOW_END - 0x40, { 0xe0, 0x7f }, 2, X86_UD },       /* loopne */
        { LOW_END - 0x40, { 0xe3, 0x7f }, 0, X86_GP },       /* jrcxz */
        { LOW_END - 0x40, { 0xe3, 0x7f }, 1, X86_UD },
        { LOW_END - 0x40, { 0xeb, 0 }, 0, X86_UD },
        { LOW_END - 0x2040, { 0xe9, 0, 0x30 }, 0, X86_GP },
        { LOW_END - 0x40000040, { 0xe9, 0x3c, 0, 0, 0x40 }, 0, X86_GP },
        { HIGH_START + 0x10, { 0xeb, 0x80 }, 0, X86_GP },
        { HIGH_START + 0x1010, { 0xe9, 0, 0xe0, 0xff, 0xff }, 0, X86_GP },
    };

    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(cases); i++) {
        uint64_t at = cases[i / 2].at;
        uint8_t *code, *frame;
        X86Rig rig;

        g_test_message("case %u", i);
        prepare(&rig);
        map_ends(&rig);
        code = rig.ram + PAGE_2M + (at & 0x1fffff);
        memset(code - 2, 0x90, 2);
        memcpy(code, (uint8_t[]){ 0, 0, 0x0f, 0x0b }, 4);
        for (unsigned n = 0; n < sizeof cases[0].code && (n < 2 || cases[i / 2].vector == X86_GP);
             n++) {
            code[n] = cases[i / 2].code[n];
        }
        rig.cpu->gpr[X86_RCX] = cases[i / 2].rcx;
        x86_set_eflags(rig.cpu, EFLAGS_ZF, EFLAGS_ZF);
        rig.cpu->eflags |= i % 2 ? EFLAGS_RF : 0; /* which makes a unit of each instruction */
        store_le64(rig.ram + STACK - 8, 1);
        x86_rig_run(&rig, at - (i % 2 ? 0 : 2));
        g_assert_cmpuint(rig.end_value, ==, cases[i / 2].vector);
        frame = x86_rig_frame(&rig, CATCHER);
        if (cases[i / 2].vector == X86_GP) {
            g_assert_cmphex(load_le64(frame), ==, 0);
            g_assert_cmphex(load_le64(frame + 8), ==, at);
            g_assert_cmphex(load_le64(frame + 32), ==, STACK);
            g_assert_cmphex(load_le64(rig.ram + STACK - 8), ==, 1);
            g_assert_cmpuint(rig.cpu->gpr[X86_RCX], ==, cases[i / 2].rcx);
        } else {
            g_assert_cmphex(load_le64(frame), ==, at + 2);
        }
        x86_rig_close(&rig);
    }
}

/* Code that runs on to the end: it is the next instruction that faults. */
static void test_code_to_the_end(void)
{
    X86Rig rig;

    prepare(&rig);
    map_ends(&rig);
    memset(rig.ram + PAGE_2M + 0x1ffff0, 0x90, 0x10);
    x86_rig_run(&rig, LOW_END - 0x10);
    g_assert_cmpuint(rig.end_value, ==, X86_GP);
    g_assert_cmphex(load_le64(x86_rig_frame(&rig, CATCHER) + 8), ==, LOW_END);
    x86_rig_close(&rig);
}

/* A LOOP beyond the end of its segment has not counted. */
static void test_loop_beyond_the_limit(void)
{
    const uint32_t rights = X86_SEG_P | X86_SEG_S | X86_SEG_ACCESSED | X86_SEG_B;
    X86Rig rig;

    prepare(&rig);
    rig.cpu->efer = rig.cpu->cr4 = 0;
    rig.cpu->cr0 = CR0_PE | CR0_ET;
    memset(rig.ram + CATCHER, 0, X86_RIG_CATCHER_BYTES);
    x86_rig_catch(&rig, CATCHER);
    x86_set_segment(rig.cpu, X86_CS, 8, 0, CODE + 0x20, rights | X86_SEG_CODE);
    memcpy(rig.ram + CODE, (uint8_t[]){ 0xe2, 0x40 }, 2);
    rig.cpu->gpr[X86_RCX] = 2;
    x86_rig_run(&rig, CODE);
    g_assert_cmpuint(rig.end_value, ==, X86_GP);
    g_assert_cmphex(load_le32(x86_rig_frame(&rig, CATCHER) + 4), ==, CODE);
    g_assert_cmphex(rig.cpu->gpr[X86_RCX], ==, 2);
    x86_rig_close(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    g_test_add_func("/faults-x86/not-canonical", test_not_canonical);
    g_test_add_func("/faults-x86/pending-x87", test_pending_x87);
    g_test_add_func("/faults-x86/branches-to-nowhere", test_branches_to_nowhere);
    g_test_add_func("/faults-x86/return-to-nowhere", test_return_to_nowhere);
    g_test_add_func("/faults-x86/branches-over-the-end", test_branches_over_the_end);
    g_test_add_func("/faults-x86/code-to-the-end", test_code_to_the_end);
    g_test_add_func("/faults-x86/loop-beyond-the-limit", test_loop_beyond_the_limit);
    return g_test_run();
}
