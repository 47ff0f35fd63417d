/* SPDX-License-Identifier: MIT */
/* SANITIZED is defined when the allocator belongs to a sanitizer, of gcc or clang. */
#ifndef TESTS_BLOCK_SANITIZED_H
#define TESTS_BLOCK_SANITIZED_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

#endif
