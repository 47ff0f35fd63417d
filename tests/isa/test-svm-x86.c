/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine of a guest's own: VMRUN, what is intercepted, what an exit tells, nested tables, injected events.
 * usage: test-svm-x86 [-i]     (-i: on the interpreter)
 */
#include "base/bits.h"
#include "target/i386/control.h"
#include "target/i386/svm.h"
#include "tests/isa/rig-x86.h"

enum {
    HOST = 0x1000,
    GUEST = 0x2000,
    IDT = 0x3000,
    GDT = 0x4000,
    HANDLER = 0x5000,
    SEEN = 0x6000,
    STACK = 0x8000,
    VMCB = 0x10000,
    HSAVE = 0x11000,
    IO_MAP = 0x12000,  /* three pages */
    MSR_MAP = 0x16000, /* two */
    NESTED = 0x20000,  /* four tables: 4, 3, 2, 1 */
    CODE_SELECTOR = 8,
    GUEST_PAGES = 0x200,
};
/* APM 2, appendix B. */
enum {
    INTERCEPTS = 0x000,
    ASID = 0x058,
    VIRTUAL_INTERRUPT = 0x060,
    SHADOW = 0x068,
    EXIT_CODE = 0x070,
    INFO_1 = 0x078,
    INFO_2 = 0x080,
    EXIT_EVENT = 0x088,
    NESTED_ENABLE = 0x090,
    EVENT = 0x0a8,
    NESTED_CR3 = 0x0b0,
    NEXT_RIP = 0x0c8,
    STATE_EFER = 0x4d0,
    STATE_CR0 = 0x558,
    STATE_RFLAGS = 0x570,
    STATE_RIP = 0x578,
    STATE_RSP = 0x5d8,
    STATE_RAX = 0x5f8,
};

static bool interp;

static uint64_t field(X86Rig *rig, unsigned offset)
{
    return load_le64(rig->ram + VMCB + offset);
}

static void set_field(X86Rig *rig, unsigned offset, uint64_t value)
{
    store_le64(rig->ram + VMCB + offset, value);
}

static void intercept(X86Rig *rig, unsigned code)
{
    uint8_t *word = rig->ram + VMCB + INTERCEPTS + 4 * (code / 32);

    store_le32(word, load_le32(word) | 1u << code % 32);
}

static void put_segment(uint8_t *at, const X86Segment *s)
{
    store_le16(at, s->selector);
    store_le16(at + 2, (uint16_t)((s->flags >> 8 & 0xff) | (s->flags >> 12 & 0xf00)));
    store_le32(at + 4, s->limit);
    store_le64(at + 8, s->base);
}

/* A guest in the host's own address space. */
static void fill_vmcb(X86Rig *rig)
{
    const X86Cpu *cpu = rig->cpu;
    uint8_t *vmcb = rig->ram + VMCB;

    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        put_segment(vmcb + 0x400 + 16 * i, &cpu->seg[i]);
    }
    store_le32(vmcb + 0x464, 0xffff);
    store_le64(vmcb + 0x468, GDT);
    store_le32(vmcb + 0x484, 0xfff);
    store_le64(vmcb + 0x488, IDT);
    set_field(rig, STATE_EFER, cpu->efer);
    set_field(rig, 0x548, cpu->cr4);
    set_field(rig, 0x550, cpu->cr3);
    set_field(rig, STATE_CR0, cpu->cr0);
    set_field(rig, 0x560, DR7_FIXED);
    set_field(rig, 0x568, DR6_FIXED);
    set_field(rig, STATE_RFLAGS, EFLAGS_ONE);
    set_field(rig, STATE_RIP, GUEST);
    set_field(rig, STATE_RSP, STACK - 0x100);
    set_field(rig, 0x668, cpu->pat);
    store_le32(vmcb + ASID, 1);
    store_le64(vmcb + 0x40, IO_MAP);
    store_le64(vmcb + 0x48, MSR_MAP);
    intercept(rig, SVM_EXIT_VMRUN);
    intercept(rig, SVM_EXIT_HLT);
}

/* The first 2 MiB one to one, in pages of 4 KiB. */
static void fill_nested(X86Rig *rig)
{
    for (unsigned i = 0; i < 3; i++) {
        store_le64(rig->ram + NESTED + 0x1000 * i, (NESTED + 0x1000 * (i + 1)) | 7);
    }
    for (unsigned i = 0; i < GUEST_PAGES; i++) {
        store_le64(rig->ram + NESTED + 0x3000 + 8 * i, 0x1000 * i | 7);
    }
    /* The guest's own tables are far away: a page of 2 MiB around them. */
    store_le64(rig->ram + NESTED + 0x2000 + 8 * 31, 0x3e00000 | 0x87);
    set_field(rig, NESTED_ENABLE, 1);
    set_field(rig, NESTED_CR3, NESTED);
}

