/* SPDX-License-Identifier: MIT */
/* Network back ends at work: DHCP and a forwarded port of the user network, frames between sockets.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backends/netdev-open.h"
#include "base/bits.h"
#include "machine/machine.h"
#include "tests/patience.h"

/* A network card that keeps the frames it gets. */
typedef struct {
    GPtrArray *frames; /* GBytes * */
    bool full;
} Nic;

static bool nic_can_receive(void *opaque)
{
    return !((Nic *)opaque)->full;
}

static void nic_receive(void *opaque, const uint8_t *frame, size_t size)
{
    g_ptr_array_add(((Nic *)opaque)->frames, g_bytes_new(frame, size));
}

static const NetClient nic_client = { .can_receive = nic_can_receive, .receive = nic_receive };

static Nic *nic_new(Netdev *netdev)
{
    Nic *nic = g_new0(Nic, 1);
    GError *error = NULL;

    nic->frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    netdev_attach(netdev, &nic_client, nic, &error);
    g_assert_no_error(error);
    return nic;
}

static void nic_free(Nic *nic)
{
    g_ptr_array_unref(nic->frames);
    g_free(nic);
}

static void send_frame(Netdev *netdev, const void *frame, size_t size)
{
    struct iovec iov = { (void *)frame, size };

    netdev_transmit(netdev, &iov, 1);
}

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

/*
 * Nobody is given one of these who asks for any: between the question and the use it stays free. Of IPv4: that it is
 * free for IPv6, too, is likely enough.
 */
static unsigned free_port(int type)
{
    int fd = socket(AF_INET, type, 0);
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

    do {
        name.sin_port = htons((uint16_t)g_random_int_range(20000, 32768));
    } while (bind(fd, (struct sockaddr *)&name, sizeof name) != 0);
    close(fd);
    return ntohs(name.sin_port);
}

static Netdev *open_netdev(Machine *machine, const char *text)
{
    GError *error = NULL;
    Netdev *netdev = netdev_open_text(machine, text, NULL, NULL, &error);

    g_assert_no_error(error);
    return netdev;
}

