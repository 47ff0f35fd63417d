/* SPDX-License-Identifier: MIT */
/*
 * For LD_PRELOAD: KVM's ioctls as a host in trouble answers them. KVM_FAIL=N:ERRNO fails the Nth of them; N 0 counts them on
 * standard error. KVM_EINTR=1: each KVM_RUN but every third is interrupted. KVM_ABSENT=ERRNO: /dev/kvm does not open. KVM_SCALES: whether the
 * processor scales its time-stamp counter; the rate is told on standard error. KVM_WITHOUT=N: capability N is not there, and who uses it
 * nevertheless is told of on standard error; N 0 tells all that are asked for and there. KVM_AVX512=1: the kernel says that guests may have it.
 * KVM_COUNTS=1: it may be told to keep no performance counters, which is told on standard error. KVM_API=N: its interface is of that
 * version.
 */
#define _GNU_SOURCE
#include <cpuid.h>
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

static atomic_int calls, runs, first_run;

static int number_of(const char *name)
{
    const char *text = getenv(name);

    return text ? atoi(text) : -1;
}

__attribute__((destructor)) static void tell(void)
{
    if (number_of("KVM_FAIL") == 0) {
        fprintf(stderr, "calls %d, first run %d\n", atomic_load(&calls), atomic_load(&first_run));
    }
}

/* Whether it has been answered. */
static int scales(unsigned long request, const void *argument, int *answer)
{
    int able = number_of("KVM_SCALES");

    if (able < 0) {
        return 0;
    }
    if (request == KVM_CHECK_EXTENSION && (long)argument == KVM_CAP_TSC_CONTROL) {
        *answer = able;
        return 1;
    }
    if (request == KVM_SET_TSC_KHZ) {
        fprintf(stderr, "rate %ld kHz\n", (long)argument);
        *answer = 0;
        return 1;
    }
    return 0;
}

/* Of a kernel that can do without performance counters. Whether it has been answered. */
static int counts(unsigned long request, const void *argument, int *answer)
{
    const struct kvm_enable_cap *cap = argument;

    if (number_of("KVM_COUNTS") <= 0) {
        return 0;
    }
    if (request == KVM_CHECK_EXTENSION && (long)argument == KVM_CAP_PMU_CAPABILITY) {
        *answer = KVM_PMU_CAP_DISABLE;
        return 1;
    }
    if (request == KVM_ENABLE_CAP && cap->cap == KVM_CAP_PMU_CAPABILITY) {
        fprintf(stderr, "counters: %#llx\n", (unsigned long long)cap->args[0]);
        *answer = 0;
        return 1;
    }
    return 0;
}

/* What a capability allows. */
static const struct {
    long capability;
    unsigned long request;
} uses[] = {
    { KVM_CAP_SET_TSS_ADDR, KVM_SET_TSS_ADDR },
    { KVM_CAP_DEBUGREGS, KVM_GET_DEBUGREGS },
    { KVM_CAP_DEBUGREGS, KVM_SET_DEBUGREGS },
    { KVM_CAP_XSAVE2, KVM_GET_XSAVE2 },
    { KVM_CAP_XCRS, KVM_GET_XCRS },
    { KVM_CAP_XCRS, KVM_SET_XCRS },
    { KVM_CAP_IRQCHIP, KVM_CREATE_IRQCHIP },
    { KVM_CAP_PIT2, KVM_CREATE_PIT2 },
    { KVM_CAP_PIT_STATE2, KVM_GET_PIT2 },
    { KVM_CAP_PIT_STATE2, KVM_SET_PIT2 },
    { KVM_CAP_REINJECT_CONTROL, KVM_REINJECT_CONTROL },
    { KVM_CAP_IRQ_ROUTING, KVM_SET_GSI_ROUTING },
    { KVM_CAP_SIGNAL_MSI, KVM_SIGNAL_MSI },
    { KVM_CAP_IRQFD, KVM_IRQFD },
    { KVM_CAP_IOEVENTFD, KVM_IOEVENTFD },
    { KVM_CAP_COALESCED_MMIO, KVM_REGISTER_COALESCED_MMIO },
    { KVM_CAP_GET_TSC_KHZ, KVM_GET_TSC_KHZ },
    { KVM_CAP_TSC_CONTROL, KVM_SET_TSC_KHZ },
    { KVM_CAP_ADJUST_CLOCK, KVM_GET_CLOCK },
    { KVM_CAP_ADJUST_CLOCK, KVM_SET_CLOCK },
    { KVM_CAP_KVMCLOCK_CTRL, KVM_KVMCLOCK_CTRL },
    { KVM_CAP_SET_GUEST_DEBUG, KVM_SET_GUEST_DEBUG },
    { KVM_CAP_NESTED_STATE, KVM_GET_NESTED_STATE },
    { KVM_CAP_NESTED_STATE, KVM_SET_NESTED_STATE },
    { KVM_CAP_BINARY_STATS_FD, KVM_GET_STATS_FD },
};

