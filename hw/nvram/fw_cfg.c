/* SPDX-License-Identifier: MIT */
/*
 * Firmware configuration device, as QEMU's "fw_cfg" is specified (docs/specs/fw_cfg): a selector, a data
 * register and a DMA interface over numbered items, some of which are named files. Only files that were added
 * as writable take writes, by DMA.
 *
 * fw_cfg_mem, in memory:
 *   0x00  data, 1 to 8 bytes     0x08  selector, 16 bits      0x10  DMA address, 64 bits
 * fw_cfg_io, on ports:
 *   io 0: 0  selector, 16 bits, little-endian; data, 1 byte, at 1 (and read at 0)     io 1: DMA address
 *
 * Otherwise selector and DMA address are big-endian; the data register gives the bytes in their order.
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

enum {
    NAME_SIZE = 56,
    ITEM_COUNT = FW_CFG_FILE_FIRST + FW_CFG_FILE_SLOTS,
    ARCH_COUNT = 0x10,  /* an architecture's own items, from FW_CFG_ARCH on */
    KEY_WRITE = 0x4000, /* asks for write access, which needs no asking */
};

#define DMA_SIGNATURE UINT64_C(0x51454d5520434647) /* "QEMU CFG" */

typedef struct {
    GBytes *content;
    FwCfgWritten *written; /* not NULL: a writable file, whose bytes are opaque's */
    void *opaque;
    FwCfgSelected *selected; /* NULL: nobody wants to know */
    void *selected_opaque;
} FwCfgItem;

typedef struct {
    Device device;
    MemoryRegion mmio, ports, dma_ports;
    FwCfgItem items[ITEM_COUNT + ARCH_COUNT];
    char *names[FW_CFG_FILE_SLOTS];
    unsigned files;
    bool dma, sort_files; /* properties */
    uint64_t dma_address;
    uint32_t offset;
    uint16_t selector;
    bool in_dma; /* a transfer onto our own registers must not start another */
} FwCfg;

/* The item of a key, or NULL when no key of that number can exist. */
static FwCfgItem *find_item(FwCfg *f, uint16_t key)
{
    unsigned number = key & ~(unsigned)(KEY_WRITE | FW_CFG_ARCH);

    if (key & FW_CFG_ARCH) {
        return number < ARCH_COUNT ? &f->items[ITEM_COUNT + number] : NULL;
    }
    return number < ITEM_COUNT ? &f->items[number] : NULL;
}

void fw_cfg_add(Device *device, uint16_t key, GBytes *content)
{
    FwCfgItem *item = find_item(container_of(device, FwCfg, device), key);

    g_assert(item);
    g_clear_pointer(&item->content, g_bytes_unref);
    *item = (FwCfgItem){
        .content = g_bytes_ref(content),
        .selected = item->selected,
        .selected_opaque = item->selected_opaque,
    };
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

        store_be32(entry, (uint32_t)g_bytes_get_size(f->items[FW_CFG_FILE_FIRST + i].content));
        store_be16(entry + 4, (uint16_t)(FW_CFG_FILE_FIRST + i));
        g_strlcpy((char *)entry + 8, f->names[i], NAME_SIZE);
    }
    content = g_bytes_new_take(directory, size);
    fw_cfg_add(&f->device, FW_CFG_FILE_DIR, content);
    g_bytes_unref(content);
}

/* Where a new file goes: behind the others, or where its name belongs, which moves those behind it. */
static unsigned insert_slot(FwCfg *f, const char *name)
{
    unsigned slot = f->files;
    FwCfgItem *items = f->items + FW_CFG_FILE_FIRST;

    while (f->sort_files && slot && strcmp(f->names[slot - 1], name) > 0) {
        f->names[slot] = f->names[slot - 1];
        items[slot] = items[slot - 1];
        slot--;
    }
    f->names[slot] = g_strdup(name);
    items[slot] = (FwCfgItem){ 0 };
    f->files++;
    return slot;
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
        slot = insert_slot(f, name);
    }
    fw_cfg_add(device, (uint16_t)(FW_CFG_FILE_FIRST + slot), content);
    rebuild_directory(f);
    return true;
}

bool fw_cfg_add_writable_file(Device *device, const char *name, void *data, size_t size,
                              FwCfgWritten *written, void *opaque, GError **error)
{
    FwCfg *f = container_of(device, FwCfg, device);
    g_autoptr(GBytes) content = g_bytes_new_static(data, size);

    if (!fw_cfg_add_file(device, name, content, error)) {
        return false;
    }
    for (unsigned slot = 0; slot < f->files; slot++) {
        if (strcmp(f->names[slot], name) == 0) {
            f->items[FW_CFG_FILE_FIRST + slot].written = written;
            f->items[FW_CFG_FILE_FIRST + slot].opaque = opaque;
        }
    }
    return true;
}

