/* SPDX-License-Identifier: MIT */
/* Headers of PE/COFF images (Microsoft's PE format) and of TE images (UEFI PI, volume 1, chapter 15). */
#include <string.h>

#include "base/bits.h"
#include "debug/symbols/pe.h"

enum {
    DOS_NEW_HEADER = 0x3c,
    COFF_BYTES = 24, /* with the signature before it */
    SECTION_BYTES = 40,
    DIRECTORY_DEBUG = 6,
    DEBUG_ENTRY_BYTES = 28,
    DEBUG_ENTRIES_MAX = 16,
    DEBUG_TYPE_CODEVIEW = 2,
    TE_BYTES = 40,
    SECTION_CODE = 0x20,
    SECTION_WRITE = 0x80000000,
};

typedef struct {
    PeImage *image;
    PeRead *read;
    void *opaque;
    bool loaded;
    uint64_t adjust; /* TE: offsets of the image are so much larger than those of the file */
    uint32_t debug, debug_size;
} PeParser;

/* Where an address of the image is in what is read. */
static bool pe_offset(const PeParser *parser, uint32_t address, uint64_t *offset)
{
    const PeImage *image = parser->image;

    *offset = address - parser->adjust;
    if (parser->loaded) {
        return true;
    }
    for (unsigned i = 0; i < image->section_count; i++) {
        const PeSection *section = &image->sections[i];

        if (address >= section->address && address - section->address < section->file_size) {
            *offset = (uint64_t)section->offset + (address - section->address) - parser->adjust;
            return true;
        }
    }
    return false;
}

static bool read_sections(PeParser *parser, uint64_t offset, unsigned count)
{
    PeImage *image = parser->image;

    if (count > PE_SECTIONS_MAX) {
        return false;
    }
    for (unsigned i = 0; i < count; i++, offset += SECTION_BYTES) {
        uint8_t header[SECTION_BYTES];
        uint32_t flags;

        if (!parser->read(parser->opaque, offset, header, sizeof header)) {
            return false;
        }
        flags = load_le32(header + 36);
        image->sections[i] = (PeSection){
            .address = load_le32(header + 12),
            .memory_size = load_le32(header + 8),
            .offset = load_le32(header + 20),
            .file_size = load_le32(header + 16),
            .code = flags & SECTION_CODE,
            .writable = flags & SECTION_WRITE,
        };
    }
    image->section_count = count;
    return true;
}

/* CodeView's record: "RSDS", a GUID and an age before the path; "NB10" of older linkers: 16 bytes; "MTOC": a UUID. */
static void read_pdb(PeParser *parser, uint32_t address)
{
    char *pdb = parser->image->pdb;
    uint8_t signature[4];
    uint64_t offset;
    unsigned skip;

    if (!pe_offset(parser, address, &offset) ||
        !parser->read(parser->opaque, offset, signature, sizeof signature)) {
        return;
    }
    skip = !memcmp(signature, "RSDS", 4)   ? 24
           : !memcmp(signature, "NB10", 4) ? 16
           : !memcmp(signature, "MTOC", 4) ? 20
                                           : 0;
    for (unsigned i = 0; skip && i < PE_PDB_MAX - 1; i++) {
        if (!parser->read(parser->opaque, offset + skip + i, &pdb[i], 1) || !pdb[i]) {
            break;
        }
        if ((uint8_t)pdb[i] < ' ') {
            pdb[0] = '\0';
            return;
        }
    }
}

static void read_debug(PeParser *parser)
{
    unsigned count = MIN(parser->debug_size / DEBUG_ENTRY_BYTES, DEBUG_ENTRIES_MAX);
    uint64_t offset;

    if (!parser->debug || !pe_offset(parser, parser->debug, &offset)) {
        return;
    }
    for (unsigned i = 0; i < count; i++, offset += DEBUG_ENTRY_BYTES) {
        uint8_t entry[DEBUG_ENTRY_BYTES];

        if (!parser->read(parser->opaque, offset, entry, sizeof entry)) {
            return;
        }
        if (load_le32(entry + 12) == DEBUG_TYPE_CODEVIEW) {
            read_pdb(parser, load_le32(entry + 20));
        }
    }
}

