/* SPDX-License-Identifier: MIT */
/*
 * Model-specific registers: those that the kernel lists, and those of the target's table. The target's are changed by
 * changing the CPU structure; the others stay as they are but for a reset, which brings back what a new vCPU had.
 * What the kernel refuses is said once, and left out.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "accel/kvm/kvm.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"

enum {
    MSR_TSC = 0x10,
    MSR_APIC_BASE = 0x1b,
    MSR_TSC_DEADLINE = 0x6e0,
    LIST_MOST = 4096,
    SAVED_BYTES = 4 + 8, /* of one in a snapshot */
};

/* Of Hyper-V's interfaces the kernel lists only some. It refuses those that are not switched on. */
enum {
    HYPERV_SYNIC = 0x40000082, /* pages of events and messages */
    HYPERV_SYNIC_LAST = 0x40000083,
    HYPERV_SOURCE = 0x40000090, /* interrupts, then timers: each its configuration and its count */
    HYPERV_TIMER_LAST = 0x400000b7,
};

/* They travel by other means, or are another's. */
static bool is_elsewhere(uint32_t index)
{
    static const uint32_t others[] = { MSR_APIC_BASE, 0xc0000080, 0xc0000100, 0xc0000101 };

    for (unsigned i = 0; i < G_N_ELEMENTS(others); i++) {
        if (others[i] == index) {
            return true;
        }
    }
    return false;
}

static struct kvm_msr_entry *entries(const KvmVcpu *kv)
{
    return kv->msr_list->entries;
}

static const TargetRegister *register_of(const Target *target, uint32_t index)
{
    for (const TargetRegister *reg = target->registers; reg->name; reg++) {
        if (reg->accelerator_id == index && index) {
            return reg;
        }
    }
    return NULL;
}

static void add(KvmVcpu *kv, uint32_t index)
{
    for (unsigned i = 0; i < kv->msr_count; i++) {
        if (entries(kv)[i].index == index) {
            return;
        }
    }
    if (!is_elsewhere(index) && kv->msr_count < LIST_MOST) {
        entries(kv)[kv->msr_count].index = index;
        kv->msrs[kv->msr_count].reg = index == MSR_TSC || index == MSR_TSC_DEADLINE
                                          ? NULL
                                          : register_of(kv->vcpu->target, index);
        kv->msr_count++;
    }
}

static void add_hyperv(KvmVcpu *kv)
{
    for (uint32_t index = HYPERV_SYNIC; kv->synic && index <= HYPERV_TIMER_LAST; index++) {
        if (index <= HYPERV_SYNIC_LAST || index >= HYPERV_SOURCE) {
            add(kv, index);
        }
    }
}

static struct kvm_msr_list *kernel_list(Kvm *kvm)
{
    struct kvm_msr_list *list = g_malloc0(sizeof *list + LIST_MOST * sizeof list->indices[0]);

    list->nmsrs = LIST_MOST;
    if (kvm_ioctl(kvm->system, KVM_GET_MSR_INDEX_LIST, list) < 0) {
        list->nmsrs = 0;
    }
    return list;
}

static void refuse(KvmVcpu *kv, unsigned i, const char *what)
{
    kv->msrs[i].refused = true;
    if (kv->vcpu->index == 0) {
        log_unimplemented("kvm", "MSR %#x: the kernel refuses to %s it; it is left alone",
                          entries(kv)[i].index, what);
    }
}

/* One ioctl for runs of what is not refused; the kernel stops at what it refuses. */
static void transfer(KvmVcpu *kv, unsigned long request, const char *what,
                     bool (*wanted)(KvmVcpu *kv, unsigned i))
{
    struct kvm_msrs *part = g_malloc0(sizeof *part + kv->msr_count * sizeof(struct kvm_msr_entry));
    g_autofree unsigned *places = g_new0(unsigned, kv->msr_count + 1);
    unsigned first = 0;
    int done;

    do {
        part->nmsrs = 0;
        for (unsigned i = first; i < kv->msr_count; i++) {
            if (!kv->msrs[i].refused && (!wanted || wanted(kv, i))) {
                places[part->nmsrs] = i;
                part->entries[part->nmsrs++] = entries(kv)[i];
            }
        }
        done = part->nmsrs ? kvm_ioctl(kv->fd, request, part) : 0;
        for (int i = 0; i < done; i++) {
            entries(kv)[places[i]].data = part->entries[i].data;
        }
        if (done >= 0 && (unsigned)done < part->nmsrs) {
            refuse(kv, places[done], what);
            first = places[done] + 1;
        }
    } while (done >= 0 && (unsigned)done < part->nmsrs);
    g_free(part);
}

bool msrs_create(KvmVcpu *kv, GError **error)
{
    g_autofree struct kvm_msr_list *list = kernel_list(kv->kvm);

    kv->msrs = g_new0(KvmMsr, LIST_MOST);
    kv->msr_list = g_malloc0(sizeof *kv->msr_list + LIST_MOST * sizeof(struct kvm_msr_entry));
    for (unsigned i = 0; i < list->nmsrs; i++) {
        add(kv, list->indices[i]);
    }
    for (const TargetRegister *reg = kv->vcpu->target->registers; reg->name; reg++) {
        if (reg->accelerator_id) {
            add(kv, (uint32_t)reg->accelerator_id);
        }
    }
    add_hyperv(kv);
    transfer(kv, KVM_GET_MSRS, "read", NULL);
    for (unsigned i = 0; i < kv->msr_count; i++) {
        kv->msrs[i].initial = entries(kv)[i].index == MSR_TSC ? 0 : entries(kv)[i].data;
    }
    msrs_reset(kv);
    return true;
}

