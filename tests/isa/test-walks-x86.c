/* SPDX-License-Identifier: MIT */
/*
 * Random page tables and accesses, against the manuals' rules (walks-x86.h); what the TLB must have forgotten after INVLPG, INVPCID and
 * loads of CR3 and CR4.
 * usage: test-walks-x86 [-i] ROUNDS SEED     (-i: on the interpreter)
 */
#include "target/i386/control.h"
#include "target/i386/mmu.h"
#include "tests/isa/walks-x86.h"

/* RAM: supervisor code and stacks in the first 4 MiB, user code in the next; both are mapped one to one, with A and D. */
enum {
    CODE = 0x1000,
    CATCHER = 0x2000,
    STACK = 0x8000,
    BLOCK_BYTES = 64,
    USER_CODE = 0x400000,
    DATA = 0x1800000,
    DATA_BYTES = 0x400000,
    DATA_END = DATA + DATA_BYTES + 0x1000, /* pages of 1 GiB go on behind it */
};
/* Pages of TABLES: the roots, those that map the code, and those that are made at random, some for each level. */
enum { ROOT_A, ROOT_B, FIXED, RANDOM = FIXED + 6, TABLES_OF_LEVEL = 3 };

/* Entries that are used of each table; those of the code are others. */
static const unsigned indices[FORMS][MAX_LEVELS][4] = {
    [LEVELS_2] = { { 0, 1, 1023, 0 }, { 6, 7, 6, 7 } },
    [LEVELS_2_PSE] = { { 0, 1, 1023, 0 }, { 6, 7, 6, 7 } },
    [LEVELS_PAE] = { { 0, 1, 511, 0 }, { 12, 13, 12, 13 }, { 1, 2, 3, 1 } },
    [LEVELS_4] = { { 0, 1, 511, 0 }, { 12, 13, 12, 13 }, { 0, 1, 0, 1 }, { 1, 300, 1, 300 } },
    [LEVELS_5] = { { 0, 1, 511, 0 },
                   { 12, 13, 12, 13 },
                   { 0, 1, 0, 1 },
                   { 0, 1, 300, 0 },
                   { 1, 300, 1, 300 } },
};

/* Accesses through [rbx]. */
static const struct {
    uint8_t code[5], length, bytes;
    Kind kind;
} accesses[] = {
    { { 0x8b, 0x0b }, 2, 4, READ },         /* mov ecx, [rbx] */
    { { 0x8a, 0x0b }, 2, 1, READ },         /* mov cl, [rbx] */
    { { 0x39, 0x0b }, 2, 4, READ },         /* cmp [rbx], ecx */
    { { 0x0f, 0x10, 0x03 }, 3, 16, READ },  /* movups xmm0, [rbx] */
    { { 0x89, 0x0b }, 2, 4, WRITE },        /* mov [rbx], ecx */
    { { 0x88, 0x0b }, 2, 1, WRITE },        /* mov [rbx], cl */
    { { 0x0f, 0x11, 0x03 }, 3, 16, WRITE }, /* movups [rbx], xmm0 */
    { { 0x01, 0x0b }, 2, 4, WRITE },        /* add [rbx], ecx */
    { { 0xf0, 0x01, 0x0b }, 3, 4, WRITE },  /* lock add [rbx], ecx */
    { { 0x87, 0x0b }, 2, 4, WRITE },        /* xchg [rbx], ecx */
    { { 0x0f, 0xb1, 0x0b }, 3, 4, WRITE },  /* cmpxchg [rbx], ecx */
    { { 0xff, 0xe3 }, 2, 8, FETCH },        /* jmp rbx */
    { { 0x8e, 0xc0 }, 2, 8, DESCRIPTOR },   /* mov es, eax, of a local table at RBX */
};

