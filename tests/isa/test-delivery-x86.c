/* SPDX-License-Identifier: MIT */
/*
 * Delivery of exceptions: the stacks that gates and the task state name, what is pushed, and where code and registers end.
 * usage: test-delivery-x86 [-i]     (-i: on the interpreter)
 */
#include "base/bits.h"
#include "target/i386/control.h"
#include "tests/isa/rig-x86.h"

enum {
    CODE = 0x1000,
    IDT = 0x2000,
    GDT = 0x3000,
    TSS = 0x4000,
    HANDLER = 0x5000,
    SEEN = 0x6000,
    STACK = 0x8000,
    TASK_STACKS = 0x10000, /* of 0x100 bytes: RSP0 to RSP2, IST1 to IST7 */
};
/* In the TSS of long mode (SDM 3, 8.7). */
enum { TSS_RSP0 = 0x04, TSS_IST1 = 0x24, TSS_BYTES = 0x68 };
enum { CODE_0 = 0x08, DATA_3 = 0x18 | 3, CODE_3 = 0x20 | 3, TASK = 0x28 };
enum { FRAME_BYTES = 5 * 8 };

static bool interp;

static uint32_t task_stack(unsigned n)
{
    return TASK_STACKS + 0x100 * (n + 1);
}

static void prepare_model(X86Rig *rig, const char *model)
{
    /* mov [SEEN], rsp; mov edx, END_PORT; out dx, al; jmp . */
    static const uint8_t handler[] = { 0x48, 0x89, 0x24, 0x25, 0, SEEN >> 8, 0,    0,
                                       0xba, 0xf4, 0x05, 0,    0, 0xee,      0xeb, 0xfe };

    if (!x86_rig_open(rig, model, interp)) {
        exit(77);
    }
    x86_rig_long_mode(rig);
    memcpy(rig->ram + HANDLER, handler, sizeof handler);
    store_le64(rig->ram + GDT + CODE_0, UINT64_C(0x00209b0000000000));
    store_le64(rig->ram + GDT + (DATA_3 & ~7), UINT64_C(0x00cff3000000ffff));
    store_le64(rig->ram + GDT + (CODE_3 & ~7), UINT64_C(0x0020fb0000000000));
    for (unsigned i = 0; i < 3; i++) {
        store_le64(rig->ram + TSS + TSS_RSP0 + 8 * i, task_stack(i));
    }
    for (unsigned i = 0; i < 7; i++) {
        store_le64(rig->ram + TSS + TSS_IST1 + 8 * i, task_stack(3 + i));
    }
    rig->cpu->gdtr = (X86TableRegister){ GDT, TASK + 15 };
    rig->cpu->idtr = (X86TableRegister){ IDT, 16 * 32 - 1 };
    rig->cpu->tr =
        (X86Segment){ .selector = TASK, .base = TSS, .limit = TSS_BYTES - 1, .flags = 0x8b00 };
    rig->cpu->gpr[X86_RSP] = STACK;
}

static void prepare(X86Rig *rig)
{
    prepare_model(rig, "max");
}

static void enter_user_mode(X86Rig *rig)
{
    const uint32_t rights = X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED | X86_SEG_G |
                            3 << X86_SEG_DPL_SHIFT;

    x86_set_segment(rig->cpu, X86_SS, DATA_3, 0, 0xffffffff, rights | X86_SEG_B);
    x86_set_segment(rig->cpu, X86_CS, CODE_3, 0, 0xffffffff, rights | X86_SEG_CODE | X86_SEG_L);
    rig->cpu->cpl = 3;
}

/* Runs `insn` with a gate for `vector` that has this IST; returns the handler's stack pointer. */
static uint64_t deliver(X86Vector vector, const uint8_t insn[2], unsigned ist, bool user)
{
    uint64_t seen;
    X86Rig rig;

    prepare(&rig);
    memcpy(rig.ram + CODE, insn, 2);
    store_le64(rig.ram + IDT + 16 * vector,
               HANDLER | CODE_0 << 16 | UINT64_C(0xee00) << 32 | (uint64_t)ist << 32);
    if (user) {
        enter_user_mode(&rig);
    }
    x86_rig_run(&rig, CODE);
    seen = load_le64(rig.ram + SEEN);
    x86_rig_close(&rig);
    return seen;
}

