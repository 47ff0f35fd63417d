/* SPDX-License-Identifier: MIT */
/*
 * AMD Am79C970A PCnet-PCI II (19436): registers, initialization block, life. Control and status registers (CSR) and bus configuration
 * registers (BCR) are reached by an address register, in 16- or 32-bit mode.
 *
 * Not modelled: the media (10BASE-T, AUI) but for the link, magic packets, sleep, the EEPROM's wires and the parallel
 * interface's LEDs, test modes.
 */
#include "hw/net/pcnet.h"

#include <string.h>

#include "base/error.h"
#include "machine/machine.h"

enum {
    REGISTERS = 0x20,
    APROM_BYTES = 16,
    RDP = 0x10,
    CSR1 = 1,
    CSR2 = 2,
    CSR6 = 6,
    CSR_STYLE = 58,
    CSR_RCVRC = 72,
    CSR_XMTRC = 74,

    CSR0_CLEARED =
        CSR0_BABL | CSR0_CERR | CSR0_MISS | CSR0_MERR | CSR0_RINT | CSR0_TINT | CSR0_IDON,
    CSR3_WRITABLE = 0x5f7c,
    CSR4_STATUS = CSR4_MFCO | CSR4_UINT | CSR4_RCVCCO | CSR4_TXSTRT | CSR4_JAB,
    CSR4_MASKS = 0x0115,
    CSR5_WRITABLE = 0xc401 | 0x0156, /* with the enables of what never comes */
    MODE_KEPT = 0x21c4,

    RING_CODE_MAX = 9, /* 512 descriptors */
    BUS_CLOCK_NS = 30,
    LED_STATUS = 0x40, /* link */
    LED_OUT = 0x8000,
};

/* Ports in 16- and 32-bit mode are the same four, 2 or 4 bytes apart. */
typedef enum { PORT_RDP, PORT_RAP, PORT_RESET, PORT_BDP, PORT_COUNT } Port;

static Pcnet *pcnet(Device *device)
{
    return container_of(pci_device(device), Pcnet, pci);
}

/* Interrupts. */

static bool wants_interrupt(const Pcnet *p)
{
    uint16_t causes = p->csr[CSR0] & ~p->csr[CSR3] &
                      (CSR0_BABL | CSR0_MISS | CSR0_MERR | CSR0_RINT | CSR0_TINT | CSR0_IDON);
    uint16_t masked = (uint16_t)((p->csr[CSR4] & CSR4_MASKS) << 1); /* each mask is below its bit */

    return causes || p->csr[CSR4] & CSR4_STATUS & ~masked;
}

void pcnet_update_irq(Pcnet *p)
{
    uint16_t errors = CSR0_BABL | CSR0_CERR | CSR0_MISS | CSR0_MERR, *csr0 = &p->csr[CSR0];
    bool interrupt = wants_interrupt(p);

    *csr0 = (uint16_t)((*csr0 & ~(CSR0_INTR | CSR0_ERR)) | (interrupt ? CSR0_INTR : 0) |
                       (*csr0 & errors ? CSR0_ERR : 0));
    pci_set_irq(&p->pci, interrupt && *csr0 & CSR0_IENA);
}

void pcnet_raise(Pcnet *p, uint16_t bits)
{
    p->csr[CSR0] |= bits;
    pcnet_update_irq(p);
}

bool pcnet_read(Pcnet *p, uint64_t address, void *data, unsigned size)
{
    bool done = pci_bus_master_enabled(&p->pci) &&
                address_space_read_bytes(&p->pci.device.machine->memory_space, address, data, size,
                                         pci_dma_attributes(&p->pci)) == MEMORY_OK;

    if (!done) {
        pcnet_raise(p, CSR0_MERR);
    }
    return done;
}

bool pcnet_write(Pcnet *p, uint64_t address, const void *data, unsigned size)
{
    bool done = pci_bus_master_enabled(&p->pci) &&
                address_space_write_bytes(&p->pci.device.machine->memory_space, address, data, size,
                                          pci_dma_attributes(&p->pci)) == MEMORY_OK;

    if (!done) {
        pcnet_raise(p, CSR0_MERR);
    }
    return done;
}

