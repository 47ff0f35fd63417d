/* SPDX-License-Identifier: MIT */
/*
 * TLBs. Each context has one for data and one for fetches, which generated code looks into; below them
 * each vCPU has a table of walks, which knows devices, too, and serves all contexts.
 */
#include <string.h>
#include <sys/mman.h>

#include "accel/tcg/run/run.h"
#include "base/bits.h"

enum { INFO_SIZE_MASK = 0x3f, INFO_GLOBAL = 1 << 6 };
enum { LARGE_BLOCK_BITS = 21, LARGE_BLOCK_SLOTS = 1 << (LARGE_BLOCK_BITS - TCG_PAGE_BITS) };
/*
 * Parts of tables. To give one back to the host and to have it again costs several times as much as to clear it: so that
 * only of large tables, and of smaller ones when their address space has not been used for long.
 */
enum { PART_BITS = 12, MANY_PARTS = 256, IDLE_PARTS = 48 };
G_STATIC_ASSERT(offsetof(TcgContext, tlb) % 4096 == 0 && offsetof(TcgContext, fetch) % 4096 == 0);

void *tlb_map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED) {
        return NULL;
    }
    /* Large pages would make sparse tables dense. */
    madvise(memory, size, MADV_NOHUGEPAGE);
    return memory;
}

void tlb_unmap(void *memory, size_t size)
{
    munmap(memory, size);
}

/* --- what a table holds ------------------------------------------------------------------------ */

static void note_filled(TcgFilled *filled, size_t slot, size_t entry_size)
{
    size_t part = slot * entry_size >> PART_BITS;

    filled->parts[part / 64] |= BIT(part % 64);
    if (filled->count < TCG_FILLED) {
        filled->slots[filled->count] = (uint32_t)slot;
    }
    if (filled->count <= TCG_FILLED) {
        filled->count++;
    }
}

/* A slot of a part that nothing was filled in is not even looked at: its host page need not be there. */
static bool may_be_filled(const TcgFilled *filled, size_t slot, size_t entry_size)
{
    size_t part = slot * entry_size >> PART_BITS;

    return filled->parts[part / 64] >> (part % 64) & 1;
}

/* The next part at or behind `part` that something was filled in, or -1. */
static int next_part(const TcgFilled *filled, unsigned part)
{
    for (unsigned word = part / 64; word < ARRAY_SIZE(filled->parts); word++) {
        uint64_t map = filled->parts[word];

        if (word == part / 64) {
            map &= ~bits_mask(part % 64);
        }
        if (map) {
            return (int)(word * 64 + (unsigned)__builtin_ctzll(map));
        }
    }
    return -1;
}

static unsigned count_parts(const TcgFilled *filled)
{
    unsigned count = 0;

    for (size_t i = 0; i < ARRAY_SIZE(filled->parts); i++) {
        count += (unsigned)__builtin_popcountll(filled->parts[i]);
    }
    return count;
}

static void empty_parts(uint8_t *table, size_t size, const TcgFilled *filled)
{
    if (count_parts(filled) > MANY_PARTS && madvise(table, size, MADV_DONTNEED) == 0) {
        return;
    }
    for (int part = next_part(filled, 0); part >= 0; part = next_part(filled, (unsigned)part + 1)) {
        memset(table + ((size_t)part << PART_BITS), 0, 1 << PART_BITS);
    }
}

static void empty_table(void *table, size_t size, size_t entry_size, TcgFilled *filled)
{
    if (filled->count <= TCG_FILLED) {
        for (uint32_t i = 0; i < filled->count; i++) {
            memset((uint8_t *)table + filled->slots[i] * entry_size, 0, entry_size);
        }
    } else {
        empty_parts(table, size, filled);
    }
    filled->count = filled->kept = 0;
    memset(filled->parts, 0, sizeof filled->parts);
}

void tlb_release(TcgContext *context)
{
    if (count_parts(&context->tlb_filled) > IDLE_PARTS &&
        madvise(context->tlb, sizeof context->tlb, MADV_DONTNEED) == 0) {
        context->tlb_filled.count = 0;
    }
    if (count_parts(&context->fetch_filled) > IDLE_PARTS &&
        madvise(context->fetch, sizeof context->fetch, MADV_DONTNEED) == 0) {
        context->fetch_filled.count = 0;
    }
    tlb_clear(context);
}

void tlb_clear(TcgContext *context)
{
    empty_table(context->tlb, sizeof context->tlb, sizeof context->tlb[0], &context->tlb_filled);
    empty_table(context->fetch, sizeof context->fetch, sizeof context->fetch[0],
                &context->fetch_filled);
    tcg_context_init_tables(context);
    memset(context->executed, 0, sizeof context->executed);
    memset(context->written, 0, sizeof context->written);
    memset(context->large_blocks, 0, sizeof context->large_blocks);
    context->huge_min = UINT64_MAX;
    context->huge_max = 0;
}

