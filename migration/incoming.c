/* SPDX-License-Identifier: MIT */
/*
 * The receiving side. The main loop waits for who connects; a thread puts the pages into the memory of a machine that stands; then the main
 * loop loads the devices, takes the disks, answers, and lets the machine run as it ran.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/watch.h"
#include "block/bitmap-transfer.h"
#include "block/block.h"
#include "migration/private.h"

static bool read_channel(void *opaque, void *data, size_t size, GError **error)
{
    Migration *migration = opaque;

    if (!channel_read(migration->channel, data, size, error)) {
        return false;
    }
    migration->bytes += size;
    return true;
}

/* A source that does not hear it any more knows what to think of that. */
static void say(Migration *migration, uint8_t word)
{
    if (migration->head.answer) {
        channel_write(migration->channel, &word, 1, NULL);
    }
}

/* With the devices' state in migration->state. */
static bool load(Migration *migration, GError **error)
{
    Machine *machine = migration->machine;
    bool running;

    if (!machine_state_load(machine, &migration->state, &running, error)) {
        return false;
    }
    migration->ran = running;
    return true;
}

static bool take_disks(Migration *migration, GError **error)
{
    Machine *machine = migration->machine;

    const GByteArray *bitmaps = migration->state.bitmaps;
    bool late = migration->capabilities[MIGRATION_LATE_BLOCK_ACTIVATE] && !migration->run_wanted;

    return !machine->block_graph ||
           ((late || block_activate(machine->block_graph, error)) &&
            (!bitmaps ||
             block_bitmaps_load(machine->block_graph, migration->parameters.bitmap_mapping,
                                bitmaps->data, bitmaps->len, error)));
}

/* The source may still keep the machine until it has said so. */
static bool wait_for_go(Migration *migration, GError **error)
{
    uint8_t word;

    if (!migration->head.answer) {
        return true;
    }
    say(migration, SAY_LOADED);
    if (!channel_read(migration->channel, &word, 1, error)) {
        g_prefix_error(error, "the source has not handed over the machine, and keeps it: ");
        return false;
    }
    return word == SAY_GO ||
           error_fail(error, KASO_ERROR_INVALID,
                      "the source has said %#x, where %#x was waited for", word, SAY_GO);
}

static bool open_lanes(Migration *migration, LaneReceiver **lanes, GError **error)
{
    if (!migration->head.lanes) {
        return true;
    }
    if (channel_listener(migration->channel) < 0) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "the source sends pages over %u channels: set the capability multifd "
                          "here as well, with -incoming defer",
                          migration->head.lanes);
    }
    *lanes = lane_receiver_new(migration->machine, migration->channel, migration->state.pieces,
                               &migration->head, &migration->bytes, error);
    migration->state.sync = lane_receiver_sync;
    migration->state.opaque = *lanes;
    return *lanes != NULL;
}

/* What failed first on one of several channels is what the others failed for. */
static bool close_lanes(LaneReceiver *lanes, bool ok, GError **error)
{
    GError *first;

    if (!lanes) {
        return ok;
    }
    ok = ok && lane_receiver_finish(lanes, error);
    first = lane_receiver_error(lanes);
    if (first) {
        g_clear_error(error);
        g_propagate_error(error, first);
    }
    lane_receiver_free(lanes);
    return ok;
}

static bool receive(Migration *migration, GError **error)
{
    StreamReader reader = { .source = { read_channel, migration }, .content = g_byte_array_new() };
    Machine *machine = migration->machine;
    LaneReceiver *lanes = NULL;
    bool ok;

    ok = channel_connect(migration->channel, error) && machine_state_read_head(&reader, error);
    if (ok) {
        machine_lock(machine);
        ok = machine_state_match(machine, &reader, &migration->state, &migration->head, error);
        machine_unlock(machine);
    }
    if (ok) {
        ram_clear(machine);
    }
    ok = ok && open_lanes(migration, &lanes, error) &&
         machine_state_read(machine, &reader, &migration->state, error);
    ok = close_lanes(lanes, ok, error) && channel_finish(migration->channel, error);
    g_byte_array_unref(reader.content);
    return ok && migration_in_main(migration, load, error) && wait_for_go(migration, error) &&
           migration_in_main(migration, take_disks, error);
}

