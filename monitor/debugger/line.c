/* SPDX-License-Identifier: MIT */
/*
 * Moves by source lines: what is done where a CPU has left the code of the line that it was in.
 *
 * A line ends where another one begins: not in the midst of one, where returns and the heads of loops come to. A function that is called is a
 * new line if it has any, else it is run to its end. Inlined functions are such functions for step, and parts of the line for next.
 */
#include <string.h>

#include "debug/symbols/symbols.h"
#include "machine/accelerator.h"
#include "monitor/debugger/private.h"

/* The functions around the pc, as MoveLine has them. */
static void take_functions(MoveLine *line, Vcpu *vcpu, uint64_t pc)
{
    SourceFunction functions[SOURCE_FUNCTIONS_MAX];
    unsigned count = symbols_functions(vcpu->machine, vcpu, pc, functions);

    line->function = 0;
    line->depth = 0;
    while (count--) {
        if (!functions[count].inlined) {
            line->function = functions[count].entry;
        } else if (line->depth < G_N_ELEMENTS(line->inlined)) {
            line->inlined[line->depth++] = functions[count].id;
        }
    }
}

static void take_line(MoveLine *line, const SourceLine *source, uint64_t pc)
{
    g_free(line->source);
    line->source = g_strdup(source->source);
    line->line = source->line;
    line->start = pc;
    line->low = source->start;
    line->high = source->end;
}

bool move_line_begin(Move *move, uint64_t pc)
{
    Vcpu *vcpu = move->request.vcpu;
    SourceLine source;

    if (!symbols_line(vcpu->machine, vcpu, pc, &source)) {
        return false;
    }
    take_line(&move->line, &source, pc);
    take_functions(&move->line, vcpu, pc);
    return true;
}

/* Whether `inner` is within functions that are inlined where the outer line is. */
static bool is_inlined_in(const MoveLine *inner, const MoveLine *outer)
{
    return inner->function && inner->function == outer->function && inner->depth > outer->depth &&
           !memcmp(inner->inlined, outer->inlined, outer->depth * sizeof *outer->inlined);
}

static bool is_same_line(const MoveLine *line, const MoveLine *here, const SourceLine *source)
{
    return line->line == source->line && !strcmp(line->source, source->source) &&
           line->function == here->function && line->depth == here->depth &&
           !memcmp(line->inlined, here->inlined, here->depth * sizeof *here->inlined);
}

/* Whether a line that begins at the pc is where the move stops. */
static bool ends_at(const Move *move, const MoveLine *here, const SourceLine *source, uint64_t pc)
{
    if (pc != source->start || !source->statement || is_same_line(&move->line, here, source)) {
        return false;
    }
    if (move->request.over && is_inlined_in(here, &move->line)) {
        return false;
    }
    return !move->request.forward || here->function != move->line.function || pc > move->line.start;
}

LineAnswer move_line_left(Move *move, uint64_t pc, uint64_t *address, uint64_t *stack,
                          bool *arrives)
{
    Vcpu *vcpu = move->request.vcpu;
    Machine *machine = vcpu->machine;
    MoveLine here = { 0 };
    SourceLine source;

    if (!symbols_line(machine, vcpu, pc, &source)) {
        /* A function without lines: until it returns to where it was called. */
        *address = move->place.point.address;
        *stack = move->stack;
        return move->entered ? LINE_RUN : LINE_DONE;
    }
    take_functions(&here, vcpu, pc);
    if (!ends_at(move, &here, &source, pc)) {
        /* On in the line that it is in the midst of; what it was at the beginning stays what is compared with. */
        move->line.low = source.start;
        move->line.high = source.end;
        return LINE_STEP;
    }
    if (move->request.count > 1) {
        move->request.count--;
        take_line(&move->line, &source, pc);
        move->line.function = here.function;
        move->line.depth = here.depth;
        memcpy(move->line.inlined, here.inlined, sizeof here.inlined);
        return LINE_STEP;
    }
    *address = here.function == pc ? symbols_behind_prologue(machine, vcpu, pc) : pc;
    *stack = 0;
    *arrives = true;
    return *address != pc ? LINE_RUN : LINE_DONE;
}
