/* SPDX-License-Identifier: MIT */
/* Jumps that loops make again and again find their targets without the dispatcher: by a link, or in a jump cache. */
#include "base/bits.h"
#include "target/i386/control.h"
#include "target/i386/segment.h"
#include "tests/isa/rig-x86.h"

enum {
    CODE = 0x1000,
    FUNCTION = 0x9000,
    TABLES = 0xa000,
    DATA_0 = 0x10,
    CODE_0 = 8,
    STACK = 0x8000,
    ROUNDS = 1000,
    FEW = 100
};

/* 32-bit protected mode, all flat. */
static void prepare(X86Rig *rig)
{
    const uint32_t rights = X86_SEG_P | X86_SEG_S | X86_SEG_ACCESSED | X86_SEG_G | X86_SEG_B;

    if (!x86_rig_open(rig, "max", false)) {
        exit(77);
    }
    x86_rig_long_mode(rig);
    x86_rig_catch(rig, 0x2000);
    rig->cpu->efer = 0;
    rig->cpu->cr4 = CR4_PSE;
    rig->cpu->cr0 = CR0_PE | CR0_ET;
    x86_set_segment(rig->cpu, X86_CS, CODE_0, 0, 0xffffffff, rights | X86_SEG_CODE);
    store_le64(rig->ram + rig->cpu->gdtr.base + DATA_0, UINT64_C(0x00cf93000000ffff));
    rig->cpu->gpr[X86_RSP] = STACK;
    rig->cpu->gpr[X86_RCX] = ROUNDS;
}

/* Linux's entry code has the user's FS, which is null, and then the kernel's: each time the mode is another. */
static void test_segments(void)
{
    /* mov fs, eax; call edx; mov fs, ebx; call edx; dec ecx; jnz */
    static const uint8_t code[] = {
        0x8e, 0xe0, 0xff, 0xd2, 0x8e, 0xe3, 0xff, 0xd2, 0x49, 0x75, 0xf5
    };
    X86Rig rig;

    prepare(&rig);
    x86_rig_put_code(&rig, CODE, code, sizeof code);
    rig.ram[FUNCTION] = 0xc3;
    rig.cpu->gpr[X86_RAX] = 0;
    rig.cpu->gpr[X86_RBX] = DATA_0;
    rig.cpu->gpr[X86_RDX] = FUNCTION;
    x86_rig_run(&rig, CODE);
    g_assert_cmpuint(rig.end_value, ==, X86_RIG_DONE);
    g_assert_cmpuint(rig.cpu->tcg.indirects, <, FEW);
    x86_rig_close(&rig);
}

/* Loads of DS and ES that leave segments as flat as they were do not end a unit. */
static void test_flat(void)
{
    /* mov ds, ebx; mov es, ebx; dec ecx; jnz */
    static const uint8_t code[] = { 0x8e, 0xdb, 0x8e, 0xc3, 0x49, 0x75, 0xf9 };
    X86Rig rig;

    prepare(&rig);
    x86_rig_put_code(&rig, CODE, code, sizeof code);
    rig.cpu->gpr[X86_RBX] = DATA_0;
    x86_rig_run(&rig, CODE);
    g_assert_cmpuint(rig.end_value, ==, X86_RIG_DONE);
    g_assert_cmpuint(rig.cpu->tcg.dispatches, <, FEW);
    x86_rig_close(&rig);
}

/* Others do: the function's code is another for each kind. */
static void test_flat_or_not(void)
{
    enum { PLACE = 0x9100, BASE = 0x100, BASED = 0x30, FIRST = 3, SECOND = 500 };
    /* mov ds, eax; call edx; mov ds, ebx; call edx; dec ecx; jnz; and the function: add esi, [PLACE]; ret */
    static const uint8_t code[] = {
        0x8e, 0xd8, 0xff, 0xd2, 0x8e, 0xdb, 0xff, 0xd2, 0x49, 0x75, 0xf5
    };
    static const uint8_t function[] = { 0x03, 0x35, 0, 0x91, 0, 0, 0xc3 };
    X86Rig rig;

    prepare(&rig);
    store_le64(rig.ram + rig.cpu->gdtr.base + BASED, UINT64_C(0x00cf93000100ffff));
    store_le32(rig.ram + PLACE, FIRST);
    store_le32(rig.ram + PLACE + BASE, SECOND);
    x86_rig_put_code(&rig, CODE, code, sizeof code);
    memcpy(rig.ram + FUNCTION, function, sizeof function);
    rig.cpu->gpr[X86_RAX] = BASED;
    rig.cpu->gpr[X86_RBX] = DATA_0;
    rig.cpu->gpr[X86_RDX] = FUNCTION;
    rig.cpu->gpr[X86_RSI] = 0;
    x86_rig_run(&rig, CODE);
    g_assert_cmpuint(rig.end_value, ==, X86_RIG_DONE);
    g_assert_cmpuint(rig.cpu->gpr[X86_RSI], ==, ROUNDS * (FIRST + SECOND));
    x86_rig_close(&rig);
}

/* Around the end of 4 GiB, either way, as JITs whose code lies high call their program. */
static void test_around(void)
{
    enum { PAGE_BYTES = 0x400000, BACK = 0x40 };
    const uint32_t high = 0xb0000000;
    /* call function; dec ecx; jnz; and in the function: test ecx, ecx; jnz back */
    uint8_t code[] = { 0xe8, 0, 0, 0, 0, 0x49, 0x75, 0xf8 };
    uint8_t function[] = { 0x85, 0xc9, 0x0f, 0x85, 0, 0, 0, 0 };
    X86Rig rig;

    prepare(&rig);
    store_le32(rig.ram + TABLES, 0x83);
    store_le32(rig.ram + TABLES + (high >> 22) * 4, PAGE_BYTES | 0x83);
    rig.cpu->cr3 = TABLES;
    rig.cpu->cr0 |= CR0_PG;
    store_le32(code + 1, FUNCTION - (high + 5));
    store_le32(function + 4, high + BACK - (FUNCTION + (uint32_t)sizeof function));
    x86_rig_put_code(&rig, PAGE_BYTES, code, sizeof code);
    rig.ram[PAGE_BYTES + BACK] = 0xc3;
    memcpy(rig.ram + FUNCTION, function, sizeof function);
    x86_rig_run(&rig, high);
    g_assert_cmpuint(rig.end_value, ==, X86_RIG_DONE);
    g_assert_cmphex(rig.cpu->gpr[X86_RSP], ==, STACK);
    g_assert_cmpuint(rig.cpu->tcg.dispatches + rig.cpu->tcg.indirects, <, FEW);
    x86_rig_close(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/jumps-x86/segments", test_segments);
    g_test_add_func("/jumps-x86/around", test_around);
    g_test_add_func("/jumps-x86/flat", test_flat);
    g_test_add_func("/jumps-x86/flat-or-not", test_flat_or_not);
    return g_test_run();
}
