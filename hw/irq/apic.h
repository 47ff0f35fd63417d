/* SPDX-License-Identifier: MIT */
/*
 * Local APICs (Intel SDM volume 3, chapter 11): one device for each CPU, and the bus over which they, the I/O APIC and
 * message-signalled interrupts reach each other.
 *
 * The bus has the lock of all APICs' state; it is taken inside the machine lock and never around it. Names with
 * "_locked" are called with it.
 */
#ifndef HW_IRQ_APIC_H
#define HW_IRQ_APIC_H

#include "machine/arch/pc.h"
#include "machine/arch/x86.h"
#include "machine/clock.h"
#include "machine/device.h"
#include "machine/irq-ticks.h"
#include "machine/machine.h"

/* Offsets in the page; an x2APIC MSR is 0x800 + offset / 16. */
enum {
    APIC_ID = 0x020,
    APIC_VERSION = 0x030,
    APIC_TPR = 0x080,
    APIC_APR = 0x090,
    APIC_PPR = 0x0a0,
    APIC_EOI = 0x0b0,
    APIC_LDR = 0x0d0,
    APIC_DFR = 0x0e0,
    APIC_SVR = 0x0f0,
    APIC_ISR = 0x100,
    APIC_TMR = 0x180,
    APIC_IRR = 0x200,
    APIC_ESR = 0x280,
    APIC_ICR = 0x300,
    APIC_ICR_HIGH = 0x310,
    APIC_LVT = 0x320, /* to 0x370, in the order of ApicLvt */
    APIC_INITIAL_COUNT = 0x380,
    APIC_CURRENT_COUNT = 0x390,
    APIC_DIVIDE = 0x3e0,
    APIC_SELF_IPI = 0x3f0, /* x2APIC only */
    APIC_PAGE_BYTES = 0x1000,
};

typedef enum {
    APIC_LVT_TIMER,
    APIC_LVT_THERMAL,
    APIC_LVT_PERFORMANCE,
    APIC_LVT_LINT0,
    APIC_LVT_LINT1,
    APIC_LVT_ERROR,
    APIC_LVT_COUNT,
} ApicLvt;

/* Delivery modes, as ICR, LVT, I/O APIC and MSI data have them at bits 10:8. */
typedef enum {
    APIC_FIXED,
    APIC_LOWEST_PRIORITY,
    APIC_SMI,
    APIC_NMI = 4,
    APIC_INIT,
    APIC_START_UP,
    APIC_EXTINT,
} ApicMode;

enum {
    APIC_SVR_ENABLE = 1u << 8,
    APIC_MASKED = 1u << 16,
    APIC_LEVEL = 1u << 15,      /* trigger mode of ICR, LVT and messages */
    APIC_REMOTE_IRR = 1u << 14, /* of LVT LINT0 and LINT1 */
    APIC_ACTIVE_LOW = 1u << 13,
    APIC_BASE_BSP = 1u << 8,
    APIC_BASE_X2APIC = 1u << 10,
    APIC_BASE_ENABLE = 1u << 11,
    APIC_ERROR_SEND_VECTOR = 1u << 5,
    APIC_ERROR_RECEIVE_VECTOR = 1u << 6,
    APIC_ERROR_REGISTER = 1u << 7,
};

typedef struct ApicBus ApicBus;

/* A CPU's own view of memory, with the page of its APIC in front of what the board has there. */
typedef struct {
    MemoryRegion root, all, page;
    AddressSpace space;
    AddressSpace *behind;
} ApicView;

typedef struct {
    Device device;
    ApicBus *bus;
    Vcpu *vcpu;
    MemoryRegion page, messages;
    ApicView view[2];       /* without and with Vcpu.secure */
    unsigned view_count;    /* 0: the page has not been moved yet; 1: both are the same */
    IrqLine eoi;
    IrqAcknowledge pic;
    const struct X86KernelChips *kernel; /* NULL: it is ours; otherwise the state below is fetched and given */
    Timer timer;
    uint32_t cpu;           /* property: index of the vCPU */
    bool offers_x2apic;     /* property */
    /* State, guarded by the bus lock. */
    uint64_t base;          /* IA32_APIC_BASE */
    uint32_t id, tpr, ldr, dfr, svr;
    uint32_t esr, errors;   /* what the last write of ESR showed; what came since */
    uint32_t icr, icr_high;
    uint32_t lvt[APIC_LVT_COUNT];
    uint32_t isr[8], tmr[8], irr[8];
    uint32_t initial_count, divide;
    int64_t count_start_ns; /* when initial_count was written, or the period began */
    int64_t expiry_ns;      /* of the timer, -1: does not run */
    uint32_t ticks_owed, ticks_in_a_row; /* of the periodic timer (IrqTicks) */
    uint64_t tsc_deadline;
    uint32_t left;          /* the kernel's: of the count, when the machine stopped or was loaded */
    bool left_holds;        /* and has stood since */
    uint8_t lint[APIC_INPUT_COUNT];
    uint32_t turn;          /* the higher, the later it got its last interrupt of lowest priority */
    uint8_t external;       /* an ExtINT message came that the CPU has not taken */
} Apic;

