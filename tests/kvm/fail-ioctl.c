/* SPDX-License-Identifier: MIT */
/*
 * For LD_PRELOAD: KVM's ioctls as a host in trouble answers them. KVM_FAIL=N:ERRNO fails the Nth of them; N 0 counts them on
 * standard error. KVM_EINTR=1: each KVM_RUN but every third is interrupted. KVM_ABSENT=ERRNO: /dev/kvm does not open.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

static atomic_int calls, runs;

static int number_of(const char *name)
{
    const char *text = getenv(name);

    return text ? atoi(text) : -1;
}

__attribute__((destructor)) static void tell(void)
{
    if (number_of("KVM_FAIL") == 0) {
        fprintf(stderr, "calls %d\n", atomic_load(&calls));
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*real)(int, unsigned long, ...);
    const char *fail = getenv("KVM_FAIL"), *failure = fail ? strchr(fail, ':') : NULL;
    void *argument;
    va_list list;

    va_start(list, request);
    argument = va_arg(list, void *);
    va_end(list);
    if (!real) {
        real = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    }
    if (_IOC_TYPE(request) == KVMIO) {
        if (atomic_fetch_add(&calls, 1) + 1 == number_of("KVM_FAIL")) {
            errno = failure ? atoi(failure + 1) : EIO;
            return -1;
        }
        if (request == KVM_RUN && number_of("KVM_EINTR") > 0 && atomic_fetch_add(&runs, 1) % 3) {
            errno = EINTR;
            return -1;
        }
    }
    return real(fd, request, argument);
}

static int absent(const char *path)
{
    int failure = number_of("KVM_ABSENT");

    if (failure > 0 && strcmp(path, "/dev/kvm") == 0) {
        errno = failure;
        return 1;
    }
    return 0;
}

int open(const char *path, int flags, ...)
{
    static int (*real)(const char *, int, ...);
    va_list list;
    int mode;

    va_start(list, flags);
    mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, int) : 0;
    va_end(list);
    if (!real) {
        real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
    }
    return absent(path) ? -1 : real(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list list;
    int mode;

    va_start(list, flags);
    mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, int) : 0;
    va_end(list);
    return open(path, flags, mode);
}
