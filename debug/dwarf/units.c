/* SPDX-License-Identifier: MIT */
/* Units of .debug_info (DWARF 5, chapter 7.5.1), their abbreviations, and which of them an address is in. */
#include <stddef.h>
#include <stdlib.h>

#include "debug/dwarf/private.h"

/* --- abbreviations ----------------------------------------------------------------------------- */

void dwarf_abbrevs_free(gpointer opaque)
{
    DwarfAbbrevs *abbrevs = opaque;

    g_array_unref(abbrevs->abbrevs);
    g_array_unref(abbrevs->specifications);
    g_free(abbrevs);
}

static int compare_codes(const void *a, const void *b)
{
    uint64_t x = ((const DwarfAbbrev *)a)->code, y = ((const DwarfAbbrev *)b)->code;

    return (x > y) - (x < y);
}

static void read_specifications(DwarfFile *dwarf, DwarfCursor *c, DwarfAbbrevs *abbrevs,
                                DwarfAbbrev *abbrev)
{
    abbrev->first = abbrevs->specifications->len;
    for (;;) {
        uint64_t name = dwarf_uleb(c), form = dwarf_uleb(c);
        DwarfSpecification specification = { (uint16_t)name, (uint16_t)form };

        if (form == DW_FORM_implicit_const) {
            specification.constant = dwarf_sleb(c);
        }
        if (c->wrong || (!name && !form)) {
            break;
        }
        if (name > UINT16_MAX || form > UINT16_MAX ||
            dwarf->specifications++ > DWARF_SPECIFICATIONS_MAX) {
            dwarf_fail(c);
            break;
        }
        g_array_append_val(abbrevs->specifications, specification);
    }
    abbrev->count = abbrevs->specifications->len - abbrev->first;
}

DwarfAbbrevs *dwarf_abbrevs(DwarfFile *dwarf, uint64_t offset)
{
    DwarfAbbrevs *abbrevs = g_hash_table_lookup(dwarf->abbrevs, &offset);
    DwarfCursor c = dwarf_section_cursor(dwarf, DWARF_ABBREV, offset);
    uint64_t code;

    if (abbrevs) {
        return abbrevs;
    }
    abbrevs = g_new0(DwarfAbbrevs, 1);
    abbrevs->abbrevs = g_array_new(FALSE, FALSE, sizeof(DwarfAbbrev));
    abbrevs->specifications = g_array_new(FALSE, FALSE, sizeof(DwarfSpecification));
    while ((code = dwarf_uleb(&c))) {
        DwarfAbbrev abbrev = { .code = code, .tag = (uint16_t)dwarf_uleb(&c) };

        abbrev.children = dwarf_u8(&c);
        read_specifications(dwarf, &c, abbrevs, &abbrev);
        if (c.wrong || dwarf->specifications++ > DWARF_SPECIFICATIONS_MAX) {
            break;
        }
        g_array_append_val(abbrevs->abbrevs, abbrev);
    }
    g_array_sort(abbrevs->abbrevs, compare_codes);
    g_hash_table_insert(dwarf->abbrevs, g_memdup2(&offset, sizeof offset), abbrevs);
    return abbrevs;
}

const DwarfAbbrev *dwarf_abbrev(const DwarfAbbrevs *abbrevs, uint64_t code)
{
    const DwarfAbbrev *all = (const DwarfAbbrev *)abbrevs->abbrevs->data, key = { .code = code };
    guint count = abbrevs->abbrevs->len;

    /* Compilers count from 1. */
    if (code && code <= count && all[code - 1].code == code) {
        return &all[code - 1];
    }
    return count ? bsearch(&key, all, count, sizeof key, compare_codes) : NULL;
}

/* --- units ------------------------------------------------------------------------------------- */

