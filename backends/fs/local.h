/* SPDX-License-Identifier: MIT */
/* What the files of the back end `local` share; docs/design/9p.md has the ideas. */
#ifndef BACKENDS_FS_LOCAL_H
#define BACKENDS_FS_LOCAL_H

#include "machine/fsdev.h"

/* How the guest's owners, modes and kinds of files are kept. */
typedef enum {
    SECURITY_NOT_GIVEN,
    SECURITY_PASSTHROUGH,  /* as they are, on the host's files */
    SECURITY_NONE,         /* the same; that an owner cannot be changed is no error */
    SECURITY_MAPPED_XATTR, /* in attributes user.virtfs.* */
    SECURITY_MAPPED_FILE,  /* in files .virtfs_metadata/NAME beside the file */
    SECURITY_MAPPED,       /* as people also call mapped-xattr */
} SecurityModel;

typedef enum { MULTIDEVS_WARN, MULTIDEVS_REMAP, MULTIDEVS_FORBID } MultiDevs;

typedef struct LocalNode LocalNode;
typedef struct Local Local;

/* Lock order: names, lock. */
struct Local {
    Fsdev fsdev;
    int descriptors;          /* /proc/self/fd: what an O_PATH descriptor is opened by */
    dev_t device;             /* the root's */
    GRWLock names;            /* written by whoever makes a name mean another file */
    GMutex lock;              /* tables of nodes; their counts and descriptors */
    GHashTable *nodes;        /* LocalNode * by parent and name: those whose names are valid */
    GQueue idle;              /* nodes with a descriptor that nobody is using, the oldest first */
    unsigned open, open_most; /* descriptors of nodes */
    LocalNode *root;
    int warned; /* of several devices */
    /* Properties. */
    char *path, *file_mode_text, *folder_mode_text;
    int security, multidevs, writeout;
    bool read_only;
    uint32_t file_mode, folder_mode; /* of mapped files */
};

/*
 * A file by its name in a folder. Its descriptor (O_PATH) is opened when it is needed and may be closed when nobody uses
 * it, since it can be found by its name again; one without a name keeps it.
 */
struct LocalNode {
    FsNode node;
    LocalNode *parent; /* counted; NULL: the root. Changes under names */
    char *name;
    unsigned references, users; /* users: of the descriptor */
    int fd;                     /* -1: none now */
    bool nameless;              /* was removed, or replaced */
    dev_t device;
    ino_t inode;
    GList link; /* in idle */
};

typedef struct {
    FsFile file;
    GMutex lock; /* of a folder's position */
    int fd;
    dev_t device;
} LocalFile;

static inline Local *local_of(const FsNode *node)
{
    return (Local *)node->fsdev;
}

static inline LocalNode *local_node(FsNode *node)
{
    return (LocalNode *)node;
}

static inline bool local_mapped(const Local *local)
{
    return local->security == SECURITY_MAPPED_XATTR || local->security == SECURITY_MAPPED_FILE;
}

/* "/proc/self/fd/N", for calls that take no descriptor. */
enum { LOCAL_PATH_SIZE = 32 };
const char *local_fd_path(int fd, char path[LOCAL_PATH_SIZE]);
/* "N": the same below local->descriptors. */
const char *local_fd_name(int fd, char name[LOCAL_PATH_SIZE]);

/* local-nodes.c */
bool local_nodes_begin(Local *local, GError **error);
void local_nodes_end(Local *local);
/*
 * The descriptor, until given back; or -errno. [names held]
 */
