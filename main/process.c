/* SPDX-License-Identifier: MIT */
/* The process around the machine: daemon, process id file, privileges, signals. */
#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/library.h"
#include "main/setup.h"

/* The parent lives until the child says that the machine is ready, and ends with its status. */
static void await_child(pid_t child, int fd)
{
    uint8_t status = 1;
    ssize_t got;

    do {
        got = read(fd, &status, 1);
    } while (got < 0 && errno == EINTR);
    if (got != 1) {
        int wait_status;

        /* Also who was asked to end, with status 0, has not become a daemon. */
        status = waitpid(child, &wait_status, 0) == child && WIFEXITED(wait_status)
                     ? MAX(WEXITSTATUS(wait_status), 1)
                     : 1;
    }
    _exit(status);
}

bool process_daemonize(Setup *setup, GError **error)
{
    bool serial = false, monitor = false;
    int ends[2];
    pid_t child;

    for (unsigned i = 0; i < setup->given->len; i++) {
        const GivenOption *given = &g_array_index(setup->given, GivenOption, i);
        const char *name = given->option->name, *argument = given->argument;

        serial |= strcmp(name, "serial") == 0;
        monitor |= strcmp(name, "monitor") == 0 || strcmp(name, "mon") == 0 ||
                   g_str_has_prefix(name, "qmp");
        if (argument && (strcmp(argument, "stdio") == 0 || strcmp(argument, "mon:stdio") == 0)) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "-daemonize: a daemon has no terminal, so stdio cannot be used");
        }
    }
    /* With these placed by the user, or none at all, -nographic asks for nothing but no display. */
    if (setup->nographic && !setup->config.no_defaults && (!serial || !monitor)) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "-daemonize: a daemon has no terminal for the serial port and the monitor "
            "that -nographic puts there; use -display none, or give -serial and "
            "-monitor");
    }
    if (!g_unix_open_pipe(ends, FD_CLOEXEC, error)) {
        return false;
    }
    child = fork();
    if (child < 0) {
        return error_fail_errno(error, errno, "-daemonize: cannot fork");
    }
    if (child > 0) {
        close(ends[1]);
        await_child(child, ends[0]);
    }
    close(ends[0]);
    setup->ready_fd = ends[1];
    setsid();
    return true;
}

bool process_write_pid_file(Setup *setup, GError **error)
{
    const char *path = setup->pid_file;
    char text[32];
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());

    if (fd < 0) {
        return error_fail_errno(error, errno, "-pidfile: cannot open '%s'", path);
    }
    /* Kept open: the lock says that the file's process lives. */
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return error_fail(error, KASO_ERROR_IO, "-pidfile: '%s' belongs to a running process",
                          path);
    }
    if (ftruncate(fd, 0) < 0 || write(fd, text, length) != length) {
        int failure = errno;

        close(fd);
        return error_fail_errno(error, failure, "-pidfile: cannot write '%s'", path);
    }
    setup->pid_file_written = true;
    return true;
}

void process_remove_pid_file(const Setup *setup)
{
    if (setup->pid_file_written) {
        remove(setup->pid_file);
    }
}

static bool find_user(const char *name, uid_t *uid, gid_t *gid, GError **error)
{
    struct passwd *user = getpwnam(name);
    unsigned numbers[2];
    int length = 0;

    if (user) {
        *uid = user->pw_uid;
        *gid = user->pw_gid;
        return true;
    }
    if (sscanf(name, "%u:%u%n", &numbers[0], &numbers[1], &length) == 2 && !name[length]) {
        *uid = numbers[0];
        *gid = numbers[1];
        return true;
    }
    return error_fail(error, KASO_ERROR_NOT_FOUND,
                      "-runas %s: there is no such user; give a name or UID:GID", name);
}

static bool give_up_privileges(Setup *setup, GError **error)
{
    uid_t uid = 0;
    gid_t gid = 0;

    if (setup->run_as && !find_user(setup->run_as, &uid, &gid, error)) {
        return false;
    }
    if (setup->chroot_folder) {
        library_want_all();
    }
    if (setup->chroot_folder && (chroot(setup->chroot_folder) < 0 || chdir("/") < 0)) {
        return error_fail_errno(error, errno, "-chroot: cannot change to '%s'",
                                setup->chroot_folder);
    }
    if (setup->run_as && (setgroups(1, &gid) < 0 || setgid(gid) < 0 || setuid(uid) < 0)) {
        return error_fail_errno(error, errno, "-runas: cannot become '%s'", setup->run_as);
    }
    return true;
}

/* A change of user takes the wish back, so it comes after that. */
static bool follow_parent(Setup *setup, GError **error)
{
    if (!setup->exit_with_parent) {
        return true;
    }
    if (setup->daemonize) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "-run-with exit-with-parent=on: with -daemonize the parent is gone at once");
    }
    return prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) == 0 ||
           error_fail_errno(error, errno, "-run-with exit-with-parent=on");
}

