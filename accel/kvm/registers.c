/* SPDX-License-Identifier: MIT */
/*
 * Registers between the kernel and the CPU structure: by the target's table where that has them, by X86Processor where
 * they have hidden parts. They are fetched when somebody looks, and given back when somebody has changed them; what
 * nobody changed stays as the kernel had it, with all that the structure has no room for.
 */
#include <inttypes.h>
#include <string.h>

#include "accel/kvm/kvm.h"
#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"
#include "machine/arch/pc.h"

enum { PKRU_COMPONENT = 9, BASE_ENABLE = 1 << 11, BASE_BSP = 1 << 8 };

#define SREGS(text, member)                                                                        \
    {                                                                                              \
        { text }, offsetof(KvmVcpu, sregs.member)                                                  \
    }
#define GPR(wide, narrow, member)                                                                  \
    {                                                                                              \
        { wide, narrow }, offsetof(KvmVcpu, regs.member)                                           \
    }
#define DR(text, member)                                                                           \
    {                                                                                              \
        { text }, offsetof(KvmVcpu, debugregs.member)                                              \
    }

/* Names on both targets, and places. Control registers come before what depends on the mode. */
static const struct {
    const char *names[2];
    uint16_t place;
} places[] = {
    SREGS("cr0", cr0),
    SREGS("cr2", cr2),
    SREGS("cr3", cr3),
    SREGS("cr4", cr4),
    SREGS("efer", efer),
    GPR("rax", "eax", rax),
    GPR("rbx", "ebx", rbx),
    GPR("rcx", "ecx", rcx),
    GPR("rdx", "edx", rdx),
    GPR("rsi", "esi", rsi),
    GPR("rdi", "edi", rdi),
    GPR("rbp", "ebp", rbp),
    GPR("rsp", "esp", rsp),
    GPR("r8", NULL, r8),
    GPR("r9", NULL, r9),
    GPR("r10", NULL, r10),
    GPR("r11", NULL, r11),
    GPR("r12", NULL, r12),
    GPR("r13", NULL, r13),
    GPR("r14", NULL, r14),
    GPR("r15", NULL, r15),
    GPR("rip", "eip", rip),
    GPR("eflags", NULL, rflags),
    DR("dr0", db[0]),
    DR("dr1", db[1]),
    DR("dr2", db[2]),
    DR("dr3", db[3]),
    DR("dr6", dr6),
    DR("dr7", dr7),
    { { "xcr0" }, offsetof(KvmVcpu, xcrs.xcrs[0].value) },
};
G_STATIC_ASSERT(G_N_ELEMENTS(places) <= KVM_REGISTERS_MAX);

static void find_registers(KvmVcpu *kv)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        const TargetRegister *reg = NULL;

        for (unsigned n = 0; n < 2 && !reg && places[i].names[n]; n++) {
            reg = target_register_find(kv->vcpu->target, places[i].names[n]);
        }
        if (reg) {
            kv->registers[kv->register_count++] =
                (KvmRegister){ reg, places[i].place, (uint16_t)target_register_bytes(reg) };
        }
    }
}

static uint64_t read_register(KvmVcpu *kv, const TargetRegister *reg)
{
    uint8_t value[TARGET_REGISTER_BYTES_MAX] = { 0 };

    target_register_read(kv->vcpu, reg, value);
    return load_le64(value);
}

static uint8_t *place(KvmVcpu *kv, const KvmRegister *r)
{
    return (uint8_t *)kv + r->place;
}

/* --- segments --- */

static X86HiddenSegment from_segment(const struct kvm_segment *s)
{
    uint32_t flags = (uint32_t)s->type | (uint32_t)s->s << 4 | (uint32_t)s->dpl << 5 |
                     (uint32_t)(s->present && !s->unusable) << 7 | (uint32_t)s->avl << 12 |
                     (uint32_t)s->l << 13 | (uint32_t)s->db << 14 | (uint32_t)s->g << 15;

    return (X86HiddenSegment){
        .base = s->base, .limit = s->limit, .selector = s->selector, .flags = flags << 8
    };
}