/* Ways to forget translations, with RDX, RSI and RDI: see forget. */
typedef enum { BY_PAGE, BY_CR3, BY_PGE, BY_INVPCID_0, BY_INVPCID_1, BY_INVPCID_2, WAYS } Way;
static const uint8_t ways[WAYS][6] = {
    [BY_PAGE] = { 0x0f, 0x01, 0x3a },                  /* invlpg [rdx] */
    [BY_CR3] = { 0x0f, 0x22, 0xde },                   /* mov cr3, rsi */
    [BY_PGE] = { 0x0f, 0x22, 0xe6, 0x0f, 0x22, 0xe7 }, /* mov cr4, rsi; mov cr4, rdi */
    [BY_INVPCID_0] = { 0x66, 0x0f, 0x38, 0x82, 0x37 }, /* invpcid rsi, [rdi] */
    [BY_INVPCID_1] = { 0x66, 0x0f, 0x38, 0x82, 0x37 },
    [BY_INVPCID_2] = { 0x66, 0x0f, 0x38, 0x82, 0x37 },
};

static unsigned below(Walks *t, unsigned n)
{
    return (unsigned)g_rand_int_range(t->random, 0, (int)n);
}

static bool once_in(Walks *t, unsigned n)
{
    return below(t, n) == 0;
}

static uint32_t table_of(unsigned level, unsigned n)
{
    return walks_page_at(RANDOM + (level - 1) * TABLES_OF_LEVEL + n);
}

static void put_entry(Walks *t, uint32_t table, unsigned index, uint64_t entry)
{
    uint8_t *p = t->rig.ram + table + index * t->entry_bytes;

    if (t->entry_bytes == 4) {
        store_le32(p, (uint32_t)entry);
    } else {
        store_le64(p, entry);
    }
    memcpy(t->wanted + (p - t->rig.ram - TABLES), p, t->entry_bytes);
}

/* Random tables. */

static uint64_t random_rights(Walks *t, unsigned level, bool leaf)
{
    uint64_t entry = once_in(t, 16) ? 0 : P;

    entry |= once_in(t, leaf ? 3 : 10) ? 0 : W;
    entry |= once_in(t, leaf ? 3 : 10) ? 0 : U;
    entry |= once_in(t, 3) ? A : 0;
    entry |= once_in(t, 3) ? D : 0;
    entry |= once_in(t, 3) ? G : 0;
    entry |= below(t, 4) << 3; /* PWT, PCD */
    entry |= below(t, 8) << 9;
    if (t->entry_bytes == 8) {
        entry |= once_in(t, 12) ? NX : 0;
        entry |= walks_is_long(t) && once_in(t, 4) ? (uint64_t)below(t, 128) << 52 : 0;
        entry |= once_in(t, 40) ? UINT64_C(1) << (40 + below(t, 23)) : 0;
    }
    return entry;
}

static uint64_t random_entry(Walks *t, unsigned level)
{
    bool large = walks_may_be_large(t, level) && once_in(t, 3), leaf = large || level == 1;
    uint64_t entry = random_rights(t, level, leaf);

    if (level == 1) {
        return entry | (DATA + 4096 * below(t, DATA_BYTES / 4096)) | (once_in(t, 8) ? PS : 0);
    }
    if (large) {
        unsigned shift = walks_shift(t, level);
        uint64_t base = shift == 30 ? 0 : DATA + (shift == 21 ? below(t, 2) << 21 : 0);

        /* With entries of four bytes all but one are bits of the address. */
        entry |= !once_in(t, 24)       ? 0
                 : t->entry_bytes == 4 ? 1 << 21
                                       : 1u << (13 + below(t, shift - 13));
        return entry | base | PS | (once_in(t, 4) ? 1 << 12 : 0);
    }
    entry |= (t->form == LEVELS_2 && once_in(t, 3)) || (level >= 4 && once_in(t, 40)) ? PS : 0;
    entry &= level >= 3 && !once_in(t, 40) ? ~(uint64_t)G : UINT64_MAX;
    return entry | table_of(level - 1, below(t, TABLES_OF_LEVEL));
}

static uint64_t random_pointer(Walks *t)
{
    return (once_in(t, 12) ? 0 : P) | table_of(2, below(t, TABLES_OF_LEVEL)) | below(t, 4) << 3 |
           below(t, 8) << 9;
}

static void load_pointers(Walks *t)
{
    for (unsigned i = 0; i < 4 && t->form == LEVELS_PAE; i++) {
        t->rig.cpu->pdpte[i] = load_le64(t->rig.ram + walks_page_at(t->root) + 8 * i);
    }
}

