/* SPDX-License-Identifier: MIT */
/*
 * USB (Universal Serial Bus Specification 2.0 and 3.2): devices with their descriptors and endpoints, the packets that a host
 * controller sends them, buses and ports.
 *
 * A device embeds a UsbDevice first, sits on a bus of type "usb-bus" and says what it is in a const UsbDeviceType; the core
 * answers the standard requests from that. A controller embeds a UsbBus and a UsbPort for each root port, and brings packets to
 * the devices that it finds behind them. Everything here runs under the machine lock.
 */
#ifndef HW_USB_USB_H
#define HW_USB_USB_H

#include <sys/uio.h>

#include "machine/device.h"

typedef struct UsbDevice UsbDevice;
typedef struct UsbBus UsbBus;
typedef struct UsbPort UsbPort;
typedef struct UsbPacket UsbPacket;

typedef enum { USB_LOW, USB_FULL, USB_HIGH, USB_SUPER, USB_SPEED_COUNT } UsbSpeed;
/* Sets of speeds. */
enum {
    USB_SPEEDS_1 = 1 << USB_LOW | 1 << USB_FULL,
    USB_SPEEDS_2 = USB_SPEEDS_1 | 1 << USB_HIGH,
    USB_SPEEDS_3 = 1 << USB_SUPER,
};
extern const char *const usb_speed_names[USB_SPEED_COUNT]; /* in Mb/s */

/* As on the wire (8.3.1 of USB 2.0). */
typedef enum { USB_TOKEN_OUT = 0xe1, USB_TOKEN_IN = 0x69, USB_TOKEN_SETUP = 0x2d } UsbToken;

typedef enum {
    USB_DONE,    /* `moved` bytes */
    USB_NAK,     /* nothing now: try again, or wait for usb_ready */
    USB_STALL,   /* the endpoint refuses */
    USB_ERROR,   /* nobody answers, or the device is broken */
    USB_PENDING, /* `done` will be called */
} UsbStatus;

enum {
    USB_ENDPOINTS = 16,
    USB_INTERFACES = 8,
    USB_CONTROL_BYTES = 4096, /* data of a control transfer, at most */
    USB_HUB_TIERS = 5,
    USB_HUB_PORTS = 15, /* of one hub: a route string has 4 bits */
    USB_PATH = 24,
    USB_DIRECTION_IN = 0x80, /* of an endpoint's address and a request's type */
};

/* What a controller wants of an endpoint: any number of the bus's packets in one direction. Made by the controller. */
struct UsbPacket {
    UsbToken token;
    uint8_t endpoint;  /* number */
    uint16_t stream;   /* of the endpoint (USB 3.2, 8.12.1.4); 0: it has none */
    struct iovec *iov; /* host memory to read (OUT, SETUP) or write; lasts until it is done */
    unsigned iov_count;
    uint32_t size;
    void (*done)(UsbPacket *packet); /* of one that was USB_PENDING */
    /* Results. */
    UsbStatus status;
    uint32_t moved;
    /* Of the core. */
    UsbDevice *device; /* while it is pending */
    UsbPacket *next;
};

/* For devices: appends to what an IN packet has, or takes the next bytes of an OUT packet; as far as there is room. */
uint32_t usb_packet_put(UsbPacket *packet, const void *data, uint32_t size);
uint32_t usb_packet_take(UsbPacket *packet, void *data, uint32_t size);
/* Ends one that was pending: it is the controller's again. */
void usb_packet_finish(UsbPacket *packet, UsbStatus status);
/* For controllers: one that is pending is forgotten; `done` is not called. */
void usb_packet_cancel(UsbPacket *packet);

/* Descriptors. */

typedef struct {
    uint8_t address;    /* with USB_DIRECTION_IN */
    uint8_t attributes; /* transfer type in bits 1..0: 1 isochronous, 2 bulk, 3 interrupt */
    uint16_t packet
        [USB_SPEED_COUNT]; /* largest packet; 0: the endpoint's interface has it at all the speeds but this */
    uint8_t interval[USB_SPEED_COUNT]; /* bInterval */
    uint8_t burst;                     /* at super speed: packets in a burst, less one */
    uint8_t streams;                   /* the same: 2 to this power of them, if not 0 */
    bool audio;                        /* the descriptor has the two more bytes of audio devices */
    const uint8_t *extra;              /* class-specific descriptors that follow */
    uint16_t extra_size;
} UsbEndpoint;

