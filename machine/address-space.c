/* SPDX-License-Identifier: MIT */
/*
 * Accesses through a flat view: look-up, RAM, and I/O dispatch with splitting and widening.
 *
 * Readers of a view are vCPU threads, whose safe points bound its life, or hold the machine lock; any
 * other thread takes the lock here for the whole access.
 */
#include <string.h>

#include "base/bits.h"
#include "machine/debug.h"
#include "machine/private.h"

const MemoryRange *address_space_find(AddressSpace *space, uint64_t address)
{
    FlatView *view = atomic_load_explicit(&space->view, memory_order_acquire);
    uint32_t hint = atomic_load_explicit(&view->hint, memory_order_relaxed);
    size_t low = 0, high = view->count;

    if (hint < view->count && address - view->ranges[hint].start < view->ranges[hint].size) {
        return &view->ranges[hint];
    }
    while (low < high) {
        size_t middle = (low + high) / 2;
        const MemoryRange *range = &view->ranges[middle];

        if (address < range->start) {
            high = middle;
        } else if (address - range->start >= range->size) {
            low = middle + 1;
        } else {
            atomic_store_explicit(&view->hint, middle, memory_order_relaxed);
            return range;
        }
    }
    return NULL;
}

/* Takes the machine lock when the callbacks want it and this thread does not hold it. */
static bool lock_for(const MemoryRegion *region)
{
    if (region->ops->lock_free || machine_lock_held(region->machine)) {
        return false;
    }
    machine_lock(region->machine);
    return true;
}

static uint64_t swap_bytes(uint64_t value, unsigned size)
{
    return __builtin_bswap64(value) >> (64 - 8 * size);
}

/* The largest aligned power of two that starts an access of `left` bytes. */
static unsigned piece_size(const MemoryOps *ops, uint64_t offset, unsigned left)
{
    unsigned size = ops->size_max ? ops->size_max : 8;

    while (size > left || (!ops->unaligned && (offset & (size - 1)))) {
        size /= 2;
    }
    return size;
}

/* One piece: a power of two, aligned unless the device takes unaligned ones; maybe too narrow. */
static MemoryResult io_read_piece(const MemoryRegion *region, uint64_t offset, uint64_t *value,
                                  unsigned size, MemoryAttributes attributes)
{
    const MemoryOps *ops = region->ops;
    unsigned wide = MAX(size, ops->size_min);
    unsigned into = wide > size ? offset & (wide - 1) : 0;
    MemoryResult result;

    *value = 0;
    result = ops->read(region->opaque, offset - into, value, wide, attributes);
    if (ops->big_endian) {
        *value = swap_bytes(*value, wide);
    }
    *value = (*value >> (into * 8)) & bits_mask(size * 8);
    return result;
}

/* A write that is too narrow reaches the device as one of its size with zeros around. */
static MemoryResult io_write_piece(const MemoryRegion *region, uint64_t offset, uint64_t value,
                                   unsigned size, MemoryAttributes attributes)
{
    const MemoryOps *ops = region->ops;
    unsigned wide = MAX(size, ops->size_min);
    unsigned into = wide > size ? offset & (wide - 1) : 0;

    value = (value & bits_mask(size * 8)) << (into * 8);
    if (ops->big_endian) {
        value = swap_bytes(value, wide);
    }
    return ops->write(region->opaque, offset - into, value, wide, attributes);
}

static bool strictly_refused(const MemoryOps *ops, uint64_t offset, unsigned size)
{
    return ops->strict &&
           (!is_power_of_two(size) || size < ops->size_min ||
            (ops->size_max && size > ops->size_max) || (!ops->unaligned && (offset & (size - 1))));
}

