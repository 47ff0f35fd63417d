/* SPDX-License-Identifier: MIT */
/*
 * Recognises a Linux kernel in guest memory: by the token table of its kallsyms, from which its other tables follow; then where its image is, by
 * a vCPU's mapping of it, by the header of an arm64 image, or by its banner. KASLR needs no thought: kallsyms' base is relocated with the
 * kernel.
 */
#include "debug/linux/linux.h"

#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "debug/linux/exports.h"
#include "debug/linux/kallsyms.h"
#include "debug/linux/modules.h"
#include "debug/linux/registers.h"
#include "debug/memory.h"
#include "debug/symbols/file.h"

#define LINUX_NAME "debug/linux/linux.h"

enum {
    IMAGE_BEFORE = 64 << 20, /* how far from the tokens an image may begin, and end */
    IMAGE_AFTER = 64 << 20,
    IMAGE_HEADER = 0x38, /* offset of "ARM\x64" in an arm64 image */
    IMAGE_ALIGN = 64 << 10,
    ROOTS_AROUND = 4,           /* pages */
    TRIES_MAX = 4096,           /* needles that are looked at */
    DATA_AFTER_TEXT = 24 << 20, /* where no symbol tells the end */
};
#define SEARCH_LIMIT (UINT64_C(8) << 30)
#define WORK_MAX     (UINT64_C(2) * KALLSYMS_WORK_MAX)

/* A table of symbols that was found, and what is around it. */
typedef struct {
    LinuxArch arch;
    Kallsyms tables;
    uint64_t physical; /* of tables.image */
    SymbolFile *file;  /* addresses as the tables say */
    uint64_t to_physical;
    bool verified; /* a vCPU maps it so */
} Candidate;

typedef struct {
    Machine *machine;
    LinuxArch arch;
    Candidate best; /* file NULL: none yet */
    /* Memory may be made to waste time. */
    unsigned tries;
    uint64_t work;
} Search;

static void add_symbol(void *opaque, const char *name, size_t length, char type, uint64_t address)
{
    SymbolFile *file = opaque;

    /* Arm's marks of code and data. */
    if (name[0] != '$') {
        symbol_file_add(file, name, length, address, 0, type);
    }
}

/* Where the symbols of the image are: those of a CPU's own data are offsets, and come before. */
static void take_range(SymbolFile *file, uint64_t base)
{
    uint64_t end;

    file->end = UINT64_MAX;
    file->start = base;
    symbol_file_finish(file);
    for (guint i = 0; i < file->entries->len; i++) {
        const SymbolEntry *entry = &g_array_index(file->entries, SymbolEntry, i);

        if (entry->address >= base) {
            file->start = entry->address;
            break;
        }
    }
    end = g_array_index(file->entries, SymbolEntry, file->entries->len - 1).address;
    file->end = MAX(end, file->start) + 1;
}

/* Where the image would be if its start is mapped to `first`; false: that cannot be. */
static bool is_near(const Candidate *candidate, uint64_t first)
{
    uint64_t tokens = candidate->physical + candidate->tables.token_table;

    return first + IMAGE_BEFORE > tokens && first < tokens + IMAGE_AFTER;
}

/* By the tables of a vCPU; in user mode they may lack the kernel, whose own are some pages beside. */
static bool place_by_vcpu(const Search *search, Candidate *candidate, Vcpu *vcpu)
{
    LinuxKernel probe = { .machine = search->machine, .arch = candidate->arch };
    uint64_t text = candidate->file->start, first, root;

    if (vcpu->target->translate_debug(vcpu, text, &first) && is_near(candidate, first)) {
        candidate->to_physical = first - text;
        return candidate->verified = true;
    }
    linux_vcpu_paging(vcpu, &probe);
    root = probe.root;
    for (int k = -ROOTS_AROUND; k <= ROOTS_AROUND; k++) {
        probe.root = root + ((int64_t)k << probe.page_bits);
        if (linux_translate(&probe, text, &first) && is_near(candidate, first)) {
            candidate->to_physical = first - text;
            return candidate->verified = true;
        }
    }
    return false;
}

