/* SPDX-License-Identifier: MIT */
/* Look-up of boards by name or alias. */
#include "machine/board.h"

#include <string.h>

const Board *board_find(const char *name)
{
    const Board *const *it;

    REGISTRY_FOREACH(boards, it) {
        if (strcmp((*it)->name, name) == 0) {
            return *it;
        }
        for (const char *const *alias = (*it)->aliases; alias && *alias; alias++) {
            if (strcmp(*alias, name) == 0) {
                return *it;
            }
        }
    }
    return NULL;
}
