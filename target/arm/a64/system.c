/* SPDX-License-Identifier: MIT */
/* A64 hints, waiting and barriers (DDI 0487 C4.1, C6). */
#include <sched.h>

#include "machine/icount.h"
#include "target/arm/exception.h"
#include "target/arm/sysregs.h"
#include "target/arm/translate.h"

/* Hints and waiting. */

enum { HINT_NOP, HINT_YIELD, HINT_WFE, HINT_WFI, HINT_SEV, HINT_SEVL };

/*
 * Waits until an interrupt is pending (masked or not), for WFE also until an event; deadline: virtual
 * time, or -1. The pc goes on behind the instruction.
 */
static void wait_for(ArmCpu *cpu, bool event, int64_t deadline_ns)
{
    Vcpu *vcpu = &cpu->vcpu;

    tcg_set_pc(&cpu->tcg, tcg_pc(&cpu->tcg) + 4);
    if (event && atomic_exchange(&cpu->event, false)) {
        /* There is nothing to wait for. */
    } else if (!atomic_load(&vcpu->interrupts) &&
               (deadline_ns < 0 || deadline_ns > clock_now_ns(vcpu->machine))) {
        vcpu->halt_deadline_ns = deadline_ns;
        cpu->waits_for_event = event;
        atomic_store(&vcpu->halted, true);
    }
    arm_request_exit(cpu);
}

static void helper_wfi(TcgState *env)
{
    wait_for(arm_cpu_of_env(env), false, -1);
}

static const TcgHelper wfi_helper = {
    .name = "wfi",
    .function = (void *)helper_wfi,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_FAULTS | HELPER_EFFECT,
};
TCG_HELPER(wfi_helper);

/*
 * A spinning guest is better served by giving up the host's processor for a moment than by sleeping:
 * the lock's holder need not send an event. With nobody else there only an interrupt can help.
 */
static void helper_wfe(TcgState *env)
{
    enum { MAX_WFE_NS = 50000 };
    ArmCpu *cpu = arm_cpu_of_env(env);
    Machine *machine = cpu->vcpu.machine;
    int64_t deadline_ns = arm_event_stream_deadline(cpu);

    if (machine->vcpus->len > 1) {
        int64_t soon_ns = clock_now_ns(machine) + MAX_WFE_NS;

        deadline_ns = deadline_ns < 0 || deadline_ns > soon_ns ? soon_ns : deadline_ns;
    }
    wait_for(cpu, true, deadline_ns);
}

static const TcgHelper wfe_helper = {
    .name = "wfe",
    .function = (void *)helper_wfe,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_FAULTS | HELPER_EFFECT,
};
TCG_HELPER(wfe_helper);

/* WFIT and WFET: until CNTVCT_EL0 reaches a value. */
static void helper_wait_until(TcgState *env, uint64_t count, uint32_t event)
{
    ArmCpu *cpu = arm_cpu_of_env(env);

    int64_t tick_ns = cpu->tick_ns;

    wait_for(cpu, event,
             count > (uint64_t)(INT64_MAX / tick_ns) ? INT64_MAX : (int64_t)count * tick_ns);
}

static const TcgHelper wait_until_helper = {
    .name = "wait_until",
    .function = (void *)helper_wait_until,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_FAULTS | HELPER_EFFECT,
    .arg_types = { IR_I64, IR_I32 },
};
TCG_HELPER(wait_until_helper);

/* The loop that spins here may wait for a vCPU that has no host processor just now. */
static void helper_yield(TcgState *env)
{
    Vcpu *vcpu = &arm_cpu_of_env(env)->vcpu;

    if (icount_on(vcpu->machine)) {
        icount_yield(vcpu);
    } else {
        sched_yield();
    }
}

static const TcgHelper yield_helper = {
    .name = "yield",
    .function = (void *)helper_yield,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_EFFECT,
};
TCG_HELPER(yield_helper);

static void helper_sev(TcgState *env)
{
    GPtrArray *vcpus = arm_cpu_of_env(env)->vcpu.machine->vcpus;

    for (unsigned i = 0; i < vcpus->len; i++) {
        Vcpu *vcpu = vcpus->pdata[i];

        atomic_store(&arm_cpu(vcpu)->event, true);
        if (atomic_load(&vcpu->halted)) {
            vcpu_kick(vcpu);
        }
    }
}

static const TcgHelper sev_helper = {
    .name = "sev",
    .function = (void *)helper_sev,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_EFFECT,
};
TCG_HELPER(sev_helper);

static void helper_sevl(TcgState *env)
{
    atomic_store(&arm_cpu_of_env(env)->event, true);
}

static const TcgHelper sevl_helper = {
    .name = "sevl",
    .function = (void *)helper_sevl,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_EFFECT,
};
TCG_HELPER(sevl_helper);

