/* SPDX-License-Identifier: MIT */
/*
 * A bank of NOR flash with the Intel/Sharp command set (Common Flash Interface, JEDEC JESD68; Intel
 * "StrataFlash J3" data sheet): chips of 8 to 32 bits side by side on a bus as wide as all of them, always
 * commanded together. Array reads come straight from memory; only the other modes go through here.
 *
 * Operations take no time. Block locks are accepted and have no effect. Not modelled: suspend,
 * protection registers. A write that is wider than the bus is one cycle, as if the bus were as wide.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/error.h"
#include "block/block.h"
#include "machine/machine.h"

enum {
    MAX_WIDTH = 4,                              /* bytes of the bus */
    CHIP_BUFFER_LOG2 = 11,                      /* bytes of a chip's write buffer */
    MAX_BUFFER = MAX_WIDTH << CHIP_BUFFER_LOG2, /* of the most chips there can be */
    BLOCK_IO_ALIGN = 4096,                      /* granularity of writes to the image */
};

typedef enum { MODE_ARRAY, MODE_STATUS, MODE_IDENTIFIER, MODE_QUERY } FlashMode;

/* What the next bus write means. */
typedef enum {
    EXPECT_COMMAND,
    EXPECT_PROGRAM_DATA,
    EXPECT_ERASE_CONFIRM,
    EXPECT_LOCK_ACTION,
    EXPECT_BUFFER_COUNT,
    EXPECT_BUFFER_DATA,
    EXPECT_BUFFER_CONFIRM,
} FlashExpect;

enum {
    COMMAND_PROGRAM_ALTERNATE = 0x10,
    COMMAND_ERASE = 0x20,
    COMMAND_PROGRAM = 0x40,
    COMMAND_CLEAR_STATUS = 0x50,
    COMMAND_LOCK = 0x60,
    COMMAND_READ_STATUS = 0x70,
    COMMAND_READ_IDENTIFIER = 0x90,
    COMMAND_READ_QUERY = 0x98,
    COMMAND_SUSPEND = 0xb0,
    COMMAND_CONFIRM = 0xd0,
    COMMAND_BUFFERED_PROGRAM = 0xe8,
    COMMAND_AMD_RESET = 0xf0, /* of the other command set: probes send it */
    COMMAND_READ_ARRAY = 0xff,
};

enum {
    STATUS_BLOCK_LOCKED = 1 << 1,
    STATUS_PROGRAM_ERROR = 1 << 4,
    STATUS_ERASE_ERROR = 1 << 5,
    STATUS_READY = 1 << 7,
};

typedef struct {
    Device device;
    MemoryRegion memory;
    BlockBackend *drive; /* properties */
    uint64_t size, sector_length;
    uint32_t width, device_width; /* bytes of the bus, and of a chip */
    bool secure;
    char *name;
    bool read_only, claimed;
    uint32_t mode, expect, status;
    uint32_t buffer_left; /* bus words that the guest still has to give */
    uint64_t buffer_offset, buffer_end;
    uint8_t buffer[MAX_BUFFER]; /* what to program at buffer_offset, after the confirmation */

    /* Write-through: [dirty_start, dirty_end) waits while one write is in flight. */
    uint64_t dirty_start, dirty_end;
    bool writing;
    struct iovec iov;
} CfiFlash;

static CfiFlash *cfi_flash(Device *device)
{
    return container_of(device, CfiFlash, device);
}

/* --- the image behind it --- */

static void flash_write_back(CfiFlash *f);

static void flash_written(void *opaque, int result)
{
    CfiFlash *f = opaque;
    Machine *machine = f->device.machine;

    machine_lock(machine);
    f->writing = false;
    if (result < 0) {
        log_printf("%s: writing the flash image fails: %s\n", f->device.id, g_strerror(-result));
        f->status |= STATUS_PROGRAM_ERROR;
    }
    flash_write_back(f);
    machine_unlock(machine);
}

