/* SPDX-License-Identifier: MIT */
/*
 * Object "filter-dump": writes the frames of a network back end to a file that tcpdump and Wireshark read: libpcap's
 * format (draft-ietf-opsawg-pcap), microseconds, in the host's byte order.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/error.h"
#include "machine/machine.h"
#include "machine/netdev.h"
#include "machine/object.h"

enum { PCAP_LINK_ETHERNET = 1, PCAP_VERSION_MAJOR = 2, PCAP_VERSION_MINOR = 4 };
static const uint32_t pcap_magic = 0xa1b2c3d4;

typedef struct {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t reserved[2];
    uint32_t longest; /* how much of a frame is kept */
    uint32_t link;
} PcapHeader;

typedef struct {
    uint32_t seconds, microseconds;
    uint32_t kept, size; /* bytes of the frame in the file, and on the wire */
} PcapRecord;

enum DumpQueue { DUMP_ALL, DUMP_RX, DUMP_TX };
static const char *const dump_queues[] = { "all", "rx", "tx", NULL };

typedef struct {
    Object object;
    NetdevWatcher watcher;
    char *netdev, *file;
    uint32_t longest;
    int queue; /* DumpQueue, as seen from the back end */
    bool on;
    int fd; /* -1 once it cannot be written any more */
} FilterDump;

static bool write_all(int fd, const void *data, size_t size)
{
    const char *at = data;

    while (size) {
        ssize_t done = write(fd, at, size);

        if (done < 0 && errno != EINTR) {
            return false;
        }
        at += MAX(done, 0);
        size -= (size_t)MAX(done, 0);
    }
    return true;
}

static size_t total_size(const struct iovec *iov, unsigned count)
{
    size_t size = 0;

    for (unsigned i = 0; i < count; i++) {
        size += iov[i].iov_len;
    }
    return size;
}

/* One write for a whole record, so that whoever reads along sees whole ones. */
static GByteArray *make_record(const FilterDump *dump, const struct iovec *iov, unsigned count,
                               size_t skip)
{
    size_t size = total_size(iov, count), left;
    int64_t now = g_get_real_time();
    PcapRecord record = { (uint32_t)(now / G_USEC_PER_SEC), (uint32_t)(now % G_USEC_PER_SEC) };
    GByteArray *bytes;

    size -= MIN(size, skip);
    left = MIN(size, dump->longest);
    record.kept = (uint32_t)left;
    record.size = (uint32_t)size;
    bytes = g_byte_array_sized_new((guint)(sizeof record + left));
    g_byte_array_append(bytes, (const guint8 *)&record, sizeof record);
    for (unsigned i = 0; i < count && left; i++) {
        size_t passed = MIN(skip, iov[i].iov_len), part = MIN(iov[i].iov_len - passed, left);

        skip -= passed;
        left -= part;
        g_byte_array_append(bytes, (const guint8 *)iov[i].iov_base + passed, (guint)part);
    }
    return bytes;
}

static void dump_frame(NetdevWatcher *watcher, bool from_nic, const struct iovec *iov,
                       unsigned count, size_t skip)
{
    FilterDump *dump = (FilterDump *)(void *)((char *)watcher - offsetof(FilterDump, watcher));
    g_autoptr(GByteArray) bytes = NULL;

    if (!dump->on || dump->fd < 0 || dump->queue == (from_nic ? DUMP_TX : DUMP_RX)) {
        return;
    }
    bytes = make_record(dump, iov, count, skip);
    if (!write_all(dump->fd, bytes->data, bytes->len)) {
        g_printerr("kaso: warning: object '%s': '%s' takes no more frames: %s\n", dump->object.id,
                   dump->file, g_strerror(errno));
        close(dump->fd);
        dump->fd = -1;
    }
}

static bool dump_open(FilterDump *dump, GError **error)
{
    PcapHeader header = { pcap_magic, PCAP_VERSION_MAJOR, PCAP_VERSION_MINOR,
                          { 0 },      dump->longest,      PCAP_LINK_ETHERNET };

    dump->fd = descriptors_open(dump->file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (dump->fd < 0 || !write_all(dump->fd, &header, sizeof header)) {
        error_fail_errno(error, errno, "object '%s': cannot write file '%s'", dump->object.id,
                         dump->file);
        if (dump->fd >= 0) {
            close(dump->fd);
        }
        return false;
    }
    return true;
}

static bool dump_complete(Object *object, GError **error)
{
    FilterDump *dump = (FilterDump *)object;
    Netdev *netdev;

    if (!dump->netdev || !dump->file) {
        return error_fail(error, KASO_ERROR_INVALID, "object '%s': give netdev=ID and file=FILE",
                          object->id);
    }
    netdev = machine_find_netdev(object->machine, dump->netdev);
    if (!netdev) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "object '%s': there is no netdev '%s' (info network lists them)",
                          object->id, dump->netdev);
    }
    dump->watcher.frame = dump_frame;
    if (!dump_open(dump, error)) {
        return false;
    }
    if (!netdev_watch(netdev, &dump->watcher, error)) {
        close(dump->fd);
        return false;
    }
    return true;
}

static void dump_free(Object *object)
{
    FilterDump *dump = (FilterDump *)object;

    netdev_unwatch(&dump->watcher);
    if (dump->fd >= 0) {
        close(dump->fd);
    }
}

static const Property dump_properties[] = {
    { "netdev", PROPERTY_STRING, offsetof(FilterDump, netdev), "network back end" },
    { "file", PROPERTY_STRING, offsetof(FilterDump, file), "where the frames go" },
    { "maxlen", PROPERTY_U32, offsetof(FilterDump, longest), "bytes kept of each frame", "65536" },
    { "queue", PROPERTY_ENUM, offsetof(FilterDump, queue),
      "frames that the back end gets (rx), sends to the guest (tx), or all", "all", dump_queues },
    { "status", PROPERTY_BOOL, offsetof(FilterDump, on), "off: frames pass unseen", "on",
      .changed = object_read_at_use },
    { NULL },
};

static const ObjectType filter_dump_type = {
    .name = "filter-dump",
    .summary = "Frames of a network back end, in a file for tcpdump",
    .instance_size = sizeof(FilterDump),
    .properties = dump_properties,
    .on_netdev = true,
    .complete = dump_complete,
    .free = dump_free,
};
OBJECT_TYPE(filter_dump_type);
