/* SPDX-License-Identifier: MIT */
/*
 * The sending side. A thread of its own connects and sends pages while the machine runs, in passes over what was written since the
 * last one. When what is left fits into the time that the machine may stand, the main loop stops it; the rest, then the
 * devices follow. Whatever fails before the other side has the machine, here it goes on.
 */
#include <poll.h>
#include <string.h>

#include "base/error.h"
#include "block/bitmap-transfer.h"
#include "block/block.h"
#include "machine/saved-state.h"
#include "migration/packing.h"
#include "migration/private.h"

enum {
    TURNS_MOST = 4,    /* of sending what stopped devices still write */
    LAST_PAGES = 1024, /* that go with the devices, in one piece */
    RATE_WINDOW_US = 100 * 1000,
    READY_WAIT_US = 1000,
};

static bool write_channel(void *opaque, const void *data, size_t size, GError **error)
{
    Migration *migration = opaque;

    if (!channel_write(migration->channel, data, size, error)) {
        return false;
    }
    migration->bytes += size;
    return true;
}

static bool write_buffer(void *opaque, const void *data, size_t size, GError **error)
{
    g_byte_array_append(opaque, data, (guint)size);
    return true;
}

static bool is_cancelled(Migration *migration)
{
    return migration->status == MIGRATION_CANCELLING;
}

static bool refuse_cancelled(Migration *migration, GError **error)
{
    return !is_cancelled(migration) ||
           error_fail(error, KASO_ERROR_GENERIC, "The migration was cancelled");
}

/* Steps in the main loop: where a cancel came first, it stays. */

static bool begin(Migration *migration, GError **error)
{
    if (!refuse_cancelled(migration, error)) {
        return false;
    }
    migration->sender = ram_sender_new(migration->machine, true);
    migration->active_us = g_get_monotonic_time();
    migration_set_status(migration, MIGRATION_ACTIVE);
    return true;
}

static bool stop(Migration *migration, GError **error)
{
    Machine *machine = migration->machine;

    if (!refuse_cancelled(migration, error)) {
        return false;
    }
    migration->stopped_us = g_get_monotonic_time();
    if (!machine_state_hold(machine, STOP_FINISH_MIGRATE, &migration->before, &migration->ran)) {
        return error_fail(error, KASO_ERROR_GENERIC, "the run ends");
    }
    migration->held = true;
    memory_flush_late(machine);
    ram_sender_collect(migration->sender);
    if (migration->capabilities[MIGRATION_PAUSE_BEFORE_SWITCHOVER]) {
        migration->continued = false;
        migration_set_status(migration, MIGRATION_PRE_SWITCHOVER);
    } else {
        migration_set_status(migration, MIGRATION_DEVICE);
    }
    return true;
}

static bool give_disks_away(Migration *migration, GError **error)
{
    Machine *machine = migration->machine;

    if (!machine->block_graph) {
        return true;
    }
    migration->inactivated = block_inactivate(machine->block_graph, error);
    return migration->inactivated;
}

static bool write_bitmaps(Migration *migration, StreamWriter *writer, GError **error)
{
    BlockGraph *graph = migration->machine->block_graph;
    g_autoptr(GByteArray) bitmaps = g_byte_array_new();

    if (!migration->capabilities[MIGRATION_DIRTY_BITMAPS] || !graph) {
        return true;
    }
    return block_bitmaps_save(graph, migration->parameters.bitmap_mapping, bitmaps, error) &&
           stream_write_section(writer, STREAM_BITMAPS, bitmaps->data, bitmaps->len, error);
}

/* The lock is held from the last look at pages to the devices' saving: what comes from outside meanwhile is in neither or in both. */
static bool finish(Migration *migration, GByteArray *rest, GError **error)
{
    StreamWriter writer = { .sink = { write_buffer, rest } };
    bool more = true;

    while (more) {
        if (!ram_sender_send(migration->sender, &writer, &more, error)) {
            return false;
        }
    }
    return write_bitmaps(migration, &writer, error) && give_disks_away(migration, error) &&
           machine_state_write_devices(migration->machine, &writer, migration->ran, error);
}

/* Sets the machine to where it was. */
static void go_back(Migration *migration)
{
    Machine *machine = migration->machine;
    g_autoptr(GError) error = NULL;

    if (!migration->held) {
        return;
    }
    migration->held = false;
    if (migration->inactivated && !block_activate(machine->block_graph, &error)) {
        g_autofree char *both =
            g_strdup_printf("%s; and %s", migration->error ? migration->error : "", error->message);

        g_free(migration->error);
        migration->error = g_steal_pointer(&both);
        machine_stop(machine, STOP_POSTMIGRATE);
        return;
    }
    migration->inactivated = false;
    machine_state_go_on(machine, migration->before, migration->ran);
}

