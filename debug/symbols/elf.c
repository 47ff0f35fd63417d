/* SPDX-License-Identifier: MIT */
/*
 * Symbols of ELF files, 32 and 64 bit, little-endian (System V ABI, gABI chapter 4): .symtab, or .dynsym where there
 * is no other.
 */
#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "debug/dwarf/dwarf.h"
#include "debug/symbols/elf.h"
#include "debug/symbols/private.h"

enum { ELF_SECTIONS_MAX = 65536, ELF_SEGMENTS_MAX = 4096, SECTION_NAMES_MAX = 8 << 20 };

static bool elf_matches(const uint8_t *start, size_t size)
{
    return size >= EI_NIDENT && !memcmp(start, ELFMAG, SELFMAG);
}

static void section_from_32(ElfSection *to, const Elf32_Shdr *from)
{
    *to = (ElfSection){ from->sh_name,      from->sh_type,   from->sh_flags, from->sh_addr,
                        from->sh_offset,    from->sh_size,   from->sh_link,  from->sh_info,
                        from->sh_addralign, from->sh_entsize };
}

static void section_from_64(ElfSection *to, const Elf64_Shdr *from)
{
    *to = (ElfSection){ from->sh_name,      from->sh_type,   from->sh_flags, from->sh_addr,
                        from->sh_offset,    from->sh_size,   from->sh_link,  from->sh_info,
                        from->sh_addralign, from->sh_entsize };
}

static bool read_sections(ElfFile *elf, uint64_t offset, uint64_t count, unsigned entry)
{
    unsigned want = elf->wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
    g_autofree uint8_t *bytes = NULL;

    if (!offset) {
        return true;
    }
    if (entry != want) {
        return false;
    }
    if (!count) { /* too many for the header: the first section tells */
        Elf64_Shdr first;

        if (!elf->wide || !symbol_input_read(elf->input, offset, &first, sizeof first)) {
            return false;
        }
        count = first.sh_size;
    }
    bytes = count <= ELF_SECTIONS_MAX
                ? symbol_input_get(elf->input, offset, count * entry, UINT64_C(8) << 20)
                : NULL;
    if (!bytes) {
        return false;
    }
    elf->sections = g_new0(ElfSection, MAX(count, 1));
    elf->section_count = count;
    for (uint64_t i = 0; i < count; i++) {
        if (elf->wide) {
            section_from_64(&elf->sections[i], (const Elf64_Shdr *)(bytes + i * entry));
        } else {
            section_from_32(&elf->sections[i], (const Elf32_Shdr *)(bytes + i * entry));
        }
    }
    return true;
}

/*
 * Takes an address as the lowest that is loaded, if it is. A kernel's CPUs' own data may be linked at 0: what is in the
 * upper half of memory comes before what is in the lower.
 */
static void lower(ElfFile *elf, uint64_t address)
{
    if (elf->low == UINT64_MAX || address >> 63 > elf->low >> 63 ||
        (address >> 63 == elf->low >> 63 && address < elf->low)) {
        elf->low = address;
    }
}

static bool read_segments(ElfFile *elf, uint64_t offset, unsigned count, unsigned entry)
{
    elf->low = UINT64_MAX;
    if (count > ELF_SEGMENTS_MAX ||
        (count && entry != (elf->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))) {
        return false;
    }
    for (unsigned i = 0; i < count; i++, offset += entry) {
        union {
            Elf32_Phdr narrow;
            Elf64_Phdr wide;
        } segment;

        if (!symbol_input_read(elf->input, offset, &segment, entry)) {
            return false;
        }
        if (elf->wide && segment.wide.p_type == PT_LOAD && segment.wide.p_memsz) {
            lower(elf, segment.wide.p_vaddr);
        } else if (!elf->wide && segment.narrow.p_type == PT_LOAD && segment.narrow.p_memsz) {
            lower(elf, segment.narrow.p_vaddr);
        }
    }
    for (unsigned i = 0; i < elf->section_count && !count; i++) {
        const ElfSection *section = &elf->sections[i];

        if (section->flags & SHF_ALLOC && section->size) {
            lower(elf, section->address);
        }
    }
    elf->low = elf->low == UINT64_MAX ? 0 : elf->low;
    return true;
}

/* Sections of a relocatable file have no addresses: they get some, code first, as whoever loads it is likely to do. */
static void lay_out(ElfFile *elf)
{
    uint64_t at = 0;

    for (int code = 1; code >= 0; code--) {
        for (unsigned i = 1; i < elf->section_count; i++) {
            ElfSection *section = &elf->sections[i];
            uint64_t align = CLAMP(section->align, 1, 1 << 16);
            bool is_code = section->flags & SHF_EXECINSTR;

            if (!(section->flags & SHF_ALLOC) || is_code != code || section->size > UINT32_MAX) {
                continue;
            }
            at = (at + align - 1) / align * align;
            section->address = at;
            at += section->size;
        }
    }
}

