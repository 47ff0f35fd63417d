/* SPDX-License-Identifier: MIT */
/* Filters of frames: copies, detours and waits, in the order of the row; and what goes with a network back end. */
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/chardev-open.h"
#include "backends/netdev-open.h"
#include "base/bits.h"
#include "machine/machine.h"
#include "machine/object.h"
#include "tests/patience.h"

enum { WAIT_S = 20, QUIET_US = 50000 };

typedef struct {
    Machine *machine;
    Netdev *netdev;
    int wire;     /* the other end of the back end's socket */
    GString *got; /* the first byte of each frame that the NIC got */
    int links;    /* times that the link changed */
    bool full;
} Rig;

static bool nic_can_receive(void *opaque)
{
    return !((Rig *)opaque)->full;
}

static void nic_receive(void *opaque, const uint8_t *frame, size_t size)
{
    g_string_append_c(((Rig *)opaque)->got, (char)frame[0]);
}

static void nic_link_changed(void *opaque, bool up)
{
    ((Rig *)opaque)->links++;
}

static const NetClient nic_client = { .can_receive = nic_can_receive,
                                      .receive = nic_receive,
                                      .link_changed = nic_link_changed };

static void rig_open_netdev(Rig *rig)
{
    GError *error = NULL;
    int pair[2];
    g_autofree char *text = NULL;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    text = g_strdup_printf("socket,id=n,fd=%d", pair[1]);
    rig->netdev = netdev_open_text(rig->machine, text, NULL, NULL, &error);
    g_assert_no_error(error);
    rig->wire = pair[0];
}

static Rig *rig_new(void)
{
    MachineConfig config = { 0 };
    Rig *rig = g_new0(Rig, 1);
    GError *error = NULL;

    rig->machine = machine_new(&config);
    rig->got = g_string_new(NULL);
    machine_build(rig->machine, &error);
    g_assert_no_error(error);
    machine_lock(rig->machine);
    machine_start(rig->machine);
    rig_open_netdev(rig);
    netdev_attach(rig->netdev, &nic_client, rig, &error);
    g_assert_no_error(error);
    return rig;
}

static void rig_free(Rig *rig)
{
    netdev_detach(rig->netdev);
    machine_unlock(rig->machine);
    machine_free(rig->machine);
    close(rig->wire);
    g_string_free(rig->got, true);
    g_free(rig);
}

static bool try_object(Rig *rig, const char *text, GError **error)
{
    g_autoptr(KeyValues) list = key_values_parse(text, "qom-type", error);

    return list && object_add(rig->machine, list, error);
}

static void add_object(Rig *rig, const char *text)
{
    GError *error = NULL;

    try_object(rig, text, &error);
    g_assert_no_error(error);
}

/* A character device over a socket; returns the other end. */
static int add_chardev(Rig *rig, const char *id)
{
    GError *error = NULL;
    int pair[2];
    g_autofree char *text = NULL;
    g_autoptr(KeyValues) list = NULL;
    g_autoptr(GHashTable) options = NULL;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    text = g_strdup_printf("fd=%d", pair[1]);
    list = key_values_parse(text, NULL, &error);
    g_assert_no_error(error);
    options = key_values_table(list);
    chardev_open(rig->machine, id, "socket", options, &error);
    g_assert_no_error(error);
    return pair[0];
}

static void iterate(Rig *rig)
{
    machine_unlock(rig->machine);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    machine_lock(rig->machine);
    g_usleep(1000);
}

/* What the NIC has got, once it is that long. */
static void expect_nic(Rig *rig, const char *wanted)
{
    gint64 end = patience_end(WAIT_S);

    while (rig->got->len < strlen(wanted) && g_get_monotonic_time() < end) {
        iterate(rig);
    }
    g_assert_cmpstr(rig->got->str, ==, wanted);
}

