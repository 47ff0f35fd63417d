/* SPDX-License-Identifier: MIT */
/*
 * What a PC's firmware finds: its ROM or flash, fw_cfg, and the battery-backed memory (the layout is SeaBIOS's and
 * goes back to the PC/AT's).
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/uuid.h"
#include "block/block.h"
#include "hw/board/boot-order.h"
#include "hw/board/pc.h"
#include "machine/arch/x86.h"
#include "machine/numa.h"
#include "hw/nvram/fw_cfg.h"
#include "machine/arch/pc.h"
#include "machine/arch/x86-processor.h"

enum {
    ROM_LOW_BYTES = 0x20000, /* of the firmware's end, below 1 MiB */
    FLASH_SECTOR_BYTES = 4096,
};
#define FOUR_GIB GIB(4)

/* --- ROM and flash --- */

GBytes *pc_read_file(const char *what, const char *path, uint64_t limit, GError **error)
{
    g_autoptr(GError) problem = NULL;
    GBytes *bytes = file_map(path, limit, &problem);

    if (!bytes) {
        error_fail(error, KASO_ERROR_IO, "cannot read the %s '%s': %s", what, path,
                   problem->message);
        return NULL;
    }
    if (g_bytes_get_size(bytes) == 0) {
        error_fail(error, KASO_ERROR_INVALID, "the %s '%s' is empty", what, path);
        g_clear_pointer(&bytes, g_bytes_unref);
    }
    return bytes;
}

/* The end of the firmware again below 1 MiB, where processors start when they leave reset's segment. */
static void show_below_1mib(Pc *pc, MemoryRegion *rom)
{
    uint64_t size = MIN(rom->size, ROM_LOW_BYTES);

    memory_region_init_alias(&pc->rom_low, pc->machine, "isa-bios", rom, rom->size - size, size);
    memory_region_add(device_mmio(pc->host, 0), MIB(1) - size, &pc->rom_low, 1);
}

static bool add_rom(Pc *pc, GError **error)
{
    Machine *machine = pc->machine;
    const char *name = machine->config.bios ? machine->config.bios
                       : pc->isa_only       ? "bios.bin"
                                            : pc->version.firmware;
    g_autofree char *path = machine_find_firmware(machine, name, error);
    g_autoptr(GBytes) content =
        path ? pc_read_file("firmware", path, pc->max_fw_size, error) : NULL;
    gsize size;
    const void *data;

    if (!content) {
        return false;
    }
    data = g_bytes_get_data(content, &size);
    if (size % 0x10000) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "the firmware '%s' has %zu bytes, which is no multiple of 64 KiB", path,
                          size);
    }
    if (!memory_region_init_rom(&pc->rom, machine, "pc.bios", size, NULL, NULL, error)) {
        return false;
    }
    memcpy(pc->rom.host, data, size);
    if (pc->isa_only) {
        pc->rom_content = g_bytes_ref(content);
        memory_region_add(machine->system_memory, FOUR_GIB - size, &pc->rom, 0);
        return true;
    }
    memory_region_add(device_mmio(pc->host, 0), FOUR_GIB - size, &pc->rom, 0);
    show_below_1mib(pc, &pc->rom);
    return true;
}

static BlockBackend *flash_drive(Pc *pc, unsigned bank)
{
    return pc->pflash[bank] ? pc->pflash[bank] : machine_placed_drive(pc->machine, "pflash", bank);
}

