/* SPDX-License-Identifier: MIT */
/* The modules that a kernel has loaded, and their symbols. Machine lock held, vCPUs parked. */
#ifndef DEBUG_LINUX_MODULES_H
#define DEBUG_LINUX_MODULES_H

#include "debug/linux/linux.h"

enum { LINUX_MODULES_MAX = 4096 };

typedef struct {
    char name[64];
    uint64_t address;    /* of its struct module */
    uint64_t base, size; /* of its code (before Linux 6.4: of all that stays) */
    uint32_t state;      /* 0: live, 1: coming, 2: going, 3: not yet formed */
    unsigned file;       /* number of its symbol file; 0: none */
} LinuxModule;

/* Looks at the list; symbol files come and go with the modules. */
void linux_modules_look(LinuxKernel *kernel);
/* The notes that hold the build ID of the module whose symbols have this number: at most max bytes, how many there were; 0: it is no module's, or has none. */
size_t linux_module_notes(LinuxKernel *kernel, unsigned file, uint8_t *notes, size_t max);
/* Forgets all; the symbol files go. */
void linux_modules_drop(LinuxKernel *kernel);

#endif
