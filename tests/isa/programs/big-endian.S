/* SPDX-License-Identifier: MIT */
/*
 * SIMD loads and stores of big-endian data: registers as a whole, structures by elements. Translation is
 * off, since EE would apply to its tables, too; so EXPECT, which loads literals, waits for the end.
 */
#include "common.inc"
        BEGIN
        movz    x0, #0x4012, lsl #16
        ldr     x1, =0x0706050403020100
        ldr     x2, =0x0808080808080808
        mov     x3, x0
        mov     x4, #8
1:      str     x1, [x3], #8
        add     x1, x1, x2
        subs    x4, x4, #1
        b.ne    1b
        mrs     x9, sctlr_el1
        orr     x10, x9, #1 << 25
        msr     sctlr_el1, x10
        isb

        ldr     q0, [x0]
        ldr     d1, [x0]
        ldr     s2, [x0]
        ldr     h3, [x0]
        ldr     b4, [x0, #1]
        ldp     q5, q6, [x0]
        ld1     {v7.8h}, [x0]
        ld1     {v8.4s, v9.4s}, [x0]
        movi    v10.2d, #0
        ld1     {v10.s}[1], [x0]
        ld1r    {v11.4h}, [x0]
        ldp     d12, d13, [x0]
        ld4     {v16.4s, v17.4s, v18.4s, v19.4s}, [x0]
        ld3     {v20.8b, v21.8b, v22.8b}, [x0]
        str     q0, [x0, #64]
        stp     d12, d13, [x0, #80]
        add     x3, x0, #96
        st1     {v7.8h}, [x3], #16
        st1     {v8.s}[1], [x3]
        add     x3, x0, #128
        st4     {v16.4s, v17.4s, v18.4s, v19.4s}, [x3]
        stp     q5, q6, [x0, #192]

        msr     sctlr_el1, x9
        isb
        umov    x1, v0.d[0]
        EXPECT(x1, 0x08090a0b0c0d0e0f)
        umov    x1, v0.d[1]
        EXPECT(x1, 0x0001020304050607)
        fmov    x1, d1
        EXPECT(x1, 0x0001020304050607)
        fmov    x1, d2
        EXPECT(x1, 0x00010203)
        fmov    x1, d3
        EXPECT(x1, 0x0001)
        fmov    x1, d4
        EXPECT(x1, 1)
        umov    x1, v6.d[1]
        EXPECT(x1, 0x1011121314151617)
        fmov    x1, d7
        EXPECT(x1, 0x0607040502030001)
        fmov    x1, d8
        EXPECT(x1, 0x0405060700010203)
        fmov    x1, d10
        EXPECT(x1, 0x0001020300000000)
        fmov    x1, d11
        EXPECT(x1, 0x0001000100010001)
        fmov    x1, d13
        EXPECT(x1, 0x08090a0b0c0d0e0f)
        fmov    x1, d16
        EXPECT(x1, 0x1011121300010203)
        fmov    x1, d20
        EXPECT(x1, 0x15120f0c09060300)
        ldr     x1, [x0, #64]
        EXPECT(x1, 0x0706050403020100)
        ldr     x1, [x0, #72]
        EXPECT(x1, 0x0f0e0d0c0b0a0908)
        ldr     x1, [x0, #88]
        EXPECT(x1, 0x0f0e0d0c0b0a0908)
        ldr     x1, [x0, #96]
        EXPECT(x1, 0x0706050403020100)
        ldr     w1, [x0, #112]
        EXPECT(x1, 0x07060504)
        ldr     x1, [x0, #144]
        EXPECT(x1, 0x1716151413121110)
        ldr     x1, [x0, #216]
        EXPECT(x1, 0x1f1e1d1c1b1a1918)
        EXPECT(x29, 0)
        PASS
