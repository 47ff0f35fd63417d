/* SPDX-License-Identifier: MIT */
/* qcow2: encryption of guest data, on worker threads. */
#include "block/qcow2/crypt.h"

#include "base/error.h"

#include <string.h>

enum { SECTOR_BITS = 9, WORKER_MIN = 32 * 1024 };

struct Qcow2Crypt {
    SectorCipher *cipher; /* for LUKS: luks->cipher */
    Luks *luks;
    bool by_guest_offset;
};

typedef struct {
    Qcow2Crypt *crypt;
    bool encrypt;
    uint64_t sector;
    void *data;
    size_t size;
} CryptCall;

static int crypt_worker(void *opaque)
{
    CryptCall *call = opaque;

    (call->encrypt ? sector_encrypt : sector_decrypt)(call->crypt->cipher, call->sector, call->data,
                                                      call->size);
    return 0;
}

static int crypt_run(Qcow2Crypt *crypt, bool encrypt, uint64_t guest, uint64_t host, void *data,
                     size_t size)
{
    uint64_t offset = crypt->by_guest_offset ? guest : host;
    CryptCall call = { crypt, encrypt, offset >> SECTOR_BITS, data, size };

    return size < WORKER_MIN ? crypt_worker(&call) : worker_compute(crypt_worker, &call);
}

int qcow2_encrypt(Qcow2Crypt *crypt, uint64_t guest, uint64_t host, void *data, size_t size)
{
    return crypt_run(crypt, true, guest, host, data, size);
}

int qcow2_decrypt(Qcow2Crypt *crypt, uint64_t guest, uint64_t host, void *data, size_t size)
{
    return crypt_run(crypt, false, guest, host, data, size);
}

bool qcow2_crypt_open(Qcow2 *q, GHashTable *options, GError **error)
{
    static const char *const names[] = { NULL, "aes", "luks" };
    g_autofree char *format = options_take(options, "encrypt.format");
    g_autofree char *id = options_take(options, "encrypt.key-secret");
    const char *passphrase = NULL;

    if (format && g_strcmp0(format, names[q->crypt_method])) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Header reported '%s' encryption format but options specify '%s'",
                          names[q->crypt_method] ? names[q->crypt_method] : "none", format);
    }
    if (q->crypt_method == QCOW2_CRYPT_NONE) {
        return !id || error_fail(error, KASO_ERROR_INVALID,
                                 "No encryption in image header, but options specified a secret");
    }
    if (q->crypt_method == QCOW2_CRYPT_LUKS && !q->crypt_header_offset) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "LUKS encryption is missing the CRYPTO header extension");
    }
    if (id) {
        passphrase = block_secret(q->node->graph, id, error);
        if (!passphrase) {
            return false;
        }
    } else if (!q->node->flags.no_io && !q->node->flags.check) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Parameter 'encrypt.key-secret' is required for cipher");
    }
    q->crypt = g_new0(Qcow2Crypt, 1);
    q->crypt->by_guest_offset = q->crypt_method == QCOW2_CRYPT_AES;
    q->node->request_alignment = 1u << SECTOR_BITS;
    if (q->crypt_method == QCOW2_CRYPT_AES) {
        q->crypt->cipher = passphrase ? sector_cipher_new_legacy(passphrase, error) : NULL;
    } else {
        q->crypt->luks =
            luks_open(q->node->file->node, q->crypt_header_offset, passphrase, false, error);
        q->crypt->cipher = q->crypt->luks ? q->crypt->luks->cipher : NULL;
        if (!q->crypt->luks) {
            return false;
        }
    }
    return q->crypt->cipher || !passphrase;
}

void qcow2_crypt_close(Qcow2 *q)
{
    if (q->crypt) {
        if (q->crypt->luks) {
            luks_free(q->crypt->luks);
        } else {
            sector_cipher_free(q->crypt->cipher);
        }
        g_free(q->crypt);
        q->crypt = NULL;
    }
}

json_t *qcow2_crypt_info(Qcow2 *q)
{
    json_t *info;

    if (q->crypt_method == QCOW2_CRYPT_AES) {
        return json_pack("{s:s}", "format", "aes");
    }
    if (!q->crypt || !q->crypt->luks) {
        return NULL;
    }
    info = json_copy(q->crypt->luks->info);
    json_object_set_new(info, "format", json_string("luks"));
    return info;
}

/* What create's options say: the method, and for LUKS the passphrase, which must be there. */
typedef struct {
    uint32_t method;
    char *secret;
    const char *passphrase;
    LuksParameters luks;
    GPtrArray *keep;
} CryptOptions;

