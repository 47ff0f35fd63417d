/* SPDX-License-Identifier: MIT */
/*
 * Random instructions of 16-bit code, in real mode and in protected mode, with prefixes for 32 bits: a firmware of our own
 * runs them and tells what came of each, here and in an installed QEMU. Exceptions are compared with what they
 * push. QEMU looks at no segment limits, so that what is accessed lies within them.
 * usage: test-snippets-16 KASO ACCELERATOR QEMU ROUNDS SEED     (KASO: kaso-system-x86_64; ACCELERATOR: tcg or tcg,interp=on)
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "target/i386/control.h"
#include "tests/isa/rig-x86.h"
#include "tests/isa/snippet-i386.h"
#include "tests/isa/x86-undefined.h"

enum { SNIPPETS = 192, MAX_INSNS = 4, SLED = 8, DEBUG_PORT = 0xe9, EXIT_PORT = 0xf4 };

/* Offsets in the firmware's segment, 64 KiB below 1 MiB. */
enum {
    STUBS = 0x800,
    STUB_BYTES = 20,
    IDT = 0x2000,
    GDT = 0x2800,
    TABLES = 0x2900, /* what LGDT and LIDT load */
    TABLE = 0x3000,  /* of Before */
    CODE = 0x6000,
    RESET = 0xfff0,
    IMAGE_BYTES = 0x10000,
};

typedef struct {
    uint32_t gpr[8], flags;
    uint16_t entry;
    uint16_t hashes; /* afterwards memory is looked at, which takes its time */
} Before;

typedef struct {
    uint32_t gpr[8], flags, hash;
    uint16_t es, ss, ds, fs;
    uint16_t vector; /* of an exception, plus 1 */
    uint16_t error, ip, cs, pushed_flags, pad;
} After;

/* Offsets in the segment of GS, which no snippet changes. */
enum { NOW = 0, RESULT = 0x80, NEXT = 0x100 };
#define RESULT_OF(member) (RESULT + (uint16_t)offsetof(After, member))

/* What segment registers hold. Each segment has 64 KiB. */
typedef struct {
    uint16_t cs, ds, es, ss, fs, gs;
} Selectors;
static const Selectors real_mode = { 0xf000, 0x1000, 0x2000, 0x3000, 0x4000, 0x6000 };
static const Selectors protected_mode = { 0x08, 0x10, 0x18, 0x20, 0x28, 0x30 };

typedef struct {
    Before before;
    uint8_t code[MAX_INSNS * 40];
    unsigned size, count, insns[MAX_INSNS];
    bool last;          /* what follows could not be told apart */
    unsigned written;   /* general registers, by number: no address comes from them */
    uint32_t undefined; /* flags that some instruction leaves undefined */
} Snippet;

static GRand *rng;
static X86Cpu *features;
static const Selectors *selectors;
static Snippet snippets[SNIPPETS];

static uint32_t below(uint32_t n)
{
    return snippet_below(rng, n);
}

static uint8_t *put(uint8_t *p, uint64_t value, unsigned bytes)
{
    return snippet_put(p, value, bytes);
}

/* --- instructions --- */

static bool is_excluded(const X86Encoding *e)
{
    /* clang-format off */
    static const char *const patterns[] = {
        /* made by put_transfer, or not at all */
        "j*", "loop*", "call*", "ret*", "iret", "int", "sys*",
        /* ports, and what changes the mode or the machine */
        "in", "out", "ins", "outs", "hlt", "clts", "lmsw", "lgdt", "lidt", "lldt", "ltr", "mov_*_?r", "inv*",
        "wbinvd", "monitor", "mwait", "vm*", "stgi", "clgi", "skinit", "clac", "stac", "rsm", "swapgs", "lgs",
        /* what depends on the machine, or on the version of QEMU */
        "rd*", "wr*", "cpuid*", "xgetbv", "xsetbv", "clzero", "xsave*", "xrstor*", "sgdt", "sidt", "str", "sldt", "smsw", "fx*",
        "f*", "x87*", "emms", "ldmxcsr", "stmxcsr", "mov*nt*", "cmpxchg8b", "maskmov*", "prefetch*", "ud*", "bndnop", "clflush*", "clwb", "movdir*", "int1", "movbe*", "crc32*", NULL,
    };
    /* clang-format on */

    if (e->flags & (X86_O64 | X86_VEX) || e->vector || snippet_matches(e, patterns)) {
        return true;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(e->operands); i++) {
        unsigned kind = e->operands[i].kind;

        if ((kind >= X86_OPERAND_V && kind <= X86_OPERAND_N) || kind == X86_OPERAND_XMM) {
            return true;
        }
    }
    return false;
}

