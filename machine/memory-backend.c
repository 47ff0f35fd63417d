/* SPDX-License-Identifier: MIT */
/* Memory back ends of -object: anonymous memory, a memfd, a file. RAM is where -machine memory-backend= or -numa memdev= put them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/descriptors.h"
#include "base/error.h"
#include "machine/object.h"

enum { LONG_BITS = 8 * sizeof(long) };

typedef struct {
    Object object;
    uint64_t size_bytes, offset, align, hugetlbsize;
    char *path, *host_nodes;
    bool share, prealloc, discard_data, readonly, merge, dump, reserve, canonical, hugetlb, seal;
    uint32_t prealloc_threads;
    int policy;
    int fd;
    unsigned long nodes[HOST_NODES_MOST / LONG_BITS];
} MemoryBackend;

const char *const memory_policies[] = { "default", "preferred", "bind", "interleave", NULL };

static bool add_host_nodes(MemoryBackend *backend, const char *text, GError **error)
{
    char *end;
    unsigned long first = strtoul(text, &end, 10), last = first;

    if (*end == '-') {
        last = strtoul(end + 1, &end, 10);
    }
    if (!g_ascii_isdigit(*text) || *end || last < first || last >= HOST_NODES_MOST) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "object '%s': host-nodes=%s: give N or N-M, up to %u", backend->object.id,
                          text, HOST_NODES_MOST - 1);
    }
    for (; first <= last; first++) {
        backend->nodes[first / LONG_BITS] |= 1ul << first % LONG_BITS;
    }
    return true;
}

static bool parse_host_nodes(MemoryBackend *backend, GError **error)
{
    g_auto(GStrv) parts = g_strsplit_set(backend->host_nodes ? backend->host_nodes : "", "\n,", -1);

    for (char **part = parts; *part; part++) {
        if (!add_host_nodes(backend, *part, error)) {
            return false;
        }
    }
    if (!backend->policy != !parts[0]) {
        return error_fail(error, KASO_ERROR_INVALID,
                          backend->policy
                              ? "object '%s': policy=%s needs host-nodes="
                              : "object '%s': host-nodes= needs policy=, which is '%s' now",
                          backend->object.id, memory_policies[backend->policy]);
    }
    return true;
}

static bool check_common(MemoryBackend *backend, GError **error)
{
    if (!backend->size_bytes) {
        return error_fail(error, KASO_ERROR_INVALID, "object '%s' needs size=", backend->object.id);
    }
    return parse_host_nodes(backend, error);
}

/* A private copy is taken from the host when it is mapped. */
static bool finish_memory(MemoryBackend *backend, GError **error)
{
    int failure;

    if (!backend->prealloc || !backend->share) {
        return true;
    }
    failure = posix_fallocate(backend->fd, (off_t)backend->offset, (off_t)backend->size_bytes);
    if (failure) {
        close(backend->fd);
        return error_fail_errno(error, failure,
                                "object '%s': cannot allocate %" G_GUINT64_FORMAT " bytes",
                                backend->object.id, backend->size_bytes);
    }
    return true;
}

static bool make_memfd(MemoryBackend *backend, GError **error)
{
    unsigned flags = MFD_CLOEXEC | (backend->seal ? MFD_ALLOW_SEALING : 0);

    if (backend->hugetlb) {
        unsigned page = backend->hugetlbsize ? (unsigned)__builtin_ctzll(backend->hugetlbsize) : 0;

        flags |= MFD_HUGETLB | page << MAP_HUGE_SHIFT;
        if (backend->seal) {
            flags &= ~(unsigned)MFD_ALLOW_SEALING;
        }
    }
    backend->fd = memfd_create(backend->object.id, flags);
    if (backend->fd < 0 || ftruncate(backend->fd, (off_t)backend->size_bytes) < 0) {
        int failure = errno;

        if (backend->fd >= 0) {
            close(backend->fd);
        }
        return error_fail_errno(error, failure, "object '%s': cannot create its memory",
                                backend->object.id);
    }
    if (flags & MFD_ALLOW_SEALING) {
        fcntl(backend->fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    }
    return finish_memory(backend, error);
}

static bool memory_memfd_complete(Object *object, GError **error)
{
    MemoryBackend *backend = container_of(object, MemoryBackend, object);

    if (backend->hugetlbsize & (backend->hugetlbsize - 1)) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "object '%s': hugetlbsize=%" G_GUINT64_FORMAT " is no power of two",
                          object->id, backend->hugetlbsize);
    }
    return check_common(backend, error) && make_memfd(backend, error);
}

