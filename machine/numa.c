/* SPDX-License-Identifier: MIT */
/* -numa: from options to nodes whose memory and CPUs add up to the machine's. */
#include "machine/numa.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/names.h"
#include "machine/machine.h"
#include "machine/object.h"

enum { NO_NODE = -1, SPLIT_BYTES = MIB(8) };

static unsigned level(unsigned count)
{
    return MAX(count, 1);
}

NumaCpuPlace numa_cpu_place(const Machine *machine, unsigned cpu)
{
    const MachineConfig *config = &machine->config;
    unsigned threads = level(config->threads), cores = level(config->cores);
    unsigned modules = level(config->modules), clusters = level(config->clusters);
    unsigned in_module = MAX(cores / (modules * clusters * level(config->dies)), 1);
    unsigned core = cpu / threads % cores;

    return (NumaCpuPlace){
        .socket = cpu / threads / cores,
        .die = core / in_module / modules / clusters,
        .cluster = core / in_module / modules % clusters,
        .module = core / in_module % modules,
        .core = core % in_module,
        .thread = cpu % threads,
    };
}

static Numa *get_numa(Machine *machine)
{
    if (!machine->numa) {
        machine->numa = g_new0(Numa, 1);
        machine->numa->cpu_nodes = g_new(int, machine->config.vcpus);
        for (unsigned i = 0; i < machine->config.vcpus; i++) {
            machine->numa->cpu_nodes[i] = NO_NODE;
        }
    }
    return machine->numa;
}

void numa_free(Numa *numa)
{
    for (unsigned i = 0; numa && i < NUMA_NODES_MOST; i++) {
        g_free(numa->nodes[i].memdev);
    }
    if (numa) {
        g_free(numa->cpu_nodes);
    }
    g_free(numa);
}

static bool parse_number(const char *what, const char *text, unsigned most, unsigned *value,
                         GError **error)
{
    char *end = NULL;
    unsigned long number = g_ascii_isdigit(*text) ? strtoul(text, &end, 10) : 0;

    *value = (unsigned)number;
    return (end && !*end && number <= most) ||
           error_fail(error, KASO_ERROR_INVALID, "%s=%s: give a number from 0 to %u", what, text,
                      most);
}

/* A number that need not be there; *value stays then. */
static bool take_number(const KeyValues *options, const char *name, unsigned most, unsigned *value,
                        GError **error)
{
    const char *text = key_values_get(options, name);

    return !text || parse_number(name, text, most, value, error);
}

static bool assign_cpu(Numa *numa, unsigned cpu, unsigned node, GError **error)
{
    if (numa->cpu_nodes[cpu] != NO_NODE) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "CPU %u is in node %d already; a CPU is in one node", cpu,
                          numa->cpu_nodes[cpu]);
    }
    numa->cpu_nodes[cpu] = (int)node;
    return true;
}

/* --- node --- */

/* "FIRST[-LAST]" */
static bool assign_range(Machine *machine, const char *text, unsigned node, GError **error)
{
    g_auto(GStrv) ends = g_strsplit(text, "-", 2);
    unsigned first, last, cpus = machine->config.vcpus;

    if (!parse_number("cpus", ends[0] ? ends[0] : "", UINT16_MAX, &first, error) ||
        !parse_number("cpus", ends[0] && ends[1] ? ends[1] : ends[0], UINT16_MAX, &last, error)) {
        return false;
    }
    if (last < first || last >= cpus) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "cpus=%s: give FIRST or FIRST-LAST; -smp makes CPUs 0 to %u", text,
                          cpus - 1);
    }
    for (unsigned cpu = first; cpu <= last; cpu++) {
        if (!assign_cpu(machine->numa, cpu, node, error)) {
            return false;
        }
    }
    return true;
}

/* cpus= may be repeated, and a value of it may be a list. */
static bool assign_ranges(Machine *machine, const KeyValues *options, unsigned node, GError **error)
{
    for (unsigned i = 0; i < options->pairs->len; i++) {
        const KeyValue *pair = &g_array_index(options->pairs, KeyValue, i);
        g_auto(GStrv) ranges = NULL;

        if (strcmp(pair->key, "cpus") != 0 && !g_str_has_prefix(pair->key, "cpus.")) {
            continue;
        }
        ranges = g_strsplit_set(pair->value, ",:", -1);
        for (char **range = ranges; *range; range++) {
            if (!assign_range(machine, *range, node, error)) {
                return false;
            }
        }
    }
    return true;
}