/* Nobody here can know whether the destination has the machine: whoever does may have it taken back. */
static void stay(Migration *migration)
{
    g_autofree char *text = g_strdup_printf(
        "%s. The destination was told to go on, and whether it has is not known here: this machine "
        "stays stopped and leaves its disks alone; 'cont' takes them back, for when the "
        "destination is known to be gone",
        migration->error);

    g_free(migration->error);
    migration->error = g_steal_pointer(&text);
    machine_stop(migration->machine, STOP_POSTMIGRATE);
    migration->held = false;
}

static void complete(Migration *migration)
{
    machine_stop(migration->machine, STOP_POSTMIGRATE);
    migration->held = false;
    migration->downtime_ms = (g_get_monotonic_time() - migration->stopped_us) / 1000;
}

/* The thread. */

/* As fast as max-bandwidth lets it, seen over a window. */
typedef struct {
    int64_t window_us;
    uint64_t bytes;
} Rate;

static void keep_rate(Migration *migration, Rate *rate)
{
    uint64_t limit = migration->parameters.max_bandwidth;
    int64_t now_us = g_get_monotonic_time(), due_us;

    if (now_us - rate->window_us > RATE_WINDOW_US) {
        rate->window_us = now_us;
        rate->bytes = migration->bytes;
        return;
    }
    if (limit) {
        due_us = rate->window_us +
                 (int64_t)((double)(migration->bytes - rate->bytes) * 1e6 / (double)limit);
        if (due_us > now_us) {
            g_usleep((gulong)MIN(due_us - now_us, 4 * RATE_WINDOW_US));
        }
    }
}

/* All that is to be sent as of now. */
static bool send_pass(Migration *migration, StreamWriter *writer, bool limited, GError **error)
{
    Rate rate = { g_get_monotonic_time(), migration->bytes };
    bool more = true;

    while (more) {
        if (!refuse_cancelled(migration, error) ||
            !ram_sender_send(migration->sender, writer, &more, error)) {
            return false;
        }
        migration->ram_bytes = migration->bytes;
        if (limited) {
            keep_rate(migration, &rate);
        }
    }
    return !migration->lanes || (lane_sender_sync(migration->lanes, error) &&
                                 stream_write_section(writer, STREAM_SYNC, "", 0, error));
}

/* How many pages may be left for the machine to stand no longer than it may. */
static uint64_t few_enough(Migration *migration)
{
    double seconds = (double)(g_get_monotonic_time() - migration->active_us) / 1e6;
    double speed = (double)migration->bytes / MAX(seconds, 0.001);
    uint64_t known = migration->parameters.switchover_bandwidth;

    speed = known ? (double)known : speed;

    /* Zeroes cost nothing; without any other page there is no speed to go by. */
    return (uint64_t)(MAX(speed, 1 << 20) * (double)migration->parameters.downtime_limit_ms / 1000 /
                      RAM_PAGE_BYTES);
}

/* The guest has written so much again during two passes that they lead nowhere: it is held back. */
static void hold_back(Migration *migration, uint64_t sent_bytes, uint64_t left, unsigned *useless)
{
    const MigrationParameters *parameters = &migration->parameters;
    unsigned percent = throttle_percent(migration->throttle);

    if (!migration->capabilities[MIGRATION_AUTO_CONVERGE] ||
        (double)left * RAM_PAGE_BYTES * 100 <
            (double)sent_bytes * (double)parameters->throttle_threshold) {
        return;
    }
    if (++*useless < 2) {
        return;
    }
    *useless = 0;
    percent += (unsigned)(percent ? parameters->throttle_increment : parameters->throttle_initial);
    if (!migration->throttle) {
        migration->throttle = throttle_new(migration->machine);
    }
    if (!migration->throttle) {
        return; /* tried again when the next round is useless as well */
    }
    throttle_set(migration->throttle, (unsigned)MIN(percent, parameters->throttle_most));
}

/* [thread] */
static void end_throttle(Migration *migration)
{
    Throttle *throttle;

    machine_lock(migration->machine);
    throttle = g_steal_pointer(&migration->throttle);
    machine_unlock(migration->machine);
    throttle_free(throttle);
}