/* With any base and index; displacements may be negative. */
static uint8_t *put_modrm(uint8_t *p, const X86Encoding *e, bool address32)
{
    bool reg = e->mod == X86_MOD_REG || (e->mod == X86_MOD_ANY && below(2));
    unsigned field = e->reg == X86_ANY ? below(8) : e->reg;
    unsigned mod = reg ? 3 : below(3), rm = e->rm == X86_ANY ? below(8) : e->rm;

    *p++ = (uint8_t)(mod << 6 | field << 3 | rm);
    if (mod != 3 && address32 && rm == 4) {
        *p++ = (uint8_t)below(256);
    }
    return p;
}

/* An instruction with some prefixes more. */
static bool random_bytes(uint8_t *p)
{
    static const uint8_t overrides[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64 };
    unsigned n = below(x86_encoding_count);
    const X86Encoding *e = &x86_encodings[n];
    bool address32 = below(3) == 0;

    if (is_excluded(e)) {
        return false;
    }
    if (address32) {
        *p++ = 0x67;
    }
    if (below(4) == 0) {
        *p++ = overrides[below(G_N_ELEMENTS(overrides))];
    }
    if (snippet_is_string(e->name) && below(2)) {
        *p++ = below(2) ? 0xf3 : 0xf2;
    }
    p = snippet_put_opcode(rng, p, n);
    if (e->flags & X86_MODRM) {
        p = put_modrm(p, e, address32);
    }
    p = put(p, below(2) ? below(64) : snippet_random32(rng), 4);
    put(p, below(2) ? below(64) : snippet_random32(rng), 4);
    return true;
}

static bool is_named(const X86Insn *insn, const char *const *names)
{
    return snippet_matches(insn->encoding, names);
}

/* Where a memory operand is, or UINT32_MAX: not known, or near the end of the segment. */
static uint32_t address_of(const Snippet *s, const X86Insn *insn)
{
    enum { MOST_BYTES = 32 };
    uint32_t mask = insn->address_bytes == 2 ? 0xffff : UINT32_MAX;
    uint32_t address = (uint32_t)insn->displacement;

    if ((insn->base >= 0 && s->written >> insn->base & 1) ||
        (insn->index >= 0 && s->written >> insn->index & 1)) {
        return UINT32_MAX;
    }
    address += insn->base >= 0 ? s->before.gpr[insn->base] : 0;
    address += insn->index >= 0 ? s->before.gpr[insn->index] << insn->scale : 0;
    address &= mask;
    return address <= IMAGE_BYTES - MOST_BYTES ? address : UINT32_MAX;
}

static bool has_memory(const X86Insn *insn)
{
    if (insn->has_modrm && insn->mod != 3) {
        return true;
    }
    for (unsigned i = 0; i < insn->operand_count; i++) {
        if (insn->operands[i].kind == X86_OPERAND_O) {
            return true;
        }
    }
    return false;
}

static bool is_near(const X86Insn *insn)
{
    for (unsigned i = 0; i < insn->operand_count; i++) {
        if (insn->operands[i].kind == X86_OPERAND_O) {
            return (uint64_t)insn->operands[i].imm < IMAGE_BYTES - 4;
        }
    }
    return true;
}

static bool loads_gs(const X86Insn *insn)
{
    const X86Operand *to = &insn->operands[0];

    return (to->kind == X86_OPERAND_S || to->kind == X86_OPERAND_SEGMENT) && to->reg == X86_GS;
}

/*
 * BT and the like with a register reach anywhere. Double shifts of 16 bits by more are undefined, and BSWAP of 16 bits. ENTER
 * may neither take the stack away nor copy frames from beyond its end. In protected mode code is not written to, since QEMU lets it be.
 * Newer ones take AAM's divisor as signed, older ones do not know an alias of TEST and prefetches of registers.
 */
