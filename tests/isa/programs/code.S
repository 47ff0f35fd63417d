/* SPDX-License-Identifier: MIT */
/* Calls and returns in all depths, indirect jumps, self-modifying code, big-endian data. */
#include "common.inc"
        BEGIN
        MMU_ON

        /* Recursion deeper than any return prediction. */
        mov     x0, #100
        mov     x1, #0
        bl      recurse
        EXPECT(x0, 0)
        ldr     x3, =5050

        /* Through a table of addresses. */
        mov     x5, #0
        mov     x6, #0
2:      adr     x7, table
        and     x8, x5, #3
        add     x7, x7, x8, lsl #2
        br      x7
table:  b       3f
        b       4f
        b       5f
        b       6f
3:      add     x6, x6, #1
        b       7f
4:      add     x6, x6, #10
        b       7f
5:      add     x6, x6, #100
        b       7f
6:      add     x6, x6, #1000
7:      add     x5, x5, #1
        cmp     x5, #1000
        b.ne    2b
        EXPECT(x6, 277750)

        /* Code that is changed and invalidated a hundred times. */
        ldr     x10, =0x40120000
        ldr     w11, =0xd65f03c0        /* ret */
        str     w11, [x10, #4]
        mov     x12, #0
        mov     x14, #0
8:      ldr     w11, =0xd2800000        /* mov x0, #0 */
        orr     w11, w11, w12, lsl #5
        str     w11, [x10]
        dc      cvau, x10
        dsb     ish
        ic      ivau, x10
        dsb     ish
        isb
        blr     x10
        add     x14, x14, x0
        add     x12, x12, #1
        cmp     x12, #100
        b.ne    8b
        EXPECT(x14, 4950)

        /* Big-endian data: memory as bytes, exclusives and pairs included. */
        ldr     x0, =0x40121000
        ldr     x1, =0x0102030405060708
        mrs     x7, sctlr_el1
        orr     x8, x7, #1 << 25
        /* The tables would be read big-endian, too: translation off meanwhile. */
        and     x8, x8, #~1
        msr     sctlr_el1, x8
        isb
        str     x1, [x0]
        ldrb    w4, [x0]
        ldr     w5, [x0, #4]
        stp     w1, w5, [x0, #16]
        ldp     w9, w10, [x0, #16]
        ldr     x11, [x0, #16]
        ldxr    x12, [x0]
        stxr    w13, x1, [x0]
        mov     x15, #1
        ldadd   x15, x14, [x0]
        ldr     x16, [x0]
        ldxp    x17, x18, [x0]
        stxp    w19, x18, x17, [x0]
        ldr     x20, [x0, #8]
        msr     sctlr_el1, x7
        isb
        ldr     x21, [x0, #8]
        EXPECT(x4, 1)
        EXPECT(x5, 0x05060708)
        EXPECT(x9, 0x05060708)
        EXPECT(x10, 0x05060708)
        EXPECT(x11, 0x0506070805060708)
        EXPECT_REG(x12, x1)
        EXPECT(x13, 0)
        PASS

recurse:
        stp     x29, x30, [sp, #-16]!
        cbz     x0, 1f
        add     x1, x1, x0
        sub     x0, x0, #1
        bl      recurse
1:      ldp     x29, x30, [sp], #16
        ret
