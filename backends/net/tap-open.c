/* SPDX-License-Identifier: MIT */
/* Where a TAP device's descriptors come from: its name, who started us, a helper; and those of the kernel's vhost-net. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/vhost.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/net/tap.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "machine/machine.h"

#define TUN_DEVICE   "/dev/net/tun"
#define VHOST_DEVICE "/dev/vhost-net"

enum { AWAIT_US = 2 * 1000, LAST_US = 2 * 1000 * 1000 };

/* --- by name --- */

static int open_tun(TapNetdev *t, GError **error)
{
    int fd = open(TUN_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        error_fail_errno(error, errno,
                         "netdev '%s': cannot open '" TUN_DEVICE "' (load the module tun, or "
                         "give fd= or use -netdev user)",
                         t->netdev.id);
    }
    return fd;
}

static void choose_flags(const TapNetdev *t, int fd, struct ifreq *request)
{
    unsigned known = 0;

    request->ifr_flags = IFF_TAP | IFF_NO_PI;
    ioctl(fd, TUNGETFEATURES, &known);
    if (t->vnet_hdr && (known & IFF_VNET_HDR)) {
        request->ifr_flags |= IFF_VNET_HDR;
    }
    if (t->queues_wanted > 1) {
        request->ifr_flags |= IFF_MULTI_QUEUE;
    }
}

/* One more queue of the device; the first decides on its name. */
static bool open_queue(TapNetdev *t, GError **error)
{
    const char *name = t->count ? t->name : t->ifname ? t->ifname : "tap%d";
    int fd = open_tun(t, error), send_buffer = (int)MIN(t->sndbuf, INT32_MAX);
    struct ifreq request = { 0 };

    if (fd < 0) {
        return false;
    }
    choose_flags(t, fd, &request);
    g_strlcpy(request.ifr_name, name, sizeof request.ifr_name);
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        int failure = errno;

        close(fd);
        return error_fail_errno(
            error, failure, "netdev '%s': cannot make the TAP device '%s'%s", t->netdev.id,
            request.ifr_name,
            failure == EPERM ? " (it needs CAP_NET_ADMIN, or a device that is this user's)"
            : failure == EINVAL && t->queues_wanted > 1
                ? " (one that exists must have been made with several queues: ip tuntap add … "
                  "multi_queue)"
            : failure == EINVAL
                ? " (one that exists must have been made with one queue and be a TAP device)"
                : "");
    }
    if (t->sndbuf) {
        ioctl(fd, TUNSETSNDBUF, &send_buffer);
    }
    if (!tap_add_queue(t, fd, error)) {
        close(fd);
        return false;
    }
    return true;
}

bool tap_open_device(TapNetdev *t, GError **error)
{
    if (t->ifname && strlen(t->ifname) >= IFNAMSIZ) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': ifname=%s: at most %d characters", t->netdev.id, t->ifname,
                          IFNAMSIZ - 1);
    }
    while (t->count < t->queues_wanted) {
        if (!open_queue(t, error)) {
            return false;
        }
        t->ours = true;
    }
    return true;
}

/* --- given --- */

static bool parse_descriptor(const TapNetdev *t, const char *key, const char *text, int *fd,
                             GError **error)
{
    *fd = descriptors_take(text, error);
    if (*fd < 0) {
        g_prefix_error(error, "netdev '%s': %s=", t->netdev.id, key);
    }
    return *fd >= 0;
}