static bool is_unfit(const Snippet *s, const X86Insn *insn)
{
    static const char *const bits[] = { "bt", "bt?", NULL };
    static const char *const double_shifts[] = { "shld", "shrd", NULL };
    static const char *const enter[] = { "enter", NULL };
    static const char *const swap[] = { "bswap", NULL };
    static const char *const table[] = { "xlat", NULL };
    static const char *const test[] = { "test", NULL };
    static const char *const aam[] = { "aam", NULL };

    return (is_named(insn, bits) && insn->operands[0].memory &&
            insn->operands[1].kind == X86_OPERAND_G) ||
           (is_named(insn, double_shifts) && insn->operands[0].bytes == 2) ||
           (is_named(insn, swap) && insn->operand_bytes == 2) ||
           (is_named(insn, enter) && (insn->operands[0].imm & 0xffff) > 0x100) ||
           (is_named(insn, table) && insn->address_bytes == 4) || loads_gs(insn) ||
           (insn->segment == X86_CS && selectors == &protected_mode) ||
           (insn->map == X86_MAP_0F && insn->opcode == 0x18 && insn->mod == 3) ||
           (is_named(insn, aam) && insn->operands[0].imm & 0x80) ||
           (is_named(insn, test) && insn->has_modrm && insn->reg == 1 && insn->opcode >= 0xf0) ||
           (has_memory(insn) &&
            (!is_near(insn) || (insn->has_modrm && address_of(s, insn) == UINT32_MAX)));
}

/* What an instruction may have changed, too much rather than too little. */
static void note_written(Snippet *s, const X86Insn *insn)
{
    static const char *const ends[] = { "popf", "popa",     "leave",         "enter", "pop_segment",
                                        "l?s",  "mov_to_*", "mov_*_segment", NULL };

    s->written |= 1 << X86_RAX | 1 << X86_RDX;
    for (unsigned i = 0; i < insn->operand_count; i++) {
        if (!insn->operands[i].memory) {
            s->written |= 1u << (insn->operands[i].reg & 7);
        }
    }
    if (snippet_is_string(insn->encoding->name)) {
        s->written |= 1 << X86_RSI | 1 << X86_RDI | 1 << X86_RCX;
    }
    s->last |= (s->written >> X86_RSP & 1) || (s->written >> X86_RBP & 1) || is_named(insn, ends);
}

static uint8_t *put_register(uint8_t *p, unsigned reg, uint32_t value, bool wide)
{
    if (wide) {
        *p++ = 0x66;
    }
    *p++ = (uint8_t)(0xb8 + reg);
    return put(p, value, wide ? 4 : 2);
}

/* SI, DI and CX, for string instructions. */
static uint8_t *put_pointers(uint8_t *p, bool wide)
{
    p = put_register(p, X86_RSI, 0x1000 + below(0xd000), wide);
    p = put_register(p, X86_RDI, 0x1000 + below(0xd000), wide);
    return put_register(p, X86_RCX, below(24), wide);
}

static void add_insn(Snippet *s)
{
    uint8_t page[TCG_PAGE_SIZE] = { 0 }, *end = s->code + s->size;
    TcgCode source = { .page = page };
    X86Insn insn;

    do {
        while (!random_bytes(page)) {
        }
    } while (x86_decode(&insn, features, &source, 0, features->mode) != X86_DECODED ||
             is_excluded(insn.encoding) || is_unfit(s, &insn));
    if (snippet_is_string(insn.encoding->name)) {
        end = put_pointers(end, insn.address_bytes == 4);
    }
    memcpy(end, page, insn.length);
    s->size = (unsigned)(end - s->code) + insn.length;
    note_written(s, &insn);
    s->undefined |= x86_undefined_flags(&insn);
}

