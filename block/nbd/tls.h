/* SPDX-License-Identifier: MIT */
/* TLS sessions on a non-blocking socket: of NBD, and of viewers. */
#ifndef BLOCK_NBD_TLS_H
#define BLOCK_NBD_TLS_H

#include "block/nbd/channel.h"

#include <sys/types.h>

typedef struct TlsSession TlsSession;

/* Without a coroutine: the session first, which the credentials must outlive, then the handshake in steps. */
TlsSession *tls_session_begin(int fd, TlsCredentials *credentials, const char *host,
                              GError **error);
/* 0: done. -EAGAIN: wait for *events and call it again. Else it has failed, with an error. */
int tls_session_shake_hands(TlsSession *session, short *events, GError **error);
/* Whether the server shows a certificate; else it stays anonymous or both have a key. */
bool tls_credentials_have_certificate(const TlsCredentials *credentials);
/* Shakes hands; the credentials must outlive the session. [coroutine] */
TlsSession *tls_session_new(int fd, TlsCredentials *credentials, const char *host, GError **error);
/* Who the client of a server is, after the handshake: as tls_credentials_set_authz says; NULL: nobody knows. */
char *tls_session_identity(TlsSession *session);
void tls_session_free(TlsSession *session);
/* As read and write, with a negative errno. -EAGAIN: wait for *events first. */
ssize_t tls_session_read(TlsSession *session, void *buffer, size_t size, short *events);
ssize_t tls_session_write(TlsSession *session, const void *buffer, size_t size, short *events);

#endif
