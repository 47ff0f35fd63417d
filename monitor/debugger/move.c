/* SPDX-License-Identifier: MIT */
/*
 * Moving: so many instructions or source lines, over calls, out of a function.
 *
 * Instructions are executed one at a time on the CPU's thread, which looks at each before it is executed when calls or returns
 * matter. Before a call that shall count as one the machine stops for a moment, and then runs up to a breakpoint behind the call where the
 * stack is as it was.
 */
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "debug/backtrace.h"
#include "machine/accelerator.h"
#include "machine/page-walk.h"
#include "monitor/debugger/private.h"

uint64_t debugger_stack_pointer(Vcpu *vcpu)
{
    static const char *const names[] = { "sp", "rsp", "esp" };
    uint8_t bytes[TARGET_REGISTER_BYTES_MAX];

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const TargetRegister *reg = target_register_find(vcpu->target, names[i]);

        if (reg) {
            target_register_read(vcpu, reg, bytes);
            return load_le64(bytes) & bits_mask(reg->bits);
        }
    }
    return 0;
}

typedef enum { INSTRUCTION_OTHER, INSTRUCTION_CALL, INSTRUCTION_RETURN } InstructionKind;

static InstructionKind kind_of(const cs_insn *instruction)
{
    static const char *const calls[] = { "call",  "lcall",  "bl",    "blr",
                                         "blraa", "blraaz", "blrab", "blrabz" };
    static const char *const returns[] = { "ret",   "retf",  "retfq", "iret", "iretd",
                                           "iretq", "retaa", "retab", "eret", "sysret" };

    for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
        if (strcmp(instruction->mnemonic, calls[i]) == 0) {
            return INSTRUCTION_CALL;
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(returns); i++) {
        if (strcmp(instruction->mnemonic, returns[i]) == 0) {
            return INSTRUCTION_RETURN;
        }
    }
    return INSTRUCTION_OTHER;
}

/* What the CPU executes next; *size of it. The CPU is parked, or the caller on its thread. */
static InstructionKind look(const Move *move, Vcpu *vcpu, uint64_t pc, unsigned *size)
{
    InstructionKind kind = INSTRUCTION_OTHER;
    cs_insn *instruction = NULL;
    uint8_t bytes[16];
    size_t n = debug_read(vcpu, false, pc, bytes, sizeof bytes, true);

    *size = 1;
    capstone.cs_option(move->handle, CS_OPT_MODE, (size_t)target_capstone_mode(vcpu));
    if (n && capstone.cs_disasm(move->handle, bytes, n, pc, 1, &instruction) == 1) {
        *size = instruction->size;
        kind = kind_of(instruction);
        capstone.cs_free(instruction, 1);
    }
    return kind;
}

/* How long a return address is that a call puts on the stack; 0: it does not, or not where the stack pointer says. */
static unsigned slot_bytes(Vcpu *vcpu)
{
    int mode = target_capstone_mode(vcpu);

    return vcpu->target->capstone_arch != CS_ARCH_X86 ? 0
           : mode & CS_MODE_64                        ? 8
           : mode & CS_MODE_32                        ? 4
                                                      : 0;
}

/*
 * Whether the call is under way still: what was reached behind it is of a deeper recursion. Code that leaves something on the stack (Linux's entry code
 * saves registers in a function) has put it where the return address was.
 */
static bool call_is_open(const Move *move, Vcpu *vcpu)
{
    uint8_t slot[8] = { 0 };

    return debugger_stack_pointer(vcpu) < move->stack &&
           (!move->slot_bytes || (debug_read(vcpu, false, move->stack - move->slot_bytes, slot,
                                             move->slot_bytes, true) == move->slot_bytes &&
                                  load_le64(slot) == move->place.point.address));
}