/* Into the sled that follows: it counts in AX where it was entered. at: the snippet's offset. */
static void put_transfer(Snippet *s, uint16_t at)
{
    uint8_t *p = s->code + s->size;
    unsigned kind = below(10), to = below(SLED);
    bool wide = below(3) == 0;
    uint8_t *next;

    if (wide && kind != 2) {
        *p++ = 0x66;
    }
    switch (kind) {
    case 0: /* Jcc rel8 */
        *p++ = (uint8_t)(0x70 + below(16));
        *p++ = (uint8_t)to;
        break;
    case 1: /* Jcc rel16 */
        *p++ = 0x0f;
        *p++ = (uint8_t)(0x80 + below(16));
        p = put(p, to, wide ? 4 : 2);
        break;
    case 2: /* LOOPcc, JCXZ */
        if (wide) {
            *p++ = 0x67;
        }
        *p++ = (uint8_t)(0xe0 + below(4));
        *p++ = (uint8_t)to;
        break;
    case 3: /* CALL, JMP */
        *p++ = below(2) ? 0xe8 : 0xe9;
        p = put(p, to, wide ? 4 : 2);
        break;
    case 4: /* by a register; its own prefix comes later */
        p -= wide;
        p = put_register(p, X86_RBX, (uint32_t)(at + s->size + (wide ? 9 : 5) + to), wide);
        if (wide) {
            *p++ = 0x66;
        }
        *p++ = 0xff;
        *p++ = below(2) ? 0xd3 : 0xe3;
        break;
    case 5: /* far, direct */
        next = p + (wide ? 7 : 5);
        *p++ = below(2) ? 0x9a : 0xea;
        p = put(p, (uint32_t)(at + (next - s->code) + to), wide ? 4 : 2);
        p = put(p, selectors->cs, 2);
        break;
    case 6: /* PUSH imm; RET */
        next = p + (wide ? 7 : 4);
        *p++ = 0x68;
        p = put(p, (uint32_t)(at + (next - s->code) + to), wide ? 4 : 2);
        if (wide) {
            *p++ = 0x66;
        }
        *p++ = 0xc3;
        break;
    case 7: /* PUSH CS; PUSH imm; RETF */
    case 8: /* PUSHF; PUSH CS; PUSH imm; IRET */
        if (kind == 8) {
            *p++ = 0x9c;
            if (wide) {
                *p++ = 0x66;
            }
        }
        *p++ = 0x0e;
        if (wide) {
            *p++ = 0x66;
        }
        next = p + (wide ? 7 : 4);
        *p++ = 0x68;
        p = put(p, (uint32_t)(at + (next - s->code) + to), wide ? 4 : 2);
        if (wide) {
            *p++ = 0x66;
        }
        *p++ = kind == 8 ? 0xcf : 0xcb;
        break;
    default: /* INT n */
        p -= wide;
        *p++ = 0xcd;
        *p++ = (uint8_t)below(256);
        break;
    }
    s->size = (unsigned)(p - s->code);
}

static uint32_t random_register(bool small)
{
    static const uint16_t others[] = { 0x13, 0x38, 0x3b, 0x40, 0x48, 0x50, 0x58, 0x60, 0x200 };

    if (below(8) == 0) {
        return below(2) ? (&selectors->ds)[below(4)] : others[below(G_N_ELEMENTS(others))];
    }
    return small ? below(0x10000) : snippet_random32(rng);
}

static void make_snippet(Snippet *s)
{
    unsigned count = 1 + below(MAX_INSNS);
    bool small = below(2); /* so that they can be 32-bit addresses */

    memset(s, 0, sizeof *s);
    for (unsigned i = 0; i < 8; i++) {
        s->before.gpr[i] = random_register(small);
    }
    for (unsigned i = X86_RSP; i <= X86_RBP; i++) {
        s->before.gpr[i] =
            (small ? 0 : snippet_random32(rng) & 0xffff0000) | (0x4000 + below(0x8000));
    }
    s->before.flags = (snippet_random32(rng) & (EFLAGS_STATUS | EFLAGS_DF)) | 2;
    while (s->count < count && !s->undefined && !s->last) {
        add_insn(s);
        s->count++;
    }
}

/* --- the firmware --- */

