/* SPDX-License-Identifier: MIT */
/*
 * The x87 where snippets of random instructions cannot look: that stores do not read devices, code that FSTP writes, whose selectors
 * the pointers have, masks that change between instructions, MMX.
 * usage: test-x87 [-i]     (-i: on the interpreter)
 */
#include "target/i386/control.h"
#include "target/i386/x87.h"
#include "tests/isa/rig-x86.h"

enum { CODE = 0x10000, DATA = 0x20000, GDT = 0x30000, STACK = 0x40000, DEVICE = 0x8000000 };
enum { END = X86_RIG_END_PORT };

static bool interp;

/* What a test runs, from CODE on; it ends with a write to the port. rbx is DATA. */
#define PROGRAM(name, text)                                                                        \
    extern const uint8_t name[], name##_end[];                                                     \
    __asm__(".pushsection .rodata\n" #name ":\n" text                                              \
            "\nmovw $0x5f4, %dx\noutl %eax, %dx\n1: jmp 1b\n" #name "_end:\n.popsection")

static void open_rig(X86Rig *rig, const char *cpu)
{
    g_assert_true(x86_rig_open(rig, cpu, interp));
    x86_rig_long_mode(rig);
    rig->cpu->gpr[X86_RBX] = DATA;
    rig->cpu->gpr[X86_RSP] = STACK;
}

static void run(X86Rig *rig, const uint8_t *code, const uint8_t *end)
{
    memcpy(rig->ram + CODE, code, (size_t)(end - code));
    x86_rig_run(rig, CODE);
}

static double top_of_stack(const X86Cpu *cpu)
{
    const X87Register *r = &cpu->x87.st[cpu->x87.top];
    long double value = 0;

    memcpy(&value, &r->significand, 8);
    memcpy((uint8_t *)&value + 8, &r->sign_exponent, 2);
    return (double)value;
}

PROGRAM(values,
        "fninit; fld1; fldpi; fldl2e; fdivr %st(1), %st; fxch %st(1); fcos; fsub %st(1), %st");

static void test_values(void)
{
    X86Rig rig;

    open_rig(&rig, "max");
    run(&rig, values, values_end);
    g_assert_cmpuint(rig.cpu->x87.top, ==, 5);
    g_assert_cmphex(rig.cpu->x87.valid, ==, 0xe0);
    g_assert_false(rig.cpu->tcg.x87_lent);
    g_assert_cmpfloat_with_epsilon(top_of_stack(rig.cpu), -1 - 3.14159265358979 / 1.44269504088896,
                                   1e-12);
    g_assert_cmphex(rig.cpu->x87.opcode, ==, 0x0e1);
    x86_rig_close(&rig);
}

static unsigned device_reads, device_writes;
static uint64_t device_value;

static MemoryResult device_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                MemoryAttributes attributes)
{
    device_reads++;
    *value = 0;
    return MEMORY_OK;
}

static MemoryResult device_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                 MemoryAttributes attributes)
{
    device_writes++;
    device_value = value;
    return MEMORY_OK;
}

static void add_device(X86Rig *rig, MemoryRegion *device)
{
    static const MemoryOps ops = { .read = device_read, .write = device_write };

    memory_region_init_io(device, rig->machine, "device", 0x1000, &ops, NULL);
    memory_region_add(rig->machine->system_memory, DEVICE, device, 0);
    device_reads = device_writes = 0;
}

PROGRAM(store_to_device, "fninit; fld1; movl $0x8000000, %ecx; fstl (%rcx); fstps (%rcx)");

static void test_stores_do_not_read(void)
{
    MemoryRegion device;
    X86Rig rig;

    open_rig(&rig, "max");
    add_device(&rig, &device);
    run(&rig, store_to_device, store_to_device_end);
    g_assert_cmpuint(device_reads, ==, 0);
    g_assert_cmpuint(device_writes, ==, 2);
    g_assert_cmphex(device_value, ==, 0x3f800000);
    g_assert_cmphex(rig.cpu->x87.valid, ==, 0);
    x86_rig_close(&rig);
}

/* Of SSE, where exceptions are not masked, so that a store's faults are found before they are noted. */
PROGRAM(convert_to_device, "movl $0x1f00, -8(%rsp); ldmxcsr -8(%rsp); movl $0x8000000, %ecx\n"
                           "vcvtps2ph $0, %xmm0, (%rcx)");

static void test_conversions_do_not_read(void)
{
    MemoryRegion device;
    X86Rig rig;

    open_rig(&rig, "max");
    add_device(&rig, &device);
    run(&rig, convert_to_device, convert_to_device_end);
    g_assert_cmpuint(device_reads, ==, 0);
    g_assert_cmpuint(device_writes, ==, 1);
    x86_rig_close(&rig);
}

/* FSTP and what it writes are in one unit: MOV EAX, 1 becomes MOV EAX, 2 before it is executed. */
PROGRAM(store_to_code, "fninit; flds 3f(%rip); fstps 2f+1(%rip)\n2: movl $1, %eax\n"
                       "jmp 4f\n3: .long 2\n4:");

