/* SPDX-License-Identifier: MIT */
/*
 * Optimisation passes, each for itself and all together: text IR in, text IR out. Both sides are compared
 * without nops, renumbered.
 */
#include <glib.h>

#include "accel/tcg/ir/ir.h"
#include "accel/tcg/opt/opt.h"
#include "accel/tcg/opt/passes.h"

static const IrVar vars[] = {
    { "x0", IR_I64, 0 }, { "x1", IR_I64, 8 }, { "v0", IR_V128, 16 }, { "nzcv", IR_FLAGS, 32 }
};

static const struct {
    const char *name, *in, *out;
} cases[] = {
    { "get after set",
      "%1 = get.i64 @x0\n%2 = not.i64 %1\nset.i64 @x1 %2\n%3 = get.i64 @x1\n%4 = neg.i64 %3\n"
      "set.i64 @x0 %4\ngoto imm=4\n",
      "%1 = get.i64 @x0\n%2 = not.i64 %1\nset.i64 @x1 %2\n%4 = neg.i64 %2\nset.i64 @x0 %4\ngoto "
      "imm=4\n" },
    { "set of the same value", "%1 = get.i64 @x0\nset.i64 @x0 %1\ngoto imm=4\n", "goto imm=4\n" },
    { "set of the same constant",
      "%1 = vconst.v128 imm=0\nset.v128 @v0 %1\n%3 = get.i64 @x0\n%4 = ld.i64 %3 esz=3\n"
      "%5 = vconst.v128 imm=0\nset.v128 @v0 %5\nset.i64 @x1 %4\ngoto imm=4\n",
      "%1 = vconst.v128 imm=0\nset.v128 @v0 %1\n%3 = get.i64 @x0\n%4 = ld.i64 %3 esz=3\n"
      "set.i64 @x1 %4\ngoto imm=4\n" },
    { "dead set",
      "%1 = get.i64 @x0\n%2 = subf.i64 %1 %1 esz=3\nset.flags @nzcv %2\n%3 = addf.i64 %1 %1 esz=3\n"
      "set.flags @nzcv %3\ngoto imm=4\n",
      "%1 = get.i64 @x0\n%3 = addf.i64 %1 %1 esz=3\nset.flags @nzcv %3\ngoto imm=4\n" },
    { "a fault sees a set",
      "%1 = get.i64 @x0\nset.i64 @x1 %1\n%2 = ld.i64 %1 esz=3\nset.i64 @x1 %2\ngoto imm=4\n",
      "%1 = get.i64 @x0\nset.i64 @x1 %1\n%2 = ld.i64 %1 esz=3\nset.i64 @x1 %2\ngoto imm=4\n" },
    { "constants",
      "%1 = const.i64 imm=6\n%2 = const.i64 imm=7\n%3 = mul.i64 %1 %2\n%4 = get.i64 @x0\n"
      "%5 = const.i64 imm=0\n%6 = or.i64 %4 %5\n%7 = add.i64 %6 %3\nset.i64 @x1 %7\ngoto imm=4\n",
      "%3 = const.i64 imm=42\n%4 = get.i64 @x0\n%7 = add.i64 %4 %3\nset.i64 @x1 %7\ngoto imm=4\n" },
    { "addresses",
      "%1 = get.i64 @x0\n%2 = const.i64 imm=16\n%3 = sub.i64 %1 %2\n%4 = ld.i64 %3 esz=3 imm=8\n"
      "set.i64 @x1 %4\ngoto imm=4\n",
      "%1 = get.i64 @x0\n%4 = ld.i64 %1 esz=3 imm=-8\nset.i64 @x1 %4\ngoto imm=4\n" },
    /* Two pushes: the back end looks the page up once, since both have one base. */
    { "a stack is one family of addresses",
      "%1 = get.i64 @x0\n%2 = const.i64 imm=8\n%3 = sub.i64 %1 %2\nst.i64 %3 %1 esz=3 sub=1152\n"
      "set.i64 @x0 %3\n%6 = get.i64 @x0\n%7 = sub.i64 %6 %2\nst.i64 %7 %1 esz=3 sub=1152\n"
      "set.i64 @x0 %7\ngoto imm=4\n",
      "%1 = get.i64 @x0\n%2 = const.i64 imm=8\n%3 = sub.i64 %1 %2\nst.i64 %1 %1 esz=3 sub=1152 "
      "imm=-8\n"
      "set.i64 @x0 %3\n%7 = sub.i64 %3 %2\nst.i64 %1 %1 esz=3 sub=1152 imm=-16\nset.i64 @x0 %7\n"
      "goto imm=4\n" },
    /* The same in 32 bits, for accesses that wrap around there, which the last one does not. */
    { "a stack of 32 bits is one family of addresses",
      "%1 = get.i64 @x0\n%2 = trunc.i32 %1\n%3 = const.i32 imm=4\n%4 = sub.i32 %2 %3\n%5 = "
      "zext.i64 %4 esz=2\n"
      "st.i64 %1 %1 esz=2 sub=1152 imm=-4\nset.i64 @x0 %5\n%8 = trunc.i32 %5\n%9 = sub.i32 %8 %3\n"
      "%10 = zext.i64 %9 esz=2\nst.i64 %5 %1 esz=2 sub=1152 imm=-4\n%12 = ld.i64 %10 esz=2 sub=128 "
      "imm=8\n"
      "%13 = ld.i64 %10 esz=2\nset.i64 @x0 %12\nset.i64 @x1 %13\ngoto imm=4\n",
      "%1 = get.i64 @x0\n%2 = trunc.i32 %1\n%3 = const.i32 imm=4\n%4 = sub.i32 %2 %3\n%5 = "
      "zext.i64 %4 esz=2\n"
      "st.i64 %1 %1 esz=2 sub=1152 imm=-4\nset.i64 @x0 %5\n%9 = sub.i32 %4 %3\n%10 = zext.i64 %9 "
      "esz=2\n"
      "st.i64 %1 %1 esz=2 sub=1152 imm=-8\n%12 = ld.i64 %1 esz=2 sub=128\n%13 = ld.i64 %10 esz=2\n"
      "set.i64 @x0 %12\nset.i64 @x1 %13\ngoto imm=4\n" },
    { "extensions of what is extended",
      "%1 = get.i64 @x0\n%2 = ld.i64 %1 esz=0\n%3 = zext.i64 %2 esz=1\n%4 = zext.i64 %1 esz=2\n"
      "%5 = trunc.i32 %4\n%6 = sext.i64 %5 esz=2\n%7 = add.i64 %3 %6\nset.i64 @x1 %7\ngoto imm=4\n",
      "%1 = get.i64 @x0\n%2 = ld.i64 %1 esz=0\n%5 = trunc.i32 %1\n%6 = sext.i64 %5 esz=2\n"
      "%7 = add.i64 %2 %6\nset.i64 @x1 %7\ngoto imm=4\n" },
    { "what merges is not narrow",
      "%1 = get.i64 @x0\n%2 = const.i64 imm=255\n%3 = and.i64 %1 %2 sub=4\n%4 = zext.i64 %3 esz=1\n"
      "set.i64 @x1 %4\ngoto imm=4\n",
      "%1 = get.i64 @x0\n%2 = const.i64 imm=255\n%3 = and.i64 %1 %2 sub=4\n%4 = zext.i64 %3 esz=1\n"
      "set.i64 @x1 %4\ngoto imm=4\n" },
    { "repeated test",
      "%1 = get.i64 @x0\n%2 = const.i64 imm=15\n%3 = andf.i64 %1 %2 esz=3\nexit_if ne %3 imm=2\n"
      "%4 = andf.i64 %1 %2 esz=3\nexit_if ne %4 imm=6\ngoto imm=4\n",
      "%1 = get.i64 @x0\n%2 = const.i64 imm=15\n%3 = andf.i64 %1 %2 esz=3\nexit_if ne %3 "
      "imm=2\ngoto "
      "imm=4\n" },
    { "old flags that nobody asks for",
      "%1 = get.flags @nzcv\n%2 = get.i64 @x0\n%3 = const.i64 imm=1\n%4 = addf.i64 %2 %3 esz=3\n"
      "%5 = fmerge %1 %4 imm=0xd401\n%6 = cset.i64 eq %5\nset.i64 @x1 %6\n"
      "%7 = subf.i64 %2 %3 esz=3\nset.flags @nzcv %7\ngoto imm=4\n",
      "%2 = get.i64 @x0\n%3 = const.i64 imm=1\n%4 = addf.i64 %2 %3 esz=3\n%6 = cset.i64 eq %4\n"
      "set.i64 @x1 %6\n%7 = subf.i64 %2 %3 esz=3\nset.flags @nzcv %7\ngoto imm=4\n" },
    { "old flags that an exit sees",
      "%1 = get.flags @nzcv\n%2 = get.i64 @x0\n%3 = const.i64 imm=1\n%4 = addf.i64 %2 %3 esz=3\n"
      "%5 = fmerge %1 %4 imm=0xd401\nset.flags @nzcv %5\nexit_if eq %5 imm=8\ngoto imm=4\n",
      "%1 = get.flags @nzcv\n%2 = get.i64 @x0\n%3 = const.i64 imm=1\n%4 = addf.i64 %2 %3 esz=3\n"
      "%5 = fmerge %1 %4 imm=0xd401\nset.flags @nzcv %5\nexit_if eq %5 imm=8\ngoto imm=4\n" },
    { "new flags that nobody asks for",
      "%1 = get.flags @nzcv\n%2 = get.i64 @x0\n%3 = btf.i64 %2 %2 esz=3\n"
      "%4 = fmerge %1 %3 imm=256\n%5 = cset.i64 ge %4\nset.i64 @x1 %5\n%6 = andf.i64 %2 %2 esz=3\n"
      "set.flags @nzcv %6\ngoto imm=4\n",
      "%1 = get.flags @nzcv\n%2 = get.i64 @x0\n%5 = cset.i64 ge %1\nset.i64 @x1 %5\n"
      "%6 = andf.i64 %2 %2 esz=3\nset.flags @nzcv %6\ngoto imm=4\n" },
    { "a shift by a constant has all flags",
      "%1 = get.flags @nzcv\n%2 = get.i64 @x0\n%3 = const.i64 imm=3\n"
      "%4 = shlf.i64 %2 %3 %1 esz=3\nset.flags @nzcv %4\ngoto imm=4\n",
      "%2 = get.i64 @x0\n%3 = const.i64 imm=3\n%4 = shlf.i64 %2 %3 esz=3\nset.flags @nzcv %4\n"
      "goto imm=4\n" },
    { "a shift by nothing, perhaps",
      "%1 = get.flags @nzcv\n%2 = get.i64 @x0\n%3 = shlf.i64 %2 %2 %1 esz=3\n"
      "set.flags @nzcv %3\ngoto imm=4\n",
      "%1 = get.flags @nzcv\n%2 = get.i64 @x0\n%3 = shlf.i64 %2 %2 %1 esz=3\n"
      "set.flags @nzcv %3\ngoto imm=4\n" },
    { "a rotate keeps what is asked for",
      "%1 = get.flags @nzcv\n%2 = get.i64 @x0\n%3 = const.i64 imm=1\n"
      "%4 = rolf.i64 %2 %3 %1 esz=3\n%5 = cset.i64 cs %4\nset.i64 @x1 %5\n"
      "%6 = rolf.i64 %2 %3 %4 esz=3\n%7 = cset.i64 eq %6\nset.i64 @x0 %7\n"
      "%8 = andf.i64 %2 %2 esz=3\nset.flags @nzcv %8\ngoto imm=4\n",
      "%1 = get.flags @nzcv\n%2 = get.i64 @x0\n%3 = const.i64 imm=1\n"
      "%4 = rolf.i64 %2 %3 %1 esz=3\n%5 = cset.i64 cs %4\nset.i64 @x1 %5\n"
      "%6 = rolf.i64 %2 %3 %4 esz=3\n%7 = cset.i64 eq %6\nset.i64 @x0 %7\n"
      "%8 = andf.i64 %2 %2 esz=3\nset.flags @nzcv %8\ngoto imm=4\n" },
    { "merges are not folded",
      "%1 = const.i64 imm=0x1234\n%2 = const.i64 imm=0xff\n%3 = add.i64 %1 %2 sub=2\n"
      "set.i64 @x0 %3\ngoto imm=4\n",
      "%1 = const.i64 imm=0x1234\n%2 = const.i64 imm=0xff\n%3 = add.i64 %1 %2 sub=2\n"
      "set.i64 @x0 %3\ngoto imm=4\n" },
    { "zero extension of a load",
      "%1 = get.i64 @x0\n%2 = ld.v128 %1 esz=3\n%3 = vzext.v128 %2 esz=3\nset.v128 @v0 %3\ngoto "
      "imm=4\n",
      "%1 = get.i64 @x0\n%2 = ld.v128 %1 esz=3\nset.v128 @v0 %2\ngoto imm=4\n" },
};