static uint8_t *put_bytes(uint8_t *p, const uint8_t *bytes, size_t count)
{
    memcpy(p, bytes, count);
    return p + count;
}
#define PUT(p, ...)                                                                                \
    put_bytes(p, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* mov ax, imm; mov sreg, ax */
static uint8_t *put_segment(uint8_t *p, X86SegmentName name, uint16_t selector)
{
    p = put_register(p, X86_RAX, selector, false);
    return PUT(p, 0x8e, (uint8_t)(0xc0 | name << 3));
}

/* mov word gs:[at], imm */
static uint8_t *put_word(uint8_t *p, uint16_t at, uint16_t value)
{
    return put(put(PUT(p, 0x65, 0xc7, 0x06), at, 2), value, 2);
}

/* An opcode with ModRM for gs:[at]. */
static uint8_t *put_at(uint8_t *p, uint8_t opcode, unsigned reg, uint16_t at)
{
    return put(PUT(p, 0x65, opcode, (uint8_t)(reg << 3 | 6)), at, 2);
}

static uint8_t *put_wide_at(uint8_t *p, uint8_t opcode, unsigned reg, uint16_t at)
{
    return put_at(PUT(p, 0x66), opcode, reg, at);
}

static uint8_t *put_jump(uint8_t *p, const uint8_t *image, uint16_t to)
{
    return put(PUT(p, 0xe9), (uint16_t)(to - (p + 3 - image)), 2);
}

static uint8_t *put_stack(uint8_t *p)
{
    return put(PUT(put_segment(p, X86_SS, selectors->gs), 0xbc), 0x1000, 2); /* mov sp */
}

/* Random contents of DS's to FS's segments, and the interrupt controllers silent. */
static uint8_t *put_begin(uint8_t *p)
{
    p = PUT(p, 0xb0, 0xff, 0xe6, 0x21, 0xe6, 0xa1,
            0xfc);                                  /* mov al, ff; out 21, al; out a1, al; cld */
    p = PUT(p, 0x66, 0xba, 0x78, 0x56, 0x34, 0x12); /* mov edx, 12345678 */
    for (unsigned i = 0; i < 4; i++) {
        p = put_segment(p, X86_ES, (&selectors->ds)[i]);
        p = PUT(p, 0x31, 0xff, 0xb9, 0x00, 0x40);             /* xor di, di; mov cx, 4000 */
        p = PUT(p, 0x66, 0x69, 0xd2, 0x6d, 0x4e, 0xc6, 0x41); /* l: imul edx, edx, 41c64e6d */
        p = PUT(p, 0x66, 0x81, 0xc2, 0x39, 0x30, 0, 0);       /* add edx, 12345 */
        p = PUT(p, 0x66, 0x89, 0xd0, 0x66, 0xc1, 0xc0, 0x10); /* mov eax, edx; rol eax, 16 */
        p = PUT(p, 0x66, 0xab, 0xe2, (uint8_t)-25);           /* stosd; loop l */
    }
    return p;
}

/* Takes the next line of the table, or ends; and runs it. */
static uint8_t *put_next(uint8_t *p)
{
    uint8_t *end;

    p = put(put_at(p, 0x8b, X86_RSI, NEXT), 0xfe81, 2); /* mov si, gs:[NEXT]; cmp si, imm */
    p = PUT(put(p, TABLE + SNIPPETS * sizeof(Before), 2), 0x75, 0); /* jne */
    end = p;
    p = PUT(p, 0x30, 0xc0, 0xe6, EXIT_PORT, 0xeb, 0xfe); /* xor al, al; out EXIT_PORT, al; jmp . */
    end[-1] = (uint8_t)(p - end);
    p = put(PUT(p, 0x31, 0xff, 0xb9), sizeof(Before) / 4, 2); /* xor di, di; mov cx, n */
    /* l: mov eax, cs:[si]; mov gs:[di], eax; add si, 4; add di, 4; loop l */
    p = PUT(p, 0x66, 0x2e, 0x8b, 0x04, 0x66, 0x65, 0x89, 0x05, 0x83, 0xc6, 0x04, 0x83, 0xc7, 0x04,
            0xe2, (uint8_t)-16);
    p = put_at(p, 0x89, X86_RSI, NEXT);
    for (unsigned at = RESULT_OF(vector); at <= RESULT_OF(pad); at += 2) {
        p = put_word(p, (uint16_t)at, 0);
    }
    p = put_stack(p);
    p = PUT(put_wide_at(p, 0xff, 6, NOW + offsetof(Before, flags)), 0x66, 0x9d); /* push; popfd */
    p = put_segment(p, X86_DS, selectors->ds);
    p = put_segment(p, X86_ES, selectors->es);
    p = put_segment(p, X86_FS, selectors->fs);
    p = put_segment(p, X86_SS, selectors->ss);
    for (unsigned i = 0; i < 8; i++) {
        p = put_wide_at(p, 0x8b, i, (uint16_t)(NOW + 4 * i));
    }
    return put_at(p, 0xff, 4, NOW + offsetof(Before, entry)); /* jmp */
}

/* A sum over all segments. */
static uint8_t *put_hash(uint8_t *p)
{
    p = PUT(p, 0x66, 0x31, 0xd2); /* xor edx, edx */
    for (unsigned i = 0; i < 4; i++) {
        p = PUT(put_segment(p, X86_DS, (&selectors->ds)[i]), 0x31, 0xf6); /* xor si, si */
        /* l: add edx, [si]; rol edx, 5; add si, 4; jnz l */
        p = PUT(p, 0x66, 0x03, 0x14, 0x66, 0xc1, 0xc2, 0x05, 0x83, 0xc6, 0x04, 0x75, (uint8_t)-12);
    }
    return put_wide_at(p, 0x89, X86_RDX, RESULT_OF(hash));
}

/* What it has come to, and goes on with the next. */
static uint8_t *put_store(uint8_t *p, const uint8_t *image, uint16_t next)
{
    static const struct {
        X86SegmentName name;
        uint16_t at;
    } segments[] = { { X86_ES, RESULT_OF(es) },
                     { X86_SS, RESULT_OF(ss) },
                     { X86_DS, RESULT_OF(ds) },
                     { X86_FS, RESULT_OF(fs) } };
    uint8_t *skip;

    for (unsigned i = 0; i < 8; i++) {
        p = put_wide_at(p, 0x89, i, (uint16_t)(RESULT + 4 * i));
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(segments); i++) {
        p = put_at(p, 0x8c, segments[i].name, segments[i].at);
    }
    p = PUT(put_stack(p), 0x66, 0x9c);                                       /* pushfd */
    p = PUT(put_wide_at(p, 0x8f, 0, RESULT_OF(flags)), 0xfa, 0xfc);          /* cli; cld */
    p = PUT(put_at(p, 0x83, 7, NOW + offsetof(Before, hashes)), 0, 0x74, 0); /* cmp …, 0; je */
    skip = p;
    p = put_hash(p);
    skip[-1] = (uint8_t)(p - skip);
    p = put(PUT(p, 0xbe), RESULT, 2);
    p = put(PUT(p, 0xb9), sizeof(After), 2);
    p = put(PUT(p, 0xba), DEBUG_PORT, 2);
    return put_jump(PUT(p, 0xf3, 0x65, 0x6e), image, next); /* rep gs outsb */
}

static bool has_error(unsigned vector)
{
    return selectors == &protected_mode &&
           (vector == 8 || (vector >= 10 && vector <= 14) || vector == 17);
}

static void put_stubs(uint8_t *image, uint16_t handler)
{
    for (unsigned vector = 0; vector < 256; vector++) {
        uint8_t *p = image + STUBS + STUB_BYTES * vector;

        p = put_word(p, RESULT_OF(vector), (uint16_t)(vector + 1));
        if (has_error(vector)) {
            p = put_at(p, 0x8f, 0, RESULT_OF(error));
        }
        put_jump(p, image, handler);
    }
}

static uint8_t *put_handler(uint8_t *p, const uint8_t *image, uint16_t store)
{
    p = put_at(p, 0x8f, 0, RESULT_OF(ip));
    p = put_at(p, 0x8f, 0, RESULT_OF(cs));
    return put_jump(put_at(p, 0x8f, 0, RESULT_OF(pushed_flags)), image, store);
}

static uint64_t descriptor(uint32_t base, unsigned rights)
{
    return 0xffff | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)rights << 40;
}

