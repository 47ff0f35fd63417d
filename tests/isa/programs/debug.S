/* SPDX-License-Identifier: MIT */
/* Software step, hardware breakpoints and watchpoints. */
#include "common.inc"
        BEGIN
        MMU_ON
        msr     oslar_el1, xzr
        isb

        .macro  RUN at, spsr
        ldr     x22, =\at
        msr     elr_el1, x22
        ldr     x22, =\spsr
        msr     spsr_el1, x22
        adr     x23, 9f
        eret
9:
        .endm

        /* Step: one instruction, then the exception. */
        mov     x0, #1
        msr     mdscr_el1, x0
        mov     x10, #0
        RUN     u_add, 1 << 21
        EXPECT(x25, EC(0x32) | 1 << 24 | 0x22)
        EXPECT(x26, user_page + 4)
        EXPECT(x10, 1)
        EXPECT(x24, 0x400)
        /* Over a taken branch. */
        RUN     u_branch, 1 << 21
        EXPECT(x26, u_target)
        EXPECT(x25, EC(0x32) | 1 << 24 | 0x22)
        /* A conditional one, not taken. */
        RUN     u_cbz, 1 << 21 | 1 << 30
        EXPECT(x26, u_cbz + 4)
        RUN     u_cbz, 1 << 21
        EXPECT(x26, u_target)
        /* A load-exclusive says so. */
        ldr     x5, =user_page + 0x1000
        RUN     u_ldxr, 1 << 21
        EXPECT(x25, EC(0x32) | 1 << 24 | 1 << 6 | 0x22)
        /* SVC is complete when its exception is taken. */
        RUN     u_svc, 1 << 21
        EXPECT(x25, EC(0x15) | 3)
        EXPECT(x28, 0)
        /* With SPSR.SS 0 the step is pending at once. */
        RUN     u_add, 0
        EXPECT(x26, user_page)
        EXPECT(x25, EC(0x32) | 1 << 24 | 0x22)
        msr     mdscr_el1, xzr

        /* A breakpoint for EL0. */
        ldr     x0, =user_page + 4
        msr     dbgbvr2_el1, x0
        mov     x0, #(0xf << 5 | 2 << 1 | 1)
        msr     dbgbcr2_el1, x0
        mov     x0, #1 << 15
        msr     mdscr_el1, x0
        isb
        mov     x10, #0
        RUN     u_add, 0
        EXPECT(x25, EC(0x30) | 0x22)
        EXPECT(x26, user_page + 4)
        EXPECT(x10, 1)
        msr     dbgbcr2_el1, xzr
        RUN     u_add, 0
        EXPECT(x25, EC(0x15) | 1)
        EXPECT(x10, 4)

        /* A watchpoint on four bytes, stores only. */
        ldr     x5, =user_page + 0x1000
        str     xzr, [x5, #8]
        add     x0, x5, #8
        msr     dbgwvr1_el1, x0
        mov     x0, #(0xf << 5 | 2 << 3 | 2 << 1 | 1)
        msr     dbgwcr1_el1, x0
        isb
        RUN     u_watch, 0
        EXPECT(x25, EC(0x34) | 0x62)
        EXPECT(x26, u_watched)
        EXPECT(x27, user_page + 0x1008)
        ldr     x4, [x5, #8]
        EXPECT(x4, 0)
        /* EL1 is not watched. */
        mov     x19, x29
        str     x5, [x5, #8]
        EXPECT_REG(x29, x19)
        msr     dbgwcr1_el1, xzr
        RUN     u_watch, 0
        EXPECT(x25, EC(0x15) | 2)
        PASS

        .section .user, "awx"
u_add:  add     x10, x10, #1
        add     x10, x10, #2
        svc     #1
u_branch: b     u_target
        nop
u_cbz:  b.ne    u_target
        nop
u_target: nop
u_ldxr: ldxr    x6, [x5]
u_svc:  svc     #3
u_watch: ldr    x6, [x5, #8]
        str     x6, [x5]
        str     w6, [x5, #12]
u_watched: str  w6, [x5, #8]
        svc     #2
