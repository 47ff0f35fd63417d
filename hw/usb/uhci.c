/* SPDX-License-Identifier: MIT */
/*
 * UHCI host controllers (Intel, Universal Host Controller Interface 1.1): the PIIX's, and ICH9's beside an EHCI that they take slower
 * devices from (masterbus=). Everything in a schedule is the driver's: it is read once, and a frame has a budget.
 *
 * A frame is a millisecond. While nothing moves, frames are walked by eights. Not modelled: resume by the hub, software debug.
 */
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "hw/pci/pci.h"
#include "hw/usb/usb.h"
#include "machine/clock.h"
#include "machine/machine.h"

enum {
    PORTS = 2,
    CLASS_UHCI = 0x0c0300,
    SERIAL_BUS_RELEASE = 0x60,
    LEGACY_SUPPORT = 0xc0,
    REGISTERS = 32,

    CMD_RUN = 1 << 0,
    CMD_RESET = 1 << 1,
    CMD_GLOBAL_RESET = 1 << 2,
    CMD_CONFIGURED = 1 << 6,
    STS_INTERRUPT = 1 << 0,
    STS_ERROR = 1 << 1,
    STS_RESUME = 1 << 2,
    STS_SYSTEM = 1 << 3,
    STS_PROCESS = 1 << 4,
    STS_HALTED = 1 << 5,
    INTR_ERROR = 1 << 0,
    INTR_RESUME = 1 << 1,
    INTR_COMPLETE = 1 << 2,
    INTR_SHORT = 1 << 3,
    CAUSE_COMPLETE = 1, /* of STS_INTERRUPT */
    CAUSE_SHORT = 2,

    PORT_CONNECTED = 1 << 0,
    PORT_CONNECT_CHANGE = 1 << 1,
    PORT_ENABLED = 1 << 2,
    PORT_ENABLE_CHANGE = 1 << 3,
    PORT_RESUME = 1 << 6,
    PORT_ALWAYS = 1 << 7,
    PORT_LOW_SPEED = 1 << 8,
    PORT_RESET = 1 << 9,
    PORT_SUSPENDED = 1 << 12,
    PORT_CHANGES = PORT_CONNECT_CHANGE | PORT_ENABLE_CHANGE,
    PORT_PLAIN = PORT_ENABLED | PORT_RESUME | PORT_RESET | PORT_SUSPENDED,

    LINK_END = 1 << 0,
    LINK_QUEUE = 1 << 1,
    TD_ACTIVE = 1 << 23,
    TD_STALLED = 1 << 22,
    TD_NAK = 1 << 19,
    TD_TIMEOUT = 1 << 18,
    TD_STATUS = 0x7f << 16,
    TD_COMPLETE = 1 << 24,
    TD_ISOCH = 1 << 25,
    TD_ERRORS = 3 << 27,
    TD_SHORT = 1 << 29,
    TD_LENGTH = 0x7ff,

    FRAMES = 1024,
    PACKET_MAX = 1280,
    FRAME_STEPS = 2048, /* links that one frame follows */
    FRAME_QUEUES = 128, /* that it can tell apart, to know that it goes round */
    PENDING_MAX = 32,
    PENDING_FRAMES = 64, /* after which one that the schedule has lost is forgotten */
    IDLE_FRAMES = 32,
    IDLE_BATCH = 8,
    LATE_FRAMES = 64,
};
#define FRAME_NS   INT64_C(1000000)
#define LINK(link) ((link) & ~UINT32_C(0xf))

typedef struct Uhci Uhci;

typedef struct {
    uint32_t link, control, token, buffer;
} Td;

/* A packet that a device has, with a buffer of ours: its driver may take the memory back at any time. */
typedef struct {
    UsbPacket packet; /* first */
    Uhci *uhci;
    uint32_t td, token;
    uint32_t frame; /* that has seen it last */
    bool done;
    struct iovec iov;
    uint8_t data[PACKET_MAX];
} Pending;

