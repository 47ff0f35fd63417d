/* SPDX-License-Identifier: MIT */
/*
 * PCI: functions with their configuration space, buses, and what a host bridge needs to give.
 *
 * A function embeds a PciDevice first and sits on a bus of type "pci". The bus gives it an address and
 * an empty type 0 header before its type's realize, which then fills in identity, BARs and
 * capabilities with the functions below. Everything here runs under the machine lock.
 */
#ifndef HW_PCI_PCI_H
#define HW_PCI_PCI_H

#include "machine/device.h"
#include "machine/irq-signal.h"
#include "machine/memory.h"
#include "machine/pci-function.h"

/* Configuration header, PCI Local Bus 3.0, 6.1. */
enum {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION_ID = 0x08,
    PCI_CLASS_CODE = 0x09,
    PCI_CACHE_LINE_SIZE = 0x0c,
    PCI_HEADER_TYPE = 0x0e,
    PCI_BASE_ADDRESS_0 = 0x10,
    PCI_SUBSYSTEM_VENDOR_ID = 0x2c,
    PCI_SUBSYSTEM_ID = 0x2e,
    PCI_ROM_ADDRESS = 0x30,
    PCI_CAPABILITIES = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,

    PCI_COMMAND_IO = 1 << 0,
    PCI_COMMAND_MEMORY = 1 << 1,
    PCI_COMMAND_BUS_MASTER = 1 << 2,
    PCI_COMMAND_PARITY = 1 << 6,
    PCI_COMMAND_SERR = 1 << 8,
    PCI_COMMAND_INTX_DISABLE = 1 << 10,

    PCI_STATUS_INTERRUPT = 1 << 3,
    PCI_STATUS_CAPABILITIES = 1 << 4,

    PCI_HEADER_TYPE_BRIDGE = 1,
    PCI_HEADER_MULTIFUNCTION = 0x80,

    PCI_CAPABILITY_POWER = 0x01,
    PCI_CAPABILITY_MSI = 0x05,
    PCI_CAPABILITY_VENDOR = 0x09,
    PCI_CAPABILITY_EXPRESS = 0x10,
    PCI_CAPABILITY_MSIX = 0x11,

    PCI_EXTENDED_SERIAL_NUMBER = 0x03,
};

/* PCI Express capability, device/port type field. */
enum { PCIE_TYPE_ENDPOINT = 0, PCIE_TYPE_ROOT_PORT = 4, PCIE_TYPE_UPSTREAM = 5, PCIE_TYPE_DOWNSTREAM = 6, PCIE_TYPE_PCI_BRIDGE = 7, PCIE_TYPE_ROOT_COMPLEX_ENDPOINT = 9 };

enum {
    PCI_CONFIG_SIZE = 256,
    PCI_EXTENDED_SIZE = 64, /* behind it, of an express function; the rest of the 4 KiB reads as zero */
    PCI_BAR_COUNT = 6,
    PCI_MSIX_MAX_VECTORS = 128,
    PCI_MSIX_BAR_SIZE = 4096,
};

typedef enum { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEMORY32, PCI_BAR_MEMORY64 } PciBarKind;

typedef struct PciDevice PciDevice;
typedef struct PciBus PciBus;

typedef struct {
    /* Before a configuration read and after a write. May be NULL. */
    void (*config_read)(PciDevice *pci, unsigned offset, unsigned size);
    void (*config_written)(PciDevice *pci, unsigned offset, unsigned size);
    /* The driver unmasked a vector, masked it, or switched MSI-X on or off. May be NULL. */
    void (*msix_changed)(PciDevice *pci);
} PciDeviceOps;

typedef struct {
    PciBarKind kind;
    MemoryRegion *region;
    uint64_t address;   /* within the bus's container, when mapped */
    bool mapped;
} PciBar;

/* MSI-X: table at 0 and pending bits at 0x800 of a BAR of its own, or of a part of one. */
typedef struct {
    unsigned vectors;   /* 0: the function has none */
    unsigned capability;
    MemoryRegion region;
    uint8_t table[PCI_MSIX_MAX_VECTORS * 16];
    uint8_t pending[PCI_MSIX_MAX_VECTORS / 8];
    GArray *bound; /* of msix.c: who signals vectors by descriptor; NULL: nobody */
} PciMsix;

struct PciDevice {
    Device device;
    const PciDeviceOps *ops;
    PciBus *bus;
    uint8_t devfn;
    bool is_bridge;
    uint8_t config[PCI_CONFIG_SIZE];
    uint8_t reset_config[PCI_CONFIG_SIZE]; /* taken at the first reset */
    uint8_t writable[PCI_CONFIG_SIZE];
    uint8_t extended[PCI_EXTENDED_SIZE]; /* as realize made it */
    bool have_reset_config;
    uint8_t last_capability;
    uint8_t next_free;       /* where the next capability goes */
    PciBar bars[PCI_BAR_COUNT];
    PciMsix msix;
    uint8_t msi;             /* offset of the capability; 0: the function has none */
    MemoryRegion rom;        /* expansion ROM; size 0: there is none */
    bool rom_mapped, rom_known;
    bool intx_wanted;        /* level the function asks for, before INTx Disable */
    bool intx_driven;        /* level that the bus sees */
    /* Properties. */
    int32_t address;
    int multifunction;
    char *romfile;
    int32_t rom_bar;
    uint32_t rom_size;
    char *failover_pair_id;
    uint32_t acpi_index;
    /* Without effect. */
    uint64_t max_bounce_buffer;
    bool ari_next_function, error_uncorrectable_mask, extended_tag, link_status_active;
};