static void test_stacks(void)
{
    static const struct {
        X86Vector vector;
        uint8_t insn[2];
    } cases[] = { { X86_UD, { 0x0f, 0x0b } },
                  { X86_DB, { 0xf1, 0x90 } },
                  { X86_BP, { 0xcc, 0x90 } } };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        for (unsigned ist = 0; ist < 8; ist++) {
            for (unsigned user = 0; user < 2; user++) {
                uint32_t top = ist ? task_stack(2 + ist) : user ? task_stack(0) : STACK;

                g_assert_cmphex(deliver(cases[i].vector, cases[i].insn, ist, user), ==,
                                top - FRAME_BYTES);
            }
        }
    }
}

/*
 * What an exception's delivery faults with: bit 0 of the error code is never set for INT, and for the program's own exceptions
 * by Intel's processors only.
 */
static void test_error_codes(void)
{
    static const struct {
        const char *model;
        X86Vector fault;
        uint8_t insn[2];
        uint32_t code;
    } cases[] = { { "EPYC", X86_GP, { 0xcd, 0x40 }, 0x202 },
                  { "Skylake-Server", X86_GP, { 0xcd, 0x40 }, 0x202 },
                  { "EPYC", X86_NP, { 0xcd, 0x06 }, 0x32 },
                  { "Skylake-Server", X86_NP, { 0xcd, 0x06 }, 0x32 },
                  { "EPYC", X86_NP, { 0x0f, 0x0b }, 0x32 },
                  { "Skylake-Server", X86_NP, { 0x0f, 0x0b }, 0x33 } };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        prepare_model(&rig, cases[i].model);
        memcpy(rig.ram + CODE, cases[i].insn, 2);
        store_le64(rig.ram + IDT + 16 * X86_UD, HANDLER | CODE_0 << 16 | UINT64_C(0x6e00) << 32);
        store_le64(rig.ram + IDT + 16 * cases[i].fault,
                   HANDLER | CODE_0 << 16 | UINT64_C(0xee00) << 32);
        x86_rig_run(&rig, CODE);
        g_assert_cmphex(load_le64(rig.ram + SEEN), ==, STACK - FRAME_BYTES - 8);
        g_assert_cmphex(load_le64(rig.ram + STACK - FRAME_BYTES - 8), ==, cases[i].code);
        x86_rig_close(&rig);
    }
}

/* RF is pushed set by faults, and clear by instructions that interrupt, even if it was set for them. */
static void test_resume_flag(void)
{
    static const struct {
        X86Vector vector;
        uint8_t insn[2];
        uint64_t pushed;
    } cases[] = { { X86_UD, { 0x0f, 0x0b }, EFLAGS_RF },
                  { X86_DB, { 0xf1, 0x90 }, 0 },
                  { X86_BP, { 0xcc, 0x90 }, 0 },
                  { X86_PF, { 0xcd, X86_PF }, 0 } };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        prepare(&rig);
        memcpy(rig.ram + CODE, cases[i].insn, 2);
        store_le64(rig.ram + IDT + 16 * cases[i].vector,
                   HANDLER | CODE_0 << 16 | UINT64_C(0xee00) << 32);
        rig.cpu->eflags |= EFLAGS_RF;
        x86_rig_run(&rig, CODE);
        g_assert_cmphex(load_le64(rig.ram + STACK - FRAME_BYTES + 16) & EFLAGS_RF, ==,
                        cases[i].pushed);
        x86_rig_close(&rig);
    }
}

