/* SPDX-License-Identifier: MIT */
/* Conditions as programs for a stack machine; see the header. */
#include "monitor/debugger/condition.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "debug/linux/tasks.h"
#include "debug/symbols/symbols.h"
#include "machine/debug.h"
#include "monitor/registers.h"
#include "monitor/typed.h"

enum { DEPTH_MAX = 64, STACK_MAX = 80, CODE_MAX = 1024 };

typedef enum {
    OP_NUMBER,
    OP_REGISTER,
    OP_PC,
    OP_VALUE,
    OP_OLD,
    OP_ADDRESS,
    OP_CPU,
    OP_PROCESS, /* of the guest's Linux */
    OP_THREAD,
    OP_TYPED, /* number: index in Condition.typed */
    OP_LOAD,  /* number: bytes, negative for signed ones */
    OP_NEGATE,
    OP_NOT,         /* ~ */
    OP_LOGICAL,     /* ! */
    OP_BINARY,      /* number: index in operators */
    OP_SKIP_IF,     /* number: of ops to skip when the top is true; the top becomes 1 */
    OP_SKIP_UNLESS, /* the same when it is false, and 0 */
    OP_DROP,
    OP_CHOOSE, /* third ? second : top */
} Op;

typedef struct {
    Op op;
    int64_t number;
    const TargetRegister *reg;
} Instruction;

struct Condition {
    char *text;
    GArray *code;     /* Instruction */
    GPtrArray *typed; /* char *: what typed.h evaluates */
    bool tasks;       /* it has $pid or $tid */
    LinuxTaskFinder finder;
};

typedef struct {
    const char *text, *start;
    Vcpu *vcpu;
    GArray *code;
    GPtrArray *typed;
    bool tasks;
    LinuxTaskFinder finder;
    unsigned depth;
    GError **error;
} Compiler;

/* By precedence, the loosest first; longer spellings before those they begin with. */
static const struct {
    const char *name;
    unsigned level;
} operators[] = {
    { "||", 0 }, { "&&", 1 }, { "|", 2 },  { "^", 3 },  { "&", 4 },  { "==", 5 },
    { "!=", 5 }, { "<<", 7 }, { ">>", 7 }, { "<=", 6 }, { ">=", 6 }, { "<", 6 },
    { ">", 6 },  { "+", 8 },  { "-", 8 },  { "*", 9 },  { "/", 9 },  { "%", 9 },
};
enum { LEVELS = 10 };

static const struct {
    const char *name;
    int bytes;
} types[] = {
    { "unsigned char", 1 }, { "unsigned short", 2 },
    { "unsigned int", 4 },  { "unsigned long", 8 },
    { "unsigned", 4 },      { "char", -1 },
    { "short", -2 },        { "int", -4 },
    { "long", -8 },         { "u8", 1 },
    { "u16", 2 },           { "u32", 4 },
    { "u64", 8 },           { "s8", -1 },
    { "s16", -2 },          { "s32", -4 },
    { "s64", -8 },          { "uint8_t", 1 },
    { "uint16_t", 2 },      { "uint32_t", 4 },
    { "uint64_t", 8 },
};

static bool compile_level(Compiler *c, unsigned level);

static bool fail(Compiler *c, const char *what)
{
    return error_fail(c->error, KASO_ERROR_INVALID, "condition '%s': %s at '%s'", c->start, what,
                      c->text);
}

static void emit(Compiler *c, Op op, int64_t number)
{
    const Instruction instruction = { .op = op, .number = number };

    g_array_append_val(c->code, instruction);
}

static void skip_space(Compiler *c)
{
    while (g_ascii_isspace(*c->text)) {
        c->text++;
    }
}

static bool take(Compiler *c, const char *what)
{
    skip_space(c);
    if (!g_str_has_prefix(c->text, what)) {
        return false;
    }
    c->text += strlen(what);
    return true;
}

static char *take_name(Compiler *c, const char *also)
{
    const char *start = c->text;

    while (g_ascii_isalnum(*c->text) || (*c->text && strchr(also, *c->text))) {
        c->text++;
    }
    return g_strndup(start, (gsize)(c->text - start));
}

