/* SPDX-License-Identifier: MIT */
/* Expressions with C types; see the header. */
#include "monitor/typed.h"

#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "debug/linux/linux.h"
#include "debug/linux/tasks.h"
#include "debug/memory.h"
#include "debug/variables.h"
#include "monitor/expression.h"

enum { TYPED_DEPTH_MAX = 64, REPEAT_MAX = 65536 };

typedef struct {
    const char *text;
    Vcpu *vcpu;
    LinuxKernel *kernel; /* NULL: there is none */
    Types *types;        /* its; NULL: it has none */
    unsigned depth;
    GError **error;
} Typed;

static bool typed_unary(Typed *t, TypedValue *value);
static bool typed_binary(Typed *t, unsigned level, TypedValue *value);

static void skip_space(Typed *t)
{
    while (g_ascii_isspace(*t->text)) {
        t->text++;
    }
}

static bool starts_name(const char *text, const char *name)
{
    size_t n = strlen(name);

    return !strncmp(text, name, n) && !g_ascii_isalnum(text[n]) && text[n] != '_';
}

static bool is_name_character(char c)
{
    return g_ascii_isalnum(c) || c == '_';
}

/* The name that a text begins with, unless it is one of "FILE!NAME"; NULL. Caller frees. */
static char *first_name(const char *text)
{
    const char *end = text;

    while (is_name_character(*end)) {
        end++;
    }
    return g_ascii_isdigit(*text) || end == text || *end == '!'
               ? NULL
               : g_strndup(text, (gsize)(end - text));
}

/* Whether the name at c is behind "FILE!". */
static bool is_of_file(const char *text, const char *c)
{
    return c - text >= 2 && c[-1] == '!' && is_name_character(c[-2]);
}

/* Whether a name in the text, which is no register or member, is that of a variable. */
static bool has_variable(Vcpu *vcpu, const char *text)
{
    for (const char *c = text; *c;) {
        g_autofree char *name = first_name(c);
        bool starts = c == text || (!strchr("$.>'", c[-1]) && !is_of_file(text, c));
        ProgramVariable variable;

        if (starts && name && program_variable(vcpu, name, &variable)) {
            return true;
        }
        c++;
        while (is_name_character(c[-1]) && is_name_character(*c)) {
            c++;
        }
    }
    return false;
}

/* "(int)$x0": C's own types, and those that a kernel has for them. */
static bool is_plain_cast(const char *text)
{
    static const char *const types[] = {
        "int", "long", "short", "char", "unsigned", "signed", "u8",
        "u16", "u32",  "u64",   "s8",   "s16",      "s32",    "s64"
    };

    for (unsigned i = 0; *text == '(' && i < G_N_ELEMENTS(types); i++) {
        if (starts_name(text + 1, types[i])) {
            return true;
        }
    }
    return false;
}

bool typed_is_typed(Vcpu *vcpu, const char *text)
{
    static const char *const tags[] = { "struct", "union", "enum", "current" };

    for (const char *c = text; *c; c++) {
        if (is_plain_cast(c)) {
            return true;
        }
        for (unsigned i = 0; i < G_N_ELEMENTS(tags); i++) {
            if ((c == text || !(is_name_character(c[-1]) || strchr("$.>", c[-1]))) &&
                starts_name(c, tags[i])) {
                return true;
            }
        }
    }
    return strstr(text, "->") || strstr(text, "*)") || (vcpu && has_variable(vcpu, text));
}

static bool typed_read(Vcpu *vcpu, uint64_t address, void *buffer, size_t size)
{
    LinuxKernel *kernel = linux_kernel_known(vcpu->machine);

    return (kernel && address >> 63 && linux_read(kernel, address, buffer, size)) ||
           debug_memory_read_virtual(vcpu, address, buffer, size);
}