static bool place_by_mapping(const Search *search, Candidate *candidate)
{
    bool ok = false;

    if (candidate->tables.relative_base || candidate->tables.kind == KALLSYMS_ABSOLUTE) {
        for (guint i = 0; i < search->machine->vcpus->len && !ok; i++) {
            ok = place_by_vcpu(search, candidate, search->machine->vcpus->pdata[i]);
        }
    }
    return ok;
}

/* The header's second instruction is a branch to the entry, whose symbol tells the rest. */
static bool place_by_header(Candidate *candidate)
{
    static const char *const entries[] = { "primary_entry", "stext" };
    const Kallsyms *tables = &candidate->tables;
    uint64_t tokens = candidate->physical + tables->token_table;
    uint64_t at = align_down(tokens, IMAGE_ALIGN), entry;

    for (; at >= candidate->physical && at <= tokens; at -= IMAGE_ALIGN) {
        const uint8_t *header = tables->image + (at - candidate->physical);
        uint32_t branch;

        if (tables->size - (header - tables->image) < 64 ||
            memcmp(header + IMAGE_HEADER, "ARM\x64", 4)) {
            continue;
        }
        branch = load_le32(header + 4);
        for (unsigned i = 0; i < G_N_ELEMENTS(entries) && branch >> 26 == 5; i++) {
            if (symbol_file_address(candidate->file, entries[i], &entry)) {
                candidate->to_physical = at + 4 + 4 * bits_sign_extend(branch, 26) - entry;
                return true;
            }
        }
    }
    return false;
}

/* The banner of the data symbols' place. */
static bool place_by_banner(Candidate *candidate)
{
    static const char banner[] = "Linux version ", format[] = "%s version %s";
    const Kallsyms *tables = &candidate->tables;
    const uint8_t *end = tables->image + tables->size;
    uint64_t address, format_address;

    if (!symbol_file_address(candidate->file, "linux_banner", &address) ||
        !symbol_file_address(candidate->file, "linux_proc_banner", &format_address)) {
        return false;
    }
    for (const uint8_t *at = tables->image; (at = memmem(at, end - at, banner, sizeof banner - 1));
         at++) {
        uint64_t other = (uint64_t)(at - tables->image) + (format_address - address);

        if (other < tables->size && tables->size - other > sizeof format &&
            !memcmp(tables->image + other, format, sizeof format - 1)) {
            candidate->to_physical = candidate->physical + (at - tables->image) - address;
            return true;
        }
    }
    return false;
}

static bool place(const Search *search, Candidate *candidate)
{
    return place_by_mapping(search, candidate) ||
           (candidate->arch == LINUX_ARM64 && place_by_header(candidate)) ||
           place_by_banner(candidate);
}

/* The tables of a kernel of the machine's architecture, or of 32 bits on a PC of 64. */
static bool parse(Search *search, Candidate *candidate, const uint8_t *image, uint64_t size,
                  size_t needle)
{
    bool found = kallsyms_parse(&candidate->tables, image, size, needle, 8);

    search->work += candidate->tables.work;
    candidate->arch = search->arch;
    if (!found && search->arch == LINUX_X86_64) {
        candidate->arch = LINUX_I386;
        found = kallsyms_parse(&candidate->tables, image, size, needle, 4);
        search->work += candidate->tables.work;
    }
    return found;
}

