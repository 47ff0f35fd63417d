/* SPDX-License-Identifier: MIT */
/*
 * The files and folders of a FAT disk that a guest has written: all chains and directories are followed, and everything must fit:
 * a cluster belongs to one file, each file has the clusters of its size, each name is one that a host can have.
 * In the middle of a change that is not so.
 */
#include "block/formats/vvfat.h"

enum {
    CASE_STEM = 0x08, /* byte 12 of an entry: the short name is in small letters */
    CASE_EXTENSION = 0x10,
    DELETED = 0xe5,
    ESCAPED_E5 = 0x05,
    HOST_NAME_MAX_BYTES = 255,
};

typedef struct {
    VvfatDisk *disk;
    uint8_t *fat;
    uint8_t *used; /* a bit for each cluster number */
    unsigned entries;
    GError **error;
} Reader;

/* A name that is being put together: long ones come in pieces before their short one. */
typedef struct {
    gunichar2 text[LONG_NAME_MAX + LONG_CHARACTERS];
    unsigned left; /* pieces that are still to come; 0 with a total: complete */
    unsigned total;
    uint8_t checksum;
} LongName;

static bool fail(const Reader *r, const VvfatEntry *entry, const char *what)
{
    g_autofree char *name = g_strescape(entry->name, NULL); /* it may be anything */

    return error_fail(r->error, KASO_ERROR_INVALID, "'%s': %s", name[0] ? name : "/", what);
}

static uint32_t fat_entry(const Reader *r, uint32_t cluster)
{
    unsigned bits = r->disk->tree.layout.bits;
    const uint8_t *at = r->fat + (uint64_t)cluster * bits / 8;

    if (bits == 32) {
        return load_le32(at) & 0x0fffffff;
    }
    return bits == 16 ? load_le16(at) : cluster % 2 ? load_le16(at) >> 4 : load_le16(at) & 0xfff;
}

/* From there on: bad cluster, then ends of chains. */
static uint32_t first_mark(const Reader *r)
{
    return ((UINT32_C(1) << MIN(r->disk->tree.layout.bits, 28)) - 1) - 8;
}

static bool take_chain(Reader *r, VvfatEntry *entry, uint32_t cluster)
{
    uint64_t end = r->disk->tree.layout.clusters + VVFAT_FIRST_CLUSTER;

    while (cluster <= first_mark(r)) {
        if (cluster < VVFAT_FIRST_CLUSTER || cluster >= end || cluster == first_mark(r)) {
            return fail(r, entry, "its chain of clusters leads to none");
        }
        if (vvfat_bit(r->used, cluster)) {
            return fail(r, entry, "its chain of clusters meets another one, or itself");
        }
        r->used[cluster / 8] |= (uint8_t)(1u << cluster % 8);
        g_array_append_val(entry->chain, cluster);
        cluster = fat_entry(r, cluster);
    }
    return true;
}

static uint8_t *list_lost(const Reader *r)
{
    uint64_t end = r->disk->tree.layout.clusters + VVFAT_FIRST_CLUSTER;
    uint8_t *lost = g_malloc0(end / 8 + 1);

    for (uint32_t cluster = VVFAT_FIRST_CLUSTER; cluster < end; cluster++) {
        if (fat_entry(r, cluster) && !vvfat_bit(r->used, cluster)) {
            lost[cluster / 8] |= (uint8_t)(1u << cluster % 8);
        }
    }
    return lost;
}

/* Names. */

/* The upper half of code page 437, which DOS names are in. */
static const gunichar2 code_page_437[] = {
    0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef,
    0x00ee, 0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9,
    0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa,
    0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb,
    0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557,
    0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f,
    0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559,
    0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580,
    0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4,
    0x221e, 0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248,
    0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0,
};

static void add_short(GString *name, const uint8_t *from, unsigned length, bool small)
{
    while (length && from[length - 1] == ' ') {
        length--;
    }
    for (unsigned i = 0; i < length; i++) {
        if (from[i] >= 0x80) {
            g_string_append_unichar(name, code_page_437[from[i] - 0x80]);
        } else {
            g_string_append_c(name, small ? g_ascii_tolower((char)from[i]) : (char)from[i]);
        }
    }
}

static char *short_name(const uint8_t *entry)
{
    GString *name = g_string_new(NULL);
    uint8_t raw[11];
    gsize stem;

    memcpy(raw, entry, sizeof raw);
    raw[0] = raw[0] == ESCAPED_E5 ? DELETED : raw[0];
    add_short(name, raw, 8, entry[12] & CASE_STEM);
    stem = name->len;
    g_string_append_c(name, '.');
    add_short(name, raw + 8, 3, entry[12] & CASE_EXTENSION);
    if (name->len == stem + 1) {
        g_string_truncate(name, stem);
    }
    return g_string_free(name, FALSE);
}

/* One piece; pieces that do not follow each other make no name. */
static void add_piece(LongName *name, const uint8_t *entry)
{
    unsigned number = entry[0] & (LAST_LONG - 1);

    if (entry[0] & LAST_LONG) {
        name->total = name->left = number;
        name->checksum = entry[13];
    } else if (!name->total || entry[13] != name->checksum) {
        name->total = 0;
    }
    if (!name->total || number != name->left ||
        number * LONG_CHARACTERS > G_N_ELEMENTS(name->text)) {
        name->total = 0;
        return;
    }
    name->left--;
    for (unsigned i = 0; i < LONG_CHARACTERS; i++) {
        name->text[name->left * LONG_CHARACTERS + i] = load_le16(entry + vvfat_long_places[i]);
    }
}

