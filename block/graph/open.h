/* SPDX-License-Identifier: MIT */
/* What opening, reopening and the filters of jobs share, and nobody else should use. */
#ifndef BLOCK_GRAPH_OPEN_H
#define BLOCK_GRAPH_OPEN_H

#include "block/graph/node.h"

BlockNode *node_new(BlockGraph *graph, const BlockDriver *driver, const char *node_name);
/* Frees a node whose driver is not open. */
void node_free(BlockNode *node);

/* A filter of that driver above `file`, of which it takes a reference of its own. Nobody uses it yet. */
BlockNode *node_open_filter(const BlockDriver *driver, const char *node_name, BlockNode *file,
                            GError **error);
/* A format's file is another image of that size, or one more filter above the same. [graph quiesced] */
bool node_change_file(BlockNode *node, BlockNode *file, GError **error);
/* Closes the driver of an open format and opens it again, as the node is now: inactive, read-only or neither. [graph quiesced] */
bool node_restart(BlockNode *node, bool inactive, GError **error);
/* An image of a machine that is still to come may be written by somebody else before: an export, into which its disk is copied. */
bool node_activate(BlockNode *node, GError **error);
/* The driver's open; a node of an inactive graph becomes inactive. */
bool activate_open_driver(BlockNode *node, GHashTable *options, GError **error);
/* Whether an option is one that every node has. */
bool open_is_common_option(const char *key);
/* What every node takes of its options. */
bool open_take_flags(GHashTable *options, BlockOpenFlags *flags, GError **error);
/* unmap: of the node as it will be. */
bool open_take_detect_zeroes(BlockNode *node, bool unmap, GHashTable *options, GError **error);
/* Users call the child `name`; options name it "file" from here on. */
void open_rename_child_option(const char *name, GHashTable *options);

/* Whether a new node could have the name (NULL: one is made up). */
bool open_check_node_name(BlockGraph *graph, const char *name, GError **error);

#endif
