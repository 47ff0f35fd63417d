/* SPDX-License-Identifier: MIT */
/* fw_cfg with hostile DMA descriptors, and flash commands. */
#include <string.h>
#include <unistd.h>

#include "block/block.h"
#include "hw/nvram/fw_cfg.h"
#include "tests/device/rig.h"

static void put_descriptor(Rig *rig, uint64_t at, uint32_t control, uint32_t length,
                           uint64_t address)
{
    uint8_t raw[16];

    store_be32(raw, control);
    store_be32(raw + 4, length);
    store_be64(raw + 8, address);
    address_space_write_bytes(&rig->machine->memory_space, at, raw, sizeof raw,
                              MEMORY_ATTRIBUTES_DMA);
}

static uint32_t run_dma(Rig *rig, uint32_t control, uint32_t length, uint64_t address)
{
    put_descriptor(rig, RIG_RAM, control, length, address);
    rig_write(rig, 0, 0, 0x10, __builtin_bswap64(RIG_RAM), 8);
    return load_be32(rig->ram.host);
}

static void select_key(Rig *rig, uint16_t key)
{
    rig_write(rig, 0, 0, 8, __builtin_bswap16(key), 2);
}

static void items(void)
{
    g_autoptr(GBytes) content = g_bytes_new_static("hello", 5);
    g_autoptr(GError) error = NULL;
    Rig rig;

    rig_open(&rig, "fw_cfg_mem", NULL);
    g_assert_true(fw_cfg_add_file(rig.device, "opt/test", content, &error));
    select_key(&rig, FW_CFG_SIGNATURE);
    g_assert_cmphex(rig_read(&rig, 0, 0, 0, 4), ==, 0x554d4551); /* "QEMU" */
    g_assert_cmphex(rig_read(&rig, 0, 0, 0, 1), ==, 0);          /* past the end */
    select_key(&rig, FW_CFG_ID);
    g_assert_cmphex(rig_read(&rig, 0, 0, 0, 1), ==, 3);
    g_assert_cmphex(rig_read(&rig, 0, 0, 0x10, 8), ==, UINT64_C(0x47464320554d4551));
    select_key(&rig, FW_CFG_FILE_DIR);
    g_assert_cmphex(rig_read(&rig, 0, 0, 0, 8), ==, UINT64_C(0x0500000001000000));
    g_assert_cmphex(rig_read(&rig, 0, 0, 0, 2), ==, 0x2000); /* key 0x20 */
    rig_read(&rig, 0, 0, 0, 2);
    g_assert_cmphex(rig_read(&rig, 0, 0, 0, 8), ==, UINT64_C(0x747365742f74706f));
    select_key(&rig, FW_CFG_FILE_FIRST);
    g_assert_cmphex(rig_read(&rig, 0, 0, 0, 8), ==, UINT64_C(0x6f6c6c6568));
    select_key(&rig, 0xffff);
    g_assert_cmphex(rig_read(&rig, 0, 0, 0, 8), ==, 0);
    g_assert_false(fw_cfg_add_file(rig.device, "", content, &error));
    g_clear_error(&error);
    for (unsigned i = 1; i < FW_CFG_FILE_SLOTS; i++) {
        g_autofree char *name = g_strdup_printf("opt/%u", i);

        g_assert_true(fw_cfg_add_file(rig.device, name, content, &error));
    }
    g_assert_false(fw_cfg_add_file(rig.device, "opt/one-too-many", content, &error));
    g_assert_nonnull(error);
    rig_close(&rig);
}

