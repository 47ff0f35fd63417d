/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables: the loader's commands, carried out as firmware does, give tables with right checksums and pointers; and, where
 * iasl is installed (argument), its disassembly of each assembles again without error, warning or remark, to the same bytes.
 */
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "hw/acpi/acpi.h"
#include "hw/acpi/aml.h"

enum { GUID_BASE = 0x3ffd0000, BASE = 0x3ffe0000, RSDP_BASE = 0xf5000, COMMAND = 128, NAME = 56 };

static const char *iasl;

static AcpiPc ordinary(void)
{
    return (AcpiPc){
        .cpus = 4,
        .layout = { .cores = 2, .threads = 2 },
        .io_apic = true,
        .hpet = true,
        .floppy = true,
        .keyboard = true,
        .fw_cfg_dma = true,
        .vmgenid = true,
        .floppies = 1,
        .pm_suspend = true,
        .pm_hibernate = true,
        .serial = { 0x3f8, 0x2f8 },
        .parallel = 0x378,
        .pvpanic = 0x505,
        .smi_port = 0xb2,
        .pm_base = 0x600,
        .gpe0 = 0xafe0,
        .gpe0_bytes = 4,
        .fw_cfg = 0x510,
        .pci_hotplug = 0xae00,
        .fixed_slots = 7,
        .hole_first = 0xc0000000,
        .hole_last = 0xfebfffff,
        .hole64_first = UINT64_C(0x180000000),
        .hole64_last = UINT64_C(0x97fffffff),
    };
}

/* NULL: a file that is not among AcpiFiles. */
static GByteArray *file_of(AcpiFiles *files, const uint8_t *name, uint32_t *base)
{
    bool rsdp = strcmp((const char *)name, ACPI_RSDP_FILE) == 0;

    if (strcmp((const char *)name, VMGENID_GUID_FILE) == 0 ||
        strcmp((const char *)name, VMGENID_ADDRESS_FILE) == 0) {
        *base = GUID_BASE;
        return NULL;
    }
    g_assert_true(rsdp || strcmp((const char *)name, ACPI_TABLES_FILE) == 0);
    *base = rsdp ? RSDP_BASE : BASE;
    return rsdp ? files->rsdp : files->tables;
}

/* As firmware does: places the files, adds addresses, then sets checksums. */
static void load(AcpiFiles *files)
{
    /* Sizes do not tell what is there; zeros after the commands are none. */
    g_assert_cmpuint(files->loader->len % 4096, ==, 0);
    g_assert_cmpuint(files->tables->len % 65536, ==, 0);
    for (unsigned at = 0; at < files->loader->len && load_le32(files->loader->data + at);
         at += COMMAND) {
        const uint8_t *c = files->loader->data + at;
        uint32_t base, target;
        GByteArray *file = file_of(files, c + 4, &base);

        if (load_le32(c) == 1) {
            g_assert_cmpuint(load_le32(c + 4 + NAME), >=, 16);
            g_assert_cmpuint(c[4 + NAME + 4], ==, file == files->rsdp ? 2 : 1);
        } else if (load_le32(c) == 2) {
            uint8_t *place = file->data + load_le32(c + 4 + 2 * NAME);

            file_of(files, c + 4 + NAME, &target);
            g_assert_cmpuint(c[4 + 2 * NAME + 4], ==, 4);
            g_assert_cmpuint(load_le32(place), <, files->tables->len);
            store_le32(place, load_le32(place) + target);
        } else if (load_le32(c) == 4) {
            g_assert_cmpstr((const char *)c + 4, ==, VMGENID_ADDRESS_FILE);
            g_assert_cmpstr((const char *)c + 4 + NAME, ==, VMGENID_GUID_FILE);
            g_assert_cmpuint(load_le32(c + 4 + 2 * NAME), ==, 0);
            g_assert_cmpuint(load_le32(c + 8 + 2 * NAME), ==, VMGENID_OFFSET);
            g_assert_cmpuint(c[12 + 2 * NAME], ==, 8);
        } else {
            uint32_t place = load_le32(c + 4 + NAME), start = load_le32(c + 8 + NAME);
            uint8_t sum = 0;

            g_assert_cmpuint(load_le32(c), ==, 3);
            for (uint32_t i = 0; i < load_le32(c + 12 + NAME); i++) {
                sum += file->data[start + i];
            }
            file->data[place] -= sum;
        }
    }
}

