/* SPDX-License-Identifier: MIT */
/*
 * xHCI host controllers, qemu-xhci and NEC's uPD720200: registers (section 5) and their PCI functions. Registers at 0 of BAR 0, the
 * table of MSI-X at 0x3000 of it.
 *
 * Not modelled: secondary streams, virtualization, debug, bandwidth and interrupt moderation, a saved context (driver begins anew).
 */
#include "hw/usb/xhci.h"

#include "base/bits.h"
#include "base/error.h"

enum {
    BAR_SIZE = 0x4000,
    REGISTERS_SIZE = 0x3000,
    OFFSET_MSIX = 0x3000,
    OFFSET_OPERATIONAL = 0x40,
    OFFSET_PORTS = 0x440,
    OFFSET_RUNTIME = 0x1000,
    OFFSET_DOORBELLS = 0x2000,
    MAX_LINKS = 32,
    MICROFRAME_NS = 125000,
    SERIAL_BUS_RELEASE = 0x60,
    CLASS_XHCI = 0x0c0330,
    CAPABILITY_PROTOCOL = 2,
    IMAN_PENDING = 1,
    ERST_FLAGS = 0x3f,
};

static Xhci *xhci_of(Device *device)
{
    return container_of(pci_device(device), Xhci, pci);
}

/* Memory. */

bool xhci_read(Xhci *xhci, uint64_t address, void *data, unsigned size)
{
    return pci_bus_master_enabled(&xhci->pci) &&
           address_space_read_bytes(&xhci->pci.device.machine->memory_space, address, data, size,
                                    pci_dma_attributes(&xhci->pci)) == MEMORY_OK;
}

bool xhci_write(Xhci *xhci, uint64_t address, const void *data, unsigned size)
{
    return pci_bus_master_enabled(&xhci->pci) &&
           address_space_write_bytes(&xhci->pci.device.machine->memory_space, address, data, size,
                                     pci_dma_attributes(&xhci->pci)) == MEMORY_OK;
}

void xhci_fail(Xhci *xhci, const char *why)
{
    log_guest_error(xhci->pci.device.id, "%s; the controller needs a reset", why);
    xhci->usbsts |= XHCI_STS_ERROR;
}

bool xhci_fetch(Xhci *xhci, XhciRing *ring, XhciTrb *trb)
{
    uint8_t bytes[XHCI_TRB_SIZE];

    for (unsigned links = 0; links < MAX_LINKS; links++) {
        if (!xhci_read(xhci, ring->dequeue, bytes, sizeof bytes)) {
            return false;
        }
        *trb = (XhciTrb){ load_le64(bytes), load_le32(bytes + 8), load_le32(bytes + 12),
                          ring->dequeue };
        if ((trb->control & TRB_CYCLE) != ring->cycle) {
            return false;
        }
        if (trb_type(trb) != TRB_LINK) {
            ring->dequeue += XHCI_TRB_SIZE;
            return true;
        }
        ring->dequeue = trb->parameter & ~UINT64_C(0xf);
        ring->cycle ^= trb->control & TRB_TOGGLE ? 1 : 0;
    }
    return false;
}

uint64_t xhci_microframe(const Xhci *xhci)
{
    return (uint64_t)clock_now_ns(xhci->pci.device.machine) / MICROFRAME_NS;
}

/* Capability registers. */

static uint64_t read_capability(Device *device, unsigned index)
{
    enum { VERSION = 0x0100, SCHEDULING_THRESHOLD = 0xf, HAS_64_BITS = 1, PROTOCOLS_AT = 0x20 };
    enum { NO_SECONDARY_STREAMS = 1 << 7, STREAMS_SHIFT = 12 };
    const Xhci *xhci = xhci_of(device);
    const uint32_t values[8] = {
        VERSION << 16 | OFFSET_OPERATIONAL,
        xhci_port_count(xhci) << 24 | xhci->interrupter_count << 8 | xhci->slot_count,
        SCHEDULING_THRESHOLD,
        0,
        PROTOCOLS_AT / 4 << 16 | HAS_64_BITS |
            (xhci->streams ? XHCI_STREAMS << STREAMS_SHIFT | NO_SECONDARY_STREAMS : 0),
        OFFSET_DOORBELLS,
        OFFSET_RUNTIME,
        0,
    };

    return values[index];
}

