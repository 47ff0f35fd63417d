/* SPDX-License-Identifier: MIT */
/*
 * Accessed and dirty bits, exactly (SDM 3, 4.8 and 3.4.5.1), and accesses that run over the end of the canonical addresses.
 * usage: test-paging-x86 [-i]     (-i: on the interpreter)
 */
#include "base/bits.h"
#include "target/i386/control.h"
#include "tests/isa/rig-x86.h"

enum { CODE = 0x1000, CATCHER = 0x2000, STACK = 0x8000 };
enum { PAGES_1G = 0x3ff1000, PAGES_2M = 0x3fe0000, PAGES_4K = 0x3fe1000 };
/* Two pages under test, in the second large page. */
enum { FIRST = 0x200000, SECOND = 0x201000, P = 1, W = 2, A = 0x20, D = 0x40 };

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

static void map_pages(X86Rig *rig, uint64_t first, uint64_t second)
{
    for (unsigned i = 0; i < 512; i++) {
        store_le64(rig->ram + PAGES_2M + 8 * i, (uint64_t)i << 21 | 0xe3);
    }
    store_le64(rig->ram + PAGES_2M + 8, PAGES_4K | P | W);
    store_le64(rig->ram + PAGES_4K, FIRST | first);
    store_le64(rig->ram + PAGES_4K + 8, SECOND | second);
    store_le64(rig->ram + PAGES_1G, PAGES_2M | P | W);
}

static uint64_t bits_of(const X86Rig *rig, unsigned page)
{
    return load_le64(rig->ram + PAGES_4K + 8 * page) & (A | D);
}

