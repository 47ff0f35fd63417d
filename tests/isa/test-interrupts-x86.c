/* SPDX-License-Identifier: MIT */
/*
 * When interrupts come: how many NMIs wait (SDM 3, 6.7.1), and those that an instruction lets in by the local APIC, right behind it.
 * usage: test-interrupts-x86 [-i]     (-i: on the interpreter)
 */
#include "base/bits.h"
#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "tests/isa/rig-x86.h"

enum { CODE = 0x1000, CATCHER = 0x2000, HANDLER = 0x5000, COUNT = 0x7000, STACK = 0x8000 };
enum { SMM_CODE = 0x38000, PORT_NMI = 0x92, PORT_SMI };

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

/* NMIs. A port sends as many as are written to it, another one an SMI. */

static MemoryResult port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    X86Rig *rig = opaque;

    if (offset) {
        vcpu_post_event(&rig->cpu->vcpu, X86_EVENT_SMI, 0);
    }
    for (unsigned i = 0; !offset && i < value; i++) {
        x86_post_nmi(&rig->cpu->vcpu);
    }
    return MEMORY_OK;
}

static const MemoryOps port_ops = { .write = port_write };

/* Runs code with so many NMIs waiting, and so many that come while the first is handled. Returns how many are handled. */
static unsigned count_nmis(const uint8_t *code, unsigned bytes, unsigned before, unsigned within)
{
    /* inc dword [COUNT]; cmp dword [COUNT], 1; jne 1f; mov al, within; out PORT_NMI, al; 1: iretq */
    const uint8_t handler[] = { 0xff, 0x04, 0x25, 0,    COUNT >> 8,      0,    0,
                                0x83, 0x3c, 0x25, 0,    COUNT >> 8,      0,    0,
                                1,    0x75, 4,    0xb0, (uint8_t)within, 0xe6, PORT_NMI,
                                0x48, 0xcf };
    MemoryRegion ports;
    unsigned count;
    X86Rig rig;

    prepare(&rig);
    memory_region_init_io(&ports, rig.machine, "chipset", 2, &port_ops, &rig);
    memory_region_add(rig.machine->system_io, PORT_NMI, &ports, 0);
    memcpy(rig.ram + HANDLER, handler, sizeof handler);
    store_le64(rig.ram + CATCHER + 16 * X86_NMI, HANDLER | 8 << 16 | UINT64_C(0x8e00) << 32);
    /* mov al, 3; out PORT_NMI, al; rsm */
    memcpy(rig.ram + SMM_CODE, (uint8_t[]){ 0xb0, 3, 0xe6, PORT_NMI, 0x0f, 0xaa }, 6);
    rig.cpu->efer |= EFER_SVME;
    x86_rig_put_code(&rig, CODE, code, bytes);
    for (unsigned i = 0; i < before; i++) {
        x86_post_nmi(&rig.cpu->vcpu);
    }
    x86_rig_run(&rig, CODE);
    g_assert_cmpuint(rig.end_value, ==, X86_RIG_DONE);
    count = load_le32(rig.ram + COUNT);
    x86_rig_close(&rig);
    return count;
}

/* One is handled, and one held meanwhile. */
static void test_nmis(void)
{
    static const uint8_t nop[] = { 0x90 };

    g_assert_cmpuint(count_nmis(nop, 1, 1, 0), ==, 1);
    g_assert_cmpuint(count_nmis(nop, 1, 2, 0), ==, 2);
    g_assert_cmpuint(count_nmis(nop, 1, 3, 0), ==, 2);
    g_assert_cmpuint(count_nmis(nop, 1, 1, 1), ==, 2);
    g_assert_cmpuint(count_nmis(nop, 1, 1, 3), ==, 2);
    g_assert_cmpuint(count_nmis(nop, 1, 2, 3), ==, 2);
}

/* So it is while system management mode or the global interrupt flag hold them back. */
static void test_nmis_held_back(void)
{
    /* out PORT_SMI, al; nop */
    static const uint8_t smi[] = { 0xe6, PORT_SMI, 0x90 };
    /* clgi; mov al, 3; out PORT_NMI, al; stgi; nop */
    static const uint8_t gif[] = {
        0x0f, 0x01, 0xdd, 0xb0, 3, 0xe6, PORT_NMI, 0x0f, 0x01, 0xdc, 0x90
    };

    g_assert_cmpuint(count_nmis(smi, sizeof smi, 0, 0), ==, 1);
    g_assert_cmpuint(count_nmis(gif, sizeof gif, 0, 0), ==, 1);
}

