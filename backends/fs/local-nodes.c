/* SPDX-License-Identifier: MIT */
/* Nodes of a shared folder: which file a name means, and the descriptors by which they are reached. */
#include "backends/fs/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/error.h"

enum {
    NODE_FLAGS = O_PATH | O_NOFOLLOW | O_CLOEXEC,
    OPEN_LEAST = 64,
    OPEN_MOST = 65536,
};

const char *local_fd_path(int fd, char path[LOCAL_PATH_SIZE])
{
    snprintf(path, LOCAL_PATH_SIZE, "/proc/self/fd/%d", fd);
    return path;
}

const char *local_fd_name(int fd, char name[LOCAL_PATH_SIZE])
{
    snprintf(name, LOCAL_PATH_SIZE, "%d", fd);
    return name;
}

/* The table. */

static guint hash_node(gconstpointer key)
{
    const LocalNode *node = key;

    return g_direct_hash(node->parent) * 31 + g_str_hash(node->name);
}

static gboolean same_node(gconstpointer a, gconstpointer b)
{
    const LocalNode *left = a, *right = b;

    return left->parent == right->parent && strcmp(left->name, right->name) == 0;
}

static LocalNode *find(const LocalNode *folder, const char *name)
{
    LocalNode key = { .parent = (LocalNode *)folder, .name = (char *)name };

    return g_hash_table_lookup(local_of(&folder->node)->nodes, &key);
}

/* Descriptors. All with the lock held. */

static void leave_idle(Local *local, LocalNode *node)
{
    if (node->link.data) {
        g_queue_unlink(&local->idle, &node->link);
        node->link.data = NULL;
    }
}

static void close_fd(Local *local, LocalNode *node)
{
    if (node->fd >= 0) {
        leave_idle(local, node);
        close(node->fd);
        node->fd = -1;
        local->open--;
    }
}

static void shrink(Local *local, unsigned most)
{
    while (local->open > most && local->idle.head) {
        close_fd(local, local->idle.head->data);
    }
}

/* The root is open always, what has no name as long as it is there. */
static void become_idle(Local *local, LocalNode *node)
{
    if (!node->users && node->fd >= 0 && node->parent && !node->nameless && !node->link.data) {
        node->link.data = node;
        g_queue_push_tail_link(&local->idle, &node->link);
        shrink(local, local->open_most);
    }
}

int local_openat(Local *local, int folder, const char *name, int flags, mode_t mode)
{
    int fd = openat(folder, name, flags, mode);

    if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
        g_mutex_lock(&local->lock);
        shrink(local, local->open / 2);
        g_mutex_unlock(&local->lock);
        fd = openat(folder, name, flags, mode);
    }
    return fd < 0 ? -errno : fd;
}

/* Takes the descriptor if there is one. */
static bool take_open(Local *local, LocalNode *node)
{
    bool open;

    g_mutex_lock(&local->lock);
    open = node->fd >= 0;
    if (open) {
        leave_idle(local, node);
        node->users++;
    }
    g_mutex_unlock(&local->lock);
    return open;
}

void local_give(LocalNode *node)
{
    Local *local = local_of(&node->node);

    g_mutex_lock(&local->lock);
    node->users--;
    become_idle(local, node);
    g_mutex_unlock(&local->lock);
}

/* Opens a node in its folder, and takes the descriptor. What is there may be another file now: the host's doing. */
static int open_in(Local *local, int folder, LocalNode *node)
{
    int fd = node->nameless ? -ESTALE : local_openat(local, folder, node->name, NODE_FLAGS, 0);
    struct stat stat;

    if (fd < 0) {
        return fd;
    }
    if (fstat(fd, &stat) != 0 || stat.st_dev != node->device || stat.st_ino != node->inode) {
        close(fd);
        return -ESTALE;
    }
    g_mutex_lock(&local->lock);
    if (node->fd < 0) {
        node->fd = fd;
        local->open++;
    } else { /* somebody was faster */
        close(fd);
        leave_idle(local, node);
    }
    node->users++;
    g_mutex_unlock(&local->lock);
    return node->fd;
}

