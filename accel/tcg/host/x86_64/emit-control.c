/* SPDX-License-Identifier: MIT */
/*
 * Leaving a unit. Exits within the page are single patched jumps; exits to another page first check
 * that the context still maps the page to what it was when the exit was linked; indirect exits look
 * in the jump cache, returns first at the top of the return stack.
 */
#include "accel/tcg/host/x86_64/emitter.h"
#include "accel/tcg/ir/target.h"

G_STATIC_ASSERT(sizeof(TcgFetchEntry) == 16);
G_STATIC_ASSERT(sizeof(TcgJumpEntry) == 16);
/* The top is a byte, which wraps by itself. */
G_STATIC_ASSERT(TCG_RETURN_STACK * sizeof(TcgJumpEntry) == 256);
enum { OP_MOVZX8 = OP(PP_NONE, MAP_0F, 0xb6) };

/* rax = env.pc_page + delta */
static void emit_move_page(Emitter *e, int32_t delta)
{
    asm_load(&e->a, true, RAX, ENV(e, pc_page));
    asm_lea(&e->a, true, RAX, mem(RAX, delta));
}

/*
 * Makes what is `before` bytes into the instruction that comes next aligned: by prefixes of it that mean nothing there, since a
 * NOP between a comparison and its jump would keep the host from taking the two as one.
 */
static void align_displacement(Emitter *e, unsigned before, unsigned alignment)
{
    enum { CS_PREFIX = 0x2e, MAX_PREFIXES = 5 };
    unsigned count = -((uintptr_t)e->a.p + before) & (alignment - 1);

    if (count > MAX_PREFIXES) {
        asm_nops(&e->a, count - MAX_PREFIXES);
        count = MAX_PREFIXES;
    }
    while (count--) {
        asm_u8(&e->a, CS_PREFIX);
    }
}

/*
 * Jumps unless the page `delta` behind the current one, whose address is left in rax, is mapped to what an immediate
 * says: an 8-byte aligned one, whose address is returned. rax, rcx, rdx and the host's flags are free.
 */
static uint64_t *emit_page_guard(Emitter *e, int32_t delta, uint64_t host_page, uint8_t **fail)
{
    Assembler *a = &e->a;
    Mem entry = mem_index(R15, RCX, 0, offsetof(TcgContext, fetch));
    uint64_t *guard;
    uint8_t *other;

    emit_move_page(e, delta);
    asm_mov(a, false, RCX, RAX);
    asm_shift_imm(a, false, SHIFT_SHR, RCX, TCG_PAGE_BITS - 4);
    asm_group1_imm(a, false, G1_AND, RCX, ((1 << TCG_FETCH_BITS) - 1) << 4);
    entry.disp += (int32_t)offsetof(TcgFetchEntry, tag);
    asm_rm(a, OP_CMP, true, RAX, entry);
    other = asm_jcc_short(a, CC_NE);
    align_displacement(e, 2, 8);
    asm_u8(a, 0x48); /* mov rdx, imm64 */
    asm_u8(a, 0xb8 | RDX);
    guard = (uint64_t *)(void *)a->p;
    asm_u64(a, host_page);
    entry =
        mem_index(R15, RCX, 0, offsetof(TcgContext, fetch) + offsetof(TcgFetchEntry, host_page));
    asm_rm(a, OP_CMP, true, RDX, entry);
    asm_patch_short(a, other);
    *fail = asm_jcc(a, CC_NE);
    return guard;
}

/* rax and the host's flags are free. */
static void emit_limit(Emitter *e, ColdStub *stub)
{
    Assembler *a = &e->a;

    asm_load(a, true, RAX, ENV(e, insn_limit));
    asm_rm(a, OP_SUB, true, RAX, ENV(e, insn_count));
    asm_group1_imm(a, true, G1_CMP, RAX, (int32_t)e->unit->insn_count);
    emitter_stub_jump(stub, asm_jcc(a, CC_L));
}

void emit_entry(Emitter *e)
{
    ColdStub *stub = emitter_stub(e, STUB_REFUSE);
    uint8_t *fail;

    emitter_stub_jump(stub, e->entry - 4); /* the pad's */
    asm_group1_mem_imm(&e->a, false, G1_CMP, ENV(e, exit_request), 0);
    emitter_stub_jump(stub, asm_jcc(&e->a, CC_NE));
    if (e->b->runtime.limited) {
        emit_limit(e, stub);
    }
    e->body = e->unit->next_page || e->b->runtime.limited ? e->entry : e->a.p;
    if (e->unit->next_page) {
        emit_page_guard(e, TCG_PAGE_SIZE, e->unit->next_page, &fail);
        emitter_stub_jump(stub, fail);
    }
}