static struct kvm_segment to_segment(const X86HiddenSegment *s)
{
    uint32_t flags = s->flags >> 8;

    return (struct kvm_segment){ .base = s->base,
                                 .limit = s->limit,
                                 .selector = s->selector,
                                 .type = flags & 15,
                                 .s = flags >> 4 & 1,
                                 .dpl = flags >> 5 & 3,
                                 .present = flags >> 7 & 1,
                                 .avl = flags >> 12 & 1,
                                 .l = flags >> 13 & 1,
                                 .db = flags >> 14 & 1,
                                 .g = flags >> 15 & 1,
                                 .unusable = !(flags >> 7 & 1) };
}

static struct kvm_segment *segment(KvmVcpu *kv, unsigned n)
{
    struct kvm_sregs *s = &kv->sregs;
    struct kvm_segment *const all[X86_HIDDEN_SEGMENTS] = { &s->es, &s->cs, &s->ss,  &s->ds,
                                                           &s->fs, &s->gs, &s->ldt, &s->tr };

    return all[n];
}

/* --- hidden parts --- */

static uint32_t *pkru(KvmVcpu *kv)
{
    uint32_t out[4];

    if (!cpuid_supported(kv->vcpu->machine, 0xd, PKRU_COMPONENT, out) || !out[0] ||
        out[1] + sizeof(uint32_t) > kv->xsave_bytes) {
        return NULL;
    }
    return (uint32_t *)(void *)(kv->xsave + out[1]);
}

static bool in_kernel(const KvmVcpu *kv)
{
    return kv->kvm->irqchip != KVM_IRQCHIP_OFF;
}

static void hidden_from_kernel(KvmVcpu *kv)
{
    X86Hidden hidden;

    kv->x86->get_hidden(kv->vcpu, &hidden);
    for (unsigned i = 0; i < X86_HIDDEN_SEGMENTS; i++) {
        hidden.segment[i] = from_segment(segment(kv, i));
    }
    hidden.gdtr = (X86HiddenTable){ kv->sregs.gdt.base, kv->sregs.gdt.limit };
    hidden.idtr = (X86HiddenTable){ kv->sregs.idt.base, kv->sregs.idt.limit };
    hidden.pkru = pkru(kv) ? *pkru(kv) : 0;
    hidden.smm = kvm_has(kv->kvm, KVM_HAS_SMM) && kv->events.smi.smm;
    hidden.nmi_blocked = kv->events.nmi.masked;
    hidden.interrupt_shadow = kv->events.interrupt.shadow != 0;
    if (in_kernel(kv)) {
        uint32_t state = kv->mp_state.mp_state;

        hidden.wait_for_sipi =
            state == KVM_MP_STATE_UNINITIALIZED || state == KVM_MP_STATE_INIT_RECEIVED;
        atomic_store(&kv->vcpu->halted, state == KVM_MP_STATE_HALTED || hidden.wait_for_sipi);
    }
    hidden.shut_down = false;
    kv->x86->set_hidden(kv->vcpu, &hidden);
}

static void hidden_to_kernel(KvmVcpu *kv)
{
    X86Hidden hidden;
    uint8_t shadow = KVM_X86_SHADOW_INT_STI;

    kv->x86->get_hidden(kv->vcpu, &hidden);
    if (!kv->everything && memcmp(&hidden, &kv->last_hidden, sizeof hidden) == 0) {
        return;
    }
    for (unsigned i = 0; i < X86_HIDDEN_SEGMENTS; i++) {
        if (kv->everything || memcmp(&hidden.segment[i], &kv->last_hidden.segment[i],
                                     sizeof hidden.segment[i]) != 0) {
            *segment(kv, i) = to_segment(&hidden.segment[i]);
        }
    }
    kv->sregs.gdt.base = hidden.gdtr.base;
    kv->sregs.gdt.limit = (uint16_t)hidden.gdtr.limit;
    kv->sregs.idt.base = hidden.idtr.base;
    kv->sregs.idt.limit = (uint16_t)hidden.idtr.limit;
    if (pkru(kv)) {
        *pkru(kv) = hidden.pkru;
    }
    kv->events.smi.smm = hidden.smm;
    kv->events.nmi.masked = hidden.nmi_blocked;
    if (hidden.interrupt_shadow != (kv->events.interrupt.shadow != 0)) {
        kv->events.interrupt.shadow = hidden.interrupt_shadow ? shadow : 0;
    }
    kv->mp_state.mp_state = in_kernel(kv) && hidden.wait_for_sipi ? KVM_MP_STATE_UNINITIALIZED
                            : in_kernel(kv) && atomic_load(&kv->vcpu->halted)
                                ? KVM_MP_STATE_HALTED
                                : KVM_MP_STATE_RUNNABLE;
}

