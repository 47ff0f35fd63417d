/* SPDX-License-Identifier: MIT */
/*
 * Modules of UEFI firmware as symbol files: a symbol with the module's name where its image begins, so that an address says which module it is in.
 * Looked for only where the user gave the machine firmware.
 */
#include <string.h>

#include "base/log.h"
#include "debug/firmware/uefi.h"
#include "debug/symbols/file.h"

#define STATE_NAME "debug/firmware/uefi.h"

static GArray *files_of(Machine *machine)
{
    GArray *files = machine_attached(machine, STATE_NAME);

    if (!files) {
        files = g_array_new(FALSE, FALSE, sizeof(unsigned));
        machine_attach(machine, STATE_NAME, files, (GDestroyNotify)g_array_unref);
    }
    return files;
}

static void uefi_forget(Machine *machine)
{
    GArray *files = files_of(machine);

    for (guint i = 0; i < files->len; i++) {
        SymbolFile *file = symbols_file(machine, g_array_index(files, unsigned, i));

        if (file) {
            symbols_drop(machine, file);
        }
    }
    g_array_set_size(files, 0);
}

static bool is_known(Machine *machine, const UefiImage *image)
{
    GArray *files = files_of(machine);

    for (guint i = 0; i < files->len; i++) {
        const SymbolFile *file = symbols_file(machine, g_array_index(files, unsigned, i));

        if (file && file->start == image->base && !strcmp(file->name, image->name)) {
            return true;
        }
    }
    return false;
}

/* The path of an image's file with symbols: EDK2 makes X.dll or X.efi of X.debug. Caller frees. */
static char *debug_path(const char *linked)
{
    static const char *const made[] = { ".dll", ".efi", ".pdb" };
    g_autofree char *path = g_strdelimit(g_strdup(linked), "\\", '/');

    for (unsigned i = 0; i < G_N_ELEMENTS(made); i++) {
        if (g_str_has_suffix(path, made[i])) {
            path[strlen(path) - strlen(made[i])] = '\0';
            return g_strconcat(path, ".debug", NULL);
        }
    }
    return g_steal_pointer(&path);
}

/* The image's own symbols, from the user's folders; NULL: there are none, or of another build. */
static SymbolFile *read_debug(Machine *machine, const UefiImage *image)
{
    g_autofree char *wanted = image->pdb ? debug_path(image->pdb) : NULL;
    g_autofree char *path = wanted ? symbols_find_file(machine, wanted) : NULL;
    SymbolFile *file = path ? symbol_file_read(path, NULL, NULL) : NULL;

    if (!file) {
        return NULL;
    }
    symbol_file_move(file, image->base);
    if (!symbol_file_is_there(machine, file)) {
        log_printf("symbols: '%s' is of another build than the image '%s' in memory\n", path,
                   image->name);
        symbol_file_free(file);
        return NULL;
    }
    g_free(file->name);
    file->name = g_strdup(image->name);
    file->space = SYMBOLS_FIRMWARE;
    file->start = image->base;
    file->end = image->base + image->size;
    return file;
}

/* Its name, where it begins. */
static SymbolFile *name_only(const UefiImage *image)
{
    SymbolFile *file = symbol_file_new(image->name, image->pdb, "PE", SYMBOLS_FIRMWARE);

    symbol_file_add(file, image->name, strlen(image->name), image->base, image->size, 'T');
    file->start = image->base;
    file->end = image->base + image->size;
    symbol_file_finish(file);
    return file;
}

static void uefi_look(Machine *machine)
{
    UefiInfo *info;

    if (!machine->config.bios && !machine_placed_drive(machine, "pflash", 0)) {
        return;
    }
    info = uefi_info_find(machine);
    for (guint i = 0; info && i < info->images->len; i++) {
        const UefiImage *image = &g_array_index(info->images, UefiImage, i);
        SymbolFile *file;

        if (!image->name || is_known(machine, image)) {
            continue;
        }
        file = read_debug(machine, image);
        file = file ? file : name_only(image);
        symbols_take(machine, file);
        g_array_append_val(files_of(machine), file->number);
    }
    if (info) {
        uefi_info_free(info);
    }
}

static const SymbolRecogniser uefi_recogniser = { "uefi", uefi_look, uefi_forget };
SYMBOL_RECOGNISER(uefi_recogniser);