typedef struct {
    uint8_t number, alternate, class_code, subclass, protocol;
    uint8_t text;         /* index of a string, or 0 */
    const uint8_t *extra; /* class-specific descriptors that follow */
    uint16_t extra_size;
    const UsbEndpoint *endpoints;
    uint8_t endpoint_count;
} UsbInterface;

/* Strings have these numbers. */
enum { USB_STRING_VENDOR = 1, USB_STRING_PRODUCT = 2, USB_STRING_SERIAL = 3, USB_STRING_OTHER = 4 };

/* Extra requests: data to return are put into `data`, `*length` is room or size, and then what there is. */
typedef struct {
    uint8_t type, request;
    uint16_t value, index, length;
} UsbSetup;

typedef struct {
    uint16_t vendor, product, release;
    uint8_t class_code, subclass, protocol;
    unsigned speeds; /* set of those that it can */
    uint8_t
        attributes; /* of the configuration: 0x80, with 0x40 self-powered, 0x20 can wake the host */
    uint8_t power_2ma;
    const char *strings[8]; /* by number; the serial number is the property's when there is one */
    const UsbInterface *interfaces; /* with alternate settings one after the other */
    uint8_t interface_count;
    const char *name; /* for people: info usb */

    bool (*realize)(UsbDevice *usb, GError **error);
    void (*unrealize)(UsbDevice *usb);
    /* A reset on the bus or of the machine: as after power-on. The core has cancelled what was pending. May be NULL. */
    void (*reset)(UsbDevice *usb);
    /* The host has chosen a configuration (0: none) or an alternate setting. May be NULL. */
    void (*configured)(UsbDevice *usb);
    /* A request that is none of the standard ones; also GET_DESCRIPTOR of an interface. USB_DONE or USB_STALL. May be NULL. */
    UsbStatus (*control)(UsbDevice *usb, const UsbSetup *setup, uint8_t *data, uint32_t *length);
    /* A packet for one of its endpoints. USB_PENDING keeps it until usb_packet_finish. */
    UsbStatus (*transfer)(UsbDevice *usb, UsbPacket *packet);
    /* A pending packet is the controller's again. NULL: it keeps none. */
    void (*cancel)(UsbDevice *usb, UsbPacket *packet);
    void (*state_loaded)(UsbDevice *usb);
} UsbDeviceType;

struct UsbDevice {
    Device device; /* first */
    const UsbDeviceType *type;
    UsbBus *bus;
    UsbPort *port; /* that it has claimed */
    bool attached; /* its plug is in the port */
    UsbSpeed speed;
    uint8_t address, configuration, wakeup_enabled;
    uint8_t alternates[USB_INTERFACES];
    uint16_t halted_in, halted_out; /* endpoints */
    /* The control transfer that is under way. */
    uint8_t control_stage;
    uint8_t setup[8];
    uint32_t control_size, control_at;
    uint8_t control_data[USB_CONTROL_BYTES];
    UsbPacket *pending;
    /* Properties. */
    char *port_path, *serial;
    bool msos_desc;
    uint32_t usb_version; /* 1: no more than full speed; else all that the type can */
};

/* The speeds that it can, by its type and usb_version=. */
unsigned usb_device_speeds(const UsbDevice *usb);
/* Brings a packet to its endpoint; the status is also in the packet. */
UsbStatus usb_device_handle(UsbDevice *usb, UsbPacket *packet);
/* A reset on its port. */
void usb_device_bus_reset(UsbDevice *usb);
/* For devices: an endpoint (an address) that has answered USB_NAK has something. */
void usb_ready(UsbDevice *usb, uint8_t endpoint);
/* Plugs it in and pulls it out of its port. */
bool usb_device_attach(UsbDevice *usb, GError **error);
void usb_device_detach(UsbDevice *usb);
/* For controllers that hand it to a companion and back: the fastest of its speeds that are in the set. */
void usb_device_choose_speed(UsbDevice *usb, unsigned speeds);
/* The endpoint's descriptor in the settings that are chosen; NULL: there is none. */
const UsbEndpoint *usb_device_endpoint(const UsbDevice *usb, uint8_t address);
/* usb-descriptors.c: value as in GET_DESCRIPTOR; *length is the room, and then the size. */
UsbStatus usb_descriptor_get(const UsbDevice *usb, uint16_t value, uint8_t *data, uint32_t *length);

/* For DeviceType. */
bool usb_device_realize(Device *device, GError **error);
void usb_device_unrealize(Device *device);
void usb_device_reset(Device *device);
void usb_device_state_loaded(Device *device);

