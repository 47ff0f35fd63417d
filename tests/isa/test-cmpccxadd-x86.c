/* SPDX-License-Identifier: MIT */
/*
 * CMPccXADD, with the SUB and the SETcc of the same condition as the judges of flags and conditions.
 * usage: test-cmpccxadd-x86 [-i]     (-i: on the interpreter)
 */
#include "base/bits.h"
#include "target/i386/control.h"
#include "tests/isa/rig-x86.h"

enum { CODE = 0x1000, CATCHER = 0x2000, STACK = 0x8000, PLACE = 0x100000, ROUNDS = 300 };
/* All that a comparison sets. */
enum { STATUS = 0x8d5 };

static bool interp;

static void prepare(X86Rig *rig)
{
    if (!x86_rig_open(rig, "SierraForest", interp)) {
        exit(77);
    }
    x86_rig_long_mode(rig);
    x86_rig_catch(rig, CATCHER);
    rig->cpu->gpr[X86_RSP] = STACK;
}

static uint64_t random_value(GRand *rand)
{
    static const uint64_t special[] = { 0,          1,         0x7fffffff, 0x80000000,
                                        0xffffffff, INT64_MAX, UINT64_MAX, (uint64_t)INT64_MIN };

    return g_rand_boolean(rand) ? special[g_rand_int_range(rand, 0, G_N_ELEMENTS(special))]
                                : (uint64_t)g_rand_int(rand) << 32 | g_rand_int(rand);
}

static void check(X86Rig *rig, GRand *rand, unsigned condition, bool wide)
{
    const uint8_t w = wide ? 0x80 : 0, rex = wide ? 0x48 : 0x40, cc = (uint8_t)condition;
    const uint8_t code[] = {
        rex,  0x89,      0xd6,                            /* mov esi, edx */
        0x48, 0x89,      0xc7,                            /* mov rdi, rax */
        rex,  0x29,      0xf7,                            /* sub edi, esi */
        0x0f, 0x90 | cc, 0xc1,                            /* setcc cl */
        0x9c, 0x41,      0x58,                            /* pushf; pop r8 */
        0x48, 0x39,      0xe4,                            /* cmp rsp, rsp */
        0xc4, 0xe2,      0x61 | w, 0xe0 | cc, 0x55, 0x00, /* cmpccxadd [rbp], edx, ebx */
        0x9c, 0x41,      0x59,                            /* pushf; pop r9 */
        0x49, 0x89,      0xd2,                            /* mov r10, rdx */
    };
    uint64_t mask = wide ? UINT64_MAX : UINT32_MAX;
    uint64_t old = random_value(rand),
             compared = g_rand_int_range(rand, 0, 4) ? random_value(rand) : old;
    uint64_t added = random_value(rand), place = random_value(rand);
    X86Cpu *cpu = rig->cpu;
    bool holds;

    place = (place & ~mask) | (old & mask);
    store_le64(rig->ram + PLACE, place);
    cpu->gpr[X86_RAX] = old;
    cpu->gpr[X86_RDX] = compared;
    cpu->gpr[X86_RBX] = added;
    cpu->gpr[X86_RCX] = 0;
    cpu->gpr[X86_RBP] = PLACE;
    cpu->gpr[X86_RSP] = STACK;
    x86_rig_put_code(rig, CODE, code, sizeof code);
    memory_ram_written(rig->machine, CODE, sizeof code);
    x86_rig_run(rig, CODE);
    g_assert_cmphex(rig->end_value, ==, X86_RIG_DONE);
    holds = cpu->gpr[X86_RCX];
    g_assert_cmphex(load_le64(rig->ram + PLACE), ==,
                    holds ? (place & ~mask) | ((old + added) & mask) : place);
    g_assert_cmphex(cpu->gpr[9] & STATUS, ==, cpu->gpr[8] & STATUS);
    g_assert_cmphex(cpu->gpr[10], ==, old & mask);
}

static void test_conditions(void)
{
    GRand *rand = g_rand_new_with_seed(1);
    X86Rig rig;

    prepare(&rig);
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (unsigned condition = 0; condition < 16; condition++) {
            check(&rig, rand, condition, i & 1);
        }
    }
    g_rand_free(rand);
    x86_rig_close(&rig);
}

/* Memory must be aligned, and a register is no memory. */
static void test_faults(void)
{
    static const struct {
        uint8_t code[6];
        uint64_t place;
        unsigned vector;
    } cases[] = {
        { { 0xc4, 0xe2, 0x61, 0xe4, 0x55, 0 }, PLACE + 4, X86_RIG_DONE },
        { { 0xc4, 0xe2, 0x61, 0xe4, 0x55, 0 }, PLACE + 2, X86_GP },
        { { 0xc4, 0xe2, 0xe1, 0xe4, 0x55, 0 }, PLACE + 4, X86_GP },
        { { 0xc4, 0xe2, 0x61, 0xe4, 0xd5, 0x90 }, PLACE, X86_UD },
        { { 0xc4, 0xe2, 0x65, 0xe4, 0x55, 0 }, PLACE, X86_UD },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        X86Rig rig;

        prepare(&rig);
        rig.cpu->gpr[X86_RBP] = cases[i].place;
        x86_rig_put_code(&rig, CODE, cases[i].code, 6);
        x86_rig_run(&rig, CODE);
        g_assert_cmphex(rig.end_value, ==, cases[i].vector);
        x86_rig_close(&rig);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    g_test_add_func("/cmpccxadd-x86/conditions", test_conditions);
    g_test_add_func("/cmpccxadd-x86/faults", test_faults);
    return g_test_run();
}
