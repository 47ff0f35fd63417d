/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores. The fast path looks the page up in the context's TLB, compares one tag (which
 * also catches page crossings) and accesses the host memory; everything else is in a stub.
 */
#include "accel/tcg/host/x86_64/emitter.h"

enum { ENTRY_SHIFT = TCG_PAGE_BITS - 5 };
G_STATIC_ASSERT(sizeof(TcgTlbEntry) == 32);

static const int32_t index_mask = ((1 << TCG_TLB_BITS) - 1) << 5;

ColdStub *emitter_stub(Emitter *e, StubKind kind)
{
    ColdStub *stub;

    if (e->stub_count == MAX_STUBS) {
        e->failed = true;
        return &e->stubs[0];
    }
    stub = &e->stubs[e->stub_count++];
    *stub = (ColdStub){ .kind = (uint8_t)kind,
                        .pc_offset = e->pc_offset,
                        .op = (IrRef)e->at,
                        .address = NO_REG,
                        .scratch = NO_REG,
                        .value = NO_REG,
                        .value2 = NO_REG,
                        .result = NO_REG };
    for (int reg = XMM0; reg < REG_COUNT; reg++) {
        if (emitter_is_temporary(e, reg) && e->reg_value[reg]) {
            stub->save_vectors = true;
        }
    }
    return stub;
}

void emitter_stub_jump(ColdStub *stub, uint8_t *jump)
{
    stub->jumps[stub->jump_count++] = jump;
}

/* The page that an address relative to the pc is in. */
static int use_page(Emitter *e, int64_t page)
{
    int a = emitter_scratch(e);

    asm_load(&e->a, true, a, ENV(e, pc_page));
    if (page) {
        asm_lea(&e->a, true, a, mem(a, page));
    }
    return a;
}

/* The address register; what remains to be added fits an instruction. EFLAGS stay. */
int emitter_use_address(Emitter *e, IrRef ref, int64_t imm, int32_t *rest)
{
    int a = emitter_use(e, ref);

    if (asm_fits32(imm + 4096) && asm_fits32(imm - 4096)) {
        *rest = (int32_t)imm;
    } else {
        int sum = emitter_scratch(e);

        asm_mov_imm(&e->a, sum, (uint64_t)imm);
        asm_lea(&e->a, true, sum, mem_index(a, sum, 0, 0));
        *rest = 0;
        a = sum;
    }
    return a;
}

static void lea_or_mov(Emitter *e, int to, int from, int32_t disp)
{
    if (disp) {
        asm_lea(&e->a, true, to, mem(from, disp));
    } else {
        asm_mov(&e->a, true, to, from);
    }
}

/* The place of the TLB entry of from + imm, as an offset. */
static void emit_entry_place(Emitter *e, int to, int from, int32_t imm)
{
    Assembler *a = &e->a;

    if (imm == 0 && e->has->bmi2) {
        asm_vex_rr(a, OP(PP_F2, MAP_0F3A, 0xf0), false, false, to, 0, from); /* rorx */
        asm_u8(a, ENTRY_SHIFT);
    } else {
        lea_or_mov(e, to, from, imm);
        asm_shift_imm(a, false, SHIFT_SHR, to, ENTRY_SHIFT);
    }
    asm_group1_imm(a, false, G1_AND, to, index_mask);
}

/* What is compared with the tag: the page of the last byte, or the address itself when it is a page's. */
static int emit_tag(Emitter *e, const TlbLookup *l, bool in_page, bool aligned)
{
    if (in_page) {
        return l->address;
    }
    if (aligned) {
        lea_or_mov(e, l->page, l->address, l->imm + (int32_t)(l->size - l->element));
        asm_group1_imm(&e->a, true, G1_AND, l->page,
                       (int32_t)(~(TCG_PAGE_SIZE - 1) | (int)(l->element - 1)));
    } else {
        lea_or_mov(e, l->page, l->address, l->imm + (int32_t)l->size - 1);
        asm_group1_imm(&e->a, true, G1_AND, l->page, ~(TCG_PAGE_SIZE - 1));
    }
    return l->page;
}

