/* SPDX-License-Identifier: MIT */
/* Debugging information entries and their attributes (DWARF 5, chapters 2 and 7.5). */
#include "debug/dwarf/private.h"

static DwarfCursor unit_cursor(const DwarfUnit *unit, uint64_t offset)
{
    const DwarfSection *info = dwarf_section(unit->dwarf, DWARF_INFO);

    if (!info->bytes || !dwarf_spend(unit->dwarf, 1) || offset < unit->first ||
        offset > unit->end || unit->end > info->size) {
        return (DwarfCursor){ .wrong = true };
    }
    return dwarf_cursor(info->bytes + offset, unit->end - offset);
}

static uint64_t cursor_offset(const DwarfUnit *unit, const DwarfCursor *c)
{
    return (uint64_t)(c->at - unit->dwarf->sections[DWARF_INFO].bytes);
}

bool dwarf_die_at(DwarfUnit *unit, uint64_t offset, DwarfDie *die)
{
    DwarfCursor c = unit_cursor(unit, offset);
    uint64_t code = dwarf_uleb(&c);

    if (c.wrong || !unit->abbrevs) {
        return false;
    }
    *die = (DwarfDie){ unit, offset, cursor_offset(unit, &c) };
    if (code) {
        die->abbrev = dwarf_abbrev(unit->abbrevs, code);
        die->tag = die->abbrev ? die->abbrev->tag : 0;
    }
    return !code || die->abbrev;
}

bool dwarf_die_find(DwarfFile *dwarf, uint64_t offset, DwarfDie *die)
{
    DwarfUnit *unit = dwarf_unit_of(dwarf, offset);

    return unit && dwarf_unit_root(unit) && dwarf_die_at(unit, offset, die) && die->abbrev;
}

/* --- values ------------------------------------------------------------------------------------ */

static const char *indexed_string(const DwarfUnit *unit, uint64_t index)
{
    DwarfCursor c = dwarf_section_cursor(unit->dwarf, DWARF_STR_OFFSETS, unit->str_offsets_base);

    if (index > DWARF_SECTION_MAX) {
        return NULL;
    }
    dwarf_take(&c, index * unit->offset_size);
    index = dwarf_number(&c, unit->offset_size);
    return c.wrong ? NULL
                   : dwarf_section_string(unit->dwarf, DWARF_STR,
                                          index + dwarf_unit_base(unit, DWARF_STR));
}

/* How a form's bytes are found. */
typedef enum {
    READ_UNKNOWN,
    READ_FIXED, /* `size` bytes */
    READ_OFFSET,
    READ_ADDRESS,
    READ_ULEB,
    READ_SLEB,
    READ_STRING,
    READ_BLOCK, /* a length of `size` bytes (0: ULEB), and so many bytes */
    READ_CONSTANT,
} FormRead;

/* What it stands for, beyond DwarfValueKind. */
typedef enum {
    MEANS_NUMBER,
    MEANS_SIGNED,
    MEANS_ADDRESS,
    MEANS_ADDRESS_INDEX,
    MEANS_STRING,
    MEANS_STR,
    MEANS_LINE_STR,
    MEANS_STR_INDEX,
    MEANS_BLOCK,
    MEANS_UNIT_REFERENCE,
    MEANS_REFERENCE,
    MEANS_SIGNATURE,
    MEANS_SUPPLEMENT_REFERENCE, /* in the file that dwz has moved things to */
    MEANS_SUPPLEMENT_STR,
} FormMeaning;

typedef struct {
    uint8_t read, size, means;
} FormType;

