/* SPDX-License-Identifier: MIT */
/* What the parser and the verifier refuse, and that they say what is wrong. */
#include <glib.h>

#include "accel/tcg/ir/ir.h"

static const IrVar vars[] = {
    { "x0", IR_I64, 0 }, { "w0", IR_I32, 8 }, { "v0", IR_V128, 16 }, { "f", IR_FLAGS, 32 }
};

/* Each stands before `goto imm=4`, after the values below. */
#define VALUES "%1 = get.i64 @x0\n%2 = get.i32 @w0\n%3 = get.v128 @v0\n%4 = get.flags @f\n"

static const struct {
    const char *text, *message;
} parser_cases[] = {
    { "%5 = frobnicate.i64 %1\n", "unknown op 'frobnicate'" },
    { "%5 = add.i65 %1 %1\n", "unknown type 'i65'" },
    { "%5 = add.i64 %1 %9\n", "undefined value '%9'" },
    { "%x = add.i64 %1 %1\n", "bad value name '%x'" },
    { "%5 add.i64 %1 %1\n", "expected '='" },
    { "%5 = get.i64 @x9\n", "unknown variable 'x9'" },
    { "%5 = add.i64 %1 %1 %1 %1 %1\n", "too many arguments" },
    { "%5 = const.i64 imm=twelve\n", "bad number 'twelve'" },
    { "%5 = const.i64 size=3\n", "unknown field 'size'" },
    { "%5 = call.i64 helper=nobody\n", "unknown helper 'nobody'" },
    { "%5 = cset.i64 zz %4\n", "bad value name 'zz'" },
    { "%5 = const.i64 esz=256\n", "too large '256'" },
    { "%5 = const.i64 sub=-1\n", "too large '-1'" },
    { "%5 = ld.i64 %1 esz=3 sub=65536\n", "too large '65536'" },
};

static const struct {
    const char *text, *message;
} verifier_cases[] = {
    { "%5 = add.i64 %1 %2\n", "argument 1 has the wrong type" },
    { "%5 = add.i64 %1\n", "has 1 arguments, not 2" },
    { "%5 = not.i64 %1 %1\n", "has too many arguments" },
    { "%5 = add.v128 %3 %3\n", "has the wrong type" },
    { "%5 = add %1 %1\n", "has the wrong type" },
    { "%5 = vadd.i64 %3 %3\n", "has the wrong type" },
    { "%5 = get.i32 @x0\n", "no such variable, or its type differs" },
    { "set.i64 @w0 %1\n", "no such variable, or its type differs" },
    { "%5 = vadd.v256 %3 %3\n", "there are no v256 ops yet" },
    { "%5 = addf.i64 %1 %1 esz=2\n", "width esz=2 does not go with its operands" },
    { "%5 = addf.i32 %2 %2 esz=3\n", "width esz=3 does not go with its operands" },
    { "%5 = addf.v128 %3 %3 esz=3\n", "has the wrong type" },
    { "%5 = btf.i64 %1 %1\n", "width esz=0 does not go with its operands" },
    { "%5 = addf.i64 %1 %1 esz=3 sub=1\n", "has no variant sub=1" },
    { "%5 = add.i64 %1 %1 sub=6\n", "has no variant sub=6" },
    { "%5 = mul.i64 %1 %1 sub=2\n", "has no variant sub=2" },
    { "%5 = divu.i64 %1 %1 sub=4\n", "has no variant sub=4" },
    { "%5 = rclf.i64 %1 %1 esz=3\n", "has 2 arguments, not 3" },
    { "%5 = shlf.i64 %1 %1 %1 esz=3\n", "argument 2 has the wrong type" },
    { "%5 = fmerge %4 %4 imm=2\n", "imm names what is no flag" },
    { "%5 = fmerge %4 %1 imm=256\n", "argument 1 has the wrong type" },
    { "%5 = extr.i32 %2 %2 imm=32\n", "more than the op allows" },
    { "%5 = ubfx.i64 %1 imm=60 aux=5\n", "more than the op allows" },
    { "%5 = ubfx.i64 %1 imm=60\n", "more than the op allows" },
    { "%5 = zext.i64 %1 esz=3\n", "more than the op allows" },
    { "%5 = bswap.i32 %2 esz=3\n", "more than the op allows" },
    { "%5 = ld.i32 %1 esz=3\n", "more than the op allows" },
    { "%5 = ld.v128 %1 esz=5\n", "more than the op allows" },
    { "%5 = amo.i64 %1 %1 aux=9\n", "more than the op allows" },
    { "mzero %1 imm=24\n", "more than the op allows" },
    { "%5 = vshl.v128 %3 esz=1 imm=16\n", "more than the op allows" },
    { "%5 = vlane.i64 %3 esz=3 imm=2\n", "more than the op allows" },
    { "%5 = vrev.v128 %3 esz=2 imm=2\n", "more than the op allows" },
    { "%5 = vnarrow.v128 %3 %3 esz=3\n", "more than the op allows" },
    { "%5 = ldraw.i64 %1 esz=3\n", "ldraw of what is no cookie" },
    { "%5 = fcmp %3 %3 esz=3\n", "has no helper" },
    { "%5 = call.i64 %1\n", "has no helper" },
    { "%5 = call.i64 %2 helper=test_twice\n", "not those of helper test_twice" },
    { "%5 = call.i64 helper=test_twice\n", "not those of helper test_twice" },
    { "%5 = call.i32 %1 helper=test_twice\n", "not those of helper test_twice" },
    { "goto imm=8\n", "follows the unit's end" },
};