struct Uhci {
    PciDevice pci;
    UsbBus bus;
    UsbPort ports[PORTS];
    MemoryRegion registers;
    Timer timer;
    uint16_t usbcmd, usbsts, usbintr, frnum;
    uint32_t flbase;
    uint8_t sofmod, cause;
    uint16_t portsc[PORTS];
    int64_t frame_ns; /* when the next frame begins */
    uint32_t quiet;   /* frames in which nothing moved */
    uint32_t frame_count;
    Pending *pending[PENDING_MAX];
    unsigned pending_count;
    /* Properties. */
    uint32_t bandwidth, maxframes, firstport;
    char *masterbus;
};

static Uhci *uhci_of(Device *device)
{
    return container_of(pci_device(device), Uhci, pci);
}

/* Memory. */

static bool read_words(Uhci *u, uint32_t address, uint32_t *words, unsigned count)
{
    uint8_t bytes[16];

    if (!pci_bus_master_enabled(&u->pci) ||
        address_space_read_bytes(&u->pci.device.machine->memory_space, address, bytes, 4 * count,
                                 pci_dma_attributes(&u->pci)) != MEMORY_OK) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        words[i] = load_le32(bytes + 4 * i);
    }
    return true;
}

static void write_word(Uhci *u, uint32_t address, uint32_t word)
{
    uint8_t bytes[4];

    store_le32(bytes, word);
    address_space_write_bytes(&u->pci.device.machine->memory_space, address, bytes, sizeof bytes,
                              pci_dma_attributes(&u->pci));
}

static bool move_data(Uhci *u, uint32_t address, void *data, uint32_t size, bool to_memory)
{
    AddressSpace *memory = &u->pci.device.machine->memory_space;
    MemoryAttributes attributes = pci_dma_attributes(&u->pci);

    return !size || (to_memory ? address_space_write_bytes(memory, address, data, size, attributes)
                               : address_space_read_bytes(memory, address, data, size,
                                                          attributes)) == MEMORY_OK;
}

/* Interrupts. */

static void update_irq(Uhci *u)
{
    bool level = (u->cause & CAUSE_COMPLETE && u->usbintr & INTR_COMPLETE) ||
                 (u->cause & CAUSE_SHORT && u->usbintr & INTR_SHORT) ||
                 (u->usbsts & STS_ERROR && u->usbintr & INTR_ERROR) ||
                 (u->usbsts & STS_RESUME && u->usbintr & INTR_RESUME) ||
                 u->usbsts & (STS_SYSTEM | STS_PROCESS);

    pci_set_irq(&u->pci, level);
}

static void interrupt(Uhci *u, unsigned cause)
{
    u->cause |= (uint8_t)cause;
    u->usbsts |= STS_INTERRUPT;
}

/* Packets. */

static Pending *find_pending(Uhci *u, uint32_t td, uint32_t token)
{
    for (unsigned i = 0; i < u->pending_count; i++) {
        if (u->pending[i]->td == td && u->pending[i]->token == token) {
            return u->pending[i];
        }
    }
    return NULL;
}

static void drop_pending(Uhci *u, Pending *p)
{
    for (unsigned i = 0; i < u->pending_count; i++) {
        if (u->pending[i] == p) {
            u->pending[i] = u->pending[--u->pending_count];
            break;
        }
    }
    usb_packet_cancel(&p->packet);
    g_free(p);
}

static void drop_all(Uhci *u)
{
    while (u->pending_count) {
        drop_pending(u, u->pending[0]);
    }
}

static void wake(Uhci *u)
{
    u->quiet = 0;
    if (u->usbcmd & CMD_RUN) {
        timer_arm(&u->timer, u->frame_ns);
    }
}

static void packet_done(UsbPacket *packet)
{
    Pending *p = (Pending *)packet;

    p->done = true;
    wake(p->uhci);
}

static UsbDevice *find_device(Uhci *u, uint8_t address)
{
    for (unsigned i = 0; i < PORTS; i++) {
        UsbDevice *usb = usb_port_find(&u->ports[i], address);

        if (usb) {
            return usb;
        }
    }
    return NULL;
}