static void fill_table(Walks *t, uint32_t table, unsigned level)
{
    for (unsigned i = 0; i < 4; i++) {
        bool pointers = t->form == LEVELS_PAE && level == 3;

        put_entry(t, table, indices[t->form][level - 1][i],
                  pointers ? random_pointer(t) : random_entry(t, level));
    }
}

/* The first 8 MiB, by entries that need no marks. */
static void map_code(Walks *t)
{
    unsigned entries = 4096 / t->entry_bytes, next = FIXED;

    for (unsigned root = ROOT_A; root <= ROOT_B; root++) {
        put_entry(t, walks_page_at(root), 0,
                  walks_page_at(FIXED) | P | (t->form == LEVELS_PAE ? 0 : W | U | A));
    }
    for (unsigned level = t->levels - 1; level > (t->entry_bytes == 4 ? 1u : 2u); level--) {
        put_entry(t, walks_page_at(next), 0, walks_page_at(next + 1) | P | W | U | A);
        next++;
    }
    if (t->entry_bytes == 4) {
        for (unsigned root = ROOT_A; root <= ROOT_B; root++) {
            put_entry(t, walks_page_at(root), 1, walks_page_at(FIXED + 1) | P | W | U | A);
        }
        for (unsigned i = 0; i < 2 * entries; i++) {
            put_entry(t, walks_page_at(FIXED + i / entries), i % entries,
                      i << 12 | P | W | A | D | (i >= entries ? U : 0));
        }
    } else {
        for (unsigned i = 0; i < 4; i++) {
            put_entry(t, walks_page_at(next), i, i << 21 | P | W | A | D | PS | (i >= 2 ? U : 0));
        }
    }
}

static void make_tables(Walks *t)
{
    memset(t->rig.ram + TABLES, 0, sizeof t->wanted);
    memset(t->wanted, 0, sizeof t->wanted);
    map_code(t);
    for (unsigned level = 1; level < t->levels; level++) {
        for (unsigned n = 0; n < TABLES_OF_LEVEL; n++) {
            fill_table(t, table_of(level, n), level);
        }
    }
    fill_table(t, walks_page_at(ROOT_A), t->levels);
    fill_table(t, walks_page_at(ROOT_B), t->levels);
    load_pointers(t);
}

/* What is in the pages that are mapped: eight bytes that tell where they are, and are code: mov ecx, imm32; nop; ud2; nop. */
static uint64_t content(uint32_t phys)
{
    uint64_t tag = (uint64_t)(phys >> 3 & 0xffffff) << 8;

    if ((phys & 4095) == 4088) {
        /* mov ecx, imm32; nop; nop; and another one that ends in the next page */
        return UINT64_C(0xb990909000000000) | tag | 0xb9;
    }
    return UINT64_C(0x900b0f9000000000) | tag | 0xb9;
}

static void restore_data(Walks *t, uint64_t phys)
{
    for (uint64_t at = phys & ~UINT64_C(7); at < (phys & ~UINT64_C(7)) + 24; at += 8) {
        if (at >= DATA && at < DATA_END) {
            store_le64(t->rig.ram + at, content((uint32_t)at));
        }
    }
}

static uint32_t code_of(unsigned block, bool user)
{
    return (user ? USER_CODE : CODE) + block * BLOCK_BYTES;
}

static void put_blocks(Walks *t)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(accesses); i++) {
        x86_rig_put_code(&t->rig, code_of(i, false), accesses[i].code, accesses[i].length);
        x86_rig_put_code(&t->rig, code_of(i, true), accesses[i].code, accesses[i].length);
    }
    for (unsigned i = 0; i < WAYS; i++) {
        uint32_t at = code_of(G_N_ELEMENTS(accesses) + i, false);
        unsigned length = i == BY_PAGE || i == BY_CR3 ? 3 : i == BY_PGE ? 6 : 5;

        x86_rig_put_code(&t->rig, at, ways[i], length);
    }
    for (uint32_t at = DATA; at < DATA_END; at += 8) {
        store_le64(t->rig.ram + at, content(at));
    }
}

/* The processor. */

