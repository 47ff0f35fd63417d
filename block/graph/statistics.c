/* SPDX-License-Identifier: MIT */
/* Counters and latency histograms of backends, and their JSON. */
#include "block/graph/statistics.h"

#include <string.h>
#include <time.h>

#include "base/bits.h"

#define NS_PER_SECOND INT64_C(1000000000)

int64_t statistics_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

void statistics_init(Statistics *statistics)
{
    *statistics = (Statistics){ .account_failed = true, .account_invalid = true };
}

void statistics_clear(Statistics *statistics)
{
    for (unsigned i = 0; i < BLOCK_ACCOUNT_KINDS; i++) {
        histogram_clear(&statistics->accounts[i].histogram);
    }
    g_clear_pointer(&statistics->timed, g_array_unref);
}

/* Intervals. */

void statistics_add_interval(Statistics *statistics, uint32_t interval_s)
{
    TimedStatistics timed = { .interval_s = interval_s };
    int64_t now_ns = statistics_now_ns();

    for (unsigned i = 0; i < BLOCK_ACCOUNT_KINDS; i++) {
        timed.windows[i][0].start_ns = now_ns;
        timed.windows[i][1].start_ns = now_ns - interval_s * NS_PER_SECOND / 2;
    }
    if (!statistics->timed) {
        statistics->timed = g_array_new(FALSE, FALSE, sizeof timed);
    }
    g_array_append_val(statistics->timed, timed);
}

/* Windows that have lasted for their interval begin anew. Returns the older one. */
static LatencyWindow *current_window(TimedStatistics *timed, BlockAccountKind kind, int64_t now_ns)
{
    int64_t interval_ns = timed->interval_s * NS_PER_SECOND;
    LatencyWindow *windows = timed->windows[kind];

    for (unsigned i = 0; i < 2; i++) {
        int64_t age_ns = now_ns - windows[i].start_ns;

        if (age_ns >= interval_ns) {
            windows[i] = (LatencyWindow){ .start_ns = now_ns - age_ns % interval_ns };
        }
    }
    return windows[0].start_ns < windows[1].start_ns ? &windows[0] : &windows[1];
}

static void window_count(LatencyWindow *window, uint64_t latency_ns)
{
    window->min_ns = window->count ? MIN(window->min_ns, latency_ns) : latency_ns;
    window->max_ns = MAX(window->max_ns, latency_ns);
    window->sum_ns += latency_ns;
    window->count++;
}

static void count_timed(Statistics *statistics, BlockAccountKind kind, uint64_t latency_ns,
                        int64_t now_ns)
{
    for (unsigned i = 0; statistics->timed && i < statistics->timed->len; i++) {
        TimedStatistics *timed = &g_array_index(statistics->timed, TimedStatistics, i);

        current_window(timed, kind, now_ns);
        window_count(&timed->windows[kind][0], latency_ns);
        window_count(&timed->windows[kind][1], latency_ns);
    }
}

/* Histograms. */

void histogram_clear(LatencyHistogram *histogram)
{
    g_free(histogram->boundaries);
    g_free(histogram->bins);
    *histogram = (LatencyHistogram){ 0 };
}

bool histogram_set(LatencyHistogram *histogram, const json_t *boundaries)
{
    size_t count = json_array_size(boundaries);
    json_int_t previous = 0;

    if (!count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        json_int_t value = json_integer_value(json_array_get(boundaries, i));

        if (value <= previous) {
            return false;
        }
        previous = value;
    }
    histogram_clear(histogram);
    histogram->count = (unsigned)count;
    histogram->boundaries = g_new(uint64_t, count);
    histogram->bins = g_new0(uint64_t, count + 1);
    for (size_t i = 0; i < count; i++) {
        histogram->boundaries[i] = (uint64_t)json_integer_value(json_array_get(boundaries, i));
    }
    return true;
}

/* The bin of a latency is the number of boundaries that it reaches. */
static void histogram_count(LatencyHistogram *histogram, uint64_t latency_ns)
{
    unsigned low = 0, high = histogram->count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (latency_ns >= histogram->boundaries[middle]) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    histogram->bins[low]++;
}

static json_t *numbers_to_json(const uint64_t *numbers, unsigned count)
{
    json_t *array = json_array();

    for (unsigned i = 0; i < count; i++) {
        json_array_append_new(array, json_integer((json_int_t)numbers[i]));
    }
    return array;
}

/* Counting. */

