/* SPDX-License-Identifier: MIT */
/* The symbol files of a machine; see symbols.h. */
#include <elf.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/names.h"
#include "debug/dwarf/dwarf.h"
#include "debug/symbols/private.h"
#include "machine/accelerator.h"

#define STORE_NAME "debug/symbols/symbols.h"

enum { LOOK_AGAIN_NS = 300 * 1000 * 1000, LOOK_SHARE = 10 };

typedef struct {
    void (*fn)(void *opaque);
    void *opaque;
} ChangeListener;

typedef struct {
    Machine *machine;
    GPtrArray *files; /* SymbolFile *, in the order of their numbers */
    GArray *listeners;
    GPtrArray *folders; /* char *, and a NULL */
    unsigned next_number, generation;
    int64_t looked_ns; /* virtual time of the last look's end, -1: none since the reset */
    int64_t cost_ns;   /* what it took of this thread's time */
    bool looking;
} SymbolStore;

static void forget_recognised(SymbolStore *store)
{
    const SymbolRecogniser *const *it;

    REGISTRY_FOREACH(symbol_recognisers, it) {
        (*it)->forget(store->machine);
    }
    store->looked_ns = -1;
}

static void store_reset(void *opaque)
{
    forget_recognised(opaque);
}

static void store_free(void *opaque)
{
    SymbolStore *store = opaque;

    g_ptr_array_unref(store->files);
    g_array_unref(store->listeners);
    g_ptr_array_unref(store->folders);
    g_free(store);
}

static SymbolStore *store_of(Machine *machine)
{
    SymbolStore *store = machine_attached(machine, STORE_NAME);

    if (!store) {
        store = g_new0(SymbolStore, 1);
        store->machine = machine;
        store->files = g_ptr_array_new_with_free_func((GDestroyNotify)symbol_file_free);
        store->listeners = g_array_new(FALSE, FALSE, sizeof(ChangeListener));
        store->folders = g_ptr_array_new_with_free_func(g_free);
        g_ptr_array_add(store->folders, NULL);
        store->next_number = 1;
        store->looked_ns = -1;
        machine_attach(machine, STORE_NAME, store, store_free);
        machine_on_reset(machine, store_reset, store);
    }
    return store;
}

const char *symbol_space_name(SymbolSpace space)
{
    static const char *const names[SYMBOLS_SPACE_COUNT] = { "kernel", "module", "firmware",
                                                            "program" };

    return names[space];
}

static void store_changed(SymbolStore *store)
{
    store->generation++;
    for (guint i = 0; i < store->listeners->len; i++) {
        const ChangeListener *listener = &g_array_index(store->listeners, ChangeListener, i);

        listener->fn(listener->opaque);
    }
}

void symbols_take(Machine *machine, SymbolFile *file)
{
    SymbolStore *store = store_of(machine);

    file->number = store->next_number++;
    g_ptr_array_add(store->files, file);
    store_changed(store);
}

void symbols_drop(Machine *machine, SymbolFile *file)
{
    SymbolStore *store = store_of(machine);

    g_ptr_array_remove(store->files, file);
    store_changed(store);
}

const GPtrArray *symbols_files(Machine *machine)
{
    return store_of(machine)->files;
}

SymbolFile *symbols_file(Machine *machine, unsigned number)
{
    GPtrArray *files = store_of(machine)->files;

    for (guint i = 0; i < files->len; i++) {
        SymbolFile *file = files->pdata[i];

        if (file->number == number) {
            return file;
        }
    }
    return NULL;
}

/* Not the clock's: a busy host makes no look more expensive. */
static int64_t thread_time_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

bool symbols_refresh(Machine *machine)
{
    SymbolStore *store = store_of(machine);
    unsigned before = store->generation;
    const SymbolRecogniser *const *it;
    int64_t now_ns, begun_ns;

    if (store->looking || !machine->vcpus->len) {
        return false;
    }
    store->looking = true;
    machine_exclusive_begin(machine);
    now_ns = clock_now_ns(machine);
    if (now_ns != store->looked_ns) {
        begun_ns = thread_time_ns();
        for (guint i = 0; i < machine->vcpus->len; i++) {
            vcpu_sync(machine->vcpus->pdata[i], VCPU_SYNC_FROM_ACCELERATOR);
        }
        REGISTRY_FOREACH(symbol_recognisers, it) {
            (*it)->look(machine);
        }
        if (symbols_place(machine)) {
            store_changed(store);
        }
        /* The guest stands meanwhile, but not its clock. */
        store->looked_ns = clock_now_ns(machine);
        store->cost_ns = thread_time_ns() - begun_ns;
    }
    machine_exclusive_end(machine);
    store->looking = false;
    return store->generation != before;
}