/* The first and the last entry have tags of their own when empty, and do not stay. */
static bool is_global(const TcgContext *context, const TcgTlbEntry *entry)
{
    return entry->info & INFO_GLOBAL && entry != context->tlb &&
           entry != &context->tlb[(1 << TCG_TLB_BITS) - 1];
}

static bool is_global_fetch(const TcgContext *context, size_t slot)
{
    return context->fetch[slot].tag != TCG_FETCH_EMPTY &&
           (context->fetch_global[slot / 64] >> (slot % 64) & 1);
}

/* Of the TLB's slots only those filled since the last time: what an entry was filled with then is noted anew. */
static void keep_global_entries(TcgContext *context)
{
    TcgFilled *filled = &context->tlb_filled;

    for (uint32_t i = filled->kept; i < filled->count; i++) {
        TcgTlbEntry *entry = &context->tlb[filled->slots[i]];

        if (is_global(context, entry)) {
            filled->slots[filled->kept++] = filled->slots[i];
        } else {
            memset(entry, 0, sizeof *entry);
        }
    }
    filled->count = filled->kept;
}

static void keep_global_fetches(TcgContext *context)
{
    TcgFilled *filled = &context->fetch_filled;

    for (uint32_t i = filled->kept; i < filled->count; i++) {
        if (filled->slots[i] != 0 && is_global_fetch(context, filled->slots[i])) {
            filled->slots[filled->kept++] = filled->slots[i];
        } else {
            context->fetch[filled->slots[i]] = (TcgFetchEntry){ 0 };
        }
    }
    filled->count = filled->kept;
}

bool tlb_keep_global(TcgContext *context)
{
    if (context->tlb_filled.count > TCG_FILLED || context->fetch_filled.count > TCG_FILLED) {
        tlb_clear(context);
        return false;
    }
    keep_global_entries(context);
    keep_global_fetches(context);
    if (!context->tlb_filled.kept && !context->fetch_filled.kept) {
        tlb_clear(context);
        return false;
    }
    tcg_context_init_tables(context);
    return true;
}

/* --- mappings larger than a page --------------------------------------------------------------- */

/* The bit in TcgContext.large_blocks of the block that an address (sign-extended) lies in. */
static unsigned large_bit(uint64_t guest_virt)
{
    return (unsigned)(guest_virt >> LARGE_BLOCK_BITS) & (16 * 64 - 1);
}

static void note_large(TcgContext *context, uint64_t guest_virt, unsigned size_bits)
{
    uint64_t start = (uint64_t)bits_sign_extend(guest_virt, 56) & ~bits_mask(size_bits);

    if (size_bits > LARGE_BLOCK_BITS) {
        context->huge_min = MIN(context->huge_min, start);
        context->huge_max = MAX(context->huge_max, start + bits_mask(size_bits));
    } else if (size_bits > TCG_PAGE_BITS) {
        unsigned bit = large_bit(start);

        context->large_blocks[bit / 64] |= BIT(bit % 64);
    }
}

static bool may_be_huge(const TcgContext *context, uint64_t guest_virt)
{
    return guest_virt >= context->huge_min && guest_virt < context->huge_max;
}

/* Whether a mapping larger than a page may cover the address. */
static bool may_be_large(const TcgContext *context, uint64_t guest_virt)
{
    unsigned bit = large_bit(guest_virt);

    return (context->large_blocks[bit / 64] >> (bit % 64) & 1) || may_be_huge(context, guest_virt);
}

/* --- a context's tables ------------------------------------------------------------------------ */

static bool may_store_unseen(TcgVcpu *tv, const TcgWalkEntry *walk)
{
    Machine *machine = tv->run->machine;

    return walk->writable &&
           memory_watch_tag(machine, (uint64_t)(walk->host - memory_ram_base(machine)));
}

static unsigned written_bit(const uint8_t *host)
{
    return (unsigned)((uintptr_t)host >> TCG_PAGE_BITS) & (TCG_WRITTEN_BITS - 1);
}

