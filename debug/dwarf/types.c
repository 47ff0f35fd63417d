/* SPDX-License-Identifier: MIT */
/* DWARF's types as a Types table; see the header. */
#include "debug/dwarf/types.h"

/* Reserved at once, so that what is read later moves nothing that somebody holds. */
enum {
    TYPES_MAX = 1 << 19,
    MEMBERS_MAX = 1 << 19,
    ENUMERATORS_MAX = 1 << 18,
    STRINGS_MAX = 8 << 20,
    DIMENSIONS_MAX = 8,
};

struct DwarfTypes {
    DwarfFile *dwarf;
    Types *types;
    GArray *offsets;     /* by number: of the DIE; 0: made here */
    GHashTable *numbers; /* the other way round */
};

static DwarfTypes *state_of(const Types *types)
{
    return types->reader_opaque;
}

static uint32_t add_string(Types *types, const char *text)
{
    size_t size = text ? strlen(text) + 1 : 0;
    uint32_t at = (uint32_t)types->string_bytes;

    if (size < 2 || types->string_bytes + size > STRINGS_MAX) {
        return 0;
    }
    memcpy(types->strings + at, text, size);
    types->string_bytes += size;
    return at;
}

/* TYPES_NONE when there are too many. */
static uint32_t append_type(DwarfTypes *state, Type type, uint64_t offset)
{
    uint32_t number = state->types->types->len;

    if (number >= TYPES_MAX) {
        return TYPES_NONE;
    }
    g_array_append_val(state->types->types, type);
    g_array_append_val(state->offsets, offset);
    return number;
}

static uint32_t number_of(DwarfTypes *state, uint64_t offset)
{
    gpointer key = GSIZE_TO_POINTER(offset), found = g_hash_table_lookup(state->numbers, key);
    uint32_t number = GPOINTER_TO_UINT(found);

    if (!number) {
        number = append_type(state, (Type){ TYPE_UNREAD }, offset);
        g_hash_table_insert(state->numbers, key, GUINT_TO_POINTER(number));
    }
    return number;
}

uint32_t dwarf_type_number(DwarfFile *dwarf, uint64_t offset)
{
    return number_of(state_of(dwarf_types(dwarf)), offset);
}

uint32_t dwarf_type_of(const DwarfDie *die)
{
    DwarfValue value;

    return dwarf_die_value_whole(die, DW_AT_type, &value) && value.kind == VALUE_REFERENCE
               ? dwarf_type_number(die->unit->dwarf, value.number)
               : TYPES_NONE;
}

/* --- one type ---------------------------------------------------------------------------------- */

static uint32_t size_of(const DwarfDie *die)
{
    uint64_t size = 0;

    dwarf_die_number(die, DW_AT_byte_size, &size);
    return size <= UINT32_MAX ? (uint32_t)size : 0;
}

static void read_base(const DwarfDie *die, Type *type)
{
    uint64_t encoding = 0;

    dwarf_die_number(die, DW_AT_encoding, &encoding);
    type->kind = encoding == DW_ATE_float ? TYPE_FLOAT : TYPE_INT;
    type->size = size_of(die);
    type->encoding = encoding == DW_ATE_boolean         ? TYPE_BOOL
                     : encoding == DW_ATE_signed        ? TYPE_SIGNED
                     : encoding == DW_ATE_signed_char   ? TYPE_SIGNED | TYPE_CHAR
                     : encoding == DW_ATE_unsigned_char ? TYPE_CHAR
                                                        : 0;
}

