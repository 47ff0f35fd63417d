/* SPDX-License-Identifier: MIT */
/* The objects of -object: random sources, memory back ends. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
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
    return object_random(NULL, buffer, size);
}

static const ObjectType rng_builtin_type = {
    .name = "rng-builtin",
    .summary = "Random numbers from the host's generator",
    .instance_size = sizeof(Object),
    .random = rng_builtin_read,
};
OBJECT_TYPE(rng_builtin_type);

typedef struct {
    Object object;
    uint64_t size_bytes;
    char *path;
    bool share, prealloc, discard_data;
    int fd;
} MemoryBackend;

static bool check_size(const MemoryBackend *backend, GError **error)
{
    return backend->size_bytes ||
           error_fail(error, KASO_ERROR_INVALID, "object '%s' needs size=", backend->object.id);
}

static bool finish_memory(MemoryBackend *backend, GError **error)
{
    int failure;

    if (!backend->prealloc) {
        return true;
    }
    failure = posix_fallocate(backend->fd, 0, backend->size_bytes);
    if (failure) {
        close(backend->fd);
        return error_fail_errno(error, failure,
                                "object '%s': cannot allocate %" G_GUINT64_FORMAT " bytes",
                                backend->object.id, backend->size_bytes);
    }
    return true;
}

static bool memory_memfd_complete(Object *object, GError **error)
{
    MemoryBackend *backend = container_of(object, MemoryBackend, object);

    if (!check_size(backend, error)) {
        return false;
    }
    backend->fd = memfd_create(object->id, MFD_CLOEXEC);
    if (backend->fd < 0 || ftruncate(backend->fd, backend->size_bytes) < 0) {
        return error_fail_errno(error, errno, "object '%s': cannot create its memory", object->id);
    }
    return finish_memory(backend, error);
}

static bool memory_ram_complete(Object *object, GError **error)
{
    MemoryBackend *backend = container_of(object, MemoryBackend, object);

    if (backend->share) {
        return memory_memfd_complete(object, error);
    }
    backend->fd = -1;
    return check_size(backend, error);
}

static bool memory_file_complete(Object *object, GError **error)
{
    MemoryBackend *backend = container_of(object, MemoryBackend, object);
    struct stat status;

    if (!check_size(backend, error)) {
        return false;
    }
    if (!backend->path) {
        return error_fail(error, KASO_ERROR_INVALID, "object '%s' needs mem-path=", object->id);
    }
    if (stat(backend->path, &status) == 0 && S_ISDIR(status.st_mode)) {
        g_autofree char *name = g_build_filename(backend->path, "kaso-memory-XXXXXX", NULL);

        backend->fd = g_mkstemp_full(name, O_RDWR | O_CLOEXEC, 0600);
        if (backend->fd >= 0) {
            unlink(name);
        }
    } else {
        backend->fd = descriptors_open(backend->path, O_RDWR | O_CREAT, 0600);
    }
    if (backend->fd < 0) {
        return error_fail_errno(error, errno, "object '%s': cannot open '%s'", object->id,
                                backend->path);
    }
    if (fstat(backend->fd, &status) < 0 ||
        (S_ISREG(status.st_mode) && (uint64_t)status.st_size < backend->size_bytes &&
         ftruncate(backend->fd, backend->size_bytes) < 0)) {
        int failure = errno;

        close(backend->fd);
        return error_fail_errno(error, failure,
                                "object '%s': cannot grow '%s' to %" G_GUINT64_FORMAT " bytes",
                                object->id, backend->path, backend->size_bytes);
    }
    return finish_memory(backend, error);
}

static void memory_backend_free(Object *object)
{
    MemoryBackend *backend = container_of(object, MemoryBackend, object);

    if (backend->fd >= 0) {
        close(backend->fd);
    }
}

static int memory_backend_file(Object *object, uint64_t *size, bool *populate)
{
    MemoryBackend *backend = container_of(object, MemoryBackend, object);

    *size = backend->size_bytes;
    *populate = backend->prealloc && backend->fd < 0;
    return backend->fd;
}

/* clang-format off */
static const Property memory_properties[] = {
    { "size", PROPERTY_SIZE, offsetof(MemoryBackend, size_bytes), "bytes" },
    { "share", PROPERTY_BOOL, offsetof(MemoryBackend, share), "other processes see writes" },
    { "prealloc", PROPERTY_BOOL, offsetof(MemoryBackend, prealloc), "allocate all of it at once" },
    { 0 },
};
static const Property memory_file_properties[] = {
    { "size", PROPERTY_SIZE, offsetof(MemoryBackend, size_bytes), "bytes" },
    { "mem-path", PROPERTY_STRING, offsetof(MemoryBackend, path), "file, or folder for a temporary one" },
    { "share", PROPERTY_BOOL, offsetof(MemoryBackend, share), "other processes see writes" },
    { "prealloc", PROPERTY_BOOL, offsetof(MemoryBackend, prealloc), "allocate all of it at once" },
    { "discard-data", PROPERTY_BOOL, offsetof(MemoryBackend, discard_data), "contents need not be kept" },
    { 0 },
};
/* clang-format on */

static const ObjectType memory_backend_ram_type = {
    .name = "memory-backend-ram",
    .summary = "Guest memory",
    .instance_size = sizeof(MemoryBackend),
    .properties = memory_properties,
    .complete = memory_ram_complete,
    .free = memory_backend_free,
    .memory = memory_backend_file,
};
OBJECT_TYPE(memory_backend_ram_type);

static const ObjectType memory_backend_memfd_type = {
    .name = "memory-backend-memfd",
    .summary = "Guest memory in a memfd",
    .instance_size = sizeof(MemoryBackend),
    .properties = memory_properties,
    .complete = memory_memfd_complete,
    .free = memory_backend_free,
    .memory = memory_backend_file,
};
OBJECT_TYPE(memory_backend_memfd_type);

static const ObjectType memory_backend_file_type = {
    .name = "memory-backend-file",
    .summary = "Guest memory in a file",
    .instance_size = sizeof(MemoryBackend),
    .properties = memory_file_properties,
    .complete = memory_file_complete,
    .free = memory_backend_free,
    .memory = memory_backend_file,
};
OBJECT_TYPE(memory_backend_file_type);
