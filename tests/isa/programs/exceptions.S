/* SPDX-License-Identifier: MIT */
/* Synchronous exceptions: syndromes, return addresses, vectors, PSTATE. */
#include "common.inc"
        BEGIN

        svc     #0x123
        EXPECT(x25, EC(0x15) | 0x123)
        EXPECT(x24, 0x200)
        EXPECT(x28, 0x3c5)

        brk     #0x77
        EXPECT(x25, EC(0x3c) | 0x77)

undefined:
        .inst   0
        EXPECT(x25, EC(0))
        adr     x0, undefined
        EXPECT_REG(x26, x0)

        smc     #0
        EXPECT(x25, EC(0))

        mrs     x0, s3_0_c15_c15_7
        EXPECT(x25, EC(0))

        /* SP_EL0 is undefined while it is in use; the vector tells the stack pointer apart. */
        ldr     x0, =0x40120000
        msr     sp_el0, x0
        msr     spsel, #0
        mrs     x0, sp_el0
        mov     x1, sp
        msr     spsel, #1
        EXPECT(x24, 0)
        EXPECT(x25, EC(0))
        EXPECT(x28, 0x3c4)
        ldr     x0, =0x40120000
        EXPECT_REG(x1, x0)

        /* Alignment of the stack pointer. */
        mov     x20, sp
        mov     x19, x29
        sub     sp, sp, #8
misaligned_sp:
        ldr     x0, [sp]
        mov     sp, x20
        EXPECT(x25, EC(0x26))
        adr     x0, misaligned_sp
        EXPECT_REG(x26, x0)
        add     x19, x19, #1
        EXPECT_REG(x29, x19)
        ldr     x0, [sp, #-8]
        EXPECT_REG(x29, x19)

        /* Alignment of the program counter. */
        adr     x0, target + 2
        adr     x23, target
        br      x0
        mov     x1, #__LINE__
        b       fail
target:
        EXPECT(x25, EC(0x22))
        adr     x0, target + 2
        EXPECT_REG(x27, x0)
        EXPECT_REG(x26, x0)

        /* With translation off data is device memory: unaligned accesses fault. */
        ldr     x0, =0x40120001
        ldr     x1, [x0]
        EXPECT(x25, EC(0x25) | 0x21)
        EXPECT_REG(x27, x0)
        strh    w1, [x0]
        EXPECT(x25, EC(0x25) | 0x61)
        /* The halves of a pair ask for their own alignment only. */
        mov     x19, x29
        ldr     x0, =0x40120008
        ldp     x1, x2, [x0]
        ldp     w1, w2, [x0, #4]
        EXPECT_REG(x29, x19)

        /* Nothing is mapped at 0xf0000000000: an external abort. */
        mov     x0, #0xf0000000000
        ldr     x1, [x0]
        EXPECT(x25, EC(0x25) | 0x10)
        str     x1, [x0]
        EXPECT(x25, EC(0x25) | 0x50)
        adr     x23, 1f
        br      x0
1:      EXPECT(x25, EC(0x21) | 0x10)

        /* An illegal return sets PSTATE.IL, which the next instruction finds. */
        adr     x0, 2f
        msr     elr_el1, x0
        mov     x0, #0x3c9
        msr     spsr_el1, x0
        adr     x23, 2f
        eret
2:      EXPECT(x25, EC(0x0e))
        EXPECT(x28, 0x1003c5)

        /* Flags and DAIF survive. */
        mov     x0, #0x60000000
        msr     nzcv, x0
        msr     daifclr, #2
        svc     #0
        mrs     x1, daif
        mrs     x2, nzcv
        mov     x4, x1
        mov     x5, x2
        mrs     x6, spsr_el1
        EXPECT(x6, 0x60000345)
        EXPECT(x4, 0x340)
        EXPECT(x5, 0x60000000)
        PASS
