/* SPDX-License-Identifier: MIT */
/* Writing for formats that only say where each block of the disk is, and new files for them. */
#include "block/formats/mapped.h"

int mapped_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector, unsigned flags,
                 MapFunction *map, AllocateFunction *allocate, CoroutineMutex *lock)
{
    int result = 0;

    while (bytes && result == 0) {
        MappedPiece piece = { .count = bytes, .file = node->file->node };

        result = map(node, offset, &piece);
        if (result == 0 && piece.kind != PIECE_DATA) {
            /* Another write may have made the block while this one waited. */
            coroutine_mutex_lock(lock);
            piece.count = bytes;
            result = map(node, offset, &piece);
            if (result == 0 && piece.kind != PIECE_DATA) {
                /* A new block could take the place of one that is missing. */
                result = mapped_is_cut_off(node, map) ? -EIO : allocate(node, offset);
            }
            coroutine_mutex_unlock(lock);
            continue;
        }
        if (result == 0) {
            result = node_write(piece.file, piece.host, piece.count, vector, flags);
        }
        offset += piece.count;
        bytes -= piece.count;
        vector = io_vector_skip(vector, piece.count);
    }
    return result;
}

BlockNode *mapped_create_file(BlockGraph *graph, const char *filename, GHashTable *given,
                              GError **error)
{
    static const BlockOption files[] = { MAPPED_FILE_OPTIONS, { 0 } };
    const BlockDriver *protocol = block_protocol_for(filename, error);
    BlockOpenFlags flags = { .cache_no_flush = true };
    g_autoptr(GHashTable) create_options = options_new();
    GHashTable *options;

    for (const BlockOption *option = files; given && option->name; option++) {
        g_autofree char *value = options_take(given, option->name);

        if (value) {
            options_set(create_options, option->name, value);
        }
    }
    if (!protocol ||
        (protocol->create && !protocol->create(graph, filename, create_options, error))) {
        return NULL;
    }
    options = options_new();
    options_set(options, "driver", protocol->name);
    return node_open(graph, filename, options, flags, error);
}

void mapped_random_uuid(uint8_t *uuid)
{
    for (unsigned i = 0; i < 16; i += 4) {
        store_le32(uuid + i, g_random_int());
    }
    uuid[6] = (uuid[6] & 0x0f) | 0x40; /* version 4 */
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
}
