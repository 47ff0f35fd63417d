/* SPDX-License-Identifier: MIT */
/*
 * The same disk several times over: writes go to all children; a read asks all of them and takes what most say
 * (read-pattern=quorum), or asks one after the other (fifo). Children that say something else, or fail, are told of by
 * events. Not modelled: requests to children run one after the other; no discards, no resizing.
 */
#include "base/error.h"
#include "base/log.h"
#include "block/graph/node.h"

#include <errno.h>
#include <string.h>

enum { CHILDREN_MOST = 256, TRANSFER_MOST = 4 << 20, SECTOR = 512 };
enum { PATTERN_QUORUM, PATTERN_FIFO };
static const char *const patterns[] = { "quorum", "fifo", NULL };

typedef struct {
    GPtrArray *children; /* BlockChild */
    unsigned next_index; /* of a child that is added */
    uint64_t threshold;
    int pattern;
    bool verify, rewrite;
} Quorum;

/* One request, and what became of it at each child. */
typedef struct {
    BlockNode *node;
    Quorum *quorum;
    uint64_t offset, bytes;
    unsigned count;
    int *results;
    uint8_t **buffers;  /* of a read */
    unsigned *versions; /* of a read: the first child that says the same */
} Round;

static BlockNode *child_node(const Quorum *quorum, unsigned i)
{
    return ((BlockChild *)quorum->children->pdata[i])->node;
}

static json_t *sectors_of(const Round *round, bool flush)
{
    uint64_t first = round->offset / SECTOR;
    uint64_t end = (round->offset + round->bytes + SECTOR - 1) / SECTOR;

    return json_pack("{s:I, s:I}", "sector-num", (json_int_t)(flush ? 0 : first), "sectors-count",
                     (json_int_t)(flush ? 0 : end - first));
}

/* error: of that child, or 0: what it says is not what most say. */
static void report_bad(const Round *round, const char *type, unsigned i, int error)
{
    json_t *data = sectors_of(round, !strcmp(type, "flush"));

    json_object_set_new(data, "type", json_string(type));
    json_object_set_new(data, "node-name", json_string(child_node(round->quorum, i)->node_name));
    if (error) {
        json_object_set_new(data, "error", json_string(g_strerror(-error)));
    }
    block_emit(round->node->graph, "QUORUM_REPORT_BAD", data);
}

static void report_failure(const Round *round)
{
    json_t *data = sectors_of(round, false);

    json_object_set_new(data, "reference", json_string(round->node->node_name));
    block_emit(round->node->graph, "QUORUM_FAILURE", data);
}

/* The failure that most children have had. */
static int commonest_failure(const Round *round)
{
    int best = -EIO;
    unsigned best_votes = 0;

    for (unsigned i = 0; i < round->count; i++) {
        unsigned votes = 0;

        for (unsigned j = 0; j < round->count; j++) {
            votes += round->results[j] == round->results[i];
        }
        if (round->results[i] < 0 && votes > best_votes) {
            best_votes = votes;
            best = round->results[i];
        }
    }
    return best;
}

/* Tells of who has failed. 0: enough have not. */
static int settle(const Round *round, const char *type)
{
    unsigned good = 0;

    for (unsigned i = 0; i < round->count; i++) {
        if (round->results[i] < 0) {
            report_bad(round, type, i, round->results[i]);
        } else {
            good++;
        }
    }
    if (good >= round->quorum->threshold) {
        return 0;
    }
    if (strcmp(type, "flush") != 0) {
        report_failure(round);
    }
    return commonest_failure(round);
}

static Round round_begin(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    Quorum *quorum = (Quorum *)node->state;

    return (Round){ .node = node,
                    .quorum = quorum,
                    .offset = offset,
                    .bytes = bytes,
                    .count = quorum->children->len,
                    .results = g_new0(int, quorum->children->len) };
}

