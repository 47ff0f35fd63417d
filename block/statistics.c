/* SPDX-License-Identifier: MIT */
/* Counters and latency histograms of backends, and their JSON. */
#include "block/statistics.h"

#include <string.h>
#include <time.h>

#include "base/bits.h"

int64_t statistics_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
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

static void put_account(json_t *object, BlockAccountKind kind, const Account *account)
{
    static const char *const names[] = { "rd", "wr", "flush", "unmap", "zone_append" };
    const char *name = names[kind];

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
    json_object_set_new(object, "timed_stats", json_array());
    return object;
}
