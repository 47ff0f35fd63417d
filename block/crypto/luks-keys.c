/* SPDX-License-Identifier: MIT */
/* LUKS1 on-disk format 1.2.3: key slots with anti-forensic splitting; adding and erasing them. */
#include "block/crypto/luks-keys.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

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

bool luks_random(void *buffer, size_t size, GError **error)
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

    if (!luks_random(stripes, (LUKS_STRIPES - 1) * size, error)) {
        return false;
    }
    for (size_t i = 0; i + 1 < LUKS_STRIPES; i++) {
        for (size_t j = 0; j < size; j++) {
            sum[j] ^= stripes[i * size + j];
        }
        diffuse(hash, sum, size);
    }
    for (size_t j = 0; j < size; j++) {
        stripes[(LUKS_STRIPES - 1) * size + j] = sum[j] ^ key[j];
    }
    return true;
}

/* Unlocking. */

typedef struct {
    Luks *luks;
    const uint8_t *slot;
    const char *passphrase;
    uint8_t *key;
} Unlock;

/* The slow part, on a worker: the key of the slot's material. */
static int derive_key(void *opaque)
{
    Unlock *u = opaque;

    return hash_pbkdf2(u->luks->hash, u->passphrase, strlen(u->passphrase),
                       load_be32(u->slot + SLOT_ITERATIONS), u->slot + SLOT_SALT, LUKS_SALT_SIZE,
                       u->key, u->luks->key_bytes)
               ? 0
               : -EINVAL;
}

static int verify_key(void *opaque)
{
    Unlock *u = opaque;
    const uint8_t *header = u->luks->header;
    uint8_t digest[LUKS_DIGEST_SIZE];

    hash_pbkdf2(u->luks->hash, (const char *)u->key, u->luks->key_bytes,
                load_be32(header + L_DIGEST_ITERATIONS), header + L_DIGEST_SALT, LUKS_SALT_SIZE,
                digest, LUKS_DIGEST_SIZE);
    return memcmp(digest, header + L_DIGEST, LUKS_DIGEST_SIZE) == 0;
}

int luks_try_slot(Luks *luks, unsigned i, const char *passphrase, uint8_t *key, GError **error)
{
    const uint8_t *slot = luks_slot(luks->header, i);
    uint32_t stripes = load_be32(slot + SLOT_STRIPES);
    size_t size = luks->key_bytes * stripes, padded = align_up(size, 512);
    Unlock u = { luks, slot, passphrase, key };
    g_autofree uint8_t *material = NULL;
    SectorCipher *cipher;
    int result;

    if (load_be32(slot) != LUKS_SLOT_ACTIVE || !stripes || stripes > LUKS_STRIPES ||
        load_be32(slot + SLOT_ITERATIONS) > LUKS_ITERATIONS_MAX) {
        return 0;
    }
    material = g_malloc0(padded);
    result = worker_call(derive_key, &u);
    if (result == 0) {
        result =
            node_pread(luks->file, luks->offset + load_be32(slot + SLOT_OFFSET) * UINT64_C(512),
                       material, padded);
    }
    if (result < 0) {
        error_fail_errno(error, -result, "Could not read key slot %u", i);
        return result;
    }
    cipher = sector_cipher_new(luks->cipher_name, luks->mode, key, luks->key_bytes, error);
    if (!cipher) {
        return -EINVAL;
    }
    sector_decrypt(cipher, 0, material, padded);
    sector_cipher_free(cipher);
    af_merge(luks->hash, material, stripes, luks->key_bytes, key);
    explicit_bzero(material, padded);
    return worker_call(verify_key, &u);
}

/* Making. */

unsigned luks_iterations_for(const char *hash, uint64_t ms, size_t key_bytes)
{
    enum { PROBE = 20000, MIN_ITERATIONS = 1000 };
    uint8_t salt[LUKS_SALT_SIZE] = { 0 }, key[LUKS_KEY_BYTES_MAX];
    int64_t start = g_get_monotonic_time(), took;

    hash_pbkdf2(hash, "probe", 5, PROBE, salt, sizeof salt, key, key_bytes);
    took = MAX(g_get_monotonic_time() - start, 1);
    return (unsigned)CLAMP((double)PROBE * 1000 * (double)ms / (double)took, MIN_ITERATIONS,
                           LUKS_ITERATIONS_MAX);
}

