/* SPDX-License-Identifier: MIT */
/*
 * Floating-point exceptions that guests do not mask. Whether a tiny result underflows, whether an overflow is exact, and
 * where an instruction of several steps stops differs from what is noted with all masked, so the host's own unit is let
 * raise them: its signal is taken, and the instruction done again with all masked.
 */
#include <signal.h>

#include "accel/tcg/run/run.h"

static struct sigaction previous_float_action;

/* Not ours: whoever was there before gets it. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    if (previous_float_action.sa_flags & SA_SIGINFO) {
        previous_float_action.sa_sigaction(number, info, context);
    } else if (previous_float_action.sa_handler != SIG_DFL &&
               previous_float_action.sa_handler != SIG_IGN) {
        previous_float_action.sa_handler(number);
    } else {
        sigaction(number, &previous_float_action, NULL); /* it happens again */
    }
}

static void on_float_exception(int number, siginfo_t *info, void *context)
{
    Vcpu *vcpu = vcpu_current();
    TcgVcpu *tv = vcpu ? vcpu->accel : NULL;

    if (!tv || !tv->float_traps || !host_fp_resume(context, &tv->float_trapped)) {
        pass_on(number, info, context);
    }
}

static void *take_signal(void *unused)
{
    struct sigaction action = { .sa_sigaction = on_float_exception, .sa_flags = SA_SIGINFO };

    sigaction(SIGFPE, &action, &previous_float_action);
    return NULL;
}

void tcg_begin_float_traps(TcgState *env, unsigned exceptions)
{
    static GOnce float_once = G_ONCE_INIT;
    TcgVcpu *tv = tcg_vcpu(env);

    g_once(&float_once, take_signal, NULL);
    tv->float_trapped = 0;
    tv->float_traps = true;
    host_fp_load(host_fp_unmask(env->fp_word, exceptions));
}

unsigned tcg_end_float_traps(TcgState *env)
{
    TcgVcpu *tv = tcg_vcpu(env);

    tv->float_traps = false;
    return tv->float_trapped;
}
