/* SPDX-License-Identifier: MIT */
/* Target.x86. */
#ifndef TARGET_I386_PROCESSOR_H
#define TARGET_I386_PROCESSOR_H

#include "machine/arch/x86-processor.h"

extern const X86Processor x86_processor;

#endif
