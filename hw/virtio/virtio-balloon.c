/* SPDX-License-Identifier: MIT */
/*
 * Virtio memory balloon (Virtio 1.2, 5.5): pages that the driver gives away or reports as free go back to the host and read
 * as zeros from then on; statistics are asked for at an interval.
 *
 * Free page hints are not offered. A page is 4 KiB.
 */
#include <sys/mman.h>

#include "base/error.h"
#include "hw/virtio/virtio.h"
#include "machine/balloon.h"
#include "machine/clock.h"
#include "machine/machine.h"

enum {
    F_STATS_VQ = 1,
    F_DEFLATE_ON_OOM = 2,
    F_REPORTING = 5,

    CONFIG_TARGET = 0, /* pages that the driver shall give away */
    CONFIG_ACTUAL = 4,
    CONFIG_SIZE = 16,

    QUEUE_STATS = 2,
    QUEUE_SIZE = 128,
    REPORTING_SIZE = 32,
    PAGE_SHIFT = 12,
    MOST_NUMBERS = 65536, /* bytes of page numbers in one request */
    STAT_SIZE = 10,
    STATS = 16,
};

typedef struct {
    VirtioDevice virtio;
    Timer timer;
    bool news;         /* BALLOON_CHANGE is on its way */
    int64_t told_at_s; /* when the guest sent statistics, by the host's calendar */
    /* State. */
    uint32_t target, actual; /* pages */
    uint64_t stats[STATS];   /* by tag (5.5.6.3); all ones: not told */
    bool ask;                /* the interval is over: the statistics buffer goes back */
    /* Properties. */
    bool deflate_on_oom, reporting;
    uint32_t interval_s;
    char *iothread;
} VirtioBalloon;

static VirtioBalloon *virtio_balloon(VirtioDevice *virtio)
{
    return container_of(virtio, VirtioBalloon, virtio);
}

/* Whole pages of main memory; what is a file's, ROM or nothing stays as it is. */
static void give_to_host(VirtioDevice *virtio, uint64_t address, uint64_t size)
{
    AddressSpace *space = &virtio_machine(virtio)->memory_space;
    uint64_t end = align_down(address + size, 1 << PAGE_SHIFT);

    address = align_up(address, 1 << PAGE_SHIFT);
    while (address < end) {
        const MemoryRange *range = address_space_find(space, address);
        uint64_t part = end - address;
        void *host = address_space_map(space, address, &part, true);

        part = align_down(part, 1 << PAGE_SHIFT);
        if (!host || !part || !range || range->region->from_file) {
            return;
        }
        if (madvise(host, part, MADV_DONTNEED) == 0) {
            address_space_dirty(space, address, part);
        }
        address += part;
    }
}

static bool take_pages(VirtQueue *queue, VirtioElement *element)
{
    uint64_t count = element->out_bytes / 4;

    if (element->out_bytes > MOST_NUMBERS) {
        virtio_fail(queue->virtio, "%llu bytes of page numbers; at most %d are taken at once",
                    (unsigned long long)element->out_bytes, MOST_NUMBERS);
        virtqueue_free_element(element);
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint8_t number[4];

        iovec_to_buffer(element->out, element->out_count, i * 4, number, sizeof number);
        give_to_host(queue->virtio, (uint64_t)load_le32(number) << PAGE_SHIFT, 1 << PAGE_SHIFT);
    }
    virtqueue_push(element, 0);
    return true;
}

static void inflate(VirtQueue *queue)
{
    virtqueue_process(queue, take_pages);
}

/* Pages come back by being touched. */
static bool return_pages(VirtQueue *queue, VirtioElement *element)
{
    virtqueue_push(element, 0);
    return true;
}

static void deflate(VirtQueue *queue)
{
    virtqueue_process(queue, return_pages);
}

static bool take_report(VirtQueue *queue, VirtioElement *element)
{
    for (unsigned i = 0; i < element->in_count; i++) {
        give_to_host(queue->virtio, element->in_address[i], element->in_length[i]);
    }
    virtqueue_push(element, 0);
    return true;
}

static void report(VirtQueue *queue)
{
    virtqueue_process(queue, take_report);
}

/* Statistics */

static void wait_interval(VirtioBalloon *b)
{
    if (b->interval_s && !timer_is_armed(&b->timer)) {
        timer_arm(&b->timer,
                  clock_now_ns(virtio_machine(&b->virtio)) + (int64_t)b->interval_s * 1000000000);
    }
}

