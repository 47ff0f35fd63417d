/* SPDX-License-Identifier: MIT */
/* Sessions and fids, and the messages that make and end them. */
#include "hw/9p/9p.h"

#include <errno.h>
#include <string.h>

enum { NO_FID = 0xffffffff };

NinepSession *ninep_session_new(Fsdev *fsdev, NinepDialect dialect, uint32_t msize)
{
    NinepSession *session = g_new0(NinepSession, 1);

    session->fsdev = fsdev;
    session->references = 1;
    session->dialect = dialect;
    session->msize = msize;
    session->fids = g_hash_table_new(NULL, NULL);
    g_mutex_init(&session->lock);
    return session;
}

NinepSession *ninep_session_ref(NinepSession *session)
{
    g_atomic_int_inc(&session->references);
    return session;
}

static void end_fid(gpointer number, gpointer fid, gpointer opaque)
{
    ninep_fid_put(fid);
}

void ninep_session_unref(NinepSession *session)
{
    if (!g_atomic_int_dec_and_test(&session->references)) {
        return;
    }
    g_hash_table_foreach(session->fids, end_fid, NULL);
    g_hash_table_unref(session->fids);
    g_mutex_clear(&session->lock);
    g_free(session);
}

bool ninep_session_used(NinepSession *session)
{
    bool used;

    g_mutex_lock(&session->lock);
    used = g_hash_table_size(session->fids) > 0;
    g_mutex_unlock(&session->lock);
    return used;
}

/* Fids. */

void ninep_node_unref(FsNode *node)
{
    node->fsdev->type->unref(node);
}

void ninep_xattr_free(NinepXattr *xattr)
{
    g_free(xattr->name);
    g_free(xattr->value);
    g_free(xattr);
}

NinepFid *ninep_fid_get(NinepSession *session, uint32_t number)
{
    NinepFid *fid;

    g_mutex_lock(&session->lock);
    fid = g_hash_table_lookup(session->fids, GUINT_TO_POINTER(number));
    if (fid) {
        g_atomic_int_inc(&fid->references);
    }
    g_mutex_unlock(&session->lock);
    return fid;
}

void ninep_fid_put(NinepFid *fid)
{
    if (!g_atomic_int_dec_and_test(&fid->references)) {
        return;
    }
    if (fid->file) {
        fid->file->fsdev->type->close_file(fid->file);
    }
    g_clear_pointer(&fid->xattr, ninep_xattr_free);
    ninep_node_unref(fid->node);
    g_free(fid);
}

int ninep_fid_add(NinepSession *session, uint32_t number, uint32_t uid, FsNode *node,
                  NinepXattr *xattr)
{
    NinepFid *fid = g_new0(NinepFid, 1);
    int result = 0;

    *fid = (NinepFid){ session, 1, number, uid, node, .xattr = xattr };
    g_mutex_lock(&session->lock);
    if (number == NO_FID || g_hash_table_contains(session->fids, GUINT_TO_POINTER(number))) {
        result = -EINVAL;
    } else if (g_hash_table_size(session->fids) >= NINEP_FIDS_MOST) {
        result = -ENFILE;
    } else {
        g_hash_table_insert(session->fids, GUINT_TO_POINTER(number), fid);
    }
    g_mutex_unlock(&session->lock);
    if (result) {
        ninep_fid_put(fid);
    }
    return result;
}

NinepFid *ninep_fid_remove(NinepSession *session, uint32_t number)
{
    NinepFid *fid;

    g_mutex_lock(&session->lock);
    fid = g_hash_table_lookup(session->fids, GUINT_TO_POINTER(number));
    g_hash_table_remove(session->fids, GUINT_TO_POINTER(number));
    g_mutex_unlock(&session->lock);
    return fid;
}

FsNode *ninep_fid_node(NinepFid *fid)
{
    FsNode *node;

    g_mutex_lock(&fid->session->lock);
    node = fid->node->fsdev->type->ref(fid->node);
    g_mutex_unlock(&fid->session->lock);
    return node;
}

FsFile *ninep_fid_file(NinepFid *fid)
{
    FsFile *file;

    g_mutex_lock(&fid->session->lock);
    file = fid->file;
    g_mutex_unlock(&fid->session->lock);
    return file;
}

NinepXattr *ninep_fid_xattr(NinepFid *fid)
{
    NinepXattr *xattr;

    g_mutex_lock(&fid->session->lock);
    xattr = fid->xattr;
    g_mutex_unlock(&fid->session->lock);
    return xattr;
}