/* A size whose bare number counts MiB. */
static bool parse_memory(const char *text, uint64_t *bytes, GError **error)
{
    bool bare = *text && strspn(text, "0123456789") == strlen(text);
    g_autofree char *with_unit = g_strconcat(text, bare ? "M" : "", NULL);

    return property_parse_size(with_unit, bytes) ||
           error_fail(error, KASO_ERROR_INVALID,
                      "mem=%s is no size; give MiB, or a number with suffix K, M, G or T", text);
}

static bool take_memdev(Machine *machine, NumaNode *node, const char *id, GError **error)
{
    ObjectMemory memory;

    if (!machine_find_memory(machine, id, &memory, error)) {
        return false;
    }
    for (unsigned i = 0; i < NUMA_NODES_MOST; i++) {
        if (g_strcmp0(machine->numa->nodes[i].memdev, id) == 0) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "memory back end '%s' is node %u's already", id, i);
        }
    }
    node->memdev = g_strdup(id);
    node->bytes = memory.size;
    node->bytes_given = true;
    return true;
}

static bool take_memory(Machine *machine, NumaNode *node, const char *size, const char *memdev,
                        GError **error)
{
    const Numa *numa = machine->numa;

    if (size && memdev) {
        return error_fail(error, KASO_ERROR_INVALID, "give mem= or memdev=, not both");
    }
    for (unsigned i = 0; (size || memdev) && i < NUMA_NODES_MOST; i++) {
        const NumaNode *other = &numa->nodes[i];

        if (other->bytes_given && !other->memdev != !memdev) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "mem= and memdev= do not mix: node %u has the other one", i);
        }
    }
    if (memdev) {
        return take_memdev(machine, node, memdev, error);
    }
    node->bytes_given = size != NULL;
    return !size || parse_memory(size, &node->bytes, error);
}

static bool add_node(Machine *machine, const KeyValues *options, GError **error)
{
    static const char *const names[] = { "type", "nodeid", "mem", "memdev", "initiator", NULL };
    Numa *numa = machine->numa;
    unsigned id = numa->count, initiator = NUMA_NODES_MOST;
    NumaNode *node;

    for (unsigned i = 0; i < options->pairs->len; i++) {
        const char *key = g_array_index(options->pairs, KeyValue, i).key;

        if (!g_strv_contains(names, key) && strcmp(key, "cpus") != 0 &&
            !g_str_has_prefix(key, "cpus.")) {
            return error_fail(error, KASO_ERROR_NOT_FOUND,
                              "-numa node has no option '%s'; it has nodeid, cpus, mem, memdev and "
                              "initiator",
                              key);
        }
    }
    if (!take_number(options, "nodeid", NUMA_NODES_MOST - 1, &id, error) ||
        !take_number(options, "initiator", NUMA_NODES_MOST - 1, &initiator, error)) {
        return false;
    }
    if (id >= NUMA_NODES_MOST || numa->nodes[id].present) {
        return error_fail(error, KASO_ERROR_INVALID,
                          id >= NUMA_NODES_MOST ? "there are %u nodes already, the most"
                                                : "node %u was given before; nodeid= says which",
                          id);
    }
    node = &numa->nodes[id];
    node->present = true;
    node->initiator = initiator < NUMA_NODES_MOST ? (int)initiator : NO_NODE;
    numa->count++;
    return take_memory(machine, node, key_values_get(options, "mem"),
                       key_values_get(options, "memdev"), error) &&
           assign_ranges(machine, options, id, error);
}

/* --- cpu --- */

enum { PLACE_LEVELS = 6, ANY = UINT16_MAX + 1 };

static bool check_node(const Numa *numa, const char *what, unsigned node, GError **error)
{
    return (node < NUMA_NODES_MOST && numa->nodes[node].present) ||
           error_fail(error, KASO_ERROR_NOT_FOUND,
                      node < NUMA_NODES_MOST
                          ? "%s=%u: there is no such node; define it before, with "
                            "-numa node,nodeid=%u"
                          : "it needs %s=",
                      what, node, node);
}

static bool is_at(const NumaCpuPlace *place, const unsigned wanted[PLACE_LEVELS])
{
    const unsigned at[PLACE_LEVELS] = { place->socket, place->die,  place->cluster,
                                        place->module, place->core, place->thread };

    for (unsigned i = 0; i < PLACE_LEVELS; i++) {
        if (wanted[i] != ANY && wanted[i] != at[i]) {
            return false;
        }
    }
    return true;
}