static void dma(void)
{
    g_autoptr(GBytes) content = g_bytes_new_static("0123456789", 10);
    g_autoptr(GError) error = NULL;
    uint8_t *ram;
    Rig rig;

    rig_open(&rig, "fw_cfg_mem", NULL);
    ram = rig.ram.host;
    fw_cfg_add_file(rig.device, "opt/digits", content, &error);
    memset(ram + 0x1000, 0xee, 32);
    g_assert_cmphex(run_dma(&rig, 0x20 << 16 | 8 | 2, 4, RIG_RAM + 0x1000), ==, 0);
    g_assert_cmpmem(ram + 0x1000, 4, "0123", 4);
    g_assert_cmphex(run_dma(&rig, 4, 3, 0), ==, 0); /* skip */
    g_assert_cmphex(run_dma(&rig, 2, 8, RIG_RAM + 0x1000), ==, 0);
    g_assert_cmpmem(ram + 0x1000, 9, "789\0\0\0\0\0\xee", 9); /* zeroes after the end */
    g_assert_cmphex(run_dma(&rig, 16, 4, RIG_RAM), ==, 1);    /* write: read-only item */
    /* Two 32-bit halves. */
    put_descriptor(&rig, RIG_RAM, 0x20 << 16 | 8 | 2, 1, RIG_RAM + 0x1000);
    rig_write(&rig, 0, 0, 0x10, 0, 4);
    rig_write(&rig, 0, 0, 0x14, __builtin_bswap32((uint32_t)RIG_RAM), 4);
    g_assert_cmpmem(ram + 0x1000, 2, "08", 2);
    rig_close(&rig);
}

static void hostile_dma(void)
{
    Rig rig;

    rig_open(&rig, "fw_cfg_mem", NULL);
    /* No such item, 4 GiB, over the end of memory: ends with an error where memory ends. */
    g_assert_cmphex(run_dma(&rig, 0x7fff0000 | 8 | 2, UINT32_MAX, RIG_RAM + RIG_RAM_BYTES - 8), ==,
                    1);
    g_assert_cmphex(run_dma(&rig, 2, 4, UINT64_MAX - 1), ==, 1);
    g_assert_cmphex(run_dma(&rig, 4, UINT32_MAX, 0), ==, 0); /* skips saturate */
    g_assert_cmphex(run_dma(&rig, 4, UINT32_MAX, 0), ==, 0);
    g_assert_cmphex(run_dma(&rig, 2, 4, RIG_RAM + 0x100), ==, 0);
    /* The device itself as the target, and descriptors outside memory and astride its end. */
    run_dma(&rig, 8 | 2, 0x18, rig.base);
    rig_write(&rig, 0, 0, 0x10, __builtin_bswap64(UINT64_C(0x123456789abcdef0)), 8);
    rig_write(&rig, 0, 0, 0x10, __builtin_bswap64(RIG_RAM + RIG_RAM_BYTES - 4), 8);
    rig_write(&rig, 0, 0, 0x10, __builtin_bswap64(rig.base), 8);
    /* A transfer that starts itself: zeroes onto the DMA register make it fetch address 0. */
    memory_region_remove(&rig.ram);
    memory_region_add(rig.machine->system_memory, 0, &rig.ram, 0);
    put_descriptor(&rig, 0, 0x7fff0000 | 8 | 2, 8, rig.base + 0x10);
    rig_write(&rig, 0, 0, 0x10, 0, 8);
    memory_region_remove(&rig.ram);
    memory_region_add(rig.machine->system_memory, RIG_RAM, &rig.ram, 0);
    /* The descriptor overwritten by its own data. */
    run_dma(&rig, 8 | 2, 16, RIG_RAM);
    rig_hammer(&rig, 1, 50000);
    rig_close(&rig);
}

/* --- flash --- */

enum { SECTOR = 0x40000 };

static void command(Rig *rig, uint64_t offset, uint8_t value)
{
    rig_write(rig, 0, 0, offset, value | (uint32_t)value << 16, 4);
}

static uint32_t flash_read(Rig *rig, uint64_t offset)
{
    return (uint32_t)rig_read(rig, 0, 0, offset, 4);
}

static const char *const flash_properties[] = { "size=1M", NULL };

