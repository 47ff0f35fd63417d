/* SPDX-License-Identifier: MIT */
/* Flattened device trees in guest memory; see the header. */
#include "debug/firmware/device-tree.h"

#include <libfdt.h>
#include <string.h>

#include "debug/memory.h"

enum { DEPTH_MAX = 32, PATH_MAX_BYTES = 1024, VALUE_BYTES_SHOWN = 256, TRIES_MAX = 256 };

static const uint8_t magic[] = { 0xd0, 0x0d, 0xfe, 0xed };

static void clear_tree(void *opaque)
{
    g_free(((DeviceTree *)opaque)->blob);
}

typedef struct {
    Machine *machine;
    GArray *trees;
    unsigned tries; /* headers that look right */
} Search;

static bool consider(void *opaque, uint64_t guest_phys)
{
    Search *search = opaque;
    struct fdt_header header;
    DeviceTree tree = { .address = guest_phys };

    if (guest_phys & 7 || !debug_memory_read(search->machine, guest_phys, &header, sizeof header) ||
        fdt_totalsize(&header) < sizeof header || fdt_totalsize(&header) > DEVICE_TREE_BYTES_MAX ||
        fdt_version(&header) < 16) {
        return false;
    }
    tree.size = fdt_totalsize(&header);
    tree.blob = g_malloc(tree.size);
    if (!debug_memory_read(search->machine, guest_phys, tree.blob, tree.size) ||
        fdt_totalsize(tree.blob) != tree.size || fdt_check_full(tree.blob, tree.size)) {
        g_free(tree.blob);
        return ++search->tries >= TRIES_MAX;
    }
    g_array_append_val(search->trees, tree);
    return search->trees->len == DEVICE_TREES_MAX;
}

GArray *device_trees_find(Machine *machine)
{
    Search search = { machine, g_array_new(FALSE, FALSE, sizeof(DeviceTree)) };

    g_array_set_clear_func(search.trees, clear_tree);
    debug_memory_search(
        machine, &(DebugSearch){ magic, sizeof magic, 8, DEBUG_SEARCH_MOST, consider, &search });
    return search.trees;
}

/* Strings, each printable and ended. */
static bool is_text(const char *value, int length)
{
    if (!length || value[length - 1] || !*value) {
        return false;
    }
    for (int i = 0; i < length - 1; i++) {
        if (value[i] ? !g_ascii_isprint(value[i]) : !value[i + 1]) {
            return false;
        }
    }
    return true;
}

/* As dtc writes it. */
static char *format_value(const char *value, int length)
{
    GString *text = g_string_new(NULL);
    int shown = MIN(length, VALUE_BYTES_SHOWN);

    if (is_text(value, length)) {
        for (int at = 0; at < length; at += (int)strlen(value + at) + 1) {
            g_string_append_printf(text, "%s\"%s\"", at ? ", " : "", value + at);
        }
    } else if (length % 4 == 0) {
        for (int at = 0; at < shown; at += 4) {
            g_string_append_printf(text, "%s%#x", at ? " " : "<",
                                   fdt32_ld((const fdt32_t *)(const void *)(value + at)));
        }
        g_string_append(text, !length ? "" : shown < length ? " …>" : ">");
    } else {
        for (int at = 0; at < shown; at++) {
            g_string_append_printf(text, "%s%02x", at ? " " : "[", (uint8_t)value[at]);
        }
        g_string_append(text, shown < length ? " …]" : "]");
    }
    return g_string_free(text, FALSE);
}

static void visit_properties(const DeviceTree *tree, int node, unsigned depth,
                             const DeviceTreeVisitor *visitor)
{
    int property;

    fdt_for_each_property_offset(property, tree->blob, node)
    {
        const char *name;
        int length;
        const char *value = fdt_getprop_by_offset(tree->blob, property, &name, &length);

        if (value && length >= 0) {
            g_autofree char *text = format_value(value, length);

            visitor->property(visitor->opaque, depth, name, text);
        }
    }
}

bool device_tree_visit(const DeviceTree *tree, const char *path, const DeviceTreeVisitor *visitor)
{
    int start = fdt_path_offset(tree->blob, path ? path : "/"), depth = 0;

    if (start < 0) {
        return false;
    }
    for (int node = start; node >= 0 && depth >= 0;
         node = fdt_next_node(tree->blob, node, &depth)) {
        char name[PATH_MAX_BYTES];

        if (depth < 0 || (node != start && !depth)) {
            break;
        }
        if (depth > DEPTH_MAX || fdt_get_path(tree->blob, node, name, sizeof name)) {
            continue;
        }
        visitor->node(visitor->opaque, (unsigned)depth, name);
        visit_properties(tree, node, (unsigned)depth, visitor);
    }
    return true;
}

void device_tree_each_address(const DeviceTree *tree,
                              void (*fn)(void *opaque, const char *name, uint64_t address,
                                         uint64_t size),
                              void *opaque)
{
    bool sizes = fdt_size_cells(tree->blob, 0) == 2;
    int node;

    if (fdt_address_cells(tree->blob, 0) != 2) {
        return;
    }
    fdt_for_each_subnode(node, tree->blob, 0)
    {
        int length;
        const void *reg = fdt_getprop(tree->blob, node, "reg", &length);
        const char *name = fdt_get_name(tree->blob, node, NULL);

        if (reg && name && length >= 8) {
            fn(opaque, name, fdt64_ld(reg),
               sizes && length >= 16 ? fdt64_ld((const fdt64_t *)reg + 1) : 0);
        }
    }
}

/* A number of one or two cells. */
static bool read_number(const DeviceTree *tree, int node, const char *name, uint64_t *value)
{
    int length;
    const void *cells = fdt_getprop(tree->blob, node, name, &length);

    if (!cells || (length != 4 && length != 8)) {
        return false;
    }
    *value = length == 4 ? fdt32_ld(cells) : fdt64_ld(cells);
    return true;
}

bool device_tree_initrd(const DeviceTree *tree, uint64_t *start, uint64_t *end)
{
    int chosen = fdt_path_offset(tree->blob, "/chosen");

    return chosen >= 0 && read_number(tree, chosen, "linux,initrd-start", start) &&
           read_number(tree, chosen, "linux,initrd-end", end);
}
