/* SPDX-License-Identifier: MIT */
/*
 * The reference interpreter. It is written for clarity: it says what each op means, and everything
 * else is tested against it.
 */
#include "accel/tcg/ir/interpret.h"

#include <string.h>

#include "accel/tcg/ir/interpret-vector.h"

typedef struct {
    const IrUnit *unit;
    TcgState *env;
    const HostRuntime *runtime;
    IrValue *values;
} Interpreter;

/* Calls with every argument register class filled: unused ones are ignored by the callee (SysV). */
typedef uint64_t IntegerCall(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, V128, V128,
                             V128, V128);
typedef V128 VectorCall(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, V128, V128,
                        V128, V128);

static IrValue call_helper(Interpreter *in, const IrOp *op, const TcgHelper *helper, bool pass_imm)
{
    unsigned first = op->opcode == IR_OP_call_if;
    uint64_t ints[6] = { 0 };
    V128 vectors[4] = { { 0 } };
    unsigned int_count = 0, vector_count = 0;
    IrValue result = { 0 };

    if (helper->flags & HELPER_ENV) {
        ints[int_count++] = (uintptr_t)in->env;
    }
    for (unsigned i = first; i < 4 && op->args[i]; i++) {
        const IrValue *value = &in->values[op->args[i]];

        if (ir_result_type(&in->unit->ops[op->args[i]]) == IR_V128) {
            vectors[vector_count++] = value->v;
        } else {
            ints[int_count++] = value->i;
        }
    }
    if (pass_imm) {
        ints[int_count++] = (uint64_t)op->imm;
    }
    if (helper->result == IR_V128) {
        result.v =
            ((VectorCall *)helper->function)(ints[0], ints[1], ints[2], ints[3], ints[4], ints[5],
                                             vectors[0], vectors[1], vectors[2], vectors[3]);
    } else {
        result.i =
            ((IntegerCall *)helper->function)(ints[0], ints[1], ints[2], ints[3], ints[4], ints[5],
                                              vectors[0], vectors[1], vectors[2], vectors[3]);
        result.i &= helper->result == IR_I32     ? UINT32_MAX
                    : helper->result == IR_FLAGS ? UINT16_MAX
                                                 : UINT64_MAX;
    }
    return result;
}

static uint64_t divide_signed(uint64_t a, uint64_t b, unsigned width)
{
    int64_t x = bits_sign_extend(a, width), y = bits_sign_extend(b, width);

    if (y == 0) {
        return 0;
    }
    return y == -1 ? 0 - (uint64_t)x : (uint64_t)(x / y);
}

static uint64_t reverse_bits(uint64_t value, unsigned width)
{
    uint64_t result = 0;

    for (unsigned i = 0; i < width; i++) {
        result |= (value >> i & 1) << (width - 1 - i);
    }
    return result;
}

static uint64_t reverse_bytes(uint64_t value, unsigned group, unsigned width)
{
    uint64_t result = 0;

    for (unsigned i = 0; i < width / 8; i++) {
        result |= (value >> 8 * i & 0xff) << 8 * (i ^ (group - 1));
    }
    return result;
}

static unsigned leading_zeros(uint64_t value, unsigned width)
{
    return value ? (unsigned)__builtin_clzll(value) - (64 - width) : width;
}

static uint64_t rotate_left(uint64_t value, unsigned count, unsigned width)
{
    count &= width - 1;
    return count ? value << count | (value & bits_mask(width)) >> (width - count) : value;
}

/* With the carry as one more bit above the value. */
static uint64_t rotate_through_carry(const IrOp *op, uint64_t value, unsigned count, bool carry,
                                     unsigned width)
{
    bool left = op->opcode == IR_OP_rcl;

    for (unsigned i = 0; i < count % (width + 1); i++) {
        bool out = left ? value >> (width - 1) & 1 : value & 1;

        value = left ? (value << 1 | carry) & bits_mask(width)
                     : value >> 1 | (uint64_t)carry << (width - 1);
        carry = out;
    }
    return value;
}

