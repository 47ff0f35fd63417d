/* SPDX-License-Identifier: MIT */
/*
 * Frame of the bare-machine programs. They start at 0x40000000 at EL1 with translation off, and end
 * with PASS, or at the first EXPECT that does not hold, whose line the runner prints.
 *
 * Every exception goes to one handler, which counts it in x29 and leaves ESR in x25, ELR in x26, FAR
 * in x27, SPSR (without NZCV) in x28 and the vector's offset in x24. It goes on at EL1h at x23 when that is not 0 (and
 * clears it), else behind the instruction. x22 is scratch. So tests have x0 to x21. Code for EL0 goes
 * to the section .user, which lies at user_page.
 */
#define EC(n) ((n) << 26 | 1 << 25)

        .arch   armv8.6-a+crypto+sm4+sha3+profile
        .text
        .global _start
_start:
        b       main

        .balign 2048
vectors:
        .irp    offset, 0, 0x80, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400, 0x480, 0x500, 0x580, 0x600, 0x680, 0x700, 0x780
        .balign 128
        mov     x24, #\offset
        b       handler
        .endr
        .balign 128

handler:
        add     x29, x29, #1
        mrs     x25, esr_el1
        mrs     x26, elr_el1
        mrs     x27, far_el1
        mrs     x28, spsr_el1
        and     x28, x28, #0x0fffffff
        cbnz    x23, 1f
        lsr     x22, x25, #26
        sub     x22, x22, #0x15         /* SVC: ELR is behind it already */
        cbz     x22, 2f
        add     x22, x26, #4
        msr     elr_el1, x22
2:      eret
1:      msr     elr_el1, x23
        mov     x22, #0x3c5
        msr     spsr_el1, x22
        mov     x23, #0
        eret

fail:   /* x1: line, x2: actual, x3: expected */
        mov     x0, #0x84000000
        add     x0, x0, #8
        hvc     #0
        b       .

        .macro  PASS
        mov     x1, #0
        b       fail
        .endm

        .macro  EXPECT_ line, reg, value:vararg
        ldr     x22, =(\value)
        cmp     \reg, x22
        b.eq    9999f
        mov     x2, \reg
        mov     x3, x22
        mov     x1, #\line
        b       fail
9999:
        .endm
#define EXPECT(reg, ...) EXPECT_ __LINE__, reg, __VA_ARGS__
        .macro  EXPECT_REG_ line, reg, other
        cmp     \reg, \other
        b.eq    9999f
        mov     x22, \other
        mov     x2, \reg
        mov     x3, x22
        mov     x1, #\line
        b       fail
9999:
        .endm
#define EXPECT_REG(reg, other) EXPECT_REG_ __LINE__, reg, other

        .macro  BEGIN
main:
        adr     x22, vectors
        msr     vbar_el1, x22
        ldr     x22, =stack_top
        mov     sp, x22
        mov     x22, #3 << 20
        msr     cpacr_el1, x22
        mov     x29, #0
        mov     x23, #0
        isb
        .endm

        /*
         * A flat map by 4 KiB pages at 0x40000000 with 2 MiB blocks: block 0 EL1 code and data, block 1
         * EL0 code and data, block 2 by 4 KiB pages of table3. Attributes 0: normal memory, 1: device.
         */
        .macro  MMU_ON tcr=(25 | (25 << 16) | (1 << 23) | (2 << 32))
        ldr     x22, =table1
        ldr     x21, =table2
        orr     x20, x21, #3
        str     x20, [x22, #8]
        ldr     x20, =0x40000000 | 1 << 54 | 1 << 10 | 3 << 8 | 1
        str     x20, [x21]
        ldr     x20, =0x40200000 | 1 << 10 | 3 << 8 | 1 << 6 | 1
        str     x20, [x21, #8]
        ldr     x20, =table3 + 3
        str     x20, [x21, #16]
        msr     ttbr0_el1, x22
        ldr     x20, =\tcr
        msr     tcr_el1, x20
        mov     x20, #0x00ff
        msr     mair_el1, x20
        tlbi    vmalle1
        dsb     sy
        isb
        mrs     x20, sctlr_el1
        ldr     x21, =0x1005
        orr     x20, x20, x21
        msr     sctlr_el1, x20
        isb
        .endm

        .set    table1, 0x40100000
        .set    table2, 0x40101000
        .set    table3, 0x40102000
        .set    stack_top, 0x40110000
        .set    user_page, 0x40200000
        .set    paged, 0x40400000       /* mapped by table3 */
