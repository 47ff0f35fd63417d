/* SPDX-License-Identifier: MIT */
/* qcow2: files whose end is missing; docs/design/block.md, "Files that are cut off". */
#include "block/qcow2/qcow2.h"

#include "base/bits.h"
#include "base/error.h"

void qcow2_taken(Qcow2 *q, uint64_t offset, uint64_t bytes)
{
    q->file_end = MAX(q->file_end, offset + bytes);
    if (offset + bytes > q->lost_from) {
        q->lost_to = MIN(q->lost_to, MAX(offset, q->lost_from));
    }
}

bool qcow2_is_lost(Qcow2 *q, uint64_t guest, uint64_t host, uint64_t bytes)
{
    uint64_t first = qcow2_cluster_start(q, host), last = qcow2_cluster_start(q, host + bytes - 1);
    BlockNode *file = q->node->file->node;

    if (last < q->lost_from || first >= q->lost_to || q->lost_from >= q->lost_to) {
        return false;
    }
    if (q->node->read_only) {
        node_look_at_length(file);
        q->lost_from = align_up(node_length(file), q->cluster_size);
        if (last < q->lost_from) {
            return false;
        }
    }
    first = MAX(host, q->lost_from);
    node_cut_off(q->node, guest + (first - host), file, first, q->lost_from);
    return true;
}

/* Tables that the header and the L1 table name, all of them in memory, so looking costs nothing. */
void qcow2_look_for_end(Qcow2 *q)
{
    if (q->node->flags.check) {
        return;
    }
    if (q->l1_size) {
        qcow2_is_lost(q, 0, q->l1_offset, q->l1_size * sizeof(uint64_t));
    }
    for (uint32_t i = 0; i < q->l1_size && !q->node->cut_off; i++) {
        uint64_t offset = q->l1[i] & QCOW2_OFFSET_MASK;

        if (offset) {
            qcow2_is_lost(q, (uint64_t)i << (q->cluster_bits + q->l2_bits), offset,
                          q->cluster_size);
        }
    }
}

/* Where counts are missing, new data would take the place of old. */
bool qcow2_check_refcount_blocks(Qcow2 *q, GError **error)
{
    for (uint32_t i = 0; i <= q->reftable_entries; i++) {
        uint64_t offset = i < q->reftable_entries ? q->reftable[i] : q->reftable_offset;

        offset &= QCOW2_REFTABLE_MASK;
        if (offset >= q->lost_from && offset < q->lost_to) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "The image is cut off (its table of refcounts at %" G_GUINT64_FORMAT
                              " lies behind the end of the file, %" G_GUINT64_FORMAT
                              ") and cannot be written. Save what is left with 'kaso-img convert "
                              "--salvage', or run 'kaso-img check -r all' on it",
                              offset, q->lost_from);
        }
    }
    return true;
}
