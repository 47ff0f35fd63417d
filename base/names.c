/* SPDX-License-Identifier: MIT */
/* Finding what a user names; see the header. */
#include "base/names.h"

#include <string.h>

#include "base/error.h"

static bool list_has(const char *list, const char *name)
{
    size_t length = strlen(name);

    for (const char *word = list; *word; word += strspn(word, " ")) {
        size_t n = strcspn(word, " ");

        if (memchr(word, '*', n)) {
            g_autofree char *glob = g_strndup(word, n);

            if (g_pattern_match_simple(glob, name)) {
                return true;
            }
        } else if (n == length && strncmp(word, name, n) == 0) {
            return true;
        }
        word += n;
    }
    return false;
}

const NotYet *not_yet_find(const NotYet *table, const char *name)
{
    for (; table && table->names; table++) {
        if (list_has(table->names, name)) {
            return table;
        }
    }
    return NULL;
}

char *names_suggest(const char *name, const char *const *candidates)
{
    const char *nearest = error_nearest(name, candidates);

    return nearest ? g_strdup_printf("; did you mean '%s'?", nearest) : g_strdup("");
}

bool names_fail(const NameKind *kind, const char *name, const char *const *candidates,
                GError **error)
{
    const NotYet *known = not_yet_find(kind->not_yet, name);
    g_autofree char *suggestion = NULL;

    if (known) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "not yet: %s '%s' is not built%s%s",
                          kind->what, name, known->instead ? "; " : "",
                          known->instead ? known->instead : "");
    }
    suggestion = names_suggest(name, candidates);
    return error_fail(error, KASO_ERROR_NOT_FOUND, "there is no %s '%s'%s%s%s%s", kind->what, name,
                      suggestion, kind->list ? " (" : "", kind->list ? kind->list : "",
                      kind->list ? " lists them)" : "");
}

static const char *first_member(const void *object, unsigned index)
{
    return index == 0 ? *(const char *const *)object : NULL;
}

const void *names_find(const NameKind *kind, const void *const *first, const void *const *end,
                       const char *name, GError **error)
{
    const char *(*name_of)(const void *, unsigned) = kind->name ? kind->name : first_member;
    g_autoptr(GPtrArray) candidates = g_ptr_array_new();
    const char *known;

    for (const void *const *it = first; it < end; it++) {
        for (unsigned i = 0; (known = name_of(*it, i)); i++) {
            if (strcmp(known, name) == 0) {
                return *it;
            }
            g_ptr_array_add(candidates, (void *)known);
        }
    }
    g_ptr_array_add(candidates, NULL);
    if (error) {
        names_fail(kind, name, (const char *const *)candidates->pdata, error);
    }
    return NULL;
}
