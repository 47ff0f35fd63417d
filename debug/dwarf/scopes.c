/* SPDX-License-Identifier: MIT */
/* Which functions an address is in, inlined ones included. */
#include "debug/dwarf/private.h"

static bool is_scope(unsigned tag)
{
    return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine ||
           tag == DW_TAG_lexical_block;
}

/* The child of a scope that holds the address. Of what has no code itself (a namespace) any may. */
static bool find_inner(const DwarfDie *outer, uint64_t address, unsigned depth, DwarfDie *inner)
{
    DwarfDie child;

    for (bool more = dwarf_die_child(outer, &child); more;
         more = dwarf_die_sibling(&child, &child)) {
        if (is_scope(child.tag) && dwarf_die_contains(&child, address)) {
            *inner = child;
            return true;
        }
        if (child.tag == DW_TAG_namespace && depth < DWARF_NESTING_MAX &&
            find_inner(&child, address, depth + 1, inner)) {
            return true;
        }
    }
    return false;
}

unsigned dwarf_scopes(DwarfFile *dwarf, uint64_t address, DwarfDie scopes[DWARF_NESTING_MAX])
{
    DwarfUnit *unit = dwarf_unit_at(dwarf, address);
    unsigned count = 0;
    DwarfDie at;

    if (!unit || !dwarf_die_at(unit, unit->first, &at)) {
        return 0;
    }
    while (count < DWARF_NESTING_MAX && find_inner(&at, address, 0, &at)) {
        scopes[count++] = at;
    }
    return count;
}

static void describe(const DwarfDie *die, DwarfFunction *function)
{
    const char *name = dwarf_die_name(die);
    uint64_t file = 0, line = 0;

    *function = (DwarfFunction){ name ? name : "", die->unit->offset, die->offset };
    dwarf_die_entry(die, &function->entry);
    if (die->tag == DW_TAG_inlined_subroutine) {
        function->call_source = function->call_folder = "";
        if (dwarf_die_number(die, DW_AT_call_file, &file)) {
            dwarf_unit_source(die->unit, file, &function->call_source, &function->call_folder);
        }
        if (dwarf_die_number(die, DW_AT_call_line, &line)) {
            function->call_line = (unsigned)MIN(line, INT32_MAX);
        }
    }
}

unsigned dwarf_functions(DwarfFile *dwarf, uint64_t address,
                         DwarfFunction functions[DWARF_FUNCTIONS_MAX])
{
    DwarfDie scopes[DWARF_NESTING_MAX];
    unsigned depth = dwarf_scopes(dwarf, address, scopes), count = 0;

    while (depth-- && count < DWARF_FUNCTIONS_MAX) {
        if (scopes[depth].tag != DW_TAG_lexical_block) {
            describe(&scopes[depth], &functions[count++]);
            if (scopes[depth].tag == DW_TAG_subprogram) {
                break;
            }
        }
    }
    return count;
}
