/* SPDX-License-Identifier: MIT */
/* qcow version 1: what opening and creating share. */
#ifndef BLOCK_FORMATS_QCOW_H
#define BLOCK_FORMATS_QCOW_H

#include "block/formats/mapped.h"

#define QCOW_MAGIC 0x514649fbu /* "QFI\xfb"; qcow2 has the same, and another version */

enum { QCOW_HEADER_SIZE = 48, QCOW_NAME_MAX = 1023 };

extern const BlockOption qcow_create_options[];
bool qcow_create(BlockGraph *graph, const char *filename, GHashTable *options, GError **error);

#endif