static void crypt_options_clear(CryptOptions *o)
{
    g_free(o->secret);
    g_ptr_array_unref(o->keep);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CryptOptions, crypt_options_clear)

static bool take_crypt_options(BlockGraph *graph, GHashTable *options, bool measure,
                               CryptOptions *o, GError **error)
{
    g_autofree char *format = options_take(options, "encrypt.format");
    bool legacy = false;

    o->keep = g_ptr_array_new_with_free_func(g_free);
    o->secret = options_take(options, "encrypt.key-secret");
    if (!options_take_bool(options, "encryption", &legacy, error) ||
        !luks_take_parameters(options, "encrypt.", &o->luks, o->keep, error)) {
        return false;
    }
    if (!format && !legacy) {
        return true;
    }
    o->method = legacy || !strcmp(format, "aes") ? QCOW2_CRYPT_AES : QCOW2_CRYPT_LUKS;
    if (format && o->method == QCOW2_CRYPT_LUKS && strcmp(format, "luks")) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Unknown encryption format '%s': choose luks or aes", format);
    }
    if (measure && o->method == QCOW2_CRYPT_AES) {
        return true;
    }
    if (!o->secret) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Parameter 'encrypt.key-secret' is required for cipher");
    }
    o->passphrase = block_secret(graph, o->secret, error);
    return o->passphrase != NULL;
}

bool qcow2_crypt_prepare(BlockGraph *graph, GHashTable *options, Qcow2CryptCreate *create,
                         GError **error)
{
    g_auto(CryptOptions) o = { 0 };

    if (!take_crypt_options(graph, options, false, &o, error)) {
        return false;
    }
    create->method = o.method;
    if (o.method == QCOW2_CRYPT_NONE) {
        return true;
    }
    create->secret = g_steal_pointer(&o.secret);
    if (o.method == QCOW2_CRYPT_LUKS) {
        create->header = luks_format(&o.luks, o.passphrase, error);
        return create->header != NULL;
    }
    return true;
}

bool qcow2_crypt_measure(BlockGraph *graph, GHashTable *options, uint64_t *bytes, GError **error)
{
    g_auto(CryptOptions) o = { 0 };
    size_t key_bytes;

    *bytes = 0;
    if (!take_crypt_options(graph, options, true, &o, error)) {
        return false;
    }
    if (o.method == QCOW2_CRYPT_LUKS) {
        *bytes = luks_header_size(&o.luks, &key_bytes, error);
    }
    return *bytes || o.method != QCOW2_CRYPT_LUKS;
}

int qcow2_crypt_store(Qcow2 *q, const GByteArray *header)
{
    int64_t offset;
    int result;

    coroutine_mutex_lock(&q->lock);
    offset = qcow2_alloc(q, header->len);
    result = offset < 0
                 ? (int)offset
                 : node_pwrite(q->node->file->node, (uint64_t)offset, header->data, header->len, 0);
    if (result == 0) {
        result = qcow2_sync(q);
    }
    if (result == 0) {
        q->crypt_method = QCOW2_CRYPT_LUKS;
        q->crypt_header_offset = (uint64_t)offset;
        q->crypt_header_length = header->len;
        result = qcow2_write_header(q);
    }
    coroutine_mutex_unlock(&q->lock);
    return result;
}

bool qcow2_crypt_take_amendment(Qcow2 *q, GHashTable *options, LuksAmendment *amendment,
                                GError **error)
{
    if (!luks_take_amendment(q->node->graph, options, "encrypt.", amendment, error)) {
        return false;
    }
    if (amendment->given && q->crypt_method != QCOW2_CRYPT_LUKS) {
        return error_fail(error, KASO_ERROR_INVALID,
                          q->crypt_method == QCOW2_CRYPT_AES
                              ? "Legacy AES encryption has no key slots: convert the image to "
                                "encrypt.format=luks to change its passphrase"
                              : "The image is not encrypted: convert it to encrypt.format=luks to "
                                "give it passphrases");
    }
    return true;
}

/* Key slots lie in clusters that are the header's already: no other metadata changes. */
bool qcow2_crypt_amend(Qcow2 *q, const LuksAmendment *amendment, bool force, GError **error)
{
    int result;
    bool done;

    coroutine_mutex_lock(&q->lock);
    result = qcow2_may_write(q);
    done = result < 0 ? error_fail_errno(error, -result, "Could not change keys")
                      : luks_amend(q->crypt->luks, amendment, q->crypt_header_length, force, error);
    coroutine_mutex_unlock(&q->lock);
    return done;
}