/* A scalar in memory, a bit field included. false: nothing is mapped there. */
static bool load_scalar(Vcpu *vcpu, const TypedValue *v, uint64_t *scalar)
{
    uint64_t size = v->stars ? v->types->pointer_bytes : types_size(v->types, v->type);
    uint64_t at = v->address + v->bit_offset / 8;
    uint8_t bytes[16] = { 0 };
    unsigned shift = v->bit_offset % 8, bits = v->bit_size ? v->bit_size : 8 * MIN(size, 8);

    if (!typed_read(vcpu, at, bytes, (shift + bits + 7) / 8)) {
        return false;
    }
    *scalar = load_le64(bytes) >> shift | (shift ? (uint64_t)bytes[8] << (64 - shift) : 0);
    *scalar &= bits_mask(bits);
    return true;
}

bool typed_number(Vcpu *vcpu, const TypedValue *v, uint64_t *number, bool *is_signed,
                  GError **error)
{
    const Type *type = types_get(v->types, types_resolve(v->types, v->type));
    unsigned bits = v->bit_size ? v->bit_size : 8 * (unsigned)CLAMP(type->size, 1, 8);

    *is_signed = !v->stars && type->kind == TYPE_INT && type->encoding & TYPE_SIGNED;
    if (!v->stars && type->kind == TYPE_FLOAT) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "floating point numbers are shown, not calculated with");
    }
    *number = v->in_memory ? v->address : v->value;
    if (v->in_memory &&
        (v->stars ||
         (type->kind != TYPE_STRUCT && type->kind != TYPE_UNION && type->kind != TYPE_ARRAY)) &&
        !load_scalar(vcpu, v, number)) {
        return error_fail(error, KASO_ERROR_INVALID, "nothing is mapped at %#" PRIx64, v->address);
    }
    if (*is_signed) {
        *number = (uint64_t)bits_sign_extend(*number, bits);
    }
    return true;
}

/* The value as a number, a negative one too. */
static bool number_of(Typed *t, const TypedValue *v, uint64_t *number)
{
    bool is_signed;

    return typed_number(t->vcpu, v, number, &is_signed, t->error);
}

static bool dereference(Typed *t, TypedValue *v)
{
    const Type *type = types_get(v->types, types_resolve(v->types, v->type));
    uint64_t address;

    if (!v->stars && type->kind != TYPE_POINTER && type->kind != TYPE_ARRAY) {
        return error_fail(t->error, KASO_ERROR_INVALID, "that is no pointer");
    }
    if (!number_of(t, v, &address)) {
        return false;
    }
    if (v->stars) {
        v->stars--;
    } else {
        v->type = type->target;
    }
    v->in_memory = true;
    v->address = address;
    v->bit_offset = v->bit_size = 0;
    return true;
}

static bool take_member(Typed *t, TypedValue *v)
{
    const char *start = t->text;
    g_autofree char *name = NULL;
    TypePlace place;

    while (g_ascii_isalnum(*t->text) || *t->text == '_') {
        t->text++;
    }
    name = g_strndup(start, t->text - start);
    if (!*name || v->stars || !v->in_memory || !types_member(v->types, v->type, name, &place)) {
        g_autofree char *type = types_describe(v->types, v->type);

        return error_fail(t->error, KASO_ERROR_NOT_FOUND, "'%s' has no member '%s'", type, name);
    }
    v->type = place.type;
    v->address += place.bit_offset / 8;
    v->bit_size = place.bit_size;
    v->bit_offset = place.bit_offset % 8;
    return true;
}

static bool take_index(Typed *t, TypedValue *v)
{
    uint64_t size, index;
    TypedValue by;

    if (!typed_binary(t, 0, &by) || !number_of(t, &by, &index)) {
        return false;
    }
    skip_space(t);
    if (*t->text != ']') {
        return error_fail(t->error, KASO_ERROR_INVALID, "the expression lacks a ']'");
    }
    t->text++;
    if (!dereference(t, v)) {
        return false;
    }
    size = v->stars ? v->types->pointer_bytes : types_size(v->types, v->type);
    v->address += index * size;
    return true;
}

