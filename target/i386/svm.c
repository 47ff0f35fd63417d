/* SPDX-License-Identifier: MIT */
/* VMRUN, #VMEXIT, VMLOAD, VMSAVE (AMD APM 2, chapter 15): the state that goes to and fro. Layouts: appendix B. */
#include "target/i386/svm.h"

#include "base/log.h"
#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/mmu.h"
#include "target/i386/segment.h"

/* The control area. */
enum {
    INTERCEPTS = 0x000,
    IO_MAP = 0x040,
    MSR_MAP = 0x048,
    TSC_OFFSET = 0x050,
    GUEST_ASID = 0x058,
    TLB_CONTROL = 0x05c,
    VIRTUAL_INTERRUPT = 0x060,
    INTERRUPT_SHADOW = 0x068,
    EXIT_CODE = 0x070,
    EXIT_INFO_1 = 0x078,
    EXIT_INFO_2 = 0x080,
    EXIT_EVENT = 0x088,
    NESTED_ENABLE = 0x090,
    EVENT = 0x0a8,
    NESTED_CR3 = 0x0b0,
    OWN_BRANCHES = 0x0b8,
    NEXT_RIP = 0x0c8,
    FETCHED_BYTES = 0x0d0,
};

/* The state save area, at its place in the VMCB. Segment registers are in the order of their numbers. */
enum {
    SEGMENTS = 0x400,
    GDTR = 0x460,
    LDTR = 0x470,
    IDTR = 0x480,
    TR = 0x490,
    CPL = 0x4cb,
    EFER = 0x4d0,
    CR4 = 0x548,
    CR3 = 0x550,
    CR0 = 0x558,
    DR7 = 0x560,
    DR6 = 0x568,
    RFLAGS = 0x570,
    RIP = 0x578,
    RSP = 0x5d8,
    RAX = 0x5f8,
    STAR = 0x600,
    LSTAR = 0x608,
    CSTAR = 0x610,
    SFMASK = 0x618,
    KERNEL_GS_BASE = 0x620,
    SYSENTER_CS = 0x628,
    SYSENTER_ESP = 0x630,
    SYSENTER_EIP = 0x638,
    CR2 = 0x640,
    GUEST_PAT = 0x668,
    DEBUG_CONTROL = 0x670,
    LAST_BRANCH = 0x678,
    VMCB_SIZE = 0x698,
};

/* The virtual interrupt's quadword. */
#define V_TPR         UINT64_C(0xf)
#define V_IRQ         UINT64_C(0x100)
#define V_GIF         UINT64_C(0x200)
#define V_PRIORITY    UINT64_C(0xf0000)
#define V_IGNORE_TPR  UINT64_C(0x100000)
#define V_MASKING     UINT64_C(0x1000000)
#define V_GIF_ENABLED UINT64_C(0x2000000)
enum { V_PRIORITY_SHIFT = 16, V_VECTOR_SHIFT = 32 };

/* A bit per port, and those of the last ones' wider accesses; two bits per MSR. */
enum { IO_MAP_BYTES = 0x2001, MSR_MAP_BYTES = 0x2000 };

enum { TLB_FLUSH_ALL = 1, TLB_FLUSH_GUEST = 3, TLB_FLUSH_GUEST_LOCAL = 7 };

typedef struct {
    uint8_t bytes[VMCB_SIZE];
} Vmcb;

static void put(Vmcb *vmcb, unsigned offset, unsigned bytes, uint64_t value)
{
    memcpy(vmcb->bytes + offset, &value, bytes);
}

static uint64_t get(const Vmcb *vmcb, unsigned offset, unsigned bytes)
{
    uint64_t value = 0;

    memcpy(&value, vmcb->bytes + offset, bytes);
    return value;
}

static MemoryAttributes attributes(const X86Cpu *cpu)
{
    return (MemoryAttributes){ .vcpu = (int16_t)cpu->vcpu.index, .secure = cpu->smm };
}

/* What is not memory reads as zeros, and is not written. */
static void read_vmcb(X86Cpu *cpu, uint64_t address, Vmcb *vmcb)
{
    memset(vmcb, 0, sizeof *vmcb);
    address_space_read_bytes(cpu->vcpu.memory, address, vmcb->bytes, VMCB_SIZE, attributes(cpu));
}

