/* SPDX-License-Identifier: MIT */
/*
 * Constants, identities, and address arithmetic: what is known now is not computed later. Also drops
 * exits that an earlier exit on the same test has made impossible.
 */
#include "accel/tcg/opt/passes.h"
#include "base/bits.h"

enum { MAX_TESTS = 8 };

/* An exit that was not taken: value & mask has been found zero. */
typedef struct {
    IrRef value;
    uint64_t mask;
} Test;

typedef struct {
    IrUnit *unit;
    IrRef replacement[IR_MAX_OPS];
    Test tests[MAX_TESTS];
    unsigned test_count;
} Folder;

static unsigned width_of(IrType type)
{
    return type == IR_I64 ? 64 : 32;
}

static bool is_integer(IrType type)
{
    return type == IR_I32 || type == IR_I64;
}

static bool constant(const Folder *f, IrRef ref, uint64_t *value)
{
    const IrOp *op = &f->unit->ops[ref];

    if (op->opcode != IR_OP_const || !is_integer(op->type)) {
        return false;
    }
    *value = (uint64_t)op->imm & bits_mask(width_of(op->type));
    return true;
}

static void make_constant(IrOp *op, uint64_t value)
{
    IrType type = ir_result_type(op);

    *op = (IrOp){ .opcode = IR_OP_const,
                  .type = type,
                  .imm = (int64_t)(value & bits_mask(width_of(type))) };
}

/* Evaluates an op of constants. */
static bool evaluate(const IrOp *op, uint64_t a, uint64_t b, uint64_t *r)
{
    unsigned width = width_of(op->type), count = b & (width - 1);
    unsigned lsb = (unsigned)op->imm, bits = (unsigned)op->aux;

    switch (op->opcode) {
    case IR_OP_add:
        *r = a + b;
        return true;
    case IR_OP_sub:
        *r = a - b;
        return true;
    case IR_OP_mul:
        *r = a * b;
        return true;
    case IR_OP_and:
        *r = a & b;
        return true;
    case IR_OP_or:
        *r = a | b;
        return true;
    case IR_OP_xor:
        *r = a ^ b;
        return true;
    case IR_OP_andn:
        *r = a & ~b;
        return true;
    case IR_OP_not:
        *r = ~a;
        return true;
    case IR_OP_neg:
        *r = 0 - a;
        return true;
    case IR_OP_shl:
        *r = a << count;
        return true;
    case IR_OP_shr:
        *r = a >> count;
        return true;
    case IR_OP_sar:
        *r = (uint64_t)(bits_sign_extend(a, width) >> count);
        return true;
    case IR_OP_zext:
        *r = a & bits_mask(8u << op->esz);
        return true;
    case IR_OP_sext:
        *r = (uint64_t)bits_sign_extend(a, 8u << op->esz);
        return true;
    case IR_OP_trunc:
        *r = (uint32_t)a;
        return true;
    case IR_OP_ubfx:
        *r = bits_extract(a, lsb, bits);
        return true;
    case IR_OP_sbfx:
        *r = (uint64_t)bits_sign_extend(a >> lsb, bits);
        return true;
    case IR_OP_bfi:
        *r = bits_deposit(a, lsb, bits, b);
        return true;
    }
    return false;
}

/* x op constant = x; returns x. */
static IrRef identity(const IrOp *op, uint64_t b)
{
    uint64_t ones = bits_mask(width_of(op->type));

    switch (op->opcode) {
    case IR_OP_add:
    case IR_OP_sub:
    case IR_OP_or:
    case IR_OP_xor:
    case IR_OP_andn:
        return b == 0 ? op->args[0] : 0;
    case IR_OP_shl:
    case IR_OP_shr:
    case IR_OP_sar:
    case IR_OP_ror:
        return (b & (width_of(op->type) - 1)) == 0 ? op->args[0] : 0;
    case IR_OP_and:
        return b == ones ? op->args[0] : 0;
    case IR_OP_mul:
        return b == 1 ? op->args[0] : 0;
    }
    return 0;
}

