/* SPDX-License-Identifier: MIT */
/* kaso-io: reads, writes and inspects an image by commands, for tests and scripts. */
#include "block/tools/io.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPTION_OBJECT = 256, OPTION_IMAGE_OPTS, OPTION_CACHE };
enum { DUMP_WIDTH = 16, LENGTH_MAX = 1 << 30 };

int io_complain(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    return -EINVAL;
}

static bool number(const char *text, uint64_t *value)
{
    GError *error = NULL;

    if (parse_size(text, value, &error)) {
        return true;
    }
    printf("%s\n", error->message);
    g_error_free(error);
    return false;
}

/* read and write and their relatives */

typedef struct {
    Session *session;
    const char *verb;
    bool write, zeroes, compressed, discard, unmap, fua, quiet, show, vm_state, has_pattern, count;
    bool no_fallback, terse;
    uint8_t pattern;
    const char *source; /* the file whose content is written, repeated to the length; or NULL */
    uint64_t offset, bytes, pattern_offset, pattern_bytes;
    struct iovec *iov;
    unsigned segments;
    uint8_t *buffer;
    int64_t start_us;
    int result;
} Transfer;

/* "4 KiB", "1.062 MiB", "100 bytes": as scripts of this kind of tool expect it. The caller frees. */
static char *exact_size(uint64_t bytes)
{
    static const char *const suffixes[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double value = (double)bytes / 1024;
    unsigned i = 0;
    char text[32];

    if (bytes < 1024) {
        return g_strdup_printf("%" G_GUINT64_FORMAT " bytes", bytes);
    }
    while (value >= 1024 && i + 1 < ARRAY_SIZE(suffixes)) {
        value /= 1024;
        i++;
    }
    g_snprintf(text, sizeof text, "%.3f", value);
    if (g_str_has_suffix(text, ".000")) {
        text[strlen(text) - strlen(".000")] = '\0';
    }
    return g_strdup_printf("%s %s", text, suffixes[i]);
}

static void print_report(const Transfer *t)
{
    double seconds = MAX((double)(g_get_monotonic_time() - t->start_us) / 1e6, 1e-6);
    g_autofree char *size = exact_size(t->bytes);
    g_autofree char *rate = exact_size((uint64_t)((double)t->bytes / seconds));

    if (t->quiet) {
        return;
    }
    if (t->terse) {
        printf("%" G_GUINT64_FORMAT ",1,0:00:%05.2f,%.3f,%.3f\n", t->bytes, seconds,
               (double)t->bytes / seconds, 1 / seconds);
        return;
    }
    printf("%s %" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT " bytes at offset %" G_GUINT64_FORMAT
           "\n%s, 1 ops; %05.2f sec (%s/sec and %.4f ops/sec)\n",
           t->verb, t->bytes, t->bytes, t->offset, size, seconds, rate, 1 / seconds);
}

static void dump(const uint8_t *data, uint64_t bytes, uint64_t offset)
{
    for (uint64_t at = 0; at < bytes; at += DUMP_WIDTH) {
        printf("%08" G_GINT64_MODIFIER "x:  ", offset + at);
        for (unsigned i = 0; i < DUMP_WIDTH && at + i < bytes; i++) {
            printf("%02x ", data[at + i]);
        }
        printf(" ");
        for (unsigned i = 0; i < DUMP_WIDTH && at + i < bytes; i++) {
            printf("%c", g_ascii_isalnum(data[at + i]) ? data[at + i] : '.');
        }
        printf("\n");
    }
}

static int verify(Transfer *t)
{
    uint64_t end = t->pattern_bytes ? t->pattern_offset + t->pattern_bytes : t->bytes;

    for (uint64_t i = t->pattern_offset; t->has_pattern && i < MIN(end, t->bytes); i++) {
        if (t->buffer[i] != t->pattern) {
            printf("Pattern verification failed at offset %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT
                   " bytes\n",
                   t->offset + t->pattern_offset, end - t->pattern_offset);
            return -EINVAL;
        }
    }
    return 0;
}

static int transfer_io(Transfer *t)
{
    BlockNode *node = t->session->child->node;
    unsigned flags = (t->fua ? BLOCK_FUA : 0) | (t->unmap ? BLOCK_MAY_UNMAP : 0) |
                     (t->no_fallback ? BLOCK_NO_FALLBACK : 0);
    IoVector vector = { t->iov, t->segments, 0 };

    if (t->vm_state) {
        int (*io)(BlockNode *, uint64_t, uint64_t, IoVector) =
            t->write ? node->driver->vm_state_write : node->driver->vm_state_read;

        return io ? io(node, t->offset, t->bytes, vector) : -ENOTSUP;
    }
    if (!t->discard && t->offset + t->bytes > node_size(node)) {
        return -EIO;
    }
    if (t->discard) {
        return node_discard(node, t->offset, MIN(t->bytes, node_size(node) - t->offset));
    }
    if (t->zeroes) {
        return node_write_zeroes(node, t->offset, t->bytes, flags);
    }
    if (t->compressed) {
        return node_write_compressed(node, t->offset, t->bytes, vector);
    }
    return t->write ? node_write(node, t->offset, t->bytes, vector, flags)
                    : node_read(node, t->offset, t->bytes, vector);
}

static void transfer_free(Transfer *t)
{
    free(t->buffer);
    g_free(t->iov);
}

static int transfer_finish(Transfer *t)
{
    int result = t->result;

    if (result < 0) {
        printf("%s failed: %s\n",
               t->write     ? "write"
               : t->discard ? "discard"
                            : "read",
               g_strerror(-result));
        return result;
    }
    if (!t->write && !t->discard) {
        result = verify(t);
        if (t->show) {
            dump(t->buffer, t->bytes, t->offset);
        }
    }
    print_report(t);
    return result;
}

static bool take_flag(Transfer *t, int c, uint64_t *value)
{
    switch (c) {
    case 'P':
        t->has_pattern = number(optarg, value) && *value <= UINT8_MAX;
        t->pattern = (uint8_t)*value;
        if (!t->has_pattern) {
            io_complain("%s is not a valid pattern byte\n", optarg);
        }
        return t->has_pattern;
    case 's':
        if (t->write) {
            t->source = optarg;
            return true;
        }
        return number(optarg, &t->pattern_offset);
    case 'l':
        return number(optarg, &t->pattern_bytes);
    case 'b':
        t->vm_state = true;
        return true;
    case 'c':
        t->compressed = t->write;
        return true;
    case 'f':
        t->fua = true;
        return true;
    case 'n':
        t->no_fallback = true;
        return true;
    case 'q':
        t->quiet = true;
        return true;
    case 'u':
        t->unmap = true;
        return true;
    case 'v':
        t->show = true;
        return true;
    case 'z':
        t->zeroes = true;
        return true;
    case 'C':
        t->terse = true;
        return true;
    case 'p':
    case 'r':
        return true;
    default:
        return false;
    }
}

/* Offset and one or more lengths. */
static bool take_range(Transfer *t, int argc, char **argv, bool many)
{
    uint64_t value;

    if (argc - optind < 2 || (!many && argc - optind != 2) || !number(argv[optind++], &t->offset)) {
        io_complain("expected an offset and a length\n");
        return false;
    }
    t->segments = (unsigned)(argc - optind);
    t->iov = g_new0(struct iovec, t->segments);
    for (unsigned i = 0; i < t->segments; i++) {
        if (!number(argv[optind + (int)i], &value)) {
            return false;
        }
        t->iov[i].iov_len = value;
        t->bytes += value;
    }
    if (t->bytes > LENGTH_MAX && !t->zeroes && !t->discard) {
        io_complain("length cannot exceed %d, given %" G_GUINT64_FORMAT "\n", LENGTH_MAX, t->bytes);
        return false;
    }
    return true;
}

/* The buffer becomes the source file's content, again and again. */
static bool take_source(Transfer *t)
{
    g_autofree char *content = NULL;
    GError *error = NULL;
    gsize size;

    if (!g_file_get_contents(t->source, &content, &size, &error)) {
        io_complain("%s\n", error->message);
        g_error_free(error);
        return false;
    }
    if (!size || t->has_pattern) {
        io_complain(size ? "-P and -s cannot be used together\n" : "%s: file is empty\n",
                    t->source);
        return false;
    }
    for (uint64_t at = 0; at < t->bytes; at += size) {
        memcpy(t->buffer + at, content, MIN(size, t->bytes - at));
    }
    return true;
}

static bool take_buffer(Transfer *t)
{
    size_t at = 0;

    if (t->zeroes || t->discard) {
        return true;
    }
    if (posix_memalign((void **)&t->buffer, 4096, MAX(t->bytes, 1))) {
        return false;
    }
    memset(t->buffer, t->write ? (t->has_pattern ? t->pattern : 0xcd) : 0xab, t->bytes);
    for (unsigned i = 0; i < t->segments; i++) {
        t->iov[i].iov_base = t->buffer + at;
        at += t->iov[i].iov_len;
    }
    return !t->source || take_source(t);
}

static Transfer *transfer_new(Session *session, int argc, char **argv, const char *verb, bool write,
                              bool discard, bool many)
{
    Transfer *t = g_new0(Transfer, 1);
    uint64_t value = 0;
    int c;

    t->session = session;
    t->verb = verb;
    t->write = write;
    t->discard = discard;
    optind = 0;
    while ((c = getopt(argc, argv, "P:s:l:bcfnquvzCpr")) != -1) {
        if (!take_flag(t, c, &value)) {
            transfer_free(t);
            g_free(t);
            return NULL;
        }
    }
    if (!take_range(t, argc, argv, many) || !take_buffer(t)) {
        transfer_free(t);
        g_free(t);
        return NULL;
    }
    t->start_us = g_get_monotonic_time();
    return t;
}

static int transfer_run(Session *session, int argc, char **argv, const char *verb, bool write,
                        bool discard, bool many)
{
    Transfer *t = transfer_new(session, argc, argv, verb, write, discard, many);
    int result;

    if (!t) {
        return -EINVAL;
    }
    t->result = transfer_io(t);
    result = transfer_finish(t);
    transfer_free(t);
    g_free(t);
    return result;
}

static int read_run(Session *session, int argc, char **argv)
{
    return transfer_run(session, argc, argv, "read", false, false, !strcmp(argv[0], "readv"));
}

static int write_run(Session *session, int argc, char **argv)
{
    return transfer_run(session, argc, argv, "wrote", true, false, !strcmp(argv[0], "writev"));
}

static int discard_run(Session *session, int argc, char **argv)
{
    return transfer_run(session, argc, argv, "discard", false, true, false);
}

static void aio_entry(void *opaque)
{
    Transfer *t = opaque;
    Session *session = t->session;

    t->result = transfer_io(t);
    if (transfer_finish(t) < 0) {
        session->failed = true;
    }
    transfer_free(t);
    g_free(t);
    if (--session->aio_running == 0) {
        coroutine_queue_wake_all(&session->aio_done);
    }
}

static int aio_start(Session *session, int argc, char **argv, bool write)
{
    Transfer *t = transfer_new(session, argc, argv, write ? "wrote" : "read", write, false, true);

    if (!t) {
        return -EINVAL;
    }
    session->aio_running++;
    async_start(coroutine_context(), aio_entry, t);
    return 0;
}

static int aio_read_run(Session *session, int argc, char **argv)
{
    return aio_start(session, argc, argv, false);
}

static int aio_write_run(Session *session, int argc, char **argv)
{
    return aio_start(session, argc, argv, true);
}

int io_aio_flush(Session *session, int argc, char **argv)
{
    while (session->aio_running) {
        coroutine_queue_wait(&session->aio_done);
    }
    return 0;
}

/* The rest */

static int flush_run(Session *session, int argc, char **argv)
{
    int result = node_flush(session->child->node);

    if (result < 0) {
        printf("flush failed: %s\n", g_strerror(-result));
    }
    return result;
}

static int truncate_run(Session *session, int argc, char **argv)
{
    GError *error = NULL;
    uint64_t size;

    if (argc < 2 || !number(argv[argc - 1], &size)) {
        return io_complain("expected a size\n");
    }
    if (!node_truncate(session->child->node, size, PREALLOC_OFF, &error)) {
        printf("kaso-io: %s\n", error->message);
        g_error_free(error);
        return -EIO;
    }
    return 0;
}

static int length_run(Session *session, int argc, char **argv)
{
    g_autofree char *size = tool_human_size(node_size(session->child->node));

    printf("%s\n", size);
    return 0;
}

static int info_run(Session *session, int argc, char **argv)
{
    BlockNode *node = session->child->node;
    BlockNodeInfo info = { 0 };
    g_autofree char *cluster = NULL, *vm_state = NULL;

    printf("format name: %s\n", node->driver->name);
    if (node->driver->info) {
        node->driver->info(node, &info);
    }
    cluster = tool_human_size(info.cluster_size);
    vm_state = tool_human_size(info.vm_state_offset);
    printf("cluster size: %s\nvm state offset: %s\n", cluster, vm_state);
    return 0;
}

static int map_run(Session *session, int argc, char **argv)
{
    BlockNode *node = session->child->node;

    for (uint64_t offset = 0; offset < node_size(node);) {
        uint64_t count = 0, more = 0;
        int first =
            node_allocated_above(node, node_below(node), offset, node_size(node) - offset, &count);
        g_autofree char *size = NULL, *at = NULL;

        while (first >= 0 && offset + count < node_size(node) &&
               node_allocated_above(node, node_below(node), offset + count,
                                    node_size(node) - offset - count, &more) == first) {
            count += more;
        }
        if (first < 0) {
            printf("map failed: %s\n", g_strerror(-first));
            return first;
        }
        size = exact_size(count);
        at = exact_size(offset);
        printf("%s (0x%" G_GINT64_MODIFIER
               "x) bytes %sallocated at offset %s (0x%" G_GINT64_MODIFIER "x)\n",
               size, count, first ? "    " : "not ", at, offset);
        offset += count;
    }
    return 0;
}

static int alloc_run(Session *session, int argc, char **argv)
{
    BlockNode *node = session->child->node;
    uint64_t offset, bytes = 512, allocated = 0, done = 0;

    if (argc < 2 || !number(argv[1], &offset) || (argc > 2 && !number(argv[2], &bytes))) {
        return io_complain("expected an offset and a length\n");
    }
    while (done < bytes) {
        uint64_t count;
        int result =
            node_allocated_above(node, node_below(node), offset + done, bytes - done, &count);

        if (result < 0) {
            printf("is_allocated failed: %s\n", g_strerror(-result));
            return result;
        }
        allocated += result ? count : 0;
        done += count;
    }
    printf("%" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT
           " bytes allocated at offset %" G_GUINT64_FORMAT " bytes\n",
           allocated, bytes, offset);
    return 0;
}

static int sleep_run(Session *session, int argc, char **argv)
{
    uint64_t ms;

    if (argc != 2 || !number(argv[1], &ms)) {
        return io_complain("expected milliseconds\n");
    }
    coroutine_sleep_ns(ms * 1000000);
    return 0;
}

static int quit_run(Session *session, int argc, char **argv)
{
    session->quit = true;
    return 0;
}

static int help_run(Session *session, int argc, char **argv);

static const IoCommand commands[] = {
    { "aio_flush", NULL, "", "waits for all outstanding requests", false, io_aio_flush },
    { "aio_read", NULL, "[-qv] [-P pattern] off len [len..]", "reads asynchronously", true,
      aio_read_run },
    { "aio_write", NULL, "[-fquz] [-P pattern] off len [len..]", "writes asynchronously", true,
      aio_write_run },
    { "alloc", NULL, "offset [count]", "checks if a range is allocated", true, alloc_run },
    { "close", "c", "", "closes the image", true, io_close },
    { "discard", "d", "[-q] off len", "discards a range", true, discard_run },
    { "flush", "f", "", "makes all writes durable", true, flush_run },
    { "help", "?", "[command]", "help for one or all commands", false, help_run },
    { "info", "i", "", "prints information about the format", true, info_run },
    { "length", "l", "", "prints the size of the disk", true, length_run },
    { "map", NULL, "", "prints the allocated areas", true, map_run },
    { "open", "o", "[-rnUd] [-o options] file", "opens an image", false, io_open },
    { "quit", "q", "", "ends the program", false, quit_run },
    { "read", "r", "[-bqv] [-P pattern [-s off] [-l len]] off len", "reads", true, read_run },
    { "readv", NULL, "[-qv] [-P pattern] off len [len..]", "reads into several buffers", true,
      read_run },
    { "reopen", NULL, "[(-r|-w)] [-c cache] [-o options]",
      "opens the image again with other options", true, io_reopen },
    { "sleep", NULL, "ms", "waits", false, sleep_run },
    { "truncate", "t", "off", "changes the size of the disk", true, truncate_run },
    { "write", "w", "[-bcfnquz] [-P pattern | -s file] off len", "writes", true, write_run },
    { "writev", NULL, "[-fq] [-P pattern] off len [len..]", "writes from several buffers", true,
      write_run },
};

static int help_run(Session *session, int argc, char **argv)
{
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        if (argc < 2 || !strcmp(argv[1], commands[i].name)) {
            printf("%s %s -- %s\n", commands[i].name, commands[i].arguments, commands[i].summary);
        }
    }
    return 0;
}