static void take(Migration *migration)
{
    Machine *machine = migration->machine;
    bool run = migration->run_wanted && migration->ran;
    AnnounceTimes times;

    say(migration, SAY_TAKEN);
    migration_clean_up(migration);
    migration_set_status(migration, MIGRATION_COMPLETED);
    machine_state_go_on(machine, STOP_PAUSED, run);
    times = migration_announce_times(machine);
    migration_announce(machine, &times, NULL);
}

static void refuse(Migration *migration)
{
    say(migration, SAY_REFUSED);
    migration_clean_up(migration);
    migration_set_status(migration, MIGRATION_FAILED);
    if (migration->exit_on_error) {
        machine_request_stop(migration->machine, STOP_ERROR, migration->error);
    }
}

static void conclude(void *opaque)
{
    Migration *migration = opaque;

    if (migration->ended) {
        return;
    }
    migration->ended_us = g_get_monotonic_time();
    machine_state_clear(&migration->state);
    (migration->error ? refuse : take)(migration);
}

static void *run(void *opaque)
{
    Migration *migration = opaque;
    GError *error = NULL;

    if (!receive(migration, &error)) {
        g_prefix_error(&error, "incoming migration: ");
        machine_lock(migration->machine);
        migration_keep_error(migration, error);
        machine_unlock(migration->machine);
    }
    machine_defer(migration->machine, conclude, migration);
    return NULL;
}

static void begin(Migration *migration)
{
    GError *error = NULL;

    migration->active_us = g_get_monotonic_time();
    migration_set_status(migration, MIGRATION_ACTIVE);
    migration->thread = g_thread_try_new("incoming", run, migration, &error);
    if (!migration->thread) {
        g_prefix_error(&error, "incoming migration: ");
        migration_keep_error(migration, error);
        machine_defer(migration->machine, conclude, migration);
    }
}

static gboolean accept_one(gint fd, GIOCondition condition, gpointer opaque)
{
    Migration *migration = opaque;
    GError *error = NULL;

    machine_lock(migration->machine);
    if (channel_accept(migration->channel, &error)) {
        migration->accept_source = 0;
        begin(migration);
    } else {
        g_clear_error(&error); /* who wanted to connect has thought better of it */
    }
    condition = migration->accept_source ? 1 : 0;
    machine_unlock(migration->machine);
    return condition ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

bool migration_receive(Machine *machine, const char *address, bool exit_on_error, GError **error)
{
    Migration *migration = migration_of(machine);

    if (!migration->deferred) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "'-incoming defer' is required for migrate-incoming, and one may come "
                          "only once");
    }
    migration->channel = channel_new(address, false, error);
    if (!migration->channel || !migration_load_credentials(migration, true, error)) {
        migration_clean_up(migration);
        return false;
    }
    migration->deferred = false;
    migration->exit_on_error = exit_on_error;
    migration->begun_us = g_get_monotonic_time();
    migration_set_status(migration, MIGRATION_SETUP);
    if (migration->capabilities[MIGRATION_MULTIFD]) {
        channel_keep_listening(migration->channel);
    }
    if (channel_listener(migration->channel) >= 0) {
        migration->accept_source =
            watch_descriptor(channel_listener(migration->channel), G_IO_IN, accept_one, migration);
    } else {
        begin(migration);
    }
    return true;
}

bool migration_wait(Machine *machine, const char *address, GError **error)
{
    Migration *migration = migration_of(machine);

    migration->incoming = migration->deferred = true;
    migration->run_wanted = !machine->config.start_paused;
    machine_stop(machine, STOP_INMIGRATE);
    return strcmp(address, "defer") == 0 || migration_receive(machine, address, true, error);
}
