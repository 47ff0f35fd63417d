/* SPDX-License-Identifier: MIT */
/*
 * The register allocator: one forward pass that knows when each value is used next. Values are
 * brought into registers as ops ask for them; under pressure the value with the farthest next use
 * goes, and one that needs no store is preferred.
 */
#include "accel/tcg/host/x86_64/emitter.h"

/* In the order in which free registers are taken: rax last, because flags go through it. */
static const int8_t int_order[] = { RCX, RSI, RDI, RDX, RAX, R8, R9, R10, R11, R14, R13, R12, RBX };

static bool is_vector_value(const Emitter *e, IrRef root)
{
    return ir_result_type(&e->unit->ops[root]) == IR_V128;
}

static bool is_rematerialisable(const Emitter *e, IrRef root)
{
    const IrOp *op = &e->unit->ops[root];

    return op->opcode == IR_OP_const || op->opcode == IR_OP_vconst || op->opcode == IR_OP_fconst ||
           emitter_is_near_pc(op);
}

/* Whether the value can be had without this register. */
static bool is_backed(const Emitter *e, IrRef root, int reg)
{
    return (e->values[root].regs & ~(1u << reg)) || e->values[root].slot != NO_SLOT ||
           e->values[root].home_var != NO_VAR || is_rematerialisable(e, root);
}

void emitter_unbind(Emitter *e, int reg)
{
    IrRef value = e->reg_value[reg];

    if (value) {
        e->values[value].regs &= ~(1u << reg);
        e->reg_value[reg] = 0;
    }
}

void emitter_bind(Emitter *e, IrRef root, int reg)
{
    emitter_unbind(e, reg);
    e->reg_value[reg] = root;
    e->values[root].regs |= 1u << reg;
}

void emitter_copy(Emitter *e, int to, int from)
{
    if (to == from) {
        return;
    }
    if (to >= XMM0) {
        asm_vector_mov(e, to, from);
    } else {
        asm_mov(&e->a, true, to, from);
    }
}

static void free_slot(Emitter *e, IrRef root)
{
    unsigned slot = (unsigned)e->values[root].slot;

    e->slot_map[slot / 64] &=
        ~((is_vector_value(e, root) ? UINT64_C(3) : UINT64_C(1)) << slot % 64);
    e->values[root].slot = NO_SLOT;
}

static void allocate_slot(Emitter *e, IrRef root)
{
    uint64_t pattern = is_vector_value(e, root) ? 3 : 1;

    for (unsigned word = 0; word < G_N_ELEMENTS(e->slot_map); word++) {
        if (e->slot_map[word] == UINT64_MAX) {
            continue;
        }
        for (unsigned bit = 0; bit < 64; bit += (unsigned)pattern + (pattern == 3 ? -1 : 0)) {
            unsigned slot = word * 64 + bit;

            if (!(e->slot_map[word] & pattern << bit) && slot + 2 <= FRAME_SLOT_COUNT) {
                e->slot_map[word] |= pattern << bit;
                e->values[root].slot = (int16_t)slot;
                return;
            }
        }
    }
    e->failed = true;
    e->values[root].slot = 0;
}

static void store_slot(Emitter *e, IrRef root, int reg)
{
    if (e->values[root].slot != NO_SLOT) {
        return;
    }
    allocate_slot(e, root);
    if (reg >= XMM0) {
        asm_vector_store(e, 4, emitter_slot(e->values[root].slot), reg);
    } else {
        asm_store(&e->a, true, emitter_slot(e->values[root].slot), reg);
    }
}

/* Makes sure that a value survives the loss of a register, by stores if need be. */
static void back_up(Emitter *e, int reg)
{
    IrRef value = e->reg_value[reg];

    if (!value || !emitter_needed(e, value)) {
        return;
    }
    if (e->values[value].hold && !(e->values[value].regs & ~(1u << reg)) &&
        !emitter_is_immediate(&e->unit->ops[value])) {
        for (unsigned word = 0; word < 2; word++) {
            for (uint64_t map = e->dirty[word]; map; map &= map - 1) {
                unsigned var = word * 64 + (unsigned)__builtin_ctzll(map);

                if (e->values[e->var_value[var]].root == value) {
                    emitter_store_home(e, var);
                }
            }
        }
    }
    if ((e->values[value].next_use || e->values[value].keep) && !is_backed(e, value, reg)) {
        store_slot(e, value, reg);
    }
}

