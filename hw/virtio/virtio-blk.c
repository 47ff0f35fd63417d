/* SPDX-License-Identifier: MIT */
/* Virtio block device (Virtio 1.2, 5.2): multi-queue, discard, write zeroes, write-cache switch. */
#include "base/error.h"
#include "hw/virtio/virtio-blk.h"
#include "machine/machine.h"

enum {
    F_SEG_MAX = 2,
    F_GEOMETRY = 4,
    F_RO = 5,
    F_BLK_SIZE = 6,
    F_FLUSH = 9,
    F_TOPOLOGY = 10,
    F_CONFIG_WCE = 11,
    F_MQ = 12,
    F_DISCARD = 13,
    F_WRITE_ZEROES = 14,

    /* virtio_blk_config */
    CONFIG_CAPACITY = 0,
    CONFIG_SEG_MAX = 12,
    CONFIG_CYLINDERS = 16,
    CONFIG_HEADS = 18,
    CONFIG_SECTORS = 19,
    CONFIG_BLK_SIZE = 20,
    CONFIG_PHYSICAL_EXPONENT = 24,
    CONFIG_MIN_IO = 26,
    CONFIG_OPT_IO = 28,
    CONFIG_WRITEBACK = 32,
    CONFIG_NUM_QUEUES = 34,
    CONFIG_MAX_DISCARD_SECTORS = 36,
    CONFIG_MAX_DISCARD_SEG = 40,
    CONFIG_DISCARD_ALIGNMENT = 44,
    CONFIG_MAX_ZEROES_SECTORS = 48,
    CONFIG_MAX_ZEROES_SEG = 52,
    CONFIG_ZEROES_MAY_UNMAP = 56,
    CONFIG_SIZE = 60,

    MAX_RANGE_SECTORS = 4 << 20, /* 2 GiB in one discard */
    QUEUE_COUNT_AUTO = UINT16_MAX,
    MAX_BLOCK_SIZE = 32768,
    HEADS_MAX = 255,
};

/* Without a cache the block layer makes each write durable before it completes. */
static void set_writeback(VirtioBlk *blk, bool writeback)
{
    blk->writeback = writeback;
    block_set_write_cache(blk->disk.drive, writeback);
}

static void virtio_blk_reset(VirtioDevice *virtio)
{
    VirtioBlk *blk = virtio_blk(virtio);

    virtio_blk_forget_held(blk, NULL);
    set_writeback(blk, blk->original_writeback);
}

static void virtio_blk_queue_reset(VirtQueue *queue)
{
    virtio_blk_forget_held(virtio_blk(queue->virtio), queue);
}

/* 5.2.6.2: a driver that cannot flush must not need to. */
static void virtio_blk_status_changed(VirtioDevice *virtio)
{
    if (virtio->status & VIRTIO_STATUS_DRIVER_OK && !virtio_has_feature(virtio, F_CONFIG_WCE)) {
        set_writeback(virtio_blk(virtio), virtio_has_feature(virtio, F_FLUSH));
    }
}

static void virtio_blk_state_loaded(VirtioDevice *virtio)
{
    virtio_blk_forget_held(virtio_blk(virtio), NULL);
    set_writeback(virtio_blk(virtio), virtio_blk(virtio)->writeback);
}

static void virtio_blk_drain(VirtioDevice *virtio)
{
    VirtioBlk *blk = virtio_blk(virtio);

    if (blk->in_flight) {
        block_drain(blk->disk.drive);
    }
}

/* Configuration space. */

static void virtio_blk_config_read(VirtioDevice *virtio)
{
    VirtioBlk *blk = virtio_blk(virtio);
    uint8_t *config = virtio->config;

    store_le64(config + CONFIG_CAPACITY, block_size(blk->disk.drive) / VIRTIO_BLK_SECTOR);
    config[CONFIG_WRITEBACK] = blk->writeback;
}

static void virtio_blk_config_written(VirtioDevice *virtio, unsigned offset, unsigned size)
{
    VirtioBlk *blk = virtio_blk(virtio);

    if (offset == CONFIG_WRITEBACK && size == 1 && virtio_has_feature(virtio, F_CONFIG_WCE)) {
        set_writeback(blk, virtio->config[CONFIG_WRITEBACK] & 1);
    }
}