/* Two extended capabilities: which ports speak which protocol, super speed first. */
static uint64_t read_protocols(Device *device, unsigned index)
{
    const Xhci *xhci = xhci_of(device);
    bool super = index < 4;
    unsigned first = super ? 1 : xhci->p3 + 1, count = super ? xhci->p3 : xhci->p2;

    switch (index % 4) {
    case 0:
        return (super ? 3u : 2u) << 24 | (super ? 4 : 0) << 8 | CAPABILITY_PROTOCOL;
    case 1:
        return load_le32((const uint8_t *)"USB ");
    case 2:
        return first | count << 8;
    }
    return 0;
}

/* Operational registers. */

static void stop_all(Xhci *xhci)
{
    for (unsigned slot = 1; slot <= XHCI_SLOTS_MAX; slot++) {
        xhci_disable_slot(xhci, slot);
    }
}

static void reset_controller(Xhci *xhci)
{
    stop_all(xhci);
    timer_cancel(&xhci->timer);
    xhci->usbcmd = xhci->dnctrl = xhci->config = 0;
    xhci->usbsts = XHCI_STS_HALTED;
    xhci->crcr_low = xhci->crcr_high = xhci->dcbaap_low = xhci->dcbaap_high = 0;
    xhci->commands = (XhciRing){ 0 };
    xhci->commands_running = 0;
    xhci->backlog_count = 0;
    memset(xhci->backlog, 0, sizeof xhci->backlog);
    for (unsigned i = 0; i < XHCI_INTERRUPTERS_MAX; i++) {
        xhci_interrupter_reset(&xhci->interrupters[i]);
    }
    memset(xhci->portsc, 0, sizeof xhci->portsc);
    for (unsigned number = 1; number <= xhci_port_count(xhci); number++) {
        xhci_port_reset(xhci, number);
    }
    xhci_update_irq(xhci);
}

static void run_from_timer(void *opaque)
{
    Xhci *xhci = opaque;

    if (xhci->commands_running) {
        xhci_run_commands(xhci);
    }
    xhci_kick_all(xhci);
}

static void write_usbcmd(Device *device, unsigned index, uint64_t value)
{
    enum { KEPT = 0xc0f };
    Xhci *xhci = xhci_of(device);
    bool was_running = xhci->usbcmd & XHCI_CMD_RUN;

    if (value & XHCI_CMD_RESET) {
        reset_controller(xhci);
        return;
    }
    xhci->usbcmd = value & KEPT;
    if (value & XHCI_CMD_RUN) {
        xhci->usbsts &= ~(uint32_t)XHCI_STS_HALTED;
        if (!was_running) {
            timer_arm(&xhci->timer, clock_now_ns(device->machine));
        }
    } else {
        xhci->usbsts |= XHCI_STS_HALTED;
        xhci->commands_running = 0;
    }
    if (value & XHCI_CMD_RESTORE) {
        xhci->usbsts |= XHCI_STS_RESTORE_ERROR; /* nothing was saved: the driver begins anew */
    }
    xhci_update_irq(xhci);
}

static void write_usbsts(Device *device, unsigned index, uint64_t value)
{
    enum { CLEARED = XHCI_STS_EVENT | XHCI_STS_PORT | XHCI_STS_RESTORE_ERROR | 1 << 2 };
    Xhci *xhci = xhci_of(device);

    xhci->usbsts &= ~(uint32_t)(value & CLEARED);
    xhci_update_irq(xhci);
}

/* Only whether it runs can be read. */
static uint64_t read_crcr(Device *device, unsigned index)
{
    return xhci_of(device)->commands_running ? XHCI_CRCR_RUNNING : 0;
}

static void write_crcr_low(Device *device, unsigned index, uint64_t value)
{
    enum { STOP = 1 << 1, ABORT = 1 << 2 };
    Xhci *xhci = xhci_of(device);

    xhci->crcr_low = (uint32_t)value & ~(uint32_t)(STOP | ABORT | XHCI_CRCR_RUNNING);
    if (value & (STOP | ABORT) && xhci->commands_running) {
        xhci_stop_commands(xhci);
    }
}

static void write_crcr_high(Device *device, unsigned index, uint64_t value)
{
    Xhci *xhci = xhci_of(device);

    xhci->crcr_high = (uint32_t)value;
    if (!xhci->commands_running) {
        xhci->commands.dequeue = value << 32 | (xhci->crcr_low & ~(uint32_t)ERST_FLAGS);
        xhci->commands.cycle = xhci->crcr_low & 1;
    }
}

/* Ports; a register beyond the last reads as zero. */

