/* SPDX-License-Identifier: MIT */
/*
 * What a PC's firmware finds in the battery-backed memory of the clock: RAM, drives, boot order. The layout is the PC/AT's, with
 * what Bochs and SeaBIOS have added to it.
 */
#include <string.h>

#include "hw/board/pc.h"
#include "hw/rtc/mc146818rtc.h"

enum {
    CMOS_RESET_CODE = 0x0f,
    CMOS_FLOPPIES = 0x10, /* type of A in the high half, of B in the low one */
    CMOS_DISKS = 0x12,    /* the same of disks: 15 means that there is a type of its own */
    CMOS_EQUIPMENT = 0x14,
    CMOS_BASE_RAM = 0x15, /* KiB */
    CMOS_EXTENDED_RAM = 0x17,
    CMOS_DISK_TYPES = 0x19,  /* one byte a disk */
    CMOS_DISK_TABLES = 0x1b, /* nine bytes a disk */
    CMOS_EXTENDED_RAM_2 = 0x30,
    CMOS_RAM_ABOVE_16M = 0x34, /* 64 KiB */
    CMOS_BOOT_3 = 0x38,
    CMOS_TRANSLATION = 0x39, /* two bits a disk on the IDE channels */
    CMOS_BOOT_1_2 = 0x3d,
    CMOS_RAM_ABOVE_4G = 0x5b, /* 64 KiB */
    CMOS_CPUS = 0x5f,

    RESUME_S3 = 0xfe,
    DISK_OWN_TYPE = 47,
    DISK_TABLE_BYTES = 9,
    DISK_FULL_CYLINDERS = 1024, /* more do not fit the BIOS's calls untranslated */
    TRANSLATION_LBA = 1,
    EQUIPMENT_FLOPPY = 1 << 0,
    EQUIPMENT_FPU = 1 << 1,
    EQUIPMENT_MOUSE = 1 << 2,
    EQUIPMENT_SECOND_FLOPPY = 1 << 6,
    IDE_DISKS = 4,
};

static void set_byte(Pc *pc, unsigned index, unsigned value)
{
    mc146818rtc_set_cmos(pc->rtc, index, (uint8_t)value);
}

static void set_word(Pc *pc, unsigned index, uint64_t value)
{
    value = MIN(value, 0xffff);
    set_byte(pc, index, (unsigned)value);
    set_byte(pc, index + 1, (unsigned)value >> 8);
}

static unsigned number_of(Device *device, const char *property)
{
    g_autofree char *text = device_get(device, property, NULL);

    return text ? (unsigned)g_ascii_strtoull(text, NULL, 0) : 0;
}

/* The drive on a bus whose property "unit" says so. */
static Device *find_unit(const Bus *bus, unsigned unit)
{
    for (unsigned i = 0; bus && i < bus->devices->len; i++) {
        if (number_of(bus->devices->pdata[i], "unit") == unit) {
            return bus->devices->pdata[i];
        }
    }
    return NULL;
}

/* --- floppies --- */

Bus *pc_floppy_bus(Pc *pc)
{
    return bus_find(pc->machine, "floppy-bus.0");
}

Device *pc_floppy(Pc *pc, unsigned unit)
{
    return find_unit(pc_floppy_bus(pc), unit);
}

static unsigned floppy_code(Device *drive)
{
    static const struct {
        const char *name;
        uint8_t code;
    } types[] = { { "120", 2 }, { "144", 4 }, { "288", 5 } };
    g_autofree char *name = drive ? device_get(drive, "drive-type", NULL) : NULL;

    for (unsigned i = 0; name && i < ARRAY_SIZE(types); i++) {
        if (strcmp(types[i].name, name) == 0) {
            return types[i].code;
        }
    }
    return 0;
}

static void set_floppies(Pc *pc)
{
    unsigned a = floppy_code(pc_floppy(pc, 0)), b = floppy_code(pc_floppy(pc, 1));

    set_byte(pc, CMOS_FLOPPIES, a << 4 | b);
    set_byte(pc, CMOS_EQUIPMENT,
             EQUIPMENT_FPU | EQUIPMENT_MOUSE | (a || b ? EQUIPMENT_FLOPPY : 0) |
                 (a && b ? EQUIPMENT_SECOND_FLOPPY : 0));
}