static void flash_write_back(CfiFlash *f)
{
    uint64_t start = f->dirty_start;

    if (f->writing || f->dirty_start >= f->dirty_end) {
        return;
    }
    f->iov = (struct iovec){ f->memory.host + start, f->dirty_end - start };
    f->dirty_start = UINT64_MAX;
    f->dirty_end = 0;
    f->writing = true;
    block_write(f->drive, start, &f->iov, 1, 0, flash_written, f);
}

static void flash_changed(CfiFlash *f, uint64_t offset, uint64_t size)
{
    if (f->drive && !f->read_only) {
        f->dirty_start = MIN(f->dirty_start, align_down(offset, BLOCK_IO_ALIGN));
        f->dirty_end = MAX(f->dirty_end, align_up(offset + size, BLOCK_IO_ALIGN));
        flash_write_back(f);
    }
}

/* --- the chips --- */

static unsigned chip_count(const CfiFlash *f)
{
    return f->width / f->device_width;
}

/* Bytes of all chips' write buffers. */
static uint64_t write_buffer_bytes(const CfiFlash *f)
{
    return (uint64_t)chip_count(f) << CHIP_BUFFER_LOG2;
}

static void set_mode(CfiFlash *f, FlashMode mode)
{
    if (f->mode != mode) {
        memory_region_set_rom_io(&f->memory, mode != MODE_ARRAY);
    }
    f->mode = mode;
}

static void command_done(CfiFlash *f)
{
    f->status |= STATUS_READY;
    f->expect = EXPECT_COMMAND;
    set_mode(f, MODE_STATUS);
}

/* Programming can only clear bits. */
static void program(CfiFlash *f, uint64_t offset, const uint8_t *data, uint64_t size)
{
    uint8_t *host = f->memory.host + offset;

    if (f->read_only) {
        f->status |= STATUS_PROGRAM_ERROR | STATUS_BLOCK_LOCKED;
        return;
    }
    for (uint64_t i = 0; i < size; i++) {
        host[i] &= data[i];
    }
    flash_changed(f, offset, size);
}

static void erase(CfiFlash *f, uint64_t offset)
{
    uint64_t sector = align_down(offset, f->sector_length);

    if (f->read_only) {
        f->status |= STATUS_ERASE_ERROR | STATUS_BLOCK_LOCKED;
        return;
    }
    memset(f->memory.host + sector, 0xff, f->sector_length);
    flash_changed(f, sector, f->sector_length);
}

/* CFI data from 0x10 on, as each chip has it; geometry (0x27, 0x2d to 0x30) depends on the size. */
static uint8_t query_byte(const CfiFlash *f, unsigned index)
{
    static const uint8_t table[] = {
        [0x10] = 'Q',
        'R',
        'Y',
        [0x13] = 0x01,
        0x00, /* Intel/Sharp extended command set */
        [0x15] = 0x31,
        0x00, /* address of the extended table */
        [0x1b] = 0x45,
        0x55,
        0x00,
        0x00, /* Vcc 4.5 V to 5.5 V, no Vpp */
        [0x1f] = 0x07,
        0x07,
        0x0a,
        0x00, /* typical times, 2^n µs or ms */
        [0x23] = 0x04,
        0x04,
        0x04,
        0x00, /* maximum: 2^n times typical */
        [0x28] = 0x02,
        0x00, /* x8 and x16 */
        [0x2a] = CHIP_BUFFER_LOG2,
        0x00,          /* bytes of the write buffer, 2^n */
        [0x2c] = 0x01, /* one erase region */
        [0x31] = 'P',
        'R',
        'I',
        '1',
        '0',
        [0x3f] = 0x01, /* one protection register field */
    };
    unsigned chips = chip_count(f);
    uint64_t blocks = f->size / f->sector_length - 1;
    uint64_t block_units = f->sector_length / chips / 256;

    switch (index) {
    case 0x27:
        return (uint8_t)(64 - __builtin_clzll(f->size / chips - 1)); /* 2^n, rounded up */
    case 0x2d:
        return (uint8_t)blocks;
    case 0x2e:
        return (uint8_t)(blocks >> 8);
    case 0x2f:
        return (uint8_t)block_units;
    case 0x30:
        return (uint8_t)(block_units >> 8);
    default:
        return index < sizeof table ? table[index] : 0;
    }
}