/* From the nearest folder above that is open down to the node. Paths may be long, so there is no recursion. */
int local_take(LocalNode *node)
{
    Local *local = local_of(&node->node);
    g_autoptr(GPtrArray) path = NULL;
    LocalNode *at = node;
    int fd;

    if (take_open(local, node)) {
        return node->fd;
    }
    path = g_ptr_array_new();
    do {
        g_ptr_array_add(path, at);
        at = at->parent;
    } while (!take_open(local, at));
    fd = at->fd;
    for (guint i = path->len; i-- > 0 && fd >= 0;) {
        fd = open_in(local, fd, path->pdata[i]);
        local_give(at);
        at = path->pdata[i];
        if (fd < 0) {
            return fd;
        }
    }
    return fd;
}

/* References. */

FsNode *local_ref(FsNode *fs_node)
{
    Local *local = local_of(fs_node);

    g_mutex_lock(&local->lock);
    local_node(fs_node)->references++;
    g_mutex_unlock(&local->lock);
    return fs_node;
}

static void forget_name(Local *local, LocalNode *node)
{
    if (!node->nameless && node->parent) {
        g_hash_table_remove(local->nodes, node);
    }
    node->nameless = true;
}

void local_unref(FsNode *fs_node)
{
    Local *local = local_of(fs_node);
    LocalNode *node = local_node(fs_node), *parent;

    g_mutex_lock(&local->lock);
    while (node && --node->references == 0) {
        parent = node->parent;
        forget_name(local, node);
        close_fd(local, node);
        g_free(node->name);
        g_free(node);
        node = parent;
    }
    g_mutex_unlock(&local->lock);
}

FsNode *local_root(Fsdev *fsdev)
{
    return local_ref(&((Local *)fsdev)->root->node);
}

FsNode *local_parent(FsNode *fs_node)
{
    Local *local = local_of(fs_node);
    LocalNode *node = local_node(fs_node);

    g_rw_lock_reader_lock(&local->names);
    local_ref(node->parent ? &node->parent->node : fs_node);
    fs_node = node->parent ? &node->parent->node : fs_node;
    g_rw_lock_reader_unlock(&local->names);
    return fs_node;
}

static LocalNode *new_node(Local *local, LocalNode *parent, const char *name, int fd,
                           const struct stat *stat)
{
    LocalNode *node = g_new0(LocalNode, 1);

    node->node.fsdev = &local->fsdev;
    node->parent = parent;
    node->name = g_strdup(name);
    node->references = 1;
    node->fd = fd;
    node->device = stat->st_dev;
    node->inode = stat->st_ino;
    local->open++;
    return node;
}

LocalNode *local_intern(LocalNode *folder, const char *name, int fd, const struct stat *stat)
{
    Local *local = local_of(&folder->node);
    LocalNode *node;

    g_mutex_lock(&local->lock);
    node = find(folder, name);
    if (node && node->device == stat->st_dev && node->inode == stat->st_ino) {
        node->references++;
        if (node->fd < 0) {
            node->fd = fd;
            local->open++;
            become_idle(local, node);
        } else {
            close(fd);
        }
    } else {
        if (node) { /* the host has put another file there */
            leave_idle(local, node);
            forget_name(local, node);
        }
        folder->references++;
        node = new_node(local, folder, name, fd, stat);
        g_hash_table_add(local->nodes, node);
        become_idle(local, node);
    }
    g_mutex_unlock(&local->lock);
    return node;
}

LocalNode *local_known(LocalNode *folder, const char *name)
{
    Local *local = local_of(&folder->node);
    LocalNode *node;

    g_mutex_lock(&local->lock);
    node = find(folder, name);
    if (node) {
        node->references++;
    }
    g_mutex_unlock(&local->lock);
    return node;
}

void local_lose_name(LocalNode *node)
{
    Local *local = local_of(&node->node);

    g_mutex_lock(&local->lock);
    leave_idle(local, node);
    forget_name(local, node);
    g_mutex_unlock(&local->lock);
}