/* A handler that does not lie in its segment, or at no canonical address, is a fault of the instruction that interrupts. */
static void test_handlers_beyond_limits(void)
{
    static const uint8_t code[] = { 0xcd, 0x40 };

    for (unsigned wide = 0; wide < 2; wide++) {
        uint32_t seen;
        X86Rig rig;

        prepare(&rig);
        rig.cpu->idtr.limit = 16 * 0x41 - 1;
        memcpy(rig.ram + CODE, code, sizeof code);
        if (wide) {
            store_le64(rig.ram + IDT + 16 * 0x40, HANDLER | CODE_0 << 16 | UINT64_C(0xee00) << 32);
            store_le64(rig.ram + IDT + 16 * 0x40 + 8, 0x8000);
            store_le64(rig.ram + IDT + 16 * X86_GP,
                       HANDLER | CODE_0 << 16 | UINT64_C(0xee00) << 32);
        } else {
            /* 32-bit protected mode: flat code, and a segment that ends before HANDLER. */
            rig.cpu->efer = 0;
            rig.cpu->cr0 = CR0_PE | CR0_ET;
            store_le64(rig.ram + GDT + CODE_0, UINT64_C(0x00cf9b000000ffff));
            store_le64(rig.ram + GDT + 0x10, UINT64_C(0x00409b0000000000) | (HANDLER - 1));
            store_le64(rig.ram + IDT + 8 * 0x40, HANDLER | 0x10 << 16 | UINT64_C(0xee00) << 32);
            store_le64(rig.ram + IDT + 8 * X86_GP, HANDLER | CODE_0 << 16 | UINT64_C(0xee00) << 32);
            x86_set_segment(rig.cpu, X86_CS, CODE_0, 0, 0xffffffff,
                            X86_SEG_P | X86_SEG_S | X86_SEG_CODE | X86_SEG_ACCESSED | X86_SEG_G |
                                X86_SEG_B);
            /* mov [SEEN], esp; … */
            memmove(rig.ram + HANDLER + 2, rig.ram + HANDLER + 4, 12);
            memcpy(rig.ram + HANDLER, (uint8_t[]){ 0x89, 0x25 }, 2);
        }
        x86_rig_run(&rig, CODE);
        seen = load_le32(rig.ram + SEEN);
        g_assert_cmphex(seen, ==, STACK - (wide ? FRAME_BYTES + 8 : 16));
        g_assert_cmphex(load_le32(rig.ram + seen), ==, 0);
        g_assert_cmphex(load_le32(rig.ram + seen + (wide ? 8 : 4)), ==, CODE);
        x86_rig_close(&rig);
    }
}

/*
 * Code that runs on to the end of its segment: what does not end in it, faults. The end is in the middle of a page, and in that of
 * a unit.
 */
static void test_code_to_the_limit(void)
{
    static const struct {
        uint8_t code[4];
        uint16_t faults;
    } cases[] = { { { 0x90, 0x90, 0xb0, 0x55 }, 0xffff },   /* mov al, 0x55 crosses it */
                  { { 0x90, 0x90, 0x90, 0x90 }, 0 },        /* a NOP behind it */
                  { { 0x66, 0xb8, 0x55, 0x55 }, 0xfffd } }; /* mov eax, imm32 */
    enum { BASE = 0x8100, REAL_HANDLER = 0x600 };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        prepare(&rig);
        rig.cpu->efer = rig.cpu->cr4 = 0;
        rig.cpu->cr0 = CR0_ET;
        for (unsigned name = 0; name < X86_SEGMENTS; name++) {
            unsigned selector = name == X86_CS ? BASE >> 4 : 0;

            x86_set_segment(rig.cpu, (X86SegmentName)name, (uint16_t)selector, selector << 4,
                            0xffff,
                            X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED |
                                (name == X86_CS ? X86_SEG_CODE : 0u));
        }
        rig.cpu->idtr = (X86TableRegister){ 0, 0x3ff };
        store_le32(rig.ram + 4 * X86_GP, REAL_HANDLER);
        /* mov dx, END_PORT; out dx, al; jmp . */
        memcpy(rig.ram + REAL_HANDLER, (uint8_t[]){ 0xba, 0xf4, 0x05, 0xee, 0xeb, 0xfe }, 6);
        memset(rig.ram + BASE + 0xfff0, 0x90, 0x100);
        memcpy(rig.ram + BASE + 0xfffd, cases[i].code, sizeof cases[i].code);
        memcpy(rig.ram + BASE + 0x10080, (uint8_t[]){ 0xba, 0xf4, 0x05, 0xee, 0xeb, 0xfe }, 6);
        x86_rig_run(&rig, BASE + 0xfff0);
        g_assert_cmphex(rig.cpu->gpr[X86_RSP] & 0xffff, ==, STACK - 6);
        g_assert_cmphex(load_le16(rig.ram + STACK - 6), ==, cases[i].faults);
        x86_rig_close(&rig);
    }
}

