/* SPDX-License-Identifier: MIT */
/*
 * Accesses to memory whose elements a mask selects (AVX, AVX2): VMASKMOV, VPMASKMOV and gathers. What is not selected is
 * not accessed, and cannot fault.
 */
#include "target/i386/exception.h"
#include "target/i386/segment.h"
#include "target/i386/vector.h"

enum { BYTES = 16 };

/* An instruction's accesses, as an immediate of its helpers. */
typedef union {
    struct {
        uint16_t memory; /* IR_MEM_* */
        uint8_t element; /* bytes */
        uint8_t segment : 4, address_bytes : 4;
        /* Gathers: registers, */
        uint8_t to : 4, index : 4;
        uint8_t mask : 4, count : 4;
        /* and the bytes of an index, and how far it is shifted. */
        uint8_t index_bytes : 4, scale : 4;
    };
    int64_t imm;
} Access;
G_STATIC_ASSERT(sizeof(Access) == sizeof(int64_t));

static Access access_of(X86Translator *t, unsigned element)
{
    Access access = { .imm = 0 };

    access.memory = (uint16_t)(x86_memory_flags(t) & ~(unsigned)IR_MEM_ALIGNED);
    access.element = (uint8_t)element;
    access.segment = x86_segment(t) & 7;
    access.address_bytes = t->insn.address_bytes & 15;
    return access;
}

/* The linear address of `bytes` at an offset in the segment. */
static uint64_t linear(X86Cpu *cpu, Access access, uint64_t offset, unsigned bytes, bool write)
{
    bool code64 = x86_code64(cpu);
    X86SegmentName segment = (X86SegmentName)access.segment;

    offset &= bits_mask(8u * access.address_bytes);
    if (!code64) {
        x86_check_segment(cpu, segment, offset, bytes, write);
        return (uint32_t)(cpu->seg[segment].base + offset);
    }
    return segment < X86_FS ? offset : cpu->seg[segment].base + offset;
}

/* Copies an element to its place in a register. */
static inline void load_element(X86Cpu *cpu, Access access, uint64_t offset, unsigned size,
                                void *to)
{
    uint64_t address = linear(cpu, access, offset, size, false), value;
    const void *host = tcg_known(&cpu->tcg, address, size, false);

    if (!host) {
        value = tcg_load(&cpu->tcg, address, size, access.memory);
        host = &value;
    }
    memcpy(to, host, size);
}

/* --- masked moves ------------------------------------------------------------------------------ */

/* The bytes [*start, *end) are those from the first to the last selected element; false: there is none. */
static bool selected_bytes(V128 mask, Access access, unsigned *start, unsigned *end)
{
    const uint8_t *bytes = (const uint8_t *)&mask;

    *start = BYTES;
    for (unsigned at = 0; at < BYTES; at += access.element) {
        if (bytes[at + access.element - 1] & 0x80) {
            *start = MIN(*start, at);
            *end = at + access.element;
        }
    }
    return *start < BYTES;
}

static bool is_selected(V128 mask, Access access, unsigned at)
{
    return ((const uint8_t *)&mask)[at + access.element - 1] & 0x80;
}

/* Where all that is selected lies on the host, less `start`; NULL: each element is for itself. */
static uint8_t *probe(TcgState *env, uint64_t offset, Access access, unsigned start, unsigned end,
                      bool write)
{
    uint64_t address = linear(x86_cpu_of_env(env), access, offset + start, access.element, write);

    /* A fault is the first element's: only that much is certain to be in its page. */
    if (!x86_code64(x86_cpu_of_env(env)) ||
        ((address + (end - start) - 1) ^ address) & TCG_PAGE_MASK) {
        return NULL;
    }
    return tcg_probe(env, address, end - start, write, access.memory);
}