bool process_settle(Setup *setup, GError **error)
{
    uint8_t status = 0;
    int null;

    if (!give_up_privileges(setup, error) || !follow_parent(setup, error)) {
        return false;
    }
    if (!setup->daemonize) {
        return sandbox_enter(&setup->sandbox, error);
    }
    if (!setup->chroot_folder && chdir("/") < 0) {
        return error_fail_errno(error, errno, "-daemonize: cannot change to /");
    }
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) {
        return error_fail_errno(error, errno, "-daemonize: cannot open /dev/null");
    }
    for (int fd = 0; fd < 3; fd++) {
        dup2(null, fd);
    }
    close(null);
    if (!sandbox_enter(&setup->sandbox, error)) {
        return false;
    }
    if (write(setup->ready_fd, &status, 1) != 1) {
        return error_fail_errno(error, errno, "-daemonize: the parent is gone");
    }
    close(setup->ready_fd);
    return true;
}

static void fill_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
}

enum { PATIENCE_US = 1000 * 1000, LATE_US = 3000 * 1000, KNOCK_MS = 100 };

/* Nobody else uses it, and who is sent it by others ignores it. */
#define KNOCK_SIGNAL SIGURG

/* Signals have a thread of their own: the main loop may be waiting for a disk, which shall not wait any longer. */
struct SignalWatch {
    const Setup *setup;
    Machine *machine;
    int signals, stop, asked; /* descriptors */
    pthread_t thread, main;
    GMutex lock;
    GCond begun;
    bool running; /* the main loop looks at requests */
    bool ending;  /* it is left; the machine goes, and is not touched any more */
    int taken;    /* number of the signal; 0: none so far */
    char *text;
    /* The thread's own: */
    gint64 since_us; /* the end is certain */
    bool late;       /* it takes long, which was told */
};

static int status_of_signal(const Machine *machine, int number)
{
    const MachineConfig *config = &machine->config;

    if (config->exit_status[STOP_SIGNAL].set) {
        return config->exit_status[STOP_SIGNAL].status;
    }
    return config->exit_distinct ? 128 + number : 0; /* as a shell names it */
}

static int end_by_signal(const SignalWatch *watch)
{
    fprintf(stderr, "kaso: ended by a signal before the machine ran: %s\n", watch->text);
    process_remove_pid_file(watch->setup);
    return status_of_signal(watch->machine, watch->taken);
}

/* It is noted before anything fails because of it. */
static void note_signal(SignalWatch *watch, int number, const char *text)
{
    g_mutex_lock(&watch->lock);
    watch->taken = number;
    g_free(watch->text);
    watch->text = g_strdup(text);
    if (!watch->ending) {
        machine_request_end(watch->machine, STOP_SIGNAL, text,
                            status_of_signal(watch->machine, number));
        block_graph_hasten(watch->machine->block_graph);
    }
    g_mutex_unlock(&watch->lock);
}

/*
 * A machine that does not run yet has nothing to lose, and what its making waits for (a pipe without a writer, a file on a host
 * that is gone) may never come.
 */
static void end_unless_running(SignalWatch *watch)
{
    gint64 limit = g_get_monotonic_time() + PATIENCE_US;

    g_mutex_lock(&watch->lock);
    while (!watch->running && g_cond_wait_until(&watch->begun, &watch->lock, limit)) {
    }
    if (!watch->running) {
        quick_exit(end_by_signal(watch));
    }
    g_mutex_unlock(&watch->lock);
}

