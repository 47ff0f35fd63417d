/* SPDX-License-Identifier: MIT */
/*
 * Hyper-V VHDX ([MS-VHDX]), fixed and dynamic, without parents. Images whose log was not replayed:
 * a writer replays it first, a reader in memory. Our own writes need no log: a block is in the file,
 * durably and zeroed, before the one sector of the BAT that names it is written.
 */
#ifndef BLOCK_FORMATS_VHDX_H
#define BLOCK_FORMATS_VHDX_H

#include "block/formats/mapped.h"

enum {
    VHDX_HEADER_1 = 64 * 1024,
    VHDX_HEADER_2 = 128 * 1024,
    VHDX_REGIONS_1 = 192 * 1024,
    VHDX_REGIONS_2 = 256 * 1024,
    VHDX_HEADER_SIZE = 4096,
    VHDX_TABLE_SIZE = 64 * 1024,
    VHDX_LOG_SECTOR = 4096,
    VHDX_BAT_MAX = 256 * 1024 * 1024,
};

/* Offsets in a header. */
enum {
    VH_CHECKSUM = 4,
    VH_SEQUENCE = 8,
    VH_FILE_WRITE_GUID = 16,
    VH_DATA_WRITE_GUID = 32,
    VH_LOG_GUID = 48,
    VH_VERSION = 66,
    VH_LOG_LENGTH = 68,
    VH_LOG_OFFSET = 72,
};

typedef enum {
    VHDX_NOT_PRESENT = 0,
    VHDX_UNDEFINED = 1,
    VHDX_ZERO = 2,
    VHDX_UNMAPPED = 3,
    VHDX_UNMAPPED_V0 = 5,
    VHDX_FULLY_PRESENT = 6,
    VHDX_STATE_MASK = 7,
} VhdxBlockState;

/* What the log puts over the file. */
typedef struct {
    uint64_t offset, bytes;
    const uint8_t *leading, *middle, *trailing; /* 8, 4084 and 4 bytes; NULL: zeroes */
} VhdxPatch;

typedef struct {
    uint64_t size, block_size, chunk_ratio, entries;
    uint64_t bat_offset, bat_bytes, metadata_offset;
    uint32_t sector_size;
    uint64_t *bat;
    uint64_t file_end; /* where the next block goes */

    uint8_t header[VHDX_HEADER_SIZE]; /* the current one */
    bool second;                      /* it is the second one */
    bool in_use;                      /* the header says that we write */
    uint8_t *log;                     /* while there are patches */
    GArray *patches;                  /* VhdxPatch, in order; NULL: none */
    uint64_t last_file_offset;        /* how long the log makes the file */
    CoroutineMutex lock;
} Vhdx;

extern const uint8_t vhdx_guid_bat[16], vhdx_guid_metadata[16], vhdx_guid_parameters[16],
    vhdx_guid_size[16], vhdx_guid_sector[16], vhdx_guid_physical_sector[16], vhdx_guid_page83[16];

/* vhdx.c */
/* CRC-32C of the parts; bytes 4 to 8 of the first one, the checksum's field, count as zeroes. */
uint32_t vhdx_checksum(const uint8_t *first, size_t first_size, const uint8_t *second,
                       size_t second_size);
int vhdx_map(BlockNode *node, uint64_t offset, MappedPiece *piece);

/* vhdx-log.c */
/* Finds what the log has to say. */
bool vhdx_read_log(BlockNode *node, GError **error);
void vhdx_forget_log(Vhdx *v);
/* Puts it over what was read at offset of the file. */
void vhdx_patch(const Vhdx *v, uint64_t offset, uint8_t *buffer, uint64_t bytes);
/* Writes it to the file. */
int vhdx_replay_log(BlockNode *node);

/* vhdx-write.c */
extern const BlockOption vhdx_create_options[];
/* The next header, in the place of the older one, durably. */
int vhdx_write_header(BlockNode *node);
int vhdx_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector, unsigned flags);
bool vhdx_create(BlockGraph *graph, const char *filename, GHashTable *options, GError **error);

#endif