enum { APIC_BUS_MAX = 256 };

struct ApicBus {
    Machine *machine;
    GMutex lock;
    Apic *apic[APIC_BUS_MAX]; /* by vCPU; NULL: none */
    unsigned count;           /* above the last APIC */
    /* Who waits until an interrupt is taken, by vector; the bits say of whom (IrqWatch is for the machine lock). */
    uint32_t watched[8];
    IrqWatch *watch[256];
};

/* The bus of the machine, made for the first APIC. */
ApicBus *apic_bus_get(Machine *machine);

/* One message. `destination` is 8 bits wide (xAPIC) unless wide. */
typedef struct {
    uint32_t destination;
    bool logical, wide;
    bool level;
    uint8_t mode; /* ApicMode */
    uint8_t vector;
} ApicMessage;

/* Whether the message names it. */
bool apic_matches(const Apic *apic, const ApicMessage *message);
void apic_bus_send_locked(ApicBus *bus, const ApicMessage *message);
/* What has become of a fixed message that was sent before. [machine lock] */
IrqAnswer apic_bus_query(ApicBus *bus, const ApicMessage *message, IrqWatch *watch);
/* A watched vector has been taken: tells. [no lock of the bus] */
void apic_bus_tell_taken(ApicBus *bus, uint8_t vector);
/* An MSI: what was written to 0xfee00000 + offset. */
void apic_bus_write_msi(ApicBus *bus, uint32_t offset, uint32_t data);
/* What the ICR of `from` says, with its shorthand. */
void apic_send_icr_locked(Apic *from);

static inline bool apic_enabled(const Apic *apic)
{
    return apic->base & APIC_BASE_ENABLE;
}

static inline bool apic_is_x2apic(const Apic *apic)
{
    return apic->base & APIC_BASE_X2APIC;
}

/* The core of one APIC (apic-core.c). */

/* A message that names this APIC. */
void apic_accept_locked(Apic *apic, ApicMode mode, uint8_t vector, bool level);
void apic_error_locked(Apic *apic, uint32_t error);
uint32_t apic_ppr_locked(const Apic *apic);
/* Raises or lowers the CPU's INTR by what is pending. */
void apic_update_locked(Apic *apic);
/* Ends the interrupt in service with the highest priority. Returns a vector for the EOI output, or -1. */
int apic_end_locked(Apic *apic);
void apic_set_lint_locked(Apic *apic, unsigned input, bool level);
/* Delivers LINT inputs again whose levels are active, after their LVTs changed. */
void apic_check_lints_locked(Apic *apic);
/* The vector to take, IRQ_NO_VECTOR, or APIC_ASK_PIC: the answer is the PIC's. */
enum { APIC_ASK_PIC = -2 };
int apic_take_locked(Apic *apic);
/* Power-on state; `init`: as the INIT signal leaves it, with its ID and base. */
void apic_reset_locked(Apic *apic, bool init);

void apic_describe(const Apic *apic, GString *out);
/* What it does with the chain's vector, when that is for it or it has it. */
void apic_explain_locked(const Apic *apic, IrqChain *chain);

static inline bool apic_test_bit(const uint32_t *set, unsigned n)
{
    return set[n / 32] >> n % 32 & 1;
}

/* Its timer (apic-timer.c). */
/* The CPU has taken the vector: another one may be owed. */
void apic_timer_taken_locked(Apic *apic, uint8_t vector);
void apic_timer_expire(void *opaque);
/* Sets the host's timer by the registers. running: it has not run out, and counts. */
void apic_timer_update_locked(Apic *apic, bool running);
/* After loading: the kernel's APIC is saved without a timer of the host's. */
void apic_timer_loaded_locked(Apic *apic);
/* The count that is left now, of one that runs elsewhere. */
void apic_timer_set_left_locked(Apic *apic, uint32_t left);
void apic_timer_start_locked(Apic *apic, uint32_t initial_count);
uint32_t apic_timer_count_locked(const Apic *apic);
void apic_timer_set_deadline_locked(Apic *apic, uint64_t tsc);
void apic_timer_write_lvt_locked(Apic *apic, uint32_t value);
void apic_timer_write_divide_locked(Apic *apic, uint32_t value);

/* apic-kernel.c: with the machine lock, and the vCPU parked or not started. */
void apic_from_kernel(Apic *apic);
void apic_to_kernel(Apic *apic);
/* machine_on_run_state, for an APIC of the kernel's. */
void apic_kernel_run_state_changed(void *apic, bool running);

/* Registers by their offset in the page (apic-registers.c); false: not architected. */
bool apic_read_register(Apic *apic, uint32_t offset, uint32_t *value);
/* Takes the bus lock and sends what follows. value has 64 bits for an x2APIC's ICR. */
bool apic_write_register(Apic *apic, uint32_t offset, uint64_t value);
extern const ExternalRegister apic_external_registers[];
/* Shows the page where IA32_APIC_BASE says. With the machine lock, on the vCPU's thread or while it is parked. */
void apic_place_page(Apic *apic);
void apic_free_views(Apic *apic);

#endif