/* Of a kernel without a capability. */
static int lacks(unsigned long request, const void *argument)
{
    int without = number_of("KVM_WITHOUT");

    if (without <= 0) {
        return 0;
    }
    for (unsigned i = 0; i < sizeof uses / sizeof *uses; i++) {
        if (uses[i].capability == without && uses[i].request == request) {
            fprintf(stderr, "capability %d is used\n", without);
            return 1;
        }
    }
    if (request == KVM_ENABLE_CAP &&
        ((const struct kvm_enable_cap *)argument)->cap == (unsigned)without) {
        fprintf(stderr, "capability %d is enabled\n", without);
        return 1;
    }
    return 0;
}

static int check_extension(int answer, long capability)
{
    int without = number_of("KVM_WITHOUT");

    if (without == 0 && answer > 0) {
        fprintf(stderr, "capability %ld\n", capability);
    }
    return without == capability ? 0 : answer;
}

/* Where this host keeps a component, which is where its kernel does; else where it is. */
static struct kvm_cpuid_entry2 placed(struct kvm_cpuid_entry2 component)
{
    unsigned size, offset, ecx, edx;

    if (component.index && __get_cpuid_count(0xd, component.index, &size, &offset, &ecx, &edx) &&
        size) {
        component.ebx = offset;
    }
    return component;
}

/* With AVX-512, where the host's area has it, or where AMD's processors do. */
static void add_avx512(struct kvm_cpuid2 *table)
{
    static const struct kvm_cpuid_entry2 components[] = {
        { .function = 0xd, .index = 0, .flags = 1, .eax = 0xe7, .ebx = 0x240, .ecx = 0x980 },
        { .function = 0xd, .index = 2, .flags = 1, .eax = 0x100, .ebx = 0x240 },
        { .function = 0xd, .index = 5, .flags = 1, .eax = 0x40, .ebx = 0x340 },
        { .function = 0xd, .index = 6, .flags = 1, .eax = 0x200, .ebx = 0x380 },
        { .function = 0xd, .index = 7, .flags = 1, .eax = 0x400, .ebx = 0x580 },
    };
    unsigned kept = 0;

    for (unsigned i = 0; i < table->nent; i++) {
        struct kvm_cpuid_entry2 *entry = &table->entries[i];

        entry->ecx |= entry->function == 1 ? 1u << 26 | 1u << 28 : 0; /* XSAVE, AVX */
        entry->ebx |=
            entry->function == 7 && !entry->index ? 1u << 5 | 1u << 16 : 0; /* AVX2, AVX512F */
        if (entry->function != 0xd) {
            table->entries[kept++] = *entry;
        }
    }
    for (unsigned i = 0; i < sizeof components / sizeof *components; i++) {
        struct kvm_cpuid_entry2 *whole = &table->entries[kept], *entry = whole + i;

        *entry = placed(components[i]);
        if (i && entry->ebx + entry->eax > whole->ecx) {
            whole->ecx = entry->ebx + entry->eax;
        }
    }
    table->nent = kept + sizeof components / sizeof *components;
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*real)(int, unsigned long, ...);
    const char *fail = getenv("KVM_FAIL"), *failure = fail ? strchr(fail, ':') : NULL;
    void *argument;
    va_list list;
    int answer;

    va_start(list, request);
    argument = va_arg(list, void *);
    va_end(list);
    if (!real) {
        real = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    }
    if (_IOC_TYPE(request) == KVMIO) {
        int call = atomic_fetch_add(&calls, 1) + 1, none = 0;

        if (request == KVM_RUN) {
            atomic_compare_exchange_strong(&first_run, &none, call);
        }
        if (call == number_of("KVM_FAIL")) {
            errno = failure ? atoi(failure + 1) : EIO;
            return -1;
        }
        if (request == KVM_RUN && number_of("KVM_EINTR") > 0 && atomic_fetch_add(&runs, 1) % 3) {
            errno = EINTR;
            return -1;
        }
        if (scales(request, argument, &answer) || counts(request, argument, &answer)) {
            return answer;
        }
        if (lacks(request, argument)) {
            errno = ENOTTY;
            return -1;
        }
        if (request == KVM_GET_API_VERSION && number_of("KVM_API") > 0) {
            return number_of("KVM_API");
        }
        if (request == KVM_CHECK_EXTENSION) {
            return check_extension(real(fd, request, argument), (long)argument);
        }
    }
    answer = real(fd, request, argument);
    if (request == KVM_GET_SUPPORTED_CPUID && answer >= 0 && number_of("KVM_AVX512") > 0) {
        add_avx512(argument);
    }
    return answer;
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