static void write_vmcb(X86Cpu *cpu, uint64_t address, const Vmcb *vmcb)
{
    address_space_write_bytes(cpu->vcpu.memory, address, vmcb->bytes, VMCB_SIZE, attributes(cpu));
}

/* Attributes are the descriptor's bits 8 to 23 without its limit, moved together. */
static void put_segment(Vmcb *vmcb, unsigned offset, const X86Segment *s)
{
    put(vmcb, offset, 2, s->selector);
    put(vmcb, offset + 2, 2, (s->flags >> 8 & 0xff) | (s->flags >> 12 & 0xf00));
    put(vmcb, offset + 4, 4, s->limit);
    put(vmcb, offset + 8, 8, s->base);
}

/* Bases that are not canonical are made so, by as many bits as the processor has. */
static uint64_t get_base(const X86Cpu *cpu, const Vmcb *vmcb, unsigned offset)
{
    return (uint64_t)bits_sign_extend(get(vmcb, offset, 8), cpu->virt_bits);
}

static X86TableRegister get_table(const X86Cpu *cpu, const Vmcb *vmcb, unsigned offset)
{
    return (X86TableRegister){ get_base(cpu, vmcb, offset + 8),
                               (uint32_t)get(vmcb, offset + 4, 4) };
}

static X86Segment get_segment(const X86Cpu *cpu, const Vmcb *vmcb, unsigned offset)
{
    uint32_t flags = (uint32_t)get(vmcb, offset + 2, 2);

    return (X86Segment){ .selector = (uint16_t)get(vmcb, offset, 2),
                         .flags = (flags & 0xff) << 8 | (flags & 0xf00) << 12,
                         .limit = (uint32_t)get(vmcb, offset + 4, 4),
                         .base = get_base(cpu, vmcb, offset + 8) };
}

/* VMRUN and #VMEXIT move ES, CS, SS and DS; the other segments are VMLOAD's and VMSAVE's. */
static void put_state(Vmcb *vmcb, X86Cpu *cpu, uint64_t eip)
{
    for (unsigned i = X86_ES; i <= X86_DS; i++) {
        put_segment(vmcb, SEGMENTS + 16 * i, &cpu->seg[i]);
    }
    put(vmcb, GDTR + 4, 4, cpu->gdtr.limit);
    put(vmcb, GDTR + 8, 8, cpu->gdtr.base);
    put(vmcb, IDTR + 4, 4, cpu->idtr.limit);
    put(vmcb, IDTR + 8, 8, cpu->idtr.base);
    put(vmcb, CPL, 1, cpu->cpl);
    put(vmcb, EFER, 8, cpu->efer);
    put(vmcb, CR4, 8, cpu->cr4);
    put(vmcb, CR3, 8, cpu->cr3);
    put(vmcb, CR0, 8, cpu->cr0);
    put(vmcb, DR7, 8, cpu->dr[7]);
    put(vmcb, DR6, 8, cpu->dr[6]);
    put(vmcb, RFLAGS, 8, x86_get_eflags(cpu));
    put(vmcb, RIP, 8, eip);
    put(vmcb, RSP, 8, cpu->gpr[X86_RSP]);
    put(vmcb, RAX, 8, cpu->gpr[X86_RAX]);
    put(vmcb, CR2, 8, cpu->cr2);
}

static bool has_watchpoints(const X86Cpu *cpu)
{
    return cpu->dr[7] & 0xff;
}

/* In real and virtual-8086 mode it does not count what is there. */
static uint8_t get_cpl(const Vmcb *vmcb)
{
    if (!(get(vmcb, CR0, 8) & CR0_PE)) {
        return 0;
    }
    return get(vmcb, RFLAGS, 8) & EFLAGS_VM ? 3 : get(vmcb, CPL, 1) & 3;
}

