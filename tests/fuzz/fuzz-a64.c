/* SPDX-License-Identifier: MIT */
/*
 * A64 code of any kind, in any state: decoded, verified, optimised, verified, and made host code. Never run.
 *
 * The input: page offset (2 bytes), flags of PSTATE (4), what is changed in SCTLR_EL1 (4) and CPACR_EL1 (4), code.
 */
#include <string.h>

#include "accel/tcg/run/run.h"
#include "base/bits.h"
#include "target/arm/cpu.h"
#include "tests/fuzz/fuzz.h"
#include "tests/isa/rig.h"

enum { HEADER = 14, CODE = 0x10000 };

static IsaRig rig;
static uint64_t sctlr;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    TcgVcpu *tv;

    if (!rig.machine && isa_rig_open(&rig, "max", 1, false)) {
        tv = rig.cpu->tcg.run;
        tv->run->verify = true;
        sctlr = rig.cpu->sctlr_el1;
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TcgVcpu *tv;
    uint8_t *code_next, *cold_next, *records;
    unsigned needs = 0;

    LLVMFuzzerInitialize(NULL, NULL);
    if (!rig.machine || size < HEADER + 4) {
        return 0;
    }
    tv = rig.cpu->tcg.run;
    memset(rig.ram + CODE, 0, 2 * TCG_PAGE_SIZE);
    memcpy(rig.ram + CODE + (load_le16(data) & 0xffc), data + HEADER,
           MIN(size - HEADER, TCG_PAGE_SIZE));
    arm_set_pstate(rig.cpu, (load_le32(data + 2) & 0xfffffff0) | (data[2] & 1 ? 5 : 0));
    rig.cpu->sctlr_el1 = sctlr ^ load_le32(data + 6);
    rig.cpu->cpacr_el1 = load_le32(data + 10);
    tcg_set_pc(&rig.cpu->tcg, RIG_RAM + CODE + (load_le16(data) & 0xffc));
    arm_update_controls(rig.cpu);
    code_next = tv->run->code_next;
    cold_next = tv->run->cold_next;
    records = tv->run->records;
    translate_unit(tv, rig.ram + CODE, load_le16(data) & 0xffc, tv->target->mode(tv->env),
                   (uint64_t)(uintptr_t)(rig.ram + CODE + TCG_PAGE_SIZE), &needs);
    tv->run->code_next = code_next;
    tv->run->cold_next = cold_next;
    tv->run->records = records;
    return 0;
}