int ninep_fid_become(NinepFid *fid, FsNode *node, FsFile *file, bool is_folder)
{
    FsNode *old = NULL;

    g_mutex_lock(&fid->session->lock);
    if (!fid->file && !fid->xattr) {
        old = fid->node;
        fid->node = node;
        fid->file = file;
        fid->is_folder = is_folder;
    }
    g_mutex_unlock(&fid->session->lock);
    if (!old) {
        return -EINVAL;
    }
    ninep_node_unref(old);
    return 0;
}

/* Messages. */

/* Nobody is asked who he is. */
int ninep_auth(NinepRequest *request)
{
    return -EOPNOTSUPP;
}

/* fid[4] afid[4] uname[s] aname[s] n_uname[4] -> qid */
int ninep_attach(NinepRequest *r)
{
    uint32_t number = ninep_get32(r), afid = ninep_get32(r), uid;
    Fsdev *fsdev = r->session->fsdev;
    FsNode *root;
    int result;

    ninep_get_string(r);
    ninep_get_string(r);
    uid = ninep_get32(r);
    if (r->too_short || afid != NO_FID) {
        return -EINVAL;
    }
    root = fsdev->type->root(fsdev);
    result = ninep_put_node_qid(r, root);
    if (result) {
        ninep_node_unref(root);
        return result;
    }
    return ninep_fid_add(r->session, number, uid, root, NULL);
}

static int walk_one(FsNode *folder, const char *name, FsNode **node)
{
    const FsdevType *type = folder->fsdev->type;
    int result;

    if (strcmp(name, "..") == 0) {
        *node = type->parent(folder);
        return 0;
    }
    result = fs_name_check(name);
    return result == -EEXIST ? -ENOENT : result ? result : type->walk(folder, name, node);
}

/* Walks as far as it goes, with a qid for each step in the reply. *node is replaced; how far, or -errno. */
static int walk_names(NinepRequest *r, FsNode **node, char *const names[], unsigned count)
{
    unsigned done;

    for (done = 0; done < count; done++) {
        FsNode *next = NULL;
        int result = walk_one(*node, names[done], &next);

        if (!result) {
            result = ninep_put_node_qid(r, next);
        }
        if (result) {
            if (next) {
                ninep_node_unref(next);
            }
            return done ? (int)done : result;
        }
        ninep_node_unref(*node);
        *node = next;
    }
    return (int)done;
}

/* fid[4] newfid[4] nwname[2] nwname*(wname[s]) -> nwqid[2] nwqid*(qid) */
int ninep_walk(NinepRequest *r)
{
    uint32_t number = ninep_get32(r), new_number = ninep_get32(r);
    unsigned count = ninep_get16(r);
    g_autoptr(NinepFid) fid = ninep_fid_get(r->session, number);
    char *names[NINEP_NAMES_MOST];
    FsNode *node;
    int done;

    if (count > NINEP_NAMES_MOST) {
        return -EINVAL;
    }
    for (unsigned i = 0; i < count; i++) {
        names[i] = (char *)ninep_get_string(r);
    }
    if (!fid || r->too_short || ninep_fid_xattr(fid)) {
        return fid ? -EINVAL : -EBADF;
    }
    node = ninep_fid_node(fid);
    ninep_put16(r, (uint16_t)count);
    done = walk_names(r, &node, names, count);
    if (done < (int)count) {
        ninep_node_unref(node);
        if (done > 0) {
            r->reply->data[NINEP_HEADER] = (uint8_t)done;
        }
        return done < 0 ? done : 0;
    }
    if (new_number != number) {
        return ninep_fid_add(r->session, new_number, fid->uid, node, NULL);
    }
    done = ninep_fid_become(fid, node, NULL, false);
    if (done) {
        ninep_node_unref(node);
    }
    return done;
}

/* fid[4] */
int ninep_clunk(NinepRequest *r)
{
    uint32_t number = ninep_get32(r);
    g_autoptr(NinepFid) fid = r->too_short ? NULL : ninep_fid_remove(r->session, number);

    return fid ? ninep_xattr_store(fid) : -EBADF;
}

/* fid[4]: the file and the fid, and the fid also when the file stays. */
int ninep_remove(NinepRequest *r)
{
    uint32_t number = ninep_get32(r);
    g_autoptr(NinepFid) fid = r->too_short ? NULL : ninep_fid_remove(r->session, number);
    const FsdevType *type = r->session->fsdev->type;

    if (!fid) {
        return -EBADF;
    }
    return type->remove ? type->remove(fid->node) : -EROFS;
}
