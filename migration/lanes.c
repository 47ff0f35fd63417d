/* SPDX-License-Identifier: MIT */
/*
 * Several channels. Each begins with a word, the id that the first channel's description has, and its number (8 and 4 bytes); the destination answers it
 * with a byte, and only then the next is opened.
 */
#include "migration/lanes.h"

#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "migration/ram.h"

enum { WORD_BYTES = 8, START_BYTES = WORD_BYTES + 8 + 4, WELCOME = 'W' };
static const char word[WORD_BYTES + 1] = "KASOLANE";

static bool fail_with(const GError *failure, GError **error)
{
    return error_fail(error, KASO_ERROR_GENERIC, "%s", failure->message);
}

/* Sending. */

typedef struct {
    LaneSender *sender;
    Channel *channel;
    GThread *thread;
} SendingLane;

struct LaneSender {
    GMutex lock;
    GCond work, done;
    GQueue *sections; /* GByteArray * */
    unsigned busy;    /* threads that write one */
    bool ending;
    GError *error; /* the first */
    Channel *first;
    _Atomic uint64_t *counted;
    unsigned count;
    SendingLane lanes[];
};

static bool write_lane(void *opaque, const void *data, size_t size, GError **error)
{
    SendingLane *lane = opaque;

    return channel_write(lane->channel, data, size, error);
}

static bool write_section(SendingLane *lane, const char *name, const GByteArray *content,
                          GError **error)
{
    StreamWriter writer = { .sink = { write_lane, lane } };

    return stream_write_section(&writer, name, content ? content->data : (const guint8 *)"",
                                content ? content->len : 0, error);
}

/* The next section; NULL: there will be none. [lock] */
static GByteArray *next_section(LaneSender *sender)
{
    while (!sender->ending && g_queue_is_empty(sender->sections)) {
        g_cond_wait(&sender->work, &sender->lock);
    }
    return sender->ending ? NULL : g_queue_pop_head(sender->sections);
}

static void *send_sections(void *opaque)
{
    SendingLane *lane = opaque;
    LaneSender *sender = lane->sender;
    GByteArray *section;

    g_mutex_lock(&sender->lock);
    while ((section = next_section(sender))) {
        GError *error = NULL;

        sender->busy++;
        g_mutex_unlock(&sender->lock);
        write_section(lane, STREAM_RAM, section, &error);
        g_byte_array_unref(section);
        g_mutex_lock(&sender->lock);
        sender->busy--;
        if (error && !sender->error) {
            sender->error = g_steal_pointer(&error);
        }
        g_clear_error(&error);
        g_cond_broadcast(&sender->done);
    }
    g_mutex_unlock(&sender->lock);
    return NULL;
}

static bool open_lane(SendingLane *lane, Channel *first, unsigned index, uint64_t id,
                      GError **error)
{
    uint8_t start[START_BYTES], welcome;

    memcpy(start, word, WORD_BYTES);
    store_le64(start + WORD_BYTES, id);
    store_le32(start + WORD_BYTES + 8, index);
    lane->channel = channel_another(first, error);
    if (!lane->channel || !channel_connect(lane->channel, error) ||
        !channel_write(lane->channel, start, sizeof start, error) ||
        !channel_read(lane->channel, &welcome, 1, error)) {
        g_prefix_error(error, "the destination takes no channel beside the first (multifd has to "
                              "be on there as well): ");
        return false;
    }
    if (welcome != WELCOME) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "who answers on the channel beside the first is not the destination of "
                          "this machine (it sent 0x%02x)",
                          welcome);
    }
    lane->thread = g_thread_try_new("lane", send_sections, lane, error);
    return lane->thread != NULL;
}

LaneSender *lane_sender_new(Channel *first, const MachineHead *head, _Atomic uint64_t *counted,
                            GError **error)
{
    LaneSender *sender = g_malloc0(sizeof *sender + head->lanes * sizeof *sender->lanes);

    g_mutex_init(&sender->lock);
    g_cond_init(&sender->work);
    g_cond_init(&sender->done);
    sender->sections = g_queue_new();
    sender->first = first;
    sender->counted = counted;
    sender->count = head->lanes;
    for (unsigned i = 0; i < sender->count; i++) {
        sender->lanes[i].sender = sender;
        if (!open_lane(&sender->lanes[i], first, i, head->lanes_id, error)) {
            lane_sender_free(sender);
            return NULL;
        }
    }
    return sender;
}

