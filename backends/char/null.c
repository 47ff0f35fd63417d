/* SPDX-License-Identifier: MIT */
/* Character back end "null": output vanishes, input never comes. */
#include "machine/chardev.h"

static bool null_open(Chardev *chardev, GError **error)
{
    chardev->open = true;
    return true;
}

static size_t null_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    return size;
}

static const ChardevType null_type = {
    .name = "null",
    .summary = "Output vanishes, input never comes",
    .instance_size = sizeof(Chardev),
    .open = null_open,
    .write = null_write,
};
CHARDEV_TYPE(null_type);