/* --- disks on the IDE channels --- */

static void set_disk_table(Pc *pc, unsigned n, unsigned cyls, unsigned heads, unsigned sectors)
{
    uint8_t table[DISK_TABLE_BYTES] = {
        [2] = (uint8_t)heads,
        [3] = 0xff,
        [4] = 0xff, /* no write precompensation */
        [5] = 0xc0 | (heads > 8 ? 8 : 0),
        [8] = (uint8_t)sectors,
    };

    store_le16(table, (uint16_t)cyls);
    store_le16(table + 6, (uint16_t)cyls); /* landing zone */
    set_byte(pc, CMOS_DISK_TYPES + n, DISK_OWN_TYPE);
    for (unsigned i = 0; i < DISK_TABLE_BYTES; i++) {
        set_byte(pc, CMOS_DISK_TABLES + n * DISK_TABLE_BYTES + i, table[i]);
    }
}

static void set_disks(Pc *pc)
{
    unsigned types = 0, translation = 0;

    for (unsigned n = 0; n < IDE_DISKS; n++) {
        const Bus *bus = bus_find(pc->machine, n < 2 ? "ide.0" : "ide.1");
        Device *disk = find_unit(bus, n % 2);
        unsigned cyls = disk ? number_of(disk, "cyls") : 0;

        if (!cyls || strcmp(disk->type->name, "ide-hd") != 0) {
            continue;
        }
        if (n < 2) {
            types |= n ? 0x0f : 0xf0;
            set_disk_table(pc, n, cyls, number_of(disk, "heads"), number_of(disk, "secs"));
        }
        translation |= (cyls > DISK_FULL_CYLINDERS ? TRANSLATION_LBA : 0u) << 2 * n;
    }
    set_byte(pc, CMOS_DISKS, types);
    set_byte(pc, CMOS_TRANSLATION, translation);
}

/* --- the rest --- */

void pc_set_cmos_boot_order(Pc *pc)
{
    const char *once = pc_boot_option(pc, "once"), *order = pc_boot_option(pc, "order");
    unsigned codes[3] = { 0 };

    order = once && !pc->booted_once ? once : order ? order : "cad";
    pc->booted_once = true;
    for (unsigned i = 0; i < ARRAY_SIZE(codes) && order[i]; i++) {
        codes[i] = (unsigned)pc_boot_code(order[i]);
    }
    set_byte(pc, CMOS_BOOT_1_2, codes[1] << 4 | codes[0]);
    set_byte(pc, CMOS_BOOT_3, codes[2] << 4 | !pc->fd_bootchk);
}

static void set_ram(Pc *pc)
{
    uint64_t low_kib = pc->ram_low / KIB(1), high = pc->ram_high / KIB(64);

    set_word(pc, CMOS_BASE_RAM, MIN(low_kib, 640));
    set_word(pc, CMOS_EXTENDED_RAM, low_kib > 1024 ? low_kib - 1024 : 0);
    set_word(pc, CMOS_EXTENDED_RAM_2, low_kib > 1024 ? low_kib - 1024 : 0);
    set_word(pc, CMOS_RAM_ABOVE_16M, low_kib > 16 * 1024 ? low_kib / 64 - 256 : 0);
    for (unsigned i = 0; i < 3; i++) {
        set_byte(pc, CMOS_RAM_ABOVE_4G + i, (uint8_t)(high >> 8 * i));
    }
}

void pc_set_cmos(Pc *pc)
{
    set_ram(pc);
    set_floppies(pc);
    if (pc->chipset->classic_ide) {
        set_disks(pc);
    }
    pc_set_cmos_boot_order(pc);
    set_byte(pc, CMOS_CPUS, pc->machine->config.vcpus - 1);
    set_byte(pc, CMOS_RESET_CODE, machine_wake_reason(pc->machine) ? RESUME_S3 : 0);
}
