/* SPDX-License-Identifier: MIT */
/*
 * String instructions. A repeated one is a helper call for each chunk, up to the end of a page, and a jump to
 * itself: interrupts are taken between chunks, and registers are exact after each.
 */
#include <string.h>

#include "accel/tcg/ir/flags.h"
#include "target/i386/exception.h"
#include "target/i386/io.h"
#include "target/i386/segment.h"
#include "target/i386/translate.h"

typedef enum {
    STRING_MOVS,
    STRING_STOS,
    STRING_LODS,
    STRING_CMPS,
    STRING_SCAS,
    STRING_INS,
    STRING_OUTS
} StringKind;

/* The helper's argument: kind | size log2 << 4 | address bytes << 8 | source segment << 12 | prefix << 16 */
enum { REPEAT_NONE, REPEAT_WHILE_EQUAL, REPEAT_WHILE_NOT_EQUAL };

typedef struct {
    X86Cpu *cpu;
    StringKind kind;
    unsigned size, size_log2; /* bytes of an element */
    uint64_t mask;            /* of addresses: their size */
    X86SegmentName segment;   /* of the source */
    bool code64;
    unsigned repeat;
    unsigned flags; /* for memory accesses */
} String;

static String string_of(X86Cpu *cpu, uint32_t what)
{
    unsigned address_bytes = what >> 8 & 15;
    bool code64 = x86_code64(cpu);

    return (String){
        .cpu = cpu,
        .kind = (StringKind)(what & 15),
        .size = 1u << (what >> 4 & 3),
        .size_log2 = what >> 4 & 3,
        .mask = address_bytes == 8 ? UINT64_MAX : bits_mask(8 * address_bytes),
        .segment = (X86SegmentName)(what >> 12 & 15),
        .code64 = code64,
        .repeat = what >> 16 & 3,
        .flags = (code64 ? 0 : IR_MEM_WRAP32) | (cpu->mode & X86_MODE_ALIGN ? IR_MEM_ALIGNED : 0),
    };
}

static bool has_source(const String *s)
{
    return s->kind == STRING_MOVS || s->kind == STRING_LODS || s->kind == STRING_CMPS ||
           s->kind == STRING_OUTS;
}

static bool has_destination(const String *s)
{
    return s->kind != STRING_LODS && s->kind != STRING_OUTS;
}

static bool writes(const String *s)
{
    return s->kind == STRING_MOVS || s->kind == STRING_STOS || s->kind == STRING_INS;
}

static void set_part(const String *s, unsigned reg, uint64_t value)
{
    uint64_t *r = &s->cpu->gpr[reg];

    /* 32-bit addresses clear the upper half, 16-bit ones keep what is above. */
    *r = s->mask == 0xffff ? (*r & ~s->mask) | (value & s->mask) : value & s->mask;
}

static void advance(const String *s, unsigned reg, uint64_t count)
{
    set_part(s, reg, s->cpu->gpr[reg] + (uint64_t)s->cpu->df * s->size * count);
}

/* The registers after `count` elements. */
static void finish(const String *s, uint64_t count)
{
    if (has_source(s)) {
        advance(s, X86_RSI, count);
    }
    if (has_destination(s)) {
        advance(s, X86_RDI, count);
    }
    if (s->repeat) {
        set_part(s, X86_RCX, s->cpu->gpr[X86_RCX] - count);
    }
}

static uint64_t linear(const String *s, X86SegmentName segment, uint64_t offset)
{
    uint64_t base = s->code64 && segment < X86_FS ? 0 : s->cpu->seg[segment].base;

    return s->code64 ? base + offset : (uint32_t)(base + offset);
}

/*
 * How many of `count` elements from `offset` lie in one page, within the segment's limit and before the address wraps;
 * 0: not even the first, which is for the slow way.
 */
static uint64_t elements_at(const String *s, X86SegmentName segment, uint64_t offset,
                            uint64_t count)
{
    uint64_t in_page = linear(s, segment, offset) & (TCG_PAGE_SIZE - 1);
    uint64_t last = s->code64 ? UINT64_MAX : s->cpu->seg[segment].fast_limit, room;

    last = MIN(last, s->mask);
    if (offset + s->size - 1 > last || in_page + s->size > TCG_PAGE_SIZE) {
        return 0;
    }
    if (s->cpu->df > 0) {
        room = MIN(TCG_PAGE_SIZE - in_page,
                   last - offset == UINT64_MAX ? UINT64_MAX : last - offset + 1) >>
               s->size_log2;
    } else {
        room = (MIN(in_page, offset) >> s->size_log2) + 1;
    }
    return MIN(room, count);
}

