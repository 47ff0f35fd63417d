/* SPDX-License-Identifier: MIT */
/* The processes and threads of the kernel in memory. Machine lock held, vCPUs parked. */
#ifndef DEBUG_LINUX_TASKS_H
#define DEBUG_LINUX_TASKS_H

#include "debug/linux/linux.h"

enum { LINUX_TASKS_MAX = 65536, LINUX_TASK_NAME = 16 };

typedef struct {
    uint64_t address; /* of its task_struct */
    uint32_t pid, tgid, parent;
    uint32_t state; /* as the kernel has it: 0 running, 1 sleeping, 2 waiting without signals … */
    bool on_cpu, kernel_thread;
    uint32_t cpu;   /* where it runs or ran last; UINT32_MAX: not known */
    uint64_t stack; /* lowest address */
    char name[LINUX_TASK_NAME + 1];
} LinuxTask;

/* LinuxTask of all threads; NULL with an error. Caller unrefs. */
GArray *linux_tasks(LinuxKernel *kernel, GError **error);
/* "R", "S", "D" … as ps shows it. */
char linux_task_letter(const LinuxTask *task);
/* The registers with which a task that does not run will go on: pc (0: not known), frame pointer and stack pointer. */
bool linux_task_registers(LinuxKernel *kernel, const LinuxTask *task, uint64_t *pc, uint64_t *fp,
                          uint64_t *sp);
/* Whether the kernel's types tell how its tasks are laid out. */
bool linux_tasks_known(LinuxKernel *kernel, GError **error);
/* The task that a vCPU runs now, if that is known. On the vCPU's thread the others may run meanwhile. */
bool linux_task_current(LinuxKernel *kernel, Vcpu *vcpu, LinuxTask *task);
/* The number of its process, or its own, in the kernel that was found last; -1: there is none. */
int64_t linux_task_number(Vcpu *vcpu, bool process);

#endif
