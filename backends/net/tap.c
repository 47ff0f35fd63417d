/* SPDX-License-Identifier: MIT */
/*
 * Network back ends "tap" and "bridge": a TAP device of the host's, which the emulator opens by name, gets as a descriptor, or has
 * made by a helper that may do so (bridge). Their options; tap-open.c finds the descriptors, tap-queue.c carries the frames.
 */
#include <string.h>

#include "backends/net/tap.h"
#include "base/error.h"

static bool refuse_with(const TapNetdev *t, bool given, const char *with, GError **error)
{
    return !given || error_fail(error, KASO_ERROR_INVALID,
                                "netdev '%s': ifname=, script=, downscript=, helper= and queues= "
                                "are of no use with %s",
                                t->netdev.id, with);
}

static bool check_options(const TapNetdev *t, GError **error)
{
    bool makes = t->ifname || t->script || t->downscript || t->helper || t->queues_wanted;

    if (t->fd && t->fds) {
        return error_fail(error, KASO_ERROR_INVALID, "netdev '%s': fd= or fds=, not both",
                          t->netdev.id);
    }
    if (t->vhost_fd && t->vhost_fds) {
        return error_fail(error, KASO_ERROR_INVALID, "netdev '%s': vhostfd= or vhostfds=, not both",
                          t->netdev.id);
    }
    if (t->queues_wanted > NETDEV_MAX_QUEUES) {
        return error_fail(error, KASO_ERROR_INVALID, "netdev '%s': queues=%u: %d at most",
                          t->netdev.id, t->queues_wanted, NETDEV_MAX_QUEUES);
    }
    if (t->fd && t->vhost_fds) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': vhostfds= belongs to fds=", t->netdev.id);
    }
    if (t->helper && (t->ifname || t->script || t->downscript || t->queues_wanted > 1)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': ifname=, script=, downscript= and queues= are of no use "
                          "with helper=",
                          t->netdev.id);
    }
    return refuse_with(t, (t->fd || t->fds) && makes, "a descriptor that is there already", error);
}

static const char *script_of(const char *given, const char *usual)
{
    return !given ? usual : strcmp(given, "no") == 0 || !*given ? NULL : given;
}

static bool open_any(TapNetdev *t, GError **error)
{
    const char *script = script_of(t->script, TAP_SCRIPT_UP);

    if (t->fd || t->fds) {
        return tap_open_given(t, error);
    }
    if (t->helper) {
        return tap_open_by_helper(t, error);
    }
    t->queues_wanted = MAX(t->queues_wanted, 1);
    return tap_open_device(t, error) && (!script || tap_run_script(t, script, false, error));
}

static bool tap_open(Netdev *netdev, GError **error)
{
    TapNetdev *t = tap_of(netdev);

    if (!check_options(t, error)) {
        return false;
    }
    if (!open_any(t, error) || !tap_open_vhost(t, error)) {
        for (unsigned i = 0; i < t->count && (t->fd || t->fds); i++) {
            t->queue[i].fd = -1; /* stays who gave it's */
        }
        tap_close_queues(t);
        return false;
    }
    tap_start(t);
    return true;
}

static bool bridge_open(Netdev *netdev, GError **error)
{
    TapNetdev *t = tap_of(netdev);

    if (!tap_open_by_helper(t, error)) {
        return false;
    }
    tap_start(t);
    return true;
}

static void tap_close(Netdev *netdev)
{
    TapNetdev *t = tap_of(netdev);
    const char *script = script_of(t->downscript, TAP_SCRIPT_DOWN);
    g_autoptr(GError) why = NULL;

    if (t->ours && script && (t->downscript || g_file_test(script, G_FILE_TEST_IS_EXECUTABLE)) &&
        !tap_run_script(t, script, true, &why)) {
        g_printerr("kaso: warning: %s\n", why->message);
    }
    tap_close_queues(t);
}

