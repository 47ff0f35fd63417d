/* SPDX-License-Identifier: MIT */
/*
 * A kernel that starts CPUS - 1 others by PSCI. Each checks its MPIDR_EL1, reads its redistributor's GICR_TYPER, counts
 * itself, and switches itself off; then the first says how many there were. Each has a stack-less life: registers only.
 */
        .set    CPUS, 256
        .set    UART, 0x09000000
        .set    REDIST, 0x080a0000
        .set    REDIST_2, 0x4000000000
        .set    FIRST_REDISTS, 123
        .global _start
_start:
        adr     x20, count
        mov     x19, #1
1:      ldr     x0, =0xc4000003         /* CPU_ON */
        lsr     x1, x19, #4
        and     x2, x19, #15
        orr     x1, x2, x1, lsl #8
        adr     x2, secondary
        mov     x3, x19
        hvc     #0
        cbnz    x0, fail
        add     x19, x19, #1
        cmp     x19, #CPUS
        b.ne    1b
2:      ldar    w0, [x20]
        cmp     w0, #CPUS - 1
        b.eq    3f
        yield
        b       2b
3:      adr     x1, good
        b       print
fail:   adr     x1, bad
print:  ldr     x2, =UART
4:      ldrb    w0, [x1], #1
        cbz     w0, 5f
        strb    w0, [x2]
        b       4b
5:      ldr     x0, =0x84000008         /* SYSTEM_OFF */
        hvc     #0
        b       .

secondary:
        mov     x19, x0
        adr     x20, count
        lsr     x1, x19, #4
        and     x2, x19, #15
        orr     x1, x2, x1, lsl #8
        mrs     x3, mpidr_el1
        and     x3, x3, #0xffffff
        cmp     x1, x3
        b.ne    off
        /* Affinity and number as the redistributor tells them. */
        ldr     x4, =REDIST
        mov     x5, x19
        cmp     x19, #FIRST_REDISTS
        b.lo    6f
        ldr     x4, =REDIST_2
        sub     x5, x19, #FIRST_REDISTS
6:      add     x4, x4, x5, lsl #17
        ldr     x5, [x4, #8]
        lsr     x6, x5, #32
        cmp     x6, x1
        b.ne    off
        ubfx    x6, x5, #8, #16
        cmp     x6, x19
        b.ne    off
7:      ldaxr   w0, [x20]
        add     w0, w0, #1
        stlxr   w1, w0, [x20]
        cbnz    w1, 7b
off:    ldr     x0, =0x84000002         /* CPU_OFF */
        hvc     #0
        b       .

        .balign 8
count:  .word   0
good:   .asciz  "256 processors\r\n"
bad:    .asciz  "CPU_ON failed\r\n"
