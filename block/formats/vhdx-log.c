/* SPDX-License-Identifier: MIT */
/* VHDX: the log ([MS-VHDX] 2.3): which of its entries are valid, and what they say. */
#include "block/formats/vhdx.h"

enum {
    LOG_MAX = 64 * 1024 * 1024,
    PATCHES_MAX = 65536,
    ENTRY_HEADER = 64,
    DESCRIPTOR = 32,
    CHECKSUM_EFFORT = 16, /* times the log's length that may be read to find the valid entries */
};

/* A ring of sectors of 4 KiB. */
typedef struct {
    const uint8_t *data, *guid;
    uint32_t length;
    uint64_t effort; /* bytes that may still be checksummed */
} Log;

typedef struct {
    uint32_t offset, length, tail, descriptors;
    uint64_t sequence, flushed, last;
} Entry;

/* Entries that follow each other. */
typedef struct {
    uint32_t first, count, end; /* end: where the next one would be */
    uint64_t head_sequence;
    bool valid;
} Sequence;

static const uint8_t *sector_at(const Log *log, uint64_t offset)
{
    return log->data + offset % log->length;
}

static uint32_t descriptor_sectors(const Entry *e)
{
    return (uint32_t)((ENTRY_HEADER + (uint64_t)e->descriptors * DESCRIPTOR + VHDX_LOG_SECTOR - 1) /
                      VHDX_LOG_SECTOR);
}

static const uint8_t *descriptor_at(const Log *log, const Entry *e, uint32_t i)
{
    return sector_at(log, e->offset + ENTRY_HEADER + (uint64_t)i * DESCRIPTOR);
}

/* Each descriptor, and the data sectors in their order behind them. */
static bool check_descriptors(const Log *log, const Entry *e)
{
    uint64_t data = descriptor_sectors(e);

    for (uint32_t i = 0; i < e->descriptors; i++) {
        const uint8_t *d = descriptor_at(log, e, i), *sector;
        bool zero = !memcmp(d, "zero", 4);

        if ((!zero && memcmp(d, "desc", 4)) || load_le64(d + 24) != e->sequence ||
            load_le64(d + 16) % VHDX_LOG_SECTOR || load_le64(d + 16) > INT64_MAX / 2) {
            return false;
        }
        if (zero) {
            if (load_le64(d + 8) % VHDX_LOG_SECTOR || load_le64(d + 8) > INT64_MAX / 2) {
                return false;
            }
            continue;
        }
        if ((data + 1) * VHDX_LOG_SECTOR > e->length) {
            return false;
        }
        sector = sector_at(log, e->offset + data++ * VHDX_LOG_SECTOR);
        if (memcmp(sector, "data", 4) || load_le32(sector + 4) != e->sequence >> 32 ||
            load_le32(sector + 4092) != (uint32_t)e->sequence) {
            return false;
        }
    }
    return true;
}

static bool read_entry(Log *log, uint32_t offset, Entry *e)
{
    const uint8_t *h = log->data + offset;
    uint32_t first;

    *e = (Entry){ .offset = offset,
                  .length = load_le32(h + 8),
                  .tail = load_le32(h + 12),
                  .sequence = load_le64(h + 16),
                  .descriptors = load_le32(h + 24),
                  .flushed = load_le64(h + 48),
                  .last = load_le64(h + 56) };
    if (memcmp(h, "loge", 4) || memcmp(h + 32, log->guid, 16) || !e->sequence || !e->length ||
        e->length % VHDX_LOG_SECTOR || e->length > log->length || e->tail % VHDX_LOG_SECTOR ||
        e->tail >= log->length || (uint64_t)descriptor_sectors(e) * VHDX_LOG_SECTOR > e->length ||
        e->length > log->effort) {
        return false;
    }
    log->effort -= e->length;
    first = MIN(e->length, log->length - offset);
    return vhdx_checksum(h, first, log->data, e->length - first) == load_le32(h + 4) &&
           check_descriptors(log, e);
}

/* As many entries as follow each other from there on. */
static Sequence find_sequence(Log *log, uint32_t offset)
{
    Sequence s = { .first = offset, .end = offset };
    uint64_t used = 0;
    uint32_t tail = 0;
    Entry e;

    while (used < log->length && read_entry(log, s.end, &e) &&
           (!s.count || e.sequence == s.head_sequence + 1) && used + e.length <= log->length) {
        s.head_sequence = e.sequence;
        s.count++;
        used += e.length;
        tail = e.tail;
        s.end = (uint32_t)((offset + used) % log->length);
    }
    /* The newest entry names the oldest one that is needed. */
    for (uint32_t i = 0, at = offset; i < s.count && !s.valid; i++) {
        s.valid = at == tail;
        at = (uint32_t)((at + load_le32(log->data + at + 8)) % log->length);
    }
    s.first = tail;
    return s;
}

static Sequence find_active(Log *log)
{
    Sequence best = { 0 };
    uint32_t at = 0;

    for (;;) {
        Sequence s = find_sequence(log, at);
        uint32_t next = s.count ? s.end : at + VHDX_LOG_SECTOR;

        if (s.valid && (!best.valid || s.head_sequence > best.head_sequence)) {
            best = s;
        }
        if (next <= at || next >= log->length) {
            return best;
        }
        at = next;
    }
}

