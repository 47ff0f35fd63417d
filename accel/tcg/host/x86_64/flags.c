/* SPDX-License-Identifier: MIT */
/*
 * Condition flags. A flags value stays in EFLAGS until an instruction would overwrite it; only then
 * does it go to AX, in the memory format, by LAHF and SETO. C is CF or its inverse, depending on what
 * produced it. Comparisons of floats keep UCOMISS's own encoding.
 */
#include "accel/tcg/host/x86_64/emitter.h"

enum { NO_BIT = 0xff };

void emitter_set_eflags(Emitter *e, IrRef flags, EflagsKind kind)
{
    e->eflags = flags;
    e->eflags_kind = (uint8_t)kind;
}

EflagsKind emitter_flags_kind(const IrOp *op)
{
    return (op->opcode == IR_OP_subf || op->opcode == IR_OP_sbcf) && !(op->sub & IR_BORROW)
               ? EFLAGS_INVERTED
               : EFLAGS_DIRECT;
}

/* EFLAGS to AX in the memory format; scratch: for floats. EFLAGS keep all but the sense of CF. */
void emit_eflags_to_ax(Emitter *e, EflagsKind kind, int scratch)
{
    Assembler *a = &e->a;

    if (kind == EFLAGS_INVERTED) {
        asm_u8(a, 0xf5); /* cmc */
    }
    asm_u8(a, 0x9f); /* lahf */
    if (kind == EFLAGS_FLOAT) {
        /* movzx eax, ah; then a table of words */
        asm_u8(a, 0x0f);
        asm_u8(a, 0xb6);
        asm_u8(a, 0xc4);
        asm_lea_code(a, scratch, e->b->float_flags_table);
        asm_rm(a, OP(PP_NONE, MAP_0F, 0xb7), false, RAX, mem_index(scratch, RAX, 1, 0));
    } else {
        asm_setcc(a, CC_O, RAX);
    }
}

/* The float-compare table: LAHF's AH to the memory format. */
void emit_float_flags_table(Assembler *a)
{
    for (unsigned ah = 0; ah < 256; ah++) {
        bool less = ah & 1, unordered = ah & 4, equal = ah & 0x40;
        unsigned flags = unordered ? TCG_FLAG_C | TCG_FLAG_V
                         : equal   ? TCG_FLAG_Z | TCG_FLAG_C
                         : less    ? TCG_FLAG_N
                                   : TCG_FLAG_C;

        asm_u8(a, flags & 0xff);
        asm_u8(a, flags >> 8);
    }
}

void emitter_flags_to_rax(Emitter *e)
{
    IrRef flags = e->eflags;
    uint32_t locked = e->locked;
    unsigned var = e->b->flags_var;
    int scratch = NO_REG;

    emitter_take(e, RAX);
    if (e->eflags_kind == EFLAGS_FLOAT) {
        scratch = emitter_scratch(e);
    }
    emit_eflags_to_ax(e, e->eflags_kind, scratch);
    if (e->eflags_kind == EFLAGS_INVERTED) {
        e->eflags_kind = EFLAGS_DIRECT;
    }
    emitter_bind(e, flags, RAX);
    if (e->values[flags].hold) {
        asm_store_sized(&e->a, 1, emitter_home(e, var), RAX);
        emitter_mark_clean(e, var);
    }
    emitter_release(e, flags);
    e->locked = locked;
}

bool emitter_flags_are_backed(const Emitter *e, IrRef flags)
{
    return e->values[flags].regs || e->values[flags].slot != NO_SLOT ||
           e->values[flags].home_var != NO_VAR || e->unit->ops[flags].opcode == IR_OP_fconst;
}

/* Whether only stubs need what is in EFLAGS, and have a recipe for it. */
static bool has_recipe(const Emitter *e)
{
    return e->recipe.flags == e->eflags && !emitter_used_after(e, e->eflags);
}

