/* SPDX-License-Identifier: MIT */
/* -usb and -usbdevice, the short forms of -machine usb=on and of -device usb-…. */
#include <string.h>

#include "base/error.h"
#include "machine/device-open.h"
#include "main/handlers.h"

bool option_usb(Setup *setup, const char *argument, GError **error)
{
    setup->usb_given = true;
    return setup->config.usb = true;
}

static bool add_device(Setup *setup, const char *type, const char *drive, GError **error)
{
    g_autoptr(KeyValues) list = key_values_new();

    key_values_add(list, "driver", type);
    if (drive) {
        key_values_add(list, "drive", drive);
    }
    return device_open(setup->machine, list, error);
}

/* disk:FILE and disk:format=FORMAT:FILE. */
static bool add_disk(Setup *setup, const char *text, GError **error)
{
    g_autofree char *id = g_strdup_printf("usb-disk%u", setup->usb_disks++);
    g_autoptr(GString) drive = g_string_new(NULL);
    const char *file = text, *colon = strchr(text, ':');

    g_string_append_printf(drive, "if=none,id=%s", id);
    if (g_str_has_prefix(text, "format=") && colon) {
        g_string_append_printf(drive, ",%.*s", (int)(colon - text), text);
        file = colon + 1;
    }
    if (!*file) {
        return error_fail(error, KASO_ERROR_INVALID, "disk: names no file; give disk:FILE");
    }
    g_string_append(drive, ",file=");
    for (; *file; file++) {
        g_string_append(drive, *file == ',' ? ",," : (const char[]){ *file, 0 });
    }
    return option_drive(setup, drive->str, error) && add_device(setup, "usb-storage", id, error);
}

bool option_usbdevice(Setup *setup, const char *argument, GError **error)
{
    static const struct {
        const char *name, *type;
    } devices[] = { { "mouse", "usb-mouse" },
                    { "tablet", "usb-tablet" },
                    { "keyboard", "usb-kbd" } };

    if (g_str_has_prefix(argument, "disk:")) {
        return add_disk(setup, argument + strlen("disk:"), error);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(devices); i++) {
        if (strcmp(argument, devices[i].name) == 0) {
            return add_device(setup, devices[i].type, NULL, error);
        }
    }
    if (strcmp(argument, "braille") == 0 || strcmp(argument, "wacom-tablet") == 0) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "not yet: %s; use mouse, tablet or keyboard", argument);
    }
    return error_fail(error, KASO_ERROR_INVALID,
                      "'%s': give mouse, tablet, keyboard or disk:FILE; other devices by -device",
                      argument);
}
