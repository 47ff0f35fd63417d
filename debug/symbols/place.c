/* SPDX-License-Identifier: MIT */
/*
 * Where the files that a user adds without a base are in the guest: a kernel's by the names that the kernel in memory tells of itself (KASLR), a
 * module's section by section in the same way, firmware that has moved itself (U-Boot, an image of EDK2, a part of SeaBIOS) by its name or its
 * code in RAM.
 *
 * What does not agree is of another build: that is said, and the file is not used.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "debug/dwarf/dwarf.h"
#include "debug/memory.h"
#include "debug/symbols/private.h"
#include "machine/accelerator.h"

enum {
    SAMPLES_MAX = 4096, /* of names that are compared */
    AGREE_PERCENT = 90,
    PROBES_MAX = 16, /* functions whose code is looked for */
    PROBE_BYTES = 32,
    SEARCHES_MAX = 4, /* of them in all RAM */
};

/* --- by names ---------------------------------------------------------------------------------- */

/* The only symbol of a name; false: there is none, or there are several. */
static bool only_address(SymbolFile *file, const char *name, uint64_t *address)
{
    guint at = symbol_file_first_name(file, name);
    Symbol symbol;

    if (at >= file->by_name_count) {
        return false;
    }
    symbol = symbol_file_symbol(file, file->by_name[at]);
    if (strcmp(symbol.name, name)) {
        return false;
    }
    *address = symbol.address;
    return at + 1 >= file->by_name_count ||
           strcmp(symbol_file_symbol(file, file->by_name[at + 1]).name, name);
}

