/* SPDX-License-Identifier: MIT */
/* Who called whom; see the header. */
#include "debug/backtrace.h"

#include <capstone/capstone.h>
#include <elf.h>
#include <string.h>

#include "base/bits.h"
#include "debug/dwarf/dwarf.h"
#include "debug/linux/orc.h"
#include "debug/linux/registers.h"
#include "debug/memory.h"
#include "debug/symbols/file.h"
#include "machine/target.h"

enum {
    GUESS_BYTES = 4096,           /* of stack that are looked through for return addresses */
    FRAME_DISTANCE_MAX = 1 << 20, /* between two frames of a stack */
    FUNCTION_BYTES_MAX = 4096,    /* of a function that are looked through for its prologue */
};

typedef struct {
    Machine *machine;
    LinuxKernel *kernel; /* NULL: none is known */
    Vcpu *vcpu;          /* NULL: a task's stack */
    unsigned word;       /* bytes */
    bool arm;
    unsigned max;
    GArray *frames;
    /* Of the last frame: registers that are known, by DWARF's numbers for the machine `elf`. */
    DwarfRegisters registers;
    unsigned elf;
} Walk;

const char *frame_kind_name(FrameKind kind)
{
    static const char *const names[] = { "registers", "link register",     "frame pointer",
                                         "ORC",       "frame information", "guess" };

    return names[kind];
}

static bool walk_read(const Walk *walk, uint64_t address, void *buffer, size_t size)
{
    return (walk->kernel && linux_is_address(walk->kernel, address) &&
            linux_read(walk->kernel, address, buffer, size)) ||
           (walk->vcpu && debug_memory_read_virtual(walk->vcpu, address, buffer, size));
}

static bool walk_word(const Walk *walk, uint64_t address, uint64_t *value)
{
    *value = 0;
    return walk_read(walk, address, value, walk->word);
}

static bool add_frame(Walk *walk, uint64_t pc, uint64_t sp, uint64_t fp, FrameKind kind, bool exact)
{
    Frame frame = { pc, sp, fp, kind, exact, walk->elf, walk->registers };

    if (walk->frames->len >= walk->max) {
        return false;
    }
    g_array_append_val(walk->frames, frame);
    return true;
}

/* An address without what pointer authentication has put into its upper bits. */
static uint64_t strip(uint64_t address)
{
    return address & BIT(55) ? address | UINT64_C(0xff) << 56 | UINT64_C(0xff) << 48
                             : address & bits_mask(48);
}

/* Whether the function has made its frame record before pc: it has set x29 to the stack pointer, and does not return at once. */
static bool has_record(const Walk *walk, uint64_t pc)
{
    g_autofree uint8_t *code = NULL;
    uint32_t here = 0;
    Symbol symbol;
    size_t size;

    if (!walk_read(walk, pc, &here, 4) || (here & 0xfffff3ff) == 0xd65f03c0 ||
        here == 0xd65f0bff || /* ret, retaa */
        here == 0xd50323bf /* autiasp */ || !symbols_at(walk->machine, walk->vcpu, pc, &symbol)) {
        return (here & 0xfffff3ff) != 0xd65f03c0;
    }
    size = MIN(pc - symbol.address, FUNCTION_BYTES_MAX) & ~(size_t)3;
    code = g_malloc(size + 4);
    if (!walk_read(walk, symbol.address, code, size)) {
        return true;
    }
    for (size_t i = 0; i < size; i += 4) {
        if ((load_le32(code + i) & 0xffc003ff) == 0x910003fd) { /* add x29, sp, #n */
            return true;
        }
    }
    return false;
}

/* --- frame information ------------------------------------------------------------------------- */

typedef struct {
    unsigned elf, stack, pointer; /* numbers of registers */
} FrameMachine;

static const FrameMachine frame_machines[] = {
    { EM_X86_64, 7, 6 },
    { EM_386, 4, 5 },
    { EM_AARCH64, 31, 29 },
};

static const FrameMachine *frame_machine(const Walk *walk)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(frame_machines); i++) {
        if (frame_machines[i].elf == walk->elf) {
            return &frame_machines[i];
        }
    }
    return NULL;
}

/* Registers of a frame that was found in another way. */
static void set_registers(Walk *walk, uint64_t sp, uint64_t fp)
{
    const FrameMachine *machine = frame_machine(walk);

    walk->registers = (DwarfRegisters){ 0 };
    if (machine) {
        walk->registers.value[machine->stack] = sp;
        walk->registers.value[machine->pointer] = fp;
        walk->registers.known[machine->stack] = walk->registers.known[machine->pointer] = true;
    }
}

