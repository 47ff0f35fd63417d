/* SPDX-License-Identifier: MIT */
/*
 * Device self-test (NVM Express 1.4, 5.6 and 8.11): reads namespaces beside the commands of the host, the short test pieces of them
 * and the extended one all. A piece that fails is read again block by block, to find the one. One read is under way at a time, and the
 * virtual clock starts the next, so that a test stands still with the machine and nobody waits for its end.
 */
#include <string.h>

#include "hw/nvme/nvme.h"
#include "machine/clock.h"
#include "machine/machine.h"

enum {
    SHORT = 1,
    EXTENDED = 2,
    ABORT = 15,

    PASSED = 0,
    ABORTED_BY_COMMAND = 1,
    ABORTED_BY_RESET = 2,
    ABORTED_BY_FORMAT = 4,
    FAILED_SEGMENT = 7,
    UNUSED = 15,
    READ_SEGMENT = 2,

    /* Which fields of a result hold something. */
    NSID_VALID = 1 << 0,
    LBA_VALID = 1 << 1,
    STATUS_VALID = 3 << 2,
    MEDIA_STATUS_TYPE = 2,
    READ_STATUS = 0x81,

    LOG_HEADER = 4,
    STEP_NS = 1000000,
    SAMPLES = 64, /* of a short test in a namespace */
    SAMPLE_BYTES = 64 << 10,
    PIECE_BYTES = 1 << 20,
};

typedef struct {
    Nvme *nvme;
    NvmeNamespace *ns;
    uint64_t generation, offset, bytes;
    uint8_t *buffer;
    struct iovec iov;
} Piece;

static uint64_t namespace_bytes(const NvmeNamespace *ns)
{
    return nvme_namespace_blocks(ns) * nvme_block_bytes(ns);
}

static bool is_tested(const NvmeSelfTest *t, const NvmeNamespace *ns)
{
    return ns && (t->nsid == ns->id || t->nsid == NVME_ALL_NAMESPACES);
}

static void arm(Nvme *n)
{
    timer_arm(&n->self_test.timer, clock_now_ns(n->pci.device.machine) + STEP_NS);
}

/* The newest result is the first. failed: where a block could not be read; NULL: nowhere. */
static void finish(Nvme *n, uint8_t result, const Piece *failed)
{
    NvmeSelfTest *t = &n->self_test;
    uint8_t *entry = t->results;

    memmove(entry + NVME_SELF_TEST_BYTES, entry, sizeof t->results - NVME_SELF_TEST_BYTES);
    memset(entry, 0, NVME_SELF_TEST_BYTES);
    entry[0] = (uint8_t)(t->code << 4 | result);
    store_le64(entry + 4, nvme_power_on_hours(n));
    if (failed) {
        entry[1] = READ_SEGMENT;
        entry[2] = NSID_VALID | LBA_VALID | STATUS_VALID;
        store_le32(entry + 12, failed->ns->id);
        store_le64(entry + 16, failed->offset / nvme_block_bytes(failed->ns));
        entry[24] = MEDIA_STATUS_TYPE;
        entry[25] = READ_STATUS;
    }
    t->code = 0;
    t->generation++;
    timer_cancel(&t->timer);
}

static void piece_done(void *opaque, int result)
{
    Piece *piece = opaque;
    Nvme *n = piece->nvme;
    NvmeSelfTest *t = &n->self_test;
    Machine *machine = n->pci.device.machine;
    bool locked = machine_lock_held(machine);

    if (!locked) {
        machine_lock(machine);
    }
    n->in_flight--;
    if (piece->generation == t->generation && t->code) {
        if (result >= 0) {
            t->offset = piece->offset + piece->bytes;
            arm(n);
        } else if (piece->bytes > nvme_block_bytes(piece->ns)) {
            t->fine_end = piece->offset + piece->bytes;
            arm(n);
        } else {
            finish(n, FAILED_SEGMENT, piece);
        }
    }
    if (!locked) {
        machine_unlock(machine);
    }
    g_free(piece->buffer);
    g_free(piece);
}

/* Where the test goes on in a namespace; false: it is through. */
static bool choose_range(NvmeSelfTest *t, const NvmeNamespace *ns, uint64_t *bytes)
{
    uint64_t size = namespace_bytes(ns), block = nvme_block_bytes(ns);
    uint64_t stride = MAX(align_down(size / SAMPLES, block), SAMPLE_BYTES);

    if (t->offset < t->fine_end) {
        *bytes = block;
    } else if (t->code == EXTENDED) {
        *bytes = PIECE_BYTES;
    } else {
        t->offset = (t->offset + stride - 1) / stride * stride;
        *bytes = SAMPLE_BYTES;
    }
    *bytes = t->offset < size ? MIN(*bytes, size - t->offset) : 0;
    return *bytes > 0;
}

