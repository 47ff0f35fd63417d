/* SPDX-License-Identifier: MIT */
/* Sound: -audiodev, and -audio, which is a back end with its device. */
#include <stdio.h>
#include <string.h>

#include "backends/audiodev-open.h"
#include "base/error.h"
#include "base/names.h"
#include "machine/device-open.h"
#include "main/handlers.h"

/* What -audio model= names. */
typedef struct {
    const char *name;
    const char *device, *codec; /* the codec sits on a bus of the device, or NULL */
} SoundModel;

static const SoundModel models[] = {
    { "ac97", "AC97" }, { "es1370", "ES1370" },           { "hda", "intel-hda", "hda-duplex" },
    { "sb16", "sb16" }, { "virtio", "virtio-sound-pci" },
};

static const NotYet models_not_yet[] = {
    { "adlib cs4231a gus", "use sb16" },
    { 0 },
};

static void help_models(void)
{
    printf("Valid audio device model names:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(models); i++) {
        printf("%-11s %s\n", models[i].name, device_type_find(models[i].device)->summary);
    }
}

static const SoundModel *find_model(const char *name, GError **error)
{
    static const NameKind kind = { "audio device model", "-audio model=help", models_not_yet };
    const char *names[G_N_ELEMENTS(models) + 1] = { NULL };

    for (size_t i = 0; i < G_N_ELEMENTS(models); i++) {
        names[i] = models[i].name;
        if (strcmp(models[i].name, name) == 0) {
            return &models[i];
        }
    }
    names_fail(&kind, name, names, error);
    return NULL;
}

bool option_audiodev(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse_last(argument, "driver", error);
    g_autofree char *driver = NULL, *id = NULL;
    g_autoptr(GHashTable) options = NULL;

    if (!list) {
        return false;
    }
    driver = key_values_take(list, "driver");
    id = key_values_take(list, "id");
    if (!driver || !id || !*id) {
        return error_fail(error, KASO_ERROR_INVALID, "it needs a driver and id=NAME");
    }
    options = key_values_table(list);
    return audiodev_open(setup->machine, id, driver, options, error) != NULL;
}

bool option_audio(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse_last(argument, "driver", error);
    g_autofree char *driver = NULL, *id = NULL, *model = NULL;
    g_autoptr(GHashTable) options = NULL;
    Audiodev *audiodev;

    if (is_help(argument)) {
        help_audiodevs();
        help_done();
    }
    if (!list) {
        return false;
    }
    driver = key_values_take(list, "driver");
    id = key_values_take(list, "id");
    model = key_values_take(list, "model");
    if (model && is_help(model)) {
        help_models();
        help_done();
    }
    if (!driver) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "it needs a driver; -audiodev help lists them");
    }
    if (model && !find_model(model, error)) {
        return false;
    }
    options = key_values_table(list);
    audiodev = audiodev_open(setup->machine, id ? id : "audiodev0", driver, options, error);
    if (!audiodev) {
        return false;
    }
    machine_set_default_audiodev(setup->machine, audiodev);
    g_free(setup->sound_model);
    setup->sound_model = g_steal_pointer(&model);
    return true;
}

bool sound_create_devices(Setup *setup, GError **error)
{
    const SoundModel *model = setup->sound_model ? find_model(setup->sound_model, error) : NULL;
    const char *names[] = { model ? model->device : NULL, model ? model->codec : NULL };

    for (size_t i = 0; i < G_N_ELEMENTS(names) && names[i]; i++) {
        g_autoptr(KeyValues) list = key_values_new();

        key_values_add(list, "driver", names[i]);
        if (!device_open(setup->machine, list, error)) {
            g_prefix_error(error, "-audio model=%s: ", model->name);
            return false;
        }
    }
    return true;
}
