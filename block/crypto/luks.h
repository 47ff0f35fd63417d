/* SPDX-License-Identifier: MIT */
/* LUKS version 1 headers: unlocking, making, and changing who may unlock. */
#ifndef BLOCK_CRYPTO_LUKS_H
#define BLOCK_CRYPTO_LUKS_H

#include "block/crypto/cipher.h"
#include "block/graph/node.h"

enum { LUKS_HEADER_SIZE = 592, LUKS_KEY_BYTES_MAX = 64, LUKS_NAME_SIZE = 33 };

typedef struct {
    SectorCipher *cipher;
    uint64_t payload_offset; /* bytes from the header's start */
    json_t *info;

    /* For what works on key slots. */
    BlockNode *file;
    uint64_t offset; /* of the header in the file */
    uint8_t header[LUKS_HEADER_SIZE];
    char cipher_name[LUKS_NAME_SIZE], mode[LUKS_NAME_SIZE], hash[LUKS_NAME_SIZE];
    bool detached; /* the header is a file of its own, and the payload begins where another does */
    uint8_t key[LUKS_KEY_BYTES_MAX]; /* the master key; valid with a cipher */
    size_t key_bytes;
} Luks;

/*
 * passphrase NULL: only reads the header; the result has no cipher. may_be_detached: the payload, of offset 0,
 * may lie in another file.
 */
Luks *luks_open(BlockNode *file, uint64_t offset, const char *passphrase, bool may_be_detached,
                GError **error);
void luks_free(Luks *luks);
/* Makes luks->info of luks->header again. */
void luks_refresh_info(Luks *luks);

typedef struct {
    const char *cipher, *mode, *iv, *iv_hash,
        *hash; /* "aes-256", "xts", "plain64", NULL, "sha256" */
    uint64_t iterate_ms;
    bool detached;
} LuksParameters;

/* Takes "PREFIXcipher-alg" and so on; the strings live in `options_keep`. */
bool luks_take_parameters(GHashTable *options, const char *prefix, LuksParameters *parameters,
                          GPtrArray *options_keep, GError **error);
/* The size of a header with these parameters, up to the payload; 0: they are not supported. */
uint64_t luks_header_size(const LuksParameters *parameters, size_t *key_bytes, GError **error);
/* The header with one key slot, up to the payload. */
GByteArray *luks_format(const LuksParameters *parameters, const char *passphrase, GError **error);

/* A change of key slots: state=, new-secret=, old-secret=, keyslot=, iter-time=. */
typedef struct {
    bool given;
    bool activate;
    int slot; /* -1: none was named */
    const char *new_passphrase, *old_passphrase;
    uint64_t iterate_ms;
} LuksAmendment;

/* Takes the options that begin with prefix. The passphrases are the graph's. */
bool luks_take_amendment(BlockGraph *graph, GHashTable *options, const char *prefix,
                         LuksAmendment *amendment, GError **error);
/*
 * limit: bytes from the header's start that belong to it. force: also what may lock everybody out.
 * Whenever it is interrupted, whoever could unlock the image and is not to be erased still can.
 */
bool luks_amend(Luks *luks, const LuksAmendment *amendment, uint64_t limit, bool force,
                GError **error);

#endif
