/* SPDX-License-Identifier: MIT */
/*
 * System management mode (Intel SDM 3, chapter 34; AMD APM 2, chapter 10). The save state has the layout that the model
 * has: AMD64's with long mode (revision 0x20064), the 32-bit one without (0x20000).
 */
#include "target/i386/control.h"
#include "target/i386/exception.h"
#include "target/i386/mmu.h"
#include "target/i386/segment.h"

enum { REVISION_64 = 0x20064, REVISION_32 = 0x20000, SAVE_SIZE = 0x200, SAVE_START = 0xfe00 };

/* The area from SMBASE + 0xfe00 up. Offsets below are from SMBASE + 0x8000, as in the manuals. */
typedef struct {
    uint8_t bytes[SAVE_SIZE];
} SaveArea;

static uint8_t *at(SaveArea *area, unsigned offset)
{
    return area->bytes + (offset + 0x8000 - SAVE_START);
}

static void put(SaveArea *area, unsigned offset, unsigned bytes, uint64_t value)
{
    memcpy(at(area, offset), &value, bytes);
}

static uint64_t get(SaveArea *area, unsigned offset, unsigned bytes)
{
    uint64_t value = 0;

    memcpy(&value, at(area, offset), bytes);
    return value;
}

/* 64-bit: attributes are the descriptor's bits 8 to 23, less its limit, moved down. */
static void put_segment64(SaveArea *area, unsigned offset, const X86Segment *s)
{
    put(area, offset, 2, s->selector);
    put(area, offset + 2, 2, (s->flags >> 8 & 0xff) | (s->flags >> 12 & 0xf00));
    put(area, offset + 4, 4, s->limit);
    put(area, offset + 8, 8, s->base);
}

static X86Segment get_segment64(SaveArea *area, unsigned offset)
{
    uint32_t attributes = (uint32_t)get(area, offset + 2, 2);

    return (X86Segment){ .selector = (uint16_t)get(area, offset, 2),
                         .flags = (attributes & 0xff) << 8 | (attributes & 0xf00) << 12,
                         .limit = (uint32_t)get(area, offset + 4, 4),
                         .base = get(area, offset + 8, 8) };
}

static void save64(X86Cpu *cpu, SaveArea *area)
{
    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        put_segment64(area, 0x7e00 + 16 * i, &cpu->seg[i]);
    }
    put(area, 0x7e64, 4, cpu->gdtr.limit);
    put(area, 0x7e68, 8, cpu->gdtr.base);
    put_segment64(area, 0x7e70, &cpu->ldtr);
    put(area, 0x7e84, 4, cpu->idtr.limit);
    put(area, 0x7e88, 8, cpu->idtr.base);
    put_segment64(area, 0x7e90, &cpu->tr);
    put(area, 0x7ed0, 8, cpu->efer);
    for (unsigned i = 0; i < 16; i++) {
        put(area, 0x7ff8 - 8 * i, 8, cpu->gpr[i]);
    }
    put(area, 0x7f78, 8, x86_eip(cpu));
    put(area, 0x7f70, 8, x86_get_eflags(cpu));
    put(area, 0x7f68, 8, cpu->dr[6]);
    put(area, 0x7f60, 8, cpu->dr[7]);
    put(area, 0x7f58, 8, cpu->cr0);
    put(area, 0x7f50, 8, cpu->cr3);
    put(area, 0x7f48, 8, cpu->cr4);
    put(area, 0x7efc, 4, REVISION_64);
    put(area, 0x7f00, 4, cpu->smbase);
    put(area, 0x7ec9, 1, atomic_load(&cpu->vcpu.halted));
    put(area, 0x7ed8, 1, cpu->svm.guest);
    put(area, 0x7ee0, 8, cpu->svm.vmcb);
}

/* 32-bit: DS to GS and CS, SS, ES have their hidden parts in two groups. */
static unsigned selector32(unsigned name)
{
    return 0x7fa8 + 4 * name;
}