/* An instruction about [rbx], which is in the first page, or lies across both. */
static void test_accesses(void)
{
    static const struct {
        uint8_t code[8];
        uint8_t first, second; /* rights */
        uint16_t offset;
        uint8_t vector;
        uint8_t first_bits, second_bits; /* then */
    } cases[] = {
        { { 0x8b, 0x03 }, P | W, P | W, 0, X86_RIG_DONE, A, 0 },           /* mov eax, [rbx] */
        { { 0x89, 0x03 }, P | W, P | W, 0, X86_RIG_DONE, A | D, 0 },       /* mov [rbx], eax */
        { { 0x39, 0x03 }, P | W, P | W, 0, X86_RIG_DONE, A, 0 },           /* cmp [rbx], eax */
        { { 0x85, 0x03 }, P | W, P | W, 0, X86_RIG_DONE, A, 0 },           /* test [rbx], eax */
        { { 0x0f, 0xa3, 0x03 }, P | W, P | W, 0, X86_RIG_DONE, A, 0 },     /* bt [rbx], eax */
        { { 0x0f, 0xab, 0x03 }, P | W, P | W, 0, X86_RIG_DONE, A | D, 0 }, /* bts [rbx], eax */
        { { 0x01, 0x03 }, P | W, P | W, 0, X86_RIG_DONE, A | D, 0 },       /* add [rbx], eax */
        { { 0xf0, 0x01, 0x03 }, P | W, P | W, 0, X86_RIG_DONE, A | D, 0 }, /* lock add [rbx], eax */
        { { 0x0f, 0xb1, 0x0b }, P | W, P | W, 0, X86_RIG_DONE, A | D, 0 }, /* cmpxchg [rbx], ecx */
        { { 0x0f, 0xc7, 0x0b }, P | W, P | W, 0, X86_RIG_DONE, A | D, 0 }, /* cmpxchg8b [rbx] */
        { { 0xff, 0x33 }, P | W, P | W, 0, X86_RIG_DONE, A, 0 },           /* push [rbx] */
        { { 0x8f, 0x03 }, P | W, P | W, 0, X86_RIG_DONE, A | D, 0 },       /* pop [rbx] */
        { { 0xd9, 0x03 }, P | W, P | W, 0, X86_RIG_DONE, A, 0 },           /* fld [rbx] */
        { { 0xd9, 0x3b }, P | W, P | W, 0, X86_RIG_DONE, A | D, 0 },       /* fnstcw [rbx] */
        { { 0x0f, 0x18, 0x0b }, P | W, 0, 0, X86_RIG_DONE, 0, 0 },         /* prefetcht0 [rbx] */
        { { 0x48, 0x8d, 0x03 }, P | W, 0, 0, X86_RIG_DONE, 0, 0 },         /* lea rax, [rbx] */
        /* What is refused changes nothing. */
        { { 0x89, 0x03 }, P, P | W, 0, X86_PF, 0, 0 },
        { { 0x01, 0x03 }, P, P | W, 0, X86_PF, 0, 0 },
        { { 0xf0, 0x01, 0x03 }, P, P | W, 0, X86_PF, 0, 0 },
        { { 0x0f, 0xab, 0x03 }, P, P | W, 0, X86_PF, 0, 0 },
        { { 0x0f, 0xb1, 0x0b }, P, P | W, 0, X86_PF, 0, 0 },
        { { 0x0f, 0xc7, 0x0b }, P, P | W, 0, X86_PF, 0, 0 },
        { { 0x87, 0x03 }, P, P | W, 0, X86_PF, 0, 0 }, /* xchg [rbx], eax */
        { { 0x8f, 0x03 }, P, P | W, 0, X86_PF, 0, 0 },
        /* Across both: as a whole, or not at all. */
        { { 0x89, 0x03 }, P | W, P | W, 0xffe, X86_RIG_DONE, A | D, A | D },
        { { 0x8b, 0x03 }, P | W, P | W, 0xffe, X86_RIG_DONE, A, A },
        { { 0x89, 0x03 }, P | W, P, 0xffe, X86_PF, 0, 0 },
        { { 0x89, 0x03 }, P | W, 0, 0xffe, X86_PF, 0, 0 },
        { { 0x01, 0x03 }, P | W, 0, 0xffe, X86_PF, 0, 0 },
        { { 0x01, 0x03 }, P | W, P, 0xffe, X86_PF, 0, 0 },
        { { 0xf0, 0x01, 0x03 }, P | W, P, 0xffe, X86_PF, 0, 0 },
        { { 0x0f, 0xc7, 0x0b }, P | W, P, 0xffc, X86_PF, 0, 0 },
        { { 0x0f, 0x11, 0x03 }, P | W, P, 0xff8, X86_PF, 0, 0 }, /* movups [rbx], xmm0 */
        { { 0xdd, 0x1b }, P | W, P, 0xffc, X86_PF, 0, 0 },       /* fstp qword [rbx] */
        { { 0xdb, 0x3b }, P | W, P, 0xffc, X86_PF, 0, 0 },       /* fstp tbyte [rbx] */
        { { 0xd9, 0x33 }, P | W, P, 0xff0, X86_PF, 0, 0 },       /* fnstenv [rbx] */
        { { 0x0f, 0xae, 0x03 }, P | W, P, 0xf00, X86_PF, 0, 0 }, /* fxsave [rbx] */
        { { 0x0f, 0x01, 0x0b }, P | W, P, 0xffe, X86_PF, 0, 0 }, /* sidt [rbx] */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        prepare(&rig);
        map_pages(&rig, cases[i].first, cases[i].second);
        rig.cpu->gpr[X86_RBX] = FIRST + cases[i].offset;
        rig.cpu->gpr[X86_RAX] = 1;
        x86_rig_put_code(&rig, CODE, cases[i].code, sizeof cases[i].code);
        for (unsigned n = sizeof cases[i].code; n-- && !cases[i].code[n];) {
            rig.ram[CODE + n] = 0x90;
        }
        x86_rig_run(&rig, CODE);
        g_test_message("case %u: %02x %02x", i, cases[i].code[0], cases[i].code[1]);
        g_assert_cmpuint(rig.end_value, ==, cases[i].vector);
        g_assert_cmphex(bits_of(&rig, 0), ==, cases[i].first_bits);
        g_assert_cmphex(bits_of(&rig, 1), ==, cases[i].second_bits);
        if (cases[i].vector == X86_PF) {
            g_assert_cmphex(rig.cpu->cr2, ==, cases[i].offset ? SECOND : rig.cpu->gpr[X86_RBX]);
        }
        x86_rig_close(&rig);
    }
}

