/* SPDX-License-Identifier: MIT */
/* What stubs of memory accesses do. */
#include "accel/tcg/host/x86_64/cold.h"

#include "base/bits.h"
#include "base/thread-sanitizer.h"

/* Reads a record beyond its fixed part. */
typedef struct {
    const uint8_t *p;
    TcgState *env;
    ColdFrame *frame;
    const HostBackend *backend;
} Reader;

static uint8_t next_byte(Reader *r)
{
    return *r->p++;
}

static int32_t next_i32(Reader *r)
{
    int32_t value = (int32_t)load_le32(r->p);

    r->p += 4;
    return value;
}

static uint64_t next_u64(Reader *r)
{
    uint64_t value = load_le64(r->p);

    r->p += 8;
    return value;
}

static uint64_t integer_at(Reader *r, int place)
{
    uint64_t value;

    switch (place) {
    case PLACE_NONE:
        return 0;
    case PLACE_CONST32:
        return (uint64_t)(int64_t)next_i32(r);
    case PLACE_CONST64:
        return next_u64(r);
    case PLACE_FRAME:
        memcpy(&value, (const uint8_t *)r->frame + next_i32(r), sizeof value);
        return value;
    case PLACE_ENV:
        memcpy(&value, (const uint8_t *)r->env + next_i32(r), sizeof value);
        return value;
    default:
        return r->frame->regs[place];
    }
}

static void *home(const Reader *r, unsigned var)
{
    return (uint8_t *)r->env + r->backend->runtime.vars[var].offset;
}

/* Pins are in their variables. */
static void *vector_at(Reader *r, int reg)
{
    uint8_t var = r->backend->pin_var[reg];

    return var == NO_VAR ? &r->frame->vectors[reg - XMM0] : home(r, var);
}

static void store_variable(Reader *r)
{
    unsigned var = next_byte(r), place = next_byte(r);
    void *to = home(r, var);
    uint64_t value;

    if (place >= XMM0 && place < REG_COUNT) {
        memcpy(to, vector_at(r, (int)place), sizeof(V128));
        return;
    }
    value = integer_at(r, (int)place);
    switch (r->backend->runtime.vars[var].type) {
    case IR_FLAGS:
        memcpy(to, &value, 2);
        break;
    case IR_I32:
        memcpy(to, &value, 4);
        break;
    case IR_V128:
        memset(to, 0, sizeof(V128)); /* no other constant is one without a register */
        break;
    default:
        memcpy(to, &value, 8);
    }
}

/* The first operand again, from the result of an op and its second operand. */
static uint64_t undo(unsigned opcode, uint64_t result, uint64_t second)
{
    return opcode == IR_OP_addf   ? result - second
           : opcode == IR_OP_subf ? result + second
                                  : -result;
}

static void store_flags(Reader *r)
{
    unsigned opcode = next_byte(r), form = next_byte(r), esz = next_byte(r), sub = next_byte(r);
    uint64_t args[4] = { 0 };
    uint16_t flags;

    sub |= (unsigned)next_byte(r) << 8;
    args[0] = integer_at(r, next_byte(r));
    args[1] = integer_at(r, next_byte(r));
    if (form == RECIPE_UNDO) {
        args[0] = undo(opcode, args[0], args[1]);
    } else if (form == RECIPE_TEST) {
        args[1] = args[0];
    }
    flags = ir_compute_flags(opcode, esz, sub, args);
    memcpy(home(r, r->backend->flags_var), &flags, sizeof flags);
}

/* Vector registers have values of units meanwhile: the sanitizer's functions, which use them, may not be called either. */
#define GENERAL_REGISTERS __attribute__((target("general-regs-only"), no_sanitize("thread")))

/* Extended as the access's instruction does it. */
static uint64_t extended(const ColdRecord *record, uint64_t value)
{
    unsigned unused = 64 - 8 * record->size;

    if (!(record->sub & IR_MEM_SIGNED)) {
        return value << unused >> unused;
    }
    value = (uint64_t)((int64_t)(value << unused) >> unused);
    return record->flags & RECORD_I64 ? value : (uint32_t)value;
}

GENERAL_REGISTERS static inline uint64_t address_of(const ColdRecord *record,
                                                    const ColdFrame *frame)
{
    return frame->regs[record->address] + (uint64_t)(int64_t)record->imm;
}

GENERAL_REGISTERS static inline const TcgTlbEntry *entry_of(const TcgContext *context,
                                                            uint64_t address)
{
    return &context->tlb[address >> TCG_PAGE_BITS & ((1 << TCG_TLB_BITS) - 1)];
}

GENERAL_REGISTERS static inline bool covers(const ColdRecord *record, const TcgTlbEntry *entry,
                                            uint64_t page)
{
    return (record->flags & RECORD_GROUP_WRITE ? entry->write : entry->read) == page;
}

