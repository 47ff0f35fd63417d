/* SPDX-License-Identifier: MIT */
/*
 * An x86 processor (Intel SDM, AMD APM), from the 80486 to x86-64-v3 and beyond.
 *
 * Fields near `tcg` lie within a signed byte of the env register, which makes generated code short. All
 * fields belong to the vCPU's own thread unless marked [any].
 *
 * The translator's pc is the linear address of the code: EIP is pc - CS base. Outside 64-bit mode the upper
 * halves of the general registers are zero and r8 to r15 are not used.
 */
#ifndef TARGET_I386_CPU_H
#define TARGET_I386_CPU_H

#include "accel/tcg/ir/services.h"
#include "accel/tcg/ir/target.h"
#include "base/bits.h"
#include "machine/arch/x86.h"
#include "machine/machine.h"
#include "target/i386/cpu-features.h"

/* Numbers of registers as instructions encode them. */
enum { X86_RAX, X86_RCX, X86_RDX, X86_RBX, X86_RSP, X86_RBP, X86_RSI, X86_RDI };
typedef enum { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_SEGMENTS, X86_LDTR = 6, X86_TR } X86SegmentName;

/* Indices of guest variables (IrOp.var). */
enum {
    X86_VAR_GPR = 0,
    X86_VAR_FLAGS = 16,        /* CF PF AF ZF SF OF */
    X86_VAR_XMM = 17,
    X86_VAR_YMM = X86_VAR_XMM + 16,    /* upper halves */
    X86_VAR_BASE = X86_VAR_YMM + 16,   /* segment bases, by X86SegmentName */
    X86_VAR_LIMIT = X86_VAR_BASE + 6,  /* X86Segment.fast_limit */
    X86_VAR_EFLAGS = X86_VAR_LIMIT + 6, /* the other flags: X86Cpu.eflags */
    X86_VAR_DF,                /* +1 or -1 */
    X86_VAR_IRQ_WAITING,
    X86_VAR_SHADOW,
    X86_VAR_FIP,               /* X86Cpu.x87_noted */
    X86_VAR_FOP,
    X86_VAR_FDP,
    X86_VAR_FDS,
    X86_VAR_BOUNCE,            /* TcgState.bounce_address */
    X86_VAR_MMX,               /* MM0 to MM7: significands of the x87's registers */
    X86_VAR_MMX_ABOVE = X86_VAR_MMX + 8, /* the other halves of these, of which 16 bits are the sign and the exponent */
    X86_VAR_MMX_END = X86_VAR_MMX_ABOVE + 8 - 1,
    X86_VAR_TSC_AUX,
    X86_VAR_KERNEL_GS_BASE,
    X86_VAR_INSN_COUNT,        /* TcgState.insn_count */
    X86_VAR_COUNT,
};