/* $pid or $tid */
static bool compile_task(Compiler *c, Op op)
{
    LinuxKernel *kernel = linux_kernel_find(c->vcpu->machine, c->error);

    emit(c, op, 0);
    c->tasks = true;
    return kernel && linux_task_finder(kernel, &c->finder, c->error);
}

static bool compile_register(Compiler *c)
{
    g_autofree char *name = NULL;
    const TargetRegister *reg;

    c->text++;
    name = take_name(c, "_");
    reg = registers_find(c->vcpu->target, name);
    if (!strcmp(name, "pid") || !strcmp(name, "tid")) {
        return compile_task(c, *name == 'p' ? OP_PROCESS : OP_THREAD);
    }
    if (strcmp(name, "pc") == 0) {
        emit(c, OP_PC, 0);
        return true;
    }
    if (!reg) {
        return error_fail(c->error, KASO_ERROR_NOT_FOUND,
                          "%s has no register '%s'; 'info registers -a' shows them",
                          c->vcpu->target->name, name);
    }
    emit(c, OP_REGISTER, 0);
    g_array_index(c->code, Instruction, c->code->len - 1).reg = reg;
    return true;
}

/* Behind a pair of brackets, whatever is in it; NULL: it does not end. */
static const char *behind_brackets(const char *text)
{
    unsigned depth = 0;

    do {
        depth += *text == '(' || *text == '[';
        depth -= *text == ')' || *text == ']';
        text++;
    } while (depth && *text);
    return depth ? NULL : text;
}

/* Behind the members and indexes that follow a name or brackets; the text itself: there are none. */
static const char *behind_members(const char *text)
{
    for (;;) {
        const char *at = text + strspn(text, " ");

        if (*at == '[') {
            at = behind_brackets(at);
            if (!at) {
                return text;
            }
        } else if (*at == '.' || (at[0] == '-' && at[1] == '>')) {
            at += *at == '.' ? 1 : 2;
            while (g_ascii_isalnum(*at) || *at == '_') {
                at++;
            }
        } else {
            return text;
        }
        text = at;
    }
}

static void emit_typed(Compiler *c, const char *start, const char *end)
{
    emit(c, OP_TYPED, c->typed->len);
    g_ptr_array_add(c->typed, g_strndup(start, (gsize)(end - start)));
    c->text = end;
}

/* A cast or a variable in brackets, and its members: "((struct point *)$x0)->y". false: it is something else. */
static bool take_typed_brackets(Compiler *c)
{
    const char *behind = behind_brackets(c->text), *end = behind ? behind_members(behind) : NULL;

    if (!end || end == behind) {
        return false;
    }
    emit_typed(c, c->text, end);
    return true;
}

/* Whether the files that were added tell of variables. */
static bool variables_are_known(Machine *machine)
{
    g_autoptr(GArray) files = symbols_list(machine);

    for (guint i = 0; i < files->len; i++) {
        if (g_array_index(files, SymbolFileInfo, i).lines) {
            return true;
        }
    }
    return false;
}

/* A variable, or members of one: found where the breakpoint is, when it is hit. */
static bool take_typed_name(Compiler *c, const char *start)
{
    size_t plain = strcspn(start, ".@");
    const char *name_end = c->text < start + plain ? c->text : start + plain,
               *end = behind_members(name_end);
    g_autofree char *name = g_strndup(start, (gsize)(name_end - start));
    Symbol symbol;

    if (end == name_end && (symbols_find(c->vcpu->machine, c->vcpu, name, &symbol, 1) ||
                            !variables_are_known(c->vcpu->machine))) {
        return false;
    }
    emit_typed(c, start, end);
    return true;
}

static bool compile_name(Compiler *c)
{
    const char *start = c->text;
    static const struct {
        const char *name;
        Op op;
    } specials[] = {
        { "value", OP_VALUE }, { "old", OP_OLD }, { "address", OP_ADDRESS }, { "cpu", OP_CPU }
    };
    g_autofree char *name = take_name(c, "_.@");
    uint64_t address;

    for (size_t i = 0; i < G_N_ELEMENTS(specials); i++) {
        if (strcmp(name, specials[i].name) == 0) {
            emit(c, specials[i].op, 0);
            return true;
        }
    }
    if (take_typed_name(c, start)) {
        return true;
    }
    if (!symbols_address(c->vcpu->machine, c->vcpu, name, &address, c->error)) {
        return false;
    }
    emit(c, OP_NUMBER, (int64_t)address);
    return true;
}