/* --- x87 and vectors --- */

/* All but MXCSR's mask (the processor's own), what is reserved, and the header. */
static void copy_xsave(uint8_t *to, const uint8_t *from, size_t bytes)
{
    enum { MASK = 28, AFTER_MASK = 32, LEGACY_END = 416, VECTORS = 576 };

    memcpy(to, from, MASK);
    memcpy(to + AFTER_MASK, from + AFTER_MASK, LEGACY_END - AFTER_MASK);
    memcpy(to + VECTORS, from + VECTORS, bytes - VECTORS);
}

/* As the CPU structure has it; what that has no room for is the kernel's. */
static void known_xsave(KvmVcpu *kv, uint8_t *area)
{
    memcpy(area, kv->xsave, kv->xsave_bytes);
    kv->x86->get_xsave(kv->vcpu, area, kv->xsave_bytes);
}

/* Returns whether there is anything to give. */
static bool xsave_to_kernel(KvmVcpu *kv)
{
    const uint64_t always = 3, when_on = 0x2e4; /* x87 and SSE; AVX, AVX-512, PKRU */
    g_autofree uint8_t *area = g_malloc(kv->xsave_bytes);
    uint64_t used;

    known_xsave(kv, area);
    if (!kv->everything && memcmp(area, kv->last_xsave, kv->xsave_bytes) == 0) {
        return false;
    }
    copy_xsave(kv->xsave, area, kv->xsave_bytes);
    used = load_le64(kv->xsave + X86_XSAVE_HEADER) | always | (kv->xcrs.xcrs[0].value & when_on);
    store_le64(kv->xsave + X86_XSAVE_HEADER, used);
    return true;
}

/* --- fetching --- */

typedef struct {
    unsigned long get, set;
    const char *get_name, *set_name;
    uint16_t offset, bytes;   /* in KvmVcpu */
    KvmCapability capability; /* without which it is left out */
} Block;

/* clang-format off */
#define BLOCK(name, member, capability)                                                            \
    { KVM_GET_##name, KVM_SET_##name, "KVM_GET_" #name, "KVM_SET_" #name, offsetof(KvmVcpu, member),    \
      sizeof((KvmVcpu *)NULL)->member, capability }
/*
 * In the order in which they are given: the mode first, what the CPU waits for last. They are fetched from the last to the first, since a CPU that is asked
 * what it waits for carries out an INIT or a start-up message that it was sent.
 */
static const Block blocks[] = {
    BLOCK(SREGS, sregs, KVM_HAS_USER_MEMORY), BLOCK(REGS, regs, KVM_HAS_USER_MEMORY),
    BLOCK(XCRS, xcrs, KVM_HAS_XCRS), BLOCK(DEBUGREGS, debugregs, KVM_HAS_DEBUGREGS),
    BLOCK(VCPU_EVENTS, events, KVM_HAS_VCPU_EVENTS), BLOCK(MP_STATE, mp_state, KVM_HAS_MP_STATE),
};
/* clang-format on */

static bool fetch_blocks(KvmVcpu *kv, GError **error)
{
    bool large = kv->xsave_bytes > sizeof(struct kvm_xsave);

    for (unsigned i = G_N_ELEMENTS(blocks); i-- > 0;) {
        const Block *b = &blocks[i];

        if (kvm_has(kv->kvm, b->capability) &&
            !kvm_do(kv->fd, b->get, (char *)kv + b->offset, b->get_name, error)) {
            return false;
        }
    }
    return large ? KVM_DO(kv->fd, KVM_GET_XSAVE2, kv->xsave, error)
                 : KVM_DO(kv->fd, KVM_GET_XSAVE, kv->xsave, error);
}

