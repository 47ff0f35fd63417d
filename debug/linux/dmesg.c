/* SPDX-License-Identifier: MIT */
/*
 * The kernel's log: since Linux 5.10 a ring of descriptors beside a ring of text (kernel/printk/printk_ringbuffer.h), before that records
 * one after the other in one buffer (struct printk_log). Where no symbol names it, it is found by its shape. Members are where the kernel's
 * types say, or where they have been in all versions so far.
 */
#include "debug/linux/dmesg.h"

#include <string.h>

#include "base/bits.h"
#include "base/error.h"

enum {
    STATE_BITS = 2, /* the uppermost of a descriptor's state_var */
    STATE_COMMITTED = 1,
    STATE_FINALIZED = 2,
    COUNT_BITS_MAX = 24,
    SIZE_BITS_MAX = 30,
    OLD_BUFFER_MAX = 64 << 20,
};

/* The ring of Linux 5.10 and on: offsets of members. */
typedef struct {
    uint64_t count_bits, descs, infos, head_id, tail_id; /* of printk_ringbuffer */
    uint64_t size_bits, data;
    uint64_t desc_bytes, state, begin, next; /* of prb_desc */
    uint64_t info_bytes, seq, ts_nsec, text_len,
        facility; /* of printk_info; the byte behind facility: flags:5, level:3 */
} Layout;

static const Layout layout_default = {
    0, 8, 16, 24, 32, 48, 56, 24, 0, 8, 16, 88, 0, 8, 16, 18,
};
static const Layout layout_i386 = {
    0, 4, 8, 12, 16, 24, 28, 12, 0, 4, 8, 88, 0, 8, 16, 18,
};

/* Of a descriptor's state_var, below its state: the id. */
static unsigned state_shift(const LinuxKernel *kernel)
{
    return 8 * linux_word(kernel) - STATE_BITS;
}

typedef struct {
    uint64_t ring;
    unsigned count_bits, size_bits;
    uint64_t descs, infos, head, tail, data;
} Ring;

static Layout get_layout(LinuxKernel *kernel)
{
    Types *types = linux_types(kernel, NULL);
    Layout l = kernel->arch == LINUX_I386 ? layout_i386 : layout_default, found = { 0 };
    bool ok =
        types &&
        types_offset(types, "printk_ringbuffer", "desc_ring.count_bits", &found.count_bits) &&
        types_offset(types, "printk_ringbuffer", "desc_ring.descs", &found.descs) &&
        types_offset(types, "printk_ringbuffer", "desc_ring.infos", &found.infos) &&
        types_offset(types, "printk_ringbuffer", "desc_ring.head_id", &found.head_id) &&
        types_offset(types, "printk_ringbuffer", "desc_ring.tail_id", &found.tail_id) &&
        types_offset(types, "printk_ringbuffer", "text_data_ring.size_bits", &found.size_bits) &&
        types_offset(types, "printk_ringbuffer", "text_data_ring.data", &found.data) &&
        types_offset(types, "prb_desc", "state_var", &found.state) &&
        types_offset(types, "prb_desc", "text_blk_lpos.begin", &found.begin) &&
        types_offset(types, "prb_desc", "text_blk_lpos.next", &found.next) &&
        types_offset(types, "printk_info", "seq", &found.seq) &&
        types_offset(types, "printk_info", "ts_nsec", &found.ts_nsec) &&
        types_offset(types, "printk_info", "text_len", &found.text_len) &&
        types_offset(types, "printk_info", "facility", &found.facility);

    if (ok) {
        found.desc_bytes = types_size(types, types_find_kind(types, TYPE_STRUCT, "prb_desc"));
        found.info_bytes = types_size(types, types_find_kind(types, TYPE_STRUCT, "printk_info"));
        l = found.desc_bytes && found.info_bytes ? found : l;
    }
    return l;
}