static void set_level(Walks *t, bool user)
{
    const uint32_t rights = X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED | X86_SEG_G |
                            (user ? X86_SEG_DPL : 0);
    X86Cpu *cpu = t->rig.cpu;

    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        x86_set_segment(cpu, (X86SegmentName)i, user ? X86_RIG_DATA_3 : 0x10, 0, 0xffffffff,
                        rights | X86_SEG_B);
    }
    x86_set_segment(cpu, X86_CS, user ? X86_RIG_CODE_3 : 8, 0, 0xffffffff,
                    rights | X86_SEG_CODE | (walks_is_long(t) ? X86_SEG_L : X86_SEG_B));
    cpu->cpl = user ? 3 : 0;
}

static void set_form(Walks *t, Form form)
{
    X86Cpu *cpu = t->rig.cpu;
    uint8_t *tss;

    t->form = form;
    t->levels = form == LEVELS_2 || form == LEVELS_2_PSE ? 2
                : form == LEVELS_5                       ? 5
                : form == LEVELS_4                       ? 4
                                                         : 3;
    t->entry_bytes = t->levels == 2 ? 4 : 8;
    cpu->efer = walks_is_long(t) ? EFER_LME | EFER_LMA : 0;
    cpu->cr4 = CR4_OSFXSR | (t->entry_bytes == 8 ? CR4_PAE : 0) |
               (form == LEVELS_2_PSE ? CR4_PSE : 0) | (form == LEVELS_5 ? CR4_LA57 : 0);
    t->root = ROOT_A;
    cpu->cr3 = walks_page_at(ROOT_A);
    set_level(t, false);
    memset(t->rig.ram + CATCHER, 0, X86_RIG_CATCHER_BYTES);
    x86_rig_catch(&t->rig, CATCHER);
    if (!walks_is_long(t)) {
        tss = t->rig.ram + cpu->tr.base;
        store_le32(tss + 8, 0x10);
        store_le64(t->rig.ram + cpu->gdtr.base + (X86_RIG_CODE_3 & ~7),
                   UINT64_C(0x00cffb000000ffff));
    }
    cpu->gpr[X86_RSP] = STACK;
}

/* What walks depend on. */
static void set_controls(Walks *t)
{
    X86Cpu *cpu = t->rig.cpu;

    cpu->cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_MP | (once_in(t, 3) ? 0 : CR0_WP);
    cpu->cr4 &= ~(CR4_SMEP | CR4_SMAP | CR4_PGE);
    cpu->cr4 |= (once_in(t, 2) ? CR4_SMEP : 0) | (once_in(t, 2) ? CR4_SMAP : 0) |
                (once_in(t, 2) && !(cpu->cr4 & CR4_PCIDE) ? CR4_PGE : 0);
    cpu->efer = (cpu->efer & ~EFER_NXE) | (once_in(t, 4) ? 0 : EFER_NXE);
}

static uint64_t random_address(Walks *t, unsigned bytes, bool may_cross)
{
    uint64_t address = 0;

    for (unsigned level = 1; level <= t->levels; level++) {
        address |= (uint64_t)indices[t->form][level - 1][below(t, 4)] << walks_shift(t, level);
    }
    if (walks_is_long(t)) {
        address = (uint64_t)bits_sign_extend(address, t->form == LEVELS_5 ? 57 : 48);
    }
    if (may_cross && bytes > 1 && once_in(t, 3)) {
        return address + 4096 - below(t, bytes - 1) - 1;
    }
    return address + below(t, 4096 - bytes);
}

/* Runs a block at a privilege level; returns the vector, or X86_RIG_DONE. */
static unsigned run_block(Walks *t, unsigned block, bool user)
{
    X86Cpu *cpu = t->rig.cpu;

    set_level(t, user);
    cpu->gpr[X86_RSP] = STACK;
    cpu->eflags = EFLAGS_ONE | EFLAGS_IOPL | (cpu->eflags & EFLAGS_AC);
    x86_rig_run(&t->rig, code_of(block, user));
    return t->rig.end_value;
}

static void check_tables(Walks *t)
{
    for (unsigned i = 0; i < sizeof t->wanted; i++) {
        uint8_t is = t->rig.ram[TABLES + i];

        if ((is ^ t->wanted[i]) & ~t->open[i]) {
            g_error("entry byte at %#x is %02x, not %02x", TABLES + i, is, t->wanted[i]);
        }
        t->wanted[i] = is;
    }
}

