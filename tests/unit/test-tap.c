/* SPDX-License-Identifier: MIT */
/*
 * The back end "tap" in a network namespace of the test's own: the host's IP stack on the other side asks and answers. Skipped where namespaces
 * or TUN devices are not to be had.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/netdev-open.h"
#include "base/bits.h"
#include "machine/machine.h"
#include "tests/patience.h"

enum { ARP = 0x0806, ARP_FRAME = 42 };

static const char *const our_address = "10.99.0.1", *const guest_address = "10.99.0.2";
static const uint8_t guest_mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };

typedef struct {
    GPtrArray *frames; /* GBytes * */
} Nic;

static bool nic_can_receive(void *opaque)
{
    return true;
}

static void nic_receive(void *opaque, const uint8_t *frame, size_t size)
{
    g_ptr_array_add(((Nic *)opaque)->frames, g_bytes_new(frame, size));
}

static const NetClient nic_client = { .can_receive = nic_can_receive, .receive = nic_receive };

static Machine *new_machine(void)
{
    MachineConfig config = { 0 };
    Machine *machine = machine_new(&config);
    GError *error = NULL;

    machine_build(machine, &error);
    g_assert_no_error(error);
    machine_lock(machine);
    machine_start(machine);
    return machine;
}

/* The address of the host's end, which is then up. */
static void bring_up(const char *name)
{
    struct ifreq request = { 0 };
    struct sockaddr_in *address = (struct sockaddr_in *)(void *)&request.ifr_addr;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    g_strlcpy(request.ifr_name, name, sizeof request.ifr_name);
    address->sin_family = AF_INET;
    inet_pton(AF_INET, our_address, &address->sin_addr);
    g_assert_cmpint(ioctl(fd, SIOCSIFADDR, &request), ==, 0);
    inet_pton(AF_INET, "255.255.255.0", &address->sin_addr);
    g_assert_cmpint(ioctl(fd, SIOCSIFNETMASK, &request), ==, 0);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    g_assert_cmpint(ioctl(fd, SIOCSIFFLAGS, &request), ==, 0);
    close(fd);
}

/* An ARP frame of that operation, once one has come, for a minute at most. */
static const uint8_t *wait_for_arp(Machine *machine, Nic *nic, uint16_t operation)
{
    gint64 end = patience_end(60);

    while (g_get_monotonic_time() < end) {
        for (guint i = 0; i < nic->frames->len; i++) {
            gsize size;
            const uint8_t *data = g_bytes_get_data(nic->frames->pdata[i], &size);

            if (size >= ARP_FRAME && load_be16(data + 12) == ARP &&
                load_be16(data + 20) == operation) {
                return data;
            }
        }
        machine_unlock(machine);
        while (g_main_context_iteration(NULL, FALSE)) {
        }
        machine_lock(machine);
        g_usleep(1000);
    }
    return NULL;
}

static void send_arp_request(Netdev *netdev)
{
    uint8_t frame[ARP_FRAME] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    struct iovec pieces[2] = { { frame, 20 }, { frame + 20, sizeof frame - 20 } };

    memcpy(frame + 6, guest_mac, 6);
    store_be16(frame + 12, ARP);
    store_be16(frame + 14, 1);
    store_be16(frame + 16, 0x0800);
    frame[18] = 6;
    frame[19] = 4;
    store_be16(frame + 20, 1);
    memcpy(frame + 22, guest_mac, 6);
    inet_pton(AF_INET, guest_address, frame + 28);
    inet_pton(AF_INET, our_address, frame + 38);
    netdev_transmit(netdev, pieces, 2);
}

