/* SPDX-License-Identifier: MIT */
/*
 * LUKS1 on-disk format 1.2.3: header, key slots with anti-forensic splitting, and the format
 * driver. Ciphers: AES. Detached headers are not modelled.
 */
#include "block/luks.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

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
    SLOT_SIZE = 48,
    SLOTS = 8,
    HEADER_SIZE = 592,
    DIGEST_SIZE = 20,
    SALT_SIZE = 32,
    STRIPES = 4000,
    STRIPES_MAX = 4000,
    KEY_BYTES_MAX = 64,
    SLOT_ALIGN = 4096,
    ITERATIONS_MAX = 1 << 28,
};
static const uint8_t luks_magic[6] = { 'L', 'U', 'K', 'S', 0xba, 0xbe };
#define SLOT_ACTIVE   0x00ac71f3u
#define SLOT_INACTIVE 0x0000deadu

/* Anti-forensic diffusion: each digest-sized piece becomes the hash of its number and itself. */
static void diffuse(const char *hash, uint8_t *block, size_t size)
{
    size_t digest = hash_size(hash);
    uint8_t input[4 + 64], output[64];

    for (size_t at = 0, i = 0; at < size; at += digest, i++) {
        size_t n = MIN(digest, size - at);

        store_be32(input, (uint32_t)i);
        memcpy(input + 4, block + at, n);
        hash_buffer(hash, input, 4 + n, output);
        memcpy(block + at, output, n);
    }
}

static void af_merge(const char *hash, const uint8_t *stripes, size_t count, size_t size,
                     uint8_t *key)
{
    memset(key, 0, size);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < size; j++) {
            key[j] ^= stripes[i * size + j];
        }
        if (i + 1 < count) {
            diffuse(hash, key, size);
        }
    }
}

static bool random_bytes(void *buffer, size_t size, GError **error)
{
    uint8_t *at = buffer;

    while (size) {
        ssize_t n = getrandom(at, MIN(size, 256), 0);

        if (n < 0 && errno != EINTR) {
            return error_fail_errno(error, errno, "Could not get random numbers");
        }
        if (n > 0) {
            at += n;
            size -= (size_t)n;
        }
    }
    return true;
}

static bool af_split(const char *hash, const uint8_t *key, size_t size, uint8_t *stripes,
                     GError **error)
{
    g_autofree uint8_t *sum = g_malloc0(size);

    if (!random_bytes(stripes, (STRIPES - 1) * size, error)) {
        return false;
    }
    for (size_t i = 0; i + 1 < STRIPES; i++) {
        for (size_t j = 0; j < size; j++) {
            sum[j] ^= stripes[i * size + j];
        }
        diffuse(hash, sum, size);
    }
    for (size_t j = 0; j < size; j++) {
        stripes[(STRIPES - 1) * size + j] = sum[j] ^ key[j];
    }
    return true;
}

/* Opening. */

static void copy_name(char *out, const uint8_t *field)
{
    memcpy(out, field, 32);
    out[32] = '\0';
}

static json_t *header_info(const uint8_t *h, const char *mode, const char *hash)
{
    json_t *slots = json_array(), *info = json_object();
    g_auto(GStrv) parts = g_strsplit(mode, "-", 2);
    g_autofree char *iv = g_strdup(parts[0] && parts[1] ? parts[1] : "");
    char *colon = strchr(iv, ':');
    char uuid[41] = "";
    unsigned key_bits = load_be32(h + L_KEY_BYTES) * 8;
    g_autofree char *cipher = NULL;

    if (!strcmp(parts[0] ? parts[0] : "", "xts")) {
        key_bits /= 2;
    }
    cipher = g_strdup_printf("aes-%u", key_bits);
    memcpy(uuid, h + L_UUID, 40);
    if (colon) {
        *colon = '\0';
        json_object_set_new(info, "ivgen-hash-alg", json_string(colon + 1));
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        const uint8_t *slot = h + L_SLOTS + i * SLOT_SIZE;
        bool active = load_be32(slot) == SLOT_ACTIVE;
        json_t *item = json_pack("{s:b, s:I}", "active", active, "key-offset",
                                 (json_int_t)load_be32(slot + 40) * 512);

        if (active) {
            json_object_set_new(item, "iters", json_integer(load_be32(slot + 4)));
            json_object_set_new(item, "stripes", json_integer(load_be32(slot + 44)));
        }
        json_array_append_new(slots, item);
    }
    json_object_set_new(info, "ivgen-alg", json_string(iv));
    json_object_set_new(info, "detached-header", json_false());
    json_object_set_new(info, "hash-alg", json_string(hash));
    json_object_set_new(info, "cipher-alg", json_string(cipher));
    json_object_set_new(info, "uuid", json_string(uuid));
    json_object_set_new(info, "cipher-mode", json_string(parts[0] ? parts[0] : ""));
    json_object_set_new(info, "slots", slots);
    json_object_set_new(info, "payload-offset",
                        json_integer((json_int_t)load_be32(h + L_PAYLOAD) * 512));
    json_object_set_new(info, "master-key-iters", json_integer(load_be32(h + L_DIGEST_ITERATIONS)));
    return info;
}