static unsigned hidden32(unsigned name)
{
    return name <= X86_SS ? 0x7f84 + 12 * name : 0x7f2c + 12 * (name - X86_DS);
}

static void save32(X86Cpu *cpu, SaveArea *area)
{
    put(area, 0x7ffc, 4, cpu->cr0);
    put(area, 0x7ff8, 4, cpu->cr3);
    put(area, 0x7ff4, 4, x86_get_eflags(cpu));
    put(area, 0x7ff0, 4, x86_eip(cpu));
    for (unsigned i = 0; i < 8; i++) {
        put(area, 0x7fd0 + 4 * i, 4, cpu->gpr[i]);
    }
    put(area, 0x7fcc, 4, cpu->dr[6]);
    put(area, 0x7fc8, 4, cpu->dr[7]);
    put(area, 0x7fc4, 4, cpu->tr.selector);
    put(area, 0x7f64, 4, cpu->tr.base);
    put(area, 0x7f60, 4, cpu->tr.limit);
    put(area, 0x7f5c, 4, cpu->tr.flags >> 8 & 0xf0ff);
    put(area, 0x7fc0, 4, cpu->ldtr.selector);
    put(area, 0x7f80, 4, cpu->ldtr.base);
    put(area, 0x7f7c, 4, cpu->ldtr.limit);
    put(area, 0x7f78, 4, cpu->ldtr.flags >> 8 & 0xf0ff);
    put(area, 0x7f74, 4, cpu->gdtr.base);
    put(area, 0x7f70, 4, cpu->gdtr.limit);
    put(area, 0x7f58, 4, cpu->idtr.base);
    put(area, 0x7f54, 4, cpu->idtr.limit);
    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        const X86Segment *s = &cpu->seg[i];
        unsigned hidden = hidden32(i);

        put(area, selector32(i), 4, s->selector);
        put(area, hidden + 8, 4, s->base);
        put(area, hidden + 4, 4, s->limit);
        put(area, hidden, 4, s->flags >> 8 & 0xf0ff);
    }
    put(area, 0x7f14, 4, cpu->cr4);
    put(area, 0x7efc, 4, REVISION_32);
    put(area, 0x7ef8, 4, cpu->smbase);
}

static MemoryAttributes secure(const X86Cpu *cpu)
{
    return (MemoryAttributes){ .vcpu = (int16_t)cpu->vcpu.index, .secure = true };
}

static void enter_state(X86Cpu *cpu)
{
    const uint32_t data = X86_SEG_P | X86_SEG_S | X86_SEG_WRITE | X86_SEG_ACCESSED | X86_SEG_G;

    cpu->cr0 &= ~(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
    cpu->cr4 = 0;
    cpu->efer = 0;
    cpu->svm.guest = false;
    cpu->dr[7] = DR7_FIXED;
    cpu->cpl = 0;
    cpu->eflags = EFLAGS_ONE;
    cpu->flags = 0;
    cpu->df = 1;
    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        x86_set_segment(cpu, (X86SegmentName)i, 0, 0, 0xffffffff, data);
    }
    x86_set_segment(cpu, X86_CS, (uint16_t)(cpu->smbase >> 4), cpu->smbase, 0xffffffff,
                    data | X86_SEG_CODE);
    cpu->shadow = cpu->pending_debug = 0;
    x86_flush_translations(cpu, true);
    x86_update_context(cpu);
    x86_set_eip(cpu, 0x8000);
}

void x86_enter_smm(X86Cpu *cpu)
{
    SaveArea area = { { 0 } };

    cpu->smm = true;
    cpu->nmi_blocked_before_smm = cpu->nmi_blocked;
    cpu->nmi_blocked = true;
    vcpu_set_secure(&cpu->vcpu, true);
    if (x86_has(cpu, X86_FEATURE_LM)) {
        save64(cpu, &area);
    } else {
        save32(cpu, &area);
    }
    atomic_store(&cpu->vcpu.halted, false);
    address_space_write_bytes(cpu->vcpu.memory, cpu->smbase + SAVE_START, area.bytes, SAVE_SIZE,
                              secure(cpu));
    enter_state(cpu);
}

