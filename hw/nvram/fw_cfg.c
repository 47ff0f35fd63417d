/* SPDX-License-Identifier: MIT */
/*
 * Firmware configuration device, as the MMIO interface of QEMU's "fw_cfg" is specified
 * (docs/specs/fw_cfg): a selector, a data register and a DMA interface over numbered items, some of
 * which are named files. Items are constant: writes by DMA fail.
 *
 *   0x00  data, 1 to 8 bytes     0x08  selector, 16 bits      0x10  DMA address, 64 bits
 *
 * Selector and DMA address are big-endian; the data register gives the bytes in their order.
 */
#include "hw/nvram/fw_cfg.h"

#include "base/error.h"
#include "machine/machine.h"

enum { OFFSET_DATA = 0x00, OFFSET_SELECTOR = 0x08, OFFSET_DMA = 0x10, MMIO_SIZE = 0x18 };
enum { ID_TRADITIONAL = 1, ID_DMA = 2 };

/* The control field of a DMA descriptor; bits 31:16 are the key for SELECT. */
enum {
    DMA_ERROR = 1 << 0,
    DMA_READ = 1 << 1,
    DMA_SKIP = 1 << 2,
    DMA_SELECT = 1 << 3,
    DMA_WRITE = 1 << 4,
};

enum { NAME_SIZE = 56, ITEM_COUNT = FW_CFG_FILE_FIRST + FW_CFG_FILE_SLOTS };

#define DMA_SIGNATURE UINT64_C(0x51454d5520434647) /* "QEMU CFG" */

typedef struct {
    Device device;
    MemoryRegion mmio;
    GBytes *items[ITEM_COUNT];
    char *names[FW_CFG_FILE_SLOTS];
    unsigned files;
    uint64_t dma_address;
    uint32_t offset;
    uint16_t selector;
    bool in_dma; /* a transfer onto our own registers must not start another */
} FwCfg;

void fw_cfg_add(Device *device, uint16_t key, GBytes *content)
{
    FwCfg *f = container_of(device, FwCfg, device);

    g_assert(key < ITEM_COUNT);
    g_clear_pointer(&f->items[key], g_bytes_unref);
    f->items[key] = g_bytes_ref(content);
}

static void add_little_endian(Device *device, uint16_t key, uint64_t value, size_t size)
{
    GBytes *content = g_bytes_new(&value, size);

    fw_cfg_add(device, key, content);
    g_bytes_unref(content);
}

void fw_cfg_add_u16(Device *device, uint16_t key, uint16_t value)
{
    add_little_endian(device, key, value, sizeof value);
}

void fw_cfg_add_u32(Device *device, uint16_t key, uint32_t value)
{
    add_little_endian(device, key, value, sizeof value);
}

void fw_cfg_add_u64(Device *device, uint16_t key, uint64_t value)
{
    add_little_endian(device, key, value, sizeof value);
}

/* The directory item: a count, then size, key and name of each file. */
static void rebuild_directory(FwCfg *f)
{
    size_t size = 4 + (size_t)f->files * (8 + NAME_SIZE);
    uint8_t *directory = g_malloc0(size);
    GBytes *content;

    store_be32(directory, f->files);
    for (unsigned i = 0; i < f->files; i++) {
        uint8_t *entry = directory + 4 + (size_t)i * (8 + NAME_SIZE);

        store_be32(entry, (uint32_t)g_bytes_get_size(f->items[FW_CFG_FILE_FIRST + i]));
        store_be16(entry + 4, (uint16_t)(FW_CFG_FILE_FIRST + i));
        g_strlcpy((char *)entry + 8, f->names[i], NAME_SIZE);
    }
    content = g_bytes_new_take(directory, size);
    fw_cfg_add(&f->device, FW_CFG_FILE_DIR, content);
    g_bytes_unref(content);
}