int local_take(LocalNode *node);
void local_give(LocalNode *node);
/* openat that makes room when there are too many descriptors; -errno. */
int local_openat(Local *local, int folder, const char *name, int flags, mode_t mode);
/* The node of what was found at a name, counted; takes fd. [names held] */
LocalNode *local_intern(LocalNode *folder, const char *name, int fd, const struct stat *stat);
/* The node that has this name now, counted, or NULL. [names held] */
LocalNode *local_known(LocalNode *folder, const char *name);
/* Its name is another's or nobody's now. [names written] */
void local_lose_name(LocalNode *node);
void local_change_name(LocalNode *node, LocalNode *folder, const char *name);
/* Opens and interns. [names held] */
int local_lookup(LocalNode *folder, const char *name, LocalNode **node);
FsNode *local_root(Fsdev *fsdev);
FsNode *local_ref(FsNode *node);
void local_unref(FsNode *node);
FsNode *local_parent(FsNode *node);
int local_walk(FsNode *folder, const char *name, FsNode **node);

/* local-owners.c: what the guest sees of a file and changes of it. fd: O_PATH. [names held] */
int local_stat(LocalNode *node, int fd, struct stat *stat);
/* For a file that is new: owner, mode, and what else `new` says. */
int local_set_new(LocalNode *node, int fd, const FsNew *new);
int local_attributes(FsNode *node, FsAttributes *attributes);
int local_change(FsNode *node, FsFile *file, const FsChange *change);
uint64_t local_number(const Local *local, dev_t device, ino_t inode);

/* local-metadata.c: the files of SECURITY_MAPPED_FILE. */
#define LOCAL_METADATA_FOLDER ".virtfs_metadata"
#define LOCAL_METADATA_ROOT   ".virtfs_metadata_root"
typedef struct {
    bool has_uid, has_gid, has_mode, has_rdev;
    uint32_t uid, gid, mode;
    uint64_t rdev;
} LocalOwner;
/* [names held] */
int local_metadata_load(LocalNode *node, LocalOwner *owner);
int local_metadata_store(LocalNode *node, const LocalOwner *owner);
/* The metadata goes where the file went; folders by descriptor. [names written] */
int local_metadata_rename(Local *local, int from, const char *name, int to, const char *new_name);
int local_metadata_link(Local *local, int from, const char *name, int to, const char *new_name);
void local_metadata_unlink(int folder, const char *name);
/* An empty folder but for metadata can be removed. */
void local_metadata_empty(int folder, const char *name);
/* Whether the name is ours and not the guest's. */
bool local_metadata_reserved(const Local *local, const char *name);

/* local-names.c */
int local_create(FsNode *folder, const char *name, int flags, const FsNew *new, FsNode **node,
                 FsFile **file);
int local_make(FsNode *folder, const char *name, const FsNew *new, FsNode **node);
int local_link(FsNode *node, FsNode *folder, const char *name);
int local_rename(FsNode *folder, const char *name, FsNode *to, const char *new_name);
int local_move(FsNode *node, FsNode *to, const char *new_name);
int local_unlink(FsNode *folder, const char *name, bool is_folder);
int local_remove(FsNode *node);

/* local-files.c */
FsFile *local_file_new(Local *local, int fd);
/* A descriptor that can read or write, for one that is O_PATH; -errno for what is neither file nor folder. */
int local_reopen(Local *local, int fd, int flags);
int local_open_node(FsNode *node, int flags, FsFile **file);
int local_read_link(FsNode *node, char *target, size_t size);
int local_statfs(FsNode *node, struct statfs *statfs);
void local_close_file(FsFile *file);
ssize_t local_read(FsFile *file, const struct iovec *iov, unsigned count, uint64_t offset);
ssize_t local_write(FsFile *file, const struct iovec *iov, unsigned count, uint64_t offset);
int local_sync(FsFile *file, bool data_only);
int local_entries(FsFile *file, uint64_t offset, FsEntryFunction *function, void *opaque);

/* local-xattrs.c */
ssize_t local_get_xattr(FsNode *node, const char *name, void *value, size_t size);
ssize_t local_list_xattrs(FsNode *node, char *names, size_t size);
int local_set_xattr(FsNode *node, const char *name, const void *value, size_t size, int flags);
int local_remove_xattr(FsNode *node, const char *name);

#endif
