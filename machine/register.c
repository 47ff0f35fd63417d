/* SPDX-License-Identifier: MIT */
/*
 * Register banks: dispatch of guest accesses by a const table, with width adaptation, access checks,
 * traces with the data sheet's names, and reset.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/debug.h"
#include "machine/device.h"

/* A bank as one device uses it; freed with the device. */
typedef struct {
    Device *device;
    const RegisterBank *bank;
    MemoryOps ops;
    unsigned count;
    const Register *sorted[]; /* by offset; a reader of the same offset before a writer */
} BankInstance;

static unsigned element_count(const Register *reg)
{
    return reg->count ? reg->count : 1;
}

static unsigned element_stride(const Register *reg)
{
    return reg->stride ? reg->stride : reg->width;
}

/* Whether reg takes an access of `size` bytes from offset on; index: the array element. */
static bool register_covers(const Register *reg, uint64_t offset, unsigned size, unsigned *index)
{
    uint64_t delta = offset - reg->offset, element = delta / element_stride(reg);
    unsigned into = delta % element_stride(reg);

    if (offset < reg->offset || element >= element_count(reg) || into >= reg->width ||
        (reg->access & REGISTER_EXACT && (into || size < reg->width))) {
        return false;
    }
    *index = element;
    return true;
}

/*
 * The register for `size` bytes from offset on. Of several at the same place (a read-only and a write-only one), the first
 * that takes the access; failing that, any, so that the message can name it.
 */
static const Register *find_register(const BankInstance *instance, uint64_t offset, unsigned size,
                                     uint8_t access, unsigned *index)
{
    unsigned low = 0, high = instance->count;
    const Register *other = NULL;
    unsigned other_index = 0;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (instance->sorted[middle]->offset <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    while (low-- > 0) {
        const Register *reg = instance->sorted[low];

        if (register_covers(reg, offset, size, index)) {
            if (reg->access & access) {
                return reg;
            }
            other = reg;
            other_index = *index;
        }
    }
    *index = other_index;
    return other;
}

static uint64_t load_field(Device *device, const Register *reg, unsigned index)
{
    uint64_t value = 0;

    if (reg->constants) {
        return reg->constants[index];
    }
    if (reg->field != REGISTER_NO_FIELD) {
        memcpy(&value, (char *)device + reg->field + index * reg->width, reg->width);
    }
    return value;
}

static void store_field(Device *device, const Register *reg, unsigned index, uint64_t value)
{
    if (reg->field != REGISTER_NO_FIELD) {
        memcpy((char *)device + reg->field + index * reg->width, &value, reg->width);
    }
}

static void format_name(const Register *reg, unsigned index, const char *device, char *out,
                        size_t size)
{
    if (reg->count > 1) {
        snprintf(out, size, "%s.%s[%u]", device, reg->name, index);
    } else {
        snprintf(out, size, "%s.%s", device, reg->name);
    }
}

static void trace_access(const Device *device, const Register *reg, unsigned index,
                         const char *arrow, uint64_t value)
{
    char name[96];

    if (debug_wants(device->machine, DEBUG_DEVICE)) {
        debug_report(device->machine, vcpu_current(),
                     &(DebugEvent){ .kind = DEBUG_DEVICE,
                                    .write = arrow[0] == '<',
                                    .who = device->type->name,
                                    .name = reg->name,
                                    .number = index,
                                    .value = value });
    }

    if (log_enabled(LOG_TRACE)) {
        format_name(reg, index, device->type->name, name, sizeof(name));
        trace(name, "%s %#" PRIx64, arrow, value);
    }
}

/* What is read where nothing answers: ports float, and some devices' buses. */
static uint64_t nobody(const BankInstance *instance, unsigned size)
{
    return instance->bank->ports || instance->bank->ones ? bits_mask(size * 8) : 0;
}

static uint64_t read_register(const BankInstance *instance, const Register *reg, unsigned index)
{
    Device *device = instance->device;
    uint64_t value = 0;

    if (reg->access & REGISTER_R) {
        value = reg->read ? reg->read(device, index) : load_field(device, reg, index);
        value &= bits_mask(reg->width * 8);
    } else if (!(reg->access & REGISTER_QUIET)) {
        log_guest_error(device->type->name, "read of write-only register %s", reg->name);
        value = nobody(instance, reg->width);
    }
    trace_access(device, reg, index, "->", value);
    return value;
}

static void write_register(Device *device, const Register *reg, unsigned index, uint64_t value)
{
    uint64_t old, mask = reg->writable ? reg->writable : UINT64_MAX;

    trace_access(device, reg, index, "<-", value);
    if (!(reg->access & REGISTER_W)) {
        if (!(reg->access & REGISTER_QUIET)) {
            log_guest_error(device->type->name, "write of %#" PRIx64 " to read-only register %s",
                            value, reg->name);
        }
        return;
    }
    if (reg->write) {
        reg->write(device, index, value);
        return;
    }
    old = load_field(device, reg, index);
    if ((reg->access & REGISTER_W1C) == REGISTER_W1C) {
        value = old & ~(value & mask);
    } else {
        value = (old & ~mask) | (value & mask);
    }
    store_field(device, reg, index, value);
}

/* What a partial write leaves in the bytes that it does not cover. */
static uint64_t value_around_write(Device *device, const Register *reg, unsigned index)
{
    bool clears = (reg->access & REGISTER_W1C) == REGISTER_W1C;

    return clears ? 0 : load_field(device, reg, index);
}

static void log_reserved(Device *device, bool is_write, uint64_t offset, unsigned size)
{
    log_guest_error(device->type->name, "%s of %u bytes at reserved offset %#" PRIx64,
                    is_write ? "write" : "read", size, offset);
}

/*
 * Walks the registers that [offset, offset + size) touches. An access narrower than a register takes
 * part of it, a wider one several, or one of REGISTER_REPEAT several times.
 */
static MemoryResult bank_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    BankInstance *instance = opaque;
    unsigned done = 0;

    *value = 0;
    while (done < size) {
        unsigned index, into, bytes;
        const Register *reg = find_register(instance, offset, size - done, REGISTER_R, &index);
        uint64_t part;

        if (!reg) {
            log_reserved(instance->device, false, offset, size - done);
            *value |= nobody(instance, size - done) << (done * 8);
            return MEMORY_OK;
        }
        into = (offset - reg->offset) % element_stride(reg);
        bytes = MIN(reg->width - into, size - done);
        part = read_register(instance, reg, index) >> (into * 8);
        *value |= (part & bits_mask(bytes * 8)) << (done * 8);
        done += bytes;
        offset += reg->access & REGISTER_REPEAT ? 0 : bytes;
    }
    return MEMORY_OK;
}

