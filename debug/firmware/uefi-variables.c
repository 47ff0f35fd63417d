/* SPDX-License-Identifier: MIT */
/*
 * UEFI variables (UEFI 2.10, 8.2). Firmware of EDK2's kin has stores of them in memory: of volatile ones, and a copy of the flash's; with
 * headers for authenticated variables, or plain ones.
 */
#include <string.h>

#include "base/bits.h"
#include "debug/firmware/uefi.h"
#include "debug/memory.h"

enum {
    STORE_HEADER = 28,
    STORE_FORMATTED = 0x5a,
    STORE_HEALTHY = 0xfe,
    STORE_BYTES_MAX = 4 << 20,
    START_ID = 0x55aa,
    STATE_ADDED = 0x3f,
    STATE_IN_DELETION = 0x3e,
    NAME_BYTES_MAX = 1024,
    STORES_MAX = 16,
};

/* Where things are in a variable's header. */
typedef struct {
    uint8_t guid_of_store[16];
    uint8_t header, name_size, data_size, guid;
} Form;

static const Form forms[] = {
    { { 0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43, 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77,
        0x92 },
      60,
      36,
      40,
      44 },
    { { 0x16, 0x36, 0xcf, 0xdd, 0x75, 0x32, 0x64, 0x41, 0x98, 0xb6, 0xfe, 0x85, 0x70, 0x7f, 0xfe,
        0x7d },
      32,
      8,
      12,
      16 },
};

typedef struct {
    Machine *machine;
    const Form *form;
    GArray *variables;
    unsigned stores;
} Search;

static void clear_variable(void *opaque)
{
    UefiVariable *variable = opaque;

    g_free(variable->name);
    g_free(variable->guid);
    g_bytes_unref(variable->data);
}

static char *read_ucs2(const uint8_t *from, uint32_t bytes)
{
    GString *text = g_string_new(NULL);

    for (uint32_t i = 0; i + 2 <= bytes && load_le16(from + i); i += 2) {
        uint16_t c = load_le16(from + i);

        g_string_append_c(text, c >= ' ' && c < 127 ? (char)c : '?');
    }
    return g_string_free(text, FALSE);
}

static bool is_known(const GArray *variables, const UefiVariable *one)
{
    for (guint i = 0; i < variables->len; i++) {
        const UefiVariable *other = &g_array_index(variables, UefiVariable, i);

        if (!strcmp(one->name, other->name) && !strcmp(one->guid, other->guid)) {
            return true;
        }
    }
    return false;
}

/* v: the header, with name and data behind it. */
static void add_variable(Search *search, const uint8_t *v, uint32_t name_size, uint32_t data_size)
{
    const uint8_t *g = v + search->form->guid;
    UefiVariable variable = { .attributes = load_le32(v + 4), .size = data_size };

    variable.name = read_ucs2(v + search->form->header, name_size);
    variable.guid = g_strdup_printf("%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                                    load_le32(g), load_le16(g + 4), load_le16(g + 6), g[8], g[9],
                                    g[10], g[11], g[12], g[13], g[14], g[15]);
    variable.data =
        g_bytes_new(v + search->form->header + name_size, MIN(data_size, UEFI_DATA_SHOWN));
    if (!*variable.name || search->variables->len >= UEFI_VARIABLES_MAX ||
        is_known(search->variables, &variable)) {
        clear_variable(&variable);
        return;
    }
    g_array_append_val(search->variables, variable);
}

static void read_store(Search *search, const uint8_t *store, uint32_t size)
{
    const Form *f = search->form;
    uint32_t at = STORE_HEADER;

    while (at <= size && size - at >= f->header && load_le16(store + at) == START_ID) {
        const uint8_t *v = store + at;
        uint32_t name_size = load_le32(v + f->name_size), data_size = load_le32(v + f->data_size),
                 rest = size - at - f->header;

        if (name_size > NAME_BYTES_MAX || name_size > rest || data_size > rest - name_size) {
            return;
        }
        if (v[2] == STATE_ADDED || v[2] == STATE_IN_DELETION) {
            add_variable(search, v, name_size, data_size);
        }
        at = align_up(at + f->header + name_size + data_size, 4);
    }
}

static bool consider(void *opaque, uint64_t guest_phys)
{
    Search *search = opaque;
    uint8_t header[STORE_HEADER];
    g_autofree uint8_t *store = NULL;
    uint32_t size;

    if (guest_phys & 3 || !debug_memory_read(search->machine, guest_phys, header, sizeof header) ||
        header[20] != STORE_FORMATTED || header[21] != STORE_HEALTHY) {
        return false;
    }
    size = load_le32(header + 16);
    if (size < STORE_HEADER || size > STORE_BYTES_MAX) {
        return false;
    }
    store = g_malloc(size);
    if (debug_memory_read(search->machine, guest_phys, store, size)) {
        read_store(search, store, size);
    }
    return ++search->stores >= STORES_MAX;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const UefiVariable *)a)->name, ((const UefiVariable *)b)->name);
}

GArray *uefi_variables(Machine *machine)
{
    Search search = { .machine = machine,
                      .variables = g_array_new(FALSE, FALSE, sizeof(UefiVariable)) };

    g_array_set_clear_func(search.variables, clear_variable);
    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
        search.form = &forms[i];
        debug_memory_search(machine, &(DebugSearch){ forms[i].guid_of_store, 16, 4,
                                                     DEBUG_SEARCH_MOST, consider, &search });
    }
    g_array_sort(search.variables, by_name);
    return search.variables;
}

/* EFI_LOAD_OPTION: attributes, length of the path list, description. */
char *uefi_boot_description(const UefiVariable *variable)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(variable->data, &size);
    const char *digits = variable->name + strlen("Boot");

    if (!g_str_has_prefix(variable->name, "Boot") || strlen(digits) != 4 ||
        strspn(digits, "0123456789ABCDEF") != 4 || size < 8) {
        return NULL;
    }
    return read_ucs2(data + 6, (uint32_t)size - 6);
}