static bool parse_pe(PeParser *parser, uint64_t at)
{
    PeImage *image = parser->image;
    uint8_t coff[COFF_BYTES], optional[112 + 8 * (DIRECTORY_DEBUG + 1)] = { 0 };
    unsigned sections, optional_size, directories;
    bool wide;

    if (!parser->read(parser->opaque, at, coff, sizeof coff) || memcmp(coff, "PE\0\0", 4)) {
        return false;
    }
    image->machine = load_le16(coff + 4);
    sections = load_le16(coff + 6);
    image->symbols = load_le32(coff + 12);
    image->symbol_count = load_le32(coff + 16);
    optional_size = load_le16(coff + 20);
    if (optional_size < 96 || !parser->read(parser->opaque, at + COFF_BYTES, optional,
                                            MIN(optional_size, sizeof optional))) {
        return false;
    }
    wide = load_le16(optional) == 0x20b;
    if (!wide && load_le16(optional) != 0x10b) {
        return false;
    }
    image->entry = load_le32(optional + 16);
    image->base = wide ? load_le64(optional + 24) : load_le32(optional + 28);
    image->size = load_le32(optional + 56);
    directories = wide ? 112 : 96;
    if (load_le32(optional + directories - 4) > DIRECTORY_DEBUG) {
        parser->debug = load_le32(optional + directories + 8 * DIRECTORY_DEBUG);
        parser->debug_size = load_le32(optional + directories + 8 * DIRECTORY_DEBUG + 4);
    }
    return read_sections(parser, at + COFF_BYTES + optional_size, sections);
}

static bool parse_te(PeParser *parser)
{
    PeImage *image = parser->image;
    uint8_t header[TE_BYTES];
    unsigned stripped;

    if (!parser->read(parser->opaque, 0, header, sizeof header)) {
        return false;
    }
    stripped = load_le16(header + 6);
    if (stripped < TE_BYTES) {
        return false;
    }
    parser->adjust = stripped - TE_BYTES;
    image->machine = load_le16(header + 2);
    image->entry = load_le32(header + 8);
    image->base = load_le64(header + 16);
    parser->debug = load_le32(header + 32);
    parser->debug_size = load_le32(header + 36);
    if (!read_sections(parser, TE_BYTES, header[4])) {
        return false;
    }
    for (unsigned i = 0; i < image->section_count; i++) {
        const PeSection *section = &image->sections[i];

        image->size = MAX(image->size, section->address + MIN(section->memory_size, INT32_MAX));
    }
    return true;
}

bool pe_parse(PeImage *image, PeRead *read, void *opaque, bool loaded)
{
    PeParser parser = { image, read, opaque, loaded };
    uint8_t start[2], at[4];
    bool ok;

    memset(image, 0, sizeof *image);
    if (!read(opaque, 0, start, sizeof start)) {
        return false;
    }
    if (!memcmp(start, "VZ", 2)) {
        ok = parse_te(&parser);
    } else if (!memcmp(start, "MZ", 2)) {
        ok = read(opaque, DOS_NEW_HEADER, at, sizeof at) && parse_pe(&parser, load_le32(at));
    } else {
        ok = parse_pe(&parser, 0);
    }
    if (ok) {
        read_debug(&parser);
    }
    return ok;
}

char *pe_name(const PeImage *image)
{
    const char *start = image->pdb, *end;

    for (const char *c = image->pdb; *c; c++) {
        if (*c == '/' || *c == '\\') {
            start = c + 1;
        }
    }
    end = strrchr(start, '.');
    end = end && end > start ? end : start + strlen(start);
    return end > start && g_utf8_validate(start, end - start, NULL) ? g_strndup(start, end - start)
                                                                    : NULL;
}
