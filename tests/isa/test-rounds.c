/* SPDX-License-Identifier: MIT */
/* A short loop is several rounds in one unit (ir_goes_round): it ends and faults in any of them, and goes over page borders. */
#include "accel/tcg/ir/build.h"
#include "accel/tcg/run/run.h"
#include "base/bits.h"
#include "tests/isa/rig.h"

enum { DATA = 0x100000, MOST = 21, ROUND_INSNS = 4 };

/* x4 += the x2 doublewords from x0 on. */
static const uint32_t sum_words[] = {
    0xf8408403, /* ldr x3, [x0], #8 */
    0x8b030084, /* add x4, x4, x3 */
    0xf1000442, /* subs x2, x2, #0x1 */
    0x54ffffa1, /* b.ne 0 <> */
    0xd4200000, /* brk #0x0 */
};

static uint64_t word(unsigned i)
{
    return UINT64_C(0x0123456789abcdef) * (i + 1);
}

/*
 * Sums `count` words, of which `before` lie before `end`, an offset in RAM. Loads beyond RAM are skipped: they change neither
 * x3 nor x0.
 */
static void check(gconstpointer interp, uint64_t end, unsigned before, unsigned count)
{
    unsigned good = end == RIG_RAM_BYTES ? MIN(before, count) : count;
    uint64_t start = end - 8 * before, sum = 0;
    IsaRig rig;

    if (!isa_rig_open(&rig, "max", 1, GPOINTER_TO_INT(interp))) {
        return;
    }
    memcpy(rig.ram, sum_words, sizeof sum_words);
    for (unsigned i = 0; i < good; i++) {
        store_le64(rig.ram + start + 8 * i, word(i));
    }
    for (unsigned i = 0; i < count; i++) {
        sum += good ? word(MIN(i, good - 1)) : 0;
    }
    rig.cpu->x[0] = RIG_RAM + start;
    rig.cpu->x[2] = count;
    isa_rig_run(&rig, RIG_RAM);
    g_assert_cmphex(rig.cpu->x[0], ==, RIG_RAM + start + 8 * good);
    g_assert_cmphex(rig.cpu->x[2], ==, 0);
    g_assert_cmphex(rig.cpu->x[4], ==, sum);
    g_assert_cmpuint(((TcgVcpu *)rig.cpu->vcpu.accel)->run->translated_insns, >=,
                     ROUND_INSNS * (1 + IR_MAX_ROUNDS));
    isa_rig_close(&rig);
}

static void test_ends(gconstpointer interp)
{
    for (unsigned count = 1; count < MOST; count++) {
        check(interp, DATA, MOST, count);
    }
}

static void test_pages(gconstpointer interp)
{
    for (unsigned before = 0; before < MOST; before++) {
        check(interp, DATA, before, MOST);
    }
}

static void test_faults(gconstpointer interp)
{
    for (unsigned before = 0; before < MOST; before++) {
        check(interp, RIG_RAM_BYTES, before, MOST);
    }
}

int main(int argc, char **argv)
{
    static const char *const names[] = { "host", "interpreter" };

    g_test_init(&argc, &argv, NULL);
    for (int interp = 0; interp < 2; interp++) {
        static const struct {
            const char *name;
            GTestDataFunc test;
        } tests[] = { { "ends", test_ends }, { "pages", test_pages }, { "faults", test_faults } };

        for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
            g_autofree char *path = g_strdup_printf("/rounds/%s/%s", names[interp], tests[i].name);

            g_test_add_data_func(path, GINT_TO_POINTER(interp), tests[i].test);
        }
    }
    return g_test_run();
}