/* Whether only the flags variable needs what is in EFLAGS, and is set before anything can see that. */
static bool is_unseen(const Emitter *e)
{
    return !e->values[e->at].flags_seen && e->values[e->eflags].hold == 1 &&
           !emitter_used_after(e, e->eflags);
}

/* Whether what is in EFLAGS will be the flags variable's value, and only that, and there is a recipe for it. */
static bool is_planned(const Emitter *e)
{
    const EmitterValue *value = &e->values[e->eflags];
    unsigned use = emitter_next_use(e, e->eflags);
    const IrOp *set = &e->unit->ops[use];

    return e->planned.flags == e->eflags && !value->hold && use && set->opcode == IR_OP_set &&
           set->var == e->b->flags_var && !e->values[use].use_next[0];
}

void emitter_clobber_flags(Emitter *e)
{
    if (!emitter_flags_are_free(e) && is_planned(e)) {
        e->planned.alone = true;
    } else if (!emitter_flags_are_free(e)) {
        emitter_flags_to_rax(e);
    } else if (e->eflags && is_unseen(e)) {
        emitter_forget_flags(e);
    }
    e->eflags = 0;
}

bool emitter_flags_are_free(const Emitter *e)
{
    return !e->eflags || !emitter_needed_after(e, e->eflags) ||
           emitter_flags_are_backed(e, e->eflags) || has_recipe(e) || is_unseen(e);
}

/* Brings a flags value that is not there into EFLAGS. */
static void load_eflags(Emitter *e, IrRef flags)
{
    emitter_clobber_flags(e);
    emitter_use_in(e, flags, RAX);
    asm_u8(&e->a, 0x04); /* add al, 0x7f: OF = bit 0 */
    asm_u8(&e->a, 0x7f);
    asm_u8(&e->a, 0x9e); /* sahf */
    emitter_unbind(e, RAX);
    emitter_set_eflags(e, flags, EFLAGS_DIRECT);
}

/* The bit that a condition is about, or NO_BIT when it is about several. */
static unsigned single_bit(IrCond cond)
{
    static const uint8_t bits[IR_COND_COUNT / 2] = {
        [IR_EQ / 2] = 14,     [IR_CS / 2] = 8,      [IR_MI / 2] = 15,
        [IR_VS / 2] = 0,      [IR_HI / 2] = NO_BIT, [IR_GE / 2] = NO_BIT,
        [IR_GT / 2] = NO_BIT, [IR_BE / 2] = NO_BIT, [IR_PE / 2] = 10,
    };

    return bits[cond / 2];
}

static unsigned test_bit(Emitter *e, IrRef flags, IrCond cond)
{
    unsigned bit = single_bit(cond);
    Mem m;

    emitter_clobber_flags(e);
    if (emitter_use_memory(e, flags, &m)) {
        m.disp += (int)(bit / 8);
        asm_test_mem8_imm(&e->a, m, 1u << bit % 8);
    } else {
        asm_test_imm(&e->a, false, emitter_use(e, flags), 1 << bit);
    }
    return cond & 1 ? CC_E : CC_NE;
}

static HostCondition float_condition(IrCond cond)
{
    static const HostCondition table[] = {
        [IR_EQ] = { CC_E, PARITY_AND_CLEAR }, [IR_NE] = { CC_NE, PARITY_OR_SET },
        [IR_CS] = { CC_AE, PARITY_OR_SET },   [IR_CC] = { CC_B, PARITY_AND_CLEAR },
        [IR_MI] = { CC_B, PARITY_AND_CLEAR }, [IR_PL] = { CC_AE, PARITY_OR_SET },
        [IR_VS] = { CC_P, PARITY_NONE },      [IR_VC] = { CC_NP, PARITY_NONE },
        [IR_HI] = { CC_A, PARITY_OR_SET },    [IR_LS] = { CC_BE, PARITY_AND_CLEAR },
        [IR_GE] = { CC_AE, PARITY_NONE },     [IR_LT] = { CC_B, PARITY_NONE },
        [IR_GT] = { CC_A, PARITY_NONE },      [IR_LE] = { CC_BE, PARITY_NONE },
    };

    return table[cond];
}

