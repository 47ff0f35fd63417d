/* SPDX-License-Identifier: MIT */
/*
 * Power states (DEN0022): which calls there are, what they refuse, and that of several processors that
 * switch on the same one at the same time just one succeeds.
 */
#include "common.inc"

        .set    shared, 0x40120000      /* round, done, successes, starts, others, stop */
        .set    ROUNDS, 1000
        .set    VERSION, 0x84000000
        .set    SUSPEND, 0xc4000001
        .set    CPU_OFF, 0x84000002
        .set    CPU_ON, 0xc4000003
        .set    AFFINITY_INFO, 0xc4000004
        .set    FEATURES, 0x8400000a
        .set    RESET2, 0xc4000012

        .macro  CALL function, first=0, second=0, third=0
        ldr     x0, =\function
        ldr     x1, =\first
        ldr     x2, =\second
        ldr     x3, =\third
        hvc     #0
        .endm

        BEGIN
        MMU_ON

        /* Only calls that take addresses or processors have variants of 64 bits. */
        CALL    FEATURES, 0x84000000
        EXPECT(x0, 0)
        CALL    FEATURES, 0xc4000000
        EXPECT(x0, -1)
        CALL    0xc4000000
        EXPECT(x0, -1)
        CALL    FEATURES, 0xc4000002
        EXPECT(x0, -1)
        CALL    FEATURES, 0xc4000003
        EXPECT(x0, 0)
        CALL    FEATURES, 0x84000003
        EXPECT(x0, 0)
        CALL    FEATURES, 0xc4000004
        EXPECT(x0, 0)
        CALL    FEATURES, 0xc4000008
        EXPECT(x0, -1)
        CALL    FEATURES, 0xc400000a
        EXPECT(x0, -1)
        CALL    FEATURES, 0xc4000012
        EXPECT(x0, 0)
        CALL    FEATURES, 0x80000000
        EXPECT(x0, 0)
        CALL    FEATURES, 0xc0000000
        EXPECT(x0, -1)
        CALL    FEATURES, 0x80000001
        EXPECT(x0, -1)
        CALL    0x80000001, 0x80000000
        EXPECT(x0, 0)

        /* Bits of a processor's number that must be zero name no processor. */
        CALL    CPU_ON, 1 << 40 | 1
        EXPECT(x0, -2)
        CALL    CPU_ON, 1 << 24 | 1
        EXPECT(x0, -2)
        CALL    0x84000003, 1 << 31 | 1
        EXPECT(x0, -2)
        CALL    AFFINITY_INFO, 1 << 63 | 1
        EXPECT(x0, -2)
        CALL    AFFINITY_INFO, 1
        EXPECT(x0, 1)
        CALL    AFFINITY_INFO, 1, 1
        EXPECT(x0, -2)
        CALL    CPU_ON, 1, 2
        EXPECT(x0, -9)

        /* Neither states nor resets that there are not. */
        CALL    SUSPEND, 1 << 17
        EXPECT(x0, -2)
        CALL    SUSPEND, 1 << 24
        EXPECT(x0, -2)
        CALL    RESET2, 1
        EXPECT(x0, -2)
        CALL    RESET2, 1 << 31
        EXPECT(x0, -2)

        ldr     x6, =shared
        stp     xzr, xzr, [x6]
        stp     xzr, xzr, [x6, #16]
        stp     xzr, xzr, [x6, #32]
        dsb     sy
        mov     x19, #2
1:      ldr     x0, =CPU_ON
        mov     x1, x19
        adr     x2, racer
        mov     x3, #0
        hvc     #0
        EXPECT(x0, 0)
        add     x19, x19, #1
        cmp     x19, #4
        b.ne    1b

        mov     x19, #1
2:      stp     xzr, xzr, [x6, #8]              /* nobody is done, none has succeeded */
        str     xzr, [x6, #24]
        stlr    x19, [x6]
        bl      race
3:      ldr     x0, [x6, #8]
        cmp     x0, #3
        b.ne    3b
        dmb     sy
        ldr     x0, [x6, #16]
        EXPECT(x0, 1)
        /* It leaves when all are done, and has begun once. */
4:      ldr     x0, =AFFINITY_INFO
        mov     x1, #1
        mov     x2, #0
        hvc     #0
        cmp     x0, #1
        b.ne    4b
        ldr     x0, [x6, #24]
        EXPECT(x0, 1)
        add     x19, x19, #1
        cmp     x19, #ROUNDS
        b.ne    2b
        ldr     x0, [x6, #32]
        EXPECT(x0, 0)
        PASS

        /* Tries to switch on processor 1; what it is told if it was not the one: on, or on its way. */
race:   ldr     x0, =CPU_ON
        mov     x1, #1
        adr     x2, target
        mov     x3, #0
        hvc     #0
        mov     x1, #1
        add     x2, x6, #16
        cbz     x0, 1f
        add     x2, x6, #32
        cmn     x0, #4
        b.eq    2f
        cmn     x0, #5
        b.eq    2f
1:      stadd   x1, [x2]
2:      add     x2, x6, #8
        staddl  x1, [x2]
        ret

        .macro  MMU_AS_THE_FIRST
        ldr     x0, =table1
        msr     ttbr0_el1, x0
        ldr     x0, =(25 | (25 << 16) | (1 << 23) | (2 << 32))
        msr     tcr_el1, x0
        mov     x0, #0xff
        msr     mair_el1, x0
        isb
        mrs     x0, sctlr_el1
        mov     x1, #0x1005
        orr     x0, x0, x1
        msr     sctlr_el1, x0
        isb
        ldr     x6, =shared
        .endm

racer:  MMU_AS_THE_FIRST
        mov     x19, #1
1:      ldar    x0, [x6]
        cmp     x0, x19
        b.ne    1b
        bl      race
        add     x19, x19, #1
        b       1b

target: MMU_AS_THE_FIRST
        mov     x1, #1
        add     x2, x6, #24
        staddl  x1, [x2]
1:      ldar    x0, [x6]                        /* all calls of the round */
        ldr     x0, [x6, #8]
        cmp     x0, #3
        b.ne    1b
        ldr     x0, =CPU_OFF
        hvc     #0
        b       .
