/* SPDX-License-Identifier: MIT */
/* Announcements: RFC 903 requests, which no one answers and every switch learns from. */
#include "migration/announce.h"

#include <string.h>

#include "base/bits.h"
#include "machine/netdev.h"

struct AnnounceRounds {
    Machine *machine;
    AnnounceTimes times;
    GStrv nics; /* NULL: all */
    uint64_t done;
    guint timer;
};

enum { MAC_BYTES = 6, FRAME_BYTES = 60, HEADER_MOST = 32, TYPE_RARP = 0x8035, REQUEST_REVERSE = 3 };

static void make_frame(uint8_t *frame, const uint8_t *mac)
{
    memset(frame, 0xff, MAC_BYTES);
    memcpy(frame + 6, mac, MAC_BYTES);
    store_be16(frame + 12, TYPE_RARP);
    store_be16(frame + 14, 1);      /* Ethernet */
    store_be16(frame + 16, 0x0800); /* IPv4 */
    frame[18] = MAC_BYTES;
    frame[19] = 4;
    store_be16(frame + 20, REQUEST_REVERSE);
    memcpy(frame + 22, mac, MAC_BYTES); /* who asks … */
    memcpy(frame + 32, mac, MAC_BYTES); /* … for whom */
}

static const Property *property_of_kind(const Device *device, PropertyKind kind)
{
    const Property *property = device->type->properties;

    while (property && property->name && property->kind != kind) {
        property++;
    }
    return property && property->name ? property : NULL;
}

static void announce_one(Device *device, void *opaque)
{
    const AnnounceRounds *rounds = opaque;
    const Property *mac = property_of_kind(device, PROPERTY_MAC);
    const Property *link = property_of_kind(device, PROPERTY_NETDEV);
    Netdev *netdev = mac && link && device->realized ? property_pointer(link, device) : NULL;
    uint8_t frame[HEADER_MOST + FRAME_BYTES] = { 0 };

    if (netdev && netdev->header <= HEADER_MOST &&
        (!rounds->nics || g_strv_contains((const char *const *)rounds->nics, device->id))) {
        make_frame(frame + netdev->header, (const uint8_t *)device + mac->offset);
        netdev_transmit(netdev, &(struct iovec){ frame, netdev->header + FRAME_BYTES }, 1);
    }
}

static gboolean next_round(gpointer opaque);

static void do_round(AnnounceRounds *rounds)
{
    const AnnounceTimes *times = &rounds->times;

    rounds->timer = 0;
    if (rounds->done < times->rounds) {
        device_foreach(rounds->machine->root, announce_one, rounds);
        if (++rounds->done < times->rounds) {
            uint64_t pause_ms = times->initial_ms + (rounds->done - 1) * times->step_ms;

            rounds->timer = g_timeout_add((guint)MIN(pause_ms, times->most_ms), next_round, rounds);
        }
    }
}

static gboolean next_round(gpointer opaque)
{
    AnnounceRounds *rounds = opaque;
    Machine *machine = rounds->machine;

    machine_lock(machine);
    do_round(rounds);
    machine_unlock(machine);
    return G_SOURCE_REMOVE;
}

AnnounceRounds *announce_start(Machine *machine, const AnnounceTimes *times,
                               const char *const *nics)
{
    AnnounceRounds *rounds = g_new0(AnnounceRounds, 1);

    rounds->machine = machine;
    rounds->times = *times;
    rounds->nics = g_strdupv((GStrv)nics);
    do_round(rounds);
    return rounds;
}

void announce_stop(AnnounceRounds *rounds)
{
    if (rounds) {
        if (rounds->timer) {
            g_source_remove(rounds->timer);
        }
        g_strfreev(rounds->nics);
        g_free(rounds);
    }
}
