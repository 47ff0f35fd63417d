/* SPDX-License-Identifier: MIT */
/* From options and defaults to a board, a target, a CPU model and sizes that fit together. */
#include <string.h>

#include "base/error.h"
#include "base/names.h"
#include "main/setup.h"

static bool choose_board(Setup *setup, GError **error)
{
    const char *name = setup->machine_name;

    if (!name && setup->target) {
        name = setup->target->default_machine;
    }
    if (!name) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "which machine? Give one with -M (-M help lists them)");
    }
    setup->config.board = board_get(name, error);
    if (!setup->config.board) {
        g_prefix_error(error, "-machine %s: ", name);
    }
    return setup->config.board != NULL;
}

static bool choose_target(Setup *setup, GError **error)
{
    const Board *board = setup->config.board;

    if (!setup->target) {
        for (const char *const *name = board->targets; *name && !setup->target; name++) {
            setup->target = target_find(*name);
        }
    }
    if (!setup->target) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "not yet: no processor for machine '%s' is built", board->name);
    }
    if (!board_runs(board, setup->target)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "-machine %s: this machine does not run %s processors", board->name,
                          setup->target->name);
    }
    setup->config.target = setup->target;
    return true;
}

/* "+feature" and "-feature" are older forms of =on and =off. Wherever they stand, + holds against =, - against both. */
static void add_cpu_options(GHashTable *options, const KeyValues *list)
{
    static const struct {
        char sign;
        const char *value;
    } forms[] = { { 0, NULL }, { '+', "on" }, { '-', "off" } };

    for (size_t form = 0; form < G_N_ELEMENTS(forms); form++) {
        for (unsigned i = 0; i < list->pairs->len; i++) {
            const KeyValue *pair = &g_array_index(list->pairs, KeyValue, i);
            char sign = strchr("+-", pair->key[0]) ? pair->key[0] : 0;

            if (sign == forms[form].sign) {
                g_hash_table_replace(options, g_strdup(pair->key + (sign != 0)),
                                     g_strdup(sign ? forms[form].value : pair->value));
            }
        }
    }
}

static bool choose_cpu(Setup *setup, GError **error)
{
    const Target *target = setup->target;
    const char *fallback =
        setup->config.board->default_cpu ? setup->config.board->default_cpu : target->default_cpu;
    g_autoptr(KeyValues) list = NULL;
    g_autofree char *name = NULL;

    if (!setup->cpu && !fallback) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "which CPU? Give one with -cpu (-cpu help lists them)");
    }
    list = key_values_parse(setup->cpu ? setup->cpu : fallback, CPU_MODEL_KEY, error);
    if (!list) {
        return false;
    }
    name = key_values_take(list, CPU_MODEL_KEY);
    setup->config.cpu_model = cpu_model_get(target, name ? name : "", error);
    if (!setup->config.cpu_model) {
        g_prefix_error(error, "-cpu %s: ", name ? name : "");
        return false;
    }
    setup->config.cpu_options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    add_cpu_options(setup->config.cpu_options, list);
    return true;
}

static bool check_topology(const MachineConfig *config, GError **error)
{
    const Board *board = config->board;
    const struct {
        const char *name;
        bool known;
        unsigned count;
    } levels[] = { { "drawers", false, config->drawers },
                   { "books", false, config->books },
                   { "dies", board->smp_dies, config->dies },
                   { "clusters", board->smp_clusters, config->clusters },
                   { "modules", board->smp_modules, config->modules } };

    for (size_t i = 0; i < G_N_ELEMENTS(levels); i++) {
        if (levels[i].count > 1 && !levels[i].known) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "-smp: %s=%u: the CPUs of machine '%s' have no %s", levels[i].name,
                              levels[i].count, board->name, levels[i].name);
        }
    }
    return true;
}

/* What -m says holds against -machine memory.…, wherever they stand. */
static void merge_memory(MemorySizes *memory, const MemorySizes *weaker)
{
    if (!memory->size_given) {
        memory->size = weaker->size;
    }
    if (!memory->most_given) {
        memory->most = weaker->most;
        memory->most_given = weaker->most_given;
    }
    if (!memory->slots_given) {
        memory->slots = weaker->slots;
        memory->slots_given = weaker->slots_given;
    }
}

