/* SPDX-License-Identifier: MIT */
/*
 * A folder of the host as a FAT file system: the tree that is made of it when the disk is opened, the disk that the guest
 * sees (that tree and what has been written over it), and the way of what was written back to the folder.
 */
#ifndef BLOCK_FORMATS_VVFAT_H
#define BLOCK_FORMATS_VVFAT_H

#include "base/bits.h"
#include "base/error.h"

#include <string.h>

enum {
    VVFAT_SECTOR = 512,
    VVFAT_ENTRY = 32,
    VVFAT_DEPTH_MAX = 64,
    VVFAT_FIRST_CLUSTER = 2,
    /* What a guest can make of one disk on the host; empty files take no clusters. */
    VVFAT_ENTRIES_MAX = 1 << 16,
};

/* Directory entries. */
enum {
    ATTRIBUTE_LABEL = 0x08,
    ATTRIBUTE_FOLDER = 0x10,
    ATTRIBUTE_ARCHIVE = 0x20,
    ATTRIBUTE_LONG_NAME = 0x0f,
    LAST_LONG = 0x40,
    LONG_CHARACTERS = 13, /* UTF-16 units in one entry */
    LONG_NAME_MAX = 255,
};
extern const uint8_t vvfat_long_places[LONG_CHARACTERS];
/* Of the 11 characters of a short name. */
uint8_t vvfat_short_checksum(const char *name);

/* Sizes are in sectors unless they say otherwise. */
typedef struct {
    unsigned bits; /* 12, 16 or 32 */
    bool floppy;
    unsigned cylinders, heads, per_track;
    unsigned cluster; /* sectors of one */
    uint64_t hidden;  /* before the file system: partition table and its track */
    uint64_t total;   /* of the file system */
    unsigned reserved, fat, root_entries;
    uint64_t clusters;
    char label[12];
} VvfatLayout;

static inline uint64_t vvfat_cluster_bytes(const VvfatLayout *layout)
{
    return (uint64_t)layout->cluster * VVFAT_SECTOR;
}

/* The first sector of the data area; with table and root, from the disk's first. */
static inline uint64_t vvfat_root_sector(const VvfatLayout *layout)
{
    return layout->hidden + layout->reserved + 2 * layout->fat;
}

static inline uint64_t vvfat_cluster_sector(const VvfatLayout *layout, uint32_t cluster)
{
    return vvfat_root_sector(layout) + layout->root_entries * VVFAT_ENTRY / VVFAT_SECTOR +
           (uint64_t)(cluster - VVFAT_FIRST_CLUSTER) * layout->cluster;
}

/* A file or folder of the file system, and where it is on the host. */
typedef struct VvfatEntry {
    struct VvfatEntry *parent; /* NULL: the root */
    char *name;                /* as the guest sees it */
    char *leaf;                /* as the host shall have it */
    char *host;                /* path from the folder on; NULL: not there (yet) */
    bool folder;
    bool stale;          /* a file: the host's has not all that it should have */
    bool placed;         /* while changes are brought to the host: it is where it belongs */
    bool limbo;          /* in no folder of the guest's, and not given up by it */
    uint32_t size, time; /* bytes; date and time of day of FAT */
    GArray *chain;       /* of clusters, uint32_t */
    GPtrArray *children;
    struct VvfatEntry *before; /* what it was at the last time */
} VvfatEntry;

GPtrArray *vvfat_entries_new(void);
/* Appended to the parent's children. */
VvfatEntry *vvfat_entry_new(VvfatEntry *parent, const char *name, bool folder);
/* With all below it. */
void vvfat_entry_free(VvfatEntry *entry);
/* 0: it has no clusters. */
uint32_t vvfat_first_cluster(const VvfatEntry *entry);
/* A path of a name in a folder, whose path may be "". */
char *vvfat_join(const char *folder, const char *name);

/* What is in the clusters from `first` on: a folder's entries or a file's content. */
typedef struct {
    uint32_t first, count;
    char *path; /* of a file, from the folder on; NULL: data */
    uint8_t *data;
    uint64_t size; /* bytes */
} VvfatExtent;