static bool typed_postfix(Typed *t, TypedValue *v)
{
    for (;;) {
        skip_space(t);
        if (g_str_has_prefix(t->text, "->")) {
            t->text += 2;
            if (!dereference(t, v) || !take_member(t, v)) {
                return false;
            }
        } else if (*t->text == '.') {
            t->text++;
            if (!take_member(t, v)) {
                return false;
            }
        } else if (*t->text == '[') {
            t->text++;
            if (!take_index(t, v)) {
                return false;
            }
        } else {
            return true;
        }
    }
}

/* "(TYPE" up to the ")", when that is a type. */
static bool take_cast(Typed *t, TypedValue *v)
{
    const char *end = strchr(t->text, ')');
    g_autofree char *name = end ? g_strndup(t->text + 1, end - t->text - 1) : NULL;

    Types *types = t->types;

    if (!name || (!program_type(t->vcpu->machine, name, &types, &v->type, &v->stars) &&
                  (!t->types || !types_find(types = t->types, name, &v->type, &v->stars)))) {
        return false;
    }
    v->types = types;
    t->text = end + 1;
    return true;
}

/* "u64 *)": that must be a type. */
static bool ends_in_star(const char *text)
{
    size_t n = strcspn(text, "()");

    while (n && g_ascii_isspace(text[n - 1])) {
        n--;
    }
    return n && text[n - 1] == '*' && text[strcspn(text, "()")] == ')';
}

static bool typed_parenthesis(Typed *t, TypedValue *value)
{
    TypedValue cast = { 0 };

    if (take_cast(t, &cast)) {
        uint64_t number;

        if (!typed_unary(t, value) || !number_of(t, value, &number)) {
            return false;
        }
        *value = cast;
        value->value = number;
        return true;
    }
    t->text++;
    if (starts_name(t->text, "struct") || starts_name(t->text, "union") ||
        starts_name(t->text, "enum") || ends_in_star(t->text)) {
        return error_fail(t->error, KASO_ERROR_NOT_FOUND, "there is no type '%.*s'",
                          (int)strcspn(t->text, ")"), t->text);
    }
    if (!typed_binary(t, 0, value)) {
        return false;
    }
    skip_space(t);
    if (*t->text != ')') {
        return error_fail(t->error, KASO_ERROR_INVALID,
                          "the expression lacks a ')', or that is no type");
    }
    t->text++;
    return typed_postfix(t, value);
}

static bool typed_current(Typed *t, TypedValue *value)
{
    LinuxTask task;

    t->text += strlen("current");
    if (!t->kernel || !t->types || !linux_task_current(t->kernel, t->vcpu, &task)) {
        return error_fail(t->error, KASO_ERROR_NOT_FOUND,
                          "the task that CPU %u runs is not known now", t->vcpu->index);
    }
    *value = (TypedValue){ .types = t->types,
                           .type = types_find_kind(t->types, TYPE_STRUCT, "task_struct"),
                           .stars = 1,
                           .value = task.address };
    return typed_postfix(t, value);
}

/* A number of C's long, or unsigned long. */
static bool make_number(Typed *t, uint64_t number, bool is_signed, TypedValue *value)
{
    static const char *const names[2][2] = { { "unsigned long", "long unsigned int" },
                                             { "long", "long int" } };
    Types *types = t->types;
    unsigned stars;

    *value = (TypedValue){ .value = number };
    for (unsigned i = 0; i < 2 && !value->type; i++) {
        const char *name = names[is_signed][i];

        if (!t->types || !types_find(types = t->types, name, &value->type, &stars)) {
            program_type(t->vcpu->machine, name, &types, &value->type, &stars);
        }
    }
    value->types = types;
    return types || error_fail(t->error, KASO_ERROR_UNSUPPORTED, "no types are known");
}

static bool typed_plain(Typed *t, TypedValue *value)
{
    int64_t number;

    return expression_evaluate_unary(&t->text, t->vcpu, &number, t->error) &&
           make_number(t, (uint64_t)number, number >= 0, value);
}

