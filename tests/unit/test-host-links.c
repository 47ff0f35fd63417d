/* SPDX-License-Identifier: MIT */
/* How units of host code lead to each other: links, guards, jump cache, returns, killing, polling. */
#include <glib.h>
#include <string.h>
#include <sys/mman.h>

#include "accel/tcg/host/host.h"
#include "accel/tcg/ir/services.h"

enum { CODE_SIZE = 1 << 18, X0 = 0, X1, VAR_COUNT };
#define PAGE      UINT64_C(0x400000)
#define HOST_PAGE UINT64_C(0x7f0000123000)

typedef struct {
    TcgState env;
    uint64_t x[2];
} Guest;

/* What the callbacks need; the thunks call them with nothing but the TcgState. */
static struct {
    HostThunks thunks;
    unsigned follows, dispatches, indirects;
    uint64_t pc;   /* that was asked for last */
    uint8_t *next; /* where follow_link leads; NULL: out */
    TcgLink *link; /* that was followed last */
} seen;

typedef struct {
    HostBackend *backend;
    uint8_t *code, *room;
    TcgContext *context;
    Guest guest;
    TcgLink links[8][4];
    HostCode last; /* that was emitted */
    unsigned units;
} Fixture;

_Noreturn void tcg_unwind(TcgState *env)
{
    g_error("unwinding at %" G_GINT64_MODIFIER "x", tcg_pc(env));
}

static void *dispatch(TcgState *env)
{
    seen.dispatches++;
    seen.pc = tcg_pc(env);
    return seen.thunks.exit;
}

static void *follow_link(TcgState *env, TcgLink *link)
{
    seen.follows++;
    seen.link = link;
    seen.pc = env->pc_page + (uint64_t)(int64_t)link->target;
    tcg_set_pc(env, seen.pc);
    if (seen.next) {
        host_link(link, seen.next, HOST_PAGE);
        link->linked = 1;
        return seen.next;
    }
    return seen.thunks.exit;
}

static void *indirect(TcgState *env, uint64_t pc, unsigned jump_class, int64_t origin)
{
    g_assert_cmpuint(jump_class, ==, 0);
    seen.indirects++;
    seen.pc = pc;
    tcg_set_pc(env, pc);
    return seen.thunks.exit;
}

static const IrVar vars[VAR_COUNT] = {
    [X0] = { "x0", IR_I64, offsetof(Guest, x[0]) },
    [X1] = { "x1", IR_I64, offsetof(Guest, x[1]) },
};

static void set_up(Fixture *f, gconstpointer data)
{
    static const uint8_t pins[] = { X0, 0xff }, none[] = { 0xff };
    HostRuntime runtime = { .vars = vars,
                            .var_count = VAR_COUNT,
                            .jump_shift = (uint8_t)GPOINTER_TO_UINT(data),
                            .pinned_ints = pins,
                            .pinned_vectors = none,
                            .dispatch = dispatch,
                            .follow_link = follow_link,
                            .indirect = indirect };
    GError *error = NULL;

    memset(&seen, 0, sizeof(seen));
    f->backend = host_backend_new(&runtime, &error);
    g_assert_no_error(error);
    f->code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                   -1, 0);
    g_assert(f->code != MAP_FAILED);
    f->room = f->code + host_emit_thunks(f->backend, f->code, CODE_SIZE, &seen.thunks);
    f->context = g_malloc0(tcg_context_size(1));
    for (unsigned i = 0; i < 1 << TCG_JUMP_BITS; i++) {
        f->context->jump[i].pc = tcg_jump_empty(i, GPOINTER_TO_UINT(data));
    }
    for (unsigned i = 0; i < TCG_RETURN_STACK; i++) {
        f->context->returns[i] = (TcgJumpEntry){ TCG_JUMP_EMPTY, seen.thunks.empty_return };
    }
    f->guest.env.context = f->context;
    f->guest.env.fp_word = host_fp_word((TcgFpControl){ 0 });
}

static void tear_down(Fixture *f, gconstpointer data)
{
    munmap(f->code, CODE_SIZE);
    host_backend_free(f->backend);
    g_free(f->context);
}