void fw_cfg_watch_file(Device *device, const char *name, FwCfgSelected *fn, void *opaque)
{
    FwCfg *f = container_of(device, FwCfg, device);

    for (unsigned slot = 0; slot < f->files; slot++) {
        if (strcmp(f->names[slot], name) == 0) {
            f->items[FW_CFG_FILE_FIRST + slot].selected = fn;
            f->items[FW_CFG_FILE_FIRST + slot].selected_opaque = opaque;
        }
    }
}

bool fw_cfg_has_dma(Device *device)
{
    return container_of(device, FwCfg, device)->dma;
}

static void select_item(FwCfg *f, uint16_t key)
{
    const FwCfgItem *item = find_item(f, key);

    trace(f->device.id, "select %#x", key);
    f->selector = key;
    f->offset = 0;
    if (item && item->selected) {
        item->selected(item->selected_opaque);
    }
}

/* The rest of the selected item; size 0 for one that does not exist. */
static const uint8_t *selected_rest(FwCfg *f, uint64_t *size)
{
    const FwCfgItem *item = find_item(f, f->selector);
    gsize total = 0;
    const uint8_t *data = NULL;

    if (item && item->content) {
        data = g_bytes_get_data(item->content, &total);
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

/* Only of RAM: as many accesses to devices would hold up the machine. */
static bool clear_ram(FwCfg *f, uint64_t address, uint64_t length)
{
    AddressSpace *space = &f->device.machine->memory_space;

    while (length) {
        uint64_t size = length;
        void *host = address_space_map(space, address, &size, true);

        if (!host || !size || address + size < address) {
            return false;
        }
        memset(host, 0, size);
        address_space_written(space, &f->device, address, size);
        address += size;
        length -= size;
    }
    return true;
}

/* Bytes beyond the item's end read as zero. */
static bool dma_read(FwCfg *f, uint64_t address, uint64_t length)
{
    AddressSpace *space = &f->device.machine->memory_space;
    uint64_t rest;
    const uint8_t *data = selected_rest(f, &rest);
    uint64_t part = MIN(rest, length);

    advance(f, length);
    if (part &&
        address_space_write_bytes(space, address, data, part, MEMORY_ATTRIBUTES_OF(&f->device))) {
        return false;
    }
    return clear_ram(f, address + part, length - part);
}

/* A write beyond a file's end, and one to what cannot be written, fails as a whole. */
static bool dma_write(FwCfg *f, uint64_t address, uint64_t length)
{
    FwCfgItem *item = find_item(f, f->selector);
    uint64_t rest;
    const uint8_t *data = selected_rest(f, &rest);
    bool ok = item && item->written && data && length <= rest;

    /* The bytes are the owner's, who gave them as writable. */
    ok = ok && !address_space_read_bytes(&f->device.machine->memory_space, address, (void *)data,
                                         length, MEMORY_ATTRIBUTES_OF(&f->device));
    advance(f, length);
    if (ok) {
        item->written(item->opaque);
    }
    return ok;
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
    if (address_space_read_bytes(space, descriptor, raw, sizeof raw,
                                 MEMORY_ATTRIBUTES_OF(&f->device))) {
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
        ok = dma_write(f, address, length);
    } else if (control & DMA_SKIP) {
        advance(f, length);
    }
    if (!ok) {
        log_guest_error(f->device.id, "DMA of item %#x fails: control %#x, %#x bytes at %#llx",
                        f->selector, control, length, (unsigned long long)address);
        store_be32(status, DMA_ERROR);
    }
    address_space_write_bytes(space, descriptor, status, sizeof status,
                              MEMORY_ATTRIBUTES_OF(&f->device));
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

/* The signature in memory order: how a guest finds the DMA interface. offset and size are within 8 bytes. */
static uint64_t read_signature(uint64_t offset, unsigned size)
{
    return __builtin_bswap64(DMA_SIGNATURE) >> offset * 8 & bits_mask(size * 8);
}

/* offset is within the DMA address register; false for what is no write of it. */
static bool write_dma(FwCfg *f, uint64_t offset, uint64_t value, unsigned size)
{
    if (offset == 0 && size == 8) {
        f->dma_address = __builtin_bswap64(value);
        run_dma(f);
    } else if (offset == 0 && size == 4) {
        f->dma_address = (uint64_t)__builtin_bswap32((uint32_t)value) << 32;
    } else if (offset == 4 && size == 4) {
        f->dma_address |= __builtin_bswap32((uint32_t)value);
        run_dma(f);
    } else {
        return false;
    }
    return true;
}

static MemoryResult fw_cfg_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                MemoryAttributes attributes)
{
    FwCfg *f = opaque;

    if (offset < OFFSET_SELECTOR) {
        *value = read_data(f, size);
    } else if (offset >= OFFSET_DMA) {
        *value = read_signature(offset - OFFSET_DMA, size);
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
    } else if (offset >= OFFSET_DMA && write_dma(f, offset - OFFSET_DMA, value, size)) {
        return MEMORY_OK;
    } else {
        log_guest_error(f->device.id, "write of %u bytes at offset %#x", size, (unsigned)offset);
    }
    return MEMORY_OK;
}

static const MemoryOps fw_cfg_ops = { .read = fw_cfg_read, .write = fw_cfg_write };

static MemoryResult ports_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                               MemoryAttributes attributes)
{
    *value = read_data(opaque, 1);
    return MEMORY_OK;
}

static MemoryResult ports_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                MemoryAttributes attributes)
{
    FwCfg *f = opaque;

    if (offset == 0 && size == 2) {
        select_item(f, (uint16_t)value);
    } else {
        log_guest_error(f->device.id, "write of %u bytes at port %u", size, (unsigned)offset);
    }
    return MEMORY_OK;
}