/* What RSM looks at before it loads anything. */
typedef struct {
    uint64_t cr0, cr3, cr4, efer, eflags, dr6, dr7;
    uint32_t cs; /* flags */
} SavedControls;

static SavedControls saved_controls(SaveArea *area, bool wide)
{
    return wide ? (SavedControls){ .cr0 = get(area, 0x7f58, 8),
                                   .cr3 = get(area, 0x7f50, 8),
                                   .cr4 = get(area, 0x7f48, 8),
                                   .efer = get(area, 0x7ed0, 8),
                                   .eflags = get(area, 0x7f70, 8),
                                   .dr6 = get(area, 0x7f68, 8),
                                   .dr7 = get(area, 0x7f60, 8),
                                   .cs = get_segment64(area, 0x7e00 + 16 * X86_CS).flags }
                : (SavedControls){ .cr0 = get(area, 0x7ffc, 4),
                                   .cr3 = get(area, 0x7ff8, 4),
                                   .cr4 = get(area, 0x7f14, 4) };
}

/* A state that no processor can be in shuts it down (SDM 3, 34.4.1; APM 2, 10.3.3). */
static bool is_possible(const X86Cpu *cpu, const SavedControls *s)
{
    bool paging = s->cr0 & CR0_PG, long_mode = paging && (s->efer & EFER_LME);

    if ((paging && !(s->cr0 & CR0_PE)) || ((s->cr0 & CR0_NW) && !(s->cr0 & CR0_CD)) ||
        (s->cr0 | s->dr6 | s->dr7) >> 32 || (s->cr4 & ~x86_cr4_mask(cpu)) ||
        (s->efer & ~x86_efer_mask(cpu)) || !(s->efer & EFER_LMA) != !long_mode) {
        return false;
    }
    return !long_mode || ((s->cr4 & CR4_PAE) && !(s->cr3 & ~bits_mask(cpu->phys_bits)) &&
                          !(s->eflags & EFLAGS_VM) &&
                          (s->cs & (X86_SEG_L | X86_SEG_B)) != (X86_SEG_L | X86_SEG_B));
}

static uint64_t load64(X86Cpu *cpu, SaveArea *area, uint64_t *eflags)
{
    uint64_t cr0 = get(area, 0x7f58, 8);

    for (unsigned i = 0; i < 16; i++) {
        cpu->gpr[i] = get(area, 0x7ff8 - 8 * i, 8);
    }
    cpu->gdtr = (X86TableRegister){ get(area, 0x7e68, 8), (uint32_t)get(area, 0x7e64, 4) };
    cpu->idtr = (X86TableRegister){ get(area, 0x7e88, 8), (uint32_t)get(area, 0x7e84, 4) };
    cpu->ldtr = get_segment64(area, 0x7e70);
    cpu->tr = get_segment64(area, 0x7e90);
    cpu->dr[6] = get(area, 0x7f68, 8);
    cpu->dr[7] = get(area, 0x7f60, 8);
    *eflags = get(area, 0x7f70, 8);
    cpu->efer = get(area, 0x7ed0, 8);
    cpu->cr3 = get(area, 0x7f50, 8);
    cpu->cr4 = get(area, 0x7f48, 8);
    x86_put_cr0(cpu, cr0);
    if (get(area, 0x7efc, 4) & 0x20000) {
        cpu->smbase = get(area, 0x7f00, 4);
    }
    return get(area, 0x7f78, 8);
}