/* Contexts are told apart by all that translations depend on, but watchpoints. */
static void get_state(const Vmcb *vmcb, X86Cpu *cpu)
{
    bool watched = has_watchpoints(cpu);

    cpu->efer = get(vmcb, EFER, 8);
    cpu->cr0 = get(vmcb, CR0, 8) | CR0_ET;
    cpu->cr3 = get(vmcb, CR3, 8);
    cpu->cr4 = get(vmcb, CR4, 8);
    cpu->cr2 = get(vmcb, CR2, 8);
    cpu->dr[6] = (get(vmcb, DR6, 8) & 0xe00f) | DR6_FIXED;
    cpu->dr[7] = (get(vmcb, DR7, 8) & 0xffff2bff) | DR7_FIXED;
    cpu->gdtr = get_table(cpu, vmcb, GDTR);
    cpu->idtr = get_table(cpu, vmcb, IDTR);
    cpu->cpl = get_cpl(vmcb);
    x86_set_eflags(cpu, get(vmcb, RFLAGS, 8), UINT64_C(0x3f7fd7));
    for (unsigned i = X86_ES; i <= X86_DS; i++) {
        X86Segment s = get_segment(cpu, vmcb, SEGMENTS + 16 * i);

        if (i == X86_CS && x86_long_mode(cpu) && (s.flags & X86_SEG_L)) {
            s.base = 0; /* 64-bit code has none */
        }
        x86_set_segment(cpu, (X86SegmentName)i, s.selector, s.base, s.limit, s.flags);
    }
    for (unsigned i = X86_FS; i <= X86_GS; i++) {
        /* What a limit means depends on the mode. */
        X86Segment s = cpu->seg[i];

        x86_set_segment(cpu, (X86SegmentName)i, s.selector, s.base, s.limit, s.flags);
    }
    cpu->gpr[X86_RSP] = get(vmcb, RSP, 8);
    cpu->gpr[X86_RAX] = get(vmcb, RAX, 8);
    x86_set_eip(cpu, get(vmcb, RIP, 8));
    if (watched || has_watchpoints(cpu)) {
        x86_flush_translations(cpu, true);
    }
}

/* Recording of branches, which host and guest share unless the VMCB says otherwise (APM 2, 15.23). */
static void put_branches(Vmcb *vmcb, const X86Cpu *cpu)
{
    put(vmcb, DEBUG_CONTROL, 8, cpu->debugctl);
    memcpy(vmcb->bytes + LAST_BRANCH, cpu->last_branch, sizeof cpu->last_branch);
}

static void get_branches(const Vmcb *vmcb, X86Cpu *cpu)
{
    cpu->debugctl = get(vmcb, DEBUG_CONTROL, 8) & (DEBUGCTL_LBR | DEBUGCTL_BTF);
    memcpy(cpu->last_branch, vmcb->bytes + LAST_BRANCH, sizeof cpu->last_branch);
}

static void load_directory_pointers(X86Cpu *cpu)
{
    if ((cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE) && !x86_long_mode(cpu)) {
        x86_load_pdptes(cpu, cpu->cr3);
    }
}

/* Whole pages. */
static uint64_t get_map(const Vmcb *vmcb, unsigned offset)
{
    return get(vmcb, offset, 8) & ~UINT64_C(0xfff);
}

static bool has_intercept(const Vmcb *vmcb, unsigned code)
{
    return get(vmcb, INTERCEPTS + code / 32 * 4, 4) >> code % 32 & 1;
}

/* The guest's registers (APM 2, 15.5.1). */
static bool is_state_valid(const X86Cpu *cpu, const Vmcb *vmcb)
{
    uint64_t efer = get(vmcb, EFER, 8), cr0 = get(vmcb, CR0, 8), cr4 = get(vmcb, CR4, 8);
    X86Segment cs = get_segment(cpu, vmcb, SEGMENTS + 16 * X86_CS);
    bool long_paging = (efer & EFER_LME) && (cr0 & CR0_PG);

    return (efer & EFER_SVME) && !(efer & ~x86_efer_mask(cpu)) && !(cr0 >> 32) &&
           !((cr0 & CR0_NW) && !(cr0 & CR0_CD)) && !(cr4 & ~x86_cr4_mask(cpu)) &&
           !(get(vmcb, DR6, 8) >> 32) && !(get(vmcb, DR7, 8) >> 32) &&
           !(long_paging && (!(cr4 & CR4_PAE) || !(cr0 & CR0_PE))) &&
           !(long_paging && (cs.flags & X86_SEG_L) && (cs.flags & X86_SEG_B)) &&
           !(long_paging && (get(vmcb, CR3, 8) & ~bits_mask(cpu->phys_bits)));
}

