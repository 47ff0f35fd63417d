/* SPDX-License-Identifier: MIT */
/* Commands of the NVM set (NVM Express 1.4, 6). Reads and writes go straight between the image and the guest's memory. */
#include <errno.h>

#include "hw/nvme/nvme.h"
#include "machine/machine.h"

enum {
    FUA = 1 << 30,        /* of double word 12 */
    DEALLOCATE = 1 << 25, /* the same, of write zeroes */
    BLOCKS = 0xffff,      /* less one */
    RANGES_MOST = 256,
    RANGE_BYTES = 16,
    ATTRIBUTE_DEALLOCATE = 1 << 2, /* of double word 11 */
    VERIFY_BYTES = 1 << 20,        /* that are read at a time */
    FORMAT_NUMBER = 15,            /* of double word 10 */
    FORMAT_PROTECTION = 7 << 5,
    FORMAT_ERASE_SHIFT = 9,
    ERASE_USER_DATA = 1,

    EFFECT_SUPPORTED = 1 << 0,
    EFFECT_CONTENT = 1 << 1,
    EFFECTS_IO = 1024, /* in the log page */
};

struct NvmeRequest {
    Nvme *nvme;
    NvmeNamespace *ns;
    NvmeCommand *command;
    NvmeData data;
    uint8_t *compared;
    uint64_t verified, verify_end; /* of the image; what is under way counts as verified */
    uint32_t format_id;            /* namespaces that are formatted; 0: none */
    uint8_t format;
    unsigned pending; /* of the block layer */
    int error;
    bool is_write;
};

typedef struct {
    uint8_t opcode;
    bool writes, has_data, to_memory;
    uint16_t (*start)(NvmeRequest *r, uint64_t offset, uint64_t bytes);
} IoCommand;

static uint64_t first_block(const NvmeCommand *c)
{
    return load_le64(c->entry + 40);
}

/* --- ends --- */

static uint16_t result_of(NvmeRequest *r)
{
    uint16_t status = NVME_SUCCESS;

    if (r->compared && !nvme_data_equals(&r->data, r->compared)) {
        status = NVME_COMPARE_FAILURE | NVME_DNR;
    }
    if (r->data.pieces) {
        uint16_t moved = nvme_data_end(r->nvme, &r->data);

        status = status ? status : moved;
    }
    return status;
}

static void free_request(NvmeRequest *r)
{
    nvme_data_clear(&r->data);
    g_free(r->compared);
    g_free(r);
}

static bool is_formatted(const NvmeRequest *r, const NvmeNamespace *ns)
{
    return ns && (r->format_id == ns->id || r->format_id == NVME_ALL_NAMESPACES);
}

/* The namespaces take commands again; done: in their new format. */
static void end_format(const NvmeRequest *r, bool done)
{
    for (unsigned i = 0; i < r->nvme->namespace_end; i++) {
        NvmeNamespace *ns = r->nvme->namespaces[i];

        if (is_formatted(r, ns)) {
            ns->formatting = false;
            ns->format = done ? r->format : ns->format;
        }
    }
}

static void settle(NvmeRequest *r)
{
    Nvme *n = r->nvme;
    NvmeCommand *c = r->command;
    DiskVerdict verdict = DISK_IGNORE;

    n->in_flight--;
    if (c->request != r) {
        end_format(r, false);
        free_request(r);
        nvme_orphan_ended(n);
        return;
    }
    c->request = NULL;
    if (r->error) {
        verdict = disk_failed(&r->ns->disk, r->ns->device, r->is_write, -r->error);
    }
    end_format(r, verdict == DISK_IGNORE);
    if (verdict == DISK_REPORT) {
        nvme_end(n, c, r->is_write ? NVME_WRITE_FAULT : NVME_READ_ERROR, 0);
    } else if (verdict == DISK_IGNORE) {
        bool running = n->running;
        uint16_t status;

        n->running = true;
        status = result_of(r);
        n->running = running;
        nvme_end(n, c, status, 0);
    }
    /* What is held is started again when the machine goes on. */
    free_request(r);
}

