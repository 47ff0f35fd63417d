/* SPDX-License-Identifier: MIT */
/* Line tables (DWARF 5, chapter 6.2): which sources a unit has, and the program that makes its rows. */
#include <stdlib.h>

#include "debug/dwarf/lines.h"

/* --- the header -------------------------------------------------------------------------------- */

/* Versions 2 to 4: lists that end with an empty name. */
static void read_old_lists(DwarfLines *lines, DwarfCursor *c)
{
    const char *folder = lines->unit->folder;
    DwarfSource none = { .name = "" };

    g_array_append_val(lines->folders, folder);
    g_array_append_val(lines->sources, none);
    while (dwarf_left(c) && lines->folders->len < DWARF_SOURCES_MAX &&
           dwarf_spend(lines->unit->dwarf, 1)) {
        folder = dwarf_string(c);
        if (!*folder) {
            break;
        }
        g_array_append_val(lines->folders, folder);
    }
    while (dwarf_left(c) && lines->sources->len < DWARF_SOURCES_MAX &&
           dwarf_spend(lines->unit->dwarf, 1)) {
        DwarfSource source = { .name = dwarf_string(c) };

        if (!*source.name) {
            break;
        }
        source.folder_index = (uint32_t)dwarf_most(dwarf_uleb(c), UINT32_MAX);
        dwarf_uleb(c); /* time */
        dwarf_uleb(c); /* size */
        g_array_append_val(lines->sources, source);
    }
}

/* One field of version 5's lists, whatever it is. */
static void read_field(DwarfLines *lines, DwarfCursor *c, unsigned form, const char **text,
                       uint64_t *number)
{
    DwarfFile *dwarf = lines->unit->dwarf;
    unsigned size = lines->unit->offset_size;

    switch (form) {
    case DW_FORM_string:
        *text = dwarf_string(c);
        return;
    case DW_FORM_line_strp:
    case DW_FORM_strp:
        *text = dwarf_section_string(
            dwarf, form == DW_FORM_strp ? DWARF_STR : DWARF_LINE_STR,
            dwarf_number(c, size) +
                dwarf_unit_base(lines->unit, form == DW_FORM_strp ? DWARF_STR : DWARF_LINE_STR));
        return;
    case DW_FORM_udata:
        *number = dwarf_uleb(c);
        return;
    case DW_FORM_data1:
        *number = dwarf_number(c, 1);
        return;
    case DW_FORM_data2:
        *number = dwarf_number(c, 2);
        return;
    case DW_FORM_data4:
        *number = dwarf_number(c, 4);
        return;
    case DW_FORM_data8:
        *number = dwarf_number(c, 8);
        return;
    case DW_FORM_data16:
        dwarf_take(c, 16);
        return;
    case DW_FORM_block:
        dwarf_take(c, dwarf_uleb(c));
        return;
    default:
        dwarf_fail(c);
    }
}

static void read_new_list(DwarfLines *lines, DwarfCursor *c, bool folders)
{
    struct {
        uint64_t content, form;
    } fields[256];
    unsigned count = dwarf_u8(c);
    uint64_t entries;

    for (unsigned i = 0; i < count; i++) {
        fields[i].content = dwarf_uleb(c);
        fields[i].form = dwarf_uleb(c);
    }
    entries = dwarf_uleb(c);
    for (uint64_t i = 0; i < entries && !c->wrong && i < DWARF_SOURCES_MAX && count &&
                         dwarf_spend(lines->unit->dwarf, count);
         i++) {
        const char *name = NULL;
        uint64_t folder = 0;

        for (unsigned k = 0; k < count; k++) {
            const char *text = NULL;
            uint64_t number = 0;

            read_field(lines, c, (unsigned)MIN(fields[k].form, UINT16_MAX), &text, &number);
            name = fields[k].content == DW_LNCT_path ? text : name;
            folder = fields[k].content == DW_LNCT_directory_index ? number : folder;
        }
        if (folders) {
            name = name ? name : "";
            g_array_append_val(lines->folders, name);
        } else {
            DwarfSource source = { .name = name ? name : "",
                                   .folder_index = (uint32_t)MIN(folder, UINT32_MAX) };

            g_array_append_val(lines->sources, source);
        }
    }
}

