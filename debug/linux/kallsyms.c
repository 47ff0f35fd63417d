/* SPDX-License-Identifier: MIT */
/* A Linux kernel's own symbol table; see the header. */
#include "debug/linux/kallsyms.h"

#include <glib.h>
#include <string.h>

#include "base/bits.h"

enum {
    NEEDLE_TOKEN = '0', /* the token that the needle begins with */
    TOKENS_BYTES_MAX = 64 << 10,
    NAMES_BYTES_MAX = 32 << 20, /* between the count and the tokens */
    DISORDER_SHARE = 500,       /* one of so many addresses may be out of order */
};

const char kallsyms_needle[KALLSYMS_NEEDLE_SIZE] = "0\0"
                                                   "1\0"
                                                   "2\0"
                                                   "3\0"
                                                   "4\0"
                                                   "5\0"
                                                   "6\0"
                                                   "7\0"
                                                   "8\0"
                                                   "9";

/* A pointer or number of a pointer's size. */
static uint64_t load_word(const Kallsyms *t, size_t at)
{
    return t->word == 4 ? load_le32(t->image + at) : load_le64(t->image + at);
}

/*
 * From the needle back to the second token, and on to the index: 256 offsets that must be those of the tokens. What is before the
 * first token need not be a NUL; the index tells its length.
 */
static bool parse_tokens(Kallsyms *t, size_t needle)
{
    size_t at = needle, ends[KALLSYMS_TOKENS] = { 0 };

    for (unsigned i = 1; i < NEEDLE_TOKEN; i++) {
        if (at < 2 || t->image[at - 1]) {
            return false;
        }
        for (at--; at > 0 && t->image[at - 1]; at--) {
            if (needle - at > TOKENS_BYTES_MAX) {
                return false;
            }
        }
    }
    t->token_table = at;
    for (unsigned i = 1; i < KALLSYMS_TOKENS; i++) {
        const uint8_t *end =
            at < t->size ? memchr(t->image + at, 0, MIN(t->size - at, KALLSYMS_NAME_MAX)) : NULL;

        if (!end) {
            return false;
        }
        at = end + 1 - t->image;
        ends[i] = at - t->token_table;
    }
    t->token_index = align_up(at, t->word);
    if (t->token_index + 2 * KALLSYMS_TOKENS > t->size) {
        return false;
    }
    ends[0] = load_le16(t->image + t->token_index + 2);
    if (!ends[0] || ends[0] > t->token_table || t->image[t->token_table - 1]) {
        return false;
    }
    t->token_table -= ends[0];
    for (unsigned i = 0; i < KALLSYMS_TOKENS; i++) {
        size_t offset = i == 0 ? 0 : i == 1 ? ends[0] : ends[0] + ends[i - 1];

        if (load_le16(t->image + t->token_index + 2 * i) != offset) {
            return false;
        }
    }
    return true;
}

/* The length of the name at *at, and where its bytes are. 0: none can be there. */
static unsigned name_length(const Kallsyms *t, bool long_names, size_t *at, size_t end)
{
    unsigned length;

    if (*at >= end) {
        return 0;
    }
    length = t->image[(*at)++];
    if (long_names && length & 0x80) {
        if (*at >= end) {
            return 0;
        }
        length = (length & 0x7f) | (unsigned)t->image[(*at)++] << 7;
    }
    return length;
}

/*
 * Whether `count` names begin at an offset and the markers behind them agree, which are 4 bytes wide or, before Linux 4.20, 8.
 */
static bool check_names(Kallsyms *t, size_t start, uint32_t count, bool long_names)
{
    uint32_t marked = (count + 255) / 256;
    g_autofree uint32_t *markers = NULL;
    size_t at = start;

    /* Two bytes are the least that a name takes. */
    if (start >= t->token_table || (t->token_table - start) / 2 < count) {
        return false;
    }
    markers = g_new(uint32_t, marked);
    for (uint32_t i = 0; i < count; i++) {
        unsigned length;

        if (i % 256 == 0) {
            markers[i / 256] = at - start;
        }
        length = name_length(t, long_names, &at, t->token_table);
        if (!length || length > t->token_table - at || ++t->work > KALLSYMS_WORK_MAX) {
            return false;
        }
        at += length;
    }
    at = align_up(at, t->word);
    for (unsigned width = 4; width <= 8; width *= 2) {
        uint32_t i = 0;

        if (at + (size_t)marked * width > t->token_table) {
            continue;
        }
        while (i < marked && load_le32(t->image + at + (size_t)i * width) == markers[i]) {
            i++;
        }
        if (i == marked) {
            return true;
        }
    }
    return false;
}

/* The number of symbols stands right before their names. */
static bool parse_names(Kallsyms *t)
{
    size_t low = t->token_table > NAMES_BYTES_MAX
                     ? align_down(t->token_table - NAMES_BYTES_MAX, t->word)
                     : 0;

    for (size_t at = align_down(t->token_table, t->word);
         at >= low + t->word && t->work <= KALLSYMS_WORK_MAX; at -= t->word) {
        uint64_t count = load_word(t, at - t->word);

        if (count < KALLSYMS_COUNT_MIN || count > KALLSYMS_COUNT_MAX) {
            continue;
        }
        for (int long_names = 1; long_names >= 0; long_names--) {
            if (check_names(t, at, count, long_names)) {
                t->names = at;
                t->count = count;
                t->long_names = long_names;
                return true;
            }
        }
    }
    return false;
}

