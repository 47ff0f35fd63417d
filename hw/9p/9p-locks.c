/* SPDX-License-Identifier: MIT */
/* Tlock and Tgetlock. Nothing waits here: a client that wants to wait asks again. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "hw/9p/9p.h"

enum { LOCK_SUCCESS, LOCK_BLOCKED, LOCK_ERROR };

static const int lock_types[] = { F_RDLCK, F_WRLCK, F_UNLCK }; /* by 9P's number */

/* start[8] length[8] proc_id[4] client_id[s], behind the type. 0, or what is wrong with it or with the file. */
static int get_range(NinepRequest *r, NinepFid *fid, const FsFile *file, uint8_t type, FsLock *lock)
{
    lock->start = ninep_get64(r);
    lock->length = ninep_get64(r);
    lock->process = ninep_get32(r);
    lock->client = ninep_get_string(r);
    if (!fid || r->too_short) {
        return -EBADF;
    }
    if (!file || type >= G_N_ELEMENTS(lock_types) || lock->start > INT64_MAX ||
        lock->length > INT64_MAX) {
        return -EINVAL;
    }
    lock->type = lock_types[type];
    return 0;
}

/* fid[4] type[1] flags[4], range -> status[1] */
int ninep_lock(NinepRequest *r)
{
    g_autoptr(NinepFid) fid = ninep_fid_get(r->session, ninep_get32(r));
    uint8_t type = ninep_get8(r);
    FsFile *file = fid ? ninep_fid_file(fid) : NULL;
    FsLock lock;
    int result;

    ninep_get32(r); /* whether to wait */
    result = get_range(r, fid, file, type, &lock);
    if (result) {
        return result;
    }
    if (file->fsdev->type->lock) {
        result = file->fsdev->type->lock(file, &lock);
    }
    ninep_put8(r, result == -EAGAIN ? LOCK_BLOCKED : result ? LOCK_ERROR : LOCK_SUCCESS);
    return 0;
}

/* fid[4] type[1], range -> type[1], range */
int ninep_getlock(NinepRequest *r)
{
    g_autoptr(NinepFid) fid = ninep_fid_get(r->session, ninep_get32(r));
    uint8_t type = ninep_get8(r);
    FsFile *file = fid ? ninep_fid_file(fid) : NULL;
    FsLock lock;
    int result = get_range(r, fid, file, type, &lock);

    if (result) {
        return result;
    }
    if (file->fsdev->type->get_lock) {
        result = file->fsdev->type->get_lock(file, &lock);
    } else {
        lock.type = F_UNLCK;
    }
    ninep_put8(r, lock.type == F_RDLCK ? 0 : lock.type == F_WRLCK ? 1 : 2);
    ninep_put64(r, lock.start);
    ninep_put64(r, lock.length);
    ninep_put32(r, lock.process);
    ninep_put_string(r, lock.client, strlen(lock.client));
    return result;
}