/* a + constant of the value of add or sub. */
static bool is_offset(const Folder *f, IrRef ref, IrRef *base, int64_t *offset)
{
    const IrOp *op = &f->unit->ops[ref];
    uint64_t value;

    if ((op->opcode != IR_OP_add && op->opcode != IR_OP_sub) || op->type != IR_I64 || op->sub ||
        !constant(f, op->args[1], &value)) {
        return false;
    }
    *base = op->args[0];
    *offset = op->opcode == IR_OP_add ? (int64_t)value : (int64_t)(0 - value);
    return true;
}

/*
 * The same of a sum of 32 bits that is extended, for an access that wraps around there: a sum of 64 bits that is beyond them
 * is no page's address, and one that is not is the same. Offsets are near, since what wraps takes the slow path.
 */
static bool is_offset32(const Folder *f, IrRef ref, IrRef *base, int64_t *offset)
{
    enum { NEAR = 1 << 20 };
    const IrOp *op = &f->unit->ops[ref];
    uint64_t value;

    if (op->opcode != IR_OP_zext || op->type != IR_I64 || op->esz != 2) {
        return false;
    }
    *offset = 0;
    op = &f->unit->ops[op->args[0]];
    while ((op->opcode == IR_OP_add || op->opcode == IR_OP_sub) && op->type == IR_I32 && !op->sub &&
           constant(f, op->args[1], &value)) {
        *offset += op->opcode == IR_OP_add ? (int32_t)value : -(int64_t)(int32_t)value;
        op = &f->unit->ops[op->args[0]];
    }
    *base = op->args[0];
    return op->opcode == IR_OP_trunc && *offset >= -NEAR && *offset <= NEAR;
}

/* Moves constant parts of an address into the memory op. */
static void fold_address(const Folder *f, IrOp *op)
{
    IrRef base;
    int64_t offset;

    while (is_offset(f, op->args[0], &base, &offset) ||
           (op->sub & IR_MEM_WRAP32 && is_offset32(f, op->args[0], &base, &offset))) {
        int64_t sum = (int64_t)((uint64_t)op->imm + (uint64_t)offset);

        if (sum < INT32_MIN / 2 || sum > INT32_MAX / 2) {
            break;
        }
        op->args[0] = base;
        op->imm = sum;
    }
}

static bool fold_constant_operands(Folder *f, unsigned i)
{
    IrOp *op = &f->unit->ops[i];
    unsigned args = ir_op_info[op->opcode].args;
    uint64_t a = 0, b = 0, r;
    bool has_a = constant(f, op->args[0], &a);
    bool has_b = args == 1 || constant(f, op->args[1], &b);
    IrRef same;

    if (!is_integer(op->type) || (ir_op_info[op->opcode].effects != IR_PURE)) {
        return false;
    }
    if (has_a && has_b && (args == 1 || args == 2) && !op->sub && evaluate(op, a, b, &r)) {
        make_constant(op, r);
        return true;
    }
    if (args == 2 && has_b && (same = identity(op, b))) {
        f->replacement[i] = same;
        opt_remove(op);
        return true;
    }
    return false;
}

/* pc + constant; (x + c) + d. */
static void fold_sum(Folder *f, IrOp *op)
{
    const IrOp *base = &f->unit->ops[op->args[0]];
    uint64_t value;

    if (op->type == IR_I64 && !op->sub && base->opcode == IR_OP_pc &&
        constant(f, op->args[1], &value)) {
        *op = (IrOp){ .opcode = IR_OP_pc,
                      .type = IR_I64,
                      .imm = (int64_t)((uint64_t)base->imm +
                                       (op->opcode == IR_OP_add ? value : 0 - value)) };
    }
}

/* Whether the bits above the low 8 << esz of a vector value are zero already. */
static bool is_zero_extended(const IrOp *op, unsigned esz)
{
    switch (op->opcode) {
    case IR_OP_ld:
    case IR_OP_ldraw:
    case IR_OP_vzext:
        return op->type == IR_V128 && op->esz <= esz;
    case IR_OP_fop:
        return op->var && op->esz <= esz && op->type == IR_V128 &&
               (op->sub == IR_FROM_S || op->sub == IR_FROM_U || op->sub == IR_FROUND);
    case IR_OP_vhigh:
        return esz == 3;
    }
    return false;
}