static void verify_next(NvmeRequest *r);

static void complete(void *opaque, int result)
{
    NvmeRequest *r = opaque;
    Machine *machine = r->nvme->pci.device.machine;
    bool locked = machine_lock_held(machine);

    if (!locked) {
        machine_lock(machine);
    }
    if (result < 0 && !r->error) {
        r->error = result;
    }
    if (!r->error && r->verified < r->verify_end && r->command->request == r) {
        verify_next(r);
    } else if (!--r->pending) {
        settle(r);
    }
    if (!locked) {
        machine_unlock(machine);
    }
}

/* To deallocate is a wish: an image that cannot is no error. */
static void deallocated(void *opaque, int result)
{
    complete(opaque, result == -ENOTSUP ? 0 : result);
}

/* --- starts --- */

static uint16_t start_read(NvmeRequest *r, uint64_t offset, uint64_t bytes)
{
    r->pending = 1;
    block_read(r->ns->disk.drive, offset, r->data.iov, r->data.count, complete, r);
    return NVME_PENDING;
}

static uint16_t start_write(NvmeRequest *r, uint64_t offset, uint64_t bytes)
{
    bool durable = nvme_dw(r->command, 12) & FUA;

    r->pending = 1;
    block_write(r->ns->disk.drive, offset, r->data.iov, r->data.count, durable ? BLOCK_FUA : 0,
                complete, r);
    return NVME_PENDING;
}

static uint16_t start_compare(NvmeRequest *r, uint64_t offset, uint64_t bytes)
{
    struct iovec iov;

    r->compared = g_malloc(bytes);
    iov = (struct iovec){ r->compared, bytes };
    r->data.iov = g_renew(struct iovec, r->data.iov, r->data.count + 1);
    r->data.iov[r->data.count] = iov; /* lives as long as the request */
    r->pending = 1;
    block_read(r->ns->disk.drive, offset, &r->data.iov[r->data.count], 1, complete, r);
    return NVME_PENDING;
}

/* Reads into a buffer of its own, at whose contents nobody looks. */
static void verify_next(NvmeRequest *r)
{
    uint64_t at = r->verified;

    r->data.iov[0] = (struct iovec){ r->data.bounce, MIN(VERIFY_BYTES, r->verify_end - at) };
    r->verified += r->data.iov[0].iov_len;
    block_read(r->ns->disk.drive, at, r->data.iov, 1, complete, r);
}

static uint16_t start_verify(NvmeRequest *r, uint64_t offset, uint64_t bytes)
{
    r->data.bounce = g_malloc(MIN(bytes, VERIFY_BYTES));
    r->data.iov = g_new(struct iovec, 1);
    r->verified = offset;
    r->verify_end = offset + bytes;
    r->pending = 1;
    verify_next(r);
    return NVME_PENDING;
}

static uint16_t start_zeroes(NvmeRequest *r, uint64_t offset, uint64_t bytes)
{
    uint32_t control = nvme_dw(r->command, 12);

    r->pending = 1;
    block_write_zeroes(r->ns->disk.drive, offset, bytes,
                       (control & FUA ? BLOCK_FUA : 0) |
                           (control & DEALLOCATE ? BLOCK_MAY_UNMAP : 0),
                       complete, r);
    return NVME_PENDING;
}

static const IoCommand range_commands[] = {
    { 0x01, .writes = true, .has_data = true, .start = start_write },
    { 0x02, .has_data = true, .to_memory = true, .start = start_read },
    { 0x05, .has_data = true, .start = start_compare },
    { 0x08, .writes = true, .start = start_zeroes },
    { 0x0c, .start = start_verify },
};
enum { FLUSH = 0x00, DATASET_MANAGEMENT = 0x09 };

static NvmeRequest *new_request(Nvme *n, NvmeCommand *c, NvmeNamespace *ns, bool is_write)
{
    NvmeRequest *r = g_new0(NvmeRequest, 1);

    *r = (NvmeRequest){ .nvme = n, .command = c, .ns = ns, .is_write = is_write };
    c->request = r;
    n->in_flight++;
    return r;
}