static const FormType forms[] = {
    [DW_FORM_addr] = { READ_ADDRESS, 0, MEANS_ADDRESS },
    [DW_FORM_block2] = { READ_BLOCK, 2, MEANS_BLOCK },
    [DW_FORM_block4] = { READ_BLOCK, 4, MEANS_BLOCK },
    [DW_FORM_data2] = { READ_FIXED, 2, MEANS_NUMBER },
    [DW_FORM_data4] = { READ_FIXED, 4, MEANS_NUMBER },
    [DW_FORM_data8] = { READ_FIXED, 8, MEANS_NUMBER },
    [DW_FORM_string] = { READ_STRING, 0, MEANS_STRING },
    [DW_FORM_block] = { READ_BLOCK, 0, MEANS_BLOCK },
    [DW_FORM_block1] = { READ_BLOCK, 1, MEANS_BLOCK },
    [DW_FORM_data1] = { READ_FIXED, 1, MEANS_NUMBER },
    [DW_FORM_flag] = { READ_FIXED, 1, MEANS_NUMBER },
    [DW_FORM_sdata] = { READ_SLEB, 0, MEANS_SIGNED },
    [DW_FORM_strp] = { READ_OFFSET, 0, MEANS_STR },
    [DW_FORM_udata] = { READ_ULEB, 0, MEANS_NUMBER },
    [DW_FORM_ref_addr] = { READ_OFFSET, 0, MEANS_REFERENCE },
    [DW_FORM_ref1] = { READ_FIXED, 1, MEANS_UNIT_REFERENCE },
    [DW_FORM_ref2] = { READ_FIXED, 2, MEANS_UNIT_REFERENCE },
    [DW_FORM_ref4] = { READ_FIXED, 4, MEANS_UNIT_REFERENCE },
    [DW_FORM_ref8] = { READ_FIXED, 8, MEANS_UNIT_REFERENCE },
    [DW_FORM_ref_udata] = { READ_ULEB, 0, MEANS_UNIT_REFERENCE },
    [DW_FORM_sec_offset] = { READ_OFFSET, 0, MEANS_NUMBER },
    [DW_FORM_exprloc] = { READ_BLOCK, 0, MEANS_BLOCK },
    [DW_FORM_flag_present] = { READ_CONSTANT, 1, MEANS_NUMBER },
    [DW_FORM_strx] = { READ_ULEB, 0, MEANS_STR_INDEX },
    [DW_FORM_addrx] = { READ_ULEB, 0, MEANS_ADDRESS_INDEX },
    [DW_FORM_ref_sup4] = { READ_FIXED, 4, MEANS_SUPPLEMENT_REFERENCE },
    [DW_FORM_strp_sup] = { READ_OFFSET, 0, MEANS_SUPPLEMENT_STR },
    [DW_FORM_data16] = { READ_FIXED, 16, MEANS_BLOCK },
    [DW_FORM_line_strp] = { READ_OFFSET, 0, MEANS_LINE_STR },
    [DW_FORM_ref_sig8] = { READ_FIXED, 8, MEANS_SIGNATURE },
    [DW_FORM_implicit_const] = { READ_CONSTANT, 0, MEANS_SIGNED },
    [DW_FORM_loclistx] = { READ_ULEB, 0, MEANS_NUMBER },
    [DW_FORM_rnglistx] = { READ_ULEB, 0, MEANS_NUMBER },
    [DW_FORM_ref_sup8] = { READ_FIXED, 8, MEANS_SUPPLEMENT_REFERENCE },
    [DW_FORM_strx1] = { READ_FIXED, 1, MEANS_STR_INDEX },
    [DW_FORM_strx2] = { READ_FIXED, 2, MEANS_STR_INDEX },
    [DW_FORM_strx3] = { READ_FIXED, 3, MEANS_STR_INDEX },
    [DW_FORM_strx4] = { READ_FIXED, 4, MEANS_STR_INDEX },
    [DW_FORM_addrx1] = { READ_FIXED, 1, MEANS_ADDRESS_INDEX },
    [DW_FORM_addrx2] = { READ_FIXED, 2, MEANS_ADDRESS_INDEX },
    [DW_FORM_addrx3] = { READ_FIXED, 3, MEANS_ADDRESS_INDEX },
    [DW_FORM_addrx4] = { READ_FIXED, 4, MEANS_ADDRESS_INDEX },
};

static FormType form_type(unsigned form)
{
    static const FormType gnu_address = { READ_ULEB, 0, MEANS_ADDRESS_INDEX },
                          gnu_string = { READ_ULEB, 0, MEANS_STR_INDEX },
                          gnu_reference = { READ_OFFSET, 0, MEANS_SUPPLEMENT_REFERENCE },
                          gnu_supplement = { READ_OFFSET, 0, MEANS_SUPPLEMENT_STR };

    switch (form) {
    case DW_FORM_GNU_addr_index:
        return gnu_address;
    case DW_FORM_GNU_str_index:
        return gnu_string;
    case DW_FORM_GNU_ref_alt:
        return gnu_reference;
    case DW_FORM_GNU_strp_alt:
        return gnu_supplement;
    }
    return form < G_N_ELEMENTS(forms) ? forms[form] : (FormType){ READ_UNKNOWN };
}