/* Interrupts of the local APIC. */

#define APIC UINT64_C(0xfee00000)
enum { TPR = 0x80, EOI = 0xb0, SVR = 0xf0, ICR = 0x300, LVT_LINT0 = 0x350, INPUT_LINT0 = 0 };
enum { MSR_ICR = 0x830, MSR_TPR = 0x808, MSR_EOI = 0x80b, MSR_SELF = 0x83f };
enum {
    VECTOR = 0x1f,
    STRONGER = 0x20,
    TO_SELF = 0x40000,
    AS_NMI = 0x400,
    BY_LEVEL = 0x8000,
    MASKED = 0x10000
};

/* What the APIC has before: nothing; VECTOR, which TPR holds back; the same, with a stronger one in service; a level, which is masked. */
typedef enum { IDLE, BELOW_TPR, BELOW_SERVED, MASKED_LEVEL } Before;

static Device *add_apic(X86Rig *rig)
{
    g_autoptr(GError) error = NULL;
    Device *apic = device_create(rig->machine, NULL, "apic", NULL, NULL, &error);
    uint64_t pages = rig->cpu->cr3 + 0x1000;

    g_assert_no_error(error);
    device_realize(apic, &error);
    g_assert_no_error(error);
    device_reset_tree(apic);
    device_map(apic, 0, APIC);
    vcpu_connect_acknowledge(&rig->cpu->vcpu, apic);
    /* The page of 1 GiB that it is in. */
    store_le64(rig->ram + pages + 8 * (APIC >> 30), (APIC & ~UINT64_C(0x3fffffff)) | 0x87);
    return apic;
}

static void write_apic(X86Rig *rig, unsigned offset, uint32_t value)
{
    const MemoryAttributes by_cpu = { .vcpu = 0 };

    g_assert_cmpint(address_space_write(rig->cpu->vcpu.memory, APIC + offset, value, 4, by_cpu), ==,
                    MEMORY_OK);
}

static void set_before(X86Rig *rig, Device *apic, Before before)
{
    write_apic(rig, SVR, 0x1ff);
    switch (before) {
    case IDLE:
        break;
    case BELOW_TPR:
        write_apic(rig, TPR, 0x20);
        write_apic(rig, ICR, TO_SELF | VECTOR);
        break;
    case BELOW_SERVED:
        write_apic(rig, ICR, TO_SELF | STRONGER);
        g_assert_cmpint(vcpu_acknowledge(&rig->cpu->vcpu), ==, STRONGER);
        write_apic(rig, ICR, TO_SELF | VECTOR);
        break;
    case MASKED_LEVEL:
        write_apic(rig, LVT_LINT0, MASKED);
        apic->type->input(apic, INPUT_LINT0, 1);
        break;
    }
}

