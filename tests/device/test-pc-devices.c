/* SPDX-License-Identifier: MIT */
/* The classic devices of a PC. */
#include "tests/device/pc-rig.h"

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    test_pc_interrupts();
    test_pc_timers();
    test_pc_dma();
    test_pc_input();
    return g_test_run();
}
