/* SPDX-License-Identifier: MIT */
/* The disk of a vvfat: the file system that was made of the folder, and over it the sectors that were written. */
#include "block/formats/vvfat.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

enum { COMPLAINTS_MAX = 100 };

void vvfat_disk_complain(VvfatDisk *disk, const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    if (g_hash_table_size(disk->complaints) < COMPLAINTS_MAX &&
        !g_hash_table_contains(disk->complaints, text)) {
        log_printf("vvfat '%s': %s\n", disk->tree.folder, text);
        g_hash_table_add(disk->complaints, text);
        return;
    }
    g_free(text);
}

uint64_t vvfat_disk_sectors(const VvfatDisk *disk)
{
    return disk->tree.layout.hidden + disk->tree.layout.total;
}

/* FSINFO of FAT32. */
static void store_info(VvfatDisk *disk)
{
    const VvfatTree *tree = &disk->tree;

    store_le32(disk->info, 0x41615252);
    store_le32(disk->info + 484, 0x61417272);
    store_le32(disk->info + 488,
               (uint32_t)(tree->layout.clusters + VVFAT_FIRST_CLUSTER - tree->next_cluster));
    store_le32(disk->info + 492, tree->next_cluster);
    store_le32(disk->info + 508, 0xaa550000);
}

/* A file without a name for what is written. */
static bool open_written(VvfatDisk *disk, GError **error)
{
    const char *folder = getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp";
    g_autofree char *path = g_strdup_printf("%s/kaso-vvfat-XXXXXX", folder);
    uint64_t sectors = vvfat_disk_sectors(disk);

    disk->written_fd = mkostemp(path, O_CLOEXEC);
    if (disk->written_fd >= 0) {
        unlink(path);
    }
    if (disk->written_fd < 0 || ftruncate(disk->written_fd, (off_t)(sectors * VVFAT_SECTOR)) < 0) {
        return error_fail_errno(error, errno,
                                "Could not make the temporary file '%s' for what is written to "
                                "'%s' (set TMPDIR to a folder with room)",
                                path, disk->tree.folder);
    }
    disk->written = g_malloc0(sectors / 8 + 1);
    disk->changed = g_malloc0(sectors / disk->tree.layout.cluster / 8 + 1);
    return true;
}

bool vvfat_disk_open(VvfatDisk *disk, const char *folder, bool writable, GError **error)
{
    disk->fd = disk->written_fd = -1;
    disk->limbo = vvfat_entries_new();
    disk->complaints = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    disk->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (disk->folder_fd < 0) {
        return error_fail_errno(error, errno, "Could not open the folder '%s'", folder);
    }
    if (!vvfat_tree_build(&disk->tree, folder, error) || (writable && !open_written(disk, error))) {
        return false;
    }
    if (writable && disk->tree.entries > VVFAT_ENTRIES_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "'%s' has %u files and folders, %d is the most of one that is writable",
                          folder, disk->tree.entries, VVFAT_ENTRIES_MAX);
    }
    vvfat_store_boot(&disk->tree, disk->boot);
    vvfat_store_partitions(&disk->tree, disk->partitions);
    store_info(disk);
    return true;
}

void vvfat_disk_forget_file(VvfatDisk *disk)
{
    if (disk->fd >= 0) {
        close(disk->fd);
    }
    disk->fd = -1;
    disk->fd_path = NULL;
}

void vvfat_disk_close(VvfatDisk *disk)
{
    vvfat_disk_forget_file(disk);
    if (disk->folder_fd >= 0) {
        close(disk->folder_fd);
    }
    if (disk->written_fd >= 0) {
        close(disk->written_fd);
    }
    g_free(disk->written);
    g_free(disk->changed);
    g_ptr_array_unref(disk->limbo);
    g_hash_table_unref(disk->complaints);
    vvfat_tree_clear(&disk->tree);
}

/* Reading. */

/* What the file does not have reads as zeroes; out is zero. */
static int read_all(int fd, uint64_t offset, uint64_t bytes, uint8_t *out)
{
    while (bytes) {
        ssize_t n = pread(fd, out, bytes, (off_t)offset);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : 0;
        }
        out += n;
        offset += (uint64_t)n;
        bytes -= (uint64_t)n;
    }
    return 0;
}

