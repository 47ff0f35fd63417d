/* SPDX-License-Identifier: MIT */
/* What the guest does to the clock that it sets, for those who keep it. */
#ifndef MACHINE_RTC_H
#define MACHINE_RTC_H

#include "machine/device.h"

/* The guest has set the date so many seconds ahead of what -rtc says: RTC_CHANGE. [any thread] */
void rtc_changed(Device *device, int64_t ahead_s);

#endif