static void open_rig(X86Rig *rig)
{
    /* vmrun; mov edx, END_PORT; out dx, al; jmp . */
    static const uint8_t host[] = { 0x0f, 0x01, 0xd8, 0xba, 0xf4, 0x05, 0, 0, 0xee, 0xeb, 0xfe };
    /* mov [SEEN], rsp; hlt */
    static const uint8_t handler[] = { 0x48, 0x89, 0x24, 0x25, 0, SEEN >> 8, 0, 0, 0xf4 };

    if (!x86_rig_open(rig, "max", interp)) {
        exit(77);
    }
    x86_rig_long_mode(rig);
    memcpy(rig->ram + HOST, host, sizeof host);
    memcpy(rig->ram + HANDLER, handler, sizeof handler);
    memset(rig->ram + GUEST, 0xf4, 0x100);
    for (unsigned i = 0; i < 256; i++) {
        store_le64(rig->ram + IDT + 16 * i, HANDLER | CODE_SELECTOR << 16 | UINT64_C(0x8e00) << 32);
    }
    store_le64(rig->ram + GDT + CODE_SELECTOR, UINT64_C(0x00209b0000000000));
    rig->cpu->efer |= EFER_SVME;
    rig->cpu->svm.hsave = HSAVE;
    rig->cpu->gpr[X86_RAX] = VMCB;
    rig->cpu->gpr[X86_RSP] = STACK;
    fill_vmcb(rig);
}

/* Runs the guest's code; the host's state is as it was. */
static void run(X86Rig *rig, const void *code, size_t length)
{
    memcpy(rig->ram + GUEST, code, length);
    x86_rig_run(rig, HOST);
    g_assert_false(rig->cpu->svm.guest);
    g_assert_false(rig->cpu->svm.gif);
    g_assert_cmphex(rig->cpu->gpr[X86_RAX], ==, VMCB);
    g_assert_cmphex(rig->cpu->gpr[X86_RSP], ==, STACK);
}

