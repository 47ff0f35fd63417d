/* SPDX-License-Identifier: MIT */
/*
 * A Linux kernel in guest memory, recognised with no file at all. Machine lock held; functions that read guest memory want the vCPUs
 * parked (linux_kernel_find parks them itself). Guest memory may lie: all that is read is bounded, and answers are then wrong or errors.
 */
#ifndef DEBUG_LINUX_LINUX_H
#define DEBUG_LINUX_LINUX_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "debug/linux/btf.h"
#include "machine/machine.h"

typedef enum { LINUX_ARM64, LINUX_X86_64, LINUX_I386 } LinuxArch;

typedef struct {
    Machine *machine;
    LinuxArch arch;
    unsigned file;        /* number of its symbol file */
    uint64_t start, end;  /* of the image, guest virtual */
    uint64_t to_physical; /* added to an address in the image */
    bool verified;        /* a vCPU has had it mapped there: it is no remainder of an earlier run */
    bool relocated;       /* false: it has not run yet, and start and end are physical */
    uint64_t tokens;      /* guest physical: by what it is recognised again */
    uint64_t relative_base, base_physical; /* what kallsyms says, and where */
    char *banner;                          /* "Linux version …" or NULL */
    uint64_t root;                         /* guest physical, of its page tables; 0: not known */
    unsigned page_bits, address_bits;      /* of these tables */
    unsigned entry_bytes;                  /* of one of their entries */
    Types *types;                          /* types; NULL: not looked for, or there are none */
    bool types_looked;
    GArray *modules;      /* LinuxModule of debug/linux/modules.h, as last looked at */
    uint64_t module_list; /* address of the list's head; 0: not known */
} LinuxKernel;

/* The kernel in memory, looked for now; NULL with an error when there is none. */
LinuxKernel *linux_kernel_find(Machine *machine, GError **error);
/* The one that was found last, without looking; NULL. */
LinuxKernel *linux_kernel_known(Machine *machine);

/* Kernel virtual memory by the kernel's own tables, whatever a vCPU has in its registers. false: not all of it is mapped. */
bool linux_read(const LinuxKernel *kernel, uint64_t address, void *buffer, size_t size);
bool linux_read_u64(const LinuxKernel *kernel, uint64_t address, uint64_t *value);
/* A pointer or unsigned long. */
bool linux_read_word(const LinuxKernel *kernel, uint64_t address, uint64_t *value);
bool linux_read_u32(const LinuxKernel *kernel, uint64_t address, uint32_t *value);
/* A string of at most max - 1 bytes, cut where it is not printable. false: none is there. */
bool linux_read_string(const LinuxKernel *kernel, uint64_t address, char *text, size_t max);
bool linux_translate(const LinuxKernel *kernel, uint64_t address, uint64_t *guest_phys);
/* The address of a symbol of the kernel proper. */
bool linux_symbol(const LinuxKernel *kernel, const char *name, uint64_t *address);
/* The image's bytes in the host, as much of them as is in one piece of RAM; they change while the guest runs. */
const uint8_t *linux_image(const LinuxKernel *kernel, uint64_t *start, uint64_t *size);
/* Whether it is a pointer into the image. */
static inline bool linux_in_image(const LinuxKernel *kernel, uint64_t address)
{
    return address >= kernel->start && address < kernel->end;
}
/* Bytes of a pointer or unsigned long. */
static inline unsigned linux_word(const LinuxKernel *kernel)
{
    return kernel->arch == LINUX_I386 ? 4 : 8;
}
/* Whether it may be an address of the kernel's; of a process, on i386, only where the kernel was built to leave it less than 2 GiB. */
static inline bool linux_is_address(const LinuxKernel *kernel, uint64_t value)
{
    return kernel->arch == LINUX_I386 ? value >> 31 == 1 : value >> 56 == 0xff;
}
/* … aligned as pointers in structures are. */
static inline bool linux_is_pointer(const LinuxKernel *kernel, uint64_t value)
{
    return linux_is_address(kernel, value) && !(value & (linux_word(kernel) - 1));
}
/* The kernel's types; NULL with an error: it has none, or what there is is damaged. */
Types *linux_types(LinuxKernel *kernel, GError **error);

#endif