/* For each needle in memory. */
static bool consider(void *opaque, uint64_t guest_phys)
{
    Search *search = opaque;
    Candidate candidate = { 0 };
    uint64_t size;
    /* The tables are aligned: so must be what they are offsets in. */
    const uint8_t *image =
        debug_memory_around(search->machine, guest_phys, IMAGE_BEFORE + guest_phys % IMAGE_ALIGN,
                            IMAGE_AFTER, &candidate.physical, &size);

    if (!image || !parse(search, &candidate, image, size, guest_phys - candidate.physical)) {
        return ++search->tries >= TRIES_MAX || search->work > WORK_MAX;
    }
    candidate.file = symbol_file_new("kernel", NULL, "kallsyms", SYMBOLS_KERNEL);
    kallsyms_foreach(&candidate.tables, add_symbol, candidate.file);
    take_range(candidate.file, candidate.tables.relative_base);
    if (!place(search, &candidate) || (search->best.file && !candidate.verified)) {
        symbol_file_free(candidate.file);
        return false;
    }
    g_clear_pointer(&search->best.file, symbol_file_free);
    search->best = candidate;
    return candidate.verified;
}

static void kernel_free(void *opaque)
{
    LinuxKernel *kernel = opaque;

    linux_modules_drop(kernel);
    g_clear_pointer(&kernel->types, types_free);
    g_free(kernel->banner);
    g_free(kernel);
}

typedef struct {
    LinuxKernel *kernel; /* NULL: none */
} LinuxState;

static void state_free(void *opaque)
{
    LinuxState *state = opaque;

    g_clear_pointer(&state->kernel, kernel_free);
    g_free(state);
}

static LinuxState *state_of(Machine *machine)
{
    LinuxState *state = machine_attached(machine, LINUX_NAME);

    if (!state) {
        state = g_new0(LinuxState, 1);
        machine_attach(machine, LINUX_NAME, state, state_free);
    }
    return state;
}

const uint8_t *linux_image(const LinuxKernel *kernel, uint64_t *start, uint64_t *size)
{
    uint64_t physical = kernel->start + kernel->to_physical, from;
    const uint8_t *image =
        debug_memory_around(kernel->machine, physical, 0, kernel->end - kernel->start, &from, size);

    *start = kernel->start;
    return image;
}

bool linux_symbol(const LinuxKernel *kernel, const char *name, uint64_t *address)
{
    SymbolFile *file = symbols_file(kernel->machine, kernel->file);

    return file && symbol_file_address(file, name, address);
}

static void find_banner(LinuxKernel *kernel)
{
    static const char banner[] = "Linux version ";
    uint64_t start, size;
    const uint8_t *image = linux_image(kernel, &start, &size), *at = image;
    char text[256];

    while (at && (at = memmem(at, size - (at - image), banner, sizeof banner - 1))) {
        if (g_ascii_isdigit(at[sizeof banner - 1]) &&
            linux_read_string(kernel, start + (at - image), text, sizeof text)) {
            kernel->banner = g_strdup(text);
            return;
        }
        at++;
    }
}

/* The tables that map the image where it is. */
static bool try_root(LinuxKernel *kernel, uint64_t root)
{
    LinuxKernel probe = *kernel;
    uint64_t guest_phys;

    probe.root = root;
    probe.start = probe.end = 0;
    if (!root || !linux_translate(&probe, kernel->start, &guest_phys) ||
        guest_phys != kernel->start + kernel->to_physical) {
        return false;
    }
    kernel->root = root;
    return true;
}

/* Again at each look: early in its start a kernel has tables that map nothing but its image. */
static void find_root(LinuxKernel *kernel)
{
    static const char *const names[] = { "init_top_pgt", "swapper_pg_dir" };
    GPtrArray *vcpus = kernel->machine->vcpus;
    uint64_t address, before = kernel->root;

    kernel->root = 0;
    for (guint i = 0; i < vcpus->len && !kernel->root; i++) {
        uint64_t root;

        linux_vcpu_paging(vcpus->pdata[i], kernel);
        root = kernel->root;
        kernel->root = 0;
        for (unsigned k = 0; k < G_N_ELEMENTS(names) && !kernel->root; k++) {
            if (linux_symbol(kernel, names[k], &address)) {
                try_root(kernel, address + kernel->to_physical);
            }
        }
        /* The tables of user mode lie beside the kernel's. */
        if (!kernel->root) {
            try_root(kernel, root);
        }
        for (int k = -ROOTS_AROUND; k <= ROOTS_AROUND && !kernel->root; k++) {
            try_root(kernel, root + ((int64_t)k << kernel->page_bits));
        }
    }
    if (!kernel->root) {
        try_root(kernel, before);
    }
}

