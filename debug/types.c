/* SPDX-License-Identifier: MIT */
/* C types; see the header. */
#include "debug/types.h"

#include <string.h>

#include "base/bits.h"

Types *types_new(unsigned pointer_bytes)
{
    Types *types = g_new0(Types, 1);
    Type nothing = { TYPE_VOID };

    types->types = g_array_new(FALSE, TRUE, sizeof(Type));
    types->members = g_array_new(FALSE, TRUE, sizeof(TypeMember));
    types->enumerators = g_array_new(FALSE, TRUE, sizeof(TypeEnumerator));
    types->pointer_bytes = pointer_bytes;
    g_array_append_val(types->types, nothing);
    return types;
}

Types *types_new_read(unsigned pointer_bytes, const TypesReader *reader, void *opaque,
                      unsigned types_max, unsigned members_max, unsigned enumerators_max)
{
    Types *types = g_new0(Types, 1);
    Type nothing = { TYPE_VOID };

    types->types = g_array_sized_new(FALSE, FALSE, sizeof(Type), types_max);
    types->members = g_array_sized_new(FALSE, FALSE, sizeof(TypeMember), members_max);
    types->enumerators = g_array_sized_new(FALSE, FALSE, sizeof(TypeEnumerator), enumerators_max);
    types->pointer_bytes = pointer_bytes;
    types->reader = reader;
    types->reader_opaque = opaque;
    g_array_append_val(types->types, nothing);
    return types;
}

void types_free(Types *types)
{
    g_array_unref(types->types);
    g_array_unref(types->members);
    g_array_unref(types->enumerators);
    g_clear_pointer(&types->named, g_hash_table_unref);
    g_free(types->strings);
    g_free(types);
}

const Type *types_get(const Types *types, uint32_t number)
{
    const Type *type = &g_array_index(types->types, Type, number < types->types->len ? number : 0);

    if (type->kind == TYPE_UNREAD) {
        types->reader->read((Types *)types, number);
    }
    return type;
}

const char *types_name(const Types *types, uint32_t string)
{
    return string < types->string_bytes ? types->strings + string : "";
}

/* name -> GArray of the numbers of types that have it. */
static void make_names(Types *types)
{
    types->named =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_array_unref);
    for (uint32_t i = 1; i < types->types->len; i++) {
        const Type *type = types_get(types, i);
        const char *name = types_name(types, type->name);
        GArray *list;

        if (!*name || type->kind == TYPE_FUNCTION || type->kind == TYPE_QUALIFIER) {
            continue;
        }
        list = g_hash_table_lookup(types->named, name);
        if (!list) {
            list = g_array_new(FALSE, FALSE, sizeof(uint32_t));
            g_hash_table_insert(types->named, (gpointer)name, list);
        }
        g_array_append_val(list, i);
    }
}

uint32_t types_find_kind(Types *types, TypeKind kind, const char *name)
{
    const GArray *list;

    if (types->reader) {
        return types->reader->find(types, kind, name);
    }
    if (!types->named) {
        make_names(types);
    }
    list = g_hash_table_lookup(types->named, name);
    for (guint i = 0; list && i < list->len; i++) {
        uint32_t number = g_array_index(list, uint32_t, i);

        if (types_get(types, number)->kind == kind) {
            return number;
        }
    }
    return TYPES_NONE;
}