static bool add_patches(Vhdx *v, const Log *log, const Entry *e)
{
    uint64_t data = descriptor_sectors(e);

    for (uint32_t i = 0; i < e->descriptors; i++) {
        const uint8_t *d = descriptor_at(log, e, i);
        VhdxPatch patch = { .offset = load_le64(d + 16), .bytes = load_le64(d + 8) };

        if (v->patches->len >= PATCHES_MAX) {
            return false;
        }
        if (memcmp(d, "zero", 4)) {
            patch.bytes = VHDX_LOG_SECTOR;
            patch.leading = d + 8;
            patch.middle = sector_at(log, e->offset + data++ * VHDX_LOG_SECTOR) + 8;
            patch.trailing = d + 4;
        }
        g_array_append_val(v->patches, patch);
    }
    v->last_file_offset = MAX(v->last_file_offset, e->last);
    return true;
}

static bool take_sequence(BlockNode *node, Log *log, const Sequence *active, GError **error)
{
    Vhdx *v = node->state;
    uint64_t sequence = 0;
    uint32_t at = active->first;

    v->patches = g_array_new(FALSE, FALSE, sizeof(VhdxPatch));
    while (sequence < active->head_sequence) {
        Entry e;

        log->effort = log->length;
        if (!read_entry(log, at, &e) || (sequence && e.sequence != sequence + 1)) {
            return error_fail(error, KASO_ERROR_INVALID, "The VHDX log is damaged at %u", at);
        }
        if (e.flushed > node_length(node->file->node) || e.last > INT64_MAX / 2) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "The VHDX log is of a file with %" G_GUINT64_FORMAT
                              " bytes: this one has been cut off",
                              e.flushed);
        }
        if (!add_patches(v, log, &e)) {
            return error_fail(error, KASO_ERROR_UNSUPPORTED,
                              "The VHDX log has more than %d descriptors", PATCHES_MAX);
        }
        sequence = e.sequence;
        at = (uint32_t)((at + (uint64_t)e.length) % log->length);
    }
    return true;
}

bool vhdx_read_log(BlockNode *node, GError **error)
{
    static const uint8_t none[16];
    Vhdx *v = node->state;
    uint64_t offset = load_le64(v->header + VH_LOG_OFFSET);
    uint32_t length = load_le32(v->header + VH_LOG_LENGTH);
    Log log = { .guid = v->header + VH_LOG_GUID, .length = length };
    Sequence active;

    if (!memcmp(v->header + VH_LOG_GUID, none, sizeof none)) {
        return true;
    }
    if (!length || length % MIB(1) || length > LOG_MAX || offset < MIB(1) || offset % MIB(1) ||
        load_le16(v->header + 64)) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "VHDX log version %u, LogLength %u or LogOffset %" G_GUINT64_FORMAT
                          " is out of range",
                          load_le16(v->header + 64), length, offset);
    }
    v->log = mapped_load_table(node->file->node, offset, length / 8, 8, false, LOG_MAX,
                               "the VHDX log", error);
    if (!v->log) {
        return false;
    }
    log.data = v->log;
    log.effort = (uint64_t)CHECKSUM_EFFORT * length;
    active = find_active(&log);
    return !active.valid || take_sequence(node, &log, &active, error);
}

void vhdx_forget_log(Vhdx *v)
{
    g_clear_pointer(&v->log, g_free);
    g_clear_pointer(&v->patches, g_array_unref);
}

/* The part of a patch from `at` on. */
static void copy_patch(const VhdxPatch *patch, uint64_t at, uint8_t *out, uint64_t bytes)
{
    uint8_t sector[VHDX_LOG_SECTOR];

    if (!patch->middle) {
        memset(out, 0, bytes);
        return;
    }
    memcpy(sector, patch->leading, 8);
    memcpy(sector + 8, patch->middle, 4084);
    memcpy(sector + 4092, patch->trailing, 4);
    memcpy(out, sector + at, bytes);
}

void vhdx_patch(const Vhdx *v, uint64_t offset, uint8_t *buffer, uint64_t bytes)
{
    for (unsigned i = 0; v->patches && i < v->patches->len; i++) {
        const VhdxPatch *patch = &g_array_index(v->patches, VhdxPatch, i);
        uint64_t start = MAX(patch->offset, offset);
        uint64_t end = MIN(patch->offset + patch->bytes, offset + bytes);

        if (start < end) {
            copy_patch(patch, start - patch->offset, buffer + (start - offset), end - start);
        }
    }
}

int vhdx_replay_log(BlockNode *node)
{
    Vhdx *v = node->state;
    BlockNode *file = node->file->node;
    uint64_t end = MAX(v->last_file_offset, node_length(file));
    uint8_t sector[VHDX_LOG_SECTOR];
    int result = 0;

    for (unsigned i = 0; v->patches && i < v->patches->len && result == 0; i++) {
        const VhdxPatch *patch = &g_array_index(v->patches, VhdxPatch, i);

        if (patch->middle) {
            copy_patch(patch, 0, sector, sizeof sector);
            result = node_pwrite(file, patch->offset, sector, sizeof sector, 0);
        } else if (patch->offset < end) {
            /* What is behind the end reads as zeroes. */
            result =
                node_write_zeroes(file, patch->offset, MIN(patch->bytes, end - patch->offset), 0);
        }
    }
    if (result == 0 && node_length(file) < end && !node_grow(file, end, PREALLOC_OFF, NULL)) {
        result = -EIO;
    }
    if (result == 0) {
        result = node_flush(file);
    }
    if (result == 0) {
        memset(v->header + VH_LOG_GUID, 0, 16);
        result = vhdx_write_header(node);
    }
    if (result == 0) {
        vhdx_forget_log(v);
    }
    return result;
}
