/* SPDX-License-Identifier: MIT */
/*
 * Brings what a guest has written to the folder of the host. The files of the disk are compared with what they were the last
 * time: by name and place, then by first cluster (a file that has moved). Folders, moves and contents come from the root down, at
 * last what is gone. A file that no folder has while its clusters are in use may be on its way to another folder, or be open in the guest: it
 * is in limbo, and stays on the host. Every path is resolved below the folder and through no link.
 */
#include "block/formats/vvfat.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    VvfatDisk *disk;
    VvfatEntry *before, *now;
    GPtrArray *old;       /* all of before but the root, and those in limbo, parents first */
    GPtrArray *limbo;     /* the roots of those that were */
    GHashTable *clusters; /* first cluster -> VvfatEntry of old that is free to be taken */
    uint8_t *lost;        /* a bit for each cluster: in use, and no file's */
} Commit;

/* Who is who. */

static void take(Commit *c, VvfatEntry *now, VvfatEntry *old)
{
    uint32_t first = vvfat_first_cluster(old);

    now->before = old;
    old->before = now;
    now->host = g_strdup(old->host);
    if (!strcmp(now->name, old->name) && old->parent && old->parent->before == now->parent) {
        g_free(now->leaf);
        now->leaf = g_strdup(old->leaf); /* FAT may not have it letter for letter */
    }
    now->stale = old->stale;
    if (g_hash_table_lookup(c->clusters, GUINT_TO_POINTER(first)) == old) {
        g_hash_table_remove(c->clusters, GUINT_TO_POINTER(first));
    }
}

/* The children that have kept their names; in all folders below that have, too. */
static void take_by_name(Commit *c, VvfatEntry *now, VvfatEntry *old)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < old->children->len; i++) {
        VvfatEntry *child = old->children->pdata[i];

        if (!child->before) {
            g_hash_table_insert(names, child->name, child);
        }
    }
    for (guint i = 0; i < now->children->len; i++) {
        VvfatEntry *child = now->children->pdata[i];
        VvfatEntry *same = g_hash_table_lookup(names, child->name);

        if (!child->before && same && !same->before && same->folder == child->folder) {
            take(c, child, same);
            if (child->folder) {
                take_by_name(c, child, same);
            }
        }
    }
}

/* Those that have another name or place now. */
static void take_by_cluster(Commit *c, VvfatEntry *now)
{
    for (guint i = 0; i < now->children->len; i++) {
        VvfatEntry *child = now->children->pdata[i];
        uint32_t first = vvfat_first_cluster(child);
        VvfatEntry *moved =
            first ? g_hash_table_lookup(c->clusters, GUINT_TO_POINTER(first)) : NULL;

        if (!child->before && moved && moved->folder == child->folder) {
            take(c, child, moved);
            if (child->folder) {
                take_by_name(c, child, moved);
            }
        }
        take_by_cluster(c, child);
    }
}

static void list_old(Commit *c, GPtrArray *entries)
{
    for (guint i = 0; i < entries->len; i++) {
        VvfatEntry *entry = entries->pdata[i];
        uint32_t first = vvfat_first_cluster(entry);

        entry->before = NULL;
        entry->placed = entry->limbo = false;
        g_ptr_array_add(c->old, entry);
        if (first) {
            g_hash_table_insert(c->clusters, GUINT_TO_POINTER(first), entry);
        }
        list_old(c, entry->children);
    }
}

/* What stays readable. */

static bool lies_at(const VvfatDisk *disk, const VvfatEntry *file, guint i)
{
    uint32_t cluster = g_array_index(file->chain, uint32_t, i);
    const VvfatExtent *extent = vvfat_find(&disk->tree, cluster);

    return !extent || !extent->path ||
           (file->host && !strcmp(extent->path, file->host) && cluster - extent->first == i);
}

/* Clusters of other files than they were read from, or elsewhere in them, are kept: those will change. */
static bool pin_moved(Commit *c, const VvfatEntry *folder)
{
    for (guint n = 0; n < folder->children->len; n++) {
        const VvfatEntry *entry = folder->children->pdata[n];

        for (guint i = 0; !entry->folder && i < entry->chain->len; i++) {
            if (!lies_at(c->disk, entry, i) &&
                vvfat_disk_pin(c->disk, g_array_index(entry->chain, uint32_t, i)) < 0) {
                return false;
            }
        }
        if (!pin_moved(c, entry)) {
            return false;
        }
    }
    return true;
}