static void put_tables(uint8_t *image)
{
    const uint64_t gdt[] = { 0,
                             descriptor(0xf0000, 0x9b),
                             descriptor(0x10000, 0x93),
                             descriptor(0x20000, 0x93),
                             descriptor(0x30000, 0x93),
                             descriptor(0x40000, 0x93),
                             descriptor(0x60000, 0x93),
                             descriptor(0x10000, 0x91),   /* 38: read only */
                             descriptor(0x10000, 0x13),   /* 40: not present */
                             descriptor(0xf0000, 0x9f),   /* 48: conforming code */
                             descriptor(0x10000, 0xf3),   /* 50: of user mode */
                             descriptor(0x50000, 0x82),   /* 58: an LDT */
                             descriptor(0x50000, 0x89) }; /* 60: a TSS */
    uint8_t *p = image + TABLES;

    memcpy(image + GDT, gdt, sizeof gdt);
    for (unsigned i = 0; i < 256; i++) {
        put(image + IDT + 8 * i,
            (STUBS + STUB_BYTES * i) | selectors->cs << 16 | UINT64_C(0x86) << 40, 8);
    }
    p = put(put(p, sizeof gdt - 1, 2), 0xf0000 + GDT, 4);
    put(put(p, 256 * 8 - 1, 2), 0xf0000 + IDT, 4);
}