static void fill_config(VirtioBlk *blk)
{
    uint8_t *config = blk->virtio.config;
    const Disk *disk = &blk->disk;
    bool tell = blk->report_discard_granularity && disk->discard_granularity != UINT32_MAX;
    uint32_t granularity = tell ? disk->discard_granularity : 0;

    store_le32(config + CONFIG_SEG_MAX, (blk->seg_max_adjust ? blk->queue_size : 128) - 2);
    store_le16(config + CONFIG_CYLINDERS, blk->disk.cyls);
    config[CONFIG_HEADS] = blk->disk.heads;
    config[CONFIG_SECTORS] = blk->disk.secs;
    store_le32(config + CONFIG_BLK_SIZE, blk->disk.logical_block_size);
    config[CONFIG_PHYSICAL_EXPONENT] =
        __builtin_ctz(blk->disk.physical_block_size / blk->disk.logical_block_size);
    store_le16(config + CONFIG_MIN_IO, blk->disk.min_io_size / blk->disk.logical_block_size);
    store_le32(config + CONFIG_OPT_IO, blk->disk.opt_io_size / blk->disk.logical_block_size);
    store_le16(config + CONFIG_NUM_QUEUES, blk->num_queues);
    store_le32(config + CONFIG_MAX_DISCARD_SECTORS, blk->max_discard_sectors);
    store_le32(config + CONFIG_MAX_DISCARD_SEG, 1);
    store_le32(config + CONFIG_DISCARD_ALIGNMENT,
               MAX(granularity, blk->disk.logical_block_size) / VIRTIO_BLK_SECTOR);
    store_le32(config + CONFIG_MAX_ZEROES_SECTORS, blk->max_write_zeroes_sectors);
    store_le32(config + CONFIG_MAX_ZEROES_SEG, 1);
    config[CONFIG_ZEROES_MAY_UNMAP] = 1;
}

static uint64_t virtio_blk_features(VirtioDevice *virtio)
{
    VirtioBlk *blk = virtio_blk(virtio);
    uint64_t features = BIT(F_SEG_MAX) | BIT(F_GEOMETRY) | BIT(F_BLK_SIZE) | BIT(F_TOPOLOGY);

    features |= blk->original_writeback || blk->config_wce ? BIT(F_FLUSH) : 0;
    if (block_read_only(blk->disk.drive)) {
        return features | BIT(F_RO);
    }
    features |= blk->config_wce ? BIT(F_CONFIG_WCE) : 0;
    features |= blk->num_queues > 1 ? BIT(F_MQ) : 0;
    features |= blk->discard ? BIT(F_DISCARD) : 0;
    features |= blk->write_zeroes ? BIT(F_WRITE_ZEROES) : 0;
    return features;
}

static bool check_block_sizes(VirtioBlk *blk, GError **error)
{
    if (!blk->disk.logical_block_size) {
        blk->disk.logical_block_size = block_logical_sector(blk->disk.drive);
    }
    if (!blk->disk.physical_block_size) {
        blk->disk.physical_block_size = blk->disk.logical_block_size;
    }
    if (!is_power_of_two(blk->disk.logical_block_size) ||
        blk->disk.logical_block_size < VIRTIO_BLK_SECTOR ||
        blk->disk.logical_block_size > MAX_BLOCK_SIZE ||
        !is_power_of_two(blk->disk.physical_block_size) ||
        blk->disk.physical_block_size > MAX_BLOCK_SIZE * 64 ||
        blk->disk.physical_block_size < blk->disk.logical_block_size) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "logical_block_size=%u, physical_block_size=%u: both must be powers of two "
            "from 512 to 32768, the logical one not the larger",
            blk->disk.logical_block_size, blk->disk.physical_block_size);
    }
    return true;
}

