/* SPDX-License-Identifier: MIT */
/*
 * Memory copy and set (DDI 0487 C3.2.15, FEAT_MOPS), "option A": after the prologue the size register
 * counts up to zero from minus the size, and the address registers point behind the data; a backward
 * copy has the size count down to zero. The prologue converts, the main instruction does the work,
 * and the epilogue finds nothing left. Between pages the registers are exact, so that faults and
 * interrupts may come there.
 */
#include "base/bits.h"
#include "target/arm/exception.h"
#include "target/arm/translate.h"

enum { STAGE_PROLOGUE, STAGE_MAIN, STAGE_EPILOGUE };

/* An instruction for helpers: its bits say all. */
static unsigned dest_of(uint32_t insn)
{
    return insn & 31;
}

static unsigned size_of(uint32_t insn)
{
    return insn >> 5 & 31;
}

static unsigned source_of(uint32_t insn)
{
    return insn >> 16 & 31;
}

static void set_exact(ArmCpu *cpu, uint32_t nzcv)
{
    cpu->flags = tcg_flags_from_nzcv(nzcv);
}

/* The registers are not in option A's form: the guest kernel restarts from the prologue. */
static void check_option(ArmCpu *cpu, uint32_t insn, bool is_set, unsigned stage)
{
    uint32_t iss;

    if (!(tcg_flags_to_nzcv(cpu->flags) >> 29 & 1)) {
        return;
    }
    iss = (uint32_t)is_set << 24 | (insn >> 12 & 15) << 19 |
          (stage == STAGE_EPILOGUE ? 1u << 18 : 0) | 1u << 17 | 1u << 16 | dest_of(insn) << 10 |
          source_of(insn) << 5 | size_of(insn);
    arm_take_synchronous(cpu, arm_esr(ARM_EC_MOPS, iss));
    tcg_unwind(&cpu->tcg);
}

static unsigned unprivileged(const ArmCpu *cpu, bool asked)
{
    return asked && cpu->el1 && !cpu->uao ? IR_MEM_OTHER : 0;
}

/* After a piece of work: interrupts have their chance, with the instruction to be resumed. */
static void poll(ArmCpu *cpu)
{
    if (atomic_load_explicit(&cpu->tcg.exit_request, memory_order_relaxed)) {
        tcg_unwind(&cpu->tcg);
    }
}

static uint64_t to_page_end(uint64_t address)
{
    return TCG_PAGE_SIZE - (address & (TCG_PAGE_SIZE - 1));
}

/* Copies within one page of each side; from and to are host addresses or NULL for devices. */
static void copy_piece(ArmCpu *cpu, uint64_t to, uint64_t from, uint64_t bytes, bool backward,
                       unsigned to_flags, unsigned from_flags)
{
    TcgState *env = &cpu->tcg;
    const void *source = tcg_probe(env, from, (unsigned)bytes, false, from_flags);
    void *destination = tcg_probe(env, to, (unsigned)bytes, true, to_flags);

    if (source && destination) {
        memmove(destination, source, bytes);
        return;
    }
    for (uint64_t i = 0; i < bytes; i++) {
        uint64_t at = backward ? bytes - 1 - i : i;

        tcg_store(env, to + at, tcg_load(env, from + at, 1, from_flags), 1, to_flags);
    }
}

static void helper_copy(TcgState *env, uint32_t insn)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    uint64_t *to = &cpu->x[dest_of(insn)], *from = &cpu->x[source_of(insn)];
    uint64_t *size = &cpu->x[size_of(insn)];
    unsigned to_flags = unprivileged(cpu, insn >> 12 & 1);
    unsigned from_flags = unprivileged(cpu, insn >> 13 & 1);

    check_option(cpu, insn, false, insn >> 22 & 3);
    while (*size) {
        bool backward = (int64_t)*size > 0;
        uint64_t left = backward ? *size : -*size, d, s, piece;

        if (backward) {
            uint64_t to_start = (*to + *size - 1) & (TCG_PAGE_SIZE - 1);
            uint64_t from_start = (*from + *size - 1) & (TCG_PAGE_SIZE - 1);

            piece = MIN(left, MIN(to_start, from_start) + 1);
            d = *to + *size - piece;
            s = *from + *size - piece;
        } else {
            d = *to + *size;
            s = *from + *size;
            piece = MIN(left, MIN(to_page_end(d), to_page_end(s)));
        }
        copy_piece(cpu, d, s, piece, backward, to_flags, from_flags);
        *size += backward ? -piece : piece;
        if (*size) {
            poll(cpu);
        }
    }
}