/* The last byte of a map that is asked for lies below the last physical address (APM 2, 15.10.1, 15.11). */
static bool is_map_valid(const X86Cpu *cpu, const Vmcb *vmcb, unsigned code, unsigned offset,
                         unsigned bytes)
{
    return !has_intercept(vmcb, code) ||
           get_map(vmcb, offset) < bits_mask(cpu->phys_bits) + 1 - bytes;
}

/* Of exceptions, the vectors that are some: an NMI is none (APM 2, 15.20). */
static bool is_event_valid(const Vmcb *vmcb)
{
    uint64_t event = get(vmcb, EVENT, 8);
    unsigned type = event >> SVM_EVENT_TYPE_SHIFT & 7, vector = event & 0xff;

    if (!(event & SVM_EVENT_VALID)) {
        return true;
    }
    return type == SVM_EVENT_EXCEPTION
               ? vector < 32 && vector != X86_NMI
               : type == SVM_EVENT_INTR || type == SVM_EVENT_NMI || type == SVM_EVENT_SOFTWARE;
}

static bool wants_nested_paging(const X86Cpu *cpu, const Vmcb *vmcb)
{
    return x86_has(cpu, X86_FEATURE_NPT) && (get(vmcb, NESTED_ENABLE, 8) & 1);
}

/* APM 2, 15.25.3 and 15.25.4. */
static bool is_nested_paging_valid(const X86Cpu *cpu, const Vmcb *vmcb)
{
    return !wants_nested_paging(cpu, vmcb) ||
           ((cpu->cr0 & CR0_PG) && !(get(vmcb, NESTED_CR3, 8) & ~bits_mask(cpu->phys_bits)) &&
            x86_is_pat(get(vmcb, GUEST_PAT, 8)));
}

static bool is_valid(const X86Cpu *cpu, const Vmcb *vmcb)
{
    uint32_t asid = (uint32_t)get(vmcb, GUEST_ASID, 4);

    return asid != 0 && asid < X86_SVM_ASIDS && has_intercept(vmcb, SVM_EXIT_VMRUN) &&
           is_state_valid(cpu, vmcb) && is_event_valid(vmcb) && is_nested_paging_valid(cpu, vmcb) &&
           is_map_valid(cpu, vmcb, SVM_EXIT_IO, IO_MAP, IO_MAP_BYTES) &&
           is_map_valid(cpu, vmcb, SVM_EXIT_MSR, MSR_MAP, MSR_MAP_BYTES);
}

static void get_control(X86Cpu *cpu, const Vmcb *vmcb)
{
    X86Svm *svm = &cpu->svm;

    memcpy(svm->intercepts, vmcb->bytes + INTERCEPTS, sizeof svm->intercepts);
    svm->io_map = get_map(vmcb, IO_MAP);
    svm->msr_map = get_map(vmcb, MSR_MAP);
    svm->tsc_offset = get(vmcb, TSC_OFFSET, 8);
    svm->asid = (uint32_t)get(vmcb, GUEST_ASID, 4);
    svm->virtual_interrupt = get(vmcb, VIRTUAL_INTERRUPT, 8);
    svm->nested_paging = wants_nested_paging(cpu, vmcb);
    svm->nested_cr3 = get(vmcb, NESTED_CR3, 8);
    svm->own_branches = x86_has(cpu, X86_FEATURE_LBRV) && (get(vmcb, OWN_BRANCHES, 8) & 1);
}

static void flush_as_told(X86Cpu *cpu, unsigned control)
{
    if (control == TLB_FLUSH_ALL) {
        x86_flush_translations(cpu, true);
    } else if (control == TLB_FLUSH_GUEST || control == TLB_FLUSH_GUEST_LOCAL) {
        x86_flush_asid(cpu, cpu->svm.asid, control == TLB_FLUSH_GUEST);
    }
}