/* What a descriptor's packet came to; *pending is what has its data, to be dropped afterwards. */
static UsbStatus run_packet(Uhci *u, uint32_t address, const Td *td, Pending **pending)
{
    uint32_t size = ((td->token >> 21) + 1) & TD_LENGTH;
    Pending *p = find_pending(u, address, td->token);
    UsbDevice *usb;

    *pending = p;
    if (p) {
        p->frame = u->frame_count;
        return p->done ? p->packet.status : USB_PENDING;
    }
    usb = find_device(u, td->token >> 8 & 0x7f);
    if (!usb || size > PACKET_MAX) {
        return USB_ERROR;
    }
    if (u->pending_count == PENDING_MAX) {
        return USB_NAK;
    }
    *pending = p = g_new0(Pending, 1);
    *p = (Pending){ .uhci = u, .td = address, .token = td->token, .frame = u->frame_count };
    p->iov = (struct iovec){ p->data, size };
    p->packet = (UsbPacket){ .token = td->token & 0xff,
                             .endpoint = td->token >> 15 & 0xf,
                             .iov = &p->iov,
                             .iov_count = 1,
                             .size = size,
                             .done = packet_done };
    u->pending[u->pending_count++] = p;
    if (p->packet.token != USB_TOKEN_IN && !move_data(u, td->buffer, p->data, size, false)) {
        return USB_ERROR;
    }
    return usb_device_handle(usb, &p->packet);
}

/* How walking goes on behind a descriptor. */
typedef enum { GO_ON, STAY } Step;

static Step end_td(Uhci *u, uint32_t address, Td *td, const Pending *p)
{
    uint32_t size = ((td->token >> 21) + 1) & TD_LENGTH, moved = p ? p->packet.moved : 0;
    bool in = (td->token & 0xff) == USB_TOKEN_IN;

    if (in && moved) {
        move_data(u, td->buffer, (void *)p->data, moved, true);
    }
    td->control =
        (td->control & ~(uint32_t)(TD_ACTIVE | TD_STATUS | TD_LENGTH)) | ((moved - 1) & TD_LENGTH);
    if (td->control & TD_COMPLETE) {
        interrupt(u, CAUSE_COMPLETE);
    }
    if (in && moved < size && td->control & TD_SHORT) {
        interrupt(u, CAUSE_SHORT);
        write_word(u, address + 4, td->control);
        return STAY;
    }
    write_word(u, address + 4, td->control);
    return GO_ON;
}

static Step fail_td(Uhci *u, uint32_t address, Td *td, uint32_t status)
{
    td->control = (td->control & ~(uint32_t)(TD_ACTIVE | TD_STATUS | TD_ERRORS)) | status;
    write_word(u, address + 4, td->control);
    u->usbsts |= STS_ERROR;
    if (td->control & TD_COMPLETE) {
        interrupt(u, CAUSE_COMPLETE);
    }
    return td->control & TD_ISOCH ? GO_ON : STAY;
}

static Step run_td(Uhci *u, uint32_t address, Td *td, uint32_t *budget)
{
    Pending *p = NULL;
    UsbStatus status;
    Step step = STAY;

    if (!(td->control & TD_ACTIVE)) {
        return STAY;
    }
    status = run_packet(u, address, td, &p);
    switch (status) {
    case USB_PENDING:
        return STAY;
    case USB_NAK:
        if (td->control & TD_ISOCH) {
            step = end_td(u, address, td, NULL);
        } else {
            write_word(u, address + 4, td->control | TD_NAK);
        }
        break;
    case USB_DONE:
        u->quiet = 0;
        *budget -= MIN(*budget, p->packet.moved + 16);
        step = end_td(u, address, td, p);
        break;
    case USB_STALL:
        u->quiet = 0;
        step = fail_td(u, address, td, TD_STALLED);
        break;
    default:
        u->quiet = 0;
        step = fail_td(u, address, td, TD_STALLED | TD_TIMEOUT);
    }
    if (p) {
        drop_pending(u, p);
    }
    return step;
}

/* Schedules. */

static bool read_td(Uhci *u, uint32_t address, Td *td)
{
    uint32_t words[4];

    if (!read_words(u, address, words, 4)) {
        return false;
    }
    *td = (Td){ words[0], words[1], words[2], words[3] };
    return true;
}