/* Ops with three arguments: c is a count, or flags. */
static uint64_t integer_op3(const IrOp *op, uint64_t a, uint64_t b, uint64_t c, unsigned width)
{
    unsigned mask = width == 64 ? 63 : 31, count = (unsigned)c & mask;
    bool carry = c & TCG_FLAG_C;

    switch (op->opcode) {
    case IR_OP_adc:
        return a + b + carry;
    case IR_OP_sbc:
        return op->sub & IR_BORROW ? a - b - carry : a + ~b + carry;
    case IR_OP_shld:
        return count ? a << count | b >> (count < width ? width - count : 0) : a;
    case IR_OP_shrd:
        return count ? a >> count | b << (count < width ? width - count : 0) : a;
    default:
        return rotate_through_carry(op, a, (unsigned)b & mask, carry, width);
    }
}

static uint64_t integer_op(const IrOp *op, uint64_t a, uint64_t b, unsigned width)
{
    unsigned count = b & (width == 64 ? 63 : 31), shift = b & (width - 1);
    unsigned lsb = (unsigned)op->imm, bits = (unsigned)op->aux;
    int64_t signed_a = bits_sign_extend(a, width);

    switch (op->opcode) {
    case IR_OP_add:
        return a + b;
    case IR_OP_sub:
        return a - b;
    case IR_OP_mul:
        return a * b;
    case IR_OP_mulhs:
        return width == 64 ? (uint64_t)(((__int128)(int64_t)a * (int64_t)b) >> 64)
                           : (uint64_t)((signed_a * bits_sign_extend(b, 32)) >> 32);
    case IR_OP_mulhu:
        return width == 64 ? (uint64_t)(((unsigned __int128)a * b) >> 64) : (a * b) >> 32;
    case IR_OP_divs:
        return divide_signed(a, b, width);
    case IR_OP_divu:
        return b ? a / b : 0;
    case IR_OP_and:
        return a & b;
    case IR_OP_or:
        return a | b;
    case IR_OP_xor:
        return a ^ b;
    case IR_OP_andn:
        return a & ~b;
    case IR_OP_not:
        return ~a;
    case IR_OP_neg:
        return 0 - a;
    case IR_OP_shl:
        return a << count;
    case IR_OP_shr:
        return a >> count;
    case IR_OP_sar:
        return (uint64_t)(signed_a >> count);
    case IR_OP_ror:
        return rotate_left(a, width - shift, width);
    case IR_OP_rol:
        return rotate_left(a, shift, width);
    case IR_OP_extr:
        return lsb ? b >> lsb | a << (width - lsb) : b;
    case IR_OP_clz:
        return leading_zeros(a, width);
    case IR_OP_ctz:
        return a ? (unsigned)__builtin_ctzll(a) : width;
    case IR_OP_cls:
        return leading_zeros((uint64_t)(signed_a ^ (signed_a >> 1)) & bits_mask(width), width) - 1;
    case IR_OP_rbit:
        return reverse_bits(a, width);
    case IR_OP_bswap:
        return reverse_bytes(a, 1u << op->esz, width);
    case IR_OP_popcnt:
        return (unsigned)__builtin_popcountll(a);
    case IR_OP_ubfx:
        return bits_extract(a, lsb, bits);
    case IR_OP_sbfx:
        return (uint64_t)bits_sign_extend(a >> lsb, bits);
    case IR_OP_bfi:
        return bits_deposit(a, lsb, bits, b);
    }
    return 0;
}

/* Operands without the bits above the width; the result, for merges, with them. */
static uint64_t sized_op(const IrOp *op, const IrValue *arg[4])
{
    unsigned width = 8u << ir_op_size(op);
    uint64_t mask = bits_mask(width), a = arg[0]->i & mask, b = arg[1]->i & mask, result;

    if (ir_op_info[op->opcode].args == 3) {
        result = integer_op3(op, a, b, arg[2]->i, width);
    } else {
        result = integer_op(op, a, b, width);
    }
    return width < 32 ? (arg[0]->i & ~mask) | (result & mask) : result;
}

static uint64_t crc32c_step(uint32_t crc, uint64_t data, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        crc ^= (uint8_t)(data >> 8 * i);
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
        }
    }
    return crc;
}

