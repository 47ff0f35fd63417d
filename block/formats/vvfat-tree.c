/* SPDX-License-Identifier: MIT */
/*
 * The FAT file system of a folder: directory entries with long names, allocation tables and boot sectors, as
 * Microsoft's FAT specification of 2000 defines them. Files lie one after another, each in one run of clusters.
 */
#include "block/formats/vvfat.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>

enum {
    MEDIA_DISK = 0xf8,
    MEDIA_FLOPPY = 0xf0,
    FAT32_INFO_SECTOR = 1,
    FAT32_BACKUP_SECTOR = 6,
};

void vvfat_layout_init(VvfatLayout *l, unsigned bits, bool floppy, const char *label)
{
    uint64_t data, per_fat;

    *l = (VvfatLayout){ .bits = bits, .floppy = floppy, .heads = 16, .per_track = 63 };
    l->cylinders = bits == 12 ? 64 : 1024;
    l->cluster = bits == 32 ? 8 : 16;
    l->hidden = floppy ? 0 : l->per_track;
    if (floppy) {
        l->cylinders = 80;
        l->heads = 2;
        l->per_track = 36;
        l->cluster = bits == 12 ? 2 : 1;
    }
    l->total = (uint64_t)l->cylinders * l->heads * l->per_track - l->hidden;
    l->reserved = bits == 32 ? 32 : 1;
    l->root_entries = bits == 32 ? 0 : 512;
    data = l->total - l->reserved - l->root_entries * VVFAT_ENTRY / VVFAT_SECTOR;
    per_fat = data / l->cluster + VVFAT_FIRST_CLUSTER; /* more than there will be */
    l->fat = (unsigned)((per_fat * bits / 8 + VVFAT_SECTOR) / VVFAT_SECTOR);
    l->clusters = (data - 2 * l->fat) / l->cluster;
    g_snprintf(l->label, sizeof l->label, "%-11s", label);
}

/* Names. */

typedef struct {
    GByteArray *entries;
    GHashTable *short_names; /* of 11 characters, as a set */
} Folder;

static char short_character(char c)
{
    if (g_ascii_isalnum(c)) {
        return g_ascii_toupper(c);
    }
    return strchr("$%'-_@~`!(){}^#&", c) && c ? c : '_';
}

/* Name and extension in 11 bytes; whether that says it all. */
static bool fit_short(const char *name, char *out)
{
    const char *dot = strrchr(name, '.');
    size_t stem = dot && dot != name ? (size_t)(dot - name) : strlen(name), n = 0;
    const char *extension = dot && dot != name ? dot + 1 : "";
    bool whole = stem <= 8 && strlen(extension) <= 3;

    memset(out, ' ', 11);
    out[11] = '\0';
    for (size_t i = 0; i < stem && n < 8; i++) {
        if (name[i] == ' ' || name[i] == '.') {
            whole = false;
            continue;
        }
        out[n++] = short_character(name[i]);
        whole = whole && out[n - 1] == name[i];
    }
    for (size_t i = 0; extension[i] && i < 3; i++) {
        out[8 + i] = short_character(extension[i]);
        whole = whole && out[8 + i] == extension[i];
    }
    if (!n) {
        out[0] = '_';
    }
    return whole;
}

/* The short name that nobody else in the folder has; whether a long one must go with it. */
static bool take_short(Folder *folder, const char *name, char *out)
{
    bool whole = fit_short(name, out);

    for (unsigned number = 1; g_hash_table_contains(folder->short_names, out); number++) {
        g_autofree char *tail = g_strdup_printf("~%u", number);
        size_t length = strlen(tail), stem = strcspn(out, " ~");

        whole = false;
        memcpy(out + MIN(MIN(stem, 8), 8 - length), tail, length);
    }
    g_hash_table_add(folder->short_names, g_strdup(out));
    return !whole;
}

uint8_t vvfat_short_checksum(const char *name)
{
    uint8_t sum = 0;

    for (unsigned i = 0; i < 11; i++) {
        sum = (uint8_t)((sum >> 1 | sum << 7) + (uint8_t)name[i]);
    }
    return sum;
}

const uint8_t vvfat_long_places[LONG_CHARACTERS] = {
    1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30
};