/* Places. */

static char *moved_path(const char *path, const char *from, const char *to)
{
    size_t length = strlen(from);

    if (strncmp(path, from, length) != 0 || (path[length] && path[length] != '/')) {
        return NULL;
    }
    return g_strconcat(to, path + length, NULL);
}

static void replace_path(char **path, const char *from, const char *to)
{
    char *moved = *path ? moved_path(*path, from, to) : NULL;

    if (moved) {
        g_free(*path);
        *path = moved;
    }
}

static void update_entries(const VvfatEntry *folder, const char *from, const char *to)
{
    for (guint i = 0; i < folder->children->len; i++) {
        VvfatEntry *entry = folder->children->pdata[i];

        replace_path(&entry->host, from, to);
        update_entries(entry, from, to);
    }
}

/* All that is known of places on the host, after `from` has become `to` (NULL: has gone). */
static void update_paths(Commit *c, const char *from, const char *to)
{
    GArray *extents = c->disk->tree.extents;

    vvfat_disk_forget_file(c->disk);
    for (guint i = 0; i < extents->len; i++) {
        VvfatExtent *extent = &g_array_index(extents, VvfatExtent, i);

        if (to) {
            replace_path(&extent->path, from, to);
        } else if (extent->path && !strcmp(extent->path, from)) {
            g_clear_pointer(&extent->path, g_free);
            extent->size = 0;
        }
    }
    for (guint i = 0; to && i < c->old->len; i++) {
        VvfatEntry *old = c->old->pdata[i];

        replace_path(&old->host, from, to);
    }
    if (to) {
        update_entries(c->now, from, to);
    }
}

static int move(Commit *c, const char *from, const char *to)
{
    g_autofree char *source = g_strdup(from), *target = g_strdup(to);
    int result = vvfat_host_rename(c->disk, source, target, false);

    if (result == 0) {
        update_paths(c, source, target);
    }
    return result;
}

static char *temporary_path(Commit *c)
{
    return g_strdup_printf(".kaso-vvfat-%d-%u", (int)getpid(), c->disk->temporary++);
}

static int move_away(Commit *c, const char *path)
{
    g_autofree char *away = temporary_path(c);

    return move(c, path, away);
}

/* Moves whoever is at a path and has not been placed out of the way; false: nobody that we know. */
static bool vacate(Commit *c, const char *path)
{
    for (guint i = 0; i < c->old->len; i++) {
        VvfatEntry *old = c->old->pdata[i];

        if (old->host && !strcmp(old->host, path) && !(old->before && old->before->placed)) {
            return move_away(c, path) == 0;
        }
    }
    return false;
}

/* Done by `act`, which says -EEXIST where somebody is in the way. */
static int at_free_place(Commit *c, int (*act)(Commit *c, const char *from, const char *to),
                         const char *from, const char *to)
{
    int result = act(c, from, to);

    if (result == -EEXIST && vacate(c, to)) {
        result = act(c, from, to);
    }
    return result;
}

static int make_folder(Commit *c, const char *from, const char *to)
{
    return vvfat_host_make_folder(c->disk, to);
}

/* Contents. */

static int write_all(int fd, uint64_t offset, uint64_t bytes, const uint8_t *data)
{
    while (bytes) {
        ssize_t n = pwrite(fd, data, bytes, (off_t)offset);

        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n > 0) {
            data += n;
            offset += (uint64_t)n;
            bytes -= (uint64_t)n;
        }
    }
    return 0;
}

/* Whether the host's file may have something else there. */
static bool cluster_differs(const VvfatDisk *disk, const VvfatEntry *file, guint i)
{
    const VvfatEntry *old = file->before;
    uint32_t cluster = g_array_index(file->chain, uint32_t, i);

    return !old || file->stale || i >= old->chain->len ||
           g_array_index(old->chain, uint32_t, i) != cluster ||
           vvfat_bit(disk->changed, cluster - VVFAT_FIRST_CLUSTER) ||
           (file->size > old->size &&
            (i + 1) * vvfat_cluster_bytes(&disk->tree.layout) > old->size);
}

