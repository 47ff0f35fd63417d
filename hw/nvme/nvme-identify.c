/* SPDX-License-Identifier: MIT */
/* What a controller and its namespaces say of themselves (NVM Express 1.4, 5.15), and log pages (5.14). */
#include <string.h>

#include "base/uuid.h"
#include "hw/nvme/nvme.h"
#include "machine/clock.h"
#include "machine/machine.h"

enum {
    IDENTIFY_NAMESPACE = 0x00,
    IDENTIFY_CONTROLLER = 0x01,
    IDENTIFY_LIST = 0x02,
    IDENTIFY_DESCRIPTORS = 0x03,

    VERSION_1_4 = 0x10400,
    ABORTS = 3,                       /* less one */
    FIRMWARE_FIXED = 1 << 0 | 1 << 1, /* one slot, read-only */
    LOG_EFFECTS = 1 << 1,
    LOG_OFFSETS = 1 << 2,
    WARNING_TEMPERATURE = 343,
    CRITICAL_TEMPERATURE = 373,
    OPTIONAL_ADMIN = 1 << 1 | 1 << 4, /* format, self-test */
    SELF_TEST_ALONE = 1 << 0,         /* one at a time in all */
    /* Compare, dataset, zeroes, timestamp, verify. */
    OPTIONAL_COMMANDS = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 7,
    CACHE_PRESENT = 1 << 0,
    CACHE_FLUSH_ALL = 3 << 1,
    SGL_PLAIN = 1,
    TYPE_IO = 1,

    THIN =
        1
        << 0, /* of namespace features: unused blocks are told, and there may be more than there is room for */
    OPTIMAL_SIZES = 1 << 4,
    ZEROES_DEALLOCATE = 1 << 3,
    WRITE_PROTECTED = 1 << 0,

    DESCRIPTOR_EUI64 = 1,
    DESCRIPTOR_UUID = 3,

    LOG_ERRORS = 0x01,
    LOG_SMART = 0x02,
    LOG_FIRMWARE = 0x03,
    LOG_COMMAND_EFFECTS = 0x05,
    LOG_SELF_TEST = 0x06,
    LOG_MOST = 4096,
    WARN_TEMPERATURE = 1 << 1,
    WARN_READ_ONLY = 1 << 3,
    SPARE_PERCENT = 100,
    SPARE_THRESHOLD = 10,
    UNIT_SECTORS = 1000, /* of data units, 512 bytes each */
};

/* Padded with spaces. */
static void put_text(uint8_t *at, const char *text, unsigned size)
{
    memset(at, ' ', size);
    memcpy(at, text, MIN(strlen(text), size));
}

static void fill_controller(const Nvme *n, uint8_t *id)
{
    const char *firmware = "11.1";

    store_le16(id, load_le16(n->pci.config + PCI_VENDOR_ID));
    store_le16(id + 2, load_le16(n->pci.config + PCI_SUBSYSTEM_VENDOR_ID));
    put_text(id + 4, n->serial, 20);
    put_text(id + 24, "QEMU NVMe Ctrl", 40);
    put_text(id + 64, firmware, 8);
    id[72] = 6; /* arbitration burst that suits */
    id[75] = 0x52, id[74] = 0x54, id[73] = 0x00;
    id[77] = n->mdts;
    store_le32(id + 80, VERSION_1_4);
    id[111] = TYPE_IO;
    store_le16(id + 256, OPTIONAL_ADMIN);
    id[258] = ABORTS;
    id[259] = n->aerl;
    id[260] = FIRMWARE_FIXED;
    id[261] = LOG_EFFECTS | LOG_OFFSETS;
    store_le16(id + 266, WARNING_TEMPERATURE);
    store_le16(id + 268, CRITICAL_TEMPERATURE);
    store_le16(id + 316, nvme_self_test_minutes(n));
    id[318] = SELF_TEST_ALONE;
    id[512] = 6 << 4 | 6; /* sizes of queue entries, powers of two */
    id[513] = 4 << 4 | 4;
    store_le32(id + 516, NVME_NAMESPACES);
    store_le16(id + 520, OPTIONAL_COMMANDS);
    id[525] = CACHE_PRESENT | CACHE_FLUSH_ALL;
    store_le32(id + 536, SGL_PLAIN);
    g_snprintf((char *)id + 768, 256, "nqn.2019-08.org.qemu:%s", n->serial);
    store_le16(id + 2048, 2500); /* power state 0: 25 W */
    store_le32(id + 2052, 16);   /* microseconds to enter and to leave it */
    store_le32(id + 2056, 4);
}