/* What is intercepted, and what the exit says of it. The guest's RAX, RCX and RDX are 0 when it starts. */
static void test_instructions(void)
{
    static const struct {
        uint8_t code[8], length;
        uint16_t intercepted; /* besides HLT */
        uint16_t exit;
        uint64_t info_1;
    } cases[] = {
        { { 0xf4 }, 1, SVM_EXIT_HLT, SVM_EXIT_HLT, 0 },
        { { 0x0f, 0xa2 }, 2, SVM_EXIT_CPUID, SVM_EXIT_CPUID, 0 },
        { { 0x0f, 0xa2 }, 0, SVM_EXIT_HLT, SVM_EXIT_HLT, 0 },
        { { 0x0f, 0x31 }, 2, SVM_EXIT_RDTSC, SVM_EXIT_RDTSC, 0 },
        { { 0x0f, 0x01, 0xf9 }, 3, SVM_EXIT_RDTSCP, SVM_EXIT_RDTSCP, 0 },
        { { 0x9c }, 1, SVM_EXIT_PUSHF, SVM_EXIT_PUSHF, 0 },
        { { 0xf3, 0x90 }, 2, SVM_EXIT_PAUSE, SVM_EXIT_PAUSE, 0 },
        { { 0xcd, 0x80 }, 2, SVM_EXIT_SOFTWARE_INTERRUPT, SVM_EXIT_SOFTWARE_INTERRUPT, 0x80 },
        { { 0xcc }, 1, SVM_EXIT_EXCEPTION + X86_BP, SVM_EXIT_EXCEPTION + X86_BP, 0 },
        { { 0xf1 }, 1, SVM_EXIT_ICEBP, SVM_EXIT_ICEBP, 0 },
        { { 0x0f, 0x01, 0xd9 }, 3, SVM_EXIT_VMMCALL, SVM_EXIT_VMMCALL, 0 },
        { { 0x0f, 0x22, 0xd9 },
          3,
          SVM_EXIT_WRITE_CR + 3,
          SVM_EXIT_WRITE_CR + 3,
          UINT64_C(1) << 63 | 1 },
        { { 0x0f, 0x20, 0xc7 },
          3,
          SVM_EXIT_READ_CR + 0,
          SVM_EXIT_READ_CR + 0,
          UINT64_C(1) << 63 | 7 },
        { { 0x0f, 0x22, 0xc1 },
          3,
          SVM_EXIT_CR0_SELECTED,
          SVM_EXIT_CR0_SELECTED,
          UINT64_C(1) << 63 | 1 },
        /* LMSW has that of CR0 whatever it changes. */
        { { 0x0f, 0x01, 0xf0 }, 3, SVM_EXIT_CR0_SELECTED, SVM_EXIT_CR0_SELECTED, 0 },
        { { 0x0f, 0x01, 0xf0 }, 3, SVM_EXIT_WRITE_CR + 0, SVM_EXIT_WRITE_CR + 0, 0 },
        { { 0x0f, 0x06 }, 0, SVM_EXIT_CR0_SELECTED, SVM_EXIT_HLT, 0 },
        { { 0x0f, 0x21, 0xf8 }, 3, SVM_EXIT_READ_DR + 7, SVM_EXIT_READ_DR + 7, UINT64_C(1) << 63 },
        /* Exit codes are those of the numbers, aliases too. */
        { { 0x0f, 0x23, 0xe0 },
          3,
          SVM_EXIT_WRITE_DR + 4,
          SVM_EXIT_WRITE_DR + 4,
          UINT64_C(1) << 63 },
        { { 0x0f, 0xaa }, 2, SVM_EXIT_RSM, SVM_EXIT_RSM, 0 },
        { { 0x0f, 0xaa }, 0, SVM_EXIT_EXCEPTION + X86_UD, SVM_EXIT_EXCEPTION + X86_UD, 0 },
        { { 0x0f, 0x01, 0xda }, 3, SVM_EXIT_VMLOAD, SVM_EXIT_VMLOAD, 0 },
        { { 0x0f, 0x01, 0x38 }, 3, SVM_EXIT_INVLPG, SVM_EXIT_INVLPG, 0 },
        { { 0x0f, 0x08 }, 2, SVM_EXIT_INVD, SVM_EXIT_INVD, 0 },
        { { 0x0f, 0x09 }, 2, SVM_EXIT_WBINVD, SVM_EXIT_WBINVD, 0 },
        { { 0x0f, 0x06 }, 2, SVM_EXIT_WRITE_CR + 0, SVM_EXIT_WRITE_CR + 0, 0 },
        /* Without an intercept, VMMCALL and undefined instructions are exceptions. */
        { { 0x0f, 0x01, 0xd9 }, 0, SVM_EXIT_EXCEPTION + X86_UD, SVM_EXIT_EXCEPTION + X86_UD, 0 },
        { { 0x0f, 0x0b }, 0, SVM_EXIT_EXCEPTION + X86_UD, SVM_EXIT_EXCEPTION + X86_UD, 0 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        open_rig(&rig);
        intercept(&rig, cases[i].intercepted);
        run(&rig, cases[i].code, sizeof cases[i].code);
        g_assert_cmphex(field(&rig, EXIT_CODE), ==, cases[i].exit);
        g_assert_cmphex(field(&rig, INFO_1), ==, cases[i].info_1);
        if (cases[i].length) {
            g_assert_cmphex(field(&rig, STATE_RIP), ==, GUEST);
            g_assert_cmphex(field(&rig, NEXT_RIP), ==, GUEST + cases[i].length);
        }
        x86_rig_close(&rig);
    }
}

/* Ports and registers by their maps: one that is let through, and one that is not. */
static void test_maps(void)
{
    /* mov al, 0x5a; out 0x80, al; in al, 0x81 */
    static const uint8_t ports[] = { 0xb0, 0x5a, 0xe6, 0x80, 0xe4, 0x81 };
    /* mov ecx, 0xc0000081; rdmsr; inc ecx; wrmsr */
    static const uint8_t msrs[] = { 0xb9, 0x81, 0, 0, 0xc0, 0x0f, 0x32, 0xff, 0xc1, 0x0f, 0x30 };
    X86Rig rig;

    open_rig(&rig);
    intercept(&rig, SVM_EXIT_IO);
    rig.ram[IO_MAP + 0x81 / 8] = 1 << (0x81 % 8);
    run(&rig, ports, sizeof ports);
    g_assert_cmphex(field(&rig, EXIT_CODE), ==, SVM_EXIT_IO);
    g_assert_cmphex(field(&rig, INFO_1), ==, 0x81 << 16 | X86_DS << 10 | 1 << 9 | 1 << 4 | 1);
    g_assert_cmphex(field(&rig, INFO_2), ==, GUEST + sizeof ports);
    x86_rig_close(&rig);

    open_rig(&rig);
    intercept(&rig, SVM_EXIT_MSR);
    rig.ram[MSR_MAP + 0x800 + 2 * 0x82 / 8] = 1 << (2 * 0x82 % 8 + 1);
    run(&rig, msrs, sizeof msrs);
    g_assert_cmphex(field(&rig, EXIT_CODE), ==, SVM_EXIT_MSR);
    g_assert_cmphex(field(&rig, INFO_1), ==, 1);
    g_assert_cmphex(field(&rig, STATE_RIP), ==, GUEST + sizeof msrs - 2);
    x86_rig_close(&rig);
}

/* Nested tables: they are walked, an absent page and a read-only one tell what happened. */
static void test_nested(void)
{
    /* mov eax, [0x9000]; mov [0xa000], eax */
    static const uint8_t code[] = { 0x8b, 4, 0x25, 0, 0x90, 0, 0, 0x89, 4, 0x25, 0, 0xa0, 0, 0 };
    uint64_t *page = NULL;
    X86Rig rig;

    for (unsigned i = 0; i < 4; i++) {
        open_rig(&rig);
        fill_nested(&rig);
        page = (uint64_t *)(void *)(rig.ram + NESTED + 0x3000);
        store_le32(rig.ram + 0x9000, 0x12345678);
        store_le32(rig.ram + 0x9800 + 0x1000 * 8, 0x9abcdef0);
        page[9] = i == 1 ? 0 : page[9];
        page[10] = i == 2 ? page[10] & ~UINT64_C(2) : page[10];
        if (i == 3) {
            store_le64(rig.ram + NESTED + 0x2000 + 8 * 31, 0); /* the guest's own tables */
        }
        run(&rig, code, sizeof code);
        switch (i) {
        case 0:
            g_assert_cmphex(field(&rig, EXIT_CODE), ==, SVM_EXIT_HLT);
            g_assert_cmphex(load_le32(rig.ram + 0xa000), ==, 0x12345678);
            break;
        case 1:
            g_assert_cmphex(field(&rig, EXIT_CODE), ==, SVM_EXIT_NESTED_FAULT);
            g_assert_cmphex(field(&rig, INFO_1), ==, UINT64_C(0x100000004));
            g_assert_cmphex(field(&rig, INFO_2), ==, 0x9000);
            g_assert_cmphex(field(&rig, STATE_RIP), ==, GUEST);
            break;
        case 2:
            g_assert_cmphex(field(&rig, EXIT_CODE), ==, SVM_EXIT_NESTED_FAULT);
            g_assert_cmphex(field(&rig, INFO_1), ==, UINT64_C(0x100000007));
            g_assert_cmphex(field(&rig, INFO_2), ==, 0xa000);
            g_assert_cmphex(field(&rig, STATE_RIP), ==, GUEST + 7);
            break;
        default:
            g_assert_cmphex(field(&rig, EXIT_CODE), ==, SVM_EXIT_NESTED_FAULT);
            g_assert_cmphex(field(&rig, INFO_1), ==, UINT64_C(0x200000006));
            g_assert_cmphex(field(&rig, INFO_2), ==, 0x3ff0000);
        }
        x86_rig_close(&rig);
    }
}

/* EVENTINJ is delivered by the guest's IDT; what faults on the way says what was being delivered. */
static void test_injection(void)
{
    const uint64_t event = SVM_EVENT_VALID | SVM_EVENT_EXCEPTION << SVM_EVENT_TYPE_SHIFT |
                           SVM_EVENT_HAS_ERROR | X86_GP | UINT64_C(0x1234) << SVM_EVENT_ERROR_SHIFT;
    X86Rig rig;

    open_rig(&rig);
    set_field(&rig, EVENT, event);
    run(&rig, "\xf4", 1);
    g_assert_cmphex(field(&rig, EXIT_CODE), ==, SVM_EXIT_HLT);
    g_assert_cmphex(field(&rig, STATE_RIP), ==, HANDLER + 8);
    g_assert_cmphex(load_le64(rig.ram + SEEN), ==, STACK - 0x100 - 6 * 8);
    g_assert_cmphex(load_le64(rig.ram + STACK - 0x100 - 6 * 8), ==, 0x1234);
    g_assert_cmphex(field(&rig, EVENT) & SVM_EVENT_VALID, ==, 0);
    x86_rig_close(&rig);

    open_rig(&rig);
    fill_nested(&rig);
    store_le64(rig.ram + NESTED + 0x3000 + 8 * (IDT >> 12), 0);
    set_field(&rig, EVENT, event);
    run(&rig, "\xf4", 1);
    g_assert_cmphex(field(&rig, EXIT_CODE), ==, SVM_EXIT_NESTED_FAULT);
    g_assert_cmphex(field(&rig, EXIT_EVENT), ==, event);
    x86_rig_close(&rig);
}

/* Interrupts: a virtual one waits for the guest's IF; the host's leave the guest, whatever that has masked. */
static void test_interrupts(void)
{
    const uint64_t pending = 1 << 8 | 0xf << 16 | 1 << 24 | UINT64_C(0x41) << 32;
    /* nop; sti; nop; hlt */
    static const uint8_t code[] = { 0x90, 0xfb, 0x90, 0xf4 };
    X86Rig rig;

    open_rig(&rig);
    set_field(&rig, VIRTUAL_INTERRUPT, pending);
    run(&rig, code, sizeof code);
    g_assert_cmphex(field(&rig, EXIT_CODE), ==, SVM_EXIT_HLT);
    g_assert_cmphex(field(&rig, STATE_RIP), ==, HANDLER + 8);
    g_assert_cmphex(load_le64(rig.ram + STACK - 0x100 - 5 * 8), ==, GUEST + 3);
    g_assert_cmphex(field(&rig, VIRTUAL_INTERRUPT) & 1 << 8, ==, 0);
    x86_rig_close(&rig);

    open_rig(&rig);
    set_field(&rig, VIRTUAL_INTERRUPT, pending);
    intercept(&rig, SVM_EXIT_VINTR);
    run(&rig, code, sizeof code);
    g_assert_cmphex(field(&rig, EXIT_CODE), ==, SVM_EXIT_VINTR);
    g_assert_cmphex(field(&rig, STATE_RIP), ==, GUEST + 3);
    x86_rig_close(&rig);

    /* In a shadow that VMRUN brings it waits for an instruction more. */
    open_rig(&rig);
    set_field(&rig, VIRTUAL_INTERRUPT, pending);
    set_field(&rig, SHADOW, 1);
    set_field(&rig, STATE_RFLAGS, EFLAGS_ONE | EFLAGS_IF);
    run(&rig, code, sizeof code);
    g_assert_cmphex(field(&rig, EXIT_CODE), ==, SVM_EXIT_HLT);
    g_assert_cmphex(load_le64(rig.ram + STACK - 0x100 - 5 * 8), ==, GUEST + 1);
    g_assert_cmphex(field(&rig, SHADOW), ==, 0);
    x86_rig_close(&rig);

    /* Only four bits of the virtual TPR count. */
    open_rig(&rig);
    set_field(&rig, VIRTUAL_INTERRUPT, (pending & ~UINT64_C(0xf0000)) | 8 << 16 | 0xf7);
    run(&rig, code, sizeof code);
    g_assert_cmphex(field(&rig, STATE_RIP), ==, HANDLER + 8);
    x86_rig_close(&rig);

    /* With the global flag clear they wait for VMRUN, which sets it. */
    for (unsigned kind = 0; kind < 2; kind++) {
        open_rig(&rig);
        intercept(&rig, kind ? SVM_EXIT_NMI : SVM_EXIT_INTR);
        set_field(&rig, VIRTUAL_INTERRUPT, 1 << 24);
        rig.cpu->svm.gif = false;
        rig.cpu->eflags |= EFLAGS_IF;
        if (kind) {
            vcpu_post_event(&rig.cpu->vcpu, X86_EVENT_NMI, 0);
        } else {
            vcpu_set_interrupt(&rig.cpu->vcpu, X86_LINE_INTR, true);
        }
        run(&rig, "\xf4", 1);
        g_assert_cmphex(field(&rig, EXIT_CODE), ==, kind ? SVM_EXIT_NMI : SVM_EXIT_INTR);
        g_assert_cmphex(field(&rig, STATE_RIP), ==, GUEST);
        x86_rig_close(&rig);
    }
}

/* What may not run ends at once, and triple faults are the host's affair. */
static void test_invalid(void)
{
    static const struct {
        unsigned offset;
        uint64_t value;
    } cases[] = {
        { ASID, 0 },
        { ASID, 1000 },
        { STATE_EFER, EFER_LME | EFER_LMA },
        { STATE_CR0, CR0_PG },
        { STATE_CR0, UINT64_C(1) << 32 | CR0_PE },
        { INTERCEPTS + 0x10, 0 },
        { 0x548, CR4_PAE | UINT64_C(1) << 40 },
        { STATE_EFER, EFER_SVME | EFER_LME | EFER_LMA | 1 << 9 },
        { 0x550, UINT64_C(1) << 52 | (X86_RIG_RAM_BYTES - 0x10000) },
        { 0x560, UINT64_C(1) << 32 | DR7_FIXED },
        { 0x568, UINT64_C(1) << 63 | DR6_FIXED },
        /* Events: an NMI is no exception, nor are vectors from 32 on; types that are not defined. */
        { EVENT, SVM_EVENT_VALID | SVM_EVENT_EXCEPTION << SVM_EVENT_TYPE_SHIFT | X86_NMI },
        { EVENT, SVM_EVENT_VALID | SVM_EVENT_EXCEPTION << SVM_EVENT_TYPE_SHIFT | 32 },
        { EVENT, SVM_EVENT_VALID | 1 << SVM_EVENT_TYPE_SHIFT | X86_DE },
        { EVENT, SVM_EVENT_VALID | 5 << SVM_EVENT_TYPE_SHIFT | X86_DE },
    };
    X86Rig rig;

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        open_rig(&rig);
        set_field(&rig, cases[i].offset, cases[i].value);
        run(&rig, "\xf4", 1);
        g_assert_cmphex(field(&rig, EXIT_CODE), ==, UINT64_MAX);
        x86_rig_close(&rig);
    }
    open_rig(&rig);
    intercept(&rig, SVM_EXIT_SHUTDOWN);
    store_le32(rig.ram + VMCB + 0x484, 0); /* no IDT */
    run(&rig, "\x0f\x0b", 2);
    g_assert_cmphex(field(&rig, EXIT_CODE), ==, SVM_EXIT_SHUTDOWN);
    x86_rig_close(&rig);
}