/* The mode key: what a translation depends on besides its bytes. */
#define X86_MODE(n) (UINT64_C(1) << (n))
#define X86_MODE_CODE_BITS UINT64_C(3)      /* log2 of the code segment's word: 1, 2, 3 (16, 32, 64 bits) */
#define X86_MODE_STACK32 X86_MODE(2)        /* SS.B (and long mode): the stack pointer is ESP */
#define X86_MODE_FLAT_CS X86_MODE(3)        /* base 0, limit 4 GiB or none */
#define X86_MODE_FLAT_DATA X86_MODE(4)      /* DS, ES and SS: base 0, 4 GiB (or none), readable and writable */
#define X86_MODE_PROTECTED X86_MODE(5)      /* CR0.PE and not virtual-8086 mode */
#define X86_MODE_VM86 X86_MODE(6)
#define X86_MODE_LONG X86_MODE(7)           /* EFER.LMA */
#define X86_MODE_CPL_SHIFT 8
#define X86_MODE_CPL (UINT64_C(3) << X86_MODE_CPL_SHIFT)
#define X86_MODE_IOPL X86_MODE(10)          /* CPL <= IOPL: CLI, STI, IN and OUT are allowed */
#define X86_MODE_TF X86_MODE(11)            /* EFLAGS.TF: one instruction a unit, then #DB */
#define X86_MODE_SHADOW X86_MODE(12)        /* X86Cpu.shadow: one instruction, which clears it */
#define X86_MODE_ALIGN X86_MODE(13)         /* alignment checks: CR0.AM, EFLAGS.AC and CPL 3 */
#define X86_MODE_EM X86_MODE(14)            /* CR0 */
#define X86_MODE_TS X86_MODE(15)
#define X86_MODE_MP X86_MODE(16)
#define X86_MODE_OSFXSR X86_MODE(17)        /* CR4 */
#define X86_MODE_AVX X86_MODE(18)           /* CR4.OSXSAVE, and XCR0 has SSE and AVX */
#define X86_MODE_TSD X86_MODE(19)
#define X86_MODE_UMIP X86_MODE(20)
#define X86_MODE_PCE X86_MODE(21)
#define X86_MODE_FSGSBASE X86_MODE(22)
#define X86_MODE_DE X86_MODE(23)
#define X86_MODE_SSE_TRAPS X86_MODE(24)     /* MXCSR masks not all exceptions: FP is computed by checking helpers */
#define X86_MODE_SMM X86_MODE(25)
#define X86_MODE_VME X86_MODE(26)           /* CR4.VME */
#define X86_MODE_PVI X86_MODE(27)           /* CR4.PVI */
#define X86_MODE_OSXSAVE X86_MODE(28)
#define X86_MODE_FS_FLAT X86_MODE(29)       /* no limit check for FS (GS) */
#define X86_MODE_GS_FLAT X86_MODE(30)
#define X86_MODE_INSTRUCTION_BREAKS X86_MODE(31) /* DR7 has an enabled instruction breakpoint */
#define X86_MODE_CODE_ODD X86_MODE(32)      /* near the end of CS's limit: each instruction is checked */
#define X86_MODE_X87_TRAPS X86_MODE(34)     /* the x87's control word masks not all exceptions */
#define X86_MODE_MISALIGNED X86_MODE(36)    /* MXCSR.MM: operands of 16 bytes may lie anywhere */
#define X86_MODE_RECORDS X86_MODE(35)       /* DebugCtl.LBR: one instruction a unit; branches are recorded */
#define X86_MODE_SVM_GUEST X86_MODE(33)     /* between VMRUN and #VMEXIT: instructions may be intercepted */

/* EFLAGS. */
enum {
    EFLAGS_CF = 1 << 0,
    EFLAGS_ONE = 1 << 1,       /* always set */
    EFLAGS_PF = 1 << 2,
    EFLAGS_AF = 1 << 4,
    EFLAGS_ZF = 1 << 6,
    EFLAGS_SF = 1 << 7,
    EFLAGS_TF = 1 << 8,
    EFLAGS_IF = 1 << 9,
    EFLAGS_DF = 1 << 10,
    EFLAGS_OF = 1 << 11,
    EFLAGS_IOPL_SHIFT = 12,
    EFLAGS_IOPL = 3 << 12,
    EFLAGS_NT = 1 << 14,
    EFLAGS_RF = 1 << 16,
    EFLAGS_VM = 1 << 17,
    EFLAGS_AC = 1 << 18,
    EFLAGS_VIF = 1 << 19,
    EFLAGS_VIP = 1 << 20,
    EFLAGS_ID = 1 << 21,
    EFLAGS_STATUS = EFLAGS_CF | EFLAGS_PF | EFLAGS_AF | EFLAGS_ZF | EFLAGS_SF | EFLAGS_OF,
};