/* The vectors of real mode are in RAM, at 0. */
static uint8_t *put_vectors(uint8_t *p)
{
    p = put_segment(p, X86_ES, 0);
    p = put(PUT(p, 0x31, 0xff, 0xb8), STUBS, 2); /* xor di, di; mov ax, STUBS */
    /* l: mov es:[di], ax; mov es:[di + 2], cs; add ax, STUB_BYTES; add di, 4; cmp di, 400h; jne l */
    return PUT(p, 0x26, 0x89, 0x05, 0x26, 0x8c, 0x4d, 0x02, 0x05, STUB_BYTES, 0, 0x83, 0xc7, 0x04,
               0x81, 0xff, 0, 4, 0x75, (uint8_t)-19);
}

/* lgdt cs:[]; lidt cs:[]; mov eax, cr0; or al, 1; mov cr0, eax; jmp CS:next */
static uint8_t *put_protected(uint8_t *p, const uint8_t *image)
{
    p = put(PUT(p, 0x66, 0x2e, 0x0f, 0x01, 0x16), TABLES, 2);
    p = put(PUT(p, 0x66, 0x2e, 0x0f, 0x01, 0x1e), TABLES + 6, 2);
    p = PUT(p, 0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, 0xea);
    return put(put(p, (uint16_t)(p + 4 - image), 2), selectors->cs, 2);
}

static void put_snippets(uint8_t *image, uint16_t store)
{
    uint8_t *p = image + CODE;

    for (unsigned n = 0; n < SNIPPETS; n++) {
        Snippet *s = &snippets[n];

        s->before.entry = (uint16_t)(p - image);
        s->before.hashes = n % 8 == 7;
        if (!s->last && !s->undefined && below(3) == 0) {
            put_transfer(s, s->before.entry);
        }
        memcpy(p, s->code, s->size);
        p += s->size;
        memset(p, 0x40, SLED); /* inc ax */
        p = put_jump(p + SLED, image, store);
        memcpy(image + TABLE + n * sizeof(Before), &s->before, sizeof(Before));
    }
    g_assert_cmpint(p - image, <, RESET);
}

static void make_firmware(uint8_t *image)
{
    uint8_t *p = image;
    uint16_t next, store, handler, begin;

    memset(image, 0xf4, IMAGE_BYTES);
    next = (uint16_t)(p - image);
    p = put_next(p);
    store = (uint16_t)(p - image);
    p = put_store(p, image, next);
    handler = (uint16_t)(p - image);
    p = put_handler(p, image, store);
    begin = (uint16_t)(p - image);
    p = selectors == &real_mode ? put_vectors(p) : put_protected(p, image);
    p = put_begin(p);
    p = put_segment(p, X86_GS, selectors->gs);
    p = put_jump(put_word(p, NEXT, TABLE), image, next);
    g_assert_cmpint(p - image, <=, STUBS);
    put_stubs(image, handler);
    put_tables(image);
    put_snippets(image, store);
    put(put(PUT(image + RESET, 0xea), begin, 2), real_mode.cs, 2);
}

/* --- running it --- */

