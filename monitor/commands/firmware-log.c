/* SPDX-License-Identifier: MIT */
/*
 * query-firmware-log: what EDK2 keeps of its messages in a ring of guest memory (its library MemDebugLogLib). The ring is at the start
 * of a page, and found by the two words that its head begins with.
 */
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/error.h"
#include "monitor/command.h"

#define MAGIC "ovmfmdg1ovmfmdg2"
#define SEARCH_TO                                                                                  \
    (UINT64_C(4) << 30) /* firmware that has as little as it needs does not reach beyond */

enum {
    PAGE = 4096,
    MAGIC_BYTES = 16,
    HEAD_BYTES_AT = 16, /* 64 bits, as all that follow */
    LOG_BYTES_AT = 24,
    FIRST_AT = 40, /* offsets of the oldest byte and behind the newest */
    END_AT = 48,
    VERSION_AT = 64,
    VERSION_BYTES = 128,
    HEAD_BYTES = VERSION_AT + VERSION_BYTES,
    LOG_MAX = 16 << 20,
};

/* NULL: not in this range. */
static const uint8_t *find_in_range(const MemoryRange *range, uint64_t *at, AddressSpace *space)
{
    for (uint64_t page = range->start; page + PAGE <= range->start + range->size; page += PAGE) {
        uint64_t size = PAGE;
        const uint8_t *host = page % PAGE ? NULL : address_space_map(space, page, &size, false);

        if (page >= SEARCH_TO) {
            break;
        }
        if (host && size == PAGE && memcmp(host, MAGIC, MAGIC_BYTES) == 0) {
            *at = page;
            return host;
        }
    }
    return NULL;
}

/* The head of the ring and its guest physical address; NULL: there is none. */
static const uint8_t *find_head(Machine *machine, uint64_t *at)
{
    AddressSpace *space = &machine->memory_space;
    const FlatView *view = atomic_load(&space->view);
    const uint8_t *head = NULL;

    for (size_t i = 0; view && i < view->count && !head; i++) {
        const MemoryRange *range = &view->ranges[i];

        if (range->region->kind == MEMORY_RAM) {
            head = find_in_range(range, at, space);
        }
    }
    return head;
}

/* All of it from the oldest byte on; NULL with an error: the guest's numbers cannot be. */
static GByteArray *read_ring(Machine *machine, const uint8_t *head, uint64_t at, GError **error)
{
    uint64_t bytes = load_le64(head + LOG_BYTES_AT), first = load_le64(head + FIRST_AT);
    uint64_t end = load_le64(head + END_AT), log_at = at + load_le64(head + HEAD_BYTES_AT);
    uint64_t length = end >= first ? end - first : bytes - first + end;
    GByteArray *log;

    if (bytes > LOG_MAX || first >= bytes || end > bytes ||
        load_le64(head + HEAD_BYTES_AT) > PAGE) {
        error_fail(error, KASO_ERROR_GENERIC,
                   "firmware log buffer at %#" PRIx64 " is damaged: %" PRIu64
                   " bytes, from %" PRIu64 " to %" PRIu64,
                   at, bytes, first, end);
        return NULL;
    }
    log = g_byte_array_sized_new((guint)length + 1);
    g_byte_array_set_size(log, (guint)length);
    bytes = MIN(length, bytes - first);
    if (address_space_read_bytes(&machine->memory_space, log_at + first, log->data, bytes,
                                 MEMORY_ATTRIBUTES_DMA) != MEMORY_OK ||
        address_space_read_bytes(&machine->memory_space, log_at, log->data + bytes, length - bytes,
                                 MEMORY_ATTRIBUTES_DMA) != MEMORY_OK) {
        error_fail(error, KASO_ERROR_GENERIC, "firmware log buffer at %#" PRIx64 " is not all RAM",
                   at);
        g_clear_pointer(&log, g_byte_array_unref);
    }
    return log;
}

static json_t *log_run(Monitor *monitor, json_t *arguments, GError **error)
{
    Machine *machine = monitor_machine(monitor);
    int64_t most = monitor_get_int(arguments, "max-size", LOG_MAX);
    g_autofree char *version = NULL, *text = NULL;
    GByteArray *log;
    const uint8_t *head;
    uint64_t at = 0;
    guint skip;

    if (most < 1) {
        error_fail(error, KASO_ERROR_INVALID, "max-size must be 1 or more, not %" PRId64, most);
        return NULL;
    }
    head = find_head(machine, &at);
    if (!head) {
        error_fail(error, KASO_ERROR_NOT_FOUND,
                   "firmware log buffer not found: only EDK2 that was built with it has one");
        return NULL;
    }
    log = read_ring(machine, head, at, error);
    if (!log) {
        return NULL;
    }
    skip = log->len > most ? log->len - (guint)most : 0;
    version = g_strndup((const char *)head + VERSION_AT, VERSION_BYTES);
    text = g_base64_encode(log->data + skip, log->len - skip);
    g_byte_array_unref(log);
    return json_pack("{s:o, s:s}", "version", monitor_string(version), "log", text);
}

static void log_print(Monitor *monitor, json_t *result, GString *out)
{
    gsize length;
    g_autofree guchar *log = g_base64_decode(monitor_get_string(result, "log"), &length);

    g_string_append_printf(out, "[ firmware version: %s ]\n",
                           monitor_get_string(result, "version"));
    for (gsize i = 0; i < length; i++) {
        if (log[i] == '\n' || log[i] == '\t' || g_ascii_isprint((char)log[i])) {
            g_string_append_c(out, (char)log[i]);
        }
    }
}

static const MonitorArgument log_arguments[] = {
    { "max-size", ARGUMENT_SIZE, true, "bytes of its end" },
    { NULL },
};

static const MonitorCommand log_command = {
    .name = "query-firmware-log",
    .hmp = "info firmware-log",
    .summary = "shows the messages that EDK2 has kept in memory",
    .arguments = log_arguments,
    .run = log_run,
    .print = log_print,
    .returns = "FirmwareLog",
};
MONITOR_COMMAND(log_command);
