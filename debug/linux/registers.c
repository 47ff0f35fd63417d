/* SPDX-License-Identifier: MIT */
/* A vCPU's registers; see the header. */
#include "debug/linux/registers.h"

#include <string.h>

#include "base/bits.h"
#include "machine/target.h"

bool linux_arch_of(Machine *machine, LinuxArch *arch)
{
    const Vcpu *vcpu = machine->vcpus->len ? machine->vcpus->pdata[0] : NULL;
    bool arm = vcpu && !strcmp(vcpu->target->name, "aarch64");
    bool x86 =
        vcpu && (!strcmp(vcpu->target->name, "x86_64") || !strcmp(vcpu->target->name, "i386"));

    *arch = arm ? LINUX_ARM64 : LINUX_X86_64;
    return arm || x86;
}

uint64_t linux_register(Vcpu *vcpu, const char *name)
{
    const TargetRegister *reg = target_register_find(vcpu->target, name);
    uint8_t bytes[TARGET_REGISTER_BYTES_MAX] = { 0 };

    if (!reg) {
        return 0;
    }
    target_register_read(vcpu, reg, bytes);
    return load_le64(bytes) & bits_mask(MIN(reg->bits, 64));
}

void linux_vcpu_paging(Vcpu *vcpu, LinuxKernel *kernel)
{
    static const unsigned granules[4] = { 12, 14, 12,
                                          16 }; /* TCR_EL1.TG1: 1: 16, 2: 4, 3: 64 KiB */
    enum { PAE = 1 << 5, LA57 = 1 << 12 };
    uint64_t tcr, cr4;

    if (kernel->arch == LINUX_ARM64) {
        tcr = linux_register(vcpu, "tcr_el1");
        kernel->page_bits = granules[bits_extract(tcr, 30, 2)];
        kernel->address_bits = 64 - CLAMP(bits_extract(tcr, 16, 6), 12, 39);
        kernel->entry_bytes = 8;
        kernel->root = linux_register(vcpu, "ttbr1_el1") & UINT64_C(0x0000ffffffffffc0);
        return;
    }
    cr4 = linux_register(vcpu, "cr4");
    kernel->page_bits = 12;
    kernel->entry_bytes = kernel->arch == LINUX_I386 && !(cr4 & PAE) ? 4 : 8;
    kernel->address_bits = kernel->arch == LINUX_I386 ? 32 : cr4 & LA57 ? 57 : 48;
    /* With PAE the four entries of the first level need not begin at a page. */
    kernel->root =
        linux_register(vcpu, "cr3") &
        (kernel->arch == LINUX_I386 ? UINT64_C(0xffffffe0) : UINT64_C(0x000ffffffffff000));
}