/* A fetch faults, and what is pushed falls upon translated code: it is not the code that runs. */
static void test_frame_upon_code(void)
{
    /* call STACK - 0x20; mov eax, 0x40000000; jmp rax, to where nothing is mapped */
    static const uint8_t code[] = { 0xe8, 0xdb, 0x6f, 0, 0, 0xb8, 0, 0, 0, 0x40, 0xff, 0xe0 };
    X86Rig rig;

    prepare(&rig);
    memcpy(rig.ram + CODE, code, sizeof code);
    rig.ram[STACK - 0x20] = 0xc3; /* ret */
    store_le64(rig.ram + IDT + 16 * X86_PF, HANDLER | CODE_0 << 16 | UINT64_C(0xee00) << 32);
    x86_rig_run(&rig, CODE);
    g_assert_cmphex(load_le64(rig.ram + SEEN), ==, STACK - FRAME_BYTES - 8);
    g_assert_cmphex(load_le64(rig.ram + STACK - FRAME_BYTES), ==, 0x40000000);
    x86_rig_close(&rig);
}

/* Code at an address where nothing answers is no instruction, and says so. */
static void test_code_nowhere(void)
{
    X86Rig rig;

    prepare(&rig);
    store_le64(rig.ram + IDT + 16 * X86_UD, HANDLER | CODE_0 << 16 | UINT64_C(0xee00) << 32);
    x86_rig_run(&rig, 0x20000000);
    g_assert_cmphex(load_le64(rig.ram + SEEN), ==, STACK - FRAME_BYTES);
    g_assert_cmphex(load_le64(rig.ram + STACK - FRAME_BYTES), ==, 0x20000000);
    x86_rig_close(&rig);
}

static bool read_tpr(void *opaque, Vcpu *vcpu, uint32_t encoding, uint64_t *value)
{
    return true;
}

static bool write_tpr(void *opaque, Vcpu *vcpu, uint32_t encoding, uint64_t value)
{
    return true;
}

/* MSRs that guests read without asking CPUID first; the number of CR8 is none. */
static void test_msrs(void)
{
    static const ExternalRegister apic[] = { { X86_REGISTER_CR8, "cr8", read_tpr, write_tpr },
                                             { 0 } };
    uint64_t value;
    X86Rig rig;

    prepare_model(&rig, "Nehalem");
    machine_add_external_registers(rig.machine, apic, NULL);
    g_assert_true(x86_read_msr(rig.cpu, 0x35, &value));
    g_assert_cmphex(value, ==, 0x10001);
    g_assert_true(x86_read_msr(rig.cpu, 0x8b, &value));
    g_assert_cmphex(value, ==, UINT64_C(0x100000000));
    g_assert_true(x86_read_msr(rig.cpu, 0x198, &value));
    g_assert_cmphex(value, ==, UINT64_C(0x400000003e8));
    g_assert_false(x86_read_msr(rig.cpu, X86_REGISTER_CR8, &value));
    g_assert_false(x86_write_msr(rig.cpu, X86_REGISTER_CR8, 1));
    x86_rig_close(&rig);
    prepare_model(&rig, "EPYC");
    g_assert_true(x86_read_msr(rig.cpu, 0x8b, &value));
    g_assert_cmphex(value, ==, 0x01000065);
    rig.cpu->tsc_offset = 1000;
    /* Counters of performance that CPUID does not offer stand still; last branches are none. */
    for (uint32_t index = 0xe7; index <= 0xe8; index++) {
        g_assert_true(x86_read_msr(rig.cpu, index, &value));
        g_assert_cmphex(value, ==, 0);
    }
    for (uint32_t index = 0x1db; index <= 0x1de; index++) {
        g_assert_true(x86_read_msr(rig.cpu, index, &value));
        g_assert_cmphex(value, ==, 0);
    }
    x86_rig_close(&rig);
}

/* SYSRET that EFER does not allow is no instruction, at any privilege; one that it allows is CPL 0's. */
static void test_sysret(void)
{
    for (unsigned allowed = 0; allowed < 2; allowed++) {
        X86Rig rig;

        prepare(&rig);
        memcpy(rig.ram + CODE, (uint8_t[]){ 0x0f, 0x07 }, 2);
        for (unsigned i = 0; i < 32; i++) {
            store_le64(rig.ram + IDT + 16 * i, HANDLER | CODE_0 << 16 | UINT64_C(0xee00) << 32);
        }
        rig.cpu->efer &= ~(uint64_t)(allowed ? 0 : EFER_SCE);
        x86_set_segment(rig.cpu, X86_CS, CODE_3, 0, 0xffffffff,
                        X86_SEG_P | X86_SEG_S | X86_SEG_CODE | X86_SEG_ACCESSED | X86_SEG_G |
                            X86_SEG_L | 3 << X86_SEG_DPL_SHIFT);
        rig.cpu->cpl = 3;
        x86_rig_run(&rig, CODE);
        g_assert_cmphex(load_le64(rig.ram + SEEN), ==,
                        task_stack(0) - FRAME_BYTES - (allowed ? 8 : 0));
        x86_rig_close(&rig);
    }
}