static void read_names(ElfFile *elf)
{
    const ElfSection *names = elf->names < elf->section_count ? &elf->sections[elf->names] : NULL;

    if (elf->names && names && names->size) {
        elf->section_names =
            symbol_input_get(elf->input, names->offset, names->size, SECTION_NAMES_MAX);
    }
    if (elf->section_names) {
        elf->section_names_bytes = names->size;
        elf->section_names[names->size - 1] = '\0';
    }
}

unsigned elf_section_named(const ElfFile *elf, const char *name)
{
    for (unsigned i = 1; i < elf->section_count; i++) {
        uint32_t at = elf->sections[i].name;

        if (at < elf->section_names_bytes && !strcmp(elf->section_names + at, name)) {
            return i;
        }
    }
    return 0;
}

static bool read_headers(ElfFile *elf)
{
    uint8_t ident[EI_NIDENT];
    union {
        Elf32_Ehdr narrow;
        Elf64_Ehdr wide;
    } header;

    if (!symbol_input_read(elf->input, 0, ident, sizeof ident) || ident[EI_DATA] != ELFDATA2LSB) {
        return false;
    }
    elf->wide = ident[EI_CLASS] == ELFCLASS64;
    if (elf->wide) {
        const Elf64_Ehdr *h = &header.wide;

        elf->ok = symbol_input_read(elf->input, 0, &header, sizeof header.wide) &&
                  read_sections(elf, h->e_shoff, h->e_shnum, h->e_shentsize) &&
                  read_segments(elf, h->e_phoff, h->e_phnum, h->e_phentsize);
        elf->machine = elf->ok ? h->e_machine : 0;
        elf->names = elf->ok ? h->e_shstrndx : 0;
        elf->relocatable = elf->ok && h->e_type == ET_REL;
    } else {
        const Elf32_Ehdr *h = &header.narrow;

        elf->ok = symbol_input_read(elf->input, 0, &header, sizeof header.narrow) &&
                  read_sections(elf, h->e_shoff, h->e_shnum, h->e_shentsize) &&
                  read_segments(elf, h->e_phoff, h->e_phnum, h->e_phentsize);
        elf->machine = elf->ok ? h->e_machine : 0;
        elf->names = elf->ok ? h->e_shstrndx : 0;
        elf->relocatable = elf->ok && h->e_type == ET_REL;
    }
    if (elf->ok) {
        read_names(elf);
    }
    if (elf->relocatable) {
        lay_out(elf);
    }
    return elf->ok;
}

bool elf_file_open(ElfFile *elf, const SymbolInput *input, GError **error)
{
    *elf = (ElfFile){ .input = input };
    if (!read_headers(elf)) {
        elf_file_close(elf);
        return error_fail(error, KASO_ERROR_INVALID,
                          "file '%s' is a damaged ELF file, or not a little-endian one",
                          input->path);
    }
    return true;
}

void elf_file_close(ElfFile *elf)
{
    g_clear_pointer(&elf->sections, g_free);
    g_clear_pointer(&elf->section_names, g_free);
}

const ElfSection *elf_section_of_type(const ElfFile *elf, uint32_t type)
{
    for (unsigned i = 0; i < elf->section_count; i++) {
        if (elf->sections[i].type == type) {
            return &elf->sections[i];
        }
    }
    return NULL;
}

/* nm's letter. */
static char symbol_letter(const ElfFile *elf, unsigned info, unsigned section)
{
    char letter = '?';

    if (section == SHN_ABS) {
        letter = 'a';
    } else if (section < elf->section_count) {
        uint64_t flags = elf->sections[section].flags;

        letter = flags & SHF_EXECINSTR                       ? 't'
                 : elf->sections[section].type == SHT_NOBITS ? 'b'
                 : flags & SHF_WRITE                         ? 'd'
                                                             : 'r';
    }
    if (ELF32_ST_BIND(info) == STB_WEAK) {
        return 'W';
    }
    return ELF32_ST_BIND(info) == STB_GLOBAL ? g_ascii_toupper(letter) : letter;
}

/* Marks of code and data ("$x", "$d.1"), and what is no symbol of anything in memory. */
static bool is_noise(const char *name, unsigned info, unsigned section)
{
    unsigned type = ELF32_ST_TYPE(info);

    return section == SHN_UNDEF || type == STT_FILE || type == STT_SECTION || type == STT_TLS ||
           (name[0] == '$' && (!name[1] || !name[2] || name[2] == '.'));
}

static unsigned symbol_bytes(const ElfFile *elf)
{
    return elf->wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
}

