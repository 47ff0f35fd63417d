/* SPDX-License-Identifier: MIT */
/* What the thread sanitizer has to be told, and nothing in other builds. */
#ifndef BASE_THREAD_SANITIZER_H
#define BASE_THREAD_SANITIZER_H

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
void AnnotateBenignRaceSized(const char *file, int line, const volatile void *at, size_t size,
                             const char *why);
/* A stack of one's own: it keeps calls and a clock for each. */
#define TSAN_FIBER_NEW()         __tsan_create_fiber(0)
#define TSAN_FIBER_FREE(fiber)   __tsan_destroy_fiber(fiber)
#define TSAN_FIBER_SELF()        __tsan_get_current_fiber()
#define TSAN_FIBER_SWITCH(fiber) __tsan_switch_to_fiber(fiber, 0)
/* An order that generated code makes, unseen: who jumps to a unit has seen all that was written before the jump was patched. */
#define TSAN_ACQUIRE(what) __tsan_acquire((void *)(what))
#define TSAN_RELEASE(what) __tsan_release((void *)(what))
/* Bytes whose order is somebody else's affair. */
#define TSAN_BENIGN(at, size, why) AnnotateBenignRaceSized(why, 0, at, size, why)
#else
#define TSAN_FIBER_NEW()           NULL
#define TSAN_FIBER_FREE(fiber)     ((void)(fiber))
#define TSAN_FIBER_SELF()          NULL
#define TSAN_FIBER_SWITCH(fiber)   ((void)(fiber))
#define TSAN_ACQUIRE(what)         ((void)(what))
#define TSAN_RELEASE(what)         ((void)(what))
#define TSAN_BENIGN(at, size, why) ((void)(at))
#endif

#endif
