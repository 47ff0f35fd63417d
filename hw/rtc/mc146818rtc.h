/* SPDX-License-Identifier: MIT */
/* What a board puts into the battery-backed memory of its clock. */
#ifndef HW_RTC_MC146818RTC_H
#define HW_RTC_MC146818RTC_H

#include "machine/device.h"

enum { MC146818RTC_CMOS_BYTES = 128, MC146818RTC_CENTURY = 0x32, MC146818RTC_CENTURY_PS2 = 0x37 };

/* Index from 0x0e on; the clock's own registers are below. The bytes survive resets, as the guest leaves them. */
void mc146818rtc_set_cmos(Device *device, unsigned index, uint8_t value);
uint8_t mc146818rtc_get_cmos(Device *device, unsigned index);

#endif
