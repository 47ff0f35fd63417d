/* SPDX-License-Identifier: MIT */
/* Instructions of AMD's secure virtual machine, and which instructions of a guest are looked at for an intercept. */
#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/mmu.h"
#include "target/i386/svm.h"
#include "target/i386/translate.h"

/* Intercepts. */

static void helper_intercept(TcgState *env, uint32_t code, uint64_t info, uint32_t length)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    if (x86_svm_intercepts(cpu, code)) {
        x86_svm_leave(cpu, code, info, 0, x86_eip(cpu) + length);
    }
}
X86_HELPER(intercept, IR_VOID, X86_HELPER_SYSTEM, IR_I32, IR_I64, IR_I32);

void x86_svm_intercept(X86Translator *t, unsigned code, IrRef info)
{
    if (t->mode & X86_MODE_SVM_GUEST) {
        x86_call(t, &call_intercept, x86_const(t, 4, code), info ? info : x86_const(t, 8, 0),
                 x86_const(t, 4, t->insn.length), 0);
    }
}

X86Translate x86_sidt, x86_sgdt, x86_sldt, x86_str, x86_lidt, x86_lgdt, x86_lldt, x86_ltr,
    x86_rdtsc, x86_rdtscp, x86_rdpmc, x86_pushf, x86_popf, x86_cpuid_instruction, x86_rsm, x86_iret,
    x86_int3, x86_int1, x86_hlt, x86_clts, x86_smsw, x86_lmsw, x86_monitor, x86_mwait, x86_xsetbv,
    x86_invpcid, x86_vmrun, x86_vmmcall, x86_vmload, x86_vmsave, x86_stgi, x86_clgi, x86_skinit,
    x86_invlpga, x86_in, x86_ins, x86_outs;

/*
 * Instructions that leave with nothing but their exit code: when the privilege check has passed, or, where there is none, first
 * of all. Those that say more call x86_svm_intercept themselves.
 */
static const struct {
    X86Translate *translate;
    uint8_t code;
    bool privileged;
} intercepted[] = {
    { x86_sidt, SVM_EXIT_IDTR_READ, false },
    { x86_sgdt, SVM_EXIT_GDTR_READ, false },
    { x86_sldt, SVM_EXIT_LDTR_READ, false },
    { x86_str, SVM_EXIT_TR_READ, false },
    { x86_lidt, SVM_EXIT_IDTR_WRITE, true },
    { x86_lgdt, SVM_EXIT_GDTR_WRITE, true },
    { x86_lldt, SVM_EXIT_LDTR_WRITE, true },
    { x86_ltr, SVM_EXIT_TR_WRITE, true },
    { x86_rdtsc, SVM_EXIT_RDTSC, false },
    { x86_rdtscp, SVM_EXIT_RDTSCP, false },
    { x86_rdpmc, SVM_EXIT_RDPMC, false },
    { x86_pushf, SVM_EXIT_PUSHF, false },
    { x86_popf, SVM_EXIT_POPF, false },
    { x86_cpuid_instruction, SVM_EXIT_CPUID, false },
    { x86_rsm, SVM_EXIT_RSM, false },
    { x86_iret, SVM_EXIT_IRET, false },
    { x86_int3, SVM_EXIT_EXCEPTION + X86_BP, false },
    { x86_int1, SVM_EXIT_ICEBP, false },
    { x86_hlt, SVM_EXIT_HLT, true },
    { x86_clts, SVM_EXIT_WRITE_CR + 0, true },
    { x86_smsw, SVM_EXIT_READ_CR + 0, false },
    { x86_lmsw, SVM_EXIT_WRITE_CR + 0, true },
    { x86_lmsw, SVM_EXIT_CR0_SELECTED, true }, /* whatever it changes */
    { x86_monitor, SVM_EXIT_MONITOR, true },
    { x86_mwait, SVM_EXIT_MWAIT, true },
    { x86_xsetbv, SVM_EXIT_XSETBV, true },
    { x86_invpcid, SVM_EXIT_INVPCID, true },
    { x86_vmrun, SVM_EXIT_VMRUN, true },
    { x86_vmmcall, SVM_EXIT_VMMCALL, false },
    { x86_vmload, SVM_EXIT_VMLOAD, true },
    { x86_vmsave, SVM_EXIT_VMSAVE, true },
    { x86_stgi, SVM_EXIT_STGI, true },
    { x86_clgi, SVM_EXIT_CLGI, true },
    { x86_skinit, SVM_EXIT_SKINIT, true },
    { x86_invlpga, SVM_EXIT_INVLPGA, true },
};

void x86_svm_intercept_plain(X86Translator *t, bool privileged)
{
    for (unsigned i = 0; (t->mode & X86_MODE_SVM_GUEST) && i < G_N_ELEMENTS(intercepted); i++) {
        if (intercepted[i].translate == t->insn.encoding->translate &&
            intercepted[i].privileged == privileged) {
            x86_svm_intercept(t, intercepted[i].code, 0);
        }
    }
}