static bool memory_ram_complete(Object *object, GError **error)
{
    MemoryBackend *backend = container_of(object, MemoryBackend, object);

    if (!check_common(backend, error)) {
        return false;
    }
    backend->fd = -1;
    return !backend->share || make_memfd(backend, error);
}

static int open_file(const MemoryBackend *backend)
{
    struct stat status;

    if (stat(backend->path, &status) == 0 && S_ISDIR(status.st_mode)) {
        g_autofree char *name = g_build_filename(backend->path, "kaso-memory-XXXXXX", NULL);
        int fd = g_mkstemp_full(name, O_RDWR | O_CLOEXEC, 0600);

        if (fd >= 0) {
            unlink(name);
        }
        return fd;
    }
    return descriptors_open(backend->path, backend->readonly ? O_RDONLY : O_RDWR | O_CREAT, 0600);
}

/* A file that is too short grows. */
static bool check_file(MemoryBackend *backend, GError **error)
{
    uint64_t end = backend->offset + backend->size_bytes;
    struct stat status;
    int failure;

    if (fstat(backend->fd, &status) == 0 &&
        (!S_ISREG(status.st_mode) || (uint64_t)status.st_size >= end ||
         ftruncate(backend->fd, (off_t)end) == 0)) {
        return true;
    }
    failure = errno;
    close(backend->fd);
    return error_fail_errno(error, failure,
                            "object '%s': cannot grow '%s' to %" G_GUINT64_FORMAT " bytes",
                            backend->object.id, backend->path, end);
}

static bool memory_file_complete(Object *object, GError **error)
{
    MemoryBackend *backend = container_of(object, MemoryBackend, object);

    if (!check_common(backend, error)) {
        return false;
    }
    if (!backend->path) {
        return error_fail(error, KASO_ERROR_INVALID, "object '%s' needs mem-path=", object->id);
    }
    if (backend->offset & 0xfff) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "object '%s': offset=%" G_GUINT64_FORMAT " is no multiple of 4 KiB",
                          object->id, backend->offset);
    }
    if (backend->readonly && backend->share) {
        return error_fail(
            error, KASO_ERROR_INVALID,
            "object '%s': guests write to RAM: with readonly=on it is a copy, so leave "
            "share=on out",
            object->id);
    }
    backend->fd = open_file(backend);
    if (backend->fd < 0) {
        return error_fail_errno(error, errno, "object '%s': cannot open '%s'", object->id,
                                backend->path);
    }
    return check_file(backend, error) && finish_memory(backend, error);
}

static void memory_backend_free(Object *object)
{
    MemoryBackend *backend = container_of(object, MemoryBackend, object);

    if (backend->fd >= 0) {
        close(backend->fd);
    }
}

static void memory_backend_tell(const Object *object, ObjectMemory *memory)
{
    const MemoryBackend *backend = (const MemoryBackend *)object;

    *memory = (ObjectMemory){
        .size = backend->size_bytes,
        .fd = backend->fd,
        .offset = backend->offset,
        .private_copy = !backend->share,
        .populate = backend->prealloc,
        .no_dump = !backend->dump,
        .no_merge = !backend->merge,
        .no_reserve = !backend->reserve,
        .policy = backend->policy,
        .host_nodes = backend->nodes,
    };
}

