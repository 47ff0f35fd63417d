/* SPDX-License-Identifier: MIT */
/* What the monitor's commands about images share. */
#ifndef MONITOR_BLOCK_H
#define MONITOR_BLOCK_H

#include "block/block.h"
#include "monitor/command.h"

typedef bool BlockOperation(BlockGraph *graph, GHashTable *arguments, GError **error);

/* Events of the machine's images go to its monitors from now on. */
void monitor_hear_blocks(Machine *machine);
/* The machine's graph; NULL with an error: no drives. */
BlockGraph *monitor_block_graph(Monitor *monitor, GError **error);
/* Calls operation with the checked arguments as the flat table that the block layer takes. Returns NULL. */
json_t *monitor_block_operation(Monitor *monitor, BlockOperation *operation, json_t *arguments,
                                GError **error);

/* The device that has the drive, or NULL. */
Device *monitor_drive_owner(Machine *machine, BlockBackend *drive);

#endif
