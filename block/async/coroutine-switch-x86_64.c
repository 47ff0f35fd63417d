/* SPDX-License-Identifier: MIT */
/*
 * Stack switch for x86-64, System V ABI: only callee-saved integer registers move. MXCSR and the
 * x87 control word stay those of the thread.
 */
#include "block/async/coroutine-switch.h"

#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/thread-sanitizer.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif
#ifdef HAVE_ASAN
#include <sanitizer/common_interface_defs.h>
#define BEFORE_SWITCH(save, bottom, size) __sanitizer_start_switch_fiber(save, bottom, size)
#define AFTER_SWITCH(save, bottom, size)  __sanitizer_finish_switch_fiber(save, bottom, size)
#else
#define BEFORE_SWITCH(save, bottom, size) ((void)(save))
#define AFTER_SWITCH(save, bottom, size)  ((void)(save))
#endif

/* Only touched pages cost memory; open and check recurse along backing chains. */
enum { STACK_SIZE = 1024 * 1024, GUARD_SIZE = 4096 };

struct CoroutineStack {
    void *memory;
    void *sp;        /* of the coroutine, while it does not run */
    void *caller_sp; /* of whoever entered it, while it runs */
    void (*entry)(void *opaque);
    void *opaque;
    void *fake_stack, *caller_fake_stack;
    void *fiber, *caller_fiber;
    const void *caller_bottom;
    size_t caller_size;
};

void coroutine_switch(void **save_sp, void *load_sp);
void coroutine_trampoline(void);
void coroutine_first_entry(CoroutineStack *stack);

__asm__(".text\n"
        ".p2align 4\n"
        ".globl coroutine_switch\n"
        ".type coroutine_switch, @function\n"
        "coroutine_switch:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size coroutine_switch, . - coroutine_switch\n"
        ".globl coroutine_trampoline\n"
        ".type coroutine_trampoline, @function\n"
        "coroutine_trampoline:\n"
        "    movq %r12, %rdi\n"
        "    xorl %ebp, %ebp\n"
        "    call coroutine_first_entry\n"
        "    ud2\n"
        ".size coroutine_trampoline, . - coroutine_trampoline\n");

void coroutine_first_entry(CoroutineStack *stack)
{
    AFTER_SWITCH(NULL, &stack->caller_bottom, &stack->caller_size);
    stack->entry(stack->opaque);
    abort(); /* entry must leave, not return */
}

CoroutineStack *coroutine_stack_new(void (*entry)(void *opaque), void *opaque)
{
    CoroutineStack *stack = g_new0(CoroutineStack, 1);
    void **top;

    stack->memory = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack->memory == MAP_FAILED) {
        g_error("no memory for a coroutine's stack");
    }
    mprotect(stack->memory, GUARD_SIZE, PROT_NONE);
    stack->fiber = TSAN_FIBER_NEW();
    stack->entry = entry;
    stack->opaque = opaque;
    /* What coroutine_switch pops: r15 r14 r13 r12 rbx rbp, then the return address. */
    top = (void **)((char *)stack->memory + STACK_SIZE - 64);
    *--top = (void *)coroutine_trampoline;
    *--top = NULL;
    *--top = NULL;
    *--top = stack;
    *--top = NULL;
    *--top = NULL;
    *--top = NULL;
    stack->sp = top;
    return stack;
}

void coroutine_stack_free(CoroutineStack *stack)
{
    TSAN_FIBER_FREE(stack->fiber);
    munmap(stack->memory, STACK_SIZE);
    g_free(stack);
}

void coroutine_stack_enter(CoroutineStack *stack)
{
    BEFORE_SWITCH(&stack->caller_fake_stack, stack->memory, STACK_SIZE);
    stack->caller_fiber = TSAN_FIBER_SELF();
    TSAN_FIBER_SWITCH(stack->fiber);
    coroutine_switch(&stack->caller_sp, stack->sp);
    AFTER_SWITCH(stack->caller_fake_stack, NULL, NULL);
}

void coroutine_stack_leave(CoroutineStack *stack)
{
    BEFORE_SWITCH(&stack->fake_stack, stack->caller_bottom, stack->caller_size);
    TSAN_FIBER_SWITCH(stack->caller_fiber);
    coroutine_switch(&stack->sp, stack->caller_sp);
    AFTER_SWITCH(stack->fake_stack, &stack->caller_bottom, &stack->caller_size);
}

void *coroutine_stack_caller_fiber(const CoroutineStack *stack)
{
    return stack->caller_fiber;
}
