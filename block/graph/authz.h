/* SPDX-License-Identifier: MIT */
/*
 * Who may come in: the objects authz-simple (one name), authz-list (rules), authz-list-file (rules in a JSON file) and authz-pam
 * (a PAM service's accounts). Names are what a handshake has proved: a certificate's distinguished name, a PSK's or SASL's user.
 */
#ifndef BLOCK_GRAPH_AUTHZ_H
#define BLOCK_GRAPH_AUTHZ_H

#include <glib.h>
#include <stdbool.h>

typedef struct Authz Authz;

/* Takes what it knows out of options. */
Authz *authz_new(const char *type, GHashTable *options, GError **error);
void authz_free(Authz *authz);
/* false: not this one, or it could not be found out; the error says which. */
bool authz_allows(Authz *authz, const char *identity, GError **error);
bool authz_is_type(const char *type);

#endif
