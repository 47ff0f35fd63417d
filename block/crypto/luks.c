/* SPDX-License-Identifier: MIT */
/*
 * LUKS1 on-disk format 1.2.3: the header, and the format driver.
 */
#include "block/crypto/luks-keys.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>

enum { SLOT_ALIGN = 4096 };
static const uint8_t luks_magic[6] = { 'L', 'U', 'K', 'S', 0xba, 0xbe };

/* Opening. */

static void copy_name(char *out, const uint8_t *field)
{
    memcpy(out, field, 32);
    out[32] = '\0';
}

/* As QEMU names it: "twofish-192". XTS has two keys. */
static char *algorithm_name(const char *cipher, const char *mode, size_t key_bytes)
{
    return g_strdup_printf("%s-%zu", cipher, key_bytes * 8 / (g_str_has_prefix(mode, "xts-") + 1u));
}

static json_t *header_info(const Luks *luks)
{
    const uint8_t *h = luks->header;
    json_t *slots = json_array(), *info = json_object();
    g_auto(GStrv) parts = g_strsplit(luks->mode, "-", 2);
    g_autofree char *iv = g_strdup(parts[0] && parts[1] ? parts[1] : "");
    g_autofree char *cipher = algorithm_name(luks->cipher_name, luks->mode, luks->key_bytes);
    char *colon = strchr(iv, ':');
    char uuid[41] = "";

    memcpy(uuid, h + L_UUID, 40);
    if (colon) {
        *colon = '\0';
        json_object_set_new(info, "ivgen-hash-alg", json_string(colon + 1));
    }
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        const uint8_t *slot = h + L_SLOTS + i * SLOT_SIZE;
        bool active = load_be32(slot) == LUKS_SLOT_ACTIVE;
        json_t *item = json_pack("{s:b, s:I}", "active", active, "key-offset",
                                 (json_int_t)load_be32(slot + SLOT_OFFSET) * 512);

        if (active) {
            json_object_set_new(item, "iters", json_integer(load_be32(slot + SLOT_ITERATIONS)));
            json_object_set_new(item, "stripes", json_integer(load_be32(slot + SLOT_STRIPES)));
        }
        json_array_append_new(slots, item);
    }
    json_object_set_new(info, "ivgen-alg", json_string(iv));
    json_object_set_new(info, "detached-header", json_boolean(luks->detached));
    json_object_set_new(info, "hash-alg", json_string(luks->hash));
    json_object_set_new(info, "cipher-alg", json_string(cipher));
    json_object_set_new(info, "uuid", json_string(uuid));
    json_object_set_new(info, "cipher-mode", json_string(parts[0] ? parts[0] : ""));
    json_object_set_new(info, "slots", slots);
    json_object_set_new(info, "payload-offset",
                        json_integer((json_int_t)load_be32(h + L_PAYLOAD) * 512));
    json_object_set_new(info, "master-key-iters", json_integer(load_be32(h + L_DIGEST_ITERATIONS)));
    return info;
}

static SectorCipher *unlock(Luks *luks, const char *passphrase, GError **error)
{
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        int result = luks_try_slot(luks, i, passphrase, luks->key, error);

        if (result < 0) {
            return NULL;
        }
        if (result) {
            return sector_cipher_new(luks->cipher_name, luks->mode, luks->key, luks->key_bytes,
                                     error);
        }
    }
    error_fail(error, KASO_ERROR_INVALID, "Invalid password, cannot unlock any keyslot");
    return NULL;
}

void luks_refresh_info(Luks *luks)
{
    json_decref(luks->info);
    luks->info = header_info(luks);
}

static bool check_algorithms(const Luks *luks, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(luks->mode, "-", 2);
    g_autofree char *algorithm = algorithm_name(luks->cipher_name, luks->mode, luks->key_bytes);

    if (sector_cipher_key_size(algorithm, parts[0] ? parts[0] : "") != luks->key_bytes ||
        !hash_size(luks->hash) ||
        load_be32(luks->header + L_DIGEST_ITERATIONS) > LUKS_ITERATIONS_MAX) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "Unsupported LUKS cipher '%s', hash '%s' or key size %zu",
                          luks->cipher_name, luks->hash, luks->key_bytes);
    }
    return true;
}

