/* SPDX-License-Identifier: MIT */
/*
 * Shared folders: what a file sharing device (9p) serves to its guest. A back end knows files by nodes, which follow
 * renames and outlive the names, and by what was opened of them.
 *
 * Work with files waits for the host's disks and servers, so it is done by the threads of each Fsdev (fsdev_submit). The
 * hooks of FsdevType below `close` are called there, by several at once; they return 0 (or what is said) or -errno. Names are
 * one component, never "." or "..", without '/'.
 */
#ifndef MACHINE_FSDEV_H
#define MACHINE_FSDEV_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include "base/registry.h"
#include "machine/property.h"

typedef struct Fsdev Fsdev;

/* A file, folder, link …; counted by the back end's ref and unref. */
typedef struct {
    Fsdev *fsdev;
} FsNode;

/* One that was opened. */
typedef struct {
    Fsdev *fsdev;
} FsFile;

typedef struct {
    struct stat stat;
    uint64_t number; /* instead of stat.st_ino: differs between the host's devices, too */
} FsAttributes;

/* What is to be made. Owners are the guest's numbers; UINT32_MAX: does not matter. */
typedef struct {
    uint32_t mode; /* with S_IFMT */
    uint32_t uid, gid;
    dev_t rdev;
    const char *target; /* of a symbolic link */
} FsNew;

enum {
    FS_CHANGE_MODE = 1,
    FS_CHANGE_UID = 2,
    FS_CHANGE_GID = 4,
    FS_CHANGE_SIZE = 8,
    FS_CHANGE_TIMES = 16,
};

typedef struct {
    unsigned what; /* FS_CHANGE_* */
    uint32_t mode, uid, gid;
    uint64_t size;
    struct timespec times[2]; /* as for utimensat: access, modification */
} FsChange;

typedef struct {
    uint64_t number;
    uint64_t offset; /* where the next one is */
    uint8_t type;    /* DT_* */
    const char *name;
} FsEntry;
/* false: no room; the entry will be asked for again. */
typedef bool FsEntryFunction(void *opaque, const FsEntry *entry);

typedef struct {
    int type;               /* F_RDLCK, F_WRLCK, F_UNLCK */
    uint64_t start, length; /* 0: to the end of the file */
    uint32_t process;
    const char *client; /* with process: whose lock it is */
} FsLock;

typedef struct {
    const char *name; /* as -fsdev spells it */
    const char *summary;
    size_t instance_size; /* first member an Fsdev */
    const Property *properties;
    bool (*open)(Fsdev *fsdev, GError **error);
    void (*close)(Fsdev *fsdev); /* also after a failed open */

    FsNode *(*root)(Fsdev *fsdev); /* counted */
    FsNode *(*ref)(FsNode *node);
    void (*unref)(FsNode *node);
    FsNode *(*parent)(FsNode *node); /* counted; the root's is the root */
    int (*walk)(FsNode *folder, const char *name, FsNode **node);
    int (*attributes)(FsNode *node, FsAttributes *attributes);
    int (*statfs)(FsNode *node, struct statfs *statfs);
    /* flags: the host's O_*. */
    int (*open_node)(FsNode *node, int flags, FsFile **file);
    int (*read_link)(FsNode *node, char *target, size_t size); /* its length; no 0 behind it */

    /* NULL where nothing can be changed. */
    int (*create)(FsNode *folder, const char *name, int flags, const FsNew *new, FsNode **node,
                  FsFile **file);
    int (*make)(FsNode *folder, const char *name, const FsNew *new, FsNode **node);
    int (*link)(FsNode *node, FsNode *folder, const char *name);
    int (*rename)(FsNode *folder, const char *name, FsNode *to, const char *new_name);
    int (*move)(FsNode *node, FsNode *to, const char *new_name);
    int (*unlink)(FsNode *folder, const char *name, bool is_folder);
    int (*remove)(FsNode *node);
    int (*change)(FsNode *node, FsFile *file, const FsChange *change); /* file may be NULL */

    /* NULL where there are none. Sizes of 0 ask how much it is. */
    ssize_t (*get_xattr)(FsNode *node, const char *name, void *value, size_t size);
    ssize_t (*list_xattrs)(FsNode *node, char *names, size_t size);
    int (*set_xattr)(FsNode *node, const char *name, const void *value, size_t size, int flags);
    int (*remove_xattr)(FsNode *node, const char *name);

    void (*close_file)(FsFile *file);
    ssize_t (*read)(FsFile *file, const struct iovec *iov, unsigned count, uint64_t offset);
    ssize_t (*write)(FsFile *file, const struct iovec *iov, unsigned count, uint64_t offset);
    int (*sync)(FsFile *file, bool data_only);
    /* Calls function for each from offset on, until it returns false. */
    int (*entries)(FsFile *file, uint64_t offset, FsEntryFunction *function, void *opaque);
    /* -EAGAIN: somebody else has it. NULL: nobody else can. */
    int (*lock)(FsFile *file, const FsLock *lock);
    int (*get_lock)(FsFile *file, FsLock *lock); /* F_UNLCK: nobody is in the way */
} FsdevType;
#define FSDEV_TYPE(object) REGISTRY_ADD(fsdev_types, object)
REGISTRY_DECLARE(fsdev_types, FsdevType);

typedef struct FsdevThreads FsdevThreads;

struct Fsdev {
    const FsdevType *type;
    Machine *machine;
    char *id;
    FsdevThreads *threads;
};

/* NULL with an error when there is none. */
const FsdevType *fsdev_type_find(const char *name, GError **error);
/* Opens and adds it to the machine, which frees it in the end. options: char * -> char *. */
Fsdev *fsdev_new(Machine *machine, const char *id, const char *type, GHashTable *options,
                 GError **error);
Fsdev *fsdev_find(Machine *machine, const char *id);
/* What is wrong with it as the name of a node; 0: nothing. */
int fs_name_check(const char *name);

/* Work for the threads. All but run: under the machine lock. */
typedef struct FsdevJob FsdevJob;
struct FsdevJob {
    void (*run)(FsdevJob *job);  /* on a thread */
    void (*done)(FsdevJob *job); /* then in the main loop; may free it */
};
void fsdev_submit(Fsdev *fsdev, FsdevJob *job);
/* Whether it had not begun: then it never will, and done is not called. */
bool fsdev_cancel(Fsdev *fsdev, FsdevJob *job);
/* Waits until at least one job is done, and tells all that are. Something must be under way. */
void fsdev_wait(Fsdev *fsdev);

#endif