/* Takes one unit's header; false: nothing behind it can be found. */
static bool read_unit(DwarfFile *dwarf, DwarfCursor *c, uint64_t offset, uint32_t part)
{
    DwarfUnit unit = { .dwarf = dwarf, .offset = offset, .part = part };
    const uint8_t *start = c->at;
    uint64_t length = dwarf_initial_length(c, &unit.offset_size);

    if (c->wrong || length > dwarf_left(c)) {
        return false;
    }
    unit.end = offset + (uint64_t)(c->at - start) + length;
    unit.version = (uint8_t)dwarf_most(dwarf_number(c, 2), 255);
    if (unit.version >= 5) {
        unit.type = dwarf_u8(c);
        unit.address_size = dwarf_u8(c);
        unit.abbrev_offset = dwarf_number(c, unit.offset_size);
        if (unit.type == DW_UT_type || unit.type == DW_UT_split_type) {
            unit.signature = dwarf_number(c, 8);
            unit.signature_die = offset + dwarf_number(c, unit.offset_size);
        } else if (unit.type == DW_UT_skeleton || unit.type == DW_UT_split_compile) {
            unit.dwo_id = dwarf_number(c, 8);
        }
    } else {
        unit.abbrev_offset = dwarf_number(c, unit.offset_size);
        unit.address_size = dwarf_u8(c);
    }
    unit.first = offset + (uint64_t)(c->at - start);
    unit.abbrev_offset += dwarf_unit_base(&unit, DWARF_ABBREV);
    if (!c->wrong && unit.version >= 2 && unit.version <= 5 &&
        (unit.address_size == 8 || unit.address_size == 4) && unit.first <= unit.end) {
        g_array_append_val(dwarf->units, unit);
    }
    return true;
}

void dwarf_read_units(DwarfFile *dwarf, uint64_t offset, uint64_t end, uint32_t part)
{
    end = MIN(end, dwarf_section(dwarf, DWARF_INFO)->size);
    while (offset < end && dwarf->units->len < DWARF_UNITS_MAX) {
        DwarfCursor c = dwarf_section_cursor(dwarf, DWARF_INFO, offset), length = c;
        uint8_t offset_size;
        uint64_t size = dwarf_initial_length(&length, &offset_size);

        if (!read_unit(dwarf, &c, offset, part)) {
            break;
        }
        offset += (offset_size == 8 ? 12 : 4) + size;
    }
}

GArray *dwarf_units(DwarfFile *dwarf)
{
    if (!dwarf->units) {
        dwarf->units = g_array_new(FALSE, TRUE, sizeof(DwarfUnit));
        dwarf_read_units(dwarf, 0, UINT64_MAX, 0);
        dwarf_take_others(dwarf);
    }
    return dwarf->units;
}

uint32_t dwarf_unit_index(const DwarfUnit *unit)
{
    return (uint32_t)(unit - (const DwarfUnit *)unit->dwarf->units->data);
}

DwarfUnit *dwarf_unit_of(DwarfFile *dwarf, uint64_t offset)
{
    GArray *units = dwarf_units(dwarf);
    guint low = 0, high = units->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        DwarfUnit *unit = &g_array_index(units, DwarfUnit, middle);

        if (offset < unit->offset) {
            high = middle;
        } else if (offset >= unit->end) {
            low = middle + 1;
        } else {
            return unit;
        }
    }
    return NULL;
}

DwarfUnit *dwarf_unit_signed(DwarfFile *dwarf, uint64_t signature)
{
    GArray *units = dwarf_units(dwarf);

    for (guint i = 0; i < units->len; i++) {
        DwarfUnit *unit = &g_array_index(units, DwarfUnit, i);

        if ((unit->type == DW_UT_type || unit->type == DW_UT_split_type) &&
            unit->signature == signature) {
            return unit;
        }
    }
    return NULL;
}

static DwarfUnit *unit_number(DwarfFile *dwarf, uint32_t number)
{
    return number ? &g_array_index(dwarf->units, DwarfUnit, number - 1) : NULL;
}

/* Where a contribution has no header of its own to skip, and for split units, which do not say. */
static void default_bases(DwarfUnit *unit)
{
    bool split = dwarf_unit_is_split(unit);
    unsigned wide = unit->offset_size == 8, header = unit->version < 5 && split ? 0 : wide ? 16 : 8;

    unit->str_offsets_base = dwarf_unit_base(unit, DWARF_STR_OFFSETS) + header;
    unit->addr_base = unit->version < 5 ? 0 : 8;
    unit->rnglists_base = dwarf_unit_base(unit, DWARF_RNGLISTS) + (split ? (wide ? 20 : 12) : 0);
    unit->loclists_base = dwarf_unit_base(unit, DWARF_LOCLISTS) + (split ? (wide ? 20 : 12) : 0);
}

