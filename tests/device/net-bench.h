/* SPDX-License-Identifier: MIT */
/* A back end for tests of network cards: it keeps what it is to send. */
#ifndef TESTS_DEVICE_NET_BENCH_H
#define TESTS_DEVICE_NET_BENCH_H

#include "machine/netdev.h"
#include "tests/device/bench.h"

typedef struct {
    Netdev netdev;
    GPtrArray *sent; /* GByteArray * */
} KeepingNetdev;

/* Named "net0"; frames to the card go in by netdev_receive and its like. The machine owns it. */
KeepingNetdev *net_bench_new(Bench *bench);

#endif
