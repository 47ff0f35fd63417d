/* SPDX-License-Identifier: MIT */
/* Sector encryption and key derivation by nettle. */
#include "block/crypto/cipher.h"

#include "base/bits.h"
#include "base/error.h"

#include <nettle/aes.h>
#include <nettle/cbc.h>
#include <nettle/hmac.h>
#include <nettle/pbkdf2.h>
#include <nettle/ripemd160.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <nettle/xts.h>
#include <string.h>

enum { SECTOR = 512, BLOCK = 16, KEY_MAX = 64, DIGEST_MAX = 64 };

typedef enum { MODE_ECB, MODE_CBC, MODE_XTS } CipherMode;
typedef enum { IV_NONE, IV_PLAIN, IV_PLAIN64, IV_ESSIV } IvKind;

typedef struct {
    size_t key_size;
    union {
        struct aes128_ctx a128;
        struct aes192_ctx a192;
        struct aes256_ctx a256;
    } encrypt, decrypt;
} Aes;

struct SectorCipher {
    CipherMode mode;
    IvKind iv;
    Aes aes, essiv;
    size_t key_size;
    struct xts_aes128_key xts128_encrypt, xts128_decrypt;
    struct xts_aes256_key xts256_encrypt, xts256_decrypt;
};

static bool aes_init(Aes *aes, const uint8_t *key, size_t key_size)
{
    aes->key_size = key_size;
    switch (key_size) {
    case 16:
        aes128_set_encrypt_key(&aes->encrypt.a128, key);
        aes128_set_decrypt_key(&aes->decrypt.a128, key);
        return true;
    case 24:
        aes192_set_encrypt_key(&aes->encrypt.a192, key);
        aes192_set_decrypt_key(&aes->decrypt.a192, key);
        return true;
    case 32:
        aes256_set_encrypt_key(&aes->encrypt.a256, key);
        aes256_set_decrypt_key(&aes->decrypt.a256, key);
        return true;
    default:
        return false;
    }
}

static nettle_cipher_func *aes_function(const Aes *aes, bool encrypt)
{
    switch (aes->key_size) {
    case 16:
        return (nettle_cipher_func *)(encrypt ? aes128_encrypt : aes128_decrypt);
    case 24:
        return (nettle_cipher_func *)(encrypt ? aes192_encrypt : aes192_decrypt);
    default:
        return (nettle_cipher_func *)(encrypt ? aes256_encrypt : aes256_decrypt);
    }
}

/* Hashes. */

static const struct {
    const char *name;
    const struct nettle_hash *hash;
} hashes[] = {
    { "sha1", &nettle_sha1 },     { "sha224", &nettle_sha224 }, { "sha256", &nettle_sha256 },
    { "sha384", &nettle_sha384 }, { "sha512", &nettle_sha512 }, { "ripemd160", &nettle_ripemd160 },
};

static const struct nettle_hash *find_hash(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(hashes); i++) {
        if (!strcmp(hashes[i].name, name)) {
            return hashes[i].hash;
        }
    }
    return NULL;
}

size_t hash_size(const char *name)
{
    const struct nettle_hash *hash = find_hash(name);

    return hash ? hash->digest_size : 0;
}

bool hash_buffer(const char *name, const void *data, size_t size, uint8_t *digest)
{
    const struct nettle_hash *hash = find_hash(name);
    g_autofree void *context = hash ? g_malloc(hash->context_size) : NULL;

    if (!hash) {
        return false;
    }
    hash->init(context);
    hash->update(context, size, data);
    hash->digest(context, hash->digest_size, digest);
    return true;
}

typedef struct {
    const struct nettle_hash *hash;
    uint8_t *outer, *inner, *state;
} Hmac;

static void hmac_update_generic(void *opaque, size_t size, const uint8_t *data)
{
    Hmac *hmac = opaque;

    hmac->hash->update(hmac->state, size, data);
}

static void hmac_digest_generic(void *opaque, size_t size, uint8_t *digest)
{
    Hmac *hmac = opaque;

    hmac_digest(hmac->outer, hmac->inner, hmac->state, hmac->hash, size, digest);
}

bool hash_pbkdf2(const char *name, const char *password, size_t password_size, unsigned iterations,
                 const uint8_t *salt, size_t salt_size, uint8_t *out, size_t out_size)
{
    Hmac hmac = { .hash = find_hash(name) };

    if (!hmac.hash || !iterations) {
        return false;
    }
    hmac.outer = g_malloc0(hmac.hash->context_size);
    hmac.inner = g_malloc0(hmac.hash->context_size);
    hmac.state = g_malloc0(hmac.hash->context_size);
    hmac_set_key(hmac.outer, hmac.inner, hmac.state, hmac.hash, password_size,
                 (const uint8_t *)password);
    pbkdf2(&hmac, hmac_update_generic, hmac_digest_generic, hmac.hash->digest_size, iterations,
           salt_size, salt, out_size, out);
    g_free(hmac.outer);
    g_free(hmac.inner);
    g_free(hmac.state);
    return true;
}

/* Sectors. */