/* The symbol at those bytes, with its address as the sections have theirs. */
static Elf64_Sym get_symbol(const ElfFile *elf, const uint8_t *bytes)
{
    Elf64_Sym symbol;

    if (elf->wide) {
        memcpy(&symbol, bytes, sizeof symbol);
    } else {
        Elf32_Sym narrow;

        memcpy(&narrow, bytes, sizeof narrow);
        symbol = (Elf64_Sym){ narrow.st_name,  narrow.st_info,  narrow.st_other,
                              narrow.st_shndx, narrow.st_value, narrow.st_size };
        /* Bit 0 of an Arm function's address says that it is Thumb code. */
        if (elf->machine == EM_ARM && ELF32_ST_TYPE(symbol.st_info) == STT_FUNC) {
            symbol.st_value &= ~UINT64_C(1);
        }
    }
    if (elf->relocatable && symbol.st_shndx != SHN_UNDEF && symbol.st_shndx < elf->section_count) {
        symbol.st_value += elf->sections[symbol.st_shndx].address;
    }
    return symbol;
}

static uint8_t *get_symbols(const ElfFile *elf, const ElfSection *table)
{
    return symbol_input_get(elf->input, table->offset, table->size,
                            (uint64_t)SYMBOLS_PER_FILE_MAX * symbol_bytes(elf));
}

GArray *elf_symbol_values(const ElfFile *elf, unsigned number)
{
    const ElfSection *table = number < elf->section_count ? &elf->sections[number] : NULL;
    g_autofree uint8_t *bytes = table ? get_symbols(elf, table) : NULL;
    unsigned entry = symbol_bytes(elf);
    GArray *values;

    if (!bytes) {
        return NULL;
    }
    values = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    for (uint64_t at = 0; at + entry <= table->size; at += entry) {
        uint64_t value = get_symbol(elf, bytes + at).st_value;

        g_array_append_val(values, value);
    }
    return values;
}

static void add_symbols(const ElfFile *elf, SymbolFile *file, const ElfSection *table)
{
    unsigned entry = symbol_bytes(elf);
    const ElfSection *strings =
        table->link < elf->section_count ? &elf->sections[table->link] : NULL;
    g_autofree uint8_t *bytes = get_symbols(elf, table);
    g_autofree char *names = strings ? symbol_input_get(elf->input, strings->offset, strings->size,
                                                        SYMBOL_NAMES_BYTES_MAX)
                                     : NULL;

    if (!bytes || !names || !strings->size) {
        return;
    }
    names[strings->size - 1] = '\0';
    for (uint64_t at = 0; at + entry <= table->size; at += entry) {
        Elf64_Sym symbol = get_symbol(elf, bytes + at);

        if (symbol.st_name < strings->size &&
            !is_noise(names + symbol.st_name, symbol.st_info, symbol.st_shndx)) {
            symbol_file_add(file, names + symbol.st_name, strlen(names + symbol.st_name),
                            symbol.st_value, symbol.st_size,
                            symbol_letter(elf, symbol.st_info, symbol.st_shndx));
        }
    }
}

/* Where the file's sections are: symbols outside of them are numbers, not places. */
static void take_range(const ElfFile *elf, SymbolFile *file)
{
    uint64_t start = UINT64_MAX, end = 0;

    for (unsigned i = 0; i < elf->section_count; i++) {
        const ElfSection *section = &elf->sections[i];

        /* A CPU's own data may be linked at 0. */
        if (section->flags & SHF_ALLOC && section->size && section->address >= elf->low &&
            section->size <= UINT64_MAX - section->address) {
            start = MIN(start, section->address);
            end = MAX(end, section->address + section->size);
        }
    }
    file->start = end ? start : 0;
    file->end = end;
}

static SymbolFile *elf_read(const SymbolInput *input, const uint64_t *base, GError **error)
{
    g_autofree char *name = symbol_input_name(input);
    const ElfSection *table;
    SymbolFile *file;
    ElfFile elf;

    if (!elf_file_open(&elf, input, error)) {
        return NULL;
    }
    file = symbol_file_new(name, input->path, "ELF", SYMBOLS_PROGRAM);
    table = elf_section_of_type(&elf, SHT_SYMTAB);
    table = table ? table : elf_section_of_type(&elf, SHT_DYNSYM);
    if (table) {
        add_symbols(&elf, file, table);
    }
    file->dwarf = dwarf_open(input);
    take_range(&elf, file);
    symbol_file_finish(file);
    if (symbol_file_is_upper(file)) {
        file->space = SYMBOLS_KERNEL;
    }
    if (base) {
        symbol_file_move(file, *base - elf.low);
    }
    elf_file_close(&elf);
    return file;
}

const SymbolReader symbol_reader_elf = { "ELF", elf_matches, elf_read };
