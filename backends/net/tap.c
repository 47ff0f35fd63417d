/* SPDX-License-Identifier: MIT */
/*
 * Network back ends "tap" and "bridge": a TAP device of the host's (Linux, Documentation/networking/tuntap.rst), which the
 * emulator opens by name, gets as a descriptor, or has made by a helper that may do so (bridge).
 *
 * Frames may have a header for offloads before them (IFF_VNET_HDR): it is empty in both directions, since no offload
 * is offered.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/lock.h"
#include "base/error.h"
#include "machine/netdev.h"

#define TUN_DEVICE     "/dev/net/tun"
#define SCRIPT_UP      "/etc/qemu-ifup"
#define SCRIPT_DOWN    "/etc/qemu-ifdown"
#define BRIDGE_HELPER  "/usr/lib/qemu/qemu-bridge-helper"
#define BRIDGE_DEFAULT "br0"

enum { TAP_FRAME_MAX = 65536 + 64, TAP_HEADER_MAX = 12, TAP_BURST = 64 };

typedef struct {
    Netdev netdev;
    /* Properties. */
    char *fd_text, *fds, *ifname, *script, *downscript, *bridge, *helper, *vhost_fd, *vhost_fds;
    uint32_t queues;
    uint64_t sndbuf;
    bool vnet_hdr, vhost, vhost_force;

    int fd; /* -1: none */
    guint watch;
    unsigned header;     /* bytes before each frame */
    char name[IFNAMSIZ]; /* of the device */
    bool ours;           /* opened by name: the script for the end is ours to run */
    uint64_t dropped;    /* frames that the device did not take */
} TapNetdev;

static TapNetdev *tap(Netdev *netdev)
{
    return (TapNetdev *)netdev;
}

/* --- frames --- */

static void tap_transmit(Netdev *netdev, const struct iovec *iov, unsigned count)
{
    enum { PIECES_MOST = 1024 };
    static const uint8_t none[TAP_HEADER_MAX];
    TapNetdev *t = tap(netdev);
    struct iovec all[PIECES_MOST + 1];
    unsigned first = t->header ? 1 : 0;
    ssize_t done;

    if (t->fd < 0 || count > PIECES_MOST) {
        return;
    }
    all[0] = (struct iovec){ (void *)none, t->header };
    memcpy(all + first, iov, count * sizeof *iov);
    do {
        done = writev(t->fd, all, (int)(count + first));
    } while (done < 0 && errno == EINTR);
    t->dropped += done < 0;
}

/* Reads what has come. false: the device is gone. */
static bool read_frames(TapNetdev *t)
{
    uint8_t buffer[TAP_FRAME_MAX];

    for (unsigned i = 0; i < TAP_BURST; i++) {
        ssize_t size = read(t->fd, buffer, sizeof buffer);

        if (size < 0) {
            return errno == EAGAIN || errno == EINTR ||
                   errno == EIO; /* EIO: the interface is down */
        }
        if (size > (ssize_t)t->header) {
            netdev_receive(&t->netdev, buffer + t->header, (size_t)size - t->header);
        }
    }
    return true;
}

static gboolean tap_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    TapNetdev *t = opaque;
    bool locked = backend_lock(t->netdev.machine), again = false;

    if (!backend_source_removed()) {
        again = read_frames(t);
        t->watch = again ? t->watch : 0;
    }
    backend_unlock(t->netdev.machine, locked);
    return again ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* --- descriptors --- */