static uint64_t address_of(const Kallsyms *t, uint32_t index)
{
    int32_t offset;

    if (t->kind == KALLSYMS_ABSOLUTE) {
        return load_word(t, t->addresses + t->word * (size_t)index);
    }
    offset = (int32_t)load_le32(t->image + t->addresses + 4 * (size_t)index);
    if (t->kind == KALLSYMS_RELATIVE) {
        return (t->relative_base + (uint32_t)offset) & bits_mask(8 * t->word);
    }
    return offset >= 0 ? (uint64_t)offset : t->relative_base - 1 - (int64_t)offset;
}

/* Symbols are sorted by their addresses; offsets within a CPU's own data come first. */
static bool addresses_ordered(const Kallsyms *t)
{
    uint32_t disorder = 0, high = 0;
    uint64_t last = 0;

    for (uint32_t i = 0; i < t->count; i++) {
        uint64_t address = address_of(t, i);

        disorder += address < last;
        high += address >> (8 * t->word - 1);
        last = address;
    }
    if (t->kind != KALLSYMS_ABSOLUTE && !t->relative_base) {
        return disorder <= t->count / DISORDER_SHARE && last > t->count;
    }
    return disorder <= t->count / DISORDER_SHARE && high > t->count / 2;
}

static bool try_relative(Kallsyms *t, size_t addresses, size_t base)
{
    uint32_t negative = 0;

    if (base + t->word > t->size || addresses > base) {
        return false;
    }
    t->addresses = addresses;
    t->base = base;
    t->relative_base = load_word(t, base);
    if (t->relative_base & 0xfff ||
        (t->relative_base && !(t->relative_base >> (8 * t->word - 1)))) {
        return false;
    }
    for (uint32_t i = 0; i < t->count; i++) {
        negative += load_le32(t->image + addresses + 4 * (size_t)i) >> 31;
    }
    t->kind = negative > t->count / 2 ? KALLSYMS_RELATIVE_PERCPU : KALLSYMS_RELATIVE;
    return addresses_ordered(t);
}

static bool try_absolute(Kallsyms *t, size_t addresses)
{
    if (addresses > t->size || t->size - addresses < t->word * (size_t)t->count) {
        return false;
    }
    t->addresses = addresses;
    t->kind = KALLSYMS_ABSOLUTE;
    t->relative_base = 0;
    return addresses_ordered(t);
}

/* Before the count of symbols, or since Linux 6.4 behind the tokens. */
static bool parse_addresses(Kallsyms *t)
{
    size_t offsets = align_up(4 * (size_t)t->count, t->word), count = t->names - t->word;
    size_t behind = t->token_index + 2 * KALLSYMS_TOKENS;

    size_t absolute = t->word * (size_t)t->count;

    return (count >= offsets + t->word &&
            try_relative(t, count - t->word - offsets, count - t->word)) ||
           try_relative(t, behind, behind + offsets) ||
           (count >= absolute && try_absolute(t, count - absolute)) || try_absolute(t, behind);
}

bool kallsyms_parse(Kallsyms *tables, const uint8_t *image, size_t size, size_t needle,
                    unsigned word)
{
    *tables = (Kallsyms){ .image = image, .size = size, .word = word };
    return needle < size && size - needle >= KALLSYMS_NEEDLE_SIZE && parse_tokens(tables, needle) &&
           parse_names(tables) && parse_addresses(tables);
}

/* The guest may change its memory meanwhile: what was checked is checked again. Returns how many bytes there were. */
static size_t append_token(const Kallsyms *t, uint8_t token, char *to, size_t space)
{
    size_t offset = load_le16(t->image + t->token_index + 2 * (size_t)token), n;

    if (offset >= t->token_index - t->token_table) {
        return 0;
    }
    n = strnlen((const char *)t->image + t->token_table + offset,
                t->token_index - t->token_table - offset);
    n = MIN(n, space);
    memcpy(to, t->image + t->token_table + offset, n);
    return n;
}

void kallsyms_foreach(const Kallsyms *t,
                      void (*fn)(void *opaque, const char *name, size_t length, char type,
                                 uint64_t address),
                      void *opaque)
{
    size_t at = t->names;

    for (uint32_t i = 0; i < t->count; i++) {
        char name[KALLSYMS_NAME_MAX];
        size_t length = 0;
        unsigned tokens = name_length(t, t->long_names, &at, t->token_table);

        for (unsigned k = 0; k < tokens && at < t->token_table; k++) {
            length += append_token(t, t->image[at++], name + length, sizeof name - 1 - length);
        }
        if (length > 1) { /* the first letter is the type */
            fn(opaque, name + 1, length - 1, name[0], address_of(t, i));
        }
    }
}
