/* SPDX-License-Identifier: MIT */
/*
 * Corners of the system's side of a processor: faults upon faults, tasks, virtual-8086 mode, what a port changes at once, and
 * system management mode (SDM 3, chapters 6, 8, 20 and 34; APM 2, chapters 8, 10 and 12).
 * usage: test-system-x86 [-i]     (-i: on the interpreter)
 */
#include "base/bits.h"
#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "tests/isa/rig-x86.h"

enum { CODE = 0x1000, CATCHER = 0x2000, STACK = 0x8000, SMBASE = 0x30000, NOWHERE = 0x40000000 };

static bool interp;

static void prepare_model(X86Rig *rig, const char *model)
{
    if (!x86_rig_open(rig, model, interp)) {
        exit(77);
    }
    x86_rig_long_mode(rig);
    x86_rig_catch(rig, CATCHER);
    rig->cpu->gpr[X86_RSP] = STACK;
}

static void prepare(X86Rig *rig)
{
    prepare_model(rig, "max");
}

/* 32-bit protected mode without paging. */
enum { CODE_0 = 8, DATA_0 = 0x10, NEW_TASK = 0x30, NEW_TSS = 0x6000 };

static void prepare_32(X86Rig *rig)
{
    const uint32_t rights = X86_SEG_P | X86_SEG_S | X86_SEG_ACCESSED | X86_SEG_G | X86_SEG_B;
    uint8_t *table;

    prepare(rig);
    rig->cpu->efer = 0;
    rig->cpu->cr4 = 0;
    rig->cpu->cr0 = CR0_PE | CR0_ET;
    x86_set_segment(rig->cpu, X86_CS, CODE_0, 0, 0xffffffff, rights | X86_SEG_CODE);
    memset(rig->ram + CATCHER, 0, X86_RIG_CATCHER_BYTES);
    x86_rig_catch(rig, CATCHER);
    table = rig->ram + rig->cpu->gdtr.base;
    store_le64(table + DATA_0, UINT64_C(0x00cf93000000ffff));
    store_le64(table + (X86_RIG_CODE_3 & ~7), UINT64_C(0x00cffb000000ffff));
    store_le32(rig->ram + rig->cpu->tr.base + 4, STACK);
    store_le32(rig->ram + rig->cpu->tr.base + 8, DATA_0);
}

static unsigned run(X86Rig *rig, const uint8_t *code, unsigned bytes)
{
    x86_rig_put_code(rig, CODE, code, bytes);
    x86_rig_run(rig, CODE);
    return rig->end_value;
}

/* The gate of a vector pushes on the stack that is in use. */
static void clear_ist(X86Rig *rig, X86Vector vector)
{
    rig->ram[CATCHER + 16 * vector + 4] = 0;
}

/* CR2 is the second page fault's address, which makes the double fault (SDM 3, 6.15, interrupt 14). */
static void test_address_of_double_fault(void)
{
    X86Rig rig;

    prepare(&rig);
    clear_ist(&rig, X86_PF);
    rig.cpu->gpr[X86_RBX] = NOWHERE;
    rig.cpu->gpr[X86_RSP] = 2 * (uint64_t)NOWHERE;
    g_assert_cmpuint(run(&rig, (uint8_t[]){ 0x8b, 0x03 }, 2), ==, X86_DF); /* mov eax, [rbx] */
    g_assert_cmphex(rig.cpu->cr2, ==, 2 * (uint64_t)NOWHERE - 8);
    g_assert_cmphex(load_le64(x86_rig_frame(&rig, CATCHER)), ==, 0);
    x86_rig_close(&rig);
}

/* Ports of a chipset: the A20 gate, and one that brings a system management interrupt. */

enum { PORT_A20 = 0x92, PORT_SMI = 0xb2 };

static MemoryResult port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    X86Rig *rig = opaque;

    if (offset == 0) {
        x86_set_a20(rig->machine->vcpus, value & 2);
    } else {
        vcpu_post_event(&rig->cpu->vcpu, X86_EVENT_SMI, 0);
    }
    return MEMORY_OK;
}

static const MemoryOps port_ops = { .write = port_write };

static void add_ports(X86Rig *rig, MemoryRegion *ports)
{
    memory_region_init_io(ports, rig->machine, "chipset", PORT_SMI - PORT_A20 + 1, &port_ops, rig);
    memory_region_add(rig->machine->system_io, PORT_A20, ports, 0);
}

