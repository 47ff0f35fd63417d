/* SPDX-License-Identifier: MIT */
/* What the kernel counts of the machine and of each vCPU (KVM_GET_STATS_FD). */
#include <errno.h>
#include <unistd.h>

#include "accel/kvm/kvm.h"
#include "base/error.h"

/* More than this is no answer. */
enum { DESCRIPTORS_MOST = 4096, NAME_MOST = 512, VALUES_MOST = 4096 };

typedef struct {
    int fd;
    struct kvm_stats_header header;
    GError **error;
} Reader;

static bool read_at(Reader *r, void *to, size_t bytes, uint64_t offset)
{
    ssize_t got = pread(r->fd, to, bytes, (off_t)offset);

    return got == (ssize_t)bytes ||
           error_fail(r->error, KASO_ERROR_IO, "KVM's statistics cannot be read: %s",
                      got < 0 ? g_strerror(errno) : "they end early");
}

static void describe(const struct kvm_stats_desc *d, AcceleratorStatistic *s)
{
    static const char *const types[] = { "cumulative", "instant", "peak", "linear-histogram",
                                         "log2-histogram" };
    static const char *const units[] = { NULL, "bytes", "seconds", "cycles", "boolean" };
    uint32_t type = d->flags & KVM_STATS_TYPE_MASK, unit = (d->flags & KVM_STATS_UNIT_MASK) >> 4;

    *s = (AcceleratorStatistic){
        .name = d->name,
        .type = type < G_N_ELEMENTS(types) ? types[type] : types[1],
        .unit = unit < G_N_ELEMENTS(units) ? units[unit] : NULL,
        .base = (d->flags & KVM_STATS_BASE_MASK) == KVM_STATS_BASE_POW2 ? 2 : 10,
        .exponent = d->exponent,
        .bucket_size = d->bucket_size,
        .count = d->size,
    };
}

static bool visit_one(Reader *r, const struct kvm_stats_desc *d, AcceleratorVisitor *visit,
                      void *opaque)
{
    g_autofree uint64_t *values = NULL;
    AcceleratorStatistic statistic;

    if (d->size == 0 || d->size > VALUES_MOST) {
        return true;
    }
    values = g_new0(uint64_t, d->size);
    describe(d, &statistic);
    statistic.values = values;
    if (!read_at(r, values, d->size * sizeof values[0],
                 (uint64_t)r->header.data_offset + d->offset)) {
        return false;
    }
    visit(opaque, &statistic);
    return true;
}

static bool visit_all(Reader *r, AcceleratorVisitor *visit, void *opaque)
{
    g_autofree struct kvm_stats_desc *d = NULL;
    size_t bytes;
    bool ok = true;

    if (!read_at(r, &r->header, sizeof r->header, 0)) {
        return false;
    }
    if (r->header.name_size > NAME_MOST || r->header.num_desc > DESCRIPTORS_MOST) {
        return error_fail(r->error, KASO_ERROR_UNSUPPORTED, "KVM's statistics have another form");
    }
    bytes = sizeof *d + r->header.name_size;
    d = g_malloc0(bytes + 1); /* the name ends, whatever was read */
    for (uint32_t i = 0; i < r->header.num_desc && ok; i++) {
        ok = read_at(r, d, bytes, r->header.desc_offset + (uint64_t)i * bytes) &&
             visit_one(r, d, visit, opaque);
    }
    return ok;
}

int kvm_statistics_open(const Kvm *kvm, int fd)
{
    int result = kvm_has(kvm, KVM_HAS_BINARY_STATS) ? kvm_ioctl(fd, KVM_GET_STATS_FD, NULL) : -1;

    return MAX(result, -1);
}

bool kvm_statistics(Machine *machine, Vcpu *vcpu, AcceleratorVisitor *visit, void *opaque,
                    GError **error)
{
    const Kvm *kvm = machine->accel_state;
    Reader r = { .error = error };

    r.fd = vcpu ? kvm_vcpu(vcpu)->statistics_fd : kvm->statistics_fd;
    return r.fd < 0 || visit_all(&r, visit, opaque);
}