static bool read_header(DwarfLines *lines)
{
    DwarfUnit *unit = lines->unit;
    DwarfCursor all = dwarf_section_cursor(unit->dwarf, DWARF_LINE, unit->line_offset), c, header;
    uint8_t offset_size;
    uint64_t length = dwarf_initial_length(&all, &offset_size), header_length;
    const uint8_t *bytes = dwarf_take(&all, length);
    unsigned version;

    c = dwarf_cursor(bytes, bytes ? length : 0);
    version = (unsigned)dwarf_number(&c, 2);
    if (!bytes || version < 2 || version > 5) {
        return false;
    }
    if (version == 5) {
        dwarf_number(&c, 2); /* sizes of addresses and segments */
    }
    header_length = dwarf_number(&c, offset_size);
    bytes = dwarf_take(&c, header_length);
    header = dwarf_cursor(bytes, bytes ? header_length : 0);
    lines->minimum_length = dwarf_u8(&header);
    if (version >= 4) {
        dwarf_u8(&header); /* operations of a VLIW instruction */
    }
    lines->default_statement = dwarf_u8(&header);
    lines->line_base = (int8_t)dwarf_u8(&header);
    lines->line_range = dwarf_u8(&header);
    lines->opcode_base = dwarf_u8(&header);
    for (unsigned i = 1; i < lines->opcode_base; i++) {
        lines->operands[i] = dwarf_u8(&header);
    }
    if (header.wrong || !lines->line_range || !lines->opcode_base) {
        return false;
    }
    if (version == 5) {
        read_new_list(lines, &header, true);
        read_new_list(lines, &header, false);
    } else {
        read_old_lists(lines, &header);
    }
    lines->program = c;
    return true;
}

/* --- the program ------------------------------------------------------------------------------- */

typedef struct {
    DwarfLines *lines;
    DwarfRow row; /* the registers */
    bool statement;
    uint64_t file;
    int64_t line;
    uint32_t first; /* row of the sequence that is being made */
    bool full;
} LineMachine;

static void start_sequence(LineMachine *m)
{
    m->row = (DwarfRow){ 0 };
    m->statement = m->lines->default_statement;
    m->file = 1;
    m->line = 1;
    m->first = m->lines->rows->len;
}

static void end_sequence(LineMachine *m)
{
    GArray *rows = m->lines->rows;
    DwarfSequence sequence = { .first = m->first, .count = rows->len - m->first };

    if (sequence.count > 1) {
        sequence.start = g_array_index(rows, DwarfRow, m->first).address;
        sequence.end = g_array_index(rows, DwarfRow, rows->len - 1).address;
        g_array_append_val(m->lines->sequences, sequence);
    }
    start_sequence(m);
}

static void append_row(LineMachine *m, bool end)
{
    GArray *rows = m->lines->rows;
    DwarfRow row = m->row;

    if (rows->len >= DWARF_ROWS_MAX) {
        m->full = true;
        return;
    }
    /* Addresses of a sequence only go up; where they do not, the file is damaged. */
    if (rows->len > m->first &&
        row.address < g_array_index(rows, DwarfRow, rows->len - 1).address) {
        m->full = true;
        return;
    }
    row.line = (uint32_t)CLAMP(m->line, 0, INT32_MAX);
    row.file = (uint16_t)MIN(m->file, UINT16_MAX);
    row.flags |= (m->statement ? ROW_STATEMENT : 0) | (end ? ROW_END : 0);
    g_array_append_val(rows, row);
    m->row.flags = 0;
}

static void advance(LineMachine *m, uint64_t operations)
{
    m->row.address += operations * m->lines->minimum_length;
}

static void run_extended(LineMachine *m, DwarfCursor *c)
{
    uint64_t size = dwarf_uleb(c), address;
    const uint8_t *bytes = dwarf_take(c, size);
    DwarfCursor e = dwarf_cursor(bytes, bytes ? size : 0);

    switch (dwarf_u8(&e)) {
    case DW_LNE_end_sequence:
        append_row(m, true);
        end_sequence(m);
        break;
    case DW_LNE_set_address:
        address = dwarf_number(&e, (unsigned)MIN(dwarf_left(&e), 8));
        if (m->lines->rows->len > m->first && address < m->row.address) {
            /* Some assemblers begin anew without an end. */
            append_row(m, true);
            m->full = false;
            end_sequence(m);
        }
        m->row.address = address;
        break;
    default:
        break;
    }
}

static void run_standard(LineMachine *m, DwarfCursor *c, unsigned opcode)
{
    switch (opcode) {
    case DW_LNS_copy:
        append_row(m, false);
        break;
    case DW_LNS_advance_pc:
        advance(m, dwarf_uleb(c));
        break;
    case DW_LNS_advance_line:
        m->line = (int64_t)((uint64_t)m->line + (uint64_t)dwarf_sleb(c));
        break;
    case DW_LNS_set_file:
        m->file = dwarf_uleb(c);
        break;
    case DW_LNS_negate_stmt:
        m->statement = !m->statement;
        break;
    case DW_LNS_const_add_pc:
        advance(m, (255 - m->lines->opcode_base) / m->lines->line_range);
        break;
    case DW_LNS_fixed_advance_pc:
        m->row.address += dwarf_number(c, 2);
        break;
    case DW_LNS_set_prologue_end:
        m->row.flags |= ROW_PROLOGUE_END;
        break;
    default:
        for (unsigned i = 0; i < m->lines->operands[opcode]; i++) {
            dwarf_uleb(c);
        }
    }
}