static bool parse_header(Luks *luks, bool may_be_detached, GError **error)
{
    const uint8_t *header = luks->header;

    copy_name(luks->cipher_name, header + L_CIPHER);
    copy_name(luks->mode, header + L_MODE);
    copy_name(luks->hash, header + L_HASH);
    luks->key_bytes = load_be32(header + L_KEY_BYTES);
    luks->payload_offset = load_be32(header + L_PAYLOAD) * 512ull;
    luks->detached = may_be_detached && !luks->payload_offset;
    if (memcmp(header, luks_magic, sizeof luks_magic) || load_be16(header + L_VERSION) != 1) {
        return error_fail(error, KASO_ERROR_INVALID, "Volume is not in LUKS version 1 format");
    }
    if (luks->payload_offset < SLOT_ALIGN && !luks->detached) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "LUKS payload is overlapping with the header%s",
                          luks->payload_offset ? ""
                                               : ": a detached one, to be given as 'header' "
                                                 "beside the disk as 'file'");
    }
    return check_algorithms(luks, error);
}

/* With key material missing every passphrase would be wrong. */
static bool has_all(const Luks *luks, GError **error)
{
    uint64_t needed = LUKS_HEADER_SIZE, size = node_size(luks->file);

    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        const uint8_t *slot = luks->header + L_SLOTS + i * SLOT_SIZE;

        if (load_be32(slot) == LUKS_SLOT_ACTIVE) {
            uint64_t material = luks->key_bytes * (uint64_t)load_be32(slot + SLOT_STRIPES);

            needed = MAX(needed, load_be32(slot + SLOT_OFFSET) * UINT64_C(512) + material);
        }
    }
    needed = luks->offset + MAX(needed, luks->payload_offset);
    return needed <= align_up(size, 512) ||
           error_fail(error, KASO_ERROR_INVALID,
                      "LUKS header is cut off: it reaches to byte %" G_GUINT64_FORMAT
                      " of '%s', which ends at %" G_GUINT64_FORMAT,
                      needed, luks->file->filename, size);
}

Luks *luks_open(BlockNode *file, uint64_t offset, const char *passphrase, bool may_be_detached,
                GError **error)
{
    g_autofree Luks *luks = g_new0(Luks, 1);
    int result = node_pread(file, offset, luks->header, sizeof luks->header);

    if (result < 0) {
        error_fail_errno(error, -result, "Unable to read LUKS header");
        return NULL;
    }
    luks->file = file;
    luks->offset = offset;
    if (!parse_header(luks, may_be_detached, error) || !has_all(luks, error)) {
        return NULL;
    }
    luks_refresh_info(luks);
    if (passphrase) {
        luks->cipher = unlock(luks, passphrase, error);
        if (!luks->cipher) {
            luks_free(g_steal_pointer(&luks));
            return NULL;
        }
    }
    return g_steal_pointer(&luks);
}

void luks_free(Luks *luks)
{
    if (luks) {
        sector_cipher_free(luks->cipher);
        json_decref(luks->info);
        explicit_bzero(luks->key, sizeof luks->key);
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
    parameters->iterate_ms = LUKS_ITERATE_MS;
    return options_take_number(options, time_key, &parameters->iterate_ms, error);
}

/* How the header names the mode: "xts-plain64". The caller frees. */
static char *mode_name(const LuksParameters *p)
{
    return !strcmp(p->iv, "essiv")
               ? g_strdup_printf("%s-%s:%s", p->mode, p->iv, p->iv_hash ? p->iv_hash : "sha256")
               : g_strdup_printf("%s-%s", p->mode, p->iv);
}

static size_t slot_area(size_t key_bytes)
{
    return align_up(key_bytes * LUKS_STRIPES, SLOT_ALIGN);
}

uint64_t luks_header_size(const LuksParameters *p, size_t *key_bytes, GError **error)
{
    *key_bytes = sector_cipher_key_size(p->cipher, p->mode);
    if (!*key_bytes || !hash_size(p->hash)) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "Unsupported cipher '%s' or hash '%s'", p->cipher,
                   p->hash);
        return 0;
    }
    return SLOT_ALIGN + LUKS_SLOTS * slot_area(*key_bytes);
}