/* Who tells the guest of devices that come and go. Under the machine lock. */
typedef struct {
    bool (*may_plug)(void *opaque, PciDevice *pci, GError **error);
    void (*plugged)(void *opaque, PciDevice *pci);
    /* The guest is asked to let the slot go; who does, calls pci_bus_clear_slot. */
    bool (*unplug)(void *opaque, PciDevice *pci, GError **error);
} PciHotplug;

struct PciBus {
    Bus bus;
    PciDevice *functions[256];
    PciDevice *bridge;       /* NULL on a root bus */
    MemoryRegion *memory;    /* BARs are mapped in these two */
    MemoryRegion *io;
    /* Root bus only. wire: 0..3 for INTA..INTD after the swizzle of all bridges, or what intx_wire says. */
    void (*set_intx)(void *opaque, unsigned wire, int level);
    unsigned (*intx_wire)(unsigned slot, unsigned pin); /* of a slot of this bus; NULL: (slot + pin) mod 4 */
    void *opaque;
    bool msi;                /* somebody takes MSI writes */
    unsigned slots;          /* 32, or 1 below a port */
    const char *unit;        /* its address in firmware's device paths; NULL: one that none looks at */
    const PciHotplug *hotplug; /* NULL: devices stay */
    void *hotplug_opaque;
    unsigned intx_count[32]; /* functions that drive each wire */
};

extern const BusType pci_bus_type;

#define PCI_PROPERTIES(Instance, pci)                                                              \
    { "addr", PROPERTY_PCI_ADDR, offsetof(Instance, pci.address), "slot and function, SLOT[.FN]" }, \
    { "multifunction", PROPERTY_ON_OFF_AUTO, offsetof(Instance, pci.multifunction),                \
      "say in the header that the slot has other functions", "auto" },                             \
    { "romfile", PROPERTY_STRING, offsetof(Instance, pci.romfile),                                 \
      "file of the expansion ROM; the empty name for none" },                                      \
    { "rombar", PROPERTY_I32, offsetof(Instance, pci.rom_bar),                                     \
      "0: no BAR for the expansion ROM; PC firmware gets a file", "-1" },                                       \
    { "romsize", PROPERTY_U32, offsetof(Instance, pci.rom_size),                                   \
      "bytes of the expansion ROM's BAR, a power of two; else the file decides", "4294967295" },   \
    { "failover_pair_id", PROPERTY_STRING, offsetof(Instance, pci.failover_pair_id),               \
      "accepted; has no effect" },                                                                 \
    { "acpi-index", PROPERTY_U32, offsetof(Instance, pci.acpi_index), "accepted; has no effect" }, \
    { "sriov-pf", PROPERTY_NOT_YET, 0, "a virtual function of this device" },                      \
    { "x-max-bounce-buffer-size", PROPERTY_SIZE, offsetof(Instance, pci.max_bounce_buffer),        \
      "accepted; has no effect", "4096" },                                                         \
    { "x-pcie-ari-nextfn-1", PROPERTY_BOOL, offsetof(Instance, pci.ari_next_function),             \
      "accepted; has no effect", "off" },                                                          \
    { "x-pcie-err-unc-mask", PROPERTY_BOOL, offsetof(Instance, pci.error_uncorrectable_mask),      \
      "accepted; has no effect", "on" },                                                           \
    { "x-pcie-ext-tag", PROPERTY_BOOL, offsetof(Instance, pci.extended_tag),                       \
      "accepted; has no effect", "on" },                                                           \
    { "x-pcie-lnksta-dllla", PROPERTY_BOOL, offsetof(Instance, pci.link_status_active),            \
      "accepted; has no effect", "on" }

#define PCI_STATE(Instance, pci)                                                                   \
    STATE(Instance, pci.config), STATE(Instance, pci.msix.table), STATE(Instance, pci.msix.pending)

static inline PciDevice *pci_device(Device *device)
{
    return container_of(device, PciDevice, device);
}

/*
 * For realize of a function. class_code: base class, subclass, interface in bits 23..0. The subsystem is the virtual machine's,
 * 1af4:1100, until pci_set_subsystem says otherwise.
 */
void pci_set_identity(PciDevice *pci, uint16_t vendor, uint16_t device, uint32_t class_code,
                      uint8_t revision);
