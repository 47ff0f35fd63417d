/* SPDX-License-Identifier: MIT */
/*
 * A kernel for virt that looks at its clock: what a loop of LOOPS rounds takes, when an interrupt of the timer comes and which instruction
 * it comes behind, and that a sleep of SLEEP_S seconds takes so long. All are differences of CNTVCT_EL0, or counts, in hexadecimal.
 */
        .set    LOOPS, 100000
        .set    SLEEP_S, 100
        .set    UART, 0x09000000
        .set    GICD, 0x08000000
        .set    GICC, 0x08010000
        .global _start
_start:
        ldr     x20, =UART
        adr     x0, vectors
        msr     vbar_el1, x0
        ldr     x0, =GICD
        mov     w1, #1
        str     w1, [x0]
        mov     w1, #1 << 27
        str     w1, [x0, #0x100]
        ldr     x0, =GICC
        mov     w1, #0xff
        str     w1, [x0, #4]
        mov     w1, #1
        str     w1, [x0]

        ldr     x2, =LOOPS
        isb
        mrs     x0, cntvct_el0
1:      subs    x2, x2, #1
        b.ne    1b
        mrs     x1, cntvct_el0
        sub     x0, x1, x0
        bl      print

        /* How late the interrupt is, and how often the loop went round until it came. */
        mrs     x0, cntvct_el0
        ldr     x1, =30000
        add     x21, x0, x1
        msr     cntv_cval_el0, x21
        mov     x0, #1
        msr     cntv_ctl_el0, x0
        mov     x22, #0
        msr     daifclr, #2
2:      add     x22, x22, #1
        cbz     x23, 2b
        sub     x0, x24, x21
        bl      print
        mov     x0, x22
        bl      print

        msr     daifset, #2
        mrs     x0, cntfrq_el0
        mov     x1, #SLEEP_S
        mul     x0, x0, x1
        mrs     x21, cntvct_el0
        add     x0, x0, x21
        msr     cntv_cval_el0, x0
        mov     x0, #1
        msr     cntv_ctl_el0, x0
3:      wfi
        mrs     x0, cntv_ctl_el0
        tbz     x0, #2, 3b
        mrs     x0, cntvct_el0
        sub     x0, x0, x21
        mrs     x1, cntfrq_el0
        udiv    x0, x0, x1
        bl      print
        ldr     x0, =0x84000008         /* SYSTEM_OFF */
        hvc     #0
        b       .

/* x0 as eight digits and a line feed. */
print:  mov     w3, #28
4:      lsr     x1, x0, x3
        and     w1, w1, #15
        add     w2, w1, #'0'
        add     w1, w1, #'a' - 10
        cmp     w2, #'9'
        csel    w1, w2, w1, ls
        strb    w1, [x20]
        subs    w3, w3, #4
        b.pl    4b
        mov     w1, #'\n'
        strb    w1, [x20]
        ret

        .balign 2048
vectors:
        .skip   0x280                   /* IRQ at this level, with its own stack pointer */
        mrs     x24, cntvct_el0
        msr     cntv_ctl_el0, xzr
        ldr     x0, =GICC
        ldr     w1, [x0, #12]
        str     w1, [x0, #16]
        mov     x23, #1
        eret
        .balign 2048
        .ltorg
