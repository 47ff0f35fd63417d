/* SPDX-License-Identifier: MIT */
/* The accelerator "kvm": vCPUs run on the host's processor, by Linux's KVM. */
#include "accel/kvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "base/log.h"
#include "machine/debug.h"
#include "machine/saved-state.h"

#define DEFAULT_DEVICE "/dev/kvm"

/* Three pages that older Intel processors want for real mode, and one for its tables: below the firmware. */
#define TSS_ADDRESS          0xfffbd000u
#define IDENTITY_MAP_ADDRESS 0xfffbc000u

static const Property kvm_properties[] = {
    { "kernel-irqchip", PROPERTY_ENUM, offsetof(Kvm, irqchip_wanted),
      "interrupt controllers: in the kernel (on), local APICs there (split), none there (off)",
      "on", (const char *const[]){ "off", "split", "on", NULL } },
    { "kvm-shadow-mem", PROPERTY_SIZE, offsetof(Kvm, shadow_memory),
      "most bytes of shadow page tables; 0: as the kernel likes", "0" },
    { "dirty-ring-size", PROPERTY_U32, offsetof(Kvm, dirty_ring_size),
      "entries of each CPU's ring of dirty pages, a power of two; 0: bitmaps", "0" },
    { "device", PROPERTY_STRING, offsetof(Kvm, device),
      "the kernel's device, or /dev/fdset/N for a descriptor of -add-fd; "
      "default: " DEFAULT_DEVICE },
    { "notify-vmexit", PROPERTY_ENUM, offsetof(Kvm, notify),
      "what becomes of a guest that lets no event through for longer than notify-window (Intel's "
      "processors): it goes on (run), ends (internal-error), or nobody looks (disable)",
      "run", (const char *const[]){ "run", "internal-error", "disable", NULL } },
    { "notify-window", PROPERTY_U32, offsetof(Kvm, notify_window),
      "cycles of the processor, beside a least number of its own", "0" },
    { 0 },
};

int kvm_ioctl(int fd, unsigned long request, const void *argument)
{
    int result;

    do {
        result = ioctl(fd, request, argument);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

bool kvm_do(int fd, unsigned long request, const void *argument, const char *name, GError **error)
{
    int result = kvm_ioctl(fd, request, argument);

    return result >= 0 || error_fail_errno(error, -result, "KVM: %s failed", name);
}

void kvm_fail(Kvm *kvm, KvmVcpu *kv, int status, char *text)
{
    atomic_store(&kvm->failed, true);
    if (kv) {
        GString *dump = g_string_new(NULL);

        registers_sync(kv->vcpu, VCPU_SYNC_FROM_ACCELERATOR);
        kv->vcpu->target->describe(kv->vcpu, false, dump);
        log_printf("cpu%u: %s\n%s", kv->vcpu->index, text, dump->str);
        g_string_free(dump, TRUE);
    }
    machine_request_end(kvm->machine, STOP_ERROR, text, status);
    g_free(text);
}

static bool open_device(Kvm *kvm, GError **error)
{
    const char *advice = "use -accel tcg", *device = kvm->device ? kvm->device : DEFAULT_DEVICE;
    int version;

    kvm->system = descriptors_open(device, O_RDWR, 0);
    if (kvm->system < 0) {
        int failure = errno;

        advice = failure == ENOENT   ? "load the module kvm-intel or kvm-amd, or use -accel tcg"
                 : failure == EACCES ? "join its group (usually kvm), or use -accel tcg"
                                     : advice;
        return error_fail(error, KASO_ERROR_IO, "-accel kvm: cannot open '%s': %s; %s", device,
                          g_strerror(failure), advice);
    }
    version = ioctl(kvm->system, KVM_GET_API_VERSION, 0);
    if (version < 0) {
        return error_fail(error, KASO_ERROR_IO, "-accel kvm: '%s' is no KVM: %s; %s", device,
                          g_strerror(errno), advice);
    }
    if (version != KVM_API_VERSION) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "-accel kvm: '%s' has version %d of the interface, not %d; %s", device,
                          version, KVM_API_VERSION, advice);
    }
    return true;
}