/* A unit of one instruction, after which the run time is asked: it is left by links that nobody joins. */
static bool is_one(const Emitter *e)
{
    return e->unit->mode & (TCG_MODE_ONE | TCG_MODE_STEP);
}

/* A unit without groups is for once: the next time round is another's. */
static bool is_own_start(const Emitter *e, int64_t target)
{
    return target == e->unit->start && !is_one(e) && !(e->unit->mode & TCG_MODE_UNGROUPED);
}

static bool in_page(int64_t target)
{
    return target >= 0 && target < TCG_PAGE_SIZE;
}

/*
 * Jumps forward within a page need no poll: they end at its end. Returns do, since calls could make them many; and so
 * does what follows a helper: an interrupt that it let in must come before the next unit.
 */
static TcgLink *new_link(Emitter *e, int64_t target, bool returned)
{
    TcgLink *link;

    if (e->link_count == e->max_links || !asm_fits32(target)) {
        e->failed = true;
        return &e->links[0];
    }
    link = &e->links[e->link_count++];
    *link =
        (TcgLink){ .target = (int32_t)target,
                   .crosses_page = !in_page(target),
                   .polls = !in_page(target) || target <= e->unit->start || e->called || returned };
    return link;
}

static void link_stub(Emitter *e, TcgLink *link, uint8_t *jump)
{
    ColdStub *stub = emitter_stub(e, STUB_LINK);

    stub->link = link;
    link->jump = jump;
}

/* The guard and the jump of a link to another page. Registers and flags are free here. */
static void emit_guarded_jump(Emitter *e, TcgLink *link)
{
    Assembler *a = &e->a;
    int32_t delta = link->target & ~(TCG_PAGE_SIZE - 1);
    uint8_t *fail;
    ColdStub *stub;

    link->guard = emit_page_guard(e, delta, 0, &fail);
    asm_store(a, true, ENV(e, pc_page), RAX);
    align_displacement(e, 1, 4);
    link_stub(e, link, asm_jmp(a));
    stub = &e->stubs[e->stub_count - 1];
    emitter_stub_jump(stub, fail);
}

/* Leaves to a page-relative pc; all variables are in their places. */
static void emit_leave(Emitter *e, int64_t target)
{
    TcgLink *link;

    if (is_own_start(e, target)) {
        asm_jmp_to(&e->a, e->entry);
        return;
    }
    link = new_link(e, target, false);
    if (link->crosses_page) {
        emit_guarded_jump(e, link);
    } else {
        align_displacement(e, 1, 4);
        link_stub(e, link, asm_jmp(&e->a));
    }
}

/* A conditional jump to a stub, or to the link's target. */
static void emit_exit_jump(Emitter *e, HostCondition c, int64_t target, ColdStub *stub)
{
    Assembler *a = &e->a;
    uint8_t *jumps[2];
    unsigned count;

    if (c.parity != PARITY_NONE) {
        count = emit_skip_unless(e, c, jumps);
        if (stub) {
            emitter_stub_jump(stub, asm_jmp(a));
        } else {
            emit_leave(e, target);
        }
        while (count) {
            asm_patch_short(a, jumps[--count]);
        }
    } else if (stub) {
        emitter_stub_jump(stub, asm_jcc(a, c.cc));
    } else if (is_own_start(e, target)) {
        asm_jcc_to(a, c.cc, e->entry);
    } else {
        TcgLink *link = new_link(e, target, false);

        align_displacement(e, 2, 4);
        link_stub(e, link, asm_jcc(a, c.cc));
    }
}

static void emit_exit_if(Emitter *e, const IrOp *op)
{
    HostCondition c;
    ColdStub *stub = NULL;

    emitter_write_back_final(e);
    c = emitter_condition(e, op->args[0], op->cond);
    emitter_advance(e);
    if (e->dirty[0] || e->dirty[1] || !in_page(op->imm)) {
        stub = emitter_stub(e, STUB_EXIT);
        emitter_snapshot(e, stub);
    }
    emit_exit_jump(e, c, op->imm, stub);
    emitter_finish_void(e);
}

/* Return-stack entries tell classes apart; the sum cannot become TCG_JUMP_EMPTY. */
static int32_t return_class(const IrOp *op)
{
    return (int32_t)(op->aux & (TCG_JUMP_CLASSES - 1)) << 29;
}

