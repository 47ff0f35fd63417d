/* SPDX-License-Identifier: MIT */
/*
 * The list of tasks, from init_task, which is a symbol or is found by its name in the image; members are where the kernel's types (BTF)
 * say.
 */
#include "debug/linux/tasks.h"

#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "debug/linux/registers.h"

enum { FLAG_KERNEL_THREAD = 0x00200000 };

typedef struct {
    uint64_t tasks, pid, tgid, comm, state, parent, stack, flags, on_cpu, cpu, threads, thread_node,
        signal;
    uint64_t saved_pc, saved_fp, saved_sp; /* arm64: cpu_context; x86: sp of thread */
    bool has_on_cpu, has_cpu, has_threads;
} Layout;

static bool get_layout(LinuxKernel *kernel, Layout *l, GError **error)
{
    Types *types = linux_types(kernel, error);

    if (!types) {
        return false;
    }
    *l = (Layout){ 0 };
    l->has_on_cpu = types_offset(types, "task_struct", "on_cpu", &l->on_cpu);
    l->has_cpu = types_offset(types, "task_struct", "thread_info.cpu", &l->cpu) ||
                 types_offset(types, "task_struct", "cpu", &l->cpu);
    l->has_threads = types_offset(types, "signal_struct", "thread_head", &l->threads) &&
                     types_offset(types, "task_struct", "thread_node", &l->thread_node) &&
                     types_offset(types, "task_struct", "signal", &l->signal);
    if (kernel->arch == LINUX_ARM64) {
        types_offset(types, "task_struct", "thread.cpu_context.pc", &l->saved_pc);
        types_offset(types, "task_struct", "thread.cpu_context.fp", &l->saved_fp);
        types_offset(types, "task_struct", "thread.cpu_context.sp", &l->saved_sp);
    } else {
        types_offset(types, "task_struct", "thread.sp", &l->saved_sp);
    }
    return (types_offset(types, "task_struct", "tasks", &l->tasks) &&
            types_offset(types, "task_struct", "pid", &l->pid) &&
            types_offset(types, "task_struct", "tgid", &l->tgid) &&
            types_offset(types, "task_struct", "comm", &l->comm) &&
            types_offset(types, "task_struct", "stack", &l->stack) &&
            types_offset(types, "task_struct", "flags", &l->flags) &&
            types_offset(types, "task_struct", "real_parent", &l->parent) &&
            (types_offset(types, "task_struct", "__state", &l->state) ||
             types_offset(types, "task_struct", "state", &l->state))) ||
           error_fail(error, KASO_ERROR_UNSUPPORTED,
                      "the kernel's task_struct is not one that we know");
}

static bool read_task(const LinuxKernel *kernel, const Layout *l, uint64_t address, LinuxTask *task)
{
    uint32_t flags, on_cpu = 0;
    uint64_t parent;

    *task = (LinuxTask){ .address = address, .cpu = UINT32_MAX };
    if (!linux_read_u32(kernel, address + l->pid, &task->pid) ||
        !linux_read_u32(kernel, address + l->tgid, &task->tgid) ||
        !linux_read_u32(kernel, address + l->state, &task->state) ||
        !linux_read_u32(kernel, address + l->flags, &flags) ||
        !linux_read_word(kernel, address + l->stack, &task->stack) ||
        !linux_read_word(kernel, address + l->parent, &parent)) {
        return false;
    }
    linux_read_string(kernel, address + l->comm, task->name, sizeof task->name);
    linux_read_u32(kernel, parent + l->pid, &task->parent);
    if (l->has_on_cpu) {
        linux_read_u32(kernel, address + l->on_cpu, &on_cpu);
    }
    if (l->has_cpu) {
        linux_read_u32(kernel, address + l->cpu, &task->cpu);
    }
    task->on_cpu = on_cpu;
    task->kernel_thread = flags & FLAG_KERNEL_THREAD;
    return true;
}

/* init_task: the one task of the image; its name is "swapper" or "swapper/0" once it has started. */
static bool find_first(const LinuxKernel *kernel, const Layout *l, uint64_t *address)
{
    static const char name[] = "swapper";
    uint64_t start, size;
    const uint8_t *image, *at;

    if (linux_symbol(kernel, "init_task", address)) {
        return true;
    }
    image = at = linux_image(kernel, &start, &size);
    while (at && (at = memmem(at, size - (at - image), name, sizeof name - 1))) {
        uint64_t task = start + (at - image) - l->comm, next, back;

        if (linux_is_pointer(kernel, task) && linux_in_image(kernel, task) &&
            linux_read_word(kernel, task + l->tasks, &next) &&
            linux_read_word(kernel, next + linux_word(kernel), &back) && back == task + l->tasks) {
            *address = task;
            return true;
        }
        at++;
    }
    return false;
}

