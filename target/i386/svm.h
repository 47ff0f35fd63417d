/* SPDX-License-Identifier: MIT */
/*
 * AMD's secure virtual machine for guests (APM 2, chapter 15): VMRUN, #VMEXIT and what is intercepted. Exit codes are
 * bits of the intercept words, counted through. All of it runs on the vCPU's own thread.
 */
#ifndef TARGET_I386_SVM_H
#define TARGET_I386_SVM_H

#include "target/i386/cpu.h"

/* Exit codes (APM 2, appendix C); those of registers and exceptions count up from the first. */
enum {
    SVM_EXIT_READ_CR = 0x00, SVM_EXIT_WRITE_CR = 0x10, SVM_EXIT_READ_DR = 0x20, SVM_EXIT_WRITE_DR = 0x30,
    SVM_EXIT_EXCEPTION = 0x40,
    SVM_EXIT_INTR = 0x60, SVM_EXIT_NMI, SVM_EXIT_SMI, SVM_EXIT_INIT, SVM_EXIT_VINTR, SVM_EXIT_CR0_SELECTED,
    SVM_EXIT_IDTR_READ, SVM_EXIT_GDTR_READ, SVM_EXIT_LDTR_READ, SVM_EXIT_TR_READ,
    SVM_EXIT_IDTR_WRITE, SVM_EXIT_GDTR_WRITE, SVM_EXIT_LDTR_WRITE, SVM_EXIT_TR_WRITE,
    SVM_EXIT_RDTSC, SVM_EXIT_RDPMC, SVM_EXIT_PUSHF, SVM_EXIT_POPF, SVM_EXIT_CPUID, SVM_EXIT_RSM, SVM_EXIT_IRET,
    SVM_EXIT_SOFTWARE_INTERRUPT, SVM_EXIT_INVD, SVM_EXIT_PAUSE, SVM_EXIT_HLT, SVM_EXIT_INVLPG, SVM_EXIT_INVLPGA,
    SVM_EXIT_IO, SVM_EXIT_MSR, SVM_EXIT_TASK_SWITCH, SVM_EXIT_FERR_FREEZE, SVM_EXIT_SHUTDOWN,
    SVM_EXIT_VMRUN = 0x80, SVM_EXIT_VMMCALL, SVM_EXIT_VMLOAD, SVM_EXIT_VMSAVE, SVM_EXIT_STGI, SVM_EXIT_CLGI,
    SVM_EXIT_SKINIT, SVM_EXIT_RDTSCP, SVM_EXIT_ICEBP, SVM_EXIT_WBINVD, SVM_EXIT_MONITOR, SVM_EXIT_MWAIT,
    SVM_EXIT_MWAIT_ARMED, SVM_EXIT_XSETBV, SVM_EXIT_RDPRU, SVM_EXIT_EFER_WRITTEN,
    SVM_EXIT_CR_WRITTEN = 0x90, SVM_EXIT_INVPCID = 0xa2,
    SVM_EXIT_NESTED_FAULT = 0x400, SVM_EXIT_INVALID = -1,
};

/* EVENTINJ and EXITINTINFO. */
#define SVM_EVENT_TYPE_SHIFT 8
enum { SVM_EVENT_INTR = 0, SVM_EVENT_NMI = 2, SVM_EVENT_EXCEPTION = 3, SVM_EVENT_SOFTWARE = 4 };
#define SVM_EVENT_HAS_ERROR UINT64_C(0x800)
#define SVM_EVENT_VALID UINT64_C(0x80000000)
#define SVM_EVENT_ERROR_SHIFT 32

/* VM_CR. */
#define VM_CR_DIS_A20M UINT64_C(4)
#define VM_CR_LOCK UINT64_C(8)
#define VM_CR_SVMDIS UINT64_C(16)

/* Whether a guest runs, and leaves for this. */
static inline bool x86_svm_intercepts(const X86Cpu *cpu, unsigned code)
{
    return cpu->svm.guest && (cpu->svm.intercepts[code / 32] >> code % 32 & 1);
}

/* Exceptions of a guest that has nested paging translate physical addresses. */
static inline bool x86_svm_nests(const X86Cpu *cpu)
{
    return cpu->svm.guest && cpu->svm.nested_paging;
}

/*
 * #VMEXIT at the instruction at the pc, whatever is intercepted: the guest's state goes to the VMCB, the host's comes back, with the
 * pc behind its VMRUN. next_eip: for nRIP, where it is known, else 0.
 */
void x86_svm_exit(X86Cpu *cpu, int64_t code, uint64_t info1, uint64_t info2, uint64_t next_eip);
/* The same, from a helper. */
_Noreturn void x86_svm_leave(X86Cpu *cpu, int64_t code, uint64_t info1, uint64_t info2, uint64_t next_eip);
/* An exception is about to be taken: true when it is intercepted, and the guest has been left. */
bool x86_svm_exception(X86Cpu *cpu, unsigned vector, bool has_error_code, uint32_t error_code);
/* A walk of nested tables has failed, by X86Cpu.fault. */
void x86_svm_nested_fault(X86Cpu *cpu);
/* Whether an interrupt line may interrupt, by the global flag and whose EFLAGS.IF counts. */
bool x86_svm_takes_interrupts(const X86Cpu *cpu);
/* The virtual interrupt that waits, priorities considered, or -1; EFLAGS.IF is not. */
int x86_svm_virtual_interrupt(const X86Cpu *cpu);
void x86_svm_virtual_interrupt_taken(X86Cpu *cpu);
/* Whether CR8 is the VMCB's. */
bool x86_svm_has_own_tpr(const X86Cpu *cpu);
uint64_t x86_svm_tpr(const X86Cpu *cpu);
void x86_svm_set_tpr(X86Cpu *cpu, uint64_t value);

/* STGI and CLGI: a guest's may be the VMCB's flag. */
void x86_svm_set_gif(X86Cpu *cpu, bool set);

/* VMRUN; a VMCB that is not right ends in an exit at once. next_eip: behind it. Faults unwind. */
void x86_svm_run(X86Cpu *cpu, uint64_t vmcb, uint64_t next_eip);
/* VMLOAD and VMSAVE. */
void x86_svm_load(X86Cpu *cpu, uint64_t vmcb);
void x86_svm_save(X86Cpu *cpu, uint64_t vmcb);

#endif
