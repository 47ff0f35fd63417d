/* SPDX-License-Identifier: MIT */
/* What the thread sanitizer has to be told of a switch of stacks: it keeps a stack of calls and a clock for each. */
#ifndef BLOCK_ASYNC_COROUTINE_FIBER_H
#define BLOCK_ASYNC_COROUTINE_FIBER_H

#include <stddef.h>

#if defined(__SANITIZE_THREAD__)
#define HAVE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAVE_TSAN 1
#endif
#endif
#ifdef HAVE_TSAN
#include <sanitizer/tsan_interface.h>
#define FIBER_NEW()         __tsan_create_fiber(0)
#define FIBER_FREE(fiber)   __tsan_destroy_fiber(fiber)
#define FIBER_SELF()        __tsan_get_current_fiber()
#define FIBER_SWITCH(fiber) __tsan_switch_to_fiber(fiber, 0)
#else
#define FIBER_NEW()         NULL
#define FIBER_FREE(fiber)   ((void)(fiber))
#define FIBER_SELF()        NULL
#define FIBER_SWITCH(fiber) ((void)(fiber))
#endif

#endif
