/* SPDX-License-Identifier: MIT */
/* kaso-io: read, write, discard and their relatives. */
#include "block/tools/io.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DUMP_WIDTH = 16, LENGTH_MAX = INT32_MAX / 512 * 512 };

typedef enum { READ, WRITE, DISCARD } Direction;

/* The commands, and the options that each of them has. */
static const struct TransferKind {
    const char *name, *verb, *options;
    Direction direction;
    bool many; /* several lengths: several buffers */
} kinds[] = {
    { "read", "read", "abCqrvpP:s:l:", READ, false },
    { "readv", "read", "CqrvP:", READ, true },
    { "write", "wrote", "bcCfnqruzpP:s:", WRITE, false },
    { "writev", "wrote", "CfqrP:", WRITE, true },
    { "discard", "discard", "Cq", DISCARD, false },
    { "aio_read", "read", "CiqrvP:", READ, true },
    { "aio_write", "wrote", "CfiqruzP:", WRITE, true },
    { "aio_discard", "discard", "Cq", DISCARD, false },
};

typedef struct {
    Session *session;
    const char *name, *verb;
    bool write, zeroes, compressed, discard, unmap, fua, quiet, show, vm_state, has_pattern,
        invalid;
    bool no_fallback, terse, has_part;
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
char *io_exact_size(uint64_t bytes)
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
    g_autofree char *size = io_exact_size(t->bytes);
    g_autofree char *rate = io_exact_size((uint64_t)((double)t->bytes / seconds));

    if (t->quiet) {
        return;
    }
    if (t->terse) {
        fprintf(t->session->out, "%" G_GUINT64_FORMAT ",1,0:00:%05.2f,%.3f,%.3f\n", t->bytes,
                seconds, (double)t->bytes / seconds, 1 / seconds);
        return;
    }
    fprintf(t->session->out,
            "%s %" G_GUINT64_FORMAT "/%" G_GUINT64_FORMAT " bytes at offset %" G_GUINT64_FORMAT
            "\n%s, 1 ops; %05.2f sec (%s/sec and %.4f ops/sec)\n",
            t->verb, t->bytes, t->bytes, t->offset, size, seconds, rate, 1 / seconds);
}

static void dump(FILE *out, const uint8_t *data, uint64_t bytes, uint64_t offset)
{
    for (uint64_t at = 0; at < bytes; at += DUMP_WIDTH) {
        fprintf(out, "%08" G_GINT64_MODIFIER "x:  ", offset + at);
        for (unsigned i = 0; i < DUMP_WIDTH && at + i < bytes; i++) {
            fprintf(out, "%02x ", data[at + i]);
        }
        fprintf(out, " ");
        for (unsigned i = 0; i < DUMP_WIDTH && at + i < bytes; i++) {
            fprintf(out, "%c", g_ascii_isalnum(data[at + i]) ? data[at + i] : '.');
        }
        fprintf(out, "\n");
    }
}