typedef struct {
    BlockNode *file;
    uint64_t offset;
    const uint8_t *header;
    const char *mode, *hash, *passphrase;
    size_t key_bytes;
    uint8_t key[KEY_BYTES_MAX];
    unsigned slot;
} Unlock;

/* The slow part, on a worker: 1 when the passphrase opens the slot. */
static int unlock_try(void *opaque)
{
    Unlock *u = opaque;
    const uint8_t *slot = u->header + L_SLOTS + u->slot * SLOT_SIZE;
    uint8_t derived[KEY_BYTES_MAX];

    if (!hash_pbkdf2(u->hash, u->passphrase, strlen(u->passphrase), load_be32(slot + 4), slot + 8,
                     SALT_SIZE, derived, u->key_bytes)) {
        return -EINVAL;
    }
    memcpy(u->key, derived, sizeof derived);
    return 0;
}

static int verify_key(void *opaque)
{
    Unlock *u = opaque;
    uint8_t digest[DIGEST_SIZE];

    hash_pbkdf2(u->hash, (const char *)u->key, u->key_bytes,
                load_be32(u->header + L_DIGEST_ITERATIONS), u->header + L_DIGEST_SALT, SALT_SIZE,
                digest, DIGEST_SIZE);
    return memcmp(digest, u->header + L_DIGEST, DIGEST_SIZE) == 0;
}

static int unlock_slot(Unlock *u, GError **error)
{
    const uint8_t *slot = u->header + L_SLOTS + u->slot * SLOT_SIZE;
    uint32_t stripes = load_be32(slot + 44);
    size_t size = u->key_bytes * stripes, padded = align_up(size, 512);
    g_autofree uint8_t *material = NULL;
    SectorCipher *cipher;
    int result;

    if (load_be32(slot) != SLOT_ACTIVE) {
        return 0;
    }
    if (!stripes || stripes > STRIPES_MAX || load_be32(slot + 4) > ITERATIONS_MAX) {
        return 0;
    }
    material = g_malloc0(padded);
    result = worker_call(unlock_try, u);
    if (result == 0) {
        result = node_pread(u->file, u->offset + load_be32(slot + 40) * 512ull, material, padded);
    }
    if (result < 0) {
        error_fail_errno(error, -result, "Could not read key slot %u", u->slot);
        return result;
    }
    cipher = sector_cipher_new(u->mode, u->key, u->key_bytes, error);
    if (!cipher) {
        return -EINVAL;
    }
    sector_decrypt(cipher, 0, material, padded);
    sector_cipher_free(cipher);
    af_merge(u->hash, material, stripes, u->key_bytes, u->key);
    return worker_call(verify_key, u);
}

static SectorCipher *unlock(Unlock *u, GError **error)
{
    for (u->slot = 0; u->slot < SLOTS; u->slot++) {
        int result = unlock_slot(u, error);

        if (result < 0) {
            return NULL;
        }
        if (result) {
            return sector_cipher_new(u->mode, u->key, u->key_bytes, error);
        }
    }
    error_fail(error, KASO_ERROR_INVALID, "Invalid password, cannot unlock any keyslot");
    return NULL;
}