typedef enum {
    GROUP_FOUND,
    GROUP_SPLIT,   /* both of its pages are known, and each has an addend of its own */
    GROUP_UNKNOWN, /* the TLB lacks one of them */
} GroupLookup;

/* Looks a group up: one page or two, when one addend is right for both. */
GENERAL_REGISTERS static inline GroupLookup find_group(const ColdRecord *record, ColdFrame *frame,
                                                       const TcgContext *context)
{
    uint64_t start = address_of(record, frame) + (uint64_t)(int64_t)record->group_start;
    uint64_t first = start & TCG_PAGE_MASK, last = (start + record->group_size - 1) & TCG_PAGE_MASK;
    const TcgTlbEntry *entry = entry_of(context, first), *other = entry_of(context, last);

    if (!covers(record, entry, first) || !covers(record, other, last)) {
        return GROUP_UNKNOWN;
    }
    if (entry->addend != other->addend) {
        return GROUP_SPLIT;
    }
    frame->regs[record->result] = entry->addend;
    frame->join = (const uint8_t *)record + record->join;
    return GROUP_FOUND;
}

GENERAL_REGISTERS bool cold_try(const ColdRecord *record, ColdFrame *frame,
                                const TcgContext *context)
{
    frame->record = record;
    return record->kind == STUB_GROUP && find_group(record, frame, context) == GROUP_FOUND;
}

/* The same once more, after the run time has been asked for the leader's page. It has nothing to tell when both are known. */
static bool find_reached_group(TcgState *env, ColdFrame *frame, const HostRuntime *run)
{
    const ColdRecord *record = frame->record;

    return find_group(record, frame, env->context) != GROUP_SPLIT &&
           run->reach(env, address_of(record, frame), record->size, record->sub,
                      record->flags & RECORD_WRITE, record->flags & RECORD_GROUP_WRITE) &&
           find_group(record, frame, env->context) == GROUP_FOUND;
}

/* The group's page is to be known; when it cannot, the unit is left. Faults are those of the access that leads. */
static void reach_group(TcgState *env, ColdFrame *frame, const HostBackend *backend)
{
    if (!find_reached_group(env, frame, &backend->runtime)) {
        env->groups_left++;
        frame->join = backend->ungrouped;
    }
}

static void store_part(Reader *r, const ColdRecord *record, uint64_t address, int place)
{
    const HostRuntime *run = &r->backend->runtime;

    if (place >= XMM0 && place < REG_COUNT) {
        V128 value;

        memcpy(&value, vector_at(r, place), sizeof value);
        run->store_vector(r->env, address, value, record->size, record->sub);
    } else {
        run->store(r->env, address, integer_at(r, place), record->size, record->sub);
    }
}

static void load(Reader *r, const ColdRecord *record, uint64_t address)
{
    const HostRuntime *run = &r->backend->runtime;

    if (record->flags & RECORD_VECTOR) {
        V128 value = run->load_vector(r->env, address, record->size, record->sub);

        memcpy(vector_at(r, record->result), &value, sizeof value);
    } else {
        r->frame->regs[record->result] =
            extended(record, run->load(r->env, address, record->size, record->sub));
    }
}

void cold_access(TcgState *env, ColdFrame *frame, const HostBackend *backend)
{
    const ColdRecord *record = frame->record;
    const HostRuntime *run = &backend->runtime;
    Reader r = { (const uint8_t *)(record + 1), env, frame, backend };
    uint64_t address = address_of(record, frame);
    void *host = NULL;

    TSAN_ACQUIRE(backend);
    for (unsigned i = 0; i < record->stores; i++) {
        store_variable(&r);
    }
    if (record->flags & RECORD_RECIPE) {
        store_flags(&r);
    }
    env->pc_offset = record->pc_offset;
    switch (record->kind) {
    case STUB_GROUP:
        reach_group(env, frame, backend);
        return;
    case STUB_LOAD:
        load(&r, record, address);
        break;
    case STUB_STORE2:
        run->store_check(env, address, 2u * record->size, record->sub);
        store_part(&r, record, address, record->values[0]);
        store_part(&r, record, address + record->size, record->values[1]);
        break;
    case STUB_STORE:
        store_part(&r, record, address, record->values[0]);
        break;
    case STUB_ZERO:
        run->zero(env, address, record->size);
        break;
    case STUB_ATOMIC_END:
        run->atomic_end(env);
        break;
    default:
        host = (record->kind == STUB_CHECK ? run->load_check : run->atomic_check)(
            env, address, record->size, record->sub);
    }
    if (host) {
        frame->regs[record->result] = (uintptr_t)host;
    }
    frame->join = (const uint8_t *)record + record->join;
}