/* The next instruction sees the gate as OUT has left it, whatever was known before, with paging and without. */
static void test_a20_at_once(void)
{
    /* mov ebx, [edi]; out 0x92, al; mov ecx, [edi]; mov al, 2; out 0x92, al; mov edx, [edi]; mov esi, edx */
    static const uint8_t code[] = { 0x8b, 0x1f, 0xe6,     PORT_A20, 0x8b, 0x0f, 0xb0,
                                    2,    0xe6, PORT_A20, 0x8b,     0x17, 0x89, 0xd6 };
    enum { LOW = 0x9000, HIGH = LOW + 0x100000, TABLES = 0x2000000 };

    for (unsigned paging = 0; paging < 2; paging++) {
        MemoryRegion ports;
        X86Rig rig;

        if (paging) {
            prepare(&rig);
            /* Tables where the gate does not change their addresses. */
            store_le64(rig.ram + TABLES, (TABLES + 0x1000) | 7);
            store_le64(rig.ram + TABLES + 0x1000, 0x87);
            rig.cpu->cr3 = TABLES;
        } else {
            prepare_32(&rig);
        }
        add_ports(&rig, &ports);
        store_le32(rig.ram + LOW, 1);
        store_le32(rig.ram + HIGH, 2);
        rig.cpu->gpr[X86_RDI] = HIGH;
        g_assert_cmpuint(run(&rig, code, sizeof code), ==, X86_RIG_DONE);
        g_assert_cmphex(rig.cpu->gpr[X86_RBX], ==, 2);
        g_assert_cmphex(rig.cpu->gpr[X86_RCX], ==, 1);
        g_assert_cmphex(rig.cpu->gpr[X86_RSI], ==, 2);
        x86_rig_close(&rig);
    }
}

/* Code that is known behind the first MiB, and by its alias below, is each time the one that the gate leads to. */
static void test_a20_and_code(void)
{
    /* call rdi; mov ebx, ecx; out 0x92, al (closed); call rdi; mov esi, ecx; mov al, 2; out 0x92, al; call rdi */
    static const uint8_t code[] = { 0xff, 0xd7, 0x89, 0xcb, 0xb0, 0,    0xe6,     PORT_A20, 0xff,
                                    0xd7, 0x89, 0xce, 0xb0, 2,    0xe6, PORT_A20, 0xff,     0xd7 };
    enum { LOW = 0x9000, HIGH = LOW + 0x100000 };
    MemoryRegion ports;
    X86Rig rig;

    prepare_32(&rig);
    add_ports(&rig, &ports);
    /* mov ecx, imm32; ret */
    memcpy(rig.ram + LOW, (uint8_t[]){ 0xb9, 1, 0, 0, 0, 0xc3 }, 6);
    memcpy(rig.ram + HIGH, (uint8_t[]){ 0xb9, 2, 0, 0, 0, 0xc3 }, 6);
    rig.cpu->gpr[X86_RDI] = HIGH;
    g_assert_cmpuint(run(&rig, code, sizeof code), ==, X86_RIG_DONE);
    g_assert_cmphex(rig.cpu->gpr[X86_RBX], ==, 2);
    g_assert_cmphex(rig.cpu->gpr[X86_RSI], ==, 1);
    g_assert_cmphex(rig.cpu->gpr[X86_RCX], ==, 2);
    x86_rig_close(&rig);
}

/* System management mode. The handler is 16-bit code at SMBASE + 0x8000. */
enum { SMM_CODE = SMBASE + 0x8000, SAVED = SMM_CODE, SAVED_RIP = 0x7f78, SAVED_RCX = 0x7ff0 };

/* An SMI that OUT brings comes right behind it. */
static void test_smi_at_once(void)
{
    /* out 0xb2, al; mov ecx, 5 */
    static const uint8_t code[] = { 0xe6, PORT_SMI, 0xb9, 5, 0, 0, 0 };
    MemoryRegion ports;
    X86Rig rig;

    prepare(&rig);
    add_ports(&rig, &ports);
    /* mov al, 1; mov dx, END_PORT; out dx, al; jmp . */
    memcpy(rig.ram + SMM_CODE, (uint8_t[]){ 0xb0, 1, 0xba, 0xf4, 5, 0xee, 0xeb, 0xfe }, 8);
    g_assert_cmpuint(run(&rig, code, sizeof code), ==, 1);
    g_assert_cmphex(load_le64(rig.ram + SAVED + SAVED_RIP), ==, CODE + 2);
    g_assert_cmphex(load_le64(rig.ram + SAVED + SAVED_RCX), ==, 0);
    x86_rig_close(&rig);
}