void msrs_free(KvmVcpu *kv)
{
    g_clear_pointer(&kv->saved_msrs, g_free);
    g_clear_pointer(&kv->saved_nested, g_free);
    g_free(kv->msrs);
    g_free(kv->msr_list);
}

static uint64_t read_register(KvmVcpu *kv, const TargetRegister *reg)
{
    uint8_t value[TARGET_REGISTER_BYTES_MAX] = { 0 };

    target_register_read(kv->vcpu, reg, value);
    return load_le64(value);
}

static void write_register(KvmVcpu *kv, const TargetRegister *reg, uint64_t data)
{
    uint8_t value[TARGET_REGISTER_BYTES_MAX] = { 0 };

    store_le64(value, data);
    target_register_write(kv->vcpu, reg, value);
}

/* The target keeps the counter as an offset from its clock. */
static const TargetRegister *tsc_register(KvmVcpu *kv)
{
    return register_of(kv->vcpu->target, MSR_TSC);
}

void msrs_fetch(KvmVcpu *kv)
{
    transfer(kv, KVM_GET_MSRS, "read", NULL);
    for (unsigned i = 0; i < kv->msr_count; i++) {
        const TargetRegister *reg =
            entries(kv)[i].index == MSR_TSC ? tsc_register(kv) : kv->msrs[i].reg;

        if (reg && !kv->msrs[i].refused) {
            write_register(kv, reg, entries(kv)[i].data);
        }
    }
}

void msrs_note(KvmVcpu *kv)
{
    for (unsigned i = 0; i < kv->msr_count; i++) {
        if (kv->msrs[i].reg) {
            kv->msrs[i].last = read_register(kv, kv->msrs[i].reg);
        }
    }
}

static bool is_changed(KvmVcpu *kv, unsigned i)
{
    const KvmMsr *msr = &kv->msrs[i];

    return msr->reg && (kv->everything || read_register(kv, msr->reg) != msr->last);
}

static bool is_given(KvmVcpu *kv, unsigned i)
{
    return is_changed(kv, i) || (kv->everything && !kv->msrs[i].reg);
}

void msrs_put(KvmVcpu *kv)
{
    for (unsigned i = 0; i < kv->msr_count; i++) {
        struct kvm_msr_entry *entry = &entries(kv)[i];

        if (is_changed(kv, i)) {
            entry->data = read_register(kv, kv->msrs[i].reg);
        } else if (kv->everything && entry->index == MSR_TSC) {
            entry->data = read_register(kv, tsc_register(kv));
        } else if (kv->everything && !kv->msrs[i].reg) {
            entry->data = kv->msrs[i].wanted;
        }
    }
    transfer(kv, KVM_SET_MSRS, "write", is_given);
}

void msrs_reset(KvmVcpu *kv)
{
    for (unsigned i = 0; i < kv->msr_count; i++) {
        kv->msrs[i].wanted = kv->msrs[i].initial;
    }
    kv->saved_msrs_bytes = kv->saved_nested_bytes = 0;
}

/* Of those that the target does not know; the counter it does, and its deadline is the local APIC's. */
static KvmMsr *find_unknown(const KvmVcpu *kv, uint32_t index, uint64_t *value)
{
    for (unsigned i = 0; i < kv->msr_count; i++) {
        if (entries(kv)[i].index == index && !kv->msrs[i].reg) {
            *value = entries(kv)[i].data;
            return &kv->msrs[i];
        }
    }
    return NULL;
}

void msrs_save(KvmVcpu *kv)
{
    uint8_t *to = kv->saved_msrs = g_realloc(kv->saved_msrs, (size_t)kv->msr_count * SAVED_BYTES);

    for (unsigned i = 0; i < kv->msr_count; i++) {
        const struct kvm_msr_entry *entry = &entries(kv)[i];

        if (!kv->msrs[i].reg && !kv->msrs[i].refused && entry->data != kv->msrs[i].initial &&
            entry->index != MSR_TSC && entry->index != MSR_TSC_DEADLINE) {
            store_le32(to, entry->index);
            store_le64(to + 4, entry->data);
            to += SAVED_BYTES;
        }
    }
    kv->saved_msrs_bytes = (uint32_t)(to - kv->saved_msrs);
}

void msrs_load(KvmVcpu *kv)
{
    uint64_t value;

    for (uint32_t at = 0; at + SAVED_BYTES <= kv->saved_msrs_bytes; at += SAVED_BYTES) {
        uint32_t index = load_le32(kv->saved_msrs + at);
        KvmMsr *msr = find_unknown(kv, index, &value);

        if (msr) {
            msr->wanted = load_le64(kv->saved_msrs + at + 4);
        } else if (kv->vcpu->index == 0) {
            log_unimplemented("kvm", "MSR %#x of the saved state: this kernel has none", index);
        }
    }
}

uint64_t msrs_get_deadline(const KvmVcpu *kv)
{
    uint64_t value = 0;
    const KvmMsr *msr = find_unknown(kv, MSR_TSC_DEADLINE, &value);

    return msr && kv->everything ? msr->wanted : value;
}

void msrs_set_deadline(KvmVcpu *kv, uint64_t deadline)
{
    uint64_t value;
    KvmMsr *msr = find_unknown(kv, MSR_TSC_DEADLINE, &value);

    if (msr) {
        msr->wanted = deadline;
    }
}
