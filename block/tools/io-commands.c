/* SPDX-License-Identifier: MIT */
/* The commands of kaso-io that a machine's monitor has, too (HMP's qemu-io), and running a line of them. */
#include "base/bits.h"
#include "base/error.h"
#include "block/backend.h"
#include "block/graph/debug-event.h"
#include "block/tools/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int io_complain(Session *session, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(session->out, format, args);
    va_end(args);
    return -EINVAL;
}

bool io_number(Session *session, const char *text, uint64_t *value)
{
    GError *error = NULL;

    if (parse_size(text, value, &error)) {
        return true;
    }
    fprintf(session->out, "%s\n", error->message);
    g_error_free(error);
    return false;
}

static int help_run(Session *session, int argc, char **argv);

const IoCommand io_transfer_commands[] = {
    { "aio_discard", NULL, "[-Cq] off len", "discards asynchronously", true, io_aio_transfer,
      BLOCK_PERM_WRITE },
    { "aio_flush", NULL, "", "waits for all outstanding requests", false, io_aio_flush },
    { "aio_read", NULL, "[-Ciqrv] [-P pattern] off len [len..]", "reads asynchronously", true,
      io_aio_transfer },
    { "aio_write", NULL, "[-Cfiqruz] [-P pattern] off len [len..]", "writes asynchronously", true,
      io_aio_transfer, BLOCK_PERM_WRITE },
    { "discard", "d", "[-Cq] off len", "discards a range", true, io_transfer, BLOCK_PERM_WRITE },
    { "help", "?", "[command]", "help for one or all commands", false, help_run },
    { "read", "r", "[-abCqrv] [-P pattern [-s off] [-l len]] off len", "reads", true, io_transfer },
    { "readv", NULL, "[-Cqrv] [-P pattern] off len [len..]", "reads into several buffers", true,
      io_transfer },
    { "write", "w", "[-bcCfnqruz] [-P pattern | -s file] off len", "writes", true, io_transfer,
      BLOCK_PERM_WRITE },
    { "writev", NULL, "[-Cfqr] [-P pattern] off len [len..]", "writes from several buffers", true,
      io_transfer, BLOCK_PERM_WRITE },
    { 0 },
};

static int compare_commands(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const IoCommand *const *)a)->name, (*(const IoCommand *const *)b)->name);
}

static GPtrArray *all_commands(const Session *session)
{
    const IoCommand *const tables[] = { io_transfer_commands, io_inspect_commands,
                                        io_debug_commands, session->more };
    GPtrArray *all = g_ptr_array_new();

    for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
        for (const IoCommand *command = tables[i]; command && command->name; command++) {
            g_ptr_array_add(all, (gpointer)command);
        }
    }
    g_ptr_array_sort(all, compare_commands);
    return all;
}

static const IoCommand *find_command(const Session *session, const char *name)
{
    g_autoptr(GPtrArray) all = all_commands(session);

    for (unsigned i = 0; i < all->len; i++) {
        const IoCommand *command = all->pdata[i];

        if (!strcmp(name, command->name) || !g_strcmp0(name, command->alias)) {
            return command;
        }
    }
    return NULL;
}

static int help_run(Session *session, int argc, char **argv)
{
    g_autoptr(GPtrArray) all = all_commands(session);
    bool any = false;

    for (unsigned i = 0; i < all->len; i++) {
        const IoCommand *command = all->pdata[i];

        if (argc < 2 || command == find_command(session, argv[1])) {
            fprintf(session->out, "%s %s%s-- %s\n", command->name, command->arguments,
                    command->arguments[0] ? " " : "", command->summary);
            any = true;
        }
    }
    if (!any) {
        return io_complain(session, "command %s not found\n", argv[1]);
    }
    if (argc < 2) {
        fprintf(session->out, "\nUse 'help commandname' for one command.\n");
    }
    return 0;
}

/*
 * The words of a line. A word in quotes may hold spaces; quotes inside of a word are part of it, as in
 * json:{"driver":"raw"}.
 */
static char **split_line(const char *line)
{
    GPtrArray *words = g_ptr_array_new();

    for (;;) {
        const char *end;
        char quote;

        line += strspn(line, " \t\n");
        quote = line[0] == '"' || line[0] == '\'' ? line[0] : 0;
        end = quote ? strchr(line + 1, quote) : NULL;
        if (!line[0]) {
            break;
        }
        if (end && strchr(" \t\n", end[1])) {
            g_ptr_array_add(words, g_strndup(line + 1, (size_t)(end - line - 1)));
            line = end + 1;
        } else {
            size_t length = strcspn(line, " \t\n");

            g_ptr_array_add(words, g_strndup(line, length));
            line += length;
        }
    }
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(words, FALSE);
}

