/* SPDX-License-Identifier: MIT */
/* The types of the kernel in memory: its BTF section, by its header in the image, or those of the user's file of this kernel. */
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "debug/dwarf/dwarf.h"
#include "debug/dwarf/types.h"
#include "debug/linux/linux.h"
#include "debug/symbols/private.h"

enum { KERNEL_BTF_MIN = 256 << 10 };

/* The largest that the image holds. */
static const uint8_t *find_btf(const LinuxKernel *kernel, size_t *bytes)
{
    static const uint8_t start[] = { 0x9f, 0xeb, 1, 0 };
    uint64_t address, size;
    const uint8_t *image = linux_image(kernel, &address, &size), *at = image, *best = NULL;
    size_t whole;

    *bytes = KERNEL_BTF_MIN;
    while (at && (at = memmem(at, size - (at - image), start, sizeof start))) {
        uint64_t left = size - (at - image);

        if (left >= BTF_HEADER_BYTES && btf_measure(at, &whole) && whole <= left &&
            whole > *bytes) {
            best = at;
            *bytes = whole;
        }
        at += sizeof start;
    }
    return best;
}

/* Of the kernel's file with debugging information, when the user has added it and it is of this kernel. */
static Types *types_of_file(const LinuxKernel *kernel)
{
    const GPtrArray *files = symbols_files(kernel->machine);

    for (guint i = 0; i < files->len; i++) {
        const SymbolFile *file = files->pdata[i];

        if (file->by_user && file->dwarf && !file->waits && !file->floats &&
            linux_in_image(kernel, file->start)) {
            dwarf_begin(file->dwarf);
            return dwarf_types(file->dwarf);
        }
    }
    return NULL;
}

Types *linux_types(LinuxKernel *kernel, GError **error)
{
    size_t size;
    const uint8_t *bytes;
    Types *types;

    if (!kernel->types && !kernel->types_looked) {
        bytes = find_btf(kernel, &size);
        if (bytes) {
            g_autofree uint8_t *copy = g_memdup2(bytes, size);

            kernel->types = btf_parse(copy, size, NULL);
        }
        kernel->types_looked = true;
    }
    types = kernel->types ? kernel->types : types_of_file(kernel);
    if (!types) {
        error_fail(
            error, KASO_ERROR_UNSUPPORTED,
            "this kernel has no type information in memory (CONFIG_DEBUG_INFO_BTF): 'symbols "
            "add VMLINUX', with debugging information, brings it");
    }
    return types;
}
