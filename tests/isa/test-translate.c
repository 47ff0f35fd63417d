/* SPDX-License-Identifier: MIT */
/*
 * Whatever a page holds, and in every mode, its translation is a valid unit: random words, and words
 * made from the decoder's patterns.
 */
#include <glib.h>

#include "base/bits.h"
#include "target/arm/translate.h"
#include "tests/isa/rig.h"

enum { PAGES = 3000, WORDS = TCG_PAGE_SIZE / 4 };

static uint32_t random_word(GRand *rand, unsigned pattern_count)
{
    uint32_t word = g_rand_int(rand);

    if (g_rand_int_range(rand, 0, 4)) {
        const A64Pattern *p = &a64_patterns[g_rand_int_range(rand, 0, (gint32)pattern_count)];

        word = (word & ~p->mask) | p->value;
    }
    return word;
}

static void check_page(ArmCpu *cpu, IrUnit *unit, TcgCode *code, uint64_t mode, GRand *rand)
{
    const TcgTarget *tcg = arm_target.tcg;
    uint16_t start = (uint16_t)(g_rand_int_range(rand, 0, WORDS) * 4);

    while (start < TCG_PAGE_SIZE) {
        g_autoptr(GError) error = NULL;

        ir_unit_init(unit, tcg->vars, tcg->var_count);
        unit->mode = mode;
        unit->start = start;
        tcg->translate(unit, &cpu->tcg, code, start, mode, 64);
        if (!unit->full && !ir_verify(unit, &error)) {
            g_autofree char *text = ir_print(unit);

            g_error("mode %" PRIx64 ": %s\n%s", mode, error->message, text);
        }
        g_assert_cmpuint(unit->end, >, start);
        start = unit->end;
    }
}

int main(void)
{
    GRand *rand = g_rand_new_with_seed(20);
    IrUnit *unit = g_new0(IrUnit, 1);
    uint8_t page[TCG_PAGE_SIZE];
    unsigned patterns = 0;
    IsaRig rig;

    while (a64_patterns[patterns].name) {
        patterns++;
    }
    g_assert_true(isa_rig_open(&rig, "max", 1, true));
    for (unsigned i = 0; i < PAGES; i++) {
        uint32_t mode = g_rand_int(rand) & ((ARM_MODE_PAC_DATA_55 << 1) - 1);

        for (unsigned w = 0; w < WORDS; w++) {
            store_le32(page + 4 * w, random_word(rand, patterns));
        }
        check_page(rig.cpu, unit, &(TcgCode){ .page = page }, mode, rand);
    }
    isa_rig_close(&rig);
    g_free(unit);
    g_rand_free(rand);
    return 0;
}