static bool is_free(const Emitter *e, int reg)
{
    return emitter_is_temporary(e, reg) && !e->reg_value[reg] &&
           !((e->locked | e->reserved) >> reg & 1);
}

static int find_free(const Emitter *e, bool vector)
{
    if (vector) {
        for (int reg = XMM0; reg < REG_COUNT; reg++) {
            if (is_free(e, reg)) {
                return reg;
            }
        }
        return NO_REG;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(int_order); i++) {
        int reg = int_order[i];

        if (is_free(e, reg)) {
            return reg;
        }
    }
    return NO_REG;
}

/* The register whose loss costs least. */
static int find_victim(Emitter *e, bool vector)
{
    int best = NO_REG;
    unsigned best_score = 0;

    for (int reg = vector ? XMM0 : 0; reg < (vector ? REG_COUNT : XMM0); reg++) {
        IrRef value = e->reg_value[reg];
        unsigned next, score;

        if (!emitter_is_temporary(e, reg) || ((e->locked | e->reserved) >> reg & 1)) {
            continue;
        }
        next = e->values[value].next_use ? e->values[value].next_use : IR_MAX_OPS;
        score = (next - e->at) * 2 + 1;
        if (is_backed(e, value, reg)) {
            score *= 2;
        }
        if (score > best_score) {
            best_score = score;
            best = reg;
        }
    }
    if (best == NO_REG) {
        e->failed = true;
        best = vector ? XMM0 : RAX;
    }
    return best;
}

static int allocate(Emitter *e, bool vector)
{
    int reg = find_free(e, vector);

    if (reg == NO_REG && !vector && (e->reserved & ~e->locked)) {
        emitter_evict_groups(e, e->reserved & ~e->locked);
        reg = find_free(e, vector);
    }
    if (reg == NO_REG) {
        reg = find_victim(e, vector);
        back_up(e, reg);
        emitter_unbind(e, reg);
    }
    emitter_lock(e, reg);
    return reg;
}

int emitter_scratch(Emitter *e)
{
    return allocate(e, false);
}

int emitter_scratch_vector(Emitter *e)
{
    return allocate(e, true);
}

/* Moves a needed value out of a register that is about to be overwritten. */
static void evacuate(Emitter *e, int reg)
{
    IrRef value = e->reg_value[reg];

    if (value && emitter_needed(e, value) && !is_backed(e, value, reg)) {
        int other = find_free(e, reg >= XMM0);

        if (other != NO_REG && other != reg) {
            emitter_copy(e, other, reg);
            emitter_bind(e, value, other);
        } else {
            back_up(e, reg);
        }
    } else if (value && e->values[value].hold) {
        back_up(e, reg);
    }
    emitter_unbind(e, reg);
}

void emitter_take(Emitter *e, int reg)
{
    emitter_evict_groups(e, 1u << reg);
    emitter_lock(e, reg);
    evacuate(e, reg);
}

bool emitter_const(const Emitter *e, IrRef ref, uint64_t *value)
{
    const IrOp *op = emitter_value(e, ref);

    if (op->opcode != IR_OP_const || op->type == IR_V128) {
        return false;
    }
    *value = op->type == IR_I32 ? (uint32_t)op->imm : (uint64_t)op->imm;
    return true;
}

bool emitter_const32(const Emitter *e, IrRef ref, bool w, int32_t *value)
{
    uint64_t full;

    if (!emitter_const(e, ref, &full) || (w && !asm_fits32((int64_t)full))) {
        return false;
    }
    *value = (int32_t)full;
    return true;
}