static void read_string(const DwarfDie *root, unsigned name, const char **string)
{
    DwarfValue value;

    if (dwarf_die_value(root, name, &value) && value.string) {
        *string = value.string;
    }
}

static void read_root(DwarfUnit *unit, const DwarfDie *root)
{
    static const struct {
        uint16_t name;
        DwarfSectionKind kind;
        size_t at;
    } bases[] = {
        { DW_AT_str_offsets_base, DWARF_STR_OFFSETS, offsetof(DwarfUnit, str_offsets_base) },
        { DW_AT_addr_base, DWARF_ADDR, offsetof(DwarfUnit, addr_base) },
        { DW_AT_GNU_addr_base, DWARF_ADDR, offsetof(DwarfUnit, addr_base) },
        { DW_AT_rnglists_base, DWARF_RNGLISTS, offsetof(DwarfUnit, rnglists_base) },
        { DW_AT_loclists_base, DWARF_LOCLISTS, offsetof(DwarfUnit, loclists_base) },
    };
    uint64_t offset;

    for (unsigned i = 0; i < G_N_ELEMENTS(bases); i++) {
        if (dwarf_die_number(root, bases[i].name, &offset)) {
            *(uint64_t *)((char *)unit + bases[i].at) =
                offset + dwarf_unit_base(unit, bases[i].kind);
        }
    }
    dwarf_die_number(root, DW_AT_low_pc, &unit->low);
    if (unit->version < 5) {
        dwarf_die_number(root, DW_AT_GNU_dwo_id, &unit->dwo_id);
    }
    unit->has_lines = dwarf_die_number(root, DW_AT_stmt_list, &unit->line_offset);
    unit->line_offset += dwarf_unit_base(unit, DWARF_LINE);
    read_string(root, DW_AT_name, &unit->name);
    read_string(root, DW_AT_comp_dir, &unit->folder);
    read_string(root, DW_AT_producer, &unit->producer);
    read_string(root, DW_AT_GNU_dwo_name, &unit->dwo_name);
    read_string(root, DW_AT_dwo_name, &unit->dwo_name);
}

/* What a split unit leaves to its skeleton: all that is linked. */
static void take_from_skeleton(DwarfUnit *unit, DwarfUnit *skeleton)
{
    DwarfDie root;

    if (!dwarf_unit_root(skeleton) || !dwarf_die_at(skeleton, skeleton->first, &root)) {
        return;
    }
    unit->addr_base = skeleton->addr_base;
    unit->low = skeleton->low;
    unit->has_lines = skeleton->has_lines;
    unit->line_offset = skeleton->line_offset;
    unit->folder = skeleton->folder;
    dwarf_die_number(&root, DW_AT_GNU_ranges_base, &unit->ranges_base);
}

bool dwarf_unit_root(DwarfUnit *unit)
{
    DwarfUnit *skeleton = unit_number(unit->dwarf, unit->skeleton);
    DwarfDie root;

    if (unit->rooted) {
        return unit->abbrevs;
    }
    unit->rooted = true;
    unit->name = unit->folder = unit->producer = "";
    unit->dwo_name = NULL;
    unit->abbrevs = dwarf_abbrevs(unit->dwarf, unit->abbrev_offset);
    default_bases(unit);
    if (skeleton) {
        take_from_skeleton(unit, skeleton);
    }
    if (!dwarf_die_at(unit, unit->first, &root)) {
        unit->abbrevs = NULL;
        return false;
    }
    if (skeleton) {
        read_string(&root, DW_AT_name, &unit->name);
        read_string(&root, DW_AT_producer, &unit->producer);
    } else {
        read_root(unit, &root);
    }
    return true;
}

bool dwarf_unit_ranges(DwarfUnit *unit, DwarfRangeFn *fn, void *opaque)
{
    DwarfUnit *skeleton = unit_number(unit->dwarf, unit->skeleton);
    DwarfUnit *linked = skeleton ? skeleton : unit;
    DwarfDie root;

    return dwarf_unit_root(linked) && dwarf_die_at(linked, linked->first, &root) &&
           dwarf_die_ranges(&root, fn, opaque);
}