/* The entries of a long name, its end first. */
static void add_long(Folder *folder, const char *name, const char *short_name)
{
    glong length = 0;
    g_autofree gunichar2 *text = g_utf8_to_utf16(name, -1, NULL, &length, NULL);
    unsigned count;

    length = MIN(length, LONG_NAME_MAX);
    count = ((unsigned)length + LONG_CHARACTERS - 1) / LONG_CHARACTERS;
    for (unsigned i = count; i >= 1; i--) {
        uint8_t entry[VVFAT_ENTRY] = { 0 };

        entry[0] = (uint8_t)(i | (i == count ? LAST_LONG : 0));
        entry[11] = ATTRIBUTE_LONG_NAME;
        entry[13] = vvfat_short_checksum(short_name);
        for (unsigned c = 0; c < LONG_CHARACTERS; c++) {
            glong at = (glong)(i - 1) * LONG_CHARACTERS + c;

            store_le16(entry + vvfat_long_places[c], at < length    ? text[at]
                                                     : at == length ? 0
                                                                    : 0xffff);
        }
        g_byte_array_append(folder->entries, entry, sizeof entry);
    }
}

static void store_time(uint8_t *entry, time_t when)
{
    struct tm tm;
    uint16_t date, time;

    if (!localtime_r(&when, &tm) || tm.tm_year < 80 || tm.tm_year > 207) {
        tm = (struct tm){ .tm_year = 80, .tm_mday = 1 };
    }
    date = (uint16_t)((tm.tm_year - 80) << 9 | (tm.tm_mon + 1) << 5 | tm.tm_mday);
    time = (uint16_t)(tm.tm_hour << 11 | tm.tm_min << 5 | tm.tm_sec / 2);
    store_le16(entry + 14, time);
    store_le16(entry + 16, date);
    store_le16(entry + 18, date);
    store_le16(entry + 22, time);
    store_le16(entry + 24, date);
}

/* Returns the time of the last change as FAT has it: date and time of day. */
static uint32_t add_entry(Folder *folder, const char *short_name, uint8_t attributes, time_t when,
                          uint32_t cluster, uint64_t size)
{
    uint8_t entry[VVFAT_ENTRY] = { 0 };

    memcpy(entry, short_name, 11);
    entry[11] = attributes;
    store_time(entry, when);
    store_le16(entry + 20, (uint16_t)(cluster >> 16));
    store_le16(entry + 26, (uint16_t)cluster);
    store_le32(entry + 28, (uint32_t)size);
    g_byte_array_append(folder->entries, entry, sizeof entry);
    return load_le32(entry + 22);
}

/* Folders. */

static bool read_folder(VvfatTree *tree, VvfatEntry *self, unsigned depth, Folder *folder,
                        GError **error);

static void folder_init(Folder *folder)
{
    folder->entries = g_byte_array_new();
    folder->short_names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static void folder_clear(Folder *folder)
{
    if (folder->entries) {
        g_byte_array_unref(folder->entries);
    }
    g_hash_table_unref(folder->short_names);
}

/* The next clusters for that many bytes become the entry's; none for nothing. */
static bool take_clusters(VvfatTree *tree, uint64_t size, VvfatEntry *entry, GError **error)
{
    const VvfatLayout *l = &tree->layout;
    uint64_t bytes = vvfat_cluster_bytes(l), count = (size + bytes - 1) / bytes;

    if (count > l->clusters + VVFAT_FIRST_CLUSTER - tree->next_cluster) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Directory does not fit in FAT%u (capacity %.2f MB): choose "
                          "another fat-type or a smaller folder",
                          l->bits, (double)l->clusters * (double)bytes / 1e6);
    }
    for (uint64_t i = 0; i < count; i++) {
        g_array_append_val(entry->chain, tree->next_cluster);
        tree->next_cluster++;
    }
    return true;
}

static void add_extent(VvfatTree *tree, const VvfatEntry *entry, uint8_t *data, uint64_t size)
{
    VvfatExtent extent = { .first = vvfat_first_cluster(entry),
                           .count = entry->chain->len,
                           .path = data ? NULL : g_strdup(entry->host),
                           .data = data,
                           .size = size };

    g_array_append_val(tree->extents, extent);
}