static void test_stores_to_code(void)
{
    X86Rig rig;

    open_rig(&rig, "max");
    run(&rig, store_to_code, store_to_code_end);
    g_assert_cmpuint(rig.end_value, ==, 2);
    g_assert_cmphex(rig.cpu->x87.valid, ==, 0);
    x86_rig_close(&rig);
}

/* The selector that FS had, not the one that it has when the pointers are saved. */
PROGRAM(selectors, "fninit; movw $8, %ax; movw %ax, %fs; fldl %fs:0x20; movw $16, %ax\n"
                   "movw %ax, %fs; fnsave (%rbx)");

static void test_selectors(void)
{
    /* Data from 0x20000 and from 0x50000 on, 1 MiB. */
    static const uint64_t descriptors[] = { 0, 0x00cf92020000ffff, 0x00cf92050000ffff };
    X86Rig rig;

    open_rig(&rig, "EPYC");
    memcpy(rig.ram + GDT, descriptors, sizeof descriptors);
    rig.cpu->gdtr = (X86TableRegister){ GDT, sizeof descriptors - 1 };
    run(&rig, selectors, selectors_end);
    g_assert_cmphex(load_le32(rig.ram + DATA + 20), ==, 0x20);
    g_assert_cmphex(load_le16(rig.ram + DATA + 24), ==, 8);
    g_assert_cmphex(load_le32(rig.ram + DATA + 16) >> 16, ==, 0x504); /* FLDL's opcode */
    x86_rig_close(&rig);
}

/* The base that FS had. */
PROGRAM(
    bases,
    "fninit; movl $0xc0000100, %ecx; movl $0x20000, %eax; xorl %edx, %edx; wrmsr; fldl %fs:0x40\n"
    "movl $0x50000, %eax; wrmsr; fnsave (%rbx)");

static void test_bases(void)
{
    X86Rig rig;

    open_rig(&rig, "max");
    run(&rig, bases, bases_end);
    g_assert_cmphex(load_le32(rig.ram + DATA + 20), ==, 0x40);
    x86_rig_close(&rig);
}

/* A loop in which FLDCW lets a division by zero raise, and not. EAX: how often it was pending. */
PROGRAM(masks,
        "fninit; movl $100, %ecx; xorl %eax, %eax; movw $0x37b, (%rbx); movw $0x37f, 2(%rbx)\n"
        "2: fldz; fld1; fldcw (%rbx); fdivp; fnstsw 4(%rbx); fnclex; fldcw 2(%rbx); fstp %st(0)\n"
        "fstp %st(0); fldz; fld1; fdivp; fnstsw 6(%rbx); fstp %st(0); fnclex\n"
        "movzwl 4(%rbx), %esi; shrl $7, %esi; andl $1, %esi; addl %esi, %eax\n"
        "movzwl 6(%rbx), %esi; shrl $7, %esi; andl $1, %esi; addl %esi, %eax\n"
        "decl %ecx; jnz 2b");

static void test_masks(void)
{
    X86Rig rig;

    open_rig(&rig, "max");
    run(&rig, masks, masks_end);
    g_assert_cmpuint(rig.end_value, ==, 100);
    g_assert_cmphex(rig.cpu->x87.valid, ==, 0);
    x86_rig_close(&rig);
}

/* MMX, EMMS, FXSAVE and FXRSTOR amid x87 instructions. */
PROGRAM(mixed, "fninit; fld1; fldpi; fxsave 512(%rbx); movq 544(%rbx), %mm0; paddd %mm0, %mm0; "
               "movq %mm0, (%rbx)\n"
               "fnstsw 8(%rbx); emms; fldl2e; fstpl 16(%rbx); fxrstor 512(%rbx); fstpl 24(%rbx); "
               "fstps 32(%rbx)");

static void test_mixed(void)
{
    X86Rig rig;
    double value;

    open_rig(&rig, "max");
    run(&rig, mixed, mixed_end);
    /* The significand of pi, doubled by halves; TOP is 0 with MMX. */
    g_assert_cmphex(load_le64(rig.ram + DATA), ==, 0x921fb54442d1846a);
    g_assert_cmphex(load_le16(rig.ram + DATA + 8) & 0x3800, ==, 0);
    memcpy(&value, rig.ram + DATA + 16, 8);
    g_assert_cmpfloat_with_epsilon(value, 1.44269504088896, 1e-12);
    memcpy(&value, rig.ram + DATA + 24, 8);
    g_assert_cmpfloat_with_epsilon(value, 3.14159265358979, 1e-12);
    g_assert_cmphex(load_le32(rig.ram + DATA + 32), ==, 0x3f800000);
    g_assert_cmphex(rig.cpu->x87.valid, ==, 0);
    x86_rig_close(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    g_test_add_func("/x87/values", test_values);
    g_test_add_func("/x87/stores-do-not-read", test_stores_do_not_read);
    g_test_add_func("/x87/conversions-do-not-read", test_conversions_do_not_read);
    g_test_add_func("/x87/stores-to-code", test_stores_to_code);
    g_test_add_func("/x87/selectors", test_selectors);
    g_test_add_func("/x87/bases", test_bases);
    g_test_add_func("/x87/masks", test_masks);
    g_test_add_func("/x87/mixed", test_mixed);
    return g_test_run();
}