void emit_tlb_lookup(Emitter *e, const TlbLookup *l, ColdStub *stub)
{
    Assembler *a = &e->a;
    bool aligned = (l->flags & IR_MEM_ALIGNED) && l->element > 1;
    bool in_page = l->is_page && !aligned && l->imm >= 0 && l->imm + (int)l->size <= TCG_PAGE_SIZE;
    /* The sum, which is needed for the entry's place, serves the check as well: see TcgTlbEntry. */
    bool by_offset = !aligned && !in_page && l->imm && l->size <= TCG_PAGE_SIZE && e->has->bmi2;
    int64_t entry = offsetof(TcgContext, tlb);
    Mem place = mem_index(R15, l->t, 0, entry), tag;

    if (by_offset) {
        asm_lea(a, true, l->page, mem(l->address, l->imm));
        emit_entry_place(e, l->t, l->page, 0);
    } else {
        emit_entry_place(e, l->t, l->address, in_page ? 0 : l->imm);
    }
    if (l->flags & IR_MEM_OTHER) {
        asm_rm(a, OP_ADD, true, l->t, ENV(e, context_other));
        place = mem(l->t, entry);
    }
    /* What may be written may be read: tlb_fill. */
    tag = place;
    tag.disp += l->write ? offsetof(TcgTlbEntry, write) : offsetof(TcgTlbEntry, read);
    if (by_offset) {
        asm_rm(a, OP_SUB, true, l->page, tag);
        asm_group1_imm(a, true, G1_CMP, l->page, TCG_PAGE_SIZE - (int32_t)l->size);
        emitter_stub_jump(stub, asm_jcc(a, CC_A));
    } else {
        asm_rm(a, OP_CMP, true, emit_tag(e, l, in_page, aligned), tag);
        emitter_stub_jump(stub, asm_jcc(a, CC_NE));
    }
    place.disp += offsetof(TcgTlbEntry, addend);
    asm_load(a, true, l->t, place);
}

/* An integer load instruction with extension to the op's type. */
static void load_integer(Emitter *e, const IrOp *op, int to, Mem m, bool swap)
{
    Assembler *a = &e->a;
    bool is_signed = (op->sub & IR_MEM_SIGNED) && !(swap && op->esz > 0);
    bool w = op->type == IR_I64;

    switch (op->esz) {
    case 0:
        asm_rm(a, OP(PP_NONE, MAP_0F, is_signed ? 0xbe : 0xb6), is_signed && w, to, m);
        break;
    case 1:
        asm_rm(a, OP(PP_NONE, MAP_0F, is_signed ? 0xbf : 0xb7), is_signed && w, to, m);
        break;
    case 2:
        if (is_signed && w) {
            asm_rm(a, OP_MOVSXD, true, to, m);
        } else {
            asm_load(a, false, to, m);
        }
        break;
    default:
        asm_load(a, w, to, m);
    }
}

/* Reverses the bytes of an integer of a certain size; with a sign if asked. */
static void swap_integer(Emitter *e, int reg, unsigned esz)
{
    Assembler *a = &e->a;

    if (esz == 1) {
        asm_u8(a, 0x66);
        asm_shift_imm(a, false, SHIFT_ROL, reg, 8);
    } else if (esz >= 2) {
        asm_bswap(a, esz == 3, reg);
    }
}

static void load_from(Emitter *e, const IrOp *op, int to, Mem m)
{
    bool swap = op->sub & IR_MEM_BE;

    if (to >= XMM0) {
        asm_vector_load(e, op->esz, to, m);
        return;
    }
    load_integer(e, op, to, m, swap);
    if (swap && op->esz) {
        swap_integer(e, to, op->esz);
        if (op->sub & IR_MEM_SIGNED) {
            emit_extend_reg(&e->a, true, op->type == IR_I64, op->esz, to, to);
        }
    }
}

/* --- accesses ----------------------------------------------------------------------------------- */

int32_t emit_access_size(const IrOp *op)
{
    return op->opcode == IR_OP_ldchk ? (int32_t)op->aux
                                     : (op->opcode == IR_OP_st2 ? 2 : 1) << op->esz;
}

