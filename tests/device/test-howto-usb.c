/* SPDX-License-Identifier: MIT */
/* The example of docs/howto/add-a-usb-device.md at work. */
#include "base/bits.h"
#include "tests/device/usb-bench.h"

static void test_summer(void)
{
    uint8_t bytes[100], sum[8];
    uint32_t moved;
    Bench *bench;
    UsbDevice *usb = usb_bench_open(&bench, "usb-summer", "serial", "S1");

    memset(bytes, 3, sizeof bytes);
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_OUT, 2, bytes, 64, NULL), ==, USB_STALL);
    usb_bench_configure(usb);
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_IN, 1, sum, 4, NULL), ==, USB_NAK);
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_OUT, 2, bytes, sizeof bytes, NULL), ==, USB_DONE);
    g_assert_cmpuint(usb_bench_host->ready, ==, 1);
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_IN, 1, sum, sizeof sum, &moved), ==, USB_DONE);
    g_assert_cmpuint(moved, ==, 4);
    g_assert_cmpuint(load_le32(sum), ==, 300);
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_IN, 1, sum, 4, NULL), ==, USB_NAK);
    g_assert_cmpint(usb_bench_control(usb, 0x40, 1, 0, 0, NULL, 0), ==, 0);
    g_assert_cmpint(usb_bench_control(usb, 0x40, 2, 0, 0, NULL, 0), ==, -1);
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_OUT, 2, bytes, 1, NULL), ==, USB_DONE);
    g_assert_cmpint(usb_bench_send(usb, USB_TOKEN_IN, 1, sum, 2, &moved), ==, USB_DONE);
    g_assert_cmpuint(sum[0], ==, 3);
    bench_free(bench);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/howto/usb", test_summer);
    return g_test_run();
}
