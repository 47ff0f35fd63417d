/* SPDX-License-Identifier: MIT */
/* Kernel images, good and damaged, and where things are placed. */
#include <elf.h>
#include <libfdt.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "hw/board/arm-boot.h"
#include "hw/board/arm-image.h"
#include "tests/device/rig.h"

static char *temporary(const void *data, size_t size)
{
    char *path = g_strdup_printf("%s/kaso-image-XXXXXX", g_get_tmp_dir());

    close(g_mkstemp(path));
    g_file_set_contents(path, data, (gssize)size, NULL);
    return path;
}

/* An arm64 Image of `size` bytes. */
static uint8_t *make_image(size_t size, uint64_t text_offset, uint64_t image_size)
{
    uint8_t *image = g_malloc0(size);

    store_le64(image + 8, text_offset);
    store_le64(image + 16, image_size);
    memcpy(image + 0x38, "ARM\x64", 4);
    for (size_t i = 64; i < size; i++) {
        image[i] = (uint8_t)(i * 7);
    }
    return image;
}

static GBytes *gzip(const void *data, size_t size)
{
    size_t room = size + 1000;
    uint8_t *out = g_malloc(room);
    z_stream stream = {
        .next_in = (Bytef *)data, .avail_in = (uInt)size, .next_out = out, .avail_out = (uInt)room
    };

    deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    deflate(&stream, Z_FINISH);
    deflateEnd(&stream);
    return g_bytes_new_take(out, room - stream.avail_out);
}

static GBytes *zboot(GBytes *payload, const char *compression)
{
    gsize size;
    const void *data = g_bytes_get_data(payload, &size);
    uint8_t *out = g_malloc0(64 + size);

    memcpy(out, "MZ\0\0zimg", 8);
    store_le32(out + 8, 64);
    store_le32(out + 12, (uint32_t)size);
    g_strlcpy((char *)out + 24, compression, 32);
    memcpy(out + 64, data, size);
    return g_bytes_new_take(out, 64 + size);
}

/* Loads a kernel; returns the message of the failure or NULL. */
static char *load(Rig *rig, ArmBoot *boot, const void *data, size_t size, const char *initrd)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = data ? temporary(data, size) : g_strdup("/nonexistent/kernel");

    rig_open(rig, NULL, NULL);
    memory_region_remove(&rig->ram);
    machine_map_ram(rig->machine, RIG_RAM, &error);
    rig->machine->config.kernel = g_strdup(path);
    rig->machine->config.initrd = g_strdup(initrd);
    arm_boot_init(boot, rig->machine, RIG_RAM);
    if (arm_boot_load(boot, 4096, &error)) {
        arm_boot_reset(boot, NULL);
    }
    unlink(path);
    return error ? g_strdup(error->message) : NULL;
}

static void unload(Rig *rig, ArmBoot *boot)
{
    arm_boot_free(boot);
    rig_close(rig);
}

static void expect_loaded(const void *file, size_t file_size, const uint8_t *image, size_t size,
                          uint64_t address)
{
    ArmBoot boot;
    Rig rig;
    g_autofree char *message = load(&rig, &boot, file, file_size, NULL);

    g_assert_cmpstr(message, ==, NULL);
    g_assert_cmphex(boot.entry, ==, address);
    g_assert_cmpmem(rig.machine->ram.host + (address - RIG_RAM), size, image, size);
    unload(&rig, &boot);
}

static void expect_failure(const void *file, size_t size, const char *text)
{
    ArmBoot boot;
    Rig rig;
    g_autofree char *message = load(&rig, &boot, file, size, NULL);

    g_assert_nonnull(message);
    if (!strstr(message, text)) {
        g_error("'%s' does not say '%s'", message, text);
    }
    unload(&rig, &boot);
}