/* Emits a unit from text; it starts at an offset in PAGE, and may run into the page behind. */
static uint8_t *emit_over(Fixture *f, uint16_t start, uint64_t next_page, const char *text)
{
    g_autofree IrUnit *unit = g_new0(IrUnit, 1);
    GError *error = NULL;

    ir_unit_init(unit, vars, VAR_COUNT);
    unit->start = start;
    unit->next_page = next_page;
    g_assert_true(ir_parse(unit, text, &error));
    g_assert_true(host_emit_unit(f->backend, unit, f->room, (size_t)(f->code + CODE_SIZE - f->room),
                                 NULL, 0, f->links[f->units++], 4, &f->last));
    f->room += (f->last.size + 15) & ~(size_t)15;
    return f->last.entry;
}

static uint8_t *emit(Fixture *f, uint16_t start, const char *text)
{
    return emit_over(f, start, 0, text);
}

static void run(Fixture *f, uint8_t *entry)
{
    f->guest.env.pc_page = PAGE;
    seen.follows = seen.dispatches = seen.indirects = 0;
    seen.thunks.enter(&f->guest.env, entry);
}

#define COUNT_AND_LEAVE                                                                            \
    "%1 = get.i64 @x0\n%2 = const.i64 imm=1\n%3 = add.i64 %1 %2\nset.i64 @x0 %3\ndispatch "        \
    "imm=0x30\n"

static void test_link(Fixture *f, gconstpointer data)
{
    uint8_t *a = emit(f, 0x100, "goto imm=0x200\n"), *b = emit(f, 0x200, COUNT_AND_LEAVE);

    run(f, a);
    g_assert_cmpuint(seen.follows, ==, 1);
    g_assert_cmphex(seen.pc, ==, PAGE + 0x200);
    seen.next = b;
    run(f, a);
    g_assert_cmpuint(seen.follows, ==, 1);
    g_assert_cmpuint(f->guest.x[0], ==, 1);
    run(f, a);
    g_assert_cmpuint(seen.follows, ==, 0);
    g_assert_cmpuint(f->guest.x[0], ==, 2);
    g_assert_cmphex(seen.pc, ==, PAGE + 0x30);
    host_unlink(seen.link);
    seen.next = NULL;
    run(f, a);
    g_assert_cmpuint(seen.follows, ==, 1);
    g_assert_cmpuint(f->guest.x[0], ==, 2);
}

static void test_kill(Fixture *f, gconstpointer data)
{
    uint8_t *a = emit(f, 0x100, "goto imm=0x200\n"), *b = emit(f, 0x200, COUNT_AND_LEAVE);

    seen.next = b;
    run(f, a);
    host_kill_unit(b);
    run(f, a);
    g_assert_cmpuint(f->guest.x[0], ==, 1);
    g_assert_cmpuint(seen.dispatches, ==, 1);
    g_assert_cmphex(seen.pc, ==, PAGE + 0x200);
}

static void test_poll(Fixture *f, gconstpointer data)
{
    uint8_t *b = emit(f, 0x200, COUNT_AND_LEAVE);

    f->guest.env.exit_request = 1;
    run(f, b);
    g_assert_cmpuint(f->guest.x[0], ==, 0);
    g_assert_true(f->guest.env.unit_refused);
    g_assert_cmphex(tcg_pc(&f->guest.env), ==, PAGE + 0x200);
    f->guest.env.exit_request = 0;
}

/* Only jumps that are behind each other in a page, and cannot go round, may leave the poll out. */
static void test_forward(Fixture *f, gconstpointer data)
{
    uint8_t *a = emit(f, 0x100, "goto imm=0x200\n"), *body;

    emit(f, 0x200, COUNT_AND_LEAVE);
    body = f->last.body;
    emit(f, 0x100, "goto imm=0x80\n");
    emit(f, 0x100, "goto imm=0x1200\n");
    emit(f, 0x100, "push_return imm=0x104\ngoto imm=0x200\n");
    g_assert_false(f->links[0][0].polls);
    g_assert_true(f->links[2][0].polls);
    g_assert_true(f->links[3][0].polls);
    for (unsigned i = 0; i < 2; i++) {
        const TcgLink *link = &f->links[4][i];

        g_assert_cmpint(link->polls, ==, link->target == 0x104);
    }
    /* An instruction that runs into the next page is looked at each time. */
    emit_over(f, 0xffe, HOST_PAGE, COUNT_AND_LEAVE);
    g_assert_true(f->last.body == f->last.entry);
    seen.next = body;
    run(f, a);
    f->guest.env.exit_request = 1;
    host_link(&f->links[0][0], body, HOST_PAGE);
    run(f, body);
    g_assert_cmpuint(f->guest.x[0], ==, 2);
    f->guest.env.exit_request = 0;
}