void emitter_load_value(Emitter *e, IrRef root, int reg)
{
    const IrOp *op = &e->unit->ops[root];
    bool vector = reg >= XMM0;

    if (e->values[root].regs) {
        emitter_copy(e, reg, __builtin_ctz(e->values[root].regs));
    } else if (op->opcode == IR_OP_const && !vector) {
        uint64_t value = 0;

        emitter_const(e, root, &value);
        asm_mov_imm(&e->a, reg, value);
    } else if (emitter_is_near_pc(op)) {
        asm_load(&e->a, true, reg, ENV(e, pc_page));
        asm_lea(&e->a, true, reg, mem(reg, op->imm));
    } else if (op->opcode == IR_OP_fconst) {
        asm_mov_imm(&e->a, reg, ir_const_flags(op));
    } else if (op->opcode == IR_OP_const || op->opcode == IR_OP_vconst) {
        asm_vector_const(e, reg, (uint64_t)op->imm,
                         (uint64_t)(op->opcode == IR_OP_const ? op->imm : op->aux));
    } else if (e->values[root].slot != NO_SLOT) {
        if (vector) {
            asm_vector_load(e, 4, reg, emitter_slot(e->values[root].slot));
        } else {
            asm_load(&e->a, true, reg, emitter_slot(e->values[root].slot));
        }
    } else if (e->values[root].home_var != NO_VAR) {
        emitter_load_home(e, e->values[root].home_var, reg);
    } else {
        e->failed = true;
    }
}

void emitter_load_home(Emitter *e, unsigned var, int reg)
{
    Mem home = emitter_home(e, var);

    switch (e->b->runtime.vars[var].type) {
    case IR_V128:
        asm_vector_load(e, 4, reg, home);
        break;
    case IR_FLAGS:
        asm_rm(&e->a, OP(PP_NONE, MAP_0F, 0xb7), false, reg, home);
        break;
    case IR_I32:
        asm_load(&e->a, false, reg, home);
        break;
    default:
        asm_load(&e->a, true, reg, home);
    }
}

static bool is_only_in_eflags(const Emitter *e, IrRef root)
{
    return e->eflags == root && !e->values[root].regs && e->values[root].slot == NO_SLOT &&
           e->values[root].home_var == NO_VAR && !is_rematerialisable(e, root);
}

int emitter_use(Emitter *e, IrRef ref)
{
    IrRef root = e->values[ref].root;
    uint32_t where = e->values[root].regs;
    int reg;

    if (where) {
        /* A temporary is better: it may be reused for the result. */
        reg = __builtin_ctz(where & e->b->temporaries ? where & e->b->temporaries : where);
        emitter_lock(e, reg);
        return reg;
    }
    if (is_only_in_eflags(e, root)) {
        emitter_flags_to_rax(e);
        if (e->values[root].regs) {
            emitter_lock(e, RAX);
            return RAX;
        }
    }
    reg = allocate(e, is_vector_value(e, root));
    emitter_load_value(e, root, reg);
    emitter_bind(e, root, reg);
    return reg;
}

unsigned emitter_next_use(const Emitter *e, IrRef root)
{
    const IrOp *op = &e->unit->ops[e->at];

    for (unsigned k = 0; k < 4; k++) {
        if (op->args[k] && e->values[op->args[k]].root == root) {
            return e->values[e->at].use_next[k];
        }
    }
    return e->values[root].next_use;
}

bool emitter_used_after(const Emitter *e, IrRef root)
{
    return emitter_next_use(e, root);
}

bool emitter_needed_after(const Emitter *e, IrRef root)
{
    return e->values[root].hold || e->values[root].keep || emitter_used_after(e, root);
}

void emitter_use_in(Emitter *e, IrRef ref, int reg)
{
    IrRef root = e->values[ref].root;

    if (e->reg_value[reg] == root) {
        emitter_lock(e, reg);
        if (emitter_needed_after(e, root) && !is_backed(e, root, reg)) {
            int other = allocate(e, reg >= XMM0);

            emitter_copy(e, other, reg);
            emitter_bind(e, root, other);
            e->locked &= ~(1u << other);
        }
        if (emitter_needed_after(e, root)) {
            back_up(e, reg);
            emitter_unbind(e, reg);
        }
        return;
    }
    if (is_only_in_eflags(e, root)) {
        emitter_use(e, ref);
    }
    emitter_take(e, reg);
    emitter_load_value(e, root, reg);
}

