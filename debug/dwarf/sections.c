/* SPDX-License-Identifier: MIT */
/* The DWARF sections of an ELF file: read when first asked for, unpacked, and relocated where the file is relocatable. */
#include <elf.h>
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "debug/dwarf/types.h"

enum { UNPACK_RATIO_MAX = 1032 }; /* more than zlib can; what claims more, lies */

static const char *const section_names[DWARF_SECTIONS] = {
    [DWARF_INFO] = ".debug_info",         [DWARF_ABBREV] = ".debug_abbrev",
    [DWARF_LINE] = ".debug_line",         [DWARF_STR] = ".debug_str",
    [DWARF_LINE_STR] = ".debug_line_str", [DWARF_STR_OFFSETS] = ".debug_str_offsets",
    [DWARF_ADDR] = ".debug_addr",         [DWARF_RANGES] = ".debug_ranges",
    [DWARF_RNGLISTS] = ".debug_rnglists", [DWARF_LOC] = ".debug_loc",
    [DWARF_LOCLISTS] = ".debug_loclists", [DWARF_ARANGES] = ".debug_aranges",
    [DWARF_FRAME] = ".debug_frame",       [DWARF_EH_FRAME] = ".eh_frame",
};

static bool unpack(unsigned type, const uint8_t *from, uint64_t from_size, uint8_t *to,
                   uint64_t to_size)
{
    uLongf got = to_size;

    if (type == ELFCOMPRESS_ZLIB) {
        return uncompress(to, &got, from, from_size) == Z_OK && got == to_size;
    }
    return type == 2 /* zstd */ && ZSTD_decompress(to, to_size, from, from_size) == to_size;
}

/* A section behind SHF_COMPRESSED's header. */
static void read_packed(const ElfFile *elf, DwarfSection *section, uint8_t *bytes, uint64_t size)
{
    DwarfCursor c = dwarf_cursor(bytes, size);
    unsigned type = (unsigned)dwarf_number(&c, 4), word = elf->wide ? 8 : 4;
    uint64_t whole;

    dwarf_number(&c, elf->wide ? 4 : 0);
    whole = dwarf_number(&c, word);
    dwarf_number(&c, word); /* alignment */
    if (c.wrong || whole > DWARF_SECTION_MAX || whole / UNPACK_RATIO_MAX > dwarf_left(&c)) {
        return;
    }
    section->bytes = g_try_malloc(MAX(whole, 1));
    section->size = whole;
    if (section->bytes && !unpack(type, c.at, dwarf_left(&c), section->bytes, whole)) {
        g_clear_pointer(&section->bytes, g_free);
    }
}