static int compare_offsets(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* The offset that most have, how many these are. */
static unsigned most_common(GArray *offsets, uint64_t *offset)
{
    const uint64_t *all = (const uint64_t *)offsets->data;
    unsigned best = 0;

    g_array_sort(offsets, compare_offsets);
    for (guint i = 0, start = 0; i < offsets->len; i++) {
        if (all[i] != all[start]) {
            start = i;
        }
        if (i - start + 1 > best) {
            best = i - start + 1;
            *offset = all[i];
        }
    }
    return best;
}

/* Whether a reference's symbols [low, high) of the file's addresses agree on one offset; counts them. */
static bool vote(SymbolFile *file, SymbolFile *reference, uint64_t low, uint64_t high,
                 uint64_t *offset, unsigned *agree, unsigned *all)
{
    g_autoptr(GArray) offsets = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    guint stride = reference->entries->len / SAMPLES_MAX + 1;

    for (guint i = 0; i < reference->entries->len; i += stride) {
        Symbol symbol = symbol_file_symbol(reference, i);
        uint64_t own, ours, theirs;

        if (!strchr("tTdDbBrR", symbol.type) || !only_address(file, symbol.name, &ours) ||
            !only_address(reference, symbol.name, &theirs)) {
            continue;
        }
        own = symbol_file_own(file, ours);
        if (own >= low && own < high) {
            theirs -= own;
            g_array_append_val(offsets, theirs);
        }
    }
    *all = offsets->len;
    *agree = most_common(offsets, offset);
    return *all && *agree * 100 >= *all * AGREE_PERCENT;
}

static void set_note(SymbolFile *file, char *note)
{
    g_free(file->note);
    file->note = note;
}

/* --- kernels ----------------------------------------------------------------------------------- */

static bool place_kernel(SymbolFile *file, SymbolFile *kernel)
{
    uint64_t offset = 0;
    unsigned agree, all;

    if (!vote(file, kernel, 0, UINT64_MAX, &offset, &agree, &all)) {
        bool waits = file->waits;

        set_note(file, all ? g_strdup_printf("not used: it is of another kernel than the one in "
                                             "memory (%u of %u symbols agree)",
                                             agree, all)
                           : g_strdup("not used: it shares no names with the kernel in memory"));
        file->waits = true;
        return !waits;
    }
    if (!file->waits && file->moved == offset && file->has_physical == kernel->has_physical &&
        file->to_physical == kernel->to_physical) {
        return false;
    }
    symbol_file_move(file, offset - file->moved);
    file->has_physical = kernel->has_physical;
    file->to_physical = kernel->to_physical;
    file->waits = false;
    set_note(file,
             offset ? g_strdup_printf("moved by %#" PRIx64 ", as the kernel in memory is", offset)
                    : NULL);
    return true;
}

/* --- modules ----------------------------------------------------------------------------------- */

/* Sections that no name of the kernel's speaks of have no place: their symbols are left out. */
static void move_pieces(SymbolFile *file, GArray *pieces)
{
    GArray *kept = g_array_new(FALSE, FALSE, sizeof(SymbolEntry));

    for (guint i = 0; i < file->entries->len; i++) {
        SymbolEntry entry = g_array_index(file->entries, SymbolEntry, i);

        for (guint k = 0; k < pieces->len; k++) {
            const SymbolPiece *piece = &g_array_index(pieces, SymbolPiece, k);

            if (entry.address - piece->start < piece->end - piece->start) {
                entry.address += piece->offset;
                g_array_append_val(kept, entry);
                break;
            }
        }
    }
    g_array_unref(file->entries);
    file->entries = kept;
    file->pieces = pieces;
    file->start = file->end = 0;
    file->space = SYMBOLS_MODULE;
    symbol_file_finish(file);
    for (guint k = 0; k < pieces->len; k++) {
        const SymbolPiece *piece = &g_array_index(pieces, SymbolPiece, k);

        file->start = MIN(file->start, piece->start + piece->offset);
        file->end = MAX(file->end, piece->end + piece->offset);
    }
}

static bool place_module(SymbolFile *file, SymbolFile *module)
{
    g_autoptr(GArray) sections = dwarf_sections(file->dwarf);
    GArray *pieces = g_array_new(FALSE, FALSE, sizeof(SymbolPiece));
    unsigned agreed = 0, whole = 0;

    for (guint i = 0; i < sections->len; i++) {
        const DwarfRange *section = &g_array_index(sections, DwarfRange, i);
        SymbolPiece piece = { section->start, section->end };
        unsigned agree, all;

        if (vote(file, module, section->start, section->end, &piece.offset, &agree, &all)) {
            g_array_append_val(pieces, piece);
        }
        agreed += agree;
        whole += all;
    }
    if (!pieces->len || agreed * 100 < whole * AGREE_PERCENT) {
        g_array_unref(pieces);
        set_note(file, g_strdup_printf("not used: it is of another build than the module in "
                                       "memory (%u of %u symbols agree)",
                                       agreed, whole));
        return false;
    }
    move_pieces(file, pieces);
    file->waits = false;
    set_note(file, g_strdup("where the kernel in memory has the module"));
    return true;
}

/* --- by code ----------------------------------------------------------------------------------- */

typedef struct {
    uint64_t own;
    uint8_t code[PROBE_BYTES];
} Probe;

/* Of functions within [low, high) of the file's addresses. */
static unsigned take_probes(SymbolFile *file, uint64_t low, uint64_t high, Probe probes[PROBES_MAX])
{
    guint stride = file->entries->len / (4 * PROBES_MAX) + 1; /* few are functions */
    unsigned count = 0;

    for (guint i = 0, next = 0; i < file->entries->len && count < PROBES_MAX; i++) {
        const SymbolEntry *entry = &g_array_index(file->entries, SymbolEntry, i);
        Probe *probe = &probes[count];

        if (i < next || g_ascii_toupper(entry->type) != 'T' ||
            symbol_file_symbol(file, i).size < PROBE_BYTES) {
            continue;
        }
        probe->own = symbol_file_own(file, entry->address);
        if (probe->own >= low && probe->own < high &&
            dwarf_code(file->dwarf, probe->own, probe->code, PROBE_BYTES)) {
            count++;
            next = i + stride;
        }
    }
    return count;
}

/* How many probes are where they would be with an offset. */
static unsigned probes_at(Machine *machine, const Probe *probes, unsigned count, uint64_t offset)
{
    unsigned found = 0;

    for (unsigned i = 0; i < count; i++) {
        uint8_t code[PROBE_BYTES];

        found += debug_memory_read(machine, probes[i].own + offset, code, sizeof code) &&
                 !memcmp(code, probes[i].code, sizeof code);
    }
    return found;
}

bool symbol_file_is_there(Machine *machine, SymbolFile *file)
{
    Probe probes[PROBES_MAX];
    unsigned count = file->dwarf ? take_probes(file, 0, UINT64_MAX, probes) : 0;

    return count && probes_at(machine, probes, count, file->moved) * 2 >= count;
}

typedef struct {
    Machine *machine;
    uint64_t low, high; /* the file's own addresses that the search is about */
    Probe probes[PROBES_MAX];
    unsigned count, at; /* at: the one that is looked for */
    uint64_t original;  /* the offset at which it was linked to run */
    bool here, runs_here;
    uint64_t offset; /* of the best copy */
    unsigned best;   /* how many probes it has; 0: there is none */
    bool runs;       /* a CPU is in it */
} CodeSearch;

static bool runs_at(const CodeSearch *search, uint64_t offset)
{
    const GPtrArray *vcpus = search->machine->vcpus;

    for (guint i = 0; i < vcpus->len; i++) {
        const Vcpu *vcpu = vcpus->pdata[i];

        if (vcpu->target->get_pc(vcpu) - (search->low + offset) < search->high - search->low) {
            return true;
        }
    }
    return false;
}

/* Firmware that copies itself leaves the original: what a CPU is in runs, else what is higher. */
static bool found_code(void *opaque, uint64_t guest_phys)
{
    CodeSearch *search = opaque;
    uint64_t offset = guest_phys - search->probes[search->at].own;
    unsigned found = probes_at(search->machine, search->probes, search->count, offset);
    bool runs = found * 2 >= search->count && runs_at(search, offset);

    if (offset != search->original && found * 2 >= search->count && runs >= search->runs &&
        found >= search->best) {
        search->best = found;
        search->offset = offset;
        search->runs = runs;
    }
    return false;
}

/* false: the file has too little code there to tell. */
static bool search_code(CodeSearch *search, SymbolFile *file)
{
    search->count = take_probes(file, search->low, search->high, search->probes);
    if (search->count < 2) {
        return false;
    }
    search->here =
        probes_at(search->machine, search->probes, search->count, search->original) * 2 >=
        search->count;
    search->runs_here = search->here && runs_at(search, search->original);
    for (; !search->runs_here && search->at < MIN(search->count, SEARCHES_MAX) && !search->best;
         search->at++) {
        const DebugSearch memory = {
            search->probes[search->at].code, PROBE_BYTES, 1, DEBUG_SEARCH_MOST, found_code, search
        };

        debug_memory_search(search->machine, &memory);
    }
    return true;
}

/* Firmware and programs without a system: where addresses map to themselves. */
static bool place_whole(Machine *machine, SymbolFile *file)
{
    CodeSearch search = { machine, symbol_file_own(file, file->start),
                          symbol_file_own(file, file->end), .original = file->moved };

    /* Where nothing runs, it stays where it is. */
    if (!search_code(&search, file) || search.runs_here || !search.best ||
        (search.here && !search.runs)) {
        return false;
    }
    symbol_file_move(file, search.offset - file->moved);
    file->to_physical = 0;
    set_note(file,
             g_strdup_printf("moved by %#" PRIx64 ", where its code is in RAM", search.offset));
    return true;
}

/* What firmware moves of itself while the rest stays, by the names of its ends. */
static const struct {
    const char *start, *end;
} parts[] = {
    { "code32init_start",
      "code32init_end" }, /* SeaBIOS: what is needed until a system is started */
};

/* The file's own addresses. */
static bool find_part(SymbolFile *file, uint64_t *start, uint64_t *end)
{
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        if (symbol_file_address(file, parts[i].start, start) &&
            symbol_file_address(file, parts[i].end, end)) {
            *start = symbol_file_own(file, *start);
            *end = symbol_file_own(file, *end);
            return *start < *end;
        }
    }
    return false;
}

