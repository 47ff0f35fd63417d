/* SPDX-License-Identifier: MIT */
/* DWARF expressions; see the header. */
#include "debug/dwarf/evaluate.h"

enum { STACK_MAX = 64, STEPS_MAX = 10000, DEPTH_MAX = 4 };

typedef struct {
    DwarfFrame *frame;
    DwarfUnit *unit;
    DwarfCursor c;
    const uint8_t *start;
    uint64_t stack[STACK_MAX];
    unsigned count;
    bool wrong;
    DwarfLocationKind kind; /* of what is on top */
    unsigned reg;
    /* Pieces so far. */
    DwarfLocation whole;
    bool pieces;
} Evaluation;

static void push(Evaluation *e, uint64_t value)
{
    if (e->count == STACK_MAX) {
        e->wrong = true;
    } else {
        e->stack[e->count++] = value;
    }
}

static uint64_t pop(Evaluation *e)
{
    if (!e->count) {
        e->wrong = true;
        return 0;
    }
    return e->stack[--e->count];
}

static uint64_t pick(Evaluation *e, unsigned from_top)
{
    if (from_top >= e->count) {
        e->wrong = true;
        return 0;
    }
    return e->stack[e->count - 1 - from_top];
}

static unsigned word_of(const Evaluation *e)
{
    return e->frame->dwarf->elf.wide ? 8 : 4;
}

static uint64_t register_value(Evaluation *e, uint64_t number)
{
    if (number >= DWARF_REGISTERS || !e->frame->registers.known[number]) {
        e->wrong = true;
        return 0;
    }
    return e->frame->registers.value[number];
}

static void load(Evaluation *e, unsigned size)
{
    uint64_t address = pop(e), value = 0;

    if (size > 8 || !e->frame->read || !e->frame->read(e->frame->opaque, address, &value, size)) {
        e->wrong = true;
    }
    push(e, value);
}

/* The function's frame base, which is an expression of its own: a register's name stands for its value. */
static uint64_t frame_base(Evaluation *e)
{
    DwarfFrame *frame = e->frame;
    DwarfLocation location = { LOCATION_NONE };
    bool ok = false;

    if (frame->base && frame->depth < DEPTH_MAX) {
        frame->depth++;
        ok = dwarf_evaluate(frame, frame->base, frame->base_size, NULL, &location);
        frame->depth--;
    }
    if (ok && location.kind == LOCATION_REGISTER) {
        return register_value(e, location.address);
    }
    e->wrong |= !ok || location.kind != LOCATION_MEMORY;
    return location.address;
}

static void binary(Evaluation *e, unsigned opcode)
{
    unsigned bits = 8 * word_of(e);
    uint64_t b = pop(e), a = pop(e), value = 0;
    int64_t x = bits_sign_extend(a, bits), y = bits_sign_extend(b, bits);

    switch (opcode) {
    case 0x1a:
        value = a & b;
        break;
    case 0x1b: /* div, signed */
    case 0x1d: /* mod */
        if (!b) {
            e->wrong = true;
        } else if (opcode == 0x1d) {
            value = a % b;
        } else {
            value = y == -1 ? -a : (uint64_t)(x / y);
        }
        break;
    case 0x1c:
        value = a - b;
        break;
    case 0x1e:
        value = a * b;
        break;
    case 0x21:
        value = a | b;
        break;
    case 0x22:
        value = a + b;
        break;
    case 0x24:
        value = b < 64 ? a << b : 0;
        break;
    case 0x25:
        value = b < 64 ? a >> b : 0;
        break;
    case 0x26:
        value = (uint64_t)(x >> MIN(b, 63));
        break;
    case 0x27:
        value = a ^ b;
        break;
    case 0x29:
        value = x == y;
        break;
    case 0x2a:
        value = x >= y;
        break;
    case 0x2b:
        value = x > y;
        break;
    case 0x2c:
        value = x <= y;
        break;
    case 0x2d:
        value = x < y;
        break;
    case 0x2e:
        value = x != y;
        break;
    default:
        e->wrong = true;
    }
    push(e, value & bits_mask(bits));
}

