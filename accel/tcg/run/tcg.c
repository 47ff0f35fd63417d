/* SPDX-License-Identifier: MIT */
/* The accelerator "tcg": runs vCPUs by translating their code. */
#include <setjmp.h>

#include "accel/tcg/run/run.h"
#include "base/error.h"
#include "base/log.h"
#include "machine/icount.h"

static const Property tcg_properties[] = {
    { "interp", PROPERTY_BOOL, offsetof(TcgRun, interp), "run the IR on the interpreter", "off" },
    { "thread", PROPERTY_ENUM, offsetof(TcgRun, thread),
      "accepted; each vCPU has a thread, and with -icount they take turns", "auto",
      (const char *const[]){ "auto", "multi", "single", NULL } },
    { "tb-size", PROPERTY_U64, offsetof(TcgRun, cache_mib), "MiB for translated code, at most",
      "128" },
    { "verify", PROPERTY_BOOL, offsetof(TcgRun, verify), "check the IR after each stage", "off" },
    { "perfmap", PROPERTY_BOOL, offsetof(TcgRun, perfmap_wanted),
      "tell perf of translated code in /tmp/perf-PID.map", "off" },
    { "one-insn-per-tb", PROPERTY_BOOL, offsetof(TcgRun, one_insn), "units of one instruction",
      "off" },
    { "split-wx", PROPERTY_NOT_YET, 0, "separate mappings to write and to run code" },
    { 0 },
};

enum { THREAD_MULTI = 1 };

static void memory_changed(void *opaque, AddressSpace *space)
{
    TcgRun *run = opaque;
    const TcgRequest everything = { .kind = TCG_REQUEST_CONTEXTS };
    Vcpu *current = vcpu_current();
    TcgVcpu *mine = current && current->machine == run->machine ? current->accel : NULL;

    if (!atomic_load(&space->vcpu_view)) {
        return;
    }
    /* The vCPU that changed the map must see it at its next access. */
    if (mine) {
        context_flush_all(mine);
    }
    context_post_all(run, &everything, mine);
}

static bool check_options(TcgRun *run, GError **error)
{
    if (run->cache_mib < 4 || run->cache_mib > 2047) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "-accel tcg,tb-size=%" G_GUINT64_FORMAT ": must be 4 to 2047 (MiB)",
                          run->cache_mib);
    }
    if (run->limited && run->thread == THREAD_MULTI) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "-accel tcg,thread=multi: with -icount CPUs take turns; give thread=single");
    }
    return true;
}

static void tcg_shutdown(Machine *machine, void *state)
{
    TcgRun *run = state;

    if (run->backend) {
        host_backend_free(run->backend);
    }
    perfmap_close(run);
    cache_free(run);
    watch_free(run);
    cover_free(run);
    if (run->vcpus) {
        g_ptr_array_unref(run->vcpus);
    }
}

static bool tcg_init(Machine *machine, void *state, GError **error)
{
    TcgRun *run = state;
    const Target *target = machine->config.target;

    run->machine = machine;
    run->target = target->tcg;
    run->limited = icount_on(machine);
    if (!run->target) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "target '%s' cannot be translated",
                          target->name);
    }
    if (!check_options(run, error) || !cache_init(run, error) || !perfmap_open(run, error)) {
        return false;
    }
    run->vcpus = g_ptr_array_new();
    run->runtime = (HostRuntime){
        .vars = run->target->vars,
        .var_count = run->target->var_count,
        .pinned_ints = run->target->pinned_ints,
        .pinned_vectors = run->target->pinned_vectors,
        .env_bias = run->target->env_bias,
        .jump_shift = run->target->jump_shift,
        .jump_mode_bit = run->target->jump_mode_bit,
        .limited = run->limited,
        .lend_x87 = run->target->lend_x87,
        .dispatch = dispatch_next,
        .follow_link = dispatch_follow_link,
        .indirect = dispatch_indirect,
        .check_jump = run->target->check_jump,
        .ungrouped = dispatch_ungrouped,
    };
    memory_set_runtime(&run->runtime, run->target);
    if (!run->interp) {
        run->backend = host_backend_new(&run->runtime, error);
        if (!run->backend) {
            g_prefix_error(error, "no translation on this host (try -accel tcg,interp=on): ");
            return false;
        }
        run->code_next += host_emit_thunks(run->backend, run->code,
                                           (size_t)(run->cold_start - run->code), &run->thunks);
        run->code_next = (uint8_t *)(((uintptr_t)run->code_next + 63) & ~(uintptr_t)63);
        run->code_start = run->code_next;
        perfmap_add(run, run->code, (size_t)(run->code_start - run->code), "thunks");
    }
    memory_add_listener(machine, memory_changed, run);
    watch_init(run);
    cover_init(run);
    return true;
}

