/* SPDX-License-Identifier: MIT */
/* Build IDs of files and of the Linux kernel in memory; see the header. */
#include "debug/symbols/build-id.h"

#include <elf.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/hex.h"
#include "debug/dwarf/dwarf.h"
#include "debug/linux/linux.h"
#include "debug/linux/modules.h"
#include "debug/symbols/elf.h"
#include "debug/symbols/private.h"
#include "machine/accelerator.h"

enum { NOTES_BYTES_MAX = 64 << 10, NOTE_HEADER = 12, DIGITS_MIN = 8 };

static void set_bytes(BuildId *id, const uint8_t *bytes, unsigned size)
{
    id->size = size;
    memcpy(id->bytes, bytes, size);
    for (unsigned i = 0; i < size; i++) {
        g_snprintf(id->text + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* Looks through notes as they lie in a file or in memory. */
static bool find_in_notes(const uint8_t *notes, uint64_t size, BuildId *id)
{
    for (uint64_t at = 0; size - at > NOTE_HEADER;) {
        uint32_t name = load_le32(notes + at), length = load_le32(notes + at + 4);
        uint32_t type = load_le32(notes + at + 8);
        uint64_t name_at = at + NOTE_HEADER, bytes_at = name_at + ((uint64_t)name + 3) / 4 * 4;
        uint64_t next = bytes_at + ((uint64_t)length + 3) / 4 * 4;

        if (next > size || next <= at) {
            return false;
        }
        if (type == NT_GNU_BUILD_ID && name == sizeof ELF_NOTE_GNU && length &&
            length <= BUILD_ID_BYTES_MAX && !memcmp(notes + name_at, ELF_NOTE_GNU, name)) {
            set_bytes(id, notes + bytes_at, length);
            return true;
        }
        at = next;
    }
    return false;
}

static bool of_elf(const ElfFile *elf, BuildId *id)
{
    bool found = false;

    for (unsigned i = 1; i < elf->section_count && !found; i++) {
        const ElfSection *section = &elf->sections[i];
        g_autofree uint8_t *notes =
            section->type == SHT_NOTE && section->size
                ? symbol_input_get(elf->input, section->offset, section->size, NOTES_BYTES_MAX)
                : NULL;

        found = notes && find_in_notes(notes, section->size, id);
    }
    return found;
}

/* file: what is known of it; NULL: nothing, it was not added. */
static bool of_path(const char *path, const SymbolFile *file, BuildId *id, GError **error)
{
    SymbolInput input;
    ElfFile elf;
    bool found;

    if (!symbol_input_open(&input, path, error)) {
        return false;
    }
    if (!elf_file_open(&elf, &input, error)) {
        symbol_input_close(&input);
        return false;
    }
    found = of_elf(&elf, id);
    id->name = file ? g_strdup(file->name) : symbol_input_name(&input);
    id->path = g_strdup(path);
    id->based = file && !elf.relocatable && (file->based || file->space != SYMBOLS_KERNEL);
    id->base = elf.low + (file ? file->moved : 0);
    elf_file_close(&elf);
    symbol_input_close(&input);
    return found || error_fail(error, KASO_ERROR_NOT_FOUND,
                               "'%s' has no build ID: link it with --build-id", path);
}

static bool of_file(const SymbolFile *file, BuildId *id, GError **error)
{
    return strcmp(file->kind, "ELF")
               ? error_fail(error, KASO_ERROR_UNSUPPORTED,
                            "'%s' is no ELF file: it has no build ID", file->name)
               : of_path(file->path, file, id, error);
}

/* Whether an ELF image that the kernel carries (a vDSO) begins shortly before an offset. */
static bool is_of_image(const uint8_t *bytes, uint64_t at)
{
    enum { PAGE = 4096, PAGES = 16 };

    for (uint64_t page = at / PAGE, i = 0; i < PAGES && i <= page; i++) {
        if (!memcmp(bytes + (page - i) * PAGE, ELFMAG, SELFMAG)) {
            return true;
        }
    }
    return false;
}

/* How much of an image from `start` on is not what the kernel frees: there modules may lie, whose notes look the same. */
static uint64_t size_to_init(const LinuxKernel *kernel, uint64_t start, uint64_t size)
{
    uint64_t init;

    if (!linux_symbol(kernel, "__init_begin", &init) &&
        !linux_symbol(kernel, "_sinittext", &init)) {
        return size;
    }
    return init > start ? MIN(size, init - start) : size;
}

/* The only note of the kernel's own, where no name tells where its notes are. vCPUs parked. */
static bool search_kernel(const LinuxKernel *kernel, BuildId *id)
{
    static const uint8_t header[] = { 4, 0, 0, 0,   20,  0,   0, 0, NT_GNU_BUILD_ID,
                                      0, 0, 0, 'G', 'N', 'U', 0 };
    uint64_t start, size, found = 0;
    const uint8_t *bytes = linux_image(kernel, &start, &size);

    size = size_to_init(kernel, start, size);
    for (uint64_t at = 0; bytes && at + sizeof header + 20 <= size;) {
        const uint8_t *next = memmem(bytes + at, size - at - 20, header, sizeof header);

        if (!next) {
            break;
        }
        at = (uint64_t)(next - bytes);
        if (at % 4 == 0 && !is_of_image(bytes, at)) {
            set_bytes(id, next + sizeof header, 20);
            found++;
        }
        at += 4;
    }
    return found == 1;
}

/* vCPUs parked. */
static bool of_kernel(const LinuxKernel *kernel, BuildId *id, GError **error)
{
    uint64_t start, end;
    g_autofree uint8_t *notes = NULL;

    if (linux_symbol(kernel, "__start_notes", &start) &&
        linux_symbol(kernel, "__stop_notes", &end) && end > start &&
        end - start <= NOTES_BYTES_MAX) {
        notes = g_malloc(end - start);
        if (linux_read(kernel, start, notes, end - start) &&
            find_in_notes(notes, end - start, id)) {
            id->name = g_strdup("vmlinux");
            return true;
        }
    }
    id->name = g_strdup("vmlinux");
    return search_kernel(kernel, id) ||
           error_fail(error, KASO_ERROR_NOT_FOUND, "the kernel in memory tells no build ID");
}

/* A module that the kernel has loaded. vCPUs parked. */
static bool of_module(LinuxKernel *kernel, const SymbolFile *file, BuildId *id, GError **error)
{
    uint8_t notes[256];
    size_t size = linux_module_notes(kernel, file->number, notes, sizeof notes);

    id->name = g_strdup(file->name);
    return find_in_notes(notes, size, id) ||
           error_fail(error, KASO_ERROR_NOT_FOUND,
                      "the kernel in memory keeps no build ID of its module '%s'", file->name);
}

static bool from_digits(const char *text, BuildId *id)
{
    size_t digits = strlen(text);
    uint8_t bytes[BUILD_ID_BYTES_MAX];

    if (digits < DIGITS_MIN || digits % 2 || digits > 2 * BUILD_ID_BYTES_MAX) {
        return false;
    }
    if (hex_decode(text, digits / 2, bytes) != digits / 2) {
        return false;
    }
    set_bytes(id, bytes, (unsigned)digits / 2);
    id->name = g_strdup(text);
    return true;
}

/* The one that is meant; NULL. */
static SymbolFile *find_file(Machine *machine, const char *which)
{
    const GPtrArray *files = symbols_files(machine);
    SymbolFile *found = NULL;

    for (guint i = 0; i < files->len; i++) {
        SymbolFile *file = files->pdata[i];
        g_autofree char *number = g_strdup_printf("%u", file->number);

        if (which ? !strcmp(which, number) || !strcmp(which, file->name)
                  : file->by_user && !strcmp(file->kind, "ELF") &&
                        !(file->dwarf && dwarf_has_lines(file->dwarf))) {
            if (found && !which) {
                return NULL;
            }
            found = found ? found : file;
        }
    }
    return found;
}

bool symbols_build_id(Machine *machine, const char *which, BuildId *id, GError **error)
{
    LinuxKernel *kernel;
    SymbolFile *file;
    bool ok;

    *id = (BuildId){ 0 };
    symbols_refresh(machine);
    kernel = linux_kernel_known(machine);
    file = find_file(machine, which);
    if (kernel && (which ? file && file->number == kernel->file : true)) {
        machine_exclusive_begin(machine);
        ok = of_kernel(kernel, id, error);
        machine_exclusive_end(machine);
        return ok;
    }
    if (kernel && file && !strcmp(file->kind, "module")) {
        machine_exclusive_begin(machine);
        ok = of_module(kernel, file, id, error);
        machine_exclusive_end(machine);
        return ok;
    }
    if (file) {
        return of_file(file, id, error);
    }
    if (which && from_digits(which, id)) {
        return true;
    }
    if (which && g_file_test(which, G_FILE_TEST_IS_REGULAR)) {
        return of_path(which, NULL, id, error);
    }
    return error_fail(
        error, KASO_ERROR_NOT_FOUND,
        which ? "there are no symbols '%s', and it is no build ID or file; 'info symbols' lists "
                "what there is"
              : "%sno kernel is in memory, and there is not one file without lines: say which, "
                "by its number in 'info symbols' or its build ID",
        which ? which : "");
}