static bool add_cpus(Machine *machine, const KeyValues *options, GError **error)
{
    static const char *const names[] = { "type",    "node-id",    "socket-id",
                                         "die-id",  "cluster-id", "module-id",
                                         "core-id", "thread-id",  NULL };
    unsigned wanted[PLACE_LEVELS], node = NUMA_NODES_MOST, found = 0;

    if (!key_values_check(options, names, "-numa cpu", error) ||
        !take_number(options, "node-id", NUMA_NODES_MOST - 1, &node, error) ||
        !check_node(machine->numa, "node-id", node, error)) {
        return false;
    }
    for (unsigned i = 0; i < PLACE_LEVELS; i++) {
        wanted[i] = ANY;
        if (!take_number(options, names[2 + i], UINT16_MAX, &wanted[i], error)) {
            return false;
        }
    }
    for (unsigned cpu = 0; cpu < machine->config.vcpus; cpu++) {
        NumaCpuPlace place = numa_cpu_place(machine, cpu);

        if (is_at(&place, wanted)) {
            found++;
            if (!assign_cpu(machine->numa, cpu, node, error)) {
                return false;
            }
        }
    }
    return found || error_fail(error, KASO_ERROR_NOT_FOUND,
                               "no CPU of -smp is at this place; query-cpus-fast tells places");
}

/* --- dist --- */

static bool add_distance(Machine *machine, const KeyValues *options, GError **error)
{
    static const char *const names[] = { "type", "src", "dst", "val", NULL };
    Numa *numa = machine->numa;
    unsigned source = NUMA_NODES_MOST, target = NUMA_NODES_MOST, value = 0;

    if (!key_values_check(options, names, "-numa dist", error) ||
        !take_number(options, "src", NUMA_NODES_MOST - 1, &source, error) ||
        !take_number(options, "dst", NUMA_NODES_MOST - 1, &target, error) ||
        !take_number(options, "val", NUMA_UNREACHABLE, &value, error) ||
        !check_node(numa, "src", source, error) || !check_node(numa, "dst", target, error)) {
        return false;
    }
    if (value < NUMA_LOCAL) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "val=%u: a distance is from 10, a node's to itself, to 255, out of reach",
                          value);
    }
    if (source == target && value != NUMA_LOCAL) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "val=%u: the distance of node %u to itself is 10", value, source);
    }
    numa->distances = true;
    numa->distance[source][target] = (uint8_t)value;
    return true;
}

bool numa_add(Machine *machine, const KeyValues *options, GError **error)
{
    static const struct {
        const char *name;
        bool (*add)(Machine *machine, const KeyValues *options, GError **error);
    } kinds[] = { { "node", add_node }, { "cpu", add_cpus }, { "dist", add_distance } };
    const char *type = key_values_get(options, "type");

    if (!machine->board || !machine->board->numa) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "machine '%s' has no way to tell its guest of nodes",
                          machine->board ? machine->board->name : "none");
    }
    get_numa(machine);
    for (size_t i = 0; type && i < G_N_ELEMENTS(kinds); i++) {
        if (strcmp(kinds[i].name, type) == 0) {
            return kinds[i].add(machine, options, error);
        }
    }
    if (type && g_str_has_prefix(type, "hmat-")) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "not yet: the table of latencies and bandwidths is not built; use "
                          "-numa dist");
    }
    return error_fail(error, KASO_ERROR_INVALID, "it begins with node, cpu or dist");
}

/* --- what they amount to --- */

uint64_t numa_node_start(const Numa *numa, unsigned node)
{
    uint64_t start = 0;

    for (unsigned i = 0; i < node; i++) {
        start += numa->nodes[i].bytes;
    }
    return start;
}

static bool check_ids(const Numa *numa, GError **error)
{
    for (unsigned i = 0; i < numa->count; i++) {
        if (!numa->nodes[i].present) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "-numa: node %u is missing: the %u nodes are numbered 0 to %u", i,
                              numa->count, numa->count - 1);
        }
    }
    for (unsigned i = 0; i < numa->count; i++) {
        int initiator = numa->nodes[i].initiator;

        if (initiator >= (int)numa->count) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "-numa: node %u: initiator=%d: there is no such node", i, initiator);
        }
    }
    return true;
}

