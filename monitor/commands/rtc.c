/* SPDX-License-Identifier: MIT */
/* rtc-reset-reinjection: a guest whose clock was set from outside is not to catch up as well. */
#include "machine/device.h"
#include "monitor/command.h"

static void drop_ticks(Device *device, void *opaque)
{
    if (device->type->drop_ticks) {
        device->type->drop_ticks(device);
    }
}

static json_t *reset_run(Monitor *monitor, json_t *arguments, GError **error)
{
    device_foreach(monitor_machine(monitor)->root, drop_ticks, NULL);
    return NULL;
}

static const MonitorCommand reset_command = {
    .name = "rtc-reset-reinjection",
    .summary = "drops the timer interrupts that the guest is still to catch up with",
    .run = reset_run,
};
MONITOR_COMMAND(reset_command);
