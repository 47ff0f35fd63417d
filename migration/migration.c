/* SPDX-License-Identifier: MIT */
/* What both directions share: status, settings, the thread's way into the main loop. */
#include "migration/migration.h"

#include <string.h>

#include "base/error.h"
#include "block/block.h"
#include "migration/private.h"

#define ATTACHED "migration/migration.h"

const char *migration_status_name(MigrationStatus status)
{
    static const char *const names[] = {
        [MIGRATION_NONE] = "none",
        [MIGRATION_SETUP] = "setup",
        [MIGRATION_CANCELLING] = "cancelling",
        [MIGRATION_CANCELLED] = "cancelled",
        [MIGRATION_ACTIVE] = "active",
        [MIGRATION_PRE_SWITCHOVER] = "pre-switchover",
        [MIGRATION_DEVICE] = "device",
        [MIGRATION_COMPLETED] = "completed",
        [MIGRATION_FAILED] = "failed",
    };

    return names[status];
}

/* The run ends: who waits for the main loop waits in vain. */
static void end_run(void *opaque)
{
    Migration *migration = opaque;
    GThread *thread = g_steal_pointer(&migration->thread);

    if (migration->saving) {
        snapshot_save_hurry(migration->saving);
    }
    g_mutex_lock(&migration->step_lock);
    migration->ended = true;
    g_cond_broadcast(&migration->step_done);
    g_mutex_unlock(&migration->step_lock);
    if (migration->channel) {
        channel_break_off(migration->channel);
    }
    if (thread) {
        machine_unlock(migration->machine);
        g_thread_join(thread);
        machine_lock(migration->machine);
    }
    migration_clean_up(migration);
    g_clear_pointer(&migration->announcing, announce_stop);
}

bool migration_may_yank(Machine *machine)
{
    const Migration *migration = migration_of(machine);

    return migration->channel && migration->thread;
}

void migration_yank(Machine *machine)
{
    if (migration_may_yank(machine)) {
        channel_break_off(migration_of(machine)->channel);
    }
}

static void migration_free(void *opaque)
{
    Migration *migration = opaque;

    g_free(migration->error);
    migration_parameters_clear(&migration->parameters);
    g_mutex_clear(&migration->step_lock);
    g_cond_clear(&migration->step_done);
    g_free(migration);
}

Migration *migration_of(Machine *machine)
{
    Migration *migration = machine_attached(machine, ATTACHED);

    if (!migration) {
        migration = g_new0(Migration, 1);
        migration->machine = machine;
        migration_parameters_init(&migration->parameters);
        g_mutex_init(&migration->step_lock);
        g_cond_init(&migration->step_done);
        machine_attach(machine, ATTACHED, migration, migration_free);
        machine_on_end(machine, end_run, migration);
    }
    return migration;
}

bool *migration_capabilities(Machine *machine)
{
    return migration_of(machine)->capabilities;
}

MigrationParameters *migration_parameters(Machine *machine)
{
    return &migration_of(machine)->parameters;
}

void migration_set_status(Migration *migration, MigrationStatus status)
{
    g_autofree char *data = g_strdup_printf("{\"status\": \"%s\"}", migration_status_name(status));

    migration->status = status;
    if (migration->capabilities[MIGRATION_EVENTS]) {
        machine_event(migration->machine, "MIGRATION", data);
    }
}

void migration_keep_error(Migration *migration, GError *error)
{
    g_free(migration->error);
    migration->error = g_strdup(error->message);
    g_error_free(error);
}

static void do_step(void *opaque)
{
    Migration *migration = opaque;
    bool result;

    g_mutex_lock(&migration->step_lock);
    if (migration->ended || !migration->step_pending) {
        g_mutex_unlock(&migration->step_lock);
        return;
    }
    g_mutex_unlock(&migration->step_lock);
    result = migration->step(migration, migration->step_error);
    g_mutex_lock(&migration->step_lock);
    migration->step_result = result;
    migration->step_pending = false;
    g_cond_broadcast(&migration->step_done);
    g_mutex_unlock(&migration->step_lock);
}

bool migration_in_main(Migration *migration, bool (*step)(Migration *migration, GError **error),
                       GError **error)
{
    bool result;

    g_mutex_lock(&migration->step_lock);
    migration->step = step;
    migration->step_error = error;
    migration->step_pending = true;
    machine_defer(migration->machine, do_step, migration);
    while (migration->step_pending && !migration->ended) {
        g_cond_wait(&migration->step_done, &migration->step_lock);
    }
    result = !migration->step_pending && migration->step_result;
    if (migration->step_pending) {
        error_fail(error, KASO_ERROR_GENERIC, "the run ends");
    }
    g_mutex_unlock(&migration->step_lock);
    return result;
}

void migration_clean_up(Migration *migration)
{
    if (migration->accept_source) {
        g_source_remove(migration->accept_source);
        migration->accept_source = 0;
    }
    if (migration->thread) {
        g_thread_join(g_steal_pointer(&migration->thread));
    }
    if (migration->sender) {
        migration->counts = ram_sender_counts(migration->sender);
        g_clear_pointer(&migration->sender, ram_sender_free);
    }
    g_clear_pointer(&migration->lanes, lane_sender_free);
    g_clear_pointer(&migration->channel, channel_free);
    g_clear_pointer(&migration->credentials, tls_credentials_free);
}