static void formats(void)
{
    enum { SIZE = 100000 };
    g_autofree uint8_t *image = make_image(SIZE, 0, 0x40000), *old = make_image(SIZE, 0, 0);
    g_autoptr(GBytes) packed = gzip(image, SIZE), boot = zboot(packed, "gzip");
    g_autofree uint8_t *zstd = g_malloc(2 * SIZE);
    g_autoptr(GBytes) zstd_packed =
        g_bytes_new(zstd, ZSTD_compress(zstd, 2 * SIZE, image, SIZE, 3));
    g_autoptr(GBytes) zstd_boot = NULL, lzma_boot = zboot(packed, "lzma");
    gsize size;
    const void *data;

    g_clear_pointer(&zstd_packed, g_bytes_unref);
    zstd_packed = g_bytes_new(zstd, ZSTD_compress(zstd, 2 * SIZE, image, SIZE, 3));
    zstd_boot = zboot(zstd_packed, "zstd22");
    expect_loaded(image, SIZE, image, SIZE, RIG_RAM);
    expect_loaded(old, SIZE, old, SIZE, RIG_RAM + 0x80000);
    expect_loaded("plain", 5, (const uint8_t *)"plain", 5, RIG_RAM + 0x80000);
    data = g_bytes_get_data(packed, &size);
    expect_loaded(data, size, image, SIZE, RIG_RAM);
    expect_failure(data, size / 2, "truncated");
    data = g_bytes_get_data(boot, &size);
    expect_loaded(data, size, image, SIZE, RIG_RAM);
    expect_failure(data, size - 100, "truncated");
    data = g_bytes_get_data(zstd_boot, &size);
    expect_loaded(data, size, image, SIZE, RIG_RAM);
    data = g_bytes_get_data(lzma_boot, &size);
    expect_failure(data, size, "lzma");
    expect_failure(NULL, 0, "No such file");
    expect_failure("", 0, "is empty");
}

static void sizes(void)
{
    g_autofree uint8_t *huge = make_image(4096, 0, MIB(65)), *bad = make_image(4096, MIB(3), 4096);
    g_autofree uint8_t *most = make_image(4096, 0, MIB(63));
    g_autofree char *initrd = temporary(huge, 4096);
    g_autofree uint8_t *zeroes = g_malloc0(MIB(80));
    g_autoptr(GBytes) bomb = gzip(zeroes, MIB(80));
    g_autofree char *message = NULL;
    gsize size;
    const void *data = g_bytes_get_data(bomb, &size);
    ArmBoot boot;
    Rig rig;

    expect_failure(huge, 4096, "too little RAM");
    expect_failure(bad, 4096, "damaged Image header");
    expect_failure(data, size, "too little RAM");
    message = load(&rig, &boot, most, 4096, initrd);
    g_assert_nonnull(strstr(message, "too little RAM"));
    g_assert_nonnull(strstr(message, "64 MiB"));
    unload(&rig, &boot);
    unlink(initrd);
}

/* The tree of an ELF file whose only segment is moved to an address. */
static void expect_dtb(uint8_t *file, size_t size, uint64_t address, uint64_t dtb)
{
    ArmBoot boot;
    Rig rig;
    g_autofree char *message = NULL;

    store_le64(file + 0x40 + offsetof(Elf64_Phdr, p_paddr), address);
    message = load(&rig, &boot, file, size, NULL);
    g_assert_cmpstr(message, ==, NULL);
    g_assert_cmphex(boot.dtb_address, ==, dtb);
    unload(&rig, &boot);
}

static void elf(void)
{
    uint8_t file[0x300] = { 0 };
    Elf64_Ehdr header = {
        .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
        .e_machine = EM_AARCH64,
        .e_phoff = 0x40,
        .e_phnum = 1,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_entry = 0xffff000000000010,
    };
    Elf64_Phdr segment = {
        .p_type = PT_LOAD,
        .p_offset = 0x200,
        .p_vaddr = 0xffff000000000000,
        .p_paddr = RIG_RAM + 0x100000,
        .p_filesz = 0x100,
        .p_memsz = 0x1000,
    };
    ArmBoot boot;
    Rig rig;
    g_autofree char *message = NULL;

    memset(file + 0x200, 0x5a, 0x100);
    memcpy(file, &header, sizeof header);
    memcpy(file + 0x40, &segment, sizeof segment);
    message = load(&rig, &boot, file, sizeof file, NULL);
    g_assert_cmpstr(message, ==, NULL);
    g_assert_cmphex(boot.entry, ==, RIG_RAM + 0x100010);
    g_assert_cmphex(rig.machine->ram.host[0x1000ff], ==, 0x5a);
    g_assert_cmphex(boot.kernel_end, ==, RIG_RAM + 0x101000);
    g_assert_cmphex(boot.dtb_address, ==, RIG_RAM); /* there is room below the program */
    unload(&rig, &boot);
    expect_dtb(file, sizeof file, RIG_RAM + 4096, RIG_RAM);
    expect_dtb(file, sizeof file, RIG_RAM + 4095, RIG_RAM + MIB(32));
    expect_dtb(file, sizeof file, RIG_RAM + MIB(64) - 0x1000, RIG_RAM); /* none behind it */
    expect_failure(file, 0x280, "truncated");
    segment.p_paddr = UINT64_MAX - 10;
    memcpy(file + 0x40, &segment, sizeof segment);
    expect_failure(file, sizeof file, "too little RAM");
    header.e_machine = EM_X86_64;
    memcpy(file, &header, sizeof header);
    expect_failure(file, sizeof file, "x86-64");
    header.e_machine = EM_AARCH64;
    header.e_phoff = UINT64_MAX - 4;
    memcpy(file, &header, sizeof header);
    expect_failure(file, sizeof file, "truncated");
}

