/* SPDX-License-Identifier: MIT */
/*
 * For LD_PRELOAD: a KVM_RUN that leaves the guest for absurd reasons. KVM_FUZZ=SEED:COUNT: so often what the kernel shares with the program is
 * filled with what no kernel says (sizes, counts, ports, offsets, lengths, reasons, the ring of gathered writes, the ring of dirty pages);
 * then the guest ends by port 0x501.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { PAGE = 4096, EXIT_PORT = 0x501, LAST_REASON = 45 };

typedef int Ioctl(int fd, unsigned long request, ...);
typedef void *Map(void *address, size_t size, int protection, int flags, int fd, off_t offset);

static uint64_t seed;
static long left = -1;
static int vcpu = -1, coalesced_page;
static size_t run_bytes, ring_bytes;
static struct kvm_run *run;
static struct kvm_dirty_gfn *ring;

static uint64_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Small, at an edge, or anything. */
static uint64_t number(uint64_t edge)
{
    uint64_t any = next();

    switch (any >> 60 & 3) {
    case 0:
        return any & 7;
    case 1:
        return edge + (any & 3) - 2;
    case 2:
        return UINT64_MAX - (any & 7);
    default:
        return next();
    }
}

static void begin(void)
{
    const char *text = getenv("KVM_FUZZ");

    if (left < 0) {
        seed = text ? strtoull(text, NULL, 10) * 2 + 0x9e3779b97f4a7c15u : 1;
        left = text && strchr(text, ':') ? atol(strchr(text, ':') + 1) : 0;
    }
}

static void fill(void *place, size_t bytes)
{
    uint8_t *at = place;

    for (size_t i = 0; i < bytes; i++) {
        at[i] = (uint8_t)next();
    }
}

static void fill_rings(void)
{
    if (coalesced_page && next() % 4 == 0) {
        struct kvm_coalesced_mmio_ring *writes = (void *)((char *)run + coalesced_page * PAGE);

        fill(writes, PAGE);
        writes->first = (uint32_t)number(170);
        writes->last = (uint32_t)number(170);
    }
    for (size_t i = 0; ring && i < 4; i++) {
        struct kvm_dirty_gfn *entry = &ring[next() % (ring_bytes / sizeof *ring)];

        entry->flags = (uint32_t)next() & 3;
        entry->slot = (uint32_t)number(next() & 1 ? 4 : 1 << 16);
        entry->offset = number(4096);
    }
}

static void fill_run(void)
{
    static const uint32_t common[] = { KVM_EXIT_IO,         KVM_EXIT_IO,
                                       KVM_EXIT_MMIO,       KVM_EXIT_MMIO,
                                       KVM_EXIT_IOAPIC_EOI, KVM_EXIT_DEBUG,
                                       KVM_EXIT_INTR,       KVM_EXIT_DIRTY_RING_FULL,
                                       KVM_EXIT_SET_TPR };
    uint64_t pick = next();

    fill(&run->exit_reason, offsetof(struct kvm_run, s) - offsetof(struct kvm_run, exit_reason));
    fill(&run->io, sizeof run->padding);
    run->exit_reason = pick % 256 ? common[pick / 256 % (sizeof common / sizeof *common)]
                                  : (uint32_t)number(LAST_REASON);
    if (run->exit_reason == KVM_EXIT_HLT) { /* nothing would wake it */
        run->exit_reason = KVM_EXIT_INTR;
    }
    if (run->exit_reason == KVM_EXIT_IO) {
        run->io.direction = (uint8_t)(next() & 1);
        run->io.size = (uint8_t)(next() & 1 ? 1u << next() % 3 : number(4));
        run->io.count = (uint32_t)number(PAGE);
        run->io.data_offset = number(next() & 1 ? run_bytes : PAGE);
        run->io.port = (uint16_t)(run->io.port == EXIT_PORT ? 0 : run->io.port);
    } else if (run->exit_reason == KVM_EXIT_MMIO) {
        run->mmio.len = (uint32_t)number(8);
        run->mmio.is_write = (uint8_t)next();
        run->mmio.phys_addr = next() & 1 ? number(UINT32_MAX) : 0xfec00000 + (next() & 0xffffff);
    }
    fill_rings();
}

static void fill_end(void)
{
    run->exit_reason = KVM_EXIT_IO;
    run->io.direction = KVM_EXIT_IO_OUT;
    run->io.size = 1;
    run->io.count = 1;
    run->io.port = EXIT_PORT;
    run->io.data_offset = PAGE;
    *((uint8_t *)run + PAGE) = 0x10;
}

static int leave(void)
{
    if (run->immediate_exit) {
        errno = EINTR;
        return -1;
    }
    if (left > 0) {
        left--;
        fill_run();
    } else {
        fill_end();
    }
    return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    static Ioctl *real;
    void *argument;
    va_list list;
    int result;

    va_start(list, request);
    argument = va_arg(list, void *);
    va_end(list);
    real = real ? real : (Ioctl *)dlsym(RTLD_NEXT, "ioctl");
    begin();
    if (request == KVM_RUN && run) {
        return leave();
    }
    result = real(fd, request, argument);
    if (request == KVM_GET_VCPU_MMAP_SIZE) {
        run_bytes = (size_t)result;
    } else if (request == KVM_CREATE_VCPU) {
        vcpu = result;
    } else if (request == KVM_CHECK_EXTENSION && (long)argument == KVM_CAP_COALESCED_MMIO) {
        coalesced_page = result > 0 ? result : 0;
    }
    return result;
}

static void *map(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    static Map *real;
    void *place;

    real = real ? real : (Map *)dlsym(RTLD_NEXT, "mmap");
    place = real(address, size, protection, flags, fd, offset);
    if (place != MAP_FAILED && fd >= 0 && fd == vcpu) {
        if (offset == 0) {
            run = place;
        } else {
            ring = place;
            ring_bytes = size;
        }
    }
    return place;
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    return map(address, size, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    return map(address, size, protection, flags, fd, offset);
}