bool lane_sender_send(void *opaque, const void *data, size_t size, GError **error)
{
    LaneSender *sender = opaque;
    GByteArray *section = g_byte_array_sized_new((guint)size);
    bool ok;

    g_byte_array_append(section, data, (guint)size);
    g_mutex_lock(&sender->lock);
    while (!sender->error && g_queue_get_length(sender->sections) >= sender->count) {
        g_cond_wait(&sender->done, &sender->lock);
    }
    ok = !sender->error || fail_with(sender->error, error);
    if (ok) {
        *sender->counted += size; /* here, for who keeps to a rate */
        g_queue_push_tail(sender->sections, g_steal_pointer(&section));
        g_cond_signal(&sender->work);
    }
    g_mutex_unlock(&sender->lock);
    g_clear_pointer(&section, g_byte_array_unref);
    return ok;
}

/* Nobody writes, and nothing waits to be written. */
static bool settle(LaneSender *sender, GError **error)
{
    bool ok;

    g_mutex_lock(&sender->lock);
    while (!sender->error && (sender->busy || !g_queue_is_empty(sender->sections))) {
        g_cond_wait(&sender->done, &sender->lock);
    }
    ok = !sender->error || fail_with(sender->error, error);
    g_mutex_unlock(&sender->lock);
    return ok;
}

static bool say_to_all(LaneSender *sender, const char *name, GError **error)
{
    bool ok = settle(sender, error);

    for (unsigned i = 0; ok && i < sender->count; i++) {
        ok = write_section(&sender->lanes[i], name, NULL, error);
    }
    return ok;
}

bool lane_sender_sync(LaneSender *sender, GError **error)
{
    return say_to_all(sender, STREAM_SYNC, error);
}

bool lane_sender_end(LaneSender *sender, GError **error)
{
    return say_to_all(sender, STREAM_END, error);
}

static void free_section(gpointer section)
{
    g_byte_array_unref(section);
}

void lane_sender_free(LaneSender *sender)
{
    g_mutex_lock(&sender->lock);
    sender->ending = true;
    g_cond_broadcast(&sender->work);
    g_mutex_unlock(&sender->lock);
    channel_break_off(sender->first); /* who still writes does so in vain */
    for (unsigned i = 0; i < sender->count; i++) {
        if (sender->lanes[i].thread) {
            g_thread_join(sender->lanes[i].thread);
        }
        g_clear_pointer(&sender->lanes[i].channel, channel_free);
    }
    g_queue_free_full(sender->sections, free_section);
    g_clear_error(&sender->error);
    g_mutex_clear(&sender->lock);
    g_cond_clear(&sender->work);
    g_cond_clear(&sender->done);
    g_free(sender);
}

/* Receiving. */

typedef struct {
    LaneReceiver *receiver;
    Channel *channel;
    GThread *thread;
} ReceivingLane;

struct LaneReceiver {
    Machine *machine;
    Channel *first;
    const GArray *pieces;
    GMutex lock;
    GCond changed;
    uint64_t passed;  /* how often all were let through */
    unsigned waiting; /* lanes that wait to be let through */
    unsigned ended;
    bool failed;
    GError *error; /* the first; NULL where the first channel failed */
    _Atomic uint64_t *counted;
    unsigned count;
    ReceivingLane lanes[];
};

static bool read_lane(void *opaque, void *data, size_t size, GError **error)
{
    ReceivingLane *lane = opaque;

    if (!channel_read(lane->channel, data, size, error)) {
        return false;
    }
    *lane->receiver->counted += size;
    return true;
}

/* Until the first channel is there as well. */
static bool wait_for_others(LaneReceiver *receiver, GError **error)
{
    uint64_t passed;
    bool ok;

    g_mutex_lock(&receiver->lock);
    passed = receiver->passed;
    receiver->waiting++;
    g_cond_broadcast(&receiver->changed);
    while (!receiver->failed && receiver->passed == passed) {
        g_cond_wait(&receiver->changed, &receiver->lock);
    }
    ok = !receiver->failed || error_fail(error, KASO_ERROR_GENERIC, "another channel has failed");
    g_mutex_unlock(&receiver->lock);
    return ok;
}

static bool receive_lane(ReceivingLane *lane, StreamReader *reader, GError **error)
{
    LaneReceiver *receiver = lane->receiver;
    bool ok;

    do {
        ok = stream_read_section(reader, error);
        if (!ok || strcmp(reader->name, STREAM_END) == 0) {
            break;
        }
        if (strcmp(reader->name, STREAM_RAM) == 0) {
            ok = ram_receive(receiver->machine, receiver->pieces, reader->content->data,
                             reader->content->len, error);
        } else if (strcmp(reader->name, STREAM_SYNC) == 0) {
            ok = wait_for_others(receiver, error);
        } else {
            ok = error_fail(error, KASO_ERROR_INVALID, "a channel for pages has a section '%s'",
                            reader->name);
        }
    } while (ok);
    return ok;
}