/* The chip looks at its rings from time to time, whether or not it is told to. */

static bool polls(const Pcnet *p)
{
    return p->csr[CSR0] & (CSR0_TXON | CSR0_RXON) && !pcnet_is_suspended(p);
}

static void arm(Pcnet *p)
{
    uint32_t clocks = 0x10000u - p->csr[CSR_POLLINT];

    if (polls(p)) {
        timer_arm(&p->poll, clock_now_ns(p->pci.device.machine) +
                                (int64_t)MAX(clocks, 0x1000) * BUS_CLOCK_NS);
    } else {
        timer_cancel(&p->poll);
    }
}

static void flush(Pcnet *p)
{
    if (p->netdev && !p->receiving) {
        netdev_flush(p->netdev);
    }
}

static void expire(void *opaque)
{
    Pcnet *p = opaque;

    if (p->csr[CSR0] & CSR0_TXON && !(p->csr[CSR4] & CSR4_TXDPOLL)) {
        pcnet_send(p);
    }
    flush(p);
    arm(p);
}

/* The initialization block. */

static uint16_t ring_length(unsigned code)
{
    return (uint16_t)(0x10000 - (1 << MIN(code, RING_CODE_MAX)));
}

static void set_pair(Pcnet *p, unsigned csr, uint32_t value)
{
    p->csr[csr] = (uint16_t)value;
    p->csr[csr + 1] = (uint16_t)(value >> 16);
}

static void take_block_16(Pcnet *p, const uint8_t *b)
{
    uint32_t upper = pcnet_upper_address(p);

    p->csr[CSR_MODE] = load_le16(b);
    for (unsigned i = 0; i < 3; i++) {
        p->csr[CSR_PADR + i] = load_le16(b + 2 + 2 * i);
    }
    for (unsigned i = 0; i < 4; i++) {
        p->csr[CSR_LADRF + i] = load_le16(b + 8 + 2 * i);
    }
    set_pair(p, CSR_BADR, load_le16(b + 16) | (uint32_t)b[18] << 16 | upper);
    set_pair(p, CSR_BADX, load_le16(b + 20) | (uint32_t)b[22] << 16 | upper);
    p->csr[CSR_RCVRL] = ring_length(b[19] >> 5);
    p->csr[CSR_XMTRL] = ring_length(b[23] >> 5);
    p->csr[CSR6] = (uint16_t)((b[23] >> 5) << 12 | (b[19] >> 5) << 8);
}

static void take_block_32(Pcnet *p, const uint8_t *b)
{
    p->csr[CSR_MODE] = load_le16(b);
    for (unsigned i = 0; i < 3; i++) {
        p->csr[CSR_PADR + i] = load_le16(b + 4 + 2 * i);
    }
    for (unsigned i = 0; i < 4; i++) {
        p->csr[CSR_LADRF + i] = load_le16(b + 12 + 2 * i);
    }
    set_pair(p, CSR_BADR, load_le32(b + 20));
    set_pair(p, CSR_BADX, load_le32(b + 24));
    p->csr[CSR_RCVRL] = ring_length(b[2] >> 4);
    p->csr[CSR_XMTRL] = ring_length(b[3] >> 4);
    p->csr[CSR6] = (uint16_t)((b[3] >> 4) << 12 | (b[2] >> 4) << 8);
}

static void initialize(Pcnet *p)
{
    bool wide = pcnet_is_32(p);
    uint32_t address = p->csr[CSR1] | (uint32_t)p->csr[CSR2] << 16;
    uint8_t block[28];

    if (!pcnet_read(p, address, block, wide ? 28 : 24)) {
        return;
    }
    if (wide) {
        take_block_32(p, block);
    } else {
        take_block_16(p, block);
    }
    p->rx_index = p->tx_index = 0;
    p->tx_begun = 0;
    p->tx_size = 0;
    pcnet_raise(p, CSR0_IDON);
}