static void check_fault(Walks *t, const Outcome *o, unsigned vector)
{
    X86Cpu *cpu = t->rig.cpu;

    g_assert_cmpuint(vector, ==, X86_PF);
    g_assert_cmphex(load_le32(x86_rig_frame(&t->rig, CATCHER)), ==, o->error);
    g_assert_cmphex(cpu->cr2, ==, o->cr2);
}

/* A byte of what an access led to. */
static uint8_t byte_at(const Walks *t, const Outcome *o, uint64_t address, unsigned n)
{
    unsigned in_first = 4096 - (address & 4095);

    return t->rig.ram[n < in_first ? o->phys[0] + n : o->phys[1] + (n - in_first)];
}

/* Whether an access without a fault was one to where it leads. */
static void check_place(Walks *t, unsigned n, const Outcome *o, uint64_t address)
{
    X86Cpu *cpu = t->rig.cpu;
    uint8_t seen[4];

    store_le32(seen, (uint32_t)cpu->gpr[X86_RCX]);
    if (accesses[n].code[0] == 0x8b || accesses[n].code[0] == 0x89) {
        for (unsigned i = 0; i < 4; i++) {
            g_assert_cmphex(byte_at(t, o, address, i), ==, seen[i]);
        }
    } else if (accesses[n].kind == FETCH && (address & 4095) != 4088) {
        g_assert_cmphex(load_le32(seen), ==, load_le32(t->rig.ram + o->phys[0] + 1));
    } else if (accesses[n].kind == FETCH) {
        g_assert_cmphex(load_le32(seen), ==, load_le32(t->rig.ram + o->phys[1]));
    }
}

/* A descriptor that is not marked is written as well, a byte of it. */
static Outcome model_descriptor(Walks *t, uint64_t address, bool marked)
{
    Outcome o = walks_model_access(t, address, 8, DESCRIPTOR, false, false), write;

    if (!o.fault && !marked) {
        write = walks_model_access(t, address + 5, 1, DESCRIPTOR, true, false);
        o.fault = write.fault;
        o.error = write.error;
        o.cr2 = write.cr2;
    }
    return o;
}

static void put_descriptor(Walks *t, uint64_t address, bool marked)
{
    uint64_t descriptor = UINT64_C(0x00cff2000000ffff) | (uint64_t)marked << 40;
    uint32_t error;
    Path path;

    for (unsigned i = 0; i < 8; i++) {
        if (walks_model_page(t, address + i, DESCRIPTOR, false, false, &path, &error)) {
            t->rig.ram[path.phys] = (uint8_t)(descriptor >> 8 * i);
        }
    }
}

static void restore_descriptor(Walks *t, uint64_t address)
{
    uint32_t error;
    Path path;

    for (unsigned i = 0; i < 8; i += 7) {
        if (walks_model_page(t, address + i, DESCRIPTOR, false, false, &path, &error)) {
            restore_data(t, path.phys - 7);
        }
    }
}

static Outcome prepare_access(Walks *t, unsigned n, uint64_t address, bool user)
{
    Kind kind = accesses[n].kind;
    X86Cpu *cpu = t->rig.cpu;
    bool marked;

    cpu->gpr[X86_RBX] = address;
    cpu->gpr[X86_RCX] = g_rand_int(t->random);
    cpu->gpr[X86_RAX] = 4;
    if (kind != DESCRIPTOR) {
        return walks_model_access(t, address,
                                  kind == FETCH && (address & 4095) != 4088 ? 8
                                  : kind == FETCH                           ? 15
                                                                            : accesses[n].bytes,
                                  kind, kind == WRITE, user);
    }
    marked = once_in(t, 2);
    put_descriptor(t, address, marked);
    cpu->ldtr = (X86Segment){ .selector = 0x38, .base = address, .limit = 0xffff, .flags = 0x8200 };
    return model_descriptor(t, address, marked);
}