/* The lowest host address of `count` elements, or NULL: not plain memory. */
static uint8_t *host_of(const String *s, X86SegmentName segment, uint64_t offset, uint64_t count,
                        bool write)
{
    uint64_t address = linear(s, segment, offset);
    uint64_t bytes = count * s->size;

    if (s->cpu->df < 0) {
        address -= bytes - s->size;
    }
    if (address & (s->size - 1) && s->flags & IR_MEM_ALIGNED) {
        return NULL;
    }
    return tcg_probe(&s->cpu->tcg, address, (unsigned)bytes, write,
                     s->flags & ~(unsigned)IR_MEM_ALIGNED);
}

static uint64_t load_element(const String *s, X86SegmentName segment, uint64_t offset)
{
    if (!s->code64) {
        x86_check_segment(s->cpu, segment, offset, s->size, false);
    }
    return tcg_load(&s->cpu->tcg, linear(s, segment, offset), s->size, s->flags);
}

static void store_element(const String *s, uint64_t offset, uint64_t value)
{
    if (!s->code64) {
        x86_check_segment(s->cpu, X86_ES, offset, s->size, true);
    }
    tcg_store(&s->cpu->tcg, linear(s, X86_ES, offset), value, s->size, s->flags);
}

static uint64_t rsi(const String *s)
{
    return s->cpu->gpr[X86_RSI] & s->mask;
}

static uint64_t rdi(const String *s)
{
    return s->cpu->gpr[X86_RDI] & s->mask;
}

static uint64_t accumulator(const String *s)
{
    return s->cpu->gpr[X86_RAX] & bits_mask(8 * s->size);
}

static void set_accumulator(const String *s, uint64_t value)
{
    uint64_t *rax = &s->cpu->gpr[X86_RAX];

    *rax = s->size >= 4 ? value : (*rax & ~bits_mask(8 * s->size)) | value;
}

/* Flags of a comparison; returns whether the repetition goes on. */
static bool compare(const String *s, uint64_t a, uint64_t b)
{
    uint64_t args[4] = { a, b };

    s->cpu->flags = ir_compute_flags(IR_OP_subf, (unsigned)__builtin_ctz(s->size), IR_BORROW, args);
    return (a == b) == (s->repeat == REPEAT_WHILE_EQUAL);
}

/* One element, the slow way. Returns whether a repetition goes on. */
static bool element(const String *s)
{
    uint16_t port = (uint16_t)s->cpu->gpr[X86_RDX];
    uint64_t value;
    bool more = true;

    switch (s->kind) {
    case STRING_MOVS:
        store_element(s, rdi(s), load_element(s, s->segment, rsi(s)));
        break;
    case STRING_STOS:
        store_element(s, rdi(s), accumulator(s));
        break;
    case STRING_LODS:
        set_accumulator(s, load_element(s, s->segment, rsi(s)));
        break;
    case STRING_CMPS:
        value = load_element(s, s->segment, rsi(s));
        more = compare(s, value, load_element(s, X86_ES, rdi(s)));
        break;
    case STRING_SCAS:
        more = compare(s, accumulator(s), load_element(s, X86_ES, rdi(s)));
        break;
    case STRING_INS:
        /* A fault comes before the port is read. */
        if (!s->code64) {
            x86_check_segment(s->cpu, X86_ES, rdi(s), s->size, true);
        }
        tcg_check_store(&s->cpu->tcg, linear(s, X86_ES, rdi(s)), s->size, s->flags);
        store_element(s, rdi(s), x86_io_read(s->cpu, port, s->size));
        break;
    case STRING_OUTS:
        x86_io_write(s->cpu, port, (uint32_t)load_element(s, s->segment, rsi(s)), s->size);
        break;
    }
    finish(s, 1);
    return more;
}

