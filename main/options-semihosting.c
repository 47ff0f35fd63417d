/* SPDX-License-Identifier: MIT */
/* -semihosting, -semihosting-config: what a program without a system may ask of the host. */
#include <string.h>

#include "base/error.h"
#include "base/key-values.h"
#include "machine/semihosting.h"
#include "main/handlers.h"

/* All arg=, or the kernel's name and what -append says. Caller frees. */
static char *command_line_of(Setup *setup, const KeyValues *list)
{
    const Machine *machine = setup->machine;
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < list->pairs->len; i++) {
        const KeyValue *pair = &g_array_index(list->pairs, KeyValue, i);

        if (!strcmp(pair->key, "arg")) {
            g_string_append_printf(text, "%s%s", text->len ? " " : "", pair->value);
        }
    }
    if (!text->len && machine->config.kernel) {
        g_string_append(text, machine->config.kernel);
        if (machine->config.append) {
            g_string_append_printf(text, " %s", machine->config.append);
        }
    }
    return g_string_free(text, FALSE);
}

static bool check_target(const char *name, GError **error)
{
    if (name && !strcmp(name, "gdb")) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "target=gdb: calls are not passed on to a debugger yet; native and auto "
                          "are the host");
    }
    return !name || !strcmp(name, "native") || !strcmp(name, "auto") ||
           error_fail(error, KASO_ERROR_INVALID, "target=%s: give native, auto or gdb", name);
}

static bool take_switch(const KeyValues *list, const char *name, bool *value, GError **error)
{
    const char *text = key_values_get(list, name);

    return !text || parse_switch(name, text, value, error);
}

bool option_semihosting_config(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "enable", "target", "userspace", "chardev", "arg", NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, "enable", error);
    g_autofree char *command_line = NULL;
    bool enable = true, userspace = false;
    Chardev *console = NULL;
    const char *id;

    if (!list || !key_values_check(list, names, "-semihosting-config", error) ||
        !take_switch(list, "enable", &enable, error) ||
        !take_switch(list, "userspace", &userspace, error) ||
        !check_target(key_values_get(list, "target"), error)) {
        return false;
    }
    if (!enable) {
        return true;
    }
    if (strcmp(setup->target->name, "aarch64") != 0) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "only Arm's processors have semihosting");
    }
    id = key_values_get(list, "chardev");
    console = id ? machine_find_chardev(setup->machine, id) : NULL;
    if (id && !console) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "there is no chardev '%s'; define it with -chardev …,id=%s", id, id);
    }
    command_line = command_line_of(setup, list);
    return semihosting_enable(setup->machine, userspace, command_line, console, error);
}

bool option_semihosting(Setup *setup, const char *argument, GError **error)
{
    return option_semihosting_config(setup, "enable=on", error);
}