/* How wide the field of a relocation is; 0: it is none of those that stand in debugging sections. */
static unsigned relocation_size(unsigned machine, unsigned type)
{
    static const struct {
        uint16_t machine, type, size;
    } known[] = {
        { EM_X86_64, R_X86_64_64, 8 },
        { EM_X86_64, R_X86_64_32, 4 },
        { EM_X86_64, R_X86_64_32S, 4 },
        { EM_X86_64, R_X86_64_PC32, 4 },
        { EM_386, R_386_32, 4 },
        { EM_386, R_386_PC32, 4 },
        { EM_AARCH64, R_AARCH64_ABS64, 8 },
        { EM_AARCH64, R_AARCH64_ABS32, 4 },
        { EM_AARCH64, R_AARCH64_PREL32, 4 },
        { EM_ARM, R_ARM_ABS32, 4 },
        { EM_ARM, R_ARM_REL32, 4 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++) {
        if (known[i].machine == machine && known[i].type == type) {
            return known[i].size;
        }
    }
    return 0;
}

static bool is_relative(unsigned machine, unsigned type)
{
    return (machine == EM_X86_64 && type == R_X86_64_PC32) ||
           (machine == EM_386 && type == R_386_PC32) ||
           (machine == EM_AARCH64 && type == R_AARCH64_PREL32) ||
           (machine == EM_ARM && type == R_ARM_REL32);
}

static void relocate(const ElfFile *elf, DwarfSection *section, const ElfSection *table)
{
    bool explicit = table->type == SHT_RELA;
    unsigned word = elf->wide ? 8 : 4, entry = word * (explicit ? 3 : 2);
    g_autofree uint8_t *bytes =
        symbol_input_get(elf->input, table->offset, table->size, DWARF_SECTION_MAX);
    g_autoptr(GArray) symbols = elf_symbol_values(elf, table->link);
    DwarfCursor c = dwarf_cursor(bytes, bytes ? table->size : 0);

    while (symbols && dwarf_left(&c) >= entry) {
        uint64_t offset = dwarf_number(&c, word), info = dwarf_number(&c, word);
        uint64_t addend = explicit ? dwarf_number(&c, word) : 0;
        unsigned type = elf->wide ? (uint32_t)info : info & 0xff;
        uint64_t symbol = elf->wide ? info >> 32 : info >> 8;
        unsigned size = relocation_size(elf->machine, type);
        DwarfCursor field;

        if (!size || symbol >= symbols->len || offset > section->size ||
            size > section->size - offset) {
            continue;
        }
        field = dwarf_cursor(section->bytes + offset, size);
        addend += explicit ? 0 : dwarf_number(&field, size);
        addend += g_array_index(symbols, uint64_t, symbol);
        addend -= is_relative(elf->machine, type) ? section->address + offset : 0;
        for (unsigned i = 0; i < size; i++) {
            section->bytes[offset + i] = (uint8_t)(addend >> (8 * i));
        }
    }
}

static void read_section(const ElfFile *elf, DwarfSection *section, const char *name)
{
    unsigned index = elf_section_named(elf, name);
    const ElfSection *from = index ? &elf->sections[index] : NULL;
    uint8_t *bytes;

    if (!from || from->type == SHT_NOBITS) {
        return;
    }
    bytes = symbol_input_get(elf->input, from->offset, from->size, DWARF_SECTION_MAX);
    section->address = from->address;
    if (!bytes) {
        return;
    }
    if (from->flags & SHF_COMPRESSED) {
        read_packed(elf, section, bytes, from->size);
        g_free(bytes);
    } else {
        section->bytes = bytes;
        section->size = from->size;
    }
    for (unsigned i = 0; section->bytes && elf->relocatable && i < elf->section_count; i++) {
        const ElfSection *table = &elf->sections[i];

        if ((table->type == SHT_RELA || table->type == SHT_REL) && table->info == index) {
            relocate(elf, section, table);
        }
    }
}

const DwarfSection *dwarf_section(DwarfFile *dwarf, DwarfSectionKind kind)
{
    DwarfSection *section = &dwarf->sections[kind];

    if (!section->read) {
        section->read = true;
        read_section(&dwarf->elf, section, section_names[kind]);
        if (!section->bytes && dwarf->code) {
            read_section(&dwarf->code->elf, section, section_names[kind]);
        }
    }
    return section;
}

uint64_t dwarf_section_append(DwarfFile *dwarf, DwarfSectionKind kind, const ElfFile *elf,
                              bool split)
{
    g_autofree char *name = g_strconcat(section_names[kind], split ? ".dwo" : NULL, NULL);
    DwarfSection *ours = &dwarf->sections[kind], theirs = { 0 };
    uint64_t base = dwarf_section(dwarf, kind)->size;
    uint8_t *bytes = NULL;

    read_section(elf, &theirs, name);
    if (theirs.bytes && theirs.size <= DWARF_SECTION_MAX - MIN(base, DWARF_SECTION_MAX)) {
        bytes = g_try_realloc(ours->bytes, MAX(base + theirs.size, 1));
    }
    if (bytes) {
        memcpy(bytes + base, theirs.bytes, theirs.size);
        ours->bytes = bytes;
        ours->size = base + theirs.size;
    }
    g_free(theirs.bytes);
    return bytes ? base : DWARF_SECTION_NONE;
}

DwarfCursor dwarf_section_cursor(DwarfFile *dwarf, DwarfSectionKind kind, uint64_t offset)
{
    const DwarfSection *section = dwarf_section(dwarf, kind);
    DwarfCursor c = dwarf_cursor(section->bytes, section->size);

    dwarf_take(&c, offset);
    return c;
}

const char *dwarf_section_string(DwarfFile *dwarf, DwarfSectionKind kind, uint64_t offset)
{
    DwarfCursor c = dwarf_section_cursor(dwarf, kind, offset);
    const char *text = dwarf_string(&c);

    return c.wrong ? NULL : text;
}

const char *dwarf_keep(DwarfFile *dwarf, const char *text)
{
    size_t size = strlen(text) + 1;

    if (dwarf->string_bytes + size > DWARF_STRINGS_MAX) {
        return "";
    }
    dwarf->string_bytes += size;
    return g_string_chunk_insert_const(dwarf->strings, text);
}

DwarfFile *dwarf_open(const SymbolInput *input)
{
    DwarfFile *dwarf = g_new0(DwarfFile, 1);

    dwarf->input = *input;
    dwarf->input.path = g_strdup(input->path);
    dwarf->input.fd = fcntl(input->fd, F_DUPFD_CLOEXEC, 0);
    dwarf->strings = g_string_chunk_new(4096);
    dwarf->parts = g_array_new(FALSE, TRUE, sizeof(DwarfPart));
    g_array_set_size(dwarf->parts, 1);
    dwarf->abbrevs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, dwarf_abbrevs_free);
    if (dwarf->input.fd < 0 || !elf_file_open(&dwarf->elf, &dwarf->input, NULL)) {
        dwarf_close(dwarf);
        return NULL;
    }
    return dwarf;
}