static bool compile_number(Compiler *c)
{
    char *end;
    uint64_t value;

    errno = 0;
    value = strtoull(c->text, &end, 0);
    if (end == c->text || errno || g_ascii_isalnum(*end)) {
        return fail(c, "this is not a number");
    }
    c->text = end;
    emit(c, OP_NUMBER, (int64_t)value);
    return true;
}

/* "(TYPE *)", if it is one. */
static bool take_cast(Compiler *c, int *bytes)
{
    const char *before = c->text;

    if (take(c, "(")) {
        skip_space(c);
        for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
            if (take(c, types[i].name) && take(c, "*") && take(c, ")")) {
                *bytes = types[i].bytes;
                return true;
            }
            c->text = before;
            take(c, "(");
        }
    }
    c->text = before;
    return false;
}

static bool compile_unary(Compiler *c);

static bool compile_load(Compiler *c)
{
    int bytes = 8;

    skip_space(c);
    take_cast(c, &bytes);
    if (!compile_unary(c)) {
        return false;
    }
    emit(c, OP_LOAD, bytes);
    return true;
}

static bool compile_prefix(Compiler *c, Op op)
{
    c->text++;
    if (!compile_unary(c)) {
        return false;
    }
    emit(c, op, 0);
    return true;
}

static bool compile_operand(Compiler *c)
{
    skip_space(c);
    switch (*c->text) {
    case '-':
        return compile_prefix(c, OP_NEGATE);
    case '~':
        return compile_prefix(c, OP_NOT);
    case '!':
        return compile_prefix(c, OP_LOGICAL);
    case '*':
        c->text++;
        return compile_load(c);
    case '&':
        c->text++;
        skip_space(c);
        return compile_name(c);
    case '(':
        if (take_typed_brackets(c)) {
            return true;
        }
        c->text++;
        return compile_level(c, 0) && (take(c, ")") || fail(c, "a ')' is missing"));
    case '$':
        return compile_register(c);
    case '\'':
        if (!c->text[1] || c->text[2] != '\'') {
            return fail(c, "this is no character");
        }
        emit(c, OP_NUMBER, (uint8_t)c->text[1]);
        c->text += 3;
        return true;
    }
    return g_ascii_isalpha(*c->text) || *c->text == '_' ? compile_name(c) : compile_number(c);
}

static bool compile_unary(Compiler *c)
{
    bool ok;

    if (++c->depth > DEPTH_MAX || c->code->len > CODE_MAX) {
        return fail(c, "it is too long");
    }
    ok = compile_operand(c);
    c->depth--;
    return ok;
}

/* The operator of that level that comes next, or -1. */
static int take_operator(Compiler *c, unsigned level)
{
    skip_space(c);
    for (size_t i = 0; i < G_N_ELEMENTS(operators); i++) {
        if (g_str_has_prefix(c->text, operators[i].name)) {
            if (operators[i].level != level) {
                return -1;
            }
            c->text += strlen(operators[i].name);
            return (int)i;
        }
    }
    return -1;
}

/* The right side of && and || is skipped when the left decides. */
static bool compile_logical(Compiler *c, unsigned level)
{
    unsigned at = c->code->len;

    emit(c, level == 0 ? OP_SKIP_IF : OP_SKIP_UNLESS, 0);
    emit(c, OP_DROP, 0);
    if (!compile_level(c, level + 1)) {
        return false;
    }
    emit(c, OP_LOGICAL, 0);
    emit(c, OP_LOGICAL, 0);
    g_array_index(c->code, Instruction, at).number = c->code->len - at - 1;
    return true;
}