static void lay_out(uint8_t *header, const LuksParameters *p, const char *cipher, const char *mode,
                    size_t key_bytes, uint64_t payload)
{
    g_autofree char *uuid = g_uuid_string_random();

    memcpy(header, luks_magic, sizeof luks_magic);
    store_be16(header + L_VERSION, 1);
    g_strlcpy((char *)header + L_CIPHER, cipher, 32);
    g_strlcpy((char *)header + L_MODE, mode, 32);
    g_strlcpy((char *)header + L_HASH, p->hash, 32);
    store_be32(header + L_PAYLOAD, p->detached ? 0 : (uint32_t)(payload / 512));
    store_be32(header + L_KEY_BYTES, (uint32_t)key_bytes);
    g_strlcpy((char *)header + L_UUID, uuid, 40);
    for (unsigned i = 0; i < LUKS_SLOTS; i++) {
        uint8_t *slot = luks_slot(header, i);

        store_be32(slot, LUKS_SLOT_INACTIVE);
        store_be32(slot + SLOT_OFFSET, (uint32_t)((SLOT_ALIGN + i * slot_area(key_bytes)) / 512));
        store_be32(slot + SLOT_STRIPES, LUKS_STRIPES);
    }
}

GByteArray *luks_format(const LuksParameters *p, const char *passphrase, GError **error)
{
    g_autofree char *mode = mode_name(p);
    g_autofree char *cipher = g_strndup(p->cipher, strcspn(p->cipher, "-"));
    g_autofree uint8_t *material = NULL;
    uint8_t header[LUKS_HEADER_SIZE] = { 0 }, key[LUKS_KEY_BYTES_MAX];
    size_t key_bytes;
    uint64_t payload = luks_header_size(p, &key_bytes, error);
    GByteArray *out;

    if (!payload) {
        return NULL;
    }
    lay_out(header, p, cipher, mode, key_bytes, payload);
    if (!luks_random(key, key_bytes, error) ||
        !luks_random(header + L_DIGEST_SALT, LUKS_SALT_SIZE, error)) {
        return NULL;
    }
    store_be32(header + L_DIGEST_ITERATIONS, luks_iterations_for(p->hash, p->iterate_ms / 8, 20));
    hash_pbkdf2(p->hash, (const char *)key, key_bytes, load_be32(header + L_DIGEST_ITERATIONS),
                header + L_DIGEST_SALT, LUKS_SALT_SIZE, header + L_DIGEST, LUKS_DIGEST_SIZE);
    material = luks_make_key_material(luks_slot(header, 0), cipher, mode, p->hash, p->iterate_ms,
                                      passphrase, key, key_bytes, error);
    explicit_bzero(key, sizeof key);
    if (!material) {
        return NULL;
    }
    store_be32(luks_slot(header, 0), LUKS_SLOT_ACTIVE);
    out = g_byte_array_new();
    g_byte_array_set_size(out, (guint)payload);
    memset(out->data, 0, payload);
    memcpy(out->data, header, sizeof header);
    memcpy(out->data + SLOT_ALIGN, material, luks_material_size(key_bytes));
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

/* The node that the header is in: a file of its own, or the image. NULL with an error. */
static BlockNode *open_header(BlockNode *node, GHashTable *options, GError **error)
{
    BlockChild *header;

    if (!options_get(options, "header") && !options_has_nested(options, "header")) {
        return node->file->node;
    }
    header = node_open_bytes(node, "header", BLOCK_ROLE_METADATA, NULL, options, error);
    return header ? header->node : NULL;
}

static bool luks_node_open(BlockNode *node, GHashTable *options, GError **error)
{
    LuksNode *l = node->state;
    g_autofree char *id = options_take(options, "key-secret");
    const char *passphrase = id ? block_secret(node->graph, id, error) : NULL;
    BlockNode *header = NULL;

    if (id && !passphrase) {
        return false;
    }
    if (!id && !node->flags.no_io) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Parameter 'key-secret' is required for cipher");
    }
    node->request_alignment = 512;
    header = open_header(node, options, error);
    l->luks = header ? luks_open(header, 0, passphrase, header != node->file->node, error) : NULL;
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

/* What a new image is to be. */
typedef struct {
    LuksParameters parameters;
    GPtrArray *keep;  /* the parameters' strings */
    GHashTable *file; /* options of the file below */
    char *secret,
        *payload; /* payload: the node of a detached header's disk; NULL: there is none yet */
    const char *passphrase;
    uint64_t size;
    int preallocation;
} LuksCreation;

static void luks_creation_clear(LuksCreation *c)
{
    g_ptr_array_unref(c->keep);
    g_hash_table_unref(c->file);
    g_free(c->secret);
    g_free(c->payload);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LuksCreation, luks_creation_clear)

static bool take_creation(BlockGraph *graph, GHashTable *options, LuksCreation *c, GError **error)
{
    static const char *const of_file[] = { "extent_size_hint", "nocow", NULL };

    c->keep = g_ptr_array_new_with_free_func(g_free);
    c->file = options_new();
    c->secret = options_take(options, "key-secret");
    c->payload = options_take(options, "data_file_node");
    if (!c->secret) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Parameter 'key-secret' is required for cipher");
    }
    c->passphrase = block_secret(graph, c->secret, error);
    if (!c->passphrase || !options_take_size(options, "size", &c->size, error) ||
        !options_take_bool(options, "detached-header", &c->parameters.detached, error) ||
        !options_take_enum(options, "preallocation", prealloc_names, &c->preallocation, error) ||
        !luks_take_parameters(options, "", &c->parameters, c->keep, error)) {
        return false;
    }
    if (c->preallocation == PREALLOC_METADATA) { /* which this format has none of */
        c->preallocation = PREALLOC_OFF;
    }
    for (const char *const *name = of_file; *name; name++) {
        g_autofree char *value = options_take(options, *name);

        if (value) {
            options_set(c->file, *name, value);
        }
    }
    return true;
}

