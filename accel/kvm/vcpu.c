/* SPDX-License-Identifier: MIT */
/*
 * vCPUs: their descriptors, and the loop around KVM_RUN.
 *
 * A kick says so in immediate_exit, which the kernel reads when it enters; only a thread that is in KVM_RUN is sent a
 * signal, and one at a time. immediate_exit is cleared before the reasons for kicks are looked at, so none is lost.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "accel/kvm/kvm.h"
#include "base/error.h"

#define KICK_SIGNAL SIGUSR1

/* It has done its work when it has interrupted KVM_RUN. */
static void kick_arrived(int signal_number)
{
}

static bool take_signal(GError **error)
{
    struct sigaction action = { .sa_handler = kick_arrived, .sa_flags = SA_RESTART };

    return sigaction(KICK_SIGNAL, &action, NULL) == 0 ||
           error_fail_errno(error, errno, "KVM: cannot take the signal of kicks");
}

static bool map_run(KvmVcpu *kv, GError **error)
{
    void *run = mmap(NULL, kv->kvm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, kv->fd, 0);

    if (run == MAP_FAILED) {
        return error_fail_errno(error, errno, "KVM: cannot map what is shared with CPU %u",
                                kv->vcpu->index);
    }
    kv->run = run;
    coalesced_attach(kv);
    return dirty_ring_map(kv, error);
}

/* What the kernel takes for the same, too. */
static bool is_same_rate(uint64_t a_khz, int b_khz)
{
    enum { TOLERANCE_PPM = 250 };
    int64_t b = MAX(b_khz, 0), difference = (int64_t)a_khz - b;

    return a_khz < INT32_MAX && ABS(difference) <= b * TOLERANCE_PPM / 1000000;
}

/* The guest's rate of time stamps: the user's, where the kernel can; the host's otherwise. */
static bool choose_tsc_rate(KvmVcpu *kv, GError **error)
{
    uint64_t wanted_khz = kv->x86->wanted_tsc_hz(kv->vcpu) / 1000;
    int khz = kvm_has(kv->kvm, KVM_HAS_GET_TSC_KHZ) ? kvm_ioctl(kv->fd, KVM_GET_TSC_KHZ, NULL) : -1;

    if (wanted_khz && !is_same_rate(wanted_khz, khz)) {
        int result = kvm_has(kv->kvm, KVM_HAS_TSC_CONTROL)
                         ? kvm_ioctl(kv->fd, KVM_SET_TSC_KHZ, (void *)(uintptr_t)wanted_khz)
                         : -EOPNOTSUPP;

        if (result < 0) {
            return error_fail(error, KASO_ERROR_UNSUPPORTED,
                              "-cpu …,tsc-frequency=%" PRIu64 "000: this host's counter runs at "
                              "%d kHz and KVM cannot scale it: %s",
                              wanted_khz, khz, g_strerror(-result));
        }
        khz = (int)wanted_khz;
    }
    if (khz > 0) {
        kv->x86->set_tsc_hz(kv->vcpu, (uint64_t)khz * 1000);
    }
    return true;
}

bool kvm_vcpu_create(Vcpu *vcpu, GError **error)
{
    Kvm *kvm = vcpu->machine->accel_state;
    KvmVcpu *kv = g_new0(KvmVcpu, 1);

    kv->vcpu = vcpu;
    kv->kvm = kvm;
    kv->x86 = vcpu->target->x86;
    kv->fd = kvm_ioctl(kvm->vm, KVM_CREATE_VCPU, (void *)(uintptr_t)vcpu->index);
    if (kv->fd < 0) {
        int failure = -kv->fd;

        g_free(kv);
        return error_fail(error, KASO_ERROR_IO, "KVM: KVM_CREATE_VCPU failed for CPU %u: %s",
                          vcpu->index, g_strerror(failure));
    }
    kv->statistics_fd = kvm_statistics_open(kvm, kv->fd);
    vcpu->accel = kv;
    g_ptr_array_add(kvm->vcpus, kv);
    return take_signal(error) && map_run(kv, error) && choose_tsc_rate(kv, error) &&
           hyperv_enable(kv, error) && cpuid_set(kv, error) && registers_create(kv, error);
}

void kvm_vcpu_free(Vcpu *vcpu)
{
    KvmVcpu *kv = kvm_vcpu(vcpu);

    g_ptr_array_remove(kv->kvm->vcpus, kv);
    registers_free(kv);
    coalesced_detach(kv);
    dirty_ring_unmap(kv);
    if (kv->run) {
        munmap(kv->run, kv->kvm->run_bytes);
    }
    if (kv->statistics_fd >= 0) {
        close(kv->statistics_fd);
    }
    close(kv->fd);
    g_free(kv);
    vcpu->accel = NULL;
}