static void run_line(Session *session, const char *line)
{
    g_auto(GStrv) words = NULL;
    gint count;

    if (!g_shell_parse_argv(line, &count, &words, NULL)) {
        return; /* an empty line */
    }
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(words[0], commands[i].name) && g_strcmp0(words[0], commands[i].alias)) {
            continue;
        }
        if (commands[i].needs_image && !session->child) {
            printf("no file open, try 'help open'\n");
            session->failed = true;
        } else if (commands[i].run(session, count, words) < 0) {
            session->failed = true;
        }
        return;
    }
    printf("command \"%s\" not found\n", words[0]);
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
    { "version", no_argument, NULL, 'V' },
    { 0 },
};

static int io_run(Tool *tool, int argc, char **argv);

static const ToolCommand io_command = {
    .name = "",
    .usage =
        "[-rsnUkmV] [-f FMT] [-t CACHE] [-d DISCARD] [-i AIO] [--image-opts] [--object OBJDEF] "
        "[-c COMMAND]... [FILE]",
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
    case 'd':
        arguments->unmap = !strcmp(optarg, "unmap") || !strcmp(optarg, "on");
        return true;
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
    while ((c = getopt_long(argc, argv, "c:f:rsnt:d:Ui:kmV", longs, NULL)) != -1) {
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