static bool may_command(const CfiFlash *f, MemoryAttributes attributes)
{
    return !f->secure || attributes.secure;
}

/* What one chip shows at a word address. */
static uint32_t chip_read(const CfiFlash *f, unsigned word)
{
    static const uint16_t identifier[] = { 0x89, 0x18 }; /* Intel, 28F128J3 */

    switch (f->mode) {
    case MODE_IDENTIFIER:
        return (word & 0xff) < ARRAY_SIZE(identifier) ? identifier[word & 0xff] : 0;
    case MODE_QUERY:
        return query_byte(f, word & 0xff);
    default:
        return f->status;
    }
}

/* What is on the bus for an access, byte by byte; chips show the same at their own lines. */
static uint64_t bus_read(const CfiFlash *f, uint64_t offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        uint64_t at = offset + i;
        uint32_t chip = chip_read(f, (unsigned)(at / f->width));

        value |= (uint64_t)(uint8_t)(chip >> at % f->device_width * 8) << i * 8;
    }
    return value;
}

static MemoryResult flash_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                               MemoryAttributes attributes)
{
    const CfiFlash *f = opaque;

    if (f->mode == MODE_ARRAY || !may_command(f, attributes)) {
        /* A reader that was on its way when the mode changed, or that must not see it. */
        *value = 0;
        memcpy(value, f->memory.host + offset, size);
    } else {
        *value = bus_read(f, offset, size);
    }
    trace(f->device.id, "%#llx -> %#llx", (unsigned long long)offset, (unsigned long long)*value);
    return MEMORY_OK;
}

static void start_command(CfiFlash *f, uint64_t offset, uint8_t command)
{
    switch (command) {
    case 0x00:
    case COMMAND_AMD_RESET:
    case COMMAND_READ_ARRAY:
        set_mode(f, MODE_ARRAY);
        break;
    case COMMAND_PROGRAM:
    case COMMAND_PROGRAM_ALTERNATE:
        set_mode(f, MODE_STATUS);
        f->expect = EXPECT_PROGRAM_DATA;
        break;
    case COMMAND_ERASE:
        set_mode(f, MODE_STATUS);
        f->expect = EXPECT_ERASE_CONFIRM;
        break;
    case COMMAND_BUFFERED_PROGRAM:
        f->status |= STATUS_READY; /* of the buffer */
        set_mode(f, MODE_STATUS);
        f->expect = EXPECT_BUFFER_COUNT;
        break;
    case COMMAND_LOCK:
        set_mode(f, MODE_STATUS);
        f->expect = EXPECT_LOCK_ACTION;
        break;
    case COMMAND_CLEAR_STATUS:
        /* All of it, until the next operation: OVMF tells flash from ROM and RAM by that. */
        f->status = 0;
        set_mode(f, MODE_ARRAY);
        break;
    case COMMAND_READ_STATUS:
    case COMMAND_SUSPEND: /* nothing is ever under way */
    case COMMAND_CONFIRM: /* resume */
        set_mode(f, MODE_STATUS);
        break;
    case COMMAND_READ_IDENTIFIER:
        set_mode(f, MODE_IDENTIFIER);
        break;
    case COMMAND_READ_QUERY:
        set_mode(f, MODE_QUERY);
        break;
    default:
        log_guest_error(f->device.id, "unknown command %#x at %#llx", command,
                        (unsigned long long)offset);
        set_mode(f, MODE_ARRAY);
    }
}

static void sequence_error(CfiFlash *f, uint32_t value)
{
    log_guest_error(f->device.id, "bus write %#x does not continue the command", value);
    f->status |= STATUS_PROGRAM_ERROR | STATUS_ERASE_ERROR;
    command_done(f);
}

static void start_buffer(CfiFlash *f, uint64_t offset, uint32_t value)
{
    uint32_t words = (value & (uint32_t)bits_mask(f->device_width * 8) & 0xffff) + 1;

    if (words * f->width > write_buffer_bytes(f)) {
        sequence_error(f, value);
        return;
    }
    memset(f->buffer, 0xff, sizeof f->buffer);
    f->buffer_left = words;
    f->buffer_offset = UINT64_MAX;
    f->buffer_end = 0;
    f->expect = EXPECT_BUFFER_DATA;
}

