/* SPDX-License-Identifier: MIT */
/*
 * Protection keys: what PKRU and PKRS allow of pages with keys, by walks and by code that changes them; RDPKRU and WRPKRU; PKRU
 * in areas of XSAVE in both forms; and CPUID.
 */
#include "target/i386/control.h"
#include "target/i386/mmu.h"
#include "tests/isa/rig-x86.h"

enum { PAGE = 0x40000000, KEY = 5, CODE = 0x100000, AREA = 0x200000, PKRS = 0x6e1 };
#define KEY_BITS   (UINT64_C(7) | 1 << 7 | (uint64_t)KEY << 59)
#define SUPERVISOR UINT64_C(0x80000000)

static bool interp;

/* The second GiB shows the first, as user pages with a key, and the third as supervisor pages. */
static bool open_rig(X86Rig *rig)
{
    uint64_t *tables;

    if (!x86_rig_open(rig, "max", interp)) {
        g_test_skip("no back end for this host");
        return false;
    }
    x86_rig_long_mode(rig);
    tables = (uint64_t *)(void *)(rig->ram + (rig->cpu->cr3 & 0xfffff000));
    tables[513] = KEY_BITS;
    tables[514] = KEY_BITS & ~UINT64_C(4);
    rig->cpu->cr4 |= CR4_PKE;
    x86_update_context(rig->cpu);
    return true;
}

/* 0, or the error code of the page fault. */
static uint32_t walk_to(X86Rig *rig, uint64_t address, TcgAccess access)
{
    TcgMapping mapping = { 0 };

    return x86_walk(&rig->cpu->tcg, address, 1, access, 0, &mapping)
               ? 0
               : rig->cpu->fault.error_code | UINT32_C(0x80000000);
}

static uint32_t walk(X86Rig *rig, TcgAccess access)
{
    return walk_to(rig, PAGE + 0x1000, access);
}

static void test_walk(void)
{
    const uint32_t fault = UINT32_C(0x80000000) | X86_PF_P | X86_PF_PK;
    const uint32_t access_off = 1u << 2 * KEY, write_off = 2u << 2 * KEY;
    X86Rig rig;

    if (!open_rig(&rig)) {
        return;
    }
    for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
        const uint32_t user = cpl ? X86_PF_U : 0;

        rig.cpu->cpl = (uint8_t)cpl;
        rig.cpu->cr0 |= CR0_WP;
        rig.cpu->pkru = ~(access_off | write_off);
        g_assert_cmphex(walk(&rig, TCG_READ), ==, 0);
        g_assert_cmphex(walk(&rig, TCG_WRITE), ==, 0);
        rig.cpu->pkru = write_off;
        g_assert_cmphex(walk(&rig, TCG_READ), ==, 0);
        g_assert_cmphex(walk(&rig, TCG_WRITE), ==, fault | X86_PF_W | user);
        rig.cpu->pkru = access_off;
        g_assert_cmphex(walk(&rig, TCG_READ), ==, fault | user);
        g_assert_cmphex(walk(&rig, TCG_WRITE), ==, fault | X86_PF_W | user);
        g_assert_cmphex(walk(&rig, TCG_FETCH), ==, 0);
        /* Without CR0.WP, supervisors write where only writes are off. */
        rig.cpu->cr0 &= ~CR0_WP;
        rig.cpu->pkru = write_off;
        g_assert_cmphex(walk(&rig, TCG_WRITE), ==, cpl ? fault | X86_PF_W | user : 0);
        rig.cpu->cr4 &= ~CR4_PKE;
        rig.cpu->pkru = UINT32_MAX;
        g_assert_cmphex(walk(&rig, TCG_WRITE), ==, 0);
        rig.cpu->cr4 |= CR4_PKE;
    }
    x86_rig_close(&rig);
}

static uint32_t walk_supervisor(X86Rig *rig, TcgAccess access)
{
    return walk_to(rig, SUPERVISOR + 0x1000, access);
}