static bool frame_read(void *opaque, uint64_t address, void *buffer, size_t size)
{
    return walk_read(opaque, address, buffer, size);
}

/* One step by what compilers wrote of the frame (or the end by it). false: nothing is known. */
static DwarfUnwind step_information(Walk *walk)
{
    const Frame *last = &g_array_index(walk->frames, Frame, walk->frames->len - 1);
    DwarfFrame frame = { .registers = walk->registers, .opaque = walk, .read = frame_read };
    uint64_t address = frame_address(last), pc, sp, before = last->sp;
    const FrameMachine *machine = frame_machine(walk);
    DwarfRegisters caller;
    SymbolFile *file;
    bool interrupted, leaf = last->exact;
    DwarfUnwind result;

    file = machine ? symbols_dwarf_at(walk->machine, walk->vcpu, &address) : NULL;
    if (!file || dwarf_machine(file->dwarf) != walk->elf) {
        return UNWIND_UNKNOWN;
    }
    frame.dwarf = file->dwarf;
    result = dwarf_unwind(file->dwarf, address, &frame, &caller, &pc, &interrupted);
    if (result != UNWIND_STEP) {
        return result;
    }
    pc = walk->arm ? strip(pc) : pc;
    sp = caller.value[machine->stack];
    /* Always up; a leaf of Arm's need not have taken any of the stack. */
    if (!pc || !caller.known[machine->stack] || sp < before || (sp == before && !leaf)) {
        return pc ? UNWIND_UNKNOWN : UNWIND_END;
    }
    walk->registers = caller;
    return add_frame(walk, pc, sp,
                     caller.known[machine->pointer] ? caller.value[machine->pointer] : 0,
                     FRAME_INFORMATION, interrupted)
               ? UNWIND_STEP
               : UNWIND_END;
}

/* As many steps as there are. */
static DwarfUnwind walk_information(Walk *walk)
{
    DwarfUnwind result;

    do {
        result = step_information(walk);
    } while (result == UNWIND_STEP);
    return result;
}

/* --- Arm --------------------------------------------------------------------------------------- */

/* Frame records of A64 (AAPCS64, 6.4.6): the caller's record and the return address. */
static void walk_records(Walk *walk, uint64_t fp)
{
    while (fp && !(fp & 7)) {
        uint64_t next, pc;

        if (!walk_word(walk, fp, &next) || !walk_word(walk, fp + 8, &pc) || !pc) {
            return;
        }
        set_registers(walk, fp + 16, next);
        if (!add_frame(walk, strip(pc), fp + 16, next, FRAME_POINTER, false)) {
            return;
        }
        /* A stack goes up; but an interrupt's may be elsewhere, once. */
        if (next <= fp && next + FRAME_DISTANCE_MAX > fp) {
            return;
        }
        fp = next;
    }
}

/* At an exception's vector nothing has been saved: what was interrupted is in registers. pc: goes there. */
static void step_vector(Walk *walk, uint64_t *pc, uint64_t fp)
{
    enum { VECTORS_BYTES = 0x800, SPSR_M = 0xf, EL1H = 5 };
    uint64_t elr = linux_register(walk->vcpu, "elr_el1"), sp;
    unsigned stack = frame_machine(walk)->stack;

    if (*pc - linux_register(walk->vcpu, "vbar_el1") >= VECTORS_BYTES || !elr) {
        return;
    }
    sp = (linux_register(walk->vcpu, "spsr_el1") & SPSR_M) == EL1H
             ? linux_register(walk->vcpu, "sp_el1")
             : linux_register(walk->vcpu, "sp_el0");
    walk->registers.value[stack] = sp;
    add_frame(walk, elr, sp, fp, FRAME_REGISTERS, true);
    *pc = elr;
}

static void walk_arm(Walk *walk, uint64_t pc, uint64_t fp, uint64_t sp, uint64_t link)
{
    const Frame *last;
    unsigned known;

    add_frame(walk, pc, sp, fp, FRAME_REGISTERS, true);
    step_vector(walk, &pc, fp);
    known = walk->frames->len;
    if (walk_information(walk) == UNWIND_END) {
        return;
    }
    if (walk->frames->len == known && link && !has_record(walk, pc)) {
        last = &g_array_index(walk->frames, Frame, known - 1);
        add_frame(walk, strip(link), last->sp, fp, FRAME_LINK, false);
        if (walk_information(walk) == UNWIND_END) {
            return;
        }
    }
    last = &g_array_index(walk->frames, Frame, walk->frames->len - 1);
    walk_records(walk, last->fp);
}

