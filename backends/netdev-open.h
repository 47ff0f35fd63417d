/* SPDX-License-Identifier: MIT */
/* Makes network back ends from -netdev's options. */
#ifndef BACKENDS_NETDEV_OPEN_H
#define BACKENDS_NETDEV_OPEN_H

#include <glib.h>
#include <stdbool.h>

#include "machine/netdev.h"

/* NULL with an error when there is none. */
const NetdevType *netdev_type_find(const char *name, GError **error);

/*
 * Opens the back end `type` as `id` and adds it to the machine. options: char * -> char * as
 * -netdev spells them, or NULL; the values of an option that may be repeated (hostfwd, guestfwd,
 * dnssearch) are joined by '\n'.
 */
Netdev *netdev_open(Machine *machine, const char *id, const char *type, GHashTable *options,
                    GError **error);

/*
 * The same from text: "user,id=net0,hostfwd=tcp::2222-:22". id: used when the text has none; when
 * it is NULL, too, that is an error. *rest, when not NULL, is filled with the options that are not
 * the back end's but a NIC's (model, macaddr, addr, vectors, name), for -nic.
 */
Netdev *netdev_open_text(Machine *machine, const char *text, const char *id, GHashTable *rest,
                         GError **error);

#endif