/* An entry of each level that is used has A, and only the one that maps the page D. */
static void test_levels(void)
{
    enum { TABLES = 0x3ff0000 };

    for (unsigned write = 0; write < 2; write++) {
        uint64_t leaf = write ? A | D : A;
        X86Rig rig;

        prepare(&rig);
        map_pages(&rig, P | W, P | W);
        store_le64(rig.ram + PAGES_2M + 16, 0x400000 | 0x83);
        rig.cpu->gpr[X86_RBX] = FIRST;
        rig.cpu->gpr[X86_RCX] = 0x400000;
        /* mov [rbx], eax; mov [rcx], eax, or the other way round */
        x86_rig_put_code(&rig, CODE,
                         write ? (uint8_t[]){ 0x89, 0x03, 0x89, 0x01 }
                               : (uint8_t[]){ 0x8b, 0x03, 0x8b, 0x01 },
                         4);
        x86_rig_run(&rig, CODE);
        g_assert_cmphex(load_le64(rig.ram + TABLES) & (A | D), ==, A);
        g_assert_cmphex(load_le64(rig.ram + PAGES_1G) & (A | D), ==, A);
        g_assert_cmphex(load_le64(rig.ram + PAGES_2M + 8) & (A | D), ==, A);
        g_assert_cmphex(load_le64(rig.ram + PAGES_2M + 16) & (A | D), ==, leaf);
        g_assert_cmphex(bits_of(&rig, 0), ==, leaf);
        x86_rig_close(&rig);
    }
}

/* Descriptors are marked when they are loaded, and only then, and only if they are not: their page stays clean. */
static void test_descriptors(void)
{
    enum { ACCESSED = 1, SELECTOR = 0x30 };
    static const struct {
        uint8_t code[4];
        uint8_t type;  /* P, DPL, S and type */
        uint8_t pages; /* rights of the table's page */
        uint8_t vector;
        bool marked;
        uint8_t bits; /* of that page */
    } cases[] = {
        { { 0x8e, 0xd8 }, 0x92, P | W, X86_RIG_DONE, true, A | D }, /* mov ds, eax */
        { { 0x8e, 0xd8 }, 0x93, P | W, X86_RIG_DONE, true, A },
        { { 0x8e, 0xd8 }, 0x93, P, X86_RIG_DONE, true, A },
        { { 0x8e, 0xd8 }, 0x92, P, X86_PF, false, A },
        { { 0x8e, 0xd8 }, 0x12, P | W, X86_NP, false, A }, /* not present */
        { { 0x8e, 0xd8 }, 0x98, P | W, X86_GP, false, A }, /* code that cannot be read */
        { { 0x8e, 0xd0 }, 0x90, P | W, X86_GP, false, A }, /* mov ss, eax: read-only */
        { { 0x0f, 0x02, 0xc8 }, 0x92, P | W, X86_RIG_DONE, false, A },     /* lar ecx, eax */
        { { 0x0f, 0x03, 0xc8 }, 0x92, P | W, X86_RIG_DONE, false, A },     /* lsl ecx, eax */
        { { 0x0f, 0x00, 0xe0 }, 0x92, P | W, X86_RIG_DONE, false, A },     /* verr ax */
        { { 0x0f, 0x00, 0xe8 }, 0x92, P | W, X86_RIG_DONE, false, A },     /* verw ax */
        { { 0x0f, 0x00, 0xd0 }, 0x82, P | W, X86_RIG_DONE, false, A },     /* lldt ax */
        { { 0x0f, 0x00, 0xd8 }, 0x89, P | W, X86_RIG_DONE, false, A | D }, /* ltr ax: busy */
        { { 0x0f, 0x00, 0xd8 }, 0x8b, P | W, X86_GP, true, A },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint8_t *table;
        X86Rig rig;

        prepare(&rig);
        map_pages(&rig, cases[i].pages, 0);
        table = rig.ram + FIRST;
        memcpy(table, rig.ram + rig.cpu->gdtr.base, SELECTOR);
        store_le64(table + SELECTOR, 0x67 | (uint64_t)cases[i].type << 40);
        store_le64(table + SELECTOR + 8, 0);
        rig.cpu->gdtr = (X86TableRegister){ FIRST, SELECTOR + 15 };
        rig.cpu->gpr[X86_RAX] = SELECTOR;
        x86_rig_put_code(&rig, CODE, cases[i].code, cases[i].code[2] ? 3 : 2);
        x86_rig_run(&rig, CODE);
        g_test_message("case %u", i);
        /* A gate reads the table, too: its code segment's descriptor is marked already. */
        g_assert_cmpuint(rig.end_value, ==, cases[i].vector);
        g_assert_cmphex(table[SELECTOR + 5] & ACCESSED, ==, cases[i].marked || (cases[i].type & 1));
        g_assert_cmphex(bits_of(&rig, 0), ==, cases[i].bits);
        x86_rig_close(&rig);
    }
}