static MemoryResult io_read(const MemoryRegion *region, uint64_t offset, uint64_t *value,
                            unsigned size, MemoryAttributes attributes)
{
    MemoryResult result = MEMORY_OK;
    bool locked;

    *value = 0;
    if (!region->ops || !region->ops->read || strictly_refused(region->ops, offset, size)) {
        return MEMORY_DEVICE_ERROR;
    }
    locked = lock_for(region);
    for (unsigned done = 0; done < size && result == MEMORY_OK;) {
        unsigned piece = piece_size(region->ops, offset + done, size - done);
        uint64_t part;

        result = io_read_piece(region, offset + done, &part, piece, attributes);
        *value |= part << (done * 8);
        done += piece;
    }
    if (locked) {
        machine_unlock(region->machine);
    }
    return result;
}

static MemoryResult io_write(const MemoryRange *range, uint64_t offset, uint64_t value,
                             unsigned size, MemoryAttributes attributes)
{
    const MemoryRegion *region = range->region;
    MemoryResult result = MEMORY_OK;
    bool locked;

    if (range->readonly || (region->kind == MEMORY_ROM && (!region->ops || !region->ops->write))) {
        log_guest_error(region->name, "write to read-only memory at offset %#" PRIx64, offset);
        return MEMORY_OK;
    }
    if (!region->ops || !region->ops->write || strictly_refused(region->ops, offset, size)) {
        return MEMORY_DEVICE_ERROR;
    }
    locked = lock_for(region);
    for (unsigned done = 0; done < size && result == MEMORY_OK;) {
        unsigned piece = piece_size(region->ops, offset + done, size - done);

        result = io_write_piece(region, offset + done, value >> (done * 8), piece, attributes);
        done += piece;
    }
    if (locked) {
        machine_unlock(region->machine);
    }
    return result;
}

/* Aligned power-of-two accesses to RAM are single host accesses: vCPUs see no torn values. */
static uint64_t ram_load(const uint8_t *host, unsigned size)
{
    uint64_t value = 0;

    if (((uintptr_t)host & (size - 1)) == 0) {
        switch (size) {
        case 1:
            return __atomic_load_n(host, __ATOMIC_RELAXED);
        case 2:
            return __atomic_load_n((const uint16_t *)host, __ATOMIC_RELAXED);
        case 4:
            return __atomic_load_n((const uint32_t *)host, __ATOMIC_RELAXED);
        case 8:
            return __atomic_load_n((const uint64_t *)host, __ATOMIC_RELAXED);
        }
    }
    memcpy(&value, host, size);
    return value;
}

static void ram_store(uint8_t *host, uint64_t value, unsigned size)
{
    if (((uintptr_t)host & (size - 1)) == 0) {
        switch (size) {
        case 1:
            __atomic_store_n(host, value, __ATOMIC_RELAXED);
            return;
        case 2:
            __atomic_store_n((uint16_t *)host, value, __ATOMIC_RELAXED);
            return;
        case 4:
            __atomic_store_n((uint32_t *)host, value, __ATOMIC_RELAXED);
            return;
        case 8:
            __atomic_store_n((uint64_t *)host, value, __ATOMIC_RELAXED);
            return;
        }
    }
    memcpy(host, &value, size);
}

/* The bytes of one access that go to the range where it begins. */
static unsigned access_within(const MemoryRange *range, uint64_t address, unsigned size)
{
    const MemoryRegion *region = range->region;
    const MemoryOps *ops = region->ops;
    uint64_t offset = range->offset + (address - range->start);

    if (region->kind == MEMORY_IO && ops && ops->whole && offset + size <= region->size &&
        size <= (ops->size_max ? ops->size_max : 8)) {
        return size;
    }
    return MIN(size, range->size - (address - range->start));
}

/* How many of the bytes from address on lie in the range that holds it. */
static uint64_t bytes_within(const MemoryRange *range, uint64_t address, uint64_t size)
{
    return MIN(size, range->size - (address - range->start));
}