static bool tcg_vcpu_init(Vcpu *vcpu, GError **error)
{
    TcgRun *run = vcpu->machine->accel_state;
    TcgVcpu *tv = g_new0(TcgVcpu, 1);

    tv->vcpu = vcpu;
    tv->run = run;
    tv->target = run->target;
    tv->env = (TcgState *)((char *)vcpu + run->target->state_offset);
    tv->env->vcpu = vcpu;
    tv->env->run = tv;
    tv->env->fp_word = host_fp_word((TcgFpControl){ 0 });
    tv->env->bounce_address = (uintptr_t)tv->env->bounce;
    if (run->interp) {
        tv->env->interpreter_values = g_new0(IrValue, IR_MAX_OPS);
    }
    vcpu->accel = tv;
    context_init(tv);
    g_ptr_array_add(run->vcpus, tv);
    return true;
}

static void tcg_vcpu_free(Vcpu *vcpu)
{
    TcgVcpu *tv = vcpu->accel;

    g_ptr_array_remove(tv->run->vcpus, tv);
    context_free(tv);
    device_code_free(tv);
    g_free(tv->env->interpreter_values);
    tv->env->run = NULL;
    g_free(tv);
    vcpu->accel = NULL;
}

static void tcg_vcpu_kick(Vcpu *vcpu)
{
    TcgVcpu *tv = vcpu->accel;

    if (tv) {
        atomic_store(&tv->env->exit_request, 1);
    }
}

static void tcg_vcpu_reset(Vcpu *vcpu)
{
    TcgVcpu *tv = vcpu->accel;

    context_flush_all(tv);
    cache_verify_all(tv->run);
}

static void tcg_vcpu_memory_changed(Vcpu *vcpu)
{
    context_flush_all(vcpu->accel);
}

static void settle(TcgVcpu *tv)
{
    if (tv->target->settle) {
        tv->target->settle(tv->env);
    }
}

/* But for what code that runs has elsewhere, the CPU structure is all there is; after a change of registers or RAM from outside, nothing cached holds;
 * within an access only general registers change, which are not cached. */
static void tcg_sync(Vcpu *vcpu, VcpuSync direction)
{
    TcgVcpu *tv = vcpu->accel;

    if (vcpu == vcpu_current()) {
        settle(tv);
    }
    if (direction != VCPU_SYNC_FROM_ACCELERATOR && !atomic_load(&tv->in_guest)) {
        tcg_vcpu_reset(vcpu);
    }
}

_Noreturn void tcg_unwind(TcgState *env)
{
    TcgVcpu *tv = tcg_vcpu(env);

    if (env->unwind) {
        longjmp(*env->unwind, 1);
    }
    tv->run->thunks.unwind(env);
    __builtin_unreachable();
}

TcgFpControl tcg_get_fp_control(TcgState *env)
{
    return host_fp_control(env->in_code ? host_fp_read() : env->fp_word);
}

void tcg_set_fp_control(TcgState *env, TcgFpControl control)
{
    env->fp_word = host_fp_word(control);
    if (env->in_code) {
        host_fp_load(env->fp_word);
    }
}