/* A descriptor that cannot be marked faults before anything has changed. */
static void test_unmarkable_descriptors(void)
{
    enum { CODE_0 = 8, CODE_1 = 0x30, DATA_1 = 0x38, POINTER = 0x6000 };
    static const struct {
        uint8_t code[3];
        bool marked;                                 /* CODE_1 */
    } cases[] = { { { 0x48, 0xcb }, false },         /* retf */
                  { { 0x48, 0xcf }, false },         /* iret */
                  { { 0x48, 0xcf }, true },          /* to SS */
                  { { 0x48, 0xff, 0x1b }, false },   /* call far [rbx] */
                  { { 0x48, 0xff, 0x2b }, false } }; /* jmp far [rbx] */
    const uint64_t frame[] = { CODE + 0x100, CODE_1, 2, STACK, DATA_1 };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        const uint8_t *seen;
        uint8_t *table;
        X86Rig rig;

        prepare(&rig);
        map_pages(&rig, P, 0);
        table = rig.ram + FIRST;
        memcpy(table, rig.ram + rig.cpu->gdtr.base, CODE_1);
        store_le64(table + CODE_1, UINT64_C(0x00209a0000000000) | (uint64_t)cases[i].marked << 40);
        store_le64(table + DATA_1, UINT64_C(0x00cf92000000ffff));
        for (unsigned n = 0; n < G_N_ELEMENTS(frame); n++) {
            store_le64(rig.ram + STACK + 8 * n, frame[n]);
        }
        store_le64(rig.ram + POINTER, CODE + 0x100);
        store_le16(rig.ram + POINTER + 8, CODE_1);
        rig.cpu->gpr[X86_RBX] = POINTER;
        rig.cpu->gdtr = (X86TableRegister){ FIRST, DATA_1 + 7 };
        x86_rig_put_code(&rig, CODE, cases[i].code, sizeof cases[i].code);
        x86_rig_run(&rig, CODE);
        g_test_message("case %u", i);
        g_assert_cmpuint(rig.end_value, ==, X86_PF);
        seen = x86_rig_frame(&rig, CATCHER);
        g_assert_cmphex(load_le64(seen), ==, 3);
        g_assert_cmphex(load_le64(seen + 8), ==, CODE);
        g_assert_cmphex(load_le64(seen + 16), ==, CODE_0);
        g_assert_cmphex(load_le64(seen + 32), ==, STACK);
        g_assert_cmphex(load_le64(seen + 40), ==, 16);
        x86_rig_close(&rig);
    }
}

/* 32-bit protected mode, with the first GiB mapped by PAE's tables; the pages under test as map_pages has them. */
enum { POINTERS = 0x3fd0000, OTHER_POINTERS = 0x3fd1000, OTHER_2M = 0x3fd2000 };

static void prepare_32(X86Rig *rig)
{
    const uint32_t rights = X86_SEG_P | X86_SEG_S | X86_SEG_ACCESSED | X86_SEG_G | X86_SEG_B;

    prepare(rig);
    rig->cpu->efer = 0;
    rig->cpu->cr4 = CR4_PAE;
    rig->cpu->cr3 = POINTERS;
    rig->cpu->pdpte[0] = PAGES_2M | P;
    store_le64(rig->ram + POINTERS, PAGES_2M | P);
    x86_set_segment(rig->cpu, X86_CS, 8, 0, 0xffffffff, rights | X86_SEG_CODE);
    x86_rig_catch(rig, CATCHER);
}