static uint64_t read_portsc(Device *device, unsigned index)
{
    return xhci_of(device)->portsc[index];
}

static void write_portsc(Device *device, unsigned index, uint64_t value)
{
    if (index < xhci_port_count(xhci_of(device))) {
        xhci_port_write(xhci_of(device), index + 1, (uint32_t)value);
    }
}

/* Runtime registers. */

static uint64_t read_mfindex(Device *device, unsigned index)
{
    Xhci *xhci = xhci_of(device);

    return xhci_running(xhci) ? xhci_microframe(xhci) & 0x3fff : 0;
}

#define INTERRUPTER_READ(field)                                                                    \
    static uint64_t read_##field(Device *device, unsigned index)                                   \
    {                                                                                              \
        return xhci_of(device)->interrupters[index].field;                                         \
    }
INTERRUPTER_READ(iman)
INTERRUPTER_READ(imod)
INTERRUPTER_READ(erst_size)
INTERRUPTER_READ(erst_low)
INTERRUPTER_READ(erst_high)
INTERRUPTER_READ(erdp_low)
INTERRUPTER_READ(erdp_high)

static void write_iman(Device *device, unsigned index, uint64_t value)
{
    XhciInterrupter *i = &xhci_of(device)->interrupters[index];

    i->iman = (i->iman & ~(uint32_t)(value & IMAN_PENDING) & IMAN_PENDING) | (value & 2);
    xhci_update_irq(xhci_of(device));
}

static void write_imod(Device *device, unsigned index, uint64_t value)
{
    xhci_of(device)->interrupters[index].imod = (uint32_t)value;
}

static void write_erst_size(Device *device, unsigned index, uint64_t value)
{
    xhci_of(device)->interrupters[index].erst_size = value & 0xffff;
}

static void write_erst_low(Device *device, unsigned index, uint64_t value)
{
    xhci_of(device)->interrupters[index].erst_low = (uint32_t)value & ~(uint32_t)ERST_FLAGS;
}

static void write_erst_high(Device *device, unsigned index, uint64_t value)
{
    xhci_of(device)->interrupters[index].erst_high = (uint32_t)value;
    xhci_start_events(xhci_of(device), index);
}

static void write_erdp_low(Device *device, unsigned index, uint64_t value)
{
    xhci_events_read(xhci_of(device), index, (uint32_t)value);
}

static void write_erdp_high(Device *device, unsigned index, uint64_t value)
{
    xhci_of(device)->interrupters[index].erdp_high = (uint32_t)value;
}

static void write_doorbell(Device *device, unsigned index, uint64_t value)
{
    Xhci *xhci = xhci_of(device);
    unsigned endpoint = value & 0xff;

    if (index == 0) {
        xhci_run_commands(xhci);
        return;
    }
    if (index > xhci->slot_count || endpoint < 1 || endpoint > XHCI_ENDPOINTS) {
        log_guest_error(device->id, "doorbell %u rung for endpoint %u", index, endpoint);
        return;
    }
    xhci_ring_bell(xhci, index, endpoint, value >> 16 & 0xffff);
}

#define NONE         .field = REGISTER_NO_FIELD
#define PLAIN(name_) .field = offsetof(Xhci, name_)
#define INTERRUPTER(name_, offset_, stem)                                                          \
    {                                                                                              \
        name_, OFFSET_RUNTIME + 0x20 + (offset_), 4, REGISTER_RW,                                  \
            .count = XHCI_INTERRUPTERS_MAX, .stride = 32, NONE, .read = read_##stem,               \
            .write = write_##stem                                                                  \
    }

