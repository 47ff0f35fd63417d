/* SPDX-License-Identifier: MIT */
/* Names of translated code for `perf report`: the text file that perf looks for (perf's jit-interface.txt). */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "accel/tcg/run/run.h"
#include "base/error.h"

/* The name is fixed by perf, in a folder where anybody writes: what lies there already is not followed. */
bool perfmap_open(TcgRun *run, GError **error)
{
    g_autofree char *path = NULL;
    int fd;

    if (!run->perfmap_wanted || run->interp) {
        return true;
    }
    path = g_strdup_printf("/tmp/perf-%ld.map", (long)getpid());
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        return error_fail(error, KASO_ERROR_IO, "-accel tcg,perfmap=on: could not create '%s': %s",
                          path, strerror(errno));
    }
    run->perfmap = fdopen(fd, "w");
    return true;
}

void perfmap_close(TcgRun *run)
{
    if (run->perfmap) {
        fclose(run->perfmap);
    }
}

void perfmap_add(TcgRun *run, const uint8_t *code, size_t size, const char *name)
{
    if (run->perfmap) {
        fprintf(run->perfmap, "%" PRIxPTR " %zx %s\n", (uintptr_t)code, size, name);
    }
}

void perfmap_add_unit(TcgRun *run, const HostCode *code, uint64_t pc)
{
    char name[32];

    if (run->perfmap) {
        g_snprintf(name, sizeof name, "guest-%" PRIx64, pc);
        perfmap_add(run, run->code_next, code->size, name);
        g_snprintf(name, sizeof name, "slow-%" PRIx64, pc);
        perfmap_add(run, run->cold_next, code->cold_size, name);
    }
}