/* Goes where the jump cache says for the pc in rax. */
static void emit_cached_jump(Emitter *e, const IrOp *op)
{
    Assembler *a = &e->a;
    unsigned shift = e->b->runtime.jump_shift, scale = MIN(4 - shift, 3);
    unsigned table = tcg_jump_table(op->aux & (TCG_JUMP_CLASSES - 1), e->unit->mode,
                                    e->b->runtime.jump_mode_bit);
    size_t jump =
        offsetof(TcgContext, jump) + ((size_t)table << TCG_JUMP_BITS) * sizeof(TcgJumpEntry);

    /* tcg_jump_index << shift; the entry's 16 bytes are the scale's and, with shift 0, one more doubling. */
    asm_mov(a, false, RCX, RAX);
    asm_shift_imm(a, false, SHIFT_SHR, RCX, TCG_PAGE_BITS - shift);
    asm_rr(a, OP_XOR, false, RCX, RAX);
    asm_group1_imm(a, false, G1_AND, RCX, ((1 << TCG_JUMP_BITS) - 1) << shift);
    if (shift == 0) {
        asm_rr(a, OP_ADD, false, RCX, RCX);
    }
    asm_rm(a, OP_CMP, true, RAX, mem_index(R15, RCX, scale, (int64_t)jump));
    emitter_stub_jump(emitter_stub(e, STUB_INDIRECT), asm_jcc(a, CC_NE));
    asm_group1_imm(a, true, G1_AND, RAX, ~(TCG_PAGE_SIZE - 1));
    asm_store(a, true, ENV(e, pc_page), RAX);
    asm_jmp_mem(a, mem_index(R15, RCX, scale, (int64_t)(jump + offsetof(TcgJumpEntry, code))));
}

/* To the pc in rax when the return stack expects it; else the jump cache is asked, in a stub. */
static void emit_predicted_return(Emitter *e, const IrOp *op)
{
    Assembler *a = &e->a;

    asm_rm(a, OP_MOVZX8, false, RCX, ENV(e, return_top));
    asm_group1_imm_sized(a, 0, G1_SUB, RCX, sizeof(TcgJumpEntry));
    if (op->aux) {
        asm_lea(a, true, RDX, mem(RAX, return_class(op)));
    }
    asm_rm(a, OP_CMP, true, op->aux ? RDX : RAX,
           mem_index(R15, RCX, 0, offsetof(TcgContext, returns)));
    emitter_stub_jump(emitter_stub(e, STUB_OTHER_RETURN), asm_jcc(a, CC_NE));
    asm_store_sized(a, 0, ENV(e, return_top), RCX);
    asm_group1_imm(a, true, G1_AND, RAX, ~(TCG_PAGE_SIZE - 1));
    asm_store(a, true, ENV(e, pc_page), RAX);
    asm_jmp_mem(
        a, mem_index(R15, RCX, 0, offsetof(TcgContext, returns) + offsetof(TcgJumpEntry, code)));
}

/* The dispatcher is asked for the pc in rax. */
static void emit_indirect(Emitter *e, const IrOp *op)
{
    Assembler *a = &e->a;

    asm_mov(a, true, RSI, RAX);
    asm_mov_imm(a, RDX, (uint64_t)op->aux & (TCG_JUMP_CLASSES - 1));
    asm_mov_imm(a, RCX, (uint64_t)op->imm);
    asm_jmp_to(a, e->b->indirect);
}

static void emit_goto_indirect(Emitter *e, const IrOp *op)
{
    emitter_write_back(e);
    e->eflags = 0;
    emitter_use_in(e, op->args[0], RAX);
    if (is_one(e)) {
        emit_indirect(e, op);
    } else if (op->sub == IR_RETURN) {
        emit_predicted_return(e, op);
    } else {
        emit_cached_jump(e, op);
    }
    e->done = true;
}

/* The pc of the return, which a call also stores or sets as a rule. */
static int use_return_pc(Emitter *e, const IrOp *op)
{
    enum { NEAR_OPS = 4 };
    int pc;

    for (unsigned i = e->at - 1; i > 0 && i + NEAR_OPS >= e->at; i--) {
        const IrOp *other = &e->unit->ops[i];

        if (other->opcode == IR_OP_pc && other->imm == op->imm && emitter_needed(e, (IrRef)i)) {
            return emitter_use(e, (IrRef)i);
        }
    }
    pc = emitter_scratch(e);
    asm_load(&e->a, true, pc, ENV(e, pc_page));
    asm_lea(&e->a, true, pc, mem(pc, op->imm));
    return pc;
}

