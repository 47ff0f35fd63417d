/* SPDX-License-Identifier: MIT */
/*
 * Text IR: what the parser takes is verified; what the verifier lets pass survives printing and parsing, stays valid in
 * each pass, and can be made host code (or is refused for its size).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "accel/tcg/host/host.h"
#include "accel/tcg/ir/services.h"
#include "accel/tcg/opt/opt.h"
#include "tests/fuzz/fuzz.h"

enum { CODE_SIZE = 4 << 20, LINKS = 256 };

static const IrVar vars[] = {
    { "x0", IR_I64, 0 },   { "x1", IR_I64, 8 },   { "w0", IR_I32, 16 },  { "w1", IR_I32, 20 },
    { "v0", IR_V128, 32 }, { "v1", IR_V128, 48 }, { "f", IR_FLAGS, 64 },
};
static const uint8_t ints[] = { 1, 3, 0xff }, vectors[] = { 5, 0xff };

static HostBackend *backend;
static HostThunks thunks;
static uint8_t *code;

_Noreturn void tcg_unwind(TcgState *env)
{
    abort();
}

static void *leave(TcgState *env)
{
    return thunks.exit;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const HostRuntime runtime = { .vars = vars,
                                         .var_count = G_N_ELEMENTS(vars),
                                         .pinned_ints = ints,
                                         .pinned_vectors = vectors,
                                         .env_bias = 128,
                                         .dispatch = leave };

    backend = host_backend_new(&runtime, NULL);
    code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                -1, 0);
    if (backend) {
        host_emit_thunks(backend, code, CODE_SIZE / 2, &thunks);
    }
    return 0;
}

static void check_printing(const IrUnit *unit, IrUnit *again)
{
    g_autofree char *text = ir_print(unit), *second = NULL;
    GError *error = NULL;

    ir_unit_init(again, vars, G_N_ELEMENTS(vars));
    if (!ir_parse(again, text, &error)) {
        g_error("what was printed is not understood: %s\n%s", error->message, text);
    }
    second = ir_print(again);
    if (strcmp(text, second) != 0) {
        g_error("printed, parsed and printed it differs:\n%s\n%s", text, second);
    }
}

static void make_code(const IrUnit *unit)
{
    static TcgLink links[LINKS];
    unsigned count = 0;
    HostCode made;

    for (unsigned i = 1; i < unit->count; i++) {
        count += unit->ops[i].opcode == IR_OP_exit_if || unit->ops[i].opcode == IR_OP_goto ||
                 unit->ops[i].opcode == IR_OP_push_return;
    }
    if (backend && count <= LINKS) {
        memset(links, 0, sizeof links);
        host_emit_unit(backend, unit, code + CODE_SIZE / 2, CODE_SIZE / 2, NULL, 0, links, count,
                       &made);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static IrUnit unit, again;
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;

    if (!backend) {
        LLVMFuzzerInitialize(NULL, NULL);
    }
    ir_unit_init(&unit, vars, G_N_ELEMENTS(vars));
    if (!ir_parse(&unit, text, &error) || !ir_verify(&unit, &error)) {
        g_assert_true(error && error->message[0]);
        return 0;
    }
    check_printing(&unit, &again);
    opt_run(&unit);
    if (!ir_verify(&unit, &error)) {
        g_error("bad after optimisation: %s", error->message);
    }
    make_code(&unit);
    return 0;
}