/* Of what could be plugged; boards without nodes of memory never take any. */
static bool check_plugged_memory(const Board *board, const MemorySizes *memory, uint64_t ram_bytes,
                                 GError **error)
{
    enum { GRAIN = 4096 };

    if (memory->slots_given && !memory->most_given) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "-m: slots= is for memory that is plugged: give maxmem= with it");
    }
    if (memory->most_given && memory->most < ram_bytes) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "-m: maxmem is less than the RAM at start (a bare number counts bytes)");
    }
    if (memory->slots && memory->most == ram_bytes) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "-m: maxmem leaves nothing for the %u slot%s: it is the RAM at start",
                          memory->slots, plural(memory->slots));
    }
    if (memory->most_given && memory->most != ram_bytes && !board->numa) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "-m: machine '%s' takes no slots= and no maxmem=", board->name);
    }
    if (memory->most % GRAIN) {
        return error_fail(error, KASO_ERROR_INVALID, "-m: maxmem is no multiple of %u bytes",
                          GRAIN);
    }
    return true;
}

static bool choose_sizes(Setup *setup, GError **error)
{
    MachineConfig *config = &setup->config;
    const Board *board = config->board;
    MemorySizes *memory = &setup->memory;

    merge_memory(memory, &setup->machine_memory);

    config->ram_bytes = memory->size ? memory->size : board->default_ram_bytes;
    if (config->ram_bytes < board->min_ram_bytes ||
        (board->max_ram_bytes && config->ram_bytes > board->max_ram_bytes)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "-m: machine '%s' takes %" G_GUINT64_FORMAT " MiB to %" G_GUINT64_FORMAT
                          " MiB of RAM, not %" G_GUINT64_FORMAT " MiB",
                          board->name, board->min_ram_bytes >> 20, board->max_ram_bytes >> 20,
                          config->ram_bytes >> 20);
    }
    if (!check_plugged_memory(board, memory, config->ram_bytes, error)) {
        return false;
    }
    if (memory->most > config->ram_bytes) {
        fprintf(stderr,
                "%s: -m maxmem=: no memory can be plugged yet; the guest has what size= gives\n",
                setup->program);
    }
    if (!config->vcpus) {
        config->vcpus = config->sockets = config->cores = config->threads = 1;
    }
    if (board->max_vcpus && config->vcpus > board->max_vcpus) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "-smp: machine '%s' takes up to %u CPU%s, not %u", board->name,
                          board->max_vcpus, plural(board->max_vcpus), config->vcpus);
    }
    return check_topology(config, error);
}

/* -no-NAME is NAME=off of a machine that has such a switch, and nothing otherwise. */
static void switch_off(MachineConfig *config, bool wanted, const char *name)
{
    if (wanted && property_find(config->board->properties, name) &&
        !g_hash_table_contains(config->board_options, name)) {
        g_hash_table_insert(config->board_options, g_strdup(name), g_strdup("off"));
    }
}

bool setup_choose(Setup *setup, GError **error)
{
    MachineConfig *config = &setup->config;

    if (!choose_board(setup, error) || !choose_target(setup, error) || !choose_cpu(setup, error) ||
        !choose_sizes(setup, error)) {
        return false;
    }
    if (config->smbios && !config->board->smbios) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "-smbios: not yet: machine '%s' gives its guest no SMBIOS tables",
                          config->board->name);
    }
    if (setup->acpi_tables && !config->board->acpi_tables) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "-acpitable: machine '%s' gives its guest no ACPI tables",
                          config->board->name);
    }
    if (config->append && !config->kernel) {
        return error_fail(error, KASO_ERROR_INVALID, "-append needs -kernel");
    }
    if (config->initrd && !config->kernel) {
        return error_fail(error, KASO_ERROR_INVALID, "-initrd needs -kernel");
    }
    config->board_options = key_values_table(setup->machine_options);
    switch_off(config, setup->no_acpi, "acpi");
    switch_off(config, setup->no_hpet, "hpet");
    switch_off(config, setup->no_fd_bootchk, "fd-bootchk");
    return true;
}
