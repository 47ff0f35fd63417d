/* SPDX-License-Identifier: MIT */
/* What all objects "filter-…" have: the netdev, the frames that they are for, their place in its row of filters. */
#ifndef BACKENDS_NET_FILTER_H
#define BACKENDS_NET_FILTER_H

#include "base/bits.h"
#include "machine/netdev.h"
#include "machine/object.h"

enum FilterQueue { FILTER_ALL, FILTER_RX, FILTER_TX };
extern const char *const filter_queues[];
extern const char *const filter_sides[];

typedef struct {
    Object object;
    NetdevFilter hook;
    char *netdev;
    int queue; /* FilterQueue, as seen from the back end */
    bool on;
    char *position; /* head, tail, or id=FILTER */
    int side;       /* of that filter; index into filter_sides */
} Filter;

/* clang-format off */
#define FILTER_PROPERTIES                                                                                              \
    { "netdev", PROPERTY_STRING, offsetof(Filter, netdev), "network back end" },                                       \
    { "queue", PROPERTY_ENUM, offsetof(Filter, queue),                                                                 \
      "frames that the back end gets (rx), sends to the guest (tx), or all", "all", filter_queues },                   \
    { "status", PROPERTY_BOOL, offsetof(Filter, on), "off: frames pass untouched", "on",                               \
      .changed = object_read_at_use },                                                                                 \
    { "position", PROPERTY_STRING, offsetof(Filter, position),                                                         \
      "among the filters of the back end: head (beside it), tail (beside the card), or id=FILTER", "tail" },           \
    { "insert", PROPERTY_ENUM, offsetof(Filter, side), "which side of that filter is the place", "behind", filter_sides }
/* clang-format on */

/* A frame without virtio's header, and that header. */
typedef struct {
    uint8_t *header, *frame; /* one allocation, which begins with the header */
    size_t header_size, size;
} FilterFrame;

/* For `complete`: from now on the frames of netdev= come to `frame`. */
bool filter_attach(Filter *filter, NetdevFilterFrame *frame, GError **error);
static inline Filter *filter_of(NetdevFilter *hook)
{
    return container_of(hook, Filter, hook);
}
/* Whether frames of this direction concern it. */
bool filter_wants(const Filter *filter, bool from_nic);
/* The caller frees `header`. */
FilterFrame filter_copy(const struct iovec *iov, unsigned count, size_t skip);

#endif