static bool read_ring(const LinuxKernel *kernel, const Layout *l, uint64_t address, Ring *ring)
{
    uint32_t count_bits, size_bits;

    ring->ring = address;
    if (!linux_read_u32(kernel, address + l->count_bits, &count_bits) ||
        !linux_read_u32(kernel, address + l->size_bits, &size_bits) || count_bits < 5 ||
        count_bits > COUNT_BITS_MAX || size_bits < 10 || size_bits > SIZE_BITS_MAX) {
        return false;
    }
    ring->count_bits = count_bits;
    ring->size_bits = size_bits;
    return linux_read_word(kernel, address + l->descs, &ring->descs) &&
           linux_read_word(kernel, address + l->infos, &ring->infos) &&
           linux_read_word(kernel, address + l->head_id, &ring->head) &&
           linux_read_word(kernel, address + l->tail_id, &ring->tail) &&
           linux_read_word(kernel, address + l->data, &ring->data);
}

static uint64_t load_word(const LinuxKernel *kernel, const uint8_t *at)
{
    return kernel->arch == LINUX_I386 ? load_le32(at) : load_le64(at);
}

/*
 * By shape, in the image: pointers and sizes that fit each other. The first ring is the static one; when the kernel has made a larger one, that
 * is used from then on, and its log is the longer.
 */
static bool search_ring(const LinuxKernel *kernel, const Layout *l, Ring *best)
{
    uint64_t start, size, newest = 0;
    const uint8_t *image = linux_image(kernel, &start, &size);
    bool found = false;

    for (uint64_t at = 0; image && at + 96 <= size; at += linux_word(kernel)) {
        const uint8_t *p = image + at;
        uint32_t count_bits = load_le32(p + l->count_bits), size_bits = load_le32(p + l->size_bits);
        uint64_t state;
        Ring ring;

        if (count_bits < 5 || count_bits > COUNT_BITS_MAX || size_bits < 10 ||
            size_bits > SIZE_BITS_MAX || size_bits < count_bits ||
            !linux_is_pointer(kernel, load_word(kernel, p + l->descs)) ||
            !linux_is_pointer(kernel, load_word(kernel, p + l->infos)) ||
            !linux_is_address(kernel, load_word(kernel, p + l->data)) ||
            !read_ring(kernel, l, start + at, &ring)) {
            continue;
        }
        if (linux_read_word(kernel,
                            ring.descs + (ring.head & bits_mask(ring.count_bits)) * l->desc_bytes +
                                l->state,
                            &state) &&
            (state & bits_mask(state_shift(kernel))) ==
                (ring.head & bits_mask(state_shift(kernel))) &&
            ring.size_bits >= newest) {
            *best = ring;
            newest = ring.size_bits;
            found = true;
        }
    }
    return found;
}

static bool find_ring(const LinuxKernel *kernel, const Layout *l, Ring *ring)
{
    uint64_t symbol, address;

    if (linux_symbol(kernel, "prb", &symbol)) {
        return linux_read_word(kernel, symbol, &address) && read_ring(kernel, l, address, ring);
    }
    return search_ring(kernel, l, ring);
}

static void clean(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] != '\n' && text[i] != '\t' && ((uint8_t)text[i] < ' ' || text[i] == 127)) {
            text[i] = '?';
        }
    }
    text[size] = '\0';
}

/* A record's text, which begins behind its block's id, or at the buffer's start when it would not have fitted before its end. */
static bool read_text(const LinuxKernel *kernel, const Ring *ring, uint64_t begin, uint64_t next,
                      uint16_t length, char *text)
{
    uint64_t mask = bits_mask(ring->size_bits), offset = begin & mask;

    if (begin & 1 || length == 0) { /* it has none */
        *text = '\0';
        return true;
    }
    if (begin >> ring->size_bits != next >> ring->size_bits && next & mask) {
        offset = 0;
    }
    length = MIN(length, LINUX_LOG_LINE_MAX);
    if (offset + linux_word(kernel) + length > mask + 1 ||
        !linux_read(kernel, ring->data + offset + linux_word(kernel), text, length)) {
        return false;
    }
    clean(text, length);
    return true;
}