static bool tap_kernel_path(Netdev *netdev, unsigned queue, NetdevKernelPath *path)
{
    const TapNetdev *t = tap_of(netdev);

    if (queue >= t->count || t->queue[queue].vhost < 0) {
        return false;
    }
    *path = (NetdevKernelPath){ t->queue[queue].vhost, t->queue[queue].fd, t->vhost_force };
    return true;
}

static char *tap_describe(Netdev *netdev)
{
    const TapNetdev *t = tap_of(netdev);
    g_autofree char *queues = t->count > 1 ? g_strdup_printf(", %u queues", t->count) : NULL;

    return g_strdup_printf("TAP device '%s'%s%s%s, %" G_GUINT64_FORMAT " frames dropped", t->name,
                           t->ours ? "" : " (given)", queues ? queues : "",
                           t->held ? ", vhost-net" : "", t->dropped);
}

/* clang-format off */
#define TEXT(name, field, summary) { name, PROPERTY_STRING, offsetof(TapNetdev, field), summary }
#define TAP_HOOKS \
    .close = tap_close, \
    .transmit = tap_transmit, \
    .flush = tap_flush, \
    .describe = tap_describe, \
    .set_offloads = tap_set_offloads, \
    .set_queues = tap_set_queues, \
    .kernel_path = tap_kernel_path, \
    .set_held = tap_set_held

static const NetdevType tap_type = {
    .name = "tap",
    .summary = "a TAP device of the host's network",
    .instance_size = sizeof(TapNetdev),
    .properties = (const Property[]){
        TEXT("fd", fd, "descriptor of an open TAP device"),
        TEXT("fds", fds, "descriptors of the queues of an open TAP device: A:B:…"),
        TEXT("ifname", ifname, "name of the device to open or make"),
        TEXT("script", script, "run with the device's name when it is open; no: none; default " TAP_SCRIPT_UP),
        TEXT("downscript", downscript, "run at the end; no: none; default " TAP_SCRIPT_DOWN ", if it is there"),
        TEXT("br", bridge, "for helper=: the bridge; default " TAP_BRIDGE_DEFAULT),
        TEXT("helper", helper, "a program that makes the device and sends its descriptor"),
        TEXT("vhostfd", vhost_fd, "descriptor of an open vhost-net"),
        TEXT("vhostfds", vhost_fds, "descriptors of vhost-net, one for each queue: A:B:…"),
        { "sndbuf", PROPERTY_SIZE, offsetof(TapNetdev, sndbuf), "most bytes that wait in the device; 0: no limit", "0" },
        { "queues", PROPERTY_U32, offsetof(TapNetdev, queues_wanted), "pairs of queues of a device that is opened by name; 0: one", "0" },
        { "vnet_hdr", PROPERTY_BOOL, offsetof(TapNetdev, vnet_hdr), "open the device with a header for offloads", "on" },
        { "vhost", PROPERTY_ON_OFF_AUTO, offsetof(TapNetdev, vhost), "the kernel carries the frames (vhost-net); auto: when a descriptor is given", "auto" },
        { "vhostforce", PROPERTY_BOOL, offsetof(TapNetdev, vhost_force), "fail where vhost= cannot be had", "off" },
        { "poll-us", PROPERTY_U32, offsetof(TapNetdev, poll_us), "accepted; has no effect", "0" },
        { 0 } },
    .open = tap_open,
    TAP_HOOKS,
};
NETDEV_TYPE(tap_type);

static const NetdevType bridge_type = {
    .name = "bridge",
    .summary = "a TAP device on a bridge, which a helper makes",
    .instance_size = sizeof(TapNetdev),
    .properties = (const Property[]){
        TEXT("br", bridge, "the bridge; default " TAP_BRIDGE_DEFAULT),
        TEXT("helper", helper, "the program that makes the device; default " TAP_BRIDGE_HELPER),
        { 0 } },
    .open = bridge_open,
    TAP_HOOKS,
};
NETDEV_TYPE(bridge_type);
/* clang-format on */
