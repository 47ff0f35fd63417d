/* SPDX-License-Identifier: MIT */
/* Source lines and functions of a machine's symbol files: what debug/dwarf knows, at the guest's addresses. */
#include "debug/dwarf/dwarf.h"
#include "debug/symbols/private.h"

SymbolFile *symbols_dwarf_at(Machine *machine, Vcpu *vcpu, uint64_t *address)
{
    const GPtrArray *files = symbols_files(machine);

    for (guint i = files->len; i-- > 0;) {
        SymbolFile *file = files->pdata[i];

        if (file->dwarf && dwarf_has_information(file->dwarf) && *address >= file->start &&
            *address < file->end && symbol_file_applies(file, vcpu, *address)) {
            uint64_t own = symbol_file_own(file, *address);
            Symbol symbol;

            dwarf_begin(file->dwarf);
            if (symbol_file_at(file, *address, &symbol)) {
                own = dwarf_behind_patched(file->dwarf, own - (*address - symbol.address),
                                           symbol.size, own);
            }
            *address = own;
            return file;
        }
    }
    return NULL;
}

static SourceLine to_guest(const SymbolFile *file, const DwarfLine *own)
{
    return (SourceLine){ own->source,
                         own->folder,
                         own->line,
                         symbol_file_guest(file, own->start),
                         symbol_file_guest(file, own->start) + (own->end - own->start),
                         own->statement };
}

bool symbols_line(Machine *machine, Vcpu *vcpu, uint64_t address, SourceLine *line)
{
    uint64_t at = address;
    SymbolFile *file = symbols_dwarf_at(machine, vcpu, &at);
    DwarfLine own;

    if (!file || !dwarf_line(file->dwarf, at, &own)) {
        return false;
    }
    *line = to_guest(file, &own);
    line->start = MIN(line->start, address);
    return true;
}

unsigned symbols_line_addresses(Machine *machine, const char *source, unsigned *line,
                                uint64_t *addresses, unsigned max)
{
    const GPtrArray *files = symbols_files(machine);
    unsigned count = 0;

    for (guint i = files->len; i-- > 0 && !count;) {
        SymbolFile *file = files->pdata[i];

        if (!file->dwarf || file->waits || file->floats) {
            continue;
        }
        dwarf_begin(file->dwarf);
        count = dwarf_line_addresses(file->dwarf, source, line, addresses, max);
        for (unsigned k = 0; k < count; k++) {
            addresses[k] = symbol_file_guest(file, addresses[k]);
        }
    }
    return count;
}

typedef struct {
    const SymbolFile *file;
    SourceWantedFn *wanted;
    SourceLineFn *fn;
    void *opaque;
} LineVisit;

static bool visit_wanted(void *opaque, uint64_t start, uint64_t end)
{
    const LineVisit *visit = opaque;
    uint64_t at = symbol_file_guest(visit->file, start);

    return visit->wanted(visit->opaque, at, at + (end - start));
}

static void visit_line(void *opaque, const DwarfLine *own)
{
    const LineVisit *visit = opaque;
    SourceLine line = to_guest(visit->file, own);

    visit->fn(visit->opaque, &line);
}

void symbols_each_line(Machine *machine, unsigned number, const char *source,
                       SourceWantedFn *wanted, SourceLineFn *fn, void *opaque)
{
    const GPtrArray *files = symbols_files(machine);

    for (guint i = 0; i < files->len; i++) {
        const SymbolFile *file = files->pdata[i];
        LineVisit visit = { file, wanted, fn, opaque };

        if (file->dwarf && !file->waits && !file->floats && (!number || file->number == number)) {
            dwarf_begin(file->dwarf);
            dwarf_each_line(file->dwarf, source, wanted ? visit_wanted : NULL, visit_line, &visit);
        }
    }
}

bool symbols_source(Machine *machine, const char *source, SourceLine *line)
{
    const GPtrArray *files = symbols_files(machine);

    for (guint i = files->len; i-- > 0;) {
        SymbolFile *file = files->pdata[i];
        DwarfLine own;

        if (file->dwarf) {
            dwarf_begin(file->dwarf);
            if (dwarf_source(file->dwarf, source, &own)) {
                *line = (SourceLine){ own.source, own.folder };
                return true;
            }
        }
    }
    return false;
}

uint64_t symbols_behind_prologue(Machine *machine, Vcpu *vcpu, uint64_t address)
{
    uint64_t own = address;
    SymbolFile *file = symbols_dwarf_at(machine, vcpu, &own);

    return file ? symbol_file_guest(file, dwarf_behind_prologue(file->dwarf, own)) : address;
}

unsigned symbols_functions(Machine *machine, Vcpu *vcpu, uint64_t address,
                           SourceFunction functions[SOURCE_FUNCTIONS_MAX])
{
    SymbolFile *file = symbols_dwarf_at(machine, vcpu, &address);
    DwarfFunction own[DWARF_FUNCTIONS_MAX];
    unsigned count = file ? dwarf_functions(file->dwarf, address, own) : 0;

    for (unsigned i = 0; i < count; i++) {
        functions[i] =
            (SourceFunction){ own[i].name, own[i].die, symbol_file_guest(file, own[i].entry),
                              own[i].call_source != NULL };
        functions[i].call =
            (SourceLine){ own[i].call_source, own[i].call_folder, own[i].call_line };
    }
    return count;
}
