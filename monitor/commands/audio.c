/* SPDX-License-Identifier: MIT */
/* Commands about sound. */
#include "machine/audio.h"

#include <stdlib.h>
#include <string.h>

#include "machine/machine.h"
#include "monitor/command.h"

static json_t *info_audiodev_run(Monitor *monitor, json_t *arguments, GError **error)
{
    GPtrArray *audiodevs = machine_audiodevs(monitor_machine(monitor));
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < audiodevs->len; i++) {
        audiodev_describe(audiodevs->pdata[i], text);
    }
    return monitor_text(text);
}

static const MonitorCommand info_audiodev_command = {
    .name = "x-query-audio-streams",
    .hmp = "info audiodev",
    .summary = "shows back ends of sound and the streams of devices that they carry",
    .run = info_audiodev_run,
};
MONITOR_COMMAND(info_audiodev_command);

static json_t *property_json(const Property *property, const Audiodev *audiodev)
{
    g_autofree char *text = property_get(property, audiodev);

    switch (property->kind) {
    case PROPERTY_BOOL:
        return json_boolean(strcmp(text, "on") == 0);
    case PROPERTY_U32:
        return json_integer(strtoll(text, NULL, 10));
    default:
        return json_string(text);
    }
}

/* Whether a property without a default was not given. */
static bool is_unset(const Property *property, const Audiodev *audiodev)
{
    g_autofree char *text = property_get(property, audiodev);

    return !property->fallback && (text[0] == '\0' || strcmp(text, "0") == 0);
}

/* "in.format" goes into the object "in". */
static void put_properties(json_t *object, const Property *table, const Audiodev *audiodev)
{
    for (const Property *p = table; p && p->name; p++) {
        const char *dot = strchr(p->name, '.');
        g_autofree char *side = dot ? g_strndup(p->name, dot - p->name) : NULL;

        if (is_unset(p, audiodev)) {
            continue;
        }
        if (dot && !json_object_get(object, side)) {
            monitor_put(object, side, json_object());
        }
        monitor_put(dot ? json_object_get(object, side) : object, dot ? dot + 1 : p->name,
                    property_json(p, audiodev));
    }
}

static json_t *query_audiodevs_run(Monitor *monitor, json_t *arguments, GError **error)
{
    GPtrArray *audiodevs = machine_audiodevs(monitor_machine(monitor));
    json_t *list = json_array();

    for (guint i = 0; i < audiodevs->len; i++) {
        const Audiodev *audiodev = audiodevs->pdata[i];
        json_t *object = json_object();

        monitor_put(object, "id", json_string(audiodev->id));
        monitor_put(object, "driver", json_string(audiodev->type->name));
        put_properties(object, audiodev_properties, audiodev);
        put_properties(object, audiodev->type->properties, audiodev);
        json_array_append_new(list, object);
    }
    return list;
}

static const MonitorCommand query_audiodevs_command = {
    .name = "query-audiodevs",
    .summary = "shows the options of each back end of sound",
    .run = query_audiodevs_run,
};
MONITOR_COMMAND(query_audiodevs_command);