static int read_file(VvfatDisk *disk, const VvfatExtent *extent, uint64_t offset, uint64_t bytes,
                     uint8_t *out)
{
    if (disk->fd_path != extent->path) {
        vvfat_disk_forget_file(disk);
        disk->fd = openat(disk->folder_fd, extent->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (disk->fd < 0) {
            return -errno;
        }
        disk->fd_path = extent->path;
    }
    return read_all(disk->fd, offset, bytes, out);
}

/* A part of what is in memory, zeroes behind it. */
static void copy_part(const uint8_t *data, uint64_t size, uint64_t at, uint8_t *out, uint64_t bytes)
{
    if (at < size) {
        memcpy(out, data + at, MIN(bytes, size - at));
    }
}

/* sectors: up to there it may read on in the same extent, at most until *count. */
static int read_data(VvfatDisk *disk, uint64_t sector, uint64_t *count, uint8_t *out)
{
    uint64_t size = vvfat_cluster_bytes(&disk->tree.layout), bytes, offset;
    uint32_t cluster = (uint32_t)(sector / disk->tree.layout.cluster) + VVFAT_FIRST_CLUSTER;
    const VvfatExtent *extent = vvfat_find(&disk->tree, cluster);
    uint64_t in_cluster = sector % disk->tree.layout.cluster;

    if (!extent) {
        *count = MIN(*count, disk->tree.layout.cluster - in_cluster);
        return 0;
    }
    offset = (cluster - extent->first) * size + in_cluster * VVFAT_SECTOR;
    *count = MIN(*count, (extent->count * size - offset) / VVFAT_SECTOR);
    bytes = *count * VVFAT_SECTOR;
    if (!extent->path) {
        copy_part(extent->data, extent->size, offset, out, bytes);
        return 0;
    }
    bytes = offset < extent->size ? MIN(bytes, extent->size - offset) : 0;
    return bytes ? read_file(disk, extent, offset, bytes, out) : 0;
}

static void read_reserved(const VvfatDisk *disk, uint64_t at, uint8_t *out)
{
    bool wide = disk->tree.layout.bits == 32;

    if (at == 0 || (wide && at == 6)) {
        memcpy(out, disk->boot, VVFAT_SECTOR);
    } else if (wide && (at == 1 || at == 7)) {
        memcpy(out, disk->info, VVFAT_SECTOR);
    }
}

/* The file system as it was made: up to *count sectors, at least one; out is zero. */
static int read_made(VvfatDisk *disk, uint64_t sector, uint64_t *count, uint8_t *out)
{
    const VvfatLayout *l = &disk->tree.layout;
    uint64_t root = l->root_entries * VVFAT_ENTRY / VVFAT_SECTOR;

    if (sector >= vvfat_root_sector(l) + root) {
        return read_data(disk, sector - vvfat_root_sector(l) - root, count, out);
    }
    *count = 1;
    if (sector < l->hidden) {
        copy_part(disk->partitions, VVFAT_SECTOR, sector * VVFAT_SECTOR, out, VVFAT_SECTOR);
    } else if (sector < l->hidden + l->reserved) {
        read_reserved(disk, sector - l->hidden, out);
    } else if (sector < vvfat_root_sector(l)) {
        sector -= l->hidden + l->reserved;
        memcpy(out, disk->tree.fat + sector % l->fat * VVFAT_SECTOR, VVFAT_SECTOR);
    } else {
        sector -= vvfat_root_sector(l);
        memcpy(out, disk->tree.root + sector * VVFAT_SECTOR, VVFAT_SECTOR);
    }
    return 0;
}

/* How many sectors from there on are written, or are not, as the first. */
static uint64_t run_of(const VvfatDisk *disk, uint64_t sector, uint64_t count, bool *written)
{
    uint64_t n = 1;

    *written = disk->written && vvfat_bit(disk->written, sector);
    while (n < count && disk->written && vvfat_bit(disk->written, sector + n) == *written) {
        n++;
    }
    return disk->written ? n : count;
}

int vvfat_disk_read(VvfatDisk *disk, uint64_t offset, uint64_t bytes, uint8_t *out)
{
    uint64_t sector = offset / VVFAT_SECTOR, left = bytes / VVFAT_SECTOR;
    int result = 0;

    memset(out, 0, bytes);
    while (left && result == 0) {
        bool written;
        uint64_t count = run_of(disk, sector, left, &written);

        result = written
                     ? read_all(disk->written_fd, sector * VVFAT_SECTOR, count * VVFAT_SECTOR, out)
                     : read_made(disk, sector, &count, out);
        out += count * VVFAT_SECTOR;
        sector += count;
        left -= count;
    }
    return result;
}

int vvfat_disk_read_cluster(VvfatDisk *disk, uint32_t cluster, uint8_t *out)
{
    const VvfatLayout *l = &disk->tree.layout;

    return vvfat_disk_read(disk, vvfat_cluster_sector(l, cluster) * VVFAT_SECTOR,
                           vvfat_cluster_bytes(l), out);
}

/* Writing. */

static int write_over(VvfatDisk *disk, uint64_t offset, uint64_t bytes, const uint8_t *data)
{
    uint64_t sector = offset / VVFAT_SECTOR, end = (offset + bytes) / VVFAT_SECTOR;

    while (bytes) {
        ssize_t n = pwrite(disk->written_fd, data, bytes, (off_t)offset);

        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n > 0) {
            data += n;
            offset += (uint64_t)n;
            bytes -= (uint64_t)n;
        }
    }
    for (; sector < end; sector++) {
        disk->written[sector / 8] |= (uint8_t)(1u << sector % 8);
    }
    return 0;
}

