/* SPDX-License-Identifier: MIT */
/*
 * ARM Generic Interrupt Controller, architecture version 3 (ARM IHI 0069): distributor (mmio 0), one
 * redistributor per vCPU (mmio 1, and mmio 2 for those that a second region has) and the CPU interface as
 * system registers.
 *
 * One security state (GICD_CTLR.DS is 1), affinity routing always on, no LPIs, no ITS, no
 * virtualization, no 1-of-N distribution.
 */
#include "hw/irq/gicv3.h"

/* PIDR4..7, PIDR0..3, CIDR0..3; PIDR2 bits 7:4 say GICv3. */
static const uint8_t id_registers[] = {
    0x44, 0, 0, 0, 0x92, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1
};

uint32_t gicv3_id_register(uint32_t offset)
{
    uint32_t index = (offset - GICV3_ID_REGISTERS) / 4;

    return index < ARRAY_SIZE(id_registers) ? id_registers[index] : 0;
}

static void gicv3_input(void *opaque, int number, int level)
{
    gic_core_input(&((GicV3 *)opaque)->core, number, level);
}

/* --- accesses of 1 to 8 bytes, by words --- */

typedef uint32_t ReadWord(GicV3 *gic, uint32_t offset);
typedef void WriteWord(GicV3 *gic, uint32_t offset, uint32_t value, uint32_t mask);

static MemoryResult read_words(GicV3 *gic, ReadWord *read, uint64_t offset, uint64_t *value,
                               unsigned size)
{
    uint32_t aligned = (uint32_t)align_down(offset, 4);

    pthread_mutex_lock(&gic->core.lock);
    *value = read(gic, aligned);
    if (size == 8) {
        *value |= (uint64_t)read(gic, aligned + 4) << 32;
    }
    pthread_mutex_unlock(&gic->core.lock);
    *value = *value >> offset % 4 * 8 & bits_mask(size * 8);
    trace(gic->device.id, "%s %#x -> %#llx", read == gicv3_dist_read_word ? "GICD" : "GICR",
          (unsigned)offset, (unsigned long long)*value);
    return MEMORY_OK;
}

static MemoryResult write_words(GicV3 *gic, WriteWord *write, uint64_t offset, uint64_t value,
                                unsigned size)
{
    uint32_t aligned = (uint32_t)align_down(offset, 4);
    uint64_t mask = bits_mask(size * 8) << offset % 4 * 8;

    trace(gic->device.id, "%s %#x <- %#llx", write == gicv3_dist_write_word ? "GICD" : "GICR",
          (unsigned)offset, (unsigned long long)value);
    value = value << offset % 4 * 8 & mask;
    pthread_mutex_lock(&gic->core.lock);
    write(gic, aligned, (uint32_t)value, (uint32_t)mask);
    if (size == 8) {
        write(gic, aligned + 4, (uint32_t)(value >> 32), UINT32_MAX);
    }
    pthread_mutex_unlock(&gic->core.lock);
    return MEMORY_OK;
}

static MemoryResult dist_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                              MemoryAttributes attributes)
{
    return read_words(opaque, gicv3_dist_read_word, offset, value, size);
}

static MemoryResult dist_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                               MemoryAttributes attributes)
{
    return write_words(opaque, gicv3_dist_write_word, offset, value, size);
}

static MemoryResult redist_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                MemoryAttributes attributes)
{
    const GicV3Region *region = opaque;

    return read_words(region->gic, gicv3_redist_read_word,
                      offset + (uint64_t)region->first * GICV3_REDIST_STRIDE, value, size);
}

static MemoryResult redist_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                 MemoryAttributes attributes)
{
    const GicV3Region *region = opaque;

    return write_words(region->gic, gicv3_redist_write_word,
                       offset + (uint64_t)region->first * GICV3_REDIST_STRIDE, value, size);
}

static const MemoryOps gicv3_dist_ops = {
    .read = dist_read,
    .write = dist_write,
    .size_min = 1,
    .size_max = 8,
    .lock_free = true,
};

static const MemoryOps gicv3_redist_ops = {
    .read = redist_read,
    .write = redist_write,
    .size_min = 1,
    .size_max = 8,
    .lock_free = true,
};

