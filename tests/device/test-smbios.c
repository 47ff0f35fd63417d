/* SPDX-License-Identifier: MIT */
/* SMBIOS: the ordinary tables, every option, files, and what is refused. */
#include <glib/gstdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "hw/acpi/smbios.h"

static SmbiosConfig ordinary(const GPtrArray *options)
{
    return (SmbiosConfig){ .manufacturer = "QEMU",
                           .product = "Standard PC (i440FX + PIIX, 1996)",
                           .version = "pc-i440fx-11.1",
                           .cpu_id = { 0x60fb1, 0x178bfbfd },
                           .sockets = 1,
                           .cores = 2,
                           .threads = 1,
                           .ram_below_4g = GIB(3),
                           .ram_above_4g = GIB(2),
                           .options = options };
}

/* Walks the structures; the n-th of a type, or NULL. */
static const uint8_t *find(GBytes *tables, uint8_t type, unsigned n)
{
    gsize size;
    const uint8_t *at = g_bytes_get_data(tables, &size), *last = at + size;

    while (at < last) {
        const uint8_t *end = at + at[1];

        g_assert_true(end + 2 <= last);
        if (at[0] == type && n-- == 0) {
            return at;
        }
        while (end[0] || end[1]) {
            end++;
            g_assert_true(end + 2 <= last);
        }
        at = end + 2;
    }
    return NULL;
}

static const char *string_at(const uint8_t *s, unsigned offset)
{
    const char *text = (const char *)s + s[1];

    if (!s[offset]) {
        return "";
    }
    for (unsigned n = 1; n < s[offset]; n++) {
        text += strlen(text) + 1;
    }
    return text;
}

static GBytes *build(const SmbiosConfig *config, GBytes **anchor)
{
    g_autoptr(GError) error = NULL;
    GBytes *tables = NULL;

    smbios_build(config, &tables, anchor, &error);
    g_assert_no_error(error);
    return tables;
}

static void test_ordinary(void)
{
    SmbiosConfig config = ordinary(NULL);
    g_autoptr(GBytes) anchor = NULL, tables = build(&config, &anchor);
    const uint8_t *a = g_bytes_get_data(anchor, NULL), *s;

    g_assert_cmpuint(g_bytes_get_size(anchor), ==, 31);
    g_assert_cmpmem(a, 4, "_SM_", 4);
    g_assert_cmpuint(load_le16(a + 0x16), ==, g_bytes_get_size(tables));
    g_assert_cmpuint(load_le16(a + 0x1c), ==, 9);
    g_assert_null(find(tables, 0, 0));
    s = find(tables, 1, 0);
    g_assert_cmpstr(string_at(s, 5), ==, config.product);
    g_assert_cmpstr(string_at(s, 6), ==, config.version);
    s = find(tables, 4, 0);
    g_assert_cmpuint(s[1], ==, 42);
    g_assert_cmphex(load_le32(s + 8), ==, 0x60fb1);
    g_assert_cmphex(s[6], ==, 0xfe);
    g_assert_cmphex(load_le16(s + 0x28), ==, 1);
    g_assert_cmpuint(s[0x23], ==, 2);
    g_assert_cmpuint(load_le32(find(tables, 16, 0) + 7), ==, 5 << 20);
    g_assert_cmpuint(load_le16(find(tables, 17, 0) + 0xc), ==, 5 << 10);
    g_assert_cmpuint(load_le32(find(tables, 19, 0) + 8), ==, (3 << 20) - 1);
    g_assert_cmpuint(load_le32(find(tables, 19, 1) + 4), ==, 4 << 20);
    g_assert_nonnull(find(tables, 32, 0));
    g_assert_nonnull(find(tables, 127, 0));
}

static void test_large(void)
{
    SmbiosConfig config = ordinary(NULL);
    g_autoptr(GBytes) anchor = NULL, tables = NULL;
    const uint8_t *s;

    config.v3 = true;
    config.sockets = 3;
    config.cores = 300;
    config.ram_above_4g = GIB(5000);
    tables = build(&config, &anchor);
    g_assert_cmpuint(g_bytes_get_size(anchor), ==, 24);
    g_assert_cmpmem(g_bytes_get_data(anchor, NULL), 5, "_SM3_", 5);
    g_assert_cmpuint(load_le16(find(tables, 4, 2) + 0x2a), ==, 300);
    g_assert_cmphex(load_le32(find(tables, 16, 0) + 7), ==, 0x80000000);
    g_assert_cmpuint(load_le64(find(tables, 16, 0) + 0xf), ==, GIB(5003));
    s = find(tables, 17, 0);
    g_assert_cmphex(load_le16(s + 0xc), ==, 0x7fff);
    g_assert_cmpuint(load_le32(s + 0x1c), ==, 5003 << 10);
    g_assert_null(find(tables, 17, 1));
    g_assert_cmphex(load_le32(find(tables, 19, 1) + 4), ==, UINT32_MAX);
    g_assert_cmpuint(load_le64(find(tables, 19, 1) + 0x17), ==, GIB(5004) - 1);
    g_clear_pointer(&tables, g_bytes_unref);
    g_clear_pointer(&anchor, g_bytes_unref);
    config.dimm_most = GIB(16);
    tables = build(&config, &anchor);
    g_assert_nonnull(find(tables, 17, 312));
}