static bool parse_mode(SectorCipher *cipher, const char *mode, const uint8_t *key, size_t key_size)
{
    const char *iv;

    if (!strcmp(mode, "ecb")) {
        cipher->mode = MODE_ECB;
        return true;
    }
    cipher->mode = g_str_has_prefix(mode, "xts-") ? MODE_XTS : MODE_CBC;
    if (cipher->mode == MODE_CBC && !g_str_has_prefix(mode, "cbc-")) {
        return false;
    }
    iv = mode + 4;
    if (!strcmp(iv, "plain")) {
        cipher->iv = IV_PLAIN;
    } else if (!strcmp(iv, "plain64")) {
        cipher->iv = IV_PLAIN64;
    } else if (g_str_has_prefix(iv, "essiv:") && hash_size(iv + 6)) {
        uint8_t digest[DIGEST_MAX];

        cipher->iv = IV_ESSIV;
        return hash_buffer(iv + 6, key, key_size, digest) &&
               aes_init(&cipher->essiv, digest, hash_size(iv + 6));
    } else {
        return false;
    }
    return true;
}

SectorCipher *sector_cipher_new(const char *mode, const uint8_t *key, size_t key_size,
                                GError **error)
{
    SectorCipher *cipher = g_new0(SectorCipher, 1);
    bool done = parse_mode(cipher, mode, key, key_size);

    cipher->key_size = key_size;
    if (done && cipher->mode == MODE_XTS) {
        done = key_size == 32 || key_size == 64;
        if (key_size == 32) {
            xts_aes128_set_encrypt_key(&cipher->xts128_encrypt, key);
            xts_aes128_set_decrypt_key(&cipher->xts128_decrypt, key);
        } else if (done) {
            xts_aes256_set_encrypt_key(&cipher->xts256_encrypt, key);
            xts_aes256_set_decrypt_key(&cipher->xts256_decrypt, key);
        }
    } else if (done) {
        done = aes_init(&cipher->aes, key, key_size);
    }
    if (!done) {
        g_free(cipher);
        error_fail(error, KASO_ERROR_UNSUPPORTED,
                   "Unsupported encryption: AES with mode '%s' and a key of %zu bits", mode,
                   key_size * 8);
        return NULL;
    }
    return cipher;
}

void sector_cipher_free(SectorCipher *cipher)
{
    if (cipher) {
        explicit_bzero(cipher, sizeof *cipher);
        g_free(cipher);
    }
}

static void make_iv(const SectorCipher *cipher, uint64_t sector, uint8_t iv[BLOCK])
{
    memset(iv, 0, BLOCK);
    switch (cipher->iv) {
    case IV_PLAIN:
        store_le32(iv, (uint32_t)sector);
        break;
    case IV_PLAIN64:
        store_le64(iv, sector);
        break;
    case IV_ESSIV:
        store_le64(iv, sector);
        aes_function(&cipher->essiv, true)(&cipher->essiv.encrypt, BLOCK, iv, iv);
        break;
    default:
        break;
    }
}

static void xts_sector(SectorCipher *cipher, bool encrypt, const uint8_t *iv, uint8_t *data)
{
    if (cipher->key_size == 32) {
        if (encrypt) {
            xts_aes128_encrypt_message(&cipher->xts128_encrypt, iv, SECTOR, data, data);
        } else {
            xts_aes128_decrypt_message(&cipher->xts128_decrypt, iv, SECTOR, data, data);
        }
    } else if (encrypt) {
        xts_aes256_encrypt_message(&cipher->xts256_encrypt, iv, SECTOR, data, data);
    } else {
        xts_aes256_decrypt_message(&cipher->xts256_decrypt, iv, SECTOR, data, data);
    }
}

static void crypt_sectors(const SectorCipher *cipher, bool encrypt, uint64_t sector, uint8_t *data,
                          size_t size)
{
    const void *context = encrypt ? (const void *)&cipher->aes.encrypt : &cipher->aes.decrypt;

    for (size_t at = 0; at < size; at += SECTOR, sector++) {
        uint8_t iv[BLOCK];

        make_iv(cipher, sector, iv);
        switch (cipher->mode) {
        case MODE_XTS:
            xts_sector((SectorCipher *)cipher, encrypt, iv, data + at);
            break;
        case MODE_CBC:
            (encrypt ? cbc_encrypt : cbc_decrypt)(context, aes_function(&cipher->aes, encrypt),
                                                  BLOCK, iv, SECTOR, data + at, data + at);
            break;
        default:
            aes_function(&cipher->aes, encrypt)(context, SECTOR, data + at, data + at);
            break;
        }
    }
}

void sector_encrypt(const SectorCipher *cipher, uint64_t sector, uint8_t *data, size_t size)
{
    crypt_sectors(cipher, true, sector, data, size);
}

void sector_decrypt(const SectorCipher *cipher, uint64_t sector, uint8_t *data, size_t size)
{
    crypt_sectors(cipher, false, sector, data, size);
}

SectorCipher *sector_cipher_new_legacy(const char *passphrase, GError **error)
{
    enum { LEGACY_KEY_BYTES = 16 };
    uint8_t key[LEGACY_KEY_BYTES] = { 0 };

    memcpy(key, passphrase, MIN(strlen(passphrase), sizeof key));
    return sector_cipher_new("cbc-plain64", key, sizeof key, error);
}