/* A handler that exchanges the address space: nothing of the old one is seen behind RSM, and each SMI enters in time. */
static void test_exchanged_space(void)
{
    enum { TABLES = 0x2000000, OTHER = 0x2010000, SEEN = 0x600000, ELSEWHERE = 0x800000 };
    /* mov ebx, [rdi]; out 0xb2, al; mov ecx, [rdi]; out 0xb2, al; mov edx, [rdi]; mov esi, edx */
    static const uint8_t code[] = { 0x8b, 0x1f,     0xe6, PORT_SMI, 0x8b, 0x0f,
                                    0xe6, PORT_SMI, 0x8b, 0x17,     0x89, 0xd6 };
    /* xor dword [SAVED_CR3], TABLES ^ OTHER; rsm */
    static const uint8_t handler[] = { 0x66, 0x67, 0x81, 0x35, 0x50, 0xff, 3,
                                       0,    0,    0,    1,    0,    0x0f, 0xaa };
    MemoryRegion ports;
    X86Rig rig;

    prepare(&rig);
    add_ports(&rig, &ports);
    for (unsigned n = 0; n < 2; n++) {
        uint32_t at = n ? OTHER : TABLES;

        store_le64(rig.ram + at, (at + 0x1000) | 7);
        store_le64(rig.ram + at + 0x1000, (at + 0x2000) | 7);
        for (unsigned i = 0; i < 512; i++) {
            store_le64(rig.ram + at + 0x2000 + 8 * i, i << 21 | 0x83);
        }
        store_le64(rig.ram + at + 0x2000 + 8 * (SEEN >> 21), (n ? ELSEWHERE : SEEN) | 0x183);
    }
    store_le32(rig.ram + SEEN, 1);
    store_le32(rig.ram + ELSEWHERE, 2);
    memcpy(rig.ram + SMM_CODE, handler, sizeof handler);
    rig.cpu->cr3 = TABLES;
    rig.cpu->cr4 |= CR4_PGE;
    rig.cpu->gpr[X86_RDI] = SEEN;
    g_assert_cmpuint(run(&rig, code, sizeof code), ==, X86_RIG_DONE);
    g_assert_cmphex(rig.cpu->gpr[X86_RBX], ==, 1);
    g_assert_cmphex(rig.cpu->gpr[X86_RCX], ==, 2);
    g_assert_cmphex(rig.cpu->gpr[X86_RSI], ==, 1);
    x86_rig_close(&rig);
}

/* RSM from a save state that cannot be shuts the processor down (SDM 3, 34.4.1; APM 2, 10.3.3). */
static void test_save_states(void)
{
    static const struct {
        uint16_t offset;
        uint8_t bytes;
        uint64_t set, clear;
        bool bad;
    } cases[] = {
        { SAVED_RIP, 8, 0, 0, false },
        { 0x7f58, 8, 0, CR0_PE, true }, /* CR0 */
        { 0x7f58, 8, CR0_NW, 0, true },
        { 0x7f58, 8, CR0_NW | CR0_CD, 0, false },
        { 0x7f58, 8, UINT64_C(1) << 32, 0, true },
        { 0x7f48, 8, UINT64_C(1) << 31, 0, true }, /* CR4 */
        { 0x7f48, 8, UINT64_C(1) << 32, 0, true },
        { 0x7f48, 8, 0, CR4_PAE, true },
        { 0x7f48, 8, CR4_PGE, 0, false },
        { 0x7f50, 8, UINT64_C(1) << 60, 0, true }, /* CR3 */
        { 0x7ed0, 8, 2, 0, true },                 /* EFER */
        { 0x7ed0, 8, 0, EFER_LMA, true },
        { 0x7ed0, 8, 0, EFER_LME, true },
        { 0x7f68, 8, UINT64_C(1) << 32, 0, true }, /* DR6 */
        { 0x7f60, 8, UINT64_C(1) << 32, 0, true }, /* DR7 */
        { 0x7f70, 8, EFLAGS_VM, 0, true },         /* RFLAGS, of long mode */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t value = 0;
        uint8_t *p;
        X86Rig rig;

        prepare(&rig);
        tcg_set_pc(&rig.cpu->tcg, CODE);
        x86_rig_put_code(&rig, CODE, (uint8_t[]){ 0x90 }, 1);
        x86_enter_smm(rig.cpu);
        p = rig.ram + SAVED + cases[i].offset;
        memcpy(&value, p, cases[i].bytes);
        value = (value & ~cases[i].clear) | cases[i].set;
        memcpy(p, &value, cases[i].bytes);
        memcpy(rig.ram + SMM_CODE, (uint8_t[]){ 0x0f, 0xaa }, 2); /* rsm */
        rig.end_value = 0;
        x86_rig_run(&rig, SMM_CODE);
        g_test_message("case %u", i);
        g_assert_cmpint(rig.cpu->shut_down, ==, cases[i].bad);
        g_assert_cmpuint(rig.end_value, ==, cases[i].bad ? 0 : X86_RIG_DONE);
        x86_rig_close(&rig);
    }
}

static void enter_vm86(X86Rig *rig)
{
    rig->cpu->eflags |= EFLAGS_VM;
    rig->cpu->cpl = 3;
    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        x86_set_segment(rig->cpu, (X86SegmentName)i, 0, 0, 0xffff,
                        X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED | X86_SEG_DPL);
    }
}

/* A gate that programs may use. */
static void open_gate(X86Rig *rig, X86Vector vector)
{
    rig->ram[CATCHER + 8 * vector + 5] |= 0x60;
}

