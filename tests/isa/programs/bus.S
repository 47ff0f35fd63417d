/* SPDX-License-Identifier: MIT */
/* Accesses and branches to where nothing answers, and code in memory of type Device. */
#include "common.inc"
        BEGIN

        ldr     x0, =0x20000000
        ldr     x1, [x0]
        EXPECT(x25, EC(0x25) | 0x10)
        EXPECT(x27, 0x20000000)
        strb    w1, [x0, #3]
        EXPECT(x25, EC(0x25) | 1 << 6 | 0x10)
        EXPECT(x27, 0x20000003)
        ldp     q0, q1, [x0, #16]
        EXPECT(x25, EC(0x25) | 0x10)
        EXPECT(x27, 0x20000010)

        /* The first instruction that cannot be fetched: ELR and FAR are where it would be. */
        adr     x23, 1f
        br      x0
        mov     x1, #__LINE__
        b       fail
1:      EXPECT(x25, EC(0x21) | 0x10)
        EXPECT(x26, 0x20000000)
        EXPECT(x27, 0x20000000)

        /* Beyond the physical address space. */
        ldr     x0, =0x0123000000000000
        ldr     x1, [x0]
        and     x25, x25, #~0x3
        EXPECT(x25, EC(0x25))
        adr     x23, 1f
        br      x0
        mov     x1, #__LINE__
        b       fail
1:      and     x25, x25, #~0x3
        EXPECT(x25, EC(0x21))

        /*
         * Behind translation: a page of nothing; and a page of code mapped as Device and executable, where the
         * architecture lets a core fetch or take a permission fault (DDI0487 B2.3.5): either is an end.
         */
        ldr     x0, =table3
        ldr     x1, =0x20000000 | 1 << 10 | 3 << 8 | 3
        str     x1, [x0]
        ldr     x1, =0x40120000 | 1 << 10 | 3 << 8 | 1 << 2 | 3
        str     x1, [x0, #8]
        ldr     x0, =0x40120000
        ldr     w1, ret_instruction
        str     w1, [x0]
        dc      cvau, x0
        dsb     ish
        ic      ivau, x0
        dsb     ish
        MMU_ON
        ldr     x0, =paged
        adr     x23, 1f
        br      x0
        mov     x1, #__LINE__
        b       fail
1:      EXPECT(x25, EC(0x21) | 0x10)
        EXPECT(x27, paged)
        ldr     x0, =paged + 0x1000
        mov     x25, #0
        adr     x23, 1f
        blr     x0
        mov     x23, #0
1:      cbz     x25, 2f
        EXPECT(x25, EC(0x21) | 0x0f)
2:      PASS

ret_instruction:
        ret