Luks *luks_open(BlockNode *file, uint64_t offset, const char *passphrase, GError **error)
{
    uint8_t header[HEADER_SIZE];
    char cipher[33], mode[33], hash[33];
    Unlock u = { .file = file,
                 .offset = offset,
                 .header = header,
                 .mode = mode,
                 .hash = hash,
                 .passphrase = passphrase };
    Luks *luks;
    int result = node_pread(file, offset, header, sizeof header);

    if (result < 0) {
        error_fail_errno(error, -result, "Unable to read LUKS header");
        return NULL;
    }
    copy_name(cipher, header + L_CIPHER);
    copy_name(mode, header + L_MODE);
    copy_name(hash, header + L_HASH);
    u.key_bytes = load_be32(header + L_KEY_BYTES);
    if (memcmp(header, luks_magic, sizeof luks_magic) || load_be16(header + L_VERSION) != 1) {
        error_fail(error, KASO_ERROR_INVALID, "Volume is not in LUKS version 1 format");
        return NULL;
    }
    if (strcmp(cipher, "aes") || !hash_size(hash) || !u.key_bytes || u.key_bytes > KEY_BYTES_MAX ||
        load_be32(header + L_DIGEST_ITERATIONS) > ITERATIONS_MAX) {
        error_fail(error, KASO_ERROR_UNSUPPORTED,
                   "Unsupported LUKS cipher '%s', hash '%s' or key size %zu", cipher, hash,
                   u.key_bytes);
        return NULL;
    }
    luks = g_new0(Luks, 1);
    luks->payload_offset = load_be32(header + L_PAYLOAD) * 512ull;
    luks->info = header_info(header, mode, hash);
    if (passphrase) {
        luks->cipher = unlock(&u, error);
        explicit_bzero(u.key, sizeof u.key);
        if (!luks->cipher) {
            luks_free(luks);
            return NULL;
        }
    }
    return luks;
}

void luks_free(Luks *luks)
{
    if (luks) {
        sector_cipher_free(luks->cipher);
        json_decref(luks->info);
        g_free(luks);
    }
}

/* Making. */

bool luks_take_parameters(GHashTable *options, const char *prefix, LuksParameters *parameters,
                          GPtrArray *keep, GError **error)
{
    const struct {
        const char *name, *fallback;
        const char **value;
    } fields[] = {
        { "cipher-alg", "aes-256", &parameters->cipher },
        { "cipher-mode", "xts", &parameters->mode },
        { "ivgen-alg", "plain64", &parameters->iv },
        { "ivgen-hash-alg", NULL, &parameters->iv_hash },
        { "hash-alg", "sha256", &parameters->hash },
    };
    g_autofree char *time_key = g_strconcat(prefix, "iter-time", NULL);

    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        g_autofree char *key = g_strconcat(prefix, fields[i].name, NULL);
        char *value = options_take(options, key);

        if (value) {
            g_ptr_array_add(keep, value);
        }
        *fields[i].value = value ? value : fields[i].fallback;
    }
    parameters->iterate_ms = 1000;
    return options_take_number(options, time_key, &parameters->iterate_ms, error);
}

/* Iterations of PBKDF2 that take about so long. */
static unsigned iterations_for(const char *hash, uint64_t ms, size_t key_bytes)
{
    enum { PROBE = 20000, MIN_ITERATIONS = 1000 };
    uint8_t salt[SALT_SIZE] = { 0 }, key[KEY_BYTES_MAX];
    int64_t start = g_get_monotonic_time(), took;

    hash_pbkdf2(hash, "probe", 5, PROBE, salt, sizeof salt, key, key_bytes);
    took = MAX(g_get_monotonic_time() - start, 1);
    return (unsigned)CLAMP((double)PROBE * 1000 * (double)ms / (double)took, MIN_ITERATIONS,
                           ITERATIONS_MAX);
}

static bool fill_slot(uint8_t *header, GByteArray *out, const LuksParameters *p, const char *mode,
                      const char *passphrase, const uint8_t *key, size_t key_bytes, GError **error)
{
    uint8_t *slot = header + L_SLOTS, derived[KEY_BYTES_MAX];
    g_autofree uint8_t *stripes = g_malloc(key_bytes * STRIPES);
    SectorCipher *cipher;

    store_be32(slot, SLOT_ACTIVE);
    store_be32(slot + 4, iterations_for(p->hash, p->iterate_ms, key_bytes));
    if (!random_bytes(slot + 8, SALT_SIZE, error) ||
        !af_split(p->hash, key, key_bytes, stripes, error)) {
        return false;
    }
    hash_pbkdf2(p->hash, passphrase, strlen(passphrase), load_be32(slot + 4), slot + 8, SALT_SIZE,
                derived, key_bytes);
    cipher = sector_cipher_new(mode, derived, key_bytes, error);
    if (!cipher) {
        return false;
    }
    sector_encrypt(cipher, 0, stripes, key_bytes * STRIPES);
    sector_cipher_free(cipher);
    memcpy(out->data + load_be32(slot + 40) * 512, stripes, key_bytes * STRIPES);
    return true;
}

