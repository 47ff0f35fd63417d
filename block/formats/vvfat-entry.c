/* SPDX-License-Identifier: MIT */
/* The files and folders of a vvfat disk as a tree. */
#include "block/formats/vvfat.h"

static void free_entry(void *data)
{
    vvfat_entry_free(data);
}

GPtrArray *vvfat_entries_new(void)
{
    return g_ptr_array_new_with_free_func(free_entry);
}

VvfatEntry *vvfat_entry_new(VvfatEntry *parent, const char *name, bool folder)
{
    VvfatEntry *entry = g_new0(VvfatEntry, 1);

    entry->parent = parent;
    entry->name = g_strdup(name);
    entry->leaf = g_strdup(name);
    entry->folder = folder;
    entry->chain = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    entry->children = vvfat_entries_new();
    if (parent) {
        g_ptr_array_add(parent->children, entry);
    }
    return entry;
}

void vvfat_entry_free(VvfatEntry *entry)
{
    if (entry) {
        g_ptr_array_unref(entry->children);
        g_array_unref(entry->chain);
        g_free(entry->name);
        g_free(entry->leaf);
        g_free(entry->host);
        g_free(entry);
    }
}

uint32_t vvfat_first_cluster(const VvfatEntry *entry)
{
    return entry->chain->len ? g_array_index(entry->chain, uint32_t, 0) : 0;
}

char *vvfat_join(const char *folder, const char *name)
{
    return folder[0] ? g_strdup_printf("%s/%s", folder, name) : g_strdup(name);
}