static void note(KvmVcpu *kv)
{
    for (unsigned i = 0; i < kv->register_count; i++) {
        kv->last[i] = read_register(kv, kv->registers[i].reg);
    }
    kv->x86->get_hidden(kv->vcpu, &kv->last_hidden);
    known_xsave(kv, kv->last_xsave);
    msrs_note(kv);
}

/*
 * What the kernel has begun to deliver is nowhere else: the controller has it in service. It becomes what waits at the CPU, so that a saved machine
 * has it, and is given back before the guest goes on. No CPU runs: one could send an NMI between the two calls.
 */
static void take_back_events(KvmVcpu *kv)
{
    struct kvm_vcpu_events *events = &kv->events;
    bool vector = events->interrupt.injected && !events->interrupt.soft;
    unsigned nmis =
        events->nmi.injected + MIN(events->nmi.pending, 2u); /* some kernels say how many */
    bool smi = kvm_has(kv->kvm, KVM_HAS_SMM) && events->smi.pending;
    g_autoptr(GError) error = NULL;

    if (!kvm_has(kv->kvm, KVM_HAS_VCPU_EVENTS) || !(vector || nmis || smi)) {
        return;
    }
    if (vector) {
        vcpu_post_event(kv->vcpu, X86_EVENT_VECTOR, events->interrupt.nr);
        events->interrupt.injected = 0;
    }
    for (unsigned i = 0; i < nmis; i++) {
        x86_post_nmi(kv->vcpu);
    }
    if (nmis) {
        events->nmi.masked = events->nmi.masked && !events->nmi.injected;
        events->nmi.injected = events->nmi.pending = 0;
    }
    if (smi) {
        vcpu_post_event(kv->vcpu, X86_EVENT_SMI, 0);
        events->smi.pending = 0;
    }
    if (!KVM_DO(kv->fd, KVM_SET_VCPU_EVENTS, events, &error)) {
        kvm_fail(kv->kvm, NULL, KVM_STATUS_HOST, g_strdup(error->message));
    }
}

/* The kernel wakes a CPU for what it is to deliver, not for what it is said to be delivering. */
static bool wake(KvmVcpu *kv, GError **error)
{
    struct kvm_mp_state state = { KVM_MP_STATE_RUNNABLE };

    return !in_kernel(kv) || KVM_DO(kv->fd, KVM_SET_MP_STATE, &state, error);
}

void registers_give_vector(KvmVcpu *kv, uint8_t vector)
{
    struct kvm_vcpu_events events;
    g_autoptr(GError) error = NULL;

    atomic_store(&kv->vcpu->halted, false);
    if (kv->changed && !registers_put(kv)) {
        return;
    }
    if (!wake(kv, &error) || !KVM_DO(kv->fd, KVM_GET_VCPU_EVENTS, &events, &error)) {
        kvm_fail(kv->kvm, NULL, KVM_STATUS_HOST, g_strdup(error->message));
        return;
    }
    events.interrupt.injected = 1;
    events.interrupt.nr = vector;
    events.interrupt.soft = 0;
    events.flags = 0; /* what other CPUs send meanwhile is left as it is */
    if (!KVM_DO(kv->fd, KVM_SET_VCPU_EVENTS, &events, &error)) {
        kvm_fail(kv->kvm, NULL, KVM_STATUS_HOST, g_strdup(error->message));
    }
    kv->fetched = kv->taken_back = false;
    kv->run->ready_for_interrupt_injection = 0; /* until the kernel says so again */
}

void registers_forget_events(KvmVcpu *kv)
{
    kv->events.exception.injected = kv->events.exception.pending = 0;
    kv->events.interrupt.injected = kv->events.nmi.injected = 0;
}

