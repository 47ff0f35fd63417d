/* SPDX-License-Identifier: MIT */
/* Commands about networks. */
#include "machine/netdev.h"

#include <string.h>

#include "backends/netdev-open.h"
#include "machine/device.h"
#include "monitor/command.h"

typedef struct {
    GString *text;
    GPtrArray *shown; /* Netdev * that a NIC has */
} NetworkListing;

static void describe_netdev(GString *text, const char *head, Netdev *netdev)
{
    char *details = netdev->type->describe ? netdev->type->describe(netdev) : NULL;

    g_string_append_printf(text, "%s%s: index=0,type=%s%s%s%s\n", head, netdev->id,
                           netdev->type->name, details ? "," : "", details ? details : "",
                           netdev->link_up ? "" : ",link=off");
    g_free(details);
}

static void describe_nic(Device *device, void *opaque)
{
    NetworkListing *listing = opaque;
    const Property *mac = NULL, *net = NULL;
    Netdev *netdev;
    char *address;

    for (const Property *p = device->type->properties; p && p->name; p++) {
        mac = p->kind == PROPERTY_MAC ? p : mac;
        net = p->kind == PROPERTY_NETDEV ? p : net;
    }
    if (!mac || !net) {
        return;
    }
    netdev = *(Netdev *const *)((const char *)device + net->offset);
    address = property_get(mac, device);
    g_string_append_printf(listing->text, "%s: index=0,type=nic,model=%s,macaddr=%s\n", device->id,
                           device->type->name, address);
    g_free(address);
    if (netdev) {
        describe_netdev(listing->text, " \\ ", netdev);
        g_ptr_array_add(listing->shown, netdev);
    }
}

static json_t *network_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    NetworkListing listing = { g_string_new(NULL), g_ptr_array_new() };
    GPtrArray *netdevs = machine_netdevs(machine);

    device_foreach(machine->root, describe_nic, &listing);
    for (guint i = 0; i < netdevs->len; i++) {
        if (!g_ptr_array_find(listing.shown, netdevs->pdata[i], NULL)) {
            describe_netdev(listing.text, "", netdevs->pdata[i]);
        }
    }
    g_ptr_array_unref(listing.shown);
    return monitor_text(listing.text);
}

static const MonitorCommand network_command = {
    .name = "x-query-network",
    .hmp = "info network",
    .summary = "shows network cards and what they are connected to",
    .run = network_run,
    .returns = "HumanReadableText",
};
MONITOR_COMMAND(network_command);

static json_t *usernet_run(Monitor *monitor, json_t *arguments, GError **error)
{
    GPtrArray *netdevs = machine_netdevs(monitor_machine(monitor));
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < netdevs->len; i++) {
        Netdev *netdev = netdevs->pdata[i];

        if (netdev->type->describe_connections) {
            char *connections = netdev->type->describe_connections(netdev);

            g_string_append_printf(text, "Hub -1 (%s):\n%s", netdev->id, connections);
            g_free(connections);
        }
    }
    return monitor_text(text);
}

static const MonitorCommand usernet_command = {
    .name = "x-query-usernet",
    .hmp = "info usernet",
    .summary = "shows the connections of user networks",
    .run = usernet_run,
    .returns = "HumanReadableText",
};
MONITOR_COMMAND(usernet_command);

/* The named netdev, or the first that can forward. */
static Netdev *find_forwarder(Machine *machine, const char *id, GError **error)
{
    GPtrArray *netdevs = machine_netdevs(machine);

    for (guint i = 0; i < netdevs->len; i++) {
        Netdev *netdev = netdevs->pdata[i];

        if (netdev->type->host_forward && (!id || !strcmp(id, netdev->id))) {
            return netdev;
        }
    }
    if (id) {
        error_fail(error, KASO_ERROR_NOT_FOUND, "there is no netdev '%s' of type user", id);
    } else {
        error_fail(error, KASO_ERROR_NOT_FOUND, "the machine has no netdev of type user");
    }
    return NULL;
}

/* HMP's "[NETDEV] RULE", or QMP's two arguments. */
static json_t *host_forward(Monitor *monitor, json_t *arguments, bool remove, GError **error)
{
    const char *rule = monitor_get_string(arguments, "rule"), *id = NULL;
    const char *space = strchr(rule, ' ');
    g_autofree char *first = space ? g_strndup(rule, (gsize)(space - rule)) : NULL;
    Netdev *netdev;

    if (first) {
        id = first;
        rule = space + 1;
    }
    if (monitor_has(arguments, "netdev")) {
        id = monitor_get_string(arguments, "netdev");
    }
    netdev = find_forwarder(monitor_machine(monitor), id, error);
    if (netdev) {
        netdev->type->host_forward(netdev, rule, remove, error);
    }
    return NULL;
}

static json_t *hostfwd_add_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return host_forward(monitor, arguments, false, error);
}

static json_t *hostfwd_remove_run(Monitor *monitor, json_t *arguments, GError **error)
{
    return host_forward(monitor, arguments, true, error);
}

