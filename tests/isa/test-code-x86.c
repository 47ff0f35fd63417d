/* SPDX-License-Identifier: MIT */
/*
 * Code that changes while it runs (code-x86.S): by itself in all modes, by a device's DMA, by another processor; and units that die
 * between dispatch and entry.
 * usage: test-code-x86 [-i] PROGRAM     (-i: on the interpreter)
 */
#include <stdio.h>

#include "accel/tcg/run/run.h"
#include "base/bits.h"
#include "target/i386/control.h"
#include "tests/isa/rig-x86.h"

enum { PROGRAM = 0x8000, STACK = 0x7f00, DMA_PORT = 0x600 };
enum { TABLES = 0x3ff0000 }; /* the rig's */

/* The program's head: addresses. */
enum { REAL, PROTECTED, LONG, OTHER, WAIT_FOR_OTHER, SPLIT, ENTRIES };

static bool interp;
static const uint8_t *program;
static size_t program_bytes;
static uint64_t dma_address;

static uint32_t entry(unsigned n)
{
    g_assert_cmpuint(n, <, ENTRIES);
    return load_le32(program + 4 * n);
}

/* 32 bits are an address, 8 bits what is stored there. */
static MemoryResult dma_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                              MemoryAttributes attributes)
{
    X86Rig *rig = opaque;

    if (size == 4) {
        dma_address = value;
        atomic_store(&rig->cpu->tcg.exit_request,
                     1); /* for who has entered code without a machine that runs */
        return MEMORY_OK;
    }
    return address_space_write(rig->cpu->vcpu.memory, dma_address, value, 1, attributes);
}

static void open_rig(X86Rig *rig, MemoryRegion *port, unsigned vcpus)
{
    static const MemoryOps ops = { .write = dma_write };

    g_assert_true(x86_rig_open_smp(rig, "max", interp, vcpus));
    memory_region_init_io(port, rig->machine, "dma", 4, &ops, rig);
    memory_region_add(rig->machine->system_io, DMA_PORT, port, 0);
    memcpy(rig->ram + PROGRAM, program, program_bytes);
    rig->cpu->gpr[X86_RSP] = STACK;
}

static void flat(X86Cpu *cpu)
{
    const uint32_t rights =
        X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED | X86_SEG_G | X86_SEG_B;

    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_MP;
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        x86_set_segment(cpu, (X86SegmentName)i, 16, 0, 0xffffffff, rights);
    }
    x86_set_segment(cpu, X86_CS, 8, 0, 0xffffffff, rights | X86_SEG_CODE);
}

static void check_mode(unsigned mode)
{
    MemoryRegion port;
    X86Rig rig;

    open_rig(&rig, &port, 1);
    if (mode == REAL) {
        x86_set_segment(rig.cpu, X86_CS, 0, 0, 0xffff,
                        X86_SEG_P | X86_SEG_S | X86_SEG_CODE | X86_SEG_WRITE | X86_SEG_ACCESSED);
    } else if (mode == PROTECTED) {
        flat(rig.cpu);
    } else {
        x86_rig_long_mode(&rig);
        /* All of it once more, from 1 GiB on. */
        store_le64(rig.ram + TABLES + 0x1008, 7 | 1 << 7);
    }
    x86_rig_run(&rig, entry(mode));
    g_assert_cmpuint(rig.end_value & 0xff, ==, 0);
    x86_rig_close(&rig);
}

static void test_real(void)
{
    check_mode(REAL);
}

static void test_protected(void)
{
    check_mode(PROTECTED);
}

static void test_long(void)
{
    check_mode(LONG);
}

static void test_other_processor(void)
{
    MemoryRegion port;
    X86Cpu *other;
    X86Rig rig;

    open_rig(&rig, &port, 2);
    x86_rig_long_mode(&rig);
    other = x86_cpu(rig.machine->vcpus->pdata[1]);
    x86_rig_long_mode_cpu(&rig, other);
    tcg_set_pc(&other->tcg, entry(OTHER));
    other->vcpu.halted = false;
    x86_rig_run(&rig, entry(WAIT_FOR_OTHER));
    g_assert_cmpuint(rig.end_value & 0xff, ==, 0);
    x86_rig_close(&rig);
}

