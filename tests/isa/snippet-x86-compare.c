/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "base/capstone.h"
#include "tests/isa/snippet-x86.h"

static const X86Insn *insn_at(const Snippet *s, uint64_t offset)
{
    for (unsigned i = 0; i < s->count; i++) {
        if (s->insn[i].offset == offset) {
            return &s->insn[i].decoded;
        }
    }
    return NULL;
}

static uint64_t operand_address(const Snippet *s, const X86Insn *insn)
{
    return s->before.gpr[BASE] + (uint64_t)(int64_t)insn->displacement;
}

/* Whether all of an instruction's memory is in pages of the window that can be written. */
static bool is_writable(const Snippet *s, const X86Insn *insn)
{
    uint64_t start = operand_address(s, insn), end = start + insn->operands[0].bytes - 1;

    return (start - WINDOW) / PAGE % WINDOW_PAGES == WRITABLE &&
           (end - WINDOW) / PAGE % WINDOW_PAGES == WRITABLE;
}

/* A store that cannot be done was skipped. */
static bool host_skipped_store(const Snippet *s)
{
    uint64_t end = s->after.vector ? s->after.rip - s->at : s->size;

    for (unsigned i = 0; snippet_source.around_pages && i < s->count && s->insn[i].offset < end;
         i++) {
        const X86Insn *insn = &s->insn[i].decoded;

        if (x86_host_may_skip_store(&snippet_source.judge, insn) && !is_writable(s, insn)) {
            return true;
        }
    }
    return false;
}

/* The host is no judge: it may lack the instruction that it calls undefined, or is known to be of another kind. */
bool snippet_host_differs(const Snippet *s)
{
    const X86Insn *insn = s->after.vector ? insn_at(s, s->after.rip - s->at) : NULL;

    if (insn && s->after.vector == X86_UD + 1) {
        return insn->encoding->feature != X86_FEATURE_NONE;
    }
    return host_skipped_store(s) ||
           (insn && s->after.vector == X86_GP + 1 && operand_address(s, insn) % 16 &&
            x86_host_wants_aligned(&snippet_source.judge, insn));
}

void snippet_print(const Snippet *s)
{
    cs_insn *insns;
    csh handle;
    size_t count;

    g_assert_true(capstone_open(CS_ARCH_X86, CS_MODE_64, &handle, NULL));
    count = capstone.cs_disasm(handle, s->insns, s->size, 0, 0, &insns);
    for (size_t i = 0; i < count; i++) {
        printf("    ");
        for (unsigned k = 0; k < insns[i].size; k++) {
            printf("%02x ", insns[i].bytes[k]);
        }
        printf(" %s %s\n", insns[i].mnemonic, insns[i].op_str);
    }
    printf("    ");
    for (size_t i = count ? insns[count - 1].address + insns[count - 1].size : 0; i < s->size;
         i++) {
        printf("%02x ", s->insns[i]);
    }
    printf("\n");
    capstone.cs_free(insns, count);
    capstone.cs_close(&handle);
}

