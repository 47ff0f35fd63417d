/* SPDX-License-Identifier: MIT */
/*
 * The text form of units, one op a line:
 *
 *   [%N = ] opcode.type [cond] [@variable] [%arg ...] [esz=N] [sub=N] [imm=N] [aux=N] [scalar] [flush] [helper=NAME]
 *
 * Fields that are zero are left out. `#` starts a comment.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "accel/tcg/ir/ir.h"
#include "base/error.h"

static const char *const type_names[] = { "void", "i32", "i64", "v128", "flags", "v256" };
static const char *const cond_names[] = { "eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi",
                                          "ls", "ge", "lt", "gt", "le", "be", "a",  "pe", "po" };

static bool uses_cond(uint8_t opcode)
{
    return opcode == IR_OP_cset || opcode == IR_OP_sel || opcode == IR_OP_fsel ||
           opcode == IR_OP_exit_if || opcode == IR_OP_call_if;
}

static bool uses_variable(uint8_t opcode)
{
    return opcode == IR_OP_get || opcode == IR_OP_set;
}

static bool uses_helper(uint8_t opcode)
{
    return opcode == IR_OP_call || opcode == IR_OP_call_if || opcode == IR_OP_fop ||
           opcode == IR_OP_fcmp;
}

static void print_number(GString *out, const char *key, int64_t value)
{
    if (value) {
        g_string_append_printf(
            out, value > -4096 && value < 4096 ? " %s=%" PRId64 : " %s=0x%" PRIx64, key, value);
    }
}

static void print_op(GString *out, const IrUnit *unit, unsigned index)
{
    const IrOp *op = &unit->ops[index];

    if (ir_result_type(op) != IR_VOID) {
        g_string_append_printf(out, "%%%u = ", index);
    }
    g_string_append(out, ir_op_info[op->opcode].name);
    if (op->type != IR_VOID) {
        g_string_append_printf(out, ".%s", type_names[op->type]);
    }
    if (uses_cond(op->opcode)) {
        g_string_append_printf(out, " %s", cond_names[op->cond]);
    }
    if (uses_variable(op->opcode)) {
        g_string_append_printf(out, " @%s", unit->vars[op->var].name);
    }
    for (unsigned i = 0; i < 4 && op->args[i]; i++) {
        g_string_append_printf(out, " %%%u", op->args[i]);
    }
    print_number(out, "esz", op->esz);
    print_number(out, "sub", op->sub);
    print_number(out, "imm", op->imm);
    if (op->opcode == IR_OP_fop && op->var) {
        g_string_append(out, " scalar");
    }
    if ((op->opcode == IR_OP_fop || op->opcode == IR_OP_fcmp) && op->cond) {
        g_string_append(out, " flush");
    }
    if (uses_helper(op->opcode)) {
        g_string_append_printf(out, " helper=%s", op->helper ? op->helper->name : "none");
    } else {
        print_number(out, "aux", op->aux);
    }
    g_string_append_c(out, '\n');
}

char *ir_print(const IrUnit *unit)
{
    GString *out = g_string_new(NULL);

    for (unsigned i = 1; i < unit->count; i++) {
        if (unit->ops[i].opcode != IR_OP_nop) {
            print_op(out, unit, i);
        }
    }
    return g_string_free(out, FALSE);
}

typedef struct {
    IrUnit *unit;
    unsigned line;
    IrRef labels[IR_MAX_OPS]; /* of %N in the text */
    GError **error;
} Parser;

static bool fail(Parser *parser, const char *what, const char *value)
{
    return error_fail(parser->error, KASO_ERROR_INVALID, "line %u: %s '%s'", parser->line, what,
                      value);
}

static int find_name(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (!strcmp(names[i], name)) {
            return (int)i;
        }
    }
    return -1;
}

static int find_opcode(const char *name)
{
    for (int i = 0; i < IR_OP_COUNT; i++) {
        if (!strcmp(ir_op_info[i].name, name)) {
            return i;
        }
    }
    return -1;
}

static bool parse_label(Parser *parser, const char *token, unsigned *number)
{
    char *end;

    *number = (unsigned)strtoul(token + 1, &end, 10);
    if (token[0] != '%' || end == token + 1 || *end || *number == 0 || *number >= IR_MAX_OPS) {
        return fail(parser, "bad value name", token);
    }
    return true;
}

static bool parse_opcode(Parser *parser, char *token, IrOp *op)
{
    char *dot = strchr(token, '.');
    int opcode, type = IR_VOID;

    if (dot) {
        *dot = '\0';
        type = find_name(type_names, G_N_ELEMENTS(type_names), dot + 1);
        if (type < 0) {
            return fail(parser, "unknown type", dot + 1);
        }
    }
    opcode = find_opcode(token);
    if (opcode < 0) {
        return fail(parser, "unknown op", token);
    }
    op->opcode = (uint8_t)opcode;
    op->type = (uint8_t)type;
    return true;
}