/* A queue's first element. Returns whether it was done, so that the queue may have another turn. */
static bool run_queue(Uhci *u, uint32_t queue, uint32_t element, uint32_t *budget)
{
    Td td;

    if (element & (LINK_END | LINK_QUEUE) || !read_td(u, LINK(element), &td) ||
        run_td(u, LINK(element), &td, budget) != GO_ON) {
        return false;
    }
    write_word(u, queue + 4, td.link);
    return true;
}

/* Walks from the frame's entry on; queues that are linked in a circle have turns until none of them moves. */
static void run_frame(Uhci *u, uint32_t entry)
{
    uint32_t seen[FRAME_QUEUES], budget = u->bandwidth, link = entry;
    unsigned seen_count = 0;
    bool moved = false;

    for (unsigned step = 0; step < FRAME_STEPS && budget && !(link & LINK_END); step++) {
        uint32_t address = LINK(link), words[2];
        Td td;

        if (!(link & LINK_QUEUE)) {
            if (!read_td(u, address, &td)) {
                return;
            }
            run_td(u, address, &td, &budget);
            link = td.link;
            continue;
        }
        for (unsigned i = 0; i < seen_count; i++) {
            if (seen[i] == address) {
                if (!moved) {
                    return;
                }
                seen_count = 0;
                moved = false;
            }
        }
        if (seen_count == FRAME_QUEUES || !read_words(u, address, words, 2)) {
            return;
        }
        seen[seen_count++] = address;
        if (words[1] & LINK_QUEUE && !(words[1] & LINK_END)) {
            link = words[1]; /* a queue in a queue */
            continue;
        }
        /* One that gets on has another go at once, while the frame lasts. */
        while (budget && step < FRAME_STEPS && run_queue(u, address, words[1], &budget)) {
            moved = true;
            step++;
            if (!read_words(u, address, words, 2)) {
                return;
            }
        }
        link = words[0];
    }
}

static void forget_lost(Uhci *u)
{
    for (unsigned i = 0; i < u->pending_count;) {
        Pending *p = u->pending[i];

        if (u->frame_count - p->frame > PENDING_FRAMES) {
            drop_pending(u, p);
        } else {
            i++;
        }
    }
}

static void next_frame(Uhci *u)
{
    uint32_t entry;

    u->frame_count++;
    u->quiet++;
    if (read_words(u, u->flbase + 4 * (u->frnum & (FRAMES - 1)), &entry, 1)) {
        run_frame(u, entry);
    }
    u->frnum = (u->frnum + 1) & 0x7ff;
    u->frame_ns += FRAME_NS;
    forget_lost(u);
}

static void run_frames(void *opaque)
{
    Uhci *u = opaque;
    int64_t now = clock_now_ns(u->pci.device.machine);

    if (u->frame_ns + LATE_FRAMES * FRAME_NS < now) {
        u->frame_ns = now; /* what was missed is lost */
    }
    do {
        next_frame(u);
    } while (u->frame_ns <= now && u->usbcmd & CMD_RUN);
    update_irq(u);
    if (u->usbcmd & CMD_RUN) {
        timer_arm(&u->timer,
                  u->frame_ns + (u->quiet > IDLE_FRAMES ? (IDLE_BATCH - 1) * FRAME_NS : 0));
    }
}

/* Ports. */

static void update_port(Uhci *u, unsigned index)
{
    u->ports[index].enabled = u->ports[index].device && u->portsc[index] & PORT_ENABLED;
}

static void show_connection(Uhci *u, unsigned index)
{
    const UsbDevice *usb = u->ports[index].device;
    uint16_t *portsc = &u->portsc[index];

    *portsc &= (uint16_t) ~(PORT_CONNECTED | PORT_LOW_SPEED);
    if (usb) {
        *portsc |= PORT_CONNECTED | (usb->speed == USB_LOW ? PORT_LOW_SPEED : 0);
    } else if (*portsc & PORT_ENABLED) {
        *portsc = (uint16_t)((*portsc & ~PORT_ENABLED) | PORT_ENABLE_CHANGE);
    }
    *portsc |= PORT_CONNECT_CHANGE;
    update_port(u, index);
}

static void resume(Uhci *u)
{
    u->usbsts |= STS_RESUME;
    update_irq(u);
}