/* clang-format off */
static const Register registers[] = {
    { "CAPABILITY", 0x00, 4, REGISTER_R, .count = 8, NONE, .read = read_capability,
      .summary = "CAPLENGTH, HCSPARAMS1 to 3, HCCPARAMS1, DBOFF, RTSOFF, HCCPARAMS2" },
    { "PROTOCOL", 0x20, 4, REGISTER_R, .count = 8, NONE, .read = read_protocols },
    { "USBCMD", 0x40, 4, REGISTER_RW, PLAIN(usbcmd), .write = write_usbcmd },
    { "USBSTS", 0x44, 4, REGISTER_RW, PLAIN(usbsts), .write = write_usbsts },
    { "PAGESIZE", 0x48, 4, REGISTER_R, NONE, .constants = (const uint8_t[]){ 1 }, .summary = "4 KiB" },
    { "DNCTRL", 0x54, 4, REGISTER_RW, PLAIN(dnctrl), .writable = 0xffff },
    { "CRCR_LO", 0x58, 4, REGISTER_RW, NONE, .read = read_crcr, .write = write_crcr_low },
    { "CRCR_HI", 0x5c, 4, REGISTER_W, NONE, .write = write_crcr_high },
    { "DCBAAP_LO", 0x70, 4, REGISTER_RW, PLAIN(dcbaap_low), .writable = 0xffffffc0 },
    { "DCBAAP_HI", 0x74, 4, REGISTER_RW, PLAIN(dcbaap_high) },
    { "CONFIG", 0x78, 4, REGISTER_RW, PLAIN(config), .writable = 0xff },
    { "PORTSC", OFFSET_PORTS, 4, REGISTER_RW, .count = 2 * XHCI_PORTS_MAX, .stride = 16, NONE,
      .read = read_portsc, .write = write_portsc },
    { "PORTPMSC", OFFSET_PORTS + 4, 4, REGISTER_QUIET, .count = 2 * XHCI_PORTS_MAX, .stride = 16, NONE },
    { "PORTLI", OFFSET_PORTS + 8, 4, REGISTER_QUIET, .count = 2 * XHCI_PORTS_MAX, .stride = 16, NONE },
    { "PORTHLPMC", OFFSET_PORTS + 12, 4, REGISTER_QUIET, .count = 2 * XHCI_PORTS_MAX, .stride = 16, NONE },
    { "MFINDEX", OFFSET_RUNTIME, 4, REGISTER_R, NONE, .read = read_mfindex },
    INTERRUPTER("IMAN", 0x00, iman),
    INTERRUPTER("IMOD", 0x04, imod),
    INTERRUPTER("ERSTSZ", 0x08, erst_size),
    INTERRUPTER("ERSTBA_LO", 0x10, erst_low),
    INTERRUPTER("ERSTBA_HI", 0x14, erst_high),
    INTERRUPTER("ERDP_LO", 0x18, erdp_low),
    INTERRUPTER("ERDP_HI", 0x1c, erdp_high),
    { "DOORBELL", OFFSET_DOORBELLS, 4, REGISTER_RW, .count = XHCI_SLOTS_MAX + 1, NONE, .write = write_doorbell },
    { 0 },
};
/* clang-format on */

static const RegisterBank bank = {
    .name = "xhci",
    .size = REGISTERS_SIZE,
    .registers = registers,
    .size_min = 4,
    .size_max = 4,
};

/* The functions. */

static bool check_properties(const Xhci *xhci, GError **error)
{
    if (xhci->p2 > XHCI_PORTS_MAX || xhci->p3 > XHCI_PORTS_MAX || !xhci_port_count(xhci)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s: p2=%u,p3=%u: up to %d ports of each kind, and one at least",
                          xhci->pci.device.id, xhci->p2, xhci->p3, XHCI_PORTS_MAX);
    }
    if (xhci->interrupter_count < 1 || xhci->interrupter_count > XHCI_INTERRUPTERS_MAX ||
        xhci->slot_count < 1 || xhci->slot_count > XHCI_SLOTS_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "%s: intrs=%u,slots=%u: 1 to %d interrupters and 1 to %d slots",
                          xhci->pci.device.id, xhci->interrupter_count, xhci->slot_count,
                          XHCI_INTERRUPTERS_MAX, XHCI_SLOTS_MAX);
    }
    return true;
}

typedef struct {
    uint16_t vendor, device;
    uint8_t revision;
} XhciModel;

static bool xhci_realize(Device *device, GError **error)
{
    Xhci *xhci = xhci_of(device);
    const XhciModel *model = device->type->class_data;
    PciDevice *pci = &xhci->pci;

    if (!check_properties(xhci, error)) {
        return false;
    }
    pci_set_identity(pci, model->vendor, model->device, CLASS_XHCI, model->revision);
    pci_set_interrupt_pin(pci, 1);
    pci->config[SERIAL_BUS_RELEASE] = 0x30;
    pci->config[PCI_CACHE_LINE_SIZE] = 0x10;
    memory_region_init_container(&xhci->bar, device->machine, "xhci", BAR_SIZE);
    register_bank_init(device, &xhci->registers, &bank);
    memory_region_add(&xhci->bar, 0, &xhci->registers, 0);
    pci_add_bar(pci, 0, PCI_BAR_MEMORY64, false, &xhci->bar);
    if (xhci->msi == ON_OFF_AUTO_ON) {
        pci_add_msi(pci);
    }
    if (pci_bus_is_slot(pci->bus)) {
        pci_add_express_capability(pci, PCIE_TYPE_ENDPOINT);
    }
    if (xhci->msix != ON_OFF_AUTO_OFF &&
        !pci_add_msix_within(pci, 0, xhci->interrupter_count, &xhci->bar, OFFSET_MSIX, error)) {
        return false;
    }
    timer_init(&xhci->timer, device->machine, run_from_timer, xhci);
    usb_bus_init(&xhci->bus, device);
    xhci_ports_init(xhci);
    return true;
}

