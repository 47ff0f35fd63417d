/* SPDX-License-Identifier: MIT */
/*
 * The system call filter (seccomp(2)): a classic BPF program over the call's number that is made of the table below. What is dangerous
 * kills the process; starting programs and resource control, which users ask for by mistake rather than attack, fail with EPERM, so
 * that the command behind them can say so.
 */
#include "main/sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/key-values.h"

typedef enum { DANGEROUS, OBSOLETE, PRIVILEGES, SPAWN, RESOURCES, GROUPS } Group;

enum { X32_CALLS = 0x40000000 };

typedef struct {
    Group group;
    unsigned number;
} DeniedCall;

#if defined(__x86_64__)
enum { OUR_ARCHITECTURE = AUDIT_ARCH_X86_64 };
/* clang-format off */
static const DeniedCall denied[] = {
    /* The host: its start and stop, its kernel, its clock, its file systems, its swap space, its ports. */
    { DANGEROUS, SYS_reboot }, { DANGEROUS, SYS_kexec_load }, { DANGEROUS, SYS_kexec_file_load },
    { DANGEROUS, SYS_init_module }, { DANGEROUS, SYS_finit_module }, { DANGEROUS, SYS_delete_module },
    { DANGEROUS, SYS_bpf }, { DANGEROUS, SYS_syslog }, { DANGEROUS, SYS_acct }, { DANGEROUS, SYS_quotactl },
    { DANGEROUS, SYS_settimeofday }, { DANGEROUS, SYS_clock_settime }, { DANGEROUS, SYS_adjtimex }, { DANGEROUS, SYS_clock_adjtime },
    { DANGEROUS, SYS_mount }, { DANGEROUS, SYS_umount2 }, { DANGEROUS, SYS_pivot_root }, { DANGEROUS, SYS_move_mount },
    { DANGEROUS, SYS_open_tree }, { DANGEROUS, SYS_fsopen }, { DANGEROUS, SYS_fsconfig }, { DANGEROUS, SYS_fsmount },
    { DANGEROUS, SYS_fspick }, { DANGEROUS, SYS_swapon }, { DANGEROUS, SYS_swapoff },
    { DANGEROUS, SYS_iopl }, { DANGEROUS, SYS_ioperm }, { DANGEROUS, SYS_sethostname }, { DANGEROUS, SYS_setdomainname },
    { DANGEROUS, SYS_vhangup }, { DANGEROUS, SYS_open_by_handle_at },
    /* Other processes, other name spaces, the kernel's keys. */
    { DANGEROUS, SYS_ptrace }, { DANGEROUS, SYS_process_vm_readv }, { DANGEROUS, SYS_process_vm_writev }, { DANGEROUS, SYS_kcmp },
    { DANGEROUS, SYS_setns }, { DANGEROUS, SYS_unshare }, { DANGEROUS, SYS_chroot },
    { DANGEROUS, SYS_add_key }, { DANGEROUS, SYS_request_key }, { DANGEROUS, SYS_keyctl },
    /* Numbers that never were, or no longer are, calls. */
    { DANGEROUS, SYS_afs_syscall }, { DANGEROUS, SYS_getpmsg }, { DANGEROUS, SYS_putpmsg }, { DANGEROUS, SYS_security },
    { DANGEROUS, SYS_tuxcall }, { DANGEROUS, SYS_vserver }, { DANGEROUS, SYS_nfsservctl },
    { OBSOLETE, SYS__sysctl }, { OBSOLETE, SYS_create_module }, { OBSOLETE, SYS_get_kernel_syms }, { OBSOLETE, SYS_query_module },
    { OBSOLETE, SYS_sysfs }, { OBSOLETE, SYS_uselib }, { OBSOLETE, SYS_ustat }, { OBSOLETE, SYS_epoll_ctl_old },
    { OBSOLETE, SYS_epoll_wait_old }, { OBSOLETE, SYS_lookup_dcookie }, { OBSOLETE, SYS_modify_ldt },
    { PRIVILEGES, SYS_setuid }, { PRIVILEGES, SYS_setgid }, { PRIVILEGES, SYS_setreuid }, { PRIVILEGES, SYS_setregid },
    { PRIVILEGES, SYS_setresuid }, { PRIVILEGES, SYS_setresgid }, { PRIVILEGES, SYS_setfsuid }, { PRIVILEGES, SYS_setfsgid },
    { PRIVILEGES, SYS_setgroups }, { PRIVILEGES, SYS_setpgid }, { PRIVILEGES, SYS_setsid }, { PRIVILEGES, SYS_capset },
    { SPAWN, SYS_fork }, { SPAWN, SYS_vfork }, { SPAWN, SYS_execve }, { SPAWN, SYS_execveat },
    { RESOURCES, SYS_setpriority }, { RESOURCES, SYS_sched_setparam }, { RESOURCES, SYS_sched_setscheduler },
    { RESOURCES, SYS_sched_setaffinity }, { RESOURCES, SYS_ioprio_set }, { RESOURCES, SYS_setrlimit },
};
/* clang-format on */
#else
enum { OUR_ARCHITECTURE = 0 };
static const DeniedCall denied[] = { { GROUPS, 0 } };
#endif

