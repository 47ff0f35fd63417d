/* SPDX-License-Identifier: MIT */
/* Encryption of qcow2 data: LUKS with the host offset as sector number, or legacy AES. */
#ifndef BLOCK_QCOW2_CRYPT_H
#define BLOCK_QCOW2_CRYPT_H

#include "block/crypto/luks.h"
#include "block/qcow2/qcow2.h"

/* Takes "encrypt.*"; sets q->crypt when the image is encrypted and its data is wanted. */
bool qcow2_crypt_open(Qcow2 *q, GHashTable *options, GError **error);
void qcow2_crypt_close(Qcow2 *q);
/* The member "encrypt" of the specific information, or NULL. */
json_t *qcow2_crypt_info(Qcow2 *q);

/* What create needs: crypt_method for the header, then the LUKS header in a new open image. */
typedef struct {
    uint32_t method;
    char *secret;
    GByteArray *header;
} Qcow2CryptCreate;
bool qcow2_crypt_prepare(BlockGraph *graph, GHashTable *options, Qcow2CryptCreate *create,
                         GError **error);
/* How large that header will be; 0: there is none. */
bool qcow2_crypt_measure(BlockGraph *graph, GHashTable *options, uint64_t *bytes, GError **error);
int qcow2_crypt_store(Qcow2 *q, const GByteArray *header);

/* Takes "encrypt.state" and so on. */
bool qcow2_crypt_take_amendment(Qcow2 *q, GHashTable *options, LuksAmendment *amendment,
                                GError **error);
bool qcow2_crypt_amend(Qcow2 *q, const LuksAmendment *amendment, bool force, GError **error);

/* In place; offset and size are multiples of 512. AES numbers sectors by guest offset. */
int qcow2_encrypt(Qcow2Crypt *crypt, uint64_t guest, uint64_t host, void *data, size_t size);
int qcow2_decrypt(Qcow2Crypt *crypt, uint64_t guest, uint64_t host, void *data, size_t size);

#endif
