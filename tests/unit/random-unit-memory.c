/* SPDX-License-Identifier: MIT */
/* Makes loads, stores, updates and atomic ops for random units. */
#include "tests/unit/random-unit-maker.h"

#include "accel/tcg/ir/abi.h"
#include "base/bits.h"

/* Known relative to the pc: several in one page share a lookup. */
static IrRef pc_relative(Maker *m, unsigned page, uint64_t offset)
{
    return maker_emit(
        m, (IrOp){ .opcode = IR_OP_pc,
                   .type = IR_I64,
                   .imm = (int64_t)(DATA_BASE + page * TCG_PAGE_SIZE + offset - CODE_PAGE) });
}

/* An address that is mostly fine; sometimes in a slow, read-only or faulting page, or crossing. */
static IrRef new_address_of(Maker *m, bool aligned, unsigned esz)
{
    unsigned page = maker_pick(m, 40) == 0 ? maker_pick(m, PAGES) : maker_pick(m, 3);
    IrRef offset, base;
    uint64_t mask = maker_pick(m, 12) == 0 ? 0x1fff : 0x7f8;

    if (aligned) {
        mask &= ~(uint64_t)((1u << esz) - 1);
    }
    if (maker_pick(m, 3) == 0) {
        return pc_relative(m, page, maker_pick(m, 0x2000) & mask);
    }
    base = maker_emit(m, (IrOp){ .opcode = IR_OP_const,
                                 .type = IR_I64,
                                 .imm = (int64_t)(DATA_BASE + page * TCG_PAGE_SIZE) });
    offset = maker_emit(m, (IrOp){ .opcode = IR_OP_and,
                                   .type = IR_I64,
                                   .args = { maker_value(m, IR_I64),
                                             maker_emit(m, (IrOp){ .opcode = IR_OP_const,
                                                                   .type = IR_I64,
                                                                   .imm = (int64_t)mask }) } });
    return maker_emit(m, (IrOp){ .opcode = IR_OP_add, .type = IR_I64, .args = { base, offset } });
}

/* The same as before, or another. */
static IrRef address_of(Maker *m, bool aligned, unsigned esz)
{
    if (!aligned && m->address && maker_pick(m, 2)) {
        return m->address;
    }
    return m->address = new_address_of(m, aligned, esz);
}

void maker_load_store(Maker *m)
{
    static const uint16_t flags[] = { 0,
                                      0,
                                      0,
                                      IR_MEM_SIGNED,
                                      IR_MEM_BE,
                                      IR_MEM_BE | IR_MEM_SIGNED,
                                      IR_MEM_OTHER,
                                      IR_MEM_SC,
                                      IR_MEM_ALIGNED,
                                      IR_MEM_FOR_WRITE,
                                      IR_MEM_WRAP32 | IR_MEM_STACK,
                                      IR_MEM_WRAP32 | IR_MEM_FOR_WRITE };
    IrType t = maker_pick(m, 4) ? maker_int_type(m) : IR_V128;
    uint8_t esz = (uint8_t)maker_pick(m, t == IR_V128 ? 5 : t == IR_I64 ? 4 : 3);
    uint16_t sub = flags[maker_pick(m, G_N_ELEMENTS(flags))];
    IrRef address = address_of(m, sub & IR_MEM_ALIGNED && maker_pick(m, 20), esz);
    uint16_t load_only = IR_MEM_SIGNED | IR_MEM_FOR_WRITE;
    int64_t imm = sub & IR_MEM_ALIGNED ? 0
                  : maker_pick(m, 3)   ? (int64_t)maker_pick(m, 300) - 100
                                       : 0;

    if (t == IR_V128) {
        sub &= (uint16_t) ~(IR_MEM_SIGNED | IR_MEM_BE);
    }
    if (sub & IR_MEM_WRAP32 && maker_pick(m, 2)) {
        address = maker_emit(
            m, (IrOp){ .opcode = IR_OP_add,
                       .type = IR_I64,
                       .args = { address, maker_emit(m, (IrOp){ .opcode = IR_OP_const,
                                                                .type = IR_I64,
                                                                .imm = INT64_C(3) << 32 }) } });
    }
    switch (maker_pick(m, 5)) {
    case 0:
    case 1:
        maker_emit(m, (IrOp){ .opcode = IR_OP_ld,
                              .type = t,
                              .esz = esz,
                              .sub = sub,
                              .imm = imm,
                              .args = { address } });
        break;
    case 2:
        maker_emit(m, (IrOp){ .opcode = IR_OP_st2,
                              .type = t,
                              .esz = esz,
                              .sub = sub & ~(load_only | IR_MEM_ALIGNED | IR_MEM_SC),
                              .imm = imm,
                              .args = { address, maker_value(m, t), maker_value(m, t) } });
        break;
    case 3: {
        IrRef cookie = maker_emit(m, (IrOp){ .opcode = IR_OP_ldchk,
                                             .type = IR_I64,
                                             .esz = esz,
                                             .sub = sub & (IR_MEM_WRAP32 | IR_MEM_FOR_WRITE),
                                             .imm = imm,
                                             .aux = 2 << esz,
                                             .args = { address } });

        maker_emit(m, (IrOp){ .opcode = IR_OP_ldraw,
                              .type = t,
                              .esz = esz,
                              .sub = sub & (IR_MEM_SIGNED | IR_MEM_BE),
                              .args = { cookie } });
        maker_emit(m, (IrOp){ .opcode = IR_OP_ldraw,
                              .type = t,
                              .esz = esz,
                              .imm = 1 << esz,
                              .args = { cookie } });
        break;
    }
    default:
        maker_emit(m, (IrOp){ .opcode = IR_OP_st,
                              .type = t,
                              .esz = esz,
                              .sub = sub & ~load_only,
                              .imm = imm,
                              .args = { address, maker_pick(m, 5) ? maker_value(m, t)
                                                                  : maker_constant(m, t) } });
    }
}

