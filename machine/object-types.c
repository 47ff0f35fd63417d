/* SPDX-License-Identifier: MIT */
/* The objects of -object: random sources. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "machine/object.h"

typedef struct {
    Object object;
    char *filename;
    int fd;
} RngRandom;

static bool rng_random_complete(Object *object, GError **error)
{
    RngRandom *rng = container_of(object, RngRandom, object);

    rng->fd = descriptors_open(rng->filename, O_RDONLY | O_NONBLOCK, 0);
    return rng->fd >= 0 ||
           error_fail_errno(error, errno, "rng-random: cannot open '%s'", rng->filename);
}

static void rng_random_free(Object *object)
{
    close(container_of(object, RngRandom, object)->fd);
}

static int64_t rng_random_read(Object *object, void *buffer, size_t size)
{
    ssize_t got = read(container_of(object, RngRandom, object)->fd, buffer, size);

    return got >= 0 ? got : errno == EAGAIN ? 0 : -errno;
}

static const ObjectType rng_random_type = {
    .name = "rng-random",
    .summary = "Random numbers from a file or device of the host",
    .instance_size = sizeof(RngRandom),
    .properties =
        (const Property[]){
            { "filename", PROPERTY_STRING, offsetof(RngRandom, filename), "what to read",
              .fallback = "/dev/urandom" },
            { 0 },
        },
    .complete = rng_random_complete,
    .free = rng_random_free,
    .random = rng_random_read,
};
OBJECT_TYPE(rng_random_type);

static int64_t rng_builtin_read(Object *object, void *buffer, size_t size)
{
    return object_random(object->machine, NULL, buffer, size);
}

static const ObjectType rng_builtin_type = {
    .name = "rng-builtin",
    .summary = "Random numbers from the host's generator",
    .instance_size = sizeof(Object),
    .random = rng_builtin_read,
};
OBJECT_TYPE(rng_builtin_type);