static void start(Pcnet *p)
{
    uint16_t mode = p->csr[CSR_MODE];

    p->csr[CSR0] |=
        (uint16_t)((mode & MODE_DTX ? 0 : CSR0_TXON) | (mode & MODE_DRX ? 0 : CSR0_RXON));
    pcnet_send(p);
    flush(p);
    arm(p);
}

static void stop(Pcnet *p)
{
    p->csr[CSR0] = CSR0_STOP;
    p->csr[CSR4] &= (uint16_t)~CSR4_STATUS;
    p->csr[CSR5] &= (uint16_t)~CSR5_SPND;
    pcnet_update_irq(p);
    arm(p);
}

/* Registers. */

static void write_csr0(Pcnet *p, uint16_t value)
{
    uint16_t *csr0 = &p->csr[CSR0];

    *csr0 &= (uint16_t) ~(value & CSR0_CLEARED);
    *csr0 = (uint16_t)((*csr0 & ~CSR0_IENA) | (value & CSR0_IENA));
    if (value & CSR0_STOP) {
        stop(p);
        return;
    }
    if (value & (CSR0_INIT | CSR0_STRT) && *csr0 & CSR0_STOP) {
        *csr0 &= (uint16_t) ~(CSR0_STOP | CSR0_INIT | CSR0_STRT);
    }
    if (value & CSR0_INIT && !(*csr0 & CSR0_INIT)) {
        *csr0 |= CSR0_INIT;
        initialize(p);
    }
    if (value & CSR0_STRT && !(*csr0 & CSR0_STRT)) {
        *csr0 |= CSR0_STRT;
        start(p);
    } else if (value & CSR0_TDMD) {
        pcnet_send(p);
        flush(p);
    }
    pcnet_update_irq(p);
}

static void write_csr4(Pcnet *p, uint16_t value)
{
    uint16_t status = p->csr[CSR4] & CSR4_STATUS & ~value;

    if (value & CSR4_UINTCMD) {
        status |= CSR4_UINT;
    }
    p->csr[CSR4] = (uint16_t)((value & ~(CSR4_STATUS | CSR4_UINTCMD)) | status);
    pcnet_update_irq(p);
}

static void write_csr5(Pcnet *p, uint16_t value)
{
    p->csr[CSR5] = value & CSR5_WRITABLE;
    if (!pcnet_is_suspended(p)) {
        pcnet_send(p);
        flush(p);
    }
    arm(p);
}

static void write_style(Pcnet *p, uint8_t style)
{
    static const uint16_t values[] = { 0x0200, 0x0101, 0x0302, 0x0303 };

    if (style >= ARRAY_SIZE(values)) {
        log_guest_error("pcnet", "software style %u does not exist", style);
        style = 0;
    }
    p->bcr[BCR_STYLE] = values[style];
}

/* What may be written only while the chip is stopped or suspended: addresses, mode, rings. */
static bool needs_stop(unsigned n)
{
    return n == CSR1 || n == CSR2 || (n >= CSR_LADRF && n <= 46) || n == CSR_STYLE ||
           (n >= CSR_RCVRC && n <= 79);
}

static bool is_writable(unsigned n)
{
    return n == CSR1 || n == CSR2 || (n >= CSR_LADRF && n <= CSR_MODE) ||
           (n >= CSR_BADR && n <= CSR_BADR + 1) || (n >= CSR_BADX && n <= CSR_BADX + 1) ||
           n == CSR_POLLINT || n == CSR_RCVRL || n == CSR_XMTRL || n == 80 || n == 82 || n == 100;
}