/* What compilers write for the ways in which C lets one say it; the text itself for all others. */
static const char *compilers_name(const char *name)
{
    static const char *const same[][2] = {
        { "unsigned", "unsigned int" },
        { "long", "long int" },
        { "unsigned long", "long unsigned int" },
        { "unsigned long int", "long unsigned int" },
        { "short", "short int" },
        { "unsigned short", "short unsigned int" },
        { "unsigned short int", "short unsigned int" },
        { "long long", "long long int" },
        { "unsigned long long", "long long unsigned int" },
        { "unsigned long long int", "long long unsigned int" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(same); i++) {
        if (!strcmp(name, same[i][0])) {
            return same[i][1];
        }
    }
    return name;
}

static uint32_t find_plain(Types *types, const char *name)
{
    static const TypeKind kinds[] = { TYPE_TYPEDEF, TYPE_INT,   TYPE_FLOAT,
                                      TYPE_STRUCT,  TYPE_UNION, TYPE_ENUM };
    uint32_t number = TYPES_NONE;

    for (unsigned i = 0; i < G_N_ELEMENTS(kinds) && !number; i++) {
        number = types_find_kind(types, kinds[i], name);
    }
    return number;
}

bool types_find(Types *types, const char *text, uint32_t *number, unsigned *stars)
{
    static const struct {
        const char *word;
        TypeKind kind;
    } tags[] = { { "struct ", TYPE_STRUCT }, { "union ", TYPE_UNION }, { "enum ", TYPE_ENUM } };
    g_autofree char *name = g_strdup(text);
    size_t n;

    g_strstrip(name);
    *stars = 0;
    for (n = strlen(name); n && (name[n - 1] == '*' || g_ascii_isspace(name[n - 1])); n--) {
        *stars += name[n - 1] == '*';
    }
    name[n] = '\0';
    for (unsigned i = 0; i < G_N_ELEMENTS(tags); i++) {
        if (g_str_has_prefix(name, tags[i].word)) {
            *number = types_find_kind(types, tags[i].kind, g_strchug(name + strlen(tags[i].word)));
            return *number;
        }
    }
    if (!strcmp(name, "void")) {
        *number = TYPES_NONE;
        return *stars;
    }
    *number = find_plain(types, name); /* clang's name may be the short one */
    *number = *number ? *number : find_plain(types, compilers_name(name));
    return *number;
}

uint32_t types_resolve(const Types *types, uint32_t number)
{
    for (unsigned i = 0; i < TYPES_DEPTH_MAX; i++) {
        const Type *type = types_get(types, number);

        if (type->kind != TYPE_TYPEDEF && type->kind != TYPE_QUALIFIER) {
            return number;
        }
        number = type->target;
    }
    return TYPES_NONE;
}

uint64_t types_size(const Types *types, uint32_t number)
{
    uint64_t elements = 1;

    for (unsigned i = 0; i < TYPES_DEPTH_MAX; i++) {
        const Type *type = types_get(types, types_resolve(types, number));

        switch (type->kind) {
        case TYPE_ARRAY:
            elements *= type->size;
            number = type->target;
            if (elements > UINT32_MAX) {
                return 0;
            }
            break;
        case TYPE_POINTER:
            return elements * types->pointer_bytes;
        case TYPE_INT:
        case TYPE_FLOAT:
        case TYPE_STRUCT:
        case TYPE_UNION:
        case TYPE_ENUM:
            return elements * type->size;
        default:
            return 0;
        }
    }
    return 0;
}

char *types_describe(const Types *types, uint32_t number)
{
    g_autoptr(GString) tail = g_string_new(NULL);
    const char *tag = "";

    for (unsigned i = 0; i < TYPES_DEPTH_MAX; i++) {
        const Type *type = types_get(types, number);
        const char *name = types_name(types, type->name);

        switch (type->kind) {
        case TYPE_POINTER:
            g_string_prepend(tail, "*");
            break;
        case TYPE_ARRAY:
            g_string_append_printf(tail, "[%u]", type->size);
            break;
        case TYPE_QUALIFIER:
            break;
        case TYPE_FUNCTION:
            return g_strdup_printf("function %s", tail->str);
        default:
            tag = type->kind == TYPE_STRUCT || type->kind == TYPE_FORWARD ? "struct "
                  : type->kind == TYPE_UNION                              ? "union "
                  : type->kind == TYPE_ENUM                               ? "enum "
                                                                          : "";
            return g_strdup_printf("%s%s%s%s", tag,
                                   *name                     ? name
                                   : type->kind == TYPE_VOID ? "void"
                                                             : "{…}",
                                   tail->len ? " " : "", tail->str);
        }
        number = type->target;
    }
    return g_strdup("?");
}

/* One name of a path, in a struct or union or the anonymous ones within. */
static bool find_member(const Types *types, uint32_t number, const char *name, size_t length,
                        unsigned depth, TypePlace *place)
{
    const Type *type = types_get(types, types_resolve(types, number));

    if ((type->kind != TYPE_STRUCT && type->kind != TYPE_UNION) || depth > TYPES_DEPTH_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < type->count; i++) {
        const TypeMember *member = &g_array_index(types->members, TypeMember, type->first + i);
        const char *own = types_name(types, member->name);

        if (*own ? strlen(own) == length && !strncmp(own, name, length)
                 : find_member(types, member->type, name, length, depth + 1, place)) {
            uint64_t within = *own ? 0 : place->bit_offset;

            if (*own) {
                place->type = member->type;
                place->bit_size = member->bit_size;
            }
            place->bit_offset = within + member->bit_offset;
            return true;
        }
    }
    return false;
}

bool types_member(const Types *types, uint32_t number, const char *path, TypePlace *place)
{
    uint64_t offset = 0;

    *place = (TypePlace){ 0, 0, number };
    while (*path) {
        size_t n = strcspn(path, ".[");

        if (*path == '[') {
            const Type *array = types_get(types, types_resolve(types, place->type));
            char *end;
            uint64_t index = g_ascii_strtoull(path + 1, &end, 0);

            if (array->kind != TYPE_ARRAY || end == path + 1 || *end != ']' || index > UINT32_MAX) {
                return false;
            }
            place->type = array->target;
            place->bit_size = 0;
            offset += index * types_size(types, array->target) * 8;
            path = end + 1;
        } else {
            if (!find_member(types, place->type, path, n, 0, place)) {
                return false;
            }
            offset += place->bit_offset;
            path += n;
        }
        path += *path == '.';
    }
    place->bit_offset = offset;
    return true;
}

bool types_offset(Types *types, const char *structure, const char *path, uint64_t *offset)
{
    uint32_t number = types_find_kind(types, TYPE_STRUCT, structure);
    TypePlace place;

    if (!number || !types_member(types, number, path, &place)) {
        return false;
    }
    *offset = place.bit_offset / 8;
    return true;
}