static void port_changed(UsbPort *port)
{
    show_connection(port->opaque, port->index);
    resume(port->opaque);
}

static void ready(UsbPort *port, UsbDevice *usb, uint8_t endpoint)
{
    Uhci *u = port->opaque;
    uint16_t *portsc = &u->portsc[port->index];

    if (*portsc & PORT_SUSPENDED && !(*portsc & PORT_RESUME) && usb->wakeup_enabled) {
        *portsc |= PORT_RESUME;
        resume(u);
    }
    wake(u);
}

static const UsbPortOps port_ops = {
    .attached = port_changed,
    .detached = port_changed,
    .ready = ready,
};

static void reset_controller(Uhci *u)
{
    drop_all(u);
    timer_cancel(&u->timer);
    u->usbcmd = u->usbintr = u->frnum = 0;
    u->usbsts = STS_HALTED;
    u->flbase = 0;
    u->sofmod = 64;
    u->cause = 0;
    u->quiet = u->frame_count = 0;
    u->frame_ns = 0;
    for (unsigned i = 0; i < PORTS; i++) {
        u->portsc[i] = PORT_ALWAYS;
        if (u->ports[i].device) {
            show_connection(u, i);
        }
        update_port(u, i);
    }
    update_irq(u);
}

/* Registers. */

static void write_usbcmd(Device *device, unsigned index, uint64_t value)
{
    Uhci *u = uhci_of(device);

    if (value & CMD_RESET) {
        reset_controller(u);
        return;
    }
    if (value & CMD_GLOBAL_RESET) {
        for (unsigned i = 0; i < PORTS; i++) {
            if (u->ports[i].device) {
                usb_device_bus_reset(u->ports[i].device);
            }
        }
        reset_controller(u);
    }
    if (value & CMD_RUN && !(u->usbcmd & CMD_RUN)) {
        u->usbsts &= (uint16_t)~STS_HALTED;
        u->frame_ns = clock_now_ns(device->machine) + FRAME_NS;
        timer_arm(&u->timer, u->frame_ns);
    } else if (!(value & CMD_RUN)) {
        u->usbsts |= STS_HALTED;
        timer_cancel(&u->timer);
    }
    u->quiet = 0;
    u->usbcmd = value & 0xff;
}

static void write_usbsts(Device *device, unsigned index, uint64_t value)
{
    enum { CLEARED = 0x1f };
    Uhci *u = uhci_of(device);

    u->usbsts &= (uint16_t) ~(value & CLEARED);
    if (value & STS_INTERRUPT) {
        u->cause = 0;
    }
    update_irq(u);
}

static void write_usbintr(Device *device, unsigned index, uint64_t value)
{
    uhci_of(device)->usbintr = value & 0xf;
    update_irq(uhci_of(device));
}

static void write_frnum(Device *device, unsigned index, uint64_t value)
{
    if (!(uhci_of(device)->usbcmd & CMD_RUN)) {
        uhci_of(device)->frnum = value & 0x7ff;
    }
}

/* Frames that were not walked yet count, too. */
static uint64_t read_frnum(Device *device, unsigned index)
{
    Uhci *u = uhci_of(device);
    int64_t late = clock_now_ns(device->machine) - u->frame_ns;

    return u->usbcmd & CMD_RUN && late > 0 ? (u->frnum + (uint64_t)(late / FRAME_NS)) & 0x7ff
                                           : u->frnum;
}

static void write_portsc(Device *device, unsigned index, uint64_t value)
{
    Uhci *u = uhci_of(device);
    uint16_t *portsc = &u->portsc[index];
    UsbDevice *usb = u->ports[index].device;
    bool was_reset = *portsc & PORT_RESET;

    *portsc &= (uint16_t) ~(value & PORT_CHANGES);
    *portsc = (uint16_t)((*portsc & ~PORT_PLAIN) | (value & PORT_PLAIN));
    if (!usb) {
        *portsc &= (uint16_t)~PORT_ENABLED;
    }
    if (usb && value & PORT_RESET && !was_reset) {
        usb_device_bus_reset(usb);
    }
    if (*portsc & PORT_RESET) {
        *portsc &= (uint16_t)~PORT_ENABLED;
    }
    update_port(u, index);
    u->quiet = 0;
}