/* The descriptors of a list with colons; returns how many, 0 with an error. */
static unsigned parse_list(const TapNetdev *t, const char *key, const char *list,
                           int fds[NETDEV_MAX_QUEUES], GError **error)
{
    g_auto(GStrv) parts = g_strsplit(list, ":", -1);
    unsigned count = g_strv_length(parts);

    if (count > NETDEV_MAX_QUEUES) {
        error_fail(error, KASO_ERROR_INVALID, "netdev '%s': %s= has %u descriptors; %d at most",
                   t->netdev.id, key, count, NETDEV_MAX_QUEUES);
        return 0;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!parse_descriptor(t, key, parts[i], &fds[i], error)) {
            return 0;
        }
        for (unsigned j = 0; j < i; j++) {
            if (fds[j] == fds[i]) {
                error_fail(error, KASO_ERROR_INVALID, "netdev '%s': %s=%s has %d twice",
                           t->netdev.id, key, list, fds[i]);
                return 0;
            }
        }
    }
    if (!count) {
        error_fail(error, KASO_ERROR_INVALID, "netdev '%s': %s= is empty", t->netdev.id, key);
    }
    return count;
}

bool tap_open_given(TapNetdev *t, GError **error)
{
    const char *key = t->fds ? "fds" : "fd";
    int fds[NETDEV_MAX_QUEUES];
    unsigned count = t->fds ? parse_list(t, key, t->fds, fds, error)
                            : parse_descriptor(t, key, t->fd, fds, error);

    for (unsigned i = 0; i < count; i++) {
        if (!tap_add_queue(t, fds[i], error)) {
            /* A name's descriptor is ours now; who gave a number still has it. */
            if (t->fd && !g_ascii_isdigit(*t->fd)) {
                close(fds[i]);
            }
            return false;
        }
    }
    return count > 0;
}

/* --- scripts and helpers --- */

/* They are blocked in our threads, and the child's masks are its parent's. */
static void unblock_signals(void *opaque)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * What hangs delays no end: when that is asked for, the child is told to end, too. One that runs because all ends
 * (last) has a few seconds, and may go on after us.
 */
static bool await_child(const TapNetdev *t, GPid child, bool last, GError **error)
{
    gint64 until = g_get_monotonic_time() + LAST_US;
    int status = 0;

    while (waitpid(child, &status, WNOHANG) == 0) {
        if (machine_end_pending(t->netdev.machine)) {
            kill(child, SIGTERM);
            return error_fail(error, KASO_ERROR_IO, "Kaso was told to end meanwhile");
        }
        if (last && g_get_monotonic_time() > until) {
            return error_fail(error, KASO_ERROR_IO, "it has not ended, and is left alone");
        }
        g_usleep(AWAIT_US);
    }
    return g_spawn_check_wait_status(status, error);
}

bool tap_run_script(const TapNetdev *t, const char *script, bool last, GError **error)
{
    char *argv[] = { (char *)script, (char *)t->name, NULL };
    g_autoptr(GError) why = NULL;
    GPid child;

    if (!g_spawn_async(NULL, argv, NULL, G_SPAWN_CHILD_INHERITS_STDIN | G_SPAWN_DO_NOT_REAP_CHILD,
                       unblock_signals, NULL, &child, &why) ||
        !await_child(t, child, last, &why)) {
        return error_fail(error, KASO_ERROR_IO,
                          "netdev '%s': the script '%s %s' failed: %s (script=no: run none)",
                          t->netdev.id, script, t->name, why->message);
    }
    return true;
}

/* The descriptor that the helper sends over the socket, or -1. */
static int receive_descriptor(const TapNetdev *t, int from)
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
    } while (size < 0 && errno == EINTR && !machine_end_pending(t->netdev.machine));
    header = size > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof fd)) {
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
    }
    return fd;
}

