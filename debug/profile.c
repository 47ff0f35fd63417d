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
    bool news;        /* there are symbols that there were not when names were last given */
    bool kernel_seen; /* a CPU has run kernel code since the machine's reset */
} Profile;

/* Stands in a stack before an address that had no name when it was sampled. */
#define UNNAMED   '\1'
#define PAGE_MASK UINT64_C(0xfff)

static GHashTable *new_stacks(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static void profile_free(void *opaque)
{
    Profile *profile = opaque;

    g_clear_handle_id(&profile->source, g_source_remove);
    g_clear_pointer(&profile->stacks, g_hash_table_unref);
    g_free(profile);
}

/* Whether the CPU runs a process, and not what is before a kernel: firmware, a loader, code that unpacks it. */
static bool runs_user_code(Vcpu *vcpu)
{
    if (target_register_find(vcpu->target, "cr0")) {
        return linux_register(vcpu, "cr0") & 1 && linux_register(vcpu, "cs") & 3;
    }
    return !(linux_register(vcpu, "cpsr") >> 2 & 3);
}

/*
 * The function that a frame is in. What is not known yet may be later, when the kernel or the firmware's image is recognised: its address stands
 * in the place of its name until then.
 */
static void append_name(GString *text, Vcpu *vcpu, const Frame *frame, bool user)
{
    uint64_t address = frame_address(frame);
    Symbol symbol;

    if (symbols_at(vcpu->machine, vcpu, address, &symbol)) {
        g_string_append(text, symbol.name);
    } else if (user) {
        g_string_append_printf(text, "user %#" PRIx64, address & ~PAGE_MASK);
    } else {
        g_string_append_printf(text, "%c%016" PRIx64, UNNAMED, address);
    }
}

static void count_stack(GHashTable *stacks, const char *text, unsigned samples)
{
    gpointer count = g_hash_table_lookup(stacks, text);

    if (count || g_hash_table_size(stacks) < PROFILE_STACKS_MAX) {
        g_hash_table_insert(stacks, g_strdup(text),
                            GUINT_TO_POINTER(GPOINTER_TO_UINT(count) + samples));
    }
}

/* A stack with names for those of its addresses that are known by now; for the others by page if it is for good. */
static char *named(Machine *machine, const char *stack, bool for_good)
{
    GString *text = g_string_new(NULL);
    const char *at;

    while ((at = strchr(stack, UNNAMED))) {
        uint64_t address = 0;
        char *end;
        Symbol symbol;

        g_string_append_len(text, stack, at - stack);
        address = g_ascii_strtoull(at + 1, &end, 16);
        if (symbols_at(machine, NULL, address, &symbol)) {
            g_string_append(text, symbol.name);
        } else if (for_good) {
            g_string_append_printf(text, "%s %#" PRIx64, address >> 63 ? "unknown" : "loader",
                                   address & ~PAGE_MASK);
        } else {
            g_string_append_len(text, at, end - at);
        }
        stack = end;
    }
    g_string_append(text, stack);
    return g_string_free(text, FALSE);
}

/* Gives names to what had none when it was sampled. */
static void name_stacks(Profile *profile, bool for_good)
{
    GHashTable *stacks = new_stacks();
    GHashTableIter iterator;
    gpointer stack, count;

    profile->news = false;
    g_hash_table_iter_init(&iterator, profile->stacks);
    while (g_hash_table_iter_next(&iterator, &stack, &count)) {
        g_autofree char *text = named(profile->machine, stack, for_good);

        count_stack(stacks, text, GPOINTER_TO_UINT(count));
    }
    g_hash_table_unref(profile->stacks);
    profile->stacks = stacks;
}

static void symbols_changed(void *opaque)
{
    Profile *profile = opaque;

    profile->news = true;
}

/* What runs from here on may be somewhere else: addresses of before are not named by its symbols. */
static void machine_was_reset(void *opaque)
{
    Profile *profile = opaque;

    profile->kernel_seen = false;
    if (profile->source) {
        name_stacks(profile, true);
    }
}

/* A kernel's stacks can only be followed when it is known. */
static void look_for_kernel(Profile *profile, Vcpu *vcpu)
{
    if (!profile->kernel_seen && vcpu->target->get_pc(vcpu) >> 63) {
        profile->kernel_seen = true;
        symbols_refresh(profile->machine);
    }
}

static void sample_vcpu(Profile *profile, Vcpu *vcpu)
{
    GArray *frames;
    GString *text;
    bool user;

    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    look_for_kernel(profile, vcpu);
    frames = backtrace_vcpu(profile->machine, vcpu, PROFILE_DEPTH_MAX);
    text = g_string_new(NULL);
    user = runs_user_code(vcpu);
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
        append_name(text, vcpu, frame, user);
    }
    count_stack(profile->stacks, text->str, 1);
    g_string_free(text, TRUE);
    g_array_unref(frames);
}

static Profile *profile_of(Machine *machine)
{
    Profile *profile = machine_attached(machine, PROFILE_NAME);

    if (!profile) {
        profile = g_new0(Profile, 1);
        profile->machine = machine;
        machine_attach(machine, PROFILE_NAME, profile, profile_free);
        symbols_on_change(machine, symbols_changed, profile);
        machine_on_reset(machine, machine_was_reset, profile);
    }
    return profile;
}

bool profile_runs(Machine *machine)
{
    return profile_of(machine)->source;
}

static gboolean sample(gpointer opaque)
{
    Profile *profile = opaque;
    Machine *machine = profile->machine;

    machine_lock(machine);
    if (profile->news) {
        name_stacks(profile, false);
    }
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
    profile->stacks = new_stacks();
    profile->samples = 0;
    profile->kernel_seen = false;
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
    symbols_refresh(machine);
    name_stacks(profile, true);
    *samples = profile->samples;
    *stacks = g_hash_table_size(profile->stacks);
    if (!path) {
        return true;
    }
    text = g_str_has_suffix(path, ".svg") ? flame_graph_svg(profile->stacks, "Guest code by time")
                                          : folded(profile->stacks);
    return g_file_set_contents(path, text, -1, error);
}
