/* SPDX-License-Identifier: MIT */
/* Typed values as JSON, and that as text. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "debug/linux/linux.h"
#include "debug/memory.h"
#include "debug/symbols/symbols.h"
#include "monitor/command.h"
#include "monitor/typed.h"

enum { NODES_MAX = 20000, ELEMENTS_MAX = 200, DEPTH_MAX = 24, TEXT_MAX = 4096 };

typedef struct {
    Vcpu *vcpu;
    const Types *types;
    unsigned nodes; /* made so far */
} Shower;

static json_t *show(Shower *s, uint32_t number, uint64_t address, unsigned bit_offset,
                    unsigned bit_size, unsigned depth);

static bool read_bytes(Shower *s, uint64_t address, void *buffer, size_t size)
{
    LinuxKernel *kernel = linux_kernel_known(s->vcpu->machine);

    return (kernel && address >> 63 && linux_read(kernel, address, buffer, size)) ||
           debug_memory_read_virtual(s->vcpu, address, buffer, size);
}

static json_t *show_pointer(Shower *s, uint64_t value)
{
    g_autofree char *symbol = value ? symbols_describe(s->vcpu->machine, s->vcpu, value) : NULL;
    g_autofree char *text = g_strdup_printf("0x%" PRIx64 "%s%s%s", value, symbol ? " <" : "",
                                            symbol ? symbol : "", symbol ? ">" : "");

    return monitor_string(text);
}

static json_t *show_enum(Shower *s, const Type *type, uint64_t value)
{
    int64_t is = type->encoding & TYPE_SIGNED ? bits_sign_extend(value, 8 * CLAMP(type->size, 1, 8))
                                              : (int64_t)value;

    for (uint32_t i = 0; i < type->count; i++) {
        const TypeEnumerator *e =
            &g_array_index(s->types->enumerators, TypeEnumerator, type->first + i);

        if (e->value == is) {
            return monitor_string(types_name(s->types, e->name));
        }
    }
    return json_integer(is);
}

/* JSON knows neither infinities nor what is no number. */
static json_t *show_float(const Type *type, uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    double value;
    float narrow;
    g_autofree char *text = NULL;

    if (type->size == 4) {
        memcpy(&narrow, &low, sizeof narrow);
        value = (double)narrow;
    } else if (type->size == 8) {
        memcpy(&value, &bits, sizeof value);
    } else {
        return json_string("…");
    }
    if (isfinite(value)) {
        return json_real(value);
    }
    text = g_strdup_printf("%f", value);
    return json_string(text);
}

static json_t *show_scalar(Shower *s, const Type *type, uint64_t value, unsigned bits)
{
    if (type->kind == TYPE_POINTER) {
        return show_pointer(s, value);
    }
    if (type->kind == TYPE_ENUM) {
        return show_enum(s, type, value);
    }
    if (type->kind == TYPE_FLOAT) {
        return show_float(type, value);
    }
    if (type->encoding & TYPE_BOOL) {
        return json_boolean(value);
    }
    if (type->encoding & TYPE_SIGNED) {
        return json_integer(bits_sign_extend(value, CLAMP(bits, 1, 64)));
    }
    if (value >> 63) { /* JSON's integers are signed */
        return show_pointer(s, value);
    }
    return json_integer(value);
}

static json_t *show_members(Shower *s, const Type *type, uint64_t address, unsigned depth)
{
    json_t *object = json_object();

    for (uint32_t i = 0; i < type->count && s->nodes < NODES_MAX; i++) {
        const TypeMember *member = &g_array_index(s->types->members, TypeMember, type->first + i);
        const char *name = types_name(s->types, member->name);
        json_t *value = show(s, member->type, address + member->bit_offset / 8,
                             member->bit_offset % 8, member->bit_size, depth + 1);

        if (*name) {
            json_object_set_new(object, name, value);
        } else { /* an anonymous one: its members are ours */
            json_object_update_missing(object, value);
            json_decref(value);
        }
    }
    return object;
}

/* Arrays of char that hold text. */
static json_t *show_text(Shower *s, uint64_t address, uint64_t count)
{
    char text[TEXT_MAX + 1];
    size_t n = MIN(count, TEXT_MAX);

    if (!read_bytes(s, address, text, n)) {
        return NULL;
    }
    text[n] = '\0';
    n = strlen(text);
    for (size_t i = 0; i < n; i++) {
        if (!g_ascii_isprint(text[i]) && !g_ascii_isspace(text[i])) {
            return NULL;
        }
    }
    return monitor_string(text);
}