static void check_sum(const uint8_t *data, size_t length)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < length; i++) {
        sum += data[i];
    }
    g_assert_cmpuint(sum, ==, 0);
}

static const uint8_t *at_address(const AcpiFiles *files, uint32_t address)
{
    g_assert_cmpuint(address - BASE, <, files->tables->len);
    return files->tables->data + (address - BASE);
}

static void run_iasl(const char *folder, const char *file, GString *output)
{
    const char *disassemble[] = { iasl, "-d", file, NULL };
    g_autofree char *source = g_strdup_printf("%.4s.dsl", file);
    const char *assemble[] = { iasl, "-we", "-oa", "-p", "again", source, NULL };
    g_autofree char *out1 = NULL, *err1 = NULL, *out2 = NULL, *err2 = NULL;
    int status;

    g_assert_true(g_spawn_sync(folder, (char **)disassemble, NULL, 0, NULL, NULL, &out1, &err1,
                               &status, NULL));
    g_assert_cmpint(status, ==, 0);
    g_assert_true(
        g_spawn_sync(folder, (char **)assemble, NULL, 0, NULL, NULL, &out2, &err2, &status, NULL));
    g_string_printf(output, "%s%s%s%s", out1, err1, out2, err2);
}

static void check_table(const uint8_t *table)
{
    g_autofree char *folder = g_dir_make_tmp("acpi-XXXXXX", NULL);
    g_autofree char *name = g_strdup_printf("%.4s.aml", (const char *)table);
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *again = g_build_filename(folder, "again.aml", NULL), *bytes = NULL;
    g_autoptr(GString) output = g_string_new(NULL);
    const char *remove[] = { "rm", "-rf", folder, NULL };
    uint32_t length = load_le32(table + 4);
    gsize size;

    if (!iasl) {
        return;
    }
    g_assert_true(g_file_set_contents(path, (const char *)table, length, NULL));
    run_iasl(folder, name, output);
    if (memcmp(table, "DSDT", 4) == 0) {
        if (!strstr(output->str, "0 Errors, 0 Warnings, 0 Remarks")) {
            g_error("%s", output->str);
        }
    } else if (strstr(output->str, "Error  ") || strstr(output->str, "Warning ")) {
        g_error("%s", output->str);
    }
    g_assert_true(g_file_get_contents(again, &bytes, &size, NULL));
    /* The assembler is free to encode as it likes, but what it makes has the same size. */
    g_assert_cmpuint(size, ==, length);
    g_spawn_sync(NULL, (char **)remove, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL,
                 NULL);
}

/* Names of the tables that were found, in order. */
static char *check_all(const AcpiPc *pc)
{
    AcpiFiles files;
    GString *names = g_string_new(NULL);
    const uint8_t *rsdt;

    acpi_build_pc(&files, pc);
    load(&files);
    check_sum(files.rsdp->data, files.rsdp->len);
    g_assert_cmpmem(files.rsdp->data, 8, "RSD PTR ", 8);
    rsdt = at_address(&files, load_le32(files.rsdp->data + 16));
    check_sum(rsdt, load_le32(rsdt + 4));
    for (uint32_t at = 36; at < load_le32(rsdt + 4); at += 4) {
        const uint8_t *table = at_address(&files, load_le32(rsdt + at));
        uint32_t length = load_le32(table + 4);

        check_sum(table, length);
        check_table(table);
        g_string_append_printf(names, "%.4s %u ", (const char *)table, length);
        if (memcmp(table, "FACP", 4) == 0) {
            const uint8_t *dsdt = at_address(&files, load_le32(table + 40));

            g_assert_cmpmem(at_address(&files, load_le32(table + 36)), 4, "FACS", 4);
            g_assert_cmpuint(load_le32(table + 36) % 64, ==, 0);
            g_assert_cmpmem(dsdt, 4, "DSDT", 4);
            check_sum(dsdt, load_le32(dsdt + 4));
            check_table(dsdt);
        }
    }
    acpi_free(&files);
    return g_string_free(names, FALSE);
}

static void test_pc(void)
{
    AcpiPc pc = ordinary();
    g_autofree char *names = check_all(&pc);

    /* As long as QEMU's are, but for the last. */
    g_assert_cmpstr(names, ==, "FACP 116 APIC 144 HPET 56 WAET 40 SSDT 192 ");
}

