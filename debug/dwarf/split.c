/* SPDX-License-Identifier: MIT */
/*
 * What a file keeps elsewhere (DWARF 5, chapters 7.3.2, 7.3.5 and 7.3.6): units in .dwo files, or all of them in a .dwp file, and what dwz has moved
 * into a supplement (.gnu_debugaltlink, .debug_sup). Their sections are put behind ours, so that an offset is one of all of them; where they begin is in the parts.
 *
 * Before DWARF 5: the GNU form of the same, of which a unit's id is an attribute.
 */
#include <string.h>

#include "debug/dwarf/private.h"

#define DEBUG_FOLDER "/usr/lib/debug"
enum { INDEX_COLUMNS_MAX = 16, INDEX_ROWS_MAX = DWARF_UNITS_MAX };

typedef struct {
    uint64_t id;
    uint32_t unit;
    char *path;
} Skeleton;

static void free_skeleton(gpointer opaque)
{
    Skeleton *skeleton = opaque;

    g_free(skeleton->path);
    g_free(skeleton);
}

/* --- other files ------------------------------------------------------------------------------- */

typedef struct {
    SymbolInput input;
    ElfFile elf;
} OtherFile;

static bool open_other(OtherFile *other, const char *path)
{
    if (!symbol_input_open(&other->input, path, NULL)) {
        return false;
    }
    if (!elf_file_open(&other->elf, &other->input, NULL)) {
        symbol_input_close(&other->input);
        return false;
    }
    return true;
}

static void close_other(OtherFile *other)
{
    elf_file_close(&other->elf);
    symbol_input_close(&other->input);
}

/* A file by the path that is written in ours: as it is, from a folder, or beside our file. */
static bool open_named(const DwarfFile *dwarf, OtherFile *other, const char *folder,
                       const char *name)
{
    g_autofree char *own = g_path_get_dirname(dwarf->input.path), *last = g_path_get_basename(name);
    g_autofree char *there = *name == '/' ? g_strdup(name) : g_build_filename(folder, name, NULL);
    g_autofree char *from_own = *name == '/' ? NULL : g_build_filename(own, name, NULL);
    g_autofree char *beside = g_build_filename(own, last, NULL);

    return open_other(other, there) || (from_own && open_other(other, from_own)) ||
           open_other(other, beside);
}

/* A part for a file whose sections are put behind ours. */
static DwarfPart append_sections(DwarfFile *dwarf, const ElfFile *elf, bool split,
                                 const DwarfSectionKind *kinds, unsigned count)
{
    DwarfPart part = { .split = split };

    for (unsigned i = 0; i < count; i++) {
        part.base[kinds[i]] = dwarf_section_append(dwarf, kinds[i], elf, split);
    }
    return part;
}

static DwarfPart append_split(DwarfFile *dwarf, const ElfFile *elf)
{
    static const DwarfSectionKind kinds[] = {
        DWARF_INFO, DWARF_ABBREV,   DWARF_STR,      DWARF_STR_OFFSETS,
        DWARF_LOC,  DWARF_LOCLISTS, DWARF_RNGLISTS,
    };

    return append_sections(dwarf, elf, true, kinds, G_N_ELEMENTS(kinds));
}

static uint32_t add_part(DwarfFile *dwarf, const DwarfPart *part)
{
    g_array_append_val(dwarf->parts, *part);
    return dwarf->parts->len - 1;
}

/* --- dwz's supplement --------------------------------------------------------------------------- */

/* The name and the build id that our file has of it; NULL: it has none. */
static char *supplement_name(DwarfFile *dwarf, uint8_t **section, DwarfCursor *id)
{
    bool standard = elf_section_named(&dwarf->elf, ".debug_sup");
    unsigned index = elf_section_named(&dwarf->elf, standard ? ".debug_sup" : ".gnu_debugaltlink");
    const ElfSection *from = index ? &dwarf->elf.sections[index] : NULL;
    DwarfCursor c;
    const char *name;

    *section = from ? symbol_input_get(&dwarf->input, from->offset, from->size, 1 << 16) : NULL;
    c = dwarf_cursor(*section, *section ? from->size : 0);
    if (standard && (dwarf_number(&c, 2) != 5 || dwarf_u8(&c))) {
        return NULL; /* it is a supplement itself */
    }
    name = dwarf_string(&c);
    if (standard) {
        dwarf_uleb(&c); /* of the checksum */
    }
    *id = c;
    return c.wrong || !*name ? NULL : g_strdup(name);
}

