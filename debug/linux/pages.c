/* SPDX-License-Identifier: MIT */
/*
 * A kernel's own page tables: VMSAv8-64 (Arm ARM, D8) with granules of 4, 16 and 64 KiB, and x86's four- and five-level paging (SDM
 * volume 3, 4.5), and its two- and three-level ones of 32 bits (4.3, 4.4). Independent of what a vCPU has in its registers, because in user mode that may be tables without the kernel.
 */
#include <string.h>

#include "base/bits.h"
#include "debug/linux/linux.h"
#include "debug/memory.h"

#define OUTPUT_MASK UINT64_C(0x0000fffffffff000)

/* Whether a descriptor at a level (0: the last) maps memory itself. */
static bool is_leaf(const LinuxKernel *kernel, uint64_t descriptor, unsigned level)
{
    if (kernel->arch != LINUX_ARM64) {
        return level == 0 || (descriptor & BIT(7) && level <= 2);
    }
    return level == 0 || !(descriptor & 2);
}

bool linux_translate(const LinuxKernel *kernel, uint64_t address, uint64_t *guest_phys)
{
    unsigned index_bits = kernel->page_bits - (kernel->entry_bytes == 4 ? 2 : 3), top;
    uint64_t table = kernel->root;

    if (linux_in_image(kernel, address)) {
        *guest_phys = address + kernel->to_physical;
        return true;
    }
    /* The upper half is all of what the bits reach on arm64, and half of it on x86; with 32 bits there is but one table. */
    if (!table || (kernel->arch == LINUX_I386
                       ? address >> 32
                       : ~address >> (kernel->address_bits - (kernel->arch == LINUX_X86_64)))) {
        return false;
    }
    top = (kernel->address_bits - kernel->page_bits - 1) / index_bits;
    for (unsigned level = top;; level--) {
        unsigned shift = kernel->page_bits + level * index_bits;
        unsigned bits = MIN(index_bits, kernel->address_bits - shift);
        uint64_t descriptor = 0;

        if (!debug_memory_read(kernel->machine,
                               table + kernel->entry_bytes * bits_extract(address, shift, bits),
                               &descriptor, kernel->entry_bytes) ||
            !(descriptor & 1)) {
            return false;
        }
        if (is_leaf(kernel, descriptor, level)) {
            *guest_phys =
                (descriptor & OUTPUT_MASK & ~bits_mask(shift)) | (address & bits_mask(shift));
            return true;
        }
        table = descriptor & OUTPUT_MASK & ~bits_mask(kernel->page_bits);
    }
}

bool linux_read(const LinuxKernel *kernel, uint64_t address, void *buffer, size_t size)
{
    uint8_t *to = buffer;

    while (size) {
        size_t n = MIN(size, 4096 - (address & 4095));
        uint64_t guest_phys;

        if (!linux_translate(kernel, address, &guest_phys) ||
            !debug_memory_read(kernel->machine, guest_phys, to, n)) {
            return false;
        }
        to += n;
        address += n;
        size -= n;
    }
    return true;
}

bool linux_read_u64(const LinuxKernel *kernel, uint64_t address, uint64_t *value)
{
    return linux_read(kernel, address, value, 8);
}

bool linux_read_word(const LinuxKernel *kernel, uint64_t address, uint64_t *value)
{
    *value = 0;
    return linux_read(kernel, address, value, linux_word(kernel));
}

bool linux_read_u32(const LinuxKernel *kernel, uint64_t address, uint32_t *value)
{
    return linux_read(kernel, address, value, 4);
}

bool linux_read_string(const LinuxKernel *kernel, uint64_t address, char *text, size_t max)
{
    size_t n = 0;

    while (n < max - 1) {
        size_t piece = MIN(max - 1 - n, 256 - ((address + n) & 255));

        if (!linux_read(kernel, address + n, text + n, piece)) {
            break;
        }
        for (size_t end = n + piece; n < end; n++) {
            if (!g_ascii_isprint(text[n])) {
                text[n] = '\0';
                return n;
            }
        }
    }
    text[n] = '\0';
    return n;
}