void pci_set_subsystem(PciDevice *pci, uint16_t vendor, uint16_t device);
/* For realize: what bytes of configuration space start with, and the bits of them that may be written. */
typedef struct {
    uint8_t offset, value, writable;
} PciConfigByte;
void pci_set_config(PciDevice *pci, const PciConfigByte *bytes, unsigned count);
/* pin: 1 for INTA … 4; 0 for none. */
void pci_set_interrupt_pin(PciDevice *pci, unsigned pin);
/* The region's size must be a power of two; MEMORY64 takes the next BAR, too. */
void pci_add_bar(PciDevice *pci, unsigned index, PciBarKind kind, bool prefetchable,
                 MemoryRegion *region);
/* Adds a capability of `size` bytes, read-only, and returns its offset. Contents after the header are 0. */
unsigned pci_add_capability(PciDevice *pci, uint8_t id, unsigned size);
/* A device serial number (PCI Express Base 5.0, 7.9.3), the only extended capability. */
void pci_add_serial_number(PciDevice *pci, uint64_t number);
/* A PCI Express capability, version 2, of a PCIE_TYPE_… */
unsigned pci_add_express_capability(PciDevice *pci, unsigned type);
/*
 * For devices that have firmware of their own: `fallback` is its file when the user names none with romfile=. What a
 * user names is added for every device by the bus. Bridges have none. After pci_set_identity.
 */
bool pci_add_rom(PciDevice *pci, const char *fallback, GError **error);
/* Does nothing and returns true when the machine has nobody to take MSIs or vectors is 0. */
bool pci_add_msix(PciDevice *pci, unsigned bar, unsigned vectors, GError **error);
/* The same with table and pending bits at an offset of a container that is (in) a BAR already. */
bool pci_add_msix_within(PciDevice *pci, unsigned bar, unsigned vectors, MemoryRegion *container,
                         uint32_t offset, GError **error);

/* One message with a 64-bit address; nothing when the machine has nobody to take it. */
void pci_add_msi(PciDevice *pci);

/* For reset of a function: header as after realize, BARs unmapped, interrupts down. */
void pci_reset(PciDevice *pci);
/* For state_loaded: maps BARs as the configuration says. */
void pci_state_loaded(PciDevice *pci);

/* For use. */
void pci_set_irq(PciDevice *pci, bool level);
bool pci_msix_enabled(const PciDevice *pci);
void pci_msix_notify(PciDevice *pci, unsigned vector);
/*
 * A signal of the descriptor is the vector's message for as long as the guest lets it through; at other times, and where no kernel makes
 * interrupts, the owner hears it, who then calls pci_msix_notify. A signal has one vector: binding it again moves it. It is unbound
 * before it is freed.
 */
void pci_msix_bind(PciDevice *pci, unsigned vector, IrqSignal *signal);
void pci_msix_unbind(PciDevice *pci, IrqSignal *signal);
/* The function's pin is not used while messages are on. */
bool pci_msi_enabled(const PciDevice *pci);
void pci_msi_notify(PciDevice *pci);
static inline bool pci_bus_master_enabled(const PciDevice *pci)
{
    return pci->config[PCI_COMMAND] & PCI_COMMAND_BUS_MASTER;
}
/* Attributes of the function's own memory accesses. */
MemoryAttributes pci_dma_attributes(const PciDevice *pci);
/* The region and offset that an access to a BAR reaches, or NULL when there is none. */
MemoryRegion *pci_bar_region(PciDevice *pci, unsigned bar);
/* Whether it is what is below a port of PCI Express. */
bool pci_bus_is_slot(const PciBus *bus);
/* Whether the function may come and go while the machine runs. */
bool pci_can_be_plugged(const PciDevice *pci);

/* For hosts and bridges. */
void pci_bus_init(PciBus *bus, Device *parent, const char *name, PciDevice *bridge,
                  MemoryRegion *memory, MemoryRegion *io);
/* For a region below a host's others: nobody decodes the address. Reads are all ones, writes vanish (master abort). */
extern const MemoryOps pci_abort_ops;
/* All functions of a slot leave the running machine. Main loop's thread. */
void pci_bus_clear_slot(PciBus *bus, unsigned slot);
unsigned pci_bus_number(const PciBus *bus);
PciBus *pci_bus_root(PciBus *bus);
/* Configuration cycles on the bus hierarchy below root; size 1, 2 or 4, aligned. Nobody: all ones. */
uint32_t pci_host_config_read(PciBus *root, unsigned bus, unsigned devfn, unsigned offset,
                              unsigned size);
void pci_host_config_write(PciBus *root, unsigned bus, unsigned devfn, unsigned offset,
                           uint32_t value, unsigned size);
uint32_t pci_config_read(PciDevice *pci, unsigned offset, unsigned size);
void pci_config_write(PciDevice *pci, unsigned offset, uint32_t value, unsigned size);

/* pci-rom.c, for pci.c: whether the expansion ROM answers, and where. */
bool pci_rom_decoded(const PciDevice *pci, uint64_t *address);
/* bridge.c, for pci.c. */
void pci_bridge_describe(const PciDevice *pci, PciBridgeInfo *info);
/* msix.c, for pci.c. */
void pci_msix_reset(PciDevice *pci);
void pci_msix_config_written(PciDevice *pci);
/* Mask, message or bus mastering may be others now. */
void pci_msix_follow(PciDevice *pci);

#endif