/* The exit of a guest that has not begun. */
static void refuse(X86Cpu *cpu, uint64_t address, Vmcb *vmcb, uint64_t next_eip)
{
    if (log_enabled(LOG_GUEST_ERRORS)) {
        log_printf("cpu%u: VMRUN of a VMCB that is not valid, at %#" PRIx64 "\n", cpu->vcpu.index,
                   address);
    }
    put(vmcb, EXIT_CODE, 8, (uint64_t)SVM_EXIT_INVALID);
    write_vmcb(cpu, address, vmcb);
    cpu->svm.gif = false;
    x86_set_eip(cpu, next_eip);
}

static void open_gif(X86Cpu *cpu)
{
    if (!cpu->svm.gif) {
        cpu->svm.gif = true;
        x86_release_nmi(cpu);
    }
}

void x86_svm_run(X86Cpu *cpu, uint64_t address, uint64_t next_eip)
{
    Vmcb vmcb, host;
    uint64_t event;
    bool alone;

    read_vmcb(cpu, address, &vmcb);
    if (!is_valid(cpu, &vmcb)) {
        refuse(cpu, address, &vmcb, next_eip);
        return;
    }
    /* A host may have its VMSAVE in the same page. */
    read_vmcb(cpu, cpu->svm.hsave, &host);
    put_state(&host, cpu, next_eip);
    put(&host, GUEST_PAT, 8, cpu->pat);
    put_branches(&host, cpu);
    write_vmcb(cpu, cpu->svm.hsave, &host);
    cpu->svm.vmcb = address;
    cpu->svm.host_cr4 = cpu->cr4;
    cpu->svm.host_efer = cpu->efer;
    cpu->svm.host_if = cpu->eflags & EFLAGS_IF;
    get_control(cpu, &vmcb);
    cpu->svm.guest = true;
    open_gif(cpu);
    /* The host's trap waits for the exit. */
    cpu->step_settled = cpu->eflags & EFLAGS_TF;
    alone = cpu->mode & TCG_MODE_ONE;
    get_state(&vmcb, cpu);
    cpu->resume_loaded = alone && (cpu->eflags & EFLAGS_RF);
    if (cpu->svm.nested_paging) {
        cpu->pat = get(&vmcb, GUEST_PAT, 8);
    }
    if (cpu->svm.own_branches) {
        get_branches(&vmcb, cpu);
    }
    load_directory_pointers(cpu);
    flush_as_told(cpu, (unsigned)get(&vmcb, TLB_CONTROL, 1));
    cpu->shadow = get(&vmcb, INTERRUPT_SHADOW, 8) & 1;
    x86_update_context(cpu);
    if (log_enabled(LOG_INT)) {
        log_printf("cpu%u: VMRUN to %04x:%" PRIx64 " asid %u\n", cpu->vcpu.index,
                   cpu->seg[X86_CS].selector, x86_eip(cpu), cpu->svm.asid);
    }
    event = get(&vmcb, EVENT, 8);
    if (event & SVM_EVENT_VALID) {
        cpu->shadow = 0;
        x86_inject_event(cpu, event, get(&vmcb, NEXT_RIP, 8));
    }
    cpu->step_next = tcg_pc(&cpu->tcg); /* VMRUN is no branch */
    x86_update_mode(cpu);
    x86_request_exit(cpu);
}

static void put_exit(const X86Cpu *cpu, Vmcb *vmcb, int64_t code, const uint64_t info[2],
                     uint64_t next_eip)
{
    put(vmcb, EXIT_CODE, 8, (uint64_t)code);
    put(vmcb, EXIT_INFO_1, 8, info[0]);
    put(vmcb, EXIT_INFO_2, 8, info[1]);
    put(vmcb, EXIT_EVENT, 8, cpu->delivering ? cpu->svm.event : 0);
    put(vmcb, EVENT, 8, get(vmcb, EVENT, 8) & ~SVM_EVENT_VALID);
    put(vmcb, VIRTUAL_INTERRUPT, 8, cpu->svm.virtual_interrupt);
    put(vmcb, INTERRUPT_SHADOW, 8, cpu->shadow != 0);
    put(vmcb, FETCHED_BYTES, 1, 0);
    if (x86_has(cpu, X86_FEATURE_NRIP_SAVE)) {
        put(vmcb, NEXT_RIP, 8, next_eip);
    }
}

