/* SPDX-License-Identifier: MIT */
/* kaso-io: reads, writes and inspects an image by commands, for tests and scripts. */
#include "block/tools/io.h"

#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"
#include "base/version.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_OBJECT = 256, OPTION_IMAGE_OPTS, OPTION_CACHE };

static int quit_run(Session *session, int argc, char **argv)
{
    session->quit = true;
    return 0;
}

static const IoCommand commands[] = {
    { "close", "c", "", "closes the image", true, io_close },
    { "open", "o", "[-rsnkU] [-t cache] [-d discard] [-o options] [file]", "opens an image", false,
      io_open },
    { "quit", "q", "", "ends the program", false, quit_run },
    { "reopen", NULL, "[(-r|-w)] [-c cache] [-o options]",
      "opens the image again with other options", true, io_reopen },
    { 0 },
};

static void read_lines(Session *session)
{
    char line[4096];

    while (!session->quit) {
        /* Programs that drive us through pipes wait for it, too, by the name that they call us. */
        printf("%s> ", program_invocation_short_name);
        fflush(stdout);
        if (!fgets(line, sizeof line, stdin)) {
            break;
        }
        io_run_line(session, line);
    }
}

static const struct option longs[] = {
    { "cmd", required_argument, NULL, 'c' },
    { "format", required_argument, NULL, 'f' },
    { "read-only", no_argument, NULL, 'r' },
    { "snapshot", no_argument, NULL, 's' },
    { "nocache", no_argument, NULL, 'n' },
    { "cache", required_argument, NULL, 't' },
    { "discard", required_argument, NULL, 'd' },
    { "image-opts", no_argument, NULL, OPTION_IMAGE_OPTS },
    { "object", required_argument, NULL, OPTION_OBJECT },
    { "force-share", no_argument, NULL, 'U' },
    { "aio", required_argument, NULL, 'i' },
    { "native-aio", no_argument, NULL, 'k' },
    { "misalign", no_argument, NULL, 'm' },
    { "copy-on-read", no_argument, NULL, 'C' },
    { "trace", required_argument, NULL, 'T' },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { 0 },
};

static int io_run(Tool *tool, int argc, char **argv);

static const ToolCommand io_command = {
    .name = "",
    .summary = "Reads, writes and inspects an image; kaso-io -c help lists the commands",
    .usage =
        "[-rsnCUkmV] [-f FMT] [-t CACHE] [-d DISCARD] [-i AIO] [--image-opts] [--object OBJDEF] "
        "[-T TRACE] [-c COMMAND]... [FILE]",
    .run = io_run,
};

static bool aio_option(Session *session, const char *name)
{
    static const char *const names[] = { "auto", "threads", "io_uring", "native" };

    for (unsigned i = BLOCK_AIO_THREADS; i < ARRAY_SIZE(names); i++) {
        if (!strcmp(names[i], name)) {
            session->arguments.aio = (BlockAio)i;
            return true;
        }
    }
    tool_fail(session->tool, "Invalid aio option: %s", name);
    return false;
}

static bool trace_option(Tool *tool, const char *globs)
{
    GError *error = NULL;

    if (log_set_trace(globs, &error)) {
        return true;
    }
    tool_error(tool, error);
    return false;
}

static bool io_option(Tool *tool, int c, Session *session, GPtrArray *lines)
{
    ImageArguments *arguments = &session->arguments;

    switch (c) {
    case 'c':
        g_ptr_array_add(lines, optarg);
        return true;
    case 'f':
        arguments->format = optarg;
        return true;
    case 'r':
        arguments->writable = arguments->resizable = false;
        return true;
    case 's':
        session->snapshot = true;
        return true;
    case 'n':
        arguments->cache = "none";
        return true;
    case 't':
        arguments->cache = optarg;
        return true;
    case 'C':
        arguments->copy_on_read = true;
        return true;
    case 'T':
        return trace_option(tool, optarg);
    case 'd':
        return io_discard_option(tool, optarg, arguments);
    case 'i':
    case 'k':
        return aio_option(session, c == 'k' ? "native" : optarg);
    case 'm':
        return true;
    case 'U':
        arguments->force_share = true;
        return true;
    case OPTION_IMAGE_OPTS:
        arguments->image_opts = true;
        return true;
    case OPTION_OBJECT:
        return tool_object(tool, optarg);
    default:
        tool_usage(tool, &io_command);
        return false;
    }
}

static int io_run(Tool *tool, int argc, char **argv)
{
    Session session = { .tool = tool,
                        .out = stdout,
                        .more = commands,
                        .arguments = { .writable = true, .resizable = true, .unmap = true } };
    g_autoptr(GPtrArray) lines = g_ptr_array_new();
    int c;

    coroutine_queue_init(&session.aio_done);
    setvbuf(stdout, NULL, _IOLBF, 0); /* in order with what is logged */
    while ((c = getopt_long(argc, argv, "c:f:rsnt:d:Ui:kmCT:hV", longs, NULL)) != -1) {
        if (c == 'h') {
            tool_help(tool, &io_command);
            return 0;
        }
        if (c == 'V') {
            printf("qemu-io version %s\n", version_text);
            return 0;
        }
        if (!io_option(tool, c, &session, lines)) {
            return 1;
        }
    }
    if (optind < argc) {
        if (!io_session_open(&session, argv[optind], &session.arguments, session.snapshot)) {
            return 1;
        }
    }
    for (unsigned i = 0; i < lines->len && !session.quit; i++) {
        io_run_line(&session, lines->pdata[i]);
    }
    if (!lines->len) {
        read_lines(&session);
    }
    if (session.child) {
        io_close(&session, 0, NULL);
    }
    return session.failed;
}

int main(int argc, char **argv)
{
    return tool_main("kaso-io", &io_command, argc, argv);
}