static uint64_t load32(X86Cpu *cpu, SaveArea *area, uint64_t *eflags)
{
    uint64_t cr0 = get(area, 0x7ffc, 4);

    for (unsigned i = 0; i < 8; i++) {
        cpu->gpr[i] = get(area, 0x7fd0 + 4 * i, 4);
    }
    cpu->gdtr = (X86TableRegister){ get(area, 0x7f74, 4), (uint32_t)get(area, 0x7f70, 4) };
    cpu->idtr = (X86TableRegister){ get(area, 0x7f58, 4), (uint32_t)get(area, 0x7f54, 4) };
    cpu->tr = (X86Segment){ .selector = (uint16_t)get(area, 0x7fc4, 4),
                            .base = get(area, 0x7f64, 4),
                            .limit = (uint32_t)get(area, 0x7f60, 4),
                            .flags = (uint32_t)get(area, 0x7f5c, 4) << 8 };
    cpu->ldtr = (X86Segment){ .selector = (uint16_t)get(area, 0x7fc0, 4),
                              .base = get(area, 0x7f80, 4),
                              .limit = (uint32_t)get(area, 0x7f7c, 4),
                              .flags = (uint32_t)get(area, 0x7f78, 4) << 8 };
    cpu->dr[6] = get(area, 0x7fcc, 4);
    cpu->dr[7] = get(area, 0x7fc8, 4);
    *eflags = get(area, 0x7ff4, 4);
    cpu->cr3 = get(area, 0x7ff8, 4);
    cpu->cr4 = get(area, 0x7f14, 4);
    x86_put_cr0(cpu, cr0);
    if (get(area, 0x7efc, 4) & 0x20000) {
        cpu->smbase = get(area, 0x7ef8, 4);
    }
    return get(area, 0x7ff0, 4);
}

static void load_segments(X86Cpu *cpu, SaveArea *area, bool wide)
{
    for (unsigned i = 0; i < X86_SEGMENTS; i++) {
        unsigned hidden = hidden32(i);
        X86Segment s = wide ? get_segment64(area, 0x7e00 + 16 * i)
                            : (X86Segment){ .selector = (uint16_t)get(area, selector32(i), 4),
                                            .base = get(area, hidden + 8, 4),
                                            .limit = (uint32_t)get(area, hidden + 4, 4),
                                            .flags = (uint32_t)get(area, hidden, 4) << 8 };

        x86_set_segment(cpu, (X86SegmentName)i, s.selector, s.base, s.limit, s.flags);
    }
}

void x86_leave_smm(X86Cpu *cpu)
{
    bool wide = x86_has(cpu, X86_FEATURE_LM), halted;
    SavedControls controls;
    SaveArea area;
    uint64_t eip, eflags;

    address_space_read_bytes(cpu->vcpu.memory, cpu->smbase + SAVE_START, area.bytes, SAVE_SIZE,
                             secure(cpu));
    controls = saved_controls(&area, wide);
    if (!is_possible(cpu, &controls)) {
        x86_shut_down(cpu, "RSM from an impossible state");
        return;
    }
    eip = wide ? load64(cpu, &area, &eflags) : load32(cpu, &area, &eflags);
    halted = wide && get(&area, 0x7ec9, 1);
    cpu->svm.guest = wide && (get(&area, 0x7ed8, 1) & 1) && cpu->svm.asid != 0;
    cpu->smm = false;
    if (cpu->nmi_blocked && !cpu->nmi_blocked_before_smm) {
        x86_release_nmi(cpu);
    }
    cpu->nmi_blocked = cpu->nmi_blocked_before_smm;
    vcpu_set_secure(&cpu->vcpu, false);
    x86_set_eflags(cpu, eflags, UINT64_C(0x3f7fd7));
    load_segments(cpu, &area, wide);
    cpu->cpl = cpu->eflags & EFLAGS_VM ? 3 : (uint8_t)x86_dpl(cpu->seg[X86_SS].flags);
    if (!(cpu->cr0 & CR0_PE)) {
        cpu->cpl = 0;
    }
    if ((cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE) && !x86_long_mode(cpu)) {
        if (!x86_load_pdptes(cpu, cpu->cr3)) {
            x86_shut_down(cpu, "RSM from an impossible state");
            return;
        }
    }
    x86_flush_translations(cpu, true);
    x86_update_context(cpu);
    x86_set_eip(cpu, eip);
    if (halted) {
        cpu->vcpu.halt_deadline_ns = -1;
        atomic_store(&cpu->vcpu.halted, true);
        x86_request_exit(cpu);
    }
    x86_check_interrupts(cpu);
}
