/* SPDX-License-Identifier: MIT */
/* Sector encryption and key derivation by nettle. */
#include "block/crypto/cipher.h"

#include "base/bits.h"
#include "base/error.h"

#include <nettle/cbc.h>
#include <nettle/ctr.h>
#include <nettle/hmac.h>
#include <nettle/nettle-meta.h>
#include <nettle/pbkdf2.h>
#include <nettle/xts.h>
#include <string.h>

enum { SECTOR = 512, BLOCK_MAX = 16, DIGEST_MAX = 64 };

typedef enum { MODE_ECB, MODE_CBC, MODE_XTS, MODE_CTR } CipherMode;
typedef enum { IV_PLAIN, IV_PLAIN64, IV_ESSIV } IvKind;

typedef struct nettle_cipher Algorithm;

struct SectorCipher {
    const Algorithm *algorithm, *essiv_algorithm;
    CipherMode mode;
    IvKind iv;
    /* Key schedules; those that mode and initialisation vector have no use for are NULL. */
    void *encrypt, *decrypt, *tweak, *essiv;
};

static const struct {
    const char *family;
    const Algorithm *algorithm;
} ciphers[] = {
    { "aes", &nettle_aes128 },         { "aes", &nettle_aes192 },
    { "aes", &nettle_aes256 },         { "serpent", &nettle_serpent128 },
    { "serpent", &nettle_serpent192 }, { "serpent", &nettle_serpent256 },
    { "twofish", &nettle_twofish128 }, { "twofish", &nettle_twofish192 },
    { "twofish", &nettle_twofish256 }, { "cast5", &nettle_cast128 },
};

static const Algorithm *find_cipher(const char *family, size_t key_size)
{
    for (unsigned i = 0; i < ARRAY_SIZE(ciphers); i++) {
        if (!strcmp(ciphers[i].family, family) && ciphers[i].algorithm->key_size == key_size) {
            return ciphers[i].algorithm;
        }
    }
    return NULL;
}

size_t sector_cipher_key_size(const char *algorithm, const char *mode)
{
    for (unsigned i = 0; i < ARRAY_SIZE(ciphers); i++) {
        size_t key_size = ciphers[i].algorithm->key_size;
        g_autofree char *name = g_strdup_printf("%s-%zu", ciphers[i].family, key_size * 8);

        if (!strcmp(name, algorithm)) {
            return !strcmp(mode, "xts") ? 2 * key_size : key_size;
        }
    }
    return 0;
}

/* Hashes. */

static const struct {
    const char *name;
    const struct nettle_hash *hash;
} hashes[] = {
    { "md5", &nettle_md5 },       { "sha1", &nettle_sha1 },           { "sha224", &nettle_sha224 },
    { "sha256", &nettle_sha256 }, { "sha384", &nettle_sha384 },       { "sha512", &nettle_sha512 },
    { "sm3", &nettle_sm3 },       { "ripemd160", &nettle_ripemd160 },
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

static bool parse_mode(SectorCipher *cipher, const char *mode)
{
    static const char *const modes[] = {
        [MODE_ECB] = "ecb", [MODE_CBC] = "cbc", [MODE_XTS] = "xts", [MODE_CTR] = "ctr"
    };
    const char *dash = strchrnul(mode, '-');

    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        if (strlen(modes[i]) == (size_t)(dash - mode) && g_str_has_prefix(mode, modes[i])) {
            cipher->mode = (CipherMode)i;
            return *dash || i == MODE_ECB;
        }
    }
    return false;
}

static void *new_schedule(const Algorithm *algorithm, nettle_set_key_func *set_key,
                          const uint8_t *key)
{
    void *schedule = g_malloc0(algorithm->context_size);

    set_key(schedule, key);
    return schedule;
}

/* ESSIV: the sector's number is encrypted by the same cipher, whose key is a hash of the disk's. */
static bool init_essiv(SectorCipher *cipher, const char *family, const char *hash,
                       const uint8_t *key, size_t key_size)
{
    uint8_t digest[DIGEST_MAX];

    cipher->essiv_algorithm = find_cipher(family, hash_size(hash));
    if (!cipher->essiv_algorithm) {
        return false;
    }
    hash_buffer(hash, key, key_size, digest);
    cipher->essiv =
        new_schedule(cipher->essiv_algorithm, cipher->essiv_algorithm->set_encrypt_key, digest);
    explicit_bzero(digest, sizeof digest);
    return true;
}

/* Old headers of ours have "ecb" alone, which needs none. */
static bool init_iv(SectorCipher *cipher, const char *family, const char *mode, const uint8_t *key,
                    size_t key_size)
{
    const char *dash = strchr(mode, '-'), *iv = dash ? dash + 1 : "plain";

    if (g_str_has_prefix(iv, "essiv:")) {
        cipher->iv = IV_ESSIV;
        return init_essiv(cipher, family, strchr(iv, ':') + 1, key, key_size);
    }
    cipher->iv = !strcmp(iv, "plain64") ? IV_PLAIN64 : IV_PLAIN;
    return cipher->iv == IV_PLAIN64 || !strcmp(iv, "plain");
}

