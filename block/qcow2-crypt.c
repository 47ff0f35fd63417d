/* SPDX-License-Identifier: MIT */
/* qcow2: encryption of guest data, on worker threads. */
#include "block/qcow2-crypt.h"

#include "block/async.h"
#include "block/cipher.h"

#include <stdbool.h>

enum { SECTOR_BITS = 9, WORKER_MIN = 32 * 1024 };

struct Qcow2Crypt {
    SectorCipher *cipher;
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

    return size < WORKER_MIN ? crypt_worker(&call) : worker_call(crypt_worker, &call);
}

int qcow2_encrypt(Qcow2Crypt *crypt, uint64_t guest, uint64_t host, void *data, size_t size)
{
    return crypt_run(crypt, true, guest, host, data, size);
}

int qcow2_decrypt(Qcow2Crypt *crypt, uint64_t guest, uint64_t host, void *data, size_t size)
{
    return crypt_run(crypt, false, guest, host, data, size);
}