static bool create_vm(Kvm *kvm, GError **error)
{
    int bytes = ioctl(kvm->system, KVM_GET_VCPU_MMAP_SIZE, 0);

    if (bytes < (int)sizeof(struct kvm_run)) {
        return error_fail_errno(error, errno, "-accel kvm: KVM_GET_VCPU_MMAP_SIZE failed");
    }
    kvm->run_bytes = (size_t)bytes;
    kvm->vm = kvm_ioctl(kvm->system, KVM_CREATE_VM, NULL);
    if (kvm->vm < 0) {
        return error_fail(error, KASO_ERROR_IO,
                          "-accel kvm: the kernel makes no virtual machine: KVM_CREATE_VM failed: "
                          "%s; use -accel tcg",
                          g_strerror(-kvm->vm));
    }
    return true;
}

static bool place_helpers(Kvm *kvm, GError **error)
{
    uint64_t identity_map = IDENTITY_MAP_ADDRESS;

    if (!kvm_has(kvm, KVM_HAS_SET_TSS_ADDR)) {
        return true;
    }
    kvm_ioctl(kvm->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map); /* else it is where it was */
    return KVM_DO(kvm->vm, KVM_SET_TSS_ADDR, (void *)(uintptr_t)TSS_ADDRESS, error);
}

static bool kvm_runs(const Target *target)
{
    return target->x86;
}

static bool check_target(Machine *machine, GError **error)
{
    const Target *target = machine->config.target;

    return kvm_runs(target) || error_fail(error, KASO_ERROR_UNSUPPORTED,
                                          "-accel kvm: the host's processor does not run code of "
                                          "target '%s'; use -accel tcg",
                                          target->name);
}

static bool check_vcpus(const Kvm *kvm, GError **error)
{
    int most = kvm_has(kvm, KVM_HAS_MAX_VCPUS)  ? kvm->values[KVM_HAS_MAX_VCPUS]
               : kvm_has(kvm, KVM_HAS_NR_VCPUS) ? kvm->values[KVM_HAS_NR_VCPUS]
                                                : 4;

    return kvm->machine->config.vcpus <= (unsigned)most ||
           error_fail(error, KASO_ERROR_INVALID,
                      "-accel kvm: -smp %u: this kernel's KVM runs %d CPUs at most",
                      kvm->machine->config.vcpus, most);
}

static bool choose_shadow_memory(Kvm *kvm, GError **error)
{
    return !kvm->shadow_memory || KVM_DO(kvm->vm, KVM_SET_NR_MMU_PAGES,
                                         (void *)(uintptr_t)(kvm->shadow_memory / 4096), error);
}

/* -overcommit cpu-pm=on: a guest that waits keeps the host's processor, which then has nothing to wake up from. */
static bool keep_processors(Kvm *kvm, GError **error)
{
    const struct kvm_enable_cap cap = {
        .cap = KVM_CAP_X86_DISABLE_EXITS,
        .args = { (uint64_t)kvm->values[KVM_HAS_DISABLE_EXITS] &
                  (KVM_X86_DISABLE_EXITS_MWAIT | KVM_X86_DISABLE_EXITS_HLT |
                   KVM_X86_DISABLE_EXITS_PAUSE | KVM_X86_DISABLE_EXITS_CSTATE) },
    };

    if (!kvm->machine->config.cpu_pm) {
        return true;
    }
    if (!kvm_has(kvm, KVM_HAS_DISABLE_EXITS)) {
        return error_fail(
            error, KASO_ERROR_UNSUPPORTED,
            "-overcommit cpu-pm=on: this kernel's KVM cannot leave waiting to the guest");
    }
    return KVM_DO(kvm->vm, KVM_ENABLE_CAP, &cap, error);
}

/* Guests are not shown the kernel's performance counters, which otherwise are looked through at each instruction that the kernel carries out. */
static bool leave_out_counters(Kvm *kvm, GError **error)
{
    const struct kvm_enable_cap cap = { .cap = KVM_CAP_PMU_CAPABILITY,
                                        .args = { KVM_PMU_CAP_DISABLE } };

    return !(kvm->values[KVM_HAS_PMU_CAPABILITY] & KVM_PMU_CAP_DISABLE) ||
           KVM_DO(kvm->vm, KVM_ENABLE_CAP, &cap, error);
}