static json_t *show_array(Shower *s, const Type *type, uint64_t address, unsigned depth)
{
    const Type *element = types_get(s->types, types_resolve(s->types, type->target));
    uint64_t size = types_size(s->types, type->target);
    json_t *list =
        element->kind == TYPE_INT && element->size == 1 ? show_text(s, address, type->size) : NULL;

    if (list) {
        return list;
    }
    list = json_array();
    for (uint32_t i = 0; i < MIN(type->size, ELEMENTS_MAX) && s->nodes < NODES_MAX && size; i++) {
        json_array_append_new(list, show(s, type->target, address + i * size, 0, 0, depth + 1));
    }
    if (type->size > ELEMENTS_MAX) {
        json_array_append_new(list, json_string("…"));
    }
    return list;
}

static json_t *show(Shower *s, uint32_t number, uint64_t address, unsigned bit_offset,
                    unsigned bit_size, unsigned depth)
{
    const Type *type = types_get(s->types, types_resolve(s->types, number));
    uint64_t size = types_size(s->types, number);
    uint8_t bytes[16] = { 0 };
    unsigned bits = bit_size ? bit_size : 8 * MIN(size, 8);

    if (s->nodes++ >= NODES_MAX || depth > DEPTH_MAX) {
        return json_string("…");
    }
    if (type->kind == TYPE_STRUCT || type->kind == TYPE_UNION) {
        return show_members(s, type, address, depth);
    }
    if (type->kind == TYPE_ARRAY) {
        return show_array(s, type, address, depth);
    }
    if (!size || !read_bytes(s, address, bytes, (bit_offset + bits + 7) / 8)) {
        return json_null();
    }
    return show_scalar(s, type,
                       (load_le64(bytes) >> bit_offset |
                        (bit_offset ? (uint64_t)bytes[8] << (64 - bit_offset) : 0)) &
                           bits_mask(bits),
                       bits);
}

json_t *typed_json(Vcpu *vcpu, const TypedValue *value)
{
    Shower shower = { vcpu, value->types };
    const Type *type = types_get(value->types, types_resolve(value->types, value->type));
    uint64_t pointer = value->value;

    if (value->stars) {
        if (value->in_memory && !read_bytes(&shower, value->address, &pointer, 8)) {
            return json_null();
        }
        return show_pointer(&shower, pointer);
    }
    if (!value->in_memory) {
        return show_scalar(&shower, type, value->value,
                           8 * CLAMP(types_size(value->types, value->type), 1, 8));
    }
    return show(&shower, value->type, value->address, value->bit_offset, value->bit_size, 0);
}

static void print_indented(json_t *json, unsigned depth, GString *out)
{
    const char *name;
    json_t *member;
    size_t i;

    if (json_is_object(json)) {
        g_string_append(out, "{\n");
        json_object_foreach(json, name, member)
        {
            g_string_append_printf(out, "%*s%s = ", 2 * (int)depth + 2, "", name);
            print_indented(member, depth + 1, out);
            g_string_append(out, ",\n");
        }
        g_string_append_printf(out, "%*s}", 2 * (int)depth, "");
    } else if (json_is_array(json)) {
        g_string_append_c(out, '{');
        json_array_foreach(json, i, member)
        {
            g_string_append(out, i ? ", " : "");
            print_indented(member, depth, out);
        }
        g_string_append_c(out, '}');
    } else if (json_is_string(json)) {
        const char *text = json_string_value(json);
        bool plain = g_str_has_prefix(text, "0x") || !strcmp(text, "…");
        g_autofree char *escaped = g_strescape(text, NULL);

        g_string_append_printf(out, plain ? "%s" : "\"%s\"", plain ? text : escaped);
    } else if (json_is_null(json)) {
        g_string_append(out, "<not mapped>");
    } else if (json_is_boolean(json)) {
        g_string_append(out, json_is_true(json) ? "true" : "false");
    } else if (json_is_real(json)) {
        g_string_append_printf(out, "%.17g", json_real_value(json));
    } else {
        g_string_append_printf(out, "%" PRId64, (int64_t)json_integer_value(json));
    }
}

void typed_print(json_t *json, GString *out)
{
    print_indented(json, 0, out);
    g_string_append_c(out, '\n');
}
