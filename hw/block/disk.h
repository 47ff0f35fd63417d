/* SPDX-License-Identifier: MIT */
/*
 * What the drives of all controllers have in common: an image with who may use it, identity, geometry,
 * and what happens to a request that fails. A drive embeds a Disk; DISK_PROPERTIES are its part of the
 * device's properties. Under the machine lock.
 */
#ifndef HW_BLOCK_DISK_H
#define HW_BLOCK_DISK_H

#include "block/block.h"
#include "machine/device.h"

typedef struct {
    BlockBackend *drive; /* NULL: no medium */
    bool claimed;
    Device *device; /* the drive, once it is realized */
    bool own_drive; /* `drive` was made for the device, which has none from the user */
    bool removable; /* the medium comes and goes */
    void (*resized)(Device *device); /* the image has another size; set before disk_claim, may be NULL */
    /* Properties. */
    char *serial, *model, *version;
    uint64_t wwn;
    uint32_t logical_block_size, physical_block_size, min_io_size, opt_io_size;
    uint32_t discard_granularity;
    uint32_t cyls, heads, secs;
    uint32_t lcyls, lheads, lsecs; /* what the firmware shall tell its callers; 0: as it likes */
    int32_t bootindex;
    int werror, rerror, write_cache, account_invalid, account_failed;
    bool share_rw;
} Disk;

/* What became of a failed request: it is told to the guest, taken as done, or tried again when the machine goes on. */
typedef enum { DISK_REPORT, DISK_IGNORE, DISK_HOLD } DiskVerdict;

extern const char *const disk_policy_names[];

#define DISK_FIELD(Instance, disk, name) offsetof(Instance, disk.name)
#define DISK_MEDIUM_PROPERTIES(Instance, disk)                                                     \
    { "drive", PROPERTY_DRIVE, DISK_FIELD(Instance, disk, drive),                                  \
      "the image: id of a -drive or node name of a -blockdev" },                                   \
    { "logical_block_size", PROPERTY_SIZE32, DISK_FIELD(Instance, disk, logical_block_size),       \
      "bytes of a sector; 0: as the drive has them", "0" },                                        \
    { "physical_block_size", PROPERTY_SIZE32, DISK_FIELD(Instance, disk, physical_block_size),     \
      "0: as the logical one", "0" },                                                              \
    { "min_io_size", PROPERTY_SIZE32, DISK_FIELD(Instance, disk, min_io_size),                     \
      "preferred smallest transfer, bytes", "0" },                                                 \
    { "opt_io_size", PROPERTY_SIZE32, DISK_FIELD(Instance, disk, opt_io_size),                     \
      "preferred transfer, bytes", "0" },                                                          \
    { "discard_granularity", PROPERTY_SIZE32, DISK_FIELD(Instance, disk, discard_granularity),     \
      "smallest discard, bytes; 4294967295: as the drive has it; 0: no discard", "4294967295" },   \
    { "write-cache", PROPERTY_ON_OFF_AUTO, DISK_FIELD(Instance, disk, write_cache),                \
      "off: each write is durable; auto: as the drive's cache=", "auto" },                         \
    { "account-invalid", PROPERTY_ON_OFF_AUTO, DISK_FIELD(Instance, disk, account_invalid),        \
      "statistics count requests that cannot be; auto: as the drive says", "auto" },               \
    { "account-failed", PROPERTY_ON_OFF_AUTO, DISK_FIELD(Instance, disk, account_failed),          \
      "statistics count the time of requests that fail; auto: as the drive says", "auto" },        \
    { "share-rw", PROPERTY_BOOL, DISK_FIELD(Instance, disk, share_rw),                             \
      "others (devices, exports) may write to the image", "off" }
#define DISK_ERROR_PROPERTIES(Instance, disk)                                                      \
    { "werror", PROPERTY_ENUM, DISK_FIELD(Instance, disk, werror),                                 \
      "what to do when a write fails", "auto", disk_policy_names },                                \
    { "rerror", PROPERTY_ENUM, DISK_FIELD(Instance, disk, rerror),                                 \
      "what to do when a read fails", "auto", disk_policy_names }
#define DISK_PROPERTIES(Instance, disk)                                                            \
    DISK_MEDIUM_PROPERTIES(Instance, disk),                                                        \
    DISK_ERROR_PROPERTIES(Instance, disk),                                                         \
    { "serial", PROPERTY_STRING, DISK_FIELD(Instance, disk, serial),                               \
      "serial number, up to 20 characters" },                                                      \
    { "model", PROPERTY_STRING, DISK_FIELD(Instance, disk, model),                                 \
      "model name, up to 40 characters" },                                                         \
    { "ver", PROPERTY_STRING, DISK_FIELD(Instance, disk, version),                                 \
      "firmware revision, up to 8 characters" },                                                   \
    { "wwn", PROPERTY_U64, DISK_FIELD(Instance, disk, wwn), "World Wide Name; 0: none", "0" },     \
    { "bootindex", PROPERTY_I32, DISK_FIELD(Instance, disk, bootindex),                            \
      "place in the firmware's boot order", "-1" }
#define DISK_GEOMETRY_PROPERTIES(Instance, disk)                                                   \
    { "cyls", PROPERTY_U32, DISK_FIELD(Instance, disk, cyls), "cylinders; 0: computed", "0" },     \
    { "heads", PROPERTY_U32, DISK_FIELD(Instance, disk, heads), "heads; 0: computed", "0" },       \
    { "secs", PROPERTY_U32, DISK_FIELD(Instance, disk, secs), "sectors of a track; 0: computed",   \
      "0" },                                                                                       \
    { "lcyls", PROPERTY_U32, DISK_FIELD(Instance, disk, lcyls),                                    \
      "cylinders for the BIOS's callers; 0: as it likes", "0" },                                   \
    { "lheads", PROPERTY_U32, DISK_FIELD(Instance, disk, lheads), "heads for the BIOS's callers",  \
      "0" },                                                                                       \
    { "lsecs", PROPERTY_U32, DISK_FIELD(Instance, disk, lsecs), "sectors for the BIOS's callers",  \
      "0" }

/*
 * For realize and unrealize. read_only: the drive never writes. Nothing to do without a drive; an empty one is
 * refused where the medium does not come and go.
 */
bool disk_claim(Disk *disk, Device *device, bool read_only, GError **error);
void disk_disclaim(Disk *disk);
/* Before disk_claim, for drives whose medium comes and goes: there is always a back end that it can come to. */
void disk_make_removable(Disk *disk, Device *device);
/* DEVICE_TRAY_MOVED. [any thread] */
void disk_tell_tray(const Disk *disk, bool open);
/* Fills in what is 0 of the geometry. Fails when what is given cannot be told to software. */
bool disk_choose_geometry(Disk *disk, const Device *device, unsigned max_heads, GError **error);
/* Says what happened as BLOCK_IO_ERROR, and stops the machine for DISK_HOLD. error: an errno. */
DiskVerdict disk_failed(Disk *disk, Device *device, bool is_write, int error);
bool disk_has_medium(const Disk *disk);
/* 0 without a medium. */
uint64_t disk_bytes(const Disk *disk);

#endif