static inline void observe(AddressSpace *space, const MemoryRange *range, uint64_t address,
                           unsigned size, bool write, MemoryResult result,
                           MemoryAttributes attributes)
{
    const MemoryObserver *observer =
        atomic_load_explicit(&space->machine->private->memory.observer, memory_order_acquire);

    if (__builtin_expect(observer != NULL, 0)) {
        observer->fn(observer->opaque, space, range, address, size, write, result, attributes);
    }
}

static inline void tell_debugger(uint64_t address, uint64_t size, bool write,
                                 MemoryAttributes attributes)
{
    if (__builtin_expect(attributes.device != NULL, 0)) {
        debug_dma(attributes.device, address, size, write);
    }
}

static MemoryResult read_part(AddressSpace *space, uint64_t address, uint64_t *value,
                              unsigned *size, MemoryAttributes attributes)
{
    const MemoryRange *range = address_space_find(space, address);
    MemoryResult result = MEMORY_DECODE_ERROR;
    uint64_t offset;

    *value = 0;
    if (range) {
        *size = access_within(range, address, *size);
        offset = range->offset + (address - range->start);
        if (memory_range_direct(range, false)) {
            *value = ram_load(range->region->host + offset, *size);
            return MEMORY_OK;
        }
        result = io_read(range->region, offset, value, *size, attributes);
    } else if (space->open_bus) {
        *size = 1; /* somebody may answer for the next byte */
    }
    observe(space, range, address, *size, false, result, attributes);
    if (result != MEMORY_OK && space->open_bus) {
        *value = bits_mask(*size * 8);
        return MEMORY_OK;
    }
    return result;
}

/* A write through a range that shows something else than it writes. */
static void write_beneath(const MemoryRange *range, uint64_t address, uint64_t value, unsigned size)
{
    MemoryRegion *ram = range->written;
    uint64_t offset = range->written_offset + (address - range->start);

    ram_store(ram->host + offset, value, size);
    memory_ram_written(ram->machine, ram->ram_offset + offset, size);
}

static MemoryResult write_part(AddressSpace *space, uint64_t address, uint64_t value,
                               unsigned *size, MemoryAttributes attributes)
{
    const MemoryRange *range = address_space_find(space, address);
    MemoryResult result = MEMORY_DECODE_ERROR;
    uint64_t offset;

    if (range) {
        *size = access_within(range, address, *size);
        offset = range->offset + (address - range->start);
        if (memory_range_direct(range, true)) {
            ram_store(range->region->host + offset, value, *size);
            memory_ram_written(space->machine, range->region->ram_offset + offset, *size);
            return MEMORY_OK;
        }
        if (range->written) {
            write_beneath(range, address, value, bytes_within(range, address, *size));
            *size = bytes_within(range, address, *size);
            return MEMORY_OK;
        }
        result = io_write(range, offset, value, *size, attributes);
    } else if (space->open_bus) {
        *size = 1;
    }
    observe(space, range, address, *size, true, result, attributes);
    return space->open_bus ? MEMORY_OK : result;
}

/* Foreign threads hold the lock while they use a view. */
static bool enter(AddressSpace *space)
{
    if (vcpu_current() || machine_lock_held(space->machine)) {
        return false;
    }
    machine_lock(space->machine);
    return true;
}

static void leave(AddressSpace *space, bool locked)
{
    if (locked) {
        machine_unlock(space->machine);
    }
}

MemoryResult address_space_read(AddressSpace *space, uint64_t address, uint64_t *value,
                                unsigned size, MemoryAttributes attributes)
{
    bool locked = enter(space);
    MemoryResult result = MEMORY_OK;
    uint64_t whole = 0;

    for (unsigned done = 0; done < size && result == MEMORY_OK;) {
        unsigned part_size = size - done;
        uint64_t part;

        result = read_part(space, address + done, &part, &part_size, attributes);
        whole |= part << (done * 8);
        done += part_size;
    }
    *value = whole;
    tell_debugger(address, size, false, attributes);
    leave(space, locked);
    return result;
}

