/* SPDX-License-Identifier: MIT */
/* Help, made from the registries and tables. Goes to standard output. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/chardev-open.h"
#include "backends/audiodev-open.h"
#include "backends/netdev-open.h"
#include "base/error.h"
#include "base/log.h"
#include "base/version.h"
#include "block/block.h"
#include "machine/accelerator.h"
#include "machine/chardev.h"
#include "machine/fsdev.h"
#include "machine/netdev.h"
#include "machine/object.h"
#include "main/setup.h"

bool is_help(const char *text)
{
    return strcmp(text, "help") == 0 || strcmp(text, "?") == 0;
}

void help_done(void)
{
    fflush(stdout);
    exit(0);
}

typedef struct {
    const char *name, *summary;
} Line;

static int compare_lines(const void *a, const void *b)
{
    return strcmp(((const Line *)a)->name, ((const Line *)b)->name);
}

static void print_lines(GArray *lines, unsigned width)
{
    g_array_sort(lines, compare_lines);
    for (unsigned i = 0; i < lines->len; i++) {
        const Line *line = &g_array_index(lines, Line, i);

        printf("%-*s %s\n", (int)width, line->name, line->summary ? line->summary : "");
    }
    g_array_unref(lines);
}

/* Each name on a line of its own, as scripts look for them. */
static void print_entries(GArray *lines)
{
    g_array_sort(lines, compare_lines);
    for (unsigned i = 0; i < lines->len; i++) {
        const Line *line = &g_array_index(lines, Line, i);

        printf("%s\n    %s\n", line->name, line->summary);
    }
    g_array_unref(lines);
}

static GArray *new_lines(void)
{
    return g_array_new(false, false, sizeof(Line));
}

static void add_line(GArray *lines, const char *name, const char *summary)
{
    Line line = { name, summary };

    g_array_append_val(lines, line);
}

/* The words that scripts look for before they trust the rest. */
void help_version(void)
{
    printf("QEMU emulator version %s\n", version_text);
}

void help_options(void)
{
    help_version();
    printf("usage: kaso-system-TARGET [options] [disk image]\n\n");
    for (const Option *option = option_table; option->name; option++) {
        printf("-%s%s%s\n        %s\n", option->name, option->argument ? " " : "",
               option->argument ? option->argument : "", option->summary);
    }
    printf("\nOn a shared terminal: Ctrl-A h help, Ctrl-A x quit, Ctrl-A c monitor.\n");
}

void help_machines(const Target *target)
{
    const char *usual = target ? target->default_machine : NULL;
    GArray *lines = new_lines();
    GPtrArray *texts = g_ptr_array_new_with_free_func(g_free);
    const Board *const *it;

    REGISTRY_FOREACH(boards, it) {
        const char *const *alias = (*it)->aliases;
        bool is_default =
            usual && (!strcmp((*it)->name, usual) || (alias && g_strv_contains(alias, usual)));
        char *text = g_strconcat((*it)->summary, is_default ? " (default)" : "", NULL);

        g_ptr_array_add(texts, text);
        if (target && !board_runs(*it, target)) {
            continue;
        }
        add_line(lines, (*it)->name, text);
        for (; alias && *alias; alias++) {
            text = g_strdup_printf("%s (alias of %s)", (*it)->summary, (*it)->name);
            g_ptr_array_add(texts, text);
            add_line(lines, *alias, text);
        }
    }
    printf("Supported machines are:\n");
    print_lines(lines, 20);
    g_ptr_array_unref(texts);
}

/* sample: one that has the defaults to tell; NULL: they are the table's. */
static void print_properties_of(const Property *table, const void *sample)
{
    GArray *lines = new_lines();
    GPtrArray *texts = g_ptr_array_new_with_free_func(g_free);

    for (; table && table->name; table++) {
        char *name = g_strdup_printf("  %s=<%s>", table->name, property_type_name(table));
        bool told = sample && table->kind != PROPERTY_NOT_YET;
        char *fallback = told ? property_get(table, sample) : g_strdup(table->fallback);
        char *values = table->values ? g_strjoinv("|", (char **)table->values) : NULL;
        char *summary =
            g_strdup_printf("- %s%s%s%s%s%s", table->summary ? table->summary : "feature",
                            values ? " (" : "", values ? values : "", values ? ")" : "",
                            fallback && *fallback ? "; default " : "", fallback ? fallback : "");

        g_free(values);
        g_free(fallback);
        g_ptr_array_add(texts, name);
        g_ptr_array_add(texts, summary);
        add_line(lines, name, summary);
    }
    print_lines(lines, 34);
    g_ptr_array_unref(texts);
}