/* A trapped WFI, WFE, WFIT or WFET: TI in the low bits. False when it is not trapped. */
static bool trap_wait(A64Translator *t, uint32_t mode_bit, unsigned ti, unsigned rn)
{
    if (t->mode & mode_bit) {
        return false;
    }
    a64_raise(t, arm_esr(ARM_EC_WFX, 1u << 24 | 0xeu << 20 | rn << 5 | (ti & 2 ? 1 << 2 : 0) | ti));
    return true;
}

/* PAC and BTI hints have lines of their own; what is not allocated is a NOP. */
INSTRUCTION(hint, "110101010000001100100000 op2:3 11111")
static bool translate_hint(A64Translator *t, const A64Fields *f)
{
    switch (f->op2) {
    case HINT_WFE:
        if (!trap_wait(t, ARM_MODE_WFE, 1, 0)) {
            a64_call(t, &wfe_helper, 0, 0, 0, 0);
            a64_dispatch_env(t);
        }
        break;
    case HINT_WFI:
        if (!trap_wait(t, ARM_MODE_WFI, 0, 0)) {
            a64_call(t, &wfi_helper, 0, 0, 0, 0);
            a64_dispatch_env(t);
        }
        break;
    case HINT_YIELD:
        if (t->cpu->vcpu.machine->vcpus->len > g_get_num_processors()) {
            a64_call(t, &yield_helper, 0, 0, 0, 0);
        }
        break;
    case HINT_SEV:
        a64_call(t, &sev_helper, 0, 0, 0, 0);
        break;
    case HINT_SEVL:
        a64_call(t, &sevl_helper, 0, 0, 0, 0);
        break;
    default:
        break;
    }
    return true;
}

INSTRUCTION(hint_other, "11010101000000110010 crm:4 op2:3 11111")
static bool translate_hint_other(A64Translator *t, const A64Fields *f)
{
    return true;
}

INSTRUCTION(wfxt, "11010101000000110001 0000 00 op rd:5")
static bool translate_wfxt(A64Translator *t, const A64Fields *f)
{
    if (!a64_has(t, FEAT_WFXT)) {
        return false;
    }
    if (!trap_wait(t, f->op ? ARM_MODE_WFI : ARM_MODE_WFE, f->op ? 2 : 3, f->rd)) {
        a64_call(t, &wait_until_helper, a64_get_x(t, f->rd), a64_const(t, IR_I32, !f->op), 0, 0);
        a64_dispatch_env(t);
    }
    return true;
}

/* Barriers. */

INSTRUCTION(clrex, "11010101000000110011 crm:4 010 11111")
static bool translate_clrex(A64Translator *t, const A64Fields *f)
{
    a64_set_var(t, ARM_VAR_EXCLUSIVE_ADDRESS, IR_I64,
                a64_const(t, IR_I64, (int64_t)ARM_NO_EXCLUSIVE));
    return true;
}

static void helper_dsb(TcgState *env)
{
    ArmCpu *cpu = arm_cpu_of_env(env);

    if (cpu->invalidations_pending) {
        cpu->invalidations_pending = false;
        tcg_invalidate_wait(env);
    }
    atomic_thread_fence(memory_order_seq_cst);
}

static const TcgHelper dsb_helper = {
    .name = "dsb",
    .function = (void *)helper_dsb,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_FAULTS | HELPER_EFFECT,
};
TCG_HELPER(dsb_helper);

/* CRm: bits 1 and 0 are the kinds of access that are ordered: 1 loads, 2 stores, 3 all. */
INSTRUCTION(dsb, "11010101000000110011 crm:4 100 11111")
static bool translate_dsb(A64Translator *t, const A64Fields *f)
{
    if ((f->crm & 3) == 3 || (f->crm & 3) == 0) {
        a64_call(t, &dsb_helper, 0, 0, 0, 0);
    }
    return true;
}

INSTRUCTION(dmb, "11010101000000110011 crm:4 101 11111")
static bool translate_dmb(A64Translator *t, const A64Fields *f)
{
    if ((f->crm & 3) == 3 || (f->crm & 3) == 0) {
        a64_op(t, (IrOp){ .opcode = IR_OP_fence });
    }
    return true;
}

static void helper_uncached_isb(TcgState *env)
{
    arm_synchronize_uncached_code(arm_cpu_of_env(env));
}

static const TcgHelper uncached_isb_helper = {
    .name = "uncached_isb",
    .function = (void *)helper_uncached_isb,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_FAULTS | HELPER_EFFECT,
};
TCG_HELPER(uncached_isb_helper);

/* System registers change at once; code that was invalidated may not run on in this unit. */
INSTRUCTION(isb, "11010101000000110011 crm:4 110 11111")
static bool translate_isb(A64Translator *t, const A64Fields *f)
{
    if (t->mode & ARM_MODE_ICACHE_OFF) {
        a64_call(t, &uncached_isb_helper, 0, 0, 0, 0);
        a64_dispatch_next(t);
    } else {
        a64_goto(t, t->offset + 4);
    }
    return true;
}

INSTRUCTION(sb, "11010101000000110011 0000 111 11111")
static bool translate_sb(A64Translator *t, const A64Fields *f)
{
    return a64_has(t, FEAT_SB);
}