/* A watchpoint on data in the page of the code that reads it: the trap is right behind that instruction. */
static void test_watched_code(void)
{
    /* nop; mov eax, [CODE + 0x40]; nop; the end */
    static const uint8_t code[] = { 0x90, 0x8b, 4,    0x25, 0x40, CODE >> 8, 0,    0,   0x90,
                                    0xba, 0xf4, 0x05, 0,    0,    0xee,      0xeb, 0xfe };
    X86Rig rig;

    prepare(&rig);
    memcpy(rig.ram + CODE, code, sizeof code);
    store_le64(rig.ram + IDT + 16 * X86_DB, HANDLER | CODE_0 << 16 | UINT64_C(0xee00) << 32);
    rig.cpu->dr[0] = CODE + 0x40;
    x86_set_dr(rig.cpu, 7, 1 | 3 << 16);
    x86_rig_run(&rig, CODE);
    g_assert_cmphex(load_le64(rig.ram + SEEN), ==, STACK - FRAME_BYTES);
    g_assert_cmphex(load_le64(rig.ram + STACK - FRAME_BYTES), ==, CODE + 8);
    g_assert_cmphex(rig.cpu->dr[6] & 0xf, ==, 1);
    x86_rig_close(&rig);
}

/* The table's gates of these have stacks of their own, by which the handler's tells them apart. */
enum { IST_SS = 1, IST_GP, IST_PF, IST_UD };

static void set_gates(X86Rig *rig)
{
    static const uint8_t vectors[] = { X86_SS_FAULT, X86_GP, X86_PF, X86_UD };

    for (unsigned i = 0; i < G_N_ELEMENTS(vectors); i++) {
        store_le64(rig->ram + IDT + 16 * vectors[i],
                   HANDLER | CODE_0 << 16 | UINT64_C(0x8e00) << 32 | (uint64_t)(i + 1) << 32);
    }
}

static X86Vector delivered(const X86Rig *rig)
{
    switch ((load_le64(rig->ram + SEEN) - TASK_STACKS) / 0x100 - 2) {
    case IST_SS:
        return X86_SS_FAULT;
    case IST_GP:
        return X86_GP;
    case IST_PF:
        return X86_PF;
    case IST_UD:
        return X86_UD;
    default:
        return 0;
    }
}

static uint64_t error_code(const X86Rig *rig)
{
    return load_le64(rig->ram + load_le64(rig->ram + SEEN));
}

/* A stack that is the user's: with EFLAGS.AC set SMAP lets supervisor mode's exceptions push to it, but not those of user mode. */
static void test_frames_under_smap(void)
{
    enum { PAGES_1G = 0x3ff1000, PAGES_2M = 0x3fe0000, USER = 0x400000 };

    for (unsigned ac = 0; ac < 2; ac++) {
        uint64_t frame = USER + 0x1000 - FRAME_BYTES;
        X86Rig rig;

        prepare(&rig);
        set_gates(&rig);
        for (unsigned i = 0; i < 512; i++) {
            store_le64(rig.ram + PAGES_2M + 8 * i, (uint64_t)i << 21 | (i == 2 ? 0x87 : 0x83));
        }
        store_le64(rig.ram + PAGES_1G, PAGES_2M | 7);
        store_le64(rig.ram + IDT + 16 * X86_UD, HANDLER | CODE_0 << 16 | UINT64_C(0x8e00) << 32);
        memcpy(rig.ram + CODE, (uint8_t[]){ 0x0f, 0x0b }, 2);
        rig.cpu->cr4 |= CR4_SMAP;
        rig.cpu->eflags |= ac ? EFLAGS_AC : 0;
        rig.cpu->gpr[X86_RSP] = USER + 0x1000;
        x86_rig_run(&rig, CODE);
        if (ac) {
            g_assert_cmphex(load_le64(rig.ram + SEEN), ==, frame);
        } else {
            g_assert_cmpuint(delivered(&rig), ==, X86_PF);
            g_assert_cmphex(error_code(&rig), ==, 3);
        }
        x86_rig_close(&rig);
    }
}

/*
 * Long mode's descriptors of 16 bytes: only LLDT, LTR and far transfers want the upper half, which has to lie in the table. Its
 * address must be canonical, in a base by all bits that the processor has, and in a call gate its type 0.
 */