/* The debug exception of DR7.GD comes before the intercept of what would have been read. */
static void test_general_detect(void)
{
    static const uint8_t mov_rax_dr0[] = { 0x0f, 0x21, 0xc0 };
    X86Rig rig;

    open_rig(&rig);
    set_field(&rig, 0x560, DR7_FIXED | DR7_GD);
    intercept(&rig, SVM_EXIT_READ_DR + 0);
    intercept(&rig, SVM_EXIT_EXCEPTION + X86_DB);
    run(&rig, mov_rax_dr0, sizeof mov_rax_dr0);
    g_assert_cmphex(field(&rig, EXIT_CODE), ==, SVM_EXIT_EXCEPTION + X86_DB);
    g_assert_cmphex(field(&rig, STATE_RIP), ==, GUEST);
    g_assert_cmphex(field(&rig, 0x568) & DR6_BD, ==, DR6_BD);
    x86_rig_close(&rig);
}

/* Maps lie below the last physical address. The lowest bits of where they are do not count; without their intercept nothing does. */
static void test_map_places(void)
{
    static const struct {
        unsigned offset, code, below_end;
        bool valid;
    } cases[] = {
        { 0x48, SVM_EXIT_MSR, 0x3000, true },   { 0x48, SVM_EXIT_MSR, 0x2001, true },
        { 0x48, SVM_EXIT_MSR, 0x2000, false },  { 0x48, SVM_EXIT_MSR, 0x1000, false },
        { 0x48, SVM_EXIT_CPUID, 0x1000, true }, { 0x40, SVM_EXIT_IO, 0x3000, true },
        { 0x40, SVM_EXIT_IO, 0x2002, true },    { 0x40, SVM_EXIT_IO, 0x2000, false },
        { 0x40, SVM_EXIT_IO, 0x1000, false },   { 0x40, SVM_EXIT_CPUID, 0x1000, true },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        open_rig(&rig);
        intercept(&rig, cases[i].code);
        set_field(&rig, cases[i].offset, (UINT64_C(1) << rig.cpu->phys_bits) - cases[i].below_end);
        run(&rig, "\xf4", 1);
        g_assert_cmphex(field(&rig, EXIT_CODE), ==, cases[i].valid ? SVM_EXIT_HLT : UINT64_MAX);
        x86_rig_close(&rig);
    }
}

