/* SPDX-License-Identifier: MIT */
/*
 * The part of `virt`'s memory map that depends on how much RAM there is: what lies above it. Linux and
 * EDK2 take the addresses from the device tree; they are QEMU's, for images that carry a tree of their own.
 */
#include <inttypes.h>

#include "base/error.h"
#include "hw/board/virt.h"

static unsigned physical_bits(const Machine *machine)
{
    const Target *target = machine->config.target;

    return target->physical_bits ? target->physical_bits(machine->config.cpu_model) : 64;
}

static bool check_ram(const Virt *virt, unsigned bits, GError **error)
{
    const MachineConfig *config = &virt->machine->config;
    uint64_t most = virt->highmem ? bits_mask(bits) - VIRT_RAM_BASE + 1 : GIB(3);

    if (config->ram_bytes > most) {
        return virt->highmem
                   ? error_fail(
                         error, KASO_ERROR_INVALID,
                         "machine 'virt': CPU '%s' has %u address bits, which leaves room for "
                         "%" PRIu64 " MiB of RAM, but -m gives %" PRIu64 " MiB",
                         config->cpu_model->name, bits, most >> 20, config->ram_bytes >> 20)
                   : error_fail(
                         error, KASO_ERROR_INVALID,
                         "machine 'virt': with highmem=off RAM is at most 3 GiB, but -m gives "
                         "%" PRIu64 " MiB",
                         config->ram_bytes >> 20);
    }
    return true;
}

static bool check_vcpus(const Virt *virt, GError **error)
{
    unsigned vcpus = virt->machine->config.vcpus, first = virt_first_redistributors(virt);

    if (!virt_has_gicv3(virt) && vcpus > VIRT_GICV2_MAX_VCPUS) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "-smp: machine 'virt' takes up to %d CPUs with gic-version=2, not %u; give "
            "-M virt,gic-version=3",
            VIRT_GICV2_MAX_VCPUS, vcpus);
    }
    if (virt_has_gicv3(virt) && vcpus > first && !virt->high[VIRT_HIGH_REDIST]) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "-smp: machine 'virt' takes up to %u CPUs without the second region of "
                          "redistributors (highmem, highmem-redists, and room behind RAM), not %u",
                          first, vcpus);
    }
    return true;
}

static bool check_choices(const Virt *virt, GError **error)
{
    if (virt->msi == VIRT_MSI_ITS || virt->msi == VIRT_MSI_OFF) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "machine 'virt': msi=%s: not yet: message interrupts go to the GICv2m",
                          virt->msi == VIRT_MSI_ITS ? "its" : "off");
    }
    if (virt->mmio_slots > VIRT_MMIO_SLOTS) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "machine 'virt': virtio-mmio-transports=%u: it has room for %u",
                          virt->mmio_slots, VIRT_MMIO_SLOTS);
    }
    if (virt->high_mmio_bytes < VIRT_PCIE_MMIO_HIGH_BYTES ||
        (virt->high_mmio_bytes & (virt->high_mmio_bytes - 1))) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "machine 'virt': highmem-mmio-size=%" PRIu64
                          ": give a power of two from 512G on",
                          virt->high_mmio_bytes);
    }
    return true;
}

bool virt_place_high(Virt *virt, GError **error)
{
    const uint64_t sizes[VIRT_HIGH_COUNT] = {
        [VIRT_HIGH_REDIST] = VIRT_HIGH_REDIST_BYTES,
        [VIRT_HIGH_ECAM] = VIRT_PCIE_ECAM_HIGH_BYTES,
        [VIRT_HIGH_MMIO] = virt->high_mmio_bytes,
    };
    unsigned bits = physical_bits(virt->machine);
    uint64_t next = align_up(VIRT_RAM_BASE + virt->machine->config.ram_bytes, GIB(1));

    if (!check_choices(virt, error) || !check_ram(virt, bits, error)) {
        return false;
    }
    next = MAX(next, VIRT_HIGH_LEAST);
    for (unsigned i = 0; i < VIRT_HIGH_COUNT; i++) {
        uint64_t start = align_up(next, sizes[i]);
        bool there =
            virt->highmem && virt->high_wanted[i] && start + sizes[i] - 1 <= bits_mask(bits);

        virt->high[i] = there ? start : 0;
        if (there || !virt->high_compact) {
            next = start + sizes[i];
        }
    }
    return check_vcpus(virt, error);
}