/* reg = where a return to the page-relative pc arrives: the link's jump is the displacement of this instruction. */
static void emit_return_link(Emitter *e, int reg, int64_t target)
{
    Assembler *a = &e->a;

    align_displacement(e, 3, 4);
    asm_rm(a, OP_LEA, true, reg, mem(RIP_BASE, 0));
    if (is_own_start(e, target)) {
        asm_patch_to(a, a->p - 4, e->entry);
    } else {
        link_stub(e, new_link(e, target, true), a->p - 4);
    }
}

/* A return address beyond the page is not predicted: its mapping may change. The host's flags stay. */
static void emit_push_return(Emitter *e, const IrOp *op)
{
    Assembler *a = &e->a;
    int top, scratch, pc;

    if (!in_page(op->imm) || is_one(e)) {
        return;
    }
    pc = use_return_pc(e, op);
    top = emitter_scratch(e);
    scratch = emitter_scratch(e);
    asm_rm(a, OP_MOVZX8, false, top, ENV(e, return_top));
    asm_lea(a, false, scratch, mem(top, sizeof(TcgJumpEntry)));
    asm_store_sized(a, 0, ENV(e, return_top), scratch);
    if (op->aux) {
        asm_lea(a, true, scratch, mem(pc, return_class(op)));
        pc = scratch;
    }
    asm_store(a, true, mem_index(R15, top, 0, offsetof(TcgContext, returns)), pc);
    emit_return_link(e, scratch, op->imm);
    asm_store(a, true,
              mem_index(R15, top, 0, offsetof(TcgContext, returns) + offsetof(TcgJumpEntry, code)),
              scratch);
    e->locked = 0;
}

static void emit_dispatch(Emitter *e, const IrOp *op)
{
    Assembler *a = &e->a;

    emitter_write_back(e);
    if (op->opcode == IR_OP_dispatch) {
        int64_t page = op->imm & ~(int64_t)(TCG_PAGE_SIZE - 1);

        if (page) {
            asm_mov_imm(a, RAX, (uint64_t)page);
            asm_rm(a, OP_ADD, true, RAX, ENV(e, pc_page));
            asm_store(a, true, ENV(e, pc_page), RAX);
        }
        asm_store_imm(a, 2, ENV(e, pc_offset), (int32_t)(op->imm & (TCG_PAGE_SIZE - 1)));
    }
    asm_jmp_to(a, e->b->dispatch);
    e->done = true;
}

void emit_control_op(Emitter *e, const IrOp *op)
{
    switch (op->opcode) {
    case IR_OP_exit_if:
        emit_exit_if(e, op);
        break;
    case IR_OP_goto:
        emitter_write_back(e);
        emit_leave(e, op->imm);
        e->done = true;
        break;
    case IR_OP_goto_ind:
        emit_goto_indirect(e, op);
        break;
    case IR_OP_push_return:
        emit_push_return(e, op);
        break;
    default:
        emit_dispatch(e, op);
    }
}

static void emit_link_stub(Emitter *e, const ColdStub *stub)
{
    Assembler *a = &e->a;
    TcgLink *link = stub->link;

    /* The jump's unlinked target; a guarded link has moved pc_page by then. */
    link->stub = a->p;
    asm_patch(a, link->jump);
    if (link->crosses_page) {
        asm_group1_mem_imm(a, true, G1_SUB, ENV(e, pc_page), link->target & ~(TCG_PAGE_SIZE - 1));
    }
    for (unsigned i = 0; i < stub->jump_count; i++) {
        asm_patch(a, stub->jumps[i]);
    }
    asm_address(a, RSI, link);
    asm_jmp_to(a, e->b->follow_link);
}

void emit_control_stub(Emitter *e, ColdStub *stub)
{
    const IrOp *op = &e->unit->ops[stub->op];
    Assembler *a = &e->a;

    if (stub->kind == STUB_LINK) {
        emit_link_stub(e, stub);
        return;
    }
    for (unsigned i = 0; i < stub->jump_count; i++) {
        asm_patch(a, stub->jumps[i]);
    }
    switch (stub->kind) {
    case STUB_REFUSE:
        asm_store_imm(a, 2, ENV(e, pc_offset), e->unit->start);
        asm_jmp_to(a, e->b->refuse);
        break;
    case STUB_EXIT:
        emit_cold_stores(e, stub);
        if (stub->save_flags) {
            emit_eflags_to_ax(e, stub->flags_kind, RCX);
            asm_store_sized(a, 1, emitter_home(e, e->b->flags_var), RAX);
        }
        emit_leave(e, op->imm);
        break;
    case STUB_OTHER_RETURN:
        emit_cached_jump(e, op);
        break;
    case STUB_INDIRECT:
        emit_indirect(e, op);
        break;
    }
}