void dwarf_take_code(DwarfFile *dwarf, const SymbolInput *input)
{
    if (!dwarf->code) {
        dwarf->code = dwarf_open(input);
    }
}

void dwarf_close(DwarfFile *dwarf)
{
    for (unsigned i = 0; dwarf->units && i < dwarf->units->len; i++) {
        DwarfUnit *unit = &g_array_index(dwarf->units, DwarfUnit, i);

        g_clear_pointer(&unit->lines, dwarf_lines_free);
    }
    for (unsigned i = 0; i < DWARF_SECTIONS; i++) {
        g_free(dwarf->sections[i].bytes);
    }
    g_clear_pointer(&dwarf->code, dwarf_close);
    g_clear_pointer(&dwarf->frames, dwarf_frames_free);
    g_clear_pointer(&dwarf->names, dwarf_names_free);
    g_clear_pointer(&dwarf->types, dwarf_types_free);
    g_clear_pointer(&dwarf->units, g_array_unref);
    g_clear_pointer(&dwarf->ranges, g_array_unref);
    g_clear_pointer(&dwarf->parts, g_array_unref);
    g_hash_table_unref(dwarf->abbrevs);
    g_string_chunk_free(dwarf->strings);
    elf_file_close(&dwarf->elf);
    if (dwarf->input.fd >= 0) {
        close(dwarf->input.fd);
    }
    g_free((char *)dwarf->input.path);
    g_free(dwarf);
}

void dwarf_begin(DwarfFile *dwarf)
{
    enum { STEPS_PER_BYTE = 8, STEPS_MIN = 1 << 24 };
    uint64_t bytes = 0;

    for (unsigned i = 0; i < DWARF_SECTIONS; i++) {
        bytes += dwarf->sections[i].size;
    }
    dwarf->spent = 0;
    dwarf->budget = STEPS_MIN + STEPS_PER_BYTE * bytes;
}

bool dwarf_has_information(const DwarfFile *dwarf)
{
    static const char *const any[] = { ".debug_info", ".debug_frame", ".eh_frame" };

    for (unsigned i = 0; i < G_N_ELEMENTS(any); i++) {
        if (elf_section_named(&dwarf->elf, any[i])) {
            return true;
        }
    }
    return false;
}

bool dwarf_has_lines(const DwarfFile *dwarf)
{
    return elf_section_named(&dwarf->elf, ".debug_line") &&
           elf_section_named(&dwarf->elf, ".debug_info");
}

unsigned dwarf_missing_units(const DwarfFile *dwarf)
{
    return dwarf->missing;
}

bool dwarf_is_relocatable(const DwarfFile *dwarf)
{
    return dwarf->elf.relocatable;
}

GArray *dwarf_sections(const DwarfFile *dwarf)
{
    GArray *ranges = g_array_new(FALSE, FALSE, sizeof(DwarfRange));

    for (unsigned i = 1; i < dwarf->elf.section_count; i++) {
        const ElfSection *section = &dwarf->elf.sections[i];
        DwarfRange range = { section->address, section->address + section->size };

        if (section->flags & SHF_ALLOC && section->size && range.start < range.end) {
            g_array_append_val(ranges, range);
        }
    }
    return ranges;
}

bool dwarf_code(const DwarfFile *dwarf, uint64_t address, void *buffer, size_t size)
{
    for (unsigned i = 1; i < dwarf->elf.section_count; i++) {
        const ElfSection *section = &dwarf->elf.sections[i];
        uint64_t within = address - section->address;

        if (section->flags & SHF_ALLOC && section->type == SHT_PROGBITS && within < section->size &&
            size <= section->size - within) {
            return symbol_input_read(&dwarf->input, section->offset + within, buffer, size);
        }
    }
    return dwarf->code && dwarf_code(dwarf->code, address, buffer, size);
}
