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
#include "monitor/expression.h"

enum { TYPED_DEPTH_MAX = 64 };

typedef struct {
    const char *text;
    Vcpu *vcpu;
    LinuxKernel *kernel;
    Types *types;
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

bool typed_is_typed(const char *text)
{
    static const char *const tags[] = { "struct", "union", "enum", "current" };

    for (const char *c = text; *c; c++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(tags); i++) {
            if ((c == text || !(g_ascii_isalnum(c[-1]) || c[-1] == '_')) &&
                starts_name(c, tags[i])) {
                return true;
            }
        }
    }
    return strstr(text, "->") || strstr(text, "*)");
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

/* The value as a number. */
static bool number_of(Typed *t, const TypedValue *v, uint64_t *number)
{
    const Type *type = types_get(v->types, types_resolve(v->types, v->type));

    if (!v->in_memory) {
        *number = v->value;
        return true;
    }
    if (!v->stars &&
        (type->kind == TYPE_STRUCT || type->kind == TYPE_UNION || type->kind == TYPE_ARRAY)) {
        *number = v->address;
        return true;
    }
    return load_scalar(t->vcpu, v, number) ||
           error_fail(t->error, KASO_ERROR_INVALID, "nothing is mapped at %#" PRIx64, v->address);
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

    if (!name || !types_find(t->types, name, &v->type, &v->stars)) {
        return false;
    }
    t->text = end + 1;
    return true;
}

static bool typed_parenthesis(Typed *t, TypedValue *value)
{
    TypedValue cast = { .types = t->types };

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
        return error_fail(t->error, KASO_ERROR_NOT_FOUND, "the kernel has no type '%.*s'",
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
    if (!linux_task_current(t->kernel, t->vcpu, &task)) {
        return error_fail(t->error, KASO_ERROR_NOT_FOUND,
                          "the task that CPU %u runs is not known now", t->vcpu->index);
    }
    *value = (TypedValue){ .types = t->types,
                           .type = types_find_kind(t->types, TYPE_STRUCT, "task_struct"),
                           .stars = 1,
                           .value = task.address };
    return typed_postfix(t, value);
}

static bool typed_number(Typed *t, TypedValue *value)
{
    unsigned stars;
    int64_t number;

    *value = (TypedValue){ .types = t->types };
    if (!expression_evaluate_unary(&t->text, t->vcpu, &number, t->error)) {
        return false;
    }
    if (!types_find(t->types, "unsigned long", &value->type, &stars)) {
        types_find(t->types, "long unsigned int", &value->type, &stars);
    }
    value->value = number;
    return true;
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
    return starts_name(t->text, "current") ? typed_current(t, value) : typed_number(t, value);
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
    LinuxKernel *kernel = linux_kernel_find(vcpu->machine, error);
    Typed t = { .text = text, .vcpu = vcpu, .kernel = kernel, .error = error };

    t.types = kernel ? linux_types(kernel, error) : NULL;
    if (!t.types || !typed_unary(&t, value)) {
        return false;
    }
    skip_space(&t);
    return !*t.text ||
           error_fail(error, KASO_ERROR_INVALID,
                      "'%s' is too much: typed expressions have no sums; use brackets", t.text);
}