static void fetch(KvmVcpu *kv)
{
    g_autoptr(GError) error = NULL;

    kv->fetched = true; /* whoever asks once more, on the way out, gets what there is */
    kv->fetches++;
    if (!fetch_blocks(kv, &error)) {
        kvm_fail(kv->kvm, NULL, KVM_STATUS_HOST, g_strdup(error->message));
        return;
    }
    if (kv->taken_back) {
        take_back_events(kv);
    }
    memset(kv->sregs.interrupt_bitmap, 0, sizeof kv->sregs.interrupt_bitmap);
    kv->events.flags &= KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM;
    msrs_fetch(kv);
    hidden_from_kernel(kv);
    for (unsigned i = 0; i < kv->register_count; i++) {
        uint8_t value[TARGET_REGISTER_BYTES_MAX] = { 0 };

        memcpy(value, place(kv, &kv->registers[i]), kv->registers[i].bytes);
        target_register_write(kv->vcpu, kv->registers[i].reg, value);
    }
    kv->x86->set_xsave(kv->vcpu, kv->xsave, kv->xsave_bytes);
    kv->vcpu->target->state_loaded(kv->vcpu);
    note(kv);
}

/* Registers may have been fetched while other CPUs ran: what these sent since, and what was being delivered, is fetched once all stand. */
static void fetch_standing(KvmVcpu *kv)
{
    if (kv->changed && !registers_put(kv)) {
        return;
    }
    kv->taken_back = true;
    fetch(kv);
}

void registers_sync(Vcpu *vcpu, VcpuSync direction)
{
    KvmVcpu *kv = kvm_vcpu(vcpu);

    if (direction == VCPU_SYNC_FROM_ACCELERATOR) {
        bool standing = !vcpu_current() && !machine_running(vcpu->machine);

        if (standing && !kv->taken_back && !kv->everything) {
            fetch_standing(kv);
        } else if (!kv->fetched && !kv->changed) {
            fetch(kv);
        }
        return;
    }
    kv->changed = true;
    if (direction == VCPU_SYNC_LOADED) {
        kv->everything = kv->fetched = true; /* what the kernel told of last is of before */
    }
}

void registers_reset(Vcpu *vcpu)
{
    KvmVcpu *kv = kvm_vcpu(vcpu);

    if (vcpu->index == 0) {
        slots_update(kv->kvm);
    }
    kv->changed = kv->everything = kv->reset = kv->fetched = true;
    kv->unfinished = false;
    msrs_reset(kv);
    memset(&kv->events, 0, sizeof kv->events);
    memset(kv->xsave, 0, kv->xsave_bytes);
    memset(&kv->sregs, 0, sizeof kv->sregs);
    kv->xcrs.nr_xcrs = 1;
    kv->sregs.apic_base = PC_APIC_ADDRESS | BASE_ENABLE | (vcpu->index ? 0 : BASE_BSP);
}

/* --- giving --- */

/* With our own APIC, its base and priority are what it says; otherwise the kernel's APIC has them. */
static void apic_registers(KvmVcpu *kv)
{
    static const struct {
        uint32_t encoding;
        size_t offset;
    } registers[] = { { X86_REGISTER_APIC_BASE, offsetof(KvmVcpu, sregs.apic_base) },
                      { X86_REGISTER_CR8, offsetof(KvmVcpu, sregs.cr8) } };

    if (kv->lapic_changed) {
        kv->sregs.apic_base = kv->apic_base;
    }
    for (unsigned i = 0; !in_kernel(kv) && i < G_N_ELEMENTS(registers); i++) {
        void *opaque;
        const ExternalRegister *reg =
            machine_find_external_register(kv->vcpu->machine, registers[i].encoding, &opaque);
        uint64_t value;

        if (reg && reg->read(opaque, kv->vcpu, registers[i].encoding, &value)) {
            memcpy((char *)kv + registers[i].offset, &value, sizeof value);
        }
    }
}