/* Moves behind the form's bytes; puts what they are into value. */
static FormType read_form(const DwarfUnit *unit, DwarfCursor *c, unsigned form, int64_t constant,
                          DwarfValue *value)
{
    FormType type;

    if (!dwarf_spend(unit->dwarf, 1)) {
        dwarf_fail(c);
    }
    if (form == DW_FORM_indirect) {
        form = (unsigned)dwarf_most(dwarf_uleb(c), UINT16_MAX);
    }
    type = form_type(form);
    *value = (DwarfValue){ .form = (uint16_t)form };
    switch (type.read) {
    case READ_FIXED:
        value->size = type.size;
        value->block = c->at;
        value->number = dwarf_number(c, MIN(type.size, 8));
        dwarf_take(c, type.size - MIN(type.size, 8));
        break;
    case READ_OFFSET:
        /* DWARF 2 wrote addresses in the place of DW_FORM_ref_addr. */
        value->number =
            dwarf_number(c, form == DW_FORM_ref_addr && unit->version == 2 ? unit->address_size
                                                                           : unit->offset_size);
        break;
    case READ_ADDRESS:
        value->number = dwarf_number(c, unit->address_size);
        break;
    case READ_ULEB:
        value->number = dwarf_uleb(c);
        break;
    case READ_SLEB:
        value->number = (uint64_t)dwarf_sleb(c);
        break;
    case READ_STRING:
        value->string = dwarf_string(c);
        break;
    case READ_BLOCK:
        value->size = type.size ? dwarf_number(c, type.size) : dwarf_uleb(c);
        value->block = dwarf_take(c, value->size);
        break;
    case READ_CONSTANT:
        value->number = type.size ? type.size : (uint64_t)constant;
        break;
    default:
        dwarf_fail(c);
    }
    return type;
}

static void interpret(const DwarfUnit *unit, FormType type, DwarfValue *value)
{
    static const uint8_t kinds[] = {
        [MEANS_NUMBER] = VALUE_NUMBER,
        [MEANS_SIGNED] = VALUE_NUMBER,
        [MEANS_ADDRESS] = VALUE_ADDRESS,
        [MEANS_ADDRESS_INDEX] = VALUE_ADDRESS,
        [MEANS_STRING] = VALUE_STRING,
        [MEANS_STR] = VALUE_STRING,
        [MEANS_LINE_STR] = VALUE_STRING,
        [MEANS_STR_INDEX] = VALUE_STRING,
        [MEANS_BLOCK] = VALUE_BLOCK,
        [MEANS_UNIT_REFERENCE] = VALUE_REFERENCE,
        [MEANS_REFERENCE] = VALUE_REFERENCE,
        [MEANS_SIGNATURE] = VALUE_REFERENCE,
        [MEANS_SUPPLEMENT_REFERENCE] = VALUE_REFERENCE,
        [MEANS_SUPPLEMENT_STR] = VALUE_STRING,
    };
    const DwarfFile *dwarf = unit->dwarf;
    DwarfUnit *other;

    value->kind = kinds[type.means];
    switch (type.means) {
    case MEANS_ADDRESS_INDEX:
        if (!dwarf_unit_address(unit, value->number, &value->number)) {
            value->kind = VALUE_OTHER;
        }
        break;
    case MEANS_STR:
        value->string = dwarf_section_string(unit->dwarf, DWARF_STR,
                                             value->number + dwarf_unit_base(unit, DWARF_STR));
        break;
    case MEANS_LINE_STR:
        value->string = dwarf_section_string(unit->dwarf, DWARF_LINE_STR,
                                             value->number + dwarf_unit_base(unit, DWARF_LINE_STR));
        break;
    case MEANS_SUPPLEMENT_STR:
        value->string = dwarf->has_supplement
                            ? dwarf_section_string(unit->dwarf, DWARF_STR,
                                                   value->number + dwarf->supplement_str)
                            : NULL;
        break;
    case MEANS_SUPPLEMENT_REFERENCE:
        value->kind = dwarf->has_supplement ? VALUE_REFERENCE : VALUE_OTHER;
        value->number += dwarf->supplement_info;
        break;
    case MEANS_REFERENCE:
        value->number += dwarf_unit_base(unit, DWARF_INFO);
        break;
    case MEANS_STR_INDEX:
        value->string = indexed_string(unit, value->number);
        break;
    case MEANS_UNIT_REFERENCE:
        value->number += unit->offset;
        break;
    case MEANS_SIGNATURE:
        other = dwarf_unit_signed(unit->dwarf, value->number);
        value->kind = other ? VALUE_REFERENCE : VALUE_OTHER;
        value->number = other ? other->signature_die : 0;
        break;
    default:
        break;
    }
}