static void round_end(Round *round)
{
    for (unsigned i = 0; round->buffers && i < round->count; i++) {
        g_free(round->buffers[i]);
    }
    g_free(round->buffers);
    g_free(round->versions);
    g_free(round->results);
}

/* Reads. */

static int read_in_turn(const Round *round, IoVector vector)
{
    int result = -EIO;

    for (unsigned i = 0; i < round->count; i++) {
        result = node_read(child_node(round->quorum, i), round->offset, round->bytes, vector);
        if (result >= 0) {
            return result;
        }
        report_bad(round, "read", i, result);
    }
    return result;
}

static bool read_all(Round *round)
{
    round->buffers = g_new0(uint8_t *, round->count);
    round->versions = g_new0(unsigned, round->count);
    for (unsigned i = 0; i < round->count; i++) {
        round->buffers[i] = g_try_malloc(round->bytes);
        if (!round->buffers[i]) {
            return false;
        }
        round->results[i] = node_pread(child_node(round->quorum, i), round->offset,
                                       round->buffers[i], round->bytes);
    }
    return true;
}

/* The version that most children have; UINT_MAX: none is good. */
static unsigned vote(const Round *round, unsigned *votes)
{
    g_autofree unsigned *counts = g_new0(unsigned, round->count);
    unsigned winner = UINT_MAX;

    *votes = 0;
    for (unsigned i = 0; i < round->count; i++) {
        unsigned same = 0;

        if (round->results[i] < 0) {
            continue;
        }
        while (round->results[same] < 0 ||
               memcmp(round->buffers[same], round->buffers[i], round->bytes) != 0) {
            same++;
        }
        round->versions[i] = same;
        counts[same]++;
    }
    for (unsigned i = 0; i < round->count; i++) {
        if (counts[i] > *votes) {
            *votes = counts[i];
            winner = i;
        }
    }
    return winner;
}

/* Children that say something else get what most say. */
static void mend(const Round *round, unsigned winner)
{
    for (unsigned i = 0; i < round->count; i++) {
        struct iovec iov = { round->buffers[winner], round->bytes };

        if (round->results[i] < 0 || round->versions[i] == winner) {
            continue;
        }
        report_bad(round, "read", i, 0);
        if (round->quorum->rewrite) {
            node_write(child_node(round->quorum, i), round->offset, round->bytes,
                       io_vector_of(&iov), 0);
        }
    }
}

static int read_by_vote(Round *round, IoVector vector)
{
    unsigned votes, winner;
    int result;

    if (!read_all(round)) {
        return -ENOMEM;
    }
    result = settle(round, "read");
    if (result < 0) {
        return result;
    }
    winner = vote(round, &votes);
    if (round->quorum->verify && votes < round->count) {
        log_printf("quorum: %s: contents mismatch at offset %" G_GUINT64_FORMAT
                   " bytes=%" G_GUINT64_FORMAT "\n",
                   round->node->node_name, round->offset, round->bytes);
        return -EIO;
    }
    if (votes < round->quorum->threshold) {
        report_failure(round);
        return -EIO;
    }
    mend(round, winner);
    io_vector_from_buffer(vector, round->buffers[winner], round->bytes);
    return 0;
}

static int quorum_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector)
{
    Round round = round_begin(node, offset, bytes);
    int result = round.quorum->pattern == PATTERN_FIFO ? read_in_turn(&round, vector)
                                                       : read_by_vote(&round, vector);

    round_end(&round);
    return result;
}

/* Writes. */

static int quorum_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVector vector,
                        unsigned flags)
{
    Round round = round_begin(node, offset, bytes);
    int result;

    for (unsigned i = 0; i < round.count; i++) {
        round.results[i] = node_write(child_node(round.quorum, i), offset, bytes, vector, flags);
    }
    result = settle(&round, "write");
    round_end(&round);
    return result;
}