static V128 helper_masked_load(TcgState *env, uint64_t offset, V128 mask, uint64_t imm)
{
    Access access = { .imm = (int64_t)imm };
    V128 value = { 0 };
    uint8_t *to = (uint8_t *)&value, *host;
    unsigned start, end;

    if (!selected_bytes(mask, access, &start, &end)) {
        return value;
    }
    host = probe(env, offset, access, start, end, false);
    for (unsigned at = start; at < end; at += access.element) {
        if (!is_selected(mask, access, at)) {
            continue;
        }
        if (host) {
            memcpy(to + at, host + (at - start), access.element);
        } else {
            uint64_t address =
                linear(x86_cpu_of_env(env), access, offset + at, access.element, false);
            uint64_t element = tcg_load(env, address, access.element, access.memory);

            memcpy(to + at, &element, access.element);
        }
    }
    return value;
}
static const TcgHelper call_masked_load = { .name = "masked_load",
                                            .function = (void *)helper_masked_load,
                                            .result = IR_V128,
                                            .flags = X86_HELPER_FAULTING | HELPER_IMM,
                                            .arg_types = { IR_I64, IR_V128 } };
TCG_HELPER(call_masked_load);

static void helper_check_masked(TcgState *env, uint64_t offset, V128 mask, uint64_t imm)
{
    Access access = { .imm = (int64_t)imm };

    for (unsigned at = 0; at < BYTES; at += access.element) {
        if (is_selected(mask, access, at)) {
            uint64_t address =
                linear(x86_cpu_of_env(env), access, offset + at, access.element, true);

            tcg_check_store(env, address, access.element, access.memory);
        }
    }
}
static const TcgHelper call_check_masked = { .name = "check_masked",
                                             .function = (void *)helper_check_masked,
                                             .result = IR_VOID,
                                             .flags = X86_HELPER_FAULTING | HELPER_IMM,
                                             .arg_types = { IR_I64, IR_V128 } };
TCG_HELPER(call_check_masked);

static void helper_masked_store(TcgState *env, uint64_t offset, V128 value, V128 mask, uint64_t imm)
{
    Access access = { .imm = (int64_t)imm };
    const uint8_t *from = (const uint8_t *)&value;
    unsigned start, end;
    uint8_t *host;

    if (!selected_bytes(mask, access, &start, &end)) {
        return;
    }
    host = probe(env, offset, access, start, end, true);
    if (!host) {
        helper_check_masked(env, offset, mask, imm);
    }
    for (unsigned at = start; at < end; at += access.element) {
        if (!is_selected(mask, access, at)) {
            continue;
        }
        if (host) {
            memcpy(host + (at - start), from + at, access.element);
        } else {
            uint64_t element = 0;

            memcpy(&element, from + at, access.element);
            tcg_store(env, linear(x86_cpu_of_env(env), access, offset + at, access.element, true),
                      element, access.element, access.memory);
        }
    }
}
static const TcgHelper call_masked_store = { .name = "masked_store",
                                             .function = (void *)helper_masked_store,
                                             .result = IR_VOID,
                                             .flags = X86_HELPER_FAULTING | HELPER_IMM,
                                             .arg_types = { IR_I64, IR_V128, IR_V128 } };
TCG_HELPER(call_masked_store);

static IrRef offset_of_half(X86Translator *t, IrRef offset, unsigned half)
{
    return half ? ir_op2i(t->unit, IR_OP_add, IR_I64, offset, BYTES) : offset;
}

static void masked_load(X86Translator *t, unsigned element)
{
    IrRef offset, mask[2], values[2] = { 0 };

    if (x86_vector_refused(t)) {
        return;
    }
    offset = x86_effective_address(t);
    x86_read_halves(t, 1, false, mask);
    for (unsigned half = 0; half < x86_halves(t); half++) {
        values[half] = x86_vector_op(t, &call_masked_load, offset_of_half(t, offset, half),
                                     mask[half], 0, access_of(t, element).imm);
    }
    x86_write_vector(t, 0, values, false);
}

