/* SPDX-License-Identifier: MIT */
/*
 * Image locks as QEMU takes them: open file description locks on single bytes. Byte 100 + n is
 * held by those who use permission n, byte 200 + n by those who do not share it.
 */
#ifndef BLOCK_PROTOCOLS_FILE_LOCK_H
#define BLOCK_PROTOCOLS_FILE_LOCK_H

#include <glib.h>
#include <stdbool.h>

typedef struct {
    unsigned perm, unshared; /* held bytes */
} FileLock;

/* Changes what is held; on a conflict nothing has changed. */
bool file_lock_update(int fd, FileLock *lock, unsigned perm, unsigned shared, const char *path,
                      GError **error);
bool file_lock_supported(int fd);

#endif