/* HI and LS look at CF as comparisons leave it, A and BE at C itself. */
static void set_carry_sense(Emitter *e, EflagsKind kind)
{
    if (e->eflags_kind != kind) {
        asm_u8(&e->a, BYTE_CMC);
        e->eflags_kind = (uint8_t)kind;
    }
}

HostCondition emitter_condition(Emitter *e, IrRef ref, IrCond cond)
{
    static const uint8_t direct[IR_COND_COUNT] = {
        CC_E,  CC_NE, CC_B, CC_AE, CC_S,  CC_NS, CC_O, CC_NO, CC_A,
        CC_BE, CC_GE, CC_L, CC_G,  CC_LE, CC_BE, CC_A, CC_P,  CC_NP,
    };
    IrRef flags = e->values[ref].root;

    if (e->eflags == flags && e->eflags_kind == EFLAGS_FLOAT && cond > IR_LE) {
        emitter_flags_to_rax(e);
        e->eflags = 0;
    }
    if (e->eflags != flags) {
        if (single_bit(cond) != NO_BIT) {
            return (HostCondition){ (uint8_t)test_bit(e, flags, cond), PARITY_NONE };
        }
        load_eflags(e, flags);
    }
    if (e->eflags_kind == EFLAGS_FLOAT) {
        return float_condition(cond);
    }
    if (cond == IR_HI || cond == IR_LS) {
        set_carry_sense(e, EFLAGS_INVERTED);
    } else if (cond == IR_BE || cond == IR_A) {
        set_carry_sense(e, EFLAGS_DIRECT);
    }
    if ((cond == IR_CS || cond == IR_CC) && e->eflags_kind == EFLAGS_INVERTED) {
        return (HostCondition){ direct[cond] ^ 1, PARITY_NONE };
    }
    return (HostCondition){ direct[cond], PARITY_NONE };
}

/* Flags that are EFLAGS now are about to be used up: a copy if they are needed again. */
static void use_up_eflags(Emitter *e, EflagsKind kind)
{
    if (!emitter_flags_are_free(e)) {
        emitter_flags_to_rax(e);
    }
    if (e->eflags_kind != kind) {
        asm_u8(&e->a, BYTE_CMC);
    }
    e->eflags = 0;
}

void emitter_load_old_flags(Emitter *e, IrRef ref)
{
    IrRef flags = e->values[ref].root;

    if (e->eflags == flags && e->eflags_kind == EFLAGS_FLOAT) {
        emitter_flags_to_rax(e);
        e->eflags = 0;
    }
    if (e->eflags != flags) {
        bool locked = e->locked >> RAX & 1;

        load_eflags(e, flags);
        if (!locked) {
            e->locked &= ~(1u << RAX);
        }
    }
    use_up_eflags(e, EFLAGS_DIRECT);
}

/* CF = C (direct) or !C (inverted). */
void emitter_load_carry(Emitter *e, IrRef ref, EflagsKind kind)
{
    IrRef flags = e->values[ref].root;

    if (e->eflags == flags && e->eflags_kind == EFLAGS_FLOAT) {
        emitter_flags_to_rax(e);
        e->eflags = 0;
    }
    if (e->eflags != flags) {
        Mem m;

        emitter_clobber_flags(e);
        if (emitter_use_memory(e, flags, &m)) {
            asm_rm_imm8(&e->a, OP(PP_NONE, MAP_0F, 0xba), false, 4, m, 8);
        } else {
            asm_rr(&e->a, OP(PP_NONE, MAP_0F, 0xba), false, 4, emitter_use(e, flags));
            asm_u8(&e->a, 8);
        }
        if (kind == EFLAGS_INVERTED) {
            asm_u8(&e->a, BYTE_CMC);
        }
        return;
    }
    use_up_eflags(e, kind);
}