static bool send_while_running(Migration *migration, StreamWriter *writer, GError **error)
{
    Machine *machine = migration->machine;
    uint64_t left, most, sent_bytes;
    unsigned useless = 0;
    int64_t begun_us;

    do {
        begun_us = g_get_monotonic_time();
        sent_bytes = migration->bytes;
        if (!send_pass(migration, writer, true, error)) {
            return false;
        }
        machine_lock(machine);
        left = ram_sender_collect(migration->sender);
        most = few_enough(migration);
        migration->dirty_pages_rate =
            left * 1000000 / (uint64_t)MAX(g_get_monotonic_time() - begun_us, 1000);
        migration->expected_downtime_ms =
            (int64_t)(left * migration->parameters.downtime_limit_ms / MAX(most, 1));
        if (migration->capabilities[MIGRATION_EVENTS]) {
            g_autofree char *data = g_strdup_printf("{\"pass\": %" G_GUINT64_FORMAT "}",
                                                    ram_sender_counts(migration->sender).passes);

            machine_event(machine, "MIGRATION_PASS", data);
        }
        if (left > most) {
            hold_back(migration, migration->bytes - sent_bytes, left, &useless);
        }
        machine_unlock(machine);
    } while (left > most);
    end_throttle(migration);
    return true;
}

static bool wait_for_continue(Migration *migration, GError **error)
{
    Machine *machine = migration->machine;
    bool done = false;

    while (!done && !is_cancelled(migration) && !migration->ended) {
        machine_lock(machine);
        done = migration->status != MIGRATION_PRE_SWITCHOVER || migration->continued;
        if (done && migration->status == MIGRATION_PRE_SWITCHOVER) {
            migration_set_status(migration, MIGRATION_DEVICE);
        }
        machine_unlock(machine);
        if (!done) {
            g_usleep(READY_WAIT_US);
        }
    }
    return (done && !is_cancelled(migration)) ||
           error_fail(error, KASO_ERROR_GENERIC, "The migration was cancelled");
}

typedef struct {
    GByteArray *rest;
    bool last; /* no more turns */
    bool done;
} Turn;

/* What devices still write is looked for until there is next to nothing. */
static bool take_turn(Migration *migration, GError **error)
{
    Turn *turn = migration->turn;

    if (ram_sender_collect(migration->sender) > LAST_PAGES && !turn->last) {
        return true;
    }
    turn->done = true;
    return finish(migration, turn->rest, error);
}

static bool send_stopped(Migration *migration, StreamWriter *writer, GError **error)
{
    Turn turn = { .rest = g_byte_array_new() };
    bool ok = wait_for_continue(migration, error);

    migration->turn = &turn;
    for (unsigned i = 0; ok && !turn.done; i++) {
        turn.last = i >= TURNS_MOST;
        ok = send_pass(migration, writer, false, error) &&
             migration_in_main(migration, take_turn, error);
    }
    ok = ok && (!migration->lanes || lane_sender_end(migration->lanes, error)) &&
         write_channel(migration, turn.rest->data, turn.rest->len, error) &&
         channel_finish(migration->channel, error);
    g_byte_array_unref(turn.rest);
    migration->turn = NULL;
    return ok;
}

static bool hear(Migration *migration, uint8_t expected, GError **error)
{
    uint8_t said;

    if (!channel_read(migration->channel, &said, 1, error)) {
        g_prefix_error(error, "the destination did not say that it has the machine: ");
        return false;
    }
    migration->refused = said == SAY_REFUSED;
    return said == expected ||
           (migration->refused
                ? error_fail(error, KASO_ERROR_GENERIC,
                             "the destination has refused the machine; it says why")
                : error_fail(error, KASO_ERROR_GENERIC,
                             "the destination has said %#x, where %#x was waited for", said,
                             expected));
}

/* From now on a cancel comes too late. */
static bool commit(Migration *migration, GError **error)
{
    if (!refuse_cancelled(migration, error)) {
        return false;
    }
    migration->told_to_go = true;
    return true;
}

static bool tell_to_go(Migration *migration, GError **error)
{
    const uint8_t go = SAY_GO;

    if (!migration_in_main(migration, commit, error)) {
        return false;
    }
    migration->told_to_go = write_channel(migration, &go, 1, error);
    return migration->told_to_go;
}

static bool hand_over(Migration *migration, GError **error)
{
    return !migration->head.answer ||
           (hear(migration, SAY_LOADED, error) && tell_to_go(migration, error) &&
            hear(migration, SAY_TAKEN, error));
}

static bool send_head(Migration *migration, GError **error)
{
    g_autoptr(GByteArray) head = g_byte_array_new();
    StreamWriter writer = { .sink = { write_buffer, head } };
    bool ok;

    machine_lock(migration->machine);
    ok = machine_state_write_head(migration->machine, &writer, &migration->head, error);
    machine_unlock(migration->machine);
    return ok && write_channel(migration, head->data, head->len, error);
}

static bool open_lanes(Migration *migration, StreamWriter *writer, GError **error)
{
    if (!migration->head.lanes) {
        return true;
    }
    migration->lanes =
        lane_sender_new(migration->channel, &migration->head, &migration->bytes, error);
    writer->pages = (StreamSink){ lane_sender_send, migration->lanes };
    return migration->lanes != NULL;
}