static void prepare_events(KvmVcpu *kv)
{
    if (kv->everything) {
        kv->events.flags |= KVM_VCPUEVENT_VALID_SHADOW;
        kv->events.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING;
        kv->events.flags |= in_kernel(kv) ? KVM_VCPUEVENT_VALID_SIPI_VECTOR : 0;
        kv->events.flags |= kvm_has(kv->kvm, KVM_HAS_SMM) ? KVM_VCPUEVENT_VALID_SMM : 0;
    }
}

static void gather(KvmVcpu *kv)
{
    for (unsigned i = 0; i < kv->register_count; i++) {
        uint64_t value = read_register(kv, kv->registers[i].reg);

        if (kv->everything || value != kv->last[i]) {
            memset(place(kv, &kv->registers[i]), 0, sizeof value);
            memcpy(place(kv, &kv->registers[i]), &value, kv->registers[i].bytes);
        }
    }
    hidden_to_kernel(kv);
    apic_registers(kv);
    prepare_events(kv);
}

typedef struct {
    uint8_t bytes[G_N_ELEMENTS(blocks)][512];
} Before;

static void remember_blocks(const KvmVcpu *kv, Before *before)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(blocks); i++) {
        g_assert(blocks[i].bytes <= sizeof before->bytes[i]);
        memcpy(before->bytes[i], (const char *)kv + blocks[i].offset, blocks[i].bytes);
    }
}

static bool give_apic(KvmVcpu *kv, GError **error)
{
    if (!kv->lapic_changed) {
        return true;
    }
    kv->lapic_changed = false;
    return KVM_DO(kv->fd, KVM_SET_LAPIC, &kv->lapic, error);
}

/* Those that are not as they were. */
static bool give_blocks(KvmVcpu *kv, const Before *before, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(blocks); i++) {
        const Block *b = &blocks[i];
        void *block = (char *)kv + b->offset;

        if (kvm_has(kv->kvm, b->capability) &&
            (kv->everything || memcmp(block, before->bytes[i], b->bytes) != 0) &&
            !kvm_do(kv->fd, b->set, block, b->set_name, error)) {
            return false;
        }
        if (i == 0) {
            if (!give_apic(kv, error)) {
                return false;
            }
            msrs_put(kv); /* some want the mode, and some are wanted by the rest */
            if (kv->reset && !nested_load(kv, error)) {
                return false;
            }
        }
    }
    return true;
}

bool registers_put(KvmVcpu *kv)
{
    g_autoptr(GError) error = NULL;
    Before before;
    bool ok;

    remember_blocks(kv, &before);
    gather(kv);
    ok = (!kv->reset || nested_reset(kv, &error)) &&
         (!xsave_to_kernel(kv) || KVM_DO(kv->fd, KVM_SET_XSAVE, kv->xsave, &error)) &&
         give_blocks(kv, &before, &error);
    kv->changed = kv->everything = !ok; /* what of it the kernel has is not known then */
    kv->reset = kv->reset && !ok;
    if (in_kernel(kv)) {
        atomic_store(&kv->vcpu->halted, false); /* the kernel waits */
    }
    if (!ok) {
        kvm_fail(kv->kvm, NULL, KVM_STATUS_HOST,
                 g_strdup_printf("CPU %u: %s", kv->vcpu->index, error->message));
    }
    return ok;
}

void registers_resume(Machine *machine)
{
    const Kvm *kvm = machine->accel_state;

    for (unsigned i = 0; i < kvm->vcpus->len; i++) {
        KvmVcpu *kv = kvm->vcpus->pdata[i];

        if (kv->everything) {
            kv->given = registers_put(kv);
        }
    }
}

/* --- creation --- */

bool registers_create(KvmVcpu *kv, GError **error)
{
    int large = kv->kvm->values[KVM_HAS_XSAVE2];

    find_registers(kv);
    kv->xsave_bytes = MAX((size_t)large, sizeof(struct kvm_xsave));
    kv->xsave = g_malloc0(kv->xsave_bytes);
    kv->last_xsave = g_malloc0(kv->xsave_bytes);
    return msrs_create(kv, error);
}

void registers_free(KvmVcpu *kv)
{
    msrs_free(kv);
    g_free(kv->xsave);
    g_free(kv->last_xsave);
}