static bool add_file(VvfatTree *tree, Folder *folder, VvfatEntry *entry, const char *short_name,
                     const struct stat *st, GError **error)
{
    if (st->st_size > UINT32_MAX) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "'%s' is larger than 4 GiB, which FAT cannot hold", entry->host);
    }
    if (!take_clusters(tree, (uint64_t)st->st_size, entry, error)) {
        return false;
    }
    if (entry->chain->len) {
        add_extent(tree, entry, NULL, (uint64_t)st->st_size);
    }
    entry->size = (uint32_t)st->st_size;
    entry->time = add_entry(folder, short_name, ATTRIBUTE_ARCHIVE, st->st_mtime,
                            vvfat_first_cluster(entry), entry->size);
    return true;
}

/*
 * A folder's entries have a run of clusters, whose length is known when all is read: it is taken behind those
 * of what is in it, and the entries for "." and ".." get their numbers then.
 */
static bool add_folder(VvfatTree *tree, Folder *folder, VvfatEntry *entry, const char *short_name,
                       const struct stat *st, unsigned depth, GError **error)
{
    Folder inner;
    bool done;

    folder_init(&inner);
    done = read_folder(tree, entry, depth, &inner, error) &&
           take_clusters(tree, inner.entries->len, entry, error);
    if (done) {
        uint64_t size = inner.entries->len;

        add_extent(tree, entry, g_byte_array_free(g_steal_pointer(&inner.entries), FALSE), size);
        entry->time = add_entry(folder, short_name, ATTRIBUTE_FOLDER, st->st_mtime,
                                vvfat_first_cluster(entry), 0);
    }
    folder_clear(&inner);
    return done;
}