/* --- the option --- */

static bool parse_group(const KeyValues *list, const char *name, bool *deny, GError **error)
{
    const char *value = key_values_get(list, name);

    if (value && strcmp(value, "allow") != 0 && strcmp(value, "deny") != 0) {
        return error_fail(error, KASO_ERROR_INVALID, "%s=%s: give allow or deny", name, value);
    }
    if (value) {
        *deny = strcmp(value, "deny") == 0;
    }
    return true;
}

bool sandbox_parse(Sandbox *sandbox, const char *argument, GError **error)
{
    static const char *const names[] = { "enable", "obsolete",        "elevateprivileges",
                                         "spawn",  "resourcecontrol", NULL };
    g_autoptr(KeyValues) list = key_values_parse(argument, "enable", error);
    const char *enable, *privileges;

    *sandbox = (Sandbox){ .deny_obsolete = true };
    if (!list || !key_values_check(list, names, "-sandbox", error)) {
        return false;
    }
    enable = key_values_get(list, "enable");
    privileges = key_values_get(list, "elevateprivileges");
    sandbox->deny_children = g_strcmp0(privileges, "children") == 0;
    return parse_switch("enable", enable ? enable : "on", &sandbox->on, error) &&
           parse_group(list, "obsolete", &sandbox->deny_obsolete, error) &&
           (sandbox->deny_children ||
            parse_group(list, "elevateprivileges", &sandbox->deny_privileges, error)) &&
           parse_group(list, "spawn", &sandbox->deny_spawn, error) &&
           parse_group(list, "resourcecontrol", &sandbox->deny_resources, error);
}

/* --- the program --- */

static void emit(GArray *program, uint16_t code, uint32_t operand, uint8_t yes, uint8_t no)
{
    struct sock_filter step = { code, yes, no, operand };

    g_array_append_val(program, step);
}

static void emit_load(GArray *program, size_t offset)
{
    emit(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void emit_return(GArray *program, uint32_t action)
{
    emit(program, BPF_RET | BPF_K, action, 0, 0);
}

/* Calls by another table (32-bit programs', x32) have other numbers. */
static void emit_architecture(GArray *program)
{
    emit_load(program, offsetof(struct seccomp_data, arch));
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCHITECTURE, 1, 0);
    emit_return(program, SECCOMP_RET_KILL_PROCESS);
    emit_load(program, offsetof(struct seccomp_data, nr));
    emit(program, BPF_JMP | BPF_JGE | BPF_K, X32_CALLS, 0, 1);
    emit_return(program, SECCOMP_RET_KILL_PROCESS);
}

/* clone makes threads as well; clone3, whose flags are in memory, is answered as by a kernel that has it not. */
static void emit_clone(GArray *program)
{
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
    emit_return(program, SECCOMP_RET_ERRNO | ENOSYS);
    emit(program, BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3);
    emit_load(program, offsetof(struct seccomp_data, args[0]));
    emit(program, BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0);
    emit_return(program, SECCOMP_RET_ERRNO | EPERM);
}

static GArray *make_program(const Sandbox *sandbox)
{
    const uint32_t actions[GROUPS] = {
        [DANGEROUS] = SECCOMP_RET_KILL_PROCESS,
        [OBSOLETE] = sandbox->deny_obsolete ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ALLOW,
        [PRIVILEGES] = sandbox->deny_privileges ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ALLOW,
        [SPAWN] = sandbox->deny_spawn ? SECCOMP_RET_ERRNO | EPERM : SECCOMP_RET_ALLOW,
        [RESOURCES] = sandbox->deny_resources ? SECCOMP_RET_ERRNO | EPERM : SECCOMP_RET_ALLOW,
    };
    GArray *program = g_array_new(false, false, sizeof(struct sock_filter));

    emit_architecture(program);
    for (size_t i = 0; i < G_N_ELEMENTS(denied); i++) {
        if (actions[denied[i].group] != SECCOMP_RET_ALLOW) {
            emit(program, BPF_JMP | BPF_JEQ | BPF_K, denied[i].number, 0, 1);
            emit_return(program, actions[denied[i].group]);
        }
    }
    if (sandbox->deny_spawn) {
        emit_clone(program);
    }
    emit_return(program, SECCOMP_RET_ALLOW);
    return program;
}

bool sandbox_enter(const Sandbox *sandbox, GError **error)
{
    g_autoptr(GArray) program = NULL;
    struct sock_fprog filter;
    bool bound = sandbox->deny_privileges || sandbox->deny_children;
    long result;

    if (!sandbox->on) {
        return true;
    }
    if (OUR_ARCHITECTURE == 0) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED,
                          "-sandbox: not yet: there is no filter for this host's processor");
    }
    program = make_program(sandbox);
    filter =
        (struct sock_fprog){ (unsigned short)program->len, (struct sock_filter *)program->data };
    /* Without the right to do otherwise, a filter is only for those who cannot gain rights by programs with set-user-id. */
    if (bound) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    }
    result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
    if (result < 0 && errno == EACCES) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
    }
    return result == 0 || error_fail_errno(error, result < 0 ? errno : EBUSY,
                                           "-sandbox: the host does not take the filter");
}
