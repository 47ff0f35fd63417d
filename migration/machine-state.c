/* SPDX-License-Identifier: MIT */
/* The sections of a machine, in their order. */
#include "migration/machine-state.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "machine/saved-state.h"
#include "migration/migration.h"
#include "migration/packing.h"

bool machine_state_hold(Machine *machine, StopReason now, StopReason *before, bool *ran)
{
    StopReason reason = atomic_load(&machine->stop_reason);
    bool alive;

    *ran = reason == STOP_NONE || reason == STOP_SUSPENDED;
    if (*ran) {
        machine_stop(machine, STOP_PAUSED);
    }
    alive = machine_carry_out_requests(machine);
    *before = atomic_load(&machine->stop_reason);
    *ran = *ran && *before == STOP_PAUSED;
    if (alive) {
        machine_stop(machine, now);
    }
    return alive;
}

void machine_state_go_on(Machine *machine, StopReason before, bool run)
{
    machine_stop(machine, before);
    if (run) {
        machine_start(machine);
    }
}

/* What must be the same, by the option that gives it. */
static void describe(Machine *machine, GByteArray *lines)
{
    const MachineConfig *config = &machine->config;

    stream_add_line(lines, "target", "%s", config->target ? config->target->name : "none");
    stream_add_line(lines, "machine", "%s", machine->board ? machine->board->name : "none");
    stream_add_line(lines, "cpu", "%s", config->cpu_model ? config->cpu_model->name : "none");
    stream_add_line(lines, "smp", "%u", machine->vcpus->len);
    stream_add_line(lines, "m", "%" G_GUINT64_FORMAT, config->ram_bytes);
}

static const char *uuid_of(Machine *machine)
{
    const char *uuid = machine->config.uuid;

    return uuid ? uuid : "00000000-0000-0000-0000-000000000000";
}

bool machine_state_write_head(Machine *machine, StreamWriter *writer, const MachineHead *head,
                              GError **error)
{
    g_autoptr(GByteArray) lines = g_byte_array_new();

    describe(machine, lines);
    stream_add_line(lines, "answer", "%s", head->answer ? "yes" : "no");
    if (head->lanes) {
        stream_add_line(lines, "lanes", "%u", head->lanes);
        stream_add_line(lines, "lanes-id", "%" G_GUINT64_FORMAT, head->lanes_id);
    }
    if (migration_capabilities(machine)[MIGRATION_VALIDATE_UUID]) {
        stream_add_line(lines, "uuid", "%s", uuid_of(machine));
    }
    ram_describe(machine, lines);
    return stream_write_start(writer, error) &&
           stream_write_section(writer, STREAM_MACHINE, lines->data, lines->len, error);
}

bool machine_state_write_devices(Machine *machine, StreamWriter *writer, bool running,
                                 GError **error)
{
    g_autoptr(GByteArray) devices = NULL, run = g_byte_array_new();
    unsigned wakers;

    if (!machine_may_save(machine, error)) {
        return false;
    }
    devices = machine_save_state(machine);
    stream_add_line(run, "running", "%s", running ? "yes" : "no");
    if (machine_sleeps(machine, &wakers)) {
        stream_add_line(run, "sleeps", "%u", wakers);
    }
    stream_add_line(run, "rtc-start", "%" G_GINT64_FORMAT, clock_rtc_start_ns(machine));
    return stream_write_section(writer, STREAM_DEVICES, devices->data, devices->len, error) &&
           stream_write_section(writer, STREAM_RUN, run->data, run->len, error) &&
           stream_write_section(writer, STREAM_END, "", 0, error);
}

void machine_state_clear(MachineState *state)
{
    g_clear_pointer(&state->pieces, g_array_unref);
    g_clear_pointer(&state->devices, g_byte_array_unref);
    g_clear_pointer(&state->run, g_byte_array_unref);
    g_clear_pointer(&state->bitmaps, g_byte_array_unref);
}

bool machine_state_read_head(StreamReader *reader, GError **error)
{
    return stream_read_start(reader, error) && stream_read_section(reader, error) &&
           (strcmp(reader->name, STREAM_MACHINE) == 0 ||
            error_fail(error, KASO_ERROR_INVALID,
                       "the saved state does not begin with what machine it is of"));
}

static bool match_uuid(Machine *machine, const StreamReader *reader, GError **error)
{
    g_autofree char *uuid = stream_find_line(reader->content, "uuid");

    return !uuid || g_ascii_strcasecmp(uuid, uuid_of(machine)) == 0 ||
           error_fail(error, KASO_ERROR_INVALID,
                      "the saved state is of a machine with -uuid %s, and this one has %s", uuid,
                      uuid_of(machine));
}