/* The first datum sets the start; the others must be in the window that follows, within the sector. */
static void fill_buffer(CfiFlash *f, uint64_t offset, uint32_t value, unsigned size)
{
    if (f->buffer_offset == UINT64_MAX) {
        f->buffer_offset = offset;
    }
    if (offset < f->buffer_offset || offset + size > f->buffer_offset + write_buffer_bytes(f) ||
        offset / f->sector_length != f->buffer_offset / f->sector_length) {
        sequence_error(f, value);
        return;
    }
    memcpy(f->buffer + (offset - f->buffer_offset), &value, size);
    f->buffer_end = MAX(f->buffer_end, offset + size);
    if (--f->buffer_left == 0) {
        f->expect = EXPECT_BUFFER_CONFIRM;
    }
}

static MemoryResult flash_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                MemoryAttributes attributes)
{
    CfiFlash *f = opaque;
    uint32_t data = (uint32_t)value;
    uint8_t command = (uint8_t)value;

    trace(f->device.id, "%#llx <- %#x", (unsigned long long)offset, data);
    if (!may_command(f, attributes)) {
        log_guest_error(f->device.id, "write of %#x at %#llx from outside secure mode", data,
                        (unsigned long long)offset);
        return MEMORY_OK;
    }
    switch ((FlashExpect)f->expect) {
    case EXPECT_COMMAND:
        start_command(f, offset, command);
        break;
    case EXPECT_PROGRAM_DATA:
        program(f, offset, (const uint8_t *)&data, size);
        command_done(f);
        break;
    case EXPECT_ERASE_CONFIRM:
        if (command == COMMAND_CONFIRM) {
            erase(f, offset);
            command_done(f);
        } else {
            sequence_error(f, data);
        }
        break;
    case EXPECT_LOCK_ACTION:
        command_done(f);
        if (command == COMMAND_READ_ARRAY) {
            set_mode(f, MODE_ARRAY);
        }
        break;
    case EXPECT_BUFFER_COUNT:
        start_buffer(f, offset, data);
        break;
    case EXPECT_BUFFER_DATA:
        fill_buffer(f, offset, data, size);
        break;
    case EXPECT_BUFFER_CONFIRM:
        if (command == COMMAND_CONFIRM) {
            program(f, f->buffer_offset, f->buffer, f->buffer_end - f->buffer_offset);
            command_done(f);
        } else {
            sequence_error(f, data);
        }
        break;
    }
    return MEMORY_OK;
}

static const MemoryOps flash_ops = {
    .read = flash_read,
    .write = flash_write,
    .size_min = 1,
    .size_max = MAX_WIDTH,
};

/* --- life --- */

/* Reads the image, leaving pages of zeroes untouched so that they cost no memory. */
static bool flash_load(CfiFlash *f, GError **error)
{
    enum { CHUNK = 256 * 1024 };
    uint64_t size = block_size(f->drive);
    g_autofree uint8_t *chunk = NULL;

    f->read_only = block_read_only(f->drive);
    if (size > f->size || (size < f->size && !f->read_only)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "flash drive '%s' (%s) has %" PRIu64 " bytes, but the flash has %" PRIu64
                          "%s",
                          block_id(f->drive), block_filename(f->drive), size, f->size,
                          size > f->size ? ""
                                         : "; extend the file with 'truncate -s' or give "
                                           "readonly=on");
    }
    chunk = g_malloc(CHUNK);
    for (uint64_t offset = 0; offset < size; offset += CHUNK) {
        uint64_t length = MIN(size - offset, CHUNK);
        int result = block_pread(f->drive, offset, chunk, length);

        if (result < 0) {
            return error_fail_errno(error, -result, "cannot read flash drive '%s'",
                                    block_id(f->drive));
        }
        if (chunk[0] || memcmp(chunk, chunk + 1, length - 1) != 0) {
            memcpy(f->memory.host + offset, chunk, length);
        }
    }
    if (size < f->size) {
        memset(f->memory.host + size, 0xff, f->size - size);
    }
    return true;
}

