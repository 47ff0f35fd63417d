/* SPDX-License-Identifier: MIT */
/* Commands about the machine's RAM: its pieces, and how fast the guest changes it. */
#include <inttypes.h>
#include <string.h>

#include "machine/memory.h"
#include "monitor/command.h"

#define ATTACHED "dirty-rate"

enum {
    PAGE_BYTES = 4096,
    SAMPLES_DEFAULT = 512, /* of each GiB */
    SAMPLES_MIN = 128,
    SAMPLES_MAX = 16384,
    SAMPLES_IN_ALL = 1 << 20,
    TIME_MIN_MS = 50,
    TIME_MAX_MS = 60000,
};

static json_t *blocks_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const GArray *pieces = memory_pieces(monitor_machine(monitor));
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "%24s %8s  %18s %18s %18s %18s %3s\n", "Block Name", "PSize",
                           "Offset", "Used", "Total", "HVA", "RO");
    for (unsigned i = 0; i < pieces->len; i++) {
        const MemoryPiece *piece = &g_array_index(pieces, MemoryPiece, i);

        if (piece->region) {
            g_string_append_printf(text,
                                   "%24s    4 KiB  0x%016" PRIx64 " 0x%016" PRIx64 " 0x%016" PRIx64
                                   " 0x%016" PRIxPTR "  %s\n",
                                   piece->region->name, piece->ram_offset, piece->size, piece->size,
                                   (uintptr_t)piece->region->host,
                                   piece->region->kind == MEMORY_ROM ? "ro" : "rw");
        }
    }
    return monitor_text(text);
}

static const MonitorCommand blocks_command = {
    .name = "x-query-ramblock",
    .hmp = "info ramblock",
    .summary = "lists the pieces of RAM that this process has",
    .run = blocks_run,
    .returns = "HumanReadableText",
};
MONITOR_COMMAND(blocks_command);

/* --- how fast it changes: pages taken at random are looked at twice --- */

static const char *const statuses[] = { "unstarted", "measuring", "measured", NULL };
typedef enum { RATE_UNSTARTED, RATE_MEASURING, RATE_MEASURED } RateStatus;

static const char *const units[] = { "second", "millisecond", NULL };
static const char *const modes[] = { "page-sampling", "dirty-ring", "dirty-bitmap", NULL };

typedef struct {
    uint64_t ram_offset;
    uint32_t hash;
} Sample;

typedef struct {
    Machine *machine;
    RateStatus status;
    int64_t start_s, time_ms, samples_of_gib;
    uint64_t ram_bytes;
    int64_t rate;    /* MiB in a second */
    GArray *samples; /* Sample */
    guint timer;
} DirtyRate;

static void rate_free(gpointer opaque)
{
    DirtyRate *rate = opaque;

    g_clear_handle_id(&rate->timer, g_source_remove);
    g_array_unref(rate->samples);
    g_free(rate);
}

static DirtyRate *rate_of(Machine *machine)
{
    DirtyRate *rate = machine_attached(machine, ATTACHED);

    if (!rate) {
        rate = g_new0(DirtyRate, 1);
        rate->machine = machine;
        rate->samples = g_array_new(FALSE, FALSE, sizeof(Sample));
        machine_attach(machine, ATTACHED, rate, rate_free);
    }
    return rate;
}

/* FNV-1a over words. The guest writes meanwhile; a page that changes is one that has changed. */
static uint32_t hash_page(const uint8_t *page)
{
    uint64_t hash = 0xcbf29ce484222325, word;

    for (unsigned i = 0; i < PAGE_BYTES; i += sizeof word) {
        memcpy(&word, page + i, sizeof word);
        hash = (hash ^ word) * 0x100000001b3;
    }
    return (uint32_t)(hash ^ hash >> 32);
}

/* RAM of the guest's that can change: not what only devices have. */
static bool counts(const MemoryPiece *piece)
{
    return piece->region && piece->region->kind == MEMORY_RAM && piece->size >= PAGE_BYTES;
}

static void take_samples(DirtyRate *rate)
{
    const GArray *pieces = memory_pieces(rate->machine);

    g_array_set_size(rate->samples, 0);
    rate->ram_bytes = 0;
    for (unsigned i = 0; i < pieces->len; i++) {
        const MemoryPiece *piece = &g_array_index(pieces, MemoryPiece, i);
        uint64_t wanted = counts(piece) ? (piece->size * rate->samples_of_gib >> 30) + 1 : 0;

        rate->ram_bytes += counts(piece) ? piece->size : 0;
        for (; wanted && rate->samples->len < SAMPLES_IN_ALL; wanted--) {
            uint64_t pages = piece->size / PAGE_BYTES;
            uint64_t page = (uint64_t)(g_random_double() * (double)pages) % pages * PAGE_BYTES;
            Sample sample = { piece->ram_offset + page,
                              hash_page((const uint8_t *)piece->region->host + page) };

            g_array_append_val(rate->samples, sample);
        }
    }
}

static gboolean look_again(gpointer opaque)
{
    DirtyRate *rate = opaque;
    Machine *machine = rate->machine;
    uint64_t changed = 0;

    machine_lock(machine);
    rate->timer = 0;
    for (unsigned i = 0; i < rate->samples->len; i++) {
        const Sample *sample = &g_array_index(rate->samples, Sample, i);

        changed += hash_page(memory_ram_base(machine) + sample->ram_offset) != sample->hash;
    }
    if (rate->samples->len) {
        double part = (double)changed / rate->samples->len;

        rate->rate =
            (int64_t)(part * (double)(rate->ram_bytes >> 20) * 1000 / (double)rate->time_ms);
    }
    g_array_set_size(rate->samples, 0);
    rate->status = RATE_MEASURED;
    machine_unlock(machine);
    return G_SOURCE_REMOVE;
}