/* Banks lie below each other, the first one ends at 4 GiB. */
static bool add_flash(Pc *pc, GError **error)
{
    uint64_t end = FOUR_GIB, total = 0;

    for (unsigned bank = 0; bank < PC_FLASH_BANKS && flash_drive(pc, bank); bank++) {
        BlockBackend *drive = flash_drive(pc, bank);
        uint64_t size = block_size(drive);
        g_autofree char *id = g_strdup_printf("system.flash%u", bank);
        g_autofree char *name = machine_drive_name(pc->machine, drive);
        g_autofree char *size_text = g_strdup_printf("%" PRIu64, size);
        g_autofree char *sector = g_strdup_printf("%u", FLASH_SECTOR_BYTES);
        Device *flash;

        total += size;
        if (size == 0 || size % FLASH_SECTOR_BYTES || total > pc->max_fw_size) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "pflash drive %u has %" PRIu64
                              " bytes; flash is a multiple of 4 KiB, and at most %" PRIu64
                              " bytes in all (-M pc,max-fw-size=)",
                              bank, size, pc->max_fw_size);
        }
        flash = device_create(pc->machine, NULL, "cfi.pflash01", NULL, id, error);
        if (!flash || !device_set(flash, "name", id, error) ||
            !device_set(flash, "size", size_text, error) ||
            !device_set(flash, "sector-length", sector, error) ||
            !device_set(flash, "width", "1", error) ||
            !device_set(flash, "device-width", "1", error) ||
            !device_set(flash, "drive", name, error) || !device_realize(flash, error)) {
            return false;
        }
        /* The chip has its own. */
        machine_leave_drive(pc->machine, g_steal_pointer(&pc->pflash[bank]));
        end -= size;
        device_map(flash, 0, end);
        pc->flash[bank] = flash;
    }
    show_below_1mib(pc, device_mmio(pc->flash[0], 0));
    return true;
}

bool pc_add_firmware(Pc *pc, GError **error)
{
    const char *bios = pc->machine->config.bios;

    if (!flash_drive(pc, 0)) {
        return add_rom(pc, error);
    }
    if (bios || pc->isa_only) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            pc->isa_only ? "machine 'isapc' has no flash"
                         : "-bios '%s' and a pflash drive for the first bank exclude each other",
            bios);
    }
    return add_flash(pc, error);
}

/* --- fw_cfg --- */

static bool add_file(Pc *pc, const char *name, const void *data, size_t size, GError **error)
{
    g_autoptr(GBytes) content = g_bytes_new(data, size);

    return fw_cfg_add_file(pc->fw_cfg, name, content, error);
}

static void add_bytes(Pc *pc, uint16_t key, const void *data, size_t size)
{
    g_autoptr(GBytes) content = g_bytes_new(data, size);

    fw_cfg_add(pc->fw_cfg, key, content);
}

/* The text form's bytes in their order: firmware turns round what SMBIOS wants otherwise. */
static void add_uuid(Pc *pc, const char *text)
{
    uint8_t uuid[UUID_BYTES];

    if (uuid_parse(text, uuid)) {
        add_bytes(pc, FW_CFG_UUID, uuid, sizeof uuid);
    }
}

/* The older form of e820, which is empty: etc/e820 has the map. */
static void add_hpet_table(Pc *pc)
{
    enum { COUNT = 0, BLOCK_ID = 1, ADDRESS = 5, SIZE = 121, HPET_ID = 0x8086a201 };
    uint8_t table[SIZE] = { 0 };

    if (pc->hpet && !pc->isa_only) {
        table[COUNT] = 1;
        store_le32(table + BLOCK_ID, HPET_ID);
        store_le64(table + ADDRESS, PC_HPET_ADDRESS);
    }
    add_bytes(pc, FW_CFG_X86_HPET, table, sizeof table);
}

/*
 * AMD's processors keep the last 12 GiB below 1 TiB for HyperTransport: no device can be reached there (AMD's I/O
 * virtualization specification, 2.1.2), so that none may be placed there.
 */
static bool has_hypertransport(const Pc *pc)
{
    enum { LEAF_VENDOR = 0, LEAF_EXTENDED = 0x80000000, LEAF_WIDTHS = 0x80000008, WIDTH = 40 };
    Vcpu *first = pc->machine->vcpus->pdata[0];
    const X86Processor *processor = first->target->x86;
    uint32_t vendor[4], most[4], widths[4];

    processor->cpuid(first, LEAF_VENDOR, 0, vendor);
    processor->cpuid(first, LEAF_EXTENDED, 0, most);
    processor->cpuid(first, LEAF_WIDTHS, 0, widths);
    return pc->version.hypertransport && vendor[1] == 0x68747541 && vendor[3] == 0x69746e65 &&
           vendor[2] == 0x444d4163 && most[0] >= LEAF_WIDTHS && (widths[0] & 0xff) >= WIDTH;
}

