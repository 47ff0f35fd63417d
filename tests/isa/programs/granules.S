/* SPDX-License-Identifier: MIT */
/* Granules of 16 and 64 KiB, 48-bit addresses in four levels, both halves, E0PD, EPD, table attributes. */
#include "common.inc"
        .set    first, 0x40200000       /* tables, each in 64 KiB of its own */
        .set    second, 0x40210000
        .set    third, 0x40220000
        .set    fourth, 0x40230000
#define BLOCK (1 << 10 | 3 << 8 | 1)
#define PAGE (1 << 10 | 3 << 8 | 3)

        .macro  SET table, index, value:vararg
        ldr     x22, =\table + 8 * (\index)
        ldr     x21, =\value
        str     x21, [x22]
        .endm

        .macro  ON tcr:vararg
        ldr     x20, =\tcr
        msr     tcr_el1, x20
        ldr     x20, =first
        msr     ttbr0_el1, x20
        msr     ttbr1_el1, x20
        mov     x20, #0xff
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

        .macro  OFF
        mrs     x20, sctlr_el1
        and     x20, x20, #~1
        msr     sctlr_el1, x20
        isb
        .endm

        BEGIN
        /* 16 KiB: 39 bits from level 1. A block of 32 MiB, a page of 16 KiB. */
        SET     first, 0, second + 3
        SET     second, 0x40000000 >> 25, 0x40000000 | BLOCK
        SET     second, 0x42000000 >> 25, third + 3
        SET     third, 1, 0x40300000 | PAGE
        ON      25 | 25 << 16 | 2 << 14 | 1 << 23 | 2 << 32
        ldr     x0, =0x42004000
        ldr     x1, =0x40300000
        mov     x4, #0x16
        str     x4, [x1, #0x3ff8]
        ldr     x5, [x0, #0x3ff8]
        EXPECT(x5, 0x16)
        add     x0, x0, #0x4000
        ldr     x5, [x0]
        EXPECT(x25, EC(0x25) | 0x07)
        ldr     x0, =0x44000000
        ldr     x5, [x0]
        EXPECT(x25, EC(0x25) | 0x06)
        /* TLBI drops all of the page's 4 KiB parts. */
        OFF
        SET     third, 1, 0x40304000 | PAGE
        ON      25 | 25 << 16 | 2 << 14 | 1 << 23 | 2 << 32
        ldr     x0, =0x42004000
        ldr     x5, [x0]
        ldr     x5, [x0, #0x2000]
        SET     third, 1, 0x40300000 | PAGE
        ldr     x1, =0x42004000 >> 12
        dsb     sy
        tlbi    vae1, x1
        dsb     sy
        isb
        ldr     x5, [x0, #0x3ff8]
        EXPECT(x5, 0x16)
        OFF

        /* 64 KiB: 39 bits from level 2. A block of 512 MiB, a page of 64 KiB. */
        SET     first, 0x40000000 >> 29, 0x40000000 | BLOCK
        SET     first, 0x60000000 >> 29, third + 3
        SET     third, 2, 0x40300000 | PAGE
        ON      25 | 25 << 16 | 1 << 14 | 1 << 23 | 2 << 32
        ldr     x0, =0x60020000
        ldr     x5, [x0, #0x3ff8]
        EXPECT(x5, 0x16)
        ldr     x0, =0x60030000
        ldr     x5, [x0]
        EXPECT(x25, EC(0x25) | 0x07)
        OFF

        /* 4 KiB: 48 bits in four levels, and the high half (through the same tables). */
        SET     first, 0, second + 3
        SET     first, 511, second + 3
        SET     second, 1, 0x40000000 | BLOCK
        SET     second, 2, third + 3
        SET     second, 511, third + 3
        SET     third, 3, fourth + 3
        SET     third, 511, fourth + 3
        SET     fourth, 4, 0x40303000 | PAGE
        SET     fourth, 511, 0x40303000 | PAGE
        ON      16 | 16 << 16 | 2 << 30 | 2 << 32
        ldr     x0, =0x80604ff8
        ldr     x5, [x0]
        EXPECT(x5, 0x16)
        mov     x0, #-8
        ldr     x5, [x0]
        EXPECT(x5, 0x16)
        mov     x0, #1 << 48
        ldr     x5, [x0]
        EXPECT(x25, EC(0x25) | 0x04)

        /* Attributes of tables limit what is below: read-only, never executable. */
        OFF
        SET     third, 3, fourth + 3 + (2 << 61) + (1 << 59)
        ON      16 | 16 << 16 | 2 << 30 | 2 << 32
        ldr     x0, =0x80604ff8
        ldr     x5, [x0]
        EXPECT(x5, 0x16)
        str     x5, [x0]
        EXPECT(x25, EC(0x25) | 0x4f)
        adr     x23, 1f
        br      x0
1:      EXPECT(x25, EC(0x21) | 0x0f)

        /* Walks of the high half can be off, and EL0 kept out of a half. */
        OFF
        ON      16 | 16 << 16 | 2 << 30 | 2 << 32 | 1 << 23 | 1 << 55
        mov     x0, #-8
        ldr     x5, [x0]
        EXPECT(x25, EC(0x25) | 0x04)
        ldr     x0, =0x40000000
        ldr     x5, [x0]
        ldtr    x5, [x0]
        EXPECT(x25, EC(0x25) | 0x04)
        PASS
