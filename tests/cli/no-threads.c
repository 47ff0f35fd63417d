/* SPDX-License-Identifier: MIT */
/* For LD_PRELOAD: while the file KASO_TEST_NO_THREADS exists, the host refuses every new thread, as at its limit. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument)
{
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    const char *path = getenv("KASO_TEST_NO_THREADS");

    if (path && access(path, F_OK) == 0) {
        return EAGAIN;
    }
    if (!real) {
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    }
    return real(thread, attributes, start, argument);
}