static bool in_range(const NvmeNamespace *ns, uint64_t first, uint64_t count)
{
    uint64_t blocks = nvme_namespace_blocks(ns);

    return first <= blocks && count <= blocks - first;
}

static uint16_t start_range(Nvme *n, NvmeCommand *c, NvmeNamespace *ns, const IoCommand *kind)
{
    uint64_t first = first_block(c), count = (uint64_t)(nvme_dw(c, 12) & BLOCKS) + 1;
    uint64_t bytes = count * nvme_block_bytes(ns);
    BlockAccountKind account = kind->writes ? BLOCK_ACCOUNT_WRITE : BLOCK_ACCOUNT_READ;
    NvmeRequest *r;
    uint16_t status;

    if (kind->has_data && bytes > UINT64_C(1) << (n->mdts + NVME_PAGE_BITS)) {
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    if (!in_range(ns, first, count)) {
        block_count_invalid(ns->disk.drive, account);
        return NVME_LBA_RANGE | NVME_DNR;
    }
    if (kind->writes && block_read_only(ns->disk.drive)) {
        return NVME_WRITE_PROTECTED | NVME_DNR;
    }
    r = new_request(n, c, ns, kind->writes);
    status =
        kind->has_data ? nvme_data_begin(n, c, &r->data, bytes, kind->to_memory) : NVME_SUCCESS;
    if (status) {
        c->request = NULL;
        n->in_flight--;
        g_free(r);
        return status;
    }
    return kind->start(r, first * nvme_block_bytes(ns), bytes);
}

/* Of all namespaces: each has its part in the request, whose errors are those of the first. */
static uint16_t start_flush(Nvme *n, NvmeCommand *c, NvmeNamespace *only)
{
    NvmeNamespace *parts[NVME_NAMESPACES];
    unsigned count = 0;
    NvmeRequest *r;

    for (unsigned i = 0; i < n->namespace_end; i++) {
        if (n->namespaces[i] && (!only || n->namespaces[i] == only)) {
            parts[count++] = n->namespaces[i];
        }
    }
    if (!count) {
        return NVME_SUCCESS;
    }
    r = new_request(n, c, parts[0], true);
    r->pending = count;
    for (unsigned i = 0; i < count; i++) {
        block_flush(parts[i]->disk.drive, complete, r);
    }
    return NVME_PENDING;
}

static uint16_t start_dataset(Nvme *n, NvmeCommand *c, NvmeNamespace *ns)
{
    unsigned count = (nvme_dw(c, 10) & 0xff) + 1;
    uint8_t ranges[RANGES_MOST * RANGE_BYTES];
    uint16_t status = nvme_receive(n, c, ranges, count * RANGE_BYTES);
    NvmeRequest *r;

    for (unsigned i = 0; !status && i < count; i++) {
        const uint8_t *range = ranges + i * RANGE_BYTES;

        if (!in_range(ns, load_le64(range + 8), load_le32(range + 4))) {
            block_count_invalid(ns->disk.drive, BLOCK_ACCOUNT_UNMAP);
            status = NVME_LBA_RANGE | NVME_DNR;
        }
    }
    if (status || !(nvme_dw(c, 11) & ATTRIBUTE_DEALLOCATE)) {
        return status;
    }
    if (block_read_only(ns->disk.drive)) {
        return NVME_WRITE_PROTECTED | NVME_DNR;
    }
    r = new_request(n, c, ns, true);
    r->pending = count;
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *range = ranges + i * RANGE_BYTES;

        block_discard(ns->disk.drive, load_le64(range + 8) * nvme_block_bytes(ns),
                      (uint64_t)load_le32(range + 4) * nvme_block_bytes(ns), deallocated, r);
    }
    return NVME_PENDING;
}

/* --- Format NVM (5.23) --- */

