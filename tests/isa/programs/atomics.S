/* SPDX-License-Identifier: MIT */
/* Exclusives, compare-and-swap, atomic operations. */
#include "common.inc"
        BEGIN
        MMU_ON
        ldr     x0, =0x40120000
        stp     xzr, xzr, [x0]

        /* A store-exclusive needs its load-exclusive, once. */
        mov     x1, #5
        stxr    w4, x1, [x0]
        EXPECT(x4, 1)
        ldxr    x5, [x0]
        stlxr   w4, x1, [x0]
        EXPECT(x4, 0)
        stxr    w4, x1, [x0]
        EXPECT(x4, 1)
        ldr     x4, [x0]
        EXPECT(x4, 5)
        ldaxr   x5, [x0]
        clrex
        stxr    w4, xzr, [x0]
        EXPECT(x4, 1)
        /* An exception return clears the monitor. */
        ldxr    x5, [x0]
        svc     #0
        stxr    w4, xzr, [x0]
        EXPECT(x4, 1)
        /* A plain store of another value makes it fail. */
        ldxr    x5, [x0]
        mov     x6, #9
        str     x6, [x0]
        stxr    w4, xzr, [x0]
        EXPECT(x4, 1)

        /* Pairs. */
        ldaxp   x5, x6, [x0]
        EXPECT(x5, 9)
        EXPECT(x6, 0)
        mov     x7, #0x70
        mov     x8, #0x80
        stlxp   w4, x7, x8, [x0]
        EXPECT(x4, 0)
        ldp     x5, x6, [x0]
        EXPECT(x5, 0x70)
        EXPECT(x6, 0x80)
        ldxp    w5, w6, [x0, #0]
        stxp    w4, w8, w7, [x0]
        EXPECT(x4, 0)
        ldr     x5, [x0]
        EXPECT(x5, 0x7000000080)

        /* Compare-and-swap. */
        mov     x5, #1
        mov     x6, #2
        cas     x5, x6, [x0]
        EXPECT(x5, 0x7000000080)
        casal   x5, x6, [x0]
        ldr     x4, [x0]
        EXPECT(x4, 2)
        ldr     x4, =0xffffff02
        casb    w4, w5, [x0]
        EXPECT(x4, 2)
        ldrb    w4, [x0]
        EXPECT(x4, 0x80)
        ldp     x4, x5, [x0]
        mov     x6, #0x66
        mov     x7, #0x77
        casp    x4, x5, x6, x7, [x0]
        ldp     x10, x11, [x0]
        EXPECT(x10, 0x66)
        EXPECT(x11, 0x77)
        casp    x4, x5, x10, x11, [x0]
        EXPECT(x4, 0x66)
        EXPECT(x5, 0x77)

        /* Operations, byte to doubleword, with the old value. */
        mov     x1, #-2
        ldadd   x1, x4, [x0]
        EXPECT(x4, 0x66)
        ldsminb w1, w4, [x0]
        EXPECT(x4, 0x64)
        ldrb    w4, [x0]
        EXPECT(x4, 0xfe)
        ldumaxh w1, w4, [x0]
        EXPECT(x4, 0xfe)
        ldrh    w4, [x0]
        EXPECT(x4, 0xfffe)
        ldclr   w1, w4, [x0]
        ldr     w4, [x0]
        EXPECT(x4, 0)
        swpal   x1, x4, [x0]
        EXPECT(x4, 0)
        ldset   x1, x4, [x0]
        ldeor   x1, xzr, [x0]
        ldr     x4, [x0]
        EXPECT(x4, 0)

        /* Alignment. */
        add     x5, x0, #1
        ldxr    x4, [x5]
        EXPECT(x25, EC(0x25) | 0x21)
        ldaddh  w1, w4, [x5]
        PASS
