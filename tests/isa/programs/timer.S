/* SPDX-License-Identifier: MIT */
/* Who has read that a timer's condition is met finds its interrupt there. */
#include "common.inc"

        BEGIN
        mov     x19, #100
1:      mrs     x0, cntvct_el0
        mov     x1, #6250
        add     x0, x0, x1
        msr     cntv_cval_el0, x0
        mov     x0, #1
        msr     cntv_ctl_el0, x0
        mov     x24, #0
        adr     x23, 4f
        isb
        msr     daifclr, #2
2:      mrs     x0, cntv_ctl_el0
        tbz     x0, #2, 2b
        b       3f
3:      isb
4:      EXPECT(x24, 0x280)
        mov     x23, #0
        msr     cntv_ctl_el0, xzr
        isb
        subs    x19, x19, #1
        b.ne    1b
        PASS