/* Runs the main loop until a frame satisfies the test, for twenty seconds at most. */
static const uint8_t *wait_for_frame(Machine *machine, Nic *nic,
                                     bool (*wanted)(const uint8_t *, size_t))
{
    gint64 end = patience_end(20);

    while (g_get_monotonic_time() < end) {
        for (guint i = 0; i < nic->frames->len; i++) {
            gsize size;
            const uint8_t *data = g_bytes_get_data(nic->frames->pdata[i], &size);

            if (wanted(data, size)) {
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

enum { FRAME_IP = 14, FRAME_UDP = 34, FRAME_BOOTP = 42, DHCP_FRAME = FRAME_BOOTP + 300 };

static uint16_t ip_checksum(const uint8_t *header)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < 20; i += 2) {
        sum += load_be16(header + i);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return ~(sum + (sum >> 16));
}

/* RFC 2131: a DISCOVER from 52:54:00:12:34:56. */
static void make_dhcp_discover(uint8_t *frame)
{
    static const uint8_t mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
    static const uint8_t options[] = { 0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255 };
    uint8_t *ip = frame + FRAME_IP, *udp = frame + FRAME_UDP, *bootp = frame + FRAME_BOOTP;

    memset(frame, 0, DHCP_FRAME);
    memset(frame, 0xff, 6);
    memcpy(frame + 6, mac, 6);
    store_be16(frame + 12, 0x0800);
    ip[0] = 0x45;
    store_be16(ip + 2, DHCP_FRAME - FRAME_IP);
    ip[8] = 64;
    ip[9] = IPPROTO_UDP;
    memset(ip + 16, 0xff, 4);
    store_be16(ip + 10, ip_checksum(ip));
    store_be16(udp, 68);
    store_be16(udp + 2, 67);
    store_be16(udp + 4, DHCP_FRAME - FRAME_UDP);
    bootp[0] = 1;
    bootp[1] = 1;
    bootp[2] = 6;
    store_be32(bootp + 4, 0x12345678);
    memcpy(bootp + 28, mac, 6);
    memcpy(bootp + 236, options, sizeof options);
}

static bool is_dhcp_reply(const uint8_t *frame, size_t size)
{
    return size > FRAME_BOOTP + 240 && load_be16(frame + 12) == 0x0800 &&
           load_be16(frame + FRAME_UDP) == 67 && frame[FRAME_BOOTP] == 2;
}

static void test_dhcp(void)
{
    Machine *machine = new_machine();
    Netdev *netdev = open_netdev(machine, "user,id=n,net=192.168.76.0/24,dhcpstart=192.168.76.9");
    Nic *nic = nic_new(netdev);
    uint8_t discover[DHCP_FRAME];
    const uint8_t *reply;

    make_dhcp_discover(discover);
    send_frame(netdev, discover, sizeof discover);
    reply = wait_for_frame(machine, nic, is_dhcp_reply);
    g_assert_nonnull(reply);
    g_assert_cmphex(load_be32(reply + FRAME_BOOTP + 4), ==, 0x12345678);
    g_assert_cmphex(load_be32(reply + FRAME_BOOTP + 16), ==, 0xc0a84c09);
    /* Odd frames must not hurt. */
    send_frame(netdev, discover, 1);
    send_frame(netdev, discover, 20);
    send_frame(netdev, discover, FRAME_BOOTP);
    netdev_detach(netdev);
    machine_unlock(machine);
    machine_free(machine);
    nic_free(nic);
}

static bool is_arp_or_syn(const uint8_t *frame, size_t size)
{
    /* slirp asks for the guest's hardware address before it can send the SYN. */
    return size >= 42 && load_be16(frame + 12) == 0x0806;
}

static void test_host_forward(void)
{
    Machine *machine = new_machine();
    Netdev *netdev;
    Nic *nic;
    struct sockaddr_in name = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), probe;
    GError *error = NULL;
    char *text;

    probe = socket(AF_INET, SOCK_STREAM, 0);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    name.sin_port = htons((uint16_t)free_port(SOCK_STREAM));
    g_assert_cmpint(bind(probe, (struct sockaddr *)&name, sizeof name), ==, 0);
    text = g_strdup_printf("user,id=n,hostfwd=tcp:127.0.0.1:%d-:22", ntohs(name.sin_port));
    g_assert_cmpint(listen(probe, 1), ==, 0);
    g_assert_null(netdev_open_text(machine, text, NULL, NULL, &error));
    g_assert_nonnull(strstr(error->message, "free port"));
    g_error_free(error);
    close(probe);
    netdev = open_netdev(machine, text);
    g_free(text);
    nic = nic_new(netdev);
    (void)!connect(fd, (struct sockaddr *)&name, sizeof name);
    g_assert_nonnull(wait_for_frame(machine, nic, is_arp_or_syn));
    close(fd);
    netdev_detach(netdev);
    machine_unlock(machine);
    machine_free(machine);
    nic_free(nic);
}

/* A socket file of before is replaced; one that the rule made goes with it. */
static void test_host_forward_local(void)
{
    Machine *machine = new_machine();
    g_autofree char *folder = g_dir_make_tmp("kaso-XXXXXX", NULL);
    g_autofree char *path = g_strdup_printf("%s/a-b", folder);
    g_autofree char *rule = g_strdup_printf("unix:%s", path);
    g_autofree char *text = g_strdup_printf("user,id=n,hostfwd=%s-:22", rule);
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), old = socket(AF_UNIX, SOCK_STREAM, 0);
    GError *error = NULL;
    Netdev *netdev;
    Nic *nic;

    g_strlcpy(name.sun_path, path, sizeof name.sun_path);
    g_assert_cmpint(bind(old, (struct sockaddr *)&name, sizeof name), ==, 0);
    close(old);
    netdev = open_netdev(machine, text);
    nic = nic_new(netdev);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&name, sizeof name), ==, 0);
    g_assert_nonnull(wait_for_frame(machine, nic, is_arp_or_syn));
    close(fd);
    g_assert_true(netdev->type->host_forward(netdev, rule, true, &error));
    g_assert_no_error(error);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_false(netdev->type->host_forward(netdev, rule, true, NULL));
    netdev_detach(netdev);
    machine_unlock(machine);
    machine_free(machine);
    nic_free(nic);
    rmdir(folder);
}