/* Judges the instruction that comes next. true: it is a call that has to be run. */
static bool before_instruction(Move *move, uint64_t pc)
{
    Vcpu *vcpu = move->request.vcpu;
    InstructionKind kind;
    unsigned size;

    if (!move->request.over && !move->request.out && !move->line.source) {
        return false;
    }
    kind = look(move, vcpu, pc, &size);
    move->returns = kind == INSTRUCTION_RETURN;
    move->calls = kind == INSTRUCTION_CALL;
    if (move->calls) {
        move->stack = debugger_stack_pointer(vcpu);
        move->slot_bytes = slot_bytes(vcpu);
        move->place.point.address = pc + size;
    }
    if (!move->request.over &&
        !move->request.out) { /* by lines: into it, and then it is seen whether that has any */
        move->entered = move->calls;
        move->calls = false;
    }
    return move->calls;
}

/* An instruction (or a call) has been executed. true: the machine stops. */
static bool after_instruction(Move *move, uint64_t pc)
{
    if (move->line.source && !move->request.out) {
        /* What is beyond the line is decided when the machine has stopped. */
        return move->entered || pc < move->line.low || pc >= move->line.high ||
               before_instruction(move, pc);
    }
    if (move->request.out ? move->returns : --move->request.count == 0) {
        move->request.count = 0;
        move->calls = false;
        return true;
    }
    return before_instruction(move, pc);
}

bool move_reached(Debugger *debugger, const DebugStop *stop)
{
    Move *move = &debugger->move;

    if (stop->vcpu != move->request.vcpu) {
        return false;
    }
    if (stop->kind == DEBUG_STOP_STEP) {
        return after_instruction(move, stop->pc);
    }
    return !call_is_open(move, stop->vcpu);
}

static void remove_place(Debugger *debugger)
{
    if (debugger->move.place_set) {
        debugger->move.place_set = false;
        debug_remove_point(debugger->machine, &debugger->move.place.point);
    }
}

/* A call that is gone over and the rest of a function may wait for what other CPUs hold: these run then. */
static void start(Debugger *debugger)
{
    const MoveRequest *request = &debugger->move.request;
    bool others_run = request->all || request->out || debugger->move.calls;
    GPtrArray *vcpus = debugger->machine->vcpus;

    for (unsigned i = 0; i < vcpus->len; i++) {
        debug_set_move(vcpus->pdata[i], others_run ? DEBUG_RUN : DEBUG_HOLD, &debugger->client);
    }
    debug_set_move(request->vcpu, debugger->move.calls ? DEBUG_RUN : DEBUG_STEP, &debugger->client);
    machine_start(debugger->machine);
}

/* Lets a call run up to what comes behind it. */
static bool run_call(Debugger *debugger, GError **error)
{
    Move *move = &debugger->move;

    move->place.point.client = &debugger->client;
    move->place.point.size = 1;
    move->place.point.access = DEBUG_EXECUTE;
    if (!debug_add_point(debugger->machine, &move->place.point, error)) {
        return false;
    }
    move->place_set = true;
    start(debugger);
    return true;
}

bool move_run_to(Debugger *debugger, uint64_t address, uint64_t stack, GError **error)
{
    Move *move = &debugger->move;

    move->calls = true;
    move->stack = stack;
    move->slot_bytes = 0;
    move->place.point.address = address;
    return run_call(debugger, error);
}

/* The line's code was left. */
static bool line_goes_on(Debugger *debugger, uint64_t pc)
{
    Move *move = &debugger->move;
    uint64_t address, stack;
    bool arrives = false;

    switch (move_line_left(move, pc, &address, &stack, &arrives)) {
    case LINE_STEP:
        move->entered = false;
        if (before_instruction(move, pc)) {
            return run_call(debugger, NULL);
        }
        start(debugger);
        return true;
    case LINE_RUN:
        move->entered = false;
        move->arrives = arrives;
        return move_run_to(debugger, address, stack, NULL);
    default:
        return false;
    }
}