/* The threads of a process beside its first. */
static void add_threads(const LinuxKernel *kernel, const Layout *l, const LinuxTask *leader,
                        GArray *list)
{
    uint64_t signal, head, entry;

    if (!l->has_threads || !linux_read_word(kernel, leader->address + l->signal, &signal)) {
        return;
    }
    head = signal + l->threads;
    for (entry = head;
         list->len < LINUX_TASKS_MAX && linux_read_word(kernel, entry, &entry) && entry != head;) {
        LinuxTask task;

        if (!read_task(kernel, l, entry - l->thread_node, &task) || task.tgid != leader->tgid) {
            break;
        }
        if (task.address != leader->address) {
            g_array_append_val(list, task);
        }
    }
}

GArray *linux_tasks(LinuxKernel *kernel, GError **error)
{
    uint64_t first, address;
    GArray *list;
    Layout l;

    if (!get_layout(kernel, &l, error)) {
        return NULL;
    }
    if (!find_first(kernel, &l, &first)) {
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   "the kernel's list of tasks was not found: it may not have one yet");
        return NULL;
    }
    list = g_array_new(FALSE, FALSE, sizeof(LinuxTask));
    address = first;
    do {
        LinuxTask task;
        uint64_t next;

        if (!read_task(kernel, &l, address, &task)) {
            break;
        }
        g_array_append_val(list, task);
        add_threads(kernel, &l, &task, list);
        if (!linux_read_word(kernel, address + l.tasks, &next)) {
            break;
        }
        address = next - l.tasks;
    } while (address != first && list->len < LINUX_TASKS_MAX);
    return list;
}

char linux_task_letter(const LinuxTask *task)
{
    static const struct {
        uint32_t bit;
        char letter;
    } letters[] = { { 1, 'S' },    { 2, 'D' },    { 4, 'T' },   { 8, 't' },
                    { 0x10, 'X' }, { 0x20, 'Z' }, { 0x40, 'P' } };

    if (task->state == 0) {
        return 'R';
    }
    if ((task->state & 0x402) == 0x402) { /* sleeps without counting as load */
        return 'I';
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(letters); i++) {
        if (task->state & letters[i].bit) {
            return letters[i].letter;
        }
    }
    return '?';
}

bool linux_task_registers(LinuxKernel *kernel, const LinuxTask *task, uint64_t *pc, uint64_t *fp,
                          uint64_t *sp)
{
    Layout l;

    *pc = *fp = 0;
    if (task->on_cpu || !get_layout(kernel, &l, NULL) || !l.saved_sp ||
        !linux_read_word(kernel, task->address + l.saved_sp, sp)) {
        return false;
    }
    if (kernel->arch == LINUX_ARM64) {
        return linux_read_word(kernel, task->address + l.saved_pc, pc) &&
               linux_read_word(kernel, task->address + l.saved_fp, fp);
    }
    return true;
}

/*
 * x86: in the CPU's own data, at GS (32 bits: FS) while the kernel runs. In user mode, and at the kernel's first instructions, before SWAPGS, that
 * is the process's own.
 */
static uint64_t current_of_x86(const LinuxTaskFinder *f, Vcpu *vcpu)
{
    bool user = linux_register(vcpu, "cs") & 3;
    bool narrow = f->kernel.arch == LINUX_I386;
    uint64_t base = linux_register(vcpu, narrow ? "fs_base" : "gs_base");
    uint64_t address = 0;

    if (!narrow && (user || !linux_is_address(&f->kernel, base))) {
        base = linux_register(vcpu, "kernel_gs_base");
    }
    base += f->current;
    if (f->current && !(narrow && user)) {
        linux_read_word(&f->kernel, narrow ? (uint32_t)base : base, &address);
    }
    return address;
}

/*
 * arm64: in SP_EL0 while the kernel runs. In user mode, and at the kernel's first instructions, that is the process's stack pointer, and the kernel
 * itself takes its task from the CPU's own data, at TPIDR_EL1.
 */
static uint64_t current_of_arm64(const LinuxTaskFinder *f, Vcpu *vcpu)
{
    bool user = !(linux_register(vcpu, "cpsr") & 0xf);
    uint64_t address = linux_register(vcpu, "sp_el0");

    if (!user && linux_is_pointer(&f->kernel, address)) {
        return address;
    }
    address = 0;
    if (f->current) {
        linux_read_word(&f->kernel, f->current + linux_register(vcpu, "tpidr_el1"), &address);
    }
    return address;
}