/* Whether the file's build id is what ours says of it. */
static bool is_supplement(const OtherFile *other, const DwarfCursor *id)
{
    unsigned index = elf_section_named(&other->elf, ".note.gnu.build-id");
    const ElfSection *from = index ? &other->elf.sections[index] : NULL;
    g_autofree uint8_t *note =
        from ? symbol_input_get(&other->input, from->offset, from->size, 4096) : NULL;
    uint64_t size = dwarf_left(id);

    /* Three words, "GNU", the id. */
    return !size || !note || (from->size >= 16 + size && !memcmp(note + 16, id->at, size));
}

static bool open_supplement(const DwarfFile *dwarf, OtherFile *other, const char *name,
                            const DwarfCursor *id)
{
    g_autofree char *folder = g_path_get_dirname(dwarf->input.path), *by_id = NULL;
    GString *hex = g_string_new(DEBUG_FOLDER "/.build-id/");

    for (uint64_t i = 0; i < MIN(dwarf_left(id), 64); i++) {
        g_string_append_printf(hex, i == 1 ? "/%02x" : "%02x", id->at[i]);
    }
    g_string_append(hex, ".debug");
    by_id = g_string_free(hex, FALSE);
    if (!open_named(dwarf, other, folder, name) && !open_other(other, by_id)) {
        return false;
    }
    if (!is_supplement(other, id)) {
        close_other(other);
        return false;
    }
    return true;
}

static void take_supplement(DwarfFile *dwarf)
{
    static const DwarfSectionKind kinds[] = { DWARF_INFO, DWARF_ABBREV, DWARF_STR, DWARF_LINE,
                                              DWARF_LINE_STR };
    g_autofree uint8_t *section = NULL;
    DwarfCursor id;
    g_autofree char *name = supplement_name(dwarf, &section, &id);
    OtherFile other;
    DwarfPart part;

    if (!name || !open_supplement(dwarf, &other, name, &id)) {
        return;
    }
    part = append_sections(dwarf, &other.elf, false, kinds, G_N_ELEMENTS(kinds));
    dwarf->has_supplement = true;
    dwarf->supplement_info = part.base[DWARF_INFO];
    dwarf->supplement_str = part.base[DWARF_STR];
    dwarf_read_units(dwarf, part.base[DWARF_INFO], UINT64_MAX, add_part(dwarf, &part));
    close_other(&other);
}

/* --- .dwp --------------------------------------------------------------------------------------- */

static DwarfSectionKind column_section(uint32_t column, unsigned version)
{
    switch (column) {
    case DW_SECT_INFO:
        return DWARF_INFO;
    case DW_SECT_ABBREV:
        return DWARF_ABBREV;
    case DW_SECT_LOC:
        return version < 5 ? DWARF_LOC : DWARF_LOCLISTS;
    case DW_SECT_STR_OFFSETS:
        return DWARF_STR_OFFSETS;
    case DW_SECT_RNGLISTS:
        return version < 5 ? DWARF_SECTIONS : DWARF_RNGLISTS;
    }
    return DWARF_SECTIONS; /* not ours */
}

/* The units that an index lists: each has its own places in the sections. */
static void read_index(DwarfFile *dwarf, const OtherFile *package, const DwarfPart *whole,
                       const char *name)
{
    unsigned index = elf_section_named(&package->elf, name);
    const ElfSection *from = index ? &package->elf.sections[index] : NULL;
    g_autofree uint8_t *bytes =
        from ? symbol_input_get(&package->input, from->offset, from->size, DWARF_SECTION_MAX)
             : NULL;
    DwarfCursor c = dwarf_cursor(bytes, bytes ? from->size : 0), sizes;
    unsigned version = (unsigned)dwarf_most(dwarf_number(&c, 4) & 0xffff, 255);
    uint64_t columns = dwarf_number(&c, 4), rows = dwarf_number(&c, 4), slots = dwarf_number(&c, 4);
    DwarfSectionKind kinds[INDEX_COLUMNS_MAX];

    if (c.wrong || columns > INDEX_COLUMNS_MAX || rows > INDEX_ROWS_MAX ||
        slots > 4 * INDEX_ROWS_MAX) {
        return;
    }
    dwarf_take(&c, slots * 12); /* ids, and which row has them: units tell their ids themselves */
    for (unsigned i = 0; i < columns; i++) {
        kinds[i] = column_section((uint32_t)dwarf_number(&c, 4), version);
    }
    sizes = c;
    dwarf_take(&sizes, rows * columns * 4);
    for (uint64_t row = 0; row < rows && !sizes.wrong; row++) {
        DwarfPart part = *whole;
        uint64_t size = 0;

        for (unsigned i = 0; i < columns; i++) {
            uint64_t offset = dwarf_number(&c, 4), length = dwarf_number(&sizes, 4);

            if (kinds[i] != DWARF_SECTIONS) {
                part.base[kinds[i]] += offset;
                size = kinds[i] == DWARF_INFO ? length : size;
            }
        }
        dwarf_read_units(dwarf, part.base[DWARF_INFO], part.base[DWARF_INFO] + size,
                         add_part(dwarf, &part));
    }
}