bool dwarf_die_value(const DwarfDie *die, unsigned name, DwarfValue *value)
{
    DwarfCursor c = unit_cursor(die->unit, die->attributes);
    const DwarfSpecification *specification;

    if (!die->abbrev) {
        return false;
    }
    specification =
        &g_array_index(die->unit->abbrevs->specifications, DwarfSpecification, die->abbrev->first);
    for (uint32_t i = 0; i < die->abbrev->count && !c.wrong; i++, specification++) {
        FormType type =
            read_form(die->unit, &c, specification->form, specification->constant, value);

        if (specification->name == name && !c.wrong) {
            interpret(die->unit, type, value);
            return true;
        }
    }
    return false;
}

bool dwarf_die_refers(const DwarfDie *die, unsigned name, DwarfDie *to)
{
    DwarfValue value;

    return dwarf_die_value(die, name, &value) && value.kind == VALUE_REFERENCE &&
           dwarf_die_find(die->unit->dwarf, value.number, to);
}

bool dwarf_die_value_whole(const DwarfDie *die, unsigned name, DwarfValue *value)
{
    enum { ORIGINS_MAX = 4 }; /* an inlined copy, of an abstract function, of a declaration */
    DwarfDie at = *die;

    for (unsigned i = 0; i < ORIGINS_MAX; i++) {
        if (dwarf_die_value(&at, name, value)) {
            return true;
        }
        if (!dwarf_die_refers(&at, DW_AT_abstract_origin, &at) &&
            !dwarf_die_refers(&at, DW_AT_specification, &at)) {
            return false;
        }
    }
    return false;
}

bool dwarf_die_number(const DwarfDie *die, unsigned name, uint64_t *number)
{
    DwarfValue value;

    if (!dwarf_die_value(die, name, &value) ||
        (value.kind != VALUE_NUMBER && value.kind != VALUE_ADDRESS)) {
        return false;
    }
    *number = value.number;
    return true;
}

const char *dwarf_die_name(const DwarfDie *die)
{
    DwarfValue value;

    return dwarf_die_value_whole(die, DW_AT_name, &value) ? value.string : NULL;
}

/* --- the tree ---------------------------------------------------------------------------------- */

/* The entry behind the die's attributes, whatever it belongs to; *sibling: where DW_AT_sibling says the next one is, or 0. */
static uint64_t behind(const DwarfDie *die, uint64_t *sibling)
{
    DwarfCursor c = unit_cursor(die->unit, die->attributes);
    const DwarfSpecification *specification;

    *sibling = 0;
    if (!die->abbrev) {
        return die->attributes;
    }
    specification =
        &g_array_index(die->unit->abbrevs->specifications, DwarfSpecification, die->abbrev->first);
    for (uint32_t i = 0; i < die->abbrev->count; i++, specification++) {
        DwarfValue value;
        FormType type =
            read_form(die->unit, &c, specification->form, specification->constant, &value);

        if (specification->name == DW_AT_sibling && type.means == MEANS_UNIT_REFERENCE) {
            *sibling = die->unit->offset + value.number;
        }
    }
    return c.wrong ? die->unit->end : cursor_offset(die->unit, &c);
}

bool dwarf_die_child(const DwarfDie *die, DwarfDie *next)
{
    uint64_t sibling;

    return die->abbrev && die->abbrev->children &&
           dwarf_die_at(die->unit, behind(die, &sibling), next) && next->abbrev;
}

bool dwarf_die_sibling(const DwarfDie *die, DwarfDie *next)
{
    DwarfUnit *unit = die->unit;
    DwarfDie at = *die;
    uint64_t depth = 0, sibling, offset;

    /* Over the children, by a short cut where there is one: always forward, so that it ends. */
    do {
        offset = behind(&at, &sibling);
        if (at.abbrev && at.abbrev->children) {
            if (sibling > offset) {
                offset = sibling;
            } else {
                depth++;
            }
        } else if (!at.abbrev) {
            depth--;
        }
        if (!dwarf_die_at(unit, offset, &at)) {
            return false;
        }
    } while (depth);
    *next = at;
    return at.abbrev;
}

/* --- code -------------------------------------------------------------------------------------- */