/* With nested tables there is more that must be right: their place, and the types of the guest's memory. */
static void test_invalid_nested(void)
{
    static const struct {
        unsigned offset;
        uint64_t value;
    } cases[] = {
        { NESTED_CR3, UINT64_C(1) << 52 | NESTED },
        { 0x668, UINT64_C(0x0007040600070402) },
        { 0x668, UINT64_C(0x8007040600070406) },
    };
    X86Rig rig;

    for (unsigned nested = 0; nested < 2; nested++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
            open_rig(&rig);
            fill_nested(&rig);
            set_field(&rig, NESTED_ENABLE, nested);
            set_field(&rig, cases[i].offset, cases[i].value);
            run(&rig, "\xf4", 1);
            g_assert_cmphex(field(&rig, EXIT_CODE), ==, nested ? UINT64_MAX : SVM_EXIT_HLT);
            x86_rig_close(&rig);
        }
    }
}

/* VMLOAD extends the sign of bases, so that VMSAVE's are canonical; VMRUN takes any. */
static void test_canonical(void)
{
    /* vmload; vmsave; mov edx, END_PORT; out dx, al */
    static const uint8_t host[] = {
        0x0f, 0x01, 0xda, 0x0f, 0x01, 0xdb, 0xba, 0xf4, 0x05, 0, 0, 0xee
    };
    static const uint16_t loaded[] = { 0x448, 0x458, 0x478, 0x498, 0x620 };
    static const uint16_t run_with[] = { 0x408, 0x418, 0x428, 0x438, 0x468, 0x488 };
    const uint64_t base = UINT64_C(0x5400000012345678);
    X86Rig rig;

    open_rig(&rig);
    for (unsigned i = 0; i < G_N_ELEMENTS(loaded); i++) {
        set_field(&rig, loaded[i], base | (uint64_t)(i & 1) << (rig.cpu->virt_bits - 1));
    }
    memcpy(rig.ram + HOST, host, sizeof host);
    x86_rig_run(&rig, HOST);
    for (unsigned i = 0; i < G_N_ELEMENTS(loaded); i++) {
        uint64_t value = base | (uint64_t)(i & 1) << (rig.cpu->virt_bits - 1);

        g_assert_cmphex(field(&rig, loaded[i]), ==,
                        (uint64_t)bits_sign_extend(value, rig.cpu->virt_bits));
    }
    x86_rig_close(&rig);
    open_rig(&rig);
    for (unsigned i = 0; i < G_N_ELEMENTS(run_with); i++) {
        set_field(&rig, run_with[i], base);
    }
    run(&rig, "\xf4", 1);
    g_assert_cmphex(field(&rig, EXIT_CODE), ==, SVM_EXIT_HLT);
    x86_rig_close(&rig);
}

