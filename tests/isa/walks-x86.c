/* SPDX-License-Identifier: MIT */
#include "tests/isa/walks-x86.h"

#include "target/i386/control.h"
#include "target/i386/mmu.h"

unsigned walks_shift(const Walks *t, unsigned level)
{
    return 12 + (t->entry_bytes == 4 ? 10 : 9) * (level - 1);
}

uint64_t walks_entry(const Walks *t, const uint8_t *p)
{
    return t->entry_bytes == 4 ? load_le32(p) : load_le64(p);
}

bool walks_may_be_large(const Walks *t, unsigned level)
{
    switch (t->form) {
    case LEVELS_2:
        return false;
    case LEVELS_2_PSE:
    case LEVELS_PAE:
        return level == 2;
    default:
        return level == 2 || (level == 3 && t->has_1g);
    }
}

/* Bits that must be 0 (SDM 3, tables 4-4 to 4-20). */
static uint64_t reserved_bits(const Walks *t, unsigned level, bool large)
{
    const X86Cpu *cpu = t->rig.cpu;
    uint64_t reserved = cpu->efer & EFER_NXE ? 0 : NX;

    if (t->entry_bytes == 4) {
        return large ? 1 << 21 : 0;
    }
    for (unsigned bit = cpu->phys_bits; bit < 52; bit++) {
        reserved |= UINT64_C(1) << bit;
    }
    if (t->form == LEVELS_PAE) {
        reserved |= UINT64_C(0x7ff0000000000000);
    }
    if (large) {
        reserved |= level == 2 ? 0x1fe000 : 0x3fffe000;
    } else if (level >= 4 || (level == 3 && walks_is_long(t) && !t->has_1g)) {
        reserved |= PS;
    }
    if (walks_is_long(t) && level >= 3 && !large && x86_vendor_is_amd(cpu)) {
        reserved |= G; /* APM 2, 5.3 */
    }
    return reserved;
}

static uint32_t cause_of(const Walks *t, Kind kind, bool write, bool user)
{
    const X86Cpu *cpu = t->rig.cpu;
    bool tells_fetches = ((cpu->cr4 & CR4_PAE) && (cpu->efer & EFER_NXE)) || (cpu->cr4 & CR4_SMEP);

    return (write ? X86_PF_W : 0) | (user ? X86_PF_U : 0) |
           (kind == FETCH && tells_fetches ? X86_PF_I : 0);
}

static bool is_allowed(const Walks *t, Kind kind, bool write, bool user, uint64_t all, bool nx)
{
    const X86Cpu *cpu = t->rig.cpu;
    bool user_page = all & U;

    if (user && !user_page) {
        return false;
    }
    if (kind == FETCH) {
        return !nx && !(!user && user_page && (cpu->cr4 & CR4_SMEP));
    }
    if (!user && user_page && (cpu->cr4 & CR4_SMAP) &&
        (kind == DESCRIPTOR || !(cpu->eflags & EFLAGS_AC))) {
        return false;
    }
    return !write || (all & W) || (!user && !(cpu->cr0 & CR0_WP));
}

static void set_bits(Walks *t, uint32_t at, uint8_t bits)
{
    t->wanted[at - TABLES] |= bits;
}

static void leave_open(Walks *t, const uint32_t *at, unsigned count, uint8_t bits)
{
    for (unsigned i = 0; i < count; i++) {
        t->open[at[i] - TABLES] |= bits;
    }
}

/* Upper levels that were used for nothing may be marked or not. */
bool walks_model_page(Walks *t, uint64_t address, Kind kind, bool write, bool user, Path *path,
                      uint32_t *error)
{
    uint64_t all = W | U, entry;
    uint32_t table = walks_page_at(t->root);
    bool nx = false, large;

    *path = (Path){ 0 };
    *error = cause_of(t, kind, write, user);
    for (unsigned level = t->levels;; level--) {
        unsigned shift = walks_shift(t, level);
        unsigned index = (unsigned)(address >> shift) & (4096 / t->entry_bytes - 1);
        uint32_t at =
            table + (t->form == LEVELS_PAE && level == 3 ? index & 3 : index) * t->entry_bytes;
        bool pointers = t->form == LEVELS_PAE && level == 3;

        entry = walks_entry(t, t->wanted + (at - TABLES));
        large = level > 1 && (entry & PS) && walks_may_be_large(t, level);
        if (!(entry & P)) {
            return false;
        }
        if (!pointers && (entry & reserved_bits(t, level, large))) {
            *error |= X86_PF_P | X86_PF_RSVD;
            return false;
        }
        if (!pointers) {
            all &= entry;
            nx |= entry & NX;
        }
        if (level == 1 || large) {
            path->phys =
                (entry & UINT64_C(0xffffff000) & ~bits_mask(shift)) | (address & bits_mask(shift));
            path->global = entry & G;
            path->size_bits = shift;
            if (!is_allowed(t, kind, write, user, all, nx)) {
                *error |= X86_PF_P;
                return false;
            }
            path->at[path->count++] = at;
            return true;
        }
        if (!pointers) {
            path->at[path->count++] = at;
        }
        table = (uint32_t)(entry & 0xfffff000);
    }
}

static void mark(Walks *t, const Path *path, bool write)
{
    for (unsigned i = 0; i < path->count; i++) {
        set_bits(t, path->at[i], A);
    }
    if (write) {
        set_bits(t, path->at[path->count - 1], D);
    }
}

Outcome walks_model_access(Walks *t, uint64_t address, unsigned bytes, Kind kind, bool write,
                           bool user)
{
    uint64_t second = (address | 4095) + 1;
    bool crosses = (address & 4095) + bytes > 4096;
    Path path[2] = { 0 };
    Outcome o = { 0 };

    for (unsigned i = 0; i < 1u + crosses; i++) {
        uint64_t at = i ? second : address;

        if (!walks_model_page(t, at, kind, write, user, &path[i], &o.error)) {
            leave_open(t, path[0].at, path[0].count, A);
            leave_open(t, path[1].at, path[1].count, A);
            o.fault = true;
            o.cr2 = at;
            return o;
        }
        o.phys[i] = path[i].phys;
    }
    for (unsigned i = 0; i < 1u + crosses; i++) {
        mark(t, &path[i], write);
    }
    return o;
}
