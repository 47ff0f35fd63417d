/* SPDX-License-Identifier: MIT */
/* Variables and where they are at an address of the code (DWARF 5, chapters 2.6 and 4.1). */
#include "debug/dwarf/types.h"

/* Calls back with each entry of a location list; true: it is the one. */
static bool in_entry(uint64_t address, uint64_t start, uint64_t end, DwarfCursor *c, uint64_t size,
                     DwarfValue *value)
{
    const uint8_t *bytes = dwarf_take(c, size);

    if (!bytes || address < start || address >= end) {
        return false;
    }
    value->kind = VALUE_BLOCK;
    value->block = bytes;
    value->size = size;
    return true;
}

/* .debug_loc of DWARF 2 to 4. */
static bool old_list(const DwarfUnit *unit, uint64_t offset, uint64_t address, DwarfValue *value)
{
    DwarfCursor c = dwarf_section_cursor(unit->dwarf, DWARF_LOC, offset);
    uint64_t base = unit->low;

    while (dwarf_left(&c) && dwarf_spend(unit->dwarf, 1)) {
        uint64_t start = dwarf_number(&c, unit->address_size);
        uint64_t end = dwarf_number(&c, unit->address_size);

        if (!start && !end) {
            return false;
        }
        if (start == bits_mask(8 * unit->address_size)) {
            base = end;
        } else if (in_entry(address, base + start, base + end, &c, dwarf_number(&c, 2), value)) {
            return true;
        }
    }
    return false;
}

/* .debug_loc.dwo of DWARF 4. */
static bool split_list(const DwarfUnit *unit, uint64_t offset, uint64_t address, DwarfValue *value)
{
    DwarfCursor c = dwarf_section_cursor(unit->dwarf, DWARF_LOC, offset);

    while (dwarf_left(&c) && dwarf_spend(unit->dwarf, 1)) {
        unsigned kind = dwarf_u8(&c);
        uint64_t start = 0, end = 0;

        if (kind < DW_LLE_GNU_base_address_selection || kind > DW_LLE_GNU_start_length ||
            !dwarf_unit_address(unit, dwarf_uleb(&c), &start)) {
            return false;
        }
        if (kind == DW_LLE_GNU_base_address_selection) {
            continue; /* for offsets, which compilers do not write */
        }
        end = start + (kind == DW_LLE_GNU_start_length ? dwarf_number(&c, 4) : 0);
        if (kind == DW_LLE_GNU_start_end && !dwarf_unit_address(unit, dwarf_uleb(&c), &end)) {
            return false;
        }
        if (in_entry(address, start, end, &c, dwarf_number(&c, 2), value)) {
            return true;
        }
    }
    return false;
}

static uint64_t list_address(const DwarfUnit *unit, DwarfCursor *c, bool indexed)
{
    uint64_t value = indexed ? dwarf_uleb(c) : dwarf_number(c, unit->address_size);

    return !indexed || dwarf_unit_address(unit, value, &value) ? value : 0;
}

/* .debug_loclists. */
static bool new_list(const DwarfUnit *unit, uint64_t offset, uint64_t address, DwarfValue *value)
{
    DwarfCursor c = dwarf_section_cursor(unit->dwarf, DWARF_LOCLISTS, offset);
    uint64_t base = unit->low;

    while (dwarf_left(&c) && dwarf_spend(unit->dwarf, 1)) {
        unsigned kind = dwarf_u8(&c);
        uint64_t start = 0, end = 0;

        switch (kind) {
        case DW_LLE_base_addressx:
        case DW_LLE_base_address:
            base = list_address(unit, &c, kind == DW_LLE_base_addressx);
            continue;
        case DW_LLE_view_pair:
            dwarf_uleb(&c);
            dwarf_uleb(&c);
            continue;
        case DW_LLE_startx_endx:
        case DW_LLE_start_end:
            start = list_address(unit, &c, kind == DW_LLE_startx_endx);
            end = list_address(unit, &c, kind == DW_LLE_startx_endx);
            break;
        case DW_LLE_startx_length:
        case DW_LLE_start_length:
            start = list_address(unit, &c, kind == DW_LLE_startx_length);
            end = start + dwarf_uleb(&c);
            break;
        case DW_LLE_offset_pair:
            start = base + dwarf_uleb(&c);
            end = base + dwarf_uleb(&c);
            break;
        case DW_LLE_default_location:
            end = UINT64_MAX;
            break;
        default:
            return false;
        }
        if (in_entry(address, start, end, &c, dwarf_uleb(&c), value)) {
            return true;
        }
    }
    return false;
}

static bool list_offset(const DwarfUnit *unit, const DwarfValue *value, uint64_t *offset)
{
    DwarfCursor c = dwarf_section_cursor(unit->dwarf, DWARF_LOCLISTS, unit->loclists_base);

    if (value->form != DW_FORM_loclistx) {
        *offset =
            value->number + dwarf_unit_base(unit, unit->version < 5 ? DWARF_LOC : DWARF_LOCLISTS);
        return true;
    }
    if (value->number > DWARF_SECTION_MAX) {
        return false;
    }
    dwarf_take(&c, value->number * unit->offset_size);
    *offset = unit->loclists_base + dwarf_number(&c, unit->offset_size);
    return !c.wrong;
}