static const MonitorArgument hostfwd_add_arguments[] = {
    { "rule", ARGUMENT_REST, .summary = "[NETDEV] [tcp|udp]:[HOST]:PORT-[GUEST]:PORT",
      .complete = monitor_complete_netdevs },
    { "netdev", ARGUMENT_STRING, true, "netdev of type user" },
    { NULL },
};

static const MonitorCommand hostfwd_add_command = {
    .name = "x-hostfwd-add",
    .hmp = "hostfwd_add",
    .summary = "forwards a port of the host to the guest",
    .arguments = hostfwd_add_arguments,
    .run = hostfwd_add_run,
};
MONITOR_COMMAND(hostfwd_add_command);

static const MonitorArgument hostfwd_remove_arguments[] = {
    { "rule", ARGUMENT_REST, .summary = "[NETDEV] [tcp|udp]:[HOST]:PORT",
      .complete = monitor_complete_netdevs },
    { "netdev", ARGUMENT_STRING, true, "netdev of type user" },
    { NULL },
};

static const MonitorCommand hostfwd_remove_command = {
    .name = "x-hostfwd-remove",
    .hmp = "hostfwd_remove",
    .summary = "ends the forwarding of a port",
    .arguments = hostfwd_remove_arguments,
    .run = hostfwd_remove_run,
};
MONITOR_COMMAND(hostfwd_remove_command);

/* One value in the form that netdev_open takes; a list is joined by newlines. */
static char *option_text(json_t *value)
{
    GString *text;
    size_t i;
    json_t *item;

    if (json_is_string(value)) {
        return g_strdup(json_string_value(value));
    }
    if (json_is_boolean(value)) {
        return g_strdup(json_is_true(value) ? "on" : "off");
    }
    if (json_is_integer(value)) {
        return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    }
    text = g_string_new(NULL);
    json_array_foreach(value, i, item)
    {
        json_t *string = json_is_object(item) ? json_object_get(item, "str") : item;

        g_string_append_printf(text, "%s%s", i ? "\n" : "",
                               json_is_string(string) ? json_string_value(string) : "");
    }
    return g_string_free(text, FALSE);
}

/* Members of members have names with dots. */
static void add_options(GHashTable *options, const char *stem, json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        g_autofree char *name = stem ? g_strdup_printf("%s.%s", stem, key) : g_strdup(key);

        if (json_is_object(value)) {
            add_options(options, name, value);
        } else if (strcmp(name, "type") && strcmp(name, "id")) {
            g_hash_table_replace(options, g_steal_pointer(&name), option_text(value));
        }
    }
}

static json_t *netdev_add_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const char *type = monitor_get_string(arguments, "type");
    GHashTable *options;

    if (!monitor_has(arguments, "id")) { /* HMP's single text */
        netdev_open_text(machine, type, NULL, NULL, error);
        return NULL;
    }
    options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    add_options(options, NULL, arguments);
    netdev_open(machine, monitor_get_string(arguments, "id"), type, options, error);
    g_hash_table_unref(options);
    return NULL;
}

static const MonitorArgument netdev_add_arguments[] = {
    { "type", ARGUMENT_STRING, .summary = "type; HMP: with options, as after -netdev" },
    { "id", ARGUMENT_STRING, true, "name of the new netdev" },
    { NULL },
};

static void netdev_add_variants(MonitorVariantTaker *take, void *opaque)
{
    const NetdevType *const *it;

    REGISTRY_FOREACH(netdev_types, it) {
        monitor_take_properties(take, opaque, (*it)->name, (*it)->properties);
    }
}

static const MonitorCommand netdev_add_command = {
    .name = "netdev_add",
    .hmp = "netdev_add",
    .summary = "makes a network back end",
    .arguments = netdev_add_arguments,
    .flags = COMMAND_OPEN_ARGUMENTS,
    .run = netdev_add_run,
    .tag = "type",
    .variants = netdev_add_variants,
};
MONITOR_COMMAND(netdev_add_command);

static json_t *netdev_del_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const char *id = monitor_get_string(arguments, "id");
    Netdev *netdev = machine_find_netdev(machine, id);

    if (!netdev) {
        error_fail(error, KASO_ERROR_NO_DEVICE, "Device '%s' not found", id);
    } else {
        machine_remove_netdev(machine, netdev);
        netdev_free(netdev);
    }
    return NULL;
}

static const MonitorArgument netdev_del_arguments[] = {
    { "id", ARGUMENT_STRING, .summary = "netdev", .complete = monitor_complete_netdevs },
    { NULL },
};

static const MonitorCommand netdev_del_command = {
    .name = "netdev_del",
    .hmp = "netdev_del",
    .summary = "removes a network back end; a card that uses it loses its link",
    .arguments = netdev_del_arguments,
    .run = netdev_del_run,
};
MONITOR_COMMAND(netdev_del_command);

/* The cable of a network card, also where the back end is gone; NULL: there is no such card, or none is plugged in. */
static Netdev *netdev_of_nic(Machine *machine, const char *id)
{
    const Device *nic = device_find(machine, id);

    for (const Property *p = nic ? nic->type->properties : NULL; p && p->name; p++) {
        if (p->kind == PROPERTY_NETDEV) {
            return property_pointer(p, nic);
        }
    }
    return NULL;
}