/* PKRS is to supervisor pages what PKRU is to user pages. */
static void test_supervisor_walk(void)
{
    const uint32_t fault = UINT32_C(0x80000000) | X86_PF_P | X86_PF_PK;
    const uint32_t access_off = 1u << 2 * KEY, write_off = 2u << 2 * KEY;
    X86Rig rig;

    if (!open_rig(&rig)) {
        return;
    }
    rig.cpu->cr0 |= CR0_WP;
    rig.cpu->cr4 |= CR4_PKS;
    rig.cpu->pkru = UINT32_MAX;
    rig.cpu->pkrs = (uint32_t) ~(access_off | write_off);
    g_assert_cmphex(walk_supervisor(&rig, TCG_READ), ==, 0);
    g_assert_cmphex(walk_supervisor(&rig, TCG_WRITE), ==, 0);
    rig.cpu->pkrs = write_off;
    g_assert_cmphex(walk_supervisor(&rig, TCG_READ), ==, 0);
    g_assert_cmphex(walk_supervisor(&rig, TCG_WRITE), ==, fault | X86_PF_W);
    rig.cpu->pkrs = access_off;
    g_assert_cmphex(walk_supervisor(&rig, TCG_READ), ==, fault);
    g_assert_cmphex(walk_supervisor(&rig, TCG_WRITE), ==, fault | X86_PF_W);
    g_assert_cmphex(walk_supervisor(&rig, TCG_FETCH), ==, 0);
    rig.cpu->cr0 &= ~CR0_WP;
    rig.cpu->pkrs = write_off;
    g_assert_cmphex(walk_supervisor(&rig, TCG_WRITE), ==, 0);
    rig.cpu->pkrs = UINT32_MAX;
    g_assert_cmphex(walk_supervisor(&rig, TCG_READ), ==, fault);
    rig.cpu->cr4 &= ~CR4_PKS;
    g_assert_cmphex(walk_supervisor(&rig, TCG_READ), ==, 0);
    /* Nor do they count for each other's pages. */
    rig.cpu->cr4 |= CR4_PKS;
    rig.cpu->pkru = 0;
    g_assert_cmphex(walk(&rig, TCG_WRITE), ==, 0);
    x86_rig_close(&rig);
}

/* The same access by the same code, with another PKRS each time: the second loses its right. Bits 32 to 63 are reserved. */
static void test_supervisor_code(void)
{
    static const uint8_t again[] = {
        0x31, 0xd2, 0x31, 0xc0, 0x0f, 0x30,       /* xor edx, edx; xor eax, eax; wrmsr */
        0xc6, 0x03, 0x5a,                         /* mov byte [rbx], 0x5a */
        0xb8, 0x00, 0x08, 0x00, 0x00, 0x0f, 0x30, /* PKRS: no writes by KEY */
        0x0f, 0x32, 0x89, 0xc6,                   /* rdmsr; mov esi, eax */
        0xc6, 0x03, 0x66,                         /* the same place: a fault */
        0x66, 0xba, 0xf4, 0x05, 0xef, 0xf4,
    };
    static const uint8_t reserved[] = {
        0xba, 0x01, 0x00, 0x00, 0x00, 0x0f, 0x30, /* mov edx, 1; wrmsr */
        0x66, 0xba, 0xf4, 0x05, 0xef, 0xf4,
    };
    X86Rig rig;

    if (!open_rig(&rig)) {
        return;
    }
    rig.cpu->cr4 |= CR4_PKS;
    rig.cpu->gpr[X86_RBX] = SUPERVISOR + 0x1000;
    rig.cpu->gpr[X86_RCX] = PKRS;
    memcpy(rig.ram + CODE, again, sizeof again);
    x86_rig_run(&rig, CODE); /* there is no IDT: a triple fault ends it */
    g_assert_cmphex(rig.ram[0x1000], ==, 0x5a);
    g_assert_cmphex(rig.cpu->cr2, ==, SUPERVISOR + 0x1000);
    g_assert_cmphex(rig.cpu->gpr[X86_RSI], ==, 0x800);
    x86_rig_close(&rig);
    if (!open_rig(&rig)) {
        return;
    }
    rig.cpu->gpr[X86_RCX] = PKRS;
    rig.end_value = 0x55;
    memcpy(rig.ram + CODE, reserved, sizeof reserved);
    x86_rig_run(&rig, CODE);
    g_assert_cmphex(rig.end_value, ==, 0x55);
    g_assert_cmphex(rig.cpu->pkrs, ==, 0);
    x86_rig_close(&rig);
}

/*
 * Writes PKRU, reads it back into EBX, saves it in both forms of XSAVE, clears it, and restores it from the compact form into ESI; all but key 0
 * and KEY are closed meanwhile.
 */
