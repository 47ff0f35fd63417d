/* SPDX-License-Identifier: MIT */
/* Features (NVM Express 1.4, 5.21.1). None can be saved; a reset makes them anew. */
#include "hw/nvme/nvme.h"
#include "machine/clock.h"
#include "machine/machine.h"

enum {
    ARBITRATION = 0x01,
    POWER = 0x02,
    TEMPERATURE = 0x04,
    ERROR_RECOVERY = 0x05,
    WRITE_CACHE = 0x06,
    QUEUES = 0x07,
    COALESCING = 0x08,
    VECTOR = 0x09,
    WRITE_ATOMICITY = 0x0a,
    EVENTS = 0x0b,
    TIMESTAMP = 0x0e,

    VECTOR_UNCOALESCED = 1 << 16,
    SENSOR_SHIFT = 16,
    SENSOR_ALL = 15,
    UNDER_TEMPERATURE = 1,
    TIMESTAMP_BYTES = 8,
    TIMESTAMP_BY_HOST = 1 << 1,
    EVENT_ON_TEMPERATURE = 1 << 1, /* of EVENTS */
    WARM_EVENT = 1,
    SMART_LOG = 2,
    DEFAULT_OVER_TEMPERATURE = 343,
};
#define SAVE (UINT32_C(1) << 31)

void nvme_reset_features(Nvme *n)
{
    n->features = (NvmeFeatures){ .arbitration = 7, /* no limit to a burst */
                                  .over_temperature = DEFAULT_OVER_TEMPERATURE,
                                  .write_cache = true,
                                  .timestamp_set_ns = clock_now_ns(n->pci.device.machine) };
    n->warned_temperature = false;
}

/* A cache that the user's drive does not have stays off. */
void nvme_apply_write_cache(Nvme *n)
{
    for (unsigned i = 0; i < n->namespace_end; i++) {
        NvmeNamespace *ns = n->namespaces[i];

        if (ns) {
            block_set_write_cache(ns->disk.drive,
                                  ns->original_write_cache && n->features.write_cache);
        }
    }
}

bool nvme_too_warm(const Nvme *n)
{
    return NVME_TEMPERATURE >= n->features.over_temperature ||
           NVME_TEMPERATURE <= n->features.under_temperature;
}

static void look_at_temperature(Nvme *n)
{
    bool warm = nvme_too_warm(n);

    if (warm && !n->warned_temperature && n->features.event_config & EVENT_ON_TEMPERATURE) {
        nvme_event(n, NVME_EVENT_SMART, WARM_EVENT, SMART_LOG);
    }
    n->warned_temperature = warm;
}

/* The composite temperature is the only sensor. */
static uint16_t *threshold(Nvme *n, const NvmeCommand *c, bool setting)
{
    uint32_t sensor = nvme_dw(c, 11) >> SENSOR_SHIFT & 15, kind = nvme_dw(c, 11) >> 20 & 3;

    if ((sensor && !(setting && sensor == SENSOR_ALL)) || kind > UNDER_TEMPERATURE) {
        return NULL;
    }
    return kind == UNDER_TEMPERATURE ? &n->features.under_temperature
                                     : &n->features.over_temperature;
}

static bool any_io_queue(const Nvme *n)
{
    for (unsigned i = 1; i < n->queue_count; i++) {
        if (n->sqs[i].size || n->cqs[i].size) {
            return true;
        }
    }
    return false;
}

static uint32_t queues_result(const Nvme *n)
{
    uint32_t most = n->queue_count - 2; /* I/O queues, less one */

    return most << 16 | most;
}

