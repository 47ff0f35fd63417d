/* SPDX-License-Identifier: MIT */
/*
 * ORC: a sorted table of addresses, each 32 bits relative to where it stands, and beside it one of entries: how the caller's stack pointer is
 * made of a register and an offset, and where its frame pointer is. The entries' types were renumbered in Linux 6.4; the kernel's own types
 * tell which they are.
 */
#include "debug/linux/orc.h"

#include "base/bits.h"
#include "debug/linux/modules.h"

enum {
    ENTRY_BYTES = 6,
    ENTRIES_MAX = 16 << 20,
    ORC_REG_UNDEFINED = 0,
    ORC_REG_PREVIOUS_SP,
    ORC_REG_DX,
    ORC_REG_DI,
    ORC_REG_BP,
    ORC_REG_SP,
    ORC_REG_R10,
    ORC_REG_R13,
    ORC_REG_BP_INDIRECT,
    ORC_REG_SP_INDIRECT,
};

typedef enum { KIND_UNDEFINED, KIND_END, KIND_CALL, KIND_REGS, KIND_REGS_PARTIAL } EntryKind;

typedef struct {
    int16_t sp_offset, bp_offset;
    unsigned sp_reg, bp_reg;
    EntryKind kind;
} Entry;

typedef struct {
    uint64_t ips, entries;
    uint32_t count;
} Table;

/* Offsets in struct pt_regs of x86-64. */
enum {
    REGS_R13 = 16,
    REGS_BP = 32,
    REGS_R10 = 56,
    REGS_DX = 96,
    REGS_DI = 112,
    REGS_IP = 128,
    REGS_FLAGS = 144,
    REGS_SP = 152
};
#define FLAGS_ALWAYS (UINT64_C(1) << 1)
#define FLAGS_NEVER  (~bits_mask(22) | UINT64_C(1) << 3 | UINT64_C(1) << 5 | UINT64_C(1) << 15)

static bool kernel_table(const LinuxKernel *kernel, Table *table)
{
    uint64_t end;

    if (!linux_symbol(kernel, "__start_orc_unwind_ip", &table->ips) ||
        !linux_symbol(kernel, "__stop_orc_unwind_ip", &end) ||
        !linux_symbol(kernel, "__start_orc_unwind", &table->entries) || end < table->ips ||
        (end - table->ips) / 4 > ENTRIES_MAX) {
        return false;
    }
    table->count = (end - table->ips) / 4;
    return true;
}

static bool module_table(LinuxKernel *kernel, uint64_t ip, Table *table)
{
    Types *types = linux_types(kernel, NULL);
    uint64_t entries, ips, count;

    if (!types || !types_offset(types, "module", "arch.orc_unwind", &entries) ||
        !types_offset(types, "module", "arch.orc_unwind_ip", &ips) ||
        !types_offset(types, "module", "arch.num_orcs", &count)) {
        return false;
    }
    for (guint i = 0; kernel->modules && i < kernel->modules->len; i++) {
        const LinuxModule *module = &g_array_index(kernel->modules, LinuxModule, i);

        if (ip >= module->base && ip < module->base + module->size) {
            return linux_read_u64(kernel, module->address + entries, &table->entries) &&
                   linux_read_u64(kernel, module->address + ips, &table->ips) &&
                   linux_read_u32(kernel, module->address + count, &table->count) &&
                   table->count <= ENTRIES_MAX;
        }
    }
    return false;
}

/* The last entry whose address is not behind ip. */
static bool find_index(const LinuxKernel *kernel, const Table *table, uint64_t ip, uint32_t *index)
{
    uint32_t low = 0, high = table->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2, offset;
        uint64_t at = table->ips + 4 * (uint64_t)middle;

        if (!linux_read_u32(kernel, at, &offset)) {
            return false;
        }
        if (at + (int32_t)offset <= ip) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *index = low - 1;
    return low;
}

static EntryKind entry_kind(LinuxKernel *kernel, unsigned bits)
{
    Types *types = linux_types(kernel, NULL);
    uint32_t number = types ? types_find_kind(types, TYPE_STRUCT, "orc_entry") : TYPES_NONE;
    TypePlace place, end;

    if (!number || !types_member(types, number, "type", &place) || place.bit_size == 3) {
        return MIN(bits_extract(bits, 8, 3), KIND_REGS_PARTIAL);
    }
    if (types_member(types, number, "end", &end) && bits_extract(bits, end.bit_offset - 32, 1)) {
        return KIND_END;
    }
    return KIND_CALL + bits_extract(bits, 8, 2);
}