static bool take_package(DwarfFile *dwarf)
{
    g_autofree char *path = g_strconcat(dwarf->input.path, ".dwp", NULL);
    OtherFile package;
    DwarfPart whole;

    if (!open_other(&package, path)) {
        return false;
    }
    whole = append_split(dwarf, &package.elf);
    read_index(dwarf, &package, &whole, ".debug_cu_index");
    read_index(dwarf, &package, &whole, ".debug_tu_index");
    close_other(&package);
    return true;
}

/* --- skeletons ---------------------------------------------------------------------------------- */

/* Skeleton *, of all units that have their entries elsewhere. Nothing that is kept points into sections. */
static GPtrArray *find_skeletons(DwarfFile *dwarf)
{
    GPtrArray *skeletons = g_ptr_array_new_with_free_func(free_skeleton);
    guint count = elf_section_named(&dwarf->elf, ".debug_addr") ? dwarf->units->len : 0;

    for (guint i = 0; i < count; i++) {
        DwarfUnit *unit = &g_array_index(dwarf->units, DwarfUnit, i);

        if (dwarf_unit_root(unit) && unit->dwo_name && unit->dwo_id) {
            Skeleton *skeleton = g_new0(Skeleton, 1);

            skeleton->id = unit->dwo_id;
            skeleton->unit = i;
            skeleton->path = *unit->dwo_name == '/' || !*unit->folder
                                 ? g_strdup(unit->dwo_name)
                                 : g_build_filename(unit->folder, unit->dwo_name, NULL);
            g_ptr_array_add(skeletons, skeleton);
        }
    }
    for (guint i = 0; i < dwarf->units->len; i++) {
        g_array_index(dwarf->units, DwarfUnit, i).rooted = false;
    }
    return skeletons;
}

static void take_files(DwarfFile *dwarf, const GPtrArray *skeletons)
{
    g_autoptr(GHashTable) taken = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < skeletons->len; i++) {
        const Skeleton *skeleton = skeletons->pdata[i];
        OtherFile other;

        /* One file may have several units. */
        if (g_hash_table_add(taken, skeleton->path) &&
            open_named(dwarf, &other, "", skeleton->path)) {
            DwarfPart part = append_split(dwarf, &other.elf);

            dwarf_read_units(dwarf, part.base[DWARF_INFO], UINT64_MAX, add_part(dwarf, &part));
            close_other(&other);
        }
    }
}

static int compare_units(const void *a, const void *b)
{
    const DwarfUnit *x = a, *y = b;

    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Joins each skeleton and the unit with its id. */
static void match(DwarfFile *dwarf, const GPtrArray *skeletons)
{
    g_autoptr(GHashTable) by_id = g_hash_table_new(g_int64_hash, g_int64_equal);

    g_array_sort(dwarf->units, compare_units);
    for (guint i = 0; i < dwarf->units->len; i++) {
        DwarfUnit *unit = &g_array_index(dwarf->units, DwarfUnit, i);

        if (dwarf_unit_is_split(unit) && dwarf_unit_root(unit) && unit->dwo_id &&
            unit->type != DW_UT_split_type) {
            g_hash_table_insert(by_id, &unit->dwo_id, unit);
        }
        unit->rooted = false;
    }
    for (guint i = 0; i < skeletons->len; i++) {
        const Skeleton *skeleton = skeletons->pdata[i];
        DwarfUnit *unit = &g_array_index(dwarf->units, DwarfUnit, skeleton->unit),
                  *split = g_hash_table_lookup(by_id, &skeleton->id);

        if (split && !split->skeleton) {
            unit->split = dwarf_unit_index(split) + 1;
            split->skeleton = skeleton->unit + 1;
        } else {
            dwarf->missing++;
        }
    }
}

void dwarf_take_others(DwarfFile *dwarf)
{
    g_autoptr(GPtrArray) skeletons = find_skeletons(dwarf);

    take_supplement(dwarf);
    if (skeletons->len && !take_package(dwarf)) {
        take_files(dwarf, skeletons);
    }
    if (skeletons->len) {
        match(dwarf, skeletons);
    }
}