static void write_csr(Pcnet *p, unsigned n, uint16_t value)
{
    n = n == 16 ? CSR1 : n == 17 ? CSR2 : n;
    if (needs_stop(n) && !(p->csr[CSR0] & CSR0_STOP) && !pcnet_is_suspended(p)) {
        log_guest_error("pcnet", "write of CSR%u while the chip runs", n);
        return;
    }
    switch (n) {
    case CSR0:
        write_csr0(p, value);
        break;
    case CSR3:
        p->csr[n] = value & CSR3_WRITABLE;
        pcnet_update_irq(p);
        break;
    case CSR4:
        write_csr4(p, value);
        break;
    case CSR5:
        write_csr5(p, value);
        break;
    case CSR_STYLE:
        write_style(p, (uint8_t)value);
        break;
    case CSR_RCVRC:
        p->rx_index =
            (uint16_t)((value + pcnet_ring_length(p, CSR_RCVRL)) % pcnet_ring_length(p, CSR_RCVRL));
        break;
    case CSR_XMTRC:
        p->tx_index =
            (uint16_t)((value + pcnet_ring_length(p, CSR_XMTRL)) % pcnet_ring_length(p, CSR_XMTRL));
        break;
    default:
        if (is_writable(n)) {
            p->csr[n] = value;
        }
    }
    /* Another length of a ring: a place that it does not have is none. */
    p->rx_index = (uint16_t)(p->rx_index % pcnet_ring_length(p, CSR_RCVRL));
    p->tx_index = (uint16_t)(p->tx_index % pcnet_ring_length(p, CSR_XMTRL));
}

static uint16_t half(uint64_t address, unsigned n)
{
    return (uint16_t)(n % 2 ? address >> 16 : address);
}

static uint16_t read_csr(const Pcnet *p, unsigned n)
{
    unsigned rx = pcnet_ring_length(p, CSR_RCVRL), tx = pcnet_ring_length(p, CSR_XMTRL);

    switch (n) {
    case 16:
    case 17:
        return p->csr[n - 15];
    case 26: /* next, current */
    case 27:
        return half(pcnet_descriptor_address(p, CSR_BADR, (p->rx_index + 1u) % rx), n);
    case 28:
    case 29:
        return half(pcnet_descriptor_address(p, CSR_BADR, p->rx_index), n);
    case 32:
    case 33:
        return half(pcnet_descriptor_address(p, CSR_BADX, (p->tx_index + 1u) % tx), n);
    case 34:
    case 35:
        return half(pcnet_descriptor_address(p, CSR_BADX, p->tx_index), n);
    case CSR_STYLE:
        return p->bcr[BCR_STYLE];
    case CSR_RCVRC:
        return (uint16_t)(p->rx_index - rx);
    case CSR_XMTRC:
        return (uint16_t)(p->tx_index - tx);
    default:
        return n < PCNET_CSRS ? p->csr[n] : 0;
    }
}

static void write_bcr(Pcnet *p, unsigned n, uint16_t value)
{
    switch (n) {
    case 2: /* miscellaneous, LEDs, full duplex, bus, EEPROM */
    case 5:
    case 6:
    case 7:
    case 9:
    case 19:
        p->bcr[n] = value;
        break;
    case BCR_LED0:
        p->bcr[n] = value & ~LED_OUT;
        break;
    case BCR_BUS:
        p->bcr[n] = (uint16_t)((value & ~BCR18_DWIO) | (p->bcr[n] & BCR18_DWIO));
        break;
    case BCR_STYLE:
        if (p->csr[CSR0] & CSR0_STOP || pcnet_is_suspended(p)) {
            write_style(p, (uint8_t)value);
        }
        break;
    }
}

static uint16_t read_bcr(const Pcnet *p, unsigned n)
{
    bool up = !p->netdev || p->netdev->link_up;

    if (n == BCR_LED0) {
        return (uint16_t)(p->bcr[n] | (up && p->bcr[n] & LED_STATUS ? LED_OUT : 0));
    }
    return n < PCNET_BCRS ? p->bcr[n] : 0;
}

/* By the reset port: bus configuration stays. */
static void soft_reset(Pcnet *p)
{
    uint16_t mode = p->csr[CSR_MODE] & MODE_KEPT;

    memset(p->csr, 0, sizeof p->csr);
    p->csr[CSR0] = CSR0_STOP;
    p->csr[CSR4] = CSR4_MASKS;
    p->csr[CSR_MODE] = mode;
    for (unsigned i = 0; i < 3; i++) {
        p->csr[CSR_PADR + i] = load_le16(p->aprom + 2 * i);
    }
    p->csr[CSR_RCVRL] = p->csr[CSR_XMTRL] = 0xffff;
    p->csr[80] = 0x1410;
    p->csr[88] = 0x1003; /* part 2621, AMD */
    p->csr[89] = 0x0262;
    p->csr[100] = 0x0200;
    p->rap = p->rx_index = p->tx_index = p->tx_size = 0;
    p->tx_begun = 0;
    pcnet_update_irq(p);
    arm(p);
}