/* The interrupt comes right behind the instruction, not behind those that follow in its unit. */
static void test_at_once(void)
{
    static const struct {
        uint8_t code[4], bytes;
        Before before;
        uint32_t at, value; /* RBX, as an offset, or ECX; EAX */
        uint8_t vector;
    } cases[] = {
        { { 0x89, 0x03 }, 2, IDLE, ICR, TO_SELF | VECTOR, VECTOR }, /* mov [rbx], eax */
        { { 0x89, 0x03 }, 2, IDLE, ICR, TO_SELF | AS_NMI, X86_NMI },
        { { 0x89, 0x03 }, 2, BELOW_TPR, TPR, 0, VECTOR },
        { { 0x83, 0x23, 0 }, 3, BELOW_TPR, TPR, 0, VECTOR },       /* and dword [rbx], 0 */
        { { 0xf0, 0x83, 0x23, 0 }, 4, BELOW_TPR, TPR, 0, VECTOR }, /* lock and dword [rbx], 0 */
        { { 0x87, 0x03 }, 2, BELOW_TPR, TPR, 0, VECTOR },          /* xchg [rbx], eax */
        { { 0xab }, 1, BELOW_TPR, TPR, 0, VECTOR },                /* stosd */
        { { 0x89, 0x03 }, 2, BELOW_SERVED, EOI, 0, VECTOR },
        { { 0x89, 0x03 }, 2, MASKED_LEVEL, LVT_LINT0, BY_LEVEL | VECTOR, VECTOR },
        { { 0x0f, 0x30 }, 2, IDLE, MSR_ICR, TO_SELF | VECTOR, VECTOR }, /* wrmsr */
        { { 0x0f, 0x30 }, 2, IDLE, MSR_SELF, VECTOR, VECTOR },
        { { 0x0f, 0x30 }, 2, BELOW_TPR, MSR_TPR, 0, VECTOR },
        { { 0x0f, 0x30 }, 2, BELOW_SERVED, MSR_EOI, 0, VECTOR },
        { { 0x44, 0x0f, 0x22, 0xc0 }, 4, BELOW_TPR, 0, 0, VECTOR }, /* mov cr8, rax */
    };
    static const uint8_t around[] = { 0xff, 0xc6, 0xff, 0xc6 }; /* inc esi, twice */

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        unsigned bytes = cases[i].bytes;
        uint8_t code[16];
        Device *apic;
        X86Rig rig;

        g_test_message("case %u", i);
        prepare(&rig);
        apic = add_apic(&rig);
        set_before(&rig, apic, cases[i].before);
        if (cases[i].at >= MSR_TPR) {
            g_assert_true(x86_write_msr(rig.cpu, X86_REGISTER_APIC_BASE, APIC | 0xd00));
        }
        memcpy(code, around, 4);
        memcpy(code + 4, cases[i].code, bytes);
        memcpy(code + 4 + bytes, around, 4);
        rig.cpu->gpr[X86_RAX] = cases[i].value;
        rig.cpu->gpr[X86_RBX] = rig.cpu->gpr[X86_RDI] = APIC + cases[i].at;
        rig.cpu->gpr[X86_RCX] = cases[i].at;
        rig.cpu->gpr[X86_RDX] = 0;
        rig.cpu->eflags |= EFLAGS_IF;
        x86_rig_put_code(&rig, CODE, code, bytes + 8);
        x86_rig_run(&rig, CODE);
        g_assert_cmpuint(rig.end_value, ==, cases[i].vector);
        g_assert_cmphex(load_le64(x86_rig_frame(&rig, CATCHER)), ==, CODE + 4 + bytes);
        g_assert_cmphex(rig.cpu->gpr[X86_RSI], ==, 2);
        x86_rig_close(&rig);
    }
}

/* The page of the APIC comes and goes in front of RAM that has been read just before. */
static void test_moved_page(void)
{
    enum { RAM = 0x300000, VERSION = 0x50014, THERE = 0x55aa };
    static const uint8_t code[] = {
        0x8b, 0x1f,                   /* mov ebx, [rdi] */
        0x0f, 0x30,                   /* wrmsr */
        0x44, 0x8b, 0x07,             /* mov r8d, [rdi] */
        0x44, 0x8b, 0x0e,             /* mov r9d, [rsi] */
        0xb8, 0,    0x09, 0xe0, 0xfe, /* mov eax, fee00900 */
        0x0f, 0x30,                   /* wrmsr */
        0x44, 0x8b, 0x17,             /* mov r10d, [rdi] */
        0x44, 0x8b, 0x1e,             /* mov r11d, [rsi] */
    };
    X86Rig rig;

    if (!x86_rig_open(&rig, "max", interp)) {
        exit(77);
    }
    x86_rig_long_mode(&rig);
    x86_rig_catch(&rig, CATCHER);
    add_apic(&rig);
    store_le32(rig.ram + RAM + 0x30, THERE);
    rig.cpu->gpr[X86_RCX] = X86_REGISTER_APIC_BASE;
    rig.cpu->gpr[X86_RAX] = RAM | 0x900;
    rig.cpu->gpr[X86_RDX] = 0;
    rig.cpu->gpr[X86_RDI] = RAM + 0x30;
    rig.cpu->gpr[X86_RSI] = APIC + 0x30;
    x86_rig_put_code(&rig, CODE, code, sizeof code);
    x86_rig_run(&rig, CODE);
    g_assert_cmpuint(rig.end_value, ==, X86_RIG_DONE);
    g_assert_cmphex(rig.cpu->gpr[X86_RBX], ==, THERE);
    g_assert_cmphex(rig.cpu->gpr[8], ==, VERSION);
    g_assert_cmphex(rig.cpu->gpr[9], ==, 0xffffffff);
    g_assert_cmphex(rig.cpu->gpr[10], ==, THERE);
    g_assert_cmphex(rig.cpu->gpr[11], ==, VERSION);
    x86_rig_close(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    g_test_add_func("/interrupts-x86/nmis", test_nmis);
    g_test_add_func("/interrupts-x86/nmis-held-back", test_nmis_held_back);
    g_test_add_func("/interrupts-x86/at-once", test_at_once);
    g_test_add_func("/interrupts-x86/moved-page", test_moved_page);
    return g_test_run();
}
