/* SPDX-License-Identifier: MIT */
/* Two address spaces by ASID, global and non-global pages. */
#include "common.inc"
        BEGIN
        MMU_ON

#define PAGE (1 << 10 | 3 << 8 | 3)
        .set    other1, 0x40103000
        .set    other2, 0x40104000
        .set    other3, 0x40105000

        /* A second set of tables: page 0 non-global elsewhere. */
        ldr     x0, =other1
        ldr     x1, =other2 + 3
        str     x1, [x0, #8]
        ldr     x0, =other2
        ldr     x1, =0x40000000 | 1 << 10 | 3 << 8 | 1
        str     x1, [x0]
        ldr     x1, =other3 + 3
        str     x1, [x0, #16]
        ldr     x0, =table3
        ldr     x1, =paged | PAGE | 1 << 11
        str     x1, [x0]
        ldr     x1, =paged + 0x2000 | PAGE
        str     x1, [x0, #8]
        ldr     x0, =other3
        ldr     x1, =paged + 0x1000 | PAGE | 1 << 11
        str     x1, [x0]
        dsb     sy

        ldr     x5, =table1
        ldr     x6, =other1 + (1 << 48)
        ldr     x7, =paged
        mov     x0, #0x11
        str     x0, [x7]
        ldr     x0, [x7, #0x1000]               /* global: now in the TLB */
        msr     ttbr0_el1, x6
        isb
        mov     x0, #0x22
        str     x0, [x7]
        msr     ttbr0_el1, x5
        isb
        ldr     x4, [x7]
        EXPECT(x4, 0x11)
        msr     ttbr0_el1, x6
        isb
        ldr     x4, [x7]
        EXPECT(x4, 0x22)

        /* TLBI ASIDE1 of the other space keeps this one's; VAE1 with its ASID drops the page. */
        ldr     x0, =other3
        ldr     x1, =paged + 0x3000 | PAGE | 1 << 11
        str     x1, [x0]
        ldr     x1, =(1 << 48) | paged >> 12
        tlbi    vae1, x1
        dsb     sy
        isb
        mov     x0, #0x33
        str     x0, [x7]
        msr     ttbr0_el1, x5
        isb
        ldr     x4, [x7]
        EXPECT(x4, 0x11)
        PASS
