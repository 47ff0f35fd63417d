/* SPDX-License-Identifier: MIT */
/*
 * GICv2m: a frame whose SETSPI register turns message-signalled interrupts into edge-triggered SPIs
 * (ARM Server Base System Architecture, appendix "GICv2m architecture").
 *
 * Output 0 stands for all of them: its number is that of the first SPI of the frame, and SPI n is
 * signalled through the same handler with number + n.
 */
#include "base/error.h"
#include "machine/device.h"

enum { MSI_TYPER = 0x008, MSI_SETSPI_NS = 0x040, MSI_IIDR = 0xfcc, FRAME_SIZE = 0x1000 };

typedef struct {
    Device device;
    IrqLine spis;
    uint32_t base_spi, num_spi; /* properties */
    MemoryRegion frame;
} GicV2m;

static MemoryResult gicv2m_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                MemoryAttributes attributes)
{
    const GicV2m *m = opaque;

    switch (offset) {
    case MSI_TYPER:
        *value = (32 + m->base_spi) << 16 | m->num_spi;
        break;
    case MSI_IIDR:
        *value = 0x43b; /* ARM */
        break;
    default:
        *value = 0;
        if (offset != MSI_SETSPI_NS && offset < 0xfd0) {
            log_guest_error(m->device.id, "read of offset %#x", (unsigned)offset);
        }
    }
    return MEMORY_OK;
}

static MemoryResult gicv2m_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                 MemoryAttributes attributes)
{
    const GicV2m *m = opaque;
    uint64_t spi = (value & 0x3ff) - 32 - m->base_spi;

    trace(m->device.id, "%#x <- %#x", (unsigned)offset, (unsigned)value);
    if (offset != MSI_SETSPI_NS || spi >= m->num_spi) {
        log_guest_error(m->device.id, "write of %#x to offset %#x", (unsigned)value,
                        (unsigned)offset);
    } else if (m->spis.handler) {
        m->spis.handler(m->spis.opaque, m->spis.number + (int)spi, 1);
        m->spis.handler(m->spis.opaque, m->spis.number + (int)spi, 0);
    }
    return MEMORY_OK;
}

/* Needs no lock: nothing here changes, and the interrupt controller has its own. */
static const MemoryOps gicv2m_ops = {
    .read = gicv2m_read,
    .write = gicv2m_write,
    .size_min = 4,
    .size_max = 4,
    .lock_free = true,
};

static bool gicv2m_realize(Device *device, GError **error)
{
    GicV2m *m = container_of(device, GicV2m, device);

    if (m->num_spi == 0 || m->base_spi + (uint64_t)m->num_spi > 1020 - 32) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "gicv2m: base-spi=%u with num-spi=%u is not within SPIs 0 to 987",
                          m->base_spi, m->num_spi);
    }
    memory_region_init_io(&m->frame, device->machine, "gicv2m", FRAME_SIZE, &gicv2m_ops, m);
    device_add_mmio(device, &m->frame);
    device_add_irq(device, &m->spis);
    return true;
}

static const DeviceType gicv2m_type = {
    .name = "arm-gicv2m",
    .summary = "GICv2m frame: message-signalled interrupts to SPIs",
    .board_only = true,
    .instance_size = sizeof(GicV2m),
    .properties =
        (const Property[]){
            { "base-spi", PROPERTY_U32, offsetof(GicV2m, base_spi), "first SPI of the frame" },
            { "num-spi", PROPERTY_U32, offsetof(GicV2m, num_spi), "how many SPIs it has", "64" },
            { 0 } },
    .realize = gicv2m_realize,
};
DEVICE_TYPE(gicv2m_type);
