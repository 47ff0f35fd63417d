/* SPDX-License-Identifier: MIT */
/* Options that set one field, or steer the log and the process. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/names.h"
#include "main/handlers.h"

static bool set_text(char **field, const char *value)
{
    g_free(*field);
    *field = g_strdup(value);
    return true;
}

/* A file that the guest boots from: said here, before anything is built, when it is not there. */
static bool set_readable_file(char **field, const char *what, const char *path, GError **error)
{
    if (access(path, R_OK) < 0) {
        return error_fail_errno(error, errno, "could not load %s '%s'", what, path);
    }
    return set_text(field, path);
}

bool option_kernel(Setup *setup, const char *argument, GError **error)
{
    return set_readable_file(&setup->config.kernel, "kernel", argument, error);
}

/* A file, or for multiboot kernels a list: "FILE words,FILE words", where two commas are one of a name or word. */
bool option_initrd(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(GString) first = g_string_new(NULL);

    for (const char *at = argument; *at && *at != ' '; at++) {
        if (*at == ',' && *++at != ',') {
            break;
        }
        g_string_append_c(first, *at);
    }
    return access(argument, R_OK) < 0 && access(first->str, R_OK) == 0
               ? set_text(&setup->config.initrd, argument)
               : set_readable_file(&setup->config.initrd, "initrd", argument, error);
}

bool option_no_acpi(Setup *setup, const char *argument, GError **error)
{
    setup->no_acpi = true;
    return true;
}

bool option_no_hpet(Setup *setup, const char *argument, GError **error)
{
    setup->no_hpet = true;
    return true;
}

bool option_append(Setup *setup, const char *argument, GError **error)
{
    return set_text(&setup->config.append, argument);
}

bool option_dtb(Setup *setup, const char *argument, GError **error)
{
    return set_readable_file(&setup->config.dtb, "device tree", argument, error);
}

bool option_bios(Setup *setup, const char *argument, GError **error)
{
    return set_text(&setup->config.bios, argument);
}

bool option_start_paused(Setup *setup, const char *argument, GError **error)
{
    return setup->config.start_paused = true;
}

bool option_incoming(Setup *setup, const char *argument, GError **error)
{
    g_free(setup->incoming);
    setup->incoming = g_strdup(argument);
    return true;
}

bool option_loadvm(Setup *setup, const char *argument, GError **error)
{
    g_free(setup->loadvm);
    setup->loadvm = g_strdup(argument);
    return true;
}

bool option_no_reboot(Setup *setup, const char *argument, GError **error)
{
    return setup->config.no_reboot = true;
}

bool option_no_shutdown(Setup *setup, const char *argument, GError **error)
{
    return setup->config.no_shutdown = true;
}

bool option_nodefaults(Setup *setup, const char *argument, GError **error)
{
    return setup->config.no_defaults = true;
}

bool option_snapshot(Setup *setup, const char *argument, GError **error)
{
    return setup->config.snapshot = true;
}

bool option_firmware_folder(Setup *setup, const char *argument, GError **error)
{
    if (is_help(argument)) {
        for (const char *const *folder = machine_firmware_folders(); *folder; folder++) {
            printf("%s\n", *folder);
        }
        help_done();
    }
    g_ptr_array_add(setup->firmware_folders, g_strdup(argument));
    return true;
}

bool option_accepted(Setup *setup, const char *argument, GError **error)
{
    return true;
}

bool option_accepted_argument(Setup *setup, const char *argument, GError **error)
{
    return true;
}

bool option_log(Setup *setup, const char *argument, GError **error)
{
    if (is_help(argument)) {
        help_log_items();
        help_done();
    }
    return log_set_items(argument, error);
}

bool option_log_file(Setup *setup, const char *argument, GError **error)
{
    return log_set_file(argument, error);
}

bool option_log_filter(Setup *setup, const char *argument, GError **error)
{
    return log_set_address_filter(argument, error);
}

/* A file with a pattern per line; '#' begins a comment. */
static bool read_trace_events(const char *path, GError **error)
{
    g_autofree char *content = NULL;
    g_auto(GStrv) lines = NULL;

    if (!file_read(path, FILE_TEXT_MOST, &content, NULL, error)) {
        return false;
    }
    lines = g_strsplit(content, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_strstrip(*line);
        if (**line && **line != '#' && !log_set_trace(*line, error)) {
            return false;
        }
    }
    return true;
}

bool option_trace(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "enable", "events", "file", NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, "enable", error);
    const char *patterns, *events, *file;

    if (!list || !key_values_check(list, names, "-trace", error)) {
        return false;
    }
    patterns = key_values_get(list, "enable");
    if (patterns && is_help(patterns)) {
        printf("Trace points are named DEVICE or DEVICE.REGISTER; -device help lists devices.\n");
        help_done();
    }
    events = key_values_get(list, "events");
    file = key_values_get(list, "file");
    return (!patterns || log_set_trace(patterns, error)) &&
           (!events || read_trace_events(events, error)) && (!file || log_set_file(file, error));
}

bool option_echr(Setup *setup, const char *argument, GError **error)
{
    char *end;
    long code = strtol(argument, &end, 0);

    if (end == argument || *end || code < 1 || code > 255) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "give the code of a character, 1 (Ctrl-A) to 255");
    }
    setup->config.escape_character = code;
    return true;
}