/* Interprets until an exit is requested. */
static void interpret(TcgVcpu *tv)
{
    TcgState *env = tv->env;
    jmp_buf unwind;
    TcgUnit *unit;

    env->unwind = tv->interpreter_unwind = &unwind;
    if (setjmp(unwind)) {
        trap_left(tv);
    }
    while (!atomic_load_explicit(&env->exit_request, memory_order_relaxed)) {
        unit = dispatch_unit(tv);
        if (unit) {
            dispatch_note_single(tv, unit);
            ir_interpret(unit->ir, env, &tv->run->runtime);
            dispatch_insn_done(tv);
        }
    }
    env->unwind = tv->interpreter_unwind = NULL;
}

static void run_guest(TcgVcpu *tv)
{
    TcgState *env = tv->env;
    void *code;

    if (tv->run->interp) {
        env->host_fp_word = host_fp_read();
        host_fp_load(env->fp_word);
        env->in_code = true;
        interpret(tv);
        env->in_code = false;
        env->fp_word = host_fp_read();
        host_fp_load(env->host_fp_word);
        settle(tv);
        return;
    }
    code = dispatch_next(env);
    if (code == tv->run->thunks.exit) {
        return;
    }
    env->in_code = true;
    tv->run->thunks.enter(env, code);
    env->in_code = false;
    settle(tv);
}

/* With -icount: as far as time allows. */
static void run_limited(TcgVcpu *tv)
{
    uint64_t left = icount_begin(tv->vcpu, &tv->env->insn_count);

    tv->env->insn_limit = tv->env->insn_count + left;
    if (left) {
        run_guest(tv);
        trap_left(tv);
    }
    icount_end(tv->vcpu);
}

static void tcg_vcpu_run(Vcpu *vcpu)
{
    TcgVcpu *tv = vcpu->accel;
    TcgState *env = tv->env;

    for (;;) {
        /* Cleared before what it stands for is looked at, by the safe point and below: a kick after this is not lost. */
        atomic_store(&env->exit_request, 0);
        if (!vcpu_safe_point(vcpu)) {
            return;
        }
        if (atomic_load(&vcpu->halted)) {
            if (!vcpu->target->has_work(vcpu)) {
                if (tv->run->limited) {
                    icount_pass(vcpu);
                } else {
                    vcpu_wait(vcpu, vcpu->halt_deadline_ns);
                }
                continue;
            }
            if (tv->target->wake && !tv->target->wake(env)) {
                continue;
            }
            atomic_store(&vcpu->halted, false);
        }
        atomic_store(&tv->in_guest, true);
        context_process_inbox(tv);
        if (!atomic_load(&vcpu->stop_requested)) {
            trap_take_interrupt(tv);
            if (atomic_load(&vcpu->halted)) {
                /* Not yet. */
            } else if (tv->run->limited) {
                run_limited(tv);
            } else {
                run_guest(tv);
                trap_left(tv);
            }
        }
        atomic_store(&tv->in_guest, false);
        if (tv->run->limited) {
            icount_rest(vcpu);
        }
        tv->exits++;
    }
}

static void tcg_set_one_insn(Machine *machine, bool on)
{
    TcgRun *run = machine->accel_state;

    run->one_insn = on;
    cache_empty(run);
}

static const Accelerator tcg_accelerator = {
    .name = "tcg",
    .summary = "translation of guest code to host code",
    .properties = tcg_properties,
    .state_size = sizeof(TcgRun),
    .init = tcg_init,
    .shutdown = tcg_shutdown,
    .vcpu_init = tcg_vcpu_init,
    .vcpu_free = tcg_vcpu_free,
    .vcpu_run = tcg_vcpu_run,
    .vcpu_kick = tcg_vcpu_kick,
    .vcpu_reset = tcg_vcpu_reset,
    .sync = tcg_sync,
    .abilities =
        ACCELERATOR_RUNS_CODE | ACCELERATOR_SMM | ACCELERATOR_COVERAGE | ACCELERATOR_ICOUNT,
    .vcpu_memory_changed = tcg_vcpu_memory_changed,
    .set_one_insn = tcg_set_one_insn,
    .debug_changed = trap_changed,
    .debug_events = UINT32_MAX,
    .describe = describe_run,
};
ACCELERATOR(tcg_accelerator);