/* Decode assists: which general register a control or debug register is moved from or to. */
#define INFO_REGISTER_VALID (UINT64_C(1) << 63)

void x86_svm_intercept_move(X86Translator *t, unsigned code, unsigned gpr)
{
    x86_svm_intercept(t, code, x86_const(t, 8, (int64_t)(INFO_REGISTER_VALID | gpr)));
}

/* Writes of CR0 that change more than TS and MP have an intercept of their own. */
static void helper_intercept_cr0(TcgState *env, uint64_t value, uint64_t info, uint32_t length)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    bool more = (value ^ cpu->cr0) & ~(CR0_TS | CR0_MP);

    if (more && x86_svm_intercepts(cpu, SVM_EXIT_CR0_SELECTED)) {
        x86_svm_leave(cpu, SVM_EXIT_CR0_SELECTED, info, 0, x86_eip(cpu) + length);
    }
}
X86_HELPER(intercept_cr0, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I64, IR_I32);

void x86_svm_intercept_cr0(X86Translator *t, IrRef value, unsigned gpr)
{
    x86_svm_intercept_move(t, SVM_EXIT_WRITE_CR + 0, gpr);
    if (t->mode & X86_MODE_SVM_GUEST) {
        x86_call(t, &call_intercept_cr0, value,
                 x86_const(t, 8, (int64_t)(INFO_REGISTER_VALID | gpr)),
                 x86_const(t, 4, t->insn.length), 0);
    }
}

static uint64_t read_map(X86Cpu *cpu, uint64_t address, unsigned bytes)
{
    uint64_t value = 0;

    address_space_read_bytes(
        cpu->vcpu.memory, address, &value, bytes,
        (MemoryAttributes){ .vcpu = (int16_t)cpu->vcpu.index, .secure = cpu->smm });
    return value;
}

/* EXITINFO1 of ports (APM 2, 15.10.2). */
enum {
    IO_IN = 1 << 0,
    IO_STRING = 1 << 2,
    IO_REP = 1 << 3,
    IO_SIZE_SHIFT = 4,    /* 1, 2 or 4 bytes: a bit each */
    IO_ADDRESS_SHIFT = 7, /* 16, 32 or 64 bits: a bit each */
    IO_SEGMENT_SHIFT = 10,
    IO_PORT_SHIFT = 16,
};

static void helper_intercept_io(TcgState *env, uint64_t port, uint32_t info, uint32_t length)
{
    X86Cpu *cpu = x86_cpu_of_env(env);
    unsigned bytes = info >> IO_SIZE_SHIFT & 7;
    uint64_t next = x86_eip(cpu) + length;

    port = (uint16_t)port;
    if (x86_svm_intercepts(cpu, SVM_EXIT_IO) &&
        (read_map(cpu, cpu->svm.io_map + port / 8, 2) >> port % 8 & bits_mask(bytes))) {
        x86_svm_leave(cpu, SVM_EXIT_IO, info | port << IO_PORT_SHIFT, next, next);
    }
}
X86_HELPER(intercept_io, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32, IR_I32);

void x86_svm_intercept_io(X86Translator *t, IrRef port, unsigned bytes)
{
    X86Translate *translate = t->insn.encoding->translate;
    bool string = translate == x86_ins || translate == x86_outs;
    X86SegmentName segment = translate == x86_ins   ? X86_ES
                             : t->insn.segment >= 0 ? (X86SegmentName)t->insn.segment
                                                    : X86_DS;
    unsigned info = bytes << IO_SIZE_SHIFT |
                    (unsigned)t->insn.address_bytes / 2 << IO_ADDRESS_SHIFT |
                    (unsigned)segment << IO_SEGMENT_SHIFT | (string ? IO_STRING : 0) |
                    (string && t->insn.rep ? IO_REP : 0) |
                    (translate == x86_in || translate == x86_ins ? IO_IN : 0);

    if (t->mode & X86_MODE_SVM_GUEST) {
        x86_call(t, &call_intercept_io, port, x86_const(t, 4, info),
                 x86_const(t, 4, t->insn.length), 0);
    }
}

/* The map's three parts of 8192 registers, two bits each: read, write. Others are always intercepted. */
static bool is_msr_intercepted(X86Cpu *cpu, uint32_t index, bool write)
{
    static const uint32_t first[] = { 0, 0xc0000000, 0xc0010000 };

    for (unsigned i = 0; i < G_N_ELEMENTS(first); i++) {
        uint32_t bit = 2 * (index - first[i]) + write;

        if (index - first[i] < 0x2000) {
            return read_map(cpu, cpu->svm.msr_map + 0x800 * i + bit / 8, 1) >> bit % 8 & 1;
        }
    }
    return true;
}

static void helper_intercept_msr(TcgState *env, uint32_t write, uint32_t length)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    if (x86_svm_intercepts(cpu, SVM_EXIT_MSR) &&
        is_msr_intercepted(cpu, (uint32_t)cpu->gpr[X86_RCX], write)) {
        x86_svm_leave(cpu, SVM_EXIT_MSR, write, 0, x86_eip(cpu) + length);
    }
}
X86_HELPER(intercept_msr, IR_VOID, X86_HELPER_SYSTEM, IR_I32, IR_I32);