/* Whether all that the command names can be formatted now. */
static uint16_t check_format(const Nvme *n, const NvmeRequest *named)
{
    for (unsigned i = 0; i < n->namespace_end; i++) {
        const NvmeNamespace *ns = n->namespaces[i];

        if (is_formatted(named, ns) && ns->formatting) {
            return NVME_FORMAT_IN_PROGRESS;
        }
        if (is_formatted(named, ns) && block_read_only(ns->disk.drive)) {
            return NVME_WRITE_PROTECTED | NVME_DNR;
        }
    }
    return NVME_SUCCESS;
}

static void format_namespace(NvmeRequest *r, NvmeNamespace *ns)
{
    nvme_self_test_formatting(r->nvme, ns);
    ns->formatting = true;
    r->pending++;
    block_write_zeroes(ns->disk.drive, 0, align_down(disk_bytes(&ns->disk), 1 << NVME_BLOCK_BITS),
                       BLOCK_MAY_UNMAP, complete, r);
}

/* What was there is gone with and without a secure erase: it reads as zeroes. */
uint16_t nvme_format(Nvme *n, NvmeCommand *c)
{
    uint32_t control = nvme_dw(c, 10), id = nvme_dw(c, 1);
    const NvmeRequest named = { .format_id = id };
    NvmeNamespace *first = NULL;
    NvmeRequest *r;
    uint16_t status;

    if (!id || (id != NVME_ALL_NAMESPACES && !nvme_namespace(n, id))) {
        return NVME_INVALID_NAMESPACE | NVME_DNR;
    }
    if ((control & FORMAT_NUMBER) >= NVME_FORMATS || control & FORMAT_PROTECTION) {
        return NVME_INVALID_FORMAT | NVME_DNR;
    }
    if ((control >> FORMAT_ERASE_SHIFT & 7) > ERASE_USER_DATA) {
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    status = check_format(n, &named);
    for (unsigned i = 0; i < n->namespace_end && !first; i++) {
        first = is_formatted(&named, n->namespaces[i]) ? n->namespaces[i] : NULL;
    }
    if (status || !first) {
        return status;
    }
    r = new_request(n, c, first, true);
    r->format_id = id;
    r->format = control & FORMAT_NUMBER;
    for (unsigned i = 0; i < n->namespace_end; i++) {
        if (is_formatted(r, n->namespaces[i])) {
            format_namespace(r, n->namespaces[i]);
        }
    }
    return NVME_PENDING;
}

uint16_t nvme_io(Nvme *n, NvmeCommand *c)
{
    uint8_t opcode = nvme_opcode(c);
    NvmeNamespace *ns = nvme_namespace(n, nvme_dw(c, 1));

    if (opcode == FLUSH && nvme_dw(c, 1) == NVME_ALL_NAMESPACES) {
        return start_flush(n, c, NULL);
    }
    if (ns && ns->formatting) {
        return NVME_FORMAT_IN_PROGRESS;
    }
    for (unsigned i = 0; ns && i < ARRAY_SIZE(range_commands); i++) {
        if (range_commands[i].opcode == opcode) {
            return start_range(n, c, ns, &range_commands[i]);
        }
    }
    if (!ns) {
        return NVME_INVALID_NAMESPACE | NVME_DNR;
    }
    return opcode == FLUSH                ? start_flush(n, c, ns)
           : opcode == DATASET_MANAGEMENT ? start_dataset(n, c, ns)
                                          : NVME_INVALID_OPCODE | NVME_DNR;
}

void nvme_io_effects(uint8_t *page)
{
    store_le32(page + EFFECTS_IO + FLUSH * 4, EFFECT_SUPPORTED | EFFECT_CONTENT);
    store_le32(page + EFFECTS_IO + DATASET_MANAGEMENT * 4, EFFECT_SUPPORTED | EFFECT_CONTENT);
    for (unsigned i = 0; i < ARRAY_SIZE(range_commands); i++) {
        store_le32(page + EFFECTS_IO + range_commands[i].opcode * 4,
                   EFFECT_SUPPORTED | (range_commands[i].writes ? EFFECT_CONTENT : 0));
    }
}
