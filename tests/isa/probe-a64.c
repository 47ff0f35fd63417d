/* SPDX-License-Identifier: MIT */
/*
 * Runs a few instructions on the processor it is itself run on: an installed qemu-aarch64, or
 * hardware. Reads A64States (a count, then as many) from standard input and writes them back as they
 * are afterwards. SP is the state's address while the instruction runs and must not be changed by it.
 */
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "a64-state.h"

void run_state(A64State *state);
extern uint32_t run_slot[];

__asm__(".text\n"
        ".balign 4096\n"
        ".globl run_state\n"
        "run_state:\n"
        "  stp x29, x30, [sp, #-160]!\n"
        "  stp x19, x20, [sp, #16]\n"
        "  stp x21, x22, [sp, #32]\n"
        "  stp x23, x24, [sp, #48]\n"
        "  stp x25, x26, [sp, #64]\n"
        "  stp x27, x28, [sp, #80]\n"
        "  stp d8, d9, [sp, #96]\n"
        "  stp d10, d11, [sp, #112]\n"
        "  stp d12, d13, [sp, #128]\n"
        "  stp d14, d15, [sp, #144]\n"
        "  mov x1, sp\n"
        "  str x1, [x0, #248]\n"
        "  mov sp, x0\n"
        "  add x1, sp, #256\n"
        "  ldp q0, q1, [x1]\n  ldp q2, q3, [x1, #32]\n  ldp q4, q5, [x1, #64]\n"
        "  ldp q6, q7, [x1, #96]\n  ldp q8, q9, [x1, #128]\n  ldp q10, q11, [x1, #160]\n"
        "  ldp q12, q13, [x1, #192]\n  ldp q14, q15, [x1, #224]\n  ldp q16, q17, [x1, #256]\n"
        "  ldp q18, q19, [x1, #288]\n  ldp q20, q21, [x1, #320]\n  ldp q22, q23, [x1, #352]\n"
        "  ldp q24, q25, [x1, #384]\n  ldp q26, q27, [x1, #416]\n  ldp q28, q29, [x1, #448]\n"
        "  ldp q30, q31, [x1, #480]\n"
        "  ldr x2, [sp, #768]\n  msr fpcr, x2\n"
        "  ldr x2, [sp, #776]\n  msr fpsr, x2\n"
        "  ldr x2, [sp, #784]\n  msr nzcv, x2\n"
        "  ldp x0, x1, [sp]\n  ldp x2, x3, [sp, #16]\n  ldp x4, x5, [sp, #32]\n"
        "  ldp x6, x7, [sp, #48]\n  ldp x8, x9, [sp, #64]\n  ldp x10, x11, [sp, #80]\n"
        "  ldp x12, x13, [sp, #96]\n  ldp x14, x15, [sp, #112]\n  ldp x16, x17, [sp, #128]\n"
        "  ldp x18, x19, [sp, #144]\n  ldp x20, x21, [sp, #160]\n  ldp x22, x23, [sp, #176]\n"
        "  ldp x24, x25, [sp, #192]\n  ldp x26, x27, [sp, #208]\n  ldp x28, x29, [sp, #224]\n"
        "  ldr x30, [sp, #240]\n"
        ".globl run_slot\n"
        "run_slot:\n"
        "  .rept 8\n  nop\n  .endr\n"
        "  stp x0, x1, [sp]\n  stp x2, x3, [sp, #16]\n  stp x4, x5, [sp, #32]\n"
        "  stp x6, x7, [sp, #48]\n  stp x8, x9, [sp, #64]\n  stp x10, x11, [sp, #80]\n"
        "  stp x12, x13, [sp, #96]\n  stp x14, x15, [sp, #112]\n  stp x16, x17, [sp, #128]\n"
        "  stp x18, x19, [sp, #144]\n  stp x20, x21, [sp, #160]\n  stp x22, x23, [sp, #176]\n"
        "  stp x24, x25, [sp, #192]\n  stp x26, x27, [sp, #208]\n  stp x28, x29, [sp, #224]\n"
        "  str x30, [sp, #240]\n"
        "  mrs x2, nzcv\n  str x2, [sp, #784]\n"
        "  mrs x2, fpsr\n  str x2, [sp, #776]\n"
        "  mrs x2, fpcr\n  str x2, [sp, #768]\n"
        "  msr fpcr, xzr\n"
        "  add x1, sp, #256\n"
        "  stp q0, q1, [x1]\n  stp q2, q3, [x1, #32]\n  stp q4, q5, [x1, #64]\n"
        "  stp q6, q7, [x1, #96]\n  stp q8, q9, [x1, #128]\n  stp q10, q11, [x1, #160]\n"
        "  stp q12, q13, [x1, #192]\n  stp q14, q15, [x1, #224]\n  stp q16, q17, [x1, #256]\n"
        "  stp q18, q19, [x1, #288]\n  stp q20, q21, [x1, #320]\n  stp q22, q23, [x1, #352]\n"
        "  stp q24, q25, [x1, #384]\n  stp q26, q27, [x1, #416]\n  stp q28, q29, [x1, #448]\n"
        "  stp q30, q31, [x1, #480]\n"
        "  ldr x1, [sp, #248]\n"
        "  mov sp, x1\n"
        "  ldp x19, x20, [sp, #16]\n"
        "  ldp x21, x22, [sp, #32]\n"
        "  ldp x23, x24, [sp, #48]\n"
        "  ldp x25, x26, [sp, #64]\n"
        "  ldp x27, x28, [sp, #80]\n"
        "  ldp d8, d9, [sp, #96]\n"
        "  ldp d10, d11, [sp, #112]\n"
        "  ldp d12, d13, [sp, #128]\n"
        "  ldp d14, d15, [sp, #144]\n"
        "  ldp x29, x30, [sp], #160\n"
        "  ret\n"
        ".balign 4096\n");