static bool compile_level(Compiler *c, unsigned level)
{
    int operator;

    if (level == LEVELS) {
        return compile_unary(c);
    }
    if (!compile_level(c, level + 1)) {
        return false;
    }
    while ((operator= take_operator(c, level)) >= 0) {
        if (level <= 1) {
            if (!compile_logical(c, level)) {
                return false;
            }
        } else if (!compile_level(c, level + 1)) {
            return false;
        } else {
            emit(c, OP_BINARY, operator);
        }
    }
    if (level == 0 && take(c, "?")) {
        if (!compile_level(c, 0) || !(take(c, ":") || fail(c, "a ':' is missing")) ||
            !compile_level(c, 0)) {
            return false;
        }
        emit(c, OP_CHOOSE, 0);
    }
    return true;
}

Condition *condition_compile(const char *text, Vcpu *vcpu, GError **error)
{
    Compiler c = { .text = text, .start = text, .vcpu = vcpu, .error = error };
    Condition *condition;

    c.code = g_array_new(false, false, sizeof(Instruction));
    c.typed = g_ptr_array_new_with_free_func(g_free);
    if (!compile_level(&c, 0) || (skip_space(&c), *c.text && !fail(&c, "this does not belong"))) {
        g_array_unref(c.code);
        g_ptr_array_unref(c.typed);
        return NULL;
    }
    condition = g_new(Condition, 1);
    *condition = (Condition){ g_strstrip(g_strdup(text)), c.code, c.typed, c.tasks, c.finder };
    return condition;
}

void condition_symbols_changed(Condition *condition, Machine *machine)
{
    LinuxKernel *kernel = condition && condition->tasks ? linux_kernel_known(machine) : NULL;
    LinuxTaskFinder finder = { 0 };

    if (kernel) {
        linux_task_finder(kernel, &finder, NULL);
    }
    if (condition && condition->tasks) {
        machine_exclusive_begin(machine);
        condition->finder = finder;
        machine_exclusive_end(machine);
    }
}

void condition_free(Condition *condition)
{
    if (condition) {
        g_array_unref(condition->code);
        g_ptr_array_unref(condition->typed);
        g_free(condition->text);
        g_free(condition);
    }
}

const char *condition_text(const Condition *condition)
{
    return condition->text;
}

bool condition_is_typed(const Condition *condition)
{
    return condition && condition->typed->len;
}

static int64_t read_register(Vcpu *vcpu, const TargetRegister *reg)
{
    uint8_t bytes[TARGET_REGISTER_BYTES_MAX];

    target_register_read(vcpu, reg, bytes);
    return (int64_t)(load_le64(bytes) & bits_mask(MIN(reg->bits, 64)));
}

static bool load(Vcpu *vcpu, int64_t *top, int64_t bytes)
{
    uint8_t buffer[8] = { 0 };
    size_t size = (size_t)(bytes < 0 ? -bytes : bytes);

    if (debug_read(vcpu, false, (uint64_t)*top, buffer, size, true) < size) {
        return false;
    }
    *top = (int64_t)load_le64(buffer);
    if (bytes < 0) {
        *top = bits_sign_extend((uint64_t)*top, 8 * (unsigned)size);
    }
    return true;
}

static bool divide(int64_t *left, int64_t right, bool rest)
{
    if (!right) {
        return false;
    }
    if (right == -1) { /* INT64_MIN / -1 does not fit */
        *left = rest ? 0 : (int64_t) - (uint64_t)*left;
    } else {
        *left = rest ? *left % right : *left / right;
    }
    return true;
}

/*
 * Addresses are compared more often than negative numbers: < and its kin are unsigned, unless a typed value is signed: then what is less than the other is
 * so when both are moved up by half of all numbers.
 */
static bool apply(const char *name, int64_t *left, int64_t right, bool is_signed)
{
    uint64_t bias = is_signed && (name[0] == '<' || name[0] == '>') && name[1] != name[0]
                        ? UINT64_C(1) << 63
                        : 0;
    uint64_t a = (uint64_t)*left ^ bias, b = (uint64_t)right ^ bias;

    switch (name[0] << 8 | name[1]) {
    case '|' << 8:
        a |= b;
        break;
    case '^' << 8:
        a ^= b;
        break;
    case '&' << 8:
        a &= b;
        break;
    case '=' << 8 | '=':
        a = a == b;
        break;
    case '!' << 8 | '=':
        a = a != b;
        break;
    case '<' << 8 | '<':
        a = b < 64 ? a << b : 0;
        break;
    case '>' << 8 | '>':
        a = b < 64 ? a >> b : 0;
        break;
    case '<' << 8 | '=':
        a = a <= b;
        break;
    case '>' << 8 | '=':
        a = a >= b;
        break;
    case '<' << 8:
        a = a < b;
        break;
    case '>' << 8:
        a = a > b;
        break;
    case '+' << 8:
        a += b;
        break;
    case '-' << 8:
        a -= b;
        break;
    case '*' << 8:
        a *= b;
        break;
    default:
        return divide(left, right, name[0] == '%');
    }
    *left = (int64_t)a;
    return true;
}