/* An increment or decrement of what is in memory that keeps C: its flags come behind the store. */
static void make_memory_increment(Maker *m)
{
    bool down = maker_pick(m, 2);
    IrType t = maker_int_type(m);
    uint8_t esz = (uint8_t)(maker_pick(m, 2) ? maker_pick(m, 2) : t == IR_I64 ? 3 : 2);
    IrRef before = maker_value(m, IR_FLAGS), address = address_of(m, false, esz), old, value, flags;
    IrRef one = maker_emit(m, (IrOp){ .opcode = IR_OP_const, .type = t, .imm = 1 });
    IrOp op = { .opcode = IR_OP_ld,
                .type = t,
                .esz = esz,
                .sub = IR_MEM_FOR_WRITE,
                .imm = maker_pick(m, 100),
                .args = { address } };

    maker_next_insn(m);
    old = maker_emit(m, op);
    value = maker_emit(m, (IrOp){ .opcode = down ? IR_OP_sub : IR_OP_add,
                                  .type = t,
                                  .sub = maker_merge(esz),
                                  .args = { old, one } });
    op.opcode = IR_OP_st;
    op.sub = 0;
    op.args[1] = value;
    maker_emit(m, op);
    flags = maker_emit(m, (IrOp){ .opcode = down ? IR_OP_subf : IR_OP_addf,
                                  .type = t,
                                  .esz = esz,
                                  .sub = down ? IR_BORROW : 0,
                                  .args = { old, one } });
    flags = maker_emit(m, (IrOp){ .opcode = IR_OP_fmerge,
                                  .args = { before, flags },
                                  .imm = TCG_FLAGS_ALL & ~TCG_FLAG_C });
    maker_emit(
        m, (IrOp){ .opcode = IR_OP_set, .type = IR_FLAGS, .var = FLAGS_VAR, .args = { flags } });
}

