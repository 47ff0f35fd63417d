/* SPDX-License-Identifier: MIT */
/* kaso-io: breakpoints of blkdebug, at which requests stand until they are told to go on. */
#include "base/names.h"
#include "block/graph/debug-event.h"
#include "block/tools/io.h"

#include <errno.h>
#include <string.h>

enum { POLL_NS = 5000000 };

static int count_words(Session *session, int argc, char **argv, int wanted)
{
    return argc == wanted + 1
               ? 0
               : io_complain(session, "bad argument count %d to %s, expected %d arguments\n",
                             argc - 1, argv[0], wanted);
}

static int report(Session *session, const char *what, int result)
{
    if (result < 0) {
        fprintf(session->out, "Could not %s: %s\n", what,
                result == -ENOTSUP  ? "no node here has the driver 'blkdebug'"
                : result == -ENOENT ? "nothing has this tag"
                                    : g_strerror(-result));
    }
    return result;
}

static int break_run(Session *session, int argc, char **argv)
{
    int result = count_words(session, argc, argv, 2);
    unsigned event = 0;

    if (result < 0) {
        return result;
    }
    while (event < EVENT_COUNT && strcmp(argv[1], debug_event_names[event])) {
        event++;
    }
    if (event == EVENT_COUNT) {
        g_autofree char *nearest = names_suggest(argv[1], debug_event_names);

        return io_complain(session, "Could not set breakpoint: there is no event '%s'%s\n", argv[1],
                           nearest);
    }
    return report(session, "set breakpoint",
                  node_debug_break(session->child->node, DEBUG_BREAK_SET, argv[2], event));
}

static int remove_break_run(Session *session, int argc, char **argv)
{
    int result = count_words(session, argc, argv, 1);
    g_autofree char *what = NULL;

    if (result < 0) {
        return result;
    }
    what = g_strdup_printf("remove breakpoint %s", argv[1]);
    result = node_debug_break(session->child->node, DEBUG_BREAK_REMOVE, argv[1], EVENT_NONE);
    return report(session, what, result);
}

static int resume_run(Session *session, int argc, char **argv)
{
    int result = count_words(session, argc, argv, 1);

    if (result < 0) {
        return result;
    }
    result = node_debug_break(session->child->node, DEBUG_BREAK_RESUME, argv[1], EVENT_NONE);
    return report(session, "resume request", result);
}

static int wait_break_run(Session *session, int argc, char **argv)
{
    int result = count_words(session, argc, argv, 1);

    while (!result) {
        result = node_debug_break(session->child->node, DEBUG_BREAK_SUSPENDED, argv[1], EVENT_NONE);
        if (!result) {
            coroutine_sleep_ns(POLL_NS);
        }
    }
    return MIN(result, 0);
}

const IoCommand io_debug_commands[] = {
    { "break", NULL, "event tag", "sets a breakpoint on event and tags the stopped request as tag",
      true, break_run },
    { "remove_break", NULL, "tag", "remove a breakpoint by tag", true, remove_break_run },
    { "resume", NULL, "tag", "resumes the request tagged as tag", true, resume_run },
    { "wait_break", NULL, "tag", "waits for the suspension of a request", true, wait_break_run },
    { 0 },
};