/* The expression of an attribute that holds at the address. */
static bool find_expression(const DwarfDie *die, unsigned name, uint64_t address, DwarfValue *value)
{
    const DwarfUnit *unit = die->unit;
    uint64_t offset;

    if (!dwarf_die_value_whole(die, name, value)) {
        return false;
    }
    if (value->kind == VALUE_BLOCK) {
        return true;
    }
    if (value->kind != VALUE_NUMBER || !list_offset(unit, value, &offset)) {
        return false;
    }
    if (unit->version >= 5) {
        return new_list(unit, offset, address, value);
    }
    return dwarf_unit_is_split(unit) ? split_list(unit, offset, address, value)
                                     : old_list(unit, offset, address, value);
}

static void locate(const DwarfDie *die, uint64_t address, DwarfFrame *frame,
                   DwarfVariable *variable)
{
    DwarfValue value;

    frame->unit = die->unit;
    if (find_expression(die, DW_AT_location, address, &value)) {
        variable->known =
            value.size && dwarf_evaluate(frame, value.block, value.size, NULL, &variable->location);
        return;
    }
    if (dwarf_die_value_whole(die, DW_AT_const_value, &value) && value.kind == VALUE_NUMBER) {
        variable->known = true;
        variable->location.kind = LOCATION_VALUE;
        variable->location.size = 8;
        memcpy(variable->location.bytes, &value.number, 8);
    }
}

static DwarfVariable describe(const DwarfDie *die, uint64_t address, DwarfFrame *frame)
{
    DwarfVariable variable = { .name = dwarf_die_name(die),
                               .type = dwarf_type_of(die),
                               .argument = die->tag == DW_TAG_formal_parameter };

    locate(die, address, frame, &variable);
    return variable;
}

/* A variable among the children of a DIE that has a place. */
static bool find_child(const DwarfDie *outer, const char *name, DwarfDie *found)
{
    DwarfDie child;
    DwarfValue value;

    for (bool more = dwarf_die_child(outer, &child); more;
         more = dwarf_die_sibling(&child, &child)) {
        if (child.tag == DW_TAG_variable && !g_strcmp0(dwarf_die_name(&child), name) &&
            dwarf_die_value(&child, DW_AT_location, &value)) {
            *found = child;
            return true;
        }
    }
    return false;
}

bool dwarf_global(DwarfFile *dwarf, const char *name, uint64_t address, DwarfFrame *frame,
                  DwarfVariable *variable)
{
    DwarfUnit *unit = dwarf_unit_at(dwarf, address);
    DwarfDie die;
    uint64_t offset;

    if (!unit || !dwarf_die_at(unit, unit->first, &die) || !find_child(&die, name, &die)) {
        offset = dwarf_name(dwarf, NAMES_VARIABLE, name);
        if (!offset || !dwarf_die_find(dwarf, offset, &die)) {
            return false;
        }
    }
    *variable = describe(&die, address, frame);
    return true;
}

/* What variables of the function count from. */
static void take_base(const DwarfDie *function, uint64_t address, DwarfFrame *frame)
{
    DwarfValue value;

    frame->base = NULL;
    frame->unit = function->unit;
    dwarf_frame_cfa(function->unit->dwarf, address, frame);
    if (find_expression(function, DW_AT_frame_base, address, &value)) {
        frame->base = value.block;
        frame->base_size = value.size;
    }
}

static void add_children(const DwarfDie *scope, uint64_t address, DwarfFrame *frame,
                         GArray *variables)
{
    enum { VARIABLES_MAX = 1000 };
    DwarfDie child;

    for (bool more = dwarf_die_child(scope, &child); more && variables->len < VARIABLES_MAX;
         more = dwarf_die_sibling(&child, &child)) {
        if (child.tag == DW_TAG_variable || child.tag == DW_TAG_formal_parameter) {
            DwarfVariable variable = describe(&child, address, frame);

            if (variable.name) {
                g_array_append_val(variables, variable);
            }
        }
    }
}

GArray *dwarf_locals(DwarfFile *dwarf, uint64_t address, unsigned depth, DwarfFrame *frame)
{
    GArray *variables = g_array_new(FALSE, FALSE, sizeof(DwarfVariable));
    DwarfDie scopes[DWARF_NESTING_MAX];
    unsigned count = dwarf_scopes(dwarf, address, scopes);

    for (unsigned i = count; i-- > 0;) {
        if (scopes[i].tag == DW_TAG_subprogram) {
            take_base(&scopes[i], address, frame);
            break;
        }
    }
    while (count-- > 0) {
        bool function = scopes[count].tag != DW_TAG_lexical_block;

        if (!depth) {
            add_children(&scopes[count], address, frame, variables);
            if (function) {
                break;
            }
        }
        depth -= function && depth;
    }
    return variables;
}
