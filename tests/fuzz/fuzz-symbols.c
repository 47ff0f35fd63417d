/* SPDX-License-Identifier: MIT */
/* What the debugger reads of strangers: files with symbols (ELF, PE, System.map), kallsyms and BTF in a guest's memory. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "debug/dwarf/types.h"
#include "debug/linux/btf.h"
#include "debug/linux/exports.h"
#include "debug/linux/kallsyms.h"
#include "debug/symbols/file.h"
#include "tests/fuzz/fuzz.h"

static bool read_nothing(void *opaque, uint64_t address, void *buffer, size_t size)
{
    memset(buffer, (int)address, size);
    return true;
}

static void ask_program(DwarfFile *dwarf, uint64_t address)
{
    DwarfFrame frame = { .dwarf = dwarf, .read = read_nothing };
    Types *types = dwarf_types(dwarf);
    g_autoptr(GArray) locals = NULL;
    DwarfRegisters caller;
    DwarfVariable global;
    bool interrupted;
    TypePlace place;
    uint64_t pc;

    memset(frame.registers.known, 1, sizeof frame.registers.known);
    dwarf_begin(dwarf);
    dwarf_unwind(dwarf, address, &frame, &caller, &pc, &interrupted);
    locals = dwarf_locals(dwarf, address, 0, &frame);
    for (guint i = 0; i < locals->len; i++) {
        const DwarfVariable *local = &g_array_index(locals, DwarfVariable, i);

        g_free(types_describe(types, local->type));
        types_member(types, local->type, "n.a", &place);
    }
    dwarf_begin(dwarf);
    if (dwarf_global(dwarf, "g", address, &frame, &global)) {
        types_size(types, global.type);
        types_member(types, global.type, "n[2].a", &place);
    }
    for (uint32_t i = 0; i < MIN(types->types->len, 200); i++) {
        g_free(types_describe(types, i));
    }
}

static void ask_dwarf(DwarfFile *dwarf, uint64_t low)
{
    DwarfFunction functions[DWARF_FUNCTIONS_MAX];
    uint64_t addresses[8];
    unsigned number = 3;
    DwarfLine line;

    dwarf_begin(dwarf);
    dwarf_line_addresses(dwarf, "a.c", &number, addresses, G_N_ELEMENTS(addresses));
    dwarf_source(dwarf, "d/a.c", &line);
    for (uint64_t at = low; at < low + 64; at += 4) {
        dwarf_begin(dwarf);
        dwarf_line(dwarf, at, &line);
        dwarf_functions(dwarf, at, functions);
        dwarf_behind_prologue(dwarf, at);
        ask_program(dwarf, at);
    }
}

static void read_path(const char *path, size_t size)
{
    g_autoptr(GError) error = NULL;
    uint64_t base = 0x10000, address;
    SymbolFile *file = symbol_file_read(path, size & 1 ? &base : NULL, &error);

    g_assert_true(!file == !!error);
    if (file) {
        symbol_file_address(file, "main", &address);
        if (file->dwarf) {
            ask_dwarf(file->dwarf, 0);
            ask_dwarf(file->dwarf, symbol_file_own(file, file->start));
        }
        symbol_file_free(file);
    }
}

/* What is kept elsewhere is in the file itself: these are other names of it. */
static void read_with_others(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "a", "a.dwp", "a.dwo", "a.sup" };
    g_autofree char *folder = g_dir_make_tmp("fuzz-XXXXXX", NULL);
    char *paths[G_N_ELEMENTS(names)];

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        paths[i] = g_build_filename(folder, names[i], NULL);
        if (i == 0) {
            g_file_set_contents(paths[0], (const char *)data, (gssize)size, NULL);
        } else if (i > 1 || memmem(data, size, ".debug_cu_index", 15)) {
            g_assert_true(symlink(paths[0], paths[i]) == 0);
        }
    }
    read_path(paths[0], size);
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        unlink(paths[i]);
        g_free(paths[i]);
    }
    rmdir(folder);
}

static void read_file(const uint8_t *data, size_t size)
{
    int fd;

    if (memmem(data, size, ".dwo", 4) || memmem(data, size, "a.sup", 5)) {
        read_with_others(data, size);
        return;
    }
    fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (write(fd, data, size) == (ssize_t)size) {
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);

        read_path(path, size);
    }
    close(fd);
}

static void add_symbol(void *opaque, const char *name, size_t length, char type, uint64_t address)
{
    symbol_file_add(opaque, name, length, address, 0, type);
}

static void read_kallsyms(const uint8_t *data, size_t size)
{
    const uint8_t *at = data;
    Kallsyms tables;

    for (unsigned i = 0;
         i < 4 && (at = memmem(at, size - (at - data), kallsyms_needle, KALLSYMS_NEEDLE_SIZE));
         i++) {
        if (kallsyms_parse(&tables, data, size, at - data, 8) ||
            kallsyms_parse(&tables, data, size, at - data, 4)) {
            SymbolFile *file = symbol_file_new("fuzz", NULL, "kallsyms", SYMBOLS_KERNEL);

            kallsyms_foreach(&tables, add_symbol, file);
            symbol_file_finish(file);
            linux_exports_add(file, data, size, UINT64_C(0xffff800000000000));
            symbol_file_free(file);
        }
        at++;
    }
}

static void read_types(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    Types *types = btf_parse(data, size, &error);
    TypePlace place;
    unsigned stars;
    uint32_t number;

    g_assert_true(!types == !!error);
    if (!types) {
        return;
    }
    types_find(types, "struct a *", &number, &stars);
    for (uint32_t i = 0; i < MIN(types->types->len, 200); i++) {
        g_free(types_describe(types, i));
        types_size(types, i);
        types_member(types, i, "b.c[2].d", &place);
    }
    types_free(types);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size) {
        read_file(data, size);
        read_kallsyms(data, size);
        read_types(data, size);
    }
    return 0;
}