#define CR0_PE UINT64_C(0x1)
#define CR0_MP UINT64_C(0x2)
#define CR0_EM UINT64_C(0x4)
#define CR0_TS UINT64_C(0x8)
#define CR0_ET UINT64_C(0x10)
#define CR0_NE UINT64_C(0x20)
#define CR0_WP UINT64_C(0x10000)
#define CR0_AM UINT64_C(0x40000)
#define CR0_NW UINT64_C(0x20000000)
#define CR0_CD UINT64_C(0x40000000)
#define CR0_PG UINT64_C(0x80000000)

#define CR4_VME UINT64_C(0x1)
#define CR4_PVI UINT64_C(0x2)
#define CR4_TSD UINT64_C(0x4)
#define CR4_DE UINT64_C(0x8)
#define CR4_PSE UINT64_C(0x10)
#define CR4_PAE UINT64_C(0x20)
#define CR4_MCE UINT64_C(0x40)
#define CR4_PGE UINT64_C(0x80)
#define CR4_PCE UINT64_C(0x100)
#define CR4_OSFXSR UINT64_C(0x200)
#define CR4_OSXMMEXCPT UINT64_C(0x400)
#define CR4_UMIP UINT64_C(0x800)
#define CR4_LA57 UINT64_C(0x1000)
#define CR4_FSGSBASE UINT64_C(0x10000)
#define CR4_PCIDE UINT64_C(0x20000)
#define CR4_OSXSAVE UINT64_C(0x40000)
#define CR4_SMEP UINT64_C(0x100000)
#define CR4_SMAP UINT64_C(0x200000)
#define CR4_PKE UINT64_C(0x400000)
#define CR4_PKS UINT64_C(0x1000000)

#define EFER_SCE UINT64_C(0x1)
#define EFER_LME UINT64_C(0x100)
#define EFER_LMA UINT64_C(0x400)
#define EFER_NXE UINT64_C(0x800)
#define EFER_SVME UINT64_C(0x1000)
#define EFER_LMSLE UINT64_C(0x2000)
#define EFER_FFXSR UINT64_C(0x4000)

#define DR6_BD UINT64_C(0x2000)
#define DR6_BS UINT64_C(0x4000)
#define DR6_BT UINT64_C(0x8000)
#define DR6_FIXED UINT64_C(0xffff0ff0)
#define DR7_GD UINT64_C(0x2000)
#define DR7_FIXED UINT64_C(0x400)
#define DEBUGCTL_LBR UINT64_C(1)
#define DEBUGCTL_BTF UINT64_C(2)

#define XCR0_X87 UINT64_C(0x1)
#define XCR0_SSE UINT64_C(0x2)
#define XCR0_AVX UINT64_C(0x4)
#define XCR0_AVX512 UINT64_C(0xe0)
#define XCR0_PKRU UINT64_C(0x200)
#define XCR0_AMX UINT64_C(0x60000)

/* Exceptions, by vector. */
typedef enum {
    X86_DE = 0, X86_DB = 1, X86_NMI = 2, X86_BP = 3, X86_OF = 4, X86_BR = 5, X86_UD = 6, X86_NM = 7, X86_DF = 8,
    X86_TS = 10, X86_NP = 11, X86_SS_FAULT = 12, X86_GP = 13, X86_PF = 14, X86_MF = 16, X86_AC = 17, X86_MC = 18,
    X86_XM = 19,
} X86Vector;

/* What X86Cpu.shadow holds back for one instruction: interrupts, and after a load of SS debug traps as well (SDM 3, 6.8.3). */
enum { X86_SHADOW_STI = 1, X86_SHADOW_STACK };

/* Error code bits of page faults. */
enum { X86_PF_P = 1, X86_PF_W = 2, X86_PF_U = 4, X86_PF_RSVD = 8, X86_PF_I = 16, X86_PF_PK = 32 };

