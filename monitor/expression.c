/* SPDX-License-Identifier: MIT */
/* HMP's expressions; see the header. */
#include "monitor/expression.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "debug/symbols/symbols.h"
#include "monitor/registers.h"

enum { EXPRESSION_DEPTH_MAX = 200 };

typedef struct {
    const char *text;
    Vcpu *vcpu;
    unsigned depth;
    GError **error;
} Expression;

static bool expression_binary(Expression *e, unsigned level, int64_t *value);

static void expression_skip_space(Expression *e)
{
    while (g_ascii_isspace(*e->text)) {
        e->text++;
    }
}

static bool expression_number(Expression *e, int64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoull(e->text, &end, 0);
    if (end == e->text || errno || g_ascii_isalnum(*end)) {
        return error_fail(e->error, KASO_ERROR_INVALID, "'%s' is not a number", e->text);
    }
    e->text = end;
    return true;
}

static bool expression_register(Expression *e, int64_t *value)
{
    const char *start = ++e->text;
    char *name;
    bool ok;

    while (g_ascii_isalnum(*e->text) || *e->text == '_') {
        e->text++;
    }
    name = g_strndup(start, e->text - start);
    ok = e->vcpu
             ? registers_read_number(e->vcpu, name, (uint64_t *)value, e->error)
             : error_fail(e->error, KASO_ERROR_INVALID, "there is no CPU for register '$%s'", name);
    g_free(name);
    return ok;
}

static bool expression_character(Expression *e, int64_t *value)
{
    if (!e->text[1] || e->text[2] != '\'') {
        return error_fail(e->error, KASO_ERROR_INVALID, "%s is not a character in quotes", e->text);
    }
    *value = (uint8_t)e->text[1];
    e->text += 3;
    return true;
}

static bool is_name_start(char c)
{
    return g_ascii_isalpha(c) || c == '_';
}

/* Takes the failure; says more of "init_task.comm" where init_task is a symbol. */
static bool no_symbol(Expression *e, const char *name, GError *failure)
{
    const char *dot = strchr(name, '.');
    g_autofree char *first = dot ? g_strndup(name, (gsize)(dot - name)) : NULL;
    uint64_t address;

    if (dot && symbols_address(e->vcpu->machine, e->vcpu, first, &address, NULL)) {
        g_error_free(failure);
        return error_fail(e->error, KASO_ERROR_NOT_FOUND,
                          "the type of '%s' is not known: write ((struct TYPE *)&%s)->%s", first,
                          first, dot + 1);
    }
    g_propagate_error(e->error, failure);
    return false;
}

/* "start_kernel", "foo.cold", "virtio_net!init": its address. */
static bool expression_symbol(Expression *e, int64_t *value)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *name = NULL;
    const char *start = e->text;

    while (g_ascii_isalnum(*e->text) || (*e->text && strchr("_.@!", *e->text))) {
        e->text++;
    }
    name = g_strndup(start, e->text - start);
    if (!e->vcpu) {
        return error_fail(e->error, KASO_ERROR_INVALID, "'%s' is not a number", name);
    }
    return symbols_address(e->vcpu->machine, e->vcpu, name, (uint64_t *)value, &failure) ||
           no_symbol(e, name, g_steal_pointer(&failure));
}

static bool expression_unary(Expression *e, int64_t *value)
{
    bool ok;

    expression_skip_space(e);
    if (++e->depth > EXPRESSION_DEPTH_MAX) {
        return error_fail(e->error, KASO_ERROR_INVALID, "the expression is nested too deep");
    }
    switch (*e->text) {
    case '+':
        e->text++;
        ok = expression_unary(e, value);
        break;
    case '-':
        e->text++;
        ok = expression_unary(e, value);
        *value = -(uint64_t)*value;
        break;
    case '~':
        e->text++;
        ok = expression_unary(e, value);
        *value = ~*value;
        break;
    case '!':
        e->text++;
        ok = expression_unary(e, value);
        *value = !*value;
        break;
    case '(':
        e->text++;
        ok = expression_binary(e, 0, value);
        expression_skip_space(e);
        if (ok && *e->text != ')') {
            ok = error_fail(e->error, KASO_ERROR_INVALID, "the expression lacks a ')'");
        }
        e->text += ok;
        break;
    case '&':
        e->text++;
        expression_skip_space(e);
        ok = is_name_start(*e->text)
                 ? expression_symbol(e, value)
                 : error_fail(e->error, KASO_ERROR_INVALID,
                              "'&%s': & takes the address of a symbol", e->text);
        break;
    case '$':
        ok = expression_register(e, value);
        break;
    case '\'':
        ok = expression_character(e, value);
        break;
    case '\0':
        ok = error_fail(e->error, KASO_ERROR_INVALID, "an expression is missing");
        break;
    default:
        ok = is_name_start(*e->text) ? expression_symbol(e, value) : expression_number(e, value);
    }
    e->depth--;
    return ok;
}

/* Operators by precedence, the loosest first. */
static const char *const expression_levels[EXPRESSION_LEVELS][4] = {
    { "|" }, { "^" }, { "&" }, { "<<", ">>" }, { "+", "-" }, { "*", "/", "%" },
};

const char *expression_operator(const char **text, unsigned level)
{
    while (g_ascii_isspace(**text)) {
        ++*text;
    }
    for (unsigned i = 0; i < 4 && expression_levels[level][i]; i++) {
        const char *name = expression_levels[level][i];

        if (g_str_has_prefix(*text, name)) {
            *text += strlen(name);
            return name;
        }
    }
    return NULL;
}

bool expression_apply(const char *name, int64_t *left, int64_t right, GError **error)
{
    switch (*name) {
    case '|':
        *left |= right;
        return true;
    case '^':
        *left ^= right;
        return true;
    case '&':
        *left &= right;
        return true;
    case '<':
        *left = (uint64_t)right < 64 ? (uint64_t)*left << right : 0;
        return true;
    case '>':
        *left = (uint64_t)right < 64 ? (uint64_t)*left >> right : 0;
        return true;
    case '+':
        *left = (uint64_t)*left + right;
        return true;
    case '-':
        *left = (uint64_t)*left - right;
        return true;
    case '*':
        *left = (uint64_t)*left * right;
        return true;
    }
    if (!right) {
        return error_fail(error, KASO_ERROR_INVALID, "the expression divides by zero");
    }
    if (right == -1) { /* INT64_MIN / -1 does not fit */
        *left = *name == '/' ? -(uint64_t)*left : 0;
    } else {
        *left = *name == '/' ? *left / right : *left % right;
    }
    return true;
}

static bool expression_binary(Expression *e, unsigned level, int64_t *value)
{
    const char *name;
    int64_t right;

    if (level == EXPRESSION_LEVELS) {
        return expression_unary(e, value);
    }
    if (!expression_binary(e, level + 1, value)) {
        return false;
    }
    while ((name = expression_operator(&e->text, level))) {
        if (!expression_binary(e, level + 1, &right) ||
            !expression_apply(name, value, right, e->error)) {
            return false;
        }
    }
    return true;
}

bool expression_evaluate(const char **text, Vcpu *vcpu, int64_t *value, GError **error)
{
    Expression e = { .text = *text, .vcpu = vcpu, .error = error };
    bool ok = expression_binary(&e, 0, value);

    *text = e.text;
    return ok;
}

bool expression_evaluate_unary(const char **text, Vcpu *vcpu, int64_t *value, GError **error)
{
    Expression e = { .text = *text, .vcpu = vcpu, .error = error };
    bool ok = expression_unary(&e, value);

    *text = e.text;
    return ok;
}