typedef void Pass(IrUnit *unit);

/* One pass alone. */
static const struct {
    const char *name;
    Pass *pass;
    const char *in, *out;
} pass_cases[] = {
    { "forward: get after get, get after set, set of what is there", opt_forward_variables,
      "%1 = get.i64 @x0\n%2 = get.i64 @x0\n%3 = add.i64 %1 %2\nset.i64 @x1 %3\n"
      "%4 = get.i64 @x1\nset.i64 @x1 %4\nset.i64 @x0 %4\ngoto imm=4\n",
      "%1 = get.i64 @x0\n%3 = add.i64 %1 %1\nset.i64 @x1 %3\nset.i64 @x0 %3\ngoto imm=4\n" },
    { "forward: a helper that writes variables ends what is known", opt_forward_variables,
      "%1 = get.i64 @x0\ncall helper=test_writes\n%2 = get.i64 @x0\nset.i64 @x1 %2\n"
      "set.i64 @x0 %1\ngoto imm=4\n",
      "%1 = get.i64 @x0\ncall helper=test_writes\n%2 = get.i64 @x0\nset.i64 @x1 %2\n"
      "set.i64 @x0 %1\ngoto imm=4\n" },
    { "fold: evaluates, at the op's width", opt_fold,
      "%1 = const.i32 imm=0xffffffff\n%2 = const.i32 imm=1\n%3 = add.i32 %1 %2\n"
      "%4 = zext.i64 %3 esz=2\nset.i64 @x0 %4\ngoto imm=4\n",
      "%1 = const.i32 imm=0xffffffff\n%2 = const.i32 imm=1\n%3 = const.i32\n%4 = const.i64\n"
      "set.i64 @x0 %4\ngoto imm=4\n" },
    { "fold: sums of addresses, and pc", opt_fold,
      "%1 = pc.i64 imm=16\n%2 = const.i64 imm=8\n%3 = add.i64 %1 %2\n%4 = get.i64 @x0\n"
      "%5 = add.i64 %4 %2\n%6 = add.i64 %5 %2\nst.i64 %6 %3 esz=3 imm=1\ngoto imm=4\n",
      "%1 = pc.i64 imm=16\n%2 = const.i64 imm=8\n%3 = pc.i64 imm=24\n%4 = get.i64 @x0\n"
      "%5 = add.i64 %4 %2\n%6 = add.i64 %5 %2\nst.i64 %4 %3 esz=3 imm=17\ngoto imm=4\n" },
    { "fold: a merge is no sum", opt_fold,
      "%1 = get.i64 @x0\n%2 = const.i64 imm=8\n%3 = add.i64 %1 %2 sub=4\n%4 = ld.i64 %3 esz=3\n"
      "set.i64 @x0 %4\ngoto imm=4\n",
      "%1 = get.i64 @x0\n%2 = const.i64 imm=8\n%3 = add.i64 %1 %2 sub=4\n%4 = ld.i64 %3 esz=3\n"
      "set.i64 @x0 %4\ngoto imm=4\n" },
    { "fold: a lane that is put where it is", opt_fold,
      "%1 = get.v128 @v0\n%2 = vinslane.v128 %1 %1 esz=3 imm=1 aux=1\n"
      "%3 = vinslane.v128 %2 %2 esz=3 imm=1\nset.v128 @v0 %3\ngoto imm=4\n",
      "%1 = get.v128 @v0\n%3 = vinslane.v128 %1 %1 esz=3 imm=1\nset.v128 @v0 %3\ngoto imm=4\n" },
    { "dead sets: set again before anything sees it", opt_dead_sets,
      "%1 = get.i64 @x0\nset.i64 @x1 %1\n%2 = not.i64 %1\nset.i64 @x1 %2\ngoto imm=4\n",
      "%1 = get.i64 @x0\n%2 = not.i64 %1\nset.i64 @x1 %2\ngoto imm=4\n" },
    { "dead sets: faults, exits and gets see it", opt_dead_sets,
      "%1 = get.i64 @x0\nset.i64 @x1 %1\nst.i64 %1 %1 esz=3\nset.i64 @x1 %1\n"
      "%2 = andf.i64 %1 %1 esz=3\nexit_if eq %2 imm=8\nset.i64 @x1 %1\n%3 = get.i64 @x1\n"
      "set.i64 @x1 %3\ngoto imm=4\n",
      "%1 = get.i64 @x0\nset.i64 @x1 %1\nst.i64 %1 %1 esz=3\nset.i64 @x1 %1\n"
      "%2 = andf.i64 %1 %1 esz=3\nexit_if eq %2 imm=8\nset.i64 @x1 %1\n%3 = get.i64 @x1\n"
      "set.i64 @x1 %3\ngoto imm=4\n" },
    { "dead flags: a merge of which only the new part is asked for", opt_dead_flags,
      "%1 = get.flags @nzcv\n%2 = get.i64 @x0\n%3 = andf.i64 %2 %2 esz=3\n"
      "%4 = fmerge %1 %3 imm=0xc000\n%5 = cset.i64 mi %4\nset.i64 @x1 %5\nset.flags @nzcv %3\n"
      "goto imm=4\n",
      "%1 = get.flags @nzcv\n%2 = get.i64 @x0\n%3 = andf.i64 %2 %2 esz=3\n"
      "%4 = fmerge %1 %3 imm=0xc000\n%5 = cset.i64 mi %3\nset.i64 @x1 %5\nset.flags @nzcv %3\n"
      "goto imm=4\n" },
    { "dead values: what nobody uses, but not effects", opt_dead_values,
      "%1 = get.i64 @x0\n%2 = add.i64 %1 %1\n%3 = mul.i64 %2 %2\n%4 = ld.i64 %1 esz=3\n"
      "goto imm=4\n",
      "%1 = get.i64 @x0\n%4 = ld.i64 %1 esz=3\ngoto imm=4\n" },
};