/* Units that are left at a group again and again: each time for the code that is there then. */
static void test_split(void)
{
    enum { ROUNDS = 60, DIRECTORY = TABLES + 0x2000, PAGES = TABLES + 0x3000 };
    static const uint32_t shown[] = { 0x200000, 0x300000, 0x400000 };
    MemoryRegion port;
    X86Rig rig;

    open_rig(&rig, &port, 1);
    x86_rig_long_mode(&rig);
    store_le64(rig.ram + TABLES + 0x1008, DIRECTORY | 7);
    store_le64(rig.ram + DIRECTORY, PAGES | 7);
    for (unsigned i = 0; i < G_N_ELEMENTS(shown); i++) {
        store_le64(rig.ram + PAGES + 8 * i, shown[i] | 7);
    }
    x86_rig_run(&rig, entry(SPLIT));
    g_assert_cmpuint(rig.end_value & 0xff, ==, 0);
    if (!interp) {
        g_assert_cmpuint(rig.cpu->tcg.groups_left, >=, 3 * ROUNDS);
    }
    x86_rig_close(&rig);
}

/*
 * A unit of one instruction, for TF, that is killed when it has been found and before it is entered: the instruction is not
 * done, and so does not trap yet.
 */
static void test_refused(void)
{
    enum { CODE = 0x1000, IDT = 0x2000, GDT = 0x3000, HANDLER = 0x4000 };
    static const uint8_t two_nops[] = { 0x90, 0x90, 0xeb, 0xfe };
    /* mov eax, [rsp]; mov edx, DMA_PORT; out dx, eax; jmp . */
    static const uint8_t handler[] = { 0x8b, 0x04, 0x24, 0xba, 0x00, 0x06, 0, 0, 0xef, 0xeb, 0xfe };
    MemoryRegion port;
    TcgState *env;
    TcgVcpu *tv;
    X86Rig rig;
    void *code;

    if (interp) {
        g_test_skip("units are entered at once");
        return;
    }
    open_rig(&rig, &port, 1);
    x86_rig_long_mode(&rig);
    memcpy(rig.ram + CODE, two_nops, sizeof two_nops);
    memcpy(rig.ram + HANDLER, handler, sizeof handler);
    store_le64(rig.ram + GDT + 8, UINT64_C(0x00209b0000000000));
    store_le64(rig.ram + IDT + 16 * X86_DB, HANDLER | 8 << 16 | UINT64_C(0x8e00) << 32);
    rig.cpu->gdtr = (X86TableRegister){ GDT, 15 };
    rig.cpu->idtr = (X86TableRegister){ IDT, 16 * 32 - 1 };
    rig.cpu->eflags |= EFLAGS_TF;
    env = &rig.cpu->tcg;
    tv = tcg_vcpu(env);
    tcg_set_pc(env, CODE);
    x86_update_context(rig.cpu);
    env->exit_request = 0;
    machine_unlock(rig.machine);
    while ((code = dispatch_next(env)) == tv->run->thunks.exit) {
        env->exit_request = 0; /* the page is watched now */
    }
    cache_invalidate_range(tv->run, rig.ram + CODE, sizeof two_nops);
    tv->run->thunks.enter(env, code);
    machine_lock(rig.machine);
    g_assert_cmphex(dma_address, ==, CODE + 1);
    x86_rig_close(&rig);
}

int main(int argc, char **argv)
{
    GError *error = NULL;
    char *contents;

    g_test_init(&argc, &argv, NULL);
    interp = argc > 2 && strcmp(argv[1], "-i") == 0;
    g_assert_cmpint(argc, >, 1 + interp);
    g_file_get_contents(argv[1 + interp], &contents, &program_bytes, &error);
    g_assert_no_error(error);
    program = (const uint8_t *)contents;
    g_test_add_func("/code-x86/real", test_real);
    g_test_add_func("/code-x86/protected", test_protected);
    g_test_add_func("/code-x86/long", test_long);
    g_test_add_func("/code-x86/other-processor", test_other_processor);
    g_test_add_func("/code-x86/split", test_split);
    g_test_add_func("/code-x86/refused", test_refused);
    return g_test_run();
}
