/* SPDX-License-Identifier: MIT */
/* Where types and variables of a program are defined, by name. */
#include "debug/dwarf/types.h"

enum { NAMES_MAX = 4 << 20 };

struct DwarfNames {
    GHashTable *tables[NAMES_KINDS]; /* name, in the file's strings -> offset of its DIE */
    unsigned count;
};

void dwarf_names_free(DwarfNames *names)
{
    for (unsigned i = 0; i < NAMES_KINDS; i++) {
        g_hash_table_unref(names->tables[i]);
    }
    g_free(names);
}

static bool kind_of(unsigned tag, DwarfNameKind *kind)
{
    switch (tag) {
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
        *kind = NAMES_STRUCT;
        return true;
    case DW_TAG_union_type:
        *kind = NAMES_UNION;
        return true;
    case DW_TAG_enumeration_type:
        *kind = NAMES_ENUM;
        return true;
    case DW_TAG_typedef:
        *kind = NAMES_TYPEDEF;
        return true;
    case DW_TAG_base_type:
        *kind = NAMES_BASE;
        return true;
    case DW_TAG_variable:
        *kind = NAMES_VARIABLE;
        return true;
    }
    return false;
}

static void take(DwarfNames *names, const DwarfDie *die)
{
    DwarfNameKind kind;
    DwarfValue value;
    const char *name;
    uint64_t flag = 0;

    if (!kind_of(die->tag, &kind) || names->count >= NAMES_MAX) {
        return;
    }
    if (kind == NAMES_VARIABLE && !dwarf_die_value(die, DW_AT_location, &value)) {
        return; /* declared here, or it is nowhere */
    }
    dwarf_die_number(die, DW_AT_declaration, &flag);
    name = flag ? NULL : dwarf_die_name(die);
    if (name && !g_hash_table_contains(names->tables[kind], name)) {
        names->count++;
        g_hash_table_insert(names->tables[kind], (gpointer)name, GSIZE_TO_POINTER(die->offset));
    }
}

static DwarfNames *names_of(DwarfFile *dwarf)
{
    GArray *units = dwarf_units(dwarf);
    DwarfNames *names = dwarf->names;

    if (names) {
        return names;
    }
    names = dwarf->names = g_new0(DwarfNames, 1);
    for (unsigned i = 0; i < NAMES_KINDS; i++) {
        names->tables[i] = g_hash_table_new(g_str_hash, g_str_equal);
    }
    for (guint i = 0; i < units->len; i++) {
        DwarfUnit *unit = &g_array_index(units, DwarfUnit, i);
        DwarfDie die;

        if (!dwarf_unit_root(unit) || !dwarf_die_at(unit, unit->first, &die)) {
            continue;
        }
        for (bool more = dwarf_die_child(&die, &die); more; more = dwarf_die_sibling(&die, &die)) {
            take(names, &die);
        }
    }
    return names;
}

uint64_t dwarf_name(DwarfFile *dwarf, DwarfNameKind kind, const char *name)
{
    return GPOINTER_TO_SIZE(g_hash_table_lookup(names_of(dwarf)->tables[kind], name));
}