static void test_wide_descriptors(void)
{
    enum { SYSTEM = 0x30, UPPER_TYPE = 0x100 };
    static const struct {
        uint8_t code[8];
        uint8_t type, upper;
        uint32_t high, fourth;
        bool fault;
    } cases[] = {
        { { 0x0f, 0x02, 0xc8 }, 2, false, 0, 0, false }, /* lar ecx, eax */
        { { 0x0f, 0x03, 0xc8 }, 9, false, 0, 0, false }, /* lsl ecx, eax */
        { { 0x0f, 0x00, 0xd0 }, 2, false, 0, 0, true },  /* lldt ax */
        { { 0x0f, 0x00, 0xd0 }, 2, true, 0, 0, false },
        { { 0x0f, 0x00, 0xd0 }, 2, true, 0x8000, 0, false },
        { { 0x0f, 0x00, 0xd0 }, 2, true, 0x1000000, 0, true },
        { { 0x0f, 0x00, 0xd8 }, 9, false, 0, 0, true }, /* ltr ax */
        { { 0x0f, 0x00, 0xd8 }, 9, true, 0, 0, false },
        { { 0x0f, 0x00, 0xd8 }, 9, true, 0x1000000, 0, true },
        { { 0xff, 0x2b }, 12, false, 0, 0, true }, /* jmp far [rbx] */
        { { 0xff, 0x2b }, 12, true, 0, 0, false },
        { { 0xff, 0x2b }, 12, true, 0, UPPER_TYPE, true },
        { { 0xff, 0x2b }, 12, true, 0x8000, 0, true },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        bool gate = cases[i].type == 12;
        unsigned code = cases[i].code[1];
        X86Rig rig;

        prepare(&rig);
        set_gates(&rig);
        memcpy(rig.ram + CODE, cases[i].code, sizeof cases[i].code);
        memcpy(rig.ram + CODE + (gate ? 2 : 3), (uint8_t[]){ 0x0f, 0x0b }, 2);
        memcpy(rig.ram + CODE + 0x100, (uint8_t[]){ 0x0f, 0x0b }, 2);
        store_le64(rig.ram + GDT + SYSTEM,
                   (gate ? (CODE + 0x100) | CODE_0 << 16 : 0x67 | TSS << 16) |
                       (uint64_t)(0x80 | cases[i].type) << 40);
        store_le32(rig.ram + GDT + SYSTEM + 8, cases[i].high);
        store_le32(rig.ram + GDT + SYSTEM + 12, cases[i].fourth);
        rig.cpu->gdtr.limit = SYSTEM + (cases[i].upper ? 15 : 14);
        rig.cpu->gpr[X86_RAX] = SYSTEM;
        rig.cpu->gpr[X86_RBX] = SEEN + 0x100;
        store_le16(rig.ram + SEEN + 0x100 + 4, SYSTEM);
        x86_rig_run(&rig, CODE);
        g_test_message("case %u", i);
        g_assert_cmpuint(delivered(&rig), ==, cases[i].fault ? X86_GP : X86_UD);
        if (cases[i].fault) {
            g_assert_cmphex(error_code(&rig), ==, gate && cases[i].high ? 0 : SYSTEM);
        } else if (code == 2 || code == 3) {
            g_assert_cmphex(rig.cpu->gpr[X86_RCX], ==, code == 2 ? 0x8200 : 0x67);
        }
        x86_rig_close(&rig);
    }
}

/* RF that an IRET loads is for the next instruction: a trap behind the IRET pushes it. */
static void test_resume_flag_of_iret(void)
{
    for (unsigned resume = 0; resume < 2; resume++) {
        const uint64_t frame[] = { CODE + 0x10, CODE_0, resume ? EFLAGS_RF | 2 : 2, STACK, 0 };
        X86Rig rig;

        prepare(&rig);
        memcpy(rig.ram + CODE, (uint8_t[]){ 0x48, 0xcf }, 2);
        for (unsigned i = 0; i < G_N_ELEMENTS(frame); i++) {
            store_le64(rig.ram + STACK - 0x100 + 8 * i, frame[i]);
        }
        store_le64(rig.ram + IDT + 16 * X86_DB, HANDLER | CODE_0 << 16 | UINT64_C(0x8e00) << 32);
        rig.cpu->gpr[X86_RSP] = STACK - 0x100;
        rig.cpu->eflags |= EFLAGS_TF;
        x86_rig_run(&rig, CODE);
        g_assert_cmphex(load_le64(rig.ram + STACK - FRAME_BYTES), ==, CODE + 0x10);
        g_assert_cmphex(load_le64(rig.ram + STACK - FRAME_BYTES + 16), ==, frame[2]);
        x86_rig_close(&rig);
    }
}