void tlb_fill(TcgVcpu *tv, TcgContext *context, uint64_t guest_virt, const TcgWalkEntry *walk,
              bool write)
{
    const TcgMapping *mapping = &walk->mapping;
    uint64_t page = guest_virt & TCG_PAGE_MASK;
    TcgTlbEntry *entry = tlb_entry(context, guest_virt);

    if (!entry->info || (is_global(context, entry) && !mapping->global)) {
        note_filled(&context->tlb_filled, (size_t)(entry - context->tlb), sizeof *entry);
    }
    if (mapping->size_bits > TCG_PAGE_BITS) {
        note_large(context, guest_virt, mapping->size_bits);
    }
    entry->read = mapping->read ? page : tcg_tlb_no_tag(page);
    /* A write tag stands for reading, too: read-modify-writes compare only that. */
    entry->write = tcg_tlb_no_tag(page);
    if (write && mapping->read && mapping->write && may_store_unseen(tv, walk)) {
        unsigned bit = written_bit(walk->host);

        context->written[bit / 64] |= BIT(bit % 64);
        entry->write = page;
    }
    entry->addend = (uintptr_t)walk->host - page;
    entry->info = page | (mapping->global ? INFO_GLOBAL : 0) | mapping->size_bits;
}

static unsigned executed_bit(uint64_t guest_virt)
{
    return (unsigned)(guest_virt >> TCG_PAGE_BITS) & (TCG_EXECUTED_BITS - 1);
}

uint64_t tlb_fetch_value(TcgVcpu *tv, uint64_t guest_virt, const TcgMapping *mapping,
                         const uint8_t *host_page)
{
    uint64_t page = guest_virt & TCG_PAGE_MASK;

    return (uintptr_t)host_page | (mapping->guarded ? TCG_FETCH_GUARDED : 0) |
           (trap_page_breaks(tv, page, mapping->guest_phys, host_page) ? TCG_FETCH_BREAKS : 0);
}

TcgFetchEntry *tlb_fill_fetch(TcgVcpu *tv, TcgContext *context, uint64_t guest_virt,
                              const TcgWalkEntry *walk)
{
    uint64_t page = guest_virt & TCG_PAGE_MASK;
    TcgFetchEntry *entry = tlb_fetch_entry(context, guest_virt);
    unsigned bit = executed_bit(guest_virt);
    size_t slot = (size_t)(entry - context->fetch);
    uint64_t *globals = &context->fetch_global[slot / 64];

    note_filled(&context->fetch_filled, slot, sizeof *entry);
    note_large(context, page, walk->mapping.size_bits);
    context->executed[bit / 64] |= BIT(bit % 64);
    *globals = bits_deposit(*globals, slot % 64, 1, walk->mapping.global);
    *entry = (TcgFetchEntry){ page, tlb_fetch_value(tv, guest_virt, &walk->mapping, walk->host) };
    return entry;
}

static void drop_if(TcgTlbEntry *entry, uint64_t guest_virt, bool matches)
{
    uint64_t info = entry->info;

    if (info && (matches || (info & INFO_GLOBAL)) &&
        tlb_same_block(info, guest_virt, (unsigned)(info & INFO_SIZE_MASK))) {
        entry->read = entry->write = tcg_tlb_no_tag(info & TCG_PAGE_MASK);
        entry->info = 0;
    }
}

/* Does something to all entries of a context's TLB that may be filled. */
static void each_filled(TcgContext *context, void (*visit)(TcgTlbEntry *entry, const void *what),
                        const void *what)
{
    const TcgFilled *filled = &context->tlb_filled;
    size_t per_part = (1u << PART_BITS) / sizeof context->tlb[0];

    if (filled->count <= TCG_FILLED) {
        for (uint32_t i = 0; i < filled->count; i++) {
            visit(&context->tlb[filled->slots[i]], what);
        }
        return;
    }
    for (int part = next_part(filled, 0); part >= 0; part = next_part(filled, (unsigned)part + 1)) {
        for (size_t i = 0; i < per_part; i++) {
            visit(&context->tlb[(size_t)part * per_part + i], what);
        }
    }
}

typedef struct {
    uint64_t guest_virt;
    bool matches;
} LargePage;

static void drop_of_large(TcgTlbEntry *entry, const void *what)
{
    const LargePage *page = what;

    drop_if(entry, page->guest_virt, page->matches);
}

/* Drops from all slots that a large mapping's pages may have. */
static void drop_large(TcgContext *context, uint64_t guest_virt, bool huge, bool matches)
{
    const LargePage page = { guest_virt, matches };
    TcgTlbEntry *entry = tlb_entry(context, guest_virt & ~bits_mask(LARGE_BLOCK_BITS));

    if (huge) {
        each_filled(context, drop_of_large, &page);
        return;
    }
    for (unsigned i = 0; i < LARGE_BLOCK_SLOTS; i++) {
        drop_if(&entry[i], guest_virt, matches);
    }
}

typedef struct {
    const uint8_t *first;
    uint64_t size;
} HostRange;

