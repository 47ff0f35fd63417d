/* SPDX-License-Identifier: MIT */
/* Viewers: what -display names, each in its own folder or file, which ends in VIEWER(). */
#ifndef UI_VIEWER_H
#define UI_VIEWER_H

#include <glib.h>
#include <stdbool.h>

#include "base/key-values.h"
#include "base/registry.h"
#include "machine/machine.h"

typedef struct {
    const char *keyboard;  /* -k, or NULL */
    bool full_screen;      /* -full-screen */
    bool no_quit;          /* -no-quit: the window's button does not end the run */
    bool show_cursor;      /* -show-cursor */
    const char *grab_mod;  /* -alt-grab, -ctrl-grab; NULL: Ctrl-Alt */
} ViewerChoices;

typedef struct {
    const char *name; /* as -display spells it */
    const char *summary;
    const char *const *options; /* names of its options, NULL-terminated */
    /*
     * Starts it, in the main loop's thread with the machine lock held, when all devices are there; it ends with the machine
     * (machine_on_free). *line: what people should know, such as an address; NULL for nothing; the caller frees.
     */
    bool (*start)(Machine *machine, const KeyValues *options, const ViewerChoices *choices, char **line,
                  GError **error);
    /* Whether it can be a default here: a display server answers. NULL: it never is. */
    bool (*available)(void);
} Viewer;
#define VIEWER(object) REGISTRY_ADD(viewers, object)
REGISTRY_DECLARE(viewers, Viewer);

#endif