static void unary(Evaluation *e, unsigned opcode)
{
    unsigned bits = 8 * word_of(e);
    uint64_t a = pop(e);

    switch (opcode) {
    case 0x19:
        a = bits_sign_extend(a, bits) < 0 ? -a : a;
        break;
    case 0x1f:
        a = -a;
        break;
    case 0x20:
        a = ~a;
        break;
    default:
        a += dwarf_uleb(&e->c); /* plus_uconst */
    }
    push(e, a & bits_mask(bits));
}

/* Constants of 1, 2, 4, 8 bytes, unsigned and signed by turns. */
static void constant(Evaluation *e, unsigned opcode)
{
    unsigned size = 1u << ((opcode - 0x08) / 2);
    uint64_t value = dwarf_number(&e->c, size);

    push(e, opcode & 1 ? (uint64_t)bits_sign_extend(value, 8 * size) : value);
}

static void shuffle(Evaluation *e, unsigned opcode)
{
    uint64_t a, b, c;

    switch (opcode) {
    case 0x12: /* dup */
        push(e, pick(e, 0));
        break;
    case 0x13: /* drop */
        pop(e);
        break;
    case 0x14: /* over */
        push(e, pick(e, 1));
        break;
    case 0x15: /* pick */
        push(e, pick(e, dwarf_u8(&e->c)));
        break;
    case 0x16: /* swap */
        a = pop(e);
        b = pop(e);
        push(e, a);
        push(e, b);
        break;
    default: /* rot: the top becomes the third */
        a = pop(e);
        b = pop(e);
        c = pop(e);
        push(e, a);
        push(e, c);
        push(e, b);
    }
}

static void jump(Evaluation *e, bool taken)
{
    int64_t distance = (int16_t)dwarf_number(&e->c, 2);
    int64_t at = e->c.at - e->start + distance;

    if (!taken) {
        return;
    }
    if (at < 0 || at > e->c.end - e->start) {
        e->wrong = true;
    } else {
        e->c.at = e->start + at;
    }
}

/* What stands alone, or as a piece, has no place in memory. */
static void set_register(Evaluation *e, uint64_t number)
{
    e->kind = LOCATION_REGISTER;
    e->reg = (unsigned)MIN(number, DWARF_REGISTERS);
    e->wrong |= number >= DWARF_REGISTERS || !e->frame->registers.known[number];
}

static void append(DwarfLocation *whole, const void *bytes, uint64_t size)
{
    size = MIN(size, DWARF_VALUE_BYTES_MAX - whole->size);
    if (bytes) {
        memcpy(whole->bytes + whole->size, bytes, size);
    }
    whole->size += (unsigned)size;
}

/* The bytes of what is on top now, at most so many, into what was gathered. */
static void take_piece(Evaluation *e, uint64_t size)
{
    uint8_t bytes[DWARF_VALUE_BYTES_MAX] = { 0 };
    uint64_t value;

    size = MIN(size, DWARF_VALUE_BYTES_MAX);
    switch (e->kind) {
    case LOCATION_REGISTER:
        value = e->wrong ? 0 : e->frame->registers.value[e->reg];
        memcpy(bytes, &value, 8);
        break;
    case LOCATION_VALUE:
        value = pop(e);
        memcpy(bytes, &value, 8);
        break;
    default:
        value = e->count ? pop(e) : 0;
        e->wrong |= !e->frame->read || !e->frame->read(e->frame->opaque, value, bytes, size);
    }
    append(&e->whole, bytes, size);
    e->pieces = true;
    e->kind = LOCATION_MEMORY;
}

static void own_address(Evaluation *e, uint64_t own)
{
    push(e, e->frame->to_guest ? e->frame->to_guest(e->frame->opaque, own) : own);
}

static void indexed_address(Evaluation *e, bool address)
{
    uint64_t value = 0;

    e->wrong |= !e->unit || !dwarf_unit_address(e->unit, dwarf_uleb(&e->c), &value);
    if (address) {
        own_address(e, value);
    } else {
        push(e, value);
    }
}

