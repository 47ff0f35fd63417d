/* SPDX-License-Identifier: MIT */
/*
 * Owners, modes and kinds of files in files (mapped-file): FOLDER/.virtfs_metadata/NAME has lines "virtfs.uid=N" with
 * .gid, .mode and .rdev in the same way, in decimal; .virtfs_metadata_root is the shared folder's own.
 */
#include "backends/fs/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { METADATA_MOST = 1024, METADATA_MODE = 0600, METADATA_FOLDER_MODE = 0700 };

bool local_metadata_reserved(const Local *local, const char *name)
{
    return local->security == SECURITY_MAPPED_FILE &&
           (strcmp(name, LOCAL_METADATA_FOLDER) == 0 || strcmp(name, LOCAL_METADATA_ROOT) == 0);
}

/* The folder of metadata in a folder; -errno. */
static int open_metadata_folder(int folder, bool make)
{
    int fd;

    if (make && mkdirat(folder, LOCAL_METADATA_FOLDER, METADATA_FOLDER_MODE) != 0 &&
        errno != EEXIST) {
        return -errno;
    }
    fd = openat(folder, LOCAL_METADATA_FOLDER, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Opens the metadata of a node; -errno. */
static int open_metadata(LocalNode *node, int flags)
{
    bool make = flags & O_CREAT;
    LocalNode *parent = node->parent ? node->parent : node;
    int folder, place, fd;

    flags |= O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    if (node->nameless) {
        return -ENOENT;
    }
    folder = local_take(parent);
    if (folder < 0) {
        return folder;
    }
    if (!node->parent) {
        fd = openat(folder, LOCAL_METADATA_ROOT, flags, METADATA_MODE);
        fd = fd < 0 ? -errno : fd;
    } else {
        fd = place = open_metadata_folder(folder, make);
        if (place >= 0) {
            fd = openat(place, node->name, flags, METADATA_MODE);
            fd = fd < 0 ? -errno : fd;
            close(place);
        }
    }
    local_give(parent);
    return fd;
}

static void parse_line(const char *line, LocalOwner *owner)
{
    const struct {
        const char *key;
        bool *given;
        uint32_t *value;
    } fields[] = {
        { "virtfs.uid=", &owner->has_uid, &owner->uid },
        { "virtfs.gid=", &owner->has_gid, &owner->gid },
        { "virtfs.mode=", &owner->has_mode, &owner->mode },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        if (g_str_has_prefix(line, fields[i].key)) {
            *fields[i].given = true;
            *fields[i].value = (uint32_t)strtoll(line + strlen(fields[i].key), NULL, 10);
        }
    }
    if (g_str_has_prefix(line, "virtfs.rdev=")) {
        owner->has_rdev = true;
        owner->rdev = strtoull(line + strlen("virtfs.rdev="), NULL, 10);
    }
}

int local_metadata_load(LocalNode *node, LocalOwner *owner)
{
    char text[METADATA_MOST + 1];
    int fd = open_metadata(node, O_RDONLY);
    ssize_t size;

    if (fd < 0) {
        return fd;
    }
    size = read(fd, text, METADATA_MOST);
    close(fd);
    text[MAX(size, 0)] = '\0';
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) {
            *next++ = '\0';
        }
        parse_line(line, owner);
    }
    return 0;
}

static char *owner_text(const LocalOwner *owner)
{
    GString *text = g_string_new(NULL);

    if (owner->has_uid) {
        g_string_append_printf(text, "virtfs.uid=%d\n", (int)owner->uid);
    }
    if (owner->has_gid) {
        g_string_append_printf(text, "virtfs.gid=%d\n", (int)owner->gid);
    }
    if (owner->has_mode) {
        g_string_append_printf(text, "virtfs.mode=%d\n", (int)owner->mode);
    }
    if (owner->has_rdev) {
        g_string_append_printf(text, "virtfs.rdev=%" G_GUINT64_FORMAT "\n", owner->rdev);
    }
    return g_string_free(text, false);
}

int local_metadata_store(LocalNode *node, const LocalOwner *owner)
{
    g_autofree char *text = NULL;
    LocalOwner all = { 0 };
    int fd, result;

    local_metadata_load(node, &all); /* what is not given stays */
    if (owner->has_uid) {
        all.has_uid = true;
        all.uid = owner->uid;
    }
    if (owner->has_gid) {
        all.has_gid = true;
        all.gid = owner->gid;
    }
    if (owner->has_mode) {
        all.has_mode = true;
        all.mode = owner->mode;
    }
    if (owner->has_rdev) {
        all.has_rdev = true;
        all.rdev = owner->rdev;
    }
    text = owner_text(&all);
    fd = open_metadata(node, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0) {
        return fd;
    }
    result = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -EIO;
    close(fd);
    return result;
}

static int move_metadata(Local *local, int from, const char *name, int to, const char *new_name,
                         bool keep)
{
    int source, target, result = 0;

    if (local->security != SECURITY_MAPPED_FILE) {
        return 0;
    }
    source = open_metadata_folder(from, false);
    if (source < 0) {
        local_metadata_unlink(to, new_name); /* of what was there before */
        return 0;
    }
    target = open_metadata_folder(to, true);
    if (target < 0) {
        result = target;
    } else if (keep) {
        result = linkat(source, name, target, new_name, 0) ? -errno : 0;
    } else if (renameat(source, name, target, new_name) != 0 && errno == ENOENT) {
        unlinkat(target, new_name, 0);
    }
    close(source);
    if (target >= 0) {
        close(target);
    }
    return result == -ENOENT ? 0 : result;
}

int local_metadata_rename(Local *local, int from, const char *name, int to, const char *new_name)
{
    return move_metadata(local, from, name, to, new_name, false);
}

int local_metadata_link(Local *local, int from, const char *name, int to, const char *new_name)
{
    return move_metadata(local, from, name, to, new_name, true);
}

void local_metadata_unlink(int folder, const char *name)
{
    int place = open_metadata_folder(folder, false);

    if (place >= 0) {
        unlinkat(place, name, 0);
        close(place);
    }
}

void local_metadata_empty(int folder, const char *name)
{
    int fd = openat(folder, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0) {
        unlinkat(fd, LOCAL_METADATA_FOLDER, AT_REMOVEDIR);
        close(fd);
    }
}