/* Whether the bits above the low 8 << esz of an integer are zero already. */
static bool is_narrow(const Folder *f, IrRef ref, unsigned esz)
{
    const IrOp *op = &f->unit->ops[ref];
    uint64_t mask;

    switch (op->opcode) {
    case IR_OP_ld:
    case IR_OP_ldraw:
        return op->esz <= esz && !(op->sub & IR_MEM_SIGNED);
    case IR_OP_zext:
        return op->esz <= esz;
    case IR_OP_ubfx:
        return (unsigned)op->aux <= 8u << esz;
    case IR_OP_and:
        return !op->sub && constant(f, op->args[1], &mask) && !(mask & ~bits_mask(8u << esz));
    case IR_OP_cset:
        return true;
    }
    return false;
}

/* An extension of what is extended. */
static void fold_zext(Folder *f, unsigned i)
{
    IrOp *op = &f->unit->ops[i];

    if (ir_result_type(&f->unit->ops[op->args[0]]) == op->type &&
        is_narrow(f, op->args[0], op->esz)) {
        f->replacement[i] = op->args[0];
        opt_remove(op);
    } else {
        fold_constant_operands(f, i);
    }
}

/* The low half of what is an extension of it. */
static void fold_trunc(Folder *f, unsigned i)
{
    IrOp *op = &f->unit->ops[i];
    const IrOp *extension = &f->unit->ops[op->args[0]];

    if ((extension->opcode != IR_OP_zext && extension->opcode != IR_OP_sext) ||
        extension->esz < 2) {
        fold_constant_operands(f, i);
    } else if (ir_result_type(&f->unit->ops[extension->args[0]]) == IR_I32) {
        f->replacement[i] = extension->args[0];
        opt_remove(op);
    } else {
        op->args[0] = extension->args[0];
    }
}

/* An exit when (x & mask) != 0, after the same with the same mask: not taken again. */
static void fold_exit(Folder *f, IrOp *op)
{
    const IrOp *test = &f->unit->ops[op->args[0]];
    uint64_t mask;

    if (op->cond != IR_NE || test->opcode != IR_OP_andf || !constant(f, test->args[1], &mask)) {
        return;
    }
    mask &= bits_mask(8u << test->esz);
    for (unsigned i = 0; i < f->test_count; i++) {
        if (f->tests[i].value == test->args[0] && f->tests[i].mask == mask) {
            opt_remove(op);
            return;
        }
    }
    if (f->test_count < MAX_TESTS) {
        f->tests[f->test_count++] = (Test){ test->args[0], mask };
    }
}

static void fold_op(Folder *f, unsigned i)
{
    IrOp *op = &f->unit->ops[i];

    switch (op->opcode) {
    case IR_OP_ld:
    case IR_OP_st:
    case IR_OP_st2:
    case IR_OP_ldchk:
    case IR_OP_cas:
    case IR_OP_amo:
        fold_address(f, op);
        break;
    case IR_OP_exit_if:
        fold_exit(f, op);
        break;
    case IR_OP_vzext:
        if (is_zero_extended(&f->unit->ops[op->args[0]], op->esz)) {
            f->replacement[i] = op->args[0];
            opt_remove(op);
        }
        break;
    case IR_OP_vinslane:
        if (op->args[0] == op->args[1] && op->imm == op->aux) {
            f->replacement[i] = op->args[0];
            opt_remove(op);
        }
        break;
    case IR_OP_zext:
        fold_zext(f, i);
        break;
    case IR_OP_trunc:
        fold_trunc(f, i);
        break;
    case IR_OP_add:
    case IR_OP_sub:
        if (!fold_constant_operands(f, i)) {
            fold_sum(f, op);
        }
        break;
    default:
        fold_constant_operands(f, i);
    }
}

void opt_fold(IrUnit *unit)
{
    Folder f;

    f.unit = unit;
    f.test_count = 0;
    for (unsigned i = 0; i < unit->count; i++) {
        f.replacement[i] = (IrRef)i;
        opt_replace_args(&unit->ops[i], f.replacement);
        fold_op(&f, i);
    }
}