void kvm_vcpu_kick(Vcpu *vcpu)
{
    KvmVcpu *kv = kvm_vcpu(vcpu);

    if (!kv->run) {
        return;
    }
    __atomic_store_n(&kv->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (atomic_load(&kv->in_run) && !atomic_exchange(&kv->signalled, true)) {
        pthread_kill(vcpu->thread, KICK_SIGNAL);
    }
}

/* --- the gate --- */

static void gate_left(KvmVcpu *kv)
{
    Kvm *kvm = kv->kvm;

    atomic_store(&kv->in_run, false);
    if (G_UNLIKELY(atomic_load(&kvm->gate_closed))) {
        g_mutex_lock(&kvm->gate_lock);
        g_cond_broadcast(&kvm->gate_moved);
        g_mutex_unlock(&kvm->gate_lock);
    }
}

static void gate_enter(KvmVcpu *kv)
{
    Kvm *kvm = kv->kvm;

    atomic_store(&kv->in_run, true);
    while (G_UNLIKELY(atomic_load(&kvm->gate_closed))) {
        gate_left(kv);
        g_mutex_lock(&kvm->gate_lock);
        while (atomic_load(&kvm->gate_closed)) {
            g_cond_wait(&kvm->gate_moved, &kvm->gate_lock);
        }
        g_mutex_unlock(&kvm->gate_lock);
        atomic_store(&kv->in_run, true);
    }
}

void gate_close(Kvm *kvm)
{
    Vcpu *self = vcpu_current();

    atomic_store(&kvm->gate_closed, true);
    for (unsigned i = 0; i < kvm->vcpus->len; i++) {
        KvmVcpu *kv = kvm->vcpus->pdata[i];

        if (kv->vcpu == self) {
            continue;
        }
        g_mutex_lock(&kvm->gate_lock);
        while (atomic_load(&kv->in_run)) {
            kvm_vcpu_kick(kv->vcpu);
            g_cond_wait(&kvm->gate_moved, &kvm->gate_lock);
        }
        g_mutex_unlock(&kvm->gate_lock);
    }
}

void gate_open(Kvm *kvm)
{
    g_mutex_lock(&kvm->gate_lock);
    atomic_store(&kvm->gate_closed, false);
    g_cond_broadcast(&kvm->gate_moved);
    g_mutex_unlock(&kvm->gate_lock);
}

/* --- the loop --- */

static void run_failed(KvmVcpu *kv, int failure)
{
    kvm_fail(kv->kvm, kv, KVM_STATUS_HOST,
             g_strdup_printf("KVM_RUN failed on CPU %u: %s%s", kv->vcpu->index, g_strerror(failure),
                             failure == EFAULT ? " (guest memory that the host cannot give)" : ""));
}

/* false: the kernel refused the registers. */
static bool enter(KvmVcpu *kv)
{
    int result;

    if (kv->changed && !registers_put(kv)) {
        return false;
    }
    debug_prepare(kv);
    interrupts_entering(kv);
    kv->fetched = kv->taken_back = kv->given = false;
    gate_enter(kv);
    result = ioctl(kv->fd, KVM_RUN, 0);
    gate_left(kv);
    kv->unfinished = false;
    interrupts_after(kv);
    coalesced_flush(kv->kvm);
    if (result == 0) {
        exit_handle(kv);
    } else if (errno == EINTR || errno == EAGAIN) {
        kv->kicks++;
    } else {
        run_failed(kv, errno);
    }
    return true;
}

/* Accesses that the kernel splits come one by one, so there may be several to answer. */
void kvm_vcpu_settle(Vcpu *vcpu)
{
    KvmVcpu *kv = kvm_vcpu(vcpu);

    do {
        __atomic_store_n(&kv->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    } while (kv->unfinished && enter(kv));
}

void kvm_vcpu_refresh(Vcpu *vcpu)
{
    KvmVcpu *kv = kvm_vcpu(vcpu);

    __atomic_store_n(&kv->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    enter(kv);
}

static void run_once(KvmVcpu *kv)
{
    Vcpu *vcpu = kv->vcpu;

    /* What it would meet now follows from what has failed, which is what people are to read. */
    if (atomic_load(&kv->kvm->failed)) {
        atomic_store(&vcpu->stop_requested, true);
        return;
    }
    if (!atomic_load(&vcpu->stop_requested) && interrupts_before(kv)) {
        enter(kv);
    }
}

void kvm_vcpu_run(Vcpu *vcpu)
{
    KvmVcpu *kv = kvm_vcpu(vcpu);
    sigset_t kick;

    sigemptyset(&kick);
    sigaddset(&kick, KICK_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
    for (;;) {
        /* Before the safe point looks at what kicks stand for, and run_once at the rest. */
        atomic_store(&kv->signalled, false);
        __atomic_store_n(&kv->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
        if (!vcpu_safe_point(vcpu)) {
            return;
        }
        run_once(kv);
    }
}