/* The one buffer stays in the queue until new statistics are wanted. */
static bool take_stats(VirtQueue *queue, VirtioElement *element)
{
    VirtioBalloon *b = virtio_balloon(queue->virtio);

    if (b->ask) {
        b->ask = false;
        virtqueue_push(element, 0);
        return true;
    }
    for (uint64_t at = 0; at + STAT_SIZE <= MIN(element->out_bytes, STATS * STAT_SIZE * 2);
         at += STAT_SIZE) {
        uint8_t stat[STAT_SIZE];

        iovec_to_buffer(element->out, element->out_count, at, stat, sizeof stat);
        if (load_le16(stat) < STATS) {
            b->stats[load_le16(stat)] = load_le64(stat + 2);
            b->told_at_s = g_get_real_time() / G_USEC_PER_SEC;
            trace("virtio-balloon", "statistic %u: %llu", load_le16(stat),
                  (unsigned long long)load_le64(stat + 2));
        }
    }
    virtqueue_unpop(queue, element);
    wait_interval(b);
    return false;
}

static void stats(VirtQueue *queue)
{
    virtqueue_process(queue, take_stats);
}

static void interval_over(void *opaque)
{
    VirtioBalloon *b = opaque;

    b->ask = true;
    if (virtio_running(&b->virtio)) {
        virtio_kick(&b->virtio, QUEUE_STATS);
    }
}

/* Life */

static void virtio_balloon_config_read(VirtioDevice *virtio)
{
    const VirtioBalloon *b = virtio_balloon(virtio);

    store_le32(virtio->config + CONFIG_TARGET, b->target);
    store_le32(virtio->config + CONFIG_ACTUAL, b->actual);
}

static void tell_change(void *opaque)
{
    Machine *machine = opaque;
    uint64_t ram = machine->config.ram_bytes;
    void *balloon;

    /* It may have gone meanwhile. */
    if (machine_balloon(machine, &balloon)) {
        VirtioBalloon *b = balloon;
        uint64_t given = (uint64_t)b->actual << PAGE_SHIFT;
        g_autofree char *data =
            g_strdup_printf("{\"actual\": %" G_GUINT64_FORMAT "}", ram - MIN(ram, given));

        b->news = false;
        machine_event(machine, "BALLOON_CHANGE", data);
    }
}

static void virtio_balloon_config_written(VirtioDevice *virtio, unsigned offset, unsigned size)
{
    VirtioBalloon *b = virtio_balloon(virtio);
    uint32_t before = b->actual;

    b->actual = load_le32(virtio->config + CONFIG_ACTUAL);
    if (b->actual != before && !b->news) {
        b->news = true;
        machine_defer(virtio_machine(virtio), tell_change, virtio_machine(virtio));
    }
}

/* For the monitor. */

static void set_pages(void *opaque, uint32_t pages)
{
    VirtioBalloon *b = opaque;

    b->target = pages;
    virtio_config_changed(&b->virtio);
}

static uint32_t pages_given(void *opaque)
{
    return ((const VirtioBalloon *)opaque)->actual;
}

static const BalloonOps balloon_ops = { .set_pages = set_pages, .pages = pages_given };

/* What the guest has not told is all ones. */
static char *stats_json(const void *instance)
{
    static const char *const names[] = {
        "stat-swap-in",      "stat-swap-out",     "stat-major-faults",     "stat-minor-faults",
        "stat-free-memory",  "stat-total-memory", "stat-available-memory", "stat-disk-caches",
        "stat-htlb-pgalloc", "stat-htlb-pgfail",  "stat-oom-kills",        "stat-alloc-stalls",
        "stat-async-scans",  "stat-direct-scans", "stat-async-reclaims",   "stat-direct-reclaims",
    };
    const VirtioBalloon *b = instance;
    GString *out = g_string_new("{\"stats\": {");

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        g_string_append_printf(out, "%s\"%s\": %" G_GINT64_FORMAT, i ? ", " : "", names[i],
                               (int64_t)b->stats[i]);
    }
    g_string_append_printf(out, "}, \"last-update\": %" G_GINT64_FORMAT "}", b->told_at_s);
    return g_string_free(out, false);
}

