/* SPDX-License-Identifier: MIT */
/* Makes back ends of sound from options; see the header. */
#include "backends/audiodev-open.h"

#include <string.h>

#include "base/error.h"
#include "base/names.h"
#include "machine/machine.h"

static const NotYet audiodev_types_not_yet[] = {
    { "coreaudio dbus dsound jack oss sndio spice", "use pa, pipewire, alsa or sdl" },
    { 0 },
};

/* What the host's libraries were not there for when Kaso was built is not among the types. */
static const NameKind audiodev_kind = { "audio driver", "-audiodev help", audiodev_types_not_yet };

const AudiodevType *audiodev_type_find(const char *name, GError **error)
{
    return REGISTRY_FIND(audiodev_types, &audiodev_kind, name, error);
}

/* By name, so PulseAudio first: PipeWire has such a socket, too, and one that is lost is connected again. */
const AudiodevType *audiodev_type_available(void)
{
    const AudiodevType *const *it, *found = NULL;

    REGISTRY_FOREACH(audiodev_types, it) {
        if ((*it)->available && (!found || strcmp((*it)->name, found->name) < 0) &&
            (*it)->available()) {
            found = *it;
        }
    }
    return found;
}

static bool set_option(Audiodev *audiodev, const char *who, const char *key, const char *value,
                       GError **error)
{
    const Property *tables[] = { audiodev_properties, audiodev->type->properties, NULL };

    for (unsigned i = 0; tables[i]; i++) {
        if (property_find(tables[i], key)) {
            return property_set(audiodev->machine, tables[i], audiodev, who, key, value, error);
        }
    }
    return property_unknown(tables, who, key, error);
}

/* What the guest decides is not for the user to say. */
static bool check_fixed(const Audiodev *audiodev, GHashTable *options, const char *side,
                        bool fixed_settings, GError **error)
{
    static const char *const names[] = { "frequency", "channels", "format" };

    for (size_t i = 0; !fixed_settings && i < G_N_ELEMENTS(names); i++) {
        g_autofree char *key = g_strconcat(side, ".", names[i], NULL);

        if (g_hash_table_contains(options, key)) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "audiodev '%s': %s does not go with %s.fixed-settings=off",
                              audiodev->id, key, side);
        }
    }
    return true;
}

/* Without mixing the settings are the guest's, unless the user says otherwise. */
static void let_guest_decide(AudioSide *side, GHashTable *options, const char *fixed_settings)
{
    if (!side->mixing_engine && !g_hash_table_contains(options, fixed_settings)) {
        side->fixed_settings = false;
    }
}

static bool set_options(Audiodev *audiodev, GHashTable *options, GError **error)
{
    g_autofree char *who =
        g_strdup_printf("audiodev '%s' (%s)", audiodev->id, audiodev->type->name);
    GHashTableIter it;
    gpointer key, value;

    g_hash_table_iter_init(&it, options);
    while (g_hash_table_iter_next(&it, &key, &value)) {
        if (!set_option(audiodev, who, key, value, error)) {
            return false;
        }
    }
    let_guest_decide(&audiodev->sides[AUDIO_RECORD], options, "in.fixed-settings");
    let_guest_decide(&audiodev->sides[AUDIO_PLAY], options, "out.fixed-settings");
    return check_fixed(audiodev, options, "in", audiodev->sides[AUDIO_RECORD].fixed_settings,
                       error) &&
           check_fixed(audiodev, options, "out", audiodev->sides[AUDIO_PLAY].fixed_settings, error);
}

Audiodev *audiodev_open(Machine *machine, const char *id, const char *type_name,
                        GHashTable *options, GError **error)
{
    const AudiodevType *type = audiodev_type_find(type_name, error);
    Audiodev *audiodev;

    if (!type) {
        return NULL;
    }
    if (machine_find_audiodev(machine, id)) {
        error_fail(error, KASO_ERROR_INVALID,
                   "there is already an audiodev '%s'; choose another id", id);
        return NULL;
    }
    audiodev = audiodev_new(machine, type, id);
    if ((options && !set_options(audiodev, options, error)) || !audiodev_realize(audiodev, error)) {
        audiodev_free(audiodev);
        return NULL;
    }
    machine_add_audiodev(machine, audiodev);
    return audiodev;
}