bool emit_is_write(const IrOp *op)
{
    return op->opcode == IR_OP_st || op->opcode == IR_OP_st2 || op->sub & IR_MEM_FOR_WRITE;
}

bool emitter_page_of(const Emitter *e, const IrOp *op, int64_t *page, int32_t *offset)
{
    const IrOp *base = emitter_value(e, op->args[0]);
    int64_t sum = (int64_t)((uint64_t)base->imm + (uint64_t)op->imm);

    *page = sum & TCG_PAGE_MASK;
    *offset = (int32_t)(sum - *page);
    return base->opcode == IR_OP_pc && asm_fits32(*page);
}

/* An address relative to the pc is taken apart: where in a page it is is known. */
static void use_base(Emitter *e, const IrOp *op, TlbLookup *l, const AccessGroup *group)
{
    int64_t page;
    int32_t offset;

    if (emitter_page_of(e, op, &page, &offset) &&
        (emitter_is_page(group) || !e->values[e->values[op->args[0]].root].regs)) {
        l->is_page = true;
        l->address = emitter_is_page(group) && group->lead != e->at ? NO_REG : use_page(e, page);
        l->imm = offset;
    } else {
        l->address = emitter_use_address(e, op->args[0], op->imm, &l->imm);
    }
}

void emitter_begin_access(Emitter *e, const IrOp *op, Access *access)
{
    access->group = emitter_group(e, e->at);
    use_base(e, op, &access->l, access->group);
    access->l.t =
        emitter_is_follower(e, e->at) ? emitter_use_addend(e, access->group) : emitter_scratch(e);
}

Mem emitter_access_mem(const Access *access)
{
    const TlbLookup *l = &access->l;

    return emitter_is_page(access->group) ? mem(l->t, l->imm)
                                          : mem_index(l->address, l->t, 0, l->imm);
}

static void check_group(Emitter *e, const Access *access)
{
    const AccessGroup *g = access->group;
    ColdStub *stub = emitter_stub(e, STUB_GROUP);
    TlbLookup l = access->l;

    stub->address = (int8_t)l.address;
    stub->imm = l.imm;
    stub->result = (int8_t)l.t;
    stub->group = g;
    emitter_snapshot(e, stub);
    l.imm += g->start - emitter_lead_start(g, &e->unit->ops[e->at], l.imm);
    l.size = (unsigned)(g->end - g->start);
    l.write = g->write;
    emit_tlb_lookup(e, &l, stub);
    stub->join = e->a.p;
    if (emitter_is_page(g)) {
        asm_rr(&e->a, OP_ADD, true, l.t, l.address);
    }
}

void emitter_check_access(Emitter *e, Access *access, StubKind kind)
{
    ColdStub *stub;

    access->stub = NULL;
    if (!access->group) {
        stub = emitter_stub(e, kind);
        stub->address = (int8_t)access->l.address;
        stub->imm = access->l.imm;
        emitter_snapshot(e, stub);
        emit_tlb_lookup(e, &access->l, stub);
        access->stub = stub;
    } else if (access->group->lead == e->at) {
        check_group(e, access);
    }
}

void emitter_end_access(Emitter *e, const Access *access)
{
    if (access->stub) {
        access->stub->join = e->a.p;
    } else {
        emitter_keep_addend(e, access->group, access->l.t);
    }
}

/* Whether the op has to be emitted as one that changes EFLAGS. */
static bool changes_flags(const Emitter *e, const IrOp *op)
{
    return !emitter_is_follower(e, e->at) || op->sub & IR_MEM_BE;
}

/* page: a register that is free behind the lookup, or NO_REG. */
static int load_result(Emitter *e, const IrOp *op, int address, int page)
{
    if (op->type == IR_V128) {
        return emitter_result(e, NO_REG, 0);
    }
    if (page == NO_REG || e->values[e->at].hint != NO_REG) {
        return emitter_result(e, address, 0);
    }
    if (emitter_is_temporary(e, address) && e->reg_value[address] &&
        !emitter_needed(e, e->reg_value[address])) {
        return address;
    }
    return page;
}

