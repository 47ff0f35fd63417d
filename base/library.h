/* SPDX-License-Identifier: MIT */
/*
 * Libraries that are loaded when something wants them: with each come others, and a program that does not use them should neither need nor
 * wait for any of these. Only their headers are needed to build. Whoever loads one keeps its functions.
 */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H

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

#endif