/* In virtual-8086 mode INT n is the monitor's unless IOPL is 3, with 3 and 4 as well; INT3 and INTO are not. */
static void test_interrupts_of_vm86(void)
{
    static const struct {
        uint8_t code[2];
        uint32_t iopl, of;
        X86Vector vector;
    } cases[] = {
        { { 0xcc, 0x90 }, 0, 0, X86_BP },         { { 0xcd, 3 }, 0, 0, X86_GP },
        { { 0xcd, 3 }, EFLAGS_IOPL, 0, X86_BP },  { { 0xcd, 4 }, 0, 0, X86_GP },
        { { 0xce, 0x90 }, 0, EFLAGS_OF, X86_OF }, { { 0xcd, 4 }, EFLAGS_IOPL, 0, X86_OF },
        { { 0xf1, 0x90 }, 0, 0, X86_DB },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        prepare_32(&rig);
        enter_vm86(&rig);
        open_gate(&rig, X86_BP);
        open_gate(&rig, X86_OF);
        x86_set_eflags(rig.cpu, cases[i].iopl | cases[i].of, EFLAGS_IOPL | EFLAGS_OF);
        g_test_message("case %u", i);
        g_assert_cmpuint(run(&rig, cases[i].code, 2), ==, cases[i].vector);
        if (cases[i].vector == X86_GP) {
            g_assert_cmphex(load_le32(x86_rig_frame(&rig, CATCHER)), ==, 0);
        }
        x86_rig_close(&rig);
    }
}

/* With VME the map below that of ports says which interrupts are the program's own; where the task state ends before, #GP. */
static void test_redirection(void)
{
    enum { OWN_HANDLER = 0x1800, PORTS = 0x88, VECTOR = 0x20, MAP = PORTS - 32 + VECTOR / 8 };
    static const struct {
        uint16_t ports, limit;
        uint8_t map; /* of VECTOR */
        uint32_t iopl;
        X86Vector vector; /* #UD: the program's handler has run */
    } cases[] = {
        { PORTS, PORTS, 0, 0, X86_UD },
        { PORTS, PORTS, 0, EFLAGS_IOPL, X86_UD },
        { PORTS, PORTS, 1, 0, X86_GP },
        { PORTS, MAP, 0, 0, X86_UD },
        { PORTS, MAP - 1, 0, EFLAGS_IOPL, X86_GP },
        { PORTS, 0x66, 0, EFLAGS_IOPL, X86_GP },
        { 8, PORTS, 0, EFLAGS_IOPL, X86_GP },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        bool own = cases[i].vector == X86_UD;
        uint8_t *tss;
        X86Rig rig;

        prepare_32(&rig);
        rig.cpu->cr4 = CR4_VME;
        rig.cpu->tr.base = NEW_TSS;
        rig.cpu->tr.limit = cases[i].limit;
        tss = rig.ram + NEW_TSS;
        store_le32(tss + 4, STACK);
        store_le32(tss + 8, DATA_0);
        store_le16(tss + 0x66, cases[i].ports);
        tss[MAP] = cases[i].map;
        store_le32(rig.ram + 4 * VECTOR, OWN_HANDLER);
        memcpy(rig.ram + OWN_HANDLER, (uint8_t[]){ 0x0f, 0x0b }, 2);
        enter_vm86(&rig);
        rig.cpu->eflags |= cases[i].iopl;
        rig.cpu->gpr[X86_RSP] = STACK - 0x100;
        g_test_message("case %u", i);
        g_assert_cmpuint(run(&rig, (uint8_t[]){ 0xcd, VECTOR }, 2), ==, cases[i].vector);
        g_assert_cmphex(load_le32(x86_rig_frame(&rig, CATCHER) + (own ? 0 : 4)), ==,
                        own ? OWN_HANDLER : CODE);
        if (!own) {
            g_assert_cmphex(load_le32(x86_rig_frame(&rig, CATCHER)), ==, 0);
        }
        x86_rig_close(&rig);
    }
}

/* LAR shows the bits of the limit that lie between those of the rights, as processors do (APM 3, LAR). */
static void test_rights(void)
{
    X86Rig rig;

    prepare(&rig);
    rig.cpu->gpr[X86_RAX] = X86_RIG_DATA_3;
    g_assert_cmpuint(run(&rig, (uint8_t[]){ 0x0f, 0x02, 0xc8 }, 3), ==, X86_RIG_DONE);
    g_assert_cmphex(rig.cpu->gpr[X86_RCX], ==, 0xcff300);
    x86_rig_close(&rig);
}

