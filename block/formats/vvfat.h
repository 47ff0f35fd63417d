/* SPDX-License-Identifier: MIT */
/* A folder of the host as a FAT file system: what the driver reads from. */
#ifndef BLOCK_FORMATS_VVFAT_H
#define BLOCK_FORMATS_VVFAT_H

#include "base/bits.h"
#include "base/error.h"

#include <string.h>

enum { VVFAT_SECTOR = 512, VVFAT_ENTRY = 32, VVFAT_DEPTH_MAX = 64 };

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

/* What is in the clusters from `first` on: a folder's entries or a file's content. */
typedef struct {
    uint32_t first, count;
    char *path; /* of a file; NULL: data */
    uint8_t *data;
    uint64_t size; /* bytes */
} VvfatExtent;

typedef struct {
    VvfatLayout layout;
    GArray *extents;     /* VvfatExtent, by cluster */
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

#endif
