/* SPDX-License-Identifier: MIT */
/* Variables and types of programs; see the header. */
#include "debug/variables.h"

#include <string.h>

#include "base/bits.h"
#include "debug/dwarf/types.h"
#include "debug/memory.h"
#include "debug/symbols/private.h"

typedef struct {
    Machine *machine;
    Vcpu *vcpu;
    SymbolFile *file;
} Place;

static bool read_guest(void *opaque, uint64_t address, void *buffer, size_t size)
{
    const Place *place = opaque;
    LinuxKernel *kernel = linux_kernel_known(place->machine);

    return (kernel && address >> 63 && linux_read(kernel, address, buffer, size)) ||
           (place->vcpu && debug_memory_read_virtual(place->vcpu, address, buffer, size));
}

static uint64_t to_guest(void *opaque, uint64_t own)
{
    const Place *place = opaque;

    return symbol_file_guest(place->file, own);
}

static DwarfFrame new_frame(Place *place)
{
    return (DwarfFrame){
        .opaque = place, .read = read_guest, .to_guest = to_guest, .dwarf = place->file->dwarf
    };
}

static ProgramVariable from_dwarf(const Place *place, const DwarfVariable *from)
{
    Types *types = dwarf_types(place->file->dwarf);
    ProgramVariable variable = { from->name, types, from->type, from->argument, from->known };

    variable.in_memory = from->location.kind == LOCATION_MEMORY;
    variable.address = from->location.address;
    if (!variable.in_memory) {
        variable.size = MIN(from->location.size, 8);
        variable.value = load_le64(from->location.bytes);
        /* A structure in registers has no address that it could be shown at. */
        variable.known &= types_size(types, from->type) <= 8;
    }
    return variable;
}

GArray *program_locals(Machine *machine, Vcpu *vcpu, const Frame *at, unsigned depth)
{
    GArray *variables = g_array_new(FALSE, FALSE, sizeof(ProgramVariable));
    uint64_t address = frame_address(at);
    Place place = { machine, vcpu, symbols_dwarf_at(machine, vcpu, &address) };
    g_autoptr(GArray) found = NULL;
    DwarfFrame frame;

    if (!place.file) {
        return variables;
    }
    frame = new_frame(&place);
    if (dwarf_machine(place.file->dwarf) == at->elf) {
        frame.registers = at->registers;
    }
    found = dwarf_locals(place.file->dwarf, address, depth, &frame);
    for (guint i = 0; i < found->len; i++) {
        ProgramVariable variable = from_dwarf(&place, &g_array_index(found, DwarfVariable, i));

        g_array_append_val(variables, variable);
    }
    return variables;
}

static bool find_local(Vcpu *vcpu, const Frame *frame, const char *name, ProgramVariable *variable)
{
    SourceFunction functions[SOURCE_FUNCTIONS_MAX];
    unsigned count = symbols_functions(vcpu->machine, vcpu, frame_address(frame), functions);

    for (unsigned depth = 0; depth < count; depth++) {
        g_autoptr(GArray) found = program_locals(vcpu->machine, vcpu, frame, depth);

        for (guint i = 0; i < found->len; i++) {
            *variable = g_array_index(found, ProgramVariable, i);
            if (!strcmp(variable->name, name)) {
                return true;
            }
        }
    }
    return false;
}

/* It may have been given a register for itself, which is the same in all frames. */
static bool find_global(Vcpu *vcpu, const Frame *at, const char *name, ProgramVariable *variable)
{
    const GPtrArray *files = symbols_files(vcpu->machine);

    for (guint i = files->len; i-- > 0;) {
        Place place = { vcpu->machine, vcpu, files->pdata[i] };
        DwarfVariable found;
        DwarfFrame frame;

        if (!place.file->dwarf || place.file->waits) {
            continue;
        }
        frame = new_frame(&place);
        if (dwarf_machine(place.file->dwarf) == at->elf) {
            frame.registers = at->registers;
        }
        dwarf_begin(place.file->dwarf);
        if (dwarf_global(place.file->dwarf, name, symbol_file_own(place.file, at->pc), &frame,
                         &found)) {
            *variable = from_dwarf(&place, &found);
            return true;
        }
    }
    return false;
}

bool program_variable(Vcpu *vcpu, const char *name, ProgramVariable *variable)
{
    g_autoptr(GArray) frames = backtrace_vcpu(vcpu->machine, vcpu, 1);
    const Frame *frame = &g_array_index(frames, Frame, 0);

    return find_local(vcpu, frame, name, variable) || find_global(vcpu, frame, name, variable);
}

bool program_type(Machine *machine, const char *text, Types **types, uint32_t *number,
                  unsigned *stars)
{
    const GPtrArray *files = symbols_files(machine);

    for (guint i = files->len; i-- > 0;) {
        const SymbolFile *file = files->pdata[i];

        if (file->dwarf && !file->waits && dwarf_has_lines(file->dwarf)) {
            *types = dwarf_types(file->dwarf);
            if (types_find(*types, text, number, stars)) {
                return true;
            }
        }
    }
    return false;
}
