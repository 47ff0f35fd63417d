/* SPDX-License-Identifier: MIT */
/* -display, -vnc and what goes with them: who shows the guest's screen. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/names.h"
#include "main/handlers.h"
#include "ui/viewer.h"

static const NotYet not_yet[] = {
    { "cocoa gtk", "use -display sdl" },
    { "curses", "use -nographic for the serial console, -display vnc=127.0.0.1:0 for the screen" },
    { "dbus egl-headless spice-app", "use -display vnc=127.0.0.1:0" },
    { 0 },
};
static const NameKind viewer_kind = { "display", "-display help", not_yet };

void viewer_choice_clear(void *opaque)
{
    ViewerChoice *choice = opaque;

    g_clear_pointer(&choice->options, key_values_free);
    g_free(choice->said);
}

void help_displays(void)
{
    const Viewer *const *it;

    printf("Available display backend types:\n");
    printf("none    no display\n");
    printf("default the first below that can open a window here\n");
    REGISTRY_FOREACH(viewers, it) {
        printf("%-7s %s\n", (*it)->name, (*it)->summary);
    }
}

static const Viewer *find_viewer(const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const Viewer *const *it;

    REGISTRY_FOREACH(viewers, it) {
        if (strcmp((*it)->name, name) == 0) {
            return *it;
        }
        g_ptr_array_add(names, (gpointer)(uintptr_t)(*it)->name);
    }
    g_ptr_array_add(names, (gpointer)(uintptr_t) "none");
    g_ptr_array_add(names, NULL);
    names_fail(&viewer_kind, name, (const char *const *)names->pdata, error);
    return NULL;
}

/* said: as the user gave it, for messages. */
static bool add_viewer(Setup *setup, char *said, const char *name, const char *argument,
                       GError **error)
{
    const Viewer *viewer = find_viewer(name, error);
    g_autofree char *what = g_strdup_printf("-display %s", name);
    ViewerChoice choice = { viewer, .said = said };

    if (!viewer) {
        g_free(said);
        return false;
    }
    /* "vnc=ADDRESS", "web=ADDRESS": the name is the key of what it cannot do without. */
    choice.options = key_values_parse(argument, name, error);
    if (!choice.options || !key_values_check(choice.options, viewer->options, what, error)) {
        viewer_choice_clear(&choice);
        return false;
    }
    g_array_append_val(setup->viewers, choice);
    return true;
}

/* The first that can open here, or NULL. */
static const char *available_viewer(void)
{
    const Viewer *const *it;

    REGISTRY_FOREACH(viewers, it) {
        if ((*it)->available && (*it)->available()) {
            return (*it)->name;
        }
    }
    return NULL;
}

/* What all displays take; of no display it is of no use, but scripts give it. */
static bool check_none(const char *argument, GError **error)
{
    static const char *const common[] = { "none",        "gl",           "full-screen",
                                          "show-cursor", "window-close", NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, "none", error);
    const char *gl;

    if (!list || !key_values_check(list, common, "-display none", error)) {
        return false;
    }
    gl = key_values_get(list, "gl");
    return !gl || strcmp(gl, "off") == 0 ||
           error_fail(error, KASO_ERROR_INVALID, "-display none draws nothing: gl=%s", gl);
}

bool option_display(Setup *setup, const char *argument, GError **error)
{
    g_autofree char *name = g_strndup(argument, strcspn(argument, ",="));
    const char *rest = argument + strlen(name), *chosen;

    if (is_help(argument)) {
        help_displays();
        help_done();
    }
    setup->no_display = strcmp(name, "none") == 0;
    if (setup->no_display && !check_none(argument, error)) {
        return false;
    }
    /* The last one counts, but VNC servers are there beside it. */
    for (guint i = setup->viewers->len; i-- > 0;) {
        const ViewerChoice *choice = &g_array_index(setup->viewers, ViewerChoice, i);

        if (strcmp(choice->viewer->name, "vnc") != 0) {
            g_array_remove_index(setup->viewers, i);
        }
    }
    if (strcmp(name, "default") == 0) {
        chosen = available_viewer();
        return !chosen || add_viewer(setup, g_strconcat("-display ", argument, NULL), chosen,
                                     *rest == ',' ? rest + 1 : chosen, error);
    }
    return setup->no_display || add_viewer(setup, g_strconcat("-display ", argument, NULL), name,
                                           *rest == ',' ? rest + 1 : argument, error);
}

bool option_vnc(Setup *setup, const char *argument, GError **error)
{
    return strcmp(argument, "none") == 0 ||
           add_viewer(setup, g_strconcat("-vnc ", argument, NULL), "vnc", argument, error);
}

bool option_sdl(Setup *setup, const char *argument, GError **error)
{
    return option_display(setup, "sdl", error);
}

bool option_full_screen(Setup *setup, const char *argument, GError **error)
{
    return setup->viewer_choices.full_screen = true;
}

bool option_alt_grab(Setup *setup, const char *argument, GError **error)
{
    setup->viewer_choices.grab_mod = "lshift-lctrl-lalt";
    return true;
}

bool option_ctrl_grab(Setup *setup, const char *argument, GError **error)
{
    setup->viewer_choices.grab_mod = "rctrl";
    return true;
}

bool option_no_quit(Setup *setup, const char *argument, GError **error)
{
    return setup->viewer_choices.no_quit = true;
}

bool option_show_cursor(Setup *setup, const char *argument, GError **error)
{
    return setup->viewer_choices.show_cursor = true;
}

bool option_keyboard(Setup *setup, const char *argument, GError **error)
{
    g_free(setup->keyboard);
    setup->keyboard = g_strdup(argument);
    return true;
}

void viewers_choose_default(Setup *setup, bool screen)
{
    const char *name;

    if (!screen || setup->no_display || setup->nographic || setup->daemonize ||
        setup->viewers->len || setup->qtest) {
        return;
    }
    name = available_viewer();
    if (name) {
        add_viewer(setup, g_strconcat("-display ", name, NULL), name, name, NULL);
    } else if (isatty(STDERR_FILENO)) {
        fprintf(stderr,
                "%s: no window can be opened here: -vnc 127.0.0.1:0 shows the screen to a VNC "
                "viewer, and the monitor's 'info text' prints a text screen (-display none: no "
                "such line)\n",
                setup->program);
    }
}

bool viewers_wanted(const Setup *setup)
{
    return setup->viewers->len > 0;
}

bool viewers_start(Setup *setup, GError **error)
{
    bool ok = true;

    setup->viewer_choices.keyboard = setup->keyboard;
    if (setup->viewers->len) {
        const ViewerChoice *last =
            &g_array_index(setup->viewers, ViewerChoice, setup->viewers->len - 1);

        machine_set_data(setup->machine, "display-type", (void *)(uintptr_t)last->viewer->name);
    }
    machine_lock(setup->machine);
    for (guint i = 0; ok && i < setup->viewers->len; i++) {
        const ViewerChoice *choice = &g_array_index(setup->viewers, ViewerChoice, i);
        char *line = NULL;

        ok = choice->viewer->start(setup->machine, choice->options, &setup->viewer_choices, &line,
                                   error);
        if (!ok) {
            g_prefix_error(error, "%s: ", choice->said);
        } else if (line) {
            g_ptr_array_add(setup->lines, line);
        }
    }
    machine_unlock(setup->machine);
    return ok;
}
