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

enum { TYPED_DEPTH_MAX = 64 };

typedef struct {
    const char *text;
    Vcpu *vcpu;
    LinuxKernel *kernel; /* NULL: there is none */
    Types *types;        /* its; NULL: it has none */
    unsigned depth;
    GError **error;
} Typed;

static bool typed_unary(Typed *t, TypedValue *value);

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

/* The name that a text begins with, behind what may come before a variable; NULL. Caller frees. */
static char *first_name(const char *text)
{
    const char *start = text + strspn(text, " *&("), *end = start;

    while (g_ascii_isalnum(*end) || *end == '_') {
        end++;
    }
    return g_ascii_isdigit(*start) || end == start || (*end && strchr("!@", *end))
               ? NULL
               : g_strndup(start, (gsize)(end - start));
}

bool typed_is_typed(Vcpu *vcpu, const char *text)
{
    static const char *const tags[] = { "struct", "union", "enum", "current" };
    g_autofree char *name = NULL;
    ProgramVariable variable;

    for (const char *c = text; *c; c++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(tags); i++) {
            if ((c == text || !(g_ascii_isalnum(c[-1]) || c[-1] == '_')) &&
                starts_name(c, tags[i])) {
                return true;
            }
        }
    }
    if (strstr(text, "->") || strstr(text, "*)")) {
        return true;
    }
    name = first_name(text);
    return vcpu && name && program_variable(vcpu, name, &variable);
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
    uint64_t size;
    int64_t index;

    if (!expression_evaluate(&t->text, t->vcpu, &index, t->error)) {
        return false;
    }
    skip_space(t);
    if (*t->text++ != ']') {
        return error_fail(t->error, KASO_ERROR_INVALID, "the expression lacks a ']'");
    }
    if (!dereference(t, v)) {
        return false;
    }
    size = v->stars ? v->types->pointer_bytes : types_size(v->types, v->type);
    v->address += (uint64_t)index * size;
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
        starts_name(t->text, "enum")) {
        return error_fail(t->error, KASO_ERROR_NOT_FOUND, "there is no type '%.*s'",
                          (int)strcspn(t->text, ")"), t->text);
    }
    if (!typed_unary(t, value)) {
        return false;
    }
    skip_space(t);
    if (*t->text++ != ')') {
        return error_fail(t->error, KASO_ERROR_INVALID,
                          "the expression lacks a ')', or that is no type");
    }
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

static bool typed_plain(Typed *t, TypedValue *value)
{
    static const char *const names[] = { "unsigned long", "long unsigned int" };
    Types *types = t->types;
    unsigned stars;
    int64_t number;

    *value = (TypedValue){ 0 };
    if (!expression_evaluate_unary(&t->text, t->vcpu, &number, t->error)) {
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(names) && !value->type; i++) {
        if (!t->types || !types_find(types, names[i], &value->type, &stars)) {
            program_type(t->vcpu->machine, names[i], &types, &value->type, &stars);
        }
    }
    value->types = types;
    value->value = (uint64_t)number;
    return types || error_fail(t->error, KASO_ERROR_UNSUPPORTED, "no types are known");
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

static bool typed_any(Typed *t, TypedValue *value)
{
    bool found;

    skip_space(t);
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
    if (!typed_variable(t, value, &found) || found) {
        return found;
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

bool typed_evaluate(Vcpu *vcpu, const char *text, TypedValue *value, GError **error)
{
    g_autoptr(GError) none = NULL;
    Types *program = NULL;
    unsigned stars;
    uint32_t number;
    bool known = program_type(vcpu->machine, "void *", &program, &number, &stars);
    /* Where a program's types are known, no kernel is searched for: conditions are judged often. */
    LinuxKernel *kernel =
        known ? linux_kernel_known(vcpu->machine) : linux_kernel_find(vcpu->machine, &none);
    Typed t = { .text = text, .vcpu = vcpu, .kernel = kernel, .error = error };

    t.types = kernel ? linux_types(kernel, &none) : NULL;
    if (!t.types && !known) {
        g_propagate_error(error, g_steal_pointer(&none));
        return false;
    }
    if (!typed_unary(&t, value)) {
        return false;
    }
    skip_space(&t);
    return !*t.text ||
           error_fail(error, KASO_ERROR_INVALID,
                      "'%s' is too much: typed expressions have no sums; use brackets", t.text);
}