/* The host asks for the guest's address because something is sent there; and it answers the guest. */
static void exchange(const char *options, const char *name)
{
    Machine *machine = new_machine();
    GError *error = NULL;
    Netdev *netdev = netdev_open_text(machine, options, NULL, NULL, &error);
    Nic nic = { g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref) };
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    g_autofree char *text = NULL;
    const uint8_t *frame;

    g_assert_no_error(error);
    g_assert_true(netdev_attach(netdev, &nic_client, &nic, NULL));
    bring_up(name);
    inet_pton(AF_INET, guest_address, &to.sin_addr);
    sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to);
    frame = wait_for_arp(machine, &nic, 1);
    g_assert_nonnull(frame);
    send_arp_request(netdev);
    frame = wait_for_arp(machine, &nic, 2);
    g_assert_nonnull(frame);
    g_assert_cmpmem(frame, 6, guest_mac, 6);
    text = netdev->type->describe(netdev);
    g_assert_nonnull(strstr(text, name));
    close(fd);
    netdev_detach(netdev);
    machine_unlock(machine);
    machine_free(machine);
    g_ptr_array_unref(nic.frames);
}

static void test_by_name(void)
{
    exchange("tap,id=n,ifname=kasotap0,script=no,downscript=no", "kasotap0");
}

/* As a launcher passes it: a descriptor, whose frames have a header before them. */
static void test_descriptor(void)
{
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
    int fd = open("/dev/net/tun", O_RDWR);
    g_autofree char *options = g_strdup_printf("tap,id=n,fd=%d,vhost=on", fd);

    g_strlcpy(request.ifr_name, "kasotap1", sizeof request.ifr_name);
    g_assert_cmpint(ioctl(fd, TUNSETIFF, &request), ==, 0);
    exchange(options, "kasotap1");
}

/* Opens a queue as a launcher does. */
static int open_queue(const char *name)
{
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE };
    int fd = open("/dev/net/tun", O_RDWR);

    g_strlcpy(request.ifr_name, name, sizeof request.ifr_name);
    g_assert_cmpint(ioctl(fd, TUNSETIFF, &request), ==, 0);
    return fd;
}

/* Several queues, by name and as descriptors, also with those that a NIC does not use. */
static void test_queues(void)
{
    int a = open_queue("kasotap5"), b = open_queue("kasotap5");
    g_autofree char *options = g_strdup_printf("tap,id=n,fds=%d:%d", a, b);

    exchange("tap,id=n,ifname=kasotap3,script=no,downscript=no,queues=3", "kasotap3");
    exchange(options, "kasotap5");
}

typedef struct {
    Nic nic;
    bool room;
} WaitingNic;

static bool waiting_has_room(void *opaque, unsigned queue)
{
    return ((WaitingNic *)opaque)->room;
}

static bool waiting_take(void *opaque, unsigned queue, const uint8_t *frame, size_t size)
{
    WaitingNic *nic = opaque;

    if (nic->room) {
        nic_receive(&nic->nic, frame, size);
    }
    return nic->room;
}

static const NetClient waiting_client = { .has_room = waiting_has_room, .take = waiting_take };

static void run_for(Machine *machine, unsigned ms)
{
    machine_unlock(machine);
    for (unsigned i = 0; i < ms; i++) {
        while (g_main_context_iteration(NULL, FALSE)) {
        }
        g_usleep(1000);
    }
    machine_lock(machine);
}

/* Frames wait in the device while the NIC has no room, and while the machine is stopped; with a header where the NIC wants one. */
static void test_waits(void)
{
    enum { HEADER = 12 };
    Machine *machine = new_machine();
    Netdev *netdev = netdev_open_text(machine, "tap,id=n,ifname=kasotap6,script=no,downscript=no",
                                      NULL, NULL, NULL);
    WaitingNic nic = { { g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref) }, false };
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    gint64 end;

    g_assert_nonnull(netdev);
    g_assert_true(netdev->offloads & NET_OFFLOAD_TSO4);
    netdev_attach(netdev, &waiting_client, &nic, NULL);
    netdev_set_offloads(netdev, HEADER, NET_OFFLOAD_CHECKSUM | NET_OFFLOAD_TSO4);
    bring_up("kasotap6");
    inet_pton(AF_INET, guest_address, &to.sin_addr);
    sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to);
    run_for(machine, 20);
    g_assert_cmpuint(nic.nic.frames->len, ==, 0);
    machine_stop(machine, STOP_PAUSED);
    nic.room = true;
    netdev_flush(netdev);
    run_for(machine, 20);
    g_assert_cmpuint(nic.nic.frames->len, ==, 0);
    machine_start(machine);
    for (end = patience_end(20); !nic.nic.frames->len && g_get_monotonic_time() < end;) {
        run_for(machine, 1);
    }
    g_assert_cmpuint(nic.nic.frames->len, >, 0);
    g_assert_cmpuint(g_bytes_get_size(nic.nic.frames->pdata[0]), >=, HEADER + ARP_FRAME);
    close(fd);
    netdev_detach(netdev);
    machine_unlock(machine);
    machine_free(machine);
    g_ptr_array_unref(nic.nic.frames);
}

