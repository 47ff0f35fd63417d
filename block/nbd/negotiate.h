/* SPDX-License-Identifier: MIT */
/* The client's side of the NBD handshake. */
#ifndef BLOCK_NBD_NEGOTIATE_H
#define BLOCK_NBD_NEGOTIATE_H

#include "block/nbd/channel.h"
#include "block/nbd/nbd.h"

typedef struct {
    char *name;    /* given */
    char *context; /* given: the metadata context for block status; NULL: base:allocation */
    char *description;
    uint64_t size;
    uint16_t flags;
    uint32_t block_min, block_preferred, block_max;
    NbdMode mode;
    bool has_context;
    uint32_t context_id;
    char **contexts; /* nbd_list: what the server offers; ends with NULL */
} NbdExportInfo;

void nbd_export_info_clear(NbdExportInfo *info);
/* Brings a new channel to the transmission phase of export info->name. [coroutine] */
bool nbd_negotiate(NbdChannel *channel, TlsCredentials *credentials, const char *tls_host,
                   NbdExportInfo *info, GError **error);
/* Elements: NbdExportInfo *. */
GPtrArray *nbd_list(NbdChannel *channel, TlsCredentials *credentials, const char *tls_host,
                    GError **error);

#endif