/* Whether a call ends right before the address. */
static bool is_behind_call(const Walk *walk, uint64_t address)
{
    uint8_t code[7];

    if (!walk_read(walk, address - sizeof code, code, sizeof code)) {
        return false;
    }
    if (code[2] == 0xe8) { /* call rel32 */
        return true;
    }
    for (unsigned length = 2; length <= 7; length++) { /* call r/m: FF /2 */
        const uint8_t *at = code + sizeof code - length;

        if (at[0] == 0xff && (at[1] >> 3 & 7) == 2) {
            return true;
        }
    }
    return false;
}

/* Return addresses by their looks, for code that keeps no frame pointer. */
static void walk_guess(Walk *walk, uint64_t sp)
{
    for (uint64_t at = sp; at < sp + GUESS_BYTES; at += walk->word) {
        uint64_t value;
        Symbol symbol;

        if (!walk_word(walk, at, &value)) {
            return;
        }
        if (value > 4096 && symbols_at(walk->machine, walk->vcpu, value - 1, &symbol) &&
            is_behind_call(walk, value) &&
            !add_frame(walk, value, at + walk->word, 0, FRAME_GUESS, false)) {
            return;
        }
    }
}

/* Frame pointers of x86: the caller's, and above it the return address. Returns how many frames there were. */
static unsigned walk_pointers(Walk *walk, uint64_t fp, uint64_t sp)
{
    unsigned count = 0;

    while (fp >= sp && fp - sp < FRAME_DISTANCE_MAX && !(fp & (walk->word - 1))) {
        uint64_t next, pc;

        if (!walk_word(walk, fp, &next) || !walk_word(walk, fp + walk->word, &pc) || !pc ||
            !is_behind_call(walk, pc)) {
            break;
        }
        set_registers(walk, fp + 2 * walk->word, next);
        if (!add_frame(walk, pc, fp + 2 * walk->word, next, FRAME_POINTER, false)) {
            break;
        }
        count++;
        sp = fp + 1;
        fp = next;
    }
    return count;
}

static OrcResult walk_orc(Walk *walk, OrcState *state)
{
    OrcResult result = ORC_STEP;
    OrcState before = *state;

    while (result == ORC_STEP) {
        before = *state;
        result = orc_step(walk->kernel, state);
        if (result != ORC_STEP || !(state->ip >> 63)) { /* user mode was interrupted */
            break;
        }
        set_registers(walk, state->sp, state->bp);
        /* Always up, but for a switch between stacks, which is far. */
        if ((state->sp <= before.sp && state->sp + FRAME_DISTANCE_MAX > before.sp &&
             !state->exact) ||
            !add_frame(walk, state->ip, state->sp, state->bp, FRAME_ORC, state->exact)) {
            return ORC_END;
        }
    }
    if (result == ORC_UNKNOWN && walk->frames->len > 1) {
        set_registers(walk, before.sp, before.bp);
        if (walk_information(walk) == UNWIND_UNKNOWN &&
            !walk_pointers(walk, before.bp, before.sp)) {
            walk_guess(walk, before.sp);
        }
        return ORC_END;
    }
    return result;
}

/* At a function's first instruction the return address is the last on the stack, and the frame pointer the caller's. */
static void step_entry(Walk *walk)
{
    const Frame first = g_array_index(walk->frames, Frame, 0);
    uint64_t pc;
    Symbol symbol;

    if (walk->frames->len == 1 && first.exact &&
        symbols_at(walk->machine, walk->vcpu, first.pc, &symbol) && symbol.address == first.pc &&
        walk_word(walk, first.sp, &pc) && is_behind_call(walk, pc)) {
        add_frame(walk, pc, first.sp + walk->word, first.fp, FRAME_POINTER, false);
    }
}

static void walk_x86(Walk *walk, OrcState *state)
{
    const Frame *last;

    add_frame(walk, state->ip, state->sp, state->bp, FRAME_REGISTERS, state->exact);
    if (walk->kernel && walk->word == 8 && state->ip >> 63 &&
        walk_orc(walk, state) != ORC_UNKNOWN) {
        return;
    }
    if (walk_information(walk) == UNWIND_END) {
        return;
    }
    step_entry(walk);
    last = &g_array_index(walk->frames, Frame, walk->frames->len - 1);
    if (!walk_pointers(walk, last->fp, last->sp) && walk->frames->len == 1) {
        walk_guess(walk, state->sp);
    }
}

