/* SPDX-License-Identifier: MIT */
/* Encryption of qcow2 data: LUKS with the host offset as sector number, or legacy AES. */
#ifndef BLOCK_QCOW2_CRYPT_H
#define BLOCK_QCOW2_CRYPT_H

#include <stddef.h>
#include <stdint.h>

typedef struct Qcow2Crypt Qcow2Crypt;

/* In place; offset and size are multiples of 512. AES numbers sectors by guest offset. */
int qcow2_encrypt(Qcow2Crypt *crypt, uint64_t guest, uint64_t host, void *data, size_t size);
int qcow2_decrypt(Qcow2Crypt *crypt, uint64_t guest, uint64_t host, void *data, size_t size);

#endif