static TcgFetchEntry *fetch_entry(Fixture *f, uint64_t page)
{
    return &f->context->fetch[page >> TCG_PAGE_BITS & ((1 << TCG_FETCH_BITS) - 1)];
}

static void test_guard(Fixture *f, gconstpointer data)
{
    uint8_t *a = emit(f, 0x100, "goto imm=-3840\n"), *b = emit(f, 0x100, COUNT_AND_LEAVE);
    TcgFetchEntry *fetch = fetch_entry(f, PAGE - TCG_PAGE_SIZE);

    *fetch = (TcgFetchEntry){ PAGE - TCG_PAGE_SIZE, HOST_PAGE };
    seen.next = b;
    run(f, a);
    g_assert_cmpuint(seen.follows, ==, 1);
    g_assert_cmphex(seen.pc, ==, PAGE - TCG_PAGE_SIZE + 0x30);
    run(f, a);
    g_assert_cmpuint(seen.follows, ==, 0);
    g_assert_cmpuint(f->guest.x[0], ==, 2);
    g_assert_cmphex(seen.pc, ==, PAGE - TCG_PAGE_SIZE + 0x30);
    /* The page is mapped elsewhere now. */
    fetch->host_page += TCG_PAGE_SIZE;
    seen.next = NULL;
    run(f, a);
    g_assert_cmpuint(seen.follows, ==, 1);
    g_assert_cmphex(seen.pc, ==, PAGE - TCG_PAGE_SIZE + 0x100);
    fetch->tag = TCG_FETCH_EMPTY;
    run(f, a);
    g_assert_cmpuint(seen.follows, ==, 1);
    /* Unlinked, the jump behind the guard leads back, too. */
    *fetch = (TcgFetchEntry){ PAGE - TCG_PAGE_SIZE, HOST_PAGE };
    host_unlink(seen.link);
    run(f, a);
    g_assert_cmpuint(seen.follows, ==, 1);
    g_assert_cmphex(seen.pc, ==, PAGE - TCG_PAGE_SIZE + 0x100);
}

/* A unit over two pages runs only while the second is the one that it was made of. */
static void test_two_pages(Fixture *f, gconstpointer data)
{
    uint8_t *a = emit_over(f, 0xffe, HOST_PAGE, COUNT_AND_LEAVE);
    TcgFetchEntry *fetch = fetch_entry(f, PAGE + TCG_PAGE_SIZE);

    *fetch = (TcgFetchEntry){ PAGE + TCG_PAGE_SIZE, HOST_PAGE };
    run(f, a);
    g_assert_cmpuint(f->guest.x[0], ==, 1);
    g_assert_false(f->guest.env.unit_refused);
    fetch->host_page += TCG_PAGE_SIZE;
    run(f, a);
    g_assert_cmpuint(f->guest.x[0], ==, 1);
    g_assert_cmphex(seen.pc, ==, PAGE + 0xffe);
    g_assert_true(f->guest.env.unit_refused);
    *fetch = (TcgFetchEntry){ TCG_FETCH_EMPTY, HOST_PAGE };
    run(f, a);
    g_assert_cmpuint(f->guest.x[0], ==, 1);
}

static void test_jump_cache(Fixture *f, gconstpointer data)
{
    uint8_t *a = emit(f, 0x100, "%1 = get.i64 @x1\ngoto_ind %1\n");
    uint8_t *b = emit(f, 0x200, COUNT_AND_LEAVE);
    uint64_t pc = 0x12345678, index = tcg_jump_index(pc, GPOINTER_TO_UINT(data));

    f->guest.x[1] = pc;
    run(f, a);
    g_assert_cmpuint(seen.indirects, ==, 1);
    g_assert_cmphex(seen.pc, ==, pc);
    f->context->jump[index] = (TcgJumpEntry){ pc, b };
    run(f, a);
    g_assert_cmpuint(seen.indirects, ==, 0);
    g_assert_cmpuint(f->guest.x[0], ==, 1);
    g_assert_cmphex(seen.pc, ==, (pc & TCG_PAGE_MASK) + 0x30);
    /* No entry is for the pc that marks empty ones, nor for that of the first. */
    for (uint64_t empty = 0; empty <= UINT64_C(1) << GPOINTER_TO_UINT(data); empty++) {
        f->guest.x[1] = empty;
        run(f, a);
        g_assert_cmpuint(seen.indirects, ==, 1);
        g_assert_cmphex(seen.pc, ==, empty);
    }
}