/* A neighbour solicitation (RFC 4861, 4.3): slirp asks for the guest's hardware address. */
static bool is_solicitation(const uint8_t *frame, size_t size)
{
    return size >= 78 && load_be16(frame + 12) == 0x86dd && frame[20] == 58 && frame[54] == 135;
}

static bool have_ipv6(void)
{
    struct sockaddr_in6 name = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool have = fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof name) == 0;

    if (fd >= 0) {
        close(fd);
    }
    return have;
}

static void test_host_forward_ipv6(void)
{
    Machine *machine = new_machine();
    struct sockaddr_in6 name = { .sin6_family = AF_INET6,
                                 .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                                 .sin6_port = htons((uint16_t)free_port(SOCK_STREAM)) };
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
    GError *error = NULL;
    g_autofree char *rule = NULL, *text = NULL;
    Netdev *netdev;
    Nic *nic;

    rule = g_strdup_printf("tcp:[::1]:%d", ntohs(name.sin6_port));
    text = g_strdup_printf("user,id=n,hostfwd=%s-[fec0::77]:22", rule);
    netdev = open_netdev(machine, text);
    nic = nic_new(netdev);
    (void)!connect(fd, (struct sockaddr *)&name, sizeof name);
    g_assert_nonnull(wait_for_frame(machine, nic, is_solicitation));
    close(fd);
    g_assert_true(netdev->type->host_forward(netdev, rule, true, &error));
    g_assert_no_error(error);
    g_assert_false(netdev->type->host_forward(netdev, rule, true, NULL));
    /* The guest's side may be left out. */
    g_clear_pointer(&text, g_free);
    text = g_strdup_printf("%s-:22", rule);
    g_assert_true(netdev->type->host_forward(netdev, text, false, &error));
    g_assert_no_error(error);
    g_assert_true(netdev->type->host_forward(netdev, rule, true, NULL));
    netdev_detach(netdev);
    machine_unlock(machine);
    machine_free(machine);
    nic_free(nic);
}

static void test_rules(void)
{
    static const struct {
        const char *options, *message;
    } cases[] = {
        { "hostfwd=tcp:[::1]:1-10.0.2.15:22", "mixes IPv4 and IPv6" },
        { "hostfwd=tcp:127.0.0.1:1-[fec0::5]:22", "mixes IPv4 and IPv6" },
        { "ipv6=off,hostfwd=tcp:[::1]:1-:22", "needs IPv6" },
        { "hostfwd=tcp:[::1:1-:22", "IPv6 address stands in brackets" },
        { "hostfwd=tcp:[::g]:1-:22", "IPv6 address stands in brackets" },
        { "hostfwd=tcp:::1:1-:22", "IPv6 address stands in brackets" },
        { "hostfwd=tcp:[::1]-:22", "IPv6 address stands in brackets" },
        { "hostfwd=tcp:[::1]:1-[fec0::5]22", "IPv6 address stands in brackets" },
        { "hostfwd=tcp:[::1]:1-[fec0::5]:", "IPv6 address stands in brackets" },
        { "hostfwd=sctp:[::1]:1-:22", "is not" },
        { "hostfwd=[::1]:1-:22", "is not" },
        { "hostfwd=unix:", "is not unix:/PATH-" },
        { "hostfwd=unix:x-:22", "is not unix:/PATH-" },
        { "hostfwd=unix:/x:22", "is not unix:/PATH-" },
        { "hostfwd=unix:/x-:", "is not unix:/PATH-" },
        { "hostfwd=unix:/x-[fec0::15]:22", "is not unix:/PATH-" },
        { "hostfwd=unix:/nonexistent/x-:22", "cannot listen on the socket '/nonexistent/x'" },
        { "hostfwd=unix:/dev/null-:22", "File exists" },
        { "guestfwd=tcp:[fec0::9]:80-cmd:cat", "only IPv4" },
        { "guestfwd=tcp::80-cmd:cat", "is not" },
        { "guestfwd=tcp:[fec0::9:80-cmd:cat", "is not" },
    };
    Machine *machine = new_machine();

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = g_strdup_printf("user,id=n,%s", cases[i].options);
        g_autoptr(GError) error = NULL;

        g_assert_null(netdev_open_text(machine, text, NULL, NULL, &error));
        g_assert_nonnull(error);
        if (!strstr(error->message, cases[i].message)) {
            g_error("%s: %s", cases[i].options, error->message);
        }
    }
    machine_unlock(machine);
    machine_free(machine);
}