/* .debug_ranges of DWARF 2 to 4. */
static bool old_ranges(const DwarfUnit *unit, uint64_t offset, DwarfRangeFn *fn, void *opaque)
{
    DwarfCursor c = dwarf_section_cursor(unit->dwarf, DWARF_RANGES, offset);
    uint64_t base = unit->low, select = bits_mask(8 * unit->address_size);

    for (unsigned i = 0;
         i < DWARF_RANGES_PER_DIE_MAX && dwarf_left(&c) && dwarf_spend(unit->dwarf, 1); i++) {
        uint64_t start = dwarf_number(&c, unit->address_size);
        uint64_t end = dwarf_number(&c, unit->address_size);

        if (c.wrong || (!start && !end)) {
            return false;
        }
        if (start == select) {
            base = end;
        } else if (start < end && fn(opaque, base + start, base + end)) {
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

/* .debug_rnglists. */
static bool new_ranges(const DwarfUnit *unit, uint64_t offset, DwarfRangeFn *fn, void *opaque)
{
    DwarfCursor c = dwarf_section_cursor(unit->dwarf, DWARF_RNGLISTS, offset);
    uint64_t base = unit->low;

    for (unsigned i = 0;
         i < DWARF_RANGES_PER_DIE_MAX && dwarf_left(&c) && dwarf_spend(unit->dwarf, 1); i++) {
        unsigned kind = dwarf_u8(&c);
        uint64_t start, end;

        switch (kind) {
        case DW_RLE_base_addressx:
        case DW_RLE_base_address:
            base = list_address(unit, &c, kind == DW_RLE_base_addressx);
            continue;
        case DW_RLE_startx_endx:
        case DW_RLE_start_end:
            start = list_address(unit, &c, kind == DW_RLE_startx_endx);
            end = list_address(unit, &c, kind == DW_RLE_startx_endx);
            break;
        case DW_RLE_startx_length:
        case DW_RLE_start_length:
            start = list_address(unit, &c, kind == DW_RLE_startx_length);
            end = start + dwarf_uleb(&c);
            break;
        case DW_RLE_offset_pair:
            start = base + dwarf_uleb(&c);
            end = base + dwarf_uleb(&c);
            break;
        default:
            return false;
        }
        if (!c.wrong && start < end && fn(opaque, start, end)) {
            return true;
        }
    }
    return false;
}

/* DW_FORM_rnglistx: through the table of offsets. */
static bool range_list_offset(const DwarfUnit *unit, uint64_t index, uint64_t *offset)
{
    DwarfCursor c = dwarf_section_cursor(unit->dwarf, DWARF_RNGLISTS, unit->rnglists_base);

    if (index > DWARF_SECTION_MAX) {
        return false;
    }
    dwarf_take(&c, index * unit->offset_size);
    *offset = unit->rnglists_base + dwarf_number(&c, unit->offset_size);
    return !c.wrong;
}

bool dwarf_die_ranges(const DwarfDie *die, DwarfRangeFn *fn, void *opaque)
{
    const DwarfUnit *unit = die->unit;
    DwarfValue value;
    uint64_t low;

    if (dwarf_die_value(die, DW_AT_ranges, &value)) {
        uint64_t offset = value.number;

        if (unit->version < 5) {
            return old_ranges(unit, offset + unit->ranges_base, fn, opaque);
        }
        if (value.form != DW_FORM_rnglistx) {
            offset += dwarf_unit_base(unit, DWARF_RNGLISTS);
        } else if (!range_list_offset(unit, offset, &offset)) {
            return false;
        }
        return new_ranges(unit, offset, fn, opaque);
    }
    if (!dwarf_die_number(die, DW_AT_low_pc, &low) ||
        !dwarf_die_value(die, DW_AT_high_pc, &value)) {
        return false;
    }
    value.number += value.kind == VALUE_ADDRESS ? 0 : low;
    return low < value.number && fn(opaque, low, value.number);
}

static bool range_contains(void *opaque, uint64_t start, uint64_t end)
{
    uint64_t address = *(const uint64_t *)opaque;

    return address >= start && address < end;
}

bool dwarf_die_contains(const DwarfDie *die, uint64_t address)
{
    return dwarf_die_ranges(die, range_contains, &address);
}

static bool range_first(void *opaque, uint64_t start, uint64_t end)
{
    *(uint64_t *)opaque = start;
    return true;
}

bool dwarf_die_entry(const DwarfDie *die, uint64_t *address)
{
    DwarfValue value;

    if (dwarf_die_value(die, DW_AT_entry_pc, &value) && value.kind == VALUE_ADDRESS) {
        *address = value.number;
        return true;
    }
    /* A function's main part comes before its cold one. */
    return dwarf_die_ranges(die, range_first, address);
}