static void test_return(Fixture *f, gconstpointer data)
{
    uint8_t *call = emit(f, 0x100, "push_return imm=0x104\ngoto imm=0x200\n");
    uint8_t *callee = emit(f, 0x200, "%1 = get.i64 @x1\ngoto_ind %1 sub=2\n");

    f->guest.x[1] = PAGE + 0x104;
    run(f, callee);
    g_assert_cmpuint(seen.indirects, ==, 1);
    f->guest.env.return_top = 0;
    run(f, call); /* links to nothing: out before the callee */
    g_assert_cmpuint(f->guest.env.return_top, ==, sizeof(TcgJumpEntry));
    run(f, callee);
    g_assert_cmpuint(seen.indirects, ==, 0);
    g_assert_cmpuint(seen.follows, ==, 1);
    g_assert_cmphex(seen.pc, ==, PAGE + 0x104);
    g_assert_cmpuint(f->guest.env.return_top, ==, 0);
    run(f, call);
    f->guest.x[1] = PAGE + 0x108;
    run(f, callee);
    g_assert_cmpuint(seen.indirects, ==, 1);
    g_assert_cmpuint(f->guest.env.return_top, ==, sizeof(TcgJumpEntry));
    /* A return to the pc that marks empty entries. */
    f->guest.env.return_top = 0;
    f->guest.x[1] = TCG_JUMP_EMPTY;
    run(f, callee);
    g_assert_cmpuint(seen.indirects, ==, 1);
    g_assert_cmphex(seen.pc, ==, TCG_JUMP_EMPTY);
}

/* A return arrives in the unit behind the call, and is refused there when that unit has been killed since the call. */
static void test_linked_return(Fixture *f, gconstpointer data)
{
    uint8_t *call = emit(f, 0x100, "push_return imm=0x104\ngoto imm=0x200\n");
    uint8_t *callee = emit(f, 0x200, "%1 = get.i64 @x1\ngoto_ind %1 sub=2\n");
    uint8_t *behind = emit(f, 0x104, COUNT_AND_LEAVE);
    TcgLink *link = &f->links[0][0];

    f->guest.x[1] = PAGE + 0x104;
    f->guest.env.return_top = sizeof(TcgJumpEntry) * (TCG_RETURN_STACK - 1);
    host_link(link, behind, HOST_PAGE);
    run(f, call);
    g_assert_cmpuint(f->guest.env.return_top, ==, 0);
    run(f, callee);
    g_assert_cmpuint(seen.indirects + seen.follows, ==, 0);
    g_assert_cmpuint(f->guest.x[0], ==, 1);
    g_assert_cmpuint(f->guest.env.return_top, ==, sizeof(TcgJumpEntry) * (TCG_RETURN_STACK - 1));
    run(f, call);
    host_unlink(link);
    host_kill_unit(behind);
    run(f, callee);
    g_assert_cmpuint(seen.dispatches, ==, 1);
    g_assert_cmphex(seen.pc, ==, PAGE + 0x104);
    g_assert_cmpuint(f->guest.x[0], ==, 1);
    run(f, call);
    run(f, callee);
    g_assert_cmpuint(seen.follows, ==, 1);
    g_assert_cmphex(seen.pc, ==, PAGE + 0x104);
}

static void test_loop(Fixture *f, gconstpointer data)
{
    uint8_t *a = emit(f, 0x100,
                      "%1 = get.i64 @x0\n%2 = const.i64 imm=1\n%3 = sub.i64 %1 %2\n"
                      "%4 = subf.i64 %1 %2 esz=3\nset.i64 @x0 %3\nexit_if ne %4 imm=0x100\n"
                      "dispatch imm=0x30\n");

    f->guest.x[0] = 1000;
    run(f, a);
    g_assert_cmpuint(f->guest.x[0], ==, 0);
    g_assert_cmpuint(seen.dispatches, ==, 1);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(Fixture *, gconstpointer);
    } tests[] = {
        { "/host/link", test_link },
        { "/host/kill", test_kill },
        { "/host/poll", test_poll },
        { "/host/forward", test_forward },
        { "/host/guard", test_guard },
        { "/host/two-pages", test_two_pages },
        { "/host/jump-cache", test_jump_cache },
        { "/host/return", test_return },
        { "/host/linked-return", test_linked_return },
        { "/host/loop", test_loop },
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned shift = 0; shift <= 2; shift++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
            g_autofree char *path = g_strdup_printf("%s/%u", tests[i].path, shift);

            g_test_add(path, Fixture, GUINT_TO_POINTER(shift), set_up, tests[i].test, tear_down);
        }
    }
    return g_test_run();
}
