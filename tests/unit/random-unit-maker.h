/* SPDX-License-Identifier: MIT */
/* What the makers of random units share. */
#ifndef TESTS_UNIT_RANDOM_UNIT_MAKER_H
#define TESTS_UNIT_RANDOM_UNIT_MAKER_H

#include "tests/unit/random-unit.h"

typedef struct {
    const RandomUnits *from;
    IrUnit *unit;
    unsigned window; /* values this far back are still used: register pressure */
    IrRef address;   /* of an earlier access */
} Maker;

/* Less than limit. */
uint32_t maker_pick(Maker *m, uint32_t limit);
IrRef maker_emit(Maker *m, IrOp op);
IrRef maker_constant(Maker *m, IrType type);
/* One of the last values of that type, or a new one. */
IrRef maker_value(Maker *m, IrType type);
IrType maker_int_type(Maker *m);
void maker_next_insn(Maker *m);
/* How a result of 8 << esz bits goes into its register. */
uint8_t maker_merge(unsigned esz);

void maker_load_store(Maker *m);
void maker_update(Maker *m);
void maker_atomic(Maker *m);

#endif