static void masked_store(X86Translator *t, unsigned element)
{
    int64_t imm = access_of(t, element).imm;
    IrRef offset, mask[2], values[2];

    if (x86_vector_refused(t)) {
        return;
    }
    offset = x86_effective_address(t);
    x86_read_halves(t, 1, false, mask);
    x86_read_halves(t, 2, false, values);
    /* All is checked before anything is written. */
    for (unsigned half = 0; x86_halves(t) == 2 && half < 2; half++) {
        x86_vector_op(t, &call_check_masked, offset_of_half(t, offset, half), mask[half], 0, imm);
    }
    for (unsigned half = 0; half < x86_halves(t); half++) {
        x86_vector_op(t, &call_masked_store, offset_of_half(t, offset, half), values[half],
                      mask[half], imm);
    }
}

X86(vmaskmov_load, "VEX.66.0F38.W0 2C /r", "Vx Hx Mx", "AVX")
X86(vmaskmov_load, "VEX.66.0F38.W0 2D /r", "Vx Hx Mx", "AVX")
X86(vmaskmov_load, "VEX.66.0F38.W0 8C /r", "Vx Hx Mx", "AVX2")
X86(vmaskmov_load, "VEX.66.0F38.W1 8C /r", "Vx Hx Mx", "AVX2")
void x86_vmaskmov_load(X86Translator *t)
{
    masked_load(t, t->insn.vex_w || t->insn.opcode == 0x2d ? 8 : 4);
}

X86(vmaskmov_store, "VEX.66.0F38.W0 2E /r", "Mx Hx Vx", "AVX")
X86(vmaskmov_store, "VEX.66.0F38.W0 2F /r", "Mx Hx Vx", "AVX")
X86(vmaskmov_store, "VEX.66.0F38.W0 8E /r", "Mx Hx Vx", "AVX2")
X86(vmaskmov_store, "VEX.66.0F38.W1 8E /r", "Mx Hx Vx", "AVX2")
void x86_vmaskmov_store(X86Translator *t)
{
    masked_store(t, t->insn.vex_w || t->insn.opcode == 0x2f ? 8 : 4);
}

/* --- gathers ----------------------------------------------------------------------------------- */

/*
 * From the lowest element; each that is done clears its part of the mask, so that what a fault interrupts goes on
 * where it was.
 */
static void gather_each(X86Cpu *cpu, Access access, uint64_t base)
{
    uint8_t *to = (uint8_t *)cpu->xmm[access.to], *mask = (uint8_t *)cpu->xmm[access.mask];
    const uint8_t *indices = (const uint8_t *)cpu->xmm[access.index];
    unsigned size = access.element;

    for (unsigned i = 0; i < access.count; i++) {
        if (mask[size * i + size - 1] & 0x80) {
            uint64_t index = 0;

            memcpy(&index, indices + access.index_bytes * i, access.index_bytes);
            index = (uint64_t)bits_sign_extend(index, 8u * access.index_bytes) << access.scale;
            load_element(cpu, access, base + index, size, to + size * i);
        }
        memset(mask + size * i, 0, size);
    }
}

/*
 * The usual case, in 64-bit mode: a doubleword of the result, whose elements the TLB knows; false: not all of them.
 * size and index_bytes are constants, and nothing is written, so that elements are put together in registers.
 */
static inline __attribute__((always_inline)) bool gather_known(const X86Cpu *cpu, Access access,
                                                               uint64_t base, unsigned size,
                                                               unsigned index_bytes, unsigned n,
                                                               uint64_t *result)
{
    const uint8_t *mask = (const uint8_t *)cpu->xmm[access.mask] + 8 * n;
    const uint8_t *indices = (const uint8_t *)cpu->xmm[access.index] + index_bytes * (8 / size) * n;
    uint64_t value = cpu->xmm[access.to][n / 2][n % 2];

    for (unsigned i = 0; i < 8 / size; i++) {
        uint64_t index = 0, element = 0;
        const void *host;

        if (!(mask[size * i + size - 1] & 0x80)) {
            continue;
        }
        memcpy(&index, indices + index_bytes * i, index_bytes);
        index = (uint64_t)bits_sign_extend(index, 8 * index_bytes) << access.scale;
        host = tcg_known(&cpu->tcg, base + index, size, false);
        if (!host) {
            return false;
        }
        memcpy(&element, host, size);
        value = (value & ~(bits_mask(8 * size) << 32 * i)) | element << 32 * i;
    }
    *result = value;
    return true;
}