GByteArray *luks_format(const LuksParameters *p, const char *passphrase, GError **error)
{
    size_t key_bytes = (size_t)strtoul(p->cipher + MIN(strlen(p->cipher), 4), NULL, 10) / 8;
    g_autofree char *mode = NULL, *uuid = g_uuid_string_random();
    uint8_t header[HEADER_SIZE] = { 0 }, key[KEY_BYTES_MAX];
    size_t slot_bytes, payload;
    GByteArray *out;

    mode = !strcmp(p->mode, "ecb") ? g_strdup("ecb")
           : p->iv_hash && !strcmp(p->iv, "essiv")
               ? g_strdup_printf("%s-%s:%s", p->mode, p->iv, p->iv_hash)
               : g_strdup_printf("%s-%s", p->mode, p->iv);
    key_bytes *= !strcmp(p->mode, "xts") ? 2 : 1;
    if (!g_str_has_prefix(p->cipher, "aes-") || !key_bytes || key_bytes > KEY_BYTES_MAX ||
        !hash_size(p->hash)) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "Unsupported cipher '%s' or hash '%s'", p->cipher,
                   p->hash);
        return NULL;
    }
    slot_bytes = align_up(key_bytes * STRIPES, SLOT_ALIGN);
    payload = align_up(SLOT_ALIGN + SLOTS * slot_bytes, SLOT_ALIGN);
    memcpy(header, luks_magic, sizeof luks_magic);
    store_be16(header + L_VERSION, 1);
    strcpy((char *)header + L_CIPHER, "aes");
    g_strlcpy((char *)header + L_MODE, mode, 32);
    g_strlcpy((char *)header + L_HASH, p->hash, 32);
    store_be32(header + L_PAYLOAD, (uint32_t)(payload / 512));
    store_be32(header + L_KEY_BYTES, (uint32_t)key_bytes);
    g_strlcpy((char *)header + L_UUID, uuid, 40);
    for (unsigned i = 0; i < SLOTS; i++) {
        uint8_t *slot = header + L_SLOTS + i * SLOT_SIZE;

        store_be32(slot, SLOT_INACTIVE);
        store_be32(slot + 40, (uint32_t)((SLOT_ALIGN + i * slot_bytes) / 512));
        store_be32(slot + 44, STRIPES);
    }
    if (!random_bytes(key, key_bytes, error) ||
        !random_bytes(header + L_DIGEST_SALT, SALT_SIZE, error)) {
        return NULL;
    }
    store_be32(header + L_DIGEST_ITERATIONS, iterations_for(p->hash, p->iterate_ms / 8, 20));
    hash_pbkdf2(p->hash, (const char *)key, key_bytes, load_be32(header + L_DIGEST_ITERATIONS),
                header + L_DIGEST_SALT, SALT_SIZE, header + L_DIGEST, DIGEST_SIZE);
    out = g_byte_array_new();
    g_byte_array_set_size(out, (guint)payload);
    memset(out->data, 0, payload);
    if (!fill_slot(header, out, p, mode, passphrase, key, key_bytes, error)) {
        g_byte_array_unref(out);
        return NULL;
    }
    explicit_bzero(key, sizeof key);
    memcpy(out->data, header, sizeof header);
    return out;
}

/* The format driver. */

typedef struct {
    Luks *luks;
} LuksNode;

static int luks_probe(const uint8_t *buffer, size_t size, const char *filename)
{
    return size >= 8 && !memcmp(buffer, luks_magic, sizeof luks_magic) && load_be16(buffer + 6) == 1
               ? 100
               : 0;
}

static bool luks_node_open(BlockNode *node, GHashTable *options, GError **error)
{
    LuksNode *l = node->state;
    g_autofree char *id = options_take(options, "key-secret");
    const char *passphrase = id ? block_secret(node->graph, id, error) : NULL;

    if (id && !passphrase) {
        return false;
    }
    if (!id && !node->flags.no_io) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Parameter 'key-secret' is required for cipher");
    }
    l->luks = luks_open(node->file->node, 0, passphrase, error);
    node->request_alignment = 512;
    return l->luks != NULL;
}

static void luks_node_close(BlockNode *node)
{
    luks_free(((LuksNode *)node->state)->luks);
}

static int64_t luks_length(BlockNode *node)
{
    uint64_t offset = ((LuksNode *)node->state)->luks->payload_offset;
    uint64_t size = node_size(node->file->node);

    return size > offset ? (int64_t)(size - offset) : 0;
}