static bool is_marked(const uint8_t *frame, size_t size)
{
    return size == 64 && frame[0] == 0xab;
}

static void check_pair(Machine *machine, Netdev *a, Netdev *b)
{
    uint8_t frame[64] = { 0xab };
    Nic *nic_a = nic_new(a), *nic_b = nic_new(b);

    send_frame(a, frame, sizeof frame); /* the listening side may not have accepted yet */
    g_assert_nonnull(wait_for_frame(machine, nic_b, is_marked));
    send_frame(b, frame, sizeof frame);
    g_assert_nonnull(wait_for_frame(machine, nic_a, is_marked));
    netdev_detach(a);
    netdev_detach(b);
    nic_free(nic_a);
    nic_free(nic_b);
}

static void test_socket_stream(const void *host)
{
    Machine *machine = new_machine();
    unsigned port = free_port(SOCK_STREAM);
    char *listen_text = g_strdup_printf("socket,id=l,listen=%s:%u", (const char *)host, port);
    char *connect_text = g_strdup_printf("socket,id=c,connect=%s:%u", (const char *)host, port);
    Netdev *listener = open_netdev(machine, listen_text);
    Netdev *connector = open_netdev(machine, connect_text);

    check_pair(machine, connector, listener);
    g_free(listen_text);
    g_free(connect_text);
    machine_unlock(machine);
    machine_free(machine);
}

static void test_socket_udp(const void *opaque)
{
    const char *host = opaque;
    Machine *machine = new_machine();
    unsigned one = free_port(SOCK_DGRAM), two = free_port(SOCK_DGRAM);
    char *text_a = g_strdup_printf("socket,id=a,udp=%s:%u,localaddr=%s:%u", host, one, host, two);
    char *text_b = g_strdup_printf("socket,id=b,udp=%s:%u,localaddr=%s:%u", host, two, host, one);

    check_pair(machine, open_netdev(machine, text_a), open_netdev(machine, text_b));
    g_free(text_a);
    g_free(text_b);
    machine_unlock(machine);
    machine_free(machine);
}

/* Pairs of back ends by their options; %s: a folder. */
static const char *const pairs[][2] = {
    { "stream,id=a,server=on,addr.type=unix,addr.path=%s/s",
      "stream,id=b,addr.type=unix,addr.path=%s/s" },
    { "stream,id=a,server=on,addr.type=unix,addr.path=kaso-%s,addr.abstract=on",
      "stream,id=b,addr.type=unix,addr.path=kaso-%s,addr.abstract=on,reconnect-ms=20" },
    { "dgram,id=a,local.type=unix,local.path=%s/a,remote.type=unix,remote.path=%s/b",
      "dgram,id=b,local.type=unix,local.path=%s/b,remote.type=unix,remote.path=%s/a" },
};

static Netdev *open_in(Machine *machine, const char *options, const char *folder)
{
    g_auto(GStrv) parts = g_strsplit(options, "%s", -1);
    g_autofree char *text = g_strjoinv(folder, parts);

    return open_netdev(machine, text);
}

static void test_pairs(void)
{
    g_autofree char *folder = g_dir_make_tmp("kaso-net-XXXXXX", NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        Machine *machine = new_machine();
        Netdev *a = open_in(machine, pairs[i][0], folder);
        Netdev *b = open_in(machine, pairs[i][1], folder);

        g_test_message("%s", pairs[i][0]);
        for (unsigned n = 0; n < 10 && i == 1; n++) { /* a client that tries in the background */
            machine_unlock(machine);
            g_main_context_iteration(NULL, FALSE);
            g_usleep(2000);
            machine_lock(machine);
        }
        check_pair(machine, b, a);
        machine_unlock(machine);
        machine_free(machine);
    }
    g_assert_cmpint(rmdir(folder), ==, 0); /* sockets are not left behind */
}

static int bind_file(const char *path, int type)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    g_strlcpy(name.sun_path, path, sizeof name.sun_path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&name, sizeof name), ==, 0);
    return fd;
}