/* A task of 16 or of 32 bits, and a task gate to it. */
static void put_task(X86Rig *rig, bool wide, X86Vector vector)
{
    static const uint8_t wide_code[] = { 0xb0, 0xaa, 0x66, 0xba, 0xf4, 5, 0xee, 0xeb, 0xfe };
    uint8_t *tss = rig->ram + NEW_TSS;
    uint64_t table = rig->cpu->gdtr.base;

    memset(tss, 0, 0x68);
    if (wide) {
        store_le32(tss + 0x20, CODE + 0x100);
        store_le32(tss + 0x24, EFLAGS_ONE);
        store_le32(tss + 0x38, STACK);
    } else {
        store_le16(tss + 0x0e, CODE + 0x100);
        store_le16(tss + 0x10, EFLAGS_ONE);
        store_le16(tss + 0x1a, STACK);
    }
    for (unsigned i = 0; i < (wide ? 6 : 4); i++) {
        store_le16(tss + (wide ? 0x48 + 4 * i : 0x22 + 2 * i), i == X86_CS ? CODE_0 : DATA_0);
    }
    memcpy(rig->ram + CODE + 0x100, wide_code, sizeof wide_code);
    store_le64(rig->ram + table + NEW_TASK,
               0x67 | NEW_TSS << 16 | UINT64_C(0x81) << 40 | (wide ? UINT64_C(8) << 40 : 0));
    store_le64(rig->ram + table + rig->cpu->tr.selector,
               0x67 | (rig->cpu->tr.base & 0xffffff) << 16 | UINT64_C(0x8b) << 40);
    store_le64(rig->ram + CATCHER + 8 * vector, NEW_TASK << 16 | UINT64_C(0xe5) << 40);
}

/* The flags of a task of 16 bits have no upper half: virtual-8086 mode ends with it. */
static void test_short_task_from_vm86(void)
{
    for (unsigned wide = 0; wide < 2; wide++) {
        X86Rig rig;

        prepare_32(&rig);
        put_task(&rig, wide, X86_UD);
        enter_vm86(&rig);
        rig.cpu->eflags |= EFLAGS_AC | EFLAGS_ID;
        g_assert_cmpuint(run(&rig, (uint8_t[]){ 0x0f, 0x0b }, 2), ==, 0xaa);
        g_assert_cmphex(rig.cpu->eflags & ~(uint64_t)0xffff, ==, 0);
        g_assert_cmpuint(rig.cpu->cpl, ==, 0);
        x86_rig_close(&rig);
    }
}

/* RF in the flags that a fault through a task gate leaves in the old task, and not in those of an instruction that interrupts. */
static void test_resume_flag_in_tasks(void)
{
    static const struct {
        uint8_t code[2];
        X86Vector vector;
        bool set;
    } cases[] = { { { 0x0f, 0x0b }, X86_UD, true }, { { 0xcd, 0x06 }, X86_UD, false } };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t old;
        X86Rig rig;

        prepare_32(&rig);
        put_task(&rig, true, cases[i].vector);
        old = rig.cpu->tr.base;
        g_assert_cmpuint(run(&rig, cases[i].code, 2), ==, 0xaa);
        g_assert_cmphex(load_le32(rig.ram + old + 0x24) & EFLAGS_RF, ==,
                        cases[i].set ? EFLAGS_RF : 0);
        x86_rig_close(&rig);
    }
}

/* IRET to virtual-8086 mode: EIP must lie in the segment of 64 KiB; nothing has been loaded when it does not. */
static void test_return_to_vm86(void)
{
    for (unsigned bad = 0; bad < 2; bad++) {
        const uint32_t frame[] = {
            CODE + 0x100 + (bad ? 0x10000 : 0), 0, EFLAGS_VM | EFLAGS_IOPL | 2, STACK, 0, 0, 0, 0, 0
        };
        X86Rig rig;

        prepare_32(&rig);
        for (unsigned i = 0; i < G_N_ELEMENTS(frame); i++) {
            store_le32(rig.ram + STACK - 0x100 + 4 * i, frame[i]);
        }
        rig.cpu->gpr[X86_RSP] = STACK - 0x100;
        memcpy(rig.ram + CODE + 0x100, (uint8_t[]){ 0xcc }, 1);
        open_gate(&rig, X86_BP);
        g_assert_cmpuint(run(&rig, (uint8_t[]){ 0xcf }, 1), ==, bad ? X86_GP : X86_BP);
        g_assert_cmphex(load_le32(x86_rig_frame(&rig, CATCHER) + (bad ? 4 : 0)), ==,
                        bad ? CODE : CODE + 0x101);
        x86_rig_close(&rig);
    }
}

