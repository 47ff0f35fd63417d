/* SPDX-License-Identifier: MIT */
/* What the guest does to the clock that it sets; see the header. */
#include "machine/rtc.h"

#include <inttypes.h>

#include "machine/machine.h"

void rtc_changed(Device *device, int64_t ahead_s)
{
    g_autofree char *path = device_user_path(device);

    machine_event_soon(
        device->machine, "RTC_CHANGE",
        g_strdup_printf("{\"offset\": %" PRId64 ", \"qom-path\": \"%s\"}", ahead_s, path));
}