static bool parse_helper(Parser *parser, const char *name, IrOp *op)
{
    const TcgHelper *const *it;

    REGISTRY_FOREACH(tcg_helpers, it) {
        if (!strcmp((*it)->name, name)) {
            op->helper = *it;
            return true;
        }
    }
    return fail(parser, "unknown helper", name);
}

static bool parse_field(Parser *parser, char *token, IrOp *op)
{
    char *equals = strchr(token, '='), *end;
    int64_t value;

    *equals = '\0';
    if (!strcmp(token, "helper")) {
        return parse_helper(parser, equals + 1, op);
    }
    value = (int64_t)(equals[1] == '-' ? (uint64_t)strtoll(equals + 1, &end, 0)
                                       : strtoull(equals + 1, &end, 0));
    if (end == equals + 1 || *end) {
        return fail(parser, "bad number", equals + 1);
    }
    if ((!strcmp(token, "esz") && (uint64_t)value > UINT8_MAX) ||
        (!strcmp(token, "sub") && (uint64_t)value > UINT16_MAX)) {
        return fail(parser, "too large", equals + 1);
    }
    if (!strcmp(token, "esz")) {
        op->esz = (uint8_t)value;
    } else if (!strcmp(token, "sub")) {
        op->sub = (uint16_t)value;
    } else if (!strcmp(token, "imm")) {
        op->imm = value;
    } else if (!strcmp(token, "aux")) {
        op->aux = value;
    } else {
        return fail(parser, "unknown field", token);
    }
    return true;
}

static bool parse_variable(Parser *parser, const char *name, IrOp *op)
{
    for (unsigned i = 0; i < parser->unit->var_count; i++) {
        if (!strcmp(parser->unit->vars[i].name, name)) {
            op->var = (uint8_t)i;
            return true;
        }
    }
    return fail(parser, "unknown variable", name);
}

static bool parse_operand(Parser *parser, char *token, IrOp *op, unsigned *arg_count)
{
    int cond = find_name(cond_names, G_N_ELEMENTS(cond_names), token);
    unsigned number;

    if (token[0] == '@') {
        return parse_variable(parser, token + 1, op);
    }
    if (strchr(token, '=')) {
        return parse_field(parser, token, op);
    }
    if (!strcmp(token, "scalar")) {
        op->var = 1;
        return true;
    }
    if (!strcmp(token, "flush")) {
        op->cond = 1;
        return true;
    }
    if (cond >= 0) {
        op->cond = (uint8_t)cond;
        return true;
    }
    if (!parse_label(parser, token, &number)) {
        return false;
    }
    if (*arg_count == 4 || !parser->labels[number]) {
        return fail(parser, *arg_count == 4 ? "too many arguments at" : "undefined value", token);
    }
    op->args[(*arg_count)++] = parser->labels[number];
    return true;
}

static bool parse_tokens(Parser *parser, char **tokens)
{
    IrOp op = { 0 };
    unsigned label = 0, arg_count = 0;
    IrRef ref;

    if (tokens[0][0] == '%') {
        if (!parse_label(parser, tokens[0], &label)) {
            return false;
        }
        if (!tokens[1] || strcmp(tokens[1], "=") || !tokens[2]) {
            return fail(parser, "expected '=' and an op after", tokens[0]);
        }
        tokens += 2;
    }
    if (!parse_opcode(parser, *tokens++, &op)) {
        return false;
    }
    for (; *tokens; tokens++) {
        if (**tokens && !parse_operand(parser, *tokens, &op, &arg_count)) {
            return false;
        }
    }
    ref = ir_emit(parser->unit, op);
    if (parser->unit->full) {
        return fail(parser, "too many ops at", ir_op_info[op.opcode].name);
    }
    if (label) {
        parser->labels[label] = ref;
    }
    return true;
}

bool ir_parse(IrUnit *unit, const char *text, GError **error)
{
    g_autofree Parser *parser = g_new0(Parser, 1);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    parser->unit = unit;
    parser->error = error;
    for (unsigned i = 0; lines[i]; i++) {
        g_auto(GStrv) tokens = NULL;
        char *comment = strchr(lines[i], '#');

        if (comment) {
            *comment = '\0';
        }
        parser->line = i + 1;
        g_strstrip(lines[i]);
        if (!lines[i][0]) {
            continue;
        }
        tokens = g_strsplit_set(lines[i], " \t,", -1);
        if (!parse_tokens(parser, tokens)) {
            return false;
        }
    }
    return true;
}