static void fill_namespace(const NvmeNamespace *ns, uint8_t *id)
{
    uint64_t blocks = nvme_namespace_blocks(ns);
    const Disk *disk = &ns->disk;
    uint32_t block = nvme_block_bytes(ns);
    uint32_t granule = disk->discard_granularity == UINT32_MAX
                           ? MAX(block, 4096)
                           : MAX(disk->discard_granularity, block);
    uint32_t write_unit = MAX(MAX(disk->min_io_size, disk->physical_block_size) / block, 1) - 1;

    store_le64(id, blocks);
    store_le64(id + 8, blocks);
    store_le64(id + 16, blocks);
    id[24] = THIN | OPTIMAL_SIZES;
    id[25] = NVME_FORMATS - 1;
    id[26] = ns->format;
    id[33] = ZEROES_DEALLOCATE; /* what deallocated blocks read as, the image decides */
    store_le16(id + 64, (uint16_t)write_unit);
    store_le16(id + 66, (uint16_t)write_unit);
    store_le16(id + 68, (uint16_t)(granule / block - 1));
    store_le16(id + 70, (uint16_t)(granule / block - 1));
    store_le16(id + 72, (uint16_t)(MAX(disk->opt_io_size / block, 1) - 1));
    id[99] = block_read_only(disk->drive) ? WRITE_PROTECTED : 0;
    store_be64(id + 120, ns->eui64);
    for (unsigned i = 0; i < NVME_FORMATS; i++) {
        id[128 + i * 4 + 2] = (uint8_t)(NVME_BLOCK_BITS + i);
    }
}

static uint16_t list_namespaces(const Nvme *n, uint32_t after, uint8_t *out)
{
    unsigned at = 0;

    if (after >= NVME_ALL_NAMESPACES - 1) {
        return NVME_INVALID_NAMESPACE | NVME_DNR;
    }
    for (unsigned i = 0; i < n->namespace_end; i++) {
        if (n->namespaces[i] && n->namespaces[i]->id > after) {
            store_le32(out + at, n->namespaces[i]->id);
            at += 4;
        }
    }
    return NVME_SUCCESS;
}

static void describe_namespace(const NvmeNamespace *ns, uint8_t *out)
{
    out[0] = DESCRIPTOR_UUID;
    out[1] = 16;
    if (ns->uuid) {
        uuid_parse(ns->uuid, out + 4);
    }
    if (ns->eui64) {
        out += ns->uuid ? 20 : 0;
        out[0] = DESCRIPTOR_EUI64;
        out[1] = 8;
        store_be64(out + 4, ns->eui64);
    } else if (!ns->uuid) {
        out[0] = out[1] = 0;
    }
}

uint16_t nvme_identify(Nvme *n, const NvmeCommand *c)
{
    uint8_t out[NVME_IDENTIFY_BYTES] = { 0 };
    uint32_t id = nvme_dw(c, 1);
    const NvmeNamespace *ns = nvme_namespace(n, id);
    uint16_t status = NVME_SUCCESS;

    switch (nvme_dw(c, 10) & 0xff) {
    case IDENTIFY_NAMESPACE:
        if (ns) {
            fill_namespace(ns, out);
        } else if (!id || (id > NVME_NAMESPACES && id != NVME_ALL_NAMESPACES)) {
            status = NVME_INVALID_NAMESPACE | NVME_DNR;
        }
        break;
    case IDENTIFY_CONTROLLER:
        fill_controller(n, out);
        break;
    case IDENTIFY_LIST:
        status = list_namespaces(n, id, out);
        break;
    case IDENTIFY_DESCRIPTORS:
        if (ns) {
            describe_namespace(ns, out);
        } else {
            status = NVME_INVALID_NAMESPACE | NVME_DNR;
        }
        break;
    default:
        status = NVME_INVALID_FIELD | NVME_DNR;
    }
    return status ? status : nvme_send(n, c, out, sizeof out);
}

