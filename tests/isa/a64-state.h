/* SPDX-License-Identifier: MIT */
/*
 * One experiment with A64 instructions: the registers and memory before and, in the answer, after.
 * Shared by the program that runs it natively (probe-a64.c) and the one that compares (random-a64.c).
 */
#ifndef TESTS_ISA_A64_STATE_H
#define TESTS_ISA_A64_STATE_H

#include <stdint.h>

enum {
    A64_STATE_ADDRESS = 0x20000000, /* where the probe keeps the experiment; SP points there */
    A64_DATA_BYTES = 512,
    A64_INSNS = 8,                  /* unused ones are NOPs */
};

typedef struct {
    uint64_t x[31];
    uint64_t host_sp;           /* the probe's */
    uint64_t v[32][2];
    uint64_t fpcr, fpsr, nzcv;
    uint32_t insns[A64_INSNS];
    uint64_t signal;            /* answer: the signal that was raised, or 0 */
    uint8_t data[A64_DATA_BYTES];
} A64State;

#endif
