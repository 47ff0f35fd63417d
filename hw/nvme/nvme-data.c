/* SPDX-License-Identifier: MIT */
/*
 * The memory that a command names: physical region pages (4.3) and scatter gather lists (4.4). All of it is the guest's: read
 * once, bounded by the command's length, and by a number of descriptors.
 */
#include <string.h>

#include "hw/nvme/nvme.h"
#include "machine/debug.h"
#include "machine/machine.h"

enum {
    PRP1 = 24,
    PRP2 = 32,
    PSDT_SHIFT = 14, /* of double word 0 */
    PRP_READ = 128,  /* entries of a list at a time */

    DESCRIPTOR = 16,
    DESCRIPTOR_TYPE = 15,
    SGL_DATA = 0x00,
    SGL_SEGMENT = 0x20,
    SGL_LAST_SEGMENT = 0x30,
    SGL_MOST = 1024,

    MOST_PIECES = 1024, /* what the block layer gets at once */
};

typedef struct {
    uint64_t address, bytes;
} Piece;

static AddressSpace *memory(const Nvme *n)
{
    return &n->pci.device.machine->memory_space;
}

bool nvme_read_memory(Nvme *n, uint64_t address, void *to, uint64_t bytes)
{
    return pci_bus_master_enabled(&n->pci) &&
           address_space_read_bytes(memory(n), address, to, bytes, pci_dma_attributes(&n->pci)) ==
               MEMORY_OK;
}

bool nvme_write_memory(Nvme *n, uint64_t address, const void *from, uint64_t bytes)
{
    return pci_bus_master_enabled(&n->pci) &&
           address_space_write_bytes(memory(n), address, from, bytes,
                                     pci_dma_attributes(&n->pci)) == MEMORY_OK;
}

static void add_piece(GArray *pieces, uint64_t address, uint64_t bytes)
{
    Piece *last = pieces->len ? &g_array_index(pieces, Piece, pieces->len - 1) : NULL;

    if (last && last->address + last->bytes == address) {
        last->bytes += bytes;
    } else {
        Piece piece = { address, bytes };

        g_array_append_val(pieces, piece);
    }
}

/* --- physical region pages --- */

/* The entries from `list` on name what is left. The last one of a page goes on with another page when more is left than it names. */
static uint16_t walk_prp_list(Nvme *n, uint64_t list, uint64_t left, GArray *pieces)
{
    uint64_t page = UINT64_C(1) << n->page_bits;
    uint8_t entries[PRP_READ * 8];

    while (left) {
        uint64_t in_page = (page - (list & (page - 1))) / 8;
        unsigned count = (unsigned)MIN(MIN(in_page, PRP_READ), (left + page - 1) / page);
        bool ends_page = count == in_page;

        if (!nvme_read_memory(n, list, entries, count * 8u)) {
            return NVME_TRANSFER_ERROR;
        }
        list += count * 8u;
        for (unsigned i = 0; i < count && left; i++) {
            uint64_t entry = load_le64(entries + i * 8u), bytes = MIN(left, page);

            if (entry & (page - 1)) {
                return NVME_INVALID_PRP_OFFSET | NVME_DNR;
            }
            if (ends_page && i == count - 1 && left > page) {
                list = entry;
                break;
            }
            add_piece(pieces, entry, bytes);
            left -= bytes;
        }
    }
    return NVME_SUCCESS;
}

static uint16_t walk_prps(Nvme *n, const NvmeCommand *c, uint64_t bytes, GArray *pieces)
{
    uint64_t page = UINT64_C(1) << n->page_bits;
    uint64_t first = load_le64(c->entry + PRP1), second = load_le64(c->entry + PRP2);
    uint64_t part = MIN(bytes, page - (first & (page - 1)));

    if (first & 3) {
        return NVME_INVALID_PRP_OFFSET | NVME_DNR;
    }
    add_piece(pieces, first, part);
    bytes -= part;
    if (bytes > page) {
        return second & 7 ? NVME_INVALID_PRP_OFFSET | NVME_DNR
                          : walk_prp_list(n, second, bytes, pieces);
    }
    if (bytes) {
        if (second & (page - 1)) {
            return NVME_INVALID_PRP_OFFSET | NVME_DNR;
        }
        add_piece(pieces, second, bytes);
    }
    return NVME_SUCCESS;
}