/* A word is the selector when written; bytes of data when read. */
static const MemoryOps ports_ops = { .read = ports_read, .write = ports_write, .size_max = 2 };

static MemoryResult dma_ports_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                   MemoryAttributes attributes)
{
    *value = read_signature(offset, size);
    return MEMORY_OK;
}

static MemoryResult dma_ports_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                    MemoryAttributes attributes)
{
    FwCfg *f = opaque;

    if (!write_dma(f, offset, value, size)) {
        log_guest_error(f->device.id, "write of %u bytes at %u of the DMA address", size,
                        (unsigned)offset);
    }
    return MEMORY_OK;
}

static const MemoryOps dma_ports_ops = { .read = dma_ports_read, .write = dma_ports_write };

static void add_identity(FwCfg *f)
{
    g_autoptr(GBytes) signature = g_bytes_new_static("QEMU", 4);

    fw_cfg_add(&f->device, FW_CFG_SIGNATURE, signature);
    fw_cfg_add_u32(&f->device, FW_CFG_ID, f->dma ? ID_TRADITIONAL | ID_DMA : ID_TRADITIONAL);
    rebuild_directory(f);
}

static bool fw_cfg_realize(Device *device, GError **error)
{
    FwCfg *f = container_of(device, FwCfg, device);

    f->dma = true;
    memory_region_init_io(&f->mmio, device->machine, "fw_cfg", MMIO_SIZE, &fw_cfg_ops, f);
    device_add_mmio(device, &f->mmio);
    add_identity(f);
    return true;
}

static bool fw_cfg_io_realize(Device *device, GError **error)
{
    FwCfg *f = container_of(device, FwCfg, device);

    memory_region_init_io(&f->ports, device->machine, "fwcfg", 2, &ports_ops, f);
    device_add_io(device, &f->ports);
    if (f->dma) {
        memory_region_init_io(&f->dma_ports, device->machine, "fwcfg.dma", 8, &dma_ports_ops, f);
        device_add_io(device, &f->dma_ports);
    }
    add_identity(f);
    return true;
}

static void fw_cfg_unrealize(Device *device)
{
    FwCfg *f = container_of(device, FwCfg, device);

    for (unsigned i = 0; i < ARRAY_SIZE(f->items); i++) {
        g_clear_pointer(&f->items[i].content, g_bytes_unref);
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

static const StateField fw_cfg_state[] = {
    STATE(FwCfg, dma_address), STATE(FwCfg, offset), STATE(FwCfg, selector), { 0 }
};

static const DeviceType fw_cfg_type = {
    .name = "fw_cfg_mem",
    .summary = "Firmware configuration device with DMA",
    .board_only = true,
    .instance_size = sizeof(FwCfg),
    .state = fw_cfg_state,
    .realize = fw_cfg_realize,
    .unrealize = fw_cfg_unrealize,
    .reset = fw_cfg_reset,
};
DEVICE_TYPE(fw_cfg_type);

static const DeviceType fw_cfg_io_type = {
    .name = "fw_cfg_io",
    .summary = "Firmware configuration device on I/O ports",
    .board_only = true,
    .instance_size = sizeof(FwCfg),
    .properties =
        (const Property[]){
            { "dma_enabled", PROPERTY_BOOL, offsetof(FwCfg, dma), "has the DMA interface", "on" },
            { "sort-files", PROPERTY_BOOL, offsetof(FwCfg, sort_files),
              "the directory is in order of names, not of addition", "on" },
            { 0 } },
    .state = fw_cfg_state,
    .realize = fw_cfg_io_realize,
    .unrealize = fw_cfg_unrealize,
    .reset = fw_cfg_reset,
};
DEVICE_TYPE(fw_cfg_io_type);
