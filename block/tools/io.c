/* SPDX-License-Identifier: MIT */
/* kaso-io: reads, writes and inspects an image by commands, for tests and scripts. */
#include "block/tools/io.h"

#include "base/bits.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTION_OBJECT = 256, OPTION_IMAGE_OPTS, OPTION_CACHE };

int io_complain(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    return -EINVAL;
}

bool io_number(const char *text, uint64_t *value)
{
    GError *error = NULL;

    if (parse_size(text, value, &error)) {
        return true;
    }
    printf("%s\n", error->message);
    g_error_free(error);
    return false;
}

static int quit_run(Session *session, int argc, char **argv)
{
    session->quit = true;
    return 0;
}

static int help_run(Session *session, int argc, char **argv);

static const IoCommand commands[] = {
    { "aio_discard", NULL, "[-Cq] off len", "discards asynchronously", true, io_aio_transfer },
    { "aio_flush", NULL, "", "waits for all outstanding requests", false, io_aio_flush },
    { "aio_read", NULL, "[-Ciqrv] [-P pattern] off len [len..]", "reads asynchronously", true,
      io_aio_transfer },
    { "aio_write", NULL, "[-Cfiqruz] [-P pattern] off len [len..]", "writes asynchronously", true,
      io_aio_transfer },
    { "close", "c", "", "closes the image", true, io_close },
    { "discard", "d", "[-Cq] off len", "discards a range", true, io_transfer },
    { "help", "?", "[command]", "help for one or all commands", false, help_run },
    { "open", "o", "[-rsnkU] [-t cache] [-d discard] [-o options] [file]", "opens an image", false,
      io_open },
    { "quit", "q", "", "ends the program", false, quit_run },
    { "read", "r", "[-abCqrv] [-P pattern [-s off] [-l len]] off len", "reads", true, io_transfer },
    { "readv", NULL, "[-Cqrv] [-P pattern] off len [len..]", "reads into several buffers", true,
      io_transfer },
    { "reopen", NULL, "[(-r|-w)] [-c cache] [-o options]",
      "opens the image again with other options", true, io_reopen },
    { "write", "w", "[-bcCfnqruz] [-P pattern | -s file] off len", "writes", true, io_transfer },
    { "writev", NULL, "[-Cfqr] [-P pattern] off len [len..]", "writes from several buffers", true,
      io_transfer },
    { 0 },
};

static const IoCommand *const tables[] = { commands, io_inspect_commands };

static int compare_commands(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const IoCommand *const *)a)->name, (*(const IoCommand *const *)b)->name);
}

static GPtrArray *all_commands(void)
{
    GPtrArray *all = g_ptr_array_new();

    for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
        for (const IoCommand *command = tables[i]; command->name; command++) {
            g_ptr_array_add(all, (gpointer)command);
        }
    }
    g_ptr_array_sort(all, compare_commands);
    return all;
}

static const IoCommand *find_command(const char *name)
{
    g_autoptr(GPtrArray) all = all_commands();

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
    g_autoptr(GPtrArray) all = all_commands();
    bool any = false;

    for (unsigned i = 0; i < all->len; i++) {
        const IoCommand *command = all->pdata[i];

        if (argc < 2 || command == find_command(argv[1])) {
            printf("%s %s%s-- %s\n", command->name, command->arguments,
                   command->arguments[0] ? " " : "", command->summary);
            any = true;
        }
    }
    if (!any) {
        printf("command \"%s\" not found\n", argv[1]);
    } else if (argc < 2) {
        printf("\nUse 'help commandname' for one command.\n");
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

static void run_line(Session *session, const char *line)
{
    const IoCommand *command;
    g_auto(GStrv) words = split_line(line);
    int count = (int)g_strv_length(words);

    if (!count) {
        return;
    }
    command = find_command(words[0]);
    if (!command) {
        printf("command \"%s\" not found\n", words[0]);
    } else if (command->needs_image && !session->child) {
        printf("no file open, try 'help open'\n");
    } else if (command->run(session, count, words) >= 0) {
        return;
    }
    session->failed = true;
}

static void read_lines(Session *session)
{
    char line[4096];
    bool terminal = isatty(STDIN_FILENO);

    while (!session->quit) {
        if (terminal) {
            printf("kaso-io> ");
            fflush(stdout);
        }
        if (!fgets(line, sizeof line, stdin)) {
            break;
        }
        run_line(session, line);
        fflush(stdout); /* whoever drives us through pipes waits for the answer */
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
                        .arguments = { .writable = true, .resizable = true, .unmap = true } };
    g_autoptr(GPtrArray) lines = g_ptr_array_new();
    int c;

    coroutine_queue_init(&session.aio_done);
    while ((c = getopt_long(argc, argv, "c:f:rsnt:d:Ui:kmCT:hV", longs, NULL)) != -1) {
        if (c == 'h') {
            tool_help(tool, &io_command);
            return 0;
        }
        if (c == 'V') {
            printf("kaso-io version 0.1.0\n");
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
        run_line(&session, lines->pdata[i]);
    }
    if (!lines->len) {
        read_lines(&session);
    }
    io_aio_flush(&session, 0, NULL);
    if (session.child) {
        io_close(&session, 0, NULL);
    }
    return session.failed;
}

int main(int argc, char **argv)
{
    return tool_main("kaso-io", &io_command, argc, argv);
}