/* Where the image ends when no symbol says so: arm64's header does. */
static uint64_t image_end(const LinuxKernel *kernel, const SymbolFile *file,
                          const Candidate *candidate)
{
    const Kallsyms *tables = &candidate->tables;
    uint64_t end, start = kernel->start + kernel->to_physical;

    if (linux_symbol(kernel, "_end", &end)) {
        return end;
    }
    for (uint64_t at = align_down(start, IMAGE_ALIGN);
         at >= candidate->physical && start - at < MIB(4); at -= IMAGE_ALIGN) {
        const uint8_t *header = tables->image + (at - candidate->physical);

        if (!memcmp(header + IMAGE_HEADER, "ARM\x64", 4) && load_le64(header + 16) < IMAGE_BEFORE) {
            return at + load_le64(header + 16) - kernel->to_physical;
        }
    }
    return MAX(file->end, candidate->physical + tables->token_index - kernel->to_physical) +
           DATA_AFTER_TEXT;
}

/* Guest physical, of the table by which it is known. */
static uint64_t best_tokens(const Search *search)
{
    return search->best.physical + search->best.tables.token_table;
}

static LinuxKernel *take(const Search *search)
{
    const Candidate *best = &search->best;
    LinuxKernel *kernel = g_new0(LinuxKernel, 1);
    SymbolFile *file = best->file;
    uint64_t start, size;
    const uint8_t *image;

    kernel->machine = search->machine;
    kernel->arch = best->arch;
    kernel->tokens = best_tokens(search);
    kernel->verified = best->verified;
    kernel->relative_base = best->tables.relative_base;
    kernel->base_physical =
        best->tables.kind == KALLSYMS_ABSOLUTE ? 0 : best->physical + best->tables.base;
    kernel->to_physical = best->to_physical;
    kernel->relocated = kernel->relative_base || best->tables.kind == KALLSYMS_ABSOLUTE;
    if (!kernel->relocated) {
        symbol_file_move(file, best->to_physical);
        kernel->to_physical = 0;
    }
    file->has_physical = true;
    file->to_physical = kernel->to_physical;
    kernel->start = file->start;
    kernel->end = file->end;
    symbols_take(search->machine, file);
    kernel->file = file->number;
    file->end = kernel->end = image_end(kernel, file, best);
    image = linux_image(kernel, &start, &size);
    if (kernel->arch != LINUX_I386) { /* its table has addresses in the place of offsets */
        linux_exports_add(file, image, size, start);
    }
    symbol_file_finish(file);
    find_root(kernel);
    find_banner(kernel);
    g_free(file->path);
    file->path = g_strdup(kernel->banner);
    return kernel;
}

/* Whether vCPUs map the kernel's start where we think it is: 1 yes, 0 none maps it, -1 elsewhere. */
static int mapping_agrees(const LinuxKernel *kernel)
{
    int result = 0;

    for (guint i = 0; i < kernel->machine->vcpus->len && kernel->relocated; i++) {
        Vcpu *vcpu = kernel->machine->vcpus->pdata[i];
        uint64_t guest_phys;

        if (vcpu->target->translate_debug(vcpu, kernel->start, &guest_phys)) {
            if (guest_phys == kernel->start + kernel->to_physical) {
                return 1;
            }
            result = -1;
        }
    }
    return result;
}