/* Segments that are not in RAM, or only in part: what is there is loaded. */
static void elf_outside(void)
{
    uint8_t file[0x800] = { 0 };
    const Elf64_Ehdr header = {
        .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
        .e_machine = EM_AARCH64,
        .e_phoff = 0x40,
        .e_phnum = 6,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_entry = RIG_RAM + 0x1000,
    };
    const uint64_t end = RIG_RAM + MIB(64);
    const Elf64_Phdr segments[6] = {
        { PT_LOAD, PF_R, 0x400, 0, 0x10, 0x100, 0x100, 8 }, /* notes at 0x10 */
        { PT_LOAD, PF_X, 0x500, RIG_RAM + 0x1000, RIG_RAM + 0x1000, 0x100, 0x100, 8 },
        { PT_LOAD, PF_R, 0x600, RIG_RAM - 0x80, RIG_RAM - 0x80, 0x100, 0x100, 8 }, /* from below */
        { PT_LOAD, PF_R, 0x700, end - 0x40, end - 0x40, 0x80, UINT64_MAX, 8 }, /* over the end */
        { PT_LOAD, PF_R, 0, UINT64_MAX - 10, UINT64_MAX - 10, 8, 100, 8 },
        { PT_NOTE, PF_R, UINT64_MAX, 0, 0, UINT64_MAX, 0, 8 }, /* not to be loaded */
    };
    g_autofree char *message = NULL;
    const uint8_t *ram;
    ArmBoot boot;
    Rig rig;

    memcpy(file, &header, sizeof header);
    memcpy(file + 0x40, segments, sizeof segments);
    for (size_t i = 0x400; i < sizeof file; i++) {
        file[i] = (uint8_t)(i >> 8 ^ i);
    }
    message = load(&rig, &boot, file, sizeof file, NULL);
    ram = rig.machine->ram.host;
    g_assert_nonnull(
        strstr(message, "too little RAM")); /* the kernel's end leaves none for the tree */
    g_assert_cmphex(boot.entry, ==, RIG_RAM + 0x1000);
    arm_boot_reset(&boot, NULL);
    g_assert_cmpmem(ram + 0x1000, 0x100, file + 0x500, 0x100);
    g_assert_cmpmem(ram, 0x80, file + 0x680, 0x80);
    g_assert_cmpmem(ram + MIB(64) - 0x40, 0x40, file + 0x700, 0x40);
    unload(&rig, &boot);

    memset(file + 0x40 + 3 * sizeof segments[0], 0, sizeof segments[0]);
    g_clear_pointer(&message, g_free);
    message = load(&rig, &boot, file, sizeof file, NULL);
    g_assert_cmpstr(message, ==, NULL);
    g_assert_cmphex(boot.kernel_end, ==, RIG_RAM + 0x1100);
    g_assert_cmpmem(rig.machine->ram.host + 0x1000, 0x100, file + 0x500, 0x100);
    unload(&rig, &boot);
    /* Without the entry it cannot start. */
    memset(file + 0x40 + sizeof segments[0], 0, sizeof segments[0]);
    store_le64(file + offsetof(Elf64_Ehdr, e_entry), 0x20);
    expect_failure(file, sizeof file, "too little RAM");
}

