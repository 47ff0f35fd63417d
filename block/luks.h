/* SPDX-License-Identifier: MIT */
/* LUKS version 1 headers: unlocking and making. */
#ifndef BLOCK_LUKS_H
#define BLOCK_LUKS_H

#include "block/cipher.h"
#include "block/node.h"

typedef struct {
    SectorCipher *cipher;
    uint64_t payload_offset; /* bytes from the header's start */
    json_t *info;
} Luks;

/* passphrase NULL: only reads the header; the result has no cipher. */
Luks *luks_open(BlockNode *file, uint64_t offset, const char *passphrase, GError **error);
void luks_free(Luks *luks);

typedef struct {
    const char *cipher, *mode, *iv, *iv_hash, *hash; /* "aes-256", "xts", "plain64", NULL, "sha256" */
    uint64_t iterate_ms;
} LuksParameters;

/* Takes "PREFIXcipher-alg" and so on; the strings live in `options_keep`. */
bool luks_take_parameters(GHashTable *options, const char *prefix, LuksParameters *parameters,
                          GPtrArray *options_keep, GError **error);
/* The header with one key slot, up to the payload. */
GByteArray *luks_format(const LuksParameters *parameters, const char *passphrase, GError **error);

#endif
