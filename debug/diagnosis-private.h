/* SPDX-License-Identifier: MIT */
/* What the files of the diagnosis share. */
#ifndef DEBUG_DIAGNOSIS_PRIVATE_H
#define DEBUG_DIAGNOSIS_PRIVATE_H

#include "debug/diagnosis.h"

/* Fills kernel, kernel_log and hints, from the rest. vCPUs parked. */
void diagnosis_add_hints(Machine *machine, Diagnosis *diagnosis);
/* What an exception class of ESR_EL1 is (Arm ARM, D17.2.37). */
const char *diagnosis_arm_class(unsigned exception_class);

/* "page fault"; by vector. */
const char *diagnosis_x86_exception(unsigned vector);
/* Behind the hints: what makes it certain what is wrong with a boot; see diagnosis-boot.c. */
void diagnosis_add_boot_hints(Machine *machine, Diagnosis *diagnosis);
void diagnosis_add_hint(Diagnosis *diagnosis, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whether nothing is there: no region (NULL), or what answers for a bus where no function is. */
bool diagnosis_is_nothing(const MemoryRegion *region);

static inline uint64_t align_down_vector(uint64_t pc)
{
    return pc & ~UINT64_C(0x7f);
}

#endif