static bool read_lanes(const StreamReader *reader, MachineHead *head, GError **error)
{
    g_autofree char *lanes = stream_find_line(reader->content, "lanes");
    g_autofree char *id = stream_find_line(reader->content, "lanes-id");
    guint64 count = 0;

    head->lanes_id = id ? g_ascii_strtoull(id, NULL, 10) : 0;
    if (lanes && !g_ascii_string_to_unsigned(lanes, 10, 1, MIGRATION_LANES_MOST, &count, NULL)) {
        return error_fail(error, KASO_ERROR_INVALID, "'%s' is no number of channels", lanes);
    }
    head->lanes = (unsigned)count;
    return true;
}

bool machine_state_match(Machine *machine, const StreamReader *reader, MachineState *state,
                         MachineHead *head, GError **error)
{
    static const char *const names[] = { "target", "machine", "cpu", "smp", "m" };
    g_autoptr(GByteArray) lines = g_byte_array_new();
    g_autofree char *answers = stream_find_line(reader->content, "answer");

    head->answer = g_strcmp0(answers, "yes") == 0;
    if (!read_lanes(reader, head, error) || !match_uuid(machine, reader, error)) {
        return false;
    }
    describe(machine, lines);
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *there = stream_find_line(reader->content, names[i]);
        g_autofree char *here = stream_find_line(lines, names[i]);

        if (g_strcmp0(there, here) != 0) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "the saved state is of a machine with -%s %s, and this one has %s; "
                              "give the same options as then",
                              names[i], there ? there : "?", here);
        }
    }
    state->pieces = ram_match(machine, reader->content, error);
    return state->pieces != NULL;
}

static bool keep(GByteArray **kept, const StreamReader *reader, GError **error)
{
    if (*kept) {
        return error_fail(error, KASO_ERROR_INVALID, "the saved state has two sections '%s'",
                          reader->name);
    }
    *kept = g_byte_array_new();
    g_byte_array_append(*kept, reader->content->data, reader->content->len);
    return true;
}

static bool take_pages(Machine *machine, const MachineState *state, const GByteArray *content,
                       bool only_check, GError **error)
{
    return only_check ? ram_fits(state->pieces, content->data, content->len, error)
                      : ram_receive(machine, state->pieces, content->data, content->len, error);
}

/* Pages go to their places, or are only looked at. */
static bool read_sections(Machine *machine, StreamReader *reader, MachineState *state,
                          bool only_check, GError **error)
{
    g_autoptr(GByteArray) plain = g_byte_array_new();
    bool ok;

    do {
        ok = stream_read_section(reader, error);
        if (!ok || strcmp(reader->name, STREAM_END) == 0) {
            break;
        }
        if (strcmp(reader->name, STREAM_RAM) == 0) {
            ok = take_pages(machine, state, reader->content, only_check, error);
        } else if (strcmp(reader->name, STREAM_PACKED) == 0) {
            ok = packing_undo(reader->content, plain, error) &&
                 take_pages(machine, state, plain, only_check, error);
        } else if (strcmp(reader->name, STREAM_SYNC) == 0 && state->sync) {
            ok = state->sync(state->opaque, error);
        } else if (strcmp(reader->name, STREAM_BITMAPS) == 0) {
            ok = keep(&state->bitmaps, reader, error);
        } else if (strcmp(reader->name, STREAM_DEVICES) == 0) {
            ok = keep(&state->devices, reader, error);
        } else if (strcmp(reader->name, STREAM_RUN) == 0) {
            ok = keep(&state->run, reader, error);
        } else {
            ok = error_fail(error, KASO_ERROR_UNSUPPORTED,
                            "the saved state has a section '%s', which this program does not know",
                            reader->name);
        }
    } while (ok);
    return ok && (state->devices && state->run
                      ? true
                      : error_fail(error, KASO_ERROR_INVALID,
                                   "the saved state ends before that of the devices"));
}

bool machine_state_read(Machine *machine, StreamReader *reader, MachineState *state, GError **error)
{
    return read_sections(machine, reader, state, false, error);
}

bool machine_state_check(Machine *machine, StreamReader *reader, GError **error)
{
    MachineState state = { 0 };
    MachineHead head;
    bool ok = machine_state_read_head(reader, error) &&
              machine_state_match(machine, reader, &state, &head, error) &&
              read_sections(machine, reader, &state, true, error) &&
              machine_state_fits(machine, state.devices->data, state.devices->len, error);

    machine_state_clear(&state);
    return ok;
}

bool machine_state_load(Machine *machine, const MachineState *state, bool *running, GError **error)
{
    g_autofree char *ran = stream_find_line(state->run, "running");
    g_autofree char *sleeps = stream_find_line(state->run, "sleeps");
    g_autofree char *rtc = stream_find_line(state->run, "rtc-start");

    *running = g_strcmp0(ran, "yes") == 0;
    if (!machine_load_state(machine, state->devices->data, state->devices->len, error)) {
        return false;
    }
    clock_set_rtc_start_ns(machine, rtc ? g_ascii_strtoll(rtc, NULL, 10) : 0);
    machine_set_sleep(machine, sleeps != NULL,
                      sleeps ? (unsigned)strtoul(sleeps, NULL, 10) : WAKE_NONE);
    ram_received(machine);
    return true;
}