static void interval_changed(void *instance)
{
    VirtioBalloon *b = instance;

    timer_cancel(&b->timer);
    wait_interval(b);
}

static void virtio_balloon_reset(VirtioDevice *virtio)
{
    VirtioBalloon *b = virtio_balloon(virtio);

    timer_cancel(&b->timer);
    b->ask = false;
    b->actual = 0;
    memset(b->stats, 0xff, sizeof b->stats);
}

static uint64_t virtio_balloon_features(VirtioDevice *virtio)
{
    const VirtioBalloon *b = virtio_balloon(virtio);

    return BIT(F_STATS_VQ) | (b->deflate_on_oom ? BIT(F_DEFLATE_ON_OOM) : 0) |
           (b->reporting ? BIT(F_REPORTING) : 0);
}

static bool virtio_balloon_realize(VirtioDevice *virtio, GError **error)
{
    VirtioBalloon *b = virtio_balloon(virtio);

    if (!machine_set_balloon(virtio_machine(virtio), &balloon_ops, b)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Only one balloon device is supported: there is one already");
    }
    timer_init(&b->timer, virtio_machine(virtio), interval_over, b);
    virtio_add_queue(virtio, QUEUE_SIZE, inflate);
    virtio_add_queue(virtio, QUEUE_SIZE, deflate);
    virtio_add_queue(virtio, QUEUE_SIZE, stats);
    if (b->reporting) {
        /* Drivers count the queues that there are, so this is the fourth without hints. */
        virtio_add_queue(virtio, REPORTING_SIZE, report);
    }
    return true;
}

static void virtio_balloon_unrealize(VirtioDevice *virtio)
{
    timer_cancel(&virtio_balloon(virtio)->timer);
    machine_forget_balloon(virtio_machine(virtio), virtio_balloon(virtio));
}

static const VirtioBitName virtio_balloon_names[] = {
    { F_STATS_VQ, "VIRTIO_BALLOON_F_STATS_VQ", "a queue for statistics" },
    { F_DEFLATE_ON_OOM, "VIRTIO_BALLOON_F_DEFLATE_ON_OOM",
      "the guest may take memory back that it needs" },
    { F_REPORTING, "VIRTIO_BALLOON_F_REPORTING", "a queue for pages that are free" },
    { 0 },
};

static const VirtioType virtio_balloon_type = {
    .name = "virtio-balloon",
    .virtio_id = 5,
    .feature_names = virtio_balloon_names,
    .transitional_pci_id = 0x1002,
    .pci_class = 0x00ff00,
    .config_size = CONFIG_SIZE,
    .realize = virtio_balloon_realize,
    .unrealize = virtio_balloon_unrealize,
    .features = virtio_balloon_features,
    .reset = virtio_balloon_reset,
    .config_read = virtio_balloon_config_read,
    .config_written = virtio_balloon_config_written,
};

static const Property virtio_balloon_properties[] = {
    { "deflate-on-oom", PROPERTY_BOOL, offsetof(VirtioBalloon, deflate_on_oom),
      "the driver may take pages back when it runs out of memory", "off" },
    { "free-page-reporting", PROPERTY_BOOL, offsetof(VirtioBalloon, reporting),
      "what the guest does not use goes back to the host by itself", "off" },
    { "free-page-hint", PROPERTY_NOT_YET, 0, "free pages for migration" },
    { "guest-stats-polling-interval", PROPERTY_U32, offsetof(VirtioBalloon, interval_s),
      "seconds between statistics; 0: none", "0", .changed = interval_changed },
    { "guest-stats", PROPERTY_JSON, 0, "what the guest has told of its memory",
      .json = stats_json },
    { "iothread", PROPERTY_STRING, offsetof(VirtioBalloon, iothread), "accepted; has no effect" },
    { 0 },
};

static const StateField virtio_balloon_state[] = {
    VIRTIO_STATE,
    STATE_KEPT(VirtioBalloon, target),
    STATE(VirtioBalloon, actual),
    STATE(VirtioBalloon, stats),
    STATE(VirtioBalloon, ask),
    STATE_TIMER(VirtioBalloon, timer),
    STATE_DERIVED(VirtioBalloon, news),
    STATE_DERIVED(VirtioBalloon, told_at_s),
    { 0 },
};

VIRTIO_DEVICE_TYPES(virtio_balloon, "virtio-balloon", VirtioBalloon, "Virtio memory balloon",
                    "misc");
