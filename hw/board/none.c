/* SPDX-License-Identifier: MIT */
/*
 * Board "none": no CPU, no memory, no device. For programs that only want to ask the monitor what
 * there is, and for tests of what needs no guest.
 */
#include "machine/board.h"
#include "machine/machine.h"

static bool none_build(Machine *machine, void *board, GError **error)
{
    return true;
}

static const Property none_properties[] = {
    { "dt-compatible", PROPERTY_NOT_YET, 0, "a device tree of this machine" },
    { "dumpdtb", PROPERTY_NOT_YET, 0, "a device tree of this machine" },
    { "phandle-start", PROPERTY_NOT_YET, 0, "a device tree of this machine" },
    { 0 },
};

static const char *const none_targets[] = { "aarch64", "arm", "x86_64", "i386", NULL };

static const Board none_board = {
    .name = "none",
    .summary = "Empty machine",
    .targets = none_targets,
    .max_ram_bytes = UINT64_MAX,
    .max_vcpus = 1,
    .instance_size = sizeof(Device),
    .properties = none_properties,
    .build = none_build,
};
BOARD_TYPE(none_board);