void x86_svm_exit(X86Cpu *cpu, int64_t code, uint64_t info1, uint64_t info2, uint64_t next_eip)
{
    Vmcb vmcb, host;

    if (log_enabled(LOG_INT)) {
        log_printf("cpu%u: #VMEXIT %#" PRIx64 " info %" PRIx64 " %" PRIx64 " at %04x:%" PRIx64 "\n",
                   cpu->vcpu.index, (uint64_t)code, info1, info2, cpu->seg[X86_CS].selector,
                   x86_eip(cpu));
    }
    read_vmcb(cpu, cpu->svm.vmcb, &vmcb);
    put_state(&vmcb, cpu, x86_eip(cpu));
    put_exit(cpu, &vmcb, code, (const uint64_t[2]){ info1, info2 }, next_eip);
    if (cpu->svm.nested_paging) {
        put(&vmcb, GUEST_PAT, 8, cpu->pat);
    }
    if (cpu->svm.own_branches) {
        put_branches(&vmcb, cpu);
    }
    write_vmcb(cpu, cpu->svm.vmcb, &vmcb);
    cpu->svm.guest = cpu->svm.gif = false;
    cpu->delivering = false;
    cpu->shadow = cpu->pending_debug = 0;
    atomic_store(&cpu->vcpu.halted, false);
    read_vmcb(cpu, cpu->svm.hsave, &host);
    put(&host, CPL, 1, 0);
    put(&host, DR7, 8, DR7_FIXED);
    put(&host, CR0, 8, get(&host, CR0, 8) | CR0_PE);
    put(&host, RFLAGS, 8, get(&host, RFLAGS, 8) & ~(uint64_t)(EFLAGS_VM | EFLAGS_RF));
    /* The host's CR2 and DR6 are not kept. */
    put(&host, CR2, 8, cpu->cr2);
    put(&host, DR6, 8, cpu->dr[6]);
    get_state(&host, cpu);
    cpu->pat = get(&host, GUEST_PAT, 8);
    if (cpu->svm.own_branches) {
        get_branches(&host, cpu);
    }
    load_directory_pointers(cpu);
    x86_update_context(cpu);
    if (cpu->eflags & EFLAGS_TF) {
        /* VMRUN is over. */
        x86_debug_trap(cpu, DR6_BS);
    }
    x86_request_exit(cpu);
}

_Noreturn void x86_svm_leave(X86Cpu *cpu, int64_t code, uint64_t info1, uint64_t info2,
                             uint64_t next_eip)
{
    x86_svm_exit(cpu, code, info1, info2, next_eip);
    tcg_unwind(&cpu->tcg);
}

bool x86_svm_exception(X86Cpu *cpu, unsigned vector, bool has_error_code, uint32_t error_code)
{
    if (!x86_svm_intercepts(cpu, SVM_EXIT_EXCEPTION + vector)) {
        return false;
    }
    x86_svm_exit(cpu, SVM_EXIT_EXCEPTION + vector, has_error_code ? error_code : 0,
                 vector == X86_PF ? cpu->fault.address : 0, 0);
    return true;
}

/* EXITINFO1 of a nested fault: bits above a page fault's error code. */
#define NESTED_FINAL UINT64_C(0x100000000)
#define NESTED_TABLE UINT64_C(0x200000000)

void x86_svm_nested_fault(X86Cpu *cpu)
{
    uint64_t where = cpu->fault.nested == X86_NESTED_FINAL ? NESTED_FINAL : NESTED_TABLE;

    x86_svm_exit(cpu, SVM_EXIT_NESTED_FAULT, cpu->fault.error_code | where, cpu->fault.address, 0);
}

/* Interrupts. */

bool x86_svm_takes_interrupts(const X86Cpu *cpu)
{
    bool masked = cpu->svm.guest && (cpu->svm.virtual_interrupt & V_MASKING);

    return cpu->svm.gif && (masked ? cpu->svm.host_if : (cpu->eflags & EFLAGS_IF) != 0);
}