static bool file_differs(const VvfatDisk *disk, const VvfatEntry *file)
{
    uint64_t size = vvfat_cluster_bytes(&disk->tree.layout);
    bool differs = !file->before || file->stale || file->size != file->before->size ||
                   file->time != file->before->time;

    for (guint i = 0; !differs && i * size < file->size; i++) {
        differs = cluster_differs(disk, file, i);
    }
    return differs;
}

static void set_time(int fd, uint32_t time)
{
    struct tm tm = { .tm_sec = (int)bits_extract(time, 0, 5) * 2,
                     .tm_min = (int)bits_extract(time, 5, 6),
                     .tm_hour = (int)bits_extract(time, 11, 5),
                     .tm_mday = (int)bits_extract(time, 16, 5),
                     .tm_mon = (int)bits_extract(time, 21, 4) - 1,
                     .tm_year = (int)bits_extract(time, 25, 7) + 80,
                     .tm_isdst = -1 };
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = mktime(&tm) } };

    if (time >> 16) {
        (void)futimens(fd, times); /* a file that is right but for its time is right */
    }
}

/* whole: nothing of it is there. */
static int write_content(VvfatDisk *disk, const VvfatEntry *file, int fd, bool whole)
{
    uint64_t size = vvfat_cluster_bytes(&disk->tree.layout);
    g_autofree uint8_t *data = g_malloc(size);
    int result = 0;

    for (guint i = 0; result == 0 && i * size < file->size; i++) {
        if (whole || cluster_differs(disk, file, i)) {
            result = vvfat_disk_read_cluster(disk, g_array_index(file->chain, uint32_t, i), data);
            result = result < 0 ? result
                                : write_all(fd, i * size, MIN(size, file->size - i * size), data);
        }
    }
    if (result == 0 && ftruncate(fd, file->size) < 0) {
        result = -errno;
    }
    set_time(fd, file->time);
    return result;
}

/* As a new file, which appears when it is complete. replace: in the place of one that is there. */
static int write_new(Commit *c, const VvfatEntry *file, const char *path, bool replace)
{
    g_autofree char *temporary = temporary_path(c);
    int fd = vvfat_host_open(c->disk, temporary, O_CREAT | O_EXCL), result;

    if (fd < 0) {
        return -errno;
    }
    result = write_content(c->disk, file, fd, true);
    close(fd);
    if (result == 0) {
        vvfat_disk_forget_file(c->disk);
        result = replace ? vvfat_host_rename(c->disk, temporary, path, true)
                         : at_free_place(c, move, temporary, path);
    }
    if (result < 0) {
        vvfat_host_remove(c->disk, temporary, false);
    }
    return result;
}

/* A link is not followed, a file takes the place of it. */
static int write_changes(Commit *c, const VvfatEntry *file)
{
    int fd = vvfat_host_open(c->disk, file->host, 0), result;
    struct stat st;

    if (fd < 0 && errno == ELOOP) {
        return write_new(c, file, file->host, true);
    }
    if (fd < 0) {
        return -errno;
    }
    result = fstat(fd, &st) < 0     ? -errno
             : !S_ISREG(st.st_mode) ? -EEXIST
                                    : write_content(c->disk, file, fd, false);
    close(fd);
    return result;
}

/* All of it. */

static void complain(Commit *c, const char *what, const char *path, int result)
{
    vvfat_disk_complain(c->disk,
                        "could not %s '%s': %s; the guest's change is kept for the next time", what,
                        path, g_strerror(-result));
}

static void place_folder(Commit *c, VvfatEntry *folder, const char *path)
{
    int result = folder->host ? at_free_place(c, move, folder->host, path)
                              : at_free_place(c, make_folder, NULL, path);

    if (result < 0) {
        complain(c, folder->host ? "rename" : "make the folder", folder->host ? folder->host : path,
                 result);
    } else if (!folder->host) {
        folder->host = g_strdup(path);
    }
}

static void place_file(Commit *c, VvfatEntry *file, const char *path)
{
    int result = 0;

    if (file->host && strcmp(file->host, path) != 0) {
        result = at_free_place(c, move, file->host, path);
        if (result < 0) {
            complain(c, "rename", file->host, result);
        }
    }
    if (!file->host) {
        result = write_new(c, file, path, false);
        file->host = result < 0 ? NULL : g_strdup(path);
    } else if (file_differs(c->disk, file)) {
        result = write_changes(c, file);
        file->stale = result < 0;
    } else {
        return;
    }
    if (result < 0) {
        complain(c, "write", path, result);
    }
}

