/* SPDX-License-Identifier: MIT */
/*
 * The libraries of sound are loaded when a back end is wanted: with each come others, which a program that plays nothing should
 * neither need nor wait for. A back end keeps the functions in its instance.
 */
#ifndef BACKENDS_AUDIO_LIBRARY_H
#define BACKENDS_AUDIO_LIBRARY_H

#include <glib.h>
#include <stdbool.h>

/* A table of F(name): its members, and their names, NULL-terminated. */
#define LIBRARY_MEMBER(name) __typeof__(name) *name;
#define LIBRARY_NAME(name)   #name,

/*
 * Fills `functions`, pointers in the order of names, from a library that stays loaded. package: Debian's, for the
 * message.
 */
bool library_load(const char *file, const char *package, const char *const *names, void *functions,
                  GError **error);

/* Whether somebody listens at a Unix socket: `name` in the folder that an environment variable names. */
bool library_server_listens(const char *variable, const char *name);

#endif