bool dwarf_unit_address(const DwarfUnit *unit, uint64_t index, uint64_t *address)
{
    DwarfCursor c = dwarf_section_cursor(unit->dwarf, DWARF_ADDR, unit->addr_base);

    if (index > DWARF_SECTION_MAX) {
        return false;
    }
    dwarf_take(&c, index * unit->address_size);
    *address = dwarf_number(&c, unit->address_size);
    return !c.wrong;
}

/* --- from addresses to units ------------------------------------------------------------------- */

static void add_range(DwarfFile *dwarf, uint64_t start, uint64_t end, uint32_t unit)
{
    DwarfUnitRange range = { start, end, unit };

    if (start < end && dwarf->ranges->len < DWARF_RANGES_MAX) {
        g_array_append_val(dwarf->ranges, range);
    }
}

/* .debug_aranges; marks the units that it speaks of. */
static void read_aranges(DwarfFile *dwarf, bool *known)
{
    DwarfCursor all = dwarf_section_cursor(dwarf, DWARF_ARANGES, 0);

    while (dwarf_left(&all)) {
        const uint8_t *start = all.at;
        uint8_t offset_size, address_size;
        uint64_t length = dwarf_initial_length(&all, &offset_size), past;
        const uint8_t *bytes = dwarf_take(&all, length);
        DwarfCursor c = dwarf_cursor(bytes, bytes ? length : 0);
        DwarfUnit *unit;

        dwarf_number(&c, 2); /* version */
        unit = dwarf_unit_of(dwarf, dwarf_number(&c, offset_size));
        address_size = dwarf_u8(&c);
        dwarf_u8(&c); /* bytes of a segment */
        if (c.wrong || !unit || (address_size != 8 && address_size != 4)) {
            continue;
        }
        /* Tuples are aligned to their size, from the unit's start. */
        past = (uint64_t)(c.at - start) % (2 * address_size);
        dwarf_take(&c, past ? 2 * address_size - past : 0);
        while (dwarf_left(&c) >= 2 * address_size) {
            uint64_t from = dwarf_number(&c, address_size), size = dwarf_number(&c, address_size);

            if (size && size <= UINT64_MAX - from) {
                add_range(dwarf, from, from + size, dwarf_unit_index(unit));
                known[dwarf_unit_index(unit)] = true;
            }
        }
    }
}

typedef struct {
    DwarfFile *dwarf;
    uint32_t unit;
} RangeAdder;

static bool add_unit_range(void *opaque, uint64_t start, uint64_t end)
{
    const RangeAdder *adder = opaque;

    add_range(adder->dwarf, start, end, adder->unit);
    return false;
}

static int compare_ranges(const void *a, const void *b)
{
    const DwarfUnitRange *x = a, *y = b;

    return x->start != y->start ? (x->start > y->start) - (x->start < y->start)
                                : (x->end > y->end) - (x->end < y->end);
}

static void read_ranges(DwarfFile *dwarf)
{
    GArray *units = dwarf_units(dwarf);
    g_autofree bool *known = g_new0(bool, units->len + 1);

    dwarf->ranges = g_array_new(FALSE, FALSE, sizeof(DwarfUnitRange));
    read_aranges(dwarf, known);
    for (guint i = 0; i < units->len; i++) {
        DwarfUnit *unit = &g_array_index(units, DwarfUnit, i);
        RangeAdder adder = { dwarf, i };

        if (!known[i] && !unit->skeleton) {
            dwarf_unit_ranges(unit, add_unit_range, &adder);
        }
    }
    g_array_sort(dwarf->ranges, compare_ranges);
}

DwarfUnit *dwarf_unit_at(DwarfFile *dwarf, uint64_t address)
{
    enum { OVERLAPS_MAX = 16 };
    guint low = 0, high;

    if (!dwarf->ranges) {
        read_ranges(dwarf);
    }
    high = dwarf->ranges->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(dwarf->ranges, DwarfUnitRange, middle).start <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    /* Ranges of code that was thrown away may lie over others. */
    for (guint i = 0; i < OVERLAPS_MAX && low; i++, low--) {
        const DwarfUnitRange *range = &g_array_index(dwarf->ranges, DwarfUnitRange, low - 1);
        DwarfUnit *unit = &g_array_index(dwarf->units, DwarfUnit, range->unit);

        unit = unit->split ? unit_number(dwarf, unit->split) : unit;
        if (address < range->end && dwarf_unit_root(unit)) {
            return unit;
        }
    }
    return NULL;
}