/* Operations by their number: of registers, frames and values. */
static void special(Evaluation *e, unsigned opcode)
{
    uint64_t number, size;
    const uint8_t *bytes;

    switch (opcode) {
    case 0x03:
        own_address(e, dwarf_number(&e->c, word_of(e)));
        break;
    case 0x06:
        load(e, word_of(e));
        break;
    case 0x10:
        push(e, dwarf_uleb(&e->c));
        break;
    case 0x11:
        push(e, (uint64_t)dwarf_sleb(&e->c));
        break;
    case 0x28: /* bra */
        jump(e, pop(e));
        break;
    case 0x2f: /* skip */
        jump(e, true);
        break;
    case 0x90:
        set_register(e, dwarf_uleb(&e->c));
        break;
    case 0x91: /* fbreg */
        number = frame_base(e);
        push(e, number + (uint64_t)dwarf_sleb(&e->c));
        break;
    case 0x92:
        number = register_value(e, dwarf_uleb(&e->c));
        push(e, number + (uint64_t)dwarf_sleb(&e->c));
        break;
    case 0x93:
        take_piece(e, dwarf_uleb(&e->c));
        break;
    case 0x94:
        load(e, dwarf_u8(&e->c));
        break;
    case 0x96: /* nop */
        break;
    case 0x9c: /* call_frame_cfa */
        e->wrong |= !e->frame->has_cfa;
        push(e, e->frame->cfa);
        break;
    case 0x9e: /* implicit_value */
        size = dwarf_uleb(&e->c);
        bytes = dwarf_take(&e->c, size);
        if (bytes) {
            append(&e->whole, bytes, size);
            e->pieces = true;
        }
        break;
    case 0x9f: /* stack_value */
        e->kind = LOCATION_VALUE;
        break;
    case 0xa1: /* addrx, constx */
    case 0xa2:
    case 0xfb: /* the same in GNU's split files before DWARF 5 */
    case 0xfc:
        indexed_address(e, opcode == 0xa1 || opcode == 0xfb);
        break;
    default: /* values at the entry, of other variables, typed ones */
        e->wrong = true;
    }
}

static void step(Evaluation *e)
{
    unsigned opcode = dwarf_u8(&e->c);

    if (opcode >= 0x30 && opcode <= 0x4f) {
        push(e, opcode - 0x30);
    } else if (opcode >= 0x50 && opcode <= 0x6f) {
        set_register(e, opcode - 0x50);
    } else if (opcode >= 0x70 && opcode <= 0x8f) {
        uint64_t base = register_value(e, opcode - 0x70);

        push(e, base + (uint64_t)dwarf_sleb(&e->c));
    } else if (opcode >= 0x08 && opcode <= 0x0f) {
        constant(e, opcode);
    } else if (opcode >= 0x12 && opcode <= 0x17) {
        shuffle(e, opcode);
    } else if (opcode == 0x19 || opcode == 0x1f || opcode == 0x20 || opcode == 0x23) {
        unary(e, opcode);
    } else if (opcode >= 0x1a && opcode <= 0x2e && opcode != 0x28) {
        binary(e, opcode);
    } else {
        special(e, opcode);
    }
}

static bool finish(Evaluation *e, DwarfLocation *location)
{
    if (e->wrong || e->c.wrong) {
        return false;
    }
    *location = e->whole;
    if (e->pieces) {
        location->kind = LOCATION_VALUE;
        return true;
    }
    location->kind = e->kind;
    if (e->kind == LOCATION_REGISTER) {
        location->address = e->reg;
        memcpy(location->bytes, &e->frame->registers.value[e->reg], 8);
        location->size = 8;
        return true;
    }
    if (!e->count) {
        return false;
    }
    location->address = e->stack[e->count - 1];
    if (e->kind == LOCATION_VALUE) {
        memcpy(location->bytes, &location->address, 8);
        location->size = 8;
    }
    return true;
}

bool dwarf_evaluate(DwarfFrame *frame, const uint8_t *bytes, uint64_t size, const uint64_t *start,
                    DwarfLocation *location)
{
    Evaluation e = { .frame = frame,
                     .unit = frame->unit,
                     .c = dwarf_cursor(bytes, size),
                     .start = bytes,
                     .kind = LOCATION_MEMORY };

    if (start) {
        push(&e, *start);
    }
    for (unsigned i = 0; dwarf_left(&e.c) && !e.wrong; i++) {
        e.wrong |= i == STEPS_MAX;
        step(&e);
    }
    return finish(&e, location);
}

bool dwarf_evaluate_number(DwarfFrame *frame, const uint8_t *bytes, uint64_t size,
                           const uint64_t *start, uint64_t *number)
{
    DwarfLocation location;

    if (!dwarf_evaluate(frame, bytes, size, start, &location) || location.kind != LOCATION_MEMORY) {
        return false;
    }
    *number = location.address;
    return true;
}