static void flash_commands(void)
{
    Rig rig;

    rig_open(&rig, "cfi.pflash01", flash_properties);
    command(&rig, 0x55 * 4, 0x98);
    g_assert_cmphex(flash_read(&rig, 0x10 * 4), ==, 0x00510051); /* Q */
    g_assert_cmphex(flash_read(&rig, 0x12 * 4), ==, 0x00590059);
    g_assert_cmphex(flash_read(&rig, 0x27 * 4), ==, 0x00130013); /* 512 KiB per chip */
    g_assert_cmphex(flash_read(&rig, 0x2d * 4), ==, 0x00030003);
    g_assert_cmphex(flash_read(&rig, 0x30 * 4), ==, 0x00020002);
    command(&rig, 0, 0x90);
    g_assert_cmphex(flash_read(&rig, 0), ==, 0x00890089);
    g_assert_cmphex(flash_read(&rig, 4), ==, 0x00180018);
    command(&rig, 0, 0xff);

    command(&rig, SECTOR, 0x20);
    command(&rig, SECTOR, 0xd0);
    g_assert_cmphex(flash_read(&rig, SECTOR), ==, 0x00800080);
    command(&rig, 0, 0xff);
    g_assert_cmphex(flash_read(&rig, SECTOR), ==, 0xffffffff);
    g_assert_cmphex(flash_read(&rig, SECTOR - 4), ==, 0);

    command(&rig, SECTOR + 8, 0x40);
    rig_write(&rig, 0, 0, SECTOR + 8, 0x12345678, 4);
    command(&rig, 0, 0x70);
    g_assert_cmphex(flash_read(&rig, 0), ==, 0x00800080);
    command(&rig, 0, 0xff);
    g_assert_cmphex(flash_read(&rig, SECTOR + 8), ==, 0x12345678);
    command(&rig, SECTOR + 8, 0x40);
    rig_write(&rig, 0, 0, SECTOR + 8, 0xff00ff00, 4); /* only clears */
    command(&rig, 0, 0xff);
    g_assert_cmphex(flash_read(&rig, SECTOR + 8), ==, 0x12005600);

    command(&rig, 0, 0x20);
    command(&rig, 0, 0xff); /* not the confirmation */
    g_assert_cmphex(flash_read(&rig, 0), ==, 0x00b000b0);
    command(&rig, 0, 0x50);
    g_assert_cmphex(flash_read(&rig, 0), ==, 0);
    command(&rig, 0, 0x70);
    g_assert_cmphex(flash_read(&rig, 0), ==, 0);
    rig_close(&rig);
}

static void flash_buffer(void)
{
    Rig rig;

    rig_open(&rig, "cfi.pflash01", flash_properties);
    command(&rig, 0, 0x20);
    command(&rig, 0, 0xd0);
    command(&rig, 0x100, 0xe8);
    g_assert_cmphex(flash_read(&rig, 0x100), ==, 0x00800080);
    command(&rig, 0x100, 3);
    for (unsigned i = 0; i < 4; i++) {
        rig_write(&rig, 0, 0, 0x100 + i * 4, 0x11111111 * (i + 1), 4);
    }
    command(&rig, 0x100, 0xd0);
    g_assert_cmphex(flash_read(&rig, 0), ==, 0x00800080);
    command(&rig, 0, 0xff);
    g_assert_cmphex(flash_read(&rig, 0x100), ==, 0x11111111);
    g_assert_cmphex(flash_read(&rig, 0x10c), ==, 0x44444444);
    g_assert_cmphex(flash_read(&rig, 0x110), ==, 0xffffffff);

    command(&rig, 0, 0xe8); /* more than the buffer holds */
    rig_write(&rig, 0, 0, 0, 0x0fff0fff, 4);
    g_assert_cmphex(flash_read(&rig, 0), ==, 0x00b000b0);
    command(&rig, 0, 0x50);
    command(&rig, 0, 0xe8); /* data outside the window */
    command(&rig, 0, 3);
    rig_write(&rig, 0, 0, 0x1000, 0, 4);
    rig_write(&rig, 0, 0, 0xc0000, 0, 4);
    g_assert_cmphex(flash_read(&rig, 0), ==, 0x00b000b0);
    rig_hammer(&rig, 1, 50000);
    rig_close(&rig);
}

