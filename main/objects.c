/* SPDX-License-Identifier: MIT */
/* -object and -device: their options go to the doors of machine/. */
#include "machine/device-open.h"
#include "machine/object.h"
#include "main/handlers.h"

static bool is_on_netdev(const KeyValues *list)
{
    const char *name = key_values_get(list, "qom-type");
    const ObjectType *type = name ? object_type_find(name) : NULL;

    return type && type->on_netdev;
}

bool option_object(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse(argument, "qom-type", error);

    if (!list) {
        return false;
    }
    if (is_on_netdev(list)) {
        g_ptr_array_add(setup->netdev_objects, g_steal_pointer(&list));
        return true;
    }
    return object_add(setup->machine, list, error);
}

bool objects_add_on_netdevs(Setup *setup, GError **error)
{
    for (guint i = 0; i < setup->netdev_objects->len; i++) {
        const KeyValues *list = setup->netdev_objects->pdata[i];

        if (!object_add(setup->machine, list, error)) {
            g_prefix_error(error, "-object %s: ", key_values_get(list, "qom-type"));
            return false;
        }
    }
    return true;
}

bool option_device(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse(argument, "driver", error);

    return list && device_open(setup->machine, list, error);
}