/* Where a member begins, from its attributes of all versions. */
static uint64_t member_bit(const DwarfDie *die, uint64_t bit_size)
{
    uint64_t bit, bytes = 0, storage = 0, from_top;
    DwarfValue value;

    if (dwarf_die_number(die, DW_AT_data_bit_offset, &bit)) {
        return bit;
    }
    if (dwarf_die_value(die, DW_AT_data_member_location, &value)) {
        bytes = value.number;
        if (value.kind == VALUE_BLOCK) { /* DW_OP_plus_uconst */
            DwarfCursor c = dwarf_cursor(value.block, value.size);

            bytes = dwarf_u8(&c) == 0x23 ? dwarf_uleb(&c) : 0;
        }
    }
    /* DWARF 2 and 3 count a field's bits from the upper end of its storage. */
    if (bit_size && dwarf_die_number(die, DW_AT_bit_offset, &from_top)) {
        if (!dwarf_die_number(die, DW_AT_byte_size, &storage)) {
            DwarfDie type;

            storage = dwarf_die_refers(die, DW_AT_type, &type) ? size_of(&type) : 0;
        }
        return 8 * bytes + 8 * storage - from_top - bit_size;
    }
    return 8 * bytes;
}

static void read_members(DwarfTypes *state, const DwarfDie *die, Type *type)
{
    GArray *members = state->types->members;
    DwarfDie child;

    type->first = members->len;
    for (bool more = dwarf_die_child(die, &child); more && members->len < MEMBERS_MAX;
         more = dwarf_die_sibling(&child, &child)) {
        uint64_t bit_size = 0, bit;
        TypeMember member;

        if (child.tag != DW_TAG_member) {
            continue;
        }
        dwarf_die_number(&child, DW_AT_bit_size, &bit_size);
        bit = member_bit(&child, bit_size);
        if (bit > UINT32_MAX || bit_size > 64) {
            continue;
        }
        member = (TypeMember){ add_string(state->types, dwarf_die_name(&child)),
                               dwarf_type_of(&child), (uint32_t)bit, (uint8_t)bit_size };
        g_array_append_val(members, member);
    }
    type->count = members->len - type->first;
}

/* Also the definition of what is declared only, where the file has one. */
static void read_struct(DwarfTypes *state, const DwarfDie *declared, Type *type)
{
    bool is_union = declared->tag == DW_TAG_union_type;
    const char *name = dwarf_die_name(declared);
    DwarfDie die = *declared;
    uint64_t flag = 0, offset;

    dwarf_die_number(declared, DW_AT_declaration, &flag);
    if (flag) {
        offset = name ? dwarf_name(state->dwarf, is_union ? NAMES_UNION : NAMES_STRUCT, name) : 0;
        if (!offset || !dwarf_die_find(state->dwarf, offset, &die)) {
            type->kind = TYPE_FORWARD;
            return;
        }
    }
    type->kind = is_union ? TYPE_UNION : TYPE_STRUCT;
    type->size = size_of(&die);
    read_members(state, &die, type);
}

static void read_enum(DwarfTypes *state, const DwarfDie *die, Type *type)
{
    GArray *enumerators = state->types->enumerators;
    DwarfDie child;

    type->kind = TYPE_ENUM;
    type->size = size_of(die);
    type->first = enumerators->len;
    for (bool more = dwarf_die_child(die, &child); more && enumerators->len < ENUMERATORS_MAX;
         more = dwarf_die_sibling(&child, &child)) {
        TypeEnumerator one;
        uint64_t value = 0;

        if (child.tag == DW_TAG_enumerator) {
            dwarf_die_number(&child, DW_AT_const_value, &value);
            one = (TypeEnumerator){ add_string(state->types, dwarf_die_name(&child)),
                                    (int64_t)value };
            type->encoding |= one.value < 0 ? TYPE_SIGNED : 0;
            g_array_append_val(enumerators, one);
        }
    }
    type->count = enumerators->len - type->first;
}

/* The last dimension is the innermost array. */
static void read_array(DwarfTypes *state, const DwarfDie *die, Type *type)
{
    uint32_t counts[DIMENSIONS_MAX], target = dwarf_type_of(die);
    unsigned dimensions = 0;
    DwarfDie child;

    for (bool more = dwarf_die_child(die, &child); more && dimensions < DIMENSIONS_MAX;
         more = dwarf_die_sibling(&child, &child)) {
        uint64_t count = 0;

        if (child.tag == DW_TAG_subrange_type) {
            if (!dwarf_die_number(&child, DW_AT_count, &count) &&
                dwarf_die_number(&child, DW_AT_upper_bound, &count)) {
                count++;
            }
            counts[dimensions++] = count <= UINT32_MAX ? (uint32_t)count : 0;
        }
    }
    while (dimensions > 1) {
        target = append_type(
            state, (Type){ .kind = TYPE_ARRAY, .size = counts[--dimensions], .target = target }, 0);
    }
    type->kind = TYPE_ARRAY;
    type->size = dimensions ? counts[0] : 0;
    type->target = target;
}