static void drop_write(TcgTlbEntry *entry, const void *what)
{
    const HostRange *range = what;

    if (entry->info && entry->write == (entry->info & TCG_PAGE_MASK) &&
        entry->write + entry->addend - (uintptr_t)range->first < range->size) {
        entry->write = tcg_tlb_no_tag(entry->write);
    }
}

/* Whether a write tag may be there for any page of the range; of large ranges that is not asked. */
static bool may_be_written(const TcgContext *context, const HostRange *range)
{
    const uint64_t few = 16 * TCG_PAGE_SIZE;

    for (uint64_t at = 0; at < range->size && range->size <= few; at += TCG_PAGE_SIZE) {
        unsigned bit = written_bit(range->first + at);

        if (context->written[bit / 64] >> (bit % 64) & 1) {
            return true;
        }
    }
    return range->size > few;
}

/* Pages become code one by one, and each would be a walk through the tables of all contexts. */
void tlb_drop_writes(TcgVcpu *tv, uint64_t ram_offset, uint64_t size)
{
    const HostRange range = { memory_ram_base(tv->run->machine) + (ram_offset & TCG_PAGE_MASK),
                              size + (ram_offset & (TCG_PAGE_SIZE - 1)) };

    for (unsigned i = 0; i < tv->context_count; i++) {
        if (may_be_written(tv->contexts[i], &range)) {
            each_filled(tv->contexts[i], drop_write, &range);
        }
    }
}

static void drop_fetches(TcgContext *context)
{
    empty_table(context->fetch, sizeof context->fetch, sizeof context->fetch[0],
                &context->fetch_filled);
    context->fetch[0].tag = TCG_FETCH_EMPTY;
}

void tlb_drop_page(TcgVcpu *tv, TcgContext *context, uint64_t guest_virt, bool matches)
{
    uint64_t untagged = (uint64_t)bits_sign_extend(guest_virt, 56);
    unsigned bit = executed_bit(untagged);
    TcgTlbEntry *entry;

    /* Fetch entries do not know whether they are large: they go when in doubt. */
    if (may_be_large(context, untagged)) {
        drop_large(context, guest_virt, may_be_huge(context, untagged), matches);
        drop_fetches(context);
        context_clear_jumps(tv, context);
        return;
    }
    entry = tlb_entry(context, guest_virt);
    if (may_be_filled(&context->tlb_filled, (size_t)(entry - context->tlb), sizeof *entry)) {
        drop_if(entry, guest_virt, matches);
    }
    if (context->executed[bit / 64] >> (bit % 64) & 1) {
        TcgFetchEntry *fetch = tlb_fetch_entry(context, guest_virt);

        if (tlb_same_block(fetch->tag, guest_virt, TCG_PAGE_BITS)) {
            if (!matches && !is_global_fetch(context, (size_t)(fetch - context->fetch))) {
                return;
            }
            fetch->tag = TCG_FETCH_EMPTY;
        }
        context_drop_jumps(tv, context, guest_virt);
    }
}

/* --- walks ------------------------------------------------------------------------------------- */

/* Blocks of 2 MiB stay together; blocks at round distances from each other do not compete. */
static size_t walk_slot(uint64_t page)
{
    uint64_t number = page >> TCG_PAGE_BITS, spread = number >> TCG_WALK_BITS;

    spread = (spread * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - TCG_WALK_BITS);
    return (size_t)((number ^ (spread & ~(uint64_t)(LARGE_BLOCK_SLOTS - 1))) &
                    ((1u << TCG_WALK_BITS) - 1));
}