/* A variable of a program whose types are known; found: it is one. */
static bool typed_variable(Typed *t, TypedValue *value, bool *found)
{
    g_autofree char *name = first_name(t->text);
    ProgramVariable variable;

    *found = name && (g_ascii_isalpha(*t->text) || *t->text == '_') &&
             program_variable(t->vcpu, name, &variable);
    if (!*found) {
        return true;
    }
    if (!variable.known) {
        return error_fail(t->error, KASO_ERROR_NOT_FOUND,
                          "'%s' has no place here: it was optimized out", name);
    }
    t->text += strlen(name);
    *value = (TypedValue){ .types = variable.types,
                           .type = variable.type,
                           .in_memory = variable.in_memory,
                           .address = variable.address,
                           .value = variable.value };
    return typed_postfix(t, value);
}

/* Of what is in memory; symbols are addresses already. */
static bool take_address(Typed *t, TypedValue *v)
{
    if (v->bit_size || (!v->in_memory && v->stars)) {
        return error_fail(t->error, KASO_ERROR_INVALID, "that has no address");
    }
    if (v->in_memory) {
        v->in_memory = false;
        v->value = v->address;
        v->stars++;
    }
    return true;
}

/* Of what is a number; the operator is at the text. */
static bool typed_sign(Typed *t, TypedValue *value)
{
    char sign = *t->text++;
    uint64_t number;

    return typed_unary(t, value) && number_of(t, value, &number) &&
           make_number(t,
                       sign == '-'   ? -number
                       : sign == '~' ? ~number
                                     : !number,
                       sign != '~', value);
}

static bool typed_any(Typed *t, TypedValue *value)
{
    bool found;

    skip_space(t);
    if (*t->text && strchr("-~!", *t->text)) {
        return typed_sign(t, value);
    }
    if (*t->text == '*') {
        t->text++;
        return typed_unary(t, value) && dereference(t, value);
    }
    if (*t->text == '&') {
        t->text++;
        return typed_unary(t, value) && take_address(t, value);
    }
    if (*t->text == '(') {
        return typed_parenthesis(t, value);
    }
    if (!typed_variable(t, value, &found)) {
        return false;
    }
    if (found) {
        return true;
    }
    return starts_name(t->text, "current") ? typed_current(t, value) : typed_plain(t, value);
}

static bool typed_unary(Typed *t, TypedValue *value)
{
    bool ok = ++t->depth < TYPED_DEPTH_MAX
                  ? typed_any(t, value)
                  : error_fail(t->error, KASO_ERROR_INVALID, "the expression is nested too deep");

    t->depth--;
    return ok;
}

/* What a pointer, or an array, points to; false: it is neither. */
static bool pointed_to(const TypedValue *v, TypedValue *to)
{
    const Type *type = types_get(v->types, types_resolve(v->types, v->type));

    *to = (TypedValue){ .types = v->types, .type = v->type, .stars = v->stars - 1 };
    if (!v->stars) {
        *to = (TypedValue){ .types = v->types, .type = type->target };
    }
    return v->stars || type->kind == TYPE_POINTER || type->kind == TYPE_ARRAY;
}

static uint64_t bytes_of(const TypedValue *v)
{
    return v->stars ? v->types->pointer_bytes : types_size(v->types, v->type);
}

static bool is_unsigned(const TypedValue *v, uint64_t number)
{
    const Type *type = types_get(v->types, types_resolve(v->types, v->type));

    return v->stars || type->kind == TYPE_POINTER ||
           (type->kind == TYPE_INT && !(type->encoding & TYPE_SIGNED) && type->size >= 8) ||
           (type->kind == TYPE_ARRAY && number >> 63);
}

static bool typed_apply(Typed *t, const char *name, TypedValue *left, const TypedValue *right)
{
    TypedValue left_to, right_to;
    bool sum = *name == '+' || *name == '-', left_points = pointed_to(left, &left_to);
    bool right_points = pointed_to(right, &right_to);
    uint64_t a, b, size;
    int64_t result;

    if (!number_of(t, left, &a) || !number_of(t, right, &b)) {
        return false;
    }
    size = MAX(bytes_of(&left_to), 1);
    if (sum && left_points && !right_points) {
        *left = left_to;
        left->stars++;
        left->value = *name == '+' ? a + b * size : a - b * size;
        return true;
    }
    if (*name == '-' && left_points && right_points) {
        return make_number(t, (uint64_t)((int64_t)(a - b) / (int64_t)size), true, left);
    }
    result = (int64_t)a;
    return expression_apply(name, &result, (int64_t)b, t->error) &&
           make_number(t, (uint64_t)result, !is_unsigned(left, a) && !is_unsigned(right, b), left);
}