static MemoryResult bank_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    BankInstance *instance = opaque;
    unsigned done = 0;

    while (done < size) {
        unsigned index, into, bytes;
        const Register *reg = find_register(instance, offset, size - done, REGISTER_W, &index);
        uint64_t part = value >> (done * 8);

        if (!reg) {
            log_reserved(instance->device, true, offset, size - done);
            return MEMORY_OK;
        }
        into = (offset - reg->offset) % element_stride(reg);
        bytes = MIN(reg->width - into, size - done);
        if (bytes < reg->width) {
            uint64_t around = value_around_write(instance->device, reg, index);

            part = bits_deposit(around, into * 8, bytes * 8, part & bits_mask(bytes * 8));
        }
        write_register(instance->device, reg, index, part & bits_mask(reg->width * 8));
        done += bytes;
        offset += reg->access & REGISTER_REPEAT ? 0 : bytes;
    }
    return MEMORY_OK;
}

static int compare_registers(const void *a, const void *b)
{
    const Register *x = *(const Register *const *)a, *y = *(const Register *const *)b;

    if (x->offset != y->offset) {
        return x->offset < y->offset ? -1 : 1;
    }
    return x < y ? -1 : x > y; /* the table's order */
}

static unsigned count_registers(const RegisterBank *bank)
{
    unsigned count = 0;

    while (bank->registers && bank->registers[count].name) {
        count++;
    }
    return count;
}

/* NULL: there are none. */
static const MemoryPlace *late_places(Device *device, const RegisterBank *bank)
{
    MemoryPlace *places = NULL;
    unsigned count = 0;

    for (const Register *reg = bank->registers; reg && reg->name; reg++) {
        if (reg->access & REGISTER_LATE) {
            places = g_renew(MemoryPlace, places, count + 2);
            places[count++] = (MemoryPlace){ (uint32_t)reg->offset, reg->width };
            places[count] = (MemoryPlace){ 0 };
        }
    }
    if (places) {
        device->owned = g_slist_prepend(device->owned, places);
    }
    return places;
}

void register_bank_init(Device *device, MemoryRegion *region, const RegisterBank *bank)
{
    unsigned count = count_registers(bank);
    BankInstance *instance;

    instance = g_malloc0(sizeof(*instance) + count * sizeof(instance->sorted[0]));
    instance->device = device;
    instance->bank = bank;
    instance->count = count;
    instance->ops = (MemoryOps){
        .read = bank_read,
        .write = bank_write,
        .size_min = bank->size_min,
        .size_max = bank->size_max,
        .whole = bank->whole,
        .strict = bank->strict,
        .lock_free = bank->lock_free,
        .late = late_places(device, bank),
    };
    for (unsigned i = 0; i < count; i++) {
        instance->sorted[i] = &bank->registers[i];
    }
    qsort(instance->sorted, count, sizeof(instance->sorted[0]), compare_registers);
    device->owned = g_slist_prepend(device->owned, instance);
    memory_region_init_io(region, device->machine, bank->name, bank->size, &instance->ops,
                          instance);
}

void register_bank_reset(Device *device, const RegisterBank *bank)
{
    unsigned count = count_registers(bank);

    /* Backwards: of several registers that share a field, the first has the last word. */
    while (count-- > 0) {
        const Register *reg = &bank->registers[count];

        for (unsigned i = 0; i < element_count(reg); i++) {
            store_field(device, reg, i, reg->reset);
        }
    }
}

bool register_name(const MemoryRegion *region, uint64_t offset, unsigned size, char *name,
                   size_t name_size)
{
    const BankInstance *instance = region->opaque;
    const Register *reg;
    unsigned index = 0;

    if (region->kind != MEMORY_IO || !region->ops || region->ops->read != bank_read) {
        return false;
    }
    reg = find_register(instance, offset, size, UINT8_MAX, &index);
    if (reg) {
        format_name(reg, index, instance->device->type->name, name, name_size);
    }
    return reg;
}
