/* SPDX-License-Identifier: MIT */
/* Options about what firmware finds: tables of ACPI and SMBIOS, files of fw_cfg, option ROMs. */
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "hw/acpi/acpi.h"
#include "hw/acpi/smbios.h"
#include "main/handlers.h"

enum { FW_CFG_MOST = 256 << 20 }; /* bytes of a file */

/* Checked here, so that mistakes are told whatever the machine makes of it. */
bool option_smbios(Setup *setup, const char *argument, GError **error)
{
    if (!smbios_check_option(argument, error)) {
        return false;
    }
    if (!setup->config.smbios) {
        setup->config.smbios = g_ptr_array_new_with_free_func(g_free);
    }
    g_ptr_array_add(setup->config.smbios, g_strdup(argument));
    return true;
}

bool option_acpitable(Setup *setup, const char *argument, GError **error)
{
    GBytes *table = acpi_given_table(argument, error);

    if (!table) {
        return false;
    }
    if (!setup->acpi_tables) {
        setup->acpi_tables = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    }
    g_ptr_array_add(setup->acpi_tables, table);
    return true;
}

/* Takes name and content. */
static void add_fw_cfg_file(Setup *setup, char *name, char *content, size_t size)
{
    FwCfgFile *file = g_new(FwCfgFile, 1);

    if (!setup->config.fw_cfg_files) {
        setup->config.fw_cfg_files =
            g_ptr_array_new_with_free_func((GDestroyNotify)fw_cfg_file_free);
    }
    *file = (FwCfgFile){ name, g_bytes_new_take(content, size) };
    g_ptr_array_add(setup->config.fw_cfg_files, file);
}

static bool has_fw_cfg_file(const Setup *setup, const char *name)
{
    const GPtrArray *files = setup->config.fw_cfg_files;

    for (unsigned i = 0; files && i < files->len; i++) {
        if (strcmp(((const FwCfgFile *)files->pdata[i])->name, name) == 0) {
            return true;
        }
    }
    return false;
}

bool option_fw_cfg(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "name", "file", "string", "gen_id", NULL };
    enum { LONGEST_NAME = 55 };
    g_autoptr(KeyValues) list = key_values_parse(argument, "name", error);
    const char *name, *path, *text;
    char *content;
    size_t size;

    if (!list || !key_values_check(list, names, "-fw_cfg", error)) {
        return false;
    }
    name = key_values_get(list, "name");
    path = key_values_get(list, "file");
    text = key_values_get(list, "string");
    if (key_values_get(list, "gen_id")) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "gen_id=: not yet: no object makes such files; give file= or string=");
    }
    if (!name || !*name || !path == !text) {
        return error_fail(error, KASO_ERROR_INVALID, "it needs a name and either file= or string=");
    }
    if (strlen(name) > LONGEST_NAME) {
        return error_fail(error, KASO_ERROR_INVALID, "the name is longer than %u characters",
                          LONGEST_NAME);
    }
    if (has_fw_cfg_file(setup, name)) {
        return error_fail(error, KASO_ERROR_INVALID, "there is a file '%s' already", name);
    }
    if (path) {
        if (!file_read(path, FW_CFG_MOST, &content, &size, error)) {
            return false;
        }
    } else {
        content = g_strdup(text);
        size = strlen(text);
    }
    add_fw_cfg_file(setup, g_strdup(name), content, size);
    return true;
}

/* SeaBIOS runs what it finds in this folder. */
bool option_option_rom(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "romfile", NULL };
    enum { ROM_SIGNATURE_SIZE = 2 };
    g_autoptr(KeyValues) list = key_values_parse(argument, "romfile", error);
    const char *path;
    g_autofree char *base = NULL;
    char *content;
    size_t size;

    if (!list || !key_values_check(list, names, "-option-rom", error)) {
        return false;
    }
    path = key_values_get(list, "romfile");
    if (!path) {
        return error_fail(error, KASO_ERROR_INVALID, "it needs a file");
    }
    if (!file_read(path, FW_CFG_MOST, &content, &size, error)) {
        return false;
    }
    if (size < ROM_SIGNATURE_SIZE || memcmp(content, "\x55\xaa", ROM_SIGNATURE_SIZE) != 0) {
        g_free(content);
        return error_fail(error, KASO_ERROR_INVALID,
                          "'%s' is no option ROM: it does not begin with 55 AA", path);
    }
    base = g_path_get_basename(path);
    add_fw_cfg_file(setup, g_strconcat("genroms/", base, NULL), content, size);
    return true;
}
