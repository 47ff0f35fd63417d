/* SPDX-License-Identifier: MIT */
/*
 * Libraries that are loaded when something wants them: with each come others, and a program that does not use them should neither need nor
 * wait for any of these. Only their headers are needed to build. Whoever loads one keeps its functions.
 */
#ifndef BASE_LIBRARY_H
#define BASE_LIBRARY_H

#include <glib.h>
#include <stdbool.h>

#include "base/registry.h"

/* A table of F(name): its members, and their names, NULL-terminated. */
#define LIBRARY_MEMBER(name) __typeof__(name) *name;
#define LIBRARY_NAME(name)   #name,

/*
 * Fills `functions`, pointers in the order of names, from a library that stays loaded. package: Debian's, for the
 * message.
 */
bool library_load(const char *file, const char *package, const char *const *names, void *functions,
                  GError **error);

/* One whose functions are in a table of the program's, until the program ends. */
typedef struct {
    const char *files; /* one, or several with spaces between: the first that there is */
    const char *package;
    const char *const *names;
    void *functions;
} LazyLibrary;

/* `table##_library`, which fills `table`, a struct of FUNCTIONS(LIBRARY_MEMBER). */
#define LIBRARY_FILLS(table, FUNCTIONS, files, package)                                            \
    static const char *const table##_names[] = { FUNCTIONS(LIBRARY_NAME) NULL };                   \
    static const LazyLibrary table##_library = { files, package, table##_names, &(table) };        \
    REGISTRY_ADD(libraries, table##_library)
REGISTRY_DECLARE(libraries, LazyLibrary);

/* Loads it unless it is there already. Any thread. */
bool library_want(const LazyLibrary *library, GError **error);
bool library_is_loaded(const LazyLibrary *library);
/* Loads all that there are, for a program that is about to lose sight of them. */
void library_want_all(void);

#endif
