/* SPDX-License-Identifier: MIT */
/* Switching stacks: the one thing about coroutines that depends on the host. */
#ifndef BLOCK_ASYNC_COROUTINE_SWITCH_H
#define BLOCK_ASYNC_COROUTINE_SWITCH_H

#include <stddef.h>

typedef struct CoroutineStack CoroutineStack;

/* A stack with a guard page below, on which entry(opaque) starts at the first enter. */
CoroutineStack *coroutine_stack_new(void (*entry)(void *opaque), void *opaque);
void coroutine_stack_free(CoroutineStack *stack);
/* Runs on the stack until it leaves. */
void coroutine_stack_enter(CoroutineStack *stack);
/* Called on the stack: returns to whoever entered it. */
void coroutine_stack_leave(CoroutineStack *stack);
/* Whose turn it is while the stack runs, as the thread sanitizer counts (TSAN_FIBER_SWITCH): who entered it. */
void *coroutine_stack_caller_fiber(const CoroutineStack *stack);

#endif
