/* SPDX-License-Identifier: MIT */
/* Errors, suggestions, log items and filters. */
#include <glib.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"
#include "base/names.h"

static void test_error(void)
{
    GError *error = NULL;

    g_assert_false(error_fail(&error, KASO_ERROR_INVALID, "bad %d", 7));
    g_assert_error(error, KASO_ERROR, KASO_ERROR_INVALID);
    g_assert_cmpstr(error->message, ==, "bad 7");
    g_clear_error(&error);
    g_assert_false(error_fail_errno(&error, 2, "cannot open '%s'", "x"));
    g_assert_cmpstr(error->message, ==, "cannot open 'x': No such file or directory");
    g_clear_error(&error);
    g_assert_false(error_fail(NULL, KASO_ERROR_INVALID, "nobody asks"));
}

static void test_nearest(void)
{
    static const char *const names[] = { "virtio-blk-pci", "virtio-net-pci", "pl011", "cortex-a53",
                                         NULL };

    g_assert_cmpstr(error_nearest("virtio-blk", names), ==, "virtio-blk-pci");
    g_assert_cmpstr(error_nearest("pl001", names), ==, "pl011");
    g_assert_cmpstr(error_nearest("cotrex-a53", names), ==, "cortex-a53");
    g_assert_cmpstr(error_nearest("CORTEX-A53", names), ==, "cortex-a53");
    g_assert_null(error_nearest("floppy", names));
    g_assert_null(error_nearest("", names));
}

static void test_names(void)
{
    static const NotYet not_yet[] = { { "ide scsi-* floppy", "use virtio" }, { "sd" }, { 0 } };
    static const NameKind kind = { "interface", "-drive help", not_yet };
    static const char *const names[] = { "virtio", "pflash", NULL };
    static const struct {
        const char *name, *message;
    } cases[] = {
        { "ide", "not yet: interface 'ide' is not built; use virtio" },
        { "scsi-hd", "not yet: interface 'scsi-hd' is not built; use virtio" },
        { "sd", "not yet: interface 'sd' is not built" },
        { "flopp", "there is no interface 'flopp' (-drive help lists them)" },
        { "virito",
          "there is no interface 'virito'; did you mean 'virtio'? (-drive help lists them)" },
        { "", "there is no interface '' (-drive help lists them)" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(names_fail(&kind, cases[i].name, names, &error));
        g_assert_cmpstr(error->message, ==, cases[i].message);
    }
    g_assert_null(not_yet_find(not_yet, "scsi"));
    g_assert_cmpstr(plural(1), ==, "");
    g_assert_cmpstr(plural(0), ==, "s");
}

static void test_log(void)
{
    GError *error = NULL;

    g_assert_true(log_set_items("int,guest_errors", &error));
    g_assert_cmphex(log_mask, ==, LOG_INT | LOG_GUEST_ERRORS);
    g_assert_true(log_set_items("all,-int", &error));
    g_assert_false(log_enabled(LOG_INT));
    g_assert_true(log_enabled(LOG_MMU));
    g_assert_false(log_set_items("guest_error", &error));
    g_assert_nonnull(strstr(error->message, "guest_errors"));
    g_clear_error(&error);
    g_assert_true(log_set_items("none", &error));
    g_assert_cmphex(log_mask, ==, 0);

    g_assert_true(log_address_wanted(5));
    g_assert_true(log_set_address_filter("0x1000..0x1fff,0x3000+0x10,0x5000-0x10", &error));
    g_assert_true(log_address_wanted(0x1fff));
    g_assert_false(log_address_wanted(0x2000));
    g_assert_true(log_address_wanted(0x300f));
    g_assert_false(log_address_wanted(0x3010));
    g_assert_true(log_address_wanted(0x4ff0));
    g_assert_false(log_set_address_filter("12", &error));
    g_clear_error(&error);

    g_assert_true(log_set_trace("pl011*,gic", &error));
    g_assert_true(log_trace_wanted("pl011.UARTDR"));
    g_assert_false(log_trace_wanted("pl031"));
    g_assert_true(log_enabled(LOG_TRACE));
}

static void test_bits(void)
{
    uint8_t bytes[8];

    g_assert_cmphex(bits_extract(0xabcd, 4, 8), ==, 0xbc);
    g_assert_cmphex(bits_deposit(0, 60, 4, 0x1f), ==, 0xf000000000000000);
    g_assert_cmpint(bits_sign_extend(0x80, 8), ==, -128);
    store_be32(bytes, 0x12345678);
    g_assert_cmphex(bytes[0], ==, 0x12);
    g_assert_cmphex(load_le32(bytes), ==, 0x78563412);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/error", test_error);
    g_test_add_func("/base/nearest", test_nearest);
    g_test_add_func("/base/names", test_names);
    g_test_add_func("/base/log", test_log);
    g_test_add_func("/base/bits", test_bits);
    return g_test_run();
}