static bool run(const char *emulator, const char *accelerator, const char *firmware, After *results)
{
    g_autofree char *path = g_strdup_printf("%s.out", firmware),
                    *out = g_strdup_printf("file:%s", path);
    const char *argv[] = { emulator,
                           "-M",
                           "pc",
                           "-accel",
                           accelerator,
                           "-cpu",
                           "max",
                           "-m",
                           "16",
                           "-nodefaults",
                           "-display",
                           "none",
                           "-no-reboot",
                           "-bios",
                           firmware,
                           "-debugcon",
                           out,
                           "-device",
                           "isa-debug-exit,iobase=0xf4,iosize=1",
                           NULL };
    g_autofree char *content = NULL, *errors = NULL;
    g_autoptr(GError) error = NULL;
    gsize size = 0;
    bool all;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, &errors,
                 NULL, &error);
    g_assert_no_error(error);
    g_file_get_contents(path, &content, &size, NULL);
    unlink(path);
    all = size == SNIPPETS * sizeof(After);
    if (!all) {
        printf("%s told %zu of %zu bytes: %s\n", emulator, (size_t)size, SNIPPETS * sizeof(After),
               errors);
    }
    memset(results, 0, SNIPPETS * sizeof(After));
    memcpy(results, content ? content : "", MIN(size, SNIPPETS * sizeof(After)));
    return all;
}

static void print_snippet(const Snippet *s, const After *q, const After *k)
{
    printf("  %s at %04x:", selectors == &real_mode ? "real" : "protected", s->before.entry);
    for (unsigned i = 0; i < s->size; i++) {
        printf(" %02x", s->code[i]);
    }
    printf("\n  before");
    for (unsigned i = 0; i < 8; i++) {
        printf(" %08x", s->before.gpr[i]);
    }
    printf(" flags %08x (undefined %03x)\n", s->before.flags, s->undefined);
    for (const After *a = q; a; a = a == q ? k : NULL) {
        printf("  %-6s", a == q ? "qemu" : "got");
        for (unsigned i = 0; i < 8; i++) {
            printf(" %08x", a->gpr[i]);
        }
        printf(" flags %08x es %04x ss %04x ds %04x fs %04x hash %08x", a->flags, a->es, a->ss,
               a->ds, a->fs, a->hash);
        printf(" vector %d error %04x at %04x:%04x flags %04x\n", a->vector - 1, a->error, a->cs,
               a->ip, a->pushed_flags);
    }
}

static bool differs(const Snippet *s, const After *q, const After *k)
{
    After a = *q, b = *k;

    a.flags &= ~s->undefined;
    b.flags &= ~s->undefined;
    return memcmp(&a, &b, sizeof a) != 0;
}

/* Memory that differs once does so from then on: the first one tells, or one of the seven before. */
static unsigned compare(const After *q, const After *k, unsigned *exceptions)
{
    for (unsigned n = 0; n < SNIPPETS; n++) {
        *exceptions += q[n].vector != 0;
        if (differs(&snippets[n], &q[n], &k[n])) {
            print_snippet(&snippets[n], &q[n], &k[n]);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    static After in_qemu[SNIPPETS], here[SNIPPETS];
    unsigned rounds, seed, bad = 0, exceptions = 0;
    g_autofree uint8_t *image = g_malloc(IMAGE_BYTES);
    g_autofree char *path = NULL;
    X86Rig rig;

    if (argc < 6 || access(argv[3], X_OK)) {
        printf("no qemu-system-x86_64 is installed\n");
        return 77;
    }
    rounds = (unsigned)atoi(argv[4]);
    seed = (unsigned)atoi(argv[5]);
    if (!x86_rig_open(&rig, "max", true)) {
        return 77;
    }
    features = rig.cpu;
    path = g_strdup_printf("%s/kaso-snippets-16-%d", g_get_tmp_dir(), (int)getpid());
    for (unsigned round = 0; round < rounds && bad < 20; round++) {
        rng = g_rand_new_with_seed(seed + round);
        selectors = round & 1 ? &protected_mode : &real_mode;
        features->mode = (features->mode & ~(X86_MODE_CODE_BITS | X86_MODE_PROTECTED)) | 1 |
                         (round & 1 ? X86_MODE_PROTECTED : 0);
        for (unsigned n = 0; n < SNIPPETS; n++) {
            make_snippet(&snippets[n]);
        }
        make_firmware(image);
        g_file_set_contents(path, (const char *)image, IMAGE_BYTES, NULL);
        if (run(argv[3], "tcg", path, in_qemu) && run(argv[1], argv[2], path, here)) {
            bad += compare(in_qemu, here, &exceptions);
        } else {
            bad++;
        }
        g_rand_free(rng);
    }
    unlink(path);
    printf("%u snippets, %u of them with exceptions, %u disagree\n", rounds * SNIPPETS, exceptions,
           bad);
    x86_rig_close(&rig);
    return bad != 0;
}