static inline __attribute__((always_inline)) bool
gather_all(X86Cpu *cpu, Access access, uint64_t base, unsigned size, unsigned index_bytes)
{
    unsigned doublewords = size * access.count / 8;
    uint64_t a, b = 0, c = 0, d = 0;

    if (!gather_known(cpu, access, base, size, index_bytes, 0, &a) ||
        (doublewords > 1 && !gather_known(cpu, access, base, size, index_bytes, 1, &b)) ||
        (doublewords > 2 && (!gather_known(cpu, access, base, size, index_bytes, 2, &c) ||
                             !gather_known(cpu, access, base, size, index_bytes, 3, &d)))) {
        return false;
    }
    cpu->xmm[access.to][0] = (V128){ a, b };
    cpu->xmm[access.to][1] = (V128){ c, d };
    return true;
}

static bool gather_fast(X86Cpu *cpu, Access access, uint64_t base)
{
    if (!x86_code64(cpu) || access.address_bytes != 8) {
        return false;
    }
    base = linear(cpu, access, base, access.element, false);
    if (access.element == 4) {
        return access.index_bytes == 4 ? gather_all(cpu, access, base, 4, 4)
                                       : gather_all(cpu, access, base, 4, 8);
    }
    return access.index_bytes == 4 ? gather_all(cpu, access, base, 8, 4)
                                   : gather_all(cpu, access, base, 8, 8);
}

static void helper_gather(TcgState *env, uint64_t base, uint64_t imm)
{
    Access access = { .imm = (int64_t)imm };
    X86Cpu *cpu = x86_cpu_of_env(env);
    unsigned bytes = access.element * access.count;

    if (!gather_fast(cpu, access, base)) {
        gather_each(cpu, access, base);
        memset((uint8_t *)cpu->xmm[access.to] + bytes, 0, 2 * BYTES - bytes);
    }
    cpu->xmm[access.mask][0] = cpu->xmm[access.mask][1] = (V128){ 0 };
}
static const TcgHelper call_gather = { .name = "gather",
                                       .function = (void *)helper_gather,
                                       .result = IR_VOID,
                                       .flags = X86_HELPER_SYSTEM | HELPER_IMM,
                                       .arg_types = { IR_I64 } };
TCG_HELPER(call_gather);

static void gather(X86Translator *t, unsigned index_bytes)
{
    unsigned element = t->insn.vex_w ? 8 : 4;
    Access access = access_of(t, element);

    if (x86_vector_refused(t)) {
        return;
    }
    access.to = t->insn.operands[0].reg & 15;
    access.index = t->insn.index & 15;
    access.mask = t->insn.vex_register & 15;
    access.index_bytes = index_bytes & 15;
    access.count = (x86_halves(t) * BYTES / MAX(element, index_bytes)) & 15;
    access.scale = t->insn.scale & 15;
    /* What general registers and displacement come to; indices are added by the helper. */
    t->insn.index = -1;
    x86_vector_op(t, &call_gather, x86_effective_address(t), 0, 0, access.imm);
}

X86(vgather_by_32, "VEX.66.0F38 90 vsib", "Vx Mx Hx", "AVX2")
X86(vgather_by_32, "VEX.66.0F38 92 vsib", "Vx Mx Hx", "AVX2")
void x86_vgather_by_32(X86Translator *t)
{
    gather(t, 4);
}

X86(vgather_by_64, "VEX.66.0F38 91 vsib", "Vx Mx Hx", "AVX2")
X86(vgather_by_64, "VEX.66.0F38 93 vsib", "Vx Mx Hx", "AVX2")
void x86_vgather_by_64(X86Translator *t)
{
    gather(t, 8);
}
