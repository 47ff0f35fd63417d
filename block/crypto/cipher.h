/* SPDX-License-Identifier: MIT */
/* Encryption of disk sectors of 512 bytes: cipher, mode and initialisation vector by name. */
#ifndef BLOCK_CRYPTO_CIPHER_H
#define BLOCK_CRYPTO_CIPHER_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct SectorCipher SectorCipher;

/*
 * family: "aes", "serpent", "twofish", "cast5". mode: "MODE-IV", where MODE is ecb, cbc, xts (with blocks of 16 bytes)
 * or ctr, and IV plain, plain64 or essiv:HASH (with a hash as long as one of the family's keys). key_size: 16, for
 * all but cast5 also 24 and 32; twice that for xts.
 */
SectorCipher *sector_cipher_new(const char *family, const char *mode, const uint8_t *key,
                                size_t key_size, GError **error);
/* The bytes of key that "serpent-192" takes in that mode; 0: there is no such cipher. */
size_t sector_cipher_key_size(const char *algorithm, const char *mode);
/* Of the first formats: AES-128 whose key is the passphrase, cut or filled with zeroes. */
SectorCipher *sector_cipher_new_legacy(const char *passphrase, GError **error);
void sector_cipher_free(SectorCipher *cipher);
/* In place; size is a multiple of 512. */
void sector_encrypt(const SectorCipher *cipher, uint64_t sector, uint8_t *data, size_t size);
void sector_decrypt(const SectorCipher *cipher, uint64_t sector, uint8_t *data, size_t size);

/* "md5", "sha1", "sha256", "sha512", "sm3", "ripemd160" …: digest size, 0 when unknown. */
size_t hash_size(const char *name);
bool hash_buffer(const char *name, const void *data, size_t size, uint8_t *digest);
/* PBKDF2 with HMAC of that hash. */
bool hash_pbkdf2(const char *name, const char *password, size_t password_size, unsigned iterations,
                 const uint8_t *salt, size_t salt_size, uint8_t *out, size_t out_size);

#endif