/* From user mode, so that the handler's stack is the task's. */
static void test_inner_stack(void)
{
    const uint32_t rights = X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED | X86_SEG_G |
                            X86_SEG_B | 3 << X86_SEG_DPL_SHIFT;
    uint8_t *table;
    X86Rig rig;

    prepare_32(&rig);
    rig.cpu->cr0 = CR0_PE | CR0_ET;
    table = rig.ram + rig.cpu->gdtr.base;
    store_le64(table + 0x10, UINT64_C(0x00cf92000000ffff));
    store_le64(table + 0x20, UINT64_C(0x00cffb000000ffff));
    store_le32(rig.ram + rig.cpu->tr.base + 4, STACK);
    store_le32(rig.ram + rig.cpu->tr.base + 8, 0x10);
    x86_set_segment(rig.cpu, X86_SS, X86_RIG_DATA_3, 0, 0xffffffff, rights);
    x86_set_segment(rig.cpu, X86_CS, X86_RIG_CODE_3, 0, 0xffffffff, rights | X86_SEG_CODE);
    rig.cpu->cpl = 3;
    x86_rig_put_code(&rig, CODE, (uint8_t[]){ 0x0f, 0x0b }, 2);
    x86_rig_run(&rig, CODE);
    g_assert_cmpuint(rig.end_value, ==, X86_UD);
    g_assert_cmphex(table[0x15], ==, 0x93);
    x86_rig_close(&rig);
}

/* A task of 32 bits at NEW, and its descriptor. */
enum { NEW_TASK = 0x30 };

static void put_task(X86Rig *rig, uint32_t at, uint32_t cr3)
{
    static const uint16_t segments[] = { 0x10, 8, 0x10, 0x10, 0x10, 0x10 };
    uint8_t *tss = rig->ram + at;

    memset(tss, 0, 0x68);
    store_le32(tss + 0x1c, cr3);
    store_le32(tss + 0x20, CODE + 0x100);
    store_le32(tss + 0x24, 2);
    store_le32(tss + 0x38, STACK);
    for (unsigned i = 0; i < G_N_ELEMENTS(segments); i++) {
        store_le16(tss + 0x48 + 4 * i, segments[i]);
    }
    store_le64(rig->ram + rig->cpu->gdtr.base + NEW_TASK,
               0x67 | (uint64_t)(at & 0xffffff) << 16 | UINT64_C(0x89) << 40);
    store_le64(rig->ram + rig->cpu->gdtr.base + rig->cpu->tr.selector,
               0x67 | (rig->cpu->tr.base & 0xffffff) << 16 | UINT64_C(0x8b) << 40);
}

/* A task's own address space is its own directory pointers with PAE. */
static void test_directories_of_tasks(void)
{
    enum { TSS = 0x6000, ELSEWHERE = 0x400000 };
    /* mov ebx, [FIRST]; jmp NEW_TASK:0 */
    static const uint8_t code[] = { 0x8b, 0x1d, 0, 0, 0x20, 0, 0xea, 0, 0, 0, 0, NEW_TASK, 0 };
    X86Rig rig;

    prepare_32(&rig);
    map_pages(&rig, P | W, P | W);
    memcpy(rig.ram + OTHER_2M, rig.ram + PAGES_2M, 0x1000);
    store_le64(rig.ram + OTHER_2M + 8, ELSEWHERE | 0x83);
    store_le64(rig.ram + OTHER_POINTERS, OTHER_2M | P);
    put_task(&rig, TSS, OTHER_POINTERS);
    store_le32(rig.ram + FIRST, 1);
    store_le32(rig.ram + ELSEWHERE, 2);
    memcpy(rig.ram + CODE, code, sizeof code);
    /* mov ecx, [FIRST] */
    x86_rig_put_code(&rig, CODE + 0x100, (uint8_t[]){ 0x8b, 0x0d, 0, 0, 0x20, 0 }, 6);
    x86_rig_run(&rig, CODE);
    g_assert_cmpuint(rig.end_value, ==, X86_RIG_DONE);
    g_assert_cmpuint(load_le32(rig.ram + rig.cpu->tr.base), ==, 0);
    g_assert_cmpuint(rig.cpu->gpr[X86_RCX], ==, 2);
    x86_rig_close(&rig);
}

/* A call to a task whose link cannot be written does not begin: the old task is not saved. */
static void test_task_that_cannot_be_written(void)
{
    X86Rig rig;
    uint64_t old;

    prepare_32(&rig);
    map_pages(&rig, P, 0);
    put_task(&rig, FIRST, POINTERS);
    old = rig.cpu->tr.base;
    x86_rig_put_code(&rig, CODE, (uint8_t[]){ 0x9a, 0, 0, 0, 0, NEW_TASK, 0 }, 7);
    x86_rig_run(&rig, CODE);
    g_assert_cmpuint(rig.end_value, ==, X86_PF);
    g_assert_cmphex(rig.cpu->cr2, ==, FIRST);
    g_assert_cmphex(load_le32(rig.ram + old + 0x20), ==, 0);
    g_assert_cmphex(bits_of(&rig, 0), ==, A);
    x86_rig_close(&rig);
}