static json_t *set_link_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const char *id = monitor_get_string(arguments, "name");
    Netdev *netdev = machine_find_netdev(machine, id);

    if (!netdev) {
        netdev = netdev_of_nic(machine, id);
    }
    if (!netdev) {
        error_fail(error, KASO_ERROR_NO_DEVICE, "Device '%s' not found", id);
    } else {
        netdev_set_link(netdev, monitor_get_bool(arguments, "up"));
    }
    return NULL;
}

static const MonitorArgument set_link_arguments[] = {
    { "name", ARGUMENT_STRING, .summary = "netdev, or its network card",
      .complete = monitor_complete_netdevs },
    { "up", ARGUMENT_BOOL, .summary = "whether the link is up" },
    { NULL },
};

static const MonitorCommand set_link_command = {
    .name = "set_link",
    .hmp = "set_link",
    .summary = "plugs a network cable in or pulls it out",
    .arguments = set_link_arguments,
    .run = set_link_run,
};
MONITOR_COMMAND(set_link_command);

static char *mac_text(const uint8_t *mac)
{
    return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
                           mac[5]);
}

static json_t *filter_table(const NetFilterTable *table)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < table->count; i++) {
        g_autofree char *address = mac_text(table->addresses[i]);

        json_array_append_new(list, json_string(address));
    }
    return list;
}

static json_t *vlan_table(const NetFilterInfo *info)
{
    enum { VLANS = 4096 };
    json_t *list = json_array();

    for (unsigned vlan = VLANS; vlan--;) {
        if (info->vlan == NET_FILTER_ALL || (info->vlans[vlan / 8] >> (vlan % 8) & 1)) {
            json_array_append_new(list, json_integer(vlan));
        }
    }
    return list;
}

static json_t *describe_filter(const char *name, const NetFilterInfo *info)
{
    static const char *const modes[] = {
        [NET_FILTER_NORMAL] = "normal", [NET_FILTER_NONE] = "none", [NET_FILTER_ALL] = "all"
    };
    g_autofree char *mac = mac_text(info->main_mac);
    json_t *entry = json_object();

    monitor_put(entry, "name", monitor_string(name));
    monitor_put(entry, "promiscuous", json_boolean(info->promiscuous));
    monitor_put(entry, "multicast", json_string(modes[info->multicast]));
    monitor_put(entry, "unicast", json_string(modes[info->unicast]));
    monitor_put(entry, "vlan", json_string(modes[info->vlan]));
    monitor_put(entry, "broadcast-allowed", json_boolean(info->broadcast));
    monitor_put(entry, "multicast-overflow", json_boolean(info->multicast_table.overflow));
    monitor_put(entry, "unicast-overflow", json_boolean(info->unicast_table.overflow));
    monitor_put(entry, "main-mac", json_string(mac));
    monitor_put(entry, "vlan-table", vlan_table(info));
    monitor_put(entry, "unicast-table", filter_table(&info->unicast_table));
    monitor_put(entry, "multicast-table", filter_table(&info->multicast_table));
    return entry;
}

typedef struct {
    const char *name; /* NULL: all */
    json_t *list;
    bool silent; /* a card has that name and does not tell of its filter */
} FilterSearch;

static bool is_nic(const Device *device)
{
    for (const Property *p = device->type->properties; p && p->name; p++) {
        if (p->kind == PROPERTY_NETDEV) {
            return true;
        }
    }
    return false;
}

static void query_filter(Device *device, void *opaque)
{
    FilterSearch *search = opaque;
    const Netdev *netdev;
    NetFilterInfo info;

    if (!is_nic(device) || (search->name && strcmp(search->name, device->id))) {
        return;
    }
    netdev = netdev_of_nic(device->machine, device->id);
    if (netdev && netdev->client && netdev->client->describe_filter) {
        netdev->client->describe_filter(netdev->client_opaque, &info);
        json_array_append_new(search->list, describe_filter(device->id, &info));
    } else {
        search->silent = search->name;
    }
}

static json_t *rx_filter_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    const char *name =
        monitor_has(arguments, "name") ? monitor_get_string(arguments, "name") : NULL;
    FilterSearch search = { .name = name, .list = json_array() };

    device_foreach(machine->root, query_filter, &search);
    if (!name || json_array_size(search.list)) {
        return search.list;
    }
    json_decref(search.list);
    error_fail(error, KASO_ERROR_NOT_FOUND, "%s '%s' %s",
               machine_find_netdev(machine, name) ? "netdev" : "network card", name,
               search.silent                        ? "does not tell of its filter"
               : machine_find_netdev(machine, name) ? "is no network card"
                                                    : "does not exist");
    return NULL;
}

static const MonitorArgument rx_filter_arguments[] = {
    { "name", ARGUMENT_STRING, true, "network card; none: all that tell" },
    { NULL },
};

static const MonitorCommand rx_filter_command = {
    .name = "query-rx-filter",
    .summary = "tells which frames network cards let through",
    .arguments = rx_filter_arguments,
    .run = rx_filter_run,
    .returns = "[RxFilterInfo]",
};
MONITOR_COMMAND(rx_filter_command);
