/* SPDX-License-Identifier: MIT */
/* What EL0 may not do, and what EL1 can keep from it. */
#include "common.inc"
        BEGIN
        MMU_ON
        /* WFI and WFE are trapped. */
        mrs     x0, sctlr_el1
        and     x0, x0, #~(1 << 16)
        and     x0, x0, #~(1 << 18)
        msr     sctlr_el1, x0
        isb
        .macro  TRY at, iss:vararg
        ldr     x22, =\at
        msr     elr_el1, x22
        mov     x22, #0
        msr     spsr_el1, x22
        adr     x23, 9f
        eret
9:
        .endm
#define TRY_EXPECT(at, ...) TRY at; EXPECT(x25, __VA_ARGS__); EXPECT(x24, 0x400)

        TRY_EXPECT(u_svc, EC(0x15) | 7)
        TRY_EXPECT(u_hvc, EC(0))
        TRY_EXPECT(u_eret, EC(0))
        TRY_EXPECT(u_sctlr, EC(0))
        TRY_EXPECT(u_midr, EC(0))
        TRY_EXPECT(u_wfi, EC(0x01) | 1 << 24 | 0xe << 20)
        TRY_EXPECT(u_wfe, EC(0x01) | 1 << 24 | 0xe << 20 | 1)
        /* MSR DAIFSet: op0 0, op1 3, op2 6, CRn 4, CRm 2, Rt 31 */
        TRY_EXPECT(u_daifset, EC(0x18) | 6 << 17 | 3 << 14 | 4 << 10 | 31 << 5 | 2 << 1)
        /* MRS X0, DAIF */
        TRY_EXPECT(u_daif, EC(0x18) | 3 << 20 | 1 << 17 | 3 << 14 | 4 << 10 | 2 << 1 | 1)
        /* MRS X3, CTR_EL0 */
        TRY_EXPECT(u_ctr, EC(0x18) | 3 << 20 | 1 << 17 | 3 << 14 | 3 << 5 | 1)
        /* MRS X4, CNTVCT_EL0 */
        TRY_EXPECT(u_cntvct, EC(0x18) | 3 << 20 | 2 << 17 | 3 << 14 | 14 << 10 | 4 << 5 | 1)
        TRY_EXPECT(u_cntv_ctl, EC(0x18) | 3 << 20 | 1 << 17 | 3 << 14 | 14 << 10 | 3 << 1 | 1)
        /* DC ZVA, DC CVAU, IC IVAU with X5 */
        TRY_EXPECT(u_zva, EC(0x18) | 1 << 20 | 1 << 17 | 3 << 14 | 7 << 10 | 5 << 5 | 4 << 1)
        TRY_EXPECT(u_cvau, EC(0x18) | 1 << 20 | 1 << 17 | 3 << 14 | 7 << 10 | 5 << 5 | 11 << 1)
        TRY_EXPECT(u_ivau, EC(0x18) | 1 << 20 | 1 << 17 | 3 << 14 | 7 << 10 | 5 << 5 | 5 << 1)
        TRY_EXPECT(u_pmccntr, EC(0x18) | 3 << 20 | 3 << 14 | 9 << 10 | 6 << 5 | 13 << 1 | 1)
        /* Kernel memory: a permission fault at level 2. */
        TRY_EXPECT(u_load, EC(0x24) | 0x0e)
        TRY_EXPECT(u_store, EC(0x24) | 0x4e)
        TRY_EXPECT(u_jump, EC(0x20) | 0x0e)
        EXPECT(x27, 0x40000000)

        /* FP. */
        msr     cpacr_el1, xzr
        isb
        TRY_EXPECT(u_fp, EC(0x07) | 0x1e << 20)
        fmov    d0, #1.0
        EXPECT(x25, EC(0x07) | 0x1e << 20)
        EXPECT(x24, 0x200)
        mov     x0, #1 << 20
        msr     cpacr_el1, x0
        fmov    d0, #1.0
        TRY_EXPECT(u_fp, EC(0x07) | 0x1e << 20)
        mov     x0, #3 << 20
        msr     cpacr_el1, x0
        TRY_EXPECT(u_fp, EC(0x15) | 1)

        /* Everything allowed. */
        mrs     x0, sctlr_el1
        ldr     x1, =1 << 9 | 1 << 14 | 1 << 15 | 1 << 26
        orr     x0, x0, x1
        msr     sctlr_el1, x0
        mov     x0, #0x303
        msr     cntkctl_el1, x0
        mov     x0, #1
        msr     pmuserenr_el0, x0
        isb
        TRY_EXPECT(u_daif, EC(0x15) | 2)
        TRY_EXPECT(u_ctr, EC(0x15) | 3)
        TRY_EXPECT(u_cntvct, EC(0x15) | 4)
        TRY_EXPECT(u_cntv_ctl, EC(0x15) | 5)
        ldr     x5, =user_page + 0x1000
        TRY_EXPECT(u_zva, EC(0x15) | 6)
        TRY_EXPECT(u_cvau, EC(0x15) | 7)
        TRY_EXPECT(u_ivau, EC(0x15) | 8)
        TRY_EXPECT(u_pmccntr, EC(0x15) | 9)
        /* Maintenance of what EL0 cannot read: a fault with CM and WnR. */
        ldr     x5, =0x40000000
        TRY_EXPECT(u_cvau, EC(0x24) | 0x14e)
        PASS

        .section .user, "awx"
u_svc:  svc     #7
u_hvc:  hvc     #0
u_eret: eret
u_sctlr: mrs    x0, sctlr_el1
u_midr: mrs     x0, midr_el1
u_wfi:  wfi
u_wfe:  wfe
u_daifset: msr  daifset, #2
u_daif: mrs     x0, daif
        svc     #2
u_ctr:  mrs     x3, ctr_el0
        svc     #3
u_cntvct: mrs   x4, cntvct_el0
        svc     #4
u_cntv_ctl: mrs x0, cntv_ctl_el0
        svc     #5
u_zva:  dc      zva, x5
        svc     #6
u_cvau: dc      cvau, x5
        svc     #7
u_ivau: ic      ivau, x5
        svc     #8
u_pmccntr: mrs  x6, pmccntr_el0
        svc     #9
u_load: mov     x0, #0x40000000
        ldr     x1, [x0]
u_store: mov    x0, #0x40000000
        str     x1, [x0]
u_jump: mov     x0, #0x40000000
        br      x0
u_fp:   fmov    d0, #1.0
        svc     #1
