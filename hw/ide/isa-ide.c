/* SPDX-License-Identifier: MIT */
/* isa-ide: an ATA channel on the ISA bus, as the PC/AT had it. There is no DMA: commands for it end with an error. */
#include "base/error.h"
#include "hw/ide/ide.h"
#include "hw/isa/isa.h"
#include "machine/machine.h"

typedef struct {
    Device device; /* first */
    IdeChannel channel;
    MemoryRegion command, control;
    IrqLine irq;
    /* Properties. */
    uint32_t iobase, iobase2, irq_number;
} IsaIde;

static IsaIde *isa_ide(Device *device)
{
    return container_of(device, IsaIde, device);
}

static bool started(IdeChannel *channel)
{
    return true;
}

static uint64_t gather(IdeChannel *channel, uint64_t bytes, bool to_memory, struct iovec *iov,
                       unsigned *count)
{
    *count = 0;
    return 0;
}

static void advance(IdeChannel *channel, uint64_t bytes, bool to_memory)
{
}

static uint64_t copy(IdeChannel *channel, void *buffer, uint64_t bytes, bool to_memory)
{
    return 0;
}

static void finished(IdeChannel *channel)
{
}

static void ran_out(IdeChannel *channel)
{
    ide_fail(channel->drives[channel->selected & 1], IDE_ERROR_ABRT);
}

static void set_irq(IdeChannel *channel, bool level)
{
    irq_set(&container_of(channel, IsaIde, channel)->irq, level);
}

static const IdeControllerOps ops = {
    .started = started,
    .gather = gather,
    .advance = advance,
    .copy = copy,
    .finished = finished,
    .ran_out = ran_out,
    .set_irq = set_irq,
};

static bool isa_ide_realize(Device *device, GError **error)
{
    IsaIde *ide = isa_ide(device);
    unsigned number = isa_count_of_type(device);
    g_autofree char *name = g_strdup_printf("ide.%u", number);

    if (ide->iobase + 8 > 0x10000 || ide->iobase2 >= 0x10000) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "isa-ide: iobase=%#x,iobase2=%#x are not ports up to 0xffff", ide->iobase,
                          ide->iobase2);
    }
    ide_channel_init(&ide->channel, device, name, number, &ops);
    ide_ports_init(&ide->channel, &ide->command, &ide->control);
    device_add_io(device, &ide->command);
    device_add_io(device, &ide->control);
    device_add_irq(device, &ide->irq);
    if (!isa_connect_irq(device, 0, ide->irq_number, error)) {
        return false;
    }
    isa_map_io(device, 0, (uint16_t)ide->iobase);
    isa_map_io(device, 1, (uint16_t)ide->iobase2);
    return true;
}

static void isa_ide_reset(Device *device)
{
    ide_channel_reset(&isa_ide(device)->channel);
}

static void isa_ide_state_loaded(Device *device)
{
    irq_set(&isa_ide(device)->irq, isa_ide(device)->channel.irq_level);
}

static const Property isa_ide_properties[] = {
    { "iobase", PROPERTY_U32, offsetof(IsaIde, iobase), "first port of the command block",
      "0x1f0" },
    { "iobase2", PROPERTY_U32, offsetof(IsaIde, iobase2), "control port", "0x3f6" },
    { "irq", PROPERTY_U32, offsetof(IsaIde, irq_number), "interrupt line", "14" },
    { 0 },
};

static const StateField isa_ide_state[] = {
    STATE(IsaIde, channel.control),
    STATE_MOST(IsaIde, channel.selected, 1),
    STATE(IsaIde, channel.irq_level),
    { 0 },
};

static const DeviceType isa_ide_type = {
    .name = "isa-ide",
    .summary = "ATA channel on ISA",
    .bus = "isa",
    .category = "storage",
    .instance_size = sizeof(IsaIde),
    .properties = isa_ide_properties,
    .state = isa_ide_state,
    .realize = isa_ide_realize,
    .reset = isa_ide_reset,
    .state_loaded = isa_ide_state_loaded,
};
DEVICE_TYPE(isa_ide_type);
