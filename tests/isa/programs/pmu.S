/* SPDX-License-Identifier: MIT */
/* Performance monitors: exact counts of instructions and exceptions, filters, overflow, chaining. */
#include "common.inc"
        .set    SW_INCR, 0
        .set    INST_RETIRED, 8
        .set    EXC_TAKEN, 9
        .set    EXC_RETURN, 10
        .set    CPU_CYCLES, 0x11
        .set    CHAIN, 0x1e
        .set    NOT_EL1, 1 << 31
        .set    NOT_EL0, 1 << 30

        .macro  SET_TYPE n, type:vararg
        ldr     x0, =\type
        msr     pmevtyper\n\()_el0, x0
        .endm

        BEGIN
        MMU_ON
        mrs     x0, pmcr_el0
        ubfx    x4, x0, #11, #5
        EXPECT(x4, 6)
        mrs     x0, pmceid0_el0
        ldr     x1, =1 << SW_INCR | 1 << INST_RETIRED | 1 << EXC_TAKEN | 1 << EXC_RETURN | 1 << CPU_CYCLES | 1 << CHAIN
        EXPECT_REG(x0, x1)
        mrs     x4, pmceid1_el0
        EXPECT(x4, 0)

        SET_TYPE 0, INST_RETIRED
        SET_TYPE 1, INST_RETIRED | NOT_EL1
        SET_TYPE 2, EXC_TAKEN
        SET_TYPE 3, EXC_RETURN
        SET_TYPE 4, CPU_CYCLES | NOT_EL0
        SET_TYPE 5, INST_RETIRED | NOT_EL0
        mov     x0, #63
        msr     pmcntenset_el0, x0
        mov     x0, #7                  /* E, and zero all */
        msr     pmcr_el0, x0
        isb

        /* Straight code, with memory accesses; both reads see what came before them. */
        ldr     x10, =0x40120000
        mrs     x11, pmevcntr0_el0
        add     x1, x1, #1
        str     x1, [x10]
        ldr     x1, [x10]
        nop
        mrs     x12, pmevcntr0_el0
        sub     x4, x12, x11
        EXPECT(x4, 5)
        mrs     x4, pmevcntr1_el0
        EXPECT(x4, 0)
        mrs     x4, pmevcntr4_el0
        cmp     x4, #0
        cset    x4, ne
        EXPECT(x4, 1)

        /* Loops with exits taken and not, calls and returns. */
        mov     x1, #1000
        mrs     x11, pmevcntr0_el0
1:      tbnz    x1, #40, 2f             /* never */
        tbz     x1, #0, 2f              /* every other time */
        nop
2:      bl      leaf
        sub     x1, x1, #1
        cbnz    x1, 1b
        mrs     x12, pmevcntr0_el0
        sub     x4, x12, x11
        EXPECT(x4, 1 + 1000 * 6 + 500)

        /* A fault is not counted as executed; the handler's 15 instructions are. */
        mrs     x11, pmevcntr0_el0
        mrs     x13, pmevcntr2_el0
        mrs     x14, pmevcntr3_el0
        ldr     x1, =0x5000000000000000
        ldr     x2, [x1]
        mrs     x12, pmevcntr0_el0
        sub     x4, x12, x11
        EXPECT(x4, 4 + 15)
        mrs     x12, pmevcntr2_el0
        sub     x4, x12, x13
        EXPECT(x4, 1)
        mrs     x12, pmevcntr3_el0
        sub     x4, x12, x14
        EXPECT(x4, 1)

        /* EL0: 3 instructions before SVC, and SVC. */
        mrs     x13, pmevcntr1_el0
        mrs     x14, pmevcntr5_el0
        mrs     x15, pmevcntr0_el0
        ldr     x0, =user_page
        msr     elr_el1, x0
        mov     x0, #0
        msr     spsr_el1, x0
        adr     x23, 3f
        isb
        eret
3:      mrs     x12, pmevcntr1_el0
        sub     x4, x12, x13
        EXPECT(x4, 4)
        mrs     x12, pmevcntr5_el0
        mrs     x16, pmevcntr0_el0
        sub     x17, x12, x14
        sub     x18, x16, x15
        sub     x4, x18, x17
        EXPECT(x4, 4)

        /* Software increments, overflow, and a chained counter. */
        SET_TYPE 0, SW_INCR
        SET_TYPE 1, CHAIN
        mov     x0, #-2
        msr     pmevcntr0_el0, x0
        msr     pmevcntr1_el0, xzr
        mov     x0, #0xff
        msr     pmovsclr_el0, x0
        isb
        mov     x0, #3                  /* a chained counter is no software counter */
        msr     pmswinc_el0, x0
        mrs     x4, pmovsset_el0
        EXPECT(x4, 0)
        mrs     x4, pmevcntr0_el0
        EXPECT(x4, 0xffffffff)
        msr     pmswinc_el0, x0
        msr     pmswinc_el0, x0
        mrs     x4, pmovsset_el0
        EXPECT(x4, 1)
        mrs     x4, pmevcntr0_el0
        EXPECT(x4, 1)
        mrs     x4, pmevcntr1_el0
        EXPECT(x4, 1)

        /* Instructions overflow, too. */
        SET_TYPE 0, INST_RETIRED
        mov     x0, #-100
        msr     pmevcntr0_el0, x0
        msr     pmevcntr1_el0, xzr
        mov     x0, #0xff
        msr     pmovsclr_el0, x0
        mov     x1, #50
4:      sub     x1, x1, #1
        cbnz    x1, 4b
        mrs     x4, pmovsclr_el0
        EXPECT(x4, 1)
        mrs     x4, pmevcntr1_el0
        EXPECT(x4, 1)
        mrs     x4, pmevcntr0_el0
        cmp     x4, #30
        cset    x4, lo
        EXPECT(x4, 1)

        /* The interrupt of an overflow comes before the counters are stopped behind it. */
        mov     x0, #-100
        msr     pmevcntr0_el0, x0
        mov     x0, #0xff
        msr     pmovsclr_el0, x0
        mov     x0, #1
        msr     pmintenset_el1, x0
        mov     x24, #0
        adr     x23, 6f
        mov     x1, #50
        msr     daifclr, #2
5:      sub     x1, x1, #1
        cbnz    x1, 5b
        msr     pmcr_el0, xzr
        isb
6:      EXPECT(x24, 0x280)
        mrs     x4, pmcr_el0
        and     x4, x4, #1
        EXPECT(x4, 1)
        mov     x23, #0
        mov     x0, #0xff
        msr     pmovsclr_el0, x0
        msr     pmintenclr_el1, x0
        isb

        /* Disabled: nothing moves. */
        mov     x0, #1
        msr     pmcntenclr_el0, x0
        isb
        mrs     x11, pmevcntr0_el0
        nop
        mrs     x12, pmevcntr0_el0
        EXPECT_REG(x11, x12)
        msr     pmcr_el0, xzr
        mrs     x4, pmcr_el0
        and     x4, x4, #0x7f
        EXPECT(x4, 0x40)
        PASS

leaf:   ret

        .section .user, "ax"
        nop
        nop
        nop
        svc     #0