/* Fast system calls that a maker's processors do not have in a mode (APM 3 and SDM 2). */
static void test_fast_calls(void)
{
    static const struct {
        const char *model;
        uint8_t code[2];
        bool compatibility, undefined;
    } cases[] = {
        { "EPYC", { 0x0f, 0x34 }, false, true }, /* sysenter */
        { "EPYC", { 0x0f, 0x34 }, true, true },
        { "EPYC", { 0x0f, 0x35 }, false, true }, /* sysexit */
        { "Skylake-Server", { 0x0f, 0x34 }, false, false },
        { "Skylake-Server", { 0x0f, 0x34 }, true, false },
        { "Skylake-Server", { 0x0f, 0x05 }, false, false }, /* syscall */
        { "Skylake-Server", { 0x0f, 0x05 }, true, true },
        { "EPYC", { 0x0f, 0x05 }, true, false },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        prepare_model(&rig, cases[i].model);
        rig.cpu->sysenter_cs = CODE_0;
        rig.cpu->star = (uint64_t)CODE_0 << 32;
        rig.cpu->lstar = rig.cpu->cstar = rig.cpu->sysenter_eip = CODE + 0x100;
        rig.cpu->sysenter_esp = STACK;
        x86_rig_put_code(&rig, CODE + 0x100, (uint8_t[]){ 0x90 }, 1);
        if (cases[i].compatibility) {
            x86_set_segment(rig.cpu, X86_CS, CODE_0, 0, 0xffffffff,
                            X86_SEG_P | X86_SEG_S | X86_SEG_CODE | X86_SEG_ACCESSED | X86_SEG_G |
                                X86_SEG_B);
        }
        g_test_message("case %u", i);
        g_assert_cmpuint(run(&rig, cases[i].code, 2), ==,
                         cases[i].undefined ? X86_UD : X86_RIG_DONE);
        x86_rig_close(&rig);
    }
}

/* AMD's way to CR8 for code that has no REX prefix; Intel's processors do not know it. */
static void test_locked_move(void)
{
    static const struct {
        const char *model;
        bool undefined;
    } cases[] = { { "EPYC", false }, { "Skylake-Server", true } };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        prepare_model(&rig, cases[i].model);
        rig.cpu->gpr[X86_RCX] = 5;
        g_assert_cmpuint(run(&rig, (uint8_t[]){ 0xf0, 0x0f, 0x20, 0xc1 }, 4), ==,
                         cases[i].undefined ? X86_UD : X86_RIG_DONE);
        g_assert_cmphex(rig.cpu->gpr[X86_RCX], ==, cases[i].undefined ? 5 : 0);
        x86_rig_close(&rig);
    }
}

/* Long mode does not begin with a task state of 16 bits (SDM 2, MOV to control registers; APM 2, 14.6). */
static void test_long_mode_with_short_task(void)
{
    for (unsigned wide = 0; wide < 2; wide++) {
        X86Rig rig;

        prepare_32(&rig);
        rig.cpu->efer = EFER_LME;
        rig.cpu->cr4 = CR4_PAE;
        rig.cpu->tr.flags = wide ? 0x8b00 : 0x8300;
        rig.cpu->gpr[X86_RAX] = rig.cpu->cr0 | CR0_PG;
        g_assert_cmpuint(run(&rig, (uint8_t[]){ 0x0f, 0x22, 0xc0 }, 3), ==,
                         wide ? X86_RIG_DONE : X86_GP);
        x86_rig_close(&rig);
    }
}

/* An IRET has let non-maskable interrupts in, even if it faults (SDM 3, 6.7.1). */
static void test_iret_that_faults(void)
{
    X86Rig rig;

    prepare_32(&rig);
    enter_vm86(&rig);
    rig.cpu->nmi_blocked = true;
    g_assert_cmpuint(run(&rig, (uint8_t[]){ 0xcf }, 1), ==, X86_GP);
    g_assert_false(rig.cpu->nmi_blocked);
    x86_rig_close(&rig);
}

/* DebugCtl.BTF: TF traps behind branches that are taken, and the trap ends that. */
static void test_branch_steps(void)
{
    /* nop; cmp eax, eax; jne .; rep stosb; je next; nop; next: nop */
    static const uint8_t code[] = { 0x90, 0x39, 0xc0, 0x75, 0xfe, 0xf3, 0xaa, 0x74, 1, 0x90, 0x90 };

    for (unsigned branches = 0; branches < 2; branches++) {
        X86Rig rig;

        prepare(&rig);
        rig.cpu->eflags |= EFLAGS_TF;
        rig.cpu->debugctl = branches ? DEBUGCTL_BTF | 4 : 4;
        rig.cpu->gpr[X86_RDI] = 0x7000;
        rig.cpu->gpr[X86_RCX] = 3;
        g_assert_cmpuint(run(&rig, code, sizeof code), ==, X86_DB);
        g_assert_cmphex(load_le64(x86_rig_frame(&rig, CATCHER)), ==, CODE + (branches ? 10 : 1));
        g_assert_cmphex(rig.cpu->dr[6] & 0xe00f, ==, DR6_BS);
        g_assert_cmphex(rig.cpu->debugctl, ==, 4);
        x86_rig_close(&rig);
    }
}