/* X86Segment.flags: bits 8 to 23 of the descriptor's second word, at their places. */
enum {
    X86_SEG_TYPE_SHIFT = 8,
    X86_SEG_ACCESSED = 1 << 8,
    X86_SEG_WRITE = 1 << 9,    /* data: writable; code: readable */
    X86_SEG_DOWN = 1 << 10,    /* data: expands down; code: conforming */
    X86_SEG_CODE = 1 << 11,
    X86_SEG_S = 1 << 12,       /* code or data */
    X86_SEG_DPL_SHIFT = 13,
    X86_SEG_DPL = 3 << 13,
    X86_SEG_P = 1 << 15,
    X86_SEG_AVL = 1 << 20,
    X86_SEG_L = 1 << 21,
    X86_SEG_B = 1 << 22,       /* D or B */
    X86_SEG_G = 1 << 23,
};

/* A segment register with its hidden part. */
typedef struct {
    uint16_t selector;
    uint32_t limit;            /* in bytes */
    uint32_t flags;            /* X86_SEG_*; P clear: unusable (a null selector) */
    uint64_t base;
    /*
     * What generated code checks: the last byte of an access may be at most this offset. Where the rule is another
     * (expand-down, unusable, not writable), 0, and the slow check tells.
     */
    uint64_t fast_limit;
} X86Segment;

typedef struct { uint64_t base; uint32_t limit; } X86TableRegister;

/* An 80-bit register of the x87, in 16 bytes. */
typedef struct { uint64_t significand; uint16_t sign_exponent; uint16_t pad[3]; } X87Register;
G_STATIC_ASSERT(sizeof(X87Register) == 16);

typedef struct {
    X87Register st[8];         /* physical order */
    uint16_t control, status;  /* status without TOP */
    uint8_t top;
    uint8_t valid;             /* bit per physical register: not empty */
    uint16_t opcode;           /* of the last instruction, 11 bits */
    uint16_t cs, ds;
    uint64_t fip, fdp;
} X87State;

/*
 * Of the last x87 instruction but control ones, and of the last one with an operand in memory: what generated code notes, and
 * x87_settle makes the pointers of X87State of. Selectors are those that are loaded until then.
 */
enum { X87_NOTED = 1 << 11 };
typedef struct {
    uint64_t fip;              /* linear */
    uint64_t fop;              /* 0: nothing; X87_NOTED | opcode */
    uint64_t fdp;              /* linear; of FS and GS, whose bases change by themselves, the offset */
    uint64_t fds;              /* 0: nothing; X87_NOTED | X86SegmentName */
} X87Noted;

/* Where a walk of a guest's nested tables failed: at the address itself, or at one of the guest's own tables. */
typedef enum { X86_NOT_NESTED, X86_NESTED_FINAL, X86_NESTED_TABLE } X86Nested;

/* A fault that the walk found, waiting for raise_fault. */
typedef struct {
    uint64_t address;          /* linear; of nested tables: the guest's physical one */
    uint32_t error_code;
    uint8_t vector;            /* X86_PF, X86_GP, X86_SS_FAULT, X86_AC */
    uint8_t nested;            /* X86Nested: no exception but a #VMEXIT */
    bool again;                /* none at all: the instruction is to be executed on its own, for a watchpoint */
} X86Fault;

/*
 * AMD's secure virtual machine (APM 2, chapter 15 and appendix B): what VMRUN has read of the VMCB's control area, and
 * what the processor keeps of its own. The host's state waits in the memory that VM_HSAVE_PA tells.
 */
enum { X86_SVM_INTERCEPT_WORDS = 6, X86_SVM_ASIDS = 16 };
typedef struct {
    bool guest;                /* between VMRUN and #VMEXIT */
    bool gif;                  /* the global interrupt flag */
    bool nested_paging;
    bool own_branches;         /* the guest has recording of its own */
    bool host_if;              /* the host's EFLAGS.IF */
    uint32_t asid;             /* 0: the host */
    uint32_t intercepts[X86_SVM_INTERCEPT_WORDS]; /* a bit per exit code */
    uint64_t vmcb, hsave, vm_cr;
    uint64_t io_map, msr_map, tsc_offset, nested_cr3;
    uint64_t host_cr4, host_efer; /* nested tables have the form of the host's */
    uint64_t virtual_interrupt;   /* the VMCB's quadword at 0x60 */
    uint64_t event;            /* what is being delivered, in the form of EXITINTINFO */
} X86Svm;