static bool find_entry(LinuxKernel *kernel, uint64_t ip, Entry *entry)
{
    uint8_t bytes[ENTRY_BYTES];
    uint32_t index;
    unsigned bits;
    Table table;

    if (!(linux_in_image(kernel, ip) ? kernel_table(kernel, &table)
                                     : module_table(kernel, ip, &table)) ||
        !find_index(kernel, &table, ip, &index) ||
        !linux_read(kernel, table.entries + ENTRY_BYTES * (uint64_t)index, bytes, sizeof bytes)) {
        return false;
    }
    bits = load_le16(bytes + 4);
    *entry = (Entry){ (int16_t)load_le16(bytes), (int16_t)load_le16(bytes + 2), bits & 15,
                      bits >> 4 & 15, entry_kind(kernel, bits) };
    return entry->kind != KIND_UNDEFINED;
}

/* The stack pointer that the caller had, or where the saved registers are. */
static bool caller_sp(const LinuxKernel *kernel, const OrcState *state, const Entry *entry,
                      uint64_t *sp)
{
    bool known = true;

    switch (entry->sp_reg) {
    case ORC_REG_SP:
        *sp = state->sp + entry->sp_offset;
        break;
    case ORC_REG_BP:
        *sp = state->bp + entry->sp_offset;
        break;
    case ORC_REG_SP_INDIRECT:
        known = linux_read_u64(kernel, state->sp, sp);
        *sp += entry->sp_offset;
        break;
    case ORC_REG_BP_INDIRECT:
        known = linux_read_u64(kernel, state->bp + entry->sp_offset, sp);
        break;
    case ORC_REG_R10:
        *sp = state->r10;
        known = state->has_regs;
        break;
    case ORC_REG_R13:
        *sp = state->r13;
        known = state->has_regs;
        break;
    case ORC_REG_DI:
        *sp = state->di;
        known = state->has_regs;
        break;
    case ORC_REG_DX:
        *sp = state->dx;
        known = state->has_regs;
        break;
    default:
        known = false;
    }
    return known;
}

/*
 * What the processor pushed, in struct pt_regs at `regs`. Where entry code calls a function that leaves registers on the stack, the
 * entry behind the call speaks of the stack before it: flags that no processor has tell that nothing was pushed there.
 */
static bool take_pushed(const LinuxKernel *kernel, uint64_t regs, OrcState *next)
{
    uint64_t flags;

    return linux_read_u64(kernel, regs + REGS_IP, &next->ip) &&
           linux_read_u64(kernel, regs + REGS_SP, &next->sp) &&
           linux_read_u64(kernel, regs + REGS_FLAGS, &flags) &&
           (flags & (FLAGS_ALWAYS | FLAGS_NEVER)) == FLAGS_ALWAYS;
}

/* sp: of the interrupted registers. */
static bool take_regs(const LinuxKernel *kernel, uint64_t sp, bool partial, OrcState *next)
{
    next->exact = true;
    next->has_regs = !partial;
    if (partial) {
        return take_pushed(kernel, sp - REGS_IP, next);
    }
    return take_pushed(kernel, sp, next) && linux_read_u64(kernel, sp + REGS_BP, &next->bp) &&
           linux_read_u64(kernel, sp + REGS_R10, &next->r10) &&
           linux_read_u64(kernel, sp + REGS_R13, &next->r13) &&
           linux_read_u64(kernel, sp + REGS_DI, &next->di) &&
           linux_read_u64(kernel, sp + REGS_DX, &next->dx);
}

static bool caller_bp(const LinuxKernel *kernel, const OrcState *state, const Entry *entry,
                      uint64_t sp, uint64_t *bp)
{
    switch (entry->bp_reg) {
    case ORC_REG_UNDEFINED:
        return true;
    case ORC_REG_PREVIOUS_SP:
        return linux_read_u64(kernel, sp + entry->bp_offset, bp);
    case ORC_REG_BP:
        return linux_read_u64(kernel, state->bp + entry->bp_offset, bp);
    default:
        return false;
    }
}

OrcResult orc_step(LinuxKernel *kernel, OrcState *state)
{
    OrcState next = *state;
    Entry entry;
    uint64_t sp;

    if (!find_entry(kernel, state->exact ? state->ip : state->ip - 1, &entry)) {
        return ORC_UNKNOWN;
    }
    if (entry.kind == KIND_END) {
        return ORC_END;
    }
    if (!caller_sp(kernel, state, &entry, &sp)) {
        return ORC_UNKNOWN;
    }
    if (entry.kind == KIND_CALL) {
        next.sp = sp;
        next.exact = next.has_regs = false;
        if (!linux_read_u64(kernel, sp - 8, &next.ip) ||
            !caller_bp(kernel, state, &entry, sp, &next.bp)) {
            return ORC_UNKNOWN;
        }
    } else if (!take_regs(kernel, sp, entry.kind == KIND_REGS_PARTIAL, &next)) {
        return ORC_UNKNOWN;
    }
    *state = next;
    return ORC_STEP;
}