/* --- the device --- */

static void add_redistributors(GicV3 *gic, unsigned index, unsigned first, unsigned end)
{
    GicV3Region *region = &gic->redist[index];

    region->gic = gic;
    region->first = first;
    if (first < end) {
        memory_region_init_io(
            &region->mmio, gic->device.machine, index ? "gicv3-redist-2" : "gicv3-redist",
            (uint64_t)(end - first) * GICV3_REDIST_STRIDE, &gicv3_redist_ops, region);
        device_add_mmio(&gic->device, &region->mmio);
    }
}

static bool gicv3_realize(Device *device, GError **error)
{
    GicV3 *gic = container_of(device, GicV3, device);
    unsigned first =
        gic->first_region_cpus ? MIN(gic->first_region_cpus, gic->num_cpu) : gic->num_cpu;

    gic->core.affinity_routing = true;
    if (!gic_core_realize(&gic->core, device, gic->num_cpu, GIC_MAX_CPUS, gic->num_irq, error)) {
        return false;
    }
    memory_region_init_io(&gic->dist, device->machine, "gicv3-dist", GICV3_DIST_SIZE,
                          &gicv3_dist_ops, gic);
    device_add_mmio(device, &gic->dist);
    add_redistributors(gic, 0, 0, first);
    add_redistributors(gic, 1, first, gic->num_cpu);
    machine_add_external_registers(device->machine, gicv3_cpu_registers, gic);
    return true;
}

static void gicv3_unrealize(Device *device)
{
    gic_core_unrealize(&container_of(device, GicV3, device)->core);
}

static void gicv3_reset(Device *device)
{
    GicV3 *gic = container_of(device, GicV3, device);

    gic_core_reset(&gic->core);
    for (unsigned cpu = 0; cpu < gic->core.cpus; cpu++) {
        gic->core.cpu[cpu].waker = 6; /* ProcessorSleep, ChildrenAsleep */
        gic->core.cpu[cpu].group0_is_fiq = true;
    }
    /* IROUTER resets to an unknown value: affinity 0 is CPU 0. */
    memset(gic->route, 0, sizeof gic->route);
    for (unsigned word = 1; word < GIC_MAX_WORDS; word++) {
        gic->core.cpu[0].target[word] = UINT32_MAX;
    }
}

static void gicv3_state_loaded(Device *device)
{
    gic_core_restore_outputs(&container_of(device, GicV3, device)->core);
}

static void gicv3_describe_interrupts(Device *device, const Vcpu *vcpu, GString *out)
{
    gic_core_describe(&((GicV3 *)(void *)device)->core, "gicv3", vcpu, out);
}

static void gicv3_explain_interrupt(Device *device, unsigned number, IrqChain *chain)
{
    gic_core_explain(&((GicV3 *)(void *)device)->core, "gicv3", number, chain);
}

static const DeviceType gicv3_type = {
    .name = "arm-gicv3",
    .summary = "ARM Generic Interrupt Controller version 3",
    .board_only = true,
    .instance_size = sizeof(GicV3),
    .properties =
        (const Property[]){
            { "num-cpu", PROPERTY_U32, offsetof(GicV3, num_cpu), "redistributors, 1 to 512", "1" },
            { "first-region-cpus", PROPERTY_U32, offsetof(GicV3, first_region_cpus),
              "redistributors in the first region, the rest are in a "
              "second; 0: all",
              "0" },
            { "num-irq", PROPERTY_U32, offsetof(GicV3, num_irq),
              "interrupts, counting 32 private ones", "96" },
            { 0 } },
    .state = (const StateField[]){ GIC_CORE_STATE(GicV3), STATE(GicV3, route), { 0 } },
    .input = gicv3_input,
    .describe_interrupts = gicv3_describe_interrupts,
    .explain_interrupt = gicv3_explain_interrupt,
    .realize = gicv3_realize,
    .unrealize = gicv3_unrealize,
    .reset = gicv3_reset,
    .state_loaded = gicv3_state_loaded,
};
DEVICE_TYPE(gicv3_type);