static uint64_t flags_op(Interpreter *in, const IrOp *op, const IrValue *arg[4])
{
    uint64_t a = arg[0]->i, b = arg[1]->i;

    switch (op->opcode) {
    case IR_OP_fconst:
        return ir_const_flags(op);
    case IR_OP_fpack:
        return op->sub & IR_X86 ? tcg_flags_from_eflags((uint32_t)a)
                                : tcg_flags_from_nzcv((uint32_t)a);
    case IR_OP_fsel:
        return ir_cond_holds(op->cond, a) ? b : arg[2]->i;
    case IR_OP_fmerge:
        return (a & ~(uint64_t)op->imm) | (b & (uint64_t)op->imm);
    case IR_OP_fcmp:
        return call_helper(in, op, op->helper, true).i;
    }
    return ir_compute_flags(op->opcode, op->esz, op->sub,
                            (uint64_t[4]){ a, b, arg[2]->i, arg[3]->i });
}

static uint64_t maybe_swap(uint64_t value, unsigned size, unsigned flags)
{
    return flags & IR_MEM_BE ? reverse_bytes(value, size, size * 8) : value;
}

static bool compare_and_swap(void *host, unsigned size, uint64_t *expected, uint64_t value)
{
#define CASE(bytes, type)                                                                          \
    case bytes: {                                                                                  \
        type old = (type)*expected;                                                                \
        bool ok = __atomic_compare_exchange_n((type *)host, &old, (type)value, false,              \
                                              __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                 \
        *expected = old;                                                                           \
        return ok;                                                                                 \
    }
    switch (size) {
        CASE(1, uint8_t)
        CASE(2, uint16_t)
        CASE(4, uint32_t)
        CASE(8, uint64_t)
    }
#undef CASE
    return false;
}

static uint64_t amo_value(IrAmo kind, uint64_t old, uint64_t operand, unsigned size)
{
    int64_t a = bits_sign_extend(old, size * 8), b = bits_sign_extend(operand, size * 8);

    switch (kind) {
    case IR_AMO_ADD:
        return old + operand;
    case IR_AMO_CLR:
        return old & ~operand;
    case IR_AMO_EOR:
        return old ^ operand;
    case IR_AMO_SET:
        return old | operand;
    case IR_AMO_SMAX:
        return a > b ? old : operand;
    case IR_AMO_SMIN:
        return a < b ? old : operand;
    case IR_AMO_UMAX:
        return old > operand ? old : operand;
    case IR_AMO_UMIN:
        return old < operand ? old : operand;
    case IR_AMO_SWP:
        return operand;
    }
    return old;
}

static uint64_t atomic_on_host(const IrOp *op, void *host, const IrValue *arg[4])
{
    unsigned size = 1u << op->esz;
    uint64_t mask = bits_mask(size * 8), old = 0;

    if (op->opcode == IR_OP_amo) {
        uint64_t value;

        memcpy(&old, host, size);
        do {
            value =
                amo_value((IrAmo)op->aux, maybe_swap(old, size, op->sub), arg[1]->i & mask, size);
        } while (!compare_and_swap(host, size, &old, maybe_swap(value & mask, size, op->sub)));
        return maybe_swap(old, size, op->sub) & mask;
    }
    if (op->opcode == IR_OP_stx) {
        old = maybe_swap(arg[3]->i & mask, size, op->sub);
        return !compare_and_swap(host, size, &old, maybe_swap(arg[1]->i & mask, size, op->sub));
    }
    old = maybe_swap(arg[1]->i & mask, size, op->sub);
    compare_and_swap(host, size, &old, maybe_swap(arg[2]->i & mask, size, op->sub));
    return maybe_swap(old, size, op->sub) & mask;
}

static uint64_t atomic_op(Interpreter *in, const IrOp *op, const IrValue *arg[4])
{
    uint64_t address = arg[0]->i + (op->opcode == IR_OP_stx ? 0 : (uint64_t)op->imm), result;
    void *host;

    if (op->opcode == IR_OP_stx && arg[0]->i != arg[2]->i) {
        return 1;
    }
    host = in->runtime->atomic_check(in->env, address, 1u << op->esz, op->sub);
    result = atomic_on_host(op, host, arg);
    if (in->env->exclusive_size) {
        in->runtime->atomic_end(in->env);
    }
    return result;
}

static IrValue read_bytes(const IrOp *op, const void *host)
{
    unsigned size = 1u << op->esz;
    IrValue result = { 0 };

    if (op->type == IR_V128) {
        memcpy(&result.v, host, size);
    } else {
        memcpy(&result.i, host, size);
        result.i = maybe_swap(result.i, size, op->sub);
    }
    return result;
}

static IrValue load_op(Interpreter *in, const IrOp *op, const IrValue *arg[4])
{
    unsigned size = 1u << op->esz;
    uint64_t address = arg[0]->i + (uint64_t)op->imm;
    IrValue result = { 0 };

    switch (op->opcode) {
    case IR_OP_ldchk:
        result.i = (uintptr_t)in->runtime->load_check(in->env, address, (unsigned)op->aux, op->sub);
        return result;
    case IR_OP_ldraw:
        result = read_bytes(op, (const void *)(uintptr_t)address);
        break;
    default:
        if (op->type == IR_V128) {
            result.v = in->runtime->load_vector(in->env, address, size, op->sub);
        } else {
            result.i = in->runtime->load(in->env, address, size, op->sub);
        }
    }
    if (op->type != IR_V128 && size < 8 && (op->sub & IR_MEM_SIGNED)) {
        result.i = (uint64_t)bits_sign_extend(result.i, size * 8);
    }
    return result;
}

static void store_value(Interpreter *in, const IrOp *op, uint64_t address, const IrValue *value)
{
    if (op->type == IR_V128) {
        in->runtime->store_vector(in->env, address, value->v, 1u << op->esz, op->sub);
    } else {
        in->runtime->store(in->env, address, value->i & bits_mask(8u << op->esz), 1u << op->esz,
                           op->sub);
    }
}

static void store_op(Interpreter *in, const IrOp *op, const IrValue *arg[4])
{
    uint64_t address = arg[0]->i + (uint64_t)op->imm;

    switch (op->opcode) {
    case IR_OP_mzero:
        in->runtime->zero(in->env, arg[0]->i & ~((uint64_t)op->imm - 1), (unsigned)op->imm);
        return;
    case IR_OP_fence:
        atomic_thread_fence(memory_order_seq_cst);
        return;
    case IR_OP_st2:
        /* Both are checked before either is written: a fault leaves memory as it was. */
        in->runtime->store_check(in->env, address, 2u << op->esz, op->sub);
        store_value(in, op, address, arg[1]);
        store_value(in, op, address + (1u << op->esz), arg[2]);
        break;
    default:
        store_value(in, op, address, arg[1]);
    }
    if (op->sub & IR_MEM_SC) {
        atomic_thread_fence(memory_order_seq_cst);
    }
}

static uint8_t *variable(Interpreter *in, const IrOp *op)
{
    return (uint8_t *)in->env + in->unit->vars[op->var].offset;
}

static IrValue get_variable(Interpreter *in, const IrOp *op)
{
    static const uint8_t sizes[] = { [IR_I32] = 4, [IR_I64] = 8, [IR_V128] = 16, [IR_FLAGS] = 2 };
    IrValue result = { 0 };

    memcpy(&result, variable(in, op), sizes[in->unit->vars[op->var].type]);
    return result;
}

static void set_variable(Interpreter *in, const IrOp *op, const IrValue *value)
{
    static const uint8_t sizes[] = { [IR_I32] = 4, [IR_I64] = 8, [IR_V128] = 16, [IR_FLAGS] = 2 };

    memcpy(variable(in, op), value, sizes[in->unit->vars[op->var].type]);
}

static IrValue value_op(Interpreter *in, const IrOp *op, const IrValue *arg[4])
{
    IrValue result = { 0 };

    switch (op->opcode) {
    case IR_OP_const:
        result.v = op->type == IR_V128 ? (V128){ (uint64_t)op->imm, (uint64_t)op->imm }
                                       : (V128){ (uint64_t)op->imm, 0 };
        break;
    case IR_OP_vconst:
        result.v = (V128){ (uint64_t)op->imm, (uint64_t)op->aux };
        break;
    case IR_OP_get:
        return get_variable(in, op);
    case IR_OP_pc:
        result.i = in->env->pc_page + (uint64_t)op->imm;
        break;
    case IR_OP_zext:
        result.i = arg[0]->i & bits_mask(8u << op->esz);
        break;
    case IR_OP_sext:
        result.i = (uint64_t)bits_sign_extend(arg[0]->i, 8u << op->esz);
        break;
    case IR_OP_trunc:
        result.i = (uint32_t)arg[0]->i;
        break;
    case IR_OP_funpack:
        result.i = op->sub & IR_X86 ? tcg_flags_to_eflags((uint16_t)arg[0]->i)
                                    : tcg_flags_to_nzcv((uint16_t)arg[0]->i);
        break;
    case IR_OP_cset:
        result.i = ir_cond_holds(op->cond, arg[0]->i);
        break;
    case IR_OP_sel:
        return ir_cond_holds(op->cond, arg[0]->i) ? *arg[1] : *arg[2];
    case IR_OP_crc32c:
        result.i = crc32c_step((uint32_t)arg[0]->i, arg[1]->i, 1u << op->esz);
        break;
    case IR_OP_call:
        return call_helper(in, op, op->helper, op->helper->flags & HELPER_IMM);
    case IR_OP_fop:
        return call_helper(in, op, op->helper, true);
    default:
        result.i = sized_op(op, arg);
    }
    return result;
}

/* Executes one op that does not end the unit; its value is stored by the caller. */
static IrValue execute(Interpreter *in, const IrOp *op, const IrValue *arg[4])
{
    const IrOpInfo *info = &ir_op_info[op->opcode];
    IrValue result = { 0 };

    if (op->opcode == IR_OP_cas || op->opcode == IR_OP_amo || op->opcode == IR_OP_stx) {
        result.i = atomic_op(in, op, arg);
    } else if (info->effects & IR_MEMORY) {
        if (info->result == 'V') {
            store_op(in, op, arg);
        } else {
            result = load_op(in, op, arg);
        }
    } else if (info->result == 'F') {
        result.i = flags_op(in, op, arg);
    } else if (!ir_interpret_vector(op, arg, &result)) {
        result = value_op(in, op, arg);
    }
    if (ir_result_type(op) == IR_I32) {
        result.i = (uint32_t)result.i;
    }
    return result;
}

IrLeft ir_interpret(const IrUnit *unit, TcgState *env, const HostRuntime *runtime)
{
    IrValue *values = env->interpreter_values;
    Interpreter in = { unit, env, runtime, values };

    for (unsigned i = 1; i < unit->count; i++) {
        const IrOp *op = &unit->ops[i];
        const IrValue *arg[4];

        for (unsigned a = 0; a < 4; a++) {
            arg[a] = &values[op->args[a]];
        }
        switch (op->opcode) {
        case IR_OP_nop:
        case IR_OP_push_return:
            break;
        case IR_OP_insn:
            env->pc_offset = (uint32_t)op->imm;
            break;
        case IR_OP_set:
            set_variable(&in, op, arg[0]);
            break;
        case IR_OP_call_if:
            if (ir_cond_holds(op->cond, arg[0]->i)) {
                call_helper(&in, op, op->helper, false);
            }
            break;
        case IR_OP_exit_if:
            if (!ir_cond_holds(op->cond, arg[0]->i)) {
                break;
            }
            tcg_set_pc(env, env->pc_page + (uint64_t)op->imm);
            return IR_LEFT_DIRECT;
        case IR_OP_goto:
            tcg_set_pc(env, env->pc_page + (uint64_t)op->imm);
            return IR_LEFT_DIRECT;
        case IR_OP_goto_ind:
            if (runtime->check_jump) {
                runtime->check_jump(env, arg[0]->i, op->imm);
            }
            tcg_set_pc(env, arg[0]->i);
            env->jump_class = (uint32_t)op->aux;
            return IR_LEFT_INDIRECT;
        case IR_OP_dispatch:
            tcg_set_pc(env, env->pc_page + (uint64_t)op->imm);
            return IR_LEFT_DISPATCH;
        case IR_OP_dispatch_env:
            return IR_LEFT_DISPATCH;
        default:
            values[i] = execute(&in, op, arg);
        }
    }
    return IR_LEFT_DISPATCH;
}
