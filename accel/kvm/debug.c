/* SPDX-License-Identifier: MIT */
/*
 * Debuggers: their points are breakpoints of the processor, which the kernel keeps from the guest (KVM_SET_GUEST_DEBUG).
 * It has four, for virtual addresses. A store or load is told of behind the instruction, so the value before it is not known.
 */
#include <string.h>

#include "accel/kvm/kvm.h"
#include "base/error.h"
#include "base/log.h"
#include "machine/debug.h"

enum { BREAKPOINTS = 4, DR6_STEP = 1 << 14 };

/* The bits of DR7 for a breakpoint; 0: there is no such. */
static uint32_t dr7_bits(const DebugPoint *point, unsigned n)
{
    static const uint8_t lengths[] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };
    uint32_t type = point->access & DEBUG_EXECUTE ? 0 : point->access & DEBUG_READ ? 3 : 1;
    uint64_t size = point->size;

    if (size > (type ? 8 : 1) || (size & (size - 1)) || size == 0 || point->address & (size - 1)) {
        return 0;
    }
    return 1u << 2 * n | (type | (uint32_t)lengths[size] << 2) << (16 + 4 * n);
}

bool kvm_debug_changed(Machine *machine, GError **error)
{
    Kvm *kvm = machine->accel_state;
    const GPtrArray *points = debug_points(machine);
    KvmBreakpoints wanted = { 0 };

    if (points->len && !kvm_has(kvm, KVM_HAS_GUEST_DEBUG)) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "this kernel's KVM has no breakpoints and watchpoints; use -accel tcg");
    }
    if (points->len > BREAKPOINTS) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "the processor has %d breakpoints and watchpoints in all; use -accel tcg "
                          "for more",
                          BREAKPOINTS);
    }
    for (unsigned i = 0; i < points->len; i++) {
        const DebugPoint *point = points->pdata[i];
        uint32_t bits = dr7_bits(point, i);

        if (point->physical || point->before || !bits) {
            return error_fail(error, KASO_ERROR_UNSUPPORTED,
                              "the processor watches 1, 2, 4 or 8 aligned bytes at virtual "
                              "addresses, and tells of them afterwards; use -accel tcg for others");
        }
        wanted.address[i] = point->address;
        wanted.dr7 |= bits;
    }
    kvm->breakpoints = wanted;
    return true;
}

void debug_prepare(KvmVcpu *kv)
{
    const VcpuDebug *debug = &kv->vcpu->debug;
    const KvmBreakpoints *points = &kv->kvm->breakpoints;
    struct kvm_guest_debug wanted = { 0 };
    bool alone = debug->step || debug->pass;

    if (alone) {
        wanted.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
        if (debug_step_flags(kv->kvm->machine) & DEBUG_STEP_NO_INTERRUPTS &&
            kv->kvm->values[KVM_HAS_GUEST_DEBUG2] & KVM_GUESTDBG_BLOCKIRQ) {
            wanted.control |= KVM_GUESTDBG_BLOCKIRQ;
        }
    }
    if (points->dr7 && !debug->pass) {
        wanted.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
        memcpy(wanted.arch.debugreg, points->address, sizeof points->address);
        wanted.arch.debugreg[7] = points->dr7 | 0x400;
    }
    if (memcmp(&wanted, &kv->debug, sizeof wanted) != 0) {
        int result = kvm_ioctl(kv->fd, KVM_SET_GUEST_DEBUG, &wanted);

        kv->debug = wanted;
        if (result < 0) {
            log_printf("cpu%u: KVM_SET_GUEST_DEBUG failed: %s\n", kv->vcpu->index,
                       g_strerror(-result));
        }
    }
}

/* The breakpoint's instruction has not run; its access has. */
static void breakpoint_hit(KvmVcpu *kv, unsigned n)
{
    Vcpu *vcpu = kv->vcpu;
    const GPtrArray *points = debug_points(vcpu->machine);
    const DebugPoint *point = n < points->len ? points->pdata[n] : NULL;

    if (!point) {
        return;
    }
    if (point->access & DEBUG_EXECUTE) {
        vcpu->debug.pass |= !debug_reached(vcpu);
        return;
    }
    debug_accessed(vcpu, point->access, point->address, 0, (unsigned)point->size, true);
    vcpu->debug.watch_known = false;
    debug_done(vcpu);
}

void debug_exit(KvmVcpu *kv)
{
    uint64_t dr6 = kv->run->debug.arch.dr6;

    registers_sync(kv->vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    for (unsigned n = 0; n < BREAKPOINTS; n++) {
        if (dr6 >> n & 1 && kv->debug.control & KVM_GUESTDBG_USE_HW_BP) {
            breakpoint_hit(kv, n);
        }
    }
    if (dr6 & DR6_STEP) {
        debug_done(kv->vcpu);
    }
}