/* One frame, as the text of its bytes; "" if none comes. With `header`, its size comes first, then a colon. */
static char *take_frame(Rig *rig, int fd, gint64 end, bool header)
{
    uint8_t bytes[256];
    size_t prefix = header ? 8 : 4, size, skip;

    while (recv(fd, bytes, prefix, MSG_PEEK | MSG_DONTWAIT) != (ssize_t)prefix) {
        if (g_get_monotonic_time() > end) {
            return g_strdup("");
        }
        iterate(rig);
    }
    g_assert_cmpint(read(fd, bytes, prefix), ==, prefix);
    size = load_be32(bytes);
    skip = header ? load_be32(bytes + 4) : 0;
    g_assert_cmpint(read(fd, bytes, size), ==, size);
    return header ? g_strdup_printf("%zu:%.*s", skip, (int)(size - skip), bytes + skip)
                  : g_strndup((char *)bytes, size);
}

static void expect_frame(Rig *rig, int fd, const char *wanted)
{
    gint64 end = *wanted ? patience_end(WAIT_S) : g_get_monotonic_time() + QUIET_US;
    g_autofree char *got = take_frame(rig, fd, end, false);

    g_assert_cmpstr(got, ==, wanted);
}

static void put_frame(int fd, const char *text)
{
    uint8_t prefix[4];

    store_be32(prefix, (uint32_t)strlen(text));
    g_assert_cmpint(write(fd, prefix, sizeof prefix), ==, sizeof prefix);
    g_assert_cmpint(write(fd, text, strlen(text)), ==, strlen(text));
}

static void nic_sends(Rig *rig, const char *text)
{
    struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };

    netdev_transmit(rig->netdev, &iov, 1);
}

static void test_mirror(void)
{
    Rig *rig = rig_new();
    int all = add_chardev(rig, "a"), tx = add_chardev(rig, "t");
    g_autofree char *headed = NULL;
    int with_header = add_chardev(rig, "h");

    add_object(rig, "filter-mirror,id=f,netdev=n,outdev=a");
    add_object(rig, "filter-mirror,id=g,netdev=n,outdev=t,queue=tx");
    add_object(rig, "filter-mirror,id=h,netdev=n,outdev=h,queue=rx,vnet_hdr_support=on");
    put_frame(rig->wire, "in");
    expect_nic(rig, "i");
    nic_sends(rig, "out");
    expect_frame(rig, rig->wire, "out");
    expect_frame(rig, all, "in");
    expect_frame(rig, all, "out");
    expect_frame(rig, tx, "in");
    expect_frame(rig, tx, "");
    headed = take_frame(rig, with_header, patience_end(WAIT_S), true);
    g_assert_cmpstr(headed, ==, "0:out");
    close(all);
    close(tx);
    close(with_header);
    rig_free(rig);
}

/* Out of the row at one place and into it at another; who is between does not see it. */
static void test_redirector(void)
{
    Rig *rig = rig_new();
    int out = add_chardev(rig, "o"), in = add_chardev(rig, "i"), seen = add_chardev(rig, "s");
    int early = add_chardev(rig, "e");

    add_object(rig, "filter-redirector,id=f,netdev=n,outdev=o,queue=tx");
    add_object(rig, "filter-redirector,id=g,netdev=n,indev=i,queue=tx");
    add_object(rig, "filter-mirror,id=m,netdev=n,outdev=s");
    add_object(rig, "filter-mirror,id=k,netdev=n,outdev=e,position=id=g,insert=before");
    put_frame(rig->wire, "abc");
    expect_frame(rig, out, "abc");
    expect_frame(rig, seen, "");
    put_frame(in, "xyz");
    expect_nic(rig, "x");
    expect_frame(rig, seen, "xyz");
    nic_sends(rig, "out"); /* not its direction */
    expect_frame(rig, rig->wire, "out");
    expect_frame(rig, early, "out");
    expect_frame(rig, early, "");
    close(out);
    close(in);
    close(seen);
    close(early);
    rig_free(rig);
}