bool fw_cfg_add_file(Device *device, const char *name, GBytes *content, GError **error)
{
    FwCfg *f = container_of(device, FwCfg, device);
    unsigned slot = 0;

    if (!*name || strlen(name) >= NAME_SIZE) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "fw_cfg file name '%s' does not have 1 to %d characters", name,
                          NAME_SIZE - 1);
    }
    if (g_bytes_get_size(content) > UINT32_MAX) {
        return error_fail(error, KASO_ERROR_INVALID, "fw_cfg file '%s' has 4 GiB or more", name);
    }
    while (slot < f->files && strcmp(f->names[slot], name) != 0) {
        slot++;
    }
    if (slot == FW_CFG_FILE_SLOTS) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "fw_cfg file '%s' does not fit: all %d slots are taken", name,
                          FW_CFG_FILE_SLOTS);
    }
    if (slot == f->files) {
        f->names[f->files++] = g_strdup(name);
    }
    fw_cfg_add(device, (uint16_t)(FW_CFG_FILE_FIRST + slot), content);
    rebuild_directory(f);
    return true;
}

static void select_item(FwCfg *f, uint16_t key)
{
    trace(f->device.id, "select %#x", key);
    f->selector = key;
    f->offset = 0;
}

/* The rest of the selected item; size 0 for one that does not exist. */
static const uint8_t *selected_rest(const FwCfg *f, uint64_t *size)
{
    gsize total = 0;
    const uint8_t *data = NULL;

    /* Bit 14 asks for write access and bit 15 for an architecture's items, of which there are none. */
    if ((f->selector & ~0x4000u) < ITEM_COUNT && f->items[f->selector & ~0x4000u]) {
        data = g_bytes_get_data(f->items[f->selector & ~0x4000u], &total);
    }
    *size = f->offset < total ? total - f->offset : 0;
    return *size ? data + f->offset : NULL;
}

/* The offset saturates, so that it cannot wrap back into the item. */
static void advance(FwCfg *f, uint64_t size)
{
    f->offset = (uint32_t)MIN((uint64_t)f->offset + size, UINT32_MAX);
}

static uint64_t read_data(FwCfg *f, unsigned size)
{
    uint64_t rest, value = 0;
    const uint8_t *data = selected_rest(f, &rest);

    memcpy(&value, data ? data : (const uint8_t *)"", MIN(rest, size));
    advance(f, size);
    return value;
}

/* Bytes beyond the item's end read as zero. */
static bool dma_read(FwCfg *f, uint64_t address, uint64_t length)
{
    static const uint8_t zeroes[4096];
    AddressSpace *space = &f->device.machine->memory_space;
    uint64_t rest;
    const uint8_t *data = selected_rest(f, &rest);
    uint64_t part = MIN(rest, length);

    advance(f, length);
    if (part && address_space_write_bytes(space, address, data, part, MEMORY_ATTRIBUTES_DMA)) {
        return false;
    }
    while (part < length) {
        uint64_t chunk = MIN(length - part, sizeof zeroes);

        if (address_space_write_bytes(space, address + part, zeroes, chunk,
                                      MEMORY_ATTRIBUTES_DMA)) {
            return false;
        }
        part += chunk;
    }
    return true;
}

/* Carries out the descriptor at dma_address: control, length, address, each big-endian. */
static void run_descriptor(FwCfg *f)
{
    AddressSpace *space = &f->device.machine->memory_space;
    uint64_t descriptor = f->dma_address;
    uint8_t raw[16], status[4] = { 0 };
    uint32_t control, length;
    uint64_t address;
    bool ok = true;

    f->dma_address = 0;
    if (address_space_read_bytes(space, descriptor, raw, sizeof raw, MEMORY_ATTRIBUTES_DMA)) {
        log_guest_error(f->device.id, "DMA descriptor at %#llx is not in memory",
                        (unsigned long long)descriptor);
        return;
    }
    control = load_be32(raw);
    length = load_be32(raw + 4);
    address = load_be64(raw + 8);
    trace(f->device.id, "DMA control %#x length %#x address %#llx", control, length,
          (unsigned long long)address);
    if (control & DMA_SELECT) {
        select_item(f, (uint16_t)(control >> 16));
    }
    if (control & DMA_READ) {
        ok = dma_read(f, address, length);
    } else if (control & DMA_WRITE) {
        ok = false;
    } else if (control & DMA_SKIP) {
        advance(f, length);
    }
    if (!ok) {
        log_guest_error(f->device.id, "DMA of item %#x fails: control %#x, %#x bytes at %#llx",
                        f->selector, control, length, (unsigned long long)address);
        store_be32(status, DMA_ERROR);
    }
    address_space_write_bytes(space, descriptor, status, sizeof status, MEMORY_ATTRIBUTES_DMA);
}

