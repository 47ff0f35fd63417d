/* SPDX-License-Identifier: MIT */
/*
 * Character back end "testdev": what a test in the guest writes are commands, a number before a letter. "q" ends the
 * program with the status number << 1 | 1, as kvm-unit-tests ends.
 */
#include "machine/chardev.h"
#include "machine/machine.h"

typedef struct {
    Chardev chardev;
    uint32_t number;
} TestdevChardev;

static bool testdev_open(Chardev *chardev, GError **error)
{
    chardev->open = true;
    return true;
}

static size_t testdev_write(Chardev *chardev, const uint8_t *data, size_t size)
{
    TestdevChardev *testdev = (TestdevChardev *)chardev;

    for (size_t i = 0; i < size; i++) {
        if (g_ascii_isdigit(data[i])) {
            testdev->number = testdev->number * 10 + (data[i] - '0');
        } else if (data[i] == 'q') {
            machine_request_end(chardev->machine, STOP_GUEST_POWEROFF, NULL,
                                (int)((testdev->number << 1 | 1) & 0xff));
        } else if (!g_ascii_isspace(data[i])) {
            testdev->number = 0;
        }
    }
    return size;
}

static const ChardevType testdev_type = {
    .name = "testdev",
    .summary = "Takes commands from a test in the guest",
    .instance_size = sizeof(TestdevChardev),
    .open = testdev_open,
    .write = testdev_write,
};
CHARDEV_TYPE(testdev_type);
