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
#include "monitor/dump-format.h"
#include "monitor/typed.h"

enum { NODES_MAX = 20000, ELEMENTS_MAX = 200, DEPTH_MAX = 24, TEXT_MAX = 4096, POINTED_MAX = 200 };

typedef struct {
    Vcpu *vcpu;
    const Types *types;
    char format;    /* 's': pointers are texts, 'a': numbers are addresses */
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

static json_t *of_kind(const char *kind)
{
    json_t *object = json_object();

    monitor_put(object, "kind", json_string(kind));
    return object;
}

static json_t *show_integer(uint64_t value, unsigned bits, bool is_signed)
{
    json_t *object = of_kind("integer");

    monitor_put(object, "integer", json_integer((json_int_t)value));
    monitor_put(object, "bits", json_integer(bits));
    monitor_put(object, "signed", json_boolean(is_signed));
    return object;
}

static json_t *text_node(const char *text)
{
    json_t *object = of_kind("text");

    monitor_put(object, "text", monitor_string(text));
    return object;
}

/* What a pointer to char points to, as far as it is text; NULL. Caller frees. */
static char *pointed_text(Shower *s, uint64_t address)
{
    g_autoptr(GString) text = g_string_new(NULL);
    char c;

    while (text->len < POINTED_MAX && read_bytes(s, address + text->len, &c, 1) && c) {
        if (!g_ascii_isprint(c) && !g_ascii_isspace(c)) {
            return NULL;
        }
        g_string_append_c(text, c);
    }
    return text->len || read_bytes(s, address, &c, 1) ? g_string_free(g_steal_pointer(&text), FALSE)
                                                      : NULL;
}

static bool is_char(const Types *types, uint32_t number)
{
    const Type *type = types_get(types, types_resolve(types, number));

    return type->kind == TYPE_INT && type->size == 1 &&
           !strcmp(types_name(types, type->name), "char");
}

/* is_text: it points to char. */
static json_t *show_pointer(Shower *s, uint64_t value, bool is_text)
{
    g_autofree char *symbol = value ? symbols_describe(s->vcpu->machine, s->vcpu, value) : NULL;
    g_autofree char *text = value && (is_text || s->format == 's') ? pointed_text(s, value) : NULL;
    json_t *object;

    if (text && s->format == 's') {
        return text_node(text);
    }
    object = of_kind("address");
    monitor_put(object, "address", json_integer((json_int_t)value));
    if (symbol) {
        monitor_put(object, "symbol", monitor_string(symbol));
    }
    if (text) {
        monitor_put(object, "text", monitor_string(text));
    }
    return object;
}

static json_t *show_enum(Shower *s, const Type *type, uint64_t value)
{
    int64_t is = type->encoding & TYPE_SIGNED ? bits_sign_extend(value, 8 * CLAMP(type->size, 1, 8))
                                              : (int64_t)value;
    json_t *object = of_kind("enumerator");

    monitor_put(object, "integer", json_integer(is));
    for (uint32_t i = 0; i < type->count; i++) {
        const TypeEnumerator *e =
            &g_array_index(s->types->enumerators, TypeEnumerator, type->first + i);

        if (e->value == is) {
            monitor_put(object, "name", monitor_string(types_name(s->types, e->name)));
            break;
        }
    }
    return object;
}

/* JSON knows neither infinities nor what is no number. */
static json_t *show_float(const Type *type, uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    double value;
    float narrow;
    g_autofree char *text = NULL;
    json_t *object;

    if (type->size == 4) {
        memcpy(&narrow, &low, sizeof narrow);
        value = (double)narrow;
    } else if (type->size == 8) {
        memcpy(&value, &bits, sizeof value);
    } else {
        return of_kind("cut");
    }
    object = of_kind("float");
    if (isfinite(value)) {
        monitor_put(object, "float", json_real(value));
    } else {
        text = g_strdup_printf("%f", value);
        monitor_put(object, "special", json_string(text));
    }
    return object;
}

static json_t *show_scalar(Shower *s, const Type *type, uint64_t value, unsigned bits)
{
    json_t *object;

    bits = CLAMP(bits, 1, 64);
    if (type->kind == TYPE_POINTER || s->format == 'a') {
        return show_pointer(s, value,
                            type->kind == TYPE_POINTER && is_char(s->types, type->target));
    }
    if (type->kind == TYPE_ENUM) {
        return show_enum(s, type, value);
    }
    if (type->kind == TYPE_FLOAT) {
        return show_float(type, value);
    }
    if (type->encoding & TYPE_BOOL) {
        object = of_kind("boolean");
        monitor_put(object, "boolean", json_boolean(value));
        return object;
    }
    if (type->encoding & TYPE_SIGNED) {
        value = (uint64_t)bits_sign_extend(value, bits);
    }
    object = show_integer(value, bits, type->encoding & TYPE_SIGNED);
    if (type->size == 1 && !strcmp(types_name(s->types, type->name), "char")) {
        monitor_put(object, "character", json_true());
    }
    return object;
}

/* Members of anonymous ones are their outer one's. */
static void add_members(Shower *s, json_t *list, const Type *type, uint64_t address, unsigned depth)
{
    for (uint32_t i = 0; i < type->count && s->nodes < NODES_MAX; i++) {
        const TypeMember *member = &g_array_index(s->types->members, TypeMember, type->first + i);
        const char *name = types_name(s->types, member->name);
        json_t *value = show(s, member->type, address + member->bit_offset / 8,
                             member->bit_offset % 8, member->bit_size, depth + 1);
        json_t *inner = json_object_get(value, "members");

        if (!*name && inner) {
            json_array_extend(list, inner);
            json_decref(value);
        } else {
            json_t *one = json_object();

            monitor_put(one, "name", monitor_string(name));
            monitor_put(one, "value", value);
            json_array_append_new(list, one);
        }
    }
}

static json_t *show_members(Shower *s, const Type *type, uint64_t address, unsigned depth)
{
    json_t *object = of_kind("structure"), *members = json_array();

    add_members(s, members, type, address, depth);
    monitor_put(object, "members", members);
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
    return text_node(text);
}

static json_t *array_node(json_t *elements, bool more)
{
    json_t *object = of_kind("array");

    monitor_put(object, "elements", elements);
    monitor_put(object, "more", json_boolean(more));
    return object;
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
    return array_node(list, type->size > ELEMENTS_MAX);
}

static json_t *show(Shower *s, uint32_t number, uint64_t address, unsigned bit_offset,
                    unsigned bit_size, unsigned depth)
{
    const Type *type = types_get(s->types, types_resolve(s->types, number));
    uint64_t size = types_size(s->types, number);
    uint8_t bytes[16] = { 0 };
    unsigned bits = bit_size ? bit_size : 8 * MIN(size, 8);

    if (s->nodes++ >= NODES_MAX || depth > DEPTH_MAX) {
        return of_kind("cut");
    }
    if (type->kind == TYPE_STRUCT || type->kind == TYPE_UNION) {
        return show_members(s, type, address, depth);
    }
    if (type->kind == TYPE_ARRAY) {
        return show_array(s, type, address, depth);
    }
    if (!size || !read_bytes(s, address, bytes, (bit_offset + bits + 7) / 8)) {
        return of_kind("unmapped");
    }
    return show_scalar(s, type,
                       (load_le64(bytes) >> bit_offset |
                        (bit_offset ? (uint64_t)bytes[8] << (64 - bit_offset) : 0)) &
                           bits_mask(bits),
                       bits);
}

static json_t *show_value(Shower *s, const TypedValue *value)
{
    const Type *type = types_get(value->types, types_resolve(value->types, value->type));
    uint64_t pointer = value->value;

    if (value->stars) {
        if (value->in_memory &&
            !read_bytes(s, value->address, &pointer, value->types->pointer_bytes)) {
            return of_kind("unmapped");
        }
        return show_pointer(s, pointer, value->stars == 1 && is_char(s->types, value->type));
    }
    if (!value->in_memory) {
        return show_scalar(s, type, value->value,
                           8 * CLAMP(types_size(value->types, value->type), 1, 8));
    }
    return show(s, value->type, value->address, value->bit_offset, value->bit_size, 0);
}

json_t *typed_json(Vcpu *vcpu, const TypedValue *value, char format)
{
    Shower shower = { vcpu, value->types, format };
    uint64_t size =
        value->stars ? value->types->pointer_bytes : types_size(value->types, value->type);
    TypedValue element = *value;
    json_t *list;

    if (!value->repeat) {
        return show_value(&shower, value);
    }
    list = json_array();
    for (unsigned i = 0; i < MIN(value->repeat, ELEMENTS_MAX) && shower.nodes < NODES_MAX; i++) {
        element.address = value->address + i * size;
        json_array_append_new(list, show_value(&shower, &element));
    }
    return array_node(list, value->repeat > ELEMENTS_MAX);
}

json_t *typed_number_json(Vcpu *vcpu, uint64_t value, char format)
{
    Shower shower = { .vcpu = vcpu, .format = format };

    return vcpu && (format == 'a' || format == 's') ? show_pointer(&shower, value, false)
                                                    : show_integer(value, 64, false);
}

static void append_quoted(GString *out, const char *text)
{
    g_autofree char *escaped = g_strescape(text, NULL);

    g_string_append_printf(out, "\"%s\"", escaped);
}

static void print_integer(json_t *json, char format, GString *out)
{
    uint64_t value = (uint64_t)monitor_get_int(json, "integer", 0);
    unsigned bits = (unsigned)monitor_get_int(json, "bits", 64);
    bool is_signed = monitor_get_bool(json, "signed");

    dump_format_value(out, format ? format : is_signed ? 'd' : 'u', bits, value & bits_mask(bits));
    if (!format && monitor_get_bool(json, "character")) {
        g_string_append_c(out, ' ');
        dump_format_value(out, 'c', 8, value);
    }
}

static void print_address(json_t *json, char format, GString *out)
{
    uint64_t address = (uint64_t)monitor_get_int(json, "address", 0);

    if (format && format != 'a' && format != 's') {
        dump_format_value(out, format, 64, address);
        return;
    }
    g_string_append_printf(out, "0x%" PRIx64, address);
    if (monitor_has(json, "symbol")) {
        g_string_append_printf(out, " <%s>", monitor_get_string(json, "symbol"));
    }
    if (monitor_has(json, "text")) {
        g_string_append_c(out, ' ');
        append_quoted(out, monitor_get_string(json, "text"));
    }
}

static void print_enumerator(json_t *json, char format, GString *out)
{
    if (!format && monitor_has(json, "name")) {
        g_string_append(out, monitor_get_string(json, "name"));
    } else {
        dump_format_value(out, format ? format : 'd', 64,
                          (uint64_t)monitor_get_int(json, "integer", 0));
    }
}

static void print_float(json_t *json, char format, GString *out)
{
    if (monitor_has(json, "special")) {
        g_string_append(out, monitor_get_string(json, "special"));
    } else {
        g_string_append_printf(out, "%.17g", json_real_value(json_object_get(json, "float")));
    }
}

static void print_boolean(json_t *json, char format, GString *out)
{
    g_string_append(out, monitor_get_bool(json, "boolean") ? "true" : "false");
}

static void print_text(json_t *json, char format, GString *out)
{
    append_quoted(out, monitor_get_string(json, "text"));
}

static void print_unmapped(json_t *json, char format, GString *out)
{
    g_string_append(out, "<not mapped>");
}

static void print_cut(json_t *json, char format, GString *out)
{
    g_string_append(out, "…");
}

static const struct {
    const char *kind;
    void (*print)(json_t *json, char format, GString *out);
} scalars[] = {
    { "integer", print_integer },       { "address", print_address },
    { "enumerator", print_enumerator }, { "boolean", print_boolean },
    { "float", print_float },           { "text", print_text },
    { "unmapped", print_unmapped },     { "cut", print_cut },
};

static void print_indented(json_t *json, char format, unsigned depth, GString *out);

static void print_members(json_t *members, char format, unsigned depth, GString *out)
{
    json_t *one;
    size_t i;

    g_string_append(out, "{\n");
    json_array_foreach(members, i, one)
    {
        g_string_append_printf(out, "%*s%s = ", 2 * (int)depth + 2, "",
                               monitor_get_string(one, "name"));
        print_indented(json_object_get(one, "value"), format, depth + 1, out);
        g_string_append(out, ",\n");
    }
    g_string_append_printf(out, "%*s}", 2 * (int)depth, "");
}

static void print_indented(json_t *json, char format, unsigned depth, GString *out)
{
    json_t *elements = json_object_get(json, "elements"), *one;
    size_t i;

    if (monitor_has(json, "members")) {
        print_members(json_object_get(json, "members"), format, depth, out);
        return;
    }
    if (elements) {
        g_string_append_c(out, '{');
        json_array_foreach(elements, i, one)
        {
            g_string_append(out, i ? ", " : "");
            print_indented(one, format, depth, out);
        }
        g_string_append_printf(out, "%s}", monitor_get_bool(json, "more") ? ", …" : "");
        return;
    }
    for (unsigned k = 0; k < G_N_ELEMENTS(scalars); k++) {
        if (!strcmp(scalars[k].kind, monitor_get_string(json, "kind"))) {
            scalars[k].print(json, format, out);
        }
    }
}

void typed_print(json_t *json, char format, GString *out)
{
    print_indented(json, format, 0, out);
    g_string_append_c(out, '\n');
}