static bool line_moves(Debugger *debugger)
{
    Move *move = &debugger->move;
    bool back = move->place_set;
    uint64_t pc;

    if (back) {
        remove_place(debugger);
        move->calls = false;
        if (move->arrives) {
            return false;
        }
    } else if (move->calls) {
        return run_call(debugger, NULL);
    }
    vcpu_sync(move->request.vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    pc = move->request.vcpu->target->get_pc(move->request.vcpu);
    if (back && pc >= move->line.low && pc < move->line.high) {
        if (before_instruction(move, pc)) {
            return run_call(debugger, NULL);
        }
        start(debugger);
        return true;
    }
    return line_goes_on(debugger, pc);
}

bool move_goes_on(Debugger *debugger)
{
    Move *move = &debugger->move;

    if (!move->request.vcpu) {
        return false;
    }
    if (move->line.source) {
        return line_moves(debugger);
    }
    if (move->place_set) {
        /* The call is done, or the function has returned. */
        remove_place(debugger);
        if (move->arrives) {
            return false;
        }
        move->calls = false;
        move->returns = false;
        if (!after_instruction(move, move->place.point.address)) {
            start(debugger);
            return true;
        }
    }
    return move->calls && run_call(debugger, NULL);
}

void move_end(Debugger *debugger)
{
    remove_place(debugger);
    if (debugger->move.request.vcpu) {
        capstone.cs_close(&debugger->move.handle);
    }
    g_free(debugger->move.line.source);
    debugger->move = (Move){ 0 };
}

/* Unwinding of what a kernel describes wrongly, as Linux's entry code for a few instructions, leads into data. */
static bool is_code(Vcpu *vcpu, uint64_t address)
{
    g_autofree PageWalk *walk = g_new0(PageWalk, 1);

    if (!vcpu->target->walk_page) {
        return true;
    }
    vcpu->target->walk_page(vcpu, address, walk);
    return walk->allowed[PAGE_KERNEL][PAGE_EXECUTE] || walk->allowed[PAGE_USER][PAGE_EXECUTE];
}

/* Where the function will return to, and how far the stack is down then at most, if that is no guess. */
static bool return_place(Vcpu *vcpu, uint64_t *address, uint64_t *stack)
{
    g_autoptr(GArray) frames = NULL;
    const Frame *caller;

    machine_exclusive_begin(vcpu->machine);
    frames = backtrace_vcpu(vcpu->machine, vcpu, 2);
    machine_exclusive_end(vcpu->machine);
    caller = frames->len > 1 ? &g_array_index(frames, Frame, 1) : NULL;
    if (!caller || caller->kind == FRAME_GUESS ||
        (caller->kind == FRAME_POINTER && strcmp(vcpu->target->name, "aarch64")) ||
        !is_code(vcpu, caller->pc)) {
        return false;
    }
    *address = caller->pc;
    /* On x86 a return address has been taken from the stack by then; what was interrupted goes on with the stack that it had. */
    *stack = caller->exact ? caller->sp
                           : debugger_stack_pointer(vcpu) + !!strcmp(vcpu->target->name, "aarch64");
    return true;
}

/* Runs to the caller. false: not known where that is. */
static bool run_out(Debugger *debugger)
{
    Move *move = &debugger->move;
    Vcpu *vcpu = move->request.vcpu;
    uint64_t address, stack;

    if (!return_place(vcpu, &address, &stack)) {
        return false;
    }
    move->arrives = true;
    if (move_run_to(debugger, address, stack, NULL)) {
        return true;
    }
    move->arrives = false;
    move->calls = false;
    return false;
}

bool debugger_move(const MoveRequest *request, GError **error)
{
    Machine *machine = request->vcpu->machine;
    Debugger *debugger = debugger_of(machine);
    Move *move = &debugger->move;
    uint64_t pc;

    if (machine_running(machine)) {
        return error_fail(error, KASO_ERROR_GENERIC, "the machine runs; stop it first");
    }
    if (!machine->accelerator || !machine->accelerator->debug_changed) {
        return error_fail(error, KASO_ERROR_UNSUPPORTED, "this accelerator makes no steps yet");
    }
    move_end(debugger);
    move->request = *request;
    if (!capstone_open(request->vcpu->target->capstone_arch, request->vcpu->target->capstone_mode,
                       &move->handle, error)) {
        move->request.vcpu = NULL;
        return false;
    }
    vcpu_sync(request->vcpu, VCPU_SYNC_FROM_ACCELERATOR);
    pc = request->vcpu->target->get_pc(request->vcpu);
    if (request->lines) {
        move_line_begin(move, pc);
    }
    if (request->out && run_out(debugger)) {
        return true;
    }
    if (before_instruction(move, pc)) {
        return run_call(debugger, error);
    }
    start(debugger);
    return true;
}