static void read_die(DwarfTypes *state, const DwarfDie *die, Type *type)
{
    type->name = add_string(state->types, dwarf_die_name(die));
    switch (die->tag) {
    case DW_TAG_base_type:
        read_base(die, type);
        break;
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
        read_struct(state, die, type);
        break;
    case DW_TAG_enumeration_type:
        read_enum(state, die, type);
        break;
    case DW_TAG_array_type:
        read_array(state, die, type);
        break;
    case DW_TAG_subroutine_type:
        type->kind = TYPE_FUNCTION;
        break;
    default:
        type->target = dwarf_type_of(die);
        type->kind = die->tag == DW_TAG_pointer_type || die->tag == DW_TAG_reference_type ||
                             die->tag == DW_TAG_rvalue_reference_type
                         ? TYPE_POINTER
                     : die->tag == DW_TAG_typedef ? TYPE_TYPEDEF
                                                  : TYPE_QUALIFIER;
    }
}

static void read_type(Types *types, uint32_t number)
{
    DwarfTypes *state = state_of(types);
    uint64_t offset = g_array_index(state->offsets, uint64_t, number);
    Type *slot = &g_array_index(types->types, Type, number), type = { TYPE_VOID };
    DwarfDie die;

    slot->kind = TYPE_VOID;
    dwarf_begin(state->dwarf);
    if (dwarf_die_find(state->dwarf, offset, &die)) {
        read_die(state, &die, &type);
        *slot = type;
    }
}

/* --- the table --------------------------------------------------------------------------------- */

static uint32_t find_type(Types *types, TypeKind kind, const char *name)
{
    static const int8_t kinds[] = {
        [TYPE_INT] = NAMES_BASE + 1,      [TYPE_FLOAT] = NAMES_BASE + 1,
        [TYPE_STRUCT] = NAMES_STRUCT + 1, [TYPE_UNION] = NAMES_UNION + 1,
        [TYPE_ENUM] = NAMES_ENUM + 1,     [TYPE_TYPEDEF] = NAMES_TYPEDEF + 1
    };
    DwarfTypes *state = state_of(types);
    uint64_t offset;

    if (kind >= G_N_ELEMENTS(kinds) || !kinds[kind]) {
        return TYPES_NONE;
    }
    dwarf_begin(state->dwarf);
    offset = dwarf_name(state->dwarf, kinds[kind] - 1, name);
    return offset ? number_of(state, offset) : TYPES_NONE;
}

static const TypesReader reader = { read_type, find_type };

Types *dwarf_types(DwarfFile *dwarf)
{
    DwarfTypes *state = dwarf->types;
    uint64_t none = 0;

    if (state) {
        return state->types;
    }
    state = dwarf->types = g_new0(DwarfTypes, 1);
    state->dwarf = dwarf;
    state->numbers = g_hash_table_new(NULL, NULL);
    state->offsets = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    g_array_append_val(state->offsets, none);
    state->types = types_new_read(dwarf->elf.wide ? 8 : 4, &reader, state, TYPES_MAX + 1,
                                  MEMBERS_MAX, ENUMERATORS_MAX);
    state->types->strings = g_malloc(STRINGS_MAX);
    state->types->strings[0] = '\0';
    state->types->string_bytes = 1;
    return state->types;
}

void dwarf_types_free(DwarfTypes *state)
{
    types_free(state->types);
    g_hash_table_unref(state->numbers);
    g_array_unref(state->offsets);
    g_free(state);
}