/* adc, sbc, adcf, sbcf; the value or the flags may be all that is wanted. */
static void emit_with_carry(Emitter *e, const IrOp *op, IrRef flags)
{
    unsigned size = ir_op_size(op);
    bool subtract = op->opcode == IR_OP_sbc || op->opcode == IR_OP_sbcf;
    EflagsKind kind = subtract && !(op->sub & IR_BORROW) ? EFLAGS_INVERTED : EFLAGS_DIRECT;
    bool has_value = op->opcode == IR_OP_adc || op->opcode == IR_OP_sbc;
    int a, b, result;

    emitter_load_carry(e, op->args[2], kind);
    a = emitter_use(e, op->args[0]);
    b = emitter_use(e, op->args[1]);
    emitter_advance(e);
    if (has_value) {
        result = emitter_result(e, a, 1u << b & ~(a == b ? 1u << b : 0));
    } else {
        result = emitter_scratch(e);
    }
    if (result == b && a != b) {
        /* Only possible through reuse, which avoid excludes. */
        e->failed = true;
    }
    emitter_copy_merged(e, op, result, a);
    asm_rr_sized(&e->a, subtract ? OP_SBB : OP_ADC, size, result, b);
    if (flags) {
        emitter_set_eflags(e, flags, kind);
    }
    if (has_value) {
        emitter_finish(e, result);
    } else {
        emitter_finish_void(e);
    }
}

/* Compare or test: flags without a value. */
static void emit_compare(Emitter *e, const IrOp *op)
{
    unsigned size = op->esz;
    bool w = op->type == IR_I64;
    int32_t imm;
    int a;
    Mem m;

    emitter_clobber_flags(e);
    emitter_plan_recipe(e, (IrRef)e->at, 0);
    a = emitter_use(e, op->args[0]);
    if (op->opcode == IR_OP_addf) {
        int sum;

        if (emitter_const32(e, op->args[1], w, &imm)) {
            sum = emitter_scratch(e);
            asm_mov(&e->a, w, sum, a);
            asm_group1_imm_sized(&e->a, size, G1_ADD, sum, imm);
        } else {
            int b = emitter_use(e, op->args[1]);

            sum = emitter_scratch(e);
            asm_mov(&e->a, w, sum, a);
            asm_rr_sized(&e->a, OP_ADD, size, sum, b);
        }
    } else if (op->opcode == IR_OP_andf) {
        if (emitter_const32(e, op->args[1], w, &imm)) {
            /* The short form would compute N of fewer bits; it is right when bit 7 is not tested. */
            asm_test_imm_sized(&e->a, size, a, imm);
        } else {
            asm_rr_sized(&e->a, OP_TEST, size, emitter_use(e, op->args[1]), a);
        }
    } else if (emitter_const32(e, op->args[1], w, &imm)) {
        if (imm == 0) {
            /* test leaves CF = 0, as cmp does, and AF = 0 on the hosts there are. */
            asm_rr_sized(&e->a, OP_TEST, size, a, a);
        } else {
            asm_group1_imm_sized(&e->a, size, G1_CMP, a, imm);
        }
    } else if (emitter_use_memory(e, op->args[1], &m)) {
        asm_rm_sized(&e->a, OP_CMP, size, a, m);
    } else {
        asm_rr_sized(&e->a, OP_CMP, size, a, emitter_use(e, op->args[1]));
    }
    emitter_advance(e);
    emitter_finish_void(e);
    emitter_set_eflags(e, (IrRef)e->at, emitter_flags_kind(op));
}

/*
 * Whether a value op and a flags op are of the same operation. The flags op may have one argument more,
 * the old flags, which must then be at hand at the first of the two.
 */
static bool is_same_operation(const Emitter *e, unsigned value_at, unsigned flags_at)
{
    const IrOp *value = &e->unit->ops[value_at], *flags = &e->unit->ops[flags_at];
    unsigned count = ir_op_info[value->opcode].args;

    for (unsigned k = 0; k < 4; k++) {
        IrRef arg = flags->args[k], root = e->values[arg].root;

        if (k < count ? e->values[value->args[k]].root != root
                      : arg && flags_at > value_at &&
                            (arg > value_at || e->values[root].next_use != flags_at)) {
            return false;
        }
    }
    return value->type == flags->type && ir_op_size(value) == ir_op_size(flags) &&
           (value->opcode != IR_OP_sbc || !((value->sub ^ flags->sub) & IR_BORROW));
}

