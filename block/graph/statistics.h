/* SPDX-License-Identifier: MIT */
/* What a backend counts: requests, bytes, times, latency histograms. Guarded by the context's lock. */
#ifndef BLOCK_GRAPH_STATISTICS_H
#define BLOCK_GRAPH_STATISTICS_H

#include <jansson.h>

#include "block/block.h"

/* Boundaries in nanoseconds, ascending; bins has one element more. */
typedef struct {
    unsigned count; /* of boundaries; 0: no histogram */
    uint64_t *boundaries, *bins;
} LatencyHistogram;

typedef struct {
    uint64_t bytes, operations, failed, invalid, time_ns;
    LatencyHistogram histogram;
} Account;

/* Latencies since start_ns. */
typedef struct {
    int64_t start_ns;
    uint64_t count, sum_ns, min_ns, max_ns;
} LatencyWindow;

/*
 * The latencies of the last interval, or so: of two windows as long as the interval, which start half
 * of it apart, the older one counts.
 */
typedef struct {
    uint32_t interval_s;
    LatencyWindow windows[BLOCK_ACCOUNT_KINDS][2];
} TimedStatistics;

typedef struct {
    Account accounts[BLOCK_ACCOUNT_KINDS];
    GArray *timed;          /* TimedStatistics; NULL: none */
    int64_t last_access_ns; /* 0: none yet */
    bool account_failed, account_invalid;
} Statistics;

void statistics_init(Statistics *statistics);
void statistics_clear(Statistics *statistics);
/* start_ns: the monotonic clock when the request began. */
void statistics_count(Statistics *statistics, BlockAccountKind kind, uint64_t bytes, bool failed,
                      int64_t start_ns);
void statistics_count_invalid(Statistics *statistics, BlockAccountKind kind);
int64_t statistics_now_ns(void);
void statistics_add_interval(Statistics *statistics, uint32_t interval_s);
/* BlockDeviceStats of QMP. statistics NULL: of a node, which counts nothing but its highest write. */
json_t *statistics_to_json(const Statistics *statistics, uint64_t highest_write);
/* boundaries: a JSON array of ascending numbers above 0. False: it is not. */
bool histogram_set(LatencyHistogram *histogram, const json_t *boundaries);
void histogram_clear(LatencyHistogram *histogram);

#endif