/* Copies in the order that the direction says, so that overlapping copies repeat a pattern as they should. */
static void copy(const String *s, uint8_t *to, const uint8_t *from, uint64_t count)
{
    uint64_t bytes = count * s->size;
    bool up = s->cpu->df > 0;

    if (to + bytes <= from || from + bytes <= to || (up ? to <= from : to >= from)) {
        memmove(to, from, bytes);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = (up ? i : count - 1 - i) * s->size;

        memmove(to + at, from + at, s->size);
    }
}

static void fill(const String *s, uint8_t *to, uint64_t count)
{
    uint64_t value = accumulator(s);

    if (s->size == 1 || value == 0) {
        memset(to, (int)(value & 0xff), count * s->size);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        memcpy(to + i * s->size, &value, s->size);
    }
}

static uint64_t element_of(const String *s, const uint8_t *bytes, uint64_t count, uint64_t i)
{
    uint64_t value = 0;

    memcpy(&value, bytes + (s->cpu->df > 0 ? i : count - 1 - i) * s->size, s->size);
    return value;
}

/* CMPS and SCAS over memory that is there. Returns whether the repetition goes on. */
static bool search(const String *s, const uint8_t *a, const uint8_t *b, uint64_t count)
{
    uint64_t i = 0, x, y;

    do {
        x = a ? element_of(s, a, count, i) : accumulator(s);
        y = element_of(s, b, count, i);
        i++;
    } while (i < count && (x == y) == (s->repeat == REPEAT_WHILE_EQUAL));
    compare(s, x, y);
    finish(s, i);
    return (x == y) == (s->repeat == REPEAT_WHILE_EQUAL);
}

/* A chunk of plain memory. false: there is none. *more: whether the repetition goes on. */
static bool chunk(const String *s, uint64_t count, bool *more)
{
    uint8_t *from = NULL, *to = NULL;

    if (s->kind == STRING_INS || s->kind == STRING_OUTS || s->kind == STRING_LODS) {
        return false;
    }
    if (has_source(s)) {
        count = elements_at(s, s->segment, rsi(s), count);
    }
    count = elements_at(s, X86_ES, rdi(s), count);
    if (count < 2) {
        return false;
    }
    if (has_source(s)) {
        from = host_of(s, s->segment, rsi(s), count, false);
    }
    to = host_of(s, X86_ES, rdi(s), count, writes(s));
    if (!to || (has_source(s) && !from)) {
        return false;
    }
    *more = true;
    if (!writes(s)) {
        *more = search(s, from, to, count);
        return true;
    }
    if (s->kind == STRING_MOVS) {
        copy(s, to, from, count);
    } else {
        fill(s, to, count);
    }
    finish(s, count);
    return true;
}

/* Returns whether there is more to do: the instruction is then executed again. */
static uint32_t helper_string(TcgState *env, uint32_t what)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    String s = string_of(cpu, what);
    uint64_t count = cpu->gpr[X86_RCX] & s.mask;
    bool more;

    if (!s.repeat) {
        element(&s);
        return 0;
    }
    if (count == 0) {
        return 0;
    }
    /* A single step stops after each element. */
    if ((cpu->eflags & EFLAGS_TF) || cpu->alone || !chunk(&s, count, &more)) {
        more = element(&s);
    }
    return more && (cpu->gpr[X86_RCX] & s.mask);
}
X86_HELPER(string, IR_I32, X86_HELPER_SYSTEM, IR_I32);

static void by_helper(X86Translator *t, StringKind kind, unsigned bytes)
{
    X86SegmentName segment = t->insn.segment >= 0 ? (X86SegmentName)t->insn.segment : X86_DS;
    unsigned repeat = t->insn.rep == 0xf3   ? REPEAT_WHILE_EQUAL
                      : t->insn.rep == 0xf2 ? REPEAT_WHILE_NOT_EQUAL
                                            : REPEAT_NONE;
    unsigned what = (unsigned)kind | x86_log2(bytes) << 4 | (unsigned)t->insn.address_bytes << 8 |
                    (unsigned)segment << 12 | repeat << 16;
    IrRef more = x86_call(t, &call_string, x86_const(t, 4, what), 0, 0, 0);

    if (repeat) {
        ir_exit_if(t->unit, IR_NE, ir_flags(t->unit, IR_OP_andf, IR_I32, 2, 0, more, more, 0),
                   t->offset);
        t->side_exits++;
    }
}

