/* SPDX-License-Identifier: MIT */
/*
 * Finding what a user names, in a registry or in a fixed list. A name that is not there is either known from
 * other emulators and not built here, which is said plainly ("not yet"), or a likely slip, whose nearest name
 * is told.
 */
#ifndef BASE_NAMES_H
#define BASE_NAMES_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Names that users of such tools know, and that are not built. Lies beside the registry it belongs to. */
typedef struct {
    const char *names;   /* separated by spaces; one with '*' stands for all that match; NULL ends a table */
    const char *instead; /* what does nearly the same: "use virtio-blk-pci"; NULL: nothing does */
} NotYet;

/* What a set of names is about, for messages. */
typedef struct {
    const char *what;      /* "device", as in "there is no device 'x'" */
    const char *list;      /* what lists them: "-device help"; NULL: nothing does */
    const NotYet *not_yet; /* NULL: there is none */
    /* All names of an object, NULL after the last; NULL: the object's first member is its only name. */
    const char *(*name)(const void *object, unsigned index);
} NameKind;

/* The row of a table that has the name, or NULL. */
const NotYet *not_yet_find(const NotYet *table, const char *name);

/*
 * The object of a registry that has this name, NULL with an error when none has. Use REGISTRY_FIND. With
 * error NULL it only looks.
 */
const void *names_find(const NameKind *kind, const void *const *first, const void *const *end,
                       const char *name, GError **error);
#define REGISTRY_FIND(set, kind, name, error)                                                      \
    names_find(kind, (const void *const *)__start_registry_##set,                                  \
               (const void *const *)__stop_registry_##set, name, error)

/* Fails for a name that is not among the candidates (NULL-terminated); returns false. */
bool names_fail(const NameKind *kind, const char *name, const char *const *candidates,
                GError **error);

/* "; did you mean 'X'?" with the nearest candidate, or "" when none is near. Caller frees. */
char *names_suggest(const char *name, const char *const *candidates);

/* "s" unless the count is one: "1 CPU", "2 CPUs". */
static inline const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

#endif