/* Whether ops at `at` and `other` can be one instruction: nothing else uses their operands between. */
static bool can_fuse(const Emitter *e, unsigned at, unsigned other)
{
    bool is_flags = ir_is_flags_producer(e->unit->ops[at].opcode);
    unsigned value_at = is_flags ? other : at;
    const IrOp *value = &e->unit->ops[value_at];

    if (!is_same_operation(e, value_at, is_flags ? at : other)) {
        return false;
    }
    for (unsigned k = 0; k < ir_op_info[value->opcode].args; k++) {
        if (value->args[k] && e->values[at].use_next[k] != other) {
            return false;
        }
    }
    return true;
}

/* Ops that overwrite nothing: a flags value that is computed before them is still in EFLAGS after. */
static bool is_transparent(const Emitter *e, unsigned i)
{
    switch (e->unit->ops[i].opcode) {
    case IR_OP_get:
    case IR_OP_set:
    case IR_OP_const:
    case IR_OP_pc:
    case IR_OP_insn:
        return true;
    default:
        return e->values[i].skip;
    }
}

unsigned emitter_next_op(const Emitter *e)
{
    for (unsigned i = e->at + 1; i < e->unit->count && i <= e->at + 6; i++) {
        if (!is_transparent(e, i)) {
            return i;
        }
    }
    return 0;
}

/* The op near `at` that computes `opcode` of the same operands, or 0. It is then not emitted again. */
IrRef emitter_fuse(Emitter *e, IrOpcode opcode)
{
    unsigned i = emitter_next_op(e);
    const IrOp *other = &e->unit->ops[i];

    if (!i || other->opcode != opcode || !can_fuse(e, e->at, i)) {
        return 0;
    }
    for (unsigned k = 0; k < 4; k++) {
        if (other->args[k]) {
            e->values[e->at].use_next[k] = e->values[i].use_next[k];
        }
    }
    e->values[i].skip = SKIP_FUSED;
    return (IrRef)i;
}

void emitter_drop_use(Emitter *e, IrRef value, unsigned i, unsigned next)
{
    if (e->values[value].next_use == i) {
        e->values[value].next_use = (uint16_t)next;
    }
    for (unsigned j = value + 1u; j < i; j++) {
        for (unsigned k = 0; k < 4; k++) {
            if (e->values[e->unit->ops[j].args[k]].root == value && e->values[j].use_next[k] == i) {
                e->values[j].use_next[k] = (uint16_t)next;
            }
        }
    }
}

/* The same for a test of the result: logic leaves its flags anyway. */
IrRef emitter_fuse_test(Emitter *e)
{
    IrRef value = (IrRef)e->at;
    unsigned i = emitter_next_op(e);
    const IrOp *op = &e->unit->ops[value], *test = &e->unit->ops[i];

    if (!i || test->opcode != IR_OP_andf || e->values[test->args[0]].root != value ||
        e->values[test->args[1]].root != value || test->type != op->type ||
        ir_op_size(test) != ir_op_size(op)) {
        return 0;
    }
    emitter_drop_use(e, value, i, e->values[i].use_next[0]);
    e->values[i].skip = SKIP_FUSED;
    return (IrRef)i;
}

/* A flags op whose value op follows: both are done at the value op's place in the list. */
static void emit_arithmetic_flags(Emitter *e, const IrOp *op)
{
    IrRef flags = (IrRef)e->at;
    IrRef value = emitter_fuse(e, ir_value_of_flags(op->opcode));

    if (value) {
        if (value != flags + 1u) {
            e->values[value].hint = NO_REG;
        }
        e->at = value;
        if (op->opcode == IR_OP_adcf || op->opcode == IR_OP_sbcf) {
            emit_with_carry(e, &e->unit->ops[value], flags);
        } else {
            emit_arithmetic_with_flags(e, &e->unit->ops[value], flags);
        }
    } else if (op->opcode == IR_OP_adcf || op->opcode == IR_OP_sbcf) {
        emit_with_carry(e, op, flags);
    } else {
        emit_compare(e, op);
    }
}