_Static_assert(offsetof(A64State, host_sp) == 248 && offsetof(A64State, v) == 256 &&
                   offsetof(A64State, fpcr) == 768 && offsetof(A64State, fpsr) == 776 &&
                   offsetof(A64State, nzcv) == 784 && A64_INSNS == 8,
               "the assembly above knows these");

static sigjmp_buf after_signal;

static void on_signal(int number)
{
    siglongjmp(after_signal, number);
}

static void handle_signals(void)
{
    static const int numbers[] = { SIGILL, SIGSEGV, SIGBUS, SIGTRAP };
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_NODEFER };
    stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };

    sigaltstack(&stack, NULL);
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaction(numbers[i], &action, NULL);
    }
}

int main(void)
{
    A64State *state = mmap((void *)A64_STATE_ADDRESS, 8192, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    uintptr_t page = (uintptr_t)run_state & ~(uintptr_t)4095;
    uint32_t count;

    if (state == MAP_FAILED || mprotect((void *)page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC)) {
        return 1;
    }
    handle_signals();
    while (fread(&count, sizeof count, 1, stdin) == 1) {
        A64State *batch = malloc(count * sizeof *batch);

        if (fread(batch, sizeof *batch, count, stdin) != count) {
            return 1;
        }
        for (volatile uint32_t i = 0; i < count; i++) {
            int number;

            *state = batch[i];
            if (memcmp(run_slot, state->insns, sizeof state->insns)) {
                memcpy(run_slot, state->insns, sizeof state->insns);
                __builtin___clear_cache((char *)run_slot, (char *)(run_slot + A64_INSNS));
            }
            number = sigsetjmp(after_signal, 0);
            if (number == 0) {
                run_state(state);
            } else {
                *state = batch[i];
                state->signal = (uint64_t)number;
            }
            batch[i] = *state;
        }
        fwrite(batch, sizeof *batch, count, stdout);
        fflush(stdout);
        free(batch);
    }
    return 0;
}
