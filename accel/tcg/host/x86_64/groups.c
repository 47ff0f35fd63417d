/* SPDX-License-Identifier: MIT */
/*
 * Groups: accesses with one base value that a single TLB lookup serves.
 *
 * The first one leads: its lookup covers what all of them reach. When that fails, and the run time cannot put the page into
 * the TLB, the unit is left for one without groups (TCG_MODE_UNGROUPED) that begins with the leader's instruction. So only an
 * access before which its instruction has done nothing leads, and its followers have nothing to test and nowhere to fault.
 */
#include "accel/tcg/host/x86_64/emitter.h"
#include "accel/tcg/ir/target.h"

enum { SPAN = 512, WINDOW = 128 };

enum { MAX_ACCESSES = 512 }; /* the rest of a unit has no groups */

typedef struct {
    IrRef at, base;  /* base 0: a page relative to the pc, which it lies in */
    int32_t page;    /* that page */
    uint16_t region; /* no helper or the like lies between those of one */
    bool write;
    bool leads;         /* it may: its instruction has done nothing before it */
    int32_t start, end; /* offsets from base, or in the page */
} GroupAccess;

typedef struct {
    Emitter *e;
    unsigned count;
    GroupAccess accesses[MAX_ACCESSES];
    uint8_t active[MAX_GROUPS]; /* by place in the frame; 0: none */
    IrRef until[MAX_GROUPS];    /* the last follower that was in sight when the group began */
    unsigned next;
} Planner;

static bool is_groupable(const IrOp *op)
{
    return (op->opcode == IR_OP_ld || op->opcode == IR_OP_st || op->opcode == IR_OP_st2 ||
            op->opcode == IR_OP_ldchk) &&
           !(op->sub & (IR_MEM_ALIGNED | IR_MEM_OTHER)) && op->imm >= INT32_MIN / 2 &&
           op->imm <= INT32_MAX / 2;
}

/* Behind which no lookup holds: helpers, and what may wait for other processors and do what they ask for meanwhile. */
static bool may_remap(const IrOp *op)
{
    switch (op->opcode) {
    case IR_OP_call:
        return !op->helper->host && !op->helper->intrinsic;
    case IR_OP_cas:
    case IR_OP_amo:
    case IR_OP_stx:
        return true;
    default:
        return false;
    }
}

/* Whether the instruction could not be begun once more behind the op. */
static bool has_acted(const IrUnit *unit, const IrOp *op)
{
    if (op->opcode == IR_OP_set && unit->count_var && op->var == unit->count_var) {
        return false; /* of instructions that are done */
    }
    if (op->opcode == IR_OP_call) {
        return !op->helper->host && !op->helper->intrinsic;
    }
    return ir_op_info[op->opcode].effects & ~(unsigned)IR_READ_VAR;
}

/* An address relative to the pc: what lies in one page has one lookup, however far apart it is. */
static void find_page(const Emitter *e, const IrOp *op, GroupAccess *a)
{
    int64_t page;
    int32_t offset;

    if (emitter_page_of(e, op, &page, &offset) && offset + emit_access_size(op) <= TCG_PAGE_SIZE) {
        a->base = 0;
        a->page = (int32_t)page;
        a->end += offset - a->start;
        a->start = offset;
    }
}

static void note_access(Planner *p, IrRef at, unsigned region, bool untouched)
{
    const IrOp *op = &p->e->unit->ops[at];
    GroupAccess *a = &p->accesses[p->count++];

    *a = (GroupAccess){ .at = at,
                        .base = p->e->values[op->args[0]].root,
                        .region = (uint16_t)region,
                        .write = emit_is_write(op),
                        .leads = untouched,
                        .start = (int32_t)op->imm,
                        .end = (int32_t)op->imm + emit_access_size(op) };
    find_page(p->e, op, a);
}

static void find_accesses(Planner *p)
{
    const IrUnit *unit = p->e->unit;
    unsigned region = 0;
    bool untouched = false;

    for (unsigned i = 1; i < unit->count && p->count < MAX_ACCESSES; i++) {
        const IrOp *op = &unit->ops[i];

        if (op->opcode == IR_OP_insn) {
            untouched = true;
            continue;
        }
        if (is_groupable(op)) {
            note_access(p, (IrRef)i, region, untouched);
        } else if (may_remap(op)) {
            region++;
        }
        untouched = untouched && !has_acted(unit, op);
    }
}