uint8_t *luks_make_key_material(uint8_t *slot, const char *cipher_name, const char *mode,
                                const char *hash, uint64_t iterate_ms, const char *passphrase,
                                const uint8_t *key, size_t key_bytes, GError **error)
{
    size_t size = luks_material_size(key_bytes);
    g_autofree uint8_t *stripes = g_malloc0(size);
    uint8_t derived[LUKS_KEY_BYTES_MAX];
    SectorCipher *cipher;

    store_be32(slot + SLOT_ITERATIONS, luks_iterations_for(hash, iterate_ms, key_bytes));
    if (!luks_random(slot + SLOT_SALT, LUKS_SALT_SIZE, error) ||
        !af_split(hash, key, key_bytes, stripes, error)) {
        return NULL;
    }
    hash_pbkdf2(hash, passphrase, strlen(passphrase), load_be32(slot + SLOT_ITERATIONS),
                slot + SLOT_SALT, LUKS_SALT_SIZE, derived, key_bytes);
    cipher = sector_cipher_new(cipher_name, mode, derived, key_bytes, error);
    explicit_bzero(derived, sizeof derived);
    if (!cipher) {
        return NULL;
    }
    sector_encrypt(cipher, 0, stripes, size);
    sector_cipher_free(cipher);
    return g_steal_pointer(&stripes);
}

/* Changing. */

static bool fail(GError **error, const char *message)
{
    return error_fail(error, KASO_ERROR_INVALID, "%s", message);
}

static bool take_secret(BlockGraph *graph, GHashTable *options, const char *prefix,
                        const char *name, const char **passphrase, bool *given, GError **error)
{
    g_autofree char *key = g_strconcat(prefix, name, NULL), *id = options_take(options, key);

    *passphrase = id ? block_secret(graph, id, error) : NULL;
    *given |= id != NULL;
    return *passphrase || !id;
}

static bool check_amendment(const LuksAmendment *a, int state, bool has_time, GError **error)
{
    if (state < 0) {
        return fail(error, "Parameter 'state' is missing: active adds a key, inactive erases keys");
    }
    if (a->slot >= LUKS_SLOTS) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "There is no keyslot %d: give a number between 0 and %d", a->slot,
                          LUKS_SLOTS - 1);
    }
    if (a->activate && a->old_passphrase) {
        return fail(error, "'old-secret' chooses keys to erase (state=inactive); to add one, name "
                           "a slot with 'keyslot' or leave it out for the first free one");
    }
    if (a->activate && !a->new_passphrase) {
        return fail(error, "'new-secret' is required with state=active: the id of a secret with "
                           "the new passphrase");
    }
    if (!a->activate && a->new_passphrase) {
        return fail(error, "'new-secret' has no place with state=inactive, which erases keys");
    }
    if (!a->activate && has_time) {
        return fail(error, "'iter-time' has no place with state=inactive, which erases keys");
    }
    if (!a->activate && a->slot < 0 && !a->old_passphrase) {
        return fail(error, "Which key to erase? Give 'keyslot', or 'old-secret' with the "
                           "passphrase that the slots hold now");
    }
    return true;
}

bool luks_take_amendment(BlockGraph *graph, GHashTable *options, const char *prefix,
                         LuksAmendment *a, GError **error)
{
    static const char *const states[] = { "inactive", "active", NULL };
    g_autofree char *state_key = g_strconcat(prefix, "state", NULL);
    g_autofree char *slot_key = g_strconcat(prefix, "keyslot", NULL);
    g_autofree char *time_key = g_strconcat(prefix, "iter-time", NULL);
    bool has_time = options_get(options, time_key) != NULL;
    bool has_slot = options_get(options, slot_key) != NULL;
    uint64_t slot = 0;
    int state = -1;

    *a = (LuksAmendment){ .slot = -1, .iterate_ms = LUKS_ITERATE_MS };
    if (!options_take_enum(options, state_key, states, &state, error) ||
        !options_take_number(options, slot_key, &slot, error) ||
        !options_take_number(options, time_key, &a->iterate_ms, error) ||
        !take_secret(graph, options, prefix, "new-secret", &a->new_passphrase, &a->given, error) ||
        !take_secret(graph, options, prefix, "old-secret", &a->old_passphrase, &a->given, error)) {
        return false;
    }
    a->given |= state >= 0 || has_slot || has_time;
    a->activate = state == 1;
    if (has_slot) {
        a->slot = (int)MIN(slot, (uint64_t)G_MAXINT);
    }
    return !a->given || check_amendment(a, state, has_time, error);
}

