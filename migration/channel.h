/* SPDX-License-Identifier: MIT */
/*
 * Where a machine goes to or comes from, by the addresses of `migrate` and -incoming: file:PATH[,offset=N], exec:COMMAND, fd:NAME,
 * unix:PATH, tcp:HOST:PORT. All waiting ends at once when the channel is broken off.
 */
#ifndef MIGRATION_CHANNEL_H
#define MIGRATION_CHANNEL_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#include "block/nbd/channel.h"

typedef struct Channel Channel;

/* A channel to an address, not yet connected. NULL with an error: it is no address. For output the address's parts that the main loop has to look at (names of
 * descriptors, files, commands) are opened now. */
Channel *channel_new(const char *address, bool output, GError **error);
void channel_free(Channel *channel);
/* Who waits for it fails from now on. [any thread] */
void channel_break_off(Channel *channel);

/*
 * What goes over the socket is encrypted; the credentials outlive the channel. host: whom the other's certificate must name, NULL:
 * the address's host (output). Fails for what is no socket. Before it connects.
 */
bool channel_set_tls(Channel *channel, TlsCredentials *credentials, const char *host,
                     GError **error);
/* Output: connects. Both: shakes hands. [any thread] */
bool channel_connect(Channel *channel, GError **error);
/* Input: a descriptor that becomes readable when somebody connects, for channel_accept; -1: the bytes are there as they come. */
int channel_listener(const Channel *channel);
bool channel_accept(Channel *channel, GError **error);
/* Where listening is on, as "tcp:127.0.0.1:4444"; the caller frees. NULL: nowhere. */
char *channel_listening_at(const Channel *channel);

/*
 * Another connection between the same two, of the same kind, that is broken off together with this one; the caller frees it first. Output: not yet
 * connected. Input: waits until somebody connects; for that the listener was kept from before channel_accept on. NULL with an error. [any thread]
 */
Channel *channel_another(Channel *channel, GError **error);
bool channel_may_be_several(const Channel *channel, GError **error);
void channel_keep_listening(Channel *channel);
void channel_stop_listening(Channel *channel);

/* All of it, or an error. */
bool channel_write(Channel *channel, const void *data, size_t size, GError **error);
bool channel_read(Channel *channel, void *data, size_t size, GError **error);
/* Both ways are there: the other end can answer. */
bool channel_answers(const Channel *channel);
/* All has been written, or read: what can fail at the end (a command's status, a disk that is full) fails now. */
bool channel_finish(Channel *channel, GError **error);

#endif