/* For what is not known: not over and over, as an answer about many unknown addresses would. */
static bool refresh_at_times(Machine *machine)
{
    SymbolStore *store = store_of(machine);

    return (store->looked_ns < 0 || clock_now_ns(machine) - store->looked_ns >
                                        LOOK_AGAIN_NS + LOOK_SHARE * store->cost_ns) &&
           symbols_refresh(machine);
}

void symbols_forget(Machine *machine)
{
    forget_recognised(store_of(machine));
}

unsigned symbols_generation(Machine *machine)
{
    return store_of(machine)->generation;
}

void symbols_on_change(Machine *machine, void (*fn)(void *opaque), void *opaque)
{
    ChangeListener listener = { fn, opaque };

    g_array_append_val(store_of(machine)->listeners, listener);
}

bool symbol_file_applies(const SymbolFile *file, Vcpu *vcpu, uint64_t address)
{
    uint64_t guest_phys;
    bool mapped;

    if (file->waits) {
        return false;
    }
    if (!vcpu || file->space != SYMBOLS_FIRMWARE) {
        return true;
    }
    machine_exclusive_begin(vcpu->machine);
    vcpu_sync(vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    mapped = vcpu->target->translate_debug(vcpu, address, &guest_phys);
    machine_exclusive_end(vcpu->machine);
    return !mapped || guest_phys == address;
}

/* Whether "FILE!" before a name (or nothing) means this file. */
static bool file_meant(const SymbolFile *file, const char *name, size_t length)
{
    return !length || (strlen(file->name) == length && !strncmp(file->name, name, length));
}

static unsigned find_now(SymbolStore *store, Vcpu *vcpu, const char *name, Symbol *found,
                         unsigned max)
{
    const char *mark = strchr(name, '!'), *plain = mark ? mark + 1 : name;
    unsigned count = 0;

    /* What the user named comes first. */
    for (int by_user = 1; by_user >= 0; by_user--) {
        for (guint i = 0; i < store->files->len; i++) {
            SymbolFile *file = store->files->pdata[i];

            if (file->by_user != by_user || !file_meant(file, name, mark ? mark - name : 0)) {
                continue;
            }
            for (guint at = symbol_file_first_name(file, plain); at < file->by_name_count; at++) {
                Symbol symbol = symbol_file_symbol(file, file->by_name[at]);

                if (strcmp(symbol.name, plain)) {
                    break;
                }
                if (symbol_file_applies(file, vcpu, symbol.address) && count++ < max) {
                    found[count - 1] = symbol;
                }
            }
        }
    }
    return count;
}

unsigned symbols_find(Machine *machine, Vcpu *vcpu, const char *name, Symbol *found, unsigned max)
{
    SymbolStore *store = store_of(machine);
    unsigned count = find_now(store, vcpu, name, found, max);

    if (!count && refresh_at_times(machine)) {
        count = find_now(store, vcpu, name, found, max);
    }
    return count;
}

bool symbols_address(Machine *machine, Vcpu *vcpu, const char *name, uint64_t *address,
                     GError **error)
{
    enum { SHOWN = 8 };
    Symbol found[SHOWN];
    unsigned count = symbols_find(machine, vcpu, name, found, SHOWN);
    bool same = true;

    for (unsigned i = 1; i < MIN(count, SHOWN); i++) {
        same &= found[i].address == found[0].address;
    }
    if (!count) {
        return error_fail(error, KASO_ERROR_NOT_FOUND,
                          "there is no symbol '%s'; 'info symbols' shows what symbols are from",
                          name);
    }
    if (!same || count > SHOWN) {
        g_autoptr(GString) list = g_string_new(NULL);

        for (unsigned i = 0; i < MIN(count, SHOWN); i++) {
            g_string_append_printf(list, "%s%#" PRIx64 " (%s)", i ? ", " : "", found[i].address,
                                   found[i].file->name);
        }
        return error_fail(error, KASO_ERROR_INVALID,
                          "there are %u symbols '%s': %s%s; give the address", count, name,
                          list->str, count > SHOWN ? " …" : "");
    }
    *address = found[0].address;
    return true;
}

bool symbols_physical(Machine *machine, const Symbol *symbol, uint64_t *guest_phys)
{
    const SymbolFile *file = symbol->file;

    if (!file->has_physical || symbol->address < file->start || symbol->address >= file->end) {
        return false;
    }
    *guest_phys = symbol->address + file->to_physical;
    return true;
}

static bool at_now(SymbolStore *store, Vcpu *vcpu, uint64_t address, Symbol *symbol)
{
    for (int by_user = 1; by_user >= 0; by_user--) {
        for (guint i = store->files->len; i-- > 0;) {
            SymbolFile *file = store->files->pdata[i];

            if (file->by_user == by_user && symbol_file_at(file, address, symbol) &&
                symbol_file_applies(file, vcpu, address)) {
                return true;
            }
        }
    }
    return false;
}

bool symbols_at(Machine *machine, Vcpu *vcpu, uint64_t address, Symbol *symbol)
{
    SymbolStore *store = store_of(machine);

    return at_now(store, vcpu, address, symbol) ||
           (refresh_at_times(machine) && at_now(store, vcpu, address, symbol));
}

char *symbols_describe(Machine *machine, Vcpu *vcpu, uint64_t address)
{
    GString *text;
    Symbol symbol;

    if (!symbols_at(machine, vcpu, address, &symbol)) {
        return NULL;
    }
    text = g_string_new(symbol.name);
    if (address != symbol.address) {
        g_string_append_printf(text, "+%#" PRIx64, address - symbol.address);
    }
    if (symbol.file->space != SYMBOLS_KERNEL) {
        g_string_append_printf(text, " [%s]", symbol.file->name);
    }
    return g_string_free(text, FALSE);
}

void symbols_complete(Machine *machine, const char *prefix, unsigned max, GPtrArray *names)
{
    SymbolStore *store = store_of(machine);
    const char *last = NULL;

    for (guint i = 0; i < store->files->len; i++) {
        SymbolFile *file = store->files->pdata[i];

        for (guint at = symbol_file_first_name(file, prefix); at < file->by_name_count; at++) {
            Symbol symbol = symbol_file_symbol(file, file->by_name[at]);

            if (!g_str_has_prefix(symbol.name, prefix) || names->len >= max) {
                break;
            }
            if (!last || strcmp(last, symbol.name)) {
                g_ptr_array_add(names, g_strdup(symbol.name));
            }
            last = symbol.name;
        }
    }
}

void symbols_match(Machine *machine, const char *pattern, bool (*fn)(void *opaque, const Symbol *),
                   void *opaque)
{
    SymbolStore *store = store_of(machine);
    g_autoptr(GPatternSpec) spec = g_pattern_spec_new(pattern);

    for (guint i = 0; i < store->files->len; i++) {
        SymbolFile *file = store->files->pdata[i];

        for (guint at = 0; at < file->entries->len; at++) {
            Symbol symbol = symbol_file_symbol(file, at);

            if (g_pattern_spec_match_string(spec, symbol.name) && !fn(opaque, &symbol)) {
                return;
            }
        }
    }
}

void symbols_each(Machine *machine, unsigned number, void (*fn)(void *opaque, const Symbol *),
                  void *opaque)
{
    const SymbolFile *file = symbols_file(machine, number);

    for (guint at = 0; file && at < file->entries->len; at++) {
        Symbol symbol = symbol_file_symbol(file, at);

        fn(opaque, &symbol);
    }
}

bool symbols_add(Machine *machine, const char *path, const uint64_t *base, unsigned *number,
                 GError **error)
{
    return symbols_add_separate(machine, path, NULL, NULL, base, number, error);
}

/* An ELF file that says which processor it is for; of the machine's there are a wider and a narrower one. */
static bool is_for_processor(const Machine *machine, const char *path, GError **error)
{
    static const struct {
        uint16_t machine;
        const char *name;
        bool arm;
    } processors[] = { { EM_386, "i386", false },
                       { EM_X86_64, "x86-64", false },
                       { EM_ARM, "Arm (32 bits)", true },
                       { EM_AARCH64, "AArch64", true } };
    const Vcpu *vcpu = machine->vcpus->len ? machine->vcpus->pdata[0] : NULL;
    const char *target = vcpu ? vcpu->target->name : "";
    uint8_t header[20] = { 0 };
    SymbolInput input;

    if (!symbol_input_open(&input, path, error)) {
        return false;
    }
    if (!symbol_input_read(&input, 0, header, sizeof header) || memcmp(header, ELFMAG, SELFMAG)) {
        header[0] = 0;
    }
    symbol_input_close(&input);
    for (size_t i = 0; vcpu && header[0] && i < G_N_ELEMENTS(processors); i++) {
        if (processors[i].machine == load_le16(header + offsetof(Elf64_Ehdr, e_machine)) &&
            processors[i].arm != !strcmp(target, "aarch64")) {
            return error_fail(error, KASO_ERROR_INVALID,
                              "file '%s' is for %s, and this machine's processors are %s", path,
                              processors[i].name, target);
        }
    }
    return true;
}

bool symbols_add_separate(Machine *machine, const char *path, const char *name, const char *code,
                          const uint64_t *base, unsigned *number, GError **error)
{
    SymbolFile *file;
    SymbolInput input;

    file = is_for_processor(machine, path, error) ? symbol_file_read(path, base, error) : NULL;
    if (!file) {
        return false;
    }
    if (name) {
        g_free(file->name);
        file->name = g_strdup(name);
    }
    if (code && file->dwarf && symbol_input_open(&input, code, NULL)) {
        dwarf_take_code(file->dwarf, &input);
        symbol_input_close(&input);
    }
    file->by_user = true;
    file->based = base;
    symbols_take(machine, file);
    *number = file->number;
    if (!symbols_refresh(machine) && machine->vcpus->len) {
        machine_exclusive_begin(machine);
        if (symbols_place(machine)) {
            store_changed(store_of(machine));
        }
        machine_exclusive_end(machine);
    }
    return true;
}

bool symbols_add_folder(Machine *machine, const char *folder, GError **error)
{
    SymbolStore *store = store_of(machine);

    if (!g_file_test(folder, G_FILE_TEST_IS_DIR)) {
        return error_fail(error, KASO_ERROR_NOT_FOUND, "'%s' is not a folder", folder);
    }
    g_ptr_array_insert(store->folders, (gint)store->folders->len - 1, g_strdup(folder));
    store_reset(store);
    return true;
}

const char *const *symbols_folders(Machine *machine)
{
    return (const char *const *)store_of(machine)->folders->pdata;
}

char *symbols_find_file(Machine *machine, const char *path)
{
    for (const char *const *folder = symbols_folders(machine); *folder; folder++) {
        /* The whole path, then without its first names, one by one. */
        for (const char *end = path; end; end = strchr(end, '/')) {
            g_autofree char *there = NULL;

            end += strspn(end, "/");
            there = g_build_filename(*folder, end, NULL);
            if (*end && g_file_test(there, G_FILE_TEST_IS_REGULAR)) {
                return g_steal_pointer(&there);
            }
        }
    }
    return NULL;
}

bool symbols_remove(Machine *machine, const char *which, GError **error)
{
    SymbolStore *store = store_of(machine);

    for (guint i = 0; i < store->files->len; i++) {
        SymbolFile *file = store->files->pdata[i];
        g_autofree char *number = g_strdup_printf("%u", file->number);

        if (strcmp(which, number) && strcmp(which, file->name)) {
            continue;
        }
        if (!file->by_user) {
            return error_fail(
                error, KASO_ERROR_INVALID,
                "the symbols of '%s' were found in the guest's memory: they go when it is "
                "reset",
                file->name);
        }
        symbols_drop(machine, file);
        return true;
    }
    return error_fail(error, KASO_ERROR_NOT_FOUND,
                      "there are no symbols '%s'; 'info symbols' lists what there is", which);
}

GArray *symbols_list(Machine *machine)
{
    SymbolStore *store = store_of(machine);
    GArray *list = g_array_new(FALSE, FALSE, sizeof(SymbolFileInfo));

    for (guint i = 0; i < store->files->len; i++) {
        const SymbolFile *file = store->files->pdata[i];
        SymbolFileInfo info = {
            .number = file->number,
            .name = file->name,
            .path = file->path,
            .kind = file->kind,
            .space = file->space,
            .start = file->start,
            .end = file->end,
            .count = file->entries->len,
            .lines = file->dwarf && dwarf_has_lines(file->dwarf),
            .missing_units = file->dwarf ? dwarf_missing_units(file->dwarf) : 0,
            .by_user = file->by_user,
            .waits = file->waits,
            .note = file->note,
        };

        g_array_append_val(list, info);
    }
    return list;
}