static void test_scripts(void)
{
    g_autofree char *folder = g_dir_make_tmp("tap-XXXXXX", NULL);
    g_autofree char *script = g_build_filename(folder, "up", NULL);
    g_autofree char *told = g_build_filename(folder, "told", NULL);
    g_autofree char *content = g_strdup_printf("#!/bin/sh\necho \"$1\" >>%s\n", told), *text = NULL;
    g_autofree char *options =
        g_strdup_printf("tap,id=n,ifname=kasotap2,script=%s,downscript=%s", script, script);

    g_assert_true(g_file_set_contents(script, content, -1, NULL));
    g_assert_cmpint(chmod(script, 0700), ==, 0);
    exchange(options, "kasotap2");
    g_assert_true(g_file_get_contents(told, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "kasotap2\nkasotap2\n");
    unlink(script);
    unlink(told);
    rmdir(folder);
}

static void refused(const char *options, const char *words)
{
    Machine *machine = new_machine();
    GError *error = NULL;

    g_assert_null(netdev_open_text(machine, options, NULL, NULL, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, words));
    g_clear_error(&error);
    machine_unlock(machine);
    machine_free(machine);
}

static void test_refused(void)
{
    refused("tap,id=n,fd=0", "is no TAP device");
    refused("tap,id=n,fd=nine", "no descriptor of that name");
    refused("tap,id=n,fd=9999", "is no open descriptor");
    refused("tap,id=n,fds=0:9999", "fds=9999 is no open descriptor");
    refused("tap,id=n,fds=0:0", "has 0 twice");
    refused("tap,id=n,fds=", "is empty");
    refused("tap,id=n,fd=3,ifname=x", "of no use");
    refused("tap,id=n,fd=3,queues=2", "of no use");
    refused("tap,id=n,fd=3,fds=3:4", "not both");
    refused("tap,id=n,queues=32", "31 at most");
    refused("tap,id=n,ifname=a-name-that-is-too-long", "at most 15 characters");
    refused("tap,id=n,ifname=kasotap3,script=/no/such/script", "script=no: run none");
    refused("tap,id=n,ifname=kasotap4,script=no,vhost=off,vhostfd=0", "of no use with vhost=off");
    refused("tap,id=n,ifname=kasotap4,script=no,vhostfd=0", "does not answer as vhost-net");
    refused("tap,id=n,ifname=kasotap4,script=no,queues=2,vhostfd=0", "one is needed for each");
    if (!g_file_test("/dev/vhost-net", G_FILE_TEST_EXISTS)) {
        refused("tap,id=n,ifname=kasotap4,script=no,vhost=on,vhostforce=on",
                "load the module vhost_net");
    }
    refused("bridge,id=n,helper=/no/such/helper", "the helper does not start");
    refused("bridge,id=n,helper=/bin/false", "made no TAP device");
}

/* A namespace where we may do what we like. */
static bool enter_namespace(void)
{
    int fd;

    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        printf("1..0 # SKIP no network namespace: %s\n", strerror(errno));
        return false;
    }
    fd = open("/dev/net/tun", O_RDWR);
    if (fd < 0) {
        printf("1..0 # SKIP /dev/net/tun: %s\n", strerror(errno));
        return false;
    }
    close(fd);
    return true;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!enter_namespace()) {
        return 0;
    }
    g_test_add_func("/tap/by-name", test_by_name);
    g_test_add_func("/tap/descriptor", test_descriptor);
    g_test_add_func("/tap/queues", test_queues);
    g_test_add_func("/tap/waits", test_waits);
    g_test_add_func("/tap/scripts", test_scripts);
    g_test_add_func("/tap/refused", test_refused);
    return g_test_run();
}