/* --- scatter gather lists --- */

typedef struct {
    Nvme *nvme;
    GArray *pieces;
    uint64_t left;
    unsigned descriptors; /* that may still come */
} SglWalk;

static uint16_t add_block(SglWalk *walk, const uint8_t *descriptor)
{
    uint32_t bytes = load_le32(descriptor + 8);

    if (bytes > walk->left) {
        return NVME_INVALID_SGL_LENGTH | NVME_DNR;
    }
    if (bytes) {
        add_piece(walk->pieces, load_le64(descriptor), bytes);
        walk->left -= bytes;
    }
    return NVME_SUCCESS;
}

/* The segment that `segment` describes; what describes the next one is in `segment` then. */
static uint16_t walk_segment(SglWalk *walk, uint8_t *segment, bool *more)
{
    uint64_t address = load_le64(segment);
    uint32_t bytes = load_le32(segment + 8), count = bytes / DESCRIPTOR;
    bool last = segment[DESCRIPTOR_TYPE] == SGL_LAST_SEGMENT;

    *more = !last;
    if (!bytes || bytes % DESCRIPTOR) {
        return NVME_INVALID_SEGMENT | NVME_DNR;
    }
    if (count > walk->descriptors) {
        return NVME_INVALID_SGL_COUNT | NVME_DNR;
    }
    walk->descriptors -= count;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t descriptor[DESCRIPTOR], type;
        uint16_t status = NVME_SUCCESS;

        if (!nvme_read_memory(walk->nvme, address + i * DESCRIPTOR, descriptor,
                              sizeof descriptor)) {
            return NVME_TRANSFER_ERROR;
        }
        type = descriptor[DESCRIPTOR_TYPE];
        if (!last && i == count - 1) {
            memcpy(segment, descriptor, sizeof descriptor);
            status = type == SGL_SEGMENT || type == SGL_LAST_SEGMENT
                         ? NVME_SUCCESS
                         : NVME_INVALID_SEGMENT | NVME_DNR;
        } else {
            status =
                type == SGL_DATA ? add_block(walk, descriptor) : NVME_INVALID_SGL_TYPE | NVME_DNR;
        }
        if (status) {
            return status;
        }
    }
    return NVME_SUCCESS;
}

static uint16_t walk_sgl(Nvme *n, const NvmeCommand *c, uint64_t bytes, GArray *pieces)
{
    SglWalk walk = { n, pieces, bytes, SGL_MOST };
    uint8_t segment[DESCRIPTOR];
    uint16_t status = NVME_SUCCESS;
    bool more = true;

    memcpy(segment, c->entry + PRP1, sizeof segment);
    if (segment[DESCRIPTOR_TYPE] == SGL_DATA) {
        status = add_block(&walk, segment);
    } else if (segment[DESCRIPTOR_TYPE] != SGL_SEGMENT &&
               segment[DESCRIPTOR_TYPE] != SGL_LAST_SEGMENT) {
        status = NVME_INVALID_SGL_TYPE | NVME_DNR;
    } else {
        while (more && !status) {
            status = walk_segment(&walk, segment, &more);
        }
    }
    return status ? status : walk.left ? NVME_INVALID_SGL_LENGTH | NVME_DNR : NVME_SUCCESS;
}

/* --- buffers of the block layer --- */

/* False: a piece is not RAM, or there are too many. */
static bool map_pieces(Nvme *n, NvmeData *data)
{
    data->iov = g_new(struct iovec, MIN(MOST_PIECES, data->bytes / 4 + 2));
    for (unsigned i = 0; i < data->pieces->len; i++) {
        Piece piece = g_array_index(data->pieces, Piece, i);

        while (piece.bytes) {
            uint64_t size = piece.bytes;
            void *host = address_space_map(memory(n), piece.address, &size, data->to_memory);

            if (!host || !size || data->count == MIN(MOST_PIECES, data->bytes / 4 + 2)) {
                return false;
            }
            data->iov[data->count++] = (struct iovec){ host, size };
            piece.address += size;
            piece.bytes -= size;
        }
    }
    return true;
}