/* Nodes for which nothing was said share RAM evenly, the last one gets what remains. */
static bool complete_memory(Machine *machine, GError **error)
{
    Numa *numa = machine->numa;
    uint64_t all = machine->config.ram_bytes, sum = numa_node_start(numa, numa->count);
    bool given = false;

    for (unsigned i = 0; i < numa->count; i++) {
        given |= numa->nodes[i].bytes_given;
        if (numa->nodes[i].bytes & 0xfff) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "-numa: the memory of node %u is no multiple of 4 KiB", i);
        }
    }
    if (!given) {
        uint64_t part = all / numa->count & ~(uint64_t)(SPLIT_BYTES - 1);

        for (unsigned i = 0; i < numa->count; i++) {
            bool last = i + 1 == numa->count;

            numa->nodes[i].bytes = last ? all - part * (numa->count - 1) : part;
        }
        return true;
    }
    return sum == all || error_fail(error, KASO_ERROR_INVALID,
                                    "-numa: the nodes have %" G_GUINT64_FORMAT
                                    " MiB in all, but -m gives %" G_GUINT64_FORMAT " MiB",
                                    sum >> 20, all >> 20);
}

/* Without a word about any CPU they go by their sockets; otherwise those that were not named are in node 0. */
static void complete_cpus(Machine *machine)
{
    Numa *numa = machine->numa;
    g_autoptr(GString) left = g_string_new(NULL);
    unsigned missing = 0;

    for (unsigned cpu = 0; cpu < machine->config.vcpus; cpu++) {
        if (numa->cpu_nodes[cpu] == NO_NODE) {
            g_string_append_printf(left, "%s%u", missing++ ? ", " : "", cpu);
        }
    }
    for (unsigned cpu = 0; cpu < machine->config.vcpus; cpu++) {
        if (missing == machine->config.vcpus) {
            numa->cpu_nodes[cpu] = (int)(numa_cpu_place(machine, cpu).socket % numa->count);
        } else if (numa->cpu_nodes[cpu] == NO_NODE) {
            numa->cpu_nodes[cpu] = 0;
        }
    }
    if (missing && missing < machine->config.vcpus) {
        g_printerr("kaso: warning: -numa: no node has CPU%s %s; node 0 gets them\n",
                   plural(missing), left->str);
    }
}

static bool missing_distance(unsigned from, unsigned to, const char *why, GError **error)
{
    return error_fail(error, KASO_ERROR_INVALID,
                      "-numa: the distance from node %u to node %u is missing: %s", from, to, why);
}

/* One direction will do as long as no pair of nodes has two different ones. */
static bool complete_distances(Numa *numa, GError **error)
{
    bool asymmetric = false;

    for (unsigned a = 0; a < numa->count; a++) {
        numa->distance[a][a] = NUMA_LOCAL;
        for (unsigned b = 0; b < numa->count; b++) {
            uint8_t there = numa->distance[a][b], back = numa->distance[b][a];

            if (a != b && !numa->distances) {
                numa->distance[a][b] = NUMA_REMOTE;
            } else if (a < b && !there && !back) {
                return missing_distance(a, b, "with one distance, all pairs of nodes have one",
                                        error);
            }
            asymmetric |= there && back && there != back;
        }
    }
    for (unsigned a = 0; a < numa->count; a++) {
        for (unsigned b = 0; b < numa->count; b++) {
            if (!numa->distance[a][b] && asymmetric) {
                return missing_distance(a, b, "where one pair of nodes has two, all have", error);
            }
            if (!numa->distance[a][b]) {
                numa->distance[a][b] = numa->distance[b][a];
            }
        }
    }
    return true;
}

bool numa_complete(Machine *machine, GError **error)
{
    Numa *numa = machine->numa;
    bool memdevs = false;

    if (!numa) {
        return true;
    }
    for (unsigned i = 0; i < numa->count; i++) {
        memdevs |= numa->nodes[i].memdev != NULL;
    }
    if (memdevs && machine->config.memory_backend) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "-numa memdev= and -machine memory-backend= (or -mem-path) both say where "
            "RAM is; leave one out");
    }
    if (!check_ids(numa, error) || !complete_memory(machine, error) ||
        !complete_distances(numa, error)) {
        return false;
    }
    complete_cpus(machine);
    return true;
}