/* --- log pages --- */

typedef struct {
    uint64_t read_units, written_units, reads, writes, errors;
    bool read_only;
} Sums;

static void add_up(const NvmeNamespace *ns, Sums *sums)
{
    BlockStatistics s;

    block_statistics(ns->disk.drive, &s);
    sums->read_units += s.read_bytes / 512;
    sums->written_units += s.write_bytes / 512;
    sums->reads += s.read_operations;
    sums->writes += s.write_operations;
    sums->errors += s.failed_reads + s.failed_writes;
    sums->read_only |= block_read_only(ns->disk.drive);
}

static uint64_t units(uint64_t sectors)
{
    return (sectors + UNIT_SECTORS - 1) / UNIT_SECTORS;
}

uint64_t nvme_power_on_hours(const Nvme *n)
{
    return (uint64_t)clock_now_ns(n->pci.device.machine) / (UINT64_C(3600) * 1000000000);
}

static uint16_t smart_log(Nvme *n, const NvmeCommand *c, uint8_t *page, unsigned *size)
{
    uint32_t id = nvme_dw(c, 1);
    Sums sums = { 0 };

    if (id && id != NVME_ALL_NAMESPACES) {
        return NVME_INVALID_FIELD | NVME_DNR; /* there are none of single namespaces */
    }
    for (unsigned i = 0; i < n->namespace_end; i++) {
        if (n->namespaces[i]) {
            add_up(n->namespaces[i], &sums);
        }
    }
    *size = 512;
    page[0] = (nvme_too_warm(n) ? WARN_TEMPERATURE : 0) | (sums.read_only ? WARN_READ_ONLY : 0);
    store_le16(page + 1, NVME_TEMPERATURE);
    page[3] = SPARE_PERCENT;
    page[4] = SPARE_THRESHOLD;
    store_le64(page + 32, units(sums.read_units));
    store_le64(page + 48, units(sums.written_units));
    store_le64(page + 64, sums.reads);
    store_le64(page + 80, sums.writes);
    store_le64(page + 128, nvme_power_on_hours(n));
    store_le64(page + 160, sums.errors);
    return NVME_SUCCESS;
}

static uint16_t make_log(Nvme *n, const NvmeCommand *c, uint8_t *page, unsigned *size)
{
    switch (nvme_dw(c, 10) & 0xff) {
    case LOG_ERRORS:
        *size = 64; /* one entry, that never is used */
        return NVME_SUCCESS;
    case LOG_SMART:
        return smart_log(n, c, page, size);
    case LOG_FIRMWARE:
        *size = 512;
        page[0] = 1;
        put_text(page + 8, "11.1", 8);
        return NVME_SUCCESS;
    case LOG_COMMAND_EFFECTS:
        *size = LOG_MOST;
        nvme_admin_effects(page);
        nvme_io_effects(page);
        return NVME_SUCCESS;
    case LOG_SELF_TEST:
        *size = nvme_self_test_log(n, page);
        return NVME_SUCCESS;
    default:
        return NVME_INVALID_LOG | NVME_DNR;
    }
}

uint16_t nvme_get_log(Nvme *n, const NvmeCommand *c)
{
    static const uint8_t event_of[] = {
        [LOG_ERRORS] = NVME_EVENT_ERROR, [LOG_SMART] = NVME_EVENT_SMART
    };
    uint8_t page[LOG_MOST] = { 0 }, which = nvme_dw(c, 10) & 0xff;
    uint64_t bytes = ((nvme_dw(c, 10) >> 16 | (uint64_t)(nvme_dw(c, 11) & 0xffff) << 16) + 1) * 4;
    uint64_t offset = load_le64(c->entry + 48);
    bool retain = nvme_dw(c, 10) & 1 << 15;
    unsigned size = 0;
    uint16_t status = make_log(n, c, page, &size);

    if (status) {
        return status;
    }
    if (offset & 3 || offset > size) {
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    /* What is asked for beyond the page is not moved. */
    bytes = MIN(bytes, size - offset);
    status = bytes ? nvme_send(n, c, page + offset, bytes) : NVME_SUCCESS;
    if (!status && !retain && which < ARRAY_SIZE(event_of) && which) {
        nvme_unmask_event(n, event_of[which]);
    }
    return status;
}