enum { EFLAGS_LOW = TCG_EFLAGS_MASK & 0xff, EFLAGS_OF_BIT = 11 };

static void emit_from_eflags_layout(Assembler *a, int result, int part, int in)
{
    asm_mov(a, false, result, in);
    asm_group1_imm(a, false, G1_AND, result, EFLAGS_LOW);
    asm_shift_imm(a, false, SHIFT_SHL, result, 8);
    asm_mov(a, false, part, in);
    asm_shift_imm(a, false, SHIFT_SHR, part, EFLAGS_OF_BIT);
    asm_group1_imm(a, false, G1_AND, part, TCG_FLAG_V);
    asm_rr(a, OP_OR, false, result, part);
}

static void emit_to_eflags_layout(Assembler *a, int result, int part, int in)
{
    asm_mov(a, false, result, in);
    asm_shift_imm(a, false, SHIFT_SHR, result, 8);
    asm_group1_imm(a, false, G1_AND, result, EFLAGS_LOW);
    asm_mov(a, false, part, in);
    asm_group1_imm(a, false, G1_AND, part, TCG_FLAG_V);
    asm_shift_imm(a, false, SHIFT_SHL, part, EFLAGS_OF_BIT);
    asm_rr(a, OP_OR, false, result, part);
}

static void emit_fpack(Emitter *e, const IrOp *op)
{
    Assembler *a = &e->a;
    int in, part, result;

    emitter_clobber_flags(e);
    in = emitter_use(e, op->args[0]);
    part = emitter_scratch(e);
    emitter_advance(e);
    result = emitter_scratch(e);
    if (op->sub & IR_X86) {
        emit_from_eflags_layout(a, result, part, in);
        emitter_finish(e, result);
        return;
    }
    asm_mov(a, false, result, in);
    asm_shift_imm(a, false, SHIFT_SHR, result, 16);
    asm_group1_imm(a, false, G1_AND, result, TCG_FLAG_N | TCG_FLAG_Z);
    asm_mov(a, false, part, in);
    asm_shift_imm(a, false, SHIFT_SHR, part, 21);
    asm_group1_imm(a, false, G1_AND, part, TCG_FLAG_C);
    asm_rr(a, OP_OR, false, result, part);
    asm_mov(a, false, part, in);
    asm_shift_imm(a, false, SHIFT_SHR, part, 28);
    asm_group1_imm(a, false, G1_AND, part, TCG_FLAG_V);
    asm_rr(a, OP_OR, false, result, part);
    emitter_finish(e, result);
}

static void emit_funpack(Emitter *e, const IrOp *op)
{
    Assembler *a = &e->a;
    int in, part, result;

    if (e->eflags == e->values[op->args[0]].root && !e->values[e->eflags].regs) {
        emitter_flags_to_rax(e);
    }
    emitter_clobber_flags(e);
    in = emitter_use(e, op->args[0]);
    part = emitter_scratch(e);
    emitter_advance(e);
    result = emitter_scratch(e);
    if (op->sub & IR_X86) {
        emit_to_eflags_layout(a, result, part, in);
        emitter_finish(e, result);
        return;
    }
    asm_mov(a, false, result, in);
    asm_group1_imm(a, false, G1_AND, result, TCG_FLAG_N | TCG_FLAG_Z);
    asm_shift_imm(a, false, SHIFT_SHL, result, 16);
    asm_mov(a, false, part, in);
    asm_group1_imm(a, false, G1_AND, part, TCG_FLAG_C);
    asm_shift_imm(a, false, SHIFT_SHL, part, 21);
    asm_rr(a, OP_OR, false, result, part);
    asm_mov(a, false, part, in);
    asm_group1_imm(a, false, G1_AND, part, TCG_FLAG_V);
    asm_shift_imm(a, false, SHIFT_SHL, part, 28);
    asm_rr(a, OP_OR, false, result, part);
    emitter_finish(e, result);
}

