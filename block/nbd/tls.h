/* SPDX-License-Identifier: MIT */
/* TLS sessions on a non-blocking socket. */
#ifndef BLOCK_NBD_TLS_H
#define BLOCK_NBD_TLS_H

#include "block/nbd/channel.h"

#include <sys/types.h>

typedef struct TlsSession TlsSession;

/* Shakes hands; the credentials must outlive the session. [coroutine] */
TlsSession *tls_session_new(int fd, TlsCredentials *credentials, const char *host, GError **error);
void tls_session_free(TlsSession *session);
/* As read and write, with a negative errno. -EAGAIN: wait for *events first. */
ssize_t tls_session_read(TlsSession *session, void *buffer, size_t size, short *events);
ssize_t tls_session_write(TlsSession *session, const void *buffer, size_t size, short *events);

#endif
