/* SPDX-License-Identifier: MIT */
/*
 * Boot order for firmware: Open Firmware device paths (IEEE 1275, and its PCI binding) of the devices
 * with a bootindex, as EDK2 and SeaBIOS match them with what they find.
 */
#include "hw/board/boot-order.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hw/pci/pci.h"

typedef struct {
    const Device *device;
    int32_t index;
} Bootable;

/* The generic name of a PCI class (PCI binding to IEEE 1275, section 2.2.1.3). */
static const char *pci_class_name(const PciDevice *pci)
{
    static const struct {
        uint16_t class_code;
        const char *name;
    } names[] = {
        { 0x0100, "scsi" }, { 0x0101, "ide" },        { 0x0106, "sata" },
        { 0x0108, "nvme" }, { 0x0200, "ethernet" },   { 0x0300, "display" },
        { 0x0601, "isa" },  { 0x0604, "pci-bridge" }, { 0x0c03, "usb" },
    };
    unsigned class_code = load_le16(pci->config + PCI_CLASS_CODE + 1);

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        if (names[i].class_code == class_code) {
            return names[i].name;
        }
    }
    return "pci";
}

/* From the root bridge down to the function. */
static void add_pci_path(GString *out, const PciDevice *pci)
{
    if (pci->bus->bridge) {
        add_pci_path(out, pci->bus->bridge);
    } else {
        g_string_append_printf(out, "/pci@%s",
                               pci->bus->unit ? pci->bus->unit : "ffffffffffffffff");
    }
    g_string_append_printf(out, "/%s@%x", pci_class_name(pci), pci->devfn >> 3);
    if (pci->devfn & 7) {
        g_string_append_printf(out, ",%x", pci->devfn & 7);
    }
}

/* A device by the buses that it sits behind; false where firmware has no name for one of them. */
static bool add_place(GString *out, const Device *device)
{
    const Bus *bus = device->bus;

    if (bus && bus->type == &pci_bus_type) {
        add_pci_path(out, container_of(device, PciDevice, device));
        return true;
    }
    if (!bus || !bus->type->boot_path || !bus->parent || !add_place(out, bus->parent)) {
        return false;
    }
    bus->type->boot_path(device, out);
    return true;
}

/* False for a device whose place firmware has no name for. */
static bool add_path(GString *out, const Device *device)
{
    const Device *parent = device->bus ? device->bus->parent : NULL;
    const char *category = device->type->category ? device->type->category : "";

    if (device->bus && device->bus->type->boot_path) {
        return add_place(out, device);
    }
    if (device->bus && device->bus->type == &pci_bus_type) {
        add_pci_path(out, container_of(device, PciDevice, device));
    } else if (parent && strcmp(parent->type->name, "virtio-mmio") == 0) {
        g_string_append_printf(out, "/virtio-mmio@%016" PRIx64, parent->mmio[0]->address);
    } else {
        return false;
    }
    g_string_append(out, strcmp(category, "network") == 0          ? "/ethernet-phy@0"
                         : strcmp(device->type->name, "nvme") == 0 ? "/namespace@1,0"
                                                                   : "/disk@0,0");
    return true;
}

static void collect(const Device *device, GArray *found)
{
    const Property *property = property_find(device->type->properties, "bootindex");

    if (property && property->kind == PROPERTY_I32 && device->realized) {
        Bootable bootable = { .device = device };

        memcpy(&bootable.index, (const char *)device + property->offset, sizeof bootable.index);
        if (bootable.index >= 0) {
            g_array_append_val(found, bootable);
        }
    }
    for (unsigned i = 0; i < device->children->len; i++) {
        collect(device->children->pdata[i], found);
    }
}

static int compare(const void *a, const void *b)
{
    const Bootable *x = a, *y = b;

    return x->index < y->index ? -1 : x->index > y->index;
}

GBytes *boot_order_make(Machine *machine)
{
    g_autoptr(GArray) found = g_array_new(false, false, sizeof(Bootable));
    GString *out = g_string_new(NULL);
    gsize size;

    collect(machine->root, found);
    g_array_sort(found, compare);
    for (unsigned i = 0; i < found->len; i++) {
        gsize before = out->len;

        if (before) {
            g_string_append_c(out, '\n');
        }
        if (!add_path(out, g_array_index(found, Bootable, i).device)) {
            g_string_truncate(out, before);
        }
    }
    if (out->len == 0) {
        g_string_free(out, true);
        return NULL;
    }
    size = out->len + 1;
    return g_bytes_new_take(g_string_free(out, false), size);
}

static uint32_t number_of(const Device *device, const char *name)
{
    const Property *property = property_find(device->type->properties, name);
    uint32_t number = 0;

    if (property && property->kind == PROPERTY_U32) {
        memcpy(&number, (const char *)device + property->offset, sizeof number);
    }
    return number;
}

static void add_geometry(const Device *device, GString *out)
{
    uint32_t cyls = number_of(device, "lcyls"), heads = number_of(device, "lheads");
    uint32_t secs = number_of(device, "lsecs");
    gsize before = out->len;

    if ((cyls || heads || secs) && device->realized) {
        if (before) {
            g_string_append_c(out, '\n');
        }
        if (add_path(out, device)) {
            g_string_append_printf(out, " %u %u %u", cyls, heads, secs);
        } else {
            g_string_truncate(out, before);
        }
    }
    for (unsigned i = 0; i < device->children->len; i++) {
        add_geometry(device->children->pdata[i], out);
    }
}

GBytes *boot_geometry_make(Machine *machine)
{
    GString *out = g_string_new(NULL);
    gsize size;

    add_geometry(machine->root, out);
    size = out->len ? out->len + 1 : 0;
    return g_bytes_new_take(g_string_free(out, false), size);
}