static bool send_all(Migration *migration, GError **error)
{
    StreamWriter writer = { .sink = { write_channel, migration } };
    Packer *packer = NULL;
    bool ok;

    if (!channel_connect(migration->channel, error) ||
        !migration_in_main(migration, begin, error)) {
        return false;
    }
    while (!ram_sender_ready(migration->sender) && !is_cancelled(migration)) {
        g_usleep(READY_WAIT_US);
    }
    if (migration->capabilities[MIGRATION_COMPRESS]) {
        packer = packer_new(&writer, (int)migration->parameters.compress_level);
        writer.pages = (StreamSink){ packer_send, packer };
    }
    ok = send_head(migration, error) && open_lanes(migration, &writer, error) &&
         send_while_running(migration, &writer, error) &&
         migration_in_main(migration, stop, error) && send_stopped(migration, &writer, error) &&
         hand_over(migration, error);
    packer_free(packer);
    return ok;
}

/* In the main loop, when the thread has nothing to do any more. */
static void conclude(void *opaque)
{
    Migration *migration = opaque;
    bool failed = migration->error != NULL;
    bool unknown = failed && migration->told_to_go && !migration->refused;
    bool cancelled = is_cancelled(migration) && !unknown;

    if (migration->ended) {
        return;
    }
    migration->ended_us = g_get_monotonic_time();
    if (unknown) {
        stay(migration);
    } else if (failed) {
        go_back(migration);
    } else {
        complete(migration);
    }
    migration_clean_up(migration);
    if (failed && cancelled) {
        g_clear_pointer(&migration->error, g_free);
    }
    migration_set_status(migration, !failed     ? MIGRATION_COMPLETED
                                    : cancelled ? MIGRATION_CANCELLED
                                                : MIGRATION_FAILED);
}

static void *run(void *opaque)
{
    Migration *migration = opaque;
    GError *error = NULL;

    if (!send_all(migration, &error)) {
        end_throttle(migration);
        machine_lock(migration->machine);
        migration_keep_error(migration, error);
        machine_unlock(migration->machine);
    }
    machine_defer(migration->machine, conclude, migration);
    return NULL;
}

bool migration_start(Machine *machine, const char *address, GError **error)
{
    Migration *migration = migration_of(machine);
    bool several = migration->capabilities[MIGRATION_MULTIFD];
    GError *failure = NULL;
    Channel *channel;

    if (!migration_may_begin(machine, error) || !machine_may_save(machine, error)) {
        return false;
    }
    if (several && migration->capabilities[MIGRATION_COMPRESS]) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "not yet: compress and multifd together; turn one off");
    }
    channel = channel_new(address, true, error);
    if (!channel) {
        return false;
    }
    migration->channel = channel;
    if ((several && !channel_may_be_several(channel, error)) ||
        !migration_load_credentials(migration, false, error)) {
        migration_clean_up(migration);
        return false;
    }
    g_clear_pointer(&migration->error, g_free);
    migration->incoming = migration->held = migration->inactivated = migration->ran = false;
    migration->told_to_go = migration->refused = false;
    migration->head = (MachineHead){
        .answer = channel_answers(channel) && (!g_str_has_prefix(address, "fd:") ||
                                               migration->capabilities[MIGRATION_RETURN_PATH]),
        .lanes = several ? (unsigned)migration->parameters.lanes : 0,
        .lanes_id = (uint64_t)g_random_int() << 32 | g_random_int(),
    };
    migration->counts = (RamCounts){ 0 };
    migration->bytes = migration->ram_bytes = migration->dirty_pages_rate = 0;
    migration->begun_us = g_get_monotonic_time();
    migration->active_us = migration->downtime_ms = 0;
    migration->expected_downtime_ms = (int64_t)migration->parameters.downtime_limit_ms;
    migration_set_status(migration, MIGRATION_SETUP);
    migration->thread = g_thread_try_new("migration", run, migration, &failure);
    if (!migration->thread) {
        migration->error = g_strdup(failure->message);
        migration_clean_up(migration);
        migration_set_status(migration, MIGRATION_FAILED);
        g_propagate_error(error, failure);
        return false;
    }
    return true;
}

void migration_cancel(Machine *machine)
{
    Migration *migration = migration_of(machine);

    if (migration->incoming || !migration->thread || migration->status == MIGRATION_CANCELLING) {
        return;
    }
    migration_set_status(migration, MIGRATION_CANCELLING);
    channel_break_off(migration->channel);
}

bool migration_continue(Machine *machine, GError **error)
{
    Migration *migration = migration_of(machine);

    if (migration->status != MIGRATION_PRE_SWITCHOVER) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "Migration is not in the state 'pre-switchover' but in '%s'",
                          migration_status_name(migration->status));
    }
    migration->continued = true;
    return true;
}