void x86_svm_intercept_msr(X86Translator *t, bool write)
{
    if (t->mode & X86_MODE_SVM_GUEST) {
        x86_call(t, &call_intercept_msr, x86_const(t, 4, write), x86_const(t, 4, t->insn.length), 0,
                 0);
    }
}

/* The instructions. All but VMMCALL want EFER.SVME and privilege. */

static void helper_check_svme(TcgState *env)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    if (!(cpu->efer & EFER_SVME)) {
        x86_fault(cpu, X86_UD, 0);
    }
}
X86_HELPER(check_svme, IR_VOID, X86_HELPER_FAULTING);

static bool is_refused(X86Translator *t)
{
    x86_call(t, &call_check_svme, 0, 0, 0, 0);
    return x86_not_privileged(t);
}

/* rAX, of address size: the physical address of a VMCB. */
static IrRef vmcb_address(X86Translator *t)
{
    IrRef address = x86_get_reg64(t, X86_RAX);

    return t->insn.address_bytes == 8 ? address : x86_zext(t, t->insn.address_bytes, address);
}

static void check_vmcb(X86Cpu *cpu, uint64_t address)
{
    if (address & (0xfff | ~bits_mask(cpu->phys_bits))) {
        x86_fault(cpu, X86_GP, 0);
    }
}

static void helper_vmrun(TcgState *env, uint64_t address, uint32_t length)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    check_vmcb(cpu, address);
    x86_svm_run(cpu, address, x86_eip(cpu) + length);
}
X86_HELPER(vmrun, IR_VOID, X86_HELPER_SYSTEM, IR_I64, IR_I32);

X86(vmrun, "0F 01 /3 rm=0", "", "SVM PROT")
void x86_vmrun(X86Translator *t)
{
    if (!is_refused(t)) {
        x86_call(t, &call_vmrun, vmcb_address(t), x86_const(t, 4, t->insn.length), 0, 0);
        x86_dispatch_env(t);
    }
}

X86(vmmcall, "0F 01 /3 rm=1", "", "SVM")
void x86_vmmcall(X86Translator *t)
{
    x86_undefined(t);
}

static void helper_vmload(TcgState *env, uint64_t address)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    check_vmcb(cpu, address);
    x86_svm_load(cpu, address);
}
X86_HELPER(vmload, IR_VOID, X86_HELPER_SYSTEM, IR_I64);

X86(vmload, "0F 01 /3 rm=2", "", "SVM PROT")
void x86_vmload(X86Translator *t)
{
    if (!is_refused(t)) {
        x86_call(t, &call_vmload, vmcb_address(t), 0, 0, 0);
        x86_dispatch_next(t);
    }
}

static void helper_vmsave(TcgState *env, uint64_t address)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    check_vmcb(cpu, address);
    x86_svm_save(cpu, address);
}
X86_HELPER(vmsave, IR_VOID, X86_HELPER_SYSTEM, IR_I64);

X86(vmsave, "0F 01 /3 rm=3", "", "SVM PROT")
void x86_vmsave(X86Translator *t)
{
    if (!is_refused(t)) {
        x86_call(t, &call_vmsave, vmcb_address(t), 0, 0, 0);
    }
}

static void helper_set_gif(TcgState *env, uint32_t set)
{
    x86_svm_set_gif(x86_cpu_of_env(env), set);
}
X86_HELPER(set_gif, IR_VOID, X86_HELPER_SYSTEM, IR_I32);

static void set_gif(X86Translator *t, bool set)
{
    if (!is_refused(t)) {
        x86_call(t, &call_set_gif, x86_const(t, 4, set), 0, 0, 0);
        x86_dispatch_next(t);
    }
}

X86(stgi, "0F 01 /3 rm=4", "", "SVM PROT")
void x86_stgi(X86Translator *t)
{
    set_gif(t, true);
}

X86(clgi, "0F 01 /3 rm=5", "", "SVM PROT")
void x86_clgi(X86Translator *t)
{
    set_gif(t, false);
}

/* Secure start-up wants a TPM and a signed loader: the feature is not offered. */
X86(skinit, "0F 01 /3 rm=6", "", "SVM PROT")
void x86_skinit(X86Translator *t)
{
    if (!is_refused(t)) {
        x86_undefined(t);
    }
}

static void helper_invlpga(TcgState *env, uint64_t address)
{
    X86Cpu *cpu = x86_cpu_of_env(env);

    x86_invalidate_page_of(cpu, address, (uint32_t)cpu->gpr[X86_RCX]);
}
X86_HELPER(invlpga, IR_VOID, X86_HELPER_SYSTEM, IR_I64);

X86(invlpga, "0F 01 /3 rm=7", "", "SVM PROT")
void x86_invlpga(X86Translator *t)
{
    if (!is_refused(t)) {
        x86_call(t, &call_invlpga, vmcb_address(t), 0, 0, 0);
        x86_dispatch_next(t);
    }
}