static const TcgHelper copy_helper = {
    .name = "mops_copy",
    .function = (void *)helper_copy,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_WRITES | HELPER_FAULTS | HELPER_EFFECT,
    .arg_types = { IR_I32 },
};
TCG_HELPER(copy_helper);

static void helper_copy_prologue(TcgState *env, uint32_t insn)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    uint64_t *to = &cpu->x[dest_of(insn)], *from = &cpu->x[source_of(insn)];
    uint64_t *size = &cpu->x[size_of(insn)];
    bool either_way = insn >> 26 & 1, backward = false;

    if (either_way) {
        uint64_t d = bits_extract(*to, 0, 56), s = bits_extract(*from, 0, 56);

        *size = MIN(*size, UINT64_C(0x007fffffffffffff));
        backward = s < d && s + *size > d;
    } else {
        *size = MIN(*size, (uint64_t)INT64_MAX);
    }
    if (!backward) {
        *to += *size;
        *from += *size;
        *size = -*size;
    }
    set_exact(cpu, 0);
}

static const TcgHelper copy_prologue_helper = {
    .name = "mops_copy_prologue",
    .function = (void *)helper_copy_prologue,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_WRITES | HELPER_EFFECT,
    .arg_types = { IR_I32 },
};
TCG_HELPER(copy_prologue_helper);

static void helper_set(TcgState *env, uint32_t insn)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    uint64_t *to = &cpu->x[dest_of(insn)], *size = &cpu->x[size_of(insn)];
    uint8_t value = source_of(insn) == 31 ? 0 : (uint8_t)cpu->x[source_of(insn)];
    unsigned flags = unprivileged(cpu, insn >> 12 & 1);

    check_option(cpu, insn, true, insn >> 14 & 3);
    while ((int64_t)*size < 0) {
        uint64_t address = *to + *size, piece = MIN(-*size, to_page_end(address));
        void *host = tcg_probe(env, address, (unsigned)piece, true, flags);

        if (host) {
            memset(host, value, piece);
        } else {
            for (uint64_t i = 0; i < piece; i++) {
                tcg_store(env, address + i, value, 1, flags);
            }
        }
        *size += piece;
        if (*size) {
            poll(cpu);
        }
    }
}

static const TcgHelper set_helper = {
    .name = "mops_set",
    .function = (void *)helper_set,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_WRITES | HELPER_FAULTS | HELPER_EFFECT,
    .arg_types = { IR_I32 },
};
TCG_HELPER(set_helper);

static void helper_set_prologue(TcgState *env, uint32_t insn)
{
    ArmCpu *cpu = arm_cpu_of_env(env);
    uint64_t *to = &cpu->x[dest_of(insn)], *size = &cpu->x[size_of(insn)];

    *size = MIN(*size, (uint64_t)INT64_MAX);
    *to += *size;
    *size = -*size;
    set_exact(cpu, 0);
}

static const TcgHelper set_prologue_helper = {
    .name = "mops_set_prologue",
    .function = (void *)helper_set_prologue,
    .result = IR_VOID,
    .flags = HELPER_ENV | HELPER_READS | HELPER_WRITES | HELPER_EFFECT,
    .arg_types = { IR_I32 },
};
TCG_HELPER(set_prologue_helper);

static bool emit(A64Translator *t, const A64Fields *f, const TcgHelper *helper, bool is_set)
{
    bool distinct = f->rd != f->rn && f->rd != f->rs && f->rn != f->rs;

    if (!a64_has(t, FEAT_MOPS) || !(t->mode & ARM_MODE_MOPS) || !distinct || f->rd == 31 ||
        f->rn == 31 || (!is_set && f->rs == 31)) {
        return false;
    }
    a64_call(t, helper, a64_const(t, IR_I32, (int32_t)t->insn), 0, 0, 0);
    return true;
}

/* CPYF and CPY; options are hints and unprivileged accesses. */
INSTRUCTION(cpy, "00011 o0 01 stage:2 0 rs:5 options:4 01 rn:5 rd:5", "stage != 3")
static bool translate_cpy(A64Translator *t, const A64Fields *f)
{
    return emit(t, f, f->stage == STAGE_PROLOGUE ? &copy_prologue_helper : &copy_helper, false);
}

INSTRUCTION(set, "00011 0 01 11 0 rs:5 stage:2 options:2 01 rn:5 rd:5", "stage != 3")
static bool translate_set(A64Translator *t, const A64Fields *f)
{
    return emit(t, f, f->stage == STAGE_PROLOGUE ? &set_prologue_helper : &set_helper, true);
}
