/* SPDX-License-Identifier: MIT */
/*
 * What the tests of crashes and faults share: disks in memory that record every step and fail when
 * told to, a workload of guest operations on a qcow2 image that lies on them, and a model of what may
 * be read afterwards. Disks and the record are in shared memory, so that they outlive a process
 * that was forked and died.
 */
#ifndef TESTS_BLOCK_FAULTY_H
#define TESTS_BLOCK_FAULTY_H

#include "block/graph/node.h"

enum {
    DISK_MAX = 8 * 1024 * 1024,
    GUEST_SIZE = 768 * 1024,
    SECTOR = 512,
    GUEST_SECTORS = GUEST_SIZE / SECTOR,
    EVENTS_MAX = 16384,
    ARENA_SIZE = 64 * 1024 * 1024,
    SNAPSHOTS_MAX = 3,
};

enum { DISK_IMAGE, DISK_DATA, DISK_BACKING, DISKS };

typedef enum {
    EVENT_WRITE,
    EVENT_TRUNCATE, /* to `bytes` */
    EVENT_FLUSH,    /* stamp: how many events there were when it began */
    EVENT_FAULT,
    /* What the guest does; stamp is the number it writes, or a snapshot's. */
    EVENT_GUEST_WRITE,
    EVENT_GUEST_WRITTEN,
    EVENT_GUEST_FLUSH,
    EVENT_GUEST_FLUSHED, /* the flush that began with the same stamp */
    EVENT_SNAPSHOT_CREATE,
    EVENT_SNAPSHOT_CREATED,
    EVENT_SNAPSHOT_DELETE,
} EventKind;

typedef struct {
    EventKind kind;
    unsigned disk;
    uint64_t offset, bytes;
    uint64_t data; /* where in the arena */
    uint32_t stamp;
} Event;

typedef struct {
    uint8_t data[DISK_MAX];
    uint64_t size;
} Disk;

typedef enum { APPLY_NOTHING, APPLY_HALF, APPLY_ALL, APPLY_KINDS } FaultApply;

/* Steps `first` to `last`, counted from 0, fail. */
typedef struct {
    long first, last;
    int error;
    bool writes_only;
    FaultApply apply; /* how much of a failing write reaches the disk */
} Fault;

typedef struct {
    Disk disks[DISKS];
    bool recording;
    unsigned events;
    Event event[EVENTS_MAX];
    uint64_t used;
    uint8_t arena[ARENA_SIZE];
    long steps; /* of the disks, since the fault was set */
    Fault fault;
    GRand *pauses;    /* requests of the disks take a while, and overtake each other */
    uint32_t flushes; /* of the guest, so far */
    const char *file; /* the image is this file instead */
    const char *aio;  /* of that file; NULL: as it comes */
} Lab;

/* What the image is, and which operations it knows. */
typedef struct {
    const char *config;
    const char *format; /* NULL: qcow2 */
    bool compress, snapshots, bitmaps, backing, data_file, key;
    bool version2; /* cannot be resized with snapshots */
    bool fixed_size;
    bool parallel; /* several requests at once; no snapshots, bitmaps and resizing */
} Kind;

/* A value that a sector may hold, in the order of writing; `sure`: the write has succeeded. */
typedef struct {
    uint32_t stamp;
    bool sure;
} Value;

typedef struct {
    uint32_t stamp;
    bool created, deleting;
    GArray *values[GUEST_SECTORS];
} SnapshotModel;

typedef struct {
    GArray *values[GUEST_SECTORS];   /* Value */
    uint32_t dropped[GUEST_SECTORS]; /* values that a flush has made impossible */
    GHashTable *flushes;  /* stamp -> for each sector, what drops when that flush succeeds */
    GPtrArray *snapshots; /* SnapshotModel */
} Model;

/* What became of the writes since the last flush. KEEP_LAST: of the newest one alone, as disks reorder. */
typedef enum { KEEP_NONE, KEEP_ALL, KEEP_SOME, KEEP_TORN, KEEP_LAST, VARIANTS } Variant;

extern Lab *lab;
extern BlockGraph *graph;

Lab *lab_new(void);
void lab_set_fault(Fault fault);
void lab_clear_fault(void);

void lab_log(EventKind kind, unsigned disk, uint64_t offset, uint64_t bytes, const void *data,
             uint32_t stamp);

/* A new image on the disks (or as lab->file), and its secret in the graph. */
void image_create(const Kind *kind);
BlockNode *image_open(const Kind *kind, bool writable, bool check, GError **error);
/* Runs guest operations, then a flush that is tried again once. Returns how many have failed. */
int workload(const Kind *kind, unsigned operations, uint32_t seed);

/* Parts of the workload, for the one with requests in parallel. */
int guest_transfer(BlockNode *node, int operation, uint64_t offset, uint64_t bytes, uint32_t stamp);
int guest_flush(BlockNode *node);
int parallel_operations(const Kind *kind, BlockNode *node, unsigned operations, uint32_t seed);

Model *model_new(const Kind *kind);
void model_free(Model *model);
void model_apply(Model *model, const Event *event);

/* The disks as they may be after a power cut behind `cut` events. */
void build_disks(const Disk *start, unsigned cut, Variant variant, GRand *rand);

/* Check finds at most leaks, or the dirty bit is set. */
void verify_check_first(const Kind *kind, const char *what);
/*
 * The image opens, holds what the model allows, and check finds at most leaks. live: no power was
 * cut, so the last write that succeeded holds.
 */
void verify(const Kind *kind, const Model *model, const char *what, bool live);

#endif