bool migration_load_credentials(Migration *migration, bool server, GError **error)
{
    const char *id = migration->parameters.tls_creds;

    if (!id) {
        return true;
    }
    if (!migration->machine->block_graph) {
        return error_fail(error, KASO_ERROR_NOT_FOUND, "there is no object '%s' of TLS credentials",
                          id);
    }
    migration->credentials =
        tls_credentials_load(migration->machine->block_graph, id, server, error);
    return migration->credentials &&
           (!server || !migration->parameters.tls_authz ||
            tls_credentials_set_authz(migration->credentials, migration->machine->block_graph,
                                      migration->parameters.tls_authz, error)) &&
           channel_set_tls(migration->channel, migration->credentials,
                           server ? NULL : migration->parameters.tls_hostname, error);
}

void migration_announce(Machine *machine, const AnnounceTimes *times, const char *const *nics)
{
    Migration *migration = migration_of(machine);

    g_clear_pointer(&migration->announcing, announce_stop);
    migration->announcing = announce_start(machine, times, nics);
}

AnnounceTimes migration_announce_times(Machine *machine)
{
    const MigrationParameters *parameters = &migration_of(machine)->parameters;

    return (AnnounceTimes){ parameters->announce_initial_ms, parameters->announce_step_ms,
                            parameters->announce_most_ms, parameters->announce_rounds };
}

static int64_t now_us(void)
{
    return g_get_monotonic_time();
}

static bool is_under_way(const Migration *migration)
{
    MigrationStatus status = migration->status;

    return status != MIGRATION_NONE && status < MIGRATION_COMPLETED &&
           status != MIGRATION_CANCELLED;
}

/* Who only waits for a machine may still be changed. */
static bool is_moving(const Migration *migration)
{
    return migration->incoming ? migration->status == MIGRATION_ACTIVE : is_under_way(migration);
}

void migration_info(Machine *machine, MigrationInfo *info)
{
    Migration *migration = migration_of(machine);
    bool over = migration->status == MIGRATION_COMPLETED || migration->status == MIGRATION_FAILED ||
                migration->status == MIGRATION_CANCELLED;
    int64_t end_us = over ? migration->ended_us : now_us();
    double seconds = (double)(end_us - migration->active_us) / 1e6;

    *info = (MigrationInfo){
        .status = migration->status,
        .incoming = migration->incoming,
        .under_way = is_moving(migration),
        .ram = migration->sender ? ram_sender_counts(migration->sender) : migration->counts,
        .transferred_bytes = migration->bytes,
        .ram_bytes = migration->ram_bytes,
        .mbps = seconds > 0 ? (double)migration->bytes * 8 / 1e6 / seconds : 0,
        .dirty_pages_rate = migration->dirty_pages_rate,
        .setup_ms = migration->active_us ? (migration->active_us - migration->begun_us) / 1000 : 0,
        .total_ms = (end_us - migration->begun_us) / 1000,
        .downtime_ms = migration->downtime_ms,
        .expected_downtime_ms = migration->expected_downtime_ms,
        .throttle_percent = throttle_percent(migration->throttle),
        .error = migration->error,
        .listening_at = migration->channel ? channel_listening_at(migration->channel) : NULL,
    };
}

bool migration_may_plug(Machine *machine, GError **error)
{
    return (!is_moving(migration_of(machine)) &&
            atomic_load(&machine->stop_reason) != STOP_SAVE_VM) ||
           error_fail(
               error, KASO_ERROR_GENERIC,
               "not while the machine is saved or migrates: what is there must stay the same "
               "until that has ended");
}

bool migration_may_begin(Machine *machine, GError **error)
{
    const Migration *migration = migration_of(machine);

    if (is_under_way(migration)) {
        return error_fail(error, KASO_ERROR_GENERIC,
                          "There's a migration process in progress: it ends, or migrate_cancel "
                          "ends it");
    }
    if (atomic_load(&machine->stop_reason) == STOP_SAVE_VM) {
        return error_fail(error, KASO_ERROR_GENERIC, "The machine is being saved");
    }
    if (atomic_load(&machine->stop_reason) == STOP_INMIGRATE) {
        return error_fail(error, KASO_ERROR_GENERIC, "Guest is waiting for an incoming migration");
    }
    return atomic_load(&machine->stop_reason) != STOP_POSTMIGRATE ||
           error_fail(error, KASO_ERROR_GENERIC,
                      "The machine has gone elsewhere; cont takes it back first");
}

bool migration_may_run(Machine *machine, bool run, GError **error)
{
    Migration *migration = migration_of(machine);

    switch (atomic_load(&machine->stop_reason)) {
    case STOP_INMIGRATE:
        migration->run_wanted = run;
        return false;
    case STOP_FINISH_MIGRATE:
        if (!run) {
            migration->ran = false;
            return false;
        }
        return error_fail(error, KASO_ERROR_GENERIC, "Migration is not finalized yet");
    case STOP_SAVE_VM:
        return error_fail(error, KASO_ERROR_GENERIC,
                          "The machine is being saved; then it goes on as before");
    default:
        break;
    }
    if (run && machine->block_graph && !block_activate(machine->block_graph, error)) {
        g_prefix_error(error, "the machine's disks are in use elsewhere: ");
        return false;
    }
    if (run && atomic_load(&machine->stop_reason) == STOP_POSTMIGRATE) {
        machine_stop(machine, STOP_PAUSED);
    }
    return true;
}
