/* SPDX-License-Identifier: MIT */
/*
 * Expansion ROMs of PCI functions (PCI Local Bus 3.0, 6.2.5.2 and 6.3): a file behind a BAR of its own, which
 * firmware copies into RAM and runs.
 */
#include "base/error.h"
#include "base/file.h"
#include "hw/pci/pci.h"
#include "machine/machine.h"

enum {
    ROM_SIZE_MIN = 2 << 10,  /* that a BAR can decode */
    ROM_SIZE_MAX = 16 << 20, /* that it may, 6.2.5.2 */
    ROM_BAR_MASK = ~0x7ff,
    ROM_BAR_ENABLE = 1,
};

static bool choose_size(PciDevice *pci, const char *path, gsize length, uint64_t *size,
                        GError **error)
{
    *size = ROM_SIZE_MIN;
    while (*size < length) {
        *size *= 2;
    }
    if (pci->rom_size != UINT32_MAX) {
        if (!is_power_of_two(pci->rom_size) || pci->rom_size < *size) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "romsize=%u: give a power of two of at least %" PRIu64
                              " bytes for '%s'",
                              pci->rom_size, *size, path);
        }
        *size = pci->rom_size;
    }
    if (length == 0 || *size > ROM_SIZE_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "expansion ROM '%s' has %zu bytes; 1 byte to 16 MiB can be", path,
                          length);
    }
    return true;
}

/*
 * A card's usual ROM may have been built for a sibling with other numbers: firmware runs what names the function that
 * it is in. Byte 6 of an x86 image, which nothing uses, makes up for what changes in the sum of its bytes.
 */
static void adopt(const PciDevice *pci, uint8_t *rom, gsize length)
{
    enum {
        SUM = 6,
        DATA_AT = 0x18,
        IDS = 4,
        UNITS = 0x10,
        TYPE = 0x14,
        LAST = 0x15,
        DATA_SIZE = 24
    };
    enum { UNIT = 512, TYPE_X86 = 0, LAST_IMAGE = 1 << 7, HEADER = 0x1a };
    gsize at = 0;

    while (at + HEADER <= length && load_le16(rom + at) == 0xaa55) {
        gsize data = at + load_le16(rom + at + DATA_AT);
        uint8_t change = 0;

        if (data + DATA_SIZE > length || memcmp(rom + data, "PCIR", 4) != 0) {
            return;
        }
        for (unsigned i = 0; i < 4; i++) {
            change += pci->config[PCI_VENDOR_ID + i] - rom[data + IDS + i];
            rom[data + IDS + i] = pci->config[PCI_VENDOR_ID + i];
        }
        if (rom[data + TYPE] == TYPE_X86) {
            rom[at + SUM] -= change;
        }
        if (rom[data + LAST] & LAST_IMAGE || !load_le16(rom + data + UNITS)) {
            return;
        }
        at += (gsize)load_le16(rom + data + UNITS) * UNIT;
    }
}

/* The file's bytes in a region of `size`; what is left of it reads as ones, as an erased chip does. */
static bool make_region(PciDevice *pci, const char *bytes, gsize length, uint64_t size,
                        GError **error)
{
    if (!memory_region_init_rom(&pci->rom, pci->device.machine, "pci-rom", size, NULL, NULL,
                                error)) {
        return false;
    }
    memcpy(pci->rom.host, bytes, length);
    memset(pci->rom.host + length, 0xff, size - length);
    store_le32(pci->writable + PCI_ROM_ADDRESS,
               (uint32_t)(~(size - 1) & ROM_BAR_MASK) | ROM_BAR_ENABLE);
    return true;
}

/* Without a BAR, PC firmware takes the ROM from a file of its own. */
static void give_to_firmware(PciDevice *pci, const char *path, char *bytes, gsize length)
{
    const char *category = pci->device.type->category;
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *name = g_strdup_printf(
        "%s/%s", category && strcmp(category, "display") == 0 ? "vgaroms" : "genroms", base);

    machine_add_firmware_file(pci->device.machine, name, g_bytes_new_take(bytes, length));
}

bool pci_add_rom(PciDevice *pci, const char *fallback, GError **error)
{
    const char *name = pci->romfile ? pci->romfile : fallback;
    g_autofree char *path = NULL, *bytes = NULL;
    gsize length;
    uint64_t size;

    if (!name || !*name || pci->rom_known) {
        return true;
    }
    path = machine_find_firmware(pci->device.machine, name, pci->romfile ? error : NULL);
    if (!path && !pci->romfile) {
        /* The device works without it; the firmware will not show anything on it. */
        g_printerr("kaso: warning: device '%s' has no expansion ROM: '%s' is not installed\n",
                   pci->device.id, name);
        return true;
    }
    if (!path || !file_read(path, ROM_SIZE_MAX, &bytes, &length, error)) {
        return false;
    }
    pci->rom_known = true;
    if (!pci->romfile) {
        adopt(pci, (uint8_t *)bytes, length);
    }
    if (pci->rom_bar == 0) {
        give_to_firmware(pci, path, g_steal_pointer(&bytes), length);
        return true;
    }
    return choose_size(pci, path, length, &size, error) &&
           make_region(pci, bytes, length, size, error);
}

bool pci_rom_decoded(const PciDevice *pci, uint64_t *address)
{
    uint32_t bar = load_le32(pci->config + PCI_ROM_ADDRESS);

    *address = bar & (uint32_t)ROM_BAR_MASK;
    return pci->rom.size && bar & ROM_BAR_ENABLE &&
           load_le16(pci->config + PCI_COMMAND) & PCI_COMMAND_MEMORY &&
           *address + pci->rom.size - 1 < UINT32_MAX;
}