static uint64_t current_of(const LinuxTaskFinder *f, Vcpu *vcpu)
{
    uint64_t address =
        f->kernel.arch == LINUX_ARM64 ? current_of_arm64(f, vcpu) : current_of_x86(f, vcpu);

    return linux_is_address(&f->kernel, address) ? address : 0;
}

/*
 * Of kernels whose kallsyms have only code: the address that the entry from user mode loads its task from, which it makes by ADRP and ADD to X28 before it
 * writes that to SP_EL0.
 */
static uint64_t entry_task(const LinuxKernel *kernel)
{
    static const char *const entries[] = { "el0t_64_sync", "el0_sync" };
    enum { WITHIN = 64, REGISTER = 28 };
    const uint32_t to_sp_el0 = 0xd5184100 | REGISTER;
    uint64_t start, base = 0, address = 0;
    uint32_t code;

    if (!linux_symbol(kernel, entries[0], &start) && !linux_symbol(kernel, entries[1], &start)) {
        return 0;
    }
    for (uint64_t pc = start; pc < start + 4 * WITHIN && linux_read_u32(kernel, pc, &code);
         pc += 4) {
        if ((code & 0x9f00001f) == (0x90000000 | REGISTER)) { /* ADRP */
            uint64_t page = bits_extract(code, 5, 19) << 2 | bits_extract(code, 29, 2);

            base = (pc & ~UINT64_C(0xfff)) + (bits_sign_extend(page, 21) << 12);
        } else if ((code & 0xffc003ff) == (0x91000000 | REGISTER << 5 | REGISTER)) { /* ADD */
            address = base + bits_extract(code, 10, 12);
        } else if (code == to_sp_el0) {
            return linux_is_pointer(kernel, address) ? address : 0;
        }
    }
    return 0;
}

static void set_finder(LinuxKernel *kernel, const Layout *l, LinuxTaskFinder *f)
{
    static const char *const names[] = { "current_task", "pcpu_hot" };

    *f = (LinuxTaskFinder){ .kernel = *kernel, .pid = l->pid, .tgid = l->tgid };
    f->kernel.banner = NULL;
    f->kernel.types = NULL;
    f->kernel.modules = NULL;
    if (kernel->arch == LINUX_ARM64) {
        if (!linux_symbol(kernel, "__entry_task", &f->current)) {
            f->current = entry_task(kernel);
        }
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(names) && !f->current; i++) {
        linux_symbol(kernel, names[i], &f->current);
    }
}

bool linux_task_finder(LinuxKernel *kernel, LinuxTaskFinder *finder, GError **error)
{
    Layout l;

    *finder = (LinuxTaskFinder){ 0 };
    if (!get_layout(kernel, &l, error)) {
        return false;
    }
    set_finder(kernel, &l, finder);
    return finder->current || error_fail(error, KASO_ERROR_UNSUPPORTED,
                                         "where this kernel keeps who runs on a CPU is not known: "
                                         "its kallsyms lack its data");
}

int64_t linux_task_number(const LinuxTaskFinder *finder, Vcpu *vcpu, bool process)
{
    uint64_t address = finder->current ? current_of(finder, vcpu) : 0;
    uint64_t member = address + (process ? finder->tgid : finder->pid);
    uint32_t number;

    return address && linux_read_u32(&finder->kernel, member, &number) ? (int64_t)number : -1;
}

/* By the list of all: what a kernel has whose kallsyms lack its data. */
static uint64_t current_of_list(LinuxKernel *kernel, const Vcpu *vcpu)
{
    g_autoptr(GArray) list = linux_tasks(kernel, NULL);

    for (guint i = 0; list && i < list->len; i++) {
        const LinuxTask *one = &g_array_index(list, LinuxTask, i);

        if (one->on_cpu && one->cpu == vcpu->index) {
            return one->address;
        }
    }
    return 0;
}

bool linux_task_current(LinuxKernel *kernel, Vcpu *vcpu, LinuxTask *task)
{
    LinuxTaskFinder finder;
    uint64_t address;
    Layout l;

    if (!get_layout(kernel, &l, NULL)) {
        return false;
    }
    set_finder(kernel, &l, &finder);
    address = current_of(&finder, vcpu);
    if (!address && kernel->arch == LINUX_ARM64) {
        address = current_of_list(kernel, vcpu);
    }
    return address && read_task(kernel, &l, address, task);
}
