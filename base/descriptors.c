/* SPDX-License-Identifier: MIT */
#include "base/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

#define SET_PATH "/dev/fdset/"

typedef struct {
    char *name; /* NULL: in a set */
    PassedDescriptor passed;
    char *opaque;
} Descriptor;

static GMutex passed_lock;
static GPtrArray *passed_descriptors; /* of Descriptor, sorted by set */

static void free_descriptor(void *opaque)
{
    Descriptor *descriptor = opaque;

    g_free(descriptor->name);
    g_free(descriptor->opaque);
    g_free(descriptor);
}

static GPtrArray *descriptors(void)
{
    if (!passed_descriptors) {
        passed_descriptors = g_ptr_array_new_with_free_func(free_descriptor);
    }
    return passed_descriptors;
}

/* The lock is held. */
static Descriptor *find_name(const char *name, unsigned *index)
{
    for (*index = 0; *index < descriptors()->len; ++*index) {
        Descriptor *descriptor = passed_descriptors->pdata[*index];

        if (!g_strcmp0(descriptor->name, name)) {
            return descriptor;
        }
    }
    return NULL;
}

bool descriptors_name(const char *name, int fd, GError **error)
{
    Descriptor *descriptor;
    unsigned index;

    if (!*name || g_ascii_isdigit(*name)) {
        close(fd);
        return error_fail(error, KASO_ERROR_INVALID,
                          "a descriptor's name does not begin with a digit, as '%s' does", name);
    }
    g_mutex_lock(&passed_lock);
    descriptor = find_name(name, &index);
    if (descriptor) {
        close(descriptor->passed.fd);
    } else {
        descriptor = g_new0(Descriptor, 1);
        descriptor->name = g_strdup(name);
        g_ptr_array_add(passed_descriptors, descriptor);
    }
    descriptor->passed.fd = fd;
    g_mutex_unlock(&passed_lock);
    return true;
}

/* Takes a named descriptor out of the table; -1: there is none. */
static int take_name(const char *name)
{
    Descriptor *descriptor;
    unsigned index;
    int fd = -1;

    g_mutex_lock(&passed_lock);
    descriptor = find_name(name, &index);
    if (descriptor) {
        fd = descriptor->passed.fd;
        g_ptr_array_remove_index(passed_descriptors, index);
    }
    g_mutex_unlock(&passed_lock);
    return fd;
}

bool descriptors_forget(const char *name)
{
    int fd = take_name(name);

    return fd >= 0 && close(fd) == 0;
}

int descriptors_take(const char *text, GError **error)
{
    bool number = g_ascii_isdigit(*text);
    guint64 value = G_MAXUINT64;
    int fd;

    if (!number) {
        fd = take_name(text);
        if (fd < 0) {
            error_fail(error, KASO_ERROR_NOT_FOUND,
                       "%s: no descriptor of that name was passed (getfd)", text);
        }
        return fd;
    }
    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT, &value, NULL) ||
        fcntl((int)value, F_GETFD) < 0) {
        error_fail(error, KASO_ERROR_INVALID, "%s is no open descriptor's number", text);
        return -1;
    }
    return (int)value;
}

/* The number of a set that nobody has; the lock is held. */
static uint64_t free_set(void)
{
    uint64_t set = 0;

    for (unsigned i = 0; i < passed_descriptors->len; i++) {
        const Descriptor *descriptor = passed_descriptors->pdata[i];

        if (!descriptor->name && descriptor->passed.set == set) {
            set++;
        }
    }
    return set;
}

uint64_t descriptors_add(uint64_t set, int fd, const char *opaque)
{
    Descriptor *descriptor = g_new0(Descriptor, 1);
    unsigned index = 0;

    g_mutex_lock(&passed_lock);
    descriptors();
    descriptor->opaque = g_strdup(opaque);
    descriptor->passed = (PassedDescriptor){ set == UINT64_MAX ? free_set() : set, fd, NULL };
    descriptor->passed.opaque = descriptor->opaque;
    while (index < passed_descriptors->len &&
           ((Descriptor *)passed_descriptors->pdata[index])->passed.set <= descriptor->passed.set) {
        index++;
    }
    g_ptr_array_insert(passed_descriptors, index, descriptor);
    set = descriptor->passed.set;
    g_mutex_unlock(&passed_lock);
    return set;
}

bool descriptors_remove(uint64_t set, int fd, GError **error)
{
    bool found = false;

    g_mutex_lock(&passed_lock);
    for (unsigned i = descriptors()->len; i-- > 0;) {
        const Descriptor *descriptor = passed_descriptors->pdata[i];

        if (!descriptor->name && descriptor->passed.set == set &&
            (fd < 0 || descriptor->passed.fd == fd)) {
            close(descriptor->passed.fd);
            g_ptr_array_remove_index(passed_descriptors, i);
            found = true;
        }
    }
    g_mutex_unlock(&passed_lock);
    if (!found && fd >= 0) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "File descriptor named 'fdset-id:%" G_GUINT64_FORMAT ", fd:%d' not found",
                          set, fd);
    }
    return found ||
           error_fail(error, KASO_ERROR_NOT_FOUND,
                      "File descriptor named 'fdset-id:%" G_GUINT64_FORMAT "' not found", set);
}

GArray *descriptors_list(void)
{
    GArray *list = g_array_new(false, false, sizeof(PassedDescriptor));

    g_mutex_lock(&passed_lock);
    for (unsigned i = 0; i < descriptors()->len; i++) {
        const Descriptor *descriptor = passed_descriptors->pdata[i];

        if (!descriptor->name) {
            g_array_append_val(list, descriptor->passed);
        }
    }
    g_mutex_unlock(&passed_lock);
    return list;
}

static int open_in_set(uint64_t set, int flags)
{
    const int settable = O_APPEND | O_DIRECT | O_NONBLOCK;
    bool known = false;
    int fd = -1;

    g_mutex_lock(&passed_lock);
    for (unsigned i = 0; fd < 0 && i < descriptors()->len; i++) {
        const Descriptor *descriptor = passed_descriptors->pdata[i];
        int has;

        if (descriptor->name || descriptor->passed.set != set) {
            continue;
        }
        known = true;
        has = fcntl(descriptor->passed.fd, F_GETFL);
        if (has >= 0 && (has & O_ACCMODE) == (flags & O_ACCMODE)) {
            fd = fcntl(descriptor->passed.fd, F_DUPFD_CLOEXEC, 0);
            if (fd >= 0 && (has & settable) != (flags & settable)) {
                fcntl(fd, F_SETFL, (has & ~settable) | (flags & settable));
            }
        }
    }
    g_mutex_unlock(&passed_lock);
    if (fd < 0) {
        errno = known ? EACCES : ENOENT;
    }
    return fd;
}

int descriptors_open(const char *path, int flags, mode_t mode)
{
    guint64 set;
    int fd;

    if (!g_str_has_prefix(path, SET_PATH)) {
        return open(path, flags | O_CLOEXEC, mode);
    }
    if (!g_ascii_string_to_unsigned(path + strlen(SET_PATH), 10, 0, INT64_MAX, &set, NULL)) {
        errno = EINVAL;
        return -1;
    }
    fd = open_in_set(set, flags);
    if (fd >= 0 && (flags & O_TRUNC) && ftruncate(fd, 0) < 0 && errno != EINVAL) {
        close(fd);
        return -1;
    }
    return fd;
}