#define PLAIN(name) .field = offsetof(Uhci, name)
/* clang-format off */
static const Register registers[] = {
    { "USBCMD", 0x00, 2, REGISTER_RW, PLAIN(usbcmd), .write = write_usbcmd },
    { "USBSTS", 0x02, 2, REGISTER_RW, PLAIN(usbsts), .write = write_usbsts },
    { "USBINTR", 0x04, 2, REGISTER_RW, PLAIN(usbintr), .write = write_usbintr },
    { "FRNUM", 0x06, 2, REGISTER_RW, PLAIN(frnum), .read = read_frnum, .write = write_frnum },
    { "FLBASEADD", 0x08, 4, REGISTER_RW, PLAIN(flbase), .writable = 0xfffff000 },
    { "SOFMOD", 0x0c, 1, REGISTER_RW, PLAIN(sofmod), .writable = 0x7f },
    { "PORTSC", 0x10, 2, REGISTER_RW, .count = PORTS, PLAIN(portsc), .write = write_portsc },
    { 0 },
};
/* clang-format on */

static const RegisterBank bank = {
    .name = "uhci",
    .size = REGISTERS,
    .registers = registers,
    .ports = true,
};

/* The functions. */

typedef struct {
    uint16_t device;
    uint8_t revision, pin;
} UhciModel;

/* NULL: there is no bus of that name that has companions, or there is none any more. */
static UsbBus *master_of(const Uhci *u)
{
    Bus *bus = bus_find(u->pci.device.machine, u->masterbus);
    UsbBus *master = bus && bus->type == &usb_bus_type ? container_of(bus, UsbBus, bus) : NULL;

    return master && master->add_companion ? master : NULL;
}

static bool join_master(Uhci *u, GError **error)
{
    UsbBus *master = master_of(u);

    if (!master) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "%s: masterbus=%s: there is no EHCI's bus of that name", u->pci.device.id,
                          u->masterbus);
    }
    for (unsigned i = 0; i < PORTS; i++) {
        u->ports[i] =
            (UsbPort){ .ops = &port_ops, .opaque = u, .index = i, .speeds = USB_SPEEDS_1 };
    }
    return master->add_companion(master, u->ports, PORTS, u->firstport, error);
}

static bool uhci_realize(Device *device, GError **error)
{
    const UhciModel *model = device->type->class_data;
    Uhci *u = uhci_of(device);

    if (u->masterbus && !join_master(u, error)) {
        return false;
    }
    pci_set_identity(&u->pci, 0x8086, model->device, CLASS_UHCI, model->revision);
    pci_set_interrupt_pin(&u->pci, model->pin);
    u->pci.config[SERIAL_BUS_RELEASE] = 0x10;
    store_le16(u->pci.config + LEGACY_SUPPORT, 0x2000);
    store_le16(u->pci.writable + LEGACY_SUPPORT, 0x00bf);
    register_bank_init(device, &u->registers, &bank);
    pci_add_bar(&u->pci, 4, PCI_BAR_IO, false, &u->registers);
    timer_init(&u->timer, device->machine, run_frames, u);
    if (!u->masterbus) {
        usb_bus_init(&u->bus, device);
        for (unsigned i = 0; i < PORTS; i++) {
            usb_port_init(&u->ports[i], &u->bus, NULL, i, USB_SPEEDS_1, &port_ops, u);
        }
    }
    return true;
}

static void uhci_unrealize(Device *device)
{
    Uhci *u = uhci_of(device);

    drop_all(u);
    timer_cancel(&u->timer);
    if (!u->masterbus) {
        for (unsigned i = 0; i < PORTS; i++) {
            usb_port_free(&u->ports[i]);
        }
        usb_bus_free(&u->bus);
    } else if (master_of(u)) {
        master_of(u)->remove_companion(master_of(u), u->ports, PORTS);
    }
}

static void uhci_reset(Device *device)
{
    pci_reset(pci_device(device));
    reset_controller(uhci_of(device));
}