static void expect_kept(const char *options, const char *path, const char *words)
{
    Machine *machine = new_machine();
    GError *error = NULL;

    g_assert_null(netdev_open_text(machine, options, NULL, NULL, &error));
    g_assert_nonnull(strstr(error->message, words));
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    g_error_free(error);
    machine_unlock(machine);
    machine_free(machine);
}

/* At the path of a socket: what is somebody's stays, what a run left behind makes way. */
static void test_paths(void)
{
    static const char *const options[] = {
        "stream,id=n,server=on,addr.type=unix,addr.path=%s",
        "dgram,id=n,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s.peer",
    };
    g_autofree char *folder = g_dir_make_tmp("kaso-net-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "s", NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        g_auto(GStrv) parts = g_strsplit(options[i], "%s", -1);
        g_autofree char *text = g_strjoinv(path, parts);
        Machine *machine;

        g_assert_true(g_file_set_contents(path, "letter", -1, NULL));
        expect_kept(text, path, "is not a socket");
        g_assert_cmpint(unlink(path), ==, 0);
        for (unsigned n = 0; n < 2; n++) {
            int fd = bind_file(path, n ? SOCK_STREAM : SOCK_DGRAM);

            g_assert_true(!n || listen(fd, 1) == 0);
            expect_kept(text, path, "another program");
            close(fd);
            g_assert_cmpint(unlink(path), ==, 0);
        }
        close(bind_file(path, SOCK_STREAM));
        machine = new_machine();
        open_netdev(machine, text);
        machine_unlock(machine);
        machine_free(machine);
    }
    g_assert_cmpint(rmdir(folder), ==, 0);
}

/* Descriptors of the wrong kind are refused, and closed. */
static void test_wrong_kinds(void)
{
    enum { DATAGRAM = 1, SEQUENCE = 2, UNCONNECTED = 4, LISTENER = 8, NO_SOCKET = 16 };
    static const struct {
        const char *options;
        unsigned refused;
    } kinds[] = {
        { "stream,id=n,addr.type=fd,addr.str=%d", 31 },
        { "stream,id=n,server=on,addr.type=fd,addr.str=%d", 31 & ~LISTENER },
        { "dgram,id=n,local.type=fd,local.str=%d", 31 & ~DATAGRAM },
        { "socket,id=n,fd=%d", 31 & ~DATAGRAM },
    };
    Machine *machine = new_machine();

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        for (unsigned kind = DATAGRAM; kind <= NO_SOCKET; kind <<= 1) {
            int type = kind == DATAGRAM   ? SOCK_DGRAM
                       : kind == SEQUENCE ? SOCK_SEQPACKET
                                          : SOCK_STREAM;
            int fd = kind == NO_SOCKET ? open("/dev/null", O_RDWR) : socket(AF_UNIX, type, 0);
            g_autofree char *text = g_strdup_printf(kinds[i].options, fd);
            g_autoptr(GError) error = NULL;

            if (kind == LISTENER) {
                struct sockaddr any = { .sa_family = AF_UNIX };

                g_assert_cmpint(bind(fd, &any, sizeof any.sa_family), ==, 0);
                g_assert_cmpint(listen(fd, 1), ==, 0);
            }
            if (kinds[i].refused & kind) {
                g_assert_null(netdev_open_text(machine, text, NULL, NULL, &error));
                g_assert_cmpint(fcntl(fd, F_GETFD), <, 0);
            } else {
                close(fd);
            }
        }
    }
    machine_unlock(machine);
    machine_free(machine);
}

/* Streams and datagrams over sockets that somebody else has made. */
static void test_passed(void)
{
    static const struct {
        int type;
        const char *options;
    } kinds[] = { { SOCK_STREAM, "stream,id=n%d,addr.type=fd,addr.str=%d" },
                  { SOCK_DGRAM, "dgram,id=n%d,local.type=fd,local.str=%d" },
                  { SOCK_STREAM, "socket,id=n%d,fd=%d" },
                  { SOCK_DGRAM, "socket,id=n%d,fd=%d" } };

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        Machine *machine = new_machine();
        Netdev *ends[2];
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, kinds[i].type, 0, fds), ==, 0);
        for (unsigned n = 0; n < 2; n++) {
            g_autofree char *text = g_strdup_printf(kinds[i].options, fds[n], fds[n]);

            ends[n] = open_netdev(machine, text);
        }
        check_pair(machine, ends[0], ends[1]);
        machine_unlock(machine);
        machine_free(machine);
    }
}