static bool place_part(Machine *machine, SymbolFile *file, uint64_t start, uint64_t end)
{
    CodeSearch search = { machine, start, end, .original = file->moved };
    uint64_t now = symbol_file_guest(file, start) - start;
    GArray *pieces;

    if (!search_code(&search, file)) {
        return false;
    }
    if (search.runs_here && file->pieces) {
        symbol_file_split(file, NULL);
        set_note(file, NULL);
        return true;
    }
    if (search.runs_here || !search.best || search.offset == now) {
        return false;
    }
    pieces = g_array_new(FALSE, FALSE, sizeof(SymbolPiece));
    g_array_append_val(pieces, ((SymbolPiece){ start, end, search.offset }));
    symbol_file_split(file, pieces);
    set_note(file, g_strdup_printf("%#" PRIx64 "..%#" PRIx64 " is moved by %#" PRIx64
                                   ", where its code is in RAM",
                                   start, end, search.offset));
    return true;
}

static bool place_code(Machine *machine, SymbolFile *file)
{
    uint64_t start, end;

    return find_part(file, &start, &end) ? place_part(machine, file, start, end)
                                         : place_whole(machine, file);
}

bool symbols_may_move(Machine *machine, uint64_t address, uint64_t *end)
{
    const GPtrArray *files = symbols_files(machine);

    for (guint i = 0; i < files->len; i++) {
        SymbolFile *file = files->pdata[i];

        if (file->by_user && !file->based && !file->floats && !file->waits && !file->moved &&
            !file->pieces && file->space == SYMBOLS_PROGRAM && file->dwarf &&
            address >= file->start && address < file->end) {
            *end = file->end;
            return true;
        }
    }
    return false;
}

