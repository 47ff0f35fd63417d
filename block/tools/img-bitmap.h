/* SPDX-License-Identifier: MIT */
/* Copying of persistent bitmaps between images, for convert. */
#ifndef BLOCK_TOOLS_IMG_BITMAP_H
#define BLOCK_TOOLS_IMG_BITMAP_H

#include "block/tools/tool.h"

/* Whether all bitmaps can be copied, or the broken ones may be left out; prints errors. */
bool img_bitmaps_check(Tool *tool, BlockNode *source, bool skip_broken);
bool img_bitmaps_copy(Tool *tool, BlockNode *source, BlockNode *target, bool skip_broken);

#endif
