/* SPDX-License-Identifier: MIT */
/*
 * block-bitmap-mapping of QMP: a list of nodes with an alias each, and of their bitmaps with an alias, and whether an image keeps them.
 * The source sends aliases, the destination makes its own names of them; what is not listed does not go.
 */
#ifndef BLOCK_BITMAP_MAPPING_H
#define BLOCK_BITMAP_MAPPING_H

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

bool bitmap_mapping_check(const json_t *mapping, GError **error);
/* The entry of a checked list whose member `key` is that text, or NULL. */
json_t *bitmap_mapping_find(const json_t *list, const char *key, const char *value);
/* bitmap: its entry, or NULL. */
bool bitmap_mapping_persistent(const json_t *bitmap, bool was);

#endif
