/* SPDX-License-Identifier: MIT */
/* The parts of the PC boards (pc.c and pc-*.c), for one another. */
#ifndef HW_BOARD_PC_H
#define HW_BOARD_PC_H

#include "hw/isa/isa.h"
#include "machine/arch/pc-pm.h"
#include "machine/board.h"
#include "machine/irq-tap.h"
#include "machine/machine.h"

enum { PC_FW_CFG_PORT = 0x510, PC_SERIAL_MAX = 4, PC_FLASH_BANKS = 2, PC_VCPUS_MAX = 255 };

/* What a guest sees differently on an older board of the same name; see pc-versions.c. */
typedef struct {
    bool fw_cfg_dma;          /* fw_cfg has its DMA interface */
    bool fw_cfg_sorted;       /* its files are in order of names */
    bool virtio_modern;       /* virtio devices on PCI have the interface of virtio 1.0 */
    bool queue_reset;         /* of virtio devices */
    bool pci_hole64;          /* a window above 4 GiB for what is plugged, whatever firmware placed there */
    bool uuid_in_order;       /* SMBIOS has the UUID's bytes in the order of its text */
    bool scsi_fua;            /* SCSI disks say that writes can be forced to the medium */
    bool tcg_cpuid;           /* CPUID says who translates */
    bool hypertransport;      /* e820 has what an AMD processor's HyperTransport keeps */
    bool align_gigabyte;      /* RAM that does not fit below 3.5 GiB is split at 3 GiB */
    uint64_t dimm_most;    /* of SMBIOS: bytes of the largest memory module; 0: as large as can be said */
    const char *extended_tseg_mib; /* of q35, NULL: as its bridge has it */
    const char *firmware;
} PcVersion;

/* The option ROM that loads and enters what -kernel gives, among the ROMs that firmware runs. */
#define PC_BOOT_ROM "kaso-boot.rom"

typedef struct Pc Pc;
struct AcpiPc;

/* What makes one PC different from another. */
typedef struct {
    const char *product;      /* for SMBIOS */
    const char *root_bus;
    uint64_t ram_low_most, ram_low_split; /* RAM below 4 GiB: all up to the first, of more as much as the second */
    bool ram_split_fixed;     /* more than the first, or less than that split, is not to be had */
    bool classic_ide;         /* its disks are on the two channels of the PC/AT, which CMOS tells of */
    const char *hpet_pins;    /* of the I/O APIC, that the HPET may use; NULL: as usual */
    /* Each may be NULL where there is no such thing, and says what it has made in Pc. */
    bool (*add_host)(Pc *pc, GError **error);
    bool (*add_isa_bridge)(Pc *pc, GError **error); /* its output n is ISA line n */
    bool (*add_power_management)(Pc *pc, GError **error);
    bool (*add_storage)(Pc *pc, GError **error);
    bool (*add_usb)(Pc *pc, GError **error); /* for -usb */
    bool (*offer)(Pc *pc, GError **error);   /* files of fw_cfg */
    void (*describe)(Pc *pc, struct AcpiPc *tables);
} PcChipset;

struct Pc {
    Device device;
    Machine *machine;
    const PcChipset *chipset;
    PcVersion version;
    bool isa_only;            /* isapc: no PCI */
    uint64_t ram_low, ram_high; /* bytes of RAM below and from 4 GiB */
    IsaBus *isa;
    Device *host, *isa_bridge, *pm, *pic, *ioapic, *rtc, *fw_cfg;
    Device *flash[PC_FLASH_BANKS];
    Device *apic[PC_VCPUS_MAX];
    MemoryRegion smm_root, smm_system;
    AddressSpace smm_space;
    MemoryRegion rom, rom_low, ferr_port;
    int ferr_driver;
    bool boot_rom;            /* -kernel is started by our option ROM */
    bool booted_once;         /* -boot once= has had its turn */
    GBytes *rom_content;      /* isapc: what RAM below 1 MiB is filled with at a reset */
    /* Properties. */
    bool hpet, i8042, sata, smbus, fd_bootchk;
    Audiodev *pcspk_audiodev;
    int acpi, pit, pic_wanted, smm, vmport;
    uint64_t max_ram_below_4g, max_fw_size;
    struct BlockBackend *pflash[PC_FLASH_BANKS];
    char *smbios_entry_point, *oem_id, *oem_table_id;
    int south_bridge; /* of one kind */
};

