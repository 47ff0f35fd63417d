/* SPDX-License-Identifier: MIT */
/*
 * x86 code of any kind, in real, protected (16 and 32 bits) and long mode: decoded, verified, optimised, verified, and
 * made host code. Never run.
 *
 * The input: page offset (2 bytes), mode (1), EFLAGS (4), what is changed in CR0 and CR4 (4 each), code.
 */
#include <string.h>

#include "accel/tcg/run/run.h"
#include "base/bits.h"
#include "target/i386/control.h"
#include "tests/fuzz/fuzz.h"
#include "tests/isa/rig-x86.h"

enum { HEADER = 15, CODE = 0x10000 };

static X86Rig rig;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    if (!rig.machine && !x86_rig_open(&rig, "max", false)) {
        rig.machine = NULL;
    }
    return 0;
}

/* mode: bits 1..0: real, 16, 32, 64 bits; bits 3..2: privilege. */
static void set_mode(uint8_t mode, uint32_t cr0, uint32_t cr4)
{
    const uint32_t rights = X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED | X86_SEG_G;
    uint32_t big = (mode & 3) == 2 ? X86_SEG_B : 0;
    unsigned cpl = mode >> 2 & 3;

    machine_reset(rig.machine);
    if ((mode & 3) == 3) {
        x86_rig_long_mode(&rig);
    } else if (mode & 3) {
        rig.cpu->cr0 |= CR0_PE;
        for (unsigned i = 0; i < X86_SEGMENTS; i++) {
            x86_set_segment(rig.cpu, (X86SegmentName)i, (uint16_t)(16 | cpl), 0, 0xffffffff,
                            rights | big | cpl << X86_SEG_DPL_SHIFT);
        }
        x86_set_segment(rig.cpu, X86_CS, (uint16_t)(8 | cpl), 0, 0xffffffff,
                        rights | big | X86_SEG_CODE | cpl << X86_SEG_DPL_SHIFT);
    }
    rig.cpu->cr0 ^= cr0 & ~(uint32_t)(CR0_PE | CR0_PG);
    rig.cpu->cr4 ^= cr4 & ~(uint32_t)CR4_PAE;
    x86_update_context(rig.cpu);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *code_next, *cold_next, *records;
    unsigned needs = 0;
    uint16_t offset;
    TcgVcpu *tv;

    LLVMFuzzerInitialize(NULL, NULL);
    if (!rig.machine || size <= HEADER) {
        return 0;
    }
    tv = rig.cpu->tcg.run;
    offset = load_le16(data) & 0xfff;
    set_mode(data[2], load_le32(data + 7), load_le32(data + 11));
    memset(rig.ram + CODE, 0x90, 2 * TCG_PAGE_SIZE);
    memcpy(rig.ram + CODE + offset, data + HEADER, MIN(size - HEADER, TCG_PAGE_SIZE));
    tcg_set_pc(&rig.cpu->tcg, CODE + offset);
    code_next = tv->run->code_next;
    cold_next = tv->run->cold_next;
    records = tv->run->records;
    translate_unit(tv, rig.ram + CODE, offset, tv->target->mode(tv->env),
                   (uint64_t)(uintptr_t)(rig.ram + CODE + TCG_PAGE_SIZE), &needs);
    tv->run->code_next = code_next;
    tv->run->cold_next = cold_next;
    tv->run->records = records;
    return 0;
}