int x86_svm_virtual_interrupt(const X86Cpu *cpu)
{
    uint64_t v = cpu->svm.virtual_interrupt;
    bool strong = (v & V_IGNORE_TPR) || (v & V_PRIORITY) >> V_PRIORITY_SHIFT > (v & V_TPR);
    bool open = !(v & V_GIF_ENABLED) || (v & V_GIF);

    return cpu->svm.guest && (v & V_IRQ) && strong && open ? (int)(v >> V_VECTOR_SHIFT & 0xff) : -1;
}

void x86_svm_virtual_interrupt_taken(X86Cpu *cpu)
{
    cpu->svm.virtual_interrupt &= ~V_IRQ;
}

bool x86_svm_has_own_tpr(const X86Cpu *cpu)
{
    return cpu->svm.guest && (cpu->svm.virtual_interrupt & V_MASKING);
}

uint64_t x86_svm_tpr(const X86Cpu *cpu)
{
    return cpu->svm.virtual_interrupt & V_TPR;
}

void x86_svm_set_tpr(X86Cpu *cpu, uint64_t value)
{
    cpu->svm.virtual_interrupt = (cpu->svm.virtual_interrupt & ~V_TPR) | value;
}

void x86_svm_set_gif(X86Cpu *cpu, bool set)
{
    if (cpu->svm.guest && (cpu->svm.virtual_interrupt & V_GIF_ENABLED)) {
        cpu->svm.virtual_interrupt = (cpu->svm.virtual_interrupt & ~V_GIF) | (set ? V_GIF : 0);
    } else if (set) {
        open_gif(cpu);
    } else {
        cpu->svm.gif = false;
    }
    x86_check_interrupts(cpu);
}

/* VMLOAD and VMSAVE: what VMRUN leaves alone. */

void x86_svm_load(X86Cpu *cpu, uint64_t address)
{
    Vmcb vmcb;

    read_vmcb(cpu, address, &vmcb);
    for (unsigned i = X86_FS; i <= X86_GS; i++) {
        X86Segment s = get_segment(cpu, &vmcb, SEGMENTS + 16 * i);

        x86_set_segment(cpu, (X86SegmentName)i, s.selector, s.base, s.limit, s.flags);
    }
    cpu->tr = get_segment(cpu, &vmcb, TR);
    cpu->ldtr = get_segment(cpu, &vmcb, LDTR);
    cpu->star = get(&vmcb, STAR, 8);
    cpu->lstar = get(&vmcb, LSTAR, 8);
    cpu->cstar = get(&vmcb, CSTAR, 8);
    cpu->sfmask = get(&vmcb, SFMASK, 4);
    cpu->kernel_gs_base = get_base(cpu, &vmcb, KERNEL_GS_BASE);
    cpu->sysenter_cs = get(&vmcb, SYSENTER_CS, 2);
    cpu->sysenter_esp = get(&vmcb, SYSENTER_ESP, 8);
    cpu->sysenter_eip = get(&vmcb, SYSENTER_EIP, 8);
    x86_update_mode(cpu);
}

void x86_svm_save(X86Cpu *cpu, uint64_t address)
{
    Vmcb vmcb;

    read_vmcb(cpu, address, &vmcb);
    for (unsigned i = X86_FS; i <= X86_GS; i++) {
        put_segment(&vmcb, SEGMENTS + 16 * i, &cpu->seg[i]);
    }
    put_segment(&vmcb, TR, &cpu->tr);
    put_segment(&vmcb, LDTR, &cpu->ldtr);
    put(&vmcb, STAR, 8, cpu->star);
    put(&vmcb, LSTAR, 8, cpu->lstar);
    put(&vmcb, CSTAR, 8, cpu->cstar);
    put(&vmcb, SFMASK, 8, cpu->sfmask);
    put(&vmcb, KERNEL_GS_BASE, 8, cpu->kernel_gs_base);
    put(&vmcb, SYSENTER_CS, 8, cpu->sysenter_cs);
    put(&vmcb, SYSENTER_ESP, 8, cpu->sysenter_esp);
    put(&vmcb, SYSENTER_EIP, 8, cpu->sysenter_eip);
    write_vmcb(cpu, address, &vmcb);
}