static void print_properties(const Property *table)
{
    print_properties_of(table, NULL);
}

bool help_machine(const char *name, GError **error)
{
    const Board *board = board_get(name, error);

    if (!board) {
        return false;
    }
    printf("%s options:\n", board->name);
    print_properties(board->properties);
    printf("  accel, append, dtb, firmware, initrd, kernel, memory-backend, usb: as the options\n");
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Features that are known by their name, as words in lines. */
static void print_flags(GPtrArray *names)
{
    enum { WIDTH = 78 };
    size_t column = 0;

    g_ptr_array_sort(names, compare_names);
    printf("\nRecognized CPUID flags:");
    for (unsigned i = 0; i < names->len; i++) {
        const char *name = names->pdata[i];

        if (i == 0 || column + 1 + strlen(name) > WIDTH) {
            printf("\n ");
            column = 1;
        }
        printf(" %s", name);
        column += 1 + strlen(name);
    }
    printf("\n");
}

static GPtrArray *flags_of(const Target *target)
{
    GPtrArray *names = g_ptr_array_new();

    for (const Property *property = target->properties; property && property->name; property++) {
        if (property->kind == PROPERTY_ON_OFF_AUTO && !property->summary) {
            g_ptr_array_add(names, (void *)property->name);
        }
    }
    return names;
}

/* Models that are no processor's stand at the end. */
static int compare_models(const void *a, const void *b)
{
    static const char *const last[] = { "base", "host", "max", NULL };
    const Line *one = a, *other = b;
    int order = g_strv_contains(last, one->name) - g_strv_contains(last, other->name);

    return order ? order : strcmp(one->name, other->name);
}

/*
 * Tools read this by the layout that QEMU's has: two spaces before each name, and with flags of CPUID two before what a
 * model is, and the flags behind an empty line; without them names alone. `-cpu NAME,help` says the rest.
 */
static void print_models(const Target *target)
{
    g_autoptr(GPtrArray) flags = flags_of(target);
    GArray *lines = new_lines();
    const CpuModel *const *model;

    REGISTRY_FOREACH(cpu_models, model) {
        if ((*model)->target == target) {
            add_line(lines, (*model)->name, (*model)->summary);
        }
    }
    g_array_sort(lines, flags->len ? compare_models : compare_lines);
    for (unsigned i = 0; i < lines->len; i++) {
        const Line *line = &g_array_index(lines, Line, i);

        if (flags->len) {
            printf("  %-20s  %s\n", line->name, line->summary ? line->summary : "");
        } else {
            printf("  %s\n", line->name);
        }
    }
    g_array_unref(lines);
    if (flags->len) {
        print_flags(flags);
    }
}

void help_cpus(const Target *target)
{
    const Target *const *it;

    REGISTRY_FOREACH(targets, it) {
        if (target == *it) {
            printf("Available CPUs:\n");
            print_models(*it);
        } else if (!target) {
            printf("Available CPUs (%s):\n", (*it)->name);
            print_models(*it);
        }
    }
}

bool help_cpu(const Target *target, const char *name, GError **error)
{
    const Target *const *it;
    const CpuModel *model = NULL;
    Vcpu *sample;

    REGISTRY_FOREACH(targets, it) {
        if (!model && (!target || target == *it)) {
            g_clear_error(error);
            model = cpu_model_get(*it, name, error);
        }
    }
    if (model) {
        printf("%s (%s): %s\n", model->name, model->target->name, model->summary);
        sample = cpu_model_sample(model, NULL, NULL);
        print_properties_of(model->target->properties, sample);
        cpu_model_sample_free(sample);
    }
    return model != NULL;
}

static const struct {
    const char *category; /* DeviceType.category; NULL: none that is known */
    const char *heading;
} device_groups[] = {
    { "storage", "Storage" }, { "network", "Network" }, { "input", "Input" },
    { "display", "Display" }, { "usb", "USB" },         { "bridge", "Controller/Bridge/Hub" },
    { "sound", "Sound" },     { "misc", "Misc" },       { NULL, "Uncategorized" },
};

static bool is_in_group(const DeviceType *type, const char *wanted)
{
    for (unsigned i = 0; type->category && i < G_N_ELEMENTS(device_groups); i++) {
        if (g_strcmp0(type->category, device_groups[i].category) == 0) {
            return g_strcmp0(type->category, wanted) == 0;
        }
    }
    return !wanted;
}

/* As scripts know buses. */
static const char *bus_heading(const char *bus)
{
    static const char *const headings[][2] = { { "pci", "PCI" },
                                               { "isa", "ISA" },
                                               { "ide", "IDE" } };

    for (unsigned i = 0; i < G_N_ELEMENTS(headings); i++) {
        if (strcmp(bus, headings[i][0]) == 0) {
            return headings[i][1];
        }
    }
    return bus;
}

/* Scripts look for `name "…"`. */
static char *describe_device(const DeviceType *type)
{
    g_autofree char *bus = type->bus ? g_strdup_printf(", bus %s", bus_heading(type->bus)) : NULL;

    return g_strdup_printf("name \"%s\"%s, desc \"%s\"", type->name, bus ? bus : "", type->summary);
}

void help_devices(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(device_groups); i++) {
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
        const DeviceType *const *it;

        REGISTRY_FOREACH(device_types, it) {
            if (board_takes(NULL, *it) && is_in_group(*it, device_groups[i].category)) {
                g_ptr_array_add(lines, describe_device(*it));
            }
        }
        if (lines->len == 0) {
            continue;
        }
        g_ptr_array_sort(lines, compare_names);
        printf("%s devices:\n", device_groups[i].heading);
        for (unsigned k = 0; k < lines->len; k++) {
            puts(lines->pdata[k]);
        }
        printf("\n");
    }
}