static void test_buffer(void)
{
    Rig *rig = rig_new();

    add_object(rig, "filter-buffer,id=f,netdev=n,interval=20000,queue=rx");
    nic_sends(rig, "one");
    nic_sends(rig, "two");
    expect_frame(rig, rig->wire, "one");
    expect_frame(rig, rig->wire, "two");
    put_frame(rig->wire, "in");
    expect_nic(rig, "i");
    add_object(rig, "filter-buffer,id=g,netdev=n,interval=4000000000");
    nic_sends(rig, "three");
    expect_frame(rig, rig->wire, "");
    g_assert_true(object_remove(rig->machine, "g", NULL)); /* what it held goes on */
    expect_frame(rig, rig->wire, "three");
    rig_free(rig);
}

/* What has passed the filters waits for the card, and is not shown again. */
static void test_full_card(void)
{
    Rig *rig = rig_new();
    int seen = add_chardev(rig, "s");

    add_object(rig, "filter-mirror,id=m,netdev=n,outdev=s");
    rig->full = true;
    g_assert_true(netdev_offer(rig->netdev, 0, (const uint8_t *)"abc", 3));
    g_assert_false(netdev_has_room(rig->netdev, 0));
    expect_frame(rig, seen, "abc");
    rig->full = false;
    netdev_flush(rig->netdev);
    expect_nic(rig, "a");
    expect_frame(rig, seen, "");
    close(seen);
    rig_free(rig);
}

/* A back end goes although its card is there; its filters go with it, and their names are free again. */
static void test_netdev_gone(void)
{
    Rig *rig = rig_new();
    Netdev *first = rig->netdev;

    add_object(rig, "filter-buffer,id=f,netdev=n,interval=1000");
    machine_remove_netdev(rig->machine, first);
    netdev_free(first);
    close(rig->wire);
    g_assert_null(machine_find_object(rig->machine, "f"));
    g_assert_cmpint(rig->links, ==, 1);
    g_assert_false(first->link_up);
    nic_sends(rig, "lost");
    rig_open_netdev(rig);
    add_object(rig, "filter-buffer,id=f,netdev=n,interval=1000");
    netdev_detach(first);
    netdev_attach(rig->netdev, &nic_client, rig, NULL);
    put_frame(rig->wire, "new");
    expect_nic(rig, "n");
    rig_free(rig);
}

static void test_refusals(void)
{
    static const struct {
        const char *options, *message;
    } cases[] = {
        { "filter-buffer,id=f,netdev=n", "give interval=" },
        { "filter-buffer,id=f,netdev=n,interval=0", "must not be 0" },
        { "filter-buffer,id=f,interval=1", "give netdev=ID" },
        { "filter-buffer,id=f,netdev=m,interval=1", "there is no netdev 'm'" },
        { "filter-buffer,id=f,netdev=n,interval=1,position=middle", "head, tail or id=FILTER" },
        { "filter-buffer,id=f,netdev=n,interval=1,position=id=g", "has no filter 'g'" },
        { "filter-mirror,id=f,netdev=n", "give outdev=" },
        { "filter-mirror,id=f,netdev=n,outdev=x", "there is no chardev 'x'" },
        { "filter-redirector,id=f,netdev=n", "give indev=CHARDEV, outdev=CHARDEV" },
        { "filter-redirector,id=f,netdev=n,outdev=a,indev=a", "must not be the same" },
    };
    Rig *rig = rig_new();
    int peer = add_chardev(rig, "a");

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(try_object(rig, cases[i].options, &error));
        if (!strstr(error->message, cases[i].message)) {
            g_error("%s: %s", cases[i].options, error->message);
        }
    }
    add_object(rig, "filter-mirror,id=f,netdev=n,outdev=a"); /* a refusal holds nothing */
    close(peer);
    rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/filter/mirror", test_mirror);
    g_test_add_func("/filter/redirector", test_redirector);
    g_test_add_func("/filter/buffer", test_buffer);
    g_test_add_func("/filter/full-card", test_full_card);
    g_test_add_func("/filter/netdev-gone", test_netdev_gone);
    g_test_add_func("/filter/refusals", test_refusals);
    return g_test_run();
}
