/* SPDX-License-Identifier: MIT */
/*
 * Nodes of memory and CPUs that -numa describes. Nodes are numbered from 0 without gaps, and each has a run of main RAM, in
 * their order; nodes may be without CPUs, and without memory. Boards tell the guest (ACPI, device tree).
 */
#ifndef MACHINE_NUMA_H
#define MACHINE_NUMA_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/key-values.h"

typedef struct Machine Machine;

enum { NUMA_NODES_MOST = 128, NUMA_LOCAL = 10, NUMA_REMOTE = 20, NUMA_UNREACHABLE = 255 };

typedef struct {
    bool present, bytes_given;
    uint64_t bytes;
    char *memdev;  /* id of the back end of its memory, or NULL */
    int initiator; /* the node that its memory is accessed from at best; -1: not told */
} NumaNode;

typedef struct Numa {
    unsigned count;
    NumaNode nodes[NUMA_NODES_MOST];
    bool distances; /* they were given; otherwise NUMA_LOCAL and NUMA_REMOTE */
    uint8_t distance[NUMA_NODES_MOST][NUMA_NODES_MOST]; /* from, to; 0 (until numa_complete): not given */
    int *cpu_nodes; /* one a CPU */
} Numa;

/* One -numa: "type" is node, cpu or dist. Objects that it names are there. */
bool numa_add(Machine *machine, const KeyValues *options, GError **error);
/* When all are: checks what they amount to, and fills what was left out. For machine_build. */
bool numa_complete(Machine *machine, GError **error);
void numa_free(Numa *numa);

/* Where a CPU is in the machine's -smp, as QMP names it. */
typedef struct {
    unsigned socket, die, cluster, module, core, thread; /* core: in its module */
} NumaCpuPlace;
NumaCpuPlace numa_cpu_place(const Machine *machine, unsigned cpu);
/* Offset of a node's memory in main RAM. */
uint64_t numa_node_start(const Numa *numa, unsigned node);

#endif
