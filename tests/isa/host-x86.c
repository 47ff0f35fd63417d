/* SPDX-License-Identifier: MIT */
#include "tests/isa/host-x86.h"

#include <cpuid.h>
#include <string.h>

X86Host x86_host(void)
{
    enum { FDP_EXCPTN_ONLY = 1 << 6, ZERO_FCS_FDS = 1 << 13 }; /* of leaf 7, EBX */
    unsigned a, b, c, d;
    X86Host host = { 0 };

    if (!__get_cpuid(0, &a, &b, &c, &d) || b != signature_INTEL_ebx) {
        return host;
    }
    host.intel = true;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        host.fdp_of_exceptions = b & FDP_EXCPTN_ONLY;
        host.no_selectors = b & ZERO_FCS_FDS;
    }
    return host;
}

bool x86_has_memory(const X86Insn *insn)
{
    return insn->has_modrm && insn->mod != 3;
}

static bool is_named(const X86Insn *insn, const char *name)
{
    return strcmp(insn->encoding->name, name) == 0;
}

bool x86_host_wants_aligned(const X86Host *host, const X86Insn *insn)
{
    return host->intel && insn->encoding->feature == X86_FEATURE_SHA_NI && x86_has_memory(insn);
}

bool x86_host_converts_first(const X86Host *host, const X86Insn *insn)
{
    return host->intel && is_named(insn, "vcvtps2ph") && x86_has_memory(insn);
}

bool x86_host_calls_denormals_inexact(const X86Host *host, const X86Insn *insn)
{
    return host->intel && is_named(insn, "vcvtps2ph");
}

/* FST, FIST, FISTTP, FBSTP and the like: of the odd opcodes all but FLD, FILD and FBLD. */
bool x86_host_may_skip_store(const X86Host *host, const X86Insn *insn)
{
    return host->intel && is_named(insn, "x87_memory") && insn->opcode & 1 && insn->reg != 0 &&
           insn->reg != 4 && insn->reg != 5;
}

bool x86_host_clears_top(const X86Host *host, const X86Insn *insn)
{
    return host->intel && insn->operands[0].memory && insn->operands[1].kind == X86_OPERAND_P;
}

bool x86_host_faults_at_any_element(const X86Host *host, const X86Insn *insn)
{
    return host->intel && (is_named(insn, "vmaskmov_load") || is_named(insn, "vmaskmov_store"));
}
