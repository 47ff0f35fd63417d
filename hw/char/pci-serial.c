/* SPDX-License-Identifier: MIT */
/*
 * pci-serial, pci-serial-2x, pci-serial-4x: 16550As on a PCI card with one interrupt pin. Each has eight ports of BAR 0, one behind the
 * other (QEMU's docs/specs/pci-serial.rst). The UARTs are devices of their own below the card.
 */
#include "hw/char/serial.h"
#include "hw/pci/pci.h"

enum {
    VENDOR = 0x1b36,
    CLASS_SERIAL = 0x0700,

    REVISION = 1,
    UARTS_MOST = 4,
};

typedef struct {
    Serial serial;
} Uart;

static Uart *uart(Device *device)
{
    return container_of(device, Uart, serial.device);
}

static bool uart_realize(Device *device, GError **error)
{
    return serial_realize(&uart(device)->serial, error);
}

static void uart_unrealize(Device *device)
{
    serial_unrealize(&uart(device)->serial);
}

static void uart_reset(Device *device)
{
    serial_reset(&uart(device)->serial);
}

static void uart_state_loaded(Device *device)
{
    serial_state_loaded(&uart(device)->serial);
}

static const DeviceType uart_type = {
    .name = "serial-uart",
    .summary = "16550A, a part of a card",
    .category = "input",
    .instance_size = sizeof(Uart),
    .state_version = SERIAL_TIMEOUT_VERSION,
    .state = (const StateField[]){ SERIAL_STATE(Uart, serial), { 0 } },
    .banks = (const RegisterBank[]){ { .name = "serial-uart",
                                       .size = SERIAL_PORTS,
                                       .registers = serial_registers,
                                       .ports = true },
                                     { 0 } },
    .realize = uart_realize,
    .unrealize = uart_unrealize,
    .reset = uart_reset,
    .state_loaded = uart_state_loaded,
};
DEVICE_TYPE(uart_type);

typedef struct {
    PciDevice pci; /* first */
    MemoryRegion bar;
    Chardev *chardevs[UARTS_MOST];
    uint8_t interface;
    uint32_t raised; /* a bit for each UART that interrupts */
} PciSerial;

static PciSerial *pci_serial(Device *device)
{
    return container_of(pci_device(device), PciSerial, pci);
}

static void set_irq(void *opaque, int number, int level)
{
    PciSerial *card = opaque;
    uint32_t bit = UINT32_C(1) << number;

    card->raised = level ? card->raised | bit : card->raised & ~bit;
    pci_set_irq(&card->pci, card->raised != 0);
}

static bool add_uart(PciSerial *card, unsigned i, GError **error)
{
    Device *device = &card->pci.device;
    g_autofree char *id = g_strdup_printf("%s-uart%u", device->id, i);
    Device *child = device_create(device->machine, device, "serial-uart", NULL, id, error);

    if (!child) {
        return false;
    }
    uart(child)->serial.chardev = card->chardevs[i];
    if (!device_realize(child, error)) {
        return false;
    }
    device_connect_irq(child, 0, set_irq, card, (int)i);
    memory_region_add(&card->bar, (uint64_t)i * SERIAL_PORTS, device_io(child, 0), 0);
    return true;
}

static bool realize_card(Device *device, uint16_t number, unsigned uarts, GError **error)
{
    PciSerial *card = pci_serial(device);

    pci_set_identity(&card->pci, VENDOR, number, CLASS_SERIAL << 8 | card->interface, REVISION);
    pci_set_interrupt_pin(&card->pci, 1);
    memory_region_init_container(&card->bar, device->machine, device->type->name,
                                 (uint64_t)uarts * SERIAL_PORTS);
    for (unsigned i = 0; i < uarts; i++) {
        if (!add_uart(card, i, error)) {
            return false;
        }
    }
    pci_add_bar(&card->pci, 0, PCI_BAR_IO, false, &card->bar);
    return true;
}

static bool realize_1(Device *device, GError **error)
{
    return realize_card(device, 2, 1, error);
}

static bool realize_2(Device *device, GError **error)
{
    return realize_card(device, 3, 2, error);
}

static bool realize_4(Device *device, GError **error)
{
    return realize_card(device, 4, 4, error);
}

static void reset(Device *device)
{
    pci_serial(device)->raised = 0; /* the UARTs have been reset */
    pci_reset(pci_device(device));
}

static void state_loaded(Device *device)
{
    pci_state_loaded(pci_device(device));
}

#define CHARDEV(name, i)                                                                           \
    {                                                                                              \
        name, PROPERTY_CHARDEV, offsetof(PciSerial, chardevs[i]), "the serial line's other end"    \
    }
#define INTERFACE                                                                                  \
    {                                                                                              \
        "prog_if", PROPERTY_U8, offsetof(PciSerial, interface),                                    \
            "the class code's last byte: what UART this is", "2"                                   \
    }

static const Property properties_1[] = { CHARDEV("chardev", 0), INTERFACE, { 0 } };
static const Property properties_2[] = {
    CHARDEV("chardev1", 0), CHARDEV("chardev2", 1), INTERFACE, { 0 }
};
static const Property properties_4[] = { CHARDEV("chardev1", 0),
                                         CHARDEV("chardev2", 1),
                                         CHARDEV("chardev3", 2),
                                         CHARDEV("chardev4", 3),
                                         INTERFACE,
                                         { 0 } };
static const Property bus_properties[] = { PCI_PROPERTIES(PciSerial, pci), { 0 } };
static const StateField state[] = { PCI_STATE(PciSerial, pci), STATE(PciSerial, raised), { 0 } };

#define PCI_SERIAL(variable, type_name, text, uarts)                                               \
    static const DeviceType variable = {                                                           \
        .name = type_name,                                                                         \
        .summary = text,                                                                           \
        .bus = "pci",                                                                              \
        .category = "input",                                                                       \
        .instance_size = sizeof(PciSerial),                                                        \
        .properties = properties_##uarts,                                                          \
        .bus_properties = bus_properties,                                                          \
        .state = state,                                                                            \
        .realize = realize_##uarts,                                                                \
        .reset = reset,                                                                            \
        .state_loaded = state_loaded,                                                              \
    };                                                                                             \
    DEVICE_TYPE(variable)

PCI_SERIAL(pci_serial_type, "pci-serial", "16550A serial port on PCI", 1);
PCI_SERIAL(pci_serial_2x_type, "pci-serial-2x", "Two 16550A serial ports on PCI", 2);
PCI_SERIAL(pci_serial_4x_type, "pci-serial-4x", "Four 16550A serial ports on PCI", 4);
