/* SPDX-License-Identifier: MIT */
/*
 * Watched pages under the translator and the interpreter: code that stores change (by itself, by another vCPU, by
 * DMA), stores beside code, and dirty pages. The target is Arm with coherent code, which Arm does not have.
 */
#include "accel/tcg/run/run.h"
#include "base/bits.h"
#include "tests/isa/rig.h"

enum { DATA = 0x10000, ROUNDS = 1000 };

/* Patches an instruction that follows in the same unit, each time around. */
static const uint32_t patch_itself[] = {
    0xd2800009, /* mov x9, #0x0 */
    0xd2800003, /* mov x3, #0x0 */
    0xd2807d04, /* mov x4, #0x3e8 */
    0x10000065, /* adr x5, 18 <0x18> */
    0xb94000a6, /* ldr w6, [x5] */
    0xb90000a6, /* str w6, [x5] */
    0x91000529, /* add x9, x9, #0x1 */
    0x111000c6, /* add w6, w6, #0x400 */
    0x92400467, /* and x7, x3, #0x3 */
    0xb5000047, /* cbnz x7, 2c <0x2c> */
    0x180000a6, /* ldr w6, 3c <0x3c> */
    0x91000463, /* add x3, x3, #0x1 */
    0xeb04007f, /* cmp x3, x4 */
    0x54ffff01, /* b.ne 14 <0x14> */
    0xd4200000, /* brk #0x0 */
    0x91000529, /* add x9, x9, #0x1 */
};

/* An instruction that stores to itself, to which an indirect jump leads. */
static const uint32_t patch_jumped_to[] = {
    0xd2807d04, /* mov x4, #0x3e8 */
    0x10000065, /* adr x5, 10 <0x10> */
    0xb94000a6, /* ldr w6, [x5] */
    0xd503201f, /* nop */
    0xb90000a6, /* str w6, [x5] */
    0xd1000484, /* sub x4, x4, #0x1 */
    0xb4000044, /* cbz x4, 20 <0x20> */
    0xd61f00a0, /* br x5 */
    0xd4200000, /* brk #0x0 */
};

/* x2 doublewords from x0 on become x1. */
static const uint32_t store_words[] = {
    0xf9000001, /* str x1, [x0] */
    0x91002000, /* add x0, x0, #0x8 */
    0xf1000442, /* subs x2, x2, #0x1 */
    0x54ffffa1, /* b.ne 0 <> */
    0xd4200000, /* brk #0x0 */
};

/* CPU 1 patches a function that CPU 0 calls until it returns 7; x6: what it returned last. */
static const uint32_t patch_other[] = {
    0xaa0003e1, /* mov x1, x0: 0, or what CPU_ON says */
    0x92401c21, /* and x1, x1, #0xff */
    0xb50002a1, /* cbnz x1, 5c <0x5c> */
    0xd2b88000, /* mov x0, #0xc4000000 */
    0xf2800060, /* movk x0, #0x3 */
    0xd2800021, /* mov x1, #0x1 */
    0x10000002, /* adr x2, 18 <0x18> */
    0xd1006042, /* sub x2, x2, #0x18 */
    0xd2800023, /* mov x3, #1 */
    0xd4000002, /* hvc #0x0 */
    0xd2a80005, /* mov x5, #0x40000000 */
    0xd10004a5, /* sub x5, x5, #0x1 */
    0xb4000085, /* cbz x5, 40 <0x40> */
    0x94000008, /* bl 54 <0x54> */
    0xf1001c1f, /* cmp x0, #0x7 */
    0x54ffff81, /* b.ne 2c <0x2c> */
    0xaa0003e6, /* mov x6, x0 */
    0xd2b08000, /* mov x0, #0x84000000 */
    0xf2800100, /* movk x0, #0x8 */
    0xd4000002, /* hvc #0x0 */
    0x14000000, /* b 50 <0x50> */
    0xd2800020, /* mov x0, #0x1 */
    0xd65f03c0, /* ret */
    0x180000a2, /* ldr w2, 70 <0x70> */
    0x10ffffa3, /* adr x3, 54 <0x54> */
    0xb9000062, /* str w2, [x3] */
    0xd503207f, /* wfi */
    0x17ffffff, /* b 68 <0x68> */
    0xd28000e0, /* mov x0, #0x7 */
};

typedef struct {
    IsaRig rig;
    TcgVcpu *tv;
    TcgTarget target;
} Fixture;

static bool open_rig(Fixture *f, unsigned vcpus, bool interp, bool coherent)
{
    TcgRun *run;

    if (!isa_rig_open(&f->rig, "max", vcpus, interp)) {
        return false;
    }
    f->tv = f->rig.cpu->vcpu.accel;
    run = f->tv->run;
    f->target = *run->target;
    f->target.coherent_code = coherent;
    run->target = &f->target;
    for (unsigned i = 0; i < run->vcpus->len; i++) {
        ((TcgVcpu *)g_ptr_array_index(run->vcpus, i))->target = &f->target;
    }
    watch_init(run);
    return true;
}

