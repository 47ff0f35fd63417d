/* SPDX-License-Identifier: MIT */
/* -object and -device: their options go to the doors of machine/. */
#include "machine/device-open.h"
#include "machine/object.h"
#include "main/handlers.h"

bool option_object(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse(argument, "qom-type", error);

    return list && object_add(setup->machine, list, error);
}

bool option_device(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse(argument, "driver", error);

    return list && device_open(setup->machine, list, error);
}
