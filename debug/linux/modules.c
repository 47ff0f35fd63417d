/* SPDX-License-Identifier: MIT */
/*
 * The list of modules (kernel/module/main.c): its head is a symbol, or, in kernels that name only their code, found by its shape: a
 * list head in the image whose first entry is a struct module that points back. Symbols are the module's own ELF table, whose addresses
 * the kernel has relocated.
 */
#include "debug/linux/modules.h"

#include <elf.h>
#include <string.h>

#include "base/bits.h"
#include "debug/symbols/file.h"

enum { MODULE_SYMBOLS_MAX = 200000, MODULE_BYTES_MAX = 256 << 20 };

/* Code of modules reaches the kernel's with a branch, and with a few more instructions on arm64. */
#define MODULES_FROM_IMAGE (UINT64_C(8) << 30)

typedef struct {
    uint64_t state, list, name, base, size, kallsyms;
    uint64_t symtab, num_symtab, strtab, typetab;
} Layout;

static bool get_layout(LinuxKernel *kernel, Layout *layout)
{
    Types *types = linux_types(kernel, NULL);

    /* The code's place was a member of its own, then the first of an array. */
    return types && types_offset(types, "module", "state", &layout->state) &&
           types_offset(types, "module", "list", &layout->list) &&
           types_offset(types, "module", "name", &layout->name) &&
           types_offset(types, "module", "kallsyms", &layout->kallsyms) &&
           ((types_offset(types, "module", "core_layout.base", &layout->base) &&
             types_offset(types, "module", "core_layout.size", &layout->size)) ||
            (types_offset(types, "module", "mem[0].base", &layout->base) &&
             types_offset(types, "module", "mem[0].size", &layout->size))) &&
           types_offset(types, "mod_kallsyms", "symtab", &layout->symtab) &&
           types_offset(types, "mod_kallsyms", "num_symtab", &layout->num_symtab) &&
           types_offset(types, "mod_kallsyms", "strtab", &layout->strtab) &&
           types_offset(types, "mod_kallsyms", "typetab", &layout->typetab);
}

static bool name_is_sane(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

    return n && !name[n];
}

static bool is_within(uint64_t a, uint64_t b, uint64_t distance)
{
    return (a > b ? a - b : b - a) < distance;
}

/* entry: where its list member is. */
static bool read_module(const LinuxKernel *kernel, const Layout *layout, uint64_t entry,
                        LinuxModule *module)
{
    uint32_t size;

    *module = (LinuxModule){ .address = entry - layout->list };
    if (!linux_read_string(kernel, module->address + layout->name, module->name,
                           sizeof module->name) ||
        !name_is_sane(module->name) ||
        !linux_read_u32(kernel, module->address + layout->state, &module->state) ||
        module->state > 3 ||
        !linux_read_u64(kernel, module->address + layout->base, &module->base) ||
        !linux_read_u32(kernel, module->address + layout->size, &size)) {
        return false;
    }
    module->size = size;
    return !(module->base & 0xfff) && size && size < MODULE_BYTES_MAX &&
           is_within(module->base, kernel->start, MODULES_FROM_IMAGE) &&
           is_within(module->address, module->base, MODULE_BYTES_MAX);
}

static bool is_list_head(const LinuxKernel *kernel, const Layout *layout, uint64_t head,
                         uint64_t next, uint64_t last)
{
    LinuxModule module;
    uint64_t back;

    return linux_read_u64(kernel, next + 8, &back) && back == head &&
           linux_read_u64(kernel, last, &back) && back == head &&
           read_module(kernel, layout, next, &module);
}

static bool find_list(LinuxKernel *kernel, const Layout *layout)
{
    uint64_t start, size;
    const uint8_t *image = linux_image(kernel, &start, &size);

    if (kernel->module_list || linux_symbol(kernel, "modules", &kernel->module_list)) {
        return true;
    }
    for (uint64_t at = 0; image && at + 16 <= size; at += 8) {
        uint64_t next = load_le64(image + at), last = load_le64(image + at + 8);

        if (linux_is_pointer(kernel, next) && linux_is_pointer(kernel, last) &&
            !linux_in_image(kernel, next) && !linux_in_image(kernel, last) &&
            is_list_head(kernel, layout, start + at, next, last)) {
            kernel->module_list = start + at;
            return true;
        }
    }
    return false;
}

static void add_symbols(const LinuxKernel *kernel, const Layout *layout, const LinuxModule *module,
                        SymbolFile *file)
{
    uint64_t table, symtab, strtab, typetab;
    g_autofree Elf64_Sym *symbols = NULL;
    uint32_t count;

    if (!linux_read_u64(kernel, module->address + layout->kallsyms, &table) ||
        !linux_read_u64(kernel, table + layout->symtab, &symtab) ||
        !linux_read_u32(kernel, table + layout->num_symtab, &count) ||
        !linux_read_u64(kernel, table + layout->strtab, &strtab) ||
        !linux_read_u64(kernel, table + layout->typetab, &typetab) || count > MODULE_SYMBOLS_MAX) {
        return;
    }
    symbols = g_new(Elf64_Sym, MAX(count, 1));
    if (!linux_read(kernel, symtab, symbols, count * sizeof *symbols)) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        const Elf64_Sym *symbol = &symbols[i];
        char name[512], type = '?';

        if (symbol->st_shndx == SHN_UNDEF ||
            !linux_read_string(kernel, strtab + symbol->st_name, name, sizeof name) ||
            name[0] == '$') {
            continue;
        }
        linux_read(kernel, typetab + i, &type, 1);
        symbol_file_add(file, name, strlen(name), symbol->st_value, symbol->st_size,
                        g_ascii_isalpha(type) ? type : '?');
    }
}