/* Addresses of breakpoints need not be canonical, and may be the last ones. */
static void test_breakpoint_addresses(void)
{
    /* mov dr1, rax; mov dr0, rbx; mov ecx, [rbx] */
    static const uint8_t code[] = { 0x0f, 0x23, 0xc8, 0x0f, 0x23, 0xc3, 0x8b, 0x0b };
    enum { DIRECTORY = 0x3fe0000, TABLES = 0x3ff0000, PDPT = 0x3ff1000 };
    X86Rig rig;

    prepare(&rig);
    set_gates(&rig);
    /* The last two MiB of all are the first ones. */
    store_le64(rig.ram + TABLES + 8 * 511, PDPT | 7);
    store_le64(rig.ram + PDPT + 8 * 511, DIRECTORY | 7);
    store_le64(rig.ram + DIRECTORY + 8 * 511, 0x87);
    memcpy(rig.ram + CODE, code, sizeof code);
    store_le64(rig.ram + IDT + 16 * X86_DB, HANDLER | CODE_0 << 16 | UINT64_C(0x8e00) << 32);
    rig.cpu->gpr[X86_RAX] = UINT64_C(1) << 63;
    rig.cpu->gpr[X86_RBX] = UINT64_MAX - 7;
    x86_set_dr(rig.cpu, 7, 1 | 11 << 16); /* 8 bytes, read or written */
    x86_rig_run(&rig, CODE);
    g_assert_cmphex(load_le64(rig.ram + SEEN), ==, STACK - FRAME_BYTES);
    g_assert_cmphex(load_le64(rig.ram + STACK - FRAME_BYTES), ==, CODE + sizeof code);
    g_assert_cmphex(rig.cpu->dr[6] & 0xf, ==, 1);
    g_assert_cmphex(rig.cpu->dr[1], ==, UINT64_C(1) << 63);
    x86_rig_close(&rig);
}

/* Also where the page is known already: the access before. UD2 is what follows an access that may be. */
static void test_alignment(void)
{
    static const struct {
        uint8_t insn[3], bytes;
    } cases[] = {
        { { 0x8b, 0x03, 0x90 }, 4 }, /* mov eax, [rbx] */
        { { 0x89, 0x03, 0x90 }, 4 }, /* mov [rbx], eax */
        { { 0xd9, 0x03, 0x90 }, 4 }, /* fld dword [rbx] */
        { { 0xdd, 0x03, 0x90 }, 8 }, /* fld qword [rbx] */
        { { 0xdf, 0x03, 0x90 }, 2 }, /* fild word [rbx] */
        { { 0xd8, 0x03, 0x90 }, 4 }, /* fadd dword [rbx] */
        { { 0xdc, 0x03, 0x90 }, 8 }, /* fadd qword [rbx] */
        { { 0xdb, 0x2b, 0x90 }, 8 }, /* fld tbyte [rbx] */
        { { 0xdd, 0x13, 0x90 }, 8 }, /* fst qword [rbx] */
        { { 0xdf, 0x13, 0x90 }, 2 }, /* fist word [rbx] */
    };
    /* fninit; fld1; mov eax, [rcx]; mov [rcx], eax */
    static const uint8_t start[] = { 0xdb, 0xe3, 0xd9, 0xe8, 0x8b, 0x01, 0x89, 0x01 };

    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(cases); i++) {
        bool aligned = i % 2;
        X86Rig rig;

        prepare(&rig);
        set_gates(&rig);
        store_le64(rig.ram + IDT + 16 * X86_AC,
                   HANDLER | CODE_0 << 16 | UINT64_C(0x8e00) << 32 | (uint64_t)IST_PF << 32);
        enter_user_mode(&rig);
        rig.cpu->cr0 |= CR0_AM;
        rig.cpu->eflags |= EFLAGS_AC;
        memcpy(rig.ram + CODE, start, sizeof start);
        memcpy(rig.ram + CODE + sizeof start, cases[i / 2].insn, 3);
        memcpy(rig.ram + CODE + sizeof start + 3, (uint8_t[]){ 0x0f, 0x0b }, 2);
        rig.cpu->gpr[X86_RCX] = SEEN + 0x100;
        rig.cpu->gpr[X86_RBX] = SEEN + 0x200 + (aligned ? 0 : cases[i / 2].bytes / 2);
        x86_rig_run(&rig, CODE);
        g_test_message("%02x %02x", cases[i / 2].insn[0], cases[i / 2].insn[1]);
        g_assert_cmpuint(delivered(&rig), ==, aligned ? X86_UD : X86_PF /* its stack */);
        x86_rig_close(&rig);
    }
}