/* pc.c */
/* System management mode is there, and wanted. */
bool pc_has_smm(const Pc *pc);
Device *pc_create(Pc *pc, const char *type, Bus *bus, const char *id, GError **error);
/* A realized device without properties. */
Device *pc_add(Pc *pc, const char *type, const char *id, GError **error);
/* A realized device on a bus; property NULL: none. */
Device *pc_add_on_bus(Pc *pc, const char *type, Bus *bus, const char *property, const char *value, GError **error);
void pc_map_ports(Device *device, const uint16_t *ports, unsigned count);
/* Connects an output to an ISA line, which others may share. */
void pc_wire_isa(Pc *pc, Device *device, unsigned output, unsigned irq);
Bus *pc_pci_bus(Pc *pc);
/* A global interrupt: the first 16 are the ISA lines, which go to the PIC as well. */
IrqHandler pc_set_gsi;
IrqQuery pc_query_gsi;
/* For boards: what they have in common. */
bool pc_build(Machine *machine, Pc *pc, const PcChipset *chipset, GError **error);
bool pc_load(Machine *machine, void *board, GError **error);
void pc_reset(Machine *machine, void *board);
void pc_powerdown(Machine *machine, void *board);
extern const Property pc_properties[], i440fx_properties[];
extern const char *const pc_targets[];

#define PC_BOARD(object, board_name, board_aliases, text, board_build, board_properties,           \
                 interfaces, drives, nic)                                                          \
    static const Board object = {                                                                  \
        .name = board_name,                                                                        \
        .summary = text,                                                                           \
        .aliases = board_aliases,                                                                  \
        .targets = pc_targets,                                                                     \
        .default_nic = nic,                                                                        \
        .serial_console = "ttyS0",                                                                 \
        .default_vga = "std",                                                                      \
        .drive_interfaces = interfaces,                                                            \
        .default_drive_interface = "ide",                                                          \
        .default_drives = drives,                                                                  \
        .ram_name = "pc.ram",                                                                      \
        .default_ram_bytes = MIB(128),                                                             \
        .min_ram_bytes = MIB(1),                                                                   \
        .max_ram_bytes = GIB(1010),                                                                \
        .max_vcpus = PC_VCPUS_MAX,                                                                 \
        .smp_dies = true,                                                                          \
        .smp_modules = true,                                                                       \
        .sleeps = true,                                                                            \
        .smbios = true,                                                                            \
        .acpi_tables = true,                                                                       \
        .numa = true,                                                                              \
        .cpu_slots = true,                                                                         \
        .extras = pc_extras,                                                                       \
        .instance_size = sizeof(Pc),                                                               \
        .properties = board_properties,                                                            \
        .build = board_build,                                                                      \
        .load = pc_load,                                                                           \
        .reset = pc_reset,                                                                         \
        .powerdown = pc_powerdown,                                                                 \
        .set_boot_order = pc_change_boot_order,                                                    \
    };                                                                                             \
    BOARD_TYPE(object)


/* pc-versions.c: what "pc-i440fx-2.3" says; names without a version are the newest. */
PcVersion pc_version(const char *board_name);

/* pc-firmware.c */
/* -bios, flash drives or the board's own firmware, below 4 GiB and below 1 MiB. */
bool pc_add_firmware(Pc *pc, GError **error);
bool pc_add_fw_cfg(Pc *pc, GError **error);
/* What -boot says of it; NULL: nothing. */
const char *pc_boot_option(Pc *pc, const char *name);
/* The code, as CMOS has it, of a letter of -boot order=; -1: none. */
int pc_boot_code(char letter);
/* Board.set_boot_order. */
bool pc_change_boot_order(Machine *machine, void *board, const char *order, GError **error);
/* When all devices are there. */
bool pc_fill_fw_cfg(Pc *pc, GError **error);
/* At each reset: the boot order, CMOS. */
void pc_refresh_firmware(Pc *pc);

/* pc-extras.c: the types that -device may add to the board, and what they give to fw_cfg. */
extern const char *const pc_extras[];
bool pc_offer_extras(Pc *pc, GError **error);

/* pc-tables.c: ACPI and SMBIOS for the firmware, when all devices are there. */
bool pc_add_tables(Pc *pc, GError **error);

/* pc-cmos.c: what the clock's memory says at a reset. */
void pc_set_cmos(Pc *pc);
/* The boot order alone. "once" holds for the first boot. */
void pc_set_cmos_boot_order(Pc *pc);
/* The floppy controller's bus, and its drive A or B; NULL when there is none. */
Bus *pc_floppy_bus(Pc *pc);
Device *pc_floppy(Pc *pc, unsigned unit);

/* pc-kernel.c: offers -kernel to the firmware. */
bool pc_add_kernel(Pc *pc, GError **error);

/* A file of the host as bytes of at most `limit`; what: for messages. */
GBytes *pc_read_file(const char *what, const char *path, uint64_t limit, GError **error);

#endif