MemoryResult address_space_write(AddressSpace *space, uint64_t address, uint64_t value,
                                 unsigned size, MemoryAttributes attributes)
{
    bool locked = enter(space);
    MemoryResult result = MEMORY_OK;

    for (unsigned done = 0; done < size && result == MEMORY_OK;) {
        unsigned part_size = size - done;

        result = write_part(space, address + done, value >> (done * 8), &part_size, attributes);
        done += part_size;
    }
    tell_debugger(address, size, true, attributes);
    leave(space, locked);
    return result;
}

/* Bytes to the next 8-byte boundary: how block transfers to devices are cut. */
static unsigned step_size(uint64_t address, uint64_t left)
{
    return MIN(left, 8 - (address & 7));
}

MemoryResult address_space_read_bytes(AddressSpace *space, uint64_t address, void *buffer,
                                      uint64_t size, MemoryAttributes attributes)
{
    bool locked = enter(space);
    MemoryResult result = MEMORY_OK;
    uint8_t *out = buffer;

    tell_debugger(address, size, false, attributes);
    attributes.device = NULL;

    while (size && result == MEMORY_OK) {
        const MemoryRange *range = address_space_find(space, address);
        uint64_t part, value;

        if (range && memory_range_direct(range, false)) {
            part = bytes_within(range, address, size);
            memcpy(out, range->region->host + range->offset + (address - range->start), part);
        } else {
            part = step_size(address, size);
            result = address_space_read(space, address, &value, part, attributes);
            memcpy(out, &value, part);
        }
        out += part;
        address += part;
        size -= part;
    }
    leave(space, locked);
    return result;
}

MemoryResult address_space_write_bytes(AddressSpace *space, uint64_t address, const void *buffer,
                                       uint64_t size, MemoryAttributes attributes)
{
    bool locked = enter(space);
    MemoryResult result = MEMORY_OK;
    const uint8_t *in = buffer;

    tell_debugger(address, size, true, attributes);
    attributes.device = NULL;

    while (size && result == MEMORY_OK) {
        const MemoryRange *range = address_space_find(space, address);
        uint64_t part, value = 0;

        if (range && memory_range_direct(range, true)) {
            uint64_t offset = range->offset + (address - range->start);

            part = bytes_within(range, address, size);
            memcpy(range->region->host + offset, in, part);
            memory_ram_written(space->machine, range->region->ram_offset + offset, part);
        } else {
            part = step_size(address, size);
            memcpy(&value, in, part);
            result = address_space_write(space, address, value, part, attributes);
        }
        in += part;
        address += part;
        size -= part;
    }
    leave(space, locked);
    return result;
}

void *address_space_map(AddressSpace *space, uint64_t address, uint64_t *size, bool write)
{
    bool locked = enter(space);
    const MemoryRange *range = address_space_find(space, address);
    uint8_t *host = NULL;

    if (range && memory_range_direct(range, write)) {
        *size = bytes_within(range, address, *size);
        host = range->region->host + range->offset + (address - range->start);
    } else {
        *size = 0;
    }
    leave(space, locked);
    return host;
}

void address_space_dirty(AddressSpace *space, uint64_t address, uint64_t size)
{
    bool locked = enter(space);

    while (size) {
        const MemoryRange *range = address_space_find(space, address);
        uint64_t part;

        if (!range) {
            break;
        }
        part = bytes_within(range, address, size);
        if (range->region->kind == MEMORY_RAM) {
            memory_ram_written(space->machine,
                               range->region->ram_offset + range->offset + (address - range->start),
                               part);
        }
        address += part;
        size -= part;
    }
    leave(space, locked);
}

void address_space_written(AddressSpace *space, const Device *device, uint64_t address,
                           uint64_t size)
{
    address_space_dirty(space, address, size);
    debug_dma(device, address, size, true);
}

void memory_set_observer(Machine *machine, const MemoryObserver *observer)
{
    atomic_store_explicit(&machine->private->memory.observer, observer, memory_order_release);
}
