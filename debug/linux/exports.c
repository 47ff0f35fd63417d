/* SPDX-License-Identifier: MIT */
/*
 * The table __ksymtab of Linux 4.19 and on: entries of three 32-bit offsets, each relative to where it stands: of the symbol, its name and its name
 * space. It is found by an export that every kernel has, and ends where entries make no sense.
 */
#include "debug/linux/exports.h"

#include <string.h>

#include "base/bits.h"

enum {
    ENTRY_BYTES = 12,
    NAME_OFFSET = 4,
    EXPORTS_MAX = 100000,
    EXPORT_NAME_MAX = 512,
    PLACE_BYTES = 1
};

/* The name of the entry at an offset, NULL: it has none. */
static const char *entry_name(const uint8_t *image, uint64_t size, uint64_t at, size_t *length)
{
    uint64_t name;

    if (at > size || size - at < ENTRY_BYTES) {
        return NULL;
    }
    name = at + NAME_OFFSET + (int32_t)load_le32(image + at + NAME_OFFSET);
    if (name >= size) { /* it may be the end of a longer one */
        return NULL;
    }
    *length = strnlen((const char *)image + name, MIN(size - name, EXPORT_NAME_MAX));
    for (size_t i = 0; i < *length; i++) {
        char c = image[name + i];

        if (!g_ascii_isalnum(c) && c != '_' && c != '.') {
            return NULL;
        }
    }
    return *length > 1 && *length < MIN(size - name, EXPORT_NAME_MAX) ? (const char *)image + name
                                                                      : NULL;
}

/* The entry that names a string, whose offset is known. */
static bool find_entry(const uint8_t *image, uint64_t size, uint64_t string, uint64_t *entry)
{
    for (uint64_t at = NAME_OFFSET; at + ENTRY_BYTES <= size; at += 4) {
        if (at + (int32_t)load_le32(image + at) == string) {
            size_t length;

            *entry = at - NAME_OFFSET;
            /* Its neighbours are entries, too. */
            if (entry_name(image, size, *entry + ENTRY_BYTES, &length) && *entry >= ENTRY_BYTES &&
                entry_name(image, size, *entry - ENTRY_BYTES, &length)) {
                return true;
            }
        }
    }
    return false;
}

static bool find_table(const uint8_t *image, uint64_t size, uint64_t *entry)
{
    static const char name[] = "init_task";
    const uint8_t *at = image;

    while ((at = memmem(at, size - (at - image), name, sizeof name))) {
        if (find_entry(image, size, at - image, entry)) {
            return true;
        }
        at++;
    }
    return false;
}

void linux_exports_add(SymbolFile *file, const uint8_t *image, uint64_t size, uint64_t start)
{
    uint64_t at, entry, address;
    const char *name;
    size_t length;

    if (!image || !find_table(image, size, &entry)) {
        return;
    }
    for (at = entry; at >= ENTRY_BYTES && entry_name(image, size, at - ENTRY_BYTES, &length);) {
        at -= ENTRY_BYTES;
    }
    for (unsigned i = 0; i < EXPORTS_MAX && (name = entry_name(image, size, at, &length));
         i++, at += ENTRY_BYTES) {
        g_autofree char *copy = g_strndup(name, length);
        uint64_t offset = at + (int32_t)load_le32(image + at);

        if (offset < size && !symbol_file_address(file, copy, &address)) {
            symbol_file_add(file, copy, strlen(copy), start + offset, PLACE_BYTES, 'D');
        }
    }
}
