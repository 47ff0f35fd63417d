/* SPDX-License-Identifier: MIT */
/*
 * 9P2000.L as Linux speaks it, over files of an Fsdev: a message and its answer. The transport (virtio-9p.c) hands in
 * requests; all but ninep_version runs on the Fsdev's threads, several at once.
 *
 * Everything in a message is the guest's. Sizes, counts and names are checked as they are read; a message that is too
 * short for what it says is answered with an error.
 */
#ifndef HW_9P_9P_H
#define HW_9P_9P_H

#include "machine/fsdev.h"

enum {
    NINEP_HEADER = 7,        /* size[4] type[1] tag[2] */
    NINEP_IO_HEADER = 24,    /* of the largest of messages with data */
    NINEP_BODY_MOST = 16384, /* of messages without data: names and targets of links */
    NINEP_MSIZE_LEAST = 4096,
    NINEP_MSIZE_MOST = 1 << 20,
    NINEP_FIDS_MOST = 1 << 20,
    NINEP_XATTR_MOST = 65536,
    NINEP_NAMES_MOST = 16, /* in one walk */
    NINEP_NO_TAG = 0xffff,
};

enum {
    NINEP_RLERROR = 7,
    NINEP_TSTATFS = 8,
    NINEP_TLOPEN = 12,
    NINEP_TLCREATE = 14,
    NINEP_TSYMLINK = 16,
    NINEP_TMKNOD = 18,
    NINEP_TRENAME = 20,
    NINEP_TREADLINK = 22,
    NINEP_TGETATTR = 24,
    NINEP_TSETATTR = 26,
    NINEP_TXATTRWALK = 30,
    NINEP_TXATTRCREATE = 32,
    NINEP_TREADDIR = 40,
    NINEP_TFSYNC = 50,
    NINEP_TLOCK = 52,
    NINEP_TGETLOCK = 54,
    NINEP_TLINK = 70,
    NINEP_TMKDIR = 72,
    NINEP_TRENAMEAT = 74,
    NINEP_TUNLINKAT = 76,
    NINEP_TVERSION = 100,
    NINEP_TAUTH = 102,
    NINEP_TATTACH = 104,
    NINEP_RERROR = 107,
    NINEP_TFLUSH = 108,
    NINEP_TWALK = 110,
    NINEP_TOPEN = 112,
    NINEP_TCREATE = 114,
    NINEP_TREAD = 116,
    NINEP_TWRITE = 118,
    NINEP_TCLUNK = 120,
    NINEP_TREMOVE = 122,
    NINEP_TSTAT = 124,
    NINEP_TWSTAT = 126,
};

enum { NINEP_QID_FOLDER = 0x80, NINEP_QID_LINK = 0x02 };

typedef enum { NINEP_NO_DIALECT, NINEP_LINUX, NINEP_UNIX } NinepDialect;

/* What one Tversion began: all that a client holds. Ends when nobody refers to it. */
typedef struct {
    Fsdev *fsdev;
    gint references;
    NinepDialect dialect;
    uint32_t msize;
    GMutex lock;      /* below, and what fids have */
    GHashTable *fids; /* number -> NinepFid * */
} NinepSession;

/* An extended attribute: read as a whole before the client reads it, written when the fid goes. */
typedef struct {
    char *name; /* NULL: to be read */
    uint8_t *value;
    size_t size, filled;
    int flags;
} NinepXattr;

/* A client's handle. */
typedef struct {
    NinepSession *session;
    gint references;
    uint32_t number, uid; /* uid: whose files it makes */
    FsNode *node;
    FsFile *file;   /* NULL: not open; never closed before the fid ends */
    bool is_folder; /* with file */
    NinepXattr *xattr;
} NinepFid;

typedef struct NinepRequest NinepRequest;
struct NinepRequest {
    NinepSession *session; /* counted */
    uint8_t type;
    uint16_t tag;
    uint32_t size; /* of the message */
    /* What is left of the body's copy. What was not copied (Twrite's data) is in `out`, the whole message. */
    uint8_t *copy, *body;
    size_t left;
    bool too_short;
    const struct iovec *out;
    unsigned out_count;
    /* Where the answer goes, and how much of it was written there. */
    const struct iovec *room;
    unsigned room_count;
    uint64_t room_bytes;
    GByteArray *reply;
    size_t payload; /* bytes in the room behind the reply's own */
    uint32_t written;
};