static int luks_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    Luks *luks = ((LuksNode *)node->state)->luks;
    g_autofree uint8_t *buffer = g_try_malloc(bytes);
    int result = buffer ? node_pread(node->file->node, luks->payload_offset + offset, buffer, bytes)
                        : -ENOMEM;

    if (result == 0) {
        sector_decrypt(luks->cipher, offset / 512, buffer, bytes);
        io_vector_from_buffer(vector, buffer, bytes);
    }
    return result;
}

static int luks_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                      unsigned flags)
{
    Luks *luks = ((LuksNode *)node->state)->luks;
    g_autofree uint8_t *buffer = g_try_malloc(bytes);

    if (!buffer) {
        return -ENOMEM;
    }
    io_vector_to_buffer(vector, buffer, bytes);
    sector_encrypt(luks->cipher, offset / 512, buffer, bytes);
    return node_pwrite(node->file->node, luks->payload_offset + offset, buffer, bytes, flags);
}

static bool luks_truncate(BlockNode *node, uint64_t size, Prealloc prealloc, GError **error)
{
    uint64_t offset = ((LuksNode *)node->state)->luks->payload_offset;

    return node_truncate(node->file->node, offset + size, prealloc, error);
}

static bool luks_create(BlockGraph *graph, const char *filename, GHashTable *options,
                        GError **error)
{
    g_autofree char *id = options_take(options, "key-secret"), *text = NULL;
    g_autoptr(GPtrArray) keep = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GHashTable) raw = options_new();
    const char *passphrase;
    LuksParameters parameters;
    GByteArray *header;
    uint64_t size = 0;
    BlockNode *node;
    int result;

    if (!id) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Parameter 'key-secret' is required for cipher");
    }
    passphrase = block_secret(graph, id, error);
    if (!passphrase || !options_take_size(options, "size", &size, error) ||
        !luks_take_parameters(options, "", &parameters, keep, error)) {
        return false;
    }
    header = luks_format(&parameters, passphrase, error);
    if (!header) {
        return false;
    }
    text = g_strdup_printf("%" G_GUINT64_FORMAT, size + header->len);
    options_set(raw, "size", text);
    if (!block_driver_find("raw")->create(graph, filename, raw, error)) {
        g_byte_array_unref(header);
        return false;
    }
    options_set(raw, "driver", "raw");
    g_hash_table_remove(raw, "size");
    node = node_open(graph, filename, g_hash_table_ref(raw), (BlockOpenFlags){ 0 }, error);
    result = node ? node_pwrite(node, 0, header->data, header->len, 0) : 0;
    g_byte_array_unref(header);
    if (!node) {
        return false;
    }
    node_unref(node);
    return result == 0 || error_fail_errno(error, -result, "Could not write the LUKS header");
}

static json_t *luks_specific_info(BlockNode *node)
{
    return json_pack("{s:s, s:O}", "type", "luks", "data", ((LuksNode *)node->state)->luks->info);
}

static const BlockOption luks_options[] = {
    { "key-secret", "id of the secret with the passphrase" },
    { 0 },
};

static const BlockOption luks_create_options[] = {
    { "cipher-alg", "Name of encryption cipher algorithm" },
    { "cipher-mode", "Name of encryption cipher mode" },
    { "hash-alg", "Name of encryption hash algorithm" },
    { "iter-time", "Time to spend in PBKDF in milliseconds" },
    { "ivgen-alg", "Name of IV generator algorithm" },
    { "ivgen-hash-alg", "Name of IV generator hash algorithm" },
    { "key-secret", "ID of the secret that provides the keyslot's passphrase" },
    { "size", "Virtual disk size" },
    { 0 },
};

static int luks_info(BlockNode *node, BlockNodeInfo *info)
{
    info->encrypted = true;
    return 0;
}

static const BlockDriver luks_driver = {
    .name = "luks",
    .info = luks_info,
    .summary = "Encrypted disk, LUKS version 1",
    .options = luks_options,
    .create_options = luks_create_options,
    .instance_size = sizeof(LuksNode),
    .probe = luks_probe,
    .open = luks_node_open,
    .close = luks_node_close,
    .read = luks_read,
    .write = luks_write,
    .length = luks_length,
    .truncate = luks_truncate,
    .create = luks_create,
    .specific_info = luks_specific_info,
};
BLOCK_DRIVER(luks_driver);
