/* SPDX-License-Identifier: MIT */
/* Points in the handling of requests at which blkdebug's rules can be aimed; names as users spell them. */
#ifndef BLOCK_GRAPH_DEBUG_EVENT_H
#define BLOCK_GRAPH_DEBUG_EVENT_H

#include "block/graph/node.h"

#include <errno.h>

typedef enum {
    EVENT_NONE, /* once, when blkdebug is opened */
    EVENT_L1_UPDATE,
    EVENT_L1_GROW_ALLOC_TABLE,
    EVENT_L1_GROW_WRITE_TABLE,
    EVENT_L1_GROW_ACTIVATE_TABLE,
    EVENT_L2_LOAD,
    EVENT_L2_UPDATE,
    EVENT_L2_UPDATE_COMPRESSED,
    EVENT_L2_ALLOC_COW_READ,
    EVENT_L2_ALLOC_WRITE,
    EVENT_READ_AIO,
    EVENT_READ_BACKING_AIO,
    EVENT_READ_COMPRESSED,
    EVENT_WRITE_AIO,
    EVENT_WRITE_COMPRESSED,
    EVENT_VMSTATE_LOAD,
    EVENT_VMSTATE_SAVE,
    EVENT_COW_READ,
    EVENT_COW_WRITE,
    EVENT_REFTABLE_LOAD,
    EVENT_REFTABLE_GROW,
    EVENT_REFTABLE_UPDATE,
    EVENT_REFBLOCK_LOAD,
    EVENT_REFBLOCK_UPDATE,
    EVENT_REFBLOCK_UPDATE_PART,
    EVENT_REFBLOCK_ALLOC,
    EVENT_REFBLOCK_ALLOC_HOOKUP,
    EVENT_REFBLOCK_ALLOC_WRITE,
    EVENT_REFBLOCK_ALLOC_WRITE_BLOCKS,
    EVENT_REFBLOCK_ALLOC_WRITE_TABLE,
    EVENT_REFBLOCK_ALLOC_SWITCH_TABLE,
    EVENT_CLUSTER_ALLOC,
    EVENT_CLUSTER_ALLOC_BYTES,
    EVENT_CLUSTER_FREE,
    EVENT_FLUSH_TO_OS,
    EVENT_FLUSH_TO_DISK,
    EVENT_PWRITEV_RMW_HEAD,
    EVENT_PWRITEV_RMW_AFTER_HEAD,
    EVENT_PWRITEV_RMW_TAIL,
    EVENT_PWRITEV_RMW_AFTER_TAIL,
    EVENT_PWRITEV,
    EVENT_PWRITEV_ZERO,
    EVENT_PWRITEV_DONE,
    EVENT_EMPTY_IMAGE_PREPARE,
    EVENT_L1_SHRINK_WRITE_TABLE,
    EVENT_L1_SHRINK_FREE_L2_CLUSTERS,
    EVENT_COR_WRITE,
    EVENT_CLUSTER_ALLOC_SPACE,
    EVENT_COUNT
} DebugEvent;

typedef enum {
    DEBUG_BREAK_SET,        /* the next request that reaches the event is suspended, and called by the tag */
    DEBUG_BREAK_REMOVE,     /* all of that tag, or, with none, all; requests suspended by them go on */
    DEBUG_BREAK_RESUME,     /* one request of that tag goes on */
    DEBUG_BREAK_SUSPENDED,  /* is there such a request, or, with no tag, any? */
} DebugBreak;

extern const char *const debug_event_names[EVENT_COUNT + 1]; /* ends with NULL */

/* The node's driver, if it is blkdebug, looks at its rules. NULL: no node. */
static inline void node_debug_event(BlockNode *node, DebugEvent event)
{
    if (node && node->driver->debug_event) {
        node->driver->debug_event(node, event);
    }
}

/* Of the node, or the first below it that knows breakpoints. -ENOTSUP: none does; -ENOENT: no such tag. */
static inline int node_debug_break(BlockNode *node, DebugBreak action, const char *tag,
                                   DebugEvent event)
{
    while (node && !node->driver->debug_break) {
        node = node->file ? node->file->node : NULL;
    }
    return node ? node->driver->debug_break(node, action, tag, event) : -ENOTSUP;
}

#endif
