/* SPDX-License-Identifier: MIT */
/*
 * Link-time registries: any linked file may add a const descriptor to a named set, and code that
 * knows only the set can walk it. The order within a set is unspecified.
 *
 * Static libraries that register things must be linked with meson's link_whole.
 */
#ifndef BASE_REGISTRY_H
#define BASE_REGISTRY_H

#if defined(__has_attribute)
#if __has_attribute(retain)
#define REGISTRY_KEEP __attribute__((used, retain)) /* survives --gc-sections */
#endif
#endif
#ifndef REGISTRY_KEEP
#define REGISTRY_KEEP __attribute__((used))
#endif

/* Sets hold pointers, not structs, which makes them immune to padding and sanitizer redzones. */
#define REGISTRY_ADD(set, object)                                                                  \
    static const void *const registry_##set##_##object REGISTRY_KEEP                               \
        __attribute__((section("registry_" #set))) = &(object)

#define REGISTRY_DECLARE(set, type)                                                                \
    extern const type *const __start_registry_##set[] __attribute__((weak));                       \
    extern const type *const __stop_registry_##set[] __attribute__((weak))

/* it: a variable of type `const TYPE *const *`. */
#define REGISTRY_FOREACH(set, it)                                                                  \
    for ((it) = __start_registry_##set; (it) < __stop_registry_##set; (it)++)

#endif
