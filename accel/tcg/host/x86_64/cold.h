/* SPDX-License-Identifier: MIT */
/*
 * Slow memory accesses. Their stubs are a call of a thunk and a record behind it that says what to do; the thunk puts
 * all registers into the frame and C functions read the record. That takes a third of the bytes, and of the time to
 * emit them, that code for the same would take.
 */
#ifndef ACCEL_TCG_HOST_X86_64_COLD_H
#define ACCEL_TCG_HOST_X86_64_COLD_H

#include "accel/tcg/host/x86_64/emitter.h"

/* What a record names as a place, besides registers. What follows it in the record: */
enum {
    PLACE_NONE = 0x60,
    PLACE_CONST32, /* int32_t, extended */
    PLACE_CONST64, /* uint64_t */
    PLACE_FRAME,   /* int32_t, from the frame's address */
    PLACE_ENV,     /* int32_t, from TcgState's */
};

enum {
    RECORD_VECTOR = 1,
    RECORD_I64 = 2, /* the result's type */
    RECORD_WRITE = 8, /* the access that leads a group writes, or is a read-modify-write */
    RECORD_GROUP_WRITE = 16, /* the group's lookup is for writing */
    RECORD_RECIPE = 32,
};

/*
 * Then come the dirty variables (variable, place), the places of stored values' constants, and the recipe for the
 * flags: opcode, form, esz, sub (2 bytes), two operands.
 */
typedef struct __attribute__((packed)) {
    int32_t join;         /* where to continue, from the record */
    int32_t imm;          /* address = register + imm */
    uint16_t pc_offset;
    uint16_t size;        /* bytes; of each of two, but for groups */
    uint16_t sub;         /* IR_MEM_* */
    int16_t group_start;  /* of the AccessGroup, from imm */
    uint16_t group_size;  /* 0: none */
    uint8_t kind;         /* StubKind */
    uint8_t flags;        /* RECORD_* */
    int8_t address, result;
    int8_t values[2];     /* of stores: places */
    uint8_t stores;
} ColdRecord;

/* What the thunk and the C functions share: generated code's frame. */
typedef struct {
    uint8_t other[FRAME_COLD];
    uint64_t regs[16];
    V128 vectors[8]; /* temporaries, when the thunk keeps them */
    const ColdRecord *record;
    const uint8_t *join;
} ColdFrame;
G_STATIC_ASSERT(offsetof(ColdFrame, regs) == FRAME_SAVED_INTS);
G_STATIC_ASSERT(offsetof(ColdFrame, vectors) == FRAME_SAVED_VECTORS);
G_STATIC_ASSERT(offsetof(ColdFrame, record) == FRAME_RECORD);
G_STATIC_ASSERT(offsetof(ColdFrame, join) == FRAME_JOIN);
G_STATIC_ASSERT(sizeof(ColdFrame) == FRAME_GROUPS);

/* Groups whose range lies in two pages that one addend is right for, in general registers only; false: cold_access is wanted. */
bool cold_try(const ColdRecord *record, ColdFrame *frame, const TcgContext *context);
/* The pins are in their variables. */
void cold_access(TcgState *env, ColdFrame *frame, const HostBackend *backend);

#endif