static void do_nothing(void)
{
}

static const TcgHelper test_writes = {
    .name = "test_writes",
    .function = (void *)do_nothing,
    .result = IR_VOID,
    .flags = HELPER_WRITES,
};
TCG_HELPER(test_writes);

static void compact(IrUnit *unit)
{
    IrRef map[IR_MAX_OPS];
    unsigned count = 1;

    map[0] = 0;
    for (unsigned i = 1; i < unit->count; i++) {
        IrOp op = unit->ops[i];

        map[i] = (IrRef)count;
        if (op.opcode != IR_OP_nop) {
            for (unsigned k = 0; k < 4; k++) {
                op.args[k] = map[op.args[k]];
            }
            unit->ops[count++] = op;
        }
    }
    unit->count = count;
}

static char *text_of(const char *text, Pass *pass)
{
    g_autofree IrUnit *unit = g_new0(IrUnit, 1);
    g_autoptr(GError) error = NULL;

    ir_unit_init(unit, vars, G_N_ELEMENTS(vars));
    if (!ir_parse(unit, text, &error)) {
        g_error("%s in:\n%s", error->message, text);
    }
    if (!ir_verify(unit, &error)) {
        g_error("%s in:\n%s", error->message, text);
    }
    if (pass) {
        pass(unit);
    }
    compact(unit);
    return ir_print(unit);
}

static void test_case(gconstpointer data)
{
    unsigned i = GPOINTER_TO_UINT(data);
    g_autofree char *got = text_of(cases[i].in, opt_run), *want = text_of(cases[i].out, NULL);

    g_assert_cmpstr(got, ==, want);
}

static void test_pass(gconstpointer data)
{
    unsigned i = GPOINTER_TO_UINT(data);
    g_autofree char *got = text_of(pass_cases[i].in, pass_cases[i].pass);
    g_autofree char *want = text_of(pass_cases[i].out, NULL);

    g_assert_cmpstr(got, ==, want);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strdelimit(g_strdup_printf("/opt/%s", cases[i].name), " ", '-');

        g_test_add_data_func(path, GUINT_TO_POINTER(i), test_case);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(pass_cases); i++) {
        g_autofree char *path =
            g_strdelimit(g_strdup_printf("/pass/%s", pass_cases[i].name), " ", '-');

        g_test_add_data_func(path, GUINT_TO_POINTER(i), test_pass);
    }
    return g_test_run();
}