/* --- all --------------------------------------------------------------------------------------- */

/* "virtio_net" of "virtio-net.ko.debug", "DxeCore" of "DxeCore.debug". */
static char *stem_of(const SymbolFile *file, bool module)
{
    char *stem = g_strndup(file->name, strcspn(file->name, "."));

    return module ? g_strdelimit(stem, "-", '_') : stem;
}

static SymbolFile *found_in_memory(Machine *machine, SymbolSpace space, const char *name)
{
    const GPtrArray *files = symbols_files(machine);

    for (guint i = 0; i < files->len; i++) {
        SymbolFile *file = files->pdata[i];

        if (!file->by_user && file->space == space && (!name || !strcmp(file->name, name))) {
            return file;
        }
    }
    return NULL;
}

static bool place_relocatable(Machine *machine, SymbolFile *file)
{
    g_autofree char *stem = stem_of(file, true);
    SymbolFile *module = found_in_memory(machine, SYMBOLS_MODULE, stem);

    if (file->pieces) {
        return false;
    }
    if (!module) {
        file->waits = true;
        set_note(file, g_strdup_printf("waits until the kernel has loaded a module '%s'; give "
                                       "BASE for another program",
                                       stem));
        return false;
    }
    return place_module(file, module);
}

static bool place_image(Machine *machine, SymbolFile *file)
{
    g_autofree char *stem = stem_of(file, false);
    SymbolFile *image = found_in_memory(machine, SYMBOLS_FIRMWARE, stem);

    if (!image) {
        return place_code(machine, file);
    }
    if (file->moved == image->start && file->space == SYMBOLS_FIRMWARE) {
        return false;
    }
    /* EDK2's images have the addresses of the ELF file that they were made of. */
    symbol_file_move(file, image->start - file->moved);
    file->space = SYMBOLS_FIRMWARE;
    set_note(file, g_strdup_printf("where the firmware's image '%s' is", stem));
    return true;
}

static bool place(Machine *machine, SymbolFile *file)
{
    SymbolFile *kernel;

    if (!file->by_user || file->based) {
        return false;
    }
    if (file->dwarf && dwarf_is_relocatable(file->dwarf)) {
        return place_relocatable(machine, file);
    }
    if (file->space == SYMBOLS_KERNEL) {
        kernel = found_in_memory(machine, SYMBOLS_KERNEL, NULL);
        file->floats = !kernel && symbol_file_is_linux(file);
        if (file->floats) {
            set_note(file, g_strdup("its kernel is not in memory yet"));
        }
        return kernel && place_kernel(file, kernel);
    }
    return file->dwarf && file->space != SYMBOLS_MODULE && place_image(machine, file);
}

bool symbols_place(Machine *machine)
{
    const GPtrArray *files = symbols_files(machine);
    bool moved = false;

    for (guint i = 0; i < files->len; i++) {
        moved |= place(machine, files->pdata[i]);
    }
    return moved;
}
