/* SPDX-License-Identifier: MIT */
/* Four processors: PSCI, exclusives and atomics under contention, WFE and SEV, broadcast TLBI. */
#include "common.inc"

        .set    counters, 0x40120000    /* exclusives, atomics, lock, locked, ready, stop, seen */
        .set    ROUNDS, 5000
        BEGIN
        MMU_ON

        /* PSCI: version, features, states, bad arguments. */
        mov     x0, #0x84000000
        hvc     #0
        EXPECT(x0, 0x10001)
        ldr     x0, =0xc4000003
        mov     x1, #77
        hvc     #0
        EXPECT(x0, -2)
        ldr     x0, =0xc4000003
        mov     x1, #0
        hvc     #0
        EXPECT(x0, -4)
        ldr     x0, =0xc4000004
        mov     x1, #3
        mov     x2, #0
        hvc     #0
        EXPECT(x0, 1)
        ldr     x0, =0x84001234
        hvc     #0
        EXPECT(x0, -1)

        /* A page whose mapping will change. */
        ldr     x0, =table3
        ldr     x1, =paged | 1 << 10 | 3 << 8 | 3
        str     x1, [x0]
        ldr     x5, =paged
        mov     x1, #1
        str     x1, [x5]
        ldr     x6, =counters
        stp     xzr, xzr, [x6]
        stp     xzr, xzr, [x6, #64]
        stp     xzr, xzr, [x6, #128]
        stp     xzr, xzr, [x6, #192]
        dsb     sy

        mov     x19, #1
1:      ldr     x0, =0xc4000003
        mov     x1, x19
        adr     x2, secondary
        mov     x3, x19
        hvc     #0
        EXPECT(x0, 0)
        add     x19, x19, #1
        cmp     x19, #4
        b.ne    1b

        bl      work
        /* All have done their rounds. */
2:      ldr     x0, [x6, #128]
        cmp     x0, #4
        b.eq    3f
        wfe
        b       2b
3:      dmb     sy
        ldr     x0, [x6]
        EXPECT(x0, 4 * ROUNDS)
        ldr     x0, [x6, #8]
        EXPECT(x0, 4 * ROUNDS)
        ldr     x0, [x6, #72]
        EXPECT(x0, 4 * ROUNDS)

        /*
         * The others read the page in a loop. After the DSB nobody may see the old one any more: each
         * stores what it saw, after it has seen the new generation.
         */
        ldr     x7, =paged + 0x1000
        mov     x20, #2
4:      tst     x20, #1
        ldr     x0, =paged | 1 << 10 | 3 << 8 | 3
        ldr     x1, =paged + 0x1000 | 1 << 10 | 3 << 8 | 3
        csel    x0, x1, x0, eq                  /* even generations: the second page */
        ldr     x1, =table3
        /* The page that is not mapped is reached through its own mapping at page 1 or 2. */
        ldr     x2, =paged | 1 << 10 | 3 << 8 | 3
        str     x2, [x1, #16]
        ldr     x2, =paged + 0x1000 | 1 << 10 | 3 << 8 | 3
        str     x2, [x1, #8]
        dsb     ish
        ldr     x8, =paged + 0x2000
        csel    x9, x7, x8, eq
        str     x20, [x9]                       /* the new page holds its generation */
        dsb     ish
        str     xzr, [x1]                       /* break before make */
        dsb     ishst
        ldr     x2, =paged >> 12
        tlbi    vaae1is, x2
        dsb     ish
        str     x0, [x1]
        dsb     ishst
        isb
        str     x20, [x6, #136]                 /* from now on */
        sev
        add     x20, x20, #1
        cmp     x20, #300
        b.ne    4b
        mov     x0, #1
        str     x0, [x6, #192]                  /* stop */
        dmb     sy
        sev
5:      ldr     x0, [x6, #128]
        cmp     x0, #1
        b.ne    5b
        ldr     x0, [x6, #200]                  /* how often an old page was seen */
        EXPECT(x0, 0)
        /* They have switched themselves off. */
        mov     x19, #1
6:      ldr     x0, =0xc4000004
        mov     x1, x19
        mov     x2, #0
        hvc     #0
        cmp     x0, #1
        b.ne    6b
        add     x19, x19, #1
        cmp     x19, #4
        b.ne    6b
        PASS

secondary:
        mov     x20, x0
        adr     x22, vectors_of_readers
        msr     vbar_el1, x22
        ldr     x22, =table1
        msr     ttbr0_el1, x22
        ldr     x22, =(25 | (25 << 16) | (1 << 23) | (2 << 32))
        msr     tcr_el1, x22
        mov     x22, #0xff
        msr     mair_el1, x22
        isb
        mrs     x22, sctlr_el1
        mov     x21, #0x1005
        orr     x22, x22, x21
        msr     sctlr_el1, x22
        isb
        ldr     x6, =counters
        ldr     x5, =paged
        bl      work
read_loop:
        ldr     x0, [x6, #192]
        cbnz    x0, leave
        ldar    x1, [x10]                       /* generation that is surely mapped */
        ldr     x2, [x5]
        cmp     x2, x1
        b.ge    read_loop
        add     x0, x6, #200
        mov     x1, #1
        stadd   x1, [x0]
        b       read_loop
leave:  mov     x1, #-1
        add     x0, x6, #128
        ldadd   x1, x2, [x0]
        ldr     x0, =0x84000002
        hvc     #0
        b       .

        /* Readers may fault while the mapping is broken: they try again. */
        .balign 2048
vectors_of_readers:
        .skip   0x200
        eret

        /* Rounds of increments, three ways; then counts itself as ready. */
work:   mov     x9, #ROUNDS
        add     x10, x6, #136
        add     x11, x6, #8
        add     x12, x6, #64
1:      ldxr    x0, [x6]
        add     x0, x0, #1
        stxr    w1, x0, [x6]
        cbnz    w1, 1b
        mov     x1, #1
        stadd   x1, [x11]
        /* A lock with WFE, as kernels have it. */
        sevl
2:      wfe
        ldaxr   w0, [x12]
        cbnz    w0, 2b
        stxr    w1, w9, [x12]
        cbnz    w1, 2b
        ldr     x0, [x6, #72]
        add     x0, x0, #1
        str     x0, [x6, #72]
        stlr    wzr, [x12]
        sev
        subs    x9, x9, #1
        b.ne    1b
        mov     x1, #1
        add     x0, x6, #128
        staddl  x1, [x0]
        sev
        ret