/* In a machine others use the node, too: it takes what the command needs, unless somebody minds. */
static bool take_perm(Session *session, unsigned perm)
{
    BlockChild *child = session->child;
    GError *error = NULL;

    if (session->tool || !child || !(perm & ~child->perm) ||
        child_set_perm(child, child->perm | perm, child->shared, &error)) {
        return true;
    }
    fprintf(session->out, "%s\n", error->message);
    g_error_free(error);
    return false;
}

void io_run_line(Session *session, const char *line)
{
    const IoCommand *command;
    g_auto(GStrv) words = split_line(line);
    int count = (int)g_strv_length(words);

    if (!count) {
        return;
    }
    command = find_command(session, words[0]);
    if (!command) {
        fprintf(session->out, "command \"%s\" not found\n", words[0]);
    } else if (!command->arguments[0] && count > 1) {
        fprintf(session->out, "bad argument count %d to %s, expected 0 arguments\n", count - 1,
                words[0]);
    } else if (command->needs_image && !session->child) {
        fprintf(session->out, "no file open, try 'help open'\n");
    } else if ((command->perm & BLOCK_PERM_WRITE) && session->child &&
               session->child->node->read_only) {
        fprintf(session->out, "Block node is read-only\n");
    } else if (take_perm(session, command->perm) && command->run(session, count, words) >= 0) {
        return;
    }
    session->failed = true;
}

/* In a machine. */

typedef struct {
    BlockGraph *graph;
    BlockBackend *drive;
    const char *name, *line;
    char *text;
    GError **error;
} MonitorCall;

/* Outlives its line while requests of it are suspended. */
typedef struct {
    Session session;
    BlockGraph *graph;
    BlockChild *user; /* NULL: it is at a drive's own edge, which had perm before */
    unsigned perm;
    char *text;
    size_t size;
} MonitorSession;

static void monitor_session_end(void *opaque)
{
    MonitorSession *m = opaque;

    io_aio_flush(&m->session, 0, NULL);
    block_graph_leave(m->graph);
    fclose(m->session.out);
    free(m->text);
    if (m->user) {
        child_detach(m->user);
    } else if (m->session.child->perm != m->perm) {
        child_set_perm(m->session.child, m->perm, m->session.child->shared, NULL);
    }
    g_free(m);
}

/* Until all requests are done, or those that are left stand at breakpoints. */
static void wait_for_requests(Session *session)
{
    enum { POLL_NS = 5000000 };

    while (session->aio_running &&
           node_debug_break(session->child->node, DEBUG_BREAK_SUSPENDED, NULL, EVENT_NONE) <= 0) {
        coroutine_sleep_ns(POLL_NS);
    }
}

/* Through a drive's own edge, or, at a node, through one that may do what nobody minds. */
static char *run_in_monitor(MonitorCall *call, BlockChild *child, BlockChild *user)
{
    MonitorSession *m = g_new0(MonitorSession, 1);
    char *text;

    m->graph = call->graph;
    m->user = user;
    m->perm = child->perm;
    m->session.child = child;
    coroutine_queue_init(&m->session.aio_done);
    m->session.out = open_memstream(&m->text, &m->size);
    g_assert(m->session.out); /* only for want of memory */
    block_graph_enter(call->graph);
    io_run_line(&m->session, call->line);
    wait_for_requests(&m->session);
    fflush(m->session.out);
    text = g_strdup(m->text);
    if (m->session.aio_running) {
        async_start(coroutine_context(), monitor_session_end, m);
    } else {
        monitor_session_end(m);
    }
    return text;
}

static void monitor_entry(void *opaque)
{
    MonitorCall *call = opaque;
    BlockBackend *drive = call->drive ? call->drive : backend_find(call->graph, call->name);
    BlockNode *node;
    BlockChild *user;

    if (drive && drive->root) {
        call->text = run_in_monitor(call, drive->root, NULL);
        return;
    }
    node = block_find_node(call->graph, call->name, call->error);
    user = node ? node_attach_user(node, "an unnamed block device", BLOCK_PERM_CONSISTENT_READ,
                                   BLOCK_PERM_ALL, call->error)
                : NULL;
    if (user) {
        call->text = run_in_monitor(call, user, user);
    }
}

char *block_io_command(BlockGraph *graph, BlockBackend *drive, const char *name, const char *line,
                       GError **error)
{
    MonitorCall call = {
        .graph = graph, .drive = drive, .name = name, .line = line, .error = error
    };

    async_run_sync(block_graph_context(graph), monitor_entry, &call);
    return call.text;
}