/* A program that is linked for flash: its parts go there, and again at each reset; so does its start. */
static void elf_in_flash(void)
{
    enum { FLASH = 0x1000, PROGRAM_BYTES = 0x20 };
    uint8_t file[0x200] = { 0 };
    const Elf64_Ehdr header = {
        .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
        .e_machine = EM_AARCH64,
        .e_phoff = 0x40,
        .e_phnum = 2,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_entry = FLASH + 8,
    };
    const Elf64_Phdr segments[2] = {
        { PT_LOAD, PF_X, 0x100, FLASH, FLASH, PROGRAM_BYTES, PROGRAM_BYTES + 8, 8 },
        { PT_LOAD, PF_W, 0x180, RIG_RAM + 0x1000, RIG_RAM + 0x1000, 8, 0x100, 8 },
    };
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    MemoryRegion flash;
    ArmBoot boot;
    Rig rig;

    memcpy(file, &header, sizeof header);
    memcpy(file + 0x40, segments, sizeof segments);
    memset(file + 0x100, 0x5a, 0x100);
    path = temporary(file, sizeof file);
    rig_open(&rig, NULL, NULL);
    memory_region_remove(&rig.ram);
    machine_map_ram(rig.machine, RIG_RAM, &error);
    memory_region_init_rom(&flash, rig.machine, "flash", 0x1000, NULL, NULL, NULL);
    memory_region_add(rig.machine->system_memory, FLASH, &flash, 0);
    rig.machine->config.kernel = g_strdup(path);
    arm_boot_init(&boot, rig.machine, RIG_RAM);
    g_assert_true(arm_boot_load(&boot, 4096, &error));
    g_assert_no_error(error);
    g_assert_cmphex(boot.entry, ==, FLASH + 8);
    g_assert_cmphex(boot.dtb_address, ==, RIG_RAM);
    for (unsigned i = 0; i < 2; i++) {
        memset(flash.host, 0xff, 0x1000);
        arm_boot_reset(&boot, NULL);
        g_assert_cmpmem(flash.host, PROGRAM_BYTES, file + 0x100, PROGRAM_BYTES);
        g_assert_cmphex(load_le64(flash.host + PROGRAM_BYTES), ==, 0);
        g_assert_cmphex(flash.host[PROGRAM_BYTES + 8], ==, 0xff);
        g_assert_cmpmem(rig.machine->ram.host + 0x1000, 8, file + 0x180, 8);
    }
    memory_region_remove(&flash);
    unlink(path);
    unload(&rig, &boot);
}

/* U-Boot's images: where they say, started where they say, packed or not; an arm64 Image may be inside. */
static GBytes *uimage(const void *data, uint32_t size, uint8_t type, uint8_t compression)
{
    uint8_t *out = g_malloc0(64 + size);

    store_be32(out, 0x27051956);
    store_be32(out + 12, size);
    store_be32(out + 16, RIG_RAM + 0x5000);
    store_be32(out + 20, RIG_RAM + 0x5010);
    store_be32(out + 24, (uint32_t)crc32(0, data, size));
    out[30] = type;
    out[31] = compression;
    memcpy(out + 64, data, size);
    store_be32(out + 4, (uint32_t)crc32(0, out, 64));
    return g_bytes_new_take(out, 64 + size);
}