static uint16_t set_queues(Nvme *n, uint32_t value, uint32_t *result)
{
    if (any_io_queue(n)) {
        return NVME_SEQUENCE_ERROR | NVME_DNR;
    }
    if ((value & 0xffff) == 0xffff || value >> 16 == 0xffff) {
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    *result = queues_result(n);
    return NVME_SUCCESS;
}

static uint16_t set_vector(Nvme *n, uint32_t value)
{
    uint32_t vector = value & 0xffff;
    uint8_t bit = (uint8_t)(1u << (vector % 8));

    if (vector >= MAX(n->pci.msix.vectors, 1)) {
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    if (value & VECTOR_UNCOALESCED) {
        n->features.uncoalesced[vector / 8] |= bit;
    } else {
        n->features.uncoalesced[vector / 8] &= (uint8_t)~bit;
    }
    return NVME_SUCCESS;
}

static uint64_t timestamp_ms(const Nvme *n)
{
    int64_t passed = clock_now_ns(n->pci.device.machine) - n->features.timestamp_set_ns;

    return (n->features.timestamp_ms + (uint64_t)passed / 1000000) & bits_mask(48);
}

static uint16_t set_timestamp(Nvme *n, const NvmeCommand *c)
{
    uint8_t bytes[TIMESTAMP_BYTES];
    uint16_t status = nvme_receive(n, c, bytes, sizeof bytes);

    if (!status) {
        n->features.timestamp_ms = load_le64(bytes) & bits_mask(48);
        n->features.timestamp_set_ns = clock_now_ns(n->pci.device.machine);
        n->features.timestamp_by_host = true;
    }
    return status;
}

static uint16_t get_timestamp(Nvme *n, const NvmeCommand *c)
{
    uint8_t bytes[TIMESTAMP_BYTES];

    store_le64(bytes, timestamp_ms(n));
    bytes[6] = n->features.timestamp_by_host ? TIMESTAMP_BY_HOST : 0;
    bytes[7] = 0;
    return nvme_send(n, c, bytes, sizeof bytes);
}

uint16_t nvme_set_feature(Nvme *n, const NvmeCommand *c, uint32_t *result)
{
    NvmeFeatures *f = &n->features;
    uint32_t value = nvme_dw(c, 11);
    uint16_t *limit;

    if (nvme_dw(c, 10) & SAVE) {
        return NVME_NOT_SAVEABLE | NVME_DNR;
    }
    switch (nvme_dw(c, 10) & 0xff) {
    case ARBITRATION:
        f->arbitration = value;
        return NVME_SUCCESS;
    case POWER:
        return value & 31 ? NVME_INVALID_FIELD | NVME_DNR : NVME_SUCCESS;
    case TEMPERATURE:
        limit = threshold(n, c, true);
        if (!limit) {
            return NVME_INVALID_FIELD | NVME_DNR;
        }
        *limit = (uint16_t)value;
        look_at_temperature(n);
        return NVME_SUCCESS;
    case ERROR_RECOVERY:
        f->error_recovery = value & 0xffff;
        return NVME_SUCCESS;
    case WRITE_CACHE:
        f->write_cache = value & 1;
        nvme_apply_write_cache(n);
        return NVME_SUCCESS;
    case QUEUES:
        return set_queues(n, value, result);
    case COALESCING:
        f->coalescing = value & 0xffff;
        return NVME_SUCCESS;
    case VECTOR:
        return set_vector(n, value);
    case WRITE_ATOMICITY:
        f->write_atomicity = value & 1;
        return NVME_SUCCESS;
    case EVENTS:
        f->event_config = value;
        look_at_temperature(n);
        return NVME_SUCCESS;
    case TIMESTAMP:
        return set_timestamp(n, c);
    default:
        return NVME_INVALID_FIELD | NVME_DNR;
    }
}

static uint16_t get_vector(const Nvme *n, uint32_t vector, uint32_t *result)
{
    if (vector >= MAX(n->pci.msix.vectors, 1)) {
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    *result =
        vector | (n->features.uncoalesced[vector / 8] >> (vector % 8) & 1 ? VECTOR_UNCOALESCED : 0);
    return NVME_SUCCESS;
}

uint16_t nvme_get_feature(Nvme *n, const NvmeCommand *c, uint32_t *result)
{
    const NvmeFeatures *f = &n->features;
    const uint16_t *limit;

    switch (nvme_dw(c, 10) & 0xff) {
    case ARBITRATION:
        *result = f->arbitration;
        return NVME_SUCCESS;
    case POWER:
        return NVME_SUCCESS;
    case TEMPERATURE:
        limit = threshold(n, c, false);
        *result = limit ? *limit : 0;
        return limit ? NVME_SUCCESS : NVME_INVALID_FIELD | NVME_DNR;
    case ERROR_RECOVERY:
        *result = f->error_recovery;
        return NVME_SUCCESS;
    case WRITE_CACHE:
        *result = f->write_cache;
        return NVME_SUCCESS;
    case QUEUES:
        *result = queues_result(n);
        return NVME_SUCCESS;
    case COALESCING:
        *result = f->coalescing;
        return NVME_SUCCESS;
    case VECTOR:
        return get_vector(n, nvme_dw(c, 11) & 0xffff, result);
    case WRITE_ATOMICITY:
        *result = f->write_atomicity;
        return NVME_SUCCESS;
    case EVENTS:
        *result = f->event_config;
        return NVME_SUCCESS;
    case TIMESTAMP:
        return get_timestamp(n, c);
    default:
        return NVME_INVALID_FIELD | NVME_DNR;
    }
}
