/* SPDX-License-Identifier: MIT */
/* Pointer authentication, branch targets, memory copy and set, hardware dirty state, timers. */
#include "common.inc"
        BEGIN
        MMU_ON

        /* PAuth: round trip, wrong modifier, strip. */
        mrs     x0, sctlr_el1
        orr     x0, x0, #1 << 31
        orr     x0, x0, #1 << 27
        msr     sctlr_el1, x0
        ldr     x0, =0x123456789abcdef
        msr     apiakeylo_el1, x0
        msr     apdakeyhi_el1, x0
        isb
        adr     x5, main
        mov     x6, x5
        mov     x7, #42
        pacia   x6, x7
        mov     x8, x6
        mov     x9, x6
        cmp     x6, x5
        cset    x4, eq
        EXPECT(x4, 0)
        autia   x6, x7
        EXPECT_REG(x6, x5)
        add     x7, x7, #1
        autia   x8, x7
        cmp     x8, x5
        cset    x4, eq
        EXPECT(x4, 0)
        xpaci   x9
        EXPECT_REG(x9, x5)
        mov     x30, x5
        paciasp
        autiasp
        EXPECT_REG(x30, x5)
        /* Key B is off: nothing happens. */
        mov     x6, x5
        pacib   x6, x7
        EXPECT_REG(x6, x5)
        pacga   x6, x5, x7
        ubfx    x4, x6, #0, #32
        EXPECT(x4, 0)
        /* An authenticating load. */
        ldr     x5, =0x40120000
        mov     x6, #77
        str     x6, [x5, #16]
        pacdza  x5
        ldraa   x6, [x5, #16]
        EXPECT(x6, 77)

        /* BTI: the page of table3 is guarded. */
        ldr     x0, =table3
        ldr     x1, =paged | 1 << 50 | 1 << 10 | 3 << 8 | 3
        str     x1, [x0]
        ldr     x0, =paged
        ldr     w1, =0xd503245f         /* bti c */
        str     w1, [x0]
        ldr     w1, =0xd65f03c0         /* ret */
        str     w1, [x0, #4]
        ldr     w1, =0xd503249f         /* bti j */
        str     w1, [x0, #8]
        ldr     w1, =0xd65f03c0
        str     w1, [x0, #12]
        dsb     sy
        ic      iallu
        dsb     sy
        isb
        mov     x19, x29
        blr     x0
        blr     x0
        EXPECT_REG(x29, x19)
        add     x5, x0, #4
        adr     x23, 1f
        blr     x5
1:      EXPECT(x25, EC(0x0d) | 2)
        EXPECT_REG(x26, x5)
        EXPECT(x28, 0x3c5 | 2 << 10)
        add     x5, x0, #8
        adr     x23, 2f
        blr     x5
2:      EXPECT(x25, EC(0x0d) | 2)
        mov     x19, x29
        adr     x30, 3f
        br      x5
3:      mov     x16, x0
        adr     x30, 4f
        br      x16
4:      EXPECT_REG(x29, x19)
        /* Returns are free. */
        adr     x6, 5f
        add     x30, x0, #4
        mov     x7, x30
        mov     x30, x6
        ret     x7
5:      EXPECT_REG(x29, x19)

        /* MOPS: copy with overlap both ways, set, zero length. */
        ldr     x0, =0x40120000
        mov     x1, #0
6:      strb    w1, [x0, x1]
        add     x1, x1, #1
        cmp     x1, #256
        b.ne    6b
        add     x5, x0, #16
        mov     x6, x0
        mov     x7, #200
        .inst   0x1d0604e5              /* cpyp [x5]!, [x6]!, x7! */
        .inst   0x1d4604e5              /* cpym */
        .inst   0x1d8604e5              /* cpye */
        EXPECT(x7, 0)
        ldrb    w4, [x0, #215]
        EXPECT(x4, 199)
        ldrb    w4, [x0, #16]
        EXPECT(x4, 0)
        add     x5, x0, #3
        mov     x6, #0xee
        ldr     x7, =5000
        .inst   0x19c604e5              /* setp [x5]!, x7!, x6 */
        .inst   0x19c644e5              /* setm */
        .inst   0x19c684e5              /* sete */
        EXPECT(x7, 0)
        ldrb    w4, [x0, #2]
        EXPECT(x4, 2)
        mov     x1, #5002
        ldrb    w4, [x0, x1]
        EXPECT(x4, 0xee)
        add     x1, x1, #1
        ldrb    w4, [x0, x1]
        EXPECT(x4, 0)
        add     x1, x0, x1
        EXPECT_REG(x5, x1)

        /* Hardware management of access flag and dirty state. */
        ldr     x0, =table3
        ldr     x1, =paged + 0x1000 | 1 << 51 | 1 << 7 | 3 << 8 | 3
        str     x1, [x0, #8]
        mrs     x1, tcr_el1
        orr     x1, x1, #3 << 39
        msr     tcr_el1, x1
        tlbi    vmalle1
        dsb     sy
        isb
        mov     x19, x29
        ldr     x5, =paged + 0x1000
        ldr     x4, [x5]
        ldr     x6, [x0, #8]
        ubfx    x4, x6, #7, #4
        EXPECT(x4, 9 | 6)               /* AF set, still read-only, shareability */
        str     x5, [x5]
        ldr     x6, [x0, #8]
        ubfx    x4, x6, #7, #1
        EXPECT(x4, 0)
        EXPECT_REG(x29, x19)

        /* The timer's condition. */
        mrs     x0, cntfrq_el0
        EXPECT(x0, 62500000)
        mov     x0, #1000
        msr     cntv_tval_el0, x0
        mov     x0, #3
        msr     cntv_ctl_el0, x0
7:      mrs     x4, cntv_ctl_el0
        tbz     x4, #2, 7b
        EXPECT(x4, 7)
        mrs     x4, cntv_tval_el0
        lsr     x4, x4, #31
        EXPECT(x4, 1)

        /* Cycle counter with overflow status. */
        mov     x0, #0x45
        msr     pmcr_el0, x0
        mov     x0, #-1000
        msr     pmccntr_el0, x0
        mov     x0, #1 << 31
        msr     pmcntenset_el0, x0
8:      mrs     x4, pmovsclr_el0
        tbz     x4, #31, 8b
        PASS