static void uhci_state_loaded(Device *device)
{
    Uhci *u = uhci_of(device);

    pci_state_loaded(&u->pci);
    drop_all(u);
    for (unsigned i = 0; i < PORTS; i++) {
        update_port(u, i);
    }
    update_irq(u);
}

static const StateField uhci_state[] = {
    PCI_STATE(Uhci, pci),
    STATE_TIMER(Uhci, timer),
    STATE(Uhci, usbcmd),
    STATE(Uhci, usbsts),
    STATE(Uhci, usbintr),
    STATE_MOST(Uhci, frnum, 0x7ff),
    STATE(Uhci, flbase),
    STATE(Uhci, sofmod),
    STATE(Uhci, cause),
    STATE(Uhci, portsc),
    STATE(Uhci, frame_ns),
    STATE(Uhci, quiet),
    STATE(Uhci, frame_count),
    STATE_DERIVED(Uhci, ports),
    STATE_DERIVED(Uhci, pending),
    STATE_DERIVED(Uhci, pending_count),
    { 0 },
};

#define UHCI_PROPERTIES                                                                            \
    { "bandwidth", PROPERTY_U32, offsetof(Uhci, bandwidth), "bytes that a frame moves at most",    \
      "16384" },                                                                                   \
    {                                                                                              \
        "maxframes", PROPERTY_U32, offsetof(Uhci, maxframes), "accepted; has no effect", "128"     \
    }

static const Property uhci_properties[] = { UHCI_PROPERTIES, { 0 } };
static const Property companion_properties[] = {
    UHCI_PROPERTIES,
    { "masterbus", PROPERTY_STRING, offsetof(Uhci, masterbus),
      "the EHCI's bus, whose slower devices it takes" },
    { "firstport", PROPERTY_U32, offsetof(Uhci, firstport), "of that bus, from 0", "0" },
    { 0 },
};

#define UHCI_TYPE(symbol, name_, summary_, properties_, device_, revision_, pin_)                  \
    static const DeviceType symbol = {                                                             \
        .name = name_,                                                                             \
        .summary = summary_,                                                                       \
        .bus = "pci",                                                                              \
        .category = "usb",                                                                         \
        .instance_size = sizeof(Uhci),                                                             \
        .properties = properties_,                                                                 \
        .bus_properties = (const Property[]){ PCI_PROPERTIES(Uhci, pci), { 0 } },                  \
        .state = uhci_state,                                                                       \
        .class_data = &(const UhciModel){ device_, revision_, pin_ },                              \
        .realize = uhci_realize,                                                                   \
        .unrealize = uhci_unrealize,                                                               \
        .reset = uhci_reset,                                                                       \
        .state_loaded = uhci_state_loaded,                                                         \
    };                                                                                             \
    DEVICE_TYPE(symbol)

UHCI_TYPE(piix3_usb_uhci, "piix3-usb-uhci", "USB 1 host controller of the PIIX3", uhci_properties,
          0x7020, 1, 4);
UHCI_TYPE(piix4_usb_uhci, "piix4-usb-uhci", "USB 1 host controller of the PIIX4", uhci_properties,
          0x7112, 1, 4);
UHCI_TYPE(ich9_usb_uhci1, "ich9-usb-uhci1", "USB 1 host controller of the ICH9, first",
          companion_properties, 0x2934, 3, 1);
UHCI_TYPE(ich9_usb_uhci2, "ich9-usb-uhci2", "USB 1 host controller of the ICH9, second",
          companion_properties, 0x2935, 3, 2);
UHCI_TYPE(ich9_usb_uhci3, "ich9-usb-uhci3", "USB 1 host controller of the ICH9, third",
          companion_properties, 0x2936, 3, 3);
UHCI_TYPE(ich9_usb_uhci4, "ich9-usb-uhci4", "USB 1 host controller of the ICH9, fourth",
          companion_properties, 0x2937, 3, 1);
UHCI_TYPE(ich9_usb_uhci5, "ich9-usb-uhci5", "USB 1 host controller of the ICH9, fifth",
          companion_properties, 0x2938, 3, 2);
UHCI_TYPE(ich9_usb_uhci6, "ich9-usb-uhci6", "USB 1 host controller of the ICH9, sixth",
          companion_properties, 0x2939, 3, 3);
