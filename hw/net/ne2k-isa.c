/* SPDX-License-Identifier: MIT */
/* ne2k_isa: an NE2000 on the ISA bus. */
#include "hw/isa/isa.h"
#include "hw/net/ne2000.h"

typedef struct {
    Device device; /* first */
    IrqLine irq;
    Ne2000 ne2000;
    /* Properties. */
    uint32_t iobase, irq_number;
} Ne2kIsa;

static Ne2kIsa *ne2k_isa(Device *device)
{
    return container_of(device, Ne2kIsa, device);
}

static void set_irq(Device *device, bool level)
{
    irq_set(&ne2k_isa(device)->irq, level);
}

static bool ne2k_isa_realize(Device *device, GError **error)
{
    Ne2kIsa *card = ne2k_isa(device);

    if (!ne2000_realize(&card->ne2000, device, set_irq, error)) {
        return false;
    }
    device_add_io(device, &card->ne2000.region);
    device_add_irq(device, &card->irq);
    if (!isa_place(device, card->iobase, card->irq_number, error)) {
        ne2000_unrealize(&card->ne2000);
        return false;
    }
    return true;
}

static void ne2k_isa_unrealize(Device *device)
{
    ne2000_unrealize(&ne2k_isa(device)->ne2000);
}

static void ne2k_isa_reset(Device *device)
{
    ne2000_reset(&ne2k_isa(device)->ne2000);
}

static void ne2k_isa_state_loaded(Device *device)
{
    ne2000_state_loaded(&ne2k_isa(device)->ne2000);
}

static const Property ne2k_isa_properties[] = {
    { "iobase", PROPERTY_U32, offsetof(Ne2kIsa, iobase), "first port", "0x300" },
    { "irq", PROPERTY_U32, offsetof(Ne2kIsa, irq_number), "interrupt line", "9" },
    NE2000_PROPERTIES(Ne2kIsa, ne2000),
    { 0 },
};

static const StateField ne2k_isa_state[] = { NE2000_STATE(Ne2kIsa, ne2000), { 0 } };

static const DeviceType ne2k_isa_type = {
    .name = "ne2k_isa",
    .summary = "NE2000 Ethernet on ISA",
    .bus = "isa",
    .category = "network",
    .instance_size = sizeof(Ne2kIsa),
    .properties = ne2k_isa_properties,
    .state = ne2k_isa_state,
    .realize = ne2k_isa_realize,
    .unrealize = ne2k_isa_unrealize,
    .reset = ne2k_isa_reset,
    .state_loaded = ne2k_isa_state_loaded,
};
DEVICE_TYPE(ne2k_isa_type);