bool tap_open_by_helper(TapNetdev *t, GError **error)
{
    const char *helper = t->helper ? t->helper : TAP_BRIDGE_HELPER;
    const char *bridge = t->bridge ? t->bridge : TAP_BRIDGE_DEFAULT;
    g_autofree char *bridge_option = g_strdup_printf("--br=%s", bridge);
    g_autofree char *fd_option = NULL;
    g_autoptr(GError) why = NULL;
    int pair[2], fd;
    GPid child;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return error_fail_errno(error, errno, "netdev '%s': no socket for the helper",
                                t->netdev.id);
    }
    fd_option = g_strdup_printf("--fd=%d", pair[1]);
    {
        const char *argv[] = { helper, "--use-vnet", fd_option, bridge_option, NULL };

        if (!g_spawn_async_with_pipes_and_fds(
                NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CHILD_INHERITS_STDIN,
                unblock_signals, NULL, -1, -1, -1, &pair[1], &pair[1], 1, &child, NULL, NULL, NULL,
                &why)) {
            close(pair[0]);
            close(pair[1]);
            return error_fail(error, KASO_ERROR_IO, "netdev '%s': the helper does not start: %s",
                              t->netdev.id, why->message);
        }
    }
    close(pair[1]);
    fd = receive_descriptor(t, pair[0]);
    close(pair[0]);
    await_child(t, child, false, NULL);
    if (fd < 0) {
        return error_fail(error, KASO_ERROR_IO,
                          "netdev '%s': the helper '%s' made no TAP device on the bridge '%s' (is "
                          "the bridge allowed in /etc/qemu/bridge.conf?)",
                          t->netdev.id, helper, bridge);
    }
    if (!tap_add_queue(t, fd, error)) {
        close(fd);
        return false;
    }
    return true;
}

/* --- vhost-net --- */

static void close_all(const int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        close(fds[i]);
    }
}

static bool open_kernels(const TapNetdev *t, int fds[NETDEV_MAX_QUEUES], GError **error)
{
    for (unsigned i = 0; i < t->count; i++) {
        fds[i] = open(VHOST_DEVICE, O_RDWR | O_CLOEXEC);
        if (fds[i] < 0) {
            int failure = errno;

            close_all(fds, i);
            return error_fail_errno(error, failure,
                                    "netdev '%s': cannot open '" VHOST_DEVICE
                                    "' (load the module vhost_net)",
                                    t->netdev.id);
        }
    }
    return true;
}

static bool take_given(const TapNetdev *t, int fds[NETDEV_MAX_QUEUES], GError **error)
{
    const char *key = t->vhost_fds ? "vhostfds" : "vhostfd";
    unsigned count = t->vhost_fds ? parse_list(t, key, t->vhost_fds, fds, error)
                                  : parse_descriptor(t, key, t->vhost_fd, fds, error);

    return count && (count == t->count ||
                     error_fail(error, KASO_ERROR_INVALID,
                                "netdev '%s': %s= has %u descriptors for %u queues: one is needed "
                                "for each",
                                t->netdev.id, key, count, t->count));
}

/* Which kind of descriptor somebody gave us is only to be told by asking. */
static bool are_vhost(const TapNetdev *t, const int *fds, GError **error)
{
    for (unsigned i = 0; i < t->count; i++) {
        uint64_t features;

        if (ioctl(fds[i], VHOST_GET_FEATURES, &features) < 0) {
            return error_fail_errno(error, errno,
                                    "netdev '%s': descriptor %d does not answer as vhost-net",
                                    t->netdev.id, fds[i]);
        }
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    }
    return true;
}

bool tap_open_vhost(TapNetdev *t, GError **error)
{
    bool given = t->vhost_fd || t->vhost_fds;
    bool wanted =
        t->vhost == ON_OFF_AUTO_ON || (t->vhost == ON_OFF_AUTO_AUTO && (given || t->vhost_force));
    g_autoptr(GError) why = NULL;
    int fds[NETDEV_MAX_QUEUES];

    if (given && !wanted) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "netdev '%s': vhostfd= and vhostfds= are of no use with vhost=off",
                          t->netdev.id);
    }
    if (!wanted) {
        return true;
    }
    if (given ? !take_given(t, fds, error) || !are_vhost(t, fds, error)
              : !open_kernels(t, fds, &why)) {
        if (given || t->vhost_force) {
            if (why) {
                g_propagate_error(error, g_steal_pointer(&why));
            }
            return false;
        }
        g_printerr("kaso: warning: %s; it goes on without vhost\n", why->message);
        return true;
    }
    for (unsigned i = 0; i < t->count; i++) {
        t->queue[i].vhost = fds[i];
    }
    return true;
}
