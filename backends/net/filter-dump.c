/* SPDX-License-Identifier: MIT */
/*
 * Object "filter-dump": writes the frames of a network back end to a file that tcpdump and Wireshark read: libpcap's
 * format (draft-ietf-opsawg-pcap), microseconds, in the host's byte order.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backends/net/filter.h"
#include "base/descriptors.h"
#include "base/error.h"

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

typedef struct {
    Filter filter;
    char *file;
    uint32_t longest;
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

static bool dump_frame(NetdevFilter *hook, bool from_nic, const struct iovec *iov, unsigned count,
                       size_t skip)
{
    FilterDump *dump = (FilterDump *)filter_of(hook);
    g_autoptr(GByteArray) bytes = NULL;

    if (dump->fd < 0 || !filter_wants(&dump->filter, from_nic)) {
        return true;
    }
    bytes = make_record(dump, iov, count, skip);
    if (!write_all(dump->fd, bytes->data, bytes->len)) {
        g_printerr("kaso: warning: object '%s': '%s' takes no more frames: %s\n",
                   dump->filter.object.id, dump->file, g_strerror(errno));
        close(dump->fd);
        dump->fd = -1;
    }
    return true;
}

static bool dump_open(FilterDump *dump, GError **error)
{
    PcapHeader header = { pcap_magic, PCAP_VERSION_MAJOR, PCAP_VERSION_MINOR,
                          { 0 },      dump->longest,      PCAP_LINK_ETHERNET };

    dump->fd = descriptors_open(dump->file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (dump->fd < 0 || !write_all(dump->fd, &header, sizeof header)) {
        error_fail_errno(error, errno, "object '%s': cannot write file '%s'",
                         dump->filter.object.id, dump->file);
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

    if (!dump->filter.netdev || !dump->file) {
        return error_fail(error, KASO_ERROR_INVALID, "object '%s': give netdev=ID and file=FILE",
                          object->id);
    }
    if (!filter_attach(&dump->filter, dump_frame, error)) {
        return false;
    }
    if (!dump_open(dump, error)) {
        netdev_filter_detach(&dump->filter.hook);
        return false;
    }
    return true;
}

static void dump_free(Object *object)
{
    FilterDump *dump = (FilterDump *)object;

    netdev_filter_detach(&dump->filter.hook);
    if (dump->fd >= 0) {
        close(dump->fd);
    }
}

static const Property dump_properties[] = {
    FILTER_PROPERTIES,
    { "file", PROPERTY_STRING, offsetof(FilterDump, file), "where the frames go" },
    { "maxlen", PROPERTY_U32, offsetof(FilterDump, longest), "bytes kept of each frame", "65536" },
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