/* AVX-512, which only a host's processor has: masks, bits 511 to 256 of the first sixteen vectors, and the other sixteen. */
typedef struct {
    uint64_t mask[8];
    V128 high[16][2];
    V128 more[16][4];
} X86Avx512;

enum { X86_UNSET = UINT32_MAX, X86_IGNORED = 2, X86_HV_NUMBERS = 7 };

typedef struct X86Cpu {
    Vcpu vcpu;

    X86Segment ldtr, tr;
    X86TableRegister gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, efer, xcr0;
    uint64_t dr[8];            /* 0 to 3, 6, 7 */
    uint64_t star, lstar, cstar, sfmask;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, tsc_offset, misc_enable, smbase, debugctl, xss;
    uint64_t mtrr_default, mtrr_fixed[11], mtrr_variable[16]; /* base and mask in turns */
    uint64_t last_branch[4];   /* from and to; the same of the last one before an exception or interrupt */
    uint64_t mcg_status, mcg_control, mc_banks[10 * 4];
    uint64_t pdpte[4];         /* PAE paging: as loaded with CR3 */
    uint64_t tsc_adjust, spec_ctrl, syscfg, hwcr;
    uint64_t pkrs;             /* rights by protection keys to supervisor pages; to user pages: pkru */
    X87State x87;
    IrqLine ferr;              /* X86_CPU_IRQ_FERR */
    bool ferr_raised;
    uint32_t pkru;             /* rights by protection keys */
    uint32_t mxcsr_raised;     /* flags that the running instruction has raised so far */
    uint32_t mxcsr;            /* as written, without sticky flags, which are the run time's; but see x86_hold_mxcsr_flags */

    uint8_t cpl;
    bool smm, nmi_blocked, nmi_blocked_before_smm, a20;
    bool wait_for_sipi;        /* an application processor after INIT */
    bool delivering;           /* an exception is being delivered: another one may be a double fault */
    uint8_t delivering_vector;
    uint8_t delivering_external; /* bit 0 of error codes in the meantime */
    bool shut_down;            /* after a triple fault: until a reset or INIT */
    uint8_t phys_bits, virt_bits;
    uint64_t pending_debug;    /* DR6 bits of a trap to be raised before the next instruction */
    bool alone;                /* an instruction that hits a watchpoint is a unit of its own */
    bool step_settled;         /* this instruction has seen to the trap of TF itself */
    uint64_t step_from, step_next; /* where it is, and what follows it: with TF only */
    bool resume_loaded;        /* it is an IRET that has loaded RF, for the next one */

    uint64_t mode;             /* current key, kept by x86_update_mode */
    X86Fault fault;
    X86Svm svm;

    /* The model, and properties: after realize, what they come to. X86_UNSET: as the model has it. */
    const struct X86Model *x86_model;
    uint32_t features[X86_FEATURE_WORDS]; /* CPUID words: cpu-features.h */
    int switches[X86_FEATURE_COUNT];      /* enum OnOffAuto */
    char *vendor, *model_id;
    uint32_t family, model_number, stepping, level, xlevel, min_level, min_xlevel;
    uint32_t wanted_phys_bits, host_phys_bits_limit;
    int host_phys_bits; /* enum OnOffAuto */
    bool enforce, check, l3_cache, legacy_cache, host_cache_info, cpuid_0xb, cpuid_1f, tcg_cpuid, shows_kvm, migratable;
    bool on_host;              /* the accelerator has a processor of its own, and says what it can */
    bool ignored[X86_IGNORED];            /* properties that other accelerators understand */
    uint32_t hv_numbers[X86_HV_NUMBERS];
    char *hv_vendor_id;
    int hv_no_coresharing;               /* enum OnOffAuto */
    bool has_hyperv;           /* the accelerator has some of its interfaces */
    X86Avx512 avx512;
    uint64_t tsc_hz;
    X86Topology topology;

    /* Guest variables. Order and place matter: see the head of this file. */
    V128 xmm[16][2];           /* low and high half of ymm */
    X86Segment seg[X86_SEGMENTS];
    uint64_t eflags;           /* without the status flags and DF; bit 1 is set */
    int64_t df;
    uint64_t irq_waiting;      /* an interrupt waits for IF */
    uint64_t shadow;           /* X86_SHADOW_…: what is held back for one instruction */
    X87Noted x87_noted;
    uint64_t tsc_aux, kernel_gs_base;
    uint64_t gpr[16];
    uint16_t flags;            /* as in accel/tcg/ir/flags.h */
    TcgState tcg;
} X86Cpu;