/* Looks ahead for accesses that a lookup for this one can serve, too. false: there are none. */
static bool find_followers(const Planner *p, const GroupAccess *lead, AccessGroup *g)
{
    const GroupAccess *end = p->accesses + p->count;
    bool found = false;

    *g = (AccessGroup){ .base = lead->base,
                        .page = lead->page,
                        .lead = lead->at,
                        .last = lead->at,
                        .start = lead->start,
                        .end = lead->end,
                        .write = lead->write,
                        .reg = NO_REG };
    for (const GroupAccess *a = lead + 1;
         a < end && a->region == lead->region && a->at < lead->at + WINDOW; a++) {
        if (a->base == g->base && a->page == g->page &&
            (!g->base || MAX(g->end, a->end) - MIN(g->start, a->start) <= SPAN)) {
            g->start = MIN(g->start, a->start);
            g->end = MAX(g->end, a->end);
            g->write |= a->write;
            g->last = a->at;
            found = true;
        }
    }
    return found;
}

/* One that is free, or that of a group whose followers still to come, if any, do without. */
static unsigned choose_place(Planner *p, IrRef at)
{
    for (unsigned place = 0; place < MAX_GROUPS; place++) {
        if (!p->active[place] || p->until[place] < at) {
            return place;
        }
    }
    p->next = (p->next + 1) % MAX_GROUPS;
    return p->next;
}

static void begin_group(Planner *p, const GroupAccess *lead)
{
    Emitter *e = p->e;
    AccessGroup g;
    unsigned place;

    if (!lead->leads || e->group_count == MAX_UNIT_GROUPS || !find_followers(p, lead, &g)) {
        return;
    }
    place = choose_place(p, lead->at);
    p->until[place] = g.last;
    p->active[place] = (uint8_t)++e->group_count;
    g.place = (uint8_t)place;
    g.last = lead->at;
    e->groups[e->group_count] = g;
    e->values[lead->at].group = (uint8_t)e->group_count;
}

static bool is_within(const AccessGroup *g, const GroupAccess *a)
{
    return g->base == a->base && g->page == a->page && a->start >= g->start && a->end <= g->end &&
           (g->write || !a->write);
}

static void plan_access(Planner *p, const GroupAccess *a)
{
    Emitter *e = p->e;

    for (unsigned place = 0; place < MAX_GROUPS; place++) {
        AccessGroup *g = &e->groups[p->active[place]];

        if (p->active[place] && is_within(g, a)) {
            g->last = a->at;
            e->values[a->at].group = p->active[place];
            return;
        }
    }
    begin_group(p, a);
}

void emitter_plan_groups(Emitter *e)
{
    const uint64_t without = TCG_MODE_ONE | TCG_MODE_ALONE | TCG_MODE_STEP | TCG_MODE_CHECK |
                             TCG_MODE_BREAK | TCG_MODE_UNGROUPED;
    Planner p;

    e->group_count = 0;
    if (e->unit->mode & without || e->unit->next_page || e->b->runtime.limited) {
        return;
    }
    p.e = e;
    p.count = p.next = 0;
    memset(p.active, 0, sizeof p.active);
    find_accesses(&p);
    for (unsigned i = 0; i < p.count; i++) {
        if (i && p.accesses[i].region != p.accesses[i - 1].region) {
            memset(p.active, 0, sizeof p.active);
        }
        plan_access(&p, &p.accesses[i]);
    }
}

static Mem addend_place(const AccessGroup *g)
{
    return mem(RSP, FRAME_GROUPS + 8 * (int)g->place);
}

int emitter_use_addend(Emitter *e, AccessGroup *g)
{
    int reg = g->reg;

    if (reg == NO_REG) {
        reg = emitter_scratch(e);
        asm_load(&e->a, true, reg, addend_place(g));
    } else {
        emitter_lock(e, reg);
    }
    return reg;
}

void emitter_keep_addend(Emitter *e, AccessGroup *g, int reg)
{
    if (g->reg != NO_REG) {
        e->reserved &= ~(1u << g->reg);
        g->reg = NO_REG;
    }
    if (g->last > e->at) {
        g->reg = (int8_t)reg;
        e->reserved |= 1u << reg;
    }
}

/* A register is a group's as long as followers are to come. */
void emitter_evict_groups(Emitter *e, uint32_t registers)
{
    for (unsigned i = 1; i <= e->group_count && e->reserved & registers; i++) {
        AccessGroup *g = &e->groups[i];

        if (g->reg == NO_REG || !(registers >> g->reg & 1)) {
            continue;
        }
        if (!g->saved) {
            asm_store(&e->a, true, addend_place(g), g->reg);
            g->saved = true;
        }
        e->reserved &= ~(1u << g->reg);
        g->reg = NO_REG;
    }
}