/* TF traps behind HLT, too, and the trap ends the halt (SDM 2, HLT). */
static void test_step_of_halt(void)
{
    X86Rig rig;

    prepare(&rig);
    rig.cpu->eflags |= EFLAGS_TF;
    g_assert_cmpuint(run(&rig, (uint8_t[]){ 0xf4 }, 1), ==, X86_DB);
    g_assert_cmphex(load_le64(x86_rig_frame(&rig, CATCHER)), ==, CODE + 1);
    g_assert_cmphex(rig.cpu->dr[6] & 0xe00f, ==, DR6_BS);
    x86_rig_close(&rig);
}

/* CMPXCHG16B where the bytes are swapped in a copy: a page of code, and a device's registers. */
static MemoryResult registers_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                   MemoryAttributes attributes)
{
    *value = ((const uint64_t *)opaque)[offset / 8];
    return MEMORY_OK;
}

static MemoryResult registers_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                    MemoryAttributes attributes)
{
    ((uint64_t *)opaque)[offset / 8] = value;
    return MEMORY_OK;
}

static void test_swap_of_a_copy(void)
{
    static const MemoryOps ops = { .read = registers_read, .write = registers_write };
    static const uint64_t places[] = { CODE + 0x40, 0x5000000 };
    uint64_t registers[2] = { 1, 2 };

    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        MemoryRegion device;
        X86Rig rig;
        const uint64_t *place;

        prepare(&rig);
        memory_region_init_io(&device, rig.machine, "registers", 16, &ops, registers);
        memory_region_add(rig.machine->system_memory, places[1], &device, 0);
        place = i ? registers : (const uint64_t *)(void *)(rig.ram + places[0]);
        memcpy(rig.ram + places[0], registers, 16);
        rig.cpu->gpr[X86_RDI] = places[i];
        rig.cpu->gpr[X86_RAX] = 1;
        rig.cpu->gpr[X86_RDX] = 2;
        rig.cpu->gpr[X86_RBX] = 3;
        rig.cpu->gpr[X86_RCX] = 4;
        /* lock cmpxchg16b [rdi] */
        g_assert_cmpuint(run(&rig, (uint8_t[]){ 0xf0, 0x48, 0x0f, 0xc7, 0x0f }, 5), ==,
                         X86_RIG_DONE);
        g_assert_cmphex(place[0], ==, 3);
        g_assert_cmphex(place[1], ==, 4);
        x86_rig_close(&rig);
    }
}

/* Breakpoints on ports: the trap comes behind the instruction, when it has been done, once. */
static void test_port_breakpoints(void)
{
    static const struct {
        uint8_t code[2];
        uint16_t port;
        uint8_t length; /* of DR7 */
        bool de, hit;
    } cases[] = {
        { { 0xe4, 0x70 }, 0x70, 0, true, true }, /* in al, 0x70 */
        { { 0xe6, 0x70 }, 0x70, 0, true, true }, /* out 0x70, al */
        { { 0xe7, 0x70 }, 0x73, 0, true, true }, /* out 0x70, eax */
        { { 0xe4, 0x71 }, 0x70, 1, true, true },
        { { 0xe4, 0x72 }, 0x70, 1, true, false },
        { { 0xe4, 0x70 }, 0x70, 0, false, false },
        { { 0x6e, 0x90 }, 0x74, 0, true, true }, /* outsb */
        { { 0xf3, 0x6e }, 0x74, 0, true, true }, /* rep outsb: behind the first */
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        bool repeated = cases[i].code[0] == 0xf3;
        X86Rig rig;

        prepare(&rig);
        rig.cpu->cr4 |= cases[i].de ? CR4_DE : 0;
        rig.cpu->dr[0] = cases[i].port;
        x86_set_dr(rig.cpu, 7, 1 | 2 << 16 | (unsigned)cases[i].length << 18);
        rig.cpu->gpr[X86_RDX] = 0x74;
        rig.cpu->gpr[X86_RCX] = 3;
        rig.cpu->gpr[X86_RSI] = STACK;
        g_test_message("case %u", i);
        g_assert_cmpuint(run(&rig, cases[i].code, 2), ==, cases[i].hit ? X86_DB : X86_RIG_DONE);
        if (cases[i].hit) {
            g_assert_cmphex(load_le64(x86_rig_frame(&rig, CATCHER)), ==,
                            CODE + (repeated                   ? 0
                                    : cases[i].code[0] == 0x6e ? 1
                                                               : 2));
            g_assert_cmphex(rig.cpu->dr[6] & 0xf, ==, 1);
            g_assert_cmpuint(rig.cpu->gpr[X86_RCX], ==, repeated ? 2 : 3);
        }
        x86_rig_close(&rig);
    }
}

