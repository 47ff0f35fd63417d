/* SPDX-License-Identifier: MIT */
/*
 * What a program without a system may ask of the host: files, a console, an end with a status. Off unless a user asks for it, since a guest reaches the
 * host's files by it. How a processor asks is its target's: Arm's document "Semihosting for AArch32 and AArch64" (ARM IHI 0100), whose names these are.
 * With the machine lock.
 */
#ifndef MACHINE_SEMIHOSTING_H
#define MACHINE_SEMIHOSTING_H

#include "machine/chardev.h"
#include "machine/machine.h"

typedef struct Semihosting Semihosting;

/* Once more: changes it. command_line: what the program may read of it. console: NULL is standard error, with nothing to read. */
bool semihosting_enable(Machine *machine, bool userspace, const char *command_line,
                        Chardev *console, GError **error);
/* NULL: it is off. */
Semihosting *semihosting_of(Machine *machine);
/* Whether unprivileged code may ask, too. */
bool semihosting_userspace(const Semihosting *host);
const char *semihosting_command_line(const Semihosting *host);

/* For boards: the RAM behind the program, which it may have for heap and stack. Guest physical; 0 to 0 where nobody has said. */
void semihosting_set_free_memory(Machine *machine, uint64_t start, uint64_t end);
void semihosting_free_memory(const Semihosting *host, uint64_t *start, uint64_t *end);

/*
 * Handles. mode: fopen's, in the document's order: r rb r+ r+b w wb w+ w+b a ab a+ a+b. ":tt" is the console, ":semihosting-features" a file that says
 * what there is. All return -1 for a failure, and semihosting_errno tells which.
 */
int64_t semihosting_open(Semihosting *host, const char *name, uint64_t mode);
int64_t semihosting_close(Semihosting *host, uint64_t handle);
/* How many bytes were written or read; SEMIHOSTING_WAIT: there is no room or nothing yet, ask again. */
enum { SEMIHOSTING_WAIT = -2 };
int64_t semihosting_write(Semihosting *host, uint64_t handle, const void *data, size_t size);
int64_t semihosting_read(Semihosting *host, uint64_t handle, void *data, size_t size);
int64_t semihosting_seek(Semihosting *host, uint64_t handle, uint64_t position);
int64_t semihosting_length(Semihosting *host, uint64_t handle);
/* 1 or 0. */
int64_t semihosting_is_terminal(Semihosting *host, uint64_t handle);
int64_t semihosting_remove(Semihosting *host, const char *name);
int64_t semihosting_rename(Semihosting *host, const char *from, const char *to);
/* The exit status of a shell's command. */
int64_t semihosting_system(Semihosting *host, const char *command);
/* Of the last failure. */
int semihosting_errno(const Semihosting *host);

/* The console without a handle. get: a byte, -1 where there never is one, SEMIHOSTING_WAIT. */
void semihosting_put(Semihosting *host, const void *data, size_t size);
int64_t semihosting_get(Semihosting *host);

#endif