static bool check_properties(VirtioBlk *blk, GError **error)
{
    if (!blk->disk.drive) {
        return error_fail(error, KASO_ERROR_INVALID, "%s needs drive=ID",
                          virtio_name(&blk->virtio));
    }
    if (!check_block_sizes(blk, error)) {
        return false;
    }
    if (!is_power_of_two(blk->queue_size) || blk->queue_size < 4 ||
        blk->queue_size > VIRTIO_MAX_QUEUE_SIZE) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "queue-size=%u is not a power of two from 4 to %u", blk->queue_size,
                          VIRTIO_MAX_QUEUE_SIZE);
    }
    if (!blk->num_queues || blk->num_queues > VIRTIO_MAX_QUEUES) {
        return error_fail(error, KASO_ERROR_INVALID, "num-queues=%u is not between 1 and %u",
                          blk->num_queues, VIRTIO_MAX_QUEUES);
    }
    if (blk->scsi) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "scsi=on: virtio 1 has no SCSI commands for block devices; leave it off");
    }
    return true;
}

static void enter_machine(void *opaque)
{
    machine_lock(opaque);
}

static void leave_machine(void *opaque)
{
    machine_unlock(opaque);
}

static bool join_thread(VirtioBlk *blk, GError **error)
{
    Machine *machine = virtio_machine(&blk->virtio);
    IoThread *thread;

    if (!blk->iothread) {
        return true;
    }
    thread = iothread_find(machine, blk->iothread, error);
    blk->event = thread ? iothread_event_new(thread, virtio_blk_run_in_thread, blk, error) : NULL;
    if (!blk->event) {
        return false;
    }
    if (!block_set_context(blk->disk.drive, iothread_context(thread), enter_machine, leave_machine,
                           machine, error)) {
        iothread_event_free(g_steal_pointer(&blk->event));
        return false;
    }
    return true;
}

static void resized(Device *device)
{
    virtio_config_changed(virtio_device(device));
}

static bool claim_drive(VirtioBlk *blk, GError **error)
{
    Device *device = &blk->virtio.pci.device;

    blk->disk.resized = resized;
    if (!disk_choose_geometry(&blk->disk, device, HEADS_MAX, error) ||
        !disk_claim(&blk->disk, device, block_read_only(blk->disk.drive), error)) {
        return false;
    }
    blk->original_writeback = block_write_cache(blk->disk.drive);
    return true;
}

static bool virtio_blk_realize(VirtioDevice *virtio, GError **error)
{
    VirtioBlk *blk = virtio_blk(virtio);

    if (blk->num_queues == QUEUE_COUNT_AUTO) {
        blk->num_queues = virtio->mmio ? 1 : CLAMP(virtio_machine(virtio)->config.vcpus, 1, 16);
    }
    if (!check_properties(blk, error) || !claim_drive(blk, error) || !join_thread(blk, error)) {
        return false;
    }
    if (!blk->max_discard_sectors || blk->max_discard_sectors > MAX_RANGE_SECTORS) {
        blk->max_discard_sectors = MAX_RANGE_SECTORS;
    }
    if (!blk->max_write_zeroes_sectors || blk->max_write_zeroes_sectors > MAX_RANGE_SECTORS) {
        blk->max_write_zeroes_sectors = MAX_RANGE_SECTORS;
    }
    fill_config(blk);
    for (unsigned i = 0; i < blk->num_queues; i++) {
        virtio_add_queue(virtio, blk->queue_size, virtio_blk_kick);
    }
    blk->listening = true;
    machine_add_event_listener(virtio_machine(virtio), virtio_blk_on_event, blk);
    return true;
}

static void virtio_blk_unrealize(VirtioDevice *virtio)
{
    VirtioBlk *blk = virtio_blk(virtio);

    if (blk->listening) {
        machine_remove_event_listener(virtio_machine(virtio), virtio_blk_on_event, blk);
        blk->listening = false;
    }
    if (blk->event) {
        iothread_event_free(blk->event);
        blk->event = NULL;
        block_set_context(blk->disk.drive, NULL, NULL, NULL, NULL, NULL);
    }
    virtio_blk_forget_held(blk, NULL);
    disk_disclaim(&blk->disk);
}