static void xhci_unrealize(Device *device)
{
    Xhci *xhci = xhci_of(device);

    stop_all(xhci);
    timer_cancel(&xhci->timer);
    xhci_ports_free(xhci);
    usb_bus_free(&xhci->bus);
}

static void xhci_reset(Device *device)
{
    Xhci *xhci = xhci_of(device);

    pci_reset(&xhci->pci);
    reset_controller(xhci);
}

static bool streams_fit(const XhciSlot *slot)
{
    for (unsigned e = 0; e < XHCI_ENDPOINTS; e++) {
        if (slot->endpoints[e].streams > XHCI_STREAMS) {
            return false;
        }
    }
    return true;
}

static bool xhci_state_check(Device *device, GError **error)
{
    const Xhci *xhci = xhci_of(device);

    for (unsigned i = 0; i < XHCI_SLOTS_MAX; i++) {
        if (xhci->slots[i].port > xhci_port_count(xhci) || !streams_fit(&xhci->slots[i]) ||
            (i >= xhci->slot_count && xhci->slots[i].enabled)) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "the saved state of %s does not fit: slot %u, port %u", device->id,
                              i + 1, xhci->slots[i].port);
        }
    }
    for (unsigned i = 0; i < XHCI_INTERRUPTERS_MAX; i++) {
        if (xhci->interrupters[i].size &&
            xhci->interrupters[i].enqueue >= xhci->interrupters[i].size) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "the saved state of %s does not fit: an event ring of %u entries",
                              device->id, xhci->interrupters[i].size);
        }
    }
    return true;
}

/* What devices had is in the rings still, and is begun again. */
static void xhci_state_loaded(Device *device)
{
    Xhci *xhci = xhci_of(device);

    pci_state_loaded(&xhci->pci);
    xhci_ports_loaded(xhci);
    for (unsigned slot = 1; slot <= XHCI_SLOTS_MAX; slot++) {
        for (unsigned e = 1; e <= XHCI_ENDPOINTS; e++) {
            xhci_stop_endpoint(xhci, slot, e);
        }
    }
    xhci_update_irq(xhci);
    if (xhci_running(xhci)) {
        timer_arm(&xhci->timer, clock_now_ns(device->machine));
    }
}

static const StateField ring_state[] = {
    STATE(XhciRing, dequeue),
    STATE_MOST(XhciRing, cycle, 1),
    { 0 },
};

static const StateField endpoint_state[] = {
    STATE_MOST(XhciEndpoint, state, ENDPOINT_STATE_COUNT - 1),
    STATE_MOST(XhciEndpoint, type, 7),
    STATE_MOST(XhciEndpoint, interval, 15),
    STATE_MOST(XhciEndpoint, wanted, 1),
    STATE_STRUCT(XhciEndpoint, ring, ring_state),
    STATE(XhciEndpoint, next_microframe),
    STATE_DERIVED(XhciEndpoint, pace_ns),
    STATE_DERIVED(XhciEndpoint, transfers),
    STATE_SINCE(1, XhciEndpoint, streams),
    STATE_SINCE(1, XhciEndpoint, wanted_streams),
    { 0 },
};

static const StateField slot_state[] = {
    STATE_MOST(XhciSlot, enabled, 1),
    STATE_MOST(XhciSlot, addressed, 1),
    STATE_MOST(XhciSlot, port, 2 * XHCI_PORTS_MAX),
    STATE_MOST(XhciSlot, route, 0xfffff),
    STATE_MOST(XhciSlot, interrupter, XHCI_INTERRUPTERS_MAX - 1),
    STATE(XhciSlot, context),
    STATE_STRUCTS(XhciSlot, endpoints, endpoint_state),
    { 0 },
};

