/* SPDX-License-Identifier: MIT */
/* qcow version 1: what opening and creating share. */
#ifndef BLOCK_QCOW_H
#define BLOCK_QCOW_H

#include "block/mapped.h"

enum { QCOW_HEADER_SIZE = 48, QCOW_NAME_MAX = 1023 };

extern const BlockOption qcow_create_options[];
bool qcow_create(BlockGraph *graph, const char *filename, GHashTable *options, GError **error);

#endif
