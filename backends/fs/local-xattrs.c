/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes that the guest sees: its own "user.*" and access control lists. With mapped-xattr the lists are kept
 * in "user.virtfs.system.posix_acl_*", as the host would act by its own, and all "user.virtfs.*" is hidden.
 */
#include "backends/fs/local.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

enum { LIST_MOST = 65536 };

#define HIDDEN "user.virtfs."
static const char acl_access[] = "system.posix_acl_access";
static const char acl_default[] = "system.posix_acl_default";

static bool is_acl(const char *name)
{
    return strcmp(name, acl_access) == 0 || strcmp(name, acl_default) == 0;
}

/* What the host calls it; NULL: the guest must not know. The caller frees. */
static char *host_name(const Local *local, const char *name, int *error)
{
    bool mapped = local->security == SECURITY_MAPPED_XATTR;

    *error = -EOPNOTSUPP;
    if (is_acl(name) && local->security != SECURITY_NONE) {
        return g_strconcat(mapped ? HIDDEN : "", name, NULL);
    }
    if (!g_str_has_prefix(name, "user.")) {
        return NULL;
    }
    *error = -ENODATA;
    return mapped && g_str_has_prefix(name, HIDDEN) ? NULL : g_strdup(name);
}

/* What the guest calls what the host calls so; NULL: nothing. */
static const char *guest_name(const Local *local, const char *name)
{
    if (local->security == SECURITY_MAPPED_XATTR && g_str_has_prefix(name, HIDDEN)) {
        name += strlen(HIDDEN);
        return is_acl(name) ? name : NULL;
    }
    if (is_acl(name)) {
        return local->security == SECURITY_PASSTHROUGH || local->security == SECURITY_MAPPED_FILE
                   ? name
                   : NULL;
    }
    return g_str_has_prefix(name, "user.") ? name : NULL;
}

/* The path of a node's descriptor until unreach; -errno. */
static int reach(FsNode *node, char path[LOCAL_PATH_SIZE])
{
    Local *local = local_of(node);
    int fd;

    g_rw_lock_reader_lock(&local->names);
    fd = local_take(local_node(node));
    if (fd < 0) {
        g_rw_lock_reader_unlock(&local->names);
        return fd;
    }
    local_fd_path(fd, path);
    return 0;
}

static void unreach(FsNode *node)
{
    local_give(local_node(node));
    g_rw_lock_reader_unlock(&local_of(node)->names);
}

ssize_t local_get_xattr(FsNode *node, const char *name, void *value, size_t size)
{
    char path[LOCAL_PATH_SIZE];
    int error;
    g_autofree char *host = host_name(local_of(node), name, &error);
    ssize_t result;

    if (!host) {
        return error;
    }
    error = reach(node, path);
    if (error) {
        return error;
    }
    result = getxattr(path, host, value, size);
    result = result < 0 ? -errno : result;
    unreach(node);
    return result;
}

ssize_t local_list_xattrs(FsNode *node, char *names, size_t size)
{
    char path[LOCAL_PATH_SIZE];
    g_autofree char *all = g_malloc(LIST_MOST);
    int error = reach(node, path);
    ssize_t listed, used = 0;

    if (error) {
        return error;
    }
    listed = listxattr(path, all, LIST_MOST);
    error = -errno;
    unreach(node);
    if (listed < 0) {
        return error;
    }
    for (const char *name = all; name < all + listed; name += strlen(name) + 1) {
        const char *shown = guest_name(local_of(node), name);
        size_t length = shown ? strlen(shown) + 1 : 0;

        if (shown && size && used + length > size) {
            return -ERANGE;
        }
        if (shown && size) {
            memcpy(names + used, shown, length);
        }
        used += (ssize_t)length;
    }
    return used;
}

/* Sets the attribute, or removes it where value is NULL. */
static int change_xattr(FsNode *node, const char *name, const void *value, size_t size, int flags)
{
    char path[LOCAL_PATH_SIZE];
    int error;
    g_autofree char *host = host_name(local_of(node), name, &error);

    if (local_of(node)->read_only) {
        return -EROFS;
    }
    if (!host) {
        return error == -ENODATA ? -EACCES : error;
    }
    error = reach(node, path);
    if (error) {
        return error;
    }
    if (value ? setxattr(path, host, value, size, flags) : removexattr(path, host)) {
        error = -errno;
    }
    unreach(node);
    return error;
}

int local_set_xattr(FsNode *node, const char *name, const void *value, size_t size, int flags)
{
    return change_xattr(node, name, value ? value : "", size, flags);
}

int local_remove_xattr(FsNode *node, const char *name)
{
    return change_xattr(node, name, NULL, 0, 0);
}