void local_change_name(LocalNode *node, LocalNode *folder, const char *name)
{
    Local *local = local_of(&node->node);
    LocalNode *old = node->parent, *there;

    g_mutex_lock(&local->lock);
    there = find(folder, name);
    if (there && there != node) {
        leave_idle(local, there);
        forget_name(local, there);
    }
    if (!node->nameless) {
        g_hash_table_remove(local->nodes, node);
        g_free(node->name);
        node->name = g_strdup(name);
        folder->references++;
        node->parent = folder;
        g_hash_table_add(local->nodes, node);
        g_mutex_unlock(&local->lock);
        local_unref(&old->node);
        return;
    }
    g_mutex_unlock(&local->lock);
}

/* Files of another device of the host than the root's: whether they may be seen. */
static bool allow_device(Local *local, const struct stat *stat)
{
    if (stat->st_dev == local->device || local->multidevs == MULTIDEVS_REMAP) {
        return true;
    }
    if (g_atomic_int_compare_and_exchange(&local->warned, 0, 1)) {
        g_printerr("kaso: warning: fsdev '%s': '%s' has files of several devices: %s\n",
                   local->fsdev.id, local->path,
                   local->multidevs == MULTIDEVS_FORBID
                       ? "only those of its own are shared (multidevs=forbid)"
                       : "the guest may take two of them for one; give multidevs=remap");
    }
    return local->multidevs != MULTIDEVS_FORBID;
}

int local_lookup(LocalNode *folder, const char *name, LocalNode **node)
{
    Local *local = local_of(&folder->node);
    int folder_fd = local_take(folder), fd;
    struct stat stat;

    if (folder_fd < 0) {
        return folder_fd;
    }
    fd = local_openat(local, folder_fd, name, NODE_FLAGS, 0);
    local_give(folder);
    if (fd < 0) {
        return fd;
    }
    if (fstat(fd, &stat) != 0 || !allow_device(local, &stat)) {
        close(fd);
        return -ENODEV;
    }
    *node = local_intern(folder, name, fd, &stat);
    return 0;
}

int local_walk(FsNode *folder, const char *name, FsNode **node)
{
    Local *local = local_of(folder);
    LocalNode *found = NULL;
    int result;

    if (local_metadata_reserved(local, name)) {
        return -ENOENT;
    }
    g_rw_lock_reader_lock(&local->names);
    result = local_lookup(local_node(folder), name, &found);
    g_rw_lock_reader_unlock(&local->names);
    *node = found ? &found->node : NULL;
    return result;
}

/* Life. */

/* Nodes may have half of the descriptors that we may have, which are as many as the host lets us take. */
static unsigned choose_open_most(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return OPEN_LEAST;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            getrlimit(RLIMIT_NOFILE, &limit);
        }
    }
    return (unsigned)CLAMP(limit.rlim_cur / 2, OPEN_LEAST, OPEN_MOST);
}

bool local_nodes_begin(Local *local, GError **error)
{
    struct stat stat;
    int fd;

    g_mutex_init(&local->lock);
    g_rw_lock_init(&local->names);
    local->nodes = g_hash_table_new(hash_node, same_node);
    local->descriptors = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (local->descriptors < 0) {
        return error_fail_errno(error, errno,
                                "fsdev '%s': /proc/self/fd, by which files are opened, is missing",
                                local->fsdev.id);
    }
    fd = open(local->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &stat) != 0) {
        return error_fail_errno(error, errno, "fsdev '%s': cannot share the folder '%s'",
                                local->fsdev.id, local->path);
    }
    local->device = stat.st_dev;
    local->root = new_node(local, NULL, "", fd, &stat);
    local->open_most = choose_open_most();
    return true;
}

void local_nodes_end(Local *local)
{
    if (!local->nodes) {
        return; /* never begun */
    }
    if (local->root) {
        local_unref(&local->root->node);
    }
    if (local->descriptors >= 0) {
        close(local->descriptors);
    }
    g_hash_table_unref(local->nodes);
    g_mutex_clear(&local->lock);
    g_rw_lock_clear(&local->names);
}