static bool has_insn(const Snippet *s, const char *name)
{
    for (unsigned i = 0; i < s->count; i++) {
        if (strcmp(s->insn[i].decoded.encoding->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/*
 * AMD's processors have these only of what raised an exception that is not masked. With Intel the opcode is valid only
 * then, the data pointer may be, and is undefined after an instruction without a memory operand (SDM vol. 1, 8.1.8, 8.1.9).
 */
static bool pointers_differ(const Snippet *s, const X87Image *host, const X87Image *got)
{
    enum { ES = 0x80 };
    const X86Insn *last = insn_at(s, host->fip - (uint32_t)s->at);
    bool raised = host->status & ES && !has_insn(s, "fldcw");
    bool opcode = !snippet_source.judge.intel || raised;
    bool fdp =
        !snippet_source.judge.intel ||
        ((raised || !snippet_source.judge.fdp_of_exceptions) && last && x86_has_memory(last));

    return host->fip &&
           (host->fip - (uint32_t)s->at != got->fip - (uint32_t)s->guest_at ||
            (opcode && (host->fcs ^ got->fcs) >> 16) || (fdp && host->fdp != got->fdp));
}

static bool x87_differs(const Snippet *s, const X87Image *host, const X87Image *got,
                        const X87Image *before)
{
    bool bad = false;

    if (pointers_differ(s, host, got)) {
        printf("  x87: host fip %08x fdp %08x opcode %03x, got %08x %08x %03x\n",
               host->fip - (uint32_t)s->at, host->fdp, host->fcs >> 16,
               got->fip - (uint32_t)s->guest_at, got->fdp, got->fcs >> 16);
        bad = true;
    }
    if (((host->control ^ got->control) | (host->status ^ got->status) | (host->tags ^ got->tags)) &
        0xffff) {
        printf("  x87: host %04x %04x %04x got %04x %04x %04x (before %04x %04x %04x)\n",
               host->control & 0xffff, host->status & 0xffff, host->tags & 0xffff,
               got->control & 0xffff, got->status & 0xffff, got->tags & 0xffff, before->control,
               before->status, before->tags);
        bad = true;
    }
    for (unsigned i = 0; i < 8; i++) {
        if (memcmp(&host->st[i], &got->st[i], 10)) {
            printf("  st%u: host %04x %016" PRIx64 " got %04x %016" PRIx64
                   " (before %04x %016" PRIx64 ")\n",
                   i, host->st[i].sign_exponent, host->st[i].significand, got->st[i].sign_exponent,
                   got->st[i].significand, before->st[i].sign_exponent, before->st[i].significand);
            bad = true;
        }
    }
    return bad;
}

static void print_vector(const char *name, const uint8_t *bytes)
{
    printf("%s ", name);
    for (unsigned i = 32; i-- > 0;) {
        printf("%02x%s", bytes[i], i == 16 ? "_" : "");
    }
}

/* The same registers, of which another one is the top. */
static void set_top(X87Image *x87, unsigned top)
{
    const X87Image before = *x87;
    unsigned by = top - (before.status >> 11);

    for (unsigned i = 0; i < 8; i++) {
        x87->st[i] = before.st[(i + by) & 7];
    }
    x87->status = (before.status & ~(7u << 11)) | top << 11;
}

/* Whether all is in the operand of an instruction, and in the same page. */
static bool is_element(const Snippet *s, const X86Insn *insn, uint64_t a, uint64_t b)
{
    uint64_t start = operand_address(s, insn), bytes = insn->vex_l ? 32 : 16;

    return a / PAGE == b / PAGE && a - start < bytes && b - start < bytes;
}

static void even_out_page_fault(State *host, const Snippet *s, const X86Insn *insn,
                                const State *got)
{
    const uint32_t flags = 0x3f; /* of MXCSR */

    if (x86_host_converts_first(&snippet_source.judge, insn)) {
        host->mxcsr &= ~flags | got->mxcsr; /* what both have */
        if (host->vector == X86_XM + 1) {
            host->vector = got->vector;
            host->error = got->error;
            host->cr2 = got->cr2;
        }
    }
    if (x86_host_clears_top(&snippet_source.judge, insn) && !(host->x87.status >> 11 & 7)) {
        set_top(&host->x87, got->x87.status >> 11 & 7);
    }
    if (x86_host_faults_at_any_element(&snippet_source.judge, insn) &&
        is_element(s, insn, host->cr2, got->cr2)) {
        host->cr2 = got->cr2;
    }
}

/* Makes of an exception on the host what a processor of AMD would have made of it. */
void snippet_even_out(Snippet *s, const State *got)
{
    enum { DE = 1 << 1, UE = 1 << 4, PE = 1 << 5, UM = 1 << 11 }; /* of MXCSR */
    const X86Insn *insn = got->vector ? insn_at(s, got->rip - s->guest_at) : NULL;
    State *host = &s->after;

    if (!insn || host->rip - s->at != got->rip - s->guest_at) {
        return;
    }
    if (got->vector == X86_PF + 1) {
        even_out_page_fault(host, s, insn, got);
    }
    if (got->vector == X86_XM + 1 &&
        x86_host_calls_denormals_inexact(&snippet_source.judge, insn) &&
        (host->mxcsr & (DE | UE | UM)) == (DE | UE)) {
        host->mxcsr &= ~(uint32_t)PE | got->mxcsr;
    }
}

/* What pages hold, and what a page fault says: that it was a write is all that the host's own pages have in common with ours. */
bool snippet_pages_differ(const Snippet *s, const State *got, const uint8_t *window)
{
    bool bad = false;

    if (got->vector == X86_PF + 1 &&
        (s->after.cr2 != got->cr2 || (s->after.error ^ got->error) & X86_PF_W)) {
        printf("  page fault: host %" PRIx64 " error %" PRIx64 ", got %" PRIx64 " error %" PRIx64
               "\n",
               s->after.cr2, s->after.error, got->cr2, got->error);
        bad = true;
    }
    for (unsigned i = 0; i < PAGE; i++) {
        if (s->written[i] != window[WRITABLE * PAGE + i]) {
            printf("  page[%x]: host %02x got %02x\n", i, s->written[i],
                   window[WRITABLE * PAGE + i]);
            return true;
        }
    }
    return bad;
}

bool snippet_differs(const Snippet *s, const State *got)
{
    uint64_t mask = EFLAGS_STATUS & ~s->undefined;
    bool bad = false;

    if (s->after.vector != got->vector ||
        (got->vector && s->after.rip - s->at != got->rip - s->guest_at)) {
        printf("  exception: host %d at %" PRIx64 ", got %d at %" PRIx64 "\n",
               (int)s->after.vector - 1, s->after.rip - s->at, (int)got->vector - 1,
               got->rip - s->guest_at);
        return true;
    }
    for (unsigned i = 0; i < 16; i++) {
        if (i != X86_RSP && s->after.gpr[i] != got->gpr[i]) {
            printf("  r%u: host %016" PRIx64 " got %016" PRIx64 " (before %016" PRIx64 ")\n", i,
                   s->after.gpr[i], got->gpr[i], s->before.gpr[i]);
            bad = true;
        }
        if (snippet_source.with_sse &&
            memcmp(s->after.vectors[i], got->vectors[i], snippet_source.with_avx ? 32 : 16)) {
            printf("  ymm%u:", i);
            print_vector(" host", s->after.vectors[i]);
            print_vector(" got", got->vectors[i]);
            print_vector(" (before", s->before.vectors[i]);
            printf(")\n");
            bad = true;
        }
    }
    if (snippet_source.with_sse) {
        bad |= x87_differs(s, &s->after.x87, &got->x87, &s->before.x87);
    }
    if (snippet_source.with_sse && s->after.mxcsr != got->mxcsr) {
        printf("  mxcsr: host %04x got %04x (before %04x)\n", s->after.mxcsr, got->mxcsr,
               s->before.mxcsr);
        bad = true;
    }
    if ((s->after.flags ^ got->flags) & mask) {
        printf("  flags: host %03" PRIx64 " got %03" PRIx64 " (before %03" PRIx64
               ", undefined %03" PRIx64 ")\n",
               s->after.flags & EFLAGS_STATUS, got->flags & EFLAGS_STATUS,
               s->before.flags & EFLAGS_STATUS, s->undefined);
        bad = true;
    }
    for (unsigned i = 0; i < DATA_BYTES; i++) {
        if (s->after.data[i] != got->data[i]) {
            printf("  data[%u]: host %02x got %02x\n", i, s->after.data[i], got->data[i]);
            bad = true;
            break;
        }
    }
    return bad;
}