static void take_symbols(LinuxKernel *kernel, const Layout *layout, LinuxModule *module)
{
    SymbolFile *file = symbol_file_new(module->name, NULL, "module", SYMBOLS_MODULE);

    add_symbols(kernel, layout, module, file);
    file->start = module->base;
    file->end = module->base + module->size;
    symbol_file_finish(file);
    symbols_take(kernel->machine, file);
    module->file = file->number;
}

static void drop_symbols(const LinuxKernel *kernel, const LinuxModule *module)
{
    SymbolFile *file = module->file ? symbols_file(kernel->machine, module->file) : NULL;

    if (file) {
        symbols_drop(kernel->machine, file);
    }
}

static bool same_module(const LinuxModule *a, const LinuxModule *b)
{
    return a->address == b->address && a->base == b->base && !strcmp(a->name, b->name);
}

/* Keeps the symbols of those that are still there. */
static void merge(LinuxKernel *kernel, const Layout *layout, GArray *now)
{
    for (guint i = 0; i < now->len; i++) {
        LinuxModule *module = &g_array_index(now, LinuxModule, i);

        for (guint k = 0; k < kernel->modules->len && !module->file; k++) {
            LinuxModule *old = &g_array_index(kernel->modules, LinuxModule, k);

            if (same_module(module, old)) {
                module->file = old->file;
                old->file = 0;
            }
        }
        if (!module->file && module->state != 3) {
            take_symbols(kernel, layout, module);
        }
    }
    linux_modules_drop(kernel);
    kernel->modules = now;
}

void linux_modules_drop(LinuxKernel *kernel)
{
    for (guint i = 0; kernel->modules && i < kernel->modules->len; i++) {
        drop_symbols(kernel, &g_array_index(kernel->modules, LinuxModule, i));
    }
    g_clear_pointer(&kernel->modules, g_array_unref);
}

void linux_modules_look(LinuxKernel *kernel)
{
    GArray *now;
    Layout layout;
    uint64_t entry;

    if (!kernel->root || kernel->arch == LINUX_I386 || !get_layout(kernel, &layout) ||
        !find_list(kernel, &layout) || !linux_read_u64(kernel, kernel->module_list, &entry)) {
        return;
    }
    now = g_array_new(FALSE, FALSE, sizeof(LinuxModule));
    while (entry != kernel->module_list && now->len < LINUX_MODULES_MAX) {
        LinuxModule module;

        if (!read_module(kernel, &layout, entry, &module)) {
            break;
        }
        g_array_append_val(now, module);
        if (!linux_read_u64(kernel, entry, &entry)) {
            break;
        }
    }
    if (!kernel->modules) {
        kernel->modules = g_array_new(FALSE, FALSE, sizeof(LinuxModule));
    }
    merge(kernel, &layout, now);
}

/* Where the kernel keeps what it shows in /sys/module/NAME/notes. */
typedef struct {
    uint64_t attributes, count, first, name, size, address, bytes;
} NotesLayout;

static bool get_notes_layout(LinuxKernel *kernel, NotesLayout *l)
{
    Types *types = linux_types(kernel, NULL);

    if (!types || !types_offset(types, "module", "notes_attrs", &l->attributes) ||
        !types_offset(types, "module_notes_attrs", "notes", &l->count) ||
        !types_offset(types, "module_notes_attrs", "attrs", &l->first) ||
        !types_offset(types, "bin_attribute", "attr.name", &l->name) ||
        !types_offset(types, "bin_attribute", "size", &l->size) ||
        !types_offset(types, "bin_attribute", "private", &l->address)) {
        return false;
    }
    l->bytes = types_size(types, types_find_kind(types, TYPE_STRUCT, "bin_attribute"));
    return l->bytes;
}

static size_t read_notes(const LinuxKernel *kernel, const NotesLayout *l, uint64_t module,
                         uint8_t *notes, size_t max)
{
    enum { NOTES_MAX = 64 };
    uint64_t list;
    uint32_t count;

    if (!linux_read_word(kernel, module + l->attributes, &list) ||
        !linux_read_u32(kernel, list + l->count, &count)) {
        return 0;
    }
    for (uint64_t i = 0; i < MIN(count, NOTES_MAX); i++) {
        uint64_t attribute = list + l->first + i * l->bytes, name, size, address;
        char text[32];

        if (linux_read_word(kernel, attribute + l->name, &name) &&
            linux_read_string(kernel, name, text, sizeof text) &&
            !strcmp(text, ".note.gnu.build-id") &&
            linux_read_word(kernel, attribute + l->size, &size) && size <= max &&
            linux_read_word(kernel, attribute + l->address, &address) &&
            linux_read(kernel, address, notes, size)) {
            return size;
        }
    }
    return 0;
}

size_t linux_module_notes(LinuxKernel *kernel, unsigned file, uint8_t *notes, size_t max)
{
    NotesLayout l;

    for (guint i = 0; kernel->modules && i < kernel->modules->len; i++) {
        const LinuxModule *module = &g_array_index(kernel->modules, LinuxModule, i);

        if (file && module->file == file) {
            return get_notes_layout(kernel, &l)
                       ? read_notes(kernel, &l, module->address, notes, max)
                       : 0;
        }
    }
    return 0;
}