static bool claim_drive(CfiFlash *f, GError **error)
{
    g_autofree char *path = device_path(&f->device);

    f->claimed = block_claim(f->drive, path, false, error);
    return f->claimed;
}

static bool check_geometry(const CfiFlash *f, GError **error)
{
    if (!is_power_of_two(f->sector_length) || f->sector_length < 1024 || f->size == 0 ||
        f->size % f->sector_length || f->size > GIB(1)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "cfi.pflash01: size=%" PRIu64
                          " is no multiple, up to 1 GiB, of sector-length=%" PRIu64
                          ", a power of two from 1024",
                          f->size, f->sector_length);
    }
    if (!is_power_of_two(f->width) || f->width > MAX_WIDTH || !is_power_of_two(f->device_width) ||
        f->device_width > f->width) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "cfi.pflash01: width=%u and device-width=%u are not 1, 2 or 4 bytes, the chip's at "
            "most the bus's",
            f->width, f->device_width);
    }
    return true;
}

static bool cfi_flash_realize(Device *device, GError **error)
{
    CfiFlash *f = cfi_flash(device);

    f->dirty_start = UINT64_MAX;
    if (!check_geometry(f, error)) {
        return false;
    }
    if (!memory_region_init_rom(&f->memory, device->machine, f->name ? f->name : "flash", f->size,
                                &flash_ops, f, error)) {
        return false;
    }
    device_add_mmio(device, &f->memory);
    return !f->drive || (claim_drive(f, error) && flash_load(f, error));
}

static void cfi_flash_unrealize(Device *device)
{
    CfiFlash *f = cfi_flash(device);

    if (f->drive) {
        block_drain(f->drive);
    }
    if (f->claimed) {
        block_disclaim(f->drive);
        f->claimed = false;
    }
}

static void cfi_flash_reset(Device *device)
{
    CfiFlash *f = cfi_flash(device);

    memory_region_set_rom_io(&f->memory, false);
    f->mode = MODE_ARRAY;
    f->expect = EXPECT_COMMAND;
    f->status = STATUS_READY;
    f->buffer_left = 0;
    f->buffer_offset = f->buffer_end = 0;
    memset(f->buffer, 0xff, sizeof f->buffer);
}

static void cfi_flash_state_loaded(Device *device)
{
    CfiFlash *f = cfi_flash(device);

    memory_region_set_rom_io(&f->memory, f->mode != MODE_ARRAY);
}

static const DeviceType cfi_flash_type = {
    .name = "cfi.pflash01",
    .summary = "NOR flash with the Intel command set",
    .board_only = true,
    .instance_size = sizeof(CfiFlash),
    .properties =
        (const Property[]){
            { "drive", PROPERTY_DRIVE, offsetof(CfiFlash, drive), "image that keeps the contents" },
            { "size", PROPERTY_SIZE, offsetof(CfiFlash, size), "bytes of the bank", "64M" },
            { "sector-length", PROPERTY_SIZE, offsetof(CfiFlash, sector_length),
              "bytes that one erase clears", "256K" },
            { "width", PROPERTY_U32, offsetof(CfiFlash, width), "bytes of the bus", "4" },
            { "device-width", PROPERTY_U32, offsetof(CfiFlash, device_width),
              "bytes of a chip; several lie side by side on the bus", "2" },
            { "secure", PROPERTY_BOOL, offsetof(CfiFlash, secure),
              "take commands from secure or system management mode alone", "off" },
            { "name", PROPERTY_STRING, offsetof(CfiFlash, name), "name of its memory" },
            { 0 } },
    .state = (const StateField[]){ STATE(CfiFlash, mode),
                                   STATE(CfiFlash, expect),
                                   STATE(CfiFlash, status),
                                   STATE(CfiFlash, buffer_left),
                                   STATE(CfiFlash, buffer_offset),
                                   STATE(CfiFlash, buffer_end),
                                   STATE(CfiFlash, buffer),
                                   { 0 } },
    .realize = cfi_flash_realize,
    .unrealize = cfi_flash_unrealize,
    .reset = cfi_flash_reset,
    .state_loaded = cfi_flash_state_loaded,
};
DEVICE_TYPE(cfi_flash_type);