static void emit_load(Emitter *e, const IrOp *op)
{
    Access access = { .l = { .size = 1u << op->esz,
                             .element = 1u << op->esz,
                             .flags = op->sub,
                             .write = emit_is_write(op),
                             .page = NO_REG } };
    int result;

    if (op->sub & IR_MEM_FOR_WRITE && emit_update(e, op)) {
        return;
    }
    if (changes_flags(e, op)) {
        emitter_clobber_flags(e);
    }
    emitter_begin_access(e, op, &access);
    if (!emitter_is_follower(e, e->at)) {
        access.l.page = emitter_scratch(e);
    }
    emitter_advance(e);
    result = load_result(e, op, access.l.address, access.l.page);
    emitter_check_access(e, &access, STUB_LOAD);
    if (access.stub) {
        access.stub->result = (int8_t)result;
    }
    load_from(e, op, result, emitter_access_mem(&access));
    emitter_end_access(e, &access);
    emitter_finish(e, result);
}

/* A register with the value to store, or NO_REG: the constant goes into the instruction. */
static int use_store_value(Emitter *e, const IrOp *op, IrRef ref)
{
    uint64_t full;

    if (op->type != IR_V128 && !(op->sub & (IR_MEM_BE | IR_MEM_SC)) &&
        emitter_const(e, ref, &full) && (op->esz < 3 || asm_fits32((int64_t)full))) {
        return NO_REG;
    }
    return emitter_use(e, ref);
}

static void store_to(Emitter *e, const IrOp *op, Mem m, int value, int32_t imm, int page)
{
    Assembler *a = &e->a;

    if (value == NO_REG) {
        asm_store_imm(a, op->esz, m, imm);
        return;
    }
    if (value >= XMM0) {
        asm_vector_store(e, op->esz, m, value);
        if (op->sub & IR_MEM_SC) {
            asm_rr(a, OP(PP_NONE, MAP_0F, 0xae), false, 6, 0); /* mfence */
        }
        return;
    }
    if ((op->sub & IR_MEM_BE) && op->esz) {
        asm_mov(a, true, page, value);
        swap_integer(e, page, op->esz);
        value = page;
    }
    if (op->sub & IR_MEM_SC) {
        if (value != page) {
            asm_mov(a, true, page, value);
        }
        asm_rm(a,
               op->esz == 0   ? OP_BYTE_REG | 0x86
               : op->esz == 1 ? OP(PP_66, MAP_NONE, OP_XCHG)
                              : OP_XCHG,
               op->esz == 3, page, m);
    } else {
        asm_store_sized(a, op->esz, m, value);
    }
}

/* The instructions of a store; value NO_REG: the constant. */
static void emit_stores(Emitter *e, const IrOp *op, Mem m, const int value[2], int page)
{
    unsigned count = op->opcode == IR_OP_st2 ? 2 : 1;

    for (unsigned i = 0; i < count; i++) {
        uint64_t constant = 0;

        if (value[i] == NO_REG) {
            emitter_const(e, op->args[i + 1], &constant);
        }
        store_to(e, op, m, value[i], (int32_t)constant, page);
        m.disp += 1 << op->esz;
    }
}

static void emit_store(Emitter *e, const IrOp *op)
{
    bool two = op->opcode == IR_OP_st2;
    unsigned size = (two ? 2u : 1u) << op->esz;
    Access access = {
        .l = { .size = size, .element = size, .flags = op->sub, .write = true, .page = NO_REG }
    };
    int value, value2 = NO_REG;

    if (changes_flags(e, op)) {
        emitter_clobber_flags(e);
    }
    emitter_begin_access(e, op, &access);
    value = use_store_value(e, op, op->args[1]);
    if (two) {
        value2 = use_store_value(e, op, op->args[2]);
    }
    if (!emitter_is_follower(e, e->at) || op->sub & (IR_MEM_BE | IR_MEM_SC)) {
        access.l.page = emitter_scratch(e);
    }
    emitter_advance(e);
    emitter_check_access(e, &access, two ? STUB_STORE2 : STUB_STORE);
    if (access.stub) {
        access.stub->value = (int8_t)value;
        access.stub->value2 = (int8_t)value2;
    }
    emit_stores(e, op, emitter_access_mem(&access), (int[]){ value, value2 }, access.l.page);
    emitter_end_access(e, &access);
    emitter_finish_void(e);
}

