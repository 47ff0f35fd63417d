/* SPDX-License-Identifier: MIT */
/*
 * Pointer authentication: every key, both halves of the address space, top-byte-ignore, non-canonical
 * pointers, combined instructions, disabled keys; and QARMA's published vectors where that is the
 * algorithm.
 */
#include "common.inc"

        .macro  ROUND_TRIP pac, aut, strip, pointer
        mov     x6, \pointer
        \pac    x6, x7
        mov     x8, x6
        cmp     x6, \pointer
        cset    x4, eq
        EXPECT(x4, 0)
        \aut    x6, x7
        EXPECT_REG(x6, \pointer)
        mov     x6, x8
        \strip  x6
        EXPECT_REG(x6, \pointer)
        /* Another modifier, another address, another bit of the code. */
        add     x9, x7, #16
        mov     x6, x8
        \aut    x6, x9
        cmp     x6, \pointer
        cset    x4, eq
        EXPECT(x4, 0)
        add     x6, x8, #4
        \aut    x6, x7
        \strip  x8
        sub     x6, x6, #4
        cmp     x6, x8
        cset    x4, eq
        EXPECT(x4, 0)
        mov     x6, \pointer
        \pac    x6, x7
        eor     x6, x6, #1 << 53
        \aut    x6, x7
        eor     x6, x6, #1 << 53
        EXPECT_REG(x6, \pointer)
        .endm

        .macro  ALL_KEYS pointer
        ROUND_TRIP pacia, autia, xpaci, \pointer
        ROUND_TRIP pacib, autib, xpaci, \pointer
        ROUND_TRIP pacda, autda, xpacd, \pointer
        ROUND_TRIP pacdb, autdb, xpacd, \pointer
        .endm

        /* Where a code may stand. */
        .macro  CODE_MASK pac, pointer, mask
        mov     x6, \pointer
        \pac    x6, x7
        eor     x6, x6, \pointer
        ldr     x4, =~(\mask)
        and     x6, x6, x4
        EXPECT(x6, 0)
        .endm

        .macro  SET_TCR value
        ldr     x0, =\value
        msr     tcr_el1, x0
        isb
        .endm

        BEGIN
        /* The map of low addresses has 39 bits. Translation tables for the high half do not exist. */
        MMU_ON
        ldr     x0, =0x0123456789abcdef
        ldr     x1, =0xfedcba9876543210
        .irp    key, ia, ib, da, db, ga
        msr     ap\key\()keylo_el1, x0
        msr     ap\key\()keyhi_el1, x1
        ror     x0, x0, #7
        ror     x1, x1, #13
        .endr
        mrs     x4, apdbkeyhi_el1
        ldr     x6, =0xfedcba9876543210
        ror     x6, x6, #39
        EXPECT_REG(x4, x6)
        ldr     x7, =0xffff800012345670

        /* Disabled keys do nothing; PACGA and XPAC do not ask. */
        ldr     x5, =0x0000007fdeadbee0
        mov     x6, x5
        pacia   x6, x7
        autdb   x6, x7
        EXPECT_REG(x6, x5)
        pacga   x8, x5, x7
        pacga   x9, x5, x5
        cmp     x8, x9
        cset    x4, eq
        EXPECT(x4, 0)
        ubfx    x4, x8, #0, #32
        EXPECT(x4, 0)
        ldr     x6, =0x5a5a007fdeadbee0 & ~(1 << 55)
        xpaci   x6
        EXPECT_REG(x6, x5)

        mrs     x0, sctlr_el1
        ldr     x1, =1 << 31 | 1 << 30 | 1 << 27 | 1 << 13
        orr     x0, x0, x1
        msr     sctlr_el1, x0
        isb

        /* 39-bit addresses, no top byte ignored. */
        .set    tcr, 25 | 25 << 16 | 1 << 23 | 2 << 32
        ldr     x10, =0xffffff8012345678
        ALL_KEYS x5
        ALL_KEYS x10
        CODE_MASK pacia, x5, 0xff7fff8000000000
        CODE_MASK pacdb, x10, 0xff7fff8000000000
        /* Bit 63 says which half it is, and is kept in bit 55. */
        ldr     x6, =0x00800000deadbee0
        pacia   x6, x7
        ubfx    x4, x6, #55, #1
        EXPECT(x4, 0)
        autia   x6, x7
        ubfx    x4, x6, #39, #25
        cmp     x4, #0
        cset    x4, eq
        EXPECT(x4, 1)
        /* Not canonical otherwise: it does not authenticate. */
        ldr     x6, =0x0010000000000000 | 0xdeadbee0
        mov     x11, x6
        pacda   x6, x7
        autda   x6, x7
        EXPECT_REG(x6, x11)
        lsr     x4, x6, #39
        cmp     x4, #0
        cset    x4, eq
        EXPECT(x4, 0)

        /* The top byte of low addresses is ignored, for data and instructions. */
        SET_TCR tcr | 1 << 37
        ldr     x12, =0x5a00007fdeadbee0
        ALL_KEYS x5
        ALL_KEYS x10
        ALL_KEYS x12
        CODE_MASK pacib, x12, 0x007fff8000000000
        CODE_MASK pacda, x12, 0x007fff8000000000
        CODE_MASK pacda, x10, 0xff7fff8000000000
        /* Bit 55 says which half. */
        ldr     x6, =0x00ffff8012345678
        pacda   x6, x7
        ubfx    x4, x6, #55, #1
        EXPECT(x4, 1)

        /* For data only. */
        SET_TCR tcr | 1 << 37 | 1 << 51
        ALL_KEYS x5
        ALL_KEYS x10
        ROUND_TRIP pacda, autda, xpacd, x12
        ROUND_TRIP pacdb, autdb, xpacd, x12
        CODE_MASK pacda, x12, 0x007fff8000000000
        CODE_MASK pacia, x5, 0xff7fff8000000000

        /* Both halves, of unequal size. */
        SET_TCR (tcr | 3 << 37) & ~(63 << 16) | 30 << 16
        ldr     x13, =0xa5fffffe12345678
        ALL_KEYS x12
        ALL_KEYS x13
        CODE_MASK pacia, x13, 0x007ffffc00000000
        CODE_MASK pacia, x12, 0x007fff8000000000

        /* With the stack pointer and zero as modifiers, and the hints. */
        SET_TCR tcr
        mov     x30, x5
        paciasp
        mov     x6, x5
        mov     x8, sp
        pacia   x6, x8
        EXPECT_REG(x6, x30)
        mov     x6, x30
        autiasp
        EXPECT_REG(x30, x5)
        mov     x30, x6
        xpaclri
        EXPECT_REG(x30, x5)
        mov     x6, x5
        pacizb  x6
        mov     x30, x6
        autibz
        EXPECT_REG(x30, x5)
        mov     x16, x7
        mov     x17, x5
        pacib1716
        mov     x6, x17
        autib   x6, x7
        EXPECT_REG(x6, x5)
        autib1716
        EXPECT_REG(x17, x5)

        /* Branches, returns, loads. */
        mov     x20, x29
        adr     x6, 1f
        mov     x8, x6
        pacia   x6, x7
        braa    x6, x7
        b       2f
