/* SPDX-License-Identifier: MIT */
/* BPF type format, little-endian, of 64-bit kernels; see the header. */
#include "debug/linux/btf.h"

#include <string.h>

#include "base/bits.h"
#include "base/error.h"

enum {
    BTF_MAGIC = 0xeb9f,
    KIND_INT = 1,
    KIND_POINTER,
    KIND_ARRAY,
    KIND_STRUCT,
    KIND_UNION,
    KIND_ENUM,
    KIND_FORWARD,
    KIND_TYPEDEF,
    KIND_VOLATILE,
    KIND_CONST,
    KIND_RESTRICT,
    KIND_FUNCTION,
    KIND_PROTOTYPE,
    KIND_VARIABLE,
    KIND_DATA_SECTION,
    KIND_FLOAT,
    KIND_DECLARATION_TAG,
    KIND_TYPE_TAG,
    KIND_ENUM64,
    KIND_COUNT,
};

/* What follows a type's 12 bytes: so much once, and so much for each of its elements. */
static const struct {
    uint8_t once, each;
    TypeKind kind;
} btf_kinds[KIND_COUNT] = {
    [KIND_INT] = { 4, 0, TYPE_INT },
    [KIND_POINTER] = { 0, 0, TYPE_POINTER },
    [KIND_ARRAY] = { 12, 0, TYPE_ARRAY },
    [KIND_STRUCT] = { 0, 12, TYPE_STRUCT },
    [KIND_UNION] = { 0, 12, TYPE_UNION },
    [KIND_ENUM] = { 0, 8, TYPE_ENUM },
    [KIND_FORWARD] = { 0, 0, TYPE_FORWARD },
    [KIND_TYPEDEF] = { 0, 0, TYPE_TYPEDEF },
    [KIND_VOLATILE] = { 0, 0, TYPE_QUALIFIER },
    [KIND_CONST] = { 0, 0, TYPE_QUALIFIER },
    [KIND_RESTRICT] = { 0, 0, TYPE_QUALIFIER },
    [KIND_FUNCTION] = { 0, 0, TYPE_FUNCTION },
    [KIND_PROTOTYPE] = { 0, 8, TYPE_FUNCTION },
    [KIND_VARIABLE] = { 4, 0, TYPE_QUALIFIER },
    [KIND_DATA_SECTION] = { 0, 12, TYPE_FORWARD },
    [KIND_FLOAT] = { 0, 0, TYPE_FLOAT },
    [KIND_DECLARATION_TAG] = { 4, 0, TYPE_QUALIFIER },
    [KIND_TYPE_TAG] = { 0, 0, TYPE_QUALIFIER },
    [KIND_ENUM64] = { 0, 12, TYPE_ENUM },
};

bool btf_measure(const uint8_t *header, size_t *bytes)
{
    uint32_t length = load_le32(header + 4), strings = load_le32(header + 16),
             size = load_le32(header + 20);

    *bytes = (size_t)length + strings + size;
    return load_le16(header) == BTF_MAGIC && header[2] == 1 && length >= BTF_HEADER_BYTES &&
           length < 256 && strings < BTF_BYTES_MAX && size < BTF_BYTES_MAX &&
           *bytes < BTF_BYTES_MAX;
}

/* flag: members' offsets hold the size of a bit field in their upper byte. */
static void add_members(Types *types, Type *type, const uint8_t *at, bool flag)
{
    type->first = types->members->len;
    for (uint32_t i = 0; i < type->count; i++, at += 12) {
        uint32_t offset = load_le32(at + 8);
        TypeMember member = { load_le32(at), load_le32(at + 4), flag ? offset & 0xffffff : offset,
                              flag ? offset >> 24 : 0 };

        g_array_append_val(types->members, member);
    }
}

static void add_enumerators(Types *types, Type *type, const uint8_t *at, bool wide)
{
    type->first = types->enumerators->len;
    for (uint32_t i = 0; i < type->count; i++, at += wide ? 12 : 8) {
        TypeEnumerator enumerator = { load_le32(at), type->encoding & TYPE_SIGNED
                                                         ? (int32_t)load_le32(at + 4)
                                                         : (int64_t)load_le32(at + 4) };

        if (wide) {
            enumerator.value = (int64_t)(load_le32(at + 4) | (uint64_t)load_le32(at + 8) << 32);
        }
        g_array_append_val(types->enumerators, enumerator);
    }
}

static void add_type(Types *types, unsigned kind, const uint8_t *at, const uint8_t *more)
{
    uint32_t info = load_le32(at + 4), size = load_le32(at + 8);
    bool flag = info >> 31;
    Type type = { .kind = btf_kinds[kind].kind, .name = load_le32(at) };

    switch (kind) {
    case KIND_INT:
        type.size = size;
        type.encoding =
            bits_extract(load_le32(more), 24, 4); /* the same bits as TYPE_SIGNED and on */
        break;
    case KIND_ARRAY:
        type.target = load_le32(more);
        type.size = load_le32(more + 8);
        break;
    case KIND_STRUCT:
    case KIND_UNION:
        type.size = size;
        type.count = info & 0xffff;
        add_members(types, &type, more, flag);
        break;
    case KIND_ENUM:
    case KIND_ENUM64:
        type.size = size;
        type.count = info & 0xffff;
        type.encoding = flag ? TYPE_SIGNED : 0;
        add_enumerators(types, &type, more, kind == KIND_ENUM64);
        break;
    case KIND_FLOAT:
        type.size = size;
        break;
    case KIND_FORWARD:
    case KIND_DATA_SECTION:
    case KIND_PROTOTYPE:
        break;
    default:
        type.target = size;
    }
    g_array_append_val(types->types, type);
}

Types *btf_parse(const uint8_t *bytes, size_t size, GError **error)
{
    size_t whole = 0, header, at, end, strings;
    Types *types;

    if (size < BTF_HEADER_BYTES || !btf_measure(bytes, &whole) || whole > size) {
        error_fail(error, KASO_ERROR_INVALID, "the kernel's type information (BTF) is damaged");
        return NULL;
    }
    header = load_le32(bytes + 4);
    at = header + load_le32(bytes + 8);
    end = at + load_le32(bytes + 12);
    strings = header + load_le32(bytes + 16);
    types = types_new(8);
    while (at < end && end <= whole) {
        unsigned kind;
        size_t extra;

        if (end - at < 12) {
            break;
        }
        kind = bits_extract(load_le32(bytes + at + 4), 24, 5);
        if (!kind || kind >= KIND_COUNT) {
            break;
        }
        extra = btf_kinds[kind].once +
                (size_t)btf_kinds[kind].each * (load_le32(bytes + at + 4) & 0xffff);
        if (extra > end - at - 12) {
            break;
        }
        add_type(types, kind, bytes + at, bytes + at + 12);
        at += 12 + extra;
    }
    types->string_bytes = whole - strings;
    types->strings = types->string_bytes ? g_memdup2(bytes + strings, types->string_bytes) : NULL;
    if (at != end || !types->string_bytes || types->strings[types->string_bytes - 1]) {
        types_free(types);
        error_fail(error, KASO_ERROR_INVALID, "the kernel's type information (BTF) is damaged");
        return NULL;
    }
    return types;
}