static uint16_t read_port(Pcnet *p, Port port)
{
    switch (port) {
    case PORT_RDP:
        return read_csr(p, p->rap);
    case PORT_RAP:
        return p->rap;
    case PORT_RESET:
        soft_reset(p);
        return 0;
    default:
        return read_bcr(p, p->rap);
    }
}

static void write_port(Pcnet *p, Port port, uint16_t value)
{
    switch (port) {
    case PORT_RDP:
        write_csr(p, p->rap, value);
        break;
    case PORT_RAP:
        p->rap = value & 0x7f;
        break;
    case PORT_BDP:
        write_bcr(p, p->rap, value);
        break;
    default:
        break;
    }
}

static MemoryResult read_registers(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                                   MemoryAttributes attributes)
{
    Pcnet *p = opaque;
    unsigned step = p->bcr[BCR_BUS] & BCR18_DWIO ? 4 : 2, port = (unsigned)(offset - RDP) / step;

    *value = 0;
    if (offset < APROM_BYTES) {
        memcpy(value, p->aprom + offset, MIN(size, APROM_BYTES - offset));
    } else if (offset % step == 0 && size >= 2 && port < PORT_COUNT) {
        *value = read_port(p, (Port)port);
    }
    return MEMORY_OK;
}

static MemoryResult write_registers(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                                    MemoryAttributes attributes)
{
    Pcnet *p = opaque;
    unsigned step, port;

    if (offset == RDP && size == 4) {
        p->bcr[BCR_BUS] |= BCR18_DWIO; /* until a hardware reset */
    }
    step = p->bcr[BCR_BUS] & BCR18_DWIO ? 4 : 2;
    port = (unsigned)(offset - RDP) / step;
    if (offset < APROM_BYTES) {
        if (p->bcr[2] & 1 << 8) { /* APROMWE */
            memcpy(p->aprom + offset, &value, MIN(size, APROM_BYTES - offset));
        }
    } else if (offset % step == 0 && size >= 2 && port < PORT_COUNT) {
        write_port(p, (Port)port, (uint16_t)value);
    }
    return MEMORY_OK;
}

static const MemoryOps register_ops = { .read = read_registers,
                                        .write = write_registers,
                                        .size_max = 4 };

/* Life. */

static const NetClient client = { pcnet_can_receive, pcnet_receive, NULL };

static bool pcnet_realize(Device *device, GError **error)
{
    Pcnet *p = pcnet(device);
    PciDevice *pci = &p->pci;

    if (p->mac[0] & 1) {
        return error_fail(error, KASO_ERROR_INVALID, "pcnet: mac= is a multicast address");
    }
    netdev_choose_mac(device, p->mac);
    pci_set_identity(pci, 0x1022, 0x2000, 0x020000, 0x10);
    store_le16(pci->config + PCI_STATUS, 0x0280); /* medium DEVSEL, fast back-to-back */
    pci->config[0x3e] = 6;                        /* MIN_GNT, MAX_LAT */
    pci->config[0x3f] = 0xff;
    pci_set_interrupt_pin(pci, 1);
    if (!pci_add_rom(pci, "efi-pcnet.rom", error) ||
        (p->netdev && !netdev_attach(p->netdev, &client, p, error))) {
        return false;
    }
    p->attached = p->netdev != NULL;
    timer_init(&p->poll, device->machine, expire, p);
    memory_region_init_io(&p->ports, device->machine, "pcnet-io", REGISTERS, &register_ops, p);
    memory_region_init_io(&p->memory, device->machine, "pcnet", REGISTERS, &register_ops, p);
    pci_add_bar(pci, 0, PCI_BAR_IO, false, &p->ports);
    pci_add_bar(pci, 1, PCI_BAR_MEMORY32, false, &p->memory);
    return true;
}