/* A descriptor that somebody gave us: is it a TAP, and how are its frames? */
static bool adopt(TapNetdev *t, int fd, GError **error)
{
    struct ifreq request = { 0 };
    unsigned no_offloads = 0;
    int size = TAP_HEADER_MAX;

    if (ioctl(fd, TUNGETIFF, &request) < 0) {
        return error_fail_errno(error, errno, "netdev '%s': descriptor %d is no TAP device",
                                t->netdev.id, fd);
    }
    if (!(request.ifr_flags & IFF_TAP)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': descriptor %d is of a TUN device; a TAP device is needed",
                          t->netdev.id, fd);
    }
    if (request.ifr_flags & IFF_VNET_HDR) {
        if (ioctl(fd, TUNSETVNETHDRSZ, &size) < 0) {
            return error_fail_errno(error, errno, "netdev '%s': TUNSETVNETHDRSZ failed",
                                    t->netdev.id);
        }
        t->header = TAP_HEADER_MAX;
        ioctl(fd, TUNSETOFFLOAD,
              no_offloads); /* else what the host offloads is too large, and dropped */
    }
    g_strlcpy(t->name, request.ifr_name, sizeof t->name);
    g_unix_set_fd_nonblocking(fd, true, NULL);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    t->fd = fd;
    t->watch = g_unix_fd_add(fd, G_IO_IN | G_IO_ERR | G_IO_HUP, tap_readable, t);
    return true;
}

static bool parse_descriptor(const TapNetdev *t, const char *key, const char *text, int *fd,
                             GError **error)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (end == text || *end || value < 0 || value > INT32_MAX || fcntl((int)value, F_GETFD) < 0) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': %s=%s is no open descriptor's number", t->netdev.id, key,
                          text);
    }
    *fd = (int)value;
    return true;
}

static bool open_device(TapNetdev *t, GError **error)
{
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    int fd = open(TUN_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK),
        send_buffer = (int)MIN(t->sndbuf, INT32_MAX);

    if (fd < 0) {
        return error_fail_errno(error, errno,
                                "netdev '%s': cannot open '" TUN_DEVICE
                                "' (load the module tun, or "
                                "give fd= or use -netdev user)",
                                t->netdev.id);
    }
    if (t->ifname && strlen(t->ifname) >= sizeof request.ifr_name) {
        close(fd);
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': ifname=%s: at most %zu characters", t->netdev.id, t->ifname,
                          sizeof request.ifr_name - 1);
    }
    g_strlcpy(request.ifr_name, t->ifname ? t->ifname : "tap%d", sizeof request.ifr_name);
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        int failure = errno;

        close(fd);
        return error_fail_errno(error, failure, "netdev '%s': cannot make the TAP device '%s'%s",
                                t->netdev.id, request.ifr_name,
                                failure == EPERM ? " (it needs CAP_NET_ADMIN, or a device that is "
                                                   "this user's)"
                                                 : "");
    }
    if (t->sndbuf) {
        ioctl(fd, TUNSETSNDBUF, &send_buffer);
    }
    t->ours = true;
    if (!adopt(t, fd, error)) {
        close(fd);
        return false;
    }
    return true;
}

/* --- scripts and helpers --- */

static bool run_script(const TapNetdev *t, const char *script, GError **error)
{
    char *argv[] = { (char *)script, (char *)t->name, NULL };
    g_autoptr(GError) why = NULL;
    int status;

    if (!g_spawn_sync(NULL, argv, NULL, G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL, NULL, NULL,
                      &status, &why) ||
        !g_spawn_check_wait_status(status, &why)) {
        return error_fail(error, KASO_ERROR_IO,
                          "netdev '%s': the script '%s %s' failed: %s (script=no: run none)",
                          t->netdev.id, script, t->name, why->message);
    }
    return true;
}

static const char *script_of(const char *given, const char *usual)
{
    return !given ? usual : strcmp(given, "no") == 0 || !*given ? NULL : given;
}

/* The descriptor that the helper sends over the socket, or -1. */
static int receive_descriptor(int from)
{
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = { &byte, 1 };
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
    };
    struct cmsghdr *header;
    int fd = -1;
    ssize_t size;

    do {
        size = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    header = size > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof fd)) {
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    }
    return fd;
}

