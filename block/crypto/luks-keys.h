/* SPDX-License-Identifier: MIT */
/* LUKS version 1: the header's layout, and what key slots are made of. */
#ifndef BLOCK_CRYPTO_LUKS_KEYS_H
#define BLOCK_CRYPTO_LUKS_KEYS_H

#include "block/crypto/luks.h"

/* Offsets in the header (big-endian), and in each slot of it. */
enum {
    L_VERSION = 6,
    L_CIPHER = 8,
    L_MODE = 40,
    L_HASH = 72,
    L_PAYLOAD = 104,
    L_KEY_BYTES = 108,
    L_DIGEST = 112,
    L_DIGEST_SALT = 132,
    L_DIGEST_ITERATIONS = 164,
    L_UUID = 168,
    L_SLOTS = 208,
    SLOT_ITERATIONS = 4,
    SLOT_SALT = 8,
    SLOT_OFFSET = 40, /* of the key material, in sectors */
    SLOT_STRIPES = 44,
    SLOT_SIZE = 48,
};
enum {
    LUKS_SLOTS = 8,
    LUKS_DIGEST_SIZE = 20,
    LUKS_SALT_SIZE = 32,
    LUKS_STRIPES = 4000,
    LUKS_ITERATIONS_MAX = 1 << 28,
    LUKS_ITERATE_MS = 1000,
};
#define LUKS_SLOT_ACTIVE   0x00ac71f3u
#define LUKS_SLOT_INACTIVE 0x0000deadu

static inline uint8_t *luks_slot(uint8_t *header, unsigned i)
{
    return header + L_SLOTS + i * SLOT_SIZE;
}

/* Whole sectors: with keys of 24 bytes the last one is not full. */
static inline size_t luks_material_size(size_t key_bytes)
{
    return (key_bytes * LUKS_STRIPES + 511) / 512 * 512;
}

bool luks_random(void *buffer, size_t size, GError **error);
/* Iterations of PBKDF2 that take about so long. */
unsigned luks_iterations_for(const char *hash, uint64_t ms, size_t key_bytes);
/* 1: the passphrase opens slot i, and key is the master key; 0: it does not. [coroutine] */
int luks_try_slot(Luks *luks, unsigned i, const char *passphrase, uint8_t *key, GError **error);
/*
 * Fills in iterations and salt of a slot in a header and returns its key material; NULL with an
 * error. It is luks_material_size(key_bytes) long; the caller frees.
 */
uint8_t *luks_make_key_material(uint8_t *slot, const char *cipher, const char *mode,
                                const char *hash, uint64_t iterate_ms, const char *passphrase,
                                const uint8_t *key, size_t key_bytes, GError **error);

#endif