bool emitter_use_memory(Emitter *e, IrRef ref, Mem *m)
{
    IrRef root = e->values[ref].root;

    if (e->values[root].regs || e->values[root].hold || emitter_used_after(e, root)) {
        return false;
    }
    if (e->values[root].slot != NO_SLOT) {
        *m = emitter_slot(e->values[root].slot);
        return true;
    }
    if (e->values[root].home_var != NO_VAR &&
        (e->b->runtime.vars[e->values[root].home_var].type != IR_I32 ||
         e->unit->ops[e->at].type == IR_I32)) {
        *m = emitter_home(e, e->values[root].home_var);
        return true;
    }
    return false;
}

void emitter_advance(Emitter *e)
{
    const IrOp *op = &e->unit->ops[e->at];

    for (unsigned k = 0; k < 4; k++) {
        if (op->args[k]) {
            e->values[e->values[op->args[k]].root].next_use = e->values[e->at].use_next[k];
        }
    }
}

int emitter_result_no_pin(Emitter *e, int reuse)
{
    if (reuse != NO_REG && emitter_is_temporary(e, reuse) && e->reg_value[reuse] &&
        !emitter_needed(e, e->reg_value[reuse])) {
        return reuse;
    }
    return allocate(e, ir_result_type(&e->unit->ops[e->at]) == IR_V128);
}

int emitter_result(Emitter *e, int reuse, uint32_t avoid)
{
    int pin = e->values[e->at].hint;

    if (pin != NO_REG && !(avoid >> pin & 1)) {
        emitter_take(e, pin);
        return pin;
    }
    if (reuse != NO_REG && (avoid >> reuse & 1)) {
        reuse = NO_REG;
    }
    return emitter_result_no_pin(e, reuse);
}

void emitter_release(Emitter *e, IrRef root)
{
    if (emitter_needed(e, root)) {
        return;
    }
    for (uint32_t map = e->values[root].regs & e->b->temporaries; map; map &= map - 1) {
        emitter_unbind(e, __builtin_ctz(map));
    }
    if (e->values[root].slot != NO_SLOT) {
        free_slot(e, root);
    }
    if (e->values[root].home_var != NO_VAR) {
        e->home_value[e->values[root].home_var] = 0;
        e->values[root].home_var = NO_VAR;
    }
}

void emitter_finish_void(Emitter *e)
{
    const IrOp *op = &e->unit->ops[e->at];

    for (unsigned k = 0; k < 4; k++) {
        if (op->args[k]) {
            emitter_release(e, e->values[op->args[k]].root);
        }
    }
    e->locked = 0;
}

void emitter_finish(Emitter *e, int reg)
{
    emitter_bind(e, (IrRef)e->at, reg);
    emitter_finish_void(e);
    emitter_release(e, (IrRef)e->at);
}

/* The result is in a certain temporary. */
void emitter_finish_from(Emitter *e, int reg)
{
    emitter_lock(e, reg);
    if (e->values[e->at].hint != NO_REG) {
        int pin = emitter_result(e, NO_REG, 0);

        emitter_copy(e, pin, reg);
        reg = pin;
    }
    emitter_finish(e, reg);
}

void emitter_lock_value(Emitter *e, IrRef root)
{
    e->locked |= e->values[root].regs;
}

/* Keeps a value in the frame, and nowhere that a call could change. */
void emitter_move_to_slot(Emitter *e, IrRef root)
{
    if (is_rematerialisable(e, root)) {
        return;
    }
    if (e->values[root].slot == NO_SLOT) {
        int reg = emitter_use(e, root);

        store_slot(e, root, reg);
        e->locked &= ~(1u << reg);
    }
}

/* Before a call: what lives in temporaries gets a copy in memory. */
void emitter_spill_temporaries(Emitter *e)
{
    for (uint32_t map = e->b->temporaries; map; map &= map - 1) {
        int reg = __builtin_ctz(map);
        IrRef value = e->reg_value[reg];

        if (value && emitter_needed_after(e, value)) {
            uint32_t all = e->values[value].regs;

            /* Pins survive calls; other temporaries do not count as backing. */
            e->values[value].regs &= ~e->b->temporaries | 1u << reg;
            back_up(e, reg);
            e->values[value].regs = all;
        }
    }
}

void emitter_drop_temporaries(Emitter *e)
{
    for (uint32_t map = e->b->temporaries; map; map &= map - 1) {
        emitter_unbind(e, __builtin_ctz(map));
    }
}