static void *run_lane(void *opaque)
{
    ReceivingLane *lane = opaque;
    LaneReceiver *receiver = lane->receiver;
    StreamReader reader = { .source = { read_lane, lane }, .content = g_byte_array_new() };
    GError *error = NULL;
    bool ok = receive_lane(lane, &reader, &error);

    g_byte_array_unref(reader.content);
    g_mutex_lock(&receiver->lock);
    receiver->ended++;
    if (!ok && !receiver->failed) {
        receiver->failed = true;
        receiver->error = g_steal_pointer(&error);
        channel_break_off(receiver->first);
    }
    g_cond_broadcast(&receiver->changed);
    g_mutex_unlock(&receiver->lock);
    g_clear_error(&error);
    return NULL;
}

static bool take_lane(ReceivingLane *lane, uint64_t id, unsigned index, GError **error)
{
    const uint8_t welcome = WELCOME;
    uint8_t start[START_BYTES];

    lane->channel = channel_another(lane->receiver->first, error);
    if (!lane->channel || !channel_connect(lane->channel, error) ||
        !channel_read(lane->channel, start, sizeof start, error)) {
        return false;
    }
    if (memcmp(start, word, WORD_BYTES) != 0 || load_le64(start + WORD_BYTES) != id ||
        load_le32(start + WORD_BYTES + 8) != index) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "who has connected is not the source of this machine");
    }
    if (!channel_write(lane->channel, &welcome, 1, error)) {
        return false;
    }
    lane->thread = g_thread_try_new("lane", run_lane, lane, error);
    return lane->thread != NULL;
}

LaneReceiver *lane_receiver_new(Machine *machine, Channel *first, const GArray *pieces,
                                const MachineHead *head, _Atomic uint64_t *counted, GError **error)
{
    LaneReceiver *receiver = g_malloc0(sizeof *receiver + head->lanes * sizeof *receiver->lanes);

    receiver->machine = machine;
    receiver->first = first;
    receiver->pieces = pieces;
    receiver->counted = counted;
    receiver->count = head->lanes;
    g_mutex_init(&receiver->lock);
    g_cond_init(&receiver->changed);
    for (unsigned i = 0; i < receiver->count; i++) {
        receiver->lanes[i].receiver = receiver;
        if (!take_lane(&receiver->lanes[i], head->lanes_id, i, error)) {
            lane_receiver_free(receiver);
            return NULL;
        }
    }
    channel_stop_listening(first);
    return receiver;
}

bool lane_receiver_sync(void *opaque, GError **error)
{
    LaneReceiver *receiver = opaque;
    bool ok;

    g_mutex_lock(&receiver->lock);
    while (!receiver->failed && receiver->waiting < receiver->count && !receiver->ended) {
        g_cond_wait(&receiver->changed, &receiver->lock);
    }
    ok = receiver->waiting == receiver->count ||
         error_fail(error, KASO_ERROR_INVALID, "a channel for pages has ended too early");
    receiver->waiting = 0;
    receiver->passed++;
    g_cond_broadcast(&receiver->changed);
    g_mutex_unlock(&receiver->lock);
    return ok;
}

bool lane_receiver_finish(LaneReceiver *receiver, GError **error)
{
    bool ok;

    g_mutex_lock(&receiver->lock);
    while (!receiver->failed && receiver->ended < receiver->count) {
        g_cond_wait(&receiver->changed, &receiver->lock);
    }
    ok = !receiver->failed;
    g_mutex_unlock(&receiver->lock);
    return ok || error_fail(error, KASO_ERROR_GENERIC, "a channel for pages has failed");
}

GError *lane_receiver_error(LaneReceiver *receiver)
{
    GError *error;

    g_mutex_lock(&receiver->lock);
    error = g_steal_pointer(&receiver->error);
    g_mutex_unlock(&receiver->lock);
    return error;
}

void lane_receiver_free(LaneReceiver *receiver)
{
    bool over;

    g_mutex_lock(&receiver->lock);
    over = receiver->ended == receiver->count;
    receiver->failed = receiver->failed || !over;
    g_cond_broadcast(&receiver->changed);
    g_mutex_unlock(&receiver->lock);
    if (!over) {
        channel_break_off(receiver->first);
    }
    for (unsigned i = 0; i < receiver->count; i++) {
        if (receiver->lanes[i].thread) {
            g_thread_join(receiver->lanes[i].thread);
        }
        g_clear_pointer(&receiver->lanes[i].channel, channel_free);
    }
    g_clear_error(&receiver->error);
    g_mutex_clear(&receiver->lock);
    g_cond_clear(&receiver->changed);
    g_free(receiver);
}