/* Scripts look for these words and for the number behind them. */
static char *describe_signal(const struct signalfd_siginfo *info)
{
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *file = g_strdup_printf("/proc/%u/comm", info->ssi_pid);
    g_autofree char *name = NULL;

    g_string_printf(text, "terminating on signal %u", info->ssi_signo);
    if (info->ssi_pid && info->ssi_code == SI_USER) {
        g_string_append_printf(text, " from pid %u", info->ssi_pid);
        if (g_file_get_contents(file, &name, NULL, NULL)) {
            g_string_append_printf(text, " (%s)", g_strchomp(name));
        }
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* Who has been told what the end waits for wants it now. */
static void die_by(int number)
{
    sigset_t set;

    fill_signals(&set);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
}

static void take_signal(SignalWatch *watch)
{
    struct signalfd_siginfo info;

    if (read(watch->signals, &info, sizeof(info)) == sizeof(info)) {
        g_autofree char *text = describe_signal(&info);

        if (watch->late) {
            die_by((int)info.ssi_signo);
        }
        note_signal(watch, (int)info.ssi_signo, text);
        end_unless_running(watch);
    }
}

/*
 * What is neither interrupted by a knock nor given up (a disk of the host, a folder of one that is gone, a window system) may
 * be left by a second signal. Standard error may be what nobody reads.
 */
static void tell_late(SignalWatch *watch)
{
    struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };

    watch->late = true;
    if (poll(&out, 1, 0) > 0) {
        fprintf(stderr, "kaso: the end waits for the host; another signal ends it at once\n");
    }
}

static void knocked(int number)
{
}

static void end_was_asked_for(void *opaque)
{
    eventfd_write(((SignalWatch *)opaque)->asked, 1);
}

/*
 * The end that was asked for is not begun: the main loop waits, for an image or in a system call (a FIFO that is opened, a pipe
 * that is full, a server that does not accept). Neither is worth it any more: the call returns with EINTR.
 */
static void knock(SignalWatch *watch)
{
    g_mutex_lock(&watch->lock);
    if (!watch->ending) {
        block_graph_hasten(watch->machine->block_graph);
        pthread_kill(watch->main, KNOCK_SIGNAL);
    }
    g_mutex_unlock(&watch->lock);
}

static bool end_pending(SignalWatch *watch)
{
    bool pending;

    g_mutex_lock(&watch->lock);
    pending = !watch->ending && machine_end_pending(watch->machine);
    g_mutex_unlock(&watch->lock);
    return pending;
}

static void *watch_signals(void *opaque)
{
    SignalWatch *watch = opaque;
    struct pollfd fds[] = { { .fd = watch->signals, .events = POLLIN },
                            { .fd = watch->stop, .events = POLLIN },
                            { .fd = watch->asked, .events = POLLIN } };
    eventfd_t count;

    while (!fds[1].revents) {
        bool pending = end_pending(watch);
        bool waiting = watch->since_us && !watch->late;
        int ready = poll(fds, G_N_ELEMENTS(fds), pending || waiting ? KNOCK_MS : -1);

        if (ready == 0 && pending) {
            knock(watch);
        }
        if (waiting && g_get_monotonic_time() - watch->since_us > LATE_US) {
            tell_late(watch);
        }
        if (ready > 0 && fds[2].revents) {
            eventfd_read(watch->asked, &count);
            watch->since_us = watch->since_us ? watch->since_us : g_get_monotonic_time();
        }
        if (ready > 0 && fds[0].revents) {
            take_signal(watch);
        }
    }
    return NULL;
}

void process_watch_signals(Setup *setup)
{
    SignalWatch *watch = g_new0(SignalWatch, 1);
    struct sigaction action = { .sa_handler = knocked }; /* without SA_RESTART */
    sigset_t set;

    fill_signals(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    watch->setup = setup;
    watch->machine = setup->machine;
    g_mutex_init(&watch->lock);
    g_cond_init(&watch->begun);
    watch->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    watch->stop = eventfd(0, EFD_CLOEXEC);
    watch->asked = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    watch->main = pthread_self();
    sigaction(KNOCK_SIGNAL, &action, NULL);
    if (watch->signals < 0 || watch->stop < 0 || watch->asked < 0 ||
        pthread_create(&watch->thread, NULL, watch_signals, watch)) {
        sigprocmask(SIG_UNBLOCK, &set, NULL); /* they end the program as usual */
        g_free(watch);
        return;
    }
    machine_on_end_request(watch->machine, end_was_asked_for, watch);
    setup->signals = watch;
}

void process_signals_running(Setup *setup)
{
    SignalWatch *watch = setup->signals;

    if (watch) {
        g_mutex_lock(&watch->lock);
        watch->running = true;
        g_cond_signal(&watch->begun);
        g_mutex_unlock(&watch->lock);
    }
}

int process_failed_by_signal(Setup *setup)
{
    SignalWatch *watch = setup->signals;
    int status = -1;

    if (watch) {
        g_mutex_lock(&watch->lock);
        watch->running = true; /* its end is under way */
        g_cond_signal(&watch->begun);
        status = watch->taken ? end_by_signal(watch) : -1;
        g_mutex_unlock(&watch->lock);
    }
    return status;
}

void process_signals_ending(Setup *setup)
{
    SignalWatch *watch = setup->signals;

    if (watch) {
        machine_on_end_request(watch->machine, NULL, NULL);
        g_mutex_lock(&watch->lock);
        watch->ending = true;
        g_mutex_unlock(&watch->lock);
        eventfd_write(watch->asked, 1);
    }
}

void process_end_signals(Setup *setup)
{
    SignalWatch *watch = setup->signals;

    if (watch) {
        eventfd_write(watch->stop, 1);
        pthread_join(watch->thread, NULL);
        close(watch->signals);
        close(watch->stop);
        close(watch->asked);
        g_mutex_clear(&watch->lock);
        g_cond_clear(&watch->begun);
        g_free(watch->text);
        g_free(watch);
        setup->signals = NULL;
    }
}