void help_nics(void)
{
    GArray *lines = new_lines();
    const DeviceType *const *it;

    REGISTRY_FOREACH(device_types, it) {
        if (board_takes(NULL, *it) && is_in_group(*it, "network")) {
            add_line(lines, (*it)->name, (*it)->summary);
        }
    }
    printf("network devices:\n");
    print_lines(lines, 26);
    printf("\n");
}

bool help_device(const char *name, GError **error)
{
    const DeviceType *type = device_type_get(name, error);

    if (!type) {
        return false;
    }
    printf("%s options:\n", type->name);
    print_properties(type->properties);
    print_properties(type->bus_properties);
    return true;
}

void help_accelerators(void)
{
    GArray *lines = new_lines();
    const Accelerator *const *it;

    REGISTRY_FOREACH(accelerators, it) {
        add_line(lines, (*it)->name, (*it)->summary);
    }
    printf("Accelerators supported:\n");
    print_entries(lines);
    REGISTRY_FOREACH(accelerators, it) {
        printf("%s options:\n", (*it)->name);
        print_properties((*it)->properties);
    }
}

bool help_accelerator(const char *name, GError **error)
{
    const Accelerator *accelerator = accelerator_find(name, error);

    if (accelerator) {
        printf("%s options:\n", name);
        print_properties(accelerator->properties);
    }
    return accelerator != NULL;
}

void help_chardevs(void)
{
    GArray *lines = new_lines();
    const ChardevType *const *it;

    REGISTRY_FOREACH(chardev_types, it) {
        add_line(lines, (*it)->name, (*it)->summary);
    }
    printf("Available chardev backend types:\n");
    print_lines(lines, 12);
}

void help_drive(void)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autofree char *list = NULL;
    const Board *const *it;

    g_ptr_array_add(names, (void *)"none");
    REGISTRY_FOREACH(boards, it) {
        for (const DriveInterface *i = (*it)->drive_interfaces; i && i->name; i++) {
            if (!g_ptr_array_find_with_equal_func(names, i->name, g_str_equal, NULL)) {
                g_ptr_array_add(names, (void *)i->name);
            }
        }
    }
    g_ptr_array_add(names, NULL);
    list = g_strjoinv("|", (char **)names->pdata);
    printf("-drive file=FILE,if=%s,format=F,id=ID,index=N,media=disk|cdrom,\n"
           "       cache=none|writeback|writethrough|unsafe|directsync,readonly=on|off,\n"
           "       snapshot=on|off,werror=A,rerror=A,…\n",
           list);
}

void help_formats(void)
{
    g_autofree char *names = block_format_names();

    printf("Supported formats:%s\nSupported formats (read-only):%s\n", names, names);
}

void help_audiodevs(void)
{
    GArray *lines = new_lines();
    const AudiodevType *const *it;

    REGISTRY_FOREACH(audiodev_types, it) {
        add_line(lines, (*it)->name, (*it)->summary);
    }
    printf("Available audio drivers:\n");
    print_lines(lines, 10);
}

void help_fsdevs(void)
{
    GArray *lines = new_lines();
    const FsdevType *const *it;

    REGISTRY_FOREACH(fsdev_types, it) {
        add_line(lines, (*it)->name, (*it)->summary);
    }
    printf("Available fsdev drivers:\n");
    print_lines(lines, 10);
}