static void access_once(Walks *t, unsigned n, uint64_t address, bool user)
{
    Kind kind = accesses[n].kind;
    unsigned vector;
    Outcome o;

    memset(t->open, 0, sizeof t->open);
    t->rig.cpu->eflags = once_in(t, 2) ? EFLAGS_AC : 0;
    o = prepare_access(t, n, address, user);
    g_test_message("form %u, %02x %02x of %#" PRIx64 " at CPL %u, cr0 %#" PRIx64 " cr3 %#" PRIx64
                   " cr4 %#" PRIx64 " efer %#" PRIx64 " AC %u: %s %x",
                   t->form, accesses[n].code[0], accesses[n].code[1], address, user ? 3 : 0,
                   t->rig.cpu->cr0, t->rig.cpu->cr3, t->rig.cpu->cr4, t->rig.cpu->efer,
                   (unsigned)(t->rig.cpu->eflags >> 18 & 1), o.fault ? "fault" : "none", o.error);
    vector = run_block(t, n, user);
    if (o.fault) {
        check_fault(t, &o, vector);
    } else {
        g_assert_cmpuint(vector, ==, kind == FETCH ? X86_UD : X86_RIG_DONE);
        check_place(t, n, &o, address);
        restore_data(t, o.phys[0]);
        restore_data(t, o.phys[1]);
    }
    if (kind == DESCRIPTOR) {
        restore_descriptor(t, address);
    }
    check_tables(t);
}

static void access_any(Walks *t, bool may_cross, uint64_t *where)
{
    unsigned n = below(t, G_N_ELEMENTS(accesses));
    uint64_t address = random_address(t, accesses[n].bytes, may_cross);

    if (where) {
        address = (*where & ~UINT64_C(4095)) | (address & 4095);
        address = MIN(address, (*where | 4095) - 16);
    }
    if (accesses[n].kind == FETCH) {
        address &= ~UINT64_C(7);
        address -= where && (address & 4095) == 4088 ? 8 : 0;
    }
    access_once(t, n, address, once_in(t, 2));
}

/* Forgetting. */

/* The entry of a level that leads to an address; 0: there is none, or it is one of PAE's pointers. */
static uint32_t entry_for(const Walks *t, uint64_t address, unsigned wanted_level)
{
    uint32_t table = walks_page_at(t->root);

    for (unsigned level = t->levels;; level--) {
        unsigned index = (unsigned)(address >> walks_shift(t, level)) & (4096 / t->entry_bytes - 1);
        bool pointers = t->form == LEVELS_PAE && level == 3;
        uint32_t at = table + (pointers ? index & 3 : index) * t->entry_bytes;
        uint64_t entry = walks_entry(t, t->wanted + (at - TABLES));

        if (level == wanted_level) {
            return pointers ? 0 : at;
        }
        if (!(entry & P) || (level > 1 && (entry & PS) && walks_may_be_large(t, level)) ||
            (entry & UINT64_C(0xfffffff000)) < TABLES) {
            return 0;
        }
        table = (uint32_t)(entry & 0xfffff000);
    }
}

/* Another entry, or the same one without marks. */
static void change_entry(Walks *t, uint64_t address)
{
    unsigned level = 1 + below(t, t->levels);
    uint32_t at = entry_for(t, address, level);
    uint64_t entry;

    if (at) {
        entry = walks_entry(t, t->rig.ram + at);
        entry = once_in(t, 3) ? entry & ~(uint64_t)(A | D) : random_entry(t, level);
        put_entry(t, at & ~UINT32_C(4095), (at & 4095) / t->entry_bytes, entry);
    }
}

/* How an address is known: no way that keeps global pages will do for one. */
static bool is_global(Walks *t, uint64_t address, unsigned *size_bits)
{
    uint32_t error;
    Path path;

    walks_model_page(t, address, READ, false, false, &path, &error);
    *size_bits = path.size_bits;
    return path.global && (t->rig.cpu->cr4 & CR4_PGE);
}

static uint32_t cr3_of(const Walks *t, unsigned root)
{
    return walks_page_at(root) | (t->rig.cpu->cr4 & CR4_PCIDE ? root + 1 : 0);
}

