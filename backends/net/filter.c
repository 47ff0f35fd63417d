/* SPDX-License-Identifier: MIT */
/* The part of filters of frames that is the same for all; see the header. */
#include "backends/net/filter.h"

#include <string.h>

#include "base/error.h"
#include "machine/machine.h"

const char *const filter_queues[] = { "all", "rx", "tx", NULL };
enum { SIDE_BEFORE, SIDE_BEHIND };
const char *const filter_sides[] = { "before", "behind", NULL };

bool filter_wants(const Filter *filter, bool from_nic)
{
    return filter->on && filter->queue != (from_nic ? FILTER_TX : FILTER_RX);
}

FilterFrame filter_copy(const struct iovec *iov, unsigned count, size_t skip)
{
    FilterFrame copy = { 0 };
    size_t size = 0, at = 0;

    for (unsigned i = 0; i < count; i++) {
        size += iov[i].iov_len;
    }
    copy.header = g_malloc(size + 1);
    for (unsigned i = 0; i < count; i++) {
        memcpy(copy.header + at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    copy.header_size = MIN(size, skip);
    copy.frame = copy.header + copy.header_size;
    copy.size = size - copy.header_size;
    return copy;
}

static bool find_neighbour(const Filter *filter, const Netdev *netdev, NetdevFilter **neighbour,
                           GError **error)
{
    const char *id = filter->position + strlen("id=");

    for (GList *it = netdev->filters; it; it = it->next) {
        NetdevFilter *other = it->data;

        if (other->owner && !strcmp(other->owner->id, id)) {
            *neighbour = other;
            return true;
        }
    }
    return error_fail(error, KASO_ERROR_NOT_FOUND, "object '%s': netdev '%s' has no filter '%s'",
                      filter->object.id, netdev->id, id);
}

/* Whom the filter comes beside, and on which side; NULL: at the end of the row. */
static bool find_place(const Filter *filter, const Netdev *netdev, NetdevFilter **neighbour,
                       bool *behind, GError **error)
{
    *neighbour = NULL;
    *behind = filter->side == SIDE_BEHIND;
    if (g_str_has_prefix(filter->position, "id=")) {
        return find_neighbour(filter, netdev, neighbour, error);
    }
    if (!strcmp(filter->position, "head")) {
        *neighbour = netdev->filters ? netdev->filters->data : NULL;
        *behind = false;
        return true;
    }
    return !strcmp(filter->position, "tail") ||
           error_fail(error, KASO_ERROR_INVALID,
                      "object '%s': position is head, tail or id=FILTER, not '%s'",
                      filter->object.id, filter->position);
}

bool filter_attach(Filter *filter, NetdevFilterFrame *frame, GError **error)
{
    Netdev *netdev;
    NetdevFilter *neighbour;
    bool behind;

    if (!filter->netdev) {
        return error_fail(error, KASO_ERROR_INVALID, "object '%s': give netdev=ID",
                          filter->object.id);
    }
    netdev = machine_find_netdev(filter->object.machine, filter->netdev);
    if (!netdev) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "object '%s': there is no netdev '%s' (info network lists them)",
                          filter->object.id, filter->netdev);
    }
    filter->hook.frame = frame;
    filter->hook.owner = &filter->object;
    return find_place(filter, netdev, &neighbour, &behind, error) &&
           netdev_filter_attach(netdev, &filter->hook, neighbour, behind, error);
}