static bool is_active(Luks *luks, unsigned i)
{
    return load_be32(luks_slot(luks->header, i)) == LUKS_SLOT_ACTIVE;
}

/* The key material of a slot, in bytes from the header's start. */
static uint64_t material_start(Luks *luks, unsigned i)
{
    return load_be32(luks_slot(luks->header, i) + SLOT_OFFSET) * UINT64_C(512);
}

/* Nothing but its own key material is written for a slot, whatever the header says. */
static bool check_layout(Luks *luks, uint64_t limit, GError **error)
{
    uint64_t size = luks_material_size(luks->key_bytes);

    limit = luks->detached ? limit : MIN(limit, luks->payload_offset);
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        uint64_t start = material_start(luks, i);

        if (load_be32(luks_slot(luks->header, i) + SLOT_STRIPES) != LUKS_STRIPES ||
            start < LUKS_HEADER_SIZE || start + size > limit) {
            return error_fail(
                error, KASO_ERROR_INVALID,
                "The header is damaged: keyslot %u has %u stripes at %" G_GUINT64_FORMAT
                ", which do not fit in; no key is changed",
                i, load_be32(luks_slot(luks->header, i) + SLOT_STRIPES), start);
        }
        for (unsigned j = 0; j < i; j++) {
            uint64_t other = material_start(luks, j);

            if (start < other + size && other < start + size) {
                return error_fail(error, KASO_ERROR_INVALID,
                                  "The header is damaged: keyslots %u and %u overlap; no key is "
                                  "changed",
                                  j, i);
            }
        }
    }
    return true;
}

/* Part of the slot's entry in the header, durably. */
static int store_slot(Luks *luks, unsigned i, unsigned at, unsigned size)
{
    uint64_t start = L_SLOTS + i * SLOT_SIZE + at;
    int result = node_pwrite(luks->file, luks->offset + start, luks->header + start, size, 0);

    return result < 0 ? result : node_flush(luks->file);
}

/* Nobody opens the slot any more; what was in it is overwritten after that is durable. */
static bool erase_slot(Luks *luks, unsigned i, GError **error)
{
    uint64_t size = luks_material_size(luks->key_bytes);
    g_autofree uint8_t *noise = g_malloc(size);
    uint8_t *slot = luks_slot(luks->header, i);
    int result;

    if (!luks_random(noise, size, error)) {
        return false;
    }
    store_be32(slot, LUKS_SLOT_INACTIVE);
    memset(slot + SLOT_ITERATIONS, 0, SLOT_OFFSET - SLOT_ITERATIONS);
    result = store_slot(luks, i, 0, SLOT_SIZE);
    if (result == 0) {
        result = node_pwrite(luks->file, luks->offset + material_start(luks, i), noise, size, 0);
    }
    if (result == 0) {
        result = node_flush(luks->file);
    }
    return result == 0 || error_fail_errno(error, -result, "Could not erase keyslot %u", i);
}

/*
 * Material, iterations and salt are durable before the word that makes the slot active, which is
 * alone in its sector with what is there already.
 */
static bool fill_slot(Luks *luks, unsigned i, const uint8_t *made, const uint8_t *material,
                      GError **error)
{
    uint8_t *slot = luks_slot(luks->header, i);
    int result = node_pwrite(luks->file, luks->offset + material_start(luks, i), material,
                             luks_material_size(luks->key_bytes), 0);

    if (result == 0) {
        memcpy(slot + SLOT_ITERATIONS, made + SLOT_ITERATIONS, SLOT_OFFSET - SLOT_ITERATIONS);
        result = store_slot(luks, i, SLOT_ITERATIONS, SLOT_OFFSET - SLOT_ITERATIONS);
    }
    if (result == 0) {
        store_be32(slot, LUKS_SLOT_ACTIVE);
        result = store_slot(luks, i, 0, SLOT_ITERATIONS);
    }
    return result == 0 || error_fail_errno(error, -result, "Could not fill keyslot %u", i);
}