static void place_all(Commit *c, const VvfatEntry *folder)
{
    for (guint i = 0; i < folder->children->len; i++) {
        VvfatEntry *entry = folder->children->pdata[i];
        g_autofree char *path = vvfat_join(folder->host, entry->leaf);

        if (!entry->folder) {
            place_file(c, entry, path);
        } else if (!entry->host || strcmp(entry->host, path) != 0) {
            place_folder(c, entry, path);
        }
        entry->placed = entry->host && !strcmp(entry->host, path);
        if (entry->host) {
            place_all(c, entry);
        }
    }
}

/* Whom nobody has taken, and who may come back; parents come first. */
static void find_limbo(Commit *c)
{
    for (guint i = 0; i < c->old->len; i++) {
        VvfatEntry *old = c->old->pdata[i];
        uint32_t first = vvfat_first_cluster(old);

        old->limbo = !old->before && old->host &&
                     (first ? vvfat_bit(c->lost, first) : old->parent && old->parent->limbo);
        if (old->limbo && old->parent && !old->parent->limbo && !old->parent->before) {
            (void)move_away(c, old->host); /* its folder goes */
        }
    }
}

static void remove_gone(Commit *c)
{
    for (guint i = c->old->len; i-- > 0;) {
        const VvfatEntry *old = c->old->pdata[i];
        int result;

        if (old->before || old->limbo || !old->host) {
            continue;
        }
        result = vvfat_host_remove(c->disk, old->host, old->folder);
        if (result < 0 && result != -ENOENT) {
            vvfat_disk_complain(c->disk, "could not remove '%s', as the guest has: %s", old->host,
                                g_strerror(-result));
        }
        update_paths(c, old->host, NULL);
    }
}

static void prune(VvfatEntry *entry)
{
    for (guint i = entry->children->len; i-- > 0;) {
        VvfatEntry *child = entry->children->pdata[i];

        if (child && child->limbo) {
            prune(child);
        } else {
            g_ptr_array_remove_index(entry->children, i);
        }
    }
}

/* Out of the tree, or the list, that is freed. */
static void keep_limbo(Commit *c)
{
    GPtrArray *kept = c->disk->limbo;

    for (guint i = 0; i < c->old->len; i++) {
        VvfatEntry *old = c->old->pdata[i];
        GPtrArray *owner = old->parent ? old->parent->children : c->limbo;
        guint at;

        if (old->limbo && !(old->parent && old->parent->limbo) &&
            g_ptr_array_find(owner, old, &at)) {
            owner->pdata[at] = NULL;
            old->parent = NULL;
            g_ptr_array_add(kept, old);
        }
    }
    for (guint i = 0; i < kept->len; i++) {
        prune(kept->pdata[i]);
    }
}

static void bring(Commit *c)
{
    VvfatDisk *disk = c->disk;

    list_old(c, c->before->children);
    list_old(c, disk->limbo);
    c->before->before = c->now;
    c->now->before = c->before;
    take_by_name(c, c->now, c->before);
    take_by_cluster(c, c->now);
    if (!pin_moved(c, c->now)) {
        vvfat_disk_complain(disk, "files could not be read; nothing is changed");
        return;
    }
    place_all(c, c->now);
    find_limbo(c);
    remove_gone(c);
    c->limbo = g_steal_pointer(&disk->limbo);
    disk->limbo = vvfat_entries_new();
    keep_limbo(c);
    g_ptr_array_unref(c->limbo);
    disk->tree.model = c->now;
    c->now = c->before;
    memset(disk->changed, 0, disk->tree.layout.clusters / 8 + 1);
    disk->dirty = false;
}

bool vvfat_commit(VvfatDisk *disk, bool sync, GError **error)
{
    Commit c = { .disk = disk, .before = disk->tree.model };

    if (!disk->dirty) {
        return true;
    }
    c.now = vvfat_state_read(disk, &c.lost, error);
    if (!c.now) {
        return false;
    }
    c.old = g_ptr_array_new();
    c.clusters = g_hash_table_new(NULL, NULL);
    bring(&c);
    g_ptr_array_unref(c.old);
    g_hash_table_unref(c.clusters);
    vvfat_entry_free(c.now);
    g_free(c.lost);
    if (sync) {
        (void)syncfs(disk->folder_fd);
    }
    return true;
}