void statistics_count(Statistics *statistics, BlockAccountKind kind, uint64_t bytes, bool failed,
                      int64_t start_ns)
{
    Account *account = &statistics->accounts[kind];
    int64_t now_ns = statistics_now_ns();
    uint64_t latency_ns = (uint64_t)MAX(now_ns - start_ns, 0);

    if (failed) {
        account->failed++;
    } else {
        account->bytes += bytes;
        account->operations++;
    }
    if (account->histogram.count) {
        histogram_count(&account->histogram, latency_ns);
    }
    if (!failed || statistics->account_failed) {
        account->time_ns += latency_ns;
        count_timed(statistics, kind, latency_ns, now_ns);
        statistics->last_access_ns = now_ns;
    }
}

void statistics_count_invalid(Statistics *statistics, BlockAccountKind kind)
{
    statistics->accounts[kind].invalid++;
    if (statistics->account_invalid) {
        statistics->last_access_ns = statistics_now_ns();
    }
}

/* QMP. */

static void put_number(json_t *object, const char *prefix, const char *name, const char *suffix,
                       uint64_t value)
{
    g_autofree char *key = g_strconcat(prefix, name, suffix, NULL);

    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static const char *const kind_names[] = { "rd", "wr", "flush", "unmap", "zone_append" };

static void put_account(json_t *object, BlockAccountKind kind, const Account *account)
{
    const char *name = kind_names[kind];

    put_number(object, "", name, "_operations", account->operations);
    put_number(object, "", name, "_total_time_ns", account->time_ns);
    put_number(object, "failed_", name, "_operations", account->failed);
    put_number(object, "invalid_", name, "_operations", account->invalid);
    if (kind != BLOCK_ACCOUNT_FLUSH) {
        put_number(object, "", name, "_bytes", account->bytes);
        put_number(object, "", name, "_merged", 0);
    }
    if (account->histogram.count) {
        g_autofree char *key = g_strconcat(name, "_latency_histogram", NULL);
        const LatencyHistogram *h = &account->histogram;

        json_object_set_new(object, key,
                            json_pack("{s:o, s:o}", "boundaries",
                                      numbers_to_json(h->boundaries, h->count), "bins",
                                      numbers_to_json(h->bins, h->count + 1)));
    }
}

static json_t *timed_to_json(TimedStatistics *timed, int64_t now_ns)
{
    json_t *object = json_pack("{s:I}", "interval_length", (json_int_t)timed->interval_s);

    for (unsigned kind = 0; kind < BLOCK_ACCOUNT_KINDS; kind++) {
        const LatencyWindow *w = current_window(timed, kind, now_ns);
        const char *name = kind_names[kind];

        if (kind == BLOCK_ACCOUNT_UNMAP) {
            continue;
        }
        put_number(object, "min_", name, "_latency_ns", w->min_ns);
        put_number(object, "max_", name, "_latency_ns", w->max_ns);
        put_number(object, "avg_", name, "_latency_ns", w->count ? w->sum_ns / w->count : 0);
        if (kind != BLOCK_ACCOUNT_FLUSH) {
            g_autofree char *key = g_strconcat("avg_", name, "_queue_depth", NULL);
            double elapsed_ns = (double)MAX(now_ns - w->start_ns, 1);

            json_object_set_new(object, key, json_real((double)w->sum_ns / elapsed_ns));
        }
    }
    return object;
}

static json_t *timed_list(const Statistics *statistics)
{
    json_t *list = json_array();
    int64_t now_ns = statistics_now_ns();

    for (unsigned i = 0; statistics->timed && i < statistics->timed->len; i++) {
        TimedStatistics *timed = &g_array_index(statistics->timed, TimedStatistics, i);

        json_array_append_new(list, timed_to_json(timed, now_ns));
    }
    return list;
}

json_t *statistics_to_json(const Statistics *statistics, uint64_t highest_write)
{
    static const Statistics none;
    json_t *object = json_object();
    const Statistics *s = statistics ? statistics : &none;

    for (unsigned i = 0; i < BLOCK_ACCOUNT_KINDS; i++) {
        put_account(object, i, &s->accounts[i]);
    }
    json_object_set_new(object, "wr_highest_offset", json_integer((json_int_t)highest_write));
    if (s->last_access_ns) {
        json_object_set_new(object, "idle_time_ns",
                            json_integer(statistics_now_ns() - s->last_access_ns));
    }
    json_object_set_new(object, "account_failed", json_boolean(s->account_failed));
    json_object_set_new(object, "account_invalid", json_boolean(s->account_invalid));
    json_object_set_new(object, "timed_stats", timed_list(s));
    return object;
}