bool option_overcommit(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "mem-lock", "cpu-pm", NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, NULL, error);
    const char *lock, *power;

    if (!list || !key_values_check(list, names, "-overcommit", error)) {
        return false;
    }
    lock = key_values_get(list, "mem-lock");
    power = key_values_get(list, "cpu-pm");
    setup->memory_lock_late = lock && strcmp(lock, "on-fault") == 0;
    setup->memory_lock = setup->memory_lock_late;
    if (lock && !setup->memory_lock_late &&
        !parse_switch("mem-lock", lock, &setup->memory_lock, NULL)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "'%s' is no value for mem-lock; give on, off or on-fault", lock);
    }
    return !power || parse_switch("cpu-pm", power, &setup->config.cpu_pm, error);
}

bool option_realtime(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "mlock", NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, NULL, error);
    const char *lock;

    if (!list || !key_values_check(list, names, "-realtime", error)) {
        return false;
    }
    lock = key_values_get(list, "mlock");
    return !lock || parse_switch("mlock", lock, &setup->memory_lock, error);
}

bool option_message(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "timestamp", "guest-name", NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, NULL, error);
    const char *timestamp, *guest_name;

    if (!list || !key_values_check(list, names, "-msg", error)) {
        return false;
    }
    timestamp = key_values_get(list, "timestamp");
    guest_name = key_values_get(list, "guest-name");
    return (!timestamp || parse_switch("timestamp", timestamp, &setup->message_timestamp, error)) &&
           (!guest_name ||
            parse_switch("guest-name", guest_name, &setup->message_guest_name, error));
}

bool option_pid_file(Setup *setup, const char *argument, GError **error)
{
    return set_text(&setup->pid_file, argument);
}

bool option_daemonize(Setup *setup, const char *argument, GError **error)
{
    return setup->daemonize = true;
}

bool option_sandbox(Setup *setup, const char *argument, GError **error)
{
    return sandbox_parse(&setup->sandbox, argument, error);
}

bool option_chroot(Setup *setup, const char *argument, GError **error)
{
    return set_text(&setup->chroot_folder, argument);
}

bool option_run_as(Setup *setup, const char *argument, GError **error)
{
    return set_text(&setup->run_as, argument);
}

bool option_run_with(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "chroot", "user", "async-teardown", "exit-with-parent",
                                         NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, NULL, error);
    const char *teardown, *parent;
    bool ignored;

    if (!list || !key_values_check(list, names, "-run-with", error)) {
        return false;
    }
    teardown = key_values_get(list, "async-teardown");
    parent = key_values_get(list, "exit-with-parent");
    if (key_values_get(list, "chroot")) {
        set_text(&setup->chroot_folder, key_values_get(list, "chroot"));
    }
    if (key_values_get(list, "user")) {
        set_text(&setup->run_as, key_values_get(list, "user"));
    }
    return (!teardown || parse_switch("async-teardown", teardown, &ignored, error)) &&
           (!parent || parse_switch("exit-with-parent", parent, &setup->exit_with_parent, error));
}

bool option_add_fd(Setup *setup, const char *argument, GError **error)
{
    static const char *const names[] = { "fd", "set", "opaque", NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, NULL, error);
    const char *fd_text, *set_text;
    guint64 fd, set;

    if (!list || !key_values_check(list, names, "-add-fd", error)) {
        return false;
    }
    fd_text = key_values_get(list, "fd");
    set_text = key_values_get(list, "set");
    if (!fd_text || !g_ascii_string_to_unsigned(fd_text, 10, 3, G_MAXINT, &fd, NULL) ||
        fcntl((int)fd, F_GETFD) < 0) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "fd=%s: give the number of an open descriptor, 3 or more",
                          fd_text ? fd_text : "");
    }
    if (!set_text || !g_ascii_string_to_unsigned(set_text, 10, 0, INT64_MAX, &set, NULL)) {
        return error_fail(error, KASO_ERROR_INVALID, "set=%s: give the set's number",
                          set_text ? set_text : "");
    }
    fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    descriptors_add(set, (int)fd, key_values_get(list, "opaque"));
    return true;
}

bool option_nographic(Setup *setup, const char *argument, GError **error)
{
    return setup->nographic = true;
}

bool option_vga(Setup *setup, const char *argument, GError **error)
{
    static const NotYet not_yet[] = {
        { "qxl vmware xenfb tcx cg3", "use -vga std" },
        { 0 },
    };
    static const NameKind kind = { "graphics card", "-vga help", not_yet };
    static const char *const names[] = { "std", "cirrus", "virtio", "none", NULL };

    if (is_help(argument)) {
        printf("none    no graphics card\n"
               "std     standard VGA\n"
               "cirrus  Cirrus Logic GD5446\n"
               "virtio  virtio GPU that begins as a VGA\n");
        help_done();
    }
    return g_strv_contains(names, argument) ? set_text(&setup->config.vga, argument)
                                            : names_fail(&kind, argument, names, error);
}

bool option_readconfig(Setup *setup, const char *argument, GError **error)
{
    return config_file_read(setup, argument, error);
}

bool option_help(Setup *setup, const char *argument, GError **error)
{
    if (!help_print(setup, argument, error)) {
        return false;
    }
    help_done();
}

bool option_version(Setup *setup, const char *argument, GError **error)
{
    help_version();
    help_done();
}