/* A host that steps has its trap when the guest has been left, behind VMRUN; a guest that steps, behind its first instruction. */
static void test_steps(void)
{
    /* mov [SEEN], rsp; mov edx, END_PORT; out dx, al; jmp . */
    static const uint8_t handler[] = { 0x48, 0x89, 0x24, 0x25, 0, SEEN >> 8, 0,    0,
                                       0xba, 0xf4, 0x05, 0,    0, 0xee,      0xeb, 0xfe };
    uint8_t *frame;
    X86Rig rig;

    for (unsigned invalid = 0; invalid < 2; invalid++) {
        open_rig(&rig);
        rig.cpu->idtr = (X86TableRegister){ IDT, 0xfff };
        rig.cpu->gdtr = (X86TableRegister){ GDT, 0xffff };
        rig.cpu->eflags |= EFLAGS_TF;
        memcpy(rig.ram + HANDLER, handler, sizeof handler);
        if (invalid) {
            store_le32(rig.ram + VMCB + ASID, 0);
        }
        memcpy(rig.ram + GUEST, "\x90\xf4", 2);
        x86_rig_run(&rig, HOST);
        g_assert_cmphex(field(&rig, EXIT_CODE), ==, invalid ? UINT64_MAX : SVM_EXIT_HLT);
        if (!invalid) {
            g_assert_cmphex(field(&rig, STATE_RIP), ==, GUEST + 1);
        }
        frame = rig.ram + load_le64(rig.ram + SEEN);
        g_assert_cmphex(load_le64(frame), ==, HOST + 3);
        g_assert_cmphex(load_le64(frame + 16) & EFLAGS_TF, ==, EFLAGS_TF);
        g_assert_cmphex(rig.cpu->dr[6] & DR6_BS, ==, DR6_BS);
        x86_rig_close(&rig);
    }
    open_rig(&rig);
    set_field(&rig, STATE_RFLAGS, EFLAGS_ONE | EFLAGS_TF);
    run(&rig, "\x90\xf4", 2);
    g_assert_cmphex(field(&rig, EXIT_CODE), ==, SVM_EXIT_HLT);
    g_assert_cmphex(field(&rig, STATE_RIP), ==, HANDLER + 8);
    g_assert_cmphex(load_le64(rig.ram + load_le64(rig.ram + SEEN)), ==, GUEST + 1);
    x86_rig_close(&rig);
}