static int compare_sequences(const void *a, const void *b)
{
    const DwarfSequence *x = a, *y = b;

    return x->start != y->start ? (x->start > y->start) - (x->start < y->start)
                                : (x->first > y->first) - (x->first < y->first);
}

static void run_program(DwarfLines *lines)
{
    DwarfCursor c = lines->program;
    LineMachine m = { .lines = lines };

    lines->rows = g_array_new(FALSE, FALSE, sizeof(DwarfRow));
    lines->sequences = g_array_new(FALSE, FALSE, sizeof(DwarfSequence));
    start_sequence(&m);
    while (dwarf_left(&c) && !m.full && dwarf_spend(lines->unit->dwarf, 1)) {
        unsigned opcode = dwarf_u8(&c);

        if (opcode >= lines->opcode_base) {
            unsigned value = opcode - lines->opcode_base;

            advance(&m, value / lines->line_range);
            m.line += lines->line_base + (int)(value % lines->line_range);
            append_row(&m, false);
        } else if (!opcode) {
            run_extended(&m, &c);
        } else {
            run_standard(&m, &c, opcode);
        }
    }
    g_array_sort(lines->sequences, compare_sequences);
}

/* --- tables that are kept ---------------------------------------------------------------------- */

void dwarf_lines_free(DwarfLines *lines)
{
    if (lines->rows) {
        lines->unit->dwarf->rows -= lines->rows->len;
        g_array_unref(lines->rows);
        g_array_unref(lines->sequences);
    }
    g_array_unref(lines->folders);
    g_array_unref(lines->sources);
    g_free(lines);
}

/* Room for another table's rows. */
static void drop_others(DwarfUnit *keep)
{
    GArray *units = dwarf_units(keep->dwarf);

    for (guint i = 0; i < units->len; i++) {
        DwarfUnit *unit = &g_array_index(units, DwarfUnit, i);

        if (unit != keep) {
            g_clear_pointer(&unit->lines, dwarf_lines_free);
        }
    }
}

DwarfLines *dwarf_unit_lines(DwarfUnit *unit, bool rows)
{
    DwarfLines *lines = unit->lines;

    if (!lines && !unit->no_lines && dwarf_unit_root(unit) && unit->has_lines && !unit->split) {
        lines = g_new0(DwarfLines, 1);
        lines->unit = unit;
        lines->folders = g_array_new(FALSE, FALSE, sizeof(const char *));
        lines->sources = g_array_new(FALSE, FALSE, sizeof(DwarfSource));
        if (!read_header(lines)) {
            g_clear_pointer(&lines, dwarf_lines_free);
        }
        unit->lines = lines;
    }
    unit->no_lines = !lines;
    if (lines && rows && !lines->rows) {
        run_program(lines);
        unit->dwarf->rows += lines->rows->len;
        if (unit->dwarf->rows > DWARF_ROWS_MAX) {
            drop_others(unit);
        }
    }
    return lines;
}

const DwarfSource *dwarf_lines_source(DwarfLines *lines, uint64_t index)
{
    DwarfFile *dwarf = lines->unit->dwarf;
    const char *folder = lines->folders->len ? g_array_index(lines->folders, const char *, 0) : "";
    g_autofree char *joined = NULL, *whole = NULL;
    DwarfSource *source;
    size_t length;

    if (index >= lines->sources->len) {
        return NULL;
    }
    source = &g_array_index(lines->sources, DwarfSource, index);
    if (source->source) {
        return source;
    }
    folder = *folder ? folder : lines->unit->folder;
    joined =
        source->folder_index && source->folder_index < lines->folders->len
            ? g_build_filename(g_array_index(lines->folders, const char *, source->folder_index),
                               source->name, NULL)
            : g_strdup(source->name);
    length = strlen(folder);
    if (*folder == '/' || *joined == '/') {
        whole = g_canonicalize_filename(joined, *folder == '/' ? folder : "/");
        if (*folder == '/' && !strncmp(whole, folder, length) && whole[length] == '/') {
            memmove(whole, whole + length + 1, strlen(whole + length + 1) + 1);
        }
    }
    source->source = dwarf_keep(dwarf, whole ? whole : joined);
    source->folder = dwarf_keep(dwarf, folder);
    return source;
}

bool dwarf_unit_source(DwarfUnit *unit, uint64_t index, const char **source, const char **folder)
{
    DwarfLines *lines = dwarf_unit_lines(unit, false);
    const DwarfSource *found = lines ? dwarf_lines_source(lines, index) : NULL;

    if (found) {
        *source = found->source;
        *folder = found->folder;
    }
    return found;
}