static void run_dma(FwCfg *f)
{
    if (f->in_dma) {
        log_guest_error(f->device.id, "DMA onto the DMA register");
        return;
    }
    f->in_dma = true;
    run_descriptor(f);
    f->in_dma = false;
}

static MemoryResult fw_cfg_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                MemoryAttributes attributes)
{
    FwCfg *f = opaque;

    if (offset < OFFSET_SELECTOR) {
        *value = read_data(f, size);
    } else if (offset >= OFFSET_DMA) {
        /* The signature in memory order: how a guest finds the DMA interface. */
        *value =
            __builtin_bswap64(DMA_SIGNATURE) >> (offset - OFFSET_DMA) * 8 & bits_mask(size * 8);
    } else {
        *value = 0;
        log_guest_error(f->device.id, "read of the selector");
    }
    return MEMORY_OK;
}

static MemoryResult fw_cfg_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                 MemoryAttributes attributes)
{
    FwCfg *f = opaque;

    if (offset == OFFSET_SELECTOR && size == 2) {
        select_item(f, __builtin_bswap16((uint16_t)value));
    } else if (offset == OFFSET_DMA && size == 8) {
        f->dma_address = __builtin_bswap64(value);
        run_dma(f);
    } else if (offset == OFFSET_DMA && size == 4) {
        f->dma_address = (uint64_t)__builtin_bswap32((uint32_t)value) << 32;
    } else if (offset == OFFSET_DMA + 4 && size == 4) {
        f->dma_address |= __builtin_bswap32((uint32_t)value);
        run_dma(f);
    } else {
        log_guest_error(f->device.id, "write of %u bytes at offset %#x", size, (unsigned)offset);
    }
    return MEMORY_OK;
}

static const MemoryOps fw_cfg_ops = { .read = fw_cfg_read, .write = fw_cfg_write };

static bool fw_cfg_realize(Device *device, GError **error)
{
    FwCfg *f = container_of(device, FwCfg, device);
    GBytes *signature = g_bytes_new_static("QEMU", 4);

    memory_region_init_io(&f->mmio, device->machine, "fw_cfg", MMIO_SIZE, &fw_cfg_ops, f);
    device_add_mmio(device, &f->mmio);
    fw_cfg_add(device, FW_CFG_SIGNATURE, signature);
    g_bytes_unref(signature);
    fw_cfg_add_u32(device, FW_CFG_ID, ID_TRADITIONAL | ID_DMA);
    rebuild_directory(f);
    return true;
}

static void fw_cfg_unrealize(Device *device)
{
    FwCfg *f = container_of(device, FwCfg, device);

    for (unsigned i = 0; i < ITEM_COUNT; i++) {
        g_clear_pointer(&f->items[i], g_bytes_unref);
    }
    for (unsigned i = 0; i < f->files; i++) {
        g_free(f->names[i]);
    }
}

static void fw_cfg_reset(Device *device)
{
    FwCfg *f = container_of(device, FwCfg, device);

    f->selector = 0;
    f->offset = 0;
    f->dma_address = 0;
}

static const DeviceType fw_cfg_type = {
    .name = "fw_cfg_mem",
    .summary = "Firmware configuration device with DMA",
    .board_only = true,
    .instance_size = sizeof(FwCfg),
    .state =
        (const StateField[]){
            STATE(FwCfg, dma_address), STATE(FwCfg, offset), STATE(FwCfg, selector), { 0 } },
    .realize = fw_cfg_realize,
    .unrealize = fw_cfg_unrealize,
    .reset = fw_cfg_reset,
};
DEVICE_TYPE(fw_cfg_type);
