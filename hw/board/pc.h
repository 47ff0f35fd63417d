/* SPDX-License-Identifier: MIT */
/* The parts of the PC boards (pc.c and pc-*.c), for one another. */
#ifndef HW_BOARD_PC_H
#define HW_BOARD_PC_H

#include "hw/isa/isa.h"
#include "machine/arch/pc-pm.h"
#include "machine/machine.h"

enum { PC_FW_CFG_PORT = 0x510, PC_SERIAL_MAX = 4, PC_FLASH_BANKS = 2, PC_VCPUS_MAX = 255 };

/* What a guest sees differently on an older board of the same name; see pc-versions.c. */
typedef struct {
    bool fw_cfg_dma;          /* fw_cfg has its DMA interface */
    bool fw_cfg_sorted;       /* its files are in order of names */
    bool virtio_modern;       /* virtio devices on PCI have the interface of virtio 1.0 */
    bool pci_hole64;          /* a window above 4 GiB for what is plugged, whatever firmware placed there */
    bool uuid_in_order;       /* SMBIOS has the UUID's bytes in the order of its text */
    bool tcg_cpuid;           /* CPUID says who translates */
    bool align_gigabyte;      /* RAM that does not fit below 3.5 GiB is split at 3 GiB */
    const char *firmware;
} PcVersion;

/* The option ROM that loads and enters what -kernel gives, among the ROMs that firmware runs. */
#define PC_BOOT_ROM "kaso-boot.rom"

typedef struct {
    Device device;
    Machine *machine;
    PcVersion version;
    bool isa_only;            /* isapc: no PCI */
    uint64_t ram_low, ram_high; /* bytes of RAM below and from 4 GiB */
    IsaBus *isa;
    Device *host, *isa_bridge, *pm, *pic, *ioapic, *rtc, *fw_cfg;
    Device *flash[PC_FLASH_BANKS];
    Device *apic[PC_VCPUS_MAX];
    MemoryRegion smm_root, smm_ram, smm_system;
    AddressSpace smm_space;
    MemoryRegion rom, rom_low, ferr_port;
    int ferr_driver;
    bool boot_rom;            /* -kernel is started by our option ROM */
    bool booted_once;         /* -boot once= has had its turn */
    GBytes *rom_content;      /* isapc: what RAM below 1 MiB is filled with at a reset */
    /* Properties. */
    bool hpet, i8042, smbus, fd_bootchk;
    Audiodev *pcspk_audiodev;
    int acpi, pit, pic_wanted, smm, vmport;
    uint64_t max_ram_below_4g, max_fw_size;
    struct BlockBackend *pflash[PC_FLASH_BANKS];
    char *smbios_entry_point, *oem_id, *oem_table_id;
} Pc;

/* pc.c: system management mode is there, and wanted. */
bool pc_has_smm(const Pc *pc);

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
