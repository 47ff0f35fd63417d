/* SPDX-License-Identifier: MIT */
/*
 * File descriptors that others have opened for this process: some have a name (getfd) until an option takes them, others
 * lie in numbered sets (-add-fd, add-fd), whose members are opened by the path "/dev/fdset/NUMBER".
 *
 * They are the process's, as descriptors are. Any thread.
 */
#ifndef BASE_DESCRIPTORS_H
#define BASE_DESCRIPTORS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Takes fd, also when it fails. A descriptor that had the name before is closed. */
bool descriptors_name(const char *name, int fd, GError **error);
/* Closes a named descriptor; false: there is none. */
bool descriptors_forget(const char *name);
/*
 * What fd= may be: the number of an open descriptor, or a name. The caller owns what is returned; -1 with an error that
 * begins with the text.
 */
int descriptors_take(const char *text, GError **error);

typedef struct {
    uint64_t set;
    int fd;
    const char *opaque; /* what who passed it calls it; may be NULL */
} PassedDescriptor;

/* Takes fd into a set, a new one if set is UINT64_MAX; returns the set's number. */
uint64_t descriptors_add(uint64_t set, int fd, const char *opaque);
/* Closes a member of a set, or (fd -1) all. What has been opened by the set's path stays open. */
bool descriptors_remove(uint64_t set, int fd, GError **error);
/* All members, in the order of their sets; by value, the texts stay the registry's. Caller unrefs. */
GArray *descriptors_list(void);

/* open(2) with O_CLOEXEC, which also opens "/dev/fdset/NUMBER": a copy of the member with the same access. */
int descriptors_open(const char *path, int flags, mode_t mode);

#endif