static void step(void *opaque)
{
    Nvme *n = opaque;
    NvmeSelfTest *t = &n->self_test;
    NvmeNamespace *ns = NULL;
    uint64_t bytes = 0;
    Piece *piece;

    while (t->at < n->namespace_end) {
        ns = n->namespaces[t->at];
        if (is_tested(t, ns) && choose_range(t, ns, &bytes)) {
            break;
        }
        t->at++;
        t->offset = t->fine_end = 0;
    }
    if (!bytes) {
        finish(n, PASSED, NULL);
        return;
    }
    piece = g_new(Piece, 1);
    *piece = (Piece){ .nvme = n,
                      .ns = ns,
                      .generation = t->generation,
                      .offset = t->offset,
                      .bytes = bytes,
                      .buffer = g_malloc(bytes) };
    piece->iov = (struct iovec){ piece->buffer, bytes };
    n->in_flight++;
    block_read(ns->disk.drive, piece->offset, &piece->iov, 1, piece_done, piece);
}

uint16_t nvme_self_test(Nvme *n, const NvmeCommand *c)
{
    NvmeSelfTest *t = &n->self_test;
    uint32_t code = nvme_dw(c, 10) & 15, id = nvme_dw(c, 1);

    if (code == ABORT) {
        if (t->code) {
            finish(n, ABORTED_BY_COMMAND, NULL);
        }
        return NVME_SUCCESS;
    }
    if (code != SHORT && code != EXTENDED) {
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    if (id && id != NVME_ALL_NAMESPACES && !nvme_namespace(n, id)) {
        return (id > NVME_NAMESPACES ? NVME_INVALID_NAMESPACE : NVME_INVALID_FIELD) | NVME_DNR;
    }
    if (t->code) {
        return NVME_SELF_TEST_RUNNING | NVME_DNR;
    }
    t->code = (uint8_t)code;
    t->nsid = id;
    t->at = 0;
    t->offset = t->fine_end = 0;
    t->generation++;
    arm(n);
    return NVME_SUCCESS;
}

static unsigned percent(const Nvme *n)
{
    const NvmeSelfTest *t = &n->self_test;
    uint64_t total = 0, done = 0;

    for (unsigned i = 0; i < n->namespace_end; i++) {
        if (is_tested(t, n->namespaces[i])) {
            uint64_t bytes = namespace_bytes(n->namespaces[i]);

            total += bytes;
            done += i < t->at ? bytes : i == t->at ? MIN(t->offset, bytes) : 0;
        }
    }
    return total ? (unsigned)((double)done / (double)total * 100) : 0;
}

unsigned nvme_self_test_log(const Nvme *n, uint8_t *page)
{
    const NvmeSelfTest *t = &n->self_test;

    page[0] = t->code;
    page[1] = t->code ? (uint8_t)percent(n) : 0;
    memcpy(page + LOG_HEADER, t->results, sizeof t->results);
    return LOG_HEADER + sizeof t->results;
}

uint16_t nvme_self_test_minutes(const Nvme *n)
{
    uint64_t bytes = 0, bytes_per_minute = (uint64_t)PIECE_BYTES * (60000000000 / STEP_NS);

    for (unsigned i = 0; i < n->namespace_end; i++) {
        bytes += n->namespaces[i] ? namespace_bytes(n->namespaces[i]) : 0;
    }
    return (uint16_t)MIN(bytes / bytes_per_minute + 1, UINT16_MAX);
}

void nvme_self_test_formatting(Nvme *n, const NvmeNamespace *ns)
{
    if (n->self_test.code && is_tested(&n->self_test, ns)) {
        finish(n, ABORTED_BY_FORMAT, NULL);
    }
}

void nvme_self_test_reset(Nvme *n)
{
    if (n->self_test.code == SHORT) {
        finish(n, ABORTED_BY_RESET, NULL);
    }
}

bool nvme_self_test_check(const Nvme *n)
{
    return n->self_test.code <= EXTENDED && n->self_test.at <= NVME_NAMESPACES;
}

/* A read that was under way is made again. */
void nvme_self_test_loaded(Nvme *n)
{
    n->self_test.generation++;
    timer_cancel(&n->self_test.timer);
    if (n->self_test.code) {
        arm(n);
    }
}

void nvme_self_test_realize(Nvme *n)
{
    timer_init(&n->self_test.timer, n->pci.device.machine, step, n);
    for (unsigned i = 0; i < NVME_SELF_TESTS; i++) {
        n->self_test.results[i * NVME_SELF_TEST_BYTES] = UNUSED;
    }
}

void nvme_self_test_unrealize(Nvme *n)
{
    n->self_test.code = 0;
    n->self_test.generation++;
    timer_cancel(&n->self_test.timer);
}