/*
 * The fields that say how large the file system is and where its parts lie, and the partition's entry, stay: with
 * others it would not be the folder's any more.
 */
static bool keeps_layout(const VvfatDisk *disk, uint64_t offset, uint64_t bytes,
                         const uint8_t *data)
{
    const VvfatLayout *l = &disk->tree.layout;
    const struct {
        uint64_t sector;
        const uint8_t *made;
        unsigned from, to;
    } kept[] = {
        { 0, disk->partitions, l->hidden ? 446 : 512, 512 },
        { l->hidden, disk->boot, 11, l->bits == 32 ? 52 : 36 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(kept); i++) {
        uint64_t at = kept[i].sector * VVFAT_SECTOR;

        if (at >= offset && at - offset < bytes &&
            memcmp(data + (at - offset) + kept[i].from, kept[i].made + kept[i].from,
                   kept[i].to - kept[i].from) != 0) {
            return false;
        }
    }
    return true;
}

int vvfat_disk_write(VvfatDisk *disk, uint64_t offset, uint64_t bytes, const uint8_t *data)
{
    const VvfatLayout *l = &disk->tree.layout;
    uint64_t first = vvfat_cluster_sector(l, VVFAT_FIRST_CLUSTER), sector = offset / VVFAT_SECTOR;

    if (!keeps_layout(disk, offset, bytes, data)) {
        vvfat_disk_complain(disk, "the guest would change the size or the parts of the file "
                                  "system, which a folder has not: it gets an error");
        return -EPERM;
    }
    for (uint64_t end = sector + bytes / VVFAT_SECTOR; sector < end; sector++) {
        if (sector >= first) {
            uint64_t n = (sector - first) / l->cluster;

            disk->changed[n / 8] |= (uint8_t)(1u << n % 8);
        }
    }
    disk->dirty = true;
    return write_over(disk, offset, bytes, data);
}

int vvfat_disk_pin(VvfatDisk *disk, uint32_t cluster)
{
    const VvfatLayout *l = &disk->tree.layout;
    uint64_t sector = vvfat_cluster_sector(l, cluster);
    g_autofree uint8_t *data = NULL;
    unsigned missing = 0;
    int result;

    for (unsigned i = 0; i < l->cluster; i++) {
        missing += !vvfat_bit(disk->written, sector + i);
    }
    if (!missing) {
        return 0;
    }
    data = g_malloc(vvfat_cluster_bytes(l));
    result = vvfat_disk_read_cluster(disk, cluster, data);
    return result < 0 ? result
                      : write_over(disk, sector * VVFAT_SECTOR, vvfat_cluster_bytes(l), data);
}