static void test_itself(gconstpointer interp)
{
    uint64_t expected = 0, step = 1;
    Fixture f;

    if (!open_rig(&f, 1, GPOINTER_TO_INT(interp), true)) {
        return;
    }
    memcpy(f.rig.ram, patch_itself, sizeof patch_itself);
    isa_rig_run(&f.rig, RIG_RAM);
    for (unsigned i = 0; i < ROUNDS; i++) {
        expected += step;
        step = i % 4 ? step + 1 : 1;
    }
    g_assert_cmpuint(f.rig.cpu->x[9], ==, expected);
    g_assert_cmpuint(f.tv->run->replays, >, 0);
    isa_rig_close(&f.rig);
}

/* What is kept for indirect jumps does not lead back to the unit that cannot go on. */
static void test_jumped_to(gconstpointer interp)
{
    Fixture f;

    if (!open_rig(&f, 1, GPOINTER_TO_INT(interp), true)) {
        return;
    }
    memcpy(f.rig.ram, patch_jumped_to, sizeof patch_jumped_to);
    isa_rig_run(&f.rig, RIG_RAM);
    g_assert_cmpuint(f.rig.cpu->x[4], ==, 0);
    g_assert_cmpuint(f.tv->run->replays, >, 0);
    isa_rig_close(&f.rig);
}

static void test_beside(gconstpointer interp)
{
    Fixture f;

    if (!open_rig(&f, 1, GPOINTER_TO_INT(interp), true)) {
        return;
    }
    memcpy(f.rig.ram, store_words, sizeof store_words);
    f.rig.cpu->x[0] = RIG_RAM + 64;
    f.rig.cpu->x[1] = 0x1122334455667788;
    f.rig.cpu->x[2] = 1024;
    isa_rig_run(&f.rig, RIG_RAM);
    g_assert_cmphex(load_le64(f.rig.ram + 64), ==, 0x1122334455667788);
    g_assert_cmphex(load_le64(f.rig.ram + 64 + 1023 * 8), ==, 0x1122334455667788);
    g_assert_cmpuint(f.tv->run->code_stores, ==, 0);
    g_assert_cmpuint(f.tv->run->replays, ==, 0);
    isa_rig_close(&f.rig);
}

static void test_other_cpu(gconstpointer interp)
{
    Fixture f;

    if (!open_rig(&f, 2, GPOINTER_TO_INT(interp), true)) {
        return;
    }
    memcpy(f.rig.ram, patch_other, sizeof patch_other);
    isa_rig_run_bare(&f.rig);
    g_assert_cmpuint(f.rig.cpu->x[6], ==, 7);
    isa_rig_close(&f.rig);
}

static void test_dma(gconstpointer interp)
{
    uint64_t killed;
    TcgRun *run;
    Fixture f;

    if (!open_rig(&f, 1, GPOINTER_TO_INT(interp), true)) {
        return;
    }
    run = f.tv->run;
    memcpy(f.rig.ram, store_words, sizeof store_words);
    f.rig.cpu->x[0] = RIG_RAM + DATA;
    f.rig.cpu->x[2] = 2;
    isa_rig_run(&f.rig, RIG_RAM);
    killed = run->invalidated_units;
    /* Beside the code, then into both of its units, the loop and what follows it: once. */
    for (unsigned i = 0; i < 3; i++) {
        g_assert_true(memory_is_watched_code(f.rig.machine, f.rig.machine->ram.ram_offset) ==
                      (i < 2));
        g_assert_cmpint(address_space_write(&f.rig.machine->memory_space, RIG_RAM + (i ? 12 : 0x800),
                                            0x91004000, 8, MEMORY_ATTRIBUTES_DMA),
                        ==, MEMORY_OK);
        g_assert_true((run->invalidated_units > killed) == (i > 0));
    }
    g_assert_cmpuint(run->code_stores, ==, 1);
    isa_rig_close(&f.rig);
}

/* --- random programs of additions, and of stores that change their operands ---------------------- */

enum { SLOTS = 300, TIMES = 3, CODE = 0x2f00 }; /* across a page border or more */

typedef struct {
    bool patches;
    unsigned place, target, addend; /* of an addition, now or after the patch */
} Slot;

static unsigned make_program(Slot *slots, uint32_t *words, GRand *rand)
{
    unsigned n = 0;

    for (unsigned i = 0; i < SLOTS; i++) {
        slots[i] = (Slot){ .patches = g_rand_int_range(rand, 0, 3) == 0,
                           .place = n,
                           .addend = (unsigned)g_rand_int_range(rand, 0, 4096) };
        n += slots[i].patches ? 3 : 1;
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        uint32_t add = 0x91000129 | slots[i].addend << 10, *w = &words[slots[i].place];

        if (!slots[i].patches) {
            *w = add; /* add x9, x9, #addend */
            continue;
        }
        /* One that is near, often: within the running unit. */
        do {
            slots[i].target = g_rand_boolean(rand)
                                  ? (i + (unsigned)g_rand_int_range(rand, 0, 9)) % SLOTS
                                  : (unsigned)g_rand_int_range(rand, 0, SLOTS);
        } while (slots[slots[i].target].patches);
        w[0] = 0x52800006 | (add & 0xffff) << 5;                /* movz w6, #low */
        w[1] = 0x72a00006 | (add >> 16) << 5;                   /* movk w6, #high, lsl #16 */
        w[2] = 0xb90000a6 | slots[slots[i].target].place << 10; /* str w6, [x5, #place * 4] */
    }
    words[n] = 0xf1000463;                                       /* subs x3, x3, #1 */
    words[n + 1] = 0x54000001 | ((0u - (n + 1)) & 0x7ffff) << 5; /* b.ne to the first */
    words[n + 2] = 0xd4200000;                                   /* brk #0 */
    return n + 3;
}