static void pcnet_unrealize(Device *device)
{
    Pcnet *p = pcnet(device);

    timer_cancel(&p->poll);
    if (p->attached) {
        netdev_detach(p->netdev);
        p->attached = false;
    }
}

static void fill_aprom(Pcnet *p)
{
    uint16_t sum = 0;

    memset(p->aprom, 0, sizeof p->aprom);
    memcpy(p->aprom, p->mac, PCNET_MAC);
    p->aprom[9] = 0x11; /* PCI; what AMD's drivers look for */
    p->aprom[14] = p->aprom[15] = 'W';
    for (unsigned i = 0; i < APROM_BYTES; i++) {
        sum = (uint16_t)(sum + p->aprom[i]);
    }
    store_le16(p->aprom + 12, sum);
}

static void pcnet_reset(Device *device)
{
    Pcnet *p = pcnet(device);
    static const struct {
        uint8_t n;
        uint16_t value;
    } defaults[] = { { 0, 5 },       { 1, 5 },       { 2, 2 },      { 4, 0x00c0 },
                     { 5, 0x0084 },  { 6, 0x0088 },  { 7, 0x0090 }, { 18, 0x9001 },
                     { 19, 0x0002 }, { 20, 0x0200 }, { 22, 0xff06 } };

    memset(p->bcr, 0, sizeof p->bcr);
    for (unsigned i = 0; i < ARRAY_SIZE(defaults); i++) {
        p->bcr[defaults[i].n] = defaults[i].value;
    }
    fill_aprom(p);
    memset(p->tx_buffer, 0, sizeof p->tx_buffer);
    p->csr[CSR_MODE] = 0;
    soft_reset(p);
    pci_reset(&p->pci);
}

static void pcnet_state_loaded(Device *device)
{
    pci_state_loaded(pci_device(device));
    pcnet_update_irq(pcnet(device));
}

static bool pcnet_state_check(Device *device, GError **error)
{
    const Pcnet *p = pcnet(device);

    return (p->rx_index < pcnet_ring_length(p, CSR_RCVRL) &&
            p->tx_index < pcnet_ring_length(p, CSR_XMTRL)) ||
           error_fail(error, KASO_ERROR_INVALID, "a ring's index lies behind its end");
}

static const Property pcnet_properties[] = {
    { "mac", PROPERTY_MAC, offsetof(Pcnet, mac), "its address; unset: 52:54:00:12:34:56 and up" },
    { "netdev", PROPERTY_NETDEV, offsetof(Pcnet, netdev), "the back end" },
    { "bootindex", PROPERTY_I32, offsetof(Pcnet, bootindex), "place in the firmware's boot order",
      "-1" },
    { 0 },
};
static const Property pcnet_bus_properties[] = { PCI_PROPERTIES(Pcnet, pci), { 0 } };

static const StateField pcnet_state[] = {
    PCI_STATE(Pcnet, pci),
    STATE(Pcnet, aprom),
    STATE(Pcnet, csr),
    STATE(Pcnet, bcr),
    STATE_MOST(Pcnet, rap, 0x7f),
    STATE(Pcnet, rx_index),
    STATE(Pcnet, tx_index),
    STATE_MOST(Pcnet, tx_size, PCNET_FRAME),
    STATE_MOST(Pcnet, tx_begun, 1),
    STATE(Pcnet, tx_buffer),
    STATE_TIMER(Pcnet, poll),
    STATE_DERIVED(Pcnet, sending),
    STATE_DERIVED(Pcnet, receiving),
    { 0 },
};

static const DeviceType pcnet_type = {
    .name = "pcnet",
    .summary = "AMD Am79C970A PCnet-PCI II",
    .bus = "pci",
    .category = "network",
    .instance_size = sizeof(Pcnet),
    .properties = pcnet_properties,
    .bus_properties = pcnet_bus_properties,
    .state = pcnet_state,
    .realize = pcnet_realize,
    .unrealize = pcnet_unrealize,
    .reset = pcnet_reset,
    .state_check = pcnet_state_check,
    .state_loaded = pcnet_state_loaded,
};
DEVICE_TYPE(pcnet_type);
