/* SPDX-License-Identifier: MIT */
/* block-set-write-threshold: one event when a write reaches beyond an offset, for managers that grow an image's disk. */
#include "base/error.h"
#include "block/block.h"
#include "block/graph/node.h"

void node_note_write_end(BlockNode *node, uint64_t end)
{
    uint64_t threshold = node->write_threshold;

    if (!threshold || end <= threshold) {
        return;
    }
    node->write_threshold = 0; /* once */
    block_emit(node->graph, "BLOCK_WRITE_THRESHOLD",
               json_pack("{s:s, s:I, s:I}", "node-name", node->node_name, "amount-exceeded",
                         (json_int_t)(end - threshold), "write-threshold", (json_int_t)threshold));
}

bool block_set_write_threshold(BlockGraph *graph, const char *name, uint64_t threshold,
                               GError **error)
{
    BlockNode *node = block_find_node(graph, name, error);

    if (node) {
        node->write_threshold = threshold;
    }
    return node != NULL;
}