static bool is_milliseconds(json_t *arguments)
{
    return !g_strcmp0(monitor_get_string(arguments, "calc-time-unit"), "millisecond");
}

static json_t *calc_run(Monitor *monitor, json_t *arguments, GError **error)
{
    DirtyRate *rate = rate_of(monitor_machine(monitor));
    int64_t time = monitor_get_int(arguments, "calc-time", 1);
    int64_t samples = monitor_get_int(arguments, "sample-pages", SAMPLES_DEFAULT);
    int64_t unit_ms = is_milliseconds(arguments) ? 1 : 1000;
    const char *mode =
        monitor_has(arguments, "mode") ? monitor_get_string(arguments, "mode") : modes[0];

    if (rate->status == RATE_MEASURING) {
        error_fail(error, KASO_ERROR_GENERIC, "the rate is being measured already");
    } else if (strcmp(mode, modes[0])) {
        error_fail(error, KASO_ERROR_UNSUPPORTED, "mode '%s' is not built yet; %s is", mode,
                   modes[0]);
    } else if (time < 1 || time > TIME_MAX_MS / unit_ms || time * unit_ms < TIME_MIN_MS) {
        error_fail(error, KASO_ERROR_INVALID, "'calc-time' is %d to %d milliseconds", TIME_MIN_MS,
                   TIME_MAX_MS);
    } else if (samples < SAMPLES_MIN || samples > SAMPLES_MAX) {
        error_fail(error, KASO_ERROR_INVALID, "'sample-pages' is %d to %d", SAMPLES_MIN,
                   SAMPLES_MAX);
    } else {
        rate->status = RATE_MEASURING;
        rate->start_s = g_get_real_time() / G_USEC_PER_SEC;
        rate->time_ms = time * unit_ms;
        rate->samples_of_gib = samples;
        take_samples(rate);
        rate->timer = g_timeout_add((guint)rate->time_ms, look_again, rate);
    }
    return NULL;
}

static const MonitorArgument calc_arguments[] = {
    { "calc-time", ARGUMENT_INT, .summary = "for how long, in seconds or by the unit" },
    { "calc-time-unit", ARGUMENT_STRING, true, "second or millisecond", .values = units,
      .qmp = true },
    { "sample-pages", ARGUMENT_INT, true, "pages of each GiB that are looked at" },
    { "mode", ARGUMENT_STRING, true, "page-sampling; the others are not built", .values = modes,
      .qmp = true },
    { NULL },
};

static const MonitorCommand calc_command = {
    .name = "calc-dirty-rate",
    .hmp = "calc_dirty_rate",
    .summary = "measures how fast the guest changes its memory",
    .arguments = calc_arguments,
    .run = calc_run,
};
MONITOR_COMMAND(calc_command);

static json_t *rate_run(Monitor *monitor, json_t *arguments, GError **error)
{
    const DirtyRate *rate = rate_of(monitor_machine(monitor));
    bool milliseconds = is_milliseconds(arguments);
    json_t *result = json_object();

    if (rate->status == RATE_MEASURED) {
        monitor_put(result, "dirty-rate", json_integer(rate->rate));
    }
    monitor_put(result, "status", json_string(statuses[rate->status]));
    monitor_put(result, "start-time", json_integer(rate->start_s));
    monitor_put(result, "calc-time",
                json_integer(milliseconds ? rate->time_ms : rate->time_ms / 1000));
    monitor_put(result, "calc-time-unit", json_string(units[milliseconds]));
    monitor_put(result, "sample-pages", json_integer(rate->samples_of_gib));
    monitor_put(result, "mode", json_string(modes[0]));
    return result;
}

static void rate_print(Monitor *monitor, json_t *result, GString *out)
{
    g_string_append_printf(
        out,
        "Status: %s\nStart Time: %" PRId64 " (sec)\nSample Pages: %" PRId64
        " (per GB)\nPeriod: %" PRId64 " (sec)\nMode: %s\nDirty rate: ",
        monitor_get_string(result, "status"), monitor_get_int(result, "start-time", 0),
        monitor_get_int(result, "sample-pages", 0), monitor_get_int(result, "calc-time", 0),
        monitor_get_string(result, "mode"));
    if (monitor_has(result, "dirty-rate")) {
        g_string_append_printf(out, "%" PRId64 " (MB/s)\n",
                               monitor_get_int(result, "dirty-rate", 0));
    } else {
        g_string_append(out, "(not ready)\n");
    }
}

static const MonitorArgument rate_arguments[] = {
    { "calc-time-unit", ARGUMENT_STRING, true, "second or millisecond", .values = units,
      .qmp = true },
    { NULL },
};

static const MonitorCommand rate_command = {
    .name = "query-dirty-rate",
    .hmp = "info dirty_rate",
    .summary = "shows how fast the guest changed its memory when that was measured",
    .arguments = rate_arguments,
    .run = rate_run,
    .print = rate_print,
    .returns = "DirtyRateInfo",
};
MONITOR_COMMAND(rate_command);