static int compare_text(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static GPtrArray *list_names(const char *path, GError **error)
{
    GDir *dir = g_dir_open(path, 0, error);
    GPtrArray *names;
    const char *name;

    if (!dir) {
        return NULL;
    }
    names = g_ptr_array_new_with_free_func(g_free);
    while ((name = g_dir_read_name(dir))) {
        g_ptr_array_add(names, g_strdup(name));
    }
    g_dir_close(dir);
    g_ptr_array_sort(names, compare_text);
    return names;
}

/* Files, links to files, and folders; what else there is in it has no place in FAT. */
static bool add_name(VvfatTree *tree, Folder *folder, VvfatEntry *parent, const char *name,
                     unsigned depth, GError **error)
{
    g_autofree char *host = vvfat_join(parent->host, name), *visible = g_utf8_make_valid(name, -1);
    g_autofree char *full = g_build_filename(tree->folder, host, NULL);
    VvfatEntry *entry;
    char short_name[12];
    struct stat st, link;
    bool is_folder;

    if (stat(full, &st) < 0 || lstat(full, &link) < 0) {
        return true; /* gone meanwhile, or a link to nowhere */
    }
    is_folder = S_ISDIR(link.st_mode);
    if (!is_folder && !S_ISREG(st.st_mode)) {
        return true;
    }
    if (take_short(folder, name, short_name)) {
        add_long(folder, visible, short_name);
    }
    entry = vvfat_entry_new(parent, visible, is_folder);
    entry->host = g_steal_pointer(&host);
    g_free(entry->leaf);
    entry->leaf = g_strdup(name);
    tree->entries++;
    return is_folder ? add_folder(tree, folder, entry, short_name, &st, depth + 1, error)
                     : add_file(tree, folder, entry, short_name, &st, error);
}

static bool read_folder(VvfatTree *tree, VvfatEntry *self, unsigned depth, Folder *folder,
                        GError **error)
{
    g_autofree char *path = g_build_filename(tree->folder, self->host, NULL);
    g_autoptr(GPtrArray) names = list_names(path, error);
    bool done = names != NULL;

    if (done && depth > VVFAT_DEPTH_MAX) {
        return error_fail(error, KASO_ERROR_INVALID, "'%s' lies more than %d folders deep", path,
                          VVFAT_DEPTH_MAX);
    }
    if (depth) {
        add_entry(folder, ".          ", ATTRIBUTE_FOLDER, 0, 0, 0);
        add_entry(folder, "..         ", ATTRIBUTE_FOLDER, 0, 0, 0);
    }
    for (guint i = 0; done && i < names->len; i++) {
        done = add_name(tree, folder, self, names->pdata[i], depth, error);
    }
    return done;
}

static void store_cluster(uint8_t *entry, uint32_t cluster)
{
    store_le16(entry + 20, (uint16_t)(cluster >> 16));
    store_le16(entry + 26, (uint16_t)cluster);
}

const VvfatExtent *vvfat_find(const VvfatTree *tree, uint32_t cluster)
{
    guint low = 0, high = tree->extents->len;

    while (low < high) {
        guint middle = (low + high) / 2;
        const VvfatExtent *extent = &g_array_index(tree->extents, VvfatExtent, middle);

        if (cluster < extent->first) {
            high = middle;
        } else if (cluster >= extent->first + extent->count) {
            low = middle + 1;
        } else {
            return extent;
        }
    }
    return NULL;
}

/* "." and ".." of all folders below; the root is 0 for "..". */
static void link_folders(VvfatTree *tree, const uint8_t *entries, uint64_t size, uint32_t self)
{
    for (uint64_t at = 0; at < size; at += VVFAT_ENTRY) {
        const uint8_t *entry = entries + at;
        uint32_t cluster = (uint32_t)load_le16(entry + 20) << 16 | load_le16(entry + 26);

        if (entry[11] == ATTRIBUTE_FOLDER && entry[0] != '.') {
            const VvfatExtent *inner = vvfat_find(tree, cluster);

            store_cluster(inner->data, cluster);
            store_cluster(inner->data + VVFAT_ENTRY, self);
            link_folders(tree, inner->data, inner->size, cluster);
        }
    }
}

/* Tables. */

static void store_fat_entry(const VvfatTree *tree, uint32_t cluster, uint32_t value)
{
    uint8_t *at = tree->fat + (uint64_t)cluster * tree->layout.bits / 8;

    if (tree->layout.bits == 32) {
        store_le32(at, value & 0x0fffffff);
    } else if (tree->layout.bits == 16) {
        store_le16(at, (uint16_t)value);
    } else if (cluster % 2) {
        at[0] = (uint8_t)((at[0] & 0x0f) | (value & 0x0f) << 4);
        at[1] = (uint8_t)(value >> 4);
    } else {
        at[0] = (uint8_t)value;
        at[1] = (uint8_t)((at[1] & 0xf0) | (value >> 8 & 0x0f));
    }
}

static void build_fat(VvfatTree *tree)
{
    tree->fat = g_malloc0((size_t)tree->layout.fat * VVFAT_SECTOR);
    store_fat_entry(tree, 0, 0xffffff00 | (tree->layout.floppy ? MEDIA_FLOPPY : MEDIA_DISK));
    store_fat_entry(tree, 1, UINT32_MAX);
    for (guint i = 0; i < tree->extents->len; i++) {
        const VvfatExtent *extent = &g_array_index(tree->extents, VvfatExtent, i);

        for (uint32_t n = 0; n < extent->count; n++) {
            uint32_t cluster = extent->first + n;

            store_fat_entry(tree, cluster, n + 1 < extent->count ? cluster + 1 : UINT32_MAX);
        }
    }
}

static bool place_root(VvfatTree *tree, Folder *root, GError **error)
{
    const VvfatLayout *l = &tree->layout;
    uint64_t size = root->entries->len;

    if (l->bits == 32) {
        if (!take_clusters(tree, size, tree->model, error)) {
            return false;
        }
        tree->root_cluster = vvfat_first_cluster(tree->model);
        add_extent(tree, tree->model, g_byte_array_free(g_steal_pointer(&root->entries), FALSE),
                   size);
        link_folders(tree, vvfat_find(tree, tree->root_cluster)->data, size, 0);
        return true;
    }
    if (size > (uint64_t)l->root_entries * VVFAT_ENTRY) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "Too many entries in root directory: FAT%u has room for %u, long names "
                          "take several; use fat-type=32 or folders",
                          l->bits, l->root_entries);
    }
    tree->root = g_malloc0((size_t)l->root_entries * VVFAT_ENTRY);
    memcpy(tree->root, root->entries->data, size);
    link_folders(tree, tree->root, size, 0);
    return true;
}

static void clear_extent(void *data)
{
    VvfatExtent *extent = data;

    g_free(extent->path);
    g_free(extent->data);
}