static bool open_by_helper(TapNetdev *t, GError **error)
{
    const char *helper = t->helper ? t->helper : BRIDGE_HELPER;
    const char *bridge = t->bridge ? t->bridge : BRIDGE_DEFAULT;
    g_autofree char *bridge_option = g_strdup_printf("--br=%s", bridge);
    g_autofree char *fd_option = NULL;
    g_autoptr(GError) why = NULL;
    int pair[2], fd, status;
    GPid child;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return error_fail_errno(error, errno, "netdev '%s': no socket for the helper",
                                t->netdev.id);
    }
    fd_option = g_strdup_printf("--fd=%d", pair[1]);
    {
        const char *argv[] = { helper, "--use-vnet", fd_option, bridge_option, NULL };

        if (!g_spawn_async_with_pipes_and_fds(
                NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CHILD_INHERITS_STDIN, NULL,
                NULL, -1, -1, -1, &pair[1], &pair[1], 1, &child, NULL, NULL, NULL, &why)) {
            close(pair[0]);
            close(pair[1]);
            return error_fail(error, KASO_ERROR_IO, "netdev '%s': the helper does not start: %s",
                              t->netdev.id, why->message);
        }
    }
    close(pair[1]);
    fd = receive_descriptor(pair[0]);
    close(pair[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (fd < 0) {
        return error_fail(error, KASO_ERROR_IO,
                          "netdev '%s': the helper '%s' made no TAP device on the bridge '%s' (is "
                          "the bridge allowed in /etc/qemu/bridge.conf?)",
                          t->netdev.id, helper, bridge);
    }
    if (!adopt(t, fd, error)) {
        close(fd);
        return false;
    }
    return true;
}

/* --- opening --- */

static bool one_descriptor(const TapNetdev *t, const char *key, const char *list, GError **error)
{
    return !list || !strchr(list, ':') ||
           error_fail(error, KASO_ERROR_UNSUPPORTED,
                      "netdev '%s': %s=%s: not yet: several queues; give one descriptor",
                      t->netdev.id, key, list);
}

static bool check_options(const TapNetdev *t, GError **error)
{
    bool given = t->fd_text || t->fds;

    if (t->fd_text && t->fds) {
        return error_fail(error, KASO_ERROR_INVALID, "netdev '%s': fd= or fds=, not both",
                          t->netdev.id);
    }
    if (given && (t->ifname || t->script || t->downscript || t->helper)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': ifname=, script=, downscript= and helper= are of no use "
                          "with a descriptor that is there already",
                          t->netdev.id);
    }
    if (t->queues > 1) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "netdev '%s': queues=%u: not yet: several queues", t->netdev.id,
                          t->queues);
    }
    return one_descriptor(t, "fds", t->fds, error) &&
           one_descriptor(t, "vhostfds", t->vhost_fds, error);
}

/* Frames go through this program; who insists on the kernel is told. */
static bool check_vhost(const TapNetdev *t, GError **error)
{
    bool wanted = t->vhost || t->vhost_fd || t->vhost_fds;

    if (t->vhost_force && wanted) {
        return error_fail(
            error, KASO_ERROR_UNSUPPORTED,
            "netdev '%s': vhostforce=on: not yet: vhost-net is not built; leave it out",
            t->netdev.id);
    }
    if (wanted) {
        g_printerr("kaso: warning: netdev '%s': vhost-net is not built yet; it goes on without\n",
                   t->netdev.id);
    }
    return true;
}

static bool open_given(TapNetdev *t, GError **error)
{
    const char *key = t->fds ? "fds" : "fd", *text = t->fds ? t->fds : t->fd_text;
    int fd = -1;

    return parse_descriptor(t, key, text, &fd, error) && adopt(t, fd, error);
}

static bool tap_open(Netdev *netdev, GError **error)
{
    TapNetdev *t = tap(netdev);
    const char *script = script_of(t->script, SCRIPT_UP);

    t->fd = -1;
    if (!check_options(t, error) || !check_vhost(t, error)) {
        return false;
    }
    if (t->fd_text || t->fds) {
        return open_given(t, error);
    }
    if (t->helper) {
        return open_by_helper(t, error);
    }
    return open_device(t, error) && (!script || run_script(t, script, error));
}