/* Guests that run with interrupts blocked for ever, by a bug of older processors' or on purpose. */
static bool look_for_blocked(Kvm *kvm, GError **error)
{
    const struct kvm_enable_cap cap = {
        .cap = KVM_CAP_X86_NOTIFY_VMEXIT,
        .args = { (uint64_t)kvm->notify_window << 32 | KVM_X86_NOTIFY_VMEXIT_ENABLED |
                  KVM_X86_NOTIFY_VMEXIT_USER },
    };

    if (kvm_has(kvm, KVM_HAS_NOTIFY_VMEXIT) && kvm->notify != KVM_NOTIFY_DISABLE) {
        return KVM_DO(kvm->vm, KVM_ENABLE_CAP, &cap, error);
    }
    return kvm->notify != KVM_NOTIFY_INTERNAL_ERROR ||
           error_fail(error, KASO_ERROR_UNSUPPORTED,
                      "-accel kvm,notify-vmexit=internal-error: this host's processor or KVM does "
                      "not look for guests that block all events; leave it out");
}

static void close_one(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

static void close_all(Kvm *kvm)
{
    irqchip_free(kvm);
    doorbells_free(kvm);
    slots_free(kvm);
    kvm->machine->kernel_chips = NULL;
    g_clear_pointer(&kvm->supported, g_free);
    g_clear_pointer(&kvm->hyperv, g_free);
    g_clear_pointer(&kvm->vcpus, g_ptr_array_unref);
    close_one(&kvm->statistics_fd);
    close_one(&kvm->vm);
    close_one(&kvm->system);
}

static bool kvm_init(Machine *machine, void *state, GError **error)
{
    Kvm *kvm = state;

    kvm->machine = machine;
    kvm->system = kvm->vm = kvm->statistics_fd = -1;
    kvm->irqchip = (KvmIrqchip)kvm->irqchip_wanted;
    kvm->vcpus = g_ptr_array_new();
    if (!check_target(machine, error) || !open_device(kvm, error) || !create_vm(kvm, error) ||
        !capabilities_find(kvm, error) || !check_vcpus(kvm, error) || !place_helpers(kvm, error) ||
        !choose_shadow_memory(kvm, error) || !dirty_ring_choose(kvm, error) ||
        !cpuid_load_supported(kvm, error) || !slots_create(kvm, error) ||
        !irqchip_create(kvm, error) || !keep_processors(kvm, error) ||
        !leave_out_counters(kvm, error) || !look_for_blocked(kvm, error)) {
        close_all(kvm);
        return false;
    }
    if (!kvm_has(kvm, KVM_HAS_SMM) || kvm->values[KVM_HAS_ADDRESS_SPACES] < KVM_SPACES) {
        machine->accelerator_lacks |= ACCELERATOR_SMM;
    }
    kvm->statistics_fd = kvm_statistics_open(kvm, kvm->vm);
    hyperv_load(kvm);
    clock_follow(kvm);
    machine_save_bound(machine, "a virtual machine of its own that runs", nested_is_saved);
    return true;
}

static void kvm_shutdown(Machine *machine, void *state)
{
    close_all(state);
}

static const Accelerator kvm_accelerator = {
    .name = "kvm",
    .runs = kvm_runs,
    .summary = "the host's processor, by Linux's KVM",
    .properties = kvm_properties,
    .state_size = sizeof(Kvm),
    .abilities = ACCELERATOR_RUNS_CODE | ACCELERATOR_HOST_PROCESSOR | ACCELERATOR_SMM,
    .init = kvm_init,
    .shutdown = kvm_shutdown,
    .vcpu_init = kvm_vcpu_create,
    .vcpu_free = kvm_vcpu_free,
    .vcpu_run = kvm_vcpu_run,
    .vcpu_kick = kvm_vcpu_kick,
    .vcpu_settle = kvm_vcpu_settle,
    .vcpu_has_work = interrupts_wake,
    .vcpu_reset = registers_reset,
    .sync = registers_sync,
    .resume = registers_resume,
    .state = kvm_state,
    .vcpu_state = kvm_vcpu_state,
    .state_saving = kvm_state_saving,
    .state_loaded = kvm_state_loaded,
    .debug_changed = kvm_debug_changed,
    .debug_events = UINT32_C(1) << DEBUG_PORT | UINT32_C(1) << DEBUG_TRIPLE_FAULT,
    .describe = kvm_describe,
    .statistics = kvm_statistics,
    .cpuid = cpuid_supported,
    .hyperv = hyperv_supported,
};
ACCELERATOR(kvm_accelerator);