typedef struct {
    Vcpu *vcpu;
    const ConditionValues *values;
    const Condition *condition;
    int64_t stack[STACK_MAX];
    bool is_signed[STACK_MAX]; /* it is of a signed type */
    unsigned top;              /* entries in use */
} Evaluation;

/* A typed value goes on the stack. */
static bool push_typed(Evaluation *e, const char *text)
{
    g_autoptr(GError) error = NULL;
    TypedValue value;
    uint64_t number;

    if (e->top == STACK_MAX || !typed_evaluate(e->vcpu, text, &value, &error) ||
        !typed_number(e->vcpu, &value, &number, &e->is_signed[e->top], &error)) {
        return false;
    }
    e->stack[e->top++] = (int64_t)number;
    return true;
}

static int64_t operand(const Evaluation *e, const Instruction *i)
{
    switch (i->op) {
    case OP_REGISTER:
        return read_register(e->vcpu, i->reg);
    case OP_PC:
        return (int64_t)e->vcpu->target->get_pc(e->vcpu);
    case OP_VALUE:
        return (int64_t)e->values->value;
    case OP_OLD:
        return (int64_t)e->values->old;
    case OP_ADDRESS:
        return (int64_t)e->values->address;
    case OP_CPU:
        return e->vcpu->index;
    case OP_PROCESS:
    case OP_THREAD:
        return linux_task_number(&e->condition->finder, e->vcpu, i->op == OP_PROCESS);
    default:
        return i->number;
    }
}

/* One op; *skip: how many to leave out behind it. false: it cannot be done. */
static bool step(Evaluation *e, const Instruction *i, int64_t *skip)
{
    int64_t *top = e->top ? &e->stack[e->top - 1] : NULL; /* NULL: this one puts the first there */

    switch (i->op) {
    case OP_LOAD:
        return load(e->vcpu, top, i->number);
    case OP_NEGATE:
        *top = (int64_t) - (uint64_t)*top;
        return true;
    case OP_NOT:
        *top = ~*top;
        return true;
    case OP_LOGICAL:
        *top = !*top;
        return true;
    case OP_BINARY:
        e->top--;
        e->is_signed[e->top - 1] |= e->is_signed[e->top];
        return apply(operators[i->number].name, top - 1, *top, e->is_signed[e->top - 1]);
    case OP_SKIP_IF:
    case OP_SKIP_UNLESS:
        *top = *top != 0;
        *skip = (*top != 0) == (i->op == OP_SKIP_IF) ? i->number : 0;
        return true;
    case OP_DROP:
        e->top--;
        return true;
    case OP_CHOOSE:
        top[-2] = top[-2] ? top[-1] : *top;
        e->top -= 2;
        return true;
    case OP_TYPED:
        return push_typed(e, g_ptr_array_index(e->condition->typed, (guint)i->number));
    default:
        if (e->top == STACK_MAX) {
            return false;
        }
        e->is_signed[e->top] = false;
        e->stack[e->top++] = operand(e, i);
        return true;
    }
}

bool condition_holds(const Condition *condition, Vcpu *vcpu, const ConditionValues *values)
{
    Evaluation e = { .vcpu = vcpu, .values = values, .condition = condition };

    for (unsigned i = 0; i < condition->code->len; i++) {
        int64_t skip = 0;

        if (!step(&e, &g_array_index(condition->code, Instruction, i), &skip)) {
            return true;
        }
        i += (unsigned)skip;
    }
    return e.stack[0] != 0;
}