static inline UsbDevice *usb_device(Device *device)
{
    return container_of(device, UsbDevice, device);
}

#define USB_PROPERTIES(Instance, usb)                                                              \
    { "port", PROPERTY_STRING, offsetof(Instance, usb.port_path),                                  \
      "port of the bus, behind hubs as in 1.2; unset: the first that is free" },                   \
        { "serial", PROPERTY_STRING, offsetof(Instance, usb.serial),                               \
          "serial number, as the guest sees it" },                                                 \
        { "msos-desc", PROPERTY_BOOL, offsetof(Instance, usb.msos_desc),                           \
          "accepted; has no effect", "on" },                                                       \
    {                                                                                              \
        "pcap", PROPERTY_NOT_YET, 0, "file that packets are written to"                            \
    }
#define USB_STATE(Instance, usb)                                                                   \
    STATE(Instance, usb.address), STATE(Instance, usb.configuration),                              \
        STATE(Instance, usb.wakeup_enabled), STATE(Instance, usb.alternates),                      \
        STATE(Instance, usb.halted_in), STATE(Instance, usb.halted_out),                           \
        STATE(Instance, usb.control_stage), STATE(Instance, usb.setup),                            \
        STATE_MOST(Instance, usb.control_size, USB_CONTROL_BYTES),                                 \
        STATE_MOST(Instance, usb.control_at, USB_CONTROL_BYTES), STATE(Instance, usb.control_data)
/* Name, summary and category besides. */
#define USB_DEVICE_HOOKS(type_)                                                                    \
    .bus = "usb-bus", .class_data = (type_), .realize = usb_device_realize,                        \
    .unrealize = usb_device_unrealize, .reset = usb_device_reset,                                  \
    .state_loaded = usb_device_state_loaded

/* Ports and buses. */

typedef struct {
    /* A device has come or gone; port->device says. */
    void (*attached)(UsbPort *port);
    void (*detached)(UsbPort *port);
    /* Of root ports: usb_ready of a device behind it. */
    void (*ready)(UsbPort *port, UsbDevice *usb, uint8_t endpoint);
} UsbPortOps;

struct UsbPort {
    UsbBus *bus;
    const UsbPortOps *ops;
    void *opaque;
    unsigned index;      /* among the ports of its controller or hub, from 0 */
    unsigned speeds;     /* set of those that it takes */
    char path[USB_PATH]; /* "1", behind a hub "1.2" */
    UsbDevice *hub;      /* NULL: a root port */
    UsbDevice *owner;    /* who has claimed it, plugged in or not */
    UsbDevice *device;   /* that is plugged in */
    bool enabled;        /* packets go through it */
};

struct UsbBus {
    Bus bus;
    GPtrArray *ports; /* UsbPort *, with those of hubs */
    unsigned number;  /* among those of the machine, for people */
    /*
     * Controllers of slower devices at the ports of a faster one: takes `count` ports from `first` on for what is not its own.
     * NULL: the controller has no use for them.
     */
    bool (*add_companion)(UsbBus *bus, UsbPort *ports, unsigned count, unsigned first,
                          GError **error);
    /* Before these ports go; what is at them is the faster controller's again. */
    void (*remove_companion)(UsbBus *bus, const UsbPort *ports, unsigned count);
};

extern const BusType usb_bus_type;

/* name: "usb-bus.0", or by the controller's id, is chosen here. */
void usb_bus_init(UsbBus *bus, Device *controller);
void usb_bus_free(UsbBus *bus);
void usb_port_init(UsbPort *port, UsbBus *bus, UsbDevice *hub, unsigned index, unsigned speeds,
                   const UsbPortOps *ops, void *opaque);
void usb_port_free(UsbPort *port);
/*
 * For isochronous transfers that are late: whether the next may go now. They are caught up with at 5/4 of the speed, in small bursts:
 * the guest needs time to prepare more of them. *pace_ns starts at 0.
 */
bool usb_pace(int64_t *pace_ns, int64_t now_ns, int64_t interval_ns);
/* The device with an address behind a port, through hubs; NULL: nobody answers. */
UsbDevice *usb_port_find(UsbPort *port, uint8_t address);
/* The one at the end of a route string (USB 3.2, 8.9): 4 bits a hub, the nearest in the lowest. */
UsbDevice *usb_port_route(UsbPort *port, uint32_t route);
/* The port of the controller that a device is behind. */
UsbPort *usb_root_port(UsbDevice *usb);

#endif