void help_netdevs(void)
{
    GArray *lines = new_lines();
    const NetdevType *const *it;

    REGISTRY_FOREACH(netdev_types, it) {
        add_line(lines, (*it)->name, (*it)->summary);
    }
    printf("Available netdev backend types:\n");
    print_entries(lines);
}

void help_objects(void)
{
    GArray *lines = new_lines();
    const ObjectType *const *it;

    REGISTRY_FOREACH(object_types, it) {
        add_line(lines, (*it)->name, (*it)->summary);
    }
    printf("List of user creatable objects:\n");
    print_lines(lines, 24);
}

void help_log_items(void)
{
    printf("Log items (comma separated; -item removes one):\n");
    for (const LogItem *item = log_items; item->name; item++) {
        printf("%-15s %s\n", item->name, item->summary);
    }
    printf("%-15s %s\n", "all", "all of these but trace");
    printf("%-15s %s\n", "trace:PATTERN", "trace points whose names match");
}

/* The properties of what -chardev, -netdev, -audiodev, -fsdev or -object make by this name; NULL when it is unknown. */
static const Property *properties_of(const char *option, const char *name, GError **error)
{
    static const Property none[] = { { 0 } };
    const Property *table = NULL;
    const void *type;

    if (strcmp(option, "chardev") == 0) {
        const ChardevType *chardev = type = chardev_type_find(name, error);

        table = chardev ? chardev->properties : NULL;
    } else if (strcmp(option, "netdev") == 0) {
        const NetdevType *netdev = type = netdev_type_find(name, error);

        table = netdev ? netdev->properties : NULL;
    } else if (strcmp(option, "audiodev") == 0) {
        const AudiodevType *audiodev = type = audiodev_type_find(name, error);

        table = audiodev ? audiodev->properties : NULL;
    } else if (strcmp(option, "fsdev") == 0) {
        const FsdevType *fsdev = type = fsdev_type_find(name, error);

        table = fsdev ? fsdev->properties : NULL;
    } else {
        const ObjectType *object = type = object_type_get(name, error);

        table = object ? object->properties : NULL;
    }
    return table || !type ? table : none;
}

bool help_type(const char *option, const char *type, GError **error)
{
    const Property *table;

    if (strcmp(option, "device") == 0) {
        return help_device(type, error);
    }
    table = properties_of(option, type, error);
    if (!table) {
        g_prefix_error(error, "-%s %s,help: ", option, type);
        return false;
    }
    printf("%s options:\n", type);
    print_properties(table);
    if (strcmp(option, "audiodev") == 0) {
        print_properties(audiodev_properties);
    }
    return true;
}

bool help_list(const char *option)
{
    static const struct {
        const char *option;
        void (*print)(void);
    } lists[] = {
        { "device", help_devices },     { "accel", help_accelerators },
        { "chardev", help_chardevs },   { "netdev", help_netdevs },
        { "object", help_objects },     { "d", help_log_items },
        { "audiodev", help_audiodevs }, { "fsdev", help_fsdevs },
        { "nic", help_netdevs },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        if (strcmp(lists[i].option, option) == 0) {
            lists[i].print();
            return true;
        }
    }
    return false;
}

bool help_asked(const Option *option, const char *argument)
{
    static const char *const with_parts[] = { "action", "boot",     "global", "msg", "overcommit",
                                              "rtc",    "run-with", "smp",    "vnc", NULL };

    return argument && is_help(argument) && g_strv_contains(with_parts, option->name);
}

bool help_print(Setup *setup, const char *topic, GError **error)
{
    const char *name = topic && topic[0] == '-' ? topic + 1 : topic;

    if (!topic) {
        help_options();
        return true;
    }
    for (const Option *option = option_table; option->name; option++) {
        if (strcmp(option->name, name) == 0) {
            printf("-%s%s%s\n        %s\n\n", option->name, option->argument ? " " : "",
                   option->argument ? option->argument : "", option->summary);
            if (strcmp(name, "cpu") == 0) {
                help_cpus(setup->target);
            } else if (strcmp(name, "machine") == 0 || strcmp(name, "M") == 0) {
                help_machines(setup->target);
            } else {
                help_list(name);
            }
            return true;
        }
    }
    if (device_type_find(name)) {
        return help_device(name, error);
    }
    return error_fail(error, KASO_ERROR_NOT_FOUND,
                      "there is no help on '%s'; give the name of an option or a device", topic);
}
