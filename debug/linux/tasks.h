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
/* The task that a vCPU runs now, if that is known. */
bool linux_task_current(LinuxKernel *kernel, Vcpu *vcpu, LinuxTask *task);

/* What it takes to tell who runs while it runs. It owns nothing, and is of the kernel that there was when it was made. */
typedef struct {
    LinuxKernel kernel; /* what linux_read looks at */
    uint64_t current;   /* where the task is in the CPU's own data; 0: nobody is known */
    uint64_t pid, tgid; /* offsets in task_struct */
} LinuxTaskFinder;

bool linux_task_finder(LinuxKernel *kernel, LinuxTaskFinder *finder, GError **error);
/* The number of the process or of the thread; -1: there is none. On the vCPU's thread, without the lock, or while it is parked. */
int64_t linux_task_number(const LinuxTaskFinder *finder, Vcpu *vcpu, bool process);

#endif