/* Makes the file, of which the header is the beginning. */
static bool write_image(BlockGraph *graph, const char *filename, LuksCreation *c,
                        const GByteArray *header, GError **error)
{
    uint64_t size = header->len + (c->parameters.detached ? 0 : c->size);
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, size);
    GHashTable *raw = options_new();
    BlockNode *node = NULL;
    int result;

    options_set(c->file, "size", text);
    if (!c->payload) {
        options_set(c->file, "preallocation", prealloc_names[c->preallocation]);
    }
    options_set(raw, "driver", "raw");
    if (block_driver_find("raw")->create(graph, filename, c->file, error)) {
        node = node_open(graph, filename, g_hash_table_ref(raw), (BlockOpenFlags){ 0 }, error);
    }
    g_hash_table_unref(raw);
    if (!node) {
        return false;
    }
    result = node_pwrite(node, 0, header->data, header->len, 0);
    node_unref(node);
    return result == 0 || error_fail_errno(error, -result, "Could not write the LUKS header");
}

/* The node of a detached header's disk gets the disk's size; its content stays. */
static bool size_payload(BlockGraph *graph, const LuksCreation *c, GError **error)
{
    BlockNode *node = c->payload ? node_find(graph, c->payload) : NULL;

    return !node || node_truncate(node, c->size, (Prealloc)c->preallocation, error);
}