/* A client finds its server when that comes late, and again when it has gone and come back. */
static void test_reconnect(void)
{
    g_autofree char *folder = g_dir_make_tmp("kaso-net-XXXXXX", NULL);
    Machine *machine = new_machine();
    Netdev *client =
        open_in(machine, "stream,id=c,addr.type=unix,addr.path=%s/s,reconnect-ms=10", folder);
    uint8_t frame[64] = { 0xab };

    for (unsigned round = 0; round < 2; round++) {
        Netdev *server =
            open_in(machine, "stream,id=s,server=on,addr.type=unix,addr.path=%s/s", folder);
        Nic *nic = nic_new(server);
        GBytes *got = NULL;

        for (unsigned n = 0; n < 200 && !got; n++) {
            send_frame(client, frame, sizeof frame);
            machine_unlock(machine);
            g_usleep(2000);
            while (g_main_context_iteration(NULL, FALSE)) {
            }
            machine_lock(machine);
            got = nic->frames->len ? nic->frames->pdata[0] : NULL;
        }
        g_assert_nonnull(got);
        netdev_detach(server);
        nic_free(nic);
        machine_remove_netdev(machine, server);
        netdev_free(server);
    }
    machine_unlock(machine);
    machine_free(machine);
    rmdir(folder);
}

/* Three NICs on a hub, one of them behind another back end; a fourth port is another hub's. */
static void test_hub(void)
{
    Machine *machine = new_machine();
    Netdev *ports[4], *far[2];
    Nic *nics[4];
    uint8_t frame[64] = { 0xab };
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), ==, 0);
    for (unsigned n = 0; n < 2; n++) {
        g_autofree char *text = g_strdup_printf("socket,id=far%u,fd=%d", n, fds[n]);

        far[n] = open_netdev(machine, text);
    }
    ports[0] = open_netdev(machine, "hubport,id=p0,hubid=3");
    ports[1] = open_netdev(machine, "hubport,id=p1,hubid=3");
    open_netdev(machine, "hubport,id=p2,hubid=3,netdev=far0");
    ports[2] = far[1];
    ports[3] = open_netdev(machine, "hubport,id=p3,hubid=4");
    for (unsigned n = 0; n < 4; n++) {
        nics[n] = nic_new(ports[n]);
    }
    for (unsigned from = 0; from < 3; from++) {
        send_frame(ports[from], frame, sizeof frame);
        for (unsigned to = 0; to < 3; to++) {
            g_assert_true(to == from || wait_for_frame(machine, nics[to], is_marked));
        }
        for (unsigned to = 0; to < 3; to++) {
            g_assert_cmpuint(nics[to]->frames->len, ==, to == from ? 0 : 1);
            g_ptr_array_set_size(nics[to]->frames, 0);
        }
    }
    g_assert_cmpuint(nics[3]->frames->len, ==, 0);
    for (unsigned n = 0; n < 4; n++) {
        netdev_detach(ports[n]);
        nic_free(nics[n]);
    }
    machine_unlock(machine);
    machine_free(machine);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/user/dhcp", test_dhcp);
    g_test_add_func("/user/host-forward", test_host_forward);
    g_test_add_func("/user/host-forward-local", test_host_forward_local);
    g_test_add_func("/user/rules", test_rules);
    g_test_add_data_func("/socket/stream", "127.0.0.1", test_socket_stream);
    g_test_add_data_func("/socket/udp", "127.0.0.1", test_socket_udp);
    g_test_add_func("/pairs", test_pairs);
    g_test_add_func("/paths", test_paths);
    g_test_add_func("/wrong-kinds", test_wrong_kinds);
    g_test_add_func("/passed", test_passed);
    g_test_add_func("/reconnect", test_reconnect);
    g_test_add_func("/hub", test_hub);
    if (have_ipv6()) {
        g_test_add_func("/user/host-forward-ipv6", test_host_forward_ipv6);
        g_test_add_data_func("/socket/stream-ipv6", "[::1]", test_socket_stream);
        g_test_add_data_func("/socket/udp-ipv6", "[::1]", test_socket_udp);
    }
    return g_test_run();
}
