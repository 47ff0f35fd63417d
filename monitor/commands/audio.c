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

/* Captures: all back ends' are numbered together, in their order. */

static AudioCapture *nth_capture(Machine *machine, int64_t index)
{
    GPtrArray *audiodevs = machine_audiodevs(machine);

    for (guint i = 0; i < audiodevs->len; i++) {
        GPtrArray *captures = ((Audiodev *)audiodevs->pdata[i])->captures;

        if (index < captures->len) {
            return captures->pdata[index];
        }
        index -= captures->len;
    }
    return NULL;
}

static json_t *info_capture_run(Monitor *monitor, json_t *arguments, GError **error)
{
    GString *text = g_string_new(NULL);
    const AudioCapture *capture;

    for (int64_t i = 0; (capture = nth_capture(monitor_machine(monitor), i)); i++) {
        g_string_append_printf(text, "[%" PRId64 "]: ", i);
        audio_capture_describe(capture, text);
    }
    return monitor_text(text);
}

static const MonitorCommand info_capture_command = {
    .hmp = "info capture",
    .summary = "shows which files wavcapture writes",
    .run = info_capture_run,
};
MONITOR_COMMAND(info_capture_command);

static bool take_settings(json_t *arguments, AudioSettings *settings, GError **error)
{
    int64_t rate = monitor_get_int(arguments, "frequency", 44100);
    int64_t bits = monitor_get_int(arguments, "bits", 16);
    int64_t channels = monitor_get_int(arguments, "channels", 2);

    if (rate < 1000 || rate > AUDIO_RATE_MOST) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "frequency %" PRId64 ": give 1000 to %d frames per second", rate,
                          AUDIO_RATE_MOST);
    }
    if (bits != 8 && bits != 16 && bits != 32) {
        return error_fail(error, KASO_ERROR_INVALID, "bits %" PRId64 ": give 8, 16 or 32", bits);
    }
    if (channels < 1 || channels > AUDIO_CHANNELS_MOST) {
        return error_fail(error, KASO_ERROR_INVALID, "channels %" PRId64 ": give 1 to %d", channels,
                          AUDIO_CHANNELS_MOST);
    }
    *settings = (AudioSettings){ bits == 8    ? AUDIO_FORMAT_U8
                                 : bits == 16 ? AUDIO_FORMAT_S16
                                              : AUDIO_FORMAT_S32,
                                 (uint32_t)rate, (uint32_t)channels };
    return true;
}

static json_t *wavcapture_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const char *id = monitor_get_string(arguments, "audiodev");
    Audiodev *audiodev = machine_find_audiodev(machine, id);
    AudioSettings settings;

    if (!audiodev) {
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   "there is no audiodev '%s'; info audiodev shows those that are", id);
    } else if (take_settings(arguments, &settings, error)) {
        audio_capture_new(audiodev, monitor_get_string(arguments, "path"), &settings, error);
    }
    return NULL;
}

static const MonitorArgument wavcapture_arguments[] = {
    { "path", ARGUMENT_STRING, .summary = "file to write" },
    { "audiodev", ARGUMENT_STRING, .summary = "back end whose sound it is" },
    { "frequency", ARGUMENT_INT, true, "frames per second (44100)" },
    { "bits", ARGUMENT_INT, true, "of a sample: 8, 16 (the default) or 32" },
    { "channels", ARGUMENT_INT, true, "1 to 8 (2)" },
    { NULL },
};

static const MonitorCommand wavcapture_command = {
    .hmp = "wavcapture",
    .summary = "writes what the guest plays into a WAVE file as well",
    .arguments = wavcapture_arguments,
    .run = wavcapture_run,
};
MONITOR_COMMAND(wavcapture_command);

static json_t *stopcapture_run(Monitor *monitor, json_t *arguments, GError **error)
{
    int64_t index = monitor_get_int(arguments, "capture", 0);
    AudioCapture *capture = index < 0 ? NULL : nth_capture(monitor_machine(monitor), index);

    if (capture) {
        audio_capture_free(capture);
    } else {
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   "there is no capture %" PRId64 "; info capture numbers them", index);
    }
    return NULL;
}

static const MonitorArgument stopcapture_arguments[] = {
    { "capture", ARGUMENT_INT, .summary = "its number in info capture" },
    { NULL },
};

static const MonitorCommand stopcapture_command = {
    .hmp = "stopcapture",
    .summary = "ends a wavcapture",
    .arguments = stopcapture_arguments,
    .run = stopcapture_run,
};
MONITOR_COMMAND(stopcapture_command);