static int quorum_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    Round round = round_begin(node, offset, bytes);
    int result;

    for (unsigned i = 0; i < round.count; i++) {
        round.results[i] = node_write_zeroes(child_node(round.quorum, i), offset, bytes, flags);
    }
    result = settle(&round, "write");
    round_end(&round);
    return result;
}

/* Content of what was discarded is open: children would differ. */
static int quorum_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    return 0;
}

static int quorum_flush(BlockNode *node)
{
    Round round = round_begin(node, 0, 0);
    int result;

    for (unsigned i = 0; i < round.count; i++) {
        round.results[i] = node_flush(child_node(round.quorum, i));
    }
    result = settle(&round, "flush");
    round_end(&round);
    return result;
}

static int64_t quorum_length(BlockNode *node)
{
    const Quorum *quorum = (const Quorum *)node->state;
    uint64_t length = node_length(child_node(quorum, 0));

    for (unsigned i = 1; i < quorum->children->len; i++) {
        if (node_length(child_node(quorum, i)) != length) {
            return -EIO;
        }
    }
    return (int64_t)length;
}

/* Zeroes are where all say so. */
static int quorum_status(BlockNode *node, uint64_t offset, uint64_t bytes, uint64_t *count,
                         uint64_t *map, BlockNode **file)
{
    const Quorum *quorum = (const Quorum *)node->state;
    bool zero = true;

    *count = bytes;
    for (unsigned i = 0; i < quorum->children->len; i++) {
        uint64_t length = bytes;
        unsigned depth;
        int status = node_status_above(child_node(quorum, i), NULL, offset, *count, &length, map,
                                       file, &depth);

        if (status < 0) {
            return status;
        }
        *count = MIN(*count, length);
        zero = zero && status & BLOCK_STATUS_ZERO;
    }
    return BLOCK_STATUS_ALLOCATED | (zero ? BLOCK_STATUS_ZERO : BLOCK_STATUS_DATA);
}

/* Life. */

static bool take_settings(Quorum *quorum, GHashTable *options, GError **error)
{
    return options_take_number(options, "vote-threshold", &quorum->threshold, error) &&
           options_take_bool(options, "blkverify", &quorum->verify, error) &&
           options_take_bool(options, "rewrite-corrupted", &quorum->rewrite, error) &&
           options_take_enum(options, "read-pattern", patterns, &quorum->pattern, error);
}

static bool check_settings(const Quorum *quorum, GError **error)
{
    unsigned count = quorum->children->len;

    if (quorum->threshold < 1 || quorum->threshold > count) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "vote-threshold=%" G_GUINT64_FORMAT
                          ": give a number from 1 to that of the children, %u",
                          quorum->threshold, count);
    }
    if (quorum->verify && (count != 2 || quorum->threshold != 2)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "blkverify=on can only be set if there are exactly two files and "
                          "vote-threshold is 2");
    }
    if (quorum->verify && quorum->rewrite) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "rewrite-corrupted=on cannot be used with blkverify=on");
    }
    return true;
}

static bool is_given(GHashTable *options, const char *name)
{
    g_autofree char *prefix = g_strconcat(name, ".", NULL);
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, options);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (!strcmp(key, name) || g_str_has_prefix(key, prefix)) {
            return true;
        }
    }
    return false;
}

static bool open_children(BlockNode *node, Quorum *quorum, GHashTable *options, GError **error)
{
    for (;;) {
        g_autofree char *name = g_strdup_printf("children.%u", quorum->children->len);
        BlockChild *child;

        if (quorum->children->len == CHILDREN_MOST || !is_given(options, name)) {
            break;
        }
        child = node_open_child(node, name, BLOCK_ROLE_DATA, NULL, options, node->flags, error);
        if (!child) {
            return false;
        }
        g_ptr_array_add(quorum->children, child);
    }
    quorum->next_index = quorum->children->len;
    return quorum->children->len ||
           error_fail(error, KASO_ERROR_INVALID,
                      "quorum: there are no children: give children.0, children.1 …");
}