static void put_e820(GByteArray *map, uint64_t start, uint64_t size, uint32_t type)
{
    uint8_t entry[20];

    store_le64(entry, start);
    store_le64(entry + 8, size);
    store_le32(entry + 16, type);
    if (size) {
        g_byte_array_append(map, entry, sizeof entry);
    }
}

static bool add_e820(Pc *pc, GError **error)
{
    enum { TYPE_RAM = 1, TYPE_RESERVED = 2 };
    g_autoptr(GByteArray) map = g_byte_array_new();

    put_e820(map, 0, pc->ram_low, TYPE_RAM);
    put_e820(map, FOUR_GIB, pc->ram_high, TYPE_RAM);
    put_e820(map, GIB(1012), has_hypertransport(pc) ? GIB(12) : 0, TYPE_RESERVED);
    return add_file(pc, "etc/e820", map->data, map->len, error);
}

/* Which sleep states there are, by their numbers: bit 7, and the type for the sleep type field. */
static bool add_system_states(Pc *pc, GError **error)
{
    uint8_t states[6] = { 0x80, 0, 0, 0x01, 0x02, 0x80 };
    g_autofree char *s3 = device_get(pc->pm, "disable_s3", NULL);
    g_autofree char *s4 = device_get(pc->pm, "disable_s4", NULL);
    g_autofree char *type = device_get(pc->pm, "s4_val", NULL);

    states[3] |= g_strcmp0(s3, "on") ? 0x80 : 0;
    states[4] =
        (uint8_t)((unsigned)g_ascii_strtoull(type, NULL, 10) | (g_strcmp0(s4, "on") ? 0x80 : 0));
    return add_file(pc, "etc/system-states", states, sizeof states, error);
}

/* How many nodes; the node of each APIC id; each node's memory. */
static void add_numa(Pc *pc)
{
    const MachineConfig *config = &pc->machine->config;
    const Numa *numa = pc->machine->numa;
    unsigned nodes = numa ? numa->count : 0;
    g_autofree uint64_t *words = g_new0(uint64_t, 1 + config->vcpus + nodes);

    words[0] = nodes;
    for (unsigned cpu = 0; numa && cpu < config->vcpus; cpu++) {
        unsigned apic_id = x86_topology(cpu, x86_layout(config)).apic_id;

        if (apic_id < config->vcpus) {
            words[1 + apic_id] = (uint64_t)numa->cpu_nodes[cpu];
        }
    }
    for (unsigned node = 0; node < nodes; node++) {
        words[1 + config->vcpus + node] = numa->nodes[node].bytes;
    }
    add_bytes(pc, FW_CFG_NUMA, words, sizeof *words * (1 + config->vcpus + nodes));
}

bool pc_add_fw_cfg(Pc *pc, GError **error)
{
    const MachineConfig *config = &pc->machine->config;
    Device *fw_cfg = device_create(pc->machine, NULL, "fw_cfg_io", NULL, "fw_cfg", error);

    if (!fw_cfg ||
        !device_set(fw_cfg, "dma_enabled", pc->version.fw_cfg_dma ? "on" : "off", error) ||
        !device_set(fw_cfg, "sort-files", pc->version.fw_cfg_sorted ? "on" : "off", error) ||
        !device_realize(fw_cfg, error)) {
        return false;
    }
    pc->fw_cfg = fw_cfg;
    device_map_io(fw_cfg, 0, PC_FW_CFG_PORT);
    if (pc->version.fw_cfg_dma) {
        device_map_io(fw_cfg, 1, PC_FW_CFG_PORT + 4);
    }
    if (config->uuid) {
        add_uuid(pc, config->uuid);
    }
    fw_cfg_add_u64(fw_cfg, FW_CFG_RAM_SIZE, config->ram_bytes);
    fw_cfg_add_u16(fw_cfg, FW_CFG_NOGRAPHIC, 0);
    fw_cfg_add_u16(fw_cfg, FW_CFG_NB_CPUS, (uint16_t)config->vcpus);
    fw_cfg_add_u16(fw_cfg, FW_CFG_MAX_CPUS, (uint16_t)config->vcpus);
    add_numa(pc);
    fw_cfg_add_u32(fw_cfg, FW_CFG_X86_IRQ0_OVERRIDE, 1);
    add_hpet_table(pc);
    return add_e820(pc, error) && (!pc->pm || add_system_states(pc, error));
}