static void test_options(void)
{
    static const char *const texts[] = {
        "type=0,vendor=V,version=1.0,date=01/02/2003,release=4.5,uefi=on",
        ("type=1,manufacturer=Maker,product=Product,serial=1234,"
         "uuid=00112233-4455-6677-8899-aabbccddeeff,family=VM"),
        "type=1,serial=5678",
        "type=2,manufacturer=Board,asset=A",
        "type=3,sku=S",
        "type=4,sock_pfx=Socket,max-speed=3000,processor-id=0x1122334455667788",
        "type=8,internal_reference=I,external_reference=E,connector_type=5,port_type=2",
        "type=8,internal_reference=J",
        "type=11,value=one,value=two,,three",
        "type=11,value=four",
        "type=17,loc_pfx=Slot,speed=3200,part=P",
        "type=9,slot_designation=P,slot_type=0xaa,slot_id=0x105,slot_characteristics2=7",
        "type=41,designation=net,kind=ethernet,instance=3",
        "type=41",
    };
    g_autoptr(GPtrArray) options = g_ptr_array_new();
    SmbiosConfig config = ordinary(options);
    g_autoptr(GBytes) anchor = NULL, tables = NULL;
    const uint8_t *s;

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_ptr_array_add(options, (void *)texts[i]);
    }
    tables = build(&config, &anchor);
    s = find(tables, 0, 0);
    g_assert_cmpstr(string_at(s, 4), ==, "V");
    g_assert_cmpuint(s[0x14], ==, 4);
    g_assert_cmpuint(s[0x15], ==, 5);
    g_assert_cmphex(s[0x13] & 8, ==, 8);
    s = find(tables, 1, 0);
    g_assert_cmpstr(string_at(s, 4), ==, "Maker");
    g_assert_cmpstr(string_at(s, 6), ==, "pc-i440fx-11.1");
    g_assert_cmpstr(string_at(s, 7), ==, "5678");
    g_assert_cmpmem(s + 8, 16, "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff",
                    16);
    g_assert_cmpstr(string_at(find(tables, 2, 0), 8), ==, "A");
    g_assert_cmpstr(string_at(find(tables, 3, 0), 0x15), ==, "S");
    s = find(tables, 4, 0);
    g_assert_cmpstr(string_at(s, 4), ==, "Socket 0");
    g_assert_cmpuint(load_le16(s + 0x14), ==, 3000);
    g_assert_cmphex(load_le64(s + 8), ==, UINT64_C(0x1122334455667788));
    g_assert_cmpstr(string_at(find(tables, 8, 0), 6), ==, "E");
    g_assert_cmpstr(string_at(find(tables, 8, 1), 4), ==, "J");
    s = find(tables, 11, 0);
    g_assert_cmpuint(s[4], ==, 3);
    g_assert_nonnull(strstr((const char *)s + 5 + 4, "two,three"));
    s = find(tables, 17, 0);
    g_assert_cmpstr(string_at(s, 0x10), ==, "Slot 0");
    g_assert_cmpuint(load_le16(s + 0x15), ==, 3200);
    g_assert_cmpuint(load_le16(s + 0x20), ==, 3200);
    g_assert_cmpmem(find(tables, 9, 0), 17,
                    "\x09\x11\x00\x09\x01\xaa\x00\x00\x00\x05\x01\x00\x07\xff\x00\xff\xff", 17);
    g_assert_cmpmem(find(tables, 41, 0), 11, "\x29\x0b\x00\x29\x01\x85\x03\x00\x00\x00\x00", 11);
    g_assert_cmpmem(find(tables, 41, 1), 11, "\x29\x0b\x01\x29\x00\x81\x01\x00\x00\x00\x00", 11);
}

static void check_refused(const char *option, const char *words)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(smbios_check_option(option, &error));
    g_assert_nonnull(strstr(error->message, words));
}

static void test_refused(void)
{
    check_refused("vendor=x", "give type=N");
    check_refused("type=5", "the types 0, 1, 2");
    check_refused("type=1,colour=red", "no field 'colour'");
    check_refused("type=1,uuid=12", "uuid");
    check_refused("type=0,release=4", "MAJOR.MINOR");
    check_refused("type=4,max-speed=70000", "max-speed");
    check_refused("type=41,kind=5", "kind");
}

static void check_file(const void *data, size_t size, const char *words)
{
    g_autofree char *path = NULL, *option = NULL;
    g_autoptr(GPtrArray) options = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) tables = NULL, anchor = NULL;
    SmbiosConfig config = ordinary(options);
    int fd = g_file_open_tmp("smbios-XXXXXX", &path, NULL);

    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(path, data, (gssize)size, NULL));
    option = g_strdup_printf("file=%s", path);
    g_ptr_array_add(options, option);
    if (words) {
        g_assert_false(smbios_build(&config, &tables, &anchor, &error));
        g_assert_nonnull(strstr(error->message, words));
    } else {
        smbios_build(&config, &tables, &anchor, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(string_at(find(tables, 1, 0), 4), ==, "own");
        g_assert_null(find(tables, 1, 1));
        g_clear_pointer(&tables, g_bytes_unref);
        g_ptr_array_add(options, (void *)"type=1,serial=1");
        g_assert_false(smbios_build(&config, &tables, &anchor, &error));
    }
    g_remove(path);
}

static void test_files(void)
{
    static const uint8_t good[] = { 1, 5, 0, 1, 1, 'o', 'w', 'n', 0, 0, 200, 4, 1, 2, 0, 0 };

    check_file(good, sizeof good, NULL);
    check_file(good, sizeof good - 1, "no SMBIOS structure");
    check_file(good, 9, "do not end");
    check_file(good, 12, "no SMBIOS structure");
    check_file("\1\3\0\0\0\0", 6, "no SMBIOS structure");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/smbios/ordinary", test_ordinary);
    g_test_add_func("/smbios/large", test_large);
    g_test_add_func("/smbios/options", test_options);
    g_test_add_func("/smbios/refused", test_refused);
    g_test_add_func("/smbios/files", test_files);
    return g_test_run();
}