static bool quorum_open(BlockNode *node, GHashTable *options, GError **error)
{
    Quorum *quorum = (Quorum *)node->state;

    quorum->children = g_ptr_array_new();
    if (!take_settings(quorum, options, error) || !open_children(node, quorum, options, error) ||
        !check_settings(quorum, error)) {
        g_clear_pointer(&quorum->children, g_ptr_array_unref);
        return false;
    }
    node->max_transfer = TRANSFER_MOST;
    for (unsigned i = 0; i < quorum->children->len; i++) {
        node->request_alignment =
            MAX(node->request_alignment, child_node(quorum, i)->request_alignment);
    }
    return true;
}

static void quorum_close(BlockNode *node)
{
    g_clear_pointer(&((Quorum *)node->state)->children, g_ptr_array_unref);
}

/* Children stay alike: nobody else resizes or writes one. */
static void quorum_child_perm(BlockNode *node, BlockChild *child, unsigned perm, unsigned shared,
                              unsigned *child_perm, unsigned *child_shared)
{
    const Quorum *quorum = (const Quorum *)node->state;

    *child_perm = perm;
    if (quorum->rewrite && !node->read_only) {
        *child_perm |= BLOCK_PERM_WRITE;
    }
    *child_shared =
        (shared & (BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE)) | BLOCK_PERM_WRITE_UNCHANGED;
}

static bool quorum_add_child(BlockNode *node, BlockNode *added, GError **error)
{
    Quorum *quorum = (Quorum *)node->state;
    g_autofree char *name = g_strdup_printf("children.%u", quorum->next_index);
    BlockChild *child;

    if (quorum->verify) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Cannot add a child to a quorum in blkverify mode");
    }
    if (quorum->children->len == CHILDREN_MOST) {
        return error_fail(error, KASO_ERROR_GENERIC, "Too many children: %d is the most",
                          CHILDREN_MOST);
    }
    if (node_length(added) != node_length(node)) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Node '%s' has %" G_GUINT64_FORMAT
                          " bytes, and '%s' has %" G_GUINT64_FORMAT,
                          added->node_name, node_length(added), node->node_name, node_length(node));
    }
    node_ref(added);
    child = node_attach_child(node, added, name, BLOCK_ROLE_DATA, error);
    if (child) {
        quorum->next_index++;
        g_ptr_array_add(quorum->children, child);
    }
    return child != NULL;
}

static bool quorum_remove_child(BlockNode *node, BlockChild *child, GError **error)
{
    Quorum *quorum = (Quorum *)node->state;

    if (quorum->children->len <= quorum->threshold) {
        return error_fail(
            error, KASO_ERROR_GENERIC,
            "The number of children cannot be lower than the vote threshold %" G_GUINT64_FORMAT,
            quorum->threshold);
    }
    g_ptr_array_remove(quorum->children, child);
    child_detach(child);
    return true;
}

static const BlockOption quorum_options[] = {
    { "children", "the images, as a list: children.0, children.1 …" },
    { "vote-threshold", "how many children must say or do the same" },
    { "read-pattern", "quorum: ask all; fifo: one after the other until one answers" },
    { "rewrite-corrupted", "children that say something else get what most say" },
    { "blkverify", "of two children: a difference fails the read" },
    { 0 },
};

static const BlockDriver quorum_driver = {
    .name = "quorum",
    .summary = "The same disk several times over, and what most of them say",
    .options = quorum_options,
    .instance_size = sizeof(Quorum),
    .no_file_child = true,
    .open = quorum_open,
    .close = quorum_close,
    .child_perm = quorum_child_perm,
    .read = quorum_read,
    .write = quorum_write,
    .write_zeroes = quorum_write_zeroes,
    .discard = quorum_discard,
    .flush = quorum_flush,
    .length = quorum_length,
    .status = quorum_status,
    .add_child = quorum_add_child,
    .remove_child = quorum_remove_child,
};
BLOCK_DRIVER(quorum_driver);