/* --- -boot --- */

const char *pc_boot_option(Pc *pc, const char *name)
{
    GHashTable *options = pc->machine->config.boot_options;

    return options ? g_hash_table_lookup(options, name) : NULL;
}

static bool switched_on(const char *value)
{
    return value && (strcmp(value, "on") == 0 || strcmp(value, "yes") == 0 ||
                     strcmp(value, "true") == 0 || strcmp(value, "1") == 0);
}

static bool check_switch(Pc *pc, const char *name, GError **error)
{
    static const char *const off[] = { "off", "no", "false", "0", NULL };
    const char *text = pc_boot_option(pc, name);

    if (text && !switched_on(text) && !g_strv_contains(off, text)) {
        return error_fail(error, KASO_ERROR_INVALID, "-boot %s=%s: give on or off", name, text);
    }
    return true;
}

/* A number of milliseconds; false with an error when it is none. */
static bool boot_number(Pc *pc, const char *name, long least, long most, long *value,
                        GError **error)
{
    const char *text = pc_boot_option(pc, name);
    char *end;

    if (!text) {
        return true;
    }
    *value = strtol(text, &end, 10);
    if (!*text || *end || *value < least || *value > most) {
        return error_fail(error, KASO_ERROR_INVALID, "-boot %s=%s: give a number from %ld to %ld",
                          name, text, least, most);
    }
    return true;
}

static bool add_splash(Pc *pc, GError **error)
{
    const char *path = pc_boot_option(pc, "splash");
    g_autofree char *found = path ? machine_find_firmware(pc->machine, path, NULL) : NULL;
    g_autoptr(GBytes) content =
        path ? pc_read_file("splash picture", found ? found : path, MIB(16), error) : NULL;
    gsize size;
    const uint8_t *data;

    if (!content) {
        return !path;
    }
    data = g_bytes_get_data(content, &size);
    if (size > 2 && data[0] == 'B' && data[1] == 'M') {
        return fw_cfg_add_file(pc->fw_cfg, "bootsplash.bmp", content, error);
    }
    if (size > 2 && data[0] == 0xff && data[1] == 0xd8) {
        return fw_cfg_add_file(pc->fw_cfg, "bootsplash.jpg", content, error);
    }
    return error_fail(error, KASO_ERROR_INVALID,
                      "-boot splash=%s: it is neither a BMP nor a JPEG file", path);
}

static bool add_boot_options(Pc *pc, GError **error)
{
    long wait = -1, reboot = -1;
    uint8_t bytes[4];

    fw_cfg_add_u16(pc->fw_cfg, FW_CFG_BOOT_MENU, switched_on(pc_boot_option(pc, "menu")));
    if (!boot_number(pc, "splash-time", 0, 0xffff, &wait, error) ||
        !boot_number(pc, "reboot-timeout", -1, 0xffff, &reboot, error)) {
        return false;
    }
    store_le32(bytes, (uint32_t)reboot);
    if (!add_file(pc, "etc/boot-fail-wait", bytes, 4, error)) {
        return false;
    }
    store_le16(bytes, (uint16_t)wait);
    return (wait < 0 || add_file(pc, "etc/boot-menu-wait", bytes, 2, error)) &&
           add_splash(pc, error);
}