NinepSession *ninep_session_new(Fsdev *fsdev, NinepDialect dialect, uint32_t msize);
NinepSession *ninep_session_ref(NinepSession *session);
/* The last one closes files: on a thread. */
void ninep_session_unref(NinepSession *session);
/* Whether the client has anything. */
bool ninep_session_used(NinepSession *session);

/* Reads the message's header and body, which is `bytes` in request->out. false: it is none. */
bool ninep_request_begin(NinepRequest *request, uint64_t bytes);
void ninep_request_end(NinepRequest *request);
/* Answers; request->written is 0 when there is no room for it. */
void ninep_run(NinepRequest *request);
/* Tversion: the session that begins, counted; answers. */
NinepSession *ninep_version(NinepRequest *request, Fsdev *fsdev);
/* An answer without anything in it, or an error. */
void ninep_answer(NinepRequest *request, int result);

/* For messages: 9p-wire.c. Reading what is not there is 0 or "", and too_short. */
uint8_t ninep_get8(NinepRequest *request);
uint16_t ninep_get16(NinepRequest *request);
uint32_t ninep_get32(NinepRequest *request);
uint64_t ninep_get64(NinepRequest *request);
const char *ninep_get_string(NinepRequest *request);
void ninep_put8(NinepRequest *request, uint8_t value);
void ninep_put16(NinepRequest *request, uint16_t value);
void ninep_put32(NinepRequest *request, uint32_t value);
void ninep_put64(NinepRequest *request, uint64_t value);
void ninep_put_string(NinepRequest *request, const char *text, size_t size);
void ninep_put_qid(NinepRequest *request, const FsAttributes *attributes);
int ninep_put_node_qid(NinepRequest *request, FsNode *node);
/* `size` bytes at `offset` of a list: the pieces, which the caller frees; *count is the list's length, then theirs. */
struct iovec *ninep_iovec_part(const struct iovec *iov, unsigned *count, size_t offset,
                               size_t size);
/* The largest data that fits an answer with `header` bytes before it, of what the client wants. */
uint32_t ninep_room(const NinepRequest *request, uint32_t header, uint32_t wanted);

/* Fids: 9p-fids.c. */
NinepFid *ninep_fid_get(NinepSession *session, uint32_t number); /* counted, or NULL */
void ninep_fid_put(NinepFid *fid);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NinepFid, ninep_fid_put)
/* A new one; takes node also when it fails. */
int ninep_fid_add(NinepSession *session, uint32_t number, uint32_t uid, FsNode *node,
                  NinepXattr *xattr);
/* Takes it out of the table; counted, or NULL. */
NinepFid *ninep_fid_remove(NinepSession *session, uint32_t number);
FsNode *ninep_fid_node(NinepFid *fid); /* counted */
/* These stay as long as the fid; NULL: it is not open, or no attribute. */
FsFile *ninep_fid_file(NinepFid *fid);
NinepXattr *ninep_fid_xattr(NinepFid *fid);
/* Of an unopened one; takes node and file unless it fails. file may be NULL. */
int ninep_fid_become(NinepFid *fid, FsNode *node, FsFile *file, bool is_folder);
void ninep_xattr_free(NinepXattr *xattr);
void ninep_node_unref(FsNode *node);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsNode, ninep_node_unref)

/* Handlers by message: 0 or -errno. */
typedef int NinepHandler(NinepRequest *request);
NinepHandler ninep_attach, ninep_walk, ninep_clunk, ninep_remove, ninep_auth; /* 9p-fids.c */
NinepHandler ninep_lopen, ninep_lcreate, ninep_read, ninep_write, ninep_readdir,
    ninep_fsync;                                                                /* 9p-files.c */
NinepHandler ninep_lock, ninep_getlock;                                         /* 9p-locks.c */
NinepHandler ninep_symlink, ninep_mknod, ninep_mkdir, ninep_link, ninep_rename; /* 9p-names.c */
NinepHandler ninep_renameat, ninep_unlinkat, ninep_readlink;
NinepHandler ninep_getattr, ninep_setattr, ninep_statfs, ninep_xattrwalk,
    ninep_xattrcreate; /* 9p-attributes.c */
/* What an xattr fid of Txattrcreate has collected, when it goes. */
int ninep_xattr_store(NinepFid *fid);

#endif