static uint64_t expected_sum(Slot *slots)
{
    uint64_t sum = 0;

    for (unsigned time = 0; time < TIMES; time++) {
        for (unsigned i = 0; i < SLOTS; i++) {
            if (slots[i].patches) {
                slots[slots[i].target].addend = slots[i].addend;
            } else {
                sum += slots[i].addend;
            }
        }
    }
    return sum;
}

static void test_random(gconstpointer interp)
{
    GRand *rand = g_rand_new_with_seed(93);
    uint32_t words[3 * SLOTS + 3];
    Slot slots[SLOTS];
    Fixture f;

    for (unsigned i = 0; i < 20; i++) {
        unsigned count = make_program(slots, words, rand);

        if (!open_rig(&f, 1, GPOINTER_TO_INT(interp), true)) {
            break;
        }
        memcpy(f.rig.ram + CODE, words, count * sizeof words[0]);
        f.rig.cpu->x[3] = TIMES;
        f.rig.cpu->x[5] = RIG_RAM + CODE;
        isa_rig_run(&f.rig, RIG_RAM + CODE);
        g_assert_cmpuint(f.rig.cpu->x[9], ==, expected_sum(slots));
        isa_rig_close(&f.rig);
    }
    g_rand_free(rand);
}

static bool was_written(Fixture *f, uint64_t offset, uint64_t size)
{
    return memory_dirty_test_and_clear(f->rig.machine, DIRTY_DISPLAY,
                                       f->rig.machine->ram.ram_offset + offset, size);
}

static bool has_write_tag(Fixture *f, uint64_t guest_virt)
{
    return tlb_entry(f->tv->env->context, guest_virt)->write == (guest_virt & TCG_PAGE_MASK);
}

static void test_dirty(void)
{
    enum { PAGE = RIG_RAM + DATA + 0x1000 };
    Machine *machine;
    Fixture f;

    open_rig(&f, 1, true, false);
    machine = f.rig.machine;
    tcg_store(f.tv->env, PAGE, 1, 4, 0);
    g_assert_true(has_write_tag(&f, PAGE));
    memory_dirty_start(machine, DIRTY_DISPLAY, machine->ram.ram_offset + DATA, 0x4000);
    g_assert_false(was_written(&f, DATA, 0x4000));
    for (unsigned i = 0; i < 3; i++) {
        context_process_inbox(f.tv);
        tcg_load(f.tv->env, PAGE, 4, 0);
        g_assert_false(has_write_tag(&f, PAGE));
        tcg_store(f.tv->env, PAGE, 2, 4, 0);
        g_assert_true(has_write_tag(&f, PAGE));
        g_assert_false(was_written(&f, DATA, 0x1000));
        g_assert_true(was_written(&f, DATA + 0x1000, 0x1000));
        g_assert_false(was_written(&f, DATA + 0x2000, 0x2000));
        /* The vCPU is outside guest code: nothing can have been stored unseen. */
        g_assert_false(was_written(&f, DATA, 0x4000));
    }
    /* Else it is told once more, and until the vCPU knows. */
    tcg_store(f.tv->env, PAGE, 2, 4, 0);
    atomic_store(&f.tv->in_guest, true);
    g_assert_true(was_written(&f, DATA + 0x1000, 0x1000));
    g_assert_true(was_written(&f, DATA + 0x1000, 0x1000));
    context_process_inbox(f.tv);
    g_assert_true(was_written(&f, DATA + 0x1000, 0x1000));
    g_assert_false(was_written(&f, DATA, 0x4000));
    atomic_store(&f.tv->in_guest, false);
    memory_dirty_stop(machine, DIRTY_DISPLAY, machine->ram.ram_offset + DATA, 0x4000);
    tcg_store(f.tv->env, PAGE, 2, 4, 0);
    g_assert_false(was_written(&f, DATA, 0x4000));
    isa_rig_close(&f.rig);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(gconstpointer interp);
    } tests[] = {
        { "itself", test_itself }, { "jumped-to", test_jumped_to },
        { "beside", test_beside }, { "other-cpu", test_other_cpu },
        { "dma", test_dma },       { "random", test_random },
    };

    g_test_init(&argc, &argv, NULL);
    for (int interp = 0; interp < 2; interp++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
            g_autofree char *path =
                g_strdup_printf("/watch/%s/%s", interp ? "interpreter" : "host", tests[i].name);

            g_test_add_data_func(path, GINT_TO_POINTER(interp), tests[i].test);
        }
    }
    g_test_add_func("/watch/dirty", test_dirty);
    return g_test_run();
}