bool vvfat_tree_build(VvfatTree *tree, const char *folder, GError **error)
{
    Folder root;
    bool done;

    tree->extents = g_array_new(FALSE, FALSE, sizeof(VvfatExtent));
    g_array_set_clear_func(tree->extents, clear_extent);
    tree->next_cluster = VVFAT_FIRST_CLUSTER;
    tree->folder = g_strdup(folder);
    tree->model = vvfat_entry_new(NULL, "", true);
    tree->model->host = g_strdup("");
    folder_init(&root);
    add_entry(&root, tree->layout.label, ATTRIBUTE_LABEL, 0, 0, 0);
    done = read_folder(tree, tree->model, 0, &root, error) && place_root(tree, &root, error);
    if (done) {
        build_fat(tree);
    }
    folder_clear(&root);
    return done;
}

void vvfat_tree_clear(VvfatTree *tree)
{
    if (tree->extents) {
        g_array_unref(tree->extents);
    }
    vvfat_entry_free(tree->model);
    g_free(tree->folder);
    g_free(tree->fat);
    g_free(tree->root);
}

/* Boot sectors. */

void vvfat_store_boot(const VvfatTree *tree, uint8_t *sector)
{
    const VvfatLayout *l = &tree->layout;
    uint8_t *more = sector + (l->bits == 32 ? 64 : 36); /* drive number and what follows */
    g_autofree char *kind = g_strdup_printf("FAT%-5u", l->bits);

    memset(sector, 0, VVFAT_SECTOR);
    memcpy(sector,
           "\xeb\x3c\x90"
           "MSWIN4.1",
           11);
    sector[1] = l->bits == 32 ? 0x58 : 0x3c;
    store_le16(sector + 11, VVFAT_SECTOR);
    sector[13] = (uint8_t)l->cluster;
    store_le16(sector + 14, (uint16_t)l->reserved);
    sector[16] = 2; /* allocation tables */
    store_le16(sector + 17, (uint16_t)l->root_entries);
    store_le16(sector + 19, l->total > UINT16_MAX || l->bits == 32 ? 0 : (uint16_t)l->total);
    sector[21] = l->floppy ? MEDIA_FLOPPY : MEDIA_DISK;
    store_le16(sector + 22, l->bits == 32 ? 0 : (uint16_t)l->fat);
    store_le16(sector + 24, (uint16_t)l->per_track);
    store_le16(sector + 26, (uint16_t)l->heads);
    store_le32(sector + 28, (uint32_t)l->hidden);
    store_le32(sector + 32, load_le16(sector + 19) ? 0 : (uint32_t)l->total);
    if (l->bits == 32) {
        store_le32(sector + 36, l->fat);
        store_le32(sector + 44, tree->root_cluster);
        store_le16(sector + 48, FAT32_INFO_SECTOR);
        store_le16(sector + 50, FAT32_BACKUP_SECTOR);
    }
    more[0] = l->floppy ? 0 : 0x80;
    more[2] = 0x29; /* the three fields that follow are there */
    store_le32(more + 3, 0xfabe1afd);
    memcpy(more + 7, l->label, 11);
    memcpy(more + 18, kind, 8);
    store_le16(sector + 510, 0xaa55);
}

void vvfat_store_partitions(const VvfatTree *tree, uint8_t *sector)
{
    const VvfatLayout *l = &tree->layout;
    uint8_t *entry = sector + 446;

    memset(sector, 0, VVFAT_SECTOR);
    store_le32(sector + 440, 0xbe1afdfa); /* the disk's signature */
    entry[0] = 0x80;
    entry[1] = 1; /* head, sector and cylinder of the first and the last sector */
    entry[2] = 1;
    entry[4] = l->bits == 12 ? 0x01 : l->bits == 16 ? 0x06 : 0x0b;
    entry[5] = (uint8_t)(l->heads - 1);
    entry[6] = (uint8_t)(l->per_track | ((l->cylinders - 1) >> 2 & 0xc0));
    entry[7] = (uint8_t)(l->cylinders - 1);
    store_le32(entry + 8, (uint32_t)l->hidden);
    store_le32(entry + 12, (uint32_t)l->total);
    store_le16(sector + 510, 0xaa55);
}