static void uimages(void)
{
    enum { KERNEL = 2, KERNEL_NOLOAD = 14, GZIP = 1, LZMA = 3, BYTES = 3000 };
    g_autofree uint8_t *image = make_image(BYTES, 0x80000, 0x10000);
    g_autoptr(GBytes) packed = gzip(image, BYTES);
    const struct {
        GBytes *file;
        uint64_t address, entry;
    } files[] = {
        { uimage(image, BYTES, KERNEL, 0), RIG_RAM + 0x5000, RIG_RAM + 0x5010 },
        { uimage(g_bytes_get_data(packed, NULL), (uint32_t)g_bytes_get_size(packed), KERNEL, GZIP),
          RIG_RAM + 0x5000, RIG_RAM + 0x5010 },
        { uimage(image, BYTES, KERNEL_NOLOAD, 0), RIG_RAM + 0x80000, RIG_RAM + 0x80000 },
    };
    g_autoptr(GBytes) other = uimage(image, BYTES, KERNEL, LZMA);
    gsize size;
    g_autofree uint8_t *damaged = g_memdup2(g_bytes_get_data(files[0].file, &size), 64 + BYTES);

    for (unsigned i = 0; i < G_N_ELEMENTS(files); i++) {
        const void *data = g_bytes_get_data(files[i].file, &size);
        ArmBoot boot;
        Rig rig;
        g_autofree char *message = load(&rig, &boot, data, size, NULL);

        g_assert_cmpstr(message, ==, NULL);
        g_assert_cmphex(boot.entry, ==, files[i].entry);
        g_assert_cmphex(boot.kernel_end, ==, files[i].address + 0x10000);
        g_assert_cmpmem(rig.machine->ram.host + (files[i].address - RIG_RAM), BYTES, image, BYTES);
        unload(&rig, &boot);
        g_bytes_unref(files[i].file);
    }
    expect_failure(g_bytes_get_data(other, &size), size, "compression 3");
    damaged[500] ^= 1;
    expect_failure(damaged, 64 + BYTES, "damaged");
    expect_failure(damaged, 100, "truncated");
}

static void device_tree(void)
{
    uint8_t tree[1024];
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL, *kernel = temporary("plain", 5), *initrd = temporary("abc", 3);
    g_autofree void *amended = NULL;
    ArmBoot boot;
    Rig rig;
    int node, length;
    const uint8_t *value;

    g_assert_cmpint(fdt_create_empty_tree(tree, sizeof tree), ==, 0);
    fdt_setprop_u32(tree, 0, "#address-cells", 2);
    fdt_setprop_u32(tree, 0, "#size-cells", 2);
    node = fdt_add_subnode(tree, 0, "memory@0");
    fdt_setprop_string(tree, node, "device_type", "memory");
    path = temporary(tree, sizeof tree);

    rig_open(&rig, NULL, NULL);
    rig.machine->config.kernel = g_steal_pointer(&kernel);
    rig.machine->config.initrd = g_steal_pointer(&initrd);
    rig.machine->config.append = g_strdup("quiet");
    arm_boot_init(&boot, rig.machine, RIG_RAM);
    g_assert_true(arm_boot_load(&boot, 4096, &error));
    g_assert_cmphex(boot.initrd_start, ==, RIG_RAM + MIB(32));
    g_assert_cmphex(boot.initrd_end, ==, RIG_RAM + MIB(32) + 3);
    g_assert_cmphex(boot.dtb_address, ==, RIG_RAM + MIB(34));
    amended = arm_boot_read_dtb(path, 4096, &error);
    g_assert_no_error(error);
    g_assert_true(arm_boot_amend_dtb(&boot, amended, &error));
    g_assert_cmpint(fdt_path_offset(amended, "/memory@0"), <, 0);
    node = fdt_path_offset(amended, "/memory@40000000");
    value = fdt_getprop(amended, node, "reg", &length);
    g_assert_cmpint(length, ==, 16);
    g_assert_cmphex(load_be64(value), ==, RIG_RAM);
    g_assert_cmphex(load_be64(value + 8), ==, MIB(64));
    node = fdt_path_offset(amended, "/chosen");
    g_assert_cmpstr(fdt_getprop(amended, node, "bootargs", NULL), ==, "quiet");
    value = fdt_getprop(amended, node, "linux,initrd-end", NULL);
    g_assert_cmphex(load_be64(value), ==, boot.initrd_end);
    unlink(rig.machine->config.kernel);
    unlink(rig.machine->config.initrd);
    unload(&rig, &boot);

    g_file_set_contents(path, (const char *)tree, 60, NULL);
    g_assert_null(arm_boot_read_dtb(path, 4096, &error));
    g_assert_nonnull(strstr(error->message, "not a valid blob"));
    unlink(path);
}

void test_boot_loader(void)
{
    g_test_add_func("/boot/formats", formats);
    g_test_add_func("/boot/sizes", sizes);
    g_test_add_func("/boot/elf", elf);
    g_test_add_func("/boot/elf-outside", elf_outside);
    g_test_add_func("/boot/elf-in-flash", elf_in_flash);
    g_test_add_func("/boot/uimages", uimages);
    g_test_add_func("/boot/device-tree", device_tree);
}