/* What nested tables may not have; a fetch says so when the host's NX or SMEP would. */
static void test_nested_errors(void)
{
    enum { ROOT = NESTED, POINTERS = NESTED + 0x1000, LEAF = NESTED + 0x3000 + 8 * (GUEST >> 12) };
    static const struct {
        uint32_t at;
        uint64_t bits;
        bool nx, smep;
        uint64_t info_1;
    } cases[] = {
        { LEAF, UINT64_C(1) << 63, true, false, UINT64_C(0x100000015) },
        { LEAF, UINT64_C(1) << 63, false, false, UINT64_C(0x10000000d) },
        { LEAF, UINT64_C(1) << 63, false, true, UINT64_C(0x10000001d) },
        { LEAF, UINT64_C(1) << 51, true, true, UINT64_C(0x10000001d) },
        { ROOT, UINT64_C(1) << 8, true, false, UINT64_C(0x20000000f) },
        { POINTERS, UINT64_C(1) << 8, true, false, UINT64_C(0x20000000f) },
        { ROOT, UINT64_C(1) << 7, true, true, UINT64_C(0x20000000f) },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;
        uint8_t *entry;

        open_rig(&rig);
        fill_nested(&rig);
        rig.cpu->efer &= ~EFER_NXE;
        rig.cpu->efer |= cases[i].nx ? EFER_NXE : 0;
        rig.cpu->cr4 |= cases[i].smep ? CR4_SMEP : 0;
        rig.ram[rig.cpu->cr3] &= (uint8_t)~X86_PF_U; /* supervisor's code */
        entry = rig.ram + cases[i].at;
        store_le64(entry, load_le64(entry) | cases[i].bits);
        run(&rig, "\xf4", 1);
        g_assert_cmphex(field(&rig, EXIT_CODE), ==, SVM_EXIT_NESTED_FAULT);
        g_assert_cmphex(field(&rig, INFO_1), ==, cases[i].info_1);
        x86_rig_close(&rig);
    }
}