1:      adr     x6, leaf
        pacizb  x6
        blrabz  x6
        EXPECT(x15, 123)
        ldr     x5, =0x40120000
        mov     x6, #77
        str     x6, [x5, #16]
        mov     x6, #78
        str     x6, [x5, #-8]
        mov     x11, x5
        pacdza  x5
        ldraa   x6, [x5, #16]
        EXPECT(x6, 77)
        mov     x5, x11
        pacdzb  x5
        ldrab   x6, [x5, #-8]!
        EXPECT(x6, 78)
        sub     x4, x11, #8
        EXPECT_REG(x5, x4)
        EXPECT_REG(x29, x20)
        /* One that fails faults where it is used. */
        mov     x5, x11
        pacdzb  x5
        ldraa   x6, [x5]
        sub     x4, x29, x20
        EXPECT(x4, 1)
        lsr     x4, x25, #26
        EXPECT(x4, 0x25)
2:
        /* ERETAA. */
        adr     x6, 3f
        mov     x8, sp
        pacia   x6, x8
        msr     elr_el1, x6
        mov     x6, #0x3c5
        msr     spsr_el1, x6
        isb
        eretaa
        b       fail
3:
        /* QARMA by its vectors, where it is the algorithm. */
        mrs     x0, id_aa64isar1_el1
        ubfx    x1, x0, #4, #8          /* APA, API: one of them */
        and     x2, x1, #15
        lsr     x3, x1, #4
        ldr     x4, =0x84be85ce9804e94b
        msr     apgakeyhi_el1, x4
        ldr     x4, =0xec2802d4e0a488e9
        msr     apgakeylo_el1, x4
        ldr     x5, =0xfb623599da6e8127
        ldr     x6, =0x477d469dec0b8762
        pacga   x8, x5, x6
        cbz     x2, 4f
        EXPECT(x2, 3)
        EXPECT(x3, 0)
        EXPECT(x8, 0xc003b93900000000)
4:      cbz     x3, 5f
        EXPECT(x3, 3)
        EXPECT(x2, 0)
5:      PASS

leaf:   pacibsp
        mov     x15, #123
        mov     x14, x30
        retab