/* Of AMD, or of Hygon, who does all as AMD. */
bool x86_vendor_is_amd(const X86Cpu *cpu);
bool x86_vendor_is_intel(const X86Cpu *cpu);

static inline X86Cpu *x86_cpu(Vcpu *vcpu)
{
    return container_of(vcpu, X86Cpu, vcpu);
}

static inline X86Cpu *x86_cpu_of_env(TcgState *env)
{
    return container_of(env, X86Cpu, tcg);
}

static inline bool x86_has(const X86Cpu *cpu, X86Feature feature)
{
    return cpu->features[feature / 32] >> (feature % 32) & 1;
}

static inline bool x86_protected(const X86Cpu *cpu)
{
    return (cpu->cr0 & CR0_PE) && !(cpu->eflags & EFLAGS_VM);
}

static inline bool x86_long_mode(const X86Cpu *cpu)
{
    return cpu->efer & EFER_LMA;
}

/* 64-bit mode, not compatibility mode. */
static inline bool x86_code64(const X86Cpu *cpu)
{
    return (cpu->efer & EFER_LMA) && (cpu->seg[X86_CS].flags & X86_SEG_L);
}

/* EIP or RIP of the instruction that runs. */
static inline uint64_t x86_eip(const X86Cpu *cpu)
{
    uint64_t eip = tcg_pc(&cpu->tcg) - cpu->seg[X86_CS].base;

    return x86_code64(cpu) ? eip : (uint32_t)eip;
}

static inline void x86_set_eip(X86Cpu *cpu, uint64_t eip)
{
    uint64_t pc = eip + cpu->seg[X86_CS].base;

    tcg_set_pc(&cpu->tcg, x86_code64(cpu) ? pc : (uint32_t)pc);
}

extern const Target i386_target, x86_64_target;

/* State after reset, and after INIT, which leaves FPU and MSRs alone. */
void x86_init_reset(X86Cpu *cpu);

/* EFLAGS as PUSHF sees them, all of them. */
uint64_t x86_get_eflags(const X86Cpu *cpu);
/* Sets those in mask, and what follows from them (mode, context, pending interrupts). */
void x86_set_eflags(X86Cpu *cpu, uint64_t value, uint64_t mask);

/* After a change that the mode key depends on: segments, CR0, CR4, EFER, EFLAGS, CPL, XCR0, MXCSR. */
void x86_update_mode(X86Cpu *cpu);
/* After a change that the address-space context depends on; includes x86_update_mode. */
void x86_update_context(X86Cpu *cpu);
/* Sets a hidden part; keeps the mode's and fast_limit's rules. The caller updates the mode. */
void x86_set_segment(X86Cpu *cpu, X86SegmentName name, uint16_t selector, uint64_t base, uint32_t limit,
                     uint32_t flags);
/* Leaves generated code at the next unit's entry, so that take_interrupt runs. */
static inline void x86_request_exit(X86Cpu *cpu)
{
    atomic_store_explicit(&cpu->tcg.exit_request, 1, memory_order_relaxed);
}

#endif