/* clang-format off */
#define COMMON_PROPERTIES(shared) \
    { "size", PROPERTY_SIZE, offsetof(MemoryBackend, size_bytes), "bytes" }, \
    { "share", PROPERTY_BOOL, offsetof(MemoryBackend, share), "other processes see writes", .fallback = (shared) }, \
    { "prealloc", PROPERTY_BOOL, offsetof(MemoryBackend, prealloc), "allocate all of it at once" }, \
    { "prealloc-threads", PROPERTY_U32, offsetof(MemoryBackend, prealloc_threads), "accepted; one does it", .fallback = "1" }, \
    { "host-nodes", PROPERTY_STRING, offsetof(MemoryBackend, host_nodes), "the host's nodes: N or N-M, may be repeated", .repeats = true }, \
    { "policy", PROPERTY_ENUM, offsetof(MemoryBackend, policy), "how they are used", .fallback = "default", .values = memory_policies }, \
    { "merge", PROPERTY_BOOL, offsetof(MemoryBackend, merge), "the host may share equal pages", .fallback = "on" }, \
    { "dump", PROPERTY_BOOL, offsetof(MemoryBackend, dump), "the host's core files of Kaso have it", .fallback = "on" }, \
    { "reserve", PROPERTY_BOOL, offsetof(MemoryBackend, reserve), "off: huge pages are not set aside at the start (swap space never is)", .fallback = "on" }, \
    { "x-use-canonical-path-for-ramblock-id", PROPERTY_BOOL, offsetof(MemoryBackend, canonical), "accepted; RAM is saved by the board's name for it" }
static const Property memory_ram_properties[] = { COMMON_PROPERTIES("off"), { 0 } };
static const Property memory_memfd_properties[] = {
    COMMON_PROPERTIES("on"),
    { "hugetlb", PROPERTY_BOOL, offsetof(MemoryBackend, hugetlb), "in the host's huge pages" },
    { "hugetlbsize", PROPERTY_SIZE, offsetof(MemoryBackend, hugetlbsize), "their size; 0: the host's usual one" },
    { "seal", PROPERTY_BOOL, offsetof(MemoryBackend, seal), "nobody may change its size", .fallback = "on" },
    { 0 },
};
static const Property memory_file_properties[] = {
    COMMON_PROPERTIES("off"),
    { "mem-path", PROPERTY_STRING, offsetof(MemoryBackend, path), "file, or folder for a temporary one" },
    { "offset", PROPERTY_SIZE, offsetof(MemoryBackend, offset), "where in the file it begins" },
    { "align", PROPERTY_SIZE, offsetof(MemoryBackend, align), "accepted; huge pages are aligned" },
    { "readonly", PROPERTY_BOOL, offsetof(MemoryBackend, readonly), "the file is not opened for writing; RAM is a copy of it" },
    { "discard-data", PROPERTY_BOOL, offsetof(MemoryBackend, discard_data), "contents need not be kept" },
    { 0 },
};
/* clang-format on */

static const ObjectType memory_backend_ram_type = {
    .name = "memory-backend-ram",
    .summary = "Guest memory",
    .instance_size = sizeof(MemoryBackend),
    .properties = memory_ram_properties,
    .complete = memory_ram_complete,
    .free = memory_backend_free,
    .memory = memory_backend_tell,
};
OBJECT_TYPE(memory_backend_ram_type);

static const ObjectType memory_backend_memfd_type = {
    .name = "memory-backend-memfd",
    .summary = "Guest memory in a memfd",
    .instance_size = sizeof(MemoryBackend),
    .properties = memory_memfd_properties,
    .complete = memory_memfd_complete,
    .free = memory_backend_free,
    .memory = memory_backend_tell,
};
OBJECT_TYPE(memory_backend_memfd_type);

static const ObjectType memory_backend_file_type = {
    .name = "memory-backend-file",
    .summary = "Guest memory in a file",
    .instance_size = sizeof(MemoryBackend),
    .properties = memory_file_properties,
    .complete = memory_file_complete,
    .free = memory_backend_free,
    .memory = memory_backend_tell,
};
OBJECT_TYPE(memory_backend_file_type);