static int free_slot(Luks *luks)
{
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        if (!is_active(luks, i)) {
            return (int)i;
        }
    }
    return -1;
}

/* Into a slot that is in use the key goes by way of a free one, so that it always opens one. */
static bool add_key(Luks *luks, const LuksAmendment *a, bool force, GError **error)
{
    int spare = free_slot(luks), target = a->slot < 0 ? spare : a->slot;
    bool replace = target >= 0 && is_active(luks, (unsigned)target);
    uint8_t made[SLOT_SIZE];
    g_autofree uint8_t *material = NULL;
    bool done;

    if (target < 0) {
        return fail(error, "All keyslots are in use: erase one first (state=inactive), or name "
                           "the one to overwrite with 'keyslot' and --force");
    }
    if (replace && !force) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Keyslot %d is in use: erase it first (state=inactive,keyslot=%d), or "
                          "overwrite it with --force",
                          target, target);
    }
    material =
        luks_make_key_material(made, luks->cipher_name, luks->mode, luks->hash, a->iterate_ms,
                               a->new_passphrase, luks->key, luks->key_bytes, error);
    done = material != NULL;
    if (done && replace && spare >= 0) {
        done = fill_slot(luks, (unsigned)spare, made, material, error);
    }
    if (done && replace) {
        done = erase_slot(luks, (unsigned)target, error);
    }
    done = done && fill_slot(luks, (unsigned)target, made, material, error);
    if (done && replace && spare >= 0) {
        done = erase_slot(luks, (unsigned)spare, error);
    }
    return done;
}

/* A bit for each active slot that the passphrase opens. */
static int matching_slots(Luks *luks, const char *passphrase, unsigned *found, GError **error)
{
    uint8_t key[LUKS_KEY_BYTES_MAX];
    int result = 0;

    *found = 0;
    for (unsigned i = 0; i < LUKS_SLOTS && result >= 0; i++) {
        result = luks_try_slot(luks, i, passphrase, key, error);
        *found |= (result > 0 ? 1u : 0u) << i;
    }
    explicit_bzero(key, sizeof key);
    return MIN(result, 0);
}

static bool choose_erased(Luks *luks, const LuksAmendment *a, bool force, unsigned *chosen,
                          GError **error)
{
    unsigned active = 0;

    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        active |= (unsigned)is_active(luks, i) << i;
    }
    *chosen = active;
    if (a->old_passphrase && matching_slots(luks, a->old_passphrase, chosen, error) < 0) {
        return false;
    }
    if (a->slot >= 0) {
        if (!force && !(active & 1u << a->slot)) {
            return error_fail(error, KASO_ERROR_INVALID, "Keyslot %d is erased already (inactive)",
                              a->slot);
        }
        if (a->old_passphrase && !(*chosen & 1u << a->slot)) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "The passphrase of 'old-secret' does not open keyslot %d: give that "
                              "of this slot, or leave 'old-secret' out",
                              a->slot);
        }
        *chosen = 1u << a->slot;
    }
    if (!*chosen) {
        return fail(error, "The passphrase of 'old-secret' opens no keyslot: nothing to erase");
    }
    if (!force && !(active & ~*chosen)) {
        return fail(error, "These are the last active keyslots: without them nobody could ever "
                           "read the image again. Add another key first (state=active), or insist "
                           "with --force");
    }
    return true;
}

static bool erase_keys(Luks *luks, const LuksAmendment *a, bool force, GError **error)
{
    unsigned chosen;

    if (!choose_erased(luks, a, force, &chosen, error)) {
        return false;
    }
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        if (chosen & 1u << i && !erase_slot(luks, i, error)) {
            return false;
        }
    }
    return true;
}

bool luks_amend(Luks *luks, const LuksAmendment *a, uint64_t limit, bool force, GError **error)
{
    bool done = check_layout(luks, limit, error) &&
                (a->activate ? add_key : erase_keys)(luks, a, force, error);

    luks_refresh_info(luks);
    return done;
}