static uint64_t twice(uint64_t value)
{
    return 2 * value;
}

static const TcgHelper test_twice = {
    .name = "test_twice",
    .function = (void *)twice,
    .result = IR_I64,
    .arg_types = { IR_I64 },
};
TCG_HELPER(test_twice);

static void assert_refused(bool ok, const GError *error, const char *text, const char *message)
{
    if (ok) {
        g_error("accepted: %s", text);
    }
    if (!strstr(error->message, message)) {
        g_error("'%s' is not '%s' for %s", error->message, message, text);
    }
}

static bool parse(IrUnit *unit, const char *text, GError **error)
{
    g_autofree char *whole = g_strconcat(VALUES, text, "goto imm=4\n", NULL);

    ir_unit_init(unit, vars, G_N_ELEMENTS(vars));
    return ir_parse(unit, whole, error);
}

static void test_parser(void)
{
    g_autofree IrUnit *unit = g_new0(IrUnit, 1);

    for (unsigned i = 0; i < G_N_ELEMENTS(parser_cases); i++) {
        g_autoptr(GError) error = NULL;
        bool ok = parse(unit, parser_cases[i].text, &error);

        assert_refused(ok, error, parser_cases[i].text, parser_cases[i].message);
        g_assert_nonnull(strstr(error->message, "line 5"));
    }
}

static void test_verifier(void)
{
    g_autofree IrUnit *unit = g_new0(IrUnit, 1);

    for (unsigned i = 0; i < G_N_ELEMENTS(verifier_cases); i++) {
        g_autoptr(GError) error = NULL;
        bool ok = parse(unit, verifier_cases[i].text, &error);

        g_assert_no_error(error);
        g_assert_true(ok);
        ok = ir_verify(unit, &error);
        assert_refused(ok, error, verifier_cases[i].text, verifier_cases[i].message);
    }
}

static void assert_unit_refused(const IrUnit *unit, const char *what, const char *message)
{
    g_autoptr(GError) error = NULL;
    bool ok = ir_verify(unit, &error);

    assert_refused(ok, error, what, message);
}

/* What text cannot say. */
static void test_verifier_order(void)
{
    g_autofree IrUnit *unit = g_new0(IrUnit, 1);

    ir_unit_init(unit, vars, G_N_ELEMENTS(vars));
    assert_unit_refused(unit, "an empty unit", "the unit has no end");
    ir_emit(unit, (IrOp){ .opcode = IR_OP_not, .type = IR_I64, .args = { 2 } });
    ir_emit(unit, (IrOp){ .opcode = IR_OP_get, .type = IR_I64, .var = 0 });
    assert_unit_refused(unit, "use before definition", "before it is defined");
    ir_unit_init(unit, vars, G_N_ELEMENTS(vars));
    ir_emit(unit, (IrOp){ .opcode = IR_OP_COUNT });
    assert_unit_refused(unit, "an opcode", "has no such opcode");
    ir_unit_init(unit, vars, G_N_ELEMENTS(vars));
    ir_emit(unit, (IrOp){ .opcode = IR_OP_get, .type = IR_FLAGS, .var = 3 });
    ir_emit(unit,
            (IrOp){ .opcode = IR_OP_cset, .type = IR_I64, .cond = IR_COND_COUNT, .args = { 1 } });
    assert_unit_refused(unit, "a condition", "no such type or condition");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ir/parser-refuses", test_parser);
    g_test_add_func("/ir/verifier-refuses", test_verifier);
    g_test_add_func("/ir/verifier-refuses-order", test_verifier_order);
    return g_test_run();
}