static void read_record(const LinuxKernel *kernel, const Layout *l, const Ring *ring, uint64_t id,
                        void (*fn)(void *opaque, const LinuxLogRecord *record), void *opaque)
{
    unsigned shift = state_shift(kernel);
    uint64_t index = id & bits_mask(ring->count_bits);
    uint64_t desc = ring->descs + index * l->desc_bytes, info = ring->infos + index * l->info_bytes;
    uint64_t state, begin, next;
    char text[LINUX_LOG_LINE_MAX + 1];
    LinuxLogRecord record = { .text = text };
    uint8_t length[2], facility[2];

    if (!linux_read_word(kernel, desc + l->state, &state) ||
        (state & bits_mask(shift)) != (id & bits_mask(shift)) ||
        (state >> shift != STATE_COMMITTED && state >> shift != STATE_FINALIZED) ||
        !linux_read_word(kernel, desc + l->begin, &begin) ||
        !linux_read_word(kernel, desc + l->next, &next) ||
        !linux_read_u64(kernel, info + l->seq, &record.sequence) ||
        !linux_read_u64(kernel, info + l->ts_nsec, &record.time_ns) ||
        !linux_read(kernel, info + l->text_len, length, 2) ||
        !linux_read(kernel, info + l->facility, facility, 2) ||
        !read_text(kernel, ring, begin, next, load_le16(length), text)) {
        return;
    }
    record.facility = facility[0];
    record.level = facility[1] >> 5;
    fn(opaque, &record);
}

/* Before Linux 5.10: time, length of the record, of its text and of its dictionary, facility, flags and level. */
static bool foreach_old(LinuxKernel *kernel, void (*fn)(void *opaque, const LinuxLogRecord *record),
                        void *opaque)
{
    uint64_t symbol, buffer;
    uint32_t bytes, at, next;
    LinuxLogRecord record = { 0 };
    Types *types = linux_types(kernel, NULL);
    uint64_t header =
        types ? types_size(types, types_find_kind(types, TYPE_STRUCT, "printk_log")) : 0;

    header = header ? header : 16;
    if (!linux_symbol(kernel, "log_buf", &symbol) || !linux_read_word(kernel, symbol, &buffer) ||
        !linux_symbol(kernel, "log_buf_len", &symbol) || !linux_read_u32(kernel, symbol, &bytes) ||
        !linux_symbol(kernel, "log_first_idx", &symbol) || !linux_read_u32(kernel, symbol, &at) ||
        !linux_symbol(kernel, "log_next_idx", &symbol) || !linux_read_u32(kernel, symbol, &next) ||
        bytes > OLD_BUFFER_MAX) {
        return false;
    }
    for (unsigned i = 0; at != next && at + header <= bytes && i < LINUX_LOG_RECORDS_MAX; i++) {
        char text[LINUX_LOG_LINE_MAX + 1];
        uint8_t head[16];
        unsigned length, size;

        if (!linux_read(kernel, buffer + at, head, sizeof head)) {
            break;
        }
        size = load_le16(head + 8);
        length = MIN(load_le16(head + 10), LINUX_LOG_LINE_MAX);
        if (!size) { /* the rest of the buffer is unused */
            at = 0;
            continue;
        }
        if (size < header + length || !linux_read(kernel, buffer + at + header, text, length)) {
            break;
        }
        clean(text, length);
        record =
            (LinuxLogRecord){ record.sequence + 1, load_le64(head), head[14], head[15] >> 5, text };
        fn(opaque, &record);
        at += size;
    }
    return true;
}

bool linux_log_foreach(LinuxKernel *kernel, void (*fn)(void *opaque, const LinuxLogRecord *record),
                       void *opaque, GError **error)
{
    uint64_t ids = bits_mask(state_shift(kernel));
    Layout l = get_layout(kernel);
    Ring ring;

    if (!find_ring(kernel, &l, &ring)) {
        return foreach_old(kernel, fn, opaque) ||
               error_fail(error, KASO_ERROR_NOT_FOUND,
                          "the kernel has no log yet, or keeps it in a way that is not known");
    }
    for (uint64_t id = ring.tail, n = 0;
         n <= bits_mask(ring.count_bits) && n < LINUX_LOG_RECORDS_MAX; id++, n++) {
        read_record(kernel, &l, &ring, id & ids, fn, opaque);
        if ((id & ids) == (ring.head & ids)) {
            break;
        }
    }
    return true;
}