/* With as little as can be, many processors, and everything away that can be away. */
static void test_variants(void)
{
    AcpiPc small = {
        .cpus = 1, .pm_base = 0x600, .hole_first = 0x80000000, .hole_last = 0xfebfffff
    };
    AcpiPc large = ordinary();
    g_autofree char *names = check_all(&small), *more = NULL;

    g_assert_cmpstr(names, ==, "FACP 116 APIC 58 WAET 40 ");
    large.cpus = 255;
    large.layout = (X86Layout){ .cores = 3 }; /* ids beyond 255 */
    large.fixed_slots = UINT32_MAX;
    more = check_all(&large);
    g_assert_nonnull(strstr(more, "APIC"));
}

/* Lengths around what one, two and three bytes hold. */
static void test_lengths(void)
{
    static const unsigned sizes[] = { 0,    1,    50,   55,   56,   57,   58,   59,   60,
                                      61,   62,   63,   64,   4080, 4087, 4088, 4089, 4090,
                                      4091, 4092, 4093, 4094, 4095, 4096, 5000, 66000 };

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        g_autofree uint8_t *data = g_malloc0(sizes[i] + 1);
        size_t block = aml_scope(out, "\\_SB"), length, bytes;
        size_t start = block;

        g_byte_array_append(out, data, sizes[i]);
        aml_end(out, block);
        bytes = 1 + (out->data[start] >> 6);
        length = bytes == 1 ? out->data[start] & 63 : out->data[start] & 15;
        for (size_t n = 1; n < bytes; n++) {
            length |= (size_t)out->data[start + n] << (8 * n - 4);
        }
        g_assert_cmpuint(length, ==, out->len - start);
    }
}

static GBytes *given(const char *format, const char *path)
{
    g_autofree char *option = g_strdup_printf(format, path);
    g_autoptr(GError) error = NULL;
    GBytes *table = acpi_given_table(option, &error);

    g_assert_no_error(error);
    return table;
}

/* What the user adds is whole, listed, and a licence's names are those of the RSDT and the FADT. */
static void test_given(void)
{
    g_autoptr(GPtrArray) tables = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_autofree char *folder = g_dir_make_tmp("acpi-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "body", NULL);
    AcpiPc pc = ordinary();
    const uint8_t *table, *rsdt, *fadt, *madt;
    AcpiFiles files;
    size_t size;

    g_assert_true(g_file_set_contents(path, "0123456789", 10, NULL));
    g_ptr_array_add(tables, given("sig=OEMX,rev=3,oem_id=ABCDEFGH,oem_rev=0x1234,data=%s", path));
    table = g_bytes_get_data(tables->pdata[0], &size);
    g_assert_cmpuint(size, ==, 46);
    g_assert_cmpmem(table, 4, "OEMX", 4);
    g_assert_cmpuint(table[8], ==, 3);
    g_assert_cmpmem(table + 10, 14, "ABCDEFQEMUQEMU", 14);
    g_assert_cmpuint(load_le32(table + 24), ==, 0x1234);
    check_sum(table, size);
    /* The same from its file, under another name. */
    g_assert_true(g_file_set_contents(path, (const char *)table, (gssize)size, NULL));
    g_ptr_array_add(tables, given("sig=SLIC,oem_table_id=LICENCES,file=%s", path));
    table = g_bytes_get_data(tables->pdata[1], &size);
    g_assert_cmpuint(size, ==, 46);
    check_sum(table, size);
    pc.given = tables;
    acpi_build_pc(&files, &pc);
    load(&files);
    rsdt = at_address(&files, load_le32(files.rsdp->data + 16));
    fadt = at_address(&files, load_le32(rsdt + 36));
    madt = at_address(&files, load_le32(rsdt + 40));
    size = load_le32(rsdt + 4);
    g_assert_cmpmem(at_address(&files, load_le32(rsdt + size - 4)), 4, "SLIC", 4);
    g_assert_cmpmem(at_address(&files, load_le32(rsdt + size - 8)), 4, "OEMX", 4);
    g_assert_cmpmem(rsdt + 10, 14, "ABCDEFLICENCES", 14);
    g_assert_cmpmem(fadt + 10, 14, "ABCDEFLICENCES", 14);
    g_assert_cmpmem(madt + 10, 14, "BOCHS BXPC    ", 14);
    acpi_free(&files);
    g_unlink(path);
    g_rmdir(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    iasl = argv[1];
    g_test_add_func("/acpi/pc", test_pc);
    g_test_add_func("/acpi/variants", test_variants);
    g_test_add_func("/acpi/lengths", test_lengths);
    g_test_add_func("/acpi/given", test_given);
    return g_test_run();
}