/* The last bytes of the lower half, where nothing is mapped, and the first ones that are not canonical. */
static void test_end_of_canonical(void)
{
    static const struct {
        uint8_t code[4], bytes;
        X86Vector vector;
    } cases[] = {
        { { 0x8b, 0x03 }, 4, X86_GP },                /* mov eax, [rbx] */
        { { 0x89, 0x03 }, 4, X86_GP },                /* mov [rbx], eax */
        { { 0x01, 0x03 }, 4, X86_GP },                /* add [rbx], eax */
        { { 0xf0, 0x01, 0x03 }, 4, X86_GP },          /* lock add [rbx], eax */
        { { 0x89, 0x45, 0 }, 4, X86_SS_FAULT },       /* mov [rbp], eax */
        { { 0x0f, 0x11, 0x03 }, 16, X86_GP },         /* movups [rbx], xmm0 */
        { { 0xdb, 0x2b }, 10, X86_GP },               /* fld tbyte [rbx] */
        { { 0xdd, 0x1b }, 8, X86_GP },                /* fstp qword [rbx] */
        { { 0x58 }, 8, X86_SS_FAULT },                /* pop rax */
        { { 0xc3 }, 8, X86_SS_FAULT },                /* ret */
        { { 0xff, 0x33 }, 8, X86_GP },                /* push [rbx] */
        { { 0x0f, 0xae, 0x03 }, 16, X86_GP },         /* fxsave [rbx] */
        { { 0x0f, 0xae, 0x0b }, 16, X86_GP },         /* fxrstor [rbx] */
        { { 0xd9, 0x33 }, 28, X86_GP },               /* fnstenv [rbx] */
        { { 0x0f, 0x01, 0x13 }, 10, X86_GP },         /* lgdt [rbx] */
        { { 0x0f, 0x01, 0x0b }, 10, X86_GP },         /* sidt [rbx] */
        { { 0xff, 0x2b }, 8, X86_GP },                /* jmp far [rbx] */
        { { 0x0f, 0xb4, 0x0b }, 8, X86_GP },          /* lfs ecx, [rbx] */
        { { 0x0f, 0xb4, 0x4d, 0 }, 8, X86_SS_FAULT }, /* lfs ecx, [rbp] */
    };
    const uint64_t end = UINT64_C(0x800000000000);

    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(cases); i++) {
        unsigned size = cases[i / 2].bytes;
        bool crosses = i % 2;
        uint64_t address = end - (crosses && size < 16 ? size / 2 : size < 16 ? size : 0x200);
        X86Rig rig;

        if (size >= 16) {
            /* Aligned ones: what begins at the last 16 bytes has its end beyond. */
            address = crosses ? end - (cases[i / 2].code[1] == 0x11 ? 8 : 16) : end - 0x200;
        }
        prepare(&rig);
        rig.cpu->gpr[X86_RBX] = rig.cpu->gpr[X86_RBP] = rig.cpu->gpr[X86_RSP] = address;
        x86_rig_put_code(&rig, CODE, cases[i / 2].code, 4);
        x86_rig_run(&rig, CODE);
        g_test_message("%02x %02x at %#" PRIx64, cases[i / 2].code[0], cases[i / 2].code[1],
                       address);
        g_assert_cmpuint(rig.end_value, ==, crosses ? cases[i / 2].vector : X86_PF);
        x86_rig_close(&rig);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    g_test_add_func("/paging-x86/accesses", test_accesses);
    g_test_add_func("/paging-x86/levels", test_levels);
    g_test_add_func("/paging-x86/descriptors", test_descriptors);
    g_test_add_func("/paging-x86/unmarkable-descriptors", test_unmarkable_descriptors);
    g_test_add_func("/paging-x86/inner-stack", test_inner_stack);
    g_test_add_func("/paging-x86/directories-of-tasks", test_directories_of_tasks);
    g_test_add_func("/paging-x86/task-that-cannot-be-written", test_task_that_cannot_be_written);
    g_test_add_func("/paging-x86/end-of-canonical", test_end_of_canonical);
    return g_test_run();
}
