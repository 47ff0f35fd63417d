/* SPDX-License-Identifier: MIT */
/* -sandbox: system calls that a running machine never needs are refused to this process and its children (seccomp). */
#ifndef MAIN_SANDBOX_H
#define MAIN_SANDBOX_H

#include <glib.h>
#include <stdbool.h>

typedef struct {
    bool on;
    bool deny_obsolete;
    bool deny_privileges, deny_children; /* elevateprivileges=deny; =children */
    bool deny_spawn, deny_resources;
} Sandbox;

/* "on[,GROUP=allow|deny]…" or "off". */
bool sandbox_parse(Sandbox *sandbox, const char *argument, GError **error);
/* For all threads, for good. */
bool sandbox_enter(const Sandbox *sandbox, GError **error);

#endif
