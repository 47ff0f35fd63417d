/* SPDX-License-Identifier: MIT */
/* The devices of the ARM boards, one group of tests each. */
#include "tests/device/rig.h"

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_gicv2();
    test_gicv3();
    test_pl011();
    test_small_devices();
    test_fw_cfg();
    test_flash();
    test_boot_loader();
    test_virt();
    return g_test_run();
}