static gboolean post_nmi(void *opaque)
{
    Vcpu *vcpu = opaque;

    vcpu_post_event(vcpu, X86_EVENT_NMI, 0);
    return G_SOURCE_CONTINUE;
}

/* Interrupts come while a loop that has given a lock waits in PAUSE, not only while it has it. */
static void test_lock_is_seen_free(void)
{
    enum { LOCK = 0x7000, NMIS = 0x7008 };
    /* loop: mov dword [LOCK], 0; pause; lock bts dword [LOCK], 0; jmp loop */
    static const uint8_t code[] = { 0xc7, 4,         0x25, 0,    LOCK >> 8, 0,    0,    0,    0,
                                    0,    0,         0xf3, 0x90, 0xf0,      0x0f, 0xba, 0x2c, 0x25,
                                    0,    LOCK >> 8, 0,    0,    0,         0xeb, 0xe7 };
    /* cmp dword [LOCK], 0; je end; inc dword [NMIS]; cmp dword [NMIS], 300; jae end; iretq; end: … */
    static const uint8_t handler[] = { 0x83,      0x3c, 0x25, 0,    LOCK >> 8, 0,    0,
                                       0,         0x74, 0x16, 0xff, 4,         0x25, 8,
                                       NMIS >> 8, 0,    0,    0x81, 0x3c,      0x25, 8,
                                       NMIS >> 8, 0,    0,    0x2c, 1,         0,    0,
                                       0x73,      2,    0x48, 0xcf, 0xba,      0xf4, 0x05,
                                       0,         0,    0xee, 0xeb, 0xfe };
    guint timer;
    X86Rig rig;

    prepare(&rig);
    memcpy(rig.ram + CODE, code, sizeof code);
    memcpy(rig.ram + HANDLER, handler, sizeof handler);
    store_le32(rig.ram + LOCK, 1);
    store_le64(rig.ram + GDT + rig.cpu->seg[X86_SS].selector, UINT64_C(0x00cf93000000ffff));
    store_le64(rig.ram + IDT + 16 * X86_NMI, HANDLER | CODE_0 << 16 | UINT64_C(0x8e00) << 32);
    timer = g_timeout_add(1, post_nmi, &rig.cpu->vcpu);
    x86_rig_run(&rig, CODE);
    g_source_remove(timer);
    g_assert_cmphex(load_le32(rig.ram + LOCK), ==, 0);
    x86_rig_close(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    g_test_add_func("/delivery-x86/stacks", test_stacks);
    g_test_add_func("/delivery-x86/error-codes", test_error_codes);
    g_test_add_func("/delivery-x86/resume-flag", test_resume_flag);
    g_test_add_func("/delivery-x86/handlers-beyond-limits", test_handlers_beyond_limits);
    g_test_add_func("/delivery-x86/code-to-the-limit", test_code_to_the_limit);
    g_test_add_func("/delivery-x86/frame-upon-code", test_frame_upon_code);
    g_test_add_func("/delivery-x86/code-nowhere", test_code_nowhere);
    g_test_add_func("/delivery-x86/msrs", test_msrs);
    g_test_add_func("/delivery-x86/sysret", test_sysret);
    g_test_add_func("/delivery-x86/watched-code", test_watched_code);
    g_test_add_func("/delivery-x86/alignment", test_alignment);
    g_test_add_func("/delivery-x86/frames-under-smap", test_frames_under_smap);
    g_test_add_func("/delivery-x86/wide-descriptors", test_wide_descriptors);
    g_test_add_func("/delivery-x86/resume-flag-of-iret", test_resume_flag_of_iret);
    g_test_add_func("/delivery-x86/breakpoint-addresses", test_breakpoint_addresses);
    g_test_add_func("/delivery-x86/lock-is-seen-free", test_lock_is_seen_free);
    return g_test_run();
}