static int verify(Transfer *t)
{
    uint64_t end = t->pattern_bytes ? t->pattern_offset + t->pattern_bytes : t->bytes;

    for (uint64_t i = t->pattern_offset; t->has_pattern && i < MIN(end, t->bytes); i++) {
        if (t->buffer[i] != t->pattern) {
            fprintf(t->session->out,
                    "Pattern verification failed at offset %" G_GUINT64_FORMAT
                    ", %" G_GUINT64_FORMAT " bytes\n",
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
    if (t->offset > node_size(node) || t->bytes > node_size(node) - t->offset) {
        return -EIO;
    }
    if (t->discard) {
        return node_discard(node, t->offset, t->bytes);
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
        fprintf(t->session->out, "%s failed: %s\n", t->name, g_strerror(-result));
        return result;
    }
    if (!t->write && !t->discard) {
        result = verify(t);
        if (t->show) {
            dump(t->session->out, t->buffer, t->bytes, t->offset);
        }
    }
    print_report(t);
    return result;
}

static bool take_flag(Transfer *t, int c, uint64_t *value)
{
    switch (c) {
    case 'P':
        t->has_pattern = parse_size(optarg, value, NULL) && *value <= UINT8_MAX;
        t->pattern = (uint8_t)*value;
        if (!t->has_pattern) {
            io_complain(t->session, "%s is not a valid pattern byte\n", optarg);
        }
        return t->has_pattern;
    case 's':
        if (t->write) {
            t->source = optarg;
            return true;
        }
        t->has_part = true;
        return io_number(t->session, optarg, &t->pattern_offset);
    case 'l':
        t->has_part = true;
        return io_number(t->session, optarg, &t->pattern_bytes);
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
    case 'i':
        t->invalid = true;
        return true;
    case 'a':
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

    if (argc - optind < 2 || (!many && argc - optind != 2)) {
        io_complain(t->session,
                    "bad argument count %d to %s, expected %s2 arguments: an offset and %s\n",
                    argc - optind, argv[0], many ? "at least " : "", many ? "lengths" : "a length");
        return false;
    }
    if (!io_number(t->session, argv[optind++], &t->offset)) {
        return false;
    }
    t->segments = (unsigned)(argc - optind);
    t->iov = g_new0(struct iovec, t->segments);
    for (unsigned i = 0; i < t->segments; i++) {
        if (!io_number(t->session, argv[optind + (int)i], &value)) {
            return false;
        }
        t->iov[i].iov_len = value;
        t->bytes += value;
    }
    if (t->bytes > LENGTH_MAX && !t->no_fallback) {
        io_complain(t->session, "length cannot exceed %d%s, given %" G_GUINT64_FORMAT "\n",
                    LENGTH_MAX, t->write ? " without -n" : "", t->bytes);
        return false;
    }
    return true;
}

/* What cannot be together, before anything is written. */
static bool check_flags(const Transfer *t)
{
    const char *message = NULL;
    uint64_t end = t->pattern_bytes ? t->pattern_offset + t->pattern_bytes : t->pattern_offset;

    if (t->zeroes + t->has_pattern + (t->source != NULL) > 1) {
        message = "Only one of -z, -P, and -s can be specified at the same time";
    } else if (t->vm_state && t->zeroes) {
        message = "-b and -z cannot be specified at the same time";
    } else if (t->fua && (t->vm_state || t->compressed)) {
        message = "-f and -b or -c cannot be specified at the same time";
    } else if (t->unmap && !t->zeroes) {
        message = "-u requires -z to be specified";
    } else if (t->no_fallback && !t->zeroes) {
        message = "-n requires -z to be specified";
    } else if (t->zeroes && t->segments > 1) {
        message = "-z supports only a single length parameter";
    } else if (t->has_part && !t->has_pattern) {
        message = "-s and -l require -P to be specified";
    } else if (t->has_part && end > t->bytes) {
        message = "pattern verification range exceeds end of read data";
    }
    if (message) {
        io_complain(t->session, "%s\n", message);
    }
    return !message;
}

/* The buffer becomes the source file's content, again and again. */
static bool take_source(Transfer *t)
{
    FILE *file = fopen(t->source, "re");
    size_t size = file ? fread(t->buffer, 1, t->bytes, file) : 0;
    bool failed = !file || ferror(file);

    if (failed) {
        io_complain(t->session, "%s: %s\n", t->source, strerror(errno));
    } else if (!size) {
        io_complain(t->session, "%s: file is empty\n", t->source);
    }
    if (file) {
        fclose(file);
    }
    for (uint64_t at = size; size && at < t->bytes; at += size) {
        memcpy(t->buffer + at, t->buffer, MIN(size, t->bytes - at));
    }
    return !failed && size;
}

static bool take_buffer(Transfer *t)
{
    size_t at = 0;

    if (t->zeroes || t->discard) {
        return true;
    }
    if (posix_memalign((void **)&t->buffer, 4096, MAX(t->bytes, 1))) {
        io_complain(t->session, "no memory for %" G_GUINT64_FORMAT " bytes\n", t->bytes);
        return false;
    }
    memset(t->buffer, t->write ? (t->has_pattern ? t->pattern : 0xcd) : 0xab, t->bytes);
    for (unsigned i = 0; i < t->segments; i++) {
        t->iov[i].iov_base = t->buffer + at;
        at += t->iov[i].iov_len;
    }
    return !t->source || take_source(t);
}

static void transfer_delete(Transfer *t)
{
    transfer_free(t);
    g_free(t);
}

/* NULL: an error was printed. */
static Transfer *transfer_new(Session *session, int argc, char **argv)
{
    Transfer *t = g_new0(Transfer, 1);
    const struct TransferKind *kind = kinds;
    uint64_t value = 0;
    int c;

    /* By its first letter where the command has a short name. */
    while (strcmp(kind->name, argv[0]) && (argv[0][1] || kind->name[0] != argv[0][0])) {
        kind++;
    }
    t->session = session;
    t->name = kind->name;
    t->verb = kind->verb;
    t->write = kind->direction == WRITE;
    t->discard = kind->direction == DISCARD;
    optind = 0;
    while ((c = getopt(argc, argv, kind->options)) != -1) {
        if (!take_flag(t, c, &value)) {
            transfer_delete(t);
            return NULL;
        }
    }
    if (!take_range(t, argc, argv, kind->many) || !check_flags(t) || !take_buffer(t)) {
        transfer_delete(t);
        return NULL;
    }
    t->fua |= t->write && session->write_through && !t->vm_state && !t->compressed;
    t->start_us = g_get_monotonic_time();
    return t;
}

int io_transfer(Session *session, int argc, char **argv)
{
    Transfer *t = transfer_new(session, argc, argv);
    int result;

    if (!t) {
        return -EINVAL;
    }
    t->result = transfer_io(t);
    result = transfer_finish(t);
    transfer_delete(t);
    return result;
}

static void aio_entry(void *opaque)
{
    Transfer *t = opaque;
    Session *session = t->session;

    t->result = transfer_io(t);
    if (transfer_finish(t) < 0) {
        session->failed = true;
    }
    transfer_delete(t);
    if (--session->aio_running == 0) {
        coroutine_queue_wake_all(&session->aio_done);
    }
}

int io_aio_transfer(Session *session, int argc, char **argv)
{
    Transfer *t = transfer_new(session, argc, argv);

    if (!t) {
        return -EINVAL;
    }
    if (t->invalid) { /* counts as a request that could not be made */
        fprintf(session->out, "injecting invalid %s request\n", t->write ? "write" : "read");
        transfer_delete(t);
        return 0;
    }
    session->aio_running++;
    async_start(coroutine_context(), aio_entry, t);
    return 0;
}

int io_aio_flush(Session *session, int argc, char **argv)
{
    while (session->aio_running) {
        coroutine_queue_wait(&session->aio_done);
    }
    return 0;
}