static const uint8_t code[] = {
    0x31, 0xc9, 0x31, 0xd2,                         /* xor ecx, ecx; xor edx, edx */
    0xb8, 0xf0, 0xf3, 0xff, 0xff,                   /* mov eax, 0xfffff3f0 */
    0x0f, 0x01, 0xef,                               /* wrpkru */
    0x31, 0xc0, 0x0f, 0x01, 0xee, 0x89, 0xc3,       /* xor eax, eax; rdpkru; mov ebx, eax */
    0xb8, 0x07, 0x02, 0x00, 0x00,                   /* mov eax, 0x207 */
    0x0f, 0xae, 0x24, 0x25, 0x00, 0x00, 0x20, 0x00, /* xsave [AREA] */
    0x0f, 0xc7, 0x24, 0x25, 0x00, 0x10, 0x20, 0x00, /* xsavec [AREA + 0x1000] */
    0x31, 0xc0, 0x0f, 0x01, 0xef,                   /* xor eax, eax; wrpkru */
    0xb8, 0x00, 0x02, 0x00, 0x00,                   /* mov eax, 0x200 */
    0x0f, 0xae, 0x2c, 0x25, 0x00, 0x10, 0x20, 0x00, /* xrstor [AREA + 0x1000] */
    0x0f, 0x01, 0xee, 0x89, 0xc6,                   /* rdpkru; mov esi, eax */
    0x66, 0xba, 0xf4, 0x05, 0xef, 0xf4,             /* mov dx, 0x5f4; out dx, eax; hlt */
};

static void test_instructions(void)
{
    X86Rig rig;

    if (!open_rig(&rig)) {
        return;
    }
    memcpy(rig.ram + CODE, code, sizeof code);
    x86_rig_run(&rig, CODE);
    g_assert_cmphex(rig.cpu->gpr[X86_RBX], ==, 0xfffff3f0);
    g_assert_cmphex(rig.cpu->gpr[X86_RSI], ==, 0xfffff3f0);
    g_assert_cmphex(load_le64(rig.ram + AREA + 2688), ==, 0xfffff3f0);
    g_assert_cmphex(load_le64(rig.ram + AREA + 512) & XCR0_PKRU, ==, XCR0_PKRU);
    g_assert_cmphex(load_le64(rig.ram + AREA + 0x1000 + 512) & XCR0_PKRU, ==, XCR0_PKRU);
    g_assert_cmphex(load_le64(rig.ram + AREA + 0x1000 + 832), ==, 0xfffff3f0);
    x86_rig_close(&rig);
}

/* The same access by the same code, with another PKRU each time: the second loses its right. */
static void test_cached(void)
{
    static const uint8_t again[] = {
        0x31, 0xc9, 0x31, 0xd2, 0x31, 0xc0, 0x0f, 0x01, 0xef, /* PKRU: 0 */
        0xc6, 0x04, 0x25, 0x00, 0x10, 0x00, 0x40, 0x5a,       /* mov byte [PAGE + 0x1000], 0x5a */
        0xb8, 0x00, 0x08, 0x00, 0x00, 0x0f, 0x01, 0xef,       /* PKRU: no writes by KEY */
        0xc6, 0x04, 0x25, 0x00, 0x10, 0x00, 0x40, 0x66,       /* the same place: a fault */
        0x66, 0xba, 0xf4, 0x05, 0xef, 0xf4,
    };
    X86Rig rig;

    if (!open_rig(&rig)) {
        return;
    }
    memcpy(rig.ram + CODE, again, sizeof again);
    x86_rig_run(&rig, CODE); /* there is no IDT: a triple fault ends it */
    g_assert_cmphex(rig.ram[0x1000], ==, 0x5a);
    g_assert_cmphex(rig.cpu->cr2, ==, PAGE + 0x1000);
    x86_rig_close(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    interp = argc > 1 && g_str_equal(argv[1], "-i");
    g_test_add_func("/keys-x86/walk", test_walk);
    g_test_add_func("/keys-x86/instructions", test_instructions);
    g_test_add_func("/keys-x86/cached", test_cached);
    g_test_add_func("/keys-x86/supervisor-walk", test_supervisor_walk);
    g_test_add_func("/keys-x86/supervisor-code", test_supervisor_code);
    return g_test_run();
}