static uint64_t *key_generation(TcgVcpu *tv, uint64_t key)
{
    return &tv->generations[(key * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & (TCG_GENERATIONS - 1)];
}

void tlb_init(TcgVcpu *tv)
{
    tv->walk = tlb_map(sizeof *tv->walk << TCG_WALK_BITS);
    g_assert(tv->walk);
}

void tlb_free(TcgVcpu *tv)
{
    munmap(tv->walk, sizeof *tv->walk << TCG_WALK_BITS);
}

void tlb_forget_key(TcgVcpu *tv, uint64_t key)
{
    ++*key_generation(tv, key);
}

void tlb_forget_all(TcgVcpu *tv)
{
    for (size_t i = 0; i < TCG_GENERATIONS; i++) {
        tv->generations[i]++;
    }
    tv->global_generation++;
}

void tlb_drop_walk(TcgVcpu *tv, uint64_t guest_virt)
{
    uint64_t page = (uint64_t)bits_sign_extend(guest_virt, 56) & TCG_PAGE_MASK;
    size_t first = walk_slot(page), count = 1;
    bool large = false, huge = false;

    for (unsigned i = 0; i < tv->context_count; i++) {
        large |= may_be_large(tv->contexts[i], page);
        huge |= may_be_huge(tv->contexts[i], page);
    }
    if (huge) {
        first = 0;
        count = (size_t)1 << TCG_WALK_BITS;
    } else if (large) {
        first &= ~(size_t)(LARGE_BLOCK_SLOTS - 1);
        count = LARGE_BLOCK_SLOTS;
    }
    for (TcgWalkEntry *entry = &tv->walk[first]; count--; entry++) {
        if (entry->mapping.size_bits &&
            tlb_same_block(entry->page, page, entry->mapping.size_bits)) {
            entry->mapping.size_bits = 0;
        }
    }
}

uint8_t *tlb_host_page(TcgVcpu *tv, uint64_t guest_phys, bool *writable)
{
    const MemoryRange *range = address_space_find(tv->vcpu->memory, guest_phys);
    MemoryRegion *region = range ? range->region : NULL;

    if (!region || !memory_range_direct(range, false) || guest_phys < range->start ||
        guest_phys + TCG_PAGE_SIZE > range->start + range->size) {
        return NULL;
    }
    *writable = memory_range_direct(range, true);
    return region->host + range->offset + (guest_phys - range->start);
}

static bool interrupts_at_once(TcgVcpu *tv, uint64_t guest_phys)
{
    const MemoryRange *range = address_space_find(tv->vcpu->memory, guest_phys);

    return range && range->region->kind == MEMORY_IO && range->region->ops->at_once;
}

static bool allows(const TcgMapping *mapping, TcgAccess access)
{
    return access == TCG_READ    ? mapping->read
           : access == TCG_WRITE ? mapping->write
                                 : mapping->execute;
}

static bool is_current(TcgVcpu *tv, const TcgWalkEntry *entry, uint64_t page, uint64_t key)
{
    if (!entry->mapping.size_bits || entry->page != page) {
        return false;
    }
    if (entry->mapping.global) {
        return ((entry->key ^ key) & ~tv->target->key_global_mask) == 0 &&
               entry->generation == tv->global_generation;
    }
    return entry->key == key && entry->generation == *key_generation(tv, key);
}

const TcgWalkEntry *tlb_known_walk(TcgVcpu *tv, const TcgContext *context, uint64_t guest_virt,
                                   TcgAccess access)
{
    uint64_t page = (uint64_t)bits_sign_extend(guest_virt, 56) & TCG_PAGE_MASK;
    const TcgWalkEntry *entry = &tv->walk[walk_slot(page)];

    return (guest_virt & TCG_PAGE_MASK) == page && is_current(tv, entry, page, context->key) &&
                   allows(&entry->mapping, access)
               ? entry
               : NULL;
}

const TcgWalkEntry *tlb_walk(TcgVcpu *tv, TcgContext *context, uint64_t guest_virt, unsigned size,
                             TcgAccess access, unsigned flags, TcgWalkEntry *uncached)
{
    uint64_t page = (uint64_t)bits_sign_extend(guest_virt, 56) & TCG_PAGE_MASK, key = context->key;
    TcgWalkEntry *entry = &tv->walk[walk_slot(page)];
    bool misaligned = guest_virt & (size - 1) && size;
    TcgMapping mapping = { 0 };

    /* A top byte that is not a sign extension may be a fault: only the walk can tell. */
    if ((guest_virt & TCG_PAGE_MASK) == page && is_current(tv, entry, page, key) &&
        allows(&entry->mapping, access) &&
        !(misaligned && (entry->mapping.device || (flags & IR_MEM_ALIGNED))) &&
        !(entry->mapping.device && flags & IR_MEM_ZERO)) {
        tv->walk_hits++;
        return entry;
    }
    tv->walks++;
    if (!tv->target->walk(tv->env, guest_virt, size, access, flags, &mapping)) {
        return NULL;
    }
    /* Fetches, too, so that no later access finds the page here. */
    if (trap_page_watched(tv, guest_virt, mapping.guest_phys)) {
        mapping.uncached = true;
    }
    if (mapping.uncached) {
        entry = uncached;
    }
    *entry = (TcgWalkEntry){ .key = key,
                             .page = page,
                             .generation =
                                 mapping.global ? tv->global_generation : *key_generation(tv, key),
                             .mapping = mapping };
    entry->host = tlb_host_page(tv, mapping.guest_phys & TCG_PAGE_MASK, &entry->writable);
    entry->at_once = !entry->host && interrupts_at_once(tv, mapping.guest_phys);
    return entry;
}