static bool copy_pieces(Nvme *n, const NvmeData *data)
{
    uint64_t done = 0;

    for (unsigned i = 0; i < data->pieces->len; i++) {
        const Piece *piece = &g_array_index(data->pieces, Piece, i);
        uint8_t *at = data->bounce + done;

        if (!(data->to_memory ? nvme_write_memory(n, piece->address, at, piece->bytes)
                              : nvme_read_memory(n, piece->address, at, piece->bytes))) {
            return false;
        }
        done += piece->bytes;
    }
    return true;
}

static uint16_t make_buffers(Nvme *n, NvmeData *data)
{
    if (!pci_bus_master_enabled(&n->pci)) {
        return NVME_TRANSFER_ERROR;
    }
    if (map_pieces(n, data)) {
        return NVME_SUCCESS;
    }
    data->bounce = g_malloc0(data->bytes);
    data->iov[0] = (struct iovec){ data->bounce, data->bytes };
    data->count = 1;
    return data->to_memory || copy_pieces(n, data) ? NVME_SUCCESS : NVME_TRANSFER_ERROR;
}

uint16_t nvme_data_begin(Nvme *n, const NvmeCommand *c, NvmeData *data, uint64_t bytes,
                         bool to_memory)
{
    unsigned kind = nvme_dw(c, 0) >> PSDT_SHIFT & 3;
    uint16_t status;

    *data = (NvmeData){ .bytes = bytes, .to_memory = to_memory };
    if (kind == 3 || (kind && c->sq == 0)) {
        return NVME_INVALID_FIELD | NVME_DNR;
    }
    data->pieces = g_array_new(false, false, sizeof(Piece));
    status = kind ? walk_sgl(n, c, bytes, data->pieces) : walk_prps(n, c, bytes, data->pieces);
    status = status ? status : make_buffers(n, data);
    if (status) {
        nvme_data_clear(data);
    }
    return status;
}

uint16_t nvme_data_end(Nvme *n, NvmeData *data)
{
    uint16_t status = NVME_SUCCESS;

    if (data->bounce && data->to_memory) {
        status = copy_pieces(n, data) ? NVME_SUCCESS : NVME_TRANSFER_ERROR;
    }
    for (unsigned i = 0; !data->bounce && i < data->pieces->len; i++) {
        const Piece *piece = &g_array_index(data->pieces, Piece, i);

        if (data->to_memory) {
            address_space_written(memory(n), &n->pci.device, piece->address, piece->bytes);
        } else {
            debug_dma(&n->pci.device, piece->address, piece->bytes, false);
        }
    }
    nvme_data_clear(data);
    return status;
}

void nvme_data_clear(NvmeData *data)
{
    g_clear_pointer(&data->pieces, g_array_unref);
    g_clear_pointer(&data->iov, g_free);
    g_clear_pointer(&data->bounce, g_free);
}

bool nvme_data_equals(const NvmeData *data, const uint8_t *buffer)
{
    for (unsigned i = 0; i < data->count; i++) {
        if (memcmp(data->iov[i].iov_base, buffer, data->iov[i].iov_len) != 0) {
            return false;
        }
        buffer += data->iov[i].iov_len;
    }
    return true;
}

uint16_t nvme_send(Nvme *n, const NvmeCommand *c, const void *from, uint64_t bytes)
{
    const uint8_t *at = from;
    NvmeData data;
    uint16_t status = nvme_data_begin(n, c, &data, bytes, true);

    for (unsigned i = 0; !status && i < data.count; i++) {
        memcpy(data.iov[i].iov_base, at, data.iov[i].iov_len);
        at += data.iov[i].iov_len;
    }
    return status ? status : nvme_data_end(n, &data);
}

uint16_t nvme_receive(Nvme *n, const NvmeCommand *c, void *to, uint64_t bytes)
{
    uint8_t *at = to;
    NvmeData data;
    uint16_t status = nvme_data_begin(n, c, &data, bytes, false);

    for (unsigned i = 0; !status && i < data.count; i++) {
        memcpy(at, data.iov[i].iov_base, data.iov[i].iov_len);
        at += data.iov[i].iov_len;
    }
    return status ? status : nvme_data_end(n, &data);
}