/* NULL: the pieces are none of this entry's. */
static char *long_name(const LongName *name, const uint8_t *entry)
{
    unsigned length = 0;

    if (!name->total || name->left || name->checksum != vvfat_short_checksum((const char *)entry)) {
        return NULL;
    }
    while (length < name->total * LONG_CHARACTERS && name->text[length]) {
        length++;
    }
    return g_utf16_to_utf8(name->text, length, NULL, NULL, NULL);
}

static bool is_host_name(const char *name)
{
    for (const char *c = name; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == '/' || *c == '\\' || *c == 0x7f) {
            return false;
        }
    }
    return name[0] && strlen(name) <= HOST_NAME_MAX_BYTES && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

/* Folders. */

static bool read_entries(Reader *r, VvfatEntry *folder, const uint8_t *data, uint64_t size);

static bool read_chain(Reader *r, VvfatEntry *folder)
{
    uint64_t bytes = vvfat_cluster_bytes(&r->disk->tree.layout);
    g_autofree uint8_t *data = g_try_malloc(folder->chain->len * bytes);

    if (!data && folder->chain->len) {
        return fail(r, folder, "the folder is too large");
    }
    for (guint i = 0; i < folder->chain->len; i++) {
        if (vvfat_disk_read_cluster(r->disk, g_array_index(folder->chain, uint32_t, i),
                                    data + i * bytes) < 0) {
            return fail(r, folder, "the folder cannot be read");
        }
    }
    return read_entries(r, folder, data, folder->chain->len * bytes);
}

static unsigned depth_of(const VvfatEntry *entry)
{
    unsigned depth = 0;

    for (; entry->parent; entry = entry->parent) {
        depth++;
    }
    return depth;
}

static bool add_found(Reader *r, VvfatEntry *folder, const uint8_t *raw, const char *name)
{
    VvfatEntry *entry = vvfat_entry_new(folder, name, raw[11] & ATTRIBUTE_FOLDER);
    uint32_t cluster = load_le16(raw + 26);

    if (r->disk->tree.layout.bits == 32) {
        cluster |= (uint32_t)load_le16(raw + 20) << 16;
    }
    entry->size = entry->folder ? 0 : load_le32(raw + 28);
    entry->time = load_le32(raw + 22);
    if (!is_host_name(name)) {
        return fail(r, entry, "not a name for the host");
    }
    if (++r->entries > VVFAT_ENTRIES_MAX || depth_of(entry) > VVFAT_DEPTH_MAX) {
        return fail(r, entry, "more files, or deeper folders, than there may be");
    }
    if ((cluster || entry->folder) && !take_chain(r, entry, cluster)) {
        return false;
    }
    if (entry->size > entry->chain->len * vvfat_cluster_bytes(&r->disk->tree.layout)) {
        return fail(r, entry, "it is longer than its clusters");
    }
    return !entry->folder || read_chain(r, entry);
}

static bool read_entries(Reader *r, VvfatEntry *folder, const uint8_t *data, uint64_t size)
{
    LongName pieces = { 0 };

    for (uint64_t at = 0; at < size && data[at]; at += VVFAT_ENTRY) {
        const uint8_t *raw = data + at;
        g_autofree char *name = NULL;
        bool done = true;

        if (raw[0] != DELETED && (raw[11] & 0x3f) == ATTRIBUTE_LONG_NAME) {
            add_piece(&pieces, raw);
            continue;
        }
        if (raw[0] != DELETED && !(raw[11] & ATTRIBUTE_LABEL) &&
            !(folder->parent && at < 2 * VVFAT_ENTRY && raw[0] == '.')) {
            name = long_name(&pieces, raw);
            name = name ? name : short_name(raw);
            done = add_found(r, folder, raw, name);
        }
        if (!done) {
            return false;
        }
        pieces.total = 0;
    }
    return true;
}

static bool read_root(Reader *r, VvfatEntry *root)
{
    const VvfatLayout *l = &r->disk->tree.layout;
    uint64_t size = l->root_entries * VVFAT_ENTRY;
    g_autofree uint8_t *data = NULL;

    if (l->bits == 32) {
        return take_chain(r, root, r->disk->tree.root_cluster) && read_chain(r, root);
    }
    data = g_malloc(size);
    if (vvfat_disk_read(r->disk, vvfat_root_sector(l) * VVFAT_SECTOR, size, data) < 0) {
        return fail(r, root, "the folder cannot be read");
    }
    return read_entries(r, root, data, size);
}

VvfatEntry *vvfat_state_read(VvfatDisk *disk, uint8_t **lost, GError **error)
{
    const VvfatLayout *l = &disk->tree.layout;
    uint64_t size = (uint64_t)l->fat * VVFAT_SECTOR;
    g_autofree uint8_t *fat = g_malloc(size);
    g_autofree uint8_t *used = g_malloc0((l->clusters + VVFAT_FIRST_CLUSTER) / 8 + 1);
    Reader r = { .disk = disk, .fat = fat, .used = used, .error = error };
    VvfatEntry *root = vvfat_entry_new(NULL, "", true);

    root->host = g_strdup("");
    if (vvfat_disk_read(disk, (l->hidden + l->reserved) * VVFAT_SECTOR, size, fat) < 0) {
        fail(&r, root, "the allocation table cannot be read");
    } else if (read_root(&r, root)) {
        *lost = list_lost(&r);
        return root;
    }
    vvfat_entry_free(root);
    return NULL;
}