static void emit_load_check(Emitter *e, const IrOp *op)
{
    Access access = { .l = { .size = (unsigned)op->aux,
                             .element = 1u << op->esz,
                             .flags = op->sub,
                             .write = emit_is_write(op) } };

    if (changes_flags(e, op)) {
        emitter_clobber_flags(e);
    }
    emitter_begin_access(e, op, &access);
    access.l.page = emitter_scratch(e);
    emitter_advance(e);
    emitter_check_access(e, &access, STUB_CHECK);
    if (access.stub) {
        access.stub->result = (int8_t)access.l.page;
    }
    asm_lea(&e->a, true, access.l.page, emitter_access_mem(&access));
    emitter_end_access(e, &access);
    emitter_finish(e, access.l.page);
}

static void emit_load_raw(Emitter *e, const IrOp *op)
{
    int a, result;

    if (op->sub & IR_MEM_BE) {
        emitter_clobber_flags(e);
    }
    a = emitter_use(e, op->args[0]);
    emitter_advance(e);
    result = emitter_result(e, op->type == IR_V128 ? NO_REG : a, 0);
    load_from(e, op, result, mem(a, op->imm));
    emitter_finish(e, result);
}

static void emit_zero(Emitter *e, const IrOp *op)
{
    Assembler *a = &e->a;
    ColdStub *stub;
    unsigned size = (unsigned)op->imm;
    TlbLookup l = { .size = 1, .element = 1, .flags = op->sub, .write = true };
    int in;

    emitter_clobber_flags(e);
    in = emitter_use(e, op->args[0]);
    l.address = emitter_scratch(e);
    l.t = emitter_scratch(e);
    l.page = emitter_scratch(e);
    emitter_advance(e);
    asm_mov(a, true, l.address, in);
    asm_group1_imm(a, true, G1_AND, l.address, -(int32_t)size);
    stub = emitter_stub(e, STUB_ZERO);
    stub->address = (int8_t)l.address;
    stub->scratch = (int8_t)l.t;
    emitter_snapshot(e, stub);
    emit_tlb_lookup(e, &l, stub);
    asm_vector_const(e, VTMP0, 0, 0);
    if (size <= 256) {
        for (unsigned at = 0; at < size; at += 16) {
            asm_vector_store(e, 4, mem_index(l.address, l.t, 0, at), VTMP0);
        }
    } else {
        uint8_t *loop;

        asm_rr(a, OP_ADD, true, l.address, l.t);
        asm_lea(a, true, l.t, mem(l.address, size));
        loop = a->p;
        for (unsigned at = 0; at < 64; at += 16) {
            asm_vector_store(e, 4, mem(l.address, at), VTMP0);
        }
        asm_group1_imm(a, true, G1_ADD, l.address, 64);
        asm_rr(a, OP_CMP, true, l.address, l.t);
        asm_jcc_to(a, CC_NE, loop);
    }
    stub->join = a->p;
    emitter_finish_void(e);
}

static void emit_fence(Emitter *e)
{
    emitter_clobber_flags(e);
    asm_u8(&e->a, 0xf0);
    asm_group1_mem_imm(&e->a, false, G1_OR, mem(RSP, FRAME_SCRATCH), 0);
    e->locked = 0;
}

void emit_memory_op(Emitter *e, const IrOp *op)
{
    switch (op->opcode) {
    case IR_OP_ld:
        emit_load(e, op);
        break;
    case IR_OP_st:
    case IR_OP_st2:
        emit_store(e, op);
        break;
    case IR_OP_ldchk:
        emit_load_check(e, op);
        break;
    case IR_OP_ldraw:
        emit_load_raw(e, op);
        break;
    case IR_OP_mzero:
        emit_zero(e, op);
        break;
    case IR_OP_fence:
        emit_fence(e);
        break;
    default:
        emit_atomic_op(e, op);
    }
}