/* A PC's: one chip of 8 bits, and as many sectors as the firmware needs. */
static void flash_bytes(void)
{
    static const char *const properties[] = { "size=1920K", "sector-length=4K", "width=1",
                                              "device-width=1", NULL };
    Rig rig;

    rig_open(&rig, "cfi.pflash01", properties);
    for (unsigned at = 0x1001; at < 0x1005; at++) {
        rig_write(&rig, 0, 0, at, 0x70, 1);
        g_assert_cmphex(rig_read(&rig, 0, 0, at, 1), ==, 0x80);
        rig_write(&rig, 0, 0, at, 0x50, 1);
        rig_write(&rig, 0, 0, at, 0x70, 1);
        g_assert_cmphex(rig_read(&rig, 0, 0, at, 1), ==, 0);
        rig_write(&rig, 0, 0, at, 0x10, 1);
        rig_write(&rig, 0, 0, at, 0xff, 1);
        g_assert_cmphex(rig_read(&rig, 0, 0, at, 1), ==, 0x80);
        rig_write(&rig, 0, 0, at, 0xff, 1);
        g_assert_cmphex(rig_read(&rig, 0, 0, at, 1), ==, 0);
    }
    rig_write(&rig, 0, 0, 0x1fff, 0x20, 1);
    rig_write(&rig, 0, 0, 0x1fff, 0xd0, 1);
    rig_write(&rig, 0, 0, 0x1003, 0x10, 1);
    rig_write(&rig, 0, 0, 0x1003, 0x5a, 1);
    rig_write(&rig, 0, 0, 0, 0x98, 1);
    g_assert_cmphex(rig_read(&rig, 0, 0, 0x10, 4), ==, 0x01595251); /* QRY, Intel */
    g_assert_cmphex(rig_read(&rig, 0, 0, 0x27, 1), ==, 21);
    g_assert_cmphex(rig_read(&rig, 0, 0, 0x2d, 4), ==, 0x001001df); /* 480 blocks of 16 times 256 */
    rig_write(&rig, 0, 0, 0, 0xff, 1);
    g_assert_cmphex(rig_read(&rig, 0, 0, 0x1000, 4), ==, 0x5affffff);
    g_assert_cmphex(rig_read(&rig, 0, 0, 0xfff, 1), ==, 0);
    g_assert_cmphex(rig_read(&rig, 0, 0, 0x2000, 1), ==, 0);
    rig_hammer(&rig, 1, 20000);
    rig_close(&rig);
}

/* Commands from outside secure mode are not heard, and what a secure one asked for is not seen there. */
static void flash_secure(void)
{
    static const char *const properties[] = { "size=64K",       "sector-length=4K", "width=1",
                                              "device-width=1", "secure=on",        NULL };
    Rig rig;
    uint8_t identify = 0x90;

    rig_open(&rig, "cfi.pflash01", properties);
    rig_write(&rig, 0, 0, 0, 0x70, 1);
    g_assert_cmphex(rig_read(&rig, 0, 0, 0, 1), ==, 0);
    address_space_write_bytes(&rig.machine->memory_space, rig.base, &identify, 1,
                              (MemoryAttributes){ .vcpu = -1, .secure = true });
    g_assert_cmphex(rig_read(&rig, 0, 0, 0, 1), ==, 0);
    address_space_read_bytes(&rig.machine->memory_space, rig.base, &identify, 1,
                             (MemoryAttributes){ .vcpu = -1, .secure = true });
    g_assert_cmphex(identify, ==, 0x89);
    rig_close(&rig);
}

static BlockBackend *open_image(BlockGraph *graph, const char *path, bool read_only)
{
    GHashTable *options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GError) error = NULL;
    BlockBackend *block;

    g_hash_table_insert(options, g_strdup("file"), g_strdup(path));
    g_hash_table_insert(options, g_strdup("format"), g_strdup("raw"));
    g_hash_table_insert(options, g_strdup("id"), g_strdup("pflash0"));
    g_hash_table_insert(options, g_strdup("readonly"), g_strdup(read_only ? "on" : "off"));
    block = block_open(graph, options, &error);
    g_hash_table_unref(options);
    g_assert_no_error(error);
    return block;
}

