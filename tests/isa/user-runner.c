/* SPDX-License-Identifier: MIT */
/*
 * Runs an image of test-snippets-a64 as a Linux program, for an outside opinion: maps the file at its
 * address, jumps to its start, skips instructions that fault, and at BRK writes the memory back.
 * Built for AArch64: user-runner IMAGE RESULT.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>

enum { BASE = 0x41000000 };

static const char *result;
static size_t size;

static void write_result(void)
{
    int fd = open(result, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    size_t done = 0;

    while (fd >= 0 && done < size) {
        ssize_t n = write(fd, (const char *)(uintptr_t)BASE + done, size - done);

        if (n <= 0) {
            _exit(1);
        }
        done += (size_t)n;
    }
    _exit(fd < 0);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;

    (void)info;
    if (number == SIGTRAP) {
        write_result();
    }
    uc->uc_mcontext.pc += 4;
}

int main(int argc, char **argv)
{
    static char stack[1 << 16];
    static const int numbers[] = { SIGTRAP, SIGILL, SIGSEGV, SIGBUS, SIGFPE };
    struct sigaction action = { .sa_sigaction = on_signal,
                                .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    stack_t alternate = { .ss_sp = stack, .ss_size = sizeof stack };
    struct stat status;
    int fd = argc == 3 ? open(argv[1], O_RDONLY) : -1;

    if (fd < 0 || fstat(fd, &status) < 0) {
        return 2;
    }
    size = (size_t)status.st_size;
    result = argv[2];
    if (mmap((void *)(uintptr_t)BASE, size, PROT_READ | PROT_WRITE | PROT_EXEC,
             MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED ||
        sigaltstack(&alternate, NULL) < 0) {
        return 2;
    }
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaction(numbers[i], &action, NULL);
    }
    ((void (*)(void))(uintptr_t)BASE)();
    return 2;
}
