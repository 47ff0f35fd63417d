/* SPDX-License-Identifier: MIT */
/* Networks: -netdev, -nic, -net, and the one that a machine has without them. */
#include <string.h>

#include "backends/netdev-open.h"
#include "base/error.h"
#include "machine/device-open.h"
#include "machine/netdev.h"
#include "main/handlers.h"

/* What the user wants to know of a back end in the first line. */
static void note_netdev(Setup *setup, const char *type, GHashTable *options)
{
    const char *forwards = g_hash_table_lookup(options, "hostfwd");

    if (forwards) {
        g_autofree char *joined = g_strdup(forwards);

        g_strdelimit(joined, "\n", ' ');
        g_ptr_array_add(setup->lines, g_strdup_printf("net %s (%s)", type, joined));
    }
}

static bool open_netdev(Setup *setup, const char *id, const char *type, const KeyValues *list,
                        GError **error)
{
    const NetdevType *known = netdev_type_find(type, NULL);
    g_autoptr(GHashTable) options = properties_table(known ? known->properties : NULL, list);

    if (!netdev_open(setup->machine, id, type, options, error)) {
        return false;
    }
    note_netdev(setup, type, options);
    return true;
}

/* Of an id that is given twice the first counts, but the last for the two back ends that came late. */
static KeyValues *parse_netdev(const char *argument, GError **error)
{
    KeyValues *list = key_values_parse(argument, "type", error);
    const char *type = list ? key_values_get(list, "type") : NULL;

    if (g_strcmp0(type, "stream") && g_strcmp0(type, "dgram")) {
        return list;
    }
    key_values_free(list);
    return key_values_parse_last(argument, "type", error);
}

bool option_netdev(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = parse_netdev(argument, error);
    g_autofree char *type = NULL, *id = NULL;

    if (!list) {
        return false;
    }
    type = key_values_take(list, "type");
    id = key_values_take(list, "id");
    if (type && is_help(type)) {
        help_netdevs();
        help_done();
    }
    if (!type || !id) {
        return error_fail(error, KASO_ERROR_INVALID, "it needs a type and id=NAME");
    }
    return open_netdev(setup, id, type, list, error);
}

/* A model that is no device's name. */
static const char *device_of_model(const char *model)
{
    return g_strcmp0(model, "virtio") ? model : "virtio-net-pci";
}

static NicChoice *add_nic(Setup *setup, const char *model)
{
    const char *fallback = setup->config.board->default_nic;
    NicChoice nic = { 0 };

    if (model && is_help(model)) {
        help_nics();
        help_done();
    }
    nic.type = g_strdup(model ? device_of_model(model) : fallback ? fallback : "virtio-net-pci");
    g_array_append_val(setup->nics, nic);
    return &g_array_index(setup->nics, NicChoice, setup->nics->len - 1);
}

/* Moves the NIC's part of the options over. */
static void take_nic_options(NicChoice *nic, KeyValues *list)
{
    char *mac = key_values_take(list, "mac"), *older = key_values_take(list, "macaddr");

    nic->mac = mac ? mac : older;
    if (mac) {
        g_free(older);
    }
    nic->address = key_values_take(list, "addr");
    g_free(key_values_take(list, "vectors"));
}

bool option_nic(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse(argument, "type", error);
    g_autofree char *type = NULL, *model = NULL, *id = NULL;
    NicChoice *nic;

    setup->given_nics++;
    if (!list) {
        return false;
    }
    type = key_values_take(list, "type");
    if (type && is_help(type)) {
        help_netdevs();
        help_done();
    }
    model = key_values_take(list, "model");
    if (model && is_help(model)) {
        help_nics();
        help_done();
    }
    if (!type) {
        return error_fail(error, KASO_ERROR_INVALID, "it needs a back end such as user, or none");
    }
    if (strcmp(type, "none") == 0) {
        return true;
    }
    nic = add_nic(setup, model);
    take_nic_options(nic, list);
    id = key_values_take(list, "id");
    nic->netdev = id ? g_strdup(id) : g_strdup_printf("#net%u", setup->nics->len - 1);
    return open_netdev(setup, nic->netdev, type, list, error);
}

/* What -net makes is on hub 0; a NIC and a back end that are alone there meet without it. */
static char *pair_name(unsigned number)
{
    return g_strdup_printf("#pair%u", number);
}