/* An operation on what is in memory, as one instruction of x86 does it. */
static void make_memory_operation(Maker *m)
{
    static const struct {
        uint8_t value, flags;
        uint16_t sub;
    } operations[] = {
        { IR_OP_add, IR_OP_addf, 0 }, { IR_OP_sub, IR_OP_subf, IR_BORROW },
        { IR_OP_sub, IR_OP_subf, 0 }, { IR_OP_and, IR_OP_andf, 0 },
        { IR_OP_or, IR_OP_andf, 0 },  { IR_OP_xor, IR_OP_andf, 0 },
    };
    unsigned n = maker_pick(m, G_N_ELEMENTS(operations));
    IrType t = maker_int_type(m);
    uint8_t esz = (uint8_t)(maker_pick(m, 2) ? maker_pick(m, 2) : t == IR_I64 ? 3 : 2);
    IrRef b = maker_pick(m, 2) ? maker_value(m, t) : maker_constant(m, t),
          address = address_of(m, false, esz);
    IrOp op = { .opcode = IR_OP_ld,
                .type = t,
                .esz = esz,
                .sub = IR_MEM_FOR_WRITE | (maker_pick(m, 4) ? 0 : IR_MEM_WRAP32),
                .imm = maker_pick(m, 2) ? maker_pick(m, 100) : 0,
                .args = { address } };
    IrRef old, value, flags = 0;

    if (maker_pick(m, 2)) {
        maker_next_insn(m);
    }
    old = maker_emit(m, op);
    value = maker_emit(m, (IrOp){ .opcode = operations[n].value,
                                  .type = t,
                                  .sub = maker_merge(esz),
                                  .args = { old, b } });
    if (maker_pick(m, 5)) {
        bool tests = operations[n].value == IR_OP_or || operations[n].value == IR_OP_xor;

        flags = maker_emit(m, (IrOp){ .opcode = operations[n].flags,
                                      .type = t,
                                      .esz = esz,
                                      .sub = operations[n].sub,
                                      .args = { tests ? value : old, tests ? value : b } });
    }
    op.opcode = IR_OP_st;
    op.sub &= (uint16_t)~IR_MEM_FOR_WRITE;
    op.args[1] = value;
    maker_emit(m, op);
    if (flags && maker_pick(m, 4)) {
        maker_emit(
            m,
            (IrOp){ .opcode = IR_OP_set, .type = IR_FLAGS, .var = FLAGS_VAR, .args = { flags } });
    }
    if (flags && maker_pick(m, 2)) {
        maker_next_insn(m);
        maker_emit(m, (IrOp){ .opcode = IR_OP_exit_if,
                              .cond = (uint8_t)maker_pick(m, IR_COND_COUNT),
                              .args = { flags },
                              .imm = maker_pick(m, 1024) * 4 });
    }
}

void maker_update(Maker *m)
{
    if (maker_pick(m, 5)) {
        make_memory_operation(m);
    } else {
        make_memory_increment(m);
    }
}

void maker_atomic(Maker *m)
{
    IrType t = maker_int_type(m);
    uint8_t esz = (uint8_t)maker_pick(m, t == IR_I64 ? 4 : 3);
    uint16_t sub = (maker_pick(m, 4) ? 0 : IR_MEM_BE) | (maker_pick(m, 4) ? 0 : IR_MEM_FOR_WRITE);
    IrRef address = address_of(m, true, 3);

    switch (maker_pick(m, 5)) {
    case 0:
        maker_emit(
            m, (IrOp){ .opcode = IR_OP_mzero, .imm = 16 << maker_pick(m, 8), .args = { address } });
        break;
    case 1: {
        IrRef old = maker_emit(
            m,
            (IrOp){ .opcode = IR_OP_ld, .type = t, .esz = esz, .sub = sub, .args = { address } });

        maker_emit(m, (IrOp){ .opcode = IR_OP_cas,
                              .type = t,
                              .esz = esz,
                              .sub = sub,
                              .args = { address, maker_pick(m, 2) ? old : maker_value(m, t),
                                        maker_value(m, t) } });
        break;
    }
    case 2: {
        IrRef old = maker_emit(
            m,
            (IrOp){ .opcode = IR_OP_ld, .type = t, .esz = esz, .sub = sub, .args = { address } });

        maker_emit(m, (IrOp){ .opcode = IR_OP_stx,
                              .type = t,
                              .esz = esz,
                              .sub = sub,
                              .args = { address, maker_value(m, t),
                                        maker_pick(m, 4) ? address : maker_value(m, IR_I64),
                                        maker_pick(m, 3) ? old : maker_value(m, t) } });
        break;
    }
    default:
        maker_emit(m, (IrOp){ .opcode = IR_OP_amo,
                              .type = t,
                              .esz = esz,
                              .sub = sub,
                              .aux = maker_pick(m, 9),
                              .args = { address, maker_value(m, t) } });
    }
}