static const StateField interrupter_state[] = {
    STATE(XhciInterrupter, iman),
    STATE(XhciInterrupter, imod),
    STATE(XhciInterrupter, erst_size),
    STATE(XhciInterrupter, erst_low),
    STATE(XhciInterrupter, erst_high),
    STATE(XhciInterrupter, erdp_low),
    STATE(XhciInterrupter, erdp_high),
    STATE(XhciInterrupter, ring),
    STATE_MOST(XhciInterrupter, size, 4096),
    STATE_MOST(XhciInterrupter, enqueue, 4095),
    STATE_MOST(XhciInterrupter, cycle, 1),
    { 0 },
};

static const StateField xhci_state[] = {
    PCI_STATE(Xhci, pci),
    STATE_TIMER(Xhci, timer),
    STATE(Xhci, usbcmd),
    STATE(Xhci, usbsts),
    STATE(Xhci, dnctrl),
    STATE(Xhci, config),
    STATE(Xhci, crcr_low),
    STATE(Xhci, crcr_high),
    STATE(Xhci, dcbaap_low),
    STATE(Xhci, dcbaap_high),
    STATE_STRUCT(Xhci, commands, ring_state),
    STATE_MOST(Xhci, commands_running, 1),
    STATE(Xhci, portsc),
    STATE_STRUCTS(Xhci, interrupters, interrupter_state),
    STATE_STRUCTS(Xhci, slots, slot_state),
    STATE_ARRAY(Xhci, backlog, uint64_t),
    STATE_MOST(Xhci, backlog_count, XHCI_BACKLOG),
    STATE_DERIVED(Xhci, ports),
    { 0 },
};

#define XHCI_PROPERTIES                                                                            \
    { "p2", PROPERTY_U32, offsetof(Xhci, p2), "ports of USB 2", "4" },                             \
        { "p3", PROPERTY_U32, offsetof(Xhci, p3), "ports of USB 3", "4" },                         \
        { "msi", PROPERTY_ON_OFF_AUTO, offsetof(Xhci, msi), "one message as interrupt; auto: off", \
          "auto" },                                                                                \
        { "msix", PROPERTY_ON_OFF_AUTO, offsetof(Xhci, msix),                                      \
          "a message for each interrupter; auto: where somebody takes it", "auto" },               \
        { "streams", PROPERTY_BOOL, offsetof(Xhci, streams), "endpoints may have streams", "on" }, \
    {                                                                                              \
        "conditional-intr-mapping", PROPERTY_BOOL, offsetof(Xhci, conditional),                    \
            "accepted; has no effect", "off"                                                       \
    }

static const Property qemu_xhci_properties[] = {
    XHCI_PROPERTIES,
    { 0 },
};

static const Property nec_xhci_properties[] = {
    XHCI_PROPERTIES,
    { "intrs", PROPERTY_U32, offsetof(Xhci, interrupter_count), "interrupters", "16" },
    { "slots", PROPERTY_U32, offsetof(Xhci, slot_count), "device slots", "64" },
    { 0 },
};

static bool qemu_xhci_realize(Device *device, GError **error)
{
    xhci_of(device)->interrupter_count = XHCI_INTERRUPTERS_MAX;
    xhci_of(device)->slot_count = XHCI_SLOTS_MAX;
    return xhci_realize(device, error);
}

#define XHCI_HOOKS                                                                                 \
    .bus = "pci", .category = "usb", .instance_size = sizeof(Xhci),                                \
    .bus_properties = (const Property[]){ PCI_PROPERTIES(Xhci, pci), { 0 } }, .state = xhci_state, \
    .state_version = 1, .unrealize = xhci_unrealize, .reset = xhci_reset,                          \
    .state_check = xhci_state_check, .state_loaded = xhci_state_loaded

static const DeviceType qemu_xhci_type = {
    .name = "qemu-xhci",
    .summary = "USB 3 host controller (xHCI)",
    .properties = qemu_xhci_properties,
    .class_data = &(const XhciModel){ 0x1b36, 0x000d, 1 },
    .realize = qemu_xhci_realize,
    XHCI_HOOKS,
};
DEVICE_TYPE(qemu_xhci_type);

static const DeviceType nec_usb_xhci_type = {
    .name = "nec-usb-xhci",
    .summary = "USB 3 host controller (NEC uPD720200)",
    .properties = nec_xhci_properties,
    .class_data = &(const XhciModel){ 0x1033, 0x0194, 3 },
    .realize = xhci_realize,
    XHCI_HOOKS,
};
DEVICE_TYPE(nec_usb_xhci_type);