bool option_net(Setup *setup, const char *argument, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse(argument, "type", error);
    g_autofree char *type = NULL, *model = NULL, *netdev = NULL, *name = NULL;
    NicChoice *nic;

    setup->given_nics++;
    if (!list) {
        return false;
    }
    type = key_values_take(list, "type");
    name = key_values_take(list, "name");
    if (!type) {
        return error_fail(error, KASO_ERROR_INVALID, "it needs nic, none or a back end");
    }
    if (strcmp(type, "none") == 0) {
        return true;
    }
    if (strcmp(type, "nic") != 0) {
        g_autofree char *id = pair_name(setup->net_backends++);

        return open_netdev(setup, id, type, list, error);
    }
    model = key_values_take(list, "model");
    netdev = key_values_take(list, "netdev");
    nic = add_nic(setup, model);
    take_nic_options(nic, list);
    nic->netdev = netdev ? g_steal_pointer(&netdev) : pair_name(setup->net_nics++);
    return key_values_check(list, (const char *const[]){ "id", NULL }, "-net nic", error);
}

/* A device that a -device or -nic brought to a netdev counts as a network, too. */
bool network_add_defaults(Setup *setup, GError **error)
{
    const char *model = setup->config.board->default_nic;

    if (setup->config.no_defaults || setup->given_nics || !model ||
        machine_netdevs(setup->machine)->len || !device_type_find(model)) {
        return true;
    }
    return option_nic(setup, "user", error);
}

static bool needs_hub(Setup *setup)
{
    GPtrArray *netdevs = machine_netdevs(setup->machine);
    bool hub = setup->net_nics != 1 || setup->net_backends != 1;

    for (unsigned i = 0; i < netdevs->len; i++) {
        hub |= strcmp(((const Netdev *)netdevs->pdata[i])->type->name, "hubport") == 0;
    }
    return hub && setup->net_nics + setup->net_backends > 0;
}

/* netdev: what is on the port, or NULL for a NIC. */
static bool add_hub_port(Setup *setup, const char *id, const char *netdev, GError **error)
{
    g_autoptr(GHashTable) options = g_hash_table_new(g_str_hash, g_str_equal);

    g_hash_table_insert(options, (void *)"hubid", (void *)"0");
    if (netdev) {
        g_hash_table_insert(options, (void *)"netdev", (void *)(uintptr_t)netdev);
    }
    return netdev_open(setup->machine, id, "hubport", options, error) != NULL;
}

static bool join_hub(Setup *setup, GError **error)
{
    unsigned nics = 0;

    if (!needs_hub(setup)) {
        return true;
    }
    for (unsigned i = 0; i < setup->net_backends; i++) {
        g_autofree char *netdev = pair_name(i), *id = g_strdup_printf("#hub0port%u", i);

        if (!add_hub_port(setup, id, netdev, error)) {
            return false;
        }
    }
    for (unsigned i = 0; i < setup->nics->len; i++) {
        NicChoice *nic = &g_array_index(setup->nics, NicChoice, i);

        if (g_str_has_prefix(nic->netdev, "#pair")) {
            g_free(nic->netdev);
            nic->netdev = g_strdup_printf("#hub0port%u", setup->net_backends + nics++);
            if (!add_hub_port(setup, nic->netdev, NULL, error)) {
                return false;
            }
        }
    }
    return true;
}

bool network_create_devices(Setup *setup, GError **error)
{
    if (!join_hub(setup, error)) {
        return false;
    }
    for (unsigned i = 0; i < setup->nics->len; i++) {
        const NicChoice *nic = &g_array_index(setup->nics, NicChoice, i);
        g_autoptr(KeyValues) list = key_values_new();

        key_values_add(list, "driver", nic->type);
        if (machine_find_netdev(setup->machine, nic->netdev)) {
            key_values_add(list, "netdev", nic->netdev);
        }
        if (nic->mac) {
            key_values_add(list, "mac", nic->mac);
        }
        if (nic->address) {
            key_values_add(list, "addr", nic->address);
        }
        if (!device_open(setup->machine, list, error)) {
            g_prefix_error(error, "network device '%s': ", nic->type);
            return false;
        }
    }
    return true;
}
