/* SPDX-License-Identifier: MIT */
/* A backend's insides, for what opens backends (drive.c) and asks about them (query.c). */
#ifndef BLOCK_BACKEND_H
#define BLOCK_BACKEND_H

#include "block/graph/node.h"
#include "block/graph/statistics.h"
#include "block/graph/throttle-group.h"

struct BlockBackend {
    BlockGraph *graph;
    AsyncContext *context;
    AsyncHome *home; /* where completions are delivered; NULL: the main context */
    char *id;
    BlockChild *root;
    unsigned attached; /* devices beside the creator; each closes once */
    bool claimed;      /* by a device */
    bool share_until_active; /* others may write as well until the machine has come (graph/activate.c) */
    bool read_only;
    bool write_cache; /* off: each write is followed by a flush */
    BlockErrorPolicy on_read_error, on_write_error;
    int io_error; /* for which a device has stopped the machine; 0: none */
    unsigned in_flight;      /* until the completion has been delivered */
    unsigned hurry;          /* drains that wait: throttling lets everything pass */
    unsigned give_up;        /* as hurry: drains that let no request wait for a lost server */
    ThrottleGroup *throttle; /* NULL: no limits */
    Statistics statistics;
    void (*resized)(void *opaque); /* block_on_resize */
    void *resized_opaque;
    uint64_t told_size; /* the size that it knows */
};

enum {
    BLOCK_DEVICE_SHARED =
        BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE_UNCHANGED | BLOCK_PERM_RESIZE
};

static inline unsigned backend_perm(bool read_only)
{
    return BLOCK_PERM_CONSISTENT_READ | (read_only ? 0 : BLOCK_PERM_WRITE);
}

/* The backend with that id, or NULL. [lock held] */
BlockBackend *backend_find(BlockGraph *graph, const char *id);
/* Whoever asked for it hears of other sizes. [main loop, no coroutine] */
void backend_tell_sizes(BlockGraph *graph);
/* Puts the backend under limits; without any it is taken out of its group. [coroutine] */
void backend_set_throttle(BlockBackend *block, const char *group, const ThrottleConfig *config);

#endif
