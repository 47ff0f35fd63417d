/* SPDX-License-Identifier: MIT */
/* Options about finding out what a guest does. */
#include <stdlib.h>

#include "base/error.h"
#include "base/key-values.h"
#include "debug/symbols/symbols.h"
#include "main/handlers.h"

bool option_boot_diagnosis(Setup *setup, const char *argument, GError **error)
{
    bool on;

    if (!parse_switch("-boot-diagnosis", argument, &on, error)) {
        return false;
    }
    setup->no_boot_diagnosis = !on;
    return true;
}

bool option_symbols(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "file", "base", NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, "file", error);
    const char *file, *text;
    uint64_t base = 0;
    unsigned number;
    char *end;
    bool ok;

    if (!list || !key_values_check(list, names, "-symbols", error)) {
        return false;
    }
    file = key_values_get(list, "file");
    text = key_values_get(list, "base");
    if (!file || !*file) {
        return error_fail(error, KASO_ERROR_INVALID, "it needs a file");
    }
    if (text) {
        base = g_ascii_strtoull(text, &end, 0);
        if (!*text || *end) {
            return error_fail(error, KASO_ERROR_INVALID, "base=%s is no address", text);
        }
    }
    machine_lock(setup->machine);
    ok = symbols_add(setup->machine, file, text ? &base : NULL, &number, error);
    machine_unlock(setup->machine);
    return ok;
}