/* Without a prefix, and where segments are flat, they are plain loads and stores. */
static bool is_simple(const X86Translator *t)
{
    return !t->insn.rep && t->insn.address_bytes != 2 &&
           (x86_is_code64(t) ? t->insn.address_bytes == 8 && t->insn.segment < 0
                             : (t->mode & X86_MODE_FLAT_DATA) && t->insn.segment < X86_FS &&
                                   t->insn.segment != X86_CS);
}

static void step(X86Translator *t, unsigned reg, unsigned bytes)
{
    IrRef df = ir_get(t->unit, X86_VAR_DF, IR_I64);
    IrRef by = ir_op2i(t->unit, IR_OP_shl, IR_I64, df, x86_log2(bytes));
    IrRef moved = ir_op2(t->unit, IR_OP_add, IR_I64, x86_get_reg64(t, reg), by);

    x86_set_reg64(t, reg, t->insn.address_bytes == 8 ? moved : x86_zext(t, 4, moved));
}

static IrRef load_at(X86Translator *t, unsigned reg, unsigned bytes)
{
    return x86_load(t, bytes, x86_get_reg64(t, reg), 0);
}

static unsigned size_of(const X86Translator *t)
{
    return t->insn.opcode & 1 ? t->insn.operand_bytes : 1;
}

X86(movs, "A4")
X86(movs, "A5")
void x86_movs(X86Translator *t)
{
    unsigned bytes = size_of(t);

    if (!is_simple(t)) {
        by_helper(t, STRING_MOVS, bytes);
        return;
    }
    x86_store(t, bytes, x86_get_reg64(t, X86_RDI), 0, load_at(t, X86_RSI, bytes));
    step(t, X86_RSI, bytes);
    step(t, X86_RDI, bytes);
}

X86(stos, "AA")
X86(stos, "AB")
void x86_stos(X86Translator *t)
{
    unsigned bytes = size_of(t);

    if (!is_simple(t)) {
        by_helper(t, STRING_STOS, bytes);
        return;
    }
    x86_store(t, bytes, x86_get_reg64(t, X86_RDI), 0, x86_get_reg(t, X86_RAX, bytes));
    step(t, X86_RDI, bytes);
}

X86(lods, "AC")
X86(lods, "AD")
void x86_lods(X86Translator *t)
{
    unsigned bytes = size_of(t);

    if (!is_simple(t)) {
        by_helper(t, STRING_LODS, bytes);
        return;
    }
    x86_set_reg(t, X86_RAX, bytes, load_at(t, X86_RSI, bytes));
    step(t, X86_RSI, bytes);
}

static void set_compared(X86Translator *t, unsigned bytes, IrRef a, IrRef b)
{
    x86_set_flags(
        t, ir_flags(t->unit, IR_OP_subf, x86_type(bytes), x86_log2(bytes), IR_BORROW, a, b, 0));
}

X86(cmps, "A6")
X86(cmps, "A7")
void x86_cmps(X86Translator *t)
{
    unsigned bytes = size_of(t);
    IrRef a, b;

    if (!is_simple(t)) {
        by_helper(t, STRING_CMPS, bytes);
        return;
    }
    a = load_at(t, X86_RSI, bytes);
    b = load_at(t, X86_RDI, bytes);
    step(t, X86_RSI, bytes);
    step(t, X86_RDI, bytes);
    set_compared(t, bytes, a, b);
}

X86(scas, "AE")
X86(scas, "AF")
void x86_scas(X86Translator *t)
{
    unsigned bytes = size_of(t);
    IrRef b;

    if (!is_simple(t)) {
        by_helper(t, STRING_SCAS, bytes);
        return;
    }
    b = load_at(t, X86_RDI, bytes);
    step(t, X86_RDI, bytes);
    set_compared(t, bytes, x86_get_reg(t, X86_RAX, bytes), b);
}

static void port_string(X86Translator *t, StringKind kind)
{
    unsigned bytes = t->insn.opcode & 1 ? MIN(t->insn.operand_bytes, 4) : 1;

    x86_check_io(t, x86_get_reg64(t, X86_RDX), bytes);
    by_helper(t, kind, bytes);
}

X86(ins, "6C")
X86(ins, "6D")
void x86_ins(X86Translator *t)
{
    port_string(t, STRING_INS);
}

X86(outs, "6E")
X86(outs, "6F")
void x86_outs(X86Translator *t)
{
    port_string(t, STRING_OUTS);
}