/* size_bits: of the page that is known; INVLPG may name any address of it. */
static void forget(Walks *t, Way way, uint64_t address, unsigned size_bits, unsigned root)
{
    enum { OPERAND = 0x7000 };
    X86Cpu *cpu = t->rig.cpu;

    cpu->gpr[X86_RDX] = address ^ (size_bits ? g_rand_int(t->random) & bits_mask(size_bits) : 0);
    cpu->gpr[X86_RSI] = way == BY_CR3   ? cr3_of(t, t->root)
                        : way == BY_PGE ? cpu->cr4 ^ CR4_PGE
                                        : (uint64_t)way - BY_INVPCID_0;
    cpu->gpr[X86_RDI] = way == BY_PGE ? cpu->cr4 : OPERAND;
    store_le64(t->rig.ram + OPERAND, cr3_of(t, root) & 0xfff);
    store_le64(t->rig.ram + OPERAND + 8, address);
    g_assert_cmpuint(run_block(t, G_N_ELEMENTS(accesses) + way, false), ==, X86_RIG_DONE);
}

static void test_forgetting(Walks *t)
{
    uint64_t address = random_address(t, 1, false);
    unsigned size_bits;
    Way way;

    x86_flush_translations(t->rig.cpu, true);
    for (unsigned i = 0; i < 3; i++) {
        access_any(t, false, &address);
    }
    if (is_global(t, address, &size_bits)) {
        static const Way all[] = { BY_PAGE, BY_PGE, BY_INVPCID_2 };

        way = all[below(t, G_N_ELEMENTS(all))];
    } else {
        way = below(t, WAYS);
    }
    change_entry(t, address);
    forget(t, way, address, size_bits, t->root);
    g_test_message("forgotten by %u", way);
    for (unsigned i = 0; i < 3; i++) {
        access_any(t, false, &address);
    }
}

/* Goes to the other root, which drops nothing, with MOV CR3. */
static void switch_root(Walks *t)
{
    t->root ^= 1;
    t->rig.cpu->gpr[X86_RSI] = cr3_of(t, t->root) | UINT64_C(1) << 63;
    g_assert_cmpuint(run_block(t, G_N_ELEMENTS(accesses) + BY_CR3, false), ==, X86_RIG_DONE);
}

/* Two address spaces: what is known of one is not the other's, and is dropped by its number. */
static void test_spaces(Walks *t)
{
    X86Cpu *cpu = t->rig.cpu;
    uint64_t address = random_address(t, 1, false);

    cpu->cr4 = (cpu->cr4 & ~CR4_PGE) | CR4_PCIDE;
    cpu->cr3 = cr3_of(t, t->root);
    x86_flush_translations(cpu, true);
    for (unsigned i = 0; i < 4; i++) {
        access_any(t, false, &address);
        access_any(t, false, &address);
        switch_root(t);
    }
    change_entry(t, address);
    switch_root(t);
    /* The entry may be in both. */
    forget(t, once_in(t, 2) ? BY_INVPCID_0 : BY_INVPCID_1, address, 0, t->root ^ 1);
    forget(t, once_in(t, 2) ? BY_PAGE : BY_INVPCID_0, address, 0, t->root);
    for (unsigned i = 0; i < 2; i++) {
        access_any(t, false, &address);
        switch_root(t);
    }
    cpu->cr4 &= ~CR4_PCIDE;
    cpu->cr3 = cr3_of(t, t->root);
}

static void test_tables(Walks *t)
{
    for (unsigned i = 0; i < 4; i++) {
        set_controls(t);
        x86_flush_translations(t->rig.cpu, true);
        for (unsigned n = 0; n < 10; n++) {
            access_any(t, true, NULL);
        }
        test_forgetting(t);
        if (walks_is_long(t)) {
            test_spaces(t);
        }
    }
}

int main(int argc, char **argv)
{
    static Walks t;
    unsigned rounds, seed;
    bool interp;

    g_test_init(&argc, &argv, NULL);
    interp = argc > 1 && strcmp(argv[1], "-i") == 0;
    g_assert_cmpint(argc, ==, 3 + interp);
    rounds = (unsigned)atoi(argv[1 + interp]);
    seed = (unsigned)atoi(argv[2 + interp]);
    if (!x86_rig_open(&t.rig, "max", interp)) {
        return 77;
    }
    t.random = g_rand_new_with_seed(seed);
    t.has_1g = x86_has(t.rig.cpu, X86_FEATURE_PDPE1GB);
    put_blocks(&t);
    for (unsigned i = 0; i < rounds; i++) {
        set_form(&t, i % FORMS);
        make_tables(&t);
        test_tables(&t);
    }
    x86_rig_close(&t.rig);
    g_rand_free(t.random);
    return 0;
}