static bool luks_create(BlockGraph *graph, const char *filename, GHashTable *options,
                        GError **error)
{
    g_auto(LuksCreation) c = { 0 };
    GByteArray *header;
    bool done;

    if (!take_creation(graph, options, &c, error)) {
        return false;
    }
    header = luks_format(&c.parameters, c.passphrase, error);
    if (!header) {
        return false;
    }
    done = size_payload(graph, &c, error) && write_image(graph, filename, &c, header, error);
    g_byte_array_unref(header);
    return done;
}

static bool luks_measure(BlockGraph *graph, GHashTable *options, BlockNode *source,
                         uint64_t *required, uint64_t *fully, uint64_t *bitmaps, GError **error)
{
    g_autofree char *id = options_take(options, "key-secret");
    g_autoptr(GPtrArray) keep = g_ptr_array_new_with_free_func(g_free);
    LuksParameters parameters = { 0 };
    uint64_t size = source ? node_size(source) : 0, header;
    size_t key_bytes;

    if (!id) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Parameter 'key-secret' is required for cipher");
    }
    if (!block_secret(graph, id, error) ||
        !luks_take_parameters(options, "", &parameters, keep, error) ||
        !options_take_bool(options, "detached-header", &parameters.detached, error) ||
        (!source && !options_take_size(options, "size", &size, error))) {
        return false;
    }
    header = luks_header_size(&parameters, &key_bytes, error);
    *required = *fully = header + (parameters.detached ? 0 : size);
    return header != 0;
}

static bool luks_node_amend(BlockNode *node, GHashTable *options, bool force,
                            void (*progress)(void *, double), void *opaque, GError **error)
{
    Luks *luks = ((LuksNode *)node->state)->luks;
    uint64_t limit = luks->detached ? node_size(luks->file) : luks->payload_offset;
    LuksAmendment amendment;

    return luks_take_amendment(node->graph, options, "", &amendment, error) &&
           block_check_amend_leftover(node->driver, options, error) &&
           (!amendment.given || luks_amend(luks, &amendment, limit, force, error));
}

static json_t *luks_specific_info(BlockNode *node)
{
    return json_pack("{s:s, s:O}", "type", "luks", "data", ((LuksNode *)node->state)->luks->info);
}

static const BlockOption luks_options[] = {
    { "header", "node or options of a header that lies in a file of its own" },
    { "key-secret", "id of the secret with the passphrase" },
    { 0 },
};

static const BlockOption luks_create_options[] = {
    { "cipher-alg", "Name of encryption cipher algorithm" },
    { "cipher-mode", "Name of encryption cipher mode" },
    { "detached-header", "Make a file of the header alone, for a disk elsewhere" },
    { "extent_size_hint", "How much of the file the host should allocate at once; 0: as it does" },
    { "hash-alg", "Name of encryption hash algorithm" },
    { "iter-time", "Time to spend in PBKDF in milliseconds" },
    { "ivgen-alg", "Name of IV generator algorithm" },
    { "ivgen-hash-alg", "Name of IV generator hash algorithm" },
    { "key-secret", "ID of the secret that provides the keyslot's passphrase" },
    { "nocow", "Turn off copy-on-write (valid only on btrfs)" },
    { "preallocation", "Preallocation mode (allowed values: off, metadata, falloc, full)" },
    { "size", "Virtual disk size" },
    { 0 },
};

static const BlockOption luks_amend_options[] = {
    { "iter-time", "Time to spend in PBKDF in milliseconds" },
    { "keyslot", "The key slot to change; without it the first free one, or those of old-secret" },
    { "new-secret", "ID of the secret that becomes a passphrase" },
    { "old-secret", "ID of the secret whose key slots are erased" },
    { "state", "active adds a passphrase, inactive erases key slots" },
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
    .amend_options = luks_amend_options,
    .instance_size = sizeof(LuksNode),
    .probe = luks_probe,
    .open = luks_node_open,
    .close = luks_node_close,
    .read = luks_read,
    .write = luks_write,
    .length = luks_length,
    .truncate = luks_truncate,
    .create = luks_create,
    .amend = luks_node_amend,
    .measure = luks_measure,
    .specific_info = luks_specific_info,
};
BLOCK_DRIVER(luks_driver);
