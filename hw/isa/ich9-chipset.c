/* SPDX-License-Identifier: MIT */
/* Chipset configuration registers of ICH9 (data sheet 316972, 10.1): 16 KiB of memory at RCBA. */
#include "hw/isa/ich9.h"

enum {
    RCBA_SIZE = 0x4000,
    D31IP = 0x3100, /* which pin each function of slots 31 to 25 has */
    D31IR = 0x3140, /* where those pins go */
    OIC = 0x31fe,
    HPTC = 0x3404,
    GCS = 0x3410,

    GCS_NO_REBOOT = 1 << 5,
    ROUTE_DEFAULT = 0x3210, /* INTA to INTD are PIRQA to PIRQD */
    ROUTE_BRIDGE = 0x7654,  /* slot 30, whose register is not for writing: PIRQE to PIRQH */
    OIC_APIC_ENABLE = 1 << 8,
    HPTC_ENABLE = 1 << 7,
    BRIDGE_SLOT = 30,
};

/* Where the routes of slots 25 to 31 are, from D31IR on. */
static const uint8_t route_offsets[] = { 0x10, 0x0c, 0x08, 0x06, 0x04, 0x02, 0x00 };

static const uint32_t pins[] = { 0x03243200, 0, 0x10004321, 0x00214321, 1, 0x30000321, 1 };

unsigned ich9_pirq_of_wire(const Ich9Lpc *lpc, unsigned wire)
{
    unsigned slot = (wire - ICH9_PINS) / ICH9_PINS, pin = wire % ICH9_PINS;

    return wire < ICH9_PINS ? ICH9_PIRQ_E + wire : lpc->routes[slot] >> 4 * pin & 7;
}

static int route_at(unsigned offset)
{
    for (unsigned i = 0; i < ARRAY_SIZE(route_offsets); i++) {
        if (offset == (unsigned)D31IR + route_offsets[i]) {
            return (int)i;
        }
    }
    return -1;
}

/* Registers in units of 16 bits. */
static uint16_t read_word(const Ich9Lpc *lpc, unsigned offset)
{
    int route = route_at(offset);
    unsigned pin = (offset - D31IP) / 4;

    if (route >= 0) {
        return lpc->routes[route];
    }
    if (offset >= D31IP && pin < ARRAY_SIZE(pins)) {
        return (uint16_t)(pins[pin] >> (offset & 2) * 8);
    }
    switch (offset) {
    case OIC:
        return lpc->io_apic_config;
    case HPTC:
        return (uint16_t)lpc->hpet_config;
    case GCS:
        return lpc->tco.no_reboot || lpc->no_reboot_strap ? GCS_NO_REBOOT : 0;
    default:
        return 0;
    }
}

static void write_word(Ich9Lpc *lpc, unsigned offset, uint16_t value)
{
    int route = route_at(offset);

    if (route >= 0 && route + ICH9_OWN_SLOT != BRIDGE_SLOT) {
        lpc->routes[route] = value & 0x7777;
        ich9_update_lines(lpc);
        return;
    }
    switch (offset) {
    case OIC:
        lpc->io_apic_config = value;
        break;
    case HPTC:
        lpc->hpet_config = value & (HPTC_ENABLE | 3);
        break;
    case GCS:
        lpc->tco.no_reboot = value & GCS_NO_REBOOT || lpc->no_reboot_strap;
        break;
    default:
        break;
    }
}

static MemoryResult chipset_read(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                 MemoryAttributes attributes)
{
    unsigned word = (unsigned)offset & ~1u;

    *value = size == 4 ? read_word(opaque, word) | (uint64_t)read_word(opaque, word + 2) << 16
                       : read_word(opaque, word) >> (offset & 1) * 8 & bits_mask(size * 8);
    return MEMORY_OK;
}

static MemoryResult chipset_write(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                  MemoryAttributes attributes)
{
    unsigned word = (unsigned)offset & ~1u, shift = (unsigned)(offset & 1) * 8;

    if (size == 1) {
        unsigned other = read_word(opaque, word) & ~(0xffu << shift);

        write_word(opaque, word, (uint16_t)(other | (unsigned)value << shift));
        return MEMORY_OK;
    }
    write_word(opaque, word, (uint16_t)value);
    if (size == 4) {
        write_word(opaque, word + 2, (uint16_t)(value >> 16));
    }
    return MEMORY_OK;
}

static const MemoryOps chipset_ops = { .read = chipset_read,
                                       .write = chipset_write,
                                       .size_max = 4 };

void ich9_chipset_init(Ich9Lpc *lpc)
{
    memory_region_init_io(&lpc->rcba, lpc->pci.device.machine, "chipset-configuration", RCBA_SIZE,
                          &chipset_ops, lpc);
}

void ich9_chipset_reset(Ich9Lpc *lpc)
{
    for (unsigned i = 0; i < ARRAY_SIZE(lpc->routes); i++) {
        lpc->routes[i] = i + ICH9_OWN_SLOT == BRIDGE_SLOT ? ROUTE_BRIDGE : ROUTE_DEFAULT;
    }
    lpc->io_apic_config = OIC_APIC_ENABLE;
    lpc->hpet_config = HPTC_ENABLE;
    lpc->tco.no_reboot = lpc->no_reboot_strap;
}