static const VirtioBitName virtio_blk_names[] = {
    { F_SEG_MAX, "VIRTIO_BLK_F_SEG_MAX", "tells how many segments a request may have" },
    { F_GEOMETRY, "VIRTIO_BLK_F_GEOMETRY", "tells cylinders, heads and sectors" },
    { F_RO, "VIRTIO_BLK_F_RO", "cannot be written" },
    { F_BLK_SIZE, "VIRTIO_BLK_F_BLK_SIZE", "tells the size of its blocks" },
    { F_FLUSH, "VIRTIO_BLK_F_FLUSH", "has a cache that can be flushed" },
    { F_TOPOLOGY, "VIRTIO_BLK_F_TOPOLOGY", "tells what sizes and alignments are best" },
    { F_CONFIG_WCE, "VIRTIO_BLK_F_CONFIG_WCE", "its cache can be switched" },
    { F_MQ, "VIRTIO_BLK_F_MQ", "several queues" },
    { F_DISCARD, "VIRTIO_BLK_F_DISCARD", "ranges can be given back" },
    { F_WRITE_ZEROES, "VIRTIO_BLK_F_WRITE_ZEROES", "ranges can be zeroed" },
    { 0 },
};

static const VirtioType virtio_blk_type = {
    .name = "virtio-blk",
    .virtio_id = 2,
    .feature_names = virtio_blk_names,
    .transitional_pci_id = 0x1001,
    .pci_class = 0x010000,
    .config_size = CONFIG_SIZE,
    .realize = virtio_blk_realize,
    .unrealize = virtio_blk_unrealize,
    .features = virtio_blk_features,
    .reset = virtio_blk_reset,
    .queue_reset = virtio_blk_queue_reset,
    .status_changed = virtio_blk_status_changed,
    .state_loaded = virtio_blk_state_loaded,
    .drain = virtio_blk_drain,
    .retake = virtio_blk_retake,
    .config_read = virtio_blk_config_read,
    .config_written = virtio_blk_config_written,
};

#define FIELD(name) offsetof(VirtioBlk, name)

static const Property virtio_blk_properties[] = {
    DISK_MEDIUM_PROPERTIES(VirtioBlk, disk),
    DISK_ERROR_PROPERTIES(VirtioBlk, disk),
    DISK_GEOMETRY_PROPERTIES(VirtioBlk, disk),
    { "serial", PROPERTY_STRING, FIELD(disk.serial), "serial number, up to 20 characters" },
    { "num-queues", PROPERTY_U16, FIELD(num_queues), "queues; unset: one for each vCPU (PCI)",
      "65535" },
    { "queue-size", PROPERTY_U16, FIELD(queue_size), "descriptors of a queue", "256" },
    { "config-wce", PROPERTY_BOOL, FIELD(config_wce), "the driver may switch the cache", "on" },
    { "discard", PROPERTY_BOOL, FIELD(discard), "offer discard", "on" },
    { "write-zeroes", PROPERTY_BOOL, FIELD(write_zeroes), "offer write zeroes", "on" },
    { "max-discard-sectors", PROPERTY_U32, FIELD(max_discard_sectors), "0: 4194304", "0" },
    { "max-write-zeroes-sectors", PROPERTY_U32, FIELD(max_write_zeroes_sectors), "0: 4194304",
      "0" },
    { "bootindex", PROPERTY_I32, FIELD(disk.bootindex), "place in the firmware's boot order",
      "-1" },
    { "scsi", PROPERTY_BOOL, FIELD(scsi), "SCSI commands, which virtio 1 does not have: off",
      "off" },
    { "csi", PROPERTY_BOOL, FIELD(scsi), "scsi, as command lines that lost its letter spell it",
      "off" },
    { "request-merging", PROPERTY_BOOL, FIELD(request_merging), "accepted; has no effect", "on" },
    { "seg-max-adjust", PROPERTY_BOOL, FIELD(seg_max_adjust),
      "buffers of a request: as many as a queue has room for; off: 126", "on" },
    { "report-discard-granularity", PROPERTY_BOOL, FIELD(report_discard_granularity),
      "off: discard_granularity= is not shown to the guest", "on" },
    { "iothread", PROPERTY_STRING, FIELD(iothread), "the -object iothread that takes its queues" },
    { 0 },
};

static const StateField virtio_blk_state[] = { VIRTIO_STATE, STATE(VirtioBlk, writeback), { 0 } };

VIRTIO_DEVICE_TYPES(virtio_blk, "virtio-blk", VirtioBlk, "Virtio block device", "storage");
