/* SPDX-License-Identifier: MIT */
/* Makes character back ends from options: -chardev, and the short forms of -serial and -monitor. */
#ifndef BACKENDS_CHARDEV_OPEN_H
#define BACKENDS_CHARDEV_OPEN_H

#include <glib.h>
#include <stdbool.h>

#include "machine/chardev.h"

/* The type of a name or another spelling of it; NULL with an error when there is none. */
const ChardevType *chardev_type_find(const char *name, GError **error);

/*
 * Opens the back end `type` as `id` and adds it to the machine. options: char * -> char * as
 * -chardev spells them, or NULL; "mux=on" puts a mux of that id before a back end "ID-base".
 */
Chardev *chardev_open(Machine *machine, const char *id, const char *type, GHashTable *options,
                      GError **error);

/*
 * Opens what a short form says ("stdio", "mon:stdio", "tcp:host:port,server=on,wait=off",
 * "unix:path", "file:path", "pty", "null", "none", "chardev:ID" …) as `id`. *chardev is NULL for
 * "none". *monitor: the form began with "mon:", so the caller puts a monitor on it, too; it is then
 * a mux.
 */
bool chardev_open_short(Machine *machine, const char *id, const char *form, Chardev **chardev,
                        bool *monitor, GError **error);

/*
 * The parsing alone: the type and options that a short form stands for. *type is NULL for "none"
 * and "chardev:ID"; the latter has the option "chardev". Caller frees *type and unrefs *options.
 */
bool chardev_parse_short(const char *form, char **type, GHashTable **options, bool *monitor,
                         GError **error);

#endif
