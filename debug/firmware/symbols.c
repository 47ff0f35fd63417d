/* SPDX-License-Identifier: MIT */
/*
 * Modules of UEFI firmware as symbol files: a symbol with the module's name where its image begins, so that an address says which module it is in.
 * Looked for only where the user gave the machine firmware.
 */
#include <string.h>

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
        file = symbol_file_new(image->name, image->pdb, "PE", SYMBOLS_FIRMWARE);
        symbol_file_add(file, image->name, strlen(image->name), image->base, image->size, 'T');
        file->start = image->base;
        file->end = image->base + image->size;
        symbol_file_finish(file);
        symbols_take(machine, file);
        g_array_append_val(files_of(machine), file->number);
    }
    if (info) {
        uefi_info_free(info);
    }
}

static const SymbolRecogniser uefi_recogniser = { "uefi", uefi_look, uefi_forget };
SYMBOL_RECOGNISER(uefi_recogniser);
