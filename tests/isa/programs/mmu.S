/* SPDX-License-Identifier: MIT */
/* Translation: faults by kind and level, permissions, TLB maintenance, ASIDs, AT, tags. */
#include "common.inc"
        BEGIN
        MMU_ON

#define NORMAL (1 << 10 | 3 << 8 | 3)
        .macro  MAP page, descriptor:vararg
        ldr     x22, =table3 + 8 * \page
        ldr     x21, =\descriptor
        str     x21, [x22]
        dsb     ishst
        .endm

        /* DC ZVA: of memory, of a device page (that is RAM here), and with translation off. */
        ldr     x0, =table3
        ldr     x1, =paged + 0x64000 | 1 << 54 | 1 << 10 | 3 << 8 | 3
        str     x1, [x0, #800]
        dsb     sy
        tlbi    vmalle1
        dsb     sy
        isb
        mov     x19, x29
        ldr     x5, =paged + 0x64050
        str     x5, [x5]
        dc      zva, x5
        ldr     x4, [x5]
        EXPECT(x4, 0)
        EXPECT_REG(x29, x19)
        orr     x1, x1, #1 << 2
        str     x1, [x0, #800]
        dsb     sy
        tlbi    vmalle1
        dsb     sy
        isb
        str     x5, [x5]
        EXPECT_REG(x29, x19)
        dc      zva, x5
        EXPECT(x25, EC(0x25) | 1 << 6 | 0x21)
        sub     x4, x29, x19
        EXPECT(x4, 1)
        and     x4, x27, #~63
        EXPECT(x4, paged + 0x64040)
        ldr     x4, [x5]
        EXPECT_REG(x4, x5)
        mrs     x0, sctlr_el1
        bic     x1, x0, #1
        msr     sctlr_el1, x1
        isb
        mov     x25, #0
        dc      zva, x5
        mov     x6, x25
        ldr     x4, [x5]
        msr     sctlr_el1, x0
        isb
        EXPECT(x6, EC(0x25) | 1 << 6 | 0x21)
        EXPECT_REG(x4, x5)

        /* A table's permissions, and without them (HPD0). Bits 0 of TTBRs (CnP) mean nothing. */
        ldr     x0, =table2
        ldr     x1, =table3 + 3 | 1 << 62
        str     x1, [x0, #16]
        mrs     x2, ttbr0_el1
        orr     x2, x2, #1
        msr     ttbr0_el1, x2
        dsb     sy
        tlbi    vmalle1
        dsb     sy
        isb
        mov     x19, x29
        str     x5, [x5]
        EXPECT(x25, EC(0x25) | 1 << 6 | 0x0f)
        sub     x4, x29, x19
        EXPECT(x4, 1)
        mrs     x2, tcr_el1
        orr     x3, x2, #1 << 41
        msr     tcr_el1, x3
        isb
        tlbi    vmalle1
        dsb     sy
        isb
        str     x5, [x5]
        sub     x4, x29, x19
        EXPECT(x4, 1)
        msr     tcr_el1, x2
        ldr     x1, =table3 + 3
        str     x1, [x0, #16]
        dsb     sy
        tlbi    vmalle1
        dsb     sy
        isb

        /* Pages 0 to 5: plain, read-only, no access flag, EL0 plain, EL0 read-only, never executable. */
        MAP     0, paged | NORMAL
        MAP     1, paged + 0x1000 | NORMAL | 1 << 7
        MAP     2, (paged + 0x2000 | NORMAL) & ~(1 << 10)
        MAP     3, paged + 0x3000 | NORMAL | 1 << 6
        MAP     4, paged + 0x4000 | NORMAL | 3 << 6
        MAP     5, paged + 0x5000 | NORMAL | 1 << 53
        ldr     x0, =paged

        /* Plain: unaligned and crossing accesses work. */
        mov     x19, x29
        ldr     x1, =0x1122334455667788
        str     x1, [x0, #3]
        ldr     x4, [x0, #3]
        EXPECT_REG(x4, x1)
        ldur    w4, [x0, #5]
        EXPECT(x4, 0x33445566)
        EXPECT_REG(x29, x19)

        /* Read-only: level 3 permission fault, and a crossing store that stores nothing. */
        ldr     x1, [x0, #0x1000]
        EXPECT_REG(x29, x19)
        str     x1, [x0, #0x1000]
        EXPECT(x25, EC(0x25) | 0x4f)
        add     x5, x0, #0x1000
        EXPECT_REG(x27, x5)
        add     x5, x0, #0xffc
        mov     w1, #0x55
        str     w1, [x5]
        ldr     x1, =0xaaaaaaaaaaaaaaaa
        str     x1, [x5]
        EXPECT(x25, EC(0x25) | 0x4f)
        ldr     w4, [x5]
        EXPECT(x4, 0x55)

        /* Access flag, translation at levels 3, 2, 1, 0. */
        ldr     x1, [x0, #0x2000]
        EXPECT(x25, EC(0x25) | 0x0b)
        ldr     x1, [x0, #0x6000]
        EXPECT(x25, EC(0x25) | 0x07)
        ldr     x5, =0x40600000
        ldr     x1, [x5]
        EXPECT(x25, EC(0x25) | 0x06)
        ldr     x5, =0x80000000
        ldr     x1, [x5]
        EXPECT(x25, EC(0x25) | 0x05)
        ldr     x5, =0x8000000000
        ldr     x1, [x5]
        EXPECT(x25, EC(0x25) | 0x04)
        ldr     x5, =0xffffffc000000000
        ldr     x1, [x5]
        EXPECT(x25, EC(0x25) | 0x04)
        /* An address size fault: IPS is 40 bits. */
        MAP     7, 0x10000000000 | NORMAL
        ldr     x1, [x0, #0x7000]
        EXPECT(x25, EC(0x25) | 0x03)

        /* EL1 may read and write what EL0 may, and never execute what EL0 may write. */
        ldr     x5, =paged + 0x3000
        ldr     w1, =0xd65f03c0                 /* ret */
        str     w1, [x5]
        str     w1, [x0]
        ic      iallu
        dsb     sy
        isb
        adr     x23, 1f
        blr     x5
1:      EXPECT(x25, EC(0x21) | 0x0f)
        EXPECT_REG(x27, x5)
        mov     x19, x29
        blr     x0
        EXPECT_REG(x29, x19)
        ldr     x5, =paged + 0x5000
        adr     x23, 2f
        blr     x5
2:      EXPECT(x25, EC(0x21) | 0x0f)

        /* LDTR and STTR act as EL0. */
        mov     x19, x29
        ldr     x5, =paged + 0x3000
        ldtr    x1, [x5]
        sttr    x1, [x5]
        ldr     x6, =paged + 0x4000
        ldtr    x1, [x6]
        EXPECT_REG(x29, x19)
        sttr    x1, [x6]
        EXPECT(x25, EC(0x25) | 0x4f)
        ldtr    x1, [x0]
        EXPECT(x25, EC(0x25) | 0x0f)

        /* PAN keeps EL1 out, but not LDTR; UAO makes LDTR ordinary. */
        msr     pan, #1
        ldr     x1, [x5]
        EXPECT(x25, EC(0x25) | 0x0f)
        mov     x19, x29
        ldtr    x1, [x5]
        ldr     x1, [x0]
        EXPECT_REG(x29, x19)
        msr     uao, #1
        ldtr    x1, [x0]
        EXPECT_REG(x29, x19)
        ldtr    x1, [x5]
        EXPECT(x25, EC(0x25) | 0x0f)
        msr     uao, #0
        msr     pan, #0

        /* A changed mapping shows after TLBI. */
        MAP     6, paged | NORMAL
        tlbi    vaae1, xzr
        dsb     sy
        ldr     x1, =0x1234
        str     x1, [x0, #0x40]
        ldr     x4, [x0, #0x6040]
        EXPECT_REG(x4, x1)
        MAP     6, paged + 0x3000 | NORMAL
        ldr     x5, =(paged + 0x6000) >> 12
        tlbi    vae1is, x5
        dsb     ish
        isb
        ldr     x1, =0x5678
        ldr     x5, =paged + 0x3040
        str     x1, [x5]
        ldr     x4, [x0, #0x6040]
        EXPECT_REG(x4, x1)

        /* AT. */
        at      s1e1r, x0
        mrs     x4, par_el1
        EXPECT(x4, 0xff00000000000980 | paged)
        add     x5, x0, #0x1000
        at      s1e1w, x5
        mrs     x4, par_el1
        EXPECT(x4, 0x81f)
        at      s1e0r, x0
        mrs     x4, par_el1
        EXPECT(x4, 0x81f)

        /* WXN: what may be written is not executable. */
        mrs     x1, sctlr_el1
        orr     x5, x1, #1 << 19
        /* (the code itself must become read-only first) */
        ldr     x6, =table2
        ldr     x7, [x6]
        orr     x8, x7, #1 << 7
        str     x8, [x6]
        dsb     sy
        msr     sctlr_el1, x5
        tlbi    vmalle1
        dsb     sy
        isb
        adr     x23, 3f
        blr     x0
3:      EXPECT(x25, EC(0x21) | 0x0f)
        msr     sctlr_el1, x1
        tlbi    vmalle1
        dsb     sy
        isb
        at      s1e1w, x6
        mrs     x4, par_el1
        EXPECT(x4, 0x81d)

        /* Tags: an address with a top byte faults, and is fine with TBI0. */
        ldr     x5, =0x5a00000000000040 + paged
        ldr     x1, [x5]
        EXPECT(x25, EC(0x25) | 0x04)
        mrs     x1, tcr_el1
        orr     x1, x1, #1 << 37
        msr     tcr_el1, x1
        tlbi    vmalle1
        dsb     sy
        isb
        ldr     x4, [x5]
        EXPECT(x4, 0x1234)
        ldr     x4, [x5]
        EXPECT(x4, 0x1234)
        /* A jump to a tagged address runs without the tag. */
        adr     x5, 4f
        movk    x5, #0xff00, lsl #48
        and     x5, x5, #~(0x80 << 48)
        br      x5
4:      adr     x6, 4b
        EXPECT(x6 , 4b)
        PASS