static bool init_cipher(SectorCipher *cipher, const char *family, const uint8_t *key,
                        size_t key_size)
{
    const Algorithm *algorithm =
        find_cipher(family, cipher->mode == MODE_XTS ? key_size / 2 : key_size);

    if (!algorithm || (cipher->mode == MODE_XTS && algorithm->block_size != XTS_BLOCK_SIZE)) {
        return false;
    }
    cipher->algorithm = algorithm;
    cipher->encrypt = new_schedule(algorithm, algorithm->set_encrypt_key, key);
    cipher->decrypt = new_schedule(algorithm, algorithm->set_decrypt_key, key);
    if (cipher->mode == MODE_XTS) {
        cipher->tweak =
            new_schedule(algorithm, algorithm->set_encrypt_key, key + algorithm->key_size);
    }
    return true;
}

SectorCipher *sector_cipher_new(const char *family, const char *mode, const uint8_t *key,
                                size_t key_size, GError **error)
{
    SectorCipher *cipher = g_new0(SectorCipher, 1);

    if (!parse_mode(cipher, mode) || !init_cipher(cipher, family, key, key_size) ||
        !init_iv(cipher, family, mode, key, key_size)) {
        sector_cipher_free(cipher);
        error_fail(error, KASO_ERROR_UNSUPPORTED,
                   "Unsupported encryption: cipher '%s' with mode '%s' and a key of %zu bits",
                   family, mode, key_size * 8);
        return NULL;
    }
    return cipher;
}

static void free_schedule(const Algorithm *algorithm, void *schedule)
{
    if (schedule) {
        explicit_bzero(schedule, algorithm->context_size);
        g_free(schedule);
    }
}

void sector_cipher_free(SectorCipher *cipher)
{
    if (cipher) {
        free_schedule(cipher->algorithm, cipher->encrypt);
        free_schedule(cipher->algorithm, cipher->decrypt);
        free_schedule(cipher->algorithm, cipher->tweak);
        free_schedule(cipher->essiv_algorithm, cipher->essiv);
        g_free(cipher);
    }
}

static void make_iv(const SectorCipher *cipher, uint64_t sector, uint8_t iv[BLOCK_MAX])
{
    memset(iv, 0, BLOCK_MAX);
    if (cipher->iv == IV_PLAIN) {
        store_le32(iv, (uint32_t)sector);
        return;
    }
    store_le64(iv, sector);
    if (cipher->iv == IV_ESSIV) {
        cipher->essiv_algorithm->encrypt(cipher->essiv, cipher->essiv_algorithm->block_size, iv,
                                         iv);
    }
}

static void encrypt_sector(const SectorCipher *cipher, uint8_t *iv, uint8_t *data)
{
    const Algorithm *a = cipher->algorithm;

    switch (cipher->mode) {
    case MODE_ECB:
        a->encrypt(cipher->encrypt, SECTOR, data, data);
        break;
    case MODE_CBC:
        cbc_encrypt(cipher->encrypt, a->encrypt, a->block_size, iv, SECTOR, data, data);
        break;
    case MODE_XTS:
        xts_encrypt_message(cipher->encrypt, cipher->tweak, a->encrypt, iv, SECTOR, data, data);
        break;
    case MODE_CTR:
        ctr_crypt(cipher->encrypt, a->encrypt, a->block_size, iv, SECTOR, data, data);
        break;
    }
}

static void decrypt_sector(const SectorCipher *cipher, uint8_t *iv, uint8_t *data)
{
    const Algorithm *a = cipher->algorithm;

    switch (cipher->mode) {
    case MODE_ECB:
        a->decrypt(cipher->decrypt, SECTOR, data, data);
        break;
    case MODE_CBC:
        cbc_decrypt(cipher->decrypt, a->decrypt, a->block_size, iv, SECTOR, data, data);
        break;
    case MODE_XTS:
        xts_decrypt_message(cipher->decrypt, cipher->tweak, a->decrypt, a->encrypt, iv, SECTOR,
                            data, data);
        break;
    case MODE_CTR:
        ctr_crypt(cipher->encrypt, a->encrypt, a->block_size, iv, SECTOR, data, data);
        break;
    }
}

void sector_encrypt(const SectorCipher *cipher, uint64_t sector, uint8_t *data, size_t size)
{
    uint8_t iv[BLOCK_MAX];

    for (size_t at = 0; at < size; at += SECTOR) {
        make_iv(cipher, sector++, iv);
        encrypt_sector(cipher, iv, data + at);
    }
}

void sector_decrypt(const SectorCipher *cipher, uint64_t sector, uint8_t *data, size_t size)
{
    uint8_t iv[BLOCK_MAX];

    for (size_t at = 0; at < size; at += SECTOR) {
        make_iv(cipher, sector++, iv);
        decrypt_sector(cipher, iv, data + at);
    }
}

SectorCipher *sector_cipher_new_legacy(const char *passphrase, GError **error)
{
    enum { LEGACY_KEY_BYTES = 16 };
    uint8_t key[LEGACY_KEY_BYTES] = { 0 };

    memcpy(key, passphrase, MIN(strlen(passphrase), sizeof key));
    return sector_cipher_new("aes", "cbc-plain64", key, sizeof key, error);
}
