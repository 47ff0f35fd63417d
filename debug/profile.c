/* SPDX-License-Identifier: MIT */
/* Samples what guest code runs; see the header. */
#include "debug/profile.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "debug/backtrace.h"
#include "debug/linux/registers.h"
#include "debug/symbols/symbols.h"
#include "machine/accelerator.h"

#define PROFILE_NAME "debug/profile.h"

typedef struct {
    Machine *machine;
    guint source;       /* of the main loop; 0: it does not run */
    GHashTable *stacks; /* folded stack -> count */
    unsigned samples;
} Profile;

static void profile_free(void *opaque)
{
    Profile *profile = opaque;

    g_clear_handle_id(&profile->source, g_source_remove);
    g_clear_pointer(&profile->stacks, g_hash_table_unref);
    g_free(profile);
}

static Profile *profile_of(Machine *machine)
{
    Profile *profile = machine_attached(machine, PROFILE_NAME);

    if (!profile) {
        profile = g_new0(Profile, 1);
        profile->machine = machine;
        machine_attach(machine, PROFILE_NAME, profile, profile_free);
    }
    return profile;
}

bool profile_runs(Machine *machine)
{
    return profile_of(machine)->source;
}

/* Whether the CPU runs a process, and not what is before a kernel: firmware, a loader, code that unpacks it. */
static bool runs_user_code(Vcpu *vcpu)
{
    if (target_register_find(vcpu->target, "cr0")) {
        return linux_register(vcpu, "cr0") & 1 && linux_register(vcpu, "cs") & 3;
    }
    return !(linux_register(vcpu, "cpsr") >> 2 & 3);
}

/* The function that a frame is in; code without symbols by its page, so that there are not too many names. */
static void append_name(GString *text, Vcpu *vcpu, const Frame *frame)
{
    Symbol symbol;

    if (symbols_at(vcpu->machine, vcpu, frame_address(frame), &symbol)) {
        g_string_append(text, symbol.name);
    } else {
        g_string_append_printf(text, "%s %#" PRIx64,
                               frame->pc >> 63        ? "unknown"
                               : runs_user_code(vcpu) ? "user"
                                                      : "loader",
                               frame->pc & ~UINT64_C(0xfff));
    }
}

static void sample_vcpu(Profile *profile, Vcpu *vcpu)
{
    GArray *frames;
    GString *text;
    gpointer count;

    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    frames = backtrace_vcpu(profile->machine, vcpu, PROFILE_DEPTH_MAX);
    text = g_string_new(NULL);
    for (guint i = frames->len; i-- > 0;) {
        const Frame *frame = &g_array_index(frames, Frame, i);

        /* Of a process only the innermost: its own calls are not known by name. */
        if (frame->kind == FRAME_GUESS ||
            (!(frame->pc >> 63) && i &&
             !symbols_at(profile->machine, vcpu, frame->pc, &(Symbol){ 0 }))) {
            continue;
        }
        if (text->len) {
            g_string_append_c(text, ';');
        }
        append_name(text, vcpu, frame);
    }
    count = g_hash_table_lookup(profile->stacks, text->str);
    if (count || g_hash_table_size(profile->stacks) < PROFILE_STACKS_MAX) {
        g_hash_table_insert(profile->stacks, g_strdup(text->str),
                            GUINT_TO_POINTER(GPOINTER_TO_UINT(count) + 1));
    }
    g_string_free(text, TRUE);
    g_array_unref(frames);
}

static gboolean sample(gpointer opaque)
{
    Profile *profile = opaque;
    Machine *machine = profile->machine;

    machine_lock(machine);
    if (machine_running(machine)) {
        machine_exclusive_begin(machine);
        for (guint i = 0; i < machine->vcpus->len; i++) {
            Vcpu *vcpu = machine->vcpus->pdata[i];

            if (atomic_load(&vcpu->powered)) {
                profile->samples++;
                if (!atomic_load(&vcpu->halted)) {
                    sample_vcpu(profile, vcpu);
                }
            }
        }
        machine_exclusive_end(machine);
    }
    machine_unlock(machine);
    return G_SOURCE_CONTINUE;
}

bool profile_start(Machine *machine, unsigned hertz, GError **error)
{
    Profile *profile = profile_of(machine);

    if (profile->source) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "a profile runs already; 'profile stop FILE' ends it");
    }
    if (!machine->vcpus->len) {
        return error_fail(error, KASO_ERROR_INVALID, "the machine has no CPU");
    }
    g_clear_pointer(&profile->stacks, g_hash_table_unref);
    profile->stacks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    profile->samples = 0;
    profile->source = g_timeout_add(MAX(1000 / hertz, 1), sample, profile);
    return true;
}

static char *folded(GHashTable *stacks)
{
    g_autoptr(GList) keys = g_list_sort(g_hash_table_get_keys(stacks), (GCompareFunc)strcmp);
    GString *text = g_string_new(NULL);

    for (GList *key = keys; key; key = key->next) {
        g_string_append_printf(text, "%s %u\n", (const char *)key->data,
                               GPOINTER_TO_UINT(g_hash_table_lookup(stacks, key->data)));
    }
    return g_string_free(text, FALSE);
}

bool profile_stop(Machine *machine, const char *path, unsigned *samples, unsigned *stacks,
                  GError **error)
{
    Profile *profile = profile_of(machine);
    g_autofree char *text = NULL;

    if (!profile->source) {
        return error_fail(error, KASO_ERROR_INVALID, "no profile runs; 'profile start' begins one");
    }
    g_clear_handle_id(&profile->source, g_source_remove);
    *samples = profile->samples;
    *stacks = g_hash_table_size(profile->stacks);
    if (!path) {
        return true;
    }
    text = g_str_has_suffix(path, ".svg") ? flame_graph_svg(profile->stacks, "Guest code by time")
                                          : folded(profile->stacks);
    return g_file_set_contents(path, text, -1, error);
}
