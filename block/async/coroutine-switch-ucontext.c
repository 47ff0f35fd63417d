/* SPDX-License-Identifier: MIT */
/* Stack switch for any host with ucontext. */
#include "block/async/coroutine-switch.h"

#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/thread-sanitizer.h"

enum { STACK_SIZE = 1024 * 1024, GUARD_SIZE = 4096 };

struct CoroutineStack {
    void *memory;
    ucontext_t here, caller;
    void *fiber, *caller_fiber;
    void (*entry)(void *opaque);
    void *opaque;
};

/* makecontext passes ints: a pointer travels in two halves. */
static void coroutine_start(unsigned low, unsigned high)
{
    CoroutineStack *stack = (CoroutineStack *)(uintptr_t)(low | (uint64_t)high << 32);

    stack->entry(stack->opaque);
    abort(); /* entry must leave, not return */
}

CoroutineStack *coroutine_stack_new(void (*entry)(void *opaque), void *opaque)
{
    CoroutineStack *stack = g_new0(CoroutineStack, 1);
    uint64_t self = (uintptr_t)stack;

    stack->memory = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack->memory == MAP_FAILED) {
        g_error("no memory for a coroutine's stack");
    }
    mprotect(stack->memory, GUARD_SIZE, PROT_NONE);
    stack->fiber = TSAN_FIBER_NEW();
    stack->entry = entry;
    stack->opaque = opaque;
    getcontext(&stack->here);
    stack->here.uc_stack.ss_sp = stack->memory;
    stack->here.uc_stack.ss_size = STACK_SIZE;
    makecontext(&stack->here, (void (*)(void))coroutine_start, 2, (unsigned)self,
                (unsigned)(self >> 32));
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
    stack->caller_fiber = TSAN_FIBER_SELF();
    TSAN_FIBER_SWITCH(stack->fiber);
    swapcontext(&stack->caller, &stack->here);
}

void coroutine_stack_leave(CoroutineStack *stack)
{
    TSAN_FIBER_SWITCH(stack->caller_fiber);
    swapcontext(&stack->here, &stack->caller);
}

void *coroutine_stack_caller_fiber(const CoroutineStack *stack)
{
    return stack->caller_fiber;
}