int pc_boot_code(char letter)
{
    static const char letters[] = "acdn";
    const char *found = letter ? strchr(letters, letter) : NULL;

    return found ? (int)(found - letters) + 1 : -1;
}

static bool check_letters(const char *option, const char *order, GError **error)
{
    for (unsigned i = 0; order && order[i]; i++) {
        if (pc_boot_code(order[i]) < 0 || i > 2 || strchr(order + i + 1, order[i])) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "%s%s: give up to three of a (floppy), c (disk), d (CD), n "
                              "(network)",
                              option, order);
        }
    }
    return true;
}

static bool check_boot_order(Pc *pc, GError **error)
{
    return check_letters("-boot order=", pc_boot_option(pc, "order"), error) &&
           check_letters("-boot once=", pc_boot_option(pc, "once"), error) &&
           check_switch(pc, "menu", error) && check_switch(pc, "strict", error);
}

bool pc_change_boot_order(Machine *machine, void *board, const char *order, GError **error)
{
    MachineConfig *config = &machine->config;

    if (!check_letters("boot_set ", order, error)) {
        return false;
    }
    if (!config->boot_options) {
        config->boot_options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    }
    g_hash_table_remove(config->boot_options, "once");
    g_hash_table_replace(config->boot_options, g_strdup("order"), g_strdup(order));
    pc_set_cmos_boot_order(board);
    return true;
}

bool pc_fill_fw_cfg(Pc *pc, GError **error)
{
    GPtrArray *files = pc->machine->config.fw_cfg_files;

    for (unsigned i = 0; files && i < files->len; i++) {
        const FwCfgFile *file = files->pdata[i];

        if (!fw_cfg_add_file(pc->fw_cfg, file->name, file->content, error)) {
            return false;
        }
    }
    return check_boot_order(pc, error) && add_boot_options(pc, error) &&
           add_file(pc, "bios-geometry", "", 0, error);
}

/* --- at a reset --- */

static void set_boot_order(Pc *pc)
{
    g_autoptr(GBytes) devices = boot_order_make(pc->machine);
    g_autoptr(GString) order = g_string_new(NULL);
    g_autoptr(GBytes) content = NULL;
    g_autoptr(GError) error = NULL;

    if (pc->boot_rom) {
        g_string_append_printf(order, "/rom@genroms/%s\n", PC_BOOT_ROM);
    }
    if (devices) {
        g_string_append(order, g_bytes_get_data(devices, NULL));
        g_string_append_c(order, '\n');
    }
    /* Without a device that was named, -boot's letters say what is tried. */
    if (order->len && switched_on(pc_boot_option(pc, "strict"))) {
        g_string_append(order, "HALT\n");
    }
    if (order->len) {
        order->str[order->len - 1] = '\0';
    }
    content = g_bytes_new(order->str, order->len);
    if (!fw_cfg_add_file(pc->fw_cfg, "bootorder", content, &error)) {
        log_printf("%s: no boot order: %s\n", pc->fw_cfg->id, error->message);
    }
}

static void set_geometry(Pc *pc)
{
    g_autoptr(GBytes) content = boot_geometry_make(pc->machine);
    g_autoptr(GError) error = NULL;

    if (!fw_cfg_add_file(pc->fw_cfg, "bios-geometry", content, &error)) {
        log_printf("%s: no geometry of disks: %s\n", pc->fw_cfg->id, error->message);
    }
}

/* Without a chipset that shadows ROM, the firmware is in RAM from the start. */
static void fill_shadow(Pc *pc)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(pc->rom_content, &size);
    uint64_t part = MIN(size, ROM_LOW_BYTES);

    address_space_write_bytes(&pc->machine->memory_space, MIB(1) - part, data + size - part, part,
                              MEMORY_ATTRIBUTES_DMA);
}

void pc_refresh_firmware(Pc *pc)
{
    pc_set_cmos(pc);
    set_boot_order(pc);
    set_geometry(pc);
    if (pc->rom_content) {
        fill_shadow(pc);
    }
}
