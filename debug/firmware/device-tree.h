/* SPDX-License-Identifier: MIT */
/*
 * Flattened device trees in guest memory (Devicetree Specification 0.4, chapter 5): what the guest was given, as it is there now. Machine
 * lock held, vCPUs parked. Memory may lie: a copy is checked as a whole before it is used.
 */
#ifndef DEBUG_FIRMWARE_DEVICE_TREE_H
#define DEBUG_FIRMWARE_DEVICE_TREE_H

#include <glib.h>
#include <stdint.h>

#include "machine/machine.h"

enum { DEVICE_TREE_BYTES_MAX = 4 << 20, DEVICE_TREES_MAX = 16 };

typedef struct {
    uint64_t address;
    uint32_t size;
    uint8_t *blob; /* checked by fdt_check_full */
} DeviceTree;

/* DeviceTree of those that are whole, by their addresses; caller unrefs. */
GArray *device_trees_find(Machine *machine);

typedef struct {
    /* Names and depths in the tree's order; value: of a property, as dtc writes it. */
    void (*node)(void *opaque, unsigned depth, const char *path);
    void (*property)(void *opaque, unsigned depth, const char *name, const char *value);
    void *opaque;
} DeviceTreeVisitor;

/* Goes through a node ("/", "/chosen", an alias; NULL: all) and what is below it; false: there is no such node. */
bool device_tree_visit(const DeviceTree *tree, const char *path, const DeviceTreeVisitor *visitor);
/*
 * Calls fn for the first address of each node right below the root, and how much is there (0: not told), as far as addresses and sizes have 64 bits
 * there.
 */
void device_tree_each_address(const DeviceTree *tree,
                              void (*fn)(void *opaque, const char *name, uint64_t address, uint64_t size),
                              void *opaque);
/* Where /chosen says that the initial RAM disk is; false: it says nothing. */
bool device_tree_initrd(const DeviceTree *tree, uint64_t *start, uint64_t *end);

#endif