typedef struct {
    VvfatLayout layout;
    char *folder;
    GArray *extents; /* VvfatExtent, by cluster */
    VvfatEntry *model;
    unsigned entries;
    uint8_t *fat, *root; /* root: NULL for 32 bits, whose root is an extent */
    uint32_t root_cluster, next_cluster;
} VvfatTree;

void vvfat_layout_init(VvfatLayout *layout, unsigned bits, bool floppy, const char *label);
/* Reads the folder; files' contents are left where they are. */
bool vvfat_tree_build(VvfatTree *tree, const char *folder, GError **error);
void vvfat_tree_clear(VvfatTree *tree);
/* What the cluster is of; NULL: free. */
const VvfatExtent *vvfat_find(const VvfatTree *tree, uint32_t cluster);
/* The boot sector, and the partition table's. */
void vvfat_store_boot(const VvfatTree *tree, uint8_t *sector);
void vvfat_store_partitions(const VvfatTree *tree, uint8_t *sector);

/* The disk. All that follows may block, and runs for one caller at a time. Results are 0 or a negative errno. */
typedef struct {
    VvfatTree tree;
    uint8_t boot[VVFAT_SECTOR], partitions[VVFAT_SECTOR], info[VVFAT_SECTOR];
    int folder_fd;
    int fd; /* of the file that was read last, -1: none */
    const char *fd_path;
    int written_fd;   /* what the guest has written, each byte at its place; -1: read-only */
    uint8_t *written; /* a bit for each sector: in written_fd */
    uint8_t *changed; /* a bit for each cluster: written since the folder was brought up to date */
    bool dirty;       /* anything was */
    GPtrArray *limbo; /* VvfatEntry; roots of what the guest may have in no folder for a while */
    unsigned temporary;
    GHashTable *complaints; /* what has been said, as a set */
} VvfatDisk;

bool vvfat_disk_open(VvfatDisk *disk, const char *folder, bool writable, GError **error);
void vvfat_disk_close(VvfatDisk *disk);
uint64_t vvfat_disk_sectors(const VvfatDisk *disk);
int vvfat_disk_read(VvfatDisk *disk, uint64_t offset, uint64_t bytes, uint8_t *out);
/* -EPERM: it would make another file system of it. */
int vvfat_disk_write(VvfatDisk *disk, uint64_t offset, uint64_t bytes, const uint8_t *data);
/* One cluster of the data area. */
int vvfat_disk_read_cluster(VvfatDisk *disk, uint32_t cluster, uint8_t *out);
/* Keeps the cluster's content, whatever happens to the file that it was read from. */
int vvfat_disk_pin(VvfatDisk *disk, uint32_t cluster);
/* No file that was read is open any more: some move. */
void vvfat_disk_forget_file(VvfatDisk *disk);
/* In the log, once for each text. */
void vvfat_disk_complain(VvfatDisk *disk, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline bool vvfat_bit(const uint8_t *bits, uint64_t n)
{
    return bits[n / 8] >> n % 8 & 1;
}

/*
 * The files and folders of the disk as it is now. NULL with an error: the tables do not fit together, as in the
 * middle of a change. *lost: a bit for each cluster that is in use and no file's; the caller frees it.
 */
VvfatEntry *vvfat_state_read(VvfatDisk *disk, uint8_t **lost, GError **error);

/* Paths in the folder. Results are 0 or a negative errno. */
/* replace: what is at `to` goes; otherwise -EEXIST. */
int vvfat_host_rename(const VvfatDisk *disk, const char *from, const char *to, bool replace);
int vvfat_host_remove(const VvfatDisk *disk, const char *path, bool folder);
int vvfat_host_make_folder(const VvfatDisk *disk, const char *path);
/* For writing, with flags of open; a descriptor, or -1 and errno: ELOOP where it is a link. */
int vvfat_host_open(const VvfatDisk *disk, const char *path, int flags);

/*
 * Makes the folder what the disk says, if that is consistent; otherwise false with an error. What the host refuses
 * is complained of, and tried again the next time. sync: is durable then.
 */
bool vvfat_commit(VvfatDisk *disk, bool sync, GError **error);

#endif