static bool still_there(const LinuxKernel *kernel)
{
    uint8_t first[2];
    uint64_t base = 0;

    return debug_memory_read(kernel->machine, kernel->tokens - 1, first, 2) && !first[0] &&
           first[1] &&
           (!kernel->base_physical ||
            (debug_memory_read(kernel->machine, kernel->base_physical, &base, linux_word(kernel)) &&
             base == kernel->relative_base)) &&
           mapping_agrees(kernel) >= 0;
}

static void linux_forget(Machine *machine)
{
    LinuxState *state = state_of(machine);

    if (state->kernel) {
        SymbolFile *file = symbols_file(machine, state->kernel->file);

        kernel_free(state->kernel);
        state->kernel = NULL;
        if (file) {
            symbols_drop(machine, file);
        }
    }
}

/* Around what kernel code a vCPU runs, or enters by a system call or an exception: there a kernel that runs is found at once. */
static bool search_near_vcpus(Search *search, const DebugSearch *memory)
{
    static const char *const registers[] = { "lstar", "vbar_el1" };
    GPtrArray *vcpus = search->machine->vcpus;

    for (guint i = 0; i < vcpus->len; i++) {
        Vcpu *vcpu = vcpus->pdata[i];
        uint64_t places[1 + G_N_ELEMENTS(registers)] = { vcpu->target->get_pc(vcpu) };

        for (unsigned k = 0; k < G_N_ELEMENTS(registers); k++) {
            places[1 + k] = linux_register(vcpu, registers[k]);
        }
        for (unsigned k = 0; k < G_N_ELEMENTS(places); k++) {
            uint64_t guest_phys;

            /* Of a process, the code is its own; before its tables are on, a kernel is where it is loaded. */
            if (places[k] && vcpu->target->translate_debug(vcpu, places[k], &guest_phys) &&
                (places[k] >> 63 || places[k] >> 31 == 1 || places[k] == guest_phys) &&
                debug_memory_search_range(search->machine, memory,
                                          guest_phys - MIN(guest_phys, IMAGE_BEFORE),
                                          IMAGE_BEFORE + IMAGE_AFTER)) {
                return true;
            }
        }
    }
    return false;
}

/* What is not mapped may be left over from an earlier run of the machine: until one is mapped, each look is a new one. */
static void look_for_better(Search *search, LinuxState *state)
{
    const DebugSearch memory = { kallsyms_needle, KALLSYMS_NEEDLE_SIZE, 1, SEARCH_LIMIT, consider,
                                 search };

    if (!search_near_vcpus(search, &memory)) {
        debug_memory_search(search->machine, &memory);
    }
    if (!search->best.file) {
        return;
    }
    if (state->kernel && !search->best.verified && state->kernel->tokens == best_tokens(search)) {
        symbol_file_free(search->best.file);
        return;
    }
    linux_forget(search->machine);
    state->kernel = take(search);
}

static void linux_look(Machine *machine)
{
    Search search = { machine, LINUX_ARM64 };
    LinuxState *state = state_of(machine);

    if (!linux_arch_of(machine, &search.arch)) {
        return;
    }
    if (state->kernel && !still_there(state->kernel)) {
        linux_forget(machine);
    }
    if (state->kernel && !state->kernel->verified) {
        state->kernel->verified = mapping_agrees(state->kernel) > 0;
    }
    if (!state->kernel || !state->kernel->verified) {
        look_for_better(&search, state);
    }
    if (state->kernel) {
        find_root(state->kernel);
        linux_modules_look(state->kernel);
    }
}

static const SymbolRecogniser linux_recogniser = { "linux", linux_look, linux_forget };
SYMBOL_RECOGNISER(linux_recogniser);

LinuxKernel *linux_kernel_known(Machine *machine)
{
    return state_of(machine)->kernel;
}

LinuxKernel *linux_kernel_find(Machine *machine, GError **error)
{
    symbols_refresh(machine);
    if (!state_of(machine)->kernel) {
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   "no Linux kernel was recognised in the guest's memory: it has not been loaded "
                   "yet, or has no "
                   "kallsyms");
    }
    return state_of(machine)->kernel;
}