/* Before an op that overwrites EFLAGS and has them among its operands: those go to AX. */
static void release_eflags(Emitter *e, const IrOp *op)
{
    for (unsigned k = 0; k < 4; k++) {
        if (op->args[k] && e->eflags && e->values[op->args[k]].root == e->eflags &&
            !emitter_flags_are_backed(e, e->eflags)) {
            emitter_flags_to_rax(e);
        }
    }
    emitter_clobber_flags(e);
}

/* New flags that are a constant: set or cleared where the old ones are. */
static void emit_merge_const(Emitter *e, const IrOp *op, uint16_t value)
{
    unsigned mask = (unsigned)op->imm;
    IrRef old = e->values[op->args[0]].root;
    int a, result;

    if (mask == TCG_FLAG_C && e->eflags == old && e->eflags_kind != EFLAGS_FLOAT) {
        if (!emitter_flags_are_free(e)) {
            emitter_flags_to_rax(e);
        }
        emitter_advance(e);
        asm_u8(&e->a, value & TCG_FLAG_C ? BYTE_STC : BYTE_CLC);
        emitter_finish_void(e);
        emitter_set_eflags(e, (IrRef)e->at, EFLAGS_DIRECT);
        return;
    }
    release_eflags(e, op);
    a = emitter_use(e, op->args[0]);
    emitter_advance(e);
    result = emitter_result(e, a, 0);
    if (result != a) {
        asm_mov(&e->a, false, result, a);
    }
    asm_group1_imm(&e->a, false, G1_AND, result, (int32_t)(TCG_FLAGS_ALL & ~mask));
    asm_group1_imm(&e->a, false, G1_OR, result, (int32_t)(value & mask));
    emitter_finish(e, result);
}

static void emit_fmerge(Emitter *e, const IrOp *op)
{
    const IrOp *new = &e->unit->ops[e->values[op->args[1]].root];
    Assembler *as = &e->a;
    int a, b, part, result;

    if (new->opcode == IR_OP_fconst) {
        emit_merge_const(e, op, ir_const_flags(new));
        return;
    }
    release_eflags(e, op);
    a = emitter_use(e, op->args[0]);
    b = emitter_use(e, op->args[1]);
    part = emitter_scratch(e);
    emitter_advance(e);
    result = emitter_result(e, a, a == b ? 0 : 1u << b);
    /* ((old ^ new) & mask) ^ old */
    asm_mov(as, false, part, a);
    asm_rr(as, OP_XOR, false, part, b);
    asm_group1_imm(as, false, G1_AND, part, (int32_t)op->imm);
    if (result != a) {
        asm_mov(as, false, result, a);
    }
    asm_rr(as, OP_XOR, false, result, part);
    emitter_finish(e, result);
}

bool emit_flags_op(Emitter *e, const IrOp *op)
{
    if (emit_producer(e, op)) {
        return true;
    }
    switch (op->opcode) {
    case IR_OP_addf:
    case IR_OP_subf:
    case IR_OP_andf:
    case IR_OP_adcf:
    case IR_OP_sbcf:
        emit_arithmetic_flags(e, op);
        break;
    case IR_OP_adc:
        emit_with_carry(e, op, emitter_fuse(e, IR_OP_adcf));
        break;
    case IR_OP_sbc:
        emit_with_carry(e, op, emitter_fuse(e, IR_OP_sbcf));
        break;
    case IR_OP_fmerge:
        emit_fmerge(e, op);
        break;
    case IR_OP_fpack:
        emit_fpack(e, op);
        break;
    case IR_OP_funpack:
        emit_funpack(e, op);
        break;
    default:
        return emit_select(e, op);
    }
    return true;
}
