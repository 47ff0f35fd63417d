/* SPDX-License-Identifier: MIT */
/* Ports of TCP and UDP as users write them. */
#ifndef BASE_PORT_H
#define BASE_PORT_H

#include <glib.h>
#include <stdbool.h>

/* Whether the text is the name of a service or a number that is a port: getaddrinfo(3) takes the low bits of any. */
bool port_check(const char *text, GError **error);

#endif