/* Opens a machine with flash on a file of 1 MiB; error NULL: must work. */
static BlockGraph *open_with_image(Rig *rig, const char *path, bool read_only, GError **error)
{
    BlockGraph *graph = block_graph_new(NULL);
    g_autoptr(GError) problem = NULL;

    rig_open(rig, NULL, NULL);
    machine_add_drive(rig->machine, "pflash0", open_image(graph, path, read_only));
    rig->device = device_create(rig->machine, NULL, "cfi.pflash01", NULL, "dut", &problem);
    device_set(rig->device, "size", "1M", &problem);
    device_set(rig->device, "drive", "pflash0", &problem);
    g_assert_no_error(problem);
    if (device_realize(rig->device, error ? error : &problem)) {
        device_map(rig->device, 0, rig->base);
    }
    g_assert_no_error(problem);
    return graph;
}

static void close_with_image(Rig *rig, BlockGraph *graph)
{
    BlockBackend *drive = machine_find_drive(rig->machine, "pflash0");

    rig_close(rig);
    block_close(drive);
    block_graph_free(graph);
}

static void flash_image(void)
{
    g_autofree char *path = g_strdup_printf("%s/kaso-flash-XXXXXX", g_get_tmp_dir());
    g_autofree char *zeroes = g_malloc0(MIB(1)), *content = NULL;
    g_autoptr(GError) error = NULL;
    BlockGraph *graph;
    gsize size;
    Rig rig;

    close(g_mkstemp(path));
    memcpy(zeroes + 0x200, "firmware", 8);
    g_file_set_contents(path, zeroes, (gssize)MIB(1), NULL);
    graph = open_with_image(&rig, path, false, NULL);
    g_assert_cmphex(flash_read(&rig, 0x200), ==, 0x6d726966);
    command(&rig, SECTOR, 0x20);
    command(&rig, SECTOR, 0xd0);
    for (unsigned i = 0; i < 64; i++) {
        command(&rig, SECTOR + i * 4, 0x40);
        rig_write(&rig, 0, 0, SECTOR + i * 4, i, 4);
    }
    machine_unlock(rig.machine);
    block_drain(machine_find_drive(rig.machine, "pflash0"));
    machine_lock(rig.machine);
    g_file_get_contents(path, &content, &size, NULL);
    g_assert_cmpuint(size, ==, MIB(1));
    g_assert_cmpmem(content, SECTOR, zeroes, SECTOR);
    for (unsigned i = 0; i < 64; i++) {
        g_assert_cmphex(load_le32(content + SECTOR + i * 4), ==, i);
    }
    g_assert_cmphex(load_le32(content + 2 * SECTOR - 4), ==, UINT32_MAX);
    close_with_image(&rig, graph);

    graph = open_with_image(&rig, path, true, NULL);
    command(&rig, 0, 0x20);
    command(&rig, 0, 0xd0);
    g_assert_cmphex(flash_read(&rig, 0), ==, 0x00a200a2); /* erase error, locked */
    command(&rig, 0, 0xff);
    g_assert_cmphex(flash_read(&rig, 0x200), ==, 0x6d726966);
    close_with_image(&rig, graph);

    g_assert_cmpint(truncate(path, 1000), ==, 0);
    graph = open_with_image(&rig, path, false, &error);
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, "1024 bytes"));
    close_with_image(&rig, graph);
    unlink(path);
}

void test_fw_cfg(void)
{
    g_test_add_func("/fw_cfg/items", items);
    g_test_add_func("/fw_cfg/dma", dma);
    g_test_add_func("/fw_cfg/hostile-dma", hostile_dma);
}

void test_flash(void)
{
    g_test_add_func("/flash/commands", flash_commands);
    g_test_add_func("/flash/buffer", flash_buffer);
    g_test_add_func("/flash/bytes", flash_bytes);
    g_test_add_func("/flash/secure", flash_secure);
    g_test_add_func("/flash/image", flash_image);
}
