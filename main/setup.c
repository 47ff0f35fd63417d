/* SPDX-License-Identifier: MIT */
/* Reading the command line and carrying out its options stage by stage. */
#include "main/setup.h"

#include <string.h>

#include "base/error.h"
#include "base/names.h"

Setup *setup_new(const char *program)
{
    Setup *setup = g_new0(Setup, 1);

    setup->program = program;
    setup->given = g_array_new(false, false, sizeof(GivenOption));
    setup->machine_options = key_values_new();
    setup->smp_options = key_values_new();
    setup->accelerators = g_array_new(false, false, sizeof(AcceleratorChoice));
    setup->firmware_folders = g_ptr_array_new_with_free_func(g_free);
    setup->globals = g_ptr_array_new_with_free_func((GDestroyNotify)key_values_free);
    setup->monitors = g_array_new(false, false, sizeof(MonitorChoice));
    setup->nics = g_array_new(false, true, sizeof(NicChoice));
    setup->viewers = g_array_new(false, true, sizeof(ViewerChoice));
    g_array_set_clear_func(setup->viewers, viewer_choice_clear);
    drives_begin(setup);
    setup->lines = g_ptr_array_new_with_free_func(g_free);
    setup->netdev_objects = g_ptr_array_new_with_free_func((GDestroyNotify)key_values_free);
    setup->config.rtc_base_s = INT64_MIN;
    setup->silence_s = 10;
    setup->ready_fd = -1;
    return setup;
}

void setup_free(Setup *setup)
{
    for (unsigned i = 0; i < setup->given->len; i++) {
        g_free(g_array_index(setup->given, GivenOption, i).argument);
    }
    for (unsigned i = 0; i < setup->accelerators->len; i++) {
        AcceleratorChoice *choice = &g_array_index(setup->accelerators, AcceleratorChoice, i);

        g_free(choice->name);
        g_clear_pointer(&choice->options, g_hash_table_unref);
    }
    for (unsigned i = 0; i < setup->nics->len; i++) {
        NicChoice *nic = &g_array_index(setup->nics, NicChoice, i);

        g_free(nic->type);
        g_free(nic->netdev);
        g_free(nic->mac);
        g_free(nic->id);
        g_free(nic->address);
    }
    g_free(setup->option_infos);
    g_array_unref(setup->given);
    g_free(setup->kernel_irqchip);
    g_free(setup->incoming);
    g_free(setup->loadvm);
    g_clear_pointer(&setup->acpi_tables, g_ptr_array_unref);
    g_array_unref(setup->accelerators);
    g_array_unref(setup->monitors);
    g_array_unref(setup->nics);
    g_array_unref(setup->viewers);
    key_values_free(setup->machine_options);
    key_values_free(setup->smp_options);
    g_ptr_array_unref(setup->firmware_folders);
    g_ptr_array_unref(setup->globals);
    g_ptr_array_unref(setup->drives);
    g_hash_table_unref(setup->drive_places);
    g_ptr_array_unref(setup->lines);
    g_ptr_array_unref(setup->netdev_objects);
    g_free(setup->machine_name);
    g_free(setup->cpu);
    g_free(setup->memory_path);
    g_free(setup->file);
    g_free(setup->keyboard);
    g_free(setup->sound_model);
    g_free(setup->qtest_log);
    g_free(setup->pid_file);
    g_free(setup->chroot_folder);
    g_free(setup->run_as);
    g_free(setup);
}

static const Option *find_option(const char *name)
{
    for (const Option *option = option_table; option->name; option++) {
        if (strcmp(option->name, name) == 0) {
            return option;
        }
    }
    return NULL;
}

static const OptionNotYet *find_not_yet(const char *name)
{
    for (const OptionNotYet *option = options_not_yet; option->name; option++) {
        if (strcmp(option->name, name) == 0) {
            return option;
        }
    }
    return NULL;
}

static bool unknown_option(const char *name, GError **error)
{
    const OptionNotYet *not_yet = find_not_yet(name);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *dashed = g_strconcat("-", name, NULL), *suggestion = NULL;

    if (not_yet && !not_yet->feature) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "-%s: this option is gone; %s", name,
                          not_yet->instead);
    }
    if (not_yet) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "-%s: not yet: %s%s%s", name,
                          not_yet->feature, not_yet->instead ? "; " : "",
                          not_yet->instead ? not_yet->instead : "");
    }
    for (const Option *option = option_table; option->name; option++) {
        g_ptr_array_add(names, g_strconcat("-", option->name, NULL));
    }
    g_ptr_array_add(names, NULL);
    suggestion = names_suggest(dashed, (const char *const *)names->pdata);
    return error_fail(error, KASO_ERROR_NOT_FOUND, "%s: there is no such option%s (-h lists them)",
                      dashed, suggestion);
}

static void prefix_option(const GivenOption *given, GError **error)
{
    if (error && *error) {
        g_prefix_error(error, "-%s%s%s: ", given->option->name, given->argument ? " " : "",
                       given->argument ? given->argument : "");
    }
}

static bool add_given(Setup *setup, const Option *option, const char *argument, GError **error)
{
    GivenOption given = { option, g_strdup(argument) };

    g_array_append_val(setup->given, given);
    if (help_asked(option, argument) && help_print(setup, option->name, error)) {
        help_done();
    }
    if (option->stage == STAGE_PARSE && !option->apply(setup, argument, error)) {
        prefix_option(&given, error);
        return false;
    }
    return true;
}

bool setup_add_option(Setup *setup, const char *name, const char *argument, GError **error)
{
    const Option *option = find_option(name);

    return option ? add_given(setup, option, argument, error) : unknown_option(name, error);
}

bool setup_parse(Setup *setup, int argc, char **argv, GError **error)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *argument = NULL;
        const Option *option;

        if (name[0] != '-' || name[1] == '\0') {
            if (setup->file) {
                return error_fail(
                    error, KASO_ERROR_INVALID,
                    "'%s' and '%s': one file can be run; others are options' arguments",
                    setup->file, name);
            }
            setup->file = g_strdup(name);
            continue;
        }
        name += name[1] == '-' ? 2 : 1;
        option = find_option(name);
        if (!option) {
            return unknown_option(name, error);
        }
        if (option->argument && option->argument[0] == '[' &&
            strcmp(option->argument, "[TOPIC]") == 0) {
            argument = i + 1 < argc ? argv[++i] : NULL;
        } else if (option->argument) {
            if (i + 1 == argc) {
                return error_fail(error, KASO_ERROR_INVALID, "-%s needs an argument: %s", name,
                                  option->argument);
            }
            argument = argv[++i];
        }
        if (!add_given(setup, option, argument, error)) {
            return false;
        }
    }
    return true;
}

bool setup_run_stage(Setup *setup, Stage stage, GError **error)
{
    for (unsigned i = 0; i < setup->given->len; i++) {
        const GivenOption *given = &g_array_index(setup->given, GivenOption, i);

        if (given->option->stage == stage && !given->option->apply(setup, given->argument, error)) {
            prefix_option(given, error);
            return false;
        }
    }
    return true;
}