/*
 * Without virtual masking an interrupt waits for the guest's own flags: IF, and the global flag where STGI and CLGI are not
 * intercepted. What is no interrupt does not wait.
 */
static void test_guest_flags(void)
{
    static const struct {
        uint8_t code[8], length; /* the exit comes behind it */
        uint16_t exit;
        uint8_t event;
    } cases[] = {
        /* nop; sti; nop */
        { { 0x90, 0xfb, 0x90, 0xf4 }, 3, SVM_EXIT_INTR, 0 },
        /* clgi; sti; nop; stgi */
        { { 0x0f, 0x01, 0xdd, 0xfb, 0x90, 0x0f, 0x01, 0xdc }, 8, SVM_EXIT_INTR, 0 },
        { { 0x90, 0xfa, 0xf4 }, 0, SVM_EXIT_SMI, X86_EVENT_SMI },
        { { 0x90, 0xfa, 0xf4 }, 0, SVM_EXIT_INIT, X86_EVENT_INIT },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        open_rig(&rig);
        intercept(&rig, cases[i].exit);
        if (cases[i].exit == SVM_EXIT_INTR) {
            vcpu_set_interrupt(&rig.cpu->vcpu, X86_LINE_INTR, true);
        } else {
            rig.cpu->svm.gif = false;
            vcpu_post_event(&rig.cpu->vcpu, cases[i].event, 0);
        }
        run(&rig, cases[i].code, sizeof cases[i].code);
        g_assert_cmphex(field(&rig, EXIT_CODE), ==, cases[i].exit);
        g_assert_cmphex(field(&rig, STATE_RIP), ==, GUEST + cases[i].length);
        x86_rig_close(&rig);
    }
}

/* Recording of branches is the host's and the guest's in common, or the guest has its own, in the VMCB. */
static void test_branches(void)
{
    enum { OWN_BRANCHES = 0x0b8, DEBUG_CONTROL = 0x670, LAST_BRANCH = 0x678 };

    for (unsigned own = 0; own < 2; own++) {
        X86Rig rig;

        open_rig(&rig);
        set_field(&rig, OWN_BRANCHES, own);
        set_field(&rig, DEBUG_CONTROL, own ? DEBUGCTL_LBR : 0);
        set_field(&rig, LAST_BRANCH + 24, 7);
        rig.cpu->debugctl = own ? DEBUGCTL_BTF : DEBUGCTL_LBR;
        rig.cpu->last_branch[0] = 1;
        rig.cpu->last_branch[3] = 4;
        run(&rig, "\xeb\x01\x90\xf4", 4); /* jmp; nop; hlt */
        g_assert_cmphex(rig.cpu->debugctl, ==, own ? DEBUGCTL_BTF : DEBUGCTL_LBR);
        g_assert_cmphex(rig.cpu->last_branch[0], ==, own ? 1 : GUEST);
        g_assert_cmphex(rig.cpu->last_branch[1], ==, own ? 0 : GUEST + 3);
        g_assert_cmphex(rig.cpu->last_branch[3], ==, 4);
        g_assert_cmphex(field(&rig, DEBUG_CONTROL), ==, own ? DEBUGCTL_LBR : 0);
        g_assert_cmphex(field(&rig, LAST_BRANCH), ==, own ? GUEST : 0);
        g_assert_cmphex(field(&rig, LAST_BRANCH + 8), ==, own ? GUEST + 3 : 0);
        g_assert_cmphex(field(&rig, LAST_BRANCH + 24), ==, 7);
        x86_rig_close(&rig);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    g_test_add_func("/svm-x86/instructions", test_instructions);
    g_test_add_func("/svm-x86/maps", test_maps);
    g_test_add_func("/svm-x86/nested", test_nested);
    g_test_add_func("/svm-x86/injection", test_injection);
    g_test_add_func("/svm-x86/interrupts", test_interrupts);
    g_test_add_func("/svm-x86/invalid", test_invalid);
    g_test_add_func("/svm-x86/general-detect", test_general_detect);
    g_test_add_func("/svm-x86/map-places", test_map_places);
    g_test_add_func("/svm-x86/invalid-nested", test_invalid_nested);
    g_test_add_func("/svm-x86/canonical", test_canonical);
    g_test_add_func("/svm-x86/steps", test_steps);
    g_test_add_func("/svm-x86/nested-errors", test_nested_errors);
    g_test_add_func("/svm-x86/guest-flags", test_guest_flags);
    g_test_add_func("/svm-x86/branches", test_branches);
    return g_test_run();
}