static bool typed_binary(Typed *t, unsigned level, TypedValue *value)
{
    TypedValue right;
    const char *name;

    if (level == EXPRESSION_LEVELS) {
        return typed_unary(t, value);
    }
    if (!typed_binary(t, level + 1, value)) {
        return false;
    }
    while ((name = expression_operator(&t->text, level))) {
        if (*name == '-' && *t->text == '>') {
            return error_fail(t->error, KASO_ERROR_INVALID, "what is before '->' has no type");
        }
        if (!typed_binary(t, level + 1, &right) || !typed_apply(t, name, value, &right)) {
            return false;
        }
    }
    return true;
}

/* "@4" */
static bool typed_repeat(Typed *t, TypedValue *value)
{
    TypedValue by;
    uint64_t count;

    skip_space(t);
    if (*t->text != '@') {
        return true;
    }
    t->text++;
    if (!typed_binary(t, 0, &by) || !number_of(t, &by, &count)) {
        return false;
    }
    if (!value->in_memory || value->bit_size || !count || count > REPEAT_MAX) {
        return error_fail(t->error, KASO_ERROR_INVALID,
                          "'@' stands behind what is in memory, and before a number from 1 to %d: "
                          "*array@4",
                          REPEAT_MAX);
    }
    value->repeat = (unsigned)count;
    return true;
}

/* The program's types, or the kernel's, or both. */
static bool typed_begin(Typed *t, Vcpu *vcpu, const char *text, GError **error)
{
    g_autoptr(GError) none = NULL;
    Types *program = NULL;
    unsigned stars;
    uint32_t number;
    bool known = program_type(vcpu->machine, "void *", &program, &number, &stars);
    /* Where a program's types are known, no kernel is searched for: conditions are judged often. */
    LinuxKernel *kernel =
        known ? linux_kernel_known(vcpu->machine) : linux_kernel_find(vcpu->machine, &none);

    *t = (Typed){ .text = text, .vcpu = vcpu, .kernel = kernel, .error = error };
    t->types = kernel ? linux_types(kernel, &none) : NULL;
    if (!t->types && !known) {
        g_propagate_error(error, g_steal_pointer(&none));
        return false;
    }
    return true;
}

bool typed_evaluate(Vcpu *vcpu, const char *text, TypedValue *value, GError **error)
{
    Typed t;

    if (!typed_begin(&t, vcpu, text, error) || !typed_binary(&t, 0, value) ||
        !typed_repeat(&t, value)) {
        return false;
    }
    skip_space(&t);
    return !*t.text ||
           error_fail(error, KASO_ERROR_INVALID,
                      "'%s' is too much: it goes on with none of | ^ & << >> + - * / %% @", t.text);
}

bool typed_evaluate_number(Vcpu *vcpu, const char **text, uint64_t *number, GError **error)
{
    TypedValue value;
    Typed t;

    if (!typed_begin(&t, vcpu, *text, error) || !typed_binary(&t, 0, &value) ||
        !number_of(&t, &value, number)) {
        return false;
    }
    *text = t.text;
    return true;
}

char *typed_describe(const TypedValue *value)
{
    g_autofree char *type = types_describe(value->types, value->type);
    g_autofree char *stars = g_strnfill(MIN(value->stars, TYPES_DEPTH_MAX), '*');
    g_autofree char *repeat =
        value->repeat ? g_strdup_printf(" [%u]", value->repeat) : g_strdup("");
    bool pointer = g_str_has_suffix(type, "*");

    return g_strdup_printf("%s%s%s%s", type, *stars && !pointer ? " " : "", stars, repeat);
}