/* Bases, MSRs and what INVPCID names are canonical by as many bits as the processor has; CR4.LA57 is 0 here. */
static void test_wide_bases(void)
{
    enum { DATA = 0x9000, IN_TABLE = 2, IN_INVPCID = 8 };
    static const struct {
        uint8_t code[5];
        uint8_t bytes, offset;
        uint32_t msr;
    } cases[] = {
        { { 0x0f, 0x01, 0x13 }, 3, IN_TABLE, 0 },               /* lgdt [rbx] */
        { { 0x0f, 0x01, 0x1b }, 3, IN_TABLE, 0 },               /* lidt [rbx] */
        { { 0x66, 0x0f, 0x38, 0x82, 0x0b }, 5, IN_INVPCID, 0 }, /* invpcid rcx, [rbx] */
        { { 0xf3, 0x48, 0x0f, 0xae, 0xd6 }, 5, 0, 0 },          /* wrfsbase rsi */
        { { 0xf3, 0x48, 0x0f, 0xae, 0xde }, 5, 0, 0 },          /* wrgsbase rsi */
        { { 0x0f, 0x30 }, 2, 0, 0xc0000082 },                   /* wrmsr: LSTAR */
        { { 0x0f, 0x30 }, 2, 0, 0xc0000083 },                   /* CSTAR */
        { { 0x0f, 0x30 }, 2, 0, 0xc0000100 },                   /* FS's base */
        { { 0x0f, 0x30 }, 2, 0, 0xc0000101 },                   /* GS's base */
        { { 0x0f, 0x30 }, 2, 0, 0xc0000102 },                   /* the kernel's */
        { { 0x0f, 0x30 }, 2, 0, 0x175 },                        /* SYSENTER's ESP */
        { { 0x0f, 0x30 }, 2, 0, 0x176 },                        /* SYSENTER's EIP */
    };
    static const struct {
        uint8_t bits;
        uint64_t value;
        uint32_t end;
    } values[] = {
        { 57, UINT64_C(0xffff800000000000), X86_RIG_DONE },
        { 57, UINT64_C(0xff00000000000000), X86_RIG_DONE },
        { 57, UINT64_C(0x00ffffffffffffff), X86_RIG_DONE },
        { 57, UINT64_C(0x0100000000000000), X86_GP },
        { 57, UINT64_C(0xfeffffffffffffff), X86_GP },
        { 48, UINT64_C(0xffff800000000000), X86_RIG_DONE },
        { 48, UINT64_C(0xffff000000000000), X86_GP },
        { 48, UINT64_C(0x0000800000000000), X86_GP },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases) * G_N_ELEMENTS(values); i++) {
        unsigned c = i / G_N_ELEMENTS(values), v = i % G_N_ELEMENTS(values);
        uint64_t value = values[v].value;
        X86Rig rig;

        prepare(&rig);
        rig.cpu->virt_bits = values[v].bits;
        rig.cpu->cr4 |= CR4_FSGSBASE;
        x86_update_mode(rig.cpu);
        store_le64(rig.ram + DATA + cases[c].offset, value);
        rig.cpu->gpr[X86_RBX] = DATA;
        rig.cpu->gpr[X86_RCX] = cases[c].msr;
        rig.cpu->gpr[X86_RSI] = value;
        rig.cpu->gpr[X86_RAX] = (uint32_t)value;
        rig.cpu->gpr[X86_RDX] = value >> 32;
        g_assert_cmphex(run(&rig, cases[c].code, cases[c].bytes), ==, values[v].end);
        x86_rig_close(&rig);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    g_test_add_func("/system-x86/step-of-halt", test_step_of_halt);
    g_test_add_func("/system-x86/swap-of-a-copy", test_swap_of_a_copy);
    g_test_add_func("/system-x86/address-of-double-fault", test_address_of_double_fault);
    g_test_add_func("/system-x86/a20-at-once", test_a20_at_once);
    g_test_add_func("/system-x86/a20-and-code", test_a20_and_code);
    g_test_add_func("/system-x86/smi-at-once", test_smi_at_once);
    g_test_add_func("/system-x86/exchanged-space", test_exchanged_space);
    g_test_add_func("/system-x86/save-states", test_save_states);
    g_test_add_func("/system-x86/interrupts-of-vm86", test_interrupts_of_vm86);
    g_test_add_func("/system-x86/redirection", test_redirection);
    g_test_add_func("/system-x86/rights", test_rights);
    g_test_add_func("/system-x86/short-task-from-vm86", test_short_task_from_vm86);
    g_test_add_func("/system-x86/resume-flag-in-tasks", test_resume_flag_in_tasks);
    g_test_add_func("/system-x86/return-to-vm86", test_return_to_vm86);
    g_test_add_func("/system-x86/fast-calls", test_fast_calls);
    g_test_add_func("/system-x86/locked-move", test_locked_move);
    g_test_add_func("/system-x86/long-mode-with-short-task", test_long_mode_with_short_task);
    g_test_add_func("/system-x86/iret-that-faults", test_iret_that_faults);
    g_test_add_func("/system-x86/branch-steps", test_branch_steps);
    g_test_add_func("/system-x86/port-breakpoints", test_port_breakpoints);
    g_test_add_func("/system-x86/wide-bases", test_wide_bases);
    return g_test_run();
}