static uint64_t either(Vcpu *vcpu, const char *wide, const char *narrow)
{
    return linux_register(vcpu, target_register_find(vcpu->target, wide) ? wide : narrow);
}

/* The vCPU's registers by the numbers of an ELF machine. */
static void take_registers(Walk *walk, unsigned elf)
{
    const char *const *names = dwarf_register_names(elf);

    walk->elf = elf;
    for (unsigned i = 0; names && names[i]; i++) {
        char wide[8] = "";

        /* The lower half of a 64-bit CPU's is what 32-bit code sees. */
        g_snprintf(wide, sizeof wide, "%s", names[i]);
        wide[0] = elf == EM_386 ? 'r' : wide[0];
        walk->registers.value[i] = either(walk->vcpu, wide, names[i]) & bits_mask(8 * walk->word);
        walk->registers.known[i] = true;
    }
}

/* Addresses are linear: real mode's stack is relative to SS. */
static void walk_x86_vcpu(Walk *walk)
{
    Vcpu *vcpu = walk->vcpu;
    int mode = target_capstone_mode(vcpu);
    uint64_t base = linux_register(vcpu, "cr0") & 1 ? 0 : linux_register(vcpu, "ss") << 4;
    OrcState state = { .ip = vcpu->target->get_pc(vcpu), .exact = true, .has_regs = true };

    walk->word = mode & CS_MODE_64 ? 8 : mode & CS_MODE_32 ? 4 : 2;
    state.sp = base + (either(vcpu, "rsp", "esp") & bits_mask(8 * walk->word));
    state.bp = base + (either(vcpu, "rbp", "ebp") & bits_mask(8 * walk->word));
    take_registers(walk, walk->word == 8 ? EM_X86_64 : EM_386);
    state.r10 = linux_register(vcpu, "r10");
    state.r13 = linux_register(vcpu, "r13");
    state.di = linux_register(vcpu, "rdi");
    state.dx = linux_register(vcpu, "rdx");
    walk_x86(walk, &state);
}

GArray *backtrace_vcpu(Machine *machine, Vcpu *vcpu, unsigned max)
{
    const char *target = vcpu->target->name;
    Walk walk = { machine, linux_kernel_known(machine), vcpu, 8, false, MIN(max, BACKTRACE_MAX) };

    walk.frames = g_array_new(FALSE, FALSE, sizeof(Frame));
    if (!strcmp(target, "aarch64")) {
        walk.arm = true;
        take_registers(&walk, EM_AARCH64);
        walk_arm(&walk, vcpu->target->get_pc(vcpu), linux_register(vcpu, "x29"),
                 linux_register(vcpu, "sp"), linux_register(vcpu, "x30"));
    } else if (!strcmp(target, "x86_64") || !strcmp(target, "i386")) {
        walk_x86_vcpu(&walk);
    } else {
        add_frame(&walk, vcpu->target->get_pc(vcpu), 0, 0, FRAME_REGISTERS, true);
    }
    return walk.frames;
}

GArray *backtrace_task(LinuxKernel *kernel, const LinuxTask *task, unsigned max)
{
    Walk walk = { .machine = kernel->machine,
                  .kernel = kernel,
                  .word = linux_word(kernel),
                  .arm = kernel->arch == LINUX_ARM64,
                  .max = MIN(max, BACKTRACE_MAX) };
    Types *types = linux_types(kernel, NULL);
    uint64_t pc, fp, sp, bp_at, ret_at;
    OrcState state = { 0 };

    walk.frames = g_array_new(FALSE, FALSE, sizeof(Frame));
    if (!linux_task_registers(kernel, task, &pc, &fp, &sp)) {
        return walk.frames;
    }
    walk.elf = walk.arm ? EM_AARCH64 : walk.word == 4 ? EM_386 : EM_X86_64;
    set_registers(&walk, sp, fp);
    if (walk.arm) {
        add_frame(&walk, pc, sp, fp, FRAME_REGISTERS, true);
        if (walk_information(&walk) != UNWIND_END) {
            walk_records(&walk, g_array_index(walk.frames, Frame, walk.frames->len - 1).fp);
        }
    } else if (types && types_offset(types, "inactive_task_frame", "bp", &bp_at) &&
               types_offset(types, "inactive_task_frame", "ret_addr", &ret_at) &&
               linux_read_word(kernel, sp + bp_at, &state.bp) &&
               linux_read_word(kernel, sp + ret_at, &state.ip)) {
        state.sp = sp + ret_at + walk.word;
        set_registers(&walk, state.sp, state.bp);
        walk_x86(&walk, &state);
    }
    return walk.frames;
}
