/* SPDX-License-Identifier: MIT */
/*
 * Recording of branches (DebugCtl.LBR; APM 2, 13.1.6): where the last one led from and to, and the last one before an exception.
 * usage: test-branches-x86 [-i]     (-i: on the interpreter)
 */
#include "base/bits.h"
#include "target/i386/control.h"
#include "tests/isa/rig-x86.h"

enum { CODE = 0x1000, CATCHER = 0x2000, STACK = 0x8000 };
enum { MSR_DEBUGCTL = 0x1d9, MSR_LAST_BRANCH = 0x1db };

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

static uint64_t msr(X86Rig *rig, uint32_t index)
{
    uint64_t value;

    g_assert_true(x86_read_msr(rig->cpu, index, &value));
    return value;
}

/* Where the catcher's handler of a vector begins is read from its gate. */
static uint64_t handler(const X86Rig *rig, unsigned vector)
{
    const uint8_t *gate = rig->ram + CATCHER + 16 * vector;

    return load_le16(gate) | (uint64_t)load_le16(gate + 6) << 16;
}

static void test_recording(void)
{
    enum { NONE = -1, TO_HANDLER = -2 };
    static const struct {
        uint8_t code[10], bytes;
        uint8_t vector;   /* X86_RIG_DONE: none */
        int16_t from, to; /* in the code */
        int16_t before_from, before_to;
    } cases[] = {
        /* jmp; a JNE that is not taken */
        { { 0xeb, 1, 0x90, 0x39, 0xc0, 0x75, 1, 0x90 }, 8, X86_RIG_DONE, 0, 3, NONE, NONE },
        { { 0x39, 0xc0, 0x74, 1, 0x90 }, 5, X86_RIG_DONE, 2, 5, NONE, NONE },             /* je */
        { { 0xe8, 1, 0, 0, 0, 0x90 }, 6, X86_RIG_DONE, 0, 6, NONE, NONE },                /* call */
        { { 0x68, 8, 0x10, 0, 0, 0xc3, 0x90, 0x90 }, 8, X86_RIG_DONE, 5, 8, NONE, NONE }, /* ret */
        /* to what follows: jmp, call, ret */
        { { 0xeb, 0, 0x90 }, 3, X86_RIG_DONE, 0, 2, NONE, NONE },
        { { 0xe8, 0, 0, 0, 0, 0x90 }, 6, X86_RIG_DONE, 0, 5, NONE, NONE },
        { { 0x68, 6, 0x10, 0, 0, 0xc3, 0x90 }, 7, X86_RIG_DONE, 5, 6, NONE, NONE },
        /* jmp; ud2 */
        { { 0xeb, 1, 0x90, 0x0f, 0x0b }, 5, X86_UD, 3, TO_HANDLER, 0, 3 },
        /* jmp; int 6, jmp; int1: the handler of a debug exception finds what was before */
        { { 0xeb, 1, 0x90, 0xcd, 6 }, 5, X86_UD, 3, TO_HANDLER, 0, 3 },
        { { 0xeb, 1, 0x90, 0xf1 }, 4, X86_DB, 0, 3, NONE, NONE },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        bool before = cases[i].before_from != NONE;
        X86Rig rig;

        g_test_message("case %u", i);
        prepare(&rig);
        x86_rig_put_code(&rig, CODE, cases[i].code, cases[i].bytes);
        rig.cpu->debugctl = DEBUGCTL_LBR;
        x86_rig_run(&rig, CODE);
        g_assert_cmpuint(rig.end_value, ==, cases[i].vector);
        g_assert_cmphex(msr(&rig, MSR_LAST_BRANCH), ==, CODE + (uint64_t)cases[i].from);
        g_assert_cmphex(msr(&rig, MSR_LAST_BRANCH + 1), ==,
                        cases[i].to == TO_HANDLER ? handler(&rig, cases[i].vector)
                                                  : CODE + (uint64_t)cases[i].to);
        g_assert_cmphex(msr(&rig, MSR_LAST_BRANCH + 2), ==,
                        before ? CODE + (uint64_t)cases[i].before_from : 0);
        g_assert_cmphex(msr(&rig, MSR_LAST_BRANCH + 3), ==,
                        before ? CODE + (uint64_t)cases[i].before_to : 0);
        g_assert_cmphex(rig.cpu->debugctl, ==, cases[i].vector == X86_DB ? 0 : DEBUGCTL_LBR);
        x86_rig_close(&rig);
    }
}

/* Software begins and ends it: what it does in between is all that is recorded. */
static void test_switched(void)
{
    /* jmp; wrmsr; jmp; dec eax; wrmsr; jmp */
    static const uint8_t code[] = { 0xeb, 1,    0x90, 0x0f, 0x30, 0xeb, 1,   0x90,
                                    0xff, 0xc8, 0x0f, 0x30, 0xeb, 1,    0x90 };
    X86Rig rig;

    prepare(&rig);
    x86_rig_put_code(&rig, CODE, code, sizeof code);
    rig.cpu->gpr[X86_RCX] = MSR_DEBUGCTL;
    rig.cpu->gpr[X86_RAX] = DEBUGCTL_LBR;
    rig.cpu->gpr[X86_RDX] = 0;
    x86_rig_run(&rig, CODE);
    g_assert_cmpuint(rig.end_value, ==, X86_RIG_DONE);
    g_assert_cmphex(msr(&rig, MSR_LAST_BRANCH), ==, CODE + 5);
    g_assert_cmphex(msr(&rig, MSR_LAST_BRANCH + 1), ==, CODE + 8);
    x86_rig_close(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    g_test_add_func("/branches-x86/recording", test_recording);
    g_test_add_func("/branches-x86/switched", test_switched);
    return g_test_run();
}
