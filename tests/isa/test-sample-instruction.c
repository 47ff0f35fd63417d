/* SPDX-License-Identifier: MIT */
/* The sample of docs/howto/add-an-instruction.md, taken from the page: it translates and computes. */
#include <glib.h>

#include "accel/tcg/ir/interpret.h"
#include "target/arm/translate.h"

extern const A64Instruction a64_instruction_ctz;

int main(void)
{
    ArmCpu *cpu = g_malloc0(sizeof *cpu);
    IrUnit *unit = g_new0(IrUnit, 1);
    A64Translator t = { .unit = unit, .cpu = cpu };
    A64Fields fields = { .sf = 1, .rn = 3, .rd = 4 };
    HostRuntime runtime = { .vars = arm_target.tcg->vars, .var_count = arm_target.tcg->var_count };

    ir_unit_init(unit, arm_target.tcg->vars, arm_target.tcg->var_count);
    g_assert_true(a64_instruction_ctz.translate(&t, &fields));
    a64_dispatch_env(&t);
    cpu->x[3] = 0x1000;
    cpu->tcg.interpreter_values = g_new0(IrValue, IR_MAX_OPS);
    ir_interpret(unit, &cpu->tcg, &runtime);
    g_assert_cmpuint(cpu->x[4], ==, 12);
    g_free(cpu->tcg.interpreter_values);
    g_free(unit);
    g_free(cpu);
    return 0;
}