static bool bridge_open(Netdev *netdev, GError **error)
{
    tap(netdev)->fd = -1;
    return open_by_helper(tap(netdev), error);
}

static void tap_close(Netdev *netdev)
{
    TapNetdev *t = tap(netdev);
    const char *script = script_of(t->downscript, SCRIPT_DOWN);
    g_autoptr(GError) why = NULL;

    if (t->fd < 0) {
        return;
    }
    g_clear_handle_id(&t->watch, g_source_remove);
    if (t->ours && script && (t->downscript || g_file_test(script, G_FILE_TEST_IS_EXECUTABLE)) &&
        !run_script(t, script, &why)) {
        g_printerr("kaso: warning: %s\n", why->message);
    }
    close(t->fd);
    t->fd = -1;
}

static char *tap_describe(Netdev *netdev)
{
    const TapNetdev *t = tap(netdev);

    return g_strdup_printf("TAP device '%s'%s, %" G_GUINT64_FORMAT " frames dropped", t->name,
                           t->ours ? "" : " (given)", t->dropped);
}

/* clang-format off */
#define TEXT(name, field, summary) { name, PROPERTY_STRING, offsetof(TapNetdev, field), summary }

static const NetdevType tap_type = {
    .name = "tap",
    .summary = "a TAP device of the host's network",
    .instance_size = sizeof(TapNetdev),
    .properties = (const Property[]){
        TEXT("fd", fd_text, "descriptor of an open TAP device"),
        TEXT("fds", fds, "as fd=, for several queues"),
        TEXT("ifname", ifname, "name of the device to open or make"),
        TEXT("script", script, "run with the device's name when it is open; no: none; default " SCRIPT_UP),
        TEXT("downscript", downscript, "run at the end; no: none; default " SCRIPT_DOWN ", if it is there"),
        TEXT("br", bridge, "for helper=: the bridge; default " BRIDGE_DEFAULT),
        TEXT("helper", helper, "a program that makes the device and sends its descriptor"),
        TEXT("vhostfd", vhost_fd, "descriptor of vhost-net: not yet used"),
        TEXT("vhostfds", vhost_fds, "as vhostfd=, for several queues"),
        { "sndbuf", PROPERTY_SIZE, offsetof(TapNetdev, sndbuf), "most bytes that wait in the device; 0: no limit", "0" },
        { "queues", PROPERTY_U32, offsetof(TapNetdev, queues), "queues: 1", "1" },
        { "vnet_hdr", PROPERTY_BOOL, offsetof(TapNetdev, vnet_hdr), "accepted: offloads are not used", "on" },
        { "vhost", PROPERTY_BOOL, offsetof(TapNetdev, vhost), "frames go through the kernel: not yet; goes on without", "off" },
        { "vhostforce", PROPERTY_BOOL, offsetof(TapNetdev, vhost_force), "fail where vhost= cannot be had", "off" },
        { 0 } },
    .open = tap_open,
    .close = tap_close,
    .transmit = tap_transmit,
    .describe = tap_describe,
};
NETDEV_TYPE(tap_type);

static const NetdevType bridge_type = {
    .name = "bridge",
    .summary = "a TAP device on a bridge, which a helper makes",
    .instance_size = sizeof(TapNetdev),
    .properties = (const Property[]){
        TEXT("br", bridge, "the bridge; default " BRIDGE_DEFAULT),
        TEXT("helper", helper, "the program that makes the device; default " BRIDGE_HELPER),
        { 0 } },
    .open = bridge_open,
    .close = tap_close,
    .transmit = tap_transmit,
    .describe = tap_describe,
};
NETDEV_TYPE(bridge_type);
/* clang-format on */
